/* SPDX-License-Identifier: BSD-2-Clause */
/* plug.h - sockets as POSIX and Linux have them, over one stack in virtual time: what packetdrill's
 * interface and the packet-script runner drive.
 *
 * Time moves only when somebody asks: the thread that made the plug (its main thread) moves it with
 * usleep, with gettimeofday (1 us each) and by waiting for a packet.  Any other thread may make a
 * call that blocks.  One lock guards everything; a blocked call is a struct plug_op, and whoever
 * makes it possible does its work, so that what it sends is queued before anybody looks.  A call
 * that blocks the main thread moves time itself, since nobody else would. */
#ifndef SIM_PLUG_H
#define SIM_PLUG_H

#include "packetdrill.h"

#include <estab/estab.h>
#include <estab/host.h>

#include <pthread.h>

enum plug_profile { PLUG_RFC, PLUG_LINUX, PLUG_FREEBSD };

/* What a stack is made with: from the flags' text and from sysctl names. */
struct plug_set {
    enum plug_profile profile;
    struct estab_config config;
    uint8_t local4[16], local6[16]; /* where a connection comes from that was bound to nothing */
    uint32_t mtu;
    uint64_t seed;
    uint64_t keepidle, keepintvl, keepcnt; /* defaults of sockets, ns and a count */
    /* Fast Open: by sockets that ask for it; all: by every listener.  Keys: given out, before it.
     */
    bool fastopen_client, fastopen_server, fastopen_all;
    uint8_t fastopen_key[2][16], fastopen_keys;
};
void plug_set_init(struct plug_set *set);
/* "profile=linux,mtu=1400,sack=0": 0, or -1 and err. */
int plug_set_flags(struct plug_set *set, const char *text, char *err);
/* "net.ipv4.tcp_sack", "0".  0; -1: the value is none; -2: estab has no such setting; err says. */
int plug_set_sysctl(struct plug_set *set, const char *name, const char *value, char *err);
bool plug_set_same(const struct plug_set *a, const struct plug_set *b);
/* The settings of the process's network namespace, where the profile is Linux's. */
void plug_set_read_proc(struct plug_set *set);
/* The file `sysctl` of a folder, `name=value` a line, the last one wins, where the profile is
 * FreeBSD's; what estab has not is named on standard error. */
void plug_set_read_file(struct plug_set *set, const char *dir);

struct plug;
struct plug_op {
    /* Does the call's work if it can be done now: true, and ret and err are final. */
    bool (*attempt)(struct plug *p, struct plug_op *op);
    ssize_t ret;
    int err;
    estab_time until; /* when it ends in any case */
    ssize_t late_ret; /* ... and how */
    int late_err;
    bool done, other; /* other: not the main thread's */
    estab_time done_at;
    pthread_cond_t wake;
    struct plug_op *next;
};

enum plug_kind { PLUG_SOCKET, PLUG_EPOLL, PLUG_PIPE };
enum { PLUG_STORED_MAX = 48, PLUG_EPOLL_MAX = 64 };

struct plug_interest { /* one descriptor in an epoll set */
    int fd;
    struct epoll_event event;
    bool armed; /* edge-triggered: something happened since it was reported */
    bool off;   /* one-shot, and reported */
};

struct plug_file {
    int fd; /* a real descriptor, so that the process's table knows the number is taken */
    enum plug_kind kind;
    bool nonblock;
    struct plug_file *next;

    /* PLUG_SOCKET */
    estab_sock k;
    int domain;
    bool listening;
    bool connecting;       /* a connect was begun and its end not told yet */
    bool fast;             /* connect() may wait for text, Fast Open */
    bool rd_shut, wr_shut; /* by the user */
    bool keepalive;
    int told;                     /* an errno for SO_ERROR that the core does not know of */
    uint64_t rcvtimeo, sndtimeo;  /* ns; 0: none */
    int linger_on, linger_s;      /* SO_LINGER; a negative one is for ever */
    uint64_t keepidle, keepintvl; /* the core has them only while keepalive is on */
    uint64_t keepcnt;
    bool stored_set[PLUG_STORED_MAX];
    int stored[PLUG_STORED_MAX]; /* options by their row in the table */

    /* PLUG_EPOLL */
    struct plug_interest *interests; /* PLUG_EPOLL_MAX of them; NULL: no epoll set */
    int ninterests;
};

struct plug_packet {
    struct plug_packet *next;
    estab_time at;
    size_t len;
    uint8_t octets[];
};

struct plug {
    pthread_mutex_t lock;
    pthread_t main;
    struct plug_set set;
    bool read_system; /* settings are read from the system when the stack is made */
    const char *state_dir;
    bool state_changed; /* a connection's state, or whether a descriptor has it */
    /* Called for every trace record while the lock is held; may be NULL. */
    void (*trace)(void *ctx, const struct estab_trace *t);
    void *trace_ctx;

    struct estab_virtual world;
    struct estab_env env;
    estab_stack *stack; /* NULL until the first socket or packet */
    int port;
    struct plug_file *files;
    struct plug_file *closed; /* while a call was blocked, maybe in one of them */
    struct plug_packet *out, **out_end;
    struct plug_op *ops;
    int blocked;         /* calls of other threads that wait */
    pthread_cond_t idle; /* `blocked` grew, or a call was reported */
    bool ended;          /* another thread's call is back: its clock shows when it was done */
    estab_time ended_at;
};

/* For interfaces that promise to read only, but not in their types. */
static inline void *plug_unconst(const void *p)
{
    union {
        const void *in;
        void *out;
    } u = {p};

    return u.out;
}

/* ---- plug.c: life, time, packets ---- */
#define PLUG_EPOCH ESTAB_S(1000) /* virtual time begins here: no time of a connection is 0 */

/* NULL: no memory.  copies set. */
struct plug *plug_new(const struct plug_set *set);
void plug_free(struct plug *p); /* leaves descriptors to the caller: close() them first */
/* Fills every slot; p is the userdata. */
void plug_interface(struct plug *p, struct packetdrill_interface *ifc);
int plug_stack(struct plug *p); /* makes sure the stack is there: 0, or an errno */
/* Makes an address ours; any, multicast and broadcast addresses are left alone. */
void plug_own(struct plug *p, const uint8_t ip[16]);
estab_time plug_next(const struct plug *p); /* when something will happen by itself */
/* Everything that can happen without time passing. */
void plug_run(struct plug *p);
void plug_advance(struct plug *p, estab_time to); /* timers run in order, at their own times */

void plug_enter(struct plug *p);
/* Runs the stack, gives the lock back, sets errno; the interface's result. */
ssize_t plug_leave(struct plug *p, ssize_t ret, int err);
/* plug_leave() with an op's result: attempts it, and waits for it unless nonblock; then err is what
 * a call that would block says. */
ssize_t plug_wait(struct plug *p, struct plug_op *op, bool nonblock, int err);
void plug_op_init(struct plug_op *op, bool (*attempt)(struct plug *, struct plug_op *));

/* ---- plug_time.c ---- */
int plug_netdev_send(void *u, const void *packet, size_t len);
int plug_netdev_receive(void *u, void *buffer, size_t *count, long long *time_usecs);
int plug_usleep(void *u, useconds_t usecs);
int plug_gettimeofday(void *u, struct timeval *tv, struct timezone *tz);

/* ---- plug_file.c: descriptors ---- */
struct plug_file *plug_file(const struct plug *p, int fd); /* NULL: not ours */
/* A new descriptor; NULL and errno. */
struct plug_file *plug_file_new(struct plug *p, enum plug_kind kind);
void plug_file_free(struct plug *p, struct plug_file *f); /* and closes the descriptor */
/* The socket fd is: NULL and *err = EBADF or ENOTSOCK. */
struct plug_file *plug_sock(const struct plug *p, int fd, int *err);
int plug_fcntl(void *u, int fd, int cmd, ...);
int plug_ioctl(void *u, int fd, unsigned long request, ...);
int plug_close(void *u, int fd);
int plug_pipe(void *u, int fds[2]);
int plug_splice(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t len,
                unsigned flags);

/* ---- plug_sock.c: sockets as connections ---- */
int plug_socket(void *u, int domain, int type, int protocol);
int plug_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len);
int plug_listen(void *u, int fd, int backlog);
int plug_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len);
int plug_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len);
int plug_shutdown(void *u, int fd, int how);
/* Whether a connect that was begun is still under way. */
bool plug_opening(const struct plug *p, const struct plug_file *f);
/* ... and text is taken already: Fast Open. */
bool plug_opening_early(const struct plug *p, const struct plug_file *f);
/* Begins one for sendto(MSG_FASTOPEN): 0, or an errno. */
int plug_connect_fast(struct plug *p, struct plug_file *f, const struct sockaddr *sa,
                      socklen_t len);
/* Its end, once there is one: false, or true and the errno. */
bool plug_connected(struct plug *p, struct plug_file *f, int *err);
enum estab_tcp_state plug_state(const struct plug *p, const struct plug_file *f);
/* Sends what is queued and waits for its acknowledgment, as long as SO_LINGER says; gives the lock
 * back as plug_leave() does. */
void plug_linger(struct plug *p, struct plug_file *f);
int plug_sock_close(struct plug *p, struct plug_file *f); /* CLOSE or ABORT; the errno */

/* ---- plug_io.c: octets ---- */
ssize_t plug_read(void *u, int fd, void *buf, size_t n);
ssize_t plug_readv(void *u, int fd, const struct iovec *iov, int niov);
ssize_t plug_recv(void *u, int fd, void *buf, size_t n, int flags);
ssize_t plug_recvfrom(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                      socklen_t *len);
ssize_t plug_recvmsg(void *u, int fd, struct msghdr *msg, int flags);
ssize_t plug_write(void *u, int fd, const void *buf, size_t n);
ssize_t plug_writev(void *u, int fd, const struct iovec *iov, int niov);
ssize_t plug_send(void *u, int fd, const void *buf, size_t n, int flags);
ssize_t plug_sendto(void *u, int fd, const void *buf, size_t n, int flags,
                    const struct sockaddr *sa, socklen_t len);
ssize_t plug_sendmsg(void *u, int fd, const struct msghdr *msg, int flags);

/* ---- plug_opt.c, plug_info.c: options ---- */
int plug_getsockopt(void *u, int fd, int level, int name, void *val, socklen_t *len);
int plug_setsockopt(void *u, int fd, int level, int name, const void *val, socklen_t len);
/* What the user has set holds for the connection that takes the place of another. */
void plug_opt_apply(struct plug *p, struct plug_file *f);
/* What an accepted socket has from its listener. */
void plug_opt_inherit(struct plug_file *f, const struct plug_file *from);
/* Fast Open, which is asked for before a listener is one; backlog: as listen() has it. */
void plug_opt_listen(struct plug *p, struct plug_file *f, int backlog);
int plug_opt_stored(const struct plug_file *f, int level, int name); /* 0: never set */
size_t plug_tcp_info(const struct plug *p, const struct plug_file *f, void *buf, size_t len);
size_t plug_meminfo(const struct plug *p, const struct plug_file *f, void *buf, size_t len);

/* ---- plug_poll.c ---- */
int plug_poll(void *u, struct pollfd *fds, nfds_t n, int timeout_ms);
int plug_epoll_create(void *u, int size);
int plug_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *ev);
int plug_epoll_wait(void *u, int epfd, struct epoll_event *out, int max, int timeout_ms);
void plug_epoll_happened(struct plug *p, int fd); /* for the edge-triggered */
void plug_epoll_forget(struct plug *p, int fd);

/* ---- plug_state.c ---- */
void plug_state_write(struct plug *p); /* the file `sockstat` in state_dir */

/* ---- for the in-process runner ---- */
/* Of a thread that makes one call: it says so when it is back, and its main thread waits until it
 * is, or is blocked.  So what happens next depends on no scheduler. */
void plug_report(struct plug *p, bool *back);
bool plug_settled(struct plug *p, const bool *back); /* true: it is back */
void plug_cancel(struct plug *p);                    /* blocked calls fail with EINTR */

#endif

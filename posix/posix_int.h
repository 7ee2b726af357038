/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_int.h - what the files of posix/ share.
 *
 * Locks, outermost first: an epoll set's `calls`; a shard's `lock`; an epoll set's `lock`; the
 * descriptor table's.  A file is what Linux calls an open file description: several descriptors may
 * share it, and it ends with the last of them and the last call under way on it. */
#ifndef POSIX_POSIX_INT_H
#define POSIX_POSIX_INT_H

#include <estab/posix.h>

#include <pthread.h>
#include <stdatomic.h>

#pragma GCC visibility push(hidden)

enum { LINKS_MAX = 8, LINKS_WATCHED = 64, BATCH = 32, SHARDS_MAX = 8 };
enum { FDS_MAX = LINKS_MAX + 1 }; /* of a stack: its links, and where it is looked at */

#define ABSENCE ESTAB_US(200) /* longer is long: see stand_up() */

struct waiter;

/* One lock, and what it guards: a stack, or several that must not run at once. */
struct shard {
    pthread_mutex_t lock;
    struct estab_env env; /* whose clock is everybody's */
    void (*advance)(void *ctx, estab_time until);
    void *ctx;
    estab_posix *members;
    uint32_t nmembers, nfiles; /* it goes with the last of both */
    uint32_t nheld;            /* files that other processes hold, too */
    uint32_t era;              /* of the process that made it */

    struct waiter *driver;  /* the blocked thread that polls the links; NULL: none */
    estab_time drive_until; /* until then it sleeps, if nothing comes */
    struct seat *seats;     /* the blocked threads that do not */
    uint64_t drives;        /* how often somebody became the driver */
    estab_time left_at; /* when one went off and nobody has come to wait since; 0: somebody has */
    estab_dur absence;  /* how long that took the last time */
    struct file *dirty; /* whose kernel object may have to change */

    pthread_t helper;
    pthread_cond_t tick;
    bool has_helper, stop;
    bool deep;              /* the helper sleeps until there is no driver, or ... */
    bool watching;          /* it polls the links ... */
    estab_time watch_until; /* ... until then */
    uint32_t looks;         /* that found something */
    int kick;               /* an eventfd that ends its poll; -1: there is no helper */
    struct estab_posix_stats stats;
};

struct port {
    estab_link *link;
    int port;
    bool gone;
};
struct estab_posix {
    struct shard *shard;
    estab_posix *next; /* of the shard */
    estab_posix *next_of_process;
    estab_stack *stack;
    struct port ports[LINKS_MAX];
    uint32_t nports;
    enum estab_mirror mirror;
    estab_ctl *ctl; /* NULL: nobody looks at it */
    struct file *files;
};

enum file_kind { FILE_SOCKET, FILE_EPOLL };
struct file {
    _Atomic uint32_t refs; /* descriptors, calls under way, items of epoll sets do not count */
    _Atomic uint32_t era;  /* process: fork counts it up */
    enum file_kind kind;
    uint64_t key; /* its name in the process where it was made */
    _Atomic bool nonblock;
    struct shard *shard;   /* FILE_SOCKET; its lock guards all that follows */
    struct epoll_set *set; /* FILE_EPOLL; its lock does */
    int fd;                /* one of its descriptors, or kept for `holders`; -1: none is left */
    uint32_t nfds;
    uint32_t holders;                    /* forked processes that have descriptors of it */
    bool kept;                           /* fd is theirs alone */
    struct file *next_free, *next, **at; /* next, at: of its estab_posix */

    struct estab_posix *p; /* NULL: it has ended */
    estab_sock k;
    int domain, type;
    bool listening;
    bool connecting; /* a connect was begun and its end not told yet */
    bool connected;  /* it was told, or accept made it so: for ever, but for a new beginning */
    bool rd_shut, wr_shut; /* by the user */
    bool ended;            /* the peer's FIN has come: an error cannot undo it */
    bool keepalive;
    bool fast_open;               /* RFC 7413: connect may return before there is a connection */
    int told;                     /* an errno for the next call that the stack does not know of */
    estab_dur rcvtimeo, sndtimeo; /* 0: none */
    int linger_on, linger_s;      /* a negative one is for ever */
    uint32_t keepidle, keepintvl, keepcnt; /* s, s, a count */
    int sndbuf_set, rcvbuf_set;            /* what was asked for; 0: nothing */
    int stored[16];

    struct watch *watches; /* blocked calls */
    struct item *items;    /* memberships in epoll sets */

    enum estab_mirror mirror;
    bool in_dirty;
    struct file *next_dirty;
    uint8_t mir_in;  /* octets that lie in the kernel's socket */
    bool mir_full;   /* it is connected to the one that is full */
    bool mir_bound;  /* it has an address */
    uint8_t mir_len; /* of it */
    char mir_name[32];
    int mir_shut; /* what was shut down: 0, SHUT_RD + 1, SHUT_RDWR + 1 */
};

/* ---- fdtab.c ---- */
/* The file of a descriptor, kept until file_put; NULL: not ours. */
struct file *file_get(int fd);
void file_put(struct file *f);
struct file *file_new(enum file_kind kind); /* refs 1; NULL: no memory */
/* Gives a descriptor to a file: takes the caller's reference.  -1: no memory, errno set. */
int fdtab_put(int fd, struct file *f);
struct file *fdtab_take(int fd); /* the reference of the descriptor; NULL: not ours */
pthread_mutex_t *file_lock(struct file *f);
/* The first file at *fd or behind, which moves there; next: kept until file_put. */
struct file *fdtab_next(int *fd);
struct file *fdtab_peek(int *fd);
int fdtab_other(const struct file *f, int fd); /* another descriptor of f; -1: none */
uint32_t fdtab_era(void);
bool file_foreign(const struct file *f); /* of the process that forked this one */
enum whose {
    THEIRS,    /* the kernel's */
    WRONG,     /* ours, and errno says why not */
    OURS,      /* a socket, and its shard is locked until call_end */
    ELSEWHERE, /* a socket of the process that forked this one: kept until remote_* */
};
enum whose call_begin(int fd, struct file **out);

/* ---- serve.c, remote.c: see remote.h ---- */
struct file *serve_subject(void); /* what this call is about, whatever its descriptor; NULL */
bool file_nonblock(const struct file *f); /* or it is called for somebody who must not wait here */
int remote_socket(uint32_t era, uint64_t key, int domain, int type, int protocol);
int remote_accept(struct file *f, int fd, struct sockaddr *addr, socklen_t *len, int flags);
int remote_named(struct file *f, int fd, bool connects, const struct sockaddr *addr, socklen_t len);
int remote_name(struct file *f, bool peer, struct sockaddr *addr, socklen_t *len);
int remote_listen(struct file *f, int backlog);
int remote_shutdown(struct file *f, int how);
int remote_status(struct file *f, int cmd, int arg);
int remote_ioctl(struct file *f, unsigned long request, int *val);
int remote_getopt(struct file *f, int level, int name, void *val, socklen_t *len);
int remote_setopt(struct file *f, int level, int name, const void *val, socklen_t len);
ssize_t remote_recv(struct file *f, int fd, struct msghdr *m, int flags);
ssize_t remote_send(struct file *f, int fd, const struct msghdr *m, int flags);

/* ---- shard.c ---- */
void shard_lock(struct shard *sh);
/* Hands out, runs what is in memory, tells who waits, and leaves. */
void shard_unlock(struct shard *sh);
/* Unlocks where the stack was run: somebody will look when the next thing is due. */
void shard_yield(struct shard *sh);
/* Everything that can be done now; poll: asks links that cost a system call too. */
void shard_run(struct shard *sh, bool poll);
estab_time shard_now(const struct shard *sh);
estab_time shard_due(const struct shard *sh); /* when something is due by itself */
/* How long its links are looked at before sleeping; *due: when a stack has something to do. */
estab_dur shard_look(const struct shard *sh, estab_time *due);
bool shard_take(struct shard *sh);                     /* takes frames in; true: there were some */
void shard_looked(struct shard *sh, estab_dur looked); /* in vain */
size_t shard_links(const struct shard *sh, struct pollfd *fds, size_t cap);
int shard_start_helper(struct shard *sh);
void shard_stop_helper(struct shard *sh);
void shard_rewatch(struct shard *sh); /* there are other descriptors to poll */
/* Unlocks, and frees what nobody uses any more. */
void shard_leave(struct shard *sh);
estab_posix *posix_default(void); /* NULL and errno */
/* It is that of the process that forked this one. */
bool posix_elsewhere(uint32_t *its_era, uint64_t *key);
bool posix_has_stack(void);
/* socket() for another process, on the stack that it names. */
int posix_socket_at(uint64_t key, int domain, int type, int protocol);

/* ---- wait.c ---- */
/* Makes one of the blocked threads the driver, if there is none. */
void hand_over(struct shard *sh);
struct waiter {
    _Atomic bool woken, signalled;
    int fd; /* this thread's eventfd */
};
struct watch { /* a blocked call that waits for a file */
    struct watch *next, **at;
    struct waiter *w;
    uint32_t mask; /* ESTAB_EV_ */
    bool exclusive;
};
int waiter_init(struct waiter *w);  /* 0, or an errno: this thread is about to wait */
void waiter_fini(struct waiter *w); /* nobody can wake it any more */
void waiter_wake(struct waiter *w, struct estab_posix_stats *st);
void waiter_poke(struct waiter *w); /* it looks again at what it waits for */
void watch_add(struct file *f, struct watch *c);
void watch_del(struct watch *c);
/* Sleeps until w is woken, until then, or until one of `more` is ready.  No lock is held; runs the
 * shards that nobody else runs.  0: go and look; ETIMEDOUT, EINTR, EDEADLK, ENOMEM. */
int wait_sleep(struct waiter *w, struct shard *const *sh, size_t n, estab_time until,
               struct pollfd *more, size_t nmore, const sigset_t *mask);
struct seat { /* a sleeper's place in a shard of which it is not the driver */
    struct seat *next, **at;
    struct waiter *w;
};
struct sleep { /* and the look before it */
    struct waiter *w;
    struct shard *const *sh;
    size_t n;
    estab_time until;
    struct pollfd *more;
    size_t nmore;
    const sigset_t *mask;
    struct pollfd *fds;
    size_t cap;
    struct seat *seats;
    size_t nlinks; /* of the shards that this thread drives: fds[1] and on */
    struct {
        estab_dur most; /* 0: not at all */
        estab_time until;
    } look;
};
estab_time wait_now(const struct sleep *s);
/* Runs a shard that it drives, and is locked; it may drive no longer then. */
void wait_run(struct sleep *s, size_t i, bool poll);
/* Waits, f's shard being locked before and after, until something of mask happened to f: 0, or an
 * errno as above; EINTR only if signals are to be seen. */
int wait_file(struct file *f, uint32_t mask, bool exclusive, estab_time until);
/* Something happened to a file: everybody who waits for it is told. */
void file_happened(struct file *f, uint32_t mask);
/* EINTR that a program does not want to see: all its handlers have SA_RESTART. */
bool wait_restarts(void);

/* ---- look.c: before a sleep ---- */
/* The shard, which is locked, is one that it drives. */
void look_plan(struct sleep *s, struct shard *sh);
/* 0: what is waited for has happened; EINTR; EAGAIN: sleep. */
int look_first(struct sleep *s);

/* ---- level.c: readiness ---- */
enum estab_tcp_state sock_state(const struct file *f);
uint32_t sock_level(const struct file *f); /* as poll's and epoll's bits */
bool sock_opening(const struct file *f);

/* ---- mirror.c ---- */
int mirror_socket(int flags); /* SOCK_CLOEXEC: the kernel's object; -1 and errno */
void mirror_touch(struct file *f);
void mirror_flush(struct shard *sh); /* at once, if the helper does not do it soon */
void mirror_flush_now(struct shard *sh);
void mirror_forget(struct file *f);
/* A call on f is at its end; again: it told the caller to try again. */
void mirror_settle(struct file *f, bool again);

/* ---- epoll.c ---- */
void items_happened(struct file *f, uint32_t bits);
uint32_t items_interest(const struct file *f);
void items_forget(struct file *f); /* its last descriptor is closed; no lock is held */
void epoll_free(struct epoll_set *s);
pthread_mutex_t *epoll_lock(struct epoll_set *s);

/* ---- sock.c ---- */
void sock_watch(struct file *f);
/* Another connection under the same descriptor.  0, or an errno. */
int sock_renew(struct file *f);
int addr_from(const struct file *f, const struct sockaddr *sa, socklen_t len, struct estab_addr *a);
void addr_to(const struct file *f, const struct estab_addr *a, struct sockaddr *sa, socklen_t *len);
/* MSG_FASTOPEN: connects with what is sent next.  0, or an errno. */
int sock_fast_open(struct file *f, const struct sockaddr *addr, socklen_t len);
/* The last reference is gone: closes the socket, and waits as SO_LINGER wants it. */
void sock_release(struct file *f);
estab_time until_after(const struct file *f, estab_dur d); /* d 0: never */
/* The end of every call: err is an errno or 0. */
ssize_t call_end(struct file *f, ssize_t ret, int err);
/* A socket of ours over a handle and a descriptor of mirror_socket's; both are taken, also on
 * failure, which is no memory: NULL.  The shard is locked. */
struct file *sock_install(estab_posix *p, estab_sock k, int fd, int domain, int type, int flags);

/* ---- call_io.c, datagram.c ---- */
enum { PIECES = 64 };
struct from { /* what a datagram brings besides its octets; addr may be NULL */
    struct sockaddr *addr;
    socklen_t *len;
    int flags;
    void *control; /* messages, if there is room for some */
    size_t room, used;
};
struct control { /* how a datagram is to be sent; -1: as the socket has it */
    int hops, tos;
};
ssize_t datagram_read(struct file *f, const struct iovec *iov, size_t niov, int flags,
                      struct from *from); /* ends the call */
/* 0 and *n, or an errno. */
int datagram_write(struct file *f, const struct iovec *iov, size_t niov, int flags,
                   const struct sockaddr *addr, socklen_t len, const struct control *c,
                   ptrdiff_t *n);
int datagram_connect(struct file *f, const struct sockaddr *addr, socklen_t len);

/* ---- control.c ---- */
/* What the socket's options ask for. */
void control_put(const struct file *f, const struct estab_recv_info *info, struct from *to);
int control_get(const struct file *f, const struct msghdr *m, struct control *c); /* 0, an errno */
ptrdiff_t control_send(struct file *f, const struct estab_iov *iov, size_t niov,
                       const struct estab_addr *to, const struct control *c); /* c may be NULL */

/* ---- opt.c ---- */
/* Options that are kept in struct file's `stored`. */
enum {
    STORED_OOBINLINE,
    STORED_BROADCAST,
    STORED_PRIORITY,
    STORED_PKTINFO,
    STORED_RECVTTL,
    STORED_RECVTOS,
    STORED_PKTINFO6,
    STORED_RECVHOPS,
    STORED_RECVTCLASS,
    STORED_ROWS
};
void opt_carry(const struct file *f, estab_sock to);
void opt_apply(struct file *f);
void opt_inherit(struct file *f, const struct file *from);

#pragma GCC visibility pop
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* posix.h - sockets that look and block like POSIX ones, on descriptors, from any thread.
 *
 * An estab_posix is one stack with its links and one lock.  The thread that makes a call runs the
 * stack itself while it holds the lock; a thread that waits polls the links and runs it for all who
 * wait; a helper thread runs it while nobody calls.  A process has as many as it likes.
 *
 * The calls at the end have the signatures, the errno and, but for the list in estab_posix(3), the
 * behaviour of Linux's; a descriptor that is not one of ours goes on to the kernel.
 * <estab/posix_names.h> gives them the kernel's names, so that a program changes by one line. */
#ifndef ESTAB_POSIX_H
#define ESTAB_POSIX_H

#include <estab/host.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct estab_posix estab_posix;

/* When the kernel's object behind a descriptor is made to look readable or not writable, for a
 * kernel's epoll, poll or select that does not ask us.  It costs system calls. */
enum estab_mirror {
    ESTAB_MIRROR_AUTO,   /* where no blocked call and no epoll set of ours waits for it (default) */
    ESTAB_MIRROR_ALWAYS, /* at every change */
    ESTAB_MIRROR_NEVER,
};
struct estab_posix_config { /* append-only; set size, or use estab_posix_config_init */
    size_t size;
    const struct estab_config *stack; /* NULL: the defaults, with the profile "linux" */
    const struct estab_env *env;      /* NULL: estab_host_env */
    /* Virtual time: NULL, or moves env's clock on to `until`.  A call that must wait calls it
     * instead of sleeping, so one thread makes all the calls; there is no helper thread; a wait
     * that nothing can end fails with EDEADLK. */
    void (*advance)(void *ctx, estab_time until);
    void *ctx;
    estab_posix *with;        /* NULL, or: share its lock, clock and helper, as the two ends of an
                                 estab_link_pair must */
    enum estab_mirror mirror; /* of sockets made from now on */
};
void estab_posix_config_init(struct estab_posix_config *c);

/* Makes a stack without links.  copies what c points to; c may be NULL.  0, or -1 and err.  The
 * first one is where socket() makes its sockets. */
int estab_posix_new(estab_posix **out, const struct estab_posix_config *c, char *err);
/* Ends it.  Closes its links and sends nothing; its descriptors stay taken until they are closed,
 * every other call on them fails with ENETDOWN.  No call may be under way.  NULL is allowed. */
void estab_posix_free(estab_posix *p);
/* takes the link, also on failure.  The port's number, or -1 and err. */
int estab_posix_attach(estab_posix *p, estab_link *link, char *err);
/* "10.0.0.2/24", "fd00::2/64".  0, or -1 and err. */
int estab_posix_addr(estab_posix *p, int port, const char *prefix, char *err);
/* The default gateway for its family.  0, or -1 and err. */
int estab_posix_gateway(estab_posix *p, int port, const char *addr, char *err);
/* Lets `estab ss`, `why`, `doctor`, `trace` and `kill` look at the stack: host.h's estab_ctl_open
 * with this path (copied; NULL: the usual one).  0, or -1 and err. */
int estab_posix_ctl(estab_posix *p, const char *path, char *err);
/* All of that from words: "dev=tun:estab0 addr=10.0.0.2/24 addr=fd00::2/64 gw=10.0.0.1"; and
 * ctl=yes|PATH, msl=SECONDS, profile=NAME, mirror=auto|always|never.  0, or -1 and err. */
int estab_posix_open(estab_posix **out, const char *words, char *err);
/* Where this thread's socket() makes its sockets; NULL: where the process does, which is the first
 * stack made.  Without any, socket() opens what the environment's ESTAB_POSIX says. */
void estab_posix_use(estab_posix *p);

/* The stack, for estab.h's calls, until unlock. */
estab_stack *estab_posix_lock(estab_posix *p);
void estab_posix_unlock(estab_posix *p);
/* The stack and handle of a descriptor; the stack is locked as by estab_posix_lock of *p.  0, or -1
 * and errno: EBADF, ENOTSOCK, ENETDOWN. */
int estab_posix_handle(int fd, estab_posix **p, estab_sock *k);

/* 0, or -1 and errno: EBADF, EINVAL. */
int estab_posix_mirror(int fd, enum estab_mirror how);

struct estab_posix_stats { /* append-only: set size */
    size_t size;
    uint64_t calls;  /* on sockets */
    uint64_t sleeps; /* blocked calls went to sleep in ppoll(2) */
    uint64_t polls;  /* links with a descriptor that were asked for frames */
    uint64_t frames_in, frames_out;
    uint64_t wakes;       /* one thread woke another */
    uint64_t handovers;   /* ... of which so that it polls the links */
    uint64_t helper_runs; /* the helper thread woke up */
    uint64_t kicks;       /* the helper was told of an earlier deadline */
    uint64_t mirrored;    /* system calls that kept the kernel's readiness in agreement */
    uint32_t blocked;     /* calls asleep now */
};
void estab_posix_stats(estab_posix *p, struct estab_posix_stats *st);

/* ---- the calls ---- */

int estab_posix_socket(int domain, int type, int protocol);
int estab_posix_bind(int fd, const struct sockaddr *addr, socklen_t len);
int estab_posix_listen(int fd, int backlog);
int estab_posix_accept(int fd, struct sockaddr *addr, socklen_t *len);
int estab_posix_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int estab_posix_connect(int fd, const struct sockaddr *addr, socklen_t len);
int estab_posix_shutdown(int fd, int how);
int estab_posix_close(int fd);
int estab_posix_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int estab_posix_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int estab_posix_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int estab_posix_setsockopt(int fd, int level, int name, const void *val, socklen_t len);

ssize_t estab_posix_read(int fd, void *buf, size_t n);
ssize_t estab_posix_readv(int fd, const struct iovec *iov, int niov);
ssize_t estab_posix_recv(int fd, void *buf, size_t n, int flags);
ssize_t estab_posix_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                             socklen_t *len);
ssize_t estab_posix_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t estab_posix_write(int fd, const void *buf, size_t n);
ssize_t estab_posix_writev(int fd, const struct iovec *iov, int niov);
ssize_t estab_posix_send(int fd, const void *buf, size_t n, int flags);
ssize_t estab_posix_sendto(int fd, const void *buf, size_t n, int flags,
                           const struct sockaddr *addr, socklen_t len);
ssize_t estab_posix_sendmsg(int fd, const struct msghdr *msg, int flags);

int estab_posix_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int estab_posix_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                      const sigset_t *mask);
int estab_posix_select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout);
int estab_posix_pselect(int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *timeout,
                        const sigset_t *mask);
int estab_posix_epoll_create(int size);
int estab_posix_epoll_create1(int flags);
int estab_posix_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int estab_posix_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms);
int estab_posix_epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout_ms,
                            const sigset_t *mask);

int estab_posix_ioctl(int fd, unsigned long request, ...);
int estab_posix_fcntl(int fd, int cmd, ...);
int estab_posix_dup(int fd);
int estab_posix_dup2(int fd, int to);
int estab_posix_dup3(int fd, int to, int flags);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

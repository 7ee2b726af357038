/* SPDX-License-Identifier: BSD-2-Clause */
/* call_fd.c - descriptors: close, dup, fcntl, ioctl, and shutdown.
 *
 * close() ends a descriptor, not the calls that other threads are blocked in: as on Linux these go
 * on, and the socket is closed when the last of them is over. */
#include "posix_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KEPT_FROM = 512 };

/* What other processes hold keeps a descriptor, so that theirs look ready: out of the way. */
static int keep_one(int fd)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FROM);

    return kept < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : kept;
}

int estab_posix_close(int fd)
{
    struct file *f = fdtab_take(fd);
    bool last;
    int ret;

    if (!f)
        return close(fd);
    if (file_foreign(f)) {
        ret = close(fd);
        file_put(f);
        return ret;
    }
    pthread_mutex_lock(file_lock(f));
    last = --f->nfds == 0;
    if (f->fd == fd && last && f->holders > 0) {
        f->fd = keep_one(fd);
        f->kept = f->fd >= 0;
        last = !f->kept;
    } else if (f->fd == fd) {
        f->fd = last ? -1 : fdtab_other(f, fd);
    }
    if (last && f->kind == FILE_SOCKET)
        mirror_forget(f);
    pthread_mutex_unlock(file_lock(f));
    if (last && f->kind == FILE_SOCKET)
        items_forget(f);
    ret = close(fd);
    file_put(f);
    return ret;
}

/* copy is a new number of the kernel's for fd. */
static int share(int fd, int copy)
{
    struct file *f = copy < 0 ? NULL : file_get(fd);

    if (!f)
        return copy;
    if (!file_foreign(f)) {
        pthread_mutex_lock(file_lock(f));
        f->nfds++;
        if (f->fd < 0)
            f->fd = copy;
        pthread_mutex_unlock(file_lock(f));
    }
    return fdtab_put(copy, f) ? -1 : copy; /* with the reference of file_get */
}

int estab_posix_dup(int fd)
{
    return share(fd, dup(fd));
}

int estab_posix_dup3(int fd, int to, int flags)
{
    struct file *f = fd != to && fcntl(fd, F_GETFD) >= 0 ? file_get(to) : NULL;

    if (f) {
        (void)estab_posix_close(to);
        file_put(f);
    }
    return share(fd, dup3(fd, to, flags));
}

int estab_posix_dup2(int fd, int to)
{
    if (fd == to)
        return fcntl(fd, F_GETFD) < 0 ? -1 : fd;
    return estab_posix_dup3(fd, to, 0);
}

/* ---- fcntl ---- */

static int status_flags(struct file *f, int cmd, int arg)
{
    if (cmd == F_SETFL)
        atomic_store(&f->nonblock, (arg & O_NONBLOCK) != 0);
    return cmd == F_SETFL ? 0 : O_RDWR | (atomic_load(&f->nonblock) ? O_NONBLOCK : 0);
}

int estab_posix_fcntl(int fd, int cmd, ...)
{
    struct file *f;
    va_list ap;
    long arg;
    int ret;

    va_start(ap, cmd);
    arg = va_arg(ap, long); /* an int, a long or a pointer; without one it is not looked at */
    va_end(ap);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        return share(fd, fcntl(fd, cmd, (int)arg));
    f = cmd == F_GETFL || cmd == F_SETFL ? file_get(fd) : NULL;
    if (!f)
        return fcntl(fd, cmd, arg);
    if (f->kind == FILE_SOCKET && file_foreign(f))
        return remote_status(f, cmd, (int)arg);
    ret = f->kind == FILE_SOCKET ? status_flags(f, cmd, (int)arg) : fcntl(fd, cmd, arg);
    file_put(f);
    return ret;
}

/* ---- ioctl ---- */

/* How long it is; 0: there is none. */
static int next_datagram(const struct file *f)
{
    struct estab_recv_info info = {.size = sizeof info};

    if (!(estab_ready(f->p->stack, f->k) & ESTAB_EV_IN) ||
        estab_recvfrom(f->p->stack, f->k, NULL, 0, ESTAB_MSG_PEEK, &info) < 0)
        return 0;
    return (int)info.len;
}

/* Linux counts the FIN: among what is unsent or in flight it has an octet's number. */
static int sock_ioctl(struct file *f, unsigned long request, int *val)
{
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t urgent = 0;

    if (request == FIONBIO) {
        atomic_store(&f->nonblock, *val != 0);
        return 0;
    }
    if (estab_tcp_info(f->p->stack, f->k, &i) != 0)
        return ENOTTY;
    if (f->type == SOCK_DGRAM && request == FIONREAD) {
        *val = next_datagram(f);
        return 0;
    }
    switch (request) {
    case SIOCATMARK: /* the octet that the urgent pointer is about is the next (RFC 6093) */
        (void)estab_getopt(f->p->stack, f->k, ESTAB_O_URGENT, &urgent);
        *val = urgent == 1;
        return 0;
    case FIONREAD:
        *val = (int)i.unread;
        return i.state == ESTAB_LISTEN ? EINVAL : 0;
    case SIOCOUTQ:
    case SIOCOUTQNSD:
        *val = (int)(i.unsent + (request == SIOCOUTQ ? i.flight : 0));
        return i.state == ESTAB_LISTEN ? EINVAL : 0;
    default:
        return ENOTTY;
    }
}

int estab_posix_ioctl(int fd, unsigned long request, ...)
{
    enum whose whose;
    struct file *f;
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (request == FIOCLEX || request == FIONCLEX)
        return ioctl(fd, request, arg);
    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_ioctl(f, request, arg);
    if (whose != OURS)
        return whose == THEIRS ? ioctl(fd, request, arg) : -1;
    return (int)call_end(f, 0, arg ? sock_ioctl(f, request, arg) : EFAULT);
}

/* ---- shutdown ---- */

/* A listener that is shut down for reading stops listening, and stays bound. */
static int shut_listener(struct file *f)
{
    struct estab_addr local;
    int err = estab_getaddrs(f->p->stack, f->k, &local, NULL);

    if (!err)
        err = -sock_renew(f);
    if (!err) /* its own connections are no reason to lose the port */
        err = estab_setopt(f->p->stack, f->k, ESTAB_O_REUSEADDR, 1);
    if (!err)
        err = estab_bind(f->p->stack, f->k, &local) ? -EADDRINUSE : 0;
    return -err;
}

/* A second shutdown is no error.  What still comes after SHUT_RD can be read, on Linux: the stack
 * is not told, and a read that finds nothing does not wait. */
static int shut(struct file *f, int how)
{
    enum estab_tcp_state st = sock_state(f);
    int err;

    if (how < 0 || how > 2)
        return EINVAL;
    if (st == ESTAB_LISTEN)
        return how == SHUT_WR ? 0 : shut_listener(f);
    f->rd_shut |= how != SHUT_WR;
    f->wr_shut |= how != SHUT_RD;
    if (f->type == SOCK_DGRAM)
        return st == ESTAB_CLOSED ? ENOTCONN : 0;
    if (st == ESTAB_CLOSED || st == ESTAB_TIME_WAIT)
        return ENOTCONN; /* and yet it is shut */
    err = how == SHUT_RD ? 0 : estab_shutdown(f->p->stack, f->k, ESTAB_SHUT_WR);
    return err == ESTAB_E_PIPE ? 0 : estab_errno(err);
}

int estab_posix_shutdown(int fd, int how)
{
    enum whose whose;
    struct file *f;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_shutdown(f, how);
    if (whose != OURS)
        return whose == THEIRS ? shutdown(fd, how) : -1;
    err = shut(f, how);
    file_happened(f, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP);
    return (int)call_end(f, 0, err);
}

int estab_posix_mirror(int fd, enum estab_mirror how)
{
    enum whose whose;
    struct file *f;

    if (how < ESTAB_MIRROR_AUTO || how > ESTAB_MIRROR_NEVER) {
        errno = EINVAL;
        return -1;
    }
    whose = call_begin(fd, &f);
    if (whose == THEIRS)
        errno = EBADF;
    if (whose == ELSEWHERE) {
        file_put(f);
        errno = ENETDOWN;
    }
    if (whose != OURS)
        return -1;
    f->mirror = how;
    if (how != ESTAB_MIRROR_NEVER)
        mirror_settle(f, true);
    return (int)call_end(f, 0, 0);
}

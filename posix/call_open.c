/* SPDX-License-Identifier: BSD-2-Clause */
/* call_open.c - socket, bind, listen, accept, connect, and the names of the two ends. */
#include "posix_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* A new file gets its number last, when nothing is locked. */
static int publish(struct file *f, int fd)
{
    if (fdtab_put(fd, f) == 0)
        return fd;
    close(fd);
    file_put(f);
    errno = ENOMEM;
    return -1;
}

static int wanted(int type, int protocol)
{
    switch (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
    case SOCK_STREAM:
        return protocol == 0 || protocol == IPPROTO_TCP ? 0 : EPROTONOSUPPORT;
    case SOCK_DGRAM:
        return protocol == 0 || protocol == IPPROTO_UDP ? 0 : EPROTONOSUPPORT;
    default:
        return ESOCKTNOSUPPORT;
    }
}

int estab_posix_socket(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), fd, err;
    struct file *f;
    estab_posix *p;
    uint32_t era;
    uint64_t key;
    estab_sock k;

    if ((domain != AF_INET && domain != AF_INET6) || kind == SOCK_RAW)
        return socket(domain, type, protocol);
    err = wanted(type, protocol);
    if (err) {
        errno = err;
        return -1;
    }
    if (posix_elsewhere(&era, &key))
        return remote_socket(era, key, domain, type, protocol);
    p = posix_default();
    if (!p)
        return -1;
    fd = mirror_socket(type);
    if (fd < 0)
        return -1;
    shard_lock(p->shard);
    err = estab_errno(estab_socket(p->stack, kind == SOCK_STREAM ? ESTAB_TCP : ESTAB_UDP, &k));
    f = err ? NULL : sock_install(p, k, fd, domain, kind, type);
    shard_unlock(p->shard);
    if (f)
        return publish(f, fd);
    if (err)
        close(fd);
    errno = err ? err : ENOMEM;
    return -1;
}

int estab_posix_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct estab_addr a;
    enum whose whose;
    struct file *f;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_named(f, fd, false, addr, len);
    if (whose != OURS)
        return whose == THEIRS ? bind(fd, addr, len) : -1;
    err = addr_from(f, addr, len, &a);
    if (!err)
        err = estab_errno(estab_bind(f->p->stack, f->k, &a));
    return (int)call_end(f, 0, err);
}

int estab_posix_listen(int fd, int backlog)
{
    enum whose whose;
    struct file *f;
    uint32_t limit;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_listen(f, backlog);
    if (whose != OURS)
        return whose == THEIRS ? listen(fd, backlog) : -1;
    if (f->type != SOCK_STREAM)
        return (int)call_end(f, -1, EOPNOTSUPP);
    /* Linux lets one more than the backlog wait; a negative one is as many as can be. */
    limit = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : (uint32_t)backlog;
    err = estab_errno(estab_listen(f->p->stack, f->k, limit + 1));
    if (err == EISCONN)
        err = EINVAL;
    if (!err) {
        f->listening = true;
        mirror_touch(f);
    }
    return (int)call_end(f, 0, err);
}

/* ---- accept ---- */

/* The descriptor comes first: where there is none left, the connection stays in the queue. */
static int accept_one(struct file *f, int flags, struct estab_addr *peer, struct file **made)
{
    estab_sock k;
    int fd, err;

    if (f->type != SOCK_STREAM)
        return EOPNOTSUPP;
    if (!(estab_ready(f->p->stack, f->k) & ESTAB_EV_IN))
        return f->listening ? EAGAIN : EINVAL;
    fd = mirror_socket(flags);
    if (fd < 0)
        return errno;
    err = estab_errno(estab_accept(f->p->stack, f->k, &k, peer));
    if (err) {
        close(fd);
        return err;
    }
    *made = sock_install(f->p, k, fd, f->domain, f->type, flags);
    return *made ? 0 : ENOMEM;
}

static int accept_wait(struct file *f, int flags, struct estab_addr *peer, struct file **made)
{
    estab_time until = until_after(f, f->rcvtimeo);
    bool looked = false;
    int err;

    for (;;) {
        err = f->p ? accept_one(f, flags, peer, made) : ENETDOWN;
        if (err != EAGAIN || (looked && file_nonblock(f)))
            return err;
        if (file_nonblock(f)) {
            looked = true;
            shard_run(f->shard, true);
            continue;
        }
        err = wait_file(f, ESTAB_EV_IN, true, until);
        if (err)
            return err == ETIMEDOUT ? EAGAIN : err;
    }
}

int estab_posix_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    enum whose whose;
    struct file *f, *made = NULL;
    struct estab_addr peer;
    int err;

    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
        errno = EINVAL;
        return -1;
    }
    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_accept(f, fd, addr, len, flags);
    if (whose != OURS)
        return whose == THEIRS ? accept4(fd, addr, len, flags) : -1;
    err = accept_wait(f, flags, &peer, &made);
    if (!err && made) {
        opt_inherit(made, f);
        made->connected = true;
        addr_to(f, &peer, addr, len);
        if (f->watches && estab_ready(f->p->stack, f->k) & ESTAB_EV_IN)
            file_happened(f, ESTAB_EV_IN); /* one event may have been several connections */
    }
    fd = made ? made->fd : -1;
    fd = (int)call_end(f, fd, err);
    return fd < 0 ? -1 : publish(made, fd);
}

int estab_posix_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return estab_posix_accept4(fd, addr, len, 0);
}

/* ---- connect ---- */

/* What became of the attempt; told once, then the socket may try again. */
static int connected(struct file *f)
{
    uint64_t e = 0;
    int err = 0;

    f->connecting = false;
    (void)estab_getopt(f->p->stack, f->k, ESTAB_O_ERROR, &e);
    if (e)
        err = estab_errno(-(int)e);
    else if (f->told)
        err = f->told;
    else if (sock_state(f) == ESTAB_CLOSED)
        err = ECONNABORTED; /* its error was read with SO_ERROR */
    f->told = 0;
    f->connected = !err;
    if (err)
        (void)sock_renew(f);
    return err;
}

static int begin_connect(struct file *f, const struct sockaddr *addr, socklen_t len)
{
    struct estab_addr a;
    int err;

    if (f->connecting)
        return sock_opening(f) && file_nonblock(f) ? EALREADY : 0;
    if (f->listening || f->connected)
        return EISCONN;
    err = addr_from(f, addr, len, &a);
    if (err)
        return err;
    err = estab_connect(f->p->stack, f->k, &a);
    if (err == ESTAB_E_INUSE)
        return EADDRNOTAVAIL; /* as connect(2) says it: the tuple, or every port, is taken */
    if (err == ESTAB_E_UNREACH)
        return ENETUNREACH;
    if (err != ESTAB_E_INPROGRESS)
        return estab_errno(err);
    f->connecting = true;
    f->told = 0;
    return 0;
}

static int connect_stream(struct file *f, const struct sockaddr *addr, socklen_t len)
{
    estab_time until = until_after(f, f->sndtimeo);
    bool fresh = !f->connecting;
    int err = begin_connect(f, addr, len);

    if (err)
        return err;
    if (fresh && file_nonblock(f) && !f->fast_open)
        return EINPROGRESS; /* however quick the peer was */
    while (f->p && sock_opening(f)) {
        if (f->fast_open && estab_ready(f->p->stack, f->k) & ESTAB_EV_OUT)
            break; /* a cookie is there: the SYN waits for what is sent */
        if (file_nonblock(f))
            return EINPROGRESS;
        err = wait_file(f, ESTAB_EV_OUT, false, until);
        if (err)
            return err == ETIMEDOUT ? EINPROGRESS : err;
    }
    return f->p ? connected(f) : ENETDOWN;
}

/* What was alive is reset, and that is told to the socket's own user too. */
static int disconnect(struct file *f)
{
    enum estab_tcp_state st = sock_state(f);
    uint64_t e = 0;

    (void)estab_getopt(f->p->stack, f->k, ESTAB_O_ERROR, &e);
    f->told = e ? estab_errno(-(int)e) : f->told;
    if (st != ESTAB_CLOSED && st != ESTAB_LISTEN && st != ESTAB_CLOSING && st != ESTAB_LAST_ACK &&
        st != ESTAB_TIME_WAIT)
        f->told = ECONNRESET;
    return sock_renew(f);
}

int estab_posix_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    enum whose whose;
    struct file *f;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_named(f, fd, true, addr, len);
    if (whose != OURS)
        return whose == THEIRS ? connect(fd, addr, len) : -1;
    if (!addr && len > 0)
        err = EFAULT;
    else if (!addr || len < sizeof(sa_family_t))
        err = EINVAL;
    else if (f->type == SOCK_DGRAM)
        err = datagram_connect(f, addr, len);
    else if (addr->sa_family == AF_UNSPEC)
        err = disconnect(f);
    else
        err = connect_stream(f, addr, len);
    return (int)call_end(f, 0, err);
}

int sock_fast_open(struct file *f, const struct sockaddr *addr, socklen_t len)
{
    int err;

    if (!addr)
        return EINVAL;
    if (f->connected || f->connecting)
        return f->connected ? EISCONN : EALREADY;
    err = estab_errno(estab_setopt(f->p->stack, f->k, ESTAB_O_FASTOPEN, 1));
    f->fast_open = true;
    err = err ? err : connect_stream(f, addr, len);
    return err == EINPROGRESS ? EAGAIN : err;
}

/* ---- names ---- */

int estab_posix_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct estab_addr a;
    enum whose whose;
    struct file *f;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_name(f, false, addr, len);
    if (whose != OURS)
        return whose == THEIRS ? getsockname(fd, addr, len) : -1;
    err = !addr || !len ? EFAULT : estab_errno(estab_getaddrs(f->p->stack, f->k, &a, NULL));
    if (!err)
        addr_to(f, &a, addr, len);
    return (int)call_end(f, 0, err);
}

int estab_posix_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    enum estab_tcp_state st;
    struct estab_addr a;
    enum whose whose;
    struct file *f;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_name(f, true, addr, len);
    if (whose != OURS)
        return whose == THEIRS ? getpeername(fd, addr, len) : -1;
    st = sock_state(f);
    err = estab_errno(estab_getaddrs(f->p->stack, f->k, NULL, &a));
    if (!err && f->type == SOCK_STREAM &&
        (st == ESTAB_CLOSED || st == ESTAB_SYN_SENT || st == ESTAB_TIME_WAIT || f->listening))
        err = ENOTCONN;
    if (!err && (!addr || !len))
        err = EFAULT;
    if (!err)
        addr_to(f, &a, addr, len);
    return (int)call_end(f, 0, err);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* datagram.c - reading, writing and connecting where every call is one datagram. */
#include "posix_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static int take_one(struct file *f, const struct estab_iov *iov, size_t niov, int flags,
                    struct estab_recv_info *info, ptrdiff_t *n)
{
    bool nonblock = file_nonblock(f) || (flags & MSG_DONTWAIT), looked = false;
    estab_time until = until_after(f, f->rcvtimeo);
    int err;

    for (;;) {
        if (!f->p)
            return ENETDOWN;
        info->size = sizeof *info;
        *n = estab_recvfrom(f->p->stack, f->k, iov, niov, flags & MSG_PEEK ? ESTAB_MSG_PEEK : 0,
                            info);
        if (*n != ESTAB_E_AGAIN)
            return *n < 0 ? estab_errno((int)*n) : 0;
        if (nonblock && looked)
            return EAGAIN;
        if (nonblock) {
            looked = true;
            shard_run(f->shard, true);
            continue;
        }
        if (f->rd_shut) {
            *n = 0;
            return 0;
        }
        err = wait_file(f, ESTAB_EV_IN | ESTAB_EV_RDHUP, false, until);
        if (err)
            return err == ETIMEDOUT ? EAGAIN : err;
    }
}

ssize_t datagram_read(struct file *f, const struct iovec *iov, size_t niov, int flags,
                      struct from *from)
{
    struct estab_iov piece[PIECES];
    struct estab_recv_info info = {0};
    ptrdiff_t n = 0;
    int err = f->told;

    f->told = 0;
    if (!err && flags & MSG_ERRQUEUE)
        err = EAGAIN;
    if (!err)
        err = take_one(f, piece, estab_iov_from(iov, niov, 0, piece, PIECES), flags, &info, &n);
    if (err)
        return call_end(f, -1, err);
    addr_to(f, &info.from, from->addr, from->len);
    from->flags = info.truncated ? MSG_TRUNC : 0;
    if (info.from.port || info.len) /* there is one */
        control_put(f, &info, from);
    return call_end(f, flags & MSG_TRUNC ? (ssize_t)info.len : n, 0);
}

/* An IPv6 socket takes an IPv4 address too, here alone. */
static int destination(const struct file *f, const struct sockaddr *sa, socklen_t len,
                       struct estab_addr *to)
{
    struct file v4 = {.domain = AF_INET};
    int err;

    if (f->domain == AF_INET6 && len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET)
        err = addr_from(&v4, sa, len, to);
    else
        err = addr_from(f, sa, len, to);
    return err ? err : to->port == 0 ? EINVAL : 0;
}

static int give_one(struct file *f, const struct iovec *iov, size_t niov, int flags,
                    const struct estab_addr *to, const struct control *c, ptrdiff_t *n)
{
    bool nonblock = file_nonblock(f) || (flags & MSG_DONTWAIT);
    estab_time until = until_after(f, f->sndtimeo);
    struct estab_iov piece[PIECES];
    size_t k = estab_iov_from(iov, niov, 0, piece, PIECES);
    int err;

    for (;;) {
        if (!f->p)
            return ENETDOWN;
        if (f->wr_shut)
            return EPIPE;
        *n = control_send(f, piece, k, to, c);
        if (*n == ESTAB_E_NOTCONN)
            return EDESTADDRREQ;
        if (*n != ESTAB_E_AGAIN)
            return *n < 0 ? estab_errno((int)*n) : 0;
        if (nonblock)
            return EAGAIN;
        err = wait_file(f, ESTAB_EV_OUT, false, until);
        if (err)
            return err == ETIMEDOUT ? EAGAIN : err;
    }
}

int datagram_write(struct file *f, const struct iovec *iov, size_t niov, int flags,
                   const struct sockaddr *addr, socklen_t len, const struct control *c,
                   ptrdiff_t *n)
{
    struct estab_addr to;
    int err = f->told;

    f->told = 0;
    if (!err && flags & MSG_OOB && f->domain == AF_INET)
        err = EOPNOTSUPP;
    if (!err && niov > PIECES)
        err = EMSGSIZE;
    if (!err && addr)
        err = destination(f, addr, len, &to);
    return err ? err : give_one(f, iov, niov, flags, addr ? &to : NULL, c, n);
}

int datagram_connect(struct file *f, const struct sockaddr *addr, socklen_t len)
{
    struct estab_addr to = {0};
    int err = addr->sa_family == AF_UNSPEC ? 0 : destination(f, addr, len, &to);

    if (!err)
        err = estab_errno(estab_connect(f->p->stack, f->k, &to));
    if (!err)
        f->rd_shut = f->wr_shut = false;
    return err == EHOSTUNREACH ? ENETUNREACH : err;
}

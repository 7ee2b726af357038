/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_io.c - octets: every reading call is one, every writing call is one, with different
 * arguments. */
#include "plug.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IOV_PIECES = 64 }; /* more are served a stretch at a time */

static bool has_hole(const struct iovec *iov, size_t niov)
{
    for (size_t i = 0; i < niov; i++)
        if (!iov[i].iov_base && iov[i].iov_len > 0)
            return true;
    return false;
}

/* ---- reading ---- */

struct read_op {
    struct plug_op op;
    struct plug_file *f;
    const struct iovec *iov;
    size_t niov, wanted, got;
    int flags;
};

/* MSG_TRUNC on a stream: the octets are taken and thrown away. */
static ptrdiff_t discard(struct plug *p, struct read_op *r)
{
    uint8_t bin[4096];
    struct estab_iov iov = {bin, r->wanted - r->got};

    if (iov.len > sizeof bin)
        iov.len = sizeof bin;
    return estab_recv(p->stack, r->f->k, &iov, 1, 0);
}

static ptrdiff_t take(struct plug *p, struct read_op *r)
{
    struct estab_iov piece[IOV_PIECES];
    size_t n;

    if (r->flags & MSG_TRUNC)
        return discard(p, r);
    n = estab_iov_from(r->iov, r->niov, r->got, piece, IOV_PIECES);
    return estab_recv(p->stack, r->f->k, piece, n, r->flags & MSG_PEEK ? ESTAB_MSG_PEEK : 0);
}

static bool attempt_read(struct plug *p, struct plug_op *op)
{
    struct read_op *r = (struct read_op *)op;
    bool all = (r->flags & MSG_WAITALL) && !(r->flags & MSG_PEEK);
    int err = 0;
    ptrdiff_t n = 0;

    if (r->wanted == 0)
        return true;
    if (has_hole(r->iov, r->niov) && !(r->flags & MSG_TRUNC) &&
        (estab_ready(p->stack, r->f->k) & ESTAB_EV_IN)) {
        op->err = EFAULT;
        return true;
    }
    while (r->got < r->wanted) {
        n = take(p, r);
        if (n <= 0)
            break;
        r->got += (size_t)n;
        if (r->flags & MSG_PEEK)
            break;
    }
    op->ret = (ssize_t)r->got;
    if (n < 0 && n != ESTAB_E_AGAIN)
        err = estab_errno((int)n);
    if (r->got > 0) {
        r->f->told = err ? err : r->f->told; /* what came is handed over first */
        op->late_ret = op->ret;
        op->late_err = 0;
        return !all || r->got == r->wanted || n == 0 || err;
    }
    op->err = err;
    return n != ESTAB_E_AGAIN;
}

static ssize_t do_read(struct plug *p, int fd, const struct iovec *iov, size_t niov, int flags,
                       struct plug_file **file)
{
    struct read_op r = {0};
    int err = 0;

    r.f = plug_sock(p, fd, &err);
    if (file)
        *file = r.f;
    if (!r.f)
        return plug_leave(p, -1, err);
    if (flags & MSG_OOB) /* urgent data is delivered in line, RFC 6093: there is never any apart */
        return plug_leave(p, -1, EINVAL);
    if (flags & MSG_ERRQUEUE)
        return plug_leave(p, -1, EAGAIN);
    if (r.f->told) {
        err = r.f->told;
        r.f->told = 0;
        return plug_leave(p, -1, err);
    }
    plug_op_init(&r.op, attempt_read);
    r.iov = iov;
    r.niov = niov;
    r.wanted = estab_iov_total(iov, niov);
    r.flags = flags;
    if (r.f->rcvtimeo)
        r.op.until = p->world.now + r.f->rcvtimeo;
    return plug_wait(p, &r.op, r.f->nonblock || (flags & MSG_DONTWAIT), EAGAIN);
}

ssize_t plug_recvfrom(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                      socklen_t *len)
{
    struct plug *p = u;
    struct iovec iov = {buf, n};

    if (sa && len)
        *len = 0; /* a stream has one peer, and Linux does not name it */
    plug_enter(p);
    return do_read(p, fd, &iov, 1, flags, NULL);
}

ssize_t plug_recv(void *u, int fd, void *buf, size_t n, int flags)
{
    return plug_recvfrom(u, fd, buf, n, flags, NULL, NULL);
}

ssize_t plug_readv(void *u, int fd, const struct iovec *iov, int niov)
{
    struct plug *p = u;
    struct plug_file *f;

    plug_enter(p);
    if (niov < 0 || niov > IOV_MAX)
        return plug_leave(p, -1, EINVAL);
    f = plug_file(p, fd);
    if (f && f->kind == PLUG_PIPE) {
        ssize_t n = readv(fd, iov, niov);

        return plug_leave(p, n, n < 0 ? errno : 0);
    }
    if (!f)
        return plug_leave(p, -1, EBADF);
    if (f->kind != PLUG_SOCKET)
        return plug_leave(p, -1, EINVAL);
    return do_read(p, fd, iov, (size_t)niov, 0, NULL);
}

ssize_t plug_read(void *u, int fd, void *buf, size_t n)
{
    struct iovec iov = {buf, n};

    return plug_readv(u, fd, &iov, 1);
}

/* TCP_INQ: how much more there is to read, in a control message; 1 stands for the peer's FIN. */
static size_t put_inq(const struct plug *p, const struct plug_file *f, void *control, size_t room)
{
    struct estab_tcp_info i = {.size = sizeof i};
    int inq;
    union {
        struct cmsghdr h;
        char octets[CMSG_SPACE(sizeof(int))];
    } c = {.h = {.cmsg_len = CMSG_LEN(sizeof inq),
                 .cmsg_level = IPPROTO_TCP,
                 .cmsg_type = TCP_CM_INQ}};

    if (!control || room < sizeof c || estab_tcp_info(p->stack, f->k, &i) != 0)
        return 0;
    inq = (int)i.unread;
    if (inq == 0 && (estab_ready(p->stack, f->k) & ESTAB_EV_RDHUP))
        inq = 1;
    memcpy(CMSG_DATA(&c.h), &inq, sizeof inq);
    memcpy(control, &c, sizeof c);
    return sizeof c;
}

ssize_t plug_recvmsg(void *u, int fd, struct msghdr *msg, int flags)
{
    struct plug *p = u;
    void *control = msg->msg_control;
    size_t room = msg->msg_controllen;
    struct plug_file *f;
    ssize_t n;

    plug_enter(p);
    n = do_read(p, fd, msg->msg_iov, msg->msg_iovlen, flags, &f);
    if (n < 0)
        return n;
    msg->msg_namelen = 0;
    msg->msg_flags = 0;
    msg->msg_controllen =
        plug_opt_stored(f, IPPROTO_TCP, TCP_INQ) ? put_inq(p, f, control, room) : 0;
    return n;
}

/* ---- writing ---- */

struct write_op {
    struct plug_op op;
    struct plug_file *f;
    const struct iovec *iov;
    size_t niov, wanted, sent;
    uint32_t flags;
    bool nonblock, fast;
};

static int send_errno(const struct plug *p, ptrdiff_t err)
{
    if (err == ESTAB_E_NOTCONN && p->set.profile != PLUG_FREEBSD)
        return EPIPE; /* as Linux says it of a socket that never was connected */
    return estab_errno((int)err);
}

static bool attempt_write(struct plug *p, struct plug_op *op)
{
    struct write_op *w = (struct write_op *)op;
    struct estab_iov piece[IOV_PIECES];
    ptrdiff_t n = 0;

    if (w->fast &&
        w->sent == w->wanted) { /* with the SYN; a call that blocks says what became of it */
        w->f->connecting &= w->nonblock;
        return w->nonblock || plug_connected(p, w->f, &op->err);
    }
    if ((p->set.profile != PLUG_RFC || w->fast) && plug_opening(p, w->f) &&
        !plug_opening_early(p, w->f))
        return false; /* RFC 9293 section 3.10.2 queues it; no kernel does */
    if (has_hole(w->iov, w->niov)) {
        op->err = EFAULT;
        return true;
    }
    do {
        size_t k = estab_iov_from(w->iov, w->niov, w->sent, piece, IOV_PIECES);

        n = estab_send(p->stack, w->f->k, piece, k, w->flags);
        if (n > 0)
            w->sent += (size_t)n;
    } while (n > 0 && w->sent < w->wanted);
    op->ret = (ssize_t)w->sent;
    if (n < 0 && n != ESTAB_E_AGAIN) {
        if (w->sent == 0)
            op->err = send_errno(p, n);
        else
            w->f->told = send_errno(p, n);
        return true;
    }
    if (w->sent > 0) {
        op->late_ret = op->ret;
        op->late_err = 0;
    }
    if (w->fast && !w->nonblock && plug_opening(p, w->f))
        return false;
    return w->sent == w->wanted || (w->sent > 0 && w->nonblock);
}

static ssize_t do_write(struct plug *p, int fd, const struct iovec *iov, size_t niov, int flags,
                        const struct sockaddr *sa, socklen_t len)
{
    struct write_op w = {0};
    int err = 0;

    w.f = plug_sock(p, fd, &err);
    if (!w.f)
        return plug_leave(p, -1, err);
    w.fast = flags & MSG_FASTOPEN;
    if (w.fast)
        err = plug_connect_fast(p, w.f, sa, len);
    if (err)
        return plug_leave(p, -1, err);
    if (w.f->told) {
        err = w.f->told;
        w.f->told = 0;
        return plug_leave(p, -1, err);
    }
    plug_op_init(&w.op, attempt_write);
    w.iov = iov;
    w.niov = niov;
    w.wanted = estab_iov_total(iov, niov);
    w.flags = (flags & MSG_MORE ? ESTAB_MSG_MORE : 0) | (flags & MSG_OOB ? ESTAB_MSG_OOB : 0);
    w.nonblock = w.f->nonblock || (flags & MSG_DONTWAIT);
    if (w.f->sndtimeo)
        w.op.until = p->world.now + w.f->sndtimeo;
    return plug_wait(p, &w.op, w.nonblock, w.fast ? EINPROGRESS : EAGAIN);
}

ssize_t plug_sendmsg(void *u, int fd, const struct msghdr *msg, int flags)
{
    struct plug *p = u;

    plug_enter(p);
    return do_write(p, fd, msg->msg_iov, msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen);
}

ssize_t plug_sendto(void *u, int fd, const void *buf, size_t n, int flags,
                    const struct sockaddr *sa, socklen_t len)
{
    struct plug *p = u;
    struct iovec iov = {plug_unconst(buf), n};

    plug_enter(p);
    return do_write(p, fd, &iov, 1, flags, sa, len);
}

ssize_t plug_send(void *u, int fd, const void *buf, size_t n, int flags)
{
    return plug_sendto(u, fd, buf, n, flags, NULL, 0);
}

ssize_t plug_writev(void *u, int fd, const struct iovec *iov, int niov)
{
    struct plug *p = u;
    struct plug_file *f;

    plug_enter(p);
    if (niov < 0 || niov > IOV_MAX)
        return plug_leave(p, -1, EINVAL);
    f = plug_file(p, fd);
    if (f && f->kind == PLUG_PIPE) {
        ssize_t n = writev(fd, iov, niov);

        return plug_leave(p, n, n < 0 ? errno : 0);
    }
    if (!f)
        return plug_leave(p, -1, EBADF);
    if (f->kind != PLUG_SOCKET)
        return plug_leave(p, -1, EINVAL);
    return do_write(p, fd, iov, (size_t)niov, 0, NULL, 0);
}

ssize_t plug_write(void *u, int fd, const void *buf, size_t n)
{
    struct iovec iov = {plug_unconst(buf), n};

    return plug_writev(u, fd, &iov, 1);
}

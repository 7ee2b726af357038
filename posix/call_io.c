/* SPDX-License-Identifier: BSD-2-Clause */
/* call_io.c - octets: every reading call is one, every writing call is one, with different
 * arguments. */
#include "posix_int.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The first `most` octets of them. */
static size_t cut(struct estab_iov *piece, size_t n, uint64_t most)
{
    size_t k = 0;

    for (; k < n && most > 0; k++) {
        piece[k].len = piece[k].len < most ? piece[k].len : (size_t)most;
        most -= piece[k].len;
    }
    return k;
}

static int take_told(struct file *f)
{
    int err = f->told;

    f->told = 0;
    return err;
}

/* ---- reading ---- */

struct reading {
    struct file *f;
    const struct iovec *iov;
    size_t niov, wanted, got;
    int flags;
};

/* MSG_TRUNC on a stream: the octets are taken and thrown away. */
static ptrdiff_t discard(const struct reading *r)
{
    uint8_t bin[4096];
    struct estab_iov iov = {bin, r->wanted - r->got};

    if (iov.len > sizeof bin)
        iov.len = sizeof bin;
    return estab_recv(r->f->p->stack, r->f->k, &iov, 1, 0);
}

/* Nothing is wanted: 0 octets of something, or what a read would say of nothing. */
static ptrdiff_t probe(const struct reading *r)
{
    uint8_t octet;
    struct estab_iov iov = {&octet, 1};

    return estab_recv(r->f->p->stack, r->f->k, &iov, 1, ESTAB_MSG_PEEK);
}

/* A read ends before the urgent octet, so that SIOCATMARK can tell; another begins with it. */
static ptrdiff_t take(const struct reading *r)
{
    struct estab_iov piece[PIECES];
    uint64_t mark = 0;
    size_t n;

    (void)estab_getopt(r->f->p->stack, r->f->k, ESTAB_O_URGENT, &mark);
    if (mark == 1 && r->got > 0)
        return ESTAB_E_AGAIN;
    if (r->flags & MSG_TRUNC)
        return discard(r);
    if (r->wanted == 0)
        return probe(r);
    n = estab_iov_from(r->iov, r->niov, r->got, piece, PIECES);
    if (mark > 1)
        n = cut(piece, n, mark - 1);
    return estab_recv(r->f->p->stack, r->f->k, piece, n, r->flags & MSG_PEEK ? ESTAB_MSG_PEEK : 0);
}

/* Takes what is there: 0, EAGAIN for nothing more, -1 for the end of the stream, or an errno. */
static int read_some(struct reading *r)
{
    ptrdiff_t n;

    do {
        if (!r->f->p)
            return ENETDOWN;
        n = take(r);
        if (n <= 0)
            break;
        r->got += r->wanted ? (size_t)n : 0;
    } while (r->got < r->wanted && !(r->flags & MSG_PEEK));
    if (n < 0 && n != ESTAB_E_AGAIN && r->f->ended) {
        r->f->told = estab_errno((int)n); /* for a send */
        return -1;
    }
    r->f->ended |= n == 0;
    if (n == 0 || (r->f->rd_shut && (n == ESTAB_E_AGAIN || n == ESTAB_E_NOTCONN)) ||
        (r->f->connecting && n == ESTAB_E_NOTCONN))
        return -1;
    return n < 0 ? estab_errno((int)n) : 0;
}

static int read_stream(struct reading *r)
{
    bool nonblock = file_nonblock(r->f) || (r->flags & MSG_DONTWAIT), looked = false;
    bool all = (r->flags & MSG_WAITALL) && !(r->flags & MSG_PEEK);
    estab_time until = until_after(r->f, r->f->rcvtimeo);
    int err;

    for (;;) {
        err = read_some(r);
        if (err < 0 || (r->got == r->wanted && (r->wanted > 0 || !err)))
            return 0;
        if (err && err != EAGAIN) {
            if (r->got > 0)
                r->f->told = err; /* what came is handed over first */
            return r->got > 0 ? 0 : err;
        }
        if (r->got > 0 && !all)
            return 0;
        if (nonblock) {
            if (looked)
                return r->got > 0 ? 0 : EAGAIN;
            looked = true;
            shard_run(r->f->shard, true);
            continue;
        }
        err = wait_file(r->f, ESTAB_EV_IN | ESTAB_EV_RDHUP, false, until);
        if (err)
            return r->got > 0 ? 0 : err == ETIMEDOUT ? EAGAIN : err;
    }
}

static ssize_t do_read(struct file *f, const struct iovec *iov, size_t niov, int flags,
                       struct from *from)
{
    struct reading r = {.f = f, .iov = iov, .niov = niov, .flags = flags};
    int err = 0;

    if (f->type == SOCK_DGRAM)
        return datagram_read(f, iov, niov, flags, from);
    if (from->addr && from->len)
        *from->len = 0; /* a stream has one peer, and Linux does not name it */
    r.wanted = estab_iov_total(iov, niov);
    if (flags & MSG_ERRQUEUE)
        err = EAGAIN;
    else if (f->listening)
        err = ENOTCONN;
    else if (flags & MSG_OOB) /* urgent data is in line, RFC 6093: there is never any apart */
        err = EINVAL;
    else if (f->told && !f->ended)
        err = take_told(f);
    else
        err = read_stream(&r);
    return call_end(f, (ssize_t)r.got, err);
}

static ssize_t recv_elsewhere(struct file *f, int fd, const struct iovec *iov, int niov, int flags,
                              struct from *from)
{
    union {
        const struct iovec *in;
        struct iovec *out;
    } v = {iov};
    struct msghdr m = {.msg_iov = v.out, .msg_iovlen = niov < 0 ? IOV_MAX + 1 : (size_t)niov};
    ssize_t n;

    if (from->addr && from->len) {
        m.msg_name = from->addr;
        m.msg_namelen = *from->len;
    }
    n = remote_recv(f, fd, &m, flags);
    if (n >= 0 && from->addr && from->len)
        *from->len = m.msg_namelen;
    return n;
}

ssize_t estab_posix_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                             socklen_t *len)
{
    struct iovec iov = {buf, n};
    struct from from = {.addr = addr, .len = len};
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return recv_elsewhere(f, fd, &iov, 1, flags, &from);
    if (whose != OURS)
        return whose == THEIRS ? recvfrom(fd, buf, n, flags, addr, len) : -1;
    return do_read(f, &iov, 1, flags, &from);
}

ssize_t estab_posix_recv(int fd, void *buf, size_t n, int flags)
{
    return estab_posix_recvfrom(fd, buf, n, flags, NULL, NULL);
}

ssize_t estab_posix_readv(int fd, const struct iovec *iov, int niov)
{
    struct from from = {0};
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return recv_elsewhere(f, fd, iov, niov, 0, &from);
    if (whose != OURS)
        return whose == THEIRS ? readv(fd, iov, niov) : -1;
    if (niov < 0 || niov > IOV_MAX)
        return call_end(f, -1, EINVAL);
    return do_read(f, iov, (size_t)niov, 0, &from);
}

ssize_t estab_posix_read(int fd, void *buf, size_t n)
{
    struct from from = {0};
    struct iovec iov = {buf, n};
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return recv_elsewhere(f, fd, &iov, 1, 0, &from);
    if (whose != OURS)
        return whose == THEIRS ? read(fd, buf, n) : -1;
    if (n == 0) /* read(2): no results, and no errors that may come */
        return call_end(f, 0, 0);
    return do_read(f, &iov, 1, 0, &from);
}

ssize_t estab_posix_recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct from from = {.addr = msg->msg_name,
                        .len = &msg->msg_namelen,
                        .control = msg->msg_control,
                        .room = msg->msg_control ? msg->msg_controllen : 0};
    enum whose whose;
    struct file *f;
    ssize_t n;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_recv(f, fd, msg, flags);
    if (whose != OURS)
        return whose == THEIRS ? recvmsg(fd, msg, flags) : -1;
    if (msg->msg_iovlen > IOV_MAX)
        return call_end(f, -1, EMSGSIZE);
    n = do_read(f, msg->msg_iov, msg->msg_iovlen, flags, &from);
    if (n >= 0) {
        msg->msg_flags = from.flags;
        msg->msg_controllen = from.used;
    }
    return n;
}

/* ---- writing ---- */

struct writing {
    struct file *f;
    const struct iovec *iov;
    size_t niov, wanted, sent;
    uint32_t flags;
};

/* Gives what there is room for: 0, EAGAIN, or an errno. */
static int write_some(struct writing *w)
{
    struct estab_iov piece[PIECES];
    ptrdiff_t n;
    size_t k;

    do {
        if (!w->f->p)
            return ENETDOWN;
        /* RFC 9293 section 3.10.2 would queue it; no kernel does, but where the SYN waits for it.
         */
        if (sock_opening(w->f) && !(estab_ready(w->f->p->stack, w->f->k) & ESTAB_EV_OUT))
            return EAGAIN;
        k = estab_iov_from(w->iov, w->niov, w->sent, piece, PIECES);
        n = estab_send(w->f->p->stack, w->f->k, piece, k, w->flags);
        if (n > 0)
            w->sent += (size_t)n;
    } while (n > 0 && w->sent < w->wanted);
    if (n == ESTAB_E_NOTCONN)
        return EPIPE; /* as Linux says it of a socket that never was connected */
    return n < 0 ? estab_errno((int)n) : 0;
}

static int write_stream(struct writing *w, bool nonblock)
{
    estab_time until = until_after(w->f, w->f->sndtimeo);
    bool looked = false;
    int err;

    for (;;) {
        err = write_some(w);
        if (err && err != EAGAIN) {
            if (w->sent > 0)
                w->f->told = err;
            return w->sent > 0 ? 0 : err;
        }
        if (w->sent == w->wanted)
            return 0;
        if (nonblock) {
            if (looked || w->sent > 0)
                return w->sent > 0 ? 0 : EAGAIN;
            looked = true;
            shard_run(w->f->shard, true);
            continue;
        }
        err = wait_file(w->f, ESTAB_EV_OUT, false, until);
        if (err)
            return w->sent > 0 ? 0 : err == ETIMEDOUT ? EAGAIN : err;
    }
}

static ssize_t do_write(struct file *f, const struct iovec *iov, size_t niov, int flags,
                        const struct sockaddr *addr, socklen_t len, const struct control *c)
{
    struct writing w = {.f = f, .iov = iov, .niov = niov};
    ptrdiff_t n = 0;
    int err = 0;
    bool full;

    w.wanted = estab_iov_total(iov, niov);
    w.flags = (flags & MSG_MORE ? ESTAB_MSG_MORE : 0) | (flags & MSG_OOB ? ESTAB_MSG_OOB : 0);
    if (f->type == SOCK_DGRAM) {
        err = datagram_write(f, iov, niov, flags, addr, len, c, &n);
        w.sent = w.wanted = n < 0 ? 0 : (size_t)n;
    } else if (f->told) {
        err = take_told(f);
    } else {
        err = flags & MSG_FASTOPEN ? sock_fast_open(f, addr, len) : 0;
        err = err ? err : write_stream(&w, file_nonblock(f) || (flags & MSG_DONTWAIT));
    }
    full = !err && w.sent < w.wanted;
    if (full)
        mirror_settle(f, true);
    if (err == EPIPE && f->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL)) {
        call_end(f, -1, 0);
        (void)raise(SIGPIPE);
        errno = EPIPE;
        return -1;
    }
    return call_end(f, (ssize_t)w.sent, err);
}

static ssize_t send_elsewhere(struct file *f, int fd, const struct iovec *iov, int niov, int flags,
                              const struct sockaddr *addr, socklen_t len)
{
    union {
        const void *in;
        void *out;
    } v = {iov}, to = {addr};
    struct msghdr m = {.msg_iov = v.out, .msg_iovlen = niov < 0 ? IOV_MAX + 1 : (size_t)niov};

    m.msg_name = to.out;
    m.msg_namelen = addr ? len : 0;
    return remote_send(f, fd, &m, flags);
}

ssize_t estab_posix_sendto(int fd, const void *buf, size_t n, int flags,
                           const struct sockaddr *addr, socklen_t len)
{
    union {
        const void *in;
        void *out;
    } b = {buf};
    struct iovec iov = {b.out, n};
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return send_elsewhere(f, fd, &iov, 1, flags, addr, len);
    if (whose != OURS)
        return whose == THEIRS ? sendto(fd, buf, n, flags, addr, len) : -1;
    return do_write(f, &iov, 1, flags, addr, len, NULL);
}

ssize_t estab_posix_send(int fd, const void *buf, size_t n, int flags)
{
    return estab_posix_sendto(fd, buf, n, flags, NULL, 0);
}

ssize_t estab_posix_writev(int fd, const struct iovec *iov, int niov)
{
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return send_elsewhere(f, fd, iov, niov, 0, NULL, 0);
    if (whose != OURS)
        return whose == THEIRS ? writev(fd, iov, niov) : -1;
    if (niov < 0 || niov > IOV_MAX)
        return call_end(f, -1, EINVAL);
    return do_write(f, iov, (size_t)niov, 0, NULL, 0, NULL);
}

ssize_t estab_posix_write(int fd, const void *buf, size_t n)
{
    union {
        const void *in;
        void *out;
    } b = {buf};
    struct iovec iov = {b.out, n};
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return send_elsewhere(f, fd, &iov, 1, 0, NULL, 0);
    if (whose != OURS)
        return whose == THEIRS ? write(fd, buf, n) : -1;
    return do_write(f, &iov, 1, 0, NULL, 0, NULL);
}

ssize_t estab_posix_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    enum whose whose;
    struct control c;
    struct file *f;
    int err;

    whose = call_begin(fd, &f);
    if (whose == ELSEWHERE)
        return remote_send(f, fd, msg, flags);
    if (whose != OURS)
        return whose == THEIRS ? sendmsg(fd, msg, flags) : -1;
    if (msg->msg_iovlen > IOV_MAX)
        return call_end(f, -1, EMSGSIZE);
    err = f->type == SOCK_DGRAM ? control_get(f, msg, &c) : 0;
    if (err)
        return call_end(f, -1, err);
    return do_write(f, msg->msg_iov, msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen, &c);
}

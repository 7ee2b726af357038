/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_file.c - descriptors.
 *
 * A socket of ours is an eventfd of the kernel's, an epoll set too, a pipe is a pipe: numbers are
 * unique in the process, and whoever closes one behind our back closes something that is there. */
#include "plug.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIPE_PIECE = 65536 };

struct plug_file *plug_file(const struct plug *p, int fd)
{
    struct plug_file *f = p->files;

    while (f && f->fd != fd)
        f = f->next;
    return f;
}

static struct plug_file *file_over(struct plug *p, enum plug_kind kind, int fd)
{
    struct plug_file *f;

    if (fd < 0)
        return NULL;
    f = calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    f->fd = fd;
    f->kind = kind;
    f->next = p->files;
    p->files = f;
    p->state_changed = true;
    return f;
}

struct plug_file *plug_file_new(struct plug *p, enum plug_kind kind)
{
    return file_over(p, kind, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void plug_file_free(struct plug *p, struct plug_file *f)
{
    struct plug_file **at = &p->files;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    p->state_changed = true;
    close(f->fd);
    if (p->ops) {
        f->next = p->closed;
        p->closed = f;
        return;
    }
    free(f->interests);
    free(f);
}

struct plug_file *plug_sock(const struct plug *p, int fd, int *err)
{
    struct plug_file *f = plug_file(p, fd);

    if (f && f->kind == PLUG_SOCKET)
        return f;
    *err = f || fcntl(fd, F_GETFD) != -1 ? ENOTSOCK : EBADF;
    return NULL;
}

int plug_close(void *u, int fd)
{
    struct plug *p = u;
    struct plug_file *f;
    int err = 0;

    plug_enter(p);
    f = plug_file(p, fd);
    if (!f)
        return (int)plug_leave(p, -1, EBADF);
    if (f->kind == PLUG_SOCKET && f->linger_on && f->linger_s != 0 && !f->nonblock) {
        plug_linger(p, f);
        plug_enter(p);
    }
    if (f->kind == PLUG_SOCKET)
        err = plug_sock_close(p, f);
    plug_epoll_forget(p, fd);
    plug_file_free(p, f);
    return (int)plug_leave(p, 0, err);
}

int plug_fcntl(void *u, int fd, int cmd, ...)
{
    struct plug *p = u;
    struct plug_file *f;
    va_list ap;
    int arg, ret;

    va_start(ap, cmd);
    arg = va_arg(ap, int); /* without a third argument it is not looked at */
    va_end(ap);
    plug_enter(p);
    f = plug_file(p, fd);
    if (!f)
        return (int)plug_leave(p, -1, EBADF);
    switch (cmd) {
    case F_GETFL:
        return (int)plug_leave(p, O_RDWR | (f->nonblock ? O_NONBLOCK : 0), 0);
    case F_SETFL:
        f->nonblock = (arg & O_NONBLOCK) != 0;
        return (int)plug_leave(p, 0, 0);
    case F_GETFD:
    case F_SETFD:
        ret = fcntl(fd, cmd, arg);
        return (int)plug_leave(p, ret, ret < 0 ? errno : 0);
    default:
        return (int)plug_leave(p, -1, EINVAL);
    }
}

/* ---- ioctl ---- */

/* Linux counts the FIN: among what is unsent or in flight it has an octet's number. */
static int sock_ioctl(const struct plug *p, struct plug_file *f, unsigned long request, int *val)
{
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t urgent = 0;

    if (estab_tcp_info(p->stack, f->k, &i) != 0)
        return EBADF;
    switch (request) {
    case FIONBIO:
        f->nonblock = *val != 0;
        return 0;
    case SIOCATMARK: /* the octet that the urgent pointer is about is the next (RFC 6093) */
        (void)estab_getopt(p->stack, f->k, ESTAB_O_URGENT, &urgent);
        *val = urgent == 1;
        return 0;
    case SIOCINQ:
        if (i.state == ESTAB_LISTEN)
            return EINVAL;
        *val = (int)i.unread;
        return 0;
    case SIOCOUTQ:
    case SIOCOUTQNSD:
        if (i.state == ESTAB_LISTEN)
            return EINVAL;
        *val = (int)(i.unsent + (request == SIOCOUTQ ? i.flight : 0));
        return 0;
    default:
        return ENOTTY;
    }
}

int plug_ioctl(void *u, int fd, unsigned long request, ...)
{
    struct plug *p = u;
    struct plug_file *f;
    va_list ap;
    int *val, err;

    va_start(ap, request);
    val = va_arg(ap, int *);
    va_end(ap);
    plug_enter(p);
    f = plug_sock(p, fd, &err);
    if (!f)
        return (int)plug_leave(p, -1, err);
    return (int)plug_leave(p, 0, val ? sock_ioctl(p, f, request, val) : EFAULT);
}

/* ---- pipes: the kernel's, so that splice has something to join ---- */

int plug_pipe(void *u, int fds[2])
{
    struct plug *p = u;
    struct plug_file *in, *out;
    int two[2];

    plug_enter(p);
    if (pipe2(two, O_CLOEXEC | O_NONBLOCK) != 0)
        return (int)plug_leave(p, -1, errno);
    in = file_over(p, PLUG_PIPE, two[0]);
    out = file_over(p, PLUG_PIPE, two[1]);
    if (!in || !out) {
        if (in)
            plug_file_free(p, in);
        else if (out)
            plug_file_free(p, out);
        return (int)plug_leave(p, -1, ENOMEM);
    }
    memcpy(fds, two, sizeof two);
    return (int)plug_leave(p, 0, 0);
}

struct splice_op {
    struct plug_op op;
    struct plug_file *sock;
    int pipe;
    size_t len;
    uint8_t *buf;
};

static bool splice_from_sock(struct plug *p, struct plug_op *op)
{
    struct splice_op *s = (struct splice_op *)op;
    struct estab_iov iov = {s->buf, s->len};
    int used = 0;
    ptrdiff_t n;

    if (ioctl(s->pipe, FIONREAD, &used) == 0 && iov.len > (size_t)(PIPE_PIECE - used))
        iov.len = (size_t)(PIPE_PIECE - used);
    if (iov.len == 0)
        return false;
    n = estab_recv(p->stack, s->sock->k, &iov, 1, 0);
    if (n == ESTAB_E_AGAIN)
        return false;
    if (n < 0) {
        op->err = estab_errno((int)n);
        return true;
    }
    op->ret = n > 0 ? write(s->pipe, s->buf, (size_t)n) : 0;
    return true;
}

static bool splice_to_sock(struct plug *p, struct plug_op *op)
{
    struct splice_op *s = (struct splice_op *)op;
    struct estab_iov iov = {s->buf, s->len};
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t room = 0;
    ssize_t got;
    ptrdiff_t n;

    if (estab_tcp_info(p->stack, s->sock->k, &i) == 0 &&
        estab_getopt(p->stack, s->sock->k, ESTAB_O_SNDBUF, &room) == 0)
        room = room > i.flight + i.unsent ? room - i.flight - i.unsent : 0;
    if (iov.len > room)
        iov.len = room;
    if (iov.len == 0)
        return false;
    got = read(s->pipe, s->buf, iov.len);
    if (got <= 0) {
        op->ret = 0;
        op->err = got < 0 ? errno : 0;
        return got == 0 || errno != EAGAIN;
    }
    iov.len = (size_t)got;
    n = estab_send(p->stack, s->sock->k, &iov, 1, 0);
    op->ret = n;
    op->err = n < 0 ? estab_errno((int)n) : 0;
    return true;
}

int plug_splice(void *u, int in, loff_t *in_off, int out, loff_t *out_off, size_t len,
                unsigned flags)
{
    struct plug *p = u;
    struct plug_file *from, *to;
    struct splice_op s = {0};
    uint8_t *buf;
    bool nonblock;
    ssize_t ret;

    plug_enter(p);
    from = plug_file(p, in);
    to = plug_file(p, out);
    if (!from || !to)
        return (int)plug_leave(p, -1, EBADF);
    if (in_off || out_off)
        return (int)plug_leave(p, -1, ESPIPE);
    if ((from->kind == PLUG_PIPE) == (to->kind == PLUG_PIPE) || from->kind == PLUG_EPOLL ||
        to->kind == PLUG_EPOLL)
        return (int)plug_leave(p, -1, EINVAL);
    if (len > PIPE_PIECE)
        len = PIPE_PIECE;
    buf = malloc(len ? len : 1);
    if (!buf)
        return (int)plug_leave(p, -1, ENOMEM);
    plug_op_init(&s.op, from->kind == PLUG_SOCKET ? splice_from_sock : splice_to_sock);
    s.sock = from->kind == PLUG_SOCKET ? from : to;
    s.pipe = from->kind == PLUG_SOCKET ? out : in;
    s.len = len;
    s.buf = buf;
    nonblock = (flags & SPLICE_F_NONBLOCK) || s.sock->nonblock;
    ret = plug_wait(p, &s.op, nonblock, EAGAIN);
    free(buf);
    return (int)ret;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_poll.c - readiness: poll, and epoll in its four kinds.
 *
 * The level is asked of the core when it is wanted.  Edges are the core's events: each arms the
 * descriptor in every set that has it, and what an armed one then reports is its level, as Linux
 * does it. */
#include "plug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t sock_level(const struct plug *p, const struct plug_file *f)
{
    uint32_t ev = estab_ready(p->stack, f->k), mask = 0;
    enum estab_tcp_state st = plug_state(p, f);

    if (f->told || (ev & ESTAB_EV_ERR))
        mask |= POLLERR;
    if (st == ESTAB_CLOSED)
        return mask | POLLHUP | POLLOUT | POLLWRNORM |
               (ev & ESTAB_EV_IN ? POLLIN | POLLRDNORM | POLLRDHUP : 0);
    if (ev & ESTAB_EV_IN)
        mask |= POLLIN | POLLRDNORM;
    if (f->rd_shut || (ev & ESTAB_EV_RDHUP))
        mask |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (ev & ESTAB_EV_OUT)
        mask |= POLLOUT | POLLWRNORM;
    if (ev & ESTAB_EV_URG)
        mask |= POLLPRI;
    /* Linux: hung up when both directions are shut, whoever did it. */
    if ((f->rd_shut || (ev & ESTAB_EV_RDHUP)) && (f->wr_shut || (ev & ESTAB_EV_HUP)))
        mask |= POLLHUP;
    return mask;
}

static uint32_t level(const struct plug *p, int fd)
{
    const struct plug_file *f = plug_file(p, fd);
    struct pollfd kernel = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM};

    if (!f)
        return POLLNVAL;
    if (f->kind == PLUG_SOCKET)
        return sock_level(p, f);
    if (f->kind == PLUG_EPOLL)
        return 0;
    return poll(&kernel, 1, 0) > 0 ? (uint32_t)kernel.revents : 0;
}

struct poll_op {
    struct plug_op op;
    struct pollfd *fds;
    nfds_t n;
};

static bool attempt_poll(struct plug *p, struct plug_op *op)
{
    struct poll_op *o = (struct poll_op *)op;

    op->ret = 0;
    for (nfds_t i = 0; i < o->n; i++) {
        struct pollfd *f = &o->fds[i];
        uint32_t wanted = (uint32_t)(uint16_t)f->events | POLLERR | POLLHUP | POLLNVAL;

        f->revents = f->fd < 0 ? 0 : (short)(level(p, f->fd) & wanted);
        op->ret += f->revents != 0;
    }
    return op->ret > 0;
}

static ssize_t wait_for_level(struct plug *p, struct plug_op *op, int timeout_ms)
{
    op->late_ret = 0;
    op->late_err = 0;
    if (timeout_ms >= 0)
        op->until = p->world.now + ESTAB_MS((unsigned)timeout_ms);
    return plug_wait(p, op, timeout_ms == 0, 0);
}

int plug_poll(void *u, struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct plug *p = u;
    struct poll_op o = {.fds = fds, .n = n};

    plug_enter(p);
    plug_op_init(&o.op, attempt_poll);
    return (int)wait_for_level(p, &o.op, timeout_ms);
}

/* ---- epoll ---- */

static struct plug_file *epoll_file(const struct plug *p, int fd, int *err)
{
    struct plug_file *f = plug_file(p, fd);

    if (f && f->kind == PLUG_EPOLL)
        return f;
    *err = f ? EINVAL : EBADF;
    return NULL;
}

static struct plug_interest *interest(struct plug_file *set, int fd)
{
    for (int i = 0; i < set->ninterests; i++)
        if (set->interests[i].fd == fd)
            return &set->interests[i];
    return NULL;
}

int plug_epoll_create(void *u, int size)
{
    struct plug *p = u;
    struct plug_file *f;

    plug_enter(p);
    if (size <= 0)
        return (int)plug_leave(p, -1, EINVAL);
    f = plug_file_new(p, PLUG_EPOLL);
    if (!f)
        return (int)plug_leave(p, -1, errno);
    f->interests = calloc(PLUG_EPOLL_MAX, sizeof *f->interests);
    if (!f->interests) {
        plug_file_free(p, f);
        return (int)plug_leave(p, -1, ENOMEM);
    }
    return (int)plug_leave(p, f->fd, 0);
}

void plug_epoll_happened(struct plug *p, int fd)
{
    for (struct plug_file *f = p->files; f; f = f->next) {
        struct plug_interest *i = f->kind == PLUG_EPOLL ? interest(f, fd) : NULL;

        if (i)
            i->armed = true;
    }
}

void plug_epoll_forget(struct plug *p, int fd)
{
    for (struct plug_file *f = p->files; f; f = f->next) {
        struct plug_interest *i = f->kind == PLUG_EPOLL ? interest(f, fd) : NULL;

        if (!i)
            continue;
        f->ninterests--;
        memmove(i, i + 1, (size_t)(f->interests + f->ninterests - i) * sizeof *i);
    }
}

static int change(struct plug *p, struct plug_file *set, int op, int fd, struct epoll_event *ev)
{
    struct plug_interest *i = interest(set, fd);

    if (!plug_file(p, fd))
        return EBADF;
    if (fd == set->fd)
        return EINVAL;
    if (op == EPOLL_CTL_ADD ? i != NULL : !i)
        return i ? EEXIST : ENOENT;
    if (op != EPOLL_CTL_DEL && !ev)
        return EFAULT;
    switch (op) {
    case EPOLL_CTL_ADD:
        if (set->ninterests == PLUG_EPOLL_MAX)
            return ENOSPC;
        set->interests[set->ninterests++] =
            (struct plug_interest){.fd = fd, .event = *ev, .armed = true};
        return 0;
    case EPOLL_CTL_MOD:
        if ((i->event.events | ev->events) & EPOLLEXCLUSIVE)
            return EINVAL;
        *i = (struct plug_interest){.fd = fd, .event = *ev, .armed = true};
        return 0;
    case EPOLL_CTL_DEL:
        set->ninterests--;
        memmove(i, i + 1, (size_t)(set->interests + set->ninterests - i) * sizeof *i);
        return 0;
    default:
        return EINVAL;
    }
}

int plug_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *ev)
{
    struct plug *p = u;
    struct plug_file *set;
    int err = 0;

    plug_enter(p);
    set = epoll_file(p, epfd, &err);
    if (set)
        err = change(p, set, op, fd, ev);
    return (int)plug_leave(p, 0, err);
}

struct epoll_op {
    struct plug_op op;
    struct plug_file *set;
    struct epoll_event *out;
    int max;
};

static bool attempt_epoll(struct plug *p, struct plug_op *op)
{
    struct epoll_op *o = (struct epoll_op *)op;
    struct plug_file *set = o->set;

    op->ret = 0;
    for (int k = 0; k < set->ninterests && op->ret < o->max; k++) {
        struct plug_interest *i = &set->interests[k];
        bool edge = (i->event.events & EPOLLET) != 0;
        uint32_t ready = level(p, i->fd) & (i->event.events | EPOLLERR | EPOLLHUP);

        if (i->off || (edge && !i->armed))
            continue;
        i->armed = false;
        if (!ready)
            continue;
        o->out[op->ret].events = ready;
        o->out[op->ret++].data = i->event.data;
        i->off = (i->event.events & EPOLLONESHOT) != 0;
    }
    return op->ret > 0;
}

int plug_epoll_wait(void *u, int epfd, struct epoll_event *out, int max, int timeout_ms)
{
    struct plug *p = u;
    struct epoll_op o = {.out = out, .max = max};
    int err = 0;

    plug_enter(p);
    o.set = epoll_file(p, epfd, &err);
    if (o.set && max <= 0)
        err = EINVAL;
    if (err)
        return (int)plug_leave(p, -1, err);
    plug_op_init(&o.op, attempt_epoll);
    return (int)wait_for_level(p, &o.op, timeout_ms);
}

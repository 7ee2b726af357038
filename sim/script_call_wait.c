/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call_wait.c - a script's calls about other descriptors than one socket: readiness of many,
 * pipes. */
#include "script_call.h"

#include <string.h>

static void prepare_poll(struct call_state *c)
{
    const struct expr *i, *f;

    if (c->arg[0]->kind != EXPR_ARRAY)
        arg_refuse(c, 0, "written [{fd=3, events=POLLIN, revents=0}]");
    for (i = c->arg[0]->items; i; i = i->next) {
        struct pollfd *p = &c->fds[c->niov];

        f = arg_field(i, "fd");
        if (!f || !arg_field(i, "events") || c->niov++ == VECTOR_MAX)
            arg_refuse(c, 0, "written [{fd=3, events=POLLIN, revents=0}]");
        p->fd = run_live_fd(c->r, (int)arg_evaluate(c, f));
        p->events = (short)arg_evaluate(c, arg_field(i, "events"));
        p->revents = -1;
    }
    c->n[0] = arg_number(c, 1);
    c->n[1] = arg_number(c, 2);
    if (c->n[0] < 0 || c->n[0] > c->niov)
        arg_refuse(c, 1, "more descriptors than there are");
}

static long long make_poll(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->poll(io->userdata, c->fds, (nfds_t)c->n[0], c->n[1]);
}

static void check_poll(struct call_state *c)
{
    int k = 0;

    for (const struct expr *i = c->arg[0]->items; i && k < c->n[0]; i = i->next, k++) {
        const struct expr *f = arg_field(i, "revents");
        long long wanted = arg_is_any(f) ? c->fds[k].revents : arg_evaluate(c, f);

        if (c->fds[k].revents != wanted)
            script_fail(c->r->s, c->e->line,
                        "poll(): revents\n  expected: 0x%llx\n  came:     0x%x\n",
                        (unsigned long long)wanted, (unsigned)c->fds[k].revents);
    }
}

static void prepare_epoll_create(struct call_state *c)
{
    c->n[0] = arg_number(c, 0);
}

static long long make_epoll_create(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->epoll_create(io->userdata, c->n[0]);
}

/* {events=EPOLLIN, fd=4}: the number beside the events comes back as it is. */
static struct epoll_event event_of(const struct call_state *c, const struct expr *e)
{
    static const char *const names[] = {"fd", "ptr", "u32", "u64"};
    struct epoll_event ev = {0};

    if (!arg_field(e, "events"))
        script_refuse(c->r->s, e->line, "%s(): an event is written {events=EPOLLIN, fd=4}",
                      c->type->name);
    ev.events =
        arg_is_any(arg_field(e, "events")) ? 0 : (uint32_t)arg_evaluate(c, arg_field(e, "events"));
    for (size_t i = 0; i < 4; i++)
        if (!arg_is_any(arg_field(e, names[i])))
            ev.data.u64 = (uint64_t)arg_evaluate(c, arg_field(e, names[i]));
    return ev;
}

static void prepare_epoll_ctl(struct call_state *c)
{
    arg_fd(c);
    c->n[0] = arg_number(c, 1);
    c->n[1] = run_live_fd(c->r, arg_number(c, 2));
    c->has_sa = c->nargs > 3 && !arg_is_null(c->arg[3]);
    if (c->has_sa)
        c->ev[0] = event_of(c, c->arg[3]);
}

static long long make_epoll_ctl(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->epoll_ctl(io->userdata, c->fd, c->n[0], c->n[1], c->has_sa ? &c->ev[0] : NULL);
}

static void prepare_epoll_wait(struct call_state *c)
{
    arg_fd(c);
    c->n[0] = arg_number(c, 2);
    c->n[1] = arg_number(c, 3);
    if (c->n[0] > VECTOR_MAX)
        arg_refuse(c, 2, "too many");
}

static long long make_epoll_wait(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->epoll_wait(io->userdata, c->fd, c->ev, c->n[0], c->n[1]);
}

static void check_epoll_wait(struct call_state *c)
{
    const struct expr *i = c->arg[1];

    if (i->kind == EXPR_ARRAY)
        i = i->items;
    for (int k = 0; k < c->ret && !arg_is_any(i); k++, i = i->next) {
        struct epoll_event wanted = event_of(c, i), came;

        memcpy(&came, &c->ev[k], sizeof came);
        if (!arg_is_any(arg_field(i, "events")) && came.events != wanted.events)
            script_fail(c->r->s, c->e->line,
                        "epoll_wait(): events\n  expected: 0x%x\n  came:     0x%x\n",
                        (unsigned)wanted.events, (unsigned)came.events);
        if (came.data.u64 != wanted.data.u64)
            call_wrong(c, "the event's data", (long long)came.data.u64, (long long)wanted.data.u64);
    }
}

static void prepare_pipe(struct call_state *c)
{
    if (c->arg[0]->kind != EXPR_ARRAY || !c->arg[0]->items || !c->arg[0]->items->next)
        arg_refuse(c, 0, "written [5, 6]");
}

static long long make_pipe(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->pipe(io->userdata, c->two);
}

static void check_pipe(struct call_state *c)
{
    const struct expr *i = c->arg[0]->items;

    if (c->ret != 0)
        return;
    run_add_pair(c->r, c->e->line, arg_evaluate(c, i), c->two[0]);
    run_add_pair(c->r, c->e->line, arg_evaluate(c, i->next), c->two[1]);
}

static void prepare_splice(struct call_state *c)
{
    arg_fd(c);
    if (!arg_is_null(c->arg[1]) || !arg_is_null(c->arg[3]))
        arg_refuse(c, 1, "only NULL: neither a socket nor a pipe has a place to begin at");
    c->n[0] = run_live_fd(c->r, arg_number(c, 2));
    c->len = arg_size(c, 4);
    c->n[1] = arg_number(c, 5);
}

static long long make_splice(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->splice(io->userdata, c->fd, NULL, c->n[0], NULL, c->len, (unsigned)c->n[1]);
}

const struct call call_wait[] = {
    {"poll", 3, 3, prepare_poll, make_poll, check_poll, CALL_PLAIN},
    {"epoll_create", 1, 1, prepare_epoll_create, make_epoll_create, NULL, CALL_GIVES_FD},
    {"epoll_ctl", 3, 4, prepare_epoll_ctl, make_epoll_ctl, NULL, CALL_PLAIN},
    {"epoll_wait", 4, 4, prepare_epoll_wait, make_epoll_wait, check_epoll_wait, CALL_PLAIN},
    {"pipe", 1, 1, prepare_pipe, make_pipe, check_pipe, CALL_PLAIN},
    {"splice", 6, 6, prepare_splice, make_splice, NULL, CALL_PLAIN},
    {0},
};

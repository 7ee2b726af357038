/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call.c - the system calls of a script.
 *
 * A call is prepared (its arguments become C's), made, and checked (its result, and what it wrote).
 * Only the second is done by another thread if the call may block; the main thread does not go on
 * until that thread is back or blocked, so that a run depends on no scheduler. */
#include "script_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct call *call_of(struct run *r, const struct script_event *e)
{
    static const struct call *const kinds[] = {call_sock, call_io, call_opt, call_wait};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (const struct call *k = kinds[i]; k->name; k++)
            if (strcmp(k->name, e->call.name) == 0)
                return k;
    script_refuse(r->s, e->line, "the system call %s() is not supported", e->call.name);
}

/* ---- result ---- */

static void result_text(long long ret, int err, char *buf, size_t cap)
{
    if (ret < 0 && err)
        snprintf(buf, cap, "-1 %s (%s)", errno_name(err), strerror(err));
    else
        snprintf(buf, cap, "%lld", ret);
}

static bool gives_fd(const struct call *type)
{
    return type->kind == CALL_GIVES_SOCKET || type->kind == CALL_GIVES_FD;
}

static void check_result(const struct call_state *c)
{
    const struct call_spec *s = &c->e->call;
    char said[96], came[96];
    long long wanted;
    int err = 0;

    if (arg_is_any(s->result))
        return;
    wanted = arg_evaluate(c, s->result);
    if (s->error && !errno_value(s->error, &err))
        script_refuse(c->r->s, c->e->line, "'%s' is no errno that is known", s->error);
    if (gives_fd(c->type) ? (c->ret < 0) == (wanted < 0) : c->ret == wanted)
        wanted = c->ret;
    if (c->ret != wanted || (c->ret < 0 && err && c->err != err)) {
        result_text(wanted, err, said, sizeof said);
        result_text(c->ret, c->err, came, sizeof came);
        script_fail(c->r->s, c->e->line, "%s(): wrong result\n  expected: %s\n  came:     %s\n",
                    c->type->name, said, came);
    }
}

static void check_call(struct call_state *c)
{
    struct run *r = c->r;
    struct fd_pair *pair;

    check_result(c);
    if (gives_fd(c->type) && c->ret >= 0) {
        long long script =
            arg_is_any(c->e->call.result) ? c->ret : arg_evaluate(c, c->e->call.result);

        run_add_pair(r, c->e->line, script, (int)c->ret);
        if (c->type->kind == CALL_GIVES_SOCKET)
            r->last_fd = (int)c->ret;
    }
    pair = c->type->kind == CALL_CONNECTS || c->opens ? run_pair(r, c->fd) : NULL;
    if (pair && (c->sa.ss_family == AF_UNSPEC ||
                 (c->ret < 0 && c->err != EINPROGRESS && c->err != EALREADY && c->err != EISCONN)))
        pair->connected = false;
    if (c->type->check && c->ret >= 0)
        c->type->check(c);
}

static long long run_clock(const struct run *r)
{
    struct timeval tv = {0};

    (void)r->io.gettimeofday(r->io.userdata, &tv, NULL);
    return (long long)tv.tv_sec * 1000000 + tv.tv_usec - r->start_usec;
}

long long run_now(struct run *r)
{
    return run_clock(r);
}

static void make_call(struct call_state *c)
{
    c->begun = run_clock(c->r);
    errno = 0;
    c->ret = c->type->make(c, &c->r->io);
    c->err = errno;
    c->ended = run_clock(c->r);
}

static void check_end(const struct call_state *c, long long from, long long to)
{
    if (!run_in_time(c->r, from, to, c->ended, c->begun))
        script_fail(c->r->s, c->e->line, "%s(): back %s\n  expected: %.6f\n  came:     %.6f\n",
                    c->type->name, c->ended < from ? "too early" : "too late", (double)from / 1e6,
                    (double)c->ended / 1e6);
}

/* ---- calls that block ---- */

static void *call_thread(void *arg)
{
    struct blocked_call *b = arg;

    make_call(b->state);
    plug_report(b->run->plug, &b->back);
    return NULL;
}

static void start_blocking(struct run *r, struct call_state *c)
{
    struct blocked_call *b = arena_get(&r->s->arena, sizeof *b);

    if (r->calls)
        script_refuse(r->s, c->e->line, "another call is still blocked (line %d)",
                      r->calls->event->line);
    b->run = r;
    b->event = c->e;
    b->state = c;
    if (pthread_create(&b->thread, NULL, call_thread, b) != 0)
        script_refuse(r->s, c->e->line, "no thread for a call that may block");
    r->calls = b;
    call_collect(r, false);
}

static void end_blocking(struct run *r)
{
    struct blocked_call *b = r->calls;

    r->calls = NULL;
    (void)pthread_join(b->thread, NULL);
    check_end(b->state, b->event->call.end_usec, b->event->call.end_usec);
    check_call(b->state);
}

void call_collect(struct run *r, bool all)
{
    if (!r->calls)
        return;
    if (plug_settled(r->plug, &r->calls->back))
        end_blocking(r);
    else if (all)
        script_fail(r->s, r->calls->event->line, "%s(): still blocked when the script ends\n",
                    r->calls->event->call.name);
}

/* After a failure: what blocks is let go, since its descriptor is closed under it. */
void call_abandon(struct run *r)
{
    if (!r->calls)
        return;
    plug_cancel(r->plug);
    (void)pthread_join(r->calls->thread, NULL);
    r->calls = NULL;
}

void call_close_all(struct run *r)
{
    for (int i = 0; i < r->nfds; i++)
        (void)r->io.close(r->io.userdata, r->fds[i].live);
    r->nfds = 0;
}

void call_run(struct run *r, struct script_event *e)
{
    struct call_state *c = arena_get(&r->s->arena, sizeof *c);

    c->r = r;
    c->e = e;
    c->type = call_of(r, e);
    for (struct expr *a = e->call.args; a; a = a->next) {
        if (c->nargs == ARGS_MAX)
            break;
        c->arg[c->nargs++] = a;
    }
    if (c->nargs < c->type->least || c->nargs > c->type->most)
        script_refuse(r->s, e->line, "%s() has %d arguments", c->type->name, c->type->most);
    c->type->prepare(c);
    r->ncalls++;
    if (e->call.blocks) {
        start_blocking(r, c);
        return;
    }
    make_call(c);
    check_call(c);
    if (e->time.kind != TIME_ANY)
        check_end(c, e->time.from, e->time.to);
}

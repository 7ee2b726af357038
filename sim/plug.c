/* SPDX-License-Identifier: BSD-2-Clause */
/* plug.c - a stack with sockets in virtual time: its life, its calls, and what happens between
 * them.
 *
 * Every call is plug_enter(), work, plug_leave(); plug_leave() runs the stack until nothing more
 * can happen without time passing: timers that are due, frames into the queue, blocked calls that
 * can go on. */
#include "plug.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 32u

static void on_trace(void *ctx, const struct estab_trace *t)
{
    struct plug *p = ctx;

    if (t->kind == ESTAB_TR_STATE)
        p->state_changed = true;
    if (p->trace)
        p->trace(p->trace_ctx, t);
}

/* The environment's context is the virtual world; traces have to come here. */
static struct plug *plug_of_world(void *world)
{
    return (struct plug *)((char *)world - offsetof(struct plug, world));
}

static void world_trace(void *world, const struct estab_trace *t)
{
    on_trace(plug_of_world(world), t);
}

struct plug *plug_new(const struct plug_set *set)
{
    struct plug *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->main = pthread_self();
    p->set = *set;
    p->out_end = &p->out;
    estab_virtual_env(&p->env, &p->world, set->seed);
    p->env.trace = world_trace;
    p->world.now = PLUG_EPOCH;
    return p;
}

static void free_files(struct plug_file *f)
{
    while (f) {
        struct plug_file *next = f->next;

        free(f->interests);
        free(f);
        f = next;
    }
}

void plug_free(struct plug *p)
{
    if (!p)
        return;
    free_files(p->files);
    free_files(p->closed);
    while (p->out) {
        struct plug_packet *k = p->out;

        p->out = k->next;
        free(k);
    }
    estab_stack_free(p->stack);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* ---- the stack and its addresses ---- */

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const uint8_t ip[16])
{
    return memcmp(ip, v4_prefix, 12) == 0;
}

int plug_stack(struct plug *p)
{
    static const uint8_t any[16], any4[16] = {[10] = 0xff, [11] = 0xff};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = p->set.mtu};

    if (p->stack)
        return 0;
    if (p->read_system)
        plug_set_read_proc(&p->set);
    if (p->read_system && p->state_dir)
        plug_set_read_file(&p->set, p->state_dir);
    if (estab_stack_new(&p->stack, &p->env, &p->set.config) != 0)
        return EINVAL;
    p->port = estab_port_add(p->stack, &caps);
    if (p->port < 0)
        return ENOMEM;
    (void)estab_route_add(p->stack, p->port, any, 0, NULL);
    (void)estab_route_add(p->stack, p->port, any4, 96, NULL);
    for (int i = p->set.fastopen_keys; i-- > 0;)
        estab_fastopen_key(p->stack, p->set.fastopen_key[i]);
    return 0;
}

void plug_own(struct plug *p, const uint8_t ip[16])
{
    static const uint8_t any[16], ones[4] = {255, 255, 255, 255};
    bool group = is_v4(ip) ? ip[12] >= 224 || memcmp(ip + 12, ones, 4) == 0 : ip[0] == 0xff;
    bool none = is_v4(ip) ? memcmp(ip + 12, any, 4) == 0 : memcmp(ip, any, 16) == 0;

    if (!group && !none && plug_stack(p) == 0)
        (void)estab_addr_add(p->stack, p->port, ip, 128); /* twice is no harm */
}

/* ---- what happens without time passing ---- */

static void take_frames(struct plug *p)
{
    struct estab_frame f[BATCH];
    int n;

    while ((n = estab_output(p->stack, p->port, f, BATCH)) > 0) {
        for (int i = 0; i < n; i++) {
            size_t len = estab_frame_len(&f[i]);
            struct plug_packet *k = malloc(sizeof *k + len);

            if (!k)
                continue; /* a link may lose */
            k->next = NULL;
            k->at = p->world.now;
            k->len = len;
            estab_frame_copy(k->octets, &f[i]);
            *p->out_end = k;
            p->out_end = &k->next;
        }
    }
}

static void take_events(struct plug *p)
{
    struct estab_event ev[BATCH];
    size_t n;

    while ((n = estab_events(p->stack, ev, BATCH)) > 0)
        for (size_t i = 0; i < n; i++)
            plug_epoll_happened(p, ((struct plug_file *)ev[i].user)->fd);
}

/* Blocked calls that can go on, in the order in which they were made. */
static bool wake_ops(struct plug *p)
{
    struct plug_op **at = &p->ops, *op;
    bool any = false;

    while ((op = *at) != NULL) {
        bool late = op->until <= p->world.now;

        if (!op->attempt(p, op)) {
            if (!late) {
                at = &op->next;
                continue;
            }
            op->ret = op->late_ret;
            op->err = op->late_err;
        }
        *at = op->next;
        op->done = true;
        op->done_at = p->world.now;
        p->blocked -= op->other;
        pthread_cond_signal(&op->wake);
        any = true;
    }
    return any;
}

void plug_run(struct plug *p)
{
    const int too_often = 100000; /* a deadline that does not move is a bug of the stack */
    int i = 0;

    if (!p->stack) { /* there is no socket yet; a call may wait for its time */
        while (wake_ops(p))
            ;
        return;
    }
    do {
        while (estab_deadline(p->stack) <= p->world.now && i++ < too_often)
            (void)estab_expire(p->stack);
        take_frames(p);
        take_events(p);
        assert(i < too_often);
    } while (wake_ops(p));
    take_frames(p);
}

estab_time plug_next(const struct plug *p)
{
    estab_time at = p->stack ? estab_deadline(p->stack) : ESTAB_NEVER;

    for (const struct plug_op *op = p->ops; op; op = op->next)
        if (op->until < at)
            at = op->until;
    return at;
}

void plug_advance(struct plug *p, estab_time to)
{
    estab_time at;

    while ((at = plug_next(p)) <= to) {
        if (at > p->world.now)
            p->world.now = at;
        plug_run(p);
    }
    if (to != ESTAB_NEVER && to > p->world.now)
        p->world.now = to;
}

/* ---- calls ---- */

void plug_enter(struct plug *p)
{
    pthread_mutex_lock(&p->lock);
    if (!pthread_equal(p->main, pthread_self()))
        p->ended = false;
}

/* Another thread's clock shows, until its next call, when this one was done. */
static ssize_t leave(struct plug *p, ssize_t ret, int err, estab_time at)
{
    plug_run(p);
    if (!pthread_equal(p->main, pthread_self())) {
        p->ended = true;
        p->ended_at = at;
    }
    if (p->state_dir && p->state_changed)
        plug_state_write(p);
    pthread_mutex_unlock(&p->lock);
    if (err)
        errno = err;
    return err ? -1 : ret;
}

ssize_t plug_leave(struct plug *p, ssize_t ret, int err)
{
    return leave(p, ret, err, p->world.now);
}

void plug_op_init(struct plug_op *op, bool (*attempt)(struct plug *, struct plug_op *))
{
    *op = (struct plug_op){
        .attempt = attempt, .until = ESTAB_NEVER, .late_ret = -1, .late_err = EAGAIN};
    pthread_cond_init(&op->wake, NULL);
}

/* Nobody else would move time: this thread does, as far as anything is left to happen. */
static void wait_by_moving_time(struct plug *p, struct plug_op *op)
{
    plug_run(p);
    while (!op->done) {
        estab_time at = plug_next(p);

        if (at == ESTAB_NEVER) {
            for (struct plug_op **o = &p->ops; *o; o = &(*o)->next)
                if (*o == op) {
                    *o = op->next;
                    break;
                }
            op->ret = -1;
            op->err = EDEADLK;
            return;
        }
        plug_advance(p, at);
    }
}

static ssize_t finish(struct plug *p, struct plug_op *op)
{
    pthread_cond_destroy(&op->wake);
    return leave(p, op->ret, op->err, op->done_at);
}

ssize_t plug_wait(struct plug *p, struct plug_op *op, bool nonblock, int err)
{
    struct plug_op **end = &p->ops;

    op->done_at = p->world.now;
    if (op->attempt(p, op))
        return finish(p, op);
    if (nonblock) {
        op->ret = err ? -1 : 0;
        op->err = err;
        return finish(p, op);
    }
    while (*end)
        end = &(*end)->next;
    *end = op;
    op->other = !pthread_equal(p->main, pthread_self());
    if (!op->other) {
        wait_by_moving_time(p, op);
        return finish(p, op);
    }
    p->blocked++;
    plug_run(p);
    pthread_cond_broadcast(&p->idle);
    while (!op->done)
        pthread_cond_wait(&op->wake, &p->lock);
    return finish(p, op);
}

void plug_report(struct plug *p, bool *back)
{
    pthread_mutex_lock(&p->lock);
    *back = true;
    pthread_cond_broadcast(&p->idle);
    pthread_mutex_unlock(&p->lock);
}

bool plug_settled(struct plug *p, const bool *back)
{
    bool is;

    pthread_mutex_lock(&p->lock);
    while (!*back && !p->blocked)
        pthread_cond_wait(&p->idle, &p->lock);
    is = *back;
    pthread_mutex_unlock(&p->lock);
    return is;
}

void plug_cancel(struct plug *p)
{
    pthread_mutex_lock(&p->lock);
    for (struct plug_op *op = p->ops; op; op = op->next) {
        op->ret = -1;
        op->err = EINTR;
        op->done = true;
        op->done_at = p->world.now;
        p->blocked -= op->other;
        pthread_cond_signal(&op->wake);
    }
    p->ops = NULL;
    pthread_mutex_unlock(&p->lock);
}

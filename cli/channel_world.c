/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_world.c - two stacks and a link between them in virtual time. */
#include "channel_world.h"

#include <stdio.h>
#include <string.h>

enum { BATCH = 64, MTU = 1500, QUEUE = 65536 };

static estab_time world_now(void *ctx)
{
    return ((const struct channel_world *)ctx)->now;
}

static void count_segment(void *ctx, const struct estab_trace *t)
{
    struct channel_side *side = ctx; /* its first member is what env's ctx points to */

    side->segments += t->kind == ESTAB_TR_SEG_OUT;
}

static void set_time(struct channel_world *w, estab_time at)
{
    w->now = at;
    for (int i = 0; i < 2; i++)
        w->side[i].v.now = w->side[i].app.now = at;
}

static size_t memory_now(const struct channel_world *w)
{
    size_t sum = 0;

    for (int i = 0; i < 2; i++)
        sum += w->side[i].v.live + w->side[i].app.live;
    return sum;
}

static int open_stack(struct channel_side *side)
{
    int err = estab_stack_new(&side->s, &side->env, NULL), port;

    if (err)
        return err;
    port = estab_port_add(side->s, &side->link->caps);
    return port < 0 ? port : estab_addr_add(side->s, port, side->addr.ip, 120);
}

static int listen_at(struct channel_world *w)
{
    struct channel_side *side = &w->side[1];
    struct estab_addr at = side->addr;
    int err = estab_socket(side->s, ESTAB_TCP, &w->listener);

    at.port = 7;
    if (!err)
        err = estab_bind(side->s, w->listener, &at);
    return err ? err : estab_listen(side->s, w->listener, 4096);
}

static int open_side(struct channel_world *w, int i, const struct estab_fault *fault, uint64_t seed,
                     estab_link *end, char *err)
{
    struct channel_side *side = &w->side[i];
    struct estab_fault f = *fault;

    estab_virtual_env(&side->env, &side->v, seed * 4 + (uint64_t)i);
    estab_virtual_env(&side->app_env, &side->app, seed * 4 + 2 + (uint64_t)i);
    side->env.trace = count_segment;
    (void)estab_addr_parse(&side->addr, i ? "10.0.0.2" : "10.0.0.1", NULL);
    f.seed = seed + (uint64_t)i;
    f.now = world_now;
    f.ctx = w;
    if (estab_link_fault(&side->link, end, &f, err) != 0)
        return -1;
    if (open_stack(side) != 0) {
        snprintf(err, ESTAB_ERRLEN, "a stack cannot be made");
        return -1;
    }
    side->wires.s = side->s;
    estab_transport_stack(&side->t, &side->wires);
    return 0;
}

int channel_world_open(struct channel_world *w, const struct estab_fault *fault, uint64_t seed,
                       char *err)
{
    static const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = MTU};
    estab_link *end[2];

    memset(w, 0, sizeof *w);
    if (estab_link_pair(end, &caps, QUEUE) != 0) {
        snprintf(err, ESTAB_ERRLEN, "no memory for a link");
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (open_side(w, i, fault, seed, end[i], err) == 0)
            continue;
        if (i == 0)
            estab_link_close(end[1]);
        channel_world_close(w);
        return -1;
    }
    set_time(w, ESTAB_S(1));
    if (listen_at(w) != 0) {
        snprintf(err, ESTAB_ERRLEN, "the server cannot listen");
        channel_world_close(w);
        return -1;
    }
    w->memory_idle = memory_now(w);
    return 0;
}

void channel_world_close(struct channel_world *w)
{
    for (int i = 0; i < 2; i++)
        estab_stack_free(w->side[i].s);
    for (int i = 0; i < 2; i++)
        estab_link_close(w->side[i].link);
}

uint64_t channel_world_octets(const struct channel_world *w)
{
    return w->side[0].link->octets_out + w->side[1].link->octets_out;
}

static void measure(struct channel_world *w)
{
    size_t memory = memory_now(w) - w->memory_idle;

    if (memory > w->memory_most)
        w->memory_most = memory;
    for (int i = 0; i < 2; i++) {
        struct estab_stack_info info = {.size = sizeof info};

        estab_stack_info(w->side[i].s, &info);
        if (info.timewait > w->side[i].timewait_most)
            w->side[i].timewait_most = info.timewait;
    }
}

/* true: something has moved. */
static bool turn(struct channel_world *w)
{
    struct estab_frame f[BATCH];
    bool busy = false;
    int n;

    for (int i = 0; i < 2; i++) {
        struct channel_side *side = &w->side[i];

        if (estab_deadline(side->s) <= w->now)
            busy |= estab_expire(side->s) > 0;
        n = estab_link_recv(side->link, f, BATCH);
        if (n > 0)
            (void)estab_input(side->s, 0, f, (size_t)n);
        busy |= n > 0;
    }
    w->act(w);
    measure(w);
    for (int i = 0; i < 2; i++)
        while ((n = estab_output(w->side[i].s, 0, f, BATCH)) > 0) {
            (void)estab_link_send(w->side[i].link, f, (size_t)n);
            busy = true;
        }
    return busy || w->wake(w) <= w->now;
}

static estab_time next_event(struct channel_world *w)
{
    estab_time next = w->wake(w), at;

    for (int i = 0; i < 2; i++) {
        at = estab_deadline(w->side[i].s);
        next = at < next ? at : next;
        at = estab_link_deadline(w->side[i].link);
        next = at < next ? at : next;
    }
    return next;
}

int channel_world_run(struct channel_world *w)
{
    estab_time next;

    for (;;) {
        while (turn(w))
            if (w->done(w))
                return 0;
        if (w->done(w))
            return 0;
        next = next_event(w);
        if (next == ESTAB_NEVER)
            return -1;
        if (next > w->now)
            set_time(w, next);
    }
}

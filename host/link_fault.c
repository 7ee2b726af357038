/* SPDX-License-Identifier: BSD-2-Clause */
/* link_fault.c - impairment of what is sent through a link: a pipe in front of it (pipe.c). */
#include "link.h"

#include <stdlib.h>

struct fault {
    estab_link link;
    estab_link *under;
    estab_pipe *pipe;
    estab_time (*now)(void *ctx);
    void *ctx;
    uint64_t untaken; /* by the link below */
};

static void count_lost(struct fault *t, estab_time now)
{
    struct estab_pipe_info i = {.size = sizeof i};

    estab_pipe_info(t->pipe, now, &i);
    t->link.lost_out = i.full + i.aqm + i.lost + i.outage + t->untaken;
}

/* 0, or -1 when the link below is gone. */
static int send_due(struct fault *t, estab_time now)
{
    struct estab_frame f;
    int n = 0;

    while (n >= 0 && estab_pipe_pop(t->pipe, &f, now)) {
        n = estab_link_send(t->under, &f, 1);
        if (n > 0)
            link_count_out(&t->link, estab_frame_len(&f));
        else
            t->untaken++;
    }
    count_lost(t, now);
    return n < 0 ? link_gone(&t->link, t->under) : 0;
}

static int fault_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct fault *t = (struct fault *)l;
    int got;

    if (send_due(t, t->now(t->ctx)))
        return -1;
    got = estab_link_recv(t->under, f, n);
    if (got < 0)
        return link_gone(l, t->under);
    for (int i = 0; i < got; i++)
        link_count_in(l, estab_frame_len(&f[i]));
    return got;
}

/* Takes every frame: one that it loses is lost as on a wire, where the sender does not learn it. */
static int fault_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct fault *t = (struct fault *)l;
    estab_time now = t->now(t->ctx);

    for (size_t i = 0; i < n; i++)
        estab_pipe_push(t->pipe, &f[i], now);
    return send_due(t, now) ? -1 : (int)n;
}

static int fault_fd(const estab_link *l)
{
    return estab_link_fd(((const struct fault *)l)->under);
}

static estab_time fault_deadline(const estab_link *l)
{
    const struct fault *t = (const struct fault *)l;
    estab_time under = estab_link_deadline(t->under), own = estab_pipe_deadline(t->pipe);

    return own < under ? own : under;
}

static void fault_close(estab_link *l)
{
    struct fault *t = (struct fault *)l;

    estab_pipe_free(t->pipe);
    estab_link_close(t->under);
    free(t);
}

static const struct estab_link_ops fault_ops = {
    .name = "fault",
    .recv = fault_recv,
    .send = fault_send,
    .fd = fault_fd,
    .deadline = fault_deadline,
    .close = fault_close,
};

int estab_link_fault(estab_link **out, estab_link *under, const struct estab_fault *f, char *err)
{
    struct estab_env env;
    struct fault *t = calloc(1, sizeof *t);

    if (!t) {
        estab_link_close(under);
        return link_say(err, "fault: out of memory");
    }
    link_decorate(&t->link, &fault_ops, under);
    link_whole_frames(&t->link); /* a wire loses and damages one at a time */
    t->under = under;
    if (estab_pipe_new(&t->pipe, f, err)) {
        fault_close(&t->link);
        return -1;
    }
    t->now = f->now;
    t->ctx = f->ctx;
    if (!t->now) {
        estab_host_env(&env);
        t->now = env.now;
        t->ctx = env.ctx;
    }
    *out = &t->link;
    return 0;
}

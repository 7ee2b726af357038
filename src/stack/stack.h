/* SPDX-License-Identifier: BSD-2-Clause */
/* stack.h - one shard: the layers by value, and what every public call begins and ends with. */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "ip/ip.h"
#include "tcp/tcp.h"
#include "udp/udp.h"
#include <assert.h>

struct stack_run { /* a predicted segment, and what follows it in the same batch */
    struct tcb *t; /* NULL: none */
    bool more;     /* frames follow in the batch */
    const uint8_t *hdr;
    uint32_t tcp_at, text_at; /* where the TCP header and the text begin */
    uint64_t pseudo;          /* the pseudo header's sum, without the length */
    struct seg g;
    uint8_t flags; /* of the frame's offload */
    bool csum_ok, v4;
};

#define STACK_AHEAD 8 /* a power of two, and more than are looked at ahead of one's turn */
struct stack_ahead {  /* frames of a batch that were looked at before their turn */
    size_t next, end; /* the next to be looked at; where that ends: 0, nobody is */
    bool always;      /* tests: however few connections there are */
    struct tcp_ahead entry[STACK_AHEAD];
};

struct estab_stack {
    struct env env;
    struct rule_book rules;
    struct ip_layer ip;
    struct udp_layer udp;
    struct tcp_layer tcp;
    uint64_t frames_in, frames_out;
    struct stack_run run;
    struct stack_ahead ahead;
    void (*tap)(void *ctx, const struct estab_trace *t); /* estab_tap() */
    void *tap_ctx;
    bool udp_turn; /* whose was the odd frame, where TCP had something too */
    bool inside;   /* a public call runs: none may begin (from a trace hook, say) */
    struct gso_hdr hdrs[ESTAB_BATCH]; /* headers of the frames lent */
};

RARE void stack_reap(estab_stack *s); /* what was lent or has ended since */
/* Latches the clock; what was lent is no longer, so what died in estab_output() is freed. */
IN_PLACE void stack_enter(estab_stack *s)
{
    estab_time now = s->env.cb.now(s->env.cb.ctx);

    assert(!s->inside);
    s->inside = true;
    s->env.now = now > s->env.now ? now : s->env.now;
    s->env.raised = false;
    if (UNLIKELY(s->env.held))
        stack_reap(s);
}
IN_PLACE void stack_leave(estab_stack *s)
{
    if (UNLIKELY(s->env.held))
        stack_reap(s);
    if (UNLIKELY(s->env.ceiling))
        tcp_memory_settle(&s->tcp);
    s->inside = false;
}
void stack_recv(estab_stack *s, uint8_t port, const struct estab_frame *f);
/* g, which came in `in` and that in a plain frame, was predicted: a run may begin with it. */
void run_begin(struct stack_run *r, struct tcb *t, const struct ip_tcp *in, const struct seg *g);
/* The run's next segments: how many of the n frames, which have been dealt with.  r->t is not NULL.
 */
size_t run_take(struct stack_run *r, const struct estab_frame *f, size_t n);

/* ---- stack_ahead.c ---- */
APART void stack_ahead_begin(estab_stack *s, const struct estab_frame *f, size_t n);
APART void stack_ahead(estab_stack *s, const struct estab_frame *f, size_t i); /* before its turn */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_trace.c - what happened, as records for whoever watches.  Who calls tcp_trace_*() has asked
 * tcp_traced(): nothing is computed when nobody does. */
#include "tcp/tcp.h"

struct tcp_tuple tcb_tuple(const struct tcb *t)
{
    return (struct tcp_tuple){t->peer, t->path.local, t->lport, t->pport};
}

static void fill_tuple(struct tcp_layer *l, struct estab_trace *r, const struct tcp_tuple *k)
{
    r->at = l->env->now;
    if (k->local < TCP_ANY4)
        memcpy(r->local.ip, ip_local(l->ip, k->local), 16);
    memcpy(r->peer.ip, k->peer, 16);
    r->local.port = k->lport;
    r->peer.port = k->pport;
}

static void fill_seg(struct estab_trace *r, const struct seg *g)
{
    r->seq = g->seq.n;
    r->ack = g->ack.n;
    r->wnd = (uint16_t)g->wnd;
    r->flags = g->flags;
    r->len = g->text.len;
}

static void report(struct tcp_layer *l, const struct estab_trace *r)
{
    l->env->trace(l->env->trace_ctx, r);
}

void tcp_trace_state(struct tcp_layer *l, estab_sock sock, const struct tcp_tuple *k,
                     enum estab_tcp_state from, enum estab_tcp_state to, enum estab_cause by)
{
    struct estab_trace r = {
        .kind = ESTAB_TR_STATE, .sock = sock, .cause = by, .from = from, .to = to};

    fill_tuple(l, &r, k);
    report(l, &r);
}

void tcp_trace_in(struct tcp_layer *l, const struct tcp_tuple *k, estab_sock sock,
                  enum estab_tcp_state st, const struct seg *g, uint8_t wscale)
{
    struct estab_trace r = {.kind = ESTAB_TR_SEG_IN, .sock = sock, .from = st, .to = st};

    fill_tuple(l, &r, k);
    fill_seg(&r, g);
    r.wscale = g->flags & SEG_SYN ? 0 : wscale;
    report(l, &r);
}

void tcp_trace_out(struct tcp_layer *l, const struct seg_out *o)
{
    struct estab_trace r = {.kind = ESTAB_TR_SEG_OUT,
                            .sock = o->sock,
                            .from = (enum estab_tcp_state)o->state,
                            .to = (enum estab_tcp_state)o->state,
                            .rule = (uint16_t)o->rule};
    struct tcp_tuple k = {o->peer, o->path->local, o->g.sport, o->g.dport};

    fill_tuple(l, &r, &k);
    fill_seg(&r, &o->g);
    r.len = o->text_len;
    r.wscale = o->g.flags & SEG_SYN ? 0 : o->wscale;
    report(l, &r);
}

void tcp_drop_tuple(struct tcp_layer *l, const struct tcp_tuple *k, const struct seg *g,
                    enum estab_tcp_state st, enum rule rule)
{
    struct estab_trace r = {.kind = ESTAB_TR_DROP, .from = st, .to = st, .rule = (uint16_t)rule};

    rule_drop(l->rules, rule);
    if (!tcp_traced(l))
        return;
    fill_tuple(l, &r, k);
    fill_seg(&r, g);
    report(l, &r);
}

void tcp_drop(struct tcb *t, const struct seg *g, enum rule rule)
{
    enum estab_tcp_state st = (enum estab_tcp_state)t->state;
    struct estab_trace r = {.kind = ESTAB_TR_DROP, .from = st, .to = st, .rule = (uint16_t)rule};
    struct tcp_tuple k = tcb_tuple(t);

    rule_drop(t->layer->rules, rule);
    if (!tcp_traced(t->layer))
        return;
    fill_tuple(t->layer, &r, &k);
    fill_seg(&r, g);
    r.sock = tcb_handle(t);
    report(t->layer, &r);
}

void tcp_trace_timer(struct tcp_layer *l, const struct tcp_tuple *k, estab_sock sock,
                     enum estab_tcp_state st, enum estab_timer which)
{
    struct estab_trace r = {
        .kind = ESTAB_TR_TIMER, .sock = sock, .from = st, .to = st, .timer = which};

    fill_tuple(l, &r, k);
    report(l, &r);
}

void tcp_trace_cc(struct tcb *t, enum rule why)
{
    enum estab_tcp_state st = (enum estab_tcp_state)t->state;
    struct estab_trace r = {.kind = ESTAB_TR_CC, .from = st, .to = st, .rule = (uint16_t)why};
    struct tcp_tuple k = tcb_tuple(t);

    rule_count(t->layer->rules, why);
    if (!tcp_traced(t->layer))
        return;
    fill_tuple(t->layer, &r, &k);
    r.sock = tcb_handle(t);
    r.len = t->cc.cwnd;
    report(t->layer, &r);
}

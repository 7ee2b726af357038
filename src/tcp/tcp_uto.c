/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_uto.c - the user timeout (RFC 9293 section 3.10.1 and 3.10.8), and what the two ends tell
 * each other of theirs (RFC 5482).
 *
 * It counts from when what is in flight, or waits before a closed window, last made progress.  It
 * is the user's if the user has set it; else the peer's, between limits, if the user lets options
 * be exchanged; else the stack's.  A peer's option on a SYN to a listener is not kept (a half-open
 * entry has no room for it, and RFC 5482 section 3 has it repeated on the first segment without
 * SYN). */
#include "tcp/tcp.h"

#define MINUTES 0x8000u /* section 3.3: the granularity bit */
#define MOST    0x7fffu

uint16_t tcp_uto_field(estab_dur d)
{
    estab_dur s = d / ESTAB_S(1) + (d % ESTAB_S(1) != 0), min = s / 60 + (s % 60 != 0);

    if (s <= MOST)
        return (uint16_t)s;
    return (uint16_t)(MINUTES | (min < MOST ? min : MOST));
}

estab_dur tcp_uto_dur(uint16_t field)
{
    estab_dur n = field & MOST;

    return field & MINUTES ? n * ESTAB_S(60) : n * ESTAB_S(1);
}

estab_dur tcp_user_timeout(const struct tcb *t)
{
    uint32_t ms = tcp_extra(t)->user_timeout_ms;

    if (ms == UINT32_MAX)
        return 0;
    return ms ? ESTAB_MS(ms) : t->layer->set.user_timeout;
}

/* The stack's is for data only: a SYN has its own R2 [MUST-23]. */
estab_time tcp_user_deadline(const struct tcb *t)
{
    estab_dur d = t->syn_acked || tcp_extra(t)->user_timeout_ms ? tcp_user_timeout(t) : 0;

    if (d == 0 || t->w->stalled_at == ESTAB_NEVER)
        return ESTAB_NEVER;
    return time_add(t->w->stalled_at, d);
}

/* Timers that are armed already may be so for too late. */
static void change(struct tcb *t, struct tcp_extra *x, uint32_t ms)
{
    estab_time end;

    x->user_timeout_ms = ms;
    if (t->state == ESTAB_LISTEN || !t->w)
        return;
    end = tcp_user_deadline(t);
    if (t->w->due[TCP_T_REXMT] != ESTAB_NEVER)
        tcp_arm(t, TCP_T_REXMT, time_min(t->w->due[TCP_T_REXMT], end));
    if (t->w->due[TCP_T_PERSIST] != ESTAB_NEVER)
        tcp_arm(t, TCP_T_PERSIST, time_min(t->w->due[TCP_T_PERSIST], end));
}

int tcp_uto_set(struct tcb *t, uint32_t ms)
{
    struct tcp_extra *x = tcp_extra_need(t);

    if (!x)
        return ESTAB_E_NOMEM;
    t->timeout_set = ms != 0; /* section 3: CHANGEABLE becomes false */
    change(t, x, ms);
    return 0;
}

/* [RFC5482-3-2, RFC5482-3.1-1] */
int tcp_uto_advertise(struct tcb *t, uint16_t field)
{
    struct tcp_extra *x = tcp_extra_need(t);
    bool news;

    if (!x)
        return ESTAB_E_NOMEM;
    news = field != 0 && field != x->adv_uto;
    x->adv_uto = field;
    if (t->state == ESTAB_LISTEN)
        return 0;
    t->owed.uto = news && t->syn_acked && t->state != ESTAB_CLOSED && t->state != ESTAB_TIME_WAIT;
    if (!t->owed.uto)
        return 0;
    t->owed.ack_now = true; /* section 3: "in the next possible outgoing segment" */
    tcp_owe(t);
    return 0;
}

/* Section 3.1.  A value of 0 is reserved (section 3.4).
 * [RFC5482-3.1-2, RFC5482-3.1-3, RFC5482-3.1-4, RFC5482-3.2-1, RFC5482-3.4-1] */
void tcp_uto_arrives(struct tcb *t, const struct seg *g)
{
    const struct tcp_settings *set = &t->layer->set;
    struct tcp_extra *x;
    estab_dur d, told;

    if (tcp_extra(t)->adv_uto == 0 || (g->opt.uto & MOST) == 0)
        return;
    x = tcp_extra_need(t); /* it is there */
    told = tcp_uto_dur(x->adv_uto);
    x->peer_uto = g->opt.uto;
    if (t->timeout_set) {
        rule_count(t->layer->rules, RULE_USER_TIMEOUT_OURS);
        return;
    }
    d = tcp_uto_dur(x->peer_uto);
    if (d < told)
        d = told;
    if (d < set->uto_min)
        d = set->uto_min;
    if (d > set->uto_max)
        d = set->uto_max;
    rule_count(t->layer->rules, RULE_USER_TIMEOUT_TOLD);
    change(t, x, d / 1000000u < UINT32_MAX ? (uint32_t)(d / 1000000u) : UINT32_MAX);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_accecn.c - the AccECN options, RFC 9768 section 3.2.3: how many octets of text came marked.
 *
 * ACE (tcp_ecn.c) counts segments, modulo 8; where many ACKs are lost or thinned out it may have
 * gone round.  The options count octets, modulo 2^24, for each codepoint:
 *
 *      AccECN0   172 len EE0B ECEB EE1B        AccECN1   174 len EE1B ECEB EE0B
 *
 * either without fields at its end, so that what has never changed costs nothing.  They supplement
 * ACE and may be lost without harm: no memory for the counters, no room beside other options or the
 * text, or a path that removes them, and ACE is what there is.
 *
 * Which segments have one (section 3.2.3.3, the simple scheme): the SYN,ACK, the client's first ACK
 * and first new text, and whatever acknowledges after a counter has moved.  Text that goes again
 * has none (section 3.2.3.2.2), nor a run of segments, in which each would have to be the same. */
#include "tcp/tcp.h"

enum { E0B, CEB, E1B };                 /* struct tcp_acc.r */
enum { GREET_ACK = 1, GREET_TEXT = 2 }; /* struct tcp_acc.greet */
#define ACC_ALL (1u << E0B | 1u << CEB | 1u << E1B)

static struct tcp_acc *acc_of(const struct tcb *t)
{
    struct tcp_extra *x = t->has_extra ? tcp_extra_there(t) : NULL;

    return x && x->acc.state != TCP_ACC_NONE ? &x->acc : NULL;
}

/* Section 3.2.1. */
void tcp_acc_begin(struct tcb *t, bool client)
{
    struct tcp_extra *x = tcp_extra_need(t);

    if (x)
        x->acc = (struct tcp_acc){.r = {[E0B] = 1, [E1B] = 1},
                                  .state = TCP_ACC_ON,
                                  .greet = client ? GREET_ACK | GREET_TEXT : 0};
}

/* ---- receiver ---- */

void tcp_acc_count(struct tcb *t, const struct seg *g)
{
    static const uint8_t which[] = {[ECN_ECT0] = E0B, [ECN_CE] = CEB, [ECN_ECT1] = E1B};
    uint8_t ecn = g->tos & ECN_MASK;
    struct tcp_acc *a = ecn && g->text.len > 0 ? acc_of(t) : NULL;

    if (!a)
        return;
    a->r[which[ecn]] += g->text.len;
    a->ever |= (uint8_t)(1u << which[ecn]);
    a->since |= (uint8_t)(1u << which[ecn]);
}

/* How many fields it takes to tell of these counters. */
static uint8_t fields_for(uint32_t counters, bool order1)
{
    uint32_t first = 1u << (order1 ? E1B : E0B), last = 1u << (order1 ? E0B : E1B);

    if (counters & last)
        return 3;
    if (counters & 1u << CEB)
        return 2;
    return counters & first ? 1 : 0;
}

static void put_counters(struct tcp_opts *o, const uint32_t r[3], uint8_t n, bool order1)
{
    o->has |= OPT_ACC;
    o->acc_n = n;
    o->acc_order1 = order1;
    for (uint32_t i = 0; i < 3; i++)
        o->acc[i] = r[order1 ? 2 - i : i];
}

/* The initial values: as many fields as there is room for beside the other options; none on a link
 * whose frames might be too short for all of them. */
void tcp_acc_synack(struct tcp_opts *o)
{
    static const uint32_t first[] = {[E0B] = 1, [CEB] = 0, [E1B] = 1};

    if (o->mss >= TCP_HDR_MAX - TCP_HDR_LEN)
        put_counters(o, first, 3, false);
}

/* Octets of the option with so many fields, and of what fills them up. */
static uint32_t acc_len(uint8_t n)
{
    return (2 + 3u * n + 3) & ~3u;
}

/* All counters that have ever moved, or, where there is no room for them, those that have since the
 * last option; else none.  room: octets.  Returns how many it takes. */
uint32_t tcp_acc_put(struct tcb *t, struct tcp_opts *o, bool text, uint32_t room)
{
    struct tcp_acc *a = acc_of(t);
    uint8_t greet = text ? GREET_TEXT : GREET_ACK;
    uint32_t counters;
    bool order1, greets;

    if (!a || (a->since == 0 && !(a->greet & greet)))
        return 0;
    greets = (a->greet & greet) != 0;
    a->greet &= (uint8_t)~greet;
    counters = greets ? ACC_ALL : a->ever;
    order1 = fields_for(counters, true) < fields_for(counters, false);
    if (acc_len(fields_for(counters, order1)) > room) {
        counters = a->since;
        order1 = fields_for(counters, true) < fields_for(counters, false);
        if (acc_len(fields_for(counters, order1)) > room)
            return 0;
    }
    put_counters(o, a->r, fields_for(counters, order1), order1);
    a->since = 0;
    return acc_len(o->acc_n);
}

/* ---- sender ---- */

/* UINT32_MAX: there is no such field. */
static uint32_t field_of(const struct tcp_opts *o, uint32_t counter)
{
    uint32_t at;

    if (!(o->has & OPT_ACC))
        return UINT32_MAX;
    at = o->acc_order1 ? 2 - counter : counter;
    return at < o->acc_n ? o->acc[at] : UINT32_MAX;
}

/* Section 3.2.3.2.4: counters that begin with zero are somebody else's. */
void tcp_acc_first(struct tcb *t, const struct tcp_opts *o)
{
    struct tcp_acc *a = acc_of(t);

    if (a && (field_of(o, E0B) == 0 || field_of(o, E1B) == 0))
        a->state = TCP_ACC_DEAF;
}

/* What was counted by ACE alone is not counted again; an older count (section 3.2.3.1) is none. */
bool tcp_acc_arrives(struct tcb *t, const struct tcp_opts *o, uint32_t *moved, uint32_t *news)
{
    struct tcp_acc *a = acc_of(t);
    uint32_t ceb = field_of(o, CEB), n;

    if (!a || a->state == TCP_ACC_DEAF || !(o->has & OPT_ACC))
        return false;
    /* A field that is left out has not changed (section 3.2.3.3). */
    n = ceb == UINT32_MAX ? 0 : (ceb - a->s_ceb) & 0xffffff;
    if (n > 0x7fffff)
        return false;
    *moved = n;
    *news = n > a->guess ? n - a->guess : 0;
    a->guess = 0;
    a->s_ceb += n;
    return true;
}

void tcp_acc_guess(struct tcb *t, uint32_t marked)
{
    struct tcp_acc *a = marked > 0 ? acc_of(t) : NULL;

    if (a)
        a->guess += marked;
}

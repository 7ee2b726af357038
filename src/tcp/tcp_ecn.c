/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_ecn.c - explicit congestion notification: RFC 3168 section 6.1.
 *
 *      sender                     network              receiver
 *      ECT(0) on new text   ---   marks CE    -->      ecn_echo: every ACK has ECE
 *      window reduced, once      <-----------------    ...
 *      per window; CWR on the   ------------------>    ecn_echo ends
 *      next new text
 *
 * The two directions are separate: ecn_ok says that the peer's marks are answered, ecn_ect that our
 * own text may be marked.  They differ where a SYN without ECN went out as well (section 6.1.1). */
#include "tcp/tcp.h"

/* An ECN-setup SYN.  Its own datagram must not be ECT: where it is, something on the path writes
 * the field, and its marks would mean nothing. [RFC3168-6.1.1-1] */
bool tcp_ecn_asked(const struct seg *g)
{
    return (g->flags & (SEG_ECE | SEG_CWR)) == (SEG_ECE | SEG_CWR) && (g->tos & ECN_MASK) == 0;
}

static bool asks_for_ecn(const struct tcb *t)
{
    return t->ecn == ESTAB_ECN_ACTIVE || (t->ecn != ESTAB_ECN_OFF && tcp_cc(t)->counts_marks);
}

/* [RFC3168-6.1.1-7, RFC3168-6.1.1.1-1] */
uint8_t tcp_ecn_syn_flags(const struct tcb *t)
{
    if (t->state != ESTAB_SYN_SENT)
        return t->ecn_ok ? SEG_ECE : 0;
    /* Section 6.1.1.1: what drops a SYN that asks may let one pass that does not. */
    return asks_for_ecn(t) && !t->w->syn_lost ? SEG_ECE | SEG_CWR : 0;
}

/* A SYN,ACK must have ECE alone: both flags are a peer that reflects what it does not know
 * (section 6.1.1.2). [SHLD-8, RFC3168-6.1.1-2, RFC3168-6.1.1-3, RFC3168-6.1.1-4, RFC3168-6.1.1-8]
 */
void tcp_ecn_syn_arrives(struct tcb *t, const struct seg *g)
{
    bool asked = t->state == ESTAB_SYN_SENT ? asks_for_ecn(t) : t->ecn_ok;
    bool setup =
        g->flags & SEG_ACK ? (g->flags & (SEG_ECE | SEG_CWR)) == SEG_ECE : tcp_ecn_asked(g);

    t->ecn_ok = asked && setup;
    t->ecn_ect = t->ecn_ok && !(t->active && t->w->syn_lost);
}

/* RFC 8257 section 3.2: each ACK says whether what it acknowledges was marked; so where that
 * changes, what has not been acknowledged yet is, with what held for it. */
static void echo_each(struct tcb *t, bool marked)
{
    if (marked == t->ecn_echo)
        return;
    if (t->w && !t->owed.before && !seq_eq(t->rcv.acked, t->rcv.nxt)) {
        t->owed.before = true;
        t->w->before = t->rcv.nxt;
    }
    t->ecn_echo = marked;
    t->owed.ack_now = true;
}

/* Section 6.1.3.  A segment outside the window never comes this far (section 6.1.5).  Both kinds of
 * news are worth an ACK of its own: of the one the peer should hear soon, after the other it may
 * have little in flight. [RFC3168-6.1.1-6, RFC3168-6.1.3-1] */
void tcp_ecn_text(struct tcb *t, const struct seg *g)
{
    bool marked = (g->tos & ECN_MASK) == ECN_CE;

    t->ecn_seen |= (g->tos & ECN_MASK) != 0;
    if (tcp_cc(t)->counts_marks) {
        if (marked)
            rule_count(t->layer->rules, RULE_ECN_MARKED);
        echo_each(t, marked);
        return;
    }
    if (g->flags & SEG_CWR) {
        t->ecn_echo = false;
        t->owed.ack_now = true;
        rule_count(t->layer->rules, RULE_ECN_REDUCED);
    }
    if (marked) {
        t->owed.ack_now |= !t->ecn_echo;
        t->ecn_echo = true;
        rule_count(t->layer->rules, RULE_ECN_MARKED);
    }
}

/* Section 6.1.2: as for a loss, but once for all that was lost or marked in a window; w->reduced
 * and t->recover are where the last such windows end. [RFC3168-6.1.2-1, RFC3168-6.1.2-2,
 * RFC3168-6.1.2-4] */
bool tcp_ecn_echoed(struct tcb *t, const struct seg *g, const struct cc_sample *s)
{
    struct tcp_work *w = t->w;

    if (!t->ecn_ect || !(g->flags & SEG_ECE))
        return false;
    if (!seq_lt(w->reduced, g->ack) || !seq_lt(t->recover, g->ack))
        return true;
    w->ecn_wait = t->cc.cwnd <= s->mss; /* no window is smaller: the timer slows it further */
    tcp_cc(t)->on_ecn(&t->cc, &w->cc, s);
    w->reduced = t->snd.nxt;
    t->ecn_cwr = true;
    tcp_trace_cc(t, RULE_ECN_ECHO);
    return true;
}

/* New text, and nothing else: no bare ACK (section 6.1.4), nothing sent again (6.1.5), no probe
 * (6.1.6). [RFC3168-6.1.1-5, RFC3168-6.1.1-9, RFC3168-6.1.4-1, RFC3168-6.1.5-1, RFC3168-6.1.6-1]
 */
void tcp_ecn_mark(struct tcb *t, struct seg *g)
{
    if (!t->ecn_ect)
        return;
    g->tos = ECN_ECT0;
    if (t->ecn_cwr)
        g->flags |= SEG_CWR;
    t->ecn_cwr = false;
}

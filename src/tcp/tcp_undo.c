/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_undo.c - losses that were none: the congestion window is given back.
 *
 * What was taken for lost may have been late.  That is found out in three ways:
 *
 *   timestamps   what is acknowledged answers what was sent before the first retransmission: Eifel
 *                detection, RFC 3522
 *   D-SACK       the peer has had all that was sent again already: RFC 3708 section 2
 *   F-RTO        after an RTO, new text instead of more of the old; what comes back is of what was
 *                sent once only: RFC 5682
 *
 * The response is RFC 4015's: congestion window and threshold as before. */
#include "tcp/tcp.h"

/* An episode begins: before the algorithm hears of it. */
void tcp_undo_begin(struct tcb *t)
{
    struct tcp_work *w = t->w;

    w->undo.cc = t->cc;
    w->undo.una = t->snd.una;
    w->undo.end = t->snd.nxt;
    w->undo.again = 0;
    w->undo_on = true;
    w->undo.begun = false;
}

/* Something goes again. */
void tcp_undo_resent(struct tcb *t, uint32_t n)
{
    struct tcp_work *w = t->w;

    if (!w->undo_on)
        return;
    if (!w->undo.begun)
        w->undo.ts = tcp_ts_now(t->layer);
    w->undo.begun = true;
    w->undo.again += n;
}

static void undo(struct tcb *t, enum rule why)
{
    struct tcp_work *w = t->w;
    const struct cc *was = &w->undo.cc;

    w->undo_on = false;
    w->frto = 0;
    w->recovering = w->rto_recovering = false;
    w->dupacks = w->retries = 0;
    t->backoff = 0;
    w->recover = seq_sub(t->snd.una, 1);
    sent_found(&w->sent);
    if (tcp_cc(t)->undo) {
        tcp_cc(t)->undo(&t->cc, &w->cc, was);
    } else {
        t->cc.cwnd = t->cc.cwnd > was->cwnd ? t->cc.cwnd : was->cwnd;
        t->cc.ssthresh = was->ssthresh;
        t->cc.kept = was->kept;
    }
    t->ecn_cwr = false;
    w->pipe.from = w->pipe.end = t->snd.una;
    tcp_trace_cc(t, why);
}

void tcp_undo_dsack(struct tcb *t, seq_t lo, seq_t hi)
{
    struct tcp_work *w = t->w;
    uint32_t len = seq_diff(hi, lo);

    if (!w->undo_on || !w->undo.begun || seq_lt(lo, w->undo.una))
        return;
    w->undo.again -= len < w->undo.again ? len : w->undo.again;
    if (w->undo.again == 0)
        undo(t, RULE_UNDO_DSACK);
}

/* RFC 3522 section 3.2: an ACK of new octets, and so of what was first sent again. */
bool tcp_undo_echo(struct tcb *t, const struct sent_news *news)
{
    struct tcp_work *w = t->w;

    if (!w->undo_on || !w->undo.begun || !(w->recovering || w->rto_recovering) || !news->has_echo ||
        (int32_t)(news->echo - w->undo.ts) >= 0)
        return false;
    if (w->recovering)
        t->reordered = true;
    undo(t, RULE_UNDO_TIMESTAMP);
    return true;
}

/* RFC 5682 section 3.1 for the first timeout of an episode; with section 2.1 where there is no
 * SACK. */
void tcp_frto_begin(struct tcb *t)
{
    struct tcp_work *w = t->w;
    bool more = seq_diff(t->snd.nxt, t->snd.una) > tcp_eff_mss(t);

    w->frto = w->retries == 0 && !w->recovering && !w->rto_recovering && more ? 1 : 0;
}

/* An ACK after the timeout; true: what was sent before it has arrived after all. */
bool tcp_frto_ack(struct tcb *t, const struct sent_news *news, bool advances)
{
    struct tcp_work *w = t->w;
    bool first = news->first_copies > 0 && seq_le(news->lowest, w->recover);

    if (w->frto == 0)
        return false;
    if (first && (t->sack_ok || w->frto == 2)) { /* step 3 (b) */
        undo(t, RULE_UNDO_FRTO);
        return true;
    }
    if (w->frto == 2 && !advances) /* step 3 (a): no more than three segments are in flight */
        t->cc.cwnd = 3 * tcp_eff_mss(t);
    if (w->frto == 1 && advances && seq_lt(t->snd.una, w->recover)) /* step 2 (b) */
        w->frto = 2;
    else
        w->frto = 0;
    return false;
}

/* What was sent again has been dealt with; a D-SACK of it may still come for a round trip. */
void tcp_undo_expire(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (w->recovering || w->rto_recovering) {
        w->undo.end = t->snd.nxt;
        return;
    }
    if (seq_lt(w->undo.end, t->snd.una))
        w->undo_on = false;
}

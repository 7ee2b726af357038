/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sack.c - the scoreboard: what the peer says it has beyond SND.UNA (RFC 2018 section 5), and
 * what that means (RFC 6675). */
#include "tcp/tcp.h"

/* A block that cannot be true is ignored: empty or reversed, below SND.UNA (a D-SACK, RFC 2883),
 * beyond SND.NXT. */
static bool block_possible(const struct tcb *t, const struct range *b)
{
    return seq_lt(b->lo, b->hi) && seq_lt(t->snd.una, b->lo) && seq_le(b->hi, t->snd.nxt);
}

bool tcp_sack_arrives(struct tcb *t, const struct seg *g)
{
    struct tcp_work *w = t->w;
    bool news = false;

    if (!t->sack_ok)
        return false;
    for (uint8_t i = 0; i < g->opt.nsack; i++) {
        const struct range *b = &g->opt.sack[i];

        if (!block_possible(t, b) || seq_le(b->hi, g->ack)) {
            rule_count(t->layer->rules, RULE_SACK_INVALID);
            continue;
        }
        if (!tcp_ranges_need(t->layer, &w->sacked))
            return true;
        news |= !ranges_has(&w->sacked->r, b->lo, b->hi);
        ranges_add(&w->sacked->r, b->lo, b->hi, NULL);
    }
    if (w->sacked && w->sacked->r.n == 0)
        tcp_ranges_free(t->layer, &w->sacked);
    return news;
}

/* RFC 6675 section 4, IsLost(): below where it ends, what is not reported is lost, for three
 * ranges, or more than (DupThresh - 1) * SMSS octets, beyond it have arrived. */
static seq_t lost_below(const struct tcb *t)
{
    const struct ranges *r = &t->w->sacked->r;
    uint32_t beyond = 0;

    for (uint32_t i = r->n; i-- > 0;) {
        beyond += seq_diff(r->v[i].hi, r->v[i].lo);
        if (beyond > 2 * tcp_eff_mss(t) || r->n - i >= 3)
            return r->v[i].lo;
    }
    return t->snd.una;
}

void tcp_sack_lost(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (w->sacked)
        w->lost_to = seq_max(w->lost_to, lost_below(t));
}

/* RFC 6675 section 4, SetPipe(): what has been reported, and what is lost and not yet sent again.
 */
uint32_t tcp_sack_left(const struct tcb *t)
{
    const struct tcp_work *w = t->w;
    uint32_t left = seq_diff(w->lost_to, w->resend);

    for (uint32_t i = 0; w->sacked && i < w->sacked->r.n; i++) {
        const struct range *v = &w->sacked->r.v[i];
        seq_t lo = seq_max(v->lo, w->resend), hi = seq_min(v->hi, w->lost_to);

        left += seq_diff(v->hi, v->lo);
        if (seq_lt(lo, hi)) /* counted already */
            left -= seq_diff(hi, lo);
    }
    return left;
}

/* ---- proportional rate reduction, RFC 9937 section 5 ---- */

static uint32_t reported(const struct tcp_work *w)
{
    return w->sacked ? ranges_len(&w->sacked->r) : 0;
}

void tcp_prr_begin(struct tcb *t)
{
    t->w->prr.flight = seq_diff(t->snd.nxt, t->snd.una);
    t->w->prr.delivered = t->w->prr.out = t->w->prr.sacked = 0;
    tcp_prr_ack(t, 0);
}

/* While more is in flight than ssthresh, a proportion of what arrives may go; below it, as much as
 * arrives, and a segment more if the ACK made progress. */
void tcp_prr_ack(struct tcb *t, uint32_t acked)
{
    struct tcp_work *w = t->w;
    uint32_t pipe = tcp_pipe(t), mss = tcp_eff_mss(t), delivered, may;

    delivered = acked + reported(w) - w->prr.sacked; /* what was reported before is acked, too */
    w->prr.sacked = reported(w);
    w->prr.delivered += delivered;
    if (pipe > t->cc.ssthresh) {
        uint64_t share = (uint64_t)w->prr.delivered * t->cc.ssthresh + w->prr.flight - 1;

        share /= w->prr.flight;
        may = share > w->prr.out ? (uint32_t)share - w->prr.out : 0;
    } else {
        may = w->prr.delivered > w->prr.out ? w->prr.delivered - w->prr.out : 0;
        if (may < delivered)
            may = delivered;
        may += acked ? mss : 0;
        if (may > t->cc.ssthresh - pipe)
            may = t->cc.ssthresh - pipe;
    }
    if (may < mss && w->prr.out == 0) /* the first retransmission is never held back */
        may = mss;
    t->cc.cwnd = pipe + may;
}

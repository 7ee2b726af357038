/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sack.c - what the peer says it has beyond SND.UNA (RFC 2018 section 5) and what it has had
 * twice (RFC 2883); how much may be sent in the recovery that follows (RFC 9937). */
#include "tcp/tcp.h"

/* A block that cannot be true is ignored: empty or reversed, not beyond SEG.ACK, beyond SND.NXT.
 * Counted from SEG.ACK: modulo 2^32 (RFC 9293 section 3.4) two numbers that are 2^31 apart are each
 * before the other. */
static bool block_possible(const struct tcb *t, seq_t una, const struct range *b)
{
    uint32_t lo = seq_diff(b->lo, una), hi = seq_diff(b->hi, una);

    return 0 < lo && lo < hi && hi <= seq_diff(t->snd.nxt, una);
}

/* RFC 2883 section 4: the first block is of what came twice if it is acknowledged, or lies in the
 * second; if it has been sent, and not so long ago that no window was as large. */
static bool is_dsack(const struct tcb *t, seq_t una, const struct seg *g)
{
    const struct range *b = g->opt.sack;
    uint64_t back = seq_diff(una, b->lo);

    if (!seq_lt(b->lo, b->hi))
        return false;
    if (g->opt.nsack > 1 && seq_le(b[1].lo, b->lo) && seq_le(b->hi, b[1].hi))
        return block_possible(t, una, b) && block_possible(t, una, b + 1);
    return seq_le(b->hi, una) && seq_lt(b->lo, una) && back <= t->snd.wnd_max &&
           back <= t->octets_acked + seq_diff(una, t->snd.una);
}

uint32_t tcp_sack_arrives(struct tcb *t, const struct seg *g, struct sent_news *news, bool *dsack)
{
    seq_t una = seq_max(t->snd.una, g->ack);
    uint32_t n = 0;

    if (!t->sack_ok || g->opt.nsack == 0)
        return 0;
    *dsack = is_dsack(t, una, g);
    if (*dsack) {
        rule_count(t->layer->rules, RULE_DSACK);
        tcp_rack_dsack(t);
        tcp_undo_dsack(t, g->opt.sack[0].lo, g->opt.sack[0].hi);
    }
    for (uint8_t i = *dsack ? 1 : 0; i < g->opt.nsack; i++) {
        const struct range *b = &g->opt.sack[i];

        if (block_possible(t, una, b))
            n += sent_sack(&t->w->sent, &t->layer->pool, b->lo, b->hi, news);
        else
            rule_count(t->layer->rules, RULE_SACK_INVALID);
    }
    return n;
}

/* ---- proportional rate reduction, RFC 9937 section 5 ---- */

/* RecoverFS is what had not arrived before this ACK.  What ACKs of the same batch have let out, and
 * has not gone yet, has been delivered as well: or of a window whose ACKs come together nothing
 * would go for a round trip.  1 MB over 1 Gbit/s, 20 ms and 1 % lost: 5 % sooner. */
void tcp_prr_begin(struct tcb *t, uint32_t delivered, uint32_t cwnd)
{
    struct tcp_work *w = t->w;
    uint32_t flight = seq_diff(t->snd.nxt, t->snd.una) - w->sent.sacked + delivered;
    uint32_t owed = t->paced || cwnd <= flight ? 0 : cwnd - flight;

    if (owed > tcp_unsent(t))
        owed = tcp_unsent(t);
    if (owed > tcp_window_usable(t))
        owed = tcp_window_usable(t);
    w->prr.flight = flight + owed;
    w->prr.delivered = owed;
    w->prr.out = 0;
    tcp_prr_ack(t, delivered, false);
}

/* While more is in flight than ssthresh, a proportion of what arrives may go; below it, as much as
 * arrives, and a segment more if the ACK made progress. */
void tcp_prr_ack(struct tcb *t, uint32_t delivered, bool progress)
{
    struct tcp_work *w = t->w;
    uint32_t pipe = tcp_pipe(t), mss = tcp_eff_mss(t), may;

    w->prr.delivered += delivered;
    if (pipe > t->cc.ssthresh) {
        uint64_t share = (uint64_t)w->prr.delivered * t->cc.ssthresh + w->prr.flight - 1;

        share /= w->prr.flight;
        may = share > w->prr.out ? (uint32_t)share - w->prr.out : 0;
    } else {
        may = w->prr.delivered > w->prr.out ? w->prr.delivered - w->prr.out : 0;
        if (may < delivered)
            may = delivered;
        may += progress ? mss : 0;
        if (may > t->cc.ssthresh - pipe)
            may = t->cc.ssthresh - pipe;
    }
    if (may < mss && w->prr.out == 0) /* the first retransmission is never held back */
        may = mss;
    t->cc.cwnd = pipe + may;
}

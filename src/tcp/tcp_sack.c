/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sack.c - the scoreboard: what the peer says it has beyond SND.UNA (RFC 2018 section 5), and
 * what that means (RFC 6675). */
#include "tcp/tcp.h"

/* A block that cannot be true is ignored: empty or reversed, not beyond SEG.ACK or SND.UNA (a
 * D-SACK, RFC 2883), beyond SND.NXT. */
static bool block_possible(const struct tcb *t, seq_t una, const struct range *b)
{
    return seq_lt(b->lo, b->hi) && seq_lt(una, b->lo) && seq_le(b->hi, t->snd.nxt);
}

uint32_t tcp_sack_arrives(struct tcb *t, const struct seg *g, struct sent_news *news)
{
    seq_t una = seq_max(t->snd.una, g->ack);
    uint32_t n = 0;

    if (!t->sack_ok)
        return 0;
    for (uint8_t i = 0; i < g->opt.nsack; i++) {
        const struct range *b = &g->opt.sack[i];

        if (block_possible(t, una, b))
            n += sent_sack(&t->w->sent, &t->layer->pool, b->lo, b->hi, news);
        else
            rule_count(t->layer->rules, RULE_SACK_INVALID);
    }
    return n;
}

/* RFC 6675 section 4, IsLost(): below where it ends, what is not reported is lost, for three
 * ranges, or more than (DupThresh - 1) * SMSS octets, beyond it have arrived. */
static seq_t lost_below(const struct tcb *t)
{
    const struct sent *s = &t->w->sent;
    uint32_t beyond = 0, ranges = 0;

    for (uint32_t i = s->n; i-- > 0;) {
        if (!(sent_run(s, i)->flags & RUN_SACKED))
            continue;
        beyond += seq_diff(sent_run(s, i)->end, sent_start(s, i));
        if (beyond > 2 * tcp_eff_mss(t) || ++ranges >= 3)
            return sent_start(s, i);
    }
    return t->snd.una;
}

void tcp_sack_lost(struct tcb *t)
{
    const struct sent *s = &t->w->sent;
    seq_t below = lost_below(t), seq = s->lo;

    while (seq_lt(seq, below)) {
        const struct run *r = sent_run(s, sent_find(s, seq));
        seq_t end = seq_min(r->end, below);

        if (!(r->flags & (RUN_SACKED | RUN_LOST | RUN_RESENT)))
            tcp_lose(t, seq, end);
        seq = end;
    }
}

/* ---- proportional rate reduction, RFC 9937 section 5 ---- */

void tcp_prr_begin(struct tcb *t)
{
    t->w->prr.flight = seq_diff(t->snd.nxt, t->snd.una);
    t->w->prr.delivered = t->w->prr.out = 0;
    tcp_prr_ack(t, 0, false);
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

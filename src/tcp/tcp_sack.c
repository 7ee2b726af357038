/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sack.c - the scoreboard: what the peer says it has beyond SND.UNA (RFC 2018 section 5). */
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cc.c - the congestion-control algorithms by name, and what is none's in particular. */
#include "tcp/tcp_cc.h"
#include <string.h>

static const struct cc_ops *const all[] = {&cc_newreno, &cc_cubic, &cc_dctcp, &cc_bbr};

const struct cc_ops *cc_find(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(name, all[i]->name) == 0)
            return all[i];
    return NULL;
}

const struct cc_ops *cc_at(uint8_t id)
{
    return all[id];
}

/* [RFC5681-3.1-1] */
uint32_t cc_initial_window(uint32_t segments, uint32_t mss)
{
    uint32_t iw = segments * mss;
    uint32_t most = 2 * mss > 14600 ? 2 * mss : 14600;

    return segments == 10 && iw > most ? most : iw;
}

void cc_reno_grow(struct cc *c, uint32_t *counted, const struct cc_sample *s)
{
    uint32_t acked = s->acked;

    if (!s->cwnd_limited) /* RFC 9293 section 3.8.2, RFC 7661: no credit for what was not tried */
        return;
    if (c->cwnd < c->ssthresh) { /* slow start: min (N, SMSS), or RFC 3465 section 2.2's L*SMSS */
        uint32_t room = c->ssthresh - c->cwnd;
        uint32_t by = acked < room ? acked : room;

        if (s->slow_start && by > s->slow_start) {
            c->cwnd = cc_grow(c->cwnd, s->slow_start);
            return;
        }
        c->cwnd = cc_grow(c->cwnd, by);
        acked -= by;
        if (acked == 0)
            return;
    }
    *counted += acked;
    while (*counted >= c->cwnd) {
        *counted -= c->cwnd;
        c->cwnd = cc_grow(c->cwnd, s->mss);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_newreno.c - slow start, congestion avoidance (RFC 5681) with octet counting (RFC 3465), and
 * the registry of algorithms. */
#include "tcp/tcp_cc.h"
#include <string.h>

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t grow(uint32_t cwnd, uint32_t by)
{
    return cwnd > UINT32_MAX / 2 - by ? UINT32_MAX / 2 : cwnd + by;
}

static void newreno_init(struct cc *c, uint32_t cwnd)
{
    *c = (struct cc){.cwnd = cwnd, .ssthresh = UINT32_MAX / 2};
}

/* [MUST-19, RFC5681-3.1-3, RFC5681-3.1-4] */
static void newreno_on_ack(struct cc *c, const struct cc_sample *s)
{
    uint32_t acked = s->acked;

    if (!s->cwnd_limited) /* RFC 9293 section 3.8.2, RFC 7661: no credit for what was not tried */
        return;
    if (c->cwnd < c->ssthresh) { /* slow start: min (N, SMSS), or RFC 3465 section 2.2's L*SMSS */
        uint32_t room = c->ssthresh - c->cwnd;
        uint32_t by = min_u32(acked, room);

        if (s->slow_start && by > s->slow_start) {
            c->cwnd = grow(c->cwnd, s->slow_start);
            return;
        }
        c->cwnd = grow(c->cwnd, by);
        acked -= by;
        if (acked == 0)
            return;
    }
    c->u.newreno.acked += acked; /* RFC 3465 section 2.1 */
    while (c->u.newreno.acked >= c->cwnd) {
        c->u.newreno.acked -= c->cwnd;
        c->cwnd = grow(c->cwnd, s->mss);
    }
}

/* RFC 5681 equation 4. [RFC5681-3.1-5] */
static uint32_t half_flight(const struct cc_sample *s)
{
    return max_u32(s->flight / 2, 2 * s->mss);
}

/* [RFC5681-3.2-3] */
static void newreno_on_loss(struct cc *c, const struct cc_sample *s)
{
    c->ssthresh = half_flight(s);
    c->cwnd = c->ssthresh;
    c->u.newreno.acked = 0;
}

/* RFC 3168 section 6.1.2: as for a loss; cwnd may be smaller already. */
static void newreno_on_ecn(struct cc *c, const struct cc_sample *s)
{
    c->ssthresh = half_flight(s);
    if (c->cwnd > c->ssthresh)
        c->cwnd = c->ssthresh;
    c->u.newreno.acked = 0;
}

/* [RFC5681-3.1-6, RFC8961-4-3] */
static void newreno_on_rto(struct cc *c, const struct cc_sample *s, bool first)
{
    if (first)
        c->ssthresh = half_flight(s);
    c->cwnd = s->mss; /* the loss window */
    c->u.newreno.acked = 0;
}

/* [RFC5681-4.1-1] */
static void newreno_on_idle(struct cc *c, uint32_t restart)
{
    if (c->cwnd > restart)
        c->cwnd = restart;
}

static const struct cc_ops newreno = {
    .name = "newreno",
    .init = newreno_init,
    .on_ack = newreno_on_ack,
    .on_loss = newreno_on_loss,
    .on_ecn = newreno_on_ecn,
    .on_rto = newreno_on_rto,
    .on_idle = newreno_on_idle,
};

const struct cc_ops *cc_find(const char *name)
{
    return strcmp(name, newreno.name) == 0 ? &newreno : NULL;
}

/* [RFC5681-3.1-1] */
uint32_t cc_initial_window(uint32_t segments, uint32_t mss)
{
    uint32_t iw = segments * mss;
    uint32_t most = max_u32(2 * mss, 14600);

    return segments == 10 && iw > most ? most : iw;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_newreno.c - slow start, congestion avoidance (RFC 5681) with octet counting (RFC 3465).
 *
 * cc.kept: octets acknowledged since cwnd last grew in congestion avoidance. */
#include "tcp/tcp_cc.h"

/* [MUST-19, RFC5681-3.1-3, RFC5681-3.1-4, RFC7661-4.4-3] */
static void newreno_on_ack(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    (void)r;
    cc_reno_grow(c, &c->kept, s);
}

/* RFC 5681 equation 4. [RFC5681-3.1-5] */
static uint32_t half_flight(const struct cc_sample *s)
{
    return s->flight / 2 > 2 * s->mss ? s->flight / 2 : 2 * s->mss;
}

/* [RFC5681-3.2-3] */
static void newreno_on_loss(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    (void)r;
    c->ssthresh = half_flight(s);
    c->cwnd = c->ssthresh;
    c->kept = 0;
}

/* RFC 3168 section 6.1.2: as for a loss; cwnd may be smaller already. */
static void newreno_on_ecn(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    (void)r;
    c->ssthresh = half_flight(s);
    if (c->cwnd > c->ssthresh)
        c->cwnd = c->ssthresh;
    c->kept = 0;
}

/* [RFC5681-3.1-6, RFC8961-4-3] */
static void newreno_on_rto(struct cc *c, struct cc_run *r, const struct cc_sample *s, bool first)
{
    (void)r;
    if (first)
        c->ssthresh = half_flight(s);
    c->cwnd = s->mss; /* the loss window */
    c->kept = 0;
}

const struct cc_ops cc_newreno = {
    .name = "newreno",
    .id = 0,
    .slow_start = 1, /* RFC 5681 section 3.1 */
    .on_ack = newreno_on_ack,
    .on_loss = newreno_on_loss,
    .on_ecn = newreno_on_ecn,
    .on_rto = newreno_on_rto,
};

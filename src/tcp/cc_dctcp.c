/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_dctcp.c - Data Center TCP (RFC 8257): the window shrinks by as much as was marked.
 *
 * For networks under one administration whose switches mark from a short queue on: where both ends
 * count marks, a window is cut by half of the share of its octets that were marked, and the queue
 * stays at the threshold.  It asks for ECN by itself; without it, and for losses (section 3.5), it
 * is NewReno.
 *
 * The names are section 3.3's: DCTCP.Alpha, WindowEnd, BytesAcked, BytesMarked; g = 1/16.  Alpha,
 * in 2^20ths, must outlive the work part: cc.kept is what it lacks of 1, with which it begins. */
#include "tcp/tcp_cc.h"

#define ONE     (1u << 20)
#define G_SHIFT 4u

static uint32_t alpha_of(const struct cc *c)
{
    return ONE - c->kept;
}

/* Section 3.3, steps 5 to 9, at the end of an observation window: M is the share marked in it. */
static void update_alpha(struct cc *c, struct cc_run *r)
{
    uint32_t alpha = alpha_of(c), m = 0;

    if (r->u.dctcp.acked > 0)
        m = (uint32_t)((uint64_t)r->u.dctcp.marked * ONE / r->u.dctcp.acked);
    if (alpha >> G_SHIFT == 0) /* or the last bits would never go */
        alpha = 0;
    alpha = alpha - (alpha >> G_SHIFT) + (m >> G_SHIFT);
    c->kept = ONE - (alpha < ONE ? alpha : ONE);
}

static void dctcp_on_delivered(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    if (s->acked == 0)
        return;
    if (!r->u.dctcp.started) {
        r->u.dctcp.started = true;
        r->u.dctcp.window_end = seq_sub(s->una, s->acked);
    }
    r->u.dctcp.acked += s->acked;
    r->u.dctcp.marked += s->marked;
    if (!seq_lt(r->u.dctcp.window_end, s->una))
        return;
    update_alpha(c, r);
    r->u.dctcp.acked = r->u.dctcp.marked = 0;
    r->u.dctcp.window_end = s->nxt;
}

static void dctcp_on_ack(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    cc_reno_grow(c, &r->u.dctcp.counted, s);
}

static void set_window(struct cc *c, struct cc_run *r, uint32_t to, uint32_t mss)
{
    c->ssthresh = to > 2 * mss ? to : 2 * mss;
    if (c->cwnd > c->ssthresh)
        c->cwnd = c->ssthresh;
    r->u.dctcp.counted = 0;
}

/* "cwnd = cwnd * (1 - DCTCP.Alpha / 2)", once a window. */
static void dctcp_on_ecn(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    set_window(c, r, c->cwnd - (uint32_t)((uint64_t)c->cwnd * alpha_of(c) / 2 / ONE), s->mss);
}

/* Section 3.5: as any TCP. */
static void dctcp_on_loss(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    set_window(c, r, s->flight / 2, s->mss);
    c->cwnd = c->ssthresh;
}

static void dctcp_on_rto(struct cc *c, struct cc_run *r, const struct cc_sample *s, bool first)
{
    if (first)
        set_window(c, r, s->flight / 2, s->mss);
    c->cwnd = s->mss;
}

const struct cc_ops cc_dctcp = {
    .name = "dctcp",
    .id = 2,
    .slow_start = 1,
    .counts_marks = true,
    .on_ack = dctcp_on_ack,
    .on_delivered = dctcp_on_delivered,
    .on_loss = dctcp_on_loss,
    .on_ecn = dctcp_on_ecn,
    .on_rto = dctcp_on_rto,
};

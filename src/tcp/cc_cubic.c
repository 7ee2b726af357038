/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_cubic.c - CUBIC (RFC 9438), with HyStart++ (RFC 9406) to end the first slow start.
 *
 * Windows are in octets, times in milliseconds.  The names are RFC 9438 section 4.1's: W_max (in
 * cc.kept, 0: none; it outlives the work part), K, t, W_est, cwnd_prior; C = 0.4
 * segments per second cubed, beta_cubic = 0.7. */
#include "tcp/tcp_cc.h"
#include <string.h>

#define BETA(x)  ((uint32_t)((uint64_t)(x)*7 / 10)) /* section 4.6: beta_cubic */
#define ALPHA_N  9u /* alpha_cubic = 3 (1 - beta) / (1 + beta) = 9 / 17 */
#define ALPHA_D  17u
#define T_MAX_MS 60000u /* from the plateau: beyond it the window has long outgrown any path */

/* The greatest n with n^3 <= x. */
static uint32_t cube_root(uint64_t x)
{
    uint32_t n = 0;

    for (uint32_t bit = 1u << 20; bit; bit >>= 1) {
        uint64_t m = n | bit;

        if (m * m * m <= x)
            n |= bit;
    }
    return n;
}

/* Section 4.2: C * d^3, octets, for d ms. */
static uint64_t cubed(uint32_t d_ms, uint32_t mss)
{
    uint64_t d = d_ms < T_MAX_MS ? d_ms : T_MAX_MS;

    /* 0.4 segments a second cubed; d^3 ms^3 are d^3 / 10^9 s^3 */
    return d * d * d / 1000 * mss / 1000 * 4 / 10000;
}

/* Section 4.2, figures 1 and 2: a stage of congestion avoidance begins. */
static void begin_epoch(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    uint32_t w_max = c->kept;

    r->u.cubic.running = true;
    r->u.cubic.epoch = r->u.cubic.last = s->now;
    r->u.cubic.w_est = c->cwnd;
    r->u.cubic.fraction = 0;
    r->u.cubic.unspent = 0;
    r->u.cubic.k_ms = 0;
    if (r->u.cubic.prior < c->cwnd)
        r->u.cubic.prior = c->cwnd;
    if (w_max <= c->cwnd) { /* sections 4.8, 4.10: no plateau to come back to, K = 0 */
        c->kept = c->cwnd;
        return;
    }
    /* K = cbrt((W_max - cwnd_epoch) / C), in ms: 10^9 / 0.4 = 25 * 10^8 */
    r->u.cubic.k_ms = cube_root((uint64_t)(w_max - c->cwnd) * 2500000000u / s->mss);
}

static uint64_t w_cubic(const struct cc *c, const struct cc_run *r, uint64_t t_ms, uint32_t mss)
{
    uint32_t k = r->u.cubic.k_ms;
    uint64_t by;

    if (t_ms > k + (uint64_t)T_MAX_MS)
        t_ms = k + (uint64_t)T_MAX_MS;
    if (t_ms >= k)
        return c->kept + cubed((uint32_t)(t_ms - k), mss);
    by = cubed(k - (uint32_t)t_ms, mss);
    return by < c->kept ? c->kept - by : 0;
}

/* Section 4.3: what Reno would have by now; "alpha_cubic * segments_acked / cwnd", then 1 once it
 * has reached cwnd_prior. */
static void grow_w_est(const struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    bool past = r->u.cubic.w_est >= r->u.cubic.prior;
    uint64_t owed = (uint64_t)s->acked * s->mss * (past ? 1 : ALPHA_N);
    uint64_t per = (uint64_t)c->cwnd * (past ? 1 : ALPHA_D);

    owed += r->u.cubic.unspent;
    r->u.cubic.w_est = cc_grow(r->u.cubic.w_est, owed / per);
    r->u.cubic.unspent = (uint32_t)(owed % per < UINT32_MAX ? owed % per : UINT32_MAX);
}

static void avoid_congestion(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    uint64_t t_ms, target, now;

    if (!r->u.cubic.running)
        begin_epoch(c, r, s);
    t_ms = (s->now - r->u.cubic.epoch) / 1000000u;
    grow_w_est(c, r, s);
    now = w_cubic(c, r, t_ms, s->mss);
    if (now < r->u.cubic.w_est) { /* section 4.3: Reno-friendly region */
        if (c->cwnd < r->u.cubic.w_est)
            c->cwnd = r->u.cubic.w_est;
        return;
    }
    /* Sections 4.2, 4.4, 4.5: target, within [cwnd, 1.5 cwnd], is reached in a round trip. */
    target = w_cubic(c, r, t_ms + s->srtt / 1000000u, s->mss);
    if (target > c->cwnd + c->cwnd / 2)
        target = c->cwnd + c->cwnd / 2;
    if (target <= c->cwnd)
        return;
    r->u.cubic.fraction += (target - c->cwnd) * s->acked;
    now = r->u.cubic.fraction / c->cwnd;
    r->u.cubic.fraction %= c->cwnd;
    c->cwnd = cc_grow(c->cwnd, now);
}

/* ---- HyStart++, RFC 9406 section 4.2 ----
 *
 * Departs from RFC 9406 section 4.2: a train of ACKs begins Conservative Slow Start as well.  A
 * window of twice what the path holds is on its way before the first round-trip time of it comes
 * back, so the delay tells late, when a queue of one path's worth has overflowed.  But ACKs come at
 * the pace of the narrowest link: when those of one round follow each other for longer than half of
 * the least round trip, the window that they let out fills the path (Ha and Rhee, "Taming the
 * elephants: new TCP slow start", 2011, whose other half RFC 9406 is).  They end slow start there
 * and then; here it goes on at a quarter of its speed, as a train may be long for other reasons,
 * and ends when the delay rises as well, or after as many rounds as ever.  That the delay has not
 * risen means nothing in this case, so nothing resumes slow start. */

#define N_RTT_SAMPLE       8u
#define CSS_GROWTH_DIVISOR 4u
#define CSS_ROUNDS         5u
#define TRAIN_WINDOW_MIN   16u /* segments: fewer are no train */
#define TRAIN_GAP_DIVISOR  8u  /* of the least round trip: a longer gap ends a train */

static uint32_t rtt_threshold(uint32_t last) /* us */
{
    uint32_t t = last / 8; /* MIN_RTT_DIVISOR */

    if (t < 4000) /* MIN_RTT_THRESH */
        return 4000;
    return t < 16000 ? t : 16000; /* MAX_RTT_THRESH */
}

/* A round ends with the first ACK of something that was sent after it began.  true: slow start is
 * over. */
static bool hystart_round(struct cc_run *r, const struct cc_sample *s)
{
    if (r->u.cubic.started && seq_le(s->una, r->u.cubic.window_end))
        return false;
    r->u.cubic.started = true;
    r->u.cubic.window_end = s->nxt;
    r->u.cubic.round_at = r->u.cubic.train_at = s->now;
    r->u.cubic.rtt_last = r->u.cubic.rtt_now;
    r->u.cubic.rtt_now = 0;
    r->u.cubic.samples = 0;
    return r->u.cubic.css && ++r->u.cubic.css_rounds >= CSS_ROUNDS;
}

static void begin_css(struct cc_run *r, uint32_t rtt_base)
{
    r->u.cubic.rtt_base = rtt_base;
    r->u.cubic.css = true;
    r->u.cubic.css_rounds = 0;
}

static void hystart_rtt(struct cc_run *r, estab_dur rtt)
{
    uint32_t us = rtt / 1000u < UINT32_MAX ? (uint32_t)(rtt / 1000u) + 1 : UINT32_MAX;
    bool risen;

    if (!r->u.cubic.rtt_now || us < r->u.cubic.rtt_now)
        r->u.cubic.rtt_now = us;
    if (r->u.cubic.samples < N_RTT_SAMPLE)
        r->u.cubic.samples++;
    if (r->u.cubic.samples < N_RTT_SAMPLE)
        return;
    risen = r->u.cubic.rtt_last &&
            r->u.cubic.rtt_now >= r->u.cubic.rtt_last + rtt_threshold(r->u.cubic.rtt_last);
    if (!r->u.cubic.css) {
        if (risen)
            begin_css(r, r->u.cubic.rtt_now);
    } else if (r->u.cubic.rtt_now < r->u.cubic.rtt_base) { /* it was noise: back to slow start */
        r->u.cubic.css = false;
    } else if (risen && r->u.cubic.rtt_base == 0) { /* the train was right */
        r->u.cubic.css_rounds = CSS_ROUNDS;
    }
}

/* Where text is paced, at twice the window in a round trip, half a round trip is what the sender
 * takes. */
static void hystart_train(const struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    if (!r->u.cubic.started || r->u.cubic.css || c->cwnd < TRAIN_WINDOW_MIN * s->mss ||
        s->now - r->u.cubic.train_at > s->rtt_min / TRAIN_GAP_DIVISOR)
        return;
    r->u.cubic.train_at = s->now;
    if (s->now - r->u.cubic.round_at > (s->paced ? s->rtt_min : s->rtt_min / 2))
        begin_css(r, 0);
}

/* Octets that slow start does not use, and congestion avoidance may. */
static uint32_t slow_start(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    bool first = c->ssthresh == CC_SSTHRESH_MAX; /* section 4.3: only then */
    uint32_t room = c->ssthresh - c->cwnd, by = s->acked;

    if (first && s->rtt != ESTAB_NEVER)
        hystart_rtt(r, s->rtt);
    if (first)
        hystart_train(c, r, s);
    if (s->slow_start && by > s->slow_start)
        by = s->slow_start;
    if (first && r->u.cubic.css)
        by /= CSS_GROWTH_DIVISOR;
    if (by > room)
        by = room;
    c->cwnd = cc_grow(c->cwnd, by);
    if (first && (hystart_round(r, s) || (r->u.cubic.css && r->u.cubic.css_rounds >= CSS_ROUNDS)))
        c->ssthresh = c->cwnd;
    return by < room ? 0 : s->acked - by;
}

/* ---- the interface ---- */

/* Section 5.8: time in which the application had nothing to send does not count. */
static void cubic_on_spare(struct cc_run *r, estab_time now)
{
    if (r->u.cubic.running)
        r->u.cubic.epoch += now - r->u.cubic.last;
    r->u.cubic.last = now;
}

static void cubic_on_ack(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    struct cc_sample rest = *s;

    if (!s->cwnd_limited) {
        cubic_on_spare(r, s->now);
        return;
    }
    if (c->cwnd < c->ssthresh) {
        rest.acked = slow_start(c, r, s);
        if (rest.acked == 0)
            return;
    }
    avoid_congestion(c, r, &rest);
    r->u.cubic.last = s->now;
}

/* Sections 4.6 and 4.7: multiplicative decrease, of what was in use; with fast convergence, a flow
 * that did not come back to its W_max makes room for others. */
static void decrease(struct cc *c, struct cc_run *r, uint32_t used, uint32_t mss)
{
    uint32_t to = BETA(used);

    r->u.cubic.prior = c->cwnd;
    c->kept = c->cwnd < c->kept ? (uint32_t)((uint64_t)c->cwnd * 17 / 20) : c->cwnd;
    c->ssthresh = to > 2 * mss ? to : 2 * mss;
    r->u.cubic.running = false;
}

/* Of cwnd instead of flight_size, as section 4.6 allows where cwnd does not grow unused. */
static void cubic_on_loss(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    decrease(c, r, c->cwnd, s->mss);
    c->cwnd = c->ssthresh;
}

static void cubic_on_ecn(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    decrease(c, r, c->cwnd, s->mss);
    if (c->cwnd > c->ssthresh)
        c->cwnd = c->ssthresh;
}

/* Section 4.8: as Reno, but ssthresh by beta_cubic; the next stage has no plateau (K = 0).  The
 * window may have been kept for minutes without use (RFC 7661): what counts is what is in flight.
 */
static void cubic_on_rto(struct cc *c, struct cc_run *r, const struct cc_sample *s, bool first)
{
    if (first)
        decrease(c, r, s->flight < c->cwnd ? s->flight : c->cwnd, s->mss);
    c->kept = 0;
    c->cwnd = s->mss;
    r->u.cubic.running = false;
}

const struct cc_ops cc_cubic = {
    .name = "cubic",
    .id = 1,
    .slow_start = 16,
    .on_ack = cubic_on_ack,
    .on_spare = cubic_on_spare,
    .on_loss = cubic_on_loss,
    .on_ecn = cubic_on_ecn,
    .on_rto = cubic_on_rto,
    .on_idle = cubic_on_spare,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_bbr.c - BBR version 3 (draft-ietf-ccwg-bbr-06): a model of the path instead of a reaction to
 * losses.
 *
 * What the path delivers at most (max_bw) and its round-trip time when nothing queues (min_rtt) are
 * measured; text is paced at what it delivers, and so much is in flight as that takes.  The two
 * cannot be measured at once, so the flow takes turns:
 *
 *      Startup -> Drain -> ProbeBW: DOWN -> CRUISE -> REFILL -> UP -> DOWN ...
 *                          ProbeRTT, where 5 s have brought no lower round-trip time
 *
 * Losses bound the model: at more than 2 % in a round trip of probing, what was in flight was too
 * much (inflight_long); those met while cruising shrink what is believed for the moment
 * (bw_short, inflight_short) until the next probe.
 *
 * Names and constants are the draft's (C.x and BBR.x are c->x and b->x; shortterm, longterm:
 * _short, _long; Infinity: 0 for rates, CC_SSTHRESH_MAX for octets).  Gains are in percent, rates
 * in octets a second.  Different here: losses are looked at when an ACK tells of them, with the
 * most that was in flight since the probe began (section 5.5.10.2 looks at each lost packet); what
 * is random (5.3.3.8) is mixed from the clock and the octets delivered; a window is not restored
 * after an RTO but grows with what is acknowledged; an echoed mark (RFC 3168) is taken for a loss.
 * cc.kept is bw, in units of 64, for a connection that comes back from a rest. */
#include "tcp/tcp_cc.h"
#include <string.h>

#define INFINITE        CC_SSTHRESH_MAX
#define KEPT_SHIFT      6u
#define US_IN_S         1000000ull
#define LOSS_THRESH     2u /* percent */
#define BBR_BETA(x)     ((x)-3 * ((x) / 10))
#define HEADROOM        15u /* percent */
#define MIN_PIPE        4u  /* segments */
#define MIN_RTT_FILTER  ESTAB_S(10)
#define PROBE_RTT_EVERY ESTAB_S(5)
#define PROBE_RTT_LASTS ESTAB_MS(200)
#define PACING_MARGIN   1u  /* percent */
#define FULL_LOSSES     6u  /* BBRStartupFullLossCnt */
#define EXTRA_ROUNDS    10u /* ExtraAckedFilterLen */

static bool is_circular_ge(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) >= 0;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint64_t max_bw(const struct cc_bbr *b)
{
    return b->bw_filter[0] > b->bw_filter[1] ? b->bw_filter[0] : b->bw_filter[1];
}

static uint64_t bounded_bw(const struct cc_bbr *b)
{
    uint64_t bw = max_bw(b);

    return b->bw_short && b->bw_short < bw ? b->bw_short : bw;
}

static bool is_probe_bw(const struct cc_bbr *b)
{
    return b->state >= BBR_DOWN && b->state <= BBR_UP;
}

static uint32_t pacing_gain(const struct cc_bbr *b)
{
    static const uint16_t gains[] = {
        [BBR_STARTUP] = 277, [BBR_DRAIN] = 50, [BBR_DOWN] = 90,      [BBR_CRUISE] = 100,
        [BBR_REFILL] = 100,  [BBR_UP] = 125,   [BBR_PROBE_RTT] = 100};

    return gains[b->state];
}

static uint32_t cwnd_gain(const struct cc_bbr *b)
{
    return b->state == BBR_PROBE_RTT ? 50 : b->state == BBR_UP ? 225 : 200;
}

/* ---- how much in flight, section 5.6.4.2 ---- */

static uint32_t bdp_times(const struct cc *c, const struct cc_bbr *b, uint32_t gain)
{
    uint64_t n = bounded_bw(b) / 1000u * b->min_rtt / 1000u * gain / 100u;

    if (b->min_rtt == 0)
        return c->cwnd;
    return n < INFINITE ? (uint32_t)n : INFINITE;
}

static uint32_t quantized(const struct cc_bbr *b, uint32_t cap, uint32_t mss)
{
    uint64_t quantum = b->rate / 1000u;

    quantum = quantum < 65536 ? quantum : 65536;
    cap = most(cap, 3 * most((uint32_t)quantum, 2 * mss)); /* the offload budget */
    cap = most(cap, MIN_PIPE * mss);
    return b->state == BBR_UP ? cap + 2 * mss : cap;
}

static uint32_t inflight(const struct cc *c, const struct cc_bbr *b, uint32_t gain, uint32_t mss)
{
    return quantized(b, bdp_times(c, b, gain), mss);
}

static uint32_t with_headroom(const struct cc_bbr *b, uint32_t mss)
{
    uint32_t room;

    if (b->inflight_long == INFINITE)
        return INFINITE;
    room = most(mss, (uint32_t)((uint64_t)b->inflight_long * HEADROOM / 100u));
    return most(b->inflight_long > room ? b->inflight_long - room : 0, MIN_PIPE * mss);
}

static uint32_t target_inflight(const struct cc *c, const struct cc_bbr *b)
{
    return lesser(bdp_times(c, b, 100), c->cwnd);
}

/* ---- entering states ---- */

static void start_round(struct cc_bbr *b, const struct cc_sample *s)
{
    b->next_round = s->total;
}

static void reset_full_bw(struct cc_bbr *b)
{
    b->full_bw = 0;
    b->full_count = 0;
    b->full_now = false;
}

static void reset_short_term(struct cc_bbr *b)
{
    b->bw_short = 0;
    b->inflight_short = INFINITE;
}

/* T_bbr and T_reno of section 5.3.3.8.2. */
static void pick_probe_wait(struct cc_bbr *b, const struct cc_sample *s)
{
    uint32_t mixed = ((uint32_t)(s->now / 1000u) ^ s->total) * 2654435761u;

    b->rounds_since_up = mixed >> 31;
    b->probe_wait = ESTAB_S(2) + ESTAB_MS(mixed % 1000u);
}

static void enter_down(struct cc_bbr *b, const struct cc_sample *s)
{
    b->loss_in_round = false;
    b->bw_latest = 0;
    b->inflight_latest = 0;
    b->up_per_inc = INFINITE;
    pick_probe_wait(b, s);
    b->cycle_at = s->now;
    b->ack_phase = BBR_ACKS_STOPPING;
    start_round(b, s);
    b->state = BBR_DOWN;
}

static void enter_refill(struct cc_bbr *b, const struct cc_sample *s)
{
    reset_short_term(b);
    b->up_rounds = 0;
    b->up_acked = 0;
    b->probe_flight = 0;
    b->precautionary = false;
    b->ack_phase = BBR_ACKS_REFILLING;
    start_round(b, s);
    b->state = BBR_REFILL;
}

static void raise_slope(const struct cc *c, struct cc_bbr *b, uint32_t mss)
{
    uint32_t growth = 1u << b->up_rounds;

    if (b->up_rounds < 30)
        b->up_rounds++;
    b->up_per_inc = most(c->cwnd / growth, mss);
}

static void enter_up(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s, uint64_t rate)
{
    b->ack_phase = BBR_ACKS_STARTING;
    start_round(b, s);
    reset_full_bw(b);
    b->full_bw = rate;
    b->state = BBR_UP;
    raise_slope(c, b, s->mss);
}

/* ---- the model ---- */

static void update_round(struct cc_bbr *b, const struct cc_sample *s)
{
    b->round_start = s->rate_flight > 0 && is_circular_ge(s->rate_prior, b->next_round);
    b->probe_flight = most(b->probe_flight, s->rate_flight);
    if (!b->round_start)
        return;
    start_round(b, s);
    b->rounds++;
    b->rounds_since_up++;
}

static void update_max_bw(struct cc_bbr *b, const struct cc_sample *s, uint64_t rate)
{
    if (rate && (rate >= max_bw(b) || !s->rate_limited) && rate > b->bw_filter[0])
        b->bw_filter[0] = rate;
}

/* Section 5.5.10.3. */
static void adapt_lower_bounds(const struct cc *c, struct cc_bbr *b)
{
    if (!b->loss_in_round || b->state == BBR_STARTUP || b->state == BBR_REFILL ||
        b->state == BBR_UP)
        return;
    if (b->bw_short == 0)
        b->bw_short = max_bw(b);
    if (b->inflight_short == INFINITE)
        b->inflight_short = c->cwnd;
    b->bw_short = BBR_BETA(b->bw_short) > b->bw_latest ? BBR_BETA(b->bw_short) : b->bw_latest;
    b->inflight_short = most(b->inflight_latest, BBR_BETA(b->inflight_short));
}

/* Section 5.5.9, with a filter of two halves. */
static void update_aggregation(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    uint64_t us = (s->now - b->extra_at) / 1000u, expected;
    uint32_t extra;

    if (us > 10 * US_IN_S)
        us = 10 * US_IN_S;
    expected = bounded_bw(b) / 1000u * us / 1000u;
    if (b->extra_delivered <= expected) {
        b->extra_delivered = 0;
        b->extra_at = s->now;
        expected = 0;
    }
    b->extra_delivered = cc_grow(b->extra_delivered, s->delivered);
    extra = lesser((uint32_t)(b->extra_delivered - expected), c->cwnd);
    if (b->round_start && ++b->extra_rounds >= (b->full_reached ? EXTRA_ROUNDS / 2 : 1)) {
        b->extra_rounds = 0;
        b->extra[1] = b->extra[0];
        b->extra[0] = 0;
    }
    b->extra[0] = most(b->extra[0], extra);
}

static void check_full_bw(struct cc_bbr *b, const struct cc_sample *s, uint64_t rate)
{
    if (b->full_now || !b->round_start || s->rate_limited || rate == 0)
        return;
    if (rate >= b->full_bw + b->full_bw / 4) {
        reset_full_bw(b);
        b->full_bw = rate;
        return;
    }
    b->full_now = ++b->full_count >= 3;
    b->full_reached |= b->full_now;
}

static bool is_too_high(const struct cc_sample *s)
{
    return (uint64_t)s->rate_lost * 100u > (uint64_t)s->rate_flight * LOSS_THRESH;
}

/* Section 5.3.1.3: a loss rate that is no accident. */
static void check_startup(struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    if (b->state != BBR_STARTUP)
        return;
    if (b->loss_round_start && b->losses_in_round >= FULL_LOSSES && is_too_high(s)) {
        b->full_reached = true;
        b->inflight_long = most(bdp_times(c, b, 100), b->inflight_latest);
    }
    if (!b->full_reached)
        return;
    b->state = BBR_DRAIN;
    b->drain_round = b->rounds;
}

static void check_drain(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    if (b->state == BBR_DRAIN &&
        (s->in_flight <= inflight(c, b, 100, s->mss) || b->rounds > b->drain_round + 3))
        enter_down(b, s);
}

static void too_high(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    b->prev_too_high = true;
    b->probing = false;
    if (!s->rate_limited)
        b->inflight_long = most(b->probe_flight, BBR_BETA(target_inflight(c, b)));
    if (b->state == BBR_UP)
        enter_down(b, s);
}

static void probe_upward(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    if (!s->cwnd_limited || c->cwnd < b->inflight_long)
        return;
    b->up_acked = cc_grow(b->up_acked, s->delivered);
    if (b->up_acked >= b->up_per_inc) {
        uint32_t delta = b->up_acked / b->up_per_inc;

        b->up_acked -= delta * b->up_per_inc;
        b->inflight_long = cc_grow(b->inflight_long, (uint64_t)delta * s->mss);
    }
    if (b->round_start)
        raise_slope(c, b, s->mss);
}

/* AdaptLongTermModel(); true: it has decided the next state. */
static bool adapt_long_term(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    if (b->ack_phase == BBR_ACKS_STARTING && b->round_start)
        b->ack_phase = BBR_ACKS_FEEDBACK;
    if (b->ack_phase == BBR_ACKS_STOPPING && b->round_start) {
        b->probing = false;
        b->ack_phase = BBR_ACKS_INIT;
        if (is_probe_bw(b) && !s->rate_limited) {
            b->bw_filter[1] = b->bw_filter[0]; /* AdvanceMaxBwFilter() */
            b->bw_filter[0] = 0;
        }
        if (is_probe_bw(b) && b->precautionary && !b->prev_too_high) {
            enter_refill(b, s);
            return true;
        }
    }
    if (is_too_high(s)) {
        if (b->probing && s->lost > 0) {
            too_high(c, b, s);
            return true;
        }
        return false;
    }
    if (b->inflight_long == INFINITE)
        return false;
    b->inflight_long = most(b->inflight_long, s->rate_flight);
    if (b->state == BBR_UP)
        probe_upward(c, b, s);
    return false;
}

/* Section 5.3.3.8: by the clock, or as often as Reno would have a loss. */
static bool is_time_to_probe(const struct cc *c, const struct cc_bbr *b, const struct cc_sample *s)
{
    uint32_t reno = lesser(target_inflight(c, b) / s->mss, 63);

    return s->now > b->cycle_at + b->probe_wait || b->rounds_since_up >= reno;
}

static bool is_time_to_go_down(struct cc *c, struct cc_bbr *b, const struct cc_sample *s,
                               uint64_t rate)
{
    if (b->prev_too_high && s->in_flight >= b->inflight_long) {
        b->precautionary = true;
        return true;
    }
    if (s->cwnd_limited && c->cwnd >= b->inflight_long) {
        reset_full_bw(b);
        b->full_bw = rate;
        return false;
    }
    return b->full_now;
}

static void update_cycle(struct cc *c, struct cc_bbr *b, const struct cc_sample *s, uint64_t rate)
{
    if (!b->full_reached || adapt_long_term(c, b, s))
        return;
    switch ((enum bbr_state)b->state) {
    case BBR_DOWN:
        if (is_time_to_probe(c, b, s))
            enter_refill(b, s);
        else if (s->in_flight <= with_headroom(b, s->mss) &&
                 s->in_flight <= inflight(c, b, 100, s->mss))
            b->state = BBR_CRUISE;
        return;
    case BBR_CRUISE:
        if (is_time_to_probe(c, b, s))
            enter_refill(b, s);
        return;
    case BBR_REFILL:
        if (!b->round_start)
            return;
        b->probing = true;
        enter_up(c, b, s, rate);
        return;
    case BBR_UP:
        if (!is_time_to_go_down(c, b, s, rate))
            return;
        b->prev_too_high = false;
        enter_down(b, s);
        return;
    case BBR_STARTUP:
    case BBR_DRAIN:
    case BBR_PROBE_RTT:
        return;
    }
}

/* ---- ProbeRTT, section 5.3.4.3 ---- */

static uint32_t probe_rtt_cwnd(const struct cc *c, const struct cc_bbr *b, uint32_t mss)
{
    return most(bdp_times(c, b, 50), MIN_PIPE * mss);
}

static void update_min_rtt(struct cc_bbr *b, const struct cc_sample *s)
{
    uint32_t us = s->rtt < ESTAB_S(60) ? (uint32_t)(s->rtt / 1000u) + 1 : 0;

    b->probe_rtt_expired = s->now > b->probe_rtt_min_at + PROBE_RTT_EVERY;
    if (us && (us < b->probe_rtt_min || b->probe_rtt_min == 0 || b->probe_rtt_expired)) {
        b->probe_rtt_min = us;
        b->probe_rtt_min_at = s->now;
    }
    if (b->probe_rtt_min && (b->probe_rtt_min < b->min_rtt || b->min_rtt == 0 ||
                             s->now > b->min_rtt_at + MIN_RTT_FILTER)) {
        b->min_rtt = b->probe_rtt_min;
        b->min_rtt_at = b->probe_rtt_min_at;
    }
}

static void leave_probe_rtt(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    (void)c;
    b->probe_rtt_min_at = s->now;
    b->cwnd = most(b->cwnd, b->prior_cwnd);
    reset_short_term(b);
    if (!b->full_reached) {
        b->state = BBR_STARTUP;
        return;
    }
    enter_down(b, s);
    b->state = BBR_CRUISE;
}

static void check_probe_rtt(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
        b->state = BBR_PROBE_RTT;
        b->prior_cwnd = b->cwnd;
        b->probe_rtt_done_at = 0;
        b->ack_phase = BBR_ACKS_STOPPING;
        start_round(b, s);
    }
    if (b->state == BBR_PROBE_RTT) {
        if (b->probe_rtt_done_at == 0 && s->in_flight <= probe_rtt_cwnd(c, b, s->mss)) {
            b->probe_rtt_done_at = s->now + PROBE_RTT_LASTS;
            b->probe_rtt_round = false;
            start_round(b, s);
        } else if (b->probe_rtt_done_at) {
            b->probe_rtt_round |= b->round_start;
            if (b->probe_rtt_round && s->now > b->probe_rtt_done_at)
                leave_probe_rtt(c, b, s);
        }
    }
    if (s->delivered > 0)
        b->idle_restart = false;
}

/* ---- control, section 5.6 ---- */

static void set_rate(struct cc_bbr *b)
{
    uint64_t rate = bounded_bw(b) / 10000u * pacing_gain(b) * (100u - PACING_MARGIN);

    if (b->full_reached || rate > b->rate)
        b->rate = rate;
}

static void set_cwnd(struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    uint32_t cap = cc_grow(bdp_times(c, b, cwnd_gain(b)), most(b->extra[0], b->extra[1]));
    uint32_t bound = INFINITE;

    cap = quantized(b, cap, s->mss);
    if (b->full_reached)
        b->cwnd = lesser(cc_grow(b->cwnd, s->delivered), cap);
    else if (b->cwnd < cap || s->total - b->first_total < 10 * s->mss)
        b->cwnd = cc_grow(b->cwnd, s->delivered);
    b->cwnd = most(b->cwnd, MIN_PIPE * s->mss);
    c->cwnd = b->cwnd;
    if (b->state == BBR_PROBE_RTT)
        c->cwnd = lesser(c->cwnd, probe_rtt_cwnd(c, b, s->mss));
    if (b->state == BBR_CRUISE || b->state == BBR_PROBE_RTT)
        bound = with_headroom(b, s->mss);
    else if (is_probe_bw(b))
        bound = b->inflight_long;
    bound = most(lesser(bound, b->inflight_short), MIN_PIPE * s->mss);
    c->cwnd = lesser(c->cwnd, bound);
    b->cwnd = b->state == BBR_PROBE_RTT ? b->cwnd : c->cwnd;
}

/* ---- the interface ---- */

/* OnInit(); one that has been here before knows what the path delivers. */
/* Section 5.6.2, BBRInitPacingRate(): or the first small message would say how fast what follows it
 * may go. */
static uint64_t first_rate(const struct cc *c, const struct cc_bbr *b)
{
    uint32_t rtt = b->min_rtt ? b->min_rtt : 1000;

    return (uint64_t)c->cwnd * US_IN_S / rtt * pacing_gain(b) / 100u;
}

static void bbr_begin(const struct cc *c, struct cc_bbr *b, const struct cc_sample *s)
{
    *b = (struct cc_bbr){.begun = true,
                         .cwnd = c->cwnd,
                         .inflight_long = INFINITE,
                         .inflight_short = INFINITE,
                         .up_per_inc = INFINITE,
                         .min_rtt_at = s->now,
                         .probe_rtt_min_at = s->now,
                         .extra_at = s->now,
                         .idle_restart = true};
    b->next_round = b->loss_round = b->first_total = s->total - s->delivered;
    b->min_rtt = s->rtt_min < ESTAB_S(60) ? (uint32_t)(s->rtt_min / 1000u) : 0;
    b->probe_rtt_min = b->min_rtt;
    if (c->kept == 0) {
        b->rate = first_rate(c, b);
        return;
    }
    b->bw_filter[1] = (uint64_t)c->kept << KEPT_SHIFT;
    b->full_reached = true;
    enter_down(b, s);
    b->state = BBR_CRUISE;
}

static void note_loss(struct cc_bbr *b, const struct cc_sample *s)
{
    if (!b->loss_in_round)
        b->loss_round = s->total;
    b->loss_in_round = true;
    if (b->losses_in_round < UINT8_MAX)
        b->losses_in_round++;
}

/* UpdateOnACK(). */
static void bbr_on_delivered(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    struct cc_bbr *b = &r->u.bbr;
    uint64_t rate = s->rate_us ? s->rate_delivered * US_IN_S / s->rate_us : 0, bw;

    if (!b->begun)
        bbr_begin(c, b, s);
    update_round(b, s);
    if (s->lost > 0)
        note_loss(b, s);
    b->loss_round_start = false;
    b->bw_latest = rate > b->bw_latest ? rate : b->bw_latest;
    b->inflight_latest = most(b->inflight_latest, s->rate_delivered);
    if (s->rate_flight > 0 && is_circular_ge(s->rate_prior, b->loss_round)) {
        b->loss_round = s->total;
        b->loss_round_start = true;
    }
    update_max_bw(b, s, rate);
    if (b->loss_round_start)
        adapt_lower_bounds(c, b);
    update_aggregation(c, b, s);
    check_full_bw(b, s, rate);
    check_startup(c, b, s);
    if (b->loss_round_start) {
        b->loss_in_round = false;
        b->losses_in_round = 0;
    }
    check_drain(c, b, s);
    update_cycle(c, b, s, rate);
    update_min_rtt(b, s);
    check_probe_rtt(c, b, s);
    if (b->loss_round_start) {
        b->bw_latest = rate;
        b->inflight_latest = s->rate_delivered;
    }
    set_rate(b);
    set_cwnd(c, b, s);
    bw = max_bw(b) >> KEPT_SHIFT;
    c->kept = !b->full_reached ? 0 : bw < UINT32_MAX ? (uint32_t)bw : UINT32_MAX;
}

/* All is done by what was delivered. */
static void bbr_on_ack(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    (void)c;
    (void)r;
    (void)s;
}

/* Section 5.6.4.4: fast recovery leaves the window to the model. */
static void bbr_on_loss(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    (void)r;
    (void)s;
    c->ssthresh = c->cwnd;
}

static void bbr_on_ecn(struct cc *c, struct cc_run *r, const struct cc_sample *s)
{
    struct cc_bbr *b = &r->u.bbr;
    uint32_t to = most(BBR_BETA(c->cwnd), MIN_PIPE * s->mss);

    c->ssthresh = to;
    c->cwnd = lesser(c->cwnd, to);
    if (!b->begun)
        return;
    b->full_reached |= b->state == BBR_STARTUP;
    b->inflight_short = b->inflight_long = to;
    if (b->state == BBR_UP)
        enter_down(b, s);
}

static void bbr_on_rto(struct cc *c, struct cc_run *r, const struct cc_sample *s, bool first)
{
    struct cc_bbr *b = &r->u.bbr;

    if (first)
        c->ssthresh = c->cwnd;
    c->cwnd = s->mss;
    b->cwnd = s->mss;
    reset_full_bw(b);
}

/* Section 5.4.1: the window stays, and the pace. */
static void bbr_on_idle(struct cc_run *r, estab_time now)
{
    (void)now;
    r->u.bbr.idle_restart = true;
}

static uint64_t bbr_pacing_rate(const struct cc *c, const struct cc_run *r)
{
    return r->u.bbr.begun ? r->u.bbr.rate : (uint64_t)c->kept << KEPT_SHIFT;
}

const struct cc_ops cc_bbr = {
    .name = "bbr",
    .id = 3,
    .on_ack = bbr_on_ack,
    .on_delivered = bbr_on_delivered,
    .on_loss = bbr_on_loss,
    .on_ecn = bbr_on_ecn,
    .on_rto = bbr_on_rto,
    .on_idle = bbr_on_idle,
    .pacing_rate = bbr_pacing_rate,
};

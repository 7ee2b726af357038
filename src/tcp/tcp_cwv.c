/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cwv.c - how much of the congestion window is proven: RFC 7661.
 *
 * A window that the user does not fill says little about the path.  pipeACK is the most that was
 * acknowledged in a round trip of late.  Where it is less than half of cwnd, or nothing has gone
 * for an RTO, the window is nonvalidated: it is kept, so that whoever pauses need not begin anew,
 * but not relied upon:
 *
 *   it does not grow     unless it is what limits: cc_sample.cwnd_limited (section 4.4)
 *   in a burst           no more goes than the initial window, as RFC 5681 section 4.1 would have
 *                        it; the rest by the clock, spread over a round trip (section 4.4.2)
 *   a loss, or a mark    reduces what was in use, not what was allowed (section 4.4.1)
 *   after five minutes   half of it is given up, and so on (section 4.4.3)
 *
 * It is validated again once it is what limits, or half of it has been acknowledged in a round
 * trip.  A window that is not above the initial one needs no proof, and an algorithm with a rate of
 * its own has a model of the path instead.
 *
 * Departs from RFC 5681 section 4.1: the window is not reduced to the initial one after an RTO of
 * silence; RFC 7661 is there to replace that.
 *
 * A round trip is measured in numbers: from an ACK to the ACK of what was in flight then. */
#include "tcp/tcp.h"

#define NVP_MS        300000u /* section 5: the nonvalidated period */
#define PERIOD_MIN_MS 1000u   /* section 4.2: pipeACK's sampling period is three round trips, or */

/* pipeACK is kept in segments and its time in parts of a second, two octets each: an idle
 * connection keeps both. */
#define AT_SHIFT 7u /* 128 ms */
#define AT_MASK  0x7fffu

static uint32_t pipe_ack(const struct tcb *t)
{
    return t->pipe_segs * tcp_eff_mss(t);
}

static void set_pipe_ack(struct tcb *t, uint32_t octets)
{
    uint32_t mss = tcp_eff_mss(t), n = octets / mss + (octets % mss != 0);

    t->pipe_segs = n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

static uint32_t at_of(uint32_t ms)
{
    return ms >> AT_SHIFT & AT_MASK;
}

/* The clock of cwv_at goes round in an hour; whoever was silent for longer knows it. */
uint32_t tcp_cwv_age(const struct tcb *t)
{
    uint32_t now_ms = ms_of(t->layer->env->now), silent = now_ms - t->sent_ms;
    uint32_t age = ((at_of(now_ms) - t->cwv_at) & AT_MASK) << AT_SHIFT;

    return t->sent_ms != 0 && silent > age ? silent : age;
}

static uint32_t initial_window(const struct tcb *t)
{
    return cc_initial_window(t->layer->set.initial_window, tcp_eff_mss(t));
}

/* Section 4.2: "undefined": nothing has been measured since a recovery, or for too long. */
static bool is_old(const struct tcb *t, uint32_t now_ms)
{
    uint32_t ms = now_ms - t->w->pipe.ms;

    return ms > PERIOD_MIN_MS && (uint64_t)ms * 1000u > 3 * (uint64_t)t->rtt.srtt;
}

static void set_spread(struct tcb *t, bool spread)
{
    if (t->spread == spread)
        return;
    t->spread = spread;
    tcp_pace_settle(t);
}

static void validate(struct tcb *t)
{
    t->nonvalidated = false;
    t->cwv_at = AT_MASK & at_of(t->w->pipe.ms);
    set_spread(t, false);
}

/* Sections 4.1 and 4.4.1: validated, with pipeACK undefined. [RFC7661-4.4-5] */
void tcp_cwv_begin(struct tcb *t)
{
    struct tcp_work *w = t->w;

    w->pipe.from = w->pipe.end = t->snd.una;
    w->pipe.used = 0;
    t->pipe_segs = 0;
    if (t->nonvalidated)
        validate(t);
}

/* Section 4.4.3, once for each period that is over. [RFC7661-4.4.3-1, RFC7661-4.4.3-2] */
static RARE void give_up_halves(struct tcb *t, uint32_t age)
{
    uint32_t low = initial_window(t), was = t->cc.cwnd;

    for (; t->cc.cwnd > low && age > NVP_MS; age -= NVP_MS) {
        if (t->cc.ssthresh < t->cc.cwnd / 4 * 3)
            t->cc.ssthresh = t->cc.cwnd / 4 * 3;
        t->cc.cwnd = t->cc.cwnd / 2 > low ? t->cc.cwnd / 2 : low;
    }
    t->cwv_at = AT_MASK & at_of(ms_of(t->layer->env->now) - age);
    if (t->cc.cwnd < was)
        tcp_trace_cc(t, RULE_WINDOW_STALE);
    if (t->cc.cwnd <= low)
        tcp_cwv_begin(t);
}

static inline void give_up_half(struct tcb *t)
{
    uint32_t age = tcp_cwv_age(t);

    if (UNLIKELY(age > NVP_MS))
        give_up_halves(t, age);
}

static void doubt(struct tcb *t, uint32_t since_ms)
{
    if (tcp_cc(t)->pacing_rate || t->cc.cwnd <= initial_window(t))
        return;
    t->nonvalidated = true;
    t->cwv_at = AT_MASK & at_of(since_ms);
}

/* Section 4.2: a round trip is over. [RFC7661-4.4-1, RFC7661-4.4-2] */
void tcp_cwv_round(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t now_ms = ms_of(t->layer->env->now), sample = seq_diff(t->snd.una, w->pipe.from);
    bool filled = seq_lt(w->pipe.from, w->limited_to);

    w->pipe.from = t->snd.una;
    w->pipe.end = t->snd.nxt;
    if (sample >= pipe_ack(t) || is_old(t, now_ms)) {
        set_pipe_ack(t, sample);
        w->pipe.ms = now_ms;
        if (!t->nonvalidated)
            t->cwv_at = AT_MASK & at_of(now_ms);
    }
    if (filled || sample >= t->cc.cwnd / 2) {
        if (t->nonvalidated)
            validate(t);
    } else if (t->nonvalidated) {
        give_up_half(t);
        if (UNLIKELY(t->spread) && tcp_unsent(t) == 0)
            set_spread(t, false);
    } else if (pipe_ack(t) < t->cc.cwnd / 2) {
        doubt(t, now_ms);
    }
}

/* Text goes after more than an RTO of silence. */
void tcp_cwv_restart(struct tcb *t)
{
    if (!t->nonvalidated)
        doubt(t, t->sent_ms);
    if (t->nonvalidated)
        give_up_half(t);
}

/* [RFC7661-4.4.2-1, RFC5681-4.1-1] */
void tcp_cwv_burst(struct tcb *t, uint32_t unsent)
{
    if (!t->spread && unsent > initial_window(t))
        set_spread(t, true);
}

/* Section 4.4.1, of "cwnd = (Max(pipeACK,LossFlightSize))/2": what is to be halved. [RFC7661-4.4-4,
 * RFC7661-4.4.1-1] */
uint32_t tcp_cwv_lost(struct tcb *t, uint32_t flight)
{
    struct tcp_work *w = t->w;

    if (!t->nonvalidated)
        return flight;
    if (flight < pipe_ack(t) && !is_old(t, ms_of(t->layer->env->now)))
        flight = pipe_ack(t);
    if (flight < t->cc.cwnd)
        t->cc.cwnd = flight;
    w->pipe.used = flight;
    w->pipe.lost = w->rate.lost - w->sent.lost;
    return flight;
}

/* ... and that half of it is what is left, whatever share the algorithm leaves of a window that was
 * validated. */
void tcp_cwv_halve(struct tcb *t)
{
    uint32_t half = t->w->pipe.used / 2, least = 2 * tcp_eff_mss(t);

    if (!t->nonvalidated)
        return;
    if (half < least)
        half = least;
    if (t->cc.ssthresh > half)
        t->cc.ssthresh = half;
    if (t->cc.cwnd > half)
        t->cc.cwnd = half;
}

/* ... at the end of the recovery less R, what was lost meanwhile; and pipeACK is undefined.
 * [RFC7661-4.4.1-2, RFC7661-4.4.1-3] */
void tcp_cwv_recovered(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t), r = w->rate.lost - w->pipe.lost, cwnd;

    if (t->nonvalidated && w->pipe.used > 0) {
        cwnd = r < w->pipe.used
                   ? (uint32_t)((uint64_t)t->cc.ssthresh * (w->pipe.used - r) / w->pipe.used)
                   : 0;
        t->cc.ssthresh = cwnd > 2 * mss ? cwnd : 2 * mss;
        t->cc.cwnd = cwnd > mss ? cwnd : mss;
    }
    tcp_cwv_begin(t);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_pace.c - text spread over the round trip, instead of a burst for each ACK.
 *
 * A rate comes from the congestion-control algorithm, if it has one, or from its window: twice
 * cwnd / SRTT in slow start, when the window doubles in a round trip, 1.2 times after, so that it
 * is the window that limits and not the clock.  The user may say a rate that is not passed.
 *
 * What has gone at this rate must have left before the next may go: w->pace_at.  Timers are late by
 * up to a tick of the wheel, and a driver may be later: what was missed is made up for, as far as
 * one quantum, or after a pause (tcp_cwv.c) as far as the initial window.  A quantum is what goes
 * at once: a millisecond's worth, at least two segments (so that a receiver that delays its ACKs
 * has two).
 *
 * What is due is looked at in one place, where tcp_output() has come to text.  A connection that is
 * not paced pays a test of one bit for it. */
#include "tcp/tcp.h"

#define QUANTUM    ESTAB_MS(1)
#define SECOND     1000000000u
#define NO_BOUND   (1ull << 40) /* octets a second: of ESTAB_NEVER, and of what nobody has */
#define IN_SECONDS 1000000u     /* us */

/* RFC 5681 knows two phases; when the next doubling would reach ssthresh the first is over.  Fast
 * recovery makes cwnd of what is in flight just now (RFC 9937), and that is what the clock has let
 * go: nearly nothing for ever, but for half of ssthresh. */
static uint64_t rate_of_window(const struct tcb *t)
{
    uint32_t cwnd = t->cc.cwnd;
    uint64_t rate;

    if (t->rtt.srtt == 0)
        return 0;
    if (t->w && t->w->recovering && cwnd < t->cc.ssthresh / 2)
        cwnd = t->cc.ssthresh / 2;
    rate = (uint64_t)cwnd * IN_SECONDS / t->rtt.srtt;
    return cwnd < t->cc.ssthresh / 2 ? 2 * rate : rate + rate / 5;
}

uint64_t tcp_pace_rate(const struct tcb *t)
{
    const struct cc_ops *cc = tcp_cc(t);
    uint64_t most = tcp_extra(t)->pacing_rate, rate;

    if (!t->paced)
        return 0;
    rate = cc->pacing_rate && t->w ? cc->pacing_rate(&t->cc, &t->w->cc) : 0;
    if (rate == 0)
        rate = rate_of_window(t);
    return most && most < NO_BOUND && (rate == 0 || most < rate) ? most : rate;
}

/* As stack, user or algorithm say. */
static bool wants_pace(const struct tcb *t)
{
    return t->layer->set.pacing || tcp_extra(t)->pacing_rate || tcp_cc(t)->pacing_rate;
}

void tcp_pace_settle(struct tcb *t)
{
    t->paced = t->spread || wants_pace(t);
}

static uint32_t quantum(const struct tcb *t, uint64_t rate)
{
    uint64_t n = rate * QUANTUM / SECOND;
    uint32_t least = 2 * tcp_eff_mss(t);

    return n < least ? least : n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2;
}

/* The window limits what is sent if it has done so in this round trip; that just now it is the
 * clock says nothing about it. */
static void note_limit(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (seq_lt(w->limited_to, t->snd.una))
        w->cwnd_limited = false;
}

bool tcp_pace_waits(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (w->pace_at <= t->layer->env->now)
        return false;
    if (tcp_unsent(t) == 0 && w->sent.lost == 0)
        return false; /* a FIN alone */
    note_limit(t);
    tcp_arm(t, TCP_T_PACE, w->pace_at);
    return true;
}

uint32_t tcp_pace_most(const struct tcb *t, uint32_t most)
{
    uint64_t rate = tcp_pace_rate(t);
    uint32_t mss = tcp_eff_mss(t), n;

    if (rate == 0)
        return most;
    n = quantum(t, rate);
    n -= n % mss;
    return n < most ? n : most;
}

/* How long what was missed is made up for.  Who has only paused may begin as if the connection were
 * new. */
static estab_dur arrears(const struct tcb *t, uint64_t rate)
{
    uint32_t mss = tcp_eff_mss(t);
    uint64_t iw;

    if (wants_pace(t))
        return QUANTUM;
    iw = cc_initial_window(t->layer->set.initial_window, mss);
    iw = (iw - mss) * SECOND / rate; /* what has left by now; and a segment */
    return iw > QUANTUM ? iw : QUANTUM;
}

void tcp_pace_sent(struct tcb *t, uint32_t n)
{
    uint64_t rate = tcp_pace_rate(t);
    estab_time now = t->layer->env->now, missed;

    if (rate == 0)
        return;
    missed = now - (now < arrears(t, rate) ? now : arrears(t, rate));
    if (t->w->pace_at < missed)
        t->w->pace_at = missed;
    t->w->pace_at = time_add(t->w->pace_at, (uint64_t)n * SECOND / rate);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_rack.c - what is lost, by time: RACK-TLP, RFC 8985, where SACK was agreed.
 *
 * What was sent some time before something that has arrived, and has not arrived itself, is lost:
 * whether it was sent once or again, at the beginning of a window or in its middle.  "Some time" is
 * the reordering window, which is nothing until the path has been seen to reorder and grows as
 * D-SACKs tell that it was too short.  Where nothing has arrived that was sent later, at the end of
 * a flight, a probe is sent so that something may (section 7). */
#include "tcp/tcp.h"

#define DUP_THRESH      3u
#define REO_PERSIST     16u
#define MAX_ACK_DELAY   200000u /* us; section 7.2, TLP.max_ack_delay */
#define PTO_WITHOUT_RTT 1000000u
#define PTO_MIN         10000u

/* Section 6.2, steps 1 to 3. */
void tcp_rack_delivered(struct tcb *t, const struct sent_news *news)
{
    struct tcp_work *w = t->w;
    uint32_t now_us = tcp_us(t->layer);

    if (news->first_copies > 0 && seq_lt(news->lowest, w->rack.fack))
        t->reordered = true;
    w->rack.fack = seq_max(w->rack.fack, news->highest);
    if (!news->any)
        return;
    if (w->rack.valid &&
        !sent_after(news->last.sent_us, news->last.end, w->rack.sent_us, w->rack.end))
        return;
    w->rack.valid = true;
    w->rack.sent_us = news->last.sent_us;
    w->rack.end = news->last.end;
    w->rack.rtt_us = now_us - news->last.sent_us;
}

/* Section 6.2, step 4. */
static uint32_t reo_wnd(const struct tcb *t)
{
    const struct tcp_work *w = t->w;
    uint32_t wnd;

    if (!t->reordered && (w->recovering || w->rto_recovering || w->dupacks >= DUP_THRESH ||
                          w->sent.sacked > (DUP_THRESH - 1) * tcp_eff_mss(t)))
        return 0;
    if (t->rtt.srtt == 0)
        return PTO_WITHOUT_RTT;
    wnd = t->rtt.min / 4 * w->rack.reo_mult;
    return (wnd < t->rtt.srtt ? wnd : t->rtt.srtt) + 1; /* the clock's tick */
}

/* A D-SACK: something was sent again for nothing; the window widens, once in a round trip. */
void tcp_rack_dsack(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (w->rack.in_round && seq_lt(t->snd.una, w->rack.round))
        return;
    w->rack.in_round = true;
    w->rack.round = t->snd.nxt;
    if (w->rack.reo_mult < UINT8_MAX)
        w->rack.reo_mult++;
    w->rack.reo_persist = REO_PERSIST;
}

/* A recovery is over. */
void tcp_rack_recovered(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (w->rack.reo_persist > 0 && --w->rack.reo_persist == 0)
        w->rack.reo_mult = 1;
}

/* Section 6.2, step 5, RACK_detect_loss(): octets that are lost by now and were not thought so; and
 * the timer for those that will be unless they arrive.  What has been sent once was sent in order,
 * so the walk ends at the first such run that is younger than what has arrived. */
uint32_t tcp_rack_detect(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t had = w->rate.lost, now_us = tcp_us(t->layer), limit, wait = 0;

    w->due[TCP_T_REO] = ESTAB_NEVER;
    if (!w->rack.valid)
        return 0;
    limit = w->rack.rtt_us + reo_wnd(t);
    for (uint32_t i = 0; i < w->sent.n; i++) {
        const struct run *r = sent_run(&w->sent, i);
        uint32_t age = now_us - r->sent_us;
        seq_t end = r->end;

        if (r->flags & (RUN_SACKED | RUN_LOST))
            continue;
        if (!sent_after(w->rack.sent_us, w->rack.end, r->sent_us, end)) {
            if (!(r->flags & RUN_RESENT))
                break;
            continue;
        }
        if (age < limit || (age == 0 && r->flags & RUN_RESENT)) {
            wait = limit > age + wait ? limit - age : wait ? wait : 1;
            continue;
        }
        tcp_lose(t, sent_start(&w->sent, i), end);
        i = sent_find(&w->sent, end) - 1;
    }
    if (wait > 0)
        tcp_arm(t, TCP_T_REO, time_add(t->layer->env->now, ESTAB_US(wait)));
    return w->rate.lost - had;
}

/* ---- tail loss probes, section 7 ---- */

bool tcp_tlp_may(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    return t->sack_ok && t->syn_acked && t->snd.wnd > 0 && !w->recovering && !w->rto_recovering &&
           w->sent.sacked == 0 && w->sent.lost == 0 && !w->tlp_out && !w->ecn_wait;
}

/* Section 7.2, TLP_calc_PTO(): never later than the RTO, says the caller.
 *
 * Departs from RFC 8985 section 7.2: not sooner than PTO_MIN, as the probe's first draft had it.
 * Where a round trip takes less than it takes a busy host to come to each of its connections, twice
 * that is over before anybody has looked: of 200 connections at once 191 probed in vain.  And who
 * sleeps until an ACK comes would set the machine's timer anew before each sleep: over TUN to the
 * same core 41 instead of 57 Gbit/s (with 2 ms 47, with 5 ms 53).  [RFC8985-7.2-1] */
estab_dur tcp_pto(const struct tcb *t, uint32_t flight)
{
    uint32_t pto;

    if (t->rtt.srtt == 0)
        return ESTAB_US(PTO_WITHOUT_RTT);
    pto = 2 * t->rtt.srtt < PTO_MIN ? PTO_MIN : 2 * t->rtt.srtt;
    if (flight <= t->snd_mss)
        pto += MAX_ACK_DELAY;
    return ESTAB_US(pto);
}

/* After new text, or an ACK of some. */
void tcp_tlp_arm(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t flight = seq_diff(t->snd.nxt, t->snd.una);
    estab_time at;

    if (flight == 0 || !tcp_tlp_may(t)) {
        w->due[TCP_T_PTO] = ESTAB_NEVER;
        return;
    }
    at = time_add(t->layer->env->now, tcp_pto(t, flight));
    tcp_arm(t, TCP_T_PTO, time_min(at, w->due[TCP_T_REXMT]));
}

/* What has been sent is a probe.  [RFC8985-7.3-1, RFC8985-7.3-2] */
void tcp_tlp_sent(struct tcb *t, bool again)
{
    struct tcp_work *w = t->w;

    w->tlp_out = true;
    w->tlp_again = again;
    w->tlp_end = t->snd.nxt;
    w->due[TCP_T_PTO] = ESTAB_NEVER;
    tcp_rexmt_arm(t, true); /* section 7.3 */
}

/* Section 7.4.2, TLP_process_ack(): true: the probe has repaired a loss that nothing else would
 * have told of. */
bool tcp_tlp_acked(struct tcb *t, const struct seg *g, bool dsack)
{
    struct tcp_work *w = t->w;

    if (!w->tlp_out || seq_lt(g->ack, w->tlp_end))
        return false;
    if (!w->tlp_again || dsack) {
        w->tlp_out = false;
        return false;
    }
    if (seq_lt(w->tlp_end, g->ack)) {
        w->tlp_out = false;
        return true;
    }
    if (seq_eq(t->snd.una, g->ack) && g->len == 0 && g->opt.nsack == 0)
        w->tlp_out = false;
    return false;
}

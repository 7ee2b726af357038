/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_recover.c - something is lost: the window is reduced, and what is lost goes again until all
 * that was in flight then is acknowledged.
 *
 * Fast retransmit and NewReno (RFC 5681, 6582) where there is no SACK, RACK's verdict and PRR
 * (RFC 8985, 9937) where there is, and the RTO (tcp_timeout.c) differ only in how much they declare
 * lost: a segment, what is too late, or everything.  tcp_output() sends what is lost first. */
#include "tcp/tcp.h"

static void lose_head(struct tcb *t)
{
    tcp_lose(t, t->snd.una, seq_min(seq_add(t->snd.una, tcp_eff_mss(t)), t->snd.nxt));
    t->w->too_big = false;
}

/* FlightSize.  ACKs that come in one batch are all dealt with before anything goes; what they have
 * let out counts, as it would be in flight had they come one by one: or a window whose ACKs come
 * together would be halved again by that.  Nor does it count less that one ACK has acknowledged
 * nearly all, just before or with what tells of the loss, and that the peer has closed its window
 * meanwhile: the most of the last half round trip is what was too much.  (RFC 9438 section 4.6
 * allows all of cwnd where what is not used does not grow.)  Without what limited transmit has
 * sent. [RFC5681-3.2-2] */
uint32_t tcp_flight_size(const struct tcb *t)
{
    const struct tcp_work *w = t->w;
    uint32_t flight = seq_diff(t->snd.nxt, t->snd.una), let_out = tcp_unsent(t);

    if (let_out > tcp_window_usable(t))
        let_out = tcp_window_usable(t);
    if (!t->paced)
        flight += let_out;
    if (flight < w->peak.flight && tcp_us(t->layer) - w->peak.us <= t->rtt.srtt / 2)
        flight = w->peak.flight;
    return flight < t->cc.cwnd ? flight : t->cc.cwnd;
}

/* Something is lost: the window is reduced, once for all of an episode.  false: it has been, or
 * what was lost is no sign of congestion. */
static bool reduce(struct tcb *t)
{
    struct tcp_work *w = t->w;
    struct cc_sample s = tcp_sample(t, 0, tcp_flight_size(t), ESTAB_NEVER);

    if (tcp_mtu_lost(t))
        return false;
    if (!seq_lt(w->recover, t->snd.una)) /* RFC 6582 section 3.2, step 1: of an earlier episode, or
                                            of what its RTO sent twice */
        return false;
    tcp_undo_begin(t);
    if (!seq_lt(t->snd.una, w->reduced)) { /* or a mark in the same window has done it, RFC 3168 */
        s.flight = tcp_cwv_lost(t, s.flight);
        tcp_cc(t)->on_loss(&t->cc, &t->w->cc, &s);
        tcp_cwv_halve(t);
    }
    tcp_ecn_reduced(t);
    return true;
}

/* RFC 6582 section 3.2, step 2. [RFC5681-3.2-1, RFC6582-3.2-2] */
static RARE void fast_retransmit(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (!reduce(t))
        return;
    w->recovering = true;
    w->by_sack = false;
    w->partial = 0;
    t->cc.cwnd += 3 * tcp_eff_mss(t);
    w->recover = t->snd.nxt;
    lose_head(t);
    tcp_trace_cc(t, RULE_FAST_RETRANSMIT);
}

void tcp_recover(struct tcb *t, uint32_t delivered)
{
    struct tcp_work *w = t->w;
    uint32_t cwnd = t->cc.cwnd;

    if (w->recovering || w->rto_recovering || !reduce(t))
        return;
    w->recovering = w->by_sack = true;
    w->partial = 0;
    w->too_big = false;
    w->recover = t->snd.nxt;
    tcp_prr_begin(t, delivered, cwnd);
    tcp_trace_cc(t, RULE_FAST_RETRANSMIT);
}

/* Where SACK blocks say what has arrived, RACK says what has not. [RFC5681-3.2-3] */
void tcp_duplicate_ack(struct tcb *t, uint32_t delivered)
{
    struct tcp_work *w = t->w;
    bool in_recovery = w->recovering && w->by_sack;

    if (t->dup_acks_in < 0xffffff)
        t->dup_acks_in++;
    if (w->dupacks < UINT8_MAX)
        w->dupacks++;
    if (w->sent.sacked > 0 || in_recovery) {
        if (tcp_rack_detect(t) > 0)
            tcp_recover(t, delivered);
        if (in_recovery) /* the ACK that began it has been counted then */
            tcp_prr_ack(t, delivered, false);
    } else if (w->recovering) /* step 3: a segment has left the network */
        t->cc.cwnd += tcp_eff_mss(t);
    else if (w->dupacks == 3)
        fast_retransmit(t);
}

/* RFC 6582 section 3.2, step 3: what an ACK of new octets means in recovery. [RFC6582-3.2-1] */
void tcp_recovering_ack(struct tcb *t, uint32_t acked, uint32_t delivered)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t), flight = seq_diff(t->snd.nxt, t->snd.una);

    if (!seq_lt(t->snd.una, w->recover)) { /* full acknowledgment */
        uint32_t level = (flight > mss ? flight : mss) + mss;

        if (w->by_sack || t->cc.ssthresh < level)
            t->cc.cwnd = t->cc.ssthresh;
        else
            t->cc.cwnd = level;
        tcp_cwv_recovered(t);
        w->recovering = false;
        w->dupacks = 0;
        tcp_rack_recovered(t);
        tcp_trace_cc(t, RULE_RECOVERED);
        return;
    }
    rule_count(t->layer->rules, RULE_PARTIAL_ACK);
    if (w->by_sack) {
        tcp_prr_ack(t, delivered, tcp_rack_detect(t) == 0);
        return;
    }
    if (w->partial < 2)
        w->partial++;
    lose_head(t);
    t->cc.cwnd -= t->cc.cwnd > acked ? acked : t->cc.cwnd;
    if (acked >= mss || t->cc.cwnd < mss)
        t->cc.cwnd += mss;
}

/* RFC 8985 section 7.4.2: the probe was the retransmission, and the recovery is over. */
void tcp_tail_lost(struct tcb *t)
{
    if (t->w->recovering || t->w->rto_recovering || !reduce(t))
        return;
    tcp_cwv_recovered(t);
    t->w->undo_on = false;
    t->w->recover = seq_sub(t->snd.una, 1);
    tcp_trace_cc(t, RULE_TAIL_LOST);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_ack.c - what an ACK does: the send queue, round-trip time, loss, congestion window.
 *
 * What is in flight is in w->sent (tcp_sent.h).  Fast retransmit and NewReno (RFC 5681, 6582) and
 * the RTO differ only in how much they declare lost: a segment, or everything.  tcp_output() sends
 * what is lost first. */
#include "tcp/tcp.h"

uint32_t tcp_pipe(const struct tcb *t)
{
    bool idle = seq_eq(t->snd.nxt, t->snd.una);
    uint32_t flight = idle ? 0 : seq_diff(t->snd.nxt, tcp_text_una(t)); /* a SYN is no octet */

    return t->w ? flight - t->w->sent.sacked - t->w->sent.lost : flight;
}

/* At the latest when the user's patience ends (tcp_uto.c). */
static void arm_in(struct tcb *t, enum tcp_timer which, estab_dur d)
{
    tcp_arm(t, which, time_min(time_add(t->layer->env->now, d), tcp_user_deadline(t)));
}

static estab_dur rto_now(const struct tcb *t)
{
    const struct tcp_rtt_bounds *b = &t->layer->set.rto;

    return t->syn_acked ? tcp_rtt_rto(&t->rtt, b, t->backoff)
                        : tcp_rtt_rto_syn(&t->rtt, b, t->backoff);
}

/* [RFC6298-5-1, SHLD-17, SHLD-29] */
void tcp_rexmt_arm(struct tcb *t, bool restart)
{
    struct tcp_work *w = t->w;
    uint32_t flight = seq_diff(t->snd.nxt, t->snd.una);
    bool held = t->snd.wnd == 0 && t->syn_acked &&
                (flight > 0 || tcp_unsent(t) > 0 || (t->fin_queued && !t->fin_sent));

    if (w->stalled_at == ESTAB_NEVER && (flight > 0 || held))
        w->stalled_at = t->layer->env->now;
    if (held) { /* RFC 9293 section 3.8.6.1: probing, not retransmitting; also if the peer shrank
                   its window [MUST-34, MUST-35] */
        w->due[TCP_T_REXMT] = w->due[TCP_T_PTO] = ESTAB_NEVER;
        if (w->due[TCP_T_PERSIST] == ESTAB_NEVER)
            arm_in(t, TCP_T_PERSIST, tcp_rtt_rto(&t->rtt, &t->layer->set.rto, w->probes));
        return;
    }
    if (flight == 0 && !w->ecn_wait) {
        w->due[TCP_T_REXMT] = w->due[TCP_T_PTO] = w->due[TCP_T_REO] = ESTAB_NEVER; /* (5.2) */
        return;
    }
    if (restart || w->due[TCP_T_REXMT] == ESTAB_NEVER) /* (5.1), (5.3) */
        arm_in(t, TCP_T_REXMT, rto_now(t));
}

/* RFC 6298 section 3 (Karn): an octet sent once is timed; else the timestamp's echo, where there is
 * one (RFC 7323 section 4). [MUST-18, RFC6298-3-1, RFC6298-3-2, RFC7323-4.1-1, RFC8961-4-2] */
static estab_dur rtt_sample(struct tcb *t, const struct seg *g)
{
    const estab_dur absurd = ESTAB_S(3600);
    struct tcp_work *w = t->w;
    estab_dur rtt = ESTAB_NEVER;

    if (w->rtt_at != ESTAB_NEVER && seq_le(w->rtt_seq, g->ack)) {
        rtt = time_since(w->rtt_at, t->layer->env->now);
        w->rtt_at = ESTAB_NEVER;
    } else if (w->rtt_at == ESTAB_NEVER && t->ts_ok && (g->opt.has & OPT_TS) && g->opt.ts_ecr) {
        rtt = ESTAB_MS((uint32_t)(tcp_ts_now(t->layer) + t->ts_offset - g->opt.ts_ecr));
    }
    if (rtt != ESTAB_NEVER && rtt < absurd) {
        tcp_rtt_sample(&t->rtt, &t->layer->set.rto, rtt);
        t->backoff = 0; /* RFC 6298 section 5: a measurement ends it, an ACK alone does not */
    }
    return rtt;
}

/* [RFC5681-3.1-2] */
void tcp_established(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t);
    bool lost = w && w->syn_lost;
    bool begun = w && w->listener; /* by Fast Open: text may be in flight */

    t->established = true;
    t->soft_err = 0;
    t->backoff = 0;
    t->recover = seq_sub(t->snd.una, 1);
    t->owed.uto = t->adv_uto != 0; /* RFC 5482 section 3: in the first segment without SYN */
    if (w) {
        w->retries = 0;
        w->stalled_at = ESTAB_NEVER;
        sent_ack(&w->sent, &t->layer->pool, t->snd.una, NULL);
        w->reduced = t->snd.una;
        if (w->syn_text)
            tcp_fastopen_rest(t);
        if (lost)
            tcp_rtt_syn_lost(&t->rtt);
        tcp_rexmt_arm(t, true);
    }
    if (lost || !begun)
        cc_init(&t->cc, /* RFC 5681 section 3.1: one segment after a lost SYN */
                lost ? mss : cc_initial_window(t->layer->set.initial_window, mss));
    tcp_raise(t, ESTAB_EV_OUT);
}

static struct cc_sample sample_of(const struct tcb *t, uint32_t acked, uint32_t flight,
                                  estab_dur rtt)
{
    return (struct cc_sample){.now = t->layer->env->now,
                              .rtt = rtt,
                              .srtt = ESTAB_US(t->rtt.srtt),
                              .rtt_min = ESTAB_US(t->rtt.min),
                              .una = t->snd.una,
                              .nxt = t->snd.nxt,
                              .acked = acked,
                              .flight = flight,
                              .mss = tcp_eff_mss(t),
                              .paced = t->paced,
                              .cwnd_limited = t->w->cwnd_limited};
}

/* RFC 3465 section 2.3: after a timeout an ACK may be of what had arrived before: L is 1. */
static uint32_t slow_start_limit(const struct tcb *t, uint32_t mss)
{
    uint32_t segments = t->layer->set.profile.slow_start;

    if (segments == ESTAB_SLOW_START_OWN)
        segments = tcp_cc(t)->slow_start;
    return (t->w->rto_recovering && segments > 1 ? 1 : segments) * mss;
}

static void lose_head(struct tcb *t)
{
    tcp_lose(t, t->snd.una, seq_min(seq_add(t->snd.una, tcp_eff_mss(t)), t->snd.nxt));
    t->w->too_big = false;
}

/* Something is lost: the window is reduced, once for all of an episode.  false: it has been, or
 * what was lost is no sign of congestion. */
static bool reduce(struct tcb *t)
{
    struct tcp_work *w = t->w;
    struct cc_sample s = sample_of(t, 0, seq_diff(t->snd.nxt, t->snd.una), ESTAB_NEVER);

    if (s.flight > t->cc.cwnd) /* without what limited transmit has sent. [RFC5681-3.2-2] */
        s.flight = t->cc.cwnd;
    if (tcp_mtu_lost(t))
        return false;
    if (!seq_lt(t->recover, t->snd.una)) /* RFC 6582 section 3.2, step 1: of an earlier episode, or
                                            of what its RTO sent twice */
        return false;
    tcp_undo_begin(t);
    if (!seq_lt(t->snd.una, w->reduced)) /* or a mark in the same window has done it, RFC 3168 */
        tcp_cc(t)->on_loss(&t->cc, &t->w->cc, &s);
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
    t->cc.cwnd += 3 * tcp_eff_mss(t);
    t->recover = t->snd.nxt;
    lose_head(t);
    tcp_trace_cc(t, RULE_FAST_RETRANSMIT);
}

void tcp_recover(struct tcb *t, uint32_t delivered)
{
    struct tcp_work *w = t->w;

    if (w->recovering || w->rto_recovering || !reduce(t))
        return;
    w->recovering = w->by_sack = true;
    w->too_big = false;
    t->recover = t->snd.nxt;
    tcp_prr_begin(t, delivered);
    tcp_trace_cc(t, RULE_FAST_RETRANSMIT);
}

/* RFC 5681 section 2: nothing new acknowledged, something outstanding, no text, SYN or FIN, the
 * same window; but where SACK blocks say what has arrived they decide (RFC 6675 section 2): peers
 * change their window with each segment, or send text of their own. */
static bool is_duplicate(const struct tcb *t, const struct seg *g, bool sack_news)
{
    if (seq_eq(t->snd.una, t->snd.nxt) || !seq_eq(g->ack, t->snd.una))
        return false;
    if (t->sack_ok && g->opt.nsack > 0)
        return sack_news;
    /* RFC 9768 section 3.2.2.5.1: an ACK of ACKs that came marked has no SACK blocks. */
    if (t->sack_ok && t->ecn_acc && tcp_cc(t)->counts_marks)
        return false;
    return g->len == 0 && tcp_seg_wnd(t, g) == t->snd.wnd && t->snd.wnd != 0;
}

/* Where SACK blocks say what has arrived, RACK says what has not. [RFC5681-3.2-3] */
static RARE void duplicate_ack(struct tcb *t, uint32_t delivered)
{
    struct tcp_work *w = t->w;

    t->dup_acks_in++;
    if (w->dupacks < UINT8_MAX)
        w->dupacks++;
    if (w->sent.sacked > 0 || (w->recovering && w->by_sack)) {
        if (tcp_rack_detect(t) > 0)
            tcp_recover(t, delivered);
        if (w->recovering && w->by_sack)
            tcp_prr_ack(t, delivered, false);
    } else if (w->recovering) /* step 3: a segment has left the network */
        t->cc.cwnd += tcp_eff_mss(t);
    else if (w->dupacks == 3)
        fast_retransmit(t);
}

/* RFC 6582 section 3.2, step 3: what an ACK of new octets means in recovery. [RFC6582-3.2-1] */
static RARE void recovering_ack(struct tcb *t, uint32_t acked, uint32_t delivered)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t), flight = seq_diff(t->snd.nxt, t->snd.una);

    if (!seq_lt(t->snd.una, t->recover)) { /* full acknowledgment */
        uint32_t level = (flight > mss ? flight : mss) + mss;

        if (w->by_sack || t->cc.ssthresh < level)
            t->cc.cwnd = t->cc.ssthresh;
        else
            t->cc.cwnd = level;
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
    lose_head(t);
    t->cc.cwnd -= t->cc.cwnd > acked ? acked : t->cc.cwnd;
    if (acked >= mss || t->cc.cwnd < mss)
        t->cc.cwnd += mss;
}

static struct sent_news news_of(const struct tcb *t, const struct seg *g)
{
    return (struct sent_news){.now = t->layer->env->now,
                              .rtt_min_us = t->rtt.min,
                              .has_echo = t->ts_ok && (g->opt.has & OPT_TS),
                              .echo = g->opt.ts_ecr - t->ts_offset};
}

/* The algorithm hears what has become of what was sent. */
static void tell(struct tcb *t, const struct sent_news *news, struct cc_sample *s)
{
    if (!tcp_cc(t)->on_delivered)
        return;
    tcp_rate_sample(t, news, s);
    tcp_cc(t)->on_delivered(&t->cc, &t->w->cc, s);
}

/* [RFC3168-6.1.2-3] */
void tcp_ack_advance(struct tcb *t, const struct seg *g)
{
    struct tcp_work *w = t->w;
    uint32_t acked, text;
    struct cc_sample s;
    bool marked, undone, recovering;
    bool sack_news = false, dsack = false, tail_lost;
    struct sent_news news;

    if (!w)
        return;
    news = news_of(t, g);
    if (seq_lt(t->snd.una, g->ack))
        sent_ack(&w->sent, &t->layer->pool, g->ack, &news);
    if (g->opt.has & OPT_SACK)
        sack_news = tcp_sack_arrives(t, g, &news, &dsack) > 0;
    if (t->sack_ok && news.delivered > 0)
        tcp_rack_delivered(t, &news);
    tail_lost = w->tlp_out && tcp_tlp_acked(t, g, dsack);
    if (!seq_lt(t->snd.una, g->ack)) {
        if (w->frto && tcp_frto_ack(t, &news, false))
            w->dupacks = 0;
        else if (is_duplicate(t, g, sack_news))
            duplicate_ack(t, news.delivered);
        if (news.delivered > 0) {
            s = sample_of(t, 0, seq_diff(t->snd.nxt, t->snd.una), ESTAB_NEVER);
            tell(t, &news, &s);
        }
        return;
    }
    acked = seq_diff(g->ack, t->snd.una);
    s = sample_of(t, acked, seq_diff(t->snd.nxt, t->snd.una), rtt_sample(t, g));
    if (news.any && !(news.last.flags & RUN_RESENT)) /* of each ACK, not of an octet at a time */
        s.rtt = ESTAB_US(tcp_us(t->layer) - news.last.sent_us);
    marked = tcp_ecn_echoed(t, g, &s);
    text = acked - (t->fin_sent && seq_eq(g->ack, t->snd.nxt) ? 1 : 0);
    ring_drop(&w->snd, &t->layer->pool, text, false);
    t->snd.una = g->ack;
    t->octets_acked += text;
    w->small_end = seq_max(w->small_end, t->snd.una);
    w->reduced = seq_max(w->reduced, t->snd.una);
    w->retries = w->probes = 0;
    w->stalled_at = seq_eq(t->snd.una, t->snd.nxt) ? ESTAB_NEVER : t->layer->env->now;
    if (w->snd_urgent && !seq_lt(t->snd.una, w->snd_up))
        w->snd_urgent = false;
    t->soft_err = 0;
    if (w->mtu_failed || !seq_eq(w->probe_lo, w->probe_hi))
        tcp_mtu_acked(t);
    if (w->sent.n > 0 && sent_run(&w->sent, 0)->flags & RUN_SACKED) {
        sent_renege(&w->sent); /* RFC 2018 section 8: or it would be acknowledged */
        rule_count(t->layer->rules, RULE_SACK_RENEGED);
    }
    undone = (w->frto && tcp_frto_ack(t, &news, true)) || (w->undo.on && tcp_undo_echo(t, &news));
    if (w->undo.on)
        tcp_undo_expire(t);
    if (w->rto_recovering && !seq_lt(t->snd.una, t->recover)) {
        w->rto_recovering = false;
        tcp_rack_recovered(t);
    }
    if (seq_lt(t->recover, t->snd.una))
        t->recover = seq_sub(t->snd.una, 1); /* or it would seem to lie ahead, 2 GiB later */
    recovering = w->recovering;
    if (recovering)
        recovering_ack(t, acked, news.delivered);
    /* The ACK that ends a recovery may show that something else is lost. */
    if (!w->recovering && !undone && t->sack_ok && w->sent.n > 0 && tcp_rack_detect(t) > 0 &&
        !w->rto_recovering) {
        w->dupacks = 0;
        tcp_recover(t, news.delivered);
    } else if (!recovering) {
        w->dupacks = 0;
        s.una = t->snd.una;
        s.slow_start = slow_start_limit(t, s.mss);
        if (!marked || tcp_cc(t)->counts_marks)
            tcp_cc(t)->on_ack(&t->cc, &w->cc, &s);
    }
    if (tail_lost && !w->recovering && !w->rto_recovering && reduce(t)) {
        w->undo.on = false;
        t->recover = seq_sub(t->snd.una, 1);
        tcp_trace_cc(t, RULE_TAIL_LOST);
    }
    tell(t, &news, &s);
    tcp_buffer_acked(t);
    tcp_cancel(t, TCP_T_PERSIST);
    tcp_rexmt_arm(t, true);
    if (t->sack_ok && w->sent.n > 0)
        tcp_tlp_arm(t);
    (void)tcp_raise_room(t);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_ack.c - what an ACK does: the send queue, round-trip time, loss, congestion window.
 *
 * What is in flight is in w->sent (tcp_sent.h).  Each ACK says what has been delivered; what that
 * means is asked in the RFCs' order: is it a duplicate, was a loss none, is a recovery over, is
 * something lost (tcp_recover.c), may more be in flight (tcp_cc.h). */
#include "tcp/tcp.h"

uint32_t tcp_pipe(const struct tcb *t)
{
    bool idle = seq_eq(t->snd.nxt, t->snd.una);
    uint32_t flight = idle ? 0 : seq_diff(t->snd.nxt, tcp_text_una(t)); /* a SYN is no octet */

    return t->w ? flight - t->w->sent.sacked - t->w->sent.lost : flight;
}

static void arm_in(struct tcb *t, enum tcp_timer which, estab_dur d)
{
    tcp_arm(t, which, tcp_patience(t, time_add(t->layer->env->now, d)));
}

estab_dur tcp_rto(const struct tcb *t)
{
    const struct tcp_rtt_bounds *b = &t->layer->set.rto;

    return LIKELY(t->syn_acked) ? tcp_rtt_rto(&t->rtt, b, t->backoff)
                                : tcp_rtt_rto_syn(&t->rtt, b, t->backoff);
}

/* RFC 6582 section 3.2, step 3, and section 4: without SACK one hole is filled in a round trip; the
 * timer begins anew with the first partial ACK, not with those that follow.  Where there are more
 * holes than that leaves time for, it sends all that may be lost. */
static bool is_impatient(const struct tcp_work *w)
{
    return w->partial > 1 && w->recovering;
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
    if ((restart && !is_impatient(w)) || w->due[TCP_T_REXMT] == ESTAB_NEVER) /* (5.1), (5.3) */
        arm_in(t, TCP_T_REXMT, tcp_rto(t));
}

#define ABSURD_RTT ESTAB_S(3600)

/* RFC 6298 section 3 (Karn): an octet sent once is timed.  Where none is, because something goes
 * again: what the ACK is of, if all that was sent once; or else the timestamp's echo, where there
 * is one (RFC 7323 section 4), which knows milliseconds only. [MUST-18, RFC6298-3-1, RFC6298-3-2,
 * RFC7323-4.1-1, RFC8961-4-2] */
estab_dur tcp_rtt_of_ack(struct tcb *t, const struct seg *g, const struct run *once)
{
    struct tcp_work *w = t->w;
    bool coarse = false;
    estab_dur rtt = ESTAB_NEVER;

    if (LIKELY(w->rtt_at != ESTAB_NEVER)) {
        if (UNLIKELY(!seq_le(w->rtt_seq, g->ack)))
            return ESTAB_NEVER;
        rtt = time_since(w->rtt_at, t->layer->env->now);
        w->rtt_at = ESTAB_NEVER;
    } else if (once) {
        rtt = ESTAB_US(tcp_us(t->layer) - once->sent_us);
    } else if (t->ts_ok && (g->opt.has & OPT_TS) && g->opt.ts_ecr) {
        rtt = ESTAB_MS((uint32_t)(tcp_ts_now(t->layer) + t->ts_offset - g->opt.ts_ecr));
        coarse = true;
    }
    if (UNLIKELY(rtt >= ABSURD_RTT))
        return ESTAB_NEVER;
    if (UNLIKELY(coarse))
        tcp_rtt_sample_ms(&t->rtt, rtt);
    else
        tcp_rtt_sample(&t->rtt, rtt);
    t->backoff = 0; /* RFC 6298 section 5: a measurement ends it, an ACK alone does not */
    return rtt;
}

/* RFC 6298 section 3: of a SYN that was sent once; or else what the timestamp's echo says of which
 * it was (RFC 7323 section 4). */
void tcp_rtt_of_syn(struct tcb *t, const struct seg *g, bool timed)
{
    uint32_t ms = tcp_ts_now(t->layer) + t->ts_offset - g->opt.ts_ecr;

    if (t->w && t->w->rtt_at != ESTAB_NEVER) {
        tcp_rtt_sample(&t->rtt, time_since(t->w->rtt_at, t->layer->env->now));
        t->w->rtt_at = ESTAB_NEVER;
    } else if (timed && t->rtt.srtt == 0 && t->ts_ok && (g->opt.has & OPT_TS) && g->opt.ts_ecr &&
               ESTAB_MS(ms) < ABSURD_RTT) {
        tcp_rtt_sample_ms(&t->rtt, ESTAB_MS(ms));
    }
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
    t->owed.uto =
        tcp_extra(t)->adv_uto != 0; /* RFC 5482 section 3: in the first segment without SYN */
    if (w) {
        w->retries = 0;
        w->stalled_at = ESTAB_NEVER;
        sent_ack(&w->sent, &t->layer->pool, t->snd.una, NULL);
        w->reduced = t->snd.una;
        tcp_cwv_begin(t);
        w->recover = seq_sub(t->snd.una, 1);
        if (UNLIKELY(w->syn_text))
            tcp_fastopen_rest(t);
        if (UNLIKELY(lost))
            tcp_rtt_syn_lost(&t->rtt);
        tcp_rexmt_arm(t, true);
    }
    if (lost || !begun)
        cc_init(&t->cc, /* RFC 5681 section 3.1: one segment after a lost SYN */
                lost ? mss : cc_initial_window(t->layer->set.initial_window, mss));
    tcp_raise(t, ESTAB_EV_OUT);
}

/* RFC 3465's L.  Departs from RFC 9406 section 4.2, which recommends 8 to who does not pace: a
 * receiver of 1 Gbit/s acknowledges at once what has come together.  So the limit is for what the
 * ACK of a late segment takes in, not for what it is the first to tell of.  Section 2.3: after a
 * timeout an ACK may be of what had arrived before, and L is 1. */
static uint32_t slow_start_limit(const struct tcb *t, uint32_t mss, uint32_t delivered)
{
    uint32_t segments = t->layer->set.profile.slow_start;
    bool own = segments == ESTAB_SLOW_START_OWN;

    if (own)
        segments = tcp_cc(t)->slow_start;
    if (t->w->rto_recovering && segments > 1)
        segments = 1;
    return own && segments > 1 && delivered > segments * mss ? delivered : segments * mss;
}

struct ack { /* one that is being dealt with */
    const struct seg *g;
    struct sent_news news;
    bool sack_news; /* its SACK blocks told something */
    bool tail_lost; /* a tail loss probe has repaired a loss */
    /* Of new octets: */
    uint32_t acked;     /* so many, SYN and FIN too */
    struct cc_sample s; /* for the algorithm */
    bool marked;        /* it tells of a mark */
    bool undone;        /* and that what was taken for lost was late */
};

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

/* What has arrived, by SEG.ACK and by SACK blocks: RFC 6675 section 5, Update(); RFC 8985 section
 * 6.2, steps 1 to 3, and section 7.4.2. */
static void note_delivered(struct tcb *t, struct ack *a)
{
    struct tcp_work *w = t->w;
    const struct seg *g = a->g;
    bool dsack = false;

    a->news = news_of(t, g);
    if (seq_lt(t->snd.una, g->ack))
        sent_ack(&w->sent, &t->layer->pool, g->ack, &a->news);
    a->sack_news = (g->opt.has & OPT_SACK) && tcp_sack_arrives(t, g, &a->news, &dsack) > 0;
    if (t->sack_ok && a->news.delivered > 0)
        tcp_rack_delivered(t, &a->news);
    a->tail_lost = w->tlp_out && tcp_tlp_acked(t, g, dsack);
}

/* RFC 5681 section 2: nothing new acknowledged, something outstanding, no text, SYN or FIN, the
 * same window; but where SACK blocks say what has arrived they decide (RFC 6675 section 2): peers
 * change their window with each segment, or send text of their own. */
static bool is_duplicate(const struct tcb *t, const struct ack *a)
{
    const struct seg *g = a->g;

    if (seq_eq(t->snd.una, t->snd.nxt) || !seq_eq(g->ack, t->snd.una))
        return false;
    if (t->sack_ok && g->opt.nsack > 0)
        return a->sack_news;
    /* RFC 9768 section 3.2.2.5.1: an ACK of ACKs that came marked has no SACK blocks. */
    if (t->sack_ok && t->ecn_acc && tcp_cc(t)->counts_marks)
        return false;
    return g->len == 0 && tcp_seg_wnd(t, g) == t->snd.wnd && t->snd.wnd != 0;
}

/* What was sent once and is reported behind a hole is a measurement, too. */
static RARE void measure_report(struct tcb *t, const struct sent_news *news)
{
    estab_dur rtt = ESTAB_US(tcp_us(t->layer) - news->last.sent_us);

    if (!news->any || news->last.flags & RUN_RESENT || rtt >= ABSURD_RTT)
        return;
    tcp_rtt_sample(&t->rtt, rtt);
    t->backoff = 0;
}

/* SEG.ACK =< SND.UNA. */
static void ack_of_nothing_new(struct tcb *t, struct ack *a)
{
    if (t->w->frto && tcp_frto_ack(t, &a->news, false))
        t->w->dupacks = 0;
    else if (is_duplicate(t, a))
        tcp_duplicate_ack(t, a->news.delivered);
    if (UNLIKELY(t->backoff > 0))
        measure_report(t, &a->news);
    if (a->news.delivered > 0) {
        a->s = tcp_sample(t, 0, seq_diff(t->snd.nxt, t->snd.una), ESTAB_NEVER);
        tell(t, &a->news, &a->s);
    }
}

/* RFC 7661 section 4.4: a window that is no more than twice of what is in flight is validated, and
 * grows as ever, also where the peer's window is what limits, not the user: what the peer opens
 * next can be used at once. */
static bool is_filled(const struct tcb *t, uint32_t flight)
{
    return t->cc.cwnd < t->cc.ssthresh && t->cc.cwnd / 2 < flight &&
           tcp_unsent(t) > tcp_window_usable(t) && !tcp_cc(t)->pacing_rate;
}

/* What the algorithm is told, before SND.UNA moves: of the round trip of each ACK, not of an octet
 * at a time. */
static void take_sample(struct tcb *t, struct ack *a)
{
    const struct run *last = &a->news.last;
    bool once = a->news.any && a->news.first_copies == a->news.delivered;

    tcp_flight_note(t);
    a->acked = seq_diff(a->g->ack, t->snd.una);
    a->s = tcp_sample(t, a->acked, seq_diff(t->snd.nxt, t->snd.una),
                      tcp_rtt_of_ack(t, a->g, once ? last : NULL));
    a->s.cwnd_limited |= is_filled(t, a->s.flight);
    if (a->news.any && !(last->flags & RUN_RESENT))
        a->s.rtt = ESTAB_US(tcp_us(t->layer) - last->sent_us);
    a->marked = tcp_ecn_echoed(t, a->g, &a->s);
}

/* RFC 9293 section 3.10.7.4, fifth: "SND.UNA is set to SEG.ACK.  Any segments on the retransmission
 * queue that are thereby entirely acknowledged are removed." */
static void advance_una(struct tcb *t, const struct ack *a)
{
    struct tcp_work *w = t->w;
    uint32_t text = a->acked - (t->fin_sent && seq_eq(a->g->ack, t->snd.nxt) ? 1 : 0);

    tcp_queue_drop(t, text);
    t->snd.una = a->g->ack;
    tcp_count_acked(t, text);
    w->small_end = seq_max(w->small_end, t->snd.una);
    w->reduced = seq_max(w->reduced, t->snd.una);
    if (w->snd_urgent && !seq_lt(t->snd.una, w->snd_up))
        w->snd_urgent = false;
    if (w->mtu_failed || !seq_eq(w->probe_lo, w->probe_hi))
        tcp_mtu_acked(t);
    if (w->sent.n > 0 && sent_run(&w->sent, 0)->flags & RUN_SACKED) {
        sent_renege(&w->sent); /* RFC 2018 section 8: or it would be acknowledged */
        rule_count(t->layer->rules, RULE_SACK_RENEGED);
    }
}

/* Departs from RFC 6298 section 5, where nothing but a measurement ends the back-off: it ends, too,
 * when what went again after the retransmission timer's first segment is acknowledged as soon as
 * the RTO without it expects: the path is as it was, and text was lost.  While a large flight goes
 * again nothing can be measured unless there are timestamps (Karn), and each ACK that was lost then
 * doubled the RTO: with one of ten lost a megabyte took 20 minutes.  Were the round trip longer
 * than the RTO, F-RTO says so, or the next new text. */
static RARE void end_backoff(struct tcb *t, const struct sent_news *news)
{
    estab_dur age = ESTAB_US(tcp_us(t->layer) - news->last.sent_us);

    if (t->w->retries == 0 && news->any && age < tcp_rtt_plain(&t->rtt, &t->layer->set.rto))
        t->backoff = 0;
}

/* The peer is there: what R1, R2 and the user timeout count begins anew. */
static void end_patience(struct tcb *t)
{
    struct tcp_work *w = t->w;

    w->retries = w->probes = 0;
    w->stalled_at = seq_eq(t->snd.una, t->snd.nxt) ? ESTAB_NEVER : t->layer->env->now;
    t->soft_err = 0;
}

/* RFC 5682, RFC 3522: what was taken for lost was late. */
static bool undo_loss(struct tcb *t, const struct ack *a)
{
    struct tcp_work *w = t->w;
    bool undone =
        (w->frto && tcp_frto_ack(t, &a->news, true)) || (w->undo_on && tcp_undo_echo(t, &a->news));

    if (w->undo_on)
        tcp_undo_expire(t);
    return undone;
}

/* All that was in flight at the timeout is acknowledged. */
static void end_rto_recovery(struct tcb *t)
{
    if (t->w->rto_recovering && !seq_lt(t->snd.una, t->w->recover)) {
        t->w->rto_recovering = false;
        tcp_cwv_begin(t);
        tcp_rack_recovered(t);
    }
    if (seq_lt(t->w->recover, t->snd.una))
        t->w->recover = seq_sub(t->snd.una, 1); /* or it would seem to lie ahead, 2 GiB later */
}

/* RFC 8985 section 6.2, step 5, after each ACK; also the one that ends a recovery may show that
 * something else is lost. */
static bool shows_loss(struct tcb *t, const struct ack *a)
{
    const struct tcp_work *w = t->w;

    return !w->recovering && !a->undone && t->sack_ok && w->sent.n > 0 && tcp_rack_detect(t) > 0 &&
           !w->rto_recovering;
}

/* RFC 5681 section 3.1: outside recovery; and where no mark came. [RFC3168-6.1.2-3] */
static void grow_window(struct tcb *t, struct ack *a)
{
    a->s.una = t->snd.una;
    a->s.slow_start = slow_start_limit(t, a->s.mss, a->news.delivered);
    if (!a->marked || tcp_cc(t)->counts_marks)
        tcp_cc(t)->on_ack(&t->cc, &t->w->cc, &a->s);
}

static void recover_or_grow(struct tcb *t, struct ack *a)
{
    bool in_recovery = t->w->recovering;

    if (in_recovery)
        tcp_recovering_ack(t, a->acked, a->news.delivered);
    if (shows_loss(t, a)) {
        t->w->dupacks = 0;
        tcp_recover(t, a->news.delivered);
    } else if (!in_recovery) {
        t->w->dupacks = 0;
        grow_window(t, a);
        if (!t->w->rto_recovering)
            tcp_cwv_acked(t);
    }
    if (a->tail_lost)
        tcp_tail_lost(t);
}

/* RFC 6298 (5.2), (5.3), RFC 8985 section 7.2; the window is open. */
static void arm_timers(struct tcb *t)
{
    tcp_cancel(t, TCP_T_PERSIST);
    tcp_rexmt_arm(t, true);
    if (t->sack_ok && t->w->sent.n > 0)
        tcp_tlp_arm(t);
}

/* SND.UNA < SEG.ACK =< SND.NXT. */
static void ack_of_something_new(struct tcb *t, struct ack *a)
{
    take_sample(t, a);
    advance_una(t, a);
    if (UNLIKELY(t->backoff > 0))
        end_backoff(t, &a->news);
    end_patience(t);
    a->undone = undo_loss(t, a);
    end_rto_recovery(t);
    recover_or_grow(t, a);
    tell(t, &a->news, &a->s);
    tcp_buffer_acked(t);
    arm_timers(t);
    (void)tcp_raise_room(t);
}

void tcp_ack_advance(struct tcb *t, const struct seg *g)
{
    struct ack a;

    a.g = g;
    note_delivered(t, &a);
    if (seq_lt(t->snd.una, g->ack))
        ack_of_something_new(t, &a);
    else
        ack_of_nothing_new(t, &a);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_arrive.c - SEGMENT ARRIVES, RFC 9293 section 3.10.7.
 *
 * The functions below are the RFC's numbered checks, in the RFC's order and under the RFC's names.
 * A check may change the connection and may raise t->owed; it never sends.  tcp_output() pays when
 * the driver pulls.
 *
 *      3.10.7.1  CLOSED         tcp_arrive_closed()     tcp_arrive_init.c
 *      3.10.7.2  LISTEN         tcp_arrive_listen()     tcp_arrive_init.c
 *      3.10.7.3  SYN-SENT       tcp_arrive_syn_sent()   tcp_arrive_init.c
 *      3.10.7.4  all others     check_seq() ... check_fin(), below
 *
 * SYN-RECEIVED after a passive open and TIME-WAIT have no tcb: their columns of 3.10.7.4 are
 * tcp_synq.c and tcp_timewait.c. */
#include "tcp/tcp.h"

enum verdict { GO_ON, STOP };

/* RFC 5961 section 7, but per connection, so that one connection's count tells nothing about
 * another's. [RFC5961-7-1] */
void tcp_challenge_ack(struct tcb *t)
{
    const uint8_t per_second = 5;
    uint8_t now_s = tcp_second(t->layer);

    if (t->challenge_s != now_s) {
        t->challenge_s = now_s;
        t->challenges = 0;
    }
    if (t->challenges >= per_second) {
        rule_count(t->layer->rules, RULE_CHALLENGE_LIMIT);
        return;
    }
    t->challenges++;
    t->owed.ack_now = true;
}

/* Table 6: four cases, by SEG.LEN and RCV.WND. */
bool tcp_acceptable(seq_t nxt, uint32_t wnd, const struct seg *g)
{
    if (g->len == 0)
        return wnd == 0 ? seq_eq(g->seq, nxt) : seq_in(g->seq, nxt, wnd);
    return wnd != 0 && (seq_in(g->seq, nxt, wnd) || seq_in(seq_add(g->seq, g->len - 1), nxt, wnd));
}

void tcp_trim(struct tcb *t, struct seg *g)
{
    seq_t end;
    uint32_t n;

    if (seq_lt(g->seq, t->rcv.nxt)) {
        n = seq_diff(t->rcv.nxt, g->seq);
        tcp_dsack(t, g->seq, t->rcv.nxt);
        pieces_trim_head(&g->text, n);
        g->seq = t->rcv.nxt;
        g->len -= n;
        g->up = g->up > n ? (uint16_t)(g->up - n) : 0;
    }
    end = seq_add(g->seq, g->len);
    if (!seq_lt(t->rcv.adv, end))
        return;
    n = seq_diff(end, t->rcv.adv);
    rule_count(t->layer->rules, RULE_TEXT_TRIMMED);
    g->len -= n;
    if (g->flags & SEG_FIN) {
        g->flags &= (uint8_t)~SEG_FIN;
        n--;
    }
    pieces_trim_tail(&g->text, n);
}

/* RFC 7323 section 5.3: before the sequence number, and before everything else, the timestamp.
 * [RFC7323-3.2-2, RFC7323-5.3-1] */
static RARE enum verdict check_paws(struct tcb *t, const struct seg *g)
{
    if (!(g->opt.has & OPT_TS)) {
        if (g->flags & (SEG_RST | SEG_SYN)) /* a peer that restarted may have none */
            return GO_ON;
        tcp_drop(t, g, RULE_TS_MISSING);
        return STOP;
    }
    if (tcp_paws_ok(t, g))
        return GO_ON;
    tcp_challenge_ack(t);
    tcp_drop(t, g, RULE_PAWS);
    return STOP;
}

/* First, check the sequence number.  Against a closed window the text is refused but ACK and RST
 * still count
 * ("special allowance should be made ...") [MUST-66].  RST and SYN are judged by the number they
 * came with (RFC 5961 sections 3.2 and 4.2), so nothing is trimmed off in front of one. */
static RARE enum verdict check_seq_closely(struct tcb *t, struct seg *g)
{
    if (t->ts_ok && check_paws(t, g) == STOP)
        return STOP;
    /* Figure 8, line 5: the peer's SYN,ACK carries the SYN that we have, and the ACK that we need.
     */
    if (!t->syn_acked && (g->flags & (SEG_SYN | SEG_RST)) == SEG_SYN &&
        seq_eq(seq_add(g->seq, 1 + (uint32_t)t->octets_received), t->rcv.nxt)) {
        tcp_ecn_syn_arrives(t, g);
        if (!(g->flags & SEG_ACK)) { /* its SYN again: our answer was lost */
            t->owed.syn = true;
            return STOP;
        }
        g->flags &= (uint8_t)~SEG_SYN;
        g->seq = seq_add(g->seq, 1);
        g->len--;
    }
    if (g->flags & (SEG_RST | SEG_SYN))
        return GO_ON;
    if (tcp_acceptable(t->rcv.nxt, tcp_rcv_wnd(t), g)) {
        if (t->ecn_acc)
            tcp_ecn_count(t, g);
        tcp_trim(t, g);
        return GO_ON;
    }
    if (tcp_rcv_wnd(t) == 0 && seq_eq(g->seq, t->rcv.nxt)) {
        if (t->ecn_ok && g->text.len > 0)
            tcp_ecn_text(t, g); /* of a window probe [RFC3168-6.1.6-2] */
        g->text.len = g->text.n = 0;
        g->len = 0;
        g->flags &= (uint8_t)~SEG_FIN;
        t->owed.ack_now = true;
        return GO_ON;
    }
    if (g->text.len > 0 && seq_le(seq_add(g->seq, g->len), t->rcv.nxt)) {
        tcp_dsack(t, g->seq, seq_add(g->seq, g->text.len));
        t->owed.ack_now = true;
        tcp_drop(t, g, RULE_TEXT_DUPLICATE);
        return STOP;
    }
    if (g->len > 0)
        t->owed.ack_now = true;
    else
        tcp_challenge_ack(t); /* limited: two ends out of step must fall silent */
    tcp_drop(t, g, RULE_UNACCEPTABLE);
    return STOP;
}

/* Most are what comes next, and fit. */
static inline enum verdict check_seq(struct tcb *t, struct seg *g)
{
    if (UNLIKELY(!t->syn_acked || (g->flags & (SEG_RST | SEG_SYN)) != 0 ||
                 !seq_eq(g->seq, t->rcv.nxt) || tcp_rcv_wnd(t) == 0 || g->len > tcp_rcv_wnd(t)))
        return check_seq_closely(t, g);
    if (t->ts_ok && UNLIKELY(!(g->opt.has & OPT_TS) || !tcp_paws_ok(t, g)))
        return check_paws(t, g);
    if (UNLIKELY(t->ecn_acc))
        tcp_ecn_count(t, g);
    return GO_ON;
}

/* Second, check the RST bit; RFC 5961 section 3.2: outside the window it is dropped, inside it must
 * have SEG.SEQ = RCV.NXT exactly. [MUST-11, MUST-12, SHLD-2, RFC5961-3.2-1, RFC5961-3.2-2,
 * RFC5961-3.2-3] */
static RARE enum verdict check_rst(struct tcb *t, const struct seg *g)
{
    enum estab_err err = ESTAB_E_RESET;
    uint32_t wnd = tcp_rcv_wnd(t);

    if (!seq_eq(g->seq, t->rcv.nxt) && !seq_in(g->seq, t->rcv.nxt, wnd)) {
        tcp_drop(t, g, RULE_RST_OUTSIDE);
        return STOP;
    }
    if (!seq_eq(g->seq, t->rcv.nxt)) {
        if (t->state != ESTAB_SYN_RECEIVED || !t->layer->set.profile.syn_received_silent)
            tcp_challenge_ack(t);
        tcp_drop(t, g, RULE_BLIND_RST);
        return STOP;
    }
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_SYN_RECEIVED:
        err = t->active ? ESTAB_E_REFUSED : ESTAB_E_RESET;
        break;
    case ESTAB_CLOSE_WAIT:
        if (t->layer->set.profile.close_wait_pipe)
            err = ESTAB_E_PIPE;
        break;
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK: /* "enter the CLOSED state": the user is told nothing */
        err = ESTAB_OK;
        break;
    default:
        break;
    }
    rule_count(t->layer->rules, RULE_RST_ACCEPTED);
    tcp_fail(t, err, ESTAB_BY_SEGMENT, false);
    return STOP;
}

/* Third, check security: not implemented, as RFC 9293 appendix A.1 allows. */

/* Fourth, check the SYN bit; RFC 5961 section 4.2: "irrespective of the sequence number".
 * [RFC5961-4.2-1] */
static RARE enum verdict check_syn(struct tcb *t, const struct seg *g)
{
    if (t->ecn_acc)
        tcp_ecn_synack_came_again(t, g);
    tcp_challenge_ack(t);
    tcp_drop(t, g, RULE_BLIND_SYN);
    return STOP;
}

bool tcp_fin_acked(const struct tcb *t)
{
    return t->fin_sent && seq_eq(t->snd.una, t->snd.nxt);
}

/* RFC 5961 section 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. [MAY-12, RFC5961-5.2-1] */
static inline enum verdict check_ack_range(struct tcb *t, const struct seg *g)
{
    uint32_t oldest = seq_diff(t->snd.nxt, t->snd.una) + t->snd.wnd_max;

    if (seq_lt(t->snd.nxt, g->ack)) {
        tcp_challenge_ack(t);
        tcp_drop(t, g, RULE_ACK_UNSENT);
        return STOP;
    }
    if (seq_diff(t->snd.nxt, g->ack) > oldest) {
        tcp_challenge_ack(t);
        tcp_drop(t, g, RULE_ACK_RANGE);
        return STOP;
    }
    return GO_ON;
}

void tcp_syn_acked(struct tcb *t, const struct seg *g, bool timed)
{
    t->syn_acked = true;
    t->snd.una = seq_add(t->snd.una, 1);
    t->snd.wnd = tcp_seg_wnd(t, g);
    t->snd.wnd_max = t->snd.wnd;
    t->snd.wl1 = g->seq;
    tcp_rtt_of_syn(t, g, timed);
    if (t->state == ESTAB_SYN_RECEIVED)
        tcp_enter(t, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT);
    tcp_established(t);
    tcp_fastopen_settled(t, false);
    /* Departs from RFC 9293 section 3.10.4: a CLOSE in SYN-RECEIVED always waits for ESTABLISHED,
     * not only where there is something to send. */
    if (t->fin_queued && t->state == ESTAB_ESTABLISHED)
        tcp_enter(t, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
}

/* SYN-RECEIVED (after a simultaneous open): SND.UNA < SEG.ACK <= SND.NXT enters ESTABLISHED, or it
 * is reset. */
static RARE enum verdict check_ack_of_syn(struct tcb *t, const struct seg *g)
{
    if (!seq_lt(t->snd.una, g->ack) || seq_lt(t->snd.nxt, g->ack)) {
        tcp_reply_rst(t->layer, &t->path, t->peer, g, (enum estab_tcp_state)t->state,
                      RULE_SYN_RECEIVED_ACK);
        return STOP;
    }
    tcp_syn_acked(t, g, true);
    t->owed.ack_now |= g->syn_wnd; /* a SYN,ACK: the peer may not have had ours */
    return GO_ON;
}

/* RFC 7323 section 4.3 (2), once the segment is known to be acceptable, ACK and all: whoever can
 * set TS.Recent can make PAWS refuse the peer. [RFC7323-4.3-1] */
static void remember_ts(struct tcb *t, const struct seg *g)
{
    if (!t->ts_ok || UNLIKELY(!(g->opt.has & OPT_TS)) || !seq_le(g->seq, tcp_last_ack(t)))
        return;
    t->ts_recent = g->opt.ts_val;
    t->ts_recent_h = tcp_hour(t->layer);
}

/* Fifth, check the ACK field. */
static enum verdict check_ack(struct tcb *t, const struct seg *g)
{
    if (UNLIKELY(!(g->flags & SEG_ACK))) {
        tcp_drop(t, g, RULE_NO_ACK);
        return STOP;
    }
    if (!t->syn_acked && check_ack_of_syn(t, g) == STOP)
        return STOP;
    if (check_ack_range(t, g) == STOP)
        return STOP;
    remember_ts(t, g);
    if (UNLIKELY(g->route && !t->active))
        t->routed |= tcp_route_arrives(t->layer, TCP_REF(TCP_REF_TCB, t->slot), &t->path, g->route);
    if (t->w)
        t->w->unanswered = 0;
    if (UNLIKELY(t->ecn_acc))
        tcp_ecn_feedback(t, g);
    tcp_ack_in(t, g);
    if (!tcp_fin_acked(t))
        return GO_ON;
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_FIN_WAIT_1:
        tcp_enter(t, ESTAB_FIN_WAIT_2, ESTAB_BY_SEGMENT);
        tcp_raise(t, ESTAB_EV_FLUSHED);
        t->idle_on = false;
        tcp_idle_arm(t);
        return GO_ON;
    case ESTAB_CLOSING:
        timewait_enter(t);
        return STOP;
    case ESTAB_LAST_ACK:
        tcp_fail(t, ESTAB_OK, ESTAB_BY_SEGMENT, false);
        return STOP;
    default:
        return GO_ON;
    }
}

/* Sixth, check the URG bit: urgent data is delivered in line (RFC 6093 section 3.1); the user is
 * told that there is some, and how far it reaches, and nothing else depends on the pointer, so none
 * of its values can do harm. [MUST-30, MUST-31, MUST-32, MUST-66] */
static RARE void check_urg(struct tcb *t, const struct seg *g)
{
    seq_t up = seq_add(g->seq, g->up);

    rule_count(t->layer->rules, RULE_URGENT);
    if (t->fin_rcvd || t->rd_shut || !seq_lt(tcp_read_at(t), up) ||
        (t->rcv_urgent && !seq_lt(t->w->rcv_up, up)) || !tcb_work(t))
        return; /* CLOSE-WAIT and later: "this should not occur"; or nothing that is news */
    t->rcv_urgent = true;
    t->w->rcv_up = up;
    tcp_raise(t, ESTAB_EV_URG);
}

/* Seventh, process the segment text: tcp_text().  Eighth, check the FIN bit. */
static void check_fin(struct tcb *t)
{
    t->rcv.nxt = seq_add(t->rcv.nxt, 1);
    t->rcv.adv = seq_max(t->rcv.adv, t->rcv.nxt);
    t->fin_rcvd = true;
    t->owed.ack_now = true;
    tcp_text_end(t);
    tcp_raise(t, ESTAB_EV_IN | ESTAB_EV_RDHUP);
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_ESTABLISHED:
        tcp_enter(t, ESTAB_CLOSE_WAIT, ESTAB_BY_SEGMENT);
        break;
    case ESTAB_FIN_WAIT_1: /* our FIN is not acked, or check_ack() would have left FIN-WAIT-1 */
        tcp_enter(t, ESTAB_CLOSING, ESTAB_BY_SEGMENT);
        if (UNLIKELY(t->layer->set.profile.closing_repeats_fin && t->fin_sent)) {
            (void)sent_lose(&t->w->sent, &t->layer->pool, seq_sub(t->snd.nxt, 1), t->snd.nxt);
        }
        break;
    case ESTAB_FIN_WAIT_2:
        timewait_enter(t);
        break;
    default:
        break;
    }
}

void tcp_arrive_text(struct tcb *t, struct seg *g)
{
    if (UNLIKELY(g->flags & SEG_URG))
        check_urg(t, g);
    if (LIKELY(tcp_text(t, g)))
        check_fin(t);
}

static void arrive_synchronized(struct tcb *t, struct seg *g)
{
    if (check_seq(t, g) == STOP || (g->flags & SEG_RST && check_rst(t, g) == STOP) ||
        (g->flags & SEG_SYN && check_syn(t, g) == STOP) || check_ack(t, g) == STOP)
        return;
    if (UNLIKELY(g->opt.has & OPT_UTO))
        tcp_uto_arrives(t, g);
    if (g->len > 0 || UNLIKELY(g->flags & SEG_URG))
        tcp_arrive_text(t, g);
}

/* The next text passes all eight checks at a glance: in order, inside the window, acknowledging
 * nothing or something that was sent, nothing out of order waiting, nobody's window closed.  Saves
 * some 25 of 90 ns a segment in bulk, and a pass over the text of every message. */
bool tcp_predicted(const struct tcb *t, const struct seg *g)
{
    const uint8_t ace = t->ecn_acc ? SEG_ECE | SEG_CWR : 0;

    return LIKELY(t->state == ESTAB_ESTABLISHED && (g->flags & ~(SEG_PSH | ace)) == SEG_ACK &&
                  seq_eq(g->seq, t->rcv.nxt) && seq_le(t->snd.una, g->ack) &&
                  seq_le(g->ack, t->snd.nxt)) &&
           (!t->w || LIKELY(!t->w->ahead && !t->w->fin_ahead)) &&
           LIKELY(g->len > 0 && g->len <= tcp_rcv_wnd(t) && g->wnd > 0 && t->snd.wnd > 0 &&
                  !t->orphan && !t->rd_shut && (g->opt.has & ~OPT_TS) == 0 && !g->route) &&
           (!t->ts_ok ||
            LIKELY((g->opt.has & OPT_TS) && (int32_t)(g->opt.ts_val - t->ts_recent) >= 0));
}

static void predicted_end(struct tcb *t)
{
    if (UNLIKELY(t->keepidle_ms))
        tcp_idle_arm(t);
    if (t->owed.ack_now)
        tcp_owe(t);
    tcp_why_note(t);
    tcb_check(t);
}

void tcp_predicted_arrives(struct tcb *t, struct seg *g)
{
    bool news = !seq_eq(g->ack, t->snd.una) || tcp_seg_wnd(t, g) != t->snd.wnd || t->w->frto != 0;

    t->segs_in += g->nsegs;
    t->keep_probes = 0;
    remember_ts(t, g);
    if (UNLIKELY(t->ecn_acc))
        tcp_ecn_feedback(t, g);
    t->w->unanswered = 0;
    if (LIKELY(news)) {
        tcp_ack_in(t, g);
    } else {
        t->snd.wl1 = seq_max(t->snd.wl1, g->seq); /* one that was lost came with a later window */
    }
    tcp_buffer_text(t, g);
    if (UNLIKELY(t->ecn_ok))
        tcp_ecn_text(t, g);
    tcp_text_stored(t, g->text.len);
    if (tcp_wants(t))
        tcp_owe(t);
    predicted_end(t);
}

/* ... or that something sent has arrived. */
bool tcp_ack_predicted(const struct tcb *t, const struct seg *g)
{
    return t->state == ESTAB_ESTABLISHED && g->flags == SEG_ACK && g->len == 0 && t->w &&
           seq_eq(g->seq, t->rcv.nxt) && seq_lt(t->snd.una, g->ack) && seq_le(g->ack, t->snd.nxt) &&
           g->wnd > 0 && t->snd.wnd > 0 && !t->ecn_acc && !t->fin_sent && !t->orphan &&
           (g->opt.has & ~OPT_TS) == 0 && !g->route &&
           (!t->ts_ok || ((g->opt.has & OPT_TS) && (int32_t)(g->opt.ts_val - t->ts_recent) >= 0));
}

void tcp_predicted_ack_arrives(struct tcb *t, const struct seg *g)
{
    t->segs_in += g->nsegs;
    t->keep_probes = 0;
    remember_ts(t, g);
    t->w->unanswered = 0;
    tcp_ack_in(t, g);
    tcp_idle_arm(t);
    tcp_settle(t);
}

bool tcp_predicted_more(const struct tcb *t, const struct seg *g)
{
    return seq_eq(g->seq, t->rcv.nxt) && g->len > 0 && g->len <= tcp_rcv_wnd(t);
}

/* What differs from segment to segment; the rest was done for the one that was predicted. */
void tcp_run_arrives(struct tcb *t, const struct seg *g)
{
    t->segs_in++;
    t->snd.wl1 = seq_max(t->snd.wl1, g->seq);
    if (t->ecn_ok)
        tcp_ecn_text(t, g);
    tcp_text_more(t, g->text.len);
}

void tcp_run_ends(struct tcb *t)
{
    if (tcp_readable(t))
        tcp_raise(t, ESTAB_EV_IN);
    predicted_end(t);
}

/* [RFC7323-2.2-1] */
void tcp_segment_arrives(struct tcb *t, struct seg *g)
{
    t->segs_in += g->nsegs;
    t->keep_probes = 0;
    if (UNLIKELY(g->opt.has & (OPT_MSS | OPT_WS | OPT_SACK_OK)) && !g->syn_wnd)
        rule_count(t->layer->rules, RULE_OPTION_OUTSIDE_SYN);
    if (t->state == ESTAB_SYN_SENT)
        tcp_arrive_syn_sent(t, g);
    else
        arrive_synchronized(t, g);
    if (UNLIKELY(t->dead))
        return;
    tcp_idle_arm(t);
    tcp_settle(t);
}

/* The end of a connection other than by its own agreement (or, without an error, by the last ACK).
 */
void tcp_fail(struct tcb *t, enum estab_err err, enum estab_cause by, bool rst)
{
    struct tcp_layer *l = t->layer;

    if (UNLIKELY(t->state == ESTAB_SYN_SENT) && (by == ESTAB_BY_TIMEOUT || by == ESTAB_BY_ICMP))
        tcp_fastopen_unanswered(t);
    tcp_demux_del(t);
    tcp_sleep(t);
    tcp_unlist(t);
    tcp_unorphan(t);
    t->owed = (struct tcp_owed){.rst = rst};
    t->idle_on = false;
    if (t->w && (rst || !t->orphan)) { /* or it is freed with the rest */
        struct tcp_work *w = t->w;

        ring_fini(&w->snd, &l->pool);
        ring_init(&w->snd);
        tcp_ranges_free(l, &w->ahead);
        tcp_sums_free(l, w);
        tcp_lent_free(l, w);
        sent_clear(&w->sent, &l->pool, t->snd.nxt);
        for (int i = 0; i < TCP_TIMERS; i++)
            w->due[i] = ESTAB_NEVER;
    }
    t->err = (int8_t)err;
    tcp_enter(t, ESTAB_CLOSED, by);
    tcp_fastopen_settled(t, by == ESTAB_BY_SEGMENT);
    if (rst)
        tcp_owe(t);
    else if (t->orphan)
        tcb_release(t);
    tcp_raise(t, ESTAB_EV_HUP | ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP | ESTAB_EV_FLUSHED |
                     (err ? ESTAB_EV_ERR : 0));
}

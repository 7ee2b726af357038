/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_output.c - what may be sent now, and in which order (RFC 9293 section 3.8).
 *
 * Events raise obligations and put the connection on its port's send list; when the driver pulls,
 * tcp_output() pays them, one frame at a time:
 *
 *      RST, SYN       what a state owes
 *      lost text      as far as the congestion window goes
 *      new text, FIN  as far as both windows go, in pieces worth sending (Nagle, silly windows)
 *      probes         of a closed window, of an idle peer
 *      a bare ACK     if nothing above carried it
 *
 * Nothing here changes a state. */
#include "tcp/tcp.h"

#define SUPER_MAX 65000u

/* There is something to send, and it may not go. */
void tcp_stop(struct tcb *t, enum estab_why why)
{
    struct tcp_work *w = t->w;

    if (w->stopped == why)
        return;
    w->stopped = (uint8_t)why;
    w->stopped_at = t->layer->env->now;
}

/* How many of n octets from seq on one frame can carry. */
static uint32_t fits_at(const struct tcb *t, seq_t seq, uint32_t n)
{
    return t->w->lent_out ? tcp_queue_fits(t->w, seq_diff(seq, tcp_text_una(t)), n) : n;
}

/* Octets [seq, seq + n) and perhaps the FIN behind them once more. */
static void send_again(struct tcb *t, seq_t seq, uint32_t n, bool fin, enum rule why,
                       struct tcp_frames *out)
{
    tcp_sent_again(t, seq, seq_add(seq, n + (fin ? 1 : 0)));
    t->w->rtt_at = ESTAB_NEVER; /* Karn */
    tcp_count_retrans(t);
    tcp_mtu_resent(t, seq, n);
    rule_count(t->layer->rules, why);
    tcp_rexmt_arm(t, seq_eq(seq, t->snd.una)); /* RFC 6675 section 5.1: the first, anew */
    tcp_send_text(t, seq, n, fin, why, out);
}

/* What is lost goes first, a segment at a time, when the congestion window has room for it; but
 * what fast recovery knows to be lost goes at once (RFC 5681 section 3.2, step 3), and what was too
 * big (RFC 4821 section 7.6.2) does not wait for what limited transmit has let out. [SHLD-16,
 * MAY-7]
 */
static RARE bool send_lost(struct tcb *t, struct tcp_frames *out)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t), pipe = tcp_pipe(t), n = 0;
    seq_t seq, lost_to, text_end;
    enum rule why;
    bool fin;

    if (t->snd.wnd == 0 || w->frto == 2 || !sent_next_lost(&w->sent, &seq, &lost_to))
        return false;
    text_end = seq_add(tcp_text_una(t), tcp_queue_len(w));
    if (seq_lt(seq, text_end))
        n = seq_diff(seq_min(lost_to, text_end), seq);
    n = fits_at(t, seq, n < mss ? n : mss);
    if (!(w->recovering && seq_eq(seq, t->snd.una)) && pipe > 0 &&
        pipe + n > t->cc.cwnd + (w->too_big ? 2 * mss : 0)) {
        w->cwnd_limited = true;
        w->limited_to = t->snd.nxt;
        tcp_stop(t, ESTAB_WHY_CWND);
        return false;
    }
    w->stopped = ESTAB_WHY_NOTHING;
    fin = t->fin_sent && seq_eq(seq_add(seq, n), text_end) && seq_lt(text_end, lost_to);
    if (w->recovering || w->rto_recovering)
        tcp_undo_resent(t, n);
    why = w->too_big          ? RULE_TOO_BIG
          : w->rto_recovering ? RULE_RTO
          : w->syn_text       ? RULE_FASTOPEN_REFUSED
                              : RULE_FAST_RETRANSMIT;
    send_again(t, seq, n, fin, why, out);
    w->syn_text &= w->sent.lost > 0;
    return true;
}

/* After an RTO without sending, the window says less about the path than it did. */
static void restart_after_idle(struct tcb *t)
{
    uint32_t idle_ms = ms_of(t->layer->env->now) - t->sent_ms;

    if (t->sent_ms == 0 || !seq_eq(t->snd.una, t->snd.nxt) ||
        ESTAB_MS(idle_ms) <= tcp_rtt_plain(&t->rtt, &t->layer->set.rto))
        return;
    tcp_cwv_restart(t);
    if (tcp_cc(t)->on_idle)
        tcp_cc(t)->on_idle(&t->w->cc, t->layer->env->now);
}

/* RFC 9293 section 3.8.6.2.1 and 3.7.4: whether n octets of D unsent, less than (1) Eff.snd.MSS,
 * are worth a segment. Nagle's condition is the variation of appendix A.3: the last piece of an
 * answer waits for small segments in flight, not for full ones, which a peer that delays its ACKs
 * may leave unacknowledged if their number is odd. [MUST-38, MUST-60, MUST-17, SHLD-7] */
static bool worth_sending(const struct tcb *t, uint32_t n, uint32_t unsent)
{
    const struct tcp_work *w = t->w;
    bool idle = seq_le(w->small_end, t->snd.una);

    if (t->fin_queued && n == unsent) /* the FIN pushes, and nothing will ever be added */
        return true;
    if ((idle || t->nodelay) && !w->more && !t->corked && n == unsent) /* (2), Nagle */
        return true;
    if ((idle || t->nodelay) && n >= t->snd.wnd_max / 2) /* (3), Fs = 1/2 */
        return true;
    return w->sws_override; /* (4) */
}

/* A run ends at what the link cuts up itself, or at the frames that the driver has room for; at
 * SUPER_MAX, so that it lies in three pieces of the ring. */
static uint32_t run_max(const struct estab_port_caps *caps, uint32_t mss, uint32_t frames)
{
    const uint32_t hdrs = 120;
    uint32_t most = caps->gso_max > hdrs ? caps->gso_max - hdrs : frames * mss;

    if (most > SUPER_MAX)
        most = SUPER_MAX;
    return most > mss ? most - most % mss : mss;
}

/* RFC 3042: the first two duplicate ACKs let a segment go each; where SACK says what has left the
 * network, it has left the pipe. */
static uint32_t limited_transmit(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    if (w->dupacks == 0 || w->dupacks > 2 || w->recovering || w->rto_recovering ||
        w->sent.sacked > 0)
        return 0;
    return w->dupacks * tcp_eff_mss(t);
}

/* A run of new text ends where a frame's pieces do: with whole segments, if it has any. */
static uint32_t run_in_pieces(const struct tcb *t, uint32_t n, uint32_t mss)
{
    uint32_t fits = fits_at(t, t->snd.nxt, n);

    return fits < n && fits > mss ? fits - fits % mss : fits;
}

/* n of D unsent octets are as many as a frame's pieces reach: no ACK will make them more. */
static bool is_border(const struct tcb *t, uint32_t n, uint32_t unsent)
{
    return t->w->lent_out && n < unsent && fits_at(t, t->snd.nxt, n + 1) == n;
}

/* Octets of new text that may go in one run of at most `frames` segments; 0: none now. */
static uint32_t sendable(struct tcb *t, uint32_t unsent, uint32_t frames)
{
    struct tcp_work *w = t->w;
    const struct estab_port_caps *caps = &t->layer->ip->ports[t->path.port].caps;
    uint32_t mss = tcp_eff_mss(t), pipe = tcp_pipe(t), room;
    /* The urgent pointer counts from each segment's own number: no run of segments has one. A link
     * that cuts up by itself may repeat CWR, and not repeat the IP options of a source route;
     * whoever cuts has CWR on the first alone, also where it is a bit of ACE. */
    bool alone =
        w->snd_urgent || t->routed || (t->ecn_cwr && caps->gso_max) || (t->ecn_acc && t->r_cep & 2);
    uint32_t most = alone || unsent <= mss ? mss : run_max(caps, mss, frames);
    uint32_t n = run_in_pieces(t, unsent < most ? unsent : most, mss);
    uint32_t usable = tcp_window_usable(t);

    if (t->nonvalidated && unsent > mss)
        tcp_cwv_burst(t, unsent);
    if (t->paced)
        n = tcp_pace_most(t, n);
    room = t->cc.cwnd + limited_transmit(t);
    room = room > pipe ? room - pipe : 0;
    if (n > usable)
        n = usable;
    if (n > room) {
        w->cwnd_limited = true;
        w->limited_to = t->snd.nxt;
        if (pipe > 0)
            room -= room % mss; /* an ACK is on its way: wait for a whole segment's room */
        n = n < room ? n : room;
    } else if (n == unsent || (n == usable && n < room)) {
        w->cwnd_limited = false;
    }
    return n;
}

/* Which of the conditions of send_new() did not hold. */
static enum estab_why obstacle(const struct tcb *t, uint32_t unsent)
{
    const struct tcp_work *w = t->w;
    uint32_t usable = tcp_window_usable(t), n = unsent < usable ? unsent : usable;
    uint32_t pipe = tcp_pipe(t);

    if (usable == 0)
        return t->snd.wnd == 0 ? ESTAB_WHY_ZERO_WINDOW : ESTAB_WHY_WINDOW_FULL;
    if (n > (t->cc.cwnd > pipe ? t->cc.cwnd - pipe : 0))
        return ESTAB_WHY_CWND;
    if (n < unsent)
        return ESTAB_WHY_SWS;
    if (w->more || t->corked)
        return ESTAB_WHY_MORE;
    return t->nodelay || seq_le(w->small_end, t->snd.una) ? ESTAB_WHY_SWS : ESTAB_WHY_NAGLE;
}

/* The next n octets of new text, and perhaps the FIN behind them. */
static void send_next(struct tcb *t, uint32_t n, bool fin, enum rule why, struct tcp_frames *out)
{
    struct tcp_work *w = t->w;
    seq_t seq = t->snd.nxt;

    w->sws_override = false;
    w->stopped = ESTAB_WHY_NOTHING;
    t->snd.nxt = seq_add(seq, n + (fin ? 1 : 0));
    if (w->rtt_at == ESTAB_NEVER && w->sent.lost == 0 && !w->rto_recovering) {
        w->rtt_at = t->layer->env->now;
        w->rtt_seq = t->snd.nxt;
    }
    if (why != RULE_PMTU_PROBE && (n < tcp_eff_mss(t) ? n : n % tcp_eff_mss(t)))
        w->small_end = t->snd.nxt;
    tcp_sent(t, t->snd.nxt);
    t->fin_sent |= fin;
    w->due[TCP_T_SWS] = ESTAB_NEVER;
    tcp_rexmt_arm(t, false);
    if (t->sack_ok)
        tcp_tlp_arm(t);
    tcp_send_text(t, seq, n, fin, why, out);
    if (t->want_out)
        t->layer->env->raised |= tcp_raise_room(t) && t->in_ready;
}

/* Of the n octets before `end`, the last that one frame can carry. */
static uint32_t last_that_fit(const struct tcb *t, seq_t end, uint32_t n)
{
    uint32_t fits;

    while ((fits = fits_at(t, seq_sub(end, n), n)) < n)
        n -= fits;
    return n;
}

/* RFC 8985 section 7.3: new text, whatever the congestion window; or else the last segment again.
 */
static RARE bool send_tail_probe(struct tcb *t, struct tcp_frames *out)
{
    uint32_t unsent = tcp_unsent(t), usable = tcp_window_usable(t), mss = tcp_eff_mss(t), n;
    bool fin = t->fin_queued && !t->fin_sent;

    t->owed.tail = false;
    if (!tcp_tlp_may(t) || seq_eq(t->snd.una, t->snd.nxt))
        return false;
    n = unsent < usable ? unsent : usable;
    n = fits_at(t, t->snd.nxt, n < mss ? n : mss);
    if (n > 0) {
        rule_count(t->layer->rules, RULE_TAIL_PROBE);
        send_next(t, n, fin && n == unsent && usable > n, RULE_NONE, out);
        tcp_tlp_sent(t, false);
        return true;
    }
    fin = t->fin_sent;
    n = seq_diff(t->snd.nxt, t->snd.una) - (fin ? 1 : 0);
    n = last_that_fit(t, seq_sub(t->snd.nxt, fin ? 1 : 0), n < mss ? n : mss);
    send_again(t, seq_sub(t->snd.nxt, n + (fin ? 1 : 0)), n, fin, RULE_TAIL_PROBE, out);
    tcp_tlp_sent(t, true);
    return true;
}

/* [SHLD-27, SHLD-28, MAY-16] */
static bool send_new(struct tcb *t, struct tcp_frames *out)
{
    struct tcp_work *w = t->w;
    uint32_t unsent = tcp_unsent(t), mss, n = 0, probe = 0, tail;
    bool fin = false;

    if (unsent == 0 && !(t->fin_queued && !t->fin_sent))
        return false;
    if (w->ecn_wait) {
        tcp_stop(t, ESTAB_WHY_CWND);
        return false;
    }
    if (unsent > 0) {
        restart_after_idle(t);
        if (t->snd_mss < t->mss_max)
            probe = tcp_mtu_seek(t, fits_at(t, t->snd.nxt, unsent));
        n = probe ? probe : sendable(t, unsent, out->room - out->n);
        mss = tcp_eff_mss(t);
        assert(mss > 0);
        tail = n < mss ? n : n % mss; /* divisions take their time */
        if (!probe && tail > 0 && !is_border(t, n, unsent) &&
            !worth_sending(t, tail, unsent - (n - tail)))
            n -= tail;
    }
    if (t->fin_queued && !t->fin_sent && n == unsent && t->syn_acked)
        fin = tcp_window_usable(t) > n;
    if (n == 0 && !fin) {
        /* (4): what is held back for a better moment (more text, a wider window) waits 0.1 to 1 s,
         * unless an ACK or a probe ends that wait. */
        if (seq_eq(t->snd.una, t->snd.nxt) && t->snd.wnd > 0 && w->due[TCP_T_SWS] == ESTAB_NEVER)
            tcp_arm(t, TCP_T_SWS, time_add(t->layer->env->now, ESTAB_MS(200)));
        tcp_rexmt_arm(t, false); /* a closed window is probed */
        tcp_stop(t, obstacle(t, unsent));
        return false;
    }
    send_next(t, n, fin, probe ? RULE_PMTU_PROBE : RULE_NONE, out);
    if (n == unsent && w->sent.lost == 0 && tcp_pipe(t) < t->cc.cwnd)
        tcp_rate_limited(t);
    return true;
}

/* RFC 9293 section 3.8.6.1 [MUST-36]: one octet of new text (or the FIN) beyond the closed window,
 * the same one until it is taken. */
static RARE bool send_window_probe(struct tcb *t, struct tcp_frames *out)
{
    struct tcp_work *w = t->w;
    seq_t seq = t->snd.una;
    bool text;

    t->owed.probe = false;
    if (t->snd.wnd > 0 || !w)
        return false;
    text = tcp_queue_len(w) > 0;
    if (!text && !t->fin_queued)
        return false;
    if (seq_eq(t->snd.una, t->snd.nxt)) {
        t->snd.nxt = seq_add(seq, 1);
        t->fin_sent |= !text;
        tcp_sent(t, t->snd.nxt);
    } else {
        tcp_count_retrans(t);
        sent_found(&w->sent);
    }
    w->rtt_at = ESTAB_NEVER;
    rule_count(t->layer->rules, RULE_ZERO_WINDOW_PROBE);
    tcp_send_text(t, seq, text ? 1 : 0, !text, RULE_ZERO_WINDOW_PROBE, out);
    return true;
}

/* RFC 5682 section 2.1, step 2 (b): new text instead of what is lost; but who has none, or may not
 * send it, recovers as usual. */
static RARE bool send_instead(struct tcb *t, struct tcp_frames *out)
{
    struct tcp_work *w = t->w;

    if (w->frto != 2 || !seq_eq(t->snd.nxt, w->recover))
        return false;
    w->frto = 0;
    return send_lost(t, out);
}

/* What is lost, then what is new; where text goes by the clock, when it is time. */
static bool send_queue(struct tcb *t, struct tcp_frames *out)
{
    if (t->paced && tcp_pace_waits(t)) {
        tcp_stop(t, ESTAB_WHY_PACING);
        return false;
    }
    return (t->w->sent.lost > 0 && send_lost(t, out)) || send_new(t, out) ||
           (UNLIKELY(t->w->sent.lost > 0) && send_instead(t, out));
}

bool tcp_output(struct tcb *t, struct tcp_frames *out)
{
    if (t->owed.rst)
        return tcp_send_rst(t, out);
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
    case ESTAB_LISTEN:
    case ESTAB_TIME_WAIT:
        return false;
    case ESTAB_SYN_SENT:
        return tcp_send_syn(t, out);
    default:
        break;
    }
    if (!t->syn_acked) /* SYN-RECEIVED, or FIN-WAIT-1 by a CLOSE in it: the FIN waits for the SYN's
                          ACK; text does after an ordinary SYN */
        return tcp_send_syn(t, out) || (tcp_is_early(t) && send_new(t, out)) ||
               tcp_send_ack(t, out);
    if (t->ecn_shake && t->active &&
        tcp_send_ack(t, out)) /* RFC 9768 section 3.2.2.1: before text */
        return true;
    if (t->w && ((t->owed.before && tcp_send_ack_before(t, out)) ||
                 (t->owed.tail && send_tail_probe(t, out)) || send_queue(t, out) ||
                 (t->owed.probe && send_window_probe(t, out))))
        return true;
    return (t->owed.keepalive && tcp_send_keepalive(t, out)) || tcp_send_ack(t, out);
}

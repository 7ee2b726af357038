/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_output.c - what may be sent now, and in which order (RFC 9293 section 3.8).
 *
 * Events raise obligations and put the connection on its port's send list; when the driver pulls,
 * output() pays them, one frame at a time:
 *
 *      RST, SYN       what a state owes
 *      lost text      as far as the congestion window goes
 *      new text, FIN  as far as both windows go, in pieces worth sending (Nagle, silly-window
 * avoidance) probes         of a closed window, of an idle peer a bare ACK     if nothing above
 * carried it
 *
 * The connections of a port take turns, a burst of frames each.  Nothing here changes a state. */
#include "tcp/tcp.h"
#include <assert.h>

#define BURST     16u /* frames in a row before the next connection has its turn */
#define SUPER_MAX 65000u

/* ---- answers without a connection ---- */

void tcp_reply(struct tcp_layer *l, uint8_t port, const struct tcp_reply *r)
{
    struct tcp_port *p = &l->ports[port];

    if (p->reply_tail - p->reply_head == TCP_REPLIES) {
        rule_count(l->rules, RULE_REPLY_FULL);
        return;
    }
    p->replies[p->reply_tail++ % TCP_REPLIES] = *r;
}

/* RFC 1122 section 2.3.2.2: the latest of what waits for a next hop's address is kept. */
static void reply_hold(struct tcp_layer *l, struct tcp_port *p, const struct tcp_reply *r)
{
    if (p->nheld == TCP_REPLIES_HELD) {
        rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
        memmove(p->held, p->held + 1, --p->nheld * sizeof *p->held);
    }
    p->held[p->nheld++] = *r;
}

static void reply_unstall(struct tcp_layer *l, uint8_t port)
{
    struct tcp_port *p = &l->ports[port];

    for (uint32_t i = 0; i < p->nheld; i++)
        tcp_reply(l, port, &p->held[i]);
    p->nheld = 0;
}

/* Answers for a connection go the way that its other segments do. [MUST-53] */
static const struct ip4_route *reply_route(const struct tcp_layer *l, const struct tcp_reply *r)
{
    struct tcp_tuple k = {r->peer, r->path.local, r->lport, r->pport};
    uint32_t ref = tcp_demux_peek(l, &k);

    return ref == HASH_NONE ? NULL : tcp_route_find(l, ref);
}

static void reply_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    struct tcp_port *p = &l->ports[port];

    while (out->n < out->room && p->reply_head != p->reply_tail) {
        struct tcp_reply *r = &p->replies[p->reply_head++ % TCP_REPLIES];
        struct seg_out o = {.path = &r->path,
                            .peer = r->peer,
                            .hop_limit = r->hop_limit,
                            .rule = (enum rule)r->rule,
                            .state = r->state,
                            .wscale = r->wscale};
        const struct ip4_route *route = l->nroutes ? reply_route(l, r) : NULL;
        uint8_t hop[16];
        enum ip_ready ready = ip_path_ready(l->ip, &r->path, tcp_first_hop(route, r->peer, hop));

        o.route = route;
        if (ready == IP_WAIT) {
            reply_hold(l, p, r);
            continue;
        }
        if (ready == IP_LOST) { /* whoever asked will ask again */
            rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
            continue;
        }
        o.g.sport = r->lport;
        o.g.dport = r->pport;
        o.g.seq = r->seq;
        o.g.ack = r->ack;
        o.g.flags = r->flags;
        o.g.wnd = r->wnd;
        o.g.opt.has = r->opts;
        o.g.opt.mss = r->mss;
        o.g.opt.ws = r->ws;
        o.g.opt.ts_val = r->ts_val;
        o.g.opt.ts_ecr = r->ts_ecr;
        tcp_emit(l, &o, out);
    }
}

/* ---- one segment of a connection ---- */

/* Every member that is looked at; the others are large, and there are many segments.
 * [MUST-45, RFC7323-3.2-1] */
static void begin(struct tcb *t, struct seg_out *o, seq_t seq, uint8_t flags)
{
    o->path = &t->path;
    o->peer = t->peer;
    o->hop_limit = t->hop_limit;
    o->tos = t->tos;
    o->route = tcp_route(t);
    o->sock = t->layer->env->trace ? tcb_handle(t) : 0;
    o->state = t->state;
    o->wscale = t->rcv_wscale;
    o->rule = RULE_NONE;
    o->ntext = o->text_len = 0;
    o->sums = (struct gso_sums){NULL, 0, 0, 0};
    o->gso_size = 0;
    o->g.sport = t->lport;
    o->g.dport = t->pport;
    o->g.seq = seq;
    o->g.ack = flags & SEG_ACK ? t->rcv.nxt : seq_of(0);
    o->g.flags = flags;
    o->g.reserved = o->g.tos = 0;
    o->g.up = 0;
    o->g.text.len = o->g.text.n = 0;
    o->g.opt.has = o->g.opt.nsack = o->g.opt.fo_len = 0;
    o->g.opt.fo_exp = false;
    if (t->ecn_ect && tcp_cc(t)->counts_marks &&
        !(flags & SEG_SYN)) /* RFC 8257 section 3.6: what is not is dropped */
        o->g.tos = ECN_ECT0;
    if (t->ecn_acc && !(flags & SEG_SYN))
        tcp_ecn_ace(t, &o->g);
    else if (t->ecn_echo && (flags & (SEG_ACK | SEG_SYN | SEG_RST)) == SEG_ACK)
        o->g.flags |= SEG_ECE;
    if (t->ts_ok && !(flags & SEG_SYN)) {
        o->g.opt.has = OPT_TS;
        o->g.opt.ts_val = tcp_ts_now(t->layer) + t->ts_offset;
        o->g.opt.ts_ecr = t->ts_recent;
    }
}

/* SACK blocks that fit beside text and other options (but the timestamp, which every segment has):
 * RFC 6691 section 3 counts options against the MSS. */
static uint32_t sack_room(const struct tcb *t, uint32_t text_len, uint32_t opts_len)
{
    const uint32_t most = ((t->ts_ok ? 28 : 40) - opts_len - 4) / 8; /* in 40 octets of options */
    uint32_t mss = tcp_eff_mss(t), n;

    if (text_len + opts_len + 4 > mss)
        return 0;
    n = (mss - text_len - opts_len - 4) / 8;
    return n < most ? n : most;
}

/* RFC 5482 section 3: in the next segment that has room for it beside its text. [RFC5482-3-1] */
static uint32_t add_uto(struct tcb *t, struct seg_out *o)
{
    const uint32_t len = 4;

    if (!t->owed.uto || o->g.flags & SEG_RST || o->gso_size || o->text_len + len > tcp_eff_mss(t))
        return 0;
    t->owed.uto = false;
    o->g.opt.has |= OPT_UTO;
    o->g.opt.uto = t->adv_uto;
    return len;
}

/* Every segment with ACK acknowledges all, and announces the window. */
static void finish(struct tcb *t, struct seg_out *o, struct tcp_frames *out)
{
    bool syn = (o->g.flags & SEG_SYN) != 0;

    o->g.wnd = tcp_window_field(t, syn);
    if (o->g.flags & SEG_ACK && !syn) {
        o->g.opt.nsack =
            (uint8_t)tcp_sack_blocks(t, o->g.opt.sack, sack_room(t, o->text_len, add_uto(t, o)));
        if (o->g.opt.nsack) {
            o->g.opt.has |= OPT_SACK;
            t->w->dsack.lo = t->w->dsack.hi;
        }
    }
    if (o->g.flags & SEG_ACK) {
        t->owed.ack_now = false;
        t->ecn_owed = 0;
        t->rcv.acked = t->rcv.nxt;
        if (t->w)
            t->w->due[TCP_T_DELACK] = ESTAB_NEVER;
    }
    t->segs_out++;
    tcp_emit(t->layer, o, out);
}

/* The number of a segment without text: SND.NXT, but none beyond the peer's window, where it would
 * not be acceptable.  What lies there is a probe's octet, or what a peer that shrank its window
 * will not have. */
static seq_t empty_seq(const struct tcb *t)
{
    return seq_min(t->snd.nxt, seq_add(tcp_text_una(t), t->snd.wnd));
}

static RARE bool send_rst(struct tcb *t, struct tcp_frames *out)
{
    struct seg_out o;

    t->owed.rst = false;
    begin(t, &o, empty_seq(t),
          SEG_RST | SEG_ACK); /* with ACK: RFC 5961 lets an exact number through either way */
    o.rule = RULE_ABORT;
    finish(t, &o, out);
    return true;
}

/* [MUST-22] */
static bool send_syn(struct tcb *t, struct tcp_frames *out)
{
    bool reply = t->state != ESTAB_SYN_SENT;
    struct seg_out o;
    uint32_t n;

    if (!t->owed.syn)
        return false;
    t->owed.syn = false;
    begin(t, &o, t->snd.una, reply ? SEG_SYN | SEG_ACK : SEG_SYN);
    tcp_ecn_syn_put(t, &o.g);
    tcp_opt_offer(t, &o.g.opt, reply);
    n = tcp_fastopen_offer(t, &o.g.opt);
    if (seq_eq(t->snd.nxt, t->snd.una)) {
        o.ntext = n ? ring_peek(&t->w->snd, 0, n, o.text) : 0;
        o.text_len = n;
        t->w->syn_text = n > 0;
        t->snd.nxt = seq_add(t->snd.una, 1 + n);
        tcp_sent(t, t->snd.nxt);
        t->w->rtt_at = t->layer->env->now;
        t->w->rtt_seq = t->snd.nxt;
    } else {
        o.rule = RULE_SYN_AGAIN;
        t->retrans++;
        t->w->rtt_at = ESTAB_NEVER;
    }
    tcp_rexmt_arm(t, false);
    finish(t, &o, out);
    return true;
}

/* Text [seq, seq + n) and perhaps the FIN behind it. [MUST-31, MUST-62] */
static void send_text(struct tcb *t, seq_t seq, uint32_t n, bool fin, enum rule why,
                      struct tcp_frames *out)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t);
    struct seg_out o;

    begin(t, &o, seq, SEG_ACK);
    o.rule = why;
    if (n > 0 && why == RULE_NONE)
        tcp_ecn_mark(t, &o.g);
    if (n > 0) {
        uint32_t off = seq_diff(seq, tcp_text_una(t));

        o.ntext = ring_peek(&w->snd, off, n, o.text);
        o.text_len = n;
        if (off + n == w->snd.len)
            o.g.flags |= SEG_PSH;              /* [MUST-61]: the queue's last octet */
        if (n > mss && why != RULE_PMTU_PROBE) /* which is one segment */
            o.gso_size = (uint16_t)mss;
        if (why == RULE_NONE)
            tcp_sums_find(t, seq, n, &o.sums);
    }
    if (fin)
        o.g.flags |= SEG_FIN;
    if (w->snd_urgent && seq_lt(seq, w->snd_up) && seq_diff(w->snd_up, seq) <= UINT16_MAX) {
        o.g.flags |= SEG_URG;
        o.g.up = (uint16_t)seq_diff(w->snd_up, seq);
    }
    t->sent_ms = ms_of(t->layer->env->now);
    if (w->recovering)
        w->prr.out += n;
    finish(t, &o, out);
    if (n > 0 && why == RULE_NONE)
        tcp_sums_sent(t, seq, n);
    if (t->paced)
        tcp_pace_sent(t, n);
}

/* There is something to send, and it may not go. */
static void stop(struct tcb *t, enum estab_why why)
{
    struct tcp_work *w = t->w;

    if (w->stopped == why)
        return;
    w->stopped = (uint8_t)why;
    w->stopped_at = t->layer->env->now;
}

/* Octets [seq, seq + n) and perhaps the FIN behind them once more. */
static void send_again(struct tcb *t, seq_t seq, uint32_t n, bool fin, enum rule why,
                       struct tcp_frames *out)
{
    tcp_sent_again(t, seq, seq_add(seq, n + (fin ? 1 : 0)));
    t->w->rtt_at = ESTAB_NEVER; /* Karn */
    t->retrans++;
    tcp_mtu_resent(t, seq, n);
    rule_count(t->layer->rules, why);
    tcp_rexmt_arm(t, seq_eq(seq, t->snd.una)); /* RFC 6675 section 5.1: the first, anew */
    send_text(t, seq, n, fin, why, out);
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
    text_end = seq_add(tcp_text_una(t), w->snd.len);
    if (seq_lt(seq, text_end))
        n = seq_diff(seq_min(lost_to, text_end), seq);
    if (n > mss)
        n = mss;
    if (!(w->recovering && seq_eq(seq, t->snd.una)) && pipe > 0 &&
        pipe + n > t->cc.cwnd + (w->too_big ? 2 * mss : 0)) {
        w->cwnd_limited = true;
        w->limited_to = t->snd.nxt;
        stop(t, ESTAB_WHY_CWND);
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
        ESTAB_MS(idle_ms) <= ESTAB_US(t->rtt.rto))
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
    uint32_t n = unsent < most ? unsent : most;
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
    } else if (n == unsent) {
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
    send_text(t, seq, n, fin, why, out);
    if (t->has_extra)
        t->layer->raised |= tcp_raise_room(t);
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
    if (n > mss)
        n = mss;
    if (n > 0) {
        rule_count(t->layer->rules, RULE_TAIL_PROBE);
        send_next(t, n, fin && n == unsent && usable > n, RULE_NONE, out);
        tcp_tlp_sent(t, false);
        return true;
    }
    fin = t->fin_sent;
    n = seq_diff(t->snd.nxt, t->snd.una) - (fin ? 1 : 0);
    if (n > mss)
        n = mss;
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
        stop(t, ESTAB_WHY_CWND);
        return false;
    }
    if (unsent > 0) {
        restart_after_idle(t);
        if (t->snd_mss < t->mss_max)
            probe = tcp_mtu_seek(t, unsent);
        n = probe ? probe : sendable(t, unsent, out->room - out->n);
        mss = tcp_eff_mss(t);
        assert(mss > 0);
        tail = n < mss ? n : n % mss; /* divisions take their time */
        if (!probe && tail > 0 && !worth_sending(t, tail, unsent - (n - tail)))
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
        stop(t, obstacle(t, unsent));
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
    text = w->snd.len > 0;
    if (!text && !t->fin_queued)
        return false;
    if (seq_eq(t->snd.una, t->snd.nxt)) {
        t->snd.nxt = seq_add(seq, 1);
        t->fin_sent |= !text;
        tcp_sent(t, t->snd.nxt);
    } else {
        t->retrans++;
        sent_found(&w->sent);
    }
    w->rtt_at = ESTAB_NEVER;
    rule_count(t->layer->rules, RULE_ZERO_WINDOW_PROBE);
    send_text(t, seq, text ? 1 : 0, !text, RULE_ZERO_WINDOW_PROBE, out);
    return true;
}

/* RFC 9293 section 3.8.4: SEG.SEQ = SND.NXT - 1, no text [SHLD-12]: the peer must answer. [MAY-5]
 */
static RARE bool send_keepalive(struct tcb *t, struct tcp_frames *out)
{
    struct seg_out o;

    t->owed.keepalive = false;
    rule_count(t->layer->rules, RULE_KEEPALIVE);
    begin(t, &o, seq_sub(t->snd.nxt, 1), SEG_ACK);
    o.rule = RULE_KEEPALIVE;
    finish(t, &o, out);
    return true;
}

/* [MAY-13, RFC5681-4.2-2] */
static bool send_ack(struct tcb *t, struct tcp_frames *out)
{
    struct seg_out o;

    if (!t->owed.ack_now && t->owed.dup_acks == 0)
        return false;
    if (t->owed.dup_acks > 0)
        t->owed.dup_acks--;
    begin(t, &o, empty_seq(t), SEG_ACK);
    if (t->ecn_shake)
        tcp_ecn_shake_put(t, &o.g);
    finish(t, &o, out);
    return true;
}

/* RFC 8257 section 3.2: what came before the marks began, or ended, is acknowledged by itself. */
static RARE bool send_ack_before(struct tcb *t, struct tcp_frames *out)
{
    uint32_t wnd;
    struct seg_out o;

    t->owed.before = false;
    begin(t, &o, empty_seq(t), SEG_ACK);
    o.g.flags ^= SEG_ECE;
    o.g.ack = t->w->before;
    wnd = seq_diff(t->rcv.adv, t->w->before) >> t->rcv_wscale;
    o.g.wnd = wnd < UINT16_MAX ? wnd : UINT16_MAX;
    t->segs_out++;
    tcp_emit(t->layer, &o, out);
    return true;
}

/* What is lost, then what is new; where text goes by the clock, when it is time. */
static bool send_queue(struct tcb *t, struct tcp_frames *out)
{
    if (t->paced && tcp_pace_waits(t)) {
        stop(t, ESTAB_WHY_PACING);
        return false;
    }
    return (t->w->sent.lost > 0 && send_lost(t, out)) || send_new(t, out);
}

static bool output(struct tcb *t, struct tcp_frames *out)
{
    if (t->owed.rst)
        return send_rst(t, out);
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
    case ESTAB_LISTEN:
    case ESTAB_TIME_WAIT:
        return false;
    case ESTAB_SYN_SENT:
        return send_syn(t, out);
    default:
        break;
    }
    if (!t->syn_acked) /* SYN-RECEIVED, or FIN-WAIT-1 by a CLOSE in it: the FIN waits for the SYN's
                          ACK; text does after an ordinary SYN */
        return send_syn(t, out) || (tcp_is_early(t) && send_new(t, out)) || send_ack(t, out);
    if (t->ecn_shake && t->active && send_ack(t, out)) /* RFC 9768 section 3.2.2.1: before text */
        return true;
    if (t->w &&
        ((t->owed.before && send_ack_before(t, out)) || (t->owed.tail && send_tail_probe(t, out)) ||
         send_queue(t, out) || (t->owed.probe && send_window_probe(t, out))))
        return true;
    return (t->owed.keepalive && send_keepalive(t, out)) || send_ack(t, out);
}

/* ---- whose turn it is ---- */

/* Off the send list; a connection that only owed an RST ends here. */
static void turn_over(struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    tcp_unlist(t);
    if (t->state == ESTAB_CLOSED && t->orphan)
        tcb_release(t);
    else
        tcb_rest(t);
    tcp_why_note(t);
}

static void to_back(struct tcp_layer *l, struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    slot_del(&l->tcbs, &p->send, t->slot, SEND_LINK);
    slot_push(&l->tcbs, &p->send, t->slot, SEND_LINK);
}

/* Until the next hop's address is known. */
static RARE void stall(struct tcp_layer *l, struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    tcp_unlist(t);
    t->in_stalled = true;
    slot_push(&l->tcbs, &p->stalled, t->slot, SEND_LINK);
    if (t->w)
        stop(t, ESTAB_WHY_NEIGHBOUR);
    tcp_why_note(t);
}

static RARE void unstall(struct tcp_layer *l, uint8_t port)
{
    struct tcp_port *p = &l->ports[port];

    p->resolved = l->ip->resolved;
    for (uint32_t i = p->stalled.head; i != SLAB_NONE; i = tcb_at(l, i)->send.next) {
        tcb_at(l, i)->in_stalled = false;
        tcb_at(l, i)->in_send = true;
    }
    slot_splice(&l->tcbs, &p->send, &p->stalled, SEND_LINK);
    synq_unstall(l, port);
    reply_unstall(l, port);
}

static void tcb_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    struct tcp_port *p = &l->ports[port];

    while (out->n < out->room && p->send.head != SLAB_NONE) {
        struct tcb *t = tcb_at(l, p->send.head);
        uint8_t hop[16];
        enum ip_ready ready =
            ip_path_ready(l->ip, &t->path, tcp_first_hop(tcp_route(t), t->peer, hop));
        uint32_t before = out->n;
        bool sent;

        if (ready == IP_WAIT) {
            stall(l, p, t);
            continue;
        }
        sent = output(t, out);
        p->burst += out->n - before;
        if (!sent || !tcp_wants(t))
            turn_over(p, t);
        else if (p->burst >= BURST)
            to_back(l, p, t);
        if (sent &&
            ready == IP_LOST) { /* handed to nobody: lost, as far as the connection can tell */
            out->n = before;
            rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
            if (t->soft_err == 0)
                tcp_report(t, ESTAB_E_UNREACH);
        }
    }
}

static void answer_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    if (l->ports[port].reply_head != l->ports[port].reply_tail)
        reply_pull(l, port, out);
    if (synq_has_output(l, port))
        synq_pull(l, port, out);
}

/* Whoever floods the stack with what must be answered does not choose what the link carries: where
 * both have something, answers and connections have half of the frames each, and take turns in
 * having the odd one. */
void tcp_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    static void (*const pull[2])(struct tcp_layer *, uint8_t, struct tcp_frames *) = {answer_pull,
                                                                                      tcb_pull};
    struct tcp_port *p = &l->ports[port];
    uint32_t room = out->room;

    if (p->resolved != l->ip->resolved)
        unstall(l, port);
    if (p->send.head != SLAB_NONE && (p->reply_head != p->reply_tail || synq_has_output(l, port))) {
        p->turn ^= 1;
        out->room = out->n + (room - out->n + 1) / 2;
        pull[p->turn](l, port, out);
        out->room = room;
        pull[!p->turn](l, port, out);
        pull[p->turn](l, port, out);
        return;
    }
    answer_pull(l, port, out);
    tcb_pull(l, port, out);
}

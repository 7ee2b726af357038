/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_segment.c - one segment of a connection: what its header says, and what has happened by its
 * being sent.  tcp_output.c decides which, tcp_emit.c writes the octets. */
#include "tcp/tcp.h"

/* [MUST-45, RFC7323-3.2-1] */
static void begin(struct tcb *t, struct seg_out *o, seq_t seq, uint8_t flags)
{
    seg_out_init(o, &t->path, t->peer);
    o->hop_limit = tcp_extra(t)->hop_limit;
    o->tos = tcp_extra(t)->tos;
    o->route = tcp_route(t);
    o->sock = tcp_traced(t->layer) ? tcb_handle(t) : 0;
    o->state = t->state;
    o->wscale = t->rcv_wscale;
    o->g.sport = t->lport;
    o->g.dport = t->pport;
    o->g.seq = seq;
    o->g.ack = flags & SEG_ACK ? t->rcv.nxt : seq_of(0);
    o->g.flags = flags;
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
    o->g.opt.uto = tcp_extra(t)->adv_uto;
    return len;
}

/* RFC 9768 section 3.2.3.3: SACK blocks first, two of them. */
static uint32_t add_accecn(struct tcb *t, struct seg_out *o, uint32_t opts_len)
{
    struct range blocks[TCP_SACK_MAX];
    uint32_t most = (t->ts_ok ? 28 : 40) - opts_len, mss = tcp_eff_mss(t), n;

    if (!t->has_extra || o->g.flags & SEG_RST || o->gso_size ||
        (o->text_len > 0 && o->rule != RULE_NONE))
        return 0;
    n = tcp_sack_blocks(t, blocks, 2);
    if (n > 0)
        most -= 4 + 8 * n;
    if (o->text_len + opts_len + most > mss)
        most = o->text_len + opts_len < mss ? mss - o->text_len - opts_len : 0;
    return tcp_acc_put(t, &o->g.opt, o->text_len > 0, most);
}

/* Every segment with ACK acknowledges all, and announces the window. */
static void finish(struct tcb *t, struct seg_out *o, struct tcp_frames *out)
{
    bool syn = (o->g.flags & SEG_SYN) != 0;

    o->g.wnd = syn ? tcp_window_field_syn(t) : tcp_window_field(t);
    if (o->g.flags & SEG_ACK && !syn) {
        uint32_t len = add_uto(t, o);

        if (t->ecn_acc)
            len += add_accecn(t, o, len);
        o->g.opt.nsack = (uint8_t)tcp_sack_blocks(t, o->g.opt.sack, sack_room(t, o->text_len, len));
        if (o->g.opt.nsack) {
            o->g.opt.has |= OPT_SACK;
            t->w->dsack.lo = t->w->dsack.hi;
        }
    }
    if (o->g.flags & SEG_ACK) {
        t->owed.ack_now = false;
        t->ecn_owed = 0;
        if (t->w) {
            t->w->acked = t->rcv.nxt;
            t->w->due[TCP_T_DELACK] = ESTAB_NEVER;
        }
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

bool tcp_send_rst(struct tcb *t, struct tcp_frames *out)
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
bool tcp_send_syn(struct tcb *t, struct tcp_frames *out)
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
    if (t->ecn_acc && reply && t->w->retries == 0)
        tcp_acc_synack(&o.g.opt);
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
        tcp_count_retrans(t);
        t->w->rtt_at = ESTAB_NEVER;
    }
    tcp_rexmt_arm(t, false);
    finish(t, &o, out);
    return true;
}

/* Text [seq, seq + n) and perhaps the FIN behind it. [MUST-31, MUST-62] */
void tcp_send_text(struct tcb *t, seq_t seq, uint32_t n, bool fin, enum rule why,
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

        o.ntext = tcp_queue_peek(w, off, n, o.text);
        o.text_len = n;
        if (off + n == tcp_queue_len(w))
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
    tcp_heats(t);
    if (n > 0 && why == RULE_NONE)
        tcp_sums_sent(t, seq, n);
    if (t->paced)
        tcp_pace_sent(t, n);
}

/* RFC 9293 section 3.8.4: SEG.SEQ = SND.NXT - 1, no text [SHLD-12]: the peer must answer. [MAY-5]
 */
bool tcp_send_keepalive(struct tcb *t, struct tcp_frames *out)
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
bool tcp_send_ack(struct tcb *t, struct tcp_frames *out)
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
bool tcp_send_ack_before(struct tcb *t, struct tcp_frames *out)
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

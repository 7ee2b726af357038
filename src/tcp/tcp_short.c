/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_short.c - the short way: what nearly every message of a conversation comes to.
 *
 * A request, its answer, the next request, in the end the FIN: each is one small segment, with
 * nothing else in flight, lost, owed or waiting, and its ACK acknowledges all that the other end
 * has sent.  The long way asks forty questions to find that out, one function at a time; here they
 * are asked at once, and what they leave to do is done.  Whatever is not so at a glance takes the
 * long way, which would have done the same: test/prop/short_test.c holds the two against each
 * other.  For its FINs alone a short connection takes 2,000 of 31,800 instructions less. */
#include "base/csum.h"
#include "tcp/tcp.h"

/* ---- an ACK of all that is in flight ---- */

/* One run of new text, or none. */
static bool is_flight_plain(const struct sent *s)
{
    return s->n == 1 && s->v == s->own &&
           !(sent_run(s, 0)->flags & (RUN_SACKED | RUN_LOST | RUN_RESENT | RUN_TOLD));
}

/* RFC 8985 section 6.2, steps 1 to 3, as tcp_rack_delivered() has them for one run. */
static void rack_all(struct tcb *t, const struct run *r)
{
    struct tcp_work *w = t->w;

    if (UNLIKELY(seq_lt(r->end, w->rack.fack)))
        t->reordered = true;
    w->rack.fack = seq_max(w->rack.fack, r->end);
    if (LIKELY(w->rack.valid) &&
        UNLIKELY(!sent_after(r->sent_us, r->end, w->rack.sent_us, w->rack.end)))
        return;
    w->rack.valid = true;
    w->rack.sent_us = r->sent_us;
    w->rack.end = r->end;
    w->rack.rtt_us = tcp_us(t->layer) - r->sent_us;
}

static bool short_ack_of_all(struct tcb *t, const struct seg *g)
{
    const struct cc_ops *cc = tcp_cc(t);
    struct tcp_work *w = t->w;
    uint32_t acked = seq_diff(g->ack, t->snd.una), text = acked - t->fin_sent;

    if (UNLIKELY(!w || !seq_eq(g->ack, t->snd.nxt) || acked == 0 || g->wnd == 0 ||
                 t->snd.wnd == 0 || (g->opt.has & OPT_SACK) || !is_flight_plain(&w->sent) ||
                 w->episode != 0 || !seq_eq(w->probe_lo, w->probe_hi) || t->unusual != 0 ||
                 cc->on_delivered || t->layer->long_way))
        return false;
    if (LIKELY(t->sack_ok))
        rack_all(t, sent_run(&w->sent, 0));
    tcp_flight_note(t);
    (void)tcp_rtt_of_ack(t, g, sent_run(&w->sent, 0));
    w->sent.head = w->sent.n = 0;
    w->sent.lo = g->ack;
    ring_drop(&w->snd, &t->layer->pool, text, false);
    t->snd.una = g->ack;
    tcp_count_acked(t, text);
    w->small_end = seq_max(w->small_end, g->ack);
    w->reduced = seq_max(w->reduced, g->ack);
    w->retries = w->probes = w->dupacks = 0;
    w->stalled_at = ESTAB_NEVER;
    t->soft_err = 0;
    if (LIKELY(seq_lt(w->recover, g->ack)))
        w->recover = seq_sub(g->ack, 1);
    if (cc->on_spare)
        cc->on_spare(&w->cc, t->layer->env->now);
    tcp_cwv_acked(t);
    w->due[TCP_T_PERSIST] = w->due[TCP_T_REXMT] = w->due[TCP_T_PTO] = w->due[TCP_T_REO] =
        ESTAB_NEVER; /* RFC 6298 (5.2) */
    if (UNLIKELY(t->want_out)) {
        tcp_buffer_acked(t);
        (void)tcp_raise_room(t);
    }
    if (LIKELY(seq_le(t->snd.wl1, g->seq))) {
        t->snd.wl1 = g->seq;
        t->snd.wnd = tcp_seg_wnd(t, g);
        if (UNLIKELY(t->snd.wnd > t->snd.wnd_max))
            t->snd.wnd_max = t->snd.wnd;
    }
    return true;
}

void tcp_ack_in(struct tcb *t, const struct seg *g)
{
    if (LIKELY(short_ack_of_all(t, g)))
        return;
    if (t->w)
        tcp_ack_advance(t, g);
    tcp_window_update(t, g);
}

/* ---- text that is one segment ---- */

static bool owes_nothing_else(struct tcp_owed o)
{
    static const struct tcp_owed nothing;

    o.ack_now = false;
    return memcmp(&o, &nothing, sizeof o) == 0;
}

/* With text, or a FIN, perhaps still to be sent. */
static bool is_conversing(uint8_t state)
{
    const uint32_t states = 1u << ESTAB_ESTABLISHED | 1u << ESTAB_CLOSE_WAIT |
                            1u << ESTAB_FIN_WAIT_1 | 1u << ESTAB_LAST_ACK;

    return states >> state & 1;
}

/* RFC 5681 section 4.1: the window does not depend on how long nothing has been sent. */
static bool is_window_fresh(const struct tcb *t, uint32_t flight)
{
    uint32_t idle_ms = ms_of(t->layer->env->now) - t->sent_ms;

    return flight > 0 || t->sent_ms == 0 || LIKELY(idle_ms == 0) ||
           ESTAB_MS(idle_ms) <= tcp_rtt_plain(&t->rtt, &t->layer->set.rto);
}

/* All that is unsent, n octets and perhaps the FIN, goes in one segment, whole: both windows have
 * room, Nagle's algorithm has nothing to wait for, as where a FIN follows. */
IN_PLACE bool goes_whole(const struct tcb *t, uint32_t flight, uint32_t n)
{
    bool fin = t->fin_queued;

    if (LIKELY(n > 0)) {
        if (UNLIKELY(n >= tcp_eff_mss(t) || flight + n > t->cc.cwnd) || !is_window_fresh(t, flight))
            return false;
        if (!fin && !t->nodelay && UNLIKELY(!seq_le(t->w->small_end, t->snd.una)))
            return false;
    }
    return LIKELY(flight + n + fin <= t->snd.wnd);
}

static bool is_plain_conversation(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    return LIKELY(t->unusual == 0 && is_conversing(t->state) && t->syn_acked && !t->fin_sent &&
                  t->snd_mss >= t->mss_max && owes_nothing_else(t->owed) && !t->layer->long_way) &&
           (!w || LIKELY(w->episode == 0 && !w->ahead && !w->sums &&
                         (w->sent.lost | w->sent.sacked) == 0 && seq_eq(w->dsack.lo, w->dsack.hi)));
}

/* ---- its headers ---- */

/* But for its length it is the connection's name. */
static APART void stencil_cut(struct tcp_stencil *s, const struct tcb *t, uint32_t text_len)
{
    const struct ip_send how = {.proto = IPPROTO_TCP_};
    const struct tcp_layer *l = t->layer;
    uint64_t pseudo = ip_pseudo(ip_local(l->ip, t->path.local), t->peer, IPPROTO_TCP_, 0);
    uint32_t ports = tcp_ports_of(t->lport, t->pport);

    s->of = t;
    s->ip_len = (uint8_t)ip_hdr_len_of(t->peer);
    s->hdr_len = t->ts_ok ? TCP_HDR_LEN + TCP_TS_LEN : TCP_HDR_LEN;
    s->tcp_len = (uint16_t)(s->hdr_len + text_len);
    s->pseudo = csum_fold(pseudo);
    s->sum = csum_fold(csum_u32(pseudo, ports));
    ip_emit_bare(l->ip, &t->path, t->peer, &how, s->tcp_len, s->hdr);
    be32_put(s->hdr + s->ip_len, ports);
}

/* What goes in front of a segment with so many octets of text. */
IN_PLACE struct tcp_stencil *stencil(const struct tcb *t, uint32_t text_len)
{
    struct tcp_stencil *s = tcp_stencil_at(t->layer, t->lport, t->pport);

    if (UNLIKELY(s->of != t)) {
        stencil_cut(s, t, text_len);
    } else if (s->tcp_len != s->hdr_len + text_len) {
        s->tcp_len = (uint16_t)(s->hdr_len + text_len);
        ip_resize(s->hdr, s->tcp_len);
    }
    return s;
}

/* Length or word, as it is stored: what it adds to the checksum. */
IN_PLACE uint16_t len_sum(uint32_t len)
{
    uint8_t p[2];
    uint16_t stored;

    be16_put(p, (uint16_t)len);
    memcpy(&stored, p, sizeof stored);
    return stored;
}

IN_PLACE uint64_t word_put(uint8_t *p, uint32_t v)
{
    uint32_t stored;

    be32_put(p, v);
    memcpy(&stored, p, sizeof stored);
    return stored;
}

/* tcp_emit() of such a segment, summed as it is written. */
static void emit(struct tcb *t, seq_t seq, uint8_t flags, const struct estab_iov *text,
                 uint16_t wnd, struct tcp_frames *out)
{
    const struct tcp_stencil *s = stencil(t, (uint32_t)text->len);
    const struct ip_layer *ip = t->layer->ip;
    uint32_t hdr_len = s->hdr_len, link_len = ip_link_len(ip, &t->path);
    uint32_t front_len = link_len + s->ip_len;
    uint64_t len = len_sum(s->tcp_len), sum = s->sum + len, pseudo = s->pseudo + len;
    struct estab_frame *f = &out->f[out->n];
    uint8_t *hdr = out->hdrs[out->n++].b, *tcp = hdr + front_len;
    uint16_t folded;

    if (UNLIKELY(link_len > 0))
        ip_emit_link(ip, &t->path, t->peer, hdr);
    memcpy(hdr + link_len, s->hdr, IP4_HDR_LEN + 4);
    if (UNLIKELY(front_len - link_len != IP4_HDR_LEN))
        memcpy(hdr + link_len, s->hdr, sizeof s->hdr);
    sum += word_put(tcp + 4, seq.n);
    sum += word_put(tcp + 8, t->rcv.nxt.n);
    sum += word_put(tcp + 12, hdr_len << 26 | (uint32_t)flags << 16 | wnd);
    if (hdr_len != TCP_HDR_LEN) {
        sum += word_put(tcp + TCP_HDR_LEN, TCP_TS_WORD);
        sum += word_put(tcp + 24, tcp_ts_now(t->layer) + t->ts_offset);
        sum += word_put(tcp + 28, t->ts_recent);
    }
    f->iov[0] = (struct estab_iov){hdr, front_len + hdr_len};
    f->iov[1] = *text;
    f->niov = text->len > 0 ? 2 : 1;
    folded = LIKELY(!tcp_link_sums(t->layer, t->path.port, front_len, f))
                 ? (uint16_t)~csum_fold(csum_add(sum, text->base, text->len))
                 : csum_fold(pseudo);
    memcpy(tcp + 16, &folded, 2);
    be16_put(tcp + 18, 0); /* no urgent pointer */
}

static RARE void trace_out(struct tcb *t, seq_t seq, uint8_t flags, uint32_t n, uint16_t wnd)
{
    struct seg_out o = {.path = &t->path,
                        .peer = t->peer,
                        .g = {.sport = t->lport,
                              .dport = t->pport,
                              .seq = seq,
                              .ack = t->rcv.nxt,
                              .flags = flags,
                              .wnd = wnd},
                        .text_len = n,
                        .sock = tcb_handle(t),
                        .state = t->state,
                        .wscale = t->rcv_wscale};

    tcp_trace_out(t->layer, &o);
}

/* tcp_rexmt_arm() and tcp_tlp_arm(), when something goes into an open window, and has not gone
 * before: one deadline for the wheel, the earlier. */
static void arm_sent(struct tcb *t, uint32_t flight)
{
    struct tcp_work *w = t->w;
    estab_time now = t->layer->env->now, at = w->due[TCP_T_REXMT];
    bool news = t->sack_ok | (at == ESTAB_NEVER);

    if (LIKELY(w->stalled_at == ESTAB_NEVER))
        w->stalled_at = now;
    if (LIKELY(at == ESTAB_NEVER)) {
        at = tcp_patience(t, time_add(now, tcp_rto(t)));
        w->due[TCP_T_REXMT] = at;
    }
    if (LIKELY(t->sack_ok)) {
        at = time_min(at, time_add(now, tcp_pto(t, flight)));
        w->due[TCP_T_PTO] = at;
    }
    if (news)
        tcp_wake(t, at);
}

/* What happens when n octets of text, if any, go, and the FIN, if it is queued. */
static void note_sent(struct tcb *t, uint32_t flight, uint32_t n)
{
    const struct run_rate none = {0};
    struct tcp_work *w = t->w;

    t->snd.nxt = seq_add(t->snd.nxt, n + t->fin_queued);
    t->fin_sent = t->fin_queued;
    if (n > 0)
        w->small_end = t->snd.nxt;
    w->sws_override = false;
    w->stopped = ESTAB_WHY_NOTHING;
    if (LIKELY(w->rtt_at == ESTAB_NEVER)) {
        w->rtt_at = t->layer->env->now;
        w->rtt_seq = t->snd.nxt;
    }
    sent_push(&w->sent, &t->layer->pool, t->snd.nxt, tcp_us(t->layer),
              w->rate.limited ? RUN_LIMITED : 0, &none);
    w->due[TCP_T_SWS] = ESTAB_NEVER;
    arm_sent(t, flight + n + t->fin_queued);
    t->sent_ms = ms_of(t->layer->env->now);
    if (UNLIKELY(t->want_out))
        t->layer->env->raised |= tcp_raise_room(t) && t->in_ready;
}

bool tcp_short_output(struct tcb *t, struct tcp_frames *out)
{
    struct tcp_work *w = t->w;
    uint32_t flight = seq_diff(t->snd.nxt, t->snd.una), n;
    struct estab_iov text = {NULL, 0};
    uint8_t flags = SEG_ACK;
    seq_t seq = t->snd.nxt;
    uint16_t wnd;

    if (UNLIKELY(!is_plain_conversation(t)))
        return false;
    n = w ? w->snd.len - flight : 0;
    if (LIKELY(n > 0) || t->fin_queued) {
        if (UNLIKELY(!w || !goes_whole(t, flight, n) || tcp_cc(t)->on_delivered))
            return false;
        if (n > 0) {
            text = (struct estab_iov){ring_run(&w->snd, flight, n), n};
            if (UNLIKELY(!text.base))
                return false;
            flags |= SEG_PSH;
        }
        flags |= t->fin_queued ? SEG_FIN : 0;
        note_sent(t, flight, n);
    } else if (UNLIKELY(!t->owed.ack_now || flight > t->snd.wnd)) {
        return false;
    }
    /* Every segment acknowledges all, and announces the window. */
    wnd = tcp_window_field(t);
    t->owed.ack_now = false;
    t->ecn_owed = 0;
    t->segs_out++;
    if (w) {
        w->acked = t->rcv.nxt;
        w->due[TCP_T_DELACK] = ESTAB_NEVER;
    }
    emit(t, seq, flags, &text, wnd, out);
    tcp_heats(t);
    if (UNLIKELY(tcp_traced(t->layer)))
        trace_out(t, seq, flags, n, wnd);
    return true;
}

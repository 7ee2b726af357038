/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_window.c - what was promised to the peer and what the peer promised (RFC 9293 section 3.8.6).
 *
 *           unread        promised           free, kept back (silly-window avoidance)
 *      |-------------|-----------------|- - - - - - - - -|
 *                 RCV.NXT           RCV.ADV        RCV.NXT + free
 *
 * RCV.ADV moves right in steps worth a segment [section 3.8.6.2.2] and never left [SHLD-14]. */
#include "tcp/tcp.h"

seq_t tcp_read_at(const struct tcb *t)
{
    return seq_sub(t->rcv.nxt, tcp_unread(t) + (t->fin_rcvd ? 1 : 0));
}

/* [MUST-33] */
uint32_t tcp_urgent(const struct tcb *t)
{
    return t->rcv_urgent ? seq_diff(t->w->rcv_up, tcp_read_at(t)) : 0;
}

seq_t tcp_text_una(const struct tcb *t)
{
    return t->syn_acked ? t->snd.una : seq_add(t->snd.una, 1);
}

uint32_t tcp_unsent_of(const struct tcb *t)
{
    seq_t first = tcp_text_una(t), end = seq_add(first, tcp_queue_len(t->w));

    first = seq_max(first, t->snd.nxt);
    return seq_lt(first, end) ? seq_diff(end, first) : 0;
}

/* The shift that lets the whole buffer be announced, as large as it may become (RFC 7323
 * section 2.3: at most 14). [RFC7323-2.3-1] */
uint8_t tcp_wscale_for(const struct tcb *t)
{
    const struct tcp_layer *l = t->layer;
    uint8_t s = 0;

    if (l->set.profile.wscale != ESTAB_WSCALE_AUTO)
        return l->set.profile.wscale;

    while (s < 14 && (tcp_rcvbuf_most(t) >> s) > UINT16_MAX)
        s++;
    return s;
}

uint16_t tcp_syn_window(const struct tcp_layer *l, uint32_t wnd, uint32_t mss)
{
    if (wnd > UINT16_MAX)
        wnd = UINT16_MAX;
    if (l->set.profile.syn_window_whole && mss > 0 && wnd > mss)
        wnd -= wnd % mss;
    return (uint16_t)wnd;
}

/* min(RCV.BUFF / 2, Eff.snd.MSS) */
static inline uint32_t worth_of(const struct tcb *t, uint32_t bound)
{
    return bound / 2 < t->rcv_mss ? bound / 2 : t->rcv_mss;
}

/* RCV.BUFF - RCV.USER */
static inline uint32_t free_of(const struct tcb *t, uint32_t bound)
{
    uint32_t unread = t->w ? t->w->rcv.len : 0;

    return bound > unread ? bound - unread : 0;
}

/* How far RCV.ADV could move now: as far as there is room, and as the field can say.  What was not
 * said is not the peer's to send; accepting it would make every blind guess a better one. */
static inline uint32_t growth_of(const struct tcb *t, uint32_t room, uint32_t promised)
{
    uint32_t most = (uint32_t)UINT16_MAX << t->rcv_wscale;

    if (most > room)
        most = room;
    return most > promised ? most - promised : 0;
}

/* [MUST-39] */
bool tcp_window_worth(const struct tcb *t)
{
    uint32_t bound = tcp_rcv_bound(t), promised = tcp_rcv_wnd(t), worth = worth_of(t, bound);
    uint32_t least = 2 * worth < bound / 2 ? 2 * worth : bound / 2, growth;

    if (LIKELY(promised > 0 && bound < promised + least)) /* whatever is unread */
        return false;
    growth = growth_of(t, free_of(t, bound), promised);
    return growth >= least || (promised == 0 && growth >= worth);
}

static inline void move_edge(struct tcb *t)
{
    uint32_t bound = tcp_rcv_bound(t), promised = tcp_rcv_wnd(t), worth = worth_of(t, bound), room;

    if (LIKELY(bound < promised + worth))
        return;
    room = free_of(t, bound);
    if (room >= promised + worth)
        t->rcv.adv = seq_add(t->rcv.adv, growth_of(t, room, promised));
}

/* The field of the next segment.  Whether RCV.ADV moves is decided by the buffer (RFC 9293 section
 * 3.8.6.2.2: RCV.BUFF - RCV.USER - RCV.WND), so that where the buffer is larger than the field can
 * say the window follows RCV.NXT octet by octet and does not shrink by what arrives.  Rounding up
 * to the scale keeps the right edge from moving left by rounding (RFC 7323 section 2.3), at the
 * cost of accepting less than one unit more than the buffer. [SHLD-14, MAY-8, RFC7323-2.2-3] */
uint16_t tcp_window_field(struct tcb *t)
{
    uint8_t s = t->rcv_wscale;
    uint32_t field;

    move_edge(t);
    field = (uint32_t)(((uint64_t)tcp_rcv_wnd(t) + (1u << s) - 1) >> s);
    if (field > UINT16_MAX)
        field = UINT16_MAX;
    t->rcv.adv = seq_max(t->rcv.adv, seq_add(t->rcv.nxt, field << s));
    return (uint16_t)field;
}

uint16_t tcp_window_field_syn(struct tcb *t)
{
    uint16_t wnd;

    move_edge(t);
    wnd = tcp_syn_window(t->layer, tcp_rcv_wnd(t), t->rcv_mss);
    t->rcv.adv = seq_add(t->rcv.nxt, wnd);
    return wnd;
}

/* [REC-1, SHLD-15] */
uint32_t tcp_window_usable(const struct tcb *t)
{
    seq_t edge = seq_add(t->snd.una, t->snd.wnd);

    return seq_lt(t->snd.nxt, edge) ? seq_diff(edge, t->snd.nxt) : 0;
}

/* RFC 9293 section 3.10.7.4, fifth: SND.WND is taken from a segment not older than the last it was
 * taken from, and only if SND.UNA =< SEG.ACK: one that was overtaken counts from further left.
 * [MUST-34, RFC7323-2.4-1] */
void tcp_window_update(struct tcb *t, const struct seg *g)
{
    uint32_t wnd = tcp_seg_wnd(t, g);
    bool was_shut = t->snd.wnd == 0;

    if (seq_lt(g->ack, t->snd.una))
        return;
    if (seq_lt(g->seq, t->snd.wl1))
        return;
    t->snd.wl1 = g->seq;
    t->snd.wnd = wnd;
    if (wnd > t->snd.wnd_max)
        t->snd.wnd_max = wnd;
    if (!t->w)
        return;
    if (wnd != 0 && was_shut) {
        t->w->probes = 0;
        t->w->stalled_at = seq_eq(t->snd.una, t->snd.nxt) ? ESTAB_NEVER : t->layer->env->now;
        if (t->w->due[TCP_T_PERSIST] != ESTAB_NEVER) {
            tcp_cancel(t, TCP_T_PERSIST);
            if (seq_lt(t->snd.una,
                       t->snd.nxt)) { /* a probe's octet is out: send it again at once */
                (void)sent_lose(&t->w->sent, &t->layer->pool, t->snd.una, t->snd.nxt);
            }
        }
    }
    tcp_rexmt_arm(t, false);
}

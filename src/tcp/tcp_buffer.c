/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_buffer.c - how large the buffers are: as large as the path needs, unless the user says.
 *
 * A buffer is a bound, not memory: what is not stored costs nothing.  It begins small and grows up
 * to the stack's ceiling; a size that the user sets stays.
 *
 * Receiving (dynamic right-sizing, Feng and others, LANL 2001): the window must never be what
 * limits a peer that the user keeps up with.  So what the user has read in a round trip is
 * measured, and the buffer is four times that: the next round trip may carry twice as much (slow
 * start), and what is announced now takes a round trip to arrive.  It is what was read that counts,
 * not what arrived: no peer can make a buffer grow that nobody empties.
 *
 *      we send, at read_ms    the peer answers    text with an echo of read_ms or later arrives
 *           |------------------------------------------>|  a round trip: read_round
 *
 * A round trip is over when text arrives whose sender had heard what we said since it began: its
 * timestamp says so (RFC 7323).  Without timestamps it is what the handshake measured.
 *
 * Sending: room for what is in flight, for as much again that has arrived behind a gap while that
 * is sent again, and to be sent next.  Of the last no more than a cache holds is taken at once. */
#include "tcp/tcp.h"

#define RCVBUF_ROUNDS 4u
#define SNDBUF_ROUNDS 3u

uint32_t tcp_rcvbuf_most(const struct tcb *t)
{
    uint32_t most = t->layer->set.rcvbuf;

    return t->rcvbuf_set || most < t->rcvbuf ? t->rcvbuf : most;
}

uint32_t tcp_sndbuf_most(const struct tcb *t)
{
    uint32_t most = t->layer->set.sndbuf;

    return t->sndbuf_set || most < t->sndbuf ? t->sndbuf : most;
}

void tcp_buffer_set(struct tcb *t, bool snd, uint32_t size)
{
    *(snd ? &t->sndbuf : &t->rcvbuf) = size;
    if (snd)
        t->sndbuf_set = true;
    else
        t->rcvbuf_set = true;
}

/* Memory for larger buffers there is as long as half of it is free, and none has been refused. */
static bool is_memory_short(const struct tcb *t)
{
    const struct env *e = t->layer->env;

    return t->no_memory || (e->ceiling && e->used > e->ceiling / 2);
}

static uint32_t times(uint32_t n, uint32_t by, uint32_t most)
{
    return n < most / by ? n * by : most;
}

void tcp_buffer_text(struct tcb *t, const struct seg *g)
{
    if (!t->read_round && t->ts_ok && g->opt.has & OPT_TS)
        t->read_round = (int32_t)(g->opt.ts_ecr - t->ts_offset - t->read_ms) >= 0;
}

static bool is_round_over(const struct tcb *t)
{
    uint32_t elapsed_ms = tcp_ts_now(t->layer) - t->read_ms;

    if (elapsed_ms > INT32_MAX / 2) /* before the clock has gone round */
        return true;
    return t->ts_ok ? t->read_round && elapsed_ms > 0
                    : t->rtt.srtt != 0 && elapsed_ms > t->rtt.srtt / 1000;
}

void tcp_buffer_read(struct tcb *t)
{
    uint32_t read = (uint32_t)t->octets_received - tcp_unread(t), most = tcp_rcvbuf_most(t), want;

    if (t->rcvbuf >= most || !is_round_over(t))
        return;
    want = times(read - t->read_from, RCVBUF_ROUNDS, most);
    if (want > t->rcvbuf && !is_memory_short(t))
        t->rcvbuf = want;
    t->read_from = read;
    t->read_ms = tcp_ts_now(t->layer);
    t->read_round = false;
}

void tcp_buffer_acked(struct tcb *t)
{
    uint32_t want, most = tcp_sndbuf_most(t);

    if (t->sndbuf >= most || !t->want_out)
        return;
    want = times(t->cc.cwnd, SNDBUF_ROUNDS, most);
    if (want > t->sndbuf && !is_memory_short(t))
        t->sndbuf = want;
}

/* ---- room for what SEND brings, and who is told of it ---- */

/* Up to the end of a segment, lest what is left of a SEND that is cut short follows full segments
 * as a small one (RFC 9293 section 3.8.6.2.1): with a buffer of 64 KiB, 3 % of its goodput. */
static uint32_t whole(const struct tcb *t, uint32_t bound)
{
    uint32_t mss = tcp_eff_mss(t);

    return bound < 2 * mss ? bound : bound - bound % mss;
}

static uint32_t less(uint32_t bound, uint32_t n)
{
    return bound > n ? bound - n : 0;
}

/* How much may be unsent.  Who has said how large the buffer is has all of it. */
static uint32_t notsent_bound(const struct tcb *t)
{
    uint32_t own = tcp_extra(t)->notsent_lowat;

    if (own)
        return own;
    return t->sndbuf_set ? UINT32_MAX : t->layer->set.notsent;
}

uint32_t tcp_room(const struct tcb *t)
{
    uint32_t bound = tcp_snd_bound(t), queued = tcp_queued(t), unsent = tcp_unsent(t), most;
    uint32_t own = tcp_extra(t)->notsent_lowat;

    if (own) {
        most = unsent < own ? own - unsent : 0;
        if (most > 0 && most < t->snd_mss)
            most = t->snd_mss;
        return most < less(bound, queued) ? most : less(bound, queued);
    }
    if (t->sndbuf_set || !t->syn_acked)
        return less(bound, queued);
    bound = less(whole(t, bound), queued);
    if (unsent == 0)
        return bound;
    most = less(whole(t, t->layer->set.notsent), unsent);
    return most < bound ? most : bound;
}

bool tcp_has_room(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    if (!w)
        return true;
    if (UNLIKELY(w->lent_out))
        return w->lent_out->n < TCP_LENT_MAX;
    return LIKELY(!t->has_extra && tcp_has_much_room(t, w->snd.len)) || tcp_room(t) > 0;
}

/* Not for each octet: when a third of the queue, or half of what may be unsent, is free. */
bool tcp_raise_room(struct tcb *t)
{
    uint32_t most = tcp_snd_bound(t);

    if (t->w && t->w->lent_out) {
        if (!t->w->lent_out->back)
            return false;
        t->w->lent_out->back = false;
        tcp_raise(t, ESTAB_EV_OUT);
        return true;
    }
    if (!t->want_out || tcp_queued(t) > most - most / 3 || tcp_unsent(t) > notsent_bound(t) / 2 ||
        !tcp_has_room(t))
        return false;
    t->want_out = false;
    tcp_raise(t, ESTAB_EV_OUT);
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_text.c - what text does: its place in the receive queue, and when it is acknowledged.
 *
 * Text out of order goes straight to its place behind the queue's end; w->ahead says which octets
 * are there. Where segments overlap, the octets that came first stay. */
#include "tcp/tcp.h"

#define DUP_ACKS_MAX 64

void tcp_dsack(struct tcb *t, seq_t lo, seq_t hi)
{
    if (t->sack_ok && t->w && seq_lt(lo, hi))
        t->w->dsack = (struct range){lo, hi};
}

static void refuse_text(struct tcb *t, const struct seg *g)
{
    tcp_no_memory(t);
    tcp_drop(t, g, RULE_NO_MEMORY);
}

/* Stores text at its number, only where nothing lies yet. */
static int keep(struct tcb *t, seq_t seq, const struct pieces *text)
{
    struct tcp_work *w = t->w;
    seq_t end = seq_add(seq, text->len), at = seq, hi;

    if (!w->ahead)
        return ring_put(&w->rcv, &t->layer->pool, w->rcv.len + seq_diff(seq, t->rcv.nxt), text);
    while (seq_lt(at, end)) {
        struct pieces part = *text;
        int err;

        at = ranges_gap(&w->ahead->r, at, end, &hi);
        if (!seq_lt(at, end))
            break;
        pieces_trim_tail(&part, seq_diff(end, hi));
        pieces_trim_head(&part, seq_diff(at, seq));
        err = ring_put(&w->rcv, &t->layer->pool, w->rcv.len + seq_diff(at, t->rcv.nxt), &part);
        if (err)
            return err;
        at = hi;
    }
    return 0;
}

static void remember_recent(struct tcp_work *w, seq_t at)
{
    w->recent[2] = w->recent[1];
    w->recent[1] = w->recent[0];
    w->recent[0] = at;
}

/* [SHLD-31] */
static void text_ahead(struct tcb *t, const struct seg *g)
{
    struct tcp_work *w = t->w;
    seq_t end = seq_add(g->seq, g->text.len);

    if (w->ahead && ranges_has(&w->ahead->r, g->seq, end)) {
        tcp_dsack(t, g->seq, end);
        tcp_drop(t, g, RULE_TEXT_DUPLICATE);
    } else if (tcp_memory_scarce(t->layer)) {
        tcp_drop(t, g, RULE_MEM_AHEAD);
        return;
    } else if (!t->rd_shut && keep(t, g->seq, &g->text) != 0) {
        refuse_text(t, g);
        return;
    } else if (!tcp_ranges_need(t->layer, &w->ahead)) {
        refuse_text(t, g);
        return;
    } else if (!ranges_add(&w->ahead->r, g->seq, end, NULL) &&
               !(tcp_ranges_grow(t->layer, w->ahead) &&
                 ranges_add(&w->ahead->r, g->seq, end, NULL))) {
        tcp_drop(t, g, RULE_TEXT_GAPS);
        return;
    } else {
        rule_count(t->layer->rules, RULE_TEXT_AHEAD);
    }
    remember_recent(w, g->seq);
}

/* What lay ahead and is now in order. */
static uint32_t take_ahead(struct tcb *t, seq_t nxt)
{
    struct tcp_work *w = t->w;
    uint32_t more = 0;

    if (!w->ahead)
        return 0;
    ranges_drop_below(&w->ahead->r, nxt); /* whole ranges may lie under the new text */
    if (w->ahead->r.n > 0 && seq_eq(ranges_at(&w->ahead->r, 0)->lo, nxt))
        more = seq_diff(ranges_at(&w->ahead->r, 0)->hi, nxt);
    ranges_drop_below(&w->ahead->r, seq_add(nxt, more));
    if (w->ahead->r.n == 0)
        tcp_ranges_free(t->layer, &w->ahead);
    return more;
}

/* A new connection acknowledges a few segments of any size at once (decide_ack()), and then so many
 * full-sized ones: the peer probably is in slow start, which grows faster and finds its end sooner
 * where each is acknowledged (Allman, "On the generation and use of TCP acknowledgments", CCR
 * 28(5), 1998).  HyStart (Ha and Rhee, "Taming the elephants", 2011) looks for half a round trip of
 * ACKs 2 ms apart at most: of every segment they are that down to 6 Mbit/s, of every second down to
 * 12; where it is so slow, and 190 ms at most, it has found them in so many segments. */
#define START_SEGS   160u
#define START_OCTETS (1u << 18) /* a connection is no longer new */

static bool is_quick(struct tcb *t, uint32_t n)
{
    bool full = t->quick_full;

    if (--t->quick_acks == 0 && !full && t->octets_received < START_OCTETS) {
        t->quick_acks = START_SEGS;
        t->quick_full = true;
    }
    /* options and paths take of what was announced */
    return !full || n > t->rcv_mss * 3u / 4;
}

/* RFC 9293 section 3.8.6.3, RFC 5681 section 4.2: at least every second segment, also where it is
 * not full-sized [SHLD-19] (a peer whose congestion window counts segments, as the kernel's does,
 * may have sent what it may); within delack [MUST-40], and at once while or when a gap is there.
 * Delaying is for peers that go on without the ACK: one that sends a lone segment and then nothing
 * until it was acknowledged (Nagle's algorithm, or a window of one segment) would stand still, so a
 * delayed ACK that found nothing to ride on (tcp_timeout.c) makes the next ones prompt; a new
 * connection begins so. [SHLD-18, RFC1122-4.2.3.2-1, RFC5681-4.2-1] */
IN_PLACE void decide_ack(struct tcb *t, uint32_t n, bool gap)
{
    struct tcp_work *w = t->w;
    bool quick = t->quickack || (t->quick_acks > 0 && is_quick(t, n));
    bool second = w->due[TCP_T_DELACK] != ESTAB_NEVER;

    if (gap || quick || second || seq_diff(t->rcv.nxt, w->acked) > t->rcv_mss)
        t->owed.ack_now = true;
    else
        tcp_arm(t, TCP_T_DELACK, time_add(t->layer->env->now, t->layer->set.delack));
}

IN_PLACE void text_taken(struct tcb *t, uint32_t n, bool gap)
{
    t->rcv.nxt = seq_add(t->rcv.nxt, n);
    tcp_count_received(t, n);
    t->owed.dup_acks = 0;
    if (UNLIKELY(t->no_memory))
        t->no_memory = false;
    decide_ack(t, n, gap);
    if (LIKELY(tcp_readable(t)))
        tcp_raise(t, ESTAB_EV_IN);
}

/* What is out of order goes: it was reported, and may be given up all the same (RFC 2018 section
 * 8); the peer has it still. */
static bool give_up_ahead(struct tcb *t)
{
    if (!t->w->ahead)
        return false;
    tcp_ranges_free(t->layer, &t->w->ahead);
    t->w->fin_ahead = false;
    ring_drop(&t->w->rcv, &t->layer->pool, 0, false);
    rule_count(t->layer->rules, RULE_MEM_AHEAD);
    return true;
}

static bool text_in_order(struct tcb *t, const struct seg *g)
{
    bool gap = t->w->ahead != NULL;
    uint32_t n = g->text.len;

    if (!t->rd_shut && keep(t, g->seq, &g->text) != 0 &&
        (!give_up_ahead(t) || keep(t, g->seq, &g->text) != 0)) {
        refuse_text(t, g);
        return false;
    }
    n += take_ahead(t, seq_add(t->rcv.nxt, n));
    if (t->w->rcv.len == 0)
        t->w->unread_at = t->layer->env->now;
    if (!t->rd_shut)
        ring_extend(&t->w->rcv, n);
    text_taken(t, n, gap);
    return true;
}

/* Nothing is unread, and the user's buffer has room. */
static bool goes_to_user(const struct tcp_work *w, uint32_t n)
{
    return UNLIKELY(n <= w->lent.room - w->lent.got) && w->rcv.len == 0;
}

static void copy_to_user(struct tcp_work *w, const struct pieces *text, struct csum_run *sum)
{
    uint8_t *to = w->lent.to + w->lent.got;

    for (uint32_t i = 0; i < text->n; i++) {
        if (sum)
            csum_run_copy_far(sum, to, text->v[i].base, text->v[i].len);
        else
            memcpy(to, text->v[i].base, text->v[i].len);
        to += text->v[i].len;
    }
}

/* Drivers read text to where tcp_text_place() says, or near: does it lie there, is it nowhere in
 * the way of where it belongs, or neither? */
enum placed { IN_ITS_PLACE, APART_FROM_IT, IN_THE_WAY };
static APART enum placed placed(const struct tcp_work *w, const struct pieces *text)
{
    uintptr_t to = (uintptr_t)(w->lent.to + w->lent.got);

    if ((uintptr_t)text->v[text->n - 1].base == to && text->v[text->n - 1].len == text->len)
        return IN_ITS_PLACE;
    for (uint32_t i = 0; i < text->n; i++) {
        uintptr_t at = (uintptr_t)text->v[i].base;

        if (at < to + text->len && to < at + text->v[i].len)
            return IN_THE_WAY;
    }
    return APART_FROM_IT;
}

bool tcp_text_place(struct tcp_layer *l, uint8_t port, struct estab_place *p)
{
    const struct tcb *t = slab_find(&l->tcbs, (uint32_t)l->lender, (uint32_t)(l->lender >> 32));
    const struct tcp_work *w = t ? t->w : NULL;

    if (!w || t->state != ESTAB_ESTABLISHED || t->path.port != port || !w->lent.to || w->ahead)
        return false;
    p->head = ip_emit_len(l->ip, &t->path, t->peer) + TCP_HDR_LEN + (t->ts_ok ? TCP_TS_LEN : 0u);
    p->to = w->lent.to + w->lent.got;
    p->len = w->rcv.len > 0 ? 0 : w->lent.room - w->lent.got;
    if (p->len == 0) /* said once: nobody waits for a user that does not go on */
        l->lender = 0;
    l->places = true;
    return true;
}

/* For a message to a connection at rest.  Memory is asked for once, and not for a text that turns
 * out to be damaged: where there is none at hand, the long way does it. */
static bool is_room_at_hand(const struct tcp_layer *l, uint32_t n)
{
    return slab_has_free(&l->works) && n <= 1u << RING_MIN_SHIFT && l->pool.free[0];
}

static inline enum tcp_stored store_for_user(const struct tcb *t, const struct seg *g,
                                             struct csum_run *sum)
{
    enum placed how = LIKELY(!t->layer->places) ? APART_FROM_IT : placed(t->w, &g->text);

    if (UNLIKELY(how == IN_THE_WAY))
        return TCP_NOT_STORED;
    if (LIKELY(how == APART_FROM_IT))
        copy_to_user(t->w, &g->text, sum);
    else if (sum)
        sum->sum = csum_pieces(sum->sum, &g->text);
    return !sum || csum_fold(sum->sum) == 0xffff ? TCP_STORED : TCP_WRONG_SUM;
}

/* Verifying a text and storing it are one pass over it: some 25 of 220 ns a segment in bulk. */
enum tcp_stored tcp_text_store(struct tcb *t, const struct seg *g, struct csum_run *sum)
{
    struct tcp_work *w;
    uint8_t *to;

    if (UNLIKELY(!t->w && (!is_room_at_hand(t->layer, g->text.len) || !tcb_work(t))))
        return TCP_NOT_STORED;
    w = t->w;
    if (goes_to_user(w, g->text.len))
        return store_for_user(t, g, sum);
    to = LIKELY(g->text.n == 1) ? ring_room(&w->rcv, &t->layer->pool, g->text.len) : NULL;
    if (LIKELY(to && sum))
        csum_run_copy_far(sum, to, g->text.v[0].base, g->text.len);
    else if (to)
        memcpy(to, g->text.v[0].base, g->text.len);
    else if (ring_put_sum(&w->rcv, &t->layer->pool, w->rcv.len, &g->text, sum) != 0)
        return TCP_NOT_STORED;
    if (!sum || LIKELY(csum_fold(sum->sum) == 0xffff))
        return TCP_STORED;
    ring_drop(&w->rcv, &t->layer->pool, 0, false);
    tcb_rest(t);
    return TCP_WRONG_SUM;
}

static void text_in_place(struct tcp_work *w, uint32_t n)
{
    if (goes_to_user(w, n))
        w->lent.got += n;
    else
        ring_extend(&w->rcv, n);
}

void tcp_text_stored(struct tcb *t, uint32_t n)
{
    if (t->w->rcv.len == 0)
        t->w->unread_at = t->layer->env->now;
    text_in_place(t->w, n);
    text_taken(t, n, false);
}

void tcp_text_more(struct tcb *t, uint32_t n)
{
    text_in_place(t->w, n);
    t->rcv.nxt = seq_add(t->rcv.nxt, n);
    tcp_count_received(t, n);
    decide_ack(t, n, false);
}

static void out_of_order(struct tcb *t, struct seg *g)
{
    bool fin = (g->flags & SEG_FIN) != 0;

    if (!tcb_work(t)) {
        refuse_text(t, g);
        return;
    }
    if (t->owed.dup_acks < DUP_ACKS_MAX)
        t->owed.dup_acks++;
    if (fin) {
        t->w->fin_ahead = true;
        t->w->fin_at = seq_add(g->seq, g->len - 1);
    }
    if (g->text.len > 0)
        text_ahead(t, g);
    else if (fin)
        remember_recent(t->w, g->seq);
}

/* "Once in the ESTABLISHED state, it is possible to deliver segment data": ESTABLISHED, FIN-WAIT-1,
 * FIN-WAIT-2. [SHLD-3, RFC1122-4.2.2.13-1] */
bool tcp_text(struct tcb *t, struct seg *g)
{
    bool fin = (g->flags & SEG_FIN) != 0;

    if (UNLIKELY(!fin && g->text.len == 0))
        return false;
    /* CLOSE-WAIT, CLOSING, LAST-ACK: ignore the segment text.  Departs from RFC 9293
     * section 3.10.7.4, eighth: so is another FIN, there being no number behind a peer's FIN. */
    if (UNLIKELY(t->fin_rcvd)) {
        tcp_drop(t, g, RULE_TEXT_AFTER_FIN);
        return false;
    }
    if (UNLIKELY(t->orphan && g->text.len > 0)) { /* RFC 1122 section 4.2.2.13: nobody will ever
                                                     read it */
        tcp_drop(t, g, RULE_TEXT_AFTER_CLOSE);
        tcp_fail(t, ESTAB_E_RESET, ESTAB_BY_SEGMENT, true);
        return false;
    }
    tcp_buffer_text(t, g);
    if (UNLIKELY(t->ecn_ok && !t->ecn_acc &&
                 g->text.len > 0)) /* what is outside the window is gone [RFC3168-6.1.5-2] */
        tcp_ecn_text(t, g);
    if (UNLIKELY(!seq_eq(g->seq, t->rcv.nxt))) {
        out_of_order(t, g);
        return false;
    }
    if (g->text.len > 0) {
        if (UNLIKELY(!tcb_work(t))) {
            refuse_text(t, g);
            return false;
        }
        if (UNLIKELY(!text_in_order(t, g)))
            return false;
    }
    return (fin && seq_eq(seq_add(g->seq, g->len - 1), t->rcv.nxt)) ||
           (t->w && t->w->fin_ahead && seq_eq(t->w->fin_at, t->rcv.nxt));
}

/* Whatever a peer may have sent with numbers behind its FIN. */
void tcp_text_end(struct tcb *t)
{
    struct tcp_work *w = t->w;

    if (!w)
        return;
    w->fin_ahead = false;
    tcp_ranges_free(t->layer, &w->ahead);
    ring_drop(&w->rcv, &t->layer->pool, 0, false);
}

/* The block that `at` lies in.  A FIN that waits has a number like the text before it (RFC 9293
 * section 3.4), and RFC 2018 section 3 reports numbers. */
static bool sack_block(const struct tcp_work *w, seq_t at, struct range *b)
{
    const struct ranges *r = w->ahead ? &w->ahead->r : NULL;
    uint32_t i = r ? ranges_find(r, at) : 0;

    if (r && i < r->n && seq_le(ranges_at(r, i)->lo, at))
        *b = *ranges_at(r, i);
    else if (!w->fin_ahead || !seq_eq(at, w->fin_at))
        return false;
    else if (r && i > 0 && seq_eq(ranges_at(r, i - 1)->hi, at))
        *b = *ranges_at(r, i - 1);
    else
        *b = (struct range){at, at};
    if (w->fin_ahead && seq_eq(b->hi, w->fin_at))
        b->hi = seq_add(b->hi, 1);
    return true;
}

/* RFC 2018 section 4, RFC 2883: the duplicate first, then the block of the latest segment, then
 * earlier ones. */
uint32_t tcp_sack_blocks(const struct tcb *t, struct range out[TCP_SACK_MAX], uint32_t max)
{
    const struct tcp_work *w = t->w;
    uint32_t n = 0, ndsack, nahead;

    if (!t->sack_ok || !w)
        return 0;
    if (n < max && !seq_eq(w->dsack.lo, w->dsack.hi))
        out[n++] = w->dsack;
    ndsack = n; /* the block that it lies in follows, even if it is the same: RFC 2883 section 4 */
    if (!w->ahead && !w->fin_ahead)
        return n;
    nahead = w->ahead ? w->ahead->r.n : 0;
    for (uint32_t i = 0; i <= 3 + nahead && n < max; i++) { /* the FIN's may be by itself */
        seq_t at = i < 3            ? w->recent[i]
                   : i < 3 + nahead ? ranges_at(&w->ahead->r, i - 3)->lo
                                    : w->fin_at;
        struct range b;
        bool seen = false;

        if (!sack_block(w, at, &b))
            continue;
        for (uint32_t j = ndsack; j < n; j++)
            seen |= seq_eq(out[j].lo, b.lo);
        if (!seen)
            out[n++] = b;
    }
    return n;
}

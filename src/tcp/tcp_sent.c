/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sent.c - what has been sent and is not yet acknowledged, in runs. */
#include "tcp/tcp_sent.h"

#include <assert.h>

#define FATES     (RUN_SACKED | RUN_LOST)
#define MANY      64u /* from here on, what is sent at almost the same time is one run */
#define FINE      7u  /* "almost": by 2^-7 of the time that the first has been in flight */
#define RUN_SHIFT 5u  /* log2 of sizeof(struct run) */
_Static_assert(sizeof(struct run) <= 1u << RUN_SHIFT, "SENT_MAX runs lie in one piece of the pool");

static struct run *run_of(const struct sent *s, uint32_t i)
{
    return &s->v[(s->head + i) & (s->cap - 1u)];
}

static void tally(struct sent *s, uint8_t flags, uint32_t len)
{
    if (flags & RUN_SACKED)
        s->sacked += len;
    else if (flags & RUN_LOST)
        s->lost += len;
    else if (flags & RUN_RESENT)
        s->resent += len;
}

static uint32_t run_len(const struct sent *s, uint32_t i)
{
    return seq_diff(sent_run(s, i)->end, sent_start(s, i));
}

static void set_flags(struct sent *s, uint32_t i, uint8_t flags)
{
    struct run *r = run_of(s, i);
    uint32_t len = run_len(s, i);

    tally(s, r->flags, 0u - len);
    r->flags = flags;
    tally(s, r->flags, len);
}

void sent_init(struct sent *s, seq_t una)
{
    s->v = s->own;
    s->head = s->n = 0;
    s->cap = SENT_OWN;
    s->lo = s->lost_from = una;
    s->sacked = s->lost = s->resent = 0;
}

static uint32_t piece_shift(uint32_t cap)
{
    uint32_t shift = RUN_SHIFT;

    while (1u << (shift - RUN_SHIFT) < cap)
        shift++;
    return shift;
}

void sent_fini(struct sent *s, struct ring_pool *p)
{
    if (s->v != s->own)
        ring_pool_put(p, piece_shift(s->cap), s->v);
}

void sent_clear(struct sent *s, struct ring_pool *p, seq_t una)
{
    sent_fini(s, p);
    sent_init(s, una);
}

uint32_t sent_find(const struct sent *s, seq_t seq)
{
    uint32_t lo = 0, hi = s->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (seq_lt(seq, sent_run(s, mid)->end))
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* ---- room ---- */

static RARE bool sent_grow(struct sent *s, struct ring_pool *p)
{
    uint32_t cap = s->cap == SENT_OWN ? 8 * SENT_OWN : 4u * s->cap;
    struct run *v;

    if (cap > SENT_MAX)
        cap = SENT_MAX;
    if (cap == s->cap)
        return false;
    v = ring_pool_get(p, piece_shift(cap));
    if (!v)
        return false;
    for (uint32_t i = 0; i < s->n; i++)
        v[i] = *sent_run(s, i);
    sent_fini(s, p);
    s->v = v;
    s->head = 0;
    s->cap = (uint16_t)cap;
    return true;
}

/* Run i twice. */
static void insert_after(struct sent *s, uint32_t i)
{
    if (i < s->n / 2u) { /* the shorter side moves */
        s->head = (uint16_t)((s->head - 1u) & (s->cap - 1u));
        for (uint32_t j = 0; j <= i; j++)
            *run_of(s, j) = *run_of(s, j + 1);
    } else {
        for (uint32_t j = s->n; j > i; j--)
            *run_of(s, j) = *run_of(s, j - 1);
    }
    s->n++;
}

static void remove_at(struct sent *s, uint32_t i)
{
    if (i < s->n / 2u) {
        for (uint32_t j = i; j > 0; j--)
            *run_of(s, j) = *run_of(s, j - 1);
        s->head = (uint16_t)((s->head + 1u) & (s->cap - 1u));
    } else {
        for (uint32_t j = i; j + 1 < s->n; j++)
            *run_of(s, j) = *run_of(s, j + 1);
    }
    s->n--;
}

/* Runs i and i + 1 become one with these flags: in flight, it was sent when the later was, or it
 * would be thought lost too soon; else when the earlier was. */
static void join_next(struct sent *s, uint32_t i, uint8_t flags)
{
    struct run *a = run_of(s, i), *b = run_of(s, i + 1);
    bool later = (int32_t)(b->sent_us - a->sent_us) > 0;

    set_flags(s, i, flags);
    set_flags(s, i + 1, flags);
    if (flags & RUN_LOST)
        s->lost_from = seq_min(s->lost_from, sent_start(s, i));
    if (later == !(flags & FATES)) {
        a->sent_us = b->sent_us;
        a->rate = b->rate;
    }
    a->end = b->end;
    remove_at(s, i + 1);
}

static bool are_alike(const struct run *a, const struct run *b)
{
    if (a->flags & b->flags & RUN_SACKED)
        return true;
    return a->flags == b->flags && a->sent_us == b->sent_us;
}

static void join_alike(struct sent *s, uint32_t i)
{
    if (i + 1 < s->n && are_alike(sent_run(s, i), sent_run(s, i + 1)))
        join_next(s, i, sent_run(s, i)->flags | sent_run(s, i + 1)->flags);
    if (i > 0 && are_alike(sent_run(s, i - 1), sent_run(s, i)))
        join_next(s, i - 1, sent_run(s, i - 1)->flags | sent_run(s, i)->flags);
}

static uint32_t time_apart(const struct sent *s, uint32_t i)
{
    uint32_t d = sent_run(s, i + 1)->sent_us - sent_run(s, i)->sent_us;

    return d > UINT32_MAX / 2 ? 0u - d : d;
}

static bool same_fate(const struct sent *s, uint32_t i)
{
    return ((sent_run(s, i)->flags ^ sent_run(s, i + 1)->flags) & FATES) == 0;
}

/* No two neighbours have had the same fate: the peer's last report is forgotten, or what is lost
 * next to something in flight waits for the timer. */
static void squeeze_hard(struct sent *s)
{
    uint32_t i = s->n - 1u;

    while (i > 0 && !(sent_run(s, i)->flags & RUN_SACKED))
        i--;
    if (!(sent_run(s, i)->flags & RUN_SACKED))
        join_next(s, 0, RUN_RESENT);
    else if (i > 0)
        join_next(s, i - 1, sent_run(s, i - 1)->flags);
    else
        join_next(s, 0, sent_run(s, 1)->flags);
}

/* Frees records where there can be no more: neighbours with the same fate become one, two by two,
 * if they were sent no further from each other than most were. */
static void squeeze(struct sent *s)
{
    uint64_t apart = 0;
    uint32_t pairs = 0;

    for (uint32_t i = 0; i + 1 < s->n; i++) {
        if (!same_fate(s, i))
            continue;
        apart += time_apart(s, i);
        pairs++;
    }
    if (pairs == 0) {
        squeeze_hard(s);
        return;
    }
    for (uint32_t i = 0; i + 1 < s->n; i++)
        if (same_fate(s, i) && time_apart(s, i) <= apart / pairs)
            join_next(s, i, sent_run(s, i)->flags | sent_run(s, i + 1)->flags);
}

/* Room for n records more, for what must be noted. */
static RARE void need_room(struct sent *s, struct ring_pool *p, uint32_t n)
{
    while (s->n + n > s->cap && !sent_grow(s, p))
        squeeze(s);
}

/* Makes [from, to) of run i a run of its own; its number.  There is room. */
static uint32_t carve(struct sent *s, uint32_t i, seq_t from, seq_t to)
{
    if (seq_lt(sent_start(s, i), from)) {
        insert_after(s, i);
        run_of(s, i)->end = from;
        i++;
    }
    if (seq_lt(to, sent_run(s, i)->end)) {
        insert_after(s, i);
        run_of(s, i)->end = to;
    }
    return i;
}

/* ---- what is sent, and sent again ---- */

/* Whether what is sent now is one with r: at the same instant; or almost, where there are many. */
static bool joins(const struct sent *s, const struct run *r, uint32_t now_us)
{
    uint32_t span;

    if (r->flags & (FATES | RUN_RESENT | RUN_TOLD))
        return false;
    if (r->sent_us == now_us || s->n < MANY)
        return r->sent_us == now_us;
    span = (now_us - sent_run(s, 0)->sent_us) >> FINE;
    for (uint32_t d = now_us ^ r->sent_us; d; d >>= 1, span >>= 1)
        if (span == 0)
            return false;
    return true;
}

void sent_push(struct sent *s, struct ring_pool *p, seq_t end, uint32_t now_us, uint8_t limited,
               const struct run_rate *rate)
{
    struct run *r = s->n ? run_of(s, s->n - 1u) : NULL;

    if (LIKELY(!r || !joins(s, r, now_us))) {
        if (UNLIKELY(s->n == s->cap))
            need_room(s, p, 1);
        s->n++;
    }
    r = run_of(s, s->n - 1u);
    r->end = end;
    r->sent_us = now_us;
    r->rate = *rate;
    r->flags = limited;
}

void sent_resend(struct sent *s, struct ring_pool *p, seq_t lo, seq_t hi, uint32_t now_us,
                 const struct run_rate *rate)
{
    while (seq_lt(lo, hi)) {
        uint32_t i;
        seq_t to;

        need_room(s, p, 2);
        i = sent_find(s, lo);
        to = seq_min(sent_run(s, i)->end, hi);
        if (!(sent_run(s, i)->flags & RUN_SACKED)) {
            i = carve(s, i, lo, to);
            set_flags(s, i, RUN_RESENT);
            run_of(s, i)->sent_us = now_us;
            run_of(s, i)->rate = *rate;
            join_alike(s, i);
        }
        lo = to;
    }
}

/* ---- what arrives ---- */

/* RFC 8985 section 6.2, step 2: what was sent twice and is acknowledged at once, or by a segment
 * that answers what was sent before, may be the first copy.
 *
 * Departs from RFC 8985 section 6.2: "at once" is a sixteenth sooner than the least round trip, or
 * every second retransmission on an idle path would say nothing, by the jitter of a few octets; and
 * the echo is asked of what is acknowledged only: behind a hole it is that of the last segment
 * before the hole, whatever arrives (RFC 7323 section 4.3), so that no retransmission that is
 * reported would ever count. */
static bool may_be_first(const struct sent_news *news, const struct run *r, bool reported)
{
    uint64_t now_us = news->now / 1000u;
    uint32_t age_us = (uint32_t)now_us - r->sent_us;

    if (!reported && news->has_echo &&
        (int32_t)(news->echo - (uint32_t)((now_us - age_us) / 1000u)) < 0)
        return true;
    return age_us < news->rtt_min_us - news->rtt_min_us / 16;
}

static void delivered(struct sent_news *news, const struct run *r, seq_t lo, seq_t hi,
                      bool reported)
{
    uint32_t len = seq_diff(hi, lo);

    if (r->flags & RUN_TOLD)
        return;
    if (news->delivered == 0 || seq_lt(news->highest, hi))
        news->highest = hi;
    news->delivered += len;
    if (r->flags & RUN_RESENT) {
        if (may_be_first(news, r, reported))
            return;
    } else {
        if (news->first_copies == 0 || seq_lt(hi, news->lowest))
            news->lowest = hi;
        news->first_copies += len;
    }
    if (news->any && !sent_after(r->sent_us, hi, news->last.sent_us, news->last.end))
        return;
    news->any = true;
    news->last = *r;
    news->last.end = hi;
}

void sent_ack(struct sent *s, struct ring_pool *p, seq_t ack, struct sent_news *news)
{
    while (s->n > 0 && seq_lt(s->lo, ack)) {
        const struct run *r = sent_run(s, 0);
        seq_t end = seq_min(r->end, ack);

        if (news && !(r->flags & RUN_SACKED))
            delivered(news, r, s->lo, end, false);
        tally(s, r->flags, 0u - seq_diff(end, s->lo));
        s->lo = end;
        if (seq_lt(end, r->end))
            return;
        s->head = (uint16_t)((s->head + 1u) & (s->cap - 1u));
        s->n--;
    }
    if (s->n > 0)
        return;
    s->head = 0; /* the first record is warm */
    if (s->v != s->own)
        sent_clear(s, p, s->lo);
}

/* Whether a report may cut run i to [from, to): some records are kept for what must be noted, but
 * one that only moves a border needs none. */
static bool may_cut(struct sent *s, struct ring_pool *p, uint32_t i, seq_t from, seq_t to)
{
    seq_t start = sent_start(s, i), end = sent_run(s, i)->end;
    bool border = (seq_eq(from, start) && i > 0 && sent_run(s, i - 1)->flags & RUN_SACKED) ||
                  (seq_eq(to, end) && i + 1 < s->n && sent_run(s, i + 1)->flags & RUN_SACKED);
    uint32_t more = (seq_lt(start, from) ? 1u : 0u) + (seq_lt(to, end) ? 1u : 0u);

    if (more == 0)
        return true;
    while (s->n + more > s->cap - s->cap / 8u - 1u)
        if (!sent_grow(s, p))
            return border && s->n + more <= s->cap;
    return true;
}

uint32_t sent_sack(struct sent *s, struct ring_pool *p, seq_t lo, seq_t hi, struct sent_news *news)
{
    uint32_t had = s->sacked;

    while (seq_lt(lo, hi)) {
        uint32_t i = sent_find(s, lo);
        seq_t to = seq_min(sent_run(s, i)->end, hi);

        if (!(sent_run(s, i)->flags & RUN_SACKED) && may_cut(s, p, i, lo, to)) {
            i = carve(s, i, lo, to);
            delivered(news, sent_run(s, i), lo, to, true);
            set_flags(s, i, RUN_SACKED);
            join_alike(s, i);
        }
        lo = to;
    }
    return s->sacked - had;
}

/* ---- what is lost ---- */

uint32_t sent_lose(struct sent *s, struct ring_pool *p, seq_t lo, seq_t hi)
{
    uint32_t had = s->lost;

    if (s->lost == 0 || seq_lt(lo, s->lost_from))
        s->lost_from = lo;
    while (seq_lt(lo, hi)) {
        uint32_t i;
        seq_t to;

        need_room(s, p, 2);
        i = sent_find(s, lo);
        to = seq_min(sent_run(s, i)->end, hi);
        if (!(sent_run(s, i)->flags & FATES)) {
            i = carve(s, i, lo, to);
            set_flags(s, i, sent_run(s, i)->flags | RUN_LOST);
            join_alike(s, i);
        }
        lo = to;
    }
    return s->lost - had;
}

static void forget(struct sent *s, uint8_t fate, uint8_t mark)
{
    for (uint32_t i = s->n; i-- > 0;) {
        if (sent_run(s, i)->flags & fate)
            set_flags(s, i, (sent_run(s, i)->flags & (uint8_t)~fate) | mark);
        join_alike(s, i);
    }
}

void sent_found(struct sent *s)
{
    if (s->lost > 0)
        forget(s, RUN_LOST, 0);
}

void sent_renege(struct sent *s)
{
    if (s->sacked > 0)
        forget(s, RUN_SACKED, RUN_TOLD);
}

bool sent_next_lost(struct sent *s, seq_t *lo, seq_t *hi)
{
    uint32_t i;

    if (s->lost == 0)
        return false;
    i = sent_find(s, seq_max(s->lost_from, s->lo));
    while (!(sent_run(s, i)->flags & RUN_LOST))
        i++;
    *lo = s->lost_from = sent_start(s, i);
    while (i + 1 < s->n && sent_run(s, i + 1)->flags & RUN_LOST)
        i++;
    *hi = sent_run(s, i)->end;
    return true;
}

void sent_check(const struct sent *s)
{
    uint32_t sacked = 0, lost = 0, resent = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        const struct run *r = sent_run(s, i);
        uint32_t len = run_len(s, i);

        assert(len > 0 && len < UINT32_MAX / 2);
        assert((r->flags & FATES) != FATES);
        assert(!(r->flags & RUN_LOST) || seq_le(s->lost_from, sent_start(s, i)) ||
               seq_lt(s->lost_from, s->lo));
        if (r->flags & RUN_SACKED)
            sacked += len;
        else if (r->flags & RUN_LOST)
            lost += len;
        else if (r->flags & RUN_RESENT)
            resent += len;
    }
    assert(sacked == s->sacked && lost == s->lost && resent == s->resent);
    assert(s->n <= s->cap && s->cap <= SENT_MAX);
    (void)sacked, (void)lost, (void)resent;
}

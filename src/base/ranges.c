/* SPDX-License-Identifier: BSD-2-Clause */
/* ranges.c - a bounded set of ranges of sequence numbers. */
#include "base/ranges.h"

#include <assert.h>
#include <string.h>

static struct range *all_of(struct ranges *r)
{
    return r->lent ? r->lent : r->own;
}

void ranges_lend(struct ranges *r, struct range *room, uint32_t cap)
{
    assert(cap > (r->lent ? r->cap : RANGES_MAX));
    memcpy(room, all_of(r), r->n * sizeof(*room));
    r->lent = room;
    r->cap = cap;
}

uint32_t ranges_find(const struct ranges *r, seq_t at)
{
    uint32_t lo = 0, hi = r->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (seq_lt(at, ranges_at(r, mid)->hi))
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

bool ranges_add(struct ranges *r, seq_t lo, seq_t hi, uint32_t *added)
{
    struct range *v = all_of(r);
    uint32_t i, j, had = 0;

    if (seq_eq(lo, hi)) {
        if (added)
            *added = 0;
        return true;
    }
    assert(seq_lt(lo, hi));
    /* v[i..j) touch [lo, hi): they become one with it */
    i = ranges_find(r, seq_sub(lo, 1));
    for (j = i; j < r->n && seq_le(v[j].lo, hi); j++)
        had += seq_diff(v[j].hi, v[j].lo);
    if (i == j && r->n == (r->lent ? r->cap : RANGES_MAX))
        return false;
    if (i < j) {
        lo = seq_min(lo, v[i].lo);
        hi = seq_max(hi, v[j - 1].hi);
    }
    memmove(v + i + 1, v + j, (r->n - j) * sizeof(v[0]));
    r->n = r->n + 1 - (j - i);
    v[i] = (struct range){lo, hi};
    if (added)
        *added = seq_diff(hi, lo) - had;
    return true;
}

void ranges_drop_below(struct ranges *r, seq_t lo)
{
    struct range *v = all_of(r);
    uint32_t i = ranges_find(r, lo);

    r->n -= i;
    memmove(v, v + i, r->n * sizeof(v[0]));
    if (r->n)
        v[0].lo = seq_max(v[0].lo, lo);
}

bool ranges_has(const struct ranges *r, seq_t lo, seq_t hi)
{
    uint32_t i = ranges_find(r, lo);

    if (seq_eq(lo, hi))
        return true;
    return i < r->n && seq_le(ranges_at(r, i)->lo, lo) && seq_le(hi, ranges_at(r, i)->hi);
}

uint32_t ranges_len(const struct ranges *r)
{
    uint32_t i, len = 0;

    for (i = 0; i < r->n; i++)
        len += seq_diff(ranges_at(r, i)->hi, ranges_at(r, i)->lo);
    return len;
}

seq_t ranges_gap(const struct ranges *r, seq_t from, seq_t end, seq_t *hi)
{
    uint32_t i = ranges_find(r, from);

    if (i < r->n && seq_le(ranges_at(r, i)->lo, from))
        from = ranges_at(r, i++)->hi; /* ranges are not adjacent: there is a gap behind it */
    *hi = i < r->n ? seq_min(ranges_at(r, i)->lo, end) : end;
    return seq_min(from, end);
}

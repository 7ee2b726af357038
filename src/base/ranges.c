/* SPDX-License-Identifier: BSD-2-Clause */
/* ranges.c - a bounded set of ranges of sequence numbers. */
#include "base/ranges.h"

#include <assert.h>
#include <string.h>

bool ranges_add(struct ranges *r, seq_t lo, seq_t hi, uint32_t *added)
{
    uint32_t i = 0, j, had = 0;

    if (seq_eq(lo, hi)) {
        if (added)
            *added = 0;
        return true;
    }
    assert(seq_lt(lo, hi));
    /* v[i..j) touch [lo, hi): they become one with it */
    while (i < r->n && seq_lt(r->v[i].hi, lo))
        i++;
    for (j = i; j < r->n && seq_le(r->v[j].lo, hi); j++)
        had += seq_diff(r->v[j].hi, r->v[j].lo);
    if (i == j && r->n == RANGES_MAX)
        return false;
    if (i < j) {
        lo = seq_min(lo, r->v[i].lo);
        hi = seq_max(hi, r->v[j - 1].hi);
    }
    memmove(r->v + i + 1, r->v + j, (r->n - j) * sizeof(r->v[0]));
    r->n = r->n + 1 - (j - i);
    r->v[i] = (struct range){lo, hi};
    if (added)
        *added = seq_diff(hi, lo) - had;
    return true;
}

void ranges_drop_below(struct ranges *r, seq_t lo)
{
    uint32_t i = 0;

    while (i < r->n && seq_le(r->v[i].hi, lo))
        i++;
    r->n -= i;
    memmove(r->v, r->v + i, r->n * sizeof(r->v[0]));
    if (r->n)
        r->v[0].lo = seq_max(r->v[0].lo, lo);
}

bool ranges_has(const struct ranges *r, seq_t lo, seq_t hi)
{
    uint32_t i;

    if (seq_eq(lo, hi))
        return true;
    for (i = 0; i < r->n && seq_le(r->v[i].lo, lo); i++)
        if (seq_le(hi, r->v[i].hi))
            return true;
    return false;
}

uint32_t ranges_len(const struct ranges *r)
{
    uint32_t i, len = 0;

    for (i = 0; i < r->n; i++)
        len += seq_diff(r->v[i].hi, r->v[i].lo);
    return len;
}

seq_t ranges_gap(const struct ranges *r, seq_t from, seq_t end, seq_t *hi)
{
    uint32_t i;

    *hi = end;
    for (i = 0; i < r->n; i++) {
        if (seq_lt(from, r->v[i].lo)) {
            *hi = seq_min(r->v[i].lo, end);
            break;
        }
        from = seq_max(from, r->v[i].hi);
    }
    return seq_min(from, end);
}

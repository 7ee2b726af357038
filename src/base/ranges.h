/* SPDX-License-Identifier: BSD-2-Clause */
/* ranges.h - a bounded set of disjoint, non-adjacent, sorted ranges of sequence numbers.
 *
 * For what has arrived out of order.  All members lie within 2^31 of each other.  The bound is a
 * constant, RANGES_MAX or what the owner has lent memory for, so cost per operation is, too (K3 of
 * the hostile inputs). */
#ifndef BASE_RANGES_H
#define BASE_RANGES_H

#include "base/seq.h"
#include <stddef.h>

#define RANGES_MAX 32

struct range {
    seq_t lo, hi; /* [lo, hi) */
};
struct ranges {         /* all zero: empty */
    struct range *lent; /* NULL: they lie in own */
    uint32_t n, cap;    /* cap: of lent */
    struct range own[RANGES_MAX];
};
static inline void ranges_init(struct ranges *r)
{
    r->lent = NULL;
    r->n = r->cap = 0;
}
static inline const struct range *ranges_at(const struct ranges *r, uint32_t i)
{
    return (r->lent ? r->lent : r->own) + i;
}
/* From now on they lie in `room`, of cap, more than now; it is the caller's, and stays there until
 * ranges_init(). */
void ranges_lend(struct ranges *r, struct range *room, uint32_t cap);
uint32_t ranges_find(const struct ranges *r, seq_t at); /* the first that ends after it; n: none */
/* Adds [lo, hi), merging.  false: it would need one range too many, and nothing has changed. *added
 * (may be NULL): octets that were not yet in the set. */
bool ranges_add(struct ranges *r, seq_t lo, seq_t hi, uint32_t *added);
void ranges_drop_below(struct ranges *r, seq_t lo);          /* forgets everything before lo */
bool ranges_has(const struct ranges *r, seq_t lo, seq_t hi); /* all of [lo, hi) */
uint32_t ranges_len(const struct ranges *r);                 /* octets in all ranges */
/* The first gap at or after `from`: where it begins, and *hi where the next range begins (`end` if
 * none). */
seq_t ranges_gap(const struct ranges *r, seq_t from, seq_t end, seq_t *hi);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* seq.h - TCP sequence numbers: arithmetic modulo 2^32 (RFC 9293 section 3.4).
 *
 * A struct, so that `a < b` on two sequence numbers does not compile. */
#ifndef BASE_SEQ_H
#define BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef struct seq {
    uint32_t n;
} seq_t;

static inline seq_t seq_of(uint32_t n)
{
    return (seq_t){n};
}
static inline seq_t seq_add(seq_t a, uint32_t len)
{
    return (seq_t){a.n + len};
}
static inline seq_t seq_sub(seq_t a, uint32_t len)
{
    return (seq_t){a.n - len};
}
/* a - b, for a at or after b */
static inline uint32_t seq_diff(seq_t a, seq_t b)
{
    return a.n - b.n;
}
static inline bool seq_eq(seq_t a, seq_t b)
{
    return a.n == b.n;
}
static inline bool seq_lt(seq_t a, seq_t b)
{
    return (int32_t)(a.n - b.n) < 0;
}
static inline bool seq_le(seq_t a, seq_t b)
{
    return !seq_lt(b, a);
}
static inline seq_t seq_max(seq_t a, seq_t b)
{
    return seq_lt(a, b) ? b : a;
}
static inline seq_t seq_min(seq_t a, seq_t b)
{
    return seq_lt(a, b) ? a : b;
}
/* lo <= a < lo + len */
static inline bool seq_in(seq_t a, seq_t lo, uint32_t len)
{
    return a.n - lo.n < len;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* hint.h - what a compiler cannot know: how often, and where to. */
#ifndef BASE_HINT_H
#define BASE_HINT_H

#include <stddef.h>
#include <stdint.h>

/* What seldom happens stays out of the way of what always does: a compiler that sees the whole
 * stack at once would put it into its caller, which then saves every register that it could need.
 * Of what a small message costs it is 4 %, of a short connection 3 %. */
#if defined(__GNUC__)
#define RARE __attribute__((cold, noinline))
#else
#define RARE
#endif

/* What is seldom asked for a second time by whoever calls it in vain: its caller, where there is
 * nothing to do, saves no registers for it. */
#if defined(__GNUC__)
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* What is short and every call goes through stands in place wherever it is called, also when a
 * compiler that sees the whole stack at once finds that it has grown enough. */
#if defined(__GNUC__)
#define IN_PLACE static inline __attribute__((always_inline))
#else
#define IN_PLACE static inline
#endif

/* Which way most go.  Without being told a compiler puts what seldom happens between what always
 * does, and what always does out of line: the frame of a conversation jumped 160 times, and a short
 * connection ran through twice the code that it needs, more than the processor's first cache
 * holds. */
#if defined(__GNUC__)
#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define LIKELY(x)   (x)
#define UNLIKELY(x) (x)
#endif

/* What is so anyway, where the compiler would ask again and again. */
#if defined(__GNUC__)
#define SURELY(x)                                                                                  \
    do {                                                                                           \
        if (!(x))                                                                                  \
            __builtin_unreachable();                                                               \
    } while (0)
#else
#define SURELY(x) (void)0
#endif

/* Asks for the lines of [p, p + len) that are soon read, all at once, where each would be waited
 * for in its turn. */
static inline void warm(const void *p, size_t len)
{
#ifdef __GNUC__
    for (size_t at = 0; at < len; at += 64)
        __builtin_prefetch((const uint8_t *)p + at);
#else
    (void)p, (void)len;
#endif
}

#endif

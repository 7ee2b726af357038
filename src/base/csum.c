/* SPDX-License-Identifier: BSD-2-Clause */
/* csum.c - the Internet checksum, RFC 1071.
 *
 * 2^16 - 1 divides 2^64 - 1, so words of any width may be added with end-around carry, in the
 * machine's byte order, and folded at the end (RFC 1071 section 2 (A), (B), (C)).  The inner loop
 * adds into four sums, so that no addition waits for another. */
#include "base/csum.h"

static inline uint64_t carry_add(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v);
}

/* The 2, 4, 8 octets at off, copied unless dst is NULL. */
static inline uint16_t pass16(uint8_t *dst, const uint8_t *src, size_t off)
{
    uint16_t v;

    memcpy(&v, src + off, sizeof(v));
    if (dst)
        memcpy(dst + off, &v, sizeof(v));
    return v;
}

static inline uint32_t pass32(uint8_t *dst, const uint8_t *src, size_t off)
{
    uint32_t v;

    memcpy(&v, src + off, sizeof(v));
    if (dst)
        memcpy(dst + off, &v, sizeof(v));
    return v;
}

static inline uint64_t pass64(uint8_t *dst, const uint8_t *src, size_t off)
{
    uint64_t v;

    memcpy(&v, src + off, sizeof(v));
    if (dst)
        memcpy(dst + off, &v, sizeof(v));
    return v;
}

/* Text in bulk has left the nearest caches since it was written.  Asking for it so far ahead of its
 * turn, and beyond its end, where as a rule the next segment's is, bought 6 % of the goodput of 64
 * KiB segments, and 8 % of that of 1460 octets where the window is larger than those caches. */
#define AHEAD 1024u
/* In a long text, where it also comes from farther away, twice as far, and its copy's lines half as
 * far: of segments of 64 KiB that is 2 %. */
#define LONG_TEXT 4096u

static inline void fetch_ahead(const uint8_t *src, size_t ahead, size_t len)
{
    warm((const void *)((uintptr_t)src + ahead), len);
}

#ifdef __AVX512F__
#define LANES 8
#define EVERY                                                                                      \
    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX
#elif defined(__AVX2__)
#define LANES 4
#define EVERY UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX
#endif

#ifdef LANES
/* Where the compiler may use wide registers: whole words are added modulo 2^64, their high halves
 * once more by themselves.  The high halves' sum is exact for any length that a packet has, and so
 * the low halves' is what is left: that takes an operation less for each register than adding the
 * halves apart.  For 1460 octets some 20 and 26 ns, against 36 without. */
typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));
#define VEC   sizeof(lanes)
#define BLOCK (4 * VEC)

struct lanes_sum {
    lanes all, high;
};

/* A store of a whole line waits for the line, and those behind it wait too.  Where the lines of a
 * copy are asked for ahead, segments of 1460 octets take 4 % less into a queue of 256 KiB and more,
 * 2 % less into one of 64 KiB.  Of a long text the processor finds them by itself, and asking costs
 * 5 %; but not where it is read from far away as well: there it saves 3 %.  With half lines it
 * gains nothing. */
#define WHOLE_LINES (LANES == 8)

static inline void claim_ahead(const uint8_t *dst, size_t ahead, size_t len)
{
    uintptr_t p = (uintptr_t)dst + ahead;

    for (size_t at = 0; at < len; at += 64)
        __builtin_prefetch((const void *)(p + at), 1);
}

static inline void sum_lanes(struct lanes_sum *s, uint8_t *dst, const uint8_t *src, size_t off)
{
    lanes v;

    memcpy(&v, src + off, sizeof(v));
    if (dst)
        memcpy(dst + off, &v, sizeof(v));
    s->all += v;
    s->high += v >> 32;
}

/* All octets between none: from the right place on, a mask of the first or last few. */
static const uint64_t edge[3 * LANES] = {[LANES] = EVERY};

/* The octets of v that `mask` keeps. */
static inline void sum_edge(struct lanes_sum *s, uint8_t *dst, const uint8_t *src,
                            const uint8_t *mask)
{
    lanes v, m;

    memcpy(&v, src, sizeof(v));
    if (dst)
        memcpy(dst, &v, sizeof(v));
    memcpy(&m, mask, sizeof(m));
    v &= m;
    s->all += v;
    s->high += v >> 32;
}

/* At least LONG octets, an even number.  Stores begin where dst's lines do: a wide store that
 * straddles two of them is slow, which was an eighth of the time of a bulk transfer in memory.  The
 * octets in front of the first such place, and behind the last, are passed with a whole register
 * that overlaps the next, and summed under a mask. */
static inline uint64_t sum_long(uint8_t *dst, const uint8_t *src, size_t len, bool far)
{
    const uint8_t *mask = (const uint8_t *)edge;
    struct lanes_sum s = {{0}, {0}}, t = {{0}, {0}};
    bool long_text = len >= LONG_TEXT, claims = WHOLE_LINES && dst && far == long_text;
    size_t fetched = long_text ? 2 * AHEAD : AHEAD, claimed = long_text ? AHEAD / 2 : AHEAD;
    uint64_t sum = 0;
    size_t off = dst ? -(uintptr_t)dst % VEC : 0;

    if (off % 2 != 0)
        off = 0;
    if (off > 0)
        sum_edge(&s, dst, src, mask + 2 * VEC - off);
    for (size_t n = (len - off) / BLOCK; n > 0; n--, off += BLOCK) {
        sum_lanes(&s, dst, src, off);
        sum_lanes(&t, dst, src, off + VEC);
        sum_lanes(&s, dst, src, off + 2 * VEC);
        sum_lanes(&t, dst, src, off + 3 * VEC);
        if (far)
            fetch_ahead(src + off, fetched, BLOCK);
        if (claims)
            claim_ahead(dst + off, claimed, BLOCK);
    }
    for (; len - off >= VEC; off += VEC)
        sum_lanes(&s, dst, src, off);
    if (off < len)
        sum_edge(&t, dst ? dst + len - VEC : NULL, src + len - VEC, mask + (len - off));
    s.all += t.all;
    s.high += t.high;
    s.all = s.all - (s.high << 32) + s.high; /* 2^32 is 1 */
    for (int i = 0; i < LANES; i++)
        sum += s.all[i];
    return sum;
}
#define LONG (4 * VEC)
#else
#define BLOCK 64u
#define LONG  BLOCK

static inline void count_add(uint64_t *sum, uint64_t *carries, uint64_t v)
{
    *sum += v;
    *carries += *sum < v;
}

static inline uint64_t sum_blocks(uint8_t *dst, const uint8_t *src, size_t len, bool far)
{
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, c0 = 0, c1 = 0;

    for (size_t off = 0; off < len; off += BLOCK) {
        count_add(&s0, &c0, pass64(dst, src, off));
        count_add(&s1, &c1, pass64(dst, src, off + 8));
        count_add(&s2, &c0, pass64(dst, src, off + 16));
        count_add(&s3, &c1, pass64(dst, src, off + 24));
        count_add(&s0, &c0, pass64(dst, src, off + 32));
        count_add(&s1, &c1, pass64(dst, src, off + 40));
        count_add(&s2, &c0, pass64(dst, src, off + 48));
        count_add(&s3, &c1, pass64(dst, src, off + 56));
        if (far)
            fetch_ahead(src + off, len < LONG_TEXT ? AHEAD : 2 * AHEAD, BLOCK);
    }
    return carry_add(carry_add(s0, carry_add(s1, s2)), carry_add(s3, c0 + c1));
}
#endif

/* Word by word; copies unless dst is NULL. */
static inline uint64_t sum_words(uint64_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
    uint16_t last = 0;
    size_t off = 0;

    for (; len - off >= 32; off += 32) {
        sum = carry_add(sum, pass64(dst, src, off));
        sum = carry_add(sum, pass64(dst, src, off + 8));
        sum = carry_add(sum, pass64(dst, src, off + 16));
        sum = carry_add(sum, pass64(dst, src, off + 24));
    }
    for (; len - off >= 8; off += 8)
        sum = carry_add(sum, pass64(dst, src, off));
    if (UNLIKELY(len & 4)) {
        sum = carry_add(sum, pass32(dst, src, off));
        off += 4;
    }
    if (UNLIKELY(len & 2)) {
        sum = carry_add(sum, pass16(dst, src, off));
        off += 2;
    }
    if (UNLIKELY(len & 1)) { /* padded with a zero octet on the right */
        memcpy(&last, src + off, 1);
        if (dst)
            dst[off] = src[off];
        sum = carry_add(sum, last);
    }
    return sum;
}

/* Sums, and copies unless dst is NULL. */
static inline uint64_t sum_run(uint64_t sum, uint8_t *dst, const uint8_t *src, size_t len, bool far)
{
    size_t n;

    if (LIKELY(len < LONG)) /* of what is long this is little */
        return sum_words(sum, dst, src, len);
#ifdef LANES
    n = len & ~(size_t)1;
    sum = carry_add(sum, sum_long(dst, src, n, far));
#else
    n = len - len % BLOCK;
    sum = carry_add(sum, sum_blocks(dst, src, n, far));
#endif
    return n < len ? sum_words(sum, dst ? dst + n : NULL, src + n, len - n) : sum;
}

uint64_t csum_add(uint64_t sum, const void *p, size_t len)
{
    return sum_run(sum, NULL, (const uint8_t *)p, len, false);
}

uint64_t csum_copy(uint64_t sum, void *dst, const void *src, size_t len)
{
    SURELY(dst != NULL);
    return sum_run(sum, (uint8_t *)dst, (const uint8_t *)src, len, false);
}

/* RFC 1071 section 2 (B): a sum at an odd offset has its octets swapped. */
static void run_join(struct csum_run *c, uint64_t part, size_t len)
{
    uint16_t folded;

    if (UNLIKELY(c->odd)) {
        folded = csum_fold(part);
        part = (uint16_t)(folded << 8 | folded >> 8);
    }
    c->sum = carry_add(c->sum, part);
    c->odd ^= len & 1;
}

uint64_t csum_pieces(uint64_t sum, const struct pieces *t)
{
    struct csum_run c;
    uint32_t i = 0;

    for (; i + 1 < t->n && t->v[i].len % 2 == 0; i++)
        sum = csum_add(sum, t->v[i].base, t->v[i].len);
    if (i + 1 == t->n)
        return csum_add(sum, t->v[i].base, t->v[i].len);
    for (c = (struct csum_run){sum, false}; i < t->n; i++)
        run_join(&c, csum_add(0, t->v[i].base, t->v[i].len), t->v[i].len);
    return c.sum;
}

void csum_run_copy(struct csum_run *c, void *dst, const void *src, size_t len)
{
    if (c->odd) {
        run_join(c, csum_copy(0, dst, src, len), len);
        return;
    }
    c->sum = csum_copy(c->sum, dst, src, len);
    c->odd = len & 1;
}

void csum_run_copy_far(struct csum_run *c, void *dst, const void *src, size_t len)
{
    uint64_t part;

    SURELY(dst != NULL); /* each register of text would ask: 90 of 1,520 instructions a segment */
    part = sum_run(0, (uint8_t *)dst, (const uint8_t *)src, len, true);
    run_join(c, part, len);
}

uint64_t csum_u16(uint64_t sum, uint16_t host)
{
    uint8_t b[2];
    uint16_t v;

    be16_put(b, host);
    memcpy(&v, b, sizeof(v));
    return carry_add(sum, v);
}

uint64_t csum_u32(uint64_t sum, uint32_t host)
{
    uint8_t b[4];
    uint32_t v;

    be32_put(b, host);
    memcpy(&v, b, sizeof(v));
    return carry_add(sum, v);
}

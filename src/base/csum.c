/* SPDX-License-Identifier: BSD-2-Clause */
/* csum.c - the Internet checksum, RFC 1071.
 *
 * 2^16 - 1 divides 2^64 - 1, so words of any width may be added with end-around carry, in the
 * machine's byte order, and folded at the end (RFC 1071 section 2 (A), (B), (C)).  The inner loop
 * counts its carries apart from its sums, so that no addition waits for another. */
#include "base/csum.h"

static inline uint64_t carry_add(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v);
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Sums, and copies unless dst is NULL. */
static inline uint64_t sum_run(uint64_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, carries = 0, v0, v1, v2, v3;
    uint64_t tail = 0;

    while (len >= 32) {
        v0 = load64(src);
        v1 = load64(src + 8);
        v2 = load64(src + 16);
        v3 = load64(src + 24);
        if (dst) {
            memcpy(dst, &v0, 8);
            memcpy(dst + 8, &v1, 8);
            memcpy(dst + 16, &v2, 8);
            memcpy(dst + 24, &v3, 8);
            dst += 32;
        }
        s0 += v0;
        carries += s0 < v0;
        s1 += v1;
        carries += s1 < v1;
        s2 += v2;
        carries += s2 < v2;
        s3 += v3;
        carries += s3 < v3;
        src += 32;
        len -= 32;
    }
    sum = carry_add(carry_add(carry_add(sum, s0), carry_add(s1, s2)), carry_add(s3, carries));
    for (; len >= 8; len -= 8, src += 8) {
        v0 = load64(src);
        if (dst) {
            memcpy(dst, &v0, 8);
            dst += 8;
        }
        sum = carry_add(sum, v0);
    }
    if (len) {
        memcpy(&tail, src, len);
        if (dst)
            memcpy(dst, src, len);
        sum = carry_add(sum, tail);
    }
    return sum;
}

uint64_t csum_add(uint64_t sum, const void *p, size_t len)
{
    return sum_run(sum, NULL, (const uint8_t *)p, len);
}

uint64_t csum_copy(uint64_t sum, void *dst, const void *src, size_t len)
{
    return sum_run(sum, (uint8_t *)dst, (const uint8_t *)src, len);
}

uint64_t csum_pieces(uint64_t sum, const struct pieces *t)
{
    uint64_t part;
    uint32_t i;
    uint16_t folded;
    bool odd = false;

    for (i = 0; i < t->n; i++) {
        part = csum_add(0, t->v[i].base, t->v[i].len);
        if (odd) { /* RFC 1071 section 2 (B): a sum at an odd offset has its octets swapped */
            folded = csum_fold(part);
            part = (uint16_t)(folded << 8 | folded >> 8);
        }
        sum = carry_add(sum, part);
        odd ^= t->v[i].len & 1;
    }
    return sum;
}

uint16_t csum_fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffffu);
    sum = (sum >> 16) + (sum & 0xffffu);
    sum = (sum >> 16) + (sum & 0xffffu);
    return (uint16_t)((sum >> 16) + sum);
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

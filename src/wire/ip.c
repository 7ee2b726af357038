/* SPDX-License-Identifier: BSD-2-Clause */
/* ip.c - the pseudo-header under the transports' checksums: RFC 9293 section 3.1, RFC 8200
 * section 8.1. */
#include "wire/ip.h"

/* Whole 32-bit words in the machine's order: 2^16 is 1 modulo the checksum's 2^16 - 1, and ten of
 * them cannot overflow 64 bits, so no carry is lost. */
static uint64_t pseudo_words(uint64_t sum, const uint8_t *p, size_t nwords)
{
    uint32_t w;
    size_t i;

    for (i = 0; i < nwords; i++) {
        memcpy(&w, p + 4 * i, 4);
        sum += w;
    }
    return sum;
}

uint64_t ip_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto, uint32_t len)
{
    uint8_t tail[8] = {0};
    uint64_t sum;

    be32_put(tail, len);
    tail[7] = proto;
    sum = pseudo_words(0, tail, 2);
    if (ip_is4(dst))
        return pseudo_words(pseudo_words(sum, src + 12, 1), dst + 12, 1);
    return pseudo_words(pseudo_words(sum, src, 4), dst, 4);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip.c - the pseudo-header under the transports' checksums: RFC 9293 section 3.1, RFC 8200
 * section 8.1. */
#include "wire/ip.h"

uint64_t ip_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto, uint32_t len)
{
    uint8_t tail[4];
    uint64_t sum;

    be32_put(tail, len + proto); /* the words that they stand in are added anyway */
    sum = ip_sum_words(tail, 1);
    if (ip_is4(dst))
        return sum + ip_sum_words(src + 12, 1) + ip_sum_words(dst + 12, 1);
    return sum + ip_sum_words(src, 4) + ip_sum_words(dst, 4);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* csum.h - the Internet checksum (RFC 1071), summed in 64-bit adds in the machine's byte order.
 *
 * A sum is carried unfolded between pieces; csum_fold() makes the 16 bits, already in the order in
 * which they are stored with memcpy().  Only the last piece of a run may have an odd length, except
 * through csum_pieces(), which handles odd lengths anywhere. */
#ifndef BASE_CSUM_H
#define BASE_CSUM_H

#include "base/bytes.h"
#include "base/env.h"

uint64_t csum_add(uint64_t sum, const void *p, size_t len);
uint64_t csum_pieces(uint64_t sum, const struct pieces *t);
/* A sum over pieces of any length, copied or not: `odd` says that an odd number of octets came
 * before. */
struct csum_run {
    uint64_t sum;
    bool odd;
};
void csum_run_copy(struct csum_run *c, void *dst, const void *src, size_t len);
/* The same of text that was written a while ago. */
void csum_run_copy_far(struct csum_run *c, void *dst, const void *src, size_t len);
/* Copies and sums in one pass. */
uint64_t csum_copy(uint64_t sum, void *dst, const void *src, size_t len);
/* One's complement sum folded to 16 bits, not inverted: 0xffff when a verified sum is right. */
IN_PLACE uint16_t csum_fold(uint64_t sum)
{
    uint32_t half;

    sum += sum >> 32 | sum << 32; /* the high half: both, and the carry of the low */
    half = (uint32_t)(sum >> 32);
    half += half >> 16 | half << 16;
    return (uint16_t)(half >> 16);
}
/* One 16-bit value in host order, as if it stood in the packet. */
uint64_t csum_u16(uint64_t sum, uint16_t host);
uint64_t csum_u32(uint64_t sum, uint32_t host);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* frag.h - fragments cut out of a packet, as a router or an IPv6 source would, and as an attacker.
 */
#ifndef FRAG_H
#define FRAG_H

#include "ip_net.h"

static inline size_t packet_hdr_len(const struct packet *k)
{
    return k->b[0] >> 4 == 4 ? (k->b[0] & 15u) * 4 : IP6_HDR_LEN;
}
static inline size_t packet_payload(const struct packet *k)
{
    return k->len - packet_hdr_len(k);
}

static inline void packet_sum_ip4(struct packet *k)
{
    uint16_t sum;

    be16_put(k->b + 10, 0);
    sum = csum_of(0, k->b, packet_hdr_len(k));
    memcpy(k->b + 10, &sum, 2);
}

/* Octets [off, off + len) of whole's payload, with its headers. */
static inline void packet_fragment(struct packet *k, const struct packet *whole, uint32_t id,
                                   size_t off, size_t len, bool more)
{
    size_t hdr_len = packet_hdr_len(whole);

    memcpy(k->b, whole->b, hdr_len);
    k->len = hdr_len;
    if (whole->b[0] >> 4 == 4) {
        be16_put(k->b + 2, (uint16_t)(hdr_len + len));
        be16_put(k->b + 4, (uint16_t)id);
        be16_put(k->b + 6, (uint16_t)((more ? 0x2000 : 0) | off / 8));
        packet_sum_ip4(k);
    } else {
        be16_put(k->b + 4, (uint16_t)(8 + len));
        k->b[6] = IPPROTO_FRAGMENT_;
        k->b[40] = whole->b[6];
        k->b[41] = 0;
        be16_put(k->b + 42, (uint16_t)(off | (more ? 1 : 0)));
        be32_put(k->b + 44, id);
        k->len += 8;
    }
    memcpy(k->b + k->len, whole->b + hdr_len + off, len);
    k->len += len;
}

/* The n-th of the fragments of step octets each that whole makes. */
static inline size_t fragments_of(const struct packet *whole, size_t step)
{
    return (packet_payload(whole) + step - 1) / step;
}
static inline void packet_nth_fragment(struct packet *k, const struct packet *whole, uint32_t id,
                                       size_t step, size_t n)
{
    size_t all = packet_payload(whole), off = n * step;
    bool more = off + step < all;

    packet_fragment(k, whole, id, off, more ? step : all - off, more);
}

#endif

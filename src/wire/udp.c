/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.c - UDP headers, RFC 768. */
#include "wire/udp.h"

/* A datagram may be shorter than the IP payload that carries it, never longer. */
enum rule udp_parse(struct udp_hdr *h, struct rd *r, uint32_t payload_len)
{
    const uint8_t *p = rd_take(r, UDP_HDR_LEN);
    uint16_t len;

    if (!p)
        return RULE_UDP_MALFORMED;
    len = be16_at(p + 4);
    if (len < UDP_HDR_LEN || len > payload_len)
        return RULE_UDP_MALFORMED;
    h->sport = be16_at(p);
    h->dport = be16_at(p + 2);
    h->len = len;
    h->csum = be16_at(p + 6);
    return RULE_NONE;
}

void udp_emit(const struct udp_hdr *h, uint8_t out[UDP_HDR_LEN])
{
    be16_put(out, h->sport);
    be16_put(out + 2, h->dport);
    be16_put(out + 4, h->len);
    be16_put(out + 6, h->csum);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* icmp.c - what ICMP and ICMPv6 share: the header, and the packet that an error quotes. */
#include "wire/icmp.h"

enum rule icmp_parse(struct icmp *m, struct rd *r)
{
    const uint8_t *p = rd_take(r, ICMP_HDR_LEN);

    if (!p)
        return RULE_ICMP_MALFORMED;
    m->type = p[0];
    m->code = p[1];
    m->rest = be32_at(p + 4);
    return RULE_NONE;
}

void icmp_emit(const struct icmp *m, uint8_t out[ICMP_HDR_LEN])
{
    out[0] = m->type;
    out[1] = m->code;
    be16_put(out + 2, 0);
    be32_put(out + 4, m->rest);
}

/* The quote is cut off where it pleased the sender (RFC 792: 8 octets behind the header), so the
 * length it speaks of is no reason to refuse it; nor is the checksum, which some routers leave as
 * it was before they counted the TTL down.  A later fragment has no ports: it tells nothing. */
enum rule icmp_quote_parse(struct icmp_quote *q, uint8_t version, const uint8_t *in, size_t len)
{
    enum rule r = version == 4 ? ip4_parse(&q->ip, in, len, SIZE_MAX, true)
                               : ip6_parse(&q->ip, in, len, SIZE_MAX);
    const uint8_t *p;
    size_t left;

    if (r != RULE_NONE || q->ip.frag_off > 0)
        return RULE_ICMP_MALFORMED;
    q->sport = q->dport = 0;
    q->seq = 0;
    q->has_seq = false;
    if (q->ip.proto != IPPROTO_TCP_ && q->ip.proto != IPPROTO_UDP_)
        return RULE_NONE;
    p = in + q->ip.hdr_len;
    left = len - q->ip.hdr_len;
    if (left > q->ip.payload_len)
        left = q->ip.payload_len;
    if (left < 4)
        return RULE_ICMP_MALFORMED;
    q->sport = be16_at(p);
    q->dport = be16_at(p + 2);
    if (q->ip.proto == IPPROTO_TCP_ && left >= 8) {
        q->seq = be32_at(p + 4);
        q->has_seq = true;
    }
    return RULE_NONE;
}

enum icmp_meaning icmp_meaning(uint8_t version, const struct icmp *m, uint32_t *mtu)
{
    return version == 4 ? icmp4_meaning(m, mtu) : icmp6_meaning(m, mtu);
}

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

    if (r == RULE_IP_SOURCE_ROUTE) { /* one of ours, perhaps */
        ip4_route_final(in, q->ip.hdr_len, q->ip.dst);
        r = RULE_NONE;
    }
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

/* RFC 4861 section 4.6.3: the redirected header, if it is there; left: octets of it. */
static const uint8_t *redirected_header(const uint8_t *p, size_t len, size_t *left)
{
    while (len >= 8 && p[1] != 0) {
        size_t opt_len = (size_t)p[1] * 8;

        if (p[0] == 4) {
            *left = (opt_len < len ? opt_len : len) - 8;
            return p + 8;
        }
        if (opt_len > len)
            return NULL;
        p += opt_len;
        len -= opt_len;
    }
    return NULL;
}

/* RFC 792, RFC 4861 section 4.5. */
enum rule icmp_redirect_parse(struct icmp_redirect *r, struct icmp_quote *q, uint8_t version,
                              const uint8_t *in, size_t len)
{
    const uint8_t *quote = in + ICMP_HDR_LEN;
    size_t left = len - ICMP_HDR_LEN;

    if (version == 4) {
        if (icmp_quote_parse(q, version, quote, left) != RULE_NONE)
            return RULE_ICMP_MALFORMED;
        ip_map4(r->via, in + 4);
        memcpy(r->dst, q->ip.dst, 16);
        return RULE_NONE;
    }
    if (left < 32)
        return RULE_ICMP_MALFORMED;
    memcpy(r->via, quote, 16);
    memcpy(r->dst, quote + 16, 16);
    quote = redirected_header(quote + 32, left - 32, &left);
    if (!quote || icmp_quote_parse(q, version, quote, left) != RULE_NONE ||
        memcmp(q->ip.dst, r->dst, 16) != 0)
        return RULE_ICMP_MALFORMED;
    return RULE_NONE;
}

enum icmp_meaning icmp_meaning(uint8_t version, const struct icmp *m, uint32_t *mtu)
{
    return version == 4 ? icmp4_meaning(m, mtu) : icmp6_meaning(m, mtu);
}

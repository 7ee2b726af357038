/* SPDX-License-Identifier: BSD-2-Clause */
/* ip4.c - IPv4 headers, RFC 791. */
#include "base/csum.h"
#include "wire/ip.h"
#include <assert.h>

enum { /* flags and fragment offset, RFC 791 section 3.1 */
       IP4_DF = 0x4000,
       IP4_MF = 0x2000,
       IP4_OFFSET = 0x1fff, /* in units of 8 octets */
};
enum { /* option types, RFC 791 section 3.1 */
       IP4_OPT_END = 0,
       IP4_OPT_NOP = 1,
       IP4_OPT_LSRR = 131,
       IP4_OPT_SSRR = 137,
};

/* Nothing in an option changes what a host does with a datagram for itself, so they are only
 * walked: for their lengths, and for source routes, which RFC 7126 section 4.3 wants dropped.
 * [MUST-50, RFC1122-3.2.1.8-1] */
static enum rule check_ip4_options(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p != IP4_OPT_END) {
        if (*p == IP4_OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return RULE_IP_OPTION;
        if (*p == IP4_OPT_LSRR || *p == IP4_OPT_SSRR)
            return RULE_IP_SOURCE_ROUTE;
        p += p[1];
    }
    return RULE_NONE;
}

/* [RFC1122-3.2.1.1-1, RFC1122-3.2.1.2-1, RFC1122-3.2.1.7-2, RFC1122-3.3.5-1] */
enum rule ip4_parse(struct ip_hdr *h, const uint8_t *in, size_t in_len, size_t total, bool csum_ok)
{
    uint32_t hdr_len, len;
    uint16_t frag;

    h->problem_code = 0xff;
    if (in_len < IP4_HDR_LEN || total < IP4_HDR_LEN)
        return RULE_RUNT;
    if (in[0] >> 4 != 4)
        return RULE_IP_VERSION;
    hdr_len = (in[0] & 0xfu) * 4;
    len = be16_at(in + 2);
    if (hdr_len < IP4_HDR_LEN || len < hdr_len)
        return RULE_IP_HEADER;
    if (len > total || hdr_len > in_len)
        return RULE_IP_LENGTH;
    if (!csum_ok && csum_fold(ip_sum_words(in, hdr_len / 4)) != 0xffff)
        return RULE_IP_CSUM;

    frag = be16_at(in + 6);
    ip_map4(h->src, in + 12);
    ip_map4(h->dst, in + 16);
    h->version = 4;
    h->proto = in[9];
    h->hop_limit = in[8];
    h->tos = in[1];
    h->id = be16_at(in + 4);
    h->frag_off = (uint16_t)((frag & IP4_OFFSET) * 8);
    h->more_frags = (frag & IP4_MF) != 0;
    h->dont_frag = (frag & IP4_DF) != 0;
    h->has_frag = (frag & (IP4_MF | IP4_OFFSET)) != 0;
    h->frag_hdr = false;
    h->flow = 0;
    h->hdr_len = (uint16_t)hdr_len;
    h->payload_len = len - hdr_len;
    h->problem_at = 9;
    if (hdr_len > IP4_HDR_LEN)
        return check_ip4_options(in + IP4_HDR_LEN, in + hdr_len);
    return RULE_NONE;
}

void ip4_emit(const struct ip_hdr *h, uint8_t out[IP4_HDR_LEN])
{
    uint16_t csum;

    assert(h->payload_len <= UINT16_MAX - IP4_HDR_LEN);
    out[0] = 0x45;
    out[1] = h->tos;
    be16_put(out + 2, (uint16_t)(IP4_HDR_LEN + h->payload_len));
    be16_put(out + 4, (uint16_t)h->id);
    be16_put(out + 6, (uint16_t)((h->dont_frag ? IP4_DF : 0) | (h->more_frags ? IP4_MF : 0) |
                                 h->frag_off / 8));
    out[8] = h->hop_limit;
    out[9] = h->proto;
    be16_put(out + 10, 0);
    memcpy(out + 12, h->src + 12, 4);
    memcpy(out + 16, h->dst + 12, 4);
    csum = (uint16_t)~csum_fold(ip_sum_words(out, IP4_HDR_LEN / 4));
    memcpy(out + 10, &csum, 2);
}

uint32_t ip4_whole(uint8_t *hdr, uint32_t hdr_len, uint32_t payload_len, bool ce)
{
    uint16_t csum;

    assert(payload_len <= UINT16_MAX - hdr_len);
    if (ce)
        hdr[1] |= 3;
    be16_put(hdr + 2, (uint16_t)(hdr_len + payload_len));
    be16_put(hdr + 6, 0);
    be16_put(hdr + 10, 0);
    csum = (uint16_t)~csum_fold(ip_sum_words(hdr, hdr_len / 4));
    memcpy(hdr + 10, &csum, 2);
    return hdr_len;
}

static bool hop_ok(const uint8_t a[4])
{
    return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

/* RFC 1122 section 3.2.1.8 (c): the route as recorded, backwards, without the source, with which
 * some begin it. */
static enum rule route_reverse(struct ip4_route *r, const uint8_t *hdr, const uint8_t *opt)
{
    const uint8_t *first = opt + 3, *end = opt + opt[1];

    if (opt[1] < 3 || (opt[1] - 3) % 4 != 0 || opt[2] <= opt[1])
        return RULE_IP_SOURCE_ROUTE;
    if (first < end && memcmp(first, hdr + 12, 4) == 0)
        first += 4;
    r->strict = opt[0] == IP4_OPT_SSRR;
    for (; end > first; end -= 4) {
        if (!hop_ok(end - 4))
            return RULE_IP_SOURCE_ROUTE;
        memcpy(r->hop[r->n++], end - 4, 4);
    }
    return RULE_NONE;
}

enum rule ip4_route_parse(struct ip4_route *r, const uint8_t *hdr, uint32_t hdr_len)
{
    const uint8_t *p = hdr + IP4_HDR_LEN, *end = hdr + hdr_len, *route = NULL;

    r->n = 0;
    while (p < end && *p != IP4_OPT_END) {
        if (*p == IP4_OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return RULE_IP_OPTION;
        if (*p == IP4_OPT_LSRR || *p == IP4_OPT_SSRR) {
            if (route) /* RFC 1122 section 3.2.1.8 (c): not more than one */
                return RULE_IP_SOURCE_ROUTE;
            route = p;
        }
        p += p[1];
    }
    return route && route[1] >= 3 ? route_reverse(r, hdr, route) : RULE_IP_SOURCE_ROUTE;
}

void ip4_route_final(const uint8_t *hdr, uint32_t hdr_len, uint8_t dst[16])
{
    const uint8_t *p = hdr + IP4_HDR_LEN, *end = hdr + hdr_len;

    while (p < end && *p == IP4_OPT_NOP)
        p++;
    if (end - p >= 7 && (*p == IP4_OPT_LSRR || *p == IP4_OPT_SSRR) && p[1] >= 7 &&
        p[1] <= end - p && p[2] <= p[1])
        ip_map4(dst, p + p[1] - 4);
}

/* [MUST-51] */
void ip4_route_emit(const struct ip4_route *r, uint8_t *hdr)
{
    uint32_t len = 3 + 4u * r->n;
    uint8_t *opt = hdr + IP4_HDR_LEN;
    uint16_t csum;

    opt[0] = r->strict ? IP4_OPT_SSRR : IP4_OPT_LSRR;
    opt[1] = (uint8_t)len;
    opt[2] = 4; /* the first */
    memcpy(opt + 3, r->hop + 1, len - 7);
    memcpy(opt + len - 4, hdr + 16, 4);
    opt[len] = IP4_OPT_END;
    memcpy(hdr + 16, r->hop[0], 4);
    hdr[0] = (uint8_t)(0x40 | (IP4_HDR_LEN + ip4_route_len(r)) / 4);
    be16_put(hdr + 10, 0);
    csum = (uint16_t)~csum_fold(ip_sum_words(hdr, (IP4_HDR_LEN + ip4_route_len(r)) / 4));
    memcpy(hdr + 10, &csum, 2);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip6.c - IPv6 headers and extension headers, RFC 8200.
 *
 * The chain of extension headers is the sender's to choose, so it is bounded twice: in headers and
 * in octets from the beginning of the packet.  Every header of the chain is at least 8 octets long
 * and every option at least 1, so each step moves on; the bounds keep the number of steps small. */
#include "wire/ip.h"
#include <assert.h>

enum {
    EXT_HEADERS_MAX = 8,
    EXT_OCTETS_MAX = 256, /* the fixed header included */
};
enum { /* codes of a parameter problem, RFC 4443 section 3.4 */
       PROBLEM_FIELD = 0,
       PROBLEM_NEXT_HEADER = 1,
       PROBLEM_OPTION = 2,
       PROBLEM_NONE = 0xff,
};
enum { OPT6_PAD1 = 0 };

static enum rule ip6_problem(struct ip_hdr *h, uint8_t code, uint32_t at, enum rule r)
{
    h->problem_code = code;
    h->problem_at = (uint16_t)at;
    return r;
}

/* The options of a hop-by-hop or destination options header, in[at..end).  None is known here but
 * padding, so the two highest bits of each other one decide: RFC 8200 section 4.2. */
static enum rule check_ip6_options(struct ip_hdr *h, const uint8_t *in, uint32_t at, uint32_t end)
{
    while (at < end) {
        if (in[at] == OPT6_PAD1) {
            at++;
            continue;
        }
        if (end - at < 2 || in[at + 1] > end - at - 2)
            return RULE_IP6_EXT;
        switch (in[at] >> 6) {
        case 0:
            break;
        case 3:
            if (ip_is_multicast(h->dst))
                return RULE_IP6_UNKNOWN_OPTION;
            return ip6_problem(h, PROBLEM_OPTION, at, RULE_IP6_UNKNOWN_OPTION);
        case 2:
            return ip6_problem(h, PROBLEM_OPTION, at, RULE_IP6_UNKNOWN_OPTION);
        default:
            return RULE_IP6_UNKNOWN_OPTION;
        }
        at += 2u + in[at + 1];
    }
    return RULE_NONE;
}

/* No type of routing header is known here: RFC 8200 section 4.4 wants it skipped when it has
 * nothing left to visit, and otherwise reported.
 * Departs from RFC 5095 section 3: type 0 is dropped even with nothing left to visit, as nobody has
 * an honest use for it. */
static enum rule check_routing(struct ip_hdr *h, const uint8_t *in, uint32_t at)
{
    uint8_t type = in[at + 2], left = in[at + 3];
    enum rule r = type == 0 ? RULE_IP6_RH0 : RULE_IP6_EXT;

    if (left > 0)
        return ip6_problem(h, PROBLEM_FIELD, at + 2, r);
    return type == 0 ? RULE_IP6_RH0 : RULE_NONE;
}

static bool is_extension(uint8_t proto)
{
    return proto == IPPROTO_HOPOPTS_ || proto == IPPROTO_ROUTING_ || proto == IPPROTO_FRAGMENT_ ||
           proto == IPPROTO_DSTOPTS_;
}

/* Walks the chain from the fixed header on; `end` bounds it.  Leaves proto, problem_at (the octet
 * that named it) and hdr_len at what stands behind the last header that is understood. */
static enum rule walk_extensions(struct ip_hdr *h, const uint8_t *in, uint32_t end)
{
    uint32_t at = IP6_HDR_LEN, len, n;
    enum rule r = RULE_NONE;

    for (n = 0; is_extension(h->proto) && !h->has_frag; n++) {
        /* RFC 8200 section 4.1: anywhere but first it is an unrecognized next header. */
        if (h->proto == IPPROTO_HOPOPTS_ && n > 0)
            return ip6_problem(h, PROBLEM_NEXT_HEADER, h->problem_at, RULE_IP6_EXT);
        if (n == EXT_HEADERS_MAX || end - at < 8)
            return RULE_IP6_EXT;
        len = h->proto == IPPROTO_FRAGMENT_ ? IP6_FRAG_LEN : 8 + 8u * in[at + 1];
        if (len > end - at)
            return RULE_IP6_EXT;
        switch (h->proto) {
        case IPPROTO_ROUTING_:
            r = check_routing(h, in, at);
            break;
        case IPPROTO_FRAGMENT_:
            /* RFC 6946 section 4: one that is both first and last is no fragment. */
            h->frag_off = be16_at(in + at + 2) & 0xfff8;
            h->more_frags = in[at + 3] & 1;
            h->has_frag = h->frag_off > 0 || h->more_frags;
            h->frag_hdr = true;
            h->id = be32_at(in + at + 4);
            break;
        default:
            r = check_ip6_options(h, in, at + 2, at + len);
        }
        if (r != RULE_NONE)
            return r;
        h->proto = in[at];
        h->problem_at = (uint16_t)at;
        at += len;
        h->hdr_len = (uint16_t)at;
    }
    return RULE_NONE;
}

enum rule ip6_parse(struct ip_hdr *h, const uint8_t *in, size_t in_len, size_t total)
{
    uint32_t first, len, end;
    enum rule r;

    h->problem_code = PROBLEM_NONE;
    if (in_len < IP6_HDR_LEN || total < IP6_HDR_LEN)
        return RULE_RUNT;
    first = be32_at(in);
    if (first >> 28 != 6)
        return RULE_IP_VERSION;
    len = IP6_HDR_LEN + (uint32_t)be16_at(in + 4);
    if (len > total)
        return RULE_IP_LENGTH;

    memcpy(h->src, in + 8, 16);
    memcpy(h->dst, in + 24, 16);
    h->version = 6;
    h->proto = in[6];
    h->hop_limit = in[7];
    h->tos = (uint8_t)(first >> 20);
    h->id = 0;
    h->frag_off = 0;
    h->more_frags = false;
    h->dont_frag = true; /* nobody on the way may */
    h->has_frag = false;
    h->frag_hdr = false;
    h->flow = first & 0xfffff;
    h->hdr_len = IP6_HDR_LEN;
    h->problem_at = 6;
    if (is_extension(h->proto)) {
        end = len < EXT_OCTETS_MAX ? len : EXT_OCTETS_MAX;
        r = walk_extensions(h, in, in_len < end ? (uint32_t)in_len : end);
        if (r != RULE_NONE)
            return r;
    }
    h->payload_len = len - h->hdr_len;
    return RULE_NONE;
}

void ip6_emit(const struct ip_hdr *h, uint8_t out[IP6_HDR_LEN])
{
    assert(h->payload_len <= UINT16_MAX && h->flow <= 0xfffff);
    be32_put(out, 6u << 28 | (uint32_t)h->tos << 20 | h->flow);
    be16_put(out + 4, (uint16_t)h->payload_len);
    out[6] = h->proto;
    out[7] = h->hop_limit;
    memcpy(out + 8, h->src, 16);
    memcpy(out + 24, h->dst, 16);
}

void ip6_frag_emit(const struct ip_hdr *h, uint8_t next, uint8_t out[IP6_FRAG_LEN])
{
    assert(h->frag_off % 8 == 0);
    out[0] = next;
    out[1] = 0;
    be16_put(out + 2, (uint16_t)(h->frag_off | (h->more_frags ? 1 : 0)));
    be32_put(out + 4, h->id);
}

uint32_t ip6_whole(uint8_t *hdr, uint32_t hdr_len, uint32_t payload_len, bool ce)
{
    uint32_t frag_at = hdr_len - IP6_FRAG_LEN, at = IP6_HDR_LEN, named_at = 6;

    while (at < frag_at) {
        named_at = at;
        at += 8 + 8u * hdr[at + 1];
    }
    assert(at == frag_at && frag_at - IP6_HDR_LEN + payload_len <= UINT16_MAX);
    if (ce)
        hdr[1] |= 0x30;
    hdr[named_at] = hdr[frag_at];
    be16_put(hdr + 4, (uint16_t)(frag_at - IP6_HDR_LEN + payload_len));
    return frag_at;
}

static uint32_t upper_hdr_len(uint8_t proto)
{
    switch (proto) {
    case IPPROTO_TCP_:
        return 20;
    case IPPROTO_UDP_:
    case IPPROTO_ICMP6:
        return 8;
    case IPPROTO_NONE_:
        return 0;
    default:
        return 1;
    }
}

bool ip6_chain_whole(const uint8_t *in, size_t len, uint8_t *proto, uint32_t *at)
{
    uint8_t p = *proto;
    uint32_t off = 0, n;

    /* A second fragment header is for whoever parses the whole. */
    for (n = 0; is_extension(p) && p != IPPROTO_FRAGMENT_; n++) {
        if (n == EXT_HEADERS_MAX || len - off < 8 || 8 + 8u * in[off + 1] > len - off)
            return false;
        p = in[off];
        off += 8 + 8u * in[off + 1];
    }
    if (len - off < upper_hdr_len(p))
        return false;
    *proto = p;
    *at = off;
    return true;
}

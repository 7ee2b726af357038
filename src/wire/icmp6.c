/* SPDX-License-Identifier: BSD-2-Clause */
/* icmp6.c - what the errors of ICMPv6 mean (RFC 4443 section 3), and neighbour discovery
 * (RFC 4861 section 4). */
#include "wire/icmp.h"
#include <assert.h>

enum { /* options of neighbour discovery, RFC 4861 section 4.6 */
       ND_OPT_SOURCE_LLADDR = 1,
       ND_OPT_TARGET_LLADDR = 2,
       ND_OPT_PREFIX = 3,
       ND_OPT_MTU = 5,
};
enum { /* flags of a neighbour advertisement, RFC 4861 section 4.4 */
       NA_ROUTER = 0x80,
       NA_SOLICITED = 0x40,
       NA_OVERRIDE = 0x20,
};
enum { /* flags of a prefix, RFC 4861 section 4.6.2 */
       PREFIX_ON_LINK = 0x80,
       PREFIX_AUTONOMOUS = 0x40,
};

static const enum icmp_meaning unreach6[] = {
    [0] = ICMP_MEANS_NET_UNREACH,  /* no route to destination */
    [1] = ICMP_MEANS_PROHIBITED,   /* administratively prohibited */
    [2] = ICMP_MEANS_HOST_UNREACH, /* beyond scope of source address */
    [3] = ICMP_MEANS_HOST_UNREACH, /* address unreachable */
    [4] = ICMP_MEANS_PORT_UNREACH, /* port unreachable */
    [5] = ICMP_MEANS_PROHIBITED,   /* source address failed ingress/egress policy */
    [6] = ICMP_MEANS_PROHIBITED,   /* reject route to destination */
    [7] = ICMP_MEANS_NET_UNREACH,  /* error in source routing header, RFC 6550 section 20.18 */
};

/* [RFC4443-2.4-1, RFC4443-2.4-2] */
enum icmp_meaning icmp6_meaning(const struct icmp *m, uint32_t *mtu)
{
    switch (m->type) {
    case ICMP6_UNREACH:
        return m->code < sizeof unreach6 / sizeof unreach6[0] ? unreach6[m->code]
                                                              : ICMP_MEANS_UNKNOWN;
    case ICMP6_TOO_BIG: /* whatever the code, RFC 4443 section 3.2 */
        *mtu = m->rest;
        return ICMP_MEANS_TOO_BIG;
    case ICMP6_TIME_EXCEEDED:
        return m->code <= 1 ? ICMP_MEANS_TIME_EXCEEDED : ICMP_MEANS_UNKNOWN;
    case ICMP6_PARAM_PROBLEM:
        /* An unrecognized next header is IPv6's protocol unreachable, RFC 7915 section 5.2. */
        return m->code == 1 ? ICMP_MEANS_PROTO_UNREACH : ICMP_MEANS_PARAM_PROBLEM;
    case ICMP6_REDIRECT:
        return m->code == 0 ? ICMP_MEANS_REDIRECT : ICMP_MEANS_NOTHING;
    default: /* RFC 4443 section 2.1: the lower half of the types are errors */
        return m->type < ICMP6_ECHO ? ICMP_MEANS_UNKNOWN : ICMP_MEANS_NOTHING;
    }
}

/* RFC 4861 section 4.6.2; a length above 128 makes no prefix, and a link-local one is to be ignored
 * (section 6.3.4).  One preferred for longer than it is valid makes no address (RFC 4862
 * section 5.5.3 c). */
static void nd_add_prefix(struct nd *n, const uint8_t *opt)
{
    uint32_t valid = be32_at(opt + 4), preferred = be32_at(opt + 8), i = n->ra_nprefix;

    if (i == sizeof n->ra_prefix / sizeof n->ra_prefix[0] || opt[2] > 128 ||
        ip_is_link_local6(opt + 16))
        return;
    memcpy(n->ra_prefix[i].prefix, opt + 16, 16);
    n->ra_prefix[i].len = opt[2];
    n->ra_prefix[i].on_link = (opt[3] & PREFIX_ON_LINK) != 0;
    n->ra_prefix[i].autonomous = (opt[3] & PREFIX_AUTONOMOUS) != 0 && preferred <= valid;
    n->ra_prefix[i].valid = valid;
    n->ra_nprefix++;
}

/* Options of no interest, or not of the length theirs has, are skipped (RFC 4861 section 6.1.2);
 * one that does not move on or leaves the packet spoils it. */
static enum rule nd_parse_options(struct nd *n, uint8_t type, struct rd *r)
{
    uint8_t lladdr = type == ICMP6_NEIGHBOUR_ADVERT ? ND_OPT_TARGET_LLADDR : ND_OPT_SOURCE_LLADDR;
    const uint8_t *p;
    size_t len;

    while (rd_left(r) > 0) {
        if (rd_left(r) < 2 || r->p[1] == 0)
            return RULE_ND_MALFORMED;
        len = (size_t)r->p[1] * 8;
        p = rd_take(r, len);
        if (!p)
            return RULE_ND_MALFORMED;
        if (p[0] == lladdr && len == 8 && !n->has_lladdr) {
            memcpy(n->lladdr, p + 2, 6);
            n->has_lladdr = true;
        }
        if (type != ICMP6_ROUTER_ADVERT)
            continue;
        if (p[0] == ND_OPT_PREFIX && len == 32)
            nd_add_prefix(n, p);
        if (p[0] == ND_OPT_MTU && len == 8)
            n->ra_mtu = be32_at(p + 4);
    }
    return RULE_NONE;
}

/* [RFC4861-6.1.2-1, RFC4861-7.1-1] */
enum rule nd_parse(struct nd *n, const struct icmp *m, struct rd *r)
{
    const uint8_t *p;

    memset(n, 0, sizeof *n);
    if (m->code != 0)
        return RULE_ND_MALFORMED;
    switch (m->type) {
    case ICMP6_ROUTER_SOLICIT:
        break;
    case ICMP6_ROUTER_ADVERT:
        if (!rd_take(r, 8)) /* reachable and retransmission time: ours are fixed */
            return RULE_ND_MALFORMED;
        n->ra_hop_limit = (uint8_t)(m->rest >> 24);
        n->ra_lifetime = (uint16_t)m->rest;
        break;
    case ICMP6_NEIGHBOUR_SOLICIT:
    case ICMP6_NEIGHBOUR_ADVERT:
        p = rd_take(r, 16);
        if (!p || ip_is_multicast(p))
            return RULE_ND_MALFORMED;
        memcpy(n->target, p, 16);
        if (m->type == ICMP6_NEIGHBOUR_ADVERT) {
            n->router = (m->rest >> 24 & NA_ROUTER) != 0;
            n->solicited = (m->rest >> 24 & NA_SOLICITED) != 0;
            n->override = (m->rest >> 24 & NA_OVERRIDE) != 0;
        }
        break;
    default:
        return RULE_ND_MALFORMED;
    }
    return nd_parse_options(n, m->type, r);
}

size_t nd_emit(const struct nd *n, uint8_t type, uint8_t out[ND_MAX_LEN])
{
    struct icmp m = {.type = type};
    size_t len = ICMP_HDR_LEN;

    assert(type == ICMP6_ROUTER_SOLICIT || type == ICMP6_NEIGHBOUR_SOLICIT ||
           type == ICMP6_NEIGHBOUR_ADVERT);
    if (type == ICMP6_NEIGHBOUR_ADVERT)
        m.rest = (uint32_t)((n->router ? NA_ROUTER : 0) | (n->solicited ? NA_SOLICITED : 0) |
                            (n->override ? NA_OVERRIDE : 0))
                 << 24;
    icmp_emit(&m, out);
    if (type != ICMP6_ROUTER_SOLICIT) {
        memcpy(out + len, n->target, 16);
        len += 16;
    }
    if (n->has_lladdr) {
        out[len] = type == ICMP6_NEIGHBOUR_ADVERT ? ND_OPT_TARGET_LLADDR : ND_OPT_SOURCE_LLADDR;
        out[len + 1] = 1;
        memcpy(out + len + 2, n->lladdr, 6);
        len += 8;
    }
    return len;
}

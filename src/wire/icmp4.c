/* SPDX-License-Identifier: BSD-2-Clause */
/* icmp4.c - what the errors of ICMP mean: RFC 792, RFC 1122 section 3.2.2, RFC 1812
 * section 5.2.7. */
#include "wire/icmp.h"

/* By code.  Bad source route is with the routing transients (RFC 1122 section 3.2.2.1); a source
 * host isolated (8) cannot reach any host, this one included. */
static const enum icmp_meaning unreach4[] = {
    [0] = ICMP_MEANS_NET_UNREACH,   /* net */
    [1] = ICMP_MEANS_HOST_UNREACH,  /* host */
    [2] = ICMP_MEANS_PROTO_UNREACH, /* protocol */
    [3] = ICMP_MEANS_PORT_UNREACH,  /* port */
    [4] = ICMP_MEANS_TOO_BIG,       /* fragmentation needed and DF set */
    [5] = ICMP_MEANS_NET_UNREACH,   /* source route failed */
    [6] = ICMP_MEANS_NET_UNREACH,   /* destination network unknown */
    [7] = ICMP_MEANS_HOST_UNREACH,  /* destination host unknown */
    [8] = ICMP_MEANS_HOST_UNREACH,  /* source host isolated */
    [9] = ICMP_MEANS_PROHIBITED,    /* network administratively prohibited */
    [10] = ICMP_MEANS_PROHIBITED,   /* host administratively prohibited */
    [11] = ICMP_MEANS_NET_UNREACH,  /* network unreachable for this type of service */
    [12] = ICMP_MEANS_HOST_UNREACH, /* host unreachable for this type of service */
    [13] = ICMP_MEANS_PROHIBITED,   /* communication administratively prohibited */
    [14] = ICMP_MEANS_PROHIBITED,   /* host precedence violation */
    [15] = ICMP_MEANS_PROHIBITED,   /* precedence cutoff in effect */
};

/* A source quench means nothing (RFC 6633); a redirect is the internet layer's.  An unknown type
 * need not be an error (RFC 1122 section 3.2.2); an unknown code of an error is one. [MUST-55,
 * RFC5927-6-1, RFC1122-3.2.2-1] */
enum icmp_meaning icmp4_meaning(const struct icmp *m, uint32_t *mtu)
{
    switch (m->type) {
    case ICMP4_UNREACH:
        if (m->code >= sizeof unreach4 / sizeof unreach4[0])
            return ICMP_MEANS_UNKNOWN;
        if (unreach4[m->code] == ICMP_MEANS_TOO_BIG)
            *mtu = m->rest & 0xffff; /* RFC 1191 section 4; older routers: 0 */
        return unreach4[m->code];
    case ICMP4_TIME_EXCEEDED:
        return m->code <= 1 ? ICMP_MEANS_TIME_EXCEEDED : ICMP_MEANS_UNKNOWN;
    case ICMP4_PARAM_PROBLEM:
        return m->code <= 2 ? ICMP_MEANS_PARAM_PROBLEM : ICMP_MEANS_UNKNOWN;
    case ICMP4_REDIRECT:
        return m->code <= 3 ? ICMP_MEANS_REDIRECT : ICMP_MEANS_NOTHING;
    default:
        return ICMP_MEANS_NOTHING;
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* icmp.h - ICMP (RFC 792, 1122, 1191) and ICMPv6 (RFC 4443, 4861): icmp.c, icmp4.c,
 * icmp6.c. */
#ifndef WIRE_ICMP_H
#define WIRE_ICMP_H

#include "wire/ip.h"

enum {
    ICMP4_ECHO_REPLY = 0,
    ICMP4_UNREACH = 3,
    ICMP4_SOURCE_QUENCH = 4,
    ICMP4_REDIRECT = 5,
    ICMP4_ECHO = 8,
    ICMP4_TIME_EXCEEDED = 11,
    ICMP4_PARAM_PROBLEM = 12,
    ICMP6_UNREACH = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_TIME_EXCEEDED = 3,
    ICMP6_PARAM_PROBLEM = 4,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_ROUTER_SOLICIT = 133,
    ICMP6_ROUTER_ADVERT = 134,
    ICMP6_NEIGHBOUR_SOLICIT = 135,
    ICMP6_NEIGHBOUR_ADVERT = 136,
    ICMP6_REDIRECT = 137,
};

struct icmp {
    uint8_t type, code;
    uint32_t rest; /* the second word: id and sequence, MTU, pointer ... */
};
#define ICMP_HDR_LEN 8
/* Header only; the checksum over header and body must have been verified by the caller with
 * csum_fold(). RULE_NONE or RULE_ICMP_MALFORMED. */
enum rule icmp_parse(struct icmp *m, struct rd *r);
void icmp_emit(const struct icmp *m, uint8_t out[ICMP_HDR_LEN]); /* checksum field zero */

/* What an ICMP error means to a transport, whatever the version. */
enum icmp_meaning {
    ICMP_MEANS_NOTHING,       /* not an error, or one without consequence */
    ICMP_MEANS_NET_UNREACH,   /* soft, RFC 1122 section 4.2.3.9 */
    ICMP_MEANS_HOST_UNREACH,  /* soft */
    ICMP_MEANS_PORT_UNREACH,  /* hard */
    ICMP_MEANS_PROTO_UNREACH, /* hard */
    ICMP_MEANS_PROHIBITED, /* RFC 4443 section 3.1 codes 1, 5, 6; RFC 1812 section 5.2.7.1 code 13
                            */
    ICMP_MEANS_TOO_BIG,    /* value: the next hop's MTU, 0 if it did not say */
    ICMP_MEANS_TIME_EXCEEDED,
    ICMP_MEANS_PARAM_PROBLEM,
    ICMP_MEANS_UNKNOWN,  /* an error whose type or code came later than this: soft */
    ICMP_MEANS_REDIRECT, /* a better first hop: icmp_redirect_parse() */
};
/* version 4 or 6.  *mtu is set with ICMP_MEANS_TOO_BIG only. */
enum icmp_meaning icmp_meaning(uint8_t version, const struct icmp *m, uint32_t *mtu);
enum icmp_meaning icmp4_meaning(const struct icmp *m, uint32_t *mtu);
enum icmp_meaning icmp6_meaning(const struct icmp *m, uint32_t *mtu);

/* The packet that an ICMP error quotes: as much of it as is there. */
struct icmp_quote {
    struct ip_hdr ip;
    uint16_t sport, dport;
    uint32_t seq; /* TCP */
    bool has_seq;
};
/* q->ip.payload_len is what the quoted header says, not what was quoted. */
/* RULE_NONE or RULE_ICMP_MALFORMED (too short to tell whose it was). */
enum rule icmp_quote_parse(struct icmp_quote *q, uint8_t version, const uint8_t *in, size_t len);

struct icmp_redirect {
    uint8_t dst[16], via[16]; /* the destination, and the better first hop to it */
};
/* A whole message, or its beginning.  q: what it quotes, which must be to r->dst.  RULE_NONE or
 * RULE_ICMP_MALFORMED. */
enum rule icmp_redirect_parse(struct icmp_redirect *r, struct icmp_quote *q, uint8_t version,
                              const uint8_t *in, size_t len);

/* Neighbour discovery bodies (RFC 4861 section 4), behind the 8 octets of struct icmp. */
struct nd {
    uint8_t target[16]; /* NS, NA */
    uint8_t lladdr[6];  /* source or target link-layer address option */
    bool has_lladdr;
    bool router, solicited, override; /* NA flags, in icmp.rest */
    /* RA */
    uint8_t ra_hop_limit;
    uint16_t ra_lifetime; /* s */
    uint32_t ra_mtu;      /* 0: not given */
    struct {
        uint8_t prefix[16];
        uint8_t len;
        bool on_link, autonomous;
        uint32_t valid; /* s */
    } ra_prefix[4];
    uint32_t ra_nprefix;
};
/* Checks option lengths (a zero length is malformed).  RULE_NONE or RULE_ND_MALFORMED. */
enum rule nd_parse(struct nd *n, const struct icmp *m, struct rd *r);
/* NS, NA or RS with its link-layer address option (if has_lladdr), ICMP header included, checksum
 * zero; returns the length. */
#define ND_MAX_LEN 32
size_t nd_emit(const struct nd *n, uint8_t type, uint8_t out[ND_MAX_LEN]);

#endif

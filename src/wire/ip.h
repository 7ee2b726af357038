/* SPDX-License-Identifier: BSD-2-Clause */
/* ip.h - IPv4 (RFC 791) and IPv6 (RFC 8200) headers as one representation; IPv4 addresses are
 * IPv4-mapped. ip4.c and ip6.c hold the two wire forms. */
#ifndef WIRE_IP_H
#define WIRE_IP_H

#include "base/bytes.h"
#include "base/csum.h"
#include "wire/rule.h"

#define IP4_HDR_LEN  20
#define IP6_HDR_LEN  40
#define IP6_FRAG_LEN 8 /* RFC 8200 section 4.5 */
enum {
    IPPROTO_HOPOPTS_ = 0,
    IPPROTO_ICMP4 = 1,
    IPPROTO_IPIP = 4,
    IPPROTO_TCP_ = 6,
    IPPROTO_UDP_ = 17,
    IPPROTO_IP6IN = 41,
    IPPROTO_ROUTING_ = 43,
    IPPROTO_FRAGMENT_ = 44,
    IPPROTO_ICMP6 = 58,
    IPPROTO_NONE_ = 59,
    IPPROTO_DSTOPTS_ = 60,
};

static inline bool ip_is4(const uint8_t a[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(a, mapped, 12) == 0;
}
static inline void ip_map4(uint8_t out[16], const uint8_t v4[4])
{
    static const uint8_t prefix[4] = {0, 0, 0xff, 0xff};
    uint32_t first, second;
    uint64_t half = 0;

    memcpy(&first, prefix, 4);
    memcpy(&second, v4, 4);
    memcpy(out, &half, 8);
    half = u64_of_words(first, second);
    memcpy(out + 8, &half, 8);
}
static inline bool ip_is_any(const uint8_t a[16]) /* :: or ::ffff:0.0.0.0 */
{
    static const uint8_t zero[16];

    return memcmp(a, zero, 16) == 0 || (ip_is4(a) && memcmp(a + 12, zero, 4) == 0);
}
static inline bool ip_is_multicast(const uint8_t a[16]) /* 224/4, ff00::/8; not IPv4 broadcast */
{
    return a[0] == 0xff || (ip_is4(a) && (a[12] & 0xf0) == 0xe0);
}
static inline bool ip_is_loopback(const uint8_t a[16])
{
    static const uint8_t one[16] = {[15] = 1};

    return memcmp(a, one, 16) == 0 || (ip_is4(a) && a[12] == 127);
}
static inline bool ip_is_link_local6(const uint8_t a[16])
{
    return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

enum { /* struct ip_hdr.tos, the two lowest bits: RFC 3168 section 5 */
       ECN_ECT1 = 1,
       ECN_ECT0 = 2,
       ECN_CE = 3,
       ECN_MASK = 3,
};
struct ip_hdr {
    uint8_t src[16], dst[16];
    uint8_t version; /* 4 or 6 */
    uint8_t proto;   /* of the payload, behind every extension header */
    uint8_t hop_limit, tos;
    uint32_t id;                          /* IPv4: 16 bits; or of the fragment header: 32 */
    uint16_t frag_off;                    /* octets */
    bool more_frags, dont_frag, has_frag; /* has_frag: it is a fragment (an atomic one is not) */
    bool frag_hdr; /* IPv6: has a fragment header, be it an atomic fragment's */
    uint32_t flow;
    uint16_t hdr_len; /* octets up to the payload: with options or extension headers */
    uint32_t
        payload_len; /* octets behind hdr_len, as the header says; never more than the frame has */
    /* A parameter problem to report (RFC 8200 section 4.2): code and pointer; code 0xff: none, and
     * then problem_at is the octet that named proto (for an unrecognized next header). */
    uint8_t problem_code;
    uint16_t problem_at;
};
/* Both look at the first octets of `in` (header, options and extension headers must lie within
 * them: the caller hands a contiguous run of at least min(packet, 256) octets); `total` is the
 * length of the whole packet in the frame, of which link padding may be part.  RULE_NONE, or why it
 * must be dropped: then h says at least, in problem_code, whether that is to be reported, and if so
 * all that the fixed header says too. */
enum rule ip4_parse(struct ip_hdr *h, const uint8_t *in, size_t in_len, size_t total, bool csum_ok);
enum rule ip6_parse(struct ip_hdr *h, const uint8_t *in, size_t in_len, size_t total);
/* Emit the fixed header (no options) for payload_len octets behind it. */
void ip4_emit(const struct ip_hdr *h, uint8_t out[IP4_HDR_LEN]);
void ip6_emit(const struct ip_hdr *h, uint8_t out[IP6_HDR_LEN]);
/* ip4_emit() of what is never fragmented, between addresses of four octets: summed word by word as
 * it is written. */
static inline void ip4_emit_plain(const uint8_t *src, const uint8_t *dst, uint8_t proto,
                                  uint8_t tos, uint8_t hop_limit, uint32_t payload_len,
                                  uint8_t out[IP4_HDR_LEN])
{
    const uint32_t second = 0x4000; /* no identification, DF */
    uint32_t first = 0x45000000u | (uint32_t)tos << 16 | (IP4_HDR_LEN + payload_len);
    uint32_t third = (uint32_t)hop_limit << 24 | (uint32_t)proto << 16;
    uint64_t sum = (uint64_t)first + second + third + be32_at(src) + be32_at(dst);

    be32_put(out, first);
    be32_put(out + 4, second);
    be32_put(out + 8, third | (uint16_t)~csum_fold(sum));
    memcpy(out + 12, src, 4);
    memcpy(out + 16, dst, 4);
}
/* The header at hdr, without options or extensions, becomes one for payload_len octets: RFC 1624
 * section 3, equation 3.  Words are written as ip4_parse() and its like read them. */
static inline void ip_resize(uint8_t *hdr, uint32_t payload_len)
{
    uint32_t first = be32_at(hdr), third = be32_at(hdr + 8), len = IP4_HDR_LEN + payload_len;

    if (UNLIKELY(first >> 28 != 4)) {
        be16_put(hdr + 4, (uint16_t)payload_len);
        return;
    }
    be32_put(hdr, (first & 0xffff0000u) | len);
    be32_put(hdr + 8, (third & 0xffff0000u) | (uint16_t)~csum_fold((uint64_t)(~first & 0xffff) +
                                                                   (~third & 0xffff) + len));
}
/* h's identification and place as a fragment header, in front of a header of type next. */
void ip6_frag_emit(const struct ip_hdr *h, uint8_t next, uint8_t out[IP6_FRAG_LEN]);
/* A source route, RFC 791 section 3.1: the gateways on the way, the first that is sent to in front.
 * With n of them the option has as many addresses: the others, and the destination. */
#define IP4_ROUTE_MAX 9
struct ip4_route {
    uint8_t n; /* 0: none */
    bool strict;
    uint8_t hop[IP4_ROUTE_MAX][4];
};
static inline uint32_t
ip4_route_len(const struct ip4_route *r) /* octets of options; r may be NULL */
{
    return r && r->n ? 4 + 4u * r->n : 0;
}
/* The way back of a datagram whose header ip4_parse() refused as RULE_IP_SOURCE_ROUTE.  RULE_NONE:
 * its route is completed, and this was its destination. */
enum rule ip4_route_parse(struct ip4_route *r, const uint8_t *hdr, uint32_t hdr_len);
/* Of such a header that is on its way: the destination at the end of its route. */
void ip4_route_final(const uint8_t *hdr, uint32_t hdr_len, uint8_t dst[16]);
/* Puts r behind a header that has been emitted for as many octets more: ip4_route_len(). */
void ip4_route_emit(const struct ip4_route *r, uint8_t *hdr);
/* Turns the headers of a first fragment, as one of the two has parsed them, into those of the whole
 * datagram with payload_len octets behind them; returns how long they are then.  ce: RFC 3168
 * section 5.3, congestion experienced by another fragment. */
uint32_t ip4_whole(uint8_t *hdr, uint32_t hdr_len, uint32_t payload_len, bool ce);
uint32_t ip6_whole(uint8_t *hdr, uint32_t hdr_len, uint32_t payload_len, bool ce);
/* RFC 7112 section 3: whether in[0..len), which begins with a header of type *proto, holds the rest
 * of the chain up to and including the upper-layer header; if so *proto is that header's type and
 * *at where it begins. */
bool ip6_chain_whole(const uint8_t *in, size_t len, uint8_t *proto, uint32_t *at);
static inline uint32_t ip_hdr_len_of(const uint8_t dst[16])
{
    return LIKELY(ip_is4(dst)) ? IP4_HDR_LEN : IP6_HDR_LEN;
}
/* Unfolded sum of few 32-bit words in the machine's order: 2^16 is 1 modulo the checksum's 2^16 -
 * 1, and as long as they are fewer than 2^32 no carry is lost.  Headers are short and summed for
 * every packet: this is cheaper than csum_add(). */
static inline uint64_t ip_sum_words(const uint8_t *p, size_t nwords)
{
    uint64_t sum = 0;
    uint32_t w;
    size_t i;

    for (i = 0; i < nwords; i++) {
        memcpy(&w, p + 4 * i, 4);
        sum += w;
    }
    return sum;
}
/* Unfolded sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1): of its
 * addresses, which a connection's segments have in common, and of all of it. */
static inline uint64_t ip_addr_sum(const uint8_t src[16], const uint8_t dst[16])
{
    if (ip_is4(dst))
        return ip_sum_words(src + 12, 1) + ip_sum_words(dst + 12, 1);
    return ip_sum_words(src, 4) + ip_sum_words(dst, 4);
}
static inline uint64_t ip_pseudo_of(uint64_t addr_sum, uint8_t proto, uint32_t len)
{
    uint8_t tail[4];

    be32_put(tail, len + proto); /* the words that they stand in are added anyway */
    return addr_sum + ip_sum_words(tail, 1);
}
static inline uint64_t ip_pseudo(const uint8_t src[16], const uint8_t dst[16], uint8_t proto,
                                 uint32_t len)
{
    return ip_pseudo_of(ip_addr_sum(src, dst), proto, len);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* shard.c - several stacks with one address: whose is a frame?
 *
 * Every stack holds the connections whose four-tuples hash to it and knows nothing of the others.
 * Whoever brings the frames asks here; listeners listen on every stack; a port for connecting is
 * chosen so that the answers come home (tcp_port.c).  The hash is the same both ways, and no
 * secret: who would load one stack more than the others could as well load them all. */
#include "stack/stack.h"
#include "wire/arp.h"
#include "wire/eth.h"

static uint32_t shard_of_hash(uint32_t hash, uint16_t nshards)
{
    return (uint32_t)((uint64_t)hash * nshards >> 32);
}

static uint32_t shard_of_pair(const struct ip_hdr *h, uint16_t sport, uint16_t dport, uint16_t n)
{
    return shard_of_hash(hash_flow(h->src, sport, h->dst, dport), n);
}

uint32_t estab_flow_shard(const struct estab_addr *a, const struct estab_addr *b, uint16_t nshards)
{
    return shard_of_hash(hash_flow(a->ip, a->port, b->ip, b->port), nshards);
}

/* What teaches a neighbour's address is for all, what asks for ours for the first. */
static uint32_t shard_of_arp(const uint8_t *p, size_t len)
{
    struct rd rd = rd_of(p, len);
    struct arp a;

    if (arp_parse(&a, &rd) != RULE_NONE)
        return 0;
    return a.op == ARP_REPLY || memcmp(a.spa, a.tpa, 4) == 0 ? ESTAB_SHARD_ALL : 0;
}

/* An error goes to whom it speaks of. */
static uint32_t shard_of_icmp(const struct ip_hdr *h, const uint8_t *p, size_t len, uint16_t n)
{
    struct rd rd = rd_of(p, len);
    struct icmp_redirect to;
    struct icmp_quote q;
    struct icmp m;
    uint32_t mtu;

    if (icmp_parse(&m, &rd) != RULE_NONE)
        return 0;
    switch (icmp_meaning(h->version, &m, &mtu)) {
    case ICMP_MEANS_NOTHING:
        break;
    case ICMP_MEANS_REDIRECT:
        if (icmp_redirect_parse(&to, &q, h->version, p, len) != RULE_NONE)
            return 0;
        return shard_of_pair(&q.ip, q.sport, q.dport, n);
    default:
        if (icmp_quote_parse(&q, h->version, p + ICMP_HDR_LEN, len - ICMP_HDR_LEN) != RULE_NONE)
            return 0;
        return shard_of_pair(&q.ip, q.sport, q.dport, n);
    }
    if (h->version == 6 && (m.type == ICMP6_NEIGHBOUR_ADVERT || m.type == ICMP6_ROUTER_ADVERT))
        return ESTAB_SHARD_ALL;
    if (h->version == 6 && m.type == ICMP6_NEIGHBOUR_SOLICIT)
        return 0;
    return shard_of_pair(h, 0, 0, n);
}

static uint32_t shard_of_packet(const uint8_t *p, size_t len, size_t total, uint16_t n)
{
    struct ip_hdr h;
    enum rule r;

    if (len == 0)
        return 0;
    r = p[0] >> 4 == 6 ? ip6_parse(&h, p, len, total) : ip4_parse(&h, p, len, total, true);
    if (r != RULE_NONE || len < h.hdr_len)
        return 0;
    p += h.hdr_len;
    len -= h.hdr_len;
    if (h.has_frag)
        return shard_of_pair(&h, 0, 0, n);
    if (h.proto == IPPROTO_ICMP4 || h.proto == IPPROTO_ICMP6)
        return shard_of_icmp(&h, p, len, n);
    if ((h.proto == IPPROTO_TCP_ || h.proto == IPPROTO_UDP_) && len >= 4)
        return shard_of_pair(&h, be16_at(p), be16_at(p + 2), n);
    return shard_of_pair(&h, 0, 0, n);
}

uint32_t estab_frame_shard(enum estab_medium medium, const struct estab_frame *f, uint16_t nshards)
{
    uint8_t buf[512]; /* headers, and of an error the quoted ones */
    const uint8_t *p = buf;
    struct pieces all;
    struct eth eth;
    struct rd rd;
    size_t len;

    if (nshards <= 1 || !ip_frame_pieces(&all, f))
        return 0;
    len = all.len < sizeof buf ? all.len : sizeof buf;
    if (all.n > 0 && all.v[0].len >= len)
        p = all.v[0].base;
    else
        pieces_copy(buf, &all, 0, (uint32_t)len);
    if (medium == ESTAB_MEDIUM_IP)
        return shard_of_packet(p, len, all.len, nshards);
    rd = rd_of(p, len);
    if (eth_parse(&eth, &rd) != RULE_NONE)
        return 0;
    if (eth.type == ETHERTYPE_ARP)
        return shard_of_arp(p + ETH_HDR_LEN, len - ETH_HDR_LEN);
    return shard_of_packet(p + ETH_HDR_LEN, len - ETH_HDR_LEN, all.len - ETH_HDR_LEN, nshards);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_plain.c - the frame that most are.
 *
 * A TCP segment in an IP packet without options, whole, its headers in one piece, with the
 * link's header and mostly of the pair of hosts of the last that was looked at closely, ip_in.c:
 * what is left are a few comparisons.  What is not so at a glance goes the way of
 * every frame, which also is the one that refuses.  It saves 3,000 of a short connection's 38,000
 * instructions. */
#include "ip/ip_int.h"

#define TCP_LEAST 20 /* RFC 9293 section 3.1: octets of its header */

static void hosts_learn(struct ip_seen *s, const struct ip_dgram *d)
{
    memcpy(s->src, d->ip.src, 16);
    memcpy(s->dst, d->ip.dst, 16);
    s->local = d->local;
}

/* A pair of hosts stays good until an address comes or goes; a link's header with it. */
void ip_plain_learn(struct ip_layer *l, const struct ip_dgram *d)
{
    struct ip_seen *s = &l->seen;

    if (d->frame->niov == 0 || d->frame->iov[0].len < d->link_len)
        return;
    s->gen = l->path_gen;
    s->port = d->port;
    s->version = d->ip.version;
    s->link_len = d->link_len;
    if (d->link_len > 0) /* or the piece may be none */
        memcpy(s->link, d->frame->iov[0].base, d->link_len);
    hosts_learn(s, d);
}

/* All of an IPv4 header that is no other than it usually is. */
static inline bool plain4(struct ip_hdr *h, const uint8_t *p, uint32_t len, bool csum_ok)
{
    uint16_t frag = be16_at(p + 6);

    if (p[0] != 0x45 || p[9] != IPPROTO_TCP_ || be16_at(p + 2) != len || (frag & 0x3fff) != 0)
        return false;
    if (!csum_ok && csum_fold(ip_sum_words(p, IP4_HDR_LEN / 4)) != 0xffff)
        return false;
    ip_map4(h->src, p + 12);
    ip_map4(h->dst, p + 16);
    h->hop_limit = p[8];
    h->tos = p[1];
    h->id = be16_at(p + 4);
    h->dont_frag = (frag & 0x4000) != 0;
    h->flow = 0;
    h->problem_at = 9;
    return true;
}

static inline bool plain6(struct ip_hdr *h, const uint8_t *p, uint32_t len)
{
    if (p[0] >> 4 != 6 || p[6] != IPPROTO_TCP_ || be16_at(p + 4) != len - IP6_HDR_LEN)
        return false;
    memcpy(h->src, p + 8, 16);
    memcpy(h->dst, p + 24, 16);
    h->hop_limit = p[7];
    h->tos = (uint8_t)(be16_at(p) >> 4);
    h->id = 0;
    h->dont_frag = true;
    h->flow = be32_at(p) & 0xfffff;
    h->problem_at = 6;
    return true;
}

/* The same hosts as before, or others that may send to us. */
static inline bool hosts_in(struct ip_layer *l, struct ip_dgram *d)
{
    struct ip_seen *s = &l->seen;

    if (memcmp(d->ip.src, s->src, 16) == 0 && memcmp(d->ip.dst, s->dst, 16) == 0) {
        d->local = s->local;
        return true;
    }
    if (ip_addrs_in(l, d, false) != RULE_NONE || d->local == IP_LOCAL_NONE)
        return false;
    hosts_learn(s, d);
    return true;
}

bool ip_plain_in(struct ip_layer *l, uint8_t port, const struct estab_frame *f, struct ip_dgram *d)
{
    const struct ip_seen *s = &l->seen;
    uint32_t hdr_len = s->version == 4 ? IP4_HDR_LEN : IP6_HDR_LEN, at = s->link_len + hdr_len;
    uint32_t text = 0, tcp_len;
    const uint8_t *p;

    if (s->version == 0 || s->gen != l->path_gen || s->port != port || f->niov - 1u > 1 ||
        f->iov[0].len > UINT16_MAX || f->iov[0].len < at + TCP_LEAST)
        return false;
    if (f->niov == 2) {
        if (f->iov[1].len - 1 >= UINT16_MAX)
            return false;
        text = (uint32_t)f->iov[1].len;
        d->payload.v[1] = f->iov[1];
    }
    p = f->iov[0].base;
    tcp_len = (uint32_t)(p[at + 12] >> 4) * 4;
    if (tcp_len < TCP_LEAST || tcp_len > f->iov[0].len - at ||
        (s->link_len > 0 && memcmp(p, s->link, s->link_len) != 0))
        return false;
    d->payload.len = (uint32_t)f->iov[0].len - at + text;
    p += s->link_len;
    if (s->version == 4 ? !plain4(&d->ip, p, hdr_len + d->payload.len, l->ports[port].caps.rx_csum)
                        : !plain6(&d->ip, p, hdr_len + d->payload.len))
        return false;
    d->ip.version = s->version;
    d->ip.proto = IPPROTO_TCP_;
    d->ip.frag_off = 0;
    d->ip.more_frags = d->ip.has_frag = d->ip.frag_hdr = false;
    d->ip.hdr_len = (uint16_t)hdr_len;
    d->ip.payload_len = d->payload.len;
    d->ip.problem_code = 0xff;
    d->link_len = s->link_len;
    d->head = p + hdr_len;
    d->head_len = f->iov[0].len - at;
    d->payload.v[0] = (struct estab_iov){(uint8_t *)f->iov[0].base + at, d->head_len};
    d->payload.n = f->niov;
    return hosts_in(l, d);
}

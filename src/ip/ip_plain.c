/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_plain.c - the frame that most are.
 *
 * A TCP segment in an IP packet without options, whole, its headers in one piece, with the
 * link's header and mostly of the pair of hosts of the last that was looked at closely, ip_in.c:
 * what is left are a few comparisons, and of what a datagram is made of only what a segment needs
 * is looked at.  What is not so at a glance goes the way of every frame, which also is the one that
 * refuses.  It saves 3,800 of a short connection's 29,300 instructions, 900 of the 6,100 of a small
 * request and its answer. */
#include "ip/ip_int.h"

#define TCP_LEAST 20 /* RFC 9293 section 3.1: octets of its header */

static void hosts_learn(struct ip_seen *s, const struct ip_dgram *d)
{
    memcpy(s->src, d->ip.src, 16);
    memcpy(s->dst, d->ip.dst, 16);
    memcpy(s->pair4, d->ip.src + 12, 4);
    memcpy(s->pair4 + 4, d->ip.dst + 12, 4);
    s->addr_sum = ip_addr_sum(s->src, s->dst);
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
    s->rx_csum = l->ports[d->port].caps.rx_csum;
    s->version = d->ip.version;
    s->ip_len = d->ip.version == 4 ? IP4_HDR_LEN : IP6_HDR_LEN;
    s->link_len = d->link_len;
    if (d->link_len > 0) /* or the piece may be none */
        memcpy(s->link, d->frame->iov[0].base, d->link_len);
    hosts_learn(s, d);
}

/* ---- the header at p, of a packet of so many octets, is no other than it usually is ---- */

IN_PLACE bool is_plain4(const uint8_t *p, uint32_t len)
{
    return p[0] == 0x45 && p[9] == IPPROTO_TCP_ && be16_at(p + 2) == len &&
           (be16_at(p + 6) & 0x3fff) == 0;
}

static inline bool is_plain6(const uint8_t *p, uint32_t len)
{
    return p[0] >> 4 == 6 && p[6] == IPPROTO_TCP_ && be16_at(p + 4) == len - IP6_HDR_LEN;
}

/* Other hosts than before, and they may talk to each other. */
static bool hosts_other(struct ip_layer *l, uint8_t port, const uint8_t *p)
{
    struct ip_seen *s = &l->seen;
    struct ip_dgram d; /* of which only these are looked at */

    d.port = port;
    if (s->version == 4) {
        ip_map4(d.ip.src, p + 12);
        ip_map4(d.ip.dst, p + 16);
    } else {
        memcpy(d.ip.src, p + 8, 16);
        memcpy(d.ip.dst, p + 24, 16);
    }
    d.ip.version = s->version;
    if (ip_addrs_in(l, &d, false) != RULE_NONE || d.local == IP_LOCAL_NONE)
        return false;
    hosts_learn(s, &d);
    return true;
}

IN_PLACE bool plain4(struct ip_layer *l, uint8_t port, const uint8_t *p, uint32_t len)
{
    const struct ip_seen *s = &l->seen;

    return LIKELY(is_plain4(p, len)) &&
           (LIKELY(memcmp(p + 12, s->pair4, 8) == 0) || hosts_other(l, port, p)) &&
           (UNLIKELY(s->rx_csum) || LIKELY(csum_fold(ip_sum_words(p, 3) + s->addr_sum) == 0xffff));
}

static APART bool plain6(struct ip_layer *l, uint8_t port, const uint8_t *p, uint32_t len)
{
    const struct ip_seen *s = &l->seen;

    return LIKELY(is_plain6(p, len)) &&
           (LIKELY(memcmp(p + 8, s->src, 16) == 0 && memcmp(p + 24, s->dst, 16) == 0) ||
            hosts_other(l, port, p));
}

bool ip_plain_in(struct ip_layer *l, uint8_t port, const struct estab_frame *f, struct ip_tcp *out)
{
    const struct ip_seen *s = &l->seen;
    uint32_t at = s->link_len + s->ip_len, len;
    const uint8_t *p;

    if (UNLIKELY(s->version == 0 || s->gen != l->path_gen || s->port != port || f->niov - 1u > 1 ||
                 f->iov[0].len > UINT16_MAX || f->iov[0].len < at + TCP_LEAST))
        return false;
    p = (const uint8_t *)f->iov[0].base + s->link_len;
    len = (uint32_t)f->iov[0].len - at;
    out->head_len = len;
    out->payload.v[0] = (struct estab_iov){(uint8_t *)f->iov[0].base + at, len};
    if (LIKELY(f->niov == 2)) {
        if (UNLIKELY(f->iov[1].len - 1 >= UINT16_MAX))
            return false;
        len += (uint32_t)f->iov[1].len;
        out->payload.v[1] = f->iov[1];
    }
    if (UNLIKELY((size_t)(p[s->ip_len + 12] >> 4) * 4 > out->head_len ||
                 (s->link_len > 0 && memcmp(f->iov[0].base, s->link, s->link_len) != 0)))
        return false;
    if (LIKELY(s->version == 4)) {
        if (UNLIKELY(!plain4(l, port, p, s->ip_len + len)))
            return false;
    } else if (UNLIKELY(!plain6(l, port, p, s->ip_len + len))) {
        return false;
    }
    out->frame = f;
    out->src = s->src;
    out->head = p + s->ip_len;
    out->payload.n = f->niov;
    out->payload.len = len;
    out->addr_sum = s->addr_sum;
    out->local = s->local;
    out->gso_size = LIKELY(f->off.gso_type == ESTAB_GSO_NONE) ? 0 : f->off.gso_size;
    out->port = port;
    out->tos = LIKELY(s->version == 4) ? p[1] : (uint8_t)(be16_at(p) >> 4);
    out->csum_ok =
        s->rx_csum | ((f->off.flags & (ESTAB_OFF_DATA_VALID | ESTAB_OFF_NEEDS_CSUM)) != 0);
    return true;
}

const uint8_t *ip_plain_ends(const struct ip_layer *l, const struct estab_frame *f, uint8_t src[16],
                             uint16_t *local)
{
    const struct ip_seen *s = &l->seen;
    const uint8_t *p, *dst = s->dst;
    uint8_t mapped[16];
    int at = s->local;

    if (s->version == 0 || s->gen != l->path_gen || f->niov == 0 ||
        f->iov[0].len < s->link_len + s->ip_len + TCP_LEAST)
        return NULL;
    p = (const uint8_t *)f->iov[0].base + s->link_len;
    if (s->version == 4) {
        if (p[0] != 0x45 || p[9] != IPPROTO_TCP_)
            return NULL;
        ip_map4(src, p + 12);
        if (memcmp(p + 16, s->pair4 + 4, 4) != 0) {
            ip_map4(mapped, p + 16);
            dst = mapped;
        }
    } else {
        if (p[0] >> 4 != 6 || p[6] != IPPROTO_TCP_)
            return NULL;
        memcpy(src, p + 8, 16);
        if (memcmp(p + 24, s->dst, 16) != 0)
            dst = p + 24;
    }
    if (dst != s->dst)
        at = ip_local_find(l, dst);
    *local = (uint16_t)at;
    return at < 0 ? NULL : p + s->ip_len;
}

void ip_plain_whole(const struct ip_layer *l, const struct ip_tcp *in, struct ip_dgram *d)
{
    const struct ip_seen *s = &l->seen;
    const uint8_t *p = in->head - s->ip_len;
    bool v4 = s->version == 4;

    ip_frame_in(l, in->port, in->frame, d);
    d->ip = (struct ip_hdr){.version = s->version,
                            .proto = IPPROTO_TCP_,
                            .hop_limit = v4 ? p[8] : p[7],
                            .tos = in->tos,
                            .id = v4 ? be16_at(p + 4) : 0,
                            .dont_frag = v4 ? (p[6] & 0x40) != 0 : true,
                            .flow = v4 ? 0 : be32_at(p) & 0xfffff,
                            .hdr_len = (uint16_t)s->ip_len,
                            .payload_len = in->payload.len,
                            .problem_code = 0xff,
                            .problem_at = v4 ? 9 : 6};
    memcpy(d->ip.src, s->src, 16);
    memcpy(d->ip.dst, s->dst, 16);
    d->link_len = s->link_len;
    d->local = in->local;
    d->head = in->head;
    d->head_len = in->head_len;
    d->payload = in->payload;
}

void ip_tcp_of(const struct ip_dgram *d, struct ip_tcp *out)
{
    *out = (struct ip_tcp){.frame = d->frame,
                           .src = d->ip.src,
                           .head = d->head,
                           .head_len = d->head_len,
                           .payload = d->payload,
                           .addr_sum = ip_addr_sum(d->ip.src, d->ip.dst),
                           .local = d->local,
                           .gso_size = d->gso_size,
                           .port = d->port,
                           .tos = d->ip.tos,
                           .csum_ok = d->csum_ok};
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_in.c - a frame arrives: taken apart as far as a transport's datagram.
 *
 * A host takes what is addressed to it and nothing else (RFC 1122 section 3.2.1.3).  It is of the
 * weak model of RFC 1122 section 3.3.4.2: an address of ours is ours on whichever port it arrives;
 * except a link-local one, which means nothing on another link. */
#include "ip/ip_int.h"

#define IP_FRAME_MAX (1u << 20) /* far above any IP packet with any link header and padding */

const uint8_t *ip_run(const struct pieces *t, uint32_t want, uint8_t *buf, size_t *len)
{
    if (want > t->len)
        want = t->len;
    if (t->n && t->v[0].len >= want) {
        *len = t->v[0].len;
        return t->v[0].base;
    }
    pieces_copy(buf, t, 0, want);
    *len = want;
    return buf;
}

bool ip_frame_pieces(struct pieces *t, const struct estab_frame *f)
{
    uint32_t i;

    t->n = t->len = 0;
    if (f->niov == 1 && f->iov[0].len > 0 && f->iov[0].len <= IP_FRAME_MAX) { /* most are */
        t->v[0] = f->iov[0];
        t->n = 1;
        t->len = (uint32_t)f->iov[0].len;
        return true;
    }
    for (i = 0; i < f->niov && i < ESTAB_IOVS; i++) {
        if (f->iov[i].len == 0)
            continue;
        if (f->iov[i].len > IP_FRAME_MAX - t->len)
            return false;
        t->v[t->n++] = f->iov[i];
        t->len += (uint32_t)f->iov[i].len;
    }
    return true;
}

/* Headers taken off, padding cut off: mostly within the first piece, and mostly no padding. */
static inline void cut_to(struct pieces *t, uint32_t head, uint32_t len)
{
    if (head < t->v[0].len) {
        t->v[0].base = (uint8_t *)t->v[0].base + head;
        t->v[0].len -= head;
        t->len -= head;
    } else {
        pieces_trim_head(t, head);
    }
    if (t->len > len)
        pieces_trim_tail(t, t->len - len);
}

/* Takes the Ethernet header off.  *group: sent to everybody on the link, or to some. */
static enum rule link_in(const struct ip_layer *l, struct ip_dgram *d, uint16_t *type, bool *group)
{
    const uint8_t *mac = l->ports[d->port].caps.mac, *p;
    struct eth h;
    struct rd rd;
    enum rule r;
    size_t len;

    p = ip_run(&d->payload, ETH_HDR_LEN, d->scratch, &len);
    rd = rd_of(p, len);
    r = eth_parse(&h, &rd);
    if (r != RULE_NONE)
        return r;
    *type = h.type;
    *group = h.dst[0] & IP_GROUP_BIT;
    if ((!*group && memcmp(h.dst, mac, 6) != 0) || memcmp(h.src, mac, 6) == 0)
        return RULE_NOT_OURS;
    cut_to(&d->payload, ETH_HDR_LEN, UINT32_MAX);
    d->link_len = ETH_HDR_LEN;
    return RULE_NONE;
}

/* How many octets of the packet ip4_parse() or ip6_parse() can want. */
static uint32_t header_want(const struct pieces *t, uint8_t version)
{
    const uint8_t *p = t->v[0].base;

    if (version == 4)
        return (p[0] & 0xf) > 5 ? (p[0] & 0xfu) * 4 : IP4_HDR_LEN;
    if (t->v[0].len > 6 && (p[6] == IPPROTO_TCP_ || p[6] == IPPROTO_UDP_))
        return IP6_HDR_LEN;
    return IP_HDR_RUN;
}

/* How many octets of the payload are its header.  What a frame's first piece holds is read in
 * place: a sender's headers and text mostly lie apart, and copying 60 octets to have 32 took 20 ns
 * a segment. */
static uint32_t transport_want(const struct ip_dgram *d)
{
    const struct estab_iov *v = &d->payload.v[0];

    if (d->ip.proto == IPPROTO_TCP_ && d->payload.n > 0 && v->len > 12)
        return (uint32_t)(((const uint8_t *)v->base)[12] >> 4) * 4;
    return IP_HEAD_RUN;
}

static enum rule header_in(struct ip_layer *l, struct ip_dgram *d, uint8_t version)
{
    struct pieces *t = &d->payload;
    const uint8_t *p;
    enum rule r;
    size_t len;

    d->ip.payload_len = 0;
    p = ip_run(t, header_want(t, version), d->scratch, &len);
    if (version == 4)
        r = ip4_parse(&d->ip, p, len, t->len, l->ports[d->port].caps.rx_csum);
    else
        r = ip6_parse(&d->ip, p, len, t->len);
    if (r == RULE_IP_SOURCE_ROUTE && l->source_routes && d->ip.proto == IPPROTO_TCP_)
        r = ip4_route_parse(&d->route, p, d->ip.hdr_len);
    if (r != RULE_NONE)
        return r;
    cut_to(t, d->ip.hdr_len, d->ip.payload_len);
    d->head = ip_run(t, transport_want(d), d->scratch + IP_HDR_RUN, &d->head_len);
    return RULE_NONE;
}

static bool high_half_zero(const uint8_t a[16])
{
    static const uint8_t zero[8];

    return memcmp(a, zero, 8) == 0;
}

/* RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5.2, 2.5.3, 2.7: no host sends from there.  IPv6
 * sources that begin with 64 zero bits are ::, ::1, and the IPv4-mapped addresses that would be
 * taken for IPv4 ones. [MUST-63, RFC1122-3.2.1.3-2] */
static bool source_martian(const struct ip_hdr *h)
{
    if (h->version == 4)
        return h->src[12] == 0 || h->src[12] == 127 || h->src[12] >= 224;
    return h->src[0] == 0xff || high_half_zero(h->src);
}

static bool in_group(const struct ip_layer *l, const struct ip_dgram *d)
{
    static const uint8_t all_hosts4[16] = {[10] = 0xff, [11] = 0xff, [12] = 224, [15] = 1};
    static const uint8_t all_nodes6[16] = {0xff, 0x02, [15] = 0x01};
    static const uint8_t solicited[13] = {0xff, 0x02, [11] = 0x01, [12] = 0xff};
    const struct ip_addr_entry *a;
    uint32_t i;

    if (d->ip.version == 4)
        return memcmp(d->ip.dst, all_hosts4, 16) == 0 || ip_is_broadcast(l, d->port, d->ip.dst);
    if (memcmp(d->ip.dst, all_nodes6, 16) == 0)
        return true;
    if (memcmp(d->ip.dst, solicited, 13) != 0)
        return false;
    for (i = 0; i < l->naddrs; i++) {
        a = &l->addrs[i];
        if (a->used && a->port == d->port && !ip_is4(a->addr) &&
            memcmp(a->addr + 13, d->ip.dst + 13, 3) == 0)
            return true;
    }
    return false;
}

/* Addressed to a group, or not to us.  :: is a source only there: of a host that does not have its
 * address yet (RFC 4862 section 5.4.2); ip_icmp_recv() looks at what it says. [RFC1122-4.2.3.10-1]
 */
static enum rule group_in(const struct ip_layer *l, struct ip_dgram *d)
{
    const struct ip_hdr *h = &d->ip;

    d->local = IP_LOCAL_NONE;
    if (ip_is_any(h->dst) || ip_is_loopback(h->dst) ||
        (h->version == 6 && high_half_zero(h->dst)) ||
        (h->dst[0] == 0xff && (h->dst[1] & 0x0f) < 2))
        return RULE_IP_DST;
    if (source_martian(h) && !(h->version == 6 && ip_is_any(h->src) && h->proto == IPPROTO_ICMP6))
        return RULE_IP_SRC;
    if (ip_is_broadcast(l, d->port, h->src))
        return RULE_IP_SRC;
    return in_group(l, d) ? RULE_NONE : RULE_NOT_OURS;
}

/* RFC 1122 section 3.3.6: what came to everybody on the link must be meant for everybody.
 * [RFC1122-3.2.1.3-1] [RFC1122-3.3.6-1] */
enum rule ip_addrs_in(const struct ip_layer *l, struct ip_dgram *d, bool link_group)
{
    const struct ip_hdr *h = &d->ip;
    const struct ip_addr_entry *a;
    int i = ip_addr_find(l, h->dst, d->port);

    if (i < 0)
        return group_in(l, d);
    a = &l->addrs[i];
    d->local = (uint16_t)i;
    if (source_martian(h) || (h->version == 4 && ip_is_last_of_subnet(h->src, a)))
        return RULE_IP_SRC;
    if ((h->version == 6) == ip_is4(a->addr))
        return RULE_IP_DST;
    if (memcmp(h->src, h->dst, 16) == 0)
        return RULE_IP_LAND;
    return a->tentative || link_group ? RULE_NOT_OURS : RULE_NONE;
}

static enum ip_verdict other_in(struct ip_layer *l, struct ip_dgram *d, struct ip_error *e)
{
    switch (d->ip.proto) {
    case IPPROTO_ICMP4:
        if (d->ip.version == 4)
            return ip_icmp_recv(l, d, e);
        break;
    case IPPROTO_ICMP6:
        if (d->ip.version == 6)
            return ip_icmp_recv(l, d, e);
        break;
    case IPPROTO_IPIP:
    case IPPROTO_IP6IN:
        ip_drop(l, d, RULE_IP_TUNNEL);
        return IP_DONE;
    case IPPROTO_NONE_: /* RFC 8200 section 4.7: nothing there to be unreachable */
        if (d->ip.version == 4)
            break;
        ip_drop(l, d, RULE_IP_PROTOCOL);
        return IP_DONE;
    default:
        break;
    }
    ip_drop(l, d, RULE_IP_PROTOCOL);
    ip_reply_unreach(l, d, IP_UNREACH_PROTO);
    return IP_DONE;
}

/* A header that could not be parsed to its end: RFC 8200 section 4.2 may want its sender told. */
static void refuse_header(struct ip_layer *l, struct ip_dgram *d, enum rule r, bool link_group)
{
    bool tell = d->ip.problem_code != 0xff;

    ip_drop(l, tell ? d : NULL, r);
    if (tell && ip_addrs_in(l, d, link_group) == RULE_NONE)
        ip_icmp_problem(l, d, d->ip.problem_code, d->ip.problem_at);
}

/* Which protocol, and that the packet says so itself.  A bare packet has no ethertype. */
static enum rule version_in(const struct ip_dgram *d, bool bare, uint16_t type, uint8_t *version)
{
    *version = *(const uint8_t *)d->payload.v[0].base >> 4;
    if (!bare && type != ETHERTYPE_IP4 && type != ETHERTYPE_IP6)
        return RULE_ETHERTYPE;
    if (*version != 4 && *version != 6)
        return RULE_IP_VERSION;
    return bare || (*version == 4) == (type == ETHERTYPE_IP4) ? RULE_NONE : RULE_IP_VERSION;
}

/* A fragment; true: it was the one that was missing, and the datagram is d now.  Its headers are
 * parsed like those of any other; a second fragment header among them is nobody's honest work. */
static bool fragment_in(struct ip_layer *l, struct ip_dgram *d, uint8_t version)
{
    enum rule r;

    if (!ip_reass_in(l, d))
        return false;
    r = header_in(l, d, version);
    if (r == RULE_NONE && d->ip.has_frag)
        r = RULE_IP6_EXT;
    if (r != RULE_NONE) {
        refuse_header(l, d, r, false);
        return false;
    }
    d->ip.frag_hdr = true;
    return true;
}

enum ip_verdict ip_recv(struct ip_layer *l, uint8_t port, const struct estab_frame *f,
                        struct ip_dgram *d, struct ip_error *e)
{
    bool bare = !ip_port_is_eth(l, port), link_group = false;
    uint16_t type = 0;
    uint8_t version = 0;
    enum rule r;

    ip_frame_in(l, port, f, d);
    r = ip_frame_pieces(&d->payload, f) ? RULE_NONE : RULE_IP_LENGTH;
    if (r == RULE_NONE && !bare)
        r = link_in(l, d, &type, &link_group);
    if (r == RULE_NONE && d->payload.len == 0)
        r = RULE_RUNT;
    if (r == RULE_NONE && type == ETHERTYPE_ARP) {
        ip_arp_recv(l, port, &d->payload);
        return IP_DONE;
    }
    if (r == RULE_NONE)
        r = version_in(d, bare, type, &version);
    if (r != RULE_NONE) {
        ip_drop(l, NULL, r);
        return IP_DONE;
    }
    r = header_in(l, d, version);
    if (r != RULE_NONE) {
        refuse_header(l, d, r, link_group);
        return IP_DONE;
    }
    r = ip_addrs_in(l, d, link_group);
    if (r != RULE_NONE) {
        ip_drop(l, d, r);
        return IP_DONE;
    }
    if (d->ip.has_frag && !fragment_in(l, d, version))
        return IP_DONE;
    if (d->ip.proto == IPPROTO_TCP_ && d->local != IP_LOCAL_NONE)
        ip_plain_learn(l, d);
    if (d->ip.proto == IPPROTO_TCP_ || d->ip.proto == IPPROTO_UDP_)
        return IP_DELIVER;
    return other_in(l, d, e);
}

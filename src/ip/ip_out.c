/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_out.c - the way out: paths, and the headers in front of a transport's datagram.
 *
 * A path is six octets that a transport keeps for each destination: the source address, the port,
 * the neighbour.  It is a hint that is checked, not a promise: addresses and routes that change
 * count path_gen up, and a path from an older count is found anew; a neighbour's slot that now
 * belongs to somebody else is seen by its address.  The entry of a gateway cannot be compared with
 * the destination, so path_gen counts the making of such an entry as well.
 *
 * A destination that is one of our own addresses is refused: there is no loopback in the stack. */
#include "ip/ip_int.h"
#include <assert.h>

/* [MUST-46, RFC1122-4.2.3.10-1] */
static bool destination_ok(const struct ip_layer *l, const uint8_t dst[16])
{
    static const uint8_t zero[8];

    if (ip_is_multicast(dst) || ip_is_loopback(dst) || ip_addr_find(l, dst, -1) >= 0)
        return false;
    if (!ip_is4(dst))
        return memcmp(dst, zero, 8) != 0;
    return dst[12] != 0 && dst[12] < 240 && !ip_is_broadcast(l, -1, dst);
}

static uint16_t neigh_index(const struct ip_layer *l, const struct ip_neigh *n)
{
    return n ? (uint16_t)(n - l->neigh) : IP_NEIGH_NONE;
}

/* [MUST-44, RFC1122-3.2.1.3-3] */
static int path_search(struct ip_layer *l, const uint8_t dst[16], const uint8_t *src, int port_hint,
                       struct ip_path *out)
{
    struct ip_hop hop;
    int local = -1;

    if (!destination_ok(l, dst))
        return ESTAB_E_UNREACH;
    if (src) {
        local = ip_addr_find(l, src, ip_is_link_local6(src) ? port_hint : -1);
        if (local < 0 || l->addrs[local].tentative || ip_is4(src) != ip_is4(dst))
            return ESTAB_E_ADDRNOTAVAIL;
        if (ip_is_link_local6(src))
            port_hint = l->addrs[local].port;
    }
    if (!ip_route_find(l, dst, port_hint, &hop))
        return ESTAB_E_UNREACH;
    if (src && ip_is_link_local6(src) && hop.port != l->addrs[local].port)
        return ESTAB_E_ADDRNOTAVAIL;
    if (!src)
        local = ip_addr_pick(l, hop.port, dst);
    if (local < 0)
        return ESTAB_E_ADDRNOTAVAIL;
    out->local = (uint16_t)local;
    out->port = hop.port;
    out->neigh = IP_NEIGH_NONE;
    if (ip_port_is_eth(l, hop.port))
        out->neigh = neigh_index(l, ip_neigh_find(l, hop.port, hop.addr));
    out->gen8 = (uint8_t)l->path_gen;
    return ESTAB_OK;
}

/* Many ask for one destination in a row: what was found is good until path_gen changes. */
int ip_path_find(struct ip_layer *l, const uint8_t dst[16], const uint8_t *src, int port_hint,
                 struct ip_path *out)
{
    struct ip_found *f = &l->found;
    int err;

    if (LIKELY(f->good && f->gen == l->path_gen && f->port_hint == port_hint &&
               f->has_src == (src != NULL) && memcmp(f->dst, dst, 16) == 0) &&
        (!src || LIKELY(memcmp(f->src, src, 16) == 0))) {
        *out = f->path;
        return ESTAB_OK;
    }
    err = path_search(l, dst, src, port_hint, out);
    if (err)
        return err;
    *f = (struct ip_found){.path = *out,
                           .gen = l->path_gen,
                           .port_hint = port_hint,
                           .has_src = src != NULL,
                           .good = true};
    memcpy(f->dst, dst, 16);
    if (src)
        memcpy(f->src, src, 16);
    return ESTAB_OK;
}

/* The source address stays, whatever else changes: it is part of the connection's name. */
static bool path_renew(struct ip_layer *l, struct ip_path *p, const uint8_t dst[16])
{
    const struct ip_addr_entry *a = &l->addrs[p->local];
    struct ip_path found;

    if (!a->used ||
        ip_path_find(l, dst, a->addr, ip_is_link_local6(dst) ? p->port : -1, &found) < 0)
        return false;
    found.local = p->local;
    *p = found;
    return true;
}

static struct ip_neigh *path_neigh(const struct ip_layer *l, const struct ip_path *p,
                                   const uint8_t dst[16])
{
    struct ip_neigh *n;

    if (p->neigh == IP_NEIGH_NONE)
        return NULL;
    n = &l->neigh[p->neigh];
    if (n->state == NEIGH_FREE || n->port != p->port ||
        (!n->gateway && memcmp(n->addr, dst, 16) != 0))
        return NULL;
    return n;
}

enum ip_ready ip_path_renewed(struct ip_layer *l, struct ip_path *p, const uint8_t dst[16])
{
    struct ip_neigh *n;
    struct ip_hop hop;

    if (UNLIKELY(p->gen8 != (uint8_t)l->path_gen && !path_renew(l, p, dst)))
        return IP_LOST;
    if (!ip_port_is_eth(l, p->port))
        return IP_READY;
    n = path_neigh(l, p, dst);
    if (!n) {
        if (!ip_route_find(l, dst, p->port, &hop) || hop.port != p->port)
            return IP_LOST;
        n = ip_neigh_want(l, &hop, p->local);
        if (!n)
            return IP_LOST;
        p->neigh = neigh_index(l, n);
        p->gen8 = (uint8_t)l->path_gen;
    }
    return ip_neigh_use(l, n, p->local);
}

/* [MUST-20, RFC1122-3.3.1.4-1] */
void ip_path_doubt(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16])
{
    struct ip_neigh *n = ip_port_is_eth(l, p->port) ? path_neigh(l, p, dst) : NULL;

    if (n)
        ip_neigh_doubt(l, n);
}

static void eth_put(const struct ip_layer *l, uint8_t port, const uint8_t *mac, bool v4,
                    uint8_t *out)
{
    memcpy(out, mac, 6);
    memcpy(out + 6, l->ports[port].caps.mac, 6);
    be16_put(out + 12, v4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
}

void ip_headers(const struct ip_layer *l, uint8_t port, const uint8_t *mac, const uint8_t src[16],
                const uint8_t dst[16], const struct ip_send *how, const struct ip_frag *frag,
                uint32_t payload_len, uint8_t *out)
{
    struct ip_hdr h;
    bool v4 = ip_is4(dst);

    if (mac) {
        eth_put(l, port, mac, v4, out);
        out += IP_LINK_HDR_MAX;
    }
    if (v4 && !frag && !how->route) {
        ip4_emit_plain(src + 12, dst + 12, how->proto, how->tos,
                       how->hop_limit ? how->hop_limit : l->hop_limit, payload_len, out);
        return;
    }
    memset(&h, 0, sizeof h);
    memcpy(h.src, src, 16);
    memcpy(h.dst, dst, 16);
    h.version = v4 ? 4 : 6;
    h.proto = how->proto;
    h.tos = how->tos;
    h.hop_limit = how->hop_limit ? how->hop_limit : l->hop_limit;
    h.dont_frag = true;
    h.flow = how->flow;
    h.payload_len = payload_len + ip4_route_len(how->route);
    if (frag) {
        h.dont_frag = false;
        h.id = frag->id;
        h.frag_off = (uint16_t)frag->off;
        h.more_frags = frag->more;
    }
    if (v4) {
        ip4_emit(&h, out);
        if (how->route)
            ip4_route_emit(how->route, out);
        return;
    }
    if (frag) {
        h.proto = IPPROTO_FRAGMENT_;
        h.payload_len += IP6_FRAG_LEN;
        ip6_frag_emit(&h, how->proto, out + IP6_HDR_LEN);
    }
    ip6_emit(&h, out);
}

static const uint8_t *mac_of(const struct ip_layer *l, const struct ip_path *p)
{
    assert(p->neigh != IP_NEIGH_NONE); /* ip_path_ready() comes first */
    return l->neigh[p->neigh].mac;
}

void ip_emit_link(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                  uint8_t *out)
{
    eth_put(l, p->port, mac_of(l, p), ip_is4(dst), out);
}

/* [MAY-4] */
void ip_emit_any(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                 const struct ip_send *how, uint32_t payload_len, uint8_t *out)
{
    ip_headers(l, p->port, NULL, ip_local(l, p->local), dst, how, NULL, payload_len, out);
}

void ip_emit_frag(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                  const struct ip_send *how, const struct ip_frag *frag, uint32_t payload_len,
                  uint8_t *out)
{
    const uint8_t *mac = ip_port_is_eth(l, p->port) ? mac_of(l, p) : NULL;

    ip_headers(l, p->port, mac, ip_local(l, p->local), dst, how, frag, payload_len, out);
}

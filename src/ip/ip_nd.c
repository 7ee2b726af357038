/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_nd.c - neighbour discovery of IPv6 as a host speaks it (RFC 4861), and the messages of
 * duplicate address detection (RFC 4862 section 5.4).
 *
 * Router advertisements are heeded on ports that solicit them only: a port that was configured by
 * hand does not take a router from whoever offers.  They give routers, on-link prefixes and an MTU;
 * addresses are the user's to add (stateless autoconfiguration is not implemented).  Redirects are
 * ignored, which RFC 4861 section 8 leaves to the host's policy. */
#include "ip/ip_int.h"

#define ND_HOP_LIMIT 255 /* RFC 4861 section 7.1: nobody off the link can forge it */
#define RA_INFINITE  UINT32_MAX

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 0x01};
static const uint8_t all_routers[16] = {0xff, 0x02, [15] = 0x02};
static const uint8_t unspecified[16];

/* RFC 2464 section 7 */
static void multicast_mac(uint8_t mac[6], const uint8_t group[16])
{
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group + 12, 4);
}

static void nd_send(struct ip_layer *l, uint8_t port, uint8_t type, const struct nd *n,
                    const uint8_t src[16], const uint8_t dst[16], const uint8_t *to)
{
    static const struct ip_send how = {.proto = IPPROTO_ICMP6, .hop_limit = ND_HOP_LIMIT};
    uint8_t msg[ND_MAX_LEN], mac[6];
    struct ip_pkt *k;
    uint16_t csum;
    size_t len;

    len = nd_emit(n, type, msg);
    k = ip_own_new(l, (uint32_t)len);
    if (!k) {
        ip_drop(l, NULL, RULE_REPLY_FULL);
        return;
    }
    csum =
        (uint16_t)~csum_fold(csum_add(ip_pseudo(src, dst, IPPROTO_ICMP6, (uint32_t)len), msg, len));
    memcpy(msg + 2, &csum, 2);
    memcpy(ip_own_payload(k), msg, len);
    if (!to) {
        multicast_mac(mac, dst);
        to = mac;
    }
    ip_own_send_link(l, k, port, to, src, dst, &how);
}

static void nd_own_lladdr(const struct ip_layer *l, uint8_t port, struct nd *n)
{
    memcpy(n->lladdr, l->ports[port].caps.mac, 6);
    n->has_lladdr = true;
}

void ip_nd_ask(struct ip_layer *l, const struct ip_neigh *n, bool unicast)
{
    int local = ip_addr_pick(l, n->port, n->addr);
    uint8_t group[16];
    struct nd ns;

    if (local < 0)
        local = n->local;
    memset(&ns, 0, sizeof ns);
    memcpy(ns.target, n->addr, 16);
    nd_own_lladdr(l, n->port, &ns);
    ip_solicited_node(group, n->addr);
    nd_send(l, n->port, ICMP6_NEIGHBOUR_SOLICIT, &ns, ip_local(l, (uint16_t)local),
            unicast ? n->addr : group, unicast ? n->mac : NULL);
}

void ip_nd_ask_duplicate(struct ip_layer *l, uint16_t local)
{
    const struct ip_addr_entry *a = &l->addrs[local];
    uint8_t group[16];
    struct nd ns;

    memset(&ns, 0, sizeof ns);
    memcpy(ns.target, a->addr, 16);
    ip_solicited_node(group, a->addr);
    nd_send(l, a->port, ICMP6_NEIGHBOUR_SOLICIT, &ns, unspecified, group, NULL);
}

/* RFC 4861 section 4.1: from :: there must be no source link-layer address option. */
void ip_nd_ask_router(struct ip_layer *l, uint8_t port)
{
    int local = ip_addr_link_local(l, port);
    struct nd rs;

    memset(&rs, 0, sizeof rs);
    if (local >= 0)
        nd_own_lladdr(l, port, &rs);
    nd_send(l, port, ICMP6_ROUTER_SOLICIT, &rs,
            local >= 0 ? ip_local(l, (uint16_t)local) : unspecified, all_routers, NULL);
}

/* RFC 4861 section 7.2.4 [RFC4861-7.2.4-1] */
static void nd_advertise(struct ip_layer *l, const struct ip_dgram *d, const struct nd *ns)
{
    bool to_all = ip_is_any(d->ip.src);
    struct ip_neigh *n;
    struct nd na;

    memset(&na, 0, sizeof na);
    memcpy(na.target, ns->target, 16);
    nd_own_lladdr(l, d->port, &na);
    na.solicited = !to_all;
    na.override = true;
    if (to_all) {
        nd_send(l, d->port, ICMP6_NEIGHBOUR_ADVERT, &na, ns->target, all_nodes, NULL);
        return;
    }
    n = ip_neigh_find(l, d->port, d->ip.src);
    if (ns->has_lladdr)
        nd_send(l, d->port, ICMP6_NEIGHBOUR_ADVERT, &na, ns->target, d->ip.src, ns->lladdr);
    else if (n && n->state >= NEIGH_STALE)
        nd_send(l, d->port, ICMP6_NEIGHBOUR_ADVERT, &na, ns->target, d->ip.src, n->mac);
    else
        ip_drop(l, d, RULE_NEIGHBOUR_UNKNOWN);
}

/* A source link-layer address option: RFC 4861 sections 7.2.3 and 6.3.4. */
static struct ip_neigh *nd_learn(struct ip_layer *l, const struct ip_dgram *d, const struct nd *m)
{
    struct ip_neigh *n = ip_neigh_find(l, d->port, d->ip.src);

    if (!m->has_lladdr)
        return n;
    if (!n)
        return ip_route_on_link(l, d->port, d->ip.src)
                   ? ip_neigh_heard(l, d->port, d->ip.src, m->lladdr)
                   : NULL;
    if (n->state < NEIGH_STALE || memcmp(n->mac, m->lladdr, 6) != 0)
        ip_neigh_known(l, n, m->lladdr, false);
    return n;
}

static enum rule solicit_in(struct ip_layer *l, const struct ip_dgram *d, const struct nd *m)
{
    bool anon = ip_is_any(d->ip.src);
    int i;

    if (anon && (m->has_lladdr || !ip_is_solicited_node_of(d->ip.dst, m->target)))
        return RULE_ND_MALFORMED;
    i = ip_addr_find(l, m->target, d->port);
    if (i < 0 || l->addrs[i].port != d->port)
        return RULE_NOT_OURS;
    if (l->addrs[i].tentative) {
        /* RFC 4862 section 5.4.3: another node is about to take it, too; or only asks for it */
        if (!anon)
            return RULE_NOT_OURS;
        ip_addr_duplicate(l, (uint16_t)i);
        return RULE_ND_DUPLICATE;
    }
    if (!anon)
        (void)nd_learn(l, d, m);
    nd_advertise(l, d, m);
    return RULE_NONE;
}

/* RFC 4861 section 7.2.5; the letters are appendix C's. [RFC4861-7.2.5-2] */
static enum rule advert_known(struct ip_layer *l, struct ip_neigh *n, const struct nd *m)
{
    bool differs = m->has_lladdr && memcmp(n->mac, m->lladdr, 6) != 0;

    if (differs && !m->override) {
        if (n->state != NEIGH_REACHABLE)
            return RULE_ND_UNSOLICITED;
        n->state = NEIGH_STALE;
        return RULE_ND_UNSOLICITED;
    }
    if (m->solicited)
        ip_neigh_known(l, n, m->has_lladdr ? m->lladdr : n->mac, true);
    else if (differs)
        ip_neigh_known(l, n, m->lladdr, false);
    return RULE_NONE;
}

/* [RFC4861-7.2.5-1] */
static enum rule advert_in(struct ip_layer *l, const struct ip_dgram *d, const struct nd *m)
{
    struct ip_neigh *n;
    enum rule r = RULE_NONE;
    int i;

    if (ip_is_multicast(d->ip.dst) && m->solicited)
        return RULE_ND_MALFORMED;
    i = ip_addr_find(l, m->target, d->port);
    if (i >= 0 && l->addrs[i].port == d->port) {
        if (l->addrs[i].tentative)
            ip_addr_duplicate(l, (uint16_t)i);
        return RULE_ND_DUPLICATE;
    }
    n = ip_neigh_find(l, d->port, m->target);
    if (!n || n->state == NEIGH_FAILED)
        return RULE_ND_UNSOLICITED;
    if (n->state != NEIGH_INCOMPLETE)
        r = advert_known(l, n, m);
    else if (m->has_lladdr)
        ip_neigh_known(l, n, m->lladdr, m->solicited);
    else
        return RULE_ND_MALFORMED;
    /* RFC 4861 section 7.3.3: a router that has become a host is no router of ours any more. */
    if (r == RULE_NONE && !m->router && n->gateway)
        ip_route_learn(l, d->port, unspecified, 0, m->target, 0);
    return r;
}

static estab_time lifetime_end(const struct ip_layer *l, uint32_t seconds)
{
    return seconds == RA_INFINITE ? ESTAB_NEVER : time_add(l->env->now, ESTAB_S(seconds));
}

/* RFC 4861 section 6.3.4 */
static enum rule router_in(struct ip_layer *l, const struct ip_dgram *d, const struct nd *m)
{
    struct ip_port *pt = &l->ports[d->port];
    uint32_t i;

    if (!ip_is_link_local6(d->ip.src))
        return RULE_ND_MALFORMED;
    if (!pt->caps.router_solicit)
        return RULE_ICMP_IGNORED;
    pt->rs_left = 0;
    (void)nd_learn(l, d, m);
    ip_route_learn(l, d->port, unspecified, 0, d->ip.src, lifetime_end(l, m->ra_lifetime));
    for (i = 0; i < m->ra_nprefix; i++)
        if (m->ra_prefix[i].on_link && !ip_is_multicast(m->ra_prefix[i].prefix))
            ip_route_learn(l, d->port, m->ra_prefix[i].prefix, m->ra_prefix[i].len, NULL,
                           lifetime_end(l, m->ra_prefix[i].valid));
    if (m->ra_mtu >= IP6_MTU_MIN && m->ra_mtu <= pt->caps.mtu)
        pt->mtu6 = m->ra_mtu;
    return RULE_NONE;
}

/* [RFC4861-7.1.1-1] */
void ip_nd_recv(struct ip_layer *l, struct ip_dgram *d, const struct icmp *m)
{
    uint8_t buf[IP6_MTU_MIN];
    enum rule r = RULE_NONE;
    const uint8_t *p;
    struct nd n;
    struct rd rd;
    size_t len;

    if (!ip_port_is_eth(l, d->port) || m->type == ICMP6_ROUTER_SOLICIT)
        r = RULE_ICMP_IGNORED; /* no neighbours there; and we are no router */
    else if (d->ip.hop_limit != ND_HOP_LIMIT)
        r = RULE_ND_HOP_LIMIT;
    else if (d->ip.frag_hdr)
        r = RULE_ND_FRAGMENT;
    else if (m->code != 0 || (d->payload.len > sizeof buf && d->payload.n > 1))
        r = RULE_ND_MALFORMED;
    if (r == RULE_NONE) {
        p = ip_run(&d->payload, d->payload.len, buf, &len);
        rd = rd_of(p, len);
        rd_take(&rd, ICMP_HDR_LEN);
        r = nd_parse(&n, m, &rd);
    }
    if (r == RULE_NONE && n.has_lladdr && !ip_mac_ok(n.lladdr))
        r = RULE_ND_MALFORMED;
    if (r == RULE_NONE && m->type == ICMP6_NEIGHBOUR_SOLICIT)
        r = solicit_in(l, d, &n);
    else if (r == RULE_NONE && m->type == ICMP6_NEIGHBOUR_ADVERT)
        r = advert_in(l, d, &n);
    else if (r == RULE_NONE && m->type == ICMP6_ROUTER_ADVERT)
        r = router_in(l, d, &n);
    if (r != RULE_NONE)
        ip_drop(l, d, r);
}

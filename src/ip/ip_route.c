/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_route.c - which way: the longest matching prefix among the subnets of our addresses, the
 * configured routes and those learned from routers (RFC 1122 section 3.3.1, RFC 4861 section 5.2).
 *
 * A linear search over what a host has; it runs when a path is found, not for every datagram. */
#include "ip/ip_int.h"

#define LEARNED_MAX                                                                                \
    16 /* of IP_ROUTES_MAX: what routers say must not crowd out the configuration                  \
        */

/* IPv4 routes and IPv6 routes share the table, but ::/0 is no way to an IPv4 destination. */
static bool route_is4(const struct ip_route *r)
{
    return r->prefix_len >= 96 && ip_is4(r->dst);
}

/* RFC 4861 section 6.3.6: a router that does not answer is passed over while there is another.
 * [RFC1122-3.3.1.4-1, RFC4861-6.3.6-1] */
static bool gateway_failed(const struct ip_layer *l, const struct ip_route *r)
{
    const struct ip_neigh *n;

    if (!r->has_gw || !ip_port_is_eth(l, r->port))
        return false;
    n = ip_neigh_find(l, r->port, r->gw);
    return n && n->state == NEIGH_FAILED;
}

/* Higher is better: length first, then a router that answers, then what was configured. */
static uint32_t route_score(const struct ip_layer *l, const struct ip_route *r)
{
    return (uint32_t)r->prefix_len * 4 + (gateway_failed(l, r) ? 0 : 2) + (r->learned ? 0 : 1);
}

/* RFC 4291 section 2.5.6: a link-local destination is on a link, and the caller must know which;
 * with one port there is no question. */
static bool route_link_local(const struct ip_layer *l, const uint8_t dst[16], int port_hint,
                             struct ip_hop *out)
{
    if (port_hint < 0 && l->nports == 1)
        port_hint = 0;
    if (port_hint < 0 || (uint32_t)port_hint >= l->nports)
        return false;
    memcpy(out->addr, dst, 16);
    out->port = (uint8_t)port_hint;
    out->gateway = false;
    return true;
}

/* [RFC1122-3.3.1.1-1] */
bool ip_route_find(const struct ip_layer *l, const uint8_t dst[16], int port_hint,
                   struct ip_hop *out)
{
    const struct ip_route *r, *best = NULL;
    const struct ip_addr_entry *a;
    uint32_t i, score, best_score = 0;
    bool v4 = ip_is4(dst), found = false;

    if (ip_is_link_local6(dst))
        return route_link_local(l, dst, port_hint, out);
    for (i = 0; i < l->naddrs; i++) {
        a = &l->addrs[i];
        score = (uint32_t)a->prefix_len * 4 + 4;
        if (a->used && ip_is4(a->addr) == v4 && score > best_score &&
            ip_prefix_eq(dst, a->addr, a->prefix_len)) {
            best_score = score;
            out->port = a->port;
            found = true;
        }
    }
    for (i = 0; i < IP_ROUTES_MAX; i++) {
        r = &l->routes[i];
        if (!r->used || route_is4(r) != v4 || !ip_prefix_eq(dst, r->dst, r->prefix_len))
            continue;
        score = route_score(l, r);
        if (!found || score > best_score) {
            best_score = score;
            best = r;
            out->port = r->port;
            found = true;
        }
    }
    if (!found)
        return false;
    out->gateway = best && best->has_gw && ip_port_is_eth(l, out->port);
    memcpy(out->addr, out->gateway ? best->gw : dst, 16);
    ip_redirect_apply(l, dst, out);
    return true;
}

bool ip_route_on_link(const struct ip_layer *l, uint8_t port, const uint8_t addr[16])
{
    struct ip_hop hop;

    return ip_route_find(l, addr, port, &hop) && hop.port == port && !hop.gateway;
}

static struct ip_route *route_same(struct ip_layer *l, uint8_t port, const uint8_t dst[16],
                                   uint8_t prefix_len, const uint8_t *gw, bool learned)
{
    struct ip_route *r;
    uint32_t i;

    for (i = 0; i < IP_ROUTES_MAX; i++) {
        r = &l->routes[i];
        if (r->used && r->port == port && r->prefix_len == prefix_len && r->learned == learned &&
            memcmp(r->dst, dst, 16) == 0 &&
            (!learned || (r->has_gw == (gw != NULL) && (!gw || memcmp(r->gw, gw, 16) == 0))))
            return r;
    }
    return NULL;
}

static struct ip_route *route_free(struct ip_layer *l, bool learned)
{
    struct ip_route *free_one = NULL;
    uint32_t i, nlearned = 0;

    for (i = 0; i < IP_ROUTES_MAX; i++) {
        if (!l->routes[i].used && !free_one)
            free_one = &l->routes[i];
        if (l->routes[i].used && l->routes[i].learned)
            nlearned++;
    }
    return learned && nlearned >= LEARNED_MAX ? NULL : free_one;
}

static void route_set(struct ip_route *r, uint8_t port, const uint8_t dst[16], uint8_t prefix_len,
                      const uint8_t *gw)
{
    memset(r, 0, sizeof *r);
    memcpy(r->dst, dst, 16);
    r->prefix_len = prefix_len;
    r->port = port;
    r->used = true;
    r->until = ESTAB_NEVER;
    if (gw) {
        memcpy(r->gw, gw, 16);
        r->has_gw = true;
    }
}

/* Clears the bits behind the prefix: routes are compared octet by octet. */
static void mask_prefix(uint8_t a[16], uint32_t prefix_len)
{
    uint32_t i;

    for (i = 0; i < 16; i++) {
        if (prefix_len >= 8) {
            prefix_len -= 8;
            continue;
        }
        a[i] &= (uint8_t)(0xff00 >> prefix_len);
        prefix_len = 0;
    }
}

int ip_route_add(struct ip_layer *l, int port, const uint8_t dst[16], uint8_t prefix_len,
                 const uint8_t *gw)
{
    static const uint8_t v4_any[16] = {[10] = 0xff, [11] = 0xff};
    struct ip_route *r;
    uint8_t net[16];

    if (port < 0 || (uint32_t)port >= l->nports || prefix_len > 128)
        return ESTAB_E_INVAL;
    memcpy(net, dst, 16);
    if ((prefix_len == 0 && gw && ip_is4(gw)) || (ip_is4(dst) && prefix_len < 96)) {
        memcpy(net, v4_any, 16);
        prefix_len = 96;
    }
    mask_prefix(net, prefix_len);
    if (gw && (ip_is4(gw) != (prefix_len >= 96 && ip_is4(net)) || ip_is_any(gw) ||
               ip_is_multicast(gw) || ip_is_loopback(gw) || ip_is_broadcast(l, -1, gw)))
        return ESTAB_E_INVAL;
    r = route_same(l, (uint8_t)port, net, prefix_len, gw, false);
    if (!r)
        r = route_free(l, false);
    if (!r)
        return ESTAB_E_NOMEM;
    route_set(r, (uint8_t)port, net, prefix_len, gw);
    l->path_gen++;
    return ESTAB_OK;
}

void ip_route_learn(struct ip_layer *l, uint8_t port, const uint8_t dst[16], uint8_t prefix_len,
                    const uint8_t *gw, estab_time until)
{
    struct ip_route *r;
    uint8_t net[16];

    memcpy(net, dst, 16);
    mask_prefix(net, prefix_len);
    r = route_same(l, port, net, prefix_len, gw, true);
    if (until <= l->env->now) {
        if (r) {
            r->used = false;
            l->path_gen++;
        }
        return;
    }
    if (!r) {
        r = route_free(l, true);
        if (!r)
            return;
        route_set(r, port, net, prefix_len, gw);
        r->learned = true;
        l->path_gen++;
    }
    r->until = until;
    ip_arm(l, until);
}

int ip_route_expire(struct ip_layer *l)
{
    struct ip_route *r;
    uint32_t i;
    int n = 0;

    for (i = 0; i < IP_ROUTES_MAX; i++) {
        r = &l->routes[i];
        if (!r->used || r->until > l->env->now)
            continue;
        r->used = false;
        l->path_gen++;
        n++;
    }
    return n;
}

estab_time ip_route_next(const struct ip_layer *l)
{
    estab_time at = ESTAB_NEVER;
    uint32_t i;

    for (i = 0; i < IP_ROUTES_MAX; i++)
        if (l->routes[i].used)
            at = time_min(at, l->routes[i].until);
    return at;
}

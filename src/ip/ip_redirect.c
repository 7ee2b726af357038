/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_redirect.c - what gateways said of a better first hop: RFC 1122 section 3.2.2.2, RFC 4861
 * section 8.
 *
 * Whoever is on the link can forge the gateway's address, so a redirect is believed only where a
 * transport has found that it is about something of its own, and only for that destination.  A
 * redirect of a net, RFC 792's codes 0 and 2, is one of a host, as section 3.2.2.2 allows.
 *
 * What was learned is forgotten after a while: the gateway says it again if it is still so.  Of
 * IP_REDIRECTS_MAX destinations the one learned longest ago gives way.  A neighbour that does not
 * answer is passed over, so the way is the routes' again. */
#include "ip/ip_int.h"

#define REDIRECT_AGE ESTAB_S(600)

static struct ip_redirect *redirect_at(struct ip_layer *l, uint8_t port, const uint8_t dst[16])
{
    for (uint32_t i = 0; i < IP_REDIRECTS_MAX; i++) {
        struct ip_redirect *r = &l->redirects[i];

        if (r->used && r->port == port && memcmp(r->dst, dst, 16) == 0)
            return r;
    }
    return NULL;
}

/* A free place, or the oldest's. */
static struct ip_redirect *redirect_room(struct ip_layer *l)
{
    struct ip_redirect *oldest = &l->redirects[0];

    for (uint32_t i = 0; i < IP_REDIRECTS_MAX; i++) {
        struct ip_redirect *r = &l->redirects[i];

        if (!r->used)
            return r;
        if (r->until < oldest->until)
            oldest = r;
    }
    return oldest;
}

void ip_redirect_apply(const struct ip_layer *l, const uint8_t dst[16], struct ip_hop *hop)
{
    const struct ip_neigh *n;

    if (!hop->gateway || l->nredirects == 0) /* mostly */
        return;
    for (uint32_t i = 0; i < IP_REDIRECTS_MAX; i++) {
        const struct ip_redirect *r = &l->redirects[i];

        if (!r->used || r->port != hop->port || memcmp(r->dst, dst, 16) != 0)
            continue;
        n = ip_neigh_find(l, r->port, r->via);
        if (n && n->state == NEIGH_FAILED)
            return;
        memcpy(hop->addr, r->via, 16);
        hop->gateway = memcmp(r->via, dst, 16) != 0;
        return;
    }
}

/* RFC 1122 section 3.2.2.2, RFC 4861 section 8.1: from the first hop that the route uses now, to a
 * neighbour that can be one. */
bool ip_redirect_ok(const struct ip_layer *l, const struct ip_dgram *d,
                    const struct icmp_redirect *r)
{
    bool v4 = ip_is4(r->dst), direct = memcmp(r->via, r->dst, 16) == 0;
    struct ip_hop hop;

    if (!ip_route_find(l, r->dst, d->port, &hop) || !hop.gateway || hop.port != d->port ||
        memcmp(hop.addr, d->ip.src, 16) != 0)
        return false;
    if (ip_is_any(r->via) || ip_is_multicast(r->via) || ip_is_loopback(r->via) ||
        ip_is_broadcast(l, -1, r->via) || ip_addr_find(l, r->via, d->port) >= 0)
        return false;
    if (v4)
        return !direct && ip_route_on_link(l, d->port, r->via);
    return d->ip.hop_limit == 255 && ip_is_link_local6(d->ip.src) &&
           (direct || ip_is_link_local6(r->via));
}

/* [RFC1122-3.2.2.2-1, RFC4861-8.3-1] */
void ip_redirect(struct ip_layer *l, uint8_t port, const uint8_t dst[16], const uint8_t via[16])
{
    struct ip_redirect *r = redirect_at(l, port, dst);

    if (!r) {
        r = redirect_room(l);
        if (!r->used)
            l->nredirects++;
        *r = (struct ip_redirect){.port = port, .used = true};
        memcpy(r->dst, dst, 16);
    }
    if (memcmp(r->via, via, 16) != 0)
        l->path_gen++;
    memcpy(r->via, via, 16);
    r->until = time_add(l->env->now, REDIRECT_AGE);
    ip_arm(l, r->until);
    rule_count(l->rules, RULE_REDIRECTED);
}

int ip_redirect_expire(struct ip_layer *l)
{
    int n = 0;

    for (uint32_t i = 0; i < IP_REDIRECTS_MAX; i++) {
        struct ip_redirect *r = &l->redirects[i];

        if (!r->used || r->until > l->env->now)
            continue;
        r->used = false;
        l->nredirects--;
        l->path_gen++;
        n++;
    }
    return n;
}

estab_time ip_redirect_next(const struct ip_layer *l)
{
    estab_time at = ESTAB_NEVER;

    for (uint32_t i = 0; i < IP_REDIRECTS_MAX && l->nredirects; i++)
        if (l->redirects[i].used)
            at = time_min(at, l->redirects[i].until);
    return at;
}

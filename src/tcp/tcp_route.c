/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_route.c - source routes over IPv4: RFC 9293 section 3.9.2.1, RFC 1122 section 3.2.1.8.
 *
 * Hardly anybody has one, so they stand beside what has them: a control block, a half-open entry or
 * a TIME-WAIT, found by its reference.  The user's goes before a received one, and the latest
 * received one before earlier ones; the segments it came with have been found acceptable, so
 * whoever cannot guess the numbers cannot divert a connection.
 *
 * A route is what is sent: the first gateway is where the datagram goes, the others and the peer
 * stand in the option.  One that was received has been reversed by ip4_route_parse(). */
#include "tcp/tcp.h"

struct routed {
    uint32_t ref; /* whose */
    bool user;
    struct ip4_route route;
};

void tcp_routes_init(struct tcp_layer *l, uint32_t max)
{
    slab_init(&l->routes, l->env, sizeof(struct routed), _Alignof(struct routed), 4, max);
    hash_init(&l->route_of, l->env);
    l->nroutes = 0;
}

void tcp_routes_fini(struct tcp_layer *l)
{
    slab_fini(&l->routes);
    hash_fini(&l->route_of);
}

static uint32_t route_tag(uint32_t ref)
{
    return ref * 2654435761u; /* odd: neighbours are spread, none collide */
}

static uint32_t route_slot(const struct tcp_layer *l, uint32_t ref)
{
    struct hash_probe p;
    uint32_t slot;

    if (LIKELY(l->nroutes == 0))
        return HASH_NONE;
    p = hash_probe(&l->route_of, route_tag(ref));
    while ((slot = hash_next(&p)) != HASH_NONE)
        if (((const struct routed *)slab_at(&l->routes, slot))->ref == ref)
            return slot;
    return HASH_NONE;
}

const struct ip4_route *tcp_route_there(const struct tcp_layer *l, uint32_t ref)
{
    uint32_t slot = route_slot(l, ref);

    return slot == HASH_NONE ? NULL : &((const struct routed *)slab_at(&l->routes, slot))->route;
}

/* On a path of 68 octets (RFC 791 section 3.1) there is nothing left; eight go all the same, as
 * they would in the smallest fragment. */
uint32_t tcp_route_mss(const struct tcb *t, uint32_t mss)
{
    const uint32_t least = 8;
    uint32_t len = ip4_route_len(tcp_route(t));

    return mss > len + least ? mss - len : least;
}

bool tcp_route_set(struct tcp_layer *l, uint32_t ref, const struct ip4_route *route, bool user)
{
    uint32_t slot = route_slot(l, ref);
    struct routed *r;

    if (slot == HASH_NONE) {
        slot = slab_get(&l->routes);
        if (slot == SLAB_NONE)
            return false;
        if (hash_add(&l->route_of, route_tag(ref), slot) != 0) {
            slab_put(&l->routes, slot);
            return false;
        }
        l->nroutes++;
    }
    r = slab_at(&l->routes, slot);
    *r = (struct routed){.ref = ref, .user = user, .route = *route};
    return true;
}

void tcp_route_off(struct tcp_layer *l, uint32_t ref)
{
    uint32_t slot = route_slot(l, ref);

    if (slot == HASH_NONE)
        return;
    hash_del(&l->route_of, route_tag(ref), slot);
    slab_put(&l->routes, slot);
    l->nroutes--;
}

bool tcp_route_over(struct tcp_layer *l, uint32_t from, uint32_t to)
{
    uint32_t slot = route_slot(l, from);
    struct routed r;

    if (slot == HASH_NONE)
        return false;
    r = *(const struct routed *)slab_at(&l->routes, slot);
    tcp_route_off(l, from);
    return tcp_route_set(l, to, &r.route, r.user);
}

static bool is_users(const struct tcp_layer *l, uint32_t ref)
{
    uint32_t slot = route_slot(l, ref);

    return slot != HASH_NONE && ((const struct routed *)slab_at(&l->routes, slot))->user;
}

/* A connection stays with its port, whose send list it is on. [MUST-52, MUST-53, SHLD-24] */
bool tcp_route_arrives(struct tcp_layer *l, uint32_t ref, struct ip_path *path,
                       const struct ip4_route *route)
{
    const uint8_t *src = ip_local(l->ip, path->local);
    struct ip_path found;
    uint8_t hop[16];

    if (is_users(l, ref) ||
        ip_path_find(l->ip, tcp_first_hop(route, NULL, hop), src, path->port, &found) != 0 ||
        found.port != path->port || !tcp_route_set(l, ref, route, false))
        return false;
    *path = found;
    return true;
}

/* [MUST-51, MUST-52] */
int tcp_route_user(struct tcb *t, const struct ip4_route *route)
{
    struct tcp_layer *l = t->layer;
    uint32_t ref = TCP_REF(TCP_REF_TCB, t->slot);

    if (!l->ip->source_routes || t->state != ESTAB_CLOSED || t->established || t->pport)
        return ESTAB_E_INVAL;
    if (route->n == 0)
        tcp_route_del(l, ref);
    else if (!tcp_route_set(l, ref, route, true))
        return ESTAB_E_NOMEM;
    t->routed = route->n > 0;
    return 0;
}

const struct ip4_route *tcp_route_of_syn(const struct tcb *listener, const struct seg *g)
{
    return listener->routed ? tcp_route(listener) : g->route;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip.c - the internet layer as a whole: its beginning and end, its ports, its deadlines. */
#include "ip/ip_int.h"

#define RS_COUNT    3          /* MAX_RTR_SOLICITATIONS, RFC 4861 section 10 */
#define RS_INTERVAL ESTAB_S(4) /* RTR_SOLICITATION_INTERVAL */
#define RS_DELAY    ESTAB_S(1) /* MAX_RTR_SOLICITATION_DELAY */

uint32_t ip_random32(struct ip_layer *l)
{
    uint32_t v;

    env_random(l->env, &v, sizeof v);
    return v;
}

estab_dur ip_random_dur(struct ip_layer *l, estab_dur below)
{
    return below * (estab_dur)(ip_random32(l) >> 8) >> 24;
}

int ip_init(struct ip_layer *l, struct env *env, struct rule_book *rules, uint8_t hop_limit)
{
    memset(l, 0, sizeof *l);
    l->env = env;
    l->rules = rules;
    l->hop_limit = hop_limit;
    l->next_at = ESTAB_NEVER;
    env_random(env, l->secret, sizeof l->secret);
    env_random(env, l->frag_ids, sizeof l->frag_ids);
    l->icmp_at = env->now;
    l->icmp_tokens = IP_ICMP_BURST;
    ip_reass_init(l);
    ip_pmtu_init(l);
    return ESTAB_OK;
}

void ip_fini(struct ip_layer *l)
{
    ip_reass_fini(l);
    ip_pmtu_fini(l);
    ip_neigh_free(l);
    ip_own_fini(l);
}

static bool port_caps_ok(const struct estab_port_caps *caps)
{
    if (caps->mtu < 68 || caps->mtu > 65535)
        return false;
    switch (caps->medium) {
    case ESTAB_MEDIUM_IP:
        return true;
    case ESTAB_MEDIUM_ETHERNET:
        return ip_mac_ok(caps->mac);
    }
    return false;
}

int ip_port_add(struct ip_layer *l, const struct estab_port_caps *caps)
{
    struct ip_port *pt = &l->ports[l->nports];
    int r;

    if (!port_caps_ok(caps))
        return ESTAB_E_INVAL;
    if (l->nports == IP_PORTS_MAX)
        return ESTAB_E_NOMEM;
    if (caps->medium == ESTAB_MEDIUM_ETHERNET && !l->neigh && ip_neigh_alloc(l) < 0)
        return ESTAB_E_NOMEM;
    r = ip_own_pool(l, caps->mtu);
    if (r < 0)
        return r;
    memset(pt, 0, sizeof *pt);
    pt->caps = *caps;
    pt->mtu6 = caps->mtu;
    l->nports++;
    if (caps->router_solicit && caps->medium == ESTAB_MEDIUM_ETHERNET && caps->mtu >= IP6_MTU_MIN) {
        pt->rs_left = RS_COUNT;
        pt->rs_at = time_add(l->env->now, ip_random_dur(l, RS_DELAY));
        ip_arm(l, pt->rs_at);
        (void)ip_addr_add_link_local(l, (uint8_t)(l->nports - 1));
    }
    return (int)l->nports - 1;
}

void ip_drop_of(struct ip_layer *l, const uint8_t src[16], const uint8_t dst[16], uint8_t port,
                uint32_t len, enum rule r)
{
    struct estab_trace t;

    rule_drop(l->rules, r);
    if (!l->env->trace)
        return;
    memset(&t, 0, sizeof t);
    t.at = l->env->now;
    t.kind = ESTAB_TR_DROP;
    t.rule = (uint16_t)r;
    t.len = len;
    if (src) {
        memcpy(t.local.ip, dst, 16);
        memcpy(t.peer.ip, src, 16);
        if (ip_is_link_local6(dst))
            t.local.scope = (uint16_t)(port + 1);
        if (ip_is_link_local6(src))
            t.peer.scope = (uint16_t)(port + 1);
    }
    l->env->trace(l->env->trace_ctx, &t);
}

void ip_drop(struct ip_layer *l, const struct ip_dgram *d, enum rule r)
{
    if (d)
        ip_drop_of(l, d->ip.src, d->ip.dst, d->port, d->ip.payload_len, r);
    else
        ip_drop_of(l, NULL, NULL, 0, 0, r);
}

/* RFC 4861 section 6.3.7: up to three solicitations, until a router has answered. [RFC4861-6.3.7-1]
 */
static int ports_expire(struct ip_layer *l)
{
    struct ip_port *pt;
    uint32_t i;
    int n = 0;

    for (i = 0; i < l->nports; i++) {
        pt = &l->ports[i];
        if (!pt->rs_left || pt->rs_at > l->env->now)
            continue;
        pt->rs_left--;
        pt->rs_at = time_add(l->env->now, RS_INTERVAL);
        ip_nd_ask_router(l, (uint8_t)i);
        n++;
    }
    return n;
}

static estab_time ports_next(const struct ip_layer *l)
{
    estab_time at = ESTAB_NEVER;
    uint32_t i;

    for (i = 0; i < l->nports; i++)
        if (l->ports[i].rs_left)
            at = time_min(at, l->ports[i].rs_at);
    return at;
}

int ip_expire(struct ip_layer *l)
{
    int n;

    if (l->env->now < l->next_at)
        return 0;
    l->next_at = ESTAB_NEVER;
    n = ip_addr_expire(l) + ip_route_expire(l) + ip_neigh_expire(l) + ports_expire(l) +
        ip_reass_expire(l);
    l->next_at = time_min(l->next_at, time_min(ip_addr_next(l), ip_route_next(l)));
    l->next_at = time_min(l->next_at, time_min(ip_neigh_next(l), ports_next(l)));
    l->next_at = time_min(l->next_at, ip_reass_next(l));
    return n;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_pmtu.c - what is known of the MTUs of paths: RFC 1191, RFC 8201, RFC 4821 section 5.2.
 *
 * Two tables.  One holds what a transport vouches for: it has seen that a report is about something
 * in flight, or which of its own packets arrive.  The other holds what was said about the answers
 * of ICMP over IPv6, which nobody remembers having sent: anybody may have said it, so it bounds
 * nothing but such answers, and cannot push out what is known for certain.
 *
 * Entries are forgotten after a while, since paths change, and the one learned longest ago gives
 * way to a new one.  Whoever then sends too much is told again. */
#include "ip/ip_int.h"

#define PMTU_HEARD_MAX 64
#define PMTU_AGE       offsetof(struct ip_pmtu, age)

static const struct ip_pmtu_settings pmtu_defaults = IP_PMTU_DEFAULTS;

static void pmtu_table_init(struct ip_pmtu_table *t, struct env *env, uint32_t max)
{
    slab_init(&t->slab, env, sizeof(struct ip_pmtu), _Alignof(struct ip_pmtu), 4, max);
    hash_init(&t->index, env);
    slot_list_init(&t->by_age);
}

void ip_set_pmtu(struct ip_layer *l, const struct ip_pmtu_settings *set)
{
    l->pmtu_set = *set;
    pmtu_table_init(&l->pmtu, l->env, set->max);
    pmtu_table_init(&l->pmtu_heard, l->env, PMTU_HEARD_MAX);
}

void ip_pmtu_init(struct ip_layer *l)
{
    ip_set_pmtu(l, &pmtu_defaults);
}

void ip_pmtu_fini(struct ip_layer *l)
{
    slab_fini(&l->pmtu.slab);
    hash_fini(&l->pmtu.index);
    slab_fini(&l->pmtu_heard.slab);
    hash_fini(&l->pmtu_heard.index);
}

static uint8_t pmtu_scope(const uint8_t dst[16], uint8_t port)
{
    return ip_is_link_local6(dst) ? (uint8_t)(port + 1) : 0;
}

static uint32_t pmtu_tag(const struct ip_layer *l, const uint8_t dst[16], uint8_t scope)
{
    struct hash_key key = {l->secret[0], l->secret[1] ^ 1};
    uint8_t id[17];

    memcpy(id, dst, 16);
    id[16] = scope;
    return (uint32_t)hash_sip13(&key, id, sizeof id);
}

static struct ip_pmtu *pmtu_at(const struct ip_pmtu_table *t, uint32_t slot)
{
    return slab_at(&t->slab, slot);
}

static void pmtu_forget(struct ip_pmtu_table *t, uint32_t slot)
{
    slot_del(&t->slab, &t->by_age, slot, PMTU_AGE);
    hash_del(&t->index, pmtu_at(t, slot)->tag, slot);
    slab_put(&t->slab, slot);
}

/* Its slot, or HASH_NONE; what is too old is forgotten. */
static uint32_t pmtu_lookup(const struct ip_layer *l, struct ip_pmtu_table *t, uint32_t tag,
                            uint8_t scope, const uint8_t dst[16])
{
    struct hash_probe p = hash_probe(&t->index, tag);
    uint32_t slot;

    while ((slot = hash_next(&p)) != HASH_NONE) {
        const struct ip_pmtu *e = pmtu_at(t, slot);

        if (memcmp(e->dst, dst, 16) != 0 || e->scope != scope)
            continue;
        if (e->until > l->env->now)
            return slot;
        pmtu_forget(t, slot);
        break;
    }
    return HASH_NONE;
}

static const struct ip_pmtu *pmtu_find(const struct ip_layer *l, struct ip_pmtu_table *t,
                                       uint8_t port, const uint8_t dst[16])
{
    uint8_t scope = pmtu_scope(dst, port);
    uint32_t slot;

    if (LIKELY(t->by_age.n == 0))
        return NULL;
    slot = pmtu_lookup(l, t, pmtu_tag(l, dst, scope), scope, dst);
    return slot == HASH_NONE ? NULL : pmtu_at(t, slot);
}

/* Off the list of ages.  SLAB_NONE: without memory nothing is learned; a cache may forget. */
static uint32_t pmtu_make(const struct ip_layer *l, struct ip_pmtu_table *t, uint8_t port,
                          const uint8_t dst[16])
{
    uint8_t scope = pmtu_scope(dst, port);
    uint32_t tag = pmtu_tag(l, dst, scope), slot = pmtu_lookup(l, t, tag, scope, dst);
    struct ip_pmtu *e;

    if (slot != HASH_NONE) {
        slot_del(&t->slab, &t->by_age, slot, PMTU_AGE);
        return slot;
    }
    if (t->by_age.n == t->slab.limit)
        pmtu_forget(t, t->by_age.head);
    slot = slab_get(&t->slab);
    if (slot == SLAB_NONE)
        return SLAB_NONE;
    if (hash_add(&t->index, tag, slot) != 0) {
        slab_put(&t->slab, slot);
        return SLAB_NONE;
    }
    e = pmtu_at(t, slot);
    memcpy(e->dst, dst, 16);
    e->scope = scope;
    e->tag = tag;
    return slot;
}

static void pmtu_learn(const struct ip_layer *l, struct ip_pmtu_table *t, uint8_t port,
                       const uint8_t dst[16], uint32_t mtu, uint32_t high)
{
    uint32_t slot = pmtu_make(l, t, port, dst);
    struct ip_pmtu *e;

    if (slot == SLAB_NONE)
        return;
    e = pmtu_at(t, slot);
    e->mtu = mtu;
    e->high = high;
    e->until = time_add(l->env->now, l->pmtu_set.age);
    slot_push(&t->slab, &t->by_age, slot, PMTU_AGE);
}

const struct ip_pmtu *ip_pmtu_find(struct ip_layer *l, const struct ip_path *p,
                                   const uint8_t dst[16])
{
    return pmtu_find(l, &l->pmtu, p->port, dst);
}

void ip_pmtu_learn(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16], uint32_t mtu,
                   uint32_t high)
{
    pmtu_learn(l, &l->pmtu, p->port, dst, mtu, high);
}

uint32_t ip_pmtu(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16])
{
    const struct ip_pmtu *e = ip_pmtu_find(l, p, dst);
    uint32_t mtu = ip_mtu(l, p);

    return e && e->mtu < mtu ? e->mtu : mtu;
}

void ip_pmtu_hear(struct ip_layer *l, uint8_t port, const uint8_t dst[16], uint32_t mtu)
{
    const struct ip_pmtu *e = pmtu_find(l, &l->pmtu_heard, port, dst);

    if (!e || mtu < e->mtu)
        pmtu_learn(l, &l->pmtu_heard, port, dst, mtu, mtu);
}

uint32_t ip_pmtu_own(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16])
{
    const struct ip_pmtu *e = pmtu_find(l, &l->pmtu_heard, p->port, dst);
    uint32_t mtu = ip_pmtu(l, p, dst);

    return e && e->mtu < mtu ? e->mtu : mtu;
}

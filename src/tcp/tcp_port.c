/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_port.c - ephemeral ports: RFC 6056, and what there is to say when they run out.
 *
 * Where to look first is said by algorithm 4 (section 3.3.4) with the increments of algorithm 5: an
 * offset that is a keyed hash of the destination, and a turn that many destinations share and that
 * every choice moves on at random.  Nobody can tell the next port from those he has seen, and ports
 * to one destination are not soon used again.
 *
 * A destination to which PROBES ports in a row are busy, at each of LOOKS places, gets a map, a bit
 * for a port, kept up as its tuples come and go and thrown away when half of them are free.  The
 * last free port is then found as fast as the first.  Where there is none, a TIME-WAIT may give way
 * (tcp_timewait.c); if none can, that is known for a while without looking again. */
#include "tcp/tcp.h"

#define PROBES   32u
#define LOOKS    4u /* a map is made of as many look-ups as there are ports: not for a full corner */
#define STEP     500u       /* a turn moves on by 1 to STEP: RFC 6056 section 3.3.5 */
#define HOPELESS ESTAB_S(1) /* a new TIME-WAIT cannot be reused sooner */

#define PAGE       256u /* ports */
#define PAGE_SIZE  (PAGE * sizeof(uint32_t))
#define PAGES_SIZE (65536 / PAGE * sizeof(uint32_t *))

static uint32_t range_len(const struct tcp_layer *l)
{
    return (uint32_t)(l->set.port_hi - l->set.port_lo) + 1;
}

bool tcp_comes_home(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    uint32_t hash;

    if (l->set.nshards <= 1)
        return true;
    hash = hash_flow(ip_local(l->ip, k->local), k->lport, k->peer, k->pport);
    return (uint64_t)hash * l->set.nshards >> 32 == l->set.shard;
}

/* Whole words; the bits beyond the last port are set, as if busy. */
static size_t map_size(const struct tcp_layer *l)
{
    return (range_len(l) + 63) / 64 * sizeof(uint64_t);
}

void tcp_ports_init(struct tcp_layer *l)
{
    env_random(l->env, l->port_use.turn, sizeof l->port_use.turn);
}

static void map_free(struct tcp_layer *l, struct tcp_port_map *m)
{
    env_free(l->env, m->bits, map_size(l), 8);
    m->bits = NULL;
    l->port_use.nmaps--;
}

static void conns_free(struct tcp_layer *l)
{
    uint32_t **pages = l->port_use.conns;

    for (uint32_t i = 0; pages && i < 65536 / PAGE; i++)
        env_free(l->env, pages[i], PAGE_SIZE, 4);
    env_free(l->env, pages, PAGES_SIZE, 8);
    l->port_use.conns = NULL;
}

/* One connection more; without memory for it nothing is known any more, and counted anew when it is
 * asked next. */
static void conns_add(struct tcp_layer *l, uint16_t lport)
{
    uint32_t **page = l->port_use.conns;

    if (!page)
        return;
    page += lport / PAGE;
    if (!*page) {
        *page = env_alloc(l->env, PAGE_SIZE, 4);
        if (!*page) {
            conns_free(l);
            return;
        }
        memset(*page, 0, PAGE_SIZE);
    }
    (*page)[lport % PAGE]++;
}

static uint32_t conns_at(const struct tcp_layer *l, uint16_t lport)
{
    const uint32_t *page = l->port_use.conns[lport / PAGE];

    return page ? page[lport % PAGE] : 0;
}

void tcp_ports_fini(struct tcp_layer *l)
{
    for (int i = 0; i < TCP_PORT_MAPS; i++)
        if (l->port_use.maps[i].bits)
            map_free(l, &l->port_use.maps[i]);
    conns_free(l);
}

static struct tcp_port_map *map_find(struct tcp_layer *l, const struct tcp_tuple *k)
{
    for (int i = 0; l->port_use.nmaps && i < TCP_PORT_MAPS; i++) {
        struct tcp_port_map *m = &l->port_use.maps[i];

        if (m->bits && m->pport == k->pport && m->local == k->local &&
            memcmp(m->peer, k->peer, 16) == 0)
            return m;
    }
    return NULL;
}

static void map_set(struct tcp_port_map *m, uint32_t at, bool busy)
{
    uint64_t bit = (uint64_t)1 << at % 64, *word = &m->bits[at / 64];

    if (((*word & bit) != 0) == busy)
        return;
    *word ^= bit;
    m->nbusy += busy ? 1 : UINT32_MAX;
}

void tcp_ports_note(struct tcp_layer *l, const struct tcp_tuple *k, bool busy)
{
    struct tcp_port_map *m;

    if (busy)
        conns_add(l, k->lport);
    else if (l->port_use.conns)
        l->port_use.conns[k->lport / PAGE][k->lport % PAGE]--;
    if (k->lport < l->set.port_lo || k->lport > l->set.port_hi)
        return;
    m = map_find(l, k);
    if (!m)
        return;
    map_set(m, (uint32_t)(k->lport - l->set.port_lo), busy);
    if (m->nbusy < range_len(l) / 2)
        map_free(l, m);
}

/* The place for one more: an empty one, or that of the map which was of no use for longest. */
static struct tcp_port_map *map_place(struct tcp_layer *l)
{
    struct tcp_port_map *worst = &l->port_use.maps[0];

    for (int i = 0; i < TCP_PORT_MAPS; i++) {
        struct tcp_port_map *m = &l->port_use.maps[i];

        if (!m->bits)
            return m;
        if ((int32_t)(m->asked - worst->asked) < 0)
            worst = m;
    }
    map_free(l, worst);
    return worst;
}

/* NULL: no memory for it. */
static struct tcp_port_map *map_need(struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcp_port_map *m = map_find(l, k);
    uint32_t n = range_len(l);
    struct tcp_tuple at = *k;
    uint64_t *bits;

    if (m) {
        m->asked = ++l->port_use.asked;
        return m;
    }
    bits = env_alloc(l->env, map_size(l), 8);
    if (!bits)
        return NULL;
    m = map_place(l);
    *m = (struct tcp_port_map){
        .bits = bits, .local = k->local, .pport = k->pport, .asked = ++l->port_use.asked};
    memcpy(m->peer, k->peer, 16);
    memset(bits, 0, map_size(l));
    for (uint32_t i = 0; i < n; i++) {
        at.lport = (uint16_t)(l->set.port_lo + i);
        map_set(m, i, !tcp_comes_home(l, &at) || tcp_demux_peek(l, &at) != HASH_NONE);
    }
    if (n % 64)
        bits[n / 64] |= ~(uint64_t)0 << n % 64;
    l->port_use.nmaps++;
    return m;
}

/* ---- ports that connections still have ---- */

/* Counted anew once, kept up from then on. */
static bool conns_need(struct tcp_layer *l)
{
    if (l->port_use.conns)
        return true;
    l->port_use.conns = env_alloc(l->env, PAGES_SIZE, 8);
    if (!l->port_use.conns)
        return false;
    memset(l->port_use.conns, 0, PAGES_SIZE);
    for (uint32_t i = slab_next(&l->tcbs, 0); i != SLAB_NONE; i = slab_next(&l->tcbs, i + 1))
        if (tcb_at(l, i)->in_demux && tcb_at(l, i)->pport)
            conns_add(l, tcb_at(l, i)->lport);
    for (uint32_t i = slab_next(&l->synqs, 0); i != SLAB_NONE; i = slab_next(&l->synqs, i + 1))
        if (!((const struct tcp_synq *)slab_at(&l->synqs, i))->dead)
            conns_add(l, ((const struct tcp_synq *)slab_at(&l->synqs, i))->far.lport);
    for (uint32_t i = slab_next(&l->timewaits, 0); i != SLAB_NONE;
         i = slab_next(&l->timewaits, i + 1))
        conns_add(l, ((const struct tcp_timewait *)slab_at(&l->timewaits, i))->far.lport);
    return l->port_use.conns != NULL;
}

/* Half-open entries are not asked: their listener has the port. */
static bool lingers(const struct tcb *t, uint16_t local, uint16_t lport)
{
    const struct tcp_layer *l = t->layer;
    bool shares = t->reuse_addr || t->reuse_port;

    for (uint32_t i = slab_next(&l->tcbs, 0); i != SLAB_NONE; i = slab_next(&l->tcbs, i + 1)) {
        const struct tcb *v = tcb_at(l, i);

        if (v->in_demux && v->pport && v->lport == lport &&
            tcp_locals_overlap(l, local, t->v6_only, v->path.local, false) &&
            !((t->reuse_addr && v->reuse_addr) || (t->reuse_port && v->reuse_port)))
            return true;
    }
    for (uint32_t i = slab_next(&l->timewaits, 0); !shares && i != SLAB_NONE;
         i = slab_next(&l->timewaits, i + 1)) {
        const struct tcp_timewait *w = slab_at(&l->timewaits, i);

        if (w->far.lport == lport && tcp_locals_overlap(l, local, t->v6_only, w->far.local, false))
            return true;
    }
    return false;
}

/* Looks at every connection only where the port has some. */
int tcp_port_lingers(struct tcb *t, uint16_t local, uint16_t lport)
{
    if (!conns_need(t->layer))
        return ESTAB_E_NOMEM;
    return conns_at(t->layer, lport) && lingers(t, local, lport) ? ESTAB_E_INUSE : 0;
}

/* ---- the choice ---- */

/* One port as seen by a socket that would connect. */
static bool is_free(struct tcp_layer *l, struct tcp_tuple *k, uint32_t at, uint32_t *ref)
{
    k->lport = (uint16_t)(l->set.port_lo + at);
    *ref = HASH_NONE;
    if (!tcp_comes_home(l, k))
        return false;
    *ref = tcp_demux_peek(l, k);
    return *ref == HASH_NONE && !tcp_port_bound(l, k->local, k->lport);
}

/* For one port of many: whoever has its tag counts as having it.  Of a million connections that
 * passes over a free port once in 4,000 times, and fetches none that is at rest, and cold: 8 % of a
 * short connection beside a million.  Of a TIME-WAIT it matters whose it is. */
static bool is_free_at_a_glance(struct tcp_layer *l, struct tcp_tuple *k, uint32_t at,
                                uint32_t *ref)
{
    k->lport = (uint16_t)(l->set.port_lo + at);
    *ref = HASH_NONE;
    if (!tcp_comes_home(l, k))
        return false;
    *ref = tcp_demux_glance(l, k);
    if (*ref != HASH_NONE && TCP_REF_KIND(*ref) == TCP_REF_TIMEWAIT)
        return is_free(l, k, at, ref);
    return *ref == HASH_NONE && !tcp_port_bound(l, k->local, k->lport);
}

static bool is_reusable(const struct tcp_layer *l, const struct tcp_tuple *k, uint32_t ref)
{
    return ref != HASH_NONE && TCP_REF_KIND(ref) == TCP_REF_TIMEWAIT &&
           timewait_free_at(l, TCP_REF_SLOT(ref)) <= l->env->now &&
           !tcp_port_bound(l, k->local, k->lport);
}

static uint32_t first_look(struct tcp_layer *l, const struct tcp_tuple *k)
{
    uint64_t hash = tcp_port_hash(l, k);
    uint16_t *turn = &l->port_use.turn[(hash >> 32) % TCP_PORT_TURNS];
    uint32_t n = range_len(l), step, at = ((uint32_t)hash % n + *turn) % n;

    env_random(l->env, &step, sizeof step);
    /* Round the range, not round 2^16: what is passed more often than the rest fills up. */
    *turn = (uint16_t)((*turn + 1 + step % STEP) % n);
    return at;
}

/* The first free port of the map at or after `from`, going round. */
static bool map_choose(struct tcp_layer *l, const struct tcp_port_map *m, struct tcp_tuple *k,
                       uint32_t from)
{
    uint32_t n = range_len(l), ref, at = from;

    if (m->nbusy == n)
        return false;
    for (uint32_t left = n; left > 0;) {
        uint32_t skip = 64 - at % 64;

        if (~m->bits[at / 64] >> at % 64 == 0) { /* busy up to the end of the word */
            if (skip > n - at)
                skip = n - at;
        } else if (!(m->bits[at / 64] >> at % 64 & 1) && is_free(l, k, at, &ref)) {
            return true;
        } else {
            skip = 1;
        }
        left -= skip < left ? skip : left;
        at = (at + skip) % n;
    }
    return false;
}

/* When a busy port becomes free with nobody doing anything. */
static estab_time free_at(const struct tcp_layer *l, uint32_t ref)
{
    const struct tcb *t;

    if (TCP_REF_KIND(ref) == TCP_REF_TIMEWAIT)
        return timewait_free_at(l, TCP_REF_SLOT(ref));
    if (TCP_REF_KIND(ref) == TCP_REF_SYNQ)
        return ESTAB_NEVER;
    t = tcb_at(l, TCP_REF_SLOT(ref));
    return t->state == ESTAB_FIN_WAIT_2 && t->orphan ? tcp_idle_at(t) : ESTAB_NEVER;
}

/* For want of memory for a map. */
static bool scan_free(struct tcp_layer *l, struct tcp_tuple *k, uint32_t from)
{
    uint32_t n = range_len(l), ref;

    for (uint32_t i = 0; i < n; i++)
        if (is_free(l, k, (from + i) % n, &ref))
            return true;
    return false;
}

/* `soonest`: when one of those that are not yet will be reusable. */
static bool scan_reusable(struct tcp_layer *l, struct tcp_tuple *k, uint32_t from,
                          estab_time *soonest)
{
    uint32_t n = range_len(l), ref;

    for (uint32_t i = 0; i < n; i++) {
        (void)is_free(l, k, (from + i) % n, &ref);
        if (is_reusable(l, k, ref))
            return true;
        if (ref != HASH_NONE)
            *soonest = time_min(*soonest, free_at(l, ref));
    }
    return false;
}

/* Of a destination that is running out.  `spare`: a port whose TIME-WAIT may be reused, or 0. */
static bool choose_hard(struct tcp_layer *l, struct tcp_tuple *k, uint32_t from, uint16_t spare)
{
    struct tcp_port_map *m = map_need(l, k);
    estab_time soonest = time_add(l->env->now, HOPELESS);

    if (m ? map_choose(l, m, k, from) : scan_free(l, k, from))
        return true;
    if (spare) {
        k->lport = spare;
        return true;
    }
    if (m && l->env->now < m->hopeless_until)
        return false;
    if (scan_reusable(l, k, from, &soonest))
        return true;
    if (m)
        m->hopeless_until = soonest;
    return false;
}

int tcp_port_choose_to(struct tcb *t, uint32_t *ref)
{
    struct tcp_layer *l = t->layer;
    struct tcp_tuple k = tcb_tuple(t);
    uint32_t n = range_len(l), from = first_look(l, &k);
    uint16_t spare = 0;

    for (uint32_t i = 0; i < LOOKS * PROBES && i < n; i++) {
        if (i > 0 && i % PROBES == 0) {
            if (map_find(l, &k))
                break;
            from = first_look(l, &k);
        }
        if (LIKELY(is_free_at_a_glance(l, &k, (from + i) % n, ref))) {
            t->lport = k.lport;
            return 0;
        }
        if (!spare && is_reusable(l, &k, *ref))
            spare = k.lport;
    }
    if (!choose_hard(l, &k, from, spare)) {
        rule_count(l->rules, RULE_PORTS_EXHAUSTED);
        return ESTAB_E_INUSE;
    }
    *ref = tcp_demux_peek(l, &k);
    t->lport = k.lport;
    return 0;
}

/* RFC 6056 section 3.3.1, where there is no destination: a random first choice, then the next. */
int tcp_port_choose(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    uint32_t n = range_len(l), at;

    env_random(l->env, &at, sizeof at);
    at %= n;
    for (uint32_t i = 0; i < n; i++) {
        uint16_t port = (uint16_t)(l->set.port_lo + (at + i) % n);

        if (!tcp_port_bound(l, t->path.local, port)) {
            t->lport = port;
            return 0;
        }
    }
    return ESTAB_E_INUSE;
}

/* ---- the forecast ---- */

static enum estab_tcp_state state_at(const struct tcp_layer *l, uint32_t ref)
{
    switch (TCP_REF_KIND(ref)) {
    case TCP_REF_TCB:
        return (enum estab_tcp_state)tcb_at(l, TCP_REF_SLOT(ref))->state;
    case TCP_REF_SYNQ:
        return ESTAB_SYN_RECEIVED;
    case TCP_REF_TIMEWAIT:
        break;
    }
    return ESTAB_TIME_WAIT;
}

void tcp_port_forecast(struct tcp_layer *l, uint16_t local, const struct estab_addr *peer,
                       struct estab_port_forecast *f)
{
    struct tcp_tuple k = {peer->ip, local, 0, peer->port};
    uint32_t ref;

    f->next_at = ESTAB_NEVER;
    for (uint32_t i = 0; i < range_len(l); i++) {
        bool is_now = is_free(l, &k, i, &ref);

        if (!tcp_comes_home(l, &k))
            continue;
        f->ports++;
        if (is_now) {
            f->free++;
        } else if (ref == HASH_NONE) {
            f->bound++;
        } else {
            f->busy[state_at(l, ref)]++;
            f->reusable += is_reusable(l, &k, ref);
            f->next_at = time_min(f->next_at, free_at(l, ref));
        }
    }
    if (f->free)
        f->next_at = l->env->now;
}

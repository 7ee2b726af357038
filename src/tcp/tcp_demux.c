/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_demux.c - from addresses and ports to the connection, half-open entry, TIME-WAIT or listener.
 *
 * One keyed index holds them all.  A socket without a peer (bound, or listening) stands under an
 * all-zero peer and port 0, its local address possibly TCP_ANY or TCP_ANY4, so that a segment finds
 * its connection in one look-up and its listener in at most three more. */
#include "tcp/tcp.h"

static const uint8_t no_peer[16];

static struct tcp_tag_key tag_key(const struct tcp_tuple *k)
{
    uint64_t tail = (uint64_t)k->local | (uint64_t)k->lport << 16 | (uint64_t)k->pport << 32;
    struct tcp_tag_key key;

    memcpy(key.w, k->peer, 16);
    key.w[2] = le64_of(tail); /* the same hash on every machine */
    return key;
}

static uint64_t hash_of(const struct tcp_layer *l, const struct tcp_tag_key *key)
{
    return hash_sip13(&l->key, key, sizeof *key);
}

void tcp_hashed_init(const struct tcp_layer *l, struct tcp_hashed *last)
{
    last->hash = hash_of(l, &last->key);
}

uint64_t tcp_tuple_hash(const struct tcp_layer *l, struct tcp_hashed *last,
                        const struct tcp_tuple *k)
{
    struct tcp_tag_key key = tag_key(k);
    const uint64_t *had = last->key.w;

    if ((had[0] ^ key.w[0]) | (had[1] ^ key.w[1]) | (had[2] ^ key.w[2])) {
        for (int i = 0; i < 3; i++)
            last->key.w[i] = key.w[i];
        last->hash = hash_of(l, &key);
    }
    return last->hash;
}

/* A connection's opening and end ask for its tag several times in a row. */
uint32_t tcp_demux_tag(struct tcp_layer *l, const struct tcp_tuple *k)
{
    return (uint32_t)tcp_tuple_hash(l, &l->last_tuple, k);
}

struct tcp_hashed tcp_demux_warm(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcp_hashed h = {.key = tag_key(k)};

    h.hash = hash_of(l, &h.key);
    hash_warm(&l->demux, (uint32_t)h.hash);
    return h;
}

void tcp_ahead_hash(const struct tcp_layer *l, struct tcp_ahead *a, const struct tcp_tuple *k)
{
    a->hashed = tcp_demux_warm(l, k);
    a->ref = HASH_NONE;
}

void tcp_ahead_find(const struct tcp_layer *l, struct tcp_ahead *a)
{
    struct hash_probe p;

    if (!a->known)
        return;
    p = hash_probe(&l->demux, (uint32_t)a->hashed.hash);
    a->ref = hash_next(&p);
    if (a->ref == HASH_NONE)
        return;
    switch (TCP_REF_KIND(a->ref)) {
    case TCP_REF_TCB:
        warm(tcb_at(l, TCP_REF_SLOT(a->ref)), sizeof(struct tcb));
        break;
    case TCP_REF_SYNQ:
        warm(slab_at(&l->synqs, TCP_REF_SLOT(a->ref)), sizeof(struct tcp_synq));
        break;
    case TCP_REF_TIMEWAIT:
        warm(slab_at(&l->timewaits, TCP_REF_SLOT(a->ref)), sizeof(struct tcp_timewait));
        break;
    }
}

void tcp_ahead_work(const struct tcp_layer *l, const struct tcp_ahead *a)
{
    if (a->known && a->ref != HASH_NONE && TCP_REF_KIND(a->ref) == TCP_REF_TCB)
        tcb_warm(tcb_at(l, TCP_REF_SLOT(a->ref)));
}

void tcp_ahead_take(struct tcp_layer *l, const struct tcp_ahead *a)
{
    if (a->known)
        l->last_tuple = a->hashed;
}

static bool ref_is(const struct tcp_layer *l, uint32_t ref, const struct tcp_tuple *k)
{
    switch (TCP_REF_KIND(ref)) {
    case TCP_REF_TCB:
        return tcp_is_at(tcb_at(l, TCP_REF_SLOT(ref)), k);
    case TCP_REF_SYNQ:
        return tcp_far_is(l, &((struct tcp_synq *)slab_at(&l->synqs, TCP_REF_SLOT(ref)))->far, k);
    case TCP_REF_TIMEWAIT:
        return tcp_far_is(
            l, &((struct tcp_timewait *)slab_at(&l->timewaits, TCP_REF_SLOT(ref)))->far, k);
    }
    return false;
}

static uint32_t find_at(const struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag)
{
    struct hash_probe p = hash_probe(&l->demux, tag);
    uint32_t ref;

    while ((ref = hash_next(&p)) != HASH_NONE)
        if (ref_is(l, ref, k))
            return ref;
    return HASH_NONE;
}

uint32_t tcp_demux_peek(struct tcp_layer *l, const struct tcp_tuple *k)
{
    return find_at(l, k, tcp_demux_tag(l, k));
}

uint32_t tcp_demux_glance(struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct hash_probe p = hash_probe(&l->demux, tcp_demux_tag(l, k));

    return hash_next(&p);
}

uint32_t tcp_demux_look(struct tcp_layer *l, const struct tcp_tuple *k)
{
    uint32_t ref = find_at(l, k, tcp_demux_tag(l, k));

    if (ref != HASH_NONE && TCP_REF_KIND(ref) == TCP_REF_TCB) {
        struct tcb *t = tcb_at(l, TCP_REF_SLOT(ref));

        tcp_heats(t);
        tcb_warm(t);
    }
    return ref;
}

static struct hash_probe probe_unconnected(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcp_tag_key key = tag_key(k);

    return hash_probe(&l->demux, (uint32_t)hash_of(l, &key));
}

/* The next socket without a peer under k; NULL: no more. */
static struct tcb *next_unconnected(const struct tcp_layer *l, struct hash_probe *p,
                                    const struct tcp_tuple *k)
{
    uint32_t ref;

    while ((ref = hash_next(p)) != HASH_NONE)
        if (TCP_REF_KIND(ref) == TCP_REF_TCB && ref_is(l, ref, k))
            return tcb_at(l, TCP_REF_SLOT(ref));
    return NULL;
}

/* The nth listener there that takes such a segment, and how many there are up to it. */
static struct tcb *nth_listener(const struct tcp_layer *l, const struct tcp_tuple *at, bool v4,
                                uint32_t n, uint32_t *count)
{
    struct hash_probe p = probe_unconnected(l, at);
    struct tcb *t;

    *count = 0;
    while ((t = next_unconnected(l, &p, at)) != NULL)
        if (t->state == ESTAB_LISTEN && !(v4 && t->v6_only) && (*count)++ == n)
            return t;
    return NULL;
}

/* The most particular listener: its address, its family, any.  There is one, or there are several
 * that share (ESTAB_O_REUSEPORT): then a keyed hash of both ends chooses. */
static struct tcb *listener_for(struct tcp_layer *l, const struct tcp_tuple *k)
{
    bool v4 = ip_is4(ip_local(l->ip, k->local));
    uint16_t tries[3] = {k->local, v4 ? TCP_ANY4 : TCP_ANY, TCP_ANY};

    for (int i = 0; i < 3; i++) {
        struct tcp_tuple at = {no_peer, tries[i], k->lport, 0};
        uint32_t n;
        struct tcb *t = nth_listener(l, &at, v4, 0, &n);

        if (t && t->reuse_port) {
            (void)nth_listener(l, &at, v4, UINT32_MAX, &n);
            if (n > 1)
                t = nth_listener(l, &at, v4, tcp_demux_tag(l, k) % n, &n);
        }
        if (t)
            return t;
    }
    return NULL;
}

/* The one found last is good until another listens, or has stopped, or may be more particular; but
 * of those that share each segment may have another. */
struct tcb *tcp_demux_listener(struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcb *t;

    if (l->last_listener.slot != SLAB_NONE && l->last_listener.local == k->local &&
        l->last_listener.lport == k->lport) {
        t = tcb_at(l, l->last_listener.slot);
        if (!t->reuse_port)
            return t;
    }
    t = listener_for(l, k);
    if (t) {
        l->last_listener.slot = t->slot;
        l->last_listener.local = k->local;
        l->last_listener.lport = k->lport;
    }
    return t;
}

int tcp_tuple_add(struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag, uint32_t ref)
{
    int err = hash_add(&l->demux, tag, ref);

    if (err)
        return err;
    if (k->pport) {
        tcp_ports_note(l, k, true);
    } else {
        l->nbound++;
        tcp_listeners_change(l);
    }
    return 0;
}

void tcp_tuple_del(struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag, uint32_t ref)
{
    hash_del(&l->demux, tag, ref);
    if (k->pport) {
        tcp_ports_note(l, k, false);
    } else {
        l->nbound--;
        tcp_listeners_change(l);
    }
}

int tcp_demux_add(struct tcb *t)
{
    struct tcp_tuple k = tcb_tuple(t);
    int err;

    assert(!t->in_demux);
    err = tcp_tuple_add(t->layer, &k, tcp_demux_tag(t->layer, &k), TCP_REF(TCP_REF_TCB, t->slot));
    if (err)
        return err;
    t->in_demux = true;
    if (t->pport) /* who opens is who hears next */
        tcp_heats(t);
    return 0;
}

void tcp_demux_del(struct tcb *t)
{
    struct tcp_tuple k = tcb_tuple(t);

    if (!t->in_demux)
        return;
    tcp_tuple_del(t->layer, &k, tcp_demux_tag(t->layer, &k), TCP_REF(TCP_REF_TCB, t->slot));
    t->in_demux = false;
    tcp_cools(t);
}

enum { HAS_4 = 1, HAS_6 = 2 };
static int families_of(const struct tcp_layer *l, uint16_t local, bool v6_only)
{
    if (local == TCP_ANY)
        return v6_only ? HAS_6 : HAS_4 | HAS_6;
    return local == TCP_ANY4 || ip_is4(ip_local(l->ip, local)) ? HAS_4 : HAS_6;
}

bool tcp_locals_overlap(const struct tcp_layer *l, uint16_t a, bool a_v6_only, uint16_t b,
                        bool b_v6_only)
{
    return (families_of(l, a, a_v6_only) & families_of(l, b, b_v6_only)) &&
           (a >= TCP_ANY4 || b >= TCP_ANY4 || a == b);
}

/* Who wants a port; t NULL: somebody who shares it with nobody. */
struct claim {
    const struct tcb *t;
    uint16_t local;
    bool v6_only;
};

/* Linux's rules: both have ESTAB_O_REUSEPORT; or both ESTAB_O_REUSEADDR and the other does not
 * listen. */
static bool tolerates(const struct claim *c, const struct tcb *v)
{
    return c->t && ((c->t->reuse_port && v->reuse_port) ||
                    (c->t->reuse_addr && v->reuse_addr && v->state != ESTAB_LISTEN));
}

static bool clashes_at(const struct tcp_layer *l, const struct claim *c, uint16_t local,
                       uint16_t lport)
{
    struct tcp_tuple k = {no_peer, local, lport, 0};
    struct hash_probe p = probe_unconnected(l, &k);
    const struct tcb *v;

    while ((v = next_unconnected(l, &p, &k)) != NULL)
        if (v != c->t && tcp_locals_overlap(l, c->local, c->v6_only, local, v->v6_only) &&
            !tolerates(c, v))
            return true;
    return false;
}

static bool clashes(const struct tcp_layer *l, const struct claim *c, uint16_t lport)
{
    if (clashes_at(l, c, TCP_ANY, lport) ||
        ((families_of(l, c->local, c->v6_only) & HAS_4) && clashes_at(l, c, TCP_ANY4, lport)))
        return true;
    if (c->local < TCP_ANY4)
        return clashes_at(l, c, c->local, lport);
    for (uint16_t i = 0; i < IP_ADDRS_MAX; i++)
        if (l->ip->addrs[i].used && clashes_at(l, c, i, lport))
            return true;
    return false;
}

bool tcp_port_bound(const struct tcp_layer *l, uint16_t local, uint16_t lport)
{
    struct claim c = {.local = local};

    return l->nbound > 0 && clashes(l, &c, lport);
}

bool tcp_listen_clashes(const struct tcb *t)
{
    struct claim c = {t, t->path.local, t->v6_only};

    return clashes(t->layer, &c, t->lport);
}

static int port_free(struct tcb *t, uint16_t local, uint16_t lport)
{
    struct claim c = {t, local, t->v6_only};

    return clashes(t->layer, &c, lport) ? ESTAB_E_INUSE : tcp_port_lingers(t, local, lport);
}

int tcp_bind(struct tcb *t, const struct estab_addr *a)
{
    int local, err = 0;

    if (t->bound || t->state != ESTAB_CLOSED || t->pport)
        return ESTAB_E_INVAL;
    if (ip_is_any(a->ip))
        local = ip_is4(a->ip) ? TCP_ANY4 : TCP_ANY;
    else
        local = ip_local_find(t->layer->ip, a->ip);
    if (local < 0 || (t->v6_only && ip_is4(a->ip)))
        return ESTAB_E_ADDRNOTAVAIL;
    if (a->port)
        err = port_free(t, (uint16_t)local, a->port);
    if (err)
        return err;
    t->path.local = (uint16_t)local;
    t->lport = a->port;
    if (!a->port)
        err = tcp_port_choose(t);
    if (!err)
        err = tcp_demux_add(t);
    t->bound = !err;
    if (err) {
        t->path.local = TCP_ANY;
        t->lport = 0;
    }
    return err;
}

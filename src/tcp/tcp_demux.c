/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_demux.c - from addresses and ports to the connection, half-open entry, TIME-WAIT or listener.
 *
 * One keyed index holds them all.  A socket without a peer (bound, or listening) stands under an
 * all-zero peer and port 0, its local address possibly TCP_ANY or TCP_ANY4, so that a segment finds
 * its connection in one look-up and its listener in at most three more. */
#include "tcp/tcp.h"
#include <assert.h>

static const uint8_t no_peer[16];

uint32_t tcp_demux_tag(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    uint8_t b[24] = {0};

    memcpy(b, k->peer, 16);
    be16_put(b + 16, k->local);
    be16_put(b + 18, k->lport);
    be16_put(b + 20, k->pport);
    return (uint32_t)hash_sip13(&l->key, b, sizeof b);
}

static bool tcb_is(const struct tcb *t, const struct tcp_tuple *k)
{
    return t->pport == k->pport && t->lport == k->lport && t->path.local == k->local &&
           memcmp(t->peer, k->peer, 16) == 0;
}

static bool ref_is(const struct tcp_layer *l, uint32_t ref, const struct tcp_tuple *k)
{
    const struct tcp_synq *q;
    const struct tcp_timewait *w;

    switch (TCP_REF_KIND(ref)) {
    case TCP_REF_TCB:
        return tcb_is(tcb_at(l, TCP_REF_SLOT(ref)), k);
    case TCP_REF_SYNQ:
        q = slab_at(&l->synqs, TCP_REF_SLOT(ref));
        return q->pport == k->pport && q->lport == k->lport && q->path.local == k->local &&
               memcmp(q->peer, k->peer, 16) == 0;
    case TCP_REF_TIMEWAIT:
        w = slab_at(&l->timewaits, TCP_REF_SLOT(ref));
        return w->pport == k->pport && w->lport == k->lport && w->path.local == k->local &&
               memcmp(w->peer, k->peer, 16) == 0;
    }
    return false;
}

uint32_t tcp_demux_peek(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct hash_probe p = hash_probe(&l->demux, tcp_demux_tag(l, k));
    uint32_t ref;

    while ((ref = hash_next(&l->demux, &p)) != HASH_NONE)
        if (ref_is(l, ref, k))
            return ref;
    return HASH_NONE;
}

struct tcb *tcp_demux_hot(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcb *t = l->hot == SLAB_NONE ? NULL : tcb_at(l, l->hot);

    return t && tcb_is(t, k) ? t : NULL;
}

uint32_t tcp_demux_find(struct tcp_layer *l, const struct tcp_tuple *k)
{
    uint32_t ref;

    if (tcp_demux_hot(l, k)) /* runs of segments of one connection */
        return TCP_REF(TCP_REF_TCB, l->hot);
    ref = tcp_demux_peek(l, k);
    if (ref != HASH_NONE && TCP_REF_KIND(ref) == TCP_REF_TCB)
        l->hot = TCP_REF_SLOT(ref);
    return ref;
}

static struct tcb *find_unconnected(const struct tcp_layer *l, uint16_t local, uint16_t lport)
{
    struct tcp_tuple k = {no_peer, local, lport, 0};
    struct hash_probe p = hash_probe(&l->demux, tcp_demux_tag(l, &k));
    uint32_t ref;

    while ((ref = hash_next(&l->demux, &p)) != HASH_NONE)
        if (TCP_REF_KIND(ref) == TCP_REF_TCB && ref_is(l, ref, &k))
            return tcb_at(l, TCP_REF_SLOT(ref));
    return NULL;
}

/* The most particular listener: its address, its family, any. */
struct tcb *tcp_demux_listener(struct tcp_layer *l, uint16_t local, uint16_t lport)
{
    uint16_t tries[3] = {local, ip_is4(ip_local(l->ip, local)) ? TCP_ANY4 : TCP_ANY, TCP_ANY};

    for (int i = 0; i < 3; i++) {
        struct tcb *t = find_unconnected(l, tries[i], lport);

        if (t && t->state == ESTAB_LISTEN)
            return t;
    }
    return NULL;
}

int tcp_tuple_add(struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag, uint32_t ref)
{
    int err = hash_add(&l->demux, tag, ref);

    if (!err && k->pport)
        tcp_ports_note(l, k, true);
    return err;
}

void tcp_tuple_del(struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag, uint32_t ref)
{
    hash_del(&l->demux, tag, ref);
    if (k->pport)
        tcp_ports_note(l, k, false);
}

int tcp_demux_add(struct tcb *t)
{
    struct tcp_tuple k = tcb_tuple(t);
    int err;

    assert(!t->in_demux);
    t->tag = tcp_demux_tag(t->layer, &k);
    err = tcp_tuple_add(t->layer, &k, t->tag, TCP_REF(TCP_REF_TCB, t->slot));
    if (err)
        return err;
    t->in_demux = true;
    return 0;
}

void tcp_demux_del(struct tcb *t)
{
    struct tcp_tuple k = tcb_tuple(t);

    if (!t->in_demux)
        return;
    tcp_tuple_del(t->layer, &k, t->tag, TCP_REF(TCP_REF_TCB, t->slot));
    t->in_demux = false;
    if (t->layer->hot == t->slot)
        t->layer->hot = SLAB_NONE;
}

bool tcp_port_bound(const struct tcp_layer *l, uint16_t local, uint16_t lport)
{
    bool is4 = local == TCP_ANY4 || (local < TCP_ANY4 && ip_is4(ip_local(l->ip, local)));

    if (find_unconnected(l, local, lport) || find_unconnected(l, TCP_ANY, lport) ||
        (is4 && find_unconnected(l, TCP_ANY4, lport)))
        return true;
    if (local < TCP_ANY4)
        return false;
    for (uint16_t i = 0; i < IP_ADDRS_MAX; i++)
        if (l->ip->addrs[i].used && (local == TCP_ANY || ip_is4(ip_local(l->ip, i))) &&
            find_unconnected(l, i, lport))
            return true;
    return local == TCP_ANY && find_unconnected(l, TCP_ANY4, lport);
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
    if (local < 0)
        return ESTAB_E_ADDRNOTAVAIL;
    if (a->port && tcp_port_bound(t->layer, (uint16_t)local, a->port))
        return ESTAB_E_INUSE;
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* udp_demux.c - from addresses and ports to the socket; who may have which port.
 *
 * A datagram is for the socket with that peer; else for the one bound to the address it came to;
 * else for one bound to any, of its own family first.  Where several have the same claim because
 * they were all set to share (ESTAB_O_REUSEPORT), a keyed hash of both ends chooses, so that one
 * peer always meets the same; where they only tolerate each other (ESTAB_O_REUSEADDR), the youngest
 * has it. */
#include "udp/udp.h"

static const uint8_t no_one[16];

static uint32_t tuple_tag(const struct udp_layer *l, const struct udp_tuple *k)
{
    uint8_t b[24] = {0};

    memcpy(b, k->peer, 16);
    be16_put(b + 16, k->local);
    be16_put(b + 18, k->lport);
    be16_put(b + 20, k->pport);
    return (uint32_t)hash_sip13(&l->key, b, sizeof b);
}

static uint32_t port_tag(const struct udp_layer *l, uint16_t port)
{
    uint8_t b[2];

    be16_put(b, port);
    return (uint32_t)hash_sip13(&l->key, b, sizeof b);
}

static struct udp_tuple tuple_of(const struct udp_sock *u)
{
    return (struct udp_tuple){u->peer, u->local, u->lport, u->pport};
}

/* ---- finding ---- */

static bool sock_is(const struct udp_sock *u, const struct udp_tuple *k, bool v4)
{
    return u->pport == k->pport && u->lport == k->lport && u->local == k->local &&
           memcmp(u->peer, k->peer, 16) == 0 && !(v4 && u->v6_only);
}

/* The nth of those that share, and how many there are: n UINT32_MAX counts only. */
static struct udp_sock *nth_sharing(const struct udp_layer *l, const struct udp_tuple *k, bool v4,
                                    uint32_t n, uint32_t *count)
{
    struct hash_probe p = hash_probe(&l->demux, tuple_tag(l, k));
    uint32_t ref;

    *count = 0;
    while ((ref = hash_next(&p)) != HASH_NONE) {
        struct udp_sock *u = udp_at(l, ref);

        if (sock_is(u, k, v4) && u->reuse_port && (*count)++ == n)
            return u;
    }
    return NULL;
}

/* of: the datagram's own tuple. */
static struct udp_sock *udp_find_at(const struct udp_layer *l, const struct udp_tuple *k,
                                    const struct udp_tuple *of)
{
    bool v4 = ip_is4(of->peer);
    struct hash_probe p = hash_probe(&l->demux, tuple_tag(l, k));
    struct udp_sock *best = NULL;
    uint32_t ref, n;

    while ((ref = hash_next(&p)) != HASH_NONE) {
        struct udp_sock *u = udp_at(l, ref);

        if (sock_is(u, k, v4) && (!best || (int32_t)(u->born - best->born) > 0))
            best = u;
    }
    if (!best || !best->reuse_port)
        return best;
    (void)nth_sharing(l, k, v4, UINT32_MAX, &n);
    return n > 1 ? nth_sharing(l, k, v4, tuple_tag(l, of) % n, &n) : best;
}

struct udp_sock *udp_demux_connected(const struct udp_layer *l, const struct udp_tuple *k)
{
    return k->pport ? udp_find_at(l, k, k) : NULL;
}

struct udp_sock *udp_demux(const struct udp_layer *l, const struct udp_tuple *k)
{
    uint16_t tries[3] = {k->local, ip_is4(k->peer) ? UDP_ANY4 : UDP_ANY, UDP_ANY};
    struct udp_sock *u = udp_demux_connected(l, k);

    for (int i = 0; !u && i < 3; i++) {
        struct udp_tuple at = {no_one, tries[i], k->lport, 0};

        u = udp_find_at(l, &at, k);
    }
    return u;
}

/* ---- having a port ---- */

static int join(struct udp_layer *l, struct udp_sock *u)
{
    struct udp_tuple k = tuple_of(u);
    int err;

    u->tag = tuple_tag(l, &k);
    err = hash_add(&l->demux, u->tag, u->slot);
    if (err)
        return err;
    err = hash_add(&l->by_port, port_tag(l, u->lport), u->slot);
    if (err)
        hash_del(&l->demux, u->tag, u->slot);
    return err;
}

/* Its addresses have changed, its port has not.  The index has room: it had it before. */
static void move(struct udp_layer *l, struct udp_sock *u)
{
    struct udp_tuple k = tuple_of(u);

    hash_del(&l->demux, u->tag, u->slot);
    u->tag = tuple_tag(l, &k);
    (void)hash_add(&l->demux, u->tag, u->slot);
}

void udp_unbind(struct udp_layer *l, struct udp_sock *u)
{
    if (!u->lport)
        return;
    hash_del(&l->demux, u->tag, u->slot);
    hash_del(&l->by_port, port_tag(l, u->lport), u->slot);
    u->lport = 0;
}

enum { FAMILY_4 = 1, FAMILY_6 = 2 };
static int families(const struct udp_layer *l, uint16_t local, bool v6_only)
{
    if (local == UDP_ANY)
        return v6_only ? FAMILY_6 : FAMILY_4 | FAMILY_6;
    return local == UDP_ANY4 || ip_is4(ip_local(l->ip, local)) ? FAMILY_4 : FAMILY_6;
}

/* Whether a datagram could be for both. */
static bool overlap(const struct udp_layer *l, const struct udp_sock *u, uint16_t local,
                    const struct udp_sock *v)
{
    if (!(families(l, local, u->v6_only) & families(l, v->local, v->v6_only)))
        return false;
    return local >= UDP_ANY4 || v->local >= UDP_ANY4 || local == v->local;
}

/* share: sockets that both want it may have the same port. */
static bool is_taken(const struct udp_layer *l, const struct udp_sock *u, uint16_t local,
                     uint16_t port, bool share)
{
    struct hash_probe p = hash_probe(&l->by_port, port_tag(l, port));
    uint32_t ref;

    while ((ref = hash_next(&p)) != HASH_NONE) {
        const struct udp_sock *v = udp_at(l, ref);
        bool shared =
            share && ((u->reuse_addr && v->reuse_addr) || (u->reuse_port && v->reuse_port));

        if (v != u && v->lport == port && overlap(l, u, local, v) && !shared)
            return true;
    }
    return false;
}

/* RFC 6056 section 3.3.2: any port of the range first, then the next; 0: all are taken. */
static uint16_t ephemeral(struct udp_layer *l, const struct udp_sock *u, uint16_t local)
{
    uint32_t n = (uint32_t)(l->port_hi - l->port_lo) + 1, at;

    env_random(l->env, &at, sizeof at);
    at %= n;
    for (uint32_t i = 0; i < n; i++) {
        uint16_t port = (uint16_t)(l->port_lo + (at + i) % n);

        if (!is_taken(l, u, local, port, false))
            return port;
    }
    return 0;
}

static int take_port(struct udp_layer *l, struct udp_sock *u, uint16_t local, uint16_t port)
{
    int err;

    if (port ? is_taken(l, u, local, port, true) : !(port = ephemeral(l, u, local)))
        return ESTAB_E_INUSE;
    u->local = u->bound_to = local;
    u->lport = port;
    u->born = ++l->nborn;
    err = join(l, u);
    if (err) {
        u->local = u->bound_to = UDP_ANY;
        u->lport = 0;
    }
    return err;
}

/* [RFC1122-4.1.3.5-2] */
int udp_bind(struct udp_layer *l, struct udp_sock *u, const struct estab_addr *a)
{
    int local, err;

    if (u->lport)
        return ESTAB_E_INVAL;
    if (ip_is_any(a->ip))
        local = ip_is4(a->ip) ? (int)UDP_ANY4 : UDP_ANY;
    else
        local = ip_local_find(l->ip, a->ip);
    if (local < 0 || (u->v6_only && ip_is4(a->ip)))
        return ESTAB_E_ADDRNOTAVAIL;
    err = take_port(l, u, (uint16_t)local, a->port);
    u->port_given = !err;
    return err;
}

int udp_bind_any(struct udp_layer *l, struct udp_sock *u)
{
    return u->lport ? 0 : take_port(l, u, UDP_ANY, 0);
}

bool udp_may_reach(const struct udp_sock *u, const uint8_t dst[16])
{
    return ip_is4(dst) ? !u->v6_only : u->bound_to != UDP_ANY4;
}

static void disconnect(struct udp_layer *l, struct udp_sock *u)
{
    if (!u->pport)
        return;
    memset(u->peer, 0, sizeof u->peer);
    u->pport = 0;
    u->local = u->bound_to;
    if (u->port_given)
        move(l, u);
    else
        udp_unbind(l, u);
}

int udp_connect(struct udp_layer *l, struct udp_sock *u, const struct estab_addr *peer)
{
    const uint8_t *src = u->bound_to < UDP_ANY4 ? ip_local(l->ip, u->bound_to) : NULL;
    struct ip_path path;
    int err;

    if (peer->port == 0) {
        disconnect(l, u);
        return 0;
    }
    if (ip_is_any(peer->ip))
        return ESTAB_E_INVAL;
    if (!udp_may_reach(u, peer->ip))
        return ESTAB_E_ADDRNOTAVAIL;
    err = ip_path_find(l->ip, peer->ip, src, peer->scope ? peer->scope - 1 : -1, &path);
    if (!err)
        err = udp_bind_any(l, u);
    if (err)
        return err;
    memcpy(u->peer, peer->ip, 16);
    u->pport = peer->port;
    u->path = path;
    u->local = path.local;
    move(l, u);
    return 0;
}

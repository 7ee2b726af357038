/* SPDX-License-Identifier: BSD-2-Clause */
/* hash.c - SipHash-1-3 and the index from hash to reference.
 *
 * Linear probing with entries kept in the order of their home positions ("Robin Hood"): an entry
 * that would end up nearer to its home than the one in its way is moved on.  So a search ends at
 * the first entry that is nearer to its home than the searched one would be, and a table may be
 * seven eighths full.
 *
 * Growth is spread over inserts, in two parts.  At 7/8 a table of twice the size is allocated, and
 * each insert clears a bit of it; it is ready before the old one has reached 15/16.  Then inserts
 * go to the new table, and each takes a few positions' entries along from the old one, from below.
 *
 * The old table's emptied positions are treated as if they did not exist: what remains, from
 * `moved` up, is a circle of its own, in which an entry whose home is gone has its home at `moved`.
 * The order of homes, and with it every argument about probing and deleting, holds in the circle as
 * it did in the whole. */
#include "base/hash.h"

#include <assert.h>
#include <string.h>

#define HASH_MIN   16u
#define CLEAR_STEP 32u /* positions cleared per insert */
#define MOVE_STEP  16u /* positions moved per insert */

static inline uint64_t rotl64(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static inline uint64_t le64_at(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline struct sip sip_round(struct sip s)
{
    s.v0 += s.v1;
    s.v2 += s.v3;
    s.v1 = rotl64(s.v1, 13) ^ s.v0;
    s.v3 = rotl64(s.v3, 16) ^ s.v2;
    s.v0 = rotl64(s.v0, 32);
    s.v2 += s.v1;
    s.v0 += s.v3;
    s.v1 = rotl64(s.v1, 17) ^ s.v2;
    s.v3 = rotl64(s.v3, 21) ^ s.v0;
    s.v2 = rotl64(s.v2, 32);
    return s;
}

struct hash_key hash_key_of(const uint8_t octets[16])
{
    return (struct hash_key){le64_at(octets), le64_at(octets + 8)};
}

/* c rounds for 8 octets. */
static inline struct sip sip_take(struct sip s, uint64_t m, unsigned c)
{
    s.v3 ^= m;
    for (unsigned i = 0; i < c; i++)
        s = sip_round(s);
    s.v0 ^= m;
    return s;
}

/* ... and d at the end. */
static inline uint64_t siphash(const struct hash_key *key, const void *data, size_t len, unsigned c,
                               unsigned d)
{
    const uint8_t *p = (const uint8_t *)data;
    struct sip s = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                    key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
    uint64_t m = (uint64_t)len << 56;
    unsigned shift, i;

    for (; len >= 8; len -= 8, p += 8)
        s = sip_take(s, le64_at(p), c);
    for (shift = 0; len; len--, shift += 8)
        m |= (uint64_t)*p++ << shift;
    s = sip_take(s, m, c);
    s.v2 ^= 0xff;
    for (i = 0; i < d; i++)
        s = sip_round(s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Of a length that is known beforehand the rounds stand in a row. */
uint64_t hash_sip13(const struct hash_key *key, const void *data, size_t len)
{
    if (len == 24)
        return siphash(key, data, 24, 1, 3);
    if (len == 40)
        return siphash(key, data, 40, 1, 3);
    return siphash(key, data, len, 1, 3);
}

static uint64_t spread(uint64_t x)
{
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static uint64_t hash_end(const uint8_t a[16], uint16_t port)
{
    uint64_t half[2];

    memcpy(half, a, sizeof half);
    return spread(half[0] ^ spread(half[1]) ^ (uint64_t)port << 24);
}

uint32_t hash_flow(const uint8_t a[16], uint16_t a_port, const uint8_t b[16], uint16_t b_port)
{
    return (uint32_t)(spread(hash_end(a, a_port) + hash_end(b, b_port)) >> 32);
}

uint64_t hash_sip24(const struct hash_key *key, const void *data, size_t len)
{
    return siphash(key, data, len, 2, 4);
}

/* A table, or what is left of one: the positions from `low` to `mask`. */
struct circle {
    struct hash_entry *e;
    uint32_t low, mask;
};

static inline struct circle circle_tab(const struct hash *h)
{
    return (struct circle){h->tab, 0, h->mask};
}

static inline struct circle circle_old(const struct hash *h)
{
    return (struct circle){h->old, h->moved, h->old_mask};
}

static inline uint32_t home_of(const struct circle *c, uint32_t tag)
{
    uint32_t home = tag & c->mask;

    return home < c->low ? c->low : home;
}

static inline uint32_t pos_after(const struct circle *c, uint32_t pos)
{
    return pos == c->mask ? c->low : pos + 1;
}

/* How far a position is from a home, going round. */
static inline uint32_t dist_to(const struct circle *c, uint32_t home, uint32_t pos)
{
    return pos >= home ? pos - home : pos - c->low + (c->mask - home) + 1;
}

static inline uint32_t dist_at(const struct circle *c, uint32_t pos)
{
    return dist_to(c, home_of(c, c->e[pos].tag), pos);
}

/* The next reference with this tag at distance *dist of its home or further; leaves *dist there. */
static inline uint32_t circle_next(const struct circle *c, uint32_t tag, uint32_t *dist)
{
    uint32_t home = home_of(c, tag);
    uint32_t pos = c->mask - home >= *dist ? home + *dist : c->low + (*dist - (c->mask - home) - 1);

    for (;; ++*dist, pos = pos_after(c, pos)) {
        if (c->e[pos].ref == HASH_NONE)
            return HASH_NONE;
        if (dist_at(c, pos) < *dist) /* also when the circle, full, has been gone round */
            return HASH_NONE;
        if (c->e[pos].tag == tag)
            return c->e[pos].ref;
    }
}

/* The position of an entry, or HASH_NONE. */
static uint32_t circle_find(const struct circle *c, uint32_t tag, uint32_t ref)
{
    uint32_t pos = home_of(c, tag), dist;

    for (dist = 0; c->e[pos].ref != HASH_NONE; dist++, pos = pos_after(c, pos)) {
        if (c->e[pos].tag == tag && c->e[pos].ref == ref)
            return pos;
        if (dist_at(c, pos) < dist)
            break;
    }
    return HASH_NONE;
}

/* There is an empty position. */
static void circle_put(const struct circle *c, struct hash_entry entry)
{
    uint32_t pos = home_of(c, entry.tag), dist = 0, there;
    struct hash_entry displaced;

    for (; c->e[pos].ref != HASH_NONE; dist++, pos = pos_after(c, pos)) {
        there = dist_at(c, pos);
        if (there < dist) {
            displaced = c->e[pos];
            c->e[pos] = entry;
            entry = displaced;
            dist = there;
        }
    }
    c->e[pos] = entry;
}

/* Those behind it move up, until one that is at home. */
static void circle_del(const struct circle *c, uint32_t pos)
{
    uint32_t next = pos_after(c, pos);

    while (c->e[next].ref != HASH_NONE && dist_at(c, next) > 0) {
        c->e[pos] = c->e[next];
        pos = next;
        next = pos_after(c, pos);
    }
    c->e[pos].ref = HASH_NONE;
}

static void table_free(struct hash *h, struct hash_entry *e, uint32_t mask)
{
    env_free(h->env, e, ((size_t)mask + 1) * sizeof(e[0]), 64);
}

void hash_init(struct hash *h, struct env *env)
{
    *h = (struct hash){.env = env};
}

void hash_fini(struct hash *h)
{
    table_free(h, h->tab, h->mask);
    table_free(h, h->old, h->old_mask);
    table_free(h, h->next, h->next_mask);
    hash_init(h, h->env);
}

/* The larger table is ready: it takes over. */
static void growth_begin_move(struct hash *h)
{
    h->old = h->tab;
    h->old_mask = h->mask;
    h->old_used = h->used;
    h->moved = 0;
    h->tab = h->next;
    h->mask = h->next_mask;
    h->used = 0;
    h->next = NULL;
}

static void growth_clear_some(struct hash *h)
{
    uint32_t left = h->next_mask - h->cleared + 1;
    uint32_t n = left < CLEAR_STEP ? left : CLEAR_STEP;

    memset(h->next + h->cleared, 0xff, n * sizeof(h->next[0])); /* HASH_NONE is all ones */
    h->cleared += n;
    if (n == left)
        growth_begin_move(h);
}

static void growth_move_some(struct hash *h)
{
    const struct circle tab = circle_tab(h);
    uint32_t n;

    assert(tab.e);
    for (n = 0; n < MOVE_STEP && h->old_used; n++, h->moved++) {
        if (h->old[h->moved].ref == HASH_NONE)
            continue;
        circle_put(&tab, h->old[h->moved]);
        h->used++;
        h->old_used--;
    }
    if (!h->old_used) {
        table_free(h, h->old, h->old_mask);
        h->old = NULL;
    }
}

/* Makes room for one more entry, if there is memory for it. */
static bool hash_reserve(struct hash *h)
{
    uint64_t size = h->tab ? (uint64_t)h->mask + 1 : 0;
    uint64_t next_size = size ? 2 * size : HASH_MIN;

    if (h->old)
        growth_move_some(h);
    if (h->used < size - size / 8)
        return true;
    if (!h->next && next_size <= 1u << 31 && next_size <= SIZE_MAX / sizeof(h->next[0])) {
        h->next = env_alloc(h->env, (size_t)next_size * sizeof(h->next[0]), 64);
        h->next_mask = (uint32_t)next_size - 1;
        h->cleared = 0;
    }
    if (!h->next)
        return h->used < size - size / 16;
    do { /* more than once only where memory was refused for long */
        growth_clear_some(h);
    } while (h->next && h->used >= size - size / 16);
    return true;
}

int hash_add(struct hash *h, uint32_t tag, uint32_t ref)
{
    struct circle c;

    assert(ref != HASH_NONE);
    if (!hash_reserve(h))
        return ESTAB_E_NOMEM;
    c = circle_tab(h);
    assert(c.e);
    circle_put(&c, (struct hash_entry){tag, ref});
    h->used++;
    return 0;
}

void hash_del(struct hash *h, uint32_t tag, uint32_t ref)
{
    struct circle c = circle_tab(h);
    uint32_t pos = h->tab ? circle_find(&c, tag, ref) : HASH_NONE;

    if (pos != HASH_NONE) {
        h->used--;
        circle_del(&c, pos);
        return;
    }
    assert(h->old);
    c = circle_old(h);
    pos = circle_find(&c, tag, ref);
    assert(pos != HASH_NONE);
    circle_del(&c, pos);
    if (!--h->old_used) {
        table_free(h, h->old, h->old_mask);
        h->old = NULL;
    }
}

void hash_set(struct hash *h, uint32_t tag, uint32_t ref, uint32_t to)
{
    struct circle c = circle_tab(h);
    uint32_t pos = h->tab ? circle_find(&c, tag, ref) : HASH_NONE;

    assert(to != HASH_NONE);
    if (pos == HASH_NONE) {
        assert(h->old);
        c = circle_old(h);
        pos = circle_find(&c, tag, ref);
        assert(pos != HASH_NONE);
    }
    c.e[pos].ref = to;
}

struct hash_probe hash_probe(const struct hash *h, uint32_t tag)
{
    (void)h;
    return (struct hash_probe){tag, 0, false};
}

static RARE uint32_t next_in_old(const struct hash *h, struct hash_probe *p)
{
    struct circle c = circle_old(h);
    uint32_t ref;

    if (!p->in_old)
        p->dist = 0;
    p->in_old = true;
    ref = circle_next(&c, p->tag, &p->dist);
    p->dist++;
    return ref;
}

uint32_t hash_next(const struct hash *h, struct hash_probe *p)
{
    struct circle c = circle_tab(h);
    uint32_t ref = HASH_NONE;

    if (c.e && !p->in_old) {
        ref = circle_next(&c, p->tag, &p->dist);
        p->dist++;
    }
    return ref == HASH_NONE && h->old ? next_in_old(h, p) : ref;
}

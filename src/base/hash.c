/* SPDX-License-Identifier: BSD-2-Clause */
/* hash.c - SipHash-1-3 and the index from hash to reference.
 *
 * The index is a row of parts; the low bits of a tag say in which part it is.  Parts are split one
 * after the other, from below, as entries come ("linear hashing"): a part holds some 2,000 entries
 * to twice as many, and an insert never has to move more than that.
 *
 * A part is its entries in the order of their tags, with gaps.  The home of a tag is its share of
 * the part's positions; an entry lies at its home or, if others are in its way, as soon after it as
 * the order lets it, so that between its home and itself nothing is empty.  What is empty has the
 * largest tag: a search walks from the home to the first tag that is not smaller, STRIDE of them at
 * a time, because how far it is no processor can foretell (4 % of a short connection; that STRIDE
 * is 8 and not 4, and that the part is found without a branch, another 2 %).  Positions
 * beyond the homes take what the last homes push out; the last STRIDE are never used.
 *
 * Because tags stay in order whatever the number of homes, a part is made larger by one pass over
 * it.  It grows by an eighth: the index, all parts together, is about equally full at any size. */
#include "base/hash.h"
#include "base/bytes.h"

#include <assert.h>
#include <string.h>

#define HOMES_MIN 8u
#define SPARE     8u    /* positions beyond the homes that are still free when a part is made */
#define STRIDE    8u    /* what is compared at once */
#define PART_MEAN 2048u /* entries a part, before one more is split */

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
    if (len == 16)
        return siphash(key, data, 16, 1, 3);
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

static inline uint32_t part_of(const struct hash *h, uint32_t tag)
{
    uint32_t i = tag & h->mask, beyond = 0u - (uint32_t)(i >= h->nparts);

    return i & ~(beyond & (h->mask ^ h->mask >> 1));
}

static inline uint32_t home_of(uint32_t homes, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * homes >> 32);
}

static inline bool is_empty(const struct hash_entry *e)
{
    return e->ref == HASH_NONE;
}

/* Where the first entry with this tag is, if there is one. */
static inline struct hash_entry *part_find(const struct hash_part *p, uint32_t tag)
{
    struct hash_entry *e = p->e + home_of(p->homes, tag);

    for (;;) {
        uint32_t smaller = 0;

        for (uint32_t i = 0; i < STRIDE; i++)
            smaller += e[i].tag < tag;
        e += smaller;
        if (LIKELY(smaller < STRIDE))
            return e;
    }
}

static inline struct hash_entry *first_empty(struct hash_entry *e)
{
    for (;; e += STRIDE) {
        uint32_t there = 0;

        for (uint32_t i = 0; i < STRIDE; i++)
            there |= (uint32_t)is_empty(&e[i]) << i;
        if (there != 0)
            return e + lowest_bit(there);
    }
}

static struct hash_entry *part_entry(const struct hash_part *p, uint32_t tag, uint32_t ref)
{
    struct hash_entry *e = part_find(p, tag);

    while (e->tag == tag && e->ref != ref && !is_empty(e))
        e++;
    assert(e->tag == tag && e->ref == ref);
    return e;
}

static void part_free(struct hash *h, struct hash_part *p)
{
    env_free(h->env, p->e, p->room * sizeof p->e[0], 64);
}

/* Whether an entry is there and its tag has these bits under the mask. */
static inline bool is_of(const struct hash_entry *e, uint32_t mask, uint32_t bits)
{
    return !is_empty(e) && (e->tag & mask) == bits;
}

/* How many of `from` there are of these bits, and what room they need in as many homes as `to` has.
 */
static void part_measure(struct hash_part *to, const struct hash_part *from, uint32_t mask,
                         uint32_t bits)
{
    uint32_t end = 0;

    to->used = 0;
    for (uint32_t i = 0; i < from->room; i++) {
        const struct hash_entry *e = &from->e[i];
        uint32_t home = home_of(to->homes, e->tag);

        if (!is_of(e, mask, bits))
            continue;
        end = (end < home ? home : end) + 1;
        to->used++;
    }
    to->room = (end > to->homes ? end : to->homes) + SPARE + STRIDE;
}

/* A part with these entries of another, in the room that was found for them; false: no memory. */
static bool part_make(struct hash *h, struct hash_part *to, const struct hash_part *from,
                      uint32_t mask, uint32_t bits)
{
    const struct hash_entry none = {UINT32_MAX, HASH_NONE};
    struct hash_entry *at = env_alloc(h->env, to->room * sizeof to->e[0], 64);

    to->e = at;
    if (!at)
        return false;
    for (uint32_t i = 0; i < from->room; i++) {
        const struct hash_entry *e = &from->e[i];
        const struct hash_entry *home = to->e + home_of(to->homes, e->tag);

        if (!is_of(e, mask, bits))
            continue;
        while (at < home)
            *at++ = none;
        *at++ = *e;
    }
    while (at < to->e + to->room)
        *at++ = none;
    return true;
}

/* Half of a part, as full as the whole is unless it got more than its share. */
static bool part_half(struct hash *h, struct hash_part *to, const struct hash_part *from,
                      uint32_t bits)
{
    uint32_t least;

    *to = (struct hash_part){.homes = from->homes / 2};
    part_measure(to, from, h->mask, bits);
    least = to->used + to->used / 6 + HOMES_MIN;
    if (to->homes < least) {
        to->homes = least;
        part_measure(to, from, h->mask, bits);
    }
    return part_make(h, to, from, h->mask, bits);
}

/* Room for one more part. */
static bool directory_grow(struct hash *h)
{
    uint32_t cap = h->cap ? 2 * h->cap : 4;
    struct hash_part *part;

    if (h->nparts < h->cap)
        return true;
    part = env_alloc(h->env, cap * sizeof part[0], sizeof(void *));
    if (!part)
        return false;
    memcpy(part, h->part, h->nparts * sizeof part[0]);
    env_free(h->env, h->cap ? h->part : NULL, h->cap * sizeof part[0], sizeof(void *));
    h->part = part;
    h->cap = cap;
    return true;
}

static bool first_part(struct hash *h)
{
    const struct hash_part none = {0};

    h->one = (struct hash_part){.homes = HOMES_MIN, .room = HOMES_MIN + SPARE + STRIDE};
    if (!part_make(h, &h->one, &none, 0, 0))
        return false;
    h->part = &h->one;
    h->nparts = h->mask = 1;
    return true;
}

/* The next part in turn becomes two; where memory is refused it stays as it is. */
static void split_one(struct hash *h)
{
    uint32_t bit = (h->mask + 1) / 2, i = h->nparts - bit;
    struct hash_part low, high, *from;

    if (!directory_grow(h))
        return;
    from = &h->part[i];
    if (!part_half(h, &low, from, i))
        return;
    if (!part_half(h, &high, from, i + bit)) {
        part_free(h, &low);
        return;
    }
    part_free(h, from);
    *from = low;
    h->part[h->nparts++] = high;
    if (h->nparts > h->mask)
        h->mask = 2 * h->mask + 1;
}

/* With more homes fewer entries, if any, lie beyond them: each home moves by at most as many
 * positions as the end does. */
static void part_grow(struct hash *h, struct hash_part *p)
{
    uint32_t more = p->homes / 8 < HOMES_MIN ? HOMES_MIN : p->homes / 8, end = p->room;
    struct hash_part grown = {.homes = p->homes, .used = p->used};

    while (end > p->homes && is_empty(&p->e[end - 1]))
        end--;
    if (p->used >= p->homes - p->homes / 8)
        grown.homes += more;
    grown.room = grown.homes + (end - p->homes) + SPARE + STRIDE;
    if (!part_make(h, &grown, p, 0, 0))
        return;
    part_free(h, p);
    *p = grown;
}

void hash_init(struct hash *h, struct env *env)
{
    *h = (struct hash){.env = env};
}

void hash_fini(struct hash *h)
{
    for (uint32_t i = 0; i < h->nparts; i++)
        part_free(h, &h->part[i]);
    env_free(h->env, h->cap ? h->part : NULL, h->cap * sizeof h->part[0], sizeof(void *));
    hash_init(h, h->env);
}

/* Where an entry of this tag goes, behind others of it; *gap: the first empty position from there
 * on. */
static struct hash_entry *place_for(const struct hash_part *p, uint32_t tag,
                                    struct hash_entry **gap)
{
    struct hash_entry *e = part_find(p, tag);

    while (e->tag == tag && !is_empty(e))
        e++;
    *gap = first_empty(e);
    return e;
}

int hash_add(struct hash *h, uint32_t tag, uint32_t ref)
{
    struct hash_entry *e, *gap;
    struct hash_part *p;

    assert(ref != HASH_NONE);
    if (h->nparts == 0 && !first_part(h))
        return ESTAB_E_NOMEM;
    if (h->used >= h->nparts * PART_MEAN)
        split_one(h);
    p = &h->part[part_of(h, tag)];
    if (p->used >= p->homes - p->homes / 8)
        part_grow(h, p);
    if (p->used >= p->homes - p->homes / 16) /* or searches would take long */
        return ESTAB_E_NOMEM;
    e = place_for(p, tag, &gap);
    if (gap == p->e + p->room - STRIDE) {
        part_grow(h, p);
        e = place_for(p, tag, &gap);
        if (gap == p->e + p->room - STRIDE)
            return ESTAB_E_NOMEM;
    }
    memmove(e + 1, e, (size_t)(gap - e) * sizeof *e);
    *e = (struct hash_entry){tag, ref};
    p->used++;
    h->used++;
    return 0;
}

/* Those behind it move up, until one that is at home. */
void hash_del(struct hash *h, uint32_t tag, uint32_t ref)
{
    struct hash_part *p = &h->part[part_of(h, tag)];
    struct hash_entry *e = part_entry(p, tag, ref), *end = e + 1;

    while (!is_empty(end) && home_of(p->homes, end->tag) < end - p->e)
        end++;
    memmove(e, e + 1, (size_t)(end - 1 - e) * sizeof *e);
    end[-1] = (struct hash_entry){UINT32_MAX, HASH_NONE};
    p->used--;
    h->used--;
}

void hash_set(struct hash *h, uint32_t tag, uint32_t ref, uint32_t to)
{
    assert(to != HASH_NONE);
    part_entry(&h->part[part_of(h, tag)], tag, ref)->ref = to;
}

void hash_warm(const struct hash *h, uint32_t tag)
{
    const struct hash_part *p;

    if (h->nparts == 0)
        return;
    p = &h->part[part_of(h, tag)];
    warm(p->e + home_of(p->homes, tag), 16 * sizeof p->e[0]);
}

struct hash_probe hash_probe(const struct hash *h, uint32_t tag)
{
    static const struct hash_entry none = {UINT32_MAX, HASH_NONE};

    return (struct hash_probe){h->nparts ? part_find(&h->part[part_of(h, tag)], tag) : &none, tag};
}

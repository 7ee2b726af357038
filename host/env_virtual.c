/* SPDX-License-Identifier: BSD-2-Clause */
/* env_virtual.c - the environment of a stack in a simulation: a clock that the caller moves,
 * randomness from a seed (xoshiro256** by Blackman and Vigna, seeded by splitmix64), memory that is
 * counted and can be made to run out. */
#include <estab/host.h>

#include <assert.h>
#include <stdlib.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

uint64_t estab_virtual_random(struct estab_virtual *v)
{
    uint64_t *s = v->rng, result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static estab_time virtual_now(void *ctx)
{
    return ((struct estab_virtual *)ctx)->now;
}

/* Octet by octet from the low end, so that a seed means the same on every machine. */
static void virtual_octets(void *ctx, void *buf, size_t len)
{
    uint8_t *to = buf;
    uint64_t x = 0;

    for (size_t i = 0; i < len; i++, x >>= 8) {
        if (i % 8 == 0)
            x = estab_virtual_random(ctx);
        to[i] = (uint8_t)x;
    }
}

static void *virtual_alloc(void *ctx, size_t size, size_t align)
{
    struct estab_virtual *v = ctx;
    void *p;

    if (++v->allocs == v->fail_at)
        return NULL;
    if (align <= _Alignof(max_align_t))
        p = malloc(size);
    else
        p = size > SIZE_MAX - align ? NULL
                                    : aligned_alloc(align, (size + align - 1) / align * align);
    if (p) {
        v->live += size;
        if (v->live > v->peak)
            v->peak = v->live;
    }
    return p;
}

static void virtual_free(void *ctx, void *ptr, size_t size, size_t align)
{
    struct estab_virtual *v = ctx;

    (void)align;
    if (!ptr)
        return;
    assert(v->live >= size);
    v->live -= size;
    free(ptr);
}

void estab_virtual_env(struct estab_env *env, struct estab_virtual *v, uint64_t seed)
{
    *v = (struct estab_virtual){0};
    for (size_t i = 0; i < 4; i++)
        v->rng[i] = splitmix64(&seed);
    *env = (struct estab_env){
        .ctx = v,
        .now = virtual_now,
        .random = virtual_octets,
        .alloc = virtual_alloc,
        .free = virtual_free,
    };
}

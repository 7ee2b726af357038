/* SPDX-License-Identifier: BSD-2-Clause */
/* test_env.h - an environment for tests: time that is set, seeded randomness, memory that is
 * counted and can be made to run out. */
#ifndef TEST_ENV_H
#define TEST_ENV_H

#include <estab/estab.h>
#include <stdlib.h>
#include <string.h>

struct test_env {
    estab_time now;
    uint64_t rng;     /* seed; any value */
    size_t live;      /* octets allocated and not freed */
    uint64_t allocs;  /* allocations asked for so far, refused ones included */
    uint64_t fail_at; /* the allocation of this number, from 1, and all later ones fail; 0: none */
    void (*on_trace)(void *ctx, const struct estab_trace *t);
    void *trace_ctx;
};

/* Every call gives the next number of the sequence that the seed starts (splitmix64). */
static inline uint64_t test_rand(struct test_env *e)
{
    uint64_t z = e->rng += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
/* 0 to n - 1 */
static inline uint32_t test_rand_below(struct test_env *e, uint32_t n)
{
    return (uint32_t)((test_rand(e) >> 32) * n >> 32);
}

static inline estab_time test_env_now(void *ctx)
{
    return ((struct test_env *)ctx)->now;
}
static inline void test_env_random(void *ctx, void *buf, size_t len)
{
    uint8_t *p = (uint8_t *)buf;

    while (len--)
        *p++ = (uint8_t)(test_rand((struct test_env *)ctx) >> 56);
}
/* What is handed out is filled with a pattern, so that code which counts on zeros is found out. */
static inline void *test_env_alloc(void *ctx, size_t size, size_t align)
{
    struct test_env *e = (struct test_env *)ctx;
    void *p = NULL;

    e->allocs++;
    if (e->fail_at && e->allocs >= e->fail_at)
        return NULL;
    if (posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, size))
        return NULL;
    memset(p, 0xa5, size);
    e->live += size;
    return p;
}
static inline void test_env_free(void *ctx, void *ptr, size_t size, size_t align)
{
    (void)align;
    ((struct test_env *)ctx)->live -= size;
    free(ptr);
}
static inline void test_env_trace(void *ctx, const struct estab_trace *t)
{
    struct test_env *e = (struct test_env *)ctx;

    if (e->on_trace)
        e->on_trace(e->trace_ctx, t);
}
static inline struct estab_env test_env_make(struct test_env *e)
{
    return (struct estab_env){
        e, test_env_now, test_env_random, test_env_alloc, test_env_free, test_env_trace};
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c - what is found by its number. */
#include "machine.h"

#include <stdalign.h>
#include <string.h>

static struct entry **bucket_of(const struct table *t, uint64_t number)
{
    return &t->buckets[number & (t->nbuckets - 1)];
}

struct entry *table_find(const struct table *t, uint64_t number)
{
    struct entry *e = t->buckets ? *bucket_of(t, number) : NULL;

    while (e && e->number != number)
        e = e->chain;
    return e;
}

static int make_buckets(struct table *t, const struct estab_env *env, uint32_t most)
{
    uint32_t n = 8;

    while (n < most && n < BUCKETS_MAX)
        n *= 2;
    t->buckets = env->alloc(env->ctx, n * sizeof(struct entry *), alignof(struct entry *));
    if (!t->buckets)
        return ESTAB_E_NOMEM;
    memset(t->buckets, 0, n * sizeof(struct entry *));
    t->nbuckets = n;
    return 0;
}

int table_add(struct table *t, const struct estab_env *env, uint32_t most, struct entry *e)
{
    struct entry **bucket;

    if (!t->buckets && make_buckets(t, env, most))
        return ESTAB_E_NOMEM;
    bucket = bucket_of(t, e->number);
    e->chain = *bucket;
    *bucket = e;
    t->n++;
    return 0;
}

void table_del(struct table *t, struct entry *e)
{
    struct entry **at = bucket_of(t, e->number);

    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    t->n--;
}

void table_fini(struct table *t, const struct estab_env *env)
{
    if (t->buckets)
        env->free(env->ctx, t->buckets, t->nbuckets * sizeof(struct entry *),
                  alignof(struct entry *));
    *t = (struct table){0};
}

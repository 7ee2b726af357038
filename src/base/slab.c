/* SPDX-License-Identifier: BSD-2-Clause */
/* slab.c - objects of one size in numbered slots, each with a generation.
 *
 * A chunk is its objects followed by their generations, which are odd while the slot is in use and
 * even while it is free: taking a slot and putting it back add one each.  So one comparison tells
 * both a stale handle and a free slot, and walking needs to touch generations only. */
#include "base/slab.h"

#include <assert.h>
#include <string.h>

static inline uint32_t *slab_gen_at(const struct slab *s, uint32_t slot)
{
    uint32_t in_chunk = slot & ((1u << s->shift) - 1);

    return (uint32_t *)(void *)(s->chunks[slot >> s->shift] + s->gen_off) + in_chunk;
}

static size_t slab_chunk_size(const struct slab *s)
{
    return s->gen_off + (sizeof(uint32_t) << s->shift);
}

static uint32_t slab_chunk_align(const struct slab *s)
{
    return s->align > sizeof(uint32_t) ? s->align : (uint32_t)sizeof(uint32_t);
}

void slab_init(struct slab *s, struct env *env, uint32_t obj_size, uint32_t align, uint8_t shift,
               uint32_t limit)
{
    assert(align && !(align & (align - 1)));
    if (obj_size < sizeof(uint32_t))
        obj_size = sizeof(uint32_t);
    obj_size = (obj_size + align - 1) & ~(align - 1);
    assert(obj_size <= (UINT32_MAX - sizeof(uint32_t)) >> shift);
    *s = (struct slab){
        .env = env,
        .obj_size = obj_size,
        .gen_off = ((obj_size << shift) + 3) & ~3u,
        .shift = shift,
        .align = align,
        .limit = limit,
        .free_head = SLAB_NONE,
    };
}

void slab_fini(struct slab *s)
{
    uint32_t i;

    for (i = 0; i < s->nchunks; i++)
        env_free(s->env, s->chunks[i], slab_chunk_size(s), slab_chunk_align(s));
    env_free(s->env, s->chunks, s->cap * sizeof(s->chunks[0]), sizeof(s->chunks[0]));
    slab_init(s, s->env, s->obj_size, s->align, s->shift, s->limit);
}

static bool slab_grow(struct slab *s)
{
    uint32_t cap = s->cap ? 2 * s->cap : 8;
    uint8_t **table, *chunk;

    if (s->nchunks == s->cap) {
        table = env_alloc(s->env, cap * sizeof(table[0]), sizeof(table[0]));
        if (!table)
            return false;
        if (s->cap)
            memcpy(table, s->chunks, s->cap * sizeof(table[0]));
        env_free(s->env, s->chunks, s->cap * sizeof(table[0]), sizeof(table[0]));
        s->chunks = table;
        s->cap = cap;
    }
    chunk = env_alloc(s->env, slab_chunk_size(s), slab_chunk_align(s));
    if (!chunk)
        return false;
    memset(chunk + s->gen_off, 0, sizeof(uint32_t) << s->shift);
    s->chunks[s->nchunks++] = chunk;
    return true;
}

uint32_t slab_get(struct slab *s)
{
    uint32_t slot = s->free_head;

    if (s->used >= s->limit)
        return SLAB_NONE;
    if (slot != SLAB_NONE) {
        memcpy(&s->free_head, slab_at(s, slot), sizeof(s->free_head));
    } else {
        if (s->fresh >> s->shift == s->nchunks && !slab_grow(s))
            return SLAB_NONE;
        slot = s->fresh++;
    }
    ++*slab_gen_at(s, slot);
    s->used++;
    return slot;
}

void slab_put(struct slab *s, uint32_t slot)
{
    assert(slot < s->fresh && (*slab_gen_at(s, slot) & 1));
    ++*slab_gen_at(s, slot);
    memcpy(slab_at(s, slot), &s->free_head, sizeof(s->free_head));
    s->free_head = slot;
    s->used--;
}

uint32_t slab_gen(const struct slab *s, uint32_t slot)
{
    return slot < s->fresh ? *slab_gen_at(s, slot) : 0;
}

void *slab_find(const struct slab *s, uint32_t slot, uint32_t gen)
{
    return (gen & 1) && slab_gen(s, slot) == gen ? slab_at(s, slot) : NULL;
}

uint32_t slab_next(const struct slab *s, uint32_t from)
{
    for (; from < s->fresh; from++)
        if (*slab_gen_at(s, from) & 1)
            return from;
    return SLAB_NONE;
}

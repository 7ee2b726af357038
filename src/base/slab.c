/* SPDX-License-Identifier: BSD-2-Clause */
/* slab.c - objects of one size in numbered slots, each with a generation.
 *
 * A chunk is its objects followed by their generations, which are odd while the slot is in use and
 * even while it is free: taking a slot and putting it back add one each.  So one comparison tells
 * both a stale handle and a free slot, and walking needs to touch generations only. */
#include "base/slab.h"

#include <assert.h>
#include <string.h>

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
        .open = SLAB_NONE,
        .gone = SLAB_NONE,
    };
}

void slab_fini(struct slab *s)
{
    uint32_t i;

    for (i = 0; i < s->nchunks; i++)
        env_free(s->env, s->chunks[i].mem, slab_chunk_size(s), slab_chunk_align(s));
    env_free(s->env, s->chunks, s->cap * sizeof(s->chunks[0]), sizeof(void *));
    slab_init(s, s->env, s->obj_size, s->align, s->shift, s->limit);
}

/* ---- chunks with free slots ---- */

static APART void open_push(struct slab *s, uint32_t i)
{
    struct slab_chunk *c = &s->chunks[i];

    c->prev = SLAB_NONE;
    c->next = s->open;
    if (s->open != SLAB_NONE)
        s->chunks[s->open].prev = i;
    s->open = i;
}

static APART void open_del(struct slab *s, uint32_t i)
{
    struct slab_chunk *c = &s->chunks[i];

    if (c->prev == SLAB_NONE)
        s->open = c->next;
    else
        s->chunks[c->prev].next = c->next;
    if (c->next != SLAB_NONE)
        s->chunks[c->next].prev = c->prev;
}

/* The number of a chunk that has no memory; SLAB_NONE: no memory for one more. */
static uint32_t chunk_number(struct slab *s)
{
    uint32_t cap = s->cap ? 2 * s->cap : 8;
    struct slab_chunk *table;

    if (s->gone != SLAB_NONE)
        return s->gone;
    if (s->nchunks == s->cap) {
        table = env_alloc(s->env, cap * sizeof(table[0]), sizeof(void *));
        if (!table)
            return SLAB_NONE;
        if (s->cap)
            memcpy(table, s->chunks, s->cap * sizeof(table[0]));
        env_free(s->env, s->chunks, s->cap * sizeof(table[0]), sizeof(void *));
        s->chunks = table;
        s->cap = cap;
    }
    s->chunks[s->nchunks] = (struct slab_chunk){.next = SLAB_NONE};
    s->gone = s->nchunks++;
    return s->gone;
}

static RARE bool slab_grow(struct slab *s)
{
    uint32_t i = chunk_number(s);
    struct slab_chunk *c;

    if (i == SLAB_NONE)
        return false;
    c = &s->chunks[i];
    c->mem = env_alloc(s->env, slab_chunk_size(s), slab_chunk_align(s));
    if (!c->mem)
        return false;
    s->gone = c->next;
    c->used = c->fresh = 0;
    c->free_head = SLAB_NONE;
    for (uint32_t k = 0; k < 1u << s->shift; k++)
        *slab_gen_at(s, (i << s->shift) + k) = c->gen;
    s->empty++;
    open_push(s, i);
    return true;
}

uint32_t slab_get(struct slab *s)
{
    struct slab_chunk *c;
    uint32_t slot, i;

    if (UNLIKELY(s->used >= s->limit) || (s->open == SLAB_NONE && !slab_grow(s)))
        return SLAB_NONE;
    c = &s->chunks[s->open];
    slot = c->free_head;
    if (LIKELY(slot != SLAB_NONE)) {
        i = slab_place(s, slot);
        memcpy(&c->free_head, c->mem + (size_t)i * s->obj_size, sizeof(c->free_head));
    } else {
        i = c->fresh++;
        slot = (s->open << s->shift) + i;
    }
    ++((uint32_t *)(void *)(c->mem + s->gen_off))[i];
    s->used++;
    if (c->used++ == 0)
        s->empty--;
    if (UNLIKELY(c->used == 1u << s->shift))
        open_del(s, s->open);
    /* Of a length that the compiler knows it may think that it need not call memset(): of 608
     * octets that took 39 cycles instead of 13, four times a short connection. */
    if (s->zero)
        memset(c->mem + (size_t)i * s->obj_size, 0, s->zero);
    return slot;
}

void slab_put(struct slab *s, uint32_t slot)
{
    uint32_t i = slot >> s->shift;
    struct slab_chunk *c = &s->chunks[i];

    assert(i < s->nchunks && c->mem && (*slab_gen_at(s, slot) & 1));
    ++*slab_gen_at(s, slot);
    memcpy(slab_at(s, slot), &c->free_head, sizeof(c->free_head));
    c->free_head = slot;
    s->used--;
    if (UNLIKELY(c->used == 1u << s->shift))
        open_push(s, i);
    if (--c->used == 0)
        s->empty++;
}

/* Its slots' next generations are beyond all that it has had. */
static void chunk_free(struct slab *s, uint32_t i)
{
    struct slab_chunk *c = &s->chunks[i];
    uint32_t gen = c->gen;

    for (uint32_t k = 0; k < c->fresh; k++) {
        uint32_t had = *slab_gen_at(s, (i << s->shift) + k);

        if ((int32_t)(had - gen) > 0)
            gen = had;
    }
    open_del(s, i);
    env_free(s->env, c->mem, slab_chunk_size(s), slab_chunk_align(s));
    c->mem = NULL;
    c->gen = gen;
    c->next = s->gone;
    s->gone = i;
    s->empty--;
}

void slab_trim(struct slab *s, uint32_t keep)
{
    for (uint32_t i = s->nchunks; i-- > 0 && s->empty > keep;)
        if (s->chunks[i].mem && s->chunks[i].used == 0)
            chunk_free(s, i);
}

uint32_t slab_next(const struct slab *s, uint32_t from)
{
    for (uint32_t i = from >> s->shift; i < s->nchunks; i++) {
        const struct slab_chunk *c = &s->chunks[i];
        uint32_t end = (i << s->shift) + c->fresh;

        if (from < i << s->shift)
            from = i << s->shift;
        for (; c->used > 0 && from < end; from++)
            if (*slab_gen_at(s, from) & 1)
                return from;
    }
    return SLAB_NONE;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* slab.h - objects of one size in numbered slots, each with a generation.
 *
 * Slots live in chunks that never move, so pointers stay good until slab_trim(), which gives the
 * chunks back that have become empty; what nobody trims is there until fini.  A slot is taken from
 * the chunk that last got one back, the last one first, which keeps them warm.  A slot's generation
 * starts at 1 and changes when the slot is put back, so a stale (slot, generation) is found out,
 * also after its chunk has gone and come again; it is kept by the slab, outside the object. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/env.h"

#define SLAB_NONE UINT32_MAX

struct slab_chunk {
    uint8_t *mem;        /* NULL: none at the moment */
    uint32_t used;       /* slots in use */
    uint32_t fresh;      /* slots of this chunk from here on were never used */
    uint32_t free_head;  /* first free one before them; chained through their first four octets */
    uint32_t gen;        /* generation of those that were never used: even */
    uint32_t prev, next; /* chunks with free slots; next: also of those without memory */
};
struct slab {
    struct env *env;
    struct slab_chunk *chunks; /* grows by doubling */
    uint32_t nchunks, cap;     /* chunks in the table; room in it */
    uint32_t obj_size;         /* octets of an object, multiple of its alignment */
    uint32_t gen_off;          /* in a chunk: where the generations begin */
    uint8_t shift;             /* log2 of objects per chunk */
    uint32_t align;
    uint32_t limit; /* most slots in use */
    uint32_t used;
    uint32_t open;  /* first chunk with a free slot */
    uint32_t gone;  /* first chunk without memory */
    uint32_t empty; /* chunks with memory and no slot in use */
    uint32_t zero;  /* octets that an object begins with as zeros */
};

/* shift: log2 of the objects in a chunk.  Allocates nothing yet.  limit: most slots in use at once.
 */
void slab_init(struct slab *s, struct env *env, uint32_t obj_size, uint32_t align, uint8_t shift,
               uint32_t limit);
void slab_fini(struct slab *s);
/* From now on objects begin with so many octets of zeros. */
static inline void slab_zeroed(struct slab *s, uint32_t len)
{
    s->zero = len;
}
/* A slot with undefined contents but for those zeros, or SLAB_NONE: limit reached or no memory. */
uint32_t slab_get(struct slab *s);
static inline bool slab_has_free(const struct slab *s) /* slab_get() needs no memory */
{
    return s->open != SLAB_NONE;
}
void slab_put(struct slab *s, uint32_t slot);
/* Gives back all empty chunks but `keep`: nobody may hold on to an object that was put back. */
void slab_trim(struct slab *s, uint32_t keep);
IN_PLACE uint32_t slab_place(const struct slab *s, uint32_t slot) /* in its chunk */
{
    return slot & ((1u << s->shift) - 1);
}
IN_PLACE void *slab_at(const struct slab *s, uint32_t slot)
{
    return s->chunks[slot >> s->shift].mem + (size_t)slab_place(s, slot) * s->obj_size;
}
IN_PLACE uint32_t *slab_gen_at(const struct slab *s, uint32_t slot)
{
    return (uint32_t *)(void *)(s->chunks[slot >> s->shift].mem + s->gen_off) + slab_place(s, slot);
}
IN_PLACE uint32_t slab_gen(const struct slab *s, uint32_t slot) /* 0: it has no memory */
{
    uint32_t i = slot >> s->shift;

    return LIKELY(i < s->nchunks && s->chunks[i].mem) ? *slab_gen_at(s, slot) : 0;
}
/* The object, if the slot is in use and of this generation; else NULL.  Any values are safe. */
IN_PLACE void *slab_find(const struct slab *s, uint32_t slot, uint32_t gen)
{
    return LIKELY((gen & 1) && slab_gen(s, slot) == gen) ? slab_at(s, slot) : NULL;
}
/* The first slot in use at or after `from`, or SLAB_NONE: for walks. */
uint32_t slab_next(const struct slab *s, uint32_t from);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* slab.h - objects of one size in numbered slots, each with a generation.
 *
 * Slots live in chunks that never move, so pointers stay good until slab_put(); chunks come from
 * env a step at a time and go back only at fini.  Free slots are reused last in, first out, which
 * keeps them warm.  A slot's generation starts at 1 and changes when the slot is put back, so a
 * stale (slot, generation) is found out; the generation is kept by the slab, outside the object. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/env.h"

#define SLAB_NONE UINT32_MAX

struct slab {
    struct env *env;
    uint8_t **chunks;      /* table of chunks; grows by doubling */
    uint32_t nchunks, cap; /* chunks in the table; room in it */
    uint32_t obj_size;     /* octets of an object, multiple of its alignment */
    uint32_t gen_off;      /* in a chunk: where the generations begin */
    uint8_t shift;         /* log2 of objects per chunk */
    uint32_t align;
    uint32_t limit; /* most slots in use */
    uint32_t used;
    uint32_t
        free_head;  /* first free slot; free slots are chained through their first four octets */
    uint32_t fresh; /* slots from here on were never used */
};

/* shift: log2 of the objects in a chunk.  Allocates nothing yet.  limit: most slots in use at once.
 */
void slab_init(struct slab *s, struct env *env, uint32_t obj_size, uint32_t align, uint8_t shift,
               uint32_t limit);
void slab_fini(struct slab *s);
/* A slot with undefined contents, or SLAB_NONE: limit reached or no memory. */
uint32_t slab_get(struct slab *s);
void slab_put(struct slab *s, uint32_t slot);
static inline void *slab_at(const struct slab *s, uint32_t slot)
{
    return s->chunks[slot >> s->shift] + (size_t)(slot & ((1u << s->shift) - 1)) * s->obj_size;
}
uint32_t slab_gen(const struct slab *s, uint32_t slot);
/* The object, if the slot is in use and of this generation; else NULL.  Any values are safe. */
void *slab_find(const struct slab *s, uint32_t slot, uint32_t gen);
/* The first slot in use at or after `from`, or SLAB_NONE: for walks. */
uint32_t slab_next(const struct slab *s, uint32_t from);

#endif

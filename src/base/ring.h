/* SPDX-License-Identifier: BSD-2-Clause */
/* ring.h - a queue of octets addressed by offset from its head, that grows and shrinks.
 *
 * Small: one circular piece of 512 octets to 32 KiB, doubled as needed, the largest at once for who
 * writes 16 KiB.  Large: a table of 32 KiB chunks that come and go as the queue moves on.  Empty:
 * nothing.  So up to 64 KiB at any offset lie in at most three pieces (two chunk borders), which is
 * what a frame can carry.
 *
 * `len` octets are in the queue; beyond it octets may be stored ahead of their turn (ring_put), and
 * become part of the queue by ring_extend().  Memory comes from a pool that keeps a few pieces of
 * each size. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include "base/csum.h"
#include "base/env.h"

#define RING_MIN_SHIFT   9
#define RING_CHUNK_SHIFT 15
#define RING_CLASSES     (RING_CHUNK_SHIFT - RING_MIN_SHIFT + 1)

struct ring_pool {
    struct env *env;
    void *free[RING_CLASSES];           /* chained through their first octets */
    uint32_t nfree[RING_CLASSES], keep; /* keep: most free pieces of each size */
};
void ring_pool_init(struct ring_pool *p, struct env *env, uint32_t keep);
void ring_pool_trim(struct ring_pool *p); /* gives the free pieces back */
void ring_pool_fini(struct ring_pool *p);
/* A piece of 1 << shift octets, RING_MIN_SHIFT to RING_CHUNK_SHIFT; NULL: no memory. */
void *ring_pool_get(struct ring_pool *p, uint32_t shift);
void ring_pool_put(struct ring_pool *p, uint32_t shift, void *piece);

struct ring {
    union {
        uint8_t *one;    /* small: the piece */
        uint8_t **table; /* large: chunks, a circular table; NULL where nothing is stored */
    } u;
    uint32_t head; /* small: where offset 0 is; large: offset 0 within its chunk */
    uint32_t len;
    uint32_t first;      /* large: index in the table of the chunk that holds offset 0 */
    uint8_t shift;       /* small: log2 of the piece; 0: nothing allocated */
    uint8_t table_shift; /* large: log2 of the table's entries; 0: small */
};
/* A message lies in one run of a small queue that had been empty: what is asked of it is answered
 * without a call, which of a 64-octet request and its answer saves a tenth. */

/* [off, off + n), which is not empty, where it is one run of a small queue; else NULL. */
IN_PLACE uint8_t *ring_run(const struct ring *r, uint32_t off, uint32_t n)
{
    uint32_t size = 1u << r->shift, at = (r->head + off) & (size - 1);

    return LIKELY(r->shift && off + n <= size && n <= size - at) ? r->u.one + at : NULL;
}
/* The same, of room behind the queue's end, which is made if the queue has no memory yet. */
IN_PLACE uint8_t *ring_room(struct ring *r, struct ring_pool *p, uint32_t n)
{
    void *piece = p->free[0];

    if (UNLIKELY(r->shift || r->table_shift || !piece || n > 1u << RING_MIN_SHIFT))
        return ring_run(r, r->len, n);
    memcpy(&p->free[0], piece, sizeof piece);
    p->nfree[0]--;
    r->u.one = piece;
    r->shift = RING_MIN_SHIFT;
    r->head = 0;
    return piece;
}
static inline void ring_init(struct ring *r)
{
    r->u.one = NULL; /* one after the other: as one they are a slow `rep stos` on x86 */
    r->head = r->len = r->first = 0;
    r->shift = r->table_shift = 0;
}
void ring_give_back(struct ring *r, struct ring_pool *p);
IN_PLACE void ring_fini(struct ring *r, struct ring_pool *p)
{
    if (r->shift || r->table_shift)
        ring_give_back(r, p);
    ring_init(r);
}
/* Stores t at offset off (anywhere, also beyond len), without changing len.  0 or ESTAB_E_NOMEM,
 * and then nothing has changed.  off + t->len <= UINT32_MAX / 2. */
int ring_put(struct ring *r, struct ring_pool *p, uint32_t off, const struct pieces *t);
/* The same, and sums what it stores; sum may be NULL. */
int ring_put_sum(struct ring *r, struct ring_pool *p, uint32_t off, const struct pieces *t,
                 struct csum_run *sum);
/* Makes room for n octets at the end: putting them there cannot fail.  0 or ESTAB_E_NOMEM. */
int ring_reserve(struct ring *r, struct ring_pool *p, uint32_t n);
/* Puts and extends where room has been made; sum may be NULL. */
void ring_append(struct ring *r, const uint8_t *src, uint32_t n, struct csum_run *sum);
/* The octets [len, len + n) have all been put: they are in the queue now. */
void ring_extend(struct ring *r, uint32_t n);
/* Appends: put at len, extend. */
int ring_write(struct ring *r, struct ring_pool *p, const struct pieces *t);
/* Lends [off, off + n) of what is stored as at most 3 pieces into v; returns how many pieces.  64
 * KiB always fit; of more than that, three pieces may be only the beginning.  off + n <= len. */
uint32_t ring_peek(const struct ring *r, uint32_t off, uint32_t n, struct estab_iov v[3]);
void ring_copy_runs(const struct ring *r, uint32_t off, void *dst, uint32_t n);
static inline void ring_copy(const struct ring *r, uint32_t off, void *dst,
                             uint32_t n) /* off + n <= len */
{
    const uint8_t *from = ring_run(r, off, n);

    if (LIKELY(from != NULL))
        memcpy(dst, from, n);
    else
        ring_copy_runs(r, off, dst, n);
}
/* Drops n octets from the head.  `ahead`: whether octets stored beyond len must be kept.  Frees
 * what is no longer needed; an empty queue with nothing ahead holds no memory. */
void ring_drop_some(struct ring *r, struct ring_pool *p, uint32_t n, bool ahead);
IN_PLACE void ring_drop(struct ring *r, struct ring_pool *p, uint32_t n, bool ahead)
{
    if (UNLIKELY(n != r->len || ahead || r->shift != RING_MIN_SHIFT || p->nfree[0] >= p->keep ||
                 env_pressure(p->env) != ENV_EASY)) {
        ring_drop_some(r, p, n, ahead);
        return;
    }
    memcpy(r->u.one, &p->free[0], sizeof p->free[0]);
    p->free[0] = r->u.one;
    p->nfree[0]++;
    ring_init(r);
}
/* Takes n octets off the end (they were never wanted). */
void ring_unwrite(struct ring *r, struct ring_pool *p, uint32_t n);
size_t ring_mem(const struct ring *r); /* octets held */

#endif

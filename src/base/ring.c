/* SPDX-License-Identifier: BSD-2-Clause */
/* ring.c - a queue of octets that grows and shrinks.
 *
 * Small, offset o is at (head + o) modulo the size of the piece.  Large, it is at head + o counted
 * from the beginning of the chunk `first`:
 *
 *         first          first + 1       first + 2
 *   |.....[0 .......|.................|......len)....|
 *         ^ head
 *
 * The table is circular, and `head` stays within its chunk: as the queue moves on, `first` goes
 * round.  A chunk is there if something was stored in it and it has not been passed since.
 *
 * A small ring that becomes large keeps a full-sized piece where it is, as its first chunk: only
 * what had wrapped around to the front of the piece must be copied, to the front of the second. */
#include "base/ring.h"

#include <assert.h>

#define CHUNK       (1u << RING_CHUNK_SHIFT)
#define PIECE_ALIGN 64
#define TABLE_MIN   2 /* log2 of the entries of the smallest table */
#define BULK        16384

void *ring_pool_get(struct ring_pool *p, uint32_t shift)
{
    uint32_t c = shift - RING_MIN_SHIFT;
    void *piece = p->free[c];

    if (!piece)
        return env_alloc(p->env, (size_t)1 << shift, PIECE_ALIGN);
    memcpy(&p->free[c], piece, sizeof(p->free[c]));
    p->nfree[c]--;
    return piece;
}

void ring_pool_put(struct ring_pool *p, uint32_t shift, void *piece)
{
    uint32_t c = shift - RING_MIN_SHIFT;

    if (p->nfree[c] >= p->keep || env_pressure(p->env) != ENV_EASY) {
        env_free(p->env, piece, (size_t)1 << shift, PIECE_ALIGN);
        return;
    }
    memcpy(piece, &p->free[c], sizeof(p->free[c]));
    p->free[c] = piece;
    p->nfree[c]++;
}

void ring_pool_init(struct ring_pool *p, struct env *env, uint32_t keep)
{
    *p = (struct ring_pool){.env = env, .keep = keep};
}

void ring_pool_trim(struct ring_pool *p)
{
    uint32_t keep = p->keep, c;

    p->keep = 0;
    for (c = 0; c < RING_CLASSES; c++)
        while (p->nfree[c])
            ring_pool_put(p, c + RING_MIN_SHIFT, ring_pool_get(p, c + RING_MIN_SHIFT));
    p->keep = keep;
}

void ring_pool_fini(struct ring_pool *p)
{
    ring_pool_trim(p);
}

/* n chunks, chained through their first octets, or NULL and none taken. */
static void *chunks_get(struct ring_pool *p, uint32_t n)
{
    void *chain = NULL, *chunk;

    while (n--) {
        chunk = ring_pool_get(p, RING_CHUNK_SHIFT);
        if (!chunk) {
            while (chain) {
                chunk = chain;
                memcpy(&chain, chunk, sizeof(chain));
                ring_pool_put(p, RING_CHUNK_SHIFT, chunk);
            }
            return NULL;
        }
        memcpy(chunk, &chain, sizeof(chain));
        chain = chunk;
    }
    return chain;
}

static uint8_t *chain_pop(void **chain)
{
    uint8_t *chunk = *chain;

    assert(chunk);
    memcpy(chain, chunk, sizeof(*chain));
    return chunk;
}

static inline bool is_large(const struct ring *r)
{
    return r->table_shift != 0;
}

/* The table's entry for the n-th chunk of the queue. */
static inline uint8_t **chunk_at(const struct ring *r, uint32_t n)
{
    return &r->u.table[(r->first + n) & ((1u << r->table_shift) - 1)];
}

static void table_put(struct ring_pool *p, uint8_t **table, uint32_t shift)
{
    env_free(p->env, table, sizeof(table[0]) << shift, sizeof(table[0]));
}

/* An empty table that holds at least n chunks; *shift says how many. */
static uint8_t **table_get(struct ring_pool *p, uint32_t n, uint8_t *shift)
{
    uint8_t **table, to = TABLE_MIN;
    uint32_t i;

    while (1u << to < n)
        to++;
    table = env_alloc(p->env, sizeof(table[0]) << to, sizeof(table[0]));
    if (!table)
        return NULL;
    for (i = 0; i < 1u << to; i++)
        table[i] = NULL;
    *shift = to;
    return table;
}

/* Gives back the chunks [from, table's end). */
static void release_chunks(struct ring *r, struct ring_pool *p, uint32_t from)
{
    uint8_t **c;

    for (; from < 1u << r->table_shift; from++) {
        c = chunk_at(r, from);
        if (*c)
            ring_pool_put(p, RING_CHUNK_SHIFT, *c);
        *c = NULL;
    }
}

void ring_give_back(struct ring *r, struct ring_pool *p)
{
    if (is_large(r)) {
        release_chunks(r, p, 0);
        table_put(p, r->u.table, r->table_shift);
    } else {
        ring_pool_put(p, r->shift, r->u.one);
    }
}

/* Copies the piece's octets [off, off + n) out, wherever they wrap. */
static void copy_small(const struct ring *r, uint32_t off, uint8_t *dst, uint32_t n)
{
    uint32_t size = 1u << r->shift, at = (r->head + off) & (size - 1);
    uint32_t to_end = size - at < n ? size - at : n;

    memcpy(dst, r->u.one + at, to_end);
    memcpy(dst + to_end, r->u.one, n - to_end);
}

/* A piece for the octets [0, end), the last n of them new, with the old one's contents.  Who brings
 * so many as BULK brings more, and a chunk stays where it is then: with writes of 16 KiB into a
 * window of 64 KiB that is 8 % of the goodput. */
static int grow_small(struct ring *r, struct ring_pool *p, uint32_t n, uint32_t end)
{
    uint8_t shift = r->shift ? r->shift : RING_MIN_SHIFT;
    uint8_t *piece;

    while (1u << shift < end)
        shift++;
    if (n >= BULK)
        shift = RING_CHUNK_SHIFT;
    if (shift == r->shift)
        return 0;
    piece = ring_pool_get(p, shift);
    if (!piece)
        return ESTAB_E_NOMEM;
    if (r->shift) {
        copy_small(r, 0, piece, 1u << r->shift);
        ring_pool_put(p, r->shift, r->u.one);
    }
    r->u.one = piece;
    r->shift = shift;
    r->head = 0;
    return 0;
}

/* Makes a table that reaches `end`, and the chunks for [off, end) in it. */
static int small_to_large(struct ring *r, struct ring_pool *p, uint32_t off, uint32_t end)
{
    uint32_t head = r->shift == RING_CHUNK_SHIFT ? r->head : 0;
    uint32_t from = (head + off) >> RING_CHUNK_SHIFT;
    uint32_t to = (head + end - 1) >> RING_CHUNK_SHIFT;
    uint32_t old_shift = r->shift, i, need = to - from + 1;
    bool has_first = old_shift == RING_CHUNK_SHIFT, wants_first = old_shift && !has_first && from;
    bool wants_second = has_first && head && from > 1;
    uint8_t **table, *one = r->u.one, shift;
    void *chain = NULL;

    if (has_first && !from)
        need--;
    need += wants_first + wants_second;
    table = table_get(p, to + 1, &shift);
    if (!table)
        return ESTAB_E_NOMEM;
    chain = chunks_get(p, need);
    if (need && !chain) {
        table_put(p, table, shift);
        return ESTAB_E_NOMEM;
    }
    if (has_first)
        table[0] = one;
    if (wants_first)
        table[0] = chain_pop(&chain);
    if (wants_second)
        table[1] = chain_pop(&chain);
    for (i = from; i <= to; i++)
        if (!table[i])
            table[i] = chain_pop(&chain);
    if (has_first) {
        if (head) {
            assert(one && table[1]);
            memcpy(table[1], one, head);
        }
    } else if (old_shift) {
        copy_small(r, 0, table[0], 1u << old_shift);
        ring_pool_put(p, old_shift, one);
    }
    r->u.table = table;
    r->table_shift = shift;
    r->shift = 0;
    r->first = 0;
    r->head = head;
    return 0;
}

/* Makes the table reach `end`, and the chunks for [off, end) in it. */
static int grow_large(struct ring *r, struct ring_pool *p, uint32_t off, uint32_t end)
{
    uint32_t from = (r->head + off) >> RING_CHUNK_SHIFT;
    uint32_t to = (r->head + end - 1) >> RING_CHUNK_SHIFT;
    uint32_t size = 1u << r->table_shift, need = 0, i;
    uint8_t **table = NULL, shift = 0;
    void *chain = NULL;

    for (i = from; i <= to; i++)
        need += i >= size || !*chunk_at(r, i);
    if (to >= size) {
        table = table_get(p, to + 1, &shift);
        if (!table)
            return ESTAB_E_NOMEM;
    }
    chain = chunks_get(p, need);
    if (need && !chain) {
        if (table)
            table_put(p, table, shift);
        return ESTAB_E_NOMEM;
    }
    if (table) {
        for (i = 0; i < size; i++)
            table[i] = *chunk_at(r, i);
        table_put(p, r->u.table, r->table_shift);
        r->u.table = table;
        r->table_shift = shift;
        r->first = 0;
    }
    for (i = from; need; i++) {
        if (*chunk_at(r, i))
            continue;
        *chunk_at(r, i) = chain_pop(&chain);
        need--;
    }
    return 0;
}

/* The longest run of octets in place from off on, at most n; *run: how long it is. */
static uint8_t *run_at(const struct ring *r, uint32_t off, uint32_t n, uint32_t *run)
{
    uint32_t size = is_large(r) ? CHUNK : 1u << r->shift;
    uint32_t at = (r->head + off) & (size - 1);
    uint8_t *base = is_large(r) ? *chunk_at(r, (r->head + off) >> RING_CHUNK_SHIFT) : r->u.one;

    *run = size - at < n ? size - at : n;
    return base + at;
}

/* sum may be NULL. */
static void store(const struct ring *r, uint32_t off, const uint8_t *src, size_t n,
                  struct csum_run *sum)
{
    uint32_t run;
    uint8_t *to;

    while (n) {
        to = run_at(r, off, (uint32_t)n, &run);
        if (sum)
            csum_run_copy(sum, to, src, run);
        else
            memcpy(to, src, run);
        src += run;
        off += run;
        n -= run;
    }
}

int ring_put(struct ring *r, struct ring_pool *p, uint32_t off, const struct pieces *t)
{
    return ring_put_sum(r, p, off, t, NULL);
}

/* Whether [off, end), which is not empty, has its place: mostly it has. */
static inline bool room_is_there(const struct ring *r, uint32_t off, uint32_t end)
{
    uint32_t from, to;

    if (!is_large(r))
        return r->shift && end <= 1u << r->shift;
    from = (r->head + off) >> RING_CHUNK_SHIFT;
    to = (r->head + end - 1) >> RING_CHUNK_SHIFT;
    return to <= from + 1 && to < 1u << r->table_shift && *chunk_at(r, from) && *chunk_at(r, to);
}

static int ring_grow(struct ring *r, struct ring_pool *p, uint32_t off, uint32_t end)
{
    assert(off <= UINT32_MAX / 2 && end >= off && end <= UINT32_MAX / 2);
    if (off == end || room_is_there(r, off, end))
        return 0;
    if (is_large(r))
        return grow_large(r, p, off, end);
    return end > CHUNK ? small_to_large(r, p, off, end) : grow_small(r, p, end - off, end);
}

int ring_reserve(struct ring *r, struct ring_pool *p, uint32_t n)
{
    return ring_grow(r, p, r->len, r->len + n);
}

void ring_append(struct ring *r, const uint8_t *src, uint32_t n, struct csum_run *sum)
{
    store(r, r->len, src, n, sum);
    ring_extend(r, n);
}

int ring_put_sum(struct ring *r, struct ring_pool *p, uint32_t off, const struct pieces *t,
                 struct csum_run *sum)
{
    uint32_t i;

    if (t->len > 0 && !room_is_there(r, off, off + t->len)) {
        int err = ring_grow(r, p, off, off + t->len);

        if (err)
            return err;
    }
    for (i = 0; i < t->n; i++) {
        store(r, off, t->v[i].base, t->v[i].len, sum);
        off += (uint32_t)t->v[i].len;
    }
    return 0;
}

void ring_extend(struct ring *r, uint32_t n)
{
    assert(n <= UINT32_MAX / 2 - r->len);
    r->len += n;
}

int ring_write(struct ring *r, struct ring_pool *p, const struct pieces *t)
{
    int err = ring_put(r, p, r->len, t);

    if (!err)
        ring_extend(r, t->len);
    return err;
}

uint32_t ring_peek(const struct ring *r, uint32_t off, uint32_t n, struct estab_iov v[3])
{
    uint32_t i, run;

    assert(off <= r->len && n <= r->len - off);
    for (i = 0; n && i < 3; i++) {
        v[i].base = run_at(r, off, n, &run);
        v[i].len = run;
        off += run;
        n -= run;
    }
    return i;
}

void ring_copy_runs(const struct ring *r, uint32_t off, void *dst, uint32_t n)
{
    uint8_t *to = (uint8_t *)dst;
    const uint8_t *from;
    uint32_t run;

    assert(off <= r->len && n <= r->len - off);
    while (n) {
        from = run_at(r, off, n, &run);
        memcpy(to, from, run);
        to += run;
        off += run;
        n -= run;
    }
}

void ring_drop_some(struct ring *r, struct ring_pool *p, uint32_t n, bool ahead)
{
    uint8_t **c;

    assert(n <= r->len);
    r->len -= n;
    if (!r->len && !ahead) {
        ring_fini(r, p);
        return;
    }
    r->head += n;
    if (!is_large(r)) {
        r->head &= (1u << r->shift) - 1;
        return;
    }
    for (; r->head >= CHUNK; r->head -= CHUNK) {
        c = chunk_at(r, 0);
        if (*c)
            ring_pool_put(p, RING_CHUNK_SHIFT, *c);
        *c = NULL;
        r->first = (r->first + 1) & ((1u << r->table_shift) - 1);
    }
}

void ring_unwrite(struct ring *r, struct ring_pool *p, uint32_t n)
{
    assert(n <= r->len);
    r->len -= n;
    if (!r->len)
        ring_fini(r, p);
    else if (is_large(r))
        release_chunks(r, p, ((r->head + r->len - 1) >> RING_CHUNK_SHIFT) + 1);
}

size_t ring_mem(const struct ring *r)
{
    size_t mem = r->shift ? (size_t)1 << r->shift : 0;
    uint32_t i;

    if (!is_large(r))
        return mem;
    mem = sizeof(r->u.table[0]) << r->table_shift;
    for (i = 0; i < 1u << r->table_shift; i++)
        mem += *chunk_at(r, i) ? CHUNK : 0;
    return mem;
}

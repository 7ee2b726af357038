/* SPDX-License-Identifier: BSD-2-Clause */
/* ring_test.c - the ring against a flat array, with memory that may run out anywhere. */
#include "base/ring.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KIB    1024u
#define CHUNK  (1u << RING_CHUNK_SHIFT)
#define WINDOW (360 * KIB) /* how far ahead of the head is stored */

struct world {
    struct test_env t;
    struct env env;
    struct ring_pool pool;
    struct ring r;
    /* The model: what is stored at which offset from the head, and which offsets are. */
    uint8_t text[WINDOW];
    bool stored[WINDOW];
    uint32_t len;
    uint8_t src[WINDOW];
};

static struct world *world_new(uint64_t seed, uint32_t keep)
{
    struct world *x = calloc(1, sizeof(*x));
    uint32_t i;

    x->t.rng = seed;
    x->env.cb = test_env_make(&x->t);
    ring_pool_init(&x->pool, &x->env, keep);
    ring_init(&x->r);
    for (i = 0; i < WINDOW; i++)
        x->src[i] = (uint8_t)test_rand(&x->t);
    return x;
}

static void world_free(struct world *x)
{
    ring_fini(&x->r, &x->pool);
    assert_int_equal(ring_mem(&x->r), 0);
    ring_pool_fini(&x->pool);
    assert_int_equal(x->t.live, 0);
    assert_int_equal(x->env.used, 0);
    free(x);
}

/* Random octets, cut into up to ESTAB_IOVS pieces at random. */
static struct pieces random_pieces(struct world *x, uint32_t len)
{
    struct pieces t = {.n = 0, .len = len};
    uint8_t *p = x->src + test_rand_below(&x->t, WINDOW - len + 1);
    uint32_t n = 1 + test_rand_below(&x->t, ESTAB_IOVS), part;

    while (n--) {
        part = n ? test_rand_below(&x->t, len + 1) : len;
        t.v[t.n++] = (struct estab_iov){p, part};
        p += part;
        len -= part;
    }
    return t;
}

static struct pieces one_piece(struct world *x, uint32_t len)
{
    return (struct pieces){.v = {{x->src, len}}, .n = 1, .len = len};
}

static void model_put(struct world *x, uint32_t off, const struct pieces *t)
{
    pieces_copy(x->text + off, t, 0, t->len);
    memset(x->stored + off, true, t->len);
}

static void model_drop(struct world *x, uint32_t n, bool ahead)
{
    memmove(x->text, x->text + n, WINDOW - n);
    memmove(x->stored, x->stored + n, WINDOW - n);
    memset(x->stored + WINDOW - n, false, n);
    x->len -= n;
    if (!ahead)
        memset(x->stored + x->len, false, WINDOW - x->len);
}

/* Reads [off, off + n) by ring_peek and compares. */
static void check_peek(const struct world *x, uint32_t off, uint32_t n)
{
    struct estab_iov v[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    uint32_t asked = n, i, pieces = ring_peek(&x->r, off, n, v);

    assert_true(pieces <= 3);
    for (i = 0; i < pieces; i++) {
        assert_true(v[i].len > 0 && v[i].len <= n);
        assert_memory_equal(v[i].base, x->text + off, v[i].len);
        off += (uint32_t)v[i].len;
        n -= (uint32_t)v[i].len;
    }
    assert_true(!n || (pieces == 3 && asked > 64 * KIB));
}

static void check_some(struct world *x)
{
    static uint8_t buf[WINDOW];
    uint32_t off, n;

    assert_int_equal(x->r.len, x->len);
    off = test_rand_below(&x->t, x->len + 1);
    n = test_rand_below(&x->t, x->len - off + 1);
    ring_copy(&x->r, off, buf, n);
    if (n)
        assert_memory_equal(buf, x->text + off, n);
    check_peek(x, off, n);
}

/* Everything stored, also ahead, becomes readable by lengthening a copy of the ring. */
static void check_all(const struct world *x)
{
    static uint8_t buf[WINDOW];
    struct ring all = x->r;
    uint32_t i, end;

    for (i = 0; i < WINDOW; i = end) {
        for (end = i; end < WINDOW && x->stored[end] == x->stored[i]; end++)
            ;
        if (!x->stored[i])
            continue;
        all.len = end;
        ring_copy(&all, i, buf, end - i);
        assert_memory_equal(buf, x->text + i, end - i);
    }
}

static uint32_t stored_end(const struct world *x)
{
    uint32_t end = WINDOW;

    while (end && !x->stored[end - 1])
        end--;
    return end;
}

static void write_both(struct world *x, const struct pieces *t)
{
    assert_int_equal(ring_write(&x->r, &x->pool, t), 0);
    model_put(x, x->len, t);
    x->len += t->len;
}

static void an_empty_ring_holds_no_memory(void **state)
{
    struct world *x = world_new(1, 0);
    struct pieces t = one_piece(x, 0);
    struct estab_iov v[3];

    (void)state;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    assert_int_equal(ring_peek(&x->r, 0, 0, v), 0);
    ring_drop(&x->r, &x->pool, 0, true);
    ring_drop(&x->r, &x->pool, 0, false);
    ring_unwrite(&x->r, &x->pool, 0);
    assert_int_equal(x->t.live, 0);
    assert_int_equal(x->t.allocs, 0);
    world_free(x);
}

static void grows_by_doubling_and_then_by_chunks(void **state)
{
    struct world *x = world_new(1, 0);
    struct pieces t = one_piece(x, 100);
    size_t want;

    (void)state;
    while (x->r.len < 20 * CHUNK / 32) {
        assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
        for (want = 512; want < x->r.len; want *= 2)
            ;
        assert_int_equal(ring_mem(&x->r), want);
        assert_int_equal(x->t.live, want);
    }
    t = one_piece(x, 10 * CHUNK);
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    assert_int_equal(ring_mem(&x->r), x->t.live);
    assert_true(x->t.live <= 11 * CHUNK + 1024);
    ring_drop(&x->r, &x->pool, 5 * CHUNK, false);
    assert_true(x->t.live <= 7 * CHUNK + 1024);
    ring_drop(&x->r, &x->pool, x->r.len, false);
    assert_int_equal(x->t.live, 0);
    world_free(x);
}

/* Whoever writes as much at once writes more: the second half finds its place beside the first. */
static void a_long_write_takes_a_chunk(void **state)
{
    struct world *x = world_new(1, 0);
    struct pieces t = one_piece(x, 16384);
    struct estab_iov v[3];

    (void)state;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    assert_int_equal(ring_mem(&x->r), CHUNK);
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    assert_int_equal(ring_mem(&x->r), CHUNK);
    assert_int_equal(x->t.live, CHUNK);
    assert_int_equal(ring_peek(&x->r, 0, CHUNK, v), 1);
    ring_drop(&x->r, &x->pool, x->r.len, false);
    world_free(x);
}

static void memory_returns_to_the_pool_and_is_bounded(void **state)
{
    struct world *x = world_new(1, 2);
    struct pieces t = one_piece(x, 10 * CHUNK);
    uint64_t allocs;

    (void)state;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    ring_drop(&x->r, &x->pool, t.len, false);
    assert_int_equal(ring_mem(&x->r), 0);
    assert_int_equal(x->t.live, 2 * CHUNK);
    t = one_piece(x, 600);
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    ring_unwrite(&x->r, &x->pool, 600);
    assert_int_equal(x->t.live, 2 * CHUNK + 1024);
    allocs = x->t.allocs;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    ring_drop(&x->r, &x->pool, 600, false);
    t = one_piece(x, CHUNK);
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    assert_int_equal(x->t.allocs, allocs);
    world_free(x);
}

static void a_chunk_goes_as_soon_as_nothing_in_it_is_wanted(void **state)
{
    struct world *x = world_new(1, 0);
    struct pieces t = one_piece(x, 5 * CHUNK);
    size_t full;

    (void)state;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    full = ring_mem(&x->r);
    ring_drop(&x->r, &x->pool, CHUNK - 1, false);
    assert_int_equal(ring_mem(&x->r), full);
    ring_drop(&x->r, &x->pool, 1, false);
    assert_int_equal(ring_mem(&x->r), full - CHUNK);
    ring_unwrite(&x->r, &x->pool, CHUNK - 1);
    assert_int_equal(ring_mem(&x->r), full - CHUNK);
    ring_unwrite(&x->r, &x->pool, 1);
    assert_int_equal(ring_mem(&x->r), full - 2 * CHUNK);
    assert_int_equal(x->t.live, ring_mem(&x->r));
    memcpy(x->text, x->src + CHUNK, x->r.len);
    check_peek(x, 0, x->r.len);
    world_free(x);
}

/* A queue that is written at one end and read at the other needs its chunks only. */
static void a_moving_queue_holds_what_it_needs(void **state)
{
    struct world *x = world_new(1, 0);
    uint32_t i, want = 3 * CHUNK + 17;
    struct pieces t = one_piece(x, want);

    (void)state;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    t = one_piece(x, 1448);
    for (i = 0; i < 3000; i++) {
        assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
        ring_drop(&x->r, &x->pool, 1448, false);
        assert_true(ring_mem(&x->r) <= 6 * CHUNK);
    }
    /* an offset counts from the head only: the head may go round any number of times */
    ring_drop(&x->r, &x->pool, want - 1, false);
    assert_true(ring_mem(&x->r) <= CHUNK + 1024);
    world_free(x);
}

static void a_frame_lies_in_three_pieces(void **state)
{
    struct world *x = world_new(1, 0);
    struct pieces t = one_piece(x, 10 * CHUNK);
    struct estab_iov v[3];
    uint32_t off, i, n, sum;

    (void)state;
    assert_int_equal(ring_write(&x->r, &x->pool, &t), 0);
    for (off = 0; off < 3 * CHUNK; off += 511) {
        n = ring_peek(&x->r, off, 64 * KIB, v);
        for (sum = i = 0; i < n; i++)
            sum += (uint32_t)v[i].len;
        assert_int_equal(sum, 64 * KIB);
    }
    world_free(x);
}

static void holes_cost_nothing(void **state)
{
    struct world *x = world_new(1, 0);
    struct pieces t = one_piece(x, 10);
    uint8_t got[10];

    (void)state;
    assert_int_equal(ring_put(&x->r, &x->pool, 340 * KIB, &t), 0);
    assert_true(x->t.live <= CHUNK + 1024);
    assert_int_equal(ring_put(&x->r, &x->pool, 200 * KIB, &t), 0);
    assert_true(x->t.live <= 2 * CHUNK + 1024);
    assert_int_equal(x->r.len, 0);
    t = one_piece(x, 340 * KIB);
    assert_int_equal(ring_put(&x->r, &x->pool, 0, &t), 0);
    ring_extend(&x->r, 340 * KIB + 10);
    ring_copy(&x->r, 340 * KIB, got, 10);
    assert_memory_equal(got, x->src, 10);
    world_free(x);
}

static uint32_t random_len(struct world *x)
{
    static const uint32_t most[] = {1, 30, 512, 1460, 5000, 20000, CHUNK, 70000, 200000};

    return 1 + test_rand_below(&x->t, most[test_rand_below(&x->t, sizeof(most) / sizeof(most[0]))]);
}

/* Memory runs out at each of the put's allocations in turn: nothing changes.  Leaves things so that
 * the put will succeed. */
static void put_while_memory_runs_out(struct world *x, uint32_t off, const struct pieces *t)
{
    struct ring before = x->r;
    uint64_t nth = 1;

    for (;; nth++) {
        x->t.fail_at = x->t.allocs + nth;
        if (ring_put(&x->r, &x->pool, off, t) == 0)
            break;
        assert_ptr_equal(x->r.u.one, before.u.one);
        assert_int_equal(x->r.head, before.head);
        assert_int_equal(x->r.first, before.first);
        assert_int_equal(x->r.shift, before.shift);
        assert_int_equal(x->r.table_shift, before.table_shift);
        if (nth == 1 || !test_rand_below(&x->t, 8))
            check_all(x);
    }
    x->t.fail_at = 0;
}

/* Somewhere at or beyond len, or over what is there; then all that has come together joins. */
static void random_put(struct world *x, uint32_t len, bool failing, uint32_t scale)
{
    uint32_t off = test_rand_below(&x->t, 3) ? x->len : test_rand_below(&x->t, WINDOW / scale);
    struct pieces t;
    uint32_t n = 0;

    if (len > WINDOW - off)
        len = WINDOW - off;
    t = random_pieces(x, len);
    if (failing)
        put_while_memory_runs_out(x, off, &t);
    else
        assert_int_equal(ring_put(&x->r, &x->pool, off, &t), 0);
    model_put(x, off, &t);
    while (x->len + n < WINDOW && x->stored[x->len + n])
        n++;
    ring_extend(&x->r, n);
    x->len += n;
}

static void random_step(struct world *x, bool failing, uint32_t scale)
{
    uint32_t len = 1 + (random_len(x) - 1) / scale, what = test_rand_below(&x->t, 8);
    bool ahead = stored_end(x) > x->len;

    if (what < 4) {
        random_put(x, len, failing, scale);
        return;
    }
    if (len > x->len || !test_rand_below(&x->t, 10))
        len = x->len;
    if (what < 7 || ahead) { /* only a receiver's queue has something ahead */
        ring_drop(&x->r, &x->pool, len, ahead);
        model_drop(x, len, ahead);
    } else {
        ring_unwrite(&x->r, &x->pool, len);
        x->len -= len;
        memset(x->stored + x->len, false, WINDOW - x->len);
    }
    if (!x->len && !ahead)
        assert_int_equal(ring_mem(&x->r), 0);
}

static void random_life(uint64_t seed, uint32_t steps, uint32_t keep, bool failing, uint32_t scale)
{
    struct world *x = world_new(seed, keep);
    uint32_t i, c;

    for (i = 0; i < steps; i++) {
        random_step(x, failing, scale);
        check_some(x);
        if (i % 32 == 0)
            check_all(x);
        for (c = 0; c < RING_CLASSES; c++)
            assert_true(x->pool.nfree[c] <= keep);
    }
    check_all(x);
    world_free(x);
}

static void agrees_with_a_flat_array(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 4; seed++)
        random_life(seed, 1000, (uint32_t)(seed % 3), false, 1);
    for (seed = 1; seed <= 4; seed++) /* mostly small, now and then just large */
        random_life(100 + seed, 1000, (uint32_t)(seed % 3), false, 12);
    for (seed = 1; seed <= 3; seed++)
        random_life(200 + seed, 1000, 1, false, 100);
}

static void a_refused_allocation_changes_nothing(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 3; seed++)
        random_life(seed, 300, (uint32_t)(seed % 3), true, 1);
    for (seed = 1; seed <= 3; seed++)
        random_life(100 + seed, 300, (uint32_t)(seed % 3), true, 12);
}

/* A full, wrapped small ring of every size becomes large by a put at any distance. */
static void becoming_large_keeps_what_wrapped(void **state)
{
    static const uint32_t offs[] = {CHUNK - 1,     CHUNK,     CHUNK + 1, 2 * CHUNK - 3,
                                    2 * CHUNK + 5, 5 * CHUNK, 9 * CHUNK, 0};
    struct world *x;
    struct pieces t;
    uint32_t size, h, head;
    size_t j;

    (void)state;
    for (size = 512; size <= CHUNK; size *= 2) {
        for (h = 0; h < 5; h++) {
            head = h < 2 ? h : h == 2 ? size / 2 : size - (h - 2);
            for (j = 0; j < sizeof(offs) / sizeof(offs[0]); j++) {
                x = world_new(size + h * 7 + j, 1);
                for (int half = 0; half < 2; half++) { /* as one it might have a chunk */
                    t = random_pieces(x, size / 2);
                    write_both(x, &t);
                }
                ring_drop(&x->r, &x->pool, head, false);
                model_drop(x, head, false);
                t = random_pieces(x, head);
                write_both(x, &t);
                assert_int_equal(ring_mem(&x->r), size); /* still small, full, and wrapped */
                t = random_pieces(x, offs[j] ? 10 : CHUNK + 1);
                assert_int_equal(ring_put(&x->r, &x->pool, offs[j], &t), 0);
                model_put(x, offs[j], &t);
                assert_true(ring_mem(&x->r) > size);
                check_all(x);
                world_free(x);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ring_holds_no_memory),
        cmocka_unit_test(grows_by_doubling_and_then_by_chunks),
        cmocka_unit_test(a_long_write_takes_a_chunk),
        cmocka_unit_test(memory_returns_to_the_pool_and_is_bounded),
        cmocka_unit_test(a_chunk_goes_as_soon_as_nothing_in_it_is_wanted),
        cmocka_unit_test(a_moving_queue_holds_what_it_needs),
        cmocka_unit_test(a_frame_lies_in_three_pieces),
        cmocka_unit_test(holes_cost_nothing),
        cmocka_unit_test(becoming_large_keeps_what_wrapped),
        cmocka_unit_test(agrees_with_a_flat_array),
        cmocka_unit_test(a_refused_allocation_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

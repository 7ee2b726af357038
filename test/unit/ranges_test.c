/* SPDX-License-Identifier: BSD-2-Clause */
/* ranges_test.c - the bounded set of ranges against a bitmap, around 2^32 too. */
#include "base/ranges.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SPAN 400

#define LENT 100

struct world {
    struct test_env t;
    struct ranges r;
    struct range lent[LENT];
    uint32_t origin; /* of the model: bit i is sequence number origin + i */
    bool in[SPAN];
};

static seq_t at(const struct world *x, uint32_t i)
{
    return seq_add(seq_of(x->origin), i);
}

static uint32_t runs_in(const bool in[SPAN])
{
    uint32_t i, n = 0;

    for (i = 0; i < SPAN; i++)
        n += in[i] && (!i || !in[i - 1]);
    return n;
}

/* The set is the model's, as sorted, disjoint, non-adjacent ranges. */
static void check(const struct world *x)
{
    uint32_t i = 0, n = 0, total = 0, lo;

    while (i < SPAN) {
        if (!x->in[i]) {
            i++;
            continue;
        }
        for (lo = i; i < SPAN && x->in[i]; i++)
            total++;
        assert_true(n < x->r.n);
        assert_true(seq_eq(ranges_at(&x->r, n)->lo, at(x, lo)) &&
                    seq_eq(ranges_at(&x->r, n)->hi, at(x, i)));
        n++;
    }
    assert_int_equal(x->r.n, n);
    assert_int_equal(ranges_len(&x->r), total);
}

static void add(struct world *x, uint32_t lo, uint32_t hi)
{
    uint32_t i, added = 12345, want = 0;
    bool next[SPAN], ok;

    memcpy(next, x->in, sizeof(next));
    for (i = lo; i < hi; i++) {
        want += !next[i];
        next[i] = true;
    }
    ok = ranges_add(&x->r, at(x, lo), at(x, hi), test_rand_below(&x->t, 2) ? &added : NULL);
    assert_int_equal(ok, runs_in(next) <= (x->r.lent ? LENT : RANGES_MAX));
    if (ok)
        memcpy(x->in, next, sizeof(next));
    if (added != 12345)
        assert_int_equal(added, want);
    check(x);
}

static void drop_below(struct world *x, uint32_t lo)
{
    ranges_drop_below(&x->r, at(x, lo));
    memset(x->in, false, lo);
    check(x);
}

static void ask(const struct world *x, uint32_t lo, uint32_t hi)
{
    uint32_t i, gap, gap_end;
    seq_t next;

    for (i = lo; i < hi && x->in[i]; i++)
        ;
    assert_int_equal(ranges_has(&x->r, at(x, lo), at(x, hi)), i == hi);
    gap = i;
    for (gap_end = gap; gap_end < hi && !x->in[gap_end]; gap_end++)
        ;
    assert_true(seq_eq(ranges_gap(&x->r, at(x, lo), at(x, hi), &next), at(x, gap)));
    assert_true(seq_eq(next, at(x, gap_end)));
}

/* In the second half they lie in memory that is lent. */
static void random_life(uint64_t seed, uint32_t origin, uint32_t most)
{
    struct world x = {.t.rng = seed, .origin = origin};
    uint32_t i, a, b;

    ranges_init(&x.r);
    check(&x);
    for (i = 0; i < 3000; i++) {
        if (i == 1500) {
            ranges_lend(&x.r, x.lent, LENT);
            check(&x);
        }
        a = test_rand_below(&x.t, SPAN);
        b = a + test_rand_below(&x.t, most < SPAN - a ? most : SPAN - a);
        if (!test_rand_below(&x.t, 100))
            drop_below(&x, a);
        else
            add(&x, a, b);
        a = test_rand_below(&x.t, SPAN);
        ask(&x, a, a + test_rand_below(&x.t, SPAN - a));
    }
}

static void agrees_with_a_bitmap(void **state)
{
    static const uint32_t origins[] = {0, 1000, 0x7fffffff - SPAN / 2, 0xffffffff - SPAN / 2,
                                       0xffffffff};
    static const uint32_t most[] = {3, 12, 60};
    size_t i, j;

    (void)state;
    for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++)
        for (j = 0; j < sizeof(most) / sizeof(most[0]); j++)
            random_life(i * 10 + j, origins[i], most[j]);
}

static void a_full_set_still_takes_what_merges(void **state)
{
    struct world x = {.t.rng = 1, .origin = 0xfffffff0};
    uint32_t i;

    (void)state;
    ranges_init(&x.r);
    for (i = 0; i < RANGES_MAX; i++)
        add(&x, 10 * i + 5, 10 * i + 8);
    assert_int_equal(x.r.n, RANGES_MAX);
    add(&x, 0, 4);   /* refused: one too many, in front */
    add(&x, 50, 52); /* in the middle */
    add(&x, 390, 392);
    assert_int_equal(x.r.n, RANGES_MAX);
    add(&x, 48, 55); /* touches on both sides */
    assert_int_equal(x.r.n, RANGES_MAX - 1);
    add(&x, 0, SPAN - 1);
    assert_int_equal(x.r.n, 1);
}

static void ranges_may_be_large(void **state)
{
    struct ranges r;
    uint32_t added;
    seq_t lo = seq_of(0xc0000000u), mid = seq_add(lo, 0x20000000u), hi = seq_add(lo, 0x7ffffff0u),
          next;

    (void)state;
    ranges_init(&r);
    assert_true(ranges_add(&r, seq_add(mid, 1), hi, &added));
    assert_int_equal(added, 0x5fffffefu);
    assert_true(ranges_add(&r, lo, mid, &added));
    assert_int_equal(added, 0x20000000u);
    assert_true(seq_eq(ranges_gap(&r, lo, hi, &next), mid));
    assert_true(seq_eq(next, seq_add(mid, 1)));
    assert_true(ranges_add(&r, mid, seq_add(mid, 1), &added));
    assert_int_equal(added, 1);
    assert_int_equal(r.n, 1);
    assert_true(ranges_has(&r, lo, hi));
    ranges_drop_below(&r, hi);
    assert_int_equal(r.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_bitmap),
        cmocka_unit_test(a_full_set_still_takes_what_merges),
        cmocka_unit_test(ranges_may_be_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

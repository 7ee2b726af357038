/* SPDX-License-Identifier: BSD-2-Clause */
/* slab_test.c - slots, generations, limits, and metered memory. */
#include "base/slab.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    struct test_env t;
    struct env env;
    struct slab s;
};

static struct world *world_new(uint32_t obj_size, uint32_t align, uint8_t shift, uint32_t limit)
{
    struct world *x = calloc(1, sizeof(*x));

    x->t.rng = 1;
    x->env.cb = test_env_make(&x->t);
    slab_init(&x->s, &x->env, obj_size, align, shift, limit);
    assert_int_equal(x->t.allocs, 0);
    return x;
}

static void world_free(struct world *x)
{
    slab_fini(&x->s);
    assert_int_equal(x->t.live, 0);
    assert_int_equal(x->env.used, 0);
    free(x);
}

static void objects_stay_where_they_are(void **state)
{
    struct world *x = world_new(24, 8, 3, 5000);
    void *at[5000];
    uint32_t i;

    (void)state;
    for (i = 0; i < 5000; i++) {
        assert_int_equal(slab_get(&x->s), i);
        at[i] = slab_at(&x->s, i);
        assert_int_equal((uintptr_t)at[i] % 8, 0);
        memset(at[i], (int)(i & 255), 24);
    }
    for (i = 0; i < 5000; i++) {
        assert_ptr_equal(slab_at(&x->s, i), at[i]);
        assert_int_equal(((uint8_t *)at[i])[0], i & 255);
        assert_int_equal(((uint8_t *)at[i])[23], i & 255);
        assert_int_equal(slab_gen(&x->s, i), 1);
    }
    world_free(x);
}

static void objects_begin_with_zeros_where_asked_for(void **state)
{
    const uint8_t zeros[24] = {0};
    struct world *x = world_new(32, 8, 2, 100);

    (void)state;
    slab_zeroed(&x->s, 24);
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t slot = slab_get(&x->s);

        assert_memory_equal(slab_at(&x->s, slot), zeros, sizeof zeros);
        memset(slab_at(&x->s, slot), 0xff, 32);
        if (i % 2)
            slab_put(&x->s, slot);
    }
    world_free(x);
}

static void free_slots_are_reused_last_in_first_out(void **state)
{
    struct world *x = world_new(4, 4, 4, 100);
    uint32_t i;

    (void)state;
    for (i = 0; i < 20; i++)
        (void)slab_get(&x->s);
    slab_put(&x->s, 3);
    slab_put(&x->s, 17);
    slab_put(&x->s, 0);
    assert_int_equal(x->s.used, 17);
    assert_int_equal(slab_get(&x->s), 0);
    assert_int_equal(slab_get(&x->s), 3);
    assert_int_equal(slab_get(&x->s), 17);
    assert_int_equal(slab_get(&x->s), 20);
    world_free(x);
}

static void a_stale_generation_is_found_out(void **state)
{
    struct world *x = world_new(16, 16, 2, 100);
    uint32_t slot = slab_get(&x->s), gen = slab_gen(&x->s, slot), i;

    (void)state;
    assert_int_equal(gen, 1);
    assert_ptr_equal(slab_find(&x->s, slot, gen), slab_at(&x->s, slot));
    for (i = 0; i < 10; i++) {
        slab_put(&x->s, slot);
        assert_null(slab_find(&x->s, slot, gen));
        assert_null(slab_find(&x->s, slot, slab_gen(&x->s, slot)));
        assert_int_equal(slab_get(&x->s), slot);
        assert_null(slab_find(&x->s, slot, gen));
        assert_int_not_equal(slab_gen(&x->s, slot), gen);
        gen = slab_gen(&x->s, slot);
        assert_ptr_equal(slab_find(&x->s, slot, gen), slab_at(&x->s, slot));
    }
    world_free(x);
}

static void any_values_may_be_looked_up(void **state)
{
    static const uint32_t values[] = {
        0, 1, 2, 3, 4, 5, 7, 8, 1000, 0x7fffffff, 0x80000000, UINT32_MAX - 1, UINT32_MAX};
    struct world *x = world_new(16, 8, 2, 100);
    size_t i, j;

    (void)state;
    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        for (j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            assert_null(slab_find(&x->s, values[i], values[j]));
    (void)slab_get(&x->s);
    (void)slab_get(&x->s);
    slab_put(&x->s, 1);
    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        for (j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            assert_ptr_equal(slab_find(&x->s, values[i], values[j]),
                             values[i] == 0 && values[j] == 1 ? slab_at(&x->s, 0) : NULL);
    world_free(x);
}

static void a_walk_visits_what_is_in_use(void **state)
{
    struct world *x = world_new(8, 8, 3, 300);
    bool in[300] = {false};
    uint32_t i, round, slot, want;

    (void)state;
    assert_int_equal(slab_next(&x->s, 0), SLAB_NONE);
    for (round = 0; round < 2000; round++) {
        slot = test_rand_below(&x->t, 300);
        if (in[slot]) {
            slab_put(&x->s, slot);
            in[slot] = false;
        } else if ((slot = slab_get(&x->s)) != SLAB_NONE) {
            assert_false(in[slot]);
            in[slot] = true;
        }
        want = test_rand_below(&x->t, 300);
        slot = slab_next(&x->s, want);
        while (want < 300 && !in[want])
            want++;
        assert_int_equal(slot, want == 300 ? SLAB_NONE : want);
    }
    for (i = 0, slot = slab_next(&x->s, 0); slot != SLAB_NONE; slot = slab_next(&x->s, slot + 1))
        i++;
    assert_int_equal(i, x->s.used);
    assert_int_equal(slab_next(&x->s, SLAB_NONE), SLAB_NONE);
    world_free(x);
}

static void the_limit_holds(void **state)
{
    struct world *x = world_new(8, 8, 2, 10);
    uint32_t i;

    (void)state;
    for (i = 0; i < 10; i++)
        assert_int_equal(slab_get(&x->s), i);
    assert_int_equal(slab_get(&x->s), SLAB_NONE);
    slab_put(&x->s, 4);
    assert_int_equal(slab_get(&x->s), 4);
    assert_int_equal(slab_get(&x->s), SLAB_NONE);
    world_free(x);
}

static void a_refused_allocation_changes_nothing(void **state)
{
    struct world *x = world_new(8, 8, 2, 1000);
    uint32_t got = 0, nth;

    (void)state;
    for (nth = 1; got < 500; nth++) {
        x->t.fail_at = x->t.allocs + 1 + (nth & 1);
        while (slab_get(&x->s) != SLAB_NONE)
            got++;
        assert_int_equal(x->s.used, got);
        x->t.fail_at = 0;
        assert_int_equal(slab_get(&x->s), got);
        got++;
    }
    world_free(x);
}

static void the_ceiling_is_never_passed(void **state)
{
    struct world *x = world_new(100, 4, 4, 100000);
    uint32_t got;

    (void)state;
    x->env.ceiling = 50000;
    for (got = 0; slab_get(&x->s) != SLAB_NONE; got++)
        assert_true(x->t.live <= 50000);
    assert_true(got > 400);
    assert_int_equal(x->env.used, x->t.live);
    assert_true(x->env.peak <= 50000);
    assert_null(env_alloc(&x->env, SIZE_MAX, 8));
    world_free(x);
}

static void ten_million_small_objects(void **state)
{
    const uint32_t n = 10 * 1000 * 1000;
    struct world *x = world_new(8, 8, 12, n);
    uint32_t i;

    (void)state;
    for (i = 0; i < n; i++) {
        assert_true(slab_get(&x->s) == i);
        memcpy(slab_at(&x->s, i), &i, sizeof(i));
    }
    assert_int_equal(slab_get(&x->s), SLAB_NONE);
    assert_true(x->t.live <= (size_t)n * 13); /* 8, a generation, and less than one for the rest */
    for (i = 0; i < n; i += 1000)
        assert_memory_equal(slab_find(&x->s, i, 1), &i, sizeof(i));
    for (i = n; i--;)
        slab_put(&x->s, i);
    assert_int_equal(slab_next(&x->s, 0), SLAB_NONE);
    assert_int_equal(slab_get(&x->s), 0);
    world_free(x);
}

static void empty_chunks_are_given_back(void **state)
{
    struct world *x = world_new(64, 8, 4, 1000);
    uint32_t i, gens[160];
    size_t all;

    (void)state;
    for (i = 0; i < 160; i++)
        (void)slab_get(&x->s);
    all = x->t.live;
    for (i = 0; i < 160; i++)
        if (i != 37)
            slab_put(&x->s, i);
    for (i = 0; i < 160; i++)
        gens[i] = slab_gen(&x->s, i);
    slab_trim(&x->s, 2);
    assert_int_equal(x->s.empty, 2);
    slab_trim(&x->s, 0);
    assert_true(all - x->t.live >= (size_t)9 * 16 * 64);
    assert_non_null(slab_find(&x->s, 37, 1));
    assert_int_equal(slab_next(&x->s, 0), 37);
    assert_int_equal(slab_next(&x->s, 38), SLAB_NONE);
    for (i = 0; i < 159; i++)
        assert_int_not_equal(slab_get(&x->s), SLAB_NONE);
    assert_int_equal(x->s.nchunks, 10);
    for (i = 0; i < 160; i++)
        assert_true(i == 37 || (int32_t)(slab_gen(&x->s, i) - gens[i]) > 0);
    world_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_stay_where_they_are),
        cmocka_unit_test(objects_begin_with_zeros_where_asked_for),
        cmocka_unit_test(free_slots_are_reused_last_in_first_out),
        cmocka_unit_test(a_stale_generation_is_found_out),
        cmocka_unit_test(any_values_may_be_looked_up),
        cmocka_unit_test(a_walk_visits_what_is_in_use),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(a_refused_allocation_changes_nothing),
        cmocka_unit_test(the_ceiling_is_never_passed),
        cmocka_unit_test(ten_million_small_objects),
        cmocka_unit_test(empty_chunks_are_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

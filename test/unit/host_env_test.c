/* SPDX-License-Identifier: BSD-2-Clause */
/* host_env_test.c - the environments: memory that is counted, time that is moved, seeds that
 * repeat. */
#include "link_kit.h"

static void clock_goes_forward(void **state)
{
    struct estab_env env;
    estab_time before;

    (void)state;
    estab_host_env(&env);
    before = env.now(env.ctx);
    assert_true(env.now(env.ctx) >= before);
    assert_null(env.trace);
}

static void randomness_fills_all_octets(void **state)
{
    struct estab_env env;
    uint8_t a[300] = {0}, b[300] = {0}, seen = 0;

    (void)state;
    estab_host_env(&env);
    env.random(env.ctx, a, sizeof a);
    env.random(env.ctx, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 292; i < 300; i++)
        seen |= a[i];
    assert_int_not_equal(seen, 0);
}

static void memory_is_aligned(struct estab_env *env)
{
    for (size_t align = 1; align <= 4096; align *= 2) {
        for (size_t size = 1; size < 200; size += 63) {
            void *p = env->alloc(env->ctx, size, align);

            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            memset(p, 0xff, size);
            env->free(env->ctx, p, size, align);
        }
    }
    assert_null(env->alloc(env->ctx, SIZE_MAX - 8, 64));
}

static void both_align(void **state)
{
    struct estab_virtual v;
    struct estab_env env;

    (void)state;
    estab_host_env(&env);
    memory_is_aligned(&env);
    estab_virtual_env(&env, &v, 1);
    memory_is_aligned(&env);
    assert_int_equal(v.live, 0);
    assert_int_equal(v.peak, 190);
}

static void virtual_time_stands_still(void **state)
{
    struct estab_virtual v;
    struct estab_env env;

    (void)state;
    estab_virtual_env(&env, &v, 1);
    assert_int_equal(env.now(env.ctx), 0);
    v.now = ESTAB_S(5);
    assert_int_equal(env.now(env.ctx), ESTAB_S(5));
}

static void a_seed_repeats(void **state)
{
    struct estab_virtual v, w;
    struct estab_env a, b;
    uint8_t x[29], y[29];

    (void)state;
    estab_virtual_env(&a, &v, 42);
    estab_virtual_env(&b, &w, 42);
    for (int i = 0; i < 10; i++) {
        a.random(a.ctx, x, sizeof x);
        b.random(b.ctx, y, sizeof y);
        assert_memory_equal(x, y, sizeof x);
    }
    estab_virtual_env(&b, &w, 43);
    b.random(b.ctx, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
}

/* The reference implementations' output: splitmix64 of 0 begins with e220a8397b1dcdaf, and
 * xoshiro256** of the state 1, 2, 3, 4 with 11520, 0, 1509978240, 1215971899390074240. */
static void generator_is_the_published_one(void **state)
{
    struct estab_virtual v;
    struct estab_env env;

    (void)state;
    estab_virtual_env(&env, &v, 0);
    assert_true(v.rng[0] == 0xe220a8397b1dcdafu);
    assert_true(v.rng[1] == 0x6e789e6aa1b965f4u);
    for (uint64_t i = 0; i < 4; i++)
        v.rng[i] = i + 1;
    assert_true(estab_virtual_random(&v) == 11520);
    assert_true(estab_virtual_random(&v) == 0);
    assert_true(estab_virtual_random(&v) == 1509978240);
    assert_true(estab_virtual_random(&v) == 1215971899390074240u);
}

static void octets_come_from_the_low_end(void **state)
{
    struct estab_virtual v;
    struct estab_env env;
    uint8_t x[10];
    const uint8_t want[10] = {0x00, 0x2d}; /* 11520, then 0 */

    (void)state;
    estab_virtual_env(&env, &v, 0);
    for (uint64_t i = 0; i < 4; i++)
        v.rng[i] = i + 1;
    env.random(env.ctx, x, sizeof x);
    assert_memory_equal(x, want, sizeof x);
}

static void memory_is_counted_and_runs_out(void **state)
{
    struct estab_virtual v;
    struct estab_env env;
    void *a, *b;

    (void)state;
    estab_virtual_env(&env, &v, 1);
    a = env.alloc(env.ctx, 100, 8);
    b = env.alloc(env.ctx, 1000, 64);
    assert_int_equal(v.live, 1100);
    env.free(env.ctx, a, 100, 8);
    assert_int_equal(v.live, 1000);
    assert_int_equal(v.peak, 1100);
    assert_int_equal(v.allocs, 2);
    v.allocs = 0;
    v.fail_at = 2;
    a = env.alloc(env.ctx, 10, 8);
    assert_non_null(a);
    assert_null(env.alloc(env.ctx, 10, 8));
    assert_int_equal(v.live, 1010);
    env.free(env.ctx, a, 10, 8);
    a = env.alloc(env.ctx, 10, 8); /* one fails, not all from there on */
    assert_non_null(a);
    env.free(env.ctx, a, 10, 8);
    env.free(env.ctx, b, 1000, 64);
    env.free(env.ctx, NULL, 0, 8);
    assert_int_equal(v.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_goes_forward),
        cmocka_unit_test(randomness_fills_all_octets),
        cmocka_unit_test(both_align),
        cmocka_unit_test(virtual_time_stands_still),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(generator_is_the_published_one),
        cmocka_unit_test(octets_come_from_the_low_end),
        cmocka_unit_test(memory_is_counted_and_runs_out),
    };

    return cmocka_run_group_tests_name("host_env", tests, NULL, NULL);
}

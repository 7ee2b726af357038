/* SPDX-License-Identifier: BSD-2-Clause */
/* wheel_test.c - the timing wheel against a naive model, in random virtual time. */
#include "base/wheel.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TICK   (UINT64_C(1) << WHEEL_TICK_SHIFT)
#define HOUR   (3600 * ESTAB_S(1))
#define YEAR   (365 * 24 * HOUR)
#define NNODES 300

struct object {
    uint32_t payload[3];
    struct wheel_node node;
};

struct world {
    struct test_env t;
    struct env env;
    struct slab slab;
    struct wheel w;
    /* The model: what is armed, for which tick, and in which order it was added. */
    struct {
        bool armed;
        estab_time at; /* due; never fires earlier */
        uint64_t tick, order;
    } m[NNODES];
    uint64_t order, tick; /* tick: everything up to it has fired */
    estab_time popped_for;
};

static struct world *world_new(uint64_t seed, estab_time now)
{
    struct world *x = calloc(1, sizeof(*x));
    uint32_t i;

    x->t.rng = seed;
    x->t.now = now;
    x->env.cb = test_env_make(&x->t);
    slab_init(&x->slab, &x->env, sizeof(struct object), 8, 4, NNODES);
    for (i = 0; i < NNODES; i++) {
        assert_int_equal(slab_get(&x->slab), i);
        wheel_node_init(&((struct object *)slab_at(&x->slab, i))->node);
    }
    wheel_init(&x->w, &x->slab, offsetof(struct object, node), now);
    x->popped_for = now;
    x->tick = now >> WHEEL_TICK_SHIFT;
    return x;
}

static void world_free(struct world *x)
{
    slab_fini(&x->slab);
    assert_int_equal(x->t.live, 0);
    free(x);
}

static void arm(struct world *x, uint32_t slot, estab_time at)
{
    uint64_t tick = at / TICK + (at % TICK != 0);

    wheel_add(&x->w, slot, at);
    x->m[slot].armed = at != ESTAB_NEVER;
    x->m[slot].at = at;
    if (at <= x->popped_for && tick > x->popped_for / TICK)
        tick = x->popped_for / TICK;
    x->m[slot].tick = tick > x->tick ? tick : x->tick;
    x->m[slot].order = x->order++;
}

static void cancel(struct world *x, uint32_t slot)
{
    wheel_cancel(&x->w, slot);
    x->m[slot].armed = false;
}

/* What must fire next, or SLAB_NONE. */
static uint32_t first_due(const struct world *x)
{
    uint32_t i, first = SLAB_NONE;

    for (i = 0; i < NNODES; i++) {
        if (!x->m[i].armed)
            continue;
        if (first == SLAB_NONE || x->m[i].tick < x->m[first].tick ||
            (x->m[i].tick == x->m[first].tick && x->m[i].order < x->m[first].order))
            first = i;
    }
    return first;
}

static void check_next(const struct world *x)
{
    uint32_t first = first_due(x);
    estab_time next = wheel_next(&x->w);

    if (first == SLAB_NONE) {
        assert_true(next == ESTAB_NEVER);
        return;
    }
    if (x->m[first].tick > ESTAB_NEVER / TICK) { /* after the end of time */
        assert_true(next > x->t.now);
        return;
    }
    assert_true(next <= x->m[first].tick * TICK);
    assert_true(next % TICK == 0);
    /* earlier only to redistribute a level, which happens at multiples of 256 ticks */
    if (next < x->m[first].tick * TICK)
        assert_true(next / TICK % WHEEL_SLOTS == 0 && next / TICK > x->tick);
}

/* Pops one; it must be the right one. */
static uint32_t pop(struct world *x)
{
    uint32_t want = first_due(x), got = wheel_pop(&x->w, x->t.now);

    x->popped_for = x->t.now;
    if (want == SLAB_NONE || x->m[want].tick > x->t.now / TICK) {
        assert_int_equal(got, SLAB_NONE);
        x->tick = x->t.now / TICK;
        return SLAB_NONE;
    }
    assert_int_equal(got, want);
    assert_true(x->m[got].at <= x->t.now);
    x->m[got].armed = false;
    x->tick = x->m[got].tick;
    return got;
}

static uint32_t count_armed(const struct world *x)
{
    uint32_t i, n = 0;

    for (i = 0; i < NNODES; i++)
        n += x->m[i].armed;
    return n;
}

static void an_idle_wheel_needs_no_waking(void **state)
{
    struct world *x = world_new(1, 12345);

    (void)state;
    check_next(x);
    assert_int_equal(pop(x), SLAB_NONE);
    x->t.now += YEAR;
    assert_int_equal(pop(x), SLAB_NONE);
    cancel(x, 5);
    arm(x, 5, ESTAB_NEVER);
    check_next(x);
    arm(x, 5, x->t.now + HOUR);
    arm(x, 5, ESTAB_NEVER);
    check_next(x);
    assert_int_equal(x->w.count, 0);
    world_free(x);
}

static void fires_at_the_first_tick_at_or_after(void **state)
{
    static const int64_t off[] = {-(int64_t)TICK, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5,
                                  (int64_t)TICK};
    struct world *x = world_new(1, 0);
    estab_time at, fires;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        at = x->t.now + 1000 * TICK + (uint64_t)off[i];
        fires = (at + TICK - 1) / TICK * TICK;
        arm(x, 7, at);
        x->t.now = fires - 1;
        assert_int_equal(pop(x), SLAB_NONE);
        assert_true(wheel_next(&x->w) == fires);
        x->t.now = fires;
        assert_int_equal(pop(x), 7);
        assert_int_equal(pop(x), SLAB_NONE);
    }
    world_free(x);
}

static void one_tick_fires_in_the_order_of_adding(void **state)
{
    struct world *x = world_new(1, 3 * TICK);
    estab_time at = 70000 * TICK;
    uint32_t i, step;

    (void)state;
    /* added from ever nearer, so that they start on different levels */
    for (i = 0, step = 32768; i < 40; i++) {
        arm(x, 39 - i, at - i);
        x->t.now += step * TICK;
        step /= 2;
        assert_int_equal(pop(x), SLAB_NONE);
    }
    x->t.now = at;
    for (i = 0; i < 40; i++)
        assert_int_equal(pop(x), 39 - i);
    assert_int_equal(pop(x), SLAB_NONE);
    world_free(x);
}

static void what_is_armed_for_now_while_popping_fires_in_the_same_run(void **state)
{
    struct world *x = world_new(1, 0);

    (void)state;
    arm(x, 1, 50 * TICK);
    arm(x, 2, 60 * TICK);
    x->t.now = 100 * TICK + 77; /* within a tick */
    assert_int_equal(pop(x), 1);
    arm(x, 1, x->t.now);
    arm(x, 3, x->t.now + 1);
    arm(x, 4, 55 * TICK); /* long past, and before 2 */
    assert_int_equal(pop(x), 4);
    assert_int_equal(pop(x), 2);
    assert_int_equal(pop(x), 1);
    arm(x, 1, x->t.now);
    assert_int_equal(pop(x), 1);
    assert_int_equal(pop(x), SLAB_NONE);
    arm(x, 1, x->t.now);
    assert_true(wheel_next(&x->w) <= x->t.now);
    assert_int_equal(pop(x), 1);
    assert_int_equal(pop(x), SLAB_NONE);
    assert_true(x->m[3].armed);
    check_next(x);
    world_free(x);
}

static void waking_when_told_suffices(void **state)
{
    struct world *x = world_new(9, YEAR + 333);
    uint32_t i, wakes;
    estab_time at;

    (void)state;
    for (i = 0; i < 2000; i++) {
        at = x->t.now + 1 + (test_rand(&x->t) >> (14 + test_rand_below(&x->t, 45)));
        arm(x, 3, at);
        for (wakes = 0; x->m[3].armed; wakes++) {
            check_next(x);
            assert_true(wheel_next(&x->w) > x->t.now);
            x->t.now = wheel_next(&x->w);
            (void)pop(x);
        }
        /* once per level, and once per 6.5 days of what is further off than all levels reach */
        assert_true(wakes <= WHEEL_LEVELS + 1 + ((at / TICK) >> 32));
        assert_true(x->t.now - at < TICK);
    }
    world_free(x);
}

static estab_dur random_span(struct world *x)
{
    switch (test_rand_below(&x->t, 12)) {
    case 0:
        return 0;
    case 1:
        return test_rand_below(&x->t, 10);
    case 2:
    case 3:
        return test_rand_below(&x->t, 1000 * 1000);
    case 4:
    case 5:
    case 6:
        return test_rand_below(&x->t, 300) * ESTAB_MS(1);
    case 7:
    case 8:
        return test_rand_below(&x->t, 300) * ESTAB_S(1) / 2;
    case 9:
        return TICK << test_rand_below(&x->t, 34);
    case 10:
        return (TICK << test_rand_below(&x->t, 34)) * test_rand_below(&x->t, 300) - 1;
    default:
        return test_rand_below(&x->t, 3 * 365) * 24 * HOUR;
    }
}

static void random_life(uint64_t seed, estab_time start, uint32_t steps, bool big_jumps)
{
    struct world *x = world_new(seed, start);
    uint32_t i, slot, budget;
    estab_dur d;

    for (i = 0; i < steps; i++) {
        slot = test_rand_below(&x->t, NNODES);
        d = random_span(x);
        switch (test_rand_below(&x->t, 16)) {
        case 0:
            cancel(x, slot);
            break;
        case 1:
            arm(x, slot, test_rand_below(&x->t, 8) ? x->t.now - d % (x->t.now + 1) : ESTAB_NEVER);
            break;
        case 2:
            arm(x, slot, ESTAB_NEVER - 1 - test_rand_below(&x->t, 3 * TICK));
            break;
        case 3:
        case 4:
        case 5:
            if (big_jumps || d < ESTAB_S(10))
                x->t.now = time_add(x->t.now, d);
            else if (wheel_next(&x->w) != ESTAB_NEVER && wheel_next(&x->w) > x->t.now)
                x->t.now = wheel_next(&x->w);
            if (x->t.now > ESTAB_NEVER / 2)
                x->t.now = ESTAB_NEVER / 2;
            if (!test_rand_below(&x->t, 4))
                break; /* armed and cancelled although the clock is ahead of the wheel */
            for (budget = 20; pop(x) != SLAB_NONE;) {
                /* the one that fired, and another, again; also one that fired is cancelled */
                if (!test_rand_below(&x->t, 2) || !budget)
                    continue;
                budget--;
                arm(x, test_rand_below(&x->t, NNODES), time_add(x->t.now, random_span(x)));
                arm(x, test_rand_below(&x->t, NNODES), x->t.now - random_span(x) % (x->t.now + 1));
                cancel(x, test_rand_below(&x->t, NNODES));
                check_next(x);
            }
            break;
        default:
            arm(x, slot, time_add(x->t.now, d));
            /* many for one tick */
            if (!test_rand_below(&x->t, 4))
                arm(x, test_rand_below(&x->t, NNODES), time_add(x->t.now, d));
            break;
        }
        check_next(x);
        assert_int_equal(x->w.count, count_armed(x));
    }
    for (i = 0; i < NNODES; i++)
        cancel(x, i);
    assert_true(wheel_next(&x->w) == ESTAB_NEVER);
    assert_int_equal(x->w.count, 0);
    world_free(x);
}

static void agrees_with_a_model(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++)
        random_life(seed, seed % 2 ? 0 : YEAR * seed + 11, 2000, false);
}

static void agrees_with_a_model_when_the_clock_jumps(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 101; seed <= 120; seed++)
        random_life(seed, seed % 2 ? 0 : YEAR * 40, 2000, true);
}

/* Around 2^32 ticks, where what was further off than the levels reach comes into reach. */
static void agrees_with_a_model_across_the_last_level(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 201; seed <= 220; seed++)
        random_life(seed, (TICK << 32) * (seed - 200) - ESTAB_S(1) * (seed % 7), 1000, seed & 1);
}

static void far_deadlines_keep_their_order(void **state)
{
    struct world *x = world_new(1, 5 * TICK);
    estab_time at = 3 * (TICK << 32) + 77 * TICK;
    uint32_t i;

    (void)state;
    for (i = 0; i < 60; i++) {
        arm(x, 100 - i, at);
        arm(x, 200 - i, at + (59 - i) * TICK);
        x->t.now += (TICK << 32) / 25;
        assert_int_equal(pop(x), SLAB_NONE);
    }
    x->t.now = at + YEAR;
    while (pop(x) != SLAB_NONE)
        ;
    assert_int_equal(count_armed(x), 0);
    world_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_wheel_needs_no_waking),
        cmocka_unit_test(fires_at_the_first_tick_at_or_after),
        cmocka_unit_test(one_tick_fires_in_the_order_of_adding),
        cmocka_unit_test(what_is_armed_for_now_while_popping_fires_in_the_same_run),
        cmocka_unit_test(waking_when_told_suffices),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(agrees_with_a_model_when_the_clock_jumps),
        cmocka_unit_test(agrees_with_a_model_across_the_last_level),
        cmocka_unit_test(far_deadlines_keep_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

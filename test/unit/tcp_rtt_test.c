/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_rtt_test.c - RFC 6298, number by number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp/tcp_rtt.h"

static const struct tcp_rtt_bounds bounds = {
    .init = ESTAB_S(1), .min = ESTAB_MS(200), .max = ESTAB_S(120)};

static struct tcp_rtt after(const estab_dur *samples, size_t n)
{
    struct tcp_rtt r;

    tcp_rtt_init(&r, &bounds);
    for (size_t i = 0; i < n; i++)
        tcp_rtt_sample(&r, samples[i]);
    return r;
}
#define AFTER(...) after((const estab_dur[]){__VA_ARGS__}, sizeof((estab_dur[]){__VA_ARGS__}) / 8)

/* What a clock of a millisecond calls nothing is less than one; it does not say how much less. */
static void a_coarse_clock_proves_no_short_path(void **state)
{
    struct tcp_rtt r = AFTER(ESTAB_US(300));

    (void)state;
    for (int i = 0; i < 100; i++)
        tcp_rtt_sample_ms(&r, 0);
    assert_int_equal(r.min, 300);
    assert_in_range(r.srtt, 990, 1000);
    tcp_rtt_init(&r, &bounds);
    tcp_rtt_sample_ms(&r, ESTAB_MS(3));
    assert_int_equal(r.srtt, 3000);
    assert_int_equal(r.min, 4000);
}

/* A path of no time at all, or of a microsecond: there is an estimate, and nothing to divide by 0.
 */
static void a_path_of_no_time_has_a_round_trip(void **state)
{
    struct tcp_rtt r = AFTER(0, 0, 0);

    (void)state;
    assert_int_equal(r.srtt, 1);
    assert_int_equal(r.min, 1);
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), bounds.min);
}

/* [RFC6298-2-1, RFC8961-4-1] */
static void before_any_sample_it_is_the_initial_one(void **state)
{
    struct tcp_rtt r = after(NULL, 0);

    (void)state;
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_S(1));
    assert_int_equal(r.srtt, 0);
}

/* (2.2): SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR. [MUST-18, RFC6298-2-2] */
static void the_first_sample_sets_the_estimate(void **state)
{
    struct tcp_rtt r = AFTER(ESTAB_MS(300));

    (void)state;
    assert_int_equal(r.srtt, 300000);
    assert_int_equal(r.rttvar, 150000);
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_MS(900));
}

/* (2.3): RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, then SRTT = 7/8 SRTT + 1/8 R'. [MUST-18,
 * RFC6298-2-3] */
static void later_samples_are_weighed(void **state)
{
    struct tcp_rtt r = AFTER(ESTAB_MS(300), ESTAB_MS(380));

    (void)state;
    assert_int_equal(r.rttvar, 132500);
    assert_int_equal(r.srtt, 310000);
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_MS(840));
    r = AFTER(ESTAB_MS(300), ESTAB_MS(220));
    assert_int_equal(r.rttvar, 132500);
    assert_int_equal(r.srtt, 290000);
}

/* (2.4), (2.5) [RFC6298-2-5] */
static void it_stays_within_its_bounds(void **state)
{
    struct tcp_rtt r = AFTER(ESTAB_US(50));

    (void)state;
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_MS(200));
    r = AFTER(ESTAB_S(100));
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_S(120));
    r = AFTER(ESTAB_S(3000), 0, ESTAB_S(3000), ESTAB_S(4000));
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_S(120));
}

/* (5.5) */
static void it_doubles_up_to_the_bound(void **state)
{
    struct tcp_rtt r = AFTER(ESTAB_MS(300));
    estab_dur want = ESTAB_MS(900);

    (void)state;
    for (uint32_t shift = 0; shift < 300; shift++) {
        assert_int_equal(tcp_rtt_rto(&r, &bounds, shift), want);
        want = 2 * want < bounds.max ? 2 * want : bounds.max;
    }
}

/* Section 4: a variance below the clock's granularity counts as that: min of 200 ms aside. */
static void a_steady_path_keeps_the_granularity(void **state)
{
    const struct tcp_rtt_bounds tight = {.init = ESTAB_S(1), .min = 1, .max = ESTAB_S(120)};
    struct tcp_rtt r;

    (void)state;
    tcp_rtt_init(&r, &tight);
    for (int i = 0; i < 100; i++)
        tcp_rtt_sample(&r, ESTAB_MS(10));
    assert_int_equal(tcp_rtt_rto(&r, &tight, 0), ESTAB_MS(11));
}

static void a_sample_of_nothing_is_a_sample(void **state)
{
    struct tcp_rtt r = AFTER(0);

    (void)state;
    assert_true(r.srtt > 0);
    assert_true(r.min > 0);
}

static void the_least_sample_is_remembered(void **state)
{
    struct tcp_rtt r = AFTER(ESTAB_MS(30), ESTAB_MS(20), ESTAB_MS(40));

    (void)state;
    assert_int_equal(r.min, 20000);
}

/* (5.7) [RFC6298-5-3] */
static void after_a_lost_syn_data_begins_with_3_s(void **state)
{
    struct tcp_rtt r = after(NULL, 0);

    (void)state;
    tcp_rtt_syn_lost(&r);
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_S(3));
    r = AFTER(ESTAB_MS(300));
    tcp_rtt_syn_lost(&r);
    assert_int_equal(tcp_rtt_rto(&r, &bounds, 0), ESTAB_MS(900));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_coarse_clock_proves_no_short_path),
        cmocka_unit_test(a_path_of_no_time_has_a_round_trip),
        cmocka_unit_test(before_any_sample_it_is_the_initial_one),
        cmocka_unit_test(the_first_sample_sets_the_estimate),
        cmocka_unit_test(later_samples_are_weighed),
        cmocka_unit_test(it_stays_within_its_bounds),
        cmocka_unit_test(it_doubles_up_to_the_bound),
        cmocka_unit_test(a_steady_path_keeps_the_granularity),
        cmocka_unit_test(a_sample_of_nothing_is_a_sample),
        cmocka_unit_test(the_least_sample_is_remembered),
        cmocka_unit_test(after_a_lost_syn_data_begins_with_3_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

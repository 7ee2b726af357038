/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_newreno_test.c - the congestion window of RFC 5681, event by event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp/tcp_cc.h"

#define MSS 1000u

static struct cc_run run;

static const struct cc_ops *cc(void)
{
    return cc_find("newreno");
}

static struct cc begun(uint32_t cwnd)
{
    struct cc c;

    cc_init(&c, cwnd);
    run = (struct cc_run){0};
    return c;
}

static void acks(struct cc *c, uint32_t acked, bool limited)
{
    struct cc_sample s = {.acked = acked, .flight = c->cwnd, .mss = MSS, .cwnd_limited = limited};

    s.rtt = ESTAB_NEVER;
    cc()->on_ack(c, &run, &s);
}

static struct cc_sample lost(uint32_t flight)
{
    return (struct cc_sample){.rtt = ESTAB_NEVER, .flight = flight, .mss = MSS};
}

/* RFC 3465 section 2.1: what a segment more did not need counts for the next. */
static void octets_left_over_are_not_lost(void **state)
{
    struct cc c = begun(10 * MSS);

    (void)state;
    c.ssthresh = 5 * MSS;
    acks(&c, 14 * MSS, true);
    assert_int_equal(c.cwnd, 11 * MSS);
    acks(&c, 7 * MSS, true); /* with the four of before */
    assert_int_equal(c.cwnd, 12 * MSS);
    acks(&c, 11 * MSS, true);
    assert_int_equal(c.cwnd, 12 * MSS);
}

static void algorithms_have_names(void **state)
{
    (void)state;
    assert_ptr_equal(cc(), &cc_newreno);
    assert_ptr_equal(cc_find("cubic"), &cc_cubic);
    assert_ptr_equal(cc_at(cc()->id), cc());
    assert_ptr_equal(cc_at(cc_cubic.id), &cc_cubic);
    assert_null(cc_find(""));
}

/* RFC 6928 section 2: min (10*MSS, max (2*MSS, 14600)). */
static void the_initial_window(void **state)
{
    (void)state;
    assert_int_equal(cc_initial_window(10, 536), 5360);
    assert_int_equal(cc_initial_window(10, 1460), 14600);
    assert_int_equal(cc_initial_window(10, 5000), 14600);
    assert_int_equal(cc_initial_window(10, 8960), 17920);
    assert_int_equal(cc_initial_window(2, 1460), 2920);
    assert_int_equal(cc_initial_window(1, 1460), 1460);
}

/* One ACK for much text is worth no more than RFC 3465's L segments. [RFC5681-3.1-3] */
static void slow_start_grows_by_at_most_so_much_an_ack(void **state)
{
    struct cc_sample s = {.acked = 8 * MSS, .mss = MSS, .cwnd_limited = true, .rtt = ESTAB_NEVER};

    (void)state;
    for (uint32_t l = 1; l <= 2; l++) {
        struct cc c = begun(10 * MSS);

        s.slow_start = l * MSS;
        cc()->on_ack(&c, &run, &s);
        assert_int_equal(c.cwnd, (10 + l) * MSS);
        s.acked = MSS / 2; /* min (N, SMSS) */
        cc()->on_ack(&c, &run, &s);
        assert_int_equal(c.cwnd, (10 + l) * MSS + MSS / 2);
        s.acked = 8 * MSS;
    }
}

/* What an ACK is limited to is not made up for at the next, nor in congestion avoidance. */
static void a_limited_ack_leaves_nothing_behind(void **state)
{
    struct cc_sample s = {.acked = 8 * MSS, .mss = MSS, .cwnd_limited = true, .rtt = ESTAB_NEVER};
    struct cc c = begun(10 * MSS);

    (void)state;
    s.slow_start = MSS;
    c.ssthresh = 11 * MSS + MSS / 2;
    cc()->on_ack(&c, &run, &s);
    assert_int_equal(c.cwnd, 11 * MSS);
    s.acked = MSS;
    cc()->on_ack(&c, &run, &s);
    assert_int_equal(c.cwnd, 11 * MSS + MSS / 2);
    for (int i = 0; i < 10; i++)
        cc()->on_ack(&c, &run, &s);
    assert_int_equal(c.cwnd, 11 * MSS + MSS / 2);
    cc()->on_ack(&c, &run, &s);
    assert_int_equal(c.cwnd, 12 * MSS + MSS / 2);
}

/* [MUST-19, RFC5681-3.1-3] */
static void slow_start_doubles_each_round(void **state)
{
    struct cc c = begun(10 * MSS);

    (void)state;
    for (int i = 0; i < 10; i++)
        acks(&c, MSS, true);
    assert_int_equal(c.cwnd, 20 * MSS);
}

/* Slow start ends at ssthresh, even within one ACK. */
static void slow_start_ends_at_ssthresh(void **state)
{
    struct cc c = begun(10 * MSS);

    (void)state;
    c.ssthresh = 12500;
    acks(&c, 4 * MSS, true);
    assert_int_equal(c.cwnd, 12500);
}

/* RFC 5681 section 3.1: a segment each round, by octets (RFC 3465). [MUST-19, RFC5681-3.1-4] */
static void congestion_avoidance_adds_a_segment_each_round(void **state)
{
    struct cc c = begun(10 * MSS);

    (void)state;
    c.ssthresh = 10 * MSS;
    for (int i = 0; i < 9; i++)
        acks(&c, MSS, true);
    assert_int_equal(c.cwnd, 10 * MSS);
    acks(&c, MSS, true);
    assert_int_equal(c.cwnd, 11 * MSS);
    for (int i = 0; i < 110; i++)
        acks(&c, MSS / 10, true);
    assert_int_equal(c.cwnd, 12 * MSS);
}

/* A window that was not used says nothing about the path. */
static void what_was_not_tried_does_not_grow(void **state)
{
    struct cc c = begun(10 * MSS);

    (void)state;
    acks(&c, 5 * MSS, false);
    assert_int_equal(c.cwnd, 10 * MSS);
}

/* Equation 4: half of what is in flight, not of the window; at least two segments. [RFC5681-3.1-5]
 */
static void a_loss_halves_the_flight(void **state)
{
    struct cc c = begun(20 * MSS);
    struct cc_sample s = lost(12 * MSS);

    (void)state;
    cc()->on_loss(&c, &run, &s);
    assert_int_equal(c.ssthresh, 6 * MSS);
    assert_int_equal(c.cwnd, 6 * MSS);
    s = lost(MSS);
    cc()->on_loss(&c, &run, &s);
    assert_int_equal(c.ssthresh, 2 * MSS);
}

/* The loss window is one segment; only the first expiry sets ssthresh. [RFC5681-3.1-6] */
static void a_timeout_begins_with_one_segment(void **state)
{
    struct cc c = begun(20 * MSS);
    struct cc_sample s = lost(20 * MSS);

    (void)state;
    cc()->on_rto(&c, &run, &s, true);
    assert_int_equal(c.cwnd, MSS);
    assert_int_equal(c.ssthresh, 10 * MSS);
    s = lost(MSS);
    cc()->on_rto(&c, &run, &s, false);
    assert_int_equal(c.cwnd, MSS);
    assert_int_equal(c.ssthresh, 10 * MSS);
}

static void it_does_not_wrap(void **state)
{
    struct cc c = begun(UINT32_MAX / 2 - 10);

    (void)state;
    for (int i = 0; i < 10; i++)
        acks(&c, 1u << 30, true);
    assert_true(c.cwnd <= UINT32_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(algorithms_have_names),
        cmocka_unit_test(octets_left_over_are_not_lost),
        cmocka_unit_test(the_initial_window),
        cmocka_unit_test(slow_start_grows_by_at_most_so_much_an_ack),
        cmocka_unit_test(a_limited_ack_leaves_nothing_behind),
        cmocka_unit_test(slow_start_doubles_each_round),
        cmocka_unit_test(slow_start_ends_at_ssthresh),
        cmocka_unit_test(congestion_avoidance_adds_a_segment_each_round),
        cmocka_unit_test(what_was_not_tried_does_not_grow),
        cmocka_unit_test(a_loss_halves_the_flight),
        cmocka_unit_test(a_timeout_begins_with_one_segment),
        cmocka_unit_test(it_does_not_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

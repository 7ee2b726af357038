/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_dctcp_test.c - the window of RFC 8257, window of observation by window of observation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/tcp_cc.h"

#define MSS 1000u
#define ONE (1u << 20)

static struct cc c;
static struct cc_run run;
static uint32_t at; /* SND.UNA */

static int begin(void **state)
{
    (void)state;
    cc_init(&c, 100 * MSS);
    memset(&run, 0, sizeof run);
    at = 1000;
    return 0;
}

static uint32_t alpha(void)
{
    return ONE - c.kept;
}

/* A window of n octets is acknowledged, of which so many were marked. */
static void window(uint32_t n, uint32_t marked)
{
    struct cc_sample s = {.rtt = ESTAB_NEVER, .mss = MSS, .flight = n, .cwnd_limited = false};

    for (uint32_t i = 0; i < n; i += MSS) {
        at += MSS;
        s.acked = MSS;
        s.marked = i < marked ? MSS : 0;
        s.una = (seq_t){at};
        s.nxt = (seq_t){at + n};
        cc_dctcp.on_ack(&c, &run, &s);
        cc_dctcp.on_delivered(&c, &run, &s);
    }
}

static void marked(void)
{
    struct cc_sample s = {.rtt = ESTAB_NEVER, .mss = MSS, .flight = c.cwnd};

    cc_dctcp.on_ecn(&c, &run, &s);
}

/* Section 3.3: "DCTCP.Alpha ... SHOULD be initialized to 1": the first mark halves. */
static void the_first_mark_halves(void **state)
{
    (void)state;
    assert_ptr_equal(cc_find("dctcp"), &cc_dctcp);
    assert_int_equal(alpha(), ONE);
    marked();
    assert_int_equal(c.cwnd, 50 * MSS);
    assert_int_equal(c.ssthresh, 50 * MSS);
}

/* Alpha follows the share that is marked, by a sixteenth each window. */
static void alpha_follows_the_share_of_marks(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        window(100 * MSS, 25 * MSS);
    assert_in_range(alpha(), ONE / 4 - ONE / 100, ONE / 4 + ONE / 100);
    c.cwnd = 100 * MSS;
    marked();
    assert_in_range(c.cwnd, 87 * MSS, 88 * MSS); /* 100 (1 - 0.25 / 2) */
    for (int i = 0; i < 300; i++)
        window(100 * MSS, 0);
    assert_int_equal(alpha(), 0);
    for (int i = 0; i < 300; i++)
        window(100 * MSS, 100 * MSS);
    assert_in_range(alpha(), ONE - ONE / 50, ONE);
}

/* Section 3.5: a loss is one, whatever alpha is. */
static void a_loss_halves(void **state)
{
    struct cc_sample s = {.rtt = ESTAB_NEVER, .mss = MSS, .flight = 60 * MSS};

    (void)state;
    for (int i = 0; i < 200; i++)
        window(100 * MSS, 0);
    cc_dctcp.on_loss(&c, &run, &s);
    assert_int_equal(c.cwnd, 30 * MSS);
    cc_dctcp.on_rto(&c, &run, &s, true);
    assert_int_equal(c.cwnd, MSS);
    assert_int_equal(c.ssthresh, 30 * MSS);
    s.flight = MSS;
    cc_dctcp.on_rto(&c, &run, &s, false); /* the same loss, RFC 5681 section 3.1 */
    assert_int_equal(c.ssthresh, 30 * MSS);
    cc_dctcp.on_loss(&c, &run, &s);
    assert_int_equal(c.cwnd, 2 * MSS);
}

/* What it has learnt of the network outlives a rest. */
static void alpha_outlives_the_work_part(void **state)
{
    uint32_t before;

    (void)state;
    for (int i = 0; i < 50; i++)
        window(100 * MSS, 10 * MSS);
    before = alpha();
    memset(&run, 0, sizeof run);
    assert_int_equal(alpha(), before);
    window(100 * MSS, 10 * MSS);
    assert_in_range(alpha(), before - ONE / 16, before + ONE / 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_mark_halves, begin),
        cmocka_unit_test_setup(alpha_follows_the_share_of_marks, begin),
        cmocka_unit_test_setup(a_loss_halves, begin),
        cmocka_unit_test_setup(alpha_outlives_the_work_part, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

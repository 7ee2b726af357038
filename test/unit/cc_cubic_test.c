/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_cubic_test.c - CUBIC against RFC 9438's formulas in floating point, and HyStart++ against
 * RFC 9406's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tcp/tcp_cc.h"

#define MSS    1448u
#define SEG(n) ((uint32_t)((n)*MSS))

struct flow {
    struct cc c;
    struct cc_run r;
    estab_time now;
    estab_dur rtt;
    uint32_t una; /* octets */
};

static const struct cc_ops *cc(void)
{
    return cc_find("cubic");
}

static void begin(struct flow *f, double segments, estab_dur rtt)
{
    *f = (struct flow){.now = ESTAB_S(1), .rtt = rtt};
    cc_init(&f->c, SEG(segments));
}

static struct cc_sample sample(const struct flow *f, uint32_t acked)
{
    return (struct cc_sample){.now = f->now,
                              .rtt = f->rtt,
                              .srtt = f->rtt,
                              .acked = acked,
                              .flight = f->c.cwnd,
                              .mss = MSS,
                              .una = seq_of(f->una),
                              .nxt = seq_of(f->una + f->c.cwnd),
                              .slow_start = 8 * MSS,
                              .cwnd_limited = true};
}

/* The window is acknowledged, a segment at a time, evenly over a round trip. */
static void round_trip(struct flow *f)
{
    uint32_t n = f->c.cwnd / MSS;

    for (uint32_t i = 0; i < n; i++) {
        struct cc_sample s;

        f->now += f->rtt / n;
        f->una += MSS;
        s = sample(f, MSS);
        cc()->on_ack(&f->c, &f->r, &s);
    }
}

static void runs(struct flow *f, estab_dur d)
{
    estab_time end = f->now + d;

    while (f->now < end)
        round_trip(f);
}

static void loses(struct flow *f)
{
    struct cc_sample s = sample(f, 0);

    cc()->on_loss(&f->c, &f->r, &s);
}

static double segments(const struct flow *f)
{
    return (double)f->c.cwnd / MSS;
}

/* Section 4.6. */
static void a_loss_takes_three_tenths(void **state)
{
    struct flow f;

    (void)state;
    begin(&f, 100, ESTAB_MS(100));
    loses(&f);
    assert_in_range(f.c.cwnd, SEG(69.9), SEG(70));
    assert_int_equal(f.c.ssthresh, f.c.cwnd);
    f.c.cwnd = SEG(2);
    loses(&f);
    assert_int_equal(f.c.cwnd, SEG(2)); /* never below two segments */
}

/* Section 4.2: W_cubic(t) = C (t - K)^3 + W_max, K = cbrt((W_max - cwnd_epoch) / C), a round trip
 * ahead of the clock and a round trip late in reaching it. */
static void the_window_follows_the_curve(void **state)
{
    const double w_max = 1000, rtt = 0.1;
    struct flow f;
    double k, worst = 0;
    estab_time began;

    (void)state;
    begin(&f, w_max, (estab_dur)(rtt * 1e9));
    loses(&f);
    k = cbrt((w_max - segments(&f)) / 0.4);
    began = f.now;
    while (f.now < began + ESTAB_S(14)) {
        double t, want;

        round_trip(&f);
        t = (double)(f.now - began) / 1e9;
        want = 0.4 * (t - k) * (t - k) * (t - k) + w_max;
        worst = fmax(worst, fabs(segments(&f) - want) / want);
    }
    printf("  K %.2f s, after 14 s %.0f segments, at most %.2f %% off the curve\n", k, segments(&f),
           100 * worst);
    assert_true(worst < 0.02);
    assert_true(segments(&f) > w_max);
}

/* Section 4.7. */
static void who_did_not_come_back_makes_room(void **state)
{
    struct flow f;

    (void)state;
    begin(&f, 1000, ESTAB_MS(100));
    loses(&f);
    assert_int_equal(f.c.kept, SEG(1000));
    runs(&f, ESTAB_S(1));
    assert_true(f.c.cwnd < SEG(1000));
    loses(&f);
    assert_true(f.c.kept < SEG(900)); /* 0.85 of what it had */
}

/* ... and who lost twice at the same window, or had more, remembers all of it: W_max is cwnd
 * times (1 + beta) / 2 only where it is less than the last. */
static void w_max_is_085_of_a_window_that_fell_short(void **state)
{
    struct flow f;

    (void)state;
    begin(&f, 1000, ESTAB_MS(100));
    loses(&f);
    f.c.cwnd = SEG(800);
    loses(&f);
    assert_in_range(f.c.kept, SEG(679), SEG(680));
    f.c.cwnd = SEG(680);
    loses(&f);
    assert_int_equal(f.c.kept, SEG(680));
}

/* Section 4.6 allows it to be of the window where what is not used does not grow: a flight that
 * just now is short, of ACKs that came together or of a window that the peer has closed, is not
 * taken for what the path holds. */
static void a_loss_leaves_seven_tenths_of_the_window(void **state)
{
    struct flow f;
    struct cc_sample s;

    (void)state;
    begin(&f, 100, ESTAB_MS(100));
    s = sample(&f, 0);
    s.flight = SEG(50);
    cc()->on_loss(&f.c, &f.r, &s);
    assert_in_range(f.c.cwnd, SEG(69.9), SEG(70));
}

/* Section 4.2: the window grows by half of itself in a round trip at most, however long ago the
 * epoch began. */
static void a_round_trip_adds_no_more_than_half(void **state)
{
    struct flow f;
    uint32_t was;

    (void)state;
    begin(&f, 100, ESTAB_MS(100));
    loses(&f);
    round_trip(&f);
    was = f.c.cwnd;
    f.now += ESTAB_S(50); /* the plateau is far behind */
    round_trip(&f);
    assert_in_range(f.c.cwnd, was + was / 3, was / 2 * 3 + was / 4);
}

/* Section 4.3: with a small window and a short round trip, Reno's growth, by W_est with alpha 9/17
 * of a segment a round trip. */
static void small_windows_grow_as_reno_would(void **state)
{
    struct flow f;
    double begun;

    (void)state;
    begin(&f, 20, ESTAB_MS(10));
    loses(&f);
    begun = segments(&f);
    for (int i = 0; i < 10; i++)
        round_trip(&f);
    assert_true(fabs(segments(&f) - begun - 10 * 9. / 17) < 0.7);
    /* once it is where it was before the loss, a whole segment */
    while (f.c.cwnd < SEG(21))
        round_trip(&f);
    begun = segments(&f);
    for (int i = 0; i < 10; i++)
        round_trip(&f);
    assert_true(segments(&f) - begun > 9);
}

/* Section 5.8: idle time does not count. */
static void nothing_grows_while_the_application_is_idle(void **state)
{
    struct flow f, g;
    struct cc_sample s;

    (void)state;
    begin(&f, 1000, ESTAB_MS(100));
    loses(&f);
    runs(&f, ESTAB_S(3));
    g = f;
    for (int i = 0; i < 100; i++) { /* ten seconds, a segment each 100 ms */
        g.now += ESTAB_MS(100);
        s = sample(&g, MSS);
        s.cwnd_limited = false;
        cc()->on_ack(&g.c, &g.r, &s);
    }
    assert_int_equal(g.c.cwnd, f.c.cwnd);
    runs(&f, ESTAB_S(2));
    runs(&g, ESTAB_S(2));
    assert_true(fabs(segments(&f) - segments(&g)) < 3);
}

/* Section 4.8. */
static void after_a_timeout_there_is_no_plateau(void **state)
{
    struct flow f;
    struct cc_sample s;

    (void)state;
    begin(&f, 100, ESTAB_MS(100));
    s = sample(&f, 0);
    cc()->on_rto(&f.c, &f.r, &s, true);
    assert_int_equal(f.c.cwnd, MSS);
    assert_in_range(f.c.ssthresh, SEG(69.9), SEG(70));
    cc()->on_rto(&f.c, &f.r, &s, false);
    assert_in_range(f.c.ssthresh, SEG(69.9), SEG(70));
    runs(&f, ESTAB_S(1));
    assert_true(f.c.cwnd >= f.c.ssthresh);
    assert_int_equal(f.r.u.cubic.k_ms, 0);
}

/* The window survives the work part; what was learnt about the path does, too. */
static void w_max_outlives_the_work_part(void **state)
{
    struct flow f;

    (void)state;
    begin(&f, 1000, ESTAB_MS(100));
    loses(&f);
    f.r = (struct cc_run){0};
    round_trip(&f);
    assert_in_range(f.r.u.cubic.k_ms, 9080, 9090); /* cbrt(300 / 0.4) s */
}

/* RFC 9406 section 4.2: slow start ends without a loss once the round trips get longer, five rounds
 * of slower growth later; and not because of one late segment. */
static void hystart_ends_slow_start(void **state)
{
    struct flow f;
    int rounds = 0;

    (void)state;
    begin(&f, 10, ESTAB_MS(40));
    for (; f.c.ssthresh == CC_SSTHRESH_MAX && rounds < 40; rounds++) {
        /* a bottleneck of 100 segments in 40 ms: what is beyond that waits */
        f.rtt = segments(&f) > 100 ? (estab_dur)(40e6 * segments(&f) / 100) : ESTAB_MS(40);
        round_trip(&f);
    }
    printf("  left slow start at %.0f segments, path 100, after %d rounds\n", segments(&f), rounds);
    assert_in_range(rounds, 4, 14);
    assert_true(segments(&f) > 100 && segments(&f) < 600);

    begin(&f, 10, ESTAB_MS(40));
    for (int i = 0; i < 5; i++) {
        f.rtt = ESTAB_MS(40);
        round_trip(&f);
        f.rtt = ESTAB_MS(80); /* one late segment */
        f.r.u.cubic.samples = 0;
    }
    assert_int_equal(f.c.ssthresh, CC_SSTHRESH_MAX);
    assert_true(segments(&f) > 300);
}

/* A round trip of 40 ms whose ACKs come within `span`. */
static void train(struct flow *f, estab_dur span, bool paced)
{
    uint32_t n = f->c.cwnd / MSS;
    estab_time end = f->now + f->rtt;

    for (uint32_t i = 0; i < n; i++) {
        struct cc_sample s;

        f->una += MSS;
        s = sample(f, MSS);
        s.rtt_min = ESTAB_MS(40);
        s.paced = paced;
        cc()->on_ack(&f->c, &f->r, &s);
        f->now += span / n;
    }
    f->now = end;
}

/* ACKs that come one after the other for more than half of a round trip are of a window that fills
 * the path, though nothing has waited yet; those of a burst are not, nor those of a sender that
 * spreads its text over as much. */
static void a_long_train_of_acks_ends_slow_start(void **state)
{
    static const struct {
        estab_dur span;
        bool paced, ends;
    } cases[] = {{ESTAB_MS(30), false, true},
                 {ESTAB_MS(39), false, true},
                 {ESTAB_MS(15), false, false},
                 {ESTAB_MS(30), true, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow f;

        begin(&f, 10, ESTAB_MS(40));
        for (int k = 0; k < 9; k++)
            train(&f, cases[i].span, cases[i].paced);
        assert_int_equal(f.c.ssthresh != CC_SSTHRESH_MAX, cases[i].ends);
        if (cases[i].ends)
            assert_in_range(f.c.cwnd, SEG(40), SEG(200)); /* 1.25^5 times what it was then */
        else
            assert_true(f.c.cwnd > SEG(2000));
    }
}

/* An ACK of a whole window, as a peer with receive offload sends it, adds what it acknowledges; as
 * many segments as the sample allows, where that is less. */
static void a_stretched_ack_adds_what_it_acknowledges(void **state)
{
    struct flow f;
    struct cc_sample s;

    (void)state;
    begin(&f, 40, ESTAB_MS(40));
    s = sample(&f, SEG(40));
    cc()->on_ack(&f.c, &f.r, &s);
    assert_int_equal(f.c.cwnd, SEG(48));
    assert_int_equal(cc()->slow_start, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_takes_three_tenths),
        cmocka_unit_test(the_window_follows_the_curve),
        cmocka_unit_test(who_did_not_come_back_makes_room),
        cmocka_unit_test(w_max_is_085_of_a_window_that_fell_short),
        cmocka_unit_test(a_loss_leaves_seven_tenths_of_the_window),
        cmocka_unit_test(a_round_trip_adds_no_more_than_half),
        cmocka_unit_test(small_windows_grow_as_reno_would),
        cmocka_unit_test(nothing_grows_while_the_application_is_idle),
        cmocka_unit_test(after_a_timeout_there_is_no_plateau),
        cmocka_unit_test(w_max_outlives_the_work_part),
        cmocka_unit_test(hystart_ends_slow_start),
        cmocka_unit_test(a_long_train_of_acks_ends_slow_start),
        cmocka_unit_test(a_stretched_ack_adds_what_it_acknowledges),
    };

    return cmocka_run_group_tests_name("cc_cubic", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* pipe_test.c - the model of an impaired link: its queues against what their papers promise, its
 * losses against their statistics, its wire against the clock. */
#include "link_kit.h"

enum { FRAME = 1000 };

struct bench {
    estab_pipe *p;
    estab_time now;
    struct estab_pipe_info i;
    uint64_t arrived;
    estab_time last_at;
};

static void bench_open(struct bench *b, const char *settings)
{
    struct estab_fault f;
    char err[ESTAB_ERRLEN];

    *b = (struct bench){.now = 0};
    if (estab_fault_parse(&f, settings, err) || estab_pipe_new(&b->p, &f, err))
        fail_msg("%s", err);
    b->i.size = sizeof b->i;
}

static void bench_collect(struct bench *b)
{
    struct estab_frame f;

    while (estab_pipe_pop(b->p, &f, b->now)) {
        b->arrived++;
        b->last_at = b->now;
    }
}

/* An IPv4 packet of FRAME octets, not ECN-capable or ECT(0). */
static void bench_push(struct bench *b, bool ect)
{
    uint8_t packet[FRAME] = {0x45, ect ? 2 : 0, FRAME >> 8, FRAME & 0xff, [8] = 64, [9] = 6};
    struct estab_frame f = kit_frame((const char *)packet, sizeof packet);

    estab_pipe_push(b->p, &f, b->now);
}

/* One frame each `gap` for so long. */
static void bench_load(struct bench *b, estab_dur gap, estab_dur lasts, bool ect)
{
    estab_time end = b->now + lasts;

    for (; b->now < end; b->now += gap) {
        bench_collect(b);
        bench_push(b, ect);
    }
    bench_collect(b);
    estab_pipe_info(b->p, b->now, &b->i);
}

/* Until nothing is under way. */
static void bench_drain(struct bench *b)
{
    estab_time due;

    while ((due = estab_pipe_deadline(b->p)) != ESTAB_NEVER) {
        b->now = due > b->now ? due : b->now;
        bench_collect(b);
    }
    estab_pipe_info(b->p, b->now, &b->i);
}

static void a_queue_of_octets_is_full_by_octets(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=5kB");
    for (int i = 0; i < 10; i++)
        bench_push(&b, false);
    bench_drain(&b);
    assert_int_equal(b.i.full, 5);
    assert_int_equal(b.arrived, 5);
    assert_true(b.last_at == ESTAB_MS(5));
    estab_pipe_free(b.p);
}

static void a_queue_of_time_is_as_long_as_its_rate_says(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=20ms");
    for (int i = 0; i < 100; i++)
        bench_push(&b, false);
    bench_drain(&b);
    assert_int_equal(b.arrived, 20);
    assert_true(estab_pipe_wait(b.p, 0.99) <= ESTAB_MS(20));
    estab_pipe_free(b.p);
}

/* RFC 8289 section 1: a queue that lasts is brought to the target, a burst that goes by itself is
 * left alone. */
static void codel_ends_a_standing_queue_and_spares_a_burst(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=1000,aqm=codel");
    for (int i = 0; i < 50; i++) /* 50 ms of it */
        bench_push(&b, false);
    bench_drain(&b);
    assert_int_equal(b.i.aqm, 0);
    assert_int_equal(b.arrived, 50);
    estab_pipe_free(b.p);

    /* 2 % too much, which drop-tail would let grow to a second. */
    bench_open(&b, "rate=8Mbit,queue=1000,aqm=codel");
    bench_load(&b, 980000, ESTAB_S(60), false);
    assert_true(b.i.aqm > 0);
    assert_int_equal(b.i.full, 0);
    assert_true(b.i.queued < 60);
    assert_true(estab_pipe_wait(b.p, 0.9) < ESTAB_MS(60));
    estab_pipe_free(b.p);

    bench_open(&b, "rate=8Mbit,queue=1000");
    bench_load(&b, 980000, ESTAB_S(60), false);
    assert_true(b.i.queued > 900);
    estab_pipe_free(b.p);
}

/* RFC 8289 section 5.4: the first drop comes an interval after the target was passed, each next one
 * interval / sqrt(count) later. */
static void codel_drops_by_its_control_law(void **state)
{
    static const double law[] = {1, 1.4142, 1.7321, 2, 2.2361};
    struct bench b;
    estab_time dropped_at[6];
    uint64_t drops = 0;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=100000,aqm=codel");
    while (drops < 6 && b.now < ESTAB_S(2)) {
        bench_collect(&b);
        bench_push(&b, false);
        bench_push(&b, false);
        estab_pipe_info(b.p, b.now, &b.i);
        if (b.i.aqm > drops)
            dropped_at[drops++] = b.now;
        b.now += ESTAB_MS(1);
    }
    assert_int_equal(drops, 6);
    /* 5 ms of queue after some 10 ms of double load, and an interval. */
    assert_in_range(dropped_at[0], ESTAB_MS(103), ESTAB_MS(118));
    for (int i = 0; i < 5; i++) {
        double want = 100 / law[i], got = (double)(dropped_at[i + 1] - dropped_at[i]) / 1e6;

        assert_true(got > want - 3 && got < want + 3);
    }
    estab_pipe_free(b.p);
}

static void codel_marks_what_is_ecn_capable(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=1000,aqm=codel,ecn=yes");
    bench_load(&b, 980000, ESTAB_S(10), true);
    assert_true(b.i.marked > 5);
    assert_int_equal(b.i.aqm, 0);
    estab_pipe_free(b.p);
    bench_open(&b, "rate=8Mbit,queue=1000,aqm=codel,ecn=yes");
    bench_load(&b, 980000, ESTAB_S(10), false);
    assert_int_equal(b.i.marked, 0);
    assert_true(b.i.aqm > 5);
    estab_pipe_free(b.p);
}

/* RFC 3168 section 5: CE is both bits; the header's checksum is right afterwards. */
static void a_mark_leaves_a_valid_header(void **state)
{
    uint8_t packet[FRAME] = {0x45, 1, FRAME >> 8, FRAME & 0xff, [8] = 64, [9] = 6, 0x5e, 0x47, 10,
                             0,    0, 1,          10,           0,        0,       2};
    struct estab_frame f = kit_frame((const char *)packet, sizeof packet), got;
    uint8_t *octets;
    uint32_t sum, before = 0;
    struct bench b;
    int marked = 0;

    (void)state;
    for (int i = 0; i < 20; i += 2)
        before += (uint32_t)(packet[i] << 8 | packet[i + 1]);
    before = (before & 0xffff) + (before >> 16);
    bench_open(&b, "rate=8Mbit,queue=1000,aqm=codel,ecn=yes");
    for (int i = 0; i < 2000; i++, b.now += 900000) {
        estab_pipe_push(b.p, &f, b.now);
        while (estab_pipe_pop(b.p, &got, b.now)) {
            octets = got.iov[0].base;
            marked += (octets[1] & 3) == 3;
            sum = 0;
            for (int k = 0; k < 20; k += 2)
                sum += (uint32_t)(octets[k] << 8 | octets[k + 1]);
            sum = (sum & 0xffff) + (sum >> 16);
            assert_int_equal(sum, before);
        }
    }
    assert_true(marked > 0);
    estab_pipe_free(b.p);
}

/* Floyd and Jacobson, section 4: nothing below the lower threshold; between them a share that grows
 * to red_p, evenly spread; everything above the upper. */
static void red_drops_by_the_average(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=200,aqm=red,red_min=20,red_max=60,red_p=10%");
    bench_load(&b, ESTAB_MS(1), ESTAB_S(10), false); /* just as much as the wire carries */
    assert_int_equal(b.i.aqm, 0);
    for (int i = 0; i < 15; i++)
        bench_push(&b, false);
    bench_drain(&b);
    assert_int_equal(b.i.aqm, 0);
    estab_pipe_free(b.p);

    /* 5 % too much: the average settles where a twentieth is dropped, at 40 frames, in steps of
     * waves around it. */
    bench_open(&b, "rate=8Mbit,queue=200,aqm=red,red_min=20,red_max=60,red_p=10%");
    bench_load(&b, 950000, ESTAB_S(300), false);
    assert_int_equal(b.i.full, 0);
    assert_in_range(b.i.aqm * 1000 / b.i.offered, 45, 55);
    assert_in_range(b.i.wait_sum / (b.i.offered - b.i.aqm), ESTAB_MS(25), ESTAB_MS(55));
    estab_pipe_free(b.p);

    /* Twice too much: the average stays at the upper threshold. */
    bench_open(&b, "rate=8Mbit,queue=200,aqm=red,red_min=20,red_max=60,red_p=10%");
    bench_load(&b, 500000, ESTAB_S(60), false);
    assert_in_range(b.i.queued, 40, 80);
    assert_int_equal(b.i.full, 0);
    estab_pipe_free(b.p);
}

static void red_marks_between_the_thresholds_and_drops_above(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,queue=500,aqm=red,red_min=20,red_max=60,red_p=10%,ecn=yes");
    bench_load(&b, 500000, ESTAB_S(20), true);
    assert_true(b.i.marked > 0);
    assert_true(b.i.aqm > b.i.offered / 3); /* RFC 3168 section 7 */
    estab_pipe_free(b.p);
}

static void losses_come_as_often_as_they_should(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "loss=2%,seed=5");
    for (int i = 0; i < 100000; i++)
        bench_push(&b, false);
    bench_drain(&b);
    assert_in_range(b.i.lost, 1900, 2100);
    assert_int_equal(b.arrived, 100000 - b.i.lost);
    estab_pipe_free(b.p);
}

/* Gilbert-Elliott: the share of time in the bad state is p/(p+r), a stay in it lasts 1/r frames. */
static void losses_of_a_channel_come_in_bursts(void **state)
{
    struct bench b;
    uint64_t lost = 0, bursts = 0;
    bool was_lost = false;

    (void)state;
    bench_open(&b, "ge=1%/20%,seed=5");
    for (int i = 0; i < 200000; i++) {
        bench_push(&b, false);
        bench_collect(&b);
        estab_pipe_info(b.p, b.now, &b.i);
        bursts += b.i.lost > lost && !was_lost;
        was_lost = b.i.lost > lost;
        lost = b.i.lost;
    }
    assert_in_range(lost * 10000 / 200000, 440, 512); /* 4.76 % */
    assert_in_range(lost * 100 / bursts, 470, 530);   /* five in a row */
    estab_pipe_free(b.p);
}

static void listed_frames_are_lost_and_no_others(void **state)
{
    struct bench b;
    char got[64] = "";

    (void)state;
    bench_open(&b, "drop=2+5..7");
    for (int i = 1; i <= 9; i++) {
        uint64_t before = b.arrived;

        bench_push(&b, false);
        bench_collect(&b);
        if (b.arrived > before)
            sprintf(got + strlen(got), "%d ", i);
    }
    assert_string_equal(got, "1 3 4 8 9 ");
    estab_pipe_free(b.p);
}

static void nothing_arrives_in_an_outage(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "outage_every=1s,outage_for=200ms");
    bench_load(&b, ESTAB_MS(10), ESTAB_S(10), false);
    assert_int_equal(b.i.offered, 1000);
    assert_int_equal(b.i.outage, 200);
    estab_pipe_down(b.p, true, b.now);
    bench_load(&b, ESTAB_MS(10), ESTAB_MS(500), false);
    assert_int_equal(b.i.outage, 250);
    estab_pipe_free(b.p);
}

static void jitter_in_order_does_not_reorder(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "delay=10ms,jitter=20ms,in_order=yes,seed=3");
    bench_load(&b, ESTAB_MS(1), ESTAB_S(2), false);
    assert_int_equal(b.i.reordered, 0);
    estab_pipe_free(b.p);
    bench_open(&b, "delay=10ms,jitter=20ms,seed=3");
    bench_load(&b, ESTAB_MS(1), ESTAB_S(2), false);
    assert_true(b.i.reordered > 500);
    estab_pipe_free(b.p);
}

/* Two directions that share a wire take turns by who came first, and together no more than it
 * carries. */
static void half_duplex_is_one_wire(void **state)
{
    struct bench a, b;
    estab_time at;

    (void)state;
    bench_open(&a, "rate=8Mbit");
    bench_open(&b, "rate=8Mbit");
    estab_pipe_join(a.p, b.p);
    for (int i = 0; i < 10; i++) {
        bench_push(&a, false);
        bench_push(&b, false);
        a.now = b.now += 1000;
    }
    for (at = 0; at <= ESTAB_MS(20); at += ESTAB_US(500)) {
        a.now = b.now = at > a.now ? at : a.now;
        bench_collect(&a);
        bench_collect(&b);
        assert_true(a.arrived <= b.arrived + 1 && b.arrived <= a.arrived + 1);
    }
    assert_int_equal(a.arrived + b.arrived, 20);
    assert_true(a.last_at == ESTAB_MS(19) || b.last_at == ESTAB_MS(20));
    estab_pipe_free(a.p);
    estab_pipe_free(b.p);
}

static void framing_and_air_time_cost(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "rate=8Mbit,framing=24,per_frame=100us");
    for (int i = 0; i < 10; i++)
        bench_push(&b, false);
    bench_drain(&b);
    assert_true(b.last_at == 10 * (ESTAB_US(1024) + ESTAB_US(100)));
    estab_pipe_free(b.p);
}

/* Who comes only when the deadline says so sees every frame at the time it is due. */
static void the_deadline_is_never_too_late(void **state)
{
    static const char settings[] = "rate=8Mbit,delay=3ms,jitter=9ms,loss=5%,dup=5%,reorder=5%,"
                                   "late=1%,late_by=50ms,aqm=codel,queue=30,seed=11";
    struct bench often, seldom;
    estab_time due;

    (void)state;
    bench_open(&often, settings);
    bench_open(&seldom, settings);
    for (estab_time at = 0; at < ESTAB_S(3); at += 10000) {
        often.now = at;
        if (at % 900000 == 0) {
            bench_push(&often, false);
            seldom.now = at;
            bench_push(&seldom, false);
        }
        bench_collect(&often);
        while ((due = estab_pipe_deadline(seldom.p)) <= at) {
            seldom.now = due > seldom.now ? due : seldom.now;
            bench_collect(&seldom);
        }
        assert_int_equal(often.arrived, seldom.arrived);
    }
    assert_true(often.arrived > 2000);
    estab_pipe_free(often.p);
    estab_pipe_free(seldom.p);
}

static void changed_settings_hold_from_now_on(void **state)
{
    struct estab_fault f;
    struct bench b;
    char err[ESTAB_ERRLEN];

    (void)state;
    bench_open(&b, "rate=8Mbit");
    bench_push(&b, false);
    bench_push(&b, false);
    assert_int_equal(estab_fault_parse(&f, "rate=80Mbit", err), 0);
    assert_int_equal(estab_pipe_set(b.p, &f, b.now, err), 0);
    bench_drain(&b);
    assert_true(b.last_at == ESTAB_US(1100));
    estab_pipe_free(b.p);
}

static void lose_odd(void *ctx, struct estab_fate *f)
{
    (void)ctx;
    f->lost = f->frame % 2 == 1;
}

static void fates_can_be_seen_and_changed(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "loss=50%,seed=3");
    estab_pipe_fates(b.p, lose_odd, NULL);
    for (int i = 0; i < 100; i++)
        bench_push(&b, false);
    bench_drain(&b);
    assert_int_equal(b.arrived, 50);
    estab_pipe_free(b.p);
}

static void words_of_queues_and_channels_are_read(void **state)
{
    static const char *const good[] = {
        "queue=10",  "queue=64kB,rate=1Mbit", "rate=1Mbit,queue=50ms",
        "aqm=red",   "aqm=codel,target=1ms",  "ge=1%/20%/90%/0.1%",
        "drop=1..3", "ecn=yes,in_order=no",   "framing=38"};
    static const char *const bad[] = {"queue=50ms",
                                      "queue=1%",
                                      "aqm=blue",
                                      "ge=1%",
                                      "ge=1/2/3",
                                      "drop=0",
                                      "drop=3..1",
                                      "drop=",
                                      "ecn=maybe",
                                      "framing=1e9",
                                      "red_min=5,red_max=2",
                                      "outage_every=1s,outage_for=2s",
                                      "queue=0B"};
    struct estab_fault f;
    char err[ESTAB_ERRLEN];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (estab_fault_parse(&f, good[i], err))
            fail_msg("%s", err);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (estab_fault_parse(&f, bad[i], err) == 0)
            fail_msg("%s was accepted", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_of_octets_is_full_by_octets),
        cmocka_unit_test(a_queue_of_time_is_as_long_as_its_rate_says),
        cmocka_unit_test(codel_ends_a_standing_queue_and_spares_a_burst),
        cmocka_unit_test(codel_drops_by_its_control_law),
        cmocka_unit_test(codel_marks_what_is_ecn_capable),
        cmocka_unit_test(a_mark_leaves_a_valid_header),
        cmocka_unit_test(red_drops_by_the_average),
        cmocka_unit_test(red_marks_between_the_thresholds_and_drops_above),
        cmocka_unit_test(losses_come_as_often_as_they_should),
        cmocka_unit_test(losses_of_a_channel_come_in_bursts),
        cmocka_unit_test(listed_frames_are_lost_and_no_others),
        cmocka_unit_test(nothing_arrives_in_an_outage),
        cmocka_unit_test(jitter_in_order_does_not_reorder),
        cmocka_unit_test(half_duplex_is_one_wire),
        cmocka_unit_test(framing_and_air_time_cost),
        cmocka_unit_test(the_deadline_is_never_too_late),
        cmocka_unit_test(changed_settings_hold_from_now_on),
        cmocka_unit_test(fates_can_be_seen_and_changed),
        cmocka_unit_test(words_of_queues_and_channels_are_read),
    };

    return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}

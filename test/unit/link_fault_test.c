/* SPDX-License-Identifier: BSD-2-Clause */
/* link_fault_test.c - impairment in virtual time, and its settings as text. */
#include "link_kit.h"

struct lab {
    struct estab_virtual v;
    struct estab_env env;
    estab_link *near, *far; /* near is impaired */
};

static void lab_open(struct lab *b, struct estab_fault f)
{
    estab_link *l[2];
    char err[ESTAB_ERRLEN];

    estab_virtual_env(&b->env, &b->v, 1);
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    f.now = b->env.now;
    f.ctx = b->env.ctx;
    assert_int_equal(estab_link_fault(&b->near, l[0], &f, err), 0);
    b->far = l[1];
}

static void lab_close(struct lab *b)
{
    estab_link_close(b->near);
    estab_link_close(b->far);
}

/* Moves time to the link's deadline and lets it send; false: nothing is under way. */
static bool lab_step(struct lab *b)
{
    estab_time due = estab_link_deadline(b->near);
    struct estab_frame f;

    if (due == ESTAB_NEVER)
        return false;
    assert_true(due > b->v.now);
    b->v.now = due;
    estab_link_recv(b->near, &f, 1);
    return true;
}

static void without_settings_nothing_happens_to_a_frame(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){0});
    assert_int_equal(kit_send(b.near, "a"), 1);
    assert_int_equal(kit_send(b.near, "b"), 1);
    kit_assert_received(b.far, "a b ");
    kit_send(b.far, "c");
    kit_assert_received(b.near, "c ");
    assert_int_equal(b.near->frames_out, 2);
    assert_int_equal(b.near->frames_in, 1);
    assert_int_equal(b.near->lost_out, 0);
    assert_string_equal(b.near->name, "pair:a");
    lab_close(&b);
}

static void all_or_about_a_tenth_is_lost(void **state)
{
    struct lab b;
    char got[8192];
    int n;

    (void)state;
    lab_open(&b, (struct estab_fault){.loss = 1});
    assert_int_equal(kit_send(b.near, "a"), 1);
    kit_assert_received(b.far, "");
    assert_int_equal(b.near->lost_out, 1);
    lab_close(&b);

    lab_open(&b, (struct estab_fault){.loss = 0.1, .seed = 3});
    for (int i = 0; i < 1000; i++)
        kit_send(b.near, "a");
    n = kit_recv_all(b.far, got, sizeof got);
    assert_in_range(n, 850, 950);
    assert_int_equal(b.near->lost_out, 1000 - n);
    lab_close(&b);
}

static void a_duplicate_comes_twice(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){.duplicate = 1});
    kit_send(b.near, "a");
    kit_send(b.near, "b");
    kit_assert_received(b.far, "a a b b ");
    lab_close(&b);
}

static void corruption_flips_one_bit_of_the_copy(void **state)
{
    struct lab b;
    const char sent[8] = "aaaaaaa";
    struct estab_frame f = kit_frame(sent, 8), got;
    int flipped;

    (void)state;
    lab_open(&b, (struct estab_fault){.corrupt = 1, .seed = 9});
    for (int i = 0; i < 100; i++) {
        estab_link_send(b.near, &f, 1);
        assert_string_equal(sent, "aaaaaaa");
        assert_int_equal(estab_link_recv(b.far, &got, 1), 1);
        flipped = 0;
        for (size_t k = 0; k < 64; k++)
            flipped += (sent[k / 8] ^ ((char *)got.iov[0].base)[k / 8]) >> k % 8 & 1;
        assert_int_equal(flipped, 1);
    }
    lab_close(&b);
}

static void delay_holds_frames_in_order(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){.delay = ESTAB_MS(20)});
    kit_send(b.near, "a");
    b.v.now = ESTAB_MS(5);
    kit_send(b.near, "b");
    kit_assert_received(b.far, "");
    assert_true(estab_link_deadline(b.near) == ESTAB_MS(20));
    assert_true(lab_step(&b));
    kit_assert_received(b.far, "a ");
    assert_true(estab_link_deadline(b.near) == ESTAB_MS(25));
    assert_true(lab_step(&b));
    kit_assert_received(b.far, "b ");
    assert_false(lab_step(&b));
    lab_close(&b);
}

static void sending_later_releases_what_is_due(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){.delay = ESTAB_MS(20)});
    kit_send(b.near, "a");
    b.v.now = ESTAB_MS(30);
    kit_send(b.near, "b");
    kit_assert_received(b.far, "a ");
    lab_close(&b);
}

static void equal_times_keep_the_order_of_sending(void **state)
{
    struct lab b;
    char text[16], want[1024] = "", got[1024];

    (void)state;
    lab_open(&b, (struct estab_fault){.delay = ESTAB_MS(1)});
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "%d", i);
        kit_send(b.near, text);
        strcat(strcat(want, text), " ");
    }
    lab_step(&b);
    kit_recv_all(b.far, got, sizeof got);
    assert_string_equal(got, want);
    lab_close(&b);
}

static void jitter_stays_in_its_range_and_in_order_of_time(void **state)
{
    struct lab b;
    estab_time last = 0;
    int steps = 0;

    (void)state;
    lab_open(&b, (struct estab_fault){.delay = ESTAB_MS(10), .jitter = ESTAB_MS(5), .seed = 2});
    for (int i = 0; i < 200; i++)
        kit_send(b.near, "a");
    while (lab_step(&b)) {
        assert_in_range(b.v.now, ESTAB_MS(10), ESTAB_MS(15) - 1);
        assert_true(b.v.now > last);
        last = b.v.now;
        steps++;
    }
    assert_true(steps > 190);
    assert_int_equal(b.near->frames_out, 200);
    lab_close(&b);
}

static void reordering_lets_later_frames_pass(void **state)
{
    struct lab b;
    char got[4096];

    (void)state;
    lab_open(&b, (struct estab_fault){.reorder = 1, .reorder_by = ESTAB_MS(10)});
    kit_send(b.near, "a");
    kit_assert_received(b.far, "");
    lab_step(&b);
    assert_true(b.v.now == ESTAB_MS(10));
    kit_assert_received(b.far, "a ");
    lab_close(&b);

    lab_open(&b, (struct estab_fault){.reorder = 0.2, .reorder_by = ESTAB_MS(10), .seed = 4});
    for (int i = 0; i < 100; i++)
        kit_send(b.near, "a");
    assert_in_range(kit_recv_all(b.far, got, sizeof got), 60, 95);
    while (lab_step(&b))
        ;
    kit_recv_all(b.far, got, sizeof got);
    assert_int_equal(b.far->frames_in, 100);
    lab_close(&b);
}

static void a_wanderer_arrives_again_much_later(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){.late = 1, .late_by = ESTAB_S(90)});
    kit_send(b.near, "a");
    kit_assert_received(b.far, "a ");
    lab_step(&b);
    assert_true(b.v.now == ESTAB_S(90));
    kit_assert_received(b.far, "a ");
    assert_false(lab_step(&b));
    lab_close(&b);
}

static void the_rate_spaces_frames_and_bounds_the_queue(void **state)
{
    struct lab b;
    char kilo[1000] = {0};
    struct estab_frame f = kit_frame(kilo, sizeof kilo);

    (void)state;
    memset(kilo, 'k', sizeof kilo);
    lab_open(&b, (struct estab_fault){.rate = 1000000, .queue = 3});
    for (int i = 0; i < 5; i++)
        assert_int_equal(estab_link_send(b.near, &f, 1), 1);
    assert_int_equal(b.near->lost_out, 2);
    for (estab_time at = 1; at <= 3; at++) {
        assert_true(lab_step(&b));
        assert_true(b.v.now == ESTAB_MS(at));
    }
    assert_false(lab_step(&b));
    b.v.now = ESTAB_MS(10);
    estab_link_send(b.near, &f, 1); /* an idle wire does not save up */
    assert_true(estab_link_deadline(b.near) == ESTAB_MS(11));
    lab_close(&b);
}

static void run_seed(uint64_t seed, char *log, size_t room, double loss)
{
    struct lab b;
    char text[16], got[256];
    size_t at = 0;
    struct estab_fault f = {.loss = loss,
                            .duplicate = 0.1,
                            .reorder = 0.1,
                            .corrupt = 0.1,
                            .late = 0.1,
                            .delay = ESTAB_MS(3),
                            .jitter = ESTAB_MS(4),
                            .reorder_by = ESTAB_MS(7),
                            .late_by = ESTAB_MS(40),
                            .rate = 100000,
                            .seed = seed};

    lab_open(&b, f);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%d", i);
        kit_send(b.near, text);
    }
    log[0] = '\0';
    while (lab_step(&b)) {
        if (kit_recv_all(b.far, got, sizeof got) == 0)
            continue;
        at += (size_t)snprintf(log + at, room - at, "%llu:%s", (unsigned long long)b.v.now, got);
        assert_true(at < room);
    }
    lab_close(&b);
}

static void a_seed_is_a_fate(void **state)
{
    char a[16384], b[16384];

    (void)state;
    run_seed(7, a, sizeof a, 0.2);
    run_seed(7, b, sizeof b, 0.2);
    assert_string_equal(a, b);
    run_seed(8, b, sizeof b, 0.2);
    assert_string_not_equal(a, b);
}

/* With another loss rate, the frames that survive both meet the same delays and damage. */
static void one_setting_does_not_stir_the_others(void **state)
{
    char few[16384], all[16384], *item, *save;

    (void)state;
    run_seed(7, few, sizeof few, 0.2);
    run_seed(7, all, sizeof all, 0);
    assert_true(strlen(few) < strlen(all));
    for (item = strtok_r(few, " ", &save); item; item = strtok_r(NULL, " ", &save))
        assert_non_null(strstr(all, item));
}

static void closing_drops_what_is_under_way(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){.delay = ESTAB_S(1)});
    for (int i = 0; i < 100; i++)
        kit_send(b.near, "a");
    lab_close(&b);
}

static void the_loss_of_the_link_below_is_told(void **state)
{
    struct lab b;

    (void)state;
    lab_open(&b, (struct estab_fault){0});
    estab_link_close(b.far);
    assert_int_equal(kit_send(b.near, "a"), -1);
    assert_string_equal(b.near->error, "pair:a: the other end is closed");
    estab_link_close(b.near);
}

static void impossible_settings_are_refused(void **state)
{
    const struct estab_fault bad[] = {
        {.loss = 1.5}, {.corrupt = -0.1}, {.reorder = 0.1}, {.late = 0.1}};
    estab_link *l[2], *out = NULL;
    char err[ESTAB_ERRLEN];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
        assert_int_equal(estab_link_fault(&out, l[0], &bad[i], err), -1);
        assert_memory_equal(err, "fault: ", 7);
        assert_null(out);
        estab_link_close(l[1]);
    }
}

static void settings_are_parsed(void **state)
{
    struct estab_fault f;
    char err[ESTAB_ERRLEN];

    (void)state;
    assert_int_equal(estab_fault_parse(&f,
                                       "loss=1%,dup=0.5%,reorder=2%,reorder_by=10ms,corrupt=0.001,"
                                       "delay=20ms,jitter=1.5ms,rate=10Mbit,queue=50,late=100%,"
                                       "late_by=2min,seed=18446744073709551615",
                                       err),
                     0);
    assert_true(f.loss > 0.0099 && f.loss < 0.0101);
    assert_true(f.duplicate > 0.0049 && f.duplicate < 0.0051);
    assert_true(f.reorder > 0.019 && f.reorder < 0.021);
    assert_true(f.corrupt > 0.0009 && f.corrupt < 0.0011);
    assert_true(f.late > 0.99 && f.late <= 1);
    assert_true(f.reorder_by == ESTAB_MS(10));
    assert_true(f.delay == ESTAB_MS(20));
    assert_true(f.jitter == ESTAB_US(1500));
    assert_true(f.late_by == ESTAB_S(120));
    assert_int_equal(f.rate, 1250000);
    assert_int_equal(f.queue, 50);
    assert_true(f.seed == UINT64_MAX);
    assert_null(f.now);
}

static void what_is_not_named_has_its_default(void **state)
{
    struct estab_fault f;
    char err[ESTAB_ERRLEN];

    (void)state;
    memset(&f, 0x5a, sizeof f);
    assert_int_equal(estab_fault_parse(&f, "", err), 0);
    assert_true(f.loss <= 0 && f.late <= 0 && f.delay == 0 && f.rate == 0 && f.seed == 0);
    assert_null(f.now);
    assert_int_equal(estab_fault_parse(&f, "reorder=1%", err), 0);
    assert_true(f.reorder_by == ESTAB_MS(10));
}

static void nonsense_is_refused_and_named(void **state)
{
    static const char *const bad[] = {"loss",       "loss=",      "loss=1s",  "loss=-1",
                                      "loss=101%",  "delay=10",   "delay=ms", "delay=1.2.3ms",
                                      "rate=10",    "queue=0",    "seed=-1",  "seed=x",
                                      "seed=1x",    "lose=1%",    "=1",       "loss=1% ",
                                      "loss=0x10%", "delay=1e9s", "queue=1%", "loss=nan"};
    struct estab_fault f = {.seed = 77};
    char err[ESTAB_ERRLEN], text[64];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err[0] = '\0';
        snprintf(text, sizeof text, "seed=1,%s,jitter=1ms", bad[i]);
        if (estab_fault_parse(&f, text, err) == 0)
            fail_msg("%s was accepted", bad[i]);
        assert_memory_equal(err, "fault: ", 7);
        assert_int_equal(f.seed, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_settings_nothing_happens_to_a_frame),
        cmocka_unit_test(all_or_about_a_tenth_is_lost),
        cmocka_unit_test(a_duplicate_comes_twice),
        cmocka_unit_test(corruption_flips_one_bit_of_the_copy),
        cmocka_unit_test(delay_holds_frames_in_order),
        cmocka_unit_test(sending_later_releases_what_is_due),
        cmocka_unit_test(equal_times_keep_the_order_of_sending),
        cmocka_unit_test(jitter_stays_in_its_range_and_in_order_of_time),
        cmocka_unit_test(reordering_lets_later_frames_pass),
        cmocka_unit_test(a_wanderer_arrives_again_much_later),
        cmocka_unit_test(the_rate_spaces_frames_and_bounds_the_queue),
        cmocka_unit_test(a_seed_is_a_fate),
        cmocka_unit_test(one_setting_does_not_stir_the_others),
        cmocka_unit_test(closing_drops_what_is_under_way),
        cmocka_unit_test(the_loss_of_the_link_below_is_told),
        cmocka_unit_test(impossible_settings_are_refused),
        cmocka_unit_test(settings_are_parsed),
        cmocka_unit_test(what_is_not_named_has_its_default),
        cmocka_unit_test(nonsense_is_refused_and_named),
    };

    return cmocka_run_group_tests_name("link_fault", tests, NULL, NULL);
}

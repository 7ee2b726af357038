/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_pace_test.c - text that goes by the clock: at which rate, in which pieces, and what does not
 * wait for it. */
#include "unit/peer.h"

/* A connection with a round trip of 100 ms and full segments of 1000 octets. */
static void connects(struct peer *p)
{
    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, ESTAB_MS(100));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
}

/* Octets of text that have left so far. */
static uint32_t text_left(struct peer *p)
{
    uint32_t n = 0;

    peer_collect(p);
    while (has_got(p))
        n += got(p)->len;
    return n;
}

static void acks(struct peer *p, uint32_t number)
{
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = number));
}

/* ---- how fast ---- */

static void without_pacing_the_window_goes_at_once(void **state)
{
    struct peer *p = *state;

    connects(p);
    user_sends(p, 1, 20000);
    assert_int_equal(text_left(p), 10000);
    assert_int_equal(info_of(p).pacing_rate, 0);
}

/* Ten segments at twice 10000 octets in 100 ms: two each 10 ms. */
static void slow_start_is_spread_over_half_a_round_trip(void **state)
{
    struct peer *p = *state;

    p->cfg.pacing = true;
    peer_restarts(p);
    connects(p);
    assert_int_equal(info_of(p).pacing_rate, 200000);
    user_sends(p, 1, 20000);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(text_left(p), 2000);
        waits(p, ESTAB_MS(8));
        assert_int_equal(text_left(p), 0);
        waits(p, ESTAB_MS(2) + ESTAB_US(200)); /* a tick of the wheel */
    }
    assert_int_equal(text_left(p), 0);
    assert_int_equal(info_of(p).flight, 10000);
}

/* After it, 1.2 times the window in a round trip. */
static void congestion_avoidance_is_spread_over_most_of_one(void **state)
{
    struct peer *p = *state;

    p->cfg.pacing = true;
    peer_restarts(p);
    connects(p);
    user_sends(p, 1, 10000);
    waits(p, ESTAB_MS(60));
    (void)text_left(p);
    for (int i = 0; i < 3; i++)
        acks(p, 1);
    for (uint32_t n = 5000; n <= 10000; n += 5000) {
        acks(p, n + 1);
        waits(p, ESTAB_MS(30));
    }
    (void)text_left(p);
    assert_int_equal(info_of(p).flight, 0);
    for (uint32_t n = 10001; info_of(p).cwnd < info_of(p).ssthresh / 2; n += 10000) {
        user_sends(p, n, 10000);
        for (uint32_t k = 1000; k <= 10000; k += 1000) {
            waits(p, ESTAB_MS(100));
            acks(p, n + k);
        }
    }
    assert_int_equal(info_of(p).pacing_rate,
                     (uint64_t)info_of(p).cwnd * 1000000 / (info_of(p).srtt / 1000) * 6 / 5);
}

/* As much in a second as the user has said, and neither less for timers that are late. */
static void the_users_rate_is_kept(void **state)
{
    struct peer *p = *state;
    uint32_t n = 0;

    p->cfg.initial_window = 60;
    peer_restarts(p);
    connects(p);
    user_sets(p, ESTAB_O_PACING_RATE, 100000);
    user_sends(p, 1, 250000);
    for (int i = 0; i < 100; i++) {
        n += text_left(p);
        acks(p, n + 1);
        waits(p, ESTAB_MS(10));
    }
    assert_in_range(n, 98000, 104000);
    assert_int_equal(info_of(p).pacing_rate, 100000);
}

/* A window that the user's rate keeps from filling has not been tried, and does not grow. */
static void a_window_that_is_not_filled_does_not_grow(void **state)
{
    struct peer *p = *state;
    uint32_t n = 0, cwnd;

    connects(p);
    user_sets(p, ESTAB_O_PACING_RATE, 50000);
    user_sends(p, 1, 400000);
    cwnd = info_of(p).cwnd;
    for (int i = 0; i < 100; i++) {
        waits(p, ESTAB_MS(20));
        n += text_left(p);
        acks(p, n + 1);
    }
    assert_in_range(info_of(p).cwnd, cwnd, 2 * cwnd);
}

/* What was missed while nobody ran the timers is made up for, by a quantum at most. */
static void a_late_driver_gets_no_burst(void **state)
{
    struct peer *p = *state;

    p->cfg.pacing = true;
    peer_restarts(p);
    connects(p);
    user_sends(p, 1, 20000);
    assert_int_equal(text_left(p), 2000);
    p->v.now += ESTAB_MS(40);
    (void)estab_expire(p->s);
    assert_in_range(text_left(p), 2000, 4000);
}

/* ---- what does not wait ---- */

static void acknowledgments_do_not_wait(void **state)
{
    struct peer *p = *state;

    connects(p);
    user_sets(p, ESTAB_O_PACING_RATE, 10000);
    user_sends(p, 1, 5000);
    (void)text_left(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 2001, .ack = 1001))->len, 0);
    assert_int_equal(info_of(p).timer, ESTAB_T_PACE);
}

static void a_fin_alone_does_not_wait(void **state)
{
    struct peer *p = *state;

    connects(p);
    user_sets(p, ESTAB_O_PACING_RATE, 10000);
    user_sends(p, 1, 2000);
    assert_int_equal(text_left(p), 2000);
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 2001, .ack = 1));
}

/* What is sent again is text, too. */
static void retransmissions_keep_the_rate(void **state)
{
    struct peer *p = *state;

    p->cfg.pacing = true;
    peer_restarts(p);
    connects(p);
    user_sends(p, 1, 10000);
    waits(p, ESTAB_MS(60));
    assert_int_equal(text_left(p), 10000);
    waits(p, ESTAB_MS(250));
    assert_int_equal(text_left(p), 1000);
    acks(p, 5001); /* a window of a segment was 20 a second */
    assert_int_equal(text_left(p), 0);
    waits(p, ESTAB_MS(45));
    assert_in_range(text_left(p), 1000, 2000);
}

/* Nearly all of a flight was lost; next to nothing is in flight, and of that alone the rate would
 * be so low that it stays so. */
static void a_recovery_goes_at_the_rate_of_its_window(void **state)
{
    struct peer *p = *state;

    p->cfg.pacing = true;
    p->cfg.initial_window = 40;
    peer_restarts(p);
    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, ESTAB_MS(100));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000, .sack_ok = true));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_sends(p, 1, 40000);
    waits(p, ESTAB_MS(150));
    assert_int_equal(text_left(p), 40000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .nsack = 1, .sack = {{{39001}, {40001}}}));
    assert_in_range(text_left(p), 1000, 2000);
    assert_true(info_of(p).recovering);
    for (uint32_t i = 1; i < 4; i++) {
        waits(p, ESTAB_MS(5));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1000 * i + 1, .nsack = 1,
                     .sack = {{{39001}, {40001}}}));
        (void)text_left(p);
    }
    waits(p, ESTAB_MS(20));
    assert_true(text_left(p) >= 2000); /* by two segments in flight it was one in 43 ms */
}

/* ... and BBR begins at the rate of the initial window, not at that of a first message of a few
 * octets. */
static void a_small_message_says_nothing_of_the_rate(void **state)
{
    struct peer *p = *state;

    snprintf(p->cfg.cc, sizeof p->cfg.cc, "bbr");
    peer_restarts(p);
    connects(p);
    user_sends(p, 1, 27);
    assert_int_equal(text_left(p), 27);
    waits(p, ESTAB_MS(100));
    acks(p, 28);
    assert_true(info_of(p).pacing_rate >= 200000);
}

/* ---- whose it is ---- */

static void a_listeners_rate_is_inherited(void **state)
{
    struct peer *p = *state;
    uint64_t rate;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_PACING_RATE, 20000), 0);
    peer_connects(p);
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_PACING_RATE, &rate), 0);
    assert_int_equal(rate, 20000);
    user_sends(p, 1, 5000);
    assert_int_equal(text_left(p), 2000);
}

static void it_can_be_turned_off_again(void **state)
{
    struct peer *p = *state;

    connects(p);
    user_sets(p, ESTAB_O_PACING_RATE, ESTAB_NEVER);
    user_sends(p, 1, 10000);
    assert_int_equal(text_left(p), 2000);
    user_sets(p, ESTAB_O_PACING_RATE, 0);
    waits(p, ESTAB_MS(11)); /* what was armed passes */
    assert_int_equal(text_left(p), 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(without_pacing_the_window_goes_at_once),
        PEER_TEST(slow_start_is_spread_over_half_a_round_trip),
        PEER_TEST(congestion_avoidance_is_spread_over_most_of_one),
        PEER_TEST(the_users_rate_is_kept),
        PEER_TEST(a_window_that_is_not_filled_does_not_grow),
        PEER_TEST(a_late_driver_gets_no_burst),
        PEER_TEST(acknowledgments_do_not_wait),
        PEER_TEST(a_fin_alone_does_not_wait),
        PEER_TEST(retransmissions_keep_the_rate),
        PEER_TEST(a_recovery_goes_at_the_rate_of_its_window),
        PEER_TEST(a_small_message_says_nothing_of_the_rate),
        PEER_TEST(a_listeners_rate_is_inherited),
        PEER_TEST(it_can_be_turned_off_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cwv_test.c - a window that is not used (RFC 7661): how long it is kept, what of it goes at
 * once, and what a loss makes of it. */
#include "unit/peer.h"

#define RTT ESTAB_MS(100)

/* NewReno, segments of 1000 octets, SACK, a round trip of 100 ms. */
static void connects(struct peer *p)
{
    p->wnd = 60000;
    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, RTT);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000, .sack_ok = true, .ws = 1 + 5));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
}

static void acks(struct peer *p, uint32_t number)
{
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = number));
}

/* Octets of text that have left and nobody has looked at; *next: the number after them. */
static uint32_t left(struct peer *p, uint32_t *next)
{
    uint32_t n = 0;

    peer_collect(p);
    while (has_got(p)) {
        const struct pkt *k = got(p);

        n += k->len;
        *next = k->seq + k->len;
    }
    return n;
}

/* The user sends len octets, from number on, and each segment is acknowledged a round trip later;
 * the number after them. */
static uint32_t transfers(struct peer *p, uint32_t number, uint32_t len)
{
    uint32_t end = number + len, next = number;

    user_sends(p, number, len);
    while (number < end) {
        (void)left(p, &next);
        waits(p, RTT);
        for (uint32_t to = next; number < to;) {
            number = to - number > 1000 ? number + 1000 : to;
            acks(p, number);
        }
    }
    return end;
}

/* A connection whose window has grown and was in use; what is sent next, and *w: the window. */
static uint32_t grown(struct peer *p, uint32_t *w)
{
    uint32_t n;

    connects(p);
    n = transfers(p, 1, 310000);
    *w = info_of(p).cwnd;
    assert_in_range(*w, 160000, 180000);
    n = transfers(p, n, *w);
    assert_int_equal(info_of(p).cwnd, *w);
    return n;
}

/* Section 4.4: where it is the peer's window that limits, slow start goes on until no more than
 * half of ours is used, and what the peer opens next can be used at once; congestion avoidance does
 * not (RFC 9438 section 5.8). */
static void a_window_that_the_peer_limits_grows_to_twice_of_it(void **state)
{
    struct peer *p = *state;
    uint32_t n, next;

    connects(p);
    p->wnd = 20000 >> 5;
    n = transfers(p, 1, 300000);
    assert_int_equal(info_of(p).cwnd, 40000);
    user_sends(p, n, 20000);
    waits(p, RTT);
    (void)left(p, &next);
    for (int i = 0; i < 3; i++)
        acks(p, n);
    acks(p, next);
    n = transfers(p, next, 450000);
    (void)transfers(p, n, 450000);
    assert_in_range(info_of(p).cwnd, 20000, 21000);
}

/* ---- after silence ---- */

/* Ten segments at once, or hardly more, as from a new connection (RFC 5681 section 4.1), and the
 * others during the round trip that follows, without an ACK. [RFC7661-4.4.2-1, RFC5681-4.1-1] */
static void what_was_proven_goes_by_the_clock(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next, sent;

    waits(p, ESTAB_S(2));
    user_sends(p, n, w);
    sent = left(p, &next);
    assert_in_range(sent, 10000, 12000);
    waits(p, RTT / 8);
    assert_in_range(left(p, &next), 10000, 45000);
    waits(p, RTT);
    assert_in_range(info_of(p).flight, w - 1000, w);
    assert_int_equal(info_of(p).cwnd, w);
}

/* A short pause is none: the window is proven for a second, and an RTO says that it is over. */
static void a_short_pause_changes_nothing(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next;

    waits(p, ESTAB_MS(50));
    user_sends(p, n, w);
    assert_int_equal(left(p, &next), w - w % 1000);
}

/* [RFC7661-4.4-2] */
static void the_window_is_kept_for_five_minutes(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    waits(p, ESTAB_S(290));
    n = transfers(p, n, 1000);
    assert_int_equal(info_of(p).cwnd, w);
    assert_int_equal(counted(p, RULE_WINDOW_STALE), 0);
}

/* ... then half of it, and half of that after five more; no less than a new connection has.
 * [RFC7661-4.4.3-1, RFC7661-4.4.3-2] */
static void then_it_is_halved_and_halved(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    waits(p, ESTAB_S(310));
    n = transfers(p, n, 1000);
    assert_int_equal(info_of(p).cwnd, w / 2);
    waits(p, ESTAB_S(300));
    n = transfers(p, n, 1000);
    assert_int_equal(info_of(p).cwnd, w / 4);
    assert_int_equal(counted(p, RULE_WINDOW_STALE), 2);
    waits(p, ESTAB_S(3600));
    (void)transfers(p, n, 1000);
    assert_int_equal(info_of(p).cwnd, 10000);
}

/* Who never pauses, but sends little, has no more proof of the window than who sends nothing. */
static void a_trickle_does_not_prove_it(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 320 * 10; s++)
        n = transfers(p, n, 5000);
    assert_int_equal(info_of(p).cwnd, w / 2);
}

/* [RFC7661-4.4-1]: half of it is enough. */
static void who_uses_half_of_it_keeps_it(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 320 * 10; s++)
        n = transfers(p, n, 90000);
    assert_true(info_of(p).cwnd >= w);
    assert_int_equal(info_of(p).pacing_rate, 0);
}

/* [RFC7661-4.4-3] */
static void what_is_not_used_does_not_grow(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 50; s++)
        n = transfers(p, n, 20000);
    assert_int_equal(info_of(p).cwnd, w);
}

/* More than an initial window is a burst, and once it has gone nothing is held back any more. */
static void a_small_burst_is_spread_too_and_only_that(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next;

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    assert_int_equal(info_of(p).pacing_rate, 0);
    user_sends(p, n, 16000);
    assert_in_range(left(p, &next), 10000, 12000);
    assert_true(info_of(p).pacing_rate > 0);
    waits(p, RTT);
    (void)left(p, &next);
    assert_int_equal(next, n + 16000);
    for (uint32_t to = n + 1000; to <= n + 16000; to += 1000)
        acks(p, to);
    n = transfers(p, n + 16000, 5000);
    assert_int_equal(info_of(p).pacing_rate, 0);
}

/* [RFC7661-4.4-1]: half of it in a round trip, without ever being short of it, proves it anew. */
static void half_of_it_validates_what_was_doubted(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    for (int s = 0; s < 320 * 10; s++)
        n = transfers(p, n, 90000);
    assert_true(info_of(p).cwnd >= w);
    assert_int_equal(counted(p, RULE_WINDOW_STALE), 0);
}

/* An algorithm with a model of the path has no use for this one. */
static void a_window_with_a_rate_is_not_doubted(void **state)
{
    struct peer *p = *state;
    uint32_t n, w;

    memcpy(p->cfg.cc, "bbr", 4);
    peer_restarts(p);
    connects(p);
    n = transfers(p, 1, 310000);
    w = info_of(p).cwnd;
    assert_true(w > 10000);
    waits(p, ESTAB_S(700));
    (void)transfers(p, n, 1000);
    assert_int_equal(counted(p, RULE_WINDOW_STALE), 0);
    assert_true(info_of(p).cwnd >= w);
}

/* ---- a loss ---- */

/* The last three of twenty segments tell that the first is lost; *n: where the twenty begin. */
static void loses_the_first_of_twenty(struct peer *p, uint32_t n)
{
    uint32_t next;

    user_sends(p, n, 20000);
    waits(p, RTT);
    (void)left(p, &next);
    assert_int_equal(next, n + 20000);
    sends(p,
          SEG(.flags = ACK, .seq = 1, .ack = n, .nsack = 1, .sack = {{{n + 1000}, {n + 20000}}}));
    waits(p, RTT);
}

/* Section 4.2: pipeACK is the most of a second; a round trip of less doubts nothing. */
static void a_dip_does_not_doubt_it(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 5; s++)
        n = transfers(p, n, 90000);
    n = transfers(p, n, 20000);
    loses_the_first_of_twenty(p, n);
    acks(p, n + 20000);
    assert_int_equal(info_of(p).cwnd, 10000); /* 9500 where it was doubted */
}

/* RFC 5681 section 3.2, equation 4: what was in flight a round trip before counts for nothing. */
static void a_loss_halves_what_is_in_flight_now(void **state)
{
    struct peer *p = *state;
    uint32_t next;

    connects(p);
    user_sends(p, 1, 16000);
    (void)left(p, &next);
    waits(p, RTT);
    for (uint32_t n = 1001; n <= 10001; n += 1000)
        acks(p, n);
    (void)left(p, &next);
    assert_int_equal(next, 16001);
    waits(p, RTT);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 10001, .nsack = 1, .sack = {{{11001}, {16001}}}));
    assert_int_equal(info_of(p).ssthresh, 3000);
}

/* ... and what was measured longer ago is undefined: the loss is of what is in flight. */
static void an_old_measurement_counts_for_nothing(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 60000);
    waits(p, ESTAB_S(5));
    loses_the_first_of_twenty(p, n);
    assert_int_equal(info_of(p).ssthresh, 10000);
}

/* RFC 5681 equation 4: never less than two segments, and what R leaves no less than one. */
static void no_loss_leaves_less_than_two_segments(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next;

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 1000);
    user_sends(p, n, 3000);
    (void)left(p, &next);
    waits(p, RTT);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = n, .nsack = 1, .sack = {{{n + 1000}, {n + 3000}}}));
    waits(p, RTT);
    assert_int_equal(info_of(p).ssthresh, 2000);
    acks(p, n + 3000);
    assert_int_equal(info_of(p).ssthresh, 2000);
    assert_int_equal(info_of(p).cwnd, 1333);
}

/* In a window of more than 160 segments of which 20 are used, half of 20, less what was lost: (20 -
 * 1) / 2. [RFC7661-4.4-4, RFC7661-4.4.1-1, RFC7661-4.4.1-2] */
static void a_loss_halves_what_was_in_use(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    loses_the_first_of_twenty(p, n);
    assert_int_equal(info_of(p).ssthresh, 10000);
    acks(p, n + 20000);
    assert_int_equal(info_of(p).cwnd, 9500);
    assert_int_equal(info_of(p).ssthresh, 9500);
}

/* With CUBIC, a window that has grown and of which twenty segments were in use since. */
static uint32_t doubted_with_cubic(struct peer *p)
{
    uint32_t n;

    memcpy(p->cfg.cc, "cubic", 6);
    peer_restarts(p);
    connects(p);
    n = transfers(p, 1, 310000);
    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    return n;
}

/* RFC 7661 says half, whatever share an algorithm leaves of a window that was proven: CUBIC 0.7. */
static void of_what_was_in_use_every_algorithm_leaves_half(void **state)
{
    struct peer *p = *state;
    uint32_t n = doubted_with_cubic(p);

    loses_the_first_of_twenty(p, n);
    assert_int_equal(info_of(p).ssthresh, 10000);
    acks(p, n + 20000);
    assert_int_equal(info_of(p).cwnd, 9500);
}

/* What is in flight when a loss is found may be the last of what was in use: pipeACK remembers. */
static void a_lost_tail_halves_what_was_in_use_before_it(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next;

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    user_sends(p, n, 20000);
    waits(p, RTT);
    (void)left(p, &next);
    acks(p, n + 16000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = n + 16000, .nsack = 1,
                 .sack = {{{n + 17000}, {n + 20000}}}));
    waits(p, RTT);
    assert_int_equal(info_of(p).ssthresh, 10000);
    acks(p, n + 20000);
    assert_int_equal(info_of(p).cwnd, 9500);
}

/* After a recovery nothing has been measured: what was reduced goes as ever. [RFC7661-4.4.1-3] */
static void after_a_loss_nothing_is_doubted(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next;

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 60000);
    loses_the_first_of_twenty(p, n);
    acks(p, n + 20000);
    ignores_all(p);
    w = info_of(p).cwnd;
    assert_in_range(w, 20000, 30000);
    user_sends(p, n + 20000, 40000);
    assert_in_range(left(p, &next), w - 1000, w);
    assert_int_equal(info_of(p).pacing_rate, 0);
}

/* A window that was proven is halved as ever (RFC 5681 equation 4). */
static void a_loss_in_a_proven_window_halves_what_is_in_flight(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    loses_the_first_of_twenty(p, n);
    assert_int_equal(info_of(p).ssthresh, 10000);
    acks(p, n + 20000);
    assert_int_equal(info_of(p).cwnd, 10000);
}

/* A loss that was none: the window is back, and as little proven as before. */
static void an_undone_loss_gives_back_the_window(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w), next;

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    loses_the_first_of_twenty(p, n);
    sends(p,
          SEG(.flags = ACK, .seq = 1, .ack = n + 20000, .nsack = 1, .sack = {{{n}, {n + 1000}}}));
    n += 20000;
    assert_int_equal(info_of(p).cwnd, w);
    (void)left(p, &next);
    user_sends(p, n, w);
    assert_true(left(p, &next) < 30000);
}

/* A timeout begins anew, with what was in flight (RFC 5681). [RFC7661-4.4-5] */
static void a_timeout_is_answered_as_ever(void **state)
{
    struct peer *p = *state;
    uint32_t w, n = grown(p, &w);

    for (int s = 0; s < 15; s++)
        n = transfers(p, n, 20000);
    user_sends(p, n, 20000);
    ignores_all(p);
    waits(p, ESTAB_S(2));
    assert_int_equal(info_of(p).cwnd, 1000);
    assert_int_equal(info_of(p).ssthresh, 10000);
}

/* ... also by an algorithm that makes ssthresh of the window where a loss is told of. */
static void a_timeout_counts_what_is_in_flight(void **state)
{
    struct peer *p = *state;
    uint32_t n = doubted_with_cubic(p);

    user_sends(p, n, 20000);
    ignores_all(p);
    waits(p, ESTAB_S(2));
    assert_int_equal(info_of(p).ssthresh, 14000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_window_that_the_peer_limits_grows_to_twice_of_it),
        PEER_TEST(what_was_proven_goes_by_the_clock),
        PEER_TEST(a_short_pause_changes_nothing),
        PEER_TEST(the_window_is_kept_for_five_minutes),
        PEER_TEST(then_it_is_halved_and_halved),
        PEER_TEST(a_trickle_does_not_prove_it),
        PEER_TEST(who_uses_half_of_it_keeps_it),
        PEER_TEST(what_is_not_used_does_not_grow),
        PEER_TEST(a_small_burst_is_spread_too_and_only_that),
        PEER_TEST(half_of_it_validates_what_was_doubted),
        PEER_TEST(a_window_with_a_rate_is_not_doubted),
        PEER_TEST(a_dip_does_not_doubt_it),
        PEER_TEST(a_loss_halves_what_is_in_flight_now),
        PEER_TEST(an_old_measurement_counts_for_nothing),
        PEER_TEST(no_loss_leaves_less_than_two_segments),
        PEER_TEST(a_loss_halves_what_was_in_use),
        PEER_TEST(of_what_was_in_use_every_algorithm_leaves_half),
        PEER_TEST(a_lost_tail_halves_what_was_in_use_before_it),
        PEER_TEST(after_a_loss_nothing_is_doubted),
        PEER_TEST(a_loss_in_a_proven_window_halves_what_is_in_flight),
        PEER_TEST(an_undone_loss_gives_back_the_window),
        PEER_TEST(a_timeout_is_answered_as_ever),
        PEER_TEST(a_timeout_counts_what_is_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

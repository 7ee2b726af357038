/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_window_test.c - what each side promises the other (RFC 9293 section 3.8.6): the receive
 * window and its updates, closed windows and their probes, windows that shrink. */
#include "unit/peer.h"

/* A connection whose stack has room for 10000 octets and whose window field is in octets. */
static void small_buffer(struct peer *p)
{
    p->cfg.rcvbuf = 10000;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
}

static void fill(struct peer *p, uint32_t from, uint32_t n)
{
    for (; n > 0; from += 1000, n -= 1000)
        sends(p, SEG(.flags = ACK, .seq = from, .ack = 1, .len = 1000));
}

/* The stack's last word about its window. */
static const struct pkt *last_word(struct peer *p)
{
    const struct pkt *k = got(p);

    while (has_got(p))
        k = got(p);
    return k;
}

/* ---- receiving ---- */

/* [SHLD-14]: the right edge never moves to the left. */
static void unread_text_narrows_the_window_but_moves_no_edge(void **state)
{
    struct peer *p = *state;
    uint32_t edge = 10001;

    small_buffer(p);
    for (uint32_t at = 1; at < 10001; at += 1000) {
        fill(p, at, 1000);
        while (has_got(p)) {
            const struct pkt *k = got(p);

            assert_true(k->ack + k->wnd >= edge);
            edge = k->ack + k->wnd;
        }
    }
    waits(p, ESTAB_MS(50));
    assert_int_equal(edge, 10001);
    assert_int_equal(info_of(p).rcv_wnd, 0);
    user_hears(p, 1, 10000);
}

/* RFC 9293 section 3.8.6.2.2 [MUST-39]: no update for less than a segment, or half the buffer. */
static void a_closed_window_opens_by_a_segment_at_least(void **state)
{
    struct peer *p = *state;

    small_buffer(p);
    fill(p, 1, 10000);
    assert_int_equal(last_word(p)->wnd, 0);
    user_hears(p, 1, 1000);
    gets_nothing(p);
    user_hears(p, 1001, 459);
    gets_nothing(p);
    user_hears(p, 1460, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 10001, .wnd = 1460));
    user_hears(p, 1461, 1000);
    gets_nothing(p);
}

/* ... and what is freed is told when it is worth two, without being asked. */
static void an_open_window_is_updated_by_two_segments(void **state)
{
    struct peer *p = *state;

    small_buffer(p);
    fill(p, 1, 8000);
    assert_int_equal(last_word(p)->wnd, 2000);
    user_hears(p, 1, 2919);
    gets_nothing(p);
    user_hears(p, 2920, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 8001, .wnd = 4920));
}

/* RFC 9293 section 3.10.7.4, first: refused, but answered, and its ACK counts. [MAY-8] */
static void a_probe_of_our_closed_window_is_answered(void **state)
{
    struct peer *p = *state;

    small_buffer(p);
    fill(p, 1, 10000);
    ignores_all(p);
    user_sends(p, 1, 10);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 10001, .len = 10));
    sends(p, SEG(.flags = ACK, .seq = 10001, .ack = 11, .len = 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 11, .ack = 10001, .shut = true));
    assert_int_equal(info_of(p).flight, 0);
    user_hears(p, 1, 10000);
    assert_int_equal(info_of(p).unread, 0);
}

static void text_beyond_the_window_is_cut_off(void **state)
{
    struct peer *p = *state;

    small_buffer(p);
    fill(p, 1, 9000);
    sends(p, SEG(.flags = FIN | ACK, .seq = 9001, .ack = 1, .len = 1400));
    (void)last_word(p);
    assert_int_equal(counted(p, RULE_TEXT_TRIMMED), 1);
    assert_state(p, ESTABLISHED); /* the FIN was beyond, too */
    user_hears(p, 1, 10000);
}

/* Nobody will read any more: all of the buffer is free, and a peer that waits is told. */
static void shutting_down_reading_opens_the_window(void **state)
{
    struct peer *p = *state;

    small_buffer(p);
    fill(p, 1, 10000);
    assert_int_equal(last_word(p)->wnd, 0);
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_RD), 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 10001, .wnd = 10000));
    for (uint32_t at = 10001; at < 40001; at += 1000)
        fill(p, at, 1000);
    assert_int_equal(last_word(p)->wnd, 10000);
}

/* RFC 7323 section 2.3: the field is scaled, and rounding takes nothing back. [RFC7323-2.4-1,
 * REC-1] */
static void a_scaled_window_keeps_its_edge(void **state)
{
    struct peer *p = *state;
    uint32_t edge = 0;

    p->cfg.rcvbuf = 1 << 20;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .ws = 1 + 3));
    assert_int_equal(info_of(p).rcv_wscale, 5);
    assert_int_equal(info_of(p).snd_wscale, 3);
    for (uint32_t i = 0; i < 300; i++) {
        sends(p, SEG(.flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = i % 7 ? 1000 : 333));
        if (i % 7 == 0)
            sends(p, SEG(.flags = ACK, .seq = 334 + 1000 * i, .ack = 1, .len = 667));
        while (has_got(p)) {
            const struct pkt *k = got(p);
            uint32_t now = k->ack + ((uint32_t)k->wnd << 5);

            assert_true(now >= edge);
            edge = now;
        }
    }
    assert_true(edge > 65536);
}

/* ---- sending ---- */

/* RFC 9293 section 3.8.6.1: [MUST-36] probes, [SHLD-29] after an RTO, [SHLD-30] at growing
 * intervals, [MUST-37] for as long as they are answered. [SHLD-17] */
static void a_closed_window_is_probed_for_as_long_as_it_takes(void **state)
{
    struct peer *p = *state;
    estab_dur gap = ESTAB_MS(200);
    estab_time last;

    p->cfg.rto_max = ESTAB_S(30);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_sends(p, 1, 3000);
    gets_nothing(p);
    last = p->v.now;
    for (int i = 0; i < 100; i++) {
        const struct pkt *k;

        waits(p, gap + ESTAB_MS(1));
        k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1));
        assert_in_range(k->at - last, gap, gap + ESTAB_MS(1));
        last = k->at;
        gap = 2 * gap < p->cfg.rto_max ? 2 * gap : p->cfg.rto_max;
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
        gets_nothing(p);
    }
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1)); /* open */
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1002, .ack = 1, .len = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2002));
    (void)gets(p, SEG(.flags = ACK, .seq = 2002, .ack = 1, .len = 999));
}

/* The window may open by the probe's octet alone. */
static void a_probe_that_is_taken_is_not_sent_again(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_sends(p, 1, 5);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2, .shut = true));
    gets_nothing(p);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 1, .len = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 3));
    (void)gets(p, SEG(.flags = ACK, .seq = 3, .ack = 1, .len = 3));
}

static void unanswered_probes_end_the_connection(void **state)
{
    struct peer *p = *state;

    p->cfg.max_retries = 5;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_sends(p, 1, 5);
    waits(p, ESTAB_S(60));
    for (int i = 0; i < 5; i++)
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1));
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 1, .ack = 1));
    gets_nothing(p);
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* Nobody holds it: a peer that answers and never opens does not hold it either. */
static void an_orphan_does_not_probe_for_ever(void **state)
{
    struct peer *p = *state;

    p->cfg.orphan_retries = 5;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_sends(p, 1, 5);
    user_closes(p);
    for (int i = 0; i < 5; i++) {
        waits(p, ESTAB_MS(200u << i) + ESTAB_MS(1));
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
        assert_state(p, FIN_WAIT_1);
    }
    waits(p, ESTAB_MS(200u << 5) + ESTAB_MS(1));
    assert_state(p, CLOSED);
    assert_int_equal(stack_of(p).conns, 0);
}

/* A FIN takes a number and needs room for it; alone, it is its own probe. */
static void a_fin_probes_a_closed_window(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_shuts(p);
    gets_nothing(p);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    assert_state(p, FIN_WAIT_1);
    waits(p, ESTAB_MS(401));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2, .shut = true));
    assert_state(p, FIN_WAIT_2);
    gets_nothing(p);
}

/* While a probe's octet is out, an ACK or an RST has the number that the peer expects. */
static void with_a_probe_out_other_segments_stay_in_the_window(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_sends(p, 1, 5);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10, .shut = true));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 11));
    user_hears(p, 1, 10);
    user_aborts(p);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 1, .ack = 11));
}

/* [MUST-34], [MUST-35]: a peer that takes its window back is probed, and gets all of it again. */
static void a_window_that_shrinks_to_nothing_is_probed(void **state)
{
    struct peer *p = *state;

    p->cfg.max_retries = 6;
    p->cfg.rto_max = ESTAB_S(2);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 5000);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001, .shut = true));
    gets_nothing(p);
    for (int i = 0; i < 20; i++) {
        waits(p, (i < 4 ? ESTAB_MS(200u << i) : ESTAB_S(2)) + ESTAB_MS(1));
        (void)gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1));
        gets_nothing(p);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001, .shut = true));
    }
    assert_state(p, ESTABLISHED);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    for (uint32_t at = 1001; at < 5001; at += 1000)
        (void)gets(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1000));
}

/* [SHLD-15], [SHLD-16]: to less than is in flight, nothing new goes out, the rest is repeated.
 * [MAY-7] */
static void a_window_that_shrinks_lets_nothing_new_out(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 20000);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001, .wnd = 2000));
    gets_nothing(p);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000));
    gets_nothing(p);
}

/* RFC 9293 section 3.10.7.4, fifth: only a segment that is not older (SND.WL1, SND.WL2), and that
 * acknowledges no less than SND.UNA, has a say. */
static void an_old_segment_has_no_say_about_the_window(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 4000);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 4001, .wnd = 5000, .len = 100));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 3001, .wnd = 9000, .len = 100));
    assert_int_equal(info_of(p).snd_wnd, 5000);
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 2001, .wnd = 60000)); /* overtaken by the first */
    assert_int_equal(info_of(p).snd_wnd, 5000);
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 4001, .wnd = 6000));
    assert_int_equal(info_of(p).snd_wnd, 6000);
}

/* RFC 9293 section 3.8.6.2.1: a window of less than a segment and less than half of the largest is
 * left to grow, for 0.1 to 1 s. [MUST-38] */
static void a_silly_window_is_left_to_grow(void **state)
{
    struct peer *p = *state;
    estab_time asked;

    user_connects_with(p, SEG(.mss = 1000, .wnd = 8000));
    user_sends(p, 1, 8000);
    ignores_all(p);
    user_sends(p, 8001, 5000);
    asked = p->v.now;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 8001, .wnd = 900));
    gets_nothing(p);
    waits(p, ESTAB_MS(300));
    assert_in_range(gets(p, SEG(.flags = ACK, .seq = 8001, .ack = 1, .len = 900))->at - asked,
                    ESTAB_MS(100), ESTAB_S(1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 8901, .wnd = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 8901, .ack = 1, .len = 1000));
}

/* (3): half of the largest window there ever was is as good as a segment. */
static void half_of_a_small_window_is_worth_a_segment(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .wnd = 600));
    user_sends(p, 1, 5000);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 600));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 601, .wnd = 300));
    (void)gets(p, SEG(.flags = ACK, .seq = 601, .ack = 1, .len = 300));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 901, .wnd = 299));
    gets_nothing(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(unread_text_narrows_the_window_but_moves_no_edge),
        PEER_TEST(a_closed_window_opens_by_a_segment_at_least),
        PEER_TEST(an_open_window_is_updated_by_two_segments),
        PEER_TEST(a_probe_of_our_closed_window_is_answered),
        PEER_TEST(text_beyond_the_window_is_cut_off),
        PEER_TEST(shutting_down_reading_opens_the_window),
        PEER_TEST(a_scaled_window_keeps_its_edge),
        PEER_TEST(a_closed_window_is_probed_for_as_long_as_it_takes),
        PEER_TEST(a_probe_that_is_taken_is_not_sent_again),
        PEER_TEST(unanswered_probes_end_the_connection),
        PEER_TEST(an_orphan_does_not_probe_for_ever),
        PEER_TEST(a_fin_probes_a_closed_window),
        PEER_TEST(with_a_probe_out_other_segments_stay_in_the_window),
        PEER_TEST(a_window_that_shrinks_to_nothing_is_probed),
        PEER_TEST(a_window_that_shrinks_lets_nothing_new_out),
        PEER_TEST(an_old_segment_has_no_say_about_the_window),
        PEER_TEST(a_silly_window_is_left_to_grow),
        PEER_TEST(half_of_a_small_window_is_worth_a_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

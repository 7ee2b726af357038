/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_buffer_test.c - buffers as large as the path needs: how they grow, for whom they do not. */
#include "unit/peer.h"

#define START (512u << 10)
#define ALL   SEG(.mss = 1460, .ws = 1 + 7, .sack_ok = true, .ts = true)

/* n octets from the peer, beginning with number `at`; the number after them. */
static uint32_t text(struct peer *p, uint32_t at, uint32_t n)
{
    for (uint32_t end = at + n; at < end; at += 1000) {
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1000));
        ignores_all(p);
    }
    return at;
}

/* A round trip of 100 ms with n octets, all of which the user reads. */
static uint32_t round_trip(struct peer *p, uint32_t at, uint32_t n)
{
    uint32_t end;

    waits(p, ESTAB_MS(100));
    ignores_all(p);
    end = text(p, at, n);
    user_hears(p, at, n);
    return end;
}

static uint32_t rcvbuf(const struct peer *p)
{
    return info_of(p).rcvbuf;
}

/* A peer whose slow start doubles what it sends each round trip never finds a window smaller than
 * that. */
static void the_window_keeps_ahead_of_slow_start(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    user_connects_with(p, ALL);
    assert_int_equal(rcvbuf(p), START);
    for (uint32_t n = 16000; n < 8000000; n *= 2) {
        at = round_trip(p, at, n);
        assert_true(info_of(p).rcv_wnd >= 2 * n);
    }
    assert_int_equal(rcvbuf(p), p->cfg.rcvbuf);
    assert_int_equal(info_of(p).rcvbuf_most, p->cfg.rcvbuf);
    assert_true(stack_of(p).mem_used < 4u << 20); /* it is a bound, not memory */
}

/* ... and one that needs no more than it has does not get it, however long it goes on. */
static void a_steady_flow_keeps_what_it_has(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    user_connects_with(p, ALL);
    for (int i = 0; i < 60; i++)
        at = round_trip(p, at, 100000);
    assert_int_equal(rcvbuf(p), START);
}

/* What came into a buffer that was lent has been read when that is taken back: here the first of a
 * round trip, so that it is the one before that is known. */
static void the_window_keeps_ahead_of_who_lends_buffers(void **state)
{
    struct peer *p = *state;
    static uint8_t buf[64000];
    uint32_t at = 1;

    user_connects_with(p, ALL);
    for (uint32_t n = 64000; n < 8000000; n *= 2) {
        waits(p, ESTAB_MS(100));
        ignores_all(p);
        for (uint32_t end = at + n; at < end;) {
            assert_int_equal(estab_recv_lend(p->s, p->k, buf, sizeof buf), 0);
            at = text(p, at, sizeof buf);
            assert_int_equal(estab_recv_end(p->s, p->k), sizeof buf);
        }
        assert_true(rcvbuf(p) >= 2 * n);
        assert_true(info_of(p).rcv_wnd >= 2 * n - 64000);
    }
}

/* RFC 9293 section 3.8.6.2.2: at once, and not with the next text, which may wait for it. */
static void a_buffer_that_is_taken_back_tells_of_a_larger_window(void **state)
{
    struct peer *p = *state;
    static uint8_t buf[200000];

    user_connects_with(p, ALL);
    waits(p, ESTAB_MS(100));
    assert_int_equal(estab_recv_lend(p->s, p->k, buf, sizeof buf), 0);
    text(p, 1, sizeof buf);
    assert_false(has_got(p));
    assert_int_equal(estab_recv_end(p->s, p->k), sizeof buf);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1 + sizeof buf));
    assert_int_equal(info_of(p).rcv_wnd, 4 * sizeof buf);
}

/* Without timestamps a round trip is as long as the handshake said. */
static void without_timestamps_the_handshake_tells_the_round_trip(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, ESTAB_MS(90));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1460, .ws = 1 + 7));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    at = round_trip(p, at, 100000);
    at = round_trip(p, at, 300000);
    assert_int_equal(rcvbuf(p), 4 * 300000);
    for (int i = 0; i < 10; i++) { /* within one */
        at = text(p, at, 200000);
        user_hears(p, at - 200000, 200000);
    }
    assert_int_equal(rcvbuf(p), 4 * 300000);
}

/* Whatever a peer says and repeats: a buffer that nobody empties stays as it is. */
static void a_peer_alone_does_not_make_it_grow(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    user_connects_with(p, ALL);
    for (int i = 0; i < 20; i++) {
        waits(p, ESTAB_MS(100));
        ignores_all(p);
        if (at < START - 100000)
            at = text(p, at, 50000);
        sends(p, SEG(.flags = ACK, .seq = at + 3000, .ack = 1, .len = 1000,
                     .ts_ecr = p->ts_ecr + 1000000));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000, .ts_ecr = 1));
    }
    ignores_all(p);
    assert_int_equal(rcvbuf(p), START);
}

/* Echoes of what was said long ago make a round trip long: what was read in it still bounds it. */
static void an_old_echo_is_no_round_trip(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1, old;

    user_connects_with(p, ALL);
    old = p->ts_ecr;
    at = round_trip(p, at, 1000);
    for (int i = 0; i < 20; i++) {
        waits(p, ESTAB_MS(100));
        for (uint32_t end = at + 200000; at < end; at += 1000)
            sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1000, .ts_ecr = old));
        ignores_all(p);
        user_hears(p, at - 200000, 200000);
    }
    assert_int_equal(rcvbuf(p), START);
}

static void a_size_that_was_set_stays(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;
    uint64_t size;

    user_opens(p);
    user_sets(p, ESTAB_O_RCVBUF, 100000);
    user_sets(p, ESTAB_O_SNDBUF, 100000);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INPROGRESS);
    assert_int_equal(gets(p, SEG(.flags = SYN))->ws, 1 + 1); /* the shift that it needs */
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1460, .ws = 1 + 7, .ts = true));
    p->ts = true;
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    for (int i = 0; i < 10; i++)
        at = round_trip(p, at, 90000);
    assert_int_equal(rcvbuf(p), 100000);
    assert_int_equal(info_of(p).rcvbuf_most, 100000);
    assert_int_equal(info_of(p).sndbuf_most, 100000);
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_RCVBUF, &size), 0);
    assert_int_equal(size, 100000);
}

/* What a listener accepts has the listener's size, and keeps it, too. */
static void a_listeners_size_is_inherited(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_RCVBUF, 100000), 0);
    peer_connects_with(p, ALL);
    for (int i = 0; i < 10; i++)
        at = round_trip(p, at, 90000);
    assert_int_equal(rcvbuf(p), 100000);
    assert_int_equal(info_of(p).sndbuf, START);
}

/* Nothing grows where memory is short. */
static void memory_that_is_short_is_not_promised(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    p->cfg.mem_max = 1u << 20;
    peer_restarts(p);
    user_connects_with(p, ALL);
    for (uint32_t n = 25000; n < 400000; n *= 2)
        at = round_trip(p, at, n);
    assert_in_range(rcvbuf(p), START, 4 * 400000);
    waits(p, ESTAB_MS(100));
    at = text(p, at, 600000); /* more than half of it is in use */
    user_hears(p, at - 600000, 10000);
    assert_in_range(rcvbuf(p), START, 4 * 400000);
}

/* Room for what is in flight and twice as much again, for a user who wants it. */
static void the_send_buffer_follows_the_congestion_window(void **state)
{
    static uint8_t lots[1 << 20];
    struct peer *p = *state;

    p->wnd = 65535;
    user_connects_with(p, ALL);
    assert_int_equal(info_of(p).sndbuf, START);
    while (info_of(p).cwnd < 580000) {
        while (user_sends_with(p, lots, sizeof lots, 0) > 0)
            continue;
        waits(p, ESTAB_MS(50));
        while (has_got(p) && info_of(p).cwnd < 580000) {
            const struct pkt *k = got(p);

            if (k->len)
                sends(p, SEG(.flags = ACK, .seq = 1, .ack = k->seq + k->len));
        }
    }
    assert_true(info_of(p).cwnd > START);
    assert_in_range(info_of(p).sndbuf, 2 * info_of(p).cwnd, 3 * info_of(p).cwnd);
}

/* ... which is not what a user needs who never fills it. */
static void a_send_buffer_that_is_not_filled_stays(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    user_connects_with(p, ALL);
    for (int i = 0; i < 40; i++) {
        user_sends(p, at, 50000);
        at += 50000;
        while (has_got(p)) {
            const struct pkt *k = got(p);

            if (k->len)
                sends(p, SEG(.flags = ACK, .seq = 1, .ack = k->seq + k->len));
        }
    }
    assert_int_equal(info_of(p).sndbuf, START);
}

/* ---- settings ---- */

static void a_ceiling_below_the_beginning_holds(void **state)
{
    struct peer *p = *state;

    p->cfg.rcvbuf = 10000;
    p->cfg.sndbuf = 20000;
    peer_restarts(p);
    user_connects_with(p, ALL);
    assert_int_equal(rcvbuf(p), 10000);
    assert_int_equal(info_of(p).rcvbuf_most, 10000);
    assert_int_equal(info_of(p).sndbuf, 20000);
}

static void impossible_sizes_are_refused(void **state)
{
    struct peer *p = *state;
    struct estab_config cfg = p->cfg;
    estab_stack *s;

    cfg.rcvbuf_init = 2047;
    assert_int_equal(estab_stack_new(&s, &p->env, &cfg), ESTAB_E_INVAL);
    cfg = p->cfg;
    cfg.sndbuf_init = 0;
    assert_int_equal(estab_stack_new(&s, &p->env, &cfg), ESTAB_E_INVAL);
}

/* A program from before buffers grew has them as they were. */
static void settings_from_before_keep_their_meaning(void **state)
{
    struct peer *p = *state;
    struct estab_config old;
    uint32_t at = 1;

    estab_config_init_sized(&old, offsetof(struct estab_config, sndbuf_init));
    assert_int_equal(old.rcvbuf, START);
    assert_int_equal(old.sndbuf, START);
    p->cfg = old;
    peer_restarts(p);
    user_connects_with(p, ALL);
    for (uint32_t n = 16000; n < 500000; n *= 2)
        at = round_trip(p, at, n);
    assert_int_equal(rcvbuf(p), START);
    assert_int_equal(info_of(p).rcvbuf_most, START);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(the_window_keeps_ahead_of_slow_start),
        PEER_TEST(the_window_keeps_ahead_of_who_lends_buffers),
        PEER_TEST(a_buffer_that_is_taken_back_tells_of_a_larger_window),
        PEER_TEST(a_steady_flow_keeps_what_it_has),
        PEER_TEST(without_timestamps_the_handshake_tells_the_round_trip),
        PEER_TEST(a_peer_alone_does_not_make_it_grow),
        PEER_TEST(an_old_echo_is_no_round_trip),
        PEER_TEST(a_size_that_was_set_stays),
        PEER_TEST(a_listeners_size_is_inherited),
        PEER_TEST(memory_that_is_short_is_not_promised),
        PEER_TEST(the_send_buffer_follows_the_congestion_window),
        PEER_TEST(a_send_buffer_that_is_not_filled_stays),
        PEER_TEST(a_ceiling_below_the_beginning_holds),
        PEER_TEST(impossible_sizes_are_refused),
        PEER_TEST(settings_from_before_keep_their_meaning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

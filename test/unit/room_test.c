/* SPDX-License-Identifier: BSD-2-Clause */
/* room_test.c - how much SEND takes: the send buffer, what of it may be unsent, and that whoever
 * finds no room is told when there is some. */
#include "unit/peer.h"

/* ---- bounds ---- */

static void what_is_unsent_is_bounded_apart_from_what_is_in_flight(void **state)
{
    static uint8_t text[100000];
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .ws = 1 + 3));
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 20000);
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)told(p);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 20000);
    assert_false(is_ready(p, ESTAB_EV_OUT));
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), ESTAB_E_AGAIN);
    assert_int_equal(told(p), 0);
    peer_collect(p); /* an initial window of it goes */
    assert_true(estab_deadline(p->s) <= p->v.now);
    assert_int_equal(told(p), ESTAB_EV_OUT);
    assert_true(estab_deadline(p->s) > p->v.now);
    assert_true(is_ready(p, ESTAB_EV_OUT));
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 10000);
    assert_int_equal(info_of(p).unsent, 20000);
    assert_int_equal(info_of(p).flight, 10000);
}

/* The driver is told to come back at once, when handing out frames has made room. */
static void room_made_by_output_wakes_the_user(void **state)
{
    static uint8_t text[100000];
    struct estab_frame f[ESTAB_BATCH];
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 5000);
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)told(p);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 5000);
    assert_true(estab_deadline(p->s) > p->v.now);
    assert_true(estab_output(p->s, 0, f, ESTAB_BATCH) > 0);
    assert_true(estab_deadline(p->s) <= p->v.now);
    assert_int_equal(told(p), ESTAB_EV_OUT);
}

/* ... but nobody comes back for a user who does not watch. */
static void room_that_nobody_watches_wakes_nobody(void **state)
{
    static uint8_t text[100000];
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 5000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 5000);
    peer_collect(p);
    assert_true(is_ready(p, ESTAB_EV_OUT));
    assert_true(estab_deadline(p->s) > p->v.now);
}

/* A bound smaller than a segment does not make segments small. */
static void a_small_bound_of_what_is_unsent_still_takes_a_segment(void **state)
{
    static uint8_t text[5000];
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 1);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 1000);
}

/* Who sets nothing has what the stack was told; who says how large the buffer is has all of it. */
static void what_is_unsent_is_bounded_by_the_stacks_setting(void **state)
{
    static uint8_t text[100000];
    struct peer *p = *state;
    uint64_t own = 1;

    p->cfg.notsent = 20000;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .ws = 1 + 3));
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_NOTSENT_LOWAT, &own), 0);
    assert_int_equal(own, 0);
    for (int i = 0; i < 19; i++)
        assert_int_equal(user_sends_with(p, text, 1000, 0), 1000);
    for (int i = 0; i < 9; i++)
        assert_int_equal(user_sends_with(p, text, 100, 0), 100);
    assert_int_equal(user_sends_with(p, text, 100, 0), 100);
    assert_false(is_ready(p, ESTAB_EV_OUT));
    assert_int_equal(user_sends_with(p, text, 100, 0), ESTAB_E_AGAIN);
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)told(p);
    peer_collect(p);
    assert_int_equal(told(p), ESTAB_EV_OUT);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 10000);
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 30000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 10000);
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 0);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), ESTAB_E_AGAIN);
    user_sets(p, ESTAB_O_SNDBUF, 200000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), sizeof text);
}

static void one_call_fills_the_buffer_when_nothing_is_unsent(void **state)
{
    static uint8_t text[2000000];
    struct peer *p = *state;

    p->cfg.sndbuf = p->cfg.sndbuf_init = sizeof text;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(user_sends_with(p, text, 1000, 0), 1000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), p->cfg.notsent / 1000 * 1000 - 1000);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), sizeof text);
}

/* ... of which no small segment is left for the wire; but not where the user has said how large the
 * buffer is. */
static void a_send_that_is_cut_short_ends_with_a_segment(void **state)
{
    static uint8_t text[100000];
    struct peer *p = *state;

    p->cfg.sndbuf = p->cfg.sndbuf_init = 64500;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(user_sends_with(p, text, 9500, 0), 9500);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 54500);
    assert_false(is_ready(p, ESTAB_EV_OUT));
    assert_int_equal(user_sends_with(p, text, 10, 0), ESTAB_E_AGAIN);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_SNDBUF, 64500);
    assert_int_equal(user_sends_with(p, text, 9500, 0), 9500);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 55000);
}

/* Whoever has written all there was is told of room, too, if there was none left. */
static void a_buffer_filled_to_its_last_segment_tells_of_room(void **state)
{
    static uint8_t text[64000];
    struct peer *p = *state;

    p->cfg.sndbuf = p->cfg.sndbuf_init = 64500;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)told(p);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), sizeof text);
    assert_false(is_ready(p, ESTAB_EV_OUT));
    peer_collect(p);
    for (uint32_t acked = 0; acked < 50000; acked += 10000) {
        ignores_all(p);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1 + acked + 10000));
    }
    assert_int_equal(told(p), ESTAB_EV_OUT);
}

/* ---- whoever finds no room is told of room ---- */

static void all_is_acknowledged(struct peer *p, uint32_t total)
{
    for (int turn = 0; turn < 3000 && info_of(p).bytes_acked < total; turn++) {
        uint32_t top = 0;

        peer_collect(p);
        while (has_got(p)) {
            const struct pkt *k = got(p);

            if (k->len && k->seq + k->len > top)
                top = k->seq + k->len;
        }
        if (top)
            sends(p, SEG(.flags = ACK, .seq = 1, .ack = top));
        else
            waits(p, ESTAB_MS(100));
    }
    assert_int_equal(info_of(p).bytes_acked, total);
}

/* There is no room now; when all has arrived there is some, and the user is told. */
static void is_told_of_room_after(struct peer *p, uint32_t total)
{
    assert_false(is_ready(p, ESTAB_EV_OUT));
    (void)told(p);
    all_is_acknowledged(p, total);
    assert_true(is_ready(p, ESTAB_EV_OUT));
    assert_int_equal(told(p), ESTAB_EV_OUT);
}

static void connects_with_buffer(struct peer *p, uint32_t size, const struct pkt *options)
{
    p->cfg.sndbuf = p->cfg.sndbuf_init = size;
    peer_restarts(p);
    user_connects_with(p, options);
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)told(p);
}

/* So much, without having been told that there was no room for more. */
static void has_written(struct peer *p, uint32_t n)
{
    static uint8_t text[1000000];

    assert_int_equal(user_sends_with(p, text, n, 0), n);
    assert_true(is_ready(p, ESTAB_EV_OUT));
}

static void a_buffer_of_almost_three_segments_tells_of_room(void **state)
{
    static uint8_t text[2000];
    struct peer *p = *state;

    connects_with_buffer(p, 2999, SEG(.mss = 1000, .wnd = 1000));
    assert_int_equal(user_sends_with(p, text, 2000, 0), 2000);
    assert_false(is_ready(p, ESTAB_EV_OUT));
    peer_collect(p);
    assert_int_equal(told(p), 0);
    is_told_of_room_after(p, 2000);
}

/* The SYN has gone, and no answer has come. */
static void begins_with_buffer(struct peer *p, uint32_t size)
{
    p->cfg.sndbuf = p->cfg.sndbuf_init = size;
    peer_restarts(p);
    user_connects(p);
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)gets(p, SEG(.flags = SYN));
}

static void text_from_before_the_handshake_leaves_no_room_untold(void **state)
{
    static uint8_t text[600000];
    struct peer *p = *state;

    begins_with_buffer(p, 2000000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), sizeof text);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    is_told_of_room_after(p, sizeof text);
}

static void a_smaller_mss_leaves_no_room_untold(void **state)
{
    struct peer *p = *state;

    connects_with_buffer(p, 64500, SEG(.mss = 1000));
    has_written(p, 63900);
    peer_collect(p);
    icmp_arrives_about(p, 3, 4, 990, 1, 1040);
    assert_int_equal(info_of(p).snd_mss, 950);
    is_told_of_room_after(p, 63900);
}

static void a_bound_that_is_taken_back_leaves_no_room_untold(void **state)
{
    struct peer *p = *state;

    connects_with_buffer(p, 4000000, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 3000000);
    has_written(p, 1000000);
    user_sets(p, ESTAB_O_NOTSENT_LOWAT, 0);
    is_told_of_room_after(p, 1000000);
}

static void memory_that_is_short_leaves_no_room_untold(void **state)
{
    struct peer *p = *state;

    connects_with_buffer(p, 64500, SEG(.mss = 1000));
    has_written(p, 30000);
    p->s->env.ceiling = p->s->env.used + 100;
    is_told_of_room_after(p, 30000);
    p->s->env.ceiling = 0;
}

/* Whichever way the text takes. */
static void a_small_bound_tells_of_room_when_text_has_gone(void **state)
{
    static uint8_t text[400];
    struct peer *p = *state;

    p->cfg.notsent = 500;
    for (int longer = 0; longer < 2; longer++) {
        peer_restarts(p);
        p->s->tcp.long_way = longer;
        user_connects_with(p, SEG(.mss = 1460));
        estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
        (void)told(p);
        assert_int_equal(user_sends_with(p, text, 400, 0), 400);
        assert_int_equal(user_sends_with(p, text, 400, 0), 100);
        peer_collect(p);
        assert_int_equal(info_of(p).unsent, 0);
        assert_int_equal(told(p), ESTAB_EV_OUT);
    }
}

/* What one call of estab_output() has told, the next does not forget. */
static void room_made_by_output_wakes_the_user_after_more_output(void **state)
{
    static uint8_t text[600000];
    struct estab_frame f[32];
    struct peer *p = *state;

    p->cfg.initial_window = 255;
    p->caps.mtu = 9000;
    connects_with_buffer(p, 2000000, SEG(.mss = 8000, .ws = 1 + 8));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(user_sends_with(p, text, 1000, 0), 1000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 519000);
    while (estab_output(p->s, 0, f, 32) == 32)
        continue;
    assert_int_equal(info_of(p).unsent, 0);
    assert_true(estab_deadline(p->s) <= p->v.now);
    assert_int_equal(told(p), ESTAB_EV_OUT);
}

/* All segments of a queue that is refilled again and again are full. */
static void a_full_buffer_leaves_no_small_segments(void **state)
{
    static uint8_t text[200000];
    struct peer *p = *state;

    p->cfg.initial_window = 100;
    connects_with_buffer(p, 64500, SEG(.mss = 1000));
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 64000);
    for (uint32_t acked = 0; acked < 200000; acked += 22000) {
        peer_collect(p);
        assert_int_equal(info_of(p).unsent, 0);
        while (has_got(p))
            assert_int_equal(got(p)->len, 1000);
        assert_int_equal(user_sends_with(p, text, sizeof text, 0), ESTAB_E_AGAIN);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1 + acked + 22000));
        assert_int_equal(user_sends_with(p, text, 9500, 0), 9500);
        assert_int_equal(user_sends_with(p, text, sizeof text, 0), 12500);
    }
}

static void a_size_that_is_set_tells_of_room(void **state)
{
    static uint8_t text[1000000];
    struct peer *p = *state;

    connects_with_buffer(p, 4000000, SEG(.mss = 1000));
    assert_int_equal(user_sends_with(p, text, 10, 0), 10);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 524000 - 10);
    assert_int_equal(told(p), 0);
    assert_int_equal(estab_setopt(p->s, p->k, ESTAB_O_SNDBUF, 4000000), 0);
    assert_int_equal(told(p), ESTAB_EV_OUT);
    assert_true(is_ready(p, ESTAB_EV_OUT));
}

/* Whoever fills the buffer to the last octet waits for room, too, and need not ask. */
static void a_buffer_filled_exactly_tells_of_room(void **state)
{
    static uint8_t text[3000];
    struct peer *p = *state;

    user_opens(p);
    user_sets(p, ESTAB_O_SNDBUF, 3000);
    user_connects_with(p, SEG(.mss = 1000));
    estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL);
    (void)told(p);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 3000);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2001));
    assert_int_equal(told(p), ESTAB_EV_OUT);
}

/* Room in a larger buffer is no sign that the connection is open. */
static void a_size_that_is_set_early_opens_nothing(void **state)
{
    static uint8_t text[5000];
    struct peer *p = *state;

    begins_with_buffer(p, 3000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), 3000);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), ESTAB_E_AGAIN);
    user_sets(p, ESTAB_O_SNDBUF, 10000);
    assert_int_equal(told(p), 0);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    assert_int_equal(told(p), ESTAB_EV_OUT);
}

/* ---- who has no bound ---- */

/* 1000 octets, and then as much as is taken. */
static ptrdiff_t takes_behind_a_little(struct peer *p)
{
    static uint8_t text[2000000];

    assert_int_equal(user_sends_with(p, text, 1000, 0), 1000);
    return user_sends_with(p, text, sizeof text, 0);
}

static void what_is_unsent_is_not_bounded_where_the_stack_is_told_so(void **state)
{
    struct peer *p = *state;

    p->cfg.sndbuf = p->cfg.sndbuf_init = 2000000;
    p->cfg.notsent = 0;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(takes_behind_a_little(p), 2000000 - 1000);
}

static void a_size_set_on_a_listener_takes_the_bound_away(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    assert_in_range(takes_behind_a_little(p), 1, p->cfg.notsent);
    peer_restarts(p);
    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_SNDBUF, 1500000), 0);
    peer_connects(p);
    assert_int_equal(takes_behind_a_little(p), 1500000 - 1000);
}

/* What they did not know of they do not have. */
static void programs_from_before_the_bound_have_none(void **state)
{
    struct peer *p = *state;

    p->cfg.size = offsetof(struct estab_config, notsent);
    p->cfg.sndbuf = p->cfg.sndbuf_init = 1500000;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(takes_behind_a_little(p), 1500000 - 1000);
}

static void other_systems_have_no_bound(void **state)
{
    static const char *const names[] = {"linux", "freebsd"};
    struct peer *p = *state;

    assert_int_equal(p->cfg.notsent, 512 * 1024);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_config_profile(&p->cfg, "rfc"), 0);
        assert_int_equal(p->cfg.notsent, 512 * 1024);
        assert_int_equal(estab_config_profile(&p->cfg, names[i]), 0);
        assert_int_equal(p->cfg.notsent, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(what_is_unsent_is_bounded_apart_from_what_is_in_flight),
        PEER_TEST(room_made_by_output_wakes_the_user),
        PEER_TEST(room_that_nobody_watches_wakes_nobody),
        PEER_TEST(a_small_bound_of_what_is_unsent_still_takes_a_segment),
        PEER_TEST(what_is_unsent_is_bounded_by_the_stacks_setting),
        PEER_TEST(one_call_fills_the_buffer_when_nothing_is_unsent),
        PEER_TEST(a_send_that_is_cut_short_ends_with_a_segment),
        PEER_TEST(a_buffer_filled_to_its_last_segment_tells_of_room),
        PEER_TEST(a_buffer_of_almost_three_segments_tells_of_room),
        PEER_TEST(text_from_before_the_handshake_leaves_no_room_untold),
        PEER_TEST(a_smaller_mss_leaves_no_room_untold),
        PEER_TEST(a_bound_that_is_taken_back_leaves_no_room_untold),
        PEER_TEST(memory_that_is_short_leaves_no_room_untold),
        PEER_TEST(a_small_bound_tells_of_room_when_text_has_gone),
        PEER_TEST(room_made_by_output_wakes_the_user_after_more_output),
        PEER_TEST(a_full_buffer_leaves_no_small_segments),
        PEER_TEST(a_size_that_is_set_tells_of_room),
        PEER_TEST(a_buffer_filled_exactly_tells_of_room),
        PEER_TEST(a_size_that_is_set_early_opens_nothing),
        PEER_TEST(what_is_unsent_is_not_bounded_where_the_stack_is_told_so),
        PEER_TEST(a_size_set_on_a_listener_takes_the_bound_away),
        PEER_TEST(programs_from_before_the_bound_have_none),
        PEER_TEST(other_systems_have_no_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_send_test.c - when text leaves, and in which pieces: Nagle's algorithm, NODELAY, MSG_MORE,
 * PSH, the urgent pointer, the segment size. */
#include "unit/peer.h"

static void says(struct peer *p, const char *text, uint32_t flags)
{
    assert_int_equal(user_sends_with(p, text, strlen(text), flags), strlen(text));
    peer_collect(p);
}

/* RFC 9293 section 3.7.4 [SHLD-7]: while a small segment is unacknowledged, small text waits. */
static void small_text_waits_for_the_ack_of_small_text(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    says(p, "a", 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "a"));
    says(p, "b", 0);
    says(p, "cd", 0);
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 1, .text = "bcd"));
}

/* ... but full segments go, and the rest waits. [SHLD-27, SHLD-28] */
static void full_segments_do_not_wait(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    says(p, "a", 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "a"));
    user_sends(p, 2, 2500);
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1002, .ack = 1, .len = 1000));
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = ACK, .seq = 2002, .ack = 1, .len = 500));
}

/* Appendix A.3: full segments in flight hold the last piece of an answer not back. */
static void the_end_of_an_answer_does_not_wait_for_full_segments(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 2500);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 2001, .ack = 1, .len = 500));
}

/* [MUST-17]: it can be switched off, and what waited goes at once. */
static void nodelay_lets_small_text_go(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    says(p, "a", 0);
    says(p, "b", 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "a"));
    gets_nothing(p);
    user_sets(p, ESTAB_O_NODELAY, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 1, .text = "b"));
    says(p, "c", 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 3, .ack = 1, .text = "c"));
}

/* Text said to be continued waits for the rest, also with NODELAY; but not for ever. [MUST-60,
 * MAY-16] */
static void more_to_follow_holds_text_back(void **state)
{
    struct peer *p = *state;
    estab_time asked;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_NODELAY, 1);
    says(p, "head ", ESTAB_MSG_MORE);
    gets_nothing(p);
    says(p, "body", 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "head body"));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 10));
    says(p, "and", ESTAB_MSG_MORE);
    asked = p->v.now;
    waits(p, ESTAB_S(1));
    assert_in_range(gets(p, SEG(.flags = ACK, .seq = 10, .ack = 1, .text = "and"))->at - asked,
                    ESTAB_MS(100), ESTAB_S(1));
}

static void a_fin_takes_held_text_along(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    says(p, "a", 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "a"));
    says(p, "b", ESTAB_MSG_MORE);
    gets_nothing(p);
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 2, .ack = 1, .text = "b"));
    gets_nothing(p);
}

/* [MUST-61]: the last octet of what was queued is pushed, others are not. */
static void the_last_segment_of_the_queue_is_pushed(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 2000);
    assert_int_equal(got(p)->flags, ACK);
    assert_int_equal(got(p)->flags, PSH | ACK);
}

/* SEND in SYN-SENT and SYN-RECEIVED: "Queue the data for transmission after entering ESTABLISHED".
 */
static void text_queued_while_opening_leaves_when_open(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    says(p, "early", 0);
    gets_nothing(p);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "early"));
    peer_restarts(p);
    bring_to(p, ESTAB_SYN_RECEIVED);
    says(p, "bird", 0);
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "bird"));
}

/* RFC 9293 section 3.8.5, RFC 6093: the pointer is an offset to the octet behind the urgent one,
 * and stands in each segment before it. [MUST-30, MUST-62] */
static void the_urgent_pointer_points_behind_urgent_text(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 1500);
    says(p, "!", ESTAB_MSG_OOB);
    k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    k = gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 500));
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1501));
    k = gets(p, SEG(.flags = URG | ACK, .seq = 1501, .ack = 1, .text = "!"));
    assert_int_equal(k->up, 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1502));
    user_sets(p, ESTAB_O_NODELAY, 1);
    assert_int_equal(user_sends_with(p, p->frame, 2500, ESTAB_MSG_OOB), 2500);
    for (uint32_t i = 0; i < 3; i++) {
        k = gets(p, SEG(.flags = URG | ACK, .seq = 1502 + 1000 * i, .ack = 1,
                        .len = i < 2 ? 1000 : 500));
        assert_int_equal(k->up, 2500 - 1000 * i);
    }
}

/* The peer's limit, the path's, the user's: the smallest (RFC 9293 section 3.7.1, RFC 6691).
 * [MUST-16, RFC6691-2-2] */
static void segments_are_no_larger_than_anybody_wants(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 9000));
    user_sends(p, 1, 4000);
    assert_int_equal(got(p)->len, 1460);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 9000, .ts = true));
    user_sends(p, 1, 4000);
    assert_int_equal(got(p)->len, 1448);
    peer_restarts(p);
    user_connects_with(p, SEG(.flags = 0)); /* [MUST-15] */
    user_sends(p, 1, 4000);
    assert_int_equal(got(p)->len, 536);
    peer_restarts(p);
    user_opens(p);
    user_sets(p, ESTAB_O_MAXSEG, 700);
    user_connects(p);
    assert_int_equal(gets(p, SEG(.flags = SYN))->mss, 700);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    ignores_all(p);
    user_sends(p, 1, 4000);
    assert_int_equal(got(p)->len, 700);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 4001));
    user_sets(p, ESTAB_O_MAXSEG, 500);
    user_sends(p, 4001, 2000);
    ignores_all(p);
    user_sends(p, 6001, 500);
    assert_int_equal(got(p)->len, 500);
    p->ip6 = true;
    peer_restarts(p);
    user_connects_with(p, SEG(.flags = 0));
    user_sends(p, 1, 4000);
    assert_int_equal(got(p)->len, 1220);
}

/* What a listener was told holds for what it accepts, its SYN,ACK included. */
static void a_listener_hands_its_segment_limit_on(void **state)
{
    struct peer *p = *state;

    user_listens(p, 1);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_MAXSEG, 700), 0);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    assert_int_equal(gets(p, SEG(.flags = SYN | ACK, .ack = 1))->mss, 700);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    user_sends(p, 1, 4000);
    assert_int_equal(got(p)->len, 700);
}

/* SEND copies what fits; the user hears when a third of the buffer is free again. */
static void a_full_buffer_takes_no_more_and_says_when_it_does(void **state)
{
    struct peer *p = *state;
    struct estab_event ev[4];

    p->cfg.sndbuf = 6000;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_OUT, p), 0);
    assert_int_equal(estab_events(p->s, ev, 4), 1);
    assert_int_equal(user_sends_with(p, p->frame, 10000, 0), 6000);
    assert_int_equal(user_sends_with(p, p->frame, 1, 0), ESTAB_E_AGAIN);
    assert_false(estab_ready(p->s, p->k) & ESTAB_EV_OUT);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    assert_int_equal(estab_events(p->s, ev, 4), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2001));
    assert_int_equal(estab_events(p->s, ev, 4), 1);
    assert_int_equal(ev[0].mask, ESTAB_EV_OUT);
    assert_ptr_equal(ev[0].user, p);
    assert_int_equal(user_sends_with(p, p->frame, 10000, 0), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(small_text_waits_for_the_ack_of_small_text),
        PEER_TEST(full_segments_do_not_wait),
        PEER_TEST(the_end_of_an_answer_does_not_wait_for_full_segments),
        PEER_TEST(nodelay_lets_small_text_go),
        PEER_TEST(more_to_follow_holds_text_back),
        PEER_TEST(a_fin_takes_held_text_along),
        PEER_TEST(the_last_segment_of_the_queue_is_pushed),
        PEER_TEST(text_queued_while_opening_leaves_when_open),
        PEER_TEST(the_urgent_pointer_points_behind_urgent_text),
        PEER_TEST(segments_are_no_larger_than_anybody_wants),
        PEER_TEST(a_listener_hands_its_segment_limit_on),
        PEER_TEST(a_full_buffer_takes_no_more_and_says_when_it_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

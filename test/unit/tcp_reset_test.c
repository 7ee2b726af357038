/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_reset_test.c - which RST is believed, which SYN and ACK are answered with a challenge, and
 * how often (RFC 5961); what answers a segment that has no connection (RFC 9293 section 3.10.7.1).
 */
#include "unit/peer.h"

static const enum estab_tcp_state synchronized[] = {
    ESTAB_SYN_RECEIVED, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2,
    ESTAB_CLOSE_WAIT,   ESTAB_CLOSING,     ESTAB_LAST_ACK,
};
#define NSYNCHRONIZED (sizeof synchronized / sizeof *synchronized)

/* In state st: the number of the peer's next segment. */
static uint32_t next_seq(enum estab_tcp_state st)
{
    return st == ESTAB_CLOSE_WAIT || st == ESTAB_CLOSING || st == ESTAB_LAST_ACK ? 2 : 1;
}
/* SND.NXT in that state. */
static uint32_t own_seq(enum estab_tcp_state st)
{
    return st == ESTAB_ESTABLISHED || st == ESTAB_CLOSE_WAIT || st == ESTAB_SYN_RECEIVED ? 1 : 2;
}

static void anew(struct peer *p, enum estab_tcp_state st)
{
    peer_restarts(p);
    bring_to(p, st);
}

/* ---- RST ---- */

/* RFC 5961 section 3.2: exactly the next number. [MUST-12, RFC5961-3.2-2] */
static void an_exact_rst_ends_the_connection(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < NSYNCHRONIZED; i++) {
        enum estab_tcp_state st = synchronized[i];

        anew(p, st);
        sends(p, SEG(.flags = RST, .seq = next_seq(st)));
        gets_nothing(p);
        assert_int_equal(info_of(p).state, ESTAB_CLOSED);
        assert_int_equal(counted(p, RULE_RST_ACCEPTED), 1);
        assert_int_equal(user_error(p), st == ESTAB_SYN_RECEIVED ? ESTAB_E_REFUSED
                                        : st == ESTAB_CLOSING || st == ESTAB_LAST_ACK
                                            ? ESTAB_OK
                                            : ESTAB_E_RESET);
    }
}

/* ... one elsewhere in the window is asked about, ... [RFC5961-3.2-3] */
static void an_rst_inside_the_window_is_challenged(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < NSYNCHRONIZED; i++) {
        enum estab_tcp_state st = synchronized[i];

        if (st == ESTAB_CLOSING || st == ESTAB_LAST_ACK || st == ESTAB_CLOSE_WAIT)
            continue; /* behind the FIN there is room all the same, but nothing to say */
        anew(p, st);
        sends(p, SEG(.flags = RST, .seq = next_seq(st) + 100));
        (void)gets(p, SEG(.flags = ACK, .seq = own_seq(st), .ack = next_seq(st)));
        assert_int_equal(state_of(p), st);
        assert_int_equal(counted(p, RULE_BLIND_RST), 1);
    }
}

/* ... and one outside means nothing. [RFC5961-3.2-1] */
static void an_rst_outside_the_window_means_nothing(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < NSYNCHRONIZED; i++) {
        anew(p, synchronized[i]);
        sends(p, SEG(.flags = RST, .seq = 0u - 1));
        sends(p, SEG(.flags = RST, .seq = 1u << 30));
        gets_nothing(p);
        assert_int_equal(state_of(p), synchronized[i]);
        assert_int_equal(counted(p, RULE_RST_OUTSIDE), 2);
    }
}

/* In SYN-SENT an RST counts if its ACK does (RFC 9293 section 3.10.7.3, second). */
static void in_syn_sent_the_ack_vouches_for_the_rst(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    sends(p, SEG(.flags = RST, .seq = 0));
    sends(p, SEG(.flags = RST | ACK, .seq = 0, .ack = 0));
    sends(p, SEG(.flags = RST | ACK, .seq = 0, .ack = 2));
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_SYN_SENT_RST), 1);
    assert_state(p, SYN_SENT);
    sends(p, SEG(.flags = RST | ACK, .seq = 0, .ack = 1));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_REFUSED);
}

static void unread_text_survives_an_rst(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    sends(p, SEG(.flags = RST, .seq = 11));
    user_hears(p, 1, 10);
    assert_int_equal(user_reads(p, p->frame, 1), ESTAB_E_RESET);
    assert_int_equal(user_sends_with(p, "x", 1, 0), ESTAB_E_PIPE);
}

/* ---- SYN and ACK ---- */

/* RFC 5961 section 4.2: whatever its number. [RFC5961-4.2-1] */
static void a_syn_in_a_connection_is_challenged(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < NSYNCHRONIZED; i++) {
        enum estab_tcp_state st = synchronized[i];

        if (st == ESTAB_SYN_RECEIVED)
            continue;
        anew(p, st);
        sends(p, SEG(.flags = SYN, .seq = next_seq(st), .mss = 1000));
        (void)gets(p, SEG(.flags = ACK, .seq = own_seq(st), .ack = next_seq(st)));
        sends(p, SEG(.flags = SYN, .seq = 0, .mss = 1000));
        (void)gets(p, SEG(.flags = ACK, .seq = own_seq(st), .ack = next_seq(st)));
        assert_int_equal(state_of(p), st);
    }
}

/* A peer that has forgotten the connection hears of it, and ends it with an exact RST (figure 10).
 */
static void a_peer_that_restarted_ends_the_old_connection(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = SYN, .seq = 0x40000000, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
}

/* RFC 5961 section 5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT. [MAY-12, RFC5961-5.2-1] */
static void an_ack_out_of_range_is_challenged_and_its_text_dropped(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .wnd = 5000));
    user_sends(p, 1, 100);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 102, .len = 10));
    (void)gets(p, SEG(.flags = ACK, .seq = 101, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1u - 5001, .len = 10));
    (void)gets(p, SEG(.flags = ACK, .seq = 101, .ack = 1));
    assert_int_equal(counted(p, RULE_ACK_UNSENT), 1);
    assert_int_equal(counted(p, RULE_ACK_RANGE), 1);
    assert_int_equal(info_of(p).unread, 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1u - 5000, .len = 10)); /* just old */
    assert_int_equal(info_of(p).unread, 10);
    assert_int_equal(info_of(p).flight, 100);
}

static void a_segment_without_ack_is_dropped(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = 0, .seq = 1, .len = 10));
    sends(p, SEG(.flags = FIN, .seq = 1));
    gets_nothing(p);
    assert_state(p, ESTABLISHED);
    assert_int_equal(counted(p, RULE_NO_ACK), 2);
}

/* Section 7: so many a second, for each connection by itself. [RFC5961-7-1] */
static void challenges_are_limited(void **state)
{
    struct peer *p = *state;
    int answers = 0;

    user_connects_with(p, SEG(.mss = 1000));
    waits(p, ESTAB_S(1) - p->v.now % ESTAB_S(1));
    for (int i = 0; i < 200; i++)
        sends(p, SEG(.flags = SYN, .seq = 1, .mss = 1000));
    while (has_got(p)) {
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
        answers++;
    }
    assert_in_range(answers, 1, 10);
    assert_int_equal(counted(p, RULE_CHALLENGE_LIMIT), 200 - answers);
    waits(p, ESTAB_S(1));
    sends(p, SEG(.flags = SYN, .seq = 1, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
}

/* ---- no connection ---- */

/* RFC 9293 section 3.10.7.1 */
static void what_belongs_to_nothing_is_reset(void **state)
{
    struct peer *p = *state;

    sends(p, SEG(.flags = SYN, .seq = 0, .len = 10));
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 0, .ack = 11));
    sends(p, SEG(.flags = ACK, .seq = 5, .ack = 77, .len = 10));
    (void)gets(p, SEG(.flags = RST, .seq = 77));
    sends(p, SEG(.flags = FIN, .seq = 5));
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 0, .ack = 6));
    sends(p, SEG(.flags = RST, .seq = 5));
    sends(p, SEG(.flags = RST | ACK, .seq = 5, .ack = 1));
    gets_nothing(p);
}

/* 3.10.7.2: in LISTEN an ACK is reset, an RST means nothing, SYN with FIN is refused. */
static void what_is_no_syn_finds_no_listener(void **state)
{
    struct peer *p = *state;

    user_listens(p, 1);
    sends(p, SEG(.flags = ACK, .seq = 5, .ack = 77));
    (void)gets(p, SEG(.flags = RST, .seq = 77));
    sends(p, SEG(.flags = SYN | ACK, .seq = 5, .ack = 77));
    (void)gets(p, SEG(.flags = RST, .seq = 77));
    sends(p, SEG(.flags = RST, .seq = 5));
    sends(p, SEG(.flags = 0, .seq = 5, .len = 3));
    sends(p, SEG(.flags = SYN | FIN, .seq = 5));
    gets_nothing(p);
    assert_int_equal(stack_of(p).synq, 0);
    assert_int_equal(counted(p, RULE_LISTEN_RST), 1);
    assert_int_equal(counted(p, RULE_SYN_FIN), 1);
}

/* 3.10.7.3: in SYN-SENT a wrong ACK is reset, SYN or not. */
static void in_syn_sent_a_wrong_ack_is_reset(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    sends(p, SEG(.flags = ACK, .seq = 5, .ack = 77));
    (void)gets(p, SEG(.flags = RST, .seq = 77));
    sends(p, SEG(.flags = SYN | ACK, .seq = 0, .ack = 0));
    (void)gets(p, SEG(.flags = RST, .seq = 0));
    sends(p, SEG(.flags = ACK, .seq = 0, .ack = 1)); /* right, but no SYN */
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_SYN_SENT_OTHER), 1);
    assert_state(p, SYN_SENT);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    assert_state(p, ESTABLISHED);
}

/* ---- our own RST ---- */

/* RFC 9293 section 3.10.5: where the connection is synchronized, the peer hears of the abort. */
static void an_abort_tells_the_peer(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < NSYNCHRONIZED; i++) {
        enum estab_tcp_state st = synchronized[i];

        anew(p, st);
        user_aborts(p);
        if (st != ESTAB_CLOSING && st != ESTAB_LAST_ACK)
            (void)gets(p, SEG(.flags = RST | ACK, .seq = own_seq(st), .ack = next_seq(st)));
        gets_nothing(p);
        assert_state(p, CLOSED);
        assert_int_equal(stack_of(p).conns, 0);
    }
}

/* In CLOSING and LAST-ACK both sides have said all they had to say, unless the FIN has not left: by
 * the RFC's count that is still FIN-WAIT-1 or CLOSE-WAIT, and the peer waits. */
static void an_abort_with_the_fin_unsent_tells_the_peer(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    ignores_all(p);
    user_sends(p, 1, 30000);
    for (int i = 0; i < 10; i++)
        (void)got(p);
    user_shuts(p);
    assert_state(p, LAST_ACK);
    user_aborts(p);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 10001, .ack = 2));
}

/* RFC 1122 section 4.2.2.13: text that nobody will read was lost, and the peer is told. [MAY-1,
 * SHLD-3, RFC1122-4.2.2.13-1] */
static void closing_with_unread_text_resets(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    ignores_all(p);
    user_closes(p);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 1, .ack = 11));
    assert_state(p, CLOSED);
    assert_int_equal(counted(p, RULE_CLOSE_UNREAD), 1);
}

/* [SHLD-3, RFC1122-4.2.2.13-1] */
static void text_after_close_resets(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_2);
    user_closes(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2, .len = 10));
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 2, .ack = 1));
    assert_state(p, CLOSED);
    assert_int_equal(counted(p, RULE_TEXT_AFTER_CLOSE), 1);
}

/* ... but after SHUT_RD it is taken, acknowledged and forgotten: the user still sends. */
static void text_after_shut_rd_is_taken_and_forgotten(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    ignores_all(p);
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_RD), 0);
    assert_int_equal(user_reads(p, p->frame, 10), 0);
    sends(p, SEG(.flags = ACK, .seq = 1011, .ack = 1, .len = 1000));
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 11, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 2011));
    assert_int_equal(user_reads(p, p->frame, 10), 0);
    user_sends(p, 1, 10);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 2011, .len = 10));
    sends(p, SEG(.flags = FIN | ACK, .seq = 2011, .ack = 11));
    assert_state(p, CLOSE_WAIT);
    user_closes(p);
    assert_state(p, LAST_ACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(an_exact_rst_ends_the_connection),
        PEER_TEST(an_rst_inside_the_window_is_challenged),
        PEER_TEST(an_rst_outside_the_window_means_nothing),
        PEER_TEST(in_syn_sent_the_ack_vouches_for_the_rst),
        PEER_TEST(unread_text_survives_an_rst),
        PEER_TEST(a_syn_in_a_connection_is_challenged),
        PEER_TEST(a_peer_that_restarted_ends_the_old_connection),
        PEER_TEST(an_ack_out_of_range_is_challenged_and_its_text_dropped),
        PEER_TEST(a_segment_without_ack_is_dropped),
        PEER_TEST(challenges_are_limited),
        PEER_TEST(what_belongs_to_nothing_is_reset),
        PEER_TEST(what_is_no_syn_finds_no_listener),
        PEER_TEST(in_syn_sent_a_wrong_ack_is_reset),
        PEER_TEST(an_abort_tells_the_peer),
        PEER_TEST(an_abort_with_the_fin_unsent_tells_the_peer),
        PEER_TEST(closing_with_unread_text_resets),
        PEER_TEST(text_after_close_resets),
        PEER_TEST(text_after_shut_rd_is_taken_and_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

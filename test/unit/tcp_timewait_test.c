/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_timewait_test.c - TIME-WAIT: what it answers, what it ignores, how it ends (RFC 9293
 * section 3.6.1, RFC 1337, RFC 6191). */
#include "unit/peer.h"

#define MSL ESTAB_S(30)

/* The stack listens, accepts, and closes first. */
static void in_time_wait(struct peer *p, const struct pkt *options)
{
    peer_connects_with(p, options);
    user_closes(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
}

/* S31: 2 MSL, then CLOSED by itself. [MUST-13] */
static void it_lasts_2_msl(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    assert_int_equal(stack_of(p).timewait, 1);
    assert_int_equal(stack_of(p).conns, 0);
    waits(p, 2 * MSL - ESTAB_MS(1));
    assert_state(p, TIME_WAIT);
    waits(p, ESTAB_MS(2));
    assert_state(p, CLOSED);
    gets_nothing(p);
    assert_int_equal(stack_of(p).timewait, 0);
    assert_int_equal(p->last_edge.cause, ESTAB_BY_TIMEOUT);
}

/* S32 */
static void the_msl_is_a_setting(void **state)
{
    struct peer *p = *state;

    p->cfg.msl = ESTAB_MS(500);
    peer_restarts(p);
    in_time_wait(p, SEG(.mss = 1000));
    waits(p, ESTAB_MS(1001));
    assert_state(p, CLOSED);
}

/* S33, W1: a repeated FIN is acknowledged again, each time, and 2 MSL begin anew. */
static void a_repeated_fin_is_acknowledged_again(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    for (int i = 0; i < 5; i++) {
        waits(p, MSL);
        sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
        (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    }
    assert_int_equal(counted(p, RULE_TIME_WAIT_FIN), 5);
    waits(p, 2 * MSL - ESTAB_MS(1));
    assert_state(p, TIME_WAIT);
    waits(p, ESTAB_MS(2));
    assert_state(p, CLOSED);
}

/* ... also behind the text that it came with. */
static void a_fin_repeated_with_its_text_is_acknowledged_again(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_2);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 100));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 102));
    waits(p, MSL);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 100));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 102));
    waits(p, MSL + ESTAB_MS(1));
    assert_state(p, TIME_WAIT);
    user_hears(p, 1, 100);
}

/* RFC 1337 section 3, fix F1. [RFC1337-3-1] */
static void an_rst_does_not_end_it(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = RST, .seq = 2));
    sends(p, SEG(.flags = RST | ACK, .seq = 2, .ack = 2));
    gets_nothing(p);
    assert_state(p, TIME_WAIT);
    assert_int_equal(counted(p, RULE_TIME_WAIT_RST), 2);
}

/* W2: what wandered is answered at most, and changes nothing. */
static void old_duplicates_change_nothing(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 0)); /* the third segment, say */
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    waits(p, MSL);
    sends(p, SEG(.flags = ACK, .seq = 0u - 100, .ack = 1, .len = 100));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    sends(p, SEG(.flags = ACK, .seq = 2, .ack = 2)); /* the ACK of our FIN once more */
    sends(p, SEG(.flags = 0, .seq = 2));
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TIME_WAIT_OTHER), 3);
    assert_int_equal(counted(p, RULE_NO_ACK), 1);
    waits(p, MSL + ESTAB_MS(1));
    assert_state(p, CLOSED); /* nothing of it has prolonged it */
}

/* K5: between two ends out of step silence falls. */
static void unacceptable_acks_are_answered_once_a_second(void **state)
{
    struct peer *p = *state;
    int answers = 0;

    in_time_wait(p, SEG(.mss = 1000));
    for (int i = 0; i < 100; i++) {
        sends(p, SEG(.flags = ACK, .seq = 1000000, .ack = 70000));
        while (has_got(p)) {
            (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
            answers++;
        }
        waits(p, ESTAB_MS(10));
    }
    assert_in_range(answers, 1, 2);
    assert_int_equal(counted(p, RULE_CHALLENGE_LIMIT), 100 - answers);
}

/* ---- a new incarnation (W3, RFC 6191) ---- */

/* A SYN beyond everything the old one sent is a new connection, with numbers of its own beyond.
 * [MAY-2, RFC1122-4.2.2.13-2] */
static void a_newer_syn_opens_anew(void **state)
{
    struct peer *p = *state;
    uint32_t old_iss;

    in_time_wait(p, SEG(.mss = 1000));
    old_iss = p->iss;
    p->isn += 1000;
    sends(p, SEG(.flags = SYN, .mss = 1000));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    assert_true((int32_t)(p->iss - old_iss) > 65535);
    assert_state(p, SYN_RECEIVED);
    assert_int_equal(counted(p, RULE_TIME_WAIT_SYN), 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    sends(p, SEG(.flags = ACK, .seq = 1u - 1000, .ack = 1, .len = 100)); /* of the old one */
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(info_of(p).unread, 0);
    assert_int_equal(stack_of(p).timewait, 0);
}

/* [RFC6191-2-3] */
static void an_older_syn_is_answered_with_an_ack(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = SYN, .seq = 0u - 1000, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
    waits(p, ESTAB_S(1));
    sends(p, SEG(.flags = SYN, .seq = 0, .mss = 1000)); /* the very same */
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
}

/* Timestamps decide where both incarnations have them, ... [SHLD-4, RFC6191-2-1] */
static void a_newer_timestamp_decides(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000, .ts = true));
    p->isn -= 100000;
    sends(p, SEG(.flags = SYN, .mss = 1000, .ts_val = p->ts_val + 1));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
}

/* [RFC6191-2-3] */
static void an_older_timestamp_decides(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000, .ts = true));
    sends(p, SEG(.flags = SYN, .seq = 100000, .mss = 1000, .ts_val = p->ts_val - 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
}

/* ... the numbers where they are equal or missing. [RFC6191-2-2] */
static void with_equal_timestamps_the_number_decides(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000, .ts = true));
    sends(p, SEG(.flags = SYN, .seq = 0u - 100, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    p->isn += 100;
    sends(p, SEG(.flags = SYN, .mss = 1000));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
}

/* Whatever is left of an incarnation without timestamps has none. [RFC6191-2-4] */
static void timestamps_where_there_were_none_decide(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    p->isn -= 100000;
    sends(p, SEG(.flags = SYN, .mss = 1000, .ts = true, .ts_val = 1));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1, .ts = true));
}

/* RFC 7323: with an old timestamp it is not the FIN again but an old duplicate of it, acknowledged,
 * and 2 MSL go on; without one it is nothing. [RFC7323-3.2-2, RFC7323-5.3-1] */
static void a_fin_with_an_old_timestamp_does_not_prolong_it(void **state)
{
    struct peer *p = *state;
    uint32_t fin_ts;

    in_time_wait(p, SEG(.mss = 1000, .ts = true));
    fin_ts = p->ts_val;
    waits(p, 2 * MSL - ESTAB_S(1));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2, .no_ts = true));
    gets_nothing(p);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2, .ts_val = fin_ts - 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    waits(p, ESTAB_S(1) + ESTAB_MS(2));
    assert_state(p, CLOSED);
}

/* Nobody listens: the old connection keeps its answer. */
static void without_a_listener_a_newer_syn_is_refused(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_TIME_WAIT);
    sends(p, SEG(.flags = SYN, .seq = 100000, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
}

/* A listener that has no room: nothing is given up for a connection that cannot be. */
static void without_room_a_newer_syn_leaves_it_alone(void **state)
{
    struct peer *p = *state;

    in_time_wait(p, SEG(.mss = 1000));
    assert_int_equal(estab_listen(p->s, p->listener, 1), 0);
    sends(p, SEG(.flags = SYN, .mss = 1000, .sport = 6000));
    ignores_all(p);
    p->isn += 1000;
    sends(p, SEG(.flags = SYN, .mss = 1000));
    gets_nothing(p);
    assert_state(p, TIME_WAIT);
    assert_int_equal(counted(p, RULE_BACKLOG_FULL), 1);
}

/* S38: what it holds is locked, for the user too. */
static void its_four_tuple_is_locked(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_TIME_WAIT);
    user_closes(p);
    p->k = 0;
    user_opens(p);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INUSE);
    waits(p, 2 * MSL + ESTAB_MS(1));
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INPROGRESS);
}

/* ---- the table ---- */

/* S39: running out is survived: the oldest goes. */
static void when_the_table_is_full_the_oldest_goes(void **state)
{
    struct peer *p = *state;

    p->cfg.max_timewait = 3;
    peer_restarts(p);
    for (uint16_t i = 0; i < 5; i++) {
        p->them.port = (uint16_t)(5000 + i);
        in_time_wait(p, SEG(.mss = 1000));
        waits(p, ESTAB_S(1));
    }
    assert_int_equal(stack_of(p).timewait, 3);
    assert_int_equal(counted(p, RULE_TIME_WAIT_RECYCLED), 2);
    p->them.port = 5001;
    assert_state(p, CLOSED);
    p->them.port = 5002;
    assert_state(p, TIME_WAIT);
}

/* ---- its user ---- */

/* The handle shows it, reads what is left, and outlives it. */
static void a_handle_outlives_it(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_2);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 10));
    ignores_all(p);
    assert_int_equal(info_of(p).state, ESTAB_TIME_WAIT);
    assert_int_equal(info_of(p).timer, ESTAB_T_2MSL);
    assert_int_equal(estab_ready(p->s, p->k) & (ESTAB_EV_HUP | ESTAB_EV_IN),
                     ESTAB_EV_HUP | ESTAB_EV_IN);
    waits(p, 2 * MSL + ESTAB_MS(1));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    user_hears(p, 1, 10);
    assert_int_equal(user_reads(p, p->frame, 1), 0);
    user_closes(p);
    assert_int_equal(stack_of(p).conns, 0);
}

/* ... and its end, by close or abort, leaves the entry to its 2 MSL (section 3.6.1). */
static void the_handle_s_end_does_not_end_it(void **state)
{
    struct peer *p = *state;

    for (int aborts = 0; aborts < 2; aborts++) {
        peer_restarts(p);
        bring_to(p, ESTAB_TIME_WAIT);
        if (aborts)
            user_aborts(p);
        else
            user_closes(p);
        gets_nothing(p);
        assert_state(p, TIME_WAIT);
        assert_int_equal(stack_of(p).conns, 0);
        sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
        (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(it_lasts_2_msl),
        PEER_TEST(the_msl_is_a_setting),
        PEER_TEST(a_repeated_fin_is_acknowledged_again),
        PEER_TEST(a_fin_repeated_with_its_text_is_acknowledged_again),
        PEER_TEST(an_rst_does_not_end_it),
        PEER_TEST(old_duplicates_change_nothing),
        PEER_TEST(unacceptable_acks_are_answered_once_a_second),
        PEER_TEST(a_newer_syn_opens_anew),
        PEER_TEST(an_older_syn_is_answered_with_an_ack),
        PEER_TEST(a_newer_timestamp_decides),
        PEER_TEST(an_older_timestamp_decides),
        PEER_TEST(with_equal_timestamps_the_number_decides),
        PEER_TEST(timestamps_where_there_were_none_decide),
        PEER_TEST(a_fin_with_an_old_timestamp_does_not_prolong_it),
        PEER_TEST(without_a_listener_a_newer_syn_is_refused),
        PEER_TEST(without_room_a_newer_syn_leaves_it_alone),
        PEER_TEST(its_four_tuple_is_locked),
        PEER_TEST(when_the_table_is_full_the_oldest_goes),
        PEER_TEST(a_handle_outlives_it),
        PEER_TEST(the_handle_s_end_does_not_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_idle_test.c - connections on which nothing happens: keepalives (RFC 9293 section 3.8.4), an
 * orphan's FIN-WAIT-2, and what an idle connection costs. */
#include "unit/peer.h"

static void with_keepalives(struct peer *p)
{
    user_sets(p, ESTAB_O_KEEPIDLE, ESTAB_S(10));
    user_sets(p, ESTAB_O_KEEPINTVL, ESTAB_S(3));
    user_sets(p, ESTAB_O_KEEPCNT, 4);
}

/* [MUST-25]: off unless asked for. [MUST-28] */
static void nothing_is_sent_unless_asked_for(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    waits(p, ESTAB_S(100000));
    gets_nothing(p);
    assert_state(p, ESTABLISHED);
    assert_int_equal(estab_deadline(p->s), ESTAB_NEVER);
}

/* [MUST-24]: the user turns them on and off; [MUST-27]: and says how often. */
static void the_user_decides(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    with_keepalives(p);
    waits(p, ESTAB_S(9));
    user_sets(p, ESTAB_O_KEEPIDLE, 0);
    waits(p, ESTAB_S(100000));
    gets_nothing(p);
    user_sets(p, ESTAB_O_KEEPIDLE, ESTAB_S(7200));
    waits(p, ESTAB_S(7200) - ESTAB_MS(1));
    gets_nothing(p);
    waits(p, ESTAB_MS(2));
    (void)gets(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
    assert_state(p, ESTABLISHED);
}

/* What keepalives are for: a peer that has forgotten the connection says so. */
static void a_peer_that_has_restarted_resets_it(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    with_keepalives(p);
    waits(p, ESTAB_S(10) + ESTAB_MS(1));
    (void)gets(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_state(p, CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_RESET);
    waits(p, ESTAB_S(100));
    gets_nothing(p);
}

/* RFC 1122 section 4.2.3.6 [MUST-29]: lost answers in between begin the count anew. */
static void an_answer_begins_the_count_anew(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    with_keepalives(p);
    for (int i = 0; i < 10; i++) {
        waits(p, ESTAB_S(10) + ESTAB_S(3) * 3 - ESTAB_MS(1)); /* three are lost */
        ignores_all(p);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    }
    assert_state(p, ESTABLISHED);
    waits(p, ESTAB_S(10) + ESTAB_S(3) * 4 + ESTAB_MS(10));
    assert_state(p, CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* RFC 1122 section 4.2.3.6: a listener's setting holds for what it accepts. */
static void what_is_accepted_keeps_alive_too(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    p->k = p->listener;
    with_keepalives(p);
    peer_connects(p);
    waits(p, ESTAB_S(10) + ESTAB_MS(1));
    (void)gets(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
}

/* An octet less than SND.NXT, no text [SHLD-12]: whoever lives answers. [MUST-24, MUST-27, MAY-5]
 */
static void a_living_peer_keeps_it_alive(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    with_keepalives(p);
    for (int i = 0; i < 20; i++) {
        waits(p, ESTAB_S(10) - ESTAB_MS(1));
        gets_nothing(p);
        waits(p, ESTAB_MS(2));
        (void)gets(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
        gets_nothing(p);
    }
    assert_state(p, ESTABLISHED);
}

/* [MUST-29]: one lost answer is no verdict. */
static void a_silent_peer_is_given_up(void **state)
{
    struct peer *p = *state;

    for (int st = 0; st < 3; st++) {
        static const enum estab_tcp_state in[] = {ESTAB_ESTABLISHED, ESTAB_CLOSE_WAIT,
                                                  ESTAB_FIN_WAIT_2};
        uint32_t seq = in[st] == ESTAB_FIN_WAIT_2 ? 2 : 1;
        uint32_t ack = in[st] == ESTAB_CLOSE_WAIT ? 2 : 1;

        peer_restarts(p);
        bring_to(p, in[st]);
        with_keepalives(p);
        waits(p, ESTAB_S(20) + ESTAB_MS(10));
        for (int i = 0; i < 4; i++)
            (void)gets(p, SEG(.flags = ACK, .seq = seq - 1, .ack = ack));
        gets_nothing(p);
        assert_int_equal(state_of(p), in[st]);
        waits(p, ESTAB_S(2));
        (void)gets(p, SEG(.flags = RST | ACK, .seq = seq, .ack = ack));
        assert_int_equal(info_of(p).state, ESTAB_CLOSED);
        assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
    }
}

/* [MUST-26]: only while nothing is outstanding and nothing was heard. */
static void none_is_sent_while_text_is_out(void **state)
{
    struct peer *p = *state;

    p->cfg.rto_max = ESTAB_S(60);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    with_keepalives(p);
    user_sends(p, 1, 10);
    waits(p, ESTAB_S(100));
    while (has_got(p))
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    assert_int_equal(counted(p, RULE_KEEPALIVE), 0);
    assert_state(p, ESTABLISHED);
}

static void what_is_heard_puts_it_off(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    with_keepalives(p);
    for (uint32_t i = 0; i < 20; i++) {
        waits(p, ESTAB_S(9));
        sends(p, SEG(.flags = ACK, .seq = 1 + i, .ack = 1, .len = 1));
        waits(p, ESTAB_MS(100));
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 2 + i));
        gets_nothing(p);
    }
}

/* Ours are answered by peers, theirs by us. */
static void a_keepalive_of_the_peer_is_answered(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 0, .ack = 1, .len = 1)); /* an octet of garbage */
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
}

/* ---- FIN-WAIT-2 ---- */

/* Nobody holds it, and the peer does not end it: RFC 1122 section 4.2.2.13 lets it go. */
static void an_orphan_waits_for_the_fin_so_long(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_2);
    waits(p, ESTAB_S(1000)); /* the user may wait for as long as it likes */
    assert_state(p, FIN_WAIT_2);
    user_closes(p);
    waits(p, ESTAB_S(59));
    assert_state(p, FIN_WAIT_2);
    waits(p, ESTAB_S(2));
    assert_state(p, CLOSED);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_FIN_WAIT_2_LIMIT), 1);
    assert_int_equal(stack_of(p).conns, 0);
}

/* R3: a peer that goes on talking cannot prolong it; nor can keepalives that were set. */
static void talking_does_not_prolong_it(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_ESTABLISHED);
    with_keepalives(p);
    user_closes(p);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
    assert_state(p, FIN_WAIT_2);
    for (int i = 0; i < 6; i++) {
        waits(p, ESTAB_S(9));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
    }
    waits(p, ESTAB_S(7));
    assert_state(p, CLOSED);
    gets_nothing(p);
}

static void the_limit_is_a_setting(void **state)
{
    struct peer *p = *state;

    p->cfg.fin_wait_2 = ESTAB_S(5);
    peer_restarts(p);
    bring_to(p, ESTAB_FIN_WAIT_2);
    user_closes(p);
    waits(p, ESTAB_S(6));
    assert_state(p, CLOSED);
    p->cfg.fin_wait_2 = 0;
    peer_restarts(p);
    bring_to(p, ESTAB_FIN_WAIT_2);
    user_closes(p);
    waits(p, ESTAB_S(100000));
    assert_state(p, FIN_WAIT_2);
}

/* ---- cost ---- */

/* Queues, timers, recovery: all of it goes back when a connection rests. */
static void a_connection_at_rest_holds_no_work(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 5000);
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    assert_int_equal(p->s->tcp.works.used, 1);
    sends(p, SEG(.flags = ACK, .seq = 201, .ack = 5001));
    assert_int_equal(p->s->tcp.works.used, 1);
    user_hears(p, 1, 200);
    waits(p, ESTAB_S(1));
    assert_int_equal(p->s->tcp.works.used, 0);
    assert_int_equal(p->s->tcp.ranges.used, 0);
    ignores_all(p);
    user_sends(p, 5001, 10);
    (void)gets(p, SEG(.flags = ACK, .seq = 5001, .ack = 201, .len = 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(nothing_is_sent_unless_asked_for),
        PEER_TEST(the_user_decides),
        PEER_TEST(a_peer_that_has_restarted_resets_it),
        PEER_TEST(an_answer_begins_the_count_anew),
        PEER_TEST(what_is_accepted_keeps_alive_too),
        PEER_TEST(a_living_peer_keeps_it_alive),
        PEER_TEST(a_silent_peer_is_given_up),
        PEER_TEST(none_is_sent_while_text_is_out),
        PEER_TEST(what_is_heard_puts_it_off),
        PEER_TEST(a_keepalive_of_the_peer_is_answered),
        PEER_TEST(an_orphan_waits_for_the_fin_so_long),
        PEER_TEST(talking_does_not_prolong_it),
        PEER_TEST(the_limit_is_a_setting),
        PEER_TEST(a_connection_at_rest_holds_no_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

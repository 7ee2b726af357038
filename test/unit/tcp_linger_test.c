/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_linger_test.c - what becomes of a connection that its user has closed: the three forms of
 * linger, how one waits for the end, and how long and how many orphans are kept. */
#include "unit/peer.h"

static const enum estab_tcp_state all[] = {
    ESTAB_SYN_SENT,   ESTAB_SYN_RECEIVED, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2,
    ESTAB_CLOSE_WAIT, ESTAB_CLOSING,      ESTAB_LAST_ACK,    ESTAB_TIME_WAIT,
};
#define STATES (sizeof all / sizeof *all)

static uint32_t flushed(struct peer *p)
{
    return estab_ready(p->s, p->k) & ESTAB_EV_FLUSHED;
}
static bool hears_flushed(struct peer *p)
{
    struct estab_event e;

    return estab_events(p->s, &e, 1) == 1 && e.mask & ESTAB_EV_FLUSHED;
}

/* ---- off, the default ---- */

static void off_sends_what_is_queued(void **state)
{
    struct peer *p = *state;
    uint64_t v;

    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_LINGER, &v), 0);
    assert_true(v == ESTAB_NEVER);
    user_sends(p, 1, 2500);
    user_closes(p);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 2001, .ack = 1, .len = 500));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 2501, .ack = 1));
    assert_int_equal(stack_of(p).orphans, 1);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2502));
    assert_state(p, TIME_WAIT);
    assert_int_equal(stack_of(p).orphans, 0);
}

/* ---- 0 ---- */

/* RFC 9293 section 3.10.5, state by state: who still expects something of us gets an RST. */
static void zero_aborts_in_every_state(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < STATES; i++) {
        bool told = all[i] != ESTAB_SYN_SENT && all[i] != ESTAB_CLOSING &&
                    all[i] != ESTAB_LAST_ACK && all[i] != ESTAB_TIME_WAIT;

        peer_restarts(p);
        bring_to(p, all[i]);
        user_sets(p, ESTAB_O_LINGER, 0);
        user_closes(p);
        if (told)
            assert_true(got(p)->flags & RST);
        gets_nothing(p);
        assert_int_equal(state_of(p), all[i] == ESTAB_TIME_WAIT ? ESTAB_TIME_WAIT : ESTAB_CLOSED);
        assert_int_equal(stack_of(p).conns, 0);
        assert_int_equal(stack_of(p).orphans, 0);
        assert_int_equal(counted(p, RULE_LINGER), all[i] != ESTAB_TIME_WAIT);
    }
}

static void zero_throws_away_what_is_queued(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_LINGER, 0);
    p->wnd = 1000;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_sends(p, 1, 5000);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    user_closes(p);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 1001, .ack = 1));
    waits(p, ESTAB_S(10));
    gets_nothing(p);
}

/* shutdown() is no close: it stays graceful. */
static void zero_leaves_shutdown_alone(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_LINGER, 0);
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    user_closes(p);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 2, .ack = 1));
}

static void a_listener_hands_it_on(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_LINGER, 0), 0);
    peer_connects_with(p, SEG(.mss = 1000));
    user_closes(p);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 1, .ack = 1));
    assert_int_equal(estab_close(p->s, p->listener), 0);
    gets_nothing(p);
}

/* ---- a time: for a caller who waits ---- */

static void a_time_is_kept_for_who_waits(void **state)
{
    struct peer *p = *state;
    uint64_t v;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_LINGER, ESTAB_MS(2500));
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_LINGER, &v), 0);
    assert_true(v == ESTAB_MS(2500));
    user_sets(p, ESTAB_O_LINGER, ESTAB_NEVER);
    assert_int_equal(estab_setopt(p->s, p->k, ESTAB_O_LINGER, ESTAB_NEVER - 1), ESTAB_E_INVAL);
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_LINGER, &v), 0);
    assert_true(v == ESTAB_NEVER);
    user_sets(p, ESTAB_O_LINGER, ESTAB_S(60));
    user_closes(p); /* without waiting: as ever */
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
    assert_state(p, FIN_WAIT_2);
}

static void flushed_is_when_all_and_the_fin_are_acknowledged(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_FLUSHED, NULL), 0);
    user_sends(p, 1, 1500);
    user_shuts(p);
    ignores_all(p);
    assert_int_equal(flushed(p), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    assert_int_equal(flushed(p), 0);
    assert_false(hears_flushed(p));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1501)); /* all text: but the FIN is still out */
    assert_int_equal(flushed(p), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1502));
    assert_true(flushed(p));
    assert_true(hears_flushed(p));
    assert_false(hears_flushed(p));
}

/* By state; and in every other way that a connection can be over. */
static void flushed_in_every_state(void **state)
{
    struct peer *p = *state;

    for (size_t i = 0; i < STATES; i++) {
        peer_restarts(p);
        bring_to(p, all[i]);
        assert_int_equal(flushed(p) != 0, all[i] == ESTAB_FIN_WAIT_2 || all[i] == ESTAB_TIME_WAIT);
    }
    peer_restarts(p);
    bring_to(p, ESTAB_LAST_ACK);
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_FLUSHED, NULL), 0);
    sends(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_true(hears_flushed(p));
    peer_restarts(p);
    bring_to(p, ESTAB_CLOSING);
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_FLUSHED, NULL), 0);
    sends(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_true(hears_flushed(p));
    assert_state(p, TIME_WAIT);
    peer_restarts(p);
    bring_to(p, ESTAB_FIN_WAIT_1);
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_FLUSHED, NULL), 0);
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_true(hears_flushed(p));
    assert_true(flushed(p));
}

/* ---- orphans ---- */

/* R2 of an orphan [SHLD-11: at least 100 s], whatever it waits for. */
static void an_orphan_is_given_up(void **state)
{
    static const enum estab_tcp_state in[] = {ESTAB_FIN_WAIT_1, ESTAB_CLOSING, ESTAB_LAST_ACK};
    struct peer *p = *state;

    for (int i = 0; i < 3; i++) {
        uint32_t sent = 0;

        peer_restarts(p);
        bring_to(p, in[i]);
        user_closes(p);
        assert_int_equal(stack_of(p).orphans, 1);
        waits(p, ESTAB_S(100));
        assert_int_equal(state_of(p), in[i]);
        waits(p, ESTAB_S(900));
        assert_state(p, CLOSED);
        assert_int_equal(stack_of(p).orphans, 0);
        assert_int_equal(counted(p, RULE_RETRIES), 1);
        while (has_got(p))
            sent += (got(p)->flags & FIN) != 0;
        assert_int_equal(sent, p->cfg.orphan_retries);
    }
}

/* A user who holds on waits longer: max_retries are his. */
static void who_is_held_is_kept_longer(void **state)
{
    struct peer *p = *state;

    p->cfg.orphan_retries = 2;
    p->cfg.max_retries = 6;
    peer_restarts(p);
    bring_to(p, ESTAB_FIN_WAIT_1);
    waits(p, ESTAB_S(20));
    assert_state(p, FIN_WAIT_1);
    user_closes(p); /* more tries than an orphan has */
    waits(p, ESTAB_S(20));
    assert_state(p, CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(off_sends_what_is_queued),
        PEER_TEST(zero_aborts_in_every_state),
        PEER_TEST(zero_throws_away_what_is_queued),
        PEER_TEST(zero_leaves_shutdown_alone),
        PEER_TEST(a_listener_hands_it_on),
        PEER_TEST(a_time_is_kept_for_who_waits),
        PEER_TEST(flushed_is_when_all_and_the_fin_are_acknowledged),
        PEER_TEST(flushed_in_every_state),
        PEER_TEST(an_orphan_is_given_up),
        PEER_TEST(who_is_held_is_kept_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

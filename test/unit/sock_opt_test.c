/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_opt_test.c - socket options that decide when text leaves and when its user is told. */
#include "unit/peer.h"

static uint64_t option(struct peer *p, estab_sock k, enum estab_opt o)
{
    uint64_t v = 0;

    assert_int_equal(estab_getopt(p->s, k, o, &v), 0);
    return v;
}

/* ---- CORK ---- */

static void a_cork_holds_partial_segments_until_it_is_pulled(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_NODELAY, 1);
    user_sets(p, ESTAB_O_CORK, 1);
    user_sends(p, 1, 300);
    gets_nothing(p);
    user_sends(p, 301, 800);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    gets_nothing(p);
    user_sets(p, ESTAB_O_CORK, 0);
    (void)gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 100));
}

static void a_cork_holds_for_200_ms_at_most(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_CORK, 1);
    user_sends(p, 1, 300);
    waits(p, ESTAB_MS(199));
    gets_nothing(p);
    waits(p, ESTAB_MS(2));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 300));
    user_sends(p, 301, 10); /* the cork is still in */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 301));
    waits(p, ESTAB_MS(190));
    gets_nothing(p);
    waits(p, ESTAB_MS(20));
    (void)gets(p, SEG(.flags = ACK, .seq = 301, .ack = 1, .len = 10));
}

static void a_fin_and_nodelay_go_past_a_cork(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_CORK, 1);
    user_sends(p, 1, 10);
    user_sets(p, ESTAB_O_NODELAY, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    user_sends(p, 11, 10);
    gets_nothing(p); /* that was for once */
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 11, .ack = 1, .len = 10));
}

/* ---- RCVLOWAT ---- */

static void little_text_is_no_reason_to_wake_a_user_who_waits_for_much(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_RCVLOWAT, 100);
    assert_int_equal(option(p, p->k, ESTAB_O_RCVLOWAT), 100);
    estab_watch(p->s, p->k, ESTAB_EV_IN, NULL);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 99));
    assert_int_equal(told(p), 0);
    assert_false(is_ready(p, ESTAB_EV_IN));
    sends(p, SEG(.flags = ACK, .seq = 100, .ack = 1, .len = 1));
    assert_int_equal(told(p), ESTAB_EV_IN);
    assert_true(is_ready(p, ESTAB_EV_IN));
    user_hears(p, 1, 60); /* who reads gets what there is */
    assert_false(is_ready(p, ESTAB_EV_IN));
    user_sets(p, ESTAB_O_RCVLOWAT, 40);
    assert_int_equal(told(p), ESTAB_EV_IN);
    user_hears(p, 61, 40);
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 3));
    assert_int_equal(told(p), 0);
    sends(p, SEG(.flags = FIN | ACK, .seq = 104, .ack = 1)); /* no more will come */
    assert_true(told(p) & ESTAB_EV_IN);
    assert_true(is_ready(p, ESTAB_EV_IN));
}

/* Less than was asked for, and no room for more: neither side would move. */
static void a_full_buffer_is_readable_whatever_was_asked_for(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    user_sets(p, ESTAB_O_RCVBUF, 4000);
    user_sets(p, ESTAB_O_RCVLOWAT, 1000000);
    assert_int_equal(option(p, p->k, ESTAB_O_RCVLOWAT), 2000);
    user_connects_with(p, SEG(.mss = 1000));
    for (uint32_t i = 0; i < 2; i++) {
        sends(p, SEG(.flags = ACK, .seq = 1 + i * 900, .ack = 1, .len = 900));
        assert_false(is_ready(p, ESTAB_EV_IN));
    }
    sends(p, SEG(.flags = ACK, .seq = 1801, .ack = 1, .len = 900));
    assert_true(is_ready(p, ESTAB_EV_IN));
    user_sets(p, ESTAB_O_RCVLOWAT, 0);
    assert_int_equal(option(p, p->k, ESTAB_O_RCVLOWAT), 1);
}

/* ---- what a connection has from its listener ---- */

static void what_is_set_on_a_listener_holds_for_what_it_accepts(void **state)
{
    static const struct {
        enum estab_opt opt;
        uint64_t val;
    } table[] = {
        {ESTAB_O_NODELAY, 1},
        {ESTAB_O_CORK, 1},
        {ESTAB_O_SNDBUF, 30000},
        {ESTAB_O_RCVBUF, 40000},
        {ESTAB_O_RCVLOWAT, 77},
        {ESTAB_O_NOTSENT_LOWAT, 88},
        {ESTAB_O_KEEPIDLE, ESTAB_S(10)},
        {ESTAB_O_KEEPINTVL, ESTAB_S(11)},
        {ESTAB_O_KEEPCNT, 3},
        {ESTAB_O_HOP_LIMIT, 9},
        {ESTAB_O_TOS, 0x20},
        {ESTAB_O_LINGER, ESTAB_S(5)},
        {ESTAB_O_USER_TIMEOUT, ESTAB_S(12)},
        {ESTAB_O_MAXSEG, 500},
    };
    struct peer *p = *state;

    user_listens(p, 4);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(estab_setopt(p->s, p->listener, table[i].opt, table[i].val), 0);
    peer_connects(p);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(option(p, p->listener, table[i].opt), table[i].val);
        assert_int_equal(option(p, p->k, table[i].opt), table[i].val);
    }
    user_sends(p, 1, 10); /* corked */
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 76));
    assert_false(is_ready(p, ESTAB_EV_IN));
    user_sets(p, ESTAB_O_RCVLOWAT, 1); /* its own from now on */
    assert_int_equal(option(p, p->listener, ESTAB_O_RCVLOWAT), 77);
    assert_true(is_ready(p, ESTAB_EV_IN));
}

/* ---- DEFER_ACCEPT ---- */

static void opens_silently(struct peer *p, estab_dur defer)
{
    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_DEFER_ACCEPT, defer), 0);
    estab_watch(p->s, p->listener, ESTAB_EV_IN, NULL);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(told(p), 0);
    assert_int_equal(estab_accept(p->s, p->listener, &p->k, NULL), ESTAB_E_AGAIN);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_DEFERRED), 1);
}

static void a_connection_is_there_with_its_first_text(void **state)
{
    struct peer *p = *state;

    opens_silently(p, ESTAB_S(10));
    assert_int_equal(option(p, p->listener, ESTAB_O_DEFER_ACCEPT), ESTAB_S(10));
    waits(p, ESTAB_S(4)); /* nothing is asked for meanwhile */
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    assert_int_equal(told(p), ESTAB_EV_IN);
    user_accepts(p);
    assert_state(p, ESTABLISHED);
    user_hears(p, 1, 10);
}

/* A FIN, too, is more than nothing. */
static void a_peer_who_only_closes_is_there_at_once(void **state)
{
    struct peer *p = *state;

    opens_silently(p, ESTAB_S(10));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    assert_state(p, CLOSE_WAIT);
}

/* 3 s are two timeouts: then the peer is asked once more, and believed. */
static void a_silent_connection_is_there_after_its_time(void **state)
{
    struct peer *p = *state;

    opens_silently(p, ESTAB_S(3));
    waits(p, ESTAB_MS(2990));
    gets_nothing(p);
    waits(p, ESTAB_MS(20));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    assert_int_equal(estab_accept(p->s, p->listener, &p->k, NULL), ESTAB_E_AGAIN);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(told(p), ESTAB_EV_IN);
    user_accepts(p);
    assert_state(p, ESTABLISHED);
}

/* It cannot wait longer than a half-open connection may last, and one that is gone is gone. */
static void a_deferred_connection_does_not_last_for_ever(void **state)
{
    struct peer *p = *state;

    opens_silently(p, ESTAB_S(1000));
    waits(p, ESTAB_S(200));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    gets_nothing(p);
    assert_int_equal(stack_of(p).synq, 0);
    assert_int_equal(told(p), 0);
}

/* ---- what is told of a connection ---- */

static void a_timeout_shows_in_the_information(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    assert_int_equal(info_of(p).text_sent_at, 0);
    user_sends(p, 1, 4000);
    assert_int_equal(info_of(p).text_sent_at, p->v.now / 1000000u * 1000000u);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .nsack = 1,
                 .sack = {{seq_of(2001), seq_of(4001)}}));
    assert_int_equal(info_of(p).sacked, 2000);
    assert_int_equal(info_of(p).retries, 0);
    waits(p, ESTAB_S(4));
    assert_true(info_of(p).timed_out);
    assert_true(info_of(p).retries >= 1);
    assert_int_equal(info_of(p).backoff, info_of(p).retries);
    assert_true(info_of(p).resent >= 1000);
    assert_int_equal(info_of(p).resent + info_of(p).lost, 4000);
}

static void congestion_control_has_a_name(void **state)
{
    struct peer *p = *state;
    char name[16];

    estab_config_init(&p->cfg);
    assert_string_equal(p->cfg.cc, "cubic");
    peer_restarts(p);
    user_connects(p);
    assert_int_equal(estab_get_cc(p->s, p->k, name), 0);
    assert_string_equal(name, "cubic");
    assert_int_equal(estab_set_cc(p->s, p->k, "newreno"), 0);
    assert_int_equal(estab_set_cc(p->s, p->k, "no such"), ESTAB_E_INVAL);
    assert_int_equal(estab_set_cc(p->s, p->k ^ 1, "newreno"), ESTAB_E_BADF);
}

/* ---- the urgent mark ---- */

/* RFC 6093 section 3.1: the mark is where ESTAB_O_URGENT is 1, before the urgent octet.  A user who
 * reads no further than it stops there, and finds the octet in line. */
static void the_urgent_mark_can_be_found(void **state)
{
    struct peer *p = *state;
    char text[16];

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK | URG, .seq = 1, .ack = 1, .up = 6, .text = "abcdeXfgh"));
    assert_true(is_ready(p, ESTAB_EV_URG));
    assert_int_equal(option(p, p->k, ESTAB_O_URGENT), 6);
    assert_int_equal(user_reads(p, text, option(p, p->k, ESTAB_O_URGENT) - 1), 5);
    assert_memory_equal(text, "abcde", 5);
    assert_int_equal(option(p, p->k, ESTAB_O_URGENT), 1); /* at the mark */
    assert_int_equal(user_reads(p, text, 1), 1);
    assert_int_equal(text[0], 'X');
    assert_int_equal(option(p, p->k, ESTAB_O_URGENT), 0);
    assert_false(is_ready(p, ESTAB_EV_URG));
    assert_int_equal(user_reads(p, text, 16), 3);
    ignores_all(p);
    assert_int_equal(user_sends_with(p, "hiY", 3, ESTAB_MSG_OOB), 3); /* and the other way */
    peer_collect(p);
    assert_int_equal(gets(p, SEG(.flags = ACK | URG, .seq = 1, .ack = 10, .text = "hiY"))->up, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_cork_holds_partial_segments_until_it_is_pulled),
        PEER_TEST(a_cork_holds_for_200_ms_at_most),
        PEER_TEST(a_fin_and_nodelay_go_past_a_cork),
        PEER_TEST(little_text_is_no_reason_to_wake_a_user_who_waits_for_much),
        PEER_TEST(a_full_buffer_is_readable_whatever_was_asked_for),
        PEER_TEST(what_is_set_on_a_listener_holds_for_what_it_accepts),
        PEER_TEST(a_connection_is_there_with_its_first_text),
        PEER_TEST(a_peer_who_only_closes_is_there_at_once),
        PEER_TEST(a_silent_connection_is_there_after_its_time),
        PEER_TEST(a_deferred_connection_does_not_last_for_ever),
        PEER_TEST(a_timeout_shows_in_the_information),
        PEER_TEST(congestion_control_has_a_name),
        PEER_TEST(the_urgent_mark_can_be_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

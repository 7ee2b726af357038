/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_uto_test.c - how long the user waits: the user timeout (RFC 9293 section 3.8.3 and 3.10.8),
 * and what the two ends tell each other of it (RFC 5482). */
#include "unit/peer.h"

#define MINUTES 0x8000u

static void user_waits_for(struct peer *p, estab_dur d)
{
    user_sets(p, ESTAB_O_USER_TIMEOUT, d);
}
static estab_dur timeout_of(struct peer *p)
{
    uint64_t d;

    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_USER_TIMEOUT, &d), 0);
    return d;
}

/* Lets exactly this long pass without an answer: then, and not before, the connection ends. */
static void ends_after(struct peer *p, estab_dur d, enum estab_tcp_state st)
{
    waits(p, d - ESTAB_MS(1));
    ignores_all(p);
    assert_int_equal(state_of(p), st);
    waits(p, ESTAB_MS(2));
    assert_state(p, CLOSED);
    assert_int_equal(counted(p, RULE_USER_TIMEOUT), 1);
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* ---- for text ---- */

/* Whether it is shorter than R2 in tries would be, or longer. [MUST-21] */
static void unacknowledged_text_waits_so_long(void **state)
{
    static const estab_dur after[] = {ESTAB_MS(150), ESTAB_S(7), ESTAB_S(100), ESTAB_S(20000)};
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        peer_restarts(p);
        user_connects_with(p, SEG(.mss = 1000));
        user_waits_for(p, after[i]);
        waits(p, ESTAB_S(30)); /* idle time does not count */
        user_sends(p, 1, 100);
        ends_after(p, after[i], ESTAB_ESTABLISHED);
    }
}

/* The RST that ends it tells the peer, if it hears. */
static void the_peer_is_told(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_waits_for(p, ESTAB_S(1));
    user_sends(p, 1, 100);
    waits(p, ESTAB_S(1) - ESTAB_MS(1));
    ignores_all(p);
    waits(p, ESTAB_MS(2));
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 101, .ack = 1));
    gets_nothing(p);
}

static void progress_begins_it_anew(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_waits_for(p, ESTAB_S(10));
    user_sends(p, 1, 1000);
    user_sends(p, 1001, 1000);
    waits(p, ESTAB_S(9));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    waits(p, ESTAB_S(9));
    assert_state(p, ESTABLISHED);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2001));
    waits(p, ESTAB_S(100));
    assert_state(p, ESTABLISHED);
    ignores_all(p);
    user_sends(p, 2001, 1);
    ends_after(p, ESTAB_S(10), ESTAB_ESTABLISHED);
}

static void it_holds_for_what_is_out_already(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_S(30)); /* the next retransmission is far off */
    user_waits_for(p, ESTAB_S(31));
    ends_after(p, ESTAB_S(1), ESTAB_ESTABLISHED);
}

static void shortened_it_may_be_over_at_once(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_S(30));
    user_waits_for(p, ESTAB_S(5));
    waits(p, ESTAB_MS(1));
    assert_state(p, CLOSED);
}

/* Tries count again. */
static void zero_is_the_stacks_own(void **state)
{
    struct peer *p = *state;

    p->cfg.max_retries = 3;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    user_waits_for(p, ESTAB_S(5000));
    assert_true(timeout_of(p) == ESTAB_S(5000));
    user_waits_for(p, 0);
    assert_true(timeout_of(p) == 0);
    user_sends(p, 1, 100);
    waits(p, ESTAB_S(10));
    assert_state(p, CLOSED);
    assert_int_equal(counted(p, RULE_RETRIES), 1);
}

/* [MUST-21]: R2 may be infinite; also where the stack has a limit of its own. */
static void a_user_may_wait_for_ever(void **state)
{
    struct peer *p = *state;

    p->cfg.user_timeout = ESTAB_S(20);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    user_waits_for(p, ESTAB_NEVER);
    assert_true(timeout_of(p) == ESTAB_NEVER);
    user_sends(p, 1, 100);
    waits(p, ESTAB_S(20000));
    assert_state(p, ESTABLISHED);
    ignores_all(p);
    user_closes(p); /* the stack does not */
    waits(p, ESTAB_S(1200));
    assert_state(p, CLOSED);
}

static void the_stack_may_have_one(void **state)
{
    struct peer *p = *state;

    p->cfg.user_timeout = ESTAB_S(20);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    assert_true(timeout_of(p) == ESTAB_S(20));
    assert_true(info_of(p).user_timeout == ESTAB_S(20));
    user_sends(p, 1, 100);
    ends_after(p, ESTAB_S(20), ESTAB_ESTABLISHED);
}

/* ---- for a FIN, a SYN, a closed window ---- */

static void a_fin_waits_so_long(void **state)
{
    static const enum estab_tcp_state in[] = {ESTAB_FIN_WAIT_1, ESTAB_CLOSING, ESTAB_LAST_ACK};
    struct peer *p = *state;

    for (int i = 0; i < 3; i++) {
        peer_restarts(p);
        bring_to(p, in[i]);
        user_waits_for(p, ESTAB_S(40));
        ends_after(p, ESTAB_S(40), in[i]);
    }
}

/* The stack's is for data: a SYN has its own R2 [MUST-23]. */
static void a_syn_waits_so_long_if_the_user_says(void **state)
{
    struct peer *p = *state;

    p->cfg.user_timeout = ESTAB_S(3);
    peer_restarts(p);
    user_opens(p);
    user_connects(p);
    waits(p, ESTAB_S(180));
    assert_state(p, SYN_SENT);

    peer_restarts(p);
    user_opens(p);
    user_waits_for(p, ESTAB_S(10));
    user_connects(p);
    waits(p, 0);
    ends_after(p, ESTAB_S(10), ESTAB_SYN_SENT);
}

/* Answered probes keep a connection [MUST-37] as long as its user wants it (RFC 6429). */
static void a_closed_window_is_borne_so_long(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_waits_for(p, ESTAB_S(60));
    user_sends(p, 1, 100);
    for (int i = 0; i < 59; i++) {
        waits(p, ESTAB_S(1));
        ignores_all(p);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    }
    assert_state(p, ESTABLISHED);
    waits(p, ESTAB_S(1) + ESTAB_MS(1));
    assert_state(p, CLOSED);
    assert_int_equal(counted(p, RULE_USER_TIMEOUT), 1);
}

static void an_opened_window_begins_it_anew(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .shut = true));
    user_waits_for(p, ESTAB_S(60));
    user_sends(p, 1, 100);
    for (int i = 0; i < 59; i++) {
        waits(p, ESTAB_S(1));
        ignores_all(p);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    }
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    waits(p, ESTAB_S(59));
    assert_state(p, ESTABLISHED);
    waits(p, ESTAB_S(2));
    assert_state(p, CLOSED);
}

static void a_listener_hands_it_on(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_USER_TIMEOUT, ESTAB_S(9)), 0);
    peer_connects_with(p, SEG(.mss = 1000));
    assert_true(timeout_of(p) == ESTAB_S(9));
    user_sends(p, 1, 100);
    ends_after(p, ESTAB_S(9), ESTAB_ESTABLISHED);
}

/* ---- RFC 5482 ---- */

static void the_option_counts_seconds_or_minutes(void **state)
{
    (void)state;
    assert_int_equal(tcp_uto_field(1), 1);
    assert_int_equal(tcp_uto_field(ESTAB_S(1)), 1);
    assert_int_equal(tcp_uto_field(ESTAB_S(1) + 1), 2);
    assert_int_equal(tcp_uto_field(ESTAB_S(32767)), 32767);
    assert_int_equal(tcp_uto_field(ESTAB_S(32768)), MINUTES | 547);
    assert_int_equal(tcp_uto_field(ESTAB_S(60) * 32767), MINUTES | 32767);
    assert_int_equal(tcp_uto_field(ESTAB_NEVER), MINUTES | 32767);
    assert_true(tcp_uto_dur(90) == ESTAB_S(90));
    assert_true(tcp_uto_dur(MINUTES | 90) == ESTAB_S(5400));
    assert_true(tcp_uto_dur(0) == 0);
}

/* Section 3: off by default, in both directions. [RFC5482-3.2-1] */
static void nothing_is_told_or_heard_unless_wanted(void **state)
{
    struct peer *p = *state;

    user_connects(p);
    assert_int_equal(gets(p, SEG(.flags = SYN))->uto, 0);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .uto = 500));
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1))->uto, 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .uto = 500));
    assert_true(timeout_of(p) == 0);
    assert_true(info_of(p).peer_user_timeout == 0);
}

/* Section 3: in the SYN and in the first segment without. [RFC5482-3-1, RFC5482-3.1-1] */
static void it_is_told_in_the_syn_and_behind_it(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(300));
    user_connects(p);
    assert_int_equal(gets(p, SEG(.flags = SYN))->uto, 300);
    waits(p, ESTAB_S(1) + ESTAB_MS(1));
    assert_int_equal(gets(p, SEG(.flags = SYN))->uto, 300);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000, .uto = MINUTES | 10));
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1))->uto, 300);
    assert_true(timeout_of(p) == ESTAB_S(600));
    assert_true(info_of(p).peer_user_timeout == ESTAB_S(600));
    assert_int_equal(counted(p, RULE_USER_TIMEOUT_TOLD), 1);
    user_sends(p, 1, 10);
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10))->uto, 0);
}

static void a_listener_tells_it_too(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(40000)), 0);
    sends(p, SEG(.flags = SYN, .mss = 1000, .ts = true, .uto = 700));
    p->ts = true;
    assert_int_equal(gets(p, SEG(.flags = SYN | ACK, .ack = 1))->uto, MINUTES | 667);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    assert_true(timeout_of(p) == 0); /* the SYN's is not kept: it comes again */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10, .uto = 700));
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 1, .ack = 11))->uto, MINUTES | 667);
    assert_true(timeout_of(p) == ESTAB_S(3600)); /* min(U_LIMIT, max(ours, theirs)) */
}

/* USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)); 0 is reserved.
 * [RFC5482-3.1-3, RFC5482-3.4-1] */
static void what_is_told_is_obeyed_between_limits(void **state)
{
    static const struct {
        uint16_t told, heard;
        uint32_t obeyed;
    } cases[] = {
        {10, 20, 100},          {10, 100, 100},
        {10, 101, 101},         {300, 101, 300},
        {10, 3600, 3600},       {10, 3601, 3600},
        {10, MINUTES | 1, 100}, {10, MINUTES | 59, 3540},
        {10, MINUTES, 0},       {10, MINUTES | 32767, 3600},
    };
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_restarts(p);
        user_opens(p);
        user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(cases[i].told));
        user_connects_with(p, SEG(.mss = 1000));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .uto = cases[i].heard));
        assert_true(timeout_of(p) == ESTAB_S(cases[i].obeyed));
    }
}

static void what_is_obeyed_ends_the_connection(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(10));
    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_S(1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .uto = 150));
    ends_after(p, ESTAB_S(149), ESTAB_ESTABLISHED);
}

/* Section 3.1: not changed by the peer once the user has set it; the user may look.
 * [RFC5482-3.1-2, RFC5482-3.1-4] */
static void the_users_own_is_not_overridden(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(200));
    user_waits_for(p, ESTAB_S(200));
    user_connects_with(p, SEG(.mss = 1000, .uto = 900));
    assert_true(timeout_of(p) == ESTAB_S(200));
    assert_true(info_of(p).peer_user_timeout == ESTAB_S(900));
    assert_int_equal(counted(p, RULE_USER_TIMEOUT_OURS), 1);
    user_waits_for(p, 0); /* changeable again */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .uto = 800));
    assert_true(timeout_of(p) == ESTAB_S(800));
}

/* "in the next possible outgoing segment whenever it starts using a new user timeout"
 * [RFC5482-3-2] */
static void a_change_is_told_at_once(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(77));
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1))->uto, 77);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(77));
    gets_nothing(p);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(78));
    assert_int_equal(gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1))->uto, 78);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, 0);
    gets_nothing(p);
}

/* RFC 6691 section 3: full segments have no room for it, the next that is not full has. */
static void it_goes_where_there_is_room(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(60)), 0);
    peer_connects_with(p, SEG(.mss = 1000));
    for (uint32_t len = 1000, seq = 1; len >= 996; seq += len--) {
        user_sends(p, seq, len);
        assert_int_equal(gets(p, SEG(.flags = ACK, .seq = seq, .ack = 1, .len = len))->uto,
                         len > 996 ? 0 : 60);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = seq + len));
    }
}

/* Together with all SACK blocks and timestamps it stays within 40 octets of options. */
static void it_leaves_room_for_sack(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_connects_with(p, SEG(.mss = 1000, .ts = true, .sack_ok = true));
    for (uint32_t i = 0; i < 4; i++)
        sends(p, SEG(.flags = ACK, .seq = 101 + 200 * i, .ack = 1, .len = 100));
    ignores_all(p);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(77));
    k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(k->uto, 77);
    assert_int_equal(k->nsack, 2);
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100));
    k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(k->uto, 0);
    assert_int_equal(k->nsack, 3);
}

/* Section 4.2: a keepalive that fails must not end what the user timeout would have kept.
 * [RFC5482-4.2-1] */
static void keepalives_wait_for_it(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    user_sets(p, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(300));
    user_sets(p, ESTAB_O_KEEPIDLE, ESTAB_S(10));
    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .uto = 200));
    waits(p, ESTAB_S(300));
    gets_nothing(p);
    waits(p, ESTAB_MS(2));
    (void)gets(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
}

static void what_cannot_be_is_refused(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    assert_int_equal(estab_setopt(p->s, p->k, ESTAB_O_USER_TIMEOUT, ESTAB_NEVER - 1),
                     ESTAB_E_INVAL);
    assert_true(timeout_of(p) == 0);
    p->cfg.uto_min = ESTAB_S(20);
    p->cfg.uto_max = ESTAB_S(10);
    {
        estab_stack *s;

        assert_int_equal(estab_stack_new(&s, &p->env, &p->cfg), ESTAB_E_INVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(unacknowledged_text_waits_so_long),
        PEER_TEST(the_peer_is_told),
        PEER_TEST(progress_begins_it_anew),
        PEER_TEST(it_holds_for_what_is_out_already),
        PEER_TEST(shortened_it_may_be_over_at_once),
        PEER_TEST(zero_is_the_stacks_own),
        PEER_TEST(a_user_may_wait_for_ever),
        PEER_TEST(the_stack_may_have_one),
        PEER_TEST(a_fin_waits_so_long),
        PEER_TEST(a_syn_waits_so_long_if_the_user_says),
        PEER_TEST(a_closed_window_is_borne_so_long),
        PEER_TEST(an_opened_window_begins_it_anew),
        PEER_TEST(a_listener_hands_it_on),
        PEER_TEST(the_option_counts_seconds_or_minutes),
        PEER_TEST(nothing_is_told_or_heard_unless_wanted),
        PEER_TEST(it_is_told_in_the_syn_and_behind_it),
        PEER_TEST(a_listener_tells_it_too),
        PEER_TEST(what_is_told_is_obeyed_between_limits),
        PEER_TEST(what_is_obeyed_ends_the_connection),
        PEER_TEST(the_users_own_is_not_overridden),
        PEER_TEST(a_change_is_told_at_once),
        PEER_TEST(it_goes_where_there_is_room),
        PEER_TEST(it_leaves_room_for_sack),
        PEER_TEST(keepalives_wait_for_it),
        PEER_TEST(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

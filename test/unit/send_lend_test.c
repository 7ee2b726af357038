/* SPDX-License-Identifier: BSD-2-Clause */
/* send_lend_test.c - text that is sent from where the user has it: where it goes, when it is the
 * user's again, and what else may be done meanwhile. */
#include "unit/peer.h"

enum { SIZE = 65536 };
static uint8_t text[SIZE];

static void has_text(void)
{
    for (uint32_t i = 0; i < SIZE; i++)
        text[i] = peer_octet(1 + i);
}

/* Octets [from, from + len) of the stream, which begins with number 1. */
static ptrdiff_t lends(struct peer *p, uint32_t from, uint32_t len)
{
    struct estab_iov v = {text + from - 1, len};

    return estab_send_lend(p->s, p->k, &v, 1, 0);
}

static void lends_all(struct peer *p, uint32_t from, uint32_t len)
{
    assert_int_equal(lends(p, from, len), len);
    peer_collect(p);
}

/* Segments of these numbers with the pattern's octets in them. */
static void gets_text(struct peer *p, uint32_t seq, uint32_t len)
{
    const struct pkt *k = gets(p, SEG(.flags = ACK, .seq = seq, .ack = 1, .len = len));

    assert_memory_equal(k->octets, text + seq - 1, len);
}

static void acks(struct peer *p, uint32_t ack)
{
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = ack));
}

static void is_lent(struct peer *p, ptrdiff_t n)
{
    assert_int_equal(estab_send_lent(p->s, p->k), n);
}

static void connects(struct peer *p)
{
    has_text();
    user_connects_with(p, SEG(.mss = 1000));
}

static void a_frame_points_into_it(void **state)
{
    struct peer *p = *state;
    struct estab_frame f;

    connects(p);
    assert_int_equal(lends(p, 1, 500), 500);
    assert_int_equal(estab_output(p->s, 0, &f, 1), 1);
    assert_int_equal(f.niov, 2);
    assert_ptr_equal(f.iov[1].base, text);
    assert_int_equal(f.iov[1].len, 500);
}

static void what_is_acknowledged_is_the_users_again(void **state)
{
    struct peer *p = *state;
    struct estab_event e;

    connects(p);
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL), 0);
    while (estab_events(p->s, &e, 1) == 1)
        ;
    assert_int_equal(lends(p, 1, 1500), 1500);
    lends_all(p, 1501, 500);
    is_lent(p, 2000);
    gets_text(p, 1, 1000);
    gets_text(p, 1001, 1000);
    acks(p, 1001);
    is_lent(p, 1000);
    assert_int_equal(estab_events(p->s, &e, 1), 0); /* of no piece all */
    acks(p, 1601);
    is_lent(p, 400);
    assert_int_equal(estab_events(p->s, &e, 1), 1);
    assert_int_equal(e.mask, ESTAB_EV_OUT);
    acks(p, 2001);
    is_lent(p, 0);
    assert_int_equal(estab_events(p->s, &e, 1), 1);
    assert_int_equal(e.mask, ESTAB_EV_OUT);
    user_sends(p, 2001, 100);
    gets_text(p, 2001, 100);
}

/* A frame carries text of three pieces at most. */
static void segments_go_over_borders(void **state)
{
    struct peer *p = *state;
    struct estab_iov v[4] = {{text, 300}, {text + 300, 0}, {text + 300, 300}, {text + 600, 1400}};

    connects(p);
    assert_int_equal(estab_send_lend(p->s, p->k, v, 4, 0), 2000);
    peer_collect(p);
    gets_text(p, 1, 1000);
    gets_text(p, 1001, 1000);
    acks(p, 2001);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(lends(p, 2001 + 100 * i, 100), 100);
    gets_text(p, 2001, 300);
    gets_text(p, 2301, 300);
    gets_nothing(p); /* Nagle's algorithm: the rest is less than that, and the last */
    acks(p, 2601);
    gets_text(p, 2601, 100);
}

static void it_lies_behind_what_was_copied(void **state)
{
    struct peer *p = *state;

    connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .wnd = 2500));
    user_sends(p, 1, 3000);
    lends_all(p, 3001, 2000);
    gets_text(p, 1, 1000);
    gets_text(p, 1001, 1000);
    gets_nothing(p);
    acks(p, 2001);
    gets_text(p, 2001, 1000);
    gets_text(p, 3001, 1000);
    gets_text(p, 4001, 1000);
    is_lent(p, 2000);
    acks(p, 5001);
    is_lent(p, 0);
}

static void what_is_lost_goes_again_from_there(void **state)
{
    struct peer *p = *state;

    connects(p);
    assert_int_equal(lends(p, 1, 700), 700);
    lends_all(p, 701, 700);
    ignores_all(p);
    waits(p, ESTAB_S(1));
    gets_text(p, 1, 1000);
    ignores_all(p);
    acks(p, 1001);
    gets_text(p, 1001, 400);
    acks(p, 1401);
    is_lent(p, 0);
}

static void a_closed_window_is_probed_with_it(void **state)
{
    struct peer *p = *state;

    connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    lends_all(p, 1, 5000);
    gets_nothing(p);
    waits(p, ESTAB_S(1));
    gets_text(p, 1, 1);
    ignores_all(p);
    acks(p, 2);
    gets_text(p, 2, 1000);
}

static void so_many_pieces_and_no_more(void **state)
{
    struct peer *p = *state;
    struct estab_iov v[40];
    struct estab_event e;

    connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL), 0);
    while (estab_events(p->s, &e, 1) == 1)
        ;
    for (uint32_t i = 0; i < 40; i++)
        v[i] = (struct estab_iov){text + 1000 * i, 1000};
    assert_int_equal(estab_send_lend(p->s, p->k, v, 40, 0), 32000);
    assert_int_equal(estab_send_lend(p->s, p->k, v, 1, 0), ESTAB_E_AGAIN);
    assert_false(estab_ready(p->s, p->k) & ESTAB_EV_OUT);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .wnd = 1000));
    acks(p, 1001);
    assert_int_equal(estab_events(p->s, &e, 1), 1);
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_OUT);
    assert_int_equal(lends(p, 32001, 1000), 1000);
    is_lent(p, 32000);
}

static void meanwhile_nothing_is_copied(void **state)
{
    struct peer *p = *state;

    connects(p);
    lends_all(p, 1, 100);
    assert_int_equal(user_sends_with(p, text, 10, 0), ESTAB_E_INVAL);
    assert_int_equal(lends(p, 1, 0), 0);
    is_lent(p, 100);
    gets_text(p, 1, 100);
    acks(p, 101);
    assert_int_equal(lends(p, 101, 0), 0);
    user_sends(p, 101, 10);
    gets_text(p, 101, 10);
}

static void a_fin_goes_behind_it(void **state)
{
    struct peer *p = *state;
    struct estab_event e;

    connects(p);
    assert_int_equal(lends(p, 1, 1500), 1500);
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL), 0);
    user_shuts(p);
    assert_int_equal(lends(p, 1501, 10), ESTAB_E_PIPE);
    while (estab_events(p->s, &e, 1) == 1)
        ;
    gets_text(p, 1, 1000);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1001, .ack = 1, .len = 500));
    acks(p, 1502);
    assert_int_equal(estab_events(p->s, &e, 1), 1);
    is_lent(p, 0);
    assert_state(p, FIN_WAIT_2);
}

/* Whoever closes has no handle any more to learn by when the memory is free: it is so at once. */
static void closing_aborts(void **state)
{
    struct peer *p = *state;
    uint8_t *own = malloc(5000);
    struct estab_iov v = {own, 5000};

    connects(p);
    memset(own, 1, 5000);
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, 0), 5000);
    ignores_all(p);
    user_closes(p);
    free(own);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 5001, .ack = 1));
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_CLOSE_LENT), 1);
}

static void a_reset_gives_it_back(void **state)
{
    struct peer *p = *state;

    connects(p);
    lends_all(p, 1, 5000);
    sends(p, SEG(.flags = RST, .seq = 1));
    is_lent(p, 0);
    assert_int_equal(lends(p, 1, 10), ESTAB_E_RESET);
    assert_int_equal(lends(p, 1, 10), ESTAB_E_PIPE);
}

static void who_may_not(void **state)
{
    struct peer *p = *state;
    struct estab_iov v = {text, 10};
    estab_sock u;

    assert_int_equal(estab_socket(p->s, ESTAB_UDP, &u), 0);
    assert_int_equal(estab_send_lend(p->s, u, &v, 1, 0), ESTAB_E_NOTSUP);
    assert_int_equal(estab_send_lent(p->s, u), 0);
    assert_int_equal(estab_close(p->s, u), 0);
    assert_int_equal(estab_send_lend(p->s, u, &v, 1, 0), ESTAB_E_BADF);
    assert_int_equal(estab_send_lent(p->s, u), ESTAB_E_BADF);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &u), 0);
    assert_int_equal(estab_send_lend(p->s, u, &v, 1, 0), ESTAB_E_NOTCONN);
    connects(p);
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, ESTAB_MSG_OOB), ESTAB_E_INVAL);
    v.len = (1u << 30) + 1;
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, 0), ESTAB_E_INVAL);
    is_lent(p, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_frame_points_into_it),
        PEER_TEST(what_is_acknowledged_is_the_users_again),
        PEER_TEST(segments_go_over_borders),
        PEER_TEST(it_lies_behind_what_was_copied),
        PEER_TEST(what_is_lost_goes_again_from_there),
        PEER_TEST(a_closed_window_is_probed_with_it),
        PEER_TEST(so_many_pieces_and_no_more),
        PEER_TEST(meanwhile_nothing_is_copied),
        PEER_TEST(a_fin_goes_behind_it),
        PEER_TEST(closing_aborts),
        PEER_TEST(a_reset_gives_it_back),
        PEER_TEST(who_may_not),
    };

    return cmocka_run_group_tests_name("send_lend", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_listen_test.c - the passive side: half-open and completed connections, their common bound,
 * the listener's end. */
#include "unit/peer.h"

/* The i-th peer: a port of its own. */
static void syn_from(struct peer *p, uint16_t port)
{
    sends(p, SEG(.flags = SYN, .mss = 1000, .sport = port));
}

static void half_open(struct peer *p, uint16_t port)
{
    syn_from(p, port);
    assert_int_equal(gets(p, SEG(.flags = SYN | ACK, .ack = 1))->dport, port);
}

static void completes(struct peer *p, uint16_t port)
{
    half_open(p, port);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .sport = port));
    gets_nothing(p);
}

static struct estab_tcp_info listener_of(const struct peer *p)
{
    struct estab_tcp_info i = {.size = sizeof i};

    assert_int_equal(estab_tcp_info(p->s, p->listener, &i), 0);
    return i;
}

/* ---- opening ---- */

static void three_segments_make_a_connection(void **state)
{
    struct peer *p = *state;
    struct estab_addr from;

    user_listens(p, 4);
    assert_int_equal(estab_accept(p->s, p->listener, &p->k, NULL), ESTAB_E_AGAIN);
    half_open(p, 5000);
    assert_state(p, SYN_RECEIVED);
    assert_int_equal(listener_of(p).synq, 1);
    assert_int_equal(estab_accept(p->s, p->listener, &p->k, NULL), ESTAB_E_AGAIN);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_state(p, ESTABLISHED);
    assert_int_equal(listener_of(p).synq, 0);
    assert_int_equal(listener_of(p).acceptq, 1);
    assert_true(estab_ready(p->s, p->listener) & ESTAB_EV_IN);
    assert_int_equal(estab_accept(p->s, p->listener, &p->k, &from), 0);
    assert_int_equal(from.port, 5000);
    assert_memory_equal(from.ip, p->them.ip, 16);
    assert_int_equal(listener_of(p).acceptq, 0);
}

/* S4: held in SYN-RECEIVED for as long as the third segment is withheld, the second repeated. */
static void a_lost_third_segment_repeats_the_second(void **state)
{
    struct peer *p = *state;
    estab_dur rto = ESTAB_S(1);
    estab_time last;

    user_listens(p, 4);
    syn_from(p, 5000);
    last = gets(p, SEG(.flags = SYN | ACK, .ack = 1))->at;
    for (int i = 0; i < 5; i++) {
        const struct pkt *k;

        waits(p, rto + ESTAB_MS(1));
        k = gets(p, SEG(.flags = SYN | ACK, .ack = 1));
        assert_in_range(k->at - last, rto - ESTAB_MS(1), rto + ESTAB_MS(1));
        last = k->at;
        rto *= 2;
    }
    assert_state(p, SYN_RECEIVED);
    waits(p, rto + ESTAB_MS(1));
    gets_nothing(p);
    assert_state(p, CLOSED);
    assert_int_equal(stack_of(p).synq, 0);
    assert_int_equal(listener_of(p).synq, 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1)); /* too late */
    (void)gets(p, SEG(.flags = RST, .seq = 1));
}

static void a_repeated_syn_gets_the_same_answer(void **state)
{
    struct peer *p = *state;
    uint32_t iss;

    user_listens(p, 4);
    half_open(p, 5000);
    iss = p->iss;
    waits(p, ESTAB_MS(300));
    half_open(p, 5000);
    assert_int_equal(p->iss, iss);
    assert_int_equal(stack_of(p).synq, 1);
}

/* S8: the acknowledgment is verified. */
static void a_wrong_third_segment_is_reset(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    half_open(p, 5000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = RST, .seq = 2));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 0));
    (void)gets(p, SEG(.flags = RST, .seq = 0));
    assert_int_equal(counted(p, RULE_SYN_RECEIVED_ACK), 2);
    assert_state(p, SYN_RECEIVED);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_state(p, ESTABLISHED);
}

/* Figure 9: an old SYN makes a half-open connection; the RST that its answer draws undoes it. */
static void an_old_duplicate_syn_is_undone_by_rst(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    half_open(p, 5000);
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_state(p, CLOSED);
    assert_int_equal(p->last_edge.to, ESTAB_LISTEN);
    assert_int_equal(stack_of(p).synq, 0);
    completes(p, 5000);
}

/* The third segment may bring text, and a FIN. */
static void the_third_segment_may_bring_all(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    half_open(p, 5000);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 10));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 12));
    user_accepts(p);
    assert_state(p, CLOSE_WAIT);
    user_hears(p, 1, 10);
}

/* A lost third segment whose successor comes: it carries the same ACK. */
static void text_completes_the_opening(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    half_open(p, 5000);
    sends(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 100));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    user_accepts(p);
    user_hears(p, 1, 1100);
}

/* ---- the bound (S16) ---- */

/* Where the bound is meant, not what helps beyond it (RFC 4987). */
static void no_cookies(struct peer *p)
{
    p->cfg.syn_cookies = ESTAB_COOKIES_NEVER;
    peer_restarts(p);
}

/* Half-open and completed count together; a SYN beyond is not answered, and one that comes again
 * when there is room is. */
static void the_backlog_bounds_both_queues_together(void **state)
{
    struct peer *p = *state;

    no_cookies(p);
    user_listens(p, 3);
    completes(p, 5001);
    half_open(p, 5002);
    half_open(p, 5003);
    syn_from(p, 5004);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_BACKLOG_FULL), 1);
    /* nothing acknowledged is lost: what is half-open completes */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .sport = 5003));
    assert_int_equal(listener_of(p).acceptq, 2);
    syn_from(p, 5004);
    gets_nothing(p);
    user_accepts(p);
    half_open(p, 5004);
    assert_int_equal(counted(p, RULE_BACKLOG_FULL), 2);
}

static void a_larger_backlog_holds_at_once(void **state)
{
    struct peer *p = *state;

    no_cookies(p);
    user_listens(p, 1);
    half_open(p, 5001);
    syn_from(p, 5002);
    gets_nothing(p);
    assert_int_equal(estab_listen(p->s, p->listener, 2), 0);
    half_open(p, 5002);
}

/* max_conns: no control block, but the half-open entry stays, and its peer is answered again. */
static void without_a_control_block_the_opening_waits(void **state)
{
    struct peer *p = *state;
    estab_sock other;

    p->cfg.max_conns = 2;
    peer_restarts(p);
    user_listens(p, 4);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &other), 0);
    half_open(p, 5000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    gets_nothing(p); /* not acknowledged: the peer keeps it */
    assert_state(p, SYN_RECEIVED);
    assert_int_equal(counted(p, RULE_CONNS_FULL), 1);
    assert_int_equal(estab_close(p->s, other), 0);
    waits(p, ESTAB_S(1) + ESTAB_MS(2));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    user_accepts(p);
    user_hears(p, 1, 10);
}

/* ---- the end of it ---- */

/* Embryos are reset, half-open entries end: all of it at once. */
static void closing_a_listener_ends_what_it_holds(void **state)
{
    struct peer *p = *state;
    struct estab_stack_info i;

    user_listens(p, 8);
    completes(p, 5001);
    completes(p, 5002);
    half_open(p, 5003);
    assert_int_equal(estab_close(p->s, p->listener), 0);
    for (uint16_t port = 5001; port < 5003; port++) {
        const struct pkt *k = got(p);

        assert_int_equal(k->flags, RST | ACK);
        assert_int_equal(k->dport, port);
    }
    gets_nothing(p);
    i = stack_of(p);
    assert_int_equal(i.conns + i.listeners + i.synq, 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .sport = 5003));
    (void)gets(p, SEG(.flags = RST, .seq = 1));
    syn_from(p, 5004);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 0u - p->iss, .ack = 1));
}

/* The slot of a closed listener comes to another: what the first left must not count for it. */
static void listeners_that_come_and_go_stay_apart(void **state)
{
    struct peer *p = *state;

    no_cookies(p);
    for (uint32_t i = 0; i < 300; i++) {
        user_listens(p, 2);
        half_open(p, (uint16_t)(5000 + i));
        assert_int_equal(estab_close(p->s, p->listener), 0);
    }
    waits(p, ESTAB_S(300));
    ignores_all(p);
    user_listens(p, 2);
    half_open(p, 6000);
    half_open(p, 6001);
    syn_from(p, 6002);
    gets_nothing(p);
    assert_int_equal(listener_of(p).synq, 2);
}

/* L1: accept of a connection already reset, or already closed by the peer. */
static void what_ended_before_accept_is_accepted_and_tells(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    completes(p, 5001);
    sends(p, SEG(.flags = RST, .seq = 1, .sport = 5001));
    completes(p, 5002);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1, .sport = 5002, .text = "bye"));
    ignores_all(p);
    user_accepts(p);
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_ERR);
    assert_int_equal(user_reads(p, p->frame, 10), ESTAB_E_RESET);
    user_closes(p);
    user_accepts(p);
    assert_int_equal(user_reads(p, p->frame, 10), 3);
    assert_int_equal(user_reads(p, p->frame, 10), 0);
    user_closes(p);
    assert_int_equal(p->last_edge.to, ESTAB_LAST_ACK);
}

/* The most particular listener has the connection. */
static void a_listener_at_the_address_goes_before_any(void **state)
{
    struct peer *p = *state;
    struct estab_addr any = {.port = 80};
    estab_sock everywhere;

    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &everywhere), 0);
    assert_int_equal(estab_bind(p->s, everywhere, &any), 0);
    assert_int_equal(estab_listen(p->s, everywhere, 4), 0);
    completes(p, 5001);
    assert_int_equal(estab_accept(p->s, everywhere, &p->k, NULL), 0);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->listener), 0);
    assert_int_equal(estab_bind(p->s, p->listener, &p->us), ESTAB_E_INUSE);
}

/* S17: the listener goes on, its options go to what it accepts, and those can be changed. */
static void options_are_inherited(void **state)
{
    struct peer *p = *state;
    uint64_t v;

    user_listens(p, 4);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_NODELAY, 1), 0);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_SNDBUF, 5000), 0);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_RCVBUF, 6000), 0);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_KEEPIDLE, ESTAB_S(7)), 0);
    syn_from(p, 5000);
    assert_int_equal(gets(p, SEG(.flags = SYN | ACK, .ack = 1))->wnd, 6000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_NODELAY, &v), 0);
    assert_int_equal(v, 1);
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_SNDBUF, &v), 0);
    assert_int_equal(v, 5000);
    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_RCVBUF, &v), 0);
    assert_int_equal(v, 6000);
    waits(p, ESTAB_S(8)); /* keepalives run although nobody has sent anything */
    (void)gets(p, SEG(.flags = ACK, .seq = 0, .ack = 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(three_segments_make_a_connection),
        PEER_TEST(a_lost_third_segment_repeats_the_second),
        PEER_TEST(a_repeated_syn_gets_the_same_answer),
        PEER_TEST(a_wrong_third_segment_is_reset),
        PEER_TEST(an_old_duplicate_syn_is_undone_by_rst),
        PEER_TEST(the_third_segment_may_bring_all),
        PEER_TEST(text_completes_the_opening),
        PEER_TEST(the_backlog_bounds_both_queues_together),
        PEER_TEST(a_larger_backlog_holds_at_once),
        PEER_TEST(without_a_control_block_the_opening_waits),
        PEER_TEST(closing_a_listener_ends_what_it_holds),
        PEER_TEST(listeners_that_come_and_go_stay_apart),
        PEER_TEST(what_ended_before_accept_is_accepted_and_tells),
        PEER_TEST(a_listener_at_the_address_goes_before_any),
        PEER_TEST(options_are_inherited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* edges_test.c - every edge of the state diagram (RFC 9293 section 3.3.2) that a user of this
 * library can see is taken here, by every class of event that takes it; the last test says so, and
 * fails if one was not. */
#include "lab/talk.h"
#include "unit/peer.h"

static struct edges taken;
static struct talks talks; /* large */

static void add_edges(const struct edges *e)
{
    const uint64_t *from = &e->n[0][0][0];
    uint64_t *to = &taken.n[0][0][0];

    for (size_t i = 0; i < sizeof taken.n / sizeof *to; i++)
        to[i] += from[i];
}

static int teardown(void **state)
{
    add_edges(&((struct peer *)*state)->edges);
    return peer_teardown(state);
}

#define EDGE_TEST(f) cmocka_unit_test_setup_teardown(f, peer_setup, teardown)

static bool took(const struct peer *p, enum estab_tcp_state from, enum estab_tcp_state to,
                 enum estab_cause by)
{
    return p->edges.n[from][to][by] > 0;
}

/* ---- one connection, by hand ---- */

static void every_state_can_be_brought_about(void **state)
{
    struct peer *p = *state;

    for (int st = ESTAB_LISTEN; st < ESTAB_TCP_STATES; st++) {
        bring_to(p, (enum estab_tcp_state)st);
        peer_restarts(p);
    }
}

/* S11: passive OPEN, and back to LISTEN when the peer thinks better of it. [MUST-11] */
static void a_passive_opening_is_taken_back(void **state)
{
    struct peer *p = *state;

    user_listens(p, 1);
    sends(p, SEG(.flags = SYN));
    ignores_all(p);
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_true(took(p, ESTAB_SYN_RECEIVED, ESTAB_LISTEN, ESTAB_BY_SEGMENT));
    peer_connects(p);
}

/* S25: its FIN and the ACK of ours in one segment: through FIN-WAIT-2 into TIME-WAIT at once. */
static void fin_and_ack_in_one_segment(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_1);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
    assert_true(took(p, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2, ESTAB_BY_SEGMENT));
    assert_true(took(p, ESTAB_FIN_WAIT_2, ESTAB_TIME_WAIT, ESTAB_BY_SEGMENT));
}

/* S26: FINs that cross. */
static void closing_waits_for_the_ack_of_the_fin(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_CLOSING);
    sends(p, SEG(.flags = ACK, .seq = 2, .ack = 1));
    assert_state(p, CLOSING);
    sends(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
}

/* S27, S28 */
static void last_ack_ends_with_the_ack_of_the_fin(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_LAST_ACK);
    sends(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    assert_true(took(p, ESTAB_LAST_ACK, ESTAB_CLOSED, ESTAB_BY_SEGMENT));
    gets_nothing(p);
}

/* Section 3.10.4: CLOSE in SYN-RECEIVED enters FIN-WAIT-1 at once, unless text is queued; the FIN
 * goes when the SYN has been acknowledged. */
static void close_in_syn_received(void **state)
{
    struct peer *p = *state;

    for (uint32_t text = 0; text < 2; text++) {
        bring_to(p, ESTAB_SYN_RECEIVED);
        if (text)
            user_sends(p, 1, text);
        user_closes(p);
        gets_nothing(p);
        assert_int_equal(state_of(p), text ? ESTAB_SYN_RECEIVED : ESTAB_FIN_WAIT_1);
        waits(p, ESTAB_S(1) + ESTAB_MS(1));
        (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
        (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = text));
        assert_state(p, FIN_WAIT_1);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2 + text));
        assert_state(p, FIN_WAIT_2);
        peer_restarts(p);
    }
}

/* [MUST-11, MUST-12] */
static void rst_in_every_state(void **state)
{
    static const struct {
        enum estab_tcp_state st;
        uint32_t seq;
    } all[] = {
        {ESTAB_SYN_RECEIVED, 1}, {ESTAB_ESTABLISHED, 1}, {ESTAB_FIN_WAIT_1, 1},
        {ESTAB_FIN_WAIT_2, 1},   {ESTAB_CLOSE_WAIT, 2},  {ESTAB_CLOSING, 2},
        {ESTAB_LAST_ACK, 2},
    };
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bring_to(p, all[i].st);
        sends(p, SEG(.flags = RST, .seq = all[i].seq));
        assert_state(p, CLOSED);
        assert_true(took(p, all[i].st, ESTAB_CLOSED, ESTAB_BY_SEGMENT));
        peer_restarts(p);
    }
    bring_to(p, ESTAB_SYN_SENT);
    sends(p, SEG(.flags = RST | ACK, .ack = 1));
    assert_true(took(p, ESTAB_SYN_SENT, ESTAB_CLOSED, ESTAB_BY_SEGMENT));
    peer_restarts(p);
    bring_to(p, ESTAB_LISTEN);
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_int_equal(info_of(p).state, ESTAB_LISTEN);
    peer_restarts(p);
    bring_to(p, ESTAB_TIME_WAIT);
    sends(p, SEG(.flags = RST, .seq = 2));
    assert_state(p, TIME_WAIT);
}

static void abort_in_every_state(void **state)
{
    struct peer *p = *state;

    for (int st = ESTAB_LISTEN; st < ESTAB_TIME_WAIT; st++) {
        bring_to(p, (enum estab_tcp_state)st);
        user_aborts(p);
        assert_true(took(p, (enum estab_tcp_state)st, ESTAB_CLOSED, ESTAB_BY_USER));
        assert_int_equal(stack_of(p).conns + stack_of(p).listeners, 0);
        peer_restarts(p);
    }
    user_listens(p, 1); /* a half-open connection ends with its listener */
    sends(p, SEG(.flags = SYN));
    assert_int_equal(estab_abort(p->s, p->listener), 0);
    assert_int_equal(stack_of(p).synq, 0);
}

/* RFC 9293 section 3.10.8: whatever the peer owes, the wait for it ends. */
static void timeout_in_every_state(void **state)
{
    struct peer *p = *state;

    p->cfg.syn_retries = p->cfg.max_retries = 3;
    for (int st = ESTAB_SYN_SENT; st < ESTAB_TCP_STATES; st++) {
        peer_restarts(p);
        bring_to(p, (enum estab_tcp_state)st);
        if (st == ESTAB_ESTABLISHED || st == ESTAB_CLOSE_WAIT)
            user_sends(p, 1, 10);
        if (st == ESTAB_FIN_WAIT_2)
            user_closes(p); /* a user may wait for as long as it likes */
        waits(p, ESTAB_S(200));
        assert_state(p, CLOSED);
        assert_true(took(p, (enum estab_tcp_state)st, ESTAB_CLOSED, ESTAB_BY_TIMEOUT));
    }
    peer_restarts(p);
    user_listens(p, 1);
    sends(p, SEG(.flags = SYN));
    waits(p, ESTAB_S(200));
    assert_int_equal(stack_of(p).synq, 0);
}

static void a_newer_syn_ends_time_wait(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_closes(p);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
    ignores_all(p);
    assert_state(p, TIME_WAIT);
    sends(p, SEG(.flags = SYN, .seq = 100000));
    assert_true(took(p, ESTAB_TIME_WAIT, ESTAB_CLOSED, ESTAB_BY_SEGMENT));
    assert_state(p, SYN_RECEIVED);
}

static void icmp_refuses_an_opening(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    icmp_arrives(p, ICMP4_UNREACH, 3, 0, 0);
    assert_true(took(p, ESTAB_SYN_SENT, ESTAB_CLOSED, ESTAB_BY_ICMP));
}

/* ---- two stacks ---- */

static void lab_begins(struct lab *l, struct edges *e, const char *what)
{
    struct lab_conf c;

    lab_conf_init(&c, 1);
    c.fault[0].delay = c.fault[1].delay = ESTAB_MS(10);
    c.edges = e;
    lab_open(l, &c);
    snprintf(l->what, sizeof l->what, "edges_test: %s", what);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lab_host_open(l, i), 0);
    talks_init(&talks, l);
    assert_int_equal(talks_listen(&talks), 0);
}

static void lab_ends(struct lab *l, const struct edges *e)
{
    lab_run(l);
    assert_int_equal(estab_close(l->host[1].s, talks.listener), 0);
    lab_check_empty(l);
    lab_close(l);
    add_edges(e);
}

/* Figure 8: SYNs that cross, and at the end FINs that cross (figure 13). [MUST-10] */
static void both_open_and_both_close_at_once(void **state)
{
    struct edges e = {0};
    struct talk *w;
    struct lab l;

    (void)state;
    lab_begins(&l, &e, "both at once");
    w = talk_add(&talks);
    w->simultaneous = true;
    w->port[0] = 6000;
    w->port[1] = 7000;
    w->plan[0].say = w->plan[1].say = 5000;
    lab_ends(&l, &e);
    assert_int_equal(e.n[ESTAB_SYN_SENT][ESTAB_SYN_RECEIVED][ESTAB_BY_SEGMENT], 2);
    assert_int_equal(e.n[ESTAB_FIN_WAIT_1][ESTAB_CLOSING][ESTAB_BY_SEGMENT], 2);
    assert_int_equal(e.n[ESTAB_CLOSING][ESTAB_TIME_WAIT][ESTAB_BY_SEGMENT], 2);
}

/* S19, S40: either end may begin, by shutdown or by close; TIME-WAIT is that of who began. */
static void either_end_may_close_first(void **state)
{
    static const enum talk_end ends[][2] = {
        {TALK_SHUTS, TALK_WAITS},
        {TALK_WAITS, TALK_SHUTS},
        {TALK_CLOSES, TALK_WAITS},
        {TALK_WAITS, TALK_CLOSES},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (uint32_t say = 0; say < 20000; say += 6666) {
            struct edges e = {0};
            struct talk *w;
            struct lab l;

            lab_begins(&l, &e, "either first");
            w = talk_add(&talks);
            for (int side = 0; side < 2; side++) {
                w->plan[side].say = say;
                w->plan[side].end = ends[i][side];
            }
            lab_ends(&l, &e);
            assert_int_equal(e.n[ESTAB_ESTABLISHED][ESTAB_FIN_WAIT_1][ESTAB_BY_USER], 1);
            assert_int_equal(e.n[ESTAB_FIN_WAIT_2][ESTAB_TIME_WAIT][ESTAB_BY_SEGMENT], 1);
            assert_int_equal(e.n[ESTAB_TIME_WAIT][ESTAB_CLOSED][ESTAB_BY_TIMEOUT], 1);
            assert_int_equal(e.n[ESTAB_CLOSE_WAIT][ESTAB_LAST_ACK][ESTAB_BY_USER], 1);
            assert_int_equal(e.n[ESTAB_LAST_ACK][ESTAB_CLOSED][ESTAB_BY_SEGMENT], 1);
        }
    }
}

/* ---- the table ---- */

static const struct {
    enum estab_tcp_state from, to;
    const char *why;
} never[] = {
    {ESTAB_LISTEN, ESTAB_SYN_SENT, "SEND on a listening socket is an error, as in BSD's sockets"},
};

static const char *why_never(enum estab_tcp_state from, enum estab_tcp_state to)
{
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (never[i].from == from && never[i].to == to)
            return never[i].why;
    return NULL;
}

/* The events that take an edge. */
static bool is_taken_by(enum estab_tcp_state from, enum estab_tcp_state to, enum estab_cause by)
{
    if (to != ESTAB_CLOSED)
        return by == (from == ESTAB_CLOSED || to == ESTAB_FIN_WAIT_1 || to == ESTAB_LAST_ACK
                          ? ESTAB_BY_USER
                          : ESTAB_BY_SEGMENT);
    switch (by) {
    case ESTAB_BY_USER:
        return from != ESTAB_TIME_WAIT; /* its 2 MSL are not the user's */
    case ESTAB_BY_SEGMENT:
    case ESTAB_BY_TIMEOUT:
        return from != ESTAB_LISTEN;
    case ESTAB_BY_ICMP:
        return from == ESTAB_SYN_SENT;
    }
    return false;
}

static uint32_t check_edge(enum estab_tcp_state from, enum estab_tcp_state to)
{
    static const char *const causes[] = {"user", "segment", "timeout", "ICMP"};
    uint32_t untaken = 0;

    for (int by = ESTAB_BY_USER; by <= ESTAB_BY_ICMP; by++) {
        uint64_t n = taken.n[from][to][by];
        bool should = is_taken_by(from, to, (enum estab_cause)by);

        if (n == 0 && !should)
            continue;
        print_message("%6llu  %-12s -> %-12s %-8s %s%s\n", (unsigned long long)n,
                      estab_state_name(from), estab_state_name(to), causes[by],
                      estab_edge_event(from, to, (enum estab_cause)by),
                      n == 0    ? "  NOT TAKEN"
                      : !should ? "  UNEXPECTED"
                                : "");
        untaken += (n != 0) != should;
    }
    return untaken;
}

static void every_edge_was_taken(void **state)
{
    uint32_t wrong = 0;

    (void)state;
    for (int from = 0; from < ESTAB_TCP_STATES; from++) {
        for (int to = 0; to < ESTAB_TCP_STATES; to++) {
            enum estab_tcp_state f = (enum estab_tcp_state)from, t = (enum estab_tcp_state)to;

            if (!estab_edge_legal(f, t))
                continue;
            if (!why_never(f, t)) {
                wrong += check_edge(f, t);
                continue;
            }
            print_message("     -  %-12s -> %-12s %s\n", estab_state_name(f), estab_state_name(t),
                          why_never(f, t));
            for (int by = 0; by <= ESTAB_BY_ICMP; by++)
                wrong += taken.n[from][to][by] != 0;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_TEST(every_state_can_be_brought_about),
        EDGE_TEST(a_passive_opening_is_taken_back),
        EDGE_TEST(fin_and_ack_in_one_segment),
        EDGE_TEST(closing_waits_for_the_ack_of_the_fin),
        EDGE_TEST(last_ack_ends_with_the_ack_of_the_fin),
        EDGE_TEST(close_in_syn_received),
        EDGE_TEST(rst_in_every_state),
        EDGE_TEST(abort_in_every_state),
        EDGE_TEST(timeout_in_every_state),
        EDGE_TEST(a_newer_syn_ends_time_wait),
        EDGE_TEST(icmp_refuses_an_opening),
        cmocka_unit_test(both_open_and_both_close_at_once),
        cmocka_unit_test(either_end_may_close_first),
        cmocka_unit_test(every_edge_was_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

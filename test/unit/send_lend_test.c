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

/* ... as a user who sees to what is lent when there is an event. */
static void connects_and_watches(struct peer *p)
{
    struct estab_event e;

    connects(p);
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_OUT, NULL), 0);
    while (estab_events(p->s, &e, 1) == 1)
        ;
}

/* The event that says: see what is lent still. */
static void hears_of_it(struct peer *p, uint32_t besides)
{
    struct estab_event e;

    assert_int_equal(estab_events(p->s, &e, 1), 1);
    assert_int_equal(e.mask, ESTAB_EV_OUT | besides);
}

static void hears_nothing(struct peer *p)
{
    struct estab_event e;

    assert_int_equal(estab_events(p->s, &e, 1), 0);
}

/* ... and to nothing else: pieces of what the frame carries. */
static void a_frame_points_into_it(void **state)
{
    struct peer *p = *state;
    struct estab_frame f[2];

    connects(p);
    assert_int_equal(lends(p, 1, 1500), 1500);
    assert_int_equal(lends(p, 1501, 500), 500);
    for (int i = 0; i < 2; i++)
        assert_int_equal(estab_output(p->s, 0, f + i, 1), 1);
    assert_int_equal(f[0].niov, 2);
    assert_ptr_equal(f[0].iov[1].base, text);
    assert_int_equal(f[0].iov[1].len, 1000);
    assert_int_equal(f[1].niov, 3);
    assert_ptr_equal(f[1].iov[1].base, text + 1000);
    assert_int_equal(f[1].iov[1].len, 500);
    assert_ptr_equal(f[1].iov[2].base, text + 1500);
    assert_int_equal(f[1].iov[2].len, 500);
}

static void what_is_acknowledged_is_the_users_again(void **state)
{
    struct peer *p = *state;

    connects_and_watches(p);
    assert_int_equal(lends(p, 1, 1500), 1500);
    lends_all(p, 1501, 500);
    is_lent(p, 2000);
    gets_text(p, 1, 1000);
    gets_text(p, 1001, 1000);
    acks(p, 1001);
    is_lent(p, 1000);
    hears_nothing(p); /* of no piece all */
    acks(p, 1601);
    is_lent(p, 400);
    hears_of_it(p, 0);
    acks(p, 1701);
    hears_nothing(p);
    acks(p, 2001);
    is_lent(p, 0);
    hears_of_it(p, 0);
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

/* A run of segments ends with a whole one, where a frame's pieces end in the middle of one. */
static void runs_are_of_whole_segments(void **state)
{
    struct peer *p = *state;
    struct estab_iov v[5] = {
        {text, 1500}, {text + 1500, 700}, {text + 2200, 400}, {text + 2600, 1400}, {text, 0}};

    connects(p);
    assert_int_equal(estab_send_lend(p->s, p->k, v, 5, 0), 4000);
    peer_collect(p);
    for (uint32_t at = 1; at < 4001; at += 1000)
        gets_text(p, at, 1000);
    acks(p, 4001);
    is_lent(p, 0); /* a piece of nothing is none */
    user_sends(p, 4001, 10);
}

/* RFC 9293 section 3.9.1.2: the last of what is queued, copied or lent, is pushed, and nothing
 * else. [MUST-61] */
static void its_last_octet_is_pushed(void **state)
{
    struct peer *p = *state;

    connects(p);
    assert_int_equal(user_sends_with(p, text, 1000, 0), 1000);
    assert_int_equal(lends(p, 1001, 1500), 1500);
    peer_collect(p);
    assert_int_equal(got(p)->flags, ACK);
    assert_int_equal(got(p)->flags, ACK);
    (void)gets(p, SEG(.flags = PSH | ACK, .seq = 2001, .ack = 1, .len = 500));
    acks(p, 2501);
    assert_int_equal(lends(p, 2501, 300), 300);
    (void)gets(p, SEG(.flags = PSH | ACK, .seq = 2501, .ack = 1, .len = 300));
}

/* Until the call after which no more follows. */
static void what_has_more_behind_it_waits(void **state)
{
    struct peer *p = *state;
    struct estab_iov v = {text, 500};

    connects(p);
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, ESTAB_MSG_MORE), 500);
    gets_nothing(p);
    lends_all(p, 501, 300);
    gets_text(p, 1, 800);
    acks(p, 801);
    gets_nothing(p);
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

/* Of what was copied nothing is acknowledged yet. */
static void it_lies_behind_what_is_in_flight(void **state)
{
    struct peer *p = *state;
    uint64_t mem;

    connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .wnd = 1000));
    user_sends(p, 1, 1500);
    mem = info_of(p).mem;
    lends_all(p, 1501, 1500);
    assert_true(info_of(p).mem > mem);
    gets_text(p, 1, 1000);
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .wnd = 2000));
    gets_text(p, 1001, 1000); /* copied and lent */
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    gets_text(p, 2001, 1000);
    acks(p, 3001);
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

/* A hundred octets a piece, from `from` on. */
static void lends_hundreds(struct peer *p, uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(lends(p, from + 100 * i, 100), 100);
    peer_collect(p);
}

/* Whatever goes again is no more than a frame's pieces reach: after a timeout, ... */
static void small_pieces_go_again(void **state)
{
    struct peer *p = *state;

    connects(p);
    lends_hundreds(p, 1, 10);
    gets_text(p, 1, 300);
    gets_text(p, 301, 300);
    gets_text(p, 601, 300);
    gets_nothing(p);         /* Nagle's algorithm */
    waits(p, ESTAB_MS(300)); /* after the timeout a window of one segment is what may go */
    gets_text(p, 1, 300);
    gets_text(p, 301, 300);
    gets_text(p, 601, 300);
    gets_nothing(p);
    acks(p, 901);
    gets_text(p, 901, 100);
    acks(p, 1001);
    is_lent(p, 0);
}

/* ... and to probe the tail of a flight (RFC 8985 section 7.3), with its last text ... */
static void a_tail_of_small_pieces_is_probed(void **state)
{
    struct peer *p = *state;

    has_text();
    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sets(p, ESTAB_O_NODELAY, 1);
    lends_hundreds(p, 1, 10);
    ignores_all(p);
    waits(p, ESTAB_MS(300));
    gets_text(p, 901, 100);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TAIL_PROBE), 1);
}

/* ... or with new text, where there is some that the congestion window has no room for. */
static void a_tail_is_probed_with_small_pieces(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    has_text();
    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    cwnd = info_of(p).cwnd;
    lends_all(p, 1, cwnd);
    ignores_all(p);
    lends_hundreds(p, cwnd + 1, 10);
    gets_nothing(p);
    waits(p, ESTAB_MS(11));
    gets_text(p, cwnd + 1, 300);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TAIL_PROBE), 1);
}

/* RFC 4821: nor is a probe of the path's size more than that. */
static void small_pieces_probe_no_path(void **state)
{
    struct peer *p = *state;
    struct estab_iov v[32];

    has_text();
    p->cfg.mtu_probing = ESTAB_MTU_PROBING_ON;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1460));
    for (uint32_t i = 0; i < 32; i++)
        v[i] = (struct estab_iov){text + 400 * i, 400};
    assert_int_equal(estab_send_lend(p->s, p->k, v, 32, 0), 12800);
    for (uint32_t at = 1; at < 12801;) {
        const struct pkt *k = got(p);

        assert_int_equal(k->seq, at);
        assert_memory_equal(k->octets, text + at - 1, k->len);
        at += k->len;
        acks(p, at);
    }
    is_lent(p, 0);
    assert_int_equal(counted(p, RULE_PMTU_PROBE), 0);
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

    connects_and_watches(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    for (uint32_t i = 0; i < 40; i++)
        v[i] = (struct estab_iov){text + 1000 * i, 1000};
    assert_int_equal(estab_send_lend(p->s, p->k, v, 40, 0), 32000);
    assert_int_equal(estab_send_lend(p->s, p->k, v, 1, 0), ESTAB_E_AGAIN);
    assert_false(estab_ready(p->s, p->k) & ESTAB_EV_OUT);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .wnd = 1000));
    acks(p, 1001);
    hears_of_it(p, 0);
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_OUT);
    assert_int_equal(lends(p, 32001, 1000), 1000);
    is_lent(p, 32000);
}

/* Numbers can be compared over 2^31: 2^30 octets are queued at most, copied ones among them.  What
 * lies behind a piece that has no room is not taken in front of it. */
static void so_many_octets_and_no_more(void **state)
{
    const size_t most = (size_t)1 << 30; /* more than is read, ever: the window is closed */
    struct peer *p = *state;
    struct estab_iov all = {text, most}, v[3] = {{text, most - 10}, {text, 11}, {text, 1}};

    connects_and_watches(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    assert_int_equal(estab_send_lend(p->s, p->k, v, 3, 0), most - 10);
    assert_int_equal(estab_send_lend(p->s, p->k, v + 1, 1, 0), ESTAB_E_AGAIN);
    assert_int_equal(estab_send_lend(p->s, p->k, v + 2, 1, 0), 1);
    is_lent(p, (ptrdiff_t)most - 9);
    user_aborts(p);
    peer_restarts(p);
    connects_and_watches(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    assert_int_equal(estab_send_lend(p->s, p->k, &all, 1, 0), most);
    assert_int_equal(estab_send_lend(p->s, p->k, v + 2, 1, 0), ESTAB_E_AGAIN);
    user_aborts(p);
    peer_restarts(p);
    connects_and_watches(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    user_sends(p, 1, 5);
    assert_int_equal(estab_send_lend(p->s, p->k, &all, 1, 0), ESTAB_E_AGAIN);
    is_lent(p, 0);
    user_sends(p, 6, 5); /* nothing is lent, so this may be copied */
    hears_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    gets_text(p, 1, 10);
    acks(p, 11);
    hears_of_it(p, 0);
    all.len = 10;
    assert_int_equal(estab_send_lend(p->s, p->k, &all, 1, 0), 10);
}

/* The next loan is none of the last one's business. */
static void each_loan_is_a_new_one(void **state)
{
    struct peer *p = *state;

    connects_and_watches(p);
    for (uint32_t at = 1; at < 3001; at += 1000) {
        lends_all(p, at, 1000);
        gets_text(p, at, 1000);
        acks(p, at + 500);
        hears_nothing(p);
        is_lent(p, 500);
        acks(p, at + 1000);
        hears_of_it(p, 0);
        is_lent(p, 0);
    }
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
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101, .len = 10)); /* and it is not read yet */
    ignores_all(p);
    is_lent(p, 0);
    assert_int_equal(lends(p, 101, 0), 0);
    assert_int_equal(user_sends_with(p, text + 100, 10, 0), 10);
    assert_memory_equal(gets(p, SEG(.flags = ACK, .seq = 101, .ack = 11, .len = 10))->octets,
                        text + 100, 10);
}

static void a_fin_goes_behind_it(void **state)
{
    struct peer *p = *state;

    connects_and_watches(p);
    assert_int_equal(lends(p, 1, 1500), 1500);
    user_shuts(p);
    assert_int_equal(lends(p, 1501, 10), ESTAB_E_PIPE);
    hears_nothing(p);
    gets_text(p, 1, 1000);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1001, .ack = 1, .len = 500));
    acks(p, 1502);
    hears_of_it(p, 0);
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

/* Memory of its own: whoever reads it after free() is found by AddressSanitizer. */
static uint8_t *lends_own(struct peer *p, uint32_t from, uint32_t len)
{
    uint8_t *own = malloc(len);
    struct estab_iov v = {own, len};

    memcpy(own, text + from - 1, len);
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, 0), len);
    peer_collect(p);
    return own;
}

/* The connection has come to an end: the user is told, all is the user's again, and of it nothing
 * is sent any more. */
static void gives_it_back(struct peer *p, uint8_t *own, int err)
{
    hears_of_it(p, ESTAB_EV_HUP | (err ? ESTAB_EV_ERR : 0));
    is_lent(p, 0);
    free(own);
    ignores_all(p);
    assert_state(p, CLOSED);
    assert_int_equal(lends(p, 1, 10), err ? err : ESTAB_E_PIPE);
    assert_int_equal(lends(p, 1, 10), ESTAB_E_PIPE);
    is_lent(p, 0);
    waits(p, ESTAB_S(100000));
    gets_nothing(p);
    user_closes(p);
    gets_nothing(p);
}

static void a_reset_gives_it_back(void **state)
{
    struct peer *p = *state;
    uint8_t *own;

    connects_and_watches(p);
    own = lends_own(p, 1, 5000);
    ignores_all(p);
    acks(p, 1001); /* some of a piece is not the piece */
    is_lent(p, 4000);
    sends(p, SEG(.flags = RST, .seq = 1));
    gives_it_back(p, own, ESTAB_E_RESET);
}

/* RFC 9293 section 3.8.3: at R2 the connection is closed. */
static void silence_gives_it_back(void **state)
{
    struct peer *p = *state;
    uint8_t *own;

    connects_and_watches(p);
    own = lends_own(p, 1, 5000);
    waits(p, ESTAB_S(100)); /* R2 is so long, at least */
    assert_true(info_of(p).retries > 0);
    is_lent(p, 5000);
    hears_nothing(p);
    waits(p, ESTAB_S(3600));
    gives_it_back(p, own, ESTAB_E_TIMEOUT);
    assert_int_equal(counted(p, RULE_RETRIES), 1);
}

/* RFC 9293 section 3.10.8. */
static void the_user_timeout_gives_it_back(void **state)
{
    struct peer *p = *state;
    uint8_t *own;

    connects_and_watches(p);
    user_sets(p, ESTAB_O_USER_TIMEOUT, ESTAB_S(10));
    user_sends(p, 1, 1000); /* what was copied lies before it */
    own = lends_own(p, 1001, 5000);
    user_shuts(p);
    waits(p, ESTAB_S(10) - ESTAB_MS(1));
    is_lent(p, 5000);
    hears_nothing(p);
    waits(p, ESTAB_MS(2));
    gives_it_back(p, own, ESTAB_E_TIMEOUT);
    assert_int_equal(counted(p, RULE_USER_TIMEOUT), 1);
}

/* A peer that says no more than that its window is closed, RFC 9293 section 3.8.6.1. */
static void a_window_closed_for_too_long_gives_it_back(void **state)
{
    struct peer *p = *state;
    uint8_t *own;

    connects_and_watches(p);
    user_sets(p, ESTAB_O_USER_TIMEOUT, ESTAB_S(60));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    own = lends_own(p, 1, 5000);
    for (int i = 0; i < 59; i++) {
        waits(p, ESTAB_S(1));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    }
    is_lent(p, 5000);
    waits(p, ESTAB_S(1) + ESTAB_MS(1));
    gives_it_back(p, own, ESTAB_E_TIMEOUT);
}

static void an_abort_gives_it_back(void **state)
{
    struct peer *p = *state;
    uint8_t *own;

    connects(p);
    own = lends_own(p, 1, 5000);
    ignores_all(p);
    assert_int_equal(estab_abort(p->s, p->k), 0);
    free(own);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 5001, .ack = 1));
    waits(p, ESTAB_S(100000));
    gets_nothing(p);
}

/* RFC 9293 section 3.10.2: before it is ESTABLISHED text waits, where it is. */
static void it_may_be_lent_before_the_peer_answers(void **state)
{
    struct peer *p = *state;

    has_text();
    bring_to(p, ESTAB_SYN_SENT);
    assert_int_equal(lends(p, 1, 700), 700);
    gets_nothing(p);
    is_lent(p, 700);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    gets_text(p, 1, 700);
    acks(p, 701);
    is_lent(p, 0);
}

static void a_refusal_gives_it_back(void **state)
{
    struct peer *p = *state;
    uint8_t *own;

    has_text();
    bring_to(p, ESTAB_SYN_SENT);
    own = lends_own(p, 1, 700);
    sends(p, SEG(.flags = RST | ACK, .ack = 1));
    is_lent(p, 0);
    free(own);
    assert_int_equal(lends(p, 1, 10), ESTAB_E_REFUSED);
    user_closes(p);
    gets_nothing(p);
}

/* Whichever allocation fails, nothing is taken: the memory is the user's, and the text may be sent
 * in any way later. */
static void without_memory_nothing_is_taken(void **state)
{
    struct peer *p = *state;
    struct estab_why_info why = {.size = sizeof why};
    uint64_t at = 0, rest;
    ptrdiff_t took;

    do {
        uint8_t *own = malloc(1500);
        struct estab_iov v[2] = {{own, 500}, {own + 500, 1000}};

        peer_restarts(p);
        connects(p);
        memcpy(own, text, 1500);
        rest = info_of(p).mem;
        p->v.allocs = 0;
        p->v.fail_at = ++at;
        took = estab_send_lend(p->s, p->k, v, 2, 0);
        p->v.fail_at = 0;
        if (took == ESTAB_E_NOMEM) {
            is_lent(p, 0);
            free(own);
            gets_nothing(p);
            own = NULL;
            assert_int_equal(estab_why(p->s, p->k, &why), 0);
            assert_int_equal(why.why, ESTAB_WHY_NO_MEMORY);
            assert_int_equal(info_of(p).mem, rest); /* what it had for that is given back */
            assert_int_equal(at % 2 ? user_sends_with(p, text, 700, 0) : lends(p, 1, 700), 700);
            assert_int_equal(lends(p, 701, 800), 800);
        } else {
            assert_int_equal(took, 1500);
        }
        gets_text(p, 1, 1000);
        gets_text(p, 1001, 500);
        assert_int_equal(estab_why(p->s, p->k, &why), 0);
        assert_int_not_equal(why.why, ESTAB_WHY_NO_MEMORY);
        acks(p, 1501);
        is_lent(p, 0);
        free(own);
    } while (took == ESTAB_E_NOMEM);
    assert_true(at > 2); /* sent in both ways */
}

/* A ceiling that others have reached is no memory, too: datagrams that nobody fetches. */
static void at_the_ceiling_nothing_is_taken(void **state)
{
    struct peer *p = *state;
    struct estab_addr to;
    estab_sock u;
    struct estab_iov v = {text, 1000};

    p->cfg.mem_max = ESTAB_MEM_LEAST;
    peer_restarts(p);
    connects(p);
    to = p->them;
    assert_int_equal(estab_socket(p->s, ESTAB_UDP, &u), 0);
    assert_int_equal(estab_setopt(p->s, u, ESTAB_O_SNDBUF, 1u << 20), 0);
    while (estab_sendto(p->s, u, &v, 1, 0, &to) == 1000)
        ;
    assert_int_equal(lends(p, 1, 1500), ESTAB_E_NOMEM);
    is_lent(p, 0);
    assert_true(stack_of(p).mem_used <= ESTAB_MEM_LEAST);
    ignores_all(p);
    lends_all(p, 1, 1500);
    gets_text(p, 1, 1000);
    gets_text(p, 1001, 500);
    acks(p, 1501);
    is_lent(p, 0);
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
    assert_int_equal(estab_send_lent(p->s, u), 0);
    user_listens(p, 1);
    assert_int_equal(estab_send_lend(p->s, p->listener, &v, 1, 0), ESTAB_E_NOTCONN);
    assert_int_equal(estab_send_lent(p->s, p->listener), 0);
    peer_restarts(p);
    connects(p);
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, ESTAB_MSG_OOB), ESTAB_E_INVAL);
    assert_int_equal(estab_send_lend(p->s, p->k, &v, 1, ESTAB_MSG_OOB | ESTAB_MSG_MORE),
                     ESTAB_E_INVAL);
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
        PEER_TEST(runs_are_of_whole_segments),
        PEER_TEST(its_last_octet_is_pushed),
        PEER_TEST(what_has_more_behind_it_waits),
        PEER_TEST(it_lies_behind_what_was_copied),
        PEER_TEST(it_lies_behind_what_is_in_flight),
        PEER_TEST(what_is_lost_goes_again_from_there),
        PEER_TEST(small_pieces_go_again),
        PEER_TEST(a_tail_of_small_pieces_is_probed),
        PEER_TEST(a_tail_is_probed_with_small_pieces),
        PEER_TEST(small_pieces_probe_no_path),
        PEER_TEST(a_closed_window_is_probed_with_it),
        PEER_TEST(so_many_pieces_and_no_more),
        PEER_TEST(so_many_octets_and_no_more),
        PEER_TEST(each_loan_is_a_new_one),
        PEER_TEST(meanwhile_nothing_is_copied),
        PEER_TEST(a_fin_goes_behind_it),
        PEER_TEST(closing_aborts),
        PEER_TEST(a_reset_gives_it_back),
        PEER_TEST(silence_gives_it_back),
        PEER_TEST(the_user_timeout_gives_it_back),
        PEER_TEST(a_window_closed_for_too_long_gives_it_back),
        PEER_TEST(an_abort_gives_it_back),
        PEER_TEST(it_may_be_lent_before_the_peer_answers),
        PEER_TEST(a_refusal_gives_it_back),
        PEER_TEST(without_memory_nothing_is_taken),
        PEER_TEST(at_the_ceiling_nothing_is_taken),
        PEER_TEST(who_may_not),
    };

    return cmocka_run_group_tests_name("send_lend", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* why_test.c - each reason is provoked, and its sentence read. */
#include "peer.h"

static struct estab_why_info asks(struct peer *p, estab_sock k)
{
    struct estab_why_info i = {.size = sizeof i};

    assert_int_equal(estab_why(p->s, k, &i), 0);
    return i;
}

static void says_of(struct peer *p, estab_sock k, enum estab_why why, const char *sentence)
{
    struct estab_why_info i = asks(p, k);
    char text[300];

    assert_true(estab_why_text(&i, text, sizeof text) > 0);
    assert_string_equal(text, sentence);
    assert_string_equal(estab_why_name(i.why), estab_why_name(why));
}
#define says(p, why, sentence) says_of(p, (p)->k, ESTAB_WHY_##why, sentence)

/* The first handle of the walk in this state. */
static estab_sock in_state(const struct peer *p, enum estab_tcp_state st)
{
    uint64_t cursor = 0;
    estab_sock k;

    while (estab_conn_next(p->s, &cursor, &k)) {
        struct estab_tcp_info i = {.size = sizeof i};

        assert_int_equal(estab_tcp_info(p->s, k, &i), 0);
        if (i.state == st)
            return k;
    }
    fail_msg("nothing is in %s", estab_state_name(st));
    return 0;
}

static void user_says(struct peer *p, uint32_t len, uint32_t flags)
{
    static const uint8_t text[100000];

    assert_int_equal(user_sends_with(p, text, len, flags), len);
    peer_collect(p);
}

/* ---- opening ---- */

static void closed(void **state)
{
    struct peer *p = *state;

    user_opens(p);
    says(p, CLOSED, "no connection");
}

static void syn_sent(void **state)
{
    struct peer *p = *state;

    user_connects(p);
    ignores_all(p);
    waits(p, ESTAB_MS(1500));
    says(p, SYN_SENT, "waits for the SYN,ACK for 1.5 s: try 2 of 8, the next in 1.5 s");
}

static void syn_received_by_both(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_RECEIVED);
    waits(p, ESTAB_MS(500));
    says(p, SYN_RCVD,
         "waits for the ACK of the SYN,ACK for 500 ms: try 1 of 8, the next in 500 ms");
}

static void syn_received(void **state)
{
    struct peer *p = *state;

    user_listens(p, 4);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    ignores_all(p);
    waits(p, ESTAB_MS(4000));
    says_of(p, in_state(p, ESTAB_SYN_RECEIVED), ESTAB_WHY_SYN_RCVD,
            "waits for the ACK of the SYN,ACK for 4.0 s: try 3 of 6, the next in 3.0 s");
    says_of(p, p->listener, ESTAB_WHY_LISTENING,
            "waits for connections: 0 to accept and 1 half-open, of 4");
}

static void not_accepted(void **state)
{
    struct peer *p = *state;

    user_listens(p, 1);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    waits(p, ESTAB_S(65));
    says_of(p, p->listener, ESTAB_WHY_BACKLOG,
            "the accept queue is full: 1 to accept and 0 half-open, of 1");
    p->k = in_state(p, ESTAB_ESTABLISHED);
    says(p, NOT_ACCEPTED,
         "the application has not accepted it for 1 min 5 s: 1 to accept and 0 half-open, of 1");
    user_accepts(p);
    says(p, NOTHING, "nothing to send for 1 min 5 s");
}

static void no_connections(void **state)
{
    struct peer *p = *state;
    estab_sock other;

    p->cfg.max_conns = 2;
    peer_restarts(p);
    user_listens(p, 4);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &other), 0);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    ignores_all(p);
    says_of(p, in_state(p, ESTAB_SYN_RECEIVED), ESTAB_WHY_NO_CONNS,
            "no room for another connection: 2 of 2 in use; the peer may believe that it is "
            "connected");
}

/* ---- the next hop ---- */

static void frames_vanish(struct peer *p)
{
    struct estab_frame f[8];

    while (estab_output(p->s, 0, f, 8) > 0)
        continue;
}

static void vanish_for(struct peer *p, estab_dur d)
{
    estab_time until = p->v.now + d, next;

    frames_vanish(p);
    while ((next = estab_deadline(p->s)) <= until) {
        p->v.now = next > p->v.now ? next : p->v.now;
        (void)estab_expire(p->s);
        frames_vanish(p);
    }
    p->v.now = until;
}

static void neighbour(struct peer *p, const char *sentence)
{
    p->caps.medium = ESTAB_MEDIUM_ETHERNET;
    p->caps.mac[5] = 2;
    peer_restarts(p);
    user_connects(p);
    vanish_for(p, ESTAB_MS(1200));
    says(p, NEIGHBOUR, sentence);
}

static void neighbour_4(void **state)
{
    neighbour(*state,
              "the next hop 10.0.0.2 is not resolved for 1.2 s: try 2 of 3, the next in 800 ms");
}

static void neighbour_6(void **state)
{
    struct peer *p = *state;

    p->ip6 = true;
    neighbour(p, "the next hop fd00::2 is not resolved for 1.2 s: try 2 of 3, the next in 800 ms");
}

static void neighbour_is_silent(void **state)
{
    struct peer *p = *state;

    p->caps.medium = ESTAB_MEDIUM_ETHERNET;
    p->caps.mac[5] = 2;
    peer_restarts(p);
    user_connects(p);
    vanish_for(p, ESTAB_MS(3500));
    says(p, SYN_SENT,
         "waits for the SYN,ACK for 3.5 s: try 1 of 8, the next in 500 ms; the next hop 10.0.0.2 "
         "does not answer");
}

static void driver(void **state)
{
    struct peer *p = *state;
    static const uint8_t text[10];

    peer_connects(p);
    assert_int_equal(user_sends_with(p, text, sizeof text, 0), sizeof text);
    says(p, DRIVER, "frames are ready, and the driver has not taken them");
}

/* ---- sending ---- */

static void nothing(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_says(p, 10, 0);
    waits(p, ESTAB_MS(3));
    says(p, ACK, "all is sent, 10 octets unacknowledged for 3 ms, sent again in 197 ms");
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 11));
    waits(p, ESTAB_S(2 * 3600) - ESTAB_MS(3));
    says(p, NOTHING, "nothing to send for 2 h 0 min");
}

static void retransmission(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_says(p, 1000, 0);
    waits(p, ESTAB_MS(3500));
    says(p, RETRANSMIT,
         "1000 octets unacknowledged for 3.5 s: retransmission 4 of 15, the next in 2.7 s");
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    says(p, NOTHING, "nothing to send for 500 ms");
}

static void user_timeout(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_sets(p, ESTAB_O_USER_TIMEOUT, ESTAB_S(20));
    user_says(p, 1000, 0);
    waits(p, ESTAB_MS(1500));
    says(p, RETRANSMIT,
         "1000 octets unacknowledged for 1.5 s: retransmission 3, the next in 1.5 s, given up in "
         "18.5 s");
}

static void nagle(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_says(p, 100, 0);
    waits(p, ESTAB_MS(10));
    user_says(p, 7, 0);
    waits(p, ESTAB_MS(20));
    says(p, NAGLE, "7 octets held back (Nagle) until the ACK of 100 octets in flight for 20 ms");
    user_sets(p, ESTAB_O_NODELAY, 1);
    says(p, ACK, "all is sent, 107 octets unacknowledged for 30 ms, sent again in 170 ms");
}

static void more(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_says(p, 1, ESTAB_MSG_MORE);
    waits(p, ESTAB_MS(50));
    says(p, MORE,
         "1 octet held back for 50 ms: the application said that more follows; sent in 150 ms");
}

static void cork(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_sets(p, ESTAB_O_CORK, 1);
    user_says(p, 900, 0);
    waits(p, ESTAB_MS(50));
    says(p, MORE,
         "900 octets held back for 50 ms: the application said that more follows; sent in 150 ms");
}

static void congestion_window(void **state)
{
    struct peer *p = *state;

    p->cfg.initial_window = 2;
    peer_restarts(p);
    peer_connects(p);
    user_says(p, 5000, 0);
    waits(p, ESTAB_MS(30));
    says(p, CWND,
         "the congestion window is full: 2000 of 2000 octets in flight, 3000 octets wait for 30 "
         "ms");
}

static void pacing(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_sets(p, ESTAB_O_PACING_RATE, 100000);
    user_says(p, 5000, 0);
    waits(p, ESTAB_MS(5));
    says(p, PACING, "pacing: 3000 octets wait, the next in 14 ms, 100000 octets a second");
    assert_int_equal(asks(p, p->k).pacing_rate, 100000);
    user_shuts(p);
    says(p, FIN_QUEUED,
         "closed, and the FIN is queued behind 5000 octets: pacing: 3000 octets wait, the next in "
         "14 ms, 100000 octets a second");
    waits(p, ESTAB_MS(100));
    says(p, FIN_SENT, "closed for 100 ms, and the FIN is not acknowledged, sent again in 95 ms");
}

static void window_full(void **state)
{
    struct peer *p = *state;

    p->wnd = 1500;
    peer_connects(p);
    user_says(p, 4000, 0);
    waits(p, ESTAB_MS(30));
    /* the third half does not fit: too small a piece (SWS) until what is in flight is known */
    says(p, SWS,
         "silly-window avoidance: 3000 octets wait for 30 ms, and the peer's window has room for "
         "500");
    p->wnd = 1000;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    waits(p, ESTAB_MS(1));
    says(p, WINDOW_FULL,
         "the peer's window is full: 1000 of 1000 octets in flight, 2000 octets wait for 1 ms");
}

static void zero_window(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    user_says(p, 500, 0);
    waits(p, ESTAB_MS(3500));
    says(p, ZERO_WINDOW,
         "the peer's window is zero and 500 octets wait for 3.5 s: probe 4, unanswered 4 of 15, "
         "the next in 2.7 s");
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    says(p, ZERO_WINDOW,
         "the peer's window is zero and 500 octets wait for 3.5 s: probe 4, unanswered 0 of 15, "
         "the next in 2.7 s");
}

static void fin_behind_a_closed_window(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    user_says(p, 500, 0);
    user_shuts(p);
    waits(p, ESTAB_MS(500));
    says(p, FIN_QUEUED,
         "closed, and the FIN is queued behind 500 octets: the peer's window is zero and 500 "
         "octets wait for 500 ms: probe 1, unanswered 1 of 15, the next in 100 ms");
}

static void out_of_memory(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    p->v.fail_at = 1;
    p->v.allocs = 0;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    waits(p, ESTAB_MS(20));
    assert_int_equal(asks(p, p->k).why, ESTAB_WHY_NO_MEMORY);
    assert_true(asks(p, p->k).mem_used > 0);
    p->v.fail_at = 0;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    says(p, UNREAD, "1000 octets for the application to read for 0 us");
}

static void memory_text(void **state)
{
    struct estab_why_info i = {.size = sizeof i,
                               .why = ESTAB_WHY_NO_MEMORY,
                               .now = ESTAB_S(10),
                               .since = ESTAB_S(8),
                               .mem_used = 1000,
                               .mem_max = 1024};
    char text[200];

    (void)state;
    (void)estab_why_text(&i, text, sizeof text);
    assert_string_equal(text, "out of memory: 1000 of 1024 octets in use, refused 2.0 s ago");
}

/* ---- receiving ---- */

static void not_reading(void **state)
{
    struct peer *p = *state;
    uint8_t buf[4000];

    p->cfg.rcvbuf = 4000;
    peer_restarts(p);
    peer_connects(p);
    for (uint32_t n = 0; n < 4; n++)
        sends(p, SEG(.flags = ACK, .seq = 1 + 1000 * n, .ack = 1, .len = 1000));
    waits(p, ESTAB_S(3 * 86400 + 2 * 3600));
    says(p, NOT_READING,
         "our window is zero: the application has not read 4000 octets for 3 d 2 h");
    assert_int_equal(user_reads(p, buf, 3000), 3000);
    waits(p, ESTAB_S(5));
    says(p, UNREAD, "1000 octets for the application to read for 5.0 s");
    assert_int_equal(user_reads(p, buf, 1000), 1000);
    assert_int_equal(asks(p, p->k).why, ESTAB_WHY_NOTHING);
}

static void keepalive(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    user_sets(p, ESTAB_O_KEEPIDLE, ESTAB_S(60));
    user_sets(p, ESTAB_O_KEEPINTVL, ESTAB_S(10));
    waits(p, ESTAB_S(75));
    says(p, KEEPALIVE, "idle, and the peer does not answer: keepalive 2 of 9, the next in 5.0 s");
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(asks(p, p->k).why, ESTAB_WHY_NOTHING);
}

/* ---- closing ---- */

static void close_wait(void **state)
{
    struct peer *p = *state;
    uint8_t buf[100];

    peer_connects(p);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 100));
    waits(p, ESTAB_S(3700));
    says(p, CLOSE_WAIT,
         "the peer has closed, and the application has not for 1 h 1 min, with 100 octets unread");
    assert_int_equal(user_reads(p, buf, 100), 100);
    says(p, CLOSE_WAIT, "the peer has closed, and the application has not for 1 h 1 min");
}

static void fin_sent(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_1);
    waits(p, ESTAB_MS(150));
    says(p, FIN_SENT, "closed for 150 ms, and the FIN is not acknowledged, sent again in 50 ms");
    waits(p, ESTAB_S(1));
    says(p, RETRANSMIT,
         "1 octet unacknowledged for 1.2 s: retransmission 2 of 15, the next in 250 ms");
}

static void fin_wait_2(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_FIN_WAIT_2);
    waits(p, ESTAB_S(10));
    says(p, FIN_WAIT_2, "closed, and the peer has not for 10.0 s");
    user_closes(p);
    waits(p, ESTAB_S(20));
    says_of(p, in_state(p, ESTAB_FIN_WAIT_2), ESTAB_WHY_FIN_WAIT_2,
            "closed, and the peer has not for 30.0 s, given up in 40.0 s");
}

static void time_wait(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_TIME_WAIT);
    waits(p, ESTAB_S(15));
    says(p, TIME_WAIT, "TIME-WAIT: over in 45.0 s");
    user_closes(p);
    says_of(p, in_state(p, ESTAB_TIME_WAIT), ESTAB_WHY_TIME_WAIT, "TIME-WAIT: over in 45.0 s");
}

/* ---- the times ---- */

static void times(void **state)
{
    struct peer *p = *state;
    struct estab_why_info i;
    estab_dur sum = 0;

    p->cfg.why_times = true;
    peer_restarts(p);
    peer_connects(p);
    waits(p, ESTAB_S(5));
    user_says(p, 1000, 0);
    waits(p, ESTAB_MS(100));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001, .shut = true));
    user_says(p, 1000, 0);
    waits(p, ESTAB_S(60));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2001));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2001));
    waits(p, ESTAB_S(7));
    i = asks(p, p->k);
    assert_true(i.has_times);
    assert_int_equal(i.spent[ESTAB_WHY_NOTHING], ESTAB_S(5));
    assert_int_equal(i.spent[ESTAB_WHY_ACK], ESTAB_MS(100));
    assert_int_equal(i.spent[ESTAB_WHY_ZERO_WINDOW], ESTAB_S(60));
    assert_int_equal(i.spent[ESTAB_WHY_CLOSE_WAIT], ESTAB_S(7));
    for (size_t w = 0; w < ESTAB_WHYS; w++)
        sum += i.spent[w];
    assert_int_equal(sum, ESTAB_MS(72100));
}

/* A driver that is late, with text copied and with text lent. */
static void times_begin_with_the_call(void **state)
{
    static uint8_t text[100];
    struct estab_iov v = {text, sizeof text};
    struct peer *p = *state;

    for (int lent = 0; lent < 2; lent++) {
        p->cfg.why_times = true;
        peer_restarts(p);
        peer_connects(p);
        waits(p, ESTAB_S(5));
        assert_int_equal(lent ? estab_send_lend(p->s, p->k, &v, 1, 0)
                              : estab_send(p->s, p->k, &v, 1, 0),
                         sizeof text);
        p->v.now += ESTAB_MS(3);
        ignores_all(p);
        waits(p, ESTAB_MS(10));
        assert_int_equal(asks(p, p->k).spent[ESTAB_WHY_NOTHING], ESTAB_S(5));
        assert_int_equal(asks(p, p->k).spent[ESTAB_WHY_DRIVER], ESTAB_MS(3));
        assert_int_equal(asks(p, p->k).spent[ESTAB_WHY_ACK], ESTAB_MS(10));
    }
}

static void times_are_not_kept_unasked(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    waits(p, ESTAB_S(5));
    assert_false(asks(p, p->k).has_times);
    assert_int_equal(asks(p, p->k).spent[ESTAB_WHY_NOTHING], 0);
}

/* ---- the calls ---- */

static void older_callers(void **state)
{
    struct peer *p = *state;
    struct {
        struct estab_why_info i;
        uint8_t behind;
    } x = {.i = {.size = offsetof(struct estab_why_info, hop)}};
    char text[8];

    peer_connects(p);
    memset(&x.i.hop, 0x55, sizeof x.i - offsetof(struct estab_why_info, hop));
    assert_int_equal(estab_why(p->s, p->k, &x.i), 0);
    assert_int_equal(x.i.hop.ip[0], 0x55);
    assert_int_equal(estab_why_text(&x.i, text, sizeof text), strlen("nothing to send for 0 us"));
    assert_string_equal(text, "nothing");
    assert_int_equal(estab_why(p->s, p->k + 1, &x.i), ESTAB_E_BADF);
    x.i.why = (enum estab_why)200;
    assert_int_equal(estab_why_text(&x.i, text, sizeof text), ESTAB_E_INVAL);
}

static void every_reason_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (unsigned w = 0; w < ESTAB_WHYS; w++) {
        struct estab_why_info i = {.size = sizeof i, .why = (enum estab_why)w};
        char text[300];

        assert_string_not_equal(estab_why_name((enum estab_why)w), "?");
        assert_in_range(estab_why_text(&i, text, sizeof text), 5, 250);
        for (unsigned v = 0; v < w; v++)
            assert_string_not_equal(estab_why_name((enum estab_why)w),
                                    estab_why_name((enum estab_why)v));
    }
    assert_string_equal(estab_why_name(ESTAB_WHYS), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(closed),
        PEER_TEST(syn_sent),
        PEER_TEST(syn_received_by_both),
        PEER_TEST(syn_received),
        PEER_TEST(not_accepted),
        PEER_TEST(no_connections),
        PEER_TEST(neighbour_4),
        PEER_TEST(neighbour_6),
        PEER_TEST(neighbour_is_silent),
        PEER_TEST(driver),
        PEER_TEST(nothing),
        PEER_TEST(retransmission),
        PEER_TEST(user_timeout),
        PEER_TEST(nagle),
        PEER_TEST(more),
        PEER_TEST(cork),
        PEER_TEST(congestion_window),
        PEER_TEST(pacing),
        PEER_TEST(window_full),
        PEER_TEST(zero_window),
        PEER_TEST(fin_behind_a_closed_window),
        PEER_TEST(out_of_memory),
        cmocka_unit_test(memory_text),
        PEER_TEST(not_reading),
        PEER_TEST(keepalive),
        PEER_TEST(close_wait),
        PEER_TEST(fin_sent),
        PEER_TEST(fin_wait_2),
        PEER_TEST(time_wait),
        PEER_TEST(times),
        PEER_TEST(times_begin_with_the_call),
        PEER_TEST(times_are_not_kept_unasked),
        PEER_TEST(older_callers),
        cmocka_unit_test(every_reason_has_a_name_and_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_test.c - channels over pipes in memory, to the nanosecond. */
#include "lab/pipe.h"

static struct pipes p;
static estab_channel *a, *b; /* a connects, b is made of what is accepted */
static struct estab_channel_config ca, cb;
static const struct estab_addr peer = {.port = 7};

static struct estab_iov text(const char *s)
{
    return (struct estab_iov){(void *)(uintptr_t)s, strlen(s)};
}

static void accept_one(void)
{
    estab_wire w;

    if (p.n == 0 || !pipe_accept(&p, &w))
        return;
    estab_channel_free(b);
    assert_int_equal(estab_channel_accept(&b, &p.env, &cb, &p.t, w), 0);
}

static void settle(void)
{
    for (int i = 0; i < 40; i++) {
        if (a)
            estab_channel_run(a);
        accept_one();
        if (b)
            estab_channel_run(b);
    }
}

static void until(estab_time at)
{
    for (;;) {
        estab_time next = at, d;

        settle();
        for (int i = 0; i < 2; i++) {
            if (!(i ? b : a))
                continue;
            d = estab_channel_deadline(i ? b : a);
            next = d < next ? d : next;
        }
        if (next >= at)
            break;
        assert_true(next > p.v.now);
        p.v.now = next;
    }
    p.v.now = at;
    settle();
}

/* The next event of c, which is of this kind. */
static struct estab_channel_event expect(estab_channel *c, enum estab_channel_event_kind kind)
{
    struct estab_channel_event e;

    if (!estab_channel_next(c, &e))
        fail_msg("nothing has happened, where %d should", kind);
    assert_int_equal(e.kind, kind);
    return e;
}

static void expect_text(estab_channel *c, enum estab_channel_event_kind kind, const char *s)
{
    struct estab_channel_event e = expect(c, kind);

    assert_int_equal(e.len, strlen(s));
    if (e.len)
        assert_memory_equal(e.text, s, e.len);
}

static void expect_nothing(estab_channel *c)
{
    struct estab_channel_event e;

    if (estab_channel_next(c, &e))
        fail_msg("%d has happened", e.kind);
}

static struct estab_channel_event expect_down(estab_channel *c, int error)
{
    struct estab_channel_event e = expect(c, ESTAB_CH_DOWN);

    assert_int_equal(e.error, error);
    return e;
}

static void expect_failed(estab_channel *c, uint64_t number, int error, bool sent)
{
    struct estab_channel_event e = expect(c, ESTAB_CH_FAILED);

    assert_true(e.number == number);
    assert_int_equal(e.error, error);
    assert_int_equal(e.sent, sent);
}

static uint64_t ask(estab_channel *c, const char *s, estab_dur within, unsigned flags)
{
    struct estab_iov v = text(s);
    uint64_t number = 0;

    assert_int_equal(estab_channel_ask(c, &v, 1, within, flags, &number), 0);
    return number;
}

static void reply(estab_channel *c, uint64_t number, const char *s, unsigned flags)
{
    struct estab_iov v = text(s);

    assert_int_equal(estab_channel_reply(c, number, &v, 1, flags), 0);
}

static uint64_t expect_request(estab_channel *c, const char *s)
{
    struct estab_channel_event e = expect(c, ESTAB_CH_REQUEST);

    assert_int_equal(e.len, strlen(s));
    assert_memory_equal(e.text, s, e.len);
    return e.number;
}

static struct estab_channel_info info_of(const estab_channel *c)
{
    struct estab_channel_info i = {.size = sizeof i};

    estab_channel_info(c, &i);
    return i;
}

static int prepare(void **state)
{
    (void)state;
    pipes_init(&p);
    a = b = NULL;
    estab_channel_config_init(&ca);
    ca.heartbeat = 0;
    ca.stall = 0;
    cb = ca;
    return 0;
}

static int end(void **state)
{
    (void)state;
    estab_channel_free(a);
    estab_channel_free(b);
    assert_int_equal(p.v.live, 0);
    return 0;
}

static void connects(void)
{
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    settle();
    expect(a, ESTAB_CH_UP);
    expect(b, ESTAB_CH_UP);
}

/* As a peer that is written by hand: octets on a's connection. */
static void raw(const char *octets, size_t len)
{
    struct estab_iov v = {(void *)(uintptr_t)octets, len};

    assert_int_equal(pipe_send(&p, 1, &v, 1), len);
}

static void connects_raw(void)
{
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    estab_channel_run(a);
    expect(a, ESTAB_CH_UP);
    p.pipe[0].accepted = p.pipe[0].open[1] = true;
}

/* ---- messages ---- */

static void replies_find_their_requests_in_any_order(void **state)
{
    uint64_t n[3], m[3];

    (void)state;
    connects();
    n[0] = ask(a, "one", ESTAB_NEVER, 0);
    n[1] = ask(a, "two", ESTAB_NEVER, 0);
    n[2] = ask(a, "", ESTAB_NEVER, 0);
    settle();
    assert_int_equal(p.sends, 1); /* gathered */
    m[0] = expect_request(b, "one");
    m[1] = expect_request(b, "two");
    m[2] = expect_request(b, "");
    reply(b, m[2], "c", 0);
    reply(b, m[0], "", 0);
    reply(b, m[1], "b", 0);
    settle();
    assert_true(expect(a, ESTAB_CH_REPLY).number == n[2]);
    assert_true(expect(a, ESTAB_CH_REPLY).number == n[0]);
    expect_text(a, ESTAB_CH_REPLY, "b");
    expect_nothing(a);
}

static void both_sides_ask_at_once(void **state)
{
    (void)state;
    connects();
    (void)ask(a, "from a", ESTAB_NEVER, 0);
    (void)ask(b, "from b", ESTAB_NEVER, 0);
    settle();
    reply(b, expect_request(b, "from a"), "to a", 0);
    reply(a, expect_request(a, "from b"), "to b", 0);
    settle();
    expect_text(a, ESTAB_CH_REPLY, "to a");
    expect_text(b, ESTAB_CH_REPLY, "to b");
}

/* Of every kind of length, in pieces of every size, with texts around every size that matters. */
static void whatever_the_pieces(void **state)
{
    static const size_t sizes[] = {0, 1, 118, 119, 127, 128, 4095, 4096, 4097, 8192, 30000};
    static char big[30000];

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    for (int kind = 0; kind <= ESTAB_LENGTH_LEB128; kind++) {
        for (size_t piece = 0; piece < 40; piece += piece < 24 ? 1 : 7) {
            (void)prepare(state);
            ca.length = cb.length = (uint8_t)kind;
            ca.max_message = cb.max_message = 30000;
            p.piece = piece ? piece : 0;
            connects();
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct estab_iov v[2] = {{big, sizes[i] / 3},
                                         {big + sizes[i] / 3, sizes[i] - sizes[i] / 3}};
                struct estab_channel_event e;

                assert_int_equal(estab_channel_send(a, v, 2, 0), 0);
                while (!estab_channel_next(b, &e))
                    settle();
                assert_int_equal(e.kind, ESTAB_CH_MESSAGE);
                assert_int_equal(e.len, sizes[i]);
                if (e.len)
                    assert_memory_equal(e.text, big, e.len);
            }
            (void)end(state);
        }
    }
    a = b = NULL;
}

static void the_octets_on_the_wire(void **state)
{
    static const char reply_to[] = "\0\0\0\013\2\0\0\0\0\0\0\0\0hi"; /* number filled in */
    uint8_t got[64];
    struct estab_iov v = {got, sizeof got};
    uint64_t n;
    char back[15];

    (void)state;
    connects_raw();
    n = ask(a, "hello", ESTAB_NEVER, 0);
    estab_channel_run(a);
    assert_int_equal(pipe_recv(&p, 1, &v, 1), 4 + 9 + 5);
    assert_memory_equal(got, "\0\0\0\016\1", 5);
    for (int i = 0; i < 8; i++)
        assert_int_equal(got[5 + i], (uint8_t)(n >> (56 - 8 * i)));
    assert_memory_equal(got + 13, "hello", 5);
    memcpy(back, reply_to, sizeof back);
    memcpy(back + 5, got + 5, 8);
    raw(back, sizeof back);
    estab_channel_run(a);
    expect_text(a, ESTAB_CH_REPLY, "hi");
}

/* ---- limits ---- */

static void too_large_to_send_takes_no_memory(void **state)
{
    struct estab_iov v = text("123456789");
    uint64_t allocs, n;

    (void)state;
    ca.max_message = 8;
    connects();
    allocs = p.v.allocs;
    assert_int_equal(estab_channel_send(a, &v, 1, 0), ESTAB_E_TOOBIG);
    assert_int_equal(p.v.allocs, allocs);
    assert_int_equal(estab_channel_ask(a, &v, 1, ESTAB_NEVER, 0, &n), ESTAB_E_TOOBIG);
}

static void too_large_to_receive_takes_no_memory(void **state)
{
    uint64_t allocs;

    (void)state;
    ca.max_message = 8;
    connects_raw();
    allocs = p.v.allocs;
    raw("\0\0\0\022", 4); /* 9 and 9: the text is not needed to know */
    estab_channel_run(a);
    assert_int_equal(p.v.allocs, allocs);
    expect_down(a, ESTAB_E_TOOBIG);
    assert_false(p.pipe[0].open[0]);
}

static void a_length_alone_takes_no_memory(void **state)
{
    size_t before;

    (void)state;
    connects_raw();
    before = p.v.live;
    raw("\0\x0f\0\0\0\0\0\0\0\0\0\0\0", 13);
    estab_channel_run(a);
    assert_in_range(p.v.live - before, 0, 256);
    raw("0123456789", 10);
    estab_channel_run(a);
    assert_in_range(p.v.live - before, 10, 4096 + 256);
}

static void refuses_stream(const char *octets, size_t len)
{
    void *state = NULL;

    (void)prepare(&state);
    connects_raw();
    raw(octets, len);
    estab_channel_run(a);
    expect_down(a, ESTAB_E_PROTOCOL);
    expect_nothing(a);
    (void)end(&state);
    a = NULL;
}

static void what_is_no_message(void **state)
{
    (void)state;
    refuses_stream("\0\0\0\010\0\0\0\0", 8);              /* shorter than its prefix */
    refuses_stream("\0\0\0\011\010\0\0\0\0\0\0\0\0", 13); /* no such type */
    refuses_stream("\0\0\0\012\4\0\0\0\0\0\0\0\0", 13);   /* a PING with text */
    refuses_stream("\0\0\0\011\6\0\0\0\0\0\0\0\0", 13);   /* a turn, in full duplex */
    refuses_stream("\0\0\0\011\200\0\0\0\0\0\0\0\0", 13); /* and with a message */
    refuses_stream("\0\0\0\011\204\0\0\0\0\0\0\0\0", 13); /* and with a PING */
}

static void impossible_settings(void **state)
{
    (void)state;
    ca.length = ESTAB_LENGTH_2;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), ESTAB_E_INVAL);
    ca.max_message = 65535 - 9;
    ca.plain = true;
    ca.duplex = ESTAB_DUPLEX_HALF;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), ESTAB_E_INVAL);
    ca.duplex = ESTAB_DUPLEX_FULL;
    ca.in_flight = 0;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), ESTAB_E_INVAL);
}

/* ---- deadlines ---- */

static void the_late_reply_is_dropped(void **state)
{
    uint64_t slow, next, m;

    (void)state;
    connects();
    slow = ask(a, "slow", ESTAB_MS(300), 0);
    until(p.v.now + ESTAB_MS(300) - 1);
    m = expect_request(b, "slow");
    expect_nothing(a);
    until(p.v.now + 1);
    expect_failed(a, slow, ESTAB_E_TIMEOUT, true);
    next = ask(a, "next", ESTAB_S(1), 0);
    reply(b, m, "of the slow one", 0);
    settle();
    expect_nothing(a);
    assert_int_equal(info_of(a).late, 1);
    reply(b, expect_request(b, "next"), "right", 0);
    settle();
    assert_true(estab_channel_cancel(a, next) == ESTAB_E_INVAL); /* it has its reply */
    expect_text(a, ESTAB_CH_REPLY, "right");
}

/* The octets of what was never sent do not go out later. */
static void a_request_that_never_left_is_not_sent_late(void **state)
{
    uint64_t n;

    (void)state;
    connects();
    p.room = 0;
    n = ask(a, "stuck", ESTAB_MS(100), 0);
    until(p.v.now + ESTAB_MS(100));
    expect_failed(a, n, ESTAB_E_TIMEOUT, false);
    p.room = PIPE_ROOM;
    settle();
    expect_nothing(b);
    assert_int_equal(info_of(a).send_messages, 0);
}

/* Half of it is on the wire: the rest must follow, or nothing after it makes sense. */
static void a_request_that_left_in_part_is_finished(void **state)
{
    uint64_t n;

    (void)state;
    connects();
    p.room = 15;
    n = ask(a, "half a request", ESTAB_MS(100), 0);
    estab_channel_run(a);
    p.v.now += ESTAB_MS(100);
    estab_channel_run(a);
    expect_failed(a, n, ESTAB_E_TIMEOUT, false);
    p.room = PIPE_ROOM;
    settle();
    reply(b, expect_request(b, "half a request"), "too late", 0);
    (void)ask(a, "whole", ESTAB_NEVER, 0);
    settle();
    reply(b, expect_request(b, "whole"), "yes", 0);
    settle();
    expect_text(a, ESTAB_CH_REPLY, "yes");
    assert_int_equal(info_of(a).late, 1);
}

static void cancelled(void **state)
{
    uint64_t n;

    (void)state;
    connects();
    n = ask(a, "x", ESTAB_NEVER, 0);
    settle();
    assert_int_equal(estab_channel_cancel(a, n), 0);
    assert_int_equal(estab_channel_cancel(a, n), ESTAB_E_INVAL);
    expect_failed(a, n, ESTAB_E_CANCELLED, true);
}

/* ---- plain peers ---- */

static void plain_replies_keep_their_places(void **state)
{
    uint64_t n1, n2;

    (void)state;
    ca.plain = cb.plain = true;
    ca.in_flight = 2;
    connects();
    n1 = ask(a, "1", ESTAB_MS(10), 0);
    n2 = ask(a, "2", ESTAB_NEVER, 0);
    until(p.v.now + ESTAB_MS(10));
    expect_failed(a, n1, ESTAB_E_TIMEOUT, true);
    n1 = expect_request(b, "1");
    assert_int_equal(estab_channel_reply(b, expect_request(b, "2"), NULL, 0, 0), ESTAB_E_INVAL);
    reply(b, n1, "first, late", 0);
    reply(b, n1 + 1, "second", 0);
    settle();
    assert_int_equal(info_of(a).late, 1);
    assert_true(expect(a, ESTAB_CH_REPLY).number == n2);
    raw("\0\0\0\2hi", 6); /* nobody asked */
    settle();
    expect_text(a, ESTAB_CH_MESSAGE, "hi");
}

/* The place of a reply that is still owed counts: a plain peer cannot be asked without bound. */
static void plain_places_are_bounded(void **state)
{
    struct estab_iov v = text("x");
    uint64_t n;

    (void)state;
    ca.plain = cb.plain = true;
    ca.in_flight = 1;
    connects();
    n = ask(a, "1", ESTAB_MS(10), 0);
    until(p.v.now + ESTAB_MS(10));
    expect_failed(a, n, ESTAB_E_TIMEOUT, true);
    assert_int_equal(estab_channel_ask(a, &v, 1, ESTAB_NEVER, 0, &n), ESTAB_E_AGAIN);
    reply(b, expect_request(b, "1"), "late", 0);
    settle();
    expect(a, ESTAB_CH_ROOM);
    assert_int_equal(estab_channel_ask(a, &v, 1, ESTAB_NEVER, 0, &n), 0);
}

/* ---- bounds and back-pressure ---- */

static void a_full_queue_is_told_and_so_is_room(void **state)
{
    struct estab_iov v = text("0123456789");

    (void)state;
    ca.send_messages = 3;
    connects();
    p.room = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(estab_channel_send(a, &v, 1, 0), 0);
    assert_int_equal(estab_channel_send(a, &v, 1, 0), ESTAB_E_AGAIN);
    settle();
    expect_nothing(a);
    p.room = PIPE_ROOM;
    settle();
    expect(a, ESTAB_CH_ROOM);
    expect_nothing(a);
}

static void octets_are_bounded_too(void **state)
{
    struct estab_iov v = text("0123456789");

    (void)state;
    ca.send_octets = 30;
    connects();
    assert_int_equal(estab_channel_send(a, &v, 1, 0), 0);
    assert_int_equal(estab_channel_send(a, &v, 1, 0), 0);
    assert_int_equal(estab_channel_send(a, &v, 1, 0), ESTAB_E_AGAIN);
}

static void requests_in_flight_are_bounded(void **state)
{
    struct estab_iov v = text("x");
    uint64_t n;

    (void)state;
    ca.in_flight = 2;
    connects();
    (void)ask(a, "1", ESTAB_NEVER, 0);
    (void)ask(a, "2", ESTAB_NEVER, 0);
    assert_int_equal(estab_channel_ask(a, &v, 1, ESTAB_NEVER, 0, &n), ESTAB_E_AGAIN);
    settle();
    reply(b, expect_request(b, "1"), "", 0);
    settle();
    expect(a, ESTAB_CH_REPLY);
    settle();
    expect(a, ESTAB_CH_ROOM);
    assert_int_equal(estab_channel_ask(a, &v, 1, ESTAB_NEVER, 0, &n), 0);
}

/* Who does not drain stops reading; the transport fills, and the sender's queue after it. */
static void a_full_inbox_stops_the_sender(void **state)
{
    struct estab_iov v = text("0123456789");
    struct estab_channel_event e;
    int sent = 0, got = 0;

    (void)state;
    ca.send_messages = 10;
    cb.inbox_messages = 5;
    connects();
    p.room = 1000;
    p.piece = 23; /* one message a read */
    for (int i = 0; i < 100; i++) {
        while (estab_channel_send(a, &v, 1, 0) == 0)
            sent++;
        settle();
    }
    assert_in_range(sent, 5 + 10 + 1000 / 23, 5 + 10 + 1000 / 23 + 2);
    assert_in_range(info_of(b).inbox_messages, 5, 6);
    for (int i = 0; i < 100; i++) {
        while (estab_channel_next(b, &e))
            got++;
        assert_true(p.pipe[0].lane[1].len == 0 || estab_channel_deadline(b) == 0);
        settle();
    }
    assert_int_equal(got, sent);
}

/* A peer that asks and does not read the replies makes us keep no more than it may have asked. */
static void replies_not_read_stop_the_requests(void **state)
{
    struct estab_channel_event e;

    (void)state;
    ca.in_flight = 1000;
    cb.in_flight = 4;
    connects();
    for (int i = 0; i < 100; i++)
        (void)ask(a, "x", ESTAB_NEVER, 0);
    p.piece = 14; /* one message a read */
    estab_channel_run(a);
    while (p.pipe[0].lane[1].len < 100 * 14)
        estab_channel_run(a);
    p.room = 0;
    for (int i = 0; i < 200; i++) {
        estab_channel_run(b);
        while (estab_channel_next(b, &e))
            reply(b, e.number, "y", 0);
    }
    assert_int_equal(info_of(b).send_messages, 5);
    p.room = PIPE_ROOM;
    for (int i = 0; i < 30; i++) {
        settle();
        while (estab_channel_next(b, &e))
            reply(b, e.number, "y", 0);
    }
    assert_int_equal(info_of(a).messages_in, 100);
}

static void a_flood_of_pings_owes_one_pong(void **state)
{
    uint64_t sends;

    (void)state;
    connects_raw();
    p.room = 0;
    p.pipe[0].lane[0].len = 0;
    p.room = PIPE_ROOM;
    for (int i = 0; i < 1000; i++)
        raw("\0\0\0\011\4\0\0\0\0\0\0\0\7", 13);
    sends = p.sends;
    estab_channel_run(a);
    assert_int_equal(p.sends, sends + 1);
    assert_int_equal(p.pipe[0].lane[1].len, 13);
    assert_memory_equal(p.pipe[0].lane[1].octets, "\0\0\0\011\5\0\0\0\0\0\0\0\7", 13);
}

/* ---- a peer that dies in silence ---- */

enum { HEARTBEAT = 2, MISSES = 2 }; /* seconds */

static void with_heartbeats(void)
{
    ca.heartbeat = cb.heartbeat = ESTAB_S(HEARTBEAT);
    ca.misses = cb.misses = MISSES;
}

static void before_it_answers_the_connection(void **state)
{
    uint64_t n;

    (void)state;
    ca.connect_timeout = ESTAB_S(3);
    p.unanswered = true;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    n = ask(a, "x", ESTAB_NEVER, 0);
    until(ESTAB_S(103) - 1);
    expect_nothing(a);
    until(ESTAB_S(103));
    assert_true(expect_down(a, ESTAB_E_TIMEOUT).retry_at == ESTAB_NEVER);
    expect_failed(a, n, ESTAB_E_TIMEOUT, false);
}

/* From its last word it takes (misses + 1) heartbeats, on both sides, and all that waits is told.
 */
static void dies_after(size_t octets)
{
    estab_time last;
    void *state = NULL;
    uint64_t n;

    (void)prepare(&state);
    with_heartbeats();
    connects();
    until(ESTAB_S(101));
    last = p.v.now;
    n = ask(a, "a request of 30 octets, or so", ESTAB_NEVER, 0);
    if (octets)
        p.cut_after = octets;
    else
        p.cut = true;
    settle();
    if (octets > 42)
        (void)expect_request(b, "a request of 30 octets, or so");
    until(info_of(a).heard_at + ESTAB_S(HEARTBEAT * (MISSES + 1)) - 1);
    expect_nothing(a);
    assert_true(p.v.now >= last);
    until(p.v.now + 1);
    expect_down(a, ESTAB_E_TIMEOUT);
    expect_failed(a, n, ESTAB_E_TIMEOUT, true);
    until(info_of(b).heard_at + ESTAB_S(HEARTBEAT * (MISSES + 1)));
    expect_down(b, ESTAB_E_TIMEOUT);
    assert_int_equal(info_of(b).state, ESTAB_CHANNEL_OVER);
    (void)end(&state);
    a = b = NULL;
}

static void in_the_length(void **state)
{
    (void)state;
    dies_after(2);
}

static void in_the_number(void **state)
{
    (void)state;
    dies_after(9);
}

static void in_the_middle_of_a_message(void **state)
{
    (void)state;
    dies_after(25);
}

static void between_request_and_reply(void **state)
{
    (void)state;
    dies_after(43);
}

static void at_once(void **state)
{
    (void)state;
    dies_after(0);
}

static void while_idle(void **state)
{
    estab_time heard;

    (void)state;
    with_heartbeats();
    connects();
    until(ESTAB_S(161)); /* an idle minute is no death */
    expect_nothing(a);
    expect_nothing(b);
    assert_in_range(info_of(a).pings + info_of(b).pings, 29, 62);
    heard = info_of(a).heard_at;
    p.cut = true;
    until(heard + ESTAB_S(6) - 1);
    expect_nothing(a);
    until(heard + ESTAB_S(6));
    expect_down(a, ESTAB_E_TIMEOUT);
}

/* One side's heartbeats are enough for it: the other only answers. */
static void heartbeats_of_one_side(void **state)
{
    (void)state;
    with_heartbeats();
    cb.heartbeat = 0;
    connects();
    until(ESTAB_S(200));
    expect_nothing(a);
    p.cut = true;
    until(ESTAB_S(300));
    expect_down(a, ESTAB_E_TIMEOUT);
    expect_nothing(b);
}

/* Octets of a long message are words too, however long it takes. */
static void a_slow_message_is_a_sign_of_life(void **state)
{
    (void)state;
    with_heartbeats();
    connects_raw();
    raw("\0\0\0\035\0\0\0\0\0\0\0\0\0", 13);
    for (int i = 0; i < 20; i++) {
        until(p.v.now + ESTAB_S(5));
        raw("x", 1);
    }
    settle();
    expect_text(a, ESTAB_CH_MESSAGE, "xxxxxxxxxxxxxxxxxxxx");
    until(info_of(a).heard_at + ESTAB_S(6));
    expect_down(a, ESTAB_E_TIMEOUT);
}

/* A side whose user does not drain is alive, and says so. */
static void a_full_inbox_is_not_death(void **state)
{
    struct estab_iov v = text("x");

    (void)state;
    with_heartbeats();
    cb.inbox_messages = 1;
    connects();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(estab_channel_send(a, &v, 1, 0), 0);
        settle();
    }
    until(ESTAB_S(150));
    expect_nothing(a);
    expect_text(b, ESTAB_CH_MESSAGE, "x");
    until(ESTAB_S(200));
    expect_nothing(a);
    expect_text(b, ESTAB_CH_MESSAGE, "x");
    expect_text(b, ESTAB_CH_MESSAGE, "x");
    expect_nothing(b);
}

/* Plain peers have no heartbeats: a message that stands still is what can be seen. */
static void a_message_that_stands_still(void **state)
{
    (void)state;
    ca.plain = true;
    ca.stall = ESTAB_S(4);
    connects_raw();
    raw("\0\0\0\5he", 6);
    until(ESTAB_S(104) - 1);
    expect_nothing(a);
    until(ESTAB_S(104));
    expect_down(a, ESTAB_E_TIMEOUT);
}

/* Who slept for an hour asks before it judges. */
static void a_long_sleep_is_not_the_peers_silence(void **state)
{
    (void)state;
    with_heartbeats();
    connects();
    p.v.now += ESTAB_S(3600);
    until(p.v.now + ESTAB_S(1));
    expect_nothing(a);
    expect_nothing(b);
}

/* ---- the next connection ---- */

static void with_reconnection(void)
{
    ca.reconnect = true;
    ca.retry_min = ESTAB_MS(100);
    ca.retry_max = ESTAB_S(2);
    ca.retry_jitter = 0;
}

static void attempts_back_off(void **state)
{
    static const unsigned spans[] = {100, 200, 400, 800, 1600, 2000, 2000};

    (void)state;
    with_reconnection();
    p.refuse = ESTAB_E_REFUSED;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    settle();
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        assert_true(expect_down(a, ESTAB_E_REFUSED).retry_at - p.v.now == ESTAB_MS(spans[i]));
        until(p.v.now + ESTAB_MS(spans[i]));
    }
}

static void chance_takes_a_part_off(void **state)
{
    estab_dur least = ESTAB_NEVER, most = 0;

    (void)state;
    with_reconnection();
    ca.retry_jitter = 50;
    ca.retry_max = ca.retry_min;
    p.refuse = ESTAB_E_REFUSED;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    settle();
    for (int i = 0; i < 200; i++) {
        estab_dur span = expect_down(a, ESTAB_E_REFUSED).retry_at - p.v.now;

        least = span < least ? span : least;
        most = span > most ? span : most;
        until(p.v.now + span);
    }
    assert_in_range(least, ESTAB_MS(50), ESTAB_MS(53));
    assert_in_range(most, ESTAB_MS(97), ESTAB_MS(100));
}

static void attempts_are_given_up(void **state)
{
    uint64_t n;

    (void)state;
    with_reconnection();
    ca.attempts = 3;
    p.refuse = ESTAB_E_REFUSED;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    n = ask(a, "x", ESTAB_NEVER, 0);
    until(ESTAB_S(110));
    assert_true(expect_down(a, ESTAB_E_REFUSED).retry_at == ESTAB_NEVER);
    expect_failed(a, n, ESTAB_E_REFUSED, false);
    assert_int_equal(estab_channel_pass(a), ESTAB_E_PIPE);
}

/* The connection breaks with one request sent whole, one marked safe, one in part, one waiting. */
static void nothing_is_sent_twice_unless_marked_safe(void **state)
{
    uint64_t sent, safe, part, waiting;

    (void)state;
    with_reconnection();
    connects();
    sent = ask(a, "sent", ESTAB_NEVER, 0);
    safe = ask(a, "safe", ESTAB_NEVER, ESTAB_CH_SAFE);
    settle();
    (void)expect_request(b, "sent");
    (void)expect_request(b, "safe");
    p.room = 15;
    part = ask(a, "in part", ESTAB_NEVER, 0);
    waiting = ask(a, "waiting", ESTAB_NEVER, 0);
    estab_channel_run(a);
    p.room = PIPE_ROOM;
    estab_channel_free(b);
    b = NULL;
    settle();
    expect_down(a, ESTAB_E_RESET);
    expect_failed(a, sent, ESTAB_E_RESET, true);
    until(p.v.now + ESTAB_MS(100));
    expect(a, ESTAB_CH_UP);
    expect(b, ESTAB_CH_UP);
    reply(b, expect_request(b, "safe"), "1", 0);
    reply(b, expect_request(b, "in part"), "2", 0);
    reply(b, expect_request(b, "waiting"), "3", 0);
    expect_nothing(b);
    settle();
    assert_true(expect(a, ESTAB_CH_REPLY).number == safe);
    assert_true(expect(a, ESTAB_CH_REPLY).number == part);
    assert_true(expect(a, ESTAB_CH_REPLY).number == waiting);
    assert_int_equal(info_of(a).repeated, 1);
}

static void dies_again_while_it_comes_back(void **state)
{
    uint64_t n;

    (void)state;
    with_heartbeats();
    with_reconnection();
    ca.connect_timeout = ESTAB_S(1);
    connects();
    n = ask(a, "safe", ESTAB_S(60), ESTAB_CH_SAFE);
    p.cut = true;
    until(ESTAB_S(130));
    assert_true(expect_down(a, ESTAB_E_TIMEOUT).retry_at != ESTAB_NEVER);
    expect_nothing(a);
    p.cut = false;
    until(ESTAB_S(140));
    expect(a, ESTAB_CH_UP);
    expect(b, ESTAB_CH_UP);
    reply(b, expect_request(b, "safe"), "alive", 0);
    settle();
    assert_true(expect(a, ESTAB_CH_REPLY).number == n);
    expect_nothing(a);
}

static void a_deadline_holds_without_a_connection(void **state)
{
    uint64_t n;

    (void)state;
    with_reconnection();
    p.refuse = ESTAB_E_UNREACH;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    n = ask(a, "x", ESTAB_MS(1234), ESTAB_CH_SAFE);
    until(ESTAB_S(100) + ESTAB_MS(1234));
    expect_down(a, ESTAB_E_UNREACH);
    expect_failed(a, n, ESTAB_E_TIMEOUT, false);
}

/* The reply to what an earlier connection asked must not go to a request of the next. */
static void a_reply_to_a_lost_connection_is_refused(void **state)
{
    uint64_t m;

    (void)state;
    with_reconnection();
    connects();
    (void)ask(b, "of b", ESTAB_NEVER, 0);
    settle();
    m = expect_request(a, "of b");
    estab_channel_free(b);
    b = NULL;
    until(ESTAB_S(101));
    assert_int_equal(estab_channel_reply(a, m, NULL, 0, 0), ESTAB_E_INVAL);
}

/* ---- leaving ---- */

static void closing_waits_for_what_is_due(void **state)
{
    struct estab_iov v = text("late comer");

    (void)state;
    connects();
    (void)ask(a, "last", ESTAB_NEVER, 0);
    estab_channel_close(a);
    assert_int_equal(estab_channel_send(a, &v, 1, 0), ESTAB_E_PIPE);
    settle();
    expect_nothing(a);
    reply(b, expect_request(b, "last"), "wish", 0);
    settle();
    expect_text(a, ESTAB_CH_REPLY, "wish");
    expect_down(a, 0);
    expect_down(b, ESTAB_E_CLOSED);
    assert_false(p.pipe[0].open[0]);
    assert_false(p.pipe[0].lane[1].rst);
}

static void closing_does_not_wait_for_ever(void **state)
{
    uint64_t n;

    (void)state;
    ca.close_timeout = ESTAB_S(3);
    connects();
    n = ask(a, "last", ESTAB_NEVER, 0);
    estab_channel_close(a);
    until(ESTAB_S(103) - 1);
    expect_nothing(a);
    until(ESTAB_S(103));
    expect_down(a, ESTAB_E_CANCELLED);
    expect_failed(a, n, ESTAB_E_CANCELLED, true);
}

/* A request that crosses the server's leaving is not carried out there, and goes to the next
 * connection although nobody marked it safe. */
static void a_server_that_leaves_loses_nothing(void **state)
{
    uint64_t before, crossing;

    (void)state;
    with_reconnection();
    connects();
    before = ask(a, "before", ESTAB_NEVER, 0);
    settle();
    estab_channel_close(b);
    estab_channel_run(b);
    crossing = ask(a, "crossing", ESTAB_NEVER, 0);
    p.pipe[0].lane[0].len = 0; /* the BYE is late */
    estab_channel_run(a);
    raw("\0\0\0\011\7\0\0\0\0\0\0\0\0", 13);
    estab_channel_run(b);
    reply(b, expect_request(b, "before"), "done", 0);
    expect_nothing(b);
    until(ESTAB_S(101));
    assert_true(expect(a, ESTAB_CH_REPLY).number == before);
    expect_down(a, ESTAB_E_CLOSED);
    expect(a, ESTAB_CH_UP);
    expect(b, ESTAB_CH_UP);
    reply(b, expect_request(b, "crossing"), "there", 0);
    settle();
    assert_true(expect(a, ESTAB_CH_REPLY).number == crossing);
    expect_nothing(a);
}

static void refused(void **state)
{
    uint64_t n;

    (void)state;
    connects();
    n = ask(a, "x", ESTAB_NEVER, 0);
    settle();
    assert_int_equal(estab_channel_refuse(b, expect_request(b, "x")), 0);
    settle();
    expect_failed(a, n, ESTAB_E_BUSY, false);
}

/* One that has said all it had to say still hears the replies. */
static void the_peers_end_of_stream(void **state)
{
    (void)state;
    cb.plain = true;
    ca.plain = true;
    connects();
    (void)ask(a, "x", ESTAB_NEVER, 0);
    estab_channel_run(a);
    p.pipe[0].lane[1].fin = true;
    estab_channel_run(b);
    reply(b, expect_request(b, "x"), "y", 0);
    settle();
    expect_text(a, ESTAB_CH_REPLY, "y");
    expect_down(b, ESTAB_E_CLOSED);
}

static void an_end_amid_a_message(void **state)
{
    (void)state;
    connects_raw();
    raw("\0\0\0\022\0", 5);
    p.pipe[0].lane[0].fin = true;
    estab_channel_run(a);
    expect_down(a, ESTAB_E_RESET);
}

/* ---- half-duplex, simplex ---- */

static void the_turn_passes(void **state)
{
    struct estab_iov v = text("out of turn");

    (void)state;
    ca.duplex = cb.duplex = ESTAB_DUPLEX_HALF;
    connects();
    assert_true(info_of(a).turn);
    assert_int_equal(estab_channel_pass(b), ESTAB_E_INVAL);
    assert_int_equal(estab_channel_send(b, &v, 1, 0), 0); /* waits */
    (void)ask(a, "you", ESTAB_NEVER, ESTAB_CH_PASS);
    settle();
    assert_false(info_of(a).turn);
    reply(b, expect_request(b, "you"), "me", ESTAB_CH_PASS);
    expect(b, ESTAB_CH_TURN);
    settle();
    expect_text(a, ESTAB_CH_MESSAGE, "out of turn");
    expect_text(a, ESTAB_CH_REPLY, "me");
    expect(a, ESTAB_CH_TURN);
    assert_int_equal(estab_channel_pass(a), 0);
    assert_int_equal(estab_channel_pass(a), ESTAB_E_INVAL);
    settle();
    expect(b, ESTAB_CH_TURN);
}

static void who_speaks_out_of_turn_is_cut_off(void **state)
{
    (void)state;
    ca.duplex = ESTAB_DUPLEX_HALF;
    connects_raw();
    raw("\0\0\0\012\0\0\0\0\0\0\0\0\0x", 14);
    estab_channel_run(a);
    expect_down(a, ESTAB_E_PROTOCOL);
}

/* A turn that was lost with its connection: who connects has it again. */
static void the_turn_comes_back_with_a_new_connection(void **state)
{
    (void)state;
    with_reconnection();
    ca.duplex = cb.duplex = ESTAB_DUPLEX_HALF;
    connects();
    (void)ask(a, "safe", ESTAB_NEVER, ESTAB_CH_SAFE | ESTAB_CH_PASS);
    settle();
    estab_channel_free(b);
    b = NULL;
    until(ESTAB_S(101));
    expect(b, ESTAB_CH_UP);
    reply(b, expect_request(b, "safe"), "me", ESTAB_CH_PASS);
    settle();
    expect_down(a, ESTAB_E_RESET);
    expect(a, ESTAB_CH_UP);
    expect_text(a, ESTAB_CH_REPLY, "me");
    assert_true(info_of(a).turn);
}

static void one_way_only(void **state)
{
    struct estab_iov v = text("down the line");
    uint64_t n;

    (void)state;
    with_heartbeats();
    ca.duplex = ESTAB_SIMPLEX_OUT;
    cb.duplex = ESTAB_SIMPLEX_IN;
    connects();
    assert_int_equal(estab_channel_send(a, &v, 1, 0), 0);
    assert_int_equal(estab_channel_ask(a, &v, 1, ESTAB_NEVER, 0, &n), ESTAB_E_NOTSUP);
    assert_int_equal(estab_channel_send(b, &v, 1, 0), ESTAB_E_NOTSUP);
    until(ESTAB_S(130));
    expect_text(b, ESTAB_CH_MESSAGE, "down the line");
    expect_nothing(a);
    raw("\0\0\0\012\0\0\0\0\0\0\0\0\0x", 14);
    settle();
    expect_down(a, ESTAB_E_PROTOCOL);
}

static void one_way_only_and_plain(void **state)
{
    struct estab_iov v = text("down the line");

    (void)state;
    ca.plain = cb.plain = true;
    ca.duplex = ESTAB_SIMPLEX_OUT;
    cb.duplex = ESTAB_SIMPLEX_IN;
    connects();
    for (int i = 0; i < 2; i++)
        assert_int_equal(estab_channel_send(a, &v, 1, 0), 0);
    settle();
    expect_text(b, ESTAB_CH_MESSAGE, "down the line");
    expect_text(b, ESTAB_CH_MESSAGE, "down the line");
}

/* ---- blocking ---- */

static void serve(struct pipes *of)
{
    struct estab_channel_event e;

    (void)of;
    accept_one();
    if (!b)
        return;
    estab_channel_run(b);
    while (estab_channel_next(b, &e))
        if (e.kind == ESTAB_CH_REQUEST && e.len != 6) /* "silent" */
            assert_int_equal(
                estab_channel_reply(b, e.number,
                                    &(struct estab_iov){(void *)(uintptr_t)e.text, e.len}, 1, 0),
                0);
    estab_channel_run(b);
}

static void a_call_returns_the_reply_or_that_the_time_is_up(void **state)
{
    char head[3], tail[10];
    struct estab_iov v = text("hello"), silent = text("silent"), to[2] = {{head, 3}, {tail, 10}};
    struct estab_channel_event e;

    (void)state;
    p.idle = serve;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    assert_int_equal(estab_channel_call(a, &v, 1, to, 2, ESTAB_S(1), 0), 5);
    assert_memory_equal(head, "hel", 3);
    assert_memory_equal(tail, "lo", 2);
    assert_int_equal(estab_channel_call(a, &v, 1, to, 1, ESTAB_S(1), 0), 5); /* and 3 of them */
    assert_int_equal(estab_channel_call(a, &silent, 1, to, 2, ESTAB_MS(700), 0), ESTAB_E_TIMEOUT);
    assert_true(p.v.now == ESTAB_S(100) + ESTAB_MS(700));
    assert_int_equal(estab_channel_call(a, &v, 1, to, 2, ESTAB_S(1), 0), 5);
    assert_int_equal(estab_channel_wait(a, ESTAB_S(1), &e), 0);
    assert_int_equal(e.kind, ESTAB_CH_UP);
    assert_int_equal(estab_channel_wait(a, ESTAB_S(1), &e), ESTAB_E_TIMEOUT);
    p.cut = true;
    assert_int_equal(estab_channel_call(a, &v, 1, to, 2, ESTAB_S(2), 0), ESTAB_E_TIMEOUT);
}

static void a_call_waits_for_room(void **state)
{
    char back[8];
    struct estab_iov v = text("hello"), to = {back, sizeof back};

    (void)state;
    p.idle = serve;
    ca.in_flight = 2;
    ca.send_messages = 1;
    assert_int_equal(estab_channel_connect(&a, &p.env, &ca, &p.t, &peer), 0);
    (void)ask(a, "1", ESTAB_MS(50), 0);
    assert_int_equal(estab_channel_call(a, &v, 1, &to, 1, ESTAB_S(1), 0), 5);
    expect(a, ESTAB_CH_UP);
    expect_text(a, ESTAB_CH_REPLY, "1");
}

/* ---- memory ---- */

static void a_conversation(void)
{
    static char big[10000];
    struct estab_iov v = {big, sizeof big};
    struct estab_channel_event e;
    uint64_t n;

    if (estab_channel_connect(&a, &p.env, &ca, &p.t, &peer) != 0)
        return;
    for (int i = 0; i < 20; i++) {
        estab_wire w;

        estab_channel_run(a);
        if (!b && p.n > 0 && pipe_accept(&p, &w) &&
            estab_channel_accept(&b, &p.env, &cb, &p.t, w) != 0)
            pipe_close(&p, w, true);
        if (b)
            estab_channel_run(b);
        (void)estab_channel_ask(a, &v, 1, ESTAB_NEVER, ESTAB_CH_SAFE, &n);
        while (estab_channel_next(a, &e))
            ;
        while (b && estab_channel_next(b, &e))
            if (e.kind == ESTAB_CH_REQUEST)
                (void)estab_channel_reply(b, e.number, &v, 1, 0);
    }
    estab_channel_close(a);
    estab_channel_run(a);
}

static void every_allocation_may_be_refused(void **state)
{
    uint64_t total;

    a_conversation();
    total = p.v.allocs;
    assert_true(total > 50);
    (void)end(state);
    for (uint64_t at = 1; at <= total; at++) {
        (void)prepare(state);
        p.v.fail_at = at;
        a_conversation();
        (void)end(state);
    }
    a = b = NULL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, prepare, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(replies_find_their_requests_in_any_order),
        T(both_sides_ask_at_once),
        T(whatever_the_pieces),
        T(the_octets_on_the_wire),
        T(too_large_to_send_takes_no_memory),
        T(too_large_to_receive_takes_no_memory),
        T(a_length_alone_takes_no_memory),
        T(what_is_no_message),
        T(impossible_settings),
        T(the_late_reply_is_dropped),
        T(a_request_that_never_left_is_not_sent_late),
        T(a_request_that_left_in_part_is_finished),
        T(cancelled),
        T(plain_replies_keep_their_places),
        T(plain_places_are_bounded),
        T(a_full_queue_is_told_and_so_is_room),
        T(octets_are_bounded_too),
        T(requests_in_flight_are_bounded),
        T(a_full_inbox_stops_the_sender),
        T(replies_not_read_stop_the_requests),
        T(a_flood_of_pings_owes_one_pong),
        T(before_it_answers_the_connection),
        T(in_the_length),
        T(in_the_number),
        T(in_the_middle_of_a_message),
        T(between_request_and_reply),
        T(at_once),
        T(while_idle),
        T(heartbeats_of_one_side),
        T(a_slow_message_is_a_sign_of_life),
        T(a_full_inbox_is_not_death),
        T(a_message_that_stands_still),
        T(a_long_sleep_is_not_the_peers_silence),
        T(attempts_back_off),
        T(chance_takes_a_part_off),
        T(attempts_are_given_up),
        T(nothing_is_sent_twice_unless_marked_safe),
        T(dies_again_while_it_comes_back),
        T(a_deadline_holds_without_a_connection),
        T(a_reply_to_a_lost_connection_is_refused),
        T(closing_waits_for_what_is_due),
        T(closing_does_not_wait_for_ever),
        T(a_server_that_leaves_loses_nothing),
        T(refused),
        T(the_peers_end_of_stream),
        T(an_end_amid_a_message),
        T(the_turn_passes),
        T(who_speaks_out_of_turn_is_cut_off),
        T(the_turn_comes_back_with_a_new_connection),
        T(one_way_only),
        T(one_way_only_and_plain),
        T(a_call_returns_the_reply_or_that_the_time_is_up),
        T(a_call_waits_for_room),
        T(every_allocation_may_be_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

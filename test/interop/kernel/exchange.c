/* SPDX-License-Identifier: BSD-2-Clause */
/* exchange.c - connections on which all goes well: bulk, many of them, half-closed, requests. */
#include "scenario.h"

#include <string.h>

enum {
    SHORT = 200,    /* octets each way of a short connection */
    ONE = 32 << 10, /* octets each way of one of two hundred */
    SOME = 1 << 20,
    ROUNDS = 200, /* requests on one connection */
    REQUEST = 300,
    HEAD = 180, /* of a response */
};

/* RFC 7323 and RFC 6691: each knows the other's scale, and both fill the MTU. */
static void assert_negotiated(const struct our_side *s)
{
    uint32_t mss = s->at->mtu - (s->at->v6 ? 60 : 40) - 12;

    assert_true(s->info.ts_ok);
    assert_true(s->info.sack_ok);
    assert_int_equal(s->info.snd_mss, mss);
    assert_int_equal(theirs.info.tcpi_snd_mss, mss);
    assert_int_equal(s->info.snd_wscale, theirs.info.tcpi_rcv_wscale);
    assert_int_equal(s->info.rcv_wscale, theirs.info.tcpi_snd_wscale);
    assert_int_equal(s->info.rcv_wscale, 8); /* up to 15 MiB; >> 7 is too many for 16 bits */
}

/* ---- bulk ---- */

static void print_speed(const char *what, double took, const struct our_side *s)
{
    print_message("             %s: 64 MiB in %.3f s, %.2f Gbit/s, sha256 %.16s...; our timers: %u "
                  "delack, %u sws\n",
                  what, took, BULK * 8.0 / took / 1e9, payload_digest, s->timers[ESTAB_T_DELACK],
                  s->timers[ESTAB_T_SWS]);
}

static void sixty_four_mib_from_the_kernel(void **state)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open("bulk_in", &place, &c);
    double took;

    (void)state;
    s->plan = (struct plan){.in = arrived, .in_len = BULK, .last = true};
    theirs.plan = (struct plan){.out = payload, .out_len = BULK};
    memset(arrived, 0, BULK);
    took = exchange(s, true, 1, 1);
    assert_arrived(BULK);
    assert_negotiated(s);
    print_speed("kernel to estab", took, s);
    assert_closed(s, 1, false);
    assert_clean(s);
    s->passed = true;
}

static void sixty_four_mib_to_the_kernel(void **state)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open("bulk_out", &place, &c);
    double took;

    (void)state;
    s->plan = (struct plan){.out = payload, .out_len = BULK};
    theirs.plan = (struct plan){.in = arrived, .in_len = BULK, .last = true};
    memset(arrived, 0, BULK);
    took = exchange(s, false, 1, 1);
    assert_arrived(BULK);
    assert_negotiated(s);
    print_speed("estab to kernel", took, s);
    assert_closed(s, 1, true);
    assert_clean(s);
    s->passed = true;
}

static void sixty_four_mib_both_ways_at_once(void **state)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open("bulk_echo", &place, &c);
    double took;

    (void)state;
    s->plan = (struct plan){.echo = true};
    theirs.plan = (struct plan){.out = payload, .out_len = BULK, .in = arrived, .in_len = BULK};
    memset(arrived, 0, BULK);
    took = exchange(s, true, 1, 1);
    assert_arrived(BULK);
    print_speed("there and back", took, s);
    assert_closed(s, 1, false);
    assert_clean(s);
    s->passed = true;
}

/* ---- many ---- */

/* The one that opens sends, is sent it back, and closes first. */
static void many(const char *scenario, bool they_open, uint32_t n, uint32_t at_once, size_t len)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open(scenario, &place, &c);
    struct plan opener = {
        .out = payload, .in = arrived, .out_len = len, .in_len = len, .step = len};
    struct plan echo = {.echo = true};
    double took;

    s->plan = they_open ? echo : opener;
    theirs.plan = they_open ? opener : echo;
    memset(arrived, 0, n * len);
    took = exchange(s, they_open, n, at_once);
    assert_arrived(n * len);
    print_message("             %u connections, %u at once, in %.3f s\n", n, at_once, took);
    assert_closed(s, n, !they_open);
    assert_clean(s);
    s->passed = true;
}

static void a_thousand_short_ones_by_the_kernel(void **state)
{
    (void)state;
    many("short_in", true, 1000, 1, SHORT);
}

static void a_thousand_short_ones_by_us(void **state)
{
    (void)state;
    many("short_out", false, 1000, 1, SHORT);
}

static void two_hundred_at_once_by_the_kernel(void **state)
{
    (void)state;
    many("at_once_in", true, 200, 200, ONE);
}

static void two_hundred_at_once_by_us(void **state)
{
    (void)state;
    many("at_once_out", false, 200, 200, ONE);
}

/* ---- half-close ---- */

/* One side is done at once and is still sent SOME octets; each side opens once. */
static void half_close(const char *scenario, bool by_them, bool they_open)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open(scenario, &place, &c);
    struct plan first = {.out = payload, .out_len = SHORT, .in = arrived, .in_len = SOME};
    struct plan second = {
        .out = payload, .out_len = SOME, .in = arrived + SOME, .in_len = SHORT, .last = true};

    second.turn_in = SHORT; /* nothing before the other's last octet */
    second.turn_out = SOME;
    s->plan = by_them ? second : first;
    theirs.plan = by_them ? first : second;
    memset(arrived, 0, SOME + SHORT);
    exchange(s, they_open, 1, 1);
    assert_arrived(SOME);
    assert_memory_equal(arrived + SOME, payload, SHORT);
    assert_closed(s, 1, !by_them);
    assert_int_equal(s->edges[ESTAB_ESTABLISHED][ESTAB_CLOSE_WAIT], by_them);
    assert_int_equal(s->edges[ESTAB_FIN_WAIT_1][ESTAB_FIN_WAIT_2], !by_them);
    assert_clean(s);
    s->passed = true;
}

static void half_close_by_the_kernel_that_opened(void **state)
{
    (void)state;
    half_close("half_close_1", true, true);
}

static void half_close_by_the_kernel_that_accepted(void **state)
{
    (void)state;
    half_close("half_close_2", true, false);
}

static void half_close_by_us_who_opened(void **state)
{
    (void)state;
    half_close("half_close_3", false, false);
}

static void half_close_by_us_who_accepted(void **state)
{
    (void)state;
    half_close("half_close_4", false, true);
}

/* ---- requests and responses ---- */

/* Neither a delayed ACK nor Nagle's algorithm may hold a response up: a few may be delayed where
 * this machine was busy, not one a round. */
static void requests(const char *scenario, bool they_open, size_t head, size_t body,
                     struct plan server_is)
{
    size_t response = HEAD + body;
    struct estab_config c = patient_config();
    struct our_side *s = ours_open(scenario, &place, &c);
    uint64_t delayed = their_counter("netstat", "TcpExt:", "DelayedACKs");
    struct plan client = {.out = payload,
                          .out_len = ROUNDS * REQUEST,
                          .turn_out = REQUEST,
                          .in = arrived,
                          .in_len = ROUNDS * response,
                          .turn_in = response,
                          .first = true};
    struct plan server = {.out = payload,
                          .out_len = ROUNDS * response,
                          .turn_out = response,
                          .in = arrived + client.in_len,
                          .in_len = client.out_len,
                          .turn_in = REQUEST,
                          .head = head,
                          .last = true,
                          .more = server_is.more,
                          .nodelay = server_is.nodelay};
    double took;

    s->plan = they_open ? server : client;
    theirs.plan = they_open ? client : server;
    took = exchange(s, they_open, 1, 1);
    delayed = their_counter("netstat", "TcpExt:", "DelayedACKs") - delayed;
    assert_arrived(client.in_len);
    assert_memory_equal(arrived + client.in_len, payload, client.out_len);
    print_message("             %u of %u + %u + %zu octets in %.3f s; delayed ACKs: %u ours, %u "
                  "the kernel's\n",
                  ROUNDS, REQUEST, HEAD, body, took, s->timers[ESTAB_T_DELACK], (unsigned)delayed);
    assert_true(s->timers[ESTAB_T_DELACK] < ROUNDS / 4);
    assert_true(delayed < ROUNDS / 4);
    assert_int_equal(s->timers[ESTAB_T_SWS], 0);
    assert_closed(s, 1, !they_open);
    assert_clean(s);
    s->passed = true;
}

static size_t small_body(void)
{
    return place.mtu / 2;
}

/* An odd number of full segments, and a small one. */
static size_t large_body(void)
{
    return 3 * place.mtu + place.mtu / 2;
}

static void responses_by_us_in_one_piece(void **state)
{
    (void)state;
    requests("requests_1", true, 0, small_body(), (struct plan){0});
}

static void responses_by_us_head_and_body(void **state)
{
    (void)state;
    requests("requests_2", true, HEAD, large_body(), (struct plan){0});
}

static void responses_by_us_head_held_back(void **state)
{
    (void)state;
    requests("requests_3", true, HEAD, small_body(), (struct plan){.more = true});
}

static void responses_by_us_without_nagle(void **state)
{
    (void)state;
    requests("requests_4", true, HEAD, small_body(), (struct plan){.nodelay = true});
}

static void responses_by_the_kernel_in_one_piece(void **state)
{
    (void)state;
    requests("requests_5", false, 0, small_body(), (struct plan){0});
}

static void responses_by_the_kernel_head_and_body(void **state)
{
    (void)state;
    requests("requests_6", false, HEAD, large_body(), (struct plan){0});
}

static void responses_by_the_kernel_head_and_small_body(void **state)
{
    (void)state;
    requests("requests_7", false, HEAD, small_body(), (struct plan){0});
}

/* RFC 9293 section 3.8.6.3 [SHLD-18]: once a connection is past its first segments, an ACK for
 * every second segment or for delack at the latest, not for each. */
static void our_acks_are_delayed(void **state)
{
    const uint32_t first = 16, more = 64, each = 100;
    struct estab_config c = patient_config();
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t before = 0;
    struct our_side *s;
    struct wire w;

    (void)state;
    c.delack = ESTAB_MS(500);
    s = ours_open("delayed", &place, &c);
    w = wire_open(s, true);
    their_option(w.fd, IPPROTO_TCP, TCP_NODELAY, 1);
    for (uint32_t n = 1; n <= first + more; n++) {
        assert_int_equal(send(w.fd, payload, each, MSG_NOSIGNAL), each);
        UNTIL(s, "what was sent",
              estab_tcp_info(s->stack, w.sock, &i) == 0 && i.bytes_received == n * each);
        if (n == first)
            before = i.segs_out;
    }
    /* and one that was still to be sent for the first */
    assert_true(i.segs_out - before <= 1 + more / 2 + s->timers[ESTAB_T_DELACK]);
    while (i.unread > 0) {
        assert_true(our_next(s, &w, arrived, BULK) > 0);
        assert_int_equal(estab_tcp_info(s->stack, w.sock, &i), 0);
    }
    wire_close(s, &w);
    assert_clean(s);
    s->passed = true;
}

/* ---- TIME-WAIT ---- */

static void our_time_waits_are_counted(void **state)
{
    struct estab_config c = patient_config();
    struct estab_stack_info all = {.size = sizeof all};
    struct estab_tcp_info i = {.size = sizeof i};
    uint32_t shown = 0;
    uint64_t cursor = 0;
    struct our_side *s;
    estab_sock k;

    (void)state;
    c.msl = ESTAB_S(30);
    s = ours_open("time_waits", &place, &c);
    s->plan = (struct plan){.out = payload, .in = arrived, .out_len = SHORT, .in_len = SHORT};
    theirs.plan = (struct plan){.echo = true};
    exchange(s, false, 100, 10);
    UNTIL(s, "every FIN", entered(s, ESTAB_TIME_WAIT) == 100);
    estab_stack_info(s->stack, &all);
    assert_int_equal(all.timewait, 100);
    assert_int_equal(all.conns, 0);
    while (estab_conn_next(s->stack, &cursor, &k)) {
        assert_int_equal(estab_tcp_info(s->stack, k, &i), 0);
        assert_int_equal(i.state, ESTAB_TIME_WAIT);
        assert_int_equal(i.timer, ESTAB_T_2MSL);
        shown++;
    }
    assert_int_equal(shown, 100);
    assert_int_equal(s->edges[ESTAB_TIME_WAIT][ESTAB_CLOSED], 0);
    assert_clean(s);
    s->passed = true;
}

int run_exchanges(void)
{
    static const struct CMUnitTest scenarios[] = {
        SCENARIO(sixty_four_mib_from_the_kernel),
        SCENARIO(sixty_four_mib_to_the_kernel),
        SCENARIO(sixty_four_mib_both_ways_at_once),
        SCENARIO(a_thousand_short_ones_by_the_kernel),
        SCENARIO(a_thousand_short_ones_by_us),
        SCENARIO(two_hundred_at_once_by_the_kernel),
        SCENARIO(two_hundred_at_once_by_us),
        SCENARIO(half_close_by_the_kernel_that_opened),
        SCENARIO(half_close_by_the_kernel_that_accepted),
        SCENARIO(half_close_by_us_who_opened),
        SCENARIO(half_close_by_us_who_accepted),
        SCENARIO(responses_by_us_in_one_piece),
        SCENARIO(responses_by_us_head_and_body),
        SCENARIO(responses_by_us_head_held_back),
        SCENARIO(responses_by_us_without_nagle),
        SCENARIO(responses_by_the_kernel_in_one_piece),
        SCENARIO(responses_by_the_kernel_head_and_body),
        SCENARIO(responses_by_the_kernel_head_and_small_body),
        SCENARIO(our_acks_are_delayed),
        SCENARIO(our_time_waits_are_counted),
    };

    return cmocka_run_group_tests_name("exchanges", scenarios, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ladder_test.c - what a person sees of synthetic trace records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/ladder.h"
#include "wire/rule.h"

#define ISS 4000000000u /* wraps within the test */
#define IRS 1000u

struct fixture {
    struct ladder *ladder;
    FILE *out;
    char *text;
    size_t len;
    estab_time now;
};

static const struct estab_addr local = {{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2}, 80, 0};
static const struct estab_addr peer = {{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}, 5000, 0};

static int setup(void **state)
{
    const struct ladder_style style = {.head = 2, .tail = 1};
    struct fixture *f = calloc(1, sizeof *f);

    f->out = open_memstream(&f->text, &f->len);
    f->ladder = ladder_new(f->out, &style);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ladder_free(f->ladder);
    fclose(f->out);
    free(f->text);
    free(f);
    return 0;
}

static struct estab_trace record(struct fixture *f, enum estab_trace_kind kind)
{
    f->now += ESTAB_MS(1);
    return (struct estab_trace){.at = f->now, .kind = kind, .local = local, .peer = peer};
}

static void segment(struct fixture *f, bool out, uint8_t flags, uint32_t seq, uint32_t ack,
                    uint32_t len, enum rule rule)
{
    struct estab_trace t = record(f, out ? ESTAB_TR_SEG_OUT : ESTAB_TR_SEG_IN);

    t.flags = flags;
    t.seq = seq + (out ? ISS : IRS);
    t.ack = flags & ESTAB_ACK ? ack + (out ? IRS : ISS) : 0;
    t.len = len;
    t.wnd = 500;
    t.rule = (uint16_t)rule;
    ladder_add(f->ladder, &t);
}

static void in(struct fixture *f, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    segment(f, false, flags, seq, ack, len, RULE_NONE);
}

static void out(struct fixture *f, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    segment(f, true, flags, seq, ack, len, RULE_NONE);
}

static void enter(struct fixture *f, enum estab_tcp_state from, enum estab_tcp_state to,
                  enum estab_cause by)
{
    struct estab_trace t = record(f, ESTAB_TR_STATE);

    t.from = from;
    t.to = to;
    t.cause = by;
    ladder_add(f->ladder, &t);
}

static void open_connection(struct fixture *f)
{
    in(f, ESTAB_SYN, 0, 0, 0);
    enter(f, ESTAB_LISTEN, ESTAB_SYN_RECEIVED, ESTAB_BY_SEGMENT);
    out(f, ESTAB_SYN | ESTAB_ACK, 0, 1, 0);
    in(f, ESTAB_ACK, 1, 1, 0);
    enter(f, ESTAB_SYN_RECEIVED, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT);
}

static const char *written(struct fixture *f)
{
    ladder_flush(f->ladder);
    return f->text;
}

static void has(struct fixture *f, const char *text)
{
    if (!strstr(written(f), text))
        fail_msg("'%s' is not in:\n%s", text, f->text);
}

static void lacks(struct fixture *f, const char *text)
{
    if (strstr(written(f), text))
        fail_msg("'%s' is in:\n%s", text, f->text);
}

static void draws_an_opening(void **state)
{
    struct fixture *f = *state;
    const char *expected =
        "\n"
        "#1       ms    estab 10.0.0.2:80                               peer 10.0.0.1:5000\n"
        "      0.000  |<--------------------- SYN SEQ 0 WND 500 -----------------------|\n"
        "      1.000  + LISTEN -> SYN-RECEIVED: rcv SYN, snd SYN,ACK                   |\n"
        "      2.000  |----------------- SYN,ACK SEQ 0 ACK 1 WND 500 ----------------->|\n"
        "      3.000  |<------------------ ACK SEQ 1 ACK 1 WND 500 --------------------|\n"
        "      4.000  + SYN-RECEIVED -> ESTABLISHED: rcv ACK of SYN                    |\n";

    open_connection(f);
    assert_string_equal(written(f), expected);
}

static void numbers_are_relative_across_the_wrap(void **state)
{
    struct fixture *f = *state;

    open_connection(f);
    out(f, ESTAB_ACK, 500000000, 1, 10);
    has(f, "ACK SEQ 500000000 ACK 1 LEN 10 WND 500");
}

static void windows_are_scaled_except_in_a_syn(void **state)
{
    struct fixture *f = *state;
    struct estab_trace t = record(f, ESTAB_TR_SEG_IN);

    in(f, ESTAB_SYN, 0, 0, 0);
    t.flags = ESTAB_ACK;
    t.seq = IRS + 1;
    t.wnd = 502;
    t.wscale = 7;
    ladder_add(f->ladder, &t);
    has(f, "SYN SEQ 0 WND 500");
    has(f, "WND 64256");
}

static void a_short_run_is_not_folded(void **state)
{
    struct fixture *f = *state;

    open_connection(f);
    out(f, ESTAB_ACK, 1, 1, 100);
    out(f, ESTAB_ACK, 101, 1, 100);
    out(f, ESTAB_ACK, 201, 1, 100);
    out(f, ESTAB_ACK, 301, 1, 100);
    has(f, "SEQ 201 ACK 1 LEN 100");
    has(f, "SEQ 301 ACK 1 LEN 100");
    lacks(f, "data segments");
}

static void a_long_run_becomes_one_line(void **state)
{
    struct fixture *f = *state;
    uint32_t i;

    open_connection(f);
    for (i = 0; i < 2000; i++) {
        out(f, ESTAB_ACK, 1 + 1000 * i, 1, 1000);
        if (i % 2)
            in(f, ESTAB_ACK, 1, 1 + 1000 * i, 0);
    }
    has(f, "SEQ 1 ACK 1 LEN 1000");
    has(f, "SEQ 1001 ACK 1 LEN 1000");
    lacks(f, "SEQ 2001 ");
    has(f, "      7.000  : -> 1,998 data segments, 1.9 MiB; <- 999 ACKs; 3.00 s");
    has(f, "ACK SEQ 1 ACK 1999001 WND 500");
    assert_true(f->len < 2000);
}

static void what_is_sent_again_is_marked_with_its_rule(void **state)
{
    struct fixture *f = *state;
    struct ladder_count count;

    open_connection(f);
    out(f, ESTAB_ACK, 1, 1, 100);
    out(f, ESTAB_ACK, 101, 1, 100);
    segment(f, true, ESTAB_ACK, 1, 1, 100, RULE_FAST_RETRANSMIT);
    has(f, "again: fast-retransmit\n");
    ladder_counts(f->ladder, &count);
    assert_int_equal(count.again, 1);
}

static void the_peers_repeats_and_gaps_are_marked(void **state)
{
    struct fixture *f = *state;

    open_connection(f);
    in(f, ESTAB_ACK, 1, 1, 100);
    in(f, ESTAB_ACK, 201, 1, 100);
    has(f, "| ahead\n");
    in(f, ESTAB_ACK, 1, 1, 100);
    has(f, "| again\n");
}

static void a_connection_ends_in_closed(void **state)
{
    struct fixture *f = *state;
    struct ladder_count count;

    open_connection(f);
    enter(f, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
    out(f, ESTAB_FIN | ESTAB_ACK, 1, 1, 0);
    in(f, ESTAB_ACK, 1, 2, 0);
    enter(f, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2, ESTAB_BY_SEGMENT);
    in(f, ESTAB_FIN | ESTAB_ACK, 1, 2, 0);
    enter(f, ESTAB_FIN_WAIT_2, ESTAB_TIME_WAIT, ESTAB_BY_SEGMENT);
    ladder_counts(f->ladder, &count);
    assert_int_equal(count.begun, 1);
    assert_int_equal(count.closed, 0);
    enter(f, ESTAB_TIME_WAIT, ESTAB_CLOSED, ESTAB_BY_TIMEOUT);
    ladder_counts(f->ladder, &count);
    assert_int_equal(count.closed, 1);
    has(f, "+ ESTABLISHED -> FIN-WAIT-1: CLOSE, snd FIN");
    has(f, "+ TIME-WAIT -> CLOSED: ");
    open_connection(f);
    has(f, "\n#2 ");
}

static void the_rst_of_an_abort_belongs_to_its_connection(void **state)
{
    struct fixture *f = *state;

    open_connection(f);
    enter(f, ESTAB_ESTABLISHED, ESTAB_CLOSED, ESTAB_BY_USER);
    out(f, ESTAB_RST | ESTAB_ACK, 1, 1, 0);
    has(f, "RST,ACK SEQ 1 ACK 1");
    lacks(f, "no connection");
}

static void many_connections_can_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct estab_trace t;
    struct ladder_count count;
    uint16_t i;

    for (i = 1; i <= 500; i++) {
        t = record(f, ESTAB_TR_STATE);
        t.peer.port = i % 100 + 1;
        t.to = ESTAB_SYN_SENT;
        ladder_add(f->ladder, &t);
        t.from = ESTAB_SYN_SENT;
        t.to = ESTAB_CLOSED;
        ladder_add(f->ladder, &t);
    }
    ladder_counts(f->ladder, &count);
    assert_int_equal(count.begun, 500);
    assert_int_equal(count.closed, 500);
}

static void a_refused_syn_is_no_connection(void **state)
{
    struct fixture *f = *state;
    struct ladder_count count;
    struct estab_trace t;

    in(f, ESTAB_SYN, 0, 0, 0);
    t = record(f, ESTAB_TR_DROP);
    t.rule = RULE_BACKLOG_FULL;
    ladder_add(f->ladder, &t);
    has(f, "+ refused [backlog-full: RFC 9293");
    in(f, ESTAB_SYN, 0, 0, 0);
    out(f, ESTAB_RST | ESTAB_ACK, 0, 1, 0);
    has(f, "RST,ACK SEQ ");
    ladder_counts(f->ladder, &count);
    assert_int_equal(count.begun, 0);
}

static void connections_that_alternate_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct estab_trace t = record(f, ESTAB_TR_SEG_IN);

    in(f, ESTAB_SYN, 0, 0, 0);
    t.peer.port = 5001;
    t.flags = ESTAB_SYN;
    ladder_add(f->ladder, &t);
    out(f, ESTAB_SYN | ESTAB_ACK, 0, 1, 0);
    has(f, "#1       ms    estab 10.0.0.2:80");
    has(f, "peer 10.0.0.1:5001");
    assert_non_null(strstr(strstr(f->text, "#2"), "#1"));
}

static void listeners_and_strays_get_a_line(void **state)
{
    struct fixture *f = *state;
    struct estab_trace t = record(f, ESTAB_TR_STATE);

    memset(&t.peer, 0, sizeof t.peer);
    memset(t.local.ip, 0, sizeof t.local.ip);
    t.from = ESTAB_CLOSED;
    t.to = ESTAB_LISTEN;
    ladder_add(f->ladder, &t);
    has(f, ":80: CLOSED -> LISTEN\n");
    in(f, ESTAB_ACK, 7, 7, 0);
    has(f, "no connection: 10.0.0.2:80 <- 10.0.0.1:5000  ACK\n");
}

static void timers_that_matter_are_shown(void **state)
{
    struct fixture *f = *state;
    struct estab_trace t;

    open_connection(f);
    t = record(f, ESTAB_TR_TIMER);
    t.timer = ESTAB_T_DELACK;
    ladder_add(f->ladder, &t);
    lacks(f, "timer");
    t.timer = ESTAB_T_REXMT;
    ladder_add(f->ladder, &t);
    has(f, "timer has passed");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(draws_an_opening),
        CASE(numbers_are_relative_across_the_wrap),
        CASE(windows_are_scaled_except_in_a_syn),
        CASE(a_short_run_is_not_folded),
        CASE(a_long_run_becomes_one_line),
        CASE(what_is_sent_again_is_marked_with_its_rule),
        CASE(the_peers_repeats_and_gaps_are_marked),
        CASE(a_connection_ends_in_closed),
        CASE(the_rst_of_an_abort_belongs_to_its_connection),
        CASE(many_connections_can_come_and_go),
        CASE(a_refused_syn_is_no_connection),
        CASE(connections_that_alternate_are_told_apart),
        CASE(listeners_and_strays_get_a_line),
        CASE(timers_that_matter_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

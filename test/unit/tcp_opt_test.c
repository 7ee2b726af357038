/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_opt_test.c - TCP options as octets. */
#include "wire/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Parses from an allocation that ends where the options end. */
static enum rule parse(struct tcp_opts *o, const uint8_t *p, size_t len)
{
    uint8_t *exact = calloc(1, len + 1);
    enum rule r;

    memcpy(exact + 1, p, len);
    r = tcp_opts_parse(o, exact + 1, len);
    free(exact);
    return r;
}
#define OPTS(o, ...) parse(o, (const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__})

static void no_options_are_no_options(void **state)
{
    struct tcp_opts o;

    (void)state;
    assert_int_equal(parse(&o, (const uint8_t *)"", 0), RULE_NONE);
    assert_int_equal(o.has, 0);
    assert_int_equal(o.nsack, 0);
}

static void the_options_of_a_linux_syn(void **state)
{
    struct tcp_opts o;

    (void)state;
    assert_int_equal(OPTS(&o, 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7),
                     RULE_NONE);
    assert_int_equal(o.has, OPT_MSS | OPT_SACK_OK | OPT_TS | OPT_WS);
    assert_int_equal(o.mss, 1460);
    assert_int_equal(o.ts_val, 0x01020304);
    assert_int_equal(o.ts_ecr, 0);
    assert_int_equal(o.ws, 7);
    assert_int_equal(o.ws_raw, 7);
}

/* [MUST-64] */
static void timestamps_wherever_they_stand(void **state)
{
    static const uint8_t layouts[][12] = {
        {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1},
        {8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}, {8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0},
        {1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        struct tcp_opts o;

        assert_int_equal(parse(&o, layouts[i], 12), RULE_NONE);
        assert_int_equal(o.has, OPT_TS);
        assert_int_equal(o.ts_val, 0x01020304);
        assert_int_equal(o.ts_ecr, 0x05060708);
        assert_int_equal(o.nsack, 0);
    }
}

static void sack_blocks_with_timestamps(void **state)
{
    uint8_t opts[12 + 4 + 24] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 26};
    struct tcp_opts o;
    uint8_t i;

    (void)state;
    for (i = 0; i < 6; i++)
        be32_put(opts + 16 + 4 * i, 100u + i);
    assert_int_equal(parse(&o, opts, sizeof opts), RULE_NONE);
    assert_int_equal(o.has, OPT_TS | OPT_SACK);
    assert_int_equal(o.nsack, 3);
    for (i = 0; i < 3; i++) {
        assert_int_equal(o.sack[i].lo.n, 100u + 2u * i);
        assert_int_equal(o.sack[i].hi.n, 101u + 2u * i);
    }
}

/* [MUST-6] */
static void unknown_kinds_are_skipped(void **state)
{
    struct tcp_opts o;

    (void)state;
    assert_int_equal(OPTS(&o, 30, 4, 9, 9, 254, 6, 1, 2, 3, 4, 77, 2, 2, 4, 2, 0x18), RULE_NONE);
    assert_int_equal(o.has, OPT_MSS);
    assert_int_equal(o.mss, 536);
}

static void nothing_behind_the_end_of_the_list_is_read(void **state)
{
    struct tcp_opts o;

    (void)state;
    assert_int_equal(OPTS(&o, 0, 2, 4, 1), RULE_NONE);
    assert_int_equal(o.has, 0);
    assert_int_equal(OPTS(&o, 1, 0, 99, 0), RULE_NONE);
}

static void t1_length_0_or_1(void **state)
{
    struct tcp_opts o;
    unsigned kind;

    (void)state;
    for (kind = 2; kind < 256; kind++) {
        assert_int_equal(OPTS(&o, (uint8_t)kind, 0, 0, 0), RULE_TCP_OPTION);
        assert_int_equal(OPTS(&o, (uint8_t)kind, 1, 0, 0), RULE_TCP_OPTION);
        assert_int_equal(OPTS(&o, 1, 1, (uint8_t)kind, 0), RULE_TCP_OPTION);
    }
}

static void t1_length_beyond_the_header(void **state)
{
    struct tcp_opts o;
    unsigned kind, len;

    (void)state;
    for (kind = 2; kind < 256; kind++)
        for (len = 5; len < 256; len++)
            assert_int_equal(OPTS(&o, (uint8_t)kind, (uint8_t)len, 0, 0), RULE_TCP_OPTION);
}

static void t1_the_header_ends_on_a_kind(void **state)
{
    struct tcp_opts o;
    unsigned kind;

    (void)state;
    for (kind = 0; kind < 256; kind++)
        assert_int_equal(OPTS(&o, 1, 1, 1, (uint8_t)kind), kind < 2 ? RULE_NONE : RULE_TCP_OPTION);
}

static void t1_40_nops(void **state)
{
    uint8_t nops[40];
    struct tcp_opts o;

    (void)state;
    memset(nops, OPT_KIND_NOP, sizeof nops);
    assert_int_equal(parse(&o, nops, sizeof nops), RULE_NONE);
    assert_int_equal(o.has, 0);
}

static void t1_known_kinds_of_a_wrong_length(void **state)
{
    static const struct {
        uint8_t kind, len;
    } right[] = {{2, 4}, {3, 3}, {4, 2}, {5, 10}, {5, 18}, {5, 26}, {5, 34}, {8, 10}, {28, 4}};
    uint8_t opts[40] = {0};
    size_t i, j;
    bool is_right;

    (void)state;
    for (i = 0; i < sizeof right / sizeof right[0]; i++) {
        opts[0] = right[i].kind;
        for (opts[1] = 2; opts[1] <= 40; opts[1]++) {
            struct tcp_opts o;

            for (is_right = false, j = 0; j < sizeof right / sizeof right[0]; j++)
                is_right |= right[j].kind == opts[0] && right[j].len == opts[1];
            assert_int_equal(parse(&o, opts, sizeof opts), is_right ? RULE_NONE : RULE_TCP_OPTION);
        }
    }
}

static void t1_of_duplicates_the_first_counts(void **state)
{
    struct tcp_opts o;

    (void)state;
    assert_int_equal(OPTS(&o, 2, 4, 5, 0xb4, 2, 4, 0, 1, 3, 3, 7, 3, 3, 9, 4, 2, 4, 2, 0, 0),
                     RULE_NONE);
    assert_int_equal(o.mss, 1460);
    assert_int_equal(o.ws, 7);
    assert_int_equal(OPTS(&o, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4),
                     RULE_NONE);
    assert_int_equal(o.ts_val, 1);
    assert_int_equal(o.ts_ecr, 2);
    assert_int_equal(OPTS(&o, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 18, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0,
                          5, 0, 0, 0, 6),
                     RULE_NONE);
    assert_int_equal(o.nsack, 1);
    assert_int_equal(o.sack[0].lo.n, 1);
}

static void t2_any_mss_is_reported_as_received(void **state)
{
    static const uint16_t values[] = {0, 1, 8, 48, 536, 65535};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct tcp_opts o;

        assert_int_equal(OPTS(&o, 2, 4, (uint8_t)(values[i] >> 8), (uint8_t)values[i]), RULE_NONE);
        assert_int_equal(o.has, OPT_MSS);
        assert_int_equal(o.mss, values[i]);
    }
}

static void t3_window_scale_is_at_most_14(void **state)
{
    struct tcp_opts o;
    unsigned shift;

    (void)state;
    for (shift = 0; shift < 256; shift++) {
        assert_int_equal(OPTS(&o, 1, 3, 3, (uint8_t)shift), RULE_NONE);
        assert_int_equal(o.ws, shift < 14 ? shift : 14);
        assert_int_equal(o.ws_raw, shift);
    }
}

/* Whether a block makes sense is the scoreboard's to say. */
static void k1_sack_blocks_are_reported_as_received(void **state)
{
    struct tcp_opts o;

    (void)state;
    assert_int_equal(
        OPTS(&o, 1, 1, 5, 18, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0),
        RULE_NONE);
    assert_int_equal(o.nsack, 2);
    assert_int_equal(o.sack[0].lo.n, 9);
    assert_int_equal(o.sack[0].hi.n, 1);
    assert_int_equal(o.sack[1].lo.n, 0xffffffff);
    assert_int_equal(o.sack[1].hi.n, 0x7f000000);
}

/* [MUST-68] */
static void options_come_out_in_the_order_asked_for(void **state)
{
    static const uint8_t kinds[] = {OPT_KIND_MSS, OPT_KIND_SACK_OK, OPT_KIND_TS,
                                    OPT_KIND_NOP, OPT_KIND_WS,      OPT_KIND_EOL};
    static const uint8_t linux_syn[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                        0, 1, 0,    0,    0, 2, 1, 3,  3, 7};
    struct tcp_opts o = {.mss = 1460, .ts_val = 1, .ts_ecr = 2, .ws = 7};
    uint8_t out[40];

    (void)state;
    assert_int_equal(tcp_opts_emit(&o, kinds, out), sizeof linux_syn);
    assert_memory_equal(out, linux_syn, sizeof linux_syn);
}

/* [MUST-69] */
static void options_are_padded_to_a_word_with_end_of_list(void **state)
{
    static const uint8_t kinds[] = {OPT_KIND_WS, OPT_KIND_SACK_OK, OPT_KIND_EOL};
    static const uint8_t padded[] = {3, 3, 0, 4, 2, 0, 0, 0};
    struct tcp_opts o = {0};
    uint8_t out[40];

    (void)state;
    memset(out, 0xff, sizeof out);
    assert_int_equal(tcp_opts_emit(&o, kinds, out), sizeof padded);
    assert_memory_equal(out, padded, sizeof padded);
    assert_int_equal(out[8], 0xff);
    assert_int_equal(tcp_opts_emit(&o, kinds + 2, out), 0);
}

static void as_many_sack_blocks_as_fit(void **state)
{
    static const uint8_t alone[] = {OPT_KIND_NOP, OPT_KIND_NOP, OPT_KIND_SACK, OPT_KIND_EOL};
    static const uint8_t with_ts[] = {OPT_KIND_NOP, OPT_KIND_NOP,  OPT_KIND_TS, OPT_KIND_NOP,
                                      OPT_KIND_NOP, OPT_KIND_SACK, OPT_KIND_EOL};
    struct tcp_opts o = {.nsack = 4}, back;
    uint8_t out[40];
    uint8_t i;

    (void)state;
    for (i = 0; i < 4; i++)
        o.sack[i] = (struct range){seq_of(10u * i), seq_of(10u * i + 5)};
    assert_int_equal(tcp_opts_emit(&o, alone, out), 36);
    assert_int_equal(parse(&back, out, 36), RULE_NONE);
    assert_int_equal(back.nsack, 4);
    assert_int_equal(back.sack[3].lo.n, 30);
    assert_int_equal(tcp_opts_emit(&o, with_ts, out), 40);
    assert_int_equal(parse(&back, out, 40), RULE_NONE);
    assert_int_equal(back.nsack, 3);
    o.nsack = 0;
    assert_int_equal(tcp_opts_emit(&o, alone, out), 4);
    assert_int_equal(parse(&back, out, 4), RULE_NONE);
    assert_int_equal(back.has, 0);
}

/* RFC 5482: advice; it gives way where there is no room for it. */
static void a_user_timeout_where_it_fits(void **state)
{
    static const uint8_t behind[] = {OPT_KIND_NOP, OPT_KIND_NOP, OPT_KIND_SACK, OPT_KIND_UTO,
                                     OPT_KIND_EOL};
    struct tcp_opts o = {.uto = 0x8005, .nsack = 4}, back;
    uint8_t out[40];

    (void)state;
    for (uint8_t i = 0; i < 4; i++)
        o.sack[i] = (struct range){seq_of(10u * i), seq_of(10u * i + 5)};
    assert_int_equal(tcp_opts_emit(&o, behind, out), 40);
    assert_int_equal(parse(&back, out, 40), RULE_NONE);
    assert_int_equal(back.nsack, 4);
    assert_int_equal(back.uto, 0x8005);
    assert_int_equal(tcp_opts_emit(&o, (const uint8_t[]){8, 8, 8, 8, 28, 0}, out), 40);
    assert_int_equal(parse(&back, out, 40), RULE_NONE);
    assert_int_equal(back.has, OPT_TS);
    assert_int_equal(OPTS(&back, 28, 4, 0x80, 5, 28, 4, 0, 9), RULE_NONE);
    assert_int_equal(back.uto, 0x8005);
}

/* RFC 7413 section 4.1.1, and the experimental option that it replaced. */
static void fast_open_cookies(void **state)
{
    uint8_t opts[20] = {34};
    struct tcp_opts o;

    (void)state;
    assert_int_equal(OPTS(&o, 34, 2), RULE_NONE);
    assert_int_equal(o.has, OPT_FO);
    assert_int_equal(o.fo_len, 0);
    assert_false(o.fo_exp);
    assert_int_equal(OPTS(&o, 254, 4, 0xf9, 0x89), RULE_NONE);
    assert_int_equal(o.has, OPT_FO);
    assert_int_equal(o.fo_len, 0);
    assert_true(o.fo_exp);
    assert_int_equal(OPTS(&o, 254, 10, 0xf9, 0x89, 1, 2, 3, 4, 5, 6), RULE_NONE);
    assert_int_equal(o.has, OPT_FO);
    assert_int_equal(o.fo_len, 6);
    assert_memory_equal(o.fo, ((uint8_t[]){1, 2, 3, 4, 5, 6}), 6);
    for (uint8_t len = 2; len <= 20; len++) {
        bool possible = len == 2 || (len >= 6 && len <= 18 && len % 2 == 0);

        opts[1] = len;
        assert_int_equal(parse(&o, opts, len), RULE_NONE);
        assert_int_equal(o.has, possible ? OPT_FO : 0);
        assert_int_equal(o.fo_len, possible ? len - 2 : 0);
    }
    assert_int_equal(OPTS(&o, 254, 3, 0xf9), RULE_NONE);
    assert_int_equal(OPTS(&o, 254, 8, 0xf9, 0x88, 1, 2, 3, 4), RULE_NONE);
    assert_int_equal(o.has, 0);
    assert_int_equal(OPTS(&o, 34, 6, 1, 2, 3, 4, 254, 4, 0xf9, 0x89), RULE_NONE);
    assert_int_equal(o.fo_len, 4);
    assert_false(o.fo_exp);
}

static void fast_open_cookies_come_out(void **state)
{
    static const uint8_t kinds[] = {OPT_KIND_FO, OPT_KIND_NOP, OPT_KIND_NOP, OPT_KIND_EXP,
                                    OPT_KIND_EOL};
    static const uint8_t both[] = {34, 6, 1, 2, 3, 4, 1, 1, 254, 8, 0xf9, 0x89, 1, 2, 3, 4};
    struct tcp_opts o = {.fo_len = 4, .fo = {1, 2, 3, 4}};
    uint8_t out[40];

    (void)state;
    assert_int_equal(tcp_opts_emit(&o, kinds, out), sizeof both);
    assert_memory_equal(out, both, sizeof both);
    o.fo_len = 0;
    assert_int_equal(tcp_opts_emit(&o, kinds + 3, out), 4);
    assert_memory_equal(out, both + 8, 1);
    assert_int_equal(out[1], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_options_are_no_options),
        cmocka_unit_test(the_options_of_a_linux_syn),
        cmocka_unit_test(timestamps_wherever_they_stand),
        cmocka_unit_test(sack_blocks_with_timestamps),
        cmocka_unit_test(unknown_kinds_are_skipped),
        cmocka_unit_test(nothing_behind_the_end_of_the_list_is_read),
        cmocka_unit_test(t1_length_0_or_1),
        cmocka_unit_test(t1_length_beyond_the_header),
        cmocka_unit_test(t1_the_header_ends_on_a_kind),
        cmocka_unit_test(t1_40_nops),
        cmocka_unit_test(t1_known_kinds_of_a_wrong_length),
        cmocka_unit_test(t1_of_duplicates_the_first_counts),
        cmocka_unit_test(t2_any_mss_is_reported_as_received),
        cmocka_unit_test(t3_window_scale_is_at_most_14),
        cmocka_unit_test(k1_sack_blocks_are_reported_as_received),
        cmocka_unit_test(options_come_out_in_the_order_asked_for),
        cmocka_unit_test(options_are_padded_to_a_word_with_end_of_list),
        cmocka_unit_test(as_many_sack_blocks_as_fit),
        cmocka_unit_test(a_user_timeout_where_it_fits),
        cmocka_unit_test(fast_open_cookies),
        cmocka_unit_test(fast_open_cookies_come_out),
    };

    return cmocka_run_group_tests_name("tcp options", tests, NULL, NULL);
}

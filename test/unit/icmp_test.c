/* SPDX-License-Identifier: BSD-2-Clause */
/* icmp_test.c - ICMP and ICMPv6: headers, what errors mean, what they quote. */
#include "wire/icmp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_header_is_taken_apart_and_put_together(void **state)
{
    static const uint8_t echo[] = {8, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 'x'};
    struct rd r = rd_of(echo, sizeof echo);
    uint8_t out[ICMP_HDR_LEN];
    struct icmp m;

    (void)state;
    assert_int_equal(icmp_parse(&m, &r), RULE_NONE);
    assert_int_equal(m.type, ICMP4_ECHO);
    assert_int_equal(m.code, 0);
    assert_int_equal(m.rest, 0x12345678);
    assert_int_equal(rd_left(&r), 1);
    icmp_emit(&m, out);
    assert_memory_equal(out, echo, sizeof out);
}

static void p6_a_message_below_8_octets_is_dropped(void **state)
{
    size_t len;

    (void)state;
    for (len = 0; len < ICMP_HDR_LEN; len++) {
        uint8_t *exact = calloc(1, len + 1);
        struct rd r = rd_of(exact + 1, len);
        struct icmp m;

        assert_int_equal(icmp_parse(&m, &r), RULE_ICMP_MALFORMED);
        free(exact);
    }
}

static enum icmp_meaning meaning(uint8_t version, uint8_t type, uint8_t code)
{
    struct icmp m = {.type = type, .code = code, .rest = 0xabcd0578};
    uint32_t mtu = 1;
    enum icmp_meaning means = icmp_meaning(version, &m, &mtu);

    /* 1400 in the low half: ICMP has no room for more */
    if (means == ICMP_MEANS_TOO_BIG)
        assert_int_equal(mtu, version == 4 ? 0x0578 : 0xabcd0578);
    else
        assert_int_equal(mtu, 1);
    return means;
}

/* RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1. */
static void every_code_of_icmp_unreachable_has_a_meaning(void **state)
{
    static const enum icmp_meaning means[16] = {
        ICMP_MEANS_NET_UNREACH,  ICMP_MEANS_HOST_UNREACH, ICMP_MEANS_PROTO_UNREACH,
        ICMP_MEANS_PORT_UNREACH, ICMP_MEANS_TOO_BIG,      ICMP_MEANS_NET_UNREACH,
        ICMP_MEANS_NET_UNREACH,  ICMP_MEANS_HOST_UNREACH, ICMP_MEANS_HOST_UNREACH,
        ICMP_MEANS_PROHIBITED,   ICMP_MEANS_PROHIBITED,   ICMP_MEANS_NET_UNREACH,
        ICMP_MEANS_HOST_UNREACH, ICMP_MEANS_PROHIBITED,   ICMP_MEANS_PROHIBITED,
        ICMP_MEANS_PROHIBITED,
    };
    unsigned code;

    (void)state;
    for (code = 0; code < 256; code++)
        assert_int_equal(meaning(4, ICMP4_UNREACH, (uint8_t)code),
                         code < 16 ? means[code] : ICMP_MEANS_UNKNOWN);
}

/* RFC 4443 section 3.1. */
static void every_code_of_icmp6_unreachable_has_a_meaning(void **state)
{
    static const enum icmp_meaning means[8] = {
        ICMP_MEANS_NET_UNREACH,  ICMP_MEANS_PROHIBITED,   ICMP_MEANS_HOST_UNREACH,
        ICMP_MEANS_HOST_UNREACH, ICMP_MEANS_PORT_UNREACH, ICMP_MEANS_PROHIBITED,
        ICMP_MEANS_PROHIBITED,   ICMP_MEANS_NET_UNREACH,
    };
    unsigned code;

    (void)state;
    for (code = 0; code < 256; code++)
        assert_int_equal(meaning(6, ICMP6_UNREACH, (uint8_t)code),
                         code < 8 ? means[code] : ICMP_MEANS_UNKNOWN);
}

static void other_errors_have_a_meaning(void **state)
{
    (void)state;
    assert_int_equal(meaning(4, ICMP4_TIME_EXCEEDED, 0), ICMP_MEANS_TIME_EXCEEDED);
    assert_int_equal(meaning(4, ICMP4_TIME_EXCEEDED, 1), ICMP_MEANS_TIME_EXCEEDED);
    assert_int_equal(meaning(4, ICMP4_TIME_EXCEEDED, 2), ICMP_MEANS_UNKNOWN);
    assert_int_equal(meaning(4, ICMP4_PARAM_PROBLEM, 0), ICMP_MEANS_PARAM_PROBLEM);
    assert_int_equal(meaning(4, ICMP4_PARAM_PROBLEM, 2), ICMP_MEANS_PARAM_PROBLEM);
    assert_int_equal(meaning(4, ICMP4_PARAM_PROBLEM, 3), ICMP_MEANS_UNKNOWN);
    assert_int_equal(meaning(4, ICMP4_REDIRECT, 3), ICMP_MEANS_REDIRECT);
    assert_int_equal(meaning(4, ICMP4_REDIRECT, 4), ICMP_MEANS_NOTHING);
    assert_int_equal(meaning(6, ICMP6_REDIRECT, 0), ICMP_MEANS_REDIRECT);
    assert_int_equal(meaning(6, ICMP6_REDIRECT, 1), ICMP_MEANS_NOTHING);
    assert_int_equal(meaning(6, ICMP6_TIME_EXCEEDED, 2), ICMP_MEANS_UNKNOWN);
    assert_int_equal(meaning(6, ICMP6_TOO_BIG, 0), ICMP_MEANS_TOO_BIG);
    assert_int_equal(meaning(6, ICMP6_TOO_BIG, 9), ICMP_MEANS_TOO_BIG);
    assert_int_equal(meaning(6, ICMP6_TIME_EXCEEDED, 0), ICMP_MEANS_TIME_EXCEEDED);
    assert_int_equal(meaning(6, ICMP6_TIME_EXCEEDED, 1), ICMP_MEANS_TIME_EXCEEDED);
    assert_int_equal(meaning(6, ICMP6_PARAM_PROBLEM, 0), ICMP_MEANS_PARAM_PROBLEM);
    assert_int_equal(meaning(6, ICMP6_PARAM_PROBLEM, 1), ICMP_MEANS_PROTO_UNREACH);
    assert_int_equal(meaning(6, ICMP6_PARAM_PROBLEM, 2), ICMP_MEANS_PARAM_PROBLEM);
}

static void what_is_no_error_means_nothing(void **state)
{
    unsigned type;

    (void)state;
    for (type = 0; type < 256; type++) {
        if (type != ICMP4_UNREACH && type != ICMP4_REDIRECT && type != ICMP4_TIME_EXCEEDED &&
            type != ICMP4_PARAM_PROBLEM)
            assert_int_equal(meaning(4, (uint8_t)type, 0), ICMP_MEANS_NOTHING);
        if ((type < ICMP6_UNREACH || type > ICMP6_PARAM_PROBLEM) && type != ICMP6_REDIRECT)
            assert_int_equal(meaning(6, (uint8_t)type, 0),
                             type < 128 ? ICMP_MEANS_UNKNOWN : ICMP_MEANS_NOTHING);
    }
}

/* The beginning of a segment from 192.0.2.1 port 1000 to 192.0.2.2 port 80, SEQ 0x01020304. */
static const uint8_t quoted4[] = {
    0x45, 0,    0x05, 0xdc, 0,   0, 0x40, 0, 1, 6, 0xba, 0xad, /* checksum from before TTL 1 */
    192,  0,    2,    1,    192, 0, 2,    2,                   /* addresses */
    0x03, 0xe8, 0,    80,   1,   2, 3,    4,                   /* ports, SEQ */
};
static const uint8_t quoted6[] = {
    0x60, 0,    0,   0,    0x05, 0xb4, 6, 1,                         /* 1460 octets of TCP */
    0x20, 1,    0xd, 0xb8, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* source */
    0x20, 1,    0xd, 0xb8, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, /* destination */
    0x03, 0xe8, 0,   80,   1,    2,    3, 4,                         /* ports, SEQ */
};

static enum rule parse_quote(struct icmp_quote *q, uint8_t version, const uint8_t *in, size_t len)
{
    uint8_t *exact = malloc(len + 1);
    enum rule r;

    memcpy(exact + 1, in, len);
    r = icmp_quote_parse(q, version, exact + 1, len);
    free(exact);
    return r;
}

static void assert_tells_whose(const struct icmp_quote *q)
{
    assert_int_equal(q->sport, 1000);
    assert_int_equal(q->dport, 80);
    assert_int_equal(q->ip.proto, IPPROTO_TCP_);
    assert_int_equal(q->ip.src[15], 1);
    assert_int_equal(q->ip.dst[15], 2);
}

static void a_quote_cut_off_behind_8_octets_tells_ports_and_seq(void **state)
{
    struct icmp_quote q;

    (void)state;
    assert_int_equal(parse_quote(&q, 4, quoted4, sizeof quoted4), RULE_NONE);
    assert_tells_whose(&q);
    assert_true(q.has_seq);
    assert_int_equal(q.seq, 0x01020304);
    assert_true(ip_is4(q.ip.src));
    assert_int_equal(parse_quote(&q, 6, quoted6, sizeof quoted6), RULE_NONE);
    assert_tells_whose(&q);
    assert_true(q.has_seq);
    assert_int_equal(q.seq, 0x01020304);
}

static void b7_a_quote_cut_off_within_8_octets(void **state)
{
    struct icmp_quote q;
    size_t cut;

    (void)state;
    for (cut = 1; cut <= 4; cut++) {
        assert_int_equal(parse_quote(&q, 4, quoted4, sizeof quoted4 - cut), RULE_NONE);
        assert_tells_whose(&q);
        assert_false(q.has_seq);
        assert_int_equal(parse_quote(&q, 6, quoted6, sizeof quoted6 - cut), RULE_NONE);
        assert_tells_whose(&q);
        assert_false(q.has_seq);
    }
}

static void b7_a_quote_without_ports_is_malformed(void **state)
{
    struct icmp_quote q;
    size_t len;

    (void)state;
    for (len = 0; len < IP4_HDR_LEN + 4; len++)
        assert_int_equal(parse_quote(&q, 4, quoted4, len), RULE_ICMP_MALFORMED);
    for (len = 0; len < IP6_HDR_LEN + 4; len++)
        assert_int_equal(parse_quote(&q, 6, quoted6, len), RULE_ICMP_MALFORMED);
}

static void b7_a_quote_of_the_other_version_is_malformed(void **state)
{
    struct icmp_quote q;

    (void)state;
    assert_int_equal(parse_quote(&q, 6, quoted4, sizeof quoted4), RULE_ICMP_MALFORMED);
    assert_int_equal(parse_quote(&q, 4, quoted6, sizeof quoted6), RULE_ICMP_MALFORMED);
}

/* What follows the quoted packet (RFC 4884's extensions, padding) is none of its octets. */
static void a_quote_does_not_reach_beyond_the_packet_it_quotes(void **state)
{
    uint8_t in[sizeof quoted4];
    struct icmp_quote q;

    (void)state;
    memcpy(in, quoted4, sizeof in);
    be16_put(in + 2, IP4_HDR_LEN + 7);
    assert_int_equal(parse_quote(&q, 4, in, sizeof in), RULE_NONE);
    assert_false(q.has_seq);
    be16_put(in + 2, IP4_HDR_LEN + 3);
    assert_int_equal(parse_quote(&q, 4, in, sizeof in), RULE_ICMP_MALFORMED);
    be16_put(in + 2, IP4_HDR_LEN - 1);
    assert_int_equal(parse_quote(&q, 4, in, sizeof in), RULE_ICMP_MALFORMED);
}

static void a_quote_of_a_later_fragment_is_malformed(void **state)
{
    uint8_t in[sizeof quoted4];
    struct icmp_quote q;

    (void)state;
    memcpy(in, quoted4, sizeof in);
    be16_put(in + 6, 1);
    assert_int_equal(parse_quote(&q, 4, in, sizeof in), RULE_ICMP_MALFORMED);
    be16_put(in + 6, 0x2000);
    assert_int_equal(parse_quote(&q, 4, in, sizeof in), RULE_NONE);
}

static void a_quote_of_udp_has_ports_and_no_seq(void **state)
{
    uint8_t in[sizeof quoted4];
    struct icmp_quote q;

    (void)state;
    memcpy(in, quoted4, sizeof in);
    in[9] = IPPROTO_UDP_;
    assert_int_equal(parse_quote(&q, 4, in, sizeof in), RULE_NONE);
    assert_int_equal(q.sport, 1000);
    assert_int_equal(q.dport, 80);
    assert_false(q.has_seq);
}

static void a_quote_of_another_protocol_has_no_ports(void **state)
{
    uint8_t in[sizeof quoted4];
    struct icmp_quote q;

    (void)state;
    memcpy(in, quoted4, sizeof in);
    in[9] = IPPROTO_ICMP4;
    assert_int_equal(parse_quote(&q, 4, in, IP4_HDR_LEN), RULE_NONE);
    assert_int_equal(q.sport, 0);
    assert_int_equal(q.dport, 0);
    assert_false(q.has_seq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_taken_apart_and_put_together),
        cmocka_unit_test(p6_a_message_below_8_octets_is_dropped),
        cmocka_unit_test(every_code_of_icmp_unreachable_has_a_meaning),
        cmocka_unit_test(every_code_of_icmp6_unreachable_has_a_meaning),
        cmocka_unit_test(other_errors_have_a_meaning),
        cmocka_unit_test(what_is_no_error_means_nothing),
        cmocka_unit_test(a_quote_cut_off_behind_8_octets_tells_ports_and_seq),
        cmocka_unit_test(b7_a_quote_cut_off_within_8_octets),
        cmocka_unit_test(b7_a_quote_without_ports_is_malformed),
        cmocka_unit_test(b7_a_quote_of_the_other_version_is_malformed),
        cmocka_unit_test(a_quote_does_not_reach_beyond_the_packet_it_quotes),
        cmocka_unit_test(a_quote_of_a_later_fragment_is_malformed),
        cmocka_unit_test(a_quote_of_udp_has_ports_and_no_seq),
        cmocka_unit_test(a_quote_of_another_protocol_has_no_ports),
    };

    return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}

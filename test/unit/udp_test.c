/* SPDX-License-Identifier: BSD-2-Clause */
/* udp_test.c - UDP headers. */
#include "wire/udp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The rule for a datagram of `len` octets that says its length is `said`. */
static enum rule parse_said(uint16_t said, size_t len, struct udp_hdr *h)
{
    static const uint8_t dns[UDP_HDR_LEN] = {0x30, 0x39, 0, 53, 0, 0, 0xbe, 0xef};
    uint8_t *exact = calloc(1, len + 1), hdr[UDP_HDR_LEN];
    struct rd r = rd_of(exact + 1, len);
    enum rule rule;

    memcpy(hdr, dns, sizeof hdr);
    be16_put(hdr + 4, said);
    memcpy(exact + 1, hdr, len < sizeof hdr ? len : sizeof hdr);
    rule = udp_parse(h, &r, (uint32_t)len);
    free(exact);
    return rule;
}

static void a_header_is_taken_apart(void **state)
{
    struct udp_hdr h;

    (void)state;
    assert_int_equal(parse_said(12, 12, &h), RULE_NONE);
    assert_int_equal(h.sport, 12345);
    assert_int_equal(h.dport, 53);
    assert_int_equal(h.len, 12);
    assert_int_equal(h.csum, 0xbeef);
}

static void what_is_emitted_is_what_was_parsed(void **state)
{
    static const uint8_t hdr[UDP_HDR_LEN] = {0x12, 0x34, 0x56, 0x78, 0, 8, 0x9a, 0xbc};
    struct rd r = rd_of(hdr, sizeof hdr);
    uint8_t out[UDP_HDR_LEN];
    struct udp_hdr h;

    (void)state;
    assert_int_equal(udp_parse(&h, &r, sizeof hdr), RULE_NONE);
    udp_emit(&h, out);
    assert_memory_equal(out, hdr, sizeof hdr);
}

static void a_datagram_may_be_empty_or_end_before_its_packet(void **state)
{
    struct udp_hdr h;

    (void)state;
    assert_int_equal(parse_said(8, 8, &h), RULE_NONE);
    assert_int_equal(parse_said(8, 40, &h), RULE_NONE);
    assert_int_equal(h.len, 8);
}

static void p1_a_length_beyond_the_packet_is_dropped(void **state)
{
    struct udp_hdr h;

    (void)state;
    assert_int_equal(parse_said(9, 8, &h), RULE_UDP_MALFORMED);
    assert_int_equal(parse_said(0xffff, 40, &h), RULE_UDP_MALFORMED);
}

static void p1_a_length_below_the_header_is_dropped(void **state)
{
    struct udp_hdr h;
    uint16_t said;

    (void)state;
    for (said = 0; said < UDP_HDR_LEN; said++)
        assert_int_equal(parse_said(said, 40, &h), RULE_UDP_MALFORMED);
}

static void p1_a_runt_is_dropped(void **state)
{
    struct udp_hdr h;
    size_t len;

    (void)state;
    for (len = 0; len < UDP_HDR_LEN; len++)
        assert_int_equal(parse_said((uint16_t)len, len, &h), RULE_UDP_MALFORMED);
}

/* Whether a datagram may do without is for those to say who know the IP version. */
static void p9_a_zero_checksum_is_reported_as_received(void **state)
{
    static const uint8_t hdr[UDP_HDR_LEN] = {0, 1, 0, 2, 0, 8, 0, 0};
    struct rd r = rd_of(hdr, sizeof hdr);
    struct udp_hdr h;

    (void)state;
    assert_int_equal(udp_parse(&h, &r, sizeof hdr), RULE_NONE);
    assert_int_equal(h.csum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_taken_apart),
        cmocka_unit_test(what_is_emitted_is_what_was_parsed),
        cmocka_unit_test(a_datagram_may_be_empty_or_end_before_its_packet),
        cmocka_unit_test(p1_a_length_beyond_the_packet_is_dropped),
        cmocka_unit_test(p1_a_length_below_the_header_is_dropped),
        cmocka_unit_test(p1_a_runt_is_dropped),
        cmocka_unit_test(p9_a_zero_checksum_is_reported_as_received),
    };

    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}

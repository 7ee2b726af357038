/* SPDX-License-Identifier: BSD-2-Clause */
/* arp_test.c - ARP messages. */
#include "wire/arp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t request[ARP_LEN] = {
    0, 1, 8, 0, 6, 4, 0,   1,       /* Ethernet, IPv4, request */
    2, 0, 0, 0, 0, 1, 192, 0, 2, 1, /* sender */
    0, 0, 0, 0, 0, 0, 192, 0, 2, 2, /* target */
};

/* The rule for the request with one octet changed, or cut to len octets. */
static enum rule parse_changed(size_t at, uint8_t to, size_t len)
{
    uint8_t *exact = malloc(ARP_LEN + 1);
    struct arp a;
    struct rd r;
    enum rule rule;

    memcpy(exact + 1 + ARP_LEN - len, request, len);
    if (at < len)
        exact[1 + ARP_LEN - len + at] = to;
    r = rd_of(exact + 1 + ARP_LEN - len, len);
    rule = arp_parse(&a, &r);
    free(exact);
    return rule;
}

static void a_request_is_taken_apart(void **state)
{
    struct rd r = rd_of(request, sizeof request);
    struct arp a;

    (void)state;
    assert_int_equal(arp_parse(&a, &r), RULE_NONE);
    assert_int_equal(a.op, ARP_REQUEST);
    assert_memory_equal(a.sha, request + 8, 6);
    assert_memory_equal(a.spa, request + 14, 4);
    assert_memory_equal(a.tha, request + 18, 6);
    assert_memory_equal(a.tpa, request + 24, 4);
}

static void what_is_emitted_is_what_was_parsed(void **state)
{
    struct rd r = rd_of(request, sizeof request);
    uint8_t out[ARP_LEN];
    struct arp a;

    (void)state;
    arp_parse(&a, &r);
    arp_emit(&a, out);
    assert_memory_equal(out, request, ARP_LEN);
    a.op = ARP_REPLY;
    arp_emit(&a, out);
    assert_int_equal(be16_at(out + 6), ARP_REPLY);
}

static void link_padding_is_left_alone(void **state)
{
    uint8_t padded[46] = {0};
    struct rd r = rd_of(padded, sizeof padded);
    struct arp a;

    (void)state;
    memcpy(padded, request, ARP_LEN);
    assert_int_equal(arp_parse(&a, &r), RULE_NONE);
    assert_int_equal(rd_left(&r), sizeof padded - ARP_LEN);
}

static void p7_wrong_types_and_lengths_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(parse_changed(0, 0, ARP_LEN), RULE_NONE);
    assert_int_equal(parse_changed(1, 6, ARP_LEN), RULE_ARP_MALFORMED);
    assert_int_equal(parse_changed(2, 0x86, ARP_LEN), RULE_ARP_MALFORMED);
    assert_int_equal(parse_changed(4, 0, ARP_LEN), RULE_ARP_MALFORMED);
    assert_int_equal(parse_changed(4, 255, ARP_LEN), RULE_ARP_MALFORMED);
    assert_int_equal(parse_changed(5, 0, ARP_LEN), RULE_ARP_MALFORMED);
    assert_int_equal(parse_changed(5, 16, ARP_LEN), RULE_ARP_MALFORMED);
}

static void neither_request_nor_reply_is_dropped(void **state)
{
    unsigned op;

    (void)state;
    for (op = 0; op < 256; op++)
        assert_int_equal(parse_changed(7, (uint8_t)op, ARP_LEN),
                         op == ARP_REQUEST || op == ARP_REPLY ? RULE_NONE : RULE_ARP_MALFORMED);
}

static void p1_short_messages_are_dropped(void **state)
{
    size_t len;

    (void)state;
    for (len = 0; len < ARP_LEN; len++)
        assert_int_equal(parse_changed(ARP_LEN, 0, len), RULE_ARP_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(what_is_emitted_is_what_was_parsed),
        cmocka_unit_test(link_padding_is_left_alone),
        cmocka_unit_test(p7_wrong_types_and_lengths_are_dropped),
        cmocka_unit_test(neither_request_nor_reply_is_dropped),
        cmocka_unit_test(p1_short_messages_are_dropped),
    };

    return cmocka_run_group_tests_name("arp", tests, NULL, NULL);
}

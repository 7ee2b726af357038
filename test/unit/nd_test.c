/* SPDX-License-Identifier: BSD-2-Clause */
/* nd_test.c - neighbour discovery messages. */
#include "wire/icmp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A message behind its ICMP header, under construction. */
struct body {
    struct icmp m;
    uint8_t octets[1024];
    size_t len;
};

static void append(struct body *b, const uint8_t *octets, size_t len)
{
    memcpy(b->octets + b->len, octets, len);
    b->len += len;
}
#define ADD(b, ...) append(b, (const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__})

static const uint8_t neighbour[16] = {0xfe, 0x80, [15] = 7};
static const uint8_t lladdr[6] = {2, 0, 0, 0, 0, 9};

static struct body solicitation(void)
{
    struct body b = {.m = {.type = ICMP6_NEIGHBOUR_SOLICIT}};

    append(&b, neighbour, 16);
    return b;
}

static struct body router_advert(void)
{
    /* hop limit 64, no flags, lifetime 1800 s */
    struct body b = {.m = {.type = ICMP6_ROUTER_ADVERT, .rest = 64u << 24 | 1800}};

    ADD(&b, 0, 0, 0x75, 0x30, 0, 0, 3, 0xe8);
    return b;
}

static void add_prefix(struct body *b, uint8_t len, uint8_t flags, uint32_t valid,
                       uint32_t preferred, uint8_t third)
{
    uint8_t opt[32] = {3, 4, len, flags, [16] = 0x20, 1, third, [31] = 0};

    be32_put(opt + 4, valid);
    be32_put(opt + 8, preferred);
    append(b, opt, sizeof opt);
}

/* Parses from an allocation that ends where the message ends. */
static enum rule parse(struct nd *n, const struct body *b)
{
    uint8_t *exact = malloc(b->len + 1);
    enum rule rule;
    struct rd r;

    memcpy(exact + 1, b->octets, b->len);
    r = rd_of(exact + 1, b->len);
    rule = nd_parse(n, &b->m, &r);
    free(exact);
    return rule;
}

static void a_solicitation_is_taken_apart(void **state)
{
    struct body b = solicitation();
    struct nd n;

    (void)state;
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_memory_equal(n.target, neighbour, 16);
    assert_false(n.has_lladdr);
    ADD(&b, 1, 1, 2, 0, 0, 0, 0, 9);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_true(n.has_lladdr);
    assert_memory_equal(n.lladdr, lladdr, 6);
}

static void an_advertisement_is_taken_apart(void **state)
{
    struct body b = solicitation();
    struct nd n;

    (void)state;
    b.m.type = ICMP6_NEIGHBOUR_ADVERT;
    b.m.rest = 0xa0000000;
    ADD(&b, 2, 1, 2, 0, 0, 0, 0, 9);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_memory_equal(n.target, neighbour, 16);
    assert_true(n.router && !n.solicited && n.override);
    assert_true(n.has_lladdr);
    b.m.rest = 0x40000000;
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_true(!n.router && n.solicited && !n.override);
}

/* A source's address says nothing about the target of an advertisement, and the other way round. */
static void the_link_layer_address_of_the_other_side_is_ignored(void **state)
{
    struct body ns = solicitation(), na = solicitation();
    struct nd n;

    (void)state;
    ADD(&ns, 2, 1, 2, 0, 0, 0, 0, 9);
    assert_int_equal(parse(&n, &ns), RULE_NONE);
    assert_false(n.has_lladdr);
    na.m.type = ICMP6_NEIGHBOUR_ADVERT;
    ADD(&na, 1, 1, 2, 0, 0, 0, 0, 9);
    assert_int_equal(parse(&n, &na), RULE_NONE);
    assert_false(n.has_lladdr);
}

static void a_link_layer_address_of_another_length_is_ignored(void **state)
{
    struct body b = solicitation();
    struct nd n;

    (void)state;
    ADD(&b, 1, 2, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_false(n.has_lladdr);
}

static void a_router_advertisement_is_taken_apart(void **state)
{
    struct body b = router_advert();
    struct nd n;

    (void)state;
    ADD(&b, 1, 1, 2, 0, 0, 0, 0, 9);
    ADD(&b, 5, 1, 0, 0, 0, 0, 0x05, 0xdc);
    add_prefix(&b, 64, 0xc0, 86400, 14400, 0xd);
    add_prefix(&b, 48, 0x80, 600, 600, 0xe);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_int_equal(n.ra_hop_limit, 64);
    assert_int_equal(n.ra_lifetime, 1800);
    assert_int_equal(n.ra_mtu, 1500);
    assert_true(n.has_lladdr);
    assert_memory_equal(n.lladdr, lladdr, 6);
    assert_int_equal(n.ra_nprefix, 2);
    assert_int_equal(n.ra_prefix[0].len, 64);
    assert_int_equal(n.ra_prefix[0].prefix[2], 0xd);
    assert_true(n.ra_prefix[0].on_link && n.ra_prefix[0].autonomous);
    assert_int_equal(n.ra_prefix[0].valid, 86400);
    assert_int_equal(n.ra_prefix[1].len, 48);
    assert_true(n.ra_prefix[1].on_link && !n.ra_prefix[1].autonomous);
}

static void more_prefixes_than_there_is_room_for(void **state)
{
    struct body b = router_advert();
    struct nd n;
    uint8_t i;

    (void)state;
    for (i = 0; i < 20; i++)
        add_prefix(&b, 64, 0xc0, 600, 600, i);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_int_equal(n.ra_nprefix, 4);
    assert_int_equal(n.ra_prefix[3].prefix[2], 3);
}

static void p5_option_of_length_0(void **state)
{
    static const uint8_t kinds[] = {1, 2, 3, 5, 25, 200};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof kinds; i++) {
        struct body ns = solicitation(), ra = router_advert();
        struct nd n;

        ADD(&ns, kinds[i], 0, 0, 0, 0, 0, 0, 0);
        ADD(&ra, kinds[i], 0, 0, 0, 0, 0, 0, 0);
        assert_int_equal(parse(&n, &ns), RULE_ND_MALFORMED);
        assert_int_equal(parse(&n, &ra), RULE_ND_MALFORMED);
    }
}

static void p5_option_beyond_the_message(void **state)
{
    struct body b = router_advert();
    struct nd n;
    size_t len;

    (void)state;
    add_prefix(&b, 64, 0xc0, 600, 600, 1);
    for (len = 9; len < 8 + 32; len++) {
        b.len = len;
        assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
    }
    b.len = 8;
    assert_int_equal(parse(&n, &b), RULE_NONE);
    b.len = 40;
    b.octets[9] = 255;
    assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
}

static void p5_prefix_length_above_128_is_ignored(void **state)
{
    struct body b = router_advert();
    struct nd n;

    (void)state;
    add_prefix(&b, 129, 0xc0, 600, 600, 1);
    add_prefix(&b, 255, 0xc0, 600, 600, 2);
    add_prefix(&b, 128, 0xc0, 600, 600, 3);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_int_equal(n.ra_nprefix, 1);
    assert_int_equal(n.ra_prefix[0].prefix[2], 3);
}

static void p5_prefix_option_of_another_length_is_ignored(void **state)
{
    struct body b = router_advert();
    struct nd n;

    (void)state;
    ADD(&b, 3, 1, 64, 0xc0, 0, 0, 0, 0);
    ADD(&b, 5, 2, 0, 0, 0, 0, 5, 0xdc, 0, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_int_equal(n.ra_nprefix, 0);
    assert_int_equal(n.ra_mtu, 0);
}

/* RDNSS holds addresses of 16 octets behind 8: an even length is impossible, and not read. */
static void p5_rdnss_of_impossible_length_is_skipped(void **state)
{
    struct body b = router_advert();
    struct nd n;

    (void)state;
    ADD(&b, 25, 2, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8);
    ADD(&b, 25, 1, 0, 0, 0, 0, 0, 9);
    ADD(&b, 5, 1, 0, 0, 0, 0, 5, 0);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_int_equal(n.ra_mtu, 1280);
}

/* RFC 4861 section 6.3.4. */
static void a_link_local_prefix_is_ignored(void **state)
{
    struct body b = router_advert();
    struct nd n;

    (void)state;
    add_prefix(&b, 64, 0xc0, 600, 600, 1);
    memcpy(b.octets + 8 + 16, neighbour, 16);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_int_equal(n.ra_nprefix, 0);
}

/* RFC 4862 section 5.5.3 c. */
static void a_prefix_preferred_longer_than_valid_makes_no_address(void **state)
{
    struct body b = router_advert();
    struct nd n;

    (void)state;
    add_prefix(&b, 64, 0xc0, 600, 601, 1);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_true(n.ra_prefix[0].on_link && !n.ra_prefix[0].autonomous);
}

static void a_multicast_target_is_malformed(void **state)
{
    struct body b = solicitation();
    struct nd n;

    (void)state;
    b.octets[0] = 0xff;
    assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
    b.m.type = ICMP6_NEIGHBOUR_ADVERT;
    assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
}

static void short_messages_are_malformed(void **state)
{
    static const struct {
        uint8_t type;
        size_t least;
    } cases[] = {
        {ICMP6_ROUTER_ADVERT, 8}, {ICMP6_NEIGHBOUR_SOLICIT, 16}, {ICMP6_NEIGHBOUR_ADVERT, 16}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct body b = {.m = {.type = cases[i].type}};
        struct nd n;

        for (b.len = 0; b.len < cases[i].least; b.len++)
            assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
        assert_int_equal(parse(&n, &b), RULE_NONE);
    }
}

static void a_code_other_than_0_is_malformed(void **state)
{
    struct body b = solicitation();
    struct nd n;

    (void)state;
    b.m.code = 1;
    assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
}

/* Redirects are no business of these tables (RFC 4861 section 8). [RFC4861-6.1.2-1, RFC4861-7.1-1]
 */
static void other_messages_are_malformed(void **state)
{
    struct body b = solicitation();
    struct nd n;
    unsigned type;

    (void)state;
    for (type = 0; type < 256; type++) {
        b.m.type = (uint8_t)type;
        if (type < ICMP6_ROUTER_SOLICIT || type > ICMP6_NEIGHBOUR_ADVERT)
            assert_int_equal(parse(&n, &b), RULE_ND_MALFORMED);
    }
}

static void of_two_link_layer_addresses_the_first_counts(void **state)
{
    struct body b = solicitation();
    struct nd n;

    (void)state;
    ADD(&b, 1, 1, 2, 0, 0, 0, 0, 9, 1, 1, 2, 0, 0, 0, 0, 10);
    assert_int_equal(parse(&n, &b), RULE_NONE);
    assert_memory_equal(n.lladdr, lladdr, 6);
}

static void what_is_emitted_is_parsed_to_the_same(void **state)
{
    static const uint8_t types[] = {ICMP6_ROUTER_SOLICIT, ICMP6_NEIGHBOUR_SOLICIT,
                                    ICMP6_NEIGHBOUR_ADVERT};
    size_t i;
    int with;

    (void)state;
    for (i = 0; i < sizeof types; i++) {
        for (with = 0; with < 2; with++) {
            struct nd n = {.has_lladdr = with}, back;
            uint8_t out[ND_MAX_LEN];
            struct icmp m;
            struct rd r;
            size_t len;

            if (types[i] != ICMP6_ROUTER_SOLICIT)
                memcpy(n.target, neighbour, 16);
            if (types[i] == ICMP6_NEIGHBOUR_ADVERT)
                n.solicited = n.override = true;
            if (with)
                memcpy(n.lladdr, lladdr, 6);
            len = nd_emit(&n, types[i], out);
            assert_int_equal(len, (types[i] == ICMP6_ROUTER_SOLICIT ? 8 : 24) + 8 * with);
            r = rd_of(out, len);
            assert_int_equal(icmp_parse(&m, &r), RULE_NONE);
            assert_int_equal(m.type, types[i]);
            assert_int_equal(nd_parse(&back, &m, &r), RULE_NONE);
            assert_memory_equal(&back.target, &n.target, 16);
            assert_int_equal(back.has_lladdr, n.has_lladdr);
            assert_memory_equal(back.lladdr, n.lladdr, 6);
            assert_int_equal(back.router, n.router);
            assert_int_equal(back.solicited, n.solicited);
            assert_int_equal(back.override, n.override);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solicitation_is_taken_apart),
        cmocka_unit_test(an_advertisement_is_taken_apart),
        cmocka_unit_test(the_link_layer_address_of_the_other_side_is_ignored),
        cmocka_unit_test(a_link_layer_address_of_another_length_is_ignored),
        cmocka_unit_test(a_router_advertisement_is_taken_apart),
        cmocka_unit_test(more_prefixes_than_there_is_room_for),
        cmocka_unit_test(p5_option_of_length_0),
        cmocka_unit_test(p5_option_beyond_the_message),
        cmocka_unit_test(p5_prefix_length_above_128_is_ignored),
        cmocka_unit_test(p5_prefix_option_of_another_length_is_ignored),
        cmocka_unit_test(p5_rdnss_of_impossible_length_is_skipped),
        cmocka_unit_test(a_link_local_prefix_is_ignored),
        cmocka_unit_test(a_prefix_preferred_longer_than_valid_makes_no_address),
        cmocka_unit_test(a_multicast_target_is_malformed),
        cmocka_unit_test(short_messages_are_malformed),
        cmocka_unit_test(a_code_other_than_0_is_malformed),
        cmocka_unit_test(other_messages_are_malformed),
        cmocka_unit_test(of_two_link_layer_addresses_the_first_counts),
        cmocka_unit_test(what_is_emitted_is_parsed_to_the_same),
    };

    return cmocka_run_group_tests_name("nd", tests, NULL, NULL);
}

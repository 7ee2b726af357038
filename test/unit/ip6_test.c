/* SPDX-License-Identifier: BSD-2-Clause */
/* ip6_test.c - IPv6 headers and chains of extension headers. */
#include "wire/ip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define OFF_SRC  8
#define OFF_DST  24
#define TCP_NEXT IPPROTO_TCP_

/* A packet from 2001:db8::1 to 2001:db8::2 under construction. */
struct packet {
    uint8_t octets[4096];
    size_t len; /* what the frame holds of it */
};

static void append(struct packet *p, const uint8_t *octets, size_t len)
{
    if (octets)
        memcpy(p->octets + p->len, octets, len);
    p->len += len;
    be16_put(p->octets + 4, (uint16_t)(p->len - IP6_HDR_LEN));
}

static struct packet packet_of(uint8_t next)
{
    static const uint8_t hdr[IP6_HDR_LEN] = {
        0x60, 0x2a, 0xbc, 0xde,     0,    0, 0,   64,   0x20,
        1,    0xd,  0xb8, [23] = 1, 0x20, 1, 0xd, 0xb8, [39] = 2};
    struct packet p = {.len = sizeof hdr};

    memcpy(p.octets, hdr, sizeof hdr);
    p.octets[6] = next;
    return p;
}
#define EXT(p, ...) append(p, (const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__})

static void make_multicast(struct packet *p)
{
    p->octets[OFF_DST] = 0xff;
    p->octets[OFF_DST + 1] = 2;
}

/* Parses from an allocation that ends where the packet ends. */
static enum rule parse(struct ip_hdr *h, const struct packet *p)
{
    uint8_t *exact = malloc(p->len + 1);
    enum rule r;

    memcpy(exact + 1, p->octets, p->len);
    r = ip6_parse(h, exact + 1, p->len, p->len);
    free(exact);
    return r;
}

static void assert_parses(const struct packet *p, uint8_t proto, uint16_t hdr_len)
{
    struct ip_hdr h;

    assert_int_equal(parse(&h, p), RULE_NONE);
    assert_int_equal(h.proto, proto);
    assert_int_equal(h.hdr_len, hdr_len);
    assert_int_equal(h.payload_len, p->len - hdr_len);
    assert_int_equal(h.problem_code, 0xff);
    assert_int_equal(p->octets[h.problem_at], proto); /* the octet that named it */
}

static void assert_refused(const struct packet *p, enum rule why, uint8_t code, uint16_t at)
{
    struct ip_hdr h;

    assert_int_equal(parse(&h, p), why);
    assert_int_equal(h.problem_code, code);
    if (code == 0xff)
        return;
    assert_int_equal(h.problem_at, at);
    assert_memory_equal(h.src, p->octets + OFF_SRC, 16);
    assert_memory_equal(h.dst, p->octets + OFF_DST, 16);
}

static void assert_dropped(const struct packet *p, enum rule why)
{
    assert_refused(p, why, 0xff, 0);
}

static void a_header_is_taken_apart(void **state)
{
    struct packet p = packet_of(TCP_NEXT);
    struct ip_hdr h;

    (void)state;
    append(&p, NULL, 100);
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_memory_equal(h.src, p.octets + OFF_SRC, 16);
    assert_memory_equal(h.dst, p.octets + OFF_DST, 16);
    assert_int_equal(h.version, 6);
    assert_int_equal(h.proto, IPPROTO_TCP_);
    assert_int_equal(h.hop_limit, 64);
    assert_int_equal(h.tos, 0x02);
    assert_int_equal(h.flow, 0xabcde);
    assert_false(h.has_frag);
    assert_int_equal(h.hdr_len, 40);
    assert_int_equal(h.payload_len, 100);
    assert_int_equal(h.problem_code, 0xff);
}

static void what_is_emitted_is_what_was_parsed(void **state)
{
    struct packet p = packet_of(TCP_NEXT);
    uint8_t out[IP6_HDR_LEN];
    struct ip_hdr h;

    (void)state;
    append(&p, NULL, 100);
    parse(&h, &p);
    ip6_emit(&h, out);
    assert_memory_equal(out, p.octets, IP6_HDR_LEN);
    ip_resize(out, 65535);
    h.payload_len = 65535;
    ip6_emit(&h, p.octets);
    assert_memory_equal(out, p.octets, IP6_HDR_LEN);
}

static void p1_runts_are_dropped(void **state)
{
    struct packet p = packet_of(TCP_NEXT);

    (void)state;
    for (p.len = 0; p.len < IP6_HDR_LEN; p.len++)
        assert_dropped(&p, RULE_RUNT);
}

static void p1_version_is_not_6(void **state)
{
    uint8_t version;

    (void)state;
    for (version = 0; version < 16; version++) {
        struct packet p = packet_of(TCP_NEXT);
        struct ip_hdr h;

        p.octets[0] = (uint8_t)(version << 4);
        assert_int_equal(parse(&h, &p), version == 6 ? RULE_NONE : RULE_IP_VERSION);
    }
}

static void p1_link_padding_is_trimmed(void **state)
{
    struct packet p = packet_of(TCP_NEXT);
    struct ip_hdr h;

    (void)state;
    append(&p, NULL, 5);
    p.len += 17;
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_int_equal(h.payload_len, 5);
}

static void p5_payload_length_beyond_the_frame(void **state)
{
    struct packet p = packet_of(TCP_NEXT);

    (void)state;
    append(&p, NULL, 20);
    for (p.len = IP6_HDR_LEN; p.len < IP6_HDR_LEN + 20; p.len++)
        assert_dropped(&p, RULE_IP_LENGTH);
}

/* An extension header may not reach into what is padding of the link. */
static void p5_extension_beyond_the_payload_length(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);

    (void)state;
    EXT(&p, TCP_NEXT, 1, 1, 12, 0, 0, 0, 0);
    p.len += 8;
    assert_dropped(&p, RULE_IP6_EXT);
}

static void extension_headers_are_walked_over(void **state)
{
    struct packet p = packet_of(IPPROTO_HOPOPTS_);

    (void)state;
    EXT(&p, IPPROTO_DSTOPTS_, 0, 1, 4, 0, 0, 0, 0);
    EXT(&p, IPPROTO_ROUTING_, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    EXT(&p, IPPROTO_DSTOPTS_, 0, 3, 0, 0, 0, 0, 0);
    EXT(&p, TCP_NEXT, 0, 0, 0, 0, 0, 0, 0);
    append(&p, NULL, 20);
    assert_parses(&p, TCP_NEXT, 40 + 8 + 16 + 8 + 8);
}

static void an_unknown_header_ends_the_walk(void **state)
{
    static const uint8_t stops[] = {50, 51, 59, 41, 4, 58, 135, 253, 255};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof stops; i++) {
        struct packet p = packet_of(IPPROTO_DSTOPTS_);

        EXT(&p, stops[i], 0, 1, 4, 0, 0, 0, 0);
        append(&p, NULL, 16);
        assert_parses(&p, stops[i], 48);
    }
}

static void p5_extension_cut_off_anywhere(void **state)
{
    struct packet p = packet_of(IPPROTO_HOPOPTS_);
    size_t len;

    (void)state;
    EXT(&p, IPPROTO_FRAGMENT_, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    EXT(&p, IPPROTO_ROUTING_, 0, 0, 0, 0, 0, 0, 1);
    EXT(&p, IPPROTO_NONE_, 2, 3, 0, 0, 0, 0, 0);
    for (len = IP6_HDR_LEN; len < 40 + 16 + 8 + 24; len++) {
        p.len = len;
        be16_put(p.octets + 4, (uint16_t)(len - IP6_HDR_LEN));
        assert_dropped(&p, RULE_IP6_EXT);
    }
}

/* Lengths that wrap to nothing in 8 bits must neither stand still nor leave the packet. */
static void p5_extension_length_255(void **state)
{
    static const uint8_t kinds[] = {IPPROTO_HOPOPTS_, IPPROTO_DSTOPTS_, IPPROTO_ROUTING_};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof kinds; i++) {
        struct packet p = packet_of(kinds[i]);

        EXT(&p, kinds[i], 255, 1, 4, 0, 0, 0, 0);
        assert_dropped(&p, RULE_IP6_EXT);
        append(&p, NULL, 3000);
        assert_dropped(&p, RULE_IP6_EXT);
    }
}

static void p5_option_length_wraps(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);
    unsigned len;

    (void)state;
    EXT(&p, TCP_NEXT, 0, 1, 4, 0, 0, 0, 0);
    append(&p, NULL, 20);
    for (len = 5; len < 256; len++) {
        p.octets[IP6_HDR_LEN + 3] = (uint8_t)len;
        assert_dropped(&p, RULE_IP6_EXT);
    }
}

static void p5_options_past_the_end(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);

    (void)state;
    EXT(&p, TCP_NEXT, 0, 1, 3, 0, 0, 0, 1); /* the last octet begins an option without length */
    append(&p, NULL, 20);
    assert_dropped(&p, RULE_IP6_EXT);
    p.octets[IP6_HDR_LEN + 7] = 0; /* Pad1 */
    assert_parses(&p, TCP_NEXT, 48);
}

static void p5_chain_of_100_headers(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);
    int i;

    (void)state;
    for (i = 0; i < 99; i++)
        EXT(&p, IPPROTO_DSTOPTS_, 0, 1, 4, 0, 0, 0, 0);
    EXT(&p, TCP_NEXT, 0, 1, 4, 0, 0, 0, 0);
    append(&p, NULL, 20);
    assert_dropped(&p, RULE_IP6_EXT);
}

static void p5_chain_of_8_headers_is_the_longest(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);
    int i;

    (void)state;
    for (i = 0; i < 7; i++)
        EXT(&p, IPPROTO_DSTOPTS_, 0, 1, 4, 0, 0, 0, 0);
    EXT(&p, TCP_NEXT, 0, 1, 4, 0, 0, 0, 0);
    append(&p, NULL, 20);
    assert_parses(&p, TCP_NEXT, 40 + 8 * 8);
    p.octets[IP6_HDR_LEN + 7 * 8] = IPPROTO_DSTOPTS_;
    assert_dropped(&p, RULE_IP6_EXT);
}

/* However much of the packet lies together, so that a packet's fate is its own. */
static void p5_headers_beyond_256_octets(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);

    (void)state;
    EXT(&p, TCP_NEXT, 26, 1, 212);
    append(&p, NULL, 216 - 4); /* zeros: the PadN and nothing */
    append(&p, NULL, 400);
    assert_parses(&p, TCP_NEXT, 256);
    p.octets[IP6_HDR_LEN + 1] = 27;
    assert_dropped(&p, RULE_IP6_EXT);
}

static void p5_type_0_routing_header(void **state)
{
    struct packet p = packet_of(IPPROTO_ROUTING_);

    (void)state;
    EXT(&p, TCP_NEXT, 2, 0, 1, 0, 0, 0, 0);
    append(&p, NULL, 16 + 20);
    assert_refused(&p, RULE_IP6_RH0, 0, 42);
    p.octets[IP6_HDR_LEN + 3] = 0;
    assert_dropped(&p, RULE_IP6_RH0);
}

static void p5_other_routing_headers(void **state)
{
    struct packet p = packet_of(IPPROTO_ROUTING_);

    (void)state;
    EXT(&p, TCP_NEXT, 2, 4, 0, 0, 0, 0, 0);
    append(&p, NULL, 16 + 20);
    assert_parses(&p, TCP_NEXT, 64);
    p.octets[IP6_HDR_LEN + 3] = 1;
    assert_refused(&p, RULE_IP6_EXT, 0, 42);
}

static void p5_unknown_options_by_their_action_bits(void **state)
{
    static const struct {
        uint8_t option, next;
        enum rule rule, rule_group;
        uint8_t code, code_group;
    } cases[] = {
        {0x1e, IPPROTO_DSTOPTS_, RULE_NONE, RULE_NONE, 0xff, 0xff},
        {0x05, IPPROTO_HOPOPTS_, RULE_NONE, RULE_NONE, 0xff, 0xff}, /* router alert */
        {0x5e, IPPROTO_DSTOPTS_, RULE_IP6_UNKNOWN_OPTION, RULE_IP6_UNKNOWN_OPTION, 0xff, 0xff},
        {0x9e, IPPROTO_DSTOPTS_, RULE_IP6_UNKNOWN_OPTION, RULE_IP6_UNKNOWN_OPTION, 2, 2},
        {0xde, IPPROTO_HOPOPTS_, RULE_IP6_UNKNOWN_OPTION, RULE_IP6_UNKNOWN_OPTION, 2, 0xff},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct packet p = packet_of(cases[i].next);
        struct ip_hdr h;

        EXT(&p, TCP_NEXT, 0, 0, cases[i].option, 2, 0, 0, 0);
        append(&p, NULL, 20);
        assert_int_equal(parse(&h, &p), cases[i].rule);
        assert_int_equal(h.problem_code, cases[i].code);
        if (cases[i].code == 2)
            assert_int_equal(h.problem_at, 43);
        make_multicast(&p);
        assert_int_equal(parse(&h, &p), cases[i].rule_group);
        assert_int_equal(h.problem_code, cases[i].code_group);
    }
}

/* RFC 2675 section 3: a node without jumbograms reports the option as unknown. */
static void p5_jumbo_payload_option(void **state)
{
    struct packet p = packet_of(IPPROTO_HOPOPTS_);

    (void)state;
    EXT(&p, TCP_NEXT, 0, 0xc2, 4, 0, 1, 0, 0);
    append(&p, NULL, 20);
    assert_refused(&p, RULE_IP6_UNKNOWN_OPTION, 2, 42);
}

static void p5_hop_by_hop_anywhere_but_first(void **state)
{
    struct packet p = packet_of(IPPROTO_DSTOPTS_);
    struct packet q = packet_of(IPPROTO_HOPOPTS_);

    (void)state;
    EXT(&p, IPPROTO_HOPOPTS_, 0, 1, 4, 0, 0, 0, 0);
    EXT(&p, TCP_NEXT, 0, 1, 4, 0, 0, 0, 0);
    append(&p, NULL, 20);
    assert_refused(&p, RULE_IP6_EXT, 1, 40);
    EXT(&q, IPPROTO_HOPOPTS_, 0, 1, 4, 0, 0, 0, 0);
    EXT(&q, TCP_NEXT, 0, 1, 4, 0, 0, 0, 0);
    append(&q, NULL, 20);
    assert_refused(&q, RULE_IP6_EXT, 1, 40);
}

static void p5_atomic_fragments_are_no_fragments(void **state)
{
    struct packet p = packet_of(IPPROTO_FRAGMENT_);
    struct ip_hdr h;

    (void)state;
    EXT(&p, IPPROTO_DSTOPTS_, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef);
    EXT(&p, TCP_NEXT, 0, 1, 4, 0, 0, 0, 0);
    append(&p, NULL, 20);
    assert_parses(&p, TCP_NEXT, 56);
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_false(h.has_frag);
    assert_int_equal(h.id, 0xdeadbeef);
}

/* What follows is part of a chain, or of text: nothing can be said before it is whole. */
static void a_fragment_ends_the_walk(void **state)
{
    struct packet first = packet_of(IPPROTO_FRAGMENT_), last = packet_of(IPPROTO_FRAGMENT_);
    struct ip_hdr h;

    (void)state;
    EXT(&first, IPPROTO_DSTOPTS_, 0, 0, 1, 0, 0, 0, 7);
    append(&first, NULL, 16);
    assert_parses(&first, IPPROTO_DSTOPTS_, 48);
    assert_int_equal(parse(&h, &first), RULE_NONE);
    assert_true(h.has_frag && h.more_frags);
    assert_int_equal(h.frag_off, 0);
    assert_int_equal(h.id, 7);

    EXT(&last, IPPROTO_HOPOPTS_, 0, 0xff, 0xf8, 0, 0, 0, 7);
    append(&last, NULL, 3);
    assert_parses(&last, IPPROTO_HOPOPTS_, 48);
    assert_int_equal(parse(&h, &last), RULE_NONE);
    assert_true(h.has_frag && !h.more_frags);
    assert_int_equal(h.frag_off, 0xfff8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_taken_apart),
        cmocka_unit_test(what_is_emitted_is_what_was_parsed),
        cmocka_unit_test(p1_runts_are_dropped),
        cmocka_unit_test(p1_version_is_not_6),
        cmocka_unit_test(p1_link_padding_is_trimmed),
        cmocka_unit_test(p5_payload_length_beyond_the_frame),
        cmocka_unit_test(p5_extension_beyond_the_payload_length),
        cmocka_unit_test(extension_headers_are_walked_over),
        cmocka_unit_test(an_unknown_header_ends_the_walk),
        cmocka_unit_test(p5_extension_cut_off_anywhere),
        cmocka_unit_test(p5_extension_length_255),
        cmocka_unit_test(p5_option_length_wraps),
        cmocka_unit_test(p5_options_past_the_end),
        cmocka_unit_test(p5_chain_of_100_headers),
        cmocka_unit_test(p5_chain_of_8_headers_is_the_longest),
        cmocka_unit_test(p5_headers_beyond_256_octets),
        cmocka_unit_test(p5_type_0_routing_header),
        cmocka_unit_test(p5_other_routing_headers),
        cmocka_unit_test(p5_unknown_options_by_their_action_bits),
        cmocka_unit_test(p5_jumbo_payload_option),
        cmocka_unit_test(p5_hop_by_hop_anywhere_but_first),
        cmocka_unit_test(p5_atomic_fragments_are_no_fragments),
        cmocka_unit_test(a_fragment_ends_the_walk),
    };

    return cmocka_run_group_tests_name("ip6", tests, NULL, NULL);
}

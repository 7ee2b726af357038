/* SPDX-License-Identifier: BSD-2-Clause */
/* ip4_test.c - IPv4 headers. */
#include "base/csum.h"
#include "wire/ip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A packet from 192.0.2.1 to 198.51.100.2 under construction. */
struct packet {
    uint8_t octets[2048];
    size_t len; /* what the frame holds of it */
};

static void set_csum(struct packet *p)
{
    size_t hdr_len = (p->octets[0] & 0xfu) * 4;
    uint16_t csum;

    be16_put(p->octets + 10, 0);
    csum = (uint16_t)~csum_fold(csum_add(0, p->octets, hdr_len));
    memcpy(p->octets + 10, &csum, 2);
}

static struct packet packet_with(const uint8_t *opts, size_t opts_len, size_t payload_len)
{
    static const uint8_t hdr[IP4_HDR_LEN] = {0x45, 0x02, 0,   0, 0x12, 0x34, 0x40, 0,  64,  6,
                                             0,    0,    192, 0, 2,    1,    198,  51, 100, 2};
    struct packet p = {.len = sizeof hdr + opts_len + payload_len};

    memcpy(p.octets, hdr, sizeof hdr);
    if (opts_len)
        memcpy(p.octets + sizeof hdr, opts, opts_len);
    p.octets[0] = (uint8_t)(0x40 | (sizeof hdr + opts_len) / 4);
    be16_put(p.octets + 2, (uint16_t)p.len);
    set_csum(&p);
    return p;
}

/* Parses from an allocation that ends where the packet ends. */
static enum rule parse(struct ip_hdr *h, const struct packet *p)
{
    uint8_t *exact = malloc(p->len + 1);
    enum rule r;

    memcpy(exact + 1, p->octets, p->len);
    r = ip4_parse(h, exact + 1, p->len, p->len, false);
    free(exact);
    return r;
}

static enum rule parse_options(const uint8_t *opts, size_t opts_len)
{
    struct packet p = packet_with(opts, opts_len, 20);
    struct ip_hdr h;

    return parse(&h, &p);
}
#define OPTIONS(...) parse_options((const uint8_t[]){__VA_ARGS__}, sizeof(uint8_t[]){__VA_ARGS__})

static void a_header_is_taken_apart(void **state)
{
    static const uint8_t src[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    static const uint8_t dst[16] = {[10] = 0xff, 0xff, 198, 51, 100, 2};
    struct packet p = packet_with(NULL, 0, 100);
    struct ip_hdr h;

    (void)state;
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_memory_equal(h.src, src, 16);
    assert_memory_equal(h.dst, dst, 16);
    assert_int_equal(h.version, 4);
    assert_int_equal(h.proto, IPPROTO_TCP_);
    assert_int_equal(h.hop_limit, 64);
    assert_int_equal(h.tos, 2);
    assert_int_equal(h.id, 0x1234);
    assert_true(h.dont_frag);
    assert_false(h.has_frag);
    assert_int_equal(h.hdr_len, 20);
    assert_int_equal(h.payload_len, 100);
    assert_int_equal(h.problem_code, 0xff);
}

static void what_is_emitted_is_what_was_parsed(void **state)
{
    struct packet p = packet_with(NULL, 0, 100);
    uint8_t out[IP4_HDR_LEN];
    struct ip_hdr h;

    (void)state;
    parse(&h, &p);
    ip4_emit(&h, out);
    assert_memory_equal(out, p.octets, IP4_HDR_LEN);
}

static void the_largest_packet_can_be_emitted(void **state)
{
    struct packet p = packet_with(NULL, 0, 0);
    uint8_t out[IP4_HDR_LEN];
    struct ip_hdr h;

    (void)state;
    parse(&h, &p);
    h.payload_len = 65515;
    ip4_emit(&h, out);
    assert_int_equal(be16_at(out + 2), 65535);
    assert_int_equal(ip4_parse(&h, out, sizeof out, 65535, false), RULE_NONE);
    assert_int_equal(h.payload_len, 65515);
}

/* RFC 1624: a header that is made for another length is the one that would have been written. */
static void a_resized_header_is_the_one_for_its_length(void **state)
{
    static const uint8_t addr[2][4] = {{192, 0, 2, 1}, {198, 51, 100, 2}};
    uint8_t hdr[IP4_HDR_LEN], want[IP4_HDR_LEN];

    (void)state;
    for (uint32_t tos = 0; tos < 4; tos++) {
        ip4_emit_plain(addr[0], addr[1], 6, (uint8_t)tos, 64, 0, hdr);
        for (uint32_t len = 65515; len > 0; len--) {
            ip_resize(hdr, len);
            ip4_emit_plain(addr[0], addr[1], 6, (uint8_t)tos, 64, len, want);
            assert_memory_equal(hdr, want, sizeof hdr);
        }
    }
}

static void fragments_are_told_from_whole_datagrams(void **state)
{
    static const struct {
        uint16_t field, off;
        bool has, more;
    } cases[] = {
        {0x0000, 0, false, false},    {0x4000, 0, false, false}, {0x8000, 0, false, false},
        {0x2000, 0, true, true},      {0x2001, 8, true, true},   {0x0001, 8, true, false},
        {0x1fff, 65528, true, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct packet p = packet_with(NULL, 0, 8);
        uint8_t out[IP4_HDR_LEN];
        struct ip_hdr h;

        be16_put(p.octets + 6, cases[i].field);
        set_csum(&p);
        assert_int_equal(parse(&h, &p), RULE_NONE);
        assert_int_equal(h.has_frag, cases[i].has);
        assert_int_equal(h.more_frags, cases[i].more);
        assert_int_equal(h.frag_off, cases[i].off);
        ip4_emit(&h, out);
        assert_int_equal(be16_at(out + 6), cases[i].field & 0x7fff);
    }
}

static void p1_runts_are_dropped(void **state)
{
    struct packet p = packet_with(NULL, 0, 0);
    struct ip_hdr h;

    (void)state;
    for (p.len = 0; p.len < IP4_HDR_LEN; p.len++)
        assert_int_equal(parse(&h, &p), RULE_RUNT);
}

static void p1_total_length_below_header(void **state)
{
    struct packet p = packet_with((const uint8_t[4]){1, 1, 1, 1}, 4, 40);
    struct ip_hdr h;
    uint16_t len;

    (void)state;
    for (len = 0; len < 24; len++) {
        be16_put(p.octets + 2, len);
        set_csum(&p);
        assert_int_equal(parse(&h, &p), RULE_IP_HEADER);
    }
    be16_put(p.octets + 2, 24);
    set_csum(&p);
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_int_equal(h.payload_len, 0);
}

static void p1_header_length_0_to_4(void **state)
{
    uint8_t ihl;

    (void)state;
    for (ihl = 0; ihl < 5; ihl++) {
        struct packet p = packet_with(NULL, 0, 40);
        struct ip_hdr h;

        p.octets[0] = (uint8_t)(0x40 | ihl);
        assert_int_equal(parse(&h, &p), RULE_IP_HEADER);
    }
}

static void p1_header_length_beyond_the_frame(void **state)
{
    struct packet p = packet_with(NULL, 0, 0);
    struct ip_hdr h;

    (void)state;
    p.octets[0] = 0x4f;
    assert_int_equal(parse(&h, &p), RULE_IP_HEADER);
    be16_put(p.octets + 2, 60);
    assert_int_equal(parse(&h, &p), RULE_IP_LENGTH);
}

static void p1_version_is_not_4(void **state)
{
    uint8_t version;

    (void)state;
    for (version = 0; version < 16; version++) {
        struct packet p = packet_with(NULL, 0, 40);
        struct ip_hdr h;

        p.octets[0] = (uint8_t)(version << 4 | 5);
        set_csum(&p);
        assert_int_equal(parse(&h, &p), version == 4 ? RULE_NONE : RULE_IP_VERSION);
    }
}

static void p1_frame_shorter_than_total_length(void **state)
{
    struct packet p = packet_with(NULL, 0, 40);
    struct ip_hdr h;

    (void)state;
    for (p.len = IP4_HDR_LEN; p.len < 60; p.len++)
        assert_int_equal(parse(&h, &p), RULE_IP_LENGTH);
}

static void p1_link_padding_is_trimmed(void **state)
{
    struct packet p = packet_with(NULL, 0, 5);
    struct ip_hdr h;

    (void)state;
    p.len = 46; /* the least that Ethernet carries */
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_int_equal(h.payload_len, 5);
}

static void only_the_head_of_the_packet_need_be_contiguous(void **state)
{
    struct packet p = packet_with(NULL, 0, 1480);
    struct ip_hdr h;

    (void)state;
    assert_int_equal(ip4_parse(&h, p.octets, 256, p.len, false), RULE_NONE);
    assert_int_equal(h.payload_len, 1480);
}

static void p3_option_of_length_0_or_1(void **state)
{
    (void)state;
    assert_int_equal(OPTIONS(7, 0, 0, 0), RULE_IP_OPTION);
    assert_int_equal(OPTIONS(7, 1, 0, 0), RULE_IP_OPTION);
    assert_int_equal(OPTIONS(7, 2, 0, 0), RULE_NONE);
}

static void p3_option_beyond_the_header(void **state)
{
    (void)state;
    assert_int_equal(OPTIONS(7, 4, 0, 0), RULE_NONE);
    assert_int_equal(OPTIONS(7, 5, 0, 0), RULE_IP_OPTION);
    assert_int_equal(OPTIONS(7, 255, 0, 0), RULE_IP_OPTION);
    assert_int_equal(OPTIONS(1, 1, 1, 7), RULE_IP_OPTION); /* no room for its length */
    assert_int_equal(OPTIONS(1, 1, 7, 3), RULE_IP_OPTION);
}

static void p3_source_routes_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(OPTIONS(131, 7, 4, 10, 0, 0, 1, 0), RULE_IP_SOURCE_ROUTE);
    assert_int_equal(OPTIONS(137, 7, 4, 10, 0, 0, 1, 0), RULE_IP_SOURCE_ROUTE);
    assert_int_equal(OPTIONS(1, 137, 3, 8), RULE_IP_SOURCE_ROUTE);               /* route ended */
    assert_int_equal(OPTIONS(131, 7, 255, 0, 0, 0, 0, 0), RULE_IP_SOURCE_ROUTE); /* bad pointer */
    assert_int_equal(OPTIONS(131, 1, 4, 0), RULE_IP_OPTION);
    assert_int_equal(OPTIONS(131, 9, 4, 0, 0, 0, 0, 0), RULE_IP_OPTION);
}

static void p3_other_options_are_walked_over(void **state)
{
    uint8_t nops[40];
    struct packet p;
    struct ip_hdr h;

    (void)state;
    assert_int_equal(OPTIONS(148, 4, 0, 0), RULE_NONE);             /* router alert */
    assert_int_equal(OPTIONS(0, 7, 0, 0), RULE_NONE);               /* behind the end */
    assert_int_equal(OPTIONS(68, 8, 5, 0, 0, 0, 0, 0), RULE_NONE);  /* timestamp */
    assert_int_equal(OPTIONS(7, 7, 200, 0, 0, 0, 0, 1), RULE_NONE); /* record route */
    memset(nops, 1, sizeof nops);
    p = packet_with(nops, sizeof nops, 10);
    assert_int_equal(parse(&h, &p), RULE_NONE);
    assert_int_equal(h.hdr_len, 60);
    assert_int_equal(h.payload_len, 10);
}

static void p9_a_bad_checksum_is_dropped(void **state)
{
    struct packet p = packet_with((const uint8_t[4]){1, 1, 1, 0}, 4, 40);
    struct ip_hdr h;
    unsigned bit;

    (void)state;
    for (bit = 0; bit < 24 * 8; bit++) {
        p.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(parse(&h, &p), RULE_NONE);
        if (bit / 8 >= 4) /* version and lengths are refused under other names */
            assert_int_equal(parse(&h, &p), RULE_IP_CSUM);
        p.octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(parse(&h, &p), RULE_NONE);
}

static void p9_a_checksum_verified_below_is_not_looked_at(void **state)
{
    struct packet p = packet_with(NULL, 0, 40);
    struct ip_hdr h;

    (void)state;
    p.octets[10] ^= 0x55;
    assert_int_equal(ip4_parse(&h, p.octets, p.len, p.len, true), RULE_NONE);
    assert_int_equal(ip4_parse(&h, p.octets, p.len, p.len, false), RULE_IP_CSUM);
}

/* Against RFC 1071's own way: 16-bit words, most significant octet first. */
static uint16_t sum16(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i < len; i += 2)
        sum += be16_at(p + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void the_pseudo_header_is_summed_as_written(void **state)
{
    static const uint8_t pseudo4[] = {192, 0, 2, 1, 198, 51, 100, 2, 0, 6, 0x05, 0xdc};
    static const uint8_t pseudo6[] = {
        0x20, 1, 0xd,  0xb8, 0, 1, 0xff, 0xfe, 0, 0,    0, 0,    0, 0,    0, 1, /* source */
        0x20, 1, 0xd,  0xb8, 0, 2, 0,    0,    0, 0xff, 0, 0xff, 0, 0xff, 0, 2, /* destination */
        0,    1, 0x86, 0xa0, 0, 0, 0,    17,                                    /* length, next */
    };
    uint8_t src[16], dst[16], sum[2];
    uint16_t folded;

    (void)state;
    ip_map4(src, pseudo4);
    ip_map4(dst, pseudo4 + 4);
    folded = csum_fold(ip_pseudo(src, dst, IPPROTO_TCP_, 1500));
    memcpy(sum, &folded, 2);
    assert_int_equal(be16_at(sum), sum16(pseudo4, sizeof pseudo4));

    folded = csum_fold(ip_pseudo(pseudo6, pseudo6 + 16, IPPROTO_UDP_, 100000));
    memcpy(sum, &folded, 2);
    assert_int_equal(be16_at(sum), sum16(pseudo6, sizeof pseudo6));
}

static void kinds_of_addresses_are_told_apart(void **state)
{
    static const uint8_t any6[16] = {0}, one[16] = {[15] = 1}, all_nodes[16] = {0xff, 2, [15] = 1};
    static const uint8_t local6[16] = {0xfe, 0xbf, [15] = 9}, site6[16] = {0xfe, 0xc0};
    static const uint8_t any4[16] = {[10] = 0xff, 0xff};
    static const uint8_t loop4[16] = {[10] = 0xff, 0xff, 127, 1, 2, 3};
    static const uint8_t group4[16] = {[10] = 0xff, 0xff, 239, 1, 2, 3};
    static const uint8_t reserved4[16] = {[10] = 0xff, 0xff, 240, 1, 2, 3};

    (void)state;
    assert_true(ip_is_any(any6) && ip_is_any(any4) && !ip_is_any(one) && !ip_is_any(loop4));
    assert_true(ip_is4(any4) && !ip_is4(any6));
    assert_true(ip_is_loopback(one) && ip_is_loopback(loop4) && !ip_is_loopback(any6));
    assert_true(ip_is_multicast(all_nodes) && ip_is_multicast(group4));
    assert_true(!ip_is_multicast(reserved4) && !ip_is_multicast(local6));
    assert_true(ip_is_link_local6(local6) && !ip_is_link_local6(site6));
    assert_int_equal(ip_hdr_len_of(loop4), 20);
    assert_int_equal(ip_hdr_len_of(local6), 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_taken_apart),
        cmocka_unit_test(what_is_emitted_is_what_was_parsed),
        cmocka_unit_test(the_largest_packet_can_be_emitted),
        cmocka_unit_test(a_resized_header_is_the_one_for_its_length),
        cmocka_unit_test(fragments_are_told_from_whole_datagrams),
        cmocka_unit_test(p1_runts_are_dropped),
        cmocka_unit_test(p1_total_length_below_header),
        cmocka_unit_test(p1_header_length_0_to_4),
        cmocka_unit_test(p1_header_length_beyond_the_frame),
        cmocka_unit_test(p1_version_is_not_4),
        cmocka_unit_test(p1_frame_shorter_than_total_length),
        cmocka_unit_test(p1_link_padding_is_trimmed),
        cmocka_unit_test(only_the_head_of_the_packet_need_be_contiguous),
        cmocka_unit_test(p3_option_of_length_0_or_1),
        cmocka_unit_test(p3_option_beyond_the_header),
        cmocka_unit_test(p3_source_routes_are_dropped),
        cmocka_unit_test(p3_other_options_are_walked_over),
        cmocka_unit_test(p9_a_bad_checksum_is_dropped),
        cmocka_unit_test(p9_a_checksum_verified_below_is_not_looked_at),
        cmocka_unit_test(the_pseudo_header_is_summed_as_written),
        cmocka_unit_test(kinds_of_addresses_are_told_apart),
    };

    return cmocka_run_group_tests_name("ip4", tests, NULL, NULL);
}

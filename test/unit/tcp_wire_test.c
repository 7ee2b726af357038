/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_wire_test.c - TCP headers as octets. */
#include "wire/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t header[TCP_HDR_LEN] = {
    0x30, 0x39, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0xa1, 0xa2, /* ports, SEQ, ... */
    0xa3, 0xa4, 0x50, 0x10, 0xff, 0xff, 0xbe, 0xef, 0x00, 0x00, /* ACK, ..., window, sum, urgent */
};

/* A segment in an allocation that ends where the segment ends; 0 for the rest of the header. */
static struct pieces segment(uint8_t offset, uint8_t flags, size_t len)
{
    struct pieces all = {.n = 1, .len = (uint32_t)len};
    uint8_t octets[1500] = {0}, *p = malloc(len ? len : 1);

    memcpy(octets, header, sizeof header);
    octets[12] = (uint8_t)(offset << 4);
    octets[13] = flags;
    memcpy(p, octets, len);
    all.v[0] = (struct estab_iov){p, len};
    return all;
}

static enum rule parse(struct seg *g, const struct pieces *all)
{
    return tcp_parse(g, all->v[0].base, all->v[0].len, all);
}

static enum rule parse_segment(struct seg *g, uint8_t offset, uint8_t flags, size_t len)
{
    struct pieces all = segment(offset, flags, len);
    enum rule r = parse(g, &all);

    free(all.v[0].base); /* and with it what g->text borrows, which is not looked at */
    return r;
}

/* [MUST-1] */
static void a_header_is_taken_apart(void **state)
{
    struct seg g;

    (void)state;
    assert_int_equal(parse_segment(&g, 5, SEG_ACK, 120), RULE_NONE);
    assert_int_equal(g.sport, 12345);
    assert_int_equal(g.dport, 80);
    assert_int_equal(g.seq.n, 0x01020304);
    assert_int_equal(g.ack.n, 0xa1a2a3a4);
    assert_int_equal(g.flags, SEG_ACK);
    assert_int_equal(g.reserved, 0);
    assert_int_equal(g.wnd, 65535);
    assert_int_equal(g.up, 0);
    assert_int_equal(g.len, 100);
    assert_int_equal(g.text.len, 100);
    assert_int_equal(g.nsegs, 1);
    assert_int_equal(g.opt.has, 0);
}

static void what_is_emitted_is_what_was_parsed(void **state)
{
    uint8_t in[TCP_HDR_LEN], out[TCP_HDR_LEN];
    struct pieces all = {.v = {{in, sizeof in}}, .n = 1, .len = sizeof in};
    struct seg g;

    (void)state;
    memcpy(in, header, sizeof in);
    in[12] = 0x51; /* AE, RFC 9768 */
    in[13] = 0xff;
    be16_put(in + 16, 0); /* the checksum is the caller's */
    be16_put(in + 18, 0x8001);
    assert_int_equal(parse(&g, &all), RULE_NONE);
    assert_int_equal(g.reserved, 1);
    assert_int_equal(g.up, 0x8001);
    tcp_hdr_emit(&g, 0, out);
    assert_memory_equal(out, in, sizeof in);
    tcp_hdr_emit(&g, 40, out);
    assert_int_equal(out[12], 0xf1);
}

static void seg_len_counts_syn_and_fin(void **state)
{
    static const struct {
        uint8_t flags;
        uint32_t more;
    } cases[] = {
        {SEG_ACK, 0},           {SEG_SYN, 1},           {SEG_FIN | SEG_ACK, 1},
        {SEG_SYN | SEG_FIN, 2}, {SEG_RST | SEG_PSH, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seg g;

        assert_int_equal(parse_segment(&g, 5, cases[i].flags, 20), RULE_NONE);
        assert_int_equal(g.len, cases[i].more);
        assert_int_equal(parse_segment(&g, 6, cases[i].flags, 24 + 7), RULE_NONE);
        assert_int_equal(g.len, 7 + cases[i].more);
        assert_int_equal(g.text.len, 7);
    }
}

static void t5_every_combination_of_flags_is_reported_as_it_came(void **state)
{
    unsigned flags;

    (void)state;
    for (flags = 0; flags < 256; flags++) {
        struct seg g;

        assert_int_equal(parse_segment(&g, 5, (uint8_t)flags, 20), RULE_NONE);
        assert_int_equal(g.flags, flags);
    }
}

static void the_text_is_cut_from_the_pieces_of_the_segment(void **state)
{
    uint8_t head[TCP_HDR_LEN + 4], middle[3], tail[5];
    struct pieces all = {.v = {{head, sizeof head}, {middle, sizeof middle}, {tail, sizeof tail}},
                         .n = 3,
                         .len = sizeof head + sizeof middle + sizeof tail};
    struct seg g;

    (void)state;
    memcpy(head, header, TCP_HDR_LEN);
    assert_int_equal(parse(&g, &all), RULE_NONE);
    assert_int_equal(g.text.len, 12);
    assert_int_equal(g.text.n, 3);
    assert_ptr_equal(g.text.v[0].base, head + TCP_HDR_LEN);
    assert_int_equal(g.text.v[0].len, 4);
    assert_ptr_equal(g.text.v[2].base, tail);

    memset(head + TCP_HDR_LEN, OPT_KIND_NOP, 4);
    head[12] = 0x60;
    assert_int_equal(parse(&g, &all), RULE_NONE);
    assert_int_equal(g.text.len, 8);
    assert_ptr_equal(g.text.v[0].base, middle);
    assert_int_equal(all.len, 32); /* the whole is the caller's and stays */
}

/* The header in pieces, made contiguous by the caller elsewhere. */
static void the_header_may_be_a_copy(void **state)
{
    uint8_t copy[TCP_HDR_LEN], first[7], second[30];
    struct pieces all = {.v = {{first, sizeof first}, {second, sizeof second}}, .n = 2, .len = 37};
    struct seg g;

    (void)state;
    memcpy(copy, header, sizeof copy);
    assert_int_equal(tcp_parse(&g, copy, sizeof copy, &all), RULE_NONE);
    assert_int_equal(g.text.len, 17);
    assert_int_equal(g.text.n, 1);
    assert_ptr_equal(g.text.v[0].base, second + 13);
}

/* IP total length less both headers is less than nothing: CVE-2021-31401. */
static void p2_segment_shorter_than_its_header(void **state)
{
    struct seg g;
    size_t len;

    (void)state;
    for (len = 0; len < TCP_HDR_LEN; len++)
        assert_int_equal(parse_segment(&g, 5, SEG_ACK, len), RULE_TCP_HEADER);
    assert_int_equal(parse_segment(&g, 5, SEG_ACK, TCP_HDR_LEN), RULE_NONE);
    assert_int_equal(g.len, 0);
}

/* More octets lie behind the segment (link padding): they are not the header's. */
static void p2_header_beyond_the_segment_in_a_longer_frame(void **state)
{
    struct pieces all = segment(8, SEG_ACK, 40);
    struct seg g;

    (void)state;
    for (all.len = 0; all.len < 32; all.len++)
        assert_int_equal(parse(&g, &all), RULE_TCP_HEADER);
    assert_int_equal(parse(&g, &all), RULE_NONE);
    assert_int_equal(g.text.len, 0);
    free(all.v[0].base);
}

static void t1_data_offset_below_5(void **state)
{
    struct seg g;
    uint8_t offset;

    (void)state;
    for (offset = 0; offset < 5; offset++)
        assert_int_equal(parse_segment(&g, offset, SEG_ACK, 100), RULE_TCP_HEADER);
}

static void t1_data_offset_beyond_the_segment(void **state)
{
    struct seg g;
    uint8_t offset;
    size_t len;

    (void)state;
    for (offset = 6; offset < 16; offset++) {
        for (len = 20; len < offset * 4u; len++)
            assert_int_equal(parse_segment(&g, offset, SEG_ACK, len), RULE_TCP_HEADER);
        assert_int_equal(parse_segment(&g, offset, SEG_ACK, offset * 4u), RULE_NONE);
    }
}

/* The parser carries it and believes nothing of it. */
static void t4_urgent_pointer_wherever_it_points(void **state)
{
    static const uint16_t ups[] = {0, 1, 5, 6, 100, 0x7fff, 0x8000, 0xffff};
    static const uint8_t flags[] = {SEG_URG | SEG_ACK, SEG_URG | SEG_SYN, SEG_ACK};
    size_t i, j, text;

    (void)state;
    for (i = 0; i < sizeof ups / sizeof ups[0]; i++) {
        for (j = 0; j < sizeof flags; j++) {
            for (text = 0; text < 6; text += 5) {
                struct pieces all = segment(5, flags[j], TCP_HDR_LEN + text);
                struct seg g;

                be16_put((uint8_t *)all.v[0].base + 18, ups[i]);
                assert_int_equal(parse(&g, &all), RULE_NONE);
                assert_int_equal(g.up, ups[i]);
                assert_int_equal(g.text.len, text);
                free(all.v[0].base);
            }
        }
    }
}

static void t1_a_bad_option_refuses_the_segment(void **state)
{
    struct pieces all = segment(6, SEG_SYN, 24);
    struct seg g;

    (void)state;
    ((uint8_t *)all.v[0].base)[20] = OPT_KIND_MSS;
    ((uint8_t *)all.v[0].base)[21] = 3;
    assert_int_equal(parse(&g, &all), RULE_TCP_OPTION);
    free(all.v[0].base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_taken_apart),
        cmocka_unit_test(what_is_emitted_is_what_was_parsed),
        cmocka_unit_test(seg_len_counts_syn_and_fin),
        cmocka_unit_test(t5_every_combination_of_flags_is_reported_as_it_came),
        cmocka_unit_test(the_text_is_cut_from_the_pieces_of_the_segment),
        cmocka_unit_test(the_header_may_be_a_copy),
        cmocka_unit_test(p2_segment_shorter_than_its_header),
        cmocka_unit_test(p2_header_beyond_the_segment_in_a_longer_frame),
        cmocka_unit_test(t1_data_offset_below_5),
        cmocka_unit_test(t1_data_offset_beyond_the_segment),
        cmocka_unit_test(t1_a_bad_option_refuses_the_segment),
        cmocka_unit_test(t4_urgent_pointer_wherever_it_points),
    };

    return cmocka_run_group_tests_name("tcp header", tests, NULL, NULL);
}

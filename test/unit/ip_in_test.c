/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_in_test.c - what the internet layer lets through, from frames whole and in pieces. */
#include "ip_net.h"

#define OPTIONS_LEN 12

/* A packet with every kind of header in front: IPv4 with options, IPv6 with two extension headers.
 */
static void packet_with_options4(struct packet *k, const uint8_t *options, size_t payload)
{
    uint8_t text[1400];
    uint16_t csum;
    size_t i;

    for (i = 0; i < payload; i++)
        text[i] = (uint8_t)(i * 3);
    packet_ip(k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_TCP_, 64, text, payload);
    memmove(k->b + IP4_HDR_LEN + OPTIONS_LEN, k->b + IP4_HDR_LEN, payload);
    memcpy(k->b + IP4_HDR_LEN, options, OPTIONS_LEN);
    k->len += OPTIONS_LEN;
    k->b[0] = 0x40 | (IP4_HDR_LEN + OPTIONS_LEN) / 4;
    be16_put(k->b + 2, (uint16_t)k->len);
    be16_put(k->b + 10, 0);
    csum = csum_of(0, k->b, IP4_HDR_LEN + OPTIONS_LEN);
    memcpy(k->b + 10, &csum, 2);
}

static void packet_with_extensions6(struct packet *k, size_t payload)
{
    static const uint8_t ext[16] = {IPPROTO_DSTOPTS_, 0, 1, 4, 0, 0, 0, 0, /* hop-by-hop: PadN */
                                    IPPROTO_TCP_,     0, 1, 4, 0, 0, 0, 0};
    uint8_t text[1400];
    size_t i;

    memcpy(text, ext, sizeof ext);
    for (i = 0; i < payload; i++)
        text[sizeof ext + i] = (uint8_t)(i * 3);
    packet_ip(k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_HOPOPTS_, 64, text,
              sizeof ext + payload);
}

static void gather(const struct pieces *t, uint8_t *out)
{
    pieces_copy(out, t, 0, t->len);
}

static void assert_delivered(struct net *n, const struct packet *k, size_t payload)
{
    uint8_t got[2000];
    size_t head; /* what is promised to lie in one run: TCP's whole header, or 60 octets */

    assert_int_equal(n->d.payload.len, payload);
    assert_int_equal(n->d.ip.payload_len, payload);
    gather(&n->d.payload, got);
    assert_memory_equal(got, k->b + k->len - payload, payload);
    head = n->d.ip.proto == IPPROTO_TCP_ && payload > 12 ? (got[12] >> 4) * 4u : 60;
    if (head > payload)
        head = payload;
    assert_true(n->d.head_len >= head);
    assert_memory_equal(n->d.head, got, head);
}

static void test_tcp_is_delivered(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 100);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_addr(n->d.ip.src, "10.0.0.2");
    assert_addr(n->d.ip.dst, "10.0.0.1");
    assert_addr(ip_local(&n->l, n->d.local), "10.0.0.1");
    assert_int_equal(n->d.ip.proto, IPPROTO_TCP_);
    assert_int_equal(n->d.port, TUN);
    assert_int_equal(n->d.nsegs, 1);
    assert_int_equal(n->d.gso_size, 0);
    assert_false(n->d.csum_ok);
    assert_delivered(n, &k, 100);

    packet_tcp(&k, "2001:db8:1::2", "2001:db8:1::1", 100);
    packet_link(&k, MAC_N(1), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DELIVER);
    assert_addr(n->d.ip.src, "2001:db8:1::2");
    assert_addr(ip_local(&n->l, n->d.local), "2001:db8:1::1");
    assert_int_equal(n->d.port, TAP);
    assert_delivered(n, &k, 100);
}

/* A contiguous frame is not copied: the head lies in the frame. */
static void test_contiguous_frame_is_borrowed(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 100);
    give(n, TUN, &k);
    assert_ptr_equal(n->d.head, (uint8_t *)n->frame.iov[0].base + IP4_HDR_LEN);
    packet_tcp(&k, "2001:db8::2", "2001:db8::1", 100);
    give(n, TUN, &k);
    assert_ptr_equal(n->d.head, (uint8_t *)n->frame.iov[0].base + IP6_HDR_LEN);
}

static void cut_everywhere(struct net *n, uint8_t port, const struct packet *k, size_t payload)
{
    size_t a, b;

    for (a = 1; a < k->len; a++) {
        assert_int_equal(give_cut(n, port, k, a, 0, 0), IP_DELIVER);
        assert_delivered(n, k, payload);
        for (b = a + 1; b < k->len; b += 1 + b % 5) {
            assert_int_equal(give_cut(n, port, k, a, b, b + 1), IP_DELIVER);
            assert_delivered(n, k, payload);
        }
    }
}

/* [MUST-50, RFC1122-3.2.1.8-1] */
static void test_headers_may_be_cut_anywhere(void **state)
{
    static const uint8_t nops[OPTIONS_LEN] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0};
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 90);
    cut_everywhere(n, TUN, &k, 90);
    packet_with_options4(&k, nops, 90);
    cut_everywhere(n, TUN, &k, 90);
    packet_with_extensions6(&k, 90);
    cut_everywhere(n, TUN, &k, 90);
    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 30);
    packet_link(&k, MAC_N(1), OUR_MAC);
    cut_everywhere(n, TAP, &k, 30);
    packet_tcp(&k, "2001:db8:1::2", "2001:db8:1::1", 90);
    packet_link(&k, MAC_N(1), OUR_MAC);
    cut_everywhere(n, TAP, &k, 90);
}

/* Whole, or cut behind its headers, a frame of hosts that were seen is plain; with any bit of its
 * headers turned it is plain only where ip_recv() delivers the same (recv_frame()). */
static void plain_and_turned(struct net *n, uint8_t port, struct packet *k, uint32_t hdrs)
{
    uint32_t before;

    assert_int_equal(give(n, port, k), IP_DELIVER);
    before = n->nplain;
    assert_int_equal(give(n, port, k), IP_DELIVER);
    assert_int_equal(give_cut(n, port, k, hdrs, 0, 0), IP_DELIVER);
    assert_int_equal(give_cut(n, port, k, hdrs + 1, 0, 0), IP_DELIVER);
    assert_int_equal(n->nplain, before + 3);
    for (uint32_t bit = 0; bit < 8 * hdrs; bit++) {
        k->b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        (void)give(n, port, k);
        (void)give_cut(n, port, k, hdrs, 0, 0);
        k->b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_a_plain_frame_is_what_it_is_looked_at_closely(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 90);
    k.b[IP4_HDR_LEN + 12] = 5 << 4;
    plain_and_turned(n, TUN, &k, IP4_HDR_LEN + 20);
    packet_tcp(&k, "2001:db8::2", "2001:db8::1", 90);
    k.b[IP6_HDR_LEN + 12] = 5 << 4;
    plain_and_turned(n, TUN, &k, IP6_HDR_LEN + 20);
    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 90);
    k.b[IP4_HDR_LEN + 12] = 5 << 4;
    packet_link(&k, MAC_N(1), OUR_MAC);
    plain_and_turned(n, TAP, &k, ETH_HDR_LEN + IP4_HDR_LEN + 20);
}

static void test_empty_pieces_are_passed_over(void **state)
{
    struct net *n = *state;
    struct estab_frame f;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 90);
    memset(&f, 0, sizeof f);
    f.niov = 4;
    f.iov[1] = (struct estab_iov){k.b, 3};
    f.iov[3] = (struct estab_iov){k.b + 3, k.len - 3};
    assert_int_equal(ip_recv(&n->l, TUN, &f, &n->d, &n->e), IP_DELIVER);
    assert_delivered(n, &k, 90);
    memset(&f, 0, sizeof f);
    assert_int_equal(ip_recv(&n->l, TUN, &f, &n->d, &n->e), IP_DONE);
    f.niov = 4;
    assert_int_equal(ip_recv(&n->l, TUN, &f, &n->d, &n->e), IP_DONE);
    assert_rule(n, RULE_RUNT, 2);
}

static void test_absurdly_long_frame(void **state)
{
    struct net *n = *state;
    struct estab_frame f;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 90);
    memset(&f, 0, sizeof f);
    f.niov = 2;
    f.iov[0] = (struct estab_iov){k.b, k.len};
    f.iov[1] = (struct estab_iov){k.b, SIZE_MAX};
    assert_int_equal(ip_recv(&n->l, TUN, &f, &n->d, &n->e), IP_DONE);
    assert_rule(n, RULE_IP_LENGTH, 1);
}

/* ---- P1 ---- */

static void test_P1_runts(void **state)
{
    struct net *n = *state;
    struct packet k, part;
    size_t len;

    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 40);
    packet_link(&k, MAC_N(1), OUR_MAC);
    for (len = 0; len < k.len; len++) {
        part = k;
        part.len = len;
        assert_int_equal(give(n, TAP, &part), IP_DONE);
        assert_int_equal(give_cut(n, TAP, &part, 1, 2, 3), IP_DONE);
    }
    assert_rule(n, RULE_RUNT, 2 * (ETH_HDR_LEN + IP4_HDR_LEN));
    assert_rule(n, RULE_IP_LENGTH, 2 * 40);
    packet_tcp(&k, "2001:db8::2", "2001:db8::1", 40);
    for (len = 0; len < k.len; len++) {
        part = k;
        part.len = len;
        assert_int_equal(give(n, TUN, &part), IP_DONE);
    }
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
}

static void test_P1_header_lengths(void **state)
{
    struct net *n = *state;
    struct packet k, bad;
    unsigned i;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 40);
    for (i = 0; i < 5; i++) {
        bad = k;
        bad.b[0] = (uint8_t)(0x40 | i);
        assert_int_equal(give(n, TUN, &bad), IP_DONE);
    }
    assert_rule(n, RULE_IP_HEADER, 5);
    for (i = 0; i < IP4_HDR_LEN; i++) {
        bad = k;
        be16_put(bad.b + 2, (uint16_t)i);
        assert_int_equal(give(n, TUN, &bad), IP_DONE);
    }
    assert_rule(n, RULE_IP_HEADER, 5 + IP4_HDR_LEN);
    bad = k;
    be16_put(bad.b + 2, (uint16_t)(k.len + 1));
    assert_int_equal(give(n, TUN, &bad), IP_DONE);
    assert_rule(n, RULE_IP_LENGTH, 1);
    for (i = 0; i < 16; i++) {
        bad = k;
        bad.b[0] = (uint8_t)(i << 4 | 5);
        if (i != 4)
            assert_int_equal(give(n, TUN, &bad), IP_DONE);
    }
    assert_rule(n, RULE_IP_VERSION, 14); /* all but 4 and 6 */
}

static void test_P1_padding_is_trimmed(void **state)
{
    struct net *n = *state;
    struct packet k;
    size_t cut;

    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 20);
    packet_link(&k, MAC_N(1), OUR_MAC);
    memset(k.b + k.len, 0xee, 60 - k.len);
    k.len = 60;
    for (cut = 0; cut < 60; cut++) {
        assert_int_equal(give_cut(n, TAP, &k, cut, cut ? cut + 3 : 0, 0), IP_DELIVER);
        assert_int_equal(n->d.payload.len, 20);
        assert_int_equal(n->d.ip.payload_len, 20);
    }
}

/* The ethertype and the packet must agree. */
static void test_P1_ethertype_and_version(void **state)
{
    struct net *n = *state;
    struct packet k, bad;
    unsigned type;

    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 40);
    packet_link(&k, MAC_N(1), OUR_MAC);
    for (type = 0; type < 0x10000; type++) {
        bad = k;
        be16_put(bad.b + 12, (uint16_t)type);
        if (type != ETHERTYPE_IP4 && type != ETHERTYPE_ARP) {
            bad.len = 80;
            assert_int_equal(ip_recv(&n->l, TAP,
                                     &(struct estab_frame){.iov = {{bad.b, bad.len}}, .niov = 1},
                                     &n->d, &n->e),
                             IP_DONE);
        }
    }
    assert_rule(n, RULE_ETHERTYPE, 0x10000 - 3);
    assert_rule(n, RULE_IP_VERSION, 1);
}

static void test_P2_payload_of_any_length(void **state)
{
    struct net *n = *state;
    struct packet k;
    size_t len;

    for (len = 0; len < 70; len++) {
        packet_tcp(&k, "10.0.0.2", "10.0.0.1", len);
        assert_int_equal(give(n, TUN, &k), IP_DELIVER);
        assert_delivered(n, &k, len);
        packet_tcp(&k, "2001:db8::2", "2001:db8::1", len);
        assert_int_equal(give_cut(n, TUN, &k, 39, 40, 41), IP_DELIVER);
        assert_delivered(n, &k, len);
    }
}

static void test_P3_options(void **state)
{
    static const struct {
        uint8_t options[OPTIONS_LEN];
        enum rule want;
    } cases[] = {
        {{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}, RULE_NONE}, /* record route */
        {{7, 0}, RULE_IP_OPTION},
        {{7, 1}, RULE_IP_OPTION},
        {{7, 13, 4}, RULE_IP_OPTION},
        {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7}, RULE_IP_OPTION},
        {{131, 7, 4, 10, 0, 0, 9}, RULE_IP_SOURCE_ROUTE},
        {{137, 7, 255, 10, 0, 0, 9}, RULE_IP_SOURCE_ROUTE},
        {{137, 3, 4}, RULE_IP_SOURCE_ROUTE},
    };
    struct net *n = *state;
    struct packet k;
    uint64_t before;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        packet_with_options4(&k, cases[i].options, 40);
        before = n->rules.n[cases[i].want];
        assert_int_equal(give(n, TUN, &k), cases[i].want == RULE_NONE ? IP_DELIVER : IP_DONE);
        if (cases[i].want != RULE_NONE)
            assert_rule(n, cases[i].want, before + 1);
        assert_false(take(n, TUN));
    }
}

static void test_P4_tunnels_are_not_opened(void **state)
{
    static const uint8_t tunnels[] = {IPPROTO_IPIP, IPPROTO_IP6IN};
    struct net *n = *state;
    struct packet k, in;
    unsigned i;

    packet_tcp(&in, "10.0.0.2", "10.0.0.1", 40);
    for (i = 0; i < 2; i++) {
        packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, tunnels[i], 64, in.b, in.len);
        assert_int_equal(give(n, TUN, &k), IP_DONE);
        packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, tunnels[i], 64, in.b, in.len);
        assert_int_equal(give(n, TUN, &k), IP_DONE);
    }
    assert_rule(n, RULE_IP_TUNNEL, 4);
    assert_false(take(n, TUN));
}

static void give_extension(struct net *n, const uint8_t *ext, size_t len, uint8_t first)
{
    struct packet k;

    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, first, 64, ext, len);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_int_equal(give_cut(n, TUN, &k, 1, 40, 41), IP_DONE);
}

static void test_P5_extension_headers(void **state)
{
    static const uint8_t wraps[8] = {IPPROTO_TCP_, 255};
    static const uint8_t option_past_end[8] = {IPPROTO_TCP_, 0, 1, 200};
    static const uint8_t rh0[24] = {IPPROTO_TCP_, 2, 0, 1};
    static const uint8_t jumbo[8] = {IPPROTO_TCP_, 0, 0xc2, 4, 0, 1, 0, 0};
    static const uint8_t atomic[28] = {IPPROTO_TCP_, 0, 0, 0, 0, 0, 0, 9};
    uint8_t chain[800];
    struct net *n = *state;
    struct packet k;
    unsigned i;

    give_extension(n, wraps, sizeof wraps, IPPROTO_HOPOPTS_);
    give_extension(n, option_past_end, sizeof option_past_end, IPPROTO_DSTOPTS_);
    assert_rule(n, RULE_IP6_EXT, 4);
    memset(chain, 0, sizeof chain);
    for (i = 0; i < 100; i++) {
        chain[i * 8] = IPPROTO_DSTOPTS_;
        chain[i * 8 + 2] = 1;
        chain[i * 8 + 3] = 4;
    }
    give_extension(n, chain, sizeof chain, IPPROTO_DSTOPTS_);
    assert_rule(n, RULE_IP6_EXT, 6);
    take_all(n, TUN);

    give_extension(n, rh0, sizeof rh0, IPPROTO_ROUTING_);
    assert_rule(n, RULE_IP6_RH0, 2);
    take_all(n, TUN);
    give_extension(n, jumbo, sizeof jumbo, IPPROTO_HOPOPTS_);
    assert_rule(n, RULE_IP6_UNKNOWN_OPTION, 2);

    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_FRAGMENT_, 64, atomic,
              sizeof atomic);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_int_equal(n->d.payload.len, 20);

    packet_tcp(&k, "2001:db8::2", "2001:db8::1", 40);
    be16_put(k.b + 4, 41);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_rule(n, RULE_IP_LENGTH, 1);
}

/* ---- P8: addresses ---- */

static void refuses(struct net *n, const char *src, const char *dst, enum rule want)
{
    static const uint8_t protos[] = {IPPROTO_TCP_, IPPROTO_UDP_, IPPROTO_ICMP4, IPPROTO_ICMP6, 200};
    static const uint8_t text[40] = {8};
    uint64_t before = n->rules.n[want];
    struct packet k;
    unsigned i;

    for (i = 0; i < sizeof protos; i++) {
        packet_ip(&k, ip(src).b, ip(dst).b, protos[i], 64, text, sizeof text);
        assert_int_equal(give(n, TUN, &k), IP_DONE);
        assert_false(take(n, TUN));
    }
    assert_rule(n, want, before + sizeof protos);
}

static void test_P8_land(void **state)
{
    refuses(*state, "10.0.0.1", "10.0.0.1", RULE_IP_LAND);
    refuses(*state, "2001:db8::1", "2001:db8::1", RULE_IP_LAND);
}

static void test_P8_martian_sources(void **state)
{
    struct net *n = *state;

    refuses(n, "0.0.0.0", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "0.1.2.3", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "127.0.0.1", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "224.0.0.1", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "239.255.255.255", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "240.0.0.1", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "255.255.255.255", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "10.0.0.255", "10.0.0.1", RULE_IP_SRC);
    refuses(n, "10.0.0.255", "224.0.0.1", RULE_IP_SRC);
    refuses(n, "127.0.0.1", "255.255.255.255", RULE_IP_SRC);
    refuses(n, "::1", "2001:db8::1", RULE_IP_SRC);
    refuses(n, "::10.0.0.2", "2001:db8::1", RULE_IP_SRC);
    refuses(n, "ff02::1", "2001:db8::1", RULE_IP_SRC);
    refuses(n, "ff02::1", "ff02::1", RULE_IP_SRC);
    refuses(n, "::", "2001:db8::1", RULE_IP_SRC);
}

static void test_P8_martian_destinations(void **state)
{
    struct net *n = *state;

    refuses(n, "10.0.0.2", "0.0.0.0", RULE_IP_DST);
    refuses(n, "10.0.0.2", "127.0.0.1", RULE_IP_DST);
    refuses(n, "2001:db8::2", "::", RULE_IP_DST);
    refuses(n, "2001:db8::2", "::1", RULE_IP_DST);
    refuses(n, "2001:db8::2", "ff01::1", RULE_IP_DST);
    refuses(n, "2001:db8::2", "ff00::1", RULE_IP_DST);
}

/* An IPv6 packet that names IPv4-mapped addresses is not an IPv4 packet. */
static void test_P8_mapped_addresses_on_the_wire(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "2001:db8::2", "2001:db8::1", 40);
    memcpy(k.b + 24, ip("10.0.0.1").b, 16);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_rule(n, RULE_IP_DST, 1);
    memcpy(k.b + 24, ip("10.0.0.77").b, 16);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_rule(n, RULE_IP_DST, 2);
    packet_tcp(&k, "2001:db8::2", "2001:db8::1", 40);
    memcpy(k.b + 8, ip("10.0.0.2").b, 16);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_rule(n, RULE_IP_SRC, 1);
}

/* [RFC1122-3.2.1.3-1] */
static void test_not_ours(void **state)
{
    struct net *n = *state;

    refuses(n, "10.0.0.2", "10.0.0.3", RULE_NOT_OURS);
    refuses(n, "10.0.0.2", "192.0.2.1", RULE_NOT_OURS);
    refuses(n, "10.0.0.2", "224.0.0.2", RULE_NOT_OURS);
    refuses(n, "10.0.0.2", "10.0.1.255", RULE_NOT_OURS); /* the other port's broadcast */
    refuses(n, "2001:db8::2", "2001:db8::3", RULE_NOT_OURS);
    refuses(n, "2001:db8::2", "ff02::2", RULE_NOT_OURS);
    refuses(n, "2001:db8::2", "ff02::1:ff00:3", RULE_NOT_OURS);
    refuses(n, "2001:db8::2", "ff02::1:ff", RULE_NOT_OURS);
}

/* RFC 1122 section 3.3.4.2, the weak model; a link-local address is its link's. */
static void test_address_of_another_port(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.1.1", 40);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_addr(ip_local(&n->l, n->d.local), "10.0.1.1");
    packet_tcp(&k, "fe80::2", "fe80::ff:fe00:1", 40);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_rule(n, RULE_NOT_OURS, 1);
    packet_link(&k, MAC_N(1), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DELIVER);
    assert_addr(ip_local(&n->l, n->d.local), "fe80::ff:fe00:1");
}

/* The same link-local address on two ports is two addresses. */
static void test_link_local_on_each_port(void **state)
{
    struct net *n = *state;
    struct packet k;

    assert_int_equal(ip_addr_add(&n->l, TUN, ip("fe80::ff:fe00:1").b, 64), 0);
    assert_int_equal(ip_addr_add(&n->l, TUN, ip("fe80::ff:fe00:1").b, 64), ESTAB_E_INVAL);
    packet_tcp(&k, "fe80::2", "fe80::ff:fe00:1", 40);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_int_equal(n->l.addrs[n->d.local].port, TUN);
    packet_link(&k, MAC_N(1), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DELIVER);
    assert_int_equal(n->l.addrs[n->d.local].port, TAP);
}

static void test_groups_are_delivered_as_such(void **state)
{
    static const char *const dst[] = {"224.0.0.1", "255.255.255.255", "10.0.0.255", "ff02::1",
                                      "ff02::1:ff00:1"};
    struct net *n = *state;
    struct packet k;
    unsigned i;

    for (i = 0; i < 5; i++) {
        packet_tcp(&k, i < 3 ? "10.0.0.2" : "2001:db8::2", dst[i], 40);
        assert_int_equal(give(n, TUN, &k), IP_DELIVER);
        assert_int_equal(n->d.local, IP_LOCAL_NONE);
    }
}

/* ---- Ethernet ---- */

/* [RFC1122-3.3.6-1] */
static void test_other_mac_addresses(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 40);
    packet_link(&k, MAC_N(1), MAC_N(2));
    assert_int_equal(give(n, TAP, &k), IP_DONE);
    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 40);
    packet_link(&k, OUR_MAC, OUR_MAC); /* come back to us */
    assert_int_equal(give(n, TAP, &k), IP_DONE);
    packet_tcp(&k, "10.0.1.2", "10.0.1.1", 40);
    packet_link(&k, MAC_N(1), ALL_MAC); /* RFC 1122 section 3.3.6 */
    assert_int_equal(give(n, TAP, &k), IP_DONE);
    assert_rule(n, RULE_NOT_OURS, 3);
    packet_tcp(&k, "10.0.1.2", "10.0.1.255", 40);
    packet_link(&k, MAC_N(1), ALL_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DELIVER);
}

/* ---- at a glance ---- */

struct outcome {
    enum ip_verdict verdict;
    struct ip_dgram d;
};

static void outcome_of(struct net *n, uint8_t port, const struct packet *k, size_t cut,
                       struct outcome *o)
{
    memset(&n->d, 0, sizeof n->d);
    o->verdict = give_cut(n, port, k, cut, 0, 0);
    o->d = n->d;
}

static void same_outcome(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->verdict, b->verdict);
    if (a->verdict != IP_DELIVER)
        return;
    assert_memory_equal(&a->d.ip, &b->d.ip, sizeof a->d.ip);
    assert_int_equal(a->d.local, b->d.local);
    assert_int_equal(a->d.link_len, b->d.link_len);
    assert_int_equal(a->d.csum_ok, b->d.csum_ok);
    assert_int_equal(a->d.head_len, b->d.head_len);
    assert_int_equal(a->d.payload.n, b->d.payload.n);
    assert_int_equal(a->d.payload.len, b->d.payload.len);
    for (uint32_t i = 0; i < a->d.payload.n; i++)
        assert_int_equal(a->d.payload.v[i].len, b->d.payload.v[i].len);
}

static void repair_ip4(struct packet *k, size_t at)
{
    uint16_t sum;

    memset(k->b + at + 10, 0, 2);
    sum = csum_of(0, k->b + at, IP4_HDR_LEN);
    memcpy(k->b + at + 10, &sum, 2);
}

/* Each bit of each header octet changed, after a frame that was good: what is made of it does not
 * depend on that one. */
static void glance_at_each(struct net *n, uint8_t port, const struct packet *good, size_t ip_at,
                           bool v4, size_t cut)
{
    static struct outcome glance, close;

    for (size_t bit = 0; bit < 8 * (ip_at + (v4 ? 20u : 40u) + 20u); bit++) {
        for (int repaired = 0; repaired <= v4; repaired++) {
            struct packet k = *good;

            k.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (repaired)
                repair_ip4(&k, ip_at);
            assert_int_equal(give_cut(n, port, good, cut, 0, 0), IP_DELIVER);
            outcome_of(n, port, &k, cut, &glance);
            n->l.seen.version = 0;
            outcome_of(n, port, &k, cut, &close);
            same_outcome(&glance, &close);
        }
    }
}

static void test_a_glance_takes_nothing_else_for_the_next_segment(void **state)
{
    struct net *n = *state;
    struct packet k;

    for (size_t cut = 0; cut <= 90; cut += 18) {
        packet_tcp(&k, "10.0.0.2", "10.0.0.1", 60);
        glance_at_each(n, TUN, &k, 0, true, cut);
        packet_tcp(&k, "2001:db8::2", "2001:db8::1", 60);
        glance_at_each(n, TUN, &k, 0, false, cut);
        packet_tcp(&k, "10.0.1.2", "10.0.1.1", 60);
        packet_link(&k, MAC_N(1), OUR_MAC);
        glance_at_each(n, TAP, &k, ETH_HDR_LEN, true, cut);
        packet_tcp(&k, "2001:db8:1::2", "2001:db8:1::1", 60);
        packet_link(&k, MAC_N(1), OUR_MAC);
        glance_at_each(n, TAP, &k, ETH_HDR_LEN, false, cut);
    }
}

/* ---- P9 and offloads ---- */

static void test_P9_header_checksum(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 40);
    k.b[10] ^= 0x10;
    n->frame.off.flags = ESTAB_OFF_DATA_VALID;
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    n->frame.off.flags = ESTAB_OFF_NEEDS_CSUM;
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    assert_rule(n, RULE_IP_CSUM, 2);
}

static void test_P9_offload_flags(void **state)
{
    struct estab_port_caps caps = tun_caps();
    struct net *n = *state;
    struct packet k;
    int port;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 40);
    n->frame.off.flags = ESTAB_OFF_DATA_VALID;
    give(n, TUN, &k);
    assert_true(n->d.csum_ok);
    n->frame.off.flags = ESTAB_OFF_NEEDS_CSUM;
    give(n, TUN, &k);
    assert_true(n->d.csum_ok);
    n->frame.off.flags = 0x80;
    give(n, TUN, &k);
    assert_false(n->d.csum_ok);
    caps.rx_csum = true;
    port = ip_port_add(&n->l, &caps);
    n->frame.off.flags = 0;
    assert_int_equal(give(n, (uint8_t)port, &k), IP_DELIVER);
    assert_true(n->d.csum_ok);
}

static void test_super_segment(void **state)
{
    struct net *n = *state;
    static struct packet k;
    static uint8_t text[65000];

    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_TCP_, 64, text, sizeof text);
    n->frame.off = (struct estab_offload){
        .flags = ESTAB_OFF_NEEDS_CSUM, .gso_type = ESTAB_GSO_TCPV4, .gso_size = 1448};
    assert_int_equal(give_cut(n, TUN, &k, 72, 30000, 60000), IP_DELIVER);
    assert_int_equal(n->d.gso_size, 1448);
    assert_int_equal(n->d.payload.len, sizeof text);
    n->frame.off.gso_type = ESTAB_GSO_NONE;
    give(n, TUN, &k);
    assert_int_equal(n->d.gso_size, 0);
}

/* ---- what is told ---- */

static void test_drops_are_traced(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.3", 40);
    give(n, TUN, &k);
    assert_int_equal(n->ntraced, 1);
    assert_int_equal(n->traced.kind, ESTAB_TR_DROP);
    assert_int_equal(n->traced.rule, RULE_NOT_OURS);
    assert_addr(n->traced.local.ip, "10.0.0.3");
    assert_addr(n->traced.peer.ip, "10.0.0.2");
    assert_true(n->traced.at == n->env.now);

    packet_tcp(&k, "fe80::2", "fe80::3", 40);
    packet_link(&k, MAC_N(1), OUR_MAC);
    give(n, TAP, &k);
    assert_int_equal(n->traced.peer.scope, TAP + 1);

    k.len = 3;
    give(n, TAP, &k);
    assert_int_equal(n->traced.rule, RULE_RUNT);
    assert_true(ip_is_any(n->traced.peer.ip));

    n->env.trace = NULL; /* nobody listens */
    give(n, TAP, &k);
    assert_rule(n, RULE_RUNT, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_tcp_is_delivered),
        T(test_contiguous_frame_is_borrowed),
        T(test_headers_may_be_cut_anywhere),
        T(test_a_plain_frame_is_what_it_is_looked_at_closely),
        T(test_empty_pieces_are_passed_over),
        T(test_absurdly_long_frame),
        T(test_P1_runts),
        T(test_P1_header_lengths),
        T(test_P1_padding_is_trimmed),
        T(test_P1_ethertype_and_version),
        T(test_P2_payload_of_any_length),
        T(test_P3_options),
        T(test_P4_tunnels_are_not_opened),
        T(test_P5_extension_headers),
        T(test_P8_land),
        T(test_P8_martian_sources),
        T(test_P8_martian_destinations),
        T(test_P8_mapped_addresses_on_the_wire),
        T(test_not_ours),
        T(test_address_of_another_port),
        T(test_link_local_on_each_port),
        T(test_groups_are_delivered_as_such),
        T(test_other_mac_addresses),
        T(test_a_glance_takes_nothing_else_for_the_next_segment),
        T(test_P9_header_checksum),
        T(test_P9_offload_flags),
        T(test_super_segment),
        T(test_drops_are_traced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

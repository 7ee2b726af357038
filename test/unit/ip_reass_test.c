/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_reass_test.c - fragments become datagrams again, or are dropped under a rule; what P4 of the
 * hostile inputs sends; the bounds. */
#include "frag.h"

static const struct pair {
    const char *from, *to;
} families[] = {{"10.0.0.2", "10.0.0.1"}, {"2001:db8::2", "2001:db8::1"}};
#define FAMILIES 2

/* UDP, so that the layer delivers it; the octets tell where they belong. */
static void packet_udp(struct packet *k, const char *src, const char *dst, size_t len)
{
    static uint8_t text[70000];

    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + 3);
    packet_ip(k, ip(src).b, ip(dst).b, IPPROTO_UDP_, 61, text, len);
}

static void assert_whole(const struct net *n, const struct packet *whole)
{
    static uint8_t got[70000];
    size_t len = packet_payload(whole);

    assert_addr(n->d.ip.src, ip_is4(n->d.ip.src) ? families[0].from : families[1].from);
    assert_int_equal(n->d.ip.proto, IPPROTO_UDP_);
    assert_int_equal(n->d.ip.hop_limit, 61);
    assert_int_equal(n->d.ip.payload_len, len);
    assert_int_equal(n->d.payload.len, len);
    assert_false(n->d.ip.has_frag);
    assert_false(n->d.csum_ok);
    assert_true(n->d.head_len >= (len < 8 ? len : 8));
    pieces_copy(got, &n->d.payload, 0, (uint32_t)len);
    assert_memory_equal(got, whole->b + packet_hdr_len(whole), len);
    assert_memory_equal(n->d.head, got, n->d.head_len < 8 ? n->d.head_len : 8);
}

static enum ip_verdict give_fragment(struct net *n, const struct packet *whole, uint32_t id,
                                     size_t off, size_t len, bool more)
{
    struct packet k;

    packet_fragment(&k, whole, id, off, len, more);
    return give_cut(n, TUN, &k, 1 + off % 40, 41 + len % 16, 60);
}

/* A datagram of one fragment a second source may have waiting. */
static void assert_works(struct net *n)
{
    struct packet whole;

    for (size_t i = 0; i < FAMILIES; i++) {
        packet_udp(&whole, families[i].from, families[i].to, 1000);
        assert_int_equal(give_fragment(n, &whole, 0xbeef, 0, 600, true), IP_DONE);
        assert_int_equal(give_fragment(n, &whole, 0xbeef, 600, 400, false), IP_DELIVER);
        assert_whole(n, &whole);
    }
    ip_reap(&n->l);
}

/* ---- the good ---- */

static void in_any_order(struct net *n, const struct packet *whole, size_t step, uint32_t id)
{
    size_t count = fragments_of(whole, step), order[1400], i, j, t;
    struct packet k;

    for (i = 0; i < count; i++)
        order[i] = i;
    if (id % 4 == 1)
        for (i = 0; i < count; i++)
            order[i] = count - 1 - i;
    if (id % 4 > 1) {
        for (i = count - 1; i > 0; i--) {
            j = test_rand_below(&n->te, (uint32_t)i + 1);
            t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
    }
    for (i = 0; i < count; i++) {
        packet_nth_fragment(&k, whole, id, step, order[i]);
        assert_int_equal(give_cut(n, TUN, &k, 20 + i % 30, 0, 0),
                         i + 1 < count ? IP_DONE : IP_DELIVER);
    }
    assert_whole(n, whole);
    ip_reap(&n->l);
    assert_int_equal(n->l.reass.octets, 0);
}

/* [RFC1122-3.3.2-1] */
static void test_fragments_in_any_order_make_the_datagram(void **state)
{
    static const size_t lens[] = {9, 16, 100, 1000, 1481, 4000, 9000, 30000, 65515};
    struct net *n = *state;
    struct packet whole;
    uint32_t id = 0;

    for (size_t f = 0; f < FAMILIES; f++) {
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            packet_udp(&whole, families[f].from, families[f].to, lens[i]);
            for (uint32_t way = 0; way < 4; way++)
                in_any_order(n, &whole, lens[i] > 1480 ? 1480 : lens[i] > 200 ? 496 : 8, id++);
        }
    }
    assert_rule(n, RULE_REASSEMBLED, id);
    assert_int_equal(n->rules.drops, 0);
}

/* A few gaps at a time, as many fragments as a link with an MTU of 296 makes. */
static void test_a_long_datagram_in_short_fragments(void **state)
{
    struct net *n = *state;
    struct packet whole;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 65515);
    in_any_order(n, &whole, 272, 0);
    in_any_order(n, &whole, 272, 1);
}

static void test_datagrams_are_told_apart(void **state)
{
    struct net *n = *state;
    struct packet a, b, c, d;

    packet_udp(&a, "10.0.0.2", "10.0.0.1", 1000);
    packet_udp(&b, "10.0.0.3", "10.0.0.1", 1000);
    packet_udp(&c, "10.0.0.2", "10.0.1.1", 1000);
    packet_udp(&d, "10.0.0.2", "10.0.0.1", 1000);
    d.b[9] = IPPROTO_TCP_;
    assert_int_equal(give_fragment(n, &a, 7, 0, 504, true), IP_DONE);
    assert_int_equal(give_fragment(n, &b, 7, 504, 496, false), IP_DONE);
    assert_int_equal(give_fragment(n, &c, 7, 504, 496, false), IP_DONE);
    assert_int_equal(give_fragment(n, &d, 7, 504, 496, false), IP_DONE);
    assert_int_equal(give_fragment(n, &a, 8, 504, 496, false), IP_DONE);
    assert_int_equal(give_fragment(n, &a, 7, 504, 496, false), IP_DELIVER);
    assert_whole(n, &a);
    assert_int_equal(give_fragment(n, &d, 7, 0, 504, true), IP_DELIVER);
    assert_int_equal(n->d.ip.proto, IPPROTO_TCP_);
}

/* RFC 1122 section 3.3.4.2, the weak model: by whichever port they come; but a link-local address
 * is another one on another link. */
static void test_fragments_may_come_by_several_ports(void **state)
{
    struct net *n = *state;
    struct packet whole, k;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    packet_fragment(&k, &whole, 3, 0, 504, true);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    packet_fragment(&k, &whole, 3, 504, 496, false);
    packet_link(&k, MAC_N(2), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DELIVER);
    assert_whole(n, &whole);
}

static void test_link_local_fragments_stay_on_their_link(void **state)
{
    struct net *n = *state;
    struct packet whole, k;

    packet_udp(&whole, "fe80::2", "2001:db8::1", 1000);
    packet_fragment(&k, &whole, 3, 0, 504, true);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    packet_fragment(&k, &whole, 3, 504, 496, false);
    packet_link(&k, MAC_N(2), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DONE);
    packet_fragment(&k, &whole, 3, 504, 496, false);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_int_equal(n->d.payload.len, 1000);
}

/* Headers of the first fragment are the datagram's: RFC 791 section 3.1, RFC 8200 section 4.5. */
static void test_options_of_the_first_fragment_are_kept(void **state)
{
    struct net *n = *state;
    struct packet whole, k, with;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    with = whole;
    memmove(with.b + 28, with.b + 20, 1000);
    memset(with.b + 20, 1, 8);
    with.b[0] = 0x47;
    with.len += 8;
    packet_fragment(&k, &whole, 3, 504, 496, false);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    packet_fragment(&k, &with, 3, 0, 504, true);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_int_equal(n->d.ip.hdr_len, 28);
    assert_whole(n, &whole);
}

static void test_extension_headers_on_both_sides_of_the_fragment_header(void **state)
{
    static const uint8_t options[8] = {IPPROTO_UDP_, 0, 1, 4, 0, 0, 0, 0};
    uint8_t routed[8 + 1000] = {IPPROTO_UDP_, 0, 253, 0};
    struct net *n = *state;
    struct packet whole, k;
    size_t frag_len;

    memset(routed + 8, 0x5a, 1000);
    packet_ip(&whole, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_ROUTING_, 61, routed,
              sizeof routed);
    for (int i = 0; i < 2; i++) {
        packet_fragment(&k, &whole, 9, i ? 504 : 0, 504, i == 0);
        frag_len = k.len - IP6_HDR_LEN; /* destination options in front of the fragment header */
        memmove(k.b + IP6_HDR_LEN + 8, k.b + IP6_HDR_LEN, frag_len);
        memcpy(k.b + IP6_HDR_LEN, options, 8);
        k.b[IP6_HDR_LEN] = IPPROTO_FRAGMENT_;
        k.b[6] = IPPROTO_DSTOPTS_;
        be16_put(k.b + 4, (uint16_t)(frag_len + 8));
        k.len += 8;
        assert_int_equal(give(n, TUN, &k), i ? IP_DELIVER : IP_DONE);
    }
    assert_int_equal(n->d.ip.proto, IPPROTO_UDP_);
    assert_int_equal(n->d.ip.hdr_len, IP6_HDR_LEN + 8 + 8);
    assert_int_equal(n->d.payload.len, 1000);
    assert_int_equal(n->d.head[0], 0x5a);
}

/* RFC 6946 section 4: not mixed with other fragments of the same name. */
static void test_P5_atomic_fragments_stand_alone(void **state)
{
    struct net *n = *state;
    struct packet whole, k;

    packet_udp(&whole, "2001:db8::2", "2001:db8::1", 1000);
    assert_int_equal(give_fragment(n, &whole, 5, 0, 504, true), IP_DONE);
    packet_fragment(&k, &whole, 5, 0, 1000, false);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_whole(n, &whole);
    assert_int_equal(give_fragment(n, &whole, 5, 504, 496, false), IP_DELIVER);
    assert_whole(n, &whole);
}

/* What was put together stays until the next call, several of a batch at once. */
static void test_datagrams_of_a_batch_live_side_by_side(void **state)
{
    struct net *n = *state;
    struct packet whole;
    struct pieces first;
    uint8_t got[1000];

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    give_fragment(n, &whole, 1, 0, 504, true);
    assert_int_equal(give_fragment(n, &whole, 1, 504, 496, false), IP_DELIVER);
    first = n->d.payload;
    for (uint32_t id = 2; id < 20; id++) {
        give_fragment(n, &whole, id, 504, 496, false);
        assert_int_equal(give_fragment(n, &whole, id, 0, 504, true), IP_DELIVER);
    }
    pieces_copy(got, &first, 0, 1000);
    assert_memory_equal(got, whole.b + IP4_HDR_LEN, 1000);
}

static void test_the_transport_verifies_what_the_link_could_not(void **state)
{
    struct net *n = *state;
    struct packet whole;

    n->frame.off.flags = ESTAB_OFF_DATA_VALID;
    n->l.ports[TUN].caps.rx_csum = true;
    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    give_fragment(n, &whole, 1, 0, 504, true);
    assert_int_equal(give_fragment(n, &whole, 1, 504, 496, false), IP_DELIVER);
    assert_false(n->d.csum_ok);
}

/* RFC 3168 section 5.3. [RFC3168-5.3-1] */
static void test_congestion_marks_are_joined(void **state)
{
    static const struct {
        uint8_t first, second;
        bool dropped;
        uint8_t want;
    } cases[] = {{0, 0, false, 0}, {2, 2, false, 2}, {2, 3, false, 3}, {3, 1, false, 3},
                 {1, 2, false, 1}, {0, 3, true, 0},  {3, 0, true, 0},  {0, 2, false, 0}};
    struct net *n = *state;
    struct packet whole;

    for (size_t f = 0; f < FAMILIES; f++) {
        for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            packet_udp(&whole, families[f].from, families[f].to, 1000);
            for (int half = 0; half < 2; half++) {
                uint8_t ecn = half ? cases[i].second : cases[i].first;

                whole.b[1] = (uint8_t)(f ? ecn << 4 : ecn);
                give_fragment(n, &whole, i, half ? 504 : 0, half ? 496 : 504, !half);
            }
            if (cases[i].dropped)
                continue;
            assert_whole(n, &whole);
            assert_int_equal(n->d.ip.tos & 3, cases[i].want);
        }
    }
    assert_rule(n, RULE_REASS_ECN, 4);
    assert_rule(n, RULE_REASSEMBLED, 12);
    assert_int_equal(n->l.reass.octets, 0);
}

/* ---- P4: the bad ---- */

/* RFC 5722 section 4, RFC 8200 section 4.5: in whichever way the second one reaches into [504,
 * 1008). */
static void test_P4_an_overlap_ends_the_datagram(void **state)
{
    static const struct {
        size_t off, len;
        bool more;
    } second[] = {{496, 16, true},  {0, 1488, true}, {1000, 8, true}, {504, 504, false},
                  {504, 496, true}, {512, 8, true},  {0, 512, true},  {1000, 496, false}};
    struct net *n = *state;
    struct packet whole, other;
    uint64_t ended = 0;

    for (size_t f = 0; f < FAMILIES; f++) {
        for (uint32_t i = 0; i < sizeof second / sizeof second[0]; i++) {
            packet_udp(&whole, families[f].from, families[f].to, 1496);
            other = whole;
            memset(other.b + packet_hdr_len(&other), 0x41, 1496);
            assert_int_equal(give_fragment(n, &whole, i, 504, 504, true), IP_DONE);
            assert_int_equal(
                give_fragment(n, &other, i, second[i].off, second[i].len, second[i].more), IP_DONE);
            assert_rule(n, RULE_REASS_OVERLAP, ++ended);
            /* Neither the octets of the one nor of the other are delivered any more. */
            for (int again = 0; again < 2; again++) {
                assert_int_equal(give_fragment(n, &whole, i, 0, 504, true), IP_DONE);
                assert_int_equal(give_fragment(n, &whole, i, 504, 504, true), IP_DONE);
                assert_int_equal(give_fragment(n, &whole, i, 1008, 488, false), IP_DONE);
            }
            assert_rule(n, RULE_REASS_REFUSED, ended * 6);
        }
    }
    assert_rule(n, RULE_REASSEMBLED, 0);
    assert_false(take(n, TUN)); /* "no ICMP error messages should be sent" */
    assert_works(n);
    pass(n, ESTAB_S(61));
    assert_false(take(n, TUN));
    assert_int_equal(n->l.reass.octets, 0);
    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    give_fragment(n, &whole, 1, 0, 504, true);
    assert_int_equal(give_fragment(n, &whole, 1, 504, 496, false), IP_DELIVER);
}

/* RFC 8200 section 4.5: the network may duplicate, and does so exactly. */
static void test_P4_an_exact_duplicate_does_no_harm(void **state)
{
    struct net *n = *state;
    struct packet whole;

    for (size_t f = 0; f < FAMILIES; f++) {
        packet_udp(&whole, families[f].from, families[f].to, 1496);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(give_fragment(n, &whole, 1, 1008, 488, false), IP_DONE);
            assert_int_equal(give_fragment(n, &whole, 1, 0, 504, true), IP_DONE);
        }
        assert_int_equal(give_fragment(n, &whole, 1, 504, 504, true), IP_DELIVER);
        assert_whole(n, &whole);
    }
    assert_rule(n, RULE_REASS_DUPLICATE, 4);
    assert_rule(n, RULE_REASS_OVERLAP, 0);
}

static void test_P4_two_ends_end_the_datagram(void **state)
{
    static const struct {
        size_t off, len;
        bool more;
    } cases[][2] = {
        {{504, 504, false}, {1008, 488, false}}, /* a second last one, further on */
        {{1008, 488, false}, {504, 504, false}}, /* the last one stands before another */
        {{504, 504, false}, {1008, 488, true}},  /* something behind the last one */
        {{504, 504, true}, {8, 488, false}},     {{1008, 488, false}, {1496, 8, true}},
    };
    struct net *n = *state;
    struct packet whole;

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t f = 0; f < FAMILIES; f++) {
            packet_udp(&whole, families[f].from, families[f].to, 1600);
            for (int k = 0; k < 2; k++)
                assert_int_equal(
                    give_fragment(n, &whole, i, cases[i][k].off, cases[i][k].len, cases[i][k].more),
                    IP_DONE);
            assert_rule(n, RULE_REASS_END, 2 * i + f + 1);
            assert_int_equal(give_fragment(n, &whole, i, 0, 504, true), IP_DONE);
            assert_rule(n, RULE_REASS_REFUSED, 2 * i + f + 1);
        }
    }
    assert_works(n);
}

/* The message's parameter problem points there: RFC 8200 section 4.5. */
static void assert_problem(struct net *n, uint8_t code, uint32_t pointer)
{
    struct icmp m;

    assert_true(take(n, TUN));
    out_icmp(n, TUN, &m);
    assert_int_equal(m.type, ICMP6_PARAM_PROBLEM);
    assert_int_equal(m.code, code);
    assert_int_equal(m.rest, pointer);
    assert_false(take(n, TUN));
}

static void test_P4_fragments_of_odd_and_no_length(void **state)
{
    struct net *n = *state;
    struct packet whole;
    uint64_t dropped = 0;

    for (size_t f = 0; f < FAMILIES; f++) {
        packet_udp(&whole, families[f].from, families[f].to, 1496);
        for (size_t len = 0; len < 16; len++) {
            for (size_t off = 0; off <= 504; off += 504) {
                if (len % 8 == 0 && len > 0)
                    continue;
                assert_int_equal(give_fragment(n, &whole, 5, off, len, true), IP_DONE);
                assert_rule(n, RULE_REASS_LENGTH, ++dropped);
                if (f == 1 && len > 0)
                    assert_problem(n, 0, 4);
                assert_false(take(n, TUN));
            }
        }
        assert_int_equal(give_fragment(n, &whole, 5, 504, 0, false), IP_DONE);
        assert_rule(n, RULE_REASS_LENGTH, ++dropped);
    }
    assert_int_equal(n->l.reass.octets, 0);
    assert_rule(n, RULE_IP_FRAGMENT, 0);
}

/* The ping of death. */
static void test_P4_fragments_beyond_65535(void **state)
{
    struct net *n = *state;
    struct packet whole, k;

    for (size_t f = 0; f < FAMILIES; f++) {
        packet_udp(&whole, families[f].from, families[f].to, 1480);
        packet_fragment(&k, &whole, 4, 0, 1480, true);
        assert_int_equal(give(n, TUN, &k), IP_DONE);
        for (size_t len = 8; len <= 1480; len += 8) {
            packet_fragment(&k, &whole, 4, 0, len, false);
            if (f == 0) {
                be16_put(k.b + 6, 0x1fff);
                packet_sum_ip4(&k);
            } else {
                be16_put(k.b + 42, 0xfff8);
            }
            assert_int_equal(give(n, TUN, &k), IP_DONE);
            if (f == 1)
                assert_problem(n, 0, 42);
            pass(n, ESTAB_MS(20));
        }
    }
    assert_rule(n, RULE_REASS_TOO_LONG, 2 * 185);
    assert_false(take(n, TUN));
}

/* Exactly as long as the length field can say, and one more. */
static void test_P4_the_longest_datagram(void **state)
{
    struct net *n = *state;
    struct packet whole, k, with;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 65515);
    in_any_order(n, &whole, 1480, 0);
    packet_udp(&whole, "2001:db8::2", "2001:db8::1", 65535);
    in_any_order(n, &whole, 1440, 0);

    packet_udp(&whole, "2001:db8::2", "2001:db8::1", 65535);
    assert_int_equal(give_fragment(n, &whole, 1, 65528, 8, false), IP_DONE);
    assert_rule(n, RULE_REASS_TOO_LONG, 1);
    assert_problem(n, 0, 42);
    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 65515);
    assert_int_equal(give_fragment(n, &whole, 1, 65512, 4, false), IP_DONE);
    assert_rule(n, RULE_REASS_TOO_LONG, 2);

    /* Options of the first fragment alone make it too long. */
    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 65515);
    packet_udp(&with, "10.0.0.2", "10.0.0.1", 1480);
    memmove(with.b + 28, with.b + 20, 1480);
    memset(with.b + 20, 1, 8);
    with.b[0] = 0x47;
    packet_fragment(&k, &with, 9, 0, 1480, true);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
    for (size_t i = 1; i < fragments_of(&whole, 1480); i++) {
        packet_nth_fragment(&k, &whole, 9, 1480, i);
        assert_int_equal(give(n, TUN, &k), IP_DONE);
    }
    assert_rule(n, RULE_REASS_TOO_LONG, 3);
    assert_int_equal(n->l.reass.octets, 0);
}

/* RFC 7112 section 5: the first fragment holds every header, or the datagram has no first. */
static void test_P4_a_first_fragment_without_its_headers(void **state)
{
    static const struct {
        uint8_t next, ext[8];
        size_t len;
    } cases[] = {
        {IPPROTO_TCP_, {0}, 8},
        {IPPROTO_TCP_, {0}, 16},
        {IPPROTO_DSTOPTS_, {IPPROTO_UDP_, 0, 1, 4}, 8},
        {IPPROTO_DSTOPTS_, {IPPROTO_UDP_, 2, 1, 20}, 16},
        {IPPROTO_ROUTING_, {IPPROTO_DSTOPTS_, 0, 253}, 8},
        {IPPROTO_DSTOPTS_, {200, 0, 1, 4}, 8},
    };
    struct net *n = *state;
    struct packet whole;
    uint8_t text[400] = {0};

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(text, cases[i].ext, 8);
        packet_ip(&whole, ip("2001:db8::2").b, ip("2001:db8::1").b, cases[i].next, 64, text, 400);
        assert_int_equal(give_fragment(n, &whole, i, 0, cases[i].len, true), IP_DONE);
        assert_rule(n, RULE_REASS_CHAIN, i + 1);
        assert_problem(n, 3, 0);
    }
    assert_int_equal(n->l.reass.octets, 0);
    /* IPv4 knows no such rule: the first 8 octets of TCP are enough. */
    packet_tcp(&whole, "10.0.0.2", "10.0.0.1", 60);
    assert_int_equal(give_fragment(n, &whole, 1, 0, 8, true), IP_DONE);
    assert_int_equal(give_fragment(n, &whole, 1, 8, 52, false), IP_DELIVER);
    assert_int_equal(n->d.head_len, 60);
}

static void test_P4_tunnels_in_fragments(void **state)
{
    static const uint8_t tunnels[] = {IPPROTO_IPIP, IPPROTO_IP6IN};
    struct net *n = *state;
    struct packet whole, in;

    for (size_t f = 0; f < FAMILIES; f++) {
        for (size_t i = 0; i < 2; i++) {
            packet_udp(&in, families[i].from, families[i].to, 1000);
            packet_ip(&whole, ip(families[f].from).b, ip(families[f].to).b, tunnels[i], 64, in.b,
                      in.len);
            assert_int_equal(give_fragment(n, &whole, 1, 0, 504, true), IP_DONE);
            assert_int_equal(give_fragment(n, &whole, 1, 504, in.len - 504, false), IP_DONE);
        }
    }
    assert_rule(n, RULE_IP_TUNNEL, 8);
    assert_int_equal(n->l.reass.octets, 0);
}

/* A datagram that is a fragment of another one: nobody's honest work. */
static void test_P5_a_fragment_header_inside_fragments(void **state)
{
    uint8_t inner[1008] = {IPPROTO_UDP_, 0, 0, 1, 0, 0, 0, 5};
    struct net *n = *state;
    struct packet whole;

    packet_ip(&whole, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_FRAGMENT_, 64, inner,
              sizeof inner);
    assert_int_equal(give_fragment(n, &whole, 1, 0, 504, true), IP_DONE);
    assert_int_equal(give_fragment(n, &whole, 1, 504, 504, false), IP_DONE);
    assert_rule(n, RULE_IP6_EXT, 1);
    assert_int_equal(n->l.reass.octets, 0);
}

/* RFC 6980 section 5: not even in an atomic one. */
static void test_P5_neighbour_discovery_in_fragments(void **state)
{
    uint8_t msg[32] = {ICMP6_NEIGHBOUR_SOLICIT};
    struct net *n = *state;
    struct packet whole, k;

    memcpy(msg + 8, ip("2001:db8:1::1").b, 16);
    msg[24] = msg[25] = 1;
    memcpy(msg + 26, MAC_N(2).b, 6);
    packet_icmp(&whole, ip("2001:db8:1::2").b, ip("2001:db8:1::1").b, 255, msg, sizeof msg);
    packet_fragment(&k, &whole, 1, 0, 32, false);
    packet_link(&k, MAC_N(2), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DONE);
    assert_rule(n, RULE_ND_FRAGMENT, 1);
    for (int i = 0; i < 2; i++) {
        packet_fragment(&k, &whole, 2, i ? 16 : 0, 16, !i);
        packet_link(&k, MAC_N(2), OUR_MAC);
        assert_int_equal(give(n, TAP, &k), IP_DONE);
    }
    assert_rule(n, RULE_ND_FRAGMENT, 2);
    assert_false(take(n, TAP));
    packet_link(&whole, MAC_N(2), OUR_MAC);
    give(n, TAP, &whole);
    assert_true(take(n, TAP));
}

/* ---- time ---- */

/* RFC 792, RFC 1122 section 3.3.2, RFC 8200 section 4.5. [RFC1122-3.3.2-2] */
static void test_what_stays_incomplete_is_reported_after_60_s(void **state)
{
    struct net *n = *state;
    struct packet whole, first;
    const uint8_t *quote;
    struct ip_hdr h;
    struct icmp m;

    for (size_t f = 0; f < FAMILIES; f++) {
        packet_udp(&whole, families[f].from, families[f].to, 1496);
        packet_fragment(&first, &whole, 1, 0, 504, true);
        assert_int_equal(give(n, TUN, &first), IP_DONE);
        pass(n, ESTAB_S(59));
        assert_int_equal(give_fragment(n, &whole, 1, 1008, 488, false), IP_DONE);
        assert_false(take(n, TUN));
        pass(n, ESTAB_S(1));
        assert_rule(n, RULE_REASS_TIMEOUT, 2 * f + 1);
        assert_true(take(n, TUN));
        h = out_ip(n, TUN);
        assert_addr(h.src, families[f].to);
        assert_addr(h.dst, families[f].from);
        quote = out_icmp(n, TUN, &m);
        assert_int_equal(m.type, f ? ICMP6_TIME_EXCEEDED : ICMP4_TIME_EXCEEDED);
        assert_int_equal(m.code, 1);
        assert_int_equal(h.payload_len - ICMP_HDR_LEN, first.len);
        assert_memory_equal(quote, first.b, first.len);
        assert_int_equal(n->l.reass.octets, 0);
        /* Too late. */
        assert_int_equal(give_fragment(n, &whole, 1, 504, 504, true), IP_DONE);
        pass(n, ESTAB_S(61));
        assert_false(take(n, TUN));
    }
    assert_int_equal(ip_next(&n->l), ESTAB_NEVER);
}

static void test_nobody_is_told_without_the_first_fragment(void **state)
{
    struct net *n = *state;
    struct packet whole;

    for (size_t f = 0; f < FAMILIES; f++) {
        packet_udp(&whole, families[f].from, families[f].to, 1496);
        give_fragment(n, &whole, 1, 504, 504, true);
        give_fragment(n, &whole, 1, 1008, 488, false);
    }
    pass(n, ESTAB_S(61));
    assert_rule(n, RULE_REASS_TIMEOUT, 2);
    assert_false(take(n, TUN));
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e). */
static void test_nobody_is_told_about_an_error_or_a_group(void **state)
{
    static uint8_t error[1000] = {ICMP4_UNREACH};
    struct net *n = *state;
    struct packet whole;

    packet_icmp(&whole, ip("10.0.0.2").b, ip("10.0.0.1").b, 64, error, sizeof error);
    give_fragment(n, &whole, 1, 0, 504, true);
    error[0] = ICMP6_TIME_EXCEEDED;
    packet_icmp(&whole, ip("2001:db8::2").b, ip("2001:db8::1").b, 64, error, sizeof error);
    give_fragment(n, &whole, 1, 0, 504, true);
    packet_udp(&whole, "10.0.0.2", "10.0.0.255", 1000);
    give_fragment(n, &whole, 1, 0, 504, true);
    packet_udp(&whole, "2001:db8::2", "ff02::1", 1000);
    give_fragment(n, &whole, 1, 0, 504, true);
    pass(n, ESTAB_S(61));
    assert_rule(n, RULE_REASS_TIMEOUT, 4);
    assert_false(take(n, TUN));
    packet_echo(&whole, "10.0.0.2", "10.0.0.1", 1000);
    give_fragment(n, &whole, 1, 0, 504, true);
    pass(n, ESTAB_S(61));
    assert_true(take(n, TUN));
}

/* ---- the bounds ---- */

static void set_bounds(struct net *n, uint32_t max, uint32_t source_max, uint32_t datagrams,
                       uint32_t source_datagrams)
{
    struct ip_reass_settings set = {max, source_max, datagrams, source_datagrams, ESTAB_S(60)};

    ip_set_reass(&n->l, &set);
}

static struct packet from_host(uint32_t host, size_t len)
{
    struct packet k;

    packet_udp(&k, "10.0.0.2", "10.0.0.1", len);
    be32_put(k.b + 12, 0x0a000000 + 0x10000 + host);
    packet_sum_ip4(&k);
    return k;
}

static void test_reassembly_can_be_off(void **state)
{
    struct net *n = *state;
    struct packet whole;

    set_bounds(n, 0, 0, 1, 1);
    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    assert_int_equal(give_fragment(n, &whole, 1, 0, 504, true), IP_DONE);
    assert_int_equal(give_fragment(n, &whole, 1, 504, 496, false), IP_DONE);
    assert_rule(n, RULE_REASS_OFF, 2);
    assert_int_equal(ip_next(&n->l), ESTAB_NEVER);
}

/* FragmentSmack, from one source: it takes room from nobody but itself. */
static void test_P4_a_flood_from_one_source_hurts_nobody_else(void **state)
{
    struct net *n = *state;
    struct packet whole, flood = from_host(1, 1496);
    size_t used;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    assert_int_equal(give_fragment(n, &whole, 1, 0, 504, true), IP_DONE);
    for (uint32_t id = 0; id < 20000; id++) {
        uint64_t allocs = n->te.allocs;

        assert_int_equal(give_fragment(n, &flood, id, id % 3 * 496, 496, true), IP_DONE);
        assert_true(n->te.allocs - allocs <= 7);
        assert_true(n->l.reass.octets <= n->l.reass.set.source_max + 2000);
    }
    used = n->env.used;
    for (uint32_t id = 0; id < 20000; id++)
        give_fragment(n, &flood, id, id % 3 * 496, 8, true);
    assert_true(n->env.used <= used);
    assert_int_equal(give_fragment(n, &whole, 1, 504, 496, false), IP_DELIVER);
    assert_whole(n, &whole);
    assert_true(n->rules.n[RULE_REASS_SOURCE] > 30000);
    assert_rule(n, RULE_REASS_FULL, 0);
}

/* ... whose own newest datagram still has room. */
static void test_P4_the_flooding_source_keeps_its_newest(void **state)
{
    struct net *n = *state;
    struct packet flood = from_host(1, 1496), good = from_host(1, 1000);

    for (uint32_t id = 0; id < 1000; id++)
        give_fragment(n, &flood, id, 496, 496, true);
    give_fragment(n, &good, 5000, 504, 496, false);
    assert_int_equal(give_fragment(n, &good, 5000, 0, 504, true), IP_DELIVER);
}

/* From everywhere: memory stays within its bound, and who is quick is served. */
static void test_P4_a_flood_from_everywhere_is_bounded(void **state)
{
    struct net *n = *state;
    struct packet whole, flood;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 1000);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t allocs = n->te.allocs;

        flood = from_host(i, 1496);
        assert_int_equal(give_fragment(n, &flood, i, i % 2 * 496, 496, true), IP_DONE);
        assert_true(n->te.allocs - allocs <= 7);
        assert_true(n->l.reass.octets <= n->l.reass.set.max);
        if (i % 1000 == 500)
            assert_int_equal(give_fragment(n, &whole, i, 0, 504, true), IP_DONE);
        if (i % 1000 == 600) {
            assert_int_equal(give_fragment(n, &whole, i - 100, 504, 496, false), IP_DELIVER);
            ip_reap(&n->l);
        }
    }
    assert_rule(n, RULE_REASSEMBLED, 20);
    assert_int_equal(n->rules.n[RULE_REASS_FULL], 20000 - n->l.reass.set.datagrams);
    pass(n, ESTAB_S(61));
    assert_int_equal(n->l.reass.octets, 0);
    take_all(n, TUN);
}

static void test_octets_of_everybody_are_bounded(void **state)
{
    struct net *n = *state;
    struct packet flood;

    set_bounds(n, 20000, 20000, 1000, 1000);
    for (uint32_t i = 0; i < 200; i++) {
        flood = from_host(i % 7, 1496);
        assert_int_equal(give_fragment(n, &flood, i, 0, 1400, true), IP_DONE);
        assert_true(n->l.reass.octets <= 20000);
    }
    assert_true(n->l.reass.octets > 15000);
    assert_true(n->rules.n[RULE_REASS_FULL] > 180);
}

/* A datagram larger alone than the bound cannot be had; it must not take the others with it for
 * ever, nor stay. */
static void test_a_datagram_larger_than_its_bound(void **state)
{
    struct net *n = *state;
    struct packet whole, small;

    set_bounds(n, 100000, 4000, 100, 100);
    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 8000);
    packet_udp(&small, "10.0.0.2", "10.0.0.1", 1000);
    for (size_t i = 0; i < fragments_of(&whole, 1480); i++) {
        struct packet k;

        packet_nth_fragment(&k, &whole, 1, 1480, i);
        assert_int_equal(give(n, TUN, &k), IP_DONE);
        assert_true(n->l.reass.octets <= 4000);
    }
    assert_true(n->rules.n[RULE_REASS_SOURCE] > 0);
    give_fragment(n, &small, 2, 0, 504, true);
    assert_int_equal(give_fragment(n, &small, 2, 504, 496, false), IP_DELIVER);
}

/* Every second 8 octets: a bounded number of gaps, each fragment of a bounded cost. */
static void test_P4_gaps_in_a_datagram_are_bounded(void **state)
{
    struct net *n = *state;
    struct packet whole;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 60000);
    for (size_t off = 0; off < 60000; off += 16)
        assert_int_equal(give_fragment(n, &whole, 1, off, 8, true), IP_DONE);
    assert_rule(n, RULE_IP_FRAGMENT, 32);
    assert_rule(n, RULE_REASS_GAPS, 3750 - 32);
    assert_true(n->l.reass.octets < 4000);
    assert_works(n);
}

/* A datagram in 8000 pieces, then the same piece over and over. */
static void test_P4_pieces_of_a_datagram_are_bounded(void **state)
{
    struct net *n = *state;
    struct packet whole;

    packet_udp(&whole, "10.0.0.2", "10.0.0.1", 64000);
    for (size_t off = 8; off < 64000; off += 8)
        assert_int_equal(give_fragment(n, &whole, 1, off, 8, off < 63992), IP_DONE);
    assert_rule(n, RULE_IP_FRAGMENT, 256);
    assert_rule(n, RULE_REASS_PIECES, 1);
    assert_rule(n, RULE_REASS_REFUSED, 7999 - 257);
    assert_true(n->l.reass.octets < 1000);
}

/* Without memory a fragment is lost, and nothing else. */
static void test_memory_that_runs_out(void **state)
{
    struct net *n = *state;
    struct packet whole;
    uint64_t fail;

    packet_udp(&whole, "2001:db8::2", "2001:db8::1", 1496);
    for (fail = 1; fail < 30; fail++) {
        n->te.allocs = 0;
        n->te.fail_at = fail;
        give_fragment(n, &whole, 1, 504, 504, true);
        give_fragment(n, &whole, 1, 1008, 488, false);
        if (give_fragment(n, &whole, 1, 0, 504, true) == IP_DELIVER)
            break;
        assert_true(n->rules.n[RULE_NO_MEMORY] > 0);
        n->te.fail_at = 0;
        ip_fini(&n->l);
        assert_int_equal(n->te.live, 0);
        frame_free(&n->frame);
        net_empty(n);
        net_plug(n);
    }
    assert_whole(n, &whole);
    assert_in_range(fail, 5, 29);
    n->te.fail_at = 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_fragments_in_any_order_make_the_datagram),
        T(test_a_long_datagram_in_short_fragments),
        T(test_datagrams_are_told_apart),
        T(test_fragments_may_come_by_several_ports),
        T(test_link_local_fragments_stay_on_their_link),
        T(test_options_of_the_first_fragment_are_kept),
        T(test_extension_headers_on_both_sides_of_the_fragment_header),
        T(test_P5_atomic_fragments_stand_alone),
        T(test_datagrams_of_a_batch_live_side_by_side),
        T(test_the_transport_verifies_what_the_link_could_not),
        T(test_congestion_marks_are_joined),
        T(test_P4_an_overlap_ends_the_datagram),
        T(test_P4_an_exact_duplicate_does_no_harm),
        T(test_P4_two_ends_end_the_datagram),
        T(test_P4_fragments_of_odd_and_no_length),
        T(test_P4_fragments_beyond_65535),
        T(test_P4_the_longest_datagram),
        T(test_P4_a_first_fragment_without_its_headers),
        T(test_P4_tunnels_in_fragments),
        T(test_P5_a_fragment_header_inside_fragments),
        T(test_P5_neighbour_discovery_in_fragments),
        T(test_what_stays_incomplete_is_reported_after_60_s),
        T(test_nobody_is_told_without_the_first_fragment),
        T(test_nobody_is_told_about_an_error_or_a_group),
        T(test_reassembly_can_be_off),
        T(test_P4_a_flood_from_one_source_hurts_nobody_else),
        T(test_P4_the_flooding_source_keeps_its_newest),
        T(test_P4_a_flood_from_everywhere_is_bounded),
        T(test_octets_of_everybody_are_bounded),
        T(test_a_datagram_larger_than_its_bound),
        T(test_P4_gaps_in_a_datagram_are_bounded),
        T(test_P4_pieces_of_a_datagram_are_bounded),
        T(test_memory_that_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

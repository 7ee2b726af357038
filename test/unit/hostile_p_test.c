/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_p_test.c - what other stacks' parsers fell over, through the whole of this one: Ethernet,
 * ARP, IPv4, IPv6, ICMP.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "frag.h"
#include "hostile.h"
#include "wire/udp.h"

static void sum_ip4(struct packet *k)
{
    size_t len = (k->b[0] & 0xfu) * 4u;
    uint16_t sum;

    memset(k->b + 10, 0, 2);
    sum = csum_of(0, k->b, len);
    memcpy(k->b + 10, &sum, 2);
}

/* A SYN to the listener that would be answered, were nothing wrong with it. */
static void good_syn(struct packet *k, const struct peer *p)
{
    packet_seg(k, p, (struct sg){.flags = SEG_SYN, .seq = p->seq, .wnd = 1000});
}
static struct packet *syn4(struct host *h)
{
    static struct packet k;
    struct peer p = stranger(h, 2000);

    good_syn(&k, &p);
    return &k;
}
static struct packet *syn6(struct host *h)
{
    static struct packet k;
    struct peer p = peer_at(h, TUN, "2001:db8::2", "2001:db8::1", 2000);

    good_syn(&k, &p);
    return &k;
}
static void assert_syn_is_good(struct host *h, int port, const struct packet *k)
{
    assert_int_equal(feed(h, port, k), 1);
    assert_int_equal(h->answers[0].g.flags, SEG_SYN | SEG_ACK);
}

static void packet_udp(struct packet *k, const char *src, const char *dst, size_t len)
{
    struct udp_hdr u = {5353, 7, (uint16_t)(UDP_HDR_LEN + len), 0};
    static uint8_t b[66000];
    uint16_t sum;

    memset(b, 'u', UDP_HDR_LEN + len);
    udp_emit(&u, b);
    sum = csum_of(ip_pseudo(ip(src).b, ip(dst).b, IPPROTO_UDP_, u.len), b, u.len);
    memcpy(b + 6, &sum, 2);
    packet_ip(k, ip(src).b, ip(dst).b, IPPROTO_UDP_, 64, b, u.len);
}

/* Puts octets between IP header and payload: IPv4 options, or IPv6 extension headers. */
static void insert(struct packet *k, size_t at, const void *what, size_t len)
{
    memmove(k->b + at + len, k->b + at, k->len - at);
    memcpy(k->b + at, what, len);
    k->len += len;
}
static void insert_options4(struct packet *k, const uint8_t *o, size_t len)
{
    insert(k, IP4_HDR_LEN, o, len);
    k->b[0] = (uint8_t)(0x45 + len / 4);
    be16_put(k->b + 2, (uint16_t)k->len);
    sum_ip4(k);
}
/* `first` names the first of the headers in e. */
static void insert_extensions6(struct packet *k, uint8_t first, const uint8_t *e, size_t len)
{
    insert(k, IP6_HDR_LEN, e, len);
    k->b[6] = first;
    be16_put(k->b + 4, (uint16_t)(k->len - IP6_HDR_LEN));
}

/* ---- P1: runt frames 0..13 octets; a frame shorter than the IP total length; total length below
 * IHL x 4; IHL 0..4; version neither 4 nor 6; total length less than the frame (padding is trimmed,
 * not parsed) ---- */

static void p1_runt_frames(void **state)
{
    struct host *h = *state;
    struct packet k = *syn4(h);

    packet_link(&k, PEER_MAC, OUR_MAC);
    for (k.len = 0; k.len <= ETH_HDR_LEN; k.len++)
        hostile(h, TAP, &k, RULE_RUNT);
    k = *syn4(h);
    for (k.len = 0; k.len < IP4_HDR_LEN; k.len++)
        hostile(h, TUN, &k, RULE_RUNT);
    k = *syn6(h);
    for (k.len = 0; k.len < IP6_HDR_LEN; k.len++)
        hostile(h, TUN, &k, RULE_RUNT);
    assert_syn_is_good(h, TUN, syn4(h));
}

static void p1_frame_shorter_than_its_packet(void **state)
{
    struct host *h = *state;
    struct packet k = *syn4(h);
    size_t whole = k.len;

    for (k.len = IP4_HDR_LEN; k.len < whole; k.len++)
        hostile(h, TUN, &k, RULE_IP_LENGTH);
    k = *syn6(h);
    whole = k.len;
    for (k.len = IP6_HDR_LEN; k.len < whole; k.len++)
        hostile(h, TUN, &k, RULE_IP_LENGTH);
}

static void p1_total_length_shorter_than_header(void **state)
{
    struct host *h = *state;

    for (uint16_t total = 0; total < IP4_HDR_LEN; total++) {
        struct packet k = *syn4(h);

        be16_put(k.b + 2, total);
        sum_ip4(&k);
        hostile(h, TUN, &k, RULE_IP_HEADER);
    }
}

static void p1_header_length_below_5_words(void **state)
{
    struct host *h = *state;

    for (uint8_t ihl = 0; ihl < 5; ihl++) {
        struct packet k = *syn4(h);

        k.b[0] = 0x40 | ihl;
        sum_ip4(&k);
        hostile(h, TUN, &k, RULE_IP_HEADER);
    }
}

/* [RFC1122-3.2.1.1-1] */
static void p1_version_neither_4_nor_6(void **state)
{
    struct host *h = *state;

    for (uint8_t version = 0; version < 16; version++) {
        struct packet k = *syn4(h);

        if (version == 4 || version == 6)
            continue;
        k.b[0] = (uint8_t)(version << 4 | 5);
        sum_ip4(&k);
        hostile(h, TUN, &k, RULE_IP_VERSION);
        packet_eth(&k, PEER_MAC, OUR_MAC, ETHERTYPE_IP4);
        hostile(h, TAP, &k, RULE_IP_VERSION);
    }
}

static void p1_ethertype_and_version_disagree(void **state)
{
    struct host *h = *state;
    struct packet k = *syn4(h);

    packet_eth(&k, PEER_MAC, OUR_MAC, ETHERTYPE_IP6);
    hostile(h, TAP, &k, RULE_IP_VERSION);
    k = *syn6(h);
    packet_eth(&k, PEER_MAC, OUR_MAC, ETHERTYPE_IP4);
    hostile(h, TAP, &k, RULE_IP_VERSION);
    k = *syn4(h);
    packet_eth(&k, PEER_MAC, OUR_MAC, 0x1234);
    hostile(h, TAP, &k, RULE_ETHERTYPE);
}

static void p1_padding_is_trimmed(void **state)
{
    struct host *h = *state;

    for (int v6 = 0; v6 < 2; v6++) {
        struct peer p = v6 ? peer_at(h, TAP, "2001:db8:1::2", "2001:db8:1::1", 2001)
                           : peer_at(h, TAP, "10.0.1.2", "10.0.1.1", 2001);

        open_passive(&p);
        for (size_t pad = 1; pad < 1400; pad += 200) {
            struct packet k;
            uint8_t buf[64];

            packet_seg(&k, &p,
                       (struct sg){.flags = SEG_ACK,
                                   .seq = p.seq,
                                   .ack = p.ack,
                                   .wnd = 1000,
                                   .text = "text",
                                   .len = 4});
            memset(k.b + k.len, 'x', pad);
            k.len += pad;
            p.seq += 4;
            mark(h);
            feed(h, TAP, &k);
            assert_only(h, RULE_NONE, 0);
            assert_int_equal(user_reads(&p, buf, sizeof buf), 4);
            assert_memory_equal(buf, "text", 4);
        }
        assert_int_equal(info_of(&p).bytes_received, 28);
    }
}

/* ---- P2: total length - IHL x 4 - TCP header below 0: the data length must not underflow ---- */

static void p2_segment_shorter_than_a_header(void **state)
{
    struct host *h = *state;

    for (size_t len = 0; len < TCP_HDR_LEN; len++) {
        struct packet k = *syn4(h);

        k.len = IP4_HDR_LEN + TCP_HDR_LEN;
        if (len >= 18) { /* the checksum is in it, and right */
            be16_put(k.b + 2, (uint16_t)(IP4_HDR_LEN + len));
            k.len = IP4_HDR_LEN + len;
            packet_sum_tcp(&k, IP4_HDR_LEN);
            sum_ip4(&k);
            hostile(h, TUN, &k, RULE_TCP_HEADER);
            continue;
        }
        be16_put(k.b + 2, (uint16_t)(IP4_HDR_LEN + len));
        sum_ip4(&k);
        mark(h);
        assert_int_equal(feed(h, TUN, &k), 0);
        assert_int_equal(counted(h, RULE_TCP_HEADER) + counted(h, RULE_TCP_CSUM), 1);
    }
}

static void p2_data_offset_past_the_packet(void **state)
{
    struct host *h = *state;

    for (uint8_t off = 6; off < 16; off++) {
        hostile_seg(
            h->witness,
            (struct sg){
                .flags = SEG_ACK, .seq = h->witness->seq, .ack = h->witness->ack, .offset = off},
            RULE_TCP_HEADER);
        /* IP options take what the header claims */
        struct packet k = *syn4(h);
        uint8_t nops[40];

        memset(nops, 1, sizeof nops);
        k.b[IP4_HDR_LEN + 12] = (uint8_t)(off << 4);
        packet_sum_tcp(&k, IP4_HDR_LEN);
        insert_options4(&k, nops, sizeof nops);
        hostile(h, TUN, &k, RULE_TCP_HEADER);
    }
}

/* ---- P3: IPv4 options of length 0 or 1, of a length past the header; source routes with bad
 * pointers; options echoed into an ICMP error ---- */

static void hostile_options4(struct host *h, const uint8_t *o, size_t len, enum rule r)
{
    struct packet k = *syn4(h);

    insert_options4(&k, o, len);
    assert_int_equal(hostile(h, TUN, &k, r), 0);
    packet_udp(&k, "10.0.0.2", "10.0.0.1", 8); /* would be answered with an ICMP error */
    insert_options4(&k, o, len);
    assert_int_equal(hostile(h, TUN, &k, r), 0);
}

static void p3_option_of_length_0_or_1(void **state)
{
    static const uint8_t kinds[] = {7, 68, 130, 131, 137, 148, 200};

    for (size_t i = 0; i < sizeof kinds; i++)
        for (uint8_t len = 0; len < 2; len++) {
            uint8_t first[4] = {kinds[i], len}, behind[8] = {1, 1, 1, 1, 1, 1, kinds[i], len};

            hostile_options4(*state, first, sizeof first, RULE_IP_OPTION);
            hostile_options4(*state, behind, sizeof behind, RULE_IP_OPTION);
        }
}

static void p3_option_past_the_header(void **state)
{
    uint8_t past[8] = {68, 9, 5}, far[4] = {7, 255, 4}, bare[4] = {1, 1, 1, 68};

    hostile_options4(*state, past, sizeof past, RULE_IP_OPTION);
    hostile_options4(*state, far, sizeof far, RULE_IP_OPTION);
    hostile_options4(*state, bare, sizeof bare, RULE_IP_OPTION);
}

/* [RFC1122-3.3.5-1] */
static void p3_source_routes_are_dropped(void **state)
{
    for (int kind = 131; kind <= 137; kind += 6)
        for (int pointer = 0; pointer < 256; pointer += 5) {
            uint8_t o[12] = {(uint8_t)kind, 11, (uint8_t)pointer, 10, 0, 0, 77, 10, 0, 0, 78, 0};

            hostile_options4(*state, o, sizeof o, RULE_IP_SOURCE_ROUTE);
        }
}

/* [MUST-50, RFC1122-3.2.1.8-1] */
static void p3_options_are_not_echoed(void **state)
{
    struct host *h = *state;
    uint8_t o[40] = {7, 39, 4}; /* record route, room for nine addresses */
    struct packet k;

    packet_udp(&k, "10.0.0.2", "10.0.0.1", 1000);
    insert_options4(&k, o, sizeof o);
    assert_int_equal(hostile(h, TUN, &k, RULE_UDP_NO_PORT), 1);
    assert_int_equal(h->answers[0].ip.hdr_len, IP4_HDR_LEN);
    assert_true(h->answers[0].len <= 576);

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 100);
    insert_options4(&k, o, sizeof o);
    assert_int_equal(hostile(h, TUN, &k, RULE_NONE), 1);
    assert_int_equal(h->answers[0].len, IP4_HDR_LEN + ICMP_HDR_LEN + 100);
}

/* ---- P4: fragments: overlapping, a first one below 8 octets of TCP header, a last one beyond
 * 65535, of no length, MF with a length not a multiple of 8, 1000 datagrams of one fragment each,
 * out of order with different lengths; IP in IP.  More of it in ip_reass_test.c ---- */

/* As hostile(), but a fragment may be kept, within the bounds. */
static uint32_t hostile_fragment(struct host *h, const struct packet *k, enum rule r)
{
    struct footprint before = footprint_of(h), after;
    uint32_t n;

    mark(h);
    n = feed(h, TUN, k);
    assert_only(h, r, 1);
    after = footprint_of(h);
    before.all.mem_used = after.all.mem_used;
    before.allocs = after.allocs;
    assert_untouched(h, &before);
    assert_true(h->s->ip.reass.octets <= 1u << 20);
    assert_in_range(n, 0, 1);
    return n;
}
static uint32_t fragment4(struct host *h, uint16_t id, uint32_t off, size_t len, bool more,
                          enum rule r)
{
    static uint8_t text[1480];
    struct packet k;

    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_TCP_, 64, text, len);
    be16_put(k.b + 4, id);
    be16_put(k.b + 6, (uint16_t)((more ? 0x2000 : 0) | off / 8));
    sum_ip4(&k);
    return hostile_fragment(h, &k, r);
}
static uint32_t fragment6(struct host *h, uint32_t id, uint32_t off, size_t len, bool more,
                          enum rule r)
{
    uint8_t text[1500] = {IPPROTO_TCP_};
    struct packet k;

    be16_put(text + 2, (uint16_t)(off | more));
    be32_put(text + 4, id);
    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_FRAGMENT_, 64, text, 8 + len);
    return hostile_fragment(h, &k, r);
}
static void fragment(struct host *h, uint16_t id, uint32_t off, size_t len, bool more, enum rule r)
{
    assert_int_equal(fragment4(h, id, off, len, more, r), 0);
    assert_int_equal(fragment6(h, id, off, len, more, r), 0);
}

static void p4_overlapping_fragments(void **state)
{
    fragment(*state, 1, 0, 64, true, RULE_IP_FRAGMENT);
    fragment(*state, 1, 24, 8, false, RULE_REASS_OVERLAP); /* teardrop */
    fragment(*state, 1, 64, 8, false, RULE_REASS_REFUSED);
    fragment(*state, 2, 0, 512, true, RULE_IP_FRAGMENT);
    fragment(*state, 2, 0, 512, true, RULE_REASS_DUPLICATE);
    fragment(*state, 2, 256, 512, true, RULE_REASS_OVERLAP);
    fragment(*state, 2, 512, 256, false, RULE_REASS_REFUSED);
    fragment(*state, 2, 768, 8, false, RULE_REASS_REFUSED);
}

static void p4_fragments_below_a_tcp_header(void **state)
{
    for (uint16_t len = 0; len <= 24; len++) {
        enum rule r = len && len % 8 == 0 ? RULE_IP_FRAGMENT : RULE_REASS_LENGTH;

        fragment4(*state, 300 + len, 0, len, true, r);
        fragment6(*state, 300 + len, 0, len, true,
                  r == RULE_IP_FRAGMENT && len < 20 ? RULE_REASS_CHAIN : r);
    }
}

static void p4_fragments_beyond_65535(void **state)
{
    fragment(*state, 4, 0, 1480, true, RULE_IP_FRAGMENT);
    assert_int_equal(fragment4(*state, 4, 65528, 1480, false, RULE_REASS_TOO_LONG), 0);
    assert_int_equal(fragment4(*state, 4, 65528, 8, true, RULE_REASS_TOO_LONG), 0);
    assert_int_equal(fragment6(*state, 4, 65528, 1400, false, RULE_REASS_TOO_LONG), 1);
    assert_int_equal(fragment6(*state, 4, 65528, 8, true, RULE_REASS_TOO_LONG), 1);
}

static void p4_fragments_of_odd_and_no_length(void **state)
{
    for (size_t len = 0; len < 16; len++) {
        if (len == 8)
            continue;
        fragment4(*state, 5, 8, len, true, RULE_REASS_LENGTH);
        fragment6(*state, 5, 8, len, true, RULE_REASS_LENGTH);
    }
    fragment(*state, 5, 64, 0, false, RULE_REASS_LENGTH);
}

static void p4_out_of_order_with_different_lengths(void **state)
{
    static const struct {
        uint32_t off;
        size_t len;
    } parts[] = {{1000, 480}, {96, 8}, {600, 400}, {0, 96}, {112, 488}};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        fragment(*state, 6, parts[i].off, parts[i].len, i > 0, RULE_IP_FRAGMENT);
    fragment(*state, 6, 100 / 8 * 8, 8, true, RULE_REASS_DUPLICATE);
    fragment(*state, 6, 104, 16, true, RULE_REASS_OVERLAP);
}

/* FragmentSmack: what one source can have kept is little. */
static void p4_many_datagrams_of_one_fragment(void **state)
{
    struct host *h = *state;

    for (uint16_t id = 0; id < 1000; id++) {
        struct packet k;
        static uint8_t text[1480];

        packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_UDP_, 64, text, 800);
        be16_put(k.b + 4, id);
        be16_put(k.b + 6, 0x2000 | (id % 2 ? 100 : 0));
        sum_ip4(&k);
        feed(h, TUN, &k);
        assert_true(h->s->ip.reass.octets <= 256u << 10);
    }
    assert_in_range(elapse(h, ESTAB_S(61)), 1, 32); /* time exceeded: the sender's last ones */
    assert_int_equal(h->s->ip.reass.octets, 0);
}

/* A good segment is one in fragments, too. */
static void p4_text_in_fragments_is_delivered(void **state)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct host *h = *state;
    struct packet whole, k;
    uint8_t buf[64];

    for (int f = 0; f < 2; f++) {
        struct peer p = f ? peer_at(h, TUN, "2001:db8::5", "2001:db8::1", 5)
                          : peer_at(h, TUN, "10.0.0.5", "10.0.0.1", 5);

        open_passive(&p);
        packet_seg(&whole, &p,
                   (struct sg){.flags = SEG_ACK | SEG_PSH,
                               .seq = p.seq,
                               .ack = p.ack,
                               .wnd = 1000,
                               .text = text,
                               .len = 36});
        packet_fragment(&k, &whole, 77, 24, packet_payload(&whole) - 24, false);
        assert_int_equal(feed(h, TUN, &k), 0);
        packet_fragment(&k, &whole, 77, 0, 24, true);
        feed(h, TUN, &k);
        assert_int_equal(user_reads(&p, buf, sizeof buf), 36);
        assert_memory_equal(buf, text, 36);
    }
}

static void p4_ip_in_ip(void **state)
{
    struct host *h = *state;
    struct packet k;

    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_IPIP, 64, syn4(h)->b, syn4(h)->len);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_TUNNEL), 0);
    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_IP6IN, 64, syn6(h)->b, syn6(h)->len);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_TUNNEL), 0);
    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_IP6IN, 64, syn6(h)->b,
              syn6(h)->len);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_TUNNEL), 0);
    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_IPIP, 64, syn4(h)->b,
              syn4(h)->len);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_TUNNEL), 0);
}

/* ---- P5: IPv6 extension headers whose length wraps, options past the end, a chain of 100, routing
 * header 0, payload length beyond the frame, jumbo option, atomic fragments; ND options of length
 * 0, RA prefix length above 128, RDNSS of odd length ---- */

static uint32_t hostile_extensions(struct host *h, uint8_t first, const uint8_t *e, size_t len,
                                   enum rule r)
{
    struct packet k = *syn6(h);

    insert_extensions6(&k, first, e, len);
    return hostile(h, TUN, &k, r);
}

static void p5_extension_length_past_the_packet(void **state)
{
    static const uint8_t firsts[] = {IPPROTO_HOPOPTS_, IPPROTO_DSTOPTS_, IPPROTO_ROUTING_};

    for (size_t i = 0; i < sizeof firsts; i++)
        for (int len = 4; len < 256; len++) { /* 24 octets follow the fixed 8 */
            uint8_t e[8] = {IPPROTO_TCP_, (uint8_t)len, 1, 4};

            hostile_extensions(*state, firsts[i], e, sizeof e, RULE_IP6_EXT);
        }
}

static void p5_option_past_the_end(void **state)
{
    for (int len = 5; len < 256; len++) {
        uint8_t e[8] = {IPPROTO_TCP_, 0, 1, (uint8_t)len};

        hostile_extensions(*state, IPPROTO_HOPOPTS_, e, sizeof e, RULE_IP6_EXT);
        hostile_extensions(*state, IPPROTO_DSTOPTS_, e, sizeof e, RULE_IP6_EXT);
    }
    uint8_t bare[8] = {IPPROTO_TCP_, 0, 1, 3, 0, 0, 0, 1};

    hostile_extensions(*state, IPPROTO_DSTOPTS_, bare, sizeof bare, RULE_IP6_EXT);
}

static void p5_chain_of_100_headers(void **state)
{
    uint8_t e[800];

    for (size_t i = 0; i < sizeof e; i += 8) {
        memset(e + i, 0, 8);
        e[i] = i + 8 < sizeof e ? IPPROTO_DSTOPTS_ : IPPROTO_TCP_;
        e[i + 2] = 1;
        e[i + 3] = 4;
    }
    hostile_extensions(*state, IPPROTO_DSTOPTS_, e, sizeof e, RULE_IP6_EXT);
    assert_int_equal(hostile_extensions(*state, IPPROTO_HOPOPTS_, e, sizeof e, RULE_IP6_EXT), 0);
}

static void p5_hop_by_hop_not_first(void **state)
{
    struct host *h = *state;
    uint8_t e[16] = {IPPROTO_HOPOPTS_, 0, 1, 4, 0, 0, 0, 0, IPPROTO_TCP_, 0, 1, 4};

    assert_int_equal(hostile_extensions(h, IPPROTO_DSTOPTS_, e, sizeof e, RULE_IP6_EXT), 1);
    assert_int_equal(h->answers[0].ip.proto, IPPROTO_ICMP6); /* RFC 8200 section 4 */
}

static void p5_routing_header_0(void **state)
{
    struct host *h = *state;
    uint8_t e[24] = {IPPROTO_TCP_, 2, 0, 1};

    memcpy(e + 8, ip("2001:db8::77").b, 16);
    assert_int_equal(hostile_extensions(h, IPPROTO_ROUTING_, e, sizeof e, RULE_IP6_RH0), 1);
    assert_int_equal(h->answers[0].ip.proto, IPPROTO_ICMP6);
    e[3] = 0;
    assert_int_equal(hostile_extensions(h, IPPROTO_ROUTING_, e, sizeof e, RULE_IP6_RH0), 0);
}

static void p5_payload_length_past_the_frame(void **state)
{
    struct host *h = *state;
    struct packet k = *syn6(h);
    size_t len = k.len;

    /* the checksum is right for the longer packet that is not there */
    memset(k.b + len, 0, 100);
    k.len += 100;
    packet_sum_tcp(&k, IP6_HDR_LEN);
    be16_put(k.b + 4, (uint16_t)(k.len - IP6_HDR_LEN));
    k.len = len;
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_LENGTH), 0);
    be16_put(k.b + 4, UINT16_MAX);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_LENGTH), 0);
}

static void p5_jumbo_option(void **state)
{
    struct host *h = *state;
    uint8_t e[8] = {IPPROTO_TCP_, 0, 0xc2, 4, 0, 1, 0, 0};
    struct packet k = *syn6(h);

    /* RFC 2675 is not implemented: RFC 8200 section 4.2, an option whose highest bits are 11 */
    assert_int_equal(hostile_extensions(h, IPPROTO_HOPOPTS_, e, sizeof e, RULE_IP6_UNKNOWN_OPTION),
                     1);
    assert_int_equal(h->answers[0].ip.proto, IPPROTO_ICMP6);
    insert_extensions6(&k, IPPROTO_HOPOPTS_, e, sizeof e);
    be16_put(k.b + 4, 0); /* as a jumbogram has it */
    assert_int_equal(hostile(h, TUN, &k, RULE_IP6_EXT), 0);
}

static void p5_atomic_fragment_is_no_fragment(void **state)
{
    struct host *h = *state;
    uint8_t e[8] = {IPPROTO_TCP_, 0, 0, 0, 0, 0, 0, 9};
    struct packet k = *syn6(h);

    insert_extensions6(&k, IPPROTO_FRAGMENT_, e, sizeof e);
    mark(h);
    assert_syn_is_good(h, TUN, &k);
    assert_only(h, RULE_LISTEN_SYN, 1);
}

static void packet_nd(struct packet *k, const char *src, const char *dst, uint8_t *msg, size_t len)
{
    packet_icmp(k, ip(src).b, ip(dst).b, 255, msg, len);
    packet_link(k, PEER_MAC, OUR_MAC);
}

static void p5_nd_options_of_length_0(void **state)
{
    struct host *h = *state;
    struct packet k;

    for (uint8_t type = ICMP6_ROUTER_ADVERT; type <= ICMP6_NEIGHBOUR_ADVERT; type++) {
        size_t fixed = type == ICMP6_ROUTER_ADVERT ? 16 : 24;
        uint8_t msg[64] = {type};

        memcpy(msg + 8, ip("2001:db8:1::1").b, 16);
        if (type == ICMP6_ROUTER_ADVERT)
            memset(msg + 8, 0, 8);
        msg[fixed] = 1; /* source link-layer address, length 0 */
        packet_nd(&k, "fe80::2", "2001:db8:1::1", msg, fixed + 8);
        assert_int_equal(hostile(h, TAP, &k, RULE_ND_MALFORMED), 0);
        msg[fixed + 1] = 2; /* past the end */
        packet_nd(&k, "fe80::2", "2001:db8:1::1", msg, fixed + 8);
        assert_int_equal(hostile(h, TAP, &k, RULE_ND_MALFORMED), 0);
        packet_nd(&k, "fe80::2", "2001:db8:1::1", msg, fixed + 1); /* a type and no length */
        assert_int_equal(hostile(h, TAP, &k, RULE_ND_MALFORMED), 0);
    }
}

/* On a port that heeds router advertisements. */
static struct host *soliciting_host(int *port)
{
    struct estab_port_caps caps = tap_caps();
    struct host *h = host_with(NULL);

    caps.router_solicit = true;
    caps.mac[5] = 0x77;
    *port = estab_port_add(h->s, &caps);
    assert_int_equal(estab_addr_add(h->s, *port, ip("2001:db8:7::1").b, 64), 0);
    return h;
}
static void give_advert(struct host *h, int port, const uint8_t *option, size_t len)
{
    uint8_t msg[64] = {ICMP6_ROUTER_ADVERT, 0, 0, 0, 64, 0, 0x07, 0x08};
    struct packet k;

    memcpy(msg + 16, option, len);
    packet_icmp(&k, ip("fe80::2").b, ip("ff02::1").b, 255, msg, 16 + len);
    packet_link(&k, PEER_MAC, (struct mac){{0x33, 0x33, 0, 0, 0, 1}});
    mark(h);
    feed(h, port, &k);
}

/* RFC 4861 section 6.1.2 has a router advertisement valid whatever such an option says; the option
 * is ignored. */
static void p5_router_advert_prefix_longer_than_128(void **state)
{
    int port;
    struct host *h = soliciting_host(&port);

    (void)state;
    for (int len = 129; len < 256; len++) {
        uint8_t prefix[32] = {3, 4, (uint8_t)len, 0x80, 0, 0, 1, 0};

        memcpy(prefix + 16, ip("2001:db8:9::").b, 16);
        give_advert(h, port, prefix, sizeof prefix);
        assert_only(h, RULE_NONE, 0);
        assert_false(ip_route_on_link(&h->s->ip, (uint8_t)port, ip("2001:db8:9::5").b));
    }
    host_end(h);
}

/* RFC 8106 section 5.1: an RDNSS has 2n + 1 words.  Nothing here reads it, so nothing can go wrong;
 * the advertisement counts. */
static void p5_router_advert_rdnss_of_odd_length(void **state)
{
    int port;
    struct host *h = soliciting_host(&port);
    uint8_t rdnss[16] = {25, 2, 0, 0, 0, 0, 1, 0};

    (void)state;
    give_advert(h, port, rdnss, sizeof rdnss);
    assert_only(h, RULE_NONE, 0);
    rdnss[1] = 3; /* past the end */
    give_advert(h, port, rdnss, sizeof rdnss);
    assert_only(h, RULE_ND_MALFORMED, 1);
    host_end(h);
}

/* ---- P6: echo with a size below its header; to broadcast and multicast; from multicast; a limit
 * on replies whose level tells nothing ---- */

static void p6_echo_shorter_than_its_header(void **state)
{
    struct host *h = *state;

    for (size_t len = 0; len < ICMP_HDR_LEN; len++) {
        uint8_t msg[8] = {ICMP4_ECHO};
        uint16_t sum = csum_of(0, msg, len);
        struct packet k;

        if (len >= 4)
            memcpy(msg + 2, &sum, 2);
        packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_ICMP4, 64, msg, len);
        assert_int_equal(hostile(h, TUN, &k, RULE_ICMP_MALFORMED), 0);
        packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_ICMP6, 64, msg, len);
        assert_int_equal(hostile(h, TUN, &k, RULE_ICMP_MALFORMED), 0);
    }
}

/* [RFC1122-3.2.2.6-3] */
static void p6_echo_to_a_group(void **state)
{
    static const char *const groups[] = {"10.0.0.255", "255.255.255.255", "224.0.0.1"};
    struct host *h = *state;
    struct packet k;

    for (size_t i = 0; i < 3; i++) {
        packet_echo(&k, "10.0.0.2", groups[i], 50);
        assert_int_equal(hostile(h, TUN, &k, RULE_ICMP_ECHO_GROUP), 0);
    }
    packet_echo(&k, "10.0.0.2", "239.1.2.3", 50);
    assert_int_equal(hostile(h, TUN, &k, RULE_NOT_OURS), 0);
    packet_echo(&k, "2001:db8::2", "ff02::2", 50);
    assert_int_equal(hostile(h, TUN, &k, RULE_NOT_OURS), 0);
    packet_echo(&k, "2001:db8::2", "ff02::1",
                50); /* RFC 4443 section 4.2: answered by one of ours */
    assert_int_equal(hostile(h, TUN, &k, RULE_NONE), 1);
    assert_memory_equal(h->answers[0].ip.src, ip("2001:db8::1").b, 16);
}

static void p6_echo_from_a_group(void **state)
{
    static const char *const sources[] = {"224.0.0.1",       "239.1.2.3", "10.0.0.255",
                                          "255.255.255.255", "0.0.0.0",   "127.0.0.1"};
    struct host *h = *state;
    struct packet k;

    for (size_t i = 0; i < 6; i++) {
        packet_echo(&k, sources[i], "10.0.0.1", 50);
        assert_int_equal(hostile(h, TUN, &k, RULE_IP_SRC), 0);
    }
    packet_echo(&k, "ff02::1", "2001:db8::1", 50);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_SRC), 0);
    packet_echo(&k, "::", "2001:db8::1", 50);
    assert_int_equal(hostile(h, TUN, &k, RULE_IP_SRC), 0);
}

static uint32_t echoes_answered(struct host *h, uint32_t n)
{
    uint32_t answered = 0;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 50);
    while (n--)
        answered += feed(h, TUN, &k);
    return answered;
}

/* The level of the bucket they share with ICMP errors is not to be computed from outside
 * (RFC 4443 section 2.4 (f) leaves the method open). [RFC4443-2.4-5] */
static void p6_echo_replies_are_limited(void **state)
{
    struct host *h = *state;
    uint32_t least = UINT32_MAX, most = 0;

    for (int i = 0; i < 20; i++) {
        uint32_t n;

        elapse(h, ESTAB_S(2));
        mark(h);
        n = echoes_answered(h, 200);
        assert_only(h, RULE_ICMP_RATE, 200 - n);
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    assert_in_range(least, 32, 64);
    assert_in_range(most, least + 1, 64);
}

/* ---- P7: ARP whose sender is us, 0.0.0.0, a broadcast or multicast MAC; wrong lengths;
 * unsolicited replies; 100000 senders; packets parked for a next hop ---- */

static uint32_t hostile_arp(struct host *h, uint16_t op, struct mac sha, const char *spa,
                            const char *tpa, enum rule r)
{
    struct packet k;

    packet_arp(&k, op, sha, spa, tpa, ALL_MAC);
    memcpy(k.b + 6, PEER_MAC.b, 6); /* the frame's own source is always a plausible one */
    return hostile(h, TAP, &k, r);
}

static void p7_sender_is_us(void **state)
{
    assert_int_equal(
        hostile_arp(*state, ARP_REQUEST, PEER_MAC, "10.0.1.1", "10.0.1.1", RULE_ARP_CONFLICT), 0);
    assert_int_equal(
        hostile_arp(*state, ARP_REPLY, PEER_MAC, "10.0.1.1", "10.0.1.2", RULE_ARP_CONFLICT), 0);
    assert_int_equal(
        hostile_arp(*state, ARP_REQUEST, OUR_MAC, "10.0.1.7", "10.0.1.1", RULE_ARP_UNSOLICITED), 0);
}

static void p7_sender_is_nobody(void **state)
{
    struct mac group = {{0x01, 0, 0x5e, 0, 0, 1}}, zero = {{0}};
    struct host *h = *state;

    hostile_arp(h, ARP_REPLY, PEER_MAC, "0.0.0.0", "10.0.1.1", RULE_ARP_MALFORMED);
    hostile_arp(h, ARP_REQUEST, ALL_MAC, "10.0.1.7", "10.0.1.1", RULE_ARP_MALFORMED);
    hostile_arp(h, ARP_REQUEST, group, "10.0.1.7", "10.0.1.1", RULE_ARP_MALFORMED);
    hostile_arp(h, ARP_REQUEST, zero, "10.0.1.7", "10.0.1.1", RULE_ARP_MALFORMED);
    hostile_arp(h, ARP_REQUEST, PEER_MAC, "224.0.0.1", "10.0.1.1", RULE_ARP_MALFORMED);
    hostile_arp(h, ARP_REQUEST, PEER_MAC, "255.255.255.255", "10.0.1.1", RULE_ARP_MALFORMED);
    hostile_arp(h, ARP_REQUEST, PEER_MAC, "127.0.0.1", "10.0.1.1", RULE_ARP_MALFORMED);
    /* RFC 5227 section 2.1.1: a probe is answered, and nothing is learned from it */
    assert_int_equal(hostile_arp(h, ARP_REQUEST, PEER_MAC, "0.0.0.0", "10.0.1.1", RULE_NONE), 1);
    assert_null(ip_neigh_find(&h->s->ip, TAP, ip("0.0.0.0").b));
}

static void p7_wrong_lengths(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{4, 0}, {4, 7},    {4, 255}, {5, 0}, {5, 16}, {5, 255},
                 {1, 6}, {2, 0x86}, {7, 0},   {7, 3}, {7, 255}};
    struct host *h = *state;
    struct packet k;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        packet_arp(&k, ARP_REQUEST, PEER_MAC, "10.0.1.7", "10.0.1.1", ALL_MAC);
        k.b[ETH_HDR_LEN + wrong[i].at] = wrong[i].value;
        assert_int_equal(hostile(h, TAP, &k, RULE_ARP_MALFORMED), 0);
    }
    packet_arp(&k, ARP_REQUEST, PEER_MAC, "10.0.1.7", "10.0.1.1", ALL_MAC);
    for (k.len = ETH_HDR_LEN + 1; k.len < ETH_HDR_LEN + ARP_LEN; k.len++)
        assert_int_equal(hostile(h, TAP, &k, RULE_ARP_MALFORMED), 0);
}

/* Where the stack sends what it has for 10.0.1.2 now. */
static void assert_goes_to(struct peer *p, struct mac mac)
{
    p->k = p->k ? p->k : p->h->listener;
    user_sends(p, "x", 1);
    drain(p->h);
    for (uint32_t i = 0; i < p->h->nanswers; i++)
        if (p->h->answers[i].ip.proto == IPPROTO_TCP_)
            assert_memory_equal(p->h->answers[i].b, mac.b, 6);
    p->ack++;
    say(p, SEG_ACK, NULL, 0);
}

static void p7_unsolicited_replies_do_not_overwrite(void **state)
{
    struct host *h = *state;
    struct peer p = peer_at(h, TAP, "10.0.1.2", "10.0.1.1", 2002);
    struct mac thief = MAC_N(66);
    struct packet k;

    open_passive(&p);
    elapse(h, ESTAB_S(6)); /* the neighbour was asked, and answers */
    packet_arp(&k, ARP_REPLY, PEER_MAC, "10.0.1.2", "10.0.1.1", OUR_MAC);
    feed(h, TAP, &k);
    assert_goes_to(&p, PEER_MAC);
    for (int i = 0; i < 10; i++) {
        mark(h);
        packet_arp(&k, i % 2 ? ARP_REPLY : ARP_REQUEST, thief, "10.0.1.2", "10.0.1.2", ALL_MAC);
        assert_in_range(feed(h, TAP, &k), 0, 1); /* doubt: the old address is asked */
        assert_only(h, RULE_ARP_UNSOLICITED, 1);
        assert_goes_to(&p, PEER_MAC);
    }
    /* nobody that we did not ask for gets an entry by a reply */
    hostile_arp(h, ARP_REPLY, thief, "10.0.1.66", "10.0.1.1", RULE_ARP_UNSOLICITED);
    assert_null(ip_neigh_find(&h->s->ip, TAP, ip("10.0.1.66").b));
}

static void p7_a_hundred_thousand_senders(void **state)
{
    struct host *h = *state;
    struct peer p = peer_at(h, TAP, "10.0.1.2", "10.0.1.1", 2003);
    struct footprint before;
    struct packet k;

    open_passive(&p);
    assert_goes_to(&p, PEER_MAC);
    before = footprint_of(h);
    for (uint32_t i = 0; i < 100000; i++) {
        packet_arp(&k, ARP_REQUEST, MAC_N(i), "10.0.1.3", "10.0.1.1", ALL_MAC);
        k.b[ETH_HDR_LEN + 17] = (uint8_t)(3 + i % 250);
        k.b[ETH_HDR_LEN + 16] = (uint8_t)(i / 250 % 256); /* most are not even on the link */
        assert_in_range(feed(h, TAP, &k), 0, 1);
    }
    assert_untouched(h, &before);
    assert_goes_to(&p, PEER_MAC);
}

static void p7_parked_packets_are_bounded(void **state)
{
    struct host *h = *state;
    struct footprint before;
    struct packet k;

    elapse(h, ESTAB_S(2));
    packet_echo(&k, "10.0.1.99", "10.0.1.1", 1000); /* whom nobody knows */
    packet_link(&k, PEER_MAC, OUR_MAC);
    feed(h, TAP, &k);
    before = footprint_of(h);
    for (int i = 0; i < 300; i++)
        feed(h, TAP, &k);
    assert_untouched(h, &before);
    /* given up, they are lost; the neighbour found, three are sent */
    packet_arp(&k, ARP_REPLY, MAC_N(99), "10.0.1.99", "10.0.1.1", OUR_MAC);
    assert_int_equal(feed(h, TAP, &k), IP_NEIGH_WAIT);
}

/* ---- P8: LAND; a source that is broadcast, multicast, 0.0.0.0, 127/8 ---- */

static void p8_land(void **state)
{
    struct host *h = *state;
    struct peer p4 = peer_at(h, TUN, "10.0.0.1", "10.0.0.1", LISTEN_PORT);
    struct peer p6 = peer_at(h, TUN, "2001:db8::1", "2001:db8::1", LISTEN_PORT);
    struct packet k;

    for (uint16_t flags = 0; flags < 256; flags++) {
        hostile_seg(&p4, (struct sg){.flags = (uint8_t)flags, .seq = 1, .ack = 1}, RULE_IP_LAND);
        hostile_seg(&p6, (struct sg){.flags = (uint8_t)flags, .seq = 1, .ack = 1}, RULE_IP_LAND);
    }
    p4.pport = 1; /* the address is enough */
    hostile_seg(&p4, (struct sg){.flags = SEG_SYN}, RULE_IP_LAND);
    packet_echo(&k, "10.0.0.1", "10.0.0.1", 8);
    hostile(h, TUN, &k, RULE_IP_LAND);
}

/* [MUST-63, RFC1122-3.2.1.3-2] */
static void p8_sources_that_are_not_one_host(void **state)
{
    static const char *const v4[] = {"0.0.0.0",     "0.1.2.3",         "127.0.0.1",
                                     "127.255.0.1", "224.0.0.1",       "239.255.255.255",
                                     "240.0.0.1",   "255.255.255.255", "10.0.0.255"};
    static const char *const v6[] = {"::", "::1", "ff02::1", "ff0e::5", "::ffff:10.0.0.2", "::7"};
    struct host *h = *state;

    for (size_t i = 0; i < sizeof v4 / sizeof *v4; i++)
        for (uint16_t flags = 0; flags < 256; flags++) {
            struct peer p = peer_at(h, TUN, v4[i], "10.0.0.1", 2004);

            assert_int_equal(
                hostile_seg(&p, (struct sg){.flags = (uint8_t)flags, .seq = 5}, RULE_IP_SRC), 0);
        }
    for (size_t i = 0; i < sizeof v6 / sizeof *v6; i++)
        for (uint16_t flags = 0; flags < 256; flags++) {
            struct peer p = peer_at(h, TUN, v6[i], "2001:db8::1", 2004);

            assert_int_equal(
                hostile_seg(&p, (struct sg){.flags = (uint8_t)flags, .seq = 5}, RULE_IP_SRC), 0);
        }
}

/* RFC 9293 section 3.9.2.3 [MUST-57]: nor to a group. [RFC1122-4.2.3.10-1] */
static void p8_segments_to_a_group(void **state)
{
    static const char *const v4[] = {"10.0.0.255", "255.255.255.255", "224.0.0.1"};
    struct host *h = *state;

    for (uint16_t flags = 0; flags < 256; flags++) {
        struct peer p = peer_at(h, TUN, "2001:db8::2", "ff02::1", 2004);

        hostile_seg(&p, (struct sg){.flags = (uint8_t)flags, .seq = 5}, RULE_TCP_GROUP);
        for (size_t i = 0; i < 3; i++) {
            p = peer_at(h, TUN, "10.0.0.2", v4[i], 2004);
            hostile_seg(&p, (struct sg){.flags = (uint8_t)flags, .seq = 5}, RULE_TCP_GROUP);
        }
    }
}

static void p8_port_0(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 0), q = stranger(h, 2005);

    q.lport = 0;
    for (uint16_t flags = 0; flags < 256; flags++) {
        hostile_seg(&p, (struct sg){.flags = (uint8_t)flags}, RULE_TCP_PORT_0);
        hostile_seg(&q, (struct sg){.flags = (uint8_t)flags}, RULE_TCP_PORT_0);
    }
}

/* ---- P9: a bad checksum, a zero UDP checksum, offload flags that lie; nothing is allocated before
 * the checksum is known to be right ---- */

static void hostile_bits(struct host *h, const struct packet *good, size_t from, size_t to,
                         enum rule r)
{
    for (size_t bit = from * 8; bit < to * 8; bit++) {
        struct packet k = *good;

        k.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(hostile(h, TUN, &k, r), 0);
    }
}

/* [MUST-3, RFC1122-3.2.1.2-1, RFC4443-2.3-1, RFC1122-4.1.3.4-1] */
static void p9_bad_checksums(void **state)
{
    struct host *h = *state;
    struct packet k = *syn4(h);

    hostile_bits(h, &k, 4, IP4_HDR_LEN, RULE_IP_CSUM);
    hostile_bits(h, &k, IP4_HDR_LEN, k.len, RULE_TCP_CSUM);
    k = *syn6(h);
    hostile_bits(h, &k, IP6_HDR_LEN, k.len, RULE_TCP_CSUM);
    packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
    hostile_bits(h, &k, IP4_HDR_LEN, IP4_HDR_LEN + 4, RULE_UDP_CSUM);
    hostile_bits(h, &k, IP4_HDR_LEN + 6, k.len, RULE_UDP_CSUM);
    packet_echo(&k, "10.0.0.2", "10.0.0.1", 9);
    hostile_bits(h, &k, IP4_HDR_LEN, k.len, RULE_ICMP_CSUM);
    packet_echo(&k, "2001:db8::2", "2001:db8::1", 9);
    hostile_bits(h, &k, IP6_HDR_LEN, k.len, RULE_ICMP_CSUM);
}

/* Text for an established connection, which would have taken memory. */
static void p9_bad_checksum_takes_no_memory(void **state)
{
    struct host *h = *state;
    struct peer *p = h->witness;
    static uint8_t text[1400];
    uint8_t opts[12];
    struct packet k;

    put_ts(opts, p->ts_val, p->ts_ecr);
    packet_seg(&k, p,
               (struct sg){.flags = SEG_ACK,
                           .seq = p->seq,
                           .ack = p->ack,
                           .wnd = 1000,
                           .text = text,
                           .len = sizeof text,
                           .opts = opts,
                           .opts_len = sizeof opts});
    k.b[k.len - 1] ^= 1;
    assert_int_equal(hostile(h, TUN, &k, RULE_TCP_CSUM), 0);
}

static void p9_zero_udp_checksum(void **state)
{
    struct host *h = *state;
    struct packet k;

    packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
    be16_put(k.b + IP4_HDR_LEN + 6, 0); /* RFC 768: none was computed */
    assert_int_equal(hostile(h, TUN, &k, RULE_UDP_NO_PORT), 1);
    packet_udp(&k, "2001:db8::2", "2001:db8::1", 9);
    be16_put(k.b + IP6_HDR_LEN + 6, 0); /* RFC 8200 section 8.1: not in IPv6 */
    assert_int_equal(hostile(h, TUN, &k, RULE_UDP_CSUM), 0);
}

/* What the link says about a frame is believed: it is the machine's own.  A claim that makes no
 * sense must still do no harm. */
static void p9_offload_flags_that_lie(void **state)
{
    static const struct estab_offload lies[] = {
        {.csum_start = 60000, .csum_offset = 60000},
        {.hdr_len = 65535},
        {.gso_type = ESTAB_GSO_NONE, .gso_size = 1},
        {.gso_type = ESTAB_GSO_TCPV6, .gso_size = 1},
        {.gso_type = ESTAB_GSO_TCPV4, .gso_size = 65535},
        {.gso_type = ESTAB_GSO_TCPV4, .gso_size = 0},
        {.gso_type = 77, .gso_size = 3, .flags = 0xf8},
        {.flags = ESTAB_OFF_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535},
    };
    struct host *h = *state;
    struct peer p = stranger(h, 2006);
    char buf[16];

    open_passive(&p);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct estab_frame f;
        struct packet k;

        packet_seg(&k, &p,
                   (struct sg){.flags = SEG_ACK,
                               .seq = p.seq,
                               .ack = p.ack,
                               .wnd = 1000,
                               .text = "truth",
                               .len = 5});
        p.seq += 5;
        f = frame_of(h, &k);
        f.off = lies[i];
        mark(h);
        estab_input(h->s, TUN, &f, 1);
        frame_free(&f);
        drain(h);
        assert_only(h, RULE_NONE, 0);
        assert_int_equal(user_reads(&p, buf, sizeof buf), 5);
        assert_memory_equal(buf, "truth", 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(p1_runt_frames),
        hostile_test(p1_frame_shorter_than_its_packet),
        hostile_test(p1_total_length_shorter_than_header),
        hostile_test(p1_header_length_below_5_words),
        hostile_test(p1_version_neither_4_nor_6),
        hostile_test(p1_ethertype_and_version_disagree),
        hostile_test(p1_padding_is_trimmed),
        hostile_test(p2_segment_shorter_than_a_header),
        hostile_test(p2_data_offset_past_the_packet),
        hostile_test(p3_option_of_length_0_or_1),
        hostile_test(p3_option_past_the_header),
        hostile_test(p3_source_routes_are_dropped),
        hostile_test(p3_options_are_not_echoed),
        hostile_test(p4_overlapping_fragments),
        hostile_test(p4_fragments_below_a_tcp_header),
        hostile_test(p4_fragments_beyond_65535),
        hostile_test(p4_fragments_of_odd_and_no_length),
        hostile_test(p4_out_of_order_with_different_lengths),
        hostile_test(p4_many_datagrams_of_one_fragment),
        hostile_test(p4_text_in_fragments_is_delivered),
        hostile_test(p4_ip_in_ip),
        hostile_test(p5_extension_length_past_the_packet),
        hostile_test(p5_option_past_the_end),
        hostile_test(p5_chain_of_100_headers),
        hostile_test(p5_hop_by_hop_not_first),
        hostile_test(p5_routing_header_0),
        hostile_test(p5_payload_length_past_the_frame),
        hostile_test(p5_jumbo_option),
        hostile_test(p5_atomic_fragment_is_no_fragment),
        hostile_test(p5_nd_options_of_length_0),
        hostile_test(p5_router_advert_prefix_longer_than_128),
        hostile_test(p5_router_advert_rdnss_of_odd_length),
        hostile_test(p6_echo_shorter_than_its_header),
        hostile_test(p6_echo_to_a_group),
        hostile_test(p6_echo_from_a_group),
        hostile_test(p6_echo_replies_are_limited),
        hostile_test(p7_sender_is_us),
        hostile_test(p7_sender_is_nobody),
        hostile_test(p7_wrong_lengths),
        hostile_test(p7_unsolicited_replies_do_not_overwrite),
        hostile_test(p7_a_hundred_thousand_senders),
        hostile_test(p7_parked_packets_are_bounded),
        hostile_test(p8_land),
        hostile_test(p8_sources_that_are_not_one_host),
        hostile_test(p8_segments_to_a_group),
        hostile_test(p8_port_0),
        hostile_test(p9_bad_checksums),
        hostile_test(p9_bad_checksum_takes_no_memory),
        hostile_test(p9_zero_udp_checksum),
        hostile_test(p9_offload_flags_that_lie),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

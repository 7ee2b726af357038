/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_icmp_test.c - echo, errors sent and their limits, errors received. */
#include "ip_net.h"

static void ping(struct net *n, const char *src, const char *dst, size_t data)
{
    struct packet k;

    packet_echo(&k, src, dst, data);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
}

/* ---- echo ---- */

static void assert_echoed(struct net *n, const struct packet *k, const char *from, const char *to)
{
    const uint8_t *data;
    struct ip_hdr h;
    struct icmp m;
    size_t len;

    assert_true(take(n, TUN));
    h = out_ip(n, TUN);
    data = out_icmp(n, TUN, &m);
    assert_addr(h.src, from);
    assert_addr(h.dst, to);
    assert_int_equal(h.hop_limit, 64);
    assert_int_equal(m.type, h.version == 4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY);
    assert_int_equal(m.code, 0);
    assert_int_equal(m.rest, 0x12340001);
    len = h.payload_len - ICMP_HDR_LEN;
    assert_memory_equal(data, k->b + k->len - len, len);
    assert_int_equal(k->len, n->out_len);
}

/* [RFC1122-3.2.2.6-2, RFC4443-4.2-1] */
static void test_echo_of_every_length(void **state)
{
    struct net *n = *state;
    struct packet k;
    size_t len;

    for (len = 0; len <= 1472; len += len < 1400 ? 1 + len / 40 : 1) {
        packet_echo(&k, "10.0.0.2", "10.0.0.1", len);
        give_cut(n, TUN, &k, 1 + len % 30, 35 + len % 7, 0);
        assert_echoed(n, &k, "10.0.0.1", "10.0.0.2");
        pass(n, ESTAB_MS(100));
    }
    for (len = 0; len <= 1452; len += len < 1400 ? 1 + len / 40 : 1) {
        packet_echo(&k, "2001:db8::2", "2001:db8::1", len);
        give_cut(n, TUN, &k, 40, 45, 50);
        assert_echoed(n, &k, "2001:db8::1", "2001:db8::2");
        pass(n, ESTAB_MS(100));
    }
}

/* Asked at any address of ours, that address answers. [RFC1122-3.2.2.6-1, RFC1122-3.3.4.2-1,
 * RFC4443-2.2-1] */
static void test_echo_from_the_address_asked(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.1.1", 8);
    give(n, TUN, &k);
    assert_echoed(n, &k, "10.0.1.1", "10.0.0.2");
}

static void test_echo_over_ethernet(void **state)
{
    struct net *n = *state;
    struct packet k;
    struct icmp m;

    packet_arp(&k, ARP_REQUEST, MAC_N(2), "10.0.1.2", "10.0.1.1", ALL_MAC);
    give(n, TAP, &k);
    take_all(n, TAP);
    packet_echo(&k, "10.0.1.2", "10.0.1.1", 56);
    packet_link(&k, MAC_N(2), OUR_MAC);
    give(n, TAP, &k);
    assert_true(take(n, TAP));
    out_icmp(n, TAP, &m);
    assert_int_equal(m.type, ICMP4_ECHO_REPLY);
    assert_memory_equal(n->out, MAC_N(2).b, 6);
}

static void test_jumbo_echo(void **state)
{
    struct estab_port_caps caps = tun_caps();
    struct net *n = *state;
    static struct packet k;
    int port;

    caps.mtu = 65535;
    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_addr_add(&n->l, port, ip("10.5.0.1").b, 120), 0);
    packet_echo(&k, "10.5.0.2", "10.5.0.1", 9000);
    give_cut(n, (uint8_t)port, &k, 100, 4000, 8000);
    assert_true(take(n, (uint8_t)port));
    assert_int_equal(n->out_len, 9028);
    packet_echo(&k, "10.5.0.2", "10.5.0.1", 65000); /* more than the pool keeps room for */
    give(n, (uint8_t)port, &k);
    assert_true(take(n, (uint8_t)port));
    assert_int_equal(n->out_len, 65028);
}

static void test_P6_echo_malformed(void **state)
{
    uint8_t msg[ICMP_HDR_LEN] = {ICMP4_ECHO, 0, 0xf7, 0xff};
    struct net *n = *state;
    struct packet k;
    size_t len;

    for (len = 0; len < ICMP_HDR_LEN; len++) {
        packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_ICMP4, 64, msg, len);
        give(n, TUN, &k);
        packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_ICMP6, 64, msg, len);
        give(n, TUN, &k);
    }
    assert_rule(n, RULE_ICMP_MALFORMED, 2 * ICMP_HDR_LEN);
    assert_false(take(n, TUN));
}

static void test_P6_echo_to_a_group(void **state)
{
    struct net *n = *state;
    struct ip_hdr h;

    ping(n, "10.0.0.2", "10.0.0.255", 8);
    ping(n, "10.0.0.2", "255.255.255.255", 8);
    ping(n, "10.0.0.2", "224.0.0.1", 8);
    assert_rule(n, RULE_ICMP_ECHO_GROUP, 3);
    assert_false(take(n, TUN));
    ping(n, "2001:db8::2", "ff02::1", 8); /* RFC 4443 section 4.2: from an address of ours */
    assert_true(take(n, TUN));
    h = out_ip(n, TUN);
    assert_addr(h.src, "2001:db8::1");
}

static void test_P6_echo_from_a_group(void **state)
{
    struct net *n = *state;

    ping(n, "224.0.0.1", "10.0.0.1", 8);
    ping(n, "10.0.0.255", "10.0.0.1", 8);
    ping(n, "ff02::1", "2001:db8::1", 8);
    ping(n, "::", "2001:db8::1", 8);
    ping(n, "::", "ff02::1", 8);
    assert_rule(n, RULE_IP_SRC, 5);
    assert_false(take(n, TUN));
}

static void test_P9_echo_checksum(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 8);
    k.b[25] ^= 1;
    give(n, TUN, &k);
    packet_echo(&k, "2001:db8::2", "2001:db8::1", 8);
    k.b[k.len - 1] ^= 1;
    give_cut(n, TUN, &k, 41, 43, 0);
    assert_rule(n, RULE_ICMP_CSUM, 2);
    assert_false(take(n, TUN));
}

/* ---- P6: the limit ---- */

static uint32_t flood(struct net *n, uint32_t pings, estab_dur every)
{
    uint32_t i, answered = 0;

    for (i = 0; i < pings; i++) {
        ping(n, "10.0.0.2", "10.0.0.1", 8);
        answered += take_all(n, TUN);
        n->env.now += every;
    }
    return answered;
}

static void test_P6_rate(void **state)
{
    struct net *n = *state;
    uint32_t answered;

    assert_int_equal(flood(n, 10000, 0), IP_ICMP_BURST);
    assert_rule(n, RULE_ICMP_RATE, 10000 - IP_ICMP_BURST);
    answered = flood(n, 100000, ESTAB_US(100)); /* ten seconds */
    assert_true(answered > 5000 && answered <= 10000 + IP_ICMP_BURST);
    n->env.now += ESTAB_S(10);
    assert_int_equal(flood(n, 20, 0), 20);
}

/* RFC 4443 section 2.4 (f), and what CVE-2020-25705 taught: the level is nobody's to compute. */
static void test_P6_rate_is_random(void **state)
{
    struct net *n = *state;
    uint32_t i, answered, least = UINT32_MAX, most = 0;

    for (i = 0; i < 50; i++) {
        n->env.now += ESTAB_S(2);
        answered = flood(n, 200, 0);
        least = answered < least ? answered : least;
        most = answered > most ? answered : most;
    }
    assert_true(most <= IP_ICMP_BURST);
    assert_true(most - least >= 4);
}

/* Answers nobody takes fill a bounded queue, and ARP still gets through. */
static void test_queue_is_bounded(void **state)
{
    struct net *n = *state;
    uint32_t i, nfree = n->l.pkt_nfree;
    size_t used = n->env.used;
    struct packet k;

    packet_arp(&k, ARP_REQUEST, MAC_N(2), "10.0.1.2", "10.0.1.1", ALL_MAC);
    for (i = 0; i < 1000; i++) {
        ping(n, "10.0.0.2", "10.0.0.1", 1000);
        n->env.now += ESTAB_MS(20);
    }
    assert_true(n->rules.n[RULE_REPLY_FULL] > 900);
    assert_int_equal(n->env.used, used);
    give(n, TAP, &k);
    assert_true(take(n, TAP));
    assert_true(take_all(n, TUN) > 0);
    assert_int_equal(n->l.pkt_nfree, nfree);
}

static void test_answers_leave_room_for_questions(void **state)
{
    struct estab_port_caps caps = tun_caps();
    struct net *n = *state;
    struct packet k;
    uint32_t i;
    int port;

    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_addr_add(&n->l, port, ip("10.5.0.1").b, 120), 0);
    for (i = 0; i < 200; i++) {
        n->env.now += ESTAB_MS(20);
        packet_echo(&k, i % 2 ? "10.5.0.2" : "10.0.0.2", "10.5.0.1", 8);
        give(n, TUN, &k);
    }
    packet_arp(&k, ARP_REQUEST, MAC_N(2), "10.0.1.2", "10.0.1.1", ALL_MAC);
    give(n, TAP, &k);
    assert_true(take(n, TAP));
}

/* ---- errors we send ---- */

static void assert_error(struct net *n, const struct packet *k, uint8_t type, uint8_t code,
                         uint32_t rest)
{
    const uint8_t *quote;
    struct ip_hdr h;
    struct icmp m;
    size_t len;

    assert_true(take(n, TUN));
    h = out_ip(n, TUN);
    quote = out_icmp(n, TUN, &m);
    len = h.payload_len - ICMP_HDR_LEN;
    assert_int_equal(m.type, type);
    assert_int_equal(m.code, code);
    assert_int_equal(m.rest, rest);
    assert_true(n->out_len <= (h.version == 4 ? 576 : 1280));
    assert_true(len == k->len || n->out_len == (h.version == 4 ? 576 : 1280));
    assert_memory_equal(quote, k->b, len);
    assert_false(take(n, TUN));
}

/* [RFC1122-3.2.2.1-1, RFC1122-3.2.2-3, RFC4443-2.4-3] */
static void test_unknown_protocol(void **state)
{
    static uint8_t text[1400];
    struct net *n = *state;
    struct packet k;
    size_t len;

    for (len = 0; len <= sizeof text; len += 100) {
        packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, 200, 64, text, len);
        give_cut(n, TUN, &k, 7, 21, 22);
        assert_error(n, &k, ICMP4_UNREACH, 2, 0);
        packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, 200, 64, text, len);
        give_cut(n, TUN, &k, 7, 41, 42);
        assert_error(n, &k, ICMP6_PARAM_PROBLEM, 1, 6);
        pass(n, ESTAB_MS(100));
    }
    assert_rule(n, RULE_IP_PROTOCOL, 30);
    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_ICMP6, 64, text, 40);
    give(n, TUN, &k);
    assert_error(n, &k, ICMP4_UNREACH, 2, 0);
    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_ICMP4, 64, text, 40);
    give(n, TUN, &k);
    assert_error(n, &k, ICMP6_PARAM_PROBLEM, 1, 6);
}

/* RFC 4443 section 3.4: the pointer is where the unknown protocol was named. [RFC4443-3.4-1] */
static void test_unknown_protocol_behind_extensions(void **state)
{
    static const uint8_t ext[20] = {IPPROTO_DSTOPTS_, 0, 1, 4, 0, 0, 0, 0, 200, 0, 1, 4};
    struct net *n = *state;
    struct packet k;

    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_HOPOPTS_, 64, ext, sizeof ext);
    give(n, TUN, &k);
    assert_error(n, &k, ICMP6_PARAM_PROBLEM, 1, 48);
}

static void test_no_next_header(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_ip(&k, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_NONE_, 64, "abc", 3);
    give(n, TUN, &k);
    assert_false(take(n, TUN));
}

/* Link padding is no part of the packet, and of its quote. */
static void test_padding_is_not_quoted(void **state)
{
    struct net *n = *state;
    struct packet k, padded;

    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, 200, 64, "abc", 3);
    padded = k;
    memset(padded.b + k.len, 0xee, 30);
    padded.len += 30;
    give(n, TUN, &padded);
    assert_error(n, &k, ICMP4_UNREACH, 2, 0);
}

static void test_small_mtu_cuts_the_quote(void **state)
{
    struct estab_port_caps caps = tun_caps();
    static const uint8_t text[1000];
    struct net *n = *state;
    struct packet k;
    int port;

    caps.mtu = 68;
    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_addr_add(&n->l, port, ip("10.5.0.1").b, 120), 0);
    packet_ip(&k, ip("10.5.0.2").b, ip("10.5.0.1").b, 200, 64, text, sizeof text);
    give(n, (uint8_t)port, &k);
    assert_true(take(n, (uint8_t)port));
    assert_int_equal(n->out_len, 68);
}

/* P3: options, echoed into an error without overflowing anything. */
static void test_P3_options_are_quoted(void **state)
{
    uint8_t text[40 + 1000];
    struct net *n = *state;
    struct packet k;
    uint16_t csum;

    memset(text, 1, sizeof text); /* NOPs */
    packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, 200, 64, text, sizeof text);
    k.b[0] = 0x4f;
    k.b[10] = k.b[11] = 0;
    csum = csum_of(0, k.b, 60);
    memcpy(k.b + 10, &csum, 2);
    give(n, TUN, &k);
    assert_error(n, &k, ICMP4_UNREACH, 2, 0);
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e). [RFC1122-3.2.2-2, RFC4443-2.4-4] */
static void test_no_error_about_groups_and_errors(void **state)
{
    static const char *const pairs[][2] = {
        {"10.0.0.2", "10.0.0.255"},        {"10.0.0.2", "224.0.0.1"},  {"2001:db8::2", "ff02::1"},
        {"2001:db8::2", "ff02::1:ff00:1"}, {"10.0.0.255", "10.0.0.1"}, {"127.0.0.1", "10.0.0.1"},
        {"ff02::2", "2001:db8::1"}};
    uint8_t unreach[40] = {ICMP4_UNREACH, 77};
    struct net *n = *state;
    struct packet k;
    size_t i;

    for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        packet_ip(&k, ip(pairs[i][0]).b, ip(pairs[i][1]).b, 200, 64, "abcdefgh", 8);
        give(n, TUN, &k);
        ip_reply_unreach(&n->l, &n->d, IP_UNREACH_PORT);
    }
    packet_icmp(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, 64, unreach, sizeof unreach);
    give(n, TUN, &k);
    assert_false(take(n, TUN));
}

/* Nobody there to send it to: no route back. */
static void test_error_without_a_way_back(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_ip(&k, ip("192.0.2.1").b, ip("10.0.0.1").b, 200, 64, "abcdefgh", 8);
    give(n, TUN, &k);
    assert_false(take(n, TUN));
    assert_rule(n, RULE_NO_ROUTE, 1);
}

/* RFC 8200 section 4.2: the two highest bits of an unknown option say what to do. */
static void test_unknown_options(void **state)
{
    static const struct {
        uint8_t option;
        const char *dst;
        bool told;
    } cases[] = {
        {0x40, "2001:db8::1", false}, {0x80, "2001:db8::1", true}, {0xc0, "2001:db8::1", true},
        {0x40, "ff02::1", false},     {0x80, "ff02::1", true},     {0xc0, "ff02::1", false},
        {0x80, "2001:db8::9", false}, /* not ours */
    };
    uint8_t ext[28] = {IPPROTO_TCP_, 0, 0, 4};
    struct net *n = *state;
    struct packet k;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ext[2] = cases[i].option;
        packet_ip(&k, ip("2001:db8::2").b, ip(cases[i].dst).b, IPPROTO_DSTOPTS_, 64, ext,
                  sizeof ext);
        assert_int_equal(give_cut(n, TUN, &k, 1, 41, 44), IP_DONE);
        assert_rule(n, RULE_IP6_UNKNOWN_OPTION, i + 1);
        if (cases[i].told)
            assert_error(n, &k, ICMP6_PARAM_PROBLEM, 2, 42);
        assert_false(take(n, TUN));
    }
    ext[2] = 0x80;
    packet_ip(&k, ip("::").b, ip("ff02::1").b, IPPROTO_DSTOPTS_, 64, ext, sizeof ext);
    give(n, TUN, &k);
    packet_ip(&k, ip("2001:db8::1").b, ip("2001:db8::1").b, IPPROTO_DSTOPTS_, 64, ext, sizeof ext);
    give(n, TUN, &k);
    assert_false(take(n, TUN));
}

/* ---- errors we receive ---- */

static enum ip_verdict error_about(struct net *n, uint8_t type, uint8_t code, uint32_t rest,
                                   const char *src, const char *dst, uint8_t proto, size_t quoted)
{
    static const uint8_t tcp[40] = {0x12, 0x34, 0, 80, 1, 2, 3, 4};
    bool v4 = ip_is4(ip(src).b);
    struct icmp m = {.type = type, .code = code, .rest = rest};
    uint8_t msg[200];
    struct packet k;

    icmp_emit(&m, msg);
    packet_ip(&k, ip(src).b, ip(dst).b, proto, 64, tcp, sizeof tcp);
    memcpy(msg + ICMP_HDR_LEN, k.b, k.len);
    packet_icmp(&k, ip(v4 ? "10.0.0.254" : "2001:db8::fe").b, ip(v4 ? "10.0.0.1" : "2001:db8::1").b,
                64, msg, ICMP_HDR_LEN + quoted);
    return give_cut(n, TUN, &k, 1 + quoted % 3, 27 + quoted % 2, 50);
}

/* [RFC1122-3.2.2.1-2, RFC1122-3.2.2.4-1, RFC1122-3.2.2.5-1] */
static void test_errors_received(void **state)
{
    struct net *n = *state;

    assert_int_equal(error_about(n, ICMP4_UNREACH, 3, 0, "10.0.0.1", "10.0.0.2", IPPROTO_TCP_, 28),
                     IP_ERROR);
    assert_int_equal(n->e.meaning, ICMP_MEANS_PORT_UNREACH);
    assert_addr(n->e.quote.ip.src, "10.0.0.1");
    assert_addr(n->e.quote.ip.dst, "10.0.0.2");
    assert_int_equal(n->e.quote.sport, 0x1234);
    assert_int_equal(n->e.quote.dport, 80);
    assert_true(n->e.quote.has_seq);
    assert_int_equal(n->e.quote.seq, 0x01020304);
    assert_addr(n->d.ip.src, "10.0.0.254");
    assert_int_equal(
        error_about(n, ICMP6_UNREACH, 0, 0, "2001:db8::1", "2001:db8::2", IPPROTO_TCP_, 60),
        IP_ERROR);
    assert_int_equal(n->e.meaning, ICMP_MEANS_NET_UNREACH);
    assert_int_equal(error_about(n, ICMP4_UNREACH, 3, 0, "10.0.0.1", "10.0.0.2", IPPROTO_UDP_, 28),
                     IP_ERROR);
    assert_false(take(n, TUN));
}

static void test_errors_about_others(void **state)
{
    struct net *n = *state;

    error_about(n, ICMP4_UNREACH, 3, 0, "10.0.0.7", "10.0.0.2", IPPROTO_TCP_, 28);
    error_about(n, ICMP4_UNREACH, 3, 0, "10.0.1.1", "10.0.0.2", IPPROTO_TCP_, 28); /* ours: other */
    error_about(n, ICMP4_UNREACH, 3, 0, "10.0.0.1", "10.0.0.2", IPPROTO_ICMP4, 28);
    error_about(n, ICMP6_UNREACH, 0, 0, "2001:db8::7", "2001:db8::2", IPPROTO_TCP_, 60);
    assert_rule(n, RULE_ICMP_QUOTE, 4);
}

/* B7: a quote too short to tell whose it was. */
static void test_short_quotes(void **state)
{
    struct net *n = *state;
    size_t len;

    for (len = 0; len < 24; len++)
        assert_int_equal(
            error_about(n, ICMP4_UNREACH, 3, 0, "10.0.0.1", "10.0.0.2", IPPROTO_TCP_, len),
            IP_DONE);
    for (len = 0; len < 44; len++)
        assert_int_equal(
            error_about(n, ICMP6_UNREACH, 3, 0, "2001:db8::1", "2001:db8::2", IPPROTO_TCP_, len),
            IP_DONE);
    assert_rule(n, RULE_ICMP_MALFORMED, 24 + 44);
    assert_int_equal(error_about(n, ICMP4_UNREACH, 3, 0, "10.0.0.1", "10.0.0.2", IPPROTO_TCP_, 24),
                     IP_ERROR);
    assert_false(n->e.quote.has_seq);
}

/* B7: RFC 1191 section 3, RFC 8201 section 4. [RFC8201-4-1] */
static void test_too_big(void **state)
{
    static const struct {
        uint32_t said, means;
    } cases4[] = {{0, 0}, {1, 68}, {67, 68}, {68, 68}, {296, 296}, {1400, 1400}, {65535, 65535}};
    struct net *n = *state;
    size_t i;

    for (i = 0; i < sizeof cases4 / sizeof cases4[0]; i++) {
        assert_int_equal(error_about(n, ICMP4_UNREACH, 4, cases4[i].said, "10.0.0.1", "10.0.0.2",
                                     IPPROTO_TCP_, 28),
                         IP_ERROR);
        assert_int_equal(n->e.meaning, ICMP_MEANS_TOO_BIG);
        assert_int_equal(n->e.mtu, cases4[i].means);
    }
    assert_int_equal(
        error_about(n, ICMP6_TOO_BIG, 0, 1280, "2001:db8::1", "2001:db8::2", IPPROTO_TCP_, 60),
        IP_ERROR);
    assert_int_equal(n->e.mtu, 1280);
    for (i = 0; i < 1280; i += 1279)
        assert_int_equal(error_about(n, ICMP6_TOO_BIG, 0, (uint32_t)i, "2001:db8::1", "2001:db8::2",
                                     IPPROTO_TCP_, 60),
                         IP_DONE);
    assert_rule(n, RULE_ICMP_MALFORMED, 2);
}

/* [MUST-55, RFC5927-6-1, RFC1122-3.2.2-1, RFC4443-2.4-2] */
static void test_ignored(void **state)
{
    static const uint8_t ignored4[] = {
        ICMP4_ECHO_REPLY, ICMP4_SOURCE_QUENCH, ICMP4_REDIRECT, 13, 14, 15, 17, 30, 255};
    static const uint8_t ignored6[] = {ICMP6_ECHO_REPLY, 130, ICMP6_REDIRECT, 200, 255};
    struct net *n = *state;
    size_t i;

    for (i = 0; i < sizeof ignored4; i++)
        assert_int_equal(
            error_about(n, ignored4[i], 0, 0, "10.0.0.1", "10.0.0.2", IPPROTO_TCP_, 28), IP_DONE);
    for (i = 0; i < sizeof ignored6; i++)
        assert_int_equal(
            error_about(n, ignored6[i], 0, 0, "2001:db8::1", "2001:db8::2", IPPROTO_TCP_, 60),
            IP_DONE);
    assert_rule(n, RULE_ICMP_IGNORED, sizeof ignored4 + sizeof ignored6);
    assert_false(take(n, TUN));
}

/* RFC 4443 section 2.4 (a), RFC 1122 section 3.2.2.1: passed up, whatever they are. */
static void test_errors_of_unknown_kind(void **state)
{
    static const struct {
        uint8_t type, code;
    } kinds4[] = {{ICMP4_UNREACH, 77}, {ICMP4_TIME_EXCEEDED, 2}, {ICMP4_PARAM_PROBLEM, 3}},
      kinds6[] = {{0, 0},  {ICMP6_UNREACH, 77}, {ICMP6_TIME_EXCEEDED, 2}, {5, 0}, {100, 1},
                  {127, 0}};
    struct net *n = *state;
    size_t i;

    for (i = 0; i < sizeof kinds4 / sizeof kinds4[0]; i++) {
        assert_int_equal(error_about(n, kinds4[i].type, kinds4[i].code, 0, "10.0.0.1", "10.0.0.2",
                                     IPPROTO_TCP_, 28),
                         IP_ERROR);
        assert_int_equal(n->e.meaning, ICMP_MEANS_UNKNOWN);
    }
    for (i = 0; i < sizeof kinds6 / sizeof kinds6[0]; i++) {
        assert_int_equal(error_about(n, kinds6[i].type, kinds6[i].code, 0, "2001:db8::1",
                                     "2001:db8::2", IPPROTO_TCP_, 60),
                         IP_ERROR);
        assert_int_equal(n->e.meaning, ICMP_MEANS_UNKNOWN);
    }
    error_about(n, 100, 0, 0, "2001:db8::7", "2001:db8::2", IPPROTO_TCP_, 60);
    assert_rule(n, RULE_ICMP_QUOTE, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_echo_of_every_length),
        T(test_echo_from_the_address_asked),
        T(test_echo_over_ethernet),
        T(test_jumbo_echo),
        T(test_P6_echo_malformed),
        T(test_P6_echo_to_a_group),
        T(test_P6_echo_from_a_group),
        T(test_P9_echo_checksum),
        T(test_P6_rate),
        T(test_P6_rate_is_random),
        T(test_queue_is_bounded),
        T(test_answers_leave_room_for_questions),
        T(test_unknown_protocol),
        T(test_unknown_protocol_behind_extensions),
        T(test_no_next_header),
        T(test_padding_is_not_quoted),
        T(test_small_mtu_cuts_the_quote),
        T(test_P3_options_are_quoted),
        T(test_no_error_about_groups_and_errors),
        T(test_error_without_a_way_back),
        T(test_unknown_options),
        T(test_errors_received),
        T(test_errors_about_others),
        T(test_short_quotes),
        T(test_too_big),
        T(test_ignored),
        T(test_errors_of_unknown_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

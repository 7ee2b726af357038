/* SPDX-License-Identifier: BSD-2-Clause */
/* udp_layer_test.c - datagrams for which there is no socket. */
#include "ip_net.h"
#include "udp/udp.h"

/* data octets of text, with a right checksum. */
static void packet_udp(struct packet *k, const char *src, const char *dst, size_t data)
{
    uint8_t msg[1400];
    struct udp_hdr h = {40000, 53, (uint16_t)(UDP_HDR_LEN + data), 0};
    size_t i;

    udp_emit(&h, msg);
    for (i = 0; i < data; i++)
        msg[UDP_HDR_LEN + i] = (uint8_t)i;
    h.csum = csum_of(ip_pseudo(ip(src).b, ip(dst).b, IPPROTO_UDP_, h.len), msg, h.len);
    memcpy(msg + 6, &h.csum, 2);
    packet_ip(k, ip(src).b, ip(dst).b, IPPROTO_UDP_, 64, msg, h.len);
}

static void give_udp(struct net *n, const struct packet *k, size_t cut)
{
    struct udp_layer u;

    udp_init(&u, &n->l, &n->rules, 1);
    assert_int_equal(give_cut(n, TUN, k, cut, cut ? cut + 1 : 0, 0), IP_DELIVER);
    udp_recv(&u, &n->d);
    udp_fini(&u);
}

/* [RFC1122-4.1.3.1-1, RFC1122-3.2.2.1-1, RFC4443-3.1-1] */
static void test_port_unreachable(void **state)
{
    struct net *n = *state;
    struct packet k;
    struct icmp m;
    size_t len;

    for (len = 0; len < 100; len++) {
        packet_udp(&k, "10.0.0.2", "10.0.0.1", len);
        give_udp(n, &k, 1 + len / 4);
        assert_true(take(n, TUN));
        assert_memory_equal(out_icmp(n, TUN, &m), k.b, k.len);
        assert_int_equal(m.type, ICMP4_UNREACH);
        assert_int_equal(m.code, 3);
        packet_udp(&k, "2001:db8::2", "2001:db8::1", len);
        give_udp(n, &k, 1 + len / 2);
        assert_true(take(n, TUN));
        assert_memory_equal(out_icmp(n, TUN, &m), k.b, k.len);
        assert_int_equal(m.type, ICMP6_UNREACH);
        assert_int_equal(m.code, 4);
        pass(n, ESTAB_MS(100));
    }
    assert_rule(n, RULE_UDP_NO_PORT, 200);
}

static void test_P9_checksums(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
    k.b[k.len - 1] ^= 1;
    give_udp(n, &k, 0);
    assert_rule(n, RULE_UDP_CSUM, 1);
    packet_udp(&k, "2001:db8::2", "2001:db8::1", 9);
    k.b[k.len - 1] ^= 1;
    give_udp(n, &k, 45);
    assert_rule(n, RULE_UDP_CSUM, 2);
    packet_udp(&k, "2001:db8::2", "2001:db8::1", 9);
    k.b[46] = k.b[47] = 0; /* none: not in IPv6 */
    give_udp(n, &k, 0);
    assert_rule(n, RULE_UDP_CSUM, 3);
    assert_false(take(n, TUN));
    packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
    k.b[26] = k.b[27] = 0;
    give_udp(n, &k, 0);
    assert_rule(n, RULE_UDP_NO_PORT, 1);
    assert_true(take(n, TUN));
}

static void test_P9_link_has_verified(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
    k.b[26] ^= 1;
    n->frame.off.flags = ESTAB_OFF_NEEDS_CSUM;
    give_udp(n, &k, 0);
    assert_rule(n, RULE_UDP_CSUM, 0);
    assert_rule(n, RULE_UDP_NO_PORT, 1);
}

static void test_lengths(void **state)
{
    struct net *n = *state;
    struct packet k;
    unsigned len;

    for (len = 0; len < UDP_HDR_LEN; len++) {
        packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
        be16_put(k.b + 24, (uint16_t)len);
        give_udp(n, &k, 0);
        packet_ip(&k, ip("10.0.0.2").b, ip("10.0.0.1").b, IPPROTO_UDP_, 64, "\1\2\3\4\0\7\0", len);
        give_udp(n, &k, 0);
    }
    packet_udp(&k, "10.0.0.2", "10.0.0.1", 9);
    be16_put(k.b + 24, 18);
    give_udp(n, &k, 0);
    assert_rule(n, RULE_UDP_MALFORMED, 2 * UDP_HDR_LEN + 1);
    assert_false(take(n, TUN));
}

/* What follows the datagram in its packet is not summed. */
static void test_shorter_than_its_packet(void **state)
{
    struct net *n = *state;
    struct packet k, longer;

    packet_udp(&k, "2001:db8::2", "2001:db8::1", 9);
    packet_ip(&longer, ip("2001:db8::2").b, ip("2001:db8::1").b, IPPROTO_UDP_, 64, k.b + 40, 27);
    give_udp(n, &longer, 50);
    assert_rule(n, RULE_UDP_NO_PORT, 1);
}

static void test_groups_get_no_answer(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_udp(&k, "10.0.0.2", "10.0.0.255", 9);
    give_udp(n, &k, 0);
    packet_udp(&k, "10.0.0.2", "224.0.0.1", 9);
    give_udp(n, &k, 0);
    packet_udp(&k, "2001:db8::2", "ff02::1", 9);
    give_udp(n, &k, 0);
    assert_rule(n, RULE_UDP_GROUP, 3);
    assert_false(take(n, TUN));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_port_unreachable),        T(test_P9_checksums),
        T(test_P9_link_has_verified),    T(test_lengths),
        T(test_shorter_than_its_packet), T(test_groups_get_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

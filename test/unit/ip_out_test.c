/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_out_test.c - ports, addresses, routes, paths, and the headers that go out. */
#include "ip_net.h"

static int find(struct net *n, const char *dst, const char *src, int hint, struct ip_path *p)
{
    struct addr16 s = {{0}};

    if (src)
        s = ip(src);
    return ip_path_find(&n->l, ip(dst).b, src ? s.b : NULL, hint, p);
}

static void goes(struct net *n, const char *dst, uint8_t port, const char *src)
{
    struct ip_path p;

    assert_int_equal(find(n, dst, NULL, -1, &p), 0);
    assert_int_equal(p.port, port);
    assert_addr(ip_local(&n->l, p.local), src);
}

/* ---- ports ---- */

static void test_port_limits(void **state)
{
    struct estab_port_caps caps = tun_caps(), eth = tap_caps();
    struct net *n = *state;
    int i;

    caps.mtu = 67;
    assert_int_equal(ip_port_add(&n->l, &caps), ESTAB_E_INVAL);
    caps.mtu = 65536;
    assert_int_equal(ip_port_add(&n->l, &caps), ESTAB_E_INVAL);
    eth.mac[0] = 0x03;
    assert_int_equal(ip_port_add(&n->l, &eth), ESTAB_E_INVAL);
    memset(eth.mac, 0, 6);
    assert_int_equal(ip_port_add(&n->l, &eth), ESTAB_E_INVAL);
    caps.mtu = 65535;
    eth = tap_caps();
    eth.medium = (enum estab_medium)7;
    assert_int_equal(ip_port_add(&n->l, &eth), ESTAB_E_INVAL);
    for (i = 2; i < IP_PORTS_MAX; i++)
        assert_int_equal(ip_port_add(&n->l, &caps), i);
    assert_int_equal(ip_port_add(&n->l, &caps), ESTAB_E_NOMEM);
}

static void test_memory_runs_out(void **state)
{
    struct estab_port_caps eth = tap_caps();
    struct net *n = *state, m;
    uint64_t i;

    (void)n;
    for (i = 1; i <= 2; i++) {
        net_empty(&m);
        m.te.fail_at = i;
        assert_int_equal(ip_port_add(&m.l, &eth), ESTAB_E_NOMEM);
        assert_int_equal(m.l.nports, 0);
        m.te.fail_at = 0;
        assert_int_equal(ip_port_add(&m.l, &eth), 0);
        ip_fini(&m.l);
        assert_int_equal(m.te.live, 0);
    }
}

/* ---- addresses ---- */

static void test_addresses_refused(void **state)
{
    static const struct {
        const char *addr;
        uint8_t prefix_len;
    } bad[] = {
        {"0.0.0.0", 120},     {"127.0.0.1", 120},     {"224.0.0.1", 120}, {"255.255.255.255", 120},
        {"10.9.0.255", 120},  {"10.9.0.1", 95},       {"10.9.0.1", 129},  {"240.0.0.1", 120},
        {"::", 64},           {"::1", 128},           {"ff02::1", 64},    {"::10.0.0.1", 96},
        {"2001:db8::5", 129}, {"10.0.0.1", 120},      {"10.0.1.1", 120},  {"2001:db8::1", 64},
        {"0.1.2.3", 120},     {"::ffff:0:10:1", 128},
    };
    struct net *n = *state;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ip_addr_add(&n->l, TUN, ip(bad[i].addr).b, bad[i].prefix_len),
                         ESTAB_E_INVAL);
    assert_int_equal(ip_addr_add(&n->l, -1, ip("10.9.0.1").b, 120), ESTAB_E_INVAL);
    assert_int_equal(ip_addr_add(&n->l, 2, ip("10.9.0.1").b, 120), ESTAB_E_INVAL);
    assert_int_equal(ip_addr_add(&n->l, TUN, ip("10.9.0.255").b, 127), 0); /* RFC 3021 */
    assert_int_equal(ip_addr_add(&n->l, TUN, ip("10.9.1.255").b, 128), 0);
}

static void test_ipv6_needs_its_minimum_mtu(void **state)
{
    struct estab_port_caps caps = tun_caps();
    struct net *n = *state;
    int port;

    caps.mtu = 1279;
    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_addr_add(&n->l, port, ip("2001:db8:2::1").b, 64), ESTAB_E_INVAL);
    assert_int_equal(ip_addr_add(&n->l, port, ip("10.2.0.1").b, 120), 0);
}

static void test_every_address_is_found(void **state)
{
    struct net *n = *state;
    uint32_t i, before = n->l.naddrs;
    struct addr16 a = ip("2001:db8:77::");

    for (i = before; i < IP_ADDRS_MAX; i++) {
        a.b[14] = (uint8_t)(i / 16);
        a.b[15] = (uint8_t)i;
        assert_int_equal(ip_addr_add(&n->l, TUN, a.b, 64), 0);
    }
    assert_int_equal(ip_addr_add(&n->l, TUN, ip("10.9.9.9").b, 120), ESTAB_E_NOMEM);
    for (i = before; i < IP_ADDRS_MAX; i++) {
        a.b[14] = (uint8_t)(i / 16);
        a.b[15] = (uint8_t)i;
        assert_int_equal(ip_local_find(&n->l, a.b), i);
    }
    assert_int_equal(ip_local_find(&n->l, ip("10.0.0.1").b), 0);
    assert_int_equal(ip_local_find(&n->l, ip("10.0.0.2").b), -1);
    assert_int_equal(ip_local_find(&n->l, ip("2001:db8::2").b), -1);
}

static void test_link_local_comes_with_the_first_address(void **state)
{
    struct net *n = *state;

    assert_true(ip_local_find(&n->l, ip("fe80::ff:fe00:1").b) >= 0);
    assert_int_equal(n->l.naddrs, 5);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip("2001:db8:9::1").b, 64), 0);
    assert_int_equal(n->l.naddrs, 6);
}

/* ---- routes and paths ---- */

/* [RFC1122-3.3.1.1-1] */
static void test_longest_prefix(void **state)
{
    struct net *n = *state;

    goes(n, "10.0.0.2", TUN, "10.0.0.1");
    goes(n, "10.0.1.2", TAP, "10.0.1.1");
    assert_int_equal(ip_route_add(&n->l, TUN, ip("0.0.0.0").b, 96, NULL), 0);
    assert_int_equal(ip_route_add(&n->l, TAP, ip("192.168.0.0").b, 112, ip("10.0.1.9").b), 0);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("192.168.7.0").b, 120, NULL), 0);
    goes(n, "8.8.8.8", TUN, "10.0.0.1");
    goes(n, "192.168.1.1", TAP, "10.0.1.1");
    goes(n, "192.168.7.1", TUN, "10.0.0.1");
    goes(n, "10.0.1.77", TAP, "10.0.1.1");
}

/* Bits behind the prefix do not matter, a second route replaces the first. */
static void test_route_is_replaced(void **state)
{
    struct ip_path p;
    struct net *n = *state;
    int i;

    for (i = 0; i < 2 * IP_ROUTES_MAX; i++)
        assert_int_equal(ip_route_add(&n->l, TUN, ip("192.168.0.5").b, 112, NULL), 0);
    for (i = 1; i < IP_ROUTES_MAX; i++) {
        struct addr16 a = ip("172.16.0.0");

        a.b[14] = (uint8_t)i;
        assert_int_equal(ip_route_add(&n->l, TUN, a.b, 120, NULL), 0);
    }
    assert_int_equal(ip_route_add(&n->l, TUN, ip("10.7.0.0").b, 112, NULL), ESTAB_E_NOMEM);
    assert_int_equal(find(n, "192.168.200.1", NULL, -1, &p), 0);
}

static void test_defaults_of_each_family(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_int_equal(ip_route_add(&n->l, TUN, ip("::").b, 0, NULL), 0);
    goes(n, "2001:db8:99::1", TUN, "2001:db8::1");
    assert_int_equal(find(n, "8.8.8.8", NULL, -1, &p), ESTAB_E_UNREACH);
    assert_int_equal(ip_route_add(&n->l, TAP, ip("::").b, 0, ip("10.0.1.9").b), 0);
    goes(n, "8.8.8.8", TAP, "10.0.1.1");
    goes(n, "2001:db8:99::1", TUN, "2001:db8::1");
}

static void test_routes_refused(void **state)
{
    struct net *n = *state;

    assert_int_equal(ip_route_add(&n->l, 5, ip("::").b, 0, NULL), ESTAB_E_INVAL);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("::").b, 129, NULL), ESTAB_E_INVAL);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("192.168.0.0").b, 112, ip("fe80::1").b),
                     ESTAB_E_INVAL);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("2001::").b, 16, ip("10.0.0.9").b), ESTAB_E_INVAL);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("192.168.0.0").b, 112, ip("224.0.0.1").b),
                     ESTAB_E_INVAL);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("192.168.0.0").b, 112, ip("0.0.0.0").b),
                     ESTAB_E_INVAL);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("192.168.0.0").b, 112, ip("10.0.1.255").b),
                     ESTAB_E_INVAL);
}

/* [MUST-46] */
static void test_unreachable_destinations(void **state)
{
    static const char *const dst[] = {
        "0.0.0.0",         "0.1.2.3",     "127.0.0.1",
        "224.0.0.5",       "240.0.0.1",   "10.0.0.255",
        "255.255.255.255", "10.0.1.255",  "10.0.0.1", /* ours: there is no loopback */
        "10.0.1.1",        "::",          "::1",
        "ff02::1",         "2001:db8::1", "8.8.8.8" /* no route */,
        "2001:db8:99::1",
    };
    struct net *n = *state;
    struct ip_path p;
    size_t i;

    for (i = 0; i < sizeof dst / sizeof dst[0]; i++)
        assert_int_equal(find(n, dst[i], NULL, -1, &p), ESTAB_E_UNREACH);
}

/* [RFC1122-3.2.1.3-3] */
static void test_given_source(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_int_equal(find(n, "10.0.0.2", "10.0.1.1", -1, &p), 0); /* weak model */
    assert_int_equal(p.port, TUN);
    assert_addr(ip_local(&n->l, p.local), "10.0.1.1");
    assert_int_equal(find(n, "10.0.0.2", "10.0.0.3", -1, &p), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(find(n, "10.0.0.2", "2001:db8::1", -1, &p), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(find(n, "2001:db8::2", "fe80::ff:fe00:1", -1, &p), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(find(n, "2001:db8:1::2", "fe80::ff:fe00:1", -1, &p), 0);
}

/* [MUST-44] */
static void test_source_is_chosen(void **state)
{
    struct net *n = *state;

    assert_int_equal(ip_addr_add(&n->l, TAP, ip("2001:db8:5::1").b, 64), 0);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip("10.0.2.1").b, 120), 0);
    assert_int_equal(ip_route_add(&n->l, TAP, ip("::").b, 0, ip("fe80::99").b), 0);
    goes(n, "2001:db8:1::2", TAP, "2001:db8:1::1");
    goes(n, "2001:db8:5::2", TAP, "2001:db8:5::1");
    goes(n, "2001:db8:4::2", TAP, "2001:db8:5::1"); /* the longer match: RFC 6724 rule 8 */
    goes(n, "10.0.2.2", TAP, "10.0.2.1");
    goes(n, "10.0.1.2", TAP, "10.0.1.1");
}

static void test_port_without_an_address(void **state)
{
    struct estab_port_caps caps = tun_caps();
    struct net *n = *state;
    struct ip_path p;
    int port = ip_port_add(&n->l, &caps);

    assert_int_equal(ip_route_add(&n->l, port, ip("192.0.2.0").b, 120, NULL), 0);
    assert_int_equal(find(n, "192.0.2.1", NULL, -1, &p), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(find(n, "192.0.2.1", "10.0.0.1", -1, &p), 0);
    assert_int_equal(p.port, port);
}

static void test_link_local_destinations(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_int_equal(find(n, "fe80::2", NULL, TAP, &p), 0);
    assert_int_equal(p.port, TAP);
    assert_addr(ip_local(&n->l, p.local), "fe80::ff:fe00:1");
    assert_int_equal(find(n, "fe80::2", NULL, -1, &p), ESTAB_E_UNREACH); /* which link? */
    assert_int_equal(find(n, "fe80::2", NULL, 9, &p), ESTAB_E_UNREACH);
    assert_int_equal(find(n, "fe80::2", "fe80::ff:fe00:1", -1, &p), 0);
    assert_int_equal(p.port, TAP);
    assert_int_equal(find(n, "fe80::2", "fe80::ff:fe00:1", TUN, &p), ESTAB_E_ADDRNOTAVAIL);
}

/* With one port there is no question which link is meant. */
static void test_link_local_with_one_port(void **state)
{
    struct estab_port_caps eth = tap_caps();
    struct net *n = *state, one;
    struct ip_path p;

    (void)n;
    net_empty(&one);
    assert_int_equal(ip_port_add(&one.l, &eth), 0);
    assert_int_equal(ip_addr_add(&one.l, 0, ip("2001:db8::1").b, 64), 0);
    assert_int_equal(find(&one, "fe80::2", NULL, -1, &p), 0);
    assert_addr(ip_local(&one.l, p.local), "fe80::ff:fe00:1");
    ip_fini(&one.l);
}

static void test_bare_path_is_always_ready(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_int_equal(find(n, "10.0.0.2", NULL, -1, &p), 0);
    assert_int_equal(ip_path_ready(&n->l, &p, ip("10.0.0.2").b), IP_READY);
    assert_int_equal(ip_mtu(&n->l, &p), 1500);
    assert_false(take(n, TUN));
}

/* A path survives changes of routes: it keeps its source and finds the new way. */
static void test_path_follows_the_routes(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_int_equal(ip_route_add(&n->l, TAP, ip("192.0.2.0").b, 112, NULL), 0);
    assert_int_equal(find(n, "192.0.2.1", NULL, -1, &p), 0);
    assert_int_equal(p.port, TAP);
    assert_int_equal(ip_route_add(&n->l, TUN, ip("192.0.2.0").b, 120, NULL), 0);
    assert_int_equal(ip_path_ready(&n->l, &p, ip("192.0.2.1").b), IP_READY);
    assert_int_equal(p.port, TUN);
    assert_addr(ip_local(&n->l, p.local), "10.0.1.1");
}

/* ---- headers ---- */

/* [MAY-4] */
static void test_emit4(void **state)
{
    static const uint8_t want[IP4_HDR_LEN] = {0x45, 0xb8, 0,  120, 0, 0, 0x40, 0, 64, 6,
                                              0,    0,    10, 0,   0, 1, 10,   0, 0,  2};
    struct ip_send how = {.proto = IPPROTO_TCP_, .tos = 0xb8};
    uint8_t out[IP4_HDR_LEN];
    struct net *n = *state;
    struct ip_path p;

    find(n, "10.0.0.2", NULL, -1, &p);
    assert_int_equal(ip_emit_len(&n->l, &p, ip("10.0.0.2").b), IP4_HDR_LEN);
    ip_emit(&n->l, &p, ip("10.0.0.2").b, &how, 100, out);
    assert_int_equal(csum_fold(csum_add(0, out, sizeof out)), 0xffff);
    out[10] = out[11] = 0;
    assert_memory_equal(out, want, sizeof want);
}

static void test_emit6(void **state)
{
    struct ip_send how = {.proto = IPPROTO_TCP_, .tos = 2, .hop_limit = 9, .flow = 0xabcde};
    uint8_t out[IP6_HDR_LEN];
    struct net *n = *state;
    struct ip_path p;
    struct ip_hdr h;

    find(n, "2001:db8::2", NULL, -1, &p);
    assert_int_equal(ip_emit_len(&n->l, &p, ip("2001:db8::2").b), IP6_HDR_LEN);
    ip_emit(&n->l, &p, ip("2001:db8::2").b, &how, 0, out);
    assert_int_equal(ip6_parse(&h, out, sizeof out, sizeof out), RULE_NONE);
    assert_addr(h.src, "2001:db8::1");
    assert_addr(h.dst, "2001:db8::2");
    assert_int_equal(h.hop_limit, 9);
    assert_int_equal(h.flow, 0xabcde);
    assert_int_equal(h.tos, 2);
    assert_int_equal(h.payload_len, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_port_limits),
        T(test_memory_runs_out),
        T(test_addresses_refused),
        T(test_ipv6_needs_its_minimum_mtu),
        T(test_every_address_is_found),
        T(test_link_local_comes_with_the_first_address),
        T(test_longest_prefix),
        T(test_route_is_replaced),
        T(test_defaults_of_each_family),
        T(test_routes_refused),
        T(test_unreachable_destinations),
        T(test_given_source),
        T(test_source_is_chosen),
        T(test_port_without_an_address),
        T(test_link_local_destinations),
        T(test_link_local_with_one_port),
        T(test_bare_path_is_always_ready),
        T(test_path_follows_the_routes),
        T(test_emit4),
        T(test_emit6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

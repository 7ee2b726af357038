/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_neigh_test.c - neighbours on an Ethernet link, through ARP: asked, learned, aged, forged. */
#include "ip_net.h"

#define HIM "10.0.1.2"

static struct ip_path path_to(struct net *n, const char *dst)
{
    struct ip_path p;

    assert_int_equal(ip_path_find(&n->l, ip(dst).b, NULL, -1, &p), 0);
    return p;
}
static enum ip_ready ready(struct net *n, struct ip_path *p, const char *dst)
{
    return ip_path_ready(&n->l, p, ip(dst).b);
}
static void hear(struct net *n, uint16_t op, struct mac sha, const char *spa, const char *tpa)
{
    struct packet k;

    packet_arp(&k, op, sha, spa, tpa, op == ARP_REQUEST ? ALL_MAC : OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DONE);
}
static void assert_asks(struct net *n, const char *whom, struct mac to)
{
    struct arp a;

    assert_true(take(n, TAP));
    a = out_arp(n);
    assert_memory_equal(n->out, to.b, 6);
    assert_memory_equal(n->out + 6, OUR_MAC.b, 6);
    assert_int_equal(a.op, ARP_REQUEST);
    assert_memory_equal(a.sha, OUR_MAC.b, 6);
    assert_memory_equal(a.spa, ip("10.0.1.1").b + 12, 4);
    assert_memory_equal(a.tpa, ip(whom).b + 12, 4);
    assert_false(take(n, TAP));
}
static void assert_answers(struct net *n, struct mac to, const char *about)
{
    struct arp a;

    assert_true(take(n, TAP));
    a = out_arp(n);
    assert_memory_equal(n->out, to.b, 6);
    assert_int_equal(a.op, ARP_REPLY);
    assert_memory_equal(a.sha, OUR_MAC.b, 6);
    assert_memory_equal(a.spa, ip(about).b + 12, 4);
    assert_memory_equal(a.tha, to.b, 6);
    assert_false(take(n, TAP));
}
/* The MAC address that a datagram to him would go to now. */
static void assert_goes_to(struct net *n, const char *dst, struct mac to)
{
    struct ip_send how = {.proto = IPPROTO_TCP_};
    struct ip_path p = path_to(n, dst);
    uint8_t out[IP_LINK_HDR_MAX + IP6_HDR_LEN];

    assert_int_equal(ready(n, &p, dst), IP_READY);
    ip_emit(&n->l, &p, ip(dst).b, &how, 0, out);
    assert_memory_equal(out, to.b, 6);
    assert_memory_equal(out + 6, OUR_MAC.b, 6);
    assert_int_equal(be16_at(out + 12), ETHERTYPE_IP4);
}
static void resolve(struct net *n, const char *dst, struct mac mac)
{
    struct ip_path p = path_to(n, dst);

    assert_int_equal(ready(n, &p, dst), IP_WAIT);
    assert_asks(n, dst, ALL_MAC);
    hear(n, ARP_REPLY, mac, dst, "10.0.1.1");
    assert_goes_to(n, dst, mac);
}
/* An echo request from a neighbour we cannot answer before we know his address. */
static void ping_from(struct net *n, const char *src, size_t data)
{
    struct packet k;

    packet_echo(&k, src, "10.0.1.1", data);
    packet_link(&k, MAC_N(1), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DONE);
}

/* ---- asking ---- */

static void test_resolution(void **state)
{
    struct net *n = *state;
    struct ip_path p = path_to(n, HIM);
    uint32_t resolved = n->l.resolved;

    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    assert_asks(n, HIM, ALL_MAC);
    assert_int_equal(n->l.resolved, resolved);
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    assert_int_not_equal(n->l.resolved, resolved);
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    assert_int_equal(ip_emit_len(&n->l, &p, ip(HIM).b), 34);
    assert_goes_to(n, HIM, MAC_N(2));
    pass(n, ESTAB_S(10));
    assert_false(take(n, TAP));
}

static void test_nobody_answers(void **state)
{
    struct net *n = *state;
    struct ip_path p = path_to(n, HIM);
    uint32_t resolved = n->l.resolved, i;

    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    for (i = 0; i < 3; i++) {
        assert_asks(n, HIM, ALL_MAC);
        assert_int_equal(ready(n, &p, HIM), IP_WAIT);
        pass(n, ESTAB_S(1));
    }
    assert_false(take(n, TAP));
    assert_int_not_equal(n->l.resolved, resolved);
    assert_int_equal(ready(n, &p, HIM), IP_LOST);
    pass(n, ESTAB_S(2));
    assert_int_equal(ready(n, &p, HIM), IP_LOST);
    assert_false(take(n, TAP));
    pass(n, ESTAB_S(1));
    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    assert_asks(n, HIM, ALL_MAC);
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    assert_int_equal(ready(n, &p, HIM), IP_READY);
}

static void test_deadlines(void **state)
{
    struct net *n = *state;
    struct ip_path p = path_to(n, HIM);

    assert_true(ip_next(&n->l) == ESTAB_NEVER);
    assert_int_equal(ip_expire(&n->l), 0);
    ready(n, &p, HIM);
    assert_true(ip_next(&n->l) == n->env.now + ESTAB_S(1));
    n->env.now += ESTAB_S(1);
    assert_int_equal(ip_expire(&n->l), 1);
    assert_true(ip_next(&n->l) == n->env.now + ESTAB_S(1));
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    n->env.now += ESTAB_S(1);
    assert_int_equal(ip_expire(&n->l), 0);
    assert_true(ip_next(&n->l) == ESTAB_NEVER);
}

static void test_by_way_of_a_gateway(void **state)
{
    struct net *n = *state;
    struct ip_path p, q;

    assert_int_equal(ip_route_add(&n->l, TAP, ip("::").b, 0, ip("10.0.1.9").b), 0);
    p = path_to(n, "8.8.8.8");
    q = path_to(n, "9.9.9.9");
    assert_int_equal(ready(n, &p, "8.8.8.8"), IP_WAIT);
    assert_int_equal(ready(n, &q, "9.9.9.9"), IP_WAIT);
    assert_asks(n, "10.0.1.9", ALL_MAC);
    hear(n, ARP_REPLY, MAC_N(9), "10.0.1.9", "10.0.1.1");
    assert_int_equal(ready(n, &p, "8.8.8.8"), IP_READY);
    assert_goes_to(n, "8.8.8.8", MAC_N(9));
    assert_goes_to(n, "9.9.9.9", MAC_N(9));
    /* another gateway: the paths follow */
    assert_int_equal(ip_route_add(&n->l, TAP, ip("::").b, 0, ip("10.0.1.8").b), 0);
    assert_int_equal(ready(n, &p, "8.8.8.8"), IP_WAIT);
    assert_asks(n, "10.0.1.8", ALL_MAC);
    hear(n, ARP_REPLY, MAC_N(8), "10.0.1.8", "10.0.1.1");
    assert_int_equal(ready(n, &p, "8.8.8.8"), IP_READY);
    assert_goes_to(n, "8.8.8.8", MAC_N(8));
}

/* A path whose neighbour's slot now belongs to somebody else does not go there. */
static void test_slot_changes_hands(void **state)
{
    struct net *n = *state;
    struct ip_path p;
    struct ip_neigh *e;

    resolve(n, HIM, MAC_N(2));
    p = path_to(n, HIM);
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    e = ip_neigh_find(&n->l, TAP, ip(HIM).b);
    pass(n, ESTAB_S(100));
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    pass(n, ESTAB_S(10)); /* probes, unanswered: forgotten */
    take_all(n, TAP);
    assert_null(ip_neigh_find(&n->l, TAP, ip(HIM).b));
    resolve(n, "10.0.1.3", MAC_N(3));
    assert_ptr_equal(ip_neigh_find(&n->l, TAP, ip("10.0.1.3").b), e);
    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    assert_asks(n, HIM, ALL_MAC);
}

/* ---- packets of our own that wait ---- */

/* [RFC4861-7.2.2-1] */
static void test_answers_wait_for_the_neighbour(void **state)
{
    struct net *n = *state;
    uint32_t i;

    for (i = 0; i < 5; i++)
        ping_from(n, HIM, 10 + i);
    assert_asks(n, HIM, ALL_MAC);
    assert_rule(n, RULE_NEIGHBOUR_UNKNOWN, 2); /* the oldest two */
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    for (i = 2; i < 5; i++) {
        assert_true(take(n, TAP));
        assert_memory_equal(n->out, MAC_N(2).b, 6);
        assert_int_equal(out_ip(n, TAP).payload_len, ICMP_HDR_LEN + 10 + i);
    }
    assert_false(take(n, TAP));
}

static void test_answers_are_dropped_with_the_neighbour(void **state)
{
    struct net *n = *state;
    uint32_t nfree = n->l.pkt_nfree;

    ping_from(n, HIM, 10);
    ping_from(n, HIM, 10);
    pass(n, ESTAB_S(3));
    assert_rule(n, RULE_NEIGHBOUR_UNKNOWN, 2);
    assert_int_equal(take_all(n, TAP), 3); /* the questions */
    assert_int_equal(n->l.pkt_nfree, nfree);
    ping_from(n, HIM, 10); /* given up: lost at once */
    assert_rule(n, RULE_NEIGHBOUR_UNKNOWN, 3);
    assert_false(take(n, TAP));
    assert_int_equal(n->l.pkt_nfree, nfree);
}

/* Forged sources cannot take the whole pool: who is known is still answered. */
static void test_waiting_answers_are_bounded(void **state)
{
    struct net *n = *state;
    struct icmp m;
    char who[20];
    uint32_t i;

    resolve(n, HIM, MAC_N(2));
    for (i = 10; i < 110; i++) {
        n->env.now += ESTAB_MS(10);
        snprintf(who, sizeof who, "10.0.1.%u", i);
        ping_from(n, who, 10);
        ping_from(n, who, 10);
        take_all(n, TAP);
    }
    assert_int_equal(n->l.pkt_nwait, IP_NEIGH_WAIT_ALL);
    ping_from(n, HIM, 10);
    assert_true(take(n, TAP));
    out_icmp(n, TAP, &m);
    assert_int_equal(m.type, ICMP4_ECHO_REPLY);
    pass(n, ESTAB_S(5));
    take_all(n, TAP);
    assert_int_equal(n->l.pkt_nwait, 0);
}

/* ---- being asked ---- */

static void test_questions_are_answered(void **state)
{
    struct net *n = *state;

    hear(n, ARP_REQUEST, MAC_N(2), HIM, "10.0.1.1");
    assert_answers(n, MAC_N(2), "10.0.1.1");
    assert_goes_to(n, HIM, MAC_N(2)); /* learned: RFC 826 */
    hear(n, ARP_REQUEST, MAC_N(2), HIM, "10.0.1.5");
    assert_false(take(n, TAP));
    assert_rule(n, RULE_NOT_OURS, 1);
    hear(n, ARP_REQUEST, MAC_N(2), HIM, "10.0.0.1"); /* ours, but not on this port */
    assert_false(take(n, TAP));
    assert_rule(n, RULE_NOT_OURS, 2);
}

static void test_question_from_outside_the_subnet(void **state)
{
    struct net *n = *state;

    hear(n, ARP_REQUEST, MAC_N(2), "192.0.2.1", "10.0.1.1");
    assert_answers(n, MAC_N(2), "10.0.1.1");
    assert_null(ip_neigh_find(&n->l, TAP, ip("192.0.2.1").b));
}

/* RFC 5227 section 2.1.1: a probe has no sender yet. */
static void test_probe_is_answered(void **state)
{
    struct net *n = *state;

    hear(n, ARP_REQUEST, MAC_N(2), "0.0.0.0", "10.0.1.1");
    assert_answers(n, MAC_N(2), "10.0.1.1");
    assert_null(ip_neigh_find(&n->l, TAP, ip("0.0.0.0").b));
    hear(n, ARP_REQUEST, MAC_N(2), "0.0.0.0", "10.0.1.7");
    assert_false(take(n, TAP));
}

static void test_question_resolves_a_waiting_neighbour(void **state)
{
    struct net *n = *state;
    struct ip_path p = path_to(n, HIM);

    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    take_all(n, TAP);
    hear(n, ARP_REQUEST, MAC_N(2), HIM, "10.0.1.1");
    take_all(n, TAP);
    assert_goes_to(n, HIM, MAC_N(2));
}

/* ---- ageing: RFC 4861 section 7.3 ---- */

/* [RFC4861-7.3-1] */
static void test_stale_is_used_and_verified(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    resolve(n, HIM, MAC_N(2));
    p = path_to(n, HIM);
    pass(n, ESTAB_S(46));
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    assert_false(take(n, TAP));
    pass(n, ESTAB_S(5) - 1);
    assert_false(take(n, TAP));
    pass(n, 1);
    assert_asks(n, HIM, MAC_N(2)); /* to him alone */
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    pass(n, ESTAB_S(14));
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    assert_false(take(n, TAP));
}

/* [MUST-20, RFC1122-3.3.1.4-1]: a transport that hears nothing has its next hop verified, who was
 * reachable a moment ago. */
static void test_doubted_neighbour_is_verified(void **state)
{
    struct net *n = *state;
    struct ip_path p;
    unsigned asked = 0;

    resolve(n, HIM, MAC_N(2));
    p = path_to(n, HIM);
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    ip_path_doubt(&n->l, &p, ip(HIM).b);
    assert_asks(n, HIM, MAC_N(2));
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    pass(n, ESTAB_S(14));
    assert_false(take(n, TAP));
    ip_path_doubt(&n->l, &p, ip(HIM).b);
    for (unsigned s = 0; s < 10; s++) {
        pass(n, ESTAB_S(1));
        while (take(n, TAP))
            asked++;
    }
    assert_in_range(asked, 2, 4);
    assert_int_equal(ready(n, &p, HIM), IP_WAIT); /* forgotten, and asked for anew */
}

static void test_reachable_time_is_random(void **state)
{
    struct net *n = *state;
    struct ip_neigh *e;
    estab_time first = 0;
    unsigned i, same = 0;

    for (i = 0; i < 20; i++) {
        char who[20];

        snprintf(who, sizeof who, "10.0.1.%u", 10 + i);
        resolve(n, who, MAC_N(i));
        e = ip_neigh_find(&n->l, TAP, ip(who).b);
        assert_true(e->at >= n->env.now + ESTAB_S(15) && e->at < n->env.now + ESTAB_S(45));
        if (i == 0)
            first = e->at;
        else
            same += e->at == first;
    }
    assert_int_equal(same, 0);
}

static void test_unused_is_not_verified(void **state)
{
    struct net *n = *state;

    resolve(n, HIM, MAC_N(2));
    pass(n, ESTAB_S(1000));
    assert_false(take(n, TAP));
    assert_true(ip_next(&n->l) == ESTAB_NEVER);
}

static void test_vanished_neighbour_is_asked_for_again(void **state)
{
    struct net *n = *state;
    struct ip_path p;
    uint32_t i;

    resolve(n, HIM, MAC_N(2));
    p = path_to(n, HIM);
    pass(n, ESTAB_S(50));
    assert_int_equal(ready(n, &p, HIM), IP_READY);
    pass(n, ESTAB_S(5));
    for (i = 0; i < 3; i++) {
        assert_asks(n, HIM, MAC_N(2));
        assert_int_equal(ready(n, &p, HIM), IP_READY);
        pass(n, ESTAB_S(1));
    }
    assert_int_equal(ready(n, &p, HIM), IP_WAIT);
    assert_asks(n, HIM, ALL_MAC);
    hear(n, ARP_REPLY, MAC_N(3), HIM, "10.0.1.1"); /* a new card */
    assert_goes_to(n, HIM, MAC_N(3));
}

/* What an ARP packet about a neighbour changes, by the state he is in. */
static void test_arp_table(void **state)
{
    enum { REPLY, FOR_US, GRATUITOUS };
    static const struct {
        enum neigh_state from;
        int what;
        bool same; /* the address we know */
        enum neigh_state to;
        bool taken; /* the other one is used from now on */
    } cases[] = {
        {NEIGH_INCOMPLETE, REPLY, false, NEIGH_REACHABLE, true},
        {NEIGH_INCOMPLETE, FOR_US, false, NEIGH_STALE, true},
        {NEIGH_INCOMPLETE, GRATUITOUS, false, NEIGH_STALE, true},
        {NEIGH_FAILED, REPLY, false, NEIGH_FAILED, false},
        {NEIGH_FAILED, GRATUITOUS, false, NEIGH_FAILED, false},
        {NEIGH_FAILED, FOR_US, false, NEIGH_STALE, true},
        {NEIGH_STALE, REPLY, true, NEIGH_STALE, false},
        {NEIGH_STALE, REPLY, false, NEIGH_PROBE, false},
        {NEIGH_STALE, GRATUITOUS, false, NEIGH_PROBE, false},
        {NEIGH_STALE, FOR_US, true, NEIGH_STALE, false},
        {NEIGH_STALE, FOR_US, false, NEIGH_STALE, true},
        {NEIGH_DELAY, REPLY, true, NEIGH_DELAY, false},
        {NEIGH_DELAY, REPLY, false, NEIGH_DELAY, false},
        {NEIGH_DELAY, FOR_US, false, NEIGH_DELAY, false},
        {NEIGH_PROBE, REPLY, true, NEIGH_REACHABLE, false},
        {NEIGH_PROBE, REPLY, false, NEIGH_PROBE, false},
        {NEIGH_PROBE, FOR_US, true, NEIGH_PROBE, false},
        {NEIGH_PROBE, FOR_US, false, NEIGH_PROBE, false},
        {NEIGH_REACHABLE, REPLY, true, NEIGH_REACHABLE, false},
        {NEIGH_REACHABLE, REPLY, false, NEIGH_PROBE, false},
        {NEIGH_REACHABLE, FOR_US, false, NEIGH_PROBE, false},
        {NEIGH_REACHABLE, GRATUITOUS, false, NEIGH_PROBE, false},
    };
    struct net *n = *state;
    struct ip_neigh *e;
    struct ip_path p;
    struct mac mac;
    char who[20];
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(who, sizeof who, "10.0.1.%zu", 10 + i);
        p = path_to(n, who);
        ready(n, &p, who);
        e = ip_neigh_find(&n->l, TAP, ip(who).b);
        if (cases[i].from != NEIGH_INCOMPLETE)
            ip_neigh_known(&n->l, e, MAC_N(2).b, true);
        e->state = (uint8_t)cases[i].from;
        mac = cases[i].same ? MAC_N(2) : MAC_N(3);
        hear(n, cases[i].what == REPLY ? ARP_REPLY : ARP_REQUEST, mac, who,
             cases[i].what == GRATUITOUS ? who : "10.0.1.1");
        take_all(n, TAP);
        assert_int_equal(e->state, cases[i].to);
        if (e->state != NEIGH_FAILED)
            assert_memory_equal(e->mac, cases[i].taken ? MAC_N(3).b : MAC_N(2).b, 6);
    }
}

/* A neighbour on a port that has no address of that family is asked for from another port's. */
static void test_asked_from_another_ports_address(void **state)
{
    struct estab_port_caps caps = tap_caps();
    struct net *n = *state;
    struct ip_path p;
    struct arp a;
    int port;

    caps.mac[5] = 9;
    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_route_add(&n->l, port, ip("192.0.2.0").b, 120, NULL), 0);
    assert_int_equal(ip_path_find(&n->l, ip("192.0.2.5").b, ip("10.0.0.1").b, -1, &p), 0);
    assert_int_equal(ready(n, &p, "192.0.2.5"), IP_WAIT);
    assert_true(take(n, (uint8_t)port));
    a = out_arp(n);
    assert_memory_equal(a.spa, ip("10.0.0.1").b + 12, 4);
    assert_int_equal(ip_route_add(&n->l, port, ip("2001:db8:9::").b, 64, NULL), 0);
    assert_int_equal(ip_path_find(&n->l, ip("2001:db8:9::5").b, ip("2001:db8::1").b, -1, &p), 0);
    assert_int_equal(ready(n, &p, "2001:db8:9::5"), IP_WAIT);
    assert_true(take(n, (uint8_t)port));
    assert_addr(out_ip(n, TAP).src, "2001:db8::1");
}

/* ---- P7: lies ---- */

static void test_P7_malformed(void **state)
{
    static const struct {
        uint8_t at, value;
    } bad[] = {{1, 6}, {2, 0}, {4, 5}, {4, 0}, {4, 255}, {5, 16}, {5, 0}, {7, 0}, {7, 3}, {7, 8}};
    struct net *n = *state;
    struct packet k;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        packet_arp(&k, ARP_REQUEST, MAC_N(2), HIM, "10.0.1.1", ALL_MAC);
        k.b[ETH_HDR_LEN + bad[i].at] = bad[i].value;
        give(n, TAP, &k);
        assert_rule(n, RULE_ARP_MALFORMED, i + 1);
    }
    packet_arp(&k, ARP_REQUEST, MAC_N(2), HIM, "10.0.1.1", ALL_MAC);
    for (k.len = ETH_HDR_LEN + 1; k.len < ETH_HDR_LEN + ARP_LEN; k.len++)
        give_cut(n, TAP, &k, ETH_HDR_LEN + 5, 0, 0);
    assert_rule(n, RULE_ARP_MALFORMED, sizeof bad / sizeof bad[0] + ARP_LEN - 1);
    assert_false(take(n, TAP));
    assert_null(ip_neigh_find(&n->l, TAP, ip(HIM).b));
    for (i = 1; i < k.len; i++) { /* whole, in pieces */
        give_cut(n, TAP, &k, i, i + 1, i + 2);
        assert_answers(n, MAC_N(2), "10.0.1.1");
    }
}

static void test_P7_impossible_senders(void **state)
{
    static const struct mac macs[] = {
        {{0}}, {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, {{1, 0, 0x5e}}};
    static const char *const spas[] = {"255.255.255.255", "224.0.0.1", "127.0.0.1", "240.0.0.1"};
    struct net *n = *state;
    size_t i;

    for (i = 0; i < 3; i++)
        hear(n, ARP_REQUEST, macs[i], HIM, "10.0.1.1");
    for (i = 0; i < 4; i++)
        hear(n, ARP_REQUEST, MAC_N(2), spas[i], "10.0.1.1");
    assert_rule(n, RULE_ARP_MALFORMED, 7);
    assert_false(take(n, TAP));
    hear(n, ARP_REQUEST, MAC_N(2), "10.0.1.255",
         "10.0.1.1"); /* the broadcast address learns nobody */
    take_all(n, TAP);
    assert_null(ip_neigh_find(&n->l, TAP, ip("10.0.1.255").b));
    hear(n, ARP_REPLY, MAC_N(2), "0.0.0.0", "10.0.1.1");
    assert_rule(n, RULE_ARP_MALFORMED, 8);
}

static void test_P7_claims_our_address(void **state)
{
    struct net *n = *state;
    struct packet k;

    hear(n, ARP_REQUEST, MAC_N(2), "10.0.1.1", "10.0.1.1");
    hear(n, ARP_REPLY, MAC_N(2), "10.0.1.1", HIM);
    hear(n, ARP_REQUEST, MAC_N(2), "10.0.1.1", HIM);
    assert_rule(n, RULE_ARP_CONFLICT, 3);
    assert_null(ip_neigh_find(&n->l, TAP, ip("10.0.1.1").b));
    assert_false(take(n, TAP));
    packet_arp(&k, ARP_REQUEST, OUR_MAC, "10.0.1.1", HIM, ALL_MAC); /* our own, come back */
    memcpy(k.b + 6, MAC_N(2).b, 6);
    give(n, TAP, &k);
    assert_rule(n, RULE_ARP_CONFLICT, 3);
    assert_false(take(n, TAP));
}

static void test_P7_unsolicited_replies(void **state)
{
    struct net *n = *state;

    hear(n, ARP_REPLY, MAC_N(66), HIM, "10.0.1.1");
    assert_rule(n, RULE_ARP_UNSOLICITED, 1);
    assert_null(ip_neigh_find(&n->l, TAP, ip(HIM).b));
    resolve(n, HIM, MAC_N(2));
    hear(n, ARP_REPLY, MAC_N(66), HIM, "10.0.1.1");
    hear(n, ARP_REPLY, MAC_N(66), HIM, "10.0.1.1"); /* once more, while we verify */
    assert_rule(n, RULE_ARP_UNSOLICITED, 3);
    assert_asks(n, HIM, MAC_N(2)); /* is it still you? */
    assert_goes_to(n, HIM, MAC_N(2));
    hear(n, ARP_REPLY, MAC_N(2), HIM, "10.0.1.1");
    pass(n, ESTAB_S(10));
    assert_false(take(n, TAP));
    assert_goes_to(n, HIM, MAC_N(2));
}

static void test_P7_gratuitous(void **state)
{
    struct net *n = *state;

    hear(n, ARP_REQUEST, MAC_N(66), HIM, HIM);
    assert_null(ip_neigh_find(&n->l, TAP, ip(HIM).b));
    resolve(n, HIM, MAC_N(2));
    hear(n, ARP_REQUEST, MAC_N(66), HIM, HIM);
    hear(n, ARP_REQUEST, MAC_N(66), HIM, "10.0.1.1"); /* nor by asking us */
    assert_rule(n, RULE_ARP_UNSOLICITED, 3);
    assert_goes_to(n, HIM, MAC_N(2));
    /* If the old holder is gone, the new one is found by asking. */
    pass(n, ESTAB_S(3));
    take_all(n, TAP);
    resolve(n, HIM, MAC_N(66));
}

/* Nobody has confirmed the old address lately, and the new one asks for us. */
static void test_question_replaces_a_stale_address(void **state)
{
    struct net *n = *state;

    hear(n, ARP_REQUEST, MAC_N(2), HIM, "10.0.1.1");
    hear(n, ARP_REQUEST, MAC_N(3), HIM, "10.0.1.1");
    take_all(n, TAP);
    assert_goes_to(n, HIM, MAC_N(3));
}

static void test_P7_hundred_thousand_senders(void **state)
{
    struct estab_port_caps caps = tap_caps();
    struct net *n = *state;
    size_t used;
    uint32_t i;
    int port;

    caps.mac[5] = 9;
    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_addr_add(&n->l, port, ip("172.16.0.1").b, 108), 0);
    resolve(n, HIM, MAC_N(2));
    used = n->env.used;
    for (i = 0; i < 100000; i++) {
        struct packet k;
        struct arp a = {.op = ARP_REQUEST};

        memcpy(a.sha, MAC_N(i).b, 6);
        a.spa[0] = 172;
        a.spa[1] = (uint8_t)(17 + (i >> 16));
        a.spa[2] = (uint8_t)(i >> 8);
        a.spa[3] = (uint8_t)i;
        memcpy(a.tpa, ip("172.16.0.1").b + 12, 4);
        arp_emit(&a, k.b);
        k.len = ARP_LEN;
        packet_eth(&k, MAC_N(i), (struct mac){{2, 0, 0, 0, 0, 9}}, ETHERTYPE_ARP);
        give(n, (uint8_t)port, &k);
        assert_true(take(n, (uint8_t)port)); /* each is answered */
    }
    assert_int_equal(n->env.used, used);
    assert_goes_to(n, HIM, MAC_N(2)); /* and the one we talk to is still there */
    assert_false(take(n, TAP));
}

/* A flood of forged sources, each of which we would have to ask for: bounded questions, and the
 * neighbours we talk to stay. */
static void test_P7_flood_of_forged_sources(void **state)
{
    struct estab_port_caps caps = tap_caps();
    struct net *n = *state;
    uint32_t i, asked = 0, lost = 0;
    struct addr16 dst = ip("172.16.0.1");
    int port;

    caps.mac[5] = 9;
    port = ip_port_add(&n->l, &caps);
    assert_int_equal(ip_addr_add(&n->l, port, dst.b, 108), 0);
    resolve(n, HIM, MAC_N(2));
    pass(n, ESTAB_S(2));
    for (i = 0; i < 20000; i++) {
        struct ip_path p;

        dst.b[13] = 17;
        dst.b[14] = (uint8_t)(i >> 8);
        dst.b[15] = (uint8_t)i;
        if (ip_path_find(&n->l, dst.b, NULL, -1, &p) == 0)
            lost += ip_path_ready(&n->l, &p, dst.b) == IP_LOST;
        asked += take_all(n, (uint8_t)port);
    }
    assert_int_equal(asked, IP_NEIGH_MAX / 2);
    assert_true(lost >= 20000 - IP_NEIGH_MAX - 100);
    assert_true(n->rules.n[RULE_NEIGHBOUR_FULL] >= lost);
    assert_goes_to(n, HIM, MAC_N(2));
    pass(n, ESTAB_S(2));
    take_all(n, (uint8_t)port);
    resolve(n, "10.0.1.7", MAC_N(7)); /* the second after, others have their turn */
    assert_goes_to(n, HIM, MAC_N(2));
}

/* What we talked to longest ago goes first; what nobody wanted goes before that. */
static void test_who_has_to_go(void **state)
{
    struct net *n = *state;
    uint32_t i;
    char who[20];

    for (i = 2; i < 250; i++) {
        snprintf(who, sizeof who, "10.0.1.%u", i);
        resolve(n, who, MAC_N(i));
        pass(n, ESTAB_MS(1));
    }
    assert_int_equal(ip_addr_add(&n->l, TAP, ip("10.0.3.1").b, 118), 0);
    for (i = 248; i < IP_NEIGH_MAX; i++) {
        snprintf(who, sizeof who, "10.0.%u.%u", 2 + i / 256, i % 256);
        hear(n, ARP_REQUEST, MAC_N(i), who, "10.0.3.1");
        take_all(n, TAP);
    }
    pass(n, ESTAB_S(2));
    snprintf(who, sizeof who, "10.0.2.248");
    assert_non_null(ip_neigh_find(&n->l, TAP, ip(who).b));
    for (i = 0; i < 10; i++) {
        struct ip_path p;

        snprintf(who, sizeof who, "10.0.0.%u", 100 + i);
        p = path_to(n, who);
        snprintf(who, sizeof who, "10.0.3.%u", 2 + i);
        p = path_to(n, who);
        ready(n, &p, who);
    }
    take_all(n, TAP);
    for (i = 2; i < 250; i++) {
        snprintf(who, sizeof who, "10.0.1.%u", i);
        assert_goes_to(n, who, MAC_N(i));
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_resolution),
        T(test_nobody_answers),
        T(test_deadlines),
        T(test_by_way_of_a_gateway),
        T(test_slot_changes_hands),
        T(test_answers_wait_for_the_neighbour),
        T(test_answers_are_dropped_with_the_neighbour),
        T(test_waiting_answers_are_bounded),
        T(test_arp_table),
        T(test_asked_from_another_ports_address),
        T(test_questions_are_answered),
        T(test_question_from_outside_the_subnet),
        T(test_probe_is_answered),
        T(test_question_resolves_a_waiting_neighbour),
        T(test_stale_is_used_and_verified),
        T(test_doubted_neighbour_is_verified),
        T(test_reachable_time_is_random),
        T(test_unused_is_not_verified),
        T(test_vanished_neighbour_is_asked_for_again),
        T(test_P7_malformed),
        T(test_P7_impossible_senders),
        T(test_P7_claims_our_address),
        T(test_P7_unsolicited_replies),
        T(test_P7_gratuitous),
        T(test_question_replaces_a_stale_address),
        T(test_P7_hundred_thousand_senders),
        T(test_P7_flood_of_forged_sources),
        T(test_who_has_to_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_nd_test.c - neighbour discovery as a host: asked and answered, duplicate addresses, routers.
 */
#include "ip_net.h"

#define US       "2001:db8:1::1"
#define US_LOCAL "fe80::ff:fe00:1"
#define HIM      "2001:db8:1::2"

enum { R = 1, S = 2, O = 4, NO_LLADDR = 8 };

/* A neighbour discovery message as a host or router may send it; mac NULL: no option. */
static void packet_nd(struct packet *k, uint8_t type, const char *src, const char *dst,
                      const char *target, unsigned flags, const struct mac *mac)
{
    struct nd m;
    uint8_t msg[ND_MAX_LEN];
    size_t len;

    memset(&m, 0, sizeof m);
    memcpy(m.target, ip(target).b, 16);
    m.router = flags & R;
    m.solicited = flags & S;
    m.override = flags & O;
    if (mac) {
        memcpy(m.lladdr, mac->b, 6);
        m.has_lladdr = true;
    }
    len = nd_emit(&m, type, msg);
    packet_icmp(k, ip(src).b, ip(dst).b, 255, msg, len);
}
static struct mac group_mac(const char *group)
{
    struct mac m = {{0x33, 0x33}};

    memcpy(m.b + 2, ip(group).b + 12, 4);
    return m;
}
static void hear(struct net *n, uint8_t type, const char *src, const char *dst, const char *target,
                 unsigned flags, const struct mac *mac)
{
    struct packet k;

    packet_nd(&k, type, src, dst, target, flags, mac);
    packet_link(&k, MAC_N(2), ip_is_multicast(ip(dst).b) ? group_mac(dst) : OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DONE);
}
static void advertise(struct net *n, const char *target, unsigned flags, const struct mac *mac)
{
    hear(n, ICMP6_NEIGHBOUR_ADVERT, target, flags & S ? US : "ff02::1", target, flags, mac);
}
static enum ip_ready ready(struct net *n, const char *dst)
{
    struct ip_path p;

    assert_int_equal(ip_path_find(&n->l, ip(dst).b, NULL, TAP, &p), 0);
    return ip_path_ready(&n->l, &p, ip(dst).b);
}
static void assert_goes_to(struct net *n, const char *dst, struct mac to)
{
    struct ip_send how = {.proto = IPPROTO_TCP_};
    uint8_t out[IP_LINK_HDR_MAX + IP6_HDR_LEN];
    struct ip_path p;

    assert_int_equal(ip_path_find(&n->l, ip(dst).b, NULL, TAP, &p), 0);
    assert_int_equal(ip_path_ready(&n->l, &p, ip(dst).b), IP_READY);
    ip_emit(&n->l, &p, ip(dst).b, &how, 0, out);
    assert_memory_equal(out, to.b, 6);
    assert_int_equal(be16_at(out + 12), ETHERTYPE_IP6);
}
/* The next frame is a solicitation for target, sent from src. */
static void assert_solicits(struct net *n, const char *target, const char *src, const char *dst,
                            struct mac mac)
{
    struct ip_hdr h;
    struct nd m;

    assert_true(take(n, TAP));
    h = out_ip(n, TAP);
    m = out_nd(n, ICMP6_NEIGHBOUR_SOLICIT);
    assert_memory_equal(n->out, mac.b, 6);
    assert_memory_equal(n->out + 6, OUR_MAC.b, 6);
    assert_addr(h.src, src);
    assert_addr(h.dst, dst);
    assert_addr(m.target, target);
    assert_int_equal(m.has_lladdr, !ip_is_any(h.src));
    if (m.has_lladdr)
        assert_memory_equal(m.lladdr, OUR_MAC.b, 6);
    assert_false(take(n, TAP));
}
static void assert_advertises(struct net *n, const char *target, const char *dst, struct mac mac,
                              unsigned flags)
{
    struct ip_hdr h;
    struct nd m;

    assert_true(take(n, TAP));
    h = out_ip(n, TAP);
    m = out_nd(n, ICMP6_NEIGHBOUR_ADVERT);
    assert_memory_equal(n->out, mac.b, 6);
    assert_addr(h.src, target);
    assert_addr(h.dst, dst);
    assert_addr(m.target, target);
    assert_int_equal((m.router ? R : 0) | (m.solicited ? S : 0) | (m.override ? O : 0), flags);
    assert_true(m.has_lladdr);
    assert_memory_equal(m.lladdr, OUR_MAC.b, 6);
    assert_false(take(n, TAP));
}
static void resolve(struct net *n, const char *dst, struct mac mac)
{
    assert_int_equal(ready(n, dst), IP_WAIT);
    assert_true(take(n, TAP));
    advertise(n, dst, S | O, &mac);
    assert_int_equal(ready(n, dst), IP_READY);
}
static uint8_t state_of(struct net *n, const char *who)
{
    struct ip_neigh *e = ip_neigh_find(&n->l, TAP, ip(who).b);

    return e ? e->state : NEIGH_FREE;
}

/* ---- asking ---- */

static void test_resolution(void **state)
{
    struct net *n = *state;
    uint32_t resolved = n->l.resolved;

    assert_int_equal(ready(n, HIM), IP_WAIT);
    assert_solicits(n, HIM, US, "ff02::1:ff00:2", group_mac("ff02::1:ff00:2"));
    assert_int_equal(n->l.resolved, resolved);
    advertise(n, HIM, S | O, &MAC_N(2));
    assert_int_not_equal(n->l.resolved, resolved);
    assert_goes_to(n, HIM, MAC_N(2));
    assert_int_equal(state_of(n, HIM), NEIGH_REACHABLE);
}

static void test_link_local_neighbour(void **state)
{
    struct net *n = *state;

    assert_int_equal(ready(n, "fe80::2"), IP_WAIT);
    assert_solicits(n, "fe80::2", US_LOCAL, "ff02::1:ff00:2", group_mac("ff02::1:ff00:2"));
}

static void test_nobody_answers(void **state)
{
    struct net *n = *state;

    ready(n, HIM);
    pass(n, ESTAB_S(3) - 1);
    assert_int_equal(take_all(n, TAP), 3);
    assert_int_equal(ready(n, HIM), IP_WAIT);
    pass(n, 1);
    assert_int_equal(ready(n, HIM), IP_LOST);
    advertise(n, HIM, S | O, &MAC_N(2)); /* too late: nobody waits any more */
    assert_int_equal(ready(n, HIM), IP_LOST);
    assert_rule(n, RULE_ND_UNSOLICITED, 1);
    pass(n, ESTAB_S(3));
    assert_int_equal(ready(n, HIM), IP_WAIT);
    assert_int_equal(take_all(n, TAP), 1);
}

static void test_probe_is_unicast(void **state)
{
    struct net *n = *state;

    resolve(n, HIM, MAC_N(2));
    pass(n, ESTAB_S(46));
    assert_int_equal(ready(n, HIM), IP_READY);
    assert_int_equal(state_of(n, HIM), NEIGH_DELAY);
    pass(n, ESTAB_S(5));
    assert_solicits(n, HIM, US, HIM, MAC_N(2));
    advertise(n, HIM, S, NULL); /* the option may be left out: RFC 4861 section 4.4 */
    assert_int_equal(state_of(n, HIM), NEIGH_REACHABLE);
    assert_goes_to(n, HIM, MAC_N(2));
}

/* ---- answers: RFC 4861 section 7.2.5 and appendix C ---- */

/* [RFC4861-7.2.5-2] */
static void test_advertisement_table(void **state)
{
    static const struct {
        enum neigh_state from;
        unsigned flags;
        bool same;
        enum neigh_state to;
        bool taken; /* the new link address is used */
    } cases[] = {
        {NEIGH_INCOMPLETE, 0, false, NEIGH_STALE, true},
        {NEIGH_INCOMPLETE, S, false, NEIGH_REACHABLE, true},
        {NEIGH_INCOMPLETE, O, false, NEIGH_STALE, true},
        {NEIGH_INCOMPLETE, S | NO_LLADDR, true, NEIGH_INCOMPLETE, false},
        {NEIGH_REACHABLE, 0, true, NEIGH_REACHABLE, false},
        {NEIGH_REACHABLE, S, true, NEIGH_REACHABLE, false},
        {NEIGH_REACHABLE, 0, false, NEIGH_STALE, false},
        {NEIGH_REACHABLE, S, false, NEIGH_STALE, false},
        {NEIGH_REACHABLE, O, false, NEIGH_STALE, true},
        {NEIGH_REACHABLE, O, true, NEIGH_REACHABLE, false},
        {NEIGH_REACHABLE, S | O, false, NEIGH_REACHABLE, true},
        {NEIGH_STALE, 0, false, NEIGH_STALE, false},
        {NEIGH_STALE, S, false, NEIGH_STALE, false},
        {NEIGH_STALE, O, false, NEIGH_STALE, true},
        {NEIGH_STALE, O, true, NEIGH_STALE, false},
        {NEIGH_STALE, S, true, NEIGH_REACHABLE, false},
        {NEIGH_STALE, S | O, false, NEIGH_REACHABLE, true},
        {NEIGH_PROBE, 0, false, NEIGH_PROBE, false},
        {NEIGH_PROBE, S | NO_LLADDR, true, NEIGH_REACHABLE, false},
        {NEIGH_PROBE, S | O, false, NEIGH_REACHABLE, true},
        {NEIGH_PROBE, O, false, NEIGH_STALE, true},
        {NEIGH_DELAY, 0, true, NEIGH_DELAY, false},
        {NEIGH_DELAY, S, true, NEIGH_REACHABLE, false},
    };
    struct net *n = *state;
    struct mac old = MAC_N(2), new = MAC_N(3);
    struct ip_neigh *e;
    char who[40];
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(who, sizeof who, "2001:db8:1::%zx", 0x100 + i);
        ready(n, who);
        take_all(n, TAP);
        e = ip_neigh_find(&n->l, TAP, ip(who).b);
        if (cases[i].from != NEIGH_INCOMPLETE) {
            ip_neigh_known(&n->l, e, old.b, true);
            e->state = (uint8_t)cases[i].from;
        }
        advertise(n, who, cases[i].flags,
                  cases[i].flags & NO_LLADDR ? NULL
                  : cases[i].same            ? &old
                                             : &new);
        assert_int_equal(e->state, cases[i].to);
        if (e->state != NEIGH_INCOMPLETE)
            assert_memory_equal(e->mac, cases[i].taken ? new.b : old.b, 6);
    }
}

/* [RFC4861-7.2.5-1] */
static void test_advertisement_nobody_asked_for(void **state)
{
    struct net *n = *state;

    advertise(n, HIM, O, &MAC_N(66));
    advertise(n, HIM, S | O, &MAC_N(66));
    assert_rule(n, RULE_ND_UNSOLICITED, 2);
    assert_int_equal(state_of(n, HIM), NEIGH_FREE);
}

/* ---- being asked ---- */

/* [RFC4861-7.2.4-1] */
static void test_solicitation_is_answered(void **state)
{
    struct net *n = *state;

    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, "ff02::1:ff00:1", US, 0, &MAC_N(2));
    assert_advertises(n, US, HIM, MAC_N(2), S | O);
    assert_int_equal(state_of(n, HIM), NEIGH_STALE);
    assert_goes_to(n, HIM, MAC_N(2));
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, US, 0, NULL); /* a unicast probe without the option */
    assert_advertises(n, US, HIM, MAC_N(2), S | O);
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, US, 0, &MAC_N(3)); /* RFC 4861 section 7.2.3 */
    assert_advertises(n, US, HIM, MAC_N(3), S | O);
    assert_int_equal(state_of(n, HIM), NEIGH_STALE);
    assert_goes_to(n, HIM, MAC_N(3));
}

static void test_solicitation_for_others(void **state)
{
    struct net *n = *state;

    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, "ff02::1:ff00:1", "2001:db8:9::1", 0, &MAC_N(2));
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, "ff02::1:ff00:1", "2001:db8::1", 0, &MAC_N(2));
    assert_rule(n, RULE_NOT_OURS, 2);
    assert_false(take(n, TAP));
    assert_int_equal(state_of(n, HIM), NEIGH_FREE);
}

/* Somebody checks whether our address is free: everybody is told that it is not. */
static void test_duplicate_detection_is_answered(void **state)
{
    struct net *n = *state;

    hear(n, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1:ff00:1", US, 0, NULL);
    assert_advertises(n, US, "ff02::1", group_mac("ff02::1"), O);
}

static void test_solicitation_from_off_link(void **state)
{
    struct net *n = *state;

    hear(n, ICMP6_NEIGHBOUR_SOLICIT, "2001:db8:9::9", US, US, 0, &MAC_N(2));
    assert_advertises(n, US, "2001:db8:9::9", MAC_N(2), S | O);
    assert_int_equal(state_of(n, "2001:db8:9::9"), NEIGH_FREE);
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, "2001:db8:9::9", US, US, 0, NULL);
    assert_false(take(n, TAP));
    assert_rule(n, RULE_NEIGHBOUR_UNKNOWN, 1);
}

/* ---- P5: malformed ---- */

/* [RFC4861-7.1.1-1] */
static void test_P5_nd_refused(void **state)
{
    struct net *n = *state;
    struct mac group = {{0x33, 0x33, 0, 0, 0, 1}}, zero = {{0}};
    struct packet k;
    unsigned hops;

    for (hops = 0; hops < 255; hops += 51) {
        packet_nd(&k, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, US, 0, &MAC_N(2));
        k.b[7] = (uint8_t)hops;
        packet_link(&k, MAC_N(2), OUR_MAC);
        give(n, TAP, &k);
    }
    assert_rule(n, RULE_ND_HOP_LIMIT, 5);
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, "ff02::1", 0, &MAC_N(2));
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1:ff00:1", US, 0, &MAC_N(2));
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1", US, 0, NULL);
    hear(n, ICMP6_NEIGHBOUR_ADVERT, HIM, "ff02::1", HIM, S, &MAC_N(2));
    hear(n, ICMP6_NEIGHBOUR_ADVERT, HIM, US, "ff02::1", 0, &MAC_N(2));
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, US, 0, &group);
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, US, 0, &zero);
    assert_rule(n, RULE_ND_MALFORMED, 7);
    hear(n, ICMP6_ROUTER_SOLICIT, HIM, US, US, 0, &MAC_N(2)); /* we are no router */
    assert_rule(n, RULE_ICMP_IGNORED, 1);
    assert_false(take(n, TAP));
    assert_int_equal(state_of(n, HIM), NEIGH_FREE);
}

static void test_P5_option_of_length_zero(void **state)
{
    struct net *n = *state;
    uint8_t msg[ND_MAX_LEN] = {ICMP6_NEIGHBOUR_SOLICIT};
    struct packet k;

    memcpy(msg + 8, ip(US).b, 16);
    msg[24] = 1;
    packet_icmp(&k, ip(HIM).b, ip(US).b, 255, msg, sizeof msg);
    packet_link(&k, MAC_N(2), OUR_MAC);
    give(n, TAP, &k);
    msg[24] = 1;
    msg[25] = 2; /* past the end */
    packet_icmp(&k, ip(HIM).b, ip(US).b, 255, msg, sizeof msg);
    packet_link(&k, MAC_N(2), OUR_MAC);
    give(n, TAP, &k);
    assert_rule(n, RULE_ND_MALFORMED, 2);
    assert_false(take(n, TAP));
}

static void test_in_pieces(void **state)
{
    struct net *n = *state;
    struct packet k;
    size_t i;

    packet_nd(&k, ICMP6_NEIGHBOUR_SOLICIT, HIM, US, US, 0, &MAC_N(2));
    packet_link(&k, MAC_N(2), OUR_MAC);
    for (i = 1; i < k.len; i++) {
        give_cut(n, TAP, &k, i, i + 1, i + 9);
        assert_advertises(n, US, HIM, MAC_N(2), S | O);
    }
}

static void test_no_neighbours_on_a_bare_port(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_nd(&k, ICMP6_NEIGHBOUR_SOLICIT, "2001:db8::2", "2001:db8::1", "2001:db8::1", 0,
              &MAC_N(2));
    give(n, TUN, &k);
    assert_rule(n, RULE_ICMP_IGNORED, 1);
    assert_false(take(n, TUN));
}

static void test_flood_of_solicitations(void **state)
{
    struct net *n = *state;
    size_t used = n->env.used;
    char who[40];
    uint32_t i;

    resolve(n, HIM, MAC_N(2));
    for (i = 0; i < 20000; i++) {
        snprintf(who, sizeof who, "2001:db8:1::%x:%x", 1 + i / 256, i % 256);
        hear(n, ICMP6_NEIGHBOUR_SOLICIT, who, US, US, 0, &MAC_N(i));
        assert_int_equal(take_all(n, TAP), 1);
    }
    assert_int_equal(n->env.used, used);
    assert_goes_to(n, HIM, MAC_N(2));
}

/* ---- duplicate address detection: RFC 4862 section 5.4 ---- */

static int dad_setup(void **state)
{
    struct estab_port_caps tun = tun_caps(), tap = tap_caps();
    struct net *n = malloc(sizeof *n);

    tap.dad = true;
    net_empty(n);
    assert_int_equal(ip_port_add(&n->l, &tun), TUN);
    assert_int_equal(ip_port_add(&n->l, &tap), TAP);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip(US).b, 64), 0);
    *state = n;
    return 0;
}

static void test_dad_succeeds(void **state)
{
    struct net *n = *state;
    struct ip_path p;
    struct packet k;
    uint32_t asked = 0;
    estab_time end = n->env.now + ESTAB_S(2);

    assert_int_equal(ip_local_find(&n->l, ip(US).b), -1);
    assert_int_equal(ip_path_find(&n->l, ip(HIM).b, NULL, -1, &p), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(ip_path_find(&n->l, ip(HIM).b, ip(US).b, -1, &p), ESTAB_E_ADDRNOTAVAIL);
    packet_tcp(&k, HIM, US, 40);
    packet_link(&k, MAC_N(2), OUR_MAC);
    assert_int_equal(give(n, TAP, &k), IP_DONE);
    assert_rule(n, RULE_NOT_OURS, 1);
    while (ip_next(&n->l) < ESTAB_NEVER) {
        n->env.now = ip_next(&n->l);
        assert_true(n->env.now <= end);
        ip_expire(&n->l);
        while (take(n, TAP)) {
            struct ip_hdr h = out_ip(n, TAP);
            struct nd m = out_nd(n, ICMP6_NEIGHBOUR_SOLICIT);

            assert_true(ip_is_any(h.src));
            assert_false(m.has_lladdr);
            assert_true(ip_is_solicited_node_of(h.dst, m.target));
            asked++;
        }
    }
    assert_int_equal(asked, 2); /* the link-local address and ours */
    assert_true(ip_local_find(&n->l, ip(US).b) >= 0);
    assert_true(ip_local_find(&n->l, ip(US_LOCAL).b) >= 0);
    assert_int_equal(give(n, TAP, &k), IP_DELIVER);
    assert_int_equal(ip_path_find(&n->l, ip(HIM).b, NULL, -1, &p), 0);
}

static void test_dad_is_answered_by_the_holder(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    hear(n, ICMP6_NEIGHBOUR_ADVERT, US, "ff02::1", US, O, &MAC_N(66));
    assert_rule(n, RULE_ND_DUPLICATE, 1);
    pass(n, ESTAB_S(5));
    assert_int_equal(ip_local_find(&n->l, ip(US).b), -1);
    assert_true(ip_local_find(&n->l, ip(US_LOCAL).b) >= 0);
    assert_int_equal(ip_path_find(&n->l, ip(HIM).b, ip(US).b, -1, &p), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip(US).b, 64), 0); /* the user may try again */
    pass(n, ESTAB_S(5));
    assert_true(ip_local_find(&n->l, ip(US).b) >= 0);
}

/* Another host wants the same address at the same time: neither gets it. */
static void test_dad_meets_another_dad(void **state)
{
    struct net *n = *state;
    struct packet k;

    hear(n, ICMP6_NEIGHBOUR_SOLICIT, HIM, "ff02::1:ff00:1", US, 0, &MAC_N(2)); /* only resolving */
    packet_nd(&k, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1:ff00:1", US, 0, NULL);
    packet_link(&k, OUR_MAC, group_mac("ff02::1:ff00:1")); /* our own, come back */
    give(n, TAP, &k);
    assert_rule(n, RULE_ND_DUPLICATE, 0);
    hear(n, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1:ff00:1", US, 0, NULL);
    assert_rule(n, RULE_ND_DUPLICATE, 1);
    pass(n, ESTAB_S(5));
    assert_int_equal(ip_local_find(&n->l, ip(US).b), -1);
    while (take(n, TAP))
        assert_int_not_equal(be16_at(n->out + 12), ETHERTYPE_ARP);
}

/* Once it is ours, nobody can take it away by claiming it. */
static void test_claim_to_an_address_in_use(void **state)
{
    struct net *n = *state;

    advertise(n, US, O, &MAC_N(66));
    assert_rule(n, RULE_ND_DUPLICATE, 1);
    assert_true(ip_local_find(&n->l, ip(US).b) >= 0);
    assert_int_equal(state_of(n, US), NEIGH_FREE);
}

/* ---- routers ---- */

#define ROUTER "fe80::99"

static int router_setup(void **state)
{
    struct estab_port_caps tun = tun_caps(), tap = tap_caps();
    struct net *n = malloc(sizeof *n);

    tap.router_solicit = true;
    net_empty(n);
    assert_int_equal(ip_port_add(&n->l, &tun), TUN);
    assert_int_equal(ip_port_add(&n->l, &tap), TAP);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip(US).b, 64), 0);
    *state = n;
    return 0;
}

struct ra {
    const char *src;
    uint16_t lifetime;
    const char *prefix;
    uint8_t prefix_len;
    uint32_t valid, mtu;
};
static void router_says(struct net *n, const struct ra *ra)
{
    uint8_t msg[64] = {ICMP6_ROUTER_ADVERT, 0, 0, 0, 64};
    size_t len = 16;
    struct packet k;

    be16_put(msg + 6, ra->lifetime);
    msg[len] = 1;
    msg[len + 1] = 1;
    memcpy(msg + len + 2, MAC_N(0x99).b, 6);
    len += 8;
    if (ra->prefix) {
        msg[len] = 3;
        msg[len + 1] = 4;
        msg[len + 2] = ra->prefix_len;
        msg[len + 3] = 0xc0;
        be32_put(msg + len + 4, ra->valid);
        be32_put(msg + len + 8, ra->valid);
        memcpy(msg + len + 16, ip(ra->prefix).b, 16);
        len += 32;
    }
    if (ra->mtu) {
        msg[len] = 5;
        msg[len + 1] = 1;
        be32_put(msg + len + 4, ra->mtu);
        len += 8;
    }
    packet_icmp(&k, ip(ra->src).b, ip("ff02::1").b, 255, msg, len);
    packet_link(&k, MAC_N(0x99), group_mac("ff02::1"));
    assert_int_equal(give_cut(n, TAP, &k, 60, 77, 0), IP_DONE);
}
static bool reachable(struct net *n, const char *dst)
{
    struct ip_path p;

    return ip_path_find(&n->l, ip(dst).b, NULL, -1, &p) == 0;
}

/* [RFC4861-6.3.7-1] */
static void test_router_solicitations(void **state)
{
    struct net *n = *state;
    struct ip_hdr h;
    struct nd m;
    uint32_t i;

    pass(n, ESTAB_S(1));
    for (i = 0; i < 3; i++) {
        assert_true(take(n, TAP));
        h = out_ip(n, TAP);
        m = out_nd(n, ICMP6_ROUTER_SOLICIT);
        assert_addr(h.src, US_LOCAL);
        assert_addr(h.dst, "ff02::2");
        assert_true(m.has_lladdr);
        assert_false(take(n, TAP));
        pass(n, ESTAB_S(4));
    }
    pass(n, ESTAB_S(60));
    assert_false(take(n, TAP));
}

static void test_default_router(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_false(reachable(n, "2001:db8:99::1"));
    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 100});
    assert_true(reachable(n, "2001:db8:99::1"));
    assert_goes_to(n, "2001:db8:99::1", MAC_N(0x99));
    pass(n, ESTAB_S(1));
    assert_false(take(n, TAP)); /* no more solicitations */
    assert_int_equal(ip_path_find(&n->l, ip("2001:db8:99::1").b, NULL, -1, &p), 0);
    pass(n, ESTAB_S(98));
    assert_int_not_equal(ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b), IP_LOST);
    pass(n, ESTAB_S(1));
    assert_false(reachable(n, "2001:db8:99::1"));
    assert_int_equal(ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b), IP_LOST);
}

static void test_router_resigns(void **state)
{
    struct net *n = *state;

    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 100});
    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 0});
    assert_false(reachable(n, "2001:db8:99::1"));
    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 100});
    assert_goes_to(n, "2001:db8:99::1", MAC_N(0x99));
    advertise(n, ROUTER, O, &MAC_N(0x99)); /* RFC 4861 section 7.3.3: without R, a host */
    assert_false(reachable(n, "2001:db8:99::1"));
}

/* RFC 4861 section 6.3.6: a router that does not answer is passed over. [RFC1122-3.3.1.4-1,
 * RFC4861-6.3.6-1] */
static void test_second_router(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 9000});
    router_says(n, &(struct ra){.src = "fe80::98", .lifetime = 9000});
    assert_int_equal(ip_path_find(&n->l, ip("2001:db8:99::1").b, NULL, -1, &p), 0);
    assert_int_equal(ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b), IP_READY);
    assert_memory_equal(n->l.neigh[p.neigh].addr, ip(ROUTER).b, 16);
    pass(n, ESTAB_S(9)); /* DELAY and PROBE pass without an answer: it is asked for again */
    assert_int_equal(ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b), IP_WAIT);
    pass(n, ESTAB_S(4));
    assert_int_equal(ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b), IP_READY);
    assert_memory_equal(n->l.neigh[p.neigh].addr, ip("fe80::98").b, 16);
}

static void test_configured_route_goes_first(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 100});
    assert_int_equal(ip_route_add(&n->l, TAP, ip("::").b, 0, ip("fe80::77").b), 0);
    assert_int_equal(ip_path_find(&n->l, ip("2001:db8:99::1").b, NULL, -1, &p), 0);
    ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b);
    assert_memory_equal(n->l.neigh[p.neigh].addr, ip("fe80::77").b, 16);
}

static void test_on_link_prefix(void **state)
{
    struct net *n = *state;

    router_says(
        n, &(struct ra){.src = ROUTER, .prefix = "2001:db8:55::", .prefix_len = 64, .valid = 60});
    assert_true(reachable(n, "2001:db8:55::7"));
    assert_false(reachable(n, "2001:db8:56::7"));
    assert_int_equal(ready(n, "2001:db8:55::7"), IP_WAIT); /* asked for itself */
    assert_true(ip_neigh_find(&n->l, TAP, ip("2001:db8:55::7").b) != NULL);
    pass(n, ESTAB_S(60));
    assert_false(reachable(n, "2001:db8:55::7"));
    router_says(
        n, &(struct ra){
               .src = ROUTER, .prefix = "2001:db8:55::", .prefix_len = 64, .valid = UINT32_MAX});
    pass(n, ESTAB_S(1000000));
    assert_true(reachable(n, "2001:db8:55::7"));
}

static void test_P5_prefixes_refused(void **state)
{
    struct net *n = *state;
    uint32_t before = n->l.path_gen;

    router_says(
        n, &(struct ra){.src = ROUTER, .prefix = "2001:db8:55::", .prefix_len = 129, .valid = 60});
    router_says(
        n, &(struct ra){.src = ROUTER, .prefix = "2001:db8:55::", .prefix_len = 255, .valid = 60});
    router_says(n, &(struct ra){.src = ROUTER, .prefix = "fe80::", .prefix_len = 10, .valid = 60});
    router_says(n, &(struct ra){.src = ROUTER, .prefix = "ff00::", .prefix_len = 8, .valid = 60});
    assert_int_equal(n->l.path_gen, before);
    assert_false(reachable(n, "2001:db8:55::7"));
}

static void test_router_mtu(void **state)
{
    struct net *n = *state;
    struct ip_path p4, p6;

    assert_int_equal(ip_addr_add(&n->l, TAP, ip("10.0.1.1").b, 120), 0);
    assert_int_equal(ip_path_find(&n->l, ip(HIM).b, NULL, -1, &p6), 0);
    assert_int_equal(ip_path_find(&n->l, ip("10.0.1.2").b, NULL, -1, &p4), 0);
    router_says(n, &(struct ra){.src = ROUTER, .mtu = 1279});
    router_says(n, &(struct ra){.src = ROUTER, .mtu = 1501});
    assert_int_equal(ip_mtu(&n->l, &p6), 1500);
    router_says(n, &(struct ra){.src = ROUTER, .mtu = 1400});
    assert_int_equal(ip_mtu(&n->l, &p6), 1400);
    assert_int_equal(ip_mtu(&n->l, &p4), 1500);
}

static void test_flood_of_routers(void **state)
{
    struct net *n = *state;
    struct ip_path p;
    char who[40];
    uint32_t i;

    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 9000});
    for (i = 0; i < 10000; i++) {
        snprintf(who, sizeof who, "fe80::%x", 0x1000 + i);
        router_says(n, &(struct ra){.src = who, .lifetime = 9000});
    }
    assert_int_equal(ip_route_add(&n->l, TUN, ip("2001:db8:77::").b, 64, NULL), 0);
    assert_int_equal(ip_path_find(&n->l, ip("2001:db8:99::1").b, NULL, -1, &p), 0);
    ip_path_ready(&n->l, &p, ip("2001:db8:99::1").b);
    assert_memory_equal(n->l.neigh[p.neigh].addr, ip(ROUTER).b, 16);
}

static void test_P5_router_refused(void **state)
{
    struct net *n = *state;

    router_says(n, &(struct ra){.src = HIM, .lifetime = 100}); /* not link-local */
    assert_rule(n, RULE_ND_MALFORMED, 1);
    assert_false(reachable(n, "2001:db8:99::1"));
}

/* A port that was configured by hand takes no router from whoever offers. */
static void test_router_nobody_asked_for(void **state)
{
    struct net *n = *state;

    router_says(n, &(struct ra){.src = ROUTER, .lifetime = 100});
    assert_rule(n, RULE_ICMP_IGNORED, 1);
    assert_false(reachable(n, "2001:db8:99::1"));
}

/* Before it has an address, it asks from ::. */
static void test_router_solicitation_while_tentative(void **state)
{
    struct estab_port_caps tap = tap_caps();
    struct net *n = *state;
    uint32_t solicits = 0;
    int port;

    tap.router_solicit = tap.dad = true;
    tap.mac[5] = 7;
    port = ip_port_add(&n->l, &tap);
    pass(n, ESTAB_S(2) + ESTAB_MS(1));
    while (take(n, (uint8_t)port)) {
        struct ip_hdr h;
        struct icmp m;

        h = out_ip(n, TAP);
        out_icmp(n, TAP, &m);
        if (m.type != ICMP6_ROUTER_SOLICIT)
            continue;
        assert_true(ip_is_any(h.src));
        assert_int_equal(h.payload_len, ICMP_HDR_LEN);
        solicits++;
    }
    assert_int_equal(solicits, 1);
}

int main(void)
{
#define T(f)  cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
#define D(f)  cmocka_unit_test_setup_teardown(f, dad_setup, net_teardown)
#define RS(f) cmocka_unit_test_setup_teardown(f, router_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_resolution),
        T(test_link_local_neighbour),
        T(test_nobody_answers),
        T(test_probe_is_unicast),
        T(test_advertisement_table),
        T(test_advertisement_nobody_asked_for),
        T(test_solicitation_is_answered),
        T(test_solicitation_for_others),
        T(test_duplicate_detection_is_answered),
        T(test_solicitation_from_off_link),
        T(test_P5_nd_refused),
        T(test_P5_option_of_length_zero),
        T(test_in_pieces),
        T(test_no_neighbours_on_a_bare_port),
        T(test_flood_of_solicitations),
        D(test_dad_succeeds),
        D(test_dad_is_answered_by_the_holder),
        D(test_dad_meets_another_dad),
        T(test_claim_to_an_address_in_use),
        RS(test_router_solicitations),
        RS(test_default_router),
        RS(test_router_resigns),
        RS(test_second_router),
        RS(test_configured_route_goes_first),
        RS(test_on_link_prefix),
        RS(test_P5_prefixes_refused),
        RS(test_router_mtu),
        RS(test_flood_of_routers),
        RS(test_P5_router_refused),
        T(test_router_nobody_asked_for),
        RS(test_router_solicitation_while_tentative),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

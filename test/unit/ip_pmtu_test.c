/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_pmtu_test.c - what is remembered of paths: who may say it, for how long, and how much of it.
 */
#include "ip_net.h"

static uint32_t pmtu_to(struct net *n, const char *dst)
{
    struct ip_path p;

    assert_int_equal(ip_path_find(&n->l, ip(dst).b, NULL, TUN, &p), 0);
    return ip_pmtu(&n->l, &p, ip(dst).b);
}

static void learn(struct net *n, const char *dst, uint32_t mtu, uint32_t high)
{
    struct ip_path p;

    assert_int_equal(ip_path_find(&n->l, ip(dst).b, NULL, TUN, &p), 0);
    ip_pmtu_learn(&n->l, &p, ip(dst).b, mtu, high);
}

static void test_a_path_is_as_wide_as_its_first_link(void **state)
{
    struct net *n = *state;

    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1500);
    n->l.ports[TUN].mtu6 = 1400;
    assert_int_equal(pmtu_to(n, "2001:db8::2"), 1400);
}

static void test_what_is_learned_holds_for_that_destination(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    learn(n, "10.0.0.2", 1000, 1200);
    learn(n, "2001:db8::2", 1300, 1300);
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1000);
    assert_int_equal(pmtu_to(n, "10.0.0.3"), 1500);
    assert_int_equal(pmtu_to(n, "2001:db8::2"), 1300);
    assert_int_equal(ip_path_find(&n->l, ip("10.0.0.2").b, NULL, -1, &p), 0);
    assert_int_equal(ip_pmtu_find(&n->l, &p, ip("10.0.0.2").b)->high, 1200);
    learn(n, "10.0.0.2", 1400, 1450);
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1400);
    n->l.ports[TUN].caps.mtu = 1280; /* the first link counts all the same */
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1280);
}

/* RFC 1191 section 6.3, RFC 8201 section 4: after ten minutes, unless it was learned again. */
static void test_what_is_learned_is_forgotten(void **state)
{
    struct net *n = *state;

    learn(n, "10.0.0.2", 1000, 1000);
    pass(n, ESTAB_S(599));
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1000);
    learn(n, "10.0.0.2", 1010, 1010);
    pass(n, ESTAB_S(599));
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1010);
    pass(n, ESTAB_S(1));
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1500);
    assert_int_equal(n->l.pmtu.by_age.n, 0);
}

/* The same link-local address is somebody else on another link. */
static void test_link_local_destinations_have_a_scope(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    assert_int_equal(ip_path_find(&n->l, ip("fe80::9").b, NULL, TAP, &p), 0);
    ip_pmtu_learn(&n->l, &p, ip("fe80::9").b, 1300, 1300);
    assert_int_equal(ip_pmtu(&n->l, &p, ip("fe80::9").b), 1300);
    p.port = TUN;
    assert_int_equal(ip_pmtu(&n->l, &p, ip("fe80::9").b), 1500);
}

static void test_the_table_is_bounded(void **state)
{
    struct ip_pmtu_settings set = IP_PMTU_DEFAULTS;
    struct net *n = *state;
    char dst[32];
    size_t used;

    set.max = 50;
    ip_set_pmtu(&n->l, &set);
    for (int i = 0; i < 100; i++) {
        snprintf(dst, sizeof dst, "10.0.0.%d", i + 2);
        learn(n, dst, 1000, 1000);
        if (i == 70)
            learn(n, "10.0.0.31", 900, 900); /* learned again: one of the youngest */
    }
    used = n->env.used;
    assert_int_equal(n->l.pmtu.by_age.n, 50);
    assert_int_equal(pmtu_to(n, "10.0.0.101"), 1000);
    assert_int_equal(pmtu_to(n, "10.0.0.31"), 900);
    assert_int_equal(pmtu_to(n, "10.0.0.40"), 1500);
    for (int i = 0; i < 1000; i++) {
        snprintf(dst, sizeof dst, "10.0.0.%d", i % 200 + 2);
        learn(n, dst, 1000, 1000);
        pass(n, ESTAB_S(i % 7));
    }
    assert_int_equal(n->env.used, used);
}

static void test_without_memory_nothing_is_learned(void **state)
{
    struct net *n = *state;

    n->te.fail_at = 1;
    n->te.allocs = 0;
    learn(n, "10.0.0.2", 1000, 1000);
    n->te.fail_at = 0;
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1500);
    learn(n, "10.0.0.2", 1000, 1000);
    assert_int_equal(pmtu_to(n, "10.0.0.2"), 1000);
}

/* ---- our own answers ---- */

static void too_big(struct net *n, const struct packet *about, uint32_t mtu)
{
    static uint8_t msg[1300];
    struct icmp m = {.type = ICMP6_TOO_BIG, .rest = mtu};
    struct packet k;
    size_t len = about->len < 1200 ? about->len : 1200;

    icmp_emit(&m, msg);
    memcpy(msg + ICMP_HDR_LEN, about->b, len);
    packet_icmp(&k, ip("2001:db8::77").b, ip("2001:db8::1").b, 64, msg, ICMP_HDR_LEN + len);
    assert_int_equal(give(n, TUN, &k), IP_DONE);
}

static size_t frames_of_answer(struct net *n, size_t *largest)
{
    size_t count = 0;

    *largest = 0;
    while (take(n, TUN)) {
        count++;
        if (n->out_len > *largest)
            *largest = n->out_len;
    }
    return count;
}

/* An answer of ICMPv6 that was too big for the path: the next ones come in fragments (RFC 8200
 * section 5), and nothing else believes a word of it (B7). */
static void test_B7_what_is_heard_of_answers_bounds_answers_only(void **state)
{
    struct net *n = *state;
    struct packet k, reply;
    size_t largest;

    packet_echo(&k, "2001:db8::2", "2001:db8::1", 1400);
    give(n, TUN, &k);
    assert_true(take(n, TUN));
    memcpy(reply.b, n->out, n->out_len);
    reply.len = n->out_len;
    assert_int_equal(reply.len, 1448);
    too_big(n, &reply, 1279); /* RFC 8201 section 4: discarded */
    give(n, TUN, &k);
    assert_int_equal(frames_of_answer(n, &largest), 1);
    too_big(n, &reply, 1300);
    assert_rule(n, RULE_PMTU_HEARD, 1);
    give(n, TUN, &k);
    assert_int_equal(frames_of_answer(n, &largest), 2);
    assert_int_equal(largest, 1296);
    too_big(n, &reply, 1400); /* only ever less */
    give(n, TUN, &k);
    assert_int_equal(frames_of_answer(n, &largest), 2);
    assert_int_equal(largest, 1296);
    assert_int_equal(pmtu_to(n, "2001:db8::2"), 1500);
    packet_echo(&k, "2001:db8::3", "2001:db8::1", 1400);
    give(n, TUN, &k);
    assert_int_equal(frames_of_answer(n, &largest), 1);
    pass(n, ESTAB_S(601));
    packet_echo(&k, "2001:db8::2", "2001:db8::1", 1400);
    give(n, TUN, &k);
    assert_int_equal(frames_of_answer(n, &largest), 1);
}

/* Lies about thousands of destinations do not push out what a transport knows. */
static void test_B7_what_is_heard_pushes_nothing_out(void **state)
{
    struct net *n = *state;
    struct packet reply;
    size_t used = 0;

    learn(n, "2001:db8::9", 1400, 1400);
    packet_echo(&reply, "2001:db8::1", "2001:db8::2", 1400);
    reply.b[40] = ICMP6_ECHO_REPLY;
    for (uint32_t i = 0; i < 5000; i++) {
        be16_put(reply.b + 38, (uint16_t)(i + 100));
        too_big(n, &reply, 1280);
        if (i == 100)
            used = n->env.used;
        assert_true(i < 100 || n->env.used == used);
    }
    assert_int_equal(pmtu_to(n, "2001:db8::9"), 1400);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_path_is_as_wide_as_its_first_link),
        T(test_what_is_learned_holds_for_that_destination),
        T(test_what_is_learned_is_forgotten),
        T(test_link_local_destinations_have_a_scope),
        T(test_the_table_is_bounded),
        T(test_without_memory_nothing_is_learned),
        T(test_B7_what_is_heard_of_answers_bounds_answers_only),
        T(test_B7_what_is_heard_pushes_nothing_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

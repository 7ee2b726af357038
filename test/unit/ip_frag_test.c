/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_frag_test.c - answers that do not fit: fragments, identifications, DF, bounds. */
#include "frag.h"

#define DATA_MAX 65536

struct joined { /* a naive receiver */
    uint8_t b[DATA_MAX];
    size_t len; /* 0: the last fragment is missing */
    size_t got, nframes, largest;
    struct ip_hdr first;
};

/* All frames of one answer, put together. */
static bool take_joined(struct net *n, uint8_t port, struct joined *j)
{
    size_t off = port == TAP ? ETH_HDR_LEN : 0;
    struct ip_hdr h;

    memset(j, 0, sizeof *j);
    while ((j->len == 0 || j->got < j->len) && take(n, port)) {
        h = out_ip(n, port);
        if (j->nframes++ == 0)
            j->first = h;
        assert_int_equal(h.id, j->first.id);
        assert_memory_equal(h.src, j->first.src, 16);
        assert_memory_equal(h.dst, j->first.dst, 16);
        assert_int_equal(h.proto, j->first.proto);
        assert_true(!h.more_frags || h.payload_len % 8 == 0);
        assert_true(h.frag_off + h.payload_len <= DATA_MAX);
        memcpy(j->b + h.frag_off, n->out + off + h.hdr_len, h.payload_len);
        j->got += h.payload_len;
        if (!h.more_frags)
            j->len = h.frag_off + h.payload_len;
        if (n->out_len - off > j->largest)
            j->largest = n->out_len - off;
    }
    return j->nframes > 0;
}

/* The answer to echo request k, which was sent whole. */
static void assert_echo_of(const struct joined *j, const struct packet *k)
{
    size_t len = packet_payload(k);
    bool v4 = j->first.version == 4;
    uint64_t sum = v4 ? 0 : ip_pseudo(j->first.src, j->first.dst, IPPROTO_ICMP6, (uint32_t)len);

    assert_int_equal(j->len, len);
    assert_int_equal(j->got, len);
    assert_int_equal(j->first.proto, v4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6);
    assert_int_equal(j->b[0], v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY);
    assert_int_equal(csum_fold(csum_add(sum, j->b, len)), 0xffff);
    assert_memory_equal(j->b + 4, k->b + packet_hdr_len(k) + 4, len - 4);
}

static enum ip_verdict give_in_fragments(struct net *n, const struct packet *whole, uint32_t id,
                                         size_t step)
{
    enum ip_verdict v = IP_DONE;
    struct packet k;

    for (size_t i = 0; i < fragments_of(whole, step); i++) {
        packet_nth_fragment(&k, whole, id, step, i);
        v = give(n, TUN, &k);
    }
    ip_reap(&n->l);
    return v;
}

/* [RFC1122-3.3.3-1] */
static void test_an_echo_of_any_length_comes_back(void **state)
{
    static const size_t lens[] = {1465, 1472, 1473, 1480, 2952, 3000, 9000, 40000, 65507};
    static struct joined j;
    struct net *n = *state;
    size_t used = 0;
    struct packet k;

    for (size_t f = 0; f < 2; f++) {
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            packet_echo(&k, f ? "2001:db8::2" : "10.0.0.2", f ? "2001:db8::1" : "10.0.0.1",
                        lens[i]);
            give_in_fragments(n, &k, (uint32_t)i, 1400);
            assert_true(take_joined(n, TUN, &j));
            assert_echo_of(&j, &k);
            assert_true(j.largest <= 1500);
            assert_true(j.largest > 1490 || j.nframes == 1);
            assert_int_equal(
                j.nframes,
                fragments_of(&k, lens[i] + 8 + (f ? 40 : 20) > 1500 ? (f ? 1448 : 1480) : 1500));
            assert_false(take(n, TUN));
            if (used == 0)
                used = n->env.used; /* with the tables of reassembly */
            assert_int_equal(n->env.used, used);
            pass(n, ESTAB_S(1));
        }
    }
}

static void test_fragments_fit_every_link(void **state)
{
    static const uint32_t mtus[] = {68, 296, 576, 1280, 1492, 9000};
    static struct joined j;
    struct net *n = *state;
    struct packet k;

    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++) {
        for (size_t f = 0; f < 2; f++) {
            n->l.ports[TUN].caps.mtu = n->l.ports[TUN].mtu6 = mtus[i];
            if (f && mtus[i] < 1280)
                continue;
            packet_echo(&k, f ? "2001:db8::2" : "10.0.0.2", f ? "2001:db8::1" : "10.0.0.1", 20001);
            give_in_fragments(n, &k, 1, 1400);
            assert_true(take_joined(n, TUN, &j));
            assert_echo_of(&j, &k);
            assert_in_range(j.largest, mtus[i] - 7, mtus[i]);
            pass(n, ESTAB_S(1));
        }
    }
}

/* RFC 6864 section 4: what is short cannot be cut and needs no name; what is longer may be cut on
 * the way, so that no path MTU need be known to answer. */
static void test_dont_fragment_only_what_is_short(void **state)
{
    static struct joined j;
    struct net *n = *state;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 548);
    give(n, TUN, &k);
    assert_true(take_joined(n, TUN, &j));
    assert_true(j.first.dont_frag);
    assert_int_equal(j.first.id, 0);
    packet_echo(&k, "10.0.0.2", "10.0.0.1", 549);
    give(n, TUN, &k);
    assert_true(take_joined(n, TUN, &j));
    assert_false(j.first.dont_frag);
    assert_false(j.first.has_frag);
    give_in_fragments(n, &k, 3, 400);
    assert_true(take_joined(n, TUN, &j));
    assert_echo_of(&j, &k);
}

/* RFC 6864 section 4.3: unique as long as there are names; RFC 7739: to one destination they say
 * nothing about those to another (B6). */
static void test_B6_identifications(void **state)
{
    static uint8_t seen[65536];
    struct net *n = *state;
    uint32_t steps = 0, last = 0, id;
    struct packet k, to[2];

    for (uint32_t i = 0; i < 65536; i++) {
        packet_echo(&k, "10.0.0.2", "10.0.0.1", 1000);
        give(n, TUN, &k);
        assert_true(take(n, TUN));
        id = out_ip(n, TUN).id;
        assert_int_equal(seen[id]++, 0);
        pass(n, ESTAB_MS(20));
    }
    packet_echo(&to[0], "2001:db8::2", "2001:db8::1", 2000);
    packet_echo(&to[1], "2001:db8::3", "2001:db8::1", 2000);
    for (uint32_t i = 0; i < 100; i++) {
        give_in_fragments(n, &to[i % 2], i, 1400);
        assert_true(take(n, TUN));
        id = out_ip(n, TUN).id;
        assert_true(take(n, TUN));
        steps += i > 0 && id - last < 1u << 24;
        last = id;
        pass(n, ESTAB_S(1));
    }
    assert_true(steps < 10);
    /* Another stack, another sequence. */
    packet_echo(&k, "2001:db8::2", "2001:db8::1", 2000);
    give_in_fragments(n, &k, 1, 1400);
    assert_true(take(n, TUN));
    last = out_ip(n, TUN).id;
    take_all(n, TUN);
    n->l.secret[0]++;
    give_in_fragments(n, &k, 2, 1400);
    assert_true(take(n, TUN));
    assert_true(out_ip(n, TUN).id - last > 1u << 16);
    take_all(n, TUN);
}

/* What one estab_output() lends stays as it is until the next call. */
static void test_fragments_are_lent_together(void **state)
{
    struct net *n = *state;
    struct estab_frame f[64];
    struct packet k;
    uint32_t count = 0;
    struct ip_hdr h;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 20000);
    give_in_fragments(n, &k, 1, 1400);
    while (ip_pull(&n->l, TUN, &f[count]))
        count++;
    assert_int_equal(count, 14);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = f[i].iov[0].base;

        memset(&h, 0, sizeof h);
        assert_int_equal(ip4_parse(&h, p, f[i].iov[0].len, f[i].iov[0].len, false), RULE_NONE);
        assert_int_equal(h.frag_off, i * 1480);
        if (i > 0)
            assert_memory_equal(p + 20, k.b + 20 + i * 1480, h.payload_len);
    }
    ip_reap(&n->l);
    assert_int_equal(n->l.pkt_big, 0);
}

static void test_fragments_wait_for_the_neighbour(void **state)
{
    static struct joined j;
    struct net *n = *state;
    struct packet k, reply;

    packet_echo(&k, "10.0.1.9", "10.0.1.1", 1473);
    for (size_t i = 0; i < 2; i++) {
        struct packet part;

        packet_nth_fragment(&part, &k, 1, 1400, i);
        packet_link(&part, MAC_N(9), OUR_MAC);
        assert_int_equal(give(n, TAP, &part), IP_DONE);
    }
    assert_true(take(n, TAP)); /* the question */
    assert_false(take(n, TAP));
    packet_arp(&reply, ARP_REPLY, MAC_N(9), "10.0.1.9", "10.0.1.1", OUR_MAC);
    give(n, TAP, &reply);
    for (int i = 0; i < 2; i++) {
        struct estab_frame f;

        assert_true(ip_pull(&n->l, TAP, &f));
        assert_memory_equal(f.iov[0].base, MAC_N(9).b, 6);
        assert_memory_equal((uint8_t *)f.iov[0].base + 6, OUR_MAC.b, 6);
    }
    ip_reap(&n->l);
    packet_echo(&k, "10.0.1.9", "10.0.1.1", 3000);
    for (size_t i = 0; i < 3; i++) {
        struct packet part;

        packet_nth_fragment(&part, &k, 2, 1400, i);
        packet_link(&part, MAC_N(9), OUR_MAC);
        give(n, TAP, &part);
    }
    assert_true(take_joined(n, TAP, &j));
    assert_echo_of(&j, &k);
}

/* Nobody takes them away: the memory for them is bounded, and comes back. */
static void test_large_answers_are_bounded(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 60000);
    for (uint32_t i = 0; i < 50; i++) {
        give_in_fragments(n, &k, i, 1400);
        assert_true(n->l.pkt_big <= 256u << 10);
        pass(n, ESTAB_S(1));
    }
    assert_int_equal(n->rules.n[RULE_REPLY_FULL], 46);
    assert_int_equal(take_all(n, TUN), 4 * 41);
    assert_int_equal(n->l.pkt_big, 0);
    give_in_fragments(n, &k, 1, 1400);
    assert_int_equal(take_all(n, TUN), 41);
}

/* Each fragment counts: the limit of answers is one of frames. */
static void test_P6_fragments_count_against_the_limit(void **state)
{
    struct net *n = *state;
    struct packet k;
    uint32_t frames = 0;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 8000);
    for (uint32_t i = 0; i < 1000; i++) {
        give_in_fragments(n, &k, i, 1400);
        frames += take_all(n, TUN);
        pass(n, ESTAB_MS(1));
    }
    assert_in_range(frames, 500, 1064);
    assert_true(n->rules.n[RULE_ICMP_RATE] > 800);
}

static void test_without_memory_there_is_no_large_answer(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 3000);
    n->l.ports[TUN].caps.mtu = 1500;
    n->te.fail_at = 1;
    n->te.allocs = 0;
    give(n, TUN, &k); /* a frame beyond the MTU is still one that arrives */
    assert_rule(n, RULE_REPLY_FULL, 1);
    assert_false(take(n, TUN));
    n->te.fail_at = 0;
}

/* What waits when a port is added, or the layer ends, is given back. */
static void test_what_is_never_taken_is_freed(void **state)
{
    struct estab_port_caps jumbo = {.medium = ESTAB_MEDIUM_IP, .mtu = 9000};
    struct net *n = *state;
    struct packet k;

    packet_echo(&k, "10.0.0.2", "10.0.0.1", 3000);
    give_in_fragments(n, &k, 1, 1400);
    assert_true(n->l.pkt_big > 0);
    assert_true(ip_port_add(&n->l, &jumbo) >= 0);
    assert_int_equal(n->l.pkt_big, 0);
    give_in_fragments(n, &k, 1, 1400);
    packet_echo(&k, "10.0.1.9", "10.0.1.1", 3000);
    packet_link(&k, MAC_N(9), OUR_MAC);
    give(n, TAP, &k);
    assert_true(n->l.pkt_nwait > 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_an_echo_of_any_length_comes_back),
        T(test_fragments_fit_every_link),
        T(test_dont_fragment_only_what_is_short),
        T(test_B6_identifications),
        T(test_fragments_are_lent_together),
        T(test_fragments_wait_for_the_neighbour),
        T(test_large_answers_are_bounded),
        T(test_P6_fragments_count_against_the_limit),
        T(test_without_memory_there_is_no_large_answer),
        T(test_what_is_never_taken_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

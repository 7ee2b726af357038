/* SPDX-License-Identifier: BSD-2-Clause */
/* shard_test.c - four stacks with one address, and a client that does not know: every frame is
 * brought to the stack that estab_frame_shard() names, and all connections work, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

#include "stack/stack.h"

enum { SHARDS = 4, CONNS = 240 };

struct town {
    struct estab_virtual v; /* the clock of all, and the randomness */
    struct estab_env env;
    enum estab_medium medium;
    bool ip6;
    estab_stack *house[SHARDS], *client;
    uint64_t to[SHARDS], to_all;
};

static struct estab_addr addr_of(const struct town *t, uint8_t host, uint16_t port)
{
    struct estab_addr a = {.port = port};

    assert_int_equal(estab_addr_parse(&a, t->ip6 ? "fd00::" : "10.0.0.0", NULL), 0);
    a.ip[15] = host;
    a.port = port;
    return a;
}

static estab_stack *stack_at(struct town *t, uint8_t host, uint16_t shard, uint16_t nshards)
{
    struct estab_port_caps caps = {.medium = t->medium, .mtu = 1500, .mac = {2, 0, 0, 0, 0, host}};
    struct estab_addr a = addr_of(t, host, 0);
    struct estab_config c;
    char err[ESTAB_ERRLEN];
    estab_stack *s;

    estab_config_init(&c);
    c.shard = shard;
    c.nshards = nshards;
    assert_int_equal(estab_host_stack(&s, &t->env, &c, err), 0);
    assert_int_equal(estab_port_add(s, &caps), 0);
    assert_int_equal(estab_addr_add(s, 0, a.ip, t->ip6 ? 64 : 120), 0);
    return s;
}

static void town_open(struct town *t, enum estab_medium medium, bool ip6)
{
    memset(t, 0, sizeof *t);
    t->medium = medium;
    t->ip6 = ip6;
    estab_virtual_env(&t->env, &t->v, 7);
    for (uint16_t i = 0; i < SHARDS; i++)
        t->house[i] = stack_at(t, 1, i, SHARDS);
    t->client = stack_at(t, 2, 0, 1);
}

static void town_close(struct town *t)
{
    for (uint16_t i = 0; i < SHARDS; i++)
        estab_stack_free(t->house[i]);
    estab_stack_free(t->client);
    assert_int_equal(t->v.live, 0);
}

static void bring(struct town *t, const struct estab_frame *f)
{
    uint32_t shard = estab_frame_shard(t->medium, f, SHARDS);

    if (shard != ESTAB_SHARD_ALL) {
        assert_true(shard < SHARDS);
        t->to[shard]++;
        assert_int_equal(estab_input(t->house[shard], 0, f, 1), 0);
        return;
    }
    t->to_all++;
    for (int i = 0; i < SHARDS; i++)
        assert_int_equal(estab_input(t->house[i], 0, f, 1), 0);
}

/* Until nothing is under way any more. */
static void town_runs(struct town *t)
{
    struct estab_frame f[8];
    bool busy = true;
    int n;

    while (busy) {
        busy = false;
        while ((n = estab_output(t->client, 0, f, 8)) > 0)
            for (int i = 0; i < n; i++, busy = true)
                bring(t, &f[i]);
        for (int i = 0; i < SHARDS; i++)
            while ((n = estab_output(t->house[i], 0, f, 8)) > 0) {
                assert_int_equal(estab_input(t->client, 0, f, (size_t)n), 0);
                busy = true;
            }
    }
}

static estab_sock listener(const struct town *t, estab_stack *s, uint8_t host)
{
    struct estab_addr a = addr_of(t, host, 80);
    estab_sock k;

    assert_int_equal(estab_socket(s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_bind(s, k, &a), 0);
    assert_int_equal(estab_listen(s, k, CONNS), 0);
    return k;
}

static estab_sock connects(const struct town *t, estab_stack *s, uint8_t host)
{
    struct estab_addr a = addr_of(t, host, 80);
    estab_sock k;

    assert_int_equal(estab_socket(s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_connect(s, k, &a), ESTAB_E_INPROGRESS);
    return k;
}

/* What the client says comes back from whoever has accepted it. */
static uint32_t echo_all(estab_stack *s, estab_sock l)
{
    uint8_t text[64];
    struct estab_iov v = {text, sizeof text};
    uint32_t n = 0;
    estab_sock k;

    while (estab_accept(s, l, &k, NULL) == 0) {
        assert_int_equal(estab_recv(s, k, &v, 1, 0), sizeof text);
        assert_int_equal(estab_send(s, k, &v, 1, 0), sizeof text);
        assert_int_equal(estab_close(s, k), 0);
        n++;
    }
    return n;
}

static void says(estab_stack *s, estab_sock k, uint8_t what)
{
    uint8_t text[64];
    struct estab_iov v = {text, sizeof text};

    memset(text, what, sizeof text);
    assert_int_equal(estab_send(s, k, &v, 1, 0), sizeof text);
}

static void hears(estab_stack *s, estab_sock k, uint8_t what)
{
    uint8_t text[65];
    struct estab_iov v = {text, sizeof text};

    assert_int_equal(estab_recv(s, k, &v, 1, 0), 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(text[i], what);
    assert_int_equal(estab_close(s, k), 0);
}

static void exchange(enum estab_medium medium, bool ip6)
{
    estab_sock l[SHARDS], lc, k[CONNS];
    uint32_t n[SHARDS];
    struct town t;

    town_open(&t, medium, ip6);
    for (int i = 0; i < SHARDS; i++)
        l[i] = listener(&t, t.house[i], 1);
    lc = listener(&t, t.client, 2);
    for (int i = 0; i < CONNS; i++)
        k[i] = connects(&t, t.client, 1);
    town_runs(&t);
    for (int i = 0; i < CONNS; i++)
        says(t.client, k[i], (uint8_t)i);
    town_runs(&t);
    for (int i = 0; i < SHARDS; i++) {
        n[i] = echo_all(t.house[i], l[i]);
        assert_in_range(n[i], CONNS / SHARDS / 2, CONNS / SHARDS * 2);
    }
    assert_int_equal(n[0] + n[1] + n[2] + n[3], CONNS);
    town_runs(&t);
    for (int i = 0; i < CONNS; i++)
        hears(t.client, k[i], (uint8_t)i);
    town_runs(&t);
    /* The other way: the client's answers come home. */
    for (int i = 0; i < CONNS; i++)
        k[i] = connects(&t, t.house[i % SHARDS], 2);
    town_runs(&t);
    for (int i = 0; i < CONNS; i++)
        says(t.house[i % SHARDS], k[i], (uint8_t)i);
    town_runs(&t);
    assert_int_equal(echo_all(t.client, lc), CONNS);
    town_runs(&t);
    for (int i = 0; i < CONNS; i++)
        hears(t.house[i % SHARDS], k[i], (uint8_t)i);
    town_runs(&t);
    for (int i = 0; i < SHARDS; i++)
        assert_int_equal(estab_rule_count(t.house[i], RULE_TCP_SHARD), 0);
    assert_true((medium == ESTAB_MEDIUM_ETHERNET) == (t.to_all > 0));
    town_close(&t);
}

static void over_ipv4(void **state)
{
    (void)state;
    exchange(ESTAB_MEDIUM_IP, false);
}

static void over_ipv6(void **state)
{
    (void)state;
    exchange(ESTAB_MEDIUM_IP, true);
}

static void over_ethernet(void **state)
{
    (void)state;
    exchange(ESTAB_MEDIUM_ETHERNET, false);
    exchange(ESTAB_MEDIUM_ETHERNET, true);
}

static void both_ways_alike(void **state)
{
    struct town t = {.ip6 = true};
    uint32_t n[3] = {0};

    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        struct estab_addr a = addr_of(&t, 1, 80), b = addr_of(&t, (uint8_t)(i / 100), (uint16_t)i);
        uint32_t shard = estab_flow_shard(&a, &b, 3);

        assert_int_equal(shard, estab_flow_shard(&b, &a, 3));
        n[shard]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(n[i], 900, 1100);
}

/* An error about a connection is brought to it. */
static void errors_find_their_connection(void **state)
{
    struct estab_addr a;
    struct town t;

    (void)state;
    town_open(&t, ESTAB_MEDIUM_IP, false);
    a = addr_of(&t, 2, 99);
    for (int i = 0; i < SHARDS; i++) { /* nobody listens for UDP there */
        struct estab_iov v = {(uint8_t[]){1}, 1};
        estab_sock k;

        assert_int_equal(estab_socket(t.house[i], ESTAB_UDP, &k), 0);
        for (;;) { /* a port that comes home */
            struct estab_addr from;

            assert_int_equal(estab_connect(t.house[i], k, &a), 0);
            assert_int_equal(estab_getaddrs(t.house[i], k, &from, NULL), 0);
            if (estab_flow_shard(&from, &a, SHARDS) == (uint32_t)i)
                break;
            assert_int_equal(estab_close(t.house[i], k), 0);
            assert_int_equal(estab_socket(t.house[i], ESTAB_UDP, &k), 0);
        }
        assert_int_equal(estab_send(t.house[i], k, &v, 1, 0), 1);
        town_runs(&t);
        assert_int_equal(estab_recv(t.house[i], k, &v, 1, 0), ESTAB_E_REFUSED);
    }
    town_close(&t);
}

/* Who steers otherwise breaks nothing: the segment is dropped, not reset. */
static void a_stray_segment_is_dropped(void **state)
{
    struct estab_frame f[1];
    struct town t;
    uint32_t shard;

    (void)state;
    town_open(&t, ESTAB_MEDIUM_IP, false);
    for (int i = 0; i < SHARDS; i++)
        (void)listener(&t, t.house[i], 1);
    (void)connects(&t, t.client, 1);
    assert_int_equal(estab_output(t.client, 0, f, 1), 1);
    shard = estab_frame_shard(t.medium, f, SHARDS);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct estab_frame out[1];

        assert_int_equal(estab_input(t.house[i], 0, f, 1), 0);
        assert_int_equal(estab_rule_count(t.house[i], RULE_TCP_SHARD), i != shard);
        assert_int_equal(estab_output(t.house[i], 0, out, 1), i == shard);
    }
    town_close(&t);
}

/* A port that the user has bound, and that answers to another stack. */
static void a_bound_port_that_does_not_come_home(void **state)
{
    struct estab_addr to;
    struct town t;
    int refused = 0;

    (void)state;
    town_open(&t, ESTAB_MEDIUM_IP, false);
    to = addr_of(&t, 2, 80);
    for (uint16_t i = 0; i < 100; i++) {
        struct estab_addr from = addr_of(&t, 1, (uint16_t)(1000 + i));
        bool home = estab_flow_shard(&from, &to, SHARDS) == 2;
        estab_sock k;

        assert_int_equal(estab_socket(t.house[2], ESTAB_TCP, &k), 0);
        assert_int_equal(estab_bind(t.house[2], k, &from), 0);
        assert_int_equal(estab_connect(t.house[2], k, &to),
                         home ? ESTAB_E_INPROGRESS : ESTAB_E_ADDRNOTAVAIL);
        refused += !home;
    }
    assert_in_range(refused, 50, 95);
    town_close(&t);
}

static void what_is_no_packet_has_a_place(void **state)
{
    uint8_t octets[600];
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct estab_frame f = {.niov = 1};
        uint32_t shard;

        for (size_t i = 0; i < sizeof octets; i++)
            octets[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
        octets[0] = (uint8_t)(round & 1 ? 0x45 : 0x60);
        octets[9] = octets[6] = (uint8_t)(round & 2 ? 1 : 58);
        f.iov[0] = (struct estab_iov){octets, seed % sizeof octets};
        shard = estab_frame_shard(round & 4 ? ESTAB_MEDIUM_IP : ESTAB_MEDIUM_ETHERNET, &f, 5);
        assert_true(shard < 5 || shard == ESTAB_SHARD_ALL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_ipv4),
        cmocka_unit_test(over_ipv6),
        cmocka_unit_test(over_ethernet),
        cmocka_unit_test(both_ways_alike),
        cmocka_unit_test(errors_find_their_connection),
        cmocka_unit_test(a_stray_segment_is_dropped),
        cmocka_unit_test(a_bound_port_that_does_not_come_home),
        cmocka_unit_test(what_is_no_packet_has_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

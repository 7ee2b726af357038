/* SPDX-License-Identifier: BSD-2-Clause */
/* port_share_test.c - who may have a TCP port that somebody has: ESTAB_O_REUSEADDR,
 * ESTAB_O_REUSEPORT, ESTAB_O_V6ONLY, and connections that are left over. */
#include "unit/peer.h"

enum { ADDR = 1, PORT = 2, V6 = 4, LISTENS = 8 };

static estab_sock made(struct peer *p, unsigned how)
{
    estab_sock k = 0;

    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_setopt(p->s, k, ESTAB_O_REUSEADDR, (how & ADDR) != 0), 0);
    assert_int_equal(estab_setopt(p->s, k, ESTAB_O_REUSEPORT, (how & PORT) != 0), 0);
    assert_int_equal(estab_setopt(p->s, k, ESTAB_O_V6ONLY, (how & V6) != 0), 0);
    return k;
}

static int binds(struct peer *p, estab_sock k, const char *ip, uint16_t port)
{
    struct estab_addr a;

    assert_int_equal(estab_addr_parse(&a, ip, NULL), 0);
    a.port = port;
    return estab_bind(p->s, k, &a);
}

static void ports_are_shared_by_those_who_agree(void **state)
{
    static const struct {
        const char *have, *want;
        unsigned how_have, how_want;
        int err;
    } table[] = {
        {"10.0.0.1", "10.0.0.1", 0, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "10.0.0.3", 0, 0, 0},
        {"0.0.0.0", "10.0.0.1", 0, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "0.0.0.0", 0, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "::", 0, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "::", 0, V6, 0},
        {"::", "0.0.0.0", V6, 0, 0},
        {"::", "0.0.0.0", 0, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "10.0.0.1", ADDR, ADDR, 0},
        {"10.0.0.1", "10.0.0.1", ADDR, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "10.0.0.1", 0, ADDR, ESTAB_E_INUSE},
        {"10.0.0.1", "10.0.0.1", ADDR | LISTENS, ADDR, ESTAB_E_INUSE},
        {"0.0.0.0", "10.0.0.1", ADDR, ADDR, 0},
        {"10.0.0.1", "10.0.0.1", PORT | LISTENS, PORT, 0},
        {"10.0.0.1", "10.0.0.1", PORT, 0, ESTAB_E_INUSE},
        {"10.0.0.1", "10.0.0.1", PORT, ADDR, ESTAB_E_INUSE},
        {"10.0.0.1", "10.0.0.1", ADDR | PORT | LISTENS, PORT, 0},
    };
    struct peer *p = *state;
    uint8_t other[16];
    uint8_t len;

    assert_int_equal(estab_prefix_parse(other, &len, "10.0.0.3/24"), 0);
    assert_int_equal(estab_addr_add(p->s, 0, other, len), 0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        estab_sock a = made(p, table[i].how_have), b = made(p, table[i].how_want);

        assert_int_equal(binds(p, a, table[i].have, 80), 0);
        if (table[i].how_have & LISTENS)
            assert_int_equal(estab_listen(p->s, a, 1), 0);
        if (binds(p, b, table[i].want, 80) != table[i].err)
            fail_msg("row %zu", i);
        (void)estab_close(p->s, a);
        (void)estab_close(p->s, b);
    }
}

/* Of those that tolerate each other one may listen. */
static void a_second_listener_must_share(void **state)
{
    struct peer *p = *state;
    estab_sock a = made(p, ADDR), b = made(p, ADDR);

    assert_int_equal(binds(p, a, "10.0.0.1", 80), 0);
    assert_int_equal(binds(p, b, "10.0.0.1", 80), 0);
    assert_int_equal(estab_listen(p->s, a, 1), 0);
    assert_int_equal(estab_listen(p->s, b, 1), ESTAB_E_INUSE);
    assert_int_equal(estab_close(p->s, a), 0);
    assert_int_equal(estab_listen(p->s, b, 1), 0);
}

/* One that is only bound does not hide the listener. */
static void who_does_not_listen_is_not_in_the_way(void **state)
{
    struct peer *p = *state;
    estab_sock idle = made(p, ADDR), l = made(p, ADDR), late = made(p, ADDR);

    assert_int_equal(binds(p, idle, "10.0.0.1", p->us.port), 0);
    assert_int_equal(binds(p, l, "10.0.0.1", p->us.port), 0);
    assert_int_equal(binds(p, late, "10.0.0.1", p->us.port), 0);
    assert_int_equal(estab_listen(p->s, l, 1), 0);
    p->listener = l;
    peer_connects(p);
    (void)late;
}

/* Every listener has its part of the connections, and each connection's segments meet the one that
 * has its half-open entry. */
static void listeners_share_connections_by_a_hash(void **state)
{
    struct peer *p = *state;
    estab_sock l[4], k;
    uint32_t got[4] = {0};

    for (int i = 0; i < 4; i++) {
        l[i] = made(p, PORT);
        assert_int_equal(binds(p, l[i], i & 1 ? "10.0.0.1" : "10.0.0.1", p->us.port), 0);
        assert_int_equal(estab_listen(p->s, l[i], 100), 0);
    }
    for (uint16_t port = 2000; port < 2064; port++) {
        p->them.port = port;
        sends(p, SEG(.flags = SYN, .mss = 1000));
        (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    }
    for (int i = 0; i < 4; i++)
        while (estab_accept(p->s, l[i], &k, NULL) == 0)
            got[i]++;
    assert_int_equal(got[0] + got[1] + got[2] + got[3], 64);
    for (int i = 0; i < 4; i++)
        assert_in_range(got[i], 5, 30);
}

/* What a server that starts again meets. */
static void connections_left_over_keep_a_port_from_those_who_do_not_say_so(void **state)
{
    struct peer *p = *state;
    estab_sock again, k;

    p->listener = made(p, ADDR);
    assert_int_equal(binds(p, p->listener, "10.0.0.1", p->us.port), 0);
    assert_int_equal(estab_listen(p->s, p->listener, 4), 0);
    peer_connects(p);
    assert_int_equal(estab_close(p->s, p->listener), 0);
    again = made(p, 0);
    assert_int_equal(binds(p, again, "0.0.0.0", p->us.port), ESTAB_E_INUSE); /* ESTABLISHED */
    k = made(p, ADDR);
    assert_int_equal(binds(p, k, "0.0.0.0", p->us.port), 0); /* its listener had said so, too */
    assert_int_equal(estab_close(p->s, k), 0);
    user_closes(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
    assert_state(p, TIME_WAIT);
    assert_int_equal(binds(p, again, "10.0.0.1", p->us.port), ESTAB_E_INUSE);
    k = made(p, ADDR);
    assert_int_equal(binds(p, k, "10.0.0.1", p->us.port), 0);
    assert_int_equal(estab_listen(p->s, k, 1), 0);
    assert_int_equal(estab_close(p->s, k), 0);
    waits(p, 2 * p->cfg.msl + ESTAB_MS(10));
    assert_int_equal(binds(p, again, "10.0.0.1", p->us.port), 0);
}

static void v6_only_sockets_are_that(void **state)
{
    struct peer *p = *state;
    estab_sock k = made(p, V6);

    assert_int_equal(binds(p, k, "10.0.0.1", 80), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(estab_connect(p->s, k, &p->them), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(binds(p, k, "::", p->us.port), 0);
    assert_int_equal(estab_setopt(p->s, k, ESTAB_O_V6ONLY, 0), ESTAB_E_INVAL);
    assert_int_equal(estab_listen(p->s, k, 1), 0);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    (void)gets(p, SEG(.flags = RST | ACK, .ack = 1, .seq = 0u - p->iss));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(ports_are_shared_by_those_who_agree),
        PEER_TEST(a_second_listener_must_share),
        PEER_TEST(who_does_not_listen_is_not_in_the_way),
        PEER_TEST(listeners_share_connections_by_a_hash),
        PEER_TEST(connections_left_over_keep_a_port_from_those_who_do_not_say_so),
        PEER_TEST(v6_only_sockets_are_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

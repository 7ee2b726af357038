/* SPDX-License-Identifier: BSD-2-Clause */
/* port_test.c - ephemeral ports (RFC 6056): which one, the last one, none, and when there is one
 * again; TIME-WAITs that give way to an active OPEN. */
#include "hostile.h"

#define LO    50000u
#define SMALL 64u

static struct host *host_ports(uint16_t lo, uint16_t hi, bool reuse)
{
    struct estab_config cfg;

    estab_config_init(&cfg);
    cfg.port_lo = lo;
    cfg.port_hi = hi;
    cfg.timewait_reuse = reuse;
    return host_with(&cfg);
}
static struct host *host_small(bool reuse)
{
    return host_ports(LO, LO + SMALL - 1, reuse);
}

/* An unbound socket connects; its port, or the error. */
static int connect_to(struct host *h, const char *to, uint16_t port, estab_sock *k)
{
    struct estab_addr peer = {.port = port}, local;
    int err;

    memcpy(peer.ip, ip(to).b, 16);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, k), 0);
    err = estab_connect(h->s, *k, &peer);
    drain(h);
    if (err != ESTAB_E_INPROGRESS) {
        assert_int_equal(estab_close(h->s, *k), 0);
        return err;
    }
    assert_int_equal(estab_getaddrs(h->s, *k, &local, NULL), 0);
    return local.port;
}
static struct estab_port_forecast forecast(struct host *h, const char *to, uint16_t port)
{
    struct estab_port_forecast f = {.size = sizeof f};
    struct estab_addr peer = {.port = port};

    memcpy(peer.ip, ip(to).b, 16);
    assert_int_equal(estab_port_forecast(h->s, NULL, &peer, &f), 0);
    return f;
}

/* ---- running out ---- */

static void every_port_once_then_none(void **state)
{
    struct host *h = host_small(true);
    bool seen[SMALL] = {false};
    struct estab_port_forecast f;
    estab_sock k;

    (void)state;
    for (uint32_t i = 0; i < SMALL; i++) {
        int port = connect_to(h, "10.0.0.2", 80, &k);

        assert_in_range(port, LO, LO + SMALL - 1);
        assert_false(seen[port - (int)LO]);
        seen[port - (int)LO] = true;
        f = forecast(h, "10.0.0.2", 80);
        assert_int_equal(f.ports, SMALL);
        assert_int_equal(f.free, SMALL - i - 1);
        assert_int_equal(f.busy[ESTAB_SYN_SENT], i + 1);
    }
    mark(h);
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    assert_int_equal(counted(h, RULE_PORTS_EXHAUSTED), 1);
    assert_true(forecast(h, "10.0.0.2", 80).next_at == ESTAB_NEVER);

    /* to others they are all free */
    assert_true(connect_to(h, "10.0.0.2", 81, &k) > 0);
    assert_true(connect_to(h, "10.0.0.3", 80, &k) > 0);
    assert_true(connect_to(h, "2001:db8::2", 80, &k) > 0);
    assert_true(forecast(h, "10.0.0.3", 80).next_at == h->te.now);
    host_end(h);
}

/* The one port that is free is found, whichever it is; and that none is, too. */
static void the_last_port_is_found(void **state)
{
    enum { N = 16384 };
    static estab_sock at[65536];
    struct host *h = host_ports(49152, 65535, true);
    estab_sock k;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        int port = connect_to(h, "10.0.0.2", 80, &k);

        assert_true(port > 0 && at[port] == 0);
        at[port] = k;
    }
    for (int i = 0; i < 2000; i++) {
        uint32_t port = 49152 + test_rand_below(&h->te, N);

        assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
        assert_int_equal(estab_close(h->s, at[port]), 0);
        assert_int_equal(connect_to(h, "10.0.0.2", 80, &at[port]), port);
    }
    host_end(h);
}

/* More destinations run out at once than there are maps for. */
static void many_destinations_run_out(void **state)
{
    enum { PEERS = 3 * TCP_PORT_MAPS };
    static estab_sock k[PEERS][SMALL];
    struct host *h = host_small(true);
    estab_sock none;

    (void)state;
    for (uint32_t i = 0; i < SMALL; i++)
        for (uint16_t p = 0; p < PEERS; p++)
            assert_true(connect_to(h, "10.0.0.2", (uint16_t)(100 + p), &k[p][i]) > 0);
    for (uint32_t i = 0; i < SMALL; i++) {
        for (uint16_t p = 0; p < PEERS; p++) {
            assert_int_equal(connect_to(h, "10.0.0.2", (uint16_t)(100 + p), &none), ESTAB_E_INUSE);
            assert_int_equal(estab_close(h->s, k[p][i]), 0);
            assert_true(connect_to(h, "10.0.0.2", (uint16_t)(100 + p), &k[p][i]) > 0);
        }
    }
    for (uint32_t i = 0; i < SMALL; i++)
        for (uint16_t p = 0; p < PEERS; p++)
            assert_int_equal(estab_close(h->s, k[p][i]), 0);
    assert_int_equal(forecast(h, "10.0.0.2", 100).free, SMALL);
    host_end(h);
}

static void without_memory_for_a_map(void **state)
{
    struct host *h = host_small(true);
    estab_sock k[SMALL], none;
    int port = 0;

    (void)state;
    for (uint32_t i = 0; i < SMALL; i++)
        port = connect_to(h, "10.0.0.2", 80, &k[i]);
    h->te.fail_at = h->te.allocs + 1;
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &none), ESTAB_E_INUSE);
    assert_int_equal(estab_close(h->s, k[SMALL - 1]), 0);
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &none), port);
    h->te.fail_at = 0;
    host_end(h);
}

static void bound_and_listening_ports_are_left_alone(void **state)
{
    struct host *h = host_small(true);
    struct estab_addr any = {.port = LO + 3}, ours = {.port = LO + 7};
    estab_sock k;

    (void)state;
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_bind(h->s, k, &any), 0);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &k), 0);
    memcpy(ours.ip, ip("10.0.0.1").b, 16);
    assert_int_equal(estab_bind(h->s, k, &ours), 0);
    assert_int_equal(estab_listen(h->s, k, 1), 0);
    for (uint32_t i = 0; i < SMALL - 2; i++) {
        int port = connect_to(h, "10.0.0.2", 80, &k);

        assert_true(port > 0 && port != any.port && port != ours.port);
    }
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    assert_int_equal(forecast(h, "10.0.0.2", 80).bound, 2);
    assert_int_equal(forecast(h, "10.0.0.2", 80).free, 0);
    host_end(h);
}

static void the_forecast_says_what_cannot_be(void **state)
{
    struct host *h = host_small(true);
    struct estab_port_forecast f = {.size = sizeof f};
    struct estab_addr peer = {.port = 80}, other = {.port = 0};

    (void)state;
    assert_int_equal(estab_port_forecast(h->s, NULL, &peer, &f), ESTAB_E_INVAL);
    memcpy(peer.ip, ip("192.0.2.1").b, 16);
    assert_int_equal(estab_port_forecast(h->s, NULL, &peer, &f), ESTAB_E_UNREACH);
    memcpy(peer.ip, ip("10.0.0.2").b, 16);
    memcpy(other.ip, ip("10.9.9.9").b, 16);
    assert_int_equal(estab_port_forecast(h->s, &other, &peer, &f), ESTAB_E_ADDRNOTAVAIL);
    peer.port = 0;
    assert_int_equal(estab_port_forecast(h->s, NULL, &peer, &f), ESTAB_E_INVAL);
    host_end(h);
}

/* ---- RFC 6056: not to be guessed ---- */

static void ports_cannot_be_told_from_each_other(void **state)
{
    enum { N = 1000, HALF = 8192 };
    struct host *h = host_ports(49152, 65535, true);
    uint32_t high = 0, next = 0, same = 0;
    int last = 0, twin = 0;
    estab_sock k;

    (void)state;
    for (int i = 0; i < N; i++) {
        int port = connect_to(h, "10.0.0.2", 80, &k);

        high += port >= 49152 + HALF;
        next += port == last + 1;
        last = port;
        /* the same turn, another destination: another offset */
        twin = connect_to(h, "10.0.0.2", (uint16_t)(1000 + i), &k);
        same += twin == port;
    }
    assert_in_range(high, N * 4 / 10, N * 6 / 10);
    assert_in_range(next, 0, N / 100);
    assert_in_range(same, 0, N / 100);
    host_end(h);
}

static void two_stacks_begin_elsewhere(void **state)
{
    struct estab_env env;
    uint32_t equal = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct host *a = host_ports(49152, 65535, true), *b = host_ports(49152, 65535, true);
        estab_sock k;

        estab_stack_free(b->s);
        b->te.rng = 1000 + seed;
        env = test_env_make(&b->te);
        assert_int_equal(estab_stack_new(&b->s, &env, NULL), 0);
        assert_int_equal(estab_port_add(b->s, &(struct estab_port_caps){.mtu = 1500}), TUN);
        assert_int_equal(estab_port_add(b->s, &(struct estab_port_caps){.mtu = 1500}), TAP);
        assert_int_equal(estab_addr_add(b->s, TUN, ip("10.0.0.1").b, 120), 0);
        equal += connect_to(a, "10.0.0.2", 80, &k) == connect_to(b, "10.0.0.2", 80, &k);
        host_end(a);
        host_end(b);
    }
    assert_in_range(equal, 0, 1);
}

/* ---- TIME-WAIT ---- */

/* A connection from this port of ours, closed by us: TIME-WAIT. */
static struct peer time_wait_at(struct host *h, uint16_t lport, bool ts)
{
    struct peer p = peer_at(h, TUN, "10.0.0.2", "10.0.0.1", 80);
    uint8_t opts[12];

    p.seq = p.iss = 5000000u + lport;
    user_connects(&p, lport);
    put_ts(opts, p.ts_val, h->answers[0].g.opt.ts_val);
    p.ts_ecr = h->answers[0].g.opt.ts_val;
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = 60000,
                             .opts = opts,
                             .opts_len = ts ? sizeof opts : 0});
    p.ts = ts;
    user_shuts(&p);
    say(&p, SEG_ACK, NULL, 0);
    peer_shuts(&p);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    assert_int_equal(estab_close(h->s, p.k), 0);
    return p;
}

static void the_forecast_says_when(void **state)
{
    struct host *h = host_small(false);
    struct estab_port_forecast f;
    estab_time first;
    estab_sock k;

    (void)state;
    time_wait_at(h, LO, true);
    first = h->te.now + ESTAB_S(60);
    for (uint16_t i = 1; i < SMALL; i++) {
        elapse(h, ESTAB_MS(100));
        time_wait_at(h, (uint16_t)(LO + i), true);
    }
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    f = forecast(h, "10.0.0.2", 80);
    assert_int_equal(f.free, 0);
    assert_int_equal(f.reusable, 0);
    assert_int_equal(f.busy[ESTAB_TIME_WAIT], SMALL);
    assert_in_range(f.next_at, first - ESTAB_MS(1), first + ESTAB_MS(1));
    elapse(h, f.next_at - h->te.now - ESTAB_MS(1));
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    elapse(h, ESTAB_MS(1));
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), LO);
    host_end(h);
}

static void a_free_port_comes_before_a_time_wait(void **state)
{
    struct host *h = host_small(true);
    estab_sock k;

    (void)state;
    for (uint16_t i = 0; i < SMALL; i++)
        if (i != 17)
            time_wait_at(h, (uint16_t)(LO + i), true);
    elapse(h, ESTAB_S(10));
    mark(h);
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), LO + 17);
    assert_int_equal(counted(h, RULE_TIME_WAIT_REUSED), 0);
    assert_int_equal(forecast(h, "10.0.0.2", 80).reusable, SMALL - 1);
    assert_true(connect_to(h, "10.0.0.2", 80, &k) > 0);
    assert_int_equal(counted(h, RULE_TIME_WAIT_REUSED), 1);
    host_end(h);
}

/* Not in its first second, not without timestamps, not if it is not wanted. */
static void only_a_safe_time_wait_gives_way(void **state)
{
    struct host *h = host_small(true);
    struct estab_port_forecast f;
    estab_sock k;

    (void)state;
    for (uint16_t i = 0; i < SMALL; i++)
        time_wait_at(h, (uint16_t)(LO + i), i == 40);
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    f = forecast(h, "10.0.0.2", 80);
    assert_int_equal(f.reusable, 0);
    assert_in_range(f.next_at, h->te.now + ESTAB_MS(1000), h->te.now + ESTAB_MS(1002));
    elapse(h, f.next_at - h->te.now - ESTAB_MS(1));
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    elapse(h, ESTAB_MS(1));
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), LO + 40);
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    host_end(h);

    h = host_small(false);
    for (uint16_t i = 0; i < SMALL; i++)
        time_wait_at(h, (uint16_t)(LO + i), true);
    elapse(h, ESTAB_S(59));
    assert_int_equal(connect_to(h, "10.0.0.2", 80, &k), ESTAB_E_INUSE);
    host_end(h);
}

/* RFC 6191: numbers and timestamps of the new incarnation lie beyond the old one's. */
static void the_new_incarnation_begins_beyond_the_old(void **state)
{
    struct host *h = host_small(true);
    struct peer old = time_wait_at(h, LO, true), p = old;
    uint32_t ts = h->answers[0].g.opt.ts_val;
    struct answer *a;

    (void)state;
    elapse(h, ESTAB_MS(1100));
    p.seq = p.iss = old.seq + 1000000;
    p.ts_val += 1100;
    mark(h);
    user_connects(&p, LO);
    a = &h->answers[0];
    assert_int_equal(counted(h, RULE_TIME_WAIT_REUSED), 1);
    assert_in_range(a->g.seq.n - old.ack, 100000, INT32_MAX);
    assert_in_range(a->g.opt.ts_val - ts, 1, 5000);

    /* what still comes of the old one does no harm */
    hostile_seg(&old, (struct sg){.flags = SEG_FIN | SEG_ACK, .seq = old.seq - 1, .ack = old.ack},
                RULE_SYN_SENT_ACK);
    p.ts = true;
    p.ts_ecr = a->g.opt.ts_val;
    say(&p, SEG_SYN | SEG_ACK, NULL, 0);
    assert_acked(&p);
    assert_alive(&p);
    host_end(h);
}

/* The handle of a connection in TIME-WAIT outlives it: its user finds it closed. */
static void a_handle_in_time_wait_is_closed(void **state)
{
    struct host *h = host_small(true);
    struct peer p = peer_at(h, TUN, "10.0.0.2", "10.0.0.1", 80), q;
    struct estab_tcp_info i = {.size = sizeof i};

    (void)state;
    p.ts = true;
    user_connects(&p, LO);
    p.ts_ecr = h->answers[0].g.opt.ts_val;
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = 60000,
                             .opts = modern,
                             .opts_len = sizeof modern});
    user_shuts(&p);
    say(&p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    elapse(h, ESTAB_S(2));
    q = peer_at(h, TUN, "10.0.0.2", "10.0.0.1", 80);
    user_connects(&q, LO);
    assert_int_equal(estab_tcp_info(h->s, p.k, &i), 0);
    assert_int_equal(i.state, ESTAB_CLOSED);
    assert_int_equal(estab_close(h->s, p.k), 0);
    assert_int_equal(estab_tcp_info(h->s, q.k, &i), 0);
    assert_int_equal(i.state, ESTAB_SYN_SENT);
    host_end(h);
}

/* Far more connections than ports, one after another: nobody waits for 2 MSL. */
static void more_connections_than_ports(void **state)
{
    struct host *h = host_small(true);

    (void)state;
    mark(h);
    for (uint32_t i = 0; i < 20 * SMALL; i++) {
        struct peer p = peer_at(h, TUN, "10.0.0.2", "10.0.0.1", 80);
        int port = connect_to(h, "10.0.0.2", 80, &p.k);

        assert_in_range(port, LO, LO + SMALL - 1);
        p.lport = (uint16_t)port;
        p.seq = (uint32_t)test_rand(&h->te);
        p.irs = h->answers[0].g.seq.n;
        p.ack = p.irs + 1;
        p.ts_ecr = h->answers[0].g.opt.ts_val;
        p.ts_val = (uint32_t)(h->te.now / 1000000);
        p.ts = true;
        say(&p, SEG_SYN | SEG_ACK, NULL, 0);
        user_shuts(&p);
        say(&p, SEG_FIN | SEG_ACK, NULL, 0);
        assert_int_equal(estab_close(h->s, p.k), 0);
        elapse(h, ESTAB_MS(20)); /* 64 ports, 1.28 s */
    }
    assert_in_range(counted(h, RULE_TIME_WAIT_REUSED), 1, 20 * SMALL);
    host_end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_port_once_then_none),
        cmocka_unit_test(the_last_port_is_found),
        cmocka_unit_test(many_destinations_run_out),
        cmocka_unit_test(without_memory_for_a_map),
        cmocka_unit_test(bound_and_listening_ports_are_left_alone),
        cmocka_unit_test(the_forecast_says_what_cannot_be),
        cmocka_unit_test(ports_cannot_be_told_from_each_other),
        cmocka_unit_test(two_stacks_begin_elsewhere),
        cmocka_unit_test(the_forecast_says_when),
        cmocka_unit_test(a_free_port_comes_before_a_time_wait),
        cmocka_unit_test(only_a_safe_time_wait_gives_way),
        cmocka_unit_test(the_new_incarnation_begins_beyond_the_old),
        cmocka_unit_test(a_handle_in_time_wait_is_closed),
        cmocka_unit_test(more_connections_than_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

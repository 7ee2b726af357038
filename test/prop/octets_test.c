/* SPDX-License-Identifier: BSD-2-Clause */
/* octets_test.c - what a connection costs that does nothing, from the allocator, at one end: idle
 * ESTABLISHED, TIME-WAIT, half-open; everything counted that the stack allocates for it. */
#include "unit/test_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CONNS 20000
#define PORTS 10
#define FIRST 1000

enum { CLIENT, SERVER };

struct end {
    struct test_env t;
    struct estab_env env;
    estab_stack *s;
    int port;
};
struct two {
    struct end end[2];
    struct estab_addr server;
    bool ip6;
    estab_sock listener[PORTS];
};

static struct two two;
static estab_sock held[2][CONNS];

static void end_open(struct two *p, int e)
{
    const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    const uint8_t ip4[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, (uint8_t)(1 + e)};
    const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(1 + e)};
    const uint8_t *ip = p->ip6 ? ip6 : ip4;
    struct end *d = &p->end[e];
    struct estab_config cfg;

    *d = (struct end){.t.rng = (uint64_t)e + 1};
    d->env = test_env_make(&d->t);
    estab_config_init(&cfg);
    cfg.max_conns = cfg.max_synq = cfg.max_timewait = CONNS + 100;
    cfg.port_lo = 2048;
    cfg.port_hi = 65535;
    assert_int_equal(estab_stack_new(&d->s, &d->env, &cfg), 0);
    d->port = estab_port_add(d->s, &caps);
    assert_true(d->port >= 0);
    assert_int_equal(estab_addr_add(d->s, d->port, ip, p->ip6 ? 64 : 120), 0);
    if (e == SERVER)
        memcpy(p->server.ip, ip, 16);
}

static void pass(struct two *p, estab_dur by)
{
    for (int e = 0; e < 2; e++) {
        p->end[e].t.now += by;
        estab_expire(p->end[e].s);
    }
}

static void move(struct two *p, int from)
{
    struct end *out = &p->end[from], *in = &p->end[!from];
    struct estab_frame f[16];
    int n;

    while ((n = estab_output(out->s, out->port, f, 16)) > 0)
        estab_input(in->s, in->port, f, (size_t)n);
}

static void open_two(struct two *p, bool ip6)
{
    p->ip6 = ip6;
    end_open(p, CLIENT);
    end_open(p, SERVER);
    for (uint16_t i = 0; i < PORTS; i++) {
        struct estab_addr any = {.port = (uint16_t)(FIRST + i)};

        assert_int_equal(estab_socket(p->end[SERVER].s, ESTAB_TCP, &p->listener[i]), 0);
        assert_int_equal(estab_bind(p->end[SERVER].s, p->listener[i], &any), 0);
        assert_int_equal(estab_listen(p->end[SERVER].s, p->listener[i], CONNS), 0);
    }
    pass(p, ESTAB_S(5)); /* duplicate address detection */
    move(p, CLIENT);
    move(p, SERVER);
}

static void close_two(struct two *p)
{
    for (int e = 0; e < 2; e++) {
        estab_stack_free(p->end[e].s);
        assert_int_equal(p->end[e].t.live, 0);
    }
}

static estab_sock begin(struct two *p, uint32_t i)
{
    struct estab_addr to = p->server;
    estab_sock k;

    to.port = (uint16_t)(FIRST + i % PORTS);
    assert_int_equal(estab_socket(p->end[CLIENT].s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_connect(p->end[CLIENT].s, k, &to), ESTAB_E_INPROGRESS);
    move(p, CLIENT);
    return k;
}

static void say(struct two *p, int from, uint32_t i)
{
    uint8_t text[64] = {0};
    struct estab_iov v = {text, sizeof text};

    assert_int_equal(estab_send(p->end[from].s, held[from][i], &v, 1, 0), sizeof text);
    move(p, from);
    assert_int_equal(estab_recv(p->end[!from].s, held[!from][i], &v, 1, 0), sizeof text);
}

/* A question and an answer, so that there has been text, and what may wait for it to end. */
static void establish(struct two *p, uint32_t i)
{
    held[CLIENT][i] = begin(p, i);
    move(p, SERVER);
    move(p, CLIENT);
    assert_int_equal(estab_accept(p->end[SERVER].s, p->listener[i % PORTS], &held[SERVER][i], NULL),
                     0);
    say(p, CLIENT, i);
    say(p, SERVER, i);
    pass(p, ESTAB_MS(1));
}

static void settle(struct two *p)
{
    for (int i = 0; i < 10; i++) {
        pass(p, ESTAB_MS(100));
        move(p, CLIENT);
        move(p, SERVER);
    }
}

static double each(const struct two *p, int e, size_t before, const char *what)
{
    double octets = (double)(p->end[e].t.live - before) / CONNS;

    print_message("%s, IPv%d, %s: %.1f octets\n", what, p->ip6 ? 6 : 4, e ? "server" : "client",
                  octets);
    return octets;
}

static void idle(bool ip6)
{
    size_t before[2];

    open_two(&two, ip6);
    establish(&two, 0); /* what the first one brings along is no other's */
    settle(&two);
    for (int e = 0; e < 2; e++)
        before[e] = two.end[e].t.live;
    for (uint32_t i = 1; i < CONNS; i++)
        establish(&two, i);
    settle(&two);
    assert_true(each(&two, CLIENT, before[CLIENT], "idle") <= 256);
    assert_true(each(&two, SERVER, before[SERVER], "idle") <= 256);
    close_two(&two);
}

static void an_idle_connection(void **state)
{
    (void)state;
    idle(false);
    idle(true);
}

/* The side that closes first has them. */
static double time_waits(bool ip6)
{
    double octets;
    size_t before;

    open_two(&two, ip6);
    establish(&two, 0); /* what the first one brings along is no other's */
    settle(&two);
    before = two.end[CLIENT].t.live;
    for (uint32_t i = 0; i < CONNS; i++) {
        if (i > 0)
            establish(&two, i);
        assert_int_equal(estab_close(two.end[CLIENT].s, held[CLIENT][i]), 0);
        move(&two, CLIENT);
        assert_int_equal(estab_close(two.end[SERVER].s, held[SERVER][i]), 0);
        move(&two, SERVER);
    }
    move(&two, CLIENT);
    octets = each(&two, CLIENT, before, "TIME-WAIT");
    close_two(&two);
    return octets;
}

static void a_time_wait(void **state)
{
    (void)state;
    assert_true(time_waits(false) <= 64);
    assert_true(time_waits(true) <= 84); /* the peer's address is elsewhere */
}

/* SYN,ACKs that nobody answers. */
static double half_opens(bool ip6)
{
    double octets;
    size_t before;

    open_two(&two, ip6);
    before = two.end[SERVER].t.live;
    for (uint32_t i = 0; i < CONNS; i++) {
        struct estab_frame f[16];

        (void)begin(&two, i);
        while (estab_output(two.end[SERVER].s, two.end[SERVER].port, f, 16) > 0)
            ;
    }
    octets = each(&two, SERVER, before, "half-open");
    close_two(&two);
    return octets;
}

static void a_half_open_connection(void **state)
{
    (void)state;
    assert_true(half_opens(false) <= 64);
    assert_true(half_opens(true) <= 84);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection),
        cmocka_unit_test(a_time_wait),
        cmocka_unit_test(a_half_open_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* many_test.c - more connections than the processor's caches hold: what the stack does otherwise
 * then, it does in another order only.  Two hosts with 17,000 connections between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

#include "stack/stack.h"

enum { CONNS = 17000, PORT = 80, CLIENT = 0, SERVER = 1 };

struct side {
    struct estab_virtual v; /* first: it is what the callbacks of env get */
    struct estab_env env;
    estab_stack *s;
    estab_sock conn[CONNS];
};
struct many {
    struct side h[2];
    struct estab_addr server;
    uint32_t frames, runs; /* moved; batches of several */
};

static void side_opens(struct many *m, int i)
{
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct side *h = &m->h[i];
    struct estab_config cfg;
    struct estab_addr a;

    estab_config_init(&cfg);
    cfg.max_conns = CONNS + 2;
    cfg.port_lo = 20000;
    cfg.port_hi = 65535;
    estab_virtual_env(&h->env, &h->v, (uint64_t)i + 1);
    h->v.now = ESTAB_S(1000);
    assert_int_equal(estab_stack_new(&h->s, &h->env, &cfg), 0);
    assert_int_equal(estab_port_add(h->s, &caps), 0);
    assert_int_equal(estab_addr_parse(&a, i == SERVER ? "10.0.0.2" : "10.0.0.1", NULL), 0);
    assert_int_equal(estab_addr_add(h->s, 0, a.ip, 120), 0);
    m->server = a;
    m->server.port = PORT;
}

/* All that there is to send, both ways. */
static void frames_move(struct many *m)
{
    struct estab_frame f[ESTAB_BATCH];
    int from = CLIENT, quiet = 0;

    while (quiet < 2) {
        int n = estab_output(m->h[from].s, 0, f, ESTAB_BATCH);

        quiet = n == 0 ? quiet + 1 : 0;
        if (n > 0) {
            m->frames += (uint32_t)n;
            m->runs += n > 1;
            assert_int_equal(estab_input(m->h[!from].s, 0, f, (size_t)n), 0);
        }
        if (n < ESTAB_BATCH)
            from = !from;
    }
}

/* Time goes by, from deadline to deadline, until nobody waits for anything or so much of it is
 * over.
 */
static void time_goes_by(struct many *m, estab_dur at_most)
{
    estab_time until = m->h[0].v.now + at_most;

    for (;;) {
        estab_time at = until;

        for (int i = 0; i < 2; i++)
            at = time_min(at, estab_deadline(m->h[i].s));
        for (int i = 0; i < 2; i++) {
            m->h[i].v.now = at;
            estab_expire(m->h[i].s);
        }
        frames_move(m);
        if (at == until)
            return;
    }
}

static struct many *many_new(void)
{
    struct many *m = calloc(1, sizeof *m);
    estab_sock listener;

    assert_non_null(m);
    for (int i = 0; i < 2; i++)
        side_opens(m, i);
    assert_int_equal(estab_socket(m->h[SERVER].s, ESTAB_TCP, &listener), 0);
    assert_int_equal(estab_bind(m->h[SERVER].s, listener, &m->server), 0);
    assert_int_equal(estab_listen(m->h[SERVER].s, listener, 64), 0);
    for (int i = 0; i < CONNS; i++) {
        estab_stack *s = m->h[CLIENT].s;

        assert_int_equal(estab_socket(s, ESTAB_TCP, &m->h[CLIENT].conn[i]), 0);
        assert_int_equal(estab_connect(s, m->h[CLIENT].conn[i], &m->server), ESTAB_E_INPROGRESS);
        frames_move(m);
        assert_int_equal(estab_accept(m->h[SERVER].s, listener, &m->h[SERVER].conn[i], NULL), 0);
    }
    time_goes_by(m, ESTAB_S(10));
    return m;
}

static void many_free(struct many *m)
{
    for (int i = 0; i < 2; i++) {
        estab_stack_free(m->h[i].s);
        assert_int_equal(m->h[i].v.live, 0);
    }
    free(m);
}

static void says(struct many *m, int from, int i, uint32_t what)
{
    struct estab_iov v = {&what, sizeof what};

    assert_int_equal(estab_send(m->h[from].s, m->h[from].conn[i], &v, 1, 0), sizeof what);
}

static void hears(struct many *m, int at, int i, uint32_t what)
{
    uint32_t heard = 0;
    struct estab_iov v = {&heard, sizeof heard};

    assert_int_equal(estab_recv(m->h[at].s, m->h[at].conn[i], &v, 1, 0), sizeof heard);
    assert_int_equal(heard, what);
}

/* Batches of frames that all are other connections', and what stands in the way of looking ahead:
 * runs of one connection, rubbish, connections that begin and end among them. */
static void everybody_hears_what_was_said_to_him(void **state)
{
    struct many *m = many_new();

    (void)state;
    m->runs = 0;
    for (uint32_t round = 0; round < 3; round++) {
        for (int i = 0; i < CONNS; i++) {
            says(m, CLIENT, i, (uint32_t)i);
            if (i % 100 == 0)
                says(m, CLIENT, i, (uint32_t)i + 1);
        }
        frames_move(m);
        for (int i = 0; i < CONNS; i++) {
            hears(m, SERVER, i, (uint32_t)i);
            if (i % 100 == 0)
                hears(m, SERVER, i, (uint32_t)i + 1);
            says(m, SERVER, i, ~(uint32_t)i);
        }
        frames_move(m);
        for (int i = 0; i < CONNS; i++)
            hears(m, CLIENT, i, ~(uint32_t)i);
        time_goes_by(m, ESTAB_S(1));
    }
    assert_true(m->runs > 3 * CONNS / ESTAB_BATCH);
    many_free(m);
}

static void rubbish_among_them_is_dropped(void **state)
{
    static uint8_t octets[4][64] = {{0}, {0x45}, {0x60}, {0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6}};
    struct many *m = many_new();
    struct estab_frame f[ESTAB_BATCH], mixed[2 * ESTAB_BATCH];
    size_t n = 0;
    int got;

    (void)state;
    for (int i = 0; i < ESTAB_BATCH; i++)
        says(m, CLIENT, i, (uint32_t)i);
    got = estab_output(m->h[CLIENT].s, 0, f, ESTAB_BATCH);
    assert_int_equal(got, ESTAB_BATCH);
    for (int i = 0; i < got; i++) {
        mixed[n++] = f[i];
        mixed[n++] = (struct estab_frame){
            .iov = {{octets[i % 4], (size_t)i}}, .niov = i % 5 > 0, .off = {0}};
    }
    assert_int_equal(estab_input(m->h[SERVER].s, 0, mixed, n), 0);
    for (int i = 0; i < ESTAB_BATCH; i++)
        hears(m, SERVER, i, (uint32_t)i);
    many_free(m);
}

/* Whose node stays on the wheel, as with few, would be woken for nothing. */
static void who_is_at_rest_sleeps(void **state)
{
    struct many *m = many_new();

    (void)state;
    says(m, CLIENT, 7, 1);
    frames_move(m);
    hears(m, SERVER, 7, 1);
    time_goes_by(m, ESTAB_MS(50)); /* the delayed ACK */
    for (int i = 0; i < 2; i++)
        assert_true(estab_deadline(m->h[i].s) == ESTAB_NEVER);
    many_free(m);
}

static void keepalives_are_kept(void **state)
{
    struct many *m = many_new();
    struct side *c = &m->h[CLIENT];

    (void)state;
    assert_int_equal(estab_setopt(c->s, c->conn[7], ESTAB_O_KEEPIDLE, ESTAB_S(5)), 0);
    says(m, CLIENT, 7, 1);
    frames_move(m);
    hears(m, SERVER, 7, 1);
    time_goes_by(m, ESTAB_MS(50));
    m->frames = 0;
    time_goes_by(m, ESTAB_MS(4900));
    assert_int_equal(m->frames, 0);
    time_goes_by(m, ESTAB_MS(100));
    assert_int_equal(m->frames, 2);
    many_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_hears_what_was_said_to_him),
        cmocka_unit_test(rubbish_among_them_is_dropped),
        cmocka_unit_test(who_is_at_rest_sleeps),
        cmocka_unit_test(keepalives_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

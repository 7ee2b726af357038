/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_pool_test.c - pools over pipes in memory. */
#include "lab/pipe.h"

static struct pipes p;
static estab_pool *pool;
static struct estab_pool_config conf;
static struct estab_channel_config chan;
static estab_channel *served[PIPES]; /* by pipe */
static bool silent;                  /* the server does not reply */
static int nserved;                  /* requests that reached it */
static const struct estab_addr peer = {.port = 7};

static void serve(struct pipes *of)
{
    struct estab_channel_event e;

    for (int i = 0; i < of->n; i++) {
        struct pipe *q = &of->pipe[i];

        if (q->answered && !q->accepted) {
            q->accepted = q->open[1] = true;
            assert_int_equal(
                estab_channel_accept(&served[i], &of->env, &chan, &of->t, (estab_wire)(2 * i + 1)),
                0);
        }
        if (!served[i])
            continue;
        estab_channel_run(served[i]);
        while (estab_channel_next(served[i], &e)) {
            struct estab_iov v = {(void *)(uintptr_t)e.text, e.len};

            nserved += e.kind == ESTAB_CH_REQUEST;
            if (e.kind == ESTAB_CH_REQUEST && !silent)
                assert_int_equal(estab_channel_reply(served[i], e.number, &v, 1, 0), 0);
        }
        estab_channel_run(served[i]);
    }
}

static void settle(void)
{
    for (int i = 0; i < 20; i++) {
        estab_pool_run(pool);
        serve(&p);
    }
}

static void until(estab_time at)
{
    for (;;) {
        estab_time next = at, d;

        settle();
        d = estab_pool_deadline(pool);
        next = d < next ? d : next;
        for (int i = 0; i < p.n; i++) {
            d = served[i] ? estab_channel_deadline(served[i]) : ESTAB_NEVER;
            next = d < next ? d : next;
        }
        if (next >= at)
            break;
        assert_true(next > p.v.now);
        p.v.now = next;
    }
    p.v.now = at;
    settle();
}

static int prepare(void **state)
{
    (void)state;
    pipes_init(&p);
    p.idle = serve;
    memset(served, 0, sizeof served);
    silent = false;
    nserved = 0;
    pool = NULL;
    estab_pool_config_init(&conf);
    estab_channel_config_init(&chan);
    conf.channel = &chan;
    chan.heartbeat = 0;
    conf.max = 3;
    return 0;
}

static int end(void **state)
{
    (void)state;
    estab_pool_free(pool);
    for (int i = 0; i < PIPES; i++)
        estab_channel_free(served[i]);
    assert_int_equal(p.v.live, 0);
    return 0;
}

static void begins(void)
{
    assert_int_equal(estab_pool_new(&pool, &p.env, &conf, &p.t, &peer), 0);
}

static uint64_t ask(unsigned flags, estab_dur within)
{
    struct estab_iov v = {"what", 4};
    uint64_t n;

    assert_int_equal(estab_pool_ask(pool, &v, 1, within, flags, &n), 0);
    return n;
}

static void expect_reply(uint64_t n)
{
    struct estab_channel_event e;

    assert_true(estab_pool_next(pool, &e));
    assert_int_equal(e.kind, ESTAB_CH_REPLY);
    assert_true(n == 0 || e.number == n);
    assert_int_equal(e.len, 4);
    assert_memory_equal(e.text, "what", 4);
}

static void expect_failed(uint64_t n, int error, bool sent)
{
    struct estab_channel_event e;

    assert_true(estab_pool_next(pool, &e));
    assert_int_equal(e.kind, ESTAB_CH_FAILED);
    assert_true(e.number == n);
    assert_int_equal(e.error, error);
    assert_int_equal(e.sent, sent);
}

static void expect_nothing(void)
{
    struct estab_channel_event e;

    assert_false(estab_pool_next(pool, &e));
}

static struct estab_pool_info info(void)
{
    struct estab_pool_info i = {.size = sizeof i};

    estab_pool_info(pool, &i);
    return i;
}

static void one_after_another_uses_one_connection(void **state)
{
    (void)state;
    begins();
    for (int i = 0; i < 10; i++) {
        uint64_t n = ask(0, ESTAB_NEVER);

        settle();
        expect_reply(n);
    }
    assert_int_equal(info().opened, 1);
    assert_int_equal(info().reused, 9);
    assert_int_equal(info().idle, 1);
}

static void no_more_connections_than_the_most(void **state)
{
    (void)state;
    begins();
    for (int i = 0; i < 10; i++)
        (void)ask(0, ESTAB_NEVER);
    assert_int_equal(info().connections, 3);
    assert_int_equal(info().waiting, 7);
    settle();
    for (int i = 0; i < 10; i++)
        expect_reply(0);
    assert_int_equal(info().opened, 3);
}

static void a_full_pool_is_told(void **state)
{
    struct estab_iov v = {"what", 4};
    uint64_t n;

    (void)state;
    conf.waiting = 2;
    begins();
    for (int i = 0; i < 5; i++)
        (void)ask(0, ESTAB_NEVER);
    assert_int_equal(estab_pool_ask(pool, &v, 1, ESTAB_NEVER, 0, &n), ESTAB_E_AGAIN);
    settle();
    for (int i = 0; i < 5; i++)
        expect_reply(0);
    assert_int_equal(estab_pool_ask(pool, &v, 1, ESTAB_NEVER, 0, &n), 0);
}

static void several_on_one_connection(void **state)
{
    (void)state;
    conf.in_flight = 4;
    begins();
    for (int i = 0; i < 8; i++)
        (void)ask(0, ESTAB_NEVER);
    assert_int_equal(info().connections, 2);
    settle();
    for (int i = 0; i < 8; i++)
        expect_reply(0);
}

static void the_time_is_up_while_it_waits(void **state)
{
    uint64_t n;

    (void)state;
    silent = true;
    conf.max = 1;
    begins();
    (void)ask(0, ESTAB_NEVER);
    n = ask(0, ESTAB_MS(300));
    until(p.v.now + ESTAB_MS(300) - 1);
    expect_nothing();
    until(p.v.now + 1);
    expect_failed(n, ESTAB_E_TIMEOUT, false);
    expect_nothing();
}

static void idle_connections_are_closed(void **state)
{
    (void)state;
    conf.idle_for = ESTAB_S(10);
    conf.idle_max = 2;
    begins();
    for (int i = 0; i < 3; i++)
        (void)ask(0, ESTAB_NEVER);
    settle();
    assert_int_equal(info().idle, 2);
    until(p.v.now + ESTAB_S(10) - 1);
    assert_int_equal(info().idle, 2);
    until(p.v.now + 1);
    assert_int_equal(info().connections, 0);
    assert_int_equal(info().retired, 3);
    assert_false(p.pipe[0].lane[1].rst); /* in order */
}

static void old_connections_are_replaced(void **state)
{
    (void)state;
    conf.age_max = ESTAB_S(30);
    conf.idle_for = 0;
    begins();
    for (int i = 0; i < 10; i++) {
        (void)ask(0, ESTAB_NEVER);
        until(p.v.now + ESTAB_S(10));
    }
    for (int i = 0; i < 10; i++)
        expect_reply(0);
    assert_in_range(info().opened, 3, 4);
}

static void short_connections_serve_once(void **state)
{
    (void)state;
    conf.uses_max = 1;
    begins();
    for (int i = 0; i < 5; i++)
        (void)ask(0, ESTAB_NEVER);
    settle();
    for (int i = 0; i < 5; i++)
        expect_reply(0);
    assert_int_equal(info().opened, 5);
    assert_int_equal(info().connections, 0);
}

/* It had died silently while it was idle: found by the check, and the request goes another way. */
static void a_dead_idle_connection_gets_no_work(void **state)
{
    uint64_t n;

    (void)state;
    begins();
    (void)ask(0, ESTAB_NEVER);
    settle();
    expect_reply(0);
    until(p.v.now + ESTAB_S(20));
    p.cut = true;
    n = ask(0, ESTAB_S(10));
    estab_pool_run(pool);
    p.cut = false;
    p.pipe[0].lane[1].len = 0;
    until(p.v.now + ESTAB_S(3));
    expect_reply(n);
    assert_int_equal(info().checks, 1);
    assert_int_equal(info().checks_failed, 1);
    assert_int_equal(info().opened, 2);
}

static void a_good_idle_connection_is_checked_and_used(void **state)
{
    uint64_t n;

    (void)state;
    begins();
    (void)ask(0, ESTAB_NEVER);
    settle();
    expect_reply(0);
    until(p.v.now + ESTAB_S(20));
    n = ask(0, ESTAB_S(10));
    settle();
    expect_reply(n);
    assert_int_equal(info().checks, 1);
    assert_int_equal(info().checks_failed, 0);
    assert_int_equal(info().opened, 1);
}

/* The server hung up while it was idle: seen before anything is sent. */
static void a_connection_that_was_closed_gets_no_work(void **state)
{
    uint64_t n;

    (void)state;
    begins();
    (void)ask(0, ESTAB_NEVER);
    settle();
    expect_reply(0);
    estab_channel_free(served[0]);
    served[0] = NULL;
    n = ask(0, ESTAB_NEVER);
    settle();
    expect_reply(n);
    assert_int_equal(info().opened, 2);
    assert_int_equal(nserved, 2);
}

static void lost_under_way(unsigned flags)
{
    uint64_t n;

    silent = true;
    begins();
    n = ask(flags, ESTAB_NEVER);
    settle();
    assert_int_equal(nserved, 1);
    estab_channel_free(served[0]);
    served[0] = NULL;
    silent = false;
    settle();
    if (flags)
        expect_reply(n);
    else
        expect_failed(n, ESTAB_E_RESET, true);
    assert_int_equal(nserved, flags ? 2 : 1);
}

static void nothing_is_sent_twice(void **state)
{
    (void)state;
    lost_under_way(0);
}

static void unless_it_was_marked_safe(void **state)
{
    (void)state;
    lost_under_way(ESTAB_CH_SAFE);
}

static void nobody_there(void **state)
{
    uint64_t n;

    (void)state;
    p.refuse = ESTAB_E_REFUSED;
    begins();
    n = ask(ESTAB_CH_SAFE, ESTAB_NEVER);
    settle();
    expect_failed(n, ESTAB_E_REFUSED, false);
    assert_int_equal(info().connections, 0);
}

static void a_call_waits(void **state)
{
    char back[4];
    struct estab_iov v = {"what", 4}, to = {back, 4};

    (void)state;
    begins();
    for (int i = 0; i < 3; i++)
        assert_int_equal(estab_pool_call(pool, &v, 1, &to, 1, ESTAB_S(1), 0), 4);
    silent = true;
    assert_int_equal(estab_pool_call(pool, &v, 1, &to, 1, ESTAB_MS(250), 0), ESTAB_E_TIMEOUT);
    assert_true(p.v.now == ESTAB_S(100) + ESTAB_MS(250));
}

static void works(void)
{
    struct estab_iov v = {"what", 4};
    uint64_t n;

    if (estab_pool_new(&pool, &p.env, &conf, &p.t, &peer) != 0)
        return;
    for (int i = 0; i < 6; i++) {
        struct estab_channel_event e;

        (void)estab_pool_ask(pool, &v, 1, ESTAB_S(1), i % 2 ? ESTAB_CH_SAFE : 0, &n);
        for (int j = 0; j < 3; j++)
            estab_pool_run(pool);
        while (estab_pool_next(pool, &e))
            ;
        p.v.now += ESTAB_S(1);
    }
}

static void every_allocation_may_be_refused(void **state)
{
    uint64_t total;

    works();
    total = p.v.allocs;
    (void)end(state);
    for (uint64_t at = 1; at <= total; at++) {
        (void)prepare(state);
        p.v.fail_at = at;
        works();
        (void)end(state);
    }
    memset(served, 0, sizeof served);
    pool = NULL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, prepare, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_after_another_uses_one_connection),
        T(no_more_connections_than_the_most),
        T(a_full_pool_is_told),
        T(several_on_one_connection),
        T(the_time_is_up_while_it_waits),
        T(idle_connections_are_closed),
        T(old_connections_are_replaced),
        T(short_connections_serve_once),
        T(a_dead_idle_connection_gets_no_work),
        T(a_good_idle_connection_is_checked_and_used),
        T(a_connection_that_was_closed_gets_no_work),
        T(nothing_is_sent_twice),
        T(unless_it_was_marked_safe),
        T(nobody_there),
        T(a_call_waits),
        T(every_allocation_may_be_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

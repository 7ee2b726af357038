/* SPDX-License-Identifier: BSD-2-Clause */
/* pace_test.c - how long conversations take, in virtual time: nothing is lost to waiting that a
 * network does not ask for.  A stall of 40 or 200 ms where none belongs fails a bound. */
#include "lab/talk.h"

static struct talks talks; /* large */

/* A path of `rate` octets a second and `delay` each way, with a queue of `queue` frames. */
static void path(struct lab_conf *c, uint64_t rate, estab_dur delay, uint32_t queue)
{
    lab_conf_init(c, 3);
    for (int i = 0; i < 2; i++) {
        c->fault[i].rate = rate;
        c->fault[i].delay = delay;
        c->fault[i].queue = queue;
        c->cfg[i].sndbuf = c->cfg[i].rcvbuf = 4 << 20;
    }
}

static void begins(struct lab *l, const struct lab_conf *c, const char *what)
{
    lab_open(l, c);
    snprintf(l->what, sizeof l->what, "pace_test: %s", what);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lab_host_open(l, i), 0);
    talks_init(&talks, l);
    assert_int_equal(talks_listen(&talks), 0);
}

static bool all_said(struct lab *l)
{
    struct talks *a = l->ctx;

    return a->talk[0].over || (a->talk[0].t[0].over && a->talk[0].t[1].over);
}

static void ends(struct lab *l)
{
    l->done = talks_done;
    lab_run(l);
    assert_int_equal(estab_close(l->host[1].s, talks.listener), 0);
    lab_check_empty(l);
    lab_close(l);
}

/* From the SYN until the second side has closed. */
static estab_dur time_of(const struct lab_conf *c, const char *what, struct talk *as)
{
    struct lab l;
    struct talk *w;
    estab_dur took;

    begins(&l, c, what);
    w = talk_add(&talks);
    memcpy(w->plan, as->plan, sizeof w->plan);
    l.done = all_said;
    lab_run(&l);
    took = l.now - c->start;
    print_message("%-40s %8.1f ms\n", what, (double)took / 1e6);
    ends(&l);
    return took;
}

static struct talk says(uint32_t there, uint32_t back)
{
    struct talk w = {.plan = {{.say = there}, {.say = back}}};

    for (int i = 0; i < 2; i++)
        w.plan[i].chunk_max = w.plan[i].read_max = TALK_CHUNK;
    return w;
}

/* 4 MB at 10 Mbit/s are 3.3 s of wire with headers; slow start costs some round trips of 20 ms. */
static void bulk_fills_the_path(void **state)
{
    struct talk w = says(4000000, 0);
    struct lab_conf c;

    (void)state;
    path(&c, 1250000, ESTAB_MS(10), 4000);
    assert_in_range(time_of(&c, "4 MB at 10 Mbit/s", &w), ESTAB_MS(3300), ESTAB_MS(3600));
}

/* A queue that slow start overruns: NewReno fills one hole a round trip, which is what it is. */
static void a_short_queue_costs_newreno_dear(void **state)
{
    struct talk w = says(4000000, 0);
    struct lab_conf c;

    (void)state;
    path(&c, 1250000, ESTAB_MS(10), 100);
    assert_in_range(time_of(&c, "4 MB at 10 Mbit/s, a queue of 100", &w), ESTAB_MS(3300),
                    ESTAB_MS(7000));
}

static void bulk_both_ways_fills_both_ways(void **state)
{
    struct talk w = says(4000000, 4000000);
    struct lab_conf c;

    (void)state;
    path(&c, 1250000, ESTAB_MS(10), 4000);
    assert_in_range(time_of(&c, "4 MB each way at 10 Mbit/s", &w), ESTAB_MS(3300), ESTAB_MS(4600));
}

/* NewReno with one segment in two hundred lost: some 1.2 * MSS / (RTT * sqrt(p)), 1.3 MB/s; the
 * wire alone takes 340 ms. */
static void loss_slows_it_down_no_further_than_it_must(void **state)
{
    struct talk w = says(4000000, 0);
    struct lab_conf c;

    (void)state;
    path(&c, 12500000, ESTAB_MS(10), 1000);
    c.fault[0].loss = 0.005;
    assert_in_range(time_of(&c, "4 MB, one of 200 lost", &w), ESTAB_MS(340), ESTAB_MS(6000));
}

/* A buffer of less than two segments: a segment each round trip, and no timer in between. */
static void a_small_buffer_costs_round_trips_only(void **state)
{
    struct talk w = says(200000, 0);
    struct lab_conf c;

    (void)state;
    path(&c, 0, ESTAB_MS(5), 0);
    c.cfg[1].rcvbuf = 2048;
    assert_in_range(time_of(&c, "200 kB into 2048 octets", &w), ESTAB_MS(1300), ESTAB_MS(2200));
}

/* A reader of 1000 octets each 10 ms, at most: what it reads is what passes. */
static void a_slow_reader_sets_the_pace(void **state)
{
    struct talk w = says(100000, 0);
    struct lab_conf c;

    (void)state;
    path(&c, 0, ESTAB_MS(5), 0);
    c.cfg[1].rcvbuf = 8192;
    w.plan[1].read_max = 1000;
    w.plan[1].think_in = 1;
    w.plan[1].think_max = ESTAB_MS(20);
    assert_in_range(time_of(&c, "100 kB to a reader of 50 kB/s", &w), ESTAB_MS(1500),
                    ESTAB_MS(2800));
}

/* ---- requests and responses ---- */

struct calls { /* the client's: one in flight at a time */
    struct lab *l;
    estab_sock listener, client, server;
    uint32_t request, response, pieces; /* octets; the response is written in so many calls */
    bool flushes;                       /* and the driver pulls in between */
    uint32_t left, heard, asked, to_write;
    estab_time began;
};

static void call_ask(struct calls *c)
{
    struct estab_iov v = {talks.pattern, c->request};

    assert_int_equal(estab_send(c->l->host[0].s, c->client, &v, 1, 0), c->request);
    c->heard = 0;
}

static void call_answer(struct calls *c)
{
    uint32_t n = c->response / c->pieces;
    struct estab_iov v = {talks.pattern, n};

    do
        assert_int_equal(estab_send(c->l->host[1].s, c->server, &v, 1, 0), n);
    while (--c->to_write > 0 && !c->flushes);
}

static bool calls_act(struct lab *l, struct lab_host *h)
{
    struct calls *c = l->ctx;
    struct estab_iov v = {talks.buf, sizeof talks.buf};
    bool client = h == &l->host[0];
    ptrdiff_t n;

    if (!client && !c->server)
        (void)estab_accept(h->s, c->listener, &c->server, NULL);
    if (client && c->left == UINT32_MAX) { /* connected? */
        if (!(estab_ready(h->s, c->client) & ESTAB_EV_OUT))
            return false;
        c->left = 100;
        c->began = l->now;
        call_ask(c);
        return true;
    }
    if (client ? c->left == 0 : !c->server)
        return false;
    if (!client && c->to_write > 0) {
        call_answer(c);
        return true;
    }
    n = estab_recv(h->s, client ? c->client : c->server, &v, 1, 0);
    if (n <= 0)
        return false;
    if (client) {
        c->heard += (uint32_t)n;
        if (c->heard == c->response / c->pieces * c->pieces && --c->left > 0)
            call_ask(c);
        return true;
    }
    c->asked += (uint32_t)n;
    if (c->asked == c->request) {
        c->asked = 0;
        c->to_write = c->pieces;
        call_answer(c);
    }
    return true;
}

static bool calls_done(struct lab *l)
{
    return ((struct calls *)l->ctx)->left == 0;
}

/* 100 calls over a round trip of 10 ms; how long each took. */
static estab_dur time_of_a_call(uint32_t request, uint32_t response, uint32_t pieces, bool flushes)
{
    struct lab_conf conf;
    struct lab l;
    struct estab_addr to;
    struct calls c = {.l = &l, .request = request, .response = response, .pieces = pieces};
    estab_dur took;

    c.flushes = flushes;

    path(&conf, 0, ESTAB_MS(5), 0);
    begins(&l, &conf, "calls");
    c.listener = talks.listener;
    c.left = UINT32_MAX;
    l.ctx = &c;
    l.act = calls_act;
    l.wake = NULL;
    l.done = calls_done;
    to = l.host[1].addr;
    to.port = talks.port;
    assert_int_equal(estab_socket(l.host[0].s, ESTAB_TCP, &c.client), 0);
    assert_int_equal(estab_connect(l.host[0].s, c.client, &to), ESTAB_E_INPROGRESS);
    lab_run(&l);
    took = (l.now - c.began) / 100;
    print_message("call of %u, answer of %u in %u pieces: %.2f ms\n", request, response, pieces,
                  (double)took / 1e6);
    assert_int_equal(estab_close(l.host[0].s, c.client), 0);
    assert_int_equal(estab_close(l.host[1].s, c.server), 0);
    lab_close(&l);
    return took;
}

/* One write each way is one round trip, whatever the sizes. */
static void a_call_takes_a_round_trip(void **state)
{
    static const uint32_t sizes[] = {1, 100, 1448, 1449, 3000, 10000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            assert_in_range(time_of_a_call(sizes[i], sizes[k], 1, false), ESTAB_MS(10),
                            ESTAB_MS(11));
}

/* What is written in pieces before the driver pulls leaves as one. */
static void an_answer_in_pieces_takes_no_longer(void **state)
{
    (void)state;
    assert_in_range(time_of_a_call(100, 200, 2, false), ESTAB_MS(10), ESTAB_MS(11));
    assert_in_range(time_of_a_call(100, 5000, 2, false), ESTAB_MS(10), ESTAB_MS(11));
    assert_in_range(time_of_a_call(100, 200, 4, false), ESTAB_MS(10), ESTAB_MS(11));
}

/* A head and a body that leave apart cost Nagle's round trip, but no delayed ACK on top of it; full
 * segments cost nothing. */
static void an_answer_that_is_flushed_in_between_takes_one_more(void **state)
{
    (void)state;
    assert_in_range(time_of_a_call(100, 200, 2, true), ESTAB_MS(19), ESTAB_MS(22));
    assert_in_range(time_of_a_call(100, 300, 3, true), ESTAB_MS(19), ESTAB_MS(22));
    assert_in_range(time_of_a_call(100, 5792, 2, true), ESTAB_MS(10), ESTAB_MS(11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_fills_the_path),
        cmocka_unit_test(a_short_queue_costs_newreno_dear),
        cmocka_unit_test(bulk_both_ways_fills_both_ways),
        cmocka_unit_test(loss_slows_it_down_no_further_than_it_must),
        cmocka_unit_test(a_small_buffer_costs_round_trips_only),
        cmocka_unit_test(a_slow_reader_sets_the_pace),
        cmocka_unit_test(a_call_takes_a_round_trip),
        cmocka_unit_test(an_answer_in_pieces_takes_no_longer),
        cmocka_unit_test(an_answer_that_is_flushed_in_between_takes_one_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

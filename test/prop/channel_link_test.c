/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_link_test.c - channels and pools on two stacks over an impaired link, in virtual time:
 * whatever becomes of frames and connections, every request ends once, nothing is carried out twice
 * unless it was marked safe, and a peer that falls silent is found when it was promised. */
#include "lab/lab.h"

#include <estab/channel.h>

enum { REQUESTS = 60, SERVED = 512, TEXT_MAX = 20000 };

/* A link that can be cut: what is sent is lost, what is on its way does not arrive. */
struct cutter {
    estab_link link;
    estab_link *under;
    const bool *cut;
};

struct asked { /* one request */
    uint64_t number;
    bool safe, over, replied;
    int error;
    bool sent;
    unsigned carried_out;
};
struct meeting {
    struct lab *lab;
    struct estab_stack_wires wires[2];
    struct estab_transport t[2];
    struct estab_channel_config conf[2];
    struct estab_pool_config pool_conf;
    estab_sock listener;
    estab_channel *client;
    estab_pool *pool;
    estab_channel *served[SERVED];
    int nserved;
    bool cut, safe, backwards; /* backwards: the server asks, too */
    bool turns;                /* half-duplex: the turn goes with each request and reply */
    uint64_t events;           /* of the stacks, told to the channels' user */
    uint32_t break_in;         /* once in so many events the server breaks a connection; 0: never */
    struct asked asked[REQUESTS];
    int nasked, to_ask;
    uint32_t text_max;
    estab_dur within;
    int nback, nback_over;
    estab_time down_at, cut_at, uncut_at, ask_at;
    estab_time server_down_at, server_heard_at;
    int down_error;
    uint64_t progress;
};

static struct meeting m; /* large */
static uint8_t text[TEXT_MAX];

/* ---- the cutter ---- */

static int cut_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct cutter *c = (struct cutter *)l;
    int got = estab_link_recv(c->under, f, n);

    while (got > 0 && *c->cut)
        got = estab_link_recv(c->under, f, n);
    return got;
}

static int cut_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct cutter *c = (struct cutter *)l;

    return *c->cut ? (int)n : estab_link_send(c->under, f, n);
}

static int cut_fd(const estab_link *l)
{
    (void)l;
    return -1;
}

static estab_time cut_deadline(const estab_link *l)
{
    return estab_link_deadline(((const struct cutter *)l)->under);
}

static void cut_close(estab_link *l)
{
    estab_link_close(((struct cutter *)l)->under);
    free(l);
}

static estab_link *with_cutter(estab_link *under, const bool *cut)
{
    static const struct estab_link_ops ops = {.name = "cut",
                                              .recv = cut_recv,
                                              .send = cut_send,
                                              .fd = cut_fd,
                                              .deadline = cut_deadline,
                                              .close = cut_close};
    struct cutter *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->link = *under;
    c->link.ops = &ops;
    c->under = under;
    c->cut = cut;
    return &c->link;
}

/* ---- the client ---- */

/* A request says which one it is, and how long its reply is to be. */
static size_t write_request(int i, uint32_t reply_len)
{
    size_t len = 8 + lab_below(m.lab, m.text_max);

    memcpy(text, &i, 4);
    memcpy(text + 4, &reply_len, 4);
    return len;
}

static void ask_next(void)
{
    struct asked *q = &m.asked[m.nasked];
    struct estab_iov v = {text, write_request(m.nasked, 4 + lab_below(m.lab, m.text_max))};
    unsigned flags = (q->safe = m.safe && lab_once_in(m.lab, 2)) ? ESTAB_CH_SAFE : 0;
    unsigned pass = m.turns ? ESTAB_CH_PASS : 0;
    int err = m.pool ? estab_pool_ask(m.pool, &v, 1, m.within, flags, &q->number)
                     : estab_channel_ask(m.client, &v, 1, m.within, flags | pass, &q->number);

    m.ask_at = m.lab->now + lab_below(m.lab, (uint32_t)ESTAB_MS(60));
    if (err == ESTAB_E_AGAIN)
        return;
    if (err)
        lab_fail(m.lab, "ask: %s", estab_channel_strerror(err));
    m.nasked++;
    m.progress++;
}

static void request_over(const struct estab_channel_event *e)
{
    struct asked *q = m.asked;
    uint32_t i;

    while (q < m.asked + m.nasked && q->number != e->number)
        q++;
    if (q == m.asked + m.nasked || q->over)
        lab_fail(m.lab, "a request that was not asked, or had ended");
    q->over = true;
    q->replied = e->kind == ESTAB_CH_REPLY;
    q->error = e->error;
    q->sent = e->sent;
    if (!q->replied)
        return;
    memcpy(&i, e->text, 4);
    if (i != (uint32_t)(q - m.asked))
        lab_fail(m.lab, "request %d has the reply to %u", (int)(q - m.asked), i);
    for (size_t at = 4; at < e->len; at++)
        if (e->text[at] != (uint8_t)(at * 31 + i))
            lab_fail(m.lab, "the reply to request %u is not whole", i);
}

static void reply_backwards(const struct estab_channel_event *e)
{
    struct estab_iov v = {(void *)(uintptr_t)e->text, e->len};

    (void)estab_channel_reply(m.client, e->number, &v, 1, 0);
}

static void act_client(void)
{
    struct estab_channel_event e;

    while (m.nasked < m.to_ask && m.lab->now >= m.ask_at)
        ask_next();
    if (m.pool) {
        estab_pool_run(m.pool);
        while (estab_pool_next(m.pool, &e)) {
            m.progress++;
            request_over(&e);
        }
        estab_pool_run(m.pool);
        return;
    }
    estab_channel_run(m.client);
    while (estab_channel_next(m.client, &e)) {
        m.progress++;
        if (e.kind == ESTAB_CH_REPLY || e.kind == ESTAB_CH_FAILED)
            request_over(&e);
        else if (e.kind == ESTAB_CH_REQUEST)
            reply_backwards(&e);
        else if (e.kind == ESTAB_CH_DOWN && !m.down_at) {
            m.down_at = m.lab->now;
            m.down_error = e.error;
        }
    }
    estab_channel_run(m.client);
}

/* ---- the server ---- */

static void serve_request(estab_channel *c, const struct estab_channel_event *e)
{
    struct estab_iov v = {text, 0};
    uint32_t i, len;

    memcpy(&i, e->text, 4);
    memcpy(&len, e->text + 4, 4);
    m.asked[i].carried_out++;
    for (size_t at = 4; at < len; at++)
        text[at] = (uint8_t)(at * 31 + i);
    memcpy(text, &i, 4);
    v.len = len;
    if (estab_channel_reply(c, e->number, &v, 1, m.turns ? ESTAB_CH_PASS : 0) != 0)
        lab_fail(m.lab, "no reply to request %u", i);
}

static void ask_back(estab_channel *c)
{
    struct estab_iov v = {text, 100};
    uint64_t n;

    m.nback += estab_channel_ask(c, &v, 1, ESTAB_NEVER, 0, &n) == 0;
}

/* false: it is over, or was broken off. */
static bool serve_channel(estab_channel *c)
{
    struct estab_channel_info info = {.size = sizeof info};
    struct estab_channel_event e;

    estab_channel_run(c);
    while (estab_channel_next(c, &e)) {
        m.progress++;
        if (e.kind == ESTAB_CH_REQUEST)
            serve_request(c, &e);
        else if (e.kind == ESTAB_CH_DOWN)
            m.server_down_at = m.lab->now;
        m.nback_over += e.kind == ESTAB_CH_REPLY || e.kind == ESTAB_CH_FAILED;
        if (m.backwards && e.kind == ESTAB_CH_REQUEST)
            ask_back(c);
        if (m.break_in && lab_once_in(m.lab, m.break_in))
            return false;
    }
    estab_channel_run(c);
    estab_channel_info(c, &info);
    m.server_heard_at = info.heard_at;
    return info.state != ESTAB_CHANNEL_OVER;
}

static void act_server(void)
{
    estab_sock k;

    while (estab_accept(m.wires[1].s, m.listener, &k, NULL) == 0) {
        assert_true(m.nserved < SERVED);
        assert_int_equal(estab_channel_accept(&m.served[m.nserved++], &m.lab->host[1].env,
                                              &m.conf[1], &m.t[1], k),
                         0);
        m.progress++;
    }
    for (int i = 0; i < m.nserved; i++) {
        if (!m.served[i] || serve_channel(m.served[i]))
            continue;
        estab_channel_free(m.served[i]);
        m.served[i] = NULL;
        m.progress++;
    }
}

/* ---- the lab's hooks ---- */

static uint64_t fingerprint(const struct lab_host *h)
{
    struct estab_channel_info info = {.size = sizeof info};
    uint64_t sum = m.progress;

    if (h == &m.lab->host[0] && m.client) {
        estab_channel_info(m.client, &info);
        sum += info.octets_in + info.octets_out + info.connections + (uint64_t)info.state;
    }
    for (int i = 0; h == &m.lab->host[1] && i < m.nserved; i++) {
        if (!m.served[i])
            continue;
        estab_channel_info(m.served[i], &info);
        sum += info.octets_in + info.octets_out;
    }
    return sum;
}

static bool act(struct lab *l, struct lab_host *h)
{
    struct estab_event e[16];
    uint64_t before = fingerprint(h);
    size_t n;

    while ((n = estab_events(h->s, e, 16)) > 0) {
        for (size_t i = 0; i < n; i++)
            assert_true(e[i].user == &m);
        m.events += n;
    }
    if (h == &l->host[0])
        act_client();
    else
        act_server();
    return fingerprint(h) != before;
}

static estab_time after_now(estab_time at)
{
    return at > m.lab->now ? at : ESTAB_NEVER;
}

static estab_time wake(struct lab *l)
{
    estab_time next = m.pool ? estab_pool_deadline(m.pool) : estab_channel_deadline(m.client);

    for (int i = 0; i < m.nserved; i++)
        if (m.served[i])
            next = time_min(next, estab_channel_deadline(m.served[i]));
    if (m.nasked < m.to_ask)
        next = time_min(next, m.ask_at);
    m.cut = l->now >= m.cut_at && l->now < m.uncut_at;
    next = time_min(next, after_now(m.cut_at));
    return time_min(next, after_now(m.uncut_at));
}

static bool all_over(struct lab *l)
{
    (void)l;
    for (int i = 0; i < m.nasked; i++)
        if (!m.asked[i].over)
            return false;
    return m.nasked == m.to_ask && (m.break_in || m.nback == m.nback_over);
}

static void prepare(struct lab *l, struct lab_conf *c, uint64_t seed)
{
    memset(&m, 0, sizeof m);
    lab_conf_init(c, seed);
    m.lab = l;
    m.to_ask = REQUESTS;
    m.text_max = 3000;
    m.within = ESTAB_NEVER;
    m.cut_at = m.uncut_at = ESTAB_NEVER;
    for (int i = 0; i < 2; i++) {
        c->fault[i].delay = ESTAB_MS(10);
        estab_channel_config_init(&m.conf[i]);
        m.conf[i].user = &m;
    }
    estab_pool_config_init(&m.pool_conf);
    m.pool_conf.channel = &m.conf[0];
}

static void impair(struct lab_conf *c)
{
    for (int i = 0; i < 2; i++) {
        c->fault[i].loss = 0.03;
        c->fault[i].duplicate = 0.02;
        c->fault[i].reorder = 0.05;
        c->fault[i].reorder_by = ESTAB_MS(15);
        c->fault[i].corrupt = 0.01;
        c->fault[i].jitter = ESTAB_MS(5);
    }
}

static void begin(struct lab *l, const struct lab_conf *c, const char *what, bool pooled)
{
    struct estab_addr at;

    lab_open(l, c);
    snprintf(l->what, sizeof l->what, "%s, seed %d", what, (int)c->seed);
    for (int i = 0; i < 2; i++) {
        l->host[i].link = with_cutter(l->host[i].link, &m.cut);
        assert_int_equal(lab_host_open(l, i), 0);
        m.wires[i] = (struct estab_stack_wires){.s = l->host[i].s};
        estab_transport_stack(&m.t[i], &m.wires[i]);
    }
    at = l->host[1].addr;
    at.port = 7;
    assert_int_equal(estab_socket(l->host[1].s, ESTAB_TCP, &m.listener), 0);
    assert_int_equal(estab_bind(l->host[1].s, m.listener, &at), 0);
    assert_int_equal(estab_listen(l->host[1].s, m.listener, 128), 0);
    if (pooled)
        assert_int_equal(estab_pool_new(&m.pool, &l->host[0].env, &m.pool_conf, &m.t[0], &at), 0);
    else
        assert_int_equal(
            estab_channel_connect(&m.client, &l->host[0].env, &m.conf[0], &m.t[0], &at), 0);
    l->act = act;
    l->wake = wake;
    l->done = all_over;
    m.ask_at = l->now;
}

static void judge(void)
{
    for (int i = 0; i < m.nasked; i++) {
        const struct asked *q = &m.asked[i];

        if (q->carried_out > 1 && !q->safe)
            lab_fail(m.lab, "request %d was carried out %u times", i, q->carried_out);
        if (q->replied && q->carried_out == 0)
            lab_fail(m.lab, "request %d has a reply and was not carried out", i);
        if (q->over && !q->replied && !q->sent && q->carried_out > 0)
            lab_fail(m.lab, "request %d is said not to have been sent, and was", i);
    }
}

static void finish(struct lab *l)
{
    judge();
    estab_channel_free(m.client);
    estab_pool_free(m.pool);
    for (int i = 0; i < m.nserved; i++)
        estab_channel_free(m.served[i]);
    lab_close(l);
}

/* ---- the tests ---- */

static void every_request_has_its_reply_over_any_link(void **state)
{
    struct lab l;
    struct lab_conf c;

    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        prepare(&l, &c, seed);
        impair(&c);
        m.turns = seed % 5 == 0;
        m.backwards = seed % 2 && !m.turns;
        m.conf[0].duplex = m.conf[1].duplex = m.turns ? ESTAB_DUPLEX_HALF : ESTAB_DUPLEX_FULL;
        m.text_max = seed % 3 ? 3000 : TEXT_MAX - 8;
        m.conf[0].length = m.conf[1].length = (uint8_t)(seed % 4);
        if (seed % 4 == ESTAB_LENGTH_2)
            m.conf[0].max_message = m.conf[1].max_message = 40000;
        begin(&l, &c, "any link", false);
        lab_run(&l);
        for (int i = 0; i < REQUESTS; i++)
            if (!m.asked[i].replied || m.asked[i].carried_out != 1)
                lab_fail(&l, "request %d has no reply", i);
        assert_true(m.events > 0);
        finish(&l);
    }
}

static void connections_that_break(bool pooled, const char *what)
{
    struct lab l;
    struct lab_conf c;
    unsigned failed = 0, repeated = 0;

    for (uint64_t seed = 1; seed <= 150; seed++) {
        prepare(&l, &c, seed);
        impair(&c);
        m.safe = true;
        m.break_in = 12;
        m.within = seed % 2 ? ESTAB_NEVER : ESTAB_S(3);
        m.conf[0].reconnect = true;
        m.turns = !pooled && seed % 4 == 0;
        m.conf[0].duplex = m.conf[1].duplex = m.turns ? ESTAB_DUPLEX_HALF : ESTAB_DUPLEX_FULL;
        m.pool_conf.max = (uint32_t)(1 + seed % 4);
        m.pool_conf.in_flight = (uint32_t)(1 + seed % 3);
        m.pool_conf.uses_max = seed % 5 == 0 ? 1 : 0;
        begin(&l, &c, what, pooled);
        lab_run(&l);
        for (int i = 0; i < REQUESTS; i++) {
            failed += !m.asked[i].replied;
            repeated += m.asked[i].carried_out > 1;
        }
        finish(&l);
    }
    assert_true(failed > 0 && repeated > 0); /* the test would show nothing otherwise */
}

static void nothing_twice_on_a_channel_that_breaks(void **state)
{
    (void)state;
    connections_that_break(false, "a channel that breaks");
}

static void nothing_twice_in_a_pool_whose_connections_break(void **state)
{
    (void)state;
    connections_that_break(true, "a pool that breaks");
}

/* The link goes dead at any instant of a conversation: while connecting, between and amid messages,
 * and when all has been said. */
static void silence_is_found_when_promised(void **state)
{
    struct estab_channel_info info;
    struct lab l;
    struct lab_conf c;
    estab_time next;

    (void)state;
    for (unsigned at = 0; at < 120; at++) {
        prepare(&l, &c, at + 1);
        if (at % 2)
            impair(&c);
        m.to_ask = 20;
        m.cut_at = c.start + ESTAB_MS(at < 60 ? at : at * 30);
        for (int i = 0; i < 2; i++) {
            m.conf[i].heartbeat = ESTAB_S(1);
            m.conf[i].misses = 2;
            m.conf[i].connect_timeout = ESTAB_S(3);
        }
        begin(&l, &c, "silence", false);
        for (;;) {
            info = (struct estab_channel_info){.size = sizeof info};
            estab_channel_info(m.client, &info);
            if (info.state == ESTAB_CHANNEL_OVER)
                break;
            while (lab_round(&l))
                ;
            next = time_min(lab_next(&l), l.now + ESTAB_S(1));
            lab_set_time(&l, next > l.now ? next : l.now);
            if (l.now > c.start + ESTAB_S(30))
                lab_fail(&l, "nobody found out");
        }
        assert_int_equal(m.down_error, ESTAB_E_TIMEOUT);
        assert_true(m.down_at == (info.connections ? info.heard_at : c.start) + ESTAB_S(3));
        for (int i = 0; i < m.nasked; i++)
            assert_true(m.asked[i].over);       /* told at once */
        while (l.now < c.start + ESTAB_S(30)) { /* the other side */
            while (lab_round(&l))
                ;
            lab_set_time(&l, l.now + ESTAB_MS(100));
        }
        if (m.nserved && m.server_heard_at)
            assert_in_range(m.server_down_at, m.server_heard_at + ESTAB_S(3),
                            m.server_heard_at + ESTAB_S(3) + ESTAB_MS(100));
        finish(&l);
    }
}

/* It goes dead, also while it comes back, and is well again: what was marked safe is done. */
static void after_the_silence_it_goes_on(void **state)
{
    struct lab l;
    struct lab_conf c;

    (void)state;
    for (unsigned at = 0; at < 40; at++) {
        prepare(&l, &c, at + 1);
        impair(&c);
        m.safe = true;
        m.cut_at = c.start + ESTAB_MS(20 * at);
        m.uncut_at = m.cut_at + ESTAB_MS(500u * at);
        for (int i = 0; i < 2; i++)
            m.conf[i].heartbeat = ESTAB_S(1);
        m.conf[0].reconnect = true;
        m.conf[0].connect_timeout = ESTAB_S(3);
        m.conf[0].retry_max = ESTAB_S(1);
        begin(&l, &c, "after the silence", false);
        lab_run(&l);
        for (int i = 0; i < REQUESTS; i++)
            if (m.asked[i].safe && !m.asked[i].replied)
                lab_fail(&l, "request %d was marked safe and has no reply", i);
        if (l.now > m.uncut_at && l.now > m.uncut_at + ESTAB_S(20))
            lab_fail(&l, "it took long to come back");
        finish(&l);
    }
}

/* A time limit holds to the nanosecond, whatever the network does. */
static void time_limits_hold(void **state)
{
    struct lab l;
    struct lab_conf c;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        prepare(&l, &c, seed);
        impair(&c);
        m.to_ask = 1;
        m.within = ESTAB_MS(500);
        m.cut_at = c.start + seed * ESTAB_MS(9);
        begin(&l, &c, "time limits", false);
        lab_run(&l);
        if (!m.asked[0].replied) {
            assert_int_equal(m.asked[0].error, ESTAB_E_TIMEOUT);
            assert_true(l.now == c.start + ESTAB_MS(500));
        }
        finish(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_has_its_reply_over_any_link),
        cmocka_unit_test(nothing_twice_on_a_channel_that_breaks),
        cmocka_unit_test(nothing_twice_in_a_pool_whose_connections_break),
        cmocka_unit_test(silence_is_found_when_promised),
        cmocka_unit_test(after_the_silence_it_goes_on),
        cmocka_unit_test(time_limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

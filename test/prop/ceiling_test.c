/* SPDX-License-Identifier: BSD-2-Clause */
/* ceiling_test.c - a stack that is given a ceiling in octets: it never takes more, whatever its
 * peer and its users do, and no connection that makes progress pays for it.
 *
 * Host B has the ceiling.  Every talk must come to its end: where a connection is refused the peer
 * asks again, where text is refused it is sent again. */
#include "lab/talk.h"

static struct talks talks; /* large */
static estab_sock hoard[8192];
static uint32_t nhoard;
static estab_time hoard_at;
static uint64_t lends, lends_refused; /* so far */

struct plan {
    size_t ceiling;
    uint32_t talks, say[2]; /* octets that each side says */
    estab_dur reads_after;  /* B's users pause for up to this, often */
    double loss;
    bool ip6;
    bool b_closes;      /* ... first: it has the TIME-WAITs */
    estab_dur hoard_at; /* B's user makes as many sockets as it can have; 0: it does not */
    uint32_t lend_in;   /* one in so many pieces of text is lent; 0: none */
};

static void lay_out(struct lab *l, const struct plan *p)
{
    talks_init(&talks, l);
    for (uint32_t i = 0; i < p->talks; i++) {
        struct talk *w = talk_add(&talks);

        w->start_at += ESTAB_MS(3 * i);
        for (int side = 0; side < 2; side++) {
            w->plan[side].say = p->say[side];
            w->plan[side].end = p->b_closes && side == 0 ? TALK_WAITS : TALK_SHUTS;
            w->plan[side].chunk_max = 20000;
            w->plan[side].read_max = 20000;
            w->plan[side].lend_in = p->lend_in;
        }
        w->plan[1].think_in = p->reads_after ? 3 : 0;
        w->plan[1].think_max = p->reads_after;
    }
}

/* Until the last talk is over. */
static bool hoard_act(struct lab *l, struct lab_host *h)
{
    bool busy = talks_act(l, h), over = true;

    for (uint32_t i = 0; i < talks.n; i++)
        over &= talks.talk[i].over;
    if (h == &l->host[1] && over)
        while (nhoard > 0)
            assert_int_equal(estab_close(h->s, hoard[--nhoard]), 0);
    else if (h == &l->host[1] && l->now >= hoard_at)
        while (nhoard < 8192 && estab_socket(h->s, ESTAB_TCP, &hoard[nhoard]) == 0)
            nhoard++;
    return busy;
}

/* What B's rules counted; its peak is checked here. */
static void run(const struct plan *p, uint64_t seed, uint64_t counts[RULE_COUNT])
{
    struct lab_conf c;
    struct lab l;

    lab_conf_init(&c, seed);
    c.ip6 = p->ip6;
    c.cfg[1].mem_max = p->ceiling;
    c.dump = getenv("ESTAB_AT") ? stderr : NULL;
    for (int i = 0; i < 2; i++) {
        c.fault[i].delay = ESTAB_MS(5);
        c.fault[i].loss = p->loss;
        c.fault[i].reorder = p->loss;
        c.fault[i].reorder_by = ESTAB_MS(3);
    }
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "ceiling_test: %zu octets, seed %llu", p->ceiling,
             (unsigned long long)seed);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lab_host_open(&l, i), 0);
    lay_out(&l, p);
    assert_int_equal(talks_listen(&talks), 0);
    nhoard = 0;
    if (p->hoard_at)
        l.act = hoard_act;
    hoard_at = l.now + p->hoard_at;
    lab_run(&l);
    for (unsigned i = 0; i < RULE_COUNT; i++)
        counts[i] += estab_rule_count(l.host[1].s, i);
    lends += talks.lends;
    lends_refused += talks.lends_refused;
    assert_true(l.host[1].v.peak <= p->ceiling);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    lab_check_empty(&l);
    lab_close(&l);
}

static void senders_against_slow_readers(void **state)
{
    const struct plan p = {
        .ceiling = 1024u << 10, .talks = 24, .say = {200000, 1000}, .reads_after = ESTAB_MS(200)};
    uint64_t n[RULE_COUNT] = {0};

    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++)
        run(&p, seed, n);
    assert_true(n[RULE_MEM_TIGHT] > 0);
    print_message("tight %llu times; refused: %llu connections, %llu texts ahead, %llu texts\n",
                  (unsigned long long)n[RULE_MEM_TIGHT], (unsigned long long)n[RULE_MEM_CONN],
                  (unsigned long long)n[RULE_MEM_AHEAD], (unsigned long long)n[RULE_NO_MEMORY]);
}

static void loss_and_reordering(void **state)
{
    const struct plan p = {.ceiling = 1024u << 10,
                           .talks = 24,
                           .say = {150000, 50000},
                           .reads_after = ESTAB_MS(50),
                           .loss = 0.03,
                           .ip6 = true};
    uint64_t n[RULE_COUNT] = {0};

    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++)
        run(&p, seed, n);
    assert_true(n[RULE_MEM_AHEAD] > 0);
}

/* The least ceiling that a configuration may have. */
static void the_least(void **state)
{
    const struct plan p = {.ceiling = ESTAB_MEM_LEAST, .talks = 1, .say = {300000, 300000}};
    const struct plan lossy = {
        .ceiling = ESTAB_MEM_LEAST, .talks = 3, .say = {100000, 100000}, .loss = 0.05};
    uint64_t n[RULE_COUNT] = {0};

    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run(&p, seed, n);
        run(&lossy, seed, n);
    }
}

/* What is lent takes next to nothing of the ceiling; where not even that is left, it is lent again.
 */
static void text_is_lent(void **state)
{
    const struct plan many = {.ceiling = 512u << 10,
                              .talks = 60,
                              .say = {100000, 100000},
                              .reads_after = ESTAB_MS(200),
                              .lend_in = 2};
    const struct plan least = {
        .ceiling = ESTAB_MEM_LEAST, .talks = 12, .say = {100000, 100000}, .lend_in = 2};
    uint64_t n[RULE_COUNT] = {0};

    (void)state;
    lends = lends_refused = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run(&many, seed, n);
        run(&least, seed, n);
    }
    assert_true(n[RULE_MEM_TIGHT] > 0 && lends > 0);
    print_message("lent %llu times, refused %llu\n", (unsigned long long)lends,
                  (unsigned long long)lends_refused);
}

/* B closes first, and has the TIME-WAITs: they give way before a connection is not served.  The
 * ceiling leaves room for some of the others: sockets that nobody uses take most of it. */
static void time_waits_give_way(void **state)
{
    const struct plan p = {.ceiling = 1u << 20,
                           .talks = 60,
                           .say = {0, 10},
                           .reads_after = ESTAB_MS(500),
                           .b_closes = true,
                           .hoard_at = ESTAB_MS(200)};
    uint64_t n[RULE_COUNT] = {0};

    (void)state;
    run(&p, 1, n);
    assert_true(n[RULE_TIME_WAIT_RECYCLED] > 0);
}

/* What the user is told: a call, and estab_stack_info(). */
static void a_call_is_refused(void **state)
{
    struct estab_stack_info i = {.size = sizeof i};
    estab_sock k, all[4096];
    struct lab_conf c;
    struct lab l;
    uint32_t n = 0;
    int err;

    (void)state;
    lab_conf_init(&c, 1);
    c.cfg[1].mem_max = ESTAB_MEM_LEAST;
    lab_open(&l, &c);
    assert_int_equal(lab_host_open(&l, 1), 0);
    while ((err = estab_socket(l.host[1].s, ESTAB_TCP, &k)) == 0 && n < 4096)
        all[n++] = k;
    assert_int_equal(err, ESTAB_E_NOMEM);
    assert_int_equal(estab_rule_count(l.host[1].s, RULE_MEM_CONN), 1);
    estab_stack_info(l.host[1].s, &i);
    assert_true(i.mem_used > ESTAB_MEM_LEAST / 8 * 7 && i.mem_used <= ESTAB_MEM_LEAST);
    while (n > 0)
        assert_int_equal(estab_close(l.host[1].s, all[--n]), 0);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(senders_against_slow_readers),
        cmocka_unit_test(loss_and_reordering),
        cmocka_unit_test(the_least),
        cmocka_unit_test(text_is_lent),
        cmocka_unit_test(time_waits_give_way),
        cmocka_unit_test(a_call_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* pair_test.c - a client and a server over a bad network: every octet arrives once and in order,
 * both ends reach CLOSED, nothing leaks, nothing waits for ever, and a seed says all of it.
 *
 *   ESTAB_SEEDS=N    how many seeds (default 3000)
 *   ESTAB_FIRST=N    the first of them (default 1)
 *   ESTAB_SEED=N     that one only, with all that happens on the terminal */
#include "lab/talk.h"

static struct talks talks; /* large */
static uint64_t acted[RULE_COUNT], early, copies;

/* ---- what a seed means ---- */

static double chance(struct lab *l, uint32_t percent_max)
{
    return lab_once_in(l, 2) ? 0 : lab_between(l, 1, percent_max) / 100.;
}

static void network_of(struct lab *l, struct lab_conf *c)
{
    const bool ethernet = lab_once_in(l, 3);
    /* What Ethernet corrupts its FCS drops, and ARP, which has no checksum, relies on that. */
    const bool offload = lab_once_in(l, 5);
    const bool corruptible = (!ethernet || c->ip6) && !offload; /* offload: nobody checks */

    c->caps.medium = ethernet ? ESTAB_MEDIUM_ETHERNET : ESTAB_MEDIUM_IP;
    c->caps.mtu =
        c->ip6 ? PICK(l, 1280, 1280, 1500, 9000) : PICK(l, 68, 296, 576, 1500, 1500, 9000);
    c->mark = chance(l, 50);
    memcpy(c->caps.mac, "\x02\0\0\0\0\x10", 6);
    if (offload) {
        c->caps.gso_max = PICK(l, 3000, 20000, 65535);
        c->caps.tx_csum = c->caps.rx_csum = true;
    }
    for (int i = 0; i < 2; i++) {
        struct estab_fault *f = &c->fault[i];

        f->loss = chance(l, 30);
        f->duplicate = chance(l, 20);
        f->reorder = chance(l, 20);
        f->reorder_by = ESTAB_MS(lab_between(l, 1, 50));
        f->corrupt = corruptible ? chance(l, 5) : 0;
        f->delay = ESTAB_US(PICK(l, 0, 10, 1000, 20000, 20000, 300000));
        f->jitter = lab_once_in(l, 2) ? f->delay / lab_between(l, 1, 10) : 0;
        f->late = chance(l, 10);
        f->late_by = ESTAB_MS(lab_between(l, 100, 30000));
        if (lab_once_in(l, 4)) {
            f->rate = PICK(l, 20000, 200000, 10000000);
            f->queue = lab_between(l, 5, 200);
        }
    }
}

/* R2 is out of the way: a network that loses a third would reach it now and then, rightly. */
static void host_of(struct lab *l, struct estab_config *c)
{
    c->timestamps = !lab_once_in(l, 3);
    c->window_scale = !lab_once_in(l, 3);
    c->sack = !lab_once_in(l, 3);
    c->ecn =
        (uint8_t)PICK(l, ESTAB_ECN_OFF, ESTAB_ECN_PASSIVE, ESTAB_ECN_ACTIVE, ESTAB_ECN_ACCURATE);
    c->sndbuf = PICK(l, 2048, 4096, 16384, 65536, 512 << 10);
    c->rcvbuf = PICK(l, 2048, 4096, 16384, 65536, 512 << 10, 2 << 20);
    c->msl = ESTAB_S(31); /* longer than anything wanders, as RFC 9293 section 3.4.2 wants */
    c->rto_max = ESTAB_S(lab_between(l, 4, 60));
    c->rto_min = ESTAB_MS(PICK(l, 5, 200, 200, 1000));
    c->delack = ESTAB_MS(PICK(l, 0, 1, 40, 40, 500));
    c->initial_window = (uint8_t)PICK(l, 1, 2, 4, 10, 10);
    c->fin_wait_2 = 0;
    c->syn_retries = c->max_retries = c->orphan_retries = 255;
    c->synack_retries = 15;
    c->syn_cookies = lab_once_in(l, 2)    ? ESTAB_COOKIES_NEVER
                     : lab_once_in(l, 10) ? ESTAB_COOKIES_ALWAYS
                                          : ESTAB_COOKIES_WHEN_FULL;
    if (lab_once_in(l, 8))
        c->max_timewait = PICK(l, 1, 3, 10);
    if (lab_once_in(l, 8))
        c->max_synq = PICK(l, 1, 3, 10);
    if (lab_once_in(l, 8))
        c->max_conns = PICK(l, 3, 10);
}

static uint32_t amount(struct lab *l, uint32_t mtu)
{
    const uint32_t most = mtu < 500 ? 20000 : 300000;

    switch (lab_below(l, 6)) {
    case 0:
        return 0;
    case 1:
        return lab_between(l, 1, 10);
    case 2:
    case 3:
        return lab_between(l, 1, 3000);
    case 4:
        return lab_between(l, 1, most / 10);
    default:
        return lab_between(l, 1, most);
    }
}

static void side_of(struct lab *l, struct talk_plan *p, uint32_t hears)
{
    p->chunk_max = PICK(l, 1 + p->say / 200, 1000, 10000, TALK_CHUNK);
    p->read_max = PICK(l, 1 + hears / 200, 1000, 10000, TALK_CHUNK);
    p->think_in = PICK(l, 0, 1, 10, 100);
    p->think_max = ESTAB_MS(PICK(l, 1, 10, 100, 3000));
    p->nodelay = lab_once_in(l, 3);
    p->quickack = lab_once_in(l, 5);
    p->urgent = lab_once_in(l, 8);
    p->more = lab_once_in(l, 8);
    p->peek = lab_once_in(l, 8);
    p->lend_in = lab_once_in(l, 4) ? PICK(l, 1, 1, 3, 20) : 0;
    p->sndbuf = lab_once_in(l, 4) ? lab_between(l, 2048, 20000) : 0;
    p->rcvbuf = lab_once_in(l, 4) ? lab_between(l, 2048, 20000) : 0;
    p->maxseg = lab_once_in(l, 8) ? lab_between(l, 88, 1500) : 0;
    p->keepidle = lab_once_in(l, 8) ? ESTAB_S(lab_between(l, 1, 20)) : 0;
}

/* Never both waiting for the other to begin. */
static void ends_of(struct lab *l, struct talk *w, bool aborts)
{
    static const enum talk_end ends[][2] = {
        {TALK_SHUTS, TALK_SHUTS},  {TALK_SHUTS, TALK_WAITS},  {TALK_WAITS, TALK_SHUTS},
        {TALK_CLOSES, TALK_WAITS}, {TALK_WAITS, TALK_CLOSES}, {TALK_CLOSES, TALK_CLOSES},
        {TALK_SHUTS, TALK_CLOSES}, {TALK_CLOSES, TALK_SHUTS},
    };
    uint32_t which = lab_below(l, sizeof ends / sizeof *ends);

    for (int i = 0; i < 2; i++)
        w->plan[i].end = ends[which][i];
    if (aborts) {
        struct talk_plan *p = &w->plan[lab_below(l, 2)];

        p->end = TALK_ABORTS;
        p->abort_after = lab_below(l, w->plan[0].say + w->plan[1].say + 1);
    }
}

/* Without room for a control block an opening waits, but not for ever.  A cookie is sent once: who
 * only listens may lose the connection with its own ACK; and one that comes back may take the place
 * of a half-open connection. */
static bool may_refuse(const struct estab_config *c, uint32_t n, uint32_t backlog)
{
    if (c->syn_cookies == ESTAB_COOKIES_ALWAYS || n >= c->max_conns)
        return true;
    return c->syn_cookies != ESTAB_COOKIES_NEVER &&
           (backlog < TALKS_MAX || c->max_synq < TALKS_MAX);
}

static void talks_of(struct lab *l, struct talks *a)
{
    uint32_t n = PICK(l, 1, 1, 1, 1, 2, 2, 5, 5, 30);

    if (lab_once_in(l, 4)) {
        a->fastopen = (uint16_t)PICK(l, 1, 2, 8);
        n = PICK(l, 2, 5, 8);
    }
    a->backlog = PICK(l, 1, 3, TALKS_MAX, TALKS_MAX);
    a->may_fail = lab_once_in(l, 10) || may_refuse(&l->conf.cfg[1], n, a->backlog);
    for (uint32_t i = 0; i < n; i++) {
        struct talk *w = talk_add(a);

        w->start_at += lab_once_in(l, 2) ? 0 : lab_rand(l) % ESTAB_S(2);
        w->port[0] = lab_once_in(l, 2) ? (uint16_t)(5000 + i) : 0;
        for (int side = 0; side < 2; side++)
            w->plan[side].say = amount(l, l->conf.caps.mtu) / (n > 5 ? 20 : 1);
        for (int side = 0; side < 2; side++)
            side_of(l, &w->plan[side], w->plan[!side].say);
        if (a->may_fail) /* who only listens hears of it no other way: an RST may be lost */
            w->plan[0].keepidle = w->plan[1].keepidle = ESTAB_S(10);
        ends_of(l, w, a->may_fail && lab_once_in(l, 2));
        if (a->fastopen) { /* one connection asks for the cookie that others have */
            w->plan[0].fastopen = !lab_once_in(l, 4);
            w->start_at += i * ESTAB_MS(PICK(l, 0, 100, 5000));
            continue;
        }
        if (!a->may_fail && lab_once_in(l, 10)) {
            w->simultaneous = true;
            w->port[0] = (uint16_t)(6000 + i);
            w->port[1] = (uint16_t)(7000 + i);
        } else if (w->port[0] && lab_once_in(l, 4)) {
            w->again = lab_between(l, 1, 3);
            w->pause_max = ESTAB_MS(PICK(l, 1, 1000, 60000));
            /* A reset leaves no TIME-WAIT, and its ports may be used again at once; but then only
             * time keeps old duplicates out (RFC 9293 section 3.4.3). */
            w->pause_min = a->may_fail ? ESTAB_S(31) : 0;
        }
    }
}

static uint64_t run(uint64_t seed, struct edges *edges, FILE *dump, uint64_t *records)
{
    struct lab_conf c;
    struct lab l = {0}, choice = {0};

    lab_conf_init(&c, seed);
    c.edges = edges;
    c.dump = dump;
    c.batch_max = 32;
    lab_choose(&choice, seed);
    c.ip6 = lab_once_in(&choice, 2);
    /* Milliseconds and timestamps wrap after 2^32 ms, which is some seconds away in some seeds. */
    c.sleep_in = lab_once_in(&choice, 15) ? lab_between(&choice, 50, 1000) : 0;
    c.start = ESTAB_MS(PICK(&choice, 1000000, 1000000, UINT32_MAX / 2 - 5000, UINT32_MAX - 70000));
    network_of(&choice, &c);
    for (int i = 0; i < 2; i++)
        host_of(&choice, &c.cfg[i]);
    c.ask_why = seed % 4 == 0;
    c.cfg[0].why_times = c.cfg[1].why_times = c.ask_why;
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "ESTAB_SEED=%llu pair_test", (unsigned long long)seed);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lab_host_open(&l, i), 0);
    talks_init(&talks, &l);
    talks_of(&l, &talks);
    assert_int_equal(talks_listen(&talks), 0);
    for (int i = 0; i < 2; i++)
        l.host[i].refuse_one_in = lab_once_in(&l, 10) ? lab_between(&l, 2, 20) : 0;
    lab_run(&l);
    assert_int_equal(tcb_at(&l.host[1].s->tcp, (uint32_t)talks.listener)->l->npending, 0);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    lab_check_empty(&l);
    for (unsigned i = 0; i < RULE_COUNT; i++)
        acted[i] += estab_rule_count(l.host[0].s, i) + estab_rule_count(l.host[1].s, i);
    lab_close(&l);
    early += talks.early;
    copies += talks.copies;
    *records += l.records;
    return l.hash;
}

/* ---- */

static struct { /* which seeds, and what each said the first time */
    struct lab_seeds of;
    uint64_t *hash;
} seeds;

static int choose(void **state)
{
    (void)state;
    seeds.of = lab_seeds(3000);
    seeds.hash = calloc(seeds.of.n, sizeof *seeds.hash);
    return seeds.hash ? 0 : -1;
}

static int forget(void **state)
{
    (void)state;
    free(seeds.hash);
    return 0;
}

static void every_seed_ends_well(void **state)
{
    uint64_t records = 0;

    (void)state;
    for (uint64_t i = 0; i < seeds.of.n; i++)
        seeds.hash[i] = run(seeds.of.first + i, NULL, seeds.of.dump, &records);
    print_message("%llu connections were accepted before their handshake was complete, %llu made\n"
                  "by a copy of a SYN whose connection had ended (RFC 7413 section 2.1)\n",
                  (unsigned long long)early, (unsigned long long)copies);
    print_message("%llu seeds, %llu trace records, and how often which rule acted:\n",
                  (unsigned long long)seeds.of.n, (unsigned long long)records);
    for (unsigned i = 0; i < RULE_COUNT; i++)
        if (acted[i])
            print_message("%12llu %s\n", (unsigned long long)acted[i], estab_rule_name(i));
}

/* Once more: the same records, by the hash over all of them. */
static void a_seed_says_all(void **state)
{
    uint64_t records = 0;

    (void)state;
    for (uint64_t i = 0; i < seeds.of.n && seeds.hash[i]; i++)
        if (run(seeds.of.first + i, NULL, NULL, &records) != seeds.hash[i])
            fail_msg("ESTAB_SEED=%llu: two runs differ", (unsigned long long)(seeds.of.first + i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_ends_well),
        cmocka_unit_test(a_seed_says_all),
    };

    return cmocka_run_group_tests(tests, choose, forget);
}

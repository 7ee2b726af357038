/* SPDX-License-Identifier: BSD-2-Clause */
/* mtu_test.c - two stacks over a path that is narrower than its ends: through a router that says
 * so, one that only says that it is, and one that swallows what is too big (B7, RFC 1191, RFC 8201,
 * RFC 4821).  Every octet arrives whatever the router does, and in time.
 *
 *   ESTAB_SEEDS=N    how many seeds a test takes (default 150)
 *   ESTAB_SEED=N     that one only, with all that happens on the terminal */
#include "lab/narrow.h"
#include "lab/talk.h"

struct scene {
    const char *test;
    bool ip6;
    enum narrow_manner manner[2];
    uint32_t mtu[2];   /* of the path, from each host */
    uint32_t then_mtu; /* of both ways, after a while; 0: they stay */
    estab_dur change_after;
    enum estab_mtu_probing probing;
    uint32_t say[2];
    double loss;
    estab_dur delay, within; /* virtual time that all may take, without TIME-WAIT */
};
struct outcome {
    uint64_t n[RULE_COUNT]; /* both hosts' */
    uint64_t swallowed;     /* by the routers */
    estab_dur took;         /* until the last octet was heard */
};

static struct talks talks; /* large */
static struct {
    struct narrow *way[2];
    estab_time change_at, heard_at;
    uint32_t then_mtu;
} scenery;

/* How often a rule acted, or the seed that shows otherwise. */
static void assert_acted(const struct scene *s, uint64_t seed, const struct outcome *o, enum rule r,
                         uint64_t lo, uint64_t hi)
{
    if (o->n[r] < lo || o->n[r] > hi)
        fail_msg("ESTAB_SEED=%llu mtu_test: %s: %s acted %llu times", (unsigned long long)seed,
                 s->test, estab_rule_name(r), (unsigned long long)o->n[r]);
}
#define ANY UINT64_MAX

/* ---- a run ---- */

static bool scene_acts(struct lab *l, struct lab_host *h)
{
    bool busy = talks_act(l, h), all = true;

    if (l->now >= scenery.change_at) {
        scenery.change_at = ESTAB_NEVER;
        for (int i = 0; i < 2; i++)
            scenery.way[i]->mtu = scenery.then_mtu;
    }
    for (uint32_t i = 0; i < talks.n; i++)
        for (int side = 0; side < 2; side++)
            all &= talks.talk[i].t[side].heard == talks.talk[i].plan[!side].say;
    if (all && scenery.heard_at == ESTAB_NEVER)
        scenery.heard_at = l->now;
    return busy;
}

static estab_time scene_wakes(struct lab *l)
{
    estab_time at = talks_wake(l);

    return scenery.change_at > l->now ? time_min(at, scenery.change_at) : at;
}

static struct outcome run(const struct scene *s, uint64_t seed, FILE *dump)
{
    struct outcome o = {.took = 0};
    struct lab_conf c;
    struct lab l = {0};
    struct talk *w;
    estab_time begin;

    lab_conf_init(&c, seed);
    c.dump = dump;
    c.ip6 = s->ip6;
    for (int i = 0; i < 2; i++) {
        c.fault[i].loss = s->loss;
        c.fault[i].delay = s->delay;
        c.cfg[i].mtu_probing = (uint8_t)s->probing;
        c.cfg[i].msl = ESTAB_S(1);
    }
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "ESTAB_SEED=%llu mtu_test: %s", (unsigned long long)seed,
             s->test);
    for (int i = 0; i < 2; i++) {
        scenery.way[i] = narrow_open(&l, i, s->mtu[i], s->manner[i]);
        assert_int_equal(lab_host_open(&l, i), 0);
    }
    begin = l.now;
    scenery.heard_at = ESTAB_NEVER;
    scenery.then_mtu = s->then_mtu;
    scenery.change_at = s->then_mtu ? begin + s->change_after : ESTAB_NEVER;
    l.conf.at_most = s->within + ESTAB_S(10);
    talks_init(&talks, &l);
    l.act = scene_acts;
    l.wake = scene_wakes;
    assert_int_equal(talks_listen(&talks), 0);
    w = talk_add(&talks);
    w->plan[0].say = s->say[0];
    w->plan[1].say = s->say[1];
    w->plan[0].end = TALK_SHUTS;
    w->plan[1].end = TALK_WAITS;
    lab_run(&l);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    for (unsigned i = 0; i < RULE_COUNT; i++)
        o.n[i] = estab_rule_count(l.host[0].s, i) + estab_rule_count(l.host[1].s, i);
    o.swallowed = scenery.way[0]->dropped + scenery.way[1]->dropped;
    o.took = time_since(begin, scenery.heard_at);
    lab_check_empty(&l);
    lab_close(&l);
    if (o.took > s->within)
        fail_msg("%s: took %.1f s", l.what, (double)o.took / 1e9);
    return o;
}

/* ---- seeds ---- */

static uint32_t between(uint64_t *rng, uint32_t lo, uint32_t hi)
{
    *rng = *rng * 6364136223846793005u + 1442695040888963407u;
    return lo + (uint32_t)((*rng >> 33) % (hi - lo + 1));
}

/* A scene of the seed: a path of any width, in either family. */
static struct scene scene_of(const char *test, uint64_t seed)
{
    uint64_t rng = seed * 0x9e3779b97f4a7c15u;
    struct scene s = {.test = test, .probing = ESTAB_MTU_PROBING_BLACKHOLE};

    s.ip6 = between(&rng, 0, 1);
    for (int i = 0; i < 2; i++) {
        s.mtu[i] = s.ip6 ? between(&rng, 1280, 1499) : between(&rng, 552, 1499);
        s.say[i] = between(&rng, 20000, 400000);
    }
    s.delay = ESTAB_MS(between(&rng, 1, 50));
    s.within = ESTAB_S(60);
    return s;
}

static void for_seeds(const char *test, void (*one)(const char *test, uint64_t seed, FILE *dump))
{
    const struct lab_seeds of = lab_seeds(150);

    for (uint64_t i = 0; i < of.n; i++)
        one(test, of.first + i, of.dump);
}

/* ---- a router that says what it takes ---- */

static void told(const char *test, uint64_t seed, FILE *dump)
{
    struct scene s = scene_of(test, seed);
    struct outcome o;

    s.within = ESTAB_S(30);
    o = run(&s, seed, dump);
    assert_true(o.swallowed > 0);
    assert_acted(&s, seed, &o, RULE_TOO_BIG, 1, ANY);
    /* No timer had to find out, and nothing was taken for congestion. */
    assert_acted(&s, seed, &o, RULE_RTO, 0, 0);
    assert_acted(&s, seed, &o, RULE_FAST_RETRANSMIT, 0, 0);
    assert_acted(&s, seed, &o, RULE_BLACK_HOLE, 0, 0);
}
static void a_router_that_says_what_it_takes(void **state)
{
    (void)state;
    for_seeds("told", told);
}

static void half_told(const char *test, uint64_t seed, FILE *dump)
{
    struct scene s = scene_of(test, seed);
    struct outcome o;

    if (s.ip6)
        return;
    s.manner[0] = s.manner[1] = NARROW_HALF_SAYS;
    o = run(&s, seed, dump);
    assert_acted(&s, seed, &o, RULE_TOO_BIG, 1, ANY);
    assert_acted(&s, seed, &o, RULE_BLACK_HOLE, 0, 0);
}
static void a_router_that_says_too_big_only(void **state)
{
    (void)state;
    for_seeds("half told", half_told);
}

/* ---- one that says nothing ---- */

static uint64_t raised;

static void silent(const char *test, uint64_t seed, FILE *dump)
{
    struct scene s = scene_of(test, seed);
    struct outcome o;

    s.manner[0] = s.manner[1] = NARROW_SILENT;
    o = run(&s, seed, dump);
    assert_acted(&s, seed, &o, RULE_BLACK_HOLE, 1, 4);
    /* a last segment that is small arrives, and says that the others have not: RFC 8985 */
    assert_acted(&s, seed, &o, RULE_FAST_RETRANSMIT, 0, ANY);
    assert_acted(&s, seed, &o, RULE_RETRIES, 0, 0);
    raised += o.n[RULE_PMTU_RAISED];
}
static void a_black_hole(void **state)
{
    (void)state;
    raised = 0;
    for_seeds("black hole", silent);
    assert_true(raised > 0);
}

/* From small to large there is nothing to fall into. */
static void silent_probed(const char *test, uint64_t seed, FILE *dump)
{
    struct scene s = scene_of(test, seed);
    struct outcome o;

    s.manner[0] = s.manner[1] = NARROW_SILENT;
    s.probing = ESTAB_MTU_PROBING_ON;
    for (int i = 0; i < 2; i++)
        s.mtu[i] = s.mtu[i] < 1024 ? 1024 : s.mtu[i];
    o = run(&s, seed, dump);
    assert_acted(&s, seed, &o, RULE_BLACK_HOLE, 0, 0);
    assert_acted(&s, seed, &o, RULE_RTO, 0, 0);
    assert_acted(&s, seed, &o, RULE_FAST_RETRANSMIT, 0, 0);
    assert_acted(&s, seed, &o, RULE_PMTU_PROBE_LOST, o.swallowed, o.swallowed);
}
static void a_black_hole_that_is_probed_from_the_beginning(void **state)
{
    (void)state;
    for_seeds("black hole, probed", silent_probed);
}

/* ---- anything ---- */

/* Loss on top, ways of different manners, a path that changes its width. */
static void mixed(const char *test, uint64_t seed, FILE *dump)
{
    struct scene s = scene_of(test, seed);
    uint64_t rng = ~seed;

    for (int i = 0; i < 2; i++)
        s.manner[i] = (enum narrow_manner)between(&rng, 0, 2);
    for (int i = 0; i < 2; i++)
        if (s.ip6 && s.manner[i] == NARROW_HALF_SAYS)
            s.manner[i] = NARROW_TELLS;
    s.loss = between(&rng, 0, 5) / 100.;
    s.probing = between(&rng, 0, 1) ? ESTAB_MTU_PROBING_ON : ESTAB_MTU_PROBING_BLACKHOLE;
    if (between(&rng, 0, 1)) {
        s.then_mtu = s.ip6 ? between(&rng, 1280, 1500) : between(&rng, 552, 1500);
        s.change_after = ESTAB_MS(between(&rng, 1, 3000));
    }
    s.within = ESTAB_S(1200); /* with a timeout that nothing may shorten: Karn */
    (void)run(&s, seed, dump);
}
static void any_router(void **state)
{
    (void)state;
    for_seeds("mixed", mixed);
}

/* Why it is needed: without it nothing but what is small arrives. */
static void without_it_the_connection_hangs(void **state)
{
    struct lab_conf c;
    struct lab l = {0};
    struct talk *w;

    (void)state;
    lab_conf_init(&c, 2);
    c.cfg[0].mtu_probing = c.cfg[1].mtu_probing = ESTAB_MTU_PROBING_OFF;
    c.cfg[0].max_retries = 5;
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "off");
    for (int i = 0; i < 2; i++) {
        (void)narrow_open(&l, i, 1400, NARROW_SILENT);
        assert_int_equal(lab_host_open(&l, i), 0);
    }
    talks_init(&talks, &l);
    talks.may_fail = true;
    assert_int_equal(talks_listen(&talks), 0);
    w = talk_add(&talks);
    w->plan[0].say = 100000;
    w->plan[0].end = TALK_SHUTS;
    w->plan[1].end = TALK_WAITS;
    lab_run(&l);
    assert_int_equal(w->t[0].err, ESTAB_E_TIMEOUT);
    assert_int_equal(w->t[1].heard, 0);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_router_that_says_what_it_takes),
        cmocka_unit_test(a_router_that_says_too_big_only),
        cmocka_unit_test(a_black_hole),
        cmocka_unit_test(a_black_hole_that_is_probed_from_the_beginning),
        cmocka_unit_test(any_router),
        cmocka_unit_test(without_it_the_connection_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

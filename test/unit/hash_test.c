/* SPDX-License-Identifier: BSD-2-Clause */
/* hash_test.c - SipHash-1-3 against another implementation, and the index against a naive model. */
#include "base/hash.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct model {
    struct test_env t;
    struct env env;
    struct hash h;
    uint32_t *tag; /* by reference */
    bool *in;
    uint32_t nrefs, used;
};

static struct model *model_new(uint64_t seed, uint32_t nrefs)
{
    struct model *m = calloc(1, sizeof(*m));

    m->t.rng = seed;
    m->env.cb = test_env_make(&m->t);
    m->nrefs = nrefs;
    m->tag = calloc(nrefs, sizeof(m->tag[0]));
    m->in = calloc(nrefs, sizeof(m->in[0]));
    hash_init(&m->h, &m->env);
    return m;
}

static void model_free(struct model *m)
{
    hash_fini(&m->h);
    assert_int_equal(m->t.live, 0);
    assert_int_equal(m->env.used, 0);
    free(m->tag);
    free(m->in);
    free(m);
}

static void model_add(struct model *m, uint32_t ref, uint32_t tag)
{
    assert_int_equal(hash_add(&m->h, tag, ref), 0);
    m->tag[ref] = tag;
    m->in[ref] = true;
    m->used++;
}

static void model_del(struct model *m, uint32_t ref)
{
    hash_del(&m->h, m->tag[ref], ref);
    m->in[ref] = false;
    m->used--;
}

/* How often the index gives `ref` for `tag`; every reference it gives must be one of that tag. */
static uint32_t times_found(const struct model *m, uint32_t tag, uint32_t ref)
{
    struct hash_probe p = hash_probe(&m->h, tag);
    uint32_t got, n = 0;

    while ((got = hash_next(&p)) != HASH_NONE) {
        assert_true(got < m->nrefs && m->in[got]);
        assert_int_equal(m->tag[got], tag);
        n += got == ref;
    }
    return n;
}

static void model_check(const struct model *m)
{
    uint32_t ref;

    for (ref = 0; ref < m->nrefs; ref++)
        assert_int_equal(times_found(m, m->tag[ref], ref), m->in[ref]);
    assert_int_equal(m->h.used, m->used);
}

static void sip13_agrees_with_the_reference(void **state)
{
    /* key 00 01 .. 0f, messages 00 01 ..: the reference implementation's vectors */
    static const uint64_t keyed[] = {0xabac0158050fc4dcu, 0xc9f49bf37d57ca93u, 0x82cb9b024dc7d44du,
                                     0x8bf80ab8e7ddf7fbu, 0xcf75576088d38328u};
    /* key of zeros, messages 00 01 ..: what Python's hash(bytes) gives for PYTHONHASHSEED=0 */
    static const struct {
        size_t len;
        uint64_t hash;
    } unkeyed[] = {{1, 0x68a914128e01e473u},  {5, 0x5abe2169dff36275u},  {7, 0x2f098ab0c751325au},
                   {8, 0xead411e67ebe2eeau},  {9, 0x75927f9d95124362u},  {15, 0xf30eb725bb91c9eau},
                   {16, 0x8972188433a5c5b7u}, {36, 0xac77921fcc642bd3u}, {63, 0x385d3e39e5f37359u}};
    const struct hash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u}, zeros = {0, 0};
    uint8_t msg[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(msg); i++)
        msg[i] = (uint8_t)i;
    for (i = 0; i < sizeof(keyed) / sizeof(keyed[0]); i++)
        assert_true(hash_sip13(&key, msg, i) == keyed[i]);
    for (i = 0; i < sizeof(unkeyed) / sizeof(unkeyed[0]); i++)
        assert_true(hash_sip13(&zeros, msg, unkeyed[i].len) == unkeyed[i].hash);
}

/* The vectors of the paper (appendix A) and of its reference implementation. */
static void sip24_agrees_with_the_reference(void **state)
{
    static const uint8_t octets[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const struct hash_key key = hash_key_of(octets);

    (void)state;
    assert_true(hash_sip24(&key, octets, 8) == 0x93f5f5799a932462u);
    assert_true(hash_sip24(&key, octets, 15) == 0xa129ca6149be45e5u);
}

static void an_empty_index_holds_nothing(void **state)
{
    struct model *m = model_new(1, 4);

    (void)state;
    assert_int_equal(times_found(m, 0, 0), 0);
    assert_int_equal(m->t.live, 0);
    model_add(m, 3, 77);
    assert_int_equal(times_found(m, 77, 3), 1);
    assert_int_equal(times_found(m, 78, 3), 0);
    model_del(m, 3);
    model_check(m);
    model_free(m);
}

static void set_changes_one_reference(void **state)
{
    struct model *m = model_new(2, 4000);
    uint32_t ref;

    (void)state;
    for (ref = 0; ref < 1000; ref++)
        model_add(m, ref, (uint32_t)test_rand(&m->t) & 255);
    for (ref = 0; ref < 1000; ref++) {
        /* adding goes on meanwhile, so that some are found in the old table */
        model_add(m, ref + 1000, (uint32_t)test_rand(&m->t) & 255);
        hash_set(&m->h, m->tag[ref], ref, ref + 2000);
        m->in[ref] = false;
        m->in[ref + 2000] = true;
        m->tag[ref + 2000] = m->tag[ref];
    }
    model_check(m);
    model_free(m);
}

/* Adds and deletes at random, checking everything after each step; the tags are what a function of
 * a random number makes them. */
static void random_walk(uint64_t seed, uint32_t nrefs, uint32_t steps, uint32_t (*tag_of)(uint32_t))
{
    struct model *m = model_new(seed, nrefs);
    uint32_t i, ref, full;

    for (i = 0; i < steps; i++) {
        full = (i / nrefs) % 4; /* alternately mostly growing and mostly shrinking */
        ref = test_rand_below(&m->t, nrefs);
        if (m->in[ref] && (full & 1 || !test_rand_below(&m->t, 4)))
            model_del(m, ref);
        else if (!m->in[ref] && (!(full & 1) || !test_rand_below(&m->t, 4)))
            model_add(m, ref, tag_of((uint32_t)test_rand(&m->t)));
        if (nrefs < 400 || i % 64 == 0)
            model_check(m);
    }
    model_check(m);
    model_free(m);
}

static uint32_t tag_any(uint32_t r)
{
    return r;
}
static uint32_t tag_few(uint32_t r)
{
    return (r & 7) * 0x01010101u;
}
static uint32_t tag_equal(uint32_t r)
{
    (void)r;
    return 0x5a5a5a5a;
}
/* homes in the last positions of every part: what does not fit there goes beyond them */
static uint32_t tag_last(uint32_t r)
{
    return 0xffffffffu - (r & 3);
}
/* homes in the last and the first positions */
static uint32_t tag_around(uint32_t r)
{
    return (r & 15) - 8;
}

static void agrees_with_a_model(void **state)
{
    static uint32_t (*const tags[])(uint32_t) = {tag_any, tag_few, tag_equal, tag_last, tag_around};
    static const uint32_t sizes[] = {10, 20, 60, 250, 1500};
    size_t i, j;
    uint64_t seed;

    (void)state;
    for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        for (j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
            for (seed = 1; seed <= (sizes[j] <= 60 ? 20 : 1); seed++)
                random_walk(seed, sizes[j], sizes[j] <= 250 ? 12 * sizes[j] : 3000,
                            sizes[j] > 250 && i > 0 ? tag_any : tags[i]);
}

static void holds_a_million(void **state)
{
    const uint32_t n = 1000000;
    struct model *m = model_new(3, n);
    uint32_t ref, i;

    (void)state;
    for (ref = 0; ref < n; ref++) {
        model_add(m, ref, (uint32_t)test_rand(&m->t));
        /* one lookup of something that is there, and one deletion in eight, also while it grows */
        i = test_rand_below(&m->t, ref + 1);
        assert_int_equal(times_found(m, m->tag[i], i), m->in[i]);
        if (ref % 8 == 7 && m->in[i])
            model_del(m, i);
    }
    model_check(m);
    for (i = 0; i < n; i++)
        (void)times_found(m, (uint32_t)test_rand(&m->t), 0);
    for (ref = 0; ref < n; ref++)
        if (m->in[ref])
            model_del(m, ref);
    model_check(m);
    model_free(m);
}

static void a_refused_allocation_changes_nothing(void **state)
{
    struct model *m = model_new(4, 3000);
    uint32_t ref, at_refusal;

    (void)state;
    m->t.fail_at = 1;
    assert_int_equal(hash_add(&m->h, 1, 1), ESTAB_E_NOMEM);
    model_check(m);
    m->t.fail_at = 0;
    for (ref = 0; ref < 1000; ref++)
        model_add(m, ref, (uint32_t)test_rand(&m->t));
    m->t.fail_at = m->t.allocs + 1;
    while (hash_add(&m->h, ref * 77, ref) == 0) {
        m->tag[ref] = ref * 77;
        m->in[ref++] = true;
        m->used++;
    }
    model_check(m);
    assert_true(m->used > 1000); /* a late refusal */
    assert_int_equal(hash_add(&m->h, 1, ref), ESTAB_E_NOMEM);
    model_check(m);
    at_refusal = ref;
    model_del(m, 0);
    model_add(m, ref++, m->tag[0]); /* room was made */
    m->t.fail_at = 0;
    for (; ref < 3000; ref++) {
        model_add(m, ref, (uint32_t)test_rand(&m->t));
        if (ref < at_refusal + 200)
            model_check(m);
    }
    model_check(m);
    model_free(m);
}

/* An entry costs some 10 octets, whatever their number, and a little more where there are few. */
static void memory_stays_in_bounds(void **state)
{
    struct model *m = model_new(5, 100000);
    uint32_t ref;

    (void)state;
    for (ref = 0; ref < 100000; ref++) {
        model_add(m, ref, (uint32_t)test_rand(&m->t));
        assert_true(m->t.live <= 11 * (size_t)(ref + 32));
    }
    model_free(m);
}

/* However large the index, one insert moves at most so many entries: those of the pieces that it
 * asks memory for. */
static void no_insert_is_slow(void **state)
{
    struct model *m = model_new(6, 200000);
    uint64_t allocs;
    uint32_t ref;

    (void)state;
    for (ref = 0; ref < 200000; ref++) {
        allocs = m->t.allocs;
        model_add(m, ref, (uint32_t)test_rand(&m->t));
        assert_true(m->t.allocs - allocs <= 4);
    }
    for (uint32_t i = 0; i < m->h.nparts; i++)
        assert_true(m->h.part[i].room < 6000);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sip13_agrees_with_the_reference),
        cmocka_unit_test(sip24_agrees_with_the_reference),
        cmocka_unit_test(an_empty_index_holds_nothing),
        cmocka_unit_test(set_changes_one_reference),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(holds_a_million),
        cmocka_unit_test(a_refused_allocation_changes_nothing),
        cmocka_unit_test(memory_stays_in_bounds),
        cmocka_unit_test(no_insert_is_slow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

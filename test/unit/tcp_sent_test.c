/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sent_test.c - the records of what has been sent, against an entry for each octet. */
#include "tcp/tcp_sent.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define OCTETS 60000

struct octet {
    uint32_t sent_us;
    uint8_t flags;
};
struct world {
    struct test_env t;
    struct env env;
    struct ring_pool pool;
    struct sent s;
    uint32_t origin, una, nxt; /* octet i has the number origin + i */
    struct octet octet[OCTETS];
};

static seq_t at(const struct world *x, uint32_t i)
{
    return seq_add(seq_of(x->origin), i);
}

static uint32_t now_us(const struct world *x)
{
    return (uint32_t)(x->t.now / 1000u);
}

static void begin(struct world *x, uint64_t seed, uint32_t origin)
{
    memset(x, 0, sizeof *x);
    x->t.rng = seed;
    x->t.now = ESTAB_S(1);
    x->origin = origin;
    x->env = (struct env){.cb = test_env_make(&x->t)};
    x->env.cb.ctx = &x->t;
    ring_pool_init(&x->pool, &x->env, 2);
    sent_init(&x->s, at(x, 0));
}

static void end(struct world *x)
{
    sent_fini(&x->s, &x->pool);
    ring_pool_fini(&x->pool);
    assert_int_equal(x->t.live, 0);
}

/* Where nothing had to be forgotten, each octet's fate and time are the model's.  Else what the
 * records say is never too good: what they take for arrived has, and nothing in flight was sent
 * before they say it was. */
static void check(const struct world *x, bool exact)
{
    uint32_t i = 0;

    sent_check(&x->s);
    assert_int_equal(x->s.lo.n, at(x, x->una).n);
    assert_int_equal(sent_nxt(&x->s).n, at(x, x->nxt).n);
    for (uint32_t o = x->una; o < x->nxt; o++) {
        const struct octet *m = &x->octet[o];
        const struct run *r;

        while (seq_le(sent_run(&x->s, i)->end, at(x, o)))
            i++;
        r = sent_run(&x->s, i);
        if (exact) {
            assert_int_equal(r->flags & (RUN_SACKED | RUN_LOST),
                             m->flags & (RUN_SACKED | RUN_LOST));
            if (!(m->flags & RUN_SACKED))
                assert_int_equal(r->flags & RUN_RESENT, m->flags & RUN_RESENT);
            if (!(m->flags & (RUN_SACKED | RUN_LOST)))
                assert_int_equal(r->sent_us, m->sent_us);
            continue;
        }
        assert_false(r->flags & RUN_SACKED && !(m->flags & RUN_SACKED));
        if (!(r->flags & (RUN_SACKED | RUN_LOST)) && !(m->flags & (RUN_SACKED | RUN_LOST)))
            assert_true((int32_t)(r->sent_us - m->sent_us) >= 0);
    }
}

static void push(struct world *x, uint32_t n)
{
    struct run_rate rate = {.flight = x->nxt + n - x->una};

    for (uint32_t i = 0; i < n; i++)
        x->octet[x->nxt++] = (struct octet){.sent_us = now_us(x)};
    sent_push(&x->s, &x->pool, at(x, x->nxt), now_us(x), 0, &rate);
}

/* Octets of [lo, hi) without one of the flags. */
static uint32_t without(const struct world *x, uint32_t lo, uint32_t hi, uint8_t flags)
{
    uint32_t n = 0;

    for (uint32_t i = lo; i < hi; i++)
        n += !(x->octet[i].flags & flags);
    return n;
}

static void ack(struct world *x, uint32_t to, bool exact)
{
    struct sent_news news = {.now = x->t.now};
    uint32_t want = without(x, x->una, to, RUN_SACKED | RUN_TOLD);

    sent_ack(&x->s, &x->pool, at(x, to), &news);
    if (exact)
        assert_int_equal(news.delivered, want);
    x->una = to;
}

static void sack(struct world *x, uint32_t lo, uint32_t hi, bool exact)
{
    struct sent_news news = {.now = x->t.now};
    uint32_t want = without(x, lo, hi, RUN_SACKED);
    uint32_t got = sent_sack(&x->s, &x->pool, at(x, lo), at(x, hi), &news);

    assert_int_equal(got, news.delivered);
    if (exact)
        assert_int_equal(got, want);
    for (uint32_t i = lo; i < hi; i++)
        x->octet[i].flags = (uint8_t)((x->octet[i].flags | RUN_SACKED) & ~RUN_LOST);
}

static void lose(struct world *x, uint32_t lo, uint32_t hi, bool exact)
{
    uint32_t want = without(x, lo, hi, RUN_SACKED | RUN_LOST);
    uint32_t got = sent_lose(&x->s, &x->pool, at(x, lo), at(x, hi));

    if (exact)
        assert_int_equal(got, want);
    for (uint32_t i = lo; i < hi; i++)
        if (!(x->octet[i].flags & RUN_SACKED))
            x->octet[i].flags |= RUN_LOST;
}

static void resend(struct world *x, uint32_t mss, bool exact)
{
    struct run_rate rate = {0};
    uint32_t first = x->una, n;
    seq_t lo, hi;

    if (!sent_next_lost(&x->s, &lo, &hi)) {
        assert_int_equal(x->s.lost, 0);
        return;
    }
    while (first < x->nxt && !(x->octet[first].flags & RUN_LOST))
        first++;
    if (exact)
        assert_int_equal(lo.n, at(x, first).n);
    first = seq_diff(lo, at(x, 0));
    n = seq_diff(hi, lo) < mss ? seq_diff(hi, lo) : mss;
    sent_resend(&x->s, &x->pool, lo, seq_add(lo, n), now_us(x), &rate);
    for (uint32_t i = first; i < first + n; i++) {
        if (!exact && x->octet[i].flags & RUN_SACKED)
            continue; /* a report was forgotten */
        x->octet[i] = (struct octet){.sent_us = now_us(x), .flags = RUN_RESENT};
    }
}

static void random_life(uint64_t seed, uint32_t origin, uint32_t window, bool exact, bool memory)
{
    struct world *x = malloc(sizeof *x);

    begin(x, seed, origin);
    if (!memory)
        x->t.fail_at = 1;
    while (x->nxt < OCTETS - window) {
        uint32_t flight = x->nxt - x->una, a, b;

        x->t.now += ESTAB_US(test_rand_below(&x->t, 3) * 100);
        a = x->una + (flight ? test_rand_below(&x->t, flight) : 0);
        b = a + test_rand_below(&x->t, x->nxt - a + 1);
        switch (test_rand_below(&x->t, 12)) {
        case 0:
        case 1:
        case 2:
            if (flight < window)
                push(x, 1 + test_rand_below(&x->t, window - flight));
            break;
        case 3:
        case 4:
            ack(x, test_rand_below(&x->t, 4) ? a : b, exact);
            break;
        case 5:
        case 6:
        case 7:
            if (a > x->una)
                sack(x, a, b - (b - a) / 2, exact);
            break;
        case 8:
            lose(x, a, b, exact);
            break;
        case 9:
        case 10:
            resend(x, 7, exact);
            break;
        default:
            if (test_rand_below(&x->t, 50))
                break;
            if (test_rand_below(&x->t, 2)) {
                sent_renege(&x->s);
                for (uint32_t i = x->una; i < x->nxt; i++)
                    x->octet[i].flags &= (uint8_t)~RUN_SACKED;
                x->una = x->nxt; /* when what was one was sent is known no more */
                sent_clear(&x->s, &x->pool, at(x, x->una));
            } else {
                sent_renege(&x->s);
                assert_int_equal(x->s.sacked, 0);
                sent_lose(&x->s, &x->pool, at(x, x->una), at(x, x->nxt));
                for (uint32_t i = x->una; i < x->nxt; i++)
                    x->octet[i].flags =
                        x->octet[i].flags & RUN_SACKED ? RUN_LOST | RUN_TOLD : RUN_LOST;
                if (x->nxt > x->una)
                    assert_int_equal(x->s.lost, x->nxt - x->una);
                ack(x, x->nxt, exact);
            }
            break;
        }
        check(x, exact);
    }
    end(x);
    free(x);
}

static void agrees_with_an_entry_for_each_octet(void **state)
{
    static const uint32_t origins[] = {0, 0x7fffff00, 0xffffff00};

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t window = 5; window < 300; window *= 3)
            random_life(10 * i + window, origins[i], window, true, true);
}

/* Four records, whatever happens. */
static void without_memory_it_is_never_too_good(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        random_life(i, 0xffffff00, 200, false, false);
}

static void at_the_bound_it_is_never_too_good(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++)
        random_life(100 + i, 5, 6000, false, true);
}

/* K2: every second octet of 2^16 is reported. */
static void reports_of_every_second_octet_are_bounded(void **state)
{
    struct sent_news news = {0};
    struct run_rate rate = {0};
    struct world x;
    struct sent *s = &x.s;

    (void)state;
    begin(&x, 1, 7);
    sent_push(s, &x.pool, at(&x, 1u << 17), now_us(&x), 0, &rate);
    for (uint32_t i = 1; i < 1u << 17; i += 2)
        (void)sent_sack(s, &x.pool, at(&x, i), at(&x, i + 1), &news);
    sent_check(s);
    assert_true(s->n < SENT_MAX);
    assert_int_equal(s->sacked, news.delivered);
    assert_true(s->sacked > SENT_MAX / 3);
    /* a report that joins others is taken all the same, and what is lost is noted */
    (void)sent_sack(s, &x.pool, at(&x, 1), at(&x, 1001), &news);
    assert_in_range(s->n, 1, SENT_MAX - 100);
    for (uint32_t i = 1000; i < 1u << 17; i += 30)
        (void)sent_lose(s, &x.pool, at(&x, i), at(&x, i + 1));
    sent_check(s);
    sent_ack(s, &x.pool, at(&x, 1u << 17), &news);
    assert_int_equal(s->n, 0);
    end(&x);
}

/* What a long transfer sends in ever so many pieces. */
static void many_pieces_are_few_records(void **state)
{
    struct run_rate rate = {0};
    struct world x;

    (void)state;
    begin(&x, 1, 7);
    for (uint32_t i = 1; i <= 100000; i++) {
        x.t.now += ESTAB_US(10);
        sent_push(&x.s, &x.pool, at(&x, i), now_us(&x), 0, &rate);
    }
    sent_check(&x.s);
    assert_in_range(x.s.n, 64, SENT_MAX * 3 / 4);
    for (uint32_t i = 0; i < x.s.n; i++) { /* a hundredth of the second that all took */
        uint32_t last = sent_run(&x.s, i)->end.n - 7;

        assert_int_equal(sent_run(&x.s, i)->sent_us, 1000000 + 10 * last);
        assert_in_range(last - (sent_start(&x.s, i).n - 7), 1, 2000);
    }
    end(&x);
}

/* A turn of output() is one record, whatever it is cut into; no memory for as few as four. */
static void an_instant_is_one_record(void **state)
{
    struct run_rate rate = {0};
    struct world x;

    (void)state;
    begin(&x, 1, 7);
    x.t.fail_at = 1;
    for (uint32_t i = 1; i <= 39; i++) {
        x.t.now += i % 10 == 0 ? ESTAB_US(1) : 0;
        sent_push(&x.s, &x.pool, at(&x, 100 * i), now_us(&x), 0, &rate);
    }
    assert_int_equal(x.s.n, 4);
    sent_ack(&x.s, &x.pool, at(&x, 850), NULL);
    assert_int_equal(x.s.n, 4);
    sent_ack(&x.s, &x.pool, at(&x, 3900), NULL);
    assert_int_equal(x.s.n, 0);
    assert_int_equal(x.t.allocs, 0);
    end(&x);
}

/* RFC 8985 section 6.2, step 2. */
static void which_copy_arrived(void **state)
{
    struct run_rate rate = {0};
    struct sent_news news = {0};
    struct world x;

    (void)state;
    begin(&x, 1, 7);
    sent_push(&x.s, &x.pool, at(&x, 100), now_us(&x), 0, &rate);
    x.t.now += ESTAB_MS(10);
    sent_lose(&x.s, &x.pool, at(&x, 0), at(&x, 100));
    sent_resend(&x.s, &x.pool, at(&x, 0), at(&x, 100), now_us(&x), &rate);
    x.t.now += ESTAB_MS(2);
    news = (struct sent_news){.now = x.t.now, .rtt_min_us = 5000};
    sent_ack(&x.s, &x.pool, at(&x, 10), &news);
    assert_false(news.any); /* too soon for the second copy */
    assert_int_equal(news.delivered, 10);
    x.t.now += ESTAB_MS(8);
    news = (struct sent_news){.now = x.t.now, .rtt_min_us = 5000, .has_echo = true, .echo = 1009};
    sent_ack(&x.s, &x.pool, at(&x, 20), &news);
    assert_false(news.any); /* it answers what was sent before */
    news.echo = 1010;
    sent_ack(&x.s, &x.pool, at(&x, 30), &news);
    assert_true(news.any);
    assert_int_equal(news.last.end.n, at(&x, 30).n);
    assert_int_equal(news.last.sent_us, now_us(&x) - 10000);
    assert_int_equal(news.first_copies, 0);
    end(&x);
}

/* RFC 2018 section 8: what was reported is taken for missing; to be told of it once more is no
 * news.
 */
static void an_arrival_is_news_once(void **state)
{
    struct run_rate rate = {0};
    struct sent_news news = {0};
    struct world x;

    (void)state;
    begin(&x, 1, 7);
    sent_push(&x.s, &x.pool, at(&x, 100), now_us(&x), 0, &rate);
    assert_int_equal(sent_sack(&x.s, &x.pool, at(&x, 60), at(&x, 80), &news), 20);
    assert_int_equal(news.first_copies, 20);
    sent_renege(&x.s);
    sent_lose(&x.s, &x.pool, at(&x, 0), at(&x, 100));
    sent_push(&x.s, &x.pool, at(&x, 120), now_us(&x), 0, &rate);
    sent_found(&x.s);
    news = (struct sent_news){0};
    assert_int_equal(sent_sack(&x.s, &x.pool, at(&x, 60), at(&x, 80), &news), 20);
    assert_int_equal(news.delivered, 0);
    assert_false(news.any);
    sent_renege(&x.s);
    sent_resend(&x.s, &x.pool, at(&x, 0), at(&x, 70), now_us(&x), &rate);
    sent_ack(&x.s, &x.pool, at(&x, 120), &news);
    assert_int_equal(news.delivered, 110); /* what was sent again counts */
    assert_int_equal(news.first_copies, 40);
    end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_entry_for_each_octet),
        cmocka_unit_test(without_memory_it_is_never_too_good),
        cmocka_unit_test(at_the_bound_it_is_never_too_good),
        cmocka_unit_test(reports_of_every_second_octet_are_bounded),
        cmocka_unit_test(many_pieces_are_few_records),
        cmocka_unit_test(an_instant_is_one_record),
        cmocka_unit_test(which_copy_arrived),
        cmocka_unit_test(an_arrival_is_news_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

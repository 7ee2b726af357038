/* SPDX-License-Identifier: BSD-2-Clause */
/* cc_bbr_test.c - BBR against a path of its own: a rate, a round-trip time, a queue, losses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/tcp_cc.h"

#define MSS  1000u
#define MOST 65536u

struct seg {
    estab_time at, left; /* sent; acknowledged, or known to be lost */
    uint32_t total, flight, lost_then;
    estab_time total_at;
    bool lost;
};
static struct {
    uint64_t rate;
    estab_dur rtt;
    uint32_t queue;   /* octets */
    uint32_t lose_in; /* one in so many; 0: none */
    struct cc c;
    struct cc_run r;
    estab_time now, busy_until, next_send, total_at;
    struct seg v[MOST];
    uint32_t head, tail, flight, most_flight, total, lost, lost_told, sent, seed;
    unsigned seen, edges[BBR_PROBE_RTT + 1]; /* states; which came after which */
    estab_time entered;
    estab_dur in_probe_rtt;
} p;

static int begin(void **state)
{
    (void)state;
    memset(&p, 0, sizeof p);
    p.rate = 1250000;
    p.rtt = ESTAB_MS(40);
    p.queue = 100000;
    p.now = p.entered = ESTAB_S(100);
    p.total_at = p.now;
    p.seed = 1;
    cc_init(&p.c, 10 * MSS);
    return 0;
}

static bool is_unlucky(void)
{
    p.seed = p.seed * 1103515245u + 12345u;
    return p.lose_in && (p.seed >> 16) % p.lose_in == 0;
}

static uint64_t pace(void)
{
    uint64_t rate = cc_bbr.pacing_rate(&p.c, &p.r);

    return rate ? rate : 2ull * p.c.cwnd * 1000u / (p.rtt / 1000000u);
}

static void send(void)
{
    struct seg *s = &p.v[p.tail++ % MOST];
    estab_time start = p.busy_until > p.now ? p.busy_until : p.now;

    assert_true(p.tail - p.head < MOST);
    p.flight += MSS;
    if (p.flight > p.most_flight)
        p.most_flight = p.flight;
    if (p.flight == MSS)
        p.total_at = p.now;
    *s = (struct seg){.at = p.now,
                      .total = p.total,
                      .total_at = p.total_at,
                      .flight = p.flight,
                      .lost_then = p.lost};
    s->lost = is_unlucky() || (start - p.now) * p.rate / 1000000000u > p.queue;
    if (!s->lost)
        p.busy_until = start + MSS * 1000000000ull / p.rate;
    s->left = (s->lost ? start : p.busy_until) + p.rtt;
    if (p.tail - p.head > 1 && s->left < p.v[(p.tail - 2) % MOST].left)
        s->left = p.v[(p.tail - 2) % MOST].left;
    p.next_send = (p.next_send > p.now ? p.next_send : p.now) + MSS * 1000000000ull / pace();
}

static void hear(void)
{
    struct seg *s = &p.v[p.head++ % MOST];
    struct cc_sample k = {.rtt = p.now - s->at, .rtt_min = p.rtt, .srtt = p.rtt, .mss = MSS};
    uint8_t before = p.r.u.bbr.state;

    p.flight -= MSS;
    if (s->lost) {
        p.lost += MSS;
        return;
    }
    p.total += MSS;
    p.total_at = p.now;
    k.now = p.now;
    k.acked = k.delivered = MSS;
    k.lost = p.lost - p.lost_told;
    p.lost_told = p.lost;
    k.in_flight = p.flight;
    k.total = p.total;
    k.rate_delivered = p.total - s->total;
    k.rate_us = (uint32_t)((p.now - s->total_at) / 1000u);
    k.rate_lost = p.lost - s->lost_then;
    k.rate_prior = s->total;
    k.rate_flight = s->flight;
    k.cwnd_limited = p.flight + 2 * MSS > p.c.cwnd;
    cc_bbr.on_delivered(&p.c, &p.r, &k);
    if (p.r.u.bbr.state == before)
        return;
    p.seen |= 1u << p.r.u.bbr.state;
    p.edges[before] |= 1u << p.r.u.bbr.state;
    if (before == BBR_PROBE_RTT)
        p.in_probe_rtt = p.now - p.entered;
    p.entered = p.now;
}

/* Octets delivered in this time. */
static uint32_t runs(estab_dur d)
{
    estab_time until = p.now + d;
    uint32_t began = p.total;

    for (;;) {
        bool may_send = p.flight + MSS <= p.c.cwnd;
        estab_time at = may_send ? (p.next_send > p.now ? p.next_send : p.now) : ESTAB_NEVER;
        bool hears = p.head != p.tail && p.v[p.head % MOST].left <= at;

        if (hears)
            at = p.v[p.head % MOST].left;
        if (at > until)
            break;
        p.now = at > p.now ? at : p.now;
        if (hears)
            hear();
        else
            send();
    }
    p.now = until;
    return p.total - began;
}

static uint64_t bw(void)
{
    const struct cc_bbr *b = &p.r.u.bbr;

    return b->bw_filter[0] > b->bw_filter[1] ? b->bw_filter[0] : b->bw_filter[1];
}

#define BIT(s) (1u << BBR_##s)

/* The path is 50000 octets long: found in a second, and then kept full with a short queue. */
static void it_finds_the_rate_and_keeps_it(void **state)
{
    (void)state;
    assert_ptr_equal(cc_find("bbr"), &cc_bbr);
    (void)runs(ESTAB_S(2));
    assert_int_equal(p.r.u.bbr.full_reached, true);
    assert_in_range(bw(), 1200000, 1300000);
    assert_in_range(p.r.u.bbr.min_rtt, 40000, 41000);
    assert_in_range(p.c.cwnd, 50000, 150000);
    assert_in_range(runs(ESTAB_S(4)), 4 * 1250000 * 95 / 100, 4 * 1250000);
    assert_int_equal(p.lost, 0);
}

/* Section 5.1.1's diagram, and nothing beside it. */
static void the_states_follow_each_other(void **state)
{
    (void)state;
    (void)runs(ESTAB_S(30));
    assert_int_equal(p.seen,
                     BIT(DRAIN) | BIT(DOWN) | BIT(CRUISE) | BIT(REFILL) | BIT(UP) | BIT(PROBE_RTT));
    assert_int_equal(p.edges[BBR_STARTUP] & ~(BIT(DRAIN) | BIT(PROBE_RTT)), 0);
    assert_int_equal(p.edges[BBR_DRAIN] & ~(BIT(DOWN) | BIT(CRUISE) | BIT(PROBE_RTT)), 0);
    assert_int_equal(p.edges[BBR_DOWN] & ~(BIT(CRUISE) | BIT(REFILL) | BIT(PROBE_RTT)), 0);
    assert_int_equal(p.edges[BBR_CRUISE] & ~(BIT(REFILL) | BIT(PROBE_RTT)), 0);
    assert_int_equal(p.edges[BBR_REFILL] & ~(BIT(UP) | BIT(PROBE_RTT)), 0);
    assert_int_equal(p.edges[BBR_UP] & ~(BIT(DOWN) | BIT(CRUISE) | BIT(PROBE_RTT)), 0);
    assert_int_equal(p.edges[BBR_PROBE_RTT], BIT(CRUISE));
}

/* Section 5.3.4: where 5 s have brought no lower round-trip time, half a BDP for 200 ms. */
static void the_round_trip_time_is_probed(void **state)
{
    (void)state;
    (void)runs(ESTAB_S(12));
    assert_true(p.seen & BIT(PROBE_RTT));
    assert_in_range(p.in_probe_rtt, ESTAB_MS(200), ESTAB_MS(400));
    p.rtt = ESTAB_MS(60); /* another path, twice as long */
    (void)runs(ESTAB_S(16));
    assert_in_range(p.r.u.bbr.min_rtt, 60000, 62000);
}

/* Losses that say nothing about the queue do not stop it; Reno would have some 10 % here. */
static void one_per_cent_of_loss_is_borne(void **state)
{
    (void)state;
    p.lose_in = 100;
    (void)runs(ESTAB_S(3));
    assert_in_range(runs(ESTAB_S(20)), 20 * 1250000ull * 80 / 100, 20 * 1250000);
}

/* A queue that is too short for what probing would put in flight bounds that. */
static void a_short_queue_bounds_what_is_in_flight(void **state)
{
    uint32_t before;

    (void)state;
    p.queue = 10000;
    (void)runs(ESTAB_S(5));
    assert_in_range(p.r.u.bbr.inflight_long, 30000, 100000);
    before = p.lost;
    assert_in_range(runs(ESTAB_S(20)), 20 * 1250000ull * 85 / 100, 20 * 1250000);
    assert_true(p.lost - before < 20 * 1250000 / 50); /* 2 % */
}

/* More rate, and less, is found within some probes. */
static void it_follows_the_path(void **state)
{
    (void)state;
    (void)runs(ESTAB_S(3));
    p.rate = 5000000;
    (void)runs(ESTAB_S(12));
    assert_in_range(bw(), 4500000, 5200000);
    p.rate = 1000000;
    (void)runs(ESTAB_S(12));
    assert_in_range(bw(), 900000, 1200000);
}

/* What is known of the rate outlives a rest: no second Startup. */
static void the_rate_outlives_the_work_part(void **state)
{
    (void)state;
    (void)runs(ESTAB_S(3));
    memset(&p.r, 0, sizeof p.r);
    p.head = p.tail;
    p.flight = 0;
    assert_in_range(cc_bbr.pacing_rate(&p.c, &p.r), 1100000, 1300000);
    assert_in_range(runs(ESTAB_S(1)), 1250000 * 80 / 100, 1250000);
    assert_int_equal(p.edges[BBR_STARTUP] & ~(BIT(DRAIN) | BIT(CRUISE)), 0);
    assert_true(p.r.u.bbr.full_reached);
}

/* An RTO leaves one segment, from which the window grows back. */
static void a_timeout_begins_with_one_segment(void **state)
{
    struct cc_sample k = {.now = p.now, .mss = MSS, .rtt = ESTAB_NEVER};
    uint32_t cwnd;

    (void)state;
    (void)runs(ESTAB_S(3));
    cwnd = p.c.cwnd;
    cc_bbr.on_rto(&p.c, &p.r, &k, true);
    assert_int_equal(p.c.cwnd, MSS);
    (void)runs(ESTAB_S(1));
    assert_in_range(p.c.cwnd, cwnd / 2, 2 * cwnd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_finds_the_rate_and_keeps_it, begin),
        cmocka_unit_test_setup(the_states_follow_each_other, begin),
        cmocka_unit_test_setup(the_round_trip_time_is_probed, begin),
        cmocka_unit_test_setup(one_per_cent_of_loss_is_borne, begin),
        cmocka_unit_test_setup(a_short_queue_bounds_what_is_in_flight, begin),
        cmocka_unit_test_setup(it_follows_the_path, begin),
        cmocka_unit_test_setup(the_rate_outlives_the_work_part, begin),
        cmocka_unit_test_setup(a_timeout_begins_with_one_segment, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

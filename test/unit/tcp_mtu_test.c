/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_mtu_test.c - how large a segment the path takes: told, found out in a black hole, probed
 * (RFC 1191, RFC 8201, RFC 4821, RFC 5927). */
#include "unit/peer.h"

static void too_big(struct peer *p, uint32_t mtu, uint32_t seq, uint32_t size)
{
    if (p->ip6)
        icmp_arrives_about(p, ICMP6_TOO_BIG, 0, mtu, seq, size);
    else
        icmp_arrives_about(p, ICMP4_UNREACH, 4, mtu, seq, size);
}

/* A connection at MTU 1500 with n octets to send, of which the initial window is out. */
static void busy(struct peer *p, uint32_t n)
{
    user_connects_with(p, SEG(.mss = p->ip6 ? 1440 : 1460));
    user_sends(p, 1, n);
}

static uint32_t mss_of(struct peer *p)
{
    return info_of(p).snd_mss;
}

/* The peer acknowledges each segment as it comes, until nothing comes; the largest it got. */
static uint32_t acks_all(struct peer *p)
{
    uint32_t largest = 0, high = 0;

    while (has_got(p)) {
        const struct pkt *k = got(p);

        largest = k->size > largest ? k->size : largest;
        high = k->seq + k->len > high ? k->seq + k->len : high;
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = high));
    }
    return largest;
}

/* As far as has been sent, from `from` on, up to `to`. */
static void acks_to(struct peer *p, uint32_t from, uint32_t to)
{
    while (true) {
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = from));
        if (from == to)
            return;
        assert_true(has_got(p));
        while (has_got(p)) {
            const struct pkt *k = got(p);

            from = k->seq + k->len > from ? k->seq + k->len : from;
        }
    }
}

/* A peer behind a path of this width, which swallows what is larger and says nothing; octets up to
 * `to` are coming.  How many packets it has swallowed. */
static uint32_t hears_through(struct peer *p, uint32_t path, uint32_t from, uint32_t to)
{
    static bool have[1u << 20];
    uint32_t una = from, swallowed = 0;

    memset(have, 0, sizeof have);
    while (has_got(p)) {
        const struct pkt *k = got(p);

        if (k->size > path) {
            swallowed++;
            continue;
        }
        for (uint32_t i = 0; i < k->len; i++)
            have[k->seq + i] = true;
        while (have[una])
            una++;
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = una));
    }
    assert_int_equal(una, to);
    return swallowed;
}

/* ---- told ---- */

/* RFC 8201 section 5.4: what was dropped for its size goes again at once; the network is not
 * congested. [RFC8201-5.4-1] */
static void being_told_is_no_congestion(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    for (int six = 0; six < 2; six++) {
        p->ip6 = six;
        peer_restarts(p);
        busy(p, 14400);
        ignores_all(p);
        cwnd = info_of(p).cwnd;
        too_big(p, 1300, 1, 1500);
        assert_int_equal(mss_of(p), six ? 1240 : 1260);
        assert_int_equal(info_of(p).cwnd, cwnd);
        for (uint32_t at = 1; at < 14401 - 1260; at += mss_of(p))
            (void)gets(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = mss_of(p)));
        ignores_all(p);
        /* The rest of the flight was too big as well: known. */
        too_big(p, 1300, 1461, 1500);
        gets_nothing(p);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 14401));
        assert_true(info_of(p).cwnd >= cwnd);
        assert_int_equal(counted(p, RULE_RTO), 0);
        assert_int_equal(counted(p, RULE_FAST_RETRANSMIT), 0);
        assert_true(counted(p, RULE_TOO_BIG) >= 11);
        assert_int_equal(counted(p, RULE_TOO_BIG_IGNORED), 1);
    }
}

/* What was small enough arrives twice; the duplicate ACKs that makes are no loss. */
static void duplicates_of_what_did_arrive_are_no_loss(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    busy(p, 14000);
    ignores_all(p);
    cwnd = info_of(p).cwnd;
    too_big(p, 1300, 1, 1500);
    ignores_all(p);
    for (int i = 0; i < 6; i++)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_true(info_of(p).cwnd >= cwnd);
    assert_int_equal(counted(p, RULE_FAST_RETRANSMIT), 0);
}

/* RFC 1191 section 7.1: a router that does not say is guessed, step by step. */
static void a_router_that_does_not_say(void **state)
{
    static const uint32_t steps[] = {1492, 1006, 552};
    struct peer *p = *state;
    uint32_t size = 1500;

    busy(p, 14000);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        ignores_all(p);
        too_big(p, 0, 1, size);
        assert_int_equal(mss_of(p), steps[i] - 40);
        ignores_all(p);
        too_big(p, 0, mss_of(p) < 1000 ? 1007 : 1461, size); /* of the same flight */
        assert_int_equal(mss_of(p), steps[i] - 40);
        size = steps[i];
    }
    ignores_all(p);
    too_big(p, 0, 1, 552);
    assert_int_equal(mss_of(p), 512);
}

/* B7, RFC 5927 section 7.2: what cannot be is not believed. */
static void B7_reports_that_cannot_be(void **state)
{
    struct peer *p = *state;

    busy(p, 14000);
    ignores_all(p);
    too_big(p, 1500, 1, 1500); /* no less than what was sent */
    too_big(p, 9000, 1, 1500);
    too_big(p, 1300, 1, 1300); /* about a packet that would have passed */
    too_big(p, 1300, 1, 60);
    too_big(p, 1300, 14001, 1500); /* beyond what was sent */
    too_big(p, 1300, 0, 1500);
    gets_nothing(p);
    assert_int_equal(mss_of(p), 1460);
    assert_int_equal(counted(p, RULE_TOO_BIG_IGNORED), 4);
    assert_int_equal(counted(p, RULE_ICMP_QUOTE), 2);
}

/* A SYN is too big for nobody. */
static void B7_an_opening_is_not_too_big(void **state)
{
    struct peer *p = *state;

    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    too_big(p, 576, 0, 1500);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TOO_BIG_IGNORED), 1);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1460));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(mss_of(p), 1460);
}

static void the_least_is_a_setting(void **state)
{
    estab_stack *none = NULL;
    struct peer *p = *state;

    p->cfg.pmtu_least4 = 1000;
    peer_restarts(p);
    busy(p, 14000);
    ignores_all(p);
    too_big(p, 600, 1, 1500);
    assert_int_equal(mss_of(p), 960);
    p->cfg.pmtu_least4 = 68; /* RFC 791 section 3.1: links this narrow are allowed */
    peer_restarts(p);
    busy(p, 140);
    ignores_all(p);
    too_big(p, 67, 1, 180);
    assert_int_equal(mss_of(p), 28);
    for (uint32_t at = 1; at < 141; at += 28)
        (void)gets(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 28));
    p->cfg.pmtu_least6 = 1279;
    assert_int_equal(estab_stack_new(&none, &p->env, &p->cfg), ESTAB_E_INVAL);
    p->cfg.pmtu_least6 = 1280;
    p->cfg.pmtu_age = ESTAB_S(299);
    assert_int_equal(estab_stack_new(&none, &p->env, &p->cfg), ESTAB_E_INVAL);
}

/* ---- what is kept with the path ---- */

static void next_connection(struct peer *p)
{
    assert_int_equal(estab_abort(p->s, p->k), 0);
    ignores_all(p);
    p->k = 0;
    p->them.port++;
}

static void connections_to_come_know(void **state)
{
    struct peer *p = *state;

    busy(p, 14000);
    too_big(p, 1300, 1, 1500);
    next_connection(p);
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 1260);
    assert_int_equal(info_of(p).pmtu, 1300);
    next_connection(p);
    user_connects_with(p, SEG(.mss = 1000)); /* a peer that takes less */
    assert_int_equal(mss_of(p), 1000);
    next_connection(p);
    p->them.ip[15]++;
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 1460);
}

static void connections_that_are_accepted_know_too(void **state)
{
    struct peer *p = *state;

    busy(p, 14000);
    too_big(p, 1300, 1, 1500);
    next_connection(p);
    p->us.port = 81;
    peer_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 1260);
}

/* What is announced is what the first link takes, whatever the path does (RFC 6691 section 2). */
static void what_is_announced_stays(void **state)
{
    struct peer *p = *state;

    busy(p, 14000);
    too_big(p, 1300, 1, 1500);
    next_connection(p);
    user_connects(p);
    assert_int_equal(gets(p, SEG(.flags = SYN))->mss, 1460);
}

/* RFC 1191 section 6.3: after ten minutes it may have become wider; without probes that is tried
 * with everything at once. [RFC8201-4-5] */
static void a_path_is_tried_again_after_ten_minutes(void **state)
{
    struct peer *p = *state;

    p->cfg.mtu_probing = ESTAB_MTU_PROBING_OFF;
    peer_restarts(p);
    busy(p, 14000);
    too_big(p, 1300, 1, 1500);
    acks_all(p);
    waits(p, ESTAB_S(599));
    user_sends(p, 14001, 14000);
    assert_int_equal(acks_all(p), 1300);
    waits(p, ESTAB_S(2));
    user_sends(p, 28001, 14000);
    assert_int_equal(acks_all(p), 1500);
    assert_int_equal(counted(p, RULE_PMTU_RAISED), 1);
    next_connection(p);
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 1460);
}

/* ... and with probes by one segment, that may be lost. */
static void a_path_is_probed_again_after_ten_minutes(void **state)
{
    struct peer *p = *state;

    busy(p, 14000);
    too_big(p, 1300, 1, 1500);
    acks_all(p);
    waits(p, ESTAB_S(601));
    user_sends(p, 14001, 14000);
    assert_int_equal(got(p)->size, 1500);
    while (has_got(p))
        assert_true(got(p)->size <= 1300);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 14001 + 1460));
    assert_int_equal(mss_of(p), 1460);
}

/* A connection that the user bounds is not probed beyond that. */
static void the_users_bound_holds(void **state)
{
    struct peer *p = *state;

    busy(p, 14000);
    user_sets(p, ESTAB_O_MAXSEG, 1000);
    acks_all(p);
    user_sends(p, 14001, 14000);
    assert_int_equal(acks_all(p), 1040);
    waits(p, ESTAB_S(700));
    user_sends(p, 28001, 30000);
    assert_int_equal(acks_all(p), 1040);
    assert_int_equal(counted(p, RULE_PMTU_PROBE), 0);
}

/* ---- black holes ---- */

/* Full segments vanish and nobody says why. */
static void a_black_hole_is_found(void **state)
{
    struct peer *p = *state;

    busy(p, 14600);
    ignores_all(p);
    waits(p, ESTAB_S(2));
    for (int i = 0; i < 2; i++)
        assert_int_equal(got(p)->len, 1460);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 984)); /* the third: 1024 octets */
    ignores_all(p);
    assert_int_equal(counted(p, RULE_BLACK_HOLE), 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 985));
    assert_int_equal(got(p)->len, 984);
    next_connection(p); /* knows at once */
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 984);
}

static void a_deeper_black_hole(void **state)
{
    struct peer *p = *state;

    busy(p, 14600);
    waits(p, ESTAB_S(20));
    assert_int_equal(mss_of(p), 512);
    waits(p, ESTAB_S(600));
    assert_int_equal(mss_of(p), 512);
    assert_int_equal(counted(p, RULE_BLACK_HOLE), 2);
    next_connection(p); /* nothing has been seen to arrive: the peer may just be gone */
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 1460);

    p->ip6 = true;
    p->k = 0;
    peer_restarts(p);
    busy(p, 14600);
    waits(p, ESTAB_S(600));
    assert_int_equal(mss_of(p), 1220);
    assert_int_equal(counted(p, RULE_BLACK_HOLE), 1);
}

static void small_segments_that_vanish_are_no_black_hole(void **state)
{
    struct peer *p = *state;

    busy(p, 1000);
    waits(p, ESTAB_S(60));
    assert_int_equal(mss_of(p), 1460);
    assert_int_equal(counted(p, RULE_BLACK_HOLE), 0);
}

static void black_holes_are_a_setting(void **state)
{
    struct peer *p = *state;

    p->cfg.mtu_probing = ESTAB_MTU_PROBING_OFF;
    peer_restarts(p);
    busy(p, 14600);
    waits(p, ESTAB_S(60));
    assert_int_equal(mss_of(p), 1460);
    assert_int_equal(counted(p, RULE_BLACK_HOLE), 0);
}

/* What another connection has found out meanwhile is taken over at the first timeout. */
static void another_connection_knows_better(void **state)
{
    struct peer *p = *state;
    estab_sock first;

    busy(p, 14600);
    ignores_all(p);
    first = p->k;
    p->k = 0;
    p->them.port++;
    user_connects_with(p, SEG(.mss = 1460));
    user_sends(p, 1, 14600);
    too_big(p, 1300, 1, 1500);
    user_aborts(p);
    ignores_all(p);
    p->k = first;
    assert_int_equal(mss_of(p), 1460);
    waits(p, ESTAB_MS(1100));
    assert_int_equal(mss_of(p), 1260);
    assert_int_equal(counted(p, RULE_BLACK_HOLE), 0);
}

/* ---- probes ---- */

/* A connection that has fallen into a black hole, and out of it; its window is open again. */
static void fallen(struct peer *p)
{
    busy(p, 30000);
    ignores_all(p);
    waits(p, ESTAB_S(2));
    assert_int_equal(mss_of(p), 984);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 985));
    assert_int_equal(acks_all(p), 1024); /* no probe within a second */
    waits(p, ESTAB_S(2));
}

/* The next burst begins with a probe of this size. */
static void probes(struct peer *p, uint32_t from, uint32_t size)
{
    const struct pkt *k;

    user_sends(p, from, 20000);
    k = got(p);
    assert_int_equal(k->seq, from);
    assert_int_equal(k->size, size);
}

static void a_probe_that_arrives_widens_the_path(void **state)
{
    struct peer *p = *state;

    fallen(p);
    probes(p, 30001, 1500);
    while (has_got(p))
        assert_true(got(p)->size <= 1024); /* one at a time */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 31461));
    assert_int_equal(mss_of(p), 1460);
    assert_int_equal(counted(p, RULE_PMTU_PROBE), 1);
    assert_int_equal(counted(p, RULE_PMTU_RAISED), 1);
    next_connection(p);
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 1460);
}

/* RFC 4821 section 7.6.2: alone lost: again at once, in smaller ones, and no congestion. */
static void a_probe_that_is_lost_is_no_congestion(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    fallen(p);
    cwnd = info_of(p).cwnd;
    probes(p, 30001, 1500);
    ignores_all(p);
    for (int i = 0; i < 2; i++)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    (void)gets(p, SEG(.flags = ACK, .seq = 38349, .ack = 1, .len = 984)); /* RFC 3042 */
    (void)gets(p, SEG(.flags = ACK, .seq = 39333, .ack = 1, .len = 984));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    (void)gets(p, SEG(.flags = ACK, .seq = 30001, .ack = 1, .len = 984));
    (void)gets(p, SEG(.flags = ACK, .seq = 30985, .ack = 1, .len = 476));
    gets_nothing(p);
    assert_int_equal(mss_of(p), 984);
    assert_int_equal(info_of(p).cwnd, cwnd);
    assert_int_equal(counted(p, RULE_PMTU_PROBE_LOST), 1);
    assert_int_equal(counted(p, RULE_FAST_RETRANSMIT), 0);
    for (int i = 0; i < 3; i++) /* of those behind them */
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    gets_nothing(p);
    assert_int_equal(info_of(p).cwnd, cwnd);
    acks_to(p, 40317, 50001);
    /* The next one is half way between what arrives and what does not, and not too soon. */
    waits(p, ESTAB_S(2));
    probes(p, 50001, 1262);
}

/* Nor does another connection to there: those losses are hidden from congestion control. */
static void probes_to_a_destination_are_rare(void **state)
{
    struct peer *p = *state;

    fallen(p);
    probes(p, 30001, 1500);
    ignores_all(p);
    for (int i = 0; i < 3; i++)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    assert_int_equal(counted(p, RULE_PMTU_PROBE_LOST), 1);
    next_connection(p);
    user_connects_with(p, SEG(.mss = 1460));
    user_sends(p, 1, 20000);
    assert_int_equal(got(p)->size, 1024);
    assert_int_equal(acks_all(p), 1024);
    waits(p, ESTAB_S(1));
    probes(p, 20001, 1262);
}

/* Halves: RFC 4821 section 7.3; it ends near enough, until what is known grows old. */
static void the_search_comes_to_an_end(void **state)
{
    const uint32_t path = 1400;
    struct peer *p = *state;
    uint32_t from = 30001, swallowed = 0;

    fallen(p);
    for (int i = 0; i < 20; i++, from += 20000) {
        user_sends(p, from, 20000);
        swallowed += hears_through(p, path, from, from + 20000);
        waits(p, ESTAB_S(2));
    }
    assert_in_range(mss_of(p), path - 40 - 16, path - 40);
    assert_in_range(counted(p, RULE_PMTU_PROBE), 4, 9);
    assert_in_range(swallowed, 1, 5);
    assert_int_equal(counted(p, RULE_PMTU_PROBE_LOST), swallowed);
    assert_int_equal(counted(p, RULE_FAST_RETRANSMIT), 0);
    waits(p, ESTAB_S(600));
    user_sends(p, from, 20000);
    assert_int_equal(hears_through(p, 1500, from, from + 20000), 0);
    assert_int_equal(mss_of(p), 1460);
}

/* A router that says what it takes spares the search. */
static void a_probe_that_is_too_big_is_answered(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    fallen(p);
    probes(p, 30001, 1500);
    ignores_all(p);
    cwnd = info_of(p).cwnd;
    too_big(p, 1400, 30001, 1500);
    assert_int_equal(mss_of(p), 984);
    assert_int_equal(info_of(p).cwnd, cwnd);
    (void)gets(p, SEG(.flags = ACK, .seq = 30001, .ack = 1, .len = 984));
    (void)gets(p, SEG(.flags = ACK, .seq = 30985, .ack = 1, .len = 476));
    ignores_all(p);
    acks_to(p, 31461, 50001);
    assert_int_equal(mss_of(p), 1360);
    assert_int_equal(counted(p, RULE_PMTU_PROBE), 2);
    assert_int_equal(counted(p, RULE_PMTU_PROBE_LOST), 1);
}

/* RFC 4821 section 7.6.4: with others it is congestion, and says nothing about the path. */
static void a_probe_that_is_lost_with_others(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    fallen(p);
    cwnd = info_of(p).cwnd;
    user_sends(p, 30001, 984);
    (void)gets(p, SEG(.flags = ACK, .seq = 30001, .ack = 1, .len = 984)); /* lost */
    probes(p, 30985, 1500);                                               /* lost */
    ignores_all(p);
    for (int i = 0; i < 2; i++)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    ignores_all(p); /* RFC 3042 */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    assert_true(info_of(p).cwnd < cwnd);
    (void)gets(p, SEG(.flags = ACK, .seq = 30001, .ack = 1, .len = 984));
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30985));
    (void)gets(p, SEG(.flags = ACK, .seq = 30985, .ack = 1, .len = 984));
    acks_to(p, 31969, 50985);
    assert_int_equal(mss_of(p), 984);
    assert_int_equal(counted(p, RULE_PMTU_RAISED), 0);
    assert_int_equal(counted(p, RULE_PMTU_PROBE_LOST), 0);
    for (uint32_t at = 50985; at < 110985; at += 20000) { /* until its window is wide enough */
        waits(p, ESTAB_S(2));
        user_sends(p, at, 20000);
        assert_int_equal(hears_through(p, 1500, at, at + 20000), 0);
    }
    assert_int_equal(mss_of(p), 1460);
}

static void a_probe_that_ends_in_a_timeout(void **state)
{
    struct peer *p = *state;

    fallen(p);
    probes(p, 30001, 1500);
    ignores_all(p);
    waits(p, ESTAB_MS(1300)); /* not even duplicate ACKs */
    assert_true(counted(p, RULE_RTO) > 3);
    assert_int_equal(counted(p, RULE_PMTU_PROBE_LOST), 1);
    assert_int_equal(got(p)->len, 984);
    ignores_all(p);
    acks_to(p, 30985, 50001);
    assert_int_equal(mss_of(p), 1222); /* half way: that has been tried meanwhile */
}

/* A connection whose user wants small segments cannot say what larger ones would do: the next one
 * tries. */
static void what_one_cannot_try_another_may(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    user_sets(p, ESTAB_O_MAXSEG, 1300);
    user_sends(p, 1, 14600);
    waits(p, ESTAB_S(2));
    assert_int_equal(mss_of(p), 984);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 985));
    next_connection(p);
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(mss_of(p), 984);
    waits(p, ESTAB_S(1));
    probes(p, 1, 1500);
}

/* Only with enough behind it that its loss would show, and room for that. */
static void a_probe_needs_company(void **state)
{
    struct peer *p = *state;

    fallen(p);
    user_sends(p, 30001, 5000);
    assert_int_equal(acks_all(p), 1024);
    p->wnd = 5000;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 35001));
    user_sends(p, 35001, 4000);
    assert_int_equal(acks_all(p), 1024);
    assert_int_equal(counted(p, RULE_PMTU_PROBE), 0);
}

/* With timestamps the segment is smaller by their octets, not the packet larger. */
static void options_count(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_connects_with(p, SEG(.mss = 1460, .ts = true));
    user_sends(p, 1, 14480);
    ignores_all(p);
    waits(p, ESTAB_S(2));
    assert_int_equal(mss_of(p), 972);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 14481));
    ignores_all(p);
    for (uint32_t at = 14481; at < 44481; at += 5000) { /* opens the congestion window */
        user_sends(p, at, 5000);
        acks_all(p);
    }
    waits(p, ESTAB_S(2));
    user_sends(p, 44481, 20000);
    k = got(p);
    assert_int_equal(k->size, 1500);
    assert_int_equal(k->len, 1448);
}

/* ---- from small to large ---- */

static void probing_begins_small(void **state)
{
    struct peer *p = *state;

    p->cfg.mtu_probing = ESTAB_MTU_PROBING_ON;
    peer_restarts(p);
    busy(p, 40000);
    assert_int_equal(mss_of(p), 984);
    assert_int_equal(acks_all(p), 1500);
    assert_int_equal(mss_of(p), 1460);
    assert_int_equal(counted(p, RULE_PMTU_PROBE), 1);
    p->ip6 = true;
    peer_restarts(p);
    busy(p, 40000);
    assert_int_equal(mss_of(p), 1220);
    assert_int_equal(acks_all(p), 1500);
    assert_int_equal(mss_of(p), 1440);
    p->cfg.base_mss6 = 100; /* IPv6's minimum holds */
    peer_restarts(p);
    busy(p, 14400);
    assert_int_equal(mss_of(p), 1220);
    p->ip6 = false;
    p->cfg.base_mss4 = 700;
    peer_restarts(p);
    busy(p, 14400);
    assert_int_equal(mss_of(p), 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(being_told_is_no_congestion),
        PEER_TEST(duplicates_of_what_did_arrive_are_no_loss),
        PEER_TEST(a_router_that_does_not_say),
        PEER_TEST(B7_reports_that_cannot_be),
        PEER_TEST(B7_an_opening_is_not_too_big),
        PEER_TEST(the_least_is_a_setting),
        PEER_TEST(connections_to_come_know),
        PEER_TEST(connections_that_are_accepted_know_too),
        PEER_TEST(what_is_announced_stays),
        PEER_TEST(a_path_is_tried_again_after_ten_minutes),
        PEER_TEST(a_path_is_probed_again_after_ten_minutes),
        PEER_TEST(the_users_bound_holds),
        PEER_TEST(a_black_hole_is_found),
        PEER_TEST(a_deeper_black_hole),
        PEER_TEST(small_segments_that_vanish_are_no_black_hole),
        PEER_TEST(black_holes_are_a_setting),
        PEER_TEST(another_connection_knows_better),
        PEER_TEST(a_probe_that_arrives_widens_the_path),
        PEER_TEST(a_probe_that_is_lost_is_no_congestion),
        PEER_TEST(probes_to_a_destination_are_rare),
        PEER_TEST(the_search_comes_to_an_end),
        PEER_TEST(a_probe_that_is_too_big_is_answered),
        PEER_TEST(a_probe_that_is_lost_with_others),
        PEER_TEST(a_probe_that_ends_in_a_timeout),
        PEER_TEST(what_one_cannot_try_another_may),
        PEER_TEST(a_probe_needs_company),
        PEER_TEST(options_count),
        PEER_TEST(probing_begins_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

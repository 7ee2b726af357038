/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_loss_test.c - what is lost is sent again: fast retransmit, NewReno, the retransmission timer
 * and its limits (RFC 5681, 6582, 6298). */
#include "unit/peer.h"

/* Ten segments of 1000 octets are out, number 1 first. */
static void ten_out(struct peer *p)
{
    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 10000);
    for (uint32_t i = 0; i < 10; i++)
        (void)gets(p, SEG(.flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000));
    gets_nothing(p);
}

static void dup_acks(struct peer *p, uint32_t ack, int n)
{
    while (n--)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = ack));
}

static uint32_t segments_sent(struct peer *p)
{
    uint32_t n = 0;

    peer_collect(p);
    while (has_got(p)) {
        (void)got(p);
        n++;
    }
    return n;
}

static void sacks(struct peer *p, uint32_t una, uint32_t lo, uint32_t hi)
{
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = una, .nsack = 1, .sack = {{{lo}, {hi}}}));
}

/* RFC 6675 section 5 (4): one ACK can say as much as three, when a peer found several segments at
 * once or an ACK was lost. */
static void sack_says_as_much_as_duplicates(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 10000);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .nsack = 1, .sack = {{{1001}, {3001}}}));
    gets_nothing(p); /* two segments: they may have been overtaken */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .nsack = 1, .sack = {{{1001}, {3101}}}));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    assert_int_equal(info_of(p).ssthresh, 5000);
    gets_nothing(p);
    for (uint32_t hi = 4001; hi <= 10001; hi += 1000) /* once */
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .nsack = 1, .sack = {{{1001}, {hi}}}));
    assert_int_equal(info_of(p).retrans, 1);
}

/* Half of what would be in flight had the ACKs come one by one: nothing goes between those of a
 * batch. */
static void a_batch_of_acks_does_not_make_the_window_smaller(void **state)
{
    struct peer *p = *state;
    const struct pkt *const acks[] = {
        SEG(.flags = ACK, .seq = 1, .ack = 2001), SEG(.flags = ACK, .seq = 1, .ack = 4001),
        SEG(.flags = ACK, .seq = 1, .ack = 6001),
        SEG(.flags = ACK, .seq = 1, .ack = 6001, .nsack = 1, .sack = {{{7001}, {10001}}})};

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 60000);
    ignores_all(p);
    sends_all(p, acks, 4);
    assert_int_equal(info_of(p).ssthresh, 6500); /* not 2000, half of what is left of ten */
}

/* ... nor what goes: the nine segments that the ACKs before have let out count with the three that
 * the last has delivered; as many go as ssthresh takes. */
static void a_batch_of_acks_lets_out_what_they_did_one_by_one(void **state)
{
    struct peer *p = *state;
    const struct pkt *const acks[] = {
        SEG(.flags = ACK, .seq = 1, .ack = 2001), SEG(.flags = ACK, .seq = 1, .ack = 4001),
        SEG(.flags = ACK, .seq = 1, .ack = 6001),
        SEG(.flags = ACK, .seq = 1, .ack = 6001, .nsack = 1, .sack = {{{7001}, {10001}}})};

    p->wnd = 60000;
    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 60000);
    ignores_all(p);
    sends_all(p, acks, 4);
    assert_int_equal(segments_sent(p), 6);
}

/* ... but not what the peer's window holds back. */
static void a_batch_counts_no_more_than_the_peer_takes(void **state)
{
    struct peer *p = *state;
    const struct pkt *const acks[] = {
        SEG(.flags = ACK, .seq = 1, .ack = 4001),
        SEG(.flags = ACK, .seq = 1, .ack = 4001, .nsack = 1, .sack = {{{5001}, {8001}}})};

    p->wnd = 8000;
    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 60000);
    ignores_all(p);
    sends_all(p, acks, 2);
    assert_int_equal(info_of(p).ssthresh, 4000); /* 5000 were the congestion window's half */
}

/* ... nor is what was in flight what the peer has room for once it has told of the loss. */
static void a_peer_that_closes_its_window_does_not_make_ours_smaller(void **state)
{
    struct peer *p = *state;

    p->wnd = 60000;
    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 60000);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 10001));
    ignores_all(p);
    p->wnd = 4000; /* what is in flight, to the octet */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 17001));
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 17001, .nsack = 1, .sack = {{{18001}, {21001}}}));
    assert_int_equal(info_of(p).ssthresh, 5500); /* of eleven, not of four */
}

/* RFC 6582 section 3.2, steps 2 and 3: a segment for each duplicate, and a partial ACK takes back
 * what it acknowledges but for one. */
static void a_partial_ack_deflates_the_window(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    dup_acks(p, 1, 4);
    assert_int_equal(info_of(p).ssthresh, 5000);
    assert_int_equal(info_of(p).cwnd, 5000 + 4000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 3001));
    assert_int_equal(info_of(p).cwnd, 9000 - 3000 + 1000);
}

/* RFC 3465 section 2.2, RFC 9406 section 4.2: thirty segments that arrived together may be told of
 * together, and count; what had been reported behind a late one is under the limit of 16. */
static void slow_start_adds_what_an_ack_is_the_first_to_tell_of(void **state)
{
    struct peer *p = *state;

    memcpy(p->cfg.cc, "cubic", 6);
    p->cfg.initial_window = 30;
    p->wnd = 60000;
    peer_restarts(p);
    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, ESTAB_MS(100));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000, .sack_ok = true, .ws = 1 + 5));
    user_sends(p, 1, 200000);
    waits(p, ESTAB_MS(100));
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 30001));
    assert_int_equal(info_of(p).cwnd, 60000);
    ignores_all(p);
    waits(p, ESTAB_MS(100));
    sacks(p, 30001, 32001, 33001);
    sacks(p, 30001, 31001, 33001); /* the path reorders */
    sacks(p, 30001, 31001, 60001);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 60001));
    assert_int_equal(info_of(p).retrans, 0);
    assert_int_equal(info_of(p).cwnd, 76000);
}

/* ---- proportional rate reduction, RFC 9937 section 5.1: no text of the user's goes faster ---- */

/* Twenty segments are out, and sixty wait. */
static void twenty_out(struct peer *p)
{
    p->cfg.initial_window = 20;
    p->wnd = 60000;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 50000);
    ignores_all(p);
}

/* While more is in flight than ssthresh: CEIL(prr_delivered * ssthresh / RecoverFS) in all, which
 * here is one for two that arrive. */
static void a_recovery_sends_one_for_two_that_arrive(void **state)
{
    struct peer *p = *state;
    uint32_t sent = 0;

    twenty_out(p);
    for (uint32_t k = 3; k <= 10; k++) {
        sacks(p, 1, 1001, 1001 + 1000 * k);
        sent += segments_sent(p);
        assert_int_equal(sent, k / 2);
    }
    assert_int_equal(info_of(p).ssthresh, 10000);
}

/* RecoverFS is without what had arrived before: of 22 two had, which have let out two. */
static void what_arrived_before_is_no_part_of_it(void **state)
{
    struct peer *p = *state;
    uint32_t sent = 0;

    twenty_out(p);
    sacks(p, 1, 1001, 3001);
    assert_int_equal(segments_sent(p), 2);
    for (uint32_t k = 1; k <= 10; k++) {
        sacks(p, 1, 1001, 3001 + 1000 * k);
        sent += segments_sent(p);
    }
    assert_int_equal(sent, 5);
}

/* Once less is: as many as arrive, and one more for an ACK that makes progress; no more than
 * ssthresh in flight. */
static void a_recovery_of_much_sends_what_arrives_and_one_more(void **state)
{
    struct peer *p = *state;

    twenty_out(p);
    sacks(p, 1, 14001, 20001);
    assert_int_equal(segments_sent(p), 6);
    sacks(p, 1001, 14001, 20001);
    assert_int_equal(segments_sent(p), 2);
    sacks(p, 2001, 14001, 20001);
    assert_int_equal(segments_sent(p), 2);
    assert_int_equal(info_of(p).cwnd, 8000); /* six, and one more for each of two */
}

/* RFC 6928 section 2: ten segments, no more, before the first acknowledgment. [RFC5681-3.1-1] */
static void the_initial_window_is_ten_segments(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 30000);
    for (uint32_t i = 0; i < 10; i++)
        (void)gets(p, SEG(.flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000));
    gets_nothing(p);
}

/* ... but not more than 14600 octets, or two segments. */
static void the_initial_window_is_bounded_in_octets(void **state)
{
    struct peer *p = *state;

    p->caps.mtu = 9000;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 8000));
    assert_int_equal(info_of(p).cwnd, 16000);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 2000));
    assert_int_equal(info_of(p).cwnd, 14600);
}

/* RFC 5681 section 3.1: after a lost SYN, one segment. [RFC5681-3.1-2] */
static void after_a_lost_syn_it_is_one_segment(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    waits(p, ESTAB_S(1) + ESTAB_MS(1));
    (void)gets(p, SEG(.flags = SYN));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_sends(p, 1, 3000);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    gets_nothing(p);
    assert_int_equal(info_of(p).rto, ESTAB_S(3)); /* RFC 6298 (5.7) */
}

/* RFC 5681 section 3.2: the third duplicate, and at once. [RFC5681-3.2-1] */
static void the_third_duplicate_ack_retransmits(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    dup_acks(p, 1, 2);
    gets_nothing(p);
    dup_acks(p, 1, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    gets_nothing(p);
    assert_int_equal(info_of(p).ssthresh, 5000);
    assert_int_equal(info_of(p).cwnd, 8000);
    assert_int_equal(info_of(p).retrans, 1);
    assert_int_equal(counted(p, RULE_RTO), 0);
}

/* An ACK with a new window, with text, or of nothing outstanding is no duplicate. */
static void what_is_not_a_duplicate_ack(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    for (uint32_t i = 0; i < 5; i++)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .wnd = (uint16_t)(60000 + i)));
    for (uint32_t i = 0; i < 5; i++)
        sends(p, SEG(.flags = ACK, .seq = 1 + i, .ack = 1, .len = 1, .wnd = 60004));
    for (uint32_t i = 0; i < 5; i++)
        (void)gets(p, SEG(.flags = ACK, .seq = 10001, .ack = 2 + i));
    sends(p, SEG(.flags = ACK, .seq = 6, .ack = 10001));
    for (uint32_t i = 0; i < 5; i++)
        sends(p, SEG(.flags = ACK, .seq = 6, .ack = 10001));
    gets_nothing(p);
    assert_int_equal(info_of(p).retrans, 0);
}

/* RFC 6582 section 3.2: a partial ACK retransmits the next hole; a full one ends the recovery.
 * [RFC6582-3.2-1] */
static void a_partial_ack_retransmits_the_next_hole(void **state)
{
    struct peer *p = *state;

    ten_out(p); /* 1 and 3001 are lost */
    dup_acks(p, 1, 3);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    dup_acks(p, 1, 5);
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 3001));
    (void)gets(p, SEG(.flags = ACK, .seq = 3001, .ack = 1, .len = 1000));
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_PARTIAL_ACK), 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 10001));
    assert_int_equal(counted(p, RULE_RECOVERED), 1);
    assert_int_equal(info_of(p).retrans, 2);
    assert_true(info_of(p).cwnd <= info_of(p).ssthresh);
    assert_int_equal(counted(p, RULE_RTO), 0);
}

/* Section 4: a window full of holes does not take a round trip for each. */
static void many_holes_are_left_to_the_timer(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_MS(50));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101));
    user_sends(p, 101, 10000); /* of which the last three arrive */
    ignores_all(p);
    waits(p, ESTAB_MS(50));
    dup_acks(p, 101, 3);
    for (uint32_t i = 0; i < 4; i++) { /* the RTO is some 200 ms, from the first partial ACK on */
        (void)gets(p, SEG(.flags = ACK, .seq = 101 + 1000 * i, .ack = 1, .len = 1000));
        assert_int_equal(info_of(p).rto_fired, 0);
        waits(p, ESTAB_MS(50));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1101 + 1000 * i));
    }
    (void)gets(p, SEG(.flags = ACK, .seq = 4101, .ack = 1, .len = 1000));
    waits(p, ESTAB_MS(60));
    assert_int_equal(info_of(p).rto_fired, 1);
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 5101));
    (void)gets(p, SEG(.flags = ACK, .seq = 5101, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 6101, .ack = 1, .len = 1000));
}

/* ... and what an earlier recovery had of them does not count for the next one. */
static void the_next_recovery_has_its_own_patience(struct peer *p, bool sack)
{
    uint32_t una = 1;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = sack));
    for (int again = 0; again < 2; again++) {
        user_sends(p, una, 6000);
        if (sack && again)
            sacks(p, una, una + 3000, una + 6000);
        else
            dup_acks(p, una, 3);
        for (int i = 0; i < 2; i++) {
            waits(p, again ? ESTAB_MS(100) : 0);
            sends(p, SEG(.flags = ACK, .seq = 1, .ack = una += 1000));
        }
        if (again)
            break;
        user_sends(p, una, 60000); /* which let the window grow again; it is never idle */
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = una += 4000));
        while (info_of(p).flight > 1000) {
            ignores_all(p);
            sends(p, SEG(.flags = ACK, .seq = 1, .ack = una += info_of(p).flight - 1000));
        }
        ignores_all(p);
    }
    assert_int_equal(counted(p, RULE_PARTIAL_ACK), 4);
    waits(p, ESTAB_MS(90)); /* the RTO is some 200 ms, and began anew at 100 */
    assert_int_equal(info_of(p).rto_fired, 0);
}

static void patience_begins_anew(void **state)
{
    the_next_recovery_has_its_own_patience(*state, false);
}

static void patience_begins_anew_with_sack(void **state)
{
    the_next_recovery_has_its_own_patience(*state, true);
}

/* Step 1: the first two duplicates let a segment out each, which counts for nothing when the window
 * is reduced.  Step 3: each further one says that a segment has left the network. [RFC5681-3.2-2,
 * RFC5681-3.2-3] */
static void duplicates_in_recovery_let_new_text_out(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    user_sends(p, 10001, 5000);
    dup_acks(p, 1, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 10001, .ack = 1, .len = 1000));
    dup_acks(p, 1, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 11001, .ack = 1, .len = 1000));
    gets_nothing(p);
    dup_acks(p, 1, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    assert_int_equal(info_of(p).ssthresh, 5000);
    dup_acks(p, 1, 4);
    gets_nothing(p); /* cwnd 12000, flight 12000 */
    dup_acks(p, 1, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 12001, .ack = 1, .len = 1000));
    dup_acks(p, 1, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 13001, .ack = 1, .len = 1000));
}

/* RFC 6582 section 3.2, step 1 and 4.1: duplicates caused by what an RTO sent again are no loss.
 * [RFC6582-3.2-2] */
static void duplicates_after_an_rto_are_no_new_loss(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 10001)); /* they had only been late */
    user_sends(p, 10001, 2000);
    ignores_all(p);
    dup_acks(p, 10001, 4);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_FAST_RETRANSMIT), 0);
}

/* Sequence numbers are compared modulo 2^32: what an old recovery left must not lie ahead one day.
 */
static void after_two_gibibytes_duplicates_still_count(void **state)
{
    struct peer *p = *state;
    uint32_t at = 1;

    p->caps.mtu = 9000;
    p->wnd = 65535;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 8960));
    while (at < 0x80000000u + 100000u) {
        uint32_t n = 0;

        assert_true(user_sends_with(p, p->frame, 60000, 0) == 60000);
        while (has_got(p))
            n += got(p)->len;
        at += n;
        p->v.now += ESTAB_US(1);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = at));
    }
    assert_int_equal(info_of(p).retrans, 0);
    user_sends(p, at, 30000);
    ignores_all(p);
    dup_acks(p, at, 3);
    (void)gets(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 8960));
}

/* RFC 6298 (5.5), (5.6): the earliest octets, at doubled intervals, up to the bound. [MUST-19,
 * RFC6298-5-1, RFC6298-5-2, RFC8961-4-4] */
static void the_timer_backs_off(void **state)
{
    struct peer *p = *state;
    estab_dur rto = ESTAB_MS(200);
    estab_time last;

    p->cfg.rto_max = ESTAB_S(10);
    p->cfg.max_retries = 9;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    last = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100))->at;
    waits(p, ESTAB_S(100));
    for (int i = 0; i < 9; i++) {
        const struct pkt *k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));

        assert_in_range(k->at - last, rto, rto + ESTAB_MS(1));
        last = k->at;
        rto = 2 * rto < p->cfg.rto_max ? 2 * rto : p->cfg.rto_max;
    }
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 101, .ack = 1));
    gets_nothing(p);
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
    assert_int_equal(counted(p, RULE_RETRIES), 1);
}

/* RFC 6298 section 5, last paragraph, and Karn: the back-off stays until something was measured. */
static void the_back_off_stays_until_a_measurement(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_MS(700)); /* sent again after 200 and 600 ms */
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101)); /* of which sending? */
    assert_int_equal(info_of(p).rto, ESTAB_MS(800));
    user_sends(p, 101, 100);
    (void)gets(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100));
    waits(p, ESTAB_MS(10));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 201));
    assert_int_equal(info_of(p).rto, ESTAB_MS(200));
}

/* Ten segments are lost, and go again after two timeouts. */
static void ten_again(struct peer *p)
{
    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_MS(20));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101));
    user_sends(p, 101, 10000);
    waits(p, ESTAB_MS(700));
    ignores_all(p);
    assert_int_equal(info_of(p).backoff, 2);
    waits(p, ESTAB_MS(20)); /* of the timer's segment; it was sent three times */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1101));
    assert_int_equal(info_of(p).backoff, 2);
}

/* ... or until what goes again is acknowledged as soon as it was before. */
static void the_back_off_ends_when_the_path_is_as_it_was(void **state)
{
    struct peer *p = *state;

    ten_again(p);
    waits(p, ESTAB_MS(20));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2101));
    assert_int_equal(info_of(p).backoff, 0);
    assert_true(info_of(p).rto <= ESTAB_MS(201));
}

/* What was sent once may be measured behind a hole. */
static void the_back_off_ends_by_a_report(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 12000);
    waits(p, ESTAB_MS(300)); /* a probe, and the timer once */
    ignores_all(p);
    assert_int_equal(info_of(p).backoff, 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    assert_int_equal(info_of(p).backoff, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 11001, .ack = 1, .len = 1000)); /* new: RFC 5682 */
    waits(p, ESTAB_MS(30));
    sacks(p, 1001, 11001, 12001);
    assert_int_equal(info_of(p).backoff, 0);
    assert_in_range(info_of(p).srtt, ESTAB_MS(3), ESTAB_MS(30));
}

/* ... but not across a leap of the clock. */
static void an_hour_is_no_measurement(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true));
    user_sends(p, 1, 12000);
    waits(p, ESTAB_MS(300));
    ignores_all(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    p->v.now += ESTAB_S(3600);
    sacks(p, 1001, 11001, 12001);
    assert_int_equal(info_of(p).backoff, 1);
    assert_in_range(info_of(p).srtt, 0, ESTAB_MS(3));
}

static void the_back_off_stays_where_the_path_has_become_longer(void **state)
{
    struct peer *p = *state;

    ten_again(p);
    waits(p, ESTAB_MS(300));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2101));
    assert_int_equal(info_of(p).backoff, 2);
}

/* ... nor is it measured by what was sent twice. [MUST-18, RFC6298-3-1, RFC8961-4-2] */
static void what_was_sent_twice_is_not_measured(void **state)
{
    struct peer *p = *state;
    estab_dur srtt;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 100);
    waits(p, ESTAB_MS(20));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101));
    srtt = info_of(p).srtt;
    user_sends(p, 101, 100);
    waits(p, ESTAB_MS(300));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 201));
    assert_int_equal(info_of(p).srtt, srtt);
}

/* With timestamps each ACK measures, retransmission or not (RFC 7323 section 4). [RFC6298-3-1,
 * RFC6298-3-2] */
static void timestamps_measure_retransmissions(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_connects_with(p, SEG(.mss = 1000, .ts = true));
    user_sends(p, 1, 100);
    k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    waits(p, ESTAB_MS(300));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101, .ts_ecr = k->ts_val)); /* the first's */
    assert_in_range(info_of(p).srtt, ESTAB_MS(30), ESTAB_MS(60));
    assert_in_range(info_of(p).rtt_min, 0, ESTAB_MS(1));
}

/* A path of 300 us: what goes again is measured by a clock of a millisecond, which says nothing of
 * how short it is; what goes after it, once, by ours. */
static void losses_do_not_coarsen_a_short_path(void **state)
{
    struct peer *p = *state;

    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, ESTAB_US(300));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000, .sack_ok = true, .ts = true));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    p->ts = true;
    user_sends(p, 1, 100);
    ignores_all(p);
    while (!has_got(p))
        waits(p, ESTAB_US(100));
    ignores_all(p);
    waits(p, ESTAB_US(300));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101));
    assert_int_equal(info_of(p).rtt_min, ESTAB_US(300));
    assert_true(info_of(p).retrans > 0);
    for (uint32_t n = 101; n < 5000; n += 100) {
        user_sends(p, n, 100);
        waits(p, ESTAB_US(300));
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = n + 100));
    }
    assert_int_equal(info_of(p).rtt_min, ESTAB_US(300));
    assert_in_range(info_of(p).srtt, ESTAB_US(300), ESTAB_US(400));
}

/* After an RTO the loss window is one segment, and it opens again in slow start: all that was in
 * flight goes again, in order. [RFC5681-3.1-6, RFC8961-4-3, MUST-19] */
static void after_an_rto_everything_goes_again(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000));
    gets_nothing(p);
    assert_int_equal(info_of(p).cwnd, 1000);
    assert_int_equal(info_of(p).ssthresh, 5000);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001));
    (void)gets(p, SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 2001, .ack = 1, .len = 1000));
    gets_nothing(p);
    for (uint32_t acked = 2; acked < 4;
         acked++) { /* each lets two go, until all are on their way */
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1 + 1000 * acked));
        for (uint32_t i = 2 * acked - 1; i < 2 * acked + 1; i++)
            (void)gets(p, SEG(.flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000));
        gets_nothing(p);
    }
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 10001)); /* the rest had arrived */
    gets_nothing(p);
    assert_int_equal(info_of(p).flight, 0);
}

/* RFC 5681 equation 4 is for the first expiry; repeated ones leave ssthresh alone. */
static void a_repeated_rto_leaves_ssthresh(void **state)
{
    struct peer *p = *state;

    ten_out(p);
    waits(p, ESTAB_MS(201));
    assert_int_equal(info_of(p).ssthresh, 5000);
    waits(p, ESTAB_MS(401));
    assert_int_equal(info_of(p).ssthresh, 5000);
    assert_int_equal(info_of(p).rto_fired, 2);
}

/* A lost SYN: 1, 2, 4 ... s, and the user is told in the end (RFC 9293 section 3.8.3 [MUST-23]: not
 * before three minutes). [MUST-22] */
static void a_syn_is_given_up_after_three_minutes(void **state)
{
    struct peer *p = *state;
    estab_time began = p->v.now, last;
    estab_dur rto = ESTAB_S(1);

    user_connects(p);
    last = gets(p, SEG(.flags = SYN))->at;
    for (int i = 0; i < 7; i++) {
        const struct pkt *k;

        waits(p, rto + ESTAB_MS(1));
        k = gets(p, SEG(.flags = SYN));
        assert_in_range(k->at - last, rto, rto + ESTAB_MS(1));
        last = k->at;
        rto = 2 * rto < p->cfg.rto_max ? 2 * rto : p->cfg.rto_max;
    }
    assert_state(p, SYN_SENT);
    waits(p, rto + ESTAB_MS(1));
    gets_nothing(p);
    assert_state(p, CLOSED);
    assert_true(p->v.now - began > ESTAB_S(180));
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* RFC 9293 section 3.8.3: R2 for data is more than 100 s by default [SHLD-11]. */
static void data_is_not_given_up_before_100_seconds(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 10);
    waits(p, ESTAB_S(100));
    assert_state(p, ESTABLISHED);
    waits(p, ESTAB_S(3600));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
}

/* The user's own limit. */
static void the_user_timeout_ends_the_wait(void **state)
{
    struct peer *p = *state;

    p->cfg.user_timeout = ESTAB_S(5);
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000));
    waits(p, ESTAB_S(100)); /* nothing was outstanding: no limit runs */
    user_sends(p, 1, 10);
    waits(p, ESTAB_S(4));
    assert_state(p, ESTABLISHED);
    waits(p, ESTAB_S(6));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* A lost FIN is sent again, alone and behind text. */
static void a_fin_is_sent_again(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_sends(p, 1, 500);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 500));
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 501, .ack = 1));
    waits(p, ESTAB_MS(201));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 500));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 501));
    gets_nothing(p);
    waits(p, ESTAB_MS(401));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 501, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 502));
    assert_state(p, FIN_WAIT_2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(sack_says_as_much_as_duplicates),
        PEER_TEST(a_batch_of_acks_does_not_make_the_window_smaller),
        PEER_TEST(a_batch_of_acks_lets_out_what_they_did_one_by_one),
        PEER_TEST(slow_start_adds_what_an_ack_is_the_first_to_tell_of),
        PEER_TEST(a_batch_counts_no_more_than_the_peer_takes),
        PEER_TEST(a_peer_that_closes_its_window_does_not_make_ours_smaller),
        PEER_TEST(a_partial_ack_deflates_the_window),
        PEER_TEST(a_recovery_sends_one_for_two_that_arrive),
        PEER_TEST(what_arrived_before_is_no_part_of_it),
        PEER_TEST(a_recovery_of_much_sends_what_arrives_and_one_more),
        PEER_TEST(the_initial_window_is_ten_segments),
        PEER_TEST(the_initial_window_is_bounded_in_octets),
        PEER_TEST(after_a_lost_syn_it_is_one_segment),
        PEER_TEST(the_third_duplicate_ack_retransmits),
        PEER_TEST(what_is_not_a_duplicate_ack),
        PEER_TEST(a_partial_ack_retransmits_the_next_hole),
        PEER_TEST(many_holes_are_left_to_the_timer),
        PEER_TEST(patience_begins_anew),
        PEER_TEST(patience_begins_anew_with_sack),
        PEER_TEST(duplicates_in_recovery_let_new_text_out),
        PEER_TEST(duplicates_after_an_rto_are_no_new_loss),
        PEER_TEST(after_two_gibibytes_duplicates_still_count),
        PEER_TEST(the_timer_backs_off),
        PEER_TEST(the_back_off_stays_until_a_measurement),
        PEER_TEST(the_back_off_ends_when_the_path_is_as_it_was),
        PEER_TEST(the_back_off_ends_by_a_report),
        PEER_TEST(an_hour_is_no_measurement),
        PEER_TEST(the_back_off_stays_where_the_path_has_become_longer),
        PEER_TEST(what_was_sent_twice_is_not_measured),
        PEER_TEST(timestamps_measure_retransmissions),
        PEER_TEST(losses_do_not_coarsen_a_short_path),
        PEER_TEST(after_an_rto_everything_goes_again),
        PEER_TEST(a_repeated_rto_leaves_ssthresh),
        PEER_TEST(a_syn_is_given_up_after_three_minutes),
        PEER_TEST(data_is_not_given_up_before_100_seconds),
        PEER_TEST(the_user_timeout_ends_the_wait),
        PEER_TEST(a_fin_is_sent_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_rack_test.c - what is lost by time, and what only seemed to be: RACK-TLP (RFC 8985), D-SACK,
 * Eifel detection, F-RTO and what follows from them. */
#include "unit/peer.h"

#define RTT ESTAB_MS(100)

/* A connection whose path takes `rtt` there and back, with segments of 1000 octets. */
static void connects_in(struct peer *p, estab_dur rtt, const struct pkt *answer)
{
    struct pkt k = *answer;

    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    waits(p, rtt);
    k.flags = SYN | ACK;
    k.ack = 1;
    k.mss = 1000;
    sends(p, &k);
    p->ts = k.ts;
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
}

static void connects(struct peer *p, const struct pkt *answer)
{
    connects_in(p, RTT, answer);
}

static void segments_out(struct peer *p, uint32_t from, uint32_t n)
{
    user_sends(p, from, 1000 * n);
    for (uint32_t i = 0; i < n; i++)
        (void)gets(p, SEG(.flags = ACK, .seq = from + 1000 * i, .ack = 1, .len = 1000));
    gets_nothing(p);
}

static void gets_again(struct peer *p, uint32_t seq)
{
    (void)gets(p, SEG(.flags = ACK, .seq = seq, .ack = 1, .len = 1000));
}

#define ACKS(p, a) sends(p, SEG(.flags = ACK, .seq = 1, .ack = a))
#define SACKS(p, a, lo1, hi1)                                                                      \
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = a, .nsack = 1, .sack = {{{lo1}, {hi1}}}))
#define SACKS2(p, a, lo1, hi1, lo2, hi2)                                                           \
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = a, .nsack = 2,                                     \
                 .sack = {{{lo1}, {hi1}}, {{lo2}, {hi2}}}))

/* ---- the tail of a flight, RFC 8985 section 7 ---- */

/* [RFC8985-7.2-1, RFC8985-7.3-1] */
static void a_lost_tail_is_probed_before_the_timer(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 5);
    waits(p, RTT);
    ACKS(p, 3001); /* 3001 and 4001 are lost */
    assert_int_equal(info_of(p).timer, ESTAB_T_TAIL);
    waits(p, 2 * RTT - ESTAB_MS(1));
    gets_nothing(p);
    waits(p, ESTAB_MS(2));
    gets_again(p, 4001);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TAIL_PROBE), 1);
    assert_int_equal(info_of(p).timer, ESTAB_T_REXMT);
    waits(p, RTT);
    SACKS(p, 3001, 4001, 5001); /* which says that the one before it is lost, too */
    gets_again(p, 3001);
    gets_nothing(p);
    ACKS(p, 5001);
    assert_int_equal(info_of(p).flight, 0);
    assert_int_equal(info_of(p).rto_fired, 0);
    assert_int_equal(info_of(p).retrans, 2);
}

/* Departs from RFC 8985 section 7.2: a timer of microseconds costs a driver that sleeps more than
 * it gains. */
static void a_tail_is_probed_no_sooner_than_in_ten_milliseconds(void **state)
{
    struct peer *p = *state;

    connects_in(p, ESTAB_MS(1), SEG(.sack_ok = true));
    segments_out(p, 1, 5);
    waits(p, ESTAB_MS(9));
    gets_nothing(p);
    waits(p, ESTAB_MS(2));
    gets_again(p, 4001);
    gets_nothing(p);
    assert_int_equal(info_of(p).rto_fired, 0);
}

/* With timestamps as well: behind a hole a report echoes what was in front of it (RFC 7323 section
 * 4.3), whatever has arrived. */
static void a_reported_probe_counts_with_an_old_echo(void **state)
{
    struct peer *p = *state;
    const uint32_t n = 988;
    uint32_t first;

    connects(p, SEG(.sack_ok = true, .ts = true));
    user_sends(p, 1, 5 * n);
    first = got(p)->ts_val;
    ignores_all(p);
    waits(p, RTT);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 3 * n + 1, .ts_ecr = first));
    waits(p, 2 * RTT + ESTAB_MS(1));
    (void)gets(p, SEG(.flags = ACK, .seq = 4 * n + 1, .ack = 1, .len = n));
    waits(p, RTT);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 3 * n + 1, .nsack = 1, .ts_ecr = first,
                 .sack = {{{4 * n + 1}, {5 * n + 1}}}));
    (void)gets(p, SEG(.flags = ACK, .seq = 3 * n + 1, .ack = 1, .len = n));
    assert_int_equal(info_of(p).rto_fired, 0);
}

/* One, and then the timer. [RFC8985-7.3-2] */
static void a_lost_probe_is_not_followed_by_another(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 5);
    waits(p, 2 * RTT + ESTAB_MS(1));
    gets_again(p, 4001);
    waits(p, ESTAB_MS(298));
    gets_nothing(p);
    assert_int_equal(info_of(p).rto_fired, 0);
    waits(p, ESTAB_MS(3));
    gets_again(p, 1);
    assert_int_equal(info_of(p).rto_fired, 1);
    assert_int_equal(counted(p, RULE_TAIL_PROBE), 1);
}

/* Section 7.4: nobody else tells of the loss; the window is reduced all the same. */
static void a_probe_that_repairs_is_a_loss(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    ACKS(p, 9001);
    waits(p, ESTAB_MS(300));
    gets_again(p, 9001);
    user_sends(p, 10001, 1000);
    gets_again(p, 10001);
    waits(p, RTT);
    ACKS(p, 11001);
    assert_int_equal(counted(p, RULE_TAIL_LOST), 1);
    assert_true(info_of(p).ssthresh < 20000);
    assert_int_equal(info_of(p).rto_fired, 0);
}

/* ... unless the peer says that it had it. */
static void a_probe_that_was_not_needed_is_none(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    ACKS(p, 9001);
    waits(p, ESTAB_MS(300));
    gets_again(p, 9001);
    cwnd = info_of(p).cwnd;
    user_sends(p, 10001, 1000);
    gets_again(p, 10001);
    ACKS(p, 10001);
    SACKS(p, 10001, 9001, 10001);
    ACKS(p, 11001);
    assert_int_equal(counted(p, RULE_DSACK), 1);
    assert_int_equal(counted(p, RULE_TAIL_LOST), 0);
    assert_true(info_of(p).cwnd >= cwnd);
}

/* New text is a better probe than old, and Nagle's algorithm does not hold it. */
static void new_text_probes(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    user_sends(p, 1, 700);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 700));
    user_sends(p, 701, 200);
    gets_nothing(p);
    waits(p, ESTAB_MS(301));
    (void)gets(p, SEG(.flags = ACK, .seq = 701, .ack = 1, .len = 200));
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TAIL_PROBE), 1);
    assert_int_equal(info_of(p).retrans, 0);
    assert_int_equal(info_of(p).rto_fired, 0);
    waits(p, RTT);
    SACKS(p, 1, 701, 901);
    waits(p, RTT);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 700));
    ACKS(p, 901);
    assert_int_equal(info_of(p).rto_fired, 0);
}

/* A FIN is part of the last segment. */
static void a_lost_fin_is_probed(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 3);
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 3001, .ack = 1));
    waits(p, RTT);
    ACKS(p, 2001);
    waits(p, 2 * RTT + ESTAB_MS(1));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 2001, .ack = 1, .len = 1000));
    ACKS(p, 3002);
    assert_state(p, FIN_WAIT_2);
}

/* Without SACK there is no probe: the timer. */
static void without_sack_the_timer_is_waited_for(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = false));
    segments_out(p, 1, 5);
    waits(p, RTT);
    ACKS(p, 3001);
    assert_int_equal(info_of(p).timer, ESTAB_T_REXMT);
    waits(p, ESTAB_MS(301));
    gets_again(p, 3001);
    assert_int_equal(info_of(p).rto_fired, 1);
}

/* ---- what is lost, RFC 8985 section 6.2 ---- */

static void a_lost_retransmission_is_found(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    user_sends(p, 1, 20000);
    for (uint32_t i = 0; i < 10; i++)
        gets_again(p, 1 + 1000 * i);
    waits(p, RTT);
    SACKS(p, 1, 1001, 4001);
    gets_again(p, 1); /* lost as well */
    ignores_all(p);
    SACKS(p, 1, 1001, 10001);
    ignores_all(p);
    waits(p, RTT);
    SACKS(p, 1, 1001, 11001); /* sent after it, and arrived */
    gets_again(p, 1);
    assert_int_equal(info_of(p).rto_fired, 0);
    assert_int_equal(info_of(p).retrans, 2);
}

/* A quarter of a round trip is waited for what has been overtaken. */
/* RFC 8985 section 6.2: each ACK may show a loss, the one that ends a recovery too. */
static void the_last_ack_of_a_recovery_shows_another_loss(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    user_sends(p, 10001, 2000);
    SACKS(p, 1, 1001, 10001);
    gets_again(p, 1);
    gets_again(p, 10001);
    gets_again(p, 11001); /* is lost */
    gets_nothing(p);
    waits(p, RTT);
    SACKS(p, 1, 1001, 11001); /* so is what went again before it */
    gets_again(p, 1);
    gets_nothing(p);
    waits(p, RTT);
    ACKS(p, 11001);
    gets_again(p, 11001);
}

static void what_was_overtaken_is_not_sent_again(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    SACKS(p, 1, 1001, 3001);
    gets_nothing(p);
    assert_int_equal(info_of(p).timer, ESTAB_T_REORDER);
    waits(p, ESTAB_MS(20));
    ACKS(p, 3001);
    waits(p, ESTAB_MS(20));
    gets_nothing(p);
    /* The path reorders: more than three duplicates say no more than one. */
    SACKS(p, 3001, 4001, 9001);
    gets_nothing(p);
    ACKS(p, 10001);
    assert_int_equal(info_of(p).retrans, 0);
    assert_int_equal(counted(p, RULE_FAST_RETRANSMIT), 0);
}

/* ... and then it is lost. */
static void what_does_not_come_in_time_is_lost(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    SACKS(p, 1, 1001, 2001);
    waits(p, ESTAB_MS(24));
    gets_nothing(p);
    waits(p, ESTAB_MS(3));
    gets_again(p, 1);
    gets_nothing(p);
    assert_true(info_of(p).recovering);
    assert_int_equal(info_of(p).retrans, 1);
    assert_int_equal(info_of(p).rto_fired, 0);
}

/* ---- what only seemed to be lost ---- */

/* All that went again came twice: the window is what it was, and the path reorders more than was
 * thought. */
static void dsack_gives_the_window_back(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    cwnd = info_of(p).cwnd;
    waits(p, RTT);
    SACKS(p, 1, 1001, 5001);
    gets_again(p, 1);
    assert_true(info_of(p).ssthresh < cwnd);
    ACKS(p, 5001); /* it had only been late */
    waits(p, ESTAB_MS(50));
    ACKS(p, 10001);
    assert_true(info_of(p).cwnd < cwnd);
    SACKS(p, 10001, 1, 1001);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_UNDO_DSACK), 0); /* at rest: nothing is known any more */
    assert_int_equal(info_of(p).flight, 0);
}

static void dsack_in_the_recovery_gives_the_window_back(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd, ssthresh;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    cwnd = info_of(p).cwnd;
    ssthresh = info_of(p).ssthresh;
    waits(p, RTT);
    SACKS(p, 1, 1001, 5001);
    gets_again(p, 1);
    ACKS(p, 5001);
    assert_true(info_of(p).ssthresh < cwnd);
    SACKS(p, 5001, 1, 1001);
    assert_int_equal(counted(p, RULE_DSACK), 1);
    assert_int_equal(counted(p, RULE_UNDO_DSACK), 1);
    assert_true(info_of(p).cwnd >= cwnd);
    assert_int_equal(info_of(p).ssthresh, ssthresh);
    assert_false(info_of(p).recovering);
}

/* RFC 2883 section 4.2: the D-SACK lies in the block behind it. */
static void a_dsack_in_a_block(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    SACKS2(p, 1, 2001, 3001, 1001, 4001);
    assert_int_equal(counted(p, RULE_DSACK), 1);
    assert_int_equal(info_of(p).sacked, 3000);
    SACKS2(p, 1, 2001, 3001, 1001, 11001); /* beyond what was sent */
    assert_int_equal(counted(p, RULE_DSACK), 1);
}

/* RFC 3522: the echo is of what was sent before it was sent again. */
static void an_old_echo_undoes_a_timeout(void **state)
{
    struct peer *p = *state;
    uint32_t cwnd, first;

    connects(p, SEG(.sack_ok = true, .ts = true));
    user_sends(p, 1, 10000);
    first = got(p)->ts_val;
    ignores_all(p);
    cwnd = info_of(p).cwnd;
    waits(p, ESTAB_S(1)); /* a probe, and the timer */
    ignores_all(p);
    assert_int_equal(info_of(p).rto_fired, 1);
    assert_true(info_of(p).cwnd < cwnd);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 989, .ts_ecr = first));
    assert_int_equal(counted(p, RULE_UNDO_TIMESTAMP), 1);
    assert_true(info_of(p).cwnd >= cwnd);
    assert_false(info_of(p).timed_out);
    gets_nothing(p); /* what was not sent again is late as well */
}

static void to_the_timeout(struct peer *p, bool sack)
{
    connects(p, SEG(.sack_ok = sack));
    user_sends(p, 1, 20000);
    ignores_all(p);
    waits(p, sack ? ESTAB_MS(700) : ESTAB_MS(310));
    ignores_all(p);
    assert_int_equal(info_of(p).rto_fired, 1);
}

/* RFC 5682: the first ACK lets new text go, and the second is of what was sent once. */
static void frto_finds_a_timeout_for_nothing(void **state)
{
    struct peer *p = *state;

    to_the_timeout(p, false);
    ACKS(p, 1001);
    gets_again(p, 10001);
    gets_again(p, 11001);
    gets_nothing(p);
    ACKS(p, 2001);
    assert_int_equal(counted(p, RULE_UNDO_FRTO), 1);
    assert_int_equal(info_of(p).retrans, 1);
    assert_true(info_of(p).cwnd >= 10000);
    assert_false(info_of(p).timed_out);
}

static void frto_finds_a_loss(void **state)
{
    struct peer *p = *state;

    to_the_timeout(p, false);
    ACKS(p, 1001);
    gets_again(p, 10001);
    gets_again(p, 11001);
    ACKS(p, 1001);
    gets_again(p, 1001);
    assert_int_equal(counted(p, RULE_UNDO_FRTO), 0);
    assert_true(info_of(p).timed_out);
}

/* Step 2 (b): who may not send new text, for the window has room for a piece of a segment only,
 * does not wait for that. */
static void frto_without_room_for_a_segment_recovers(void **state)
{
    struct peer *p = *state;

    to_the_timeout(p, false);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1001, .wnd = 9050));
    gets_again(p, 1001);
    gets_again(p, 2001);
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_UNDO_FRTO), 0);
}

/* Section 3: a report of what was sent once says as much. */
static void frto_by_sack(void **state)
{
    struct peer *p = *state;

    to_the_timeout(p, true);
    SACKS(p, 1, 1001, 2001);
    assert_int_equal(counted(p, RULE_UNDO_FRTO), 1);
}

/* ... unless it was reported before the timeout, which all reports are forgotten at: an ACK that
 * repeats an old one says nothing of the rest.  Else each segment that is lost would wait for a
 * timeout of its own. */
static void a_report_from_before_the_timeout_is_no_news(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, 2 * RTT + ESTAB_MS(1));
    gets_again(p, 9001);
    waits(p, RTT / 2); /* of the first copy, it may be: nothing is known to be lost */
    SACKS(p, 1, 9001, 10001);
    gets_nothing(p);
    waits(p, ESTAB_MS(300));
    gets_again(p, 1);
    gets_nothing(p);
    waits(p, RTT);
    SACKS(p, 1001, 9001, 10001);
    assert_int_equal(counted(p, RULE_UNDO_FRTO), 0);
    assert_int_equal(info_of(p).sacked, 1000);
    gets_again(p, 1001);
    gets_again(p, 2001);
    waits(p, RTT);
    SACKS(p, 3001, 9001, 10001);
    for (uint32_t i = 3; i < 6; i++)
        gets_again(p, 1000 * i + 1);
    waits(p, RTT);
    SACKS(p, 6001, 9001, 10001);
    for (uint32_t i = 6; i < 9; i++)
        gets_again(p, 1000 * i + 1);
    gets_nothing(p);
    waits(p, RTT);
    ACKS(p, 10001);
    assert_int_equal(info_of(p).flight, 0);
    assert_int_equal(info_of(p).rto_fired, 1);
}

/* RFC 2018 section 8: what was reported is thrown away; an ACK that ends before it shows it. */
static void a_peer_that_reneges(void **state)
{
    struct peer *p = *state;

    connects(p, SEG(.sack_ok = true));
    segments_out(p, 1, 10);
    waits(p, RTT);
    SACKS(p, 1, 1001, 10001);
    gets_again(p, 1);
    waits(p, RTT);
    ACKS(p, 1001);
    assert_int_equal(counted(p, RULE_SACK_RENEGED), 1);
    assert_int_equal(info_of(p).sacked, 0);
    for (uint32_t acked = 1001; acked < 10001;) {
        waits(p, RTT);
        assert_true(has_got(p));
        while (has_got(p)) {
            const struct pkt *k = got(p);

            if (k->seq == acked)
                acked += k->len;
        }
        ACKS(p, acked);
    }
    assert_int_equal(info_of(p).rto_fired, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_lost_tail_is_probed_before_the_timer),
        PEER_TEST(a_tail_is_probed_no_sooner_than_in_ten_milliseconds),
        PEER_TEST(a_reported_probe_counts_with_an_old_echo),
        PEER_TEST(a_lost_probe_is_not_followed_by_another),
        PEER_TEST(a_probe_that_repairs_is_a_loss),
        PEER_TEST(a_probe_that_was_not_needed_is_none),
        PEER_TEST(new_text_probes),
        PEER_TEST(a_lost_fin_is_probed),
        PEER_TEST(without_sack_the_timer_is_waited_for),
        PEER_TEST(a_lost_retransmission_is_found),
        PEER_TEST(the_last_ack_of_a_recovery_shows_another_loss),
        PEER_TEST(what_was_overtaken_is_not_sent_again),
        PEER_TEST(what_does_not_come_in_time_is_lost),
        PEER_TEST(dsack_gives_the_window_back),
        PEER_TEST(dsack_in_the_recovery_gives_the_window_back),
        PEER_TEST(a_dsack_in_a_block),
        PEER_TEST(an_old_echo_undoes_a_timeout),
        PEER_TEST(frto_finds_a_timeout_for_nothing),
        PEER_TEST(frto_finds_a_loss),
        PEER_TEST(frto_without_room_for_a_segment_recovers),
        PEER_TEST(frto_by_sack),
        PEER_TEST(a_report_from_before_the_timeout_is_no_news),
        PEER_TEST(a_peer_that_reneges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

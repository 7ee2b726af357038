/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_text_test.c - text that arrives: reassembly, what is acknowledged and when, SACK blocks,
 * timestamps and PAWS. */
#include "unit/peer.h"

/* A new connection acknowledges at once for a while (tcp_text.c), ... */
static uint32_t past_quick_acks(struct peer *p)
{
    uint32_t at = 1;

    for (; at < 1 + 16 * 10; at += 10)
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 10, .ts_val = 500));
    ignores_all(p);
    return at;
}

/* ... and what fills segments for longer; these tests are about after. */
static uint32_t past_the_beginning(struct peer *p)
{
    uint32_t at = past_quick_acks(p);

    for (; at <= 1 + (256 << 10) + 1448; at += 1448)
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1448, .ts_val = 500));
    ignores_all(p);
    return at;
}

static const struct pkt *sent_back(struct peer *p, uint32_t ack)
{
    return gets(p, SEG(.flags = ACK, .seq = 1, .ack = ack));
}

/* ---- when ---- */

/* RFC 9293 section 3.8.6.3: [MUST-40] within 0.5 s, here 40 ms, ... [SHLD-18, RFC1122-4.2.3.2-1] */
static void a_lone_segment_is_acknowledged_after_a_while(void **state)
{
    struct peer *p = *state;
    uint32_t at;
    estab_time came;

    user_connects_with(p, SEG(.mss = 1460));
    at = past_the_beginning(p);
    came = p->v.now;
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1460));
    gets_nothing(p);
    waits(p, ESTAB_MS(39));
    gets_nothing(p);
    waits(p, ESTAB_MS(2));
    assert_in_range(sent_back(p, at + 1460)->at - came, ESTAB_MS(40), ESTAB_MS(41));
}

/* ... [SHLD-19] every second full-sized segment at once, ... */
static void every_second_segment_is_acknowledged_at_once(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460));
    at = past_the_beginning(p);
    for (int i = 0; i < 10; i++) {
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1460));
        gets_nothing(p);
        sends(p, SEG(.flags = ACK, .seq = at + 1460, .ack = 1, .len = 1460));
        at += 2920;
        (void)sent_back(p, at);
        gets_nothing(p);
    }
}

/* ... and every one while the peer is in slow start: RFC 5681 section 4.2 allows it.  What is
 * smaller may be a message, whose answer takes the ACK along. */
static void every_full_segment_is_acknowledged_at_the_beginning(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460, .ts = true, .ts_val = 500));
    at = past_quick_acks(p);
    for (int i = 0; i < 100; i++) {
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1448, .ts_val = 500));
        at += 1448;
        (void)sent_back(p, at);
    }
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1000, .ts_val = 500));
    gets_nothing(p);
    waits(p, ESTAB_MS(41));
    (void)sent_back(p, at + 1000);
}

/* A peer whose window counts segments, as the kernel's does, stands still when so many small ones
 * are out: they are acknowledged as large ones are. */
static void every_second_small_segment_is_acknowledged_at_once(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460));
    at = past_the_beginning(p);
    for (int i = 0; i < 10; i++) {
        sends(p, SEG(.flags = ACK | PSH, .seq = at, .ack = 1, .len = 1));
        gets_nothing(p);
        sends(p, SEG(.flags = ACK | PSH, .seq = at + 1, .ack = 1, .len = 1));
        at += 2;
        (void)sent_back(p, at);
        gets_nothing(p);
    }
}

/* ... and text that we send takes it along. */
static void an_acknowledgment_rides_on_text(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460));
    at = past_the_beginning(p);
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 100));
    user_sends(p, 1, 10);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = at + 100, .len = 10));
    sends(p, SEG(.flags = ACK, .seq = at + 100, .ack = 11));
    waits(p, ESTAB_S(1));
    gets_nothing(p);
}

static void quickack_delays_none(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460));
    at = past_the_beginning(p);
    user_sets(p, ESTAB_O_QUICKACK, 1);
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1));
    (void)sent_back(p, at + 1);
}

/* A batch costs one acknowledgment. [MUST-58, MUST-59, RFC1122-4.2.2.20-1] */
static void a_batch_is_acknowledged_once(void **state)
{
    struct peer *p = *state;
    const struct pkt *batch[] = {
        SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1000),
        SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000),
        SEG(.flags = ACK, .seq = 2001, .ack = 1, .len = 1000),
        SEG(.flags = ACK, .seq = 3001, .ack = 1, .len = 1000),
    };

    user_connects_with(p, SEG(.mss = 1460));
    sends_all(p, batch, 4);
    (void)sent_back(p, 4001);
    gets_nothing(p);
    user_hears(p, 1, 4000);
}

/* ---- out of order ---- */

/* RFC 5681 section 4.2: each segment behind a gap is answered at once, and what fills the gap too.
 [SHLD-31, MAY-13, RFC5681-4.2-1, RFC5681-4.2-2] */
static void a_gap_is_answered_segment_by_segment(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460));
    at = past_the_beginning(p);
    user_hears(p, 1, at - 1);
    for (uint32_t i = 1; i < 4; i++) {
        sends(p, SEG(.flags = ACK, .seq = at + 100 * i, .ack = 1, .len = 100));
        (void)sent_back(p, at);
        gets_nothing(p);
    }
    assert_int_equal(info_of(p).unread, 0);
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 100));
    (void)sent_back(p, at + 400);
    user_hears(p, at, 400);
}

/* ... also when they come at once: the sender counts them. */
static void a_batch_behind_a_gap_is_answered_segment_by_segment(void **state)
{
    struct peer *p = *state;
    const struct pkt *batch[] = {
        SEG(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000),
        SEG(.flags = ACK, .seq = 2001, .ack = 1, .len = 1000),
        SEG(.flags = ACK, .seq = 3001, .ack = 1, .len = 1000),
    };

    user_connects_with(p, SEG(.mss = 1460));
    sends_all(p, batch, 3);
    for (int i = 0; i < 3; i++)
        (void)sent_back(p, 1);
    gets_nothing(p);
}

/* Octets that came first stay (K4). */
static void overlapping_text_counts_once(void **state)
{
    struct peer *p = *state;
    char buf[16] = {0};

    user_connects_with(p, SEG(.mss = 1460));
    sends(p, SEG(.flags = ACK, .seq = 4, .ack = 1, .text = "DEF"));
    sends(p, SEG(.flags = ACK, .seq = 9, .ack = 1, .text = "IJ"));
    sends(p, SEG(.flags = ACK, .seq = 3, .ack = 1, .text = "cdefghij"));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .text = "AB"));
    assert_int_equal(user_reads(p, buf, sizeof buf), 10);
    assert_string_equal(buf, "ABcDEFghIJ");
}

static void repeated_text_is_acknowledged_and_dropped(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    (void)sent_back(p, 101);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    (void)sent_back(p, 101);
    sends(p, SEG(.flags = ACK, .seq = 51, .ack = 1, .len = 100));
    (void)sent_back(p, 151);
    user_hears(p, 1, 150);
}

/* A FIN that overtakes text waits for its turn, with text of its own or without. */
static void a_fin_behind_a_gap_waits_for_its_turn(void **state)
{
    struct peer *p = *state;
    char byte;

    for (uint32_t own = 0; own < 2; own++) {
        peer_restarts(p);
        user_connects_with(p, SEG(.mss = 1460));
        sends(p, SEG(.flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50 * own));
        (void)sent_back(p, 1);
        assert_state(p, ESTABLISHED);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
        (void)sent_back(p, 102 + 50 * own);
        assert_state(p, CLOSE_WAIT);
        user_hears(p, 1, 100 + 50 * own);
        assert_int_equal(user_reads(p, &byte, 1), 0);
    }
}

/* Text may come with the peer's SYN,ACK (RFC 9293 section 3.10.7.3, fourth). */
static void text_with_a_synack_is_taken(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000, .len = 10));
    (void)sent_back(p, 11);
    user_hears(p, 1, 10);
}

/* ... or with its SYN: kept or sent again, but not lost (a half-open entry keeps none). */
static void text_with_a_syn_is_not_lost(void **state)
{
    struct peer *p = *state;

    user_listens(p, 1);
    sends(p, SEG(.flags = SYN, .mss = 1000, .len = 10));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    user_accepts(p);
    user_hears(p, 1, 10);
}

/* ---- SACK blocks (RFC 2018 section 4, RFC 2883) ---- */

static void assert_sack(const struct pkt *k, const struct range *want, uint8_t n)
{
    assert_int_equal(k->nsack, n);
    for (uint8_t i = 0; i < n; i++) {
        assert_int_equal(k->sack[i].lo.n, want[i].lo.n);
        assert_int_equal(k->sack[i].hi.n, want[i].hi.n);
    }
}
#define ASSERT_SACK(k, ...)                                                                        \
    assert_sack(k, (const struct range[]){__VA_ARGS__},                                            \
                sizeof((const struct range[]){__VA_ARGS__}) / sizeof(struct range))

static void what_lies_behind_a_gap_is_reported_latest_first(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 1), {{101}, {201}});
    sends(p, SEG(.flags = ACK, .seq = 301, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 1), {{301}, {401}}, {{101}, {201}});
    sends(p, SEG(.flags = ACK, .seq = 501, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 1), {{501}, {601}}, {{301}, {401}}, {{101}, {201}});
    sends(p, SEG(.flags = ACK, .seq = 201, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 1), {{101}, {401}}, {{501}, {601}});
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 401), {{501}, {601}});
    sends(p, SEG(.flags = ACK, .seq = 401, .ack = 1, .len = 100));
    assert_int_equal(sent_back(p, 601)->nsack, 0);
}

/* RFC 2018 section 4: in the order in which they were reported last, however many are older. */
static void four_blocks_are_the_latest_four(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    for (uint32_t at = 101; at <= 501; at += 200)
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 100));
    sends(p, SEG(.flags = FIN | ACK, .seq = 701, .ack = 1, .len = 100));
    for (uint32_t at = 101; at <= 501; at += 200)
        (void)sent_back(p, 1);
    ASSERT_SACK(sent_back(p, 1), {{701}, {802}}, {{501}, {601}}, {{301}, {401}}, {{101}, {201}});
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    for (uint32_t at = 101; at <= 701; at += 200)
        sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 100));
    for (uint32_t at = 101; at <= 501; at += 200)
        (void)sent_back(p, 1);
    ASSERT_SACK(sent_back(p, 1), {{701}, {801}}, {{501}, {601}}, {{301}, {401}}, {{101}, {201}});
    sends(p, SEG(.flags = ACK, .seq = 901, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 1), {{901}, {1001}}, {{701}, {801}}, {{501}, {601}}, {{101}, {201}});
}

/* A FIN by itself is a segment like others, and its block the first (RFC 2018 section 4). */
static void a_fin_that_came_last_is_reported_first(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100));
    (void)sent_back(p, 1);
    sends(p, SEG(.flags = FIN | ACK, .seq = 301, .ack = 1));
    ASSERT_SACK(sent_back(p, 1), {{301}, {302}}, {{101}, {201}});
}

/* Where no FIN is, there is none at number 0 either: a peer would take it for text that came. */
static void a_block_may_end_at_any_number(void **state)
{
    struct peer *p = *state;
    uint32_t zero = 0 - p->isn;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    sends(p, SEG(.flags = ACK, .seq = zero - 100, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 1), {{zero - 100}, {zero}});
}

/* A queue that overflows in slow start takes every second segment. */
static void every_second_segment_of_a_window_is_kept(void **state)
{
    struct peer *p = *state;
    const uint32_t n = 400;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    for (uint32_t i = 1; i < n; i += 2) {
        sends(p, SEG(.flags = ACK, .seq = 1 + 100 * i, .ack = 1, .len = 100));
        (void)sent_back(p, 1);
    }
    for (uint32_t i = 0; i < n; i += 2) {
        sends(p, SEG(.flags = ACK, .seq = 1 + 100 * i, .ack = 1, .len = 100));
        (void)sent_back(p, 1 + 100 * (i + 2));
    }
    assert_int_equal(counted(p, RULE_TEXT_GAPS), 0);
}

static void what_came_twice_is_reported_first(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    (void)sent_back(p, 101);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 101), {{1}, {101}});
    sends(p, SEG(.flags = ACK, .seq = 201, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 101), {{201}, {301}});
    sends(p, SEG(.flags = ACK, .seq = 201, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 101), {{201}, {301}}, {{201}, {301}});
    sends(p, SEG(.flags = ACK, .seq = 401, .ack = 1, .len = 100));
    ASSERT_SACK(sent_back(p, 101), {{401}, {501}}, {{201}, {301}});
    sends(p, SEG(.flags = ACK, .seq = 221, .ack = 1, .len = 50));
    ASSERT_SACK(sent_back(p, 101), {{221}, {271}}, {{201}, {301}}, {{401}, {501}});
}

/* Beside timestamps there is room for three, beside text for what the segment has left. */
static void blocks_are_no_more_than_fit(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_connects_with(p, SEG(.mss = 1000, .sack_ok = true, .ts = true));
    for (uint32_t i = 0; i < 5; i++)
        sends(p, SEG(.flags = ACK, .seq = 101 + 200 * i, .ack = 1, .len = 100));
    for (uint32_t i = 0; i < 5; i++)
        k = sent_back(p, 1);
    assert_int_equal(k->nsack, 3);
    user_sends(p, 1, 988 + 900);
    k = gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 988));
    assert_int_equal(k->nsack, 0);
    k = gets(p, SEG(.flags = ACK, .seq = 989, .ack = 1, .len = 900));
    assert_true(k->size <= 40 + 1000);
}

static void without_agreement_there_are_no_blocks(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    sends(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100));
    assert_int_equal(sent_back(p, 1)->nsack, 0);
}

/* ---- timestamps (RFC 7323) ---- */

/* Section 4.3: the echo is that of the earliest segment not yet acknowledged, and never that of one
 * behind a gap. [RFC7323-4.3-1, RFC7323-3.2-1] */
static void the_echo_is_of_the_segment_that_moved_the_edge(void **state)
{
    struct peer *p = *state;
    uint32_t at;

    user_connects_with(p, SEG(.mss = 1460, .ts = true, .ts_val = 500));
    at = past_the_beginning(p);
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 1448, .ts_val = 510));
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = at + 1448, .ack = 1, .len = 1448, .ts_val = 520));
    at += 2896;
    assert_int_equal(sent_back(p, at)->ts_ecr, 510);
    sends(p, SEG(.flags = ACK, .seq = at + 100, .ack = 1, .len = 100, .ts_val = 530));
    assert_int_equal(sent_back(p, at)->ts_ecr, 510);
    sends(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 100, .ts_val = 540));
    assert_int_equal(sent_back(p, at + 200)->ts_ecr, 540);
}

/* Section 5.3: text from an earlier time is dropped, and answered. [RFC7323-5.3-1] */
static void text_from_the_past_is_dropped(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .ts = true, .ts_val = 500));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10, .ts_val = 600));
    (void)sent_back(p, 11);
    sends(p, SEG(.flags = ACK, .seq = 11, .ack = 1, .len = 10, .ts_val = 599));
    (void)sent_back(p, 11);
    assert_int_equal(counted(p, RULE_PAWS), 1);
    sends(p, SEG(.flags = ACK, .seq = 11, .ack = 1, .len = 10, .ts_val = 600));
    (void)sent_back(p, 21);
    user_hears(p, 1, 20);
}

/* Section 3.2: once agreed upon, a segment without one is dropped; but not an RST (section 5.2).
 * [RFC7323-3.2-2, RFC7323-5.2-1] */
static void a_missing_timestamp_drops_all_but_rst(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .ts = true));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10, .no_ts = true));
    gets_nothing(p);
    assert_int_equal(counted(p, RULE_TS_MISSING), 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    (void)sent_back(p, 11);
    sends(p, SEG(.flags = RST, .seq = 11, .no_ts = true));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    user_hears(p, 1, 10);
    assert_int_equal(user_reads(p, p->frame, 1), ESTAB_E_RESET);
    assert_int_equal(user_reads(p, p->frame, 1), 0); /* told once */
}

/* Section 5.5: after 24 days of silence the remembered time means nothing. [RFC7323-5.5-1] */
static void an_outdated_timestamp_means_nothing(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .ts = true, .ts_val = 0x90000000));
    waits(p, ESTAB_S(25u * 86400u));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10, .ts_val = 0x80000000));
    (void)sent_back(p, 11);
    assert_int_equal(counted(p, RULE_PAWS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_lone_segment_is_acknowledged_after_a_while),
        PEER_TEST(every_second_segment_is_acknowledged_at_once),
        PEER_TEST(every_full_segment_is_acknowledged_at_the_beginning),
        PEER_TEST(every_second_small_segment_is_acknowledged_at_once),
        PEER_TEST(an_acknowledgment_rides_on_text),
        PEER_TEST(quickack_delays_none),
        PEER_TEST(a_batch_is_acknowledged_once),
        PEER_TEST(a_gap_is_answered_segment_by_segment),
        PEER_TEST(a_batch_behind_a_gap_is_answered_segment_by_segment),
        PEER_TEST(overlapping_text_counts_once),
        PEER_TEST(repeated_text_is_acknowledged_and_dropped),
        PEER_TEST(a_fin_behind_a_gap_waits_for_its_turn),
        PEER_TEST(text_with_a_synack_is_taken),
        PEER_TEST(text_with_a_syn_is_not_lost),
        PEER_TEST(what_lies_behind_a_gap_is_reported_latest_first),
        PEER_TEST(four_blocks_are_the_latest_four),
        PEER_TEST(a_fin_that_came_last_is_reported_first),
        PEER_TEST(a_block_may_end_at_any_number),
        PEER_TEST(every_second_segment_of_a_window_is_kept),
        PEER_TEST(what_came_twice_is_reported_first),
        PEER_TEST(blocks_are_no_more_than_fit),
        PEER_TEST(without_agreement_there_are_no_blocks),
        PEER_TEST(the_echo_is_of_the_segment_that_moved_the_edge),
        PEER_TEST(text_from_the_past_is_dropped),
        PEER_TEST(a_missing_timestamp_drops_all_but_rst),
        PEER_TEST(an_outdated_timestamp_means_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

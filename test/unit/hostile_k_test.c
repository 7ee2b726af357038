/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_k_test.c - SACK blocks that cannot be, floods of text out of order, text that says two
 * things: what made other stacks' queues slow, full or wrong.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

static struct tcb *tcb_of_peer(const struct peer *p)
{
    return slab_find(&p->h->s->tcp.tcbs, (uint32_t)p->k, (uint32_t)(p->k >> 32));
}

/* ---- K1: blocks with left >= right, beyond SND.NXT, below SND.UNA, overlapping, wrapping; four
 * and a D-SACK; others in every ACK; SACK where it was not agreed; reneging; blocks below the new
 * ACK
 * ---- */

/* A bare ACK of una with blocks given from una on. */
static uint32_t ack_with_blocks(const struct peer *p, uint32_t ack, const uint32_t (*b)[2],
                                size_t n)
{
    uint8_t opts[40] = {1, 1, 5, (uint8_t)(2 + 8 * n)};
    size_t len = 4 + 8 * n;

    for (size_t i = 0; i < n; i++) {
        be32_put(opts + 4 + 8 * i, p->una + b[i][0]);
        be32_put(opts + 8 + 8 * i, p->una + b[i][1]);
    }
    if (p->ts) {
        memmove(opts + 12, opts, len);
        put_ts(opts, p->ts_val, p->ts_ecr);
        len += 12;
    }
    return send_seg(p, (struct sg){.flags = SEG_ACK,
                                   .seq = p->seq,
                                   .ack = ack,
                                   .wnd = 60000,
                                   .opts = opts,
                                   .opts_len = len});
}

#define FLIGHT 10000u

/* 10000 octets are in flight. */
static void open_and_fill(struct peer *p, bool sack)
{
    static const uint8_t agreed[] = {2, 4, 0x05, 0xb4, 4, 2, 0, 0};
    static uint8_t text[FLIGHT];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    open_passive_with(p, agreed, sack ? sizeof agreed : 4);
    user_sends(p, text, sizeof text);
    drain(p->h);
    p->ack += FLIGHT;
    assert_int_equal(info_of(p).flight, FLIGHT);
}

/* The peer has all of it after all. */
static void assert_recovers(struct peer *p)
{
    say(p, SEG_ACK, NULL, 0);
    p->una = p->ack;
    assert_int_equal(info_of(p).flight, 0);
    assert_null(tcb_of_peer(p)->w);
    assert_alive(p);
}

static void k1_impossible_blocks(void **state)
{
    static const uint32_t blocks[][2] = {
        {3000, 3000},                    /* empty */
        {4000, 3000},                    /* reversed */
        {5000, FLIGHT + 1},              /* beyond SND.NXT */
        {FLIGHT, FLIGHT + 1460},         /* ... altogether */
        {(uint32_t)-3000, (uint32_t)-1}, /* below SND.UNA */
        {(uint32_t)-3000, 3000},         /* across it */
        {0, 3000},                       /* what would have been acknowledged */
        {1, 0x80000001},                 /* half the numbers there are */
        {0x80000000, 0x80001000},        /* on the other side */
        {0x80000000, 0x80000000 + 2 * FLIGHT},
        {0xffffffff, 0xfffffffe},
        {1000, 0xffffffff},
    };
    struct peer p = stranger(*state, 5000);

    open_and_fill(&p, true);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        uint64_t memory = p.h->te.live;

        mark(p.h);
        ack_with_blocks(&p, p.una, &blocks[i], 1);
        assert_int_equal(counted(p.h, RULE_SACK_INVALID), 1);
        assert_int_equal(tcb_of_peer(&p)->w->sent.sacked, 0);
        assert_int_equal(p.h->te.live, memory);
    }
    assert_recovers(&p);
}

static void k1_overlapping_blocks_and_dsack(void **state)
{
    static const uint32_t blocks[4][2] = {
        {(uint32_t)-1460, 0}, {2000, 4000}, {3000, 6000}, {3500, 3600}};
    struct peer p = stranger(*state, 5001);

    open_and_fill(&p, true);
    mark(p.h);
    ack_with_blocks(&p, p.una, blocks, 4);
    assert_int_equal(counted(p.h, RULE_SACK_INVALID), 1); /* the D-SACK tells nothing new */
    assert_int_equal(tcb_of_peer(&p)->w->sent.sacked, 4000);
    assert_recovers(&p);
}

static void k1_other_blocks_in_every_ack(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 5002);
    uint64_t memory;
    uint32_t sent = 0;

    open_and_fill(&p, true);
    ack_with_blocks(&p, p.una, (const uint32_t[][2]){{2, 3}}, 1);
    memory = h->te.live;
    for (int i = 0; i < 5000; i++) {
        uint32_t b[4][2];

        for (int j = 0; j < 4; j++) {
            b[j][0] = test_rand_below(&h->te, 3 * FLIGHT) - FLIGHT;
            b[j][1] = b[j][0] + test_rand_below(&h->te, 4);
        }
        sent += ack_with_blocks(&p, p.una, (const uint32_t(*)[2])b, 4);
        assert_in_range(h->te.live, memory, memory + 2 * SENT_MAX * sizeof(struct run));
    }
    assert_in_range(sent, 0, 1000); /* recovery, not a flood: a fifth of a segment for each ACK */
    assert_recovers(&p);
}

static void k1_sack_that_was_not_agreed(void **state)
{
    struct peer p = stranger(*state, 5003);

    open_and_fill(&p, false);
    ack_with_blocks(&p, p.una, (const uint32_t[][2]){{1460, 5000}}, 1);
    assert_int_equal(tcb_of_peer(&p)->w->sent.sacked, 0);
    assert_recovers(&p);
}

/* RFC 2018 section 8: what was reported may be thrown away again; all is sent until it is
 * acknowledged. */
static void k1_reneging(void **state)
{
    struct peer p = stranger(*state, 5004);
    uint32_t acked, end;

    open_and_fill(&p, true);
    for (int i = 0; i < 3; i++)
        ack_with_blocks(&p, p.una, (const uint32_t[][2]){{1460, FLIGHT}}, 1);
    elapse(p.h, ESTAB_S(2)); /* and nothing came of it */
    assert_int_equal(tcb_of_peer(&p)->w->sent.sacked, 0);
    end = p.ack;
    p.ack = acked = p.una;
    for (int i = 0; i < 100 && p.ack != end; i++) {
        elapse(p.h, ESTAB_S(1));
        for (uint32_t j = 0; j < p.h->nanswers; j++) {
            struct answer *a = &p.h->answers[j];

            if (a->g.seq.n == acked)
                acked += a->g.text.len;
        }
        p.ack = acked;
        say(&p, SEG_ACK, NULL, 0);
    }
    assert_int_equal(p.ack, end);
    p.una = p.ack;
    assert_alive(&p);
}

static void k1_blocks_below_the_new_ack(void **state)
{
    struct peer p = stranger(*state, 5005);

    open_and_fill(&p, true);
    ack_with_blocks(&p, p.una, (const uint32_t[][2]){{1460, 4000}}, 1); /* no loss yet */
    mark(p.h);
    ack_with_blocks(&p, p.una + FLIGHT, (const uint32_t[][2]){{1460, 9000}, {2, 5}}, 2);
    assert_int_equal(counted(p.h, RULE_DSACK), 1); /* the first says that it came twice */
    assert_int_equal(counted(p.h, RULE_SACK_INVALID), 1);
    assert_int_equal(info_of(&p).flight, 0);
    assert_recovers(&p);
}

/* ---- K2: reports of every second octet, so that what is in flight falls into as many pieces as
 * can be: the records are bounded, and so is what an ACK costs ---- */

static void k2_every_second_octet_is_reported(void **state)
{
    struct peer p = stranger(*state, 5006);
    const struct sent *s;
    uint64_t before = p.h->te.live;
    uint32_t sent = 0, most = 0, acks = 0;

    open_and_fill(&p, true);
    s = &tcb_of_peer(&p)->w->sent;
    for (int round = 0; round < 4; round++) {
        for (uint32_t at = 1; at + 8 < FLIGHT; at += 8) {
            uint32_t b[4][2];

            for (uint32_t j = 0; j < 4; j++) { /* from behind, from the front, from both */
                uint32_t lo =
                    round == 0 || (round == 2 && j % 2) ? FLIGHT - at - 2 * j - 1 : at + 2 * j;

                b[j][0] = lo;
                b[j][1] = lo + 1;
            }
            sent += ack_with_blocks(&p, p.una, (const uint32_t(*)[2])b, 4);
            sent_check(s);
            most = s->n > most ? s->n : most;
            acks++;
        }
    }
    print_message("K2: %u ACKs with 4 blocks: at most %u records, %u segments again\n", acks, most,
                  sent);
    assert_in_range(most, 4, SENT_MAX);
    assert_true(p.h->te.live - before < 8 * FLIGHT);
    assert_true(sent < acks);
    assert_recovers(&p);
}

/* Reports of `n` times four octets that lie by themselves, from `at` on.  By its name: bench/acks
 * counts the instructions in estab_input() meanwhile. */
__attribute__((noinline)) uint32_t k2_measured_acks(const struct peer *p, uint32_t at, uint32_t n);
uint32_t k2_measured_acks(const struct peer *p, uint32_t at, uint32_t n)
{
    uint32_t sent = 0;

    for (; n > 0; n--, at += 8) {
        const uint32_t b[4][2] = {
            {at, at + 1}, {at + 2, at + 3}, {at + 4, at + 5}, {at + 6, at + 7}};

        sent += ack_with_blocks(p, p->una, b, 4);
    }
    return sent;
}

/* The lines "K2: N ACKs at R records" are for bench/acks, too. */
static void k2_ever_more_records(void **state)
{
    enum { STEP = 16 };
    struct peer p = stranger(*state, 5007);
    const struct sent *s;
    uint32_t at = 1, sent = 0, acks = 0, had;

    open_and_fill(&p, true);
    s = &tcb_of_peer(&p)->w->sent;
    do {
        had = s->n;
        sent += k2_measured_acks(&p, at, STEP);
        assert_in_range(s->n, 1, had + STEP * 8);
        print_message("K2: %u ACKs at %u records\n", (unsigned)STEP, (had + s->n) / 2);
        at += 8 * STEP;
        acks += STEP;
    } while (s->n != had && at + 8 * STEP < FLIGHT);
    assert_in_range(s->n, SENT_MAX / 2, SENT_MAX);
    print_message("K2: %u ACKs, %u segments again\n", acks, sent);
    assert_true(sent <= 4 * acks); /* an octet behind each block, at most */
    assert_recovers(&p);
}

/* ---- K3: one octet at every second place of a window of 1 MiB, then all of them again ---- */

static uint32_t text_at(const struct peer *p, uint32_t off, const void *text, size_t len)
{
    return send_seg(p, (struct sg){.flags = SEG_ACK,
                                   .seq = p->seq + off,
                                   .ack = p->ack,
                                   .wnd = 60000,
                                   .text = text,
                                   .len = len});
}

static void k3_every_second_octet(void **state)
{
    const uint32_t window = 1u << 20;
    const uint8_t scaled[] = {3, 3, 7, 0};
    struct estab_config cfg;
    struct host *h;
    struct peer p;
    uint64_t before, answers = 0;
    uint8_t buf[16];

    (void)state;
    estab_config_init(&cfg);
    cfg.rcvbuf = cfg.rcvbuf_init = window;
    h = host_with(&cfg);
    p = stranger(h, 5010);
    open_passive_with(&p, scaled, sizeof scaled);
    text_at(&p, 0, "a", 1); /* the window opens beyond what a SYN can say */
    p.seq++;
    assert_int_equal(user_reads(&p, buf, sizeof buf), 1);
    drain(h);
    before = h->te.live;
    mark(h);
    for (uint32_t off = 1; off < window; off += 2)
        answers += text_at(&p, off, "x", 1);
    for (uint32_t off = 1; off < 2 * TCP_AHEAD_MAX; off += 2)
        answers += text_at(&p, off, "x", 1);
    assert_int_equal(counted(h, RULE_TEXT_AHEAD), TCP_AHEAD_MAX);
    assert_int_equal(counted(h, RULE_TEXT_DUPLICATE), TCP_AHEAD_MAX);
    assert_int_equal(counted(h, RULE_TEXT_GAPS), window / 2 - TCP_AHEAD_MAX);
    assert_in_range(answers, 0, window / 2 + TCP_AHEAD_MAX); /* a duplicate ACK for each, no more */
    assert_true(h->te.live - before < window + 65536);
    /* what was refused comes again, in order, and is taken */
    for (uint32_t off = 0; off < 1000; off++)
        text_at(&p, off, "y", 1);
    assert_int_equal(info_of(&p).unread, 1000);
    host_end(h);
}

/* The memory that a peer can make a connection take is its receive buffer's, whatever the pieces.
 */
static void k3_an_octet_in_every_chunk(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p;
    uint64_t before;

    (void)state;
    estab_config_init(&cfg);
    cfg.rcvbuf = 60000;
    h = host_with(&cfg);
    p = stranger(h, 5011);
    open_passive(&p);
    before = h->te.live;
    for (uint32_t off = 59999; off > 59; off -= 59)
        text_at(&p, off, "x", 1);
    assert_true(h->te.live - before < 60000 + 65536);
    host_end(h);
}

/* ---- K4: overlapping segments that disagree: what came first stays; text beyond the window is cut
 * off; numbers that wrap ---- */

static void k4_the_first_copy_stays(void **state)
{
    struct host *h = *state;
    uint8_t letters[26][200], want[200], got[200];
    bool have[200];

    for (size_t i = 0; i < 26; i++)
        memset(letters[i], (int)('a' + i), sizeof letters[i]);
    for (uint16_t round = 0; round < 200; round++) {
        struct peer p = stranger(h, (uint16_t)(5100 + round));
        uint32_t nxt = 0;

        if (round % 2)
            p.seq = UINT32_MAX - round; /* the numbers wrap on the way */
        open_passive(&p);
        memset(have, 0, sizeof have);
        for (size_t i = 0; i < 25; i++) {
            uint32_t lo = test_rand_below(&h->te, 190), n = 1 + test_rand_below(&h->te, 10);

            text_at(&p, lo, letters[i], n);
            for (uint32_t j = lo; j < lo + n; j++) {
                if (!have[j])
                    want[j] = (uint8_t)('a' + i);
                have[j] = true;
            }
            while (nxt < 200 && have[nxt])
                nxt++;
            assert_int_equal(info_of(&p).unread, nxt);
        }
        text_at(&p, 0, letters[25], 200);
        for (size_t j = 0; j < 200; j++)
            want[j] = have[j] ? want[j] : 'z';
        assert_int_equal(user_reads(&p, got, 200), 200);
        assert_memory_equal(got, want, 200);
        p.seq += 200;
        assert_alive(&p);
        estab_abort(h->s, p.k);
        drain(h);
    }
}

/* In order up to where the next range begins, over a whole range in between. */
static void k4_text_over_a_range_up_to_the_next(void **state)
{
    struct peer p = stranger(*state, 5301);
    char got[64];

    open_passive(&p);
    text_at(&p, 4, "ef", 2);
    text_at(&p, 10, "kl", 2);
    text_at(&p, 0, "abcdefghij", 10);
    p.seq += 12;
    assert_acked(&p);
    assert_int_equal(user_reads(&p, got, sizeof got), 12);
    assert_memory_equal(got, "abcdefghijkl", 12);
    assert_alive(&p);
}

static void k4_text_beyond_the_window(void **state)
{
    static uint8_t text[8000];
    struct estab_config cfg;
    struct host *h;
    struct peer p;

    (void)state;
    estab_config_init(&cfg);
    cfg.rcvbuf = 4096;
    h = host_with(&cfg);
    p = stranger(h, 5302);
    open_passive(&p);
    mark(h);
    text_at(&p, 4000, text, 1000);
    assert_int_equal(counted(h, RULE_TEXT_TRIMMED), 1);
    text_at(&p, 4096, text, 1);
    assert_int_equal(counted(h, RULE_UNACCEPTABLE), 1);
    text_at(&p, 0, text, 8000);
    assert_int_equal(counted(h, RULE_TEXT_TRIMMED), 2);
    assert_int_equal(info_of(&p).unread, 4096);
    assert_int_equal(info_of(&p).rcv_wnd, 0);
    host_end(h);
}

/* Text behind the FIN is nobody's: it goes, and with it everything the connection was at work with.
 */
static void k4_text_beyond_the_fin(void **state)
{
    struct peer p = stranger(*state, 5303);
    char got[64];

    open_passive(&p);
    text_at(&p, 5, "garbage", 7);
    say(&p, SEG_ACK | SEG_FIN, "text", 4);
    assert_acked(&p);
    assert_int_equal(state_of(&p), ESTAB_CLOSE_WAIT);
    assert_int_equal(user_reads(&p, got, sizeof got), 4);
    assert_null(tcb_of_peer(&p)->w);
}

static void k4_fin_before_its_text(void **state)
{
    struct peer p = stranger(*state, 5304);
    char got[64];

    open_passive(&p);
    send_seg(&p,
             (struct sg){.flags = SEG_ACK | SEG_FIN, .seq = p.seq + 4, .ack = p.ack, .wnd = 60000});
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    say(&p, SEG_ACK, "text", 4);
    p.seq++;
    assert_acked(&p);
    assert_int_equal(state_of(&p), ESTAB_CLOSE_WAIT);
    assert_int_equal(user_reads(&p, got, sizeof got), 4);
    assert_null(tcb_of_peer(&p)->w);
}

/* ---- K5: an ACK of what was not sent; an ACK divided into many; two ends out of step that answer
 * each other ---- */

static void k5_optimistic_acks(void **state)
{
    struct peer p = stranger(*state, 5400);
    struct estab_tcp_info before, now;

    open_and_fill(&p, true);
    before = info_of(&p);
    mark(p.h);
    for (uint32_t ahead = 1; ahead; ahead <<= 1)
        send_seg(&p,
                 (struct sg){.flags = SEG_ACK, .seq = p.seq, .ack = p.ack + ahead, .wnd = 60000});
    assert_int_equal(counted(p.h, RULE_ACK_UNSENT), 32);
    now = info_of(&p);
    assert_int_equal(now.cwnd, before.cwnd);
    assert_int_equal(now.flight, before.flight);
    assert_int_equal(now.rto, before.rto);
    assert_recovers(&p);
}

/* RFC 3465: what opens the congestion window is octets, however many ACKs they come in. */
static void k5_divided_acks(void **state)
{
    struct peer p = stranger(*state, 5401), q = stranger(*state, 5402);
    uint32_t before, grown;

    open_and_fill(&p, false);
    before = info_of(&p).cwnd;
    for (uint32_t i = 1; i <= 1460; i++)
        send_seg(&p, (struct sg){.flags = SEG_ACK, .seq = p.seq, .ack = p.una + i, .wnd = 60000});
    grown = info_of(&p).cwnd - before;
    assert_in_range(grown, 0, 1460);
    assert_recovers(&p);

    open_and_fill(&q, false); /* the same octets in one ACK open it as far */
    send_seg(&q, (struct sg){.flags = SEG_ACK, .seq = q.seq, .ack = q.una + 1460, .wnd = 60000});
    assert_int_equal(info_of(&q).cwnd - before, grown);
    assert_recovers(&q);
}

/* The peer answers every ACK with one whose number is no good here, a millisecond later. */
static void k5_ends_out_of_step_fall_silent(void **state)
{
    static const enum estab_tcp_state states[] = {ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_2,
                                                  ESTAB_CLOSE_WAIT,  ESTAB_LAST_ACK,
                                                  ESTAB_CLOSING,     ESTAB_TIME_WAIT};

    for (uint16_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct peer p = stranger(*state, (uint16_t)(5410 + i));
        uint32_t answers = 0;

        bring_to(&p, states[i]);
        for (int ms = 0; ms < 10000; ms++) {
            answers += send_seg(
                &p, (struct sg){.flags = SEG_ACK, .seq = p.seq - 5000, .ack = p.ack, .wnd = 1000});
            answers += elapse(p.h, ESTAB_MS(1));
        }
        assert_in_range(answers, 0, 80); /* of 10000 */
    }
}

/* The name of a test: that one alone. */
int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        hostile_test(k1_impossible_blocks),
        hostile_test(k1_overlapping_blocks_and_dsack),
        hostile_test(k1_other_blocks_in_every_ack),
        hostile_test(k1_sack_that_was_not_agreed),
        hostile_test(k1_reneging),
        hostile_test(k1_blocks_below_the_new_ack),
        hostile_test(k2_ever_more_records),
        hostile_test(k2_every_second_octet_is_reported),
        cmocka_unit_test(k3_every_second_octet),
        cmocka_unit_test(k3_an_octet_in_every_chunk),
        hostile_test(k4_the_first_copy_stays),
        hostile_test(k4_text_over_a_range_up_to_the_next),
        cmocka_unit_test(k4_text_beyond_the_window),
        hostile_test(k4_text_beyond_the_fin),
        hostile_test(k4_fin_before_its_text),
        hostile_test(k5_optimistic_acks),
        hostile_test(k5_divided_acks),
        hostile_test(k5_ends_out_of_step_fall_silent),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

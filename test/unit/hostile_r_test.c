/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_r_test.c - who would have all of the memory, all of the answers or all of the time.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

static struct peer anybody(struct host *h)
{
    struct peer p = stranger(h, (uint16_t)(1 + test_rand_below(&h->te, 65535)));

    p.ip.b[12] = 11; /* off the link: not a neighbour of ours, and not our broadcast */
    p.ip.b[13] = (uint8_t)test_rand(&h->te);
    p.ip.b[14] = (uint8_t)test_rand(&h->te);
    p.ip.b[15] = (uint8_t)(1 + test_rand_below(&h->te, 250));
    p.seq = (uint32_t)test_rand(&h->te);
    return p;
}
static struct host *routed_host(const struct estab_config *cfg, uint32_t backlog)
{
    struct host *h = host_with(cfg);
    uint8_t any[16] = {[10] = 0xff, [11] = 0xff};

    assert_int_equal(estab_route_add(h->s, TUN, any, 96, NULL), 0);
    assert_int_equal(estab_listen(h->s, h->listener, backlog), 0);
    return h;
}
static uint32_t syn_from(const struct peer *p)
{
    return send_seg(p, (struct sg){.flags = SEG_SYN, .seq = p->seq, .wnd = 1000});
}
static struct estab_stack_info info_all(const struct host *h)
{
    struct estab_stack_info i = {.size = sizeof i};

    estab_stack_info(h->s, &i);
    return i;
}

/* ---- R1: a SYN flood from 100000 sources: bounded memory, no buffer before ESTABLISHED, an honest
 * client still connects, and in the end the listener is free ---- */

static void r1_syn_flood(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p;
    uint64_t before;

    (void)state;
    estab_config_init(&cfg);
    cfg.max_synq = 500;
    h = routed_host(&cfg, 200);
    before = h->te.live;
    for (uint32_t i = 0; i < 100000; i++) {
        p = anybody(h);
        assert_in_range(syn_from(&p), 0, 1);
        h->te.now += ESTAB_US(10);
        if (i % 10000 == 5000) {
            p = stranger(h, (uint16_t)(7000 + i / 10000));
            open_passive(&p);
            assert_alive(&p);
        }
    }
    assert_in_range(info_all(h).synq, 1, 500);
    assert_int_equal(info_all(h).conns, 10);
    assert_true(h->te.live - before < 300000); /* entries, ten connections, spare pieces */
    elapse(h, ESTAB_S(300));
    assert_int_equal(info_all(h).synq, 0);
    p = stranger(h, 7100);
    mark(h);
    open_passive(&p);
    assert_only(h, RULE_LISTEN_SYN, 1);
    host_end(h);
}

/* Whoever sends SYNs only has no queue, no tcb and no ring of ours. */
static void r1_half_open_connections_have_no_buffers(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7200);
    struct footprint before;

    open_half(&p, NULL, 0); /* the first takes the table with it */
    before = footprint_of(h);
    for (uint16_t i = 1; i < 100; i++) {
        p = stranger(h, (uint16_t)(7200 + i));
        open_half(&p, NULL, 0);
    }
    assert_int_equal(info_all(h).synq, before.all.synq + 99);
    assert_true(info_all(h).mem_used - before.all.mem_used < 99 * 16); /* the index grows */
}

/* ---- R2: connections against a full backlog; the last ACK lost; the accept queue full, then
 * drained ---- */

static void r2_backlog_full_then_drained(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p[4], late;
    estab_sock k;

    (void)state;
    estab_config_init(&cfg);
    h = routed_host(&cfg, 4);
    for (uint16_t i = 0; i < 4; i++) {
        p[i] = stranger(h, (uint16_t)(7300 + i));
        open_half(&p[i], NULL, 0);
        say(&p[i], SEG_ACK, NULL, 0);
        say(&p[i], SEG_ACK | SEG_PSH, "hello", 5);
    }
    late = stranger(h, 7310);
    mark(h);
    for (int i = 0; i < 100; i++)
        assert_int_equal(syn_from(&late), 0); /* in silence: it will come again */
    assert_only(h, RULE_BACKLOG_FULL, 100);
    for (uint16_t i = 0; i < 4; i++) { /* and who was there has lost nothing */
        char buf[8];

        assert_int_equal(estab_accept(h->s, h->listener, &p[i].k, NULL), 0);
        assert_int_equal(user_reads(&p[i], buf, sizeof buf), 5);
        assert_alive(&p[i]);
    }
    assert_int_equal(estab_accept(h->s, h->listener, &k, NULL), ESTAB_E_AGAIN);
    open_passive(&late);
    assert_alive(&late);
    host_end(h);
}

static void r2_last_ack_lost(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7320);

    open_half(&p, NULL, 0);
    assert_int_equal(elapse(h, ESTAB_S(1) + ESTAB_MS(1)), 1);
    assert_answer(&p, SEG_SYN | SEG_ACK);
    assert_int_equal(h->answers[0].g.seq.n, p.irs); /* the same one */
    say(&p, SEG_ACK | SEG_PSH, "ping", 4);          /* the ACK comes with the text */
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(info_of(&p).unread, 4);
}

/* ---- R6: reflection: how often a forged source hears of one packet of ours ---- */

static void r6_answers_to_one_forged_syn(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7400);
    uint32_t n;

    n = syn_from(&p);
    n += elapse(h, ESTAB_S(600));
    assert_in_range(n, 2, 6); /* as set: once and five times again */
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

/* A SYN answered to whom it did not come from is reset there: silence at once. */
static void r6_reset_of_a_forged_opening(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7401);

    open_half(&p, NULL, 0);
    assert_int_equal(send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq}), 0);
    assert_int_equal(elapse(h, ESTAB_S(600)), 0);
}

/* Resets to forged sources are fewer than what they answer; an RST is never answered. */
static void r6_resets_are_limited_and_never_answered(void **state)
{
    struct host *h = *state;
    uint32_t n = 0;

    mark(h);
    for (uint32_t i = 0; i < 100000; i++) {
        struct peer p = stranger(h, (uint16_t)(1 + i % 65535));

        p.lport = 81;
        n += send_seg(&p, (struct sg){.flags = i % 2 ? SEG_SYN : SEG_ACK, .seq = i, .ack = i});
    }
    assert_int_equal(counted(h, RULE_CLOSED_ANSWER), 100000);
    assert_int_equal(counted(h, RULE_RST_RATE), 100000 - n);
    assert_in_range(n, 100, 50000);
    for (uint32_t i = 0; i < 1000; i++) {
        struct peer p = stranger(h, (uint16_t)(1 + i));

        p.lport = 81;
        assert_int_equal(send_seg(&p, (struct sg){.flags = SEG_RST, .seq = i}), 0);
    }
}

/* Challenges and ACKs of one connection, however many segments ask for them. */
static void r6_challenges_are_limited(void **state)
{
    struct peer p = stranger(*state, 7402);
    uint32_t n = 0;

    open_passive(&p);
    for (int i = 0; i < 10000; i++)
        n += send_seg(
            &p, (struct sg){.flags = i % 2 ? SEG_SYN : SEG_RST, .seq = p.seq + 5, .wnd = 1000});
    assert_in_range(n, 1, 10);
    assert_alive(&p);
}

/* ---- R7: what comes in does not keep what goes out, nor a timer; a malformed packet does not end
 * its batch ---- */

static void r7_a_batch_with_garbage_in_it(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7500);
    struct estab_frame f[33];
    static struct packet k[33];
    char buf[64];

    open_passive(&p);
    for (size_t i = 0; i < 33; i++) {
        if (i % 3 == 1) {
            memset(k[i].b, (int)i, i);
            k[i].len = i;
        } else {
            packet_seg(&k[i], &p,
                       (struct sg){.flags = SEG_ACK,
                                   .seq = p.seq,
                                   .ack = p.ack,
                                   .wnd = 1000,
                                   .text = "x",
                                   .len = 1});
            p.seq++;
        }
        f[i] = frame_of(h, &k[i]);
    }
    assert_int_equal(estab_input(h->s, TUN, f, 33), 0);
    for (size_t i = 0; i < 33; i++)
        frame_free(&f[i]);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 22);
    drain(h);
    assert_alive(&p);
}

/* A flood on one connection; another one's text leaves, and its timer fires. */
static void r7_input_does_not_starve_output_and_timers(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7501), q = stranger(h, 7502);
    uint32_t copies = 0;

    open_passive(&p);
    open_passive(&q);
    user_sends(&q, "text", 4);
    for (int i = 0; i < 30000; i++) { /* 3 s of 10000 a second */
        send_seg(
            &p,
            (struct sg){
                .flags = SEG_ACK, .seq = p.seq, .ack = p.ack, .wnd = 1000, .text = "x", .len = 1});
        p.seq++;
        h->te.now += ESTAB_US(100);
        estab_expire(h->s);
        for (uint32_t j = 0; j < h->nanswers; j++)
            copies += h->answers[j].g.dport == q.pport && h->answers[j].g.text.len == 4;
    }
    assert_in_range(copies, 3, 10); /* once, and again as the timer backs off */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r1_syn_flood),
        hostile_test(r1_half_open_connections_have_no_buffers),
        cmocka_unit_test(r2_backlog_full_then_drained),
        hostile_test(r2_last_ack_lost),
        hostile_test(r6_answers_to_one_forged_syn),
        hostile_test(r6_reset_of_a_forged_opening),
        hostile_test(r6_resets_are_limited_and_never_answered),
        hostile_test(r6_challenges_are_limited),
        hostile_test(r7_a_batch_with_garbage_in_it),
        hostile_test(r7_input_does_not_starve_output_and_timers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_w_test.c - the end of connections: TIME-WAIT and what comes after it, and handles,
 * frames and stacks that end while something else still uses them.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

/* ---- W1: the last ACK lost once, twice, five times: the FIN comes again, the ACK is repeated, 2
 * MSL begin anew; never an RST ---- */

static void lose_last_ack(struct host *h, uint16_t pport, int times)
{
    const estab_dur msl2 = ESTAB_S(60);
    struct peer p = stranger(h, pport);

    bring_to(&p, ESTAB_TIME_WAIT);
    for (int i = 0; i < times; i++) {
        assert_int_equal(elapse(h, msl2 - ESTAB_S(1)), 0);
        assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
        p.seq--;
        mark(h);
        say(&p, SEG_FIN | SEG_ACK, NULL, 0);
        assert_acked(&p);
        assert_only(h, RULE_TIME_WAIT_FIN, 1);
    }
    elapse(h, msl2 - ESTAB_S(1));
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    elapse(h, ESTAB_S(2));
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

static void w1_last_ack_lost(void **state)
{
    lose_last_ack(*state, 8001, 1);
    lose_last_ack(*state, 8002, 2);
    lose_last_ack(*state, 8003, 5);
}

/* Only the peer's own FIN does that: who does not know its number, or leaves the ACK out, does not
 * keep a port busy for ever. */
static void w1_what_does_not_restart_2msl(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8004);

    bring_to(&p, ESTAB_TIME_WAIT);
    for (int i = 0; i < 59; i++) {
        elapse(h, ESTAB_S(1));
        send_seg(&p, (struct sg){.flags = SEG_FIN | SEG_ACK, .seq = p.seq, .ack = p.ack});
        send_seg(&p, (struct sg){.flags = SEG_FIN | SEG_ACK, .seq = p.seq - 2, .ack = p.ack});
        send_seg(&p, (struct sg){.flags = SEG_FIN, .seq = p.seq - 1});
        send_seg(&p,
                 (struct sg){.flags = SEG_FIN | SEG_SYN | SEG_ACK, .seq = p.seq - 2, .ack = p.ack});
        send_seg(&p, (struct sg){.flags = SEG_ACK, .seq = p.seq, .ack = p.ack, .wnd = 1000});
        send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq - 1000, .wnd = 1000});
        assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    }
    elapse(h, ESTAB_S(2));
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

/* ---- W3: a SYN in TIME-WAIT: older: ACK; newer number or newer timestamp: a new incarnation; an
 * RST is ignored; the ACK of an old SYN makes its sender reset, and try again ---- */

static void open_again(struct peer *p, const uint8_t *opts, size_t opts_len)
{
    uint32_t last = p->ack;

    open_half(p, opts, opts_len);
    assert_true((int32_t)(p->irs - last) > 100000); /* RFC 6191: beyond what may be under way */
    say(p, SEG_ACK, NULL, 0);
    p->una = p->ack;
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
    assert_alive(p);
}

static void w3_older_syn(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8010);

    bring_to(&p, ESTAB_TIME_WAIT);
    for (uint32_t back = 1; back; back <<= 3) {
        elapse(h, ESTAB_S(2));
        mark(h);
        send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq - back, .wnd = 1000});
        assert_acked(&p);
        assert_only(h, RULE_BLIND_SYN, 1);
        assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    }
}

static void w3_newer_syn(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8011);

    bring_to(&p, ESTAB_TIME_WAIT);
    p.seq += 1;
    mark(h);
    open_again(&p, NULL, 0);
    assert_int_equal(counted(h, RULE_TIME_WAIT_SYN), 1);
}

static void close_first(struct peer *p)
{
    user_shuts(p);
    say(p, SEG_ACK, NULL, 0);
    p->una = p->ack;
    peer_shuts(p);
    assert_int_equal(state_of(p), ESTAB_TIME_WAIT);
}

/* The number is older, the timestamp newer: the timestamp decides. */
static void w3_newer_timestamp(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8012);
    uint8_t opts[12];

    open_modern(&p);
    close_first(&p);
    put_ts(opts, p.ts_val - 1, 0);
    send_seg(
        &p,
        (struct sg){
            .flags = SEG_SYN, .seq = p.seq + 100000, .wnd = 1000, .opts = opts, .opts_len = 12});
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT); /* and not the number */
    p.seq -= 1000000;
    p.ts_val++;
    put_ts(opts, p.ts_val, 0);
    open_again(&p, opts, 12);
}

/* The client that reuses its port with an older number is answered with an ACK, which it resets;
 * that ends nothing, and its next SYN, of another number, comes through. */
static void w3_ack_then_reset_then_syn(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8013);
    uint32_t old;

    bring_to(&p, ESTAB_TIME_WAIT);
    old = p.seq - 500000;
    send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = old, .wnd = 1000});
    assert_acked(&p);
    mark(h);
    assert_int_equal(send_seg(&p, (struct sg){.flags = SEG_RST, .seq = h->answers[0].g.ack.n}), 0);
    assert_only(h, RULE_TIME_WAIT_RST, 1);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    p.seq += 70000;
    open_again(&p, NULL, 0);
}

/* What is left of the old incarnation does nothing to the new one. */
static void w3_old_duplicates_in_the_new_incarnation(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8014), old;
    char buf[16];

    bring_to(&p, ESTAB_TIME_WAIT);
    old = p;
    p.seq += 100000;
    open_again(&p, NULL, 0);
    for (uint32_t back = 0; back < 40; back++) {
        send_seg(&old, (struct sg){.flags = SEG_ACK,
                                   .seq = old.seq - back,
                                   .ack = old.ack,
                                   .wnd = 1,
                                   .text = "old text",
                                   .len = 8});
        send_seg(&old,
                 (struct sg){.flags = SEG_ACK | SEG_FIN, .seq = old.seq - back, .ack = old.ack});
        send_seg(&old, (struct sg){.flags = SEG_RST, .seq = old.seq - back});
        send_seg(&old, (struct sg){.flags = SEG_SYN, .seq = old.seq - back, .wnd = 1});
    }
    assert_int_equal(user_reads(&p, buf, sizeof buf), 0);
    assert_alive(&p);
}

/* ---- L1: close, abort, free in every state; frames that are lent while their connection ends;
 * accept() of a connection that was reset; a listener closed with connections of both queues ----
 */

static void l1_close_and_abort_in_every_state(void **state)
{
    struct host *h = *state;

    for (int st = ESTAB_SYN_SENT; st < ESTAB_TCP_STATES; st++)
        for (int how = 0; how < 4; how++) {
            struct peer p = stranger(h, (uint16_t)(8100 + st * 4 + how));

            bring_to(&p, (enum estab_tcp_state)st);
            if (how & 2 && p.k)
                say(&p, SEG_ACK, "unread", 6);
            if (p.k && how & 1)
                estab_abort(h->s, p.k);
            else if (p.k)
                estab_close(h->s, p.k);
            drain(h);
            if (how & 1) /* the peer hears of it, and resets in turn */
                say(&p, SEG_RST, NULL, 0);
            say(&p, SEG_ACK | SEG_FIN, "late", 4);
            while (estab_accept(h->s, h->listener, &p.k, NULL) == 0)
                estab_close(h->s, p.k);
            drain(h);
            elapse(h, ESTAB_S(1));
        }
    estab_close(h->s, h->listener);
    elapse(h, ESTAB_S(2000));
    assert_int_equal(footprint_of(h).all.conns, 1); /* the witness */
    assert_int_equal(footprint_of(h).all.synq, 0);
    assert_int_equal(footprint_of(h).all.timewait, 0);
}

/* host_end() counts what was allocated. */
static void l1_stack_freed_in_every_state(void **state)
{
    (void)state;
    for (int with_text = 0; with_text < 2; with_text++) {
        struct host *h = host_with(NULL);

        for (int st = ESTAB_SYN_SENT; st < ESTAB_TCP_STATES; st++) {
            struct peer p = stranger(h, (uint16_t)(8200 + st));

            bring_to(&p, (enum estab_tcp_state)st);
            if (!with_text || !p.k)
                continue;
            say(&p, SEG_ACK, "unread", 6);
            p.seq += 100;
            say(&p, SEG_ACK, "ahead", 5);
            (void)estab_send(h->s, p.k, &(struct estab_iov){(void *)(uintptr_t) "unsent", 6}, 1, 0);
            drain(h);
        }
        host_end(h);
    }
}

/* What estab_output() lent is there until the next call, whatever the last frame of it did. */
static void l1_frames_lent_while_their_connection_ends(void **state)
{
    static uint8_t text[4000];
    struct host *h = *state;
    struct peer p = stranger(h, 8300), q = stranger(h, 8301);
    struct estab_frame f[8];
    uint32_t found = 0;
    int n;

    memset(text, 't', sizeof text);
    open_passive(&p);
    open_passive(&q);
    user_sends(&p, text, sizeof text);
    estab_abort(h->s, q.k);
    n = estab_output(h->s, TUN, f, 8);
    assert_in_range(n, 8, 8);
    for (int i = 0; i < n; i++)
        for (uint32_t j = 1; j < f[i].niov; j++) {
            assert_memory_equal(f[i].iov[j].base, text, f[i].iov[j].len);
            found += (uint32_t)f[i].iov[j].len;
        }
    assert_in_range(found, 2000, sizeof text);
    say(&p, SEG_RST, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

static void l1_accept_of_a_connection_that_was_reset(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 8302);
    char buf[16];
    struct estab_iov v = {buf, sizeof buf};

    open_half(&p, NULL, 0);
    say(&p, SEG_ACK, NULL, 0);
    say(&p, SEG_ACK, "bye", 3);
    say(&p, SEG_RST, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(estab_recv(h->s, p.k, &v, 1, 0), 3); /* what came before, then why no more */
    assert_int_equal(estab_recv(h->s, p.k, &v, 1, 0), ESTAB_E_RESET);
    assert_int_equal(estab_close(h->s, p.k), 0);
    assert_int_equal(estab_close(h->s, p.k), ESTAB_E_BADF);
}

static void l1_listener_closed_with_both_queues(void **state)
{
    struct host *h = *state;
    struct peer waits = stranger(h, 8310), half = stranger(h, 8311), gone = stranger(h, 8312);

    open_half(&waits, NULL, 0);
    say(&waits, SEG_ACK, NULL, 0);
    open_half(&half, NULL, 0);
    open_half(&gone, NULL, 0);
    say(&gone, SEG_ACK, NULL, 0);
    say(&gone, SEG_RST, NULL, 0);
    estab_close(h->s, h->listener);
    assert_int_equal(drain(h), 1); /* who had been promised a connection is told */
    assert_answer(&waits, SEG_RST | SEG_ACK);
    assert_int_equal(footprint_of(h).all.synq, 0);
    assert_int_equal(say(&half, SEG_ACK, NULL, 0), 1); /* who had not is told when he asks */
    assert_answer(&half, SEG_RST);
    assert_int_equal(elapse(h, ESTAB_S(600)), 0);
    assert_int_equal(footprint_of(h).all.conns, 1);
    /* the port is free at once, and another listener's are another's */
    host_listens(h, 4);
    open_passive(&gone);
    assert_alive(&gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(w1_last_ack_lost),
        hostile_test(w1_what_does_not_restart_2msl),
        hostile_test(w3_older_syn),
        hostile_test(w3_newer_syn),
        hostile_test(w3_newer_timestamp),
        hostile_test(w3_ack_then_reset_then_syn),
        hostile_test(w3_old_duplicates_in_the_new_incarnation),
        hostile_test(l1_close_and_abort_in_every_state),
        cmocka_unit_test(l1_stack_freed_in_every_state),
        hostile_test(l1_frames_lent_while_their_connection_ends),
        hostile_test(l1_accept_of_a_connection_that_was_reset),
        hostile_test(l1_listener_closed_with_both_queues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

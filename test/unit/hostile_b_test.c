/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_b_test.c - what somebody can do to a connection whose segments he does not see: resets,
 * SYNs, text and ACKs at guessed numbers; ports that can be foretold.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

/* ---- B1: an RST sweep: exact it resets, inside the window it is challenged, outside it is
 * nothing; its own window field says nothing; in SYN-SENT it needs the ACK; in TIME-WAIT it is
 * ignored ---- */

static void b1_reset_sweep(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 6000);
    const uint32_t wnd = 65535, step = 10007;
    uint32_t challenged = 0, inside = 0;

    open_passive(&p);
    mark(h);
    for (uint32_t off = 1; off < UINT32_MAX - step; off += step) {
        inside += off < wnd;
        challenged += send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq + off});
    }
    assert_int_equal(counted(h, RULE_BLIND_RST), inside);
    assert_int_equal(counted(h, RULE_RST_OUTSIDE), (UINT32_MAX - step - 2) / step + 1 - inside);
    assert_int_equal(counted(h, RULE_RST_ACCEPTED), 0);
    assert_in_range(challenged, 1, 10); /* no measure of anything, and no flood */
    assert_alive(&p);
    send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq});
    assert_int_equal(counted(h, RULE_RST_ACCEPTED), 1);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

static void b1_the_window_of_the_reset_itself(void **state)
{
    static const uint16_t windows[] = {0, 1, 1000, 32768, 65535};
    struct peer p = stranger(*state, 6001);

    open_passive(&p);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        mark(p.h);
        send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq + 7, .wnd = windows[i]});
        assert_int_equal(counted(p.h, RULE_BLIND_RST), 1);
        send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq - 7, .wnd = windows[i]});
        assert_int_equal(counted(p.h, RULE_RST_OUTSIDE), 1);
    }
    assert_alive(&p);
}

/* Text in front of RCV.NXT does not make a reset exact, however much there is. */
static void b1_reset_with_text(void **state)
{
    static uint8_t text[1400];
    struct peer p = stranger(*state, 6002);

    open_passive(&p);
    for (uint32_t back = 1; back <= sizeof text; back += 99)
        send_seg(&p, (struct sg){
                         .flags = SEG_RST, .seq = p.seq - back, .text = text, .len = sizeof text});
    assert_alive(&p);
}

static void b1_reset_in_syn_sent(void **state)
{
    struct peer p = stranger(*state, 6003);
    struct estab_iov none = {0};

    user_connects(&p, p.pport);
    mark(p.h);
    for (uint32_t off = 1; off; off <<= 1) { /* with every number but the right one */
        send_seg(&p, (struct sg){.flags = SEG_RST | SEG_ACK, .ack = p.ack + off});
        send_seg(&p, (struct sg){.flags = SEG_RST | SEG_ACK, .ack = p.ack - off});
        send_seg(&p, (struct sg){.flags = SEG_RST, .seq = off, .ack = p.ack});
        assert_int_equal(p.h->nanswers, 0);
    }
    assert_int_equal(counted(p.h, RULE_RST_ACCEPTED), 0);
    assert_int_equal(state_of(&p), ESTAB_SYN_SENT);
    send_seg(&p, (struct sg){.flags = SEG_RST | SEG_ACK, .ack = p.ack});
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
    assert_int_equal(estab_recv(p.h->s, p.k, &none, 1, 0), ESTAB_E_REFUSED);
}

/* RFC 1337: who could end TIME-WAIT early could have old segments taken for new ones. */
static void b1_reset_in_time_wait(void **state)
{
    struct peer p = stranger(*state, 6004);

    bring_to(&p, ESTAB_TIME_WAIT);
    mark(p.h);
    for (uint32_t off = 0; off < 70000; off += 7)
        assert_int_equal(send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq + off}), 0);
    assert_only(p.h, RULE_TIME_WAIT_RST, 10000);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
}

/* ---- B2: SYN in a synchronized state; text with an old ACK ---- */

static void b2_syn_sweep(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 6010);
    uint32_t challenged = 0, sent = 0;

    open_passive(&p);
    mark(h);
    for (uint32_t off = 0; off < UINT32_MAX - 100003; off += 100003, sent++)
        challenged += send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq + off, .wnd = 1000});
    assert_int_equal(counted(h, RULE_BLIND_SYN), sent);
    assert_int_equal(counted(h, RULE_CHALLENGE_LIMIT), sent - challenged);
    assert_in_range(challenged, 1, 10);
    assert_alive(&p);
}

/* RFC 5961 section 5.2: whoever knows RCV.NXT must still guess an ACK that is at most a window
 * old. */
static void b2_text_with_a_guessed_ack(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 6011);
    const uint32_t step = 9973;
    uint32_t good = 0, unsent = 0, sent = 0;

    open_passive(&p); /* the largest window it has announced: 60000 */
    mark(h);
    for (uint32_t off = 1; off < UINT32_MAX - step; off += step, sent++) {
        send_seg(&p, (struct sg){.flags = SEG_ACK,
                                 .seq = p.seq + 1000,
                                 .ack = p.ack + off,
                                 .wnd = 60000,
                                 .text = "evil",
                                 .len = 4});
        good += 0u - off <= 60000;
        unsent += off <= 0x80000000;
    }
    assert_int_equal(counted(h, RULE_ACK_UNSENT), unsent);
    assert_int_equal(counted(h, RULE_ACK_RANGE), sent - unsent - good);
    assert_in_range(good, 1, 7);
}

/* ---- B5: ephemeral ports are not the next ones, and not those of the last time ---- */

static void ports_of(uint64_t seed, uint16_t *ports, size_t n)
{
    struct estab_addr to = {.port = 80}, local;
    struct host *h = host_seeded(NULL, seed);

    memcpy(to.ip, ip("10.0.0.2").b, 16);
    for (size_t i = 0; i < n; i++) {
        estab_sock k;

        assert_int_equal(estab_socket(h->s, ESTAB_TCP, &k), 0);
        assert_int_equal(estab_connect(h->s, k, &to), ESTAB_E_INPROGRESS);
        assert_int_equal(estab_getaddrs(h->s, k, &local, NULL), 0);
        ports[i] = local.port;
        estab_close(h->s, k);
        drain(h);
    }
    host_end(h);
}

static void b5_ports_cannot_be_foretold(void **state)
{
    uint16_t a[1000], b[1000];
    uint32_t near = 0, same = 0, low = 0;

    (void)state;
    ports_of(1, a, 1000);
    ports_of(2, b, 1000); /* a restart */
    for (size_t i = 0; i < 1000; i++) {
        assert_in_range(a[i], 49152, 65535);
        low += a[i] < 57344;
        same += a[i] == b[i];
        near += i > 0 && (uint16_t)(a[i] - a[i - 1] + 1) < 3;
    }
    assert_in_range(near, 0, 10); /* of 1000; by chance, 1 */
    assert_in_range(same, 0, 10);
    assert_in_range(low, 400, 600);
}

/* ---- B8: forged FIN and ACK in SYN-RECEIVED, SYN,ACK to a listener, guesses at a half-open
 * connection ---- */

static void b8_forged_fin_in_syn_received(void **state)
{
    struct peer p = stranger(*state, 6020);

    open_half(&p, NULL, 0);
    send_seg(&p, (struct sg){.flags = SEG_FIN, .seq = p.seq});
    send_seg(&p, (struct sg){.flags = SEG_FIN | SEG_ACK, .seq = p.seq, .ack = p.ack + 1});
    assert_answer(&p, SEG_RST);
    send_seg(&p, (struct sg){.flags = SEG_FIN | SEG_ACK, .seq = p.seq + 90000, .ack = p.ack});
    assert_int_equal(state_of(&p), ESTAB_SYN_RECEIVED);
    say(&p, SEG_ACK, NULL, 0); /* and the real one still counts */
    assert_int_equal(estab_accept(p.h->s, p.h->listener, &p.k, NULL), 0);
    assert_alive(&p);
}

static void b8_guesses_at_a_half_open_connection(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 6021);
    uint32_t resets = 0;

    open_half(&p, NULL, 0);
    mark(h);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t guess = (uint32_t)test_rand(&h->te);

        if (guess != p.ack)
            send_seg(&p, (struct sg){.flags = SEG_ACK, .seq = p.seq, .ack = guess, .wnd = 1000});
        assert_in_range(h->nanswers, 0, 1); /* a reset with the number guessed tells nothing */
        resets += h->nanswers;
        if (h->nanswers)
            assert_int_equal(h->answers[0].g.seq.n, guess);
    }
    assert_int_equal(counted(h, RULE_SYN_RECEIVED_ACK), 20000);
    assert_int_equal(counted(h, RULE_RST_RATE), 20000 - resets);
    assert_int_equal(state_of(&p), ESTAB_SYN_RECEIVED);
}

static void b8_syn_ack_to_a_listener(void **state)
{
    struct peer p = stranger(*state, 6022);
    uint32_t guess = 12345;

    assert_int_equal(
        hostile_seg(&p,
                    (struct sg){.flags = SEG_SYN | SEG_ACK, .seq = 1, .ack = guess, .wnd = 1000},
                    RULE_LISTEN_ACK),
        1);
    assert_answer(&p, SEG_RST);
    assert_int_equal(p.h->answers[0].g.seq.n, guess);
}

static void b8_bare_acks_to_a_listener(void **state)
{
    struct host *h = *state;

    for (uint16_t i = 0; i < 5000; i++) {
        struct peer p = stranger(h, (uint16_t)(10000 + i));

        assert_int_equal(hostile_seg(&p,
                                     (struct sg){.flags = SEG_ACK,
                                                 .seq = (uint32_t)test_rand(&h->te),
                                                 .ack = (uint32_t)test_rand(&h->te),
                                                 .wnd = 1000},
                                     RULE_LISTEN_ACK),
                         1);
        assert_answer(&p, SEG_RST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(b1_reset_sweep),
        hostile_test(b1_the_window_of_the_reset_itself),
        hostile_test(b1_reset_with_text),
        hostile_test(b1_reset_in_syn_sent),
        hostile_test(b1_reset_in_time_wait),
        hostile_test(b2_syn_sweep),
        hostile_test(b2_text_with_a_guessed_ack),
        cmocka_unit_test(b5_ports_cannot_be_foretold),
        hostile_test(b8_forged_fin_in_syn_received),
        hostile_test(b8_guesses_at_a_half_open_connection),
        hostile_test(b8_syn_ack_to_a_listener),
        hostile_test(b8_bare_acks_to_a_listener),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_r_test.c - floods and starvation: what many segments, or one peer that never lets go, can
 * take from the others.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

static struct estab_stack_info stack_of(struct host *h)
{
    struct estab_stack_info i = {.size = sizeof i};

    estab_stack_info(h->s, &i);
    return i;
}
static struct estab_config defaults(void)
{
    struct estab_config c;

    estab_config_init(&c);
    return c;
}

/* An address and a port that nobody has, from a network that is there. */
static struct peer spoofed(struct host *h)
{
    struct peer p = stranger(h, (uint16_t)(1024 + test_rand_below(&h->te, 60000)));

    if (test_rand_below(&h->te, 2)) {
        p.ip = ip("2001:db8::2");
        p.host_ip = ip("2001:db8::1");
        for (int i = 8; i < 16; i++)
            p.ip.b[i] = (uint8_t)test_rand(&h->te);
    } else {
        p.ip.b[15] = (uint8_t)(2 + test_rand_below(&h->te, 200));
    }
    p.seq = (uint32_t)test_rand(&h->te);
    return p;
}
static uint32_t syn(struct peer *p)
{
    return send_seg(p, (struct sg){.flags = SEG_SYN,
                                   .seq = p->seq,
                                   .wnd = 1000,
                                   .opts = modern,
                                   .opts_len = sizeof modern});
}
/* Comes, talks, and goes. */
static void honest_client(struct host *h, uint16_t pport)
{
    struct peer p = stranger(h, pport);

    p.ip = ip("10.0.0.250");
    p.seq = p.iss = (uint32_t)test_rand(&h->te);
    open_modern(&p);
    assert_alive(&p);
    assert_int_equal(estab_abort(h->s, p.k), 0);
    drain(h);
}

/* ---- R1: a SYN flood, 100,000 a second from random sources: memory is bounded, an honest client
 * still connects, no buffer before ESTABLISHED; half-open connections time out and free the
 * listener ---- */

static void r1_syn_flood(void **state)
{
    enum { N = 100000, BACKLOG = 256 };
    struct host *h = *state;
    size_t before;

    assert_int_equal(estab_listen(h->s, h->listener, BACKLOG), 0);
    honest_client(h, 500);
    before = stack_of(h).mem_used;
    mark(h);
    for (uint32_t i = 0; i < N; i++) {
        struct peer p = spoofed(h);

        assert_in_range(syn(&p), 0, 1);
        elapse(h, ESTAB_US(10));
        if (i % 1000 == 999)
            honest_client(h, (uint16_t)(1000 + i / 1000));
        assert_in_range(stack_of(h).synq, 0, BACKLOG);
    }
    assert_int_equal(counted(h, RULE_COOKIE_ACCEPTED), N / 1000);
    assert_in_range(stack_of(h).mem_used - before, 0, 128 << 10);
    assert_alive(h->witness);

    /* and when it is over, everything is as before */
    elapse(h, ESTAB_S(300));
    assert_int_equal(stack_of(h).synq, 0);
    mark(h);
    honest_client(h, 2000);
    assert_int_equal(counted(h, RULE_LISTEN_SYN), 1);
    assert_int_equal(counted(h, RULE_COOKIE_SENT), 0);
}

/* 48 octets, and its places in slab and index. */
static void r1_what_a_half_open_connection_costs(void **state)
{
    enum { N = 60000 };
    struct estab_config cfg = defaults();
    struct host *h;
    size_t before;
    uint64_t allocs;

    (void)state;
    cfg.max_synq = N;
    h = host_with(&cfg);
    assert_int_equal(estab_listen(h->s, h->listener, N), 0);
    before = stack_of(h).mem_used;
    allocs = h->te.allocs;
    for (uint16_t i = 0; i < N; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        assert_int_equal(syn(&p), 1);
    }
    assert_int_equal(stack_of(h).synq, N);
    assert_in_range((stack_of(h).mem_used - before) / N, 48, 64);
    assert_in_range(h->te.allocs - allocs, 1, N / 100);
    host_end(h);
}

static void r1_half_open_connections_pin_no_port(void **state)
{
    struct host *h = *state;

    for (int i = 0; i < 100; i++) {
        struct peer p = spoofed(h);

        syn(&p);
    }
    assert_int_equal(estab_close(h->s, h->listener), 0);
    assert_int_equal(stack_of(h).synq, 0);
    host_listens(h, 16);
    honest_client(h, 500);
}

/* ---- R2: a flood of connections with the backlog full: silent drop or RST is policy; the final
 * ACK is lost; the accept queue is full, then drained ---- */

static void r2_more_connect_than_are_accepted(void **state)
{
    enum { CLIENTS = 400, BACKLOG = 32 };
    static struct peer p[CLIENTS];
    bool open[CLIENTS] = {false};
    struct host *h = *state;
    uint32_t served = 0, rounds = 0;
    char buf[8];

    assert_int_equal(estab_listen(h->s, h->listener, BACKLOG), 0);
    for (uint16_t i = 0; i < CLIENTS; i++)
        p[i] = stranger(h, (uint16_t)(1000 + i));
    while (served < CLIENTS) {
        assert_in_range(++rounds, 1, CLIENTS);
        /* Everybody who is not connected tries, and says something at once. */
        for (uint16_t i = 0; i < CLIENTS; i++) {
            if (open[i] || syn(&p[i]) == 0)
                continue;
            open[i] = true;
            p[i].seq++;
            p[i].ack = h->answers[0].g.seq.n + 1;
            p[i].ts = true;
            p[i].ts_ecr = h->answers[0].g.opt.ts_val;
            say(&p[i], SEG_ACK, NULL, 0);
            say(&p[i], SEG_ACK | SEG_PSH, "text", 4);
            assert_int_equal(state_of(&p[i]), ESTAB_ESTABLISHED);
        }
        assert_in_range(stack_of(h).conns, 1, 1 + BACKLOG);
        /* The user is slow, and loses nothing of what was acknowledged. */
        for (int i = 0; i < 10; i++) {
            struct peer who = {.h = h};

            if (estab_accept(h->s, h->listener, &who.k, NULL) != 0)
                break;
            assert_int_equal(user_reads(&who, buf, sizeof buf), 4);
            assert_int_equal(estab_abort(h->s, who.k), 0);
            drain(h);
            served++;
        }
    }
}

static void r2_backlog_full_then_drained(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p[4], late;
    estab_sock k;

    (void)state;
    estab_config_init(&cfg);
    h = host_with(&cfg);
    assert_int_equal(estab_listen(h->s, h->listener, 4), 0);
    for (uint16_t i = 0; i < 4; i++) {
        p[i] = stranger(h, (uint16_t)(7300 + i));
        open_half(&p[i], NULL, 0);
        say(&p[i], SEG_ACK, NULL, 0);
        say(&p[i], SEG_ACK | SEG_PSH, "hello", 5);
    }
    late = stranger(h, 7310);
    mark(h);
    for (int i = 0; i < 100; i++)
        assert_int_equal(syn(&late), 0); /* in silence: it will come again */
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

static void r2_or_they_are_refused(void **state)
{
    struct estab_config cfg = defaults();
    struct peer p, q;
    struct host *h;

    (void)state;
    cfg.listen_overflow = ESTAB_OVERFLOW_RST;
    h = host_with(&cfg);
    assert_int_equal(estab_listen(h->s, h->listener, 1), 0);
    p = stranger(h, 1000);
    q = stranger(h, 1001);
    open_half(&p, NULL, 0);
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(syn(&q), 1);
    assert_answer(&q, SEG_RST | SEG_ACK);
    host_end(h);
}

static void r2_the_final_ack_is_lost(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);

    open_half(&p, modern, sizeof modern);
    assert_int_equal(elapse(h, ESTAB_MS(1100)), 1);
    assert_answer(&p, SEG_SYN | SEG_ACK);
    assert_int_equal(the_answer(&p)->g.seq.n, p.irs); /* the same once more */
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_alive(&p);

    open_half(&q, modern, sizeof modern);
    say(&q, SEG_ACK | SEG_PSH, "text", 4);
    assert_int_equal(estab_accept(h->s, h->listener, &q.k, NULL), 0);
    assert_int_equal(state_of(&q), ESTAB_ESTABLISHED);
}

/* ---- R3, CVE-2008-4609: a window of 0 for ever, a window that trickles, text that is never read;
 * FIN-WAIT-1 with a closed window, FIN-WAIT-2 for ever, LAST-ACK and CLOSING without an answer
 * ---- */

/* The peer answers every probe and opens nothing; for as long as it is asked. */
static void holds_shut(struct peer *p, estab_dur d)
{
    estab_time end = p->h->te.now + d;

    while (p->h->te.now < end && state_of(p) != ESTAB_CLOSED) {
        uint32_t n = elapse(p->h, ESTAB_S(1));

        if (n && p->h->answers[0].g.dport == p->pport)
            send_seg(p, (struct sg){.flags = SEG_ACK, .seq = p->seq, .ack = p->una});
    }
}
static void open_shut(struct peer *p)
{
    static uint8_t text[4000];

    open_passive(p);
    send_seg(p, (struct sg){.flags = SEG_ACK, .seq = p->seq, .ack = p->ack});
    user_sends(p, text, sizeof text);
    drain(p->h);
}

static void r3_a_window_that_stays_closed(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);

    open_shut(&p);
    holds_shut(&p, ESTAB_S(3600)); /* [MUST-37]: the user's business */
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_int_equal(estab_close(h->s, p.k), 0);
    assert_int_equal(state_of(&p), ESTAB_FIN_WAIT_1);
    holds_shut(&p, ESTAB_S(1200));
    assert_int_equal(state_of(&p), ESTAB_CLOSED);

    open_shut(&q);
    assert_int_equal(estab_setopt(h->s, q.k, ESTAB_O_USER_TIMEOUT, ESTAB_S(300)), 0);
    holds_shut(&q, ESTAB_S(299));
    assert_int_equal(state_of(&q), ESTAB_ESTABLISHED);
    holds_shut(&q, ESTAB_S(10));
    assert_int_equal(state_of(&q), ESTAB_CLOSED);
    assert_int_equal(estab_close(h->s, q.k), 0);
    assert_int_equal(stack_of(h).conns, 1);
}

/* An octet at a time is progress: what bounds those is how many of them nobody holds. */
static void r3_windows_that_trickle(void **state)
{
    enum { N = 40, MOST = 10 };
    static uint8_t text[20000];
    struct estab_config cfg = defaults();
    static struct peer p[N];
    struct host *h;
    uint32_t alive = 0;

    (void)state;
    cfg.max_orphans = MOST;
    h = host_with(&cfg);
    mark(h);
    for (uint16_t i = 0; i < N; i++) {
        p[i] = stranger(h, (uint16_t)(1000 + i));
        open_passive(&p[i]);
        user_sends(&p[i], text, sizeof text);
        assert_int_equal(estab_close(h->s, p[i].k), 0);
        drain(h);
        assert_in_range(stack_of(h).orphans, 1, MOST);
    }
    assert_int_equal(counted(h, RULE_ORPHANS_FULL), N - MOST);
    for (int second = 0; second < 600; second++) {
        elapse(h, ESTAB_S(1));
        for (uint16_t i = 0; i < N; i++)
            if (state_of(&p[i]) != ESTAB_CLOSED)
                send_seg(
                    &p[i],
                    (struct sg){.flags = SEG_ACK, .seq = p[i].seq, .ack = ++p[i].una, .wnd = 1});
    }
    for (uint16_t i = 0; i < N; i++) {
        bool lives = state_of(&p[i]) != ESTAB_CLOSED;

        alive += lives;
        assert_int_equal(lives, i >= N - MOST); /* the oldest have gone */
    }
    assert_int_equal(alive, MOST);
    honest_client(h, 5000);
    host_end(h);
}

/* Silence, in every state in which nobody holds the connection: it ends, and memory comes back. */
static void r3_silence_after_close(void **state)
{
    static const enum estab_tcp_state in[] = {ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2,
                                              ESTAB_CLOSE_WAIT,  ESTAB_CLOSING,    ESTAB_LAST_ACK};
    struct host *h = *state;
    uint16_t port = 1000;

    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        struct peer p = stranger(h, port++);

        bring_to(&p, in[i]);
        assert_int_equal(estab_close(h->s, p.k), 0);
        drain(h);
        elapse(h, ESTAB_S(600));
        assert_int_equal(state_of(&p), ESTAB_CLOSED);
        assert_int_equal(stack_of(h).conns, 1);
        assert_int_equal(stack_of(h).orphans, 0);
    }
}

/* A peer that acknowledges and acknowledges keeps FIN-WAIT-2 no longer than one that is silent. */
static void r3_fin_wait_2_for_ever(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    bring_to(&p, ESTAB_FIN_WAIT_2);
    assert_int_equal(estab_close(h->s, p.k), 0);
    for (int i = 0; i < 59; i++) {
        elapse(h, ESTAB_S(1));
        say(&p, SEG_ACK, NULL, 0);
    }
    assert_int_equal(state_of(&p), ESTAB_FIN_WAIT_2);
    elapse(h, ESTAB_S(2));
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

/* A thousand at once; the server closes, the attacker does not. */
static void r3_sockstress(void **state)
{
    enum { N = 1000 };
    static struct peer p[N];
    struct host *h = *state;
    size_t most;

    for (uint16_t i = 0; i < N; i++) {
        p[i] = stranger(h, (uint16_t)(1000 + i));
        open_shut(&p[i]);
        assert_int_equal(estab_close(h->s, p[i].k), 0);
    }
    most = stack_of(h).mem_used;
    assert_int_equal(stack_of(h).orphans, N);
    honest_client(h, 500);
    for (int second = 0; second < 1000 && stack_of(h).orphans; second++) {
        elapse(h, ESTAB_S(1));
        for (int i = second % 10; i < N; i += 10)
            send_seg(&p[i], (struct sg){.flags = SEG_ACK, .seq = p[i].seq, .ack = p[i].una});
    }
    assert_int_equal(stack_of(h).orphans, 0);
    assert_int_equal(stack_of(h).conns, 1);
    assert_in_range(stack_of(h).mem_used, 0, most);
    honest_client(h, 501);
}

/* ---- R4: 200,000 TIME-WAITs; NAT-ed peers that share an address and have clocks of their own
 * ---- */

/* A connection that the server closes first. */
static void one_time_wait(struct host *h, struct peer *p)
{
    open_half(p, NULL, 0);
    say(p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p->k, NULL), 0);
    assert_int_equal(estab_close(h->s, p->k), 0);
    drain(h);
    p->ack++;
    say(p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(h->nanswers, 1);
}

static void r4_time_wait_flood(void **state)
{
    enum { N = 200000 };
    struct estab_config cfg = defaults();
    struct host *h = host_with(&cfg);
    size_t before = stack_of(h).mem_used;

    (void)state;
    mark(h);
    for (uint32_t i = 0; i < N; i++) {
        struct peer p = stranger(h, (uint16_t)(1024 + i % 60000));

        p.ip.b[15] = (uint8_t)(2 + i / 60000);
        one_time_wait(h, &p);
        h->te.now += ESTAB_US(10);
    }
    assert_int_equal(stack_of(h).timewait, cfg.max_timewait);
    assert_int_equal(counted(h, RULE_TIME_WAIT_RECYCLED), N - cfg.max_timewait);
    assert_in_range((stack_of(h).mem_used - before) / cfg.max_timewait, 48, 64);
    honest_client(h, 500);
    elapse(h, ESTAB_S(61));
    assert_int_equal(stack_of(h).timewait, 0);
    host_end(h);
}

/* What made tcp_tw_recycle a disaster: a host is an address, but an address is not a host. */
static void r4_many_hosts_behind_one_address(void **state)
{
    struct host *h = *state;
    uint8_t opts[sizeof modern];

    for (uint16_t i = 0; i < 2000; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        p.ts_val = (uint32_t)test_rand(&h->te);
        p.seq = p.iss = (uint32_t)test_rand(&h->te);
        memcpy(opts, modern, sizeof opts);
        be32_put(opts + 8, p.ts_val);
        open_passive_with(&p, opts, sizeof opts);
        assert_alive(&p);
        user_shuts(&p);
        say(&p, SEG_ACK, NULL, 0);
        peer_shuts(&p);
        assert_int_equal(estab_close(h->s, p.k), 0);
        h->te.now += ESTAB_US(100);
    }
}

/* ---- R5: text in segments of one octet; sizes that multiply beyond their type ---- */

static void r5_an_octet_at_a_time(void **state)
{
    enum { N = 5000 };
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    size_t before, have = 0;
    uint8_t got[N];

    open_modern(&p);
    before = stack_of(h).mem_used;
    for (uint32_t i = 0; i < N; i++) {
        uint8_t octet = (uint8_t)i;

        say(&p, SEG_ACK, &octet, 1);
        elapse(h, ESTAB_MS(1));
    }
    /* what it takes to keep them is what it takes to keep them in one piece */
    assert_in_range(stack_of(h).mem_used - before, 0, N + (64 << 10));
    while (have < N)
        have += user_reads(&p, got + have, N - have);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(got[i], (uint8_t)i);
    assert_alive(&p);
}

static void r5_sizes_that_multiply(void **state)
{
    static uint8_t text[64];
    struct estab_config cfg = defaults();
    struct host *h;
    struct peer p;

    (void)state;
    cfg.max_conns = cfg.max_synq = cfg.max_timewait = (1u << 30) - 1;
    cfg.sndbuf = cfg.rcvbuf = 1u << 30;
    cfg.max_orphans = UINT32_MAX;
    h = host_with(&cfg);
    p = stranger(h, 1000);
    open_modern(&p);
    assert_alive(&p);
    assert_in_range(stack_of(h).mem_used, 1, 4 << 20); /* a bound is no reservation */
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_SNDBUF, 2048), 0);
    {
        /* lengths whose sum is 0: the first piece alone fills the buffer */
        static uint8_t full[4096];
        struct estab_iov v[2] = {{full, sizeof full}, {text, (size_t)0 - sizeof full}};

        assert_int_equal(estab_send(h->s, p.k, v, 2, 0), 2048);
    }
    host_end(h);
}

/* ---- R6: reflection: at most a packet for a packet, and limited; never an RST for an RST, never
 * one to a group ---- */

static void r6_what_one_forged_syn_draws(void **state)
{
    struct estab_config cfg = defaults();
    struct host *h = *state;
    struct peer p = spoofed(h);
    uint32_t n = syn(&p);

    n += elapse(h, ESTAB_S(600));
    print_message("a forged SYN draws 1 SYN,ACK and at most %u more; a cookie, 1\n",
                  (unsigned)cfg.synack_retries);
    assert_in_range(n, 1, 1u + cfg.synack_retries);
    assert_int_equal(stack_of(h).synq, 0);
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

static void r6_at_most_one_for_one(void **state)
{
    struct host *h = *state;
    struct peer open = stranger(h, 1000);
    uint32_t in = 0, out = 0;

    open_modern(&open);
    for (int i = 0; i < 20000; i++) {
        struct peer p = i % 3 ? spoofed(h) : open;
        uint32_t n;

        p.lport = i % 5 ? LISTEN_PORT : 81;
        p.seq += test_rand_below(&h->te, 3) ? test_rand_below(&h->te, 70000) : 0;
        n = send_seg(&p, (struct sg){.flags = (uint8_t)(test_rand(&h->te) & 0xfb),
                                     .seq = p.seq,
                                     .ack = (uint32_t)test_rand(&h->te),
                                     .wnd = 1000});
        assert_in_range(n, 0, 1);
        in++;
        out += n;
    }
    assert_in_range(out, 1, in);
}

static void r6_no_rst_for_an_rst_nor_to_a_group(void **state)
{
    struct host *h = *state;

    for (int i = 0; i < 5000; i++) {
        struct peer p = spoofed(h);

        p.lport = i % 2 ? LISTEN_PORT : 81;
        assert_int_equal(
            send_seg(&p, (struct sg){.flags = (uint8_t)(SEG_RST | (test_rand(&h->te) & 0x3f)),
                                     .seq = p.seq}),
            0);
    }
    for (int i = 0; i < 2; i++) {
        struct peer p = stranger(h, 1000);

        p.host_ip = ip(i ? "224.0.0.1" : "10.0.0.255");
        assert_int_equal(syn(&p), 0);
        p = peer_at(h, TUN, "2001:db8::2", "ff02::1", 1000);
        assert_int_equal(syn(&p), 0);
    }
}

/* Whoever is named as the source of a flood gets no more than so many answers a second.  There is
 * no number for all: it would be a side channel (hostile_b_figures_test.c). */
static void r6_answers_are_limited(void **state)
{
    struct host *h = *state;
    uint32_t rsts = 0, challenges = 0;
    struct peer open = stranger(h, 1000), named = spoofed(h);

    for (int i = 0; i < 50000; i++) {
        named.pport = (uint16_t)(1000 + i);
        named.lport = 81;
        rsts += syn(&named);
    }
    assert_in_range(rsts, 1, 10000);
    for (int i = 0; i < 50000; i++) {
        struct peer p = spoofed(h);

        p.lport = 81;
        assert_in_range(syn(&p), 0, 1);
    }
    open_modern(&open);
    elapse(h, ESTAB_S(1));
    for (int i = 0; i < 50000; i++)
        challenges += send_seg(
            &open,
            (struct sg){.flags = i % 2 ? SEG_SYN : SEG_RST, .seq = open.seq + 5, .wnd = 1000});
    assert_in_range(challenges, 1, 10);
    assert_alive(&open);
}

/* ---- R7: endless ingress starves neither timers nor egress; what is malformed does not end a
 * batch ---- */

/* A frame as it is, without the checks and copies of feed(). */
static void push(struct host *h, const struct packet *k)
{
    struct estab_frame f = {.iov = {{(void *)(uintptr_t)k->b, k->len}}, .niov = 1};

    assert_int_equal(estab_input(h->s, TUN, &f, 1), 0);
}
/* The next frame, an IPv4 segment; false: none. */
static bool pull(struct host *h, struct seg *g)
{
    struct estab_frame f;
    const uint8_t *tcp;

    if (estab_output(h->s, TUN, &f, 1) != 1)
        return false;
    tcp = (const uint8_t *)f.iov[0].base + IP4_HDR_LEN;
    *g = (struct seg){.sport = be16_at(tcp),
                      .dport = be16_at(tcp + 2),
                      .seq = seq_of(be32_at(tcp + 4)),
                      .ack = seq_of(be32_at(tcp + 8)),
                      .flags = tcp[13]};
    return true;
}
static void push_syn(struct host *h, uint16_t pport, uint16_t lport)
{
    struct peer p = stranger(h, pport);
    struct packet k;

    p.lport = lport;
    packet_seg(&k, &p, (struct sg){.flags = SEG_SYN, .seq = p.seq, .wnd = 1000});
    push(h, &k);
}

/* The link is as narrow out as in: for each frame that comes, one goes; each that comes asks for an
 * answer.  A transfer has its share all the same. */
static void r7_answers_do_not_shut_out_connections(void **state)
{
    static uint8_t text[20000];
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    uint32_t ours = 0;
    struct seg g;

    open_passive(&p);
    user_sends(&p, text, sizeof text); /* ten segments before the first ACK */
    for (uint16_t i = 0; i < 100; i++) {
        push_syn(h, (uint16_t)(2000 + i), 81);
        if (pull(h, &g))
            ours += g.dport == p.pport;
    }
    assert_int_equal(ours, 10);
}

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

/* ---- R8: four-tuples chosen to have one hash; all timers in one slot of the wheel; a million
 * connections that close in one tick ---- */

/* How many of n tuples fall into the fullest of as many places. */
static uint32_t fullest(struct host *h, uint32_t n, void (*tuple)(uint32_t i, struct peer *p))
{
    uint8_t *load = calloc(n, 1);
    uint32_t most = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct peer p = stranger(h, 1000);
        struct tcp_tuple k = {p.ip.b, 0, LISTEN_PORT, 0};
        uint32_t at;

        tuple(i, &p);
        k.pport = p.pport;
        at = tcp_demux_tag(&h->s->tcp, &k) % n;
        load[at]++;
        most = load[at] > most ? load[at] : most;
    }
    free(load);
    return most;
}
static void by_port(uint32_t i, struct peer *p)
{
    p->pport = (uint16_t)i;
}
static void by_address(uint32_t i, struct peer *p)
{
    be32_put(p->ip.b + 12, 0x0a000000 + i);
}
static void by_high_bits(uint32_t i, struct peer *p)
{
    be32_put(p->ip.b + 12, i << 16);
}
static void by_both(uint32_t i, struct peer *p)
{
    be32_put(p->ip.b + 12, i);
    p->pport = (uint16_t)(65535 - i); /* what adds or exclusive-ors them is constant */
}

static void r8_tuples_do_not_pile_up(void **state)
{
    struct host *h = *state, *other;
    struct estab_env env;
    uint32_t same = 0;

    /* 65,536 at random: 8 or 9 in the fullest place */
    assert_in_range(fullest(h, 65536, by_port), 6, 14);
    assert_in_range(fullest(h, 65536, by_address), 6, 14);
    assert_in_range(fullest(h, 65536, by_high_bits), 6, 14);
    assert_in_range(fullest(h, 65536, by_both), 6, 14);

    /* and which they are is another stack's secret */
    other = host_with(NULL);
    estab_stack_free(other->s);
    other->te.rng = 4711;
    env = test_env_make(&other->te);
    assert_int_equal(estab_stack_new(&other->s, &env, NULL), 0);
    for (uint16_t i = 0; i < 10000; i++) {
        struct tcp_tuple k = {ip("10.0.0.2").b, 0, LISTEN_PORT, i};

        same += tcp_demux_tag(&h->s->tcp, &k) % 256 == tcp_demux_tag(&other->s->tcp, &k) % 256;
    }
    assert_in_range(same, 10, 100);
    host_end(other);
}

#if defined __SANITIZE_ADDRESS__
#define MANY 100000u
#else
#define MANY 1000000u
#endif

static struct peer one_of_many(struct host *h, uint32_t i)
{
    struct peer p = stranger(h, (uint16_t)(1024 + i % 60000));

    p.ip.b[15] = (uint8_t)(2 + i / 60000);
    p.seq = 7 * i;
    return p;
}
static void push_from(struct host *h, const struct peer *p, uint8_t flags, uint32_t seq,
                      uint32_t ack)
{
    static struct packet k;

    packet_seg(&k, p, (struct sg){.flags = flags, .seq = seq, .ack = ack, .wnd = 60000});
    push(h, &k);
}

/* All are opened, closed by their user, and acknowledged, while the clock stands still; and so are
 * all due at once when 2 MSL have passed. */
static void r8_a_million_in_one_tick(void **state)
{
    struct estab_config cfg = defaults();
    estab_sock *k = calloc(MANY, sizeof *k);
    uint32_t *iss = calloc(MANY, sizeof *iss), n = 0;
    struct host *h;
    struct seg g;

    (void)state;
    cfg.max_conns = cfg.max_timewait = MANY + 1;
    cfg.max_orphans = 0;
    h = host_with(&cfg);
    for (uint32_t i = 0; i < MANY; i++) {
        struct peer p = one_of_many(h, i);

        push_from(h, &p, SEG_SYN, p.seq, 0);
        assert_true(pull(h, &g));
        iss[i] = g.seq.n;
        push_from(h, &p, SEG_ACK, p.seq + 1, iss[i] + 1);
        assert_int_equal(estab_accept(h->s, h->listener, &k[i], NULL), 0);
        assert_int_equal(estab_setopt(h->s, k[i], ESTAB_O_KEEPIDLE, ESTAB_S(100)), 0);
    }
    assert_int_equal(stack_of(h).conns, MANY);

    h->te.now += ESTAB_S(100) + ESTAB_MS(1); /* every one has its keepalive due */
    assert_true(estab_deadline(h->s) <= h->te.now);
    assert_int_equal(estab_expire(h->s), MANY);
    while (pull(h, &g))
        n++;
    assert_int_equal(n, MANY);

    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(estab_close(h->s, k[i]), 0);
    for (n = 0; pull(h, &g); n++)
        assert_true(g.flags & SEG_FIN);
    assert_int_equal(n, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        struct peer p = one_of_many(h, i);

        push_from(h, &p, SEG_FIN | SEG_ACK, p.seq + 1, iss[i] + 2);
        assert_true(pull(h, &g));
    }
    assert_int_equal(stack_of(h).conns, 0);
    assert_int_equal(stack_of(h).timewait, MANY);
    h->te.now += ESTAB_S(61);
    assert_true(estab_deadline(h->s) <= h->te.now);
    assert_int_equal(estab_expire(h->s), MANY);
    assert_int_equal(stack_of(h).timewait, 0);
    honest_client(h, 500);
    free(iss);
    free(k);
    host_end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(r1_syn_flood),
        cmocka_unit_test(r1_what_a_half_open_connection_costs),
        hostile_test(r1_half_open_connections_pin_no_port),
        hostile_test(r2_more_connect_than_are_accepted),
        cmocka_unit_test(r2_backlog_full_then_drained),
        cmocka_unit_test(r2_or_they_are_refused),
        hostile_test(r2_the_final_ack_is_lost),
        hostile_test(r3_a_window_that_stays_closed),
        cmocka_unit_test(r3_windows_that_trickle),
        hostile_test(r3_silence_after_close),
        hostile_test(r3_fin_wait_2_for_ever),
        hostile_test(r3_sockstress),
        cmocka_unit_test(r4_time_wait_flood),
        hostile_test(r4_many_hosts_behind_one_address),
        hostile_test(r5_an_octet_at_a_time),
        cmocka_unit_test(r5_sizes_that_multiply),
        hostile_test(r6_what_one_forged_syn_draws),
        hostile_test(r6_reset_of_a_forged_opening),
        hostile_test(r6_at_most_one_for_one),
        hostile_test(r6_no_rst_for_an_rst_nor_to_a_group),
        hostile_test(r6_answers_are_limited),
        hostile_test(r7_answers_do_not_shut_out_connections),
        hostile_test(r7_a_batch_with_garbage_in_it),
        hostile_test(r7_input_does_not_starve_output_and_timers),
        hostile_test(r8_tuples_do_not_pile_up),
        cmocka_unit_test(r8_a_million_in_one_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ecn_test.c - explicit congestion notification, RFC 3168 section 6.1 and RFC 9768, packet by
 * packet. */
#include "hostile.h"

#define SETUP (SEG_ECE | SEG_CWR)
#define MSS   1460u

/* ---- marks in the IP header ---- */

static void mark_ip(struct packet *k, uint8_t tos)
{
    uint16_t sum;

    if (k->b[0] >> 4 == 6) {
        k->b[0] = (uint8_t)(0x60 | tos >> 4);
        k->b[1] = (uint8_t)(tos << 4 | (k->b[1] & 0xf));
        return;
    }
    k->b[1] = tos;
    memset(k->b + 10, 0, 2);
    sum = csum_of(0, k->b, IP4_HDR_LEN);
    memcpy(k->b + 10, &sum, 2);
}

static uint32_t send_marked(const struct peer *p, struct sg s, uint8_t tos)
{
    struct packet k;

    packet_seg(&k, p, s);
    mark_ip(&k, tos);
    return feed(p->h, p->port, &k);
}

static uint32_t say_marked(struct peer *p, uint8_t flags, const void *text, size_t len, uint8_t tos)
{
    uint32_t n = send_marked(
        p,
        (struct sg){
            .flags = flags, .seq = p->seq, .ack = p->ack, .wnd = 60000, .text = text, .len = len},
        tos);

    p->seq += (uint32_t)len;
    return n;
}

/* ---- connections ---- */

/* The peer's SYN with these flags; what is answered has these. */
static void open_asking(struct peer *p, uint8_t asks, uint8_t granted)
{
    struct answer *a;

    send_seg(p, (struct sg){.flags = SEG_SYN | asks, .seq = p->seq++, .wnd = 60000});
    a = the_answer(p);
    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK | granted);
    assert_int_equal(a->ip.tos, 0); /* "MUST NOT set ECT on SYN or SYN-ACK packets" */
    p->irs = p->una = a->g.seq.n;
    p->ack = p->irs + 1;
    assert_int_equal(say(p, SEG_ACK, NULL, 0), 0);
    p->una = p->ack;
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
    assert_int_equal(info_of(p).ecn_ok, granted != 0);
}

static struct peer open_ecn(struct host *h)
{
    static const uint8_t mss[] = {2, 4, MSS >> 8, MSS & 0xff};
    struct peer p = stranger(h, 1000);
    struct answer *a;

    send_seg(&p, (struct sg){.flags = SEG_SYN | SETUP,
                             .seq = p.seq++,
                             .wnd = 60000,
                             .opts = mss,
                             .opts_len = sizeof mss});
    a = the_answer(&p);
    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK | SEG_ECE);
    p.irs = a->g.seq.n;
    p.ack = p.una = p.irs + 1;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    return p;
}

static void set_ecn(const struct peer *p, enum estab_ecn ecn)
{
    assert_int_equal(estab_setopt(p->h->s, p->k, ESTAB_O_ECN, ecn), 0);
}

/* The stack's SYN. */
static struct answer *connect_active(struct peer *p, enum estab_ecn ecn)
{
    struct estab_addr to = {.port = p->pport}, from = {.port = 5000};

    memcpy(to.ip, p->ip.b, 16);
    memcpy(from.ip, p->host_ip.b, 16);
    assert_int_equal(estab_socket(p->h->s, ESTAB_TCP, &p->k), 0);
    set_ecn(p, ecn);
    assert_int_equal(estab_bind(p->h->s, p->k, &from), 0);
    assert_int_equal(estab_connect(p->h->s, p->k, &to), ESTAB_E_INPROGRESS);
    p->lport = from.port;
    drain(p->h);
    p->irs = the_answer(p)->g.seq.n;
    p->ack = p->irs + 1;
    return the_answer(p);
}

/* Sends n full segments, which must be what is expected of new text; the first has CWR or not. */
static void stack_sends(struct peer *p, uint32_t n, bool cwr)
{
    static uint8_t text[64 * MSS];

    user_sends(p, text, n * MSS);
    assert_int_equal(drain(p->h), n);
    for (uint32_t i = 0; i < n; i++) {
        struct answer *a = &p->h->answers[i];

        assert_int_equal(a->g.seq.n, p->ack);
        assert_int_equal(a->g.text.len, MSS);
        assert_int_equal(a->ip.tos, ECN_ECT0);
        assert_int_equal(a->g.flags & SETUP, cwr && i == 0 ? SEG_CWR : 0);
        p->ack += MSS;
    }
}

/* An ACK of all but `less` segments. */
static uint32_t peer_acks(struct peer *p, uint32_t less, uint8_t flags)
{
    uint32_t end = p->ack, n;

    p->ack -= less * MSS;
    n = say(p, SEG_ACK | flags, NULL, 0);
    p->una = p->ack;
    p->ack = end;
    return n;
}

/* ACKs of two segments each that come in one batch, the last with these flags. */
static void peer_acks_in_a_batch(struct peer *p, uint32_t n, uint8_t flags)
{
    struct estab_frame f[8];

    assert_true(n <= 8);
    for (uint32_t i = 0; i < n; i++) {
        struct packet k;

        p->una += 2 * MSS;
        packet_seg(&k, p,
                   (struct sg){.flags = SEG_ACK | (i == n - 1 ? flags : 0),
                               .seq = p->seq,
                               .ack = p->una,
                               .wnd = 60000});
        f[i] = frame_of(p->h, &k);
    }
    assert_int_equal(estab_input(p->h->s, p->port, f, n), 0);
    for (uint32_t i = 0; i < n; i++)
        frame_free(&f[i]);
}

/* A host whose windows begin with this many segments. */
static struct host *host_of_window(uint8_t segments)
{
    struct estab_config cfg;

    estab_config_init(&cfg);
    cfg.initial_window = segments;
    memcpy(cfg.cc, "newreno", 8); /* half is easily told */
    return host_with(&cfg);
}

/* ---- negotiation ---- */

/* [SHLD-8, RFC3168-6.1.1-1] */
static void passive_grants_what_is_asked(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    open_asking(&p, SETUP, SEG_ECE);
    p = stranger(h, 1001);
    open_asking(&p, 0, 0);
}

static void a_marked_syn_gets_no_ecn(void **state)
{
    struct host *h = *state;

    for (uint8_t tos = ECN_ECT1; tos <= ECN_CE; tos++) {
        struct peer p = stranger(h, 1000 + tos);

        send_marked(&p, (struct sg){.flags = SEG_SYN | SETUP, .seq = p.seq++, .wnd = 60000}, tos);
        assert_answer(&p, SEG_SYN | SEG_ACK);
    }
}

/* [RFC3168-6.1.1-7] */
static void off_grants_nothing(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    uint64_t val;

    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_ECN, ESTAB_ECN_OFF), 0);
    open_asking(&p, SETUP, 0);
    assert_int_equal(estab_getopt(h->s, p.k, ESTAB_O_ECN, &val), 0);
    assert_int_equal(val, ESTAB_ECN_OFF);
    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_ECN, 4), ESTAB_E_INVAL);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_ECN, ESTAB_ECN_ACTIVE), ESTAB_E_INVAL);
}

static void setting_is_every_sockets_default(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p;
    uint64_t val;

    (void)state;
    estab_config_init(&cfg);
    assert_int_equal(cfg.ecn, ESTAB_ECN_PASSIVE);
    cfg.ecn = ESTAB_ECN_ACTIVE;
    h = host_with(&cfg);
    p = stranger(h, 1000);
    assert_int_equal(estab_getopt(h->s, h->listener, ESTAB_O_ECN, &val), 0);
    assert_int_equal(val, ESTAB_ECN_ACTIVE);
    open_asking(&p, SETUP, SEG_ECE);
    host_end(h);
}

/* Section 6.1.1.1: the peer gave up asking. [RFC3168-6.1.1-4] */
static void syn_without_ecn_ends_it(void **state)
{
    struct peer p = stranger(*state, 1000);
    struct answer *a;

    send_seg(&p, (struct sg){.flags = SEG_SYN | SETUP, .seq = p.seq, .wnd = 60000});
    assert_answer(&p, SEG_SYN | SEG_ACK | SEG_ECE);
    send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq, .wnd = 60000});
    assert_answer(&p, SEG_SYN | SEG_ACK);
    send_seg(&p, (struct sg){.flags = SEG_SYN | SETUP, .seq = p.seq++, .wnd = 60000});
    a = the_answer(&p);
    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK);
    p.ack = p.una = a->g.seq.n + 1;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(p.h->s, p.h->listener, &p.k, NULL), 0);
    assert_false(info_of(&p).ecn_ok);
    user_sends(&p, "text", 4);
    drain(p.h);
    assert_int_equal(the_answer(&p)->ip.tos, 0);
}

/* [RFC3168-6.1.1-2, RFC3168-6.1.1-8, RFC3168-6.1.1-9] */
static void active_asks(void **state)
{
    static const struct {
        uint8_t answer;
        bool ok;
    } cases[] = {{SEG_ECE, true}, {0, false}, {SEG_CWR, false}, {SETUP, false}};
    struct host *h = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));
        struct answer *a = connect_active(&p, ESTAB_ECN_ACTIVE);

        assert_int_equal(a->g.flags, SEG_SYN | SETUP);
        assert_int_equal(a->ip.tos, 0);
        mark(h);
        say(&p, SEG_SYN | SEG_ACK | cases[i].answer, NULL, 0);
        assert_acked(&p);
        assert_int_equal(the_answer(&p)->ip.tos, 0);
        assert_int_equal(info_of(&p).ecn_ok, cases[i].ok);
        assert_int_equal(counted(h, RULE_ECN_SETUP), cases[i].ok);
        user_sends(&p, "text", 4);
        drain(h);
        assert_int_equal(the_answer(&p)->ip.tos, cases[i].ok ? ECN_ECT0 : 0);
        estab_abort(h->s, p.k);
        drain(h);
    }
}

static void passive_does_not_ask(void **state)
{
    struct peer p = stranger(*state, 1000);

    assert_int_equal(connect_active(&p, ESTAB_ECN_PASSIVE)->g.flags, SEG_SYN);
    say(&p, SEG_SYN | SEG_ACK | SEG_ECE, NULL, 0);
    assert_acked(&p);
    assert_false(info_of(&p).ecn_ok);
}

/* Section 6.1.1: a SYN without ECN has gone out, so nothing of ours may be marked; but the promise
 * of the first SYN stands, marks are echoed. [RFC3168-6.1.1-3, RFC3168-6.1.1.1-1] */
static void lost_syn_is_repeated_without_ecn(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    assert_int_equal(connect_active(&p, ESTAB_ECN_ACTIVE)->g.flags, SEG_SYN | SETUP);
    mark(h);
    assert_int_equal(elapse(h, ESTAB_MS(1001)), 1);
    assert_int_equal(the_answer(&p)->g.flags, SEG_SYN);
    assert_int_equal(elapse(h, ESTAB_MS(2001)), 1);
    assert_int_equal(the_answer(&p)->g.flags, SEG_SYN);
    assert_int_equal(counted(h, RULE_ECN_FALLBACK), 1);
    say(&p, SEG_SYN | SEG_ACK | SEG_ECE, NULL, 0);
    assert_acked(&p);
    assert_true(info_of(&p).ecn_ok);
    user_sends(&p, "text", 4);
    drain(h);
    assert_int_equal(the_answer(&p)->ip.tos, 0);
    say_marked(&p, SEG_ACK, "text", 4, ECN_CE);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
}

static void simultaneous_open(void **state)
{
    static const struct {
        uint8_t syn, synack;
        bool ok;
    } cases[] = {{SETUP, SEG_ECE, true}, {SETUP, 0, false}, {0, SEG_ECE, false}};
    struct host *h = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        connect_active(&p, ESTAB_ECN_ACTIVE);
        send_seg(&p, (struct sg){.flags = SEG_SYN | cases[i].syn, .seq = p.seq, .wnd = 60000});
        assert_int_equal(the_answer(&p)->g.flags,
                         SEG_SYN | SEG_ACK | (cases[i].syn == SETUP ? SEG_ECE : 0));
        say(&p, SEG_SYN | SEG_ACK | cases[i].synack, NULL, 0);
        assert_acked(&p);
        assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
        assert_int_equal(info_of(&p).ecn_ok, cases[i].ok);
        estab_abort(h->s, p.k);
        drain(h);
    }
}

static void traffic_class_of_ipv6(void **state)
{
    struct peer p = peer_at(*state, TUN, "2001:db8::2", "2001:db8::1", 1000);

    open_asking(&p, SETUP, SEG_ECE);
    user_sends(&p, "text", 4);
    drain(p.h);
    assert_int_equal(the_answer(&p)->ip.tos, ECN_ECT0);
    p.ack += 4;
    say_marked(&p, SEG_ACK, "text", 4, ECN_CE);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
}

/* ---- the receiver, section 6.1.3 ---- */

/* [RFC3168-6.1.1-6, RFC3168-6.1.3-1, RFC3168-6.1.4-1] */
static void mark_is_echoed_until_cwr(void **state)
{
    struct host *h = *state;
    struct peer p = open_ecn(h);

    for (int i = 0; i < 40; i++)
        say(&p, SEG_ACK, "text", 4); /* past the prompt ACKs of a new connection */
    elapse(h, ESTAB_S(1));
    mark(h);
    say_marked(&p, SEG_ACK, "text", 4, ECN_ECT0);
    elapse(h, ESTAB_S(1));
    say_marked(&p, SEG_ACK, "text", 4, ECN_CE);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
    assert_int_equal(the_answer(&p)->ip.tos, 0);
    assert_int_equal(counted(h, RULE_ECN_MARKED), 1);
    say(&p, SEG_ACK, "text", 4);
    elapse(h, ESTAB_S(1));
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
    user_sends(&p, "text", 4); /* what carries text carries the echo as well */
    drain(h);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_PSH | SEG_ECE);
    p.ack += 4;
    elapse(h, ESTAB_S(30)); /* at rest in between */
    say(&p, SEG_ACK, NULL, 0);
    say(&p, SEG_ACK | SEG_CWR, "text", 4);
    assert_acked(&p);
    assert_int_equal(counted(h, RULE_ECN_REDUCED), 1);
    say(&p, SEG_ACK, "text", 4);
    elapse(h, ESTAB_S(1));
    assert_acked(&p);
}

static void cwr_and_mark_at_once(void **state)
{
    struct peer p = open_ecn(*state);

    say_marked(&p, SEG_ACK, "text", 4, ECN_CE);
    say_marked(&p, SEG_ACK | SEG_CWR, "text", 4, ECN_CE);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
}

static void mark_ahead_of_a_gap(void **state)
{
    struct peer p = open_ecn(*state);

    p.seq += 4;
    say_marked(&p, SEG_ACK, "text", 4, ECN_CE);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
}

/* Section 6.1.5, and a bare ACK has no text that could have been ECT. [RFC3168-6.1.5-2] */
static void marks_that_do_not_count(void **state)
{
    struct host *h = *state;
    struct peer p = open_ecn(h), q;

    say(&p, SEG_ACK, "text", 4);
    p.seq -= 4;
    say_marked(&p, SEG_ACK, "text", 4, ECN_CE); /* all of it received before */
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK);
    p.seq += 1u << 20;
    say_marked(&p, SEG_ACK, "text", 4, ECN_CE); /* beyond the window */
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK);
    p.seq -= (1u << 20) + 4;
    assert_int_equal(say_marked(&p, SEG_ACK, NULL, 0, ECN_CE), 0);
    say(&p, SEG_ACK, "text", 4);
    assert_acked(&p);
    q = stranger(h, 1001);
    open_asking(&q, 0, 0);
    say_marked(&q, SEG_ACK, "text", 4, ECN_CE); /* no ECN on this connection */
    assert_acked(&q);
}

/* Section 6.1.6. [RFC3168-6.1.6-2] */
static void marked_window_probe(void **state)
{
    static uint8_t text[2048];
    struct host *h = *state;
    struct peer p;

    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_RCVBUF, sizeof text), 0);
    p = open_ecn(h);
    say(&p, SEG_ACK, text, sizeof text);
    assert_int_equal(the_answer(&p)->g.wnd, 0);
    say_marked(&p, SEG_ACK, "x", 1, ECN_CE);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_ECE);
}

/* ---- the sender, section 6.1.2 ---- */

/* [RFC3168-6.1.2-1, RFC3168-6.1.2-2] */
static void echo_halves_the_window_once(void **state)
{
    struct host *h = host_of_window(20);
    struct peer p = open_ecn(h);

    (void)state;
    mark(h);
    stack_sends(&p, 20, false);
    peer_acks(&p, 18, SEG_ECE);
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    assert_int_equal(counted(h, RULE_ECN_ECHO), 1);
    peer_acks(&p, 10, SEG_ECE);
    peer_acks(&p, 0, SEG_ECE); /* all that was in flight then: one window */
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    assert_int_equal(counted(h, RULE_ECN_ECHO), 1);
    stack_sends(&p, 10, true);
    peer_acks(&p, 9, SEG_ECE);
    assert_int_equal(info_of(&p).cwnd, 5 * MSS);
    assert_int_equal(counted(h, RULE_ECN_ECHO), 2);
    peer_acks(&p, 0, 0);
    stack_sends(&p, 2, true);
    stack_sends(&p, 2, false);
    host_end(h);
}

/* Half of what would be in flight had the ACKs come one by one: nothing goes between those of a
 * batch, and a window whose ACKs come together is not halved again by that. */
static void echo_behind_a_batch_halves_what_the_batch_let_out_too(void **state)
{
    static uint8_t text[60 * MSS];
    struct host *h = host_of_window(10);
    struct peer p = open_ecn(h);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 10);
    peer_acks_in_a_batch(&p, 4, SEG_ECE);
    assert_int_equal(info_of(&p).ssthresh, 13 * MSS / 2); /* ten, and one for each ACK before */
    assert_int_equal(info_of(&p).cwnd, 13 * MSS / 2);
    host_end(h);
}

/* ... but not what there is nothing to send of: then FlightSize is what is in flight. */
static void echo_behind_a_batch_halves_no_more_than_there_is(void **state)
{
    static uint8_t text[12 * MSS];
    struct host *h = host_of_window(10);
    struct peer p = open_ecn(h);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 10);
    peer_acks_in_a_batch(&p, 2, SEG_ECE);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS / 2); /* eight left, and the last two */
    host_end(h);
}

static void echo_without_ecn_is_nothing(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    uint32_t before;

    open_asking(&p, 0, 0);
    before = info_of(&p).cwnd;
    user_sends(&p, "text", 4);
    drain(h);
    p.ack += 4;
    say(&p, SEG_ACK | SEG_ECE, NULL, 0);
    assert_true(info_of(&p).cwnd >= before);
}

/* Nothing that is not new text is ECT or has CWR: sections 6.1.4 to 6.1.6. [RFC3168-6.1.1-5,
 * RFC3168-6.1.5-1] */
static void what_is_sent_again_is_not_ect(void **state)
{
    struct host *h = *state;
    struct peer p = open_ecn(h);
    struct answer *a;

    stack_sends(&p, 4, false);
    for (int i = 0; i < 3; i++)
        peer_acks(&p, 4, 0);
    a = the_answer(&p);
    assert_int_equal(a->g.seq.n, p.una);
    assert_int_equal(a->ip.tos, 0);
    assert_int_equal(a->g.flags & SETUP, 0);
    peer_acks(&p, 0, 0);
    stack_sends(&p, 1, true); /* section 6.1.2: for whatever reason the window was reduced */
    elapse(h, ESTAB_S(1));
    a = &h->answers[0];
    assert_int_equal(a->g.seq.n, p.una);
    assert_int_equal(a->ip.tos, 0);
    assert_int_equal(a->g.flags & SETUP, 0);
    peer_acks(&p, 0, 0);
    stack_sends(&p, 1, true);
    peer_acks(&p, 0, 0);
    user_shuts(&p);
    assert_int_equal(the_answer(&p)->ip.tos, 0);
}

/* [RFC3168-6.1.6-1] */
static void probes_are_not_ect(void **state)
{
    struct host *h = *state;
    struct peer p = open_ecn(h);

    stack_sends(&p, 1, false);
    send_seg(&p, (struct sg){.flags = SEG_ACK | SEG_ECE, .seq = p.seq, .ack = p.ack});
    user_sends(&p, "text", 4);
    assert_int_equal(drain(h), 0);
    assert_true(elapse(h, ESTAB_S(1)) > 0);
    assert_int_equal(h->answers[0].g.text.len, 1);
    assert_int_equal(h->answers[0].ip.tos, 0);
    assert_int_equal(h->answers[0].g.flags & SETUP, 0);
    p.ack++;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 1);
    assert_int_equal(the_answer(&p)->g.text.len, 3);
    assert_int_equal(the_answer(&p)->ip.tos, ECN_ECT0);
    assert_int_equal(the_answer(&p)->g.flags & SETUP, SEG_CWR);
    p.ack += 3;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_KEEPIDLE, ESTAB_S(1)), 0);
    assert_true(elapse(h, ESTAB_S(2)) > 0);
    assert_int_equal(h->answers[0].ip.tos, 0);
}

/* "reduced only once in response to a series of dropped and/or CE packets from a single window" */
static void loss_and_mark_in_one_window(void **state)
{
    struct host *h = host_of_window(20);
    struct peer p = open_ecn(h);

    (void)state;
    stack_sends(&p, 20, false);
    peer_acks(&p, 19, SEG_ECE);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    for (int i = 0; i < 3; i++)
        peer_acks(&p, 19, SEG_ECE);
    assert_int_equal(the_answer(&p)->g.seq.n, p.una);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    peer_acks(&p, 0, SEG_ECE);
    assert_int_equal(info_of(&p).cwnd, 2 * MSS); /* RFC 6582 section 3.2: FlightSize is 0 */
    stack_sends(&p, 1, true);
    host_end(h);
}

static void mark_after_a_loss_in_one_window(void **state)
{
    struct host *h = host_of_window(20);
    struct peer p = open_ecn(h);

    (void)state;
    stack_sends(&p, 20, false);
    for (int i = 0; i < 3; i++)
        peer_acks(&p, 20, 0);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    mark(h);
    peer_acks(&p, 10, SEG_ECE);
    peer_acks(&p, 0, SEG_ECE);
    assert_int_equal(counted(h, RULE_ECN_ECHO), 0);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    host_end(h);
}

static void timeout_after_a_mark(void **state)
{
    struct host *h = host_of_window(20);
    struct peer p = open_ecn(h);

    (void)state;
    stack_sends(&p, 20, false);
    peer_acks(&p, 10, SEG_ECE);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    elapse(h, info_of(&p).rto + ESTAB_MS(1));
    assert_int_equal(info_of(&p).rto_fired, 1);
    assert_int_equal(info_of(&p).cwnd, MSS);
    assert_int_equal(info_of(&p).ssthresh, 10 * MSS);
    host_end(h);
}

/* "SHOULD NOT increase the congestion window in response to the receipt of an ECN-Echo ACK"
 * [RFC3168-6.1.2-3] */
static void window_does_not_grow_on_an_echo(void **state)
{
    static uint8_t text[22 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = open_ecn(h);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 20);
    p.ack += 20 * MSS;
    assert_int_equal(peer_acks(&p, 19, SEG_ECE), 0);
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    assert_int_equal(peer_acks(&p, 0, SEG_ECE), 2);
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    host_end(h);
}

/* "The sending TCP will then be able to send a new packet only when the retransmit timer expires."
 * [RFC3168-6.1.2-4] */
static void window_of_one_waits_for_the_timer(void **state)
{
    static uint8_t text[3 * MSS];
    struct host *h = host_of_window(1);
    struct peer p = open_ecn(h);
    estab_dur rto;

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 1);
    p.ack += MSS;
    assert_int_equal(say(&p, SEG_ACK | SEG_ECE, NULL, 0), 0);
    rto = info_of(&p).rto;
    assert_int_equal(info_of(&p).cwnd, MSS);
    assert_int_equal(elapse(h, rto - ESTAB_MS(1)), 0);
    assert_int_equal(elapse(h, ESTAB_MS(2)), 1);
    assert_int_equal(h->answers[0].g.seq.n, p.ack);
    assert_int_equal(h->answers[0].g.flags & SETUP, SEG_CWR);
    assert_int_equal(info_of(&p).rto_fired, 0);
    p.ack += MSS;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 1);
    host_end(h);
}

/* A link that cuts up super-segments by itself never sees CWR on one. */
static void cwr_goes_alone_where_the_link_cuts(void **state)
{
    static uint8_t text[8 * MSS];
    struct estab_port_caps caps = {
        .medium = ESTAB_MEDIUM_IP, .mtu = 1500, .gso_max = 65535, .tx_csum = true};
    struct host *h = *state;
    struct estab_frame f;
    struct peer p;
    int port = estab_port_add(h->s, &caps);

    assert_int_equal(estab_addr_add(h->s, port, ip("10.0.2.1").b, 120), 0);
    p = peer_at(h, port, "10.0.2.2", "10.0.2.1", 1000);
    send_seg(
        &p,
        (struct sg){
            .flags = SEG_SYN | SETUP, .seq = p.seq++, .wnd = 60000, .opts = modern, .opts_len = 4});
    assert_int_equal(estab_output(h->s, port, &f, 1), 1);
    p.ack = be32_at((uint8_t *)f.iov[0].base + 24) + 1;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    user_sends(&p, text, sizeof text);
    assert_int_equal(estab_output(h->s, port, &f, 1), 1);
    assert_int_equal(f.off.gso_size, MSS);
    assert_int_equal(((uint8_t *)f.iov[0].base)[1], ECN_ECT0);
    p.ack += 8 * MSS;
    say(&p, SEG_ACK | SEG_ECE, NULL, 0);
    user_sends(&p, text, 4 * MSS);
    assert_int_equal(estab_output(h->s, port, &f, 1), 1);
    assert_int_equal(f.off.gso_size, 0);
    assert_int_equal(((uint8_t *)f.iov[0].base)[33] & SETUP, SEG_CWR);
    assert_int_equal(estab_output(h->s, port, &f, 1), 1);
    assert_int_equal(f.off.gso_size, MSS);
    assert_int_equal(((uint8_t *)f.iov[0].base)[33] & SETUP, 0);
    estab_abort(h->s, p.k);
    while (estab_output(h->s, port, &f, 1) == 1)
        ;
}

/* ---- DCTCP, RFC 8257 ---- */

static struct host *host_of_datacentre(void)
{
    struct estab_config cfg;

    estab_config_init(&cfg);
    memcpy(cfg.cc, "dctcp", 6);
    cfg.profile.quick_acks = 0;
    return host_with(&cfg);
}

/* Section 3.2: an ACK says whether what it acknowledges was marked, so where that changes there
 * are two; and CWR changes nothing. */
static void dctcp_echoes_mark_by_mark(void **state)
{
    struct host *h = host_of_datacentre();
    struct peer p = open_ecn(h);
    uint32_t begin = p.seq;

    (void)state;
    assert_int_equal(say_marked(&p, SEG_ACK, "abcd", 4, ECN_ECT0), 0); /* delayed */
    assert_int_equal(say_marked(&p, SEG_ACK, "efgh", 4, ECN_CE), 2);
    assert_int_equal(h->answers[0].g.ack.n, begin + 4);
    assert_int_equal(h->answers[0].g.flags, SEG_ACK);
    assert_int_equal(h->answers[1].g.ack.n, begin + 8);
    assert_int_equal(h->answers[1].g.flags, SEG_ACK | SEG_ECE);
    assert_int_equal(say_marked(&p, SEG_ACK | SEG_CWR, "ijkl", 4, ECN_CE), 0); /* the same */
    assert_int_equal(say_marked(&p, SEG_ACK, "mnop", 4, ECN_ECT0), 2);
    assert_int_equal(h->answers[0].g.ack.n, begin + 12);
    assert_int_equal(h->answers[0].g.flags, SEG_ACK | SEG_ECE);
    assert_int_equal(h->answers[1].g.ack.n, begin + 16);
    assert_int_equal(h->answers[1].g.flags, SEG_ACK);
    assert_int_equal(h->answers[0].ip.tos, ECN_ECT0); /* section 3.6 */
    host_end(h);
}

/* It asks for ECN where that is not forbidden; a window is cut by half of the share marked. */
static void dctcp_asks_and_counts(void **state)
{
    struct host *h = host_of_datacentre();
    struct peer p = stranger(h, 1000);
    uint32_t cwnd;

    (void)state;
    assert_int_equal(connect_active(&p, ESTAB_ECN_PASSIVE)->g.flags, SEG_SYN | SETUP);
    p = stranger(h, 1001);
    p.pport++;
    p = open_ecn(h);
    for (int i = 0; i < 60; i++) { /* windows without a mark: alpha falls */
        stack_sends(&p, 5, false);
        peer_acks(&p, 0, 0);
    }
    cwnd = info_of(&p).cwnd;
    stack_sends(&p, 5, false);
    peer_acks(&p, 0, SEG_ECE);
    assert_in_range(info_of(&p).cwnd, cwnd - cwnd / 20, cwnd - 1);
    host_end(h);
}

/* ---- Accurate ECN, RFC 9768: ACE is AE, CWR and ECE as a number ---- */

static uint8_t ace_of_answer(const struct answer *a)
{
    return (uint8_t)((a->g.reserved & SEG_AE) << 2 | (a->g.flags & SETUP) >> 6);
}

static struct sg with_ace(const struct peer *p, uint8_t flags, uint8_t ace)
{
    return (struct sg){.flags = (uint8_t)(flags | (ace & 3) << 6),
                       .reserved = ace >> 2,
                       .seq = p->seq,
                       .ack = flags & SEG_ACK ? p->ack : 0,
                       .wnd = 60000};
}

/* An AccECN option of n fields behind the count, of any kind and length. */
static void say_octets(struct peer *p, uint8_t ace, const uint8_t *opt, size_t len)
{
    struct sg s = with_ace(p, SEG_ACK, ace);
    uint8_t opts[16] = {0};

    memcpy(opts, opt, len);
    s.opts = opts;
    s.opts_len = (len + 3) & ~(size_t)3;
    send_seg(p, s);
}

static uint32_t say_ace(struct peer *p, uint8_t ace, const void *text, size_t len, uint8_t tos)
{
    struct sg s = with_ace(p, SEG_ACK, ace);
    uint32_t n;

    s.text = text;
    s.len = len;
    n = send_marked(p, s, tos);
    p->seq += (uint32_t)len;
    return n;
}

/* The peer's SYN; then the ACK of the answer. */
static struct peer open_accurate(struct host *h, uint16_t pport, uint8_t ace)
{
    static const uint8_t mss[] = {2, 4, MSS >> 8, MSS & 0xff};
    struct peer p = stranger(h, pport);
    struct sg s = with_ace(&p, SEG_SYN, 7);

    s.opts = mss;
    s.opts_len = sizeof mss;
    send_seg(&p, s);
    p.seq++;
    assert_int_equal(ace_of_answer(the_answer(&p)), 2);
    p.irs = the_answer(&p)->g.seq.n;
    p.ack = p.una = p.irs + 1;
    say_ace(&p, ace, NULL, 0, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_true(info_of(&p).ecn_accurate);
    return p;
}

/* Section 3.1.2, table 2, and section 3.1.3. */
static void table_of_a_server(void **state)
{
    static const uint8_t shake[] = {2, [ECN_ECT1] = 3, [ECN_ECT0] = 4, [ECN_CE] = 6};
    struct host *h = *state;
    uint16_t pport = 1000;

    for (uint8_t ace = 0; ace < 8; ace++)
        for (uint8_t tos = 0; tos <= ECN_CE; tos++) {
            struct peer p = stranger(h, pport++);
            uint8_t granted = shake[tos];

            if (ace == 0 || ace == 3) /* not asked; RFC 3168, whose SYN is never ECT */
                granted = ace == 3 && tos == 0;
            send_marked(&p, with_ace(&p, SEG_SYN, ace), tos);
            assert_int_equal(ace_of_answer(the_answer(&p)), granted);
            assert_int_equal(the_answer(&p)->ip.tos, 0);
        }
}

static void table_of_a_client(void **state)
{
    static const struct {
        bool ok, accurate, ect;
    } mode[8] = {[1] = {true, false, true}, [2] = {true, true, true}, [3] = {true, true, false},
                 [4] = {true, true, false}, [5] = {true, true, true}, [6] = {true, true, false}};
    struct host *h = *state;

    for (uint8_t ace = 0; ace < 8; ace++) {
        struct peer p = stranger(h, (uint16_t)(1000 + ace));

        assert_int_equal(ace_of_answer(connect_active(&p, ESTAB_ECN_ACCURATE)), 7);
        assert_int_equal(the_answer(&p)->ip.tos, 0);
        mark(h);
        send_seg(&p, with_ace(&p, SEG_SYN | SEG_ACK, ace));
        p.seq++;
        assert_int_equal(info_of(&p).ecn_ok, mode[ace].ok);
        assert_int_equal(info_of(&p).ecn_accurate, mode[ace].accurate);
        assert_int_equal(counted(h, RULE_ECN_ACCURATE), mode[ace].accurate);
        assert_int_equal(ace_of_answer(the_answer(&p)), mode[ace].accurate ? 2 : 0);
        user_sends(&p, "text", 4);
        drain(h);
        assert_int_equal(the_answer(&p)->ip.tos, mode[ace].ect ? ECN_ECT0 : 0);
        assert_int_equal(ace_of_answer(the_answer(&p)), mode[ace].accurate ? 5 : 0);
        estab_abort(h->s, p.k);
        drain(h);
    }
}

/* Section 3.1.5: one SYN asks for each kind. */
static void both_kinds_are_reset(void **state)
{
    struct host *h = *state;
    static const uint8_t cases[][2] = {{3, 7}, {7, 3}};

    for (size_t i = 0; i < 2; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        send_seg(&p, with_ace(&p, SEG_SYN, cases[i][0]));
        mark(h);
        send_seg(&p, with_ace(&p, SEG_SYN, cases[i][1]));
        assert_int_equal(the_answer(&p)->g.flags, SEG_RST | SEG_ACK);
        assert_int_equal(counted(h, RULE_ECN_MIXED), 1);
        p.seq++;
        p.ack = 1;
        say(&p, SEG_ACK, NULL, 0);
        assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), ESTAB_E_AGAIN);
    }
}

/* Section 3.1.2: each end has the mode that the other's SYN would have given it as a server. */
static void accurate_simultaneous_open(void **state)
{
    static const uint8_t answer[8] = {0, 2, 2, 1, 2, 2, 2, 2};
    struct host *h = *state;

    for (uint8_t ace = 0; ace < 8; ace++) {
        struct peer p = stranger(h, (uint16_t)(1000 + ace));
        bool accurate = answer[ace] == 2;

        connect_active(&p, ESTAB_ECN_ACCURATE);
        send_seg(&p, with_ace(&p, SEG_SYN, ace));
        assert_int_equal(ace_of_answer(the_answer(&p)), answer[ace]);
        send_seg(&p, with_ace(&p, SEG_SYN | SEG_ACK, answer[ace]));
        p.seq++;
        assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
        assert_int_equal(info_of(&p).ecn_ok, answer[ace] != 0);
        assert_int_equal(info_of(&p).ecn_accurate, accurate);
        assert_int_equal(ace_of_answer(the_answer(&p)), accurate ? 5 : 0);
        estab_abort(h->s, p.k);
        drain(h);
    }
}

/* Section 3.2.2.5.1: where there is nothing to acknowledge, the third mark has an ACK. */
static void marked_acks_are_told_of(void **state)
{
    struct peer p = open_accurate(*state, 1000, 2);

    assert_int_equal(say_ace(&p, 5, NULL, 0, ECN_CE), 0);
    assert_int_equal(say_ace(&p, 5, NULL, 0, ECN_CE), 0);
    assert_int_equal(say_ace(&p, 5, NULL, 0, ECN_CE), 1);
    assert_int_equal(ace_of_answer(the_answer(&p)), 0);
    assert_int_equal(say_ace(&p, 5, NULL, 0, ECN_ECT0), 0);
}

/* What is not acceptable does not count; what comes out of order does. */
static void what_counts(void **state)
{
    struct peer p = open_accurate(*state, 1000, 2);

    p.seq += 1u << 20;
    assert_int_equal(say_ace(&p, 5, "text", 4, ECN_CE), 1);
    assert_int_equal(ace_of_answer(the_answer(&p)), 5);
    p.seq -= (1u << 20);
    say_ace(&p, 5, "text", 4, ECN_CE);
    assert_int_equal(ace_of_answer(the_answer(&p)), 6);
    p.seq += 4;
    say_ace(&p, 5, "text", 4, ECN_CE);
    assert_int_equal(ace_of_answer(the_answer(&p)), 7);
}

/* The window is halved once for all marks of a window; CWR is a bit of the count and nothing else.
 */
static void marks_halve_the_window_once(void **state)
{
    static uint8_t text[64 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = open_accurate(h, 1000, 2);

    (void)state;
    user_sends(&p, text, 20 * MSS);
    assert_int_equal(drain(h), 20);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(ace_of_answer(&h->answers[i]), 5);
        assert_int_equal(h->answers[i].ip.tos, ECN_ECT0);
    }
    p.ack += 4 * MSS;
    say_ace(&p, 6, NULL, 0, 0);
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    p.ack += 4 * MSS;
    say_ace(&p, 0, NULL, 0, 0); /* two more, of the same window */
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    p.ack += 12 * MSS;
    say_ace(&p, 0, NULL, 0, 0);
    user_sends(&p, text, 10 * MSS);
    assert_in_range(drain(h), 10, 11);
    assert_int_equal(h->answers[0].g.flags & SETUP, SEG_ECE); /* ACE is 5: no CWR */
    p.ack += 10 * MSS;
    say_ace(&p, 1, NULL, 0, 0);
    assert_in_range(info_of(&p).cwnd, 5 * MSS, 6 * MSS);
    host_end(h);
}

/* Section 3.2.2.2: an ACK that another has overtaken says nothing; one that stays says nothing. */
static void old_counts_are_ignored(void **state)
{
    static uint8_t text[20 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = open_accurate(h, 1000, 2);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 20);
    p.ack += 16 * MSS; /* a long way: the count has not moved, so there was no mark */
    say_ace(&p, 5, NULL, 0, 0);
    assert_in_range(info_of(&p).cwnd, 20 * MSS, 40 * MSS);
    p.ack -= 8 * MSS;
    say_ace(&p, 6, NULL, 0, 0);
    p.ack += 8 * MSS;
    say_ace(&p, 4, "text", 4, 0);
    p.ack += 1 * MSS;
    say_ace(&p, 5, NULL, 0, 0);
    assert_in_range(info_of(&p).cwnd, 20 * MSS, 40 * MSS);
    host_end(h);
}

/* Table 4: the ACK of the SYN,ACK. */
static void table_of_the_third_ack(void **state)
{
    static const bool ect[8] = {[1] = true, [2] = true, [5] = true, [7] = true};
    struct host *h = *state;

    for (uint8_t ace = 0; ace < 8; ace++) {
        struct peer p = open_accurate(h, (uint16_t)(1000 + ace), ace);

        user_sends(&p, "text", 4);
        drain(h);
        assert_int_equal(the_answer(&p)->ip.tos, ect[ace] ? ECN_ECT0 : 0);
        assert_int_equal(ace_of_answer(the_answer(&p)), 5);
    }
}

/* Section 3.2.2.4: a count that is zero from the first is none. */
static void zeroed_counts_are_none(void **state)
{
    static uint8_t text[10 * MSS];
    struct host *h = host_of_window(10);
    struct peer p = open_accurate(h, 1000, 2);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 10);
    p.ack += 5 * MSS;
    say_ace(&p, 0, NULL, 0, 0);
    assert_in_range(info_of(&p).cwnd, 10 * MSS, 20 * MSS);
    assert_int_equal(counted(h, RULE_ECN_MANGLED), 1);
    p.ack += 5 * MSS;
    user_sends(&p, "text", 4);
    drain(h);
    assert_int_equal(the_answer(&p)->ip.tos, 0);
    host_end(h);
}

/* ---- the AccECN options, section 3.2.3 ---- */

#define OCTETS(n) (uint8_t)((n) >> 16), (uint8_t)((n) >> 8), (uint8_t)(n)

/* The window after n segments were acknowledged with a count that has gone round, or stands still,
 * and this option. */
static void octets_say(uint32_t n, const uint8_t *opt, size_t len, bool marked)
{
    static uint8_t text[20 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = open_accurate(h, 1000, 2);

    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 20);
    p.ack += n * MSS;
    say_octets(&p, 5, opt, len);
    if (marked)
        assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    else
        assert_in_range(info_of(&p).cwnd, 20 * MSS, 40 * MSS);
    host_end(h);
}

/* Section 3.2.2.5.2: whether the count has gone round, the octets say.  Section 3.2.3: fields are
 * left out at the end, in either order; what is longer is read as far as it is known. */
static void octets_say_whether_the_count_went_round(void **state)
{
    static const uint8_t none[] = {172, 8, OCTETS(1 + 16 * MSS), OCTETS(0)},
                         eight[] = {172, 8, OCTETS(1 + 8 * MSS), OCTETS(8 * MSS)},
                         order1[] = {174, 11, OCTETS(1), OCTETS(8 * MSS), OCTETS(1 + 8 * MSS)},
                         longer[] = {172, 13, OCTETS(1), OCTETS(8 * MSS), OCTETS(1), 9, 9},
                         shorter[] = {174, 7, OCTETS(1), 9, 9}, empty[] = {172, 2},
                         older[] = {172, 8, OCTETS(1), OCTETS(0xffff00)};

    (void)state;
    octets_say(16, none, sizeof none, false);
    octets_say(16, eight, sizeof eight, true);
    octets_say(16, order1, sizeof order1, true);
    octets_say(16, longer, sizeof longer, true);
    octets_say(16, shorter, sizeof shorter, false);
    octets_say(16, empty, sizeof empty, false);
    octets_say(16, older, sizeof older, false);
}

/* What ACE has told of is not counted again when the octets come. */
static void octets_are_counted_once(void **state)
{
    static const uint8_t two[] = {172, 8, OCTETS(1), OCTETS(2 * MSS)};
    static uint8_t text[20 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = open_accurate(h, 1000, 2);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 20);
    p.ack += 4 * MSS;
    say_ace(&p, 7, NULL, 0, 0);
    assert_int_equal(info_of(&p).cwnd, 10 * MSS);
    p.ack += 16 * MSS;
    say_ace(&p, 7, NULL, 0, 0);
    user_sends(&p, text, 10 * MSS);
    drain(h);
    p.ack += 2 * MSS;
    say_octets(&p, 7, two, sizeof two);
    assert_in_range(info_of(&p).cwnd, 10 * MSS, 12 * MSS);
    host_end(h);
}

/* ... and what was told twice is forgotten then: eight more marks are eight. */
static void octets_behind_a_guess_are_counted_whole(void **state)
{
    static const uint8_t eight[] = {172, 8, OCTETS(1), OCTETS(8 * MSS)},
                         sixteen[] = {172, 8, OCTETS(1), OCTETS(16 * MSS)};
    static uint8_t text[20 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = open_accurate(h, 1000, 2);

    (void)state;
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 20);
    p.ack += 4 * MSS;
    say_ace(&p, 1, NULL, 0, 0);
    p.ack += 4 * MSS;
    say_ace(&p, 5, NULL, 0, 0);
    p.ack += 12 * MSS;
    say_octets(&p, 5, eight, sizeof eight);
    user_sends(&p, text, 10 * MSS);
    assert_int_equal(drain(h), 10);
    p.ack += 10 * MSS;
    say_octets(&p, 5, sixteen, sizeof sixteen); /* ACE has gone round */
    assert_in_range(info_of(&p).cwnd, 5 * MSS, 6 * MSS);
    host_end(h);
}

/* A SYN,ACK fits the least link that there is. */
static void a_narrow_link_has_no_room_for_octets(void **state)
{
    static const uint8_t opts[] = {2, 4, 2, 24, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 3, 3, 7, 0};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 68};
    struct host *h = *state;
    struct estab_frame f;
    struct peer p;
    struct sg s;
    int port = estab_port_add(h->s, &caps);

    assert_int_equal(estab_addr_add(h->s, port, ip("10.0.2.1").b, 120), 0);
    p = peer_at(h, port, "10.0.2.2", "10.0.2.1", 1000);
    s = with_ace(&p, SEG_SYN, 7);
    s.opts = opts;
    s.opts_len = sizeof opts;
    send_seg(&p, s);
    assert_int_equal(estab_output(h->s, port, &f, 1), 1);
    assert_int_equal(be16_at((uint8_t *)f.iov[0].base + 2), 20 + 20 + 20);
}

/* Section 3.2.3.2.5: octets were marked, but no segment; and it is certain that the count has not
 * gone round. */
static void octets_without_segments_are_mangled(void **state)
{
    static const uint8_t one[] = {172, 8, OCTETS(1), OCTETS(MSS)};
    static uint8_t text[3 * MSS];
    struct host *h = *state;
    struct peer p = open_accurate(h, 1000, 2);

    user_sends(&p, text, sizeof text);
    drain(h);
    p.ack += 3 * MSS;
    say_octets(&p, 5, one, sizeof one);
    assert_int_equal(counted(h, RULE_ECN_MANGLED), 1);
    user_sends(&p, "text", 4);
    drain(h);
    assert_int_equal(the_answer(&p)->ip.tos, 0);
}

/* Section 3.2.3.2.4: a counter that begins with zero. */
static void zeroed_octets_are_none(void **state)
{
    static const uint8_t zeroed[] = {172, 11, OCTETS(0), OCTETS(0), OCTETS(0)},
                         eight[] = {172, 8, OCTETS(1), OCTETS(8 * MSS)};
    static uint8_t text[20 * MSS];
    struct host *h = host_of_window(20);
    struct peer p = stranger(h, 1000);

    (void)state;
    send_seg(&p, with_ace(&p, SEG_SYN, 7));
    p.seq++;
    p.irs = the_answer(&p)->g.seq.n;
    p.ack = p.una = p.irs + 1;
    say_octets(&p, 2, zeroed, sizeof zeroed);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    user_sends(&p, text, sizeof text);
    drain(h);
    p.ack += 16 * 536;
    say_octets(&p, 5, eight, sizeof eight);
    assert_in_range(info_of(&p).cwnd, 20 * 536, 40 * MSS);
    host_end(h);
}

/* Whoever cuts a long segment up leaves CWR on the first alone, but here it is a bit of the count.
 */
static void count_is_on_every_segment(void **state)
{
    static uint8_t text[4 * MSS];
    struct host *h = *state;
    struct peer p = open_accurate(h, 1000, 2);

    say_ace(&p, 5, "text", 4, ECN_CE);
    user_sends(&p, text, sizeof text);
    assert_int_equal(drain(h), 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ace_of_answer(&h->answers[i]), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(passive_grants_what_is_asked),
        hostile_test(dctcp_echoes_mark_by_mark),
        hostile_test(dctcp_asks_and_counts),
        hostile_test(table_of_a_server),
        hostile_test(table_of_a_client),
        hostile_test(table_of_the_third_ack),
        hostile_test(both_kinds_are_reset),
        hostile_test(accurate_simultaneous_open),
        hostile_test(marked_acks_are_told_of),
        hostile_test(what_counts),
        cmocka_unit_test(marks_halve_the_window_once),
        cmocka_unit_test(old_counts_are_ignored),
        cmocka_unit_test(zeroed_counts_are_none),
        hostile_test(octets_say_whether_the_count_went_round),
        hostile_test(octets_are_counted_once),
        hostile_test(octets_behind_a_guess_are_counted_whole),
        hostile_test(a_narrow_link_has_no_room_for_octets),
        hostile_test(octets_without_segments_are_mangled),
        hostile_test(zeroed_octets_are_none),
        hostile_test(count_is_on_every_segment),
        hostile_test(a_marked_syn_gets_no_ecn),
        hostile_test(off_grants_nothing),
        cmocka_unit_test(setting_is_every_sockets_default),
        hostile_test(syn_without_ecn_ends_it),
        hostile_test(active_asks),
        hostile_test(passive_does_not_ask),
        hostile_test(lost_syn_is_repeated_without_ecn),
        hostile_test(simultaneous_open),
        hostile_test(traffic_class_of_ipv6),
        hostile_test(mark_is_echoed_until_cwr),
        hostile_test(cwr_and_mark_at_once),
        hostile_test(mark_ahead_of_a_gap),
        hostile_test(marks_that_do_not_count),
        hostile_test(marked_window_probe),
        cmocka_unit_test(echo_halves_the_window_once),
        cmocka_unit_test(echo_behind_a_batch_halves_what_the_batch_let_out_too),
        cmocka_unit_test(echo_behind_a_batch_halves_no_more_than_there_is),
        hostile_test(echo_without_ecn_is_nothing),
        hostile_test(what_is_sent_again_is_not_ect),
        hostile_test(probes_are_not_ect),
        cmocka_unit_test(loss_and_mark_in_one_window),
        cmocka_unit_test(mark_after_a_loss_in_one_window),
        cmocka_unit_test(timeout_after_a_mark),
        cmocka_unit_test(window_does_not_grow_on_an_echo),
        cmocka_unit_test(window_of_one_waits_for_the_timer),
        hostile_test(cwr_goes_alone_where_the_link_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

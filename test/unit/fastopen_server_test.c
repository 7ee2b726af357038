/* SPDX-License-Identifier: BSD-2-Clause */
/* fastopen_server_test.c - TCP Fast Open as a server, RFC 7413, packet by packet. */
#include "fastopen.h"

#define QUEUE 4

/* A question in the SYN, with a cookie that was asked for before. */
static struct cookie ask(struct peer *p, const void *text, size_t len)
{
    struct cookie c;

    serve_fast(p->h, QUEUE);
    c = fetch_cookie(p->h);
    syn(p, &c, text, len);
    return c;
}

/* ---- cookies, section 4.1.2 ---- */

static void cookie_is_given_to_who_asks(void **state)
{
    static const uint8_t mss_and_cookie[] = {2, 4, 0x05, 0xb4, 34, 10};
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c = no_cookie();
    struct answer *a;

    serve_fast(h, QUEUE);
    mark(h);
    syn(&p, &c, "early", 5); /* text without a cookie is not taken */
    a = the_answer(&p);
    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK);
    assert_int_equal(a->g.ack.n, p.iss + 1);
    assert_int_equal(a->g.opt.has & OPT_FO, OPT_FO);
    assert_int_equal(a->g.opt.fo_len, 8);
    assert_false(a->g.opt.fo_exp);
    assert_memory_equal(a->b + 40, mss_and_cookie, sizeof mss_and_cookie);
    assert_int_equal(a->b[40 + 4 + 10], OPT_KIND_NOP); /* last, and padded */
    assert_int_equal(a->b[40 + 4 + 11], OPT_KIND_NOP);
    assert_int_equal(a->len, 40 + 4 + 12);
    assert_int_equal(counted(h, RULE_FASTOPEN_ASKED), 1);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), ESTAB_E_AGAIN);
    complete(&p);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_false(info_of(&p).fastopen_ok);
    assert_alive(&p);
}

static void experimental_option_in_kind(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);
    struct cookie c = no_cookie();

    serve_fast(h, QUEUE);
    c.experimental = true;
    syn(&p, &c, NULL, 0);
    c = cookie_of(&p);
    assert_true(c.experimental);
    syn(&q, &c, "early", 5);
    assert_taken(&q, 5);
}

/* Section 4.1.1: "Options with invalid Length values ... MUST be ignored." [RFC7413-4.1.1-1] */
static void impossible_cookies_are_ignored(void **state)
{
    static const uint8_t odd[] = {2, 4, 0x05, 0xb4, 34, 7, 1, 2, 3, 4, 5, 1};
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    serve_fast(h, QUEUE);
    send_seg(
        &p,
        (struct sg){
            .flags = SEG_SYN, .seq = p.seq++, .wnd = 60000, .opts = odd, .opts_len = sizeof odd});
    assert_answer(&p, SEG_SYN | SEG_ACK);
    assert_int_equal(the_answer(&p)->g.opt.has, OPT_MSS);
}

static void nothing_is_given_unless_the_listener_wants_it(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c = no_cookie();
    uint64_t val;

    assert_int_equal(estab_getopt(h->s, h->listener, ESTAB_O_FASTOPEN, &val), 0);
    assert_int_equal(val, 0);
    mark(h);
    syn(&p, &c, NULL, 0);
    assert_int_equal(the_answer(&p)->g.opt.has, OPT_MSS);
    assert_only(h, RULE_LISTEN_SYN, 1);
    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_FASTOPEN, 65536), ESTAB_E_INVAL);
    assert_int_equal(estab_setopt(h->s, h->witness->k, ESTAB_O_FASTOPEN, 1), ESTAB_E_INVAL);
}

static void cookie_goes_with_the_first_syn_ack_only(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);
    struct cookie c = no_cookie();

    serve_fast(h, QUEUE);
    syn(&p, &c, NULL, 0);
    assert_int_equal(elapse(h, ESTAB_MS(1001)), 1);
    assert_int_equal(the_answer(&p)->g.opt.has, OPT_MSS);
    syn(&q, &c, NULL, 0);
    assert_true(the_answer(&q)->g.opt.has & OPT_FO);
    send_seg(&q, (struct sg){.flags = SEG_SYN, .seq = q.iss, .wnd = 60000});
    assert_answer(&q, SEG_SYN | SEG_ACK); /* who no longer asks is no longer given */
    assert_false(the_answer(&q)->g.opt.has & OPT_FO);
}

/* [RFC7413-4.1.2-1, RFC7413-4.2.2-1] */
static void wrong_cookies_get_a_new_one(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = peer_at(h, TUN, "10.0.0.3", "10.0.0.1", 1000);
    struct cookie c, wrong;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    mark(h);
    for (uint8_t i = 0; i < 8; i++) {
        p = stranger(h, 2000 + i);
        wrong = c;
        wrong.octets[i] ^= 1;
        syn(&p, &wrong, "early", 5);
        assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
        wrong = cookie_of(&p);
        assert_memory_equal(wrong.octets, c.octets, 8);
    }
    assert_int_equal(counted(h, RULE_FASTOPEN_COOKIE), 8);
    syn(&q, &c, "early", 5); /* somebody else's */
    assert_int_equal(the_answer(&q)->g.ack.n, q.iss + 1);
    wrong = cookie_of(&q);
    assert_memory_not_equal(wrong.octets, c.octets, 8);
    p = stranger(h, 3000);
    wrong = c;
    wrong.len = 16;
    syn(&p, &wrong, "early", 5);
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), ESTAB_E_AGAIN);
}

/* A cookie is good for an hour, and for another in which a new one comes along. [RFC7413-4.1.2-2]
 */
static void secrets_take_turns(void **state)
{
    struct host *h = *state;
    struct peer p;
    struct cookie c, newer;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    elapse(h, ESTAB_S(3500));
    p = stranger(h, 2000);
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
    assert_false(the_answer(&p)->g.opt.has & OPT_FO);
    complete(&p);
    elapse(h, ESTAB_S(200));
    p = stranger(h, 2001);
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
    newer = cookie_of(&p);
    assert_memory_not_equal(newer.octets, c.octets, 8);
    complete(&p);
    elapse(h, ESTAB_S(3600));
    p = stranger(h, 2002);
    syn(&p, &c, "early", 5);
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
    p = stranger(h, 2003);
    syn(&p, &newer, "early", 5);
    assert_taken(&p, 5);
    complete(&p);
    elapse(h, ESTAB_S(100000)); /* nobody came for long */
    p = stranger(h, 2004);
    syn(&p, &newer, "early", 5);
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
}

/* Servers behind one address take each other's cookies; the key before this one is good too. */
static void secrets_can_be_shared(void **state)
{
    static const uint8_t first[16] = "the first secret", second[16] = "the second one..";
    struct host *h = *state, *other = host_with(NULL);
    struct cookie c, newer;
    struct peer p;

    serve_fast(h, QUEUE);
    serve_fast(other, QUEUE);
    estab_fastopen_key(h->s, first);
    estab_fastopen_key(other->s, first);
    c = fetch_cookie(h);
    elapse(other, ESTAB_S(100000)); /* no turns any more */
    p = stranger(other, 2000);
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
    assert_false(the_answer(&p)->g.opt.has & OPT_FO);
    complete(&p);
    estab_fastopen_key(other->s, second);
    p = stranger(other, 2001);
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
    newer = cookie_of(&p);
    assert_memory_not_equal(newer.octets, c.octets, 8);
    complete(&p);
    p = stranger(h, 2002);
    syn(&p, &newer, "early", 5); /* who has not got the new one yet does not know it */
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
    host_end(other);
}

/* ---- text before the handshake is complete, section 4.2.2 ---- */

static void text_of_the_syn_is_delivered_and_answered(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;
    uint8_t buf[64];

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    mark(h);
    assert_int_equal(estab_watch(h->s, h->listener, ESTAB_EV_IN, NULL), 0);
    syn(&p, &c, "question", 8);
    assert_taken(&p, 8);
    assert_int_equal(counted(h, RULE_FASTOPEN_ACCEPTED), 1);
    assert_int_equal(estab_ready(h->s, h->listener), ESTAB_EV_IN);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(state_of(&p), ESTAB_SYN_RECEIVED);
    assert_int_equal(estab_ready(h->s, p.k), ESTAB_EV_IN | ESTAB_EV_OUT);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 8);
    assert_memory_equal(buf, "question", 8);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 0);
    user_sends(&p, "answer", 6);
    assert_int_equal(drain(h), 1);
    assert_int_equal(the_answer(&p)->g.flags, SEG_ACK | SEG_PSH);
    assert_int_equal(the_answer(&p)->g.seq.n, p.irs + 1);
    assert_int_equal(the_answer(&p)->g.ack.n, p.seq);
    assert_memory_equal(the_answer(&p)->g.text.v[0].base, "answer", 6);
    p.ack += 6;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    p.una = p.ack;
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_true(info_of(&p).fastopen_ok);
    assert_int_equal(info_of(&p).bytes_received, 8);
    assert_int_equal(info_of(&p).bytes_acked, 6);
    assert_alive(&p);
    assert_int_equal(elapse(h, ESTAB_S(300)), 0);
}

static void all_options_together(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    syn_modern(&p, &c, "early", 5);
    assert_taken(&p, 5);
    assert_int_equal(the_answer(&p)->g.opt.has, OPT_MSS | OPT_WS | OPT_SACK_OK | OPT_TS);
    complete(&p);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_true(info_of(&p).ts_ok && info_of(&p).sack_ok);
    assert_int_equal(info_of(&p).snd_wscale, 2);
    assert_int_equal(info_of(&p).unread, 5);
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 5);
    assert_alive(&p);
}

/* As many segments as a new connection may send, before the first acknowledgment. */
static void initial_window_before_the_handshake_is_complete(void **state)
{
    static const uint8_t much[40000];
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    uint32_t before;

    (void)ask(&p, "early", 5);
    assert_taken(&p, 5);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    before = info_of(&p).cwnd;
    user_sends(&p, much, sizeof much);
    assert_int_equal(drain(h), 10);
    assert_int_equal(h->answers[9].g.seq.n + 1460, p.ack + 10 * 1460);
    p.ack += 2 * 1460;
    assert_true(say(&p, SEG_ACK, NULL, 0) >= 2);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_true(info_of(&p).cwnd >= before);
    assert_int_equal(info_of(&p).retrans, 0);
}

/* Whoever asked and heard of no room is told, though no text has been sent since. */
static void room_in_a_larger_buffer_before_the_handshake_is_complete(void **state)
{
    static const uint8_t text[5000];
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct estab_event ev;

    (void)ask(&p, "early", 5);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    user_sends(&p, text, sizeof text);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_SNDBUF, sizeof text), 0);
    estab_watch(h->s, p.k, ESTAB_EV_OUT, NULL);
    while (estab_events(h->s, &ev, 1) == 1)
        continue;
    assert_false(estab_ready(h->s, p.k) & ESTAB_EV_OUT);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_SNDBUF, 20000), 0);
    assert_int_equal(state_of(&p), ESTAB_SYN_RECEIVED);
    assert_int_equal(estab_events(h->s, &ev, 1), 1);
    assert_int_equal(ev.mask, ESTAB_EV_OUT);
}

static void cookie_without_text(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    (void)ask(&p, NULL, 0);
    assert_taken(&p, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    user_sends(&p, "welcome", 7);
    assert_int_equal(drain(h), 1);
    p.ack += 7;
    say(&p, SEG_ACK, NULL, 0);
    p.una = p.ack;
    assert_false(info_of(&p).fastopen_ok);
    assert_alive(&p);
}

static void text_beyond_the_window_is_not_taken(void **state)
{
    static const uint8_t much[3000];
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_RCVBUF, 2048), 0);
    (void)ask(&p, much, sizeof much);
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1 + 2048);
    assert_int_equal(the_answer(&p)->g.wnd, 0);
}

static void syn_with_fin_is_refused_as_ever(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;
    uint8_t opts[40];

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    mark(h);
    assert_int_equal(send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_FIN,
                                              .seq = p.seq,
                                              .wnd = 60000,
                                              .opts = opts,
                                              .opts_len = cookie_opts(opts, &c)}),
                     0);
    assert_only(h, RULE_SYN_FIN, 1);
}

/* ---- duplicates and losses ---- */

static void the_syn_again_delivers_nothing_again(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;
    uint8_t buf[64];

    c = ask(&p, "once", 4);
    assert_taken(&p, 4);
    for (int i = 0; i < 3; i++) { /* a copy; then the client's repetition, without text */
        p.seq = p.iss;
        if (i < 2)
            syn(&p, &c, "once", 4);
        else
            send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq, .wnd = 60000});
        assert_taken(&p, 4);
    }
    p.seq = p.iss + 5;
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 4);
    complete(&p);
    syn_at(&p, p.iss, &c, "once", 4); /* RFC 5961 section 4.2 */
    assert_acked(&p);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), ESTAB_E_AGAIN);
    assert_alive(&p);
}

/* Section 2.1: where no TIME-WAIT is left, nothing tells a copy from a new connection. */
static void a_copy_after_the_end_is_a_second_connection(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;
    uint8_t buf[64];

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    for (int i = 0; i < 2; i++) {
        p = stranger(h, 1000);
        syn(&p, &c, "twice", 5);
        assert_taken(&p, 5);
        assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
        assert_int_equal(user_reads(&p, buf, sizeof buf), 5);
        complete(&p);
        peer_shuts(&p);
        assert_int_equal(estab_close(h->s, p.k), 0);
        drain(h);
        p.ack++;
        say(&p, SEG_ACK, NULL, 0);
        assert_int_equal(state_of(&p), ESTAB_CLOSED);
    }
}

/* ... and where one is left, it does. */
static void a_copy_meets_time_wait(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;
    uint8_t buf[64];

    c = ask(&p, "once", 4);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 4);
    complete(&p);
    user_shuts(&p);
    say(&p, SEG_ACK, NULL, 0);
    peer_shuts(&p);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    syn_at(&p, p.iss, &c, "once", 4);
    assert_acked(&p);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), ESTAB_E_AGAIN);
}

static void lost_syn_ack_is_repeated(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    elapse(h, ESTAB_S(3700)); /* so that a new one comes along */
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
    assert_true(the_answer(&p)->g.opt.has & OPT_FO);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    user_sends(&p, "answer", 6);
    drain(h);
    assert_int_equal(elapse(h, ESTAB_MS(1001)), 1);
    assert_taken(&p, 5);
    assert_false(the_answer(&p)->g.opt.has & OPT_FO);
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_int_equal(info_of(&p).cwnd, 1460); /* RFC 5681 section 3.1 */
    assert_true(elapse(h, ESTAB_S(4)) > 0);   /* nor has the text arrived */
    assert_memory_equal(h->answers[0].g.text.v[0].base, "answer", 6);
    p.ack += 6;
    say(&p, SEG_ACK, NULL, 0);
    p.una = p.ack;
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 5);
    assert_alive(&p);
}

/* Nobody is answered who has said nothing but a SYN, and the user who was told of it is told. */
static void nobody_at_the_other_end(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);
    struct estab_iov v = {(uint8_t[8]){0}, 8};
    struct cookie c;

    c = ask(&p, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    syn(&q, &c, "early", 5);
    assert_int_equal(elapse(h, ESTAB_S(100)), 2 * 5);
    assert_int_equal(h->nanswers, 0);
    assert_int_equal(estab_recv(h->s, p.k, &v, 1, 0), ESTAB_E_TIMEOUT);
    assert_int_equal(estab_accept(h->s, h->listener, &q.k, NULL), ESTAB_E_AGAIN);
    assert_int_equal(state_of(&q), ESTAB_CLOSED);
    assert_int_equal(estab_close(h->s, p.k), 0);
}

static void reset_before_the_handshake_is_complete(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);
    struct estab_iov v = {(uint8_t[8]){0}, 8};
    struct cookie c;

    c = ask(&p, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    say(&p, SEG_RST, NULL, 0);
    assert_int_equal(estab_recv(h->s, p.k, &v, 1, 0), ESTAB_E_RESET);
    assert_int_equal(estab_close(h->s, p.k), 0);
    syn(&q, &c, "early", 5);
    say(&q, SEG_RST, NULL, 0);
    assert_int_equal(estab_ready(h->s, h->listener), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &q.k, NULL), ESTAB_E_AGAIN);
    assert_int_equal(state_of(&q), ESTAB_CLOSED);
}

/* ---- bounds, section 5.1 ---- */

static void pending_connections_are_bounded(void **state)
{
    struct host *h = *state;
    struct peer p[QUEUE + 2];
    struct cookie c;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    mark(h);
    for (uint16_t i = 0; i < QUEUE + 1; i++) {
        p[i] = stranger(h, 1000 + i);
        syn(&p[i], &c, "early", 5);
        assert_int_equal(the_answer(&p[i])->g.ack.n, p[i].iss + 1 + (i < QUEUE ? 5 : 0));
        assert_false(the_answer(&p[i])->g.opt.has & OPT_FO);
    }
    assert_int_equal(counted(h, RULE_FASTOPEN_LIMIT), 1);
    complete(&p[0]);
    p[QUEUE + 1] = stranger(h, 1000 + QUEUE + 1);
    syn(&p[QUEUE + 1], &c, "early", 5);
    assert_taken(&p[QUEUE + 1], 5);
}

/* Or whoever spoofs addresses would have the victims' RSTs make room. [RFC7413-5.1-1] */
static void those_that_were_reset_count_on(void **state)
{
    struct host *h = *state;
    struct peer p;
    struct cookie c;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    for (uint16_t i = 0; i < QUEUE; i++) {
        p = stranger(h, 1000 + i);
        syn(&p, &c, "early", 5);
        assert_taken(&p, 5);
        say(&p, SEG_RST, NULL, 0);
    }
    p = stranger(h, 2000);
    syn(&p, &c, "early", 5);
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
    elapse(h, ESTAB_S(59));
    p = stranger(h, 2001);
    syn(&p, &c, "early", 5);
    assert_int_equal(the_answer(&p)->g.ack.n, p.iss + 1);
    elapse(h, ESTAB_S(62));
    p = stranger(h, 2002);
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
}

static void backlog_bounds_them_too(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);
    struct cookie c;

    serve_fast(h, QUEUE);
    c = fetch_cookie(h);
    assert_int_equal(estab_listen(h->s, h->listener, 1), 0);
    syn(&p, &c, "early", 5);
    assert_taken(&p, 5);
    assert_int_equal(syn(&q, &c, "early", 5), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    syn(&q, &c, "early", 5);
    assert_taken(&q, 5);
}

static void a_connections_failure_is_not_anothers(void **state)
{
    struct host *h = *state;
    struct peer p;
    struct cookie c;

    serve_fast(h, 1);
    c = fetch_cookie(h);
    for (uint16_t i = 0; i < 20; i++) {
        p = stranger(h, 1000 + i);
        syn(&p, &c, "early", 5);
        assert_taken(&p, 5);
        assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
        assert_int_equal(estab_abort(h->s, p.k), 0); /* the user's own business */
        drain(h);
    }
}

/* ---- the user's calls before the handshake is complete ---- */

static void close_with_an_answer_queued(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    (void)ask(&p, "question", 8);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 8);
    user_sends(&p, "answer", 6);
    assert_int_equal(estab_close(h->s, p.k), 0);
    drain(h);
    assert_int_equal(the_answer(&p)->g.text.len, 6);
    assert_false(the_answer(&p)->g.flags & SEG_FIN);
    p.ack += 6;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(the_answer(&p)->g.flags, SEG_FIN | SEG_ACK);
    p.ack++;
    say(&p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
}

static void close_with_nothing_to_say(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct cookie c;

    c = ask(&p, "question", 8);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 8);
    assert_int_equal(estab_close(h->s, p.k), 0);
    assert_int_equal(drain(h), 0);
    assert_int_equal(state_of(&p), ESTAB_FIN_WAIT_1);
    syn_at(&p, p.iss, &c, "question", 8);
    assert_taken(&p, 8);
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(the_answer(&p)->g.flags, SEG_FIN | SEG_ACK);
    p.ack++;
    say(&p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
}

static void close_with_the_question_unread(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    (void)ask(&p, "question", 8);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(estab_close(h->s, p.k), 0);
    drain(h);
    assert_int_equal(the_answer(&p)->g.flags, SEG_RST | SEG_ACK);
    assert_int_equal(the_answer(&p)->g.seq.n, p.ack);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

static void listener_closes_before(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);
    struct cookie c;

    c = ask(&p, "early", 5);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    syn(&q, &c, "early", 5);
    assert_int_equal(estab_close(h->s, h->listener), 0);
    drain(h);
    assert_answer(&q, SEG_RST | SEG_ACK); /* nobody will accept it */
    host_listens(h, 1024);
    complete(&p);
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 5);
    assert_alive(&p);
}

/* ---- no memory: an ordinary SYN, or none ---- */

static void no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct host *h = host_with(NULL);
        struct peer p = stranger(h, 1000);
        struct cookie c;
        uint64_t tried;
        uint32_t taken;

        serve_fast(h, QUEUE);
        c = fetch_cookie(h);
        h->te.fail_at = h->te.allocs + n;
        syn(&p, &c, "early", 5);
        tried = h->te.allocs - (h->te.fail_at - n);
        h->te.fail_at = 0;
        if (h->nanswers == 0) {
            p.seq = p.iss;
            syn(&p, &c, NULL, 0);
        }
        taken = the_answer(&p)->g.ack.n - p.iss - 1;
        assert_true(taken == 0 || taken == 5);
        p.seq = p.iss + 1 + taken;
        if (taken < 5)
            say(&p, SEG_ACK, "early", 5);
        else
            complete(&p);
        assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
        assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 5);
        drain(h);
        assert_alive(&p);
        host_end(h);
        if (tried < n)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(cookie_is_given_to_who_asks),
        hostile_test(experimental_option_in_kind),
        hostile_test(impossible_cookies_are_ignored),
        hostile_test(nothing_is_given_unless_the_listener_wants_it),
        hostile_test(cookie_goes_with_the_first_syn_ack_only),
        hostile_test(wrong_cookies_get_a_new_one),
        hostile_test(secrets_take_turns),
        hostile_test(secrets_can_be_shared),
        hostile_test(text_of_the_syn_is_delivered_and_answered),
        hostile_test(all_options_together),
        hostile_test(initial_window_before_the_handshake_is_complete),
        hostile_test(room_in_a_larger_buffer_before_the_handshake_is_complete),
        hostile_test(cookie_without_text),
        hostile_test(text_beyond_the_window_is_not_taken),
        hostile_test(syn_with_fin_is_refused_as_ever),
        hostile_test(the_syn_again_delivers_nothing_again),
        hostile_test(a_copy_after_the_end_is_a_second_connection),
        hostile_test(a_copy_meets_time_wait),
        hostile_test(lost_syn_ack_is_repeated),
        hostile_test(nobody_at_the_other_end),
        hostile_test(reset_before_the_handshake_is_complete),
        hostile_test(pending_connections_are_bounded),
        hostile_test(those_that_were_reset_count_on),
        hostile_test(backlog_bounds_them_too),
        hostile_test(a_connections_failure_is_not_anothers),
        hostile_test(close_with_an_answer_queued),
        hostile_test(close_with_nothing_to_say),
        hostile_test(close_with_the_question_unread),
        hostile_test(listener_closes_before),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

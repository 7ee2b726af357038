/* SPDX-License-Identifier: BSD-2-Clause */
/* fastopen_client_test.c - TCP Fast Open as a client, RFC 7413, packet by packet. */
#include "fastopen.h"

static const struct cookie good = {.octets = {1, 2, 3, 4, 5, 6, 7, 8}, .len = 8};

/* ---- both ends of an opening ---- */

static void begin_connect(struct peer *p, uint16_t lport)
{
    struct estab_addr to = {.port = p->pport}, from = {.port = lport};

    memcpy(to.ip, p->ip.b, 16);
    memcpy(from.ip, p->host_ip.b, 16);
    p->lport = lport;
    assert_int_equal(estab_socket(p->h->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_setopt(p->h->s, p->k, ESTAB_O_FASTOPEN, 1), 0);
    assert_int_equal(estab_bind(p->h->s, p->k, &from), 0);
    assert_int_equal(estab_connect(p->h->s, p->k, &to), ESTAB_E_INPROGRESS);
}

/* The stack's SYN, which must be the only frame. */
static const struct seg *the_syn(struct peer *p)
{
    const struct seg *g = &the_answer(p)->g;

    assert_int_equal(g->flags & (SEG_SYN | SEG_ACK), SEG_SYN);
    p->irs = p->una = g->seq.n;
    p->ack = p->irs + 1 + g->text.len;
    return g;
}
static const struct seg *syn_now(struct peer *p)
{
    drain(p->h);
    return the_syn(p);
}

/* Our SYN,ACK, of the SYN and `taken` octets of its text. */
static uint32_t syn_ack(struct peer *p, const struct cookie *c, uint32_t taken)
{
    static const uint8_t mss[] = {2, 4, 0x05, 0xb4};
    uint8_t opts[40];
    uint32_t n;

    n = send_seg(p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                                .seq = p->seq,
                                .ack = p->irs + 1 + taken,
                                .wnd = 60000,
                                .opts = c ? opts : mss,
                                .opts_len = c ? cookie_opts(opts, c) : sizeof mss});
    p->iss = p->seq++;
    p->una = p->irs + 1 + taken;
    return n;
}

static void end(const struct peer *p)
{
    assert_int_equal(estab_abort(p->h->s, p->k), 0);
    drain(p->h);
}

/* A connection that brings this cookie. */
static void learn(struct host *h, uint16_t pport, const struct cookie *c)
{
    struct peer p = stranger(h, pport);

    begin_connect(&p, 4000);
    assert_int_equal(syn_now(&p)->opt.has & OPT_FO, OPT_FO);
    syn_ack(&p, c, 0);
    end(&p);
}

/* Text in the SYN: the cookie was learnt before. */
static void send_in_syn(struct peer *p, const void *text, size_t len)
{
    learn(p->h, 1000, &good);
    begin_connect(p, 5000);
    user_sends(p, text, len);
    syn_now(p);
}

static bool asks(const struct seg *g)
{
    return (g->opt.has & OPT_FO) && g->opt.fo_len == 0;
}
static bool offers(const struct seg *g, const struct cookie *c)
{
    return (g->opt.has & OPT_FO) && g->opt.fo_len == c->len && g->opt.fo_exp == c->experimental &&
           memcmp(g->opt.fo, c->octets, c->len) == 0;
}

/* What the next SYN to this server says. */
static bool next_syn_offers(struct host *h, uint16_t pport, const struct cookie *c)
{
    struct peer p = stranger(h, pport);
    bool does;

    begin_connect(&p, 4001);
    (void)user_reads(&p, (uint8_t[1]){0}, 1);
    does = offers(syn_now(&p), c);
    end(&p);
    return does;
}
static bool next_syn_is_plain(struct host *h, uint16_t pport)
{
    struct peer p = stranger(h, pport);
    bool is;

    begin_connect(&p, 4002);
    is = !(syn_now(&p)->opt.has & OPT_FO);
    end(&p);
    return is;
}

/* ---- cookies, section 4.1.3 ---- */

/* [RFC7413-4.1.3-1] */
static void first_connection_asks_and_second_sends(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    const struct seg *g;

    begin_connect(&p, 5000);
    g = syn_now(&p);
    assert_true(asks(g));
    assert_int_equal(g->text.len, 0);
    syn_ack(&p, &good, 0);
    assert_acked(&p);
    assert_alive(&p);
    assert_false(info_of(&p).fastopen_ok);

    p = stranger(h, 1000);
    mark(h);
    begin_connect(&p, 5001);
    assert_int_equal(drain(h), 0); /* until there is something to say */
    assert_int_equal(estab_ready(h->s, p.k), ESTAB_EV_OUT);
    user_sends(&p, "question", 8);
    g = syn_now(&p);
    assert_true(offers(g, &good));
    assert_int_equal(g->flags, SEG_SYN);
    assert_int_equal(g->text.len, 8);
    assert_memory_equal(g->text.v[0].base, "question", 8);
    assert_int_equal(the_answer(&p)->b[40 + 20 + 10], OPT_KIND_NOP);
    assert_int_equal(the_answer(&p)->b[40 + 20 + 11], OPT_KIND_NOP);
    assert_int_equal(the_answer(&p)->len, 40 + 20 + 12 + 8);
    assert_int_equal(syn_ack(&p, NULL, 8), 1);
    assert_acked(&p);
    assert_int_equal(counted(h, RULE_FASTOPEN_TAKEN), 1);
    assert_true(info_of(&p).fastopen_ok);
    assert_int_equal(info_of(&p).bytes_acked, 8);
    assert_int_equal(info_of(&p).retrans, 0);
    assert_alive(&p);
    assert_int_equal(elapse(h, ESTAB_S(300)), 0);
}

static void not_asked_for_is_not_done(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    user_connects(&p, 5000);
    assert_false(the_answer(&p)->g.opt.has & OPT_FO);
}

static void one_cookie_for_each_destination(void **state)
{
    static const struct cookie another = {.octets = {9, 9, 9, 9}, .len = 4};
    struct host *h = *state;

    learn(h, 1000, &good);
    learn(h, 1001, &another);
    assert_true(next_syn_offers(h, 1000, &good));
    assert_true(next_syn_offers(h, 1001, &another));
}

static void cookies_of_every_length_and_kind(void **state)
{
    struct host *h = *state;
    uint16_t pport = 1000;

    for (uint8_t len = 4; len <= TCP_FO_MAX; len += 2) {
        for (int experimental = 0; experimental < 2; experimental++, pport++) {
            struct cookie c = {.octets = {7, 6, 5}, .len = len, .experimental = experimental};

            learn(h, pport, &c);
            assert_true(next_syn_offers(h, pport, &c));
        }
    }
}

/* With everything else that a SYN can say there are 40 octets of options: the user timeout, which
 * the next segment says too, makes room (RFC 5482 section 3). */
static void long_cookies_leave_no_room_for_the_user_timeout(void **state)
{
    struct host *h = *state;
    uint16_t pport = 1000;

    for (uint8_t len = 4; len <= TCP_FO_MAX; len += 2) {
        for (int experimental = 0; experimental < 2; experimental++, pport++) {
            struct cookie c = {.octets = {7, 6, 5}, .len = len, .experimental = experimental};
            struct estab_addr to = {.port = pport}, from = {.port = 4001};
            struct peer p = stranger(h, pport);
            const struct seg *g;

            learn(h, pport, &c);
            p.lport = from.port;
            memcpy(to.ip, p.ip.b, 16);
            memcpy(from.ip, p.host_ip.b, 16);
            assert_int_equal(estab_socket(h->s, ESTAB_TCP, &p.k), 0);
            assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_FASTOPEN, 1), 0);
            assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_ADV_USER_TIMEOUT, ESTAB_S(60)), 0);
            assert_int_equal(estab_bind(h->s, p.k, &from), 0);
            assert_int_equal(estab_connect(h->s, p.k, &to), ESTAB_E_INPROGRESS);
            user_sends(&p, "text", 4);
            g = syn_now(&p);
            assert_true(offers(g, &c));
            assert_int_equal(g->text.len, 4);
            assert_int_equal(!(g->opt.has & OPT_UTO), len + 2 * experimental > 14);
            syn_ack(&p, NULL, 4);
            assert_true(the_answer(&p)->g.opt.has & OPT_UTO);
            end(&p);
        }
    }
}

static void a_new_cookie_replaces_the_old(void **state)
{
    static const struct cookie newer = {.octets = {8, 7, 6, 5, 4, 3, 2, 1}, .len = 8};
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "text", 4);
    mark(h);
    syn_ack(&p, &newer, 0); /* the old one is good no longer: no reason to despair */
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 0);
    assert_true(next_syn_offers(h, 1000, &newer));
}

static void memory_for_cookies_is_bounded(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct estab_stack_info n = {.size = sizeof n};
    uint32_t kept = 0;
    size_t before;

    (void)state;
    estab_config_init(&cfg);
    cfg.fastopen_cache = 8;
    h = host_with(&cfg);
    for (uint16_t i = 0; i < 100; i++) {
        learn(h, 1000 + i, &good);
        estab_stack_info(h->s, &n);
        if (i == 20)
            before = n.mem_used;
        if (i > 20)
            assert_int_equal(n.mem_used, before);
    }
    assert_true(next_syn_offers(h, 1099, &good)); /* the latest is always there */
    for (uint16_t i = 0; i < 100; i++) {
        struct peer p = stranger(h, 1000 + i);

        begin_connect(&p, 5000);
        kept += drain(h) == 0;
        end(&p);
    }
    assert_in_range(kept, 1, 8);
    host_end(h);
}

static void no_memory_for_cookies(void **state)
{
    struct estab_config cfg;
    struct host *h;

    (void)state;
    estab_config_init(&cfg);
    cfg.fastopen_cache = 0;
    h = host_with(&cfg);
    assert_true(next_syn_is_plain(h, 1000));
    host_end(h);
    for (uint64_t n = 1;; n++) {
        struct peer p;
        struct estab_addr to = {.port = 1000};
        bool refused;

        h = host_with(NULL);
        p = stranger(h, 1000);
        memcpy(to.ip, p.ip.b, 16);
        assert_int_equal(estab_socket(h->s, ESTAB_TCP, &p.k), 0);
        assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_FASTOPEN, 1), 0);
        h->te.fail_at = h->te.allocs + n;
        refused = estab_connect(h->s, p.k, &to) == ESTAB_E_NOMEM;
        n = h->te.allocs < h->te.fail_at ? 0 : n;
        h->te.fail_at = 0;
        if (refused)
            assert_int_equal(estab_connect(h->s, p.k, &to), ESTAB_E_INPROGRESS);
        assert_int_equal(drain(h), 1);
        p.lport = h->answers[0].g.sport;
        p.ack = h->answers[0].g.seq.n + 1;
        p.irs = p.ack - 1;
        syn_ack(&p, &good, 0);
        assert_alive(&p);
        host_end(h);
        if (n == 0)
            return;
    }
}

/* ---- how much text, section 4.2.2 ---- */

/* [RFC7413-4.1.3-2] */
static void no_more_than_the_server_takes(void **state)
{
    static const uint8_t much[8000],
        small_mss[] = {2, 4, 2, 0x18, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1};
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    begin_connect(&p, 5000);
    syn_now(&p);
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq,
                             .ack = p.ack,
                             .wnd = 60000,
                             .opts = small_mss,
                             .opts_len = sizeof small_mss});
    end(&p);
    p = stranger(h, 1000);
    begin_connect(&p, 5001);
    user_sends(&p, much, sizeof much);
    assert_int_equal(syn_now(&p)->text.len, 536 - 32);

    learn(h, 1001, &good);
    p = stranger(h, 1001);
    begin_connect(&p, 5002);
    user_sends(&p, much, sizeof much);
    assert_int_equal(syn_now(&p)->text.len, 1460 - 32);
    assert_int_equal(the_answer(&p)->len, 1500);
    assert_int_equal(syn_ack(&p, NULL, 1460 - 32), 5);
    assert_int_equal(h->answers[0].g.seq.n, p.una);
    p.ack = p.irs + 1 + sizeof much;
    assert_int_equal(h->answers[4].g.seq.n + h->answers[4].g.text.len, p.ack);
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_int_equal(info_of(&p).bytes_acked, sizeof much);
    assert_int_equal(info_of(&p).retrans, 0);
    assert_alive(&p);
}

/* ---- the SYN waits ---- */

static void who_listens_first_need_not_say_anything(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    assert_int_equal(drain(h), 0);
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 0);
    assert_true(offers(syn_now(&p), &good));
    assert_int_equal(the_syn(&p)->text.len, 0);
    syn_ack(&p, NULL, 0);
    mark(h);
    assert_alive(&p);
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 0);
}

static void it_does_not_wait_for_ever(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    assert_int_equal(elapse(h, ESTAB_MS(199)), 0);
    assert_int_equal(elapse(h, ESTAB_MS(2)), 1);
    assert_true(offers(the_syn(&p), &good));
    syn_ack(&p, NULL, 0);
    assert_alive(&p);
}

/* Text that is lent goes behind the handshake; what was copied before it, with the SYN. */
static void lent_text_is_not_in_the_syn(void **state)
{
    struct host *h = *state;
    struct estab_iov v = {(uint8_t[]){"lent"}, 4};

    learn(h, 1000, &good);
    for (uint32_t copied = 0; copied < 8; copied += 7) {
        struct peer p = stranger(h, 1000);

        begin_connect(&p, (uint16_t)(5000 + copied));
        if (copied)
            user_sends(&p, "copied ", copied);
        assert_int_equal(estab_send_lend(h->s, p.k, &v, 1, 0), 4);
        assert_int_equal(syn_now(&p)->text.len, copied);
        assert_int_equal(syn_ack(&p, NULL, copied), 1);
        assert_int_equal(the_answer(&p)->g.seq.n, p.una);
        assert_int_equal(the_answer(&p)->g.text.len, 4);
        assert_memory_equal(the_answer(&p)->g.text.v[0].base, "lent", 4);
        assert_int_equal(estab_send_lent(h->s, p.k), 4);
        p.ack += 4;
        assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
        assert_int_equal(estab_send_lent(h->s, p.k), 0);
        end(&p);
    }
}

/* It was told that it may send: what it sent is no less sent for being closed soon. */
static void send_and_close(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    user_sends(&p, "message", 7);
    assert_int_equal(estab_close(h->s, p.k), 0);
    assert_int_equal(syn_now(&p)->text.len, 7);
    assert_int_equal(syn_ack(&p, NULL, 7), 1);
    assert_int_equal(the_answer(&p)->g.flags, SEG_FIN | SEG_ACK);
    p.ack++;
    say(&p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
}

static void close_without_a_word(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct estab_iov v = {(uint8_t[]){'x'}, 1};

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    assert_int_equal(elapse(h, ESTAB_MS(100)), 0);
    assert_int_equal(estab_shutdown(h->s, p.k, ESTAB_SHUT_WR), 0);
    assert_int_equal(estab_shutdown(h->s, p.k, ESTAB_SHUT_WR), ESTAB_E_PIPE);
    assert_int_equal(estab_send(h->s, p.k, &v, 1, 0), ESTAB_E_PIPE);
    assert_int_equal(syn_now(&p)->text.len, 0);
    assert_int_equal(syn_ack(&p, NULL, 0), 1);
    assert_int_equal(the_answer(&p)->g.flags, SEG_FIN | SEG_ACK);
    assert_int_equal(state_of(&p), ESTAB_FIN_WAIT_1);
    p.ack++;
    say(&p, SEG_ACK, "answer", 6);
    assert_int_equal(user_reads(&p, (uint8_t[8]){0}, 8), 6);
}

static void what_waits_can_be_aborted(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    assert_int_equal(estab_abort(h->s, p.k), 0);
    assert_int_equal(drain(h), 0);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
    assert_true(next_syn_offers(h, 1000, &good));
}

/* Nobody answers, nobody asks any more: nothing stays behind. */
static void send_and_close_in_vain(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    user_sends(&p, "message", 7);
    assert_int_equal(estab_close(h->s, p.k), 0);
    assert_int_equal(syn_now(&p)->text.len, 7);
    assert_int_equal(elapse(h, ESTAB_S(256)), 7);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

static void event_says_that_it_waits(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct estab_addr to = {.port = 1000};
    struct estab_why_info why = {.size = sizeof why};
    struct estab_event ev;
    char text[200];

    learn(h, 1000, &good);
    memcpy(to.ip, p.ip.b, 16);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &p.k), 0);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_FASTOPEN, 1), 0);
    assert_int_equal(estab_watch(h->s, p.k, ESTAB_EV_OUT, NULL), 0);
    while (estab_events(h->s, &ev, 1) == 1)
        ;
    assert_int_equal(estab_connect(h->s, p.k, &to), ESTAB_E_INPROGRESS);
    assert_int_equal(estab_events(h->s, &ev, 1), 1);
    assert_int_equal(ev.mask, ESTAB_EV_OUT);
    assert_int_equal(estab_why(h->s, p.k, &why), 0);
    assert_int_equal(why.why, ESTAB_WHY_SYN_HELD);
    (void)estab_why_text(&why, text, sizeof text);
    assert_string_equal(text, "the SYN waits for the first octets to send (Fast Open) for 0 us, "
                              "at most another 200 ms");
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_FASTOPEN, 0), ESTAB_E_INVAL);
    assert_int_equal(estab_close(h->s, p.k), 0);
}

/* ---- when the text is not taken ---- */

/* [RFC7413-4.2.2-2] */
static void refused_text_goes_again_at_once(void **state)
{
    static const uint8_t much[3000];
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    user_sends(&p, much, sizeof much);
    assert_int_equal(syn_now(&p)->text.len, 1428);
    mark(h);
    assert_int_equal(syn_ack(&p, NULL, 0), 3);
    assert_int_equal(h->answers[0].g.seq.n, p.irs + 1);
    assert_int_equal(h->answers[0].g.text.len, 1428);
    assert_int_equal(h->answers[0].g.flags & SEG_SYN, 0);
    assert_int_equal(counted(h, RULE_FASTOPEN_REFUSED), 1);
    assert_int_equal(counted(h, RULE_FAST_RETRANSMIT), 0);
    assert_int_equal(info_of(&p).cwnd, 10 * 1460); /* nothing was lost */
    assert_false(info_of(&p).fastopen_ok);
    p.ack = p.irs + 1 + sizeof much;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_alive(&p);
    /* section 4.1.3.1, for a while */
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 1);
    assert_true(next_syn_is_plain(h, 1000));
    elapse(h, ESTAB_S(59));
    assert_true(next_syn_is_plain(h, 1000));
    elapse(h, ESTAB_S(2));
    assert_true(next_syn_offers(h, 1000, &good));
}

static void part_of_the_text_is_taken(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "question", 8);
    assert_int_equal(syn_ack(&p, NULL, 5), 1);
    assert_int_equal(the_answer(&p)->g.seq.n, p.irs + 6);
    assert_int_equal(the_answer(&p)->g.text.len, 3);
    assert_memory_equal(the_answer(&p)->g.text.v[0].base, "ion", 3);
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_int_equal(info_of(&p).bytes_acked, 8);
    assert_alive(&p);
}

static void acknowledgment_of_more_than_was_sent(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "question", 8);
    syn_ack(&p, NULL, 9);
    assert_answer(&p, SEG_RST);
    assert_int_equal(state_of(&p), ESTAB_SYN_SENT);
}

static void refused_text_lost_again(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "question", 8);
    assert_int_equal(syn_ack(&p, NULL, 0), 1);
    assert_int_equal(elapse(h, info_of(&p).rto + ESTAB_MS(1)), 1);
    assert_int_equal(the_answer(&p)->g.seq.n, p.irs + 1);
    assert_int_equal(the_answer(&p)->g.text.len, 8);
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_alive(&p);
}

/* ---- when the SYN is not answered ---- */

static void lost_syn_goes_again_without_text_or_option(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "question", 8);
    mark(h);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(elapse(h, i ? ESTAB_MS(2001) : ESTAB_MS(1001)), 1);
        assert_int_equal(the_answer(&p)->g.flags, SEG_SYN);
        assert_int_equal(the_answer(&p)->g.seq.n, p.irs);
        assert_int_equal(the_answer(&p)->g.text.len, 0);
        assert_false(the_answer(&p)->g.opt.has & OPT_FO);
    }
    assert_int_equal(syn_ack(&p, NULL, 0), 1);
    assert_int_equal(the_answer(&p)->g.text.len, 8);
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_alive(&p);
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 1);
    assert_true(next_syn_is_plain(h, 1000));
}

/* The server has had all of it: only its answer was lost. */
static void lost_syn_ack(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "question", 8);
    assert_int_equal(elapse(h, ESTAB_MS(1001)), 1);
    assert_int_equal(the_answer(&p)->g.text.len, 0);
    mark(h);
    assert_int_equal(syn_ack(&p, NULL, 8), 1);
    assert_acked(&p);
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 0);
    assert_alive(&p);
    assert_true(next_syn_offers(h, 1000, &good));
}

static void who_drops_the_question_for_a_cookie(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    begin_connect(&p, 5000);
    assert_true(asks(syn_now(&p)));
    assert_int_equal(elapse(h, ESTAB_MS(1001)), 1);
    assert_false(the_answer(&p)->g.opt.has & OPT_FO);
    syn_ack(&p, NULL, 0);
    assert_alive(&p);
    assert_true(next_syn_is_plain(h, 1000));
    elapse(h, ESTAB_S(61));
    p = stranger(h, 1000);
    begin_connect(&p, 5001);
    assert_true(asks(syn_now(&p)));
}

/* Who has no cookies to give is asked again: that costs nothing. */
static void who_ignores_the_question(void **state)
{
    struct host *h = *state;

    for (uint16_t i = 0; i < 3; i++) {
        struct peer p = stranger(h, 1000);

        begin_connect(&p, 5000 + i);
        assert_true(asks(syn_now(&p)));
        syn_ack(&p, NULL, 0);
        assert_alive(&p);
    }
}

/* [RFC7413-4.1.3.1-1] */
static void each_failure_doubles_the_pause(void **state)
{
    struct host *h = *state;
    estab_dur pause = ESTAB_S(60);

    learn(h, 1000, &good);
    for (int i = 0; i < 10; i++) {
        struct peer p = stranger(h, 1000);

        begin_connect(&p, 5000);
        user_sends(&p, "text", 4);
        assert_true(offers(syn_now(&p), &good));
        syn_ack(&p, NULL, 0);
        end(&p);
        elapse(h, pause - ESTAB_S(1));
        assert_true(next_syn_is_plain(h, 1000));
        elapse(h, ESTAB_S(2));
        if (i < 7)
            pause *= 2;
    }
    {
        struct peer p = stranger(h, 1000);

        begin_connect(&p, 5000);
        user_sends(&p, "text", 4);
        syn_now(&p);
        syn_ack(&p, NULL, 4); /* all is well again */
        end(&p);
        p = stranger(h, 1000);
        begin_connect(&p, 5000);
        user_sends(&p, "text", 4);
        syn_now(&p);
        syn_ack(&p, NULL, 0);
        end(&p);
        elapse(h, ESTAB_S(61));
        assert_true(next_syn_offers(h, 1000, &good));
    }
}

static void no_answer_at_all(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    user_sends(&p, "text", 4);
    mark(h);
    syn_now(&p);
    assert_int_equal(elapse(h, ESTAB_S(256)), 7);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 1);
    assert_true(next_syn_is_plain(h, 1000));
    assert_int_equal(estab_close(h->s, p.k), 0);
}

static void icmp_says_no(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct packet k;
    uint8_t msg[8 + 28];

    send_in_syn(&p, "text", 4);
    memset(msg, 0, 8);
    msg[0] = ICMP4_UNREACH;
    msg[1] = 13; /* administratively prohibited */
    memcpy(msg + 8, the_answer(&p)->b, 28);
    packet_icmp(&k, p.ip.b, p.host_ip.b, 64, msg, sizeof msg);
    mark(h);
    feed(h, TUN, &k);
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
    assert_int_equal(counted(h, RULE_FASTOPEN_FAILED), 1);
    assert_true(next_syn_is_plain(h, 1000));
}

/* A closed port says nothing about Fast Open. */
static void reset_is_not_held_against_it(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "text", 4);
    send_seg(&p, (struct sg){.flags = SEG_RST | SEG_ACK, .ack = p.ack});
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
    assert_true(next_syn_offers(h, 1000, &good));
}

/* ---- with the rest of TCP ---- */

static void simultaneous_open(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    send_in_syn(&p, "text", 4);
    send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq, .wnd = 60000});
    assert_answer(&p, SEG_SYN | SEG_ACK);
    assert_int_equal(the_answer(&p)->g.seq.n, p.irs);
    assert_int_equal(the_answer(&p)->g.text.len, 0);
    assert_false(the_answer(&p)->g.opt.has & OPT_FO);
    p.seq++;
    p.ack = p.irs + 1;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 1); /* the SYN alone was taken */
    assert_int_equal(the_answer(&p)->g.seq.n, p.irs + 1);
    assert_int_equal(the_answer(&p)->g.text.len, 4);
    p.ack += 4;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_alive(&p);
}

static void with_ecn(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct estab_addr to = {.port = 1000};
    const struct seg *g;

    learn(h, 1000, &good);
    memcpy(to.ip, p.ip.b, 16);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &p.k), 0);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_FASTOPEN, 1), 0);
    assert_int_equal(estab_setopt(h->s, p.k, ESTAB_O_ECN, ESTAB_ECN_ACTIVE), 0);
    assert_int_equal(estab_connect(h->s, p.k, &to), ESTAB_E_INPROGRESS);
    user_sends(&p, "text", 4);
    drain(h);
    p.lport = h->answers[0].g.sport;
    g = the_syn(&p);
    assert_int_equal(g->flags, SEG_SYN | SEG_ECE | SEG_CWR);
    assert_int_equal(g->text.len, 4);
    assert_int_equal(the_answer(&p)->ip.tos, 0); /* RFC 3168 section 6.1.1: whatever it carries */
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK | SEG_ECE,
                             .seq = p.seq++,
                             .ack = p.irs + 1,
                             .wnd = 60000});
    assert_int_equal(the_answer(&p)->g.text.len, 4);
    assert_int_equal(the_answer(&p)->ip.tos, 0); /* section 6.1.5: sent again */
    say(&p, SEG_ACK, NULL, 0);
    user_sends(&p, "more", 4);
    drain(h);
    assert_int_equal(the_answer(&p)->ip.tos, ECN_ECT0);
}

static void urgent_text_waits_for_the_handshake(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);
    struct estab_iov v = {(uint8_t[]){'!'}, 1};

    learn(h, 1000, &good);
    begin_connect(&p, 5000);
    assert_int_equal(estab_send(h->s, p.k, &v, 1, ESTAB_MSG_OOB), 1);
    assert_int_equal(syn_now(&p)->text.len, 0);
    assert_int_equal(syn_ack(&p, NULL, 0), 1);
    assert_int_equal(the_answer(&p)->g.flags & SEG_URG, SEG_URG);
}

static void over_ipv6(void **state)
{
    struct host *h = *state;
    struct peer p = peer_at(h, TUN, "2001:db8::2", "2001:db8::1", 1000);

    begin_connect(&p, 5000);
    assert_true(asks(syn_now(&p)));
    syn_ack(&p, &good, 0);
    assert_alive(&p);
    p = peer_at(h, TUN, "2001:db8::2", "2001:db8::1", 1000);
    begin_connect(&p, 5001);
    user_sends(&p, "question", 8);
    assert_true(offers(syn_now(&p), &good));
    syn_ack(&p, NULL, 8);
    assert_alive(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(first_connection_asks_and_second_sends),
        hostile_test(not_asked_for_is_not_done),
        hostile_test(one_cookie_for_each_destination),
        hostile_test(cookies_of_every_length_and_kind),
        hostile_test(long_cookies_leave_no_room_for_the_user_timeout),
        hostile_test(a_new_cookie_replaces_the_old),
        cmocka_unit_test(memory_for_cookies_is_bounded),
        cmocka_unit_test(no_memory_for_cookies),
        hostile_test(no_more_than_the_server_takes),
        hostile_test(who_listens_first_need_not_say_anything),
        hostile_test(it_does_not_wait_for_ever),
        hostile_test(lent_text_is_not_in_the_syn),
        hostile_test(send_and_close),
        hostile_test(close_without_a_word),
        hostile_test(what_waits_can_be_aborted),
        hostile_test(send_and_close_in_vain),
        hostile_test(event_says_that_it_waits),
        hostile_test(refused_text_goes_again_at_once),
        hostile_test(part_of_the_text_is_taken),
        hostile_test(acknowledgment_of_more_than_was_sent),
        hostile_test(refused_text_lost_again),
        hostile_test(lost_syn_goes_again_without_text_or_option),
        hostile_test(lost_syn_ack),
        hostile_test(who_drops_the_question_for_a_cookie),
        hostile_test(who_ignores_the_question),
        hostile_test(each_failure_doubles_the_pause),
        hostile_test(no_answer_at_all),
        hostile_test(icmp_says_no),
        hostile_test(reset_is_not_held_against_it),
        hostile_test(simultaneous_open),
        hostile_test(with_ecn),
        hostile_test(urgent_text_waits_for_the_handshake),
        hostile_test(over_ipv6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

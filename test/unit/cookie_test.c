/* SPDX-License-Identifier: BSD-2-Clause */
/* cookie_test.c - a listener under more SYNs than it has room for: SYN cookies (RFC 4987), the
 * overflow policy, and the bound on answers. */
#include "hostile.h"

#define BACKLOG 4

static struct host *host_cookies(enum estab_syn_cookies when, uint32_t backlog)
{
    struct estab_config cfg;
    struct host *h;

    estab_config_init(&cfg);
    cfg.syn_cookies = (uint8_t)when;
    h = host_with(&cfg);
    assert_int_equal(estab_listen(h->s, h->listener, backlog), 0);
    return h;
}

/* n half-open connections of peers that will not answer. */
static void flood(struct host *h, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        struct peer p = stranger(h, (uint16_t)(20000 + i));

        open_half(&p, NULL, 0);
    }
}
static struct host *host_full(void)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, BACKLOG);

    flood(h, BACKLOG);
    mark(h);
    return h;
}

static struct estab_tcp_info listener_info(struct host *h)
{
    struct estab_tcp_info i = {.size = sizeof i};

    assert_int_equal(estab_tcp_info(h->s, h->listener, &i), 0);
    return i;
}
static uint32_t syn(struct peer *p)
{
    return send_seg(p, (struct sg){.flags = SEG_SYN, .seq = p->seq, .wnd = 1000});
}

/* ---- only when the queue is full ---- */

static void a_cookie_only_when_the_backlog_is_full(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, BACKLOG);
    struct footprint before;
    struct peer p = stranger(h, 1000);

    (void)state;
    mark(h);
    flood(h, BACKLOG);
    assert_int_equal(counted(h, RULE_COOKIE_SENT), 0);
    assert_int_equal(listener_info(h).synq, BACKLOG);
    before = footprint_of(h);
    open_half(&p, modern, sizeof modern);
    assert_int_equal(counted(h, RULE_COOKIE_SENT), 1);
    assert_untouched(h, &before);
    host_end(h);
}

static void a_cookie_when_all_half_open_entries_are_taken(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p;

    (void)state;
    estab_config_init(&cfg);
    cfg.max_synq = 3;
    h = host_with(&cfg);
    flood(h, 3);
    mark(h);
    p = stranger(h, 1000);
    open_passive_with(&p, modern, sizeof modern);
    assert_int_equal(counted(h, RULE_COOKIE_SENT), 1);
    assert_int_equal(counted(h, RULE_COOKIE_ACCEPTED), 1);
    assert_alive(&p);
    host_end(h);
}

static void never_and_always(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_NEVER, BACKLOG);
    struct peer p = stranger(h, 1000);

    (void)state;
    flood(h, BACKLOG);
    mark(h);
    assert_int_equal(syn(&p), 0);
    assert_only(h, RULE_BACKLOG_FULL, 1);
    host_end(h);

    h = host_cookies(ESTAB_COOKIES_ALWAYS, BACKLOG);
    mark(h);
    flood(h, 100);
    assert_only(h, RULE_COOKIE_SENT, 100);
    assert_int_equal(listener_info(h).synq, 0);
    p = stranger(h, 1000);
    open_modern(&p);
    assert_alive(&p);
    host_end(h);
}

/* RFC 4987 section 3: the bound of all listeners together, without cookies. */
static void never_is_silence_beyond_all_entries(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p;

    (void)state;
    estab_config_init(&cfg);
    cfg.syn_cookies = ESTAB_COOKIES_NEVER;
    cfg.max_synq = 3;
    h = host_with(&cfg);
    flood(h, 3);
    p = stranger(h, 1000);
    mark(h);
    assert_int_equal(syn(&p), 0);
    assert_only(h, RULE_SYNQ_FULL, 1);
    host_end(h);
}

static void without_memory_for_anything_a_cookie_costs_none(void **state)
{
    struct host *h = host_full();
    struct peer p = stranger(h, 1000);

    (void)state;
    h->te.fail_at = h->te.allocs + 1;
    open_half(&p, modern, sizeof modern);
    h->te.fail_at = 0;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    host_end(h);
}

/* ---- what is kept ---- */

static size_t put_options(uint8_t *o, uint16_t mss, int shift, bool sack, bool ts)
{
    size_t n = 0;

    memset(o, 1, 40);
    if (mss) {
        o[n++] = 2;
        o[n++] = 4;
        be16_put(o + n, mss);
        n += 2;
    }
    if (sack) {
        o[n++] = 4;
        o[n++] = 2;
    }
    if (ts) {
        o[n++] = 8;
        o[n++] = 10;
        be32_put(o + n, 50000);
        be32_put(o + n + 4, 0);
        n += 8;
    }
    if (shift >= 0) {
        o[n++] = 3;
        o[n++] = 3;
        o[n++] = (uint8_t)shift;
    }
    return (n + 3) & ~(size_t)3;
}

/* Every window shift, SACK or not, timestamps or not. */
static void options_survive(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, 1024);
    uint16_t port = 1000;

    (void)state;
    for (int ts = 0; ts < 2; ts++) {
        for (int sack = 0; sack < 2; sack++) {
            for (int shift = -1; shift <= 14; shift++) {
                struct peer p = stranger(h, port++);
                struct estab_tcp_info i;
                uint8_t o[40];

                open_passive_with(&p, o, put_options(o, 1460, shift, sack, ts));
                i = info_of(&p);
                assert_int_equal(i.ts_ok, ts);
                assert_int_equal(i.sack_ok, sack);
                assert_int_equal(i.snd_mss, ts ? 1448 : 1460);
                assert_int_equal(i.rcv_wscale > 0, shift >= 0);
                if (ts || shift < 0)
                    assert_int_equal(i.snd_wscale, shift < 0 ? 0 : shift);
                else
                    assert_in_range(i.snd_wscale,
                                    shift > 10 ? 10 : shift - (shift > 8 || shift & 1), shift);
                assert_alive(&p);
            }
        }
    }
    host_end(h);
}

/* No more than the peer takes, and little less: within a 128th of ours with timestamps; one of
 * seven usual sizes without. */
static void segment_size_survives(void **state)
{
    static const uint16_t usual[] = {536, 1220, 1300, 1360, 1400, 1440, 1460};
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, 4096);
    uint16_t port = 1000;

    (void)state;
    for (uint16_t mss = 88; mss <= 2000; mss += 4) {
        struct peer p = stranger(h, port++);
        uint16_t takes = mss < 1460 ? mss : 1460;
        uint8_t o[40];

        open_passive_with(&p, o, put_options(o, mss, 7, true, true));
        assert_in_range(info_of(&p).snd_mss + 12, takes < 100 ? 88 : takes - 12, takes);
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        for (uint16_t more = 0; more < 20; more += 19) {
            struct peer p = stranger(h, port++);
            uint8_t o[40];

            open_passive_with(&p, o, put_options(o, usual[i] + more, 7, true, false));
            assert_int_equal(info_of(&p).snd_mss, usual[i]);
        }
    }
    host_end(h);
}

static void over_ipv6_and_ethernet(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, BACKLOG);
    struct peer a = peer_at(h, TUN, "2001:db8::2", "2001:db8::1", 1000);
    struct peer b = peer_at(h, TAP, "10.0.1.2", "10.0.1.1", 1000);
    struct peer c = peer_at(h, TAP, "2001:db8:1::2", "2001:db8:1::1", 1000);

    (void)state;
    open_modern(&a);
    assert_alive(&a);
    open_modern(&b);
    assert_alive(&b);
    open_passive(&c);
    assert_alive(&c);
    host_end(h);
}

/* RFC 7323: TSval does not go back from the SYN,ACK to what follows, at any time. */
static void timestamps_go_on(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, 1024);

    (void)state;
    for (uint16_t i = 0; i < 100; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));
        uint32_t first;

        h->te.now += ESTAB_MS(1);
        open_modern(&p);
        first = p.ts_ecr;
        user_sends(&p, "x", 1);
        drain(h);
        assert_in_range(the_answer(&p)->g.opt.ts_val - first, 0, 31);
    }
    host_end(h);
}

/* ... and its echo, whose low bits are the options, times nothing: the next one does. */
static void the_echo_of_options_is_no_round_trip(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, 1024);

    (void)state;
    for (uint16_t i = 0; i < 100; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        h->te.now += ESTAB_MS(1);
        open_modern(&p);
        assert_int_equal(info_of(&p).srtt, 0);
    }
    host_end(h);
}

/* The same of an entry of the queue whose number is a cookie. */
static void nor_is_that_of_an_entry_that_could_be_displaced(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, BACKLOG);
    struct peer p[BACKLOG];

    (void)state;
    for (uint16_t i = 0; i < BACKLOG; i++) {
        p[i] = stranger(h, (uint16_t)(1000 + i));
        h->te.now += ESTAB_MS(1);
        open_half(&p[i], modern, sizeof modern);
    }
    elapse(h, ESTAB_MS(1100)); /* the SYN,ACK was sent again: only an echo could tell */
    for (uint16_t i = BACKLOG / 2 + 1; i < BACKLOG; i++) {
        assert_int_equal(say(&p[i], SEG_ACK, NULL, 0), 0);
        assert_int_equal(estab_accept(h->s, h->listener, &p[i].k, NULL), 0);
        assert_int_equal(info_of(&p[i]).srtt, 0);
    }
    host_end(h);
}

static void text_with_the_ack_is_delivered(void **state)
{
    struct host *h = host_full();
    struct peer p = stranger(h, 1000);
    uint8_t buf[16];

    (void)state;
    open_half(&p, modern, sizeof modern);
    say(&p, SEG_ACK | SEG_PSH | SEG_FIN, "hello", 5);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(state_of(&p), ESTAB_CLOSE_WAIT);
    host_end(h);
}

/* The backlog bounds both queues together (RFC 9293 section 3.9.1.2), cookies or not. */
static void what_comes_back_takes_the_place_of_the_oldest(void **state)
{
    struct host *h = host_full();

    (void)state;
    elapse(h, ESTAB_MS(1100));
    mark(h);
    for (uint16_t i = 0; i < BACKLOG; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        open_half(&p, modern, sizeof modern);
        assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
        assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
        assert_int_equal(listener_info(h).acceptq, i + 1);
        assert_int_equal(listener_info(h).synq, BACKLOG - i - 1);
    }
    assert_int_equal(counted(h, RULE_SYNQ_RECYCLED), BACKLOG);
    host_end(h);
}

/* ... but no ACK that is under way finds its place gone for good (RFC 4987 section 3.3: a
 * legitimate connection may be the one that is ended): from a half full queue on the number of
 * every SYN,ACK is a cookie, so that its ACK brings back who was displaced; others are not, for an
 * RTO. */
static void who_is_displaced_comes_back_too(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, BACKLOG);
    struct peer p[BACKLOG], late;

    (void)state;
    for (uint16_t i = 0; i < BACKLOG; i++) {
        p[i] = stranger(h, (uint16_t)(1000 + i));
        open_half(&p[i], modern, sizeof modern);
    }
    for (uint16_t i = 0; i < BACKLOG; i++) {
        late = stranger(h, (uint16_t)(2000 + i));
        open_modern(&late);
        assert_alive(&late);
        late = stranger(h, (uint16_t)(3000 + i));
        open_half(&late, NULL, 0); /* its place is taken again */
        assert_int_equal(listener_info(h).synq, BACKLOG);
    }
    elapse(h, ESTAB_MS(300));
    for (uint16_t i = 0; i < BACKLOG; i++) {
        assert_int_equal(say(&p[i], SEG_ACK, NULL, 0), 0);
        assert_int_equal(estab_accept(h->s, h->listener, &p[i].k, NULL), 0);
        assert_alive(&p[i]);
    }
    host_end(h);
}

/* Once: an old duplicate of the ACK, after the connection's end, is no cookie. */
static void a_number_that_is_a_cookie_makes_one_connection(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, BACKLOG);
    struct peer p = stranger(h, 1000), again;

    (void)state;
    flood(h, BACKLOG - 1);
    open_half(&p, modern, sizeof modern);
    (void)syn(&(struct peer){.h = h, .ip = p.ip, .host_ip = p.host_ip, .pport = 999, .lport = 80});
    again = p;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_alive(&p);
    estab_abort(h->s, p.k);
    drain(h);
    mark(h);
    assert_int_equal(say(&again, SEG_ACK, NULL, 0), 1);
    assert_answer(&again, SEG_RST);
    assert_int_equal(counted(h, RULE_COOKIE_USED), 1);
    again.seq--; /* nor after one of its SYN */
    assert_int_equal(syn(&again), 1);
    assert_answer(&again, SEG_SYN | SEG_ACK);
    again.seq++;
    assert_int_equal(say(&again, SEG_ACK, NULL, 0), 1);
    assert_answer(&again, SEG_RST);
    host_end(h);
}

/* ---- what is not accepted ---- */

static void forged_acks_make_no_connection(void **state)
{
    struct host *h = host_full();
    struct peer p = stranger(h, 1000);
    struct footprint before;

    (void)state;
    open_half(&p, NULL, 0); /* a cookie is out, so ACKs are looked at */
    before = footprint_of(h);
    mark(h);
    for (uint32_t i = 0; i < 5000; i++) {
        struct peer q = stranger(h, (uint16_t)(1 + test_rand_below(&h->te, 60000)));

        q.seq = (uint32_t)test_rand(&h->te);
        q.ack = (uint32_t)test_rand(&h->te);
        if (q.pport >= 20000 && q.pport < 20000 + BACKLOG)
            continue;
        assert_int_equal(say(&q, SEG_ACK, NULL, 0), 1);
        assert_answer(&q, SEG_RST);
        assert_int_equal(the_answer(&q)->g.seq.n, q.ack);
    }
    assert_in_range(counted(h, RULE_COOKIE_FORGED), 4900, 5000);
    assert_int_equal(counted(h, RULE_COOKIE_ACCEPTED), 0);
    assert_untouched(h, &before);
    host_end(h);
}

/* One bit anywhere: numbers, ports, address, the options' echo. */
static void no_bit_of_it_may_change(void **state)
{
    struct host *h = host_full();
    struct peer p = stranger(h, 1000);

    (void)state;
    open_half(&p, modern, sizeof modern);
    for (int bit = 0; bit < 32; bit++) {
        struct peer q = p;

        q.ack ^= 1u << bit;
        say(&q, SEG_ACK, NULL, 0);
        q = p;
        q.seq ^= 1u << bit;
        say(&q, SEG_ACK, NULL, 0);
        q = p;
        q.pport ^= (uint16_t)(bit < 16 ? 1u << bit : 0);
        q.ip.b[12 + bit / 16] ^= (uint8_t)(bit < 16 ? 0 : 1u << bit % 8);
        say(&q, SEG_ACK, NULL, 0);
        q = p;
        q.ts_ecr ^= 1u << bit % 5;
        say(&q, SEG_ACK, NULL, 0);
    }
    p.ts = false;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(counted(h, RULE_COOKIE_ACCEPTED), 0);
    p.ts = true;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(counted(h, RULE_COOKIE_ACCEPTED), 1);
    host_end(h);
}

/* The third segment and the text behind it were lost; a repeated SYN,ACK draws an ACK of what the
 * peer has sent.  An RST for it would end a connection that the retransmission is about to begin.
 */
static void an_ack_whose_text_was_lost_is_not_reset(void **state)
{
    struct host *h = host_full();
    struct peer p = stranger(h, 1000), q = stranger(h, 1001), forger;
    uint8_t buf[16];

    (void)state;
    open_half(&p, modern, sizeof modern);
    open_half(&q, modern, sizeof modern);
    mark(h);
    p.seq += 4;
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    p.seq += 4;
    assert_int_equal(say(&p, SEG_FIN | SEG_ACK, NULL, 0), 0);
    assert_only(h, RULE_COOKIE_AHEAD, 2);
    p.seq -= 9;
    say(&p, SEG_ACK | SEG_PSH, "lost", 4);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 4);

    /* the echo is no help to who does not know it */
    forger = q;
    forger.seq++;
    forger.ts_ecr = p.ts_ecr;
    assert_int_equal(say(&forger, SEG_ACK, NULL, 0), 1);
    assert_answer(&forger, SEG_RST);
    host_end(h);
}

static void an_ack_is_judged_as_ever_while_no_cookie_is_out(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, BACKLOG);
    struct peer p = stranger(h, 1000);

    (void)state;
    mark(h);
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 1);
    assert_only(h, RULE_LISTEN_ACK, 1);
    host_end(h);
}

static void secrets_grow_old(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, BACKLOG);
    struct peer p = stranger(h, 1000), q = stranger(h, 1001), r = stranger(h, 1002);

    (void)state;
    open_half(&p, modern, sizeof modern);
    open_half(&q, modern, sizeof modern);
    elapse(h, ESTAB_S(63));
    open_half(&r, modern, sizeof modern); /* the same secret still */
    elapse(h, ESTAB_S(64));
    assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    elapse(h, ESTAB_S(2));
    assert_int_equal(say(&q, SEG_ACK, NULL, 0), 1);
    assert_answer(&q, SEG_RST);
    assert_int_equal(say(&r, SEG_ACK, NULL, 0), 1);
    assert_answer(&r, SEG_RST);
    host_end(h);
}

static void an_old_secret_is_good_beside_the_new_one(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, BACKLOG);
    struct peer p = stranger(h, 1000), q = stranger(h, 1001), r = stranger(h, 1002);

    (void)state;
    open_half(&p, modern, sizeof modern);
    elapse(h, ESTAB_S(65));
    open_half(&q, modern, sizeof modern);
    say(&p, SEG_ACK, NULL, 0);
    say(&q, SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_int_equal(state_of(&q), ESTAB_ESTABLISHED);
    elapse(h, ESTAB_S(65));
    open_half(&r, modern, sizeof modern); /* takes the place of p's secret */
    say(&r, SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&r), ESTAB_ESTABLISHED);
    host_end(h);
}

/* RFC 9293 section 3.4: no octet of an old incarnation is delivered. */
static void a_cookie_makes_one_connection(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_ALWAYS, BACKLOG);
    struct peer p = stranger(h, 1000), old;
    uint8_t buf[16];

    (void)state;
    open_half(&p, modern, sizeof modern);
    old = p;
    say(&p, SEG_ACK | SEG_PSH, "once", 4);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 4);
    say(&p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(estab_close(h->s, p.k), 0);
    drain(h);
    p.ack++;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(state_of(&p), ESTAB_CLOSED); /* LAST-ACK is over: nothing is remembered */
    mark(h);
    assert_int_equal(say(&old, SEG_ACK | SEG_PSH, "once", 4), 1);
    assert_answer(&old, SEG_RST);
    assert_only(h, RULE_COOKIE_USED, 1);
    assert_int_equal(listener_info(h).acceptq, 0);
    host_end(h);
}

/* ---- the user does not accept ---- */

static void an_unaccepted_backlog_is_not_overtaken(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, 2);
    struct peer a = stranger(h, 1000), b = stranger(h, 1001), c = stranger(h, 1002);
    struct peer d = stranger(h, 1003);
    uint8_t buf[32];

    (void)state;
    open_half(&a, modern, sizeof modern);
    open_half(&b, modern, sizeof modern);
    open_half(&c, modern, sizeof modern); /* a cookie: the entries of a and b fill the backlog */
    say(&a, SEG_ACK, NULL, 0);
    say(&b, SEG_ACK, NULL, 0);
    mark(h);
    assert_int_equal(syn(&d), 0);
    assert_only(h, RULE_BACKLOG_FULL, 1);

    /* c has no place; nothing it sends is answered, least of all by an RST */
    assert_int_equal(say(&c, SEG_ACK, NULL, 0), 0);
    assert_int_equal(say(&c, SEG_ACK | SEG_PSH, "first ", 6), 0);
    assert_int_equal(say(&c, SEG_ACK | SEG_PSH, "second", 6), 0);
    assert_int_equal(counted(h, RULE_COOKIE_ACCEPTED), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &a.k, NULL), 0);

    /* now there is one: its retransmission brings the cookie once more */
    assert_int_equal(say(&c, SEG_ACK | SEG_PSH, "third", 5), 0);
    c.seq -= 17;
    say(&c, SEG_ACK | SEG_PSH, "first ", 6);
    say(&c, SEG_ACK | SEG_PSH, "second", 6);
    assert_int_equal(estab_accept(h->s, h->listener, &b.k, NULL), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &c.k, NULL), 0);
    assert_int_equal(user_reads(&c, buf, sizeof buf), 12);
    assert_memory_equal(buf, "first second", 12);
    host_end(h);
}

static void overflow_can_be_refused_aloud(void **state)
{
    struct estab_config cfg;
    struct host *h;
    struct peer p, q;

    (void)state;
    estab_config_init(&cfg);
    cfg.listen_overflow = ESTAB_OVERFLOW_RST;
    h = host_with(&cfg);
    assert_int_equal(estab_listen(h->s, h->listener, 1), 0);
    p = stranger(h, 1000);
    q = stranger(h, 1001);
    open_half(&p, NULL, 0);
    open_half(&q, NULL, 0); /* a cookie */
    say(&p, SEG_ACK, NULL, 0);
    mark(h);
    assert_int_equal(say(&q, SEG_ACK, NULL, 0), 1);
    assert_answer(&q, SEG_RST);
    q = stranger(h, 1002);
    assert_int_equal(syn(&q), 1);
    assert_answer(&q, SEG_RST | SEG_ACK);
    assert_int_equal(the_answer(&q)->g.ack.n, q.seq + 1);
    assert_only(h, RULE_BACKLOG_RST, 2);
    assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
    assert_alive(&p);
    host_end(h);
}

/* RFC 9293 section 3.6.1: TIME-WAIT does not end for a SYN that then finds no room. */
static void time_wait_outlives_a_syn_without_room(void **state)
{
    struct host *h = host_cookies(ESTAB_COOKIES_WHEN_FULL, 1);
    struct peer p = stranger(h, 1000), q = stranger(h, 1001);

    (void)state;
    bring_to(&p, ESTAB_TIME_WAIT);
    assert_int_equal(estab_close(h->s, p.k), 0);
    open_half(&q, NULL, 0);
    mark(h);
    p.seq += 100000;
    assert_int_equal(syn(&p), 0);
    assert_only(h, RULE_BACKLOG_FULL, 1);
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
    assert_int_equal(say(&q, SEG_ACK, NULL, 0), 0);
    assert_int_equal(estab_accept(h->s, h->listener, &q.k, NULL), 0);
    assert_int_equal(syn(&p), 1);
    assert_answer(&p, SEG_SYN | SEG_ACK);
    assert_int_equal(state_of(&p), ESTAB_SYN_RECEIVED);
    host_end(h);
}

/* ---- answers without a connection are bounded ---- */

static void resets_are_limited(void **state)
{
    struct estab_config cfg;
    struct host *h;
    uint32_t answers[8], total = 0;
    bool differ = false;

    (void)state;
    estab_config_init(&cfg);
    cfg.rst_rate = 200;
    h = host_with(&cfg);
    for (int second = 0; second < 8; second++) {
        answers[second] = 0;
        mark(h);
        for (uint16_t i = 0; i < 1000; i++) {
            struct peer p = stranger(h, (uint16_t)(1000 + i));

            answers[second] += say(&p, SEG_ACK, NULL, 0);
        }
        assert_in_range(answers[second], 150, 200);
        assert_int_equal(counted(h, RULE_RST_RATE), 1000 - answers[second]);
        differ |= answers[second] != answers[0];
        total += answers[second];
        h->te.now += ESTAB_S(1);
    }
    assert_true(differ); /* an exact number would be a side channel (RFC 5961 section 7) */
    host_end(h);

    cfg.rst_rate = 0;
    h = host_with(&cfg);
    for (uint16_t i = 0; i < 1000; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        assert_int_equal(say(&p, SEG_ACK, NULL, 0), 1);
    }
    host_end(h);
    assert_true(total > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_only_when_the_backlog_is_full),
        cmocka_unit_test(a_cookie_when_all_half_open_entries_are_taken),
        cmocka_unit_test(never_and_always),
        cmocka_unit_test(never_is_silence_beyond_all_entries),
        cmocka_unit_test(without_memory_for_anything_a_cookie_costs_none),
        cmocka_unit_test(options_survive),
        cmocka_unit_test(segment_size_survives),
        cmocka_unit_test(over_ipv6_and_ethernet),
        cmocka_unit_test(timestamps_go_on),
        cmocka_unit_test(the_echo_of_options_is_no_round_trip),
        cmocka_unit_test(nor_is_that_of_an_entry_that_could_be_displaced),
        cmocka_unit_test(text_with_the_ack_is_delivered),
        cmocka_unit_test(what_comes_back_takes_the_place_of_the_oldest),
        cmocka_unit_test(who_is_displaced_comes_back_too),
        cmocka_unit_test(a_number_that_is_a_cookie_makes_one_connection),
        cmocka_unit_test(forged_acks_make_no_connection),
        cmocka_unit_test(no_bit_of_it_may_change),
        cmocka_unit_test(an_ack_whose_text_was_lost_is_not_reset),
        cmocka_unit_test(an_ack_is_judged_as_ever_while_no_cookie_is_out),
        cmocka_unit_test(secrets_grow_old),
        cmocka_unit_test(an_old_secret_is_good_beside_the_new_one),
        cmocka_unit_test(a_cookie_makes_one_connection),
        cmocka_unit_test(an_unaccepted_backlog_is_not_overtaken),
        cmocka_unit_test(overflow_can_be_refused_aloud),
        cmocka_unit_test(time_wait_outlives_a_syn_without_room),
        cmocka_unit_test(resets_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

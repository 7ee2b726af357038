/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_w_test.c - the end of connections: TIME-WAIT, incarnations that follow each other, clocks
 * and numbers that jump or wrap meanwhile; and handles, frames and stacks that end while something
 * else still uses them.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

static const uint8_t *options_at(uint32_t ts_val)
{
    static uint8_t o[sizeof modern];

    memcpy(o, modern, sizeof o);
    be32_put(o + 8, ts_val);
    return o;
}

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

/* And with the FIN the text that it followed, whose ACK was lost as well. */
static void w1_the_last_ack_and_those_before(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 1000);

    open_passive(&p);
    user_shuts(&p);
    say(&p, SEG_ACK, NULL, 0);
    say(&p, SEG_ACK | SEG_PSH, "last words", 10);
    peer_shuts(&p);
    for (int n = 0; n < 5; n++) {
        elapse(h, ESTAB_S(50));
        p.seq -= 11;
        say(&p, SEG_FIN | SEG_ACK | SEG_PSH, "last words", 10);
        assert_acked(&p);
    }
    assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
}

/* ---- W2: duplicates of one incarnation's SYN, ACK, text, FIN and RST arrive in the next, at every
 * point of it, also after early reuse by timestamp or by number: what is delivered is what was
 * sent ---- */

enum { HELD_MAX = 32, POINTS = 8 };
struct held { /* what the network keeps of an incarnation */
    struct sg s[HELD_MAX];
    uint8_t opts[HELD_MAX][sizeof modern];
    uint32_t n;
};
enum end {                       /* of the first incarnation, and what tells the second from it */
           TIME_WAIT_AND_TIME,   /* TIME-WAIT here; timestamps */
           TIME_WAIT_AND_NUMBER, /* TIME-WAIT here; the number alone */
           NOTHING_AND_TIME,     /* the peer closed first, LAST-ACK is over; timestamps */
           NOTHING_AND_NUMBER,
           ENDS
};

static void keep(struct held *o, struct sg s)
{
    assert_true(o->n < HELD_MAX);
    if (s.opts_len) {
        memcpy(o->opts[o->n], s.opts, s.opts_len);
        s.opts = o->opts[o->n];
    }
    o->s[o->n++] = s;
}
/* As say(), and a copy stays in the network. */
static uint32_t tell(struct peer *p, struct held *o, uint8_t flags, const char *text)
{
    uint8_t opts[12];

    put_ts(opts, ++p->ts_val, p->ts_ecr);
    keep(o, (struct sg){.flags = flags,
                        .seq = p->seq,
                        .ack = p->ack,
                        .wnd = 60000,
                        .text = text,
                        .len = strlen(text),
                        .opts = opts,
                        .opts_len = p->ts ? sizeof opts : 0});
    return say(p, flags, text, strlen(text));
}
/* All of it, as it was sent and backwards. */
static void come_late(const struct peer *p, const struct held *o)
{
    for (uint32_t i = 0; i < o->n; i++)
        send_seg(p, o->s[i]);
    for (uint32_t i = o->n; i-- > 0;)
        send_seg(p, o->s[i]);
}

/* An honest peer's active OPEN: a SYN each second; what does not acknowledge it is reset. */
static void peer_opens(struct peer *p, struct held *o, bool ts)
{
    struct sg syn = {.flags = SEG_SYN, .seq = p->seq, .wnd = 60000};
    struct answer a;

    for (int tries = 0; tries < 10; tries++) {
        syn.opts = options_at(++p->ts_val);
        syn.opts_len = ts ? sizeof modern : 0;
        keep(o, syn);
        send_seg(p, syn);
        a = p->h->answers[0];
        if (p->h->nanswers && a.g.flags == (SEG_SYN | SEG_ACK) && a.g.ack.n == p->seq + 1)
            break;
        if (p->h->nanswers)
            send_seg(p, (struct sg){.flags = SEG_RST, .seq = a.g.ack.n});
        elapse(p->h, ESTAB_S(1));
        assert_in_range(tries, 0, 8);
    }
    p->iss = p->seq++;
    p->irs = a.g.seq.n;
    p->ack = p->irs + 1;
    p->ts = (a.g.opt.has & OPT_TS) != 0;
    p->ts_ecr = a.g.opt.ts_val;
    assert_int_equal(p->ts, ts);
}

static void hears(const struct peer *p, const char *text)
{
    char buf[64];

    assert_int_equal(user_reads(p, buf, sizeof buf), strlen(text));
    assert_memory_equal(buf, text, strlen(text));
    assert_int_equal(user_reads(p, buf, sizeof buf), 0);
}
static void user_says(struct peer *p, struct held *o, const char *text)
{
    user_sends(p, text, strlen(text));
    drain(p->h);
    p->ack += (uint32_t)strlen(text);
    tell(p, o, SEG_ACK, "");
}

static void first_life(struct peer *p, struct held *o, enum end end)
{
    bool ts = end == TIME_WAIT_AND_TIME || end == NOTHING_AND_TIME;

    peer_opens(p, o, ts);
    tell(p, o, SEG_ACK, "");
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
    tell(p, o, SEG_ACK | SEG_PSH, "the old ");
    tell(p, o, SEG_ACK | SEG_PSH, "incarnation");
    hears(p, "the old incarnation");
    user_says(p, o, "answer");
    if (end == TIME_WAIT_AND_TIME || end == TIME_WAIT_AND_NUMBER) {
        user_shuts(p);
        tell(p, o, SEG_FIN | SEG_ACK, "");
        assert_int_equal(state_of(p), ESTAB_TIME_WAIT);
    } else {
        tell(p, o, SEG_FIN | SEG_ACK, "");
        user_shuts(p);
        tell(p, o, SEG_ACK, "");
        assert_int_equal(state_of(p), ESTAB_CLOSED);
    }
    assert_int_equal(estab_close(p->h->s, p->k), 0);
    keep(o, (struct sg){.flags = SEG_RST | SEG_ACK, .seq = p->seq, .ack = p->ack});
    keep(o, (struct sg){.flags = SEG_RST, .seq = p->seq - 5});
}

/* With timestamps the second has the first one's numbers, all of them; without, its own begin right
 * behind. */
static void second_life(struct peer *p, struct held *old, enum end end, int point)
{
    bool ts = end == TIME_WAIT_AND_TIME || end == NOTHING_AND_TIME;
    struct held unused = {.n = 0};
    int at = 0;

    p->seq = ts ? p->iss : p->seq + 1;
    p->ts_val += 1000;
#define HERE()                                                                                     \
    do {                                                                                           \
        if (at++ == point)                                                                         \
            come_late(p, old);                                                                     \
    } while (0)
    HERE();
    peer_opens(p, &unused, ts);
    HERE();
    tell(p, &unused, SEG_ACK, "");
    HERE();
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
    tell(p, &unused, SEG_ACK | SEG_PSH, "all ");
    HERE();
    tell(p, &unused, SEG_ACK | SEG_PSH, "new");
    hears(p, "all new");
    HERE();
    user_says(p, &unused, "answer");
    HERE();
    tell(p, &unused, SEG_FIN | SEG_ACK, "");
    HERE();
    user_shuts(p);
    HERE();
    assert_int_equal(at, POINTS);
#undef HERE
    tell(p, &unused, SEG_ACK, "");
    assert_int_equal(state_of(p), ESTAB_CLOSED);
    assert_int_equal(estab_close(p->h->s, p->k), 0);
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), ESTAB_E_AGAIN);
}

static void w2_old_duplicates_at_every_point(void **state)
{
    struct host *h = *state;
    uint16_t port = 1000;

    for (enum end end = 0; end < ENDS; end++) {
        for (int point = 0; point < POINTS; point++) {
            struct held old = {.n = 0};
            struct peer p = stranger(h, port++);

            first_life(&p, &old, end);
            elapse(h, ESTAB_MS(100));
            second_life(&p, &old, end, point);
        }
    }
}

/* The same, the stack opening both: from a port whose TIME-WAIT is a second old. */
static void w2_old_duplicates_after_active_reuse(void **state)
{
    struct host *h = *state;

    for (int point = 0; point < 5; point++) {
        uint16_t lport = (uint16_t)(6000 + point);
        struct peer p = stranger(h, 7000);
        struct held old = {.n = 0}, unused = {.n = 0};

        for (int life = 0; life < 2; life++) {
            struct held *o = life ? &unused : &old;
            uint8_t opts[12];

            user_connects(&p, lport);
            p.ts_ecr = h->answers[0].g.opt.ts_val;
            p.ts = true;
            if (life && point == 0)
                come_late(&p, &old);
            put_ts(opts, p.ts_val, p.ts_ecr);
            tell(&p, o, SEG_SYN | SEG_ACK, "");
            assert_acked(&p);
            if (life && point == 1)
                come_late(&p, &old);
            tell(&p, o, SEG_ACK | SEG_PSH, life ? "all " : "the old ");
            if (life && point == 2)
                come_late(&p, &old);
            tell(&p, o, SEG_ACK | SEG_PSH, life ? "new" : "incarnation");
            hears(&p, life ? "all new" : "the old incarnation");
            user_shuts(&p);
            if (life && point == 3)
                come_late(&p, &old);
            tell(&p, o, SEG_ACK, "");
            assert_int_equal(state_of(&p), ESTAB_FIN_WAIT_2);
            if (life && point == 4)
                come_late(&p, &old);
            tell(&p, o, SEG_FIN | SEG_ACK, "");
            assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
            assert_int_equal(estab_close(h->s, p.k), 0);
            keep(o, (struct sg){.flags = SEG_RST, .seq = p.seq});
            elapse(h, ESTAB_MS(1100));
            p.seq = p.iss;
            p.ts_val += 1000;
        }
    }
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

static void w3_a_syn_in_time_wait(void **state)
{
    static const struct {
        bool ts;
        int32_t number, time; /* against the old incarnation's */
        bool newer;
    } cases[] = {
        {false, 1, 0, true},         {false, 100000, 0, true},   {false, INT32_MAX, 0, true},
        {false, 0, 0, false},        {false, -1, 0, false},      {false, -100000, 0, false},
        {true, -100000, 1, true},    {true, 100000, 1, true},    {true, 100000, -1, false},
        {true, -100000, -1, false},  {true, 1, 0, true},         {true, -1, 0, false},
        {true, -5, INT32_MAX, true}, {true, 5, -2000000, false},
    };
    struct host *h = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));
        uint32_t end, old = p.ts_val;

        if (cases[i].ts)
            open_modern(&p);
        else
            open_passive(&p);
        user_shuts(&p);
        peer_shuts(&p);
        assert_int_equal(estab_close(h->s, p.k), 0);
        assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
        end = p.seq;
        send_seg(&p, (struct sg){.flags = SEG_RST, .seq = end, .ack = p.ack});
        send_seg(&p, (struct sg){.flags = SEG_RST | SEG_ACK, .seq = end, .ack = p.ack});
        assert_int_equal(h->nanswers, 0);
        assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
        send_seg(&p, (struct sg){.flags = SEG_SYN,
                                 .seq = end + (uint32_t)cases[i].number,
                                 .wnd = 60000,
                                 .opts = options_at(old + (uint32_t)cases[i].time),
                                 .opts_len = cases[i].ts ? sizeof modern : 0});
        if (cases[i].newer) {
            assert_answer(&p, SEG_SYN | SEG_ACK);
            assert_int_equal(state_of(&p), ESTAB_SYN_RECEIVED);
            assert_in_range(the_answer(&p)->g.seq.n - p.ack, 100000, INT32_MAX); /* RFC 6191 */
        } else {
            assert_acked(&p);
            assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
        }
    }
}

/* The peer's side has forgotten, ours has not: we are still in LAST-ACK, CLOSING, FIN-WAIT-2 ... */
static void w3_challenge_and_rst_let_the_peer_in_again(void **state)
{
    static const enum estab_tcp_state in[] = {ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2,
                                              ESTAB_CLOSE_WAIT,  ESTAB_CLOSING,    ESTAB_LAST_ACK};
    struct host *h = *state;

    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i)), again;
        uint32_t ack;

        bring_to(&p, in[i]);
        again = p;
        again.seq = again.iss = p.seq + 5000000;
        send_seg(&again, (struct sg){.flags = SEG_SYN, .seq = again.seq, .wnd = 60000});
        assert_answer(&p, SEG_ACK); /* a challenge */
        ack = the_answer(&p)->g.ack.n;
        assert_int_equal(ack, p.seq);
        send_seg(&again, (struct sg){.flags = SEG_RST, .seq = ack});
        assert_int_equal(state_of(&p), ESTAB_CLOSED);
        assert_int_equal(estab_close(h->s, p.k), 0);
        open_modern(&again);
        assert_alive(&again);
    }
}

/* The other way: we use a port again, the peer is still in LAST-ACK, for our last ACK was lost. */
static void w3_we_are_let_in_again(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 7000), old;
    struct answer rst;

    p.ts = true;
    user_connects(&p, 6000);
    p.ts_ecr = h->answers[0].g.opt.ts_val;
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = 60000,
                             .opts = modern,
                             .opts_len = sizeof modern});
    user_shuts(&p);
    say(&p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_int_equal(estab_close(h->s, p.k), 0);
    elapse(h, ESTAB_MS(1500));
    old = p;
    user_connects(&p, 6000);

    /* the peer's challenge; our RST carries its SND.NXT as it wants */
    old.ts_val += 1500;
    old.ts_ecr = h->answers[0].g.opt.ts_val;
    assert_int_equal(say(&old, SEG_ACK, NULL, 0), 1);
    rst = *the_answer(&p);
    assert_int_equal(rst.g.flags, SEG_RST);
    assert_int_equal(rst.g.seq.n, old.ack);
    assert_int_equal(elapse(h, ESTAB_MS(1100)), 1);
    assert_answer(&p, SEG_SYN);
    p.seq = old.seq + 5000000;
    p.ts_val = old.ts_val + 1;
    p.ts_ecr = the_answer(&p)->g.opt.ts_val;
    say(&p, SEG_SYN | SEG_ACK, NULL, 0);
    assert_acked(&p);
    assert_alive(&p);
}

/* ---- W4: the clock jumps, or stands still for an hour, in every state; sequence numbers and
 * timestamps wrap in the middle of the close ---- */

static const enum estab_tcp_state all[] = {
    ESTAB_SYN_SENT,   ESTAB_SYN_RECEIVED, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2,
    ESTAB_CLOSE_WAIT, ESTAB_CLOSING,      ESTAB_LAST_ACK,    ESTAB_TIME_WAIT,
};
#define STATES (sizeof all / sizeof *all)

/* From where it is, honestly to the end. */
static void goes_on_to_the_end(struct peer *p, enum estab_tcp_state st)
{
    switch (st) {
    case ESTAB_SYN_SENT:
        say(p, SEG_SYN | SEG_ACK, NULL, 0);
        assert_acked(p);
        break;
    case ESTAB_SYN_RECEIVED:
        assert_int_equal(say(p, SEG_ACK, NULL, 0), 0);
        assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
        break;
    default:
        break;
    }
    if (st == ESTAB_SYN_SENT || st == ESTAB_SYN_RECEIVED || st == ESTAB_ESTABLISHED) {
        assert_alive(p);
        user_shuts(p);
        st = ESTAB_FIN_WAIT_1;
    }
    switch (st) {
    case ESTAB_CLOSE_WAIT:
        user_shuts(p);
        /* fall through */
    case ESTAB_LAST_ACK:
        say(p, SEG_ACK, NULL, 0);
        assert_int_equal(state_of(p), ESTAB_CLOSED);
        break;
    case ESTAB_CLOSING:
        say(p, SEG_ACK, NULL, 0);
        assert_int_equal(state_of(p), ESTAB_TIME_WAIT);
        break;
    case ESTAB_TIME_WAIT:
        assert_int_equal(state_of(p), ESTAB_CLOSED); /* over while nobody looked */
        break;
    default:
        say(p, SEG_FIN | SEG_ACK, NULL, 0);
        assert_acked(p);
        assert_int_equal(state_of(p), ESTAB_TIME_WAIT);
        break;
    }
    assert_int_equal(estab_close(p->h->s, p->k), 0);
}

/* What was due an hour ago is done once, not an hour's worth of times. */
static void w4_an_hour_passes_in_every_state(void **state)
{
    struct host *h = *state;

    for (size_t i = 0; i < STATES; i++) {
        bool sends = all[i] == ESTAB_SYN_SENT || all[i] == ESTAB_SYN_RECEIVED ||
                     all[i] == ESTAB_FIN_WAIT_1 || all[i] == ESTAB_CLOSING ||
                     all[i] == ESTAB_LAST_ACK;
        struct peer p = stranger(h, (uint16_t)(1000 + i));

        bring_to(&p, all[i]);
        elapse(h, ESTAB_MS(500));
        h->te.now += ESTAB_S(3600);
        (void)estab_expire(h->s);
        assert_int_equal(drain(h), sends);
        if (all[i] != ESTAB_TIME_WAIT)
            assert_int_equal(state_of(&p), all[i]);
        goes_on_to_the_end(&p, all[i]);
    }
}

/* A clock that was set back stands until it has caught up: nothing ends, nothing is sent twice. */
static void w4_the_clock_goes_back(void **state)
{
    struct host *h = *state;

    for (size_t i = 0; i < STATES; i++) {
        struct peer p = stranger(h, (uint16_t)(1000 + i));
        estab_time was = h->te.now;

        bring_to(&p, all[i]);
        h->te.now = was - ESTAB_S(50);
        assert_int_equal(estab_expire(h->s), 0);
        assert_int_equal(drain(h), 0);
        assert_int_equal(state_of(&p), all[i]);
        h->te.now = was;
        if (all[i] == ESTAB_TIME_WAIT)
            elapse(h, ESTAB_S(61));
        goes_on_to_the_end(&p, all[i]);
        elapse(h, ESTAB_S(1));
    }
}

/* Sets the clock forward so that the stack's number for this connection is `isn`. */
static void wait_for_isn(const struct peer *p, uint32_t isn)
{
    struct host *h = p->h;
    struct tcp_tuple k = {p->ip.b, 0, p->lport, p->pport};
    uint32_t ahead;

    (void)estab_expire(h->s); /* the stack's clock is ours */
    ahead = isn - tcp_isn(&h->s->tcp, &k).n;
    elapse(h, (estab_dur)ahead * 4000u);
    (void)estab_expire(h->s);
    assert_int_equal(tcp_isn(&h->s->tcp, &k).n, isn);
}

/* Both ends' numbers wrap at each octet of a short connection in turn: SYN, text, FIN. */
static void w4_numbers_wrap(void **state)
{
    struct host *h = *state;
    uint16_t port = 1000;

    for (uint32_t ours = 0; ours < 8; ours++) {
        for (uint32_t theirs = 0; theirs < 8; theirs++) {
            struct peer p = stranger(h, port++);
            enum estab_tcp_state st = (ours + theirs) % 2 ? ESTAB_ESTABLISHED : ESTAB_CLOSE_WAIT;

            wait_for_isn(&p, 0u - ours);
            p.seq = 0u - theirs;
            open_passive(&p);
            assert_int_equal(p.irs, 0u - ours);
            assert_alive(&p);
            if (st == ESTAB_CLOSE_WAIT)
                peer_shuts(&p);
            goes_on_to_the_end(&p, st);
        }
    }
}

/* Timestamps wrap between any two segments of the close. */
static void w4_timestamps_wrap(void **state)
{
    struct host *h = *state;

    for (uint32_t at = 0; at < 10; at++) {
        struct peer p = stranger(h, (uint16_t)(1000 + at));
        struct tcp_tuple k = {p.ip.b, 0, p.lport, p.pport};
        uint32_t ahead;

        (void)estab_expire(h->s);
        ahead = 0u - at - tcp_ts_now(&h->s->tcp) - tcp_ts_offset(&h->s->tcp, &k);
        elapse(h, ESTAB_MS(ahead));
        p.ts_val = 0u - at;
        open_passive_with(&p, options_at(p.ts_val), sizeof modern);
        assert_true(p.ts);
        assert_int_equal(p.ts_ecr, 0u - at);
        for (int i = 0; i < 3; i++) {
            elapse(h, ESTAB_MS(1));
            p.ts_val++;
            assert_alive(&p);
        }
        elapse(h, ESTAB_MS(1));
        p.ts_val++;
        user_shuts(&p);
        p.ts_ecr = h->answers[0].g.opt.ts_val;
        elapse(h, ESTAB_MS(1));
        p.ts_val++;
        assert_int_equal(say(&p, SEG_ACK, NULL, 0), 0);
        assert_int_equal(state_of(&p), ESTAB_FIN_WAIT_2);
        elapse(h, ESTAB_MS(1));
        p.ts_val++;
        say(&p, SEG_FIN | SEG_ACK, NULL, 0);
        assert_acked(&p);
        assert_int_equal(h->answers[0].g.opt.ts_ecr, p.ts_val);
        assert_int_equal(state_of(&p), ESTAB_TIME_WAIT);
        assert_int_equal(estab_close(h->s, p.k), 0);
    }
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
        hostile_test(w1_the_last_ack_and_those_before),
        hostile_test(w2_old_duplicates_at_every_point),
        hostile_test(w2_old_duplicates_after_active_reuse),
        hostile_test(w3_older_syn),
        hostile_test(w3_newer_syn),
        hostile_test(w3_newer_timestamp),
        hostile_test(w3_ack_then_reset_then_syn),
        hostile_test(w3_old_duplicates_in_the_new_incarnation),
        hostile_test(w3_a_syn_in_time_wait),
        hostile_test(w3_challenge_and_rst_let_the_peer_in_again),
        hostile_test(w3_we_are_let_in_again),
        hostile_test(w4_an_hour_passes_in_every_state),
        hostile_test(w4_the_clock_goes_back),
        hostile_test(w4_numbers_wrap),
        hostile_test(w4_timestamps_wrap),
        hostile_test(l1_close_and_abort_in_every_state),
        cmocka_unit_test(l1_stack_freed_in_every_state),
        hostile_test(l1_frames_lent_while_their_connection_ends),
        hostile_test(l1_accept_of_a_connection_that_was_reset),
        hostile_test(l1_listener_closed_with_both_queues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

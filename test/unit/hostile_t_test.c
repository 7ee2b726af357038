/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_t_test.c - what other stacks' TCP fell over in headers and options, through the whole of
 * this one.
 *
 * Each test is named after the mark of its line in the list of hostile inputs, which stands above
 * it. */
#include "hostile.h"

/* ---- T1: data offset below 5 or past the segment; options of length 0 or 1, past the header, cut
 * off behind their kind; 40 NOPs; MSS of length 3; duplicates ---- */

/* On a SYN, which would be answered, and inside a connection, whose text would be taken. */
static void hostile_options(struct host *h, const uint8_t *opts, size_t len)
{
    struct peer p = stranger(h, 3000);

    assert_int_equal(
        hostile_seg(
            &p,
            (struct sg){.flags = SEG_SYN, .seq = p.seq, .wnd = 1000, .opts = opts, .opts_len = len},
            RULE_TCP_OPTION),
        0);
    assert_int_equal(hostile_seg(h->witness,
                                 (struct sg){.flags = SEG_ACK,
                                             .seq = h->witness->seq,
                                             .ack = h->witness->ack,
                                             .wnd = 1000,
                                             .text = "text",
                                             .len = 4,
                                             .opts = opts,
                                             .opts_len = len},
                                 RULE_TCP_OPTION),
                     0);
}

static void t1_data_offset_below_5(void **state)
{
    struct host *h = *state;
    struct packet k;
    struct peer p = stranger(h, 3001);

    for (uint8_t off = 0; off < 5; off++) {
        packet_seg(&k, &p, (struct sg){.flags = SEG_SYN, .seq = p.seq});
        k.b[IP4_HDR_LEN + 12] = (uint8_t)(off << 4);
        packet_sum_tcp(&k, IP4_HDR_LEN);
        assert_int_equal(hostile(h, TUN, &k, RULE_TCP_HEADER), 0);
    }
}

static void t1_data_offset_past_the_segment(void **state)
{
    struct host *h = *state;
    struct peer p = stranger(h, 3002);

    for (uint8_t off = 6; off < 16; off++)
        for (size_t len = 0; len < (off - 5) * 4u; len++)
            assert_int_equal(hostile_seg(&p,
                                         (struct sg){.flags = SEG_SYN,
                                                     .seq = p.seq,
                                                     .text = modern,
                                                     .len = len < 20 ? len : 20,
                                                     .offset = off},
                                         RULE_TCP_HEADER),
                             0);
}

/* [MUST-7] */
static void t1_option_of_length_0_or_1(void **state)
{
    for (int kind = 2; kind < 256; kind++)
        for (uint8_t len = 0; len < 2; len++) {
            uint8_t first[4] = {(uint8_t)kind, len}, last[8] = {1, 1, 1, 1, 1, 1, 0, 0};

            hostile_options(*state, first, sizeof first);
            last[6] = (uint8_t)kind;
            last[7] = len;
            hostile_options(*state, last, sizeof last);
        }
}

static void t1_option_past_the_header(void **state)
{
    for (int kind = 2; kind < 256; kind++)
        for (int len = 5; len < 256; len += len < 16 ? 1 : 17) {
            uint8_t o[4] = {(uint8_t)kind, (uint8_t)len};

            hostile_options(*state, o, sizeof o);
        }
}

static void t1_header_ends_on_a_kind(void **state)
{
    for (int kind = 2; kind < 256; kind++) {
        uint8_t o[40];

        memset(o, 1, sizeof o);
        o[3] = o[39] = (uint8_t)kind;
        hostile_options(*state, o, 4);
        o[3] = 1;
        hostile_options(*state, o, 40);
    }
}

/* [MUST-7] */
static void t1_lengths_that_their_kinds_do_not_have(void **state)
{
    static const struct {
        uint8_t kind, len;
    } right[] = {{2, 4}, {3, 3}, {4, 2}, {8, 10}};

    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        for (uint8_t len = 2; len < 40; len++) {
            uint8_t o[40] = {right[i].kind, len};

            if (len != right[i].len)
                hostile_options(*state, o, sizeof o);
        }
    for (uint8_t len = 2; len < 40; len++) {
        uint8_t o[40] = {5, len};

        if (len != 10 && len != 18 && len != 26 && len != 34)
            hostile_options(*state, o, sizeof o);
    }
}

/* [MUST-4, MUST-64] */
static void t1_forty_nops(void **state)
{
    struct peer p = stranger(*state, 3003);
    uint8_t nops[40];

    memset(nops, 1, sizeof nops);
    mark(p.h);
    open_passive_with(&p, nops, sizeof nops);
    assert_only(p.h, RULE_LISTEN_SYN, 1);
    assert_alive(&p);
    send_seg(&p, (struct sg){.flags = SEG_ACK,
                             .seq = p.seq,
                             .ack = p.ack,
                             .wnd = 1000,
                             .text = "abcd",
                             .len = 4,
                             .opts = nops,
                             .opts_len = sizeof nops});
    p.seq += 4;
    assert_int_equal(info_of(&p).unread, 4);
}

static void t1_unknown_options_are_skipped(void **state)
{
    for (int kind = 9; kind < 256; kind++) {
        uint8_t o[8] = {(uint8_t)kind, 4, 0xde, 0xad, 2, 4, 0x03, 0xe8};
        struct peer p = stranger(*state, (uint16_t)(3100 + kind));

        open_half(&p, o, sizeof o); /* [MUST-6] */
        assert_int_equal(info_of(&p).snd_mss, 1000);
    }
}

static void t1_the_first_of_duplicates_counts(void **state)
{
    uint8_t o[] = {2, 4, 0x03, 0xe8, 2, 4, 0x01, 0xf4, 3, 3,  5, 3, 3,    9,    4, 2, 4, 2, 8, 10,
                   0, 0, 0,    77,   0, 0, 0,    0,    8, 10, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 1, 1};
    struct peer p = stranger(*state, 3004);
    struct estab_tcp_info i;

    open_half(&p, o, sizeof o);
    i = info_of(&p);
    assert_int_equal(i.snd_mss, 1000);
    assert_int_equal(i.snd_wscale, 5);
    assert_true(i.sack_ok && i.ts_ok);
    assert_int_equal(p.h->answers[0].g.opt.ts_ecr, 77);
}

/* ---- T2: MSS 0, 1, 8, 48, 65535: a floor, 0 as absent; no division by it, no flood of headers
 * ---- */

/* How many segments 12000 octets make for a peer that announced this MSS, and how large they are.
 */
static uint32_t segments_for(struct peer *p, const uint8_t *opts, size_t len, uint32_t *largest)
{
    static uint8_t text[12000];
    uint32_t n = 0, end;

    open_passive_with(p, opts, len);
    user_sends(p, text, sizeof text);
    end = p->ack + sizeof text;
    *largest = 0;
    drain(p->h);
    while (p->ack != end) {
        assert_true(p->h->nanswers > 0);
        for (uint32_t i = 0; i < p->h->nanswers; i++) {
            struct answer *a = &p->h->answers[i];

            assert_int_equal(a->g.seq.n, p->ack);
            p->ack += a->g.text.len;
            n++;
            if (a->g.text.len > *largest)
                *largest = a->g.text.len;
        }
        say(p, SEG_ACK, NULL, 0);
    }
    p->una = p->ack;
    return n;
}

static void t2_mss_of_no_use(void **state)
{
    static const uint16_t values[] = {0, 1, 8, 48, 87, 88, 536, 1460, 9000, 65535};
    static const uint32_t sizes[] = {536, 88, 88, 88, 88, 88, 536, 1460, 1460, 1460};

    for (uint16_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int ts = 0; ts < 2; ts++) {
            uint8_t o[16] = {2, 4, (uint8_t)(values[i] >> 8), (uint8_t)values[i]};
            struct peer p = stranger(*state, (uint16_t)(3400 + 2 * i + ts));
            uint32_t largest, n, size = sizes[i] - (ts ? 12 : 0);

            put_ts(o + 4, 50000, 0);
            n = segments_for(&p, o, ts ? 16 : 4, &largest);
            assert_int_equal(largest, size);
            assert_in_range(n, 12000 / size, 12000 / size + 30);
            assert_alive(&p);
        }
}

/* [MUST-14] */
static void t2_mss_in_a_syn_ack(void **state)
{
    static const uint16_t values[] = {0, 1, 8, 48, 65535};
    static const uint32_t sizes[] = {536, 88, 88, 88, 1460};

    for (uint16_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t o[4] = {2, 4, (uint8_t)(values[i] >> 8), (uint8_t)values[i]};
        struct peer p = stranger(*state, (uint16_t)(3440 + i));

        user_connects(&p, p.pport);
        send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                                 .seq = p.seq++,
                                 .ack = p.ack,
                                 .wnd = 1000,
                                 .opts = o,
                                 .opts_len = 4});
        assert_int_equal(info_of(&p).snd_mss, sizes[i]);
        assert_alive(&p);
    }
}

static void t2_mss_missing(void **state)
{
    struct peer p4 = stranger(*state, 3450);
    struct peer p6 = peer_at(*state, TUN, "2001:db8::2", "2001:db8::1", 3450);

    open_passive(&p4);
    open_passive(&p6);
    assert_int_equal(info_of(&p4).snd_mss, 536); /* [MUST-15] */
    assert_int_equal(info_of(&p6).snd_mss, 1220);
}

/* ---- T3: window scale 15..255 is 14; outside a SYN it is ignored; window << scale does not
 * overflow; in a SYN,ACK it counts only if we offered it ---- */

/* [RFC7323-2.3-1] */
static void t3_shift_above_14(void **state)
{
    for (int shift = 0; shift < 256; shift++) {
        uint8_t o[4] = {3, 3, (uint8_t)shift, 0};
        struct peer p = stranger(*state, (uint16_t)(3500 + shift));
        struct estab_tcp_info i;

        open_passive_with(&p, o, sizeof o);
        send_seg(&p, (struct sg){.flags = SEG_ACK, .seq = p.seq, .ack = p.ack, .wnd = UINT16_MAX});
        i = info_of(&p);
        assert_int_equal(i.snd_wscale, shift < 14 ? shift : 14);
        assert_int_equal(i.snd_wnd, 65535u << i.snd_wscale);
        assert_alive(&p);
    }
}

/* [RFC7323-2.2-1, MUST-5] */
static void t3_shift_outside_a_syn(void **state)
{
    struct peer p = stranger(*state, 3800);
    uint8_t o[4] = {3, 3, 14, 0};

    open_passive(&p);
    mark(p.h);
    send_seg(
        &p,
        (struct sg){
            .flags = SEG_ACK, .seq = p.seq, .ack = p.ack, .wnd = 1000, .opts = o, .opts_len = 4});
    assert_only(p.h, RULE_OPTION_OUTSIDE_SYN, 1);
    assert_int_equal(info_of(&p).snd_wscale, 0);
    assert_int_equal(info_of(&p).snd_wnd, 1000);
}

static void t3_mss_and_sack_permitted_outside_a_syn(void **state)
{
    struct peer p = stranger(*state, 3801);
    uint8_t o[8] = {2, 4, 0, 100, 4, 2, 0, 0};

    open_passive(&p);
    mark(p.h);
    send_seg(
        &p,
        (struct sg){
            .flags = SEG_ACK, .seq = p.seq, .ack = p.ack, .wnd = 1000, .opts = o, .opts_len = 8});
    assert_only(p.h, RULE_OPTION_OUTSIDE_SYN, 1);
    assert_int_equal(info_of(&p).snd_mss, 536);
    assert_false(info_of(&p).sack_ok);
}

/* RFC 7323 section 2.2: the window of a SYN,ACK itself is not scaled. [RFC7323-2.2-3] */
static void t3_shift_in_a_syn_ack(void **state)
{
    struct peer p = stranger(*state, 3802);
    uint8_t o[4] = {3, 3, 14, 0};

    user_connects(&p, p.pport);
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = UINT16_MAX,
                             .opts = o,
                             .opts_len = 4});
    assert_int_equal(info_of(&p).snd_wnd, UINT16_MAX);
    assert_int_equal(info_of(&p).snd_wscale, 14);
}

static void t3_shift_in_a_simultaneous_syn_ack(void **state)
{
    struct peer p = stranger(*state, 3803);
    uint8_t o[4] = {3, 3, 14, 0};

    user_connects(&p, p.pport);
    send_seg(&p,
             (struct sg){.flags = SEG_SYN, .seq = p.seq, .wnd = 1000, .opts = o, .opts_len = 4});
    assert_answer(&p, SEG_SYN | SEG_ACK);
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = UINT16_MAX,
                             .opts = o,
                             .opts_len = 4});
    assert_int_equal(info_of(&p).state, ESTAB_ESTABLISHED);
    assert_int_equal(info_of(&p).snd_wnd, UINT16_MAX);
}

/* [RFC7323-2.2-2] */
static void t3_shift_that_was_not_offered(void **state)
{
    uint8_t o[20] = {3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 1};
    struct estab_config cfg;
    struct estab_tcp_info i;
    struct host *h;
    struct peer p;

    (void)state;
    estab_config_init(&cfg);
    cfg.window_scale = cfg.timestamps = cfg.sack = false;
    h = host_with(&cfg);
    p = stranger(h, 3804);
    user_connects(&p, p.pport);
    assert_int_equal(the_answer(&p)->g.opt.has, OPT_MSS);
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = 1000,
                             .opts = o,
                             .opts_len = 16});
    assert_int_equal(the_answer(&p)->g.opt.has, 0);
    i = info_of(&p);
    assert_int_equal(i.snd_wscale, 0);
    assert_int_equal(i.rcv_wscale, 0);
    assert_false(i.ts_ok || i.sack_ok);
    assert_alive(&p);
    host_end(h);
}

/* ---- T4: URG with pointer 0, beyond the segment, without text, on a SYN, wrapping: the pointer is
 * never trusted, the text stays in line ---- */

static void t4_urgent_pointers(void **state)
{
    static const uint16_t pointers[] = {0, 1, 3, 4, 5, 1000, 32767, 32768, 65535};
    struct peer p = stranger(*state, 3900);
    uint64_t received = 0;
    char buf[16];

    p.seq = UINT32_MAX - 20; /* seq + pointer wraps, and so does seq */
    open_passive(&p);
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++)
        for (size_t len = 0; len <= 4; len++) {
            mark(p.h);
            send_seg(&p, (struct sg){.flags = SEG_ACK | SEG_URG,
                                     .seq = p.seq,
                                     .ack = p.ack,
                                     .wnd = 1000,
                                     .up = pointers[i],
                                     .text = "abcd",
                                     .len = len});
            p.seq += (uint32_t)len;
            assert_only(p.h, RULE_URGENT, 1);
            assert_int_equal(user_reads(&p, buf, sizeof buf), len);
            assert_memory_equal(buf, "abcd", len);
            received += len;
        }
    assert_int_equal(info_of(&p).bytes_received, received);
    assert_alive(&p);
}

/* A pointer without the flag says nothing at all. */
static void t4_pointer_without_urg(void **state)
{
    struct peer p = stranger(*state, 3901);
    char buf[16];

    open_passive(&p);
    mark(p.h);
    send_seg(&p, (struct sg){.flags = SEG_ACK,
                             .seq = p.seq,
                             .ack = p.ack,
                             .wnd = 1000,
                             .up = 2,
                             .text = "abcd",
                             .len = 4});
    p.seq += 4;
    assert_only(p.h, RULE_NONE, 0);
    assert_int_equal(user_reads(&p, buf, sizeof buf), 4);
}

static void t4_urgent_out_of_order(void **state)
{
    struct peer p = stranger(*state, 3902);
    char buf[16];

    open_passive(&p);
    send_seg(&p, (struct sg){.flags = SEG_ACK | SEG_URG,
                             .seq = p.seq + 2,
                             .ack = p.ack,
                             .wnd = 1000,
                             .up = 1,
                             .text = "cd",
                             .len = 2});
    say(&p, SEG_ACK | SEG_URG, "ab", 2);
    p.seq += 2;
    assert_int_equal(user_reads(&p, buf, sizeof buf), 4);
    assert_memory_equal(buf, "abcd", 4);
}

static void t4_urgent_syn(void **state)
{
    struct peer p = stranger(*state, 3903), q = stranger(*state, 3904);

    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_URG, .seq = p.seq++, .wnd = 1000, .up = 65535});
    assert_answer(&p, SEG_SYN | SEG_ACK);
    p.ack = p.h->answers[0].g.seq.n + 1;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(p.h->s, p.h->listener, &p.k, NULL), 0);
    assert_alive(&p);

    user_connects(&q, q.pport);
    send_seg(&q, (struct sg){.flags = SEG_SYN | SEG_ACK | SEG_URG,
                             .seq = q.seq++,
                             .ack = q.ack,
                             .wnd = 1000,
                             .up = 9});
    assert_acked(&q);
    assert_alive(&q);
}

/* ---- T5: all 256 combinations of flags in every one of the 11 states ----
 *
 * RFC 9293 section 3.10.7 once more, written from the text and not from the code, as what a segment
 * must do to a connection of which everything is known.  RFC 5961 is part of it (the RFC demands
 * that), RFC 1337 and RFC 6191 for TIME-WAIT. */

enum reply { NOTHING, ONE_ACK, SYN_ACK, SYN_ACK_ECN, SYN_ACK_ACCURATE, RESET, ANYTHING };

struct outcome {
    enum estab_tcp_state st;
    enum reply reply;
};

struct facts { /* of the connection, before the segment */
    enum estab_tcp_state st;
    uint32_t una, nxt, wnd_max;
    uint32_t rcv_nxt, rcv_wnd;
    bool passive;
};

static bool between(uint32_t x, uint32_t lo, uint32_t n) /* x in [lo, lo + n) */
{
    return x - lo < n;
}

static struct outcome when_closed(const struct sg *s)
{
    return (struct outcome){ESTAB_CLOSED, s->flags & SEG_RST ? NOTHING : RESET};
}

/* RFC 3168 section 6.1.1: who asks for ECN gets it; RFC 9768 section 3.1.3: one flag alone asks for
 * Accurate ECN. */
static enum reply syn_ack_to(const struct sg *s)
{
    switch (s->flags & (SEG_ECE | SEG_CWR)) {
    case 0:
        return SYN_ACK;
    case SEG_ECE | SEG_CWR:
        return SYN_ACK_ECN;
    default:
        return SYN_ACK_ACCURATE;
    }
}

static struct outcome when_listening(const struct sg *s)
{
    if (s->flags & SEG_RST)
        return (struct outcome){ESTAB_CLOSED, NOTHING};
    if (s->flags & SEG_ACK)
        return (struct outcome){ESTAB_CLOSED, RESET};
    if ((s->flags & (SEG_SYN | SEG_FIN)) == SEG_SYN)
        return (struct outcome){ESTAB_SYN_RECEIVED, syn_ack_to(s)};
    return (struct outcome){ESTAB_CLOSED, NOTHING};
}

static struct outcome when_syn_sent(const struct facts *f, const struct sg *s)
{
    bool acked = (s->flags & SEG_ACK) && s->ack == f->nxt;

    if ((s->flags & SEG_ACK) && !acked)
        return (struct outcome){ESTAB_SYN_SENT, s->flags & SEG_RST ? NOTHING : RESET};
    if (s->flags & SEG_RST)
        return (struct outcome){acked ? ESTAB_CLOSED : ESTAB_SYN_SENT, NOTHING};
    if (!(s->flags & SEG_SYN))
        return (struct outcome){ESTAB_SYN_SENT, NOTHING};
    if (acked)
        return (struct outcome){s->flags & SEG_FIN ? ESTAB_CLOSE_WAIT : ESTAB_ESTABLISHED, ONE_ACK};
    if (s->flags & SEG_FIN) /* nothing honest */
        return (struct outcome){ESTAB_SYN_SENT, NOTHING};
    return (struct outcome){ESTAB_SYN_RECEIVED, SYN_ACK};
}

static bool is_acceptable(const struct facts *f, const struct sg *s, uint32_t len)
{
    if (len == 0)
        return between(s->seq, f->rcv_nxt, f->rcv_wnd);
    return between(s->seq, f->rcv_nxt, f->rcv_wnd) ||
           between(s->seq + len - 1, f->rcv_nxt, f->rcv_wnd);
}

static uint32_t seg_len(const struct sg *s)
{
    return (uint32_t)s->len + ((s->flags & SEG_SYN) != 0) + ((s->flags & SEG_FIN) != 0);
}

static struct outcome when_time_wait(const struct facts *f, const struct sg *s)
{
    if (s->flags & SEG_RST) /* RFC 1337 */
        return (struct outcome){ESTAB_TIME_WAIT, NOTHING};
    if ((s->flags & (SEG_SYN | SEG_ACK | SEG_FIN)) == SEG_SYN &&
        s->seq - f->rcv_nxt - 1 < 0x7fffffff) /* RFC 6191: newer */
        return (struct outcome){ESTAB_SYN_RECEIVED, syn_ack_to(s)};
    if (s->flags & SEG_SYN)
        return (struct outcome){ESTAB_TIME_WAIT, ONE_ACK};
    if (!is_acceptable(f, s, seg_len(s)))
        return (struct outcome){ESTAB_TIME_WAIT, ONE_ACK};
    return (struct outcome){ESTAB_TIME_WAIT, ANYTHING};
}

/* Fifth to eighth, for a segment that is acceptable and has an acceptable ACK. */
static struct outcome text_and_fin(const struct facts *f, enum estab_tcp_state st,
                                   const struct sg *s)
{
    uint32_t len = seg_len(s);
    bool in_order = s->seq == f->rcv_nxt || !between(s->seq, f->rcv_nxt, f->rcv_wnd);
    bool fin = in_order && (s->flags & SEG_FIN);

    if (st != ESTAB_ESTABLISHED && st != ESTAB_FIN_WAIT_1 && st != ESTAB_FIN_WAIT_2)
        return (struct outcome){st, ANYTHING}; /* the text is ignored */
    if (fin)
        return (struct outcome){st == ESTAB_ESTABLISHED  ? ESTAB_CLOSE_WAIT
                                : st == ESTAB_FIN_WAIT_1 ? ESTAB_CLOSING
                                                         : ESTAB_TIME_WAIT,
                                ONE_ACK};
    if (len > 0 && !in_order) /* RFC 5681 section 4.2 */
        return (struct outcome){st, ONE_ACK};
    return (struct outcome){st, len > 0 ? ANYTHING : NOTHING}; /* acknowledged now, or later */
}

static struct outcome when_synchronized(const struct facts *f, const struct sg *s)
{
    enum estab_tcp_state st = f->st;
    bool fin_sent = st == ESTAB_FIN_WAIT_1 || st == ESTAB_CLOSING || st == ESTAB_LAST_ACK;

    /* a SYN again: its answer was lost */
    if (st == ESTAB_SYN_RECEIVED && f->passive && s->seq == f->rcv_nxt - 1 &&
        (s->flags & (SEG_SYN | SEG_ACK | SEG_RST)) == SEG_SYN)
        return (struct outcome){st, SYN_ACK};
    /* figure 8: the SYN,ACK of a simultaneous open carries the SYN that we have */
    if (st == ESTAB_SYN_RECEIVED && !f->passive && (s->flags & (SEG_SYN | SEG_RST)) == SEG_SYN &&
        s->seq == f->rcv_nxt - 1) {
        struct sg bare = *s;
        struct outcome o;

        bare.flags &= (uint8_t)~SEG_SYN;
        bare.seq++;
        o = when_synchronized(f, &bare);
        return (struct outcome){o.st, o.reply == RESET ? RESET : ANYTHING};
    }
    /* second, check the RST bit; RFC 5961: SEG.SEQ itself, not what text makes of it */
    if (s->flags & SEG_RST) {
        if (s->seq == f->rcv_nxt)
            return (struct outcome){ESTAB_CLOSED, NOTHING};
        return (struct outcome){st, between(s->seq, f->rcv_nxt, f->rcv_wnd) ? ONE_ACK : NOTHING};
    }
    /* first, check the sequence number; fourth, the SYN bit "irrespective of" it */
    if (!is_acceptable(f, s, seg_len(s)) || (s->flags & SEG_SYN))
        return (struct outcome){st, ONE_ACK};
    /* fifth, check the ACK field */
    if (!(s->flags & SEG_ACK))
        return (struct outcome){st, NOTHING};
    if (st == ESTAB_SYN_RECEIVED) {
        if (s->ack != f->nxt)
            return (struct outcome){st, RESET};
        st = ESTAB_ESTABLISHED;
    } else if (!between(s->ack, f->una - f->wnd_max, f->nxt - f->una + f->wnd_max + 1)) {
        return (struct outcome){st, ONE_ACK};
    }
    if (fin_sent && s->ack == f->nxt) {
        if (st == ESTAB_CLOSING)
            return (struct outcome){ESTAB_TIME_WAIT, NOTHING};
        if (st == ESTAB_LAST_ACK)
            return (struct outcome){ESTAB_CLOSED, NOTHING};
        st = ESTAB_FIN_WAIT_2;
    }
    return text_and_fin(f, st, s);
}

static struct outcome expected(const struct facts *f, const struct sg *s)
{
    switch (f->st) {
    case ESTAB_CLOSED:
        return when_closed(s);
    case ESTAB_LISTEN:
        return when_listening(s);
    case ESTAB_SYN_SENT:
        return when_syn_sent(f, s);
    case ESTAB_TIME_WAIT:
        return when_time_wait(f, s);
    default:
        return when_synchronized(f, s);
    }
}

static bool reply_is(const struct peer *p, enum reply want, const struct sg *s)
{
    const struct seg *g = &p->h->answers[0].g;
    bool acked = (s->flags & SEG_ACK) != 0;

    if (p->h->nanswers == 0)
        return want == NOTHING || want == ANYTHING;
    if (p->h->nanswers > 1 || g->text.len > 0 || (s->flags & g->flags & SEG_RST))
        return false;
    switch (want) {
    case NOTHING:
        return false;
    case ONE_ACK:
        return g->flags == SEG_ACK;
    case SYN_ACK:
        return g->flags == (SEG_SYN | SEG_ACK);
    case SYN_ACK_ECN:
        return g->flags == (SEG_SYN | SEG_ACK | SEG_ECE);
    case SYN_ACK_ACCURATE:
        return g->flags == (SEG_SYN | SEG_ACK | SEG_CWR);
    case RESET: /* section 3.10.7.1: numbers that the other end will believe */
        return acked ? g->flags == SEG_RST && g->seq.n == s->ack
                     : g->flags == (SEG_RST | SEG_ACK) && g->seq.n == 0 &&
                           g->ack.n == s->seq + seg_len(s);
    case ANYTHING:
        return !(g->flags & SEG_RST);
    }
    return false;
}

/* Said again without the model: what is synchronized ends by an exact RST, by the ACK of the last
 * FIN, and by nothing else. */
static void assert_ended_rightly(const struct facts *f, const struct sg *s,
                                 enum estab_tcp_state now)
{
    if (f->st < ESTAB_ESTABLISHED || now != ESTAB_CLOSED)
        return;
    if (s->flags & SEG_RST)
        assert_int_equal(s->seq, f->rcv_nxt);
    else
        assert_true(f->st == ESTAB_LAST_ACK && (s->flags & SEG_ACK) && s->ack == f->nxt);
}

/* How the connection was opened: by the peer without any options, from both ends, by the peer with
 * all of them. */
enum opening { PASSIVE, SIMULTANEOUS, MODERN };

static struct facts facts_of(const struct peer *p, enum estab_tcp_state st, enum opening how)
{
    struct estab_tcp_info i;

    return (struct facts){
        .st = st,
        .una = p->una,
        .nxt = p->ack,
        .wnd_max = st == ESTAB_SYN_RECEIVED ? 0
                   : how == MODERN          ? 240000
                                            : 60000,
        .rcv_nxt = p->seq,
        .rcv_wnd = st != ESTAB_TIME_WAIT && peer_info(p, &i) && i.rcv_wnd ? i.rcv_wnd : UINT16_MAX,
        .passive = how != SIMULTANEOUS};
}

static void one_segment(struct peer *p, const struct facts *f, const struct sg *s)
{
    struct outcome want = expected(f, s);
    enum estab_tcp_state now;

    send_seg(p, *s);
    now = state_of(p);
    assert_ended_rightly(f, s, now);
    if (now == want.st && reply_is(p, want.reply, s))
        return;
    fail_msg("%s, flags %02x seq %+d ack %+d len %d: %s, expected %s; %u replies (flags %02x), "
             "expected kind %d",
             estab_state_name(f->st), s->flags, (int)(s->seq - f->rcv_nxt), (int)(s->ack - f->nxt),
             (int)s->len, estab_state_name(now), estab_state_name(want.st), p->h->nanswers,
             p->h->answers[0].g.flags, want.reply);
}

/* Where SEG.SEQ stands from RCV.NXT on, and SEG.ACK from SND.NXT on. */
static const int64_t seq_places[] = {0,    -1,    -2,    -4,         -5,          1,
                                     1000, 65534, 65535, 0x7fffffff, -0x7fffffff, -60000};
static const int64_t ack_places[] = {0,      -1,     1,          -30000,         -60000,
                                     -60001, -60002, 0x7fffffff, -0x7fffffff - 1};

static void bring(struct peer *p, enum estab_tcp_state st, enum opening how)
{
    if (how == MODERN) {
        open_modern(p);
        return;
    }
    bring_to(p, how == SIMULTANEOUS ? ESTAB_SYN_SENT : st);
    if (how != SIMULTANEOUS)
        return;
    p->iss = p->seq;
    say(p, SEG_SYN, NULL, 0);
    assert_answer(p, SEG_SYN | SEG_ACK);
}

/* Whatever the segment left behind. */
static void clear_away(struct host *h, const struct peer *p)
{
    if (p->k)
        estab_abort(h->s, p->k);
    estab_close(h->s, h->listener);
    host_listens(h, 1024);
    drain(h);
}

static void all_flags_in(enum estab_tcp_state st, enum opening how)
{
    const size_t nseq = sizeof seq_places / sizeof *seq_places;
    const size_t nack = sizeof ack_places / sizeof *ack_places;
    struct estab_config cfg;
    struct host *h;

    estab_config_init(&cfg);
    cfg.msl = ESTAB_MS(10);
    h = host_with(&cfg);
    for (uint32_t n = 0; n < 512; n++) { /* without and with text */
        for (size_t i = 0; i < nseq * nack; i++) {
            struct peer p = stranger(h, (uint16_t)(1024 + i));
            struct sg s = {.flags = (uint8_t)n, .wnd = 60000, .text = "text", .len = n / 256 * 4};
            struct facts f;
            uint8_t opts[12];

            bring(&p, st, how);
            f = facts_of(&p, st, how);
            put_ts(opts, p.ts_val, p.ts_ecr);
            s.opts = opts;
            s.opts_len = p.ts ? sizeof opts : 0;
            s.seq = p.seq + (uint32_t)seq_places[i % nseq];
            s.ack = p.ack + (uint32_t)ack_places[i / nseq];
            one_segment(&p, &f, &s);
            if (state_of(&p) == ESTAB_ESTABLISHED && seg_len(&s) == 0 && how != SIMULTANEOUS && p.k)
                assert_alive(&p);
            clear_away(h, &p);
        }
        elapse(h, ESTAB_S(100));
    }
    host_end(h);
}

static void t5_all_flags_in_closed(void **state)
{
    (void)state;
    all_flags_in(ESTAB_CLOSED, PASSIVE);
}
static void t5_all_flags_in_listen(void **state)
{
    (void)state;
    all_flags_in(ESTAB_LISTEN, PASSIVE);
}
static void t5_all_flags_in_syn_sent(void **state)
{
    (void)state;
    all_flags_in(ESTAB_SYN_SENT, PASSIVE);
}
static void t5_all_flags_in_syn_received(void **state)
{
    (void)state;
    all_flags_in(ESTAB_SYN_RECEIVED, PASSIVE);
}
static void t5_all_flags_in_syn_received_simultaneous(void **state)
{
    (void)state;
    all_flags_in(ESTAB_SYN_RECEIVED, SIMULTANEOUS);
}
static void t5_all_flags_in_established(void **state)
{
    (void)state;
    all_flags_in(ESTAB_ESTABLISHED, PASSIVE);
}
static void t5_all_flags_in_established_with_all_options(void **state)
{
    (void)state;
    all_flags_in(ESTAB_ESTABLISHED, MODERN);
}
static void t5_all_flags_in_fin_wait_1(void **state)
{
    (void)state;
    all_flags_in(ESTAB_FIN_WAIT_1, PASSIVE);
}
static void t5_all_flags_in_fin_wait_2(void **state)
{
    (void)state;
    all_flags_in(ESTAB_FIN_WAIT_2, PASSIVE);
}
static void t5_all_flags_in_close_wait(void **state)
{
    (void)state;
    all_flags_in(ESTAB_CLOSE_WAIT, PASSIVE);
}
static void t5_all_flags_in_closing(void **state)
{
    (void)state;
    all_flags_in(ESTAB_CLOSING, PASSIVE);
}
static void t5_all_flags_in_last_ack(void **state)
{
    (void)state;
    all_flags_in(ESTAB_LAST_ACK, PASSIVE);
}
static void t5_all_flags_in_time_wait(void **state)
{
    (void)state;
    all_flags_in(ESTAB_TIME_WAIT, PASSIVE);
}

/* An ECN SYN, and one with any of the reserved bits, is a SYN: RFC 3168 section 6.1.1, RFC 9768. */
static void t5_syn_with_ecn_and_reserved_bits(void **state)
{
    struct host *h = *state;
    uint16_t pport = 4000;

    for (uint8_t reserved = 0; reserved < 16; reserved++)
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            struct peer p = stranger(h, pport++), q = stranger(h, pport++);

            send_seg(&p, (struct sg){.flags = (uint8_t)(SEG_SYN | ecn << 6),
                                     .reserved = reserved,
                                     .seq = p.seq++,
                                     .wnd = 1000});
            /* RFC 9768 table 2, section 3.1.3 */
            assert_answer(&p, SEG_SYN | SEG_ACK |
                                  (reserved & SEG_AE ? SEG_CWR
                                   : ecn == 3        ? SEG_ECE
                                   : ecn != 0        ? SEG_CWR
                                                     : 0));
            p.ack = h->answers[0].g.seq.n + 1;
            say(&p, (uint8_t)(SEG_ACK | ecn << 6), NULL, 0);
            assert_int_equal(estab_accept(h->s, h->listener, &p.k, NULL), 0);
            assert_alive(&p);

            user_connects(&q, q.pport);
            send_seg(&q, (struct sg){.flags = (uint8_t)(SEG_SYN | SEG_ACK | ecn << 6),
                                     .reserved = reserved,
                                     .seq = q.seq++,
                                     .ack = q.ack,
                                     .wnd = 1000});
            assert_acked(&q);
            assert_alive(&q);
        }
}

/* A SYN of a listener's may carry text; what is not acknowledged comes again. */
static void t5_syn_with_text(void **state)
{
    struct peer p = stranger(*state, 4200);
    struct answer *a;

    send_seg(&p,
             (struct sg){.flags = SEG_SYN, .seq = p.seq++, .wnd = 1000, .text = "ping", .len = 4});
    a = the_answer(&p);
    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK);
    assert_int_equal(a->g.ack.n, p.seq);
    p.ack = a->g.seq.n + 1;
    say(&p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(p.h->s, p.h->listener, &p.k, NULL), 0);
    assert_alive(&p);
}

/* A SYN,ACK with more text than the window that the SYN announced. */
static void t5_syn_ack_with_text_beyond_the_window(void **state)
{
    static uint8_t text[9000];
    struct estab_config cfg;
    struct host *h;
    struct peer p;

    (void)state;
    estab_config_init(&cfg);
    cfg.rcvbuf = 2048;
    h = host_with(&cfg);
    p = stranger(h, 4201);
    user_connects(&p, p.pport);
    send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK | SEG_FIN,
                             .seq = p.seq++,
                             .ack = p.ack,
                             .wnd = 1000,
                             .text = text,
                             .len = sizeof text});
    p.seq += 2048;
    assert_acked(&p);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_int_equal(info_of(&p).unread, 2048);
    assert_int_equal(info_of(&p).rcv_wnd, 0);
    host_end(h);
}

/* ---- T6: the timestamp missing after it was negotiated; TSval far ahead, from a spoofer; TSecr
 * that we never sent ---- */

static uint32_t send_ts(const struct peer *p, struct sg s, uint32_t val, uint32_t ecr)
{
    uint8_t opts[12];

    put_ts(opts, val, ecr);
    s.opts = opts;
    s.opts_len = sizeof opts;
    return send_seg(p, s);
}

/* RFC 7323 section 3.2: dropped in silence, and the connection does not mind. [RFC7323-3.2-2] */
static void t6_timestamp_missing(void **state)
{
    struct peer p = stranger(*state, 4300);

    open_modern(&p);
    for (size_t len = 0; len <= 4; len += 4) {
        mark(p.h);
        assert_int_equal(send_seg(&p, (struct sg){.flags = SEG_ACK,
                                                  .seq = p.seq,
                                                  .ack = p.ack,
                                                  .wnd = 1000,
                                                  .text = "text",
                                                  .len = len}),
                         0);
        assert_only(p.h, RULE_TS_MISSING, 1);
        assert_alive(&p);
    }
    /* section 5.2: a reset is judged by its number alone */
    send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq});
    assert_int_equal(state_of(&p), ESTAB_CLOSED);
}

/* A peer that restarted and does without timestamps must be told that we have not
 * (RFC 9293 section 3.5.1, RFC 5961 section 4.2). */
static void t6_syn_without_timestamp(void **state)
{
    struct peer p = stranger(*state, 4301);

    open_modern(&p);
    mark(p.h);
    send_seg(&p, (struct sg){.flags = SEG_SYN, .seq = p.seq + 77777777, .wnd = 1000});
    assert_acked(&p);
    assert_only(p.h, RULE_BLIND_SYN, 1);
    assert_alive(&p);
}

/* After the forgery an honest segment, whose TSval is barely higher than the last, still counts. */
static void forge_tsval(struct peer *p, struct sg s, uint32_t val)
{
    struct answer *a;

    send_ts(p, s, val, p->ts_ecr);
    p->ts_val++;
    assert_alive(p);
    user_sends(p, "!", 1);
    drain(p->h);
    a = the_answer(p);
    assert_int_equal(a->g.opt.ts_ecr, p->ts_val);
    p->ack++;
    say(p, SEG_ACK, NULL, 0);
}

static void t6_tsval_far_ahead(void **state)
{
    static const uint32_t jumps[] = {1000, 0x10000000, 0x7fffffff};
    struct peer p = stranger(*state, 4302);

    open_modern(&p);
    for (size_t i = 0; i < 3; i++) {
        const struct {
            uint8_t flags;
            uint32_t seq, ack;
        } forged[] = {
            {SEG_ACK, (uint32_t)-1, 0},       /* outside the window */
            {SEG_ACK, 1000000, 0},            /* ... */
            {SEG_ACK, 900, 0},                /* inside, but not what is next */
            {SEG_ACK, 0, 1},                  /* next, but acknowledges what was not sent */
            {SEG_ACK, 0, (uint32_t)-1 << 30}, /* ... or long ago */
            {SEG_RST, 1, 0},                  /* not quite a reset */
            {SEG_SYN, 0, 0},
            {SEG_PSH, 0, 0}, /* no ACK */
        };

        for (size_t j = 0; j < sizeof forged / sizeof *forged; j++)
            forge_tsval(&p,
                        (struct sg){.flags = forged[j].flags,
                                    .seq = p.seq + forged[j].seq,
                                    .ack = p.ack + forged[j].ack,
                                    .wnd = 60000},
                        p.ts_val + jumps[i]);
        elapse(p.h, ESTAB_S(1));
    }
}

/* An old one is answered and nothing else (RFC 7323 section 5.3 R1). [RFC7323-5.3-1] */
static void t6_tsval_behind(void **state)
{
    struct peer p = stranger(*state, 4303);

    open_modern(&p);
    p.ts_val += 100;
    assert_alive(&p);
    for (uint32_t back = 1; back; back <<= 3) {
        mark(p.h);
        send_ts(&p,
                (struct sg){.flags = SEG_ACK,
                            .seq = p.seq,
                            .ack = p.ack,
                            .wnd = 1000,
                            .text = "text",
                            .len = 4},
                p.ts_val - back, p.ts_ecr);
        assert_acked(&p);
        assert_only(p.h, RULE_PAWS, 1);
        assert_alive(&p);
        elapse(p.h, ESTAB_S(1));
    }
}

static void t6_tsecr_that_we_never_sent(void **state)
{
    static const uint32_t lies[] = {0,          1,        100,        3599999,   3600000,
                                    0x7fffffff, 1u << 31, 0xfffffff0, 0xffffffff};
    struct peer p = stranger(*state, 4304);

    open_modern(&p);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct estab_tcp_info info;

        user_sends(&p, "text", 4);
        drain(p.h);
        p.ts_ecr = the_answer(&p)->g.opt.ts_val - lies[i];
        p.ack += 4;
        elapse(p.h, ESTAB_MS(300)); /* sent again: not timed any more but by its timestamp */
        say(&p, SEG_ACK, NULL, 0);
        info = info_of(&p);
        assert_in_range(info.rto, ESTAB_MS(200), ESTAB_S(120));
        assert_int_equal(info.flight, 0);
        assert_alive(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(t1_data_offset_below_5),
        hostile_test(t1_data_offset_past_the_segment),
        hostile_test(t1_option_of_length_0_or_1),
        hostile_test(t1_option_past_the_header),
        hostile_test(t1_header_ends_on_a_kind),
        hostile_test(t1_lengths_that_their_kinds_do_not_have),
        hostile_test(t1_forty_nops),
        hostile_test(t1_unknown_options_are_skipped),
        hostile_test(t1_the_first_of_duplicates_counts),
        hostile_test(t2_mss_of_no_use),
        hostile_test(t2_mss_in_a_syn_ack),
        hostile_test(t2_mss_missing),
        hostile_test(t3_shift_above_14),
        hostile_test(t3_shift_outside_a_syn),
        hostile_test(t3_mss_and_sack_permitted_outside_a_syn),
        hostile_test(t3_shift_in_a_syn_ack),
        hostile_test(t3_shift_in_a_simultaneous_syn_ack),
        hostile_test(t3_shift_that_was_not_offered),
        hostile_test(t4_urgent_pointers),
        hostile_test(t4_pointer_without_urg),
        hostile_test(t4_urgent_out_of_order),
        hostile_test(t4_urgent_syn),
        cmocka_unit_test(t5_all_flags_in_closed),
        cmocka_unit_test(t5_all_flags_in_listen),
        cmocka_unit_test(t5_all_flags_in_syn_sent),
        cmocka_unit_test(t5_all_flags_in_syn_received),
        cmocka_unit_test(t5_all_flags_in_syn_received_simultaneous),
        cmocka_unit_test(t5_all_flags_in_established),
        cmocka_unit_test(t5_all_flags_in_established_with_all_options),
        cmocka_unit_test(t5_all_flags_in_fin_wait_1),
        cmocka_unit_test(t5_all_flags_in_fin_wait_2),
        cmocka_unit_test(t5_all_flags_in_close_wait),
        cmocka_unit_test(t5_all_flags_in_closing),
        cmocka_unit_test(t5_all_flags_in_last_ack),
        cmocka_unit_test(t5_all_flags_in_time_wait),
        hostile_test(t5_syn_with_ecn_and_reserved_bits),
        hostile_test(t5_syn_with_text),
        cmocka_unit_test(t5_syn_ack_with_text_beyond_the_window),
        hostile_test(t6_timestamp_missing),
        hostile_test(t6_syn_without_timestamp),
        hostile_test(t6_tsval_far_ahead),
        hostile_test(t6_tsval_behind),
        hostile_test(t6_tsecr_that_we_never_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_negotiate_test.c - what the two SYNs agree upon: MSS, window scale, SACK, timestamps; and the
 * order in which options stand. */
#include "unit/peer.h"

#define KINDS(...) ((const uint8_t[]){__VA_ARGS__, OPT_KIND_EOL})

static void assert_layout(uint8_t has, const uint8_t *want)
{
    struct tcp_opts o = {.has = has};
    uint8_t kinds[TCP_KINDS_MAX];
    size_t n = 0;

    tcp_opt_layout(ESTAB_OPTIONS_SACK_TS_WS, &o, kinds);
    while (want[n] != OPT_KIND_EOL)
        n++;
    assert_memory_equal(kinds, want, n + 1);
}

/* RFC 7323 appendix A, RFC 2018: each option aligned, in the order that middleboxes know. */
static void options_stand_in_their_order(void **state)
{
    const uint8_t nop = OPT_KIND_NOP;

    (void)state;
    assert_layout(0, KINDS(OPT_KIND_EOL));
    assert_layout(OPT_MSS, KINDS(OPT_KIND_MSS));
    assert_layout(OPT_MSS | OPT_SACK_OK | OPT_TS | OPT_WS,
                  KINDS(OPT_KIND_MSS, OPT_KIND_SACK_OK, OPT_KIND_TS, nop, OPT_KIND_WS));
    assert_layout(OPT_MSS | OPT_SACK_OK, KINDS(OPT_KIND_MSS, nop, nop, OPT_KIND_SACK_OK));
    assert_layout(OPT_MSS | OPT_WS, KINDS(OPT_KIND_MSS, nop, OPT_KIND_WS));
    assert_layout(OPT_TS, KINDS(nop, nop, OPT_KIND_TS));
    assert_layout(OPT_TS | OPT_SACK, KINDS(nop, nop, OPT_KIND_TS, nop, nop, OPT_KIND_SACK));
    assert_layout(OPT_SACK, KINDS(nop, nop, OPT_KIND_SACK));
}

/* 40 octets are all there is: each set of options that a segment of ours can have fits. */
static void every_set_of_options_fits(void **state)
{
    static const uint8_t nblocks[] = {TCP_SACK_MAX, 3};
    uint8_t kinds[TCP_KINDS_MAX], out[40];

    (void)state;
    for (uint8_t has = 0; has < 32; has++) {
        struct tcp_opts o = {.has = has}, back;
        size_t len;

        if (has & OPT_SACK && has & (OPT_MSS | OPT_WS | OPT_SACK_OK))
            continue; /* never in a SYN */
        o.nsack = has & OPT_SACK ? nblocks[(has & OPT_TS) != 0] : 0;
        for (uint8_t i = 0; i < o.nsack; i++)
            o.sack[i] = (struct range){{i * 10u}, {i * 10u + 5}};
        tcp_opt_layout(ESTAB_OPTIONS_SACK_TS_WS, &o, kinds);
        len = tcp_opts_emit(&o, kinds, out);
        assert_int_equal(len % 4, 0);
        assert_int_equal(tcp_opts_parse(&back, out, len), RULE_NONE);
        assert_int_equal(back.has, has);
        assert_int_equal(back.nsack, o.nsack);
    }
}

/* In words at once, or kind by kind: the same octets. */
static void the_usual_options_fill_words(void **state)
{
    static const uint8_t orders[] = {ESTAB_OPTIONS_SACK_TS_WS, ESTAB_OPTIONS_WS_SACK_TS};
    uint8_t kinds[TCP_KINDS_MAX], out[40], at_once[40];

    (void)state;
    for (uint8_t has = 0; has < 32; has++) {
        struct tcp_opts o = {
            .has = has, .mss = 1460, .ws = 7, .ts_val = 0x01020304, .ts_ecr = 0xf0e0d0c0};

        for (size_t i = 0; i < 2 && !(has & ~TCP_USUAL_OPTS); i++) {
            struct tcp_words w = tcp_opt_usual(orders[i], &o, at_once);
            size_t len = (size_t)(w.end - at_once);
            uint64_t sum = 0;

            tcp_opt_layout(orders[i], &o, kinds);
            assert_int_equal(tcp_opts_emit(&o, kinds, out), len);
            assert_memory_equal(at_once, out, len);
            for (size_t at = 0; at < len; at += 4)
                sum += be32_at(out + at);
            assert_true(w.sum == sum);
        }
    }
}

/* ---- what we say ---- */

/* [MUST-14, SHLD-5, MAY-3] */
static void our_syn_offers_all(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_connects(p);
    k = gets(p, SEG(.flags = SYN));
    assert_int_equal(k->mss, 1460);
    assert_int_equal(k->ws, 1 + 8); /* 15 MiB */
    assert_true(k->sack_ok && k->ts);
    assert_int_equal(k->ts_ecr, 0);
    assert_int_equal(k->wnd, 65535); /* RFC 7323 section 2.2: never scaled in a SYN */
}

static void our_syn_offers_what_is_configured(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    p->cfg.timestamps = p->cfg.sack = p->cfg.window_scale = false;
    p->cfg.rcvbuf = 8192;
    peer_restarts(p);
    user_connects(p);
    k = gets(p, SEG(.flags = SYN));
    assert_false(k->sack_ok || k->ts || k->ws);
    assert_int_equal(k->wnd, 8192);
}

/* [MUST-67, RFC6691-2-1] */
static void our_mss_is_the_link_s(void **state)
{
    static const struct {
        uint32_t mtu;
        bool ip6;
        uint16_t mss;
    } all[] = {{1500, false, 1460}, {1500, true, 1440}, {576, false, 536},
               {68, false, 28},     {1280, true, 1220}, {9000, false, 8960}};
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        p->caps.mtu = all[i].mtu;
        p->ip6 = all[i].ip6;
        peer_restarts(p);
        user_connects(p);
        assert_int_equal(gets(p, SEG(.flags = SYN))->mss, all[i].mss);
    }
}

/* A SYN,ACK answers what the SYN offered, and nothing else. [RFC7323-3.2-3, RFC7323-2.2-2] */
static void our_synack_answers_what_was_offered(void **state)
{
    struct peer *p = *state;

    for (int set = 0; set < 8; set++) {
        bool ws = set & 1, sack = set & 2, ts = set & 4;
        const struct pkt *k;

        peer_restarts(p);
        user_listens(p, 1);
        sends(p, SEG(.flags = SYN, .mss = 1000, .ws = ws ? 1 + 7 : 0, .sack_ok = sack, .ts = ts,
                     .ts_val = 77));
        k = gets(p, SEG(.flags = SYN | ACK, .ack = 1));
        assert_int_equal(k->mss, 1460);
        assert_int_equal(k->ws, ws ? 1 + 8 : 0);
        assert_int_equal(k->sack_ok, sack);
        assert_int_equal(k->ts, ts);
        assert_int_equal(k->ts_ecr, ts ? 77 : 0);
        p->ts = ts;
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
        user_accepts(p);
        assert_int_equal(info_of(p).snd_wscale, ws ? 7 : 0);
        assert_int_equal(info_of(p).rcv_wscale, ws ? 8 : 0);
        assert_int_equal(info_of(p).sack_ok, sack);
        assert_int_equal(info_of(p).ts_ok, ts);
        assert_int_equal(info_of(p).snd_wnd, ws ? 65535u << 7 : 65535);
    }
}

/* What the SYN,ACK does not answer was not agreed upon. */
static void what_the_synack_does_not_answer_is_off(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    assert_false(info_of(p).ts_ok || info_of(p).sack_ok);
    assert_int_equal(info_of(p).rcv_wscale, 0);
    assert_int_equal(info_of(p).snd_wscale, 0);
    peer_restarts(p);
    p->cfg.timestamps = p->cfg.sack = p->cfg.window_scale = false;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1000, .ws = 1 + 7, .sack_ok = true, .ts = true));
    assert_false(info_of(p).ts_ok || info_of(p).sack_ok); /* it was not offered either */
    assert_int_equal(info_of(p).snd_wscale, 0);
}

/* ---- what we hear ---- */

/* RFC 7323 section 2.3: more than 14 is 14. [RFC7323-2.3-1] */
static void a_scale_beyond_14_is_14(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000, .ws = 1 + 15));
    assert_int_equal(info_of(p).snd_wscale, 14);
    assert_int_equal(info_of(p).snd_wnd, 65535); /* not in the SYN */
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_int_equal(info_of(p).snd_wnd, 65535u << 14);
}

/* A segment size that would have us send headers only is raised to the floor; 0 is none. */
static void a_tiny_mss_is_raised(void **state)
{
    static const struct {
        uint16_t mss;
        uint32_t sent;
    } all[] = {{1, 88}, {48, 88}, {87, 88}, {88, 88}, {89, 89}, {536, 536}};
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        peer_restarts(p);
        user_connects_with(p, SEG(.mss = all[i].mss));
        user_sends(p, 1, 4000);
        assert_int_equal(got(p)->len, all[i].sent);
    }
    for (int ip6 = 0; ip6 < 2; ip6++) {
        struct tcp_opts none = {.has = 0}, zero = {.has = OPT_MSS};

        p->ip6 = ip6;
        peer_restarts(p);
        assert_int_equal(tcp_mss_of(&none, p->them.ip), ip6 ? 1220 : 536);
        assert_int_equal(tcp_mss_of(&zero, p->them.ip), ip6 ? 1220 : 536);
    }
}

/* A listener's option that changes while a connection is half-open does not change what the peer
 * was told. */
static void what_was_announced_holds(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    user_listens(p, 1);
    sends(p, SEG(.flags = SYN, .mss = 1000, .ws = 1 + 7));
    k = gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    assert_int_equal(k->ws, 1 + 8);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_RCVBUF, 64 << 20), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    assert_int_equal(info_of(p).rcv_wscale, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_in_their_order),
        cmocka_unit_test(every_set_of_options_fits),
        cmocka_unit_test(the_usual_options_fill_words),
        PEER_TEST(our_syn_offers_all),
        PEER_TEST(our_syn_offers_what_is_configured),
        PEER_TEST(our_mss_is_the_link_s),
        PEER_TEST(our_synack_answers_what_was_offered),
        PEER_TEST(what_the_synack_does_not_answer_is_off),
        PEER_TEST(a_scale_beyond_14_is_14),
        PEER_TEST(a_tiny_mss_is_raised),
        PEER_TEST(what_was_announced_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

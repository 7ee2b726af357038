/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_icmp_test.c - ICMP errors about our segments: who is believed, and what follows (RFC 9293
 * section 3.9.2.2, RFC 5461, RFC 5927, RFC 1191, RFC 8201). */
#include "unit/peer.h"

enum { NET = 0, HOST = 1, PROTO = 2, PORT = 3, TOO_BIG = 4, PROHIBITED = 13 };

static void unreachable(struct peer *p, uint8_t code, uint32_t seq)
{
    icmp_arrives(p, ICMP4_UNREACH, code, 0, seq);
}

static void too_big(struct peer *p, uint32_t mtu, uint32_t seq)
{
    if (p->ip6)
        icmp_arrives(p, ICMP6_TOO_BIG, 0, mtu, seq);
    else
        icmp_arrives(p, ICMP4_UNREACH, TOO_BIG, mtu, seq);
}

/* Three segments of a connection at MTU 1500 are out. */
static void three_out(struct peer *p)
{
    user_connects_with(p, SEG(.mss = 1460));
    user_sends(p, 1, 4380);
    ignores_all(p);
}

/* ---- while opening: the error ends it ---- */

/* [MUST-54, SHLD-26] */
static void a_hard_error_refuses_the_opening(void **state)
{
    static const struct {
        uint8_t code;
        int err;
    } all[] = {{PORT, ESTAB_E_REFUSED}, {PROTO, ESTAB_E_REFUSED}, {PROHIBITED, ESTAB_E_UNREACH}};
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        peer_restarts(p);
        bring_to(p, ESTAB_SYN_SENT);
        unreachable(p, all[i].code, 0);
        assert_int_equal(info_of(p).state, ESTAB_CLOSED);
        assert_int_equal(p->last_edge.cause, ESTAB_BY_ICMP);
        assert_int_equal(user_error(p), all[i].err);
    }
}

/* [MUST-56]: a soft one is remembered, and told if nothing better comes. [SHLD-25,
 * RFC1122-4.2.3.9-1] */
static void a_soft_error_is_told_when_the_opening_is_given_up(void **state)
{
    struct peer *p = *state;

    p->cfg.syn_retries = 2;
    peer_restarts(p);
    bring_to(p, ESTAB_SYN_SENT);
    unreachable(p, HOST, 0);
    assert_state(p, SYN_SENT);
    waits(p, ESTAB_S(10));
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_UNREACH);
}

/* ---- afterwards nothing ends it ---- */

/* RFC 5461 section 4.1, RFC 5927 section 5: whoever guesses a four-tuple could. [MUST-56,
 * RFC5927-5.2-1] */
static void nothing_ends_an_established_connection(void **state)
{
    static const uint8_t codes[] = {NET, HOST, PROTO, PORT, PROHIBITED};
    struct peer *p = *state;

    three_out(p);
    for (size_t i = 0; i < sizeof codes; i++)
        unreachable(p, codes[i], 1);
    icmp_arrives(p, ICMP4_TIME_EXCEEDED, 0, 0, 1);
    icmp_arrives(p, ICMP4_PARAM_PROBLEM, 0, 0, 1);
    icmp_arrives(p, ICMP4_SOURCE_QUENCH, 0, 0, 1);
    assert_state(p, ESTABLISHED);
    gets_nothing(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 4381));
    waits(p, ESTAB_S(1000));
    assert_state(p, ESTABLISHED);
}

/* What is found last when nothing has been found is nobody's. */
static void a_quote_of_zeros_finds_nobody(void **state)
{
    static const uint8_t none[16];
    struct peer *p = *state;
    struct tcp_tuple zeros = {none, 0, 0, 0};

    assert_int_equal(tcp_demux_find(&p->s->tcp, &zeros), HASH_NONE);
}

static void the_last_error_names_what_ended_it(void **state)
{
    struct peer *p = *state;

    p->cfg.max_retries = 3;
    peer_restarts(p);
    three_out(p);
    unreachable(p, HOST, 1);
    waits(p, ESTAB_S(60));
    assert_int_equal(user_error(p), ESTAB_E_UNREACH);
    peer_restarts(p);
    three_out(p);
    unreachable(p, HOST, 1);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1461)); /* it was passing */
    waits(p, ESTAB_S(60));
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* B7, RFC 5927 section 4: the quoted number must be in flight, for every kind. [RFC5927-4.1-1,
 * RFC8201-4-4] */
static void a_quote_of_what_is_not_in_flight_means_nothing(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_SYN_SENT);
    unreachable(p, PORT, 1);
    unreachable(p, PORT, 0u - 1);
    assert_state(p, SYN_SENT);
    peer_restarts(p);
    three_out(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1461));
    too_big(p, 600, 1);
    too_big(p, 600, 4381);
    gets_nothing(p);
    assert_int_equal(info_of(p).snd_mss, 1460);
    assert_int_equal(counted(p, RULE_ICMP_QUOTE), 2);
}

/* An error that nobody has heard of is told, and no more: RFC 4443 section 2.4 (a).  The quoted
 * number is asked for as for every other. [RFC4443-2.4-1] */
static void an_error_of_unknown_kind_is_told(void **state)
{
    static const struct {
        bool ip6;
        uint8_t type, code;
    } all[] = {{false, ICMP4_UNREACH, 77},
               {false, ICMP4_PARAM_PROBLEM, 9},
               {true, ICMP6_UNREACH, 77},
               {true, 100, 3}};
    struct peer *p = *state;
    uint64_t soft = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        p->ip6 = all[i].ip6;
        peer_restarts(p);
        three_out(p);
        icmp_arrives(p, all[i].type, all[i].code, 0, 4381);
        assert_int_equal(counted(p, RULE_ICMP_QUOTE), 1);
        assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_SOFT_ERROR, &soft), 0);
        assert_int_equal(soft, 0);
        icmp_arrives(p, all[i].type, all[i].code, 0, 1);
        assert_int_equal(counted(p, RULE_ICMP_UNKNOWN), 1);
        assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_SOFT_ERROR, &soft), 0);
        assert_int_equal(soft, -ESTAB_E_UNREACH);
        assert_state(p, ESTABLISHED);
        gets_nothing(p);
    }
    peer_restarts(p);
    bring_to(p, ESTAB_SYN_SENT);
    icmp_arrives(p, 100, 0, 0, 0);
    assert_state(p, SYN_SENT);
}

/* ---- the path's MTU ---- */

/* RFC 1191 section 6.5: what was too big goes again, in smaller pieces, without waiting for loss.
 [RFC8201-4-2] */
static void what_was_too_big_goes_again_in_smaller_pieces(void **state)
{
    struct peer *p = *state;

    three_out(p);
    too_big(p, 1000, 1);
    assert_int_equal(info_of(p).snd_mss, 960);
    for (uint32_t at = 1; at < 3841; at += 960)
        (void)gets(p, SEG(.flags = ACK, .seq = at, .ack = 1, .len = 960));
    (void)gets(p, SEG(.flags = ACK, .seq = 3841, .ack = 1, .len = 540));
    gets_nothing(p);
    too_big(p, 1000, 1); /* about the second of them: known */
    gets_nothing(p);
}

/* [RFC8201-4-3] */
static void a_path_is_never_believed_to_be_wider(void **state)
{
    struct peer *p = *state;

    three_out(p);
    too_big(p, 1500, 1);
    too_big(p, 9000, 1);
    gets_nothing(p);
    assert_int_equal(info_of(p).snd_mss, 1460);
}

/* ... nor narrower than makes sense.  A router that does not say is guessed: RFC 1191
 * section 7.1. */
static void a_tiny_mtu_is_raised(void **state)
{
    static const struct {
        uint32_t told, mss;
    } all[] = {{0, 1452}, {1, 512}, {68, 512}, {296, 512}, {551, 512}, {552, 512}, {575, 535}};
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        peer_restarts(p);
        three_out(p);
        too_big(p, all[i].told, 1);
        assert_int_equal(info_of(p).snd_mss, all[i].mss);
    }
    p->ip6 = true;
    peer_restarts(p);
    user_connects_with(p, SEG(.mss = 1440));
    user_sends(p, 1, 1440);
    ignores_all(p);
    too_big(p, 1279, 1); /* RFC 8201 section 4: to be discarded */
    assert_int_equal(info_of(p).snd_mss, 1440);
    too_big(p, 1280, 1);
    assert_int_equal(info_of(p).snd_mss, 1220);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 1220));
}

/* A FIN that was in the piece stays behind the last octet. */
static void a_fin_that_was_in_flight_goes_again_too(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    user_sends(p, 1, 1400);
    ignores_all(p);
    user_shuts(p);
    ignores_all(p);
    too_big(p, 1000, 1);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 960));
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 961, .ack = 1, .len = 440));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1402));
    assert_state(p, FIN_WAIT_2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_hard_error_refuses_the_opening),
        PEER_TEST(a_soft_error_is_told_when_the_opening_is_given_up),
        PEER_TEST(nothing_ends_an_established_connection),
        PEER_TEST(a_quote_of_zeros_finds_nobody),
        PEER_TEST(the_last_error_names_what_ended_it),
        PEER_TEST(a_quote_of_what_is_not_in_flight_means_nothing),
        PEER_TEST(an_error_of_unknown_kind_is_told),
        PEER_TEST(what_was_too_big_goes_again_in_smaller_pieces),
        PEER_TEST(a_path_is_never_believed_to_be_wider),
        PEER_TEST(a_tiny_mtu_is_raised),
        PEER_TEST(a_fin_that_was_in_flight_goes_again_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

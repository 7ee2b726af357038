/* SPDX-License-Identifier: BSD-2-Clause */
/* rfc_9293_test.c - rules of RFC 9293 and 7323 that no other test is about. */
#include "unit/peer.h"

/* The first octet of the IP header of what is next in the queue. */
static struct ip_hdr next_header(struct peer *p)
{
    struct ip_hdr h;

    assert_true(has_got(p));
    assert_int_equal(ip4_parse(&h, p->frame[p->head % PEER_QUEUE], PEER_FRAME, PEER_FRAME, true),
                     RULE_NONE);
    return h;
}

/* A connection from our port to the peer's: the numbers its SYN begins with. */
struct beginning {
    uint32_t isn, ts;
};
static struct beginning begins(struct peer *p, uint16_t ours, uint16_t theirs)
{
    struct estab_addr us = p->us, them = p->them;
    struct beginning b;
    const struct pkt *k;

    us.port = ours;
    them.port = theirs;
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_bind(p->s, p->k, &us), 0);
    assert_int_equal(estab_connect(p->s, p->k, &them), ESTAB_E_INPROGRESS);
    peer_collect(p);
    k = got(p);
    assert_non_null(k);
    assert_int_equal(k->flags, SYN);
    b = (struct beginning){p->iss, k->ts_val};
    user_aborts(p);
    ignores_all(p);
    return b;
}

/* [MUST-8]: a clock of 4 us, so that numbers of one four-tuple grow [RFC6528-3-1]; and so do
 * timestamps, by 1 ms [RFC7323-5.4-1]. */
static void numbers_of_a_four_tuple_follow_the_clock(void **state)
{
    struct peer *p = *state;
    struct beginning was = begins(p, 1000, 2000), is;

    for (int i = 0; i < 50; i++) {
        waits(p, ESTAB_S(100));
        is = begins(p, 1000, 2000);
        assert_int_equal(is.isn - was.isn, 25000000);
        assert_int_equal(is.ts - was.ts, 100000);
        was = is;
    }
}

/* Another stack at the same time, with other random octets. */
static void starts_with_secret(struct peer *p, uint64_t seed)
{
    estab_time now = p->v.now;

    peer_stops(p);
    estab_virtual_env(&p->env, &p->v, seed);
    p->v.now = now;
    assert_int_equal(estab_stack_new(&p->s, &p->env, &p->cfg), 0);
    assert_int_equal(estab_port_add(p->s, &p->caps), 0);
    assert_int_equal(estab_addr_add(p->s, 0, p->us.ip, 120), 0);
}

/* [MUST-9, SHLD-1]: those of another four-tuple, and of another stack, tell nothing about them; nor
 * do timestamps [RFC7323-7.1-1].  Of 8128 pairs, one as close as this has a chance of 1 : 2600. */
static void numbers_of_others_tell_nothing(void **state)
{
    struct peer *p = *state;
    struct beginning was[128];
    unsigned n = 0;

    for (uint16_t i = 0; i < 64; i++)
        was[n++] = begins(p, (uint16_t)(1000 + i), 2000);
    for (uint16_t i = 0; i < 32; i++)
        was[n++] = begins(p, 1000, (uint16_t)(2001 + i));
    while (n < 128) {
        starts_with_secret(p, n);
        was[n++] = begins(p, 1000, 2000);
    }
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < i; j++) {
            assert_true(was[i].isn - was[j].isn + 100 > 200);
            assert_true(was[i].ts - was[j].ts + 100 > 200);
        }
}

/* [MUST-41, MUST-42]: connections of a port, in SYN-SENT or SYN-RECEIVED, do not keep anybody from
 * listening there, and go on. */
static void one_listens_where_connections_are_being_opened(void **state)
{
    struct peer *p = *state;
    struct estab_addr any = {.port = 80};
    estab_sock second;

    bring_to(p, ESTAB_SYN_SENT);
    user_listens(p, 4);
    p->k = 0;
    sends(p, SEG(.flags = SYN | ACK, .ack = 1));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_state(p, ESTABLISHED);

    peer_restarts(p);
    bring_to(p, ESTAB_SYN_RECEIVED);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &second), 0);
    assert_int_equal(estab_setopt(p->s, second, ESTAB_O_REUSEADDR, 1), 0);
    assert_int_equal(estab_bind(p->s, second, &any), 0);
    assert_int_equal(estab_listen(p->s, second, 1), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_state(p, ESTABLISHED);
}

/* [MUST-43]: the user chooses among our addresses; [MUST-44]: otherwise the stack does; [MUST-45]:
 * and the connection keeps it. */
static void a_connection_keeps_its_address(void **state)
{
    struct peer *p = *state;
    struct estab_addr second;

    assert_int_equal(estab_addr_parse(&second, "10.0.0.9:80", NULL), 0);
    assert_int_equal(estab_addr_add(p->s, 0, second.ip, 120), 0);
    for (int given = 0; given < 2; given++) {
        struct estab_addr us;

        p->us = second;
        assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
        if (given)
            assert_int_equal(estab_bind(p->s, p->k, &second), 0);
        assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INPROGRESS);
        assert_int_equal(estab_getaddrs(p->s, p->k, &us, NULL), 0);
        peer_collect(p);
        assert_memory_equal(next_header(p).src, us.ip, 16);
        if (given)
            assert_memory_equal(us.ip, second.ip, 16);
        p->us = us;
        (void)got(p);
        sends(p, SEG(.flags = SYN | ACK, .ack = 1));
        assert_memory_equal(next_header(p).src, us.ip, 16);
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
        user_sends(p, 1, 10);
        assert_memory_equal(next_header(p).src, us.ip, 16);
        user_aborts(p);
        ignores_all(p);
        p->k = 0;
    }
}

/* [MUST-65], [RFC7323-2.2-1]: what belongs into a SYN stands nowhere else. */
static void options_of_a_syn_stand_in_a_syn_only(void **state)
{
    struct peer *p = *state;
    const struct pkt *k;

    for (int st = ESTAB_ESTABLISHED; st < ESTAB_TIME_WAIT; st++) {
        peer_restarts(p);
        bring_to(p, (enum estab_tcp_state)st);
        sends(p, SEG(.flags = ACK, .seq = 5000, .ack = 1, .len = 1)); /* whatever it answers */
        if (user_sends_with(p, "text", 4, 0) == 4)
            peer_collect(p);
        user_aborts(p);
        while (has_got(p)) {
            k = got(p);
            assert_int_equal(k->flags & SYN, 0);
            assert_int_equal(k->mss, 0);
            assert_int_equal(k->ws, 0);
            assert_false(k->sack_ok);
        }
        p->k = 0;
    }
}

/* [SHLD-2]: text in an RST says why, perhaps, and is no reason to refuse it. */
static void an_rst_may_carry_text(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_ESTABLISHED);
    sends(p, SEG(.flags = RST | ACK, .seq = 1, .ack = 1, .text = "out of paper"));
    assert_state(p, CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_RESET);
    gets_nothing(p);
}

/* [RFC7323-4.1-1]: an echo in a segment that acknowledges nothing new measures nothing. */
static void only_what_is_new_is_measured(void **state)
{
    struct peer *p = *state;
    estab_dur srtt;

    peer_connects_with(p, SEG(.mss = 1000, .ts = true));
    srtt = info_of(p).srtt;
    waits(p, ESTAB_S(5)); /* the echo is as old as that */
    for (uint32_t i = 0; i < 10; i++)
        sends(p, SEG(.flags = ACK, .seq = 1 + i, .ack = 1, .len = 1));
    assert_int_equal(info_of(p).srtt, srtt);
}

/* [RFC1122-3.2.1.7-2]: a time to live of 1 or 0 has done its work when it is here. */
static void a_spent_time_to_live_is_no_reason_to_drop(void **state)
{
    struct ip_hdr h = {.version = 4, .proto = IPPROTO_TCP_, .payload_len = 0}, parsed;
    uint8_t b[IP4_HDR_LEN];

    (void)state;
    for (uint8_t ttl = 0; ttl < 2; ttl++) {
        h.hop_limit = ttl;
        ip4_emit(&h, b);
        assert_int_equal(ip4_parse(&parsed, b, sizeof b, sizeof b, false), RULE_NONE);
        assert_int_equal(parsed.hop_limit, ttl);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(numbers_of_a_four_tuple_follow_the_clock),
        PEER_TEST(numbers_of_others_tell_nothing),
        PEER_TEST(one_listens_where_connections_are_being_opened),
        PEER_TEST(a_connection_keeps_its_address),
        PEER_TEST(options_of_a_syn_stand_in_a_syn_only),
        PEER_TEST(an_rst_may_carry_text),
        PEER_TEST(only_what_is_new_is_measured),
        cmocka_unit_test(a_spent_time_to_live_is_no_reason_to_drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* rfc_user_test.c - what RFC 9293 says that the user can ask for and must be told (section 3.9.1),
 * where no other test shows it. */
#include "unit/peer.h"

/* What has happened since it was asked last. */
static uint32_t events_of(struct peer *p)
{
    struct estab_event ev;

    return estab_events(p->s, &ev, 1) ? ev.mask : 0;
}

static uint64_t asks(struct peer *p, enum estab_opt o)
{
    uint64_t val;

    assert_int_equal(estab_getopt(p->s, p->k, o, &val), 0);
    return val;
}

static void watches(struct peer *p, uint32_t mask)
{
    assert_int_equal(estab_watch(p->s, p->k, mask, NULL), 0);
    (void)events_of(p);
}

/* ---- urgent data ---- */

/* [MUST-32]: once for each advance, whether the data is there or not; [MUST-33]: how much of it is
 * still to be read. */
static void urgent_data_is_told(void **state)
{
    struct peer *p = *state;
    char buf[8];

    peer_connects(p);
    watches(p, ESTAB_EV_URG);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    assert_int_equal(events_of(p), 0);
    sends(p, SEG(.flags = URG | ACK, .seq = 11, .ack = 1, .len = 5, .up = 8));
    assert_int_equal(events_of(p), ESTAB_EV_URG);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 18);
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_URG);
    sends(p, SEG(.flags = URG | ACK, .seq = 16, .ack = 1, .len = 1, .up = 3)); /* the same place */
    assert_int_equal(events_of(p), 0);
    sends(p, SEG(.flags = URG | ACK, .seq = 17, .ack = 1, .len = 1, .up = 3));
    assert_int_equal(events_of(p), ESTAB_EV_URG);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 19);
    assert_int_equal(user_reads(p, buf, 8), 8);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 11);
    assert_int_equal(user_reads(p, buf, 8), 8);
    assert_int_equal(user_reads(p, buf, 8), 1);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 2); /* still to come */
    sends(p, SEG(.flags = ACK, .seq = 18, .ack = 1, .len = 3));
    assert_int_equal(user_reads(p, buf, 2), 2);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 0);
    assert_false(estab_ready(p->s, p->k) & ESTAB_EV_URG);
    assert_int_equal(user_reads(p, buf, 8), 1);
}

/* A FIN has a number, and is nothing to read. */
static void urgent_data_before_a_fin_is_counted_right(void **state)
{
    struct peer *p = *state;
    char buf[16];

    peer_connects(p);
    sends(p, SEG(.flags = URG | FIN | ACK, .seq = 1, .ack = 1, .len = 10, .up = 10));
    assert_int_equal(asks(p, ESTAB_O_URGENT), 10);
    assert_int_equal(user_reads(p, buf, 9), 9);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 1);
    assert_int_equal(user_reads(p, buf, 9), 1);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 0);
    assert_int_equal(user_reads(p, buf, 9), 0);
}

/* What comes again does not make read data urgent, nor does a pointer that points nowhere. */
static void an_urgent_pointer_of_the_past_is_no_news(void **state)
{
    struct peer *p = *state;
    char buf[16];

    peer_connects(p);
    watches(p, ESTAB_EV_URG);
    sends(p, SEG(.flags = URG | ACK, .seq = 1, .ack = 1, .len = 10, .up = 10));
    assert_int_equal(events_of(p), ESTAB_EV_URG);
    assert_int_equal(user_reads(p, buf, 16), 10);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 0);
    sends(p, SEG(.flags = URG | ACK, .seq = 6, .ack = 1, .len = 10, .up = 5)); /* 5 of it are old */
    assert_int_equal(user_reads(p, buf, 16), 5);
    sends(p, SEG(.flags = URG | ACK, .seq = 16, .ack = 1, .len = 1));
    assert_int_equal(events_of(p), 0);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 0);
    sends(p, SEG(.flags = URG | ACK, .seq = 14, .ack = 1, .len = 10, .up = 10)); /* to 24 */
    assert_int_equal(events_of(p), ESTAB_EV_URG);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 8);
}

/* [MUST-31]: more than the pointer can reach from the first segment, in either direction. */
static void urgent_data_has_any_length(void **state)
{
    struct peer *p = *state;
    static uint8_t text[150000];
    const struct pkt *k;
    uint32_t at = 1, urgent = 0;

    p->cfg.sndbuf = 1u << 20;
    peer_restarts(p);
    peer_connects_with(p, SEG(.mss = 1000, .ws = 1 + 4));
    assert_int_equal(user_sends_with(p, text, sizeof text, ESTAB_MSG_OOB), sizeof text);
    peer_collect(p);
    while (at < 1 + sizeof text) {
        k = got(p);
        assert_non_null(k);
        if (k->flags & URG) {
            assert_int_equal(k->seq + k->up, 1 + sizeof text);
            urgent++;
        } else {
            assert_true(1 + sizeof text - k->seq > UINT16_MAX);
        }
        at = k->seq + k->len;
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = at));
    }
    assert_in_range(urgent, 65, 66);
    for (at = 0; at < 60; at++) /* ... and the other way: the pointer moves on and on */
        sends(p, SEG(.flags = URG | ACK, .seq = 1 + at * 1000, .ack = 1 + sizeof text, .len = 1000,
                     .up = 60000));
    assert_int_equal(asks(p, ESTAB_O_URGENT), 59000 + 60000);
}

/* [MUST-66]: a closed window keeps neither an urgent pointer nor an RST out. */
static void a_closed_window_lets_urg_and_rst_in(void **state)
{
    struct peer *p = *state;

    p->cfg.rcvbuf = 2048;
    peer_restarts(p);
    peer_connects(p);
    watches(p, ESTAB_EV_URG);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 2048));
    assert_int_equal(info_of(p).rcv_wnd, 0);
    sends(p, SEG(.flags = URG | ACK, .seq = 2049, .ack = 1, .len = 1, .up = 1));
    assert_int_equal(events_of(p), ESTAB_EV_URG);
    assert_int_equal(asks(p, ESTAB_O_URGENT), 2049);
    sends(p, SEG(.flags = RST | ACK, .seq = 2049, .ack = 1));
    assert_state(p, CLOSED);
}

/* ---- reports ---- */

/* [MUST-47, SHLD-25]: an ICMP error that ends nothing is told to those who watch for it; [SHLD-20]:
 * to nobody else. */
static void soft_errors_are_reported(void **state)
{
    struct peer *p = *state;

    for (int watched = 0; watched < 2; watched++) {
        peer_restarts(p);
        peer_connects(p);
        watches(p, watched ? ESTAB_EV_IN | ESTAB_EV_REPORT : ESTAB_EV_IN);
        user_sends(p, 1, 100);
        (void)gets(p, SEG(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 100));
        icmp_arrives(p, ICMP4_UNREACH, 1, 0, 1);
        assert_int_equal(events_of(p), watched ? ESTAB_EV_REPORT : 0);
        assert_state(p, ESTABLISHED);
        assert_int_equal(asks(p, ESTAB_O_SOFT_ERROR), -ESTAB_E_UNREACH);
        assert_int_equal(asks(p, ESTAB_O_ERROR), 0);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101));
        assert_int_equal(asks(p, ESTAB_O_SOFT_ERROR), 0);
    }
}

/* [SHLD-9, SHLD-10]: at the third retransmission, R1, the user is told; at R2 it is over
 * [MUST-20]. */
static void many_retransmissions_are_reported(void **state)
{
    struct peer *p = *state;

    peer_connects(p);
    watches(p, ESTAB_EV_REPORT);
    user_sends(p, 1, 100);
    for (int sent = 0; sent < 16; sent++) {
        assert_int_equal(info_of(p).retrans, sent);
        assert_int_equal(events_of(p), sent == 3 ? ESTAB_EV_REPORT : 0);
        assert_int_equal(asks(p, ESTAB_O_SOFT_ERROR), sent < 3 ? 0 : -ESTAB_E_TIMEOUT);
        while (info_of(p).retrans == (uint32_t)sent && state_of(p) != ESTAB_CLOSED)
            waits(p, ESTAB_MS(100));
    }
    assert_state(p, CLOSED);
    assert_int_equal(user_error(p), ESTAB_E_TIMEOUT);
}

/* [MUST-22]: so for a SYN. */
static void many_syns_are_reported(void **state)
{
    struct peer *p = *state;

    user_connects(p);
    watches(p, ESTAB_EV_REPORT);
    waits(p, ESTAB_S(6));
    assert_int_equal(events_of(p), 0);
    waits(p, ESTAB_S(2)); /* 1 + 2 + 4 s */
    assert_int_equal(events_of(p), ESTAB_EV_REPORT);
}

/* ---- what the user may set ---- */

/* [MUST-21]: shorter than the stack's, longer, and for ever. */
static void the_user_sets_how_long_text_may_wait(void **state)
{
    static const struct {
        estab_dur set, alive, dead;
    } cases[] = {
        {ESTAB_S(10), ESTAB_S(9), ESTAB_S(30)},
        {ESTAB_S(10000), ESTAB_S(9999), ESTAB_S(10200)},
        {ESTAB_NEVER, ESTAB_S(1000000), 0},
    };
    struct peer *p = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer_restarts(p);
        peer_connects(p);
        user_sets(p, ESTAB_O_USER_TIMEOUT, cases[i].set);
        assert_int_equal(asks(p, ESTAB_O_USER_TIMEOUT), cases[i].set);
        user_sends(p, 1, 100);
        for (estab_dur d = 0; d < cases[i].alive; d += ESTAB_S(100)) {
            waits(p, cases[i].alive - d < ESTAB_S(100) ? cases[i].alive - d : ESTAB_S(100));
            ignores_all(p);
        }
        assert_state(p, ESTABLISHED);
        waits(p, cases[i].dead);
        assert_int_equal(state_of(p), cases[i].dead ? ESTAB_CLOSED : ESTAB_ESTABLISHED);
        ignores_all(p);
    }
    user_closes(p); /* for ever is for as long as there is a user */
    waits(p, ESTAB_S(3000));
    assert_state(p, CLOSED);
    ignores_all(p);
}

/* The IP header of what the stack has just sent. */
static struct ip_hdr header_of_next(struct peer *p)
{
    struct ip_hdr h;
    const uint8_t *octets;

    assert_true(has_got(p));
    octets = p->frame[p->head % PEER_QUEUE];
    if (p->ip6)
        assert_int_equal(ip6_parse(&h, octets, PEER_FRAME, PEER_FRAME), RULE_NONE);
    else
        assert_int_equal(ip4_parse(&h, octets, PEER_FRAME, PEER_FRAME, true), RULE_NONE);
    (void)got(p);
    return h;
}

/* [MUST-48, SHLD-22]: as the user has it, in every segment of the connection; [SHLD-21]: also when
 * it changes; [MUST-49]: and the hop limit too. */
static void differentiated_services_and_hop_limit_are_the_user_s(void **state)
{
    struct peer *p = *state;
    struct ip_hdr h;

    for (int ip6 = 0; ip6 < 2; ip6++) {
        peer_stops(p);
        p->ip6 = ip6;
        peer_starts(p);
        user_listens(p, 1);
        assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_TOS, 0xb8), 0);
        assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_HOP_LIMIT, 7), 0);
        sends(p, SEG(.flags = SYN));
        h = header_of_next(p);
        assert_int_equal(h.tos, 0xb8);
        assert_int_equal(h.hop_limit, 7);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
        user_accepts(p);
        user_sends(p, 1, 10);
        h = header_of_next(p);
        assert_int_equal(h.tos, 0xb8);
        assert_int_equal(h.hop_limit, 7);
        user_sets(p, ESTAB_O_TOS, 0x23); /* the two lower bits are not the user's */
        assert_int_equal(asks(p, ESTAB_O_TOS), 0x20);
        user_sets(p, ESTAB_O_HOP_LIMIT, 200);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 11, .len = 1));
        h = header_of_next(p);
        assert_int_equal(h.tos, 0x20);
        assert_int_equal(h.hop_limit, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(urgent_data_is_told),
        PEER_TEST(urgent_data_before_a_fin_is_counted_right),
        PEER_TEST(an_urgent_pointer_of_the_past_is_no_news),
        PEER_TEST(urgent_data_has_any_length),
        PEER_TEST(a_closed_window_lets_urg_and_rst_in),
        PEER_TEST(soft_errors_are_reported),
        PEER_TEST(many_retransmissions_are_reported),
        PEER_TEST(many_syns_are_reported),
        PEER_TEST(the_user_sets_how_long_text_may_wait),
        PEER_TEST(differentiated_services_and_hop_limit_are_the_user_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

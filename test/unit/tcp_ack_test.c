/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_ack_test.c - what ACKs do to a sender: fast retransmit. */
#include "hostile.h"

/* A second bare port, whose link takes super-segments of 64 KiB: gibibytes pass quickly. */
static int big_port(struct host *h)
{
    struct estab_port_caps caps = {
        .medium = ESTAB_MEDIUM_IP, .mtu = 65535, .gso_max = 65535, .tx_csum = true};
    int port = estab_port_add(h->s, &caps);

    assert_true(port > TAP);
    assert_int_equal(estab_addr_add(h->s, port, ip("10.0.2.1").b, 120), 0);
    return port;
}

/* Octets of text that the stack sends now; p->ack moves to where the new ones end, *again counts
 * frames of old ones. */
static uint32_t pull(struct peer *p, uint32_t *again)
{
    struct estab_frame f;
    uint32_t text = 0;

    *again = 0;
    while (estab_output(p->h->s, p->port, &f, 1) == 1) {
        uint32_t n = 0, seq = be32_at((uint8_t *)f.iov[0].base + 24);

        for (uint32_t i = 1; i < f.niov; i++)
            n += (uint32_t)f.iov[i].len;
        text += n;
        if ((int32_t)(seq - p->ack) < 0)
            ++*again;
        else
            p->ack = seq + n;
    }
    return text;
}

static void send_much(const struct peer *p)
{
    static uint8_t chunk[65536];
    struct estab_iov v = {chunk, sizeof chunk};

    while (estab_send(p->h->s, p->k, &v, 1, 0) > 0)
        ;
}

static void connect_big(struct peer *p)
{
    static const uint8_t scaled[] = {2, 4, 0xff, 0xd7, 1, 3, 3, 14};
    struct estab_frame f;

    send_seg(p, (struct sg){.flags = SEG_SYN,
                            .seq = p->seq++,
                            .wnd = 65535,
                            .opts = scaled,
                            .opts_len = sizeof scaled});
    assert_int_equal(estab_output(p->h->s, p->port, &f, 1), 1);
    p->ack = be32_at((uint8_t *)f.iov[0].base + 24) + 1;
    say(p, SEG_ACK, NULL, 0);
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
}

/* All that is in flight is at stake: three duplicates bring one segment again, two do not. */
static void three_duplicates(struct peer *p)
{
    uint32_t una = p->ack, end, again;

    send_much(p);
    (void)pull(p, &again);
    assert_int_equal(again, 0);
    end = p->ack;
    p->ack = una;
    for (int i = 0; i < 3; i++) {
        uint32_t ack = p->ack;

        p->ack = end;
        (void)pull(p, &again);
        assert_int_equal(again, 0);
        p->ack = ack;
        say(p, SEG_ACK, NULL, 0);
    }
    p->ack = end;
    (void)pull(p, &again);
    assert_int_equal(again, 1);
}

static void grow(struct peer *p, uint64_t octets)
{
    uint32_t again;

    for (uint64_t sent = 0; sent < octets; say(p, SEG_ACK, NULL, 0)) {
        send_much(p);
        sent += pull(p, &again);
        assert_int_equal(again, 0);
    }
}

/* RFC 5681 section 3.2 step 3, RFC 6582 section 3.2 step 2: at once, whatever is in flight. */
static void third_duplicate_retransmits_at_once(void **state)
{
    struct host *h = *state;
    struct peer p = peer_at(h, big_port(h), "10.0.2.2", "10.0.2.1", 1000);
    uint32_t again;

    connect_big(&p);
    grow(&p, 4u << 20);
    three_duplicates(&p);
    estab_abort(h->s, p.k);
    (void)pull(&p, &again);
}

/* RFC 6582 section 3.2 step 2 compares with where the last recovery ended; there may not have been
 * one, and sequence numbers compare over 2 GiB only. */
static void third_duplicate_after_two_gibibytes(void **state)
{
    struct host *h = *state;
    struct peer p = peer_at(h, big_port(h), "10.0.2.2", "10.0.2.1", 1000);
    uint32_t again;

    connect_big(&p);
    grow(&p, 5ull << 29);
    three_duplicates(&p);
    estab_abort(h->s, p.k);
    (void)pull(&p, &again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(third_duplicate_retransmits_at_once),
        hostile_test(third_duplicate_after_two_gibibytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sums_test.c - what SEND has summed ahead is right, however the text goes in the end: the
 * peer of peer.h verifies the checksum of every segment. */
#include "unit/peer.h"

static uint32_t below(struct estab_virtual *rng, uint32_t n)
{
    return (uint32_t)(estab_virtual_random(rng) % n);
}

struct transfer {
    struct estab_virtual rng;
    uint32_t written, sent, acked; /* octets */
    uint32_t segments;
};

static void write_some(struct peer *p, struct transfer *x)
{
    uint32_t n = below(&x->rng, 3) ? 1 + below(&x->rng, 9000) : 1 + below(&x->rng, 50);

    if (x->written + n - x->acked > 60000)
        return;
    user_sends(p, x->written, n);
    x->written += n;
}

static void take_segments(struct peer *p, struct transfer *x)
{
    while (has_got(p)) {
        const struct pkt *k = got(p);

        x->segments++;
        for (uint32_t i = 0; i < k->len; i++)
            assert_int_equal(k->octets[i], peer_octet(k->seq - 1 + i));
        if (k->seq - 1 + k->len > x->sent)
            x->sent = k->seq - 1 + k->len;
    }
}

/* Odd sizes, windows that end anywhere, a queue that runs empty and one that does not. */
static void transfer(struct peer *p, uint64_t seed, uint16_t mss, bool ts)
{
    struct transfer x = {0};
    struct estab_env env;

    estab_virtual_env(&env, &x.rng, seed);
    user_connects_with(p, SEG(.mss = mss, .ts = ts, .ts_val = 1000));
    user_sets(p, ESTAB_O_SNDBUF, 1u << 20);
    for (int i = 0; i < 300; i++) {
        write_some(p, &x);
        take_segments(p, &x);
        if (below(&x.rng, 3) == 0)
            x.acked += below(&x.rng, x.sent - x.acked + 1);
        else if (below(&x.rng, 2))
            x.acked = x.sent;
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1 + x.acked,
                     .wnd = (uint16_t)(1 + below(&x.rng, 30000))));
        take_segments(p, &x);
        if (below(&x.rng, 40) == 0)
            waits(p, ESTAB_MS(300));
    }
    assert_in_range(x.sent, 100000, UINT32_MAX);
    assert_in_range(x.segments, 100, UINT32_MAX);
}

static void every_checksum_is_right(void **state)
{
    struct peer *p = *state;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        transfer(p, seed, (uint16_t)(seed % 3 == 0 ? 1001 : 536 + seed), seed % 2);
        peer_restarts(p);
        p->k = 0;
    }
}

/* The segment size shrinks between SEND and the frame: a narrower path (RFC 1191). */
static void the_size_may_change_meanwhile(void **state)
{
    struct peer *p = *state;
    uint32_t seq = 1;

    user_connects_with(p, SEG(.mss = 1460, .wnd = 2000));
    user_sends(p, 0, 20000);
    for (int i = 0; i < 60 && seq < 20001; i++) {
        while (has_got(p)) {
            const struct pkt *k = got(p);

            if (k->seq + k->len > seq)
                seq = k->seq + k->len;
        }
        if (i == 3) /* RFC 792: fragmentation needed */
            icmp_arrives(p, 3, 4, 1001, seq - 1000);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = seq, .wnd = 5000));
    }
    assert_int_equal(seq, 20001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_checksum_is_right, peer_setup, peer_teardown),
        cmocka_unit_test_setup_teardown(the_size_may_change_meanwhile, peer_setup, peer_teardown),
    };

    return cmocka_run_group_tests_name("tcp_sums", tests, NULL, NULL);
}

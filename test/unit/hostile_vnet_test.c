/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_vnet_test.c - virtio-net headers that lie, through the whole of the stack: what vnet.c
 * refuses never gets there, and what it lets through harms nobody. */
#include "hostile.h"

#include "host/vnet.h"

struct claim { /* the header as the machine lays it out; num_buffers is not part of ours */
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

/* Somewhere a reader could go wrong: nowhere, within, at the ends, far beyond. */
static uint16_t some_size(struct test_env *e, size_t len)
{
    static const uint16_t sizes[] = {0, 1, 2, 14, 20, 34, 40, 54, 1460, 32768, 65534, 65535};

    switch (test_rand_below(e, 3)) {
    case 0:
        return sizes[test_rand_below(e, sizeof sizes / sizeof *sizes)];
    case 1:
        return (uint16_t)(len - 3 + test_rand_below(e, 6));
    default:
        return (uint16_t)test_rand(e);
    }
}

static struct claim some_claim(struct test_env *e, size_t len)
{
    static const uint8_t types[] = {0, 0, 1, 1, 4, 4, 3, 5, 0x81, 0x84, 0x80, 0x7f, 0xff};

    return (struct claim){
        .flags = (uint8_t)test_rand_below(e, 4),
        .gso_type = types[test_rand_below(e, sizeof types)],
        .hdr_len = some_size(e, len),
        .gso_size = some_size(e, len),
        .csum_start = some_size(e, len),
        .csum_offset = some_size(e, len),
    };
}

/* The packet from memory that ends where it ends; false: the link refuses it for what is claimed.
 */
static bool comes(const struct peer *p, const struct packet *k, const struct claim *c)
{
    uint8_t *octets = malloc(k->len ? k->len : 1), hdr[VNET_HDR_LEN];
    struct estab_frame f = {.iov = {{octets, k->len}}, .niov = 1};
    enum estab_medium medium = p->port == TAP ? ESTAB_MEDIUM_ETHERNET : ESTAB_MEDIUM_IP;
    bool taken;

    memcpy(octets, k->b, k->len);
    memcpy(hdr, c, sizeof hdr);
    taken = vnet_parse(&f.off, hdr, medium, octets, k->len);
    if (taken)
        assert_int_equal(estab_input(p->h->s, p->port, &f, 1), 0);
    free(octets);
    return taken;
}

/* Checksums that are right and text that is next: whatever the header says it arrives once, as it
 * was sent, with an answer or two. */
static void what_a_header_claims_changes_no_text(void **state)
{
    static const char *const whom[][2] = {{"10.0.0.7", "10.0.0.1"}, {"2001:db8::7", "2001:db8::1"}};
    static uint8_t text[9000], got[sizeof text + 1];
    struct host *h = *state;
    uint32_t taken = 0, refused = 0;

    for (int v6 = 0; v6 < 2; v6++) {
        for (int port = TUN; port <= TAP; port++) {
            const char *const *w = whom[v6];
            struct peer p = port == TUN ? peer_at(h, TUN, w[0], w[1], 4000)
                                        : peer_at(h, TAP, v6 ? "2001:db8:1::2" : "10.0.1.2",
                                                  v6 ? "2001:db8:1::1" : "10.0.1.1", 4000);

            open_passive(&p);
            for (uint32_t i = 0; i < 2000; i++) {
                static struct packet k;
                uint32_t len = test_rand_below(&h->te, sizeof text);
                struct claim c;

                for (uint32_t n = 0; n < len; n++)
                    text[n] = (uint8_t)(i * 31 + n * 7);
                packet_seg(&k, &p,
                           (struct sg){.flags = SEG_ACK | SEG_PSH,
                                       .seq = p.seq,
                                       .ack = p.ack,
                                       .wnd = 60000,
                                       .text = text,
                                       .len = len});
                c = some_claim(&h->te, k.len);
                if (!comes(&p, &k, &c)) {
                    refused++;
                    continue;
                }
                taken++;
                p.seq += len;
                assert_in_range(drain(h), 0, 2);
                assert_int_equal(user_reads(&p, got, sizeof got), len);
                assert_memory_equal(got, text, len);
                drain(h);
            }
        }
    }
    assert_true(taken > 1000 && refused > 1000);
}

/* Octets of no sense with claims of no sense: those that say how long they are are the worst. */
static void nonsense_with_any_claim_is_dropped(void **state)
{
    struct host *h = *state;
    static struct packet k;

    for (uint32_t i = 0; i < 20000; i++) {
        struct peer p = stranger(h, 5000);
        struct claim c;

        packet_seg(&k, &p, (struct sg){.flags = SEG_ACK, .seq = p.seq, .wnd = 1000});
        for (uint32_t n = test_rand_below(&h->te, 4); n > 0; n--)
            k.b[test_rand_below(&h->te, (uint32_t)k.len)] = (uint8_t)test_rand(&h->te);
        k.len = test_rand_below(&h->te, 8) ? k.len : test_rand_below(&h->te, (uint32_t)k.len);
        c = some_claim(&h->te, k.len);
        (void)comes(&p, &k, &c);
        assert_in_range(drain(h), 0, 1);
    }
}

/* IPv4's length has sixteen bits: what lies behind 65535 octets is no part of the packet, nor is a
 * packet that says it has none. */
static void more_than_64_kib_is_cut_or_dropped(void **state)
{
    static uint8_t text[65535 - 40], got[sizeof text + 1];
    static struct packet k;
    struct host *h = *state;
    struct peer p = peer_at(h, TUN, "10.0.0.7", "10.0.0.1", 4000);
    const struct claim c = {2, 1, 40, 1460, 0, 0};
    uint16_t sum;
    size_t all;

    open_passive(&p);
    packet_seg(&k, &p,
               (struct sg){.flags = SEG_ACK,
                           .seq = p.seq,
                           .ack = p.ack,
                           .wnd = 60000,
                           .text = text,
                           .len = sizeof text});
    assert_int_equal(k.len, 65535);
    k.len += 3000;
    assert_true(comes(&p, &k, &c));
    drain(h);
    all = user_reads(&p, got, sizeof got);
    assert_in_range(all, 1, sizeof text);
    p.seq += (uint32_t)all;
    packet_seg(
        &k, &p,
        (struct sg){
            .flags = SEG_ACK, .seq = p.seq, .ack = p.ack, .wnd = 60000, .text = text, .len = 1000});
    be16_put(k.b + 2, 0); /* as of a packet that is longer than that, in other stacks */
    memset(k.b + 10, 0, 2);
    sum = csum_of(0, k.b, 20);
    memcpy(k.b + 10, &sum, 2);
    assert_true(comes(&p, &k, &c));
    assert_int_equal(drain(h), 0);
    assert_alive(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hostile_test(what_a_header_claims_changes_no_text),
        hostile_test(nonsense_with_any_claim_is_dropped),
        hostile_test(more_than_64_kib_is_cut_or_dropped),
    };

    return cmocka_run_group_tests_name("hostile_vnet", tests, NULL, NULL);
}

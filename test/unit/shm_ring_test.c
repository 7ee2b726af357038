/* SPDX-License-Identifier: BSD-2-Clause */
/* shm_ring_test.c - frames through shared memory, and another side that writes what it likes. */
#include "link_kit.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "host/shm_ring.h"

static struct shm_ring *ring;
static struct shm_out out;
static struct shm_in in;
static uint8_t octets[SHM_FRAME_MAX];

static int fresh(void **state)
{
    (void)state;
    ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    out = (struct shm_out){.ring = ring};
    in = (struct shm_in){.ring = ring, .copies = calloc(LINK_BATCH, sizeof *in.copies)};
    return ring == MAP_FAILED || !in.copies;
}

static int drop(void **state)
{
    (void)state;
    munmap(ring, sizeof *ring);
    free(in.copies);
    return 0;
}

/* A TCP segment over IPv4 with that many octets behind its headers. */
static struct estab_frame segment(uint32_t text, uint8_t mark)
{
    memset(octets, mark, 40 + text);
    memset(octets, 0, 40);
    octets[0] = 0x45;
    octets[6] = 0x40;
    octets[9] = 6;
    octets[32] = 0x50;
    return kit_frame(octets, 40 + text);
}

static void assert_next(uint32_t text, uint8_t mark)
{
    static uint8_t got[SHM_FRAME_MAX];
    struct estab_frame f, want = segment(text, mark);

    assert_int_equal(shm_in_pop(&in, &f, 1), 1);
    assert_int_equal(estab_frame_len(&f), 40 + text);
    estab_frame_copy(got, &f);
    assert_memory_equal(got, want.iov[0].base, 40 + text);
}

static void frames_of_all_lengths_go_round(void **state)
{
    uint32_t len = 0;

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        struct estab_frame f = segment(len, (uint8_t)i);

        assert_true(shm_out_push(&out, &f));
        shm_out_publish(&out);
        assert_next(len, (uint8_t)i);
        len = (len * 7 + 4099) % (SHM_FRAME_MAX - 40);
    }
    assert_false(in.broken || out.broken);
}

static void what_is_full_takes_no_more_until_it_is_read(void **state)
{
    struct estab_frame f = segment(60000, 1), got;
    unsigned n = 0, m = 0;

    (void)state;
    while (shm_out_push(&out, &f))
        n++;
    assert_true(n >= 7);
    shm_out_publish(&out);
    assert_int_equal(shm_in_pop(&in, &got, 1), 1);
    assert_false(shm_out_push(&out, &f)); /* lent, and not given back */
    while (shm_in_pop(&in, &got, 1) > 0)
        m++;
    assert_int_equal(m, n - 1);
    shm_in_sleep(&in); /* gives back whatever is left */
    assert_true(shm_out_push(&out, &f));
}

static void offloads_go_along_and_lies_do_not(void **state)
{
    struct estab_frame f = segment(3000, 2), got[2];

    (void)state;
    f.off = (struct estab_offload){ESTAB_OFF_NEEDS_CSUM, ESTAB_GSO_TCPV4, 40, 1460, 20, 16};
    assert_true(shm_out_push(&out, &f));
    f.off.gso_type = ESTAB_GSO_TCPV6;
    assert_true(shm_out_push(&out, &f));
    shm_out_publish(&out);
    assert_int_equal(shm_in_pop(&in, got, 2), 1);
    f.off.gso_type = ESTAB_GSO_TCPV4;
    assert_memory_equal(&got[0].off, &f.off, sizeof f.off);
    assert_int_equal(in.refused, 1);
}

/* The headers are ours once they are lent, whatever becomes of the memory; and so is all of a frame
 * that is no TCP segment with its headers in front. */
static void what_is_looked_at_is_a_copy(void **state)
{
    static const struct {
        size_t at;
        uint8_t is;
        bool whole;
    } cases[] = {
        {0, 0x45, false},  /* nothing special */
        {9, 17, true},     /* UDP */
        {6, 0x20, true},   /* a fragment */
        {7, 1, true},      /* a later one */
        {0, 0x60, true},   /* IPv6, next header 0 */
        {0, 0x25, true},   /* nobody's version */
        {32, 0xf0, false}, /* 60 octets of TCP header */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct estab_frame f = segment(2000, 3), got;
        const uint8_t *last;
        bool inside;

        octets[cases[i].at] = cases[i].is;
        assert_true(shm_out_push(&out, &f));
        shm_out_publish(&out);
        assert_int_equal(shm_in_pop(&in, &got, 1), 1);
        for (uint32_t k = 0; k < got.niov; k++) {
            last = (uint8_t *)got.iov[k].base + got.iov[k].len - 1;
            inside = last >= ring->octets && last < ring->octets + SHM_RING_LEN;
            assert_int_equal(inside, !cases[i].whole && k == 1);
        }
        assert_true(got.iov[0].len >= SHM_HEAD_LEN);
    }
}

static void an_index_that_cannot_be_breaks_it(void **state)
{
    static const uint32_t heads[] = {SHM_RING_LEN + 64, 0x80000000, 0xffffffc0, 1, 63};
    struct estab_frame f = segment(100, 4), got[4];

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        atomic_store(&ring->head, heads[i]);
        assert_int_equal(shm_in_pop(&in, got, 4), 0);
        assert_true(in.broken);
        drop(state);
        fresh(state);
    }
    atomic_store(&ring->tail, (uint32_t)-4096); /* more is unread than fits */
    for (unsigned i = 0; i <= SHM_RING_LEN / 128 && !out.broken; i++)
        (void)shm_out_push(&out, &f);
    assert_true(out.broken);
    assert_false(shm_out_push(&out, &f));
}

static void a_length_that_cannot_be_breaks_it(void **state)
{
    static const struct {
        int32_t len;
        uint32_t head;
    } cases[] = {{-2, 64},        {INT32_MIN, 64}, {SHM_FRAME_MAX + 1, SHM_RING_LEN},
                 {INT32_MAX, 64}, {200, 64}, /* more than is there */
                 {-1, 64} /* to the end, which is not there */};
    struct estab_frame got[4];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(ring->octets, &cases[i].len, sizeof cases[i].len);
        atomic_store(&ring->head, cases[i].head);
        assert_int_equal(shm_in_pop(&in, got, 4), 0);
        assert_true(in.broken);
        drop(state);
        fresh(state);
    }
}

/* Whatever another side writes where it may write: no access beyond what is ours (the sanitizers
 * look on), and every frame is at most what a frame can be. */
static void noise_in_the_ring_is_survived(void **state)
{
    uint64_t x = 88172645463325252u;
    struct estab_frame got[LINK_BATCH];
    size_t n, frames = 0;

    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < 4096; i += 8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            memcpy(ring->octets + i, &x, 8);
            if (i % 64 == 0) { /* lengths that may be believed */
                int32_t len = (int32_t)(x >> 40 & 0x1ff) - 1;

                memcpy(ring->octets + i, &len, sizeof len);
                memset(ring->octets + i + 4, 0, x & 1 ? 10 : 0);
            }
        }
        atomic_store(&ring->head, (uint32_t)(x >> 20) % 4096 / 64 * 64);
        n = shm_in_pop(&in, got, LINK_BATCH);
        for (size_t i = 0; i < n; i++)
            assert_true(estab_frame_len(&got[i]) <= SHM_FRAME_MAX);
        frames += n;
        drop(state);
        fresh(state);
    }
    assert_true(frames > 1000);
}

static void who_sleeps_is_told_once(void **state)
{
    struct estab_frame f = segment(10, 5), got;

    (void)state;
    assert_true(shm_out_push(&out, &f));
    assert_false(shm_out_publish(&out)); /* nobody sleeps */
    assert_true(shm_in_sleep(&in));      /* there is something */
    assert_int_equal(shm_in_pop(&in, &got, 1), 1);
    assert_false(shm_in_sleep(&in));
    assert_true(shm_out_push(&out, &f));
    assert_true(shm_out_publish(&out));
    assert_true(shm_out_push(&out, &f));
    assert_false(shm_out_publish(&out));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fresh, drop)
    const struct CMUnitTest tests[] = {
        CASE(frames_of_all_lengths_go_round),    CASE(what_is_full_takes_no_more_until_it_is_read),
        CASE(offloads_go_along_and_lies_do_not), CASE(what_is_looked_at_is_a_copy),
        CASE(an_index_that_cannot_be_breaks_it), CASE(a_length_that_cannot_be_breaks_it),
        CASE(noise_in_the_ring_is_survived),     CASE(who_sleeps_is_told_once),
    };

    return cmocka_run_group_tests_name("shm_ring", tests, NULL, NULL);
}

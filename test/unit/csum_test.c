/* SPDX-License-Identifier: BSD-2-Clause */
/* csum_test.c - the Internet checksum against RFC 1071's definition, octet pair by octet pair. */
#include "base/csum.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MOST 4096

/* RFC 1071 section 1: the 16-bit one's complement sum, an odd octet padded with zero.  Host order.
 */
static uint16_t plain_sum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

/* As it would be stored in the packet, read in network order. */
static uint16_t as_stored(uint64_t sum)
{
    uint16_t folded = csum_fold(sum);
    uint8_t b[2];

    memcpy(b, &folded, sizeof(b));
    return be16_at(b);
}

static void fill(struct test_env *e, uint8_t *p, size_t len)
{
    uint32_t how = test_rand_below(e, 8);
    size_t i;

    for (i = 0; i < len; i++)
        p[i] = how == 0 ? 0xff : how == 1 ? 0 : (uint8_t)(test_rand(e) >> 9);
}

static void the_example_of_rfc_1071(void **state)
{
    static const uint8_t b[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    (void)state;
    assert_int_equal(as_stored(csum_add(0, b, sizeof(b))), 0xddf2);
    assert_int_equal(csum_fold(0), 0);
    assert_int_equal(csum_fold(UINT64_MAX), 0xffff);
    assert_int_equal(csum_fold(0xffff), 0xffff);
    assert_int_equal(csum_fold(0x10000), 1);
    assert_int_equal(csum_fold(0xffffffffffff0000u), 0xffff);
    assert_int_equal(csum_fold(0xfffffffffffffffeu), 0xfffe);
}

static void any_length_at_any_address(void **state)
{
    struct test_env e = {.rng = 1};
    static uint8_t src[MOST + 16], dst[MOST + 16];
    uint32_t i, len, at, to;
    uint64_t sum;

    (void)state;
    for (i = 0; i < 6000; i++) {
        len = i < 600 ? i : test_rand_below(&e, MOST);
        at = test_rand_below(&e, 16);
        to = test_rand_below(&e, 16);
        fill(&e, src, sizeof(src));
        sum = csum_add(0, src + at, len);
        assert_int_equal(as_stored(sum), plain_sum(src + at, len));
        memset(dst, 0x77, sizeof(dst));
        assert_int_equal(csum_fold(csum_copy(0, dst + to, src + at, len)), csum_fold(sum));
        if (len)
            assert_memory_equal(dst + to, src + at, len);
        assert_int_equal(dst[to + len], 0x77);
        if (to)
            assert_int_equal(dst[to - 1], 0x77);
    }
}

static void a_sum_may_be_carried_between_parts(void **state)
{
    struct test_env e = {.rng = 2};
    static uint8_t src[MOST], dst[MOST];
    uint32_t i, len, cut;
    uint64_t sum;

    (void)state;
    for (i = 0; i < 3000; i++) {
        len = test_rand_below(&e, MOST);
        cut = test_rand_below(&e, len + 1) & ~1u;
        fill(&e, src, len);
        sum = csum_add(csum_add(0, src, cut), src + cut, len - cut);
        assert_int_equal(as_stored(sum), plain_sum(src, len));
        sum = csum_copy(csum_add(0, src, cut), dst, src + cut, len - cut);
        assert_int_equal(as_stored(sum), plain_sum(src, len));
        /* a sum that is about to overflow: 2^64 - 1 is a one's complement zero */
        if (plain_sum(src, len))
            assert_int_equal(as_stored(csum_add(UINT64_MAX, src, len)), plain_sum(src, len));
    }
}

static void pieces_may_be_odd_anywhere(void **state)
{
    struct test_env e = {.rng = 3};
    static uint8_t src[MOST];
    struct pieces t;
    uint32_t i, j, len, part, left, head;
    uint64_t sum;

    (void)state;
    for (i = 0; i < 6000; i++) {
        len = test_rand_below(&e, i & 1 ? 40 : MOST);
        head = test_rand_below(&e, len + 1) & ~1u;
        fill(&e, src, len);
        sum = csum_add(0, src, head);
        t = (struct pieces){.n = 1 + test_rand_below(&e, ESTAB_IOVS), .len = len - head};
        left = t.len;
        for (j = 0; j < t.n; j++) {
            part = j + 1 < t.n ? test_rand_below(&e, left + 1) : left;
            t.v[j] = (struct estab_iov){src + len - left, part};
            left -= part;
        }
        assert_int_equal(as_stored(csum_pieces(sum, &t)), plain_sum(src, len));
    }
}

static void a_copy_in_runs_is_whole_and_summed(void **state)
{
    void (*const copy[])(struct csum_run *, void *, const void *, size_t) = {csum_run_copy,
                                                                             csum_run_copy_far};
    struct test_env e = {.rng = 5};
    static uint8_t src[MOST], dst[MOST];

    (void)state;
    for (uint32_t i = 0; i < 6000; i++) {
        struct csum_run c = {0, false};
        uint32_t len = test_rand_below(&e, MOST), part;

        fill(&e, src, len);
        memset(dst, 0x77, sizeof dst);
        for (uint32_t done = 0; done < len; done += part) {
            part = 1 + test_rand_below(&e, len - done);
            copy[i % 2](&c, dst + done, src + done, part);
        }
        assert_int_equal(as_stored(c.sum), plain_sum(src, len));
        if (len)
            assert_memory_equal(dst, src, len);
        for (uint32_t at = len; at < MOST; at++)
            assert_int_equal(dst[at], 0x77);
    }
}

static void values_count_as_if_in_the_packet(void **state)
{
    struct test_env e = {.rng = 4};
    uint8_t b[12];
    uint32_t i;
    uint64_t sum;

    (void)state;
    for (i = 0; i < 2000; i++) {
        fill(&e, b, sizeof(b));
        sum = csum_u16(csum_add(0, b, 4), be16_at(b + 4));
        sum = csum_u16(csum_u32(sum, be32_at(b + 6)), be16_at(b + 10));
        assert_int_equal(as_stored(sum), plain_sum(b, sizeof(b)));
    }
    assert_int_equal(as_stored(csum_u16(UINT64_MAX, 0xffff)), 0xffff);
}

/* What a receiver does: sums everything, the checksum included. */
static void a_checksum_verifies_and_a_flipped_bit_does_not(void **state)
{
    struct test_env e = {.rng = 5};
    uint8_t b[301];
    uint32_t i, len, bit;
    uint16_t sum;

    (void)state;
    for (i = 0; i < 2000; i++) {
        len = 20 + test_rand_below(&e, sizeof(b) - 20);
        fill(&e, b, len);
        b[16] = b[17] = 0;
        sum = (uint16_t)~csum_fold(csum_add(0, b, len));
        memcpy(b + 16, &sum, sizeof(sum));
        assert_int_equal(csum_fold(csum_add(0, b, len)), 0xffff);
        bit = test_rand_below(&e, 8 * len);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(csum_fold(csum_add(0, b, len)), 0xffff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_1071),
        cmocka_unit_test(any_length_at_any_address),
        cmocka_unit_test(a_sum_may_be_carried_between_parts),
        cmocka_unit_test(pieces_may_be_odd_anywhere),
        cmocka_unit_test(a_copy_in_runs_is_whole_and_summed),
        cmocka_unit_test(values_count_as_if_in_the_packet),
        cmocka_unit_test(a_checksum_verifies_and_a_flipped_bit_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

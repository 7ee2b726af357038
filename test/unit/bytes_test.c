/* SPDX-License-Identifier: BSD-2-Clause */
/* bytes_test.c - cursors that cannot leave their buffer, and text in pieces. */
#include "base/bytes.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void reads_network_order(void **state)
{
    static const uint8_t b[] = {0xfe, 0x12, 0x34, 0x89, 0xab, 0xcd, 0xef, 0x55};
    struct rd r = rd_of(b, sizeof(b));

    (void)state;
    assert_int_equal(rd_u8(&r), 0xfe);
    assert_int_equal(rd_u16(&r), 0x1234);
    assert_int_equal(rd_u32(&r), 0x89abcdef);
    assert_int_equal(rd_left(&r), 1);
    assert_ptr_equal(rd_take(&r, 1), b + 7);
    assert_false(r.bad);
    assert_ptr_equal(rd_take(&r, 0), b + 8);
    assert_false(r.bad);
}

static void a_read_past_the_end_yields_zero_and_stays_bad(void **state)
{
    static const uint8_t b[] = {1, 2, 3};
    struct rd r = rd_of(b, sizeof(b));

    (void)state;
    assert_int_equal(rd_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(rd_u16(&r), 0);
    assert_null(rd_take(&r, 1));
    assert_true(r.bad);
    r = rd_of(b, sizeof(b));
    assert_null(rd_take(&r, SIZE_MAX));
    assert_true(r.bad);
}

static void writes_network_order(void **state)
{
    static const uint8_t want[] = {0xfe, 0x12, 0x34, 0x89, 0xab, 0xcd, 0xef, 7, 8};
    uint8_t b[sizeof(want) + 1] = {0};
    struct wr w = wr_of(b, sizeof(want));

    (void)state;
    wr_u8(&w, 0xfe);
    wr_u16(&w, 0x1234);
    wr_u32(&w, 0x89abcdef);
    wr_bytes(&w, "\x07\x08", 2);
    wr_bytes(&w, NULL, 0);
    assert_false(w.bad);
    assert_memory_equal(b, want, sizeof(want));
    wr_u8(&w, 1);
    assert_true(w.bad);
    assert_int_equal(b[sizeof(want)], 0);
}

static void a_write_past_the_end_writes_nothing_and_stays_bad(void **state)
{
    uint8_t b[8] = {0};
    static const uint8_t zeros[8];
    struct wr w = wr_of(b, 3);

    (void)state;
    wr_u32(&w, 0xffffffff);
    assert_true(w.bad);
    wr_u8(&w, 0xff);
    wr_u16(&w, 0xffff);
    wr_bytes(&w, "x", 1);
    assert_null(wr_take(&w, 0));
    assert_true(w.bad);
    assert_memory_equal(b, zeros, sizeof(b));
}

/* Splits 0 .. len - 1 into n pieces of random lengths, some of them empty. */
static struct pieces split(struct test_env *e, uint8_t *src, uint32_t len, uint32_t n)
{
    struct pieces t = {.n = n, .len = len};
    uint32_t i, part;

    for (i = 0; i < n; i++) {
        part = i + 1 < n ? test_rand_below(e, len + 1) : len;
        t.v[i] = (struct estab_iov){src, part};
        src += part;
        len -= part;
    }
    return t;
}

static void check_is(const struct pieces *t, const uint8_t *want, uint32_t len)
{
    uint8_t got[256];
    uint32_t i, sum = 0;

    assert_int_equal(t->len, len);
    assert_true(t->n <= ESTAB_IOVS);
    for (i = 0; i < t->n; i++)
        sum += (uint32_t)t->v[i].len;
    assert_int_equal(sum, len);
    pieces_copy(got, t, 0, len);
    if (len)
        assert_memory_equal(got, want, len);
}

static void trims_and_copies_anywhere(void **state)
{
    struct test_env e = {.rng = 1};
    uint8_t src[100], got[100];
    struct pieces t, u;
    uint32_t i, round, n, len, off;

    (void)state;
    for (i = 0; i < sizeof(src); i++)
        src[i] = (uint8_t)(i + 1);
    for (round = 0; round < 5000; round++) {
        len = test_rand_below(&e, sizeof(src) + 1);
        n = (len ? 1 : 0) + test_rand_below(&e, ESTAB_IOVS);
        t = split(&e, src, len, n);
        check_is(&t, src, len);
        n = test_rand_below(&e, len + 1);
        u = t;
        pieces_trim_head(&u, n);
        check_is(&u, src + n, len - n);
        assert_true(u.len ? u.v[0].len > 0 : u.n == 0); /* no empty piece in front is left */
        u = t;
        pieces_trim_tail(&u, n);
        check_is(&u, src, len - n);
        assert_true(u.len ? u.v[u.n - 1].len > 0 : u.n == 0);
        off = test_rand_below(&e, len - n + 1);
        pieces_trim_head(&u, off);
        check_is(&u, src + off, len - n - off);
        memset(got, 0, sizeof(got));
        off = test_rand_below(&e, len + 1);
        n = test_rand_below(&e, len - off + 1);
        pieces_copy(got, &t, off, n);
        if (n)
            assert_memory_equal(got, src + off, n);
        if (n < sizeof(got))
            assert_int_equal(got[n], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_network_order),
        cmocka_unit_test(a_read_past_the_end_yields_zero_and_stays_bad),
        cmocka_unit_test(writes_network_order),
        cmocka_unit_test(a_write_past_the_end_writes_nothing_and_stays_bad),
        cmocka_unit_test(trims_and_copies_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

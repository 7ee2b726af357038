/* SPDX-License-Identifier: BSD-2-Clause */
/* seq_test.c - sequence arithmetic on both sides of 2^32 and of 2^31. */
#include "base/seq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint32_t origins[] = {0, 1, 1000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
static const uint32_t spans[] = {1, 2, 15, 16, 17, 65535, 0x40000000, 0x7fffffff};

static void what_is_ahead_is_later(void **state)
{
    size_t i, j;
    seq_t a, b;

    (void)state;
    for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        a = seq_of(origins[i]);
        assert_true(seq_eq(a, a) && seq_le(a, a) && !seq_lt(a, a));
        for (j = 0; j < sizeof(spans) / sizeof(spans[0]); j++) {
            b = seq_add(a, spans[j]);
            assert_true(seq_lt(a, b) && seq_le(a, b) && !seq_eq(a, b));
            assert_true(!seq_lt(b, a) && !seq_le(b, a));
            assert_true(seq_eq(seq_max(a, b), b) && seq_eq(seq_max(b, a), b));
            assert_true(seq_eq(seq_min(a, b), a) && seq_eq(seq_min(b, a), a));
            assert_int_equal(seq_diff(b, a), spans[j]);
            assert_true(seq_eq(seq_sub(b, spans[j]), a));
        }
    }
}

static void a_window_is_half_open(void **state)
{
    size_t i, j;
    seq_t lo;

    (void)state;
    for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        lo = seq_of(origins[i]);
        assert_false(seq_in(lo, lo, 0));
        for (j = 0; j < sizeof(spans) / sizeof(spans[0]); j++) {
            assert_true(seq_in(lo, lo, spans[j]));
            assert_true(seq_in(seq_add(lo, spans[j] - 1), lo, spans[j]));
            assert_false(seq_in(seq_add(lo, spans[j]), lo, spans[j]));
            assert_false(seq_in(seq_sub(lo, 1), lo, spans[j]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ahead_is_later),
        cmocka_unit_test(a_window_is_half_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

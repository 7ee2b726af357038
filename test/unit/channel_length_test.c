/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_length_test.c - the length in front of a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <estab/channel.h>

struct sample {
    enum estab_length kind;
    uint64_t n;
    const char *octets;
    size_t len;
};
static const struct sample samples[] = {
    {ESTAB_LENGTH_4, 0, "\0\0\0\0", 4},
    {ESTAB_LENGTH_4, 0x01020304, "\1\2\3\4", 4},
    {ESTAB_LENGTH_4, 0xffffffff, "\xff\xff\xff\xff", 4},
    {ESTAB_LENGTH_2, 0x0102, "\1\2", 2},
    {ESTAB_LENGTH_2, 0xffff, "\xff\xff", 2},
    {ESTAB_LENGTH_8, 0x0102030405060708, "\1\2\3\4\5\6\7\10", 8},
    {ESTAB_LENGTH_8, UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
    {ESTAB_LENGTH_LEB128, 0, "\0", 1},
    {ESTAB_LENGTH_LEB128, 127, "\x7f", 1},
    {ESTAB_LENGTH_LEB128, 128, "\x80\x01", 2},
    {ESTAB_LENGTH_LEB128, 624485, "\xe5\x8e\x26", 3}, /* DWARF 5, section 7.6 has it as example */
    {ESTAB_LENGTH_LEB128, UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
};

static void there_and_back(void **state)
{
    uint8_t out[ESTAB_LENGTH_MAX];
    uint64_t n;

    (void)state;
    for (const struct sample *s = samples; s < samples + sizeof samples / sizeof *samples; s++) {
        assert_int_equal(estab_length_emit(out, s->kind, s->n), s->len);
        assert_memory_equal(out, s->octets, s->len);
        for (size_t len = 0; len < s->len; len++)
            assert_int_equal(estab_length_parse(&n, out, len, s->kind, UINT64_MAX), 0);
        assert_int_equal(estab_length_parse(&n, out, s->len, s->kind, s->n), s->len);
        assert_true(n == s->n);
    }
}

static void more_than_the_header_can_say(void **state)
{
    uint8_t out[ESTAB_LENGTH_MAX];

    (void)state;
    assert_int_equal(estab_length_emit(out, ESTAB_LENGTH_2, 0x10000), 0);
    assert_int_equal(estab_length_emit(out, ESTAB_LENGTH_4, UINT64_C(1) << 32), 0);
    assert_true(estab_length_limit(ESTAB_LENGTH_LEB128) == UINT64_MAX);
}

/* LEB128 says so before it has come to its end. */
static void more_than_the_maximum(void **state)
{
    static const uint8_t four[] = {0, 0, 4, 1}, leb[] = {0x81, 0x88},
                         eleven[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                       0x80, 0x80, 0x80, 0x80, 0x01};
    static const uint8_t tenth[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    uint64_t n = 7;

    (void)state;
    assert_int_equal(estab_length_parse(&n, four, 4, ESTAB_LENGTH_4, 1024), ESTAB_E_TOOBIG);
    assert_int_equal(estab_length_parse(&n, leb, 2, ESTAB_LENGTH_LEB128, 1024), ESTAB_E_TOOBIG);
    assert_int_equal(estab_length_parse(&n, eleven, 11, ESTAB_LENGTH_LEB128, UINT64_MAX),
                     ESTAB_E_TOOBIG);
    assert_int_equal(estab_length_parse(&n, tenth, 10, ESTAB_LENGTH_LEB128, UINT64_MAX),
                     ESTAB_E_TOOBIG);
    assert_int_equal(n, 7);
}

static void leb128_that_is_longer_than_it_need_be(void **state)
{
    static const uint8_t zero[] = {0x80, 0x00}, one[] = {0x81, 0x80, 0x00};
    uint64_t n;

    (void)state;
    assert_int_equal(estab_length_parse(&n, zero, 2, ESTAB_LENGTH_LEB128, 9), ESTAB_E_PROTOCOL);
    assert_int_equal(estab_length_parse(&n, one, 3, ESTAB_LENGTH_LEB128, 9), ESTAB_E_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(more_than_the_header_can_say),
        cmocka_unit_test(more_than_the_maximum),
        cmocka_unit_test(leb128_that_is_longer_than_it_need_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* rule_test.c - every rule has a name of its own and says where it is written. */
#include "wire/rule.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_rule_has_a_name_and_a_reference(void **state)
{
    unsigned r;

    (void)state;
    for (r = RULE_NONE + 1; r < RULE_COUNT; r++) {
        assert_non_null(estab_rule_name(r));
        assert_non_null(estab_rule_ref(r));
        assert_true(strlen(estab_rule_ref(r)) > 0);
    }
    assert_string_equal(estab_rule_name(RULE_BLIND_RST), "blind-rst");
    assert_non_null(strstr(estab_rule_ref(RULE_BLIND_RST), "RFC 5961 section 3.2"));
}

static void names_are_words(void **state)
{
    unsigned r;

    (void)state;
    for (r = RULE_NONE + 1; r < RULE_COUNT; r++) {
        const char *name = estab_rule_name(r);

        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
        assert_true(strlen(name) > 0);
    }
}

static void names_are_unique(void **state)
{
    unsigned a, b;

    (void)state;
    for (a = RULE_NONE + 1; a < RULE_COUNT; a++)
        for (b = a + 1; b < RULE_COUNT; b++)
            assert_string_not_equal(estab_rule_name(a), estab_rule_name(b));
}

static void what_is_no_rule_has_no_name(void **state)
{
    (void)state;
    assert_null(estab_rule_name(RULE_NONE));
    assert_null(estab_rule_ref(RULE_NONE));
    assert_null(estab_rule_name(RULE_COUNT));
    assert_null(estab_rule_ref(RULE_COUNT));
    assert_null(estab_rule_name(~0u));
    assert_null(estab_rule_ref(~0u));
}

static void each_rule_is_counted_apart(void **state)
{
    struct rule_book book = {0};

    (void)state;
    rule_count(&book, RULE_PAWS);
    rule_count(&book, RULE_PAWS);
    rule_count(&book, RULE_RUNT);
    assert_int_equal(book.n[RULE_PAWS], 2);
    assert_int_equal(book.n[RULE_RUNT], 1);
    assert_int_equal(book.n[RULE_CONNS_FULL], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_has_a_name_and_a_reference),
        cmocka_unit_test(names_are_words),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(what_is_no_rule_has_no_name),
        cmocka_unit_test(each_rule_is_counted_apart),
    };

    return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}

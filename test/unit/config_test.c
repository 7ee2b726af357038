/* SPDX-License-Identifier: BSD-2-Clause */
/* config_test.c - settings that cannot work are refused by name, before anything is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

static void assert_wrong(const struct estab_config *c, const char *field, const char *text)
{
    struct estab_config_fault why = {0};
    char err[ESTAB_ERRLEN] = "";
    struct estab_virtual v;
    struct estab_env env;
    estab_stack *s = NULL;

    estab_virtual_env(&env, &v, 1);
    assert_false(estab_config_ok(c, &why));
    assert_string_equal(why.field, field);
    assert_false(estab_config_ok(c, NULL));
    assert_int_equal(estab_host_stack(&s, &env, c, err), ESTAB_E_INVAL);
    assert_null(s);
    assert_int_equal(v.live, 0);
    if (!strstr(err, text))
        print_error("\"%s\" does not say \"%s\"\n", err, text);
    assert_non_null(strstr(err, text));
}

static void the_defaults_work(void **state)
{
    struct estab_config c;

    (void)state;
    estab_config_init(&c);
    assert_true(estab_config_ok(&c, NULL));
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"rfc", "linux", "freebsd"};

        assert_int_equal(estab_config_profile(&c, names[i]), 0);
        assert_true(estab_config_ok(&c, NULL));
    }
}

/* What a caller of an older library does not know has its default. */
static void a_short_one_is_filled_up(void **state)
{
    struct estab_config c;

    (void)state;
    memset(&c, 0xff, sizeof c);
    estab_config_init_sized(&c, offsetof(struct estab_config, reass_max));
    assert_true(estab_config_ok(&c, NULL));
    assert_int_equal(((uint8_t *)&c)[offsetof(struct estab_config, reass_max)], 0xff);
}

static void what_is_wrong_is_named(void **state)
{
    struct estab_config c;

    (void)state;
    estab_config_init(&c);
    c.rcvbuf = 100;
    assert_wrong(&c, "rcvbuf", "rcvbuf is 100, and must be 2048 to 1073741824");
    estab_config_init(&c);
    c.sndbuf_init = 0;
    assert_wrong(&c, "sndbuf_init", "sndbuf_init is 0, and must be 2048 to 1073741824");
    estab_config_init(&c);
    c.rcvbuf_init = 2047;
    assert_wrong(&c, "rcvbuf_init", "rcvbuf_init is 2047, and must be 2048 to 1073741824");
    estab_config_init(&c);
    c.rto_min = c.rto_max + 1;
    assert_wrong(&c, "rto_min", "rto_min is 120000000001, and must be 1 to 120000000000");
    estab_config_init(&c);
    c.port_lo = 50000;
    c.port_hi = 40000;
    assert_wrong(&c, "port_lo", "port_lo is 50000, and must be 1 to 40000");
    estab_config_init(&c);
    c.hop_limit = 0;
    assert_wrong(&c, "hop_limit", "hop_limit is 0, and must be 1 to 255");
    estab_config_init(&c);
    c.profile.wscale = 15;
    assert_wrong(&c, "profile.wscale", "must be 0 to 14");
    estab_config_init(&c);
    c.mem_max = 1000;
    assert_wrong(&c, "mem_max", "mem_max is 1000, and must be at least 393216");
    estab_config_init(&c);
    strcpy(c.cc, "vegas");
    assert_wrong(&c, "cc", "cc is \"vegas\", and there is no such algorithm");
    memset(c.cc, 'x', sizeof c.cc);
    assert_wrong(&c, "cc", "cc is \"xxxxxxxxxxxxxxx\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_work),
        cmocka_unit_test(a_short_one_is_filled_up),
        cmocka_unit_test(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

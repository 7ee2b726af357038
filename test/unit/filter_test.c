/* SPDX-License-Identifier: BSD-2-Clause */
/* filter_test.c - ss(8)'s filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

static struct estab_addr addr(const char *text)
{
    struct estab_addr a;

    assert_int_equal(estab_addr_parse(&a, text, NULL), 0);
    return a;
}

static bool takes(const char *filter, enum estab_tcp_state st, const char *local, const char *peer)
{
    struct estab_addr l = addr(local), p = addr(peer);
    char err[ESTAB_ERRLEN] = "";
    struct estab_filter f;

    if (estab_filter_parse(&f, filter, err) != 0)
        fail_msg("%s: %s", filter, err);
    return estab_filter_match(&f, st, &l, &p);
}

#define WEB ESTAB_ESTABLISHED, "10.0.0.1:80", "10.1.2.3:5000"
#define SIX ESTAB_TIME_WAIT, "[fd00::1]:443", "[fd00::2]:6000"

static void states(void **state)
{
    (void)state;
    assert_true(takes("", WEB));
    assert_true(takes("state established", WEB));
    assert_false(takes("state established", SIX));
    assert_true(takes("TIME_WAIT", SIX));
    assert_true(takes("state syn-sent state timewait", SIX));
    assert_true(takes("established time-wait", WEB));
    assert_false(takes("exclude established", WEB));
    assert_true(takes("exclude established", SIX));
    assert_true(takes("state connected exclude established", SIX));
    assert_false(takes("state connected exclude established", WEB));
    assert_true(takes("state bucket", SIX));
    assert_true(takes("state big", WEB));
    assert_true(takes("state all", ESTAB_LISTEN, "10.0.0.1:80", "0.0.0.0:0"));
    assert_false(takes("state synchronized", ESTAB_SYN_SENT, "10.0.0.1:80", "10.0.0.2:1"));
    assert_int_equal(estab_state_parse("Fin_Wait-2"), ESTAB_FIN_WAIT_2);
    assert_int_equal(estab_state_parse("sideways"), -1);
}

static void ports(void **state)
{
    (void)state;
    assert_true(takes("sport = :80", WEB));
    assert_true(takes("sport=:80", WEB));
    assert_true(takes("sport eq 80", WEB));
    assert_false(takes("dport = :80", WEB));
    assert_true(takes("dport >= :5000 dport <= :5000", WEB));
    assert_false(takes("dport > :5000", WEB));
    assert_false(takes("dport < 5000", WEB));
    assert_true(takes("sport != :81", WEB));
}

static void addresses(void **state)
{
    (void)state;
    assert_true(takes("dst 10.0.0.0/8", WEB));
    assert_true(takes("dst = 10.1.2.3", WEB));
    assert_false(takes("dst 10.1.2.4", WEB));
    assert_true(takes("dst != 10.1.2.4", WEB));
    assert_true(takes("dst 10.1.2.3:5000", WEB));
    assert_false(takes("dst 10.1.2.3:5001", WEB));
    assert_true(takes("dst 10.1.0.0/17:5000", WEB));
    assert_false(takes("dst 10.1.128.0/17", WEB));
    assert_true(takes("src :80", WEB));
    assert_true(takes("src *", WEB));
    assert_true(takes("dst fd00::/16", SIX));
    assert_false(takes("dst fd00::/16", WEB));
    assert_true(takes("src [fd00::1]:443", SIX));
}

static void expressions(void **state)
{
    (void)state;
    assert_true(takes("state established ( dport = :80 or sport = :80 )", WEB));
    assert_true(takes("( dport = :80 or sport = :80 ) dst 10.0.0.0/8", WEB));
    assert_false(takes("(dport = :80 or sport = :80) and dst 11.0.0.0/8", WEB));
    assert_true(takes("dport = :1 and dport = :2 or sport = :80", WEB));
    assert_false(takes("dport = :1 and ( dport = :2 or sport = :80 )", WEB));
    assert_true(takes("not dport = :80", WEB));
    assert_true(takes("! ( dport = :80 or dport = :443 )", WEB));
    assert_true(takes("dport = :80 || sport = :80 && src 10.0.0.1", WEB));
}

static void mistakes(void **state)
{
    static const char *const wrong[] = {
        "sideways",
        "state sideways",
        "dport",
        "dport :80",
        "dport = :http-alt",
        "dport = 70000",
        "dst",
        "dst 10.0.0.0/40",
        "( dport = 1",
        "dport = 1 )",
        "not",
        "dport = 1 or",
        "and",
        "dst 10.0.0.0/8:x",
        "state",
        "dst < 10.0.0.1",
    };
    struct estab_filter f = {.n = 7};
    char err[ESTAB_ERRLEN], longer[4000] = "";

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err[0] = '\0';
        if (estab_filter_parse(&f, wrong[i], err) == 0)
            fail_msg("taken: %s", wrong[i]);
        assert_true(strncmp(err, "filter: ", 8) == 0);
    }
    memset(longer, '(', 40);
    assert_int_equal(estab_filter_parse(&f, longer, err), -1);
    assert_non_null(strstr(err, "too deep"));
    for (size_t i = 0; i < 40; i++)
        memcpy(longer + 10 * i, "dport = 1 ", 11);
    assert_int_equal(estab_filter_parse(&f, longer, err), -1);
    assert_non_null(strstr(err, "too long"));
    assert_int_equal(f.n, 7);
}

/* Words in any order: a filter or a mistake, and one that is taken decides. */
static void anything(void **state)
{
    static const char *const words[] = {
        "state ", "exclude ", "established ", "all ", "( ",  ") ",        "not ",     "! ",
        "and ",   "or ",      "dport ",       "src ", "= ",  "< ",        ":80 ",     "10.0.0.0/8 ",
        "sport ", "dst ",     "fd00::/16 ",   "* ",   "!= ", "10.0.0.1:", "[fd00::1", "/",
    };
    struct estab_addr a = addr("10.0.0.1:80");
    char text[600], err[ESTAB_ERRLEN];
    struct estab_virtual v;
    struct estab_env env;
    uint32_t taken = 0;

    (void)state;
    estab_virtual_env(&env, &v, 1);
    for (uint32_t i = 0; i < 100000; i++) {
        struct estab_filter f;

        text[0] = err[0] = '\0';
        for (uint64_t n = estab_virtual_random(&v) % 40; n > 0; n--)
            strncat(text, words[estab_virtual_random(&v) % (sizeof words / sizeof *words)],
                    sizeof text - strlen(text) - 1);
        if (estab_filter_parse(&f, text, err) != 0) {
            assert_true(strncmp(err, "filter: ", 8) == 0);
            continue;
        }
        taken++;
        (void)estab_filter_match(&f, ESTAB_ESTABLISHED, &a, &a);
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states),      cmocka_unit_test(ports),    cmocka_unit_test(addresses),
        cmocka_unit_test(expressions), cmocka_unit_test(mistakes), cmocka_unit_test(anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

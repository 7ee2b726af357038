/* SPDX-License-Identifier: BSD-2-Clause */
/* addr_text_test.c - addresses as people write them. */
#include "link_kit.h"

static void addresses_go_there_and_back(void **state)
{
    static const struct {
        const char *in, *out;
        int port; /* -1: none given */
    } cases[] = {
        {"10.0.0.1", "10.0.0.1", -1},
        {"10.0.0.1:80", "10.0.0.1:80", 80},
        {"255.255.255.255:65535", "255.255.255.255:65535", 65535},
        {"0.0.0.0:0", "0.0.0.0:0", 0},
        {"fd00::1", "fd00::1", -1},
        {"[fd00::1]", "fd00::1", -1},
        {"[fd00::1]:80", "[fd00::1]:80", 80},
        {"[1:2:3:4:5:6:7:8]:00080", "[1:2:3:4:5:6:7:8]:80", 80},
        {"::", "::", -1},
        {":80", "[::]:80", 80},
        {"::ffff:10.0.0.1", "10.0.0.1", -1},
        {"[::ffff:10.0.0.1]:7", "10.0.0.1:7", 7},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         -1},
    };
    struct estab_addr a;
    char buf[56];
    bool given;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (estab_addr_parse(&a, cases[i].in, &given))
            fail_msg("%s was refused", cases[i].in);
        assert_string_equal(estab_addr_format(&a, cases[i].port >= 0, buf), cases[i].out);
        assert_int_equal(given, cases[i].port >= 0);
        assert_int_equal(a.port, given ? cases[i].port : 0);
        assert_int_equal(a.scope, 0);
        assert_int_equal(estab_addr_parse(&a, cases[i].in, NULL), 0);
    }
}

static void ipv4_is_mapped(void **state)
{
    const uint8_t want[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3};
    struct estab_addr a;

    (void)state;
    assert_int_equal(estab_addr_parse(&a, "10.1.2.3:1", NULL), 0);
    assert_memory_equal(a.ip, want, 16);
}

static void the_longest_text_fits(void **state)
{
    struct estab_addr a = {.port = 65535};
    char buf[56];

    (void)state;
    memset(a.ip, 0xff, sizeof a.ip);
    assert_string_equal(estab_addr_format(&a, true, buf),
                        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void nonsense_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      ":",
                                      "10.0.0",
                                      "10.0.0.1:",
                                      "10.0.0.1:65536",
                                      "10.0.0.1:-1",
                                      "10.0.0.1:8 ",
                                      " 10.0.0.1",
                                      "10.0.0.256",
                                      "[fd00::1",
                                      "[fd00::1]80",
                                      "fd00::1]:80",
                                      "[10.0.0.1]:80",
                                      "[]:80",
                                      "example.org",
                                      "example:80",
                                      "10.0.0.1:http",
                                      "fd00::1::2",
                                      "[fd00::1]:",
                                      "10.0.0.1:000080",
                                      "[fd00:0000:0000:0000:0000:0000:0000:0000:0000:0001]:1"};
    struct estab_addr a = {.port = 4711};
    bool given = true;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (estab_addr_parse(&a, bad[i], &given) == 0)
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_int_equal(a.port, 4711);
        assert_true(given);
    }
}

static void prefixes_count_the_long_form(void **state)
{
    static const struct {
        const char *in, *addr;
        uint8_t len;
    } cases[] = {
        {"10.0.0.1/24", "10.0.0.1", 120}, {"10.0.0.1", "10.0.0.1", 128},
        {"0.0.0.0/0", "0.0.0.0", 96},     {"10.0.0.1/32", "10.0.0.1", 128},
        {"fd00::1/64", "fd00::1", 64},    {"::/0", "::", 0},
        {"fd00::1", "fd00::1", 128},
    };
    static const char *const bad[] = {"10.0.0.1/33", "fd00::/129", "10.0.0.1/",   "10.0.0.1/x",
                                      "/24",         "10.0.0/24",  "10.0.0.1/-1", "10.0.0.1/24/8"};
    struct estab_addr a = {0};
    uint8_t len;
    char buf[56];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(estab_prefix_parse(a.ip, &len, cases[i].in), 0);
        assert_string_equal(estab_addr_format(&a, false, buf), cases[i].addr);
        assert_int_equal(len, cases[i].len);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (estab_prefix_parse(a.ip, &len, bad[i]) == 0)
            fail_msg("\"%s\" was accepted", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_go_there_and_back),  cmocka_unit_test(ipv4_is_mapped),
        cmocka_unit_test(the_longest_text_fits),        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(prefixes_count_the_long_form),
    };

    return cmocka_run_group_tests_name("addr_text", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_in_test.c - what the internet layer lets through, from frames whole and in pieces. */
#include "ip_net.h"

static void test_tcp_is_delivered(void **state)
{
    struct net *n = *state;
    struct packet k;

    packet_tcp(&k, "10.0.0.2", "10.0.0.1", 100);
    assert_int_equal(give(n, TUN, &k), IP_DELIVER);
    assert_addr(n->d.ip.src, "10.0.0.2");
    assert_addr(ip_local(&n->l, n->d.local), "10.0.0.1");
    assert_int_equal(n->d.payload.len, 100);
    assert_true(n->d.head_len >= 60);
    assert_memory_equal(n->d.head, k.b + 20, 60);
    assert_int_equal(n->d.nsegs, 1);
    assert_false(n->d.csum_ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tcp_is_delivered, net_setup, net_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

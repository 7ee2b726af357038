/* SPDX-License-Identifier: BSD-2-Clause */
/* link_pair_test.c - what one end sends the other receives. */
#include "link_kit.h"

struct ends {
    estab_link *l[2];
};

static struct ends pair_of(uint32_t queue)
{
    struct ends e;

    assert_int_equal(estab_link_pair(e.l, &kit_ip, queue), 0);
    return e;
}

static void close_both(struct ends e)
{
    estab_link_close(e.l[0]);
    estab_link_close(e.l[1]);
}

static void frames_arrive_in_order_both_ways(void **state)
{
    struct ends e = pair_of(0);

    (void)state;
    assert_int_equal(kit_send(e.l[0], "one"), 1);
    assert_int_equal(kit_send(e.l[0], "two"), 1);
    assert_int_equal(kit_send(e.l[1], "back"), 1);
    kit_assert_received(e.l[1], "one two ");
    kit_assert_received(e.l[0], "back ");
    kit_assert_received(e.l[0], "");
    assert_int_equal(e.l[0]->frames_out, 2);
    assert_int_equal(e.l[0]->octets_out, 6);
    assert_int_equal(e.l[0]->frames_in, 1);
    assert_int_equal(e.l[0]->octets_in, 4);
    assert_int_equal(e.l[1]->frames_in, 2);
    close_both(e);
}

static void pieces_become_one_frame_and_keep_their_offload(void **state)
{
    struct ends e = pair_of(4);
    char text[] = "headtext";
    struct estab_frame f = {.iov = {{text, 4}, {NULL, 0}, {text + 4, 4}}, .niov = 3}, got;

    (void)state;
    f.off.csum_start = 34;
    assert_int_equal(estab_link_send(e.l[0], &f, 1), 1);
    memset(text, 'x', 8); /* was copied */
    assert_int_equal(estab_link_recv(e.l[1], &got, 1), 1);
    assert_int_equal(got.niov, 1);
    assert_int_equal(got.iov[0].len, 8);
    assert_memory_equal(got.iov[0].base, "headtext", 8);
    assert_int_equal(got.off.csum_start, 34);
    close_both(e);
}

static void what_is_lent_stays_while_more_arrives(void **state)
{
    struct ends e = pair_of(3);
    struct estab_frame lent[3];

    (void)state;
    for (int round = 0; round < 5; round++) {
        kit_send(e.l[0], "a1");
        kit_send(e.l[0], "b2");
        kit_send(e.l[0], "c3");
        assert_int_equal(estab_link_recv(e.l[1], lent, 3), 3);
        assert_int_equal(kit_send(e.l[0], "d4"), 1);
        assert_int_equal(kit_send(e.l[0], "e5"), 1);
        assert_int_equal(kit_send(e.l[0], "f6"), 1);
        assert_memory_equal(lent[0].iov[0].base, "a1", 2);
        assert_memory_equal(lent[1].iov[0].base, "b2", 2);
        assert_memory_equal(lent[2].iov[0].base, "c3", 2);
        kit_assert_received(e.l[1], "d4 e5 f6 ");
    }
    close_both(e);
}

static void a_full_queue_loses_and_counts(void **state)
{
    struct ends e = pair_of(2);
    struct estab_frame f[3] = {kit_frame("a", 1), kit_frame("b", 1), kit_frame("c", 1)};

    (void)state;
    assert_int_equal(estab_link_send(e.l[0], f, 3), 2);
    assert_int_equal(e.l[0]->lost_out, 1);
    kit_assert_received(e.l[1], "a b ");
    close_both(e);
}

static void too_long_a_frame_is_lost(void **state)
{
    struct ends e = pair_of(2);
    static const char octets[1600];
    struct estab_frame f = kit_frame(octets, 1600);

    (void)state;
    assert_int_equal(estab_link_send(e.l[0], &f, 1), 0);
    assert_int_equal(e.l[0]->lost_out, 1);
    f.iov[0].len = 1500;
    assert_int_equal(estab_link_send(e.l[0], &f, 1), 1);
    close_both(e);
}

static void the_deadline_says_that_something_waits(void **state)
{
    struct ends e = pair_of(2);

    (void)state;
    assert_int_equal(estab_link_fd(e.l[1]), -1);
    assert_true(estab_link_deadline(e.l[1]) == ESTAB_NEVER);
    kit_send(e.l[0], "a");
    assert_true(estab_link_deadline(e.l[1]) == 0);
    kit_assert_received(e.l[1], "a ");
    assert_true(estab_link_deadline(e.l[1]) == ESTAB_NEVER);
    close_both(e);
}

static void an_end_outlives_the_other(void **state)
{
    struct ends e = pair_of(2);
    struct estab_frame f;

    (void)state;
    kit_send(e.l[0], "last");
    estab_link_close(e.l[0]);
    assert_int_equal(estab_link_recv(e.l[1], &f, 1), 1);
    assert_memory_equal(f.iov[0].base, "last", 4);
    assert_int_equal(estab_link_recv(e.l[1], &f, 1), -1);
    assert_string_equal(e.l[1]->error, "pair:b: the other end is closed");
    assert_int_equal(kit_send(e.l[1], "x"), -1);
    estab_link_close(e.l[1]);
    estab_link_close(NULL);
}

static void ethernet_ends_are_two_stations(void **state)
{
    struct estab_port_caps caps = {
        .medium = ESTAB_MEDIUM_ETHERNET, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 8}};
    static const char octets[1514];
    struct estab_frame f = kit_frame(octets, sizeof octets);
    struct ends e;

    (void)state;
    assert_int_equal(estab_link_pair(e.l, &caps, 4), 0);
    assert_int_equal(e.l[0]->caps.mac[5], 8);
    assert_int_equal(e.l[1]->caps.mac[5], 9);
    assert_int_equal(estab_link_send(e.l[0], &f, 1), 1); /* the MTU is the IP packet's */
    close_both(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_in_order_both_ways),
        cmocka_unit_test(pieces_become_one_frame_and_keep_their_offload),
        cmocka_unit_test(what_is_lent_stays_while_more_arrives),
        cmocka_unit_test(a_full_queue_loses_and_counts),
        cmocka_unit_test(too_long_a_frame_is_lost),
        cmocka_unit_test(the_deadline_says_that_something_waits),
        cmocka_unit_test(an_end_outlives_the_other),
        cmocka_unit_test(ethernet_ends_are_two_stations),
    };

    return cmocka_run_group_tests_name("link_pair", tests, NULL, NULL);
}

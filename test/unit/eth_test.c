/* SPDX-License-Identifier: BSD-2-Clause */
/* eth_test.c - Ethernet headers. */
#include "wire/eth.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t frame[] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0xaa};

static void a_header_is_taken_apart(void **state)
{
    struct rd r = rd_of(frame, sizeof frame);
    struct eth h;

    (void)state;
    assert_int_equal(eth_parse(&h, &r), RULE_NONE);
    assert_memory_equal(h.dst, frame, 6);
    assert_memory_equal(h.src, frame + 6, 6);
    assert_int_equal(h.type, ETHERTYPE_IP6);
    assert_ptr_equal(r.p, frame + ETH_HDR_LEN);
}

static void what_is_emitted_is_what_was_parsed(void **state)
{
    struct rd r = rd_of(frame, sizeof frame);
    uint8_t out[ETH_HDR_LEN];
    struct eth h;

    (void)state;
    eth_parse(&h, &r);
    eth_emit(&h, out);
    assert_memory_equal(out, frame, ETH_HDR_LEN);
}

static void p1_runt_frames_are_dropped(void **state)
{
    size_t len;

    (void)state;
    for (len = 0; len < ETH_HDR_LEN; len++) {
        uint8_t *exact = malloc(len + 1);
        struct eth h;
        struct rd r;

        memcpy(exact + 1, frame, len); /* ends where the allocation ends */
        r = rd_of(exact + 1, len);
        assert_int_equal(eth_parse(&h, &r), RULE_RUNT);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_taken_apart),
        cmocka_unit_test(what_is_emitted_is_what_was_parsed),
        cmocka_unit_test(p1_runt_frames_are_dropped),
    };

    return cmocka_run_group_tests_name("eth", tests, NULL, NULL);
}

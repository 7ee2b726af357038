/* SPDX-License-Identifier: BSD-2-Clause */
/* link_device_test.c - frames whose checksum was left open: what is taken for one, and what not. */
#include "link_kit.h"

#include <stdlib.h>

#include "host/link_device.h"

/* An Ethernet frame with 6 octets of text behind the header of TCP or UDP. */
struct made {
    uint8_t octets[128];
    size_t len, ip_hdr_len, csum_at;
};

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static struct made make(unsigned version, unsigned proto)
{
    struct made m = {.ip_hdr_len = version == 4 ? 20 : 40};
    size_t l4_len = (proto == 6 ? 20 : 8) + 6;
    uint8_t *ip = m.octets + 14;
    size_t addrs = version == 4 ? 12 : 8;
    uint32_t sum = proto + (uint32_t)l4_len;
    uint16_t open;

    m.octets[12] = version == 4 ? 0x08 : 0x86;
    m.octets[13] = version == 4 ? 0x00 : 0xdd;
    ip[0] = version == 4 ? 0x45 : 0x60;
    if (version == 4)
        ip[3] = (uint8_t)(m.ip_hdr_len + l4_len);
    else
        ip[5] = (uint8_t)l4_len;
    ip[version == 4 ? 9 : 6] = (uint8_t)proto;
    for (size_t i = addrs; i < m.ip_hdr_len; i++)
        ip[i] = (uint8_t)(0xb0 + i);
    for (size_t i = addrs; i < m.ip_hdr_len; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    memset(ip + m.ip_hdr_len, 0x5a, l4_len);
    m.csum_at = 14 + m.ip_hdr_len + (proto == 6 ? 16 : 6);
    open = fold(sum);
    m.octets[m.csum_at] = (uint8_t)(open >> 8);
    m.octets[m.csum_at + 1] = (uint8_t)open;
    m.len = 14 + m.ip_hdr_len + l4_len;
    return m;
}

static void what_was_left_open_is_seen(void **state)
{
    (void)state;
    for (unsigned v = 4; v <= 6; v += 2) {
        for (unsigned proto = 6; proto <= 17; proto += 11) {
            struct made m = make(v, proto);

            assert_true(link_open_csum(m.octets, m.len));
            assert_true(link_open_csum(m.octets, m.len + 9)); /* an Ethernet frame may be padded */
        }
    }
}

static void any_other_checksum_is_not(void **state)
{
    (void)state;
    for (unsigned v = 4; v <= 6; v += 2) {
        for (uint32_t add = 1; add < 0x10000; add++) {
            struct made m = make(v, 6);
            uint32_t sum = (uint32_t)m.octets[m.csum_at] << 8 | m.octets[m.csum_at + 1];

            m.octets[m.csum_at] = (uint8_t)((sum + add) >> 8);
            m.octets[m.csum_at + 1] = (uint8_t)(sum + add);
            assert_false(link_open_csum(m.octets, m.len));
        }
    }
}

static void other_frames_are_not(void **state)
{
    struct made m = make(4, 6);

    (void)state;
    m.octets[14 + 9] = 1; /* ICMP */
    assert_false(link_open_csum(m.octets, m.len));
    m = make(4, 6);
    m.octets[14 + 6] = 0x20; /* more fragments */
    assert_false(link_open_csum(m.octets, m.len));
    m = make(4, 6);
    m.octets[14 + 7] = 5; /* a later fragment */
    assert_false(link_open_csum(m.octets, m.len));
    m = make(4, 6);
    m.octets[13] = 6; /* ARP */
    assert_false(link_open_csum(m.octets, m.len));
    m = make(4, 6);
    m.octets[14] = 0x42; /* a header shorter than there is */
    assert_false(link_open_csum(m.octets, m.len));
    m = make(4, 6);
    m.octets[14] = 0x4f; /* one that ends behind the packet */
    assert_false(link_open_csum(m.octets, m.len));
}

/* In memory of exactly its length, so that a sanitizer sees what is read beyond. */
static void a_frame_cut_anywhere_is_not(void **state)
{
    (void)state;
    for (unsigned v = 4; v <= 6; v += 2) {
        struct made m = make(v, 17);

        for (size_t len = 0; len < m.len; len++) {
            uint8_t *cut = malloc(len ? len : 1);

            assert_non_null(cut);
            memcpy(cut, m.octets, len);
            assert_false(link_open_csum(cut, len));
            free(cut);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_left_open_is_seen),
        cmocka_unit_test(any_other_checksum_is_not),
        cmocka_unit_test(other_frames_are_not),
        cmocka_unit_test(a_frame_cut_anywhere_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* vnet_test.c - the virtio-net header in front of a frame: what it says, and what it may not say.
 */
#include "link_kit.h"

#include "host/vnet.h"

enum { NEEDS = 1, VALID = 2, TCP4 = 1, UDP4 = 3, TCP6 = 4, UDP_L4 = 5, ECN = 0x80 };

struct hdr { /* as the machine lays it out */
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

static const uint8_t ip4[60] = {0x45}, ip6[80] = {0x60}, arp[60] = {0xff, [12] = 8, [13] = 6};
static const uint8_t eth4[74] = {[12] = 8, [14] = 0x45}, eth6[94] = {[12] = 0x86, 0xdd, 0x60},
                     tag4[78] = {[12] = 0x81, [16] = 8, [18] = 0x45};

static bool parse(struct estab_offload *off, struct hdr h, enum estab_medium medium,
                  const uint8_t *frame, size_t len)
{
    uint8_t in[VNET_HDR_LEN];

    memcpy(in, &h, sizeof in);
    return vnet_parse(off, in, medium, frame, len);
}

static void what_may_be_said_is_understood(void **state)
{
    struct estab_offload off;

    (void)state;
    assert_true(parse(&off, (struct hdr){0}, ESTAB_MEDIUM_IP, ip4, sizeof ip4));
    assert_int_equal(off.flags | off.gso_type | off.gso_size, 0);
    assert_true(
        parse(&off, (struct hdr){VALID, TCP4, 52, 1448, 0, 0}, ESTAB_MEDIUM_IP, ip4, sizeof ip4));
    assert_int_equal(off.flags, ESTAB_OFF_DATA_VALID);
    assert_int_equal(off.gso_type, ESTAB_GSO_TCPV4);
    assert_int_equal(off.gso_size, 1448);
    assert_true(parse(&off, (struct hdr){NEEDS, TCP6 | ECN, 72, 1428, 40, 16}, ESTAB_MEDIUM_IP, ip6,
                      sizeof ip6));
    assert_int_equal(off.gso_type, ESTAB_GSO_TCPV6); /* the ECN bit is about sending */
    assert_int_equal(off.csum_start, 40);
    assert_int_equal(off.csum_offset, 16);
    assert_true(parse(&off, (struct hdr){NEEDS, TCP4, 66, 1448, 34, 16}, ESTAB_MEDIUM_ETHERNET,
                      eth4, sizeof eth4));
    assert_true(parse(&off, (struct hdr){NEEDS, TCP4, 70, 1448, 38, 16}, ESTAB_MEDIUM_ETHERNET,
                      tag4, sizeof tag4));
    assert_true(parse(&off, (struct hdr){NEEDS, TCP6, 86, 1428, 54, 16}, ESTAB_MEDIUM_ETHERNET,
                      eth6, sizeof eth6));
    assert_true(parse(&off, (struct hdr){NEEDS, 0, 0, 0, 58, 0}, ESTAB_MEDIUM_IP, ip4, sizeof ip4));
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *what;
        struct hdr h;
        const uint8_t *frame;
        size_t len;
        enum estab_medium medium;
    } cases[] = {
        {"no segment size", {NEEDS, TCP4, 52, 0, 20, 16}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"another IP version", {NEEDS, TCP6, 52, 9, 20, 16}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"another IP version", {NEEDS, TCP4, 72, 9, 40, 16}, ip6, sizeof ip6, ESTAB_MEDIUM_IP},
        {"UDP fragments", {NEEDS, UDP4, 28, 9, 20, 6}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"UDP segments", {NEEDS, UDP_L4, 28, 9, 20, 6}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"no such type", {0, 0x7f, 28, 9, 0, 0}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"checksum behind the end", {NEEDS, 0, 0, 0, 59, 0}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"far behind", {NEEDS, 0, 0, 0, 65535, 65535}, ip4, sizeof ip4, ESTAB_MEDIUM_IP},
        {"checksum in the link's header",
         {NEEDS, 0, 0, 0, 13, 2},
         eth4,
         sizeof eth4,
         ESTAB_MEDIUM_ETHERNET},
        {"no IP at all", {0, TCP4, 54, 9, 0, 0}, arp, sizeof arp, ESTAB_MEDIUM_ETHERNET},
        {"an IP header and no more", {0, TCP4, 54, 9, 0, 0}, ip4, 20, ESTAB_MEDIUM_IP},
        {"an empty frame", {0, TCP4, 54, 9, 0, 0}, ip4, 0, ESTAB_MEDIUM_IP},
        {"a runt", {NEEDS, TCP4, 54, 9, 0, 0}, eth4, 14, ESTAB_MEDIUM_ETHERNET},
    };
    struct estab_offload off;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (parse(&off, cases[i].h, cases[i].medium, cases[i].frame, cases[i].len))
            fail_msg("%s: taken", cases[i].what);
}

static void what_is_emitted_is_understood_again(void **state)
{
    const struct estab_offload said = {ESTAB_OFF_NEEDS_CSUM, ESTAB_GSO_TCPV4, 52, 1448, 20, 16};
    struct estab_offload heard;
    uint8_t hdr[VNET_HDR_LEN];

    (void)state;
    vnet_emit(hdr, &said);
    assert_true(vnet_parse(&heard, hdr, ESTAB_MEDIUM_IP, ip4, sizeof ip4));
    assert_memory_equal(&heard, &said, sizeof said);
}

/* RFC 1071's example behind two octets: 0001 f203 f4f5 f6f7 sums to ddf2. */
static void an_open_checksum_is_completed(void **state)
{
    uint8_t f[12] = {9, 9, 0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0};
    const struct estab_offload off = {.flags = ESTAB_OFF_NEEDS_CSUM,
                                      .csum_start = 2,
                                      .csum_offset = 8},
                               beyond = {.flags = ESTAB_OFF_NEEDS_CSUM,
                                         .csum_start = 2,
                                         .csum_offset = 9},
                               none = {0};

    (void)state;
    link_complete_csum(f, sizeof f, &none);
    link_complete_csum(f, sizeof f, &beyond);
    assert_int_equal(f[10] | f[11], 0);
    link_complete_csum(f, sizeof f, &off);
    assert_int_equal(f[10] << 8 | f[11], 0x220d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_said_is_understood),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_is_emitted_is_understood_again),
        cmocka_unit_test(an_open_checksum_is_completed),
    };

    return cmocka_run_group_tests_name("vnet", tests, NULL, NULL);
}

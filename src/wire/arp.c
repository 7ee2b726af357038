/* SPDX-License-Identifier: BSD-2-Clause */
/* arp.c - ARP for IPv4 over Ethernet, RFC 826. */
#include "wire/arp.h"

/* ar$hrd Ethernet, ar$pro IPv4, ar$hln 6, ar$pln 4: the only addresses struct arp can hold. */
static const uint8_t arp_ether_ip4[6] = {0x00, 0x01, 0x08, 0x00, 6, 4};

enum rule arp_parse(struct arp *a, struct rd *r)
{
    const uint8_t *p = rd_take(r, ARP_LEN);
    uint16_t op;

    if (!p || memcmp(p, arp_ether_ip4, sizeof arp_ether_ip4) != 0)
        return RULE_ARP_MALFORMED;
    op = be16_at(p + 6);
    if (op != ARP_REQUEST && op != ARP_REPLY)
        return RULE_ARP_MALFORMED;
    a->op = op;
    memcpy(a->sha, p + 8, 6);
    memcpy(a->spa, p + 14, 4);
    memcpy(a->tha, p + 18, 6);
    memcpy(a->tpa, p + 24, 4);
    return RULE_NONE;
}

void arp_emit(const struct arp *a, uint8_t out[ARP_LEN])
{
    memcpy(out, arp_ether_ip4, sizeof arp_ether_ip4);
    be16_put(out + 6, a->op);
    memcpy(out + 8, a->sha, 6);
    memcpy(out + 14, a->spa, 4);
    memcpy(out + 18, a->tha, 6);
    memcpy(out + 24, a->tpa, 4);
}

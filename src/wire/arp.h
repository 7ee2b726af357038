/* SPDX-License-Identifier: BSD-2-Clause */
/* arp.h - ARP for IPv4 over Ethernet (RFC 826). */
#ifndef WIRE_ARP_H
#define WIRE_ARP_H

#include "base/bytes.h"
#include "wire/rule.h"

#define ARP_LEN 28
enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp {
    uint16_t op;
    uint8_t sha[6], spa[4], tha[6], tpa[4];
};
enum rule arp_parse(struct arp *a, struct rd *r); /* RULE_NONE or RULE_ARP_MALFORMED */
void arp_emit(const struct arp *a, uint8_t out[ARP_LEN]);

#endif

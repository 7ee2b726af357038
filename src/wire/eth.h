/* SPDX-License-Identifier: BSD-2-Clause */
/* eth.h - Ethernet II (RFC 894, RFC 2464). */
#ifndef WIRE_ETH_H
#define WIRE_ETH_H

#include "base/bytes.h"
#include "wire/rule.h"

#define ETH_HDR_LEN   14
#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IP6 0x86dd

struct eth {
    uint8_t dst[6], src[6];
    uint16_t type;
};
enum rule eth_parse(struct eth *h,
                    struct rd *r); /* RULE_NONE or RULE_RUNT; r then stands behind the header */
void eth_emit(const struct eth *h, uint8_t out[ETH_HDR_LEN]);

#endif

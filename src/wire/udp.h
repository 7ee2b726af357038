/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.h - UDP header (RFC 768). */
#ifndef WIRE_UDP_H
#define WIRE_UDP_H

#include "base/bytes.h"
#include "wire/rule.h"

#define UDP_HDR_LEN 8
struct udp_hdr {
    uint16_t sport, dport, len, csum;
};
/* payload_len: octets of the IP payload, header included.  RULE_NONE or RULE_UDP_MALFORMED. */
enum rule udp_parse(struct udp_hdr *h, struct rd *r, uint32_t payload_len);
void udp_emit(const struct udp_hdr *h, uint8_t out[UDP_HDR_LEN]);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* script_wire.h - packets as octets, written and read apart from the stack: a test that used the
 * stack's own parser would not see its mistakes. */
#ifndef SIM_SCRIPT_WIRE_H
#define SIM_SCRIPT_WIRE_H

#include "script.h"

enum { WIRE_MAX = 70000 };

struct wire { /* a packet in parts; the pointers lead into it */
    bool v6;
    uint8_t src[16], dst[16];
    uint8_t tos, ttl;
    uint32_t flow_label;
    uint8_t proto; /* 6, 17, 1 or 58 */
    bool ip_csum_ok, csum_ok;
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t flags, reserved, win, urg;
    const uint8_t *options;
    uint32_t noptions; /* octets */
    const uint8_t *text;
    uint32_t text_len;
    uint8_t icmp_type, icmp_code;
    uint32_t icmp_word; /* the header's second word: MTU, or identifier and sequence number */
};

struct wire_out {
    bool v6;
    const uint8_t *src, *dst;
    uint8_t tos, ttl;
    uint32_t flow_label;
    uint8_t proto;
};

/* Reads a packet; false and *why: what it is not. */
bool wire_parse(struct wire *w, const uint8_t *octets, size_t len, const char **why);
/* Puts an IP header before n octets of payload that stand behind it: the header's length, of a
 * packet with both.  TCP, UDP and ICMP get their checksum. */
size_t wire_ip_len(bool v6);
void wire_emit(const struct wire_out *o, uint8_t *packet, size_t n);

void wire_put16(uint8_t *p, uint32_t v);
void wire_put32(uint8_t *p, uint32_t v);
uint32_t wire_get16(const uint8_t *p);
uint32_t wire_get32(const uint8_t *p);

/* The options of a script as octets, padded to a multiple of four with EOL; how many. */
size_t wire_options(const struct pkt_spec *k, uint8_t out[256]);
/* "mss 1460,nop,wscale 7": of octets. */
void wire_options_text(const uint8_t *options, size_t n, char *buf, size_t cap);
/* Type and code of an ICMP message by name; false: no such name. */
bool wire_icmp(bool v6, const char *type, const char *code, uint8_t out[2]);

#endif

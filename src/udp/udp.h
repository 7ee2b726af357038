/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.h - UDP, as far as a host without UDP sockets needs it: every datagram is verified and
 * answered with port unreachable (RFC 1122 section 4.1.3.1). */
#ifndef UDP_UDP_H
#define UDP_UDP_H

#include "ip/ip.h"
#include "wire/udp.h"

struct udp_layer {
    struct ip_layer *ip;
    struct rule_book *rules;
};
void udp_init(struct udp_layer *l, struct ip_layer *ip, struct rule_book *rules);
void udp_recv(struct udp_layer *l, const struct ip_dgram *d);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.c - UDP without sockets: verify, then say that nobody is there (RFC 768, RFC 1122
 * section 4.1.3.1). */
#include "udp/udp.h"
#include "base/csum.h"

void udp_init(struct udp_layer *l, struct ip_layer *ip, struct rule_book *rules)
{
    l->ip = ip;
    l->rules = rules;
}

/* A zero checksum is none: allowed in IPv4 (RFC 768), refused in IPv6 (RFC 8200 section 8.1).
 * [RFC1122-4.1.3.4-1] */
static bool udp_csum_ok(const struct ip_dgram *d, const struct udp_hdr *h)
{
    struct pieces t = d->payload;

    if (h->csum == 0)
        return d->ip.version == 4;
    if (d->csum_ok)
        return true;
    pieces_trim_tail(&t, t.len - h->len);
    return csum_fold(csum_pieces(ip_pseudo(d->ip.src, d->ip.dst, IPPROTO_UDP_, h->len), &t)) ==
           0xffff;
}

/* [RFC1122-4.1.3.1-1] */
void udp_recv(struct udp_layer *l, const struct ip_dgram *d)
{
    struct rd rd = rd_of(d->head, d->head_len);
    struct udp_hdr h;
    enum rule r;

    r = udp_parse(&h, &rd, d->ip.payload_len);
    if (r == RULE_NONE && !udp_csum_ok(d, &h))
        r = RULE_UDP_CSUM;
    if (r != RULE_NONE) {
        ip_drop(l->ip, d, r);
        return;
    }
    ip_drop(l->ip, d, RULE_UDP_NO_PORT);
    ip_reply_unreach(l->ip, d, IP_UNREACH_PORT);
}

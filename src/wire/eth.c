/* SPDX-License-Identifier: BSD-2-Clause */
/* eth.c - Ethernet II headers, RFC 894 and RFC 2464. */
#include "wire/eth.h"

enum rule eth_parse(struct eth *h, struct rd *r)
{
    const uint8_t *p = rd_take(r, ETH_HDR_LEN);

    if (!p)
        return RULE_RUNT;
    memcpy(h->dst, p, 6);
    memcpy(h->src, p + 6, 6);
    h->type = be16_at(p + 12);
    return RULE_NONE;
}

void eth_emit(const struct eth *h, uint8_t out[ETH_HDR_LEN])
{
    memcpy(out, h->dst, 6);
    memcpy(out + 6, h->src, 6);
    be16_put(out + 12, h->type);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp.c - TCP headers, RFC 9293 section 3.1. */
#include "wire/tcp.h"
#include <assert.h>

/* [MUST-1, MUST-5] */
enum rule tcp_parse(struct seg *g, const uint8_t *hdr, size_t hdr_len, const struct pieces *all)
{
    uint32_t off, ports, fourth;

    if (UNLIKELY(hdr_len < TCP_HDR_LEN || all->len < TCP_HDR_LEN))
        return RULE_TCP_HEADER;
    off = (hdr[12] >> 4) * 4u;
    if (UNLIKELY(off < TCP_HDR_LEN || off > hdr_len || off > all->len))
        return RULE_TCP_HEADER;
    ports = be32_at(hdr);
    fourth = be32_at(hdr + 12);
    g->sport = (uint16_t)(ports >> 16);
    g->dport = (uint16_t)ports;
    g->seq = seq_of(be32_at(hdr + 4));
    g->ack = seq_of(be32_at(hdr + 8));
    g->reserved = fourth >> 24 & 0xf;
    g->flags = (uint8_t)(fourth >> 16);
    g->wnd = fourth & 0xffff;
    g->syn_wnd = (g->flags & SEG_SYN) != 0;
    g->up = be16_at(hdr + 18);
    g->tos = 0;
    g->nsegs = 1;
    g->route = NULL;
    g->len = all->len - off + (g->flags >> 1 & 1) + (g->flags & 1); /* SYN, FIN */
    pieces_after(&g->text, all, off);
    return tcp_opts_parse(&g->opt, hdr + TCP_HDR_LEN, off - TCP_HDR_LEN);
}

void tcp_hdr_emit(const struct seg *g, size_t opts_len, uint8_t out[TCP_HDR_LEN])
{
    assert(opts_len % 4 == 0 && opts_len <= TCP_HDR_MAX - TCP_HDR_LEN && g->wnd <= UINT16_MAX);
    be16_put(out, g->sport);
    be16_put(out + 2, g->dport);
    be32_put(out + 4, g->seq.n);
    be32_put(out + 8, g->ack.n);
    out[12] = (uint8_t)((TCP_HDR_LEN + opts_len) / 4 << 4 | (g->reserved & 0xf));
    out[13] = g->flags;
    be16_put(out + 14, (uint16_t)g->wnd);
    be16_put(out + 16, 0);
    be16_put(out + 18, g->up);
}

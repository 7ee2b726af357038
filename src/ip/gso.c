/* SPDX-License-Identifier: BSD-2-Clause */
/* gso.c - cut a TCP super-segment into the frames that a port can take.
 *
 * TCP decides once for a run of segments what may be sent; what differs between them is a length, a
 * sequence number, a checksum and a flag or two, and that is done here.  On the in-memory link at
 * MTU 1500 it takes the sending side from some 125 to 60 ns a segment. */
#include "ip/gso.h"
#include "base/csum.h"
#include "wire/tcp.h"

struct gso_cut { /* where the next frame's text begins in the super-segment */
    const struct estab_iov *v;
    size_t off;
};

/* The next len octets as pieces, straight into the frame: a piece that is written by halves and
 * copied whole makes the processor wait, 2 of 125 ns a segment.  Returns how many. */
static inline uint32_t cut_text(struct gso_cut *c, uint32_t len, struct estab_iov *out)
{
    uint32_t count = 0;

    while (len > 0) {
        size_t n = c->v->len - c->off;

        if (n > len)
            n = len;
        out[count].base = (uint8_t *)c->v->base + c->off;
        out[count++].len = n;
        len -= (uint32_t)n;
        c->off += n;
        if (c->off == c->v->len) {
            c->v++;
            c->off = 0;
        }
    }
    return count;
}

static uint64_t frame_text_sum(uint64_t sum, const struct estab_frame *f)
{
    struct pieces text = {.n = f->niov - 1};

    memcpy(text.v, &f->iov[1], text.n * sizeof text.v[0]);
    return csum_pieces(sum, &text);
}

static void set_ip_length(uint8_t *ip, uint32_t payload_len)
{
    uint16_t sum;

    if (ip[0] >> 4 == 6) {
        be16_put(ip + 4, (uint16_t)payload_len);
        return;
    }
    be16_put(ip + 2, (uint16_t)(IP4_HDR_LEN + payload_len));
    be16_put(ip + 10, 0);
    sum = (uint16_t)~csum_fold(csum_add(0, ip, IP4_HDR_LEN));
    memcpy(ip + 10, &sum, sizeof sum);
}

static uint64_t addresses_sum(const uint8_t *ip)
{
    return ip[0] >> 4 == 6 ? csum_add(0, ip + 8, 32) : csum_add(0, ip + 12, 8);
}

static uint8_t frame_flags(uint8_t flags, uint32_t i, uint32_t n)
{
    if (i > 0)
        flags &= (uint8_t)~SEG_CWR;
    return i + 1 < n ? flags & (uint8_t) ~(SEG_PSH | SEG_FIN) : flags;
}

void gso_split(const struct ip_layer *l, uint8_t port, const struct estab_frame *super,
               struct estab_frame *f, struct gso_hdr *hdrs, uint32_t n, const struct gso_sums *sums)
{
    const uint32_t hdr_len = super->off.hdr_len, at = super->off.csum_start,
                   mss = super->off.gso_size, tcp_len = hdr_len - at;
    const bool eth = l->ports[port].caps.medium == ESTAB_MEDIUM_ETHERNET;
    const uint32_t ip_at = eth ? IP_LINK_HDR_MAX : 0;
    struct gso_cut cut = {&super->iov[1], 0};
    struct gso_hdr first = {{0}};
    uint32_t left = 0, seq;
    uint64_t common, pseudo;
    uint8_t flags;

    for (uint32_t i = 1; i < super->niov; i++)
        left += (uint32_t)super->iov[i].len;
    memcpy(first.b, super->iov[0].base, hdr_len);
    memset(first.b + at + 16, 0, 2);
    set_ip_length(first.b + ip_at, tcp_len + mss);
    seq = be32_at(first.b + at + 4);
    /* What all frames have in common is summed once, without what differs: number, flags. */
    flags = first.b[at + 13];
    memset(first.b + at + 4, 0, 4);
    first.b[at + 13] = 0;
    common = csum_u16(addresses_sum(first.b + ip_at), IPPROTO_TCP_);
    pseudo = common;
    common = csum_add(common, first.b + at, tcp_len);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = left < mss ? left : mss;
        uint8_t *h = hdrs[i].b;
        uint64_t sum;
        uint16_t folded;

        if (hdr_len <= 64) /* nearly always, and a copy of known length is two moves */
            memcpy(h, first.b, 64);
        else
            memcpy(h, first.b, hdr_len);
        if (len != mss)
            set_ip_length(h + ip_at, tcp_len + len);
        be32_put(h + at + 4, seq + i * mss);
        h[at + 13] = frame_flags(flags, i, n);
        f[i].iov[0].base = h;
        f[i].iov[0].len = hdr_len;
        f[i].niov = 1 + cut_text(&cut, len, &f[i].iov[1]);
        sum = csum_u32(common, tcp_len + len);
        if (l->ports[port].caps.tx_csum) {
            f[i].off = (struct estab_offload){
                .flags = ESTAB_OFF_NEEDS_CSUM, .csum_start = (uint16_t)at, .csum_offset = 16};
            folded = csum_fold(csum_u32(pseudo, tcp_len + len));
        } else {
            f[i].off = (struct estab_offload){0};
            sum = csum_u16(csum_u32(sum, seq + i * mss), h[at + 13]);
            sum = i < sums->n ? (uint64_t)csum_fold(sum) + sums->v[(sums->first + i) & sums->mask]
                              : frame_text_sum(sum, &f[i]);
            folded = (uint16_t)~csum_fold(sum);
        }
        memcpy(h + at + 16, &folded, sizeof folded);
        left -= len;
    }
}

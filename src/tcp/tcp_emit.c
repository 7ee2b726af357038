/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_emit.c - build one segment: link, IP and TCP headers in front of the text, checksum or what
 * the port needs to complete it. */
#include "base/csum.h"
#include "tcp/tcp.h"

/* [MUST-2] */
static void checksum(struct tcp_layer *l, const struct seg_out *o, uint32_t tcp_len,
                     uint32_t hdr_len, uint8_t *tcp, struct estab_frame *f)
{
    const struct estab_port_caps *caps = &l->ip->ports[o->path->port].caps;
    uint64_t sum = ip_pseudo(ip_local(l->ip, o->path->local), o->peer, IPPROTO_TCP_, tcp_len);
    struct pieces text;
    uint16_t folded;

    if (caps->tx_csum || o->gso_size) {
        folded = csum_fold(sum);
        f->off.flags = ESTAB_OFF_NEEDS_CSUM;
        f->off.csum_start = (uint16_t)(tcp - (uint8_t *)f->iov[0].base);
        f->off.csum_offset = 16;
    } else {
        sum += ip_sum_words(tcp, hdr_len / 4);
        if (o->sums.n) {
            sum = (uint64_t)csum_fold(sum) + o->sums.v[o->sums.first & o->sums.mask];
        } else if (o->ntext) {
            memcpy(text.v, o->text, o->ntext * sizeof *o->text);
            text.n = o->ntext;
            sum = csum_pieces(sum, &text);
        }
        folded = (uint16_t)~csum_fold(sum);
    }
    memcpy(tcp + 16, &folded, 2);
}

/* One record a frame, whoever cuts the super-segment. */
static RARE void trace_frames(struct tcp_layer *l, const struct seg_out *o)
{
    uint32_t mss = o->gso_size ? o->gso_size : o->text_len, left = o->text_len;
    struct seg_out part;
    uint8_t cwr = 0;

    part = *o;
    while (left > mss) {
        part.text_len = mss;
        part.g.flags = o->g.flags & (uint8_t) ~(SEG_PSH | SEG_FIN | cwr);
        tcp_trace_out(l, &part);
        cwr = SEG_CWR; /* on the first alone, as gso_split() has it */
        part.g.seq = seq_add(part.g.seq, mss);
        left -= mss;
    }
    part.text_len = left;
    part.g.flags = o->g.flags & (uint8_t)~cwr;
    tcp_trace_out(l, &part);
}

/* Other options, and what stands between them, one by one: few segments have them. */
static APART uint32_t options(const struct tcp_layer *l, const struct tcp_opts *o, uint8_t *out)
{
    uint8_t kinds[TCP_KINDS_MAX];

    tcp_opt_layout(l->set.profile.options, o, kinds);
    return (uint32_t)tcp_opts_emit(o, kinds, out);
}

/* Of a segment with text, or with other options. */
static APART void emit_any(struct tcp_layer *l, const struct seg_out *o, struct tcp_frames *out)
{
    struct estab_frame super, *f = o->gso_size ? &super : &out->f[out->n];
    uint8_t *hdr = out->hdrs[out->n].b;
    uint32_t ip_len = ip_emit_len(l->ip, o->path, o->peer) + ip4_route_len(o->route);
    uint32_t opts_len, hdr_len;
    struct ip_send how = {.proto = IPPROTO_TCP_,
                          .tos = (uint8_t)(o->tos | o->g.tos), /* DSCP, ECN */
                          .hop_limit = o->hop_limit,
                          .route = o->route};
    uint8_t *tcp = hdr + ip_len;

    if (o->g.opt.has & ~OPT_TS) {
        opts_len = options(l, &o->g.opt, tcp + TCP_HDR_LEN);
    } else {
        opts_len = o->g.opt.has ? TCP_TS_LEN : 0;
        if (o->g.opt.has)
            tcp_ts_emit(&o->g.opt, tcp + TCP_HDR_LEN);
    }
    hdr_len = TCP_HDR_LEN + opts_len;
    tcp_hdr_emit(&o->g, opts_len, tcp);
    ip_emit(l->ip, o->path, o->peer, &how, hdr_len + o->text_len, hdr);
    f->iov[0] = (struct estab_iov){hdr, ip_len + hdr_len};
    for (uint32_t i = 0; i < o->ntext; i++)
        f->iov[1 + i] = o->text[i];
    f->niov = 1 + o->ntext;
    f->off = (struct estab_offload){0};
    if (o->gso_size) {
        f->off.gso_type = ip_is4(o->peer) ? ESTAB_GSO_TCPV4 : ESTAB_GSO_TCPV6;
        f->off.gso_size = o->gso_size;
        f->off.hdr_len = (uint16_t)(ip_len + hdr_len);
    }
    checksum(l, o, hdr_len + o->text_len, hdr_len, tcp, f);
    if (!o->gso_size) {
        out->n++;
    } else if (l->ip->ports[o->path->port].caps.gso_max) {
        out->f[out->n++] = super;
    } else {
        uint32_t n = (o->text_len + o->gso_size - 1) / o->gso_size;

        gso_split(l->ip, o->path->port, &super, &out->f[out->n], &out->hdrs[out->n], n, &o->sums);
        out->n += n;
    }
}

/* Of one without text, with no options or the usual ones: the header is summed as it is written.
 * What an opening and an end come to, in half of the instructions. */
static void emit_bare(struct tcp_layer *l, const struct seg_out *o, struct tcp_frames *out)
{
    struct estab_frame *f = &out->f[out->n];
    uint8_t *hdr = out->hdrs[out->n++].b;
    struct ip_send how = {.proto = IPPROTO_TCP_,
                          .tos = (uint8_t)(o->tos | o->g.tos), /* DSCP, ECN */
                          .hop_limit = o->hop_limit,
                          .route = o->route};
    uint8_t *tcp = hdr + ip_emit_len(l->ip, o->path, o->peer) + ip4_route_len(o->route);
    struct tcp_words opts = {tcp + TCP_HDR_LEN, 0};
    uint32_t ports = (uint32_t)o->g.sport << 16 | o->g.dport;
    uint32_t fourth = (uint32_t)(o->g.reserved & 0xf) << 24 | (uint32_t)o->g.flags << 16 | o->g.wnd;
    uint32_t hdr_len;
    uint64_t sum;

    if (o->g.opt.has)
        opts = tcp_opt_usual(l->set.profile.options, &o->g.opt, opts.end);
    hdr_len = (uint32_t)(opts.end - tcp);
    fourth |= hdr_len << 26;
    ip_emit(l->ip, o->path, o->peer, &how, hdr_len, hdr);
    be32_put(tcp, ports);
    be32_put(tcp + 4, o->g.seq.n);
    be32_put(tcp + 8, o->g.ack.n);
    be32_put(tcp + 12, fourth);
    be16_put(tcp + 18, o->g.up);
    f->iov[0] = (struct estab_iov){hdr, (size_t)(opts.end - hdr)};
    f->niov = 1;
    sum = tcp_pseudo_words(ip_local(l->ip, o->path->local), o->peer, hdr_len);
    if (tcp_link_sums(l, o->path->port, (size_t)(tcp - hdr), f)) {
        be16_put(tcp + 16, csum_fold(sum));
        return;
    }
    sum += opts.sum + ports + o->g.seq.n + o->g.ack.n + fourth + o->g.up;
    be16_put(tcp + 16, (uint16_t)~csum_fold(sum));
}

/* [SHLD-22, MUST-48] */
void tcp_emit(struct tcp_layer *l, const struct seg_out *o, struct tcp_frames *out)
{
    if (o->text_len == 0 && !(o->g.opt.has & ~TCP_USUAL_OPTS))
        emit_bare(l, o, out);
    else
        emit_any(l, o, out);
    if (tcp_traced(l))
        trace_frames(l, o);
}

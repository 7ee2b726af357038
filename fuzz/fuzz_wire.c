/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_wire.c - every parser of wire/ on arbitrary octets.
 *
 * The first octet of the input chooses the parser, the rest is the packet.  What parses keeps the
 * promises of its header, and what can be emitted is emitted and parses to the same again. */
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void fuzz_eth(const uint8_t *in, size_t len)
{
    struct rd r = rd_of(in, len);
    uint8_t out[ETH_HDR_LEN];
    struct eth h;

    if (eth_parse(&h, &r) != RULE_NONE)
        return;
    eth_emit(&h, out);
    must(memcmp(in, out, sizeof out) == 0 && r.p == in + sizeof out);
}

static void fuzz_arp(const uint8_t *in, size_t len)
{
    struct rd r = rd_of(in, len);
    uint8_t out[ARP_LEN];
    struct arp a;

    if (arp_parse(&a, &r) != RULE_NONE)
        return;
    arp_emit(&a, out);
    must(memcmp(in, out, sizeof out) == 0);
}

static void fuzz_udp(const uint8_t *in, size_t len)
{
    struct rd r = rd_of(in, len);
    uint8_t out[UDP_HDR_LEN];
    struct udp_hdr h;

    if (udp_parse(&h, &r, (uint32_t)len) != RULE_NONE)
        return;
    must(h.len >= UDP_HDR_LEN && h.len <= len);
    udp_emit(&h, out);
    must(memcmp(in, out, sizeof out) == 0);
}

static void must_be_same_ip(const struct ip_hdr *a, const struct ip_hdr *b)
{
    must(memcmp(a->src, b->src, 16) == 0 && memcmp(a->dst, b->dst, 16) == 0);
    must(a->version == b->version && a->proto == b->proto && a->hop_limit == b->hop_limit);
    must(a->tos == b->tos && a->id == b->id && a->frag_off == b->frag_off);
    must(a->more_frags == b->more_frags && a->dont_frag == b->dont_frag);
    must(a->has_frag == b->has_frag && a->flow == b->flow && a->payload_len == b->payload_len);
}

static void fuzz_ip4(const uint8_t *in, size_t len)
{
    uint8_t out[IP4_HDR_LEN];
    struct ip_hdr h, back;

    if (ip4_parse(&h, in, len, len, true) != RULE_NONE) {
        must(h.problem_code == 0xff);
        return;
    }
    must(h.hdr_len + h.payload_len <= len && h.problem_at < h.hdr_len);
    ip4_emit(&h, out);
    must(ip4_parse(&back, out, sizeof out, sizeof out + h.payload_len, false) == RULE_NONE);
    must_be_same_ip(&h, &back);
}

static void fuzz_ip6(const uint8_t *in, size_t len)
{
    uint8_t out[IP6_HDR_LEN];
    struct ip_hdr h, back;

    if (ip6_parse(&h, in, len, len) != RULE_NONE) {
        must(h.problem_code == 0xff || h.problem_at < len);
        return;
    }
    must(h.hdr_len <= 256 && h.hdr_len + h.payload_len <= len);
    must(h.problem_at < h.hdr_len && in[h.problem_at] == h.proto);
    if (h.has_frag) /* the fixed header has no place for that */
        return;
    h.id = 0;
    ip6_emit(&h, out);
    must(ip6_parse(&back, out, sizeof out, sizeof out + h.payload_len) == RULE_NONE);
    must_be_same_ip(&h, &back);
}

static void fuzz_icmp(const uint8_t *in, size_t len)
{
    struct rd r = rd_of(in, len), again;
    uint8_t out[ICMP_HDR_LEN];
    struct icmp m, back;
    uint32_t mtu;

    if (icmp_parse(&m, &r) != RULE_NONE)
        return;
    icmp_emit(&m, out);
    again = rd_of(out, sizeof out);
    must(icmp_parse(&back, &again) == RULE_NONE);
    must(m.type == back.type && m.code == back.code && m.rest == back.rest);
    mtu = 0;
    must(icmp_meaning(4, &m, &mtu) == ICMP_MEANS_TOO_BIG || mtu == 0);
    mtu = 0;
    must(icmp_meaning(6, &m, &mtu) == ICMP_MEANS_TOO_BIG || mtu == 0);
}

static void fuzz_quote(uint8_t version, const uint8_t *in, size_t len)
{
    struct icmp_quote q;

    if (icmp_quote_parse(&q, version, in, len) != RULE_NONE)
        return;
    must(q.ip.version == version && q.ip.hdr_len <= len && q.ip.frag_off == 0);
    must(!q.has_seq || (q.ip.proto == IPPROTO_TCP_ && q.ip.hdr_len + 8u <= len));
}

static void fuzz_nd(const uint8_t *in, size_t len)
{
    struct rd r = rd_of(in, len);
    uint8_t out[ND_MAX_LEN], type;
    struct nd n, back;
    struct icmp m;
    uint32_t i;

    if (icmp_parse(&m, &r) != RULE_NONE || nd_parse(&n, &m, &r) != RULE_NONE)
        return;
    must(n.ra_nprefix <= sizeof n.ra_prefix / sizeof n.ra_prefix[0]);
    for (i = 0; i < n.ra_nprefix; i++)
        must(n.ra_prefix[i].len <= 128);
    type = m.type;
    if (type == ICMP6_ROUTER_ADVERT)
        return;
    r = rd_of(out, nd_emit(&n, type, out));
    must(icmp_parse(&m, &r) == RULE_NONE && m.type == type);
    must(nd_parse(&back, &m, &r) == RULE_NONE);
    must(memcmp(&n, &back, sizeof n) == 0); /* both were zeroed before they were filled */
}

static void must_be_same_opts(const struct tcp_opts *a, const struct tcp_opts *b)
{
    uint8_t i;

    must(a->has == b->has && a->ws == b->ws && a->nsack == b->nsack && a->mss == b->mss);
    must(a->ts_val == b->ts_val && a->ts_ecr == b->ts_ecr && a->uto == b->uto);
    must(a->fo_len == b->fo_len && a->fo_exp == b->fo_exp);
    must(!(a->has & OPT_FO) || memcmp(a->fo, b->fo, a->fo_len) == 0);
    for (i = 0; i < a->nsack; i++)
        must(seq_eq(a->sack[i].lo, b->sack[i].lo) && seq_eq(a->sack[i].hi, b->sack[i].hi));
    if (!(a->has & OPT_ACC))
        return;
    must(a->acc_n == b->acc_n && a->acc_order1 == b->acc_order1);
    for (i = 0; i < a->acc_n; i++)
        must(a->acc[i] == b->acc[i]);
}

/* Options that came in fit again: written without the padding between them they only shrink. */
static size_t emit_opts_of(const struct seg *g, uint8_t out[40])
{
    uint8_t kinds[9], n = 0;

    if (g->opt.has & OPT_MSS)
        kinds[n++] = OPT_KIND_MSS;
    if (g->opt.has & OPT_WS)
        kinds[n++] = OPT_KIND_WS;
    if (g->opt.has & OPT_SACK_OK)
        kinds[n++] = OPT_KIND_SACK_OK;
    if (g->opt.has & OPT_TS)
        kinds[n++] = OPT_KIND_TS;
    if (g->opt.has & OPT_SACK)
        kinds[n++] = OPT_KIND_SACK;
    if (g->opt.has & OPT_UTO)
        kinds[n++] = OPT_KIND_UTO;
    if (g->opt.has & OPT_FO)
        kinds[n++] = g->opt.fo_exp ? OPT_KIND_EXP : OPT_KIND_FO;
    if (g->opt.has & OPT_ACC)
        kinds[n++] = g->opt.acc_order1 ? OPT_KIND_ACC1 : OPT_KIND_ACC0;
    kinds[n] = OPT_KIND_EOL;
    return tcp_opts_emit(&g->opt, kinds, out);
}

/* The first octet says where the segment is cut in two pieces. */
static void fuzz_tcp(const uint8_t *in, size_t len)
{
    uint8_t out[TCP_HDR_MAX];
    struct pieces all = {.n = 2}, again = {.v = {{out, 0}}, .n = 1};
    size_t cut, opts_len;
    struct seg g, back;
    uint32_t i, sum = 0;

    if (len == 0)
        return;
    cut = in[0] < len - 1 ? in[0] : len - 1;
    in++, len--;
    all.v[0] = (struct estab_iov){(void *)(uintptr_t)in, cut};
    all.v[1] = (struct estab_iov){(void *)(uintptr_t)(in + cut), len - cut};
    all.len = (uint32_t)len;
    if (tcp_parse(&g, in, len < TCP_HDR_MAX ? len : TCP_HDR_MAX, &all) != RULE_NONE)
        return;
    for (i = 0; i < g.text.n; i++)
        sum += (uint32_t)g.text.v[i].len;
    must(sum == g.text.len && g.text.len <= len - TCP_HDR_LEN);
    must(g.len == g.text.len + !!(g.flags & SEG_SYN) + !!(g.flags & SEG_FIN));

    opts_len = emit_opts_of(&g, out + TCP_HDR_LEN);
    tcp_hdr_emit(&g, opts_len, out);
    again.v[0].len = TCP_HDR_LEN + opts_len;
    again.len = (uint32_t)again.v[0].len;
    must(tcp_parse(&back, out, again.len, &again) == RULE_NONE);
    must(seq_eq(g.seq, back.seq) && seq_eq(g.ack, back.ack) && g.wnd == back.wnd);
    must(g.up == back.up && g.sport == back.sport && g.dport == back.dport);
    must(g.flags == back.flags && g.reserved == back.reserved);
    must(g.len - g.text.len == back.len);
    must_be_same_opts(&g.opt, &back.opt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    switch (data[0] % 10) {
    case 0:
        fuzz_eth(data + 1, len - 1);
        break;
    case 1:
        fuzz_arp(data + 1, len - 1);
        break;
    case 2:
        fuzz_ip4(data + 1, len - 1);
        break;
    case 3:
        fuzz_ip6(data + 1, len - 1);
        break;
    case 4:
        fuzz_icmp(data + 1, len - 1);
        break;
    case 5:
        fuzz_nd(data + 1, len - 1);
        break;
    case 6:
        fuzz_udp(data + 1, len - 1);
        break;
    case 7:
        fuzz_tcp(data + 1, len - 1);
        break;
    case 8:
        fuzz_quote(4, data + 1, len - 1);
        break;
    case 9:
        fuzz_quote(6, data + 1, len - 1);
        break;
    }
    return 0;
}

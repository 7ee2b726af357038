/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_short.c - the short way in: what nearly every frame is.
 *
 * Nearly every frame is a segment of a connection that stands, in an IP packet without options and
 * in one piece, with no TCP option but the timestamp where RFC 7323 appendix A has it, and it says
 * nothing that was not to be expected.  Such a one is found out from a few words of its headers: no
 * datagram is described, and what ip_recv() asks of both addresses has been asked of the
 * connection's own; an address or a route that has changed since shows in its path.  Whatever is
 * not so at a glance takes the long way (stack_in.c), and nothing has happened to it. */
#include "base/csum.h"
#include "stack/stack.h"
#include "wire/eth.h"

struct glance {
    const uint8_t *tcp; /* its header */
    uint32_t tcp_at;    /* where that begins in the frame's first piece ... */
    uint32_t room;      /* ... and octets of that piece from there on */
    uint32_t len;       /* octets of header and text */
    uint64_t pseudo;    /* the pseudo header's sum, without the length */
    uint8_t src[16], dst[16];
    uint8_t tos;
    bool v4, csum_ok;
};

static bool ip4_is_plain(struct glance *q, const uint8_t *p, uint32_t len, bool csum_ok)
{
    if (p[0] != 0x45 || be16_at(p + 2) != len || (be16_at(p + 6) & 0x3fff) != 0 ||
        p[9] != IPPROTO_TCP_ || (!csum_ok && csum_fold(ip_sum_words(p, IP4_HDR_LEN / 4)) != 0xffff))
        return false;
    q->v4 = true;
    q->tos = p[1];
    q->pseudo = ip_sum_words(p + 12, 2);
    ip_map4(q->src, p + 12);
    ip_map4(q->dst, p + 16);
    return true;
}

static bool ip6_is_plain(struct glance *q, const uint8_t *p, uint32_t len)
{
    if (p[0] >> 4 != 6 || be16_at(p + 4) != len - IP6_HDR_LEN || p[6] != IPPROTO_TCP_)
        return false;
    q->v4 = false;
    q->tos = (uint8_t)(be16_at(p) >> 4);
    q->pseudo = ip_sum_words(p + 8, 8);
    memcpy(q->src, p + 8, 16);
    memcpy(q->dst, p + 24, 16);
    return true;
}

/* Octets in front of the IP header; UINT32_MAX: not from another station to this one alone. */
static uint32_t link_len(const struct ip_layer *l, uint8_t port, const uint8_t *p)
{
    const struct estab_port_caps *caps = &l->ports[port].caps;
    bool v4 = p[ETH_HDR_LEN] >> 4 == 4;

    if (caps->medium != ESTAB_MEDIUM_ETHERNET)
        return 0;
    if (memcmp(p, caps->mac, 6) != 0 || p[0] & 1 || memcmp(p + 6, caps->mac, 6) == 0 ||
        be16_at(p + 12) != (v4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6))
        return UINT32_MAX;
    return ETH_HDR_LEN;
}

/* The headers lie in the frame's first piece, and it has at most one more. */
static bool glance_at(const struct ip_layer *l, uint8_t port, const struct estab_frame *f,
                      struct glance *q)
{
    const bool rx_csum = l->ports[port].caps.rx_csum;
    const uint8_t *p = f->iov[0].base;
    uint32_t at, ip_len, len, first;

    if (f->niov == 0 || f->niov > 2 || f->off.gso_type != ESTAB_GSO_NONE ||
        f->iov[0].len < IP4_HDR_LEN + TCP_HDR_LEN || f->iov[0].len > UINT16_MAX ||
        (f->niov == 2 && (f->iov[1].len == 0 || f->iov[1].len > UINT16_MAX)))
        return false;
    at = link_len(l, port, p);
    first = (uint32_t)f->iov[0].len;
    if (at > first)
        return false;
    p += at;
    ip_len = *p >> 4 == 4 ? IP4_HDR_LEN : IP6_HDR_LEN;
    len = first - at + (f->niov == 2 ? (uint32_t)f->iov[1].len : 0);
    if (first - at < ip_len + TCP_HDR_LEN ||
        !(ip_len == IP4_HDR_LEN ? ip4_is_plain(q, p, len, rx_csum) : ip6_is_plain(q, p, len)))
        return false;
    q->tcp = p + ip_len;
    q->tcp_at = at + ip_len;
    q->room = first - at - ip_len;
    q->len = len - ip_len;
    q->csum_ok = rx_csum || (f->off.flags & (ESTAB_OFF_DATA_VALID | ESTAB_OFF_NEEDS_CSUM)) != 0;
    return true;
}

/* Whose it is; NULL: no connection's, or one whose path is to be found anew. */
static struct tcb *connection_of(struct tcp_layer *l, uint8_t port, const struct glance *q)
{
    struct tcb *t = l->hot == SLAB_NONE ? NULL : tcb_at(l, l->hot);
    struct tcp_tuple k = {q->src, 0, be16_at(q->tcp + 2), be16_at(q->tcp)};
    uint32_t ref;
    int local;

    if (t && memcmp(ip_local(l->ip, t->path.local), q->dst, 16) == 0 &&
        !(!q->v4 && ip_is_link_local6(q->dst))) {
        k.local = t->path.local;
    } else {
        local = ip_addr_find(l->ip, q->dst, port);
        if (local < 0)
            return NULL;
        k.local = (uint16_t)local;
    }
    ref = tcp_demux_find(l, &k);
    if (ref == HASH_NONE || TCP_REF_KIND(ref) != TCP_REF_TCB)
        return NULL;
    t = tcb_at(l, TCP_REF_SLOT(ref));
    return t->path.gen8 == (uint8_t)l->ip->path_gen ? t : NULL;
}

/* Every member that is looked at; false: an option that is none of the usual. */
static bool segment_of(const struct glance *q, const struct estab_frame *f, struct seg *g)
{
    const uint8_t *tcp = q->tcp;
    uint32_t hdr_len = (tcp[12] >> 4) * 4u;

    g->opt.has = 0;
    g->opt.nsack = 0;
    if (hdr_len == TCP_HDR_LEN + TCP_TS_LEN && hdr_len <= q->room &&
        be32_at(tcp + TCP_HDR_LEN) == TCP_TS_WORD) {
        g->opt.has = OPT_TS;
        g->opt.ts_val = be32_at(tcp + 24);
        g->opt.ts_ecr = be32_at(tcp + 28);
    } else if (hdr_len != TCP_HDR_LEN) {
        return false;
    }
    g->sport = be16_at(tcp);
    g->dport = be16_at(tcp + 2);
    g->seq = seq_of(be32_at(tcp + 4));
    g->ack = seq_of(be32_at(tcp + 8));
    g->reserved = tcp[12] & 0xf;
    g->flags = tcp[13];
    g->wnd = be16_at(tcp + 14);
    g->up = be16_at(tcp + 18);
    g->tos = q->tos;
    g->syn_wnd = false;
    g->nsegs = 1;
    g->route = NULL;
    g->len = g->text.len = q->len - hdr_len;
    g->text.n = 0;
    if (q->room > hdr_len)
        g->text.v[g->text.n++] =
            (struct estab_iov){(uint8_t *)f->iov[0].base + q->tcp_at + hdr_len, q->room - hdr_len};
    if (f->niov == 2)
        g->text.v[g->text.n++] = f->iov[1];
    return true;
}

static void trace_in(const struct tcb *t, const struct seg *g)
{
    struct tcp_tuple k;

    if (!t->layer->env->trace)
        return;
    k = tcb_tuple(t);
    tcp_trace_in(t->layer, &k, tcb_handle(t), ESTAB_ESTABLISHED, g, t->snd_wscale);
}

/* The TCP header's sum, with the pseudo header's. */
static uint64_t header_sum(const struct glance *q, uint32_t hdr_len)
{
    return csum_u32(q->pseudo + ip_sum_words(q->tcp, hdr_len / 4), q->len + IPPROTO_TCP_);
}

static bool ack_in(struct tcb *t, const struct glance *q, const struct seg *g)
{
    if (!tcp_ack_predicted(t, g) || (!q->csum_ok && csum_fold(header_sum(q, q->len)) != 0xffff))
        return false;
    trace_in(t, g);
    tcp_predicted_ack_arrives(t, g);
    return true;
}

static bool text_in(struct tcb *t, const struct glance *q, struct seg *g)
{
    struct csum_run sum;

    if (!tcp_predicted(t, g))
        return false;
    sum = (struct csum_run){header_sum(q, q->len - g->len), false};
    if (tcp_text_store(t, g, q->csum_ok ? NULL : &sum) != TCP_STORED)
        return false;
    trace_in(t, g);
    tcp_predicted_arrives(t, g);
    return true;
}

bool stack_short(estab_stack *s, uint8_t port, const struct estab_frame *f)
{
    struct glance q;
    struct seg g;
    struct tcb *t;

    if (s->tcp.long_way || !glance_at(&s->ip, port, f, &q) || !segment_of(&q, f, &g))
        return false;
    t = connection_of(&s->tcp, port, &q);
    if (!t)
        return false;
    if (g.len == 0)
        return ack_in(t, &q, &g);
    if (!text_in(t, &q, &g))
        return false;
    if (s->run.more)
        run_begin(&s->run, t, f, &g,
                  &(struct run_shape){.tcp_at = q.tcp_at,
                                      .text_at = q.tcp_at + q.len - g.len,
                                      .pseudo = csum_u32(q.pseudo, IPPROTO_TCP_),
                                      .csum_ok = q.csum_ok,
                                      .v4 = q.v4});
    return true;
}

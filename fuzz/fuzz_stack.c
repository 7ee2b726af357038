/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_stack.c - a stack in any state under a program of frames, calls, clock steps and memory that
 * runs out.
 *
 * The input is a list of steps, each an octet that names it and operands.  Frames come raw, or as
 * segments of a connection that exists, honest unless the operands bend a field; a few steps open
 * connections honestly, so that deep states are a few octets away.  After every step the books of
 * the stack must balance, it must have done a bounded amount of work, and what a user reads must be
 * what honest segments carried; in the end nothing may be left allocated. */
#include "wire/arp.h"
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TUN, TAP, NPORTS };
enum { NSOCKS = 8, NPEERS = 8, WORK_MAX = 6000 };

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

struct world {
    struct estab_virtual v;
    estab_stack *s;
    struct rd in;
    estab_sock socks[NSOCKS];
    struct {
        estab_sock k;
        uint8_t *buf; /* of its own, so that who writes beyond it is found out */
    } loan[NSOCKS];
    bool bent; /* text that is not octet_of() may have been accepted */
    uint32_t work;
    struct seg syn_ack;      /* the last that it sent */
    struct whole_frame sent; /* the last frame that it sent */
    int sent_port;
    uint8_t cut;
};

struct peer {
    uint8_t ip[16], host_ip[16];
    int port;
};

static void peer_init(struct peer *p, uint8_t n)
{
    static const uint8_t v4[3][2][4] = {{{10, 0, 0, 2}, {10, 0, 0, 1}},
                                        {{10, 0, 1, 2}, {10, 0, 1, 1}},
                                        {{10, 9, 9, 9}, {10, 0, 1, 1}}};

    memset(p, 0, sizeof *p);
    p->port = n & 1 ? TAP : TUN;
    if (!(n & 2)) {
        const uint8_t(*a)[4] = v4[(n & 5) == 5 ? 2 : n & 1];

        ip_map4(p->ip, a[0]);
        ip_map4(p->host_ip, a[1]);
        return;
    }
    p->ip[0] = p->host_ip[0] = 0x20;
    p->ip[1] = p->host_ip[1] = 0x01;
    p->ip[5] = p->host_ip[5] = (uint8_t)p->port;
    p->ip[15] = 2;
    p->host_ip[15] = 1;
}

/* ---- the world ---- */

static void on_trace(void *ctx, const struct estab_trace *t)
{
    struct world *w = (struct world *)((uint8_t *)ctx - offsetof(struct world, v));

    must(t->kind != ESTAB_TR_STATE || estab_edge_legal(t->from, t->to));
    w->work++;
}

static void add_addrs(struct world *w, int port)
{
    struct peer p;

    peer_init(&p, (uint8_t)port);
    must(estab_addr_add(w->s, port, p.host_ip, 120) == 0);
    peer_init(&p, (uint8_t)(port | 2));
    must(estab_addr_add(w->s, port, p.host_ip, 64) == 0);
}

static void world_init(struct world *w)
{
    struct estab_port_caps tun = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct estab_port_caps tap = {.medium = ESTAB_MEDIUM_ETHERNET, .mtu = 1500};
    uint8_t options = rd_u8(&w->in), sizes = rd_u8(&w->in), any[16] = {0}, gw[16];
    static const uint8_t gw4[4] = {10, 0, 1, 9};
    struct estab_config cfg;
    struct estab_env env;

    estab_virtual_env(&env, &w->v, options);
    env.trace = on_trace;
    w->v.now = ESTAB_S(1000);
    estab_config_init(&cfg);
    cfg.timestamps = !(options & 1);
    cfg.window_scale = !(options & 2);
    cfg.sack = !(options & 4);
    cfg.max_conns = 24;
    cfg.max_synq = 8;
    cfg.max_timewait = 4;
    cfg.max_orphans = 6;
    cfg.msl = ESTAB_S(5);
    cfg.user_timeout = options & 8 ? ESTAB_S(20) : 0;
    cfg.source_routes = sizes & 128;
    cfg.rcvbuf = 2048u << (sizes & 7);
    cfg.sndbuf = 2048u << (sizes >> 3 & 7);
    must(estab_stack_new(&w->s, &env, &cfg) == 0);
    tun.rx_csum = options & 16;
    tun.tx_csum = options & 32;
    tun.gso_max = options & 64 ? 65535 : 0;
    tap.dad = tap.router_solicit = options & 128;
    memcpy(tap.mac, our_mac, 6);
    must(estab_port_add(w->s, &tun) == TUN && estab_port_add(w->s, &tap) == TAP);
    add_addrs(w, TUN);
    add_addrs(w, TAP);
    any[10] = any[11] = 0xff;
    ip_map4(gw, gw4);
    must(estab_route_add(w->s, TAP, any, 96, gw) == 0);
    w->s->env.ceiling = sizes & 64 ? w->s->env.used + 30000 : 0;
}

/* ---- frames ---- */

static void put_link(uint8_t *b, const uint8_t ip[16])
{
    struct eth h = {.type = ip_is4(ip) ? ETHERTYPE_IP4 : ETHERTYPE_IP6};

    memcpy(h.dst, our_mac, 6);
    memcpy(h.src, peer_mac, 6);
    eth_emit(&h, b);
}

/* As a driver reads it that asks first where its text belongs; false: nowhere. */
static bool give_placed(struct world *w, int port, const uint8_t *b, size_t len)
{
    struct estab_place at = {0};
    struct estab_frame f = {.niov = 2};
    size_t placed;

    if (estab_input_place(w->s, port, &at) != 1 || at.len == 0 || at.head >= len)
        return false;
    placed = len - at.head < at.len ? len - at.head : at.len;
    f.iov[0] = (struct estab_iov){malloc(at.head), at.head};
    f.iov[1] = (struct estab_iov){at.to, placed};
    memcpy(f.iov[0].base, b, at.head);
    memcpy(at.to, b + at.head, placed);
    if (at.head + placed < len) {
        size_t rest = len - at.head - placed;

        f.iov[f.niov] = (struct estab_iov){malloc(rest), rest};
        memcpy(f.iov[f.niov++].base, b + at.head + placed, rest);
    }
    must(estab_input(w->s, port, &f, 1) == 0);
    free(f.iov[0].base);
    if (f.niov == 3)
        free(f.iov[2].base);
    return true;
}

static void give(struct world *w, int port, const uint8_t *b, size_t len)
{
    if (w->cut & 1 || !give_placed(w, port, b, len))
        give_frame(w->s, port, b, len, w->cut);
}

/* Link and IP header in front of a payload that stands at b + front(p). */
static size_t front(const struct peer *p)
{
    return (p->port == TAP ? ETH_HDR_LEN : 0) + ip_hdr_len_of(p->ip);
}
static void give_packet(struct world *w, const struct peer *p, uint8_t proto, uint8_t hop_limit,
                        uint8_t *b, size_t len)
{
    struct ip_hdr h = {.version = ip_is4(p->ip) ? 4 : 6,
                       .proto = proto,
                       .hop_limit = hop_limit,
                       .payload_len = (uint32_t)len};
    size_t link = p->port == TAP ? ETH_HDR_LEN : 0;

    memcpy(h.src, p->ip, 16);
    memcpy(h.dst, p->host_ip, 16);
    if (link)
        put_link(b, p->ip);
    if (h.version == 4)
        ip4_emit(&h, b + link);
    else
        ip6_emit(&h, b + link);
    give(w, p->port, b, front(p) + len);
}

struct forged {
    struct seg g;
    uint8_t opts[40];
    size_t opts_len, text_len;
    uint32_t iss;
};

static void give_segment(struct world *w, const struct peer *p, const struct forged *f)
{
    static uint8_t b[16000];
    uint8_t *tcp = b + front(p);
    size_t hdr = TCP_HDR_LEN + f->opts_len, len = hdr + f->text_len;
    uint32_t seq = f->g.seq.n + ((f->g.flags & SEG_SYN) != 0);
    uint16_t sum;

    tcp_hdr_emit(&f->g, f->opts_len, tcp);
    memcpy(tcp + TCP_HDR_LEN, f->opts, f->opts_len);
    fill_text(tcp + hdr, (uint32_t)f->text_len, f->iss, seq);
    sum = (uint16_t)~csum_fold(
        csum_add(ip_pseudo(p->ip, p->host_ip, IPPROTO_TCP_, (uint32_t)len), tcp, len));
    memcpy(tcp + 16, &sum, 2);
    give_packet(w, p, IPPROTO_TCP_, 64, b, len);
}

/* ---- a connection as its peer knows it ---- */

struct far_end {
    struct peer p;
    uint16_t pport, lport;
    uint32_t nxt, adv, acked; /* of what the peer sends */
    uint32_t una, snd_nxt;    /* of what the stack sends */
    uint32_t iss;
    bool ts;
    uint32_t ts_recent, ts_offset;
};

static uint32_t irs_of(const struct tcb *t)
{
    return t->rcv.nxt.n - t->fin_rcvd - (uint32_t)t->octets_received - 1;
}

static void far_end_of_tcb(const struct tcb *t, struct far_end *e)
{
    memcpy(e->p.ip, t->peer, 16);
    memcpy(e->p.host_ip, ip_local(t->layer->ip, t->path.local), 16);
    e->p.port = t->path.port;
    e->pport = t->pport;
    e->lport = t->lport;
    e->nxt = t->rcv.nxt.n;
    e->adv = t->rcv.adv.n;
    e->acked = tcp_last_ack(t).n;
    e->una = t->snd.una.n;
    e->snd_nxt = t->snd.nxt.n;
    e->iss = irs_of(t);
    e->ts = t->ts_ok;
    e->ts_recent = t->ts_recent;
    e->ts_offset = t->ts_offset;
}

static void far_end_of_synq(const struct tcp_layer *l, const struct tcp_synq *q, struct far_end *e)
{
    struct tcp_tuple k = tcp_far_tuple(l, &q->far, e->p.ip);

    memcpy(e->p.host_ip, ip_local(l->ip, q->far.local), 16);
    e->p.port = q->far.port;
    e->pport = q->far.pport;
    e->lport = q->far.lport;
    e->nxt = e->acked = q->irs.n + 1;
    e->adv = e->nxt + 2048;
    e->una = q->iss.n;
    e->snd_nxt = q->iss.n + 1;
    e->iss = q->irs.n;
    e->ts = q->ts_ok;
    e->ts_recent = q->ts_recent;
    e->ts_offset = tcp_ts_offset(l, &k);
}

static void far_end_of_timewait(const struct tcp_layer *l, const struct tcp_timewait *t,
                                struct far_end *e)
{
    struct tcp_tuple k = tcp_far_tuple(l, &t->far, e->p.ip);

    memcpy(e->p.host_ip, ip_local(l->ip, t->far.local), 16);
    e->p.port = t->far.port;
    e->pport = t->far.pport;
    e->lport = t->far.lport;
    e->nxt = e->acked = t->rcv_nxt.n;
    e->adv = e->nxt + t->far.wnd;
    e->una = e->snd_nxt = t->snd_nxt.n;
    e->iss = e->nxt;
    e->ts = t->ts_ok;
    e->ts_recent = t->ts_recent;
    e->ts_offset = tcp_ts_offset(l, &k);
}

/* The nth of everything that has a peer; false: there is none. */
static bool far_end_find(const struct world *w, uint8_t nth, struct far_end *e)
{
    const struct tcp_layer *l = &w->s->tcp;
    uint32_t found = 0, wanted = nth, n;

    memset(e, 0, sizeof *e);
    do {
        n = found;
        for (uint32_t i = slab_next(&l->tcbs, 0); i != SLAB_NONE; i = slab_next(&l->tcbs, i + 1)) {
            const struct tcb *t = tcb_at(l, i);

            if (t->state == ESTAB_CLOSED || t->state == ESTAB_LISTEN ||
                t->state == ESTAB_TIME_WAIT || found++ != wanted)
                continue;
            far_end_of_tcb(t, e);
            return true;
        }
        for (uint32_t i = slab_next(&l->synqs, 0); i != SLAB_NONE;
             i = slab_next(&l->synqs, i + 1)) {
            const struct tcp_synq *q = slab_at(&l->synqs, i);

            if (q->dead || found++ != wanted)
                continue;
            far_end_of_synq(l, q, e);
            return true;
        }
        for (uint32_t i = slab_next(&l->timewaits, 0); i != SLAB_NONE;
             i = slab_next(&l->timewaits, i + 1)) {
            if (found++ != wanted)
                continue;
            far_end_of_timewait(l, slab_at(&l->timewaits, i), e);
            return true;
        }
        wanted = found ? n + nth % found : 0;
    } while (n == 0 && found > 0);
    return false;
}

/* ---- steps: frames ---- */

/* A datagram from a peer, to a UDP socket if there is one. */
static void step_datagram(struct world *w)
{
    uint8_t who = rd_u8(&w->in), how = rd_u8(&w->in), b[2200] = {0}, *m;
    struct udp_hdr h = {(uint16_t)(6000 + how % 16), 80, (uint16_t)(8 + (how >> 4) * 130), 0};
    struct estab_addr a;
    struct peer p;
    uint16_t sum;

    peer_init(&p, who);
    for (int i = 0; i < NSOCKS && !(who & 8); i++)
        if (((uint32_t)w->socks[i] & UDP_REF) == UDP_REF &&
            estab_getaddrs(w->s, w->socks[i], &a, NULL) == 0)
            h.dport = a.port;
    m = b + front(&p);
    udp_emit(&h, m);
    sum = (uint16_t)~csum_fold(csum_add(ip_pseudo(p.ip, p.host_ip, IPPROTO_UDP_, h.len), m, h.len));
    memcpy(m + 6, &sum, 2);
    give_packet(w, &p, IPPROTO_UDP_, 64, b, h.len);
}

static void step_raw(struct world *w)
{
    uint8_t port = rd_u8(&w->in);
    size_t n = rd_u16(&w->in) & 2047;
    const uint8_t *p;

    if (port & 0x80) {
        step_datagram(w);
        return;
    }
    if (n > rd_left(&w->in))
        n = rd_left(&w->in);
    p = rd_take(&w->in, n);
    w->bent = true;
    give(w, port % NPORTS, p ? p : (const uint8_t *)"", n);
}

/* A number near one that matters. */
static uint32_t bend(struct world *w, uint32_t a, uint32_t b, uint32_t c)
{
    uint8_t how = rd_u8(&w->in);
    int8_t by = (int8_t)rd_u8(&w->in);
    static const uint32_t scale[4] = {1, 100, 1460, 1u << 25};
    uint32_t base = (how & 3) == 0 ? a : (how & 3) == 1 ? b : (how & 3) == 2 ? c : 0;

    return base + (uint32_t)(int32_t)by * scale[how >> 2 & 3];
}

static void put_option_ts(struct forged *f, uint32_t val, uint32_t ecr)
{
    uint8_t *o = f->opts + f->opts_len;

    be32_put(o, 0x0101080a);
    be32_put(o + 4, val);
    be32_put(o + 8, ecr);
    f->opts_len += 12;
}

static void put_sacks(struct world *w, const struct far_end *e, struct forged *f, uint8_t n)
{
    uint8_t *o = f->opts + f->opts_len;

    o[0] = o[1] = 1;
    o[2] = 5;
    o[3] = (uint8_t)(2 + 8 * n);
    for (uint8_t i = 0; i < n; i++) {
        uint32_t lo = bend(w, e->una, e->snd_nxt, e->nxt);

        be32_put(o + 4 + 8 * i, lo);
        be32_put(o + 8 + 8 * i, lo + rd_u8(&w->in) * 64u);
    }
    f->opts_len += 4 + 8u * n;
}

static void put_options(struct world *w, const struct far_end *e, struct forged *f)
{
    uint8_t how = rd_u8(&w->in);
    uint32_t now = (uint32_t)(w->v.now / 1000000u) + e->ts_offset;

    if (how & 0x80) { /* anything at all */
        size_t n = (how & 0x3c) <= 40 ? how & 0x3c : 40;
        const uint8_t *p = rd_take(&w->in, n);

        if (!p)
            return;
        memcpy(f->opts, p, n);
        f->opts_len = n;
        return;
    }
    if (how & 4)
        put_option_ts(f, bend(w, e->ts_recent, e->ts_recent + 1, 0), bend(w, now, 0, 1));
    else if (e->ts && !(how & 8))
        put_option_ts(f, e->ts_recent, now);
    if (how & 3)
        put_sacks(w, e, f, f->opts_len ? (how & 3) : 1 + (how & 3));
}

/* what: 1 SEQ, 2 ACK, 4 options, 8 text, 16 window, 32 urgent, 64 flags that are no ACK */
static void step_segment(struct world *w)
{
    uint8_t nth = rd_u8(&w->in), what = rd_u8(&w->in);
    struct forged f = {.text_len = 0};
    struct far_end e;

    if (!far_end_find(w, nth, &e))
        return;
    f.iss = e.iss;
    f.g.sport = e.pport;
    f.g.dport = e.lport;
    f.g.seq = seq_of(what & 1 ? bend(w, e.nxt, e.adv, e.acked) : e.nxt);
    f.g.ack = seq_of(what & 2 ? bend(w, e.una, e.snd_nxt, e.nxt) : e.snd_nxt);
    f.g.flags = what & 64 ? rd_u8(&w->in) : SEG_ACK;
    if (f.g.flags & SEG_SYN) /* in SYN-SENT its text counts from it */
        f.iss = f.g.seq.n;
    f.g.wnd = 60000;
    if (what & 16) {
        f.g.wnd = rd_u8(&w->in);
        f.g.wnd = f.g.wnd < 128 ? f.g.wnd : f.g.wnd * 257;
    }
    if (what & 32)
        f.g.up = rd_u16(&w->in);
    if (what & 8) {
        f.text_len = rd_u8(&w->in);
        if (f.text_len >= 200)
            f.text_len = (f.text_len - 199) * 200;
    }
    if (what & 4) {
        put_options(w, &e, &f);
    } else if (e.ts) {
        put_option_ts(&f, e.ts_recent, (uint32_t)(w->v.now / 1000000u) + e.ts_offset);
    }
    give_segment(w, &e.p, &f);
}

static void put_syn_options(struct forged *f, uint8_t which)
{
    static const uint8_t offers[] = {2, 4, 0x05, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2};
    static const uint8_t stingy[] = {2, 4, 0, 1, 1, 3, 3, 200};

    if (which & 1) {
        memcpy(f->opts, offers, sizeof offers);
        f->opts_len = sizeof offers;
    } else if (which & 2) {
        memcpy(f->opts, stingy, sizeof stingy);
        f->opts_len = sizeof stingy;
    }
    if (which & 4)
        put_option_ts(f, 1000, 0);
}

static struct forged syn_of(const struct world *w, uint8_t pport, uint8_t which)
{
    struct forged f = {.text_len = which & 8 ? 100 : 0};

    f.iss = (uint32_t)(w->v.now / 4000u) * (which & 16 ? 3u : 1u) + pport;
    f.g.sport = (uint16_t)(6000 + pport % 16);
    f.g.dport = (uint16_t)(80 + (pport >> 4) % 2);
    f.g.seq = seq_of(f.iss);
    f.g.flags = SEG_SYN;
    f.g.wnd = 50000;
    put_syn_options(&f, which);
    return f;
}

static void step_syn(struct world *w)
{
    struct forged f;
    struct peer p;
    uint8_t pport, which;

    peer_init(&p, rd_u8(&w->in));
    pport = rd_u8(&w->in);
    which = rd_u8(&w->in);
    f = syn_of(w, pport, which);
    give_segment(w, &p, &f);
}

static void answer_link(struct world *w)
{
    uint8_t b[ETH_HDR_LEN + ARP_LEN];
    struct arp a;

    struct rd r = rd_of(w->sent.b + ETH_HDR_LEN, ARP_LEN);

    if (be16_at(w->sent.b + 12) != ETHERTYPE_ARP || arp_parse(&a, &r) != RULE_NONE ||
        a.op != ARP_REQUEST)
        return;
    memcpy(a.tha, a.sha, 6);
    memcpy(a.sha, peer_mac, 6);
    for (int i = 0; i < 4; i++) {
        uint8_t swap = a.spa[i];

        a.spa[i] = a.tpa[i];
        a.tpa[i] = swap;
    }
    a.op = ARP_REPLY;
    put_link(b, w->sent.ip.src);
    be16_put(b + 12, ETHERTYPE_ARP);
    arp_emit(&a, b + ETH_HDR_LEN);
    give_frame(w->s, TAP, b, sizeof b, 0);
}

/* One frame out of a port; who it asks for answers. */
static bool pull(struct world *w, int port, bool answer)
{
    struct estab_frame f;
    int n = estab_output(w->s, port, &f, 1);

    must(n == 0 || n == 1);
    if (n == 0)
        return false;
    check_sent(&w->sent, &f, &w->s->ip.ports[port].caps);
    w->sent_port = port;
    if (w->sent.ip.proto == IPPROTO_TCP_ && w->sent.g.flags == (SEG_SYN | SEG_ACK))
        w->syn_ack = w->sent.g;
    if (answer && port == TAP)
        answer_link(w);
    return true;
}

static void pull_all(struct world *w, bool answer)
{
    uint32_t n = 0;

    for (int port = 0; port < NPORTS; port++)
        while (pull(w, port, answer))
            must(++n < 20000);
}

/* A SYN, and the ACK of the SYN,ACK that answers it: of a half-open entry, or a cookie. */
static void step_open_passive(struct world *w)
{
    uint8_t who = rd_u8(&w->in), pport = rd_u8(&w->in), which = rd_u8(&w->in);
    struct forged syn = syn_of(w, pport, which), f = {.iss = syn.iss};
    const struct seg *got = &w->syn_ack;
    struct peer p;

    peer_init(&p, who);
    memset(&w->syn_ack, 0, sizeof w->syn_ack);
    give_segment(w, &p, &syn);
    pull_all(w, true);
    if (got->dport != syn.g.sport || got->sport != syn.g.dport || got->ack.n != syn.iss + 1)
        return;
    f.g.sport = syn.g.sport;
    f.g.dport = syn.g.dport;
    f.g.seq = got->ack;
    f.g.ack = seq_add(got->seq, 1);
    f.g.flags = SEG_ACK;
    f.g.wnd = 50000;
    if (got->opt.has & OPT_TS)
        put_option_ts(&f, got->opt.ts_ecr, got->opt.ts_val);
    give_segment(w, &p, &f);
}

/* SYN, or SYN,ACK, to the nth connection, if it waits for one. */
static void step_answer_syn(struct world *w)
{
    uint8_t nth = rd_u8(&w->in), which = rd_u8(&w->in);
    struct forged f = {.text_len = which & 8 ? 3000 : 0};
    struct far_end e;

    pull_all(w, true);
    if (!far_end_find(w, nth, &e))
        return;
    f.iss = 77777u * which;
    f.g.sport = e.pport;
    f.g.dport = e.lport;
    f.g.seq = seq_of(f.iss);
    f.g.ack = seq_of(e.snd_nxt);
    f.g.flags = which & 16 ? SEG_SYN : which & 32 ? SEG_SYN | SEG_ACK | SEG_FIN : SEG_SYN | SEG_ACK;
    f.g.wnd = which & 64 ? 0 : 40000;
    put_syn_options(&f, which);
    give_segment(w, &e.p, &f);
}

/* An error about a segment that was really sent, or nearly so. */
static void step_icmp(struct world *w)
{
    uint8_t nth = rd_u8(&w->in), type = rd_u8(&w->in), code = rd_u8(&w->in), b[200] = {0}, *m, *q;
    uint16_t mtu = rd_u16(&w->in), sum;
    uint8_t cut = rd_u8(&w->in);
    struct ip_hdr h = {.hop_limit = 60, .payload_len = 1000, .proto = IPPROTO_TCP_};
    size_t len, ip_len;
    struct far_end e;
    struct icmp icmp;

    if (!far_end_find(w, nth, &e))
        return;
    m = b + front(&e.p);
    q = m + ICMP_HDR_LEN;
    ip_len = ip_hdr_len_of(e.p.ip);
    icmp = (struct icmp){.type = type, .code = code, .rest = mtu};
    icmp_emit(&icmp, m);
    memcpy(h.src, e.p.host_ip, 16);
    memcpy(h.dst, e.p.ip, 16);
    h.version = ip_is4(e.p.ip) ? 4 : 6;
    if (h.version == 4)
        ip4_emit(&h, q);
    else
        ip6_emit(&h, q);
    be16_put(q + ip_len, e.lport);
    be16_put(q + ip_len + 2, e.pport);
    be32_put(q + ip_len + 4, bend(w, e.una, e.snd_nxt, e.nxt));
    len = ICMP_HDR_LEN + ip_len + (cut < 40 ? cut : 8u);
    sum = (uint16_t)~csum_fold(csum_add(
        h.version == 4 ? 0 : ip_pseudo(e.p.ip, e.p.host_ip, IPPROTO_ICMP6, (uint32_t)len), m, len));
    memcpy(m + 2, &sum, 2);
    give_packet(w, &e.p, h.version == 4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6, 64, b, len);
}

static void step_arp(struct world *w)
{
    uint8_t b[ETH_HDR_LEN + ARP_LEN], who = rd_u8(&w->in), bits = rd_u8(&w->in);
    struct arp a = {.op = bits & 1 ? ARP_REPLY : ARP_REQUEST};
    struct peer p;

    peer_init(&p, TAP);
    memcpy(a.sha, bits & 2 ? our_mac : peer_mac, 6);
    a.sha[5] ^= bits & 4 ? who : 0;
    memcpy(a.spa, p.ip + 12, 4);
    memcpy(a.tpa, p.host_ip + 12, 4);
    a.spa[3] = who;
    a.tpa[3] ^= bits & 8 ? 7 : 0;
    put_link(b, p.ip);
    be16_put(b + 12, ETHERTYPE_ARP);
    arp_emit(&a, b + ETH_HDR_LEN);
    give_frame(w->s, TAP, b, sizeof b, w->cut);
}

static void step_nd(struct world *w)
{
    uint8_t b[200] = {0}, type = rd_u8(&w->in), bits = rd_u8(&w->in);
    uint8_t *m;
    uint16_t sum;
    size_t len = 24;
    struct peer p;

    peer_init(&p, TAP | 2);
    if (bits & 1)
        p.ip[15] = rd_u8(&w->in);
    if (bits & 2) {
        memset(p.ip, 0, 16);
        p.ip[0] = 0xfe;
        p.ip[1] = 0x80;
        p.ip[15] = 9;
    }
    m = b + front(&p);
    m[0] = (uint8_t)(ICMP6_ROUTER_SOLICIT + type % 4);
    be32_put(m + 4, (uint32_t)bits << 24 | 1800);
    memcpy(m + 8, bits & 4 ? p.host_ip : p.ip, 16);
    if (m[0] == ICMP6_ROUTER_ADVERT)
        len = 16;
    if (bits & 8) {
        m[len] = m[0] == ICMP6_NEIGHBOUR_ADVERT ? 2 : 1;
        m[len + 1] = 1;
        memcpy(m + len + 2, peer_mac, 6);
        len += 8;
    }
    if (bits & 16) {
        m[len] = 3;
        m[len + 1] = 4;
        m[len + 2] = rd_u8(&w->in);
        m[len + 3] = 0xc0;
        be32_put(m + len + 4, rd_u8(&w->in));
        memcpy(m + len + 16, p.host_ip, 15);
        len += 32;
    }
    sum = (uint16_t)~csum_fold(
        csum_add(ip_pseudo(p.ip, p.host_ip, IPPROTO_ICMP6, (uint32_t)len), m, len));
    memcpy(m + 2, &sum, 2);
    give_packet(w, &p, IPPROTO_ICMP6, 255, b, len);
}

/* What it sent last comes back, or to another port, with an octet changed. */
static void step_echo_back(struct world *w)
{
    uint8_t bits = rd_u8(&w->in), at = rd_u8(&w->in), x = rd_u8(&w->in);

    w->bent = true;
    if (w->sent.len == 0)
        return;
    if (at < w->sent.len)
        w->sent.b[at] ^= x;
    give_frame(w->s, bits & 1 ? w->sent_port : NPORTS - 1 - w->sent_port, w->sent.b, w->sent.len,
               w->cut);
}

/* ---- steps: calls ---- */

static estab_sock *sock_of(struct world *w)
{
    return &w->socks[rd_u8(&w->in) % NSOCKS];
}

static struct tcb *tcb_of_sock(const struct world *w, estab_sock k)
{
    return slab_find(&w->s->tcp.tcbs, (uint32_t)k, (uint32_t)(k >> 32));
}

static void step_socket(struct world *w)
{
    uint8_t which = rd_u8(&w->in);
    estab_sock *k = &w->socks[which % NSOCKS];

    (void)estab_close(w->s, *k);
    *k = 0;
    (void)estab_socket(w->s, which & 0x80 ? ESTAB_UDP : ESTAB_TCP, k);
}

static void step_bind(struct world *w)
{
    estab_sock *k = sock_of(w);
    uint8_t how = rd_u8(&w->in);
    struct estab_addr a = {.port = (uint16_t)(how & 8 ? 0 : 80 + (how & 1))};
    struct peer p;

    peer_init(&p, how >> 4);
    if (how & 2)
        memcpy(a.ip, p.host_ip, 16);
    else if (how & 4)
        a.ip[10] = a.ip[11] = 0xff;
    (void)estab_bind(w->s, *k, &a);
}

static void step_listen(struct world *w)
{
    estab_sock *k = sock_of(w);

    (void)estab_listen(w->s, *k, rd_u8(&w->in) % 8);
}

/* A listener on port 80 in one step. */
static void step_serve(struct world *w)
{
    estab_sock *k = sock_of(w);
    struct estab_addr a = {.port = 80};

    (void)estab_close(w->s, *k);
    *k = 0;
    if (estab_socket(w->s, ESTAB_TCP, k) == 0 && estab_bind(w->s, *k, &a) == 0)
        (void)estab_listen(w->s, *k, 5);
}

static void step_accept(struct world *w)
{
    estab_sock *k = sock_of(w), *to = sock_of(w), got;
    struct estab_addr peer;

    if (estab_accept(w->s, *k, &got, &peer) != 0)
        return;
    (void)estab_close(w->s, *to);
    *to = got;
}

static void step_connect(struct world *w)
{
    estab_sock *k = sock_of(w);
    struct estab_addr a = {0};
    struct peer p;

    peer_init(&p, rd_u8(&w->in));
    memcpy(a.ip, p.ip, 16);
    a.port = (uint16_t)(6000 + rd_u8(&w->in) % 16);
    (void)estab_connect(w->s, *k, &a);
}

static void step_send(struct world *w)
{
    static uint8_t text[70000];
    estab_sock *k = sock_of(w);
    uint8_t flags = rd_u8(&w->in);
    uint32_t n = rd_u8(&w->in);
    struct estab_addr to = {.port = 6000};
    struct estab_iov iov[2];
    struct peer p;
    ptrdiff_t got;

    n = n < 128 ? n : (n - 127) * 500;
    iov[0] = (struct estab_iov){text, n / 3};
    iov[1] = (struct estab_iov){text, n - n / 3};
    peer_init(&p, flags >> 4);
    memcpy(to.ip, p.ip, 16);
    got = estab_sendto(w->s, *k, iov, 2, flags & (ESTAB_MSG_MORE | ESTAB_MSG_OOB),
                       flags & 8 ? &to : NULL);
    must(got <= (ptrdiff_t)n && got >= ESTAB_E_MSGSIZE);
}

static void step_recv(struct world *w)
{
    static uint8_t text[70000];
    estab_sock *k = sock_of(w);
    uint8_t flags = rd_u8(&w->in);
    uint32_t room = rd_u8(&w->in) * (flags & 4 ? 260u : 1u), seq = 0, iss = 0;
    const struct tcb *t = tcb_of_sock(w, *k);
    struct estab_iov iov = {text, room};
    ptrdiff_t got;

    if (t && t->state != ESTAB_LISTEN) {
        seq = t->rcv.nxt.n - t->fin_rcvd - tcp_unread(t);
        iss = irs_of(t);
    }
    got = estab_recv(w->s, *k, &iov, 1, flags & ESTAB_MSG_PEEK);
    must(got <= (ptrdiff_t)room && got >= ESTAB_E_MSGSIZE);
    must(got <= 0 || w->bent || !t || is_text(text, (uint32_t)got, iss, seq));
}

/* Ends the loan, if there is one: what is in the buffer is what came. */
static void take_back(struct world *w, uint32_t i)
{
    const struct tcb *t = tcb_of_sock(w, w->loan[i].k);
    uint32_t seq, iss;
    bool kept; /* all that came: behind a shutdown nothing is */
    ptrdiff_t got;

    if (!w->loan[i].buf)
        return;
    must(t && t->w && t->w->lent.to == w->loan[i].buf);
    seq = t->rcv.nxt.n - t->fin_rcvd - tcp_unread(t) - t->w->lent.got;
    iss = irs_of(t);
    kept = !t->rd_shut && !w->bent;
    got = estab_recv_end(w->s, w->loan[i].k);
    must(got <= 0 || !kept || is_text(w->loan[i].buf, (uint32_t)got, iss, seq));
    free(w->loan[i].buf);
    w->loan[i].buf = NULL;
}

/* Takes a buffer back, or lends one. */
static void step_lend(struct world *w)
{
    uint8_t which = rd_u8(&w->in), i = which % NSOCKS;
    size_t len = 1 + (size_t)rd_u8(&w->in) * (which & 8 ? 1 : 200);

    if (w->loan[i].buf) {
        take_back(w, i);
        return;
    }
    w->loan[i].k = w->socks[i];
    w->loan[i].buf = malloc(len);
    if (estab_recv_lend(w->s, w->loan[i].k, w->loan[i].buf, len) < 0) {
        free(w->loan[i].buf);
        w->loan[i].buf = NULL;
    }
}

/* The handle's end is the loan's: nobody may write there any more. */
static void loans_of_the_dead(struct world *w)
{
    for (uint32_t i = 0; i < NSOCKS; i++) {
        const struct tcb *t = tcb_of_sock(w, w->loan[i].k);

        if (w->loan[i].buf && (!t || t->orphan)) {
            free(w->loan[i].buf);
            w->loan[i].buf = NULL;
        }
    }
}

static void step_shutdown(struct world *w)
{
    estab_sock *k = sock_of(w);

    (void)estab_shutdown(w->s, *k, (enum estab_how)(1 + rd_u8(&w->in) % 3));
}

static void step_close(struct world *w)
{
    (void)estab_close(w->s, *sock_of(w));
}

static void step_abort(struct world *w)
{
    (void)estab_abort(w->s, *sock_of(w));
}

static void step_setopt(struct world *w)
{
    estab_sock *k = sock_of(w);
    enum estab_opt opt = (enum estab_opt)(rd_u8(&w->in) % (ESTAB_O_V6ONLY + 2));
    uint64_t val = rd_u16(&w->in), back;

    switch (opt) {
    case ESTAB_O_SNDBUF:
    case ESTAB_O_RCVBUF:
        val = 1000 + val * 4;
        break;
    case ESTAB_O_KEEPIDLE:
    case ESTAB_O_KEEPINTVL:
    case ESTAB_O_LINGER:
    case ESTAB_O_USER_TIMEOUT:
    case ESTAB_O_ADV_USER_TIMEOUT:
        val = ESTAB_MS(val * 20);
        break;
    default:
        break;
    }
    (void)estab_setopt(w->s, *k, opt, val);
    (void)estab_getopt(w->s, *k, opt, &back);
}

static void step_watch(struct world *w)
{
    estab_sock *k = sock_of(w);

    (void)estab_watch(w->s, *k, rd_u8(&w->in), w);
}

static void step_events(struct world *w)
{
    struct estab_event ev[4];
    size_t n = estab_events(w->s, ev, 1 + rd_u8(&w->in) % 4);

    for (size_t i = 0; i < n; i++) {
        must(ev[i].mask != 0);
        (void)estab_ready(w->s, ev[i].sock);
    }
}

/* A netstat. */
static void step_look(struct world *w)
{
    struct estab_tcp_info i = {.size = sizeof i};
    struct estab_addr local, peer;
    uint64_t cursor = 0;
    uint32_t n = 0;
    estab_sock k;

    while (estab_conn_next(w->s, &cursor, &k)) {
        must(estab_tcp_info(w->s, k, &i) == 0 && i.state < ESTAB_TCP_STATES);
        must(++n < 100);
    }
    for (int j = 0; j < NSOCKS; j++) {
        (void)estab_getaddrs(w->s, w->socks[j], &local, &peer);
        (void)estab_ready(w->s, w->socks[j]);
    }
}

/* ---- steps: time, memory, output ---- */

static void expire(struct world *w)
{
    must(estab_expire(w->s) < 200);
    must(estab_deadline(w->s) > w->v.now);
}

static void step_clock(struct world *w)
{
    static const estab_dur unit[8] = {ESTAB_US(10), ESTAB_MS(1), ESTAB_MS(20), ESTAB_MS(250),
                                      ESTAB_S(1),   ESTAB_S(10), ESTAB_S(120), ESTAB_S(3600)};
    uint8_t how = rd_u8(&w->in), n = rd_u8(&w->in);
    estab_time to = w->v.now + unit[how & 7] * n, at;

    for (int i = 0; i < 40 && !(how & 8) && (at = estab_deadline(w->s)) <= to; i++) {
        w->v.now = at > w->v.now ? at : w->v.now;
        must(estab_expire(w->s) < 200);
        if (how & 16)
            pull_all(w, how & 32);
    }
    w->v.now = to;
    if (!(how & 64)) /* a driver that is late */
        expire(w);
}

static void step_deadline(struct world *w)
{
    estab_time at = estab_deadline(w->s);

    if (at == ESTAB_NEVER)
        return;
    w->v.now = at > w->v.now ? at : w->v.now;
    must(estab_expire(w->s) < 200);
}

static void step_no_memory(struct world *w)
{
    w->v.allocs = 0;
    w->v.fail_at = rd_u8(&w->in) % 8; /* 0: none */
}

static void step_pull(struct world *w)
{
    uint8_t how = rd_u8(&w->in);

    for (int i = 0; i <= how >> 2; i++)
        (void)pull(w, how & 1, how & 2);
}

static void step_pull_all(struct world *w)
{
    pull_all(w, true);
}

/* A batch is lent as a whole: every frame of it must still be there when the last is made. */
static void step_pull_batch(struct world *w)
{
    static struct estab_frame f[ESTAB_BATCH];
    int port = rd_u8(&w->in) % NPORTS, n = estab_output(w->s, port, f, 1 + rd_u8(&w->in));

    must(n >= 0 && n <= ESTAB_BATCH);
    for (int i = 0; i < n; i++)
        check_sent(&w->sent, &f[i], &w->s->ip.ports[port].caps);
    w->sent_port = port;
}

static void (*const steps[])(struct world *) = {
    step_segment, step_segment,    step_lend,    step_open_passive, step_syn,       step_answer_syn,
    step_serve,   step_accept,     step_connect, step_send,         step_recv,      step_shutdown,
    step_close,   step_abort,      step_clock,   step_deadline,     step_pull_all,  step_pull,
    step_socket,  step_bind,       step_listen,  step_setopt,       step_watch,     step_events,
    step_look,    step_icmp,       step_arp,     step_nd,           step_no_memory, step_echo_back,
    step_raw,     step_pull_batch,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct world w;

    memset(&w, 0, offsetof(struct world, sent));
    w.sent.len = 0;
    w.in = rd_of(data, len);
    world_init(&w);
    for (uint32_t n = 0; rd_left(&w.in) > 0 && n < 400; n++) {
        uint8_t op = rd_u8(&w.in);

        w.cut = (uint8_t)(op / 32 * 37);
        w.work = 0;
        steps[op % (sizeof steps / sizeof *steps)](&w);
        must(w.work < WORK_MAX);
        check_stack(w.s);
        loans_of_the_dead(&w);
    }
    pull_all(&w, false);
    loans_of_the_dead(&w);
    for (uint32_t i = 0; i < NSOCKS; i++)
        take_back(&w, i);
    estab_stack_free(w.s);
    must(w.v.live == 0);
    return 0;
}

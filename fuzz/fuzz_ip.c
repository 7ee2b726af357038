/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_ip.c - the internet layer in any state: frames in pieces on a bare and on an Ethernet port,
 * paths that are used, packets that are taken or left, time that passes.
 *
 * The input is a list of steps.  A frame is given as it is, or with the lengths and checksums put
 * right that random octets would never get right.  After each step the layer's promises are
 * checked. */
#include "ip/ip_int.h"
#include "udp/udp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TUN, TAP, NPORTS };
enum { OWN_PACKETS = 64 };
static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};

struct world {
    struct env env;
    struct rule_book rules;
    struct ip_layer l;
    struct udp_layer udp;
    size_t used;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static estab_time world_now(void *ctx)
{
    return ((struct world *)ctx)->env.now;
}
static void world_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 0x5a, len);
}
static void *world_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    (void)align;
    return malloc(size);
}
static void world_free(void *ctx, void *p, size_t size, size_t align)
{
    (void)ctx;
    (void)size;
    (void)align;
    free(p);
}

static void add_address(struct ip_layer *l, int port, const uint8_t *v4, uint8_t last)
{
    uint8_t a[16] = {0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)port, [15] = last};

    if (v4)
        ip_map4(a, v4);
    must(ip_addr_add(l, port, a, v4 ? 120 : 64) == 0);
}

/* 10.0.0.1 and 2001:db8::1 on the bare port; 10.0.1.1 and 2001:db8:1::1 on the Ethernet port. */
static void world_init(struct world *w, bool dad)
{
    struct estab_port_caps tun = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct estab_port_caps tap = {.medium = ESTAB_MEDIUM_ETHERNET, .mtu = 1500};
    static const uint8_t v4[NPORTS][4] = {{10, 0, 0, 1}, {10, 0, 1, 1}}, gw4[4] = {10, 0, 1, 9};
    static const uint8_t any[16];
    uint8_t gw[16];

    memset(w, 0, sizeof *w);
    w->env.now = ESTAB_S(1);
    w->env.cb = (struct estab_env){w, world_now, world_random, world_alloc, world_free, NULL};
    must(ip_init(&w->l, &w->env, &w->rules, 64) == 0);
    w->l.accept_redirects = w->l.source_routes = true;
    udp_init(&w->udp, &w->l, &w->rules, 1);
    memcpy(tap.mac, our_mac, 6);
    tap.dad = tap.router_solicit = dad;
    must(ip_port_add(&w->l, &tun) == TUN && ip_port_add(&w->l, &tap) == TAP);
    add_address(&w->l, TUN, v4[TUN], 0);
    add_address(&w->l, TUN, NULL, 1);
    add_address(&w->l, TAP, v4[TAP], 0);
    add_address(&w->l, TAP, NULL, 1);
    ip_map4(gw, gw4);
    must(ip_route_add(&w->l, TAP, any, 0, gw) == 0);
    w->used = w->env.used;
}

/* ---- promises ---- */

static uint32_t chain_len(const struct ip_pkt *k, uint32_t *pooled, size_t *big)
{
    uint32_t n = 0;

    for (; k; k = k->next) {
        must(++n <= 2 * OWN_PACKETS);
        *pooled += k->size == 0;
        *big += k->size;
    }
    return n;
}

static void check_packets(const struct ip_layer *l)
{
    uint32_t i, n = 0, waiting = 0;
    size_t big = 0;

    must(chain_len(l->pkt_free, &n, &big) == l->pkt_nfree && big == 0);
    chain_len(l->pkt_lent, &n, &big);
    for (i = 0; i < l->nports; i++)
        must(chain_len(l->ports[i].queue_head, &n, &big) == l->ports[i].nqueued);
    for (i = 0; i < IP_NEIGH_MAX; i++) {
        must(chain_len(l->neigh[i].wait_head, &n, &big) == l->neigh[i].nwait);
        must(l->neigh[i].nwait == 0 || l->neigh[i].state == NEIGH_INCOMPLETE);
        waiting += l->neigh[i].nwait;
    }
    must(waiting == l->pkt_nwait && waiting <= IP_NEIGH_WAIT_ALL);
    must(n == OWN_PACKETS && big == l->pkt_big);
}

static void check_neighbours(const struct ip_layer *l)
{
    uint32_t i, listed = 0, in_use = 0;
    uint16_t at;

    for (i = 0; i < IP_NEIGH_MAX; i++) {
        in_use += l->neigh[i].state != NEIGH_FREE;
        for (at = l->neigh[i].bucket; at != IP_NEIGH_NONE; at = l->neigh[at].next) {
            must(l->neigh[at].state != NEIGH_FREE && ++listed <= IP_NEIGH_MAX);
            must(ip_neigh_find(l, l->neigh[at].port, l->neigh[at].addr) == &l->neigh[at]);
            must(l->neigh[at].state < NEIGH_STALE || ip_mac_ok(l->neigh[at].mac));
        }
    }
    must(listed == in_use);
}

/* Nothing a frame brings takes memory but fragments, and they only what is theirs. */
static void check_world(const struct world *w)
{
    const struct ip_reass *ra = &w->l.reass;
    const size_t tables = 256u << 10; /* slabs and indexes, as large as they ever get */

    must(ra->octets <= ra->set.max && ra->by_age.n <= ra->set.datagrams);
    must(w->env.used <= w->used + ra->octets + w->l.pkt_big + tables);
    check_packets(&w->l);
    check_neighbours(&w->l);
}

static void check_delivered(const struct world *w, const struct ip_dgram *d)
{
    uint32_t head = IP_HEAD_RUN;

    if (d->ip.proto == IPPROTO_TCP_ && d->head_len > 12)
        head = (uint32_t)(d->head[12] >> 4) * 4;
    must(d->ip.proto == IPPROTO_TCP_ || d->ip.proto == IPPROTO_UDP_);
    must(d->payload.len == d->ip.payload_len && d->payload.n <= ESTAB_IOVS);
    must(d->head_len >= (d->payload.len < head ? d->payload.len : head));
    must(!ip_is_any(d->ip.src) && !ip_is_multicast(d->ip.src) && !ip_is_loopback(d->ip.src));
    must(ip_is4(d->ip.src) == (d->ip.version == 4) && ip_is4(d->ip.dst) == (d->ip.version == 4));
    if (d->local != IP_LOCAL_NONE)
        must(w->l.addrs[d->local].used && !w->l.addrs[d->local].tentative &&
             memcmp(ip_local(&w->l, d->local), d->ip.dst, 16) == 0);
}

/* What was taken for plain at a glance is what it is. */
static void check_plain(const struct ip_dgram *glance, const struct ip_dgram *d)
{
    must(d->ip.proto == IPPROTO_TCP_ && d->local == glance->local && d->head == glance->head);
    must(memcmp(d->ip.src, glance->ip.src, 16) == 0 && memcmp(d->ip.dst, glance->ip.dst, 16) == 0);
    must(d->ip.tos == glance->ip.tos && d->ip.hop_limit == glance->ip.hop_limit);
    must(d->payload.len == glance->payload.len && d->csum_ok == glance->csum_ok);
}

/* What goes out is a whole packet from an address of ours (or from none, before it has one). */
static void check_frame(const struct world *w, uint8_t port, const struct estab_frame *f)
{
    const uint8_t *p = f->iov[0].base;
    size_t len = f->iov[0].len;
    struct ip_hdr h;

    must(f->niov == 1);
    if (port == TAP) {
        must(len >= ETH_HDR_LEN && memcmp(p + 6, our_mac, 6) == 0);
        must((p[0] & 1) || ip_mac_ok(p));
        if (be16_at(p + 12) == ETHERTYPE_ARP)
            return;
        p += ETH_HDR_LEN;
        len -= ETH_HDR_LEN;
    }
    must(len <= 1500 && len >= IP4_HDR_LEN);
    if (p[0] >> 4 == 4)
        must(ip4_parse(&h, p, len, len, false) == RULE_NONE);
    else
        must(ip6_parse(&h, p, len, len) == RULE_NONE);
    must(h.hdr_len + h.payload_len == len);
    must(ip_local_find(&w->l, h.src) >= 0 || (port == TAP && ip_is_any(h.src)));
}

/* ---- steps ---- */

static void put_csum(uint8_t *at, uint64_t sum, const uint8_t *p, size_t len)
{
    uint16_t csum;

    memset(at, 0, 2);
    csum = (uint16_t)~csum_fold(csum_add(sum, p, len));
    memcpy(at, &csum, 2);
}

/* The checksum of what a parsed packet carries, if it is one that the layer verifies. */
static void fix_payload(uint8_t *p, const struct ip_hdr *h)
{
    uint8_t *msg = p + h->hdr_len;
    uint64_t pseudo = ip_pseudo(h->src, h->dst, h->proto, h->payload_len);

    if (h->proto == IPPROTO_ICMP4 && h->payload_len >= ICMP_HDR_LEN)
        put_csum(msg + 2, 0, msg, h->payload_len);
    if (h->proto == IPPROTO_ICMP6 && h->payload_len >= ICMP_HDR_LEN)
        put_csum(msg + 2, pseudo, msg, h->payload_len);
    if (h->proto == IPPROTO_UDP_ && h->payload_len >= UDP_HDR_LEN) {
        be16_put(msg + 4, (uint16_t)h->payload_len);
        put_csum(msg + 6, pseudo, msg, h->payload_len);
    }
}

static void fix_packet(uint8_t *p, size_t len)
{
    struct ip_hdr h;
    size_t hdr_len;

    if (len >= IP4_HDR_LEN && p[0] >> 4 == 4) {
        hdr_len = (p[0] & 15u) * 4;
        if (hdr_len < IP4_HDR_LEN || hdr_len > len)
            return;
        be16_put(p + 2, (uint16_t)len);
        put_csum(p + 10, 0, p, hdr_len);
        if (ip4_parse(&h, p, len, len, true) == RULE_NONE)
            fix_payload(p, &h);
    } else if (len >= IP6_HDR_LEN && p[0] >> 4 == 6) {
        be16_put(p + 4, (uint16_t)(len - IP6_HDR_LEN));
        if (ip6_parse(&h, p, len, len) == RULE_NONE)
            fix_payload(p, &h);
    }
}

static void fix_frame(uint8_t port, uint8_t *p, size_t len)
{
    if (port == TUN) {
        fix_packet(p, len);
        return;
    }
    if (len < ETH_HDR_LEN)
        return;
    if (!(p[0] & 1))
        memcpy(p, our_mac, 6);
    fix_packet(p + ETH_HDR_LEN, len - ETH_HDR_LEN);
}

/* Each piece is an allocation of its own, so that a read beyond it is found. */
static void cut_frame(struct estab_frame *f, const uint8_t *p, size_t len, const uint8_t cuts[3])
{
    size_t at = 0, n;

    for (f->niov = 0; f->niov < ESTAB_IOVS; f->niov++) {
        n = f->niov < 3 && cuts[f->niov] < len - at ? cuts[f->niov] : len - at;
        f->iov[f->niov].base = malloc(n ? n : 1);
        memcpy(f->iov[f->niov].base, p + at, n);
        f->iov[f->niov].len = n;
        at += n;
    }
}

static void step_frame(struct world *w, struct rd *in, uint8_t op)
{
    uint8_t cuts[3] = {rd_u8(in), rd_u8(in), rd_u8(in)}, port = op & 4 ? TAP : TUN;
    size_t len = rd_u16(in) & 0x7ff;
    struct estab_frame f;
    struct ip_tcp plain;
    struct ip_dgram d, glance;
    struct ip_error e;
    uint8_t *copy;
    bool is_plain;

    if (in->bad)
        return;
    if (len > rd_left(in))
        len = rd_left(in);
    copy = malloc(len + 1);
    memcpy(copy, rd_take(in, len), len);
    if (op & 8)
        fix_frame(port, copy, len);
    memset(&f, 0, sizeof f);
    cut_frame(&f, copy, len, cuts);
    f.off.flags = op >> 4 & 3;
    is_plain = ip_plain_in(&w->l, port, &f, &plain);
    if (is_plain)
        ip_plain_whole(&w->l, &plain, &glance);
    switch (ip_recv(&w->l, port, &f, &d, &e)) {
    case IP_DONE:
        must(!is_plain);
        break;
    case IP_DELIVER:
        check_delivered(w, &d);
        if (is_plain)
            check_plain(&glance, &d);
        if (d.ip.proto == IPPROTO_UDP_)
            udp_recv(&w->udp, &d);
        break;
    case IP_ERROR:
        must(!is_plain);
        must(e.meaning != ICMP_MEANS_NOTHING && ip_local_find(&w->l, e.quote.ip.src) >= 0);
        if (e.meaning == ICMP_MEANS_REDIRECT)
            ip_redirect(&w->l, e.port, e.quote.ip.dst, e.via);
        break;
    }
    while (f.niov)
        free(f.iov[--f.niov].base);
    free(copy);
}

static void step_path(struct world *w, struct rd *in, uint8_t op)
{
    struct ip_send how = {.proto = IPPROTO_TCP_};
    uint8_t dst[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1}, out[IP_LINK_HDR_MAX + IP6_HDR_LEN];
    uint8_t v4[4] = {10, 0, rd_u8(in), rd_u8(in)};
    struct ip_path p;

    if (op & 4)
        ip_map4(dst, v4);
    else
        memcpy(dst + 14, v4 + 2, 2);
    if (op & 8)
        be16_put(dst, 0xfe80);
    if (ip_path_find(&w->l, dst, NULL, op & 16 ? TAP : -1, &p) < 0)
        return;
    if (ip_path_ready(&w->l, &p, dst) != IP_READY)
        return;
    must(ip_emit_len(&w->l, &p, dst) <= sizeof out);
    ip_emit(&w->l, &p, dst, &how, 0, out);
    must(p.port == TUN || ip_mac_ok(out));
}

static void step_pull(struct world *w, uint8_t op)
{
    uint8_t port = op & 4 ? TAP : TUN;
    struct estab_frame f;
    uint32_t i;

    for (i = 0; (op & 8 || i < 1) && ip_pull(&w->l, port, &f); i++)
        check_frame(w, port, &f);
}

static void step_time(struct world *w, struct rd *in, uint8_t op)
{
    estab_dur d = (estab_dur)rd_u8(in) * (op & 8 ? ESTAB_MS(500) : ESTAB_MS(5));

    if (op & 16 && ip_next(&w->l) != ESTAB_NEVER && ip_next(&w->l) > w->env.now)
        d = ip_next(&w->l) - w->env.now;
    w->env.now += d;
    must(ip_expire(&w->l) >= 0);
    must(ip_next(&w->l) > w->env.now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct world w;
    struct rd in = rd_of(data, len);
    uint8_t op;

    world_init(&w, rd_u8(&in) & 1);
    while (rd_left(&in) && !in.bad) {
        op = rd_u8(&in);
        ip_reap(&w.l);
        switch (op & 3) {
        case 0:
            step_frame(&w, &in, op);
            break;
        case 1:
            step_path(&w, &in, op);
            break;
        case 2:
            step_pull(&w, op);
            break;
        case 3:
            step_time(&w, &in, op);
            break;
        }
        check_world(&w);
    }
    udp_fini(&w.udp);
    ip_fini(&w.l);
    must(w.env.used == 0);
    return 0;
}

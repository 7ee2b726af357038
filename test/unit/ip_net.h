/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_net.h - an internet layer to talk to: a bare port 0 and an Ethernet port 1, packets to give it
 * and what it sends. */
#ifndef IP_NET_H
#define IP_NET_H

#include "ip/ip_int.h"
#include "lab/rules_seen.h"
#include "test_env.h"
#include "wire/arp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

/* <arpa/inet.h> would bring names that wire/ip.h has, too. */
extern int inet_pton(int af, const char *text, void *out);

enum { TUN, TAP }; /* the ports */

struct addr16 {
    uint8_t b[16];
};
static inline struct addr16 ip(const char *text)
{
    struct addr16 a;
    uint8_t v4[4];

    if (inet_pton(AF_INET, text, v4) == 1)
        ip_map4(a.b, v4);
    else
        assert_int_equal(inet_pton(AF_INET6, text, a.b), 1);
    return a;
}
struct mac {
    uint8_t b[6];
};
#define OUR_MAC  ((struct mac){{0x02, 0, 0, 0, 0, 0x01}})
#define ALL_MAC  ((struct mac){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}})
#define MAC_N(n) ((struct mac){{0x02, 0x11, 0, 0, (uint8_t)((n) >> 8), (uint8_t)(n)}})

struct net {
    struct test_env te;
    struct env env;
    struct rule_book rules;
    struct ip_layer l;
    struct ip_dgram d; /* what the last frame was */
    struct ip_error e;
    struct estab_frame frame;
    struct estab_trace traced; /* the last trace record */
    uint32_t ntraced;
    uint32_t nplain;    /* frames that ip_plain_in() took */
    uint8_t out[70000]; /* the last frame pulled */
    size_t out_len;
};
struct packet {
    uint8_t b[70000];
    size_t len;
};

static inline void net_trace(void *ctx, const struct estab_trace *t)
{
    struct net *n = (struct net *)ctx;

    n->traced = *t;
    n->ntraced++;
}

static inline void net_empty(struct net *n)
{
    memset(n, 0, sizeof *n);
    n->te.now = n->env.now = ESTAB_S(100);
    n->te.rng = 7;
    n->te.on_trace = net_trace;
    n->te.trace_ctx = n;
    n->env.cb = test_env_make(&n->te);
    n->env.trace = n->env.cb.trace;
    n->env.trace_ctx = n->env.cb.ctx;
    assert_int_equal(ip_init(&n->l, &n->env, &n->rules, 64), 0);
}

static inline struct estab_port_caps tun_caps(void)
{
    return (struct estab_port_caps){.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
}
static inline struct estab_port_caps tap_caps(void)
{
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_ETHERNET, .mtu = 1500};

    memcpy(caps.mac, OUR_MAC.b, 6);
    return caps;
}

/* 10.0.0.1/24 and 2001:db8::1/64 on the bare port, 10.0.1.1/24 and 2001:db8:1::1/64 (and so a
 * link-local address) on the Ethernet port. */
static inline void net_plug(struct net *n)
{
    struct estab_port_caps tun = tun_caps(), tap = tap_caps();

    assert_int_equal(ip_port_add(&n->l, &tun), TUN);
    assert_int_equal(ip_port_add(&n->l, &tap), TAP);
    assert_int_equal(ip_addr_add(&n->l, TUN, ip("10.0.0.1").b, 120), 0);
    assert_int_equal(ip_addr_add(&n->l, TUN, ip("2001:db8::1").b, 64), 0);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip("10.0.1.1").b, 120), 0);
    assert_int_equal(ip_addr_add(&n->l, TAP, ip("2001:db8:1::1").b, 64), 0);
}

static inline int net_setup(void **state)
{
    struct net *n = (struct net *)malloc(sizeof *n);

    net_empty(n);
    net_plug(n);
    *state = n;
    return 0;
}

static inline void frame_free(struct estab_frame *f)
{
    uint32_t i;

    for (i = 0; i < f->niov; i++)
        free(f->iov[i].base);
    memset(f, 0, sizeof *f);
}

/* Nothing may be left behind: neither memory nor packets. */
static inline int net_teardown(void **state)
{
    struct net *n = (struct net *)*state;

    frame_free(&n->frame);
    ip_fini(&n->l);
    rules_seen(&n->rules);
    assert_int_equal(n->te.live, 0);
    assert_int_equal(n->env.used, 0);
    free(n);
    return 0;
}

/* ---- packets ---- */

static inline uint16_t csum_of(uint64_t sum, const void *p, size_t len)
{
    return (uint16_t)~csum_fold(csum_add(sum, p, len));
}

static inline void packet_ip(struct packet *k, const uint8_t src[16], const uint8_t dst[16],
                             uint8_t proto, uint8_t hop_limit, const void *payload, size_t len)
{
    struct ip_hdr h;

    memset(&h, 0, sizeof h);
    memcpy(h.src, src, 16);
    memcpy(h.dst, dst, 16);
    h.version = ip_is4(dst) ? 4 : 6;
    h.proto = proto;
    h.hop_limit = hop_limit;
    h.payload_len = (uint32_t)len;
    if (h.version == 4)
        ip4_emit(&h, k->b);
    else
        ip6_emit(&h, k->b);
    k->len = ip_hdr_len_of(dst);
    if (len)
        memcpy(k->b + k->len, payload, len);
    k->len += len;
}

/* Octets that look like a TCP header with text: the internet layer does not look inside. */
static inline void packet_tcp(struct packet *k, const char *src, const char *dst, size_t len)
{
    uint8_t tcp[2000];
    size_t i;

    for (i = 0; i < len; i++)
        tcp[i] = (uint8_t)(i * 7 + 1);
    packet_ip(k, ip(src).b, ip(dst).b, IPPROTO_TCP_, 64, tcp, len);
}

/* An ICMP or ICMPv6 message with its checksum. */
static inline void packet_icmp(struct packet *k, const uint8_t src[16], const uint8_t dst[16],
                               uint8_t hop_limit, void *msg, size_t len)
{
    uint8_t *m = (uint8_t *)msg;
    bool v4 = ip_is4(dst);
    uint16_t csum;

    m[2] = m[3] = 0;
    csum = csum_of(v4 ? 0 : ip_pseudo(src, dst, IPPROTO_ICMP6, (uint32_t)len), m, len);
    memcpy(m + 2, &csum, 2);
    packet_ip(k, src, dst, v4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6, hop_limit, m, len);
}

static inline void packet_echo(struct packet *k, const char *src, const char *dst, size_t data)
{
    static uint8_t msg[66000];
    struct icmp m = {.type = ip_is4(ip(dst).b) ? ICMP4_ECHO : ICMP6_ECHO, .rest = 0x12340001};
    size_t i;

    icmp_emit(&m, msg);
    for (i = 0; i < data; i++)
        msg[ICMP_HDR_LEN + i] = (uint8_t)(i ^ i >> 8);
    packet_icmp(k, ip(src).b, ip(dst).b, 64, msg, ICMP_HDR_LEN + data);
}

/* Puts an Ethernet header in front. */
static inline void packet_eth(struct packet *k, struct mac src, struct mac dst, uint16_t type)
{
    struct eth h = {.type = type};

    memcpy(h.dst, dst.b, 6);
    memcpy(h.src, src.b, 6);
    memmove(k->b + ETH_HDR_LEN, k->b, k->len);
    eth_emit(&h, k->b);
    k->len += ETH_HDR_LEN;
}

/* The same for a packet with an IP header. */
static inline void packet_link(struct packet *k, struct mac src, struct mac dst)
{
    packet_eth(k, src, dst, k->b[0] >> 4 == 4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
}

static inline void packet_arp(struct packet *k, uint16_t op, struct mac sha, const char *spa,
                              const char *tpa, struct mac dst)
{
    struct arp a;

    memset(&a, 0, sizeof a);
    a.op = op;
    memcpy(a.sha, sha.b, 6);
    memcpy(a.spa, ip(spa).b + 12, 4);
    memcpy(a.tpa, ip(tpa).b + 12, 4);
    arp_emit(&a, k->b);
    k->len = ARP_LEN;
    packet_eth(k, sha, dst, ETHERTYPE_ARP);
}

/* ---- give and take ---- */

static inline void assert_same_dgram(const struct ip_dgram *a, const struct ip_dgram *b)
{
    assert_memory_equal(a->ip.src, b->ip.src, 16);
    assert_memory_equal(a->ip.dst, b->ip.dst, 16);
    assert_int_equal(a->ip.version, b->ip.version);
    assert_int_equal(a->ip.proto, b->ip.proto);
    assert_int_equal(a->ip.hop_limit, b->ip.hop_limit);
    assert_int_equal(a->ip.tos, b->ip.tos);
    assert_int_equal(a->ip.id, b->ip.id);
    assert_int_equal(a->ip.frag_off, b->ip.frag_off);
    assert_int_equal(a->ip.more_frags, b->ip.more_frags);
    assert_int_equal(a->ip.dont_frag, b->ip.dont_frag);
    assert_int_equal(a->ip.has_frag, b->ip.has_frag);
    assert_int_equal(a->ip.frag_hdr, b->ip.frag_hdr);
    assert_int_equal(a->ip.flow, b->ip.flow);
    assert_int_equal(a->ip.hdr_len, b->ip.hdr_len);
    assert_int_equal(a->ip.payload_len, b->ip.payload_len);
    assert_int_equal(a->ip.problem_code, b->ip.problem_code);
    assert_int_equal(a->ip.problem_at, b->ip.problem_at);
    assert_ptr_equal(a->frame, b->frame);
    assert_int_equal(a->link_len, b->link_len);
    assert_int_equal(a->port, b->port);
    assert_int_equal(a->local, b->local);
    assert_int_equal(a->csum_ok, b->csum_ok);
    assert_int_equal(a->nsegs, b->nsegs);
    assert_int_equal(a->gso_size, b->gso_size);
    assert_ptr_equal(a->head, b->head);
    assert_int_equal(a->payload.n, b->payload.n);
    assert_int_equal(a->payload.len, b->payload.len);
    for (uint32_t i = 0; i < a->payload.n; i++) {
        assert_ptr_equal(a->payload.v[i].base, b->payload.v[i].base);
        assert_int_equal(a->payload.v[i].len, b->payload.v[i].len);
    }
    assert_int_equal(a->route.n, b->route.n);
}

/* ip_recv(); what ip_plain_in() takes, it must have delivered, as the same datagram. */
static inline enum ip_verdict recv_frame(struct net *n, uint8_t port, const struct estab_frame *f)
{
    struct ip_tcp plain, whole;
    struct ip_dgram d;
    bool is_plain = ip_plain_in(&n->l, port, f, &plain);
    enum ip_verdict v;

    if (is_plain)
        ip_plain_whole(&n->l, &plain, &d);
    v = ip_recv(&n->l, port, f, &n->d, &n->e);
    if (!is_plain)
        return v;
    n->nplain++;
    assert_int_equal(v, IP_DELIVER);
    assert_same_dgram(&d, &n->d);
    ip_tcp_of(&n->d, &whole);
    assert_memory_equal(plain.src, whole.src, 16);
    assert_ptr_equal(plain.head, whole.head);
    assert_int_equal(plain.payload.len, whole.payload.len);
    assert_int_equal(plain.addr_sum, whole.addr_sum);
    assert_int_equal(plain.local, whole.local);
    assert_int_equal(plain.gso_size, whole.gso_size);
    assert_int_equal(plain.port, whole.port);
    assert_int_equal(plain.tos, whole.tos);
    assert_int_equal(plain.csum_ok, whole.csum_ok);
    return v;
}

/* Gives a packet in pieces that end at the cuts (0: no more).  Each piece is an allocation of its
 * own, of exactly its length, so that a read beyond it is found. */
static inline enum ip_verdict give_cut(struct net *n, uint8_t port, const struct packet *k,
                                       size_t cut1, size_t cut2, size_t cut3)
{
    size_t cuts[4] = {cut1, cut2, cut3, 0}, at = 0, end, i;
    struct estab_frame *f = &n->frame;
    struct estab_offload off = f->off;

    frame_free(f);
    f->off = off;
    for (i = 0; i < 4; i++) {
        end = cuts[i] && cuts[i] < k->len ? cuts[i] : k->len;
        f->iov[i].base = malloc(end - at ? end - at : 1);
        memcpy(f->iov[i].base, k->b + at, end - at);
        f->iov[i].len = end - at;
        f->niov++;
        at = end;
        if (end == k->len)
            break;
    }
    return recv_frame(n, port, f);
}
static inline enum ip_verdict give(struct net *n, uint8_t port, const struct packet *k)
{
    return give_cut(n, port, k, 0, 0, 0);
}

/* The next frame that the layer sends, into n->out. */
static inline bool take(struct net *n, uint8_t port)
{
    struct estab_frame f;
    uint32_t i;

    assert_int_equal(ip_has_output(&n->l, port), n->l.ports[port].nqueued > 0);
    if (!ip_pull(&n->l, port, &f))
        return false;
    n->out_len = 0;
    for (i = 0; i < f.niov; i++) {
        memcpy(n->out + n->out_len, f.iov[i].base, f.iov[i].len);
        n->out_len += f.iov[i].len;
    }
    ip_reap(&n->l);
    return true;
}
static inline uint32_t take_all(struct net *n, uint8_t port)
{
    uint32_t count = 0;

    while (take(n, port))
        count++;
    return count;
}

/* Time passes; every deadline on the way is kept. */
static inline void pass(struct net *n, estab_dur d)
{
    estab_time end = n->env.now + d;

    while (ip_next(&n->l) <= end) {
        if (n->env.now < ip_next(&n->l))
            n->env.now = ip_next(&n->l);
        ip_expire(&n->l);
    }
    n->env.now = n->te.now = end;
}

/* ---- looking at what was sent ---- */

static inline struct ip_hdr out_ip(const struct net *n, uint8_t port)
{
    size_t off = port == TAP ? ETH_HDR_LEN : 0;
    struct ip_hdr h;

    memset(&h, 0, sizeof h);
    if (n->out[off] >> 4 == 4)
        assert_int_equal(ip4_parse(&h, n->out + off, n->out_len - off, n->out_len - off, false),
                         RULE_NONE);
    else
        assert_int_equal(ip6_parse(&h, n->out + off, n->out_len - off, n->out_len - off),
                         RULE_NONE);
    assert_int_equal(h.hdr_len + h.payload_len, n->out_len - off);
    return h;
}
/* The ICMP message in it, its checksum verified. */
static inline const uint8_t *out_icmp(const struct net *n, uint8_t port, struct icmp *m)
{
    struct ip_hdr h = out_ip(n, port);
    const uint8_t *p = n->out + n->out_len - h.payload_len;
    struct rd r = rd_of(p, h.payload_len);
    uint64_t sum = h.version == 4 ? 0 : ip_pseudo(h.src, h.dst, IPPROTO_ICMP6, h.payload_len);

    assert_int_equal(h.proto, h.version == 4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6);
    assert_int_equal(csum_fold(csum_add(sum, p, h.payload_len)), 0xffff);
    assert_int_equal(icmp_parse(m, &r), RULE_NONE);
    return p + ICMP_HDR_LEN;
}
static inline struct arp out_arp(const struct net *n)
{
    struct arp a;
    struct rd r = rd_of(n->out + ETH_HDR_LEN, n->out_len - ETH_HDR_LEN);

    assert_int_equal(be16_at(n->out + 12), ETHERTYPE_ARP);
    assert_int_equal(arp_parse(&a, &r), RULE_NONE);
    return a;
}
static inline struct nd out_nd(const struct net *n, uint8_t type)
{
    struct ip_hdr h = out_ip(n, TAP);
    struct icmp m;
    struct rd r;
    struct nd nd;

    r = rd_of(out_icmp(n, TAP, &m), h.payload_len - ICMP_HDR_LEN);
    assert_int_equal(h.hop_limit, 255);
    assert_int_equal(m.type, type);
    assert_int_equal(nd_parse(&nd, &m, &r), RULE_NONE);
    return nd;
}

#define assert_rule(n, r, count) assert_int_equal((n)->rules.n[r], count)
#define assert_addr(a, text)     assert_memory_equal(a, ip(text).b, 16)

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* peer.h - one stack and the peer of one connection, played by hand: tests that read like the
 * exchange of packets they are about.
 *
 *      sends(p, SEG(.flags = SYN, .mss = 1000));
 *      gets(p, SEG(.flags = SYN | ACK, .ack = 1));
 *      sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
 *
 * Numbers are relative: seq of what the peer sends and ack of what it gets count from the peer's
 * initial sequence number, the others from the stack's.  What a SEG() does not name: to send, an
 * open window and text of `len` octets of a pattern; to get, anything but text.
 *
 * Time is virtual: waits() lets it pass, every deadline on the way is kept, and what the stack
 * sends meanwhile is kept too, with the time at which it left, until gets() asks for it. */
#ifndef TEST_UNIT_PEER_H
#define TEST_UNIT_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

#include "base/csum.h"
#include "lab/edges.h"
#include "stack/stack.h"
#include "wire/icmp.h"

enum { FIN = SEG_FIN, SYN = SEG_SYN, RST = SEG_RST, PSH = SEG_PSH, ACK = SEG_ACK, URG = SEG_URG };

#define PEER_FRAME 9100
#define PEER_QUEUE 512

struct pkt {
    uint8_t flags;
    uint32_t seq, ack;
    uint32_t len;     /* of the text; of `text` if that is given and len is 0 */
    const char *text; /* NULL: octets of the pattern, by their number */
    uint16_t wnd;     /* 0: the peer's usual one */
    bool shut;        /* a window of 0 */
    uint16_t up;
    uint16_t mss;     /* 0: no option */
    uint8_t ws;       /* 1 + shift; 0: no option */
    bool sack_ok, ts; /* ts: with a timestamp (a peer with p->ts has one in every segment) */
    bool no_ts;       /* without one all the same */
    uint32_t ts_val;  /* 0: the peer's clock */
    uint32_t ts_ecr;  /* 0: what the stack said last */
    uint16_t uto;     /* as on the wire; 0: no option */
    uint8_t nsack;
    struct range sack[4]; /* relative to whom the blocks are for */
    uint16_t sport, dport;
    /* of what was got */
    estab_time at;
    const uint8_t *octets; /* of the text */
    uint32_t size;         /* of the IP packet */
};
#define SEG(...) (&(const struct pkt){__VA_ARGS__})

struct peer {
    struct estab_virtual v; /* first: it is what the callbacks of env get */
    struct estab_env env;
    struct estab_config cfg;
    struct estab_port_caps caps;
    bool ip6;
    estab_stack *s;
    struct estab_addr us, them;
    uint32_t iss, isn; /* initial numbers: the stack's, the peer's */
    uint16_t wnd;      /* what the peer announces unless told otherwise */
    bool ts;           /* timestamps have been agreed on */
    uint32_t ts_val, ts_ecr;
    estab_sock listener, k;
    struct pkt q[PEER_QUEUE]; /* what the stack has sent and nobody asked for */
    uint8_t frame[PEER_QUEUE][PEER_FRAME];
    uint32_t head, tail;
    struct edges edges;
    struct estab_trace last_edge;
};

/* ---- what has happened ---- */

static inline void peer_trace(void *ctx, const struct estab_trace *t)
{
    struct peer *p = ctx;

    assert_true(edges_count(&p->edges, t));
    if (t->kind == ESTAB_TR_STATE)
        p->last_edge = *t;
}

static inline uint64_t counted(const struct peer *p, enum rule r)
{
    return estab_rule_count(p->s, r);
}

static inline struct estab_tcp_info info_of(const struct peer *p)
{
    struct estab_tcp_info i = {.size = sizeof i};

    assert_int_equal(estab_tcp_info(p->s, p->k, &i), 0);
    return i;
}

static inline struct estab_stack_info stack_of(const struct peer *p)
{
    struct estab_stack_info i = {.size = sizeof i};

    estab_stack_info(p->s, &i);
    return i;
}

/* The state of the connection with the peer, whatever holds it; CLOSED: nothing does. */
static inline enum estab_tcp_state state_of(const struct peer *p)
{
    uint64_t cursor = 0;
    estab_sock k;

    while (estab_conn_next(p->s, &cursor, &k)) {
        struct estab_tcp_info i = {.size = sizeof i};

        assert_int_equal(estab_tcp_info(p->s, k, &i), 0);
        if (i.peer.port == p->them.port && i.state != ESTAB_CLOSED)
            return i.state;
    }
    return ESTAB_CLOSED;
}

#define assert_state(p, st)                                                                        \
    assert_string_equal(estab_state_name(state_of(p)), estab_state_name(ESTAB_##st))

/* ---- frames ---- */

static inline uint8_t peer_octet(uint32_t number)
{
    return (uint8_t)(number * 7 ^ number >> 8);
}

static inline uint32_t pkt_len(const struct pkt *k)
{
    return k->text && !k->len ? (uint32_t)strlen(k->text) : k->len;
}

/* IP header in front of len octets at out + 60, checksum of the transport at csum_off; returns
 * where the packet begins. */
static inline uint8_t *peer_packet(struct peer *p, uint8_t proto, uint8_t *payload, uint32_t len,
                                   uint32_t csum_off)
{
    struct ip_hdr h = {.version = p->ip6 ? 6 : 4, .proto = proto, .hop_limit = 64};
    bool pseudo = proto != IPPROTO_ICMP4;
    uint8_t *ip;
    uint16_t sum;

    memcpy(h.src, p->them.ip, 16);
    memcpy(h.dst, p->us.ip, 16);
    h.payload_len = len;
    ip = payload - ip_hdr_len_of(h.dst);
    if (p->ip6)
        ip6_emit(&h, ip);
    else
        ip4_emit(&h, ip);
    memset(payload + csum_off, 0, 2);
    sum = (uint16_t)~csum_fold(
        csum_add(pseudo ? ip_pseudo(h.src, h.dst, proto, len) : 0, payload, len));
    memcpy(payload + csum_off, &sum, 2);
    return ip;
}

static inline void peer_options(struct peer *p, const struct pkt *k, struct tcp_opts *o)
{
    if (k->mss) {
        o->has |= OPT_MSS;
        o->mss = k->mss;
    }
    if (k->ws) {
        o->has |= OPT_WS;
        o->ws = (uint8_t)(k->ws - 1);
    }
    if (k->sack_ok)
        o->has |= OPT_SACK_OK;
    if ((p->ts || k->ts) && !k->no_ts) {
        o->has |= OPT_TS;
        o->ts_val = k->ts_val ? k->ts_val : p->ts_val;
        o->ts_ecr = k->ts_ecr ? k->ts_ecr : p->ts_ecr;
    }
    if (k->uto)
        o->has |= OPT_UTO;
    o->uto = k->uto;
    if (k->nsack)
        o->has |= OPT_SACK;
    o->nsack = k->nsack;
    for (uint8_t i = 0; i < k->nsack; i++) {
        o->sack[i].lo = seq_add(k->sack[i].lo, p->iss);
        o->sack[i].hi = seq_add(k->sack[i].hi, p->iss);
    }
}

/* The segment as an IP packet in buf; returns its length. */
static inline uint32_t peer_build(struct peer *p, const struct pkt *k, uint8_t buf[PEER_FRAME],
                                  uint8_t **packet)
{
    struct seg g = {.flags = k->flags, .up = k->up};
    uint8_t kinds[TCP_KINDS_MAX], *tcp = buf + IP6_HDR_LEN;
    uint32_t len = pkt_len(k), opts_len;

    g.sport = k->sport ? k->sport : p->them.port;
    g.dport = k->dport ? k->dport : p->us.port;
    g.seq = seq_of(p->isn + k->seq);
    g.ack = seq_of(k->flags & ACK ? p->iss + k->ack : 0);
    g.wnd = k->shut ? 0 : k->wnd ? k->wnd : p->wnd;
    peer_options(p, k, &g.opt);
    tcp_opt_layout(ESTAB_OPTIONS_SACK_TS_WS, &g.opt, kinds);
    opts_len = (uint32_t)tcp_opts_emit(&g.opt, kinds, tcp + TCP_HDR_LEN);
    tcp_hdr_emit(&g, opts_len, tcp);
    assert_true(IP6_HDR_LEN + TCP_HDR_LEN + opts_len + len <= PEER_FRAME);
    for (uint32_t i = 0; i < len; i++)
        tcp[TCP_HDR_LEN + opts_len + i] =
            k->text ? (uint8_t)k->text[i] : peer_octet(k->seq + i + ((k->flags & SYN) != 0));
    len += TCP_HDR_LEN + opts_len;
    *packet = peer_packet(p, IPPROTO_TCP_, tcp, len, 16);
    return len + (uint32_t)(tcp - *packet);
}

static inline void peer_parse_options(struct peer *p, const struct seg *g, struct pkt *k)
{
    const struct tcp_opts *o = &g->opt;

    k->mss = o->has & OPT_MSS ? o->mss : 0;
    k->ws = o->has & OPT_WS ? (uint8_t)(o->ws + 1) : 0;
    k->sack_ok = (o->has & OPT_SACK_OK) != 0;
    k->ts = (o->has & OPT_TS) != 0;
    k->ts_val = o->ts_val;
    k->ts_ecr = o->ts_ecr;
    k->uto = o->has & OPT_UTO ? o->uto : 0;
    if (k->ts)
        p->ts_ecr = o->ts_val;
    k->nsack = o->has & OPT_SACK ? o->nsack : 0;
    for (uint8_t i = 0; i < k->nsack; i++) {
        k->sack[i].lo = seq_sub(o->sack[i].lo, p->isn);
        k->sack[i].hi = seq_sub(o->sack[i].hi, p->isn);
    }
}

/* [MUST-2] */
static inline void peer_parse(struct peer *p, const struct estab_frame *f)
{
    uint8_t *octets = p->frame[p->tail % PEER_QUEUE];
    struct pkt *k = &p->q[p->tail++ % PEER_QUEUE];
    struct ip_hdr h;
    struct seg g;
    struct pieces all = {.n = 1};
    uint64_t sum;

    assert_true(p->tail - p->head <= PEER_QUEUE);
    *k = (struct pkt){.at = p->v.now, .size = (uint32_t)estab_frame_len(f)};
    assert_true(k->size <= p->caps.mtu);
    estab_frame_copy(octets, f);
    if (p->ip6)
        assert_int_equal(ip6_parse(&h, octets, k->size, k->size), RULE_NONE);
    else
        assert_int_equal(ip4_parse(&h, octets, k->size, k->size, false), RULE_NONE);
    if (h.proto != IPPROTO_TCP_) {
        p->tail--;
        return;
    }
    all.len = h.payload_len;
    all.v[0] = (struct estab_iov){octets + h.hdr_len, all.len};
    sum = ip_pseudo(h.src, h.dst, IPPROTO_TCP_, all.len);
    assert_int_equal(csum_fold(csum_pieces(sum, &all)), 0xffff);
    assert_int_equal(tcp_parse(&g, all.v[0].base, all.len, &all), RULE_NONE);
    if (g.flags & SYN)
        p->iss = g.seq.n;
    k->flags = g.flags;
    k->seq = g.seq.n - p->iss;
    k->ack = g.flags & ACK ? g.ack.n - p->isn : g.ack.n;
    k->wnd = (uint16_t)g.wnd;
    k->up = g.up;
    k->sport = g.sport;
    k->dport = g.dport;
    k->len = g.text.len;
    k->octets = g.text.n ? g.text.v[0].base : octets;
    peer_parse_options(p, &g, k);
}

/* Takes what the stack has to send now. */
static inline void peer_collect(struct peer *p)
{
    struct estab_frame f[8];
    int n;

    while ((n = estab_output(p->s, 0, f, 8)) > 0)
        for (int i = 0; i < n; i++)
            peer_parse(p, &f[i]);
}

/* ---- the exchange ---- */

/* Several segments that the stack finds at once. */
static inline void sends_all(struct peer *p, const struct pkt *const *k, size_t n)
{
    static uint8_t buf[16][PEER_FRAME];
    struct estab_frame f[16];
    uint8_t *packet;

    assert_true(n <= 16);
    for (size_t i = 0; i < n; i++) {
        uint32_t len = peer_build(p, k[i], buf[i], &packet);

        f[i] = (struct estab_frame){.iov = {{packet, len}}, .niov = 1};
    }
    assert_int_equal(estab_input(p->s, 0, f, n), 0);
    peer_collect(p);
}
static inline void sends(struct peer *p, const struct pkt *k)
{
    sends_all(p, &k, 1);
}

static inline bool has_got(struct peer *p)
{
    peer_collect(p);
    return p->head != p->tail;
}

/* Flags as letters, in a buffer of one's own. */
static inline const char *peer_flags(uint8_t flags, char buf[9])
{
    static const char letters[] = "FSRPAUEC";
    size_t n = 0;

    for (size_t i = 0; i < 8; i++)
        if (flags & 1u << i)
            buf[n++] = letters[i];
    buf[n] = 0;
    return buf;
}

/* The next segment that the stack has sent, whatever it is. */
static inline const struct pkt *got(struct peer *p)
{
    if (!has_got(p))
        fail_msg("nothing was sent");
    return &p->q[p->head++ % PEER_QUEUE];
}

#define gets(p, k) gets_at(p, k, __FILE__, __LINE__)
static inline const struct pkt *gets_at(struct peer *p, const struct pkt *want, const char *file,
                                        int line)
{
    const struct pkt *k;
    uint8_t mask = want->flags & PSH ? 0xff : (uint8_t)~PSH;
    char is[9], should[9];

    if (!has_got(p)) {
        print_error("%s:%d: nothing was sent\n", file, line);
        fail();
    }
    k = got(p);
    if ((k->flags & mask) != want->flags || k->seq != want->seq ||
        (k->flags & ACK && k->ack != want->ack) || k->len != pkt_len(want)) {
        print_error("%s:%d: %s seq %u ack %u len %u was sent, not %s seq %u ack %u len %u\n", file,
                    line, peer_flags(k->flags, is), k->seq, k->ack, k->len,
                    peer_flags(want->flags, should), want->seq, want->ack, pkt_len(want));
        fail();
    }
    if (want->text)
        assert_memory_equal(k->octets, want->text, k->len);
    if (want->wnd || want->shut)
        assert_int_equal(k->wnd, want->wnd);
    return k;
}

#define gets_nothing(p)                                                                            \
    do {                                                                                           \
        if (has_got(p)) {                                                                          \
            char flags[9];                                                                         \
            const struct pkt *k_ = got(p);                                                         \
            fail_msg("%s seq %u ack %u len %u was sent", peer_flags(k_->flags, flags), k_->seq,    \
                     k_->ack, k_->len);                                                            \
        }                                                                                          \
    } while (0)

static inline void ignores_all(struct peer *p)
{
    peer_collect(p);
    p->head = p->tail;
}

/* Lets time pass; deadlines are kept one by one. */
static inline void waits(struct peer *p, estab_dur d)
{
    estab_time until = p->v.now + d, next;

    peer_collect(p);
    while ((next = estab_deadline(p->s)) <= until) {
        if (next > p->v.now)
            p->v.now = next;
        (void)estab_expire(p->s);
        peer_collect(p);
    }
    p->ts_val += (uint32_t)((until - p->v.now) / 1000000u);
    p->v.now = until;
}

/* An ICMP error from the peer, about a segment of the stack's with the (relative) number seq, in a
 * packet of size octets. */
static inline void icmp_arrives_about(struct peer *p, uint8_t type, uint8_t code, uint32_t rest,
                                      uint32_t seq, uint32_t size)
{
    uint8_t buf[200] = {0}, *msg = buf + 60, *quote = msg + ICMP_HDR_LEN, *packet;
    struct ip_hdr h = {.version = p->ip6 ? 6 : 4, .proto = IPPROTO_TCP_, .hop_limit = 60};
    struct seg g = {.sport = p->us.port, .dport = p->them.port, .seq = seq_of(p->iss + seq)};
    struct icmp m = {type, code, rest};
    uint32_t len;
    struct estab_frame f;

    memcpy(h.src, p->us.ip, 16);
    memcpy(h.dst, p->them.ip, 16);
    h.payload_len = size - ip_hdr_len_of(h.dst);
    if (p->ip6)
        ip6_emit(&h, quote);
    else
        ip4_emit(&h, quote);
    tcp_hdr_emit(&g, 0, quote + ip_hdr_len_of(h.dst));
    icmp_emit(&m, msg);
    len = ICMP_HDR_LEN + ip_hdr_len_of(h.dst) + 8;
    packet = peer_packet(p, p->ip6 ? IPPROTO_ICMP6 : IPPROTO_ICMP4, msg, len, 2);
    f = (struct estab_frame){.iov = {{packet, len + (uint32_t)(msg - packet)}}, .niov = 1};
    assert_int_equal(estab_input(p->s, 0, &f, 1), 0);
    peer_collect(p);
}

static inline void icmp_arrives(struct peer *p, uint8_t type, uint8_t code, uint32_t rest,
                                uint32_t seq)
{
    icmp_arrives_about(p, type, code, rest, seq, p->caps.mtu);
}

/* ---- the user ---- */

static inline ptrdiff_t user_sends_with(struct peer *p, const void *text, size_t len,
                                        uint32_t flags)
{
    struct estab_iov v = {(void *)(uintptr_t)text, len};

    return estab_send(p->s, p->k, &v, 1, flags);
}

/* The next len octets of the pattern; number: of the first. */
static inline void user_sends(struct peer *p, uint32_t number, uint32_t len)
{
    uint8_t *buf = malloc(len + 1);

    for (uint32_t i = 0; i < len; i++)
        buf[i] = peer_octet(number + i);
    assert_int_equal(user_sends_with(p, buf, len, 0), len);
    free(buf);
    peer_collect(p);
}

static inline ptrdiff_t user_reads(struct peer *p, void *buf, size_t len)
{
    struct estab_iov v = {buf, len};
    ptrdiff_t n = estab_recv(p->s, p->k, &v, 1, 0);

    peer_collect(p);
    return n;
}

/* Reads len octets, which are the pattern's from `number` on. */
static inline void user_hears(struct peer *p, uint32_t number, uint32_t len)
{
    uint8_t *buf = malloc(len + 1);

    assert_int_equal(user_reads(p, buf, len), len);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(buf[i], peer_octet(number + i));
    free(buf);
}

static inline void user_shuts(struct peer *p)
{
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_WR), 0);
    peer_collect(p);
}

static inline void user_closes(struct peer *p)
{
    assert_int_equal(estab_close(p->s, p->k), 0);
    peer_collect(p);
}

static inline void user_aborts(struct peer *p)
{
    assert_int_equal(estab_abort(p->s, p->k), 0);
    peer_collect(p);
}

/* The pending error, which asking clears. */
static inline int user_error(struct peer *p)
{
    uint64_t v = 0;

    assert_int_equal(estab_getopt(p->s, p->k, ESTAB_O_ERROR, &v), 0);
    return -(int)v;
}

static inline void user_sets(struct peer *p, enum estab_opt o, uint64_t v)
{
    assert_int_equal(estab_setopt(p->s, p->k, o, v), 0);
    peer_collect(p);
}

static inline bool is_ready(const struct peer *p, uint32_t ev)
{
    return (estab_ready(p->s, p->k) & ev) == ev;
}

/* What has become so since the last time. */
static inline uint32_t told(struct peer *p)
{
    struct estab_event ev;
    uint32_t mask = 0;

    while (estab_events(p->s, &ev, 1) == 1)
        mask |= ev.mask;
    return mask;
}

/* ---- opening, and a way into each state ---- */

static inline void user_listens(struct peer *p, uint32_t backlog)
{
    struct estab_addr at = p->us;

    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->listener), 0);
    assert_int_equal(estab_setopt(p->s, p->listener, ESTAB_O_REUSEADDR, 1), 0);
    assert_int_equal(estab_bind(p->s, p->listener, &at), 0);
    assert_int_equal(estab_listen(p->s, p->listener, backlog), 0);
}

static inline void user_accepts(struct peer *p)
{
    assert_int_equal(estab_accept(p->s, p->listener, &p->k, NULL), 0);
}

/* With options as in `syn`: its flags and numbers are filled in. */
static inline void peer_connects_with(struct peer *p, const struct pkt *options)
{
    struct pkt syn = *options;

    if (!p->listener)
        user_listens(p, 16);
    syn.flags = SYN;
    sends(p, &syn);
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    p->ts = syn.ts && p->cfg.timestamps;
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_accepts(p);
    gets_nothing(p);
    assert_state(p, ESTABLISHED);
}
static inline void peer_connects(struct peer *p)
{
    peer_connects_with(p, SEG(.mss = 1000));
}

/* A socket at our address, for options that must be set before it connects. */
static inline void user_opens(struct peer *p)
{
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_setopt(p->s, p->k, ESTAB_O_REUSEADDR, 1), 0);
    assert_int_equal(estab_bind(p->s, p->k, &p->us), 0);
}

static inline void user_connects(struct peer *p)
{
    if (!p->k)
        user_opens(p);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INPROGRESS);
}

static inline void user_connects_with(struct peer *p, const struct pkt *options)
{
    struct pkt syn = *options;

    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    syn.flags = SYN | ACK;
    syn.ack = 1;
    sends(p, &syn);
    p->ts = syn.ts && p->cfg.timestamps;
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
}

/* A connection of p->k in state st, opened by the user; nothing is outstanding but a FIN that the
 * state says is. */
static inline void bring_to(struct peer *p, enum estab_tcp_state st)
{
    switch (st) {
    case ESTAB_LISTEN:
        user_listens(p, 16);
        p->k = p->listener;
        return;
    case ESTAB_SYN_SENT:
        user_connects(p);
        (void)gets(p, SEG(.flags = SYN));
        break;
    case ESTAB_SYN_RECEIVED: /* both sides open */
        bring_to(p, ESTAB_SYN_SENT);
        sends(p, SEG(.flags = SYN, .mss = 1000));
        (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
        break;
    case ESTAB_ESTABLISHED:
        user_connects_with(p, SEG(.mss = 1000));
        break;
    case ESTAB_FIN_WAIT_1:
        bring_to(p, ESTAB_ESTABLISHED);
        user_shuts(p);
        (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
        break;
    case ESTAB_FIN_WAIT_2:
        bring_to(p, ESTAB_FIN_WAIT_1);
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
        break;
    case ESTAB_CLOSE_WAIT:
        bring_to(p, ESTAB_ESTABLISHED);
        sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
        (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 2));
        break;
    case ESTAB_CLOSING:
        bring_to(p, ESTAB_FIN_WAIT_1);
        sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
        (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
        break;
    case ESTAB_LAST_ACK:
        bring_to(p, ESTAB_CLOSE_WAIT);
        user_shuts(p);
        (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
        break;
    case ESTAB_TIME_WAIT:
        bring_to(p, ESTAB_FIN_WAIT_2);
        sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
        (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
        break;
    case ESTAB_CLOSED:
    case ESTAB_TCP_STATES:
        fail_msg("not a state to bring a connection to");
    }
    assert_int_equal(state_of(p), st);
    gets_nothing(p);
}

/* ---- the test's beginning and end ---- */

static inline void peer_addresses(struct peer *p)
{
    assert_int_equal(estab_addr_parse(&p->us, p->ip6 ? "[fd00::1]:80" : "10.0.0.1:80", NULL), 0);
    assert_int_equal(estab_addr_parse(&p->them, p->ip6 ? "[fd00::2]:5000" : "10.0.0.2:5000", NULL),
                     0);
}

/* A stack with p->cfg, p->caps, p->ip6 as they are now. */
static inline void peer_starts(struct peer *p)
{
    estab_time now = p->v.now;

    estab_virtual_env(&p->env, &p->v, 1);
    p->env.trace = peer_trace;
    p->v.now = now;
    peer_addresses(p);
    p->ts = false;
    p->listener = p->k = 0;
    p->head = p->tail = 0;
    assert_int_equal(estab_stack_new(&p->s, &p->env, &p->cfg), 0);
    assert_int_equal(estab_port_add(p->s, &p->caps), 0);
    assert_int_equal(estab_addr_add(p->s, 0, p->us.ip, p->ip6 ? 64 : 120), 0);
}

/* Nothing may be left behind. */
static inline void peer_stops(struct peer *p)
{
    estab_stack_free(p->s);
    p->s = NULL;
    assert_int_equal(p->v.live, 0);
}

static inline void peer_restarts(struct peer *p)
{
    peer_stops(p);
    peer_starts(p);
}

/* The stack's initial number grows with time (RFC 6528): the test begins when it is this one. */
static inline void peer_waits_for_number(struct peer *p, uint32_t iss)
{
    user_connects(p);
    (void)gets(p, SEG(.flags = SYN));
    p->v.now += ESTAB_US((estab_dur)(iss - p->iss) * 4);
    p->iss = 0;
    peer_restarts(p);
}

static inline int peer_setup(void **state)
{
    struct peer *p = calloc(1, sizeof *p);

    p->v.now = ESTAB_S(1000);
    p->caps = (struct estab_port_caps){.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    estab_config_init(&p->cfg);
    memcpy(p->cfg.cc, "newreno", 8); /* figures are RFC 5681's, unless a test says otherwise */
    p->isn = 0xfffffe00;             /* numbers wrap early in every test, in both directions */
    p->wnd = 65535;
    p->ts_val = 1000;
    peer_starts(p);
    peer_waits_for_number(p, 0xffffff00);
    memset(&p->edges, 0, sizeof p->edges);
    *state = p;
    return 0;
}

static inline int peer_teardown(void **state)
{
    struct peer *p = *state;

    peer_stops(p);
    free(p);
    return 0;
}

#define PEER_TEST(f) cmocka_unit_test_setup_teardown(f, peer_setup, peer_teardown)

#endif

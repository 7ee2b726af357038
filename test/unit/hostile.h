/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile.h - a stack as an attacker sees it: frames in, frames out, and nothing else.
 *
 * A host has a bare port and an Ethernet port, a listener on port 80, and one witness: a connection
 * that nothing hostile may touch.  hostile() gives it a frame and asserts what holds for all of
 * them: one counter under its own name, no state changed, no memory taken, at most one frame in
 * answer.  A peer is the far end of one connection, played by hand. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "ip_net.h"
#include "stack/stack.h"

#define LISTEN_PORT 80
#define ANSWERS_MAX 256
#define PEER_MAC    MAC_N(2)

struct answer { /* a frame of the stack's */
    uint8_t b[2048];
    size_t len;
    int port;
    struct ip_hdr ip;
    struct seg g; /* TCP only; its text points into b */
};
struct host {
    struct test_env te;
    estab_stack *s;
    estab_sock listener;
    struct rule_book mark; /* counters when last marked */
    struct answer answers[ANSWERS_MAX];
    uint32_t nanswers; /* of the last drain; may exceed ANSWERS_MAX */
    struct peer *witness;
};
/* The far end of a connection.  seq and ack are what an honest next segment would carry. */
struct peer {
    struct host *h;
    struct addr16 ip, host_ip;
    int port;
    uint16_t pport, lport;
    uint32_t seq, ack;
    uint32_t iss, irs;
    uint32_t una; /* the stack's SND.UNA */
    estab_sock k;
    bool ts;
    uint32_t ts_val, ts_ecr;
};
struct sg { /* a segment to forge; everything as on the wire */
    uint8_t flags, reserved;
    uint32_t seq, ack;
    uint16_t wnd, up;
    const void *text;
    size_t len;
    const uint8_t *opts; /* opts_len octets, a multiple of 4 */
    size_t opts_len;
    uint8_t offset; /* the data offset to claim, in words; 0: the true one */
};

static inline void mark(struct host *h)
{
    h->mark = h->s->rules;
}
static inline uint64_t counted(const struct host *h, enum rule r)
{
    return h->s->rules.n[r] - h->mark.n[r];
}
/* Since the mark, r was counted n times and no other rule was. */
static inline void assert_only(const struct host *h, enum rule r, uint64_t n)
{
    for (unsigned i = RULE_NONE + 1; i < RULE_COUNT; i++)
        if (counted(h, (enum rule)i) != (i == (unsigned)r ? n : 0))
            fail_msg("%s counted %u times, expected %s", estab_rule_name(i),
                     (unsigned)counted(h, (enum rule)i), estab_rule_name(r));
}

/* ---- frames in, frames out ---- */

static inline struct estab_frame frame_of(struct host *h, const struct packet *k)
{
    uint32_t pieces = 1 + test_rand_below(&h->te, 2 * ESTAB_IOVS) / ESTAB_IOVS *
                              test_rand_below(&h->te, ESTAB_IOVS);
    struct estab_frame f = {0};
    size_t at = 0;

    for (uint32_t i = 0; i < pieces; i++) {
        size_t n = k->len - at;

        if (i + 1 < pieces)
            n = test_rand_below(&h->te, (uint32_t)(n < 80 ? n : 80) + 1);
        f.iov[f.niov].base = malloc(n ? n : 1);
        memcpy(f.iov[f.niov].base, k->b + at, n);
        f.iov[f.niov++].len = n;
        at += n;
    }
    return f;
}

static inline void parse_answer(struct answer *a)
{
    size_t off = a->port == TAP ? ETH_HDR_LEN : 0;
    struct pieces all = {.n = 1};
    uint64_t sum;

    memset(&a->ip, 0, sizeof a->ip);
    memset(&a->g, 0, sizeof a->g);
    if (a->port == TAP && be16_at(a->b + 12) == ETHERTYPE_ARP)
        return;
    if (a->b[off] >> 4 == 4)
        assert_int_equal(ip4_parse(&a->ip, a->b + off, a->len - off, a->len - off, false),
                         RULE_NONE);
    else
        assert_int_equal(ip6_parse(&a->ip, a->b + off, a->len - off, a->len - off), RULE_NONE);
    assert_true(a->ip.hdr_len + a->ip.payload_len <= 1500);
    off += a->ip.hdr_len;
    assert_int_equal(a->ip.payload_len, a->len - off);
    if (a->ip.proto != IPPROTO_TCP_)
        return;
    sum = ip_pseudo(a->ip.src, a->ip.dst, IPPROTO_TCP_, a->ip.payload_len);
    assert_int_equal(csum_fold(csum_add(sum, a->b + off, a->len - off)), 0xffff);
    all.v[0] = (struct estab_iov){a->b + off, a->len - off};
    all.len = a->ip.payload_len;
    assert_int_equal(tcp_parse(&a->g, a->b + off, a->len - off, &all), RULE_NONE);
}

/* Everything the stack has to send; how many frames. */
static inline uint32_t drain(struct host *h)
{
    struct estab_frame f;

    h->nanswers = 0;
    for (int port = TUN; port <= TAP; port++) {
        while (estab_output(h->s, port, &f, 1) == 1) {
            struct answer *a = &h->answers[h->nanswers % ANSWERS_MAX];

            a->len = 0;
            a->port = port;
            for (uint32_t i = 0; i < f.niov; i++) {
                assert_true(a->len + f.iov[i].len <= sizeof a->b);
                memcpy(a->b + a->len, f.iov[i].base, f.iov[i].len);
                a->len += f.iov[i].len;
            }
            parse_answer(a);
            h->nanswers++;
        }
    }
    return h->nanswers;
}

/* One frame in, from memory that ends where the frame ends; what it is answered with. */
static inline uint32_t feed(struct host *h, int port, const struct packet *k)
{
    struct estab_frame f = frame_of(h, k);

    assert_int_equal(estab_input(h->s, port, &f, 1), 0);
    frame_free(&f);
    return drain(h);
}

/* Time passes, every deadline on the way is kept; how many frames the stack sent. */
static inline uint32_t elapse(struct host *h, estab_dur d)
{
    estab_time end = h->te.now + d, next;
    uint32_t n = 0;

    while ((next = estab_deadline(h->s)) <= end) {
        if (h->te.now < next)
            h->te.now = next;
        estab_expire(h->s);
        n += drain(h);
    }
    h->te.now = end;
    return n;
}

/* ---- segments ---- */

static inline void packet_sum_tcp(struct packet *k, size_t ip_len)
{
    struct addr16 src, dst;
    uint16_t sum;

    if (ip_len == IP4_HDR_LEN) {
        ip_map4(src.b, k->b + 12);
        ip_map4(dst.b, k->b + 16);
    } else {
        memcpy(src.b, k->b + 8, 16);
        memcpy(dst.b, k->b + 24, 16);
    }
    memset(k->b + ip_len + 16, 0, 2);
    sum = csum_of(ip_pseudo(src.b, dst.b, IPPROTO_TCP_, (uint32_t)(k->len - ip_len)), k->b + ip_len,
                  k->len - ip_len);
    memcpy(k->b + ip_len + 16, &sum, 2);
}

static inline void packet_seg(struct packet *k, const struct peer *p, struct sg s)
{
    static uint8_t tcp[66000];
    struct seg g = {.sport = p->pport,
                    .dport = p->lport,
                    .seq = seq_of(s.seq),
                    .ack = seq_of(s.ack),
                    .flags = s.flags,
                    .reserved = s.reserved,
                    .wnd = s.wnd,
                    .up = s.up};

    tcp_hdr_emit(&g, s.opts_len, tcp);
    if (s.offset)
        tcp[12] = (uint8_t)(s.offset << 4 | (tcp[12] & 0xf));
    if (s.opts_len)
        memcpy(tcp + TCP_HDR_LEN, s.opts, s.opts_len);
    if (s.len)
        memcpy(tcp + TCP_HDR_LEN + s.opts_len, s.text, s.len);
    packet_ip(k, p->ip.b, p->host_ip.b, IPPROTO_TCP_, 64, tcp, TCP_HDR_LEN + s.opts_len + s.len);
    packet_sum_tcp(k, ip_hdr_len_of(p->host_ip.b));
    if (p->port == TAP)
        packet_link(k, PEER_MAC, OUR_MAC);
}

static inline uint32_t send_seg(const struct peer *p, struct sg s)
{
    struct packet k;

    packet_seg(&k, p, s);
    return feed(p->h, p->port, &k);
}

static inline void put_ts(uint8_t opts[12], uint32_t val, uint32_t ecr)
{
    be32_put(opts, 0x0101080a);
    be32_put(opts + 4, val);
    be32_put(opts + 8, ecr);
}

/* An honest segment of the peer's: its numbers, its timestamp, an open window. */
static inline uint32_t say(struct peer *p, uint8_t flags, const void *text, size_t len)
{
    uint8_t opts[12];
    uint32_t n;

    put_ts(opts, p->ts_val, p->ts_ecr);
    n = send_seg(p, (struct sg){.flags = flags,
                                .seq = p->seq,
                                .ack = p->ack,
                                .wnd = 60000,
                                .text = text,
                                .len = len,
                                .opts = opts,
                                .opts_len = p->ts ? sizeof opts : 0});
    p->seq += (uint32_t)len + ((flags & SEG_SYN) != 0) + ((flags & SEG_FIN) != 0);
    return n;
}

/* The only answer, which must be a segment to this peer. */
static inline struct answer *the_answer(const struct peer *p)
{
    struct answer *a = &p->h->answers[0];

    assert_int_equal(p->h->nanswers, 1);
    assert_int_equal(a->ip.proto, IPPROTO_TCP_);
    assert_memory_equal(a->ip.dst, p->ip.b, 16);
    assert_memory_equal(a->ip.src, p->host_ip.b, 16);
    assert_int_equal(a->g.dport, p->pport);
    assert_int_equal(a->g.sport, p->lport);
    return a;
}
static inline void assert_answer(const struct peer *p, uint8_t flags)
{
    assert_int_equal(the_answer(p)->g.flags, flags);
}
/* One bare ACK of what the peer has sent so far. */
static inline void assert_acked(const struct peer *p)
{
    struct answer *a = the_answer(p);

    assert_int_equal(a->g.flags, SEG_ACK);
    assert_int_equal(a->g.ack.n, p->seq);
    assert_int_equal(a->g.text.len, 0);
}

/* ---- connections ---- */

/* Addresses and ports of a peer; nothing is sent. */
static inline struct peer peer_at(struct host *h, int port, const char *from, const char *to,
                                  uint16_t pport)
{
    return (struct peer){.h = h,
                         .ip = ip(from),
                         .host_ip = ip(to),
                         .port = port,
                         .pport = pport,
                         .lport = LISTEN_PORT,
                         .seq = 1000000u * pport,
                         .iss = 1000000u * pport,
                         .ts_val = 50000};
}
static inline struct peer stranger(struct host *h, uint16_t pport)
{
    return peer_at(h, TUN, "10.0.0.2", "10.0.0.1", pport);
}

/* The peer's SYN, with options, up to the SYN,ACK. */
static inline void open_half(struct peer *p, const uint8_t *opts, size_t opts_len)
{
    struct answer *a;

    p->iss = p->seq;
    send_seg(
        p,
        (struct sg){
            .flags = SEG_SYN, .seq = p->seq++, .wnd = 60000, .opts = opts, .opts_len = opts_len});
    a = the_answer(p);
    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK);
    assert_int_equal(a->g.ack.n, p->seq);
    p->irs = p->una = a->g.seq.n;
    p->ack = p->irs + 1;
    p->ts = a->g.opt.has & OPT_TS;
    p->ts_ecr = a->g.opt.ts_val;
}
static inline void open_passive_with(struct peer *p, const uint8_t *opts, size_t opts_len)
{
    open_half(p, opts, opts_len);
    assert_int_equal(say(p, SEG_ACK, NULL, 0), 0);
    p->una = p->ack;
    assert_int_equal(estab_accept(p->h->s, p->h->listener, &p->k, NULL), 0);
}
/* MSS 1460, window scale 2, SACK, timestamps: what a peer of today offers. */
static const uint8_t modern[] = {2,    4,    0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                 0xc3, 0x50, 0,    0,    0, 0, 1, 3,  3, 2};
static inline void open_passive(struct peer *p)
{
    open_passive_with(p, NULL, 0);
}
static inline void open_modern(struct peer *p)
{
    open_passive_with(p, modern, sizeof modern);
}

static inline void user_connects(struct peer *p, uint16_t lport)
{
    struct estab_addr to = {.port = p->pport}, from = {.port = lport};
    struct answer *a;

    memcpy(to.ip, p->ip.b, 16);
    memcpy(from.ip, p->host_ip.b, 16);
    assert_int_equal(estab_socket(p->h->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_setopt(p->h->s, p->k, ESTAB_O_REUSEADDR, 1), 0);
    assert_int_equal(estab_bind(p->h->s, p->k, &from), 0);
    assert_int_equal(estab_connect(p->h->s, p->k, &to), ESTAB_E_INPROGRESS);
    p->lport = lport;
    drain(p->h);
    a = the_answer(p);
    assert_int_equal(a->g.flags, SEG_SYN);
    p->irs = p->una = a->g.seq.n;
    p->ack = p->irs + 1;
}
static inline void open_active(struct peer *p, uint16_t lport)
{
    user_connects(p, lport);
    say(p, SEG_SYN | SEG_ACK, NULL, 0);
    assert_acked(p);
    p->una = p->ack;
}

static inline void user_shuts(struct peer *p)
{
    assert_int_equal(estab_shutdown(p->h->s, p->k, ESTAB_SHUT_WR), 0);
    drain(p->h);
    assert_true(the_answer(p)->g.flags & SEG_FIN);
    p->ack++;
}
static inline void peer_shuts(struct peer *p)
{
    say(p, SEG_FIN | SEG_ACK, NULL, 0);
    assert_acked(p);
}

/* A connection in any state that has one; CLOSED and LISTEN: a peer that has said nothing yet. */
static inline void bring_to(struct peer *p, enum estab_tcp_state st)
{
    switch (st) {
    case ESTAB_CLOSED:
        p->lport = 81;
        return;
    case ESTAB_LISTEN:
        return;
    case ESTAB_SYN_SENT:
        user_connects(p, p->pport);
        return;
    case ESTAB_SYN_RECEIVED:
        open_half(p, NULL, 0);
        return;
    default:
        break;
    }
    open_passive(p);
    if (st == ESTAB_CLOSE_WAIT || st == ESTAB_LAST_ACK)
        peer_shuts(p);
    if (st == ESTAB_ESTABLISHED || st == ESTAB_CLOSE_WAIT)
        return;
    user_shuts(p);
    if (st == ESTAB_CLOSING) {
        p->ack--;
        peer_shuts(p);
        p->ack++;
    }
    if (st == ESTAB_FIN_WAIT_2 || st == ESTAB_TIME_WAIT) {
        assert_int_equal(say(p, SEG_ACK, NULL, 0), 0);
        p->una = p->ack;
    }
    if (st == ESTAB_TIME_WAIT)
        peer_shuts(p);
}

/* What a netstat shows of this connection, unless it is a socket whose connection is gone; false:
 * nothing. */
static inline bool peer_info(const struct peer *p, struct estab_tcp_info *i)
{
    uint64_t cursor = 0;
    estab_sock k;

    while (estab_conn_next(p->h->s, &cursor, &k)) {
        i->size = sizeof *i;
        assert_int_equal(estab_tcp_info(p->h->s, k, i), 0);
        if (i->state != ESTAB_CLOSED && i->peer.port == p->pport && i->local.port == p->lport &&
            memcmp(i->peer.ip, p->ip.b, 16) == 0 && memcmp(i->local.ip, p->host_ip.b, 16) == 0)
            return true;
    }
    return false;
}
static inline enum estab_tcp_state state_of(const struct peer *p)
{
    struct estab_tcp_info i;

    return peer_info(p, &i) ? i.state : ESTAB_CLOSED;
}
static inline struct estab_tcp_info info_of(const struct peer *p)
{
    struct estab_tcp_info i;

    assert_true(peer_info(p, &i));
    return i;
}

/* What the user can read now. */
static inline size_t user_reads(const struct peer *p, void *buf, size_t len)
{
    struct estab_iov v = {buf, len};
    ptrdiff_t n = estab_recv(p->h->s, p->k, &v, 1, 0);

    return n < 0 ? 0 : (size_t)n;
}
static inline void user_sends(const struct peer *p, const void *text, size_t len)
{
    struct estab_iov v = {(void *)(uintptr_t)text, len};

    assert_int_equal(estab_send(p->h->s, p->k, &v, 1, 0), len);
}

/* An ESTABLISHED connection carries text both ways, each octet once. */
static inline void assert_alive(struct peer *p)
{
    uint8_t buf[64];
    struct answer *a;

    assert_int_equal(state_of(p), ESTAB_ESTABLISHED);
    say(p, SEG_ACK | SEG_PSH, "ping", 4);
    assert_int_equal(user_reads(p, buf, sizeof buf), 4);
    assert_memory_equal(buf, "ping", 4);
    user_sends(p, "pong", 4);
    assert_int_equal(drain(p->h), 1);
    a = the_answer(p);
    assert_int_equal(a->g.ack.n, p->seq);
    assert_int_equal(a->g.seq.n, p->ack);
    assert_int_equal(a->g.text.len, 4);
    assert_memory_equal(a->g.text.v[0].base, "pong", 4);
    p->ack += 4;
    p->una = p->ack;
    assert_int_equal(say(p, SEG_ACK, NULL, 0), 0);
}

/* ---- the rule for all ---- */

struct footprint {
    struct estab_stack_info all;
    struct estab_tcp_info witness;
    uint64_t allocs;
};
static inline struct footprint footprint_of(struct host *h)
{
    struct footprint f;

    memset(&f, 0, sizeof f);
    f.all.size = sizeof f.all;
    estab_stack_info(h->s, &f.all);
    f.all.frames_in = f.all.frames_out = 0;
    if (h->witness)
        f.witness = info_of(h->witness);
    f.allocs = h->te.allocs;
    return f;
}
static inline void assert_untouched(struct host *h, const struct footprint *before)
{
    struct footprint now = footprint_of(h);

    assert_int_equal(now.all.conns, before->all.conns);
    assert_int_equal(now.all.listeners, before->all.listeners);
    assert_int_equal(now.all.synq, before->all.synq);
    assert_int_equal(now.all.timewait, before->all.timewait);
    assert_int_equal(now.all.mem_used, before->all.mem_used);
    assert_int_equal(now.allocs, before->allocs);
    assert_memory_equal(&now.witness, &before->witness, sizeof now.witness);
}

/* A frame that must be refused under one rule and change nothing.  How many frames answer it: none
 * or one. */
static inline uint32_t hostile(struct host *h, int port, const struct packet *k, enum rule r)
{
    struct footprint before = footprint_of(h);
    uint32_t n;

    mark(h);
    n = feed(h, port, k);
    assert_only(h, r, r != RULE_NONE);
    assert_untouched(h, &before);
    assert_in_range(n, 0, 1);
    return n;
}
static inline uint32_t hostile_seg(const struct peer *p, struct sg s, enum rule r)
{
    struct packet k;

    packet_seg(&k, p, s);
    return hostile(p->h, p->port, &k, r);
}

/* ---- set up ---- */

static inline void host_listens(struct host *h, uint32_t backlog)
{
    struct estab_addr any = {.port = LISTEN_PORT};

    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &h->listener), 0);
    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_REUSEADDR, 1), 0);
    assert_int_equal(estab_bind(h->s, h->listener, &any), 0);
    assert_int_equal(estab_listen(h->s, h->listener, backlog), 0);
}

/* The peers' next hop on the Ethernet port is known. */
static inline void host_meets(struct host *h, const char *text)
{
    struct packet k;

    if (ip_is4(ip(text).b)) {
        packet_arp(&k, ARP_REQUEST, PEER_MAC, text, "10.0.1.1", ALL_MAC);
    } else {
        uint8_t msg[32] = {ICMP6_NEIGHBOUR_SOLICIT};

        memcpy(msg + 8, ip("2001:db8:1::1").b, 16);
        msg[24] = 1;
        msg[25] = 1;
        memcpy(msg + 26, PEER_MAC.b, 6);
        packet_icmp(&k, ip(text).b, ip("2001:db8:1::1").b, 255, msg, sizeof msg);
        packet_link(&k, PEER_MAC, OUR_MAC);
    }
    assert_int_equal(feed(h, TAP, &k), 1);
}

static inline struct host *host_seeded(const struct estab_config *cfg, uint64_t seed)
{
    struct estab_port_caps tun = tun_caps(), tap = tap_caps();
    struct host *h = (struct host *)calloc(1, sizeof *h);
    struct estab_env env;

    h->te.now = ESTAB_S(100);
    h->te.rng = seed;
    env = test_env_make(&h->te);
    assert_int_equal(estab_stack_new(&h->s, &env, cfg), 0);
    assert_int_equal(estab_port_add(h->s, &tun), TUN);
    assert_int_equal(estab_port_add(h->s, &tap), TAP);
    assert_int_equal(estab_addr_add(h->s, TUN, ip("10.0.0.1").b, 120), 0);
    assert_int_equal(estab_addr_add(h->s, TUN, ip("2001:db8::1").b, 64), 0);
    assert_int_equal(estab_addr_add(h->s, TAP, ip("10.0.1.1").b, 120), 0);
    assert_int_equal(estab_addr_add(h->s, TAP, ip("2001:db8:1::1").b, 64), 0);
    drain(h);
    host_meets(h, "10.0.1.2");
    host_meets(h, "2001:db8:1::2");
    host_listens(h, 1024);
    return h;
}
static inline struct host *host_with(const struct estab_config *cfg)
{
    return host_seeded(cfg, 11);
}
static inline void host_end(struct host *h)
{
    estab_stack_free(h->s);
    assert_int_equal(h->te.live, 0);
    free(h->witness);
    free(h);
}

static inline int host_setup(void **state)
{
    struct host *h = host_with(NULL);

    h->witness = (struct peer *)malloc(sizeof *h->witness);
    *h->witness = peer_at(h, TUN, "10.0.0.9", "10.0.0.1", 9);
    open_modern(h->witness);
    assert_alive(h->witness);
    elapse(h, ESTAB_S(1));
    *state = h;
    return 0;
}
/* After whatever a test did the witness works as before. */
static inline int host_teardown(void **state)
{
    struct host *h = (struct host *)*state;

    drain(h);
    assert_alive(h->witness);
    host_end(h);
    return 0;
}

#define hostile_test(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.h - UDP sockets (RFC 768, RFC 1122 section 4.1).
 *
 * A socket has two queues of records, each a header and a datagram, in rings that come and go with
 * what they hold: to read, and to send.  What is sent is lent to the driver where it lies, and
 * dropped at the beginning of the next public call (udp_reap()).
 *
 * Two indexes find a socket: by its addresses and ports, for what arrives, and by its local port
 * alone, for those who want one. */
#ifndef UDP_UDP_H
#define UDP_UDP_H

#include "base/hash.h"
#include "base/ring.h"
#include "base/slots.h"
#include "ip/gso.h"
#include "ip/ip.h"
#include "wire/udp.h"

#define UDP_BUF 212992u /* octets of each queue, records' headers included, until set otherwise */

/* Local addresses of sockets that are bound to none in particular. */
#define UDP_ANY  IP_LOCAL_NONE        /* :: */
#define UDP_ANY4 (IP_LOCAL_NONE - 1u) /* 0.0.0.0 */

struct udp_sock {
    uint8_t peer[16];      /* all zero: not connected */
    uint16_t local;        /* index of the local address, UDP_ANY or UDP_ANY4 */
    uint16_t bound_to;     /* ... without a peer */
    uint16_t lport, pport; /* lport 0: not bound; pport 0: not connected */
    struct ip_path path;   /* to the peer */
    struct ring rcv, snd;
    uint32_t nrcv, nsnd; /* records in them */
    uint32_t rcvbuf, sndbuf;
    uint32_t lent;     /* octets of snd that have been handed out */
    uint32_t handed;   /* octets of the datagram behind them that have: it goes in fragments ... */
    struct ip_cut cut; /* ... like this */
    uint32_t tag, slot;
    uint32_t born;     /* which of several at one port is the youngest */
    uint8_t send_port; /* with in_send */
    uint8_t hop_limit; /* 0: the stack's */
    uint8_t tos;
    uint8_t ev_mask, ev_pending;
    int8_t err;
    bool in_ready : 1, in_send : 1, in_lent : 1;
    bool orphan : 1;     /* no handle: only what is unsent keeps it */
    bool want_out : 1;   /* the user was told E_AGAIN */
    bool port_given : 1; /* the user has bound it */
    bool rd_shut : 1, wr_shut : 1;
    bool reuse_addr : 1, reuse_port : 1, v6_only : 1;
    struct link ready, send, lends;
    void *user;
    uint64_t octets_in, octets_out, dgrams_in, dgrams_out;
    uint64_t refused; /* datagrams for which there was no room */
};

struct udp_layer {
    struct env *env;
    struct ip_layer *ip;
    struct rule_book *rules;
    struct slab socks;
    struct ring_pool pool;
    struct hash demux, by_port;
    struct hash_key key;
    struct slot_list ready;              /* events for the user */
    struct slot_list send[IP_PORTS_MAX]; /* something to send */
    struct slot_list lends;              /* something of theirs is lent */
    uint32_t nborn;
    uint16_t port_lo, port_hi;
};

/* Handles of UDP sockets have this in the slot's top bits, where those of TCP have theirs. */
#define UDP_REF 0xc0000000u

struct udp_tuple { /* how a socket is found; one without a peer has an all-zero one */
    const uint8_t *peer;
    uint16_t local, lport, pport;
};

/* ---- udp.c: the layer, and what arrives ---- */
void udp_init(struct udp_layer *l, struct ip_layer *ip, struct rule_book *rules, uint32_t max);
void udp_set_ports(struct udp_layer *l, uint16_t lo, uint16_t hi); /* ephemeral ones */
void udp_fini(struct udp_layer *l);
void udp_recv(struct udp_layer *l, const struct ip_dgram *d);
void udp_icmp_arrives(struct udp_layer *l, const struct ip_error *e);

/* ---- udp_sock.c: the life and readiness of sockets, the user's calls ---- */
static inline struct udp_sock *udp_at(const struct udp_layer *l, uint32_t slot)
{
    return slab_at(&l->socks, slot);
}
struct udp_sock *udp_new(struct udp_layer *l);                     /* NULL: ceiling or no memory */
void udp_close(struct udp_layer *l, struct udp_sock *u, bool now); /* now: what is unsent is lost */
void udp_free(struct udp_layer *l, struct udp_sock *u);
estab_sock udp_handle(const struct udp_layer *l, const struct udp_sock *u);
void udp_raise(struct udp_layer *l, struct udp_sock *u, uint8_t ev);
uint8_t udp_level(const struct udp_sock *u);
/* estab_shutdown() and its sisters, same results. */
int udp_shutdown(struct udp_layer *l, struct udp_sock *u, enum estab_how how);
ptrdiff_t udp_send(struct udp_layer *l, struct udp_sock *u, const struct estab_iov *iov,
                   size_t niov, uint32_t flags, const struct estab_addr *to);
ptrdiff_t udp_receive(struct udp_layer *l, struct udp_sock *u, const struct estab_iov *iov,
                      size_t niov, uint32_t flags, struct estab_recv_info *info);
void udp_info(const struct udp_layer *l, const struct udp_sock *u, struct estab_tcp_info *i);
/* A datagram with ulen octets, the header among them, at payload of d. */
void udp_queue_in(struct udp_layer *l, struct udp_sock *u, const struct ip_dgram *d,
                  const struct udp_hdr *h);
/* Octets of the send queue not yet handed out, records' headers included. */
static inline uint32_t udp_unsent(const struct udp_sock *u)
{
    return u->snd.len - u->lent;
}

/* ---- udp_demux.c: ports and addresses ---- */
int udp_bind(struct udp_layer *l, struct udp_sock *u, const struct estab_addr *a);
int udp_bind_any(struct udp_layer *l, struct udp_sock *u); /* an ephemeral port, if it has none */
int udp_connect(struct udp_layer *l, struct udp_sock *u, const struct estab_addr *peer);
void udp_unbind(struct udp_layer *l, struct udp_sock *u);
/* The socket with exactly that peer; NULL: none. */
struct udp_sock *udp_demux_connected(const struct udp_layer *l, const struct udp_tuple *k);
/* The socket for a datagram. */
struct udp_sock *udp_demux(const struct udp_layer *l, const struct udp_tuple *k);
/* Whether a socket of this kind may send there. */
bool udp_may_reach(const struct udp_sock *u, const uint8_t dst[16]);

/* ---- udp_output.c ---- */
struct udp_out { /* what a datagram to send begins with in its queue */
    uint8_t dst[16];
    struct ip_path path;
    uint32_t len; /* of header and text */
    uint8_t hop_limit, tos;
};
/* The record at the end of the queue is new. */
void udp_owe(struct udp_layer *l, struct udp_sock *u, uint8_t port);
/* Fills f from n on; returns the new n. */
uint32_t udp_pull(struct udp_layer *l, uint8_t port, struct estab_frame *f, struct gso_hdr *hdrs,
                  uint32_t n, uint32_t room);
static inline bool udp_has_output(const struct udp_layer *l, uint8_t port)
{
    return l->send[port].head != SLAB_NONE;
}
void udp_unlist(struct udp_layer *l, struct udp_sock *u);
RARE void udp_reap(struct udp_layer *l); /* what was lent is no longer */
static inline bool udp_has_lent(const struct udp_layer *l)
{
    return l->lends.head != SLAB_NONE;
}

#endif

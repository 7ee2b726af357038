/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_int.h - what the files of the internet layer share with each other and with nobody else. */
#ifndef IP_IP_INT_H
#define IP_IP_INT_H

#include "base/csum.h"
#include "ip/ip.h"
#include "wire/eth.h"

#define IP_GROUP_BIT  0x01 /* in the first octet of a MAC address */
#define IP6_MTU_MIN   1280 /* RFC 8200 section 5 */
#define IP_ICMP_BURST 64   /* ICMP errors and echo replies at once */

/* ---- deadlines, ip.c ---- */

static inline void ip_arm(struct ip_layer *l, estab_time at)
{
    l->next_at = time_min(l->next_at, at);
}
uint32_t ip_random32(struct ip_layer *l);
estab_dur ip_random_dur(struct ip_layer *l, estab_dur below);

static inline bool ip_port_is_eth(const struct ip_layer *l, uint8_t port)
{
    return l->ports[port].caps.medium == ESTAB_MEDIUM_ETHERNET;
}

/* ---- the frame that most are, ip_plain.c ---- */

void ip_plain_learn(struct ip_layer *l, const struct ip_dgram *d); /* it has been looked at */
/* What concerns the frame, of a datagram that came in it. */
static inline void ip_frame_in(const struct ip_layer *l, uint8_t port, const struct estab_frame *f,
                               struct ip_dgram *d)
{
    d->frame = f;
    d->link_len = 0;
    d->port = port;
    d->nsegs = 1;
    d->route.n = 0;
    d->gso_size = f->off.gso_type == ESTAB_GSO_NONE ? 0 : f->off.gso_size;
    d->csum_ok = l->ports[port].caps.rx_csum ||
                 (f->off.flags & (ESTAB_OFF_DATA_VALID | ESTAB_OFF_NEEDS_CSUM)) != 0;
}
/* ip_in.c: whether such a source may send to such a destination, which is ours: d->local. */
enum rule ip_addrs_in(const struct ip_layer *l, struct ip_dgram *d, bool link_group);

/* ip_drop() where there is no datagram to show. */
void ip_drop_of(struct ip_layer *l, const uint8_t src[16], const uint8_t dst[16], uint8_t port,
                uint32_t len, enum rule r);

/* ---- addresses, ip_addr.c ---- */

bool ip_prefix_eq(const uint8_t a[16], const uint8_t b[16], uint32_t len);
uint32_t ip_prefix_common(const uint8_t a[16], const uint8_t b[16]);
/* Index of an address that packets arriving on `port` may name, tentative ones too; -1: none.  A
 * link-local address belongs to its port only; port -1: any. */
int ip_addr_find(const struct ip_layer *l, const uint8_t addr[16], int port);
/* The source address for a destination behind a port; -1: none there. */
int ip_addr_pick(const struct ip_layer *l, uint8_t port, const uint8_t dst[16]);
int ip_addr_link_local(const struct ip_layer *l, uint8_t port); /* not tentative, or -1 */
bool ip_addr_has_link_local(const struct ip_layer *l, uint8_t port);
int ip_addr_add_link_local(struct ip_layer *l, uint8_t port);
/* 255.255.255.255, or the directed broadcast of a subnet of ours (port -1: on any port). */
bool ip_is_broadcast(const struct ip_layer *l, int port, const uint8_t addr[16]);
/* Whether it is the last address, the broadcast, of a's IPv4 subnet; RFC 3021: a /31 has none. */
bool ip_is_last_of_subnet(const uint8_t addr[16], const struct ip_addr_entry *a);
bool ip_is_solicited_node_of(const uint8_t group[16], const uint8_t addr[16]);
void ip_solicited_node(uint8_t group[16], const uint8_t addr[16]);
void ip_addr_duplicate(struct ip_layer *l, uint16_t i); /* RFC 4862 section 5.4.5 */
int ip_addr_expire(struct ip_layer *l);
estab_time ip_addr_next(const struct ip_layer *l);

/* ---- routes, ip_route.c ---- */

struct ip_hop {
    uint8_t addr[16]; /* the neighbour to hand it to */
    uint8_t port;
    bool gateway;
};
bool ip_route_find(const struct ip_layer *l, const uint8_t dst[16], int port_hint,
                   struct ip_hop *out);
bool ip_route_on_link(const struct ip_layer *l, uint8_t port, const uint8_t addr[16]);
/* A route from a router advertisement (gw NULL: on link); until <= now takes it away. */
void ip_route_learn(struct ip_layer *l, uint8_t port, const uint8_t dst[16], uint8_t prefix_len,
                    const uint8_t *gw, estab_time until);
int ip_route_expire(struct ip_layer *l);
estab_time ip_route_next(const struct ip_layer *l);

/* ---- redirects, ip_redirect.c ---- */

/* Where a gateway would be next, and was told better. */
void ip_redirect_apply(const struct ip_layer *l, const uint8_t dst[16], struct ip_hop *hop);
bool ip_redirect_ok(const struct ip_layer *l, const struct ip_dgram *d,
                    const struct icmp_redirect *r);
int ip_redirect_expire(struct ip_layer *l);
estab_time ip_redirect_next(const struct ip_layer *l);

/* ---- neighbours, ip_neigh.c ---- */

#define IP_NEIGH_MAX      512
#define IP_NEIGH_NONE     UINT16_MAX
#define IP_NEIGH_WAIT     3  /* packets of our own that wait for one neighbour */
#define IP_NEIGH_WAIT_ALL 16 /* ... and for all of them: forged sources must not take the pool */

/* RFC 4861 section 7.3.2, used for ARP as well; in the order of what is lost with an entry. */
enum neigh_state {
    NEIGH_FREE,
    NEIGH_FAILED, /* did not answer; not asked again before `at` */
    NEIGH_INCOMPLETE,
    NEIGH_STALE, /* from here on the link address is known */
    NEIGH_DELAY,
    NEIGH_PROBE,
    NEIGH_REACHABLE,
};
struct ip_neigh {
    uint8_t addr[16];
    uint8_t mac[6];
    uint8_t port;
    uint8_t state; /* enum neigh_state */
    uint8_t nasked;
    uint8_t nwait;
    bool wanted;     /* a datagram of ours has gone or wanted to go there */
    bool gateway;    /* next hop of a route: addr is not the destination's */
    uint16_t bucket; /* first entry whose hash is this entry's index */
    uint16_t next;   /* in its bucket */
    uint16_t local;  /* address we ask from */
    estab_time at;   /* INCOMPLETE, DELAY, PROBE: next step; REACHABLE, FAILED: until when */
    estab_time used_at;
    struct ip_pkt *wait_head, *wait_tail;
};
int ip_neigh_alloc(struct ip_layer *l);
void ip_neigh_free(struct ip_layer *l);
struct ip_neigh *ip_neigh_find(const struct ip_layer *l, uint8_t port, const uint8_t addr[16]);
/* Finds or makes the entry for a next hop of ours; NULL: the table is full of entries in use. */
struct ip_neigh *ip_neigh_want(struct ip_layer *l, const struct ip_hop *hop, uint16_t local);
/* May a datagram from `local` go there now?  Moves the state machine on: this is "use". */
enum ip_ready ip_neigh_use(struct ip_layer *l, struct ip_neigh *n, uint16_t local);
/* A neighbour has told its address without having been asked: makes a STALE entry for it, at the
 * cost of another such entry only.  NULL: refused. */
struct ip_neigh *ip_neigh_heard(struct ip_layer *l, uint8_t port, const uint8_t addr[16],
                                const uint8_t mac[6]);
/* Its address is known: REACHABLE if it has confirmed it to us, else STALE. */
void ip_neigh_known(struct ip_layer *l, struct ip_neigh *n, const uint8_t mac[6], bool reachable);
/* Doubt: verify it with a unicast probe now, if it matters to us. */
void ip_neigh_doubt(struct ip_layer *l, struct ip_neigh *n);
void ip_neigh_wait(struct ip_layer *l, struct ip_neigh *n, struct ip_pkt *k);
void ip_neigh_drop_waiting(struct ip_layer *l); /* the pool is about to change */
int ip_neigh_expire(struct ip_layer *l);
estab_time ip_neigh_next(const struct ip_layer *l);
static inline bool ip_mac_ok(const uint8_t mac[6]) /* may be somebody's */
{
    static const uint8_t zero[6];

    return !(mac[0] & IP_GROUP_BIT) && memcmp(mac, zero, 6) != 0;
}

void ip_arp_recv(struct ip_layer *l, uint8_t port, const struct pieces *t);
void ip_arp_ask(struct ip_layer *l, const struct ip_neigh *n, bool unicast);
/* ND: m has been parsed, its checksum verified; the whole message is payload of d. */
void ip_nd_recv(struct ip_layer *l, struct ip_dgram *d, const struct icmp *m);
void ip_nd_ask(struct ip_layer *l, const struct ip_neigh *n, bool unicast);
void ip_nd_ask_duplicate(struct ip_layer *l, uint16_t local);
void ip_nd_ask_router(struct ip_layer *l, uint8_t port);

/* ---- ICMP, ip_icmp.c ---- */

enum ip_verdict ip_icmp_recv(struct ip_layer *l, struct ip_dgram *d, struct ip_error *e);
void ip_icmp_problem(struct ip_layer *l, const struct ip_dgram *d, uint8_t code, uint32_t at);
/* d: the first fragment of a datagram whose others did not come. */
void ip_icmp_reass_timeout(struct ip_layer *l, const struct ip_dgram *d);

/* ---- in, ip_in.c ---- */

#define IP_HDR_RUN  256 /* octets of a packet within which its headers must lie */
#define IP_HEAD_RUN 60  /* octets of a transport's header made contiguous */
/* The first min(want, t->len) octets, or more, in one run: in place if they lie so, else copied to
 * buf. */
const uint8_t *ip_run(const struct pieces *t, uint32_t want, uint8_t *buf, size_t *len);

/* ---- fragments, ip_reass.c ---- */

void ip_reass_init(struct ip_layer *l);
void ip_reass_fini(struct ip_layer *l);
/* d is a fragment, addressed to us.  true: the last that was missing; d->payload is the datagram's
 * packet now, as if it had come in one piece, still to be parsed. */
bool ip_reass_in(struct ip_layer *l, struct ip_dgram *d);
void ip_reass_reap(struct ip_layer *l); /* nobody looks at whole datagrams any more */
int ip_reass_expire(struct ip_layer *l);
estab_time ip_reass_next(const struct ip_layer *l);

/* ---- path MTUs, ip_pmtu.c ---- */

void ip_pmtu_init(struct ip_layer *l);
void ip_pmtu_fini(struct ip_layer *l);
/* Somebody says so, of an answer that we may have sent. */
void ip_pmtu_hear(struct ip_layer *l, uint8_t port, const uint8_t dst[16], uint32_t mtu);
/* What our own answers are cut to. */
uint32_t ip_pmtu_own(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16]);

/* ---- packets of our own, ip_queue.c ---- */

#define IP_OWN_HEADROOM (IP_LINK_HDR_MAX + IP6_HDR_LEN + IP6_FRAG_LEN)
struct ip_pkt {
    struct ip_pkt *next;
    uint32_t start, len; /* the frame that goes next, in data; before it has headers: the payload */
    uint32_t left;       /* frames behind that one: the packet goes in fragments, ... */
    uint32_t stride, last_len; /* ... each so far behind the one before; how long the last is */
    size_t size;               /* of an allocation of its own; 0: it is of the pool */
    uint8_t data[];
};
int ip_own_pool(struct ip_layer *l, uint32_t mtu);
void ip_own_fini(struct ip_layer *l);
/* A packet with payload_len octets to fill in, or NULL: a small one, for what the layer needs. */
struct ip_pkt *ip_own_new(struct ip_layer *l, uint32_t payload_len);
/* The same for an answer to a peer, of any length.  It may not take the last small ones. */
struct ip_pkt *ip_own_answer(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                             uint32_t payload_len);
static inline uint8_t *ip_own_payload(struct ip_pkt *k)
{
    return k->data + IP_OWN_HEADROOM;
}
void ip_own_to(struct ip_pkt *k, const uint8_t mac[6]); /* the next hop's link address */
void ip_own_free(struct ip_layer *l, struct ip_pkt *k);
/* takes k: writes the headers, in fragments where it must; it goes when the next hop is known. */
void ip_own_send(struct ip_layer *l, struct ip_pkt *k, struct ip_path *p, const uint8_t dst[16],
                 const struct ip_send *how);
/* takes k: to a link address that is known; src may be ::. */
void ip_own_send_link(struct ip_layer *l, struct ip_pkt *k, uint8_t port, const uint8_t mac[6],
                      const uint8_t src[16], const uint8_t dst[16], const struct ip_send *how);
void ip_own_send_eth(struct ip_layer *l, struct ip_pkt *k, uint8_t port, const uint8_t mac[6],
                     uint16_t ethertype);                              /* takes k: no IP header */
void ip_own_queue(struct ip_layer *l, uint8_t port, struct ip_pkt *k); /* takes k */

/* ---- out, ip_out.c ---- */

struct ip_frag { /* a fragment's place in its datagram */
    uint32_t id, off;
    bool more;
};
/* Link and IP headers; mac: of the next hop, NULL where the medium has none; frag NULL: an atomic
 * datagram. */
void ip_headers(const struct ip_layer *l, uint8_t port, const uint8_t *mac, const uint8_t src[16],
                const uint8_t dst[16], const struct ip_send *how, const struct ip_frag *frag,
                uint32_t payload_len, uint8_t *out);
/* ip_emit() for a fragment: IP6_FRAG_LEN octets more for IPv6. */
void ip_emit_frag(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                  const struct ip_send *how, const struct ip_frag *frag, uint32_t payload_len,
                  uint8_t *out);

/* ---- fragments of our own, ip_frag.c ---- */

/* Whether a datagram of ours must or may go in fragments, and so needs an identification. */
bool ip_frag_wanted(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                    uint32_t payload_len);
/* Octets of payload that one fragment carries; payload_len if all of it. */
uint32_t ip_frag_slice(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                       uint32_t payload_len);
/* Writes the headers of k, whose payload they are put in front of, in slices of k->stride. */
void ip_frag_cut(struct ip_layer *l, struct ip_pkt *k, const struct ip_path *p,
                 const uint8_t dst[16], const struct ip_send *how);

#endif

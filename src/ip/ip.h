/* SPDX-License-Identifier: BSD-2-Clause */
/* ip.h - the internet layer: ports, addresses, routes, neighbours, ICMP; a host, never a router.
 *
 * In: ip_recv() takes a frame apart as far as a transport's datagram, answering by itself what is
 * the internet layer's business (ARP, neighbour discovery, echo).  Out: a transport keeps an
 * ip_path, asks whether its next hop is ready, builds its own header and text, and has ip_emit()
 * write the headers in front.  What the layer has to send itself waits, built, in a bounded queue
 * per port (ip_pull()).
 *
 * Nothing waits for a neighbour's address but the internet layer's own packets: a transport asks
 * again when ip_layer.resolved has changed. */
#ifndef IP_IP_H
#define IP_IP_H

#include "base/env.h"
#include "ip/ip_pmtu.h"
#include "ip/ip_reass.h"
#include "wire/icmp.h"
#include "wire/ip.h"

#define IP_PORTS_MAX     16
#define IP_ADDRS_MAX     256
#define IP_ROUTES_MAX    64
#define IP_LINK_HDR_MAX  14
#define IP_FRAG_IDS      256
#define IP_REDIRECTS_MAX 64

struct ip_neigh; /* neighbour cache entry, ip_neigh.c */
struct ip_pkt;   /* a packet of our own that waits, ip_queue.c */

struct ip_addr_entry {
    uint8_t addr[16];
    uint8_t prefix_len; /* of the 16-octet form */
    uint8_t port;
    bool used;
    bool tentative; /* RFC 4862 section 5.4: not to be used yet */
    uint8_t dad_left;
    estab_time dad_at;
};
struct ip_route {
    uint8_t dst[16], gw[16];
    uint8_t prefix_len, port;
    bool used, has_gw;
    bool learned;     /* from a router advertisement: gives way to what was configured */
    estab_time until; /* learned: its lifetime, or ESTAB_NEVER */
};
struct ip_redirect { /* the first hop to one destination, ip_redirect.c */
    uint8_t dst[16], via[16];
    uint8_t port;
    bool used;
    estab_time until;
};
struct ip_port {
    struct estab_port_caps caps;
    uint32_t mtu6; /* caps.mtu, or less if a router said so (RFC 4861 section 6.3.4) */
    struct ip_pkt *queue_head, *queue_tail; /* our own packets, ready to go */
    uint32_t nqueued;
    uint8_t rs_left; /* router solicitations still to send */
    estab_time rs_at;
};
struct ip_path {    /* where datagrams to one destination go; kept by the transport */
    uint16_t local; /* index of the source address in addrs */
    uint16_t neigh; /* next hop on Ethernet */
    uint8_t port;
    uint8_t gen8; /* low octet of path_gen when it was found */
};
struct ip_found { /* the path found last, and what for */
    struct ip_path path;
    uint8_t dst[16], src[16];
    uint32_t gen; /* path_gen then */
    int port_hint;
    bool has_src, good;
};
struct ip_seen {  /* the last TCP datagram whose addresses were looked at; version 0: none */
    uint32_t gen; /* path_gen then */
    uint16_t local;
    uint8_t version, port;
    bool rx_csum;    /* the port's */
    uint32_t ip_len; /* octets of its IP header */
    uint8_t src[16], dst[16];
    uint8_t pair4[8];  /* both as they stand in an IPv4 header */
    uint64_t addr_sum; /* ip_addr_sum() of them */
    uint8_t link_len, link[IP_LINK_HDR_MAX];
};
struct ip_layer {
    struct env *env;
    struct rule_book *rules;
    uint8_t hop_limit;
    struct ip_port ports[IP_PORTS_MAX];
    uint32_t nports;
    struct ip_addr_entry addrs[IP_ADDRS_MAX];
    uint32_t naddrs; /* addrs in use or once used: an index is never given to another address,
                        because transports keep it */
    uint16_t addr_index[IP_ADDRS_MAX * 2]; /* open addressing: index in addrs + 1, 0: empty */
    struct ip_route routes[IP_ROUTES_MAX];
    struct ip_redirect redirects[IP_REDIRECTS_MAX];
    uint32_t nredirects;
    bool accept_redirects;
    bool source_routes; /* of TCP, over IPv4 */
    struct ip_found found;
    struct ip_seen seen;
    uint32_t path_gen; /* changes when an address, a route or a gateway makes paths stale */
    uint32_t resolved; /* counts neighbours that became known or were given up: those who wait ask
                          again */
    struct ip_neigh *neigh; /* table of IP_NEIGH_MAX, allocated with the first Ethernet port */
    uint32_t frag_ids[IP_FRAG_IDS]; /* counters of identifications, ip_frag.c */
    uint64_t icmp_tokens;           /* limit of ICMP errors and echo replies */
    estab_time icmp_at;
    uint64_t secret[2];
    estab_time next_at; /* earliest deadline of the layer, or ESTAB_NEVER */
    uint8_t *pkt_mem;   /* pool of packets of our own, ip_queue.c */
    size_t pkt_mem_len;
    uint32_t pkt_cap;              /* octets of IP packet that fit into one */
    uint32_t pkt_nfree, pkt_nwait; /* free; waiting for neighbours */
    size_t pkt_big;                /* octets of those outside the pool */
    struct ip_pkt *pkt_free;
    struct ip_pkt *pkt_lent; /* handed out by ip_pull() since the last ip_reap() */
    struct ip_reass reass;
    struct ip_pmtu_settings pmtu_set;
    struct ip_pmtu_table pmtu, pmtu_heard; /* for everybody; for our own answers only */
};

int ip_init(struct ip_layer *l, struct env *env, struct rule_book *rules, uint8_t hop_limit);
void ip_fini(struct ip_layer *l);
/* After ip_init(), before the first frame. */
void ip_set_reass(struct ip_layer *l, const struct ip_reass_settings *set);
void ip_set_pmtu(struct ip_layer *l, const struct ip_pmtu_settings *set);
/* Behind estab_port_add and its sisters, same results. */
int ip_port_add(struct ip_layer *l, const struct estab_port_caps *caps);
int ip_addr_add(struct ip_layer *l, int port, const uint8_t addr[16], uint8_t prefix_len);
int ip_route_add(struct ip_layer *l, int port, const uint8_t dst[16], uint8_t prefix_len,
                 const uint8_t *gw);

/* ---- in ---- */

struct ip_dgram { /* borrowed from the frame, or put together from several until ip_reap() */
    struct ip_hdr ip;
    const struct estab_frame *frame; /* as it arrived: what an ICMP error quotes */
    uint8_t link_len;                /* octets of it in front of the IP header */
    uint8_t port;
    uint16_t local; /* index of the destination in addrs, or IP_LOCAL_NONE (group, broadcast) */
    bool csum_ok;   /* the link has verified the transport's checksum, or need not have one */
    uint16_t nsegs; /* TCP segments it stands for (1; more behind GSO: ceil(text / gso_size) is the
                       transport's to set) */
    uint16_t gso_size;
    const uint8_t *head;    /* contiguous octets of the transport's header ... */
    size_t head_len;        /* ... all of it, if it is there: TCP's by its data offset, else min(60,
                               payload) */
    struct pieces payload;  /* the transport's header and text, exactly ip.payload_len octets */
    struct ip4_route route; /* the way back of one that came by a source route; n 0: it did not */
    uint8_t scratch[320];   /* headers that came in pieces, made contiguous */
};
#define IP_LOCAL_NONE UINT16_MAX

enum ip_verdict {
    IP_DONE,    /* consumed or dropped (and counted) */
    IP_DELIVER, /* d is a datagram for a transport: d->ip.proto is TCP or UDP (others were answered)
                 */
    IP_ERROR, /* an ICMP error about one of our datagrams: e is filled; d->ip.src is who sent it */
};
struct ip_error {
    enum icmp_meaning meaning;
    uint32_t mtu;            /* ICMP_MEANS_TOO_BIG; sane: at least 68 or 1280, or 0 */
    struct icmp_quote quote; /* quote.ip.src is ours: the local end */
    uint8_t via[16], port;   /* ICMP_MEANS_REDIRECT, which has been checked but for the quote */
};
enum ip_verdict ip_recv(struct ip_layer *l, uint8_t port, const struct estab_frame *f,
                        struct ip_dgram *d, struct ip_error *e);
struct ip_tcp { /* what it takes to parse and to verify a TCP segment; borrowed like a datagram */
    const struct estab_frame *frame;
    const uint8_t *src;  /* 16 octets */
    const uint8_t *head; /* as a datagram's */
    size_t head_len;
    struct pieces payload; /* header and text */
    uint64_t addr_sum;     /* ip_addr_sum() */
    uint16_t local, gso_size;
    uint8_t port, tos;
    bool csum_ok;
};
/* The frame that most are, ip_plain.c: true: a TCP segment for us is in it; false: ip_recv() has to
 * look at it, and nothing has happened. */
bool ip_plain_in(struct ip_layer *l, uint8_t port, const struct estab_frame *f, struct ip_tcp *out);
/* Who speaks in such a frame, looked at for nothing else: from where, to which of our addresses.
 * Returns where TCP's header begins, of which 20 octets are there; NULL: who it is cannot be told
 * at a glance. */
const uint8_t *ip_plain_ends(const struct ip_layer *l, const struct estab_frame *f, uint8_t src[16],
                             uint16_t *local);
/* What ip_recv() would have made of it. */
void ip_plain_whole(const struct ip_layer *l, const struct ip_tcp *in, struct ip_dgram *d);
void ip_tcp_of(const struct ip_dgram *d, struct ip_tcp *out); /* of what ip_recv() has delivered */
bool ip_frame_pieces(struct pieces *t, const struct estab_frame *f); /* false: absurdly long */
/* A drop by any layer, counted and traced; addresses from d if it is not NULL, ports unknown. */
void ip_drop(struct ip_layer *l, const struct ip_dgram *d, enum rule r);
/* Answers d with an ICMP error where RFC 1122 section 3.2.2 and RFC 4443 section 2.4 allow one,
 * within the limit. UDP asks for port unreachable with it. */
enum ip_unreach { IP_UNREACH_PROTO, IP_UNREACH_PORT };
void ip_reply_unreach(struct ip_layer *l, const struct ip_dgram *d, enum ip_unreach why);

/* ---- out ---- */

/* Finds port, next hop and source address (src NULL: chosen, RFC 6724's rules that apply to one
 * candidate set: same family, not tentative, longest match on the outgoing port; else src must be
 * ours).  port_hint: -1, or the port that a link-local destination belongs to.  0; ESTAB_E_UNREACH;
 * ESTAB_E_ADDRNOTAVAIL. */
int ip_path_find(struct ip_layer *l, const uint8_t dst[16], const uint8_t *src, int port_hint,
                 struct ip_path *out);
enum ip_ready {
    IP_READY,
    IP_WAIT, /* the neighbour is being asked; ask again when l->resolved changes */
    IP_LOST, /* the neighbour did not answer, or there is no way any more: the datagram would be
                lost */
};
/* Nothing has changed since it was found, and no neighbour is to be known: ready. */
static inline bool ip_path_is_plain(const struct ip_layer *l, const struct ip_path *p)
{
    return LIKELY(p->gen8 == (uint8_t)l->path_gen) &&
           l->ports[p->port].caps.medium != ESTAB_MEDIUM_ETHERNET;
}
enum ip_ready ip_path_renewed(struct ip_layer *l, struct ip_path *p, const uint8_t dst[16]);
/* Revalidates a stale path in place, starts resolution where needed. */
static inline enum ip_ready ip_path_ready(struct ip_layer *l, struct ip_path *p,
                                          const uint8_t dst[16])
{
    return ip_path_is_plain(l, p) ? IP_READY : ip_path_renewed(l, p, dst);
}
struct ip_doubt { /* what is known of a next hop that is not there */
    uint8_t addr[16];
    uint32_t asked, asks; /* how often it has been asked for, and will be at most */
    estab_time next_at;   /* when it is asked for again, or may be */
    bool failed;          /* it did not answer */
};
/* Whether the next hop's link address is unknown: looks, and starts nothing. */
bool ip_path_unknown(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                     struct ip_doubt *out);
/* The transport hears nothing from there any more: RFC 1122 section 3.3.1.4, RFC 4861
 * section 7.3.1. */
void ip_path_doubt(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16]);
static inline const uint8_t *ip_local(const struct ip_layer *l, uint16_t local)
{
    return l->addrs[local].addr;
}
int ip_local_find(const struct ip_layer *l,
                  const uint8_t addr[16]); /* index, or -1: not ours (or tentative) */
/* Of the first link: what is announced to peers (RFC 6691 section 2). */
static inline uint32_t ip_mtu(const struct ip_layer *l, const struct ip_path *p)
{
    return ip_is4(ip_local(l, p->local)) ? l->ports[p->port].caps.mtu : l->ports[p->port].mtu6;
}
/* What is known of the path beyond; NULL: nothing.  Until the next call to the layer. */
const struct ip_pmtu *ip_pmtu_find(struct ip_layer *l, const struct ip_path *p,
                                   const uint8_t dst[16]);
/* A transport has found out: packets of mtu octets arrive, larger ones than high do not. */
void ip_pmtu_learn(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16], uint32_t mtu,
                   uint32_t high);
/* The largest packet that is believed to arrive. */
uint32_t ip_pmtu(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16]);
/* A transport has found that a redirect is about something of its own: datagrams to dst go through
 * the neighbour via from now on. */
void ip_redirect(struct ip_layer *l, uint8_t port, const uint8_t dst[16], const uint8_t via[16]);
/* No path is believed to be narrower. */
static inline uint32_t ip_pmtu_least(const struct ip_layer *l, const uint8_t dst[16])
{
    return ip_is4(dst) ? l->pmtu_set.least4 : l->pmtu_set.least6;
}
static inline uint32_t ip_link_len(const struct ip_layer *l, const struct ip_path *p)
{
    return UNLIKELY(l->ports[p->port].caps.medium == ESTAB_MEDIUM_ETHERNET) ? IP_LINK_HDR_MAX : 0;
}
/* Octets that ip_emit() will write. */
static inline uint32_t ip_emit_len(const struct ip_layer *l, const struct ip_path *p,
                                   const uint8_t dst[16])
{
    return ip_hdr_len_of(dst) + ip_link_len(l, p);
}
struct ip_send {
    uint8_t proto, tos;
    uint8_t hop_limit;             /* 0: the layer's */
    uint32_t flow;                 /* IPv6 flow label */
    const struct ip4_route *route; /* ip4_route_len() octets more; NULL: none */
};
/* Where ip_link_len() says that there is one. */
void ip_emit_link(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                  uint8_t *out);
/* ip_emit_bare() of anything but an IPv4 header without options. */
void ip_emit_any(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                 const struct ip_send *how, uint32_t payload_len, uint8_t *out);
/* The header that every link sees alike. */
static inline void ip_emit_bare(const struct ip_layer *l, const struct ip_path *p,
                                const uint8_t dst[16], const struct ip_send *how,
                                uint32_t payload_len, uint8_t *out)
{
    if (LIKELY(ip_is4(dst) && !how->route))
        ip4_emit_plain(ip_local(l, p->local) + 12, dst + 12, how->proto, how->tos,
                       how->hop_limit ? how->hop_limit : l->hop_limit, payload_len, out);
    else
        ip_emit_any(l, p, dst, how, payload_len, out);
}
/* Writes link and IP headers for payload_len octets into out (ip_emit_len() octets).  DF is always
 * set: no transport here lets its datagrams be fragmented (RFC 6864: the identification of an
 * atomic datagram may be anything: 0).  The layer's own may be: ip_frag.c. */
static inline void ip_emit(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                           const struct ip_send *how, uint32_t payload_len, uint8_t *out)
{
    uint32_t link_len = ip_link_len(l, p);

    if (UNLIKELY(link_len > 0))
        ip_emit_link(l, p, dst, out);
    ip_emit_bare(l, p, dst, how, payload_len, out + link_len);
}
struct ip_cut { /* how a datagram goes that may be fragmented */
    uint32_t id;
    uint32_t slice; /* octets of payload in each fragment but the last */
    bool atomic;    /* in one piece, and nobody may cut it */
};
void ip_cut_of(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16], uint8_t proto,
               uint32_t payload_len, struct ip_cut *out);
/* ip_emit() for the len octets at off of payload_len; returns how many it has written: at most 8
 * more. */
uint32_t ip_emit_cut(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                     const struct ip_send *how, const struct ip_cut *cut, uint32_t off,
                     uint32_t len, uint32_t payload_len, uint8_t *out);
/* A datagram whose next hop ip_path_ready() was IP_WAIT for: copied, to go when the neighbour is
 * known, as one of the layer's own.  They are few, for each neighbour and in all: beyond that they
 * are dropped. */
void ip_keep(struct ip_layer *l, struct ip_path *p, const uint8_t dst[16],
             const struct ip_send *how, const struct pieces *payload);

/* ---- the layer's own packets and deadlines ---- */

/* The next packet of our own on this port, as a complete frame; false: none.  lent until the next
 * ip_reap(). */
bool ip_pull(struct ip_layer *l, uint8_t port, struct estab_frame *f);
static inline bool ip_has_output(const struct ip_layer *l, uint8_t port)
{
    return l->ports[port].queue_head != NULL;
}
/* What ip_pull() lent is free again: when a public call begins or ends. */
RARE void ip_reap(struct ip_layer *l);
static inline bool ip_has_lent(const struct ip_layer *l)
{
    return l->pkt_lent || l->reass.lent;
}
static inline estab_time ip_next(const struct ip_layer *l)
{
    return l->next_at;
}
int ip_expire(struct ip_layer *l); /* how many deadlines passed */

#endif

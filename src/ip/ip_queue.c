/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_queue.c - packets of our own: answers, errors, ARP and neighbour discovery, in a bounded pool.
 *
 * The pool is made when ports are added and never grows afterwards.  Three bounds keep one use from
 * starving another: a port's queue holds half of the pool at most, answers leave the last packets
 * of it to what the layer needs itself, and few wait for any one neighbour.
 *
 * An answer too large for that, or for a frame, has memory of its own, within a bound; it stands in
 * the queue as one packet and leaves it in fragments. */
#include "ip/ip_int.h"
#include <assert.h>

#define OWN_PACKETS    64
#define OWN_PER_PORT   (OWN_PACKETS / 2)
#define OWN_RESERVED   (OWN_PACKETS / 4)
#define OWN_PACKET_MAX 9216 /* octets of IP packet */
#define OWN_PACKET_MIN IP6_MTU_MIN
#define OWN_BIG_MAX    (256u << 10) /* octets of those that are too large for the pool */

static size_t own_stride(uint32_t cap)
{
    size_t n = sizeof(struct ip_pkt) + IP_OWN_HEADROOM + cap;

    return (n + _Alignof(struct ip_pkt) - 1) / _Alignof(struct ip_pkt) * _Alignof(struct ip_pkt);
}

static void *own_at(uint8_t *mem, size_t off)
{
    return mem + off;
}

static void free_all(struct ip_layer *l, struct ip_pkt *k)
{
    struct ip_pkt *next;

    for (; k; k = next) {
        next = k->next;
        ip_own_free(l, k);
    }
}

void ip_own_fini(struct ip_layer *l)
{
    uint32_t i;

    for (i = 0; i < l->nports; i++)
        free_all(l, l->ports[i].queue_head);
    free_all(l, l->pkt_lent);
    env_free(l->env, l->pkt_mem, l->pkt_mem_len, _Alignof(struct ip_pkt));
    l->pkt_mem = NULL;
    l->pkt_free = l->pkt_lent = NULL;
}

/* A port with a larger MTU needs larger packets.  What waits in the old ones is dropped, as a lossy
 * link would: ports are added before there is traffic. */
int ip_own_pool(struct ip_layer *l, uint32_t mtu)
{
    uint32_t cap = mtu < OWN_PACKET_MIN ? OWN_PACKET_MIN : mtu, i;
    struct ip_pkt *k;
    uint8_t *mem;
    size_t stride;

    if (cap > OWN_PACKET_MAX)
        cap = OWN_PACKET_MAX;
    if (l->pkt_mem && cap <= l->pkt_cap)
        return ESTAB_OK;
    stride = own_stride(cap);
    mem = env_alloc(l->env, stride * OWN_PACKETS, _Alignof(struct ip_pkt));
    if (!mem)
        return ESTAB_E_NOMEM;
    ip_neigh_drop_waiting(l);
    ip_own_fini(l);
    for (i = 0; i < l->nports; i++) {
        l->ports[i].queue_head = l->ports[i].queue_tail = NULL;
        l->ports[i].nqueued = 0;
    }
    l->pkt_mem = mem;
    l->pkt_mem_len = stride * OWN_PACKETS;
    l->pkt_cap = cap;
    l->pkt_nfree = 0;
    for (i = OWN_PACKETS; i-- > 0;) {
        k = own_at(mem, i * stride);
        k->size = 0;
        ip_own_free(l, k);
    }
    return ESTAB_OK;
}

static void own_begin(struct ip_pkt *k, uint32_t payload_len, uint32_t stride, size_t size)
{
    k->next = NULL;
    k->start = IP_OWN_HEADROOM;
    k->len = payload_len;
    k->left = 0;
    k->stride = stride;
    k->size = size;
}

static struct ip_pkt *own_small(struct ip_layer *l, uint32_t payload_len, uint32_t reserved)
{
    struct ip_pkt *k = l->pkt_free;

    if (payload_len + IP4_HDR_LEN > l->pkt_cap || l->pkt_nfree <= reserved)
        return NULL;
    l->pkt_free = k->next;
    l->pkt_nfree--;
    own_begin(k, payload_len, 0, 0);
    return k;
}

struct ip_pkt *ip_own_new(struct ip_layer *l, uint32_t payload_len)
{
    return own_small(l, payload_len, 0);
}

struct ip_pkt *ip_own_answer(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                             uint32_t payload_len)
{
    uint32_t slice = ip_frag_slice(l, p, dst, payload_len);
    uint32_t n = (payload_len + slice - 1) / slice, stride = IP_OWN_HEADROOM + slice;
    size_t size = sizeof(struct ip_pkt) + (size_t)n * stride;
    struct ip_pkt *k;

    if (n <= 1 && payload_len + IP4_HDR_LEN <= l->pkt_cap)
        return own_small(l, payload_len, OWN_RESERVED);
    if (size > OWN_BIG_MAX - l->pkt_big)
        return NULL;
    k = env_alloc(l->env, size, _Alignof(struct ip_pkt));
    if (!k)
        return NULL;
    l->pkt_big += size;
    own_begin(k, payload_len, stride, size);
    return k;
}

void ip_own_free(struct ip_layer *l, struct ip_pkt *k)
{
    if (k->size) {
        l->pkt_big -= k->size;
        env_free(l->env, k, k->size, _Alignof(struct ip_pkt));
        return;
    }
    k->next = l->pkt_free;
    l->pkt_free = k;
    l->pkt_nfree++;
}

void ip_own_queue(struct ip_layer *l, uint8_t port, struct ip_pkt *k)
{
    struct ip_port *pt = &l->ports[port];

    if (pt->nqueued == OWN_PER_PORT) {
        ip_drop(l, NULL, RULE_REPLY_FULL);
        ip_own_free(l, k);
        return;
    }
    k->next = NULL;
    if (pt->queue_tail)
        pt->queue_tail->next = k;
    else
        pt->queue_head = k;
    pt->queue_tail = k;
    pt->nqueued++;
}

static void own_push_front(struct ip_pkt *k, uint32_t n)
{
    assert(n <= k->start);
    k->start -= n;
    k->len += n;
}

void ip_own_send_eth(struct ip_layer *l, struct ip_pkt *k, uint8_t port, const uint8_t mac[6],
                     uint16_t ethertype)
{
    struct eth h;

    memcpy(h.dst, mac, 6);
    memcpy(h.src, l->ports[port].caps.mac, 6);
    h.type = ethertype;
    own_push_front(k, ETH_HDR_LEN);
    eth_emit(&h, k->data + k->start);
    ip_own_queue(l, port, k);
}

void ip_own_send_link(struct ip_layer *l, struct ip_pkt *k, uint8_t port, const uint8_t mac[6],
                      const uint8_t src[16], const uint8_t dst[16], const struct ip_send *how)
{
    uint32_t payload_len = k->len;

    own_push_front(k, ip_hdr_len_of(dst) + IP_LINK_HDR_MAX);
    ip_headers(l, port, mac, src, dst, how, NULL, payload_len, k->data + k->start);
    ip_own_queue(l, port, k);
}

void ip_own_send(struct ip_layer *l, struct ip_pkt *k, struct ip_path *p, const uint8_t dst[16],
                 const struct ip_send *how)
{
    enum ip_ready ready = ip_path_ready(l, p, dst);

    if (ready == IP_LOST) {
        ip_drop(l, NULL, RULE_NEIGHBOUR_UNKNOWN);
        ip_own_free(l, k);
        return;
    }
    ip_frag_cut(l, k, p, dst, how);
    if (ready == IP_WAIT)
        ip_neigh_wait(l, &l->neigh[p->neigh], k);
    else
        ip_own_queue(l, p->port, k);
}

void ip_keep(struct ip_layer *l, struct ip_path *p, const uint8_t dst[16],
             const struct ip_send *how, const struct pieces *payload)
{
    struct ip_pkt *k = ip_own_answer(l, p, dst, payload->len);

    if (!k) {
        ip_drop(l, NULL, RULE_REPLY_FULL);
        return;
    }
    pieces_copy(ip_own_payload(k), payload, 0, payload->len);
    ip_own_send(l, k, p, dst, how);
}

void ip_own_to(struct ip_pkt *k, const uint8_t mac[6])
{
    uint32_t i;

    for (i = 0; i <= k->left; i++)
        memcpy(k->data + k->start + (size_t)i * k->stride, mac, 6);
}

bool ip_pull(struct ip_layer *l, uint8_t port, struct estab_frame *f)
{
    struct ip_port *pt = &l->ports[port];
    struct ip_pkt *k = pt->queue_head;

    if (!k)
        return false;
    memset(f, 0, sizeof *f);
    f->iov[0].base = k->data + k->start;
    f->iov[0].len = k->len;
    f->niov = 1;
    if (k->left > 0) {
        k->start += k->stride;
        if (--k->left == 0)
            k->len = k->last_len;
        return true;
    }
    pt->queue_head = k->next;
    if (!pt->queue_head)
        pt->queue_tail = NULL;
    pt->nqueued--;
    k->next = l->pkt_lent;
    l->pkt_lent = k;
    l->env->held = true;
    return true;
}

void ip_reap(struct ip_layer *l)
{
    struct ip_pkt *k;

    while ((k = l->pkt_lent)) {
        l->pkt_lent = k->next;
        ip_own_free(l, k);
    }
    ip_reass_reap(l);
}

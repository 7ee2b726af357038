/* SPDX-License-Identifier: BSD-2-Clause */
/* udp_output.c - datagrams handed out: sockets with something to send take turns, a datagram each.
 *
 * A datagram too large for its path goes in fragments, cut as it is handed out. */
#include "udp/udp.h"

#define SEND_AT  offsetof(struct udp_sock, send)
#define LENDS_AT offsetof(struct udp_sock, lends)

void udp_owe(struct udp_layer *l, struct udp_sock *u, uint8_t port)
{
    if (u->in_send)
        return;
    u->in_send = true;
    u->send_port = port;
    slot_push(&l->socks, &l->send[port], u->slot, SEND_AT);
}

void udp_unlist(struct udp_layer *l, struct udp_sock *u)
{
    if (u->in_send)
        slot_del(&l->socks, &l->send[u->send_port], u->slot, SEND_AT);
    u->in_send = false;
}

static void head_of(const struct udp_sock *u, struct udp_out *o)
{
    ring_copy(&u->snd, u->lent, o, sizeof *o);
}

/* The first datagram is done with, one way or the other. */
static void next_datagram(struct udp_layer *l, struct udp_sock *u, const struct udp_out *o)
{
    struct udp_out next;

    u->lent += (uint32_t)sizeof *o + o->len;
    u->handed = 0;
    u->nsnd--;
    if (!u->in_lent) {
        u->in_lent = true;
        slot_push(&l->socks, &l->lends, u->slot, LENDS_AT);
        l->env->held = true;
    }
    udp_unlist(l, u);
    if (u->nsnd) {
        head_of(u, &next);
        udp_owe(l, u, next.path.port);
    }
    if (u->want_out && udp_unsent(u) < u->sndbuf) {
        u->want_out = false;
        udp_raise(l, u, ESTAB_EV_OUT);
        l->env->raised |= u->in_ready;
    }
}

/* One frame of the first datagram; true: it was the last of it. [RFC1122-3.3.3-1] */
static bool hand_out(struct udp_layer *l, struct udp_sock *u, struct udp_out *o,
                     struct estab_frame *f, uint8_t *hdr)
{
    struct ip_send how = {.proto = IPPROTO_UDP_, .tos = o->tos, .hop_limit = o->hop_limit};
    uint32_t slice;

    if (!u->handed)
        ip_cut_of(l->ip, &o->path, o->dst, IPPROTO_UDP_, o->len, &u->cut);
    slice = o->len - u->handed < u->cut.slice ? o->len - u->handed : u->cut.slice;
    memset(f, 0, sizeof *f);
    f->iov[0].base = hdr;
    f->iov[0].len =
        ip_emit_cut(l->ip, &o->path, o->dst, &how, &u->cut, u->handed, slice, o->len, hdr);
    f->niov = 1 + ring_peek(&u->snd, u->lent + (uint32_t)sizeof *o + u->handed, slice, f->iov + 1);
    u->handed += slice;
    return u->handed == o->len;
}

/* The next hop has become unknown again since the datagram was queued. */
static void set_aside(struct udp_layer *l, struct udp_sock *u, struct udp_out *o, bool wait)
{
    struct ip_send how = {.proto = IPPROTO_UDP_, .tos = o->tos, .hop_limit = o->hop_limit};
    struct pieces t = {.len = o->len};

    if (wait && !u->handed) {
        t.n = ring_peek(&u->snd, u->lent + (uint32_t)sizeof *o, o->len, t.v);
        ip_keep(l->ip, &o->path, o->dst, &how, &t);
    } else {
        ip_drop(l->ip, NULL, RULE_NEIGHBOUR_UNKNOWN);
    }
    next_datagram(l, u, o);
}

uint32_t udp_pull(struct udp_layer *l, uint8_t port, struct estab_frame *f, struct gso_hdr *hdrs,
                  uint32_t n, uint32_t room)
{
    while (n < room && l->send[port].head != SLAB_NONE) {
        struct udp_sock *u = udp_at(l, l->send[port].head);
        enum ip_ready ready;
        struct udp_out o;
        struct pieces t;

        head_of(u, &o);
        ready = ip_path_ready(l->ip, &o.path, o.dst);
        if (ready != IP_READY) {
            set_aside(l, u, &o, ready == IP_WAIT);
            continue;
        }
        t = (struct pieces){.v = {{&o, sizeof o}}, .n = 1, .len = sizeof o};
        (void)ring_put(&u->snd, &l->pool, u->lent, &t); /* in its place: takes no memory */
        if (o.path.port != port) {
            udp_unlist(l, u);
            udp_owe(l, u, o.path.port);
            continue;
        }
        if (hand_out(l, u, &o, &f[n], hdrs[n].b)) {
            u->dgrams_out++;
            u->octets_out += o.len - UDP_HDR_LEN;
            next_datagram(l, u, &o);
        }
        n++;
    }
    return n;
}

void udp_reap(struct udp_layer *l)
{
    while (l->lends.head != SLAB_NONE) {
        struct udp_sock *u = udp_at(l, l->lends.head);

        slot_del(&l->socks, &l->lends, u->slot, LENDS_AT);
        u->in_lent = false;
        ring_drop(&u->snd, &l->pool, u->lent, false);
        u->lent = 0;
        if (u->orphan && !u->nsnd)
            udp_free(l, u);
    }
}

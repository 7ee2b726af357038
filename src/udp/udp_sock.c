/* SPDX-License-Identifier: BSD-2-Clause */
/* udp_sock.c - the life of a UDP socket, its readiness, and the user's calls. */
#include "base/csum.h"
#include "udp/udp.h"

#define READY_AT offsetof(struct udp_sock, ready)

struct udp_in { /* what a datagram to read begins with in its queue */
    uint8_t from[16];
    uint16_t local, port, scope;
    uint16_t len; /* of the text */
    uint8_t hop_limit, tos;
};

struct udp_sock *udp_new(struct udp_layer *l)
{
    uint32_t slot = slab_get(&l->socks);
    struct udp_sock *u;

    if (slot == SLAB_NONE) {
        rule_count(l->rules, RULE_NO_MEMORY);
        return NULL;
    }
    u = udp_at(l, slot);
    memset(u, 0, sizeof *u);
    u->slot = slot;
    u->local = u->bound_to = UDP_ANY;
    u->rcvbuf = u->sndbuf = UDP_BUF;
    ring_init(&u->rcv);
    ring_init(&u->snd);
    return u;
}

void udp_free(struct udp_layer *l, struct udp_sock *u)
{
    udp_unlist(l, u);
    ring_fini(&u->snd, &l->pool);
    slab_put(&l->socks, u->slot);
}

void udp_close(struct udp_layer *l, struct udp_sock *u, bool now)
{
    udp_unbind(l, u);
    if (u->in_ready)
        slot_del(&l->socks, &l->ready, u->slot, READY_AT);
    u->in_ready = false;
    u->ev_mask = 0;
    ring_fini(&u->rcv, &l->pool);
    u->orphan = true;
    if (now || !u->nsnd)
        udp_free(l, u);
}

estab_sock udp_handle(const struct udp_layer *l, const struct udp_sock *u)
{
    return (estab_sock)slab_gen(&l->socks, u->slot) << 32 | UDP_REF | u->slot;
}

void udp_raise(struct udp_layer *l, struct udp_sock *u, uint8_t ev)
{
    ev &= u->ev_mask;
    if (!ev || u->orphan)
        return;
    u->ev_pending |= ev;
    if (u->in_ready)
        return;
    u->in_ready = true;
    slot_push(&l->socks, &l->ready, u->slot, READY_AT);
}

uint8_t udp_level(const struct udp_sock *u)
{
    uint8_t ev = 0;

    if (u->err)
        ev |= ESTAB_EV_ERR | ESTAB_EV_IN | ESTAB_EV_OUT;
    if (u->nrcv)
        ev |= ESTAB_EV_IN;
    if (u->rd_shut)
        ev |= ESTAB_EV_IN | ESTAB_EV_RDHUP;
    if (u->rd_shut && u->wr_shut)
        ev |= ESTAB_EV_HUP;
    if (u->wr_shut || udp_unsent(u) < u->sndbuf)
        ev |= ESTAB_EV_OUT;
    return ev;
}

/* Told once. */
static int take_udp_error(struct udp_sock *u)
{
    int err = u->err;

    u->err = 0;
    return err;
}

int udp_shutdown(struct udp_layer *l, struct udp_sock *u, enum estab_how how)
{
    if (!u->pport)
        return ESTAB_E_NOTCONN;
    u->rd_shut |= (how & ESTAB_SHUT_RD) != 0;
    u->wr_shut |= (how & ESTAB_SHUT_WR) != 0;
    udp_raise(l, u, udp_level(u));
    return 0;
}

/* ---- sending ---- */

static int append(struct udp_layer *l, struct udp_sock *u, const void *p, size_t len)
{
    struct pieces t = {.v = {{(void *)(uintptr_t)p, len}}, .n = 1, .len = (uint32_t)len};

    return ring_write(&u->snd, &l->pool, &t);
}

/* The checksum, in its place behind the record's header at `at`. [RFC1122-4.1.3.4-2] */
static void put_csum(struct udp_layer *l, struct udp_sock *u, const struct udp_out *o, uint32_t at)
{
    const uint8_t *src = ip_local(l->ip, o->path.local);
    struct pieces t = {.len = o->len};
    uint16_t sum;

    t.n = ring_peek(&u->snd, at, o->len, t.v);
    sum = (uint16_t)~csum_fold(csum_pieces(ip_pseudo(src, o->dst, IPPROTO_UDP_, o->len), &t));
    if (sum == 0)
        sum = 0xffff; /* RFC 768: zero says that there is none */
    t = (struct pieces){.v = {{&sum, sizeof sum}}, .n = 1, .len = sizeof sum};
    (void)ring_put(&u->snd, &l->pool, at + 6, &t); /* in its place: takes no memory */
}

/* All of the datagram, or nothing of it. */
static int enqueue_datagram(struct udp_layer *l, struct udp_sock *u, const struct udp_out *o,
                            uint16_t dport, const struct estab_iov *iov, size_t niov)
{
    struct udp_hdr h = {u->lport, dport, (uint16_t)o->len, 0};
    uint8_t hdr[UDP_HDR_LEN];
    uint32_t before = u->snd.len;
    int err;

    udp_emit(&h, hdr);
    err = append(l, u, o, sizeof *o);
    if (!err)
        err = append(l, u, hdr, sizeof hdr);
    for (size_t i = 0; i < niov && !err; i++)
        err = append(l, u, iov[i].base, iov[i].len);
    if (err) {
        ring_unwrite(&u->snd, &l->pool, u->snd.len - before);
        return err;
    }
    put_csum(l, u, o, before + (uint32_t)sizeof *o);
    return 0;
}

/* The next hop is being asked for its address: the internet layer keeps what goes there. */
static void leave_waiting(struct udp_layer *l, struct udp_sock *u, struct udp_out *o)
{
    uint32_t all = (uint32_t)sizeof *o + o->len;
    struct ip_send how = {.proto = IPPROTO_UDP_, .tos = o->tos, .hop_limit = o->hop_limit};
    struct pieces t = {.len = o->len};

    t.n = ring_peek(&u->snd, u->snd.len - o->len, o->len, t.v);
    ip_keep(l->ip, &o->path, o->dst, &how, &t);
    ring_unwrite(&u->snd, &l->pool, all);
    u->dgrams_out++;
    u->octets_out += o->len - UDP_HDR_LEN;
}

/* Where it goes: to the peer, or to whom the user says. */
static int path_to(struct udp_layer *l, struct udp_sock *u, const struct estab_addr *to,
                   struct udp_out *o)
{
    const uint8_t *src = u->local < UDP_ANY4 ? ip_local(l->ip, u->local) : NULL;

    if (!to) {
        memcpy(o->dst, u->peer, 16);
        o->path = u->path;
        return 0;
    }
    if (to->port == 0 || ip_is_any(to->ip))
        return ESTAB_E_INVAL;
    if (!udp_may_reach(u, to->ip))
        return ESTAB_E_ADDRNOTAVAIL;
    memcpy(o->dst, to->ip, 16);
    return ip_path_find(l->ip, to->ip, src, to->scope ? to->scope - 1 : -1, &o->path);
}

/* Header and text must fit into one IP datagram. */
static int datagram_len(const struct udp_out *o, const struct estab_iov *iov, size_t niov,
                        uint32_t *len)
{
    uint32_t max = UINT16_MAX - (ip_is4(o->dst) ? IP4_HDR_LEN : 0);
    size_t n = UDP_HDR_LEN;

    for (size_t i = 0; i < niov; i++) {
        if (iov[i].len > max - n)
            return ESTAB_E_MSGSIZE;
        n += iov[i].len;
    }
    *len = (uint32_t)n;
    return 0;
}

ptrdiff_t udp_send(struct udp_layer *l, struct udp_sock *u, const struct estab_iov *iov,
                   size_t niov, uint32_t flags, const struct estab_addr *to)
{
    struct udp_out o = {.hop_limit = u->hop_limit, .tos = u->tos};
    enum ip_ready ready;
    int err;

    if (flags & ESTAB_MSG_OOB)
        return ESTAB_E_NOTSUP;
    if (u->err)
        return take_udp_error(u);
    if (u->wr_shut)
        return ESTAB_E_PIPE;
    if (!to && !u->pport)
        return ESTAB_E_NOTCONN;
    err = path_to(l, u, to, &o);
    if (!err)
        err = datagram_len(&o, iov, niov, &o.len);
    if (!err)
        err = udp_bind_any(l, u);
    if (!err && udp_unsent(u) >= u->sndbuf) {
        u->want_out = true;
        err = ESTAB_E_AGAIN;
    }
    if (err)
        return err;
    ready = ip_path_ready(l->ip, &o.path, o.dst);
    if (ready == IP_LOST)
        return ESTAB_E_UNREACH;
    err = enqueue_datagram(l, u, &o, to ? to->port : u->pport, iov, niov);
    if (err)
        return err;
    if (ready == IP_WAIT) {
        leave_waiting(l, u, &o);
    } else {
        u->nsnd++;
        udp_owe(l, u, o.path.port);
    }
    return (ptrdiff_t)(o.len - UDP_HDR_LEN);
}

/* ---- receiving ---- */

/* Stores p behind the queue at *off, which moves on. */
static bool store_at(struct udp_layer *l, struct udp_sock *u, uint32_t *off, const struct pieces *t)
{
    if (ring_put(&u->rcv, &l->pool, *off, t) != 0)
        return false;
    *off += t->len;
    return true;
}

/* An empty queue takes any datagram; one that is not takes those for which there is room. */
void udp_queue_in(struct udp_layer *l, struct udp_sock *u, const struct ip_dgram *d,
                  const struct udp_hdr *h)
{
    struct udp_in in = {
        .local = d->local, .port = h->sport, .len = (uint16_t)(h->len - UDP_HDR_LEN)};
    struct pieces head = {.v = {{&in, sizeof in}}, .n = 1, .len = sizeof in}, text;
    uint32_t end = u->rcv.len;

    memcpy(in.from, d->ip.src, 16);
    in.scope = ip_is_link_local6(d->ip.src) ? (uint16_t)(d->port + 1) : 0;
    in.hop_limit = d->ip.hop_limit;
    in.tos = d->ip.tos;
    if (u->nrcv &&
        (u->rcv.len + sizeof in + in.len > u->rcvbuf || env_pressure(l->env) == ENV_SCARCE)) {
        u->refused++;
        ip_drop(l->ip, d, RULE_UDP_FULL);
        return;
    }
    pieces_after(&text, &d->payload, UDP_HDR_LEN);
    pieces_trim_tail(&text, text.len - in.len);
    if (!store_at(l, u, &end, &head) || !store_at(l, u, &end, &text)) {
        ring_drop(&u->rcv, &l->pool, 0, false);
        u->refused++;
        ip_drop(l->ip, d, RULE_NO_MEMORY);
        return;
    }
    ring_extend(&u->rcv, end - u->rcv.len);
    u->nrcv++;
    u->dgrams_in++;
    u->octets_in += in.len;
    udp_raise(l, u, ESTAB_EV_IN);
}

static void put_local(const struct udp_layer *l, uint16_t local, uint8_t out[16])
{
    memset(out, 0, 16);
    if (local < UDP_ANY4)
        memcpy(out, ip_local(l->ip, local), 16);
    else if (local == UDP_ANY4)
        out[10] = out[11] = 0xff;
}

/* [RFC1122-4.1.3.5-1] */
static void put_info(const struct udp_layer *l, const struct udp_sock *u, const struct udp_in *in,
                     size_t copied, struct estab_recv_info *info)
{
    struct estab_recv_info all = {.size = info->size,
                                  .from = {.port = in->port, .scope = in->scope},
                                  .local = {.port = u->lport},
                                  .len = in->len,
                                  .truncated = copied < in->len,
                                  .hop_limit = in->hop_limit,
                                  .tos = in->tos};

    memcpy(all.from.ip, in->from, 16);
    put_local(l, in->local, all.local.ip);
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
}

ptrdiff_t udp_receive(struct udp_layer *l, struct udp_sock *u, const struct estab_iov *iov,
                      size_t niov, uint32_t flags, struct estab_recv_info *info)
{
    struct udp_in in;
    uint32_t n = 0;

    if (u->err)
        return take_udp_error(u);
    if (!u->nrcv)
        return u->rd_shut ? 0 : ESTAB_E_AGAIN;
    ring_copy(&u->rcv, 0, &in, sizeof in);
    for (size_t i = 0; i < niov && n < in.len; i++) {
        uint32_t some = iov[i].len < in.len - n ? (uint32_t)iov[i].len : in.len - n;

        ring_copy(&u->rcv, (uint32_t)sizeof in + n, iov[i].base, some);
        n += some;
    }
    if (info)
        put_info(l, u, &in, n, info);
    if (!(flags & ESTAB_MSG_PEEK)) {
        ring_drop(&u->rcv, &l->pool, (uint32_t)sizeof in + in.len, false);
        u->nrcv--;
    }
    return (ptrdiff_t)n;
}

void udp_info(const struct udp_layer *l, const struct udp_sock *u, struct estab_tcp_info *i)
{
    i->type = ESTAB_UDP;
    i->state = u->pport ? ESTAB_ESTABLISHED : ESTAB_CLOSED;
    i->orphan = u->orphan;
    put_local(l, u->local, i->local.ip);
    memcpy(i->peer.ip, u->peer, 16);
    i->local.port = u->lport;
    i->peer.port = u->pport;
    i->unread = u->rcv.len - u->nrcv * (uint32_t)sizeof(struct udp_in);
    i->unsent = udp_unsent(u) - u->nsnd * (uint32_t)(sizeof(struct udp_out) + UDP_HDR_LEN);
    i->bytes_received = u->octets_in;
    i->bytes_sent = u->octets_out;
    i->segs_in = u->dgrams_in;
    i->segs_out = u->dgrams_out;
    i->refused = u->refused;
}

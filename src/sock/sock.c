/* SPDX-License-Identifier: BSD-2-Clause */
/* sock.c - handles and readiness: the user's side of a connection. */
#include "sock/sock.h"

int estab_socket(estab_stack *s, enum estab_type type, estab_sock *out)
{
    struct udp_sock *u = NULL;
    struct tcb *t = NULL;

    if (type != ESTAB_TCP && type != ESTAB_UDP)
        return ESTAB_E_INVAL;
    stack_enter(s);
    if (type == ESTAB_TCP)
        t = tcp_memory_refuses(&s->tcp) ? NULL : tcb_new(&s->tcp);
    else
        u = udp_new(&s->udp);
    if (t || u)
        *out = t ? tcb_handle(t) : udp_handle(&s->udp, u);
    if (t)
        tcp_call(&s->tcp, *out, t);
    stack_leave(s);
    return t || u ? 0 : ESTAB_E_NOMEM;
}

/* [MUST-43] */
int estab_bind(estab_stack *s, estab_sock k, const struct estab_addr *local)
{
    struct tcb *t = sock_tcb(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    int err;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? tcp_bind(t, local) : udp_bind(&s->udp, u, local);
    stack_leave(s);
    return err;
}

int estab_listen(estab_stack *s, estab_sock k, uint32_t backlog)
{
    struct tcb *t = sock_tcb(s, k);
    int err;

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    stack_enter(s);
    err = tcp_open_passive(t, backlog);
    stack_leave(s);
    return err;
}

int estab_accept(estab_stack *s, estab_sock k, estab_sock *out, struct estab_addr *peer)
{
    struct tcb *t = sock_tcb(s, k), *child;

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    if (t->state != ESTAB_LISTEN)
        return ESTAB_E_INVAL;
    stack_enter(s);
    child = tcp_accept(t);
    if (child) {
        *out = tcb_handle(child);
        tcp_call(&s->tcp, *out, child);
        if (peer) {
            *peer = (struct estab_addr){.port = child->pport};
            memcpy(peer->ip, child->peer, 16);
        }
    }
    stack_leave(s);
    return child ? 0 : ESTAB_E_AGAIN;
}

int estab_source_route(estab_stack *s, estab_sock k, const struct estab_addr *hops, size_t n,
                       bool strict)
{
    struct tcb *t = sock_tcb(s, k);
    struct ip4_route route = {.strict = strict};

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_INVAL : ESTAB_E_BADF;
    if (n > IP4_ROUTE_MAX)
        return ESTAB_E_INVAL;
    for (size_t i = 0; i < n; i++) {
        if (!ip_is4(hops[i].ip) || ip_is_any(hops[i].ip) || ip_is_multicast(hops[i].ip) ||
            ip_is_loopback(hops[i].ip) || hops[i].ip[12] >= 240)
            return ESTAB_E_INVAL;
        memcpy(route.hop[route.n++], hops[i].ip + 12, 4);
    }
    return tcp_route_user(t, &route);
}

int estab_connect(estab_stack *s, estab_sock k, const struct estab_addr *peer)
{
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    int err;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? tcp_open_active(t, peer) : udp_connect(&s->udp, u, peer);
    stack_leave(s);
    return err;
}

ptrdiff_t estab_sendto(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                       uint32_t flags, const struct estab_addr *to)
{
    bool again = k == s->tcp.called.handle;
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    ptrdiff_t n;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    if (!again && LIKELY(t != NULL))
        tcb_warm(t);
    stack_enter(s);
    n = LIKELY(t != NULL) ? tcp_send(t, iov, niov, flags)
                          : udp_send(&s->udp, u, iov, niov, flags, to);
    stack_leave(s);
    return n;
}

ptrdiff_t estab_send(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags)
{
    return estab_sendto(s, k, iov, niov, flags, NULL);
}

static void info_of_stream(const struct tcb *t, ptrdiff_t n, struct estab_recv_info *info)
{
    struct estab_tcp_info i = {.size = sizeof i};
    struct estab_recv_info all = {.size = info->size};

    tcp_info(t, &i);
    all.from = i.peer;
    all.local = i.local;
    all.len = n > 0 ? (size_t)n : 0;
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
}

ptrdiff_t estab_recvfrom(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                         uint32_t flags, struct estab_recv_info *info)
{
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    ptrdiff_t n;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    n = LIKELY(t != NULL) ? tcp_receive(t, iov, niov, flags)
                          : udp_receive(&s->udp, u, iov, niov, flags, info);
    if (UNLIKELY(t && info))
        info_of_stream(t, n, info);
    stack_leave(s);
    return n;
}

ptrdiff_t estab_recv(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags)
{
    return estab_recvfrom(s, k, iov, niov, flags, NULL);
}

ptrdiff_t estab_send_lend(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                          uint32_t flags)
{
    struct tcb *t = sock_call(s, k);
    ptrdiff_t n;

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    if (flags & ~(uint32_t)ESTAB_MSG_MORE)
        return ESTAB_E_INVAL;
    stack_enter(s);
    n = tcp_lent_send(t, iov, niov, flags);
    stack_leave(s);
    return n;
}

ptrdiff_t estab_send_lent(estab_stack *s, estab_sock k)
{
    const struct tcb *t = sock_tcb(s, k);

    if (!t)
        return sock_udp(s, k) ? 0 : ESTAB_E_BADF;
    return (ptrdiff_t)tcp_lent_len(t);
}

int estab_recv_lend(estab_stack *s, estab_sock k, void *buf, size_t len)
{
    struct tcb *t = sock_call(s, k);
    int err;

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    if (!buf || len == 0 || len > 1u << 31)
        return ESTAB_E_INVAL;
    stack_enter(s);
    err = tcp_recv_lend(t, buf, (uint32_t)len);
    stack_leave(s);
    return err;
}

ptrdiff_t estab_recv_end(estab_stack *s, estab_sock k)
{
    struct tcb *t = sock_call(s, k);
    ptrdiff_t n;

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    stack_enter(s);
    n = tcp_recv_end(t);
    stack_leave(s);
    return n;
}

static int shut_stream(struct tcb *t, enum estab_how how)
{
    if (t->state == ESTAB_CLOSED || t->state == ESTAB_LISTEN)
        return ESTAB_E_NOTCONN;
    if (how & ESTAB_SHUT_RD)
        tcp_shut_read(t);
    return how & ESTAB_SHUT_WR ? tcp_close(t) : 0;
}

int estab_shutdown(estab_stack *s, estab_sock k, enum estab_how how)
{
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    int err;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? shut_stream(t, how) : udp_shutdown(&s->udp, u, how);
    stack_leave(s);
    return err;
}

int estab_close(estab_stack *s, estab_sock k)
{
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    int err = 0;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    if (t)
        err = tcp_dispose(t);
    else
        udp_close(&s->udp, u, false);
    stack_leave(s);
    return err;
}

int estab_abort(estab_stack *s, estab_sock k)
{
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    if (t) {
        tcp_orphan(t);
        tcp_abort(t);
    } else {
        udp_close(&s->udp, u, true);
    }
    stack_leave(s);
    return 0;
}

int estab_kill(estab_stack *s, estab_sock k)
{
    struct tcb *t = slab_find(&s->tcp.tcbs, (uint32_t)k, (uint32_t)(k >> 32));

    if (TCP_REF_KIND((uint32_t)k) != TCP_REF_TCB)
        return ESTAB_E_INVAL;
    if (!t)
        return ESTAB_E_BADF;
    if (t->state == ESTAB_LISTEN || t->state == ESTAB_CLOSED || t->state == ESTAB_TIME_WAIT)
        return ESTAB_E_INVAL;
    stack_enter(s);
    tcp_abort(t);
    stack_leave(s);
    return 0;
}

int estab_getaddrs(const estab_stack *s, estab_sock k, struct estab_addr *local,
                   struct estab_addr *peer)
{
    const struct tcb *t = sock_tcb(s, k);
    const struct udp_sock *u = t ? NULL : sock_udp(s, k);
    struct estab_tcp_info i = {.size = sizeof i};

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    if (peer && !(t ? t->pport : u->pport))
        return ESTAB_E_NOTCONN;
    if (t)
        tcp_info(t, &i);
    else
        udp_info(&s->udp, u, &i);
    if (local)
        *local = i.local;
    if (peer)
        *peer = i.peer;
    return 0;
}

/* ---- readiness ---- */

int estab_watch(estab_stack *s, estab_sock k, uint32_t mask, void *user)
{
    struct tcb *t = sock_call(s, k);
    struct udp_sock *u = LIKELY(t != NULL) ? NULL : sock_udp(s, k);
    uint8_t all = mask ? (uint8_t)(mask | ESTAB_EV_ERR | ESTAB_EV_HUP) : 0;

    if (UNLIKELY(!t && !u))
        return ESTAB_E_BADF;
    stack_enter(s);
    if (t) {
        t->user = user;
        t->ev_mask = all;
        t->ev_pending &= t->ev_mask;
        tcp_raise(t, tcp_level(t));
    } else {
        u->user = user;
        u->ev_mask = all;
        u->ev_pending &= u->ev_mask;
        udp_raise(&s->udp, u, udp_level(u));
    }
    stack_leave(s);
    return 0;
}

static size_t tcp_events(estab_stack *s, struct estab_event *out, size_t cap)
{
    struct tcp_layer *l = &s->tcp;
    size_t n = 0;

    while (n < cap && l->ready.head != SLAB_NONE) {
        struct tcb *t = tcb_at(l, l->ready.head);

        slot_del(&l->tcbs, &l->ready, t->slot, READY_LINK);
        t->in_ready = false;
        if (t->ev_pending)
            out[n++] = (struct estab_event){tcb_handle(t), t->ev_pending, t->user};
        t->ev_pending = 0;
    }
    return n;
}

static size_t udp_events(estab_stack *s, struct estab_event *out, size_t cap)
{
    struct udp_layer *l = &s->udp;
    size_t n = 0;

    while (n < cap && l->ready.head != SLAB_NONE) {
        struct udp_sock *u = udp_at(l, l->ready.head);

        slot_del(&l->socks, &l->ready, u->slot, offsetof(struct udp_sock, ready));
        u->in_ready = false;
        if (u->ev_pending)
            out[n++] = (struct estab_event){udp_handle(l, u), u->ev_pending, u->user};
        u->ev_pending = 0;
    }
    return n;
}

/* UDP's first, of which the user's next call may bring as many again: so half of the room only. */
size_t estab_events(estab_stack *s, struct estab_event *out, size_t cap)
{
    size_t n = udp_events(s, out, (cap + 1) / 2);

    n += tcp_events(s, out + n, cap - n);
    n += udp_events(s, out + n, cap - n);
    if (n < cap)
        s->env.raised = false;
    return n;
}

uint32_t estab_ready(const estab_stack *s, estab_sock k)
{
    struct tcb *t = sock_tcb(s, k);
    const struct udp_sock *u = t ? NULL : sock_udp(s, k);

    if (u)
        return udp_level(u);
    return t ? tcp_level(t) : ESTAB_EV_ERR | ESTAB_EV_HUP;
}

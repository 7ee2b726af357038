/* SPDX-License-Identifier: BSD-2-Clause */
/* sock.c - handles, options and readiness: the user's side of a connection.
 *
 * A handle is a control block's slot and generation.  The handles of compact entries, which only a
 * walk gives out, carry their kind in the slot's top bits. */
#include "stack/stack.h"

static struct tcb *tcb_of(const estab_stack *s, estab_sock k)
{
    struct tcb *t = slab_find(&s->tcp.tcbs, (uint32_t)k, (uint32_t)(k >> 32));

    return t && !t->orphan ? t : NULL;
}

/* NULL: dead, or TCP's: the calls below ask for it only where there is no tcb. */
static struct udp_sock *udp_of(const estab_stack *s, estab_sock k)
{
    struct udp_sock *u = NULL;

    if (((uint32_t)k & UDP_REF) == UDP_REF)
        u = slab_find(&s->udp.socks, (uint32_t)k & ~UDP_REF, (uint32_t)(k >> 32));
    return u && !u->orphan ? u : NULL;
}

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
    stack_leave(s);
    return t || u ? 0 : ESTAB_E_NOMEM;
}

/* [MUST-43] */
int estab_bind(estab_stack *s, estab_sock k, const struct estab_addr *local)
{
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    int err;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? tcp_bind(t, local) : udp_bind(&s->udp, u, local);
    stack_leave(s);
    return err;
}

int estab_listen(estab_stack *s, estab_sock k, uint32_t backlog)
{
    struct tcb *t = tcb_of(s, k);
    int err;

    if (!t)
        return udp_of(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    stack_enter(s);
    err = tcp_open_passive(t, backlog);
    stack_leave(s);
    return err;
}

int estab_accept(estab_stack *s, estab_sock k, estab_sock *out, struct estab_addr *peer)
{
    struct tcb *t = tcb_of(s, k), *child;

    if (!t)
        return udp_of(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    if (t->state != ESTAB_LISTEN)
        return ESTAB_E_INVAL;
    stack_enter(s);
    child = tcp_accept(t);
    if (child) {
        *out = tcb_handle(child);
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
    struct tcb *t = tcb_of(s, k);
    struct ip4_route route = {.strict = strict};

    if (!t)
        return udp_of(s, k) ? ESTAB_E_INVAL : ESTAB_E_BADF;
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
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    int err;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? tcp_open_active(t, peer) : udp_connect(&s->udp, u, peer);
    stack_leave(s);
    return err;
}

ptrdiff_t estab_sendto(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                       uint32_t flags, const struct estab_addr *to)
{
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    ptrdiff_t n;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    n = t ? tcp_send(t, iov, niov, flags) : udp_send(&s->udp, u, iov, niov, flags, to);
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
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    ptrdiff_t n;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    n = t ? tcp_receive(t, iov, niov, flags) : udp_receive(&s->udp, u, iov, niov, flags, info);
    if (t && info)
        info_of_stream(t, n, info);
    stack_leave(s);
    return n;
}

ptrdiff_t estab_recv(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags)
{
    return estab_recvfrom(s, k, iov, niov, flags, NULL);
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
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    int err;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? shut_stream(t, how) : udp_shutdown(&s->udp, u, how);
    stack_leave(s);
    return err;
}

int estab_close(estab_stack *s, estab_sock k)
{
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    int err = 0;

    if (!t && !u)
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
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);

    if (!t && !u)
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

/* ---- options ---- */

static int set_buffer(uint32_t *buf, uint64_t val)
{
    if (val < 2048 || val > 1u << 30)
        return ESTAB_E_INVAL;
    *buf = (uint32_t)val;
    return 0;
}

static int set_ms(uint32_t *ms, uint64_t ns)
{
    if (ns / 1000000u > UINT32_MAX)
        return ESTAB_E_INVAL;
    *ms = (uint32_t)((ns + 999999u) / 1000000u);
    return 0;
}

static int set_linger(struct tcb *t, uint64_t ns)
{
    uint32_t ms = UINT32_MAX;

    if (ns != ESTAB_NEVER && (set_ms(&ms, ns) != 0 || ms == UINT32_MAX))
        return ESTAB_E_INVAL;
    t->linger_ms = ms;
    return 0;
}

static int set_extra(struct tcb *t, enum estab_opt opt, uint64_t val)
{
    struct tcp_extra *x;

    if (val > UINT32_MAX)
        return ESTAB_E_INVAL;
    if (val == 0 && !t->has_extra)
        return 0;
    x = tcp_extra_need(t);
    if (!x)
        return ESTAB_E_NOMEM;
    if (opt == ESTAB_O_DEFER_ACCEPT)
        x->defer_ms = (uint32_t)val;
    else if (opt == ESTAB_O_RCVLOWAT)
        x->rcv_lowat = val > t->rcvbuf / 2 ? t->rcvbuf / 2 : (uint32_t)val;
    else
        x->notsent_lowat = (uint32_t)val;
    if (t->state != ESTAB_LISTEN)
        tcp_raise(t, tcp_level(t) & (ESTAB_EV_IN | ESTAB_EV_OUT));
    return 0;
}

/* [MUST-17, MUST-21, MUST-24, MUST-27, MUST-48, MUST-49, SHLD-21, RFC1122-3.2.1.7-1] */
static int set_option(struct tcb *t, enum estab_opt opt, uint64_t val)
{
    uint32_t ms;
    int err;

    switch (opt) {
    case ESTAB_O_NODELAY:
        t->nodelay = val != 0;
        if (val && t->state != ESTAB_LISTEN && t->w)
            t->w->sws_override |= tcp_unsent(t) > 0; /* what is held back goes now */
        if (t->state != ESTAB_LISTEN)
            tcp_settle(t);
        return 0;
    case ESTAB_O_CORK:
        t->corked = val != 0;
        if (t->state != ESTAB_LISTEN)
            tcp_settle(t);
        return 0;
    case ESTAB_O_RCVLOWAT:
    case ESTAB_O_NOTSENT_LOWAT:
        return set_extra(t, opt, val);
    case ESTAB_O_DEFER_ACCEPT:
        err = set_ms(&ms, val);
        return err ? err : set_extra(t, opt, ms);
    case ESTAB_O_QUICKACK:
        t->quickack = val != 0;
        return 0;
    case ESTAB_O_SNDBUF:
        return set_buffer(&t->sndbuf, val);
    case ESTAB_O_RCVBUF:
        return set_buffer(&t->rcvbuf, val);
    case ESTAB_O_KEEPIDLE:
        err = set_ms(&t->keepidle_ms, val);
        if (!err)
            tcp_idle_arm(t);
        return err;
    case ESTAB_O_KEEPINTVL:
        return val ? set_ms(&t->keepintvl_ms, val) : ESTAB_E_INVAL;
    case ESTAB_O_KEEPCNT:
        if (val == 0 || val > UINT8_MAX)
            return ESTAB_E_INVAL;
        t->keepcnt = (uint8_t)val;
        return 0;
    case ESTAB_O_HOP_LIMIT:
        if (val == 0 || val > UINT8_MAX)
            return ESTAB_E_INVAL;
        t->hop_limit = (uint8_t)val;
        return 0;
    case ESTAB_O_MAXSEG:
        if (val != 0 && (val < 88 || val > UINT16_MAX))
            return ESTAB_E_INVAL;
        t->user_mss = (uint16_t)val;
        if (val != 0 && t->mss_max > val)
            t->mss_max = t->user_mss;
        if (t->snd_mss > t->mss_max)
            t->snd_mss = t->mss_max;
        return 0;
    case ESTAB_O_TOS:
        if (val > UINT8_MAX)
            return ESTAB_E_INVAL;
        t->tos = val & 0xfc;
        return 0;
    case ESTAB_O_LINGER:
        return set_linger(t, val);
    case ESTAB_O_USER_TIMEOUT:
        ms = UINT32_MAX;
        err = val == ESTAB_NEVER ? 0 : set_ms(&ms, val);
        if (!err)
            tcp_uto_set(t, ms);
        return err;
    case ESTAB_O_ADV_USER_TIMEOUT:
        tcp_uto_advertise(t, val ? tcp_uto_field(val) : 0);
        return 0;
    case ESTAB_O_ECN:
        if (val > ESTAB_ECN_ACTIVE || (t->state != ESTAB_CLOSED && t->state != ESTAB_LISTEN))
            return ESTAB_E_INVAL;
        t->ecn = val & 3;
        return 0;
    case ESTAB_O_FASTOPEN:
        if (val > UINT16_MAX || (t->state != ESTAB_CLOSED && t->state != ESTAB_LISTEN))
            return ESTAB_E_INVAL;
        t->fastopen = (uint16_t)val;
        return 0;
    case ESTAB_O_REUSEADDR:
        t->reuse_addr = val != 0;
        return 0;
    case ESTAB_O_REUSEPORT:
        t->reuse_port = val != 0;
        return 0;
    case ESTAB_O_V6ONLY:
        if (t->bound || t->state != ESTAB_CLOSED)
            return ESTAB_E_INVAL;
        t->v6_only = val != 0;
        return 0;
    case ESTAB_O_ERROR:
    case ESTAB_O_SOFT_ERROR:
    case ESTAB_O_URGENT:
        break;
    }
    return ESTAB_E_INVAL;
}

/* [RFC1122-4.1.4-1] */
static int set_udp_option(struct udp_sock *u, enum estab_opt opt, uint64_t val)
{
    switch (opt) {
    case ESTAB_O_SNDBUF:
        return set_buffer(&u->sndbuf, val);
    case ESTAB_O_RCVBUF:
        return set_buffer(&u->rcvbuf, val);
    case ESTAB_O_HOP_LIMIT:
        if (val == 0 || val > UINT8_MAX)
            return ESTAB_E_INVAL;
        u->hop_limit = (uint8_t)val;
        return 0;
    case ESTAB_O_TOS:
        if (val > UINT8_MAX)
            return ESTAB_E_INVAL;
        u->tos = (uint8_t)val;
        return 0;
    case ESTAB_O_REUSEADDR:
        u->reuse_addr = val != 0;
        return 0;
    case ESTAB_O_REUSEPORT:
        u->reuse_port = val != 0;
        return 0;
    case ESTAB_O_V6ONLY:
        if (u->lport)
            return ESTAB_E_INVAL;
        u->v6_only = val != 0;
        return 0;
    default:
        return ESTAB_E_INVAL;
    }
}

static int get_udp_option(const estab_stack *s, struct udp_sock *u, enum estab_opt opt,
                          uint64_t *val)
{
    switch (opt) {
    case ESTAB_O_SNDBUF:
        *val = u->sndbuf;
        return 0;
    case ESTAB_O_RCVBUF:
        *val = u->rcvbuf;
        return 0;
    case ESTAB_O_HOP_LIMIT:
        *val = u->hop_limit ? u->hop_limit : s->ip.hop_limit;
        return 0;
    case ESTAB_O_TOS:
        *val = u->tos;
        return 0;
    case ESTAB_O_REUSEADDR:
        *val = u->reuse_addr;
        return 0;
    case ESTAB_O_REUSEPORT:
        *val = u->reuse_port;
        return 0;
    case ESTAB_O_V6ONLY:
        *val = u->v6_only;
        return 0;
    case ESTAB_O_ERROR:
        *val = (uint64_t)-u->err;
        u->err = 0;
        return 0;
    case ESTAB_O_SOFT_ERROR:
        *val = 0;
        return 0;
    default:
        return ESTAB_E_INVAL;
    }
}

int estab_setopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t val)
{
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    int err;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? set_option(t, opt, val) : set_udp_option(u, opt, val);
    stack_leave(s);
    return err;
}

int estab_getopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t *val)
{
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);

    if (!t)
        return u ? get_udp_option(s, u, opt, val) : ESTAB_E_BADF;
    switch (opt) {
    case ESTAB_O_NODELAY:
        *val = t->nodelay;
        return 0;
    case ESTAB_O_CORK:
        *val = t->corked;
        return 0;
    case ESTAB_O_RCVLOWAT:
        *val = tcp_extra(t)->rcv_lowat ? tcp_extra(t)->rcv_lowat : 1;
        return 0;
    case ESTAB_O_DEFER_ACCEPT:
        *val = ESTAB_MS(tcp_extra(t)->defer_ms);
        return 0;
    case ESTAB_O_NOTSENT_LOWAT:
        *val = tcp_extra(t)->notsent_lowat;
        return 0;
    case ESTAB_O_QUICKACK:
        *val = t->quickack;
        return 0;
    case ESTAB_O_SNDBUF:
        *val = t->sndbuf;
        return 0;
    case ESTAB_O_RCVBUF:
        *val = t->rcvbuf;
        return 0;
    case ESTAB_O_KEEPIDLE:
        *val = ESTAB_MS(t->keepidle_ms);
        return 0;
    case ESTAB_O_KEEPINTVL:
        *val = ESTAB_MS(t->keepintvl_ms);
        return 0;
    case ESTAB_O_KEEPCNT:
        *val = t->keepcnt;
        return 0;
    case ESTAB_O_HOP_LIMIT:
        *val = t->hop_limit ? t->hop_limit : s->ip.hop_limit;
        return 0;
    case ESTAB_O_MAXSEG:
        *val = t->user_mss;
        return 0;
    case ESTAB_O_TOS:
        *val = t->tos;
        return 0;
    case ESTAB_O_LINGER:
        *val = t->linger_ms == UINT32_MAX ? ESTAB_NEVER : ESTAB_MS(t->linger_ms);
        return 0;
    case ESTAB_O_USER_TIMEOUT:
        *val = t->user_timeout_ms == UINT32_MAX ? ESTAB_NEVER : tcp_user_timeout(t);
        return 0;
    case ESTAB_O_ADV_USER_TIMEOUT:
        *val = tcp_uto_dur(t->adv_uto);
        return 0;
    case ESTAB_O_ECN:
        *val = t->ecn;
        return 0;
    case ESTAB_O_FASTOPEN:
        *val = t->fastopen;
        return 0;
    case ESTAB_O_REUSEADDR:
        *val = t->reuse_addr;
        return 0;
    case ESTAB_O_REUSEPORT:
        *val = t->reuse_port;
        return 0;
    case ESTAB_O_V6ONLY:
        *val = t->v6_only;
        return 0;
    case ESTAB_O_ERROR:
        *val = (uint64_t)-t->err;
        t->err = 0;
        return 0;
    case ESTAB_O_SOFT_ERROR:
        *val = (uint64_t)-t->soft_err;
        return 0;
    case ESTAB_O_URGENT:
        *val = tcp_urgent(t);
        return 0;
    }
    return ESTAB_E_INVAL;
}

int estab_set_cc(estab_stack *s, estab_sock k, const char *name)
{
    const struct cc_ops *cc = cc_find(name);
    struct tcb *t = tcb_of(s, k);

    if (!t)
        return udp_of(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    if (!cc)
        return ESTAB_E_INVAL;
    tcp_set_cc(t, cc);
    return 0;
}

int estab_get_cc(const estab_stack *s, estab_sock k, char name[16])
{
    const struct tcb *t = tcb_of(s, k);

    if (!t)
        return udp_of(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    memset(name, 0, 16);
    memcpy(name, tcp_cc(t)->name, strlen(tcp_cc(t)->name));
    return 0;
}

int estab_getaddrs(const estab_stack *s, estab_sock k, struct estab_addr *local,
                   struct estab_addr *peer)
{
    const struct tcb *t = tcb_of(s, k);
    const struct udp_sock *u = t ? NULL : udp_of(s, k);
    struct estab_tcp_info i = {.size = sizeof i};

    if (!t && !u)
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
    struct tcb *t = tcb_of(s, k);
    struct udp_sock *u = t ? NULL : udp_of(s, k);
    uint8_t all = mask ? (uint8_t)(mask | ESTAB_EV_ERR | ESTAB_EV_HUP) : 0;

    if (!t && !u)
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
    return n + udp_events(s, out + n, cap - n);
}

uint32_t estab_ready(const estab_stack *s, estab_sock k)
{
    const struct tcb *t = tcb_of(s, k);
    const struct udp_sock *u = t ? NULL : udp_of(s, k);

    if (u)
        return udp_level(u);
    return t ? tcp_level(t) : ESTAB_EV_ERR | ESTAB_EV_HUP;
}

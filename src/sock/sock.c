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

int estab_socket(estab_stack *s, enum estab_type type, estab_sock *out)
{
    struct tcb *t;

    if (type != ESTAB_TCP)
        return ESTAB_E_NOTSUP;
    stack_enter(s);
    t = tcb_new(&s->tcp);
    if (t)
        *out = tcb_handle(t);
    stack_leave(s);
    return t ? 0 : ESTAB_E_NOMEM;
}

/* [MUST-43] */
int estab_bind(estab_stack *s, estab_sock k, const struct estab_addr *local)
{
    struct tcb *t = tcb_of(s, k);
    int err;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = tcp_bind(t, local);
    stack_leave(s);
    return err;
}

int estab_listen(estab_stack *s, estab_sock k, uint32_t backlog)
{
    struct tcb *t = tcb_of(s, k);
    int err;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = tcp_open_passive(t, backlog);
    stack_leave(s);
    return err;
}

int estab_accept(estab_stack *s, estab_sock k, estab_sock *out, struct estab_addr *peer)
{
    struct tcb *t = tcb_of(s, k), *child;

    if (!t)
        return ESTAB_E_BADF;
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

int estab_connect(estab_stack *s, estab_sock k, const struct estab_addr *peer)
{
    struct tcb *t = tcb_of(s, k);
    int err;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = tcp_open_active(t, peer);
    stack_leave(s);
    return err;
}

ptrdiff_t estab_send(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags)
{
    struct tcb *t = tcb_of(s, k);
    ptrdiff_t n;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    n = tcp_send(t, iov, niov, flags);
    stack_leave(s);
    return n;
}

ptrdiff_t estab_recv(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags)
{
    struct tcb *t = tcb_of(s, k);
    ptrdiff_t n;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    n = tcp_receive(t, iov, niov, flags);
    stack_leave(s);
    return n;
}

int estab_shutdown(estab_stack *s, estab_sock k, enum estab_how how)
{
    struct tcb *t = tcb_of(s, k);
    int err = 0;

    if (!t)
        return ESTAB_E_BADF;
    if (t->state == ESTAB_CLOSED || t->state == ESTAB_LISTEN)
        return ESTAB_E_NOTCONN;
    stack_enter(s);
    if (how & ESTAB_SHUT_RD)
        tcp_shut_read(t);
    if (how & ESTAB_SHUT_WR)
        err = tcp_close(t);
    stack_leave(s);
    return err;
}

int estab_close(estab_stack *s, estab_sock k)
{
    struct tcb *t = tcb_of(s, k);
    int err;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = tcp_dispose(t);
    stack_leave(s);
    return err;
}

int estab_abort(estab_stack *s, estab_sock k)
{
    struct tcb *t = tcb_of(s, k);

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    tcp_orphan(t);
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

/* [MUST-17, MUST-21, MUST-24, MUST-27, MUST-48, MUST-49, SHLD-21, RFC1122-3.2.1.7-1] */
static int set_option(struct tcb *t, enum estab_opt opt, uint64_t val)
{
    uint32_t ms;
    int err;

    switch (opt) {
    case ESTAB_O_NODELAY:
        t->nodelay = val != 0;
        if (t->state != ESTAB_LISTEN)
            tcp_settle(t);
        return 0;
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
    case ESTAB_O_ERROR:
    case ESTAB_O_SOFT_ERROR:
    case ESTAB_O_URGENT:
        break;
    }
    return ESTAB_E_INVAL;
}

int estab_setopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t val)
{
    struct tcb *t = tcb_of(s, k);
    int err;

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = set_option(t, opt, val);
    stack_leave(s);
    return err;
}

int estab_getopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t *val)
{
    struct tcb *t = tcb_of(s, k);

    if (!t)
        return ESTAB_E_BADF;
    switch (opt) {
    case ESTAB_O_NODELAY:
        *val = t->nodelay;
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

int estab_getaddrs(const estab_stack *s, estab_sock k, struct estab_addr *local,
                   struct estab_addr *peer)
{
    const struct tcb *t = tcb_of(s, k);
    struct estab_tcp_info i = {.size = sizeof i};

    if (!t)
        return ESTAB_E_BADF;
    if (peer && !t->pport)
        return ESTAB_E_NOTCONN;
    tcp_info(t, &i);
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

    if (!t)
        return ESTAB_E_BADF;
    stack_enter(s);
    t->user = user;
    t->ev_mask = mask ? (uint8_t)(mask | ESTAB_EV_ERR | ESTAB_EV_HUP) : 0;
    t->ev_pending &= t->ev_mask;
    tcp_raise(t, tcp_level(t));
    stack_leave(s);
    return 0;
}

size_t estab_events(estab_stack *s, struct estab_event *out, size_t cap)
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

uint32_t estab_ready(const estab_stack *s, estab_sock k)
{
    const struct tcb *t = tcb_of(s, k);

    return t ? tcp_level(t) : ESTAB_EV_ERR | ESTAB_EV_HUP;
}

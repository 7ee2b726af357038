/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_opt.c - options of sockets, and which congestion control a connection has. */
#include "sock/sock.h"

/* ---- what connections and UDP's sockets both have: of t and u, one is NULL ---- */

static int set_buffer(uint32_t *buf, uint64_t val)
{
    if (val < 2048 || val > 1u << 30)
        return ESTAB_E_INVAL;
    *buf = (uint32_t)val;
    return 0;
}

static int set_size(struct tcb *t, struct udp_sock *u, bool snd, uint64_t val)
{
    uint32_t size;
    int err;

    if (!t)
        return set_buffer(snd ? &u->sndbuf : &u->rcvbuf, val);
    err = set_buffer(&size, val);
    if (err)
        return err;
    tcp_buffer_set(t, snd, size);
    if (snd && tcp_level(t) & ESTAB_EV_OUT)
        (void)tcp_raise_room(t);
    return 0;
}

static int set_octet(uint8_t *to, uint64_t least, uint64_t val)
{
    if (val < least || val > UINT8_MAX)
        return ESTAB_E_INVAL;
    *to = (uint8_t)val;
    return 0;
}

static int set_reuse_addr(struct tcb *t, struct udp_sock *u, bool on)
{
    if (t)
        t->reuse_addr = on;
    else
        u->reuse_addr = on;
    return 0;
}

static int set_reuse_port(struct tcb *t, struct udp_sock *u, bool on)
{
    if (t)
        t->reuse_port = on;
    else
        u->reuse_port = on;
    return 0;
}

static int set_v6_only(struct tcb *t, struct udp_sock *u, bool on)
{
    if (t ? t->bound || t->state != ESTAB_CLOSED : u->lport != 0)
        return ESTAB_E_INVAL;
    if (t)
        t->v6_only = on;
    else
        u->v6_only = on;
    return 0;
}

/* Of a connection, TOS and hop limit are in its struct tcp_extra.
 * [MUST-48, MUST-49, SHLD-21, RFC1122-3.2.1.7-1, RFC1122-4.1.4-1] */
static int set_shared(struct tcb *t, struct udp_sock *u, enum estab_opt opt, uint64_t val)
{
    switch (opt) {
    case ESTAB_O_SNDBUF:
        return set_size(t, u, true, val);
    case ESTAB_O_RCVBUF:
        return set_size(t, u, false, val);
    case ESTAB_O_HOP_LIMIT:
        return set_octet(&u->hop_limit, 1, val);
    case ESTAB_O_TOS:
        return set_octet(&u->tos, 0, val);
    case ESTAB_O_REUSEADDR:
        return set_reuse_addr(t, u, val != 0);
    case ESTAB_O_REUSEPORT:
        return set_reuse_port(t, u, val != 0);
    case ESTAB_O_V6ONLY:
        return set_v6_only(t, u, val != 0);
    default:
        return ESTAB_E_INVAL;
    }
}

static uint8_t hop_limit_of(const estab_stack *s, uint8_t own)
{
    return own ? own : s->ip.hop_limit;
}

static int get_shared(const estab_stack *s, struct tcb *t, struct udp_sock *u, enum estab_opt opt,
                      uint64_t *val)
{
    int8_t *err = t ? &t->err : &u->err;

    switch (opt) {
    case ESTAB_O_SNDBUF:
        *val = t ? t->sndbuf : u->sndbuf;
        return 0;
    case ESTAB_O_RCVBUF:
        *val = t ? t->rcvbuf : u->rcvbuf;
        return 0;
    case ESTAB_O_HOP_LIMIT:
        *val = hop_limit_of(s, t ? tcp_extra(t)->hop_limit : u->hop_limit);
        return 0;
    case ESTAB_O_TOS:
        *val = t ? tcp_extra(t)->tos : u->tos;
        return 0;
    case ESTAB_O_REUSEADDR:
        *val = t ? t->reuse_addr : u->reuse_addr;
        return 0;
    case ESTAB_O_REUSEPORT:
        *val = t ? t->reuse_port : u->reuse_port;
        return 0;
    case ESTAB_O_V6ONLY:
        *val = t ? t->v6_only : u->v6_only;
        return 0;
    case ESTAB_O_ERROR:
        *val = (uint64_t) - *err;
        *err = 0;
        return 0;
    case ESTAB_O_SOFT_ERROR:
        *val = t ? (uint64_t)-t->soft_err : 0;
        return 0;
    default:
        return ESTAB_E_INVAL;
    }
}

/* ---- what only connections have ---- */

static int set_ms(uint32_t *ms, uint64_t ns)
{
    if (ns / 1000000u > UINT32_MAX)
        return ESTAB_E_INVAL;
    *ms = (uint32_t)((ns + 999999u) / 1000000u);
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
    switch (opt) {
    case ESTAB_O_DEFER_ACCEPT:
        x->defer_ms = (uint32_t)val;
        return 0;
    case ESTAB_O_LINGER:
        x->linger_ms = (uint32_t)val;
        return 0;
    case ESTAB_O_KEEPINTVL:
        x->keepintvl_ms = (uint32_t)val;
        return 0;
    case ESTAB_O_KEEPCNT:
        x->keepcnt = (uint8_t)val;
        return 0;
    case ESTAB_O_HOP_LIMIT:
        x->hop_limit = (uint8_t)val;
        return 0;
    case ESTAB_O_TOS: /* the ECN bits (RFC 3168) are not the user's */
        x->tos = val & 0xfc;
        return 0;
    case ESTAB_O_MAXSEG:
        x->user_mss = (uint16_t)val;
        return 0;
    case ESTAB_O_FASTOPEN:
        x->fastopen = (uint16_t)val;
        return 0;
    case ESTAB_O_RCVLOWAT:
        x->rcv_lowat = val > t->rcvbuf / 2 ? t->rcvbuf / 2 : (uint32_t)val;
        break;
    default:
        x->notsent_lowat = (uint32_t)val;
        break;
    }
    if (t->state != ESTAB_LISTEN)
        tcp_raise(t, tcp_level(t) & (ESTAB_EV_IN | ESTAB_EV_OUT));
    return 0;
}

static int set_linger(struct tcb *t, uint64_t ns)
{
    uint32_t ms = UINT32_MAX;

    if (ns != ESTAB_NEVER && (set_ms(&ms, ns) != 0 || ms == UINT32_MAX))
        return ESTAB_E_INVAL;
    return set_extra(t, ESTAB_O_LINGER, ms + 1);
}

static int set_pacing(struct tcb *t, uint64_t rate)
{
    struct tcp_extra *x;

    if (rate == 0 && !t->has_extra)
        return 0;
    x = tcp_extra_need(t);
    if (!x)
        return ESTAB_E_NOMEM;
    x->pacing_rate = rate;
    tcp_pace_settle(t);
    return 0;
}

static int set_nodelay(struct tcb *t, bool on)
{
    t->nodelay = on;
    if (on && t->state != ESTAB_LISTEN && t->w)
        t->w->sws_override |= tcp_unsent(t) > 0; /* what is held back goes now */
    if (t->state != ESTAB_LISTEN)
        tcp_settle(t);
    return 0;
}

static int set_keepalive(struct tcb *t, enum estab_opt opt, uint64_t val)
{
    uint32_t ms;
    int err;

    switch (opt) {
    case ESTAB_O_KEEPIDLE:
        err = set_ms(&t->keepidle_ms, val);
        if (!err)
            tcp_idle_arm(t);
        return err;
    case ESTAB_O_KEEPINTVL:
        if (val == 0 || set_ms(&ms, val) != 0)
            return ESTAB_E_INVAL;
        return set_extra(t, opt, ms == TCP_KEEPINTVL_MS ? 0 : ms);
    default:
        if (val == 0 || val > UINT8_MAX)
            return ESTAB_E_INVAL;
        return set_extra(t, opt, val == TCP_KEEPCNT ? 0 : val);
    }
}

static int set_maxseg(struct tcb *t, uint64_t val)
{
    int err;

    if (val != 0 && (val < 88 || val > UINT16_MAX))
        return ESTAB_E_INVAL;
    err = set_extra(t, ESTAB_O_MAXSEG, val);
    if (err)
        return err;
    if (val != 0 && t->mss_max > val)
        t->mss_max = (uint16_t)val;
    if (t->snd_mss > t->mss_max)
        t->snd_mss = t->mss_max;
    return 0;
}

/* [MUST-17, MUST-21, MUST-24, MUST-27] */
static int set_option(struct tcb *t, enum estab_opt opt, uint64_t val)
{
    uint32_t ms;
    int err;

    switch (opt) {
    case ESTAB_O_NODELAY:
        return set_nodelay(t, val != 0);
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
    case ESTAB_O_KEEPIDLE:
    case ESTAB_O_KEEPINTVL:
    case ESTAB_O_KEEPCNT:
        return set_keepalive(t, opt, val);
    case ESTAB_O_MAXSEG:
        return set_maxseg(t, val);
    case ESTAB_O_LINGER:
        return set_linger(t, val);
    case ESTAB_O_USER_TIMEOUT:
        ms = UINT32_MAX;
        err = val == ESTAB_NEVER ? 0 : set_ms(&ms, val);
        return err ? err : tcp_uto_set(t, ms);
    case ESTAB_O_ADV_USER_TIMEOUT:
        return tcp_uto_advertise(t, val ? tcp_uto_field(val) : 0);
    case ESTAB_O_ECN:
        if (val > ESTAB_ECN_ACCURATE || (t->state != ESTAB_CLOSED && t->state != ESTAB_LISTEN))
            return ESTAB_E_INVAL;
        t->ecn = val & 3;
        return 0;
    case ESTAB_O_PACING_RATE:
        return set_pacing(t, val);
    case ESTAB_O_FASTOPEN:
        if (val > UINT16_MAX || (t->state != ESTAB_CLOSED && t->state != ESTAB_LISTEN))
            return ESTAB_E_INVAL;
        return set_extra(t, opt, val);
    case ESTAB_O_HOP_LIMIT:
        return val < 1 || val > UINT8_MAX ? ESTAB_E_INVAL : set_extra(t, opt, val);
    case ESTAB_O_TOS:
        return val > UINT8_MAX ? ESTAB_E_INVAL : set_extra(t, opt, val);
    case ESTAB_O_SNDBUF:
    case ESTAB_O_RCVBUF:
    case ESTAB_O_REUSEADDR:
    case ESTAB_O_REUSEPORT:
    case ESTAB_O_V6ONLY:
    case ESTAB_O_ERROR:
    case ESTAB_O_SOFT_ERROR:
        return set_shared(t, NULL, opt, val);
    case ESTAB_O_URGENT:
        break;
    }
    return ESTAB_E_INVAL;
}

static int get_option(const estab_stack *s, struct tcb *t, enum estab_opt opt, uint64_t *val)
{
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
    case ESTAB_O_KEEPIDLE:
        *val = ESTAB_MS(t->keepidle_ms);
        return 0;
    case ESTAB_O_KEEPINTVL:
        *val = ESTAB_MS(tcp_keepintvl_ms(t));
        return 0;
    case ESTAB_O_KEEPCNT:
        *val = tcp_keepcnt(t);
        return 0;
    case ESTAB_O_MAXSEG:
        *val = tcp_extra(t)->user_mss;
        return 0;
    case ESTAB_O_LINGER:
        *val = tcp_linger_ms(t) == UINT32_MAX ? ESTAB_NEVER : ESTAB_MS(tcp_linger_ms(t));
        return 0;
    case ESTAB_O_USER_TIMEOUT:
        *val = tcp_extra(t)->user_timeout_ms == UINT32_MAX ? ESTAB_NEVER : tcp_user_timeout(t);
        return 0;
    case ESTAB_O_ADV_USER_TIMEOUT:
        *val = tcp_uto_dur(tcp_extra(t)->adv_uto);
        return 0;
    case ESTAB_O_ECN:
        *val = t->ecn;
        return 0;
    case ESTAB_O_PACING_RATE:
        *val = tcp_extra(t)->pacing_rate;
        return 0;
    case ESTAB_O_FASTOPEN:
        *val = tcp_extra(t)->fastopen;
        return 0;
    case ESTAB_O_URGENT:
        *val = tcp_urgent(t);
        return 0;
    case ESTAB_O_SNDBUF:
    case ESTAB_O_RCVBUF:
    case ESTAB_O_HOP_LIMIT:
    case ESTAB_O_TOS:
    case ESTAB_O_REUSEADDR:
    case ESTAB_O_REUSEPORT:
    case ESTAB_O_V6ONLY:
    case ESTAB_O_ERROR:
    case ESTAB_O_SOFT_ERROR:
        return get_shared(s, t, NULL, opt, val);
    }
    return ESTAB_E_INVAL;
}

/* ---- the calls ---- */

int estab_setopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t val)
{
    struct tcb *t = sock_tcb(s, k);
    struct udp_sock *u = t ? NULL : sock_udp(s, k);
    int err;

    if (!t && !u)
        return ESTAB_E_BADF;
    stack_enter(s);
    err = t ? set_option(t, opt, val) : set_shared(NULL, u, opt, val);
    stack_leave(s);
    return err;
}

int estab_getopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t *val)
{
    struct tcb *t = sock_tcb(s, k);
    struct udp_sock *u = t ? NULL : sock_udp(s, k);

    if (!t && !u)
        return ESTAB_E_BADF;
    return t ? get_option(s, t, opt, val) : get_shared(s, NULL, u, opt, val);
}

int estab_set_cc(estab_stack *s, estab_sock k, const char *name)
{
    const struct cc_ops *cc = cc_find(name);
    struct tcb *t = sock_tcb(s, k);

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    if (!cc)
        return ESTAB_E_INVAL;
    tcp_set_cc(t, cc);
    return 0;
}

int estab_get_cc(const estab_stack *s, estab_sock k, char name[16])
{
    const struct tcb *t = sock_tcb(s, k);

    if (!t)
        return sock_udp(s, k) ? ESTAB_E_NOTSUP : ESTAB_E_BADF;
    memset(name, 0, 16);
    memcpy(name, tcp_cc(t)->name, strlen(tcp_cc(t)->name));
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_info.c - what a netstat shows: the walk over everything that has a state, and names. */
#include "stack/stack.h"

#define UDP_CURSOR ((uint64_t)(TCP_REF_TIMEWAIT + 1) << 32)

static estab_sock walk_handle(enum tcp_kind kind, const struct slab *slab, uint32_t slot)
{
    return (estab_sock)slab_gen(slab, slot) << 32 | TCP_REF(kind, slot);
}

static const struct slab *slab_of(const estab_stack *s, enum tcp_kind kind)
{
    switch (kind) {
    case TCP_REF_TCB:
        return &s->tcp.tcbs;
    case TCP_REF_SYNQ:
        return &s->tcp.synqs;
    case TCP_REF_TIMEWAIT:
        return &s->tcp.timewaits;
    }
    return NULL;
}

/* A TIME-WAIT whose handle lives on is shown once, as the control block; what has no state worth
 * showing is not. */
static bool worth_showing(const estab_stack *s, enum tcp_kind kind, uint32_t slot)
{
    if (kind == TCP_REF_TIMEWAIT)
        return ((struct tcp_timewait *)slab_at(&s->tcp.timewaits, slot))->owner == SLAB_NONE;
    if (kind == TCP_REF_SYNQ)
        return !((struct tcp_synq *)slab_at(&s->tcp.synqs, slot))->dead;
    return !tcb_at(&s->tcp, slot)->dead;
}

/* Behind TCP's kinds. */
static bool udp_next(const estab_stack *s, uint64_t *cursor, estab_sock *k)
{
    uint32_t slot = slab_next(&s->udp.socks, (uint32_t)*cursor);

    if (slot == SLAB_NONE)
        return false;
    *k = udp_handle(&s->udp, udp_at(&s->udp, slot));
    *cursor = UDP_CURSOR | (slot + 1);
    return true;
}

bool estab_conn_next(const estab_stack *s, uint64_t *cursor, estab_sock *k)
{
    enum tcp_kind kind = (enum tcp_kind)(*cursor >> 32);
    uint32_t from = (uint32_t)*cursor;

    for (; kind <= TCP_REF_TIMEWAIT; kind++, from = 0) {
        const struct slab *slab = slab_of(s, kind);
        uint32_t slot = slab_next(slab, from);

        while (slot != SLAB_NONE && !worth_showing(s, kind, slot))
            slot = slab_next(slab, slot + 1);
        if (slot == SLAB_NONE)
            continue;
        *k = walk_handle(kind, slab, slot);
        *cursor = (uint64_t)kind << 32 | (slot + 1);
        return true;
    }
    if (*cursor < UDP_CURSOR)
        *cursor = UDP_CURSOR;
    return udp_next(s, cursor, k);
}

static void stream_info(const estab_stack *s, enum tcp_kind kind, uint32_t slot,
                        struct estab_tcp_info *all)
{
    switch (kind) {
    case TCP_REF_TCB:
        tcp_info(tcb_at(&s->tcp, slot), all);
        break;
    case TCP_REF_SYNQ:
        synq_info(&s->tcp, slot, all);
        break;
    case TCP_REF_TIMEWAIT:
        timewait_info(&s->tcp, slot, all);
        break;
    }
}

int estab_tcp_info(const estab_stack *s, estab_sock k, struct estab_tcp_info *info)
{
    enum tcp_kind kind = TCP_REF_KIND((uint32_t)k);
    uint32_t slot = TCP_REF_SLOT((uint32_t)k);
    bool udp = ((uint32_t)k & UDP_REF) == UDP_REF;
    const struct slab *slab = udp ? &s->udp.socks : slab_of(s, kind);
    struct estab_tcp_info all = {.size = info->size, .timer_at = ESTAB_NEVER};

    if (!slab_find(slab, slot, (uint32_t)(k >> 32)))
        return ESTAB_E_BADF;
    if (udp)
        udp_info(&s->udp, udp_at(&s->udp, slot), &all);
    else
        stream_info(s, kind, slot, &all);
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
    return 0;
}

static void stream_why(const estab_stack *s, enum tcp_kind kind, uint32_t slot,
                       struct estab_why_info *all)
{
    switch (kind) {
    case TCP_REF_TCB:
        tcp_why(tcb_at(&s->tcp, slot), all);
        break;
    case TCP_REF_SYNQ:
        synq_why(&s->tcp, slot, all);
        break;
    case TCP_REF_TIMEWAIT:
        timewait_why(&s->tcp, slot, all);
        break;
    }
}

/* A datagram waits for its reader, or to be taken, and for nothing else. */
static void udp_why(const struct udp_layer *l, const struct udp_sock *u, struct estab_why_info *all)
{
    struct estab_tcp_info i = {.size = sizeof i};

    udp_info(l, u, &i);
    all->state = i.state;
    all->orphan = i.orphan;
    all->unread = i.unread;
    all->unsent = i.unsent;
    all->why = udp_unsent(u) > 0 ? ESTAB_WHY_DRIVER
               : i.unread > 0    ? ESTAB_WHY_UNREAD
                                 : ESTAB_WHY_NOTHING;
}

/* The clock is looked at and not latched: nothing happens. */
int estab_why(const estab_stack *s, estab_sock k, struct estab_why_info *info)
{
    enum tcp_kind kind = TCP_REF_KIND((uint32_t)k);
    uint32_t slot = TCP_REF_SLOT((uint32_t)k);
    bool udp = ((uint32_t)k & UDP_REF) == UDP_REF;
    const struct slab *slab = udp ? &s->udp.socks : slab_of(s, kind);
    estab_time now = s->env.cb.now(s->env.cb.ctx);
    struct estab_why_info all = {.size = info->size,
                                 .now = now > s->env.now ? now : s->env.now,
                                 .since = ESTAB_NEVER,
                                 .next_at = ESTAB_NEVER,
                                 .give_up_at = ESTAB_NEVER};

    if (!slab_find(slab, slot, (uint32_t)(k >> 32)))
        return ESTAB_E_BADF;
    if (udp)
        udp_why(&s->udp, udp_at(&s->udp, slot), &all);
    else
        stream_why(s, kind, slot, &all);
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
    return 0;
}

int estab_port_forecast(estab_stack *s, const struct estab_addr *local,
                        const struct estab_addr *peer, struct estab_port_forecast *f)
{
    struct estab_port_forecast all = {.size = f->size};
    const uint8_t *src = local && !ip_is_any(local->ip) ? local->ip : NULL;
    struct ip_path path;
    int err;

    if (peer->port == 0 || ip_is_any(peer->ip) || ip_is_multicast(peer->ip))
        return ESTAB_E_INVAL;
    stack_enter(s);
    err = ip_path_find(&s->ip, peer->ip, src, peer->scope ? peer->scope - 1 : -1, &path);
    if (!err) {
        tcp_port_forecast(&s->tcp, path.local, peer, &all);
        memcpy(f, &all, f->size < sizeof all ? f->size : sizeof all);
    }
    stack_leave(s);
    return err;
}

void estab_fastopen_key(estab_stack *s, const uint8_t key[16])
{
    stack_enter(s);
    tcp_fastopen_key(&s->tcp, key);
    stack_leave(s);
}

const char *estab_strerror(int err)
{
    switch ((enum estab_err)err) {
    case ESTAB_OK:
        return "no error";
    case ESTAB_E_AGAIN:
        return "nothing to do now, wait for the event";
    case ESTAB_E_BADF:
        return "no such socket";
    case ESTAB_E_INVAL:
        return "invalid argument or state";
    case ESTAB_E_NOMEM:
        return "out of memory, or a configured ceiling is reached";
    case ESTAB_E_INUSE:
        return "address and port in use, or no ephemeral port free to this peer";
    case ESTAB_E_NOTCONN:
        return "connection does not exist";
    case ESTAB_E_ISCONN:
        return "connection already exists";
    case ESTAB_E_REFUSED:
        return "connection refused";
    case ESTAB_E_RESET:
        return "connection reset";
    case ESTAB_E_TIMEOUT:
        return "connection timed out";
    case ESTAB_E_UNREACH:
        return "no route to the peer";
    case ESTAB_E_PIPE:
        return "connection closing";
    case ESTAB_E_INPROGRESS:
        return "opening in progress";
    case ESTAB_E_ADDRNOTAVAIL:
        return "no port of this stack has that address";
    case ESTAB_E_NOTSUP:
        return "not supported on this kind of socket";
    case ESTAB_E_MSGSIZE:
        return "longer than a datagram can be";
    }
    return "unknown error";
}

const char *estab_timer_name(enum estab_timer t)
{
    static const char *const names[] = {
        [ESTAB_T_NONE] = "none",         [ESTAB_T_REXMT] = "rexmt",
        [ESTAB_T_PERSIST] = "persist",   [ESTAB_T_DELACK] = "delack",
        [ESTAB_T_SWS] = "sws",           [ESTAB_T_KEEPALIVE] = "keepalive",
        [ESTAB_T_FINWAIT2] = "finwait2", [ESTAB_T_2MSL] = "2msl",
        [ESTAB_T_SYNACK] = "synack",     [ESTAB_T_REORDER] = "reorder",
        [ESTAB_T_TAIL] = "tail",         [ESTAB_T_PACE] = "pace",
    };

    return t < sizeof names / sizeof *names ? names[t] : "?";
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_user.c - the user's calls: RFC 9293 section 3.10.1 to 3.10.6.
 *
 * Each call's states stand in the RFC's order; its error texts are estab_err's names. */
#include "tcp/tcp.h"

/* The connection's failure is told once. */
static int take_error(struct tcb *t)
{
    int err = t->err;

    t->err = 0;
    return err;
}

/* ---- 3.10.1 OPEN ---- */

/* The four-tuple is ours: nobody's, or a TIME-WAIT's, ref, that gives way, above whose numbers the
 * ISN then lies (RFC 6191). */
static int connect_tuple(struct tcb *t, const struct tcp_tuple *k, uint32_t ref)
{
    struct tcp_layer *l = t->layer;
    seq_t isn = tcp_isn(l, k), floor = isn;

    if (UNLIKELY(ref != HASH_NONE) && (TCP_REF_KIND(ref) != TCP_REF_TIMEWAIT ||
                                       timewait_free_at(l, TCP_REF_SLOT(ref)) > l->env->now))
        return ESTAB_E_INUSE;
    if (UNLIKELY(!tcb_work(t)))
        return ESTAB_E_NOMEM;
    if (UNLIKELY(ref != HASH_NONE))
        floor = timewait_reuse(l, TCP_REF_SLOT(ref));
    t->snd.una = t->snd.nxt = seq_max(isn, floor);
    return tcp_demux_add(t);
}

/* [MUST-43, MUST-44, MUST-51] */
static int connect_prepare(struct tcb *t, const struct estab_addr *peer)
{
    struct tcp_layer *l = t->layer;
    const uint8_t *src = t->path.local < TCP_ANY4 ? ip_local(l->ip, t->path.local) : NULL;
    uint32_t ref = HASH_NONE;
    struct tcp_tuple k;
    uint8_t hop[16];
    int err;

    if (UNLIKELY(t->routed) && (!ip_is4(peer->ip) || ip_local_find(l->ip, peer->ip) >= 0))
        return ESTAB_E_UNREACH;
    err = ip_path_find(l->ip, tcp_first_hop(tcp_route(t), peer->ip, hop), src,
                       peer->scope ? peer->scope - 1 : -1, &t->path);
    if (err)
        return err;
    memcpy(t->peer, peer->ip, 16);
    t->pport = peer->port;
    if (!t->lport) {
        err = tcp_port_choose_to(t, &ref);
        if (err)
            return err;
        k = tcb_tuple(t);
    } else {
        k = tcb_tuple(t);
        if (!tcp_comes_home(l, &k))
            return ESTAB_E_ADDRNOTAVAIL;
        ref = tcp_demux_find(l, &k);
    }
    return connect_tuple(t, &k, ref);
}

/* [MUST-46, RFC1122-4.2.3.10-1] */
int tcp_open_active(struct tcb *t, const struct estab_addr *peer)
{
    struct tcp_layer *l = t->layer;
    struct ip_path before = t->path;
    uint16_t lport = t->lport;
    struct tcp_tuple k;
    int err;

    if (UNLIKELY(t->state == ESTAB_LISTEN))
        return ESTAB_E_INVAL;
    if (UNLIKELY(t->state != ESTAB_CLOSED || t->established || t->pport))
        return ESTAB_E_ISCONN;
    if (UNLIKELY(peer->port == 0 || ip_is_any(peer->ip) || ip_is_multicast(peer->ip)))
        return ESTAB_E_INVAL;
    if (UNLIKELY(t->v6_only && ip_is4(peer->ip)))
        return ESTAB_E_ADDRNOTAVAIL;
    tcp_demux_del(t); /* from bound to connected */
    err = connect_prepare(t, peer);
    if (UNLIKELY(err)) {
        t->path = before;
        t->lport = lport;
        t->pport = 0;
        memset(t->peer, 0, sizeof t->peer);
        if (t->bound)
            (void)tcp_demux_add(t); /* the place it had is free: this cannot fail */
        tcb_rest(t);
        return err;
    }
    k = tcb_tuple(t);
    t->active = true;
    if (l->set.timestamps)
        t->ts_offset = tcp_ts_offset(l, &k);
    t->rcv_mss = tcp_mss_announce(l, &t->path, t->peer, tcp_extra(t)->user_mss);
    t->mss_max = t->rcv_mss; /* until the peer's is known */
    tcp_mtu_begin(t);
    t->rcv_wscale = (l->set.window_scale ? tcp_wscale_for(t) : 0) & 0xfu;
    t->w->snd_up = t->w->small_end = t->snd.nxt;
    sent_clear(&t->w->sent, &t->layer->pool, t->snd.nxt);
    tcp_fastopen_open(t);
    tcp_enter(t, ESTAB_SYN_SENT, ESTAB_BY_USER);
    if (t->w->held)
        tcp_fastopen_wait(t);
    else
        tcp_fastopen_go(t);
    return ESTAB_E_INPROGRESS;
}

/* ---- 3.10.2 SEND ---- */

/* Copies from iov into the send queue as far as there is room; octets copied, or ESTAB_E_NOMEM for
 * none. */
static ptrdiff_t enqueue(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t room)
{
    ptrdiff_t total = 0;

    for (size_t i = 0; i < niov && room > 0; i++) {
        size_t left = iov[i].len;
        uint8_t *from = iov[i].base;

        while (left > 0 && room > 0) {
            uint32_t n = left < 65536 ? (uint32_t)left : 65536;

            if (n > room)
                n = room;
            if (tcp_sums_write(t, from, n) != 0)
                return total ? total : ESTAB_E_NOMEM;
            from += n;
            left -= n;
            room -= n;
            total += (ptrdiff_t)n;
        }
    }
    return total;
}

int tcp_may_send(struct tcb *t)
{
    if (t->state == ESTAB_LISTEN)
        return ESTAB_E_NOTCONN; /* section 3.10.2 would turn it active: no socket does */
    if (t->err)
        return take_error(t);
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
        return t->established ? ESTAB_E_PIPE : ESTAB_E_NOTCONN;
    case ESTAB_SYN_SENT:
    case ESTAB_SYN_RECEIVED: /* "Queue the data for transmission after entering ESTABLISHED" */
    case ESTAB_ESTABLISHED:
    case ESTAB_CLOSE_WAIT:
        return t->fin_queued ? ESTAB_E_PIPE : 0;
    default:
        return ESTAB_E_PIPE; /* "connection closing" */
    }
}

void tcp_send_more(struct tcb *t)
{
    if (t->w->held)
        tcp_fastopen_go(t);
    else if (t->syn_acked || tcp_is_early(t))
        tcp_owe(t);
}

/* A message, alone in the queue or behind another, to a connection with nothing unusual: the same
 * as the long way, against which test/prop/short_test.c holds it, in some 70 of 240 instructions
 * less. */
static bool send_short(struct tcb *t, const struct estab_iov *iov, uint32_t flags)
{
    const uint32_t least = 536, states = 1u << ESTAB_ESTABLISHED | 1u << ESTAB_CLOSE_WAIT;
    struct tcp_work *w;
    uint8_t *to;

    if (UNLIKELY(!(states >> t->state & 1) || t->fin_queued || t->unusual != 0 || t->err || flags ||
                 iov->len - 1 >= least || tcp_eff_mss(t) <= least || t->layer->long_way))
        return false;
    if (UNLIKELY(!tcb_work(t)))
        return false;
    w = t->w;
    if (UNLIKELY(w->episode != 0 || w->sums || !tcp_has_much_room(t, w->snd.len + iov->len)))
        return false;
    to = ring_room(&w->snd, &t->layer->pool, (uint32_t)iov->len);
    if (UNLIKELY(!to))
        return false;
    memcpy(to, iov->base, iov->len);
    ring_extend(&w->snd, (uint32_t)iov->len);
    tcp_owe(t);
    tcp_why_note(t);
    return true;
}

ptrdiff_t tcp_send(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t flags)
{
    size_t wanted = 0;
    ptrdiff_t n;
    uint32_t room;
    bool easy;

    if (LIKELY(niov == 1 && send_short(t, iov, flags)))
        return (ptrdiff_t)iov->len;
    n = tcp_may_send(t);
    if (n)
        return n;
    if (t->w && t->w->lent_out)
        return ESTAB_E_INVAL;
    for (size_t i = 0; i < niov; i++)
        wanted = iov[i].len < SIZE_MAX - wanted ? wanted + iov[i].len : SIZE_MAX;
    if (wanted == 0)
        return 0;
    if (!tcb_work(t)) {
        tcp_no_memory(t);
        return ESTAB_E_NOMEM;
    }
    easy =
        LIKELY(!t->has_extra && wanted < t->sndbuf) && tcp_has_much_room(t, t->w->snd.len + wanted);
    room = LIKELY(easy) ? (uint32_t)wanted : tcp_room(t);
    n = room ? enqueue(t, iov, niov, room) : ESTAB_E_AGAIN;
    if (n < 0 || (size_t)n < wanted || (UNLIKELY(!easy) && !tcp_has_room(t)))
        t->want_out = true;
    if (n == ESTAB_E_NOMEM)
        tcp_no_memory(t);
    if (n > 0) {
        t->no_memory = false;
        t->w->more = (flags & ESTAB_MSG_MORE) != 0;
        if (flags &
            ESTAB_MSG_OOB) { /* [MUST-30]: SND.UP points behind the urgent octet (RFC 6093) */
            t->w->snd_up = seq_add(tcp_text_una(t), tcp_queue_len(t->w));
            t->w->snd_urgent = true;
        }
        tcp_send_more(t);
    } else {
        tcb_rest(t);
    }
    tcp_why_note(t);
    return n;
}

/* ---- 3.10.3 RECEIVE ---- */

static uint32_t dequeue(struct tcb *t, const struct estab_iov *iov, size_t niov)
{
    uint32_t total = 0;

    for (size_t i = 0; i < niov && total < t->w->rcv.len; i++) {
        uint32_t left = t->w->rcv.len - total;
        uint32_t n = iov[i].len < left ? (uint32_t)iov[i].len : left;

        ring_copy(&t->w->rcv, total, iov[i].base, n);
        total += n;
    }
    return total;
}

/* A window update [section 3.8.6.2.2], to a peer that can still send text. */
static bool has_window_to_tell(const struct tcb *t)
{
    return !t->fin_rcvd && t->syn_acked && t->state != ESTAB_CLOSED && tcp_window_worth(t);
}

IN_PLACE void has_read(struct tcb *t)
{
    tcp_buffer_read(t);
    if (UNLIKELY(has_window_to_tell(t))) {
        t->owed.ack_now = true;
        tcp_owe(t);
    }
}

/* [MUST-12] */
ptrdiff_t tcp_receive(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t flags)
{
    uint32_t n;

    if (UNLIKELY(t->state == ESTAB_LISTEN))
        return ESTAB_E_NOTCONN;
    if (t->w && UNLIKELY(t->w->lent.to != NULL))
        return ESTAB_E_INVAL;
    if (LIKELY(t->w && tcp_unread(t) > 0)) {
        n = dequeue(t, iov, niov);
        if (UNLIKELY(flags & ESTAB_MSG_PEEK))
            return (ptrdiff_t)n;
        ring_drop(&t->w->rcv, &t->layer->pool, n, t->w->ahead != NULL);
        t->w->unread_at = t->layer->env->now;
        if (UNLIKELY(t->rcv_urgent) && !seq_lt(tcp_read_at(t), t->w->rcv_up))
            t->rcv_urgent = false; /* "normal mode" */
        has_read(t);
        tcb_rest(t);
        tcp_why_note(t);
        return (ptrdiff_t)n;
    }
    if (t->err)
        return take_error(t);
    if (t->fin_rcvd || t->rd_shut)
        return 0;
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
        return t->established ? 0 : ESTAB_E_NOTCONN;
    case ESTAB_SYN_SENT: /* who listens already has nothing to say first */
        if (t->w && t->w->held)
            tcp_fastopen_go(t);
        return ESTAB_E_AGAIN;
    case ESTAB_CLOSE_WAIT:
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK:
    case ESTAB_TIME_WAIT:
        return 0;
    default:
        return ESTAB_E_AGAIN;
    }
}

/* A buffer that is lent takes the place of the queue: in bulk, over the in-memory link at MTU 1500,
 * one of three passes over the text less. */
int tcp_recv_lend(struct tcb *t, void *buf, uint32_t len)
{
    struct estab_iov v = {buf, len};
    ptrdiff_t n = 0;

    if (t->state == ESTAB_LISTEN || t->state == ESTAB_CLOSED)
        return ESTAB_E_NOTCONN;
    if (t->w && t->w->lent.to)
        return ESTAB_E_INVAL;
    if (tcp_unread(t) > 0)
        n = tcp_receive(t, &v, 1, 0);
    if (!tcb_work(t))
        return ESTAB_E_NOMEM;
    t->layer->lender = tcb_handle(t);
    t->w->lent.to = buf;
    t->w->lent.room = len;
    t->w->lent.got = (uint32_t)n;
    return 0;
}

ptrdiff_t tcp_recv_end(struct tcb *t)
{
    struct estab_iov rest;
    uint32_t got;
    ptrdiff_t n;

    if (t->state == ESTAB_LISTEN || !t->w || !t->w->lent.to)
        return ESTAB_E_INVAL;
    got = t->w->lent.got;
    rest = (struct estab_iov){t->w->lent.to + got, t->w->lent.room - got};
    memset(&t->w->lent, 0, sizeof t->w->lent);
    if (got > 0 && (tcp_unread(t) == 0 || rest.len == 0)) {
        has_read(t);
        tcp_settle(t);
        return got;
    }
    n = tcp_receive(t, &rest, 1, 0);
    tcp_settle(t);
    return n > 0 || got == 0 ? n + got : got;
}

/* ---- 3.10.4 CLOSE ---- */

static void queue_fin(struct tcb *t)
{
    t->fin_queued = true;
    if (t->w)
        t->w->more = false;
}

int tcp_close(struct tcb *t)
{
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
        return ESTAB_E_NOTCONN;
    case ESTAB_LISTEN:
        tcp_listener_free(t);
        return 0;
    case ESTAB_SYN_SENT:               /* "Delete the TCB and return 'error: closing' responses" */
        if (t->w->fo == TCP_FO_SEND) { /* but who was told that it may send has said something */
            if (t->fin_queued)
                return ESTAB_E_PIPE;
            queue_fin(t);
            if (t->w->held)
                tcp_fastopen_go(t);
            return 0;
        }
        tcp_fail(t, ESTAB_OK, ESTAB_BY_USER, false);
        return 0;
    case ESTAB_SYN_RECEIVED: /* with text queued, "queue for processing after entering ESTABLISHED"
                              */
        if (t->fin_queued)
            return ESTAB_E_PIPE;
        if (!tcb_work(t))
            return ESTAB_E_NOMEM;
        queue_fin(t);
        if (tcp_queued(t) == 0)
            tcp_enter(t, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
        return 0;
    case ESTAB_ESTABLISHED:
        if (!tcb_work(t))
            return ESTAB_E_NOMEM;
        queue_fin(t);
        tcp_enter(t, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
        tcp_owe(t);
        return 0;
    case ESTAB_CLOSE_WAIT:
        if (!tcb_work(t))
            return ESTAB_E_NOMEM;
        queue_fin(t);
        tcp_enter(t, ESTAB_LAST_ACK, ESTAB_BY_USER);
        tcp_owe(t);
        return 0;
    case ESTAB_FIN_WAIT_1:
    case ESTAB_FIN_WAIT_2:
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK:
    case ESTAB_TIME_WAIT:
    case ESTAB_TCP_STATES:
        break;
    }
    return ESTAB_E_PIPE; /* "connection closing" */
}

/* ---- 3.10.5 ABORT ---- */

void tcp_abort(struct tcb *t)
{
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
        if (t->orphan && !t->owed.rst)
            tcb_release(t);
        return;
    case ESTAB_LISTEN:
        tcp_listener_free(t);
        if (t->orphan)
            tcb_release(t);
        return;
    case ESTAB_SYN_RECEIVED:
    case ESTAB_ESTABLISHED:
    case ESTAB_FIN_WAIT_1:
    case ESTAB_FIN_WAIT_2:
    case ESTAB_CLOSE_WAIT:
        rule_count(t->layer->rules, RULE_ABORT);
        tcp_fail(t, ESTAB_E_RESET, ESTAB_BY_USER, true); /* <SEQ=SND.NXT><CTL=RST> */
        return;
    case ESTAB_SYN_SENT:
        tcp_fail(t, ESTAB_E_RESET, ESTAB_BY_USER, false);
        return;
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK: /* which the RFC enters as the FIN is sent: before, the peer waits for it
                          */
        tcp_fail(t, ESTAB_E_RESET, ESTAB_BY_USER, !t->fin_sent);
        return;
    case ESTAB_TIME_WAIT: /* its entry lives on: section 3.6.1 wants the 2 MSL */
        if (t->orphan)
            tcb_release(t);
        return;
    case ESTAB_TCP_STATES:
        break;
    }
}

/* ---- the handle ---- */

void tcp_unorphan(struct tcb *t)
{
    if (t->in_orphans)
        slot_del(&t->layer->tcbs, &t->layer->orphans, t->slot, READY_LINK);
    t->in_orphans = false;
}

/* What nobody holds still costs memory for as long as its peer likes: so there is a bound, and
 * those that have taken longest give way. */
static void join_orphans(struct tcb *t)
{
    struct tcp_layer *l = t->layer;

    if (t->in_orphans || t->state == ESTAB_CLOSED || t->state == ESTAB_LISTEN ||
        t->state == ESTAB_TIME_WAIT)
        return;
    t->in_orphans = true;
    slot_push(&l->tcbs, &l->orphans, t->slot, READY_LINK);
    while (l->set.max_orphans && l->orphans.n > l->set.max_orphans) {
        rule_count(l->rules, RULE_ORPHANS_FULL);
        tcp_abort(tcb_at(l, l->orphans.head));
    }
}

/* Nobody will read, write or be told any more. */
void tcp_orphan(struct tcb *t)
{
    struct tcp_layer *l = t->layer;

    t->orphan = true;
    t->ev_mask = 0;
    if (t->in_ready) {
        slot_del(&l->tcbs, &l->ready, t->slot, READY_LINK);
        t->in_ready = false;
    }
    if (t->state == ESTAB_FIN_WAIT_2) {
        t->idle_on = false;
        tcp_idle_arm(t);
    }
    join_orphans(t);
}

void tcp_shut_read(struct tcb *t)
{
    t->rd_shut = true;
    t->rcv_urgent = false;
    if (t->w) {
        ring_fini(&t->w->rcv, &t->layer->pool);
        ring_init(&t->w->rcv);
    }
    t->owed.ack_now |= has_window_to_tell(t);
    tcp_raise(t, ESTAB_EV_IN);
    tcp_settle(t);
}

/* Whether CLOSE is to be an ABORT: a linger time of 0; or RFC 1122 section 4.2.2.13: closed with
 * unread data means that data was lost, and the peer is told by an RST.
 * [MAY-1, SHLD-3, RFC1122-4.2.2.13-1] */
static enum rule abort_on_close(const struct tcb *t)
{
    if (t->state == ESTAB_CLOSED || t->state == ESTAB_LISTEN || t->state == ESTAB_TIME_WAIT)
        return RULE_NONE;
    if (tcp_linger_ms(t) == 0)
        return RULE_LINGER;
    if (tcp_lent_len(t) > 0)
        return RULE_CLOSE_LENT;
    return tcp_unread(t) > 0 ? RULE_CLOSE_UNREAD : RULE_NONE;
}

int tcp_dispose(struct tcb *t)
{
    enum rule why = abort_on_close(t);
    int err = 0;

    if (UNLIKELY(why != RULE_NONE)) {
        rule_count(t->layer->rules, why);
        tcp_orphan(t);
        tcp_abort(t);
        return 0;
    }
    t->orphan = true; /* a state that CLOSE ends at once ends the tcb with it */
    if (t->state != ESTAB_CLOSED)
        err = tcp_close(t);
    t->orphan = err != ESTAB_E_NOMEM;
    if (UNLIKELY(!t->orphan))
        return err; /* no memory for the FIN: nothing has happened */
    tcp_orphan(t);
    if (t->state == ESTAB_CLOSED ? !t->owed.rst : t->state == ESTAB_TIME_WAIT)
        tcb_release(t);
    return 0;
}

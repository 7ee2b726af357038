/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_why.c - why a connection does what it does, or nothing: RFC 9293 section 3.10.6's STATUS, for
 * people.
 *
 * Nothing is guessed.  tcp_output() records the branch that stopped it (w->stopped), the timers
 * count their tries, tcp_enter() notes the time; the rest is the state itself.  So the reason is a
 * pure function of the control block, and costs nothing until somebody asks.
 *
 * Where estab_config.why_times is set, the time spent in each reason is kept behind the control
 * block, in the same slot of the slab: the reason can only change in an event, so it is looked at
 * when an event ends, and what has passed belongs to the reason before. */
#include "tcp/tcp.h"

struct why_times {
    estab_time at; /* the reason is `why` since */
    uint8_t why;
    estab_dur spent[ESTAB_WHYS];
};
_Static_assert(ESTAB_WHYS <= ESTAB_WHY_ROOM, "spent[] has a place for each reason");

/* ---- the reason ---- */

static bool fin_pending(const struct tcb *t)
{
    return t->fin_queued && !t->fin_sent;
}

/* Something is in flight, or waits to be. */
static bool has_to_send(const struct tcb *t)
{
    return !seq_eq(t->snd.una, t->snd.nxt) || tcp_unsent(t) > 0 || fin_pending(t);
}

static bool waits_to_go(const struct tcb *t)
{
    return tcp_unsent(t) > 0 || fin_pending(t) || t->w->sent.lost > 0;
}

/* What stops the sending direction; ESTAB_WHY_NOTHING: nothing does. */
static enum estab_why why_not_sent(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    if (t->in_stalled)
        return ESTAB_WHY_NEIGHBOUR;
    if (w && w->retries > 0)
        return ESTAB_WHY_RETRANSMIT;
    if (t->in_send)
        return ESTAB_WHY_DRIVER;
    if (w && t->snd.wnd == 0 && has_to_send(t))
        return ESTAB_WHY_ZERO_WINDOW;
    if (t->no_memory)
        return ESTAB_WHY_NO_MEMORY;
    return w && waits_to_go(t) ? (enum estab_why)w->stopped : ESTAB_WHY_NOTHING;
}

/* The window has less room than a peer that avoids silly windows would use. */
static bool is_shut(const struct tcb *t)
{
    uint32_t wnd = tcp_rcv_wnd(t);

    return tcp_unread(t) > 0 && !t->fin_rcvd && wnd < t->rcv_mss && wnd < tcp_rcv_bound(t) / 2;
}

static enum estab_why why_idle(const struct tcb *t)
{
    if (is_shut(t))
        return ESTAB_WHY_NOT_READING;
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_FIN_WAIT_1:
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK:
        return ESTAB_WHY_FIN_SENT;
    default:
        break;
    }
    if (!seq_eq(t->snd.una, t->snd.nxt))
        return ESTAB_WHY_ACK;
    if (t->embryo)
        return ESTAB_WHY_NOT_ACCEPTED;
    if (t->state == ESTAB_CLOSE_WAIT)
        return ESTAB_WHY_CLOSE_WAIT;
    if (t->state == ESTAB_FIN_WAIT_2)
        return ESTAB_WHY_FIN_WAIT_2;
    if (tcp_unread(t) > 0)
        return ESTAB_WHY_UNREAD;
    return t->keep_probes > 0 ? ESTAB_WHY_KEEPALIVE : ESTAB_WHY_NOTHING;
}

static enum estab_why reason(const struct tcb *t)
{
    enum estab_why why;

    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_CLOSED:
        return ESTAB_WHY_CLOSED;
    case ESTAB_LISTEN:
        return tcp_listener_full(t) ? ESTAB_WHY_BACKLOG : ESTAB_WHY_LISTENING;
    case ESTAB_SYN_SENT:
        if (t->w->held)
            return ESTAB_WHY_SYN_HELD;
        return t->in_stalled ? ESTAB_WHY_NEIGHBOUR : ESTAB_WHY_SYN_SENT;
    case ESTAB_TIME_WAIT:
        return ESTAB_WHY_TIME_WAIT;
    default:
        break;
    }
    if (!t->syn_acked)
        return t->in_stalled ? ESTAB_WHY_NEIGHBOUR : ESTAB_WHY_SYN_RCVD;
    why = why_not_sent(t);
    if (why == ESTAB_WHY_NOTHING)
        return why_idle(t);
    return fin_pending(t) && why != ESTAB_WHY_RETRANSMIT ? ESTAB_WHY_FIN_QUEUED : why;
}

/* ---- the time spent in each ---- */

size_t tcp_why_room(const struct tcp_settings *set)
{
    return set->why_times ? sizeof(struct why_times) : 0;
}

static struct why_times *times_of(const struct tcb *t)
{
    return (struct why_times *)(uintptr_t)(t + 1);
}

void tcp_why_init(struct tcb *t)
{
    if (!t->layer->set.why_times)
        return;
    *times_of(t) = (struct why_times){.at = t->layer->env->now, .why = ESTAB_WHY_CLOSED};
}

void tcp_why_count(struct tcb *t)
{
    struct why_times *w = times_of(t);
    enum estab_why why;

    if (t->dead || t->state == ESTAB_LISTEN)
        return;
    why = reason(t);
    if (w->why == why)
        return;
    w->spent[w->why] += time_since(w->at, t->layer->env->now);
    w->why = (uint8_t)why;
    w->at = t->layer->env->now;
}

static void put_times(const struct tcb *t, struct estab_why_info *i)
{
    const struct why_times *w = times_of(t);

    i->has_times = t->layer->set.why_times && t->state != ESTAB_LISTEN;
    if (!i->has_times)
        return;
    memcpy(i->spent, w->spent, sizeof w->spent);
    i->spent[w->why] += time_since(w->at, i->now);
}

/* ---- the evidence ---- */

/* A time that was kept as circular milliseconds: good for 49 days. */
static estab_time time_of_ms(uint32_t then, estab_time now)
{
    estab_dur ago = ESTAB_MS(ms_of(now) - then);

    return ago > now ? 0 : now - ago;
}

/* Without text sent in it yet, a state's own age. */
static estab_time idle_since(const struct tcb *t, estab_time now)
{
    estab_time entered = time_of_ms(t->since_ms, now), sent;

    if (t->sent_ms == 0)
        return entered;
    sent = time_of_ms(t->sent_ms, now);
    return sent > entered ? sent : entered;
}

static void put_retries(const struct tcb *t, struct estab_why_info *i)
{
    const struct tcp_settings *set = &t->layer->set;

    i->tries = t->w->retries;
    i->tries_max = t->orphan                       ? set->orphan_retries
                   : tcp_extra(t)->user_timeout_ms ? 0
                                                   : set->max_retries;
    i->next_at = t->w->due[TCP_T_REXMT];
    i->since = t->w->stalled_at;
    i->give_up_at = tcp_user_deadline(t);
}

static void put_syn(const struct tcb *t, struct estab_why_info *i)
{
    put_retries(t, i);
    i->since = time_of_ms(t->since_ms, i->now);
    i->tries = t->w->retries + 1u;
    i->tries_max = t->layer->set.syn_retries + 1u;
}

static void put_probes(const struct tcb *t, struct estab_why_info *i)
{
    put_retries(t, i);
    i->tries = t->w->probes;
    i->unanswered = t->orphan ? t->w->probes : t->w->unanswered;
    i->next_at = t->w->due[TCP_T_PERSIST];
}

/* A next hop that is not there: what waits for it, or has been lost for its sake (beside: which is
 * not the reason, but explains it). */
static bool put_hop(const struct tcp_layer *l, const struct ip_path *p, const uint8_t *peer,
                    bool beside, struct estab_why_info *i)
{
    struct ip_doubt d;

    if (!ip_path_unknown(l->ip, p, peer, &d))
        return false;
    memcpy(i->hop.ip, d.addr, 16);
    i->hop_failed = d.failed;
    if (beside)
        return true;
    i->tries = d.asked;
    i->tries_max = d.asks;
    i->next_at = d.next_at;
    return true;
}

static void put_listener(const struct tcb *t, struct estab_why_info *i)
{
    i->acceptq = t->l->accepts.n;
    i->half_open = t->l->nsynq;
    i->backlog = t->l->backlog;
}

static void put_memory(const struct tcp_layer *l, struct estab_why_info *i)
{
    i->mem_used = l->env->used;
    i->mem_max = l->env->ceiling;
    i->since = l->refused_at;
}

static void put_numbers(const struct tcb *t, struct estab_why_info *i)
{
    i->flight = seq_diff(t->snd.nxt, t->snd.una);
    i->unsent = tcp_unsent(t);
    i->unread = tcp_unread(t);
    i->cwnd = t->cc.cwnd;
    i->snd_wnd = t->snd.wnd;
    i->rcv_wnd = tcp_rcv_wnd(t);
    i->snd_mss = t->snd_mss ? tcp_eff_mss(t) : 0;
}

/* `why` is i->why, or what is behind it. */
static void put_evidence(const struct tcb *t, enum estab_why why, struct estab_why_info *i)
{
    struct tcp_tuple tuple = tcb_tuple(t);
    struct tcb *listener;

    switch (why) {
    case ESTAB_WHY_SYN_SENT:
    case ESTAB_WHY_SYN_RCVD:
        put_syn(t, i);
        (void)put_hop(t->layer, &t->path, t->peer, true, i);
        break;
    case ESTAB_WHY_NEIGHBOUR:
        i->since = t->w && t->w->stopped == ESTAB_WHY_NEIGHBOUR ? t->w->stopped_at : ESTAB_NEVER;
        (void)put_hop(t->layer, &t->path, t->peer, false, i);
        break;
    case ESTAB_WHY_RETRANSMIT:
        put_retries(t, i);
        (void)put_hop(t->layer, &t->path, t->peer, true, i);
        break;
    case ESTAB_WHY_ZERO_WINDOW:
        put_probes(t, i);
        break;
    case ESTAB_WHY_NO_MEMORY:
        put_memory(t->layer, i);
        break;
    case ESTAB_WHY_WINDOW_FULL:
    case ESTAB_WHY_CWND:
    case ESTAB_WHY_MORE:
    case ESTAB_WHY_NAGLE:
    case ESTAB_WHY_SWS:
        i->since = t->w->stopped_at;
        i->next_at = t->w->due[TCP_T_SWS];
        break;
    case ESTAB_WHY_PACING:
        i->since = t->w->stopped_at;
        i->next_at = t->w->due[TCP_T_PACE];
        i->pacing_rate = tcp_pace_rate(t);
        break;
    case ESTAB_WHY_FIN_SENT:
        put_retries(t, i);
        i->since = time_of_ms(t->since_ms, i->now);
        break;
    case ESTAB_WHY_ACK:
        put_retries(t, i);
        break;
    case ESTAB_WHY_NOT_READING:
    case ESTAB_WHY_UNREAD:
        i->since = t->w->unread_at;
        break;
    case ESTAB_WHY_NOT_ACCEPTED:
        listener = tcp_demux_listener(t->layer, &tuple);
        if (listener)
            put_listener(listener, i);
        i->since = time_of_ms(t->since_ms, i->now);
        break;
    case ESTAB_WHY_FIN_WAIT_2:
        i->next_at = t->orphan ? tcp_idle_at(t) : ESTAB_NEVER;
        i->since = time_of_ms(t->since_ms, i->now);
        break;
    case ESTAB_WHY_LISTENING:
    case ESTAB_WHY_BACKLOG:
        put_listener(t, i);
        break;
    case ESTAB_WHY_KEEPALIVE:
        i->tries = t->keep_probes;
        i->tries_max = tcp_keepcnt(t);
        i->next_at = tcp_idle_at(t);
        i->since = idle_since(t, i->now);
        break;
    case ESTAB_WHY_NOTHING:
        i->since = idle_since(t, i->now);
        break;
    case ESTAB_WHY_SYN_HELD:
        i->since = time_of_ms(t->since_ms, i->now);
        i->next_at = t->w->due[TCP_T_SWS];
        break;
    case ESTAB_WHY_CLOSED:
    case ESTAB_WHY_CLOSE_WAIT:
        i->since = time_of_ms(t->since_ms, i->now);
        break;
    case ESTAB_WHY_TIME_WAIT:
    case ESTAB_WHY_DRIVER:
    case ESTAB_WHY_FIN_QUEUED:
    case ESTAB_WHY_NO_CONNS:
    case ESTAB_WHYS:
        break;
    }
}

void tcp_why(const struct tcb *t, struct estab_why_info *i)
{
    i->why = reason(t);
    i->state = (enum estab_tcp_state)t->state;
    i->orphan = t->orphan;
    if (t->state != ESTAB_LISTEN && t->state != ESTAB_CLOSED)
        put_numbers(t, i);
    if (i->why == ESTAB_WHY_FIN_QUEUED)
        i->behind = why_not_sent(t);
    put_evidence(t, i->why == ESTAB_WHY_FIN_QUEUED ? i->behind : i->why, i);
    if (tcp_timewait_slot(t) != SLAB_NONE)
        timewait_why(t->layer, t->timewait, i);
    put_times(t, i);
}

/* RFC 6298's back-off tells how long ago the first SYN,ACK was. */
static estab_time synq_began(const struct tcp_layer *l, const struct tcp_synq *q, estab_time now)
{
    estab_time at = ms_to_time(now, q->due);

    for (uint8_t n = 0; n <= q->retries; n++)
        at = at > l->synack_rto[n] ? at - l->synack_rto[n] : 0;
    return at < now ? at : now;
}

void synq_why(const struct tcp_layer *l, uint32_t slot, struct estab_why_info *i)
{
    const struct tcp_synq *q = slab_at(&l->synqs, slot);

    i->why = l->nconns >= l->max_conns ? ESTAB_WHY_NO_CONNS : ESTAB_WHY_SYN_RCVD;
    i->state = ESTAB_SYN_RECEIVED;
    i->orphan = true;
    i->tries = q->retries + 1u;
    i->tries_max = l->set.synack_retries + 1u;
    i->next_at = ms_to_time(i->now, q->due);
    i->since = synq_began(l, q, i->now);
    i->conns = l->nconns;
    i->max_conns = l->max_conns;
    if (q->in_send) { /* its SYN,ACK has not gone */
        uint8_t peer[16];
        struct ip_path path = {.port = q->far.port};

        (void)tcp_far_tuple(l, &q->far, peer);
        i->why = put_hop(l, &path, peer, false, i) ? ESTAB_WHY_NEIGHBOUR : ESTAB_WHY_DRIVER;
    }
}

void timewait_why(const struct tcp_layer *l, uint32_t slot, struct estab_why_info *i)
{
    const struct tcp_timewait *w = slab_at(&l->timewaits, slot);
    estab_dur left;

    i->why = ESTAB_WHY_TIME_WAIT;
    i->state = ESTAB_TIME_WAIT;
    i->orphan = w->owner == SLAB_NONE;
    i->next_at = ms_to_time(i->now, w->due);
    left = i->next_at - i->now;
    i->since = left < 2 * l->set.msl ? i->now - (2 * l->set.msl - left) : i->now;
}

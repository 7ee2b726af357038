/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_layer.c - the layer's tables and lists, and the life of control blocks.
 *
 * A tcb is never freed while an event runs: CLOSED without a handle puts it among the dead, and
 * tcp_reap() frees them when the public call ends. */
#include "tcp/tcp.h"

/* What all control blocks begin with. */
static void blank_init(struct tcp_layer *l)
{
    struct tcb *t = &l->blank;

    t->layer = l;
    t->state = ESTAB_CLOSED;
    t->path.local = TCP_ANY;
    t->cc_id = l->set.cc->id & 7u;
    t->sndbuf = l->set.sndbuf_init;
    t->rcvbuf = l->set.rcvbuf_init;
    t->quick_acks = l->set.profile.quick_acks;
    t->quick_next = (uint8_t)(2 * t->quick_acks);
    t->ecn = l->set.ecn & 3u;
    t->challenge_s = TCP_SECOND_NEVER;
    tcp_rtt_init(&t->rtt, &l->set.rto);
    wheel_node_init(&t->node);
    tcp_pace_settle(t);
}

int tcp_init(struct tcp_layer *l, struct env *env, struct ip_layer *ip, struct rule_book *rules,
             const struct tcp_settings *set, uint32_t max_conns)
{
    memset(l, 0, sizeof *l);
    l->env = env;
    l->ip = ip;
    l->rules = rules;
    l->set = *set;
    l->max_conns = max_conns;
    for (uint32_t i = 0; i < TCP_HOT; i++)
        l->hot[i].t = &l->blank;
    l->rst_second = UINT32_MAX;
    slab_init(&l->tcbs, env, (uint32_t)(sizeof(struct tcb) + tcp_why_room(set)), 16, 6, max_conns);
    slab_init(&l->works, env, sizeof(struct tcp_work), 16, 6, max_conns);
    slab_zeroed(&l->works, offsetof(struct tcp_work, sent));
    slab_init(&l->listeners, env, sizeof(struct tcp_listener), 8, 3, max_conns);
    slab_init(&l->synqs, env, sizeof(struct tcp_synq), 4, 8, set->max_synq);
    slab_init(&l->timewaits, env, sizeof(struct tcp_timewait), 4, 8, set->max_timewait);
    slab_init(&l->peers6, env, 16, 4, 8, UINT32_MAX);
    slab_init(&l->extras, env, sizeof(struct tcp_extra), 8, 5, max_conns);
    hash_init(&l->extra_of, env);
    tcp_routes_init(l, max_conns);
    slab_init(&l->ranges, env, sizeof(struct tcp_ranges), 8, 4, UINT32_MAX);
    slab_init(&l->sums, env, sizeof(struct tcp_sums), 8, 2, UINT32_MAX);
    slab_init(&l->lents, env, sizeof(struct tcp_lent), 8, 2, UINT32_MAX);
    ring_pool_init(&l->pool, env, 64);
    hash_init(&l->demux, env);
    hash_init(&l->cookies[0].used, env);
    hash_init(&l->cookies[1].used, env);
    wheel_init(&l->wheel, &l->tcbs, offsetof(struct tcb, node), env->now);
    slot_list_init(&l->ready);
    slot_list_init(&l->dead);
    slot_list_init(&l->orphans);
    slot_list_init(&l->timewait_due);
    l->timewait_next.slot = SLAB_NONE;
    for (size_t i = 0; i <= TCP_SYNACK_RETRIES_MAX; i++)
        slot_list_init(&l->synq_by_retries[i]);
    for (size_t i = 0; i < IP_PORTS_MAX; i++) {
        slot_list_init(&l->ports[i].send);
        slot_list_init(&l->ports[i].stalled);
        slot_list_init(&l->synq_send[i]);
        slot_list_init(&l->synq_stalled[i]);
    }
    env_random(env, &l->key, sizeof l->key);
    env_random(env, &l->secret, sizeof l->secret);
    tcp_hashed_init(l, &l->last_tuple);
    tcp_hashed_init(l, &l->last_open);
    tcp_listeners_change(l);
    tcp_ports_init(l);
    blank_init(l);
    for (uint32_t i = 0; i <= TCP_SYNACK_RETRIES_MAX; i++)
        l->synack_rto[i] = tcp_rtt_rto_syn(&l->blank.rtt, &l->set.rto, i);
    return 0;
}

int tcp_port_add(struct tcp_layer *l, uint8_t port)
{
    struct tcp_port *p = &l->ports[port];

    p->replies = env_alloc(l->env, TCP_REPLIES * sizeof *p->replies, 8);
    return p->replies ? 0 : ESTAB_E_NOMEM;
}

bool tcp_ranges_need(struct tcp_layer *l, struct tcp_ranges **r)
{
    uint32_t slot;

    if (*r)
        return true;
    slot = slab_get(&l->ranges);
    if (slot == SLAB_NONE)
        return false;
    *r = slab_at(&l->ranges, slot);
    (*r)->slot = slot;
    ranges_init(&(*r)->r);
    return true;
}

bool tcp_ranges_grow(struct tcp_layer *l, struct tcp_ranges *r)
{
    struct range *room = r->r.lent ? NULL : ring_pool_get(&l->pool, TCP_AHEAD_SHIFT);

    if (room)
        ranges_lend(&r->r, room, TCP_AHEAD_MAX);
    return room != NULL;
}

void tcp_ranges_free(struct tcp_layer *l, struct tcp_ranges **r)
{
    if (*r && (*r)->r.lent)
        ring_pool_put(&l->pool, TCP_AHEAD_SHIFT, (*r)->r.lent);
    if (*r)
        slab_put(&l->ranges, (*r)->slot);
    *r = NULL;
}

static void free_work(struct tcp_layer *l, struct tcb *t)
{
    struct tcp_work *w = t->w;

    t->at_recover = !seq_lt(w->recover, t->snd.una);
    ring_fini(&w->snd, &l->pool);
    ring_fini(&w->rcv, &l->pool);
    tcp_ranges_free(l, &w->ahead);
    sent_fini(&w->sent, &l->pool);
    tcp_sums_free(l, w);
    tcp_lent_free(l, w);
    slab_put(&l->works, w->slot);
    t->w = NULL;
}

void tcp_fini(struct tcp_layer *l)
{
    for (uint32_t i = slab_next(&l->tcbs, 0); i != SLAB_NONE; i = slab_next(&l->tcbs, i + 1)) {
        struct tcb *t = tcb_at(l, i);

        if (t->state != ESTAB_LISTEN && t->w)
            free_work(l, t);
    }
    for (size_t i = 0; i < IP_PORTS_MAX; i++)
        env_free(l->env, l->ports[i].replies, TCP_REPLIES * sizeof *l->ports[i].replies, 8);
    ring_pool_fini(&l->pool);
    hash_fini(&l->demux);
    tcp_cookie_fini(l);
    tcp_fastopen_fini(l);
    tcp_ports_fini(l);
    slab_fini(&l->tcbs);
    slab_fini(&l->works);
    slab_fini(&l->listeners);
    slab_fini(&l->synqs);
    slab_fini(&l->timewaits);
    slab_fini(&l->peers6);
    slab_fini(&l->ranges);
    slab_fini(&l->sums);
    slab_fini(&l->lents);
    slab_fini(&l->extras);
    hash_fini(&l->extra_of);
    tcp_routes_fini(l);
}

/* [MUST-25, MUST-28] */
struct tcb *tcb_new(struct tcp_layer *l)
{
    uint32_t slot = slab_get(&l->tcbs);
    struct tcb *t;

    if (slot == SLAB_NONE) {
        rule_count(l->rules, l->tcbs.used >= l->max_conns ? RULE_CONNS_FULL : RULE_NO_MEMORY);
        return NULL;
    }
    t = tcb_at(l, slot);
    *t = l->blank;
    t->slot = slot;
    t->since_ms = ms_of(l->env->now);
    t->read_ms = tcp_ts_now(l);
    tcp_why_init(t);
    l->nconns++;
    return t;
}

/* The window stays; what the algorithm knew is another's. */
void tcp_set_cc(struct tcb *t, const struct cc_ops *cc)
{
    if (tcp_cc(t) == cc)
        return;
    t->cc_id = cc->id & 7u;
    t->cc.kept = 0;
    t->nonvalidated = t->spread = false;
    if (t->w && t->state != ESTAB_LISTEN) {
        t->w->cc = (struct cc_run){0};
        t->w->rate.first_us = t->w->rate.delivered_us = tcp_us(t->layer);
    }
    tcp_pace_settle(t);
}

bool tcb_work_new(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    struct tcp_work *w;
    uint32_t slot;

    slot = slab_get(&l->works);
    if (slot == SLAB_NONE)
        return false;
    w = slab_at(&l->works, slot);
    w->slot = slot;
    for (int i = 0; i < TCP_TIMERS; i++)
        w->due[i] = ESTAB_NEVER;
    w->acked = t->rcv.nxt;
    w->rtt_at = ESTAB_NEVER;
    w->stalled_at = ESTAB_NEVER;
    sent_init(&w->sent, t->snd.nxt);
    w->reduced = w->rack.fack = t->snd.una;
    w->recover = seq_sub(t->snd.una, t->at_recover ? 0 : 1);
    w->rack.reo_mult = 1;
    w->limited_to = w->pipe.from = w->pipe.end = t->snd.una;
    w->pipe.ms = ms_of(l->env->now) - tcp_cwv_age(t);
    w->snd_up = w->small_end = t->snd.una;
    t->w = w;
    return true;
}

/* With empty queues: nothing out of order or under way either, in a state that can last. */
static bool at_rest(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    if (LIKELY(t->state == ESTAB_ESTABLISHED && w->due[TCP_T_DELACK] != ESTAB_NEVER))
        return false; /* as when a message has been read, whose answer carries its ACK */
    if (UNLIKELY(w->lent.to || t->rcv_urgent))
        return false;
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_ESTABLISHED:
    case ESTAB_CLOSE_WAIT:
    case ESTAB_FIN_WAIT_2:
        break;
    case ESTAB_CLOSED:
    case ESTAB_TIME_WAIT: /* a handle keeps it; only what is unread matters */
        return true;
    default:
        return false;
    }
    if (t->in_send || (t->fin_queued && !t->fin_sent))
        return false;
    return w->due[TCP_T_DELACK] == ESTAB_NEVER && seq_eq(t->snd.una, t->snd.nxt) && !w->ahead &&
           !w->recovering && !w->rto_recovering && !w->fin_ahead && !w->ecn_wait &&
           w->due[TCP_T_PERSIST] == ESTAB_NEVER;
}

void tcb_rest_empty(struct tcb *t)
{
    if (!at_rest(t))
        return;
    free_work(t->layer, t);
    if (UNLIKELY(tcp_has_many(t->layer)))
        tcp_quiet(t);
}

void tcb_release(struct tcb *t)
{
    struct tcp_layer *l = t->layer;

    if (t->dead)
        return;
    assert(t->state == ESTAB_CLOSED || t->state == ESTAB_TIME_WAIT);
    tcp_demux_del(t);
    tcp_sleep(t);
    tcp_unlist(t);
    tcp_unorphan(t);
    if (t->in_ready) {
        slot_del(&l->tcbs, &l->ready, t->slot, READY_LINK);
        t->in_ready = false;
    }
    if (tcp_timewait_slot(t) != SLAB_NONE) {
        ((struct tcp_timewait *)slab_at(&l->timewaits, t->timewait))->owner = SLAB_NONE;
        t->timewait = SLAB_NONE;
    }
    t->dead = true;
    slot_push(&l->tcbs, &l->dead, t->slot, SEND_LINK);
    l->env->held = true;
}

void tcp_reap(struct tcp_layer *l)
{
    while (l->dead.head != SLAB_NONE) {
        struct tcb *t = tcb_at(l, l->dead.head);

        slot_del(&l->tcbs, &l->dead, t->slot, SEND_LINK);
        if (t->w)
            free_work(l, t);
        tcp_extra_free(t);
        tcp_route_del(l, TCP_REF(TCP_REF_TCB, t->slot));
        tcp_cools(t);
        if (l->called.t == t)
            tcp_call(l, 0, NULL);
        slab_put(&l->tcbs, t->slot);
        l->nconns--;
    }
}

estab_sock tcb_handle(const struct tcb *t)
{
    return (estab_sock)slab_gen(&t->layer->tcbs, t->slot) << 32 | t->slot;
}

/* What was written a moment ago in several pieces is not read as one, here and below: such a read
 * waits until all have left for the cache. */
void tcp_owe(struct tcb *t)
{
    struct tcp_port *p = &t->layer->ports[t->path.port];

    if (UNLIKELY(t->in_send || t->dead))
        return;
    t->in_send = true;
    if (UNLIKELY(!slot_push_alone(&p->send, t->slot, &t->send)))
        slot_append(&t->layer->tcbs, &p->send, &t->send, t->slot, SEND_LINK);
}

void tcp_unlist(struct tcb *t)
{
    struct tcp_port *p = &t->layer->ports[t->path.port];

    if (t->in_send)
        slot_del(&t->layer->tcbs, t->in_stalled ? &p->stalled : &p->send, t->slot, SEND_LINK);
    t->in_send = t->in_stalled = false;
}

bool tcp_wants(const struct tcb *t)
{
    if (t->owed.ack_now || t->owed.probe || t->owed.keepalive || t->owed.tail || t->owed.syn ||
        t->owed.rst || t->owed.before)
        return true;
    if (t->owed.dup_acks)
        return true;
    return t->w && (t->w->sent.lost > 0 || tcp_unsent(t) > 0 || (t->fin_queued && !t->fin_sent));
}

void tcp_settle(struct tcb *t)
{
    if (t->dead || t->state == ESTAB_LISTEN)
        return;
    if (t->state == ESTAB_CLOSED ? t->owed.rst : tcp_wants(t))
        tcp_owe(t);
    else
        tcb_rest(t);
    tcp_why_note(t);
    tcb_check(t);
}

void tcp_raise(struct tcb *t, uint8_t ev)
{
    struct tcp_layer *l = t->layer;

    ev &= t->ev_mask;
    if (!ev || t->orphan)
        return;
    t->ev_pending |= ev;
    if (t->in_ready)
        return;
    t->in_ready = true;
    slot_push(&l->tcbs, &l->ready, t->slot, READY_LINK);
}

void tcp_no_memory(struct tcb *t)
{
    t->no_memory = true;
    t->layer->refused_at = t->layer->env->now;
    tcp_why_note(t);
}

/* Told to those who watch for it; and remembered, in case the connection is given up.
 * [MUST-47, SHLD-9, SHLD-20, SHLD-25] */
void tcp_report(struct tcb *t, enum estab_err soft)
{
    t->soft_err = (int8_t)soft;
    tcp_raise(t, ESTAB_EV_REPORT);
}

/* A window that is all but closed, and less to read than was asked for, would wait for each other.
 */
bool tcp_readable(const struct tcb *t)
{
    uint32_t n = tcp_unread(t);

    if (t->state != ESTAB_LISTEN && t->w)
        n += t->w->lent.got;
    return n > 0 && (!t->has_extra || n >= tcp_extra(t)->rcv_lowat || tcp_rcv_wnd(t) < t->rcv_mss);
}

uint8_t tcp_level(struct tcb *t)
{
    uint8_t ev = 0;

    if (t->state == ESTAB_LISTEN)
        return t->l->accepts.n ? ESTAB_EV_IN : 0;
    if (t->err)
        ev |= ESTAB_EV_ERR | ESTAB_EV_IN | ESTAB_EV_OUT;
    if (tcp_readable(t) || t->rd_shut)
        ev |= ESTAB_EV_IN;
    if (t->fin_rcvd)
        ev |= ESTAB_EV_IN | ESTAB_EV_RDHUP;
    if (t->soft_err)
        ev |= ESTAB_EV_REPORT;
    if (t->rcv_urgent)
        ev |= ESTAB_EV_URG;
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_ESTABLISHED:
    case ESTAB_CLOSE_WAIT:
        if (LIKELY(tcp_has_room(t)))
            ev |= ESTAB_EV_OUT;
        else
            t->want_out = true;
        break;
    case ESTAB_SYN_SENT:
        if (t->w->held)
            ev |= ESTAB_EV_OUT;
        break;
    case ESTAB_SYN_RECEIVED:
        if (!tcp_is_early(t))
            break;
        if (tcp_queued(t) < tcp_snd_bound(t))
            ev |= ESTAB_EV_OUT;
        else
            t->want_out = true;
        break;
    case ESTAB_CLOSED:
        ev |= ESTAB_EV_HUP | ESTAB_EV_FLUSHED |
              (t->established ? ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP : 0);
        break;
    case ESTAB_TIME_WAIT:
        ev |= ESTAB_EV_FLUSHED;
        /* fall through */
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK:
        ev |= ESTAB_EV_HUP | ESTAB_EV_OUT;
        break;
    case ESTAB_FIN_WAIT_2:
        ev |= ESTAB_EV_FLUSHED;
        /* fall through */
    case ESTAB_FIN_WAIT_1:
        ev |= ESTAB_EV_OUT; /* a send would not block: it fails */
        break;
    default:
        break;
    }
    return ev;
}

void tcb_check(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    if (t->state == ESTAB_LISTEN)
        return;
    assert(seq_le(t->snd.una, t->snd.nxt));
    assert(seq_le(t->rcv.nxt, t->rcv.adv) || t->fin_rcvd);
    assert(!t->fin_sent || t->fin_queued);
    if (!w)
        return;
    assert(!t->syn_acked || t->state == ESTAB_CLOSED || t->state == ESTAB_TIME_WAIT ||
           (seq_eq(w->sent.lo, t->snd.una) && seq_eq(sent_nxt(&w->sent), t->snd.nxt)));
    if (w->sent.n < 16) /* or it would take longer than the event */
        sent_check(&w->sent);
    assert(
        t->state == ESTAB_CLOSED || t->state == ESTAB_TIME_WAIT ||
        seq_le(t->snd.nxt, seq_add(tcp_text_una(t), tcp_queue_len(w) + (t->fin_queued ? 1 : 0))));
    for (int i = 0; i < TCP_TIMERS; i++)
        assert(w->due[i] == ESTAB_NEVER || t->node.armed);
    (void)w;
}

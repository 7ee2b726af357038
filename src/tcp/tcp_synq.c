/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_synq.c - SYN-RECEIVED after a passive open: an entry of 48 octets, no control block, no
 * buffer.
 *
 * The column SYN-RECEIVED of RFC 9293 section 3.10.7.4, under its eight headings.  Entries with the
 * same number of retransmissions share a duration, so each number has a list in which what is due
 * first stands first.  An entry that owes a SYN,ACK is on its port's send list; one that ends while
 * there is freed when it leaves it. */
#include "tcp/tcp.h"

#define SYNQ_LINK offsetof(struct tcp_synq, link)

static struct tcp_synq *synq_at(const struct tcp_layer *l, uint32_t slot)
{
    return slab_at(&l->synqs, slot);
}

static struct tcb *listener_of(const struct tcp_layer *l, const struct tcp_synq *q)
{
    struct tcb *t = tcb_at(l, q->listener);

    assert(t->state == ESTAB_LISTEN);
    return t;
}

/* Through send_next; while an entry is in a list, in_send is set. */
static void send_push(struct tcp_layer *l, struct slot_list *list, uint32_t slot)
{
    synq_at(l, slot)->send_next = SLAB_NONE;
    if (list->tail != SLAB_NONE)
        synq_at(l, list->tail)->send_next = slot;
    else
        list->head = slot;
    list->tail = slot;
    list->n++;
}

static uint32_t send_pop(struct tcp_layer *l, struct slot_list *list)
{
    uint32_t slot = list->head;

    list->head = synq_at(l, slot)->send_next;
    if (list->head == SLAB_NONE)
        list->tail = SLAB_NONE;
    list->n--;
    return slot;
}

static void owe_synack(struct tcp_layer *l, uint32_t slot)
{
    struct tcp_synq *q = synq_at(l, slot);

    if (q->in_send)
        return;
    q->in_send = true;
    send_push(l, &l->synq_send[q->far.port], slot);
}

/* How many timeouts the listener's user waits for text: ESTAB_O_DEFER_ACCEPT, as Linux counts it.
 */
static uint32_t deferred_for(const struct tcp_layer *l, const struct tcb *listener)
{
    estab_dur left = ESTAB_MS(tcp_extra(listener)->defer_ms);
    uint32_t n;

    for (n = 0; left > 0 && n < l->set.synack_retries; n++)
        left -= left < l->synack_rto[n] ? left : l->synack_rto[n];
    return n;
}

static void schedule(struct tcp_layer *l, uint32_t slot)
{
    struct tcp_synq *q = synq_at(l, slot);

    q->due = ms_of(time_add(l->env->now, l->synack_rto[q->retries]));
    slot_push(&l->synqs, &l->synq_by_retries[q->retries], slot, SYNQ_LINK);
}

static void entry_put(struct tcp_layer *l, uint32_t slot)
{
    tcp_far_free(l, &synq_at(l, slot)->far);
    slab_put(&l->synqs, slot);
}

/* Off the timer's list, out of the listener's count; the demux is the caller's. */
static void synq_free(struct tcp_layer *l, uint32_t slot)
{
    struct tcp_synq *q = synq_at(l, slot);

    slot_del(&l->synqs, &l->synq_by_retries[q->retries], slot, SYNQ_LINK);
    listener_of(l, q)->l->nsynq--;
    tcp_route_del(l, TCP_REF(TCP_REF_SYNQ, slot));
    if (q->in_send)
        q->dead = true;
    else
        entry_put(l, slot);
}

static void synq_end(struct tcp_layer *l, uint32_t slot, enum estab_tcp_state to,
                     enum estab_cause by)
{
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &synq_at(l, slot)->far, peer);

    tcp_enter_compact(l, &k, ESTAB_SYN_RECEIVED, to, by);
    tcp_tuple_del(l, &k, tcp_demux_tag(l, &k), TCP_REF(TCP_REF_SYNQ, slot));
    synq_free(l, slot);
}

void synq_end_all(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    uint32_t i = 0;

    for (; t->l->nsynq > 0 && (i = slab_next(&l->synqs, i)) != SLAB_NONE; i++)
        if (synq_at(l, i)->listener == t->slot && !synq_at(l, i)->dead)
            synq_end(l, i, ESTAB_CLOSED, ESTAB_BY_USER);
}

/* The ACK of one whose SYN,ACK has not had to be sent again may be under way, and finds nothing if
 * its number is no cookie.  Of those it is the latest that goes, which has one if any has. */
bool synq_recycle(struct tcb *t)
{
    const uint32_t most = 64; /* in a flood nearly all are this listener's */
    struct tcp_layer *l = t->layer;
    uint32_t seen = 0;

    for (uint32_t n = l->set.synack_retries + 1u; n-- > 0;) {
        uint32_t i = n ? l->synq_by_retries[n].head : l->synq_by_retries[n].tail;

        for (; i != SLAB_NONE && seen < most; seen++) {
            const struct tcp_synq *q = synq_at(l, i);

            if (q->listener == t->slot && (n || q->cookie)) {
                rule_count(l->rules, RULE_SYNQ_RECYCLED);
                synq_end(l, i, ESTAB_CLOSED, ESTAB_BY_TIMEOUT);
                return true;
            }
            i = n ? q->link.next : q->link.prev;
        }
    }
    return false;
}

/* What the SYN says, as far as it is kept. */
static void synq_fill(struct tcp_syn *y, const struct tcb *t, const struct seg *g,
                      const struct tcp_tuple *k, const struct ip_path *path)
{
    const struct tcp_settings *set = &t->layer->set;
    struct tcp_synq *q = &y->q;
    uint16_t own = tcp_mss_announce(t->layer, path, k->peer, tcp_extra(t)->user_mss);

    *q = (struct tcp_synq){.far.lport = k->lport,
                           .far.pport = k->pport,
                           .far.mss = tcp_mss_of(&g->opt, k->peer),
                           .irs = g->seq,
                           .listener = t->slot,
                           .challenge_s = TCP_SECOND_NEVER,
                           .ws_ok = set->window_scale && (g->opt.has & OPT_WS),
                           .ts_ok = set->timestamps && (g->opt.has & OPT_TS),
                           .sack_ok = set->sack && (g->opt.has & OPT_SACK_OK)};
    if (t->ecn != ESTAB_ECN_OFF)
        tcp_ecn_grant(q, g);
    y->path = *path;
    memcpy(y->peer, k->peer, 16);
    if (q->far.mss > own)
        q->far.mss = own;
    if (q->ws_ok) {
        q->snd_wscale = g->opt.ws & 0xfu;
        q->rcv_wscale = tcp_wscale_for(t) & 0xfu;
    }
    if (q->ts_ok)
        q->ts_recent = g->opt.ts_val;
}

/* RFC 4987 section 3.7: entries while there is room for them, cookies beyond.  A new incarnation's
 * ISN has a floor (RFC 6191), which a cookie could not keep. */
static bool cookie_wanted(const struct tcb *t, const seq_t *newer)
{
    switch (t->layer->set.cookies) {
    case ESTAB_COOKIES_NEVER:
        return false;
    case ESTAB_COOKIES_WHEN_FULL:
        return !newer && tcp_listener_full(t);
    case ESTAB_COOKIES_ALWAYS:
        return !newer;
    }
    return false;
}

/* Whether a new entry gets a cookie for its number, so that it can give way to one that comes back:
 * while cookies are out, and already when the queue is half full. */
static bool displaceable(const struct tcb *t)
{
    const struct tcp_layer *l = t->layer;

    return l->set.cookies == ESTAB_COOKIES_WHEN_FULL &&
           (l->env->now < t->l->cookies_until ||
            2 * (t->l->nsynq + t->l->accepts.n) >= t->l->backlog ||
            2 * l->synqs.used >= l->set.max_synq);
}

void synq_new(struct tcb *t, const struct seg *g, const struct ip_dgram *d, const seq_t *newer)
{
    struct tcp_layer *l = t->layer;
    struct tcp_tuple k = {d->ip.src, d->local, g->dport, g->sport};
    const struct ip4_route *route = tcp_route_of_syn(t, g);
    bool cookie = !route && cookie_wanted(t, newer); /* it could not remember the route */
    uint8_t hop[16];
    struct ip_path path;
    struct tcp_syn syn;
    uint32_t slot;

    if (tcp_memory_scarce(l)) {
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_MEM_CONN);
        return;
    }
    if (t->l->accepts.n + (cookie ? 0 : t->l->nsynq) >= t->l->backlog) {
        if (l->set.overflow == ESTAB_OVERFLOW_RST)
            tcp_refuse(l, g, d, ESTAB_LISTEN, RULE_BACKLOG_RST);
        else
            tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_BACKLOG_FULL);
        return;
    }
    if (ip_path_find(l->ip, tcp_first_hop(route, d->ip.src, hop), ip_local(l->ip, d->local),
                     d->port, &path) != 0) {
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_NO_ROUTE);
        return;
    }
    synq_fill(&syn, t, g, &k, &path);
    if (tcp_extra(t)->fastopen && !route &&
        tcp_fastopen_syn(t, g, &syn, newer ? *newer : tcp_isn(l, &k)))
        return;
    if (cookie) {
        tcp_cookie_offer(t, &syn);
        return;
    }
    slot = slab_get(&l->synqs);
    if (slot == SLAB_NONE) {
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_SYNQ_FULL);
        return;
    }
    if (!tcp_far_put(l, &syn.q.far, k.peer, &path)) {
        slab_put(&l->synqs, slot);
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_NO_MEMORY);
        return;
    }
    if ((route && !tcp_route_set(l, TCP_REF(TCP_REF_SYNQ, slot), route, t->routed)) ||
        tcp_tuple_add(l, &k, tcp_demux_tag(l, &k), TCP_REF(TCP_REF_SYNQ, slot)) != 0) {
        tcp_route_del(l, TCP_REF(TCP_REF_SYNQ, slot));
        tcp_far_free(l, &syn.q.far);
        slab_put(&l->synqs, slot);
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_NO_MEMORY);
        return;
    }
    if (newer)
        syn.q.iss = *newer;
    else if (displaceable(t))
        tcp_cookie_number(t, &syn);
    else
        syn.q.iss = tcp_isn(l, &k);
    *synq_at(l, slot) = syn.q;
    t->l->nsynq++;
    rule_count(l->rules, RULE_LISTEN_SYN);
    tcp_enter_compact(l, &k, ESTAB_LISTEN, ESTAB_SYN_RECEIVED, ESTAB_BY_SEGMENT);
    schedule(l, slot);
    owe_synack(l, slot);
}

uint16_t synq_window(const struct tcb *listener)
{
    return listener->rcvbuf > UINT16_MAX ? UINT16_MAX : (uint16_t)listener->rcvbuf;
}

/* What the user set on the listener holds for what it accepts. */
static bool inherit(struct tcb *t, const struct tcb *from)
{
    t->user_set = from->user_set;
    t->corked = from->corked;
    t->cc_id = from->cc_id;
    t->paced = from->paced;
    t->sndbuf = from->sndbuf;
    t->rcvbuf = from->rcvbuf;
    t->keepidle_ms = from->keepidle_ms;
    t->timeout_set = from->timeout_set;
    t->ecn = from->ecn;
    return tcp_extra_inherit(t, from);
}

struct tcb *synq_tcb(struct tcp_layer *l, const struct tcp_syn *y, const struct tcb *listener)
{
    const struct tcp_synq *q = &y->q;
    struct tcp_tuple k = {y->peer, y->path.local, q->far.lport, q->far.pport};
    struct tcb *t = tcb_new(l);

    if (!t)
        return NULL;
    if (!inherit(t, listener)) {
        tcb_release(t);
        return NULL;
    }
    t->path = y->path;
    t->lport = k.lport;
    t->pport = k.pport;
    memcpy(t->peer, y->peer, 16);
    t->snd.una = q->iss;
    t->snd.nxt = seq_add(q->iss, 1);
    t->rcv.nxt = seq_add(q->irs, 1);
    t->rcv.adv = seq_add(t->rcv.nxt, synq_window(listener));
    t->rcv_mss = tcp_mss_announce(l, &y->path, y->peer, tcp_extra(t)->user_mss);
    t->mss_max = q->far.mss;
    tcp_mtu_begin(t);
    t->ws_ok = q->ws_ok;
    t->snd_wscale = q->snd_wscale;
    t->rcv_wscale = q->rcv_wscale;
    t->sack_ok = q->sack_ok;
    tcp_ecn_take_over(t, q);
    t->ts_ok = q->ts_ok;
    t->ts_recent = q->ts_recent;
    t->ts_recent_h = tcp_hour(l);
    if (t->ts_ok)
        t->ts_offset = tcp_ts_offset(l, &k);
    return t;
}

static struct ip_path synq_path(const struct tcp_layer *l, uint32_t slot, const uint8_t peer[16])
{
    const struct ip4_route *route = tcp_route_find(l, TCP_REF(TCP_REF_SYNQ, slot));
    uint8_t hop[16];

    return tcp_far_path(l, &synq_at(l, slot)->far, tcp_first_hop(route, peer, hop));
}

/* The third segment has come: a control block takes over.  NULL: no room for one; the entry stays,
 * and the peer hears of its SYN,ACK again. */
static struct tcb *promote(struct tcp_layer *l, uint32_t slot, const struct tcp_tuple *k,
                           struct tcb *listener)
{
    const struct tcp_synq *q = synq_at(l, slot);
    struct tcp_syn syn = {.q = *q, .path = synq_path(l, slot, k->peer)};
    struct tcb *t;

    memcpy(syn.peer, k->peer, 16);
    t = synq_tcb(l, &syn, listener);
    if (!t)
        return NULL;
    if (q->cookie && !tcp_cookie_spend(l, &syn)) {
        tcb_release(t);
        return NULL;
    }
    if (q->retries == 0) { /* Karn: only a SYN,ACK sent once times the path */
        estab_time due = ms_to_time(l->env->now, q->due);

        tcp_rtt_sample(&t->rtt, l->synack_rto[0] - time_since(l->env->now, due));
    } else {
        tcp_rtt_syn_lost(&t->rtt);
    }
    hash_set(&l->demux, tcp_demux_tag(l, k), TCP_REF(TCP_REF_SYNQ, slot),
             TCP_REF(TCP_REF_TCB, t->slot));
    t->in_demux = true;
    tcp_heats(t); /* who completes an opening is who speaks next */
    tcp_take_over(t);
    t->routed = tcp_route_move(l, TCP_REF(TCP_REF_SYNQ, slot), TCP_REF(TCP_REF_TCB, t->slot));
    synq_free(l, slot);
    tcp_listener_adopt(listener, t);
    return t;
}

static uint32_t synq_ts(const struct tcp_layer *l, const struct tcp_synq *q)
{
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &q->far, peer);
    uint32_t ts = tcp_ts_now(l) + tcp_ts_offset(l, &k);

    return q->cookie ? tcp_cookie_ts(q, ts) : ts;
}

static void synq_challenge(struct tcp_layer *l, uint32_t slot, enum rule why)
{
    struct tcp_synq *q = synq_at(l, slot);
    uint16_t wnd = synq_window(listener_of(l, q));
    struct tcp_reply r = {.lport = q->far.lport,
                          .pport = q->far.pport,
                          .seq = seq_add(q->iss, 1),
                          .ack = seq_add(q->irs, 1),
                          .opts = q->ts_ok ? OPT_TS : 0,
                          .ts_val = synq_ts(l, q),
                          .ts_ecr = q->ts_recent,
                          .wnd = (uint16_t)(wnd >> q->rcv_wscale),
                          .flags = SEG_ACK,
                          .state = ESTAB_SYN_RECEIVED,
                          .wscale = q->rcv_wscale,
                          .ace = q->ecn_acc ? TCP_CEP_FIRST : 0,
                          .rule = (uint16_t)why};

    if (q->challenge_s == tcp_second(l)) {
        rule_count(l->rules, RULE_CHALLENGE_LIMIT);
        return;
    }
    q->challenge_s = tcp_second(l) & 0x7fu;
    (void)tcp_far_tuple(l, &q->far, r.peer);
    r.path = synq_path(l, slot, r.peer);
    tcp_reply(l, q->far.port, &r);
}

/* [MUST-11] */
void synq_segment_arrives(struct tcp_layer *l, uint32_t slot, struct seg *g)
{
    struct tcp_synq *q = synq_at(l, slot);
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &q->far, peer);
    struct tcb *listener = listener_of(l, q), *t;
    struct ip_path path;
    seq_t nxt = seq_add(q->irs, 1);
    uint16_t wnd = synq_window(listener);
    bool timed;

    /* Departs from RFC 9293 section 3.10.7.4, first: the SYN once more is not answered with an ACK
     * but with the SYN,ACK again, which was lost (section 3.8.1). */
    if ((g->flags & (SEG_SYN | SEG_ACK | SEG_RST)) == SEG_SYN && seq_eq(g->seq, q->irs)) {
        if (!tcp_ecn_syn_again(q, g)) {
            path = synq_path(l, slot, peer);
            tcp_reply_rst(l, &path, peer, g, ESTAB_SYN_RECEIVED, RULE_ECN_MIXED);
            synq_end(l, slot, ESTAB_LISTEN, ESTAB_BY_SEGMENT);
            return;
        }
        q->fo_give &= (g->opt.has & OPT_FO) != 0;
        q->far.again = true;
        if (g->route) {
            path = synq_path(l, slot, peer);
            (void)tcp_route_arrives(l, TCP_REF(TCP_REF_SYNQ, slot), &path, g->route);
        }
        owe_synack(l, slot);
        return;
    }
    /* First, check the sequence number, and before it the timestamp: RFC 7323 section 5.3, R1, has
     * an acknowledgment for an old one, section 3.2 nothing for none. */
    if (q->ts_ok && !(g->flags & SEG_RST) && !(g->opt.has & OPT_TS)) {
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_TS_MISSING);
        return;
    }
    if (q->ts_ok && !(g->flags & SEG_RST) && (int32_t)(g->opt.ts_val - q->ts_recent) < 0) {
        synq_challenge(l, slot, RULE_PAWS);
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_PAWS);
        return;
    }
    if (!(g->flags & SEG_RST) && !tcp_acceptable(nxt, wnd, g)) {
        synq_challenge(l, slot, RULE_UNACCEPTABLE);
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_UNACCEPTABLE);
        return;
    }
    /* Second, check the RST bit: "return this connection to the LISTEN state". */
    if (g->flags & SEG_RST) {
        if (seq_eq(g->seq, nxt)) {
            rule_count(l->rules, RULE_RST_ACCEPTED);
            synq_end(l, slot, ESTAB_LISTEN, ESTAB_BY_SEGMENT);
        } else if (!seq_in(g->seq, nxt, wnd)) {
            tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_RST_OUTSIDE);
        } else {
            if (!l->set.profile.syn_received_silent)
                synq_challenge(l, slot, RULE_BLIND_RST);
            tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_BLIND_RST);
        }
        return;
    }
    /* Third, check security: not implemented. */
    /* Fourth, check the SYN bit.
     * Departs from RFC 9293 section 3.10.7.4: the connection is not given up for LISTEN but
     * answered as RFC 5961 section 4.2 has it for synchronized states, so that a forged SYN in the
     * window cannot end an opening; who has restarted resets it. */
    if (g->flags & SEG_SYN) {
        synq_challenge(l, slot, RULE_BLIND_SYN);
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_BLIND_SYN);
        return;
    }
    /* Fifth, check the ACK field. */
    if (!(g->flags & SEG_ACK)) {
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_NO_ACK);
        return;
    }
    if (!seq_eq(g->ack, seq_add(q->iss, 1))) {
        path = synq_path(l, slot, peer);
        tcp_reply_rst(l, &path, peer, g, ESTAB_SYN_RECEIVED, RULE_SYN_RECEIVED_ACK);
        return;
    }
    /* Section 3.10.7.4 enters ESTABLISHED here.  Whose user waits for text (ESTAB_O_DEFER_ACCEPT)
     * takes the ACK as lost on the way: the text behind it carries it again, and if none comes, the
     * SYN,ACK is sent again in the end (section 3.8.1) and its ACK believed. */
    if (g->text.len == 0 && !(g->flags & SEG_FIN) && q->retries < deferred_for(l, listener)) {
        q->acked = true;
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_DEFERRED);
        return;
    }
    if (tcp_memory_scarce(l)) {
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_MEM_CONN);
        return;
    }
    timed = !q->cookie;
    t = promote(l, slot, &k, listener);
    if (!t) {
        tcp_drop_tuple(l, &k, g, ESTAB_SYN_RECEIVED, RULE_NO_MEMORY);
        return;
    }
    tcp_syn_acked(t, g, timed);
    /* Sixth to eighth, at ESTABLISHED: "continue processing". */
    tcp_segment_arrives(t, g);
}

/* ---- the SYN,ACK ---- */

/* [RFC7323-3.2-3] */
static void emit_synack(struct tcp_layer *l, const struct tcp_synq *q, const uint8_t peer[16],
                        const struct ip_path *path, const struct ip4_route *route,
                        struct tcp_frames *out)
{
    const struct tcb *listener = listener_of(l, q);
    const struct tcp_extra *x = tcp_extra(listener);
    struct seg_out o;

    seg_out_init(&o, path, peer);
    o.hop_limit = x->hop_limit;
    o.tos = x->tos;
    o.route = route;
    o.rule = q->retries ? RULE_SYN_AGAIN : RULE_NONE;
    o.state = ESTAB_SYN_RECEIVED;
    o.g.sport = q->far.lport;
    o.g.dport = q->far.pport;
    o.g.seq = q->iss;
    o.g.ack = seq_add(q->irs, 1);
    o.g.flags = SEG_SYN | SEG_ACK;
    tcp_ecn_synack(q, &o.g);
    o.g.opt.has = (uint8_t)(OPT_MSS | (q->ws_ok ? OPT_WS : 0) | (q->sack_ok ? OPT_SACK_OK : 0) |
                            (q->ts_ok ? OPT_TS : 0));
    o.g.opt.mss = tcp_mss_announce(l, path, peer, x->user_mss);
    o.g.wnd = tcp_syn_window(l, synq_window(listener), o.g.opt.mss - (q->ts_ok ? TCP_TS_LEN : 0u));
    if (x->adv_uto) {
        o.g.opt.has |= OPT_UTO;
        o.g.opt.uto = x->adv_uto;
    }
    o.g.opt.ws = q->rcv_wscale;
    if (q->ts_ok) {
        o.g.opt.ts_val = synq_ts(l, q);
        o.g.opt.ts_ecr = q->ts_recent;
    }
    if (q->fo_give && q->retries == 0)
        tcp_fastopen_give(l, peer, path, q->fo_exp, &o.g.opt);
    if (q->ecn_acc && q->retries == 0 && !q->far.again) /* RFC 9768 section 3.2.3.2.2 */
        tcp_acc_synack(&o.g.opt);
    tcp_emit(l, &o, out);
}

void synq_unstall(struct tcp_layer *l, uint8_t port)
{
    while (l->synq_stalled[port].head != SLAB_NONE)
        send_push(l, &l->synq_send[port], send_pop(l, &l->synq_stalled[port]));
}

void synq_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    struct slot_list *list = &l->synq_send[port];

    while (out->n < out->room && list->head != SLAB_NONE) {
        uint32_t slot = send_pop(l, list);
        struct tcp_synq *q = synq_at(l, slot);
        const struct ip4_route *route = tcp_route_find(l, TCP_REF(TCP_REF_SYNQ, slot));
        uint8_t peer[16], hop[16];
        const uint8_t *to;
        struct ip_path path;
        enum ip_ready ready;

        q->in_send = false;
        if (q->dead) {
            entry_put(l, slot);
            continue;
        }
        (void)tcp_far_tuple(l, &q->far, peer);
        to = tcp_first_hop(route, peer, hop);
        path = tcp_far_path(l, &q->far, to);
        ready = ip_path_ready(l->ip, &path, to);
        if (ready == IP_WAIT) {
            q->in_send = true;
            send_push(l, &l->synq_stalled[port], slot);
        } else if (ready == IP_LOST) {
            rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
        } else {
            emit_synack(l, q, peer, &path, route, out);
        }
    }
}

/* ---- its timer ---- */

estab_time synq_next(const struct tcp_layer *l)
{
    estab_time next = ESTAB_NEVER;

    if (l->synqs.used == 0)
        return ESTAB_NEVER;
    for (uint32_t i = 0; i <= l->set.synack_retries; i++)
        if (l->synq_by_retries[i].head != SLAB_NONE)
            next = time_min(next,
                            ms_to_time(l->env->now, synq_at(l, l->synq_by_retries[i].head)->due));
    return next;
}

static void synack_timeout(struct tcp_layer *l, uint32_t slot)
{
    struct tcp_synq *q = synq_at(l, slot);
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &q->far, peer);

    if (tcp_traced(l))
        tcp_trace_timer(l, &k, 0, ESTAB_SYN_RECEIVED, ESTAB_T_SYNACK);
    if (q->retries >= l->set.synack_retries) {
        rule_count(l->rules, RULE_RETRIES);
        synq_end(l, slot, ESTAB_CLOSED, ESTAB_BY_TIMEOUT);
        return;
    }
    slot_del(&l->synqs, &l->synq_by_retries[q->retries], slot, SYNQ_LINK);
    q->retries++;
    tcp_ecn_synack_again(q);
    schedule(l, slot);
    if (q->acked && q->retries < deferred_for(l, listener_of(l, q)))
        return; /* there is nothing to ask for, yet */
    rule_count(l->rules, RULE_SYN_AGAIN);
    owe_synack(l, slot);
}

int synq_expire(struct tcp_layer *l)
{
    int fired = 0;

    for (uint32_t i = l->set.synack_retries + 1u; i-- > 0;) {
        struct slot_list *list = &l->synq_by_retries[i];

        while (list->head != SLAB_NONE &&
               (int32_t)(ms_of(l->env->now) - synq_at(l, list->head)->due) >= 0) {
            synack_timeout(l, list->head);
            fired++;
        }
    }
    return fired;
}

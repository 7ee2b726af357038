/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_timewait.c - TIME-WAIT: an entry of 44 octets that answers for a connection until 2 MSL have
 * passed.
 *
 * Kept is what it takes to acknowledge the peer's FIN again (RFC 9293 section 3.10.7.4), to ignore
 * a reset (RFC 1337), and to tell a newer incarnation's SYN from an old duplicate (RFC 6191).  All
 * last equally long, so they stand in one list, what is due first standing first; a repeated FIN
 * moves its entry to the end. */
#include "tcp/tcp.h"

#define TIMEWAIT_LINK offsetof(struct tcp_timewait, link)
#define BEYOND        128000u /* RFC 6191: the new ISN lies beyond anything in flight */

static struct tcp_timewait *timewait_at(const struct tcp_layer *l, uint32_t slot)
{
    return slab_at(&l->timewaits, slot);
}

/* [MUST-13] */
static void start_2msl(struct tcp_layer *l, uint32_t slot)
{
    timewait_at(l, slot)->due = ms_of(time_add(l->env->now, 2 * l->set.msl));
    slot_push(&l->timewaits, &l->timewait_due, slot, TIMEWAIT_LINK);
}

/* Where one ended, the oldest soon follows; among a million connections its place in the index is
 * cold: 4 % of a short connection beside them. */
static void look_ahead(struct tcp_layer *l)
{
    uint32_t slot = l->timewait_due.head;
    uint8_t peer[16];
    struct tcp_tuple k;

    if (slot == SLAB_NONE || slot == l->timewait_next.slot)
        return;
    k = tcp_far_tuple(l, &timewait_at(l, slot)->far, peer);
    l->timewait_next.slot = slot;
    l->timewait_next.tag = (uint32_t)tcp_demux_warm(l, &k).hash;
}

static uint32_t take_tag(struct tcp_layer *l, uint32_t slot, const struct tcp_tuple *k)
{
    if (slot != l->timewait_next.slot)
        return tcp_demux_tag(l, k);
    l->timewait_next.slot = SLAB_NONE;
    return l->timewait_next.tag;
}

static void timewait_end(struct tcp_layer *l, uint32_t slot, enum estab_cause by)
{
    const struct tcp_timewait *w = timewait_at(l, slot);
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &w->far, peer);
    struct tcb *owner = w->owner == SLAB_NONE ? NULL : tcb_at(l, w->owner);

    tcp_tuple_del(l, &k, take_tag(l, slot, &k), TCP_REF(TCP_REF_TIMEWAIT, slot));
    slot_del(&l->timewaits, &l->timewait_due, slot, TIMEWAIT_LINK);
    if (owner) {
        owner->timewait = SLAB_NONE;
        tcp_enter(owner, ESTAB_CLOSED, by);
    } else {
        tcp_enter_compact(l, &k, ESTAB_TIME_WAIT, ESTAB_CLOSED, by);
    }
    tcp_route_del(l, TCP_REF(TCP_REF_TIMEWAIT, slot));
    tcp_far_free(l, &w->far);
    slab_put(&l->timewaits, slot);
    look_ahead(l);
}

static uint32_t timewait_get(struct tcp_layer *l)
{
    uint32_t slot;

    if (!tcp_memory_scarce(l) || l->timewait_due.head == SLAB_NONE) {
        slot = slab_get(&l->timewaits);
        if (slot != SLAB_NONE || l->timewait_due.head == SLAB_NONE)
            return slot;
    }
    rule_count(l->rules, RULE_TIME_WAIT_RECYCLED);
    timewait_end(l, l->timewait_due.head, ESTAB_BY_TIMEOUT);
    return slab_get(&l->timewaits);
}

static void ack_for(struct tcp_layer *l, const struct tcp_timewait *w, const uint8_t peer[16],
                    const struct ip_path *path, uint32_t ts_offset, enum rule why)
{
    struct tcp_reply *r = tcp_reply_room(l, path->port);

    if (!r)
        return;
    *r = (struct tcp_reply){.path = *path,
                            .lport = w->far.lport,
                            .pport = w->far.pport,
                            .seq = w->snd_nxt,
                            .ack = w->rcv_nxt,
                            .opts = w->ts_ok ? OPT_TS : 0,
                            .ts_val = tcp_ts_now(l) + ts_offset,
                            .ts_ecr = w->ts_recent,
                            .wnd = w->far.wnd,
                            .flags = SEG_ACK,
                            .state = ESTAB_TIME_WAIT,
                            .wscale = w->wscales & 0xf,
                            .ace = w->ace,
                            .rule = (uint16_t)why};
    memcpy(r->peer, peer, 16);
}

static void timewait_ack(struct tcp_layer *l, uint32_t slot, enum rule why)
{
    const struct ip4_route *route = tcp_route_find(l, TCP_REF(TCP_REF_TIMEWAIT, slot));
    const struct tcp_timewait *w = timewait_at(l, slot);
    uint8_t peer[16], hop[16];
    struct tcp_tuple k = tcp_far_tuple(l, &w->far, peer);
    struct ip_path path = tcp_far_path(l, &w->far, tcp_first_hop(route, peer, hop));

    ack_for(l, w, peer, &path, tcp_ts_offset(l, &k), why);
}

/* The control block has nothing to do any more but to hand its user what is unread. */
static void stop_work(struct tcb *t)
{
    struct tcp_layer *l = t->layer;

    tcp_sleep(t);
    tcp_unlist(t);
    t->owed = (struct tcp_owed){0};
    t->idle_on = false;
    if (!t->w)
        return;
    for (int i = 0; i < TCP_TIMERS; i++)
        t->w->due[i] = ESTAB_NEVER;
    tcp_ranges_free(l, &t->w->ahead);
    sent_clear(&t->w->sent, &l->pool, t->snd.nxt);
}

void timewait_enter(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    uint32_t slot = timewait_get(l);
    struct tcp_tuple k;
    bool owes = t->owed.ack_now || t->owed.dup_acks;
    uint16_t wnd = tcp_window_field(t);
    struct tcp_timewait none, *w = slot == SLAB_NONE ? &none : timewait_at(l, slot);

    *w = (struct tcp_timewait){.far.lport = t->lport,
                               .far.pport = t->pport,
                               .far.wnd = wnd,
                               .snd_nxt = t->snd.nxt,
                               .rcv_nxt = t->rcv.nxt,
                               .ts_recent = t->ts_recent,
                               .ts_ok = t->ts_ok,
                               .ace = t->ecn_acc ? t->r_cep : 0,
                               .challenge_s = TCP_SECOND_NEVER,
                               .wscales = (uint8_t)(t->snd_wscale << 4 | t->rcv_wscale),
                               .owner = t->orphan ? SLAB_NONE : t->slot};
    if (UNLIKELY(slot != SLAB_NONE && !tcp_far_put(l, &w->far, t->peer, &t->path))) {
        none = *w;
        w = &none;
        slab_put(&l->timewaits, slot);
        slot = SLAB_NONE;
    }
    tcp_enter(t, ESTAB_TIME_WAIT, ESTAB_BY_SEGMENT);
    if (owes)
        ack_for(l, w, t->peer, &t->path, t->ts_offset, RULE_NONE);
    if (UNLIKELY(slot ==
                 SLAB_NONE)) { /* no memory: the state is given up, not the memory contract */
        rule_count(l->rules, RULE_NO_MEMORY);
        tcp_fail(t, ESTAB_OK, ESTAB_BY_TIMEOUT, false);
        return;
    }
    k = tcb_tuple(t);
    hash_set(&l->demux, tcp_demux_tag(l, &k), TCP_REF(TCP_REF_TCB, t->slot),
             TCP_REF(TCP_REF_TIMEWAIT, slot));
    t->in_demux = false;
    (void)tcp_route_move(l, TCP_REF(TCP_REF_TCB, t->slot), TCP_REF(TCP_REF_TIMEWAIT, slot));
    t->routed = false;
    tcp_cools(t);
    start_2msl(l, slot);
    if (t->orphan) {
        tcb_release(t);
        return;
    }
    stop_work(t);
    t->timewait = slot;
    tcp_raise(t, ESTAB_EV_HUP | ESTAB_EV_FLUSHED);
}

static void timewait_challenge(struct tcp_layer *l, uint32_t slot, enum rule why)
{
    struct tcp_timewait *w = timewait_at(l, slot);

    if (w->challenge_s == tcp_second(l)) {
        rule_count(l->rules, RULE_CHALLENGE_LIMIT);
        return;
    }
    w->challenge_s = tcp_second(l) & 0x7fu;
    timewait_ack(l, slot, why);
}

/* RFC 6191 section 2: timestamps decide if both incarnations have them; if only the new one has,
 * whatever is left of the old one is told by having none; otherwise sequence numbers decide.
 * [SHLD-4, RFC6191-2-1, RFC6191-2-2, RFC6191-2-4] */
static bool syn_is_newer(const struct tcp_layer *l, const struct tcp_timewait *w,
                         const struct seg *g)
{
    bool ts = l->set.timestamps && (g->opt.has & OPT_TS);

    if (ts && w->ts_ok && g->opt.ts_val != w->ts_recent)
        return (int32_t)(g->opt.ts_val - w->ts_recent) > 0;
    return (ts && !w->ts_ok) || seq_lt(w->rcv_nxt, g->seq);
}

/* [MAY-2, RFC1122-4.2.2.13-2, RFC1337-3-1, RFC6191-2-3, RFC7323-3.2-2, RFC7323-5.3-1] */
bool timewait_segment_arrives(struct tcp_layer *l, uint32_t slot, struct seg *g, seq_t *newer)
{
    struct tcp_timewait *w = timewait_at(l, slot);
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &w->far, peer);
    bool acceptable = tcp_acceptable(w->rcv_nxt, (uint32_t)w->far.wnd << (w->wscales & 0xf), g);

    /* Second, check the RST bit: RFC 1337 section 3 (fix F1), it is ignored.  (Before the first
     * check, which would only drop it as well.) */
    if (g->flags & SEG_RST) {
        tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_TIME_WAIT_RST);
        return false;
    }
    /* Fourth, check the SYN bit: it is what a new incarnation begins with, so its number need not
     * be in the window. */
    if ((g->flags & (SEG_SYN | SEG_ACK | SEG_FIN)) == SEG_SYN) {
        const struct tcb *listener = tcp_demux_listener(l, &k);

        if (!listener || !syn_is_newer(l, w, g)) {
            timewait_challenge(l, slot, RULE_BLIND_SYN);
            tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_BLIND_SYN);
            return false;
        }
        if (tcp_listener_full(listener)) { /* nothing is given up for what cannot be */
            tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_BACKLOG_FULL);
            return false;
        }
        *newer = seq_add(w->snd_nxt, BEYOND);
        rule_count(l->rules, RULE_TIME_WAIT_SYN);
        timewait_end(l, slot, ESTAB_BY_SEGMENT);
        return true;
    }
    /* Before the first check, the timestamp: RFC 7323 section 5.3, R1, has an acknowledgment for an
     * old one, and section 3.2 nothing for none: neither is the peer's FIN again. */
    if (w->ts_ok && (g->opt.has & OPT_TS) && (int32_t)(g->opt.ts_val - w->ts_recent) < 0) {
        timewait_challenge(l, slot, RULE_PAWS);
        tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_PAWS);
        return false;
    }
    if (w->ts_ok && !(g->opt.has & OPT_TS) && !(g->flags & SEG_SYN) &&
        !l->set.profile.time_wait_acks_all) {
        tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_TS_MISSING);
        return false;
    }
    if (!(g->flags & SEG_ACK) && l->set.profile.time_wait_needs_ack) {
        tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_NO_ACK);
        return false;
    }
    if (g->flags & SEG_SYN) { /* RFC 5961 section 4.2 */
        timewait_challenge(l, slot, RULE_BLIND_SYN);
        tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_BLIND_SYN);
        return false;
    }
    /* Fifth, check the ACK field: without one a segment in the window is dropped.  (One outside of
     * it has been answered in the first check.) */
    if (!(g->flags & SEG_ACK) && acceptable && !l->set.profile.time_wait_acks_all) {
        tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_NO_ACK);
        return false;
    }
    /* First, check the sequence number: an old duplicate is acknowledged.  Eighth, check the FIN
     * bit: only a repeated FIN can have these numbers; it is acknowledged and 2 MSL begin anew.
     * Departs from RFC 9293 section 3.10.7.4, eighth: another FIN does not begin 2 MSL anew, or
     * whoever forges one could keep the entry forever. */
    if ((g->flags & (SEG_FIN | SEG_ACK)) == (SEG_FIN | SEG_ACK) &&
        seq_eq(seq_add(g->seq, g->len), w->rcv_nxt)) {
        slot_del(&l->timewaits, &l->timewait_due, slot, TIMEWAIT_LINK);
        start_2msl(l, slot);
        timewait_ack(l, slot, RULE_TIME_WAIT_FIN);
        rule_count(l->rules, RULE_TIME_WAIT_FIN);
        return false;
    }
    if (g->len > 0)
        timewait_ack(l, slot, RULE_TIME_WAIT_OTHER);
    else if (!acceptable)
        timewait_challenge(l, slot, RULE_TIME_WAIT_OTHER);
    /* Departs from RFC 9293 section 3.10.7.4, fifth: an acceptable ACK without text is not answered
     * with another, or two ends in TIME-WAIT would never fall silent. */
    /* Sixth, URG; seventh, text: nothing to do. */
    tcp_drop_tuple(l, &k, g, ESTAB_TIME_WAIT, RULE_TIME_WAIT_OTHER);
    return false;
}

/* ---- what an active OPEN may do with it ---- */

/* Departs from RFC 9293 section 3.6.1 [MUST-13]: an active OPEN that finds no other port, or is
 * bound to this one, ends a TIME-WAIT before its 2 MSL, if the connection had timestamps and has
 * waited for a second: then every segment of the new incarnation has a later timestamp than any of
 * the old one (RFC 7323 section 5.3), which is what RFC 6191 relies on when it is the peer who
 * begins anew. */
static uint32_t reusable_ms(const struct tcp_layer *l, const struct tcp_timewait *w)
{
    const uint32_t after_ms = 1000;
    uint32_t whole = ms_of(2 * l->set.msl);

    if (!l->set.reuse || !w->ts_ok || whole <= after_ms)
        return w->due;
    return w->due - whole + after_ms + 1;
}

estab_time timewait_free_at(const struct tcp_layer *l, uint32_t slot)
{
    return ms_to_time(l->env->now, reusable_ms(l, timewait_at(l, slot)));
}

seq_t timewait_reuse(struct tcp_layer *l, uint32_t slot)
{
    seq_t floor = seq_add(timewait_at(l, slot)->snd_nxt, BEYOND);

    rule_count(l->rules, RULE_TIME_WAIT_REUSED);
    timewait_end(l, slot, ESTAB_BY_USER);
    return floor;
}

estab_time timewait_next(const struct tcp_layer *l)
{
    if (l->timewait_due.head == SLAB_NONE)
        return ESTAB_NEVER;
    return ms_to_time(l->env->now, timewait_at(l, l->timewait_due.head)->due);
}

int timewait_expire(struct tcp_layer *l)
{
    int fired = 0;

    while (l->timewait_due.head != SLAB_NONE &&
           (int32_t)(ms_of(l->env->now) - timewait_at(l, l->timewait_due.head)->due) >= 0) {
        uint8_t peer[16];
        struct tcp_tuple k = tcp_far_tuple(l, &timewait_at(l, l->timewait_due.head)->far, peer);

        if (tcp_traced(l))
            tcp_trace_timer(l, &k, 0, ESTAB_TIME_WAIT, ESTAB_T_2MSL);
        timewait_end(l, l->timewait_due.head, ESTAB_BY_TIMEOUT);
        fired++;
    }
    return fired;
}

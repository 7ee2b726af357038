/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_timeout.c - deadlines: RFC 9293 section 3.10.8 and every other timer, one function each.
 *
 * A tcb has one node on the wheel, at the earliest of its deadlines or before it: moving a deadline
 * later, or cancelling it, leaves the node alone, and a wake-up with nothing due places it anew. So
 * an ACK that restarts the retransmission timer costs no wheel operation.  With very many
 * connections the node is taken off when its connection comes to rest: a wake-up in vain would wait
 * for memory, once where the wheel turns and once where it is due; now the tcb is at hand.  An
 * exchange of one of a million connections takes a fifth less. */
#include "tcp/tcp.h"

void tcp_cancel(struct tcb *t, enum tcp_timer which)
{
    if (t->w)
        t->w->due[which] = ESTAB_NEVER;
}

void tcp_quiet(struct tcb *t)
{
    if (!t->idle_on)
        tcp_sleep(t);
}

/* Nobody holds it any more, and its wait for the peer's FIN is bounded. */
static bool is_bounded(const struct tcb *t)
{
    return t->state == ESTAB_FIN_WAIT_2 && t->orphan && t->layer->set.fin_wait_2;
}

/* RFC 5482 section 4.2: not before the user timeout that was adopted. [RFC5482-4.2-1] */
static uint32_t keepalive_ms(const struct tcb *t)
{
    const struct tcp_extra *x = tcp_extra(t);
    bool later = t->keepidle_ms && x->adv_uto && x->user_timeout_ms != UINT32_MAX &&
                 x->user_timeout_ms >= t->keepidle_ms;

    return later ? x->user_timeout_ms + 1 : t->keepidle_ms;
}

/* In milliseconds, and not further off than they can tell. */
static void idle_in(struct tcb *t, estab_dur d)
{
    const estab_dur most = ESTAB_MS(INT32_MAX);

    t->idle_ms = ms_of(t->layer->env->now + (d < most ? d : most) + 999999u);
    t->idle_on = true;
}

/* What a connection at rest waits for: the next keepalive, which every segment puts off, or the end
 * of an orphan's FIN-WAIT-2, which nothing does: a peer that goes on talking cannot prolong it.
 * [MUST-24, MUST-25, MAY-5] */
void tcp_idle_settle(struct tcb *t)
{
    switch ((enum estab_tcp_state)t->state) {
    case ESTAB_FIN_WAIT_2:
        if (is_bounded(t)) {
            if (!t->idle_on)
                idle_in(t, t->layer->set.fin_wait_2);
            break;
        }
        /* fall through */
    case ESTAB_ESTABLISHED:
    case ESTAB_CLOSE_WAIT:
        t->idle_on = false;
        if (t->keepidle_ms)
            idle_in(t, ESTAB_MS(keepalive_ms(t)));
        break;
    default:
        t->idle_on = false;
        break;
    }
    if (t->idle_on)
        tcp_wake(t, tcp_idle_at(t));
}

static void fired(struct tcb *t, enum estab_timer which)
{
    struct tcp_tuple k = tcb_tuple(t);

    if (tcp_traced(t->layer))
        tcp_trace_timer(t->layer, &k, tcb_handle(t), (enum estab_tcp_state)t->state, which);
}

static void give_up(struct tcb *t, enum rule why)
{
    /* A peer that has said nothing but a SYN may be nobody. */
    bool rst = t->state != ESTAB_SYN_SENT && !tcp_is_early(t);

    rule_count(t->layer->rules, why);
    tcp_fail(t, t->soft_err ? (enum estab_err)t->soft_err : ESTAB_E_TIMEOUT, ESTAB_BY_TIMEOUT, rst);
}

static void back_off(struct tcb *t)
{
    if (t->backoff < 32)
        t->backoff++;
}

/* RFC 9293 section 3.8.3 (b), (e): at R1 the next hop is doubted and the user told.
 * [MUST-20, MUST-22, SHLD-9, SHLD-10] */
static void reach_r1(struct tcb *t)
{
    const uint8_t r1 = 3;
    uint8_t hop[16];

    if (t->w->retries != r1)
        return;
    ip_path_doubt(t->layer->ip, &t->path, tcp_first_hop(tcp_route(t), t->peer, hop));
    tcp_report(t, t->soft_err ? (enum estab_err)t->soft_err : ESTAB_E_TIMEOUT);
}

/* (c), (d): R2, counted in tries, or the user's time limit in its place.  Who has closed the
 * connection waits for it no longer, and the stack does not wait for ever (it is the peer who
 * decides how long a window stays closed). [MUST-20, MUST-21] */
static bool gave_up(struct tcb *t, uint32_t tries)
{
    const struct tcp_settings *set = &t->layer->set;

    if (tcp_user_deadline(t) <= t->layer->env->now) {
        give_up(t, RULE_USER_TIMEOUT);
        return true;
    }
    if (t->orphan ? tries < set->orphan_retries
                  : tcp_extra(t)->user_timeout_ms || tries < set->max_retries)
        return false;
    give_up(t, RULE_RETRIES);
    return true;
}

/* [MUST-22] */
static void syn_timeout(struct tcb *t)
{
    const struct tcp_settings *set = &t->layer->set;
    struct tcp_work *w = t->w;
    bool asked;

    if (tcp_user_deadline(t) <= t->layer->env->now) {
        give_up(t, RULE_USER_TIMEOUT);
        return;
    }
    /* R2 for a SYN: at least 3 minutes [MUST-23] */
    if (w->retries >= (t->active ? set->syn_retries : set->synack_retries)) {
        give_up(t, RULE_RETRIES);
        return;
    }
    asked = t->state == ESTAB_SYN_SENT && tcp_ecn_asks(t);
    w->retries++;
    back_off(t);
    w->syn_lost = true;
    if (asked && !tcp_ecn_asks(t))
        rule_count(t->layer->rules, RULE_ECN_FALLBACK);
    w->rtt_at = ESTAB_NEVER;
    if (t->rto_fired < UINT16_MAX)
        t->rto_fired++;
    rule_count(t->layer->rules, RULE_SYN_AGAIN);
    reach_r1(t);
    t->owed.syn = true;
    tcp_rexmt_arm(t, true);
}

/* RFC 6298 (5.4) to (5.6): the earliest octet again, the timer doubled, and all that was in flight
 * taken as lost. [MUST-19, RFC6298-5-2] */
static void rexmt_timeout(struct tcb *t)
{
    struct tcp_work *w = t->w;
    struct cc_sample s = {.now = t->layer->env->now,
                          .rtt = ESTAB_NEVER,
                          .flight = seq_diff(t->snd.nxt, t->snd.una),
                          .mss = tcp_eff_mss(t)};

    fired(t, ESTAB_T_REXMT);
    if (!t->syn_acked) {
        syn_timeout(t);
        return;
    }
    if (w->ecn_wait) {
        w->ecn_wait = false;
        if (s.flight == 0)
            return;
    }
    if (gave_up(t, w->retries))
        return;
    if (t->rto_fired < UINT16_MAX)
        t->rto_fired++;
    if (!w->undo_on || (!w->recovering && !w->rto_recovering))
        tcp_undo_begin(t);
    tcp_frto_begin(t);
    tcp_cc(t)->on_rto(&t->cc, &w->cc, &s, w->retries == 0 && !seq_lt(t->snd.una, w->reduced));
    tcp_ecn_reduced(t);
    tcp_cwv_begin(t);
    if (w->retries < UINT8_MAX)
        w->retries++;
    reach_r1(t);
    back_off(t);
    sent_renege(&w->sent); /* RFC 2018 section 8: the peer may have */
    w->tlp_out = t->owed.tail = false;
    w->due[TCP_T_REO] = w->due[TCP_T_PTO] = ESTAB_NEVER;
    tcp_lose(t, t->snd.una, t->snd.nxt);
    w->recover = t->snd.nxt;
    w->rto_recovering = true;
    w->recovering = false;
    w->dupacks = 0;
    w->rtt_at = ESTAB_NEVER;
    tcp_mtu_timeout(t);
    tcp_trace_cc(t, RULE_RTO);
    tcp_rexmt_arm(t, true);
}

/* RFC 8985 section 6.3. */
static void reo_timeout(struct tcb *t)
{
    fired(t, ESTAB_T_REORDER);
    if (tcp_rack_detect(t) > 0)
        tcp_recover(t, 0);
}

/* RFC 8985 section 7.3: the retransmission timer begins anew, whether a probe can be sent or not.
 */
static void pto_timeout(struct tcb *t)
{
    fired(t, ESTAB_T_TAIL);
    t->owed.tail = tcp_tlp_may(t);
    tcp_rexmt_arm(t, true);
}

/* RFC 9293 section 3.8.6.1: probes at growing intervals [SHLD-30], for as long as they are answered
 * [MUST-37] and the user has patience (RFC 6429 section 3).  Once nobody holds the connection,
 * answers alone do not keep it: RFC 9293 section 3.8.3 leaves that to the user, and there is none.
 */
static void persist_timeout(struct tcb *t)
{
    struct tcp_work *w = t->w;

    fired(t, ESTAB_T_PERSIST);
    if (gave_up(t, t->orphan ? w->probes : w->unanswered))
        return;
    if (w->probes < UINT8_MAX)
        w->probes++;
    if (w->unanswered < UINT8_MAX)
        w->unanswered++;
    t->owed.probe = true;
    tcp_rexmt_arm(t, false);
}

/* The peer may have waited for the ACK of a lone segment: the more often, the longer none is
 * delayed. */
static void delack_timeout(struct tcb *t)
{
    const uint8_t most = 240;

    fired(t, ESTAB_T_DELACK);
    if (t->layer->set.profile.quick_acks > 0) {
        t->quick_acks = t->quick_next;
        t->quick_full = false;
        t->quick_next = t->quick_next > most / 2 ? most : (uint8_t)(2 * t->quick_next);
    }
    t->owed.ack_now = true;
}

static void sws_timeout(struct tcb *t)
{
    fired(t, ESTAB_T_SWS);
    if (t->w->held)
        tcp_fastopen_go(t);
    else
        t->w->sws_override = true;
}

/* It is time for the next text; that there is some has put it on the send list.  No record: it
 * would be one for each burst. */
static void pace_timeout(struct tcb *t)
{
    (void)t;
}

/* [MUST-29] */
static void idle_timeout(struct tcb *t)
{
    if (is_bounded(t)) {
        fired(t, ESTAB_T_FINWAIT2);
        rule_count(t->layer->rules, RULE_FIN_WAIT_2_LIMIT);
        tcp_fail(t, ESTAB_E_TIMEOUT, ESTAB_BY_TIMEOUT, false);
        return;
    }
    if (!seq_eq(t->snd.una, t->snd.nxt) || tcp_unsent(t) > 0) {
        tcp_idle_arm(t); /* [MUST-26]: never while sent data is outstanding, whose timers ask too */
        return;
    }
    fired(t, ESTAB_T_KEEPALIVE);
    if (t->keep_probes >= tcp_keepcnt(t)) {
        give_up(t, RULE_KEEPALIVE);
        return;
    }
    t->keep_probes++;
    t->owed.keepalive = true;
    idle_in(t, ESTAB_MS(tcp_keepintvl_ms(t)));
}

static int run_due(struct tcb *t)
{
    static void (*const run[TCP_TIMERS])(struct tcb *) = {
        [TCP_T_REO] = reo_timeout,       [TCP_T_PTO] = pto_timeout,
        [TCP_T_REXMT] = rexmt_timeout,   [TCP_T_PERSIST] = persist_timeout,
        [TCP_T_DELACK] = delack_timeout, [TCP_T_SWS] = sws_timeout,
        [TCP_T_PACE] = pace_timeout,
    };
    estab_time now = t->layer->env->now;
    int n = 0;

    for (int i = 0; i < TCP_TIMERS && t->w && t->state != ESTAB_CLOSED; i++) {
        if (t->w->due[i] > now)
            continue;
        t->w->due[i] = ESTAB_NEVER;
        run[i](t);
        n++;
    }
    if (tcp_idle_at(t) <= now && t->state != ESTAB_CLOSED) {
        t->idle_on = false;
        idle_timeout(t);
        n++;
    }
    return n;
}

static estab_time earliest(const struct tcb *t)
{
    estab_time at = tcp_idle_at(t);

    if (t->state == ESTAB_LISTEN)
        return ESTAB_NEVER;
    for (int i = 0; t->w && i < TCP_TIMERS; i++)
        at = time_min(at, t->w->due[i]);
    return at;
}

int tcp_expire(struct tcp_layer *l)
{
    int n = 0;
    uint32_t slot;

    while ((slot = wheel_pop(&l->wheel, l->env->now)) != SLAB_NONE) {
        struct tcb *t = tcb_at(l, slot);

        n += run_due(t);
        if (t->dead)
            continue;
        if (earliest(t) != ESTAB_NEVER)
            wheel_add(&l->wheel, slot, earliest(t));
        tcp_settle(t);
    }
    return n + synq_expire(l) + timewait_expire(l);
}

estab_time tcp_next(const struct tcp_layer *l)
{
    return time_min(wheel_next(&l->wheel), time_min(synq_next(l), timewait_next(l)));
}

enum estab_timer tcp_next_timer(const struct tcb *t, estab_time *at)
{
    static const enum estab_timer names[TCP_TIMERS] = {
        [TCP_T_REO] = ESTAB_T_REORDER,   [TCP_T_PTO] = ESTAB_T_TAIL,
        [TCP_T_REXMT] = ESTAB_T_REXMT,   [TCP_T_PERSIST] = ESTAB_T_PERSIST,
        [TCP_T_DELACK] = ESTAB_T_DELACK, [TCP_T_SWS] = ESTAB_T_SWS,
        [TCP_T_PACE] = ESTAB_T_PACE,
    };
    enum estab_timer which = ESTAB_T_NONE;

    *at = ESTAB_NEVER;
    if (t->state == ESTAB_LISTEN)
        return which;
    if (t->idle_on) {
        *at = tcp_idle_at(t);
        which = is_bounded(t) ? ESTAB_T_FINWAIT2 : ESTAB_T_KEEPALIVE;
    }
    for (int i = 0; t->w && i < TCP_TIMERS; i++) {
        if (t->w->due[i] >= *at)
            continue;
        *at = t->w->due[i];
        which = names[i];
    }
    return which;
}

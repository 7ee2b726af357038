/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_mtu.c - how large a segment the path takes: RFC 1191, RFC 8201, RFC 4821.
 *
 *      least       snd_mss                    high          mss_max
 *        |- - - - - - -|- - - - - - - - - - - - -|- - - - - - -|
 *                       arrives      may arrive      does not, as far as is known
 *
 * (All with the headers in front, as packets.)  A connection finds out in three ways:
 *
 *   told         a router says what it takes.  tcp_icmp.c has seen that it speaks of something in
 *                flight; no packet smaller than one that was sent can be too big.
 *   black hole   full segments vanish, and nobody says why: after a few retransmissions in vain
 *                smaller ones are tried, and believed in when they arrive (RFC 4821 section 7.7).
 *   probe        a larger segment of new text, with enough behind it that its loss shows at once
 *                (RFC 4821 section 7.4): first the largest that could be, then halves of what is
 *                left.
 *
 * None of them says that the network is congested: what was too big is sent again at once, and the
 * congestion window stays (RFC 8201 section 5.4, RFC 4821 section 7.6.2).  What has been found out
 * is kept with the path (ip_pmtu.c) for the connections that come after, for ten minutes; then the
 * path is tried anew. */
#include "tcp/tcp.h"

#define HOLE_OVER       1280u      /* what could not be larger falls into none */
#define PROBE_FINE      16u        /* octets: a search this close is over */
#define PROBE_BEHIND    4u         /* segments that must be able to follow a probe */
#define PROBE_PAUSE     ESTAB_S(1) /* after one, and after what else was found out */
#define BLACK_HOLE_RTOS 3u         /* R1 of RFC 1122 section 4.2.3.5 */

static uint32_t mtu_hdrs(const struct tcb *t)
{
    return ip_hdr_len_of(t->peer) + TCP_HDR_LEN;
}

static uint32_t mtu_now(const struct tcb *t)
{
    return t->snd_mss + mtu_hdrs(t);
}

static uint32_t mtu_limit(const struct tcb *t)
{
    uint32_t peers = t->mss_max + mtu_hdrs(t), links = ip_mtu(t->layer->ip, &t->path);

    return peers < links ? peers : links;
}

static uint32_t mtu_base(const struct tcb *t)
{
    const struct tcp_settings *set = &t->layer->set;
    uint32_t least = ip_pmtu_least(t->layer->ip, t->peer);
    uint32_t base = mtu_hdrs(t) + (ip_is4(t->peer) ? set->base_mss4 : set->base_mss6);

    return base > least ? base : least;
}

static void mtu_set(struct tcb *t, uint32_t mtu)
{
    t->snd_mss = (uint16_t)(mtu - mtu_hdrs(t));
}

static void mtu_learn(struct tcb *t, uint32_t high)
{
    ip_pmtu_learn(t->layer->ip, &t->path, t->peer, mtu_now(t), high);
}

void tcp_mtu_begin(struct tcb *t)
{
    const struct ip_pmtu *known = ip_pmtu_find(t->layer->ip, &t->path, t->peer);
    uint32_t mtu = t->mss_max + mtu_hdrs(t);

    if (known && known->mtu < mtu)
        mtu = known->mtu;
    else if (!known && t->layer->set.mtu_probing == ESTAB_MTU_PROBING_ON && mtu > mtu_base(t))
        mtu = mtu_base(t);
    mtu_set(t, mtu);
}

/* These octets go again, smaller. */
static void send_smaller(struct tcb *t, seq_t lo, seq_t hi)
{
    struct tcp_work *w = t->w;

    (void)sent_lose(&w->sent, &t->layer->pool, lo, hi);
    w->rtt_at = ESTAB_NEVER;
    w->too_big = true;
}

static bool probe_is_out(const struct tcb *t)
{
    return !seq_eq(t->w->probe_lo, t->w->probe_hi);
}

static uint32_t probe_mtu(const struct tcb *t)
{
    return seq_diff(t->w->probe_hi, t->w->probe_lo) + mtu_now(t) - tcp_eff_mss(t);
}

static void probe_ends(struct tcb *t)
{
    t->w->probe_lo = t->w->probe_hi;
}

static void probe_pauses(struct tcb *t)
{
    t->w->mtu_at = time_add(t->layer->env->now, PROBE_PAUSE);
}

/* Packets larger than high do not arrive; the probe was one.  The duplicate ACKs of what followed
 * it go on until it has been sent again, and are no sign of another loss. */
static void probe_lost(struct tcb *t, uint32_t high)
{
    struct tcp_work *w = t->w;

    mtu_learn(t, high);
    probe_pauses(t);
    rule_count(t->layer->rules, RULE_PMTU_PROBE_LOST);
    w->recover = seq_max(w->recover, seq_sub(w->probe_hi, 1));
    send_smaller(t, w->probe_lo, w->probe_hi);
    probe_ends(t);
}

/* ---- told ---- */

/* RFC 1191 section 7.1: sizes that links have, for routers that do not say theirs. */
static uint32_t plateau_below(uint32_t len)
{
    static const uint16_t plateaus[] = {65535, 32000, 17914, 8166, 4352, 2002,
                                        1492,  1006,  508,   296,  68};
    size_t i = 0;

    while (i + 1 < sizeof plateaus / sizeof *plateaus && plateaus[i] >= len)
        i++;
    return plateaus[i];
}

/* All that is in flight was too big, or is taken to have been.  Some of it may have arrived all the
 * same, and the duplicate ACKs which that makes are no sign of loss: as after an RTO (RFC 6582
 * section 3.2, step 1). [RFC8201-4-5, RFC8201-5.4-1] */
static void shrink(struct tcb *t, uint32_t mtu)
{
    struct tcp_work *w = t->w;

    mtu_set(t, mtu);
    mtu_learn(t, mtu);
    w->mtu_at = time_add(t->layer->env->now, t->layer->ip->pmtu_set.age);
    w->mtu_failed = false;
    w->dupacks = 0;
    w->recover = t->snd.nxt;
    probe_ends(t);
    send_smaller(t, t->snd.una, t->snd.nxt);
    tcp_rexmt_arm(t, true);
}

/* The packet must have been larger than what is said to be the most; and so must those that we send
 * now, or it is one of before an earlier such report. [RFC8201-4-2, RFC8201-4-3] */
void tcp_mtu_too_big(struct tcb *t, const struct ip_error *e)
{
    uint32_t least = ip_pmtu_least(t->layer->ip, t->peer), limit = mtu_limit(t);
    uint32_t sent = e->quote.ip.hdr_len + e->quote.ip.payload_len, mtu = e->mtu;
    struct tcp_work *w = t->w; /* something is in flight */
    bool probe = seq_in(seq_of(e->quote.seq), w->probe_lo, seq_diff(w->probe_hi, w->probe_lo));

    if (sent > limit) /* RFC 1191 section 5: some routers count wrong */
        sent = limit;
    if (mtu == 0)
        mtu = plateau_below(sent);
    if (mtu < least)
        mtu = least;
    if (!t->syn_acked || mtu >= sent || mtu >= (probe ? probe_mtu(t) : mtu_now(t))) {
        rule_count(t->layer->rules, RULE_TOO_BIG_IGNORED);
        return;
    }
    if (mtu < mtu_now(t)) {
        shrink(t, mtu);
        return;
    }
    probe_lost(t, mtu);
    w->mtu_next = (uint16_t)mtu;
    w->mtu_at = t->layer->env->now;
}

/* ---- black holes ---- */

/* RFC 4821 section 7.7: full segments were sent again in vain, and may have been too large; after a
 * smaller size did not help either, at every timeout.  Where peer and first link take no more than
 * IPv6's minimum anyway, they are lost for another reason: no path of today is narrower. */
static bool is_black_hole(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    if (t->layer->set.mtu_probing == ESTAB_MTU_PROBING_OFF || w->retries < BLACK_HOLE_RTOS ||
        mtu_now(t) <= ip_pmtu_least(t->layer->ip, t->peer) ||
        seq_diff(t->snd.nxt, t->snd.una) < tcp_eff_mss(t))
        return false;
    return mtu_limit(t) > HOLE_OVER;
}

/* What was lost for another reason than its size is put right by a probe. */
void tcp_mtu_timeout(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t least = ip_pmtu_least(t->layer->ip, t->peer), base = mtu_base(t), known;

    w->too_big = false;
    if (probe_is_out(t) && seq_eq(w->probe_lo, t->snd.una)) {
        mtu_learn(t, probe_mtu(t) - 1);
        probe_pauses(t);
        rule_count(t->layer->rules, RULE_PMTU_PROBE_LOST);
    }
    probe_ends(t);
    known = ip_pmtu(t->layer->ip, &t->path, t->peer);
    if (known < mtu_now(t)) { /* another connection knows better */
        mtu_set(t, known);
        return;
    }
    if (!is_black_hole(t))
        return;
    w->mtu_failed = true;
    mtu_set(t, mtu_now(t) > base ? base : least);
    rule_count(t->layer->rules, RULE_BLACK_HOLE);
}

/* ---- probes ---- */

/* Larger than now, and no larger than what is known not to arrive; 0: nothing is left to try. */
static uint32_t next_size(struct tcb *t, const struct ip_pmtu *known)
{
    struct tcp_work *w = t->w;
    uint32_t low = mtu_now(t), limit = mtu_limit(t), high = limit;

    if (known && known->high < high)
        high = known->high;
    if (w->mtu_next > low && w->mtu_next <= high)
        return w->mtu_next;
    if (high == limit && low < limit)
        return limit;
    return high >= low + PROBE_FINE ? low + (high - low + 1) / 2 : 0;
}

static bool may_probe(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    return !probe_is_out(t) && w->sent.lost == 0 && !w->recovering && !w->rto_recovering &&
           w->dupacks == 0 && w->retries == 0 && !w->snd_urgent;
}

/* RFC 1191 section 6.3, where nobody probes: after a while the path is taken to be as wide as it
 * could be. */
static void widen(struct tcb *t, const struct ip_pmtu *known)
{
    if (known) {
        t->w->mtu_at = known->until;
        return;
    }
    mtu_set(t, mtu_limit(t));
    rule_count(t->layer->rules, RULE_PMTU_RAISED);
}

/* Losses of probes are hidden from congestion control, and so must be rare (RFC 4821 section
 * 7.6.2), however many connections there are to where the path leads. */
static bool is_too_soon(const struct tcb *t, const struct ip_pmtu *known)
{
    if (!known || t->w->mtu_next) /* a router has named the size */
        return false;
    return known->until - t->layer->ip->pmtu_set.age + PROBE_PAUSE > t->layer->env->now;
}

uint32_t tcp_mtu_seek(struct tcb *t, uint32_t unsent)
{
    struct tcp_work *w = t->w;
    uint32_t mss = tcp_eff_mss(t), size, n, behind;
    const struct ip_pmtu *known;

    if (w->mtu_at > t->layer->env->now || !may_probe(t))
        return 0;
    known = ip_pmtu_find(t->layer->ip, &t->path, t->peer);
    if (known && known->mtu > mtu_now(t) && mtu_now(t) < mtu_limit(t)) {
        mtu_set(t, known->mtu < mtu_limit(t) ? known->mtu : mtu_limit(t));
        return 0;
    }
    if (t->layer->set.mtu_probing == ESTAB_MTU_PROBING_OFF) {
        widen(t, known);
        return 0;
    }
    if (is_too_soon(t, known))
        return 0;
    size = next_size(t, known);
    if (size == 0) {
        w->mtu_at = known ? known->until : time_add(t->layer->env->now, t->layer->ip->pmtu_set.age);
        return 0;
    }
    n = size - mtu_now(t) + mss;
    behind = n + PROBE_BEHIND * mss;
    if (unsent < behind || tcp_window_usable(t) < behind || t->cc.cwnd < behind ||
        t->cc.cwnd - n < tcp_pipe(t))
        return 0;
    w->probe_lo = t->snd.nxt;
    w->probe_hi = seq_add(t->snd.nxt, n);
    rule_count(t->layer->rules, RULE_PMTU_PROBE);
    return n;
}

void tcp_mtu_acked(struct tcb *t)
{
    struct tcp_work *w = t->w;
    const struct ip_pmtu *known;
    uint32_t size;

    if (w->mtu_failed) {
        w->mtu_failed = false;
        probe_pauses(t);
        mtu_learn(t, ip_mtu(t->layer->ip, &t->path));
    }
    if (!probe_is_out(t) || seq_lt(t->snd.una, w->probe_hi))
        return;
    size = probe_mtu(t);
    known = ip_pmtu_find(t->layer->ip, &t->path, t->peer);
    mtu_set(t, size);
    mtu_learn(t, known && known->high >= size ? known->high : ip_mtu(t->layer->ip, &t->path));
    probe_ends(t);
    w->mtu_next = 0;
    rule_count(t->layer->rules, RULE_PMTU_RAISED);
}

bool tcp_mtu_lost(struct tcb *t)
{
    if (!probe_is_out(t) || !seq_eq(t->w->probe_lo, t->snd.una))
        return false;
    probe_lost(t, probe_mtu(t) - 1);
    return true;
}

/* RFC 4821 section 7.6.4: lost with others, or for another reason: it says nothing. */
void tcp_mtu_resent(struct tcb *t, seq_t lo, uint32_t n)
{
    struct tcp_work *w = t->w;

    if (!probe_is_out(t) || !seq_lt(lo, w->probe_hi) || !seq_lt(w->probe_lo, seq_add(lo, n)))
        return;
    probe_ends(t);
    probe_pauses(t);
}

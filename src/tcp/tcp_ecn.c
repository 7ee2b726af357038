/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_ecn.c - explicit congestion notification: RFC 3168 section 6.1, and where both ends know it
 * Accurate ECN, RFC 9768.
 *
 *      sender                     network              receiver
 *      ECT(0) on new text   ---   marks CE    -->      ecn_echo: every ACK has ECE
 *      window reduced, once      <-----------------    ...
 *      per window; CWR on the   ------------------>    ecn_echo ends
 *      next new text
 *
 * The two directions are separate: ecn_ok says that the peer's marks are answered, ecn_ect that our
 * own text may be marked.  They differ where a SYN without ECN went out as well (section 6.1.1).
 *
 * With ecn_acc the receiver counts the segments that come marked (r.cep) and every segment it sends
 * has the count's last three bits, ACE, where AE, CWR and ECE were; the sender follows in s.cep,
 * hears of each mark, and answers once a window as before.  How many octets were marked the AccECN
 * options say, where they come through (tcp_accecn.c). */
#include "tcp/tcp.h"

/* An ECN-setup SYN.  Its own datagram must not be ECT: where it is, something on the path writes
 * the field, and its marks would mean nothing. [RFC3168-6.1.1-1] */
static bool asks_for_classic(const struct seg *g)
{
    return (g->flags & (SEG_ECE | SEG_CWR)) == (SEG_ECE | SEG_CWR) && (g->tos & ECN_MASK) == 0;
}

/* ---- Accurate ECN: the flags of SYN and SYN,ACK, RFC 9768 section 3.1 ---- */

/* AE, CWR and ECE as one number: section 3.2.2's ACE. */
enum { ACE_NONE = 0, ACE_CLASSIC = 1, ACE_SETUP = 3, ACE_RESERVED = 5, ACE_ACCURATE = 7 };

static uint8_t ace_of(const struct seg *g)
{
    return (uint8_t)((g->reserved & SEG_AE ? 4 : 0) | (g->flags & SEG_CWR ? 2 : 0) |
                     (g->flags & SEG_ECE ? 1 : 0));
}

void tcp_ace_put(struct seg *g, uint8_t ace)
{
    g->reserved = ace & 4 ? SEG_AE : 0;
    g->flags &= (uint8_t) ~(SEG_CWR | SEG_ECE);
    g->flags |= (uint8_t)((ace & 2 ? SEG_CWR : 0) | (ace & 1 ? SEG_ECE : 0));
}

/* Tables 2 and 3: how the IP-ECN field of a SYN, or SYN,ACK, is fed back. */
static uint8_t shake_of(uint8_t ip_ecn)
{
    static const uint8_t ace[] = {2, [ECN_ECT1] = 3, [ECN_ECT0] = 4, [ECN_CE] = 6};

    return ace[ip_ecn & ECN_MASK];
}

/* Ours are never ECT: what tells of anything else tells of a path that rewrites the field. */
static bool is_mangled(uint8_t shake)
{
    return shake == shake_of(ECN_ECT1) || shake == shake_of(ECN_ECT0) || shake == shake_of(ECN_CE);
}

/* Section 3.1.3: a server takes every combination that is not another one's for this. */
static bool asks_for_accurate(const struct seg *g)
{
    return ace_of(g) != ACE_NONE && ace_of(g) != ACE_SETUP;
}

/* A SYN,ACK that grants it: the first block of table 2, and what is reserved (section 3.1.3).  All
 * three flags are a peer that reflects what it does not know. */
static bool grants_accurate(const struct seg *g)
{
    uint8_t ace = ace_of(g);

    return ace == 2 || ace == 3 || ace == 4 || ace == 6 || ace == ACE_RESERVED;
}

static void begin_accurate(struct tcb *t, uint8_t ip_ecn, bool client)
{
    t->ecn_ok = t->ecn_ect = t->ecn_acc = t->ecn_first = true;
    t->ecn_echo = ip_ecn == ECN_CE;
    t->ecn_syn = ip_ecn & 3u;
    t->r_cep = t->s_cep = TCP_CEP_FIRST;
    tcp_acc_begin(t, client);
    rule_count(t->layer->rules, RULE_ECN_ACCURATE);
}

static void mangled(struct tcb *t, bool deaf)
{
    t->ecn_ect = false;
    t->ecn_deaf |= deaf;
    rule_count(t->layer->rules, RULE_ECN_MANGLED);
}

/* ---- the listener's side ---- */

void tcp_ecn_grant(struct tcp_synq *q, const struct seg *g)
{
    q->ecn_acc = asks_for_accurate(g);
    q->ecn_ok = q->ecn_acc || asks_for_classic(g);
    q->ecn_syn = g->tos & 3u;
}

/* RFC 9768 section 3.1.5: the kind stays that of the first SYN, and nothing of ours is ECT once one
 * has come without; who asks for both kinds could not tell which it has.  RFC 3168
 * section 6.1.1.1: there a SYN without ends ECN. */
bool tcp_ecn_syn_again(struct tcp_synq *q, const struct seg *g)
{
    uint8_t ace = ace_of(g);

    if ((q->ecn_ok || q->ecn_acc) && ace != ACE_NONE && q->ecn_acc != asks_for_accurate(g))
        return false;
    if (q->ecn_acc) {
        q->ecn_ok &= ace != ACE_NONE;
        q->ecn_syn = g->tos & 3u;
    } else {
        q->ecn_ok &= asks_for_classic(g);
    }
    return true;
}

/* RFC 9768 section 3.2.3.2.2: a SYN,ACK that has gone twice with the flags goes without. */
static bool gave_up_granting(uint8_t retries)
{
    return retries > 1;
}

void tcp_ecn_synack_again(struct tcp_synq *q)
{
    q->ecn_ok &= !q->ecn_acc || !gave_up_granting(q->retries);
}

void tcp_ecn_synack(const struct tcp_synq *q, struct seg *g)
{
    if (q->ecn_acc)
        tcp_ace_put(g, gave_up_granting(q->retries) ? ACE_NONE : shake_of(q->ecn_syn));
    else if (q->ecn_ok)
        tcp_ace_put(g, ACE_CLASSIC);
}

void tcp_ecn_take_over(struct tcb *t, const struct tcp_synq *q)
{
    if (q->ecn_acc) {
        begin_accurate(t, q->ecn_syn, false);
        t->ecn_shake = true;
        t->ecn_ect = q->ecn_ok;
    } else if (q->ecn_ok) {
        t->ecn_ok = t->ecn_ect = true;
        rule_count(t->layer->rules, RULE_ECN_SETUP);
    }
}

/* ---- the connection's ---- */

static bool asks_for_ecn(const struct tcb *t)
{
    return t->ecn == ESTAB_ECN_ACTIVE || t->ecn == ESTAB_ECN_ACCURATE ||
           (t->ecn != ESTAB_ECN_OFF && tcp_cc(t)->counts_marks);
}

/* RFC 3168 section 6.1.1.1: what drops a SYN that asks may let one pass that does not; RFC 9768
 * section 3.1.4.1: after it has asked twice, for most are lost by chance. [RFC3168-6.1.1.1-1] */
static bool gave_up_asking(const struct tcb *t)
{
    return t->w->syn_lost && (t->ecn != ESTAB_ECN_ACCURATE || t->w->retries > 1);
}

bool tcp_ecn_asks(const struct tcb *t)
{
    return asks_for_ecn(t) && !gave_up_asking(t);
}

/* [RFC3168-6.1.1-7] */
void tcp_ecn_syn_put(struct tcb *t, struct seg *g)
{
    if (t->state == ESTAB_SYN_SENT) {
        if (tcp_ecn_asks(t))
            tcp_ace_put(g, t->ecn == ESTAB_ECN_ACCURATE ? ACE_ACCURATE : ACE_SETUP);
    } else if (t->ecn_acc && !t->active && gave_up_granting(t->w->retries)) {
        t->ecn_ect = false; /* RFC 9768 section 3.1.5 */
    } else if (t->ecn_ok) {
        tcp_ace_put(g, t->ecn_acc ? shake_of(t->ecn_syn) : ACE_CLASSIC);
    }
}

/* RFC 9768 section 3.1.1.  The IP-ECN field of a SYN,ACK is told in the first bare ACK
 * (section 3.2.2.1) and counted, that of a SYN only told (section 3.2.2.2). */
static void accurate_syn_arrives(struct tcb *t, const struct seg *g)
{
    begin_accurate(t, g->tos & ECN_MASK, (g->flags & SEG_ACK) != 0);
    if (!(g->flags & SEG_ACK))
        return;
    t->ecn_shake = true;
    if (t->ecn_syn == ECN_CE)
        t->r_cep = TCP_CEP_FIRST + 1;
    t->w->marks = ace_of(g) == shake_of(ECN_CE) ? tcp_eff_mss(t) : 0;
    tcp_acc_first(t, &g->opt);
    if (is_mangled(ace_of(g)))
        mangled(t, false);
}

/* A SYN,ACK must have ECE alone: both flags are a peer that reflects what it does not know
 * (section 6.1.1.2); where all three were sent, AE must not come either.  Once both ends count
 * marks they do so whatever SYN comes (RFC 9768 section 3.1.5).
 * [SHLD-8, RFC3168-6.1.1-2, RFC3168-6.1.1-3, RFC3168-6.1.1-4, RFC3168-6.1.1-8] */
void tcp_ecn_syn_arrives(struct tcb *t, const struct seg *g)
{
    bool ack = (g->flags & SEG_ACK) != 0, first = t->state == ESTAB_SYN_SENT;
    bool asked = first ? asks_for_ecn(t) : t->ecn_ok;
    bool setup = ack ? (g->flags & (SEG_ECE | SEG_CWR)) == SEG_ECE : asks_for_classic(g);

    if (first)
        t->ecn_acc = t->ecn_shake = t->ecn_deaf = false;
    if (t->ecn_acc) {
        if (!ack) {
            t->ecn_syn = g->tos & 3u;
            t->ecn_ect &= t->active || ace_of(g) != ACE_NONE;
        }
        return;
    }
    if (first && t->ecn == ESTAB_ECN_ACCURATE &&
        (ack ? grants_accurate(g) : asks_for_accurate(g))) {
        accurate_syn_arrives(t, g);
        return;
    }
    t->ecn_ok = asked && setup;
    t->ecn_ect = t->ecn_ok && !(t->active && gave_up_asking(t));
}

/* RFC 8257 section 3.2: each ACK says whether what it acknowledges was marked; so where that
 * changes, what has not been acknowledged yet is, with what held for it. */
static void echo_each(struct tcb *t, bool marked)
{
    if (marked == t->ecn_echo)
        return;
    if (t->w && !t->owed.before && !seq_eq(tcp_last_ack(t), t->rcv.nxt)) {
        t->owed.before = true;
        t->w->before = t->rcv.nxt;
    }
    t->ecn_echo = marked;
    t->owed.ack_now = true;
}

/* ---- what comes marked ---- */

/* RFC 9768 section 3.2: every acceptable segment with CE counts, but SYNs.  Section 3.2.2.5.1: an
 * ACK at once where marks begin on text, at the second mark while something is to be acknowledged,
 * and at the third at the latest, so that ACE cannot go round between two ACKs. */
void tcp_ecn_count(struct tcb *t, const struct seg *g)
{
    bool marked = (g->tos & ECN_MASK) == ECN_CE;
    uint32_t owed;

    t->ecn_seen |= g->text.len > 0 && (g->tos & ECN_MASK) != 0;
    tcp_acc_count(t, g);
    if (marked && !(g->flags & SEG_SYN)) {
        rule_count(t->layer->rules, RULE_ECN_MARKED);
        t->r_cep = (t->r_cep + g->nsegs) & 7u;
        owed = t->ecn_owed + (uint32_t)g->nsegs;
        t->ecn_owed = owed < 7 ? owed & 7u : 7;
        t->owed.ack_now |=
            (g->text.len > 0 && !t->ecn_echo) || t->ecn_owed >= 3 ||
            (t->ecn_owed == 2 && (g->text.len > 0 || !seq_eq(tcp_last_ack(t), t->rcv.nxt)));
    }
    t->ecn_echo = marked;
}

/* Section 6.1.3.  A segment outside the window never comes this far (section 6.1.5).  Both kinds of
 * news are worth an ACK of its own: of the one the peer should hear soon, after the other it may
 * have little in flight. [RFC3168-6.1.1-6, RFC3168-6.1.3-1] */
void tcp_ecn_text(struct tcb *t, const struct seg *g)
{
    bool marked = (g->tos & ECN_MASK) == ECN_CE;

    if (t->ecn_acc) {
        tcp_ecn_count(t, g);
        return;
    }
    t->ecn_seen |= (g->tos & ECN_MASK) != 0;
    if (tcp_cc(t)->counts_marks) {
        if (marked)
            rule_count(t->layer->rules, RULE_ECN_MARKED);
        echo_each(t, marked);
        return;
    }
    if (g->flags & SEG_CWR) {
        t->ecn_echo = false;
        t->owed.ack_now = true;
        rule_count(t->layer->rules, RULE_ECN_REDUCED);
    }
    if (marked) {
        t->owed.ack_now |= !t->ecn_echo;
        t->ecn_echo = true;
        rule_count(t->layer->rules, RULE_ECN_MARKED);
    }
}

/* ---- ACE: RFC 9768 section 3.2.2 ---- */

void tcp_ecn_ace(const struct tcb *t, struct seg *g)
{
    tcp_ace_put(g, t->r_cep);
}

/* Section 3.2.2.1: how the SYN,ACK came, in the first bare ACK, and in that of each SYN,ACK that
 * comes again, unless it has SACK blocks. */
void tcp_ecn_shake_put(struct tcb *t, struct seg *g)
{
    if (!t->active)
        return;
    t->ecn_shake = false;
    if (!t->w || !t->w->ahead)
        tcp_ace_put(g, shake_of(t->ecn_syn));
}

/* Section 3.2.2.2: a mark on a SYN,ACK counts once, however many come. */
void tcp_ecn_synack_came_again(struct tcb *t, const struct seg *g)
{
    if (!t->active || !(g->flags & SEG_ACK) || !grants_accurate(g) ||
        !seq_eq(seq_add(g->seq, 1 + (uint32_t)t->octets_received), t->rcv.nxt))
        return;
    if (t->ecn_syn != ECN_CE && (g->tos & ECN_MASK) == ECN_CE)
        t->r_cep = (t->r_cep + 1u) & 7u;
    if (t->ecn_syn != ECN_CE)
        t->ecn_syn = g->tos & 3u;
    t->ecn_shake = true;
}

/* Table 4: a bare ACK of our SYN,ACK. */
static uint32_t shake_arrives(struct tcb *t, uint8_t ace)
{
    if (ace == ACE_NONE || is_mangled(ace))
        mangled(t, ace == ACE_NONE);
    t->s_cep = (TCP_CEP_FIRST + (ace == shake_of(ECN_CE))) & 7u;
    return ace == shake_of(ECN_CE) ? tcp_eff_mss(t) : 0;
}

/* Whether so little was on its way that ACE cannot have gone round since the last ACK. */
static bool is_ace_certain(const struct tcb *t)
{
    const struct tcp_work *w = t->w;

    return w && !w->recovering && !w->rto_recovering && seq_le(w->small_end, t->snd.una) &&
           seq_diff(t->snd.nxt, t->snd.una) <= 7 * tcp_eff_mss(t);
}

/* Section 3.2.2.5.2: where so much is acknowledged at once that the counter may have gone round,
 * and it has moved, it has.  Where it has not moved, marks would have made the peer send an ACK
 * before.  An option says it in octets; marks that are none of text are segments all the same.
 * Returns octets. */
static uint32_t count_arrives(struct tcb *t, const struct seg *g, uint8_t ace)
{
    uint32_t marks = (ace - t->s_cep) & 7u, mss = tcp_eff_mss(t), segs, moved, news;

    if (t->ecn_first && ace == ACE_NONE) /* section 3.2.2.4 */
        mangled(t, true);
    t->ecn_first = false;
    t->s_cep = ace & 7u;
    segs = (seq_diff(g->ack, t->snd.una) + mss - 1) / mss;
    if (tcp_acc_arrives(t, &g->opt, &moved, &news)) {
        if (moved > 0 && marks == 0 && is_ace_certain(t)) /* section 3.2.3.2.5 */
            mangled(t, false);
        return news == 0 ? marks * mss : news;
    }
    if (marks > 0 && segs > 7)
        marks = segs - ((segs - marks) & 7u);
    tcp_acc_guess(t, marks * mss);
    return marks * mss;
}

/* An acceptable segment with ACK.  What an ACK that acknowledges nothing tells is answered with the
 * next that does.  Of those, one that may be older than another that has come tells nothing
 * (section 3.2.2.2), nor does one that more than three marks must have preceded: the peer would
 * have sent an ACK before, so it has been overtaken, or the next tells as well. */
void tcp_ecn_feedback(struct tcb *t, const struct seg *g)
{
    uint8_t ace = ace_of(g);
    bool news = seq_lt(t->snd.una, g->ack), bare = g->len == 0 && !(g->opt.has & OPT_SACK);
    uint32_t marks;

    if (g->syn_wnd ||
        (!t->ecn_shake && !t->ecn_first && ace == t->s_cep && !(g->opt.has & OPT_ACC)))
        return;
    if (!news && !(seq_eq(t->snd.una, g->ack) &&
                   (t->ts_ok || t->ecn_first || (g->len > 0 && !seq_lt(g->seq, t->snd.wl1)))))
        return;
    if (!news && !t->ecn_shake && ((ace - t->s_cep) & 7) > 3)
        return;
    if (t->ecn_shake && !t->active) {
        tcp_acc_first(t, &g->opt);
        t->ecn_shake = false;
        marks = bare ? shake_arrives(t, ace) : count_arrives(t, g, ace);
    } else {
        marks = count_arrives(t, g, ace);
    }
    if (t->w && !t->ecn_deaf)
        t->w->marks += marks;
}

/* ---- what becomes of the window ---- */

/* Whether an ACK of something new tells of marks on it, and on how much. */
static bool tells_of_marks(struct tcb *t, const struct seg *g, struct cc_sample *s)
{
    if (!t->ecn_acc) {
        s->marked = t->ecn_ect && g->flags & SEG_ECE ? s->acked : 0;
        return s->marked > 0;
    }
    s->marked = t->w->marks < s->acked ? t->w->marks : s->acked;
    t->w->marks = 0;
    return s->marked > 0;
}

/* Section 6.1.2: as for a loss, but once for all that was lost or marked in a window; w->reduced
 * and w->recover are where the last such windows end.  RFC 9768 section 3.1.5: so it is where
 * marks are counted, but CWR is no flag of its own there. [RFC3168-6.1.2-1, RFC3168-6.1.2-2,
 * RFC3168-6.1.2-4] */
bool tcp_ecn_echoed(struct tcb *t, const struct seg *g, struct cc_sample *s)
{
    struct tcp_work *w = t->w;

    if (!tells_of_marks(t, g, s))
        return false;
    if (!seq_lt(w->reduced, g->ack) || !seq_lt(w->recover, g->ack))
        return true;
    w->ecn_wait = t->cc.cwnd <= s->mss; /* no window is smaller: the timer slows it further */
    s->flight = tcp_cwv_lost(t, tcp_flight_size(t));
    tcp_cc(t)->on_ecn(&t->cc, &w->cc, s);
    if (!tcp_cc(t)->counts_marks)
        tcp_cwv_halve(t);
    if (t->nonvalidated)
        tcp_cwv_begin(t);
    w->reduced = t->snd.nxt;
    t->ecn_cwr = !t->ecn_acc;
    tcp_trace_cc(t, RULE_ECN_ECHO);
    return true;
}

void tcp_ecn_reduced(struct tcb *t)
{
    t->ecn_cwr = t->ecn_ect && !t->ecn_acc;
}

/* New text, and nothing else: no bare ACK (section 6.1.4), nothing sent again (6.1.5), no probe
 * (6.1.6). [RFC3168-6.1.1-5, RFC3168-6.1.1-9, RFC3168-6.1.4-1, RFC3168-6.1.5-1, RFC3168-6.1.6-1]
 */
void tcp_ecn_mark(struct tcb *t, struct seg *g)
{
    if (!t->ecn_ect)
        return;
    g->tos = ECN_ECT0;
    if (t->ecn_cwr)
        g->flags |= SEG_CWR;
    t->ecn_cwr = false;
}

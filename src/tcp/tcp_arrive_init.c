/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_arrive_init.c - SEGMENT ARRIVES before there is a connection: RFC 9293 section 3.10.7.1
 * to 3.10.7.3. */
#include "tcp/tcp.h"

/* Which addresses share a number of RSTs in this second: an IPv6 network is one. */
static uint32_t rst_group(const struct tcp_layer *l, const uint8_t peer[16])
{
    uint8_t b[20] = {0};

    memcpy(b, peer, ip_is4(peer) ? 16 : 8);
    be32_put(b + 16, l->rst_second);
    return (uint32_t)hash_sip13(&l->secret, b, sizeof b) % TCP_RST_GROUPS;
}

/* A flood of segments without a connection, their source forged, is not to become a flood of RSTs
 * to whose address that is.  There is no number for all: what is left of it would tell one sender
 * whether segments that he forged of another's were answered with RSTs, thus whether the other has
 * a connection (the same for challenge ACKs is CVE-2016-5696).  So addresses have a number each,
 * but for the few that share one, others in each second. */
static bool may_reset(struct tcp_layer *l, const uint8_t peer[16])
{
    uint32_t now_s = (uint32_t)(l->env->now / 1000000000u), less, *sent;

    if (l->set.rst_rate == 0)
        return true;
    if (l->rst_second != now_s) {
        l->rst_second = now_s;
        env_random(l->env, &less, sizeof less);
        l->rst_most = l->set.rst_rate - less % (l->set.rst_rate / 4 + 1);
        memset(l->rst_sent, 0, sizeof l->rst_sent);
    }
    sent = &l->rst_sent[rst_group(l, peer)];
    if (*sent >= l->rst_most) {
        rule_count(l->rules, RULE_RST_RATE);
        return false;
    }
    ++*sent;
    return true;
}

/* 3.10.7.1 CLOSED: "If the ACK bit is off, sequence number zero is used ...". */
void tcp_reply_rst(struct tcp_layer *l, const struct ip_path *path, const uint8_t *peer,
                   const struct seg *g, enum estab_tcp_state st, enum rule why)
{
    struct tcp_reply r = {.path = *path,
                          .lport = g->dport,
                          .pport = g->sport,
                          .state = (uint8_t)st,
                          .rule = (uint16_t)why};
    struct tcp_tuple k = {peer, path->local, g->dport, g->sport};

    tcp_drop_tuple(l, &k, g, st, why);
    if (g->flags & SEG_RST || !may_reset(l, peer)) /* never an RST for an RST */
        return;
    memcpy(r.peer, peer, 16);
    if (g->flags & SEG_ACK) {
        r.seq = g->ack;
        r.flags = SEG_RST;
    } else {
        r.ack = seq_add(g->seq, g->len);
        r.flags = SEG_RST | SEG_ACK;
    }
    tcp_reply(l, path->port, &r);
}

void tcp_refuse(struct tcp_layer *l, const struct seg *g, const struct ip_dgram *d,
                enum estab_tcp_state st, enum rule why)
{
    struct ip_path path;

    if (ip_path_find(l->ip, d->ip.src, ip_local(l->ip, d->local), d->port, &path) == 0)
        tcp_reply_rst(l, &path, d->ip.src, g, st, why);
    else
        rule_count(l->rules, RULE_NO_ROUTE);
}

void tcp_arrive_closed(struct tcp_layer *l, const struct seg *g, const struct ip_dgram *d)
{
    struct tcp_tuple k = {d->ip.src, d->local, g->dport, g->sport};

    if (g->flags & SEG_RST)
        tcp_drop_tuple(l, &k, g, ESTAB_CLOSED, RULE_CLOSED_RST);
    else
        tcp_refuse(l, g, d, ESTAB_CLOSED, RULE_CLOSED_ANSWER);
}

/* 3.10.7.2 LISTEN. */
void tcp_arrive_listen(struct tcb *t, struct seg *g, const struct ip_dgram *d, const seq_t *newer)
{
    struct tcp_tuple k = {d->ip.src, d->local, g->dport, g->sport};

    if (g->flags & SEG_RST) { /* first, check for an RST */
        tcp_drop_tuple(t->layer, &k, g, ESTAB_LISTEN, RULE_LISTEN_RST);
        return;
    }
    if (g->flags & SEG_ACK) { /* second, check for an ACK */
        if (g->flags & SEG_SYN && t->layer->set.profile.listen_silent)
            tcp_drop_tuple(t->layer, &k, g, ESTAB_LISTEN, RULE_LISTEN_OTHER);
        else if (!tcp_cookie_arrives(t, g, d))
            tcp_refuse(t->layer, g, d, ESTAB_LISTEN, RULE_LISTEN_ACK);
        return;
    }
    if (!(g->flags & SEG_SYN)) { /* fourth, other data or control */
        tcp_drop_tuple(t->layer, &k, g, ESTAB_LISTEN, RULE_LISTEN_OTHER);
        return;
    }
    /* Departs from RFC 9293 section 3.10.7.2, third: a SYN with FIN is dropped, its FIN not queued;
     * no TCP sends one, scanners do. */
    if (g->flags & SEG_FIN) {
        tcp_drop_tuple(t->layer, &k, g, ESTAB_LISTEN, RULE_SYN_FIN);
        return;
    }
    synq_new(t, g, d, newer); /* third, check for a SYN */
}

/* 3.10.7.3 SYN-SENT, fourth: the SYN bit. [MUST-10] */
static void syn_arrives(struct tcb *t, struct seg *g)
{
    uint32_t promised = tcp_rcv_wnd(t), text;

    t->rcv.nxt = seq_add(g->seq, 1);
    t->rcv.adv = seq_add(t->rcv.nxt, promised);
    t->w->acked = t->rcv.nxt;
    tcp_opt_syn(t, g);
    if (g->opt.has & OPT_UTO)
        tcp_uto_arrives(t, g);
    tcp_ecn_syn_arrives(t, g);
    t->snd.wnd = t->snd.wnd_max = tcp_seg_wnd(t, g);
    t->snd.wl1 = g->seq;
    if (!(g->flags & SEG_ACK)) { /* simultaneous open */
        rule_count(t->layer->rules, RULE_SIMULTANEOUS_OPEN);
        tcp_enter(t, ESTAB_SYN_RECEIVED, ESTAB_BY_SEGMENT);
        t->owed.syn = true;
        return;
    }
    text = seq_diff(g->ack, t->snd.una) - 1;
    tcp_fastopen_answered(t, g, text);
    if (text > 0)
        ring_drop(&t->w->snd, &t->layer->pool, text, false);
    tcp_count_acked(t, text);
    t->snd.una = g->ack;
    t->syn_acked = true;
    tcp_rtt_of_syn(t, g, true);
    tcp_enter(t, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT);
    t->owed.ack_now = true;
    tcp_established(t);
    if (t->fin_queued) /* CLOSE waited, after Fast Open */
        tcp_enter(t, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
    if (t->ecn_ok && !t->ecn_acc)
        rule_count(t->layer->rules, RULE_ECN_SETUP);
    g->flags &= (uint8_t)~SEG_SYN;
    g->seq = t->rcv.nxt;
    g->len--;
    tcp_trim(t, g);
    if (g->len > 0) /* "If there are other controls or text in the segment" */
        tcp_arrive_text(t, g);
}

void tcp_arrive_syn_sent(struct tcb *t, struct seg *g)
{
    bool acked = (g->flags & SEG_ACK) && seq_lt(t->snd.una, g->ack) && seq_le(g->ack, t->snd.nxt);

    if ((g->flags & SEG_ACK) && !acked) { /* first, check the ACK bit */
        tcp_reply_rst(t->layer, &t->path, t->peer, g, ESTAB_SYN_SENT, RULE_SYN_SENT_ACK);
        if (t->layer->set.profile.syn_again)
            tcp_arm(t, TCP_T_REXMT, time_add(t->layer->env->now, t->layer->set.profile.syn_again));
        return;
    }
    if (g->flags & SEG_RST) { /* second, check the RST bit */
        if (acked) {
            rule_count(t->layer->rules, RULE_RST_ACCEPTED);
            tcp_fail(t, ESTAB_E_REFUSED, ESTAB_BY_SEGMENT, false);
        } else {
            tcp_drop(t, g, RULE_SYN_SENT_RST);
        }
        return;
    }
    if (!(g->flags & SEG_SYN)) { /* fifth, neither SYN nor RST */
        tcp_drop(t, g, RULE_SYN_SENT_OTHER);
        return;
    }
    /* Departs from RFC 9293 section 3.10.7.3, fourth: as in LISTEN, a SYN with FIN but no ACK. */
    if (g->flags & SEG_FIN && !acked) {
        tcp_drop(t, g, RULE_SYN_FIN);
        return;
    }
    syn_arrives(t, g);
}

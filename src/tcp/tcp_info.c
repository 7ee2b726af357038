/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_info.c - a snapshot for those who look: 3.10.6 STATUS. */
#include "tcp/tcp.h"

static void put_addrs(const struct tcp_layer *l, const struct tcp_tuple *k,
                      struct estab_tcp_info *i)
{
    if (k->local < TCP_ANY4)
        memcpy(i->local.ip, ip_local(l->ip, k->local), 16);
    else if (k->local == TCP_ANY4)
        i->local.ip[10] = i->local.ip[11] = 0xff;
    memcpy(i->peer.ip, k->peer, 16);
    i->local.port = k->lport;
    i->peer.port = k->pport;
}

/* What only a connection at work has. */
static void work_info(const struct tcb *t, struct estab_tcp_info *i)
{
    const struct tcp_work *w = t->w;

    i->sacked = w->sent.sacked;
    i->lost = w->sent.lost;
    i->resent = w->sent.resent;
    i->retries = w->retries;
    i->probes = w->probes;
    i->recovering = w->recovering;
    i->timed_out = w->rto_recovering;
}

static void listener_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->backlog = t->l->backlog;
    i->synq = t->l->nsynq;
    i->acceptq = t->l->accepts.n;
}

static void timer_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->timer = tcp_next_timer(t, &i->timer_at);
    if (t->state != ESTAB_LISTEN && tcp_timewait_slot(t) != SLAB_NONE) {
        const struct tcp_timewait *w = slab_at(&t->layer->timewaits, t->timewait);

        i->timer = ESTAB_T_2MSL;
        i->timer_at = ms_to_time(t->layer->env->now, w->due);
    }
}

/* What is known of the path. */
static void path_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->rto = tcp_rtt_rto(&t->rtt, &t->layer->set.rto, t->backoff);
    i->srtt = ESTAB_US(t->rtt.srtt);
    i->rttvar = t->rtt.srtt ? ESTAB_US(t->rtt.rttvar) : 0;
    i->rtt_min = t->rtt.srtt ? ESTAB_US(t->rtt.min) : 0;
    i->snd_mss = t->snd_mss ? tcp_eff_mss(t) : 0;
    i->rcv_mss = t->rcv_mss;
    i->pmtu = t->snd_mss ? t->snd_mss + ip_hdr_len_of(t->peer) + TCP_HDR_LEN : 0;
    i->pacing_rate = t->state == ESTAB_CLOSED ? 0 : tcp_pace_rate(t);
    memcpy(i->cc, tcp_cc(t)->name, strlen(tcp_cc(t)->name) + 1);
}

static void window_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->cwnd = t->cc.cwnd;
    i->ssthresh = t->cc.ssthresh;
    i->snd_wnd = t->snd.wnd;
    i->rcv_wnd = tcp_rcv_wnd(t);
    i->flight = seq_diff(t->snd.nxt, t->snd.una);
    i->unsent = tcp_unsent(t);
    i->unread = tcp_unread(t);
}

static void counts_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->bytes_acked = t->octets_acked;
    i->bytes_received = t->octets_received;
    i->segs_in = t->segs_in;
    i->segs_out = t->segs_out;
    i->retrans = t->retrans;
    i->rto_fired = t->rto_fired;
    i->dup_acks = t->dup_acks_in;
    i->backoff = t->backoff;
    i->probes = t->keep_probes;
    i->text_sent_at = t->sent_ms ? t->layer->env->now / 1000000u * 1000000u -
                                       ESTAB_MS(ms_of(t->layer->env->now) - t->sent_ms)
                                 : 0;
}

/* What the two ends have agreed on. */
static void agreed_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->snd_wscale = t->snd_wscale;
    i->rcv_wscale = t->rcv_wscale;
    i->ts_ok = t->ts_ok;
    i->sack_ok = t->sack_ok;
    i->ecn_ok = t->ecn_ok;
    i->ecn_accurate = t->ecn_acc;
    i->ecn_seen = t->ecn_seen;
    i->fastopen_ok = t->fastopen_ok;
    i->user_timeout = tcp_user_timeout(t);
    i->peer_user_timeout = tcp_uto_dur(tcp_extra(t)->peer_uto);
}

static void memory_info(const struct tcb *t, struct estab_tcp_info *i)
{
    i->sndbuf = t->sndbuf;
    i->rcvbuf = t->rcvbuf;
    i->sndbuf_most = tcp_sndbuf_most(t);
    i->rcvbuf_most = tcp_rcvbuf_most(t);
    i->mem = sizeof *t;
    if (t->w)
        i->mem += sizeof *t->w + ring_mem(&t->w->snd) + ring_mem(&t->w->rcv) +
                  (t->w->lent_out ? sizeof *t->w->lent_out : 0);
}

void tcp_info(const struct tcb *t, struct estab_tcp_info *i)
{
    struct tcp_tuple k = tcb_tuple(t);

    put_addrs(t->layer, &k, i);
    i->state = (enum estab_tcp_state)t->state;
    i->orphan = t->orphan;
    timer_info(t, i);
    if (t->state == ESTAB_LISTEN) {
        listener_info(t, i);
        return;
    }
    i->nodelay = t->nodelay;
    i->embryo = t->embryo;
    path_info(t, i);
    window_info(t, i);
    counts_info(t, i);
    if (t->w)
        work_info(t, i);
    agreed_info(t, i);
    memory_info(t, i);
}

void synq_info(const struct tcp_layer *l, uint32_t slot, struct estab_tcp_info *i)
{
    const struct tcp_synq *q = slab_at(&l->synqs, slot);
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &q->far, peer);

    put_addrs(l, &k, i);
    i->state = ESTAB_SYN_RECEIVED;
    i->timer = ESTAB_T_SYNACK;
    i->timer_at = ms_to_time(l->env->now, q->due);
    i->retrans = q->retries;
    i->snd_mss = q->far.mss;
    i->ts_ok = q->ts_ok;
    i->sack_ok = q->sack_ok;
    i->ecn_ok = q->ecn_ok || q->ecn_acc;
    i->ecn_accurate = q->ecn_acc;
    i->snd_wscale = q->snd_wscale;
    i->mem = sizeof *q;
    i->orphan = true;
}

void timewait_info(const struct tcp_layer *l, uint32_t slot, struct estab_tcp_info *i)
{
    const struct tcp_timewait *w = slab_at(&l->timewaits, slot);
    uint8_t peer[16];
    struct tcp_tuple k = tcp_far_tuple(l, &w->far, peer);

    put_addrs(l, &k, i);
    i->state = ESTAB_TIME_WAIT;
    i->timer = ESTAB_T_2MSL;
    i->timer_at = ms_to_time(l->env->now, w->due);
    i->ts_ok = w->ts_ok;
    i->mem = sizeof *w;
    i->orphan = w->owner == SLAB_NONE;
}

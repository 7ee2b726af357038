/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_in.c - the path of a packet, top to bottom. */
#include "base/csum.h"
#include "stack/stack.h"

/* [MUST-3] */
static bool tcp_checksum_ok(const struct ip_dgram *d)
{
    uint64_t sum;

    if (d->csum_ok)
        return true;
    sum = ip_pseudo(d->ip.src, d->ip.dst, IPPROTO_TCP_, d->ip.payload_len);
    if (d->payload.len <= TCP_HDR_MAX && d->head_len == d->payload.len && d->head_len % 4 == 0)
        return csum_fold(sum + ip_sum_words(d->head, d->head_len / 4)) == 0xffff; /* no text */
    return csum_fold(csum_pieces(sum, &d->payload)) == 0xffff;
}

/* A frame becomes a segment whose checksum nobody has looked at yet, or is dropped. [MUST-57] */
static bool tcp_segment_of(estab_stack *s, const struct ip_dgram *d, struct seg *g)
{
    enum rule r = RULE_TCP_GROUP;

    if (d->local != IP_LOCAL_NONE)
        r = tcp_parse(g, d->head, d->head_len, &d->payload);
    if (r == RULE_NONE && (g->sport == 0 || g->dport == 0))
        r = RULE_TCP_PORT_0;
    if (r != RULE_NONE) {
        if (r != RULE_TCP_GROUP && !tcp_checksum_ok(d))
            r = RULE_TCP_CSUM;
        ip_drop(&s->ip, d, r);
        return false;
    }
    g->tos = d->ip.tos;
    if (d->route.n)
        g->route = &d->route;
    if (d->gso_size && g->text.len > d->gso_size)
        g->nsegs = (uint16_t)((g->text.len + d->gso_size - 1u) / d->gso_size);
    return true;
}

static uint8_t synq_wscale(const struct tcp_layer *l, uint32_t slot)
{
    return ((const struct tcp_synq *)slab_at(&l->synqs, slot))->snd_wscale;
}

static uint8_t timewait_wscale(const struct tcp_layer *l, uint32_t slot)
{
    return ((const struct tcp_timewait *)slab_at(&l->timewaits, slot))->wscales >> 4;
}

static void to_tcb(struct tcb *t, const struct tcp_tuple *k, struct seg *g)
{
    if (tcp_traced(t->layer))
        tcp_trace_in(t->layer, k, tcb_handle(t), (enum estab_tcp_state)t->state, g, t->snd_wscale);
    tcp_segment_arrives(t, g);
}

static void to_listener(struct tcp_layer *l, const struct tcp_tuple *k, struct seg *g,
                        const struct ip_dgram *d, const seq_t *newer)
{
    struct tcb *t;

    if (!tcp_comes_home(l, k)) { /* it came in fragments, or somebody steers by another hash */
        ip_drop(l->ip, d, RULE_TCP_SHARD);
        return;
    }
    t = tcp_demux_listener(l, k);
    if (tcp_traced(l))
        tcp_trace_in(l, k, 0, t ? ESTAB_LISTEN : ESTAB_CLOSED, g, 0);
    if (t)
        tcp_arrive_listen(t, g, d, newer);
    else
        tcp_arrive_closed(l, g, d);
}

/* A connection's next text: verified as it is stored.  true: the segment has been dealt with. */
static bool tcp_text_in(estab_stack *s, const struct ip_dgram *d, const struct tcp_tuple *k,
                        struct tcb *t, struct seg *g)
{
    uint32_t hdr_len = d->ip.payload_len - g->text.len;
    struct csum_run sum = {0, false};

    if (!tcp_predicted(t, g))
        return false;
    if (!d->csum_ok)
        sum.sum = ip_pseudo(d->ip.src, d->ip.dst, IPPROTO_TCP_, d->ip.payload_len) +
                  ip_sum_words(d->head, hdr_len / 4);
    switch (tcp_text_store(t, g, d->csum_ok ? NULL : &sum)) {
    case TCP_NOT_STORED:
        return false;
    case TCP_WRONG_SUM:
        ip_drop(&s->ip, d, RULE_TCP_CSUM);
        return true;
    case TCP_STORED:
        break;
    }
    if (tcp_traced(&s->tcp))
        tcp_trace_in(&s->tcp, k, tcb_handle(t), ESTAB_ESTABLISHED, g, t->snd_wscale);
    tcp_predicted_arrives(t, g);
    if (s->run.more)
        run_begin(&s->run, t, d, g);
    return true;
}

/* The ACK of what is in flight, and nothing else.  true: the segment has been dealt with. */
static bool tcp_bare_ack_in(estab_stack *s, const struct ip_dgram *d, const struct tcp_tuple *k,
                            struct tcb *t, const struct seg *g)
{
    if (!tcp_ack_predicted(t, g) || !tcp_checksum_ok(d))
        return false;
    if (tcp_traced(&s->tcp))
        tcp_trace_in(&s->tcp, k, tcb_handle(t), ESTAB_ESTABLISHED, g, t->snd_wscale);
    tcp_predicted_ack_arrives(t, g);
    return true;
}

/* true: it could only mean one thing, and has been dealt with. */
static bool tcp_expected_in(estab_stack *s, const struct ip_dgram *d, const struct tcp_tuple *k,
                            struct tcb *t, struct seg *g)
{
    if (s->tcp.long_way)
        return false;
    return g->len > 0 ? tcp_text_in(s, d, k, t, g) : tcp_bare_ack_in(s, d, k, t, g);
}

static void tcp_in(estab_stack *s, const struct ip_dgram *d)
{
    struct tcp_layer *l = &s->tcp;
    struct seg g;
    struct tcp_tuple k;
    uint32_t ref;
    seq_t newer;

    if (!tcp_segment_of(s, d, &g))
        return;
    k = (struct tcp_tuple){d->ip.src, d->local, g.dport, g.sport};
    ref = tcp_demux_find(l, &k);
    if (ref != HASH_NONE && TCP_REF_KIND(ref) == TCP_REF_TCB &&
        tcp_expected_in(s, d, &k, tcb_at(l, TCP_REF_SLOT(ref)), &g))
        return;
    if (!tcp_checksum_ok(d)) {
        ip_drop(&s->ip, d, RULE_TCP_CSUM);
        return;
    }
    if (ref == HASH_NONE) {
        to_listener(l, &k, &g, d, NULL);
        return;
    }
    switch (TCP_REF_KIND(ref)) {
    case TCP_REF_TCB:
        to_tcb(tcb_at(l, TCP_REF_SLOT(ref)), &k, &g);
        break;
    case TCP_REF_SYNQ:
        if (tcp_traced(l))
            tcp_trace_in(l, &k, 0, ESTAB_SYN_RECEIVED, &g, synq_wscale(l, TCP_REF_SLOT(ref)));
        synq_segment_arrives(l, TCP_REF_SLOT(ref), &g);
        break;
    case TCP_REF_TIMEWAIT:
        if (tcp_traced(l))
            tcp_trace_in(l, &k, 0, ESTAB_TIME_WAIT, &g, timewait_wscale(l, TCP_REF_SLOT(ref)));
        if (timewait_segment_arrives(l, TCP_REF_SLOT(ref), &g, &newer))
            to_listener(l, &k, &g, d, &newer);
        break;
    }
}

void stack_recv(estab_stack *s, uint8_t port, const struct estab_frame *f)
{
    struct ip_dgram d;
    struct ip_error e;

    switch (ip_recv(&s->ip, port, f, &d, &e)) {
    case IP_DONE:
        break;
    case IP_DELIVER:
        if (d.ip.proto == IPPROTO_TCP_)
            tcp_in(s, &d);
        else
            udp_recv(&s->udp, &d);
        break;
    case IP_ERROR:
        if (e.quote.ip.proto == IPPROTO_TCP_)
            tcp_icmp_arrives(&s->tcp, &e);
        else
            udp_icmp_arrives(&s->udp, &e);
        break;
    }
}

/* [MUST-58, MUST-59, RFC1122-4.2.2.20-1] */
int estab_input(estab_stack *s, int port, const struct estab_frame *f, size_t n)
{
    if (port < 0 || (uint32_t)port >= s->ip.nports)
        return ESTAB_E_INVAL;
    stack_enter(s);
    s->run.t = NULL;
    for (size_t i = 0; i < n; i++) {
        s->run.more = i + 1 < n;
        stack_recv(s, (uint8_t)port, &f[i]);
        if (!s->run.t)
            continue;
        i += run_take(&s->run, f + i + 1, n - i - 1);
        s->run.t = NULL;
    }
    s->frames_in += n;
    stack_leave(s);
    return 0;
}

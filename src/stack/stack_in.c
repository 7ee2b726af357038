/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_in.c - the path of a packet, top to bottom. */
#include "base/csum.h"
#include "stack/stack.h"

struct arrival { /* a TCP segment on its way in */
    struct ip_tcp ip;
    struct seg g;
    struct tcp_tuple k;
    struct ip_dgram *d; /* what it came in; ask dgram_of() */
    bool whole;         /* ... is there */
};

/* Of most frames nobody asks for more than is in a->ip. */
static const struct ip_dgram *dgram_of(const estab_stack *s, struct arrival *a)
{
    if (!a->whole)
        ip_plain_whole(&s->ip, &a->ip, a->d);
    a->whole = true;
    return a->d;
}

/* Of the pseudo header and of len octets of TCP header, mostly without options. */
static inline uint64_t header_sum(const struct ip_tcp *in, uint32_t len)
{
    uint64_t sum = ip_pseudo_of(in->addr_sum, IPPROTO_TCP_, in->payload.len) +
                   ip_sum_words(in->head, TCP_HDR_LEN / 4);

    for (uint32_t at = TCP_HDR_LEN; at < len; at += 4)
        sum += ip_sum_words(in->head + at, 1);
    return sum;
}

/* [MUST-3] */
static bool tcp_checksum_ok(const struct ip_tcp *in)
{
    if (UNLIKELY(in->csum_ok))
        return true;
    if (LIKELY(in->payload.len - TCP_HDR_LEN <= TCP_HDR_MAX - TCP_HDR_LEN &&
               in->head_len == in->payload.len && in->head_len % 4 == 0))
        return csum_fold(header_sum(in, in->payload.len)) == 0xffff; /* no text */
    return csum_fold(csum_pieces(ip_pseudo_of(in->addr_sum, IPPROTO_TCP_, in->payload.len),
                                 &in->payload)) == 0xffff;
}

/* a->ip becomes a segment whose checksum nobody has looked at yet; or why not. [MUST-57] */
IN_PLACE enum rule tcp_segment_of(struct arrival *a)
{
    struct seg *g = &a->g;
    enum rule r = RULE_TCP_GROUP;

    if (LIKELY(a->ip.local != IP_LOCAL_NONE))
        r = tcp_parse(g, a->ip.head, a->ip.head_len, &a->ip.payload);
    if (UNLIKELY(r == RULE_NONE && (g->sport == 0 || g->dport == 0)))
        r = RULE_TCP_PORT_0;
    if (UNLIKELY(r != RULE_NONE))
        return r;
    g->tos = a->ip.tos;
    if (UNLIKELY(a->whole && a->d->route.n))
        g->route = &a->d->route;
    if (UNLIKELY(a->ip.gso_size && g->text.len > a->ip.gso_size))
        g->nsegs = (uint16_t)((g->text.len + a->ip.gso_size - 1u) / a->ip.gso_size);
    a->k = (struct tcp_tuple){a->ip.src, a->ip.local, g->dport, g->sport};
    return RULE_NONE;
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
    if (UNLIKELY(tcp_traced(t->layer)))
        tcp_trace_in(t->layer, k, tcb_handle(t), (enum estab_tcp_state)t->state, g, t->snd_wscale);
    tcp_segment_arrives(t, g);
}

static void to_listener(estab_stack *s, struct arrival *a, const seq_t *newer)
{
    struct tcp_layer *l = &s->tcp;
    const struct ip_dgram *d = dgram_of(s, a);
    struct tcb *t;

    if (!tcp_comes_home(l, &a->k)) { /* it came in fragments, or somebody steers by another hash */
        ip_drop(l->ip, d, RULE_TCP_SHARD);
        return;
    }
    t = tcp_demux_listener(l, &a->k);
    if (UNLIKELY(tcp_traced(l)))
        tcp_trace_in(l, &a->k, 0, t ? ESTAB_LISTEN : ESTAB_CLOSED, &a->g, 0);
    if (t)
        tcp_arrive_listen(t, &a->g, d, newer);
    else
        tcp_arrive_closed(l, &a->g, d);
}

/* A connection's next text: verified as it is stored.  true: the segment has been dealt with. */
IN_PLACE bool tcp_text_in(estab_stack *s, struct arrival *a, struct tcb *t)
{
    struct seg *g = &a->g;
    struct csum_run sum = {0, false};

    if (UNLIKELY(!tcp_predicted(t, g)))
        return false;
    if (LIKELY(!a->ip.csum_ok))
        sum.sum = header_sum(&a->ip, a->ip.payload.len - g->text.len);
    switch (tcp_text_store(t, g, UNLIKELY(a->ip.csum_ok) ? NULL : &sum)) {
    case TCP_NOT_STORED:
        return false;
    case TCP_WRONG_SUM:
        ip_drop(&s->ip, dgram_of(s, a), RULE_TCP_CSUM);
        return true;
    case TCP_STORED:
        break;
    }
    if (UNLIKELY(tcp_traced(&s->tcp)))
        tcp_trace_in(&s->tcp, &a->k, tcb_handle(t), ESTAB_ESTABLISHED, g, t->snd_wscale);
    tcp_predicted_arrives(t, g);
    if (UNLIKELY(s->run.more && !a->whole))
        run_begin(&s->run, t, &a->ip, g);
    return true;
}

/* The ACK of what is in flight, and nothing else.  true: the segment has been dealt with. */
static bool tcp_bare_ack_in(estab_stack *s, const struct arrival *a, struct tcb *t)
{
    if (!tcp_ack_predicted(t, &a->g) || !tcp_checksum_ok(&a->ip))
        return false;
    if (UNLIKELY(tcp_traced(&s->tcp)))
        tcp_trace_in(&s->tcp, &a->k, tcb_handle(t), ESTAB_ESTABLISHED, &a->g, t->snd_wscale);
    tcp_predicted_ack_arrives(t, &a->g);
    return true;
}

/* true: it could only mean one thing, and has been dealt with. */
static bool tcp_expected_in(estab_stack *s, struct arrival *a, struct tcb *t)
{
    if (UNLIKELY(s->tcp.long_way))
        return false;
    return a->g.len > 0 ? tcp_text_in(s, a, t) : tcp_bare_ack_in(s, a, t);
}

/* For what has no control block; ref: HASH_NONE, then it is for a listener. */
static APART void to_compact(estab_stack *s, struct arrival *a, uint32_t ref)
{
    struct tcp_layer *l = &s->tcp;
    seq_t newer;

    if (ref == HASH_NONE) {
        to_listener(s, a, NULL);
        return;
    }
    switch (TCP_REF_KIND(ref)) {
    case TCP_REF_TCB:
        break;
    case TCP_REF_SYNQ:
        if (UNLIKELY(tcp_traced(l)))
            tcp_trace_in(l, &a->k, 0, ESTAB_SYN_RECEIVED, &a->g, synq_wscale(l, TCP_REF_SLOT(ref)));
        synq_segment_arrives(l, TCP_REF_SLOT(ref), &a->g);
        break;
    case TCP_REF_TIMEWAIT:
        if (UNLIKELY(tcp_traced(l)))
            tcp_trace_in(l, &a->k, 0, ESTAB_TIME_WAIT, &a->g,
                         timewait_wscale(l, TCP_REF_SLOT(ref)));
        if (timewait_segment_arrives(l, TCP_REF_SLOT(ref), &a->g, &newer))
            to_listener(s, a, &newer);
        break;
    }
}

static inline void tcp_in(estab_stack *s, struct arrival *a)
{
    struct tcp_layer *l = &s->tcp;
    struct tcb *t = tcp_demux_hot(l, &a->k);
    uint32_t ref = t ? HASH_NONE : tcp_demux_look(l, &a->k);

    if (ref != HASH_NONE && TCP_REF_KIND(ref) == TCP_REF_TCB)
        t = tcb_at(l, TCP_REF_SLOT(ref));
    if (LIKELY(t != NULL) && tcp_expected_in(s, a, t))
        return;
    if (UNLIKELY(!tcp_checksum_ok(&a->ip)))
        ip_drop(&s->ip, dgram_of(s, a), RULE_TCP_CSUM);
    else if (t)
        to_tcb(t, &a->k, &a->g);
    else
        to_compact(s, a, ref);
}

/* Not a segment that anything could be done with. */
static RARE void tcp_refuse_in(estab_stack *s, struct arrival *a, enum rule why)
{
    if (why != RULE_TCP_GROUP && !tcp_checksum_ok(&a->ip))
        why = RULE_TCP_CSUM;
    ip_drop(&s->ip, dgram_of(s, a), why);
}

/* The way of every frame.  true: it is TCP's, and a->ip what TCP needs of it. */
static RARE bool frame_in(estab_stack *s, uint8_t port, const struct estab_frame *f,
                          struct arrival *a)
{
    struct ip_error e;

    switch (ip_recv(&s->ip, port, f, a->d, &e)) {
    case IP_DONE:
        break;
    case IP_DELIVER:
        if (a->d->ip.proto == IPPROTO_TCP_) {
            ip_tcp_of(a->d, &a->ip);
            return true;
        }
        udp_recv(&s->udp, a->d);
        break;
    case IP_ERROR:
        if (e.quote.ip.proto == IPPROTO_TCP_)
            tcp_icmp_arrives(&s->tcp, &e);
        else
            udp_icmp_arrives(&s->udp, &e);
        break;
    }
    return false;
}

void stack_recv(estab_stack *s, uint8_t port, const struct estab_frame *f)
{
    struct ip_dgram d;
    struct arrival a;
    enum rule r;

    a.d = &d;
    a.whole = !ip_plain_in(&s->ip, port, f, &a.ip);
    if (UNLIKELY(a.whole) && !frame_in(s, port, f, &a))
        return;
    r = tcp_segment_of(&a);
    if (LIKELY(r == RULE_NONE))
        tcp_in(s, &a);
    else
        tcp_refuse_in(s, &a, r);
}

static APART void batch_in(estab_stack *s, uint8_t port, const struct estab_frame *f, size_t n)
{
    stack_ahead_begin(s, f, n);
    for (size_t i = 0; i < n; i++) {
        s->run.more = i + 1 < n;
        if (UNLIKELY(i < s->ahead.end))
            stack_ahead(s, f, i);
        stack_recv(s, port, &f[i]);
        if (LIKELY(!s->run.t))
            continue;
        i += run_take(&s->run, f + i + 1, n - i - 1);
        s->run.t = NULL;
    }
    s->run.more = false;
}

/* [MUST-58, MUST-59, RFC1122-4.2.2.20-1] */
int estab_input(estab_stack *s, int port, const struct estab_frame *f, size_t n)
{
    if (port < 0 || (uint32_t)port >= s->ip.nports)
        return ESTAB_E_INVAL;
    stack_enter(s);
    if (LIKELY(n == 1))
        stack_recv(s, (uint8_t)port, f);
    else
        batch_in(s, (uint8_t)port, f, n);
    s->frames_in += n;
    stack_leave(s);
    return 0;
}

int estab_input_place(estab_stack *s, int port, struct estab_place *p)
{
    if (port < 0 || (uint32_t)port >= s->ip.nports)
        return ESTAB_E_INVAL;
    return tcp_text_place(&s->tcp, (uint8_t)port, p);
}

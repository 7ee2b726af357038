/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_pull.c - whose turn it is: what a port's driver is handed when it pulls.
 *
 * Answers that need no connection wait in a small ring, half-open entries and connections in lists.
 * The connections of a port take turns, a burst of frames each. */
#include "tcp/tcp.h"

#define BURST 16u /* frames in a row before the next connection has its turn */

/* ---- answers without a connection ---- */

struct tcp_reply *tcp_reply_room(struct tcp_layer *l, uint8_t port)
{
    struct tcp_port *p = &l->ports[port];

    if (UNLIKELY(p->reply_tail - p->reply_head == TCP_REPLIES)) {
        rule_count(l->rules, RULE_REPLY_FULL);
        return NULL;
    }
    return &p->replies[p->reply_tail++ % TCP_REPLIES];
}

void tcp_reply(struct tcp_layer *l, uint8_t port, const struct tcp_reply *r)
{
    struct tcp_reply *room = tcp_reply_room(l, port);

    if (room)
        *room = *r;
}

/* RFC 1122 section 2.3.2.2: the latest of what waits for a next hop's address is kept. */
static void reply_hold(struct tcp_layer *l, struct tcp_port *p, const struct tcp_reply *r)
{
    if (p->nheld == TCP_REPLIES_HELD) {
        rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
        memmove(p->held, p->held + 1, --p->nheld * sizeof *p->held);
    }
    p->held[p->nheld++] = *r;
}

static void reply_unstall(struct tcp_layer *l, uint8_t port)
{
    struct tcp_port *p = &l->ports[port];

    for (uint32_t i = 0; i < p->nheld; i++)
        tcp_reply(l, port, &p->held[i]);
    p->nheld = 0;
}

/* Answers for a connection go the way that its other segments do. [MUST-53] */
static const struct ip4_route *reply_route(struct tcp_layer *l, const struct tcp_reply *r)
{
    struct tcp_tuple k = {r->peer, r->path.local, r->lport, r->pport};
    uint32_t ref = tcp_demux_peek(l, &k);

    return ref == HASH_NONE ? NULL : tcp_route_find(l, ref);
}

static void reply_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    struct tcp_port *p = &l->ports[port];

    while (out->n < out->room && p->reply_head != p->reply_tail) {
        struct tcp_reply *r = &p->replies[p->reply_head++ % TCP_REPLIES];
        struct seg_out o;
        const struct ip4_route *route = l->nroutes ? reply_route(l, r) : NULL;
        uint8_t hop[16];
        enum ip_ready ready = ip_path_ready(l->ip, &r->path, tcp_first_hop(route, r->peer, hop));

        if (ready == IP_WAIT) {
            reply_hold(l, p, r);
            continue;
        }
        if (ready == IP_LOST) { /* whoever asked will ask again */
            rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
            continue;
        }
        seg_out_init(&o, &r->path, r->peer);
        o.route = route;
        o.hop_limit = r->hop_limit;
        o.rule = (enum rule)r->rule;
        o.state = r->state;
        o.wscale = r->wscale;
        o.g.sport = r->lport;
        o.g.dport = r->pport;
        o.g.seq = r->seq;
        o.g.ack = r->ack;
        o.g.flags = r->flags;
        if (r->ace)
            tcp_ace_put(&o.g, r->ace);
        o.g.wnd = r->wnd;
        o.g.opt.has = r->opts;
        o.g.opt.mss = r->mss;
        o.g.opt.ws = r->ws;
        o.g.opt.ts_val = r->ts_val;
        o.g.opt.ts_ecr = r->ts_ecr;
        tcp_emit(l, &o, out);
    }
}

/* ---- whose turn it is ---- */

/* A message has gone, and there is nothing else. */
static void message_over(struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    t->in_send = false;
    slot_del(&t->layer->tcbs, &p->send, t->slot, SEND_LINK);
    tcb_rest(t);
    tcp_why_note(t);
}

/* Off the send list; a connection that only owed an RST ends here. */
static void turn_over(struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    tcp_unlist(t);
    if (t->state == ESTAB_CLOSED && t->orphan)
        tcb_release(t);
    else
        tcb_rest(t);
    tcp_why_note(t);
}

static void to_back(struct tcp_layer *l, struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    slot_del(&l->tcbs, &p->send, t->slot, SEND_LINK);
    slot_push(&l->tcbs, &p->send, t->slot, SEND_LINK);
}

/* Until the next hop's address is known. */
static RARE void stall(struct tcp_layer *l, struct tcp_port *p, struct tcb *t)
{
    p->burst = 0;
    tcp_unlist(t);
    t->in_send = t->in_stalled = true;
    slot_push(&l->tcbs, &p->stalled, t->slot, SEND_LINK);
    if (t->w)
        tcp_stop(t, ESTAB_WHY_NEIGHBOUR);
    tcp_why_note(t);
}

static RARE void unstall(struct tcp_layer *l, uint8_t port)
{
    struct tcp_port *p = &l->ports[port];

    p->resolved = l->ip->resolved;
    for (uint32_t i = p->stalled.head; i != SLAB_NONE; i = tcb_at(l, i)->send.next)
        tcb_at(l, i)->in_stalled = false;
    slot_splice(&l->tcbs, &p->send, &p->stalled, SEND_LINK);
    synq_unstall(l, port);
    reply_unstall(l, port);
}

/* Whatever t owes, along whatever path. */
static APART void pull_conn(struct tcp_layer *l, struct tcp_port *p, struct tcb *t, bool plain,
                            struct tcp_frames *out)
{
    uint32_t before = out->n;
    uint8_t hop[16];
    enum ip_ready ready = ip_path_ready(l->ip, &t->path, tcp_first_hop(tcp_route(t), t->peer, hop));
    bool sent;

    if (UNLIKELY(ready == IP_WAIT)) {
        stall(l, p, t);
        return;
    }
    sent = (!plain && tcp_short_output(t, out)) || tcp_output(t, out);
    p->burst += out->n - before;
    if (!sent || !tcp_wants(t))
        turn_over(p, t);
    else if (p->burst >= BURST)
        to_back(l, p, t);
    if (UNLIKELY(sent && ready == IP_LOST)) { /* handed to nobody: lost, as far as the connection
                                                 can tell */
        out->n = before;
        rule_count(l->rules, RULE_NEIGHBOUR_UNKNOWN);
        if (t->soft_err == 0)
            tcp_report(t, ESTAB_E_UNREACH);
    }
}

void tcp_pull_conns(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    struct tcp_port *p = &l->ports[port];

    while (out->n < out->room && p->send.head != SLAB_NONE) {
        struct tcb *t = tcb_at(l, p->send.head);
        bool plain = ip_path_is_plain(l->ip, &t->path);

        if (plain && LIKELY(tcp_short_output(t, out)))
            message_over(p, t);
        else
            pull_conn(l, p, t, plain, out);
    }
}

static void answer_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    const struct tcp_port *p = &l->ports[port];

    if (p->reply_head != p->reply_tail)
        reply_pull(l, port, out);
    if (synq_has_output(l, port))
        synq_pull(l, port, out);
}

/* Whoever floods the stack with what must be answered does not choose what the link carries: where
 * both have something, answers and connections have half of the frames each, and take turns in
 * having the odd one. */
static RARE void pull_in_turn(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    static void (*const pull[2])(struct tcp_layer *, uint8_t,
                                 struct tcp_frames *) = {answer_pull, tcp_pull_conns};
    struct tcp_port *p = &l->ports[port];
    uint32_t room = out->room;

    p->turn ^= 1;
    out->room = out->n + (room - out->n + 1) / 2;
    pull[p->turn](l, port, out);
    out->room = room;
    pull[!p->turn](l, port, out);
    pull[p->turn](l, port, out);
}

void tcp_pull_all(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    struct tcp_port *p = &l->ports[port];

    if (p->resolved != l->ip->resolved)
        unstall(l, port);
    if (!tcp_has_answers(l, port))
        tcp_pull_conns(l, port, out);
    else if (p->send.head == SLAB_NONE)
        answer_pull(l, port, out);
    else
        pull_in_turn(l, port, out);
}

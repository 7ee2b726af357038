/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_listen.c - the passive side: a listener, its two queues and their common bound.
 *
 * Half-open entries (tcp_synq.c) and completed connections that wait for ACCEPT count together
 * against the backlog.  A SYN that would pass it is answered with a cookie (tcp_cookie.c) if it is
 * half-open entries that fill the backlog, and not answered, or refused, if it is the user who does
 * not accept.  So a connection that completes always finds room, and nothing that was acknowledged
 * is ever thrown away. */
#include "tcp/tcp.h"

/* [MUST-41, MUST-42] */
int tcp_open_passive(struct tcb *t, uint32_t backlog)
{
    struct tcp_layer *l = t->layer;
    uint32_t slot;
    int err;

    if (backlog == 0)
        backlog = 1;
    if (t->state == ESTAB_LISTEN) {
        t->l->backlog = backlog;
        return 0;
    }
    if (t->state != ESTAB_CLOSED || t->established || t->pport || t->err)
        return ESTAB_E_ISCONN;
    if (t->bound && tcp_listen_clashes(t))
        return ESTAB_E_INUSE;
    slot = slab_get(&l->listeners);
    if (slot == SLAB_NONE)
        return ESTAB_E_NOMEM;
    if (!t->bound) {
        static const struct estab_addr any;

        err = tcp_bind(t, &any);
        if (err) {
            slab_put(&l->listeners, slot);
            return err;
        }
    }
    t->l = slab_at(&l->listeners, slot);
    *t->l = (struct tcp_listener){.backlog = backlog, .slot = slot};
    slot_list_init(&t->l->accepts);
    tcp_listeners_change(l);
    tcp_enter(t, ESTAB_LISTEN, ESTAB_BY_USER);
    return 0;
}

bool tcp_listener_full(const struct tcb *t)
{
    const struct tcp_layer *l = t->layer;

    return t->l->nsynq + t->l->accepts.n >= t->l->backlog || l->synqs.used >= l->set.max_synq;
}

void tcp_listener_adopt(struct tcb *t, struct tcb *child)
{
    child->embryo = true;
    slot_push(&t->layer->tcbs, &t->l->accepts, child->slot, READY_LINK);
    tcp_raise(t, ESTAB_EV_IN);
}

struct tcb *tcp_accept(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    struct tcb *child;

    if (t->l->accepts.head == SLAB_NONE)
        return NULL;
    child = tcb_at(l, t->l->accepts.head);
    slot_del(&l->tcbs, &t->l->accepts, child->slot, READY_LINK);
    child->embryo = false;
    tcp_why_note(child);
    return child;
}

/* CLOSE of a LISTEN, section 3.10.4: what nobody will accept is reset; a peer whose half-open
 * connection has ended is answered as by any closed port. */
void tcp_listener_free(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    struct tcp_listener *listener = t->l;
    struct tcb *child;

    while ((child = tcp_accept(t)) != NULL) {
        tcp_orphan(child);
        tcp_abort(child);
    }
    synq_end_all(t);
    tcp_demux_del(t);
    tcp_listeners_change(l);
    tcp_enter(t, ESTAB_CLOSED, ESTAB_BY_USER);
    slab_put(&l->listeners, listener->slot);
    t->l = NULL;
}

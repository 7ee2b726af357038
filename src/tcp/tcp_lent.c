/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_lent.c - text that is sent from where the user has it.
 *
 * What is lent (estab_send_lend) lies behind what was copied, in the order in which it came, and
 * takes sequence numbers like it; while some is, SEND copies nothing.  So the send queue is w->snd
 * and then w->lent_out, and its octets are asked for here (tcp_queue_len, _peek, _fits, _drop). */
#include "tcp/tcp.h"

#define QUEUE_MOST (UINT32_C(1) << 30) /* sequence numbers can be compared */

void tcp_lent_free(struct tcp_layer *l, struct tcp_work *w)
{
    if (w->lent_out)
        slab_put(&l->lents, w->lent_out->slot);
    w->lent_out = NULL;
    w->lends = false;
}

static struct tcp_lent *lent_new(struct tcp_layer *l)
{
    uint32_t slot = slab_get(&l->lents);
    struct tcp_lent *q;

    if (slot == SLAB_NONE)
        return NULL;
    q = slab_at(&l->lents, slot);
    q->slot = slot;
    q->first = q->n = 0;
    q->len = 0;
    q->back = false;
    return q;
}

static struct estab_iov *piece(struct tcp_lent *q, uint32_t i)
{
    return &q->v[(q->first + i) % TCP_LENT_MAX];
}

/* As many whole pieces as there is room for; octets. */
static uint32_t take(struct tcb *t, const struct estab_iov *iov, size_t niov)
{
    struct tcp_lent *q = t->w->lent_out;
    uint32_t total = 0;

    for (size_t i = 0; i < niov; i++) {
        if (iov[i].len == 0)
            continue;
        if (q->n == TCP_LENT_MAX || iov[i].len > QUEUE_MOST - tcp_queue_len(t->w))
            break;
        *piece(q, q->n++) = iov[i];
        q->len += (uint32_t)iov[i].len;
        total += (uint32_t)iov[i].len;
    }
    return total;
}

ptrdiff_t tcp_lent_send(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t flags)
{
    int err = tcp_may_send(t);
    bool any = false;
    uint32_t n;

    for (size_t i = 0; i < niov; i++) {
        any |= iov[i].len > 0;
        if (iov[i].len > QUEUE_MOST)
            return ESTAB_E_INVAL;
    }
    if (err || !any)
        return err;
    if (!tcb_work(t) || (!t->w->lent_out && !(t->w->lent_out = lent_new(t->layer)))) {
        tcp_no_memory(t);
        tcb_rest(t);
        return ESTAB_E_NOMEM;
    }
    t->w->lends = true;
    t->want_out = true; /* whoever lends waits for it to come back */
    n = take(t, iov, niov);
    if (n > 0) {
        t->no_memory = false;
        t->w->more = (flags & ESTAB_MSG_MORE) != 0;
        tcp_send_more(t);
    } else if (t->w->lent_out->n == 0) {
        tcp_lent_free(t->layer, t->w); /* text that was copied is still queued: not at rest */
    }
    tcp_why_note(t);
    return n > 0 ? (ptrdiff_t)n : ESTAB_E_AGAIN;
}

uint32_t tcp_lent_len(const struct tcb *t)
{
    return t->state != ESTAB_LISTEN && t->w && t->w->lent_out ? t->w->lent_out->len : 0;
}

uint32_t tcp_lent_peek(const struct tcp_work *w, uint32_t off, uint32_t n,
                       struct estab_iov v[TCP_TEXT_IOVS], uint32_t *got)
{
    uint32_t own = off < w->snd.len ? w->snd.len - off : 0, k = 0;

    *got = 0;
    if (own > 0) {
        k = ring_peek(&w->snd, off, own < n ? own : n, v);
        for (uint32_t i = 0; i < k; i++)
            *got += (uint32_t)v[i].len;
        off = 0;
    } else {
        off -= w->snd.len;
    }
    for (uint32_t i = 0; i < w->lent_out->n && k < TCP_TEXT_IOVS && *got < n; i++) {
        const struct estab_iov *p = piece(w->lent_out, i);
        size_t len;

        if (off >= p->len) {
            off -= (uint32_t)p->len;
            continue;
        }
        len = p->len - off < n - *got ? p->len - off : n - *got;
        v[k++] = (struct estab_iov){(uint8_t *)p->base + off, len};
        *got += (uint32_t)len;
        off = 0;
    }
    return k;
}

void tcp_lent_drop(struct tcb *t, uint32_t n)
{
    struct tcp_work *w = t->w;
    struct tcp_lent *q = w->lent_out;
    uint32_t own = n < w->snd.len ? n : w->snd.len;

    ring_drop(&w->snd, &t->layer->pool, own, false);
    for (n -= own; n > 0;) {
        struct estab_iov *p = piece(q, 0);
        uint32_t k = n < p->len ? n : (uint32_t)p->len;

        p->base = (uint8_t *)p->base + k;
        p->len -= k;
        q->len -= k;
        n -= k;
        if (p->len > 0)
            break;
        q->first = (uint8_t)((q->first + 1) % TCP_LENT_MAX);
        q->n--;
        q->back = true;
    }
    if (q->n == 0)
        tcp_lent_free(t->layer, w);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_call.c - requests of ours: from being asked to their end.
 *
 * A request is found by its number.  When its time is up it is no more, so that a reply that still
 * comes finds none and is dropped: it cannot be taken for another's.  On a plain channel a reply
 * has no number but a place: the n-th that comes belongs to the n-th request that was sent, whether
 * that still waits or not. */
#include "machine.h"

#include <stdalign.h>
#include <stddef.h>

struct call *channel_find_call(const estab_channel *c, uint64_t number)
{
    struct entry *e = table_find(&c->calls, number);

    return e ? (struct call *)(void *)((char *)e - offsetof(struct call, e)) : NULL;
}

static void link_call(estab_channel *c, struct call *k)
{
    k->prev = c->last_call;
    *(k->prev ? &k->prev->next : &c->first_call) = k;
    c->last_call = k;
}

void channel_unlink_call(estab_channel *c, struct call *k)
{
    *(k->prev ? &k->prev->next : &c->first_call) = k->next;
    *(k->next ? &k->next->prev : &c->last_call) = k->prev;
    k->prev = k->next = NULL;
}

/* Requests that count: without their end drained, and on a plain channel those whose place among
 * the replies must be kept although nobody waits for them. */
static bool may_ask(const estab_channel *c)
{
    return c->calls.n < c->conf.in_flight &&
           (!c->conf.plain || c->plain_sent - c->plain_got < c->conf.in_flight);
}

static int begin_call(estab_channel *c, const struct estab_iov *iov, size_t niov, unsigned flags,
                      uint64_t number, struct call **out)
{
    uint8_t type = message_passing(MSG_REQUEST, flags);
    struct call *k = c->env.alloc(c->env.ctx, sizeof *k, alignof(struct call));
    int err;

    if (!k)
        return ESTAB_E_NOMEM;
    *k = (struct call){.e = {NULL, number}, .safe = flags & ESTAB_CH_SAFE};
    err = channel_new_out(c, &k->out, type, k->e.number, iov, niov);
    if (!err)
        err = table_add(&c->calls, &c->env, c->conf.in_flight, &k->e);
    if (err) {
        channel_free_out(c, k->out);
        c->env.free(c->env.ctx, k, sizeof *k, alignof(struct call));
        return err;
    }
    k->out->call = k;
    *out = k;
    return 0;
}

int channel_ask(estab_channel *c, const struct estab_iov *iov, size_t niov, estab_time due,
                unsigned flags, uint64_t number)
{
    int err = channel_may_send(c, flags, ESTAB_CH_SAFE | ESTAB_CH_PASS);
    struct call *k;

    if (!err && c->conf.duplex == ESTAB_SIMPLEX_OUT)
        err = ESTAB_E_NOTSUP;
    if (!err && !may_ask(c)) {
        c->want_room = true;
        err = ESTAB_E_AGAIN;
    }
    if (!err)
        err = begin_call(c, iov, niov, flags, number, &k);
    if (err)
        return err;
    k->due = due;
    if (k->due < c->calls_due)
        c->calls_due = k->due;
    link_call(c, k);
    if (!c->peer_leaving)
        channel_queue(c, k->out);
    return 0;
}

int estab_channel_ask(estab_channel *c, const struct estab_iov *iov, size_t niov, estab_dur within,
                      unsigned flags, uint64_t *number)
{
    estab_time due = channel_after(c->env.now(c->env.ctx), within);
    int err = channel_ask(c, iov, niov, due, flags, c->next_number);

    if (!err)
        *number = c->next_number++;
    return err;
}

void channel_fail(estab_channel *c, struct call *k, int error)
{
    channel_unqueue(c, k);
    channel_free_out(c, k->out);
    k->out = NULL;
    k->error = error;
    channel_unlink_call(c, k);
    channel_happens(c, &k->h, ESTAB_CH_FAILED);
}

void channel_fail_all(estab_channel *c, int error)
{
    while (c->first_call)
        channel_fail(c, c->first_call, error);
}

/* The earliest deadline is only looked for when one has passed: until then calls_due may be that of
 * a request that has its reply, and costs a run for nothing. */
void channel_expire_calls(estab_channel *c)
{
    struct call *k, *next;

    if (c->now < c->calls_due)
        return;
    c->calls_due = ESTAB_NEVER;
    for (k = c->first_call; k; k = next) {
        next = k->next;
        if (k->due <= c->now)
            channel_fail(c, k, ESTAB_E_TIMEOUT);
        else if (k->due < c->calls_due)
            c->calls_due = k->due;
    }
}

int estab_channel_cancel(estab_channel *c, uint64_t number)
{
    struct call *k = channel_find_call(c, number);

    if (!k || k->h.listed)
        return ESTAB_E_INVAL;
    channel_fail(c, k, ESTAB_E_CANCELLED);
    return 0;
}

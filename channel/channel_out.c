/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_out.c - what waits to be sent, and sending it.
 *
 * Messages leave in the order in which they were queued, many in one call of the transport.  PING
 * and PONG wait in a small buffer of their own and go between two messages: there is never more
 * than one of each, whatever the peer asks for. */
#include "machine.h"

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

bool channel_has_room(const estab_channel *c)
{
    return c->send_messages < c->conf.send_messages && c->send_octets < c->conf.send_octets &&
           c->calls.n < c->conf.in_flight;
}

void channel_free_out(estab_channel *c, struct out *o)
{
    if (o)
        c->env.free(c->env.ctx, o, sizeof *o + o->len, alignof(struct out));
}

int channel_new_out(estab_channel *c, struct out **out, uint8_t type, uint64_t number,
                    const struct estab_iov *iov, size_t niov)
{
    uint8_t head[MSG_HEAD_MAX];
    size_t text_len = channel_iov_len(iov, niov), at;
    struct out *o;

    at = message_head(head, &c->format, type, number, text_len);
    if (at == 0)
        return ESTAB_E_TOOBIG;
    o = c->env.alloc(c->env.ctx, sizeof *o + at + text_len, alignof(struct out));
    if (!o)
        return ESTAB_E_NOMEM;
    *o = (struct out){.type = type & (uint8_t)~MSG_PASS,
                      .pass = (type & MSG_PASS) || type == MSG_TURN,
                      .len = at + text_len};
    memcpy(o->octets, head, at);
    for (size_t i = 0; i < niov; at += iov[i++].len)
        if (iov[i].len)
            memcpy(o->octets + at, iov[i].base, iov[i].len);
    *out = o;
    return 0;
}

static bool is_answer(const struct out *o)
{
    return o->type == MSG_REPLY || o->type == MSG_REFUSE;
}

static void count_queued(estab_channel *c, const struct out *o)
{
    c->send_messages++;
    c->send_octets += o->len;
    c->pass_queued |= o->pass;
    c->answers += is_answer(o);
    if (o->call)
        o->call->queued = true;
}

void channel_queue(estab_channel *c, struct out *o)
{
    *c->sendq_tail = o;
    c->sendq_tail = &o->next;
    count_queued(c, o);
}

void channel_queue_first(estab_channel *c, struct out *o)
{
    o->next = c->sendq;
    c->sendq = o;
    if (!o->next)
        c->sendq_tail = &o->next;
    count_queued(c, o);
}

/* Takes what *at points to out of the queue. */
static struct out *unlink_out(estab_channel *c, struct out **at)
{
    struct out *o = *at;

    *at = o->next;
    if (c->sendq_tail == &o->next)
        c->sendq_tail = at;
    o->next = NULL;
    c->send_messages--;
    c->send_octets -= o->len;
    c->answers -= is_answer(o);
    if (o->pass)
        c->pass_queued = false;
    if (o->call)
        o->call->queued = false;
    return o;
}

void channel_unqueue(estab_channel *c, struct call *k)
{
    struct out **at = &c->sendq;

    if (!k->queued)
        return;
    if (k->out->at > 0) {
        k->queued = false;
        k->out->call = NULL;
        k->out = NULL;
        return;
    }
    while (*at != k->out)
        at = &(*at)->next;
    (void)unlink_out(c, at);
}

/* What only the lost connection's peer could understand.  A message of which a part had been sent
 * begins again: its receiver never had it. */
static bool is_of_connection(const struct out *o)
{
    return !(o->type == MSG_MESSAGE || (o->type == MSG_REQUEST && o->call));
}

void channel_clear_queue(estab_channel *c, bool all)
{
    struct out **at = &c->sendq, *o;

    while (*at) {
        o = *at;
        o->at = 0;
        if (!all && !is_of_connection(o)) {
            at = &o->next;
            continue;
        }
        (void)unlink_out(c, at);
        if (o->call)
            o->call->out = NULL;
        channel_free_out(c, o);
    }
    c->ctl_len = c->ctl_at = 0;
    c->ping_owed = c->pong_owed = false;
}

/* ---- sending ---- */

static void add_ctl(estab_channel *c, uint8_t type, uint64_t number)
{
    c->ctl_len += (uint8_t)message_head(c->ctl + c->ctl_len, &c->format, type, number, 0);
}

static void make_ctl(estab_channel *c)
{
    if (c->ctl_len)
        return;
    if (c->pong_owed)
        add_ctl(c, MSG_PONG, c->pong_number);
    if (c->ping_owed) {
        add_ctl(c, MSG_PING, c->info.pings);
        c->info.pings++;
    }
    c->pong_owed = c->ping_owed = false;
}

/* The transport has all of the first in the queue. */
static void out_sent(estab_channel *c)
{
    struct out *o = unlink_out(c, &c->sendq);
    struct call *k = o->call;
    bool request = o->type == MSG_REQUEST;

    c->info.messages_out++;
    if (o->pass)
        c->turn = false;
    if (k) {
        k->sent = true;
        k->position = c->plain_sent;
    }
    c->plain_sent += request;
    if (k && (k->safe || c->keep)) {
        o->at = 0;
        return;
    }
    if (k)
        k->out = NULL;
    channel_free_out(c, o);
}

/* The n next octets of the first in the queue were taken; how many of n are left. */
static size_t advance_first(estab_channel *c, size_t n)
{
    size_t left = c->sendq->len - c->sendq->at;

    if (n < left) {
        c->sendq->at += n;
        return 0;
    }
    out_sent(c);
    return n - left;
}

static void advance(estab_channel *c, size_t n)
{
    size_t left;

    c->info.octets_out += n;
    if (c->sendq && c->sendq->at > 0)
        n = advance_first(c, n);
    if (n > 0 && c->ctl_len) {
        left = (size_t)c->ctl_len - c->ctl_at;
        if (n < left) {
            c->ctl_at += (uint8_t)n;
            return;
        }
        n -= left;
        c->ctl_len = c->ctl_at = 0;
    }
    while (n > 0 && c->sendq)
        n = advance_first(c, n);
}

/* In the order in which advance() takes them: the rest of what has begun, PONG and PING, and what
 * the turn allows. */
static size_t gather(estab_channel *c, struct estab_iov *iov)
{
    struct out *o = c->sendq;
    bool may = c->conf.duplex != ESTAB_DUPLEX_HALF || c->turn;
    size_t n = 0;

    make_ctl(c);
    if (o && o->at > 0) {
        iov[n++] = (struct estab_iov){o->octets + o->at, o->len - o->at};
        may = may && !o->pass;
        o = o->next;
    }
    if (c->ctl_len)
        iov[n++] = (struct estab_iov){c->ctl + c->ctl_at, (size_t)c->ctl_len - c->ctl_at};
    for (; o && may && n < GATHER + 2; o = o->next) {
        iov[n++] = (struct estab_iov){o->octets, o->len};
        may = !o->pass;
    }
    return n;
}

/* A side that connected and waits for nothing just closes: what the peer may ask meanwhile it would
 * have asked in vain anyway. */
bool channel_owes_bye(const estab_channel *c)
{
    return c->closing && !c->bye_queued && !c->conf.plain &&
           (!c->connector || c->first_call || c->served.n);
}

/* BYE: from now on requests will be refused. */
static void say_bye(estab_channel *c)
{
    struct out *bye;

    if (!channel_owes_bye(c))
        return;
    c->bye_queued = true;
    if (channel_new_out(c, &bye, MSG_BYE, 0, NULL, 0) == 0)
        channel_queue(c, bye);
}

void channel_flush(estab_channel *c)
{
    struct estab_iov iov[GATHER + 2];
    bool was_blocked = c->blocked;
    ptrdiff_t n;
    size_t pieces;

    say_bye(c);
    c->blocked = false;
    while ((pieces = gather(c, iov)) > 0) {
        n = c->t.send(c->t.ctx, c->wire, iov, pieces);
        if (n == ESTAB_E_AGAIN || n == 0) {
            c->blocked = true;
            return;
        }
        if (n < 0) {
            channel_lose(c, (int)n, true);
            return;
        }
        if (was_blocked) /* room came from the peer's acknowledgments */
            channel_heard(c);
        was_blocked = false;
        advance(c, (size_t)n);
    }
}

/* ---- the user's calls ---- */

int channel_may_send(estab_channel *c, unsigned flags, unsigned known)
{
    if (c->closing || c->state == ESTAB_CHANNEL_OVER)
        return ESTAB_E_PIPE;
    if ((flags & ~known) || c->conf.duplex == ESTAB_SIMPLEX_IN)
        return ESTAB_E_NOTSUP;
    if ((flags & ESTAB_CH_PASS) && c->conf.duplex != ESTAB_DUPLEX_HALF)
        return ESTAB_E_NOTSUP;
    if (c->send_messages >= c->conf.send_messages || c->send_octets >= c->conf.send_octets) {
        c->want_room = true;
        return ESTAB_E_AGAIN;
    }
    return 0;
}

int estab_channel_send(estab_channel *c, const struct estab_iov *iov, size_t niov, unsigned flags)
{
    uint8_t type = message_passing(MSG_MESSAGE, flags);
    int err = channel_may_send(c, flags, ESTAB_CH_PASS);
    struct out *o;

    if (!err)
        err = channel_new_out(c, &o, type, 0, iov, niov);
    if (!err)
        channel_queue(c, o);
    return err;
}

int estab_channel_pass(estab_channel *c)
{
    struct out *o;
    int err = channel_may_send(c, ESTAB_CH_PASS, ESTAB_CH_PASS);

    if (!err && (!c->turn || c->pass_queued))
        err = ESTAB_E_INVAL;
    if (!err)
        err = channel_new_out(c, &o, MSG_TURN, 0, NULL, 0);
    if (!err)
        channel_queue(c, o);
    return err;
}

/* A reply is due however full the queue is: its request was let in, and while too many replies wait
 * no more requests are (channel_may_read). */
static int answer(estab_channel *c, uint8_t type, uint64_t number, const struct estab_iov *iov,
                  size_t niov)
{
    struct entry *e = table_find(&c->served, number);
    struct out *o;
    int err;

    if (!e || (c->conf.plain && number != c->served_replied))
        return ESTAB_E_INVAL;
    err = channel_new_out(c, &o, type, number, iov, niov);
    if (err)
        return err;
    c->served_replied += c->conf.plain;
    channel_queue(c, o);
    channel_end_serving(c, (struct message *)(void *)((char *)e - offsetof(struct message, e)));
    return 0;
}

int estab_channel_reply(estab_channel *c, uint64_t number, const struct estab_iov *iov, size_t niov,
                        unsigned flags)
{
    uint8_t type = message_passing(MSG_REPLY, flags);

    if (c->state == ESTAB_CHANNEL_OVER)
        return ESTAB_E_PIPE;
    if ((flags & ~(unsigned)ESTAB_CH_PASS) || (flags && c->conf.duplex != ESTAB_DUPLEX_HALF))
        return ESTAB_E_NOTSUP;
    return answer(c, type, number, iov, niov);
}

int estab_channel_refuse(estab_channel *c, uint64_t number)
{
    if (c->state == ESTAB_CHANNEL_OVER)
        return ESTAB_E_PIPE;
    if (c->conf.plain)
        return ESTAB_E_NOTSUP;
    return answer(c, MSG_REFUSE, number, NULL, 0);
}

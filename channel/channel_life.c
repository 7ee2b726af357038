/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_life.c - the connection under a channel: opening, silence, loss, the next one, the end.
 *
 * Whether the peer is alive.  Every octet from it is a sign of life, and so is room in a transport
 * that had none.  After conf.heartbeat without a sign it is asked for one by a PING, and again
 * after each further conf.heartbeat; when conf.misses of them are unanswered for as long, it is
 * dead: (misses + 1) * heartbeat after the last sign.  Both sides do this for themselves; an answer
 * needs only a peer that is there.  A side that does not read because its inbox is full does not
 * hold the silence against the peer, and its own PINGs show the peer that it is alive.
 *
 * What may be sent again.  When a connection is lost, a request of which the last octet was never
 * handed to the transport cannot have been carried out: it waits for the next connection.  One that
 * was sent whole may have been: it is sent again only if its user marked it safe, else its user is
 * told.  A request that the peer refused because it is leaving was not carried out either.
 *
 * When to try again.  After the span retry_min, doubled with each attempt in vain up to retry_max,
 * less a random part of it, so that the clients of a server that returns do not come all at once.
 * An attempt is in vain until something is heard of the peer: one that accepts and hangs up is not
 * asked faster than one that does not accept. */
#include "machine.h"

#include <stddef.h>

void channel_heard(estab_channel *c)
{
    c->info.heard_at = c->now;
    c->failures = 0;
    c->misses = 0;
    c->heartbeat_at = c->conf.heartbeat ? channel_after(c->now, c->conf.heartbeat) : ESTAB_NEVER;
}

static void connected(estab_channel *c)
{
    uint32_t failures = c->failures;

    c->state = ESTAB_CHANNEL_UP;
    c->connect_at = ESTAB_NEVER;
    c->up_at = c->now;
    c->turn = c->connector;
    c->plain_sent = c->plain_got = 0;
    c->info.connections++;
    channel_heard(c);
    c->failures = failures;
    channel_happens(c, &c->up, ESTAB_CH_UP);
}

void channel_live(estab_channel *c)
{
    int err;

    if (c->state == ESTAB_CHANNEL_WAITING && c->now >= c->retry_at && !c->closing) {
        c->state = ESTAB_CHANNEL_CONNECTING;
        c->connect_at = channel_after(c->now, c->conf.connect_timeout);
        err = c->t.open(c->t.ctx, &c->peer, c->conf.user, &c->wire);
        if (err) {
            c->state = ESTAB_CHANNEL_WAITING; /* there is no wire to close */
            channel_lose(c, err, true);
            return;
        }
    }
    if (c->state != ESTAB_CHANNEL_CONNECTING)
        return;
    err = c->t.opened(c->t.ctx, c->wire);
    if (err == 0)
        connected(c);
    else if (err != ESTAB_E_INPROGRESS)
        channel_lose(c, err, true);
    else if (c->now >= c->connect_at)
        channel_lose(c, ESTAB_E_TIMEOUT, true);
}

void channel_beat(estab_channel *c)
{
    if (c->now >= c->stall_at) {
        channel_lose(c, ESTAB_E_TIMEOUT, true);
        return;
    }
    if (c->now < c->heartbeat_at || c->eof)
        return;
    if (c->misses == c->conf.misses && !c->paused) {
        channel_lose(c, ESTAB_E_TIMEOUT, true);
        return;
    }
    c->misses += !c->paused;
    c->ping_owed = true;
    c->heartbeat_at = channel_after(c->now, c->conf.heartbeat);
}

/* ---- the end of a connection ---- */

/* What this connection's peer asked for can be replied to no more. */
static void forget_served(estab_channel *c)
{
    struct entry *e;

    for (uint32_t i = 0; i < c->served.nbuckets; i++)
        while ((e = c->served.buckets[i]))
            channel_end_serving(
                c, (struct message *)(void *)((char *)e - offsetof(struct message, e)));
    c->served_replied = c->served_next;
}

/* Requests go over the next connection, or have failed.  Those in the queue have not been sent. */
static void sort_calls(estab_channel *c, int error, bool again)
{
    struct call *k, *next;

    for (k = c->first_call; k; k = next) {
        next = k->next;
        if (!again || !k->out || (k->sent && !k->safe))
            channel_fail(c, k, error);
    }
    for (k = c->last_call; k; k = k->prev) {
        if (k->queued)
            continue;
        c->info.repeated += k->sent;
        channel_queue_first(c, k->out);
    }
}

static estab_dur retry_span(estab_channel *c)
{
    estab_dur span = c->conf.retry_min, off;
    uint64_t r;

    for (uint32_t i = 1; i < c->failures && span < c->conf.retry_max; i++)
        span = span > c->conf.retry_max / 2 ? c->conf.retry_max : span * 2;
    c->env.random(c->env.ctx, &r, sizeof r);
    off = span / 100 * c->conf.retry_jitter;
    return span - (off ? r % off : 0);
}

void channel_lose(estab_channel *c, int error, bool abort)
{
    bool again;

    if (c->state == ESTAB_CHANNEL_OVER)
        return;
    if (c->state != ESTAB_CHANNEL_WAITING)
        c->t.close(c->t.ctx, c->wire, abort);
    c->failures++;
    again = c->connector && c->conf.reconnect && !c->closing &&
            (!c->conf.attempts || c->failures < c->conf.attempts);
    c->state = again ? ESTAB_CHANNEL_WAITING : ESTAB_CHANNEL_OVER;
    c->retry_at = again ? channel_after(c->now, retry_span(c)) : ESTAB_NEVER;
    c->heartbeat_at = c->stall_at = c->connect_at = c->close_at = ESTAB_NEVER;
    c->blocked = c->paused = c->more = c->eof = c->peer_leaving = c->bye_queued = c->turn = false;
    decoder_fini(&c->in, &c->env);
    decoder_init(&c->in, &c->format);
    c->down_error = error;
    c->down_retry_at = c->retry_at;
    channel_happens(c, &c->down, ESTAB_CH_DOWN);
    channel_clear_queue(c, !again);
    forget_served(c);
    sort_calls(c, error ? error : ESTAB_E_CLOSED, again);
}

/* ---- leaving ---- */

void channel_hold_back(estab_channel *c)
{
    struct call *k;

    if (c->peer_leaving)
        return;
    c->peer_leaving = true;
    for (k = c->first_call; k; k = k->next)
        if (k->queued && k->out->at == 0)
            channel_unqueue(c, k);
}

/* A request is on the wire, or partly. */
static bool waits_for_reply(const estab_channel *c)
{
    const struct call *k;

    for (k = c->first_call; k; k = k->next)
        if (k->sent)
            return true;
    return false;
}

static bool is_quiet(const estab_channel *c)
{
    return !c->sendq && !c->ctl_len && !c->pong_owed && c->served.n == 0;
}

/* The peer's requests may still be under way to a side that accepted: it waits until it sees the
 * peer leave, too. */
static void finish_closing(estab_channel *c)
{
    if (!is_quiet(c) || c->first_call)
        return;
    if (c->connector || c->peer_leaving || c->conf.plain)
        channel_lose(c, 0, false);
}

void channel_finish(estab_channel *c)
{
    bool late = c->now >= c->close_at;

    if (c->closing && c->state == ESTAB_CHANNEL_WAITING)
        channel_lose(c, ESTAB_E_CANCELLED, true);
    else if (late && c->state != ESTAB_CHANNEL_OVER)
        channel_lose(c, c->closing ? ESTAB_E_CANCELLED : ESTAB_E_CLOSED, true);
    else if (c->state != ESTAB_CHANNEL_UP)
        return;
    else if (c->eof && is_quiet(c))
        channel_lose(c, c->closing ? 0 : ESTAB_E_CLOSED, false);
    else if (c->closing)
        finish_closing(c);
    else if (c->peer_leaving && c->connector && is_quiet(c) && !waits_for_reply(c))
        channel_lose(c, ESTAB_E_CLOSED, false);
}

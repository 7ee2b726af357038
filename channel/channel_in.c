/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_in.c - reading, and what each kind of message does. */
#include "machine.h"

/* What has not been drained, and what has not been replied to, is bounded: beyond it nothing is
 * read, the window closes, and the peer is told by its own transport.  A peer that has no more
 * requests under way than we allow ourselves never gets there, so that two sides which flood each
 * other with requests do not wait for each other. */
bool channel_may_read(const estab_channel *c)
{
    return !c->eof && c->inbox_messages < c->conf.inbox_messages &&
           c->inbox_octets < c->conf.inbox_octets && c->served.n + c->answers <= c->conf.in_flight;
}

/* ---- what may come now ---- */

static bool has_text(uint8_t type)
{
    return type == MSG_MESSAGE || type == MSG_REQUEST || type == MSG_REPLY;
}

/* The request that a reply belongs to, if it still waits. */
static struct call *call_of_reply(const estab_channel *c)
{
    struct call *k = c->conf.plain ? c->first_call : channel_find_call(c, c->in.number);

    if (!k || k->h.listed)
        return NULL;
    if (c->conf.plain)
        return k->sent && k->position == c->plain_got ? k : NULL;
    return k->sent || (k->queued && k->out->at > 0) ? k : NULL;
}

/* Plain messages say neither what they are nor to what they belong. */
static void name_plain(estab_channel *c)
{
    if (c->conf.duplex == ESTAB_SIMPLEX_IN)
        return;
    if (!c->connector) {
        c->in.type = MSG_REQUEST;
        c->in.number = c->served_next;
    } else if (c->plain_got < c->plain_sent) {
        c->in.type = MSG_REPLY;
    }
}

static int judge_head(estab_channel *c)
{
    struct decoder *d = &c->in;

    if (c->conf.plain)
        name_plain(c);
    if (d->pass && c->conf.duplex != ESTAB_DUPLEX_HALF)
        return ESTAB_E_PROTOCOL;
    if (d->type == MSG_TURN && (c->conf.duplex != ESTAB_DUPLEX_HALF || c->turn))
        return ESTAB_E_PROTOCOL;
    if (has_text(d->type) &&
        (c->conf.duplex == ESTAB_SIMPLEX_OUT || (c->conf.duplex == ESTAB_DUPLEX_HALF && c->turn)))
        return ESTAB_E_PROTOCOL;
    if (d->type == MSG_REQUEST && c->conf.duplex == ESTAB_SIMPLEX_IN)
        return ESTAB_E_PROTOCOL;
    if (!has_text(d->type) || (d->type == MSG_REQUEST && c->bye_queued) ||
        (d->type == MSG_REPLY && !call_of_reply(c)))
        decoder_skip(d);
    return 0;
}

/* ---- what it does ---- */

static void deliver(estab_channel *c, struct message *m, enum estab_channel_event_kind kind)
{
    c->inbox_messages++;
    c->inbox_octets += m->len;
    channel_happens(c, &m->h, kind);
}

static int take_request(estab_channel *c, struct message *m)
{
    struct out *refusal;
    int err;

    if (m) {
        m->e.number = c->in.number;
        err = table_add(&c->served, &c->env, c->conf.in_flight, &m->e);
        if (err) {
            message_free(&c->env, m);
            return err;
        }
        c->served_next += c->conf.plain;
        m->served = true;
        deliver(c, m, ESTAB_CH_REQUEST);
        return 0;
    }
    err = channel_new_out(c, &refusal, MSG_REFUSE, c->in.number, NULL, 0);
    if (!err)
        channel_queue(c, refusal);
    return err;
}

static void take_reply(estab_channel *c, struct message *m)
{
    struct call *k = call_of_reply(c);

    c->plain_got++;
    if (!k || !m) {
        c->info.late++;
        message_free(&c->env, m);
        return;
    }
    channel_unqueue(c, k);
    channel_free_out(c, k->out);
    k->out = NULL;
    k->reply = m;
    channel_unlink_call(c, k);
    c->inbox_octets += m->len;
    channel_happens(c, &k->h, ESTAB_CH_REPLY);
}

/* A peer that leaves has not carried it out: the next connection's will.  Otherwise its user
 * judges. */
static void take_refusal(estab_channel *c)
{
    struct call *k = call_of_reply(c);

    if (!k)
        return;
    if (c->peer_leaving && c->keep && k->out && k->sent) {
        k->sent = false;
        return;
    }
    k->sent = false;
    channel_fail(c, k, ESTAB_E_BUSY);
}

static void take_turn(estab_channel *c)
{
    c->turn = true;
    channel_happens(c, &c->turned, ESTAB_CH_TURN);
}

static int take_message(estab_channel *c)
{
    struct decoder *d = &c->in;
    bool pass = d->pass;
    struct message *m = decoder_take(d);
    int err = 0;

    c->info.messages_in++;
    switch ((enum message_type)d->type) {
    case MSG_MESSAGE:
        deliver(c, m, ESTAB_CH_MESSAGE);
        break;
    case MSG_REQUEST:
        err = take_request(c, m);
        break;
    case MSG_REPLY:
        take_reply(c, m);
        break;
    case MSG_REFUSE:
        take_refusal(c);
        break;
    case MSG_PING:
        c->pong_owed = true;
        c->pong_number = d->number;
        break;
    case MSG_TURN:
        take_turn(c);
        break;
    case MSG_BYE:
        channel_hold_back(c);
        break;
    case MSG_PONG:
    case MSG_TYPES:
        break;
    }
    if (pass)
        take_turn(c);
    return err;
}

/* ---- reading ---- */

static int digest(estab_channel *c, const uint8_t *p, size_t len)
{
    int what;

    while ((what = decoder_go(&c->in, &c->env, &p, &len)) != DECODED_ALL) {
        if (what == DECODED_HEAD)
            what = judge_head(c);
        else if (what == DECODED_MESSAGE)
            what = take_message(c);
        if (what < 0)
            return what;
    }
    return 0;
}

/* One read, as much of it as can be straight to its place; E_AGAIN: nothing there. */
static int read_once(estab_channel *c)
{
    uint8_t chunk[READ_CHUNK];
    struct estab_iov iov[2] = {decoder_room(&c->in), {chunk, sizeof chunk}};
    bool room = iov[0].len > 0;
    size_t straight;
    ptrdiff_t n = c->t.recv(c->t.ctx, c->wire, room ? iov : iov + 1, room ? 2 : 1);

    if (n < 0)
        return (int)n;
    if (n == 0) {
        c->eof = true;
        return decoder_amid(&c->in) ? ESTAB_E_RESET : 0;
    }
    channel_heard(c);
    c->info.octets_in += (size_t)n;
    straight = (size_t)n < iov[0].len ? (size_t)n : iov[0].len;
    if (straight)
        decoder_filled(&c->in, straight);
    return digest(c, chunk, (size_t)n - straight);
}

void channel_read(estab_channel *c)
{
    int err = 0;

    for (int i = 0; i < READS && !err && channel_may_read(c); i++)
        err = read_once(c);
    c->more = err == 0 && !c->eof;
    if (err && err != ESTAB_E_AGAIN) {
        channel_lose(c, err, true);
        return;
    }
    if (c->eof) {
        channel_hold_back(c);
        if (c->close_at == ESTAB_NEVER)
            c->close_at = channel_after(c->now, c->conf.close_timeout);
    } else if (c->paused && channel_may_read(c)) {
        channel_heard(c); /* nobody listened: silence begins now */
    }
    c->paused = !c->eof && !channel_may_read(c);
    c->stall_at = c->conf.stall && decoder_amid(&c->in) && !c->paused
                      ? channel_after(c->info.heard_at, c->conf.stall)
                      : ESTAB_NEVER;
}

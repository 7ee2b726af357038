/* SPDX-License-Identifier: BSD-2-Clause */
/* channel.c - a channel: settings, life, and the list of what has happened.
 *
 * A channel is run: channel_in.c reads and sorts what has come, channel_life.c keeps the
 * connection, channel_call.c the requests under way, channel_out.c writes.  What the user must know
 * is put on one list, in order, and drained by estab_channel_next().  An entry of the list is a
 * part of what it tells of (a message, a call, the channel itself), so that telling costs no memory
 * and cannot fail. */
#include "machine.h"

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

estab_time channel_after(estab_time at, estab_dur d)
{
    return d >= ESTAB_NEVER - at ? ESTAB_NEVER : at + d;
}

size_t channel_iov_len(const struct estab_iov *iov, size_t niov)
{
    size_t len = 0;

    for (size_t i = 0; i < niov; i++)
        len += iov[i].len;
    return len;
}

const char *estab_channel_strerror(int err)
{
    switch (err) {
    case ESTAB_E_TOOBIG:
        return "message too large";
    case ESTAB_E_PROTOCOL:
        return "not the channel's protocol";
    case ESTAB_E_BUSY:
        return "refused by the peer, not carried out";
    case ESTAB_E_CLOSED:
        return "closed by the peer";
    case ESTAB_E_CANCELLED:
        return "cancelled";
    default:
        return estab_strerror(err);
    }
}

/* ---- settings ---- */

void estab_channel_config_init_sized(struct estab_channel_config *c, size_t size)
{
    const struct estab_channel_config full = {
        .size = size,
        .in_flight = 256,
        .send_messages = 1024,
        .inbox_messages = 256,
        .max_message = 1 << 20,
        .send_octets = 4 << 20,
        .inbox_octets = 4 << 20,
        .heartbeat = ESTAB_S(15),
        .misses = 2,
        .retry_jitter = 50,
        .retry_min = ESTAB_MS(100),
        .retry_max = ESTAB_S(30),
        .connect_timeout = ESTAB_S(10),
        .stall = ESTAB_S(60),
        .close_timeout = ESTAB_S(5),
    };

    memcpy(c, &full, size < sizeof full ? size : sizeof full);
}

/* 0, or E_INVAL: what the settings say cannot be. */
static int check_config(const struct estab_channel_config *c)
{
    uint64_t prefix = c->plain ? 0 : MSG_PREFIX;

    if (c->length > ESTAB_LENGTH_LEB128 || c->duplex > ESTAB_SIMPLEX_IN)
        return ESTAB_E_INVAL;
    if (!c->in_flight || !c->send_messages || !c->inbox_messages || c->retry_jitter > 100)
        return ESTAB_E_INVAL;
    if (c->max_message > SIZE_MAX / 2 - MSG_HEAD_MAX ||
        c->max_message > estab_length_limit(c->length) - prefix)
        return ESTAB_E_INVAL;
    if (c->plain && c->duplex == ESTAB_DUPLEX_HALF)
        return ESTAB_E_INVAL;
    return c->retry_min > c->retry_max || (c->reconnect && !c->retry_min) ? ESTAB_E_INVAL : 0;
}

/* ---- life ---- */

/* Numbers begin anywhere: a reply that outlived its channel at the peer finds no request of the
 * next one. */
uint64_t channel_first_number(const struct estab_env *env)
{
    uint64_t n;

    env->random(env->ctx, &n, sizeof n);
    return n >> 1;
}

int channel_new(estab_channel **out, const struct estab_env *env,
                const struct estab_channel_config *conf, const struct estab_transport *t)
{
    struct estab_channel_config full;
    estab_channel *c;

    estab_channel_config_init(&full);
    if (conf)
        memcpy(&full, conf, conf->size < sizeof full ? conf->size : sizeof full);
    if (check_config(&full))
        return ESTAB_E_INVAL;
    c = env->alloc(env->ctx, sizeof *c, alignof(estab_channel));
    if (!c)
        return ESTAB_E_NOMEM;
    *c = (estab_channel){.env = *env, .conf = full, .t = *t};
    if (full.plain)
        c->conf.heartbeat = 0;
    c->format = (struct message_format){full.length, full.plain, full.max_message};
    decoder_init(&c->in, &c->format);
    c->sendq_tail = &c->sendq;
    c->next_number = channel_first_number(env);
    c->now = env->now(env->ctx);
    c->calls_due = c->heartbeat_at = c->stall_at = c->connect_at = ESTAB_NEVER;
    c->retry_at = c->close_at = ESTAB_NEVER;
    *out = c;
    return 0;
}

int estab_channel_connect(estab_channel **out, const struct estab_env *env,
                          const struct estab_channel_config *conf, const struct estab_transport *t,
                          const struct estab_addr *peer)
{
    estab_channel *c;
    int err = channel_new(&c, env, conf, t);

    if (err)
        return err;
    c->connector = true;
    c->keep = c->conf.reconnect;
    c->peer = *peer;
    c->retry_at = c->now;
    *out = c;
    return 0;
}

int estab_channel_accept(estab_channel **out, const struct estab_env *env,
                         const struct estab_channel_config *conf, const struct estab_transport *t,
                         estab_wire wire)
{
    estab_channel *c;
    int err = channel_new(&c, env, conf, t);

    if (err)
        return err;
    err = t->adopt ? t->adopt(t->ctx, wire, c->conf.user) : 0;
    if (err) {
        env->free(env->ctx, c, sizeof *c, alignof(estab_channel));
        return err;
    }
    c->wire = wire;
    c->state = ESTAB_CHANNEL_CONNECTING;
    c->conf.reconnect = false;
    c->connect_at = channel_after(c->now, c->conf.connect_timeout);
    *out = c;
    return 0;
}

static void release_lent(estab_channel *c)
{
    struct message *m = c->lent;

    c->lent = NULL;
    if (!m)
        return;
    m->lent = false;
    if (m->served)
        message_free_text(&c->env, m);
    else
        message_free(&c->env, m);
}

void estab_channel_free(estab_channel *c)
{
    struct estab_channel_event e;

    if (!c)
        return;
    c->closing = true;
    channel_lose(c, ESTAB_E_CANCELLED, true);
    while (estab_channel_next(c, &e))
        ;
    release_lent(c);
    table_fini(&c->calls, &c->env);
    table_fini(&c->served, &c->env);
    c->env.free(c->env.ctx, c, sizeof *c, alignof(estab_channel));
}

void estab_channel_close(estab_channel *c)
{
    if (c->closing || c->state == ESTAB_CHANNEL_OVER)
        return;
    c->closing = true;
    c->now = c->env.now(c->env.ctx);
    c->close_at = channel_after(c->now, c->conf.close_timeout);
}

/* ---- running ---- */

void estab_channel_run(estab_channel *c)
{
    c->now = c->env.now(c->env.ctx);
    channel_live(c);
    if (c->state == ESTAB_CHANNEL_UP)
        channel_read(c);
    if (c->state == ESTAB_CHANNEL_UP)
        channel_beat(c);
    channel_expire_calls(c);
    if (c->state == ESTAB_CHANNEL_UP)
        channel_flush(c);
    channel_finish(c);
    if (c->want_room && channel_has_room(c)) {
        c->want_room = false;
        channel_happens(c, &c->room, ESTAB_CH_ROOM);
    }
}

/* There is something that the transport would take, or something to be read that was left. */
static bool is_due(const estab_channel *c)
{
    if (c->state != ESTAB_CHANNEL_UP)
        return c->closing && c->state == ESTAB_CHANNEL_WAITING;
    if ((c->paused || c->more) && channel_may_read(c))
        return true;
    if (c->want_room && channel_has_room(c))
        return true;
    return !c->blocked &&
           (c->ctl_len || c->pong_owed || c->ping_owed ||
            (c->sendq && (c->conf.duplex != ESTAB_DUPLEX_HALF || c->turn)) || channel_owes_bye(c));
}

static estab_time earlier(estab_time a, estab_time b)
{
    return a < b ? a : b;
}

estab_time estab_channel_deadline(const estab_channel *c)
{
    estab_time at = earlier(c->calls_due, c->close_at);

    if (is_due(c))
        return 0;
    switch (c->state) {
    case ESTAB_CHANNEL_WAITING:
        return earlier(at, c->retry_at);
    case ESTAB_CHANNEL_CONNECTING:
        return earlier(at, c->connect_at);
    case ESTAB_CHANNEL_UP:
        return earlier(at, earlier(c->heartbeat_at, c->stall_at));
    case ESTAB_CHANNEL_OVER:
        break;
    }
    return ESTAB_NEVER;
}

bool estab_channel_wants(const estab_channel *c, struct estab_wire_wait *w)
{
    if (c->state == ESTAB_CHANNEL_CONNECTING)
        *w = (struct estab_wire_wait){c->wire, ESTAB_EV_OUT};
    else if (c->state == ESTAB_CHANNEL_UP)
        *w = (struct estab_wire_wait){
            c->wire, (c->eof || !channel_may_read(c) ? 0u : (uint32_t)ESTAB_EV_IN) |
                         (c->blocked ? (uint32_t)ESTAB_EV_OUT : 0u)};
    else
        return false;
    return true;
}

/* ---- what has happened ---- */

void channel_unlist(estab_channel *c, struct happening *h)
{
    if (!h->listed)
        return;
    *(h->prev ? &h->prev->next : &c->happened) = h->next;
    *(h->next ? &h->next->prev : &c->happened_last) = h->prev;
    h->prev = h->next = NULL;
    h->listed = false;
}

/* What has not been drained yet and happens again is told once, as of now. */
void channel_happens(estab_channel *c, struct happening *h, enum estab_channel_event_kind kind)
{
    channel_unlist(c, h);
    h->kind = (uint8_t)kind;
    h->listed = true;
    h->prev = c->happened_last;
    *(h->prev ? &h->prev->next : &c->happened) = h;
    c->happened_last = h;
}

static void tell_text(struct message *m, struct estab_channel_event *e)
{
    if (m && m->text) {
        e->text = m->text;
        e->len = m->len;
    }
}

static void tell_message(estab_channel *c, struct message *m, struct estab_channel_event *e)
{
    c->inbox_messages--;
    c->inbox_octets -= m->len;
    e->number = m->e.number;
    tell_text(m, e);
    m->lent = true;
    c->lent = m;
}

static void tell_call(estab_channel *c, struct call *k, struct estab_channel_event *e)
{
    e->number = k->e.number;
    e->error = k->error;
    e->sent = k->sent;
    if (k->reply) {
        c->inbox_octets -= k->reply->len;
        tell_text(k->reply, e);
        k->reply->lent = true;
        c->lent = k->reply;
        k->reply = NULL;
    }
    channel_free_call(c, k);
}

void channel_tell(estab_channel *c, struct happening *h, struct estab_channel_event *e)
{
    release_lent(c);
    channel_unlist(c, h);
    *e = (struct estab_channel_event){.kind = h->kind, .retry_at = ESTAB_NEVER};
    switch (e->kind) {
    case ESTAB_CH_DOWN:
        e->error = c->down_error;
        e->retry_at = c->down_retry_at;
        break;
    case ESTAB_CH_MESSAGE:
    case ESTAB_CH_REQUEST:
        tell_message(c, (struct message *)(void *)((char *)h - offsetof(struct message, h)), e);
        break;
    case ESTAB_CH_REPLY:
    case ESTAB_CH_FAILED:
        tell_call(c, (struct call *)(void *)((char *)h - offsetof(struct call, h)), e);
        break;
    case ESTAB_CH_UP:
    case ESTAB_CH_TURN:
    case ESTAB_CH_ROOM:
        break;
    }
}

bool estab_channel_next(estab_channel *c, struct estab_channel_event *e)
{
    if (!c->happened) {
        release_lent(c);
        return false;
    }
    channel_tell(c, c->happened, e);
    return true;
}

/* The peer waits for its reply no more. */
void channel_end_serving(estab_channel *c, struct message *m)
{
    table_del(&c->served, &m->e);
    m->served = false;
    if (!m->lent && !m->h.listed)
        message_free(&c->env, m);
}

void channel_free_call(estab_channel *c, struct call *k)
{
    channel_free_out(c, k->out);
    message_free(&c->env, k->reply);
    table_del(&c->calls, &k->e);
    c->env.free(c->env.ctx, k, sizeof *k, alignof(struct call));
}

void estab_channel_info(const estab_channel *c, struct estab_channel_info *i)
{
    struct estab_channel_info full = c->info;

    full.size = i->size;
    full.state = c->state;
    full.closing = c->closing;
    full.turn = c->turn;
    full.in_flight = c->calls.n;
    full.send_messages = c->send_messages;
    full.inbox_messages = c->inbox_messages;
    full.serving = c->served.n;
    full.send_octets = c->send_octets;
    full.inbox_octets = c->inbox_octets;
    memcpy(i, &full, i->size < sizeof full ? i->size : sizeof full);
}

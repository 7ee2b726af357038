/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_block.c - the calls that wait. */
#include "machine.h"

#include <string.h>

/* Until the channel has something to do, or `end`; 0, E_TIMEOUT, or what the transport says. */
static int wait_until(estab_channel *c, estab_time end)
{
    estab_time at = estab_channel_deadline(c), now = c->env.now(c->env.ctx);
    struct estab_wire_wait w;
    bool connected = estab_channel_wants(c, &w);

    if (!c->t.wait)
        return ESTAB_E_NOTSUP;
    if (now >= end)
        return ESTAB_E_TIMEOUT;
    if (at > end)
        at = end;
    if (at <= now)
        return 0;
    return c->t.wait(c->t.ctx, &w, connected, at == ESTAB_NEVER ? ESTAB_NEVER : at - now);
}

int estab_channel_wait(estab_channel *c, estab_dur within, struct estab_channel_event *e)
{
    estab_time end = channel_after(c->env.now(c->env.ctx), within);
    int err = 0;

    for (;;) {
        estab_channel_run(c);
        if (estab_channel_next(c, e))
            return 0;
        if (err)
            return err;
        if (c->state == ESTAB_CHANNEL_OVER)
            return ESTAB_E_PIPE;
        err = wait_until(c, end);
    }
}

/* Asks, as soon as there is room. */
static int ask(estab_channel *c, const struct estab_iov *iov, size_t niov, estab_time end,
               unsigned flags, uint64_t *number)
{
    estab_time now;
    int err, asked;

    for (;;) {
        estab_channel_run(c);
        now = c->env.now(c->env.ctx);
        asked = estab_channel_ask(c, iov, niov, end == ESTAB_NEVER ? ESTAB_NEVER : end - now, flags,
                                  number);
        if (asked == ESTAB_E_PIPE && c->state == ESTAB_CHANNEL_OVER && c->down_error)
            return c->down_error; /* why there is no connection says more */
        if (asked != ESTAB_E_AGAIN)
            return asked;
        if (c->calls.n >= c->conf.in_flight && !c->first_call)
            return ESTAB_E_AGAIN; /* all have ended, and only their user can take them */
        err = wait_until(c, end);
        if (err)
            return err;
    }
}

/* The text into the pieces, as far as they go. */
void channel_scatter(const struct estab_iov *iov, size_t niov, const uint8_t *text, size_t len)
{
    size_t n;

    for (size_t i = 0; i < niov && len > 0; i++, text += n, len -= n) {
        n = iov[i].len < len ? iov[i].len : len;
        if (n)
            memcpy(iov[i].base, text, n);
    }
}

static ptrdiff_t take_end(estab_channel *c, struct call *k, const struct estab_iov *rep,
                          size_t nrep)
{
    struct estab_channel_event e;

    channel_tell(c, &k->h, &e);
    if (e.kind == ESTAB_CH_FAILED)
        return e.error;
    channel_scatter(rep, nrep, e.text, e.len);
    return (ptrdiff_t)e.len;
}

static bool is_stuck(const estab_channel *c)
{
    return c->paused && !channel_may_read(c) && c->happened;
}

ptrdiff_t estab_channel_call(estab_channel *c, const struct estab_iov *req, size_t nreq,
                             const struct estab_iov *rep, size_t nrep, estab_dur within,
                             unsigned flags)
{
    estab_time end = channel_after(c->env.now(c->env.ctx), within);
    uint64_t number;
    struct call *k;
    int err;

    if (!c->t.wait)
        return ESTAB_E_NOTSUP;
    if (c->conf.duplex == ESTAB_DUPLEX_HALF)
        flags |= ESTAB_CH_PASS;
    err = ask(c, req, nreq, end, flags, &number);
    if (err)
        return err;
    for (;;) {
        estab_channel_run(c);
        k = channel_find_call(c, number);
        if (k->h.listed)
            return take_end(c, k, rep, nrep);
        err = is_stuck(c) ? ESTAB_E_AGAIN : wait_until(c, end);
        if (err && err != ESTAB_E_TIMEOUT) {
            channel_fail(c, k, err);
            return take_end(c, k, rep, nrep);
        }
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* end.c - an end of a connection follows its plan. */
#include "end.h"

void end_begin(struct end *e, const struct plan *plan, size_t i)
{
    *e = (struct end){.plan = *plan};
    if (plan->out)
        e->plan.out += i * plan->step;
    if (plan->in)
        e->plan.in += i * plan->step;
}

size_t end_sendable(const struct end *e)
{
    const struct plan *p = &e->plan;
    size_t may = p->out_len, turn;

    if (p->echo)
        return e->echo_len;
    if (p->turn_out) {
        may = (e->got / p->turn_in + p->first) * p->turn_out;
        may = may < p->out_len ? may : p->out_len;
        turn = e->sent / p->turn_out * p->turn_out;
        if (p->head && e->sent - turn < p->head && turn + p->head < may)
            may = turn + p->head;
    }
    return may - e->sent;
}

static ptrdiff_t send_some(struct end *e, const struct end_io *io, void *ctx)
{
    const uint8_t *from = e->plan.echo ? e->echo_buf + e->echo_from : e->plan.out + e->sent;
    size_t len = end_sendable(e);
    ptrdiff_t n = len ? io->send(ctx, from, len) : END_AGAIN;

    if (n <= 0)
        return n;
    e->sent += (size_t)n;
    if (e->plan.echo) {
        e->echo_from += (size_t)n;
        e->echo_len -= (size_t)n;
    }
    return n;
}

/* After all that is expected one octet more is asked for, so that a surplus is seen. */
static ptrdiff_t recv_some(struct end *e, const struct end_io *io, void *ctx)
{
    uint8_t surplus, *into = &surplus;
    size_t room = 1;
    ptrdiff_t n;

    if (e->eof)
        return END_AGAIN;
    if (e->plan.echo) {
        if (e->echo_len > 0)
            return END_AGAIN;
        e->echo_from = 0;
        into = e->echo_buf;
        room = sizeof e->echo_buf;
    } else if (e->got < e->plan.in_len) {
        into = e->plan.in + e->got;
        room = e->plan.in_len - e->got;
    }
    n = io->recv(ctx, into, room);
    if (n < 0)
        return n;
    e->eof = n == 0;
    e->got += (size_t)n;
    if (e->plan.echo)
        e->echo_len = (size_t)n;
    return into == &surplus && n > 0 ? END_FAILED : 1;
}

static bool fin_is_due(const struct end *e)
{
    if (e->fin_sent)
        return false;
    if (e->plan.echo)
        return e->eof && e->echo_len == 0;
    return e->sent == e->plan.out_len && (e->eof || !e->plan.last);
}

bool end_run(struct end *e, const struct end_io *io, void *ctx)
{
    ptrdiff_t sent, got;

    do {
        got = recv_some(e, io, ctx);
        sent = send_some(e, io, ctx);
    } while (got > 0 || sent > 0);
    if (got == END_FAILED || sent == END_FAILED)
        return false;
    if (fin_is_due(e)) {
        if (!io->fin(ctx))
            return false;
        e->fin_sent = true;
    }
    return true;
}

bool end_is_over(const struct end *e)
{
    return e->eof && e->fin_sent;
}

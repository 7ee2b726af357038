/* SPDX-License-Identifier: BSD-2-Clause */
/* pipe.h - a transport of octets in memory and in virtual time, for channels: each direction holds
 * so much and takes no more; it can be cut, so that nothing comes through and nobody is told.
 *
 * A pipe has two ends; wire 2n is the end that connected, 2n + 1 the one that is accepted. */
#ifndef TEST_LAB_PIPE_H
#define TEST_LAB_PIPE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <estab/channel.h>

enum { PIPES = 64, PIPE_ROOM = 65536 };

struct lane {
    uint8_t octets[PIPE_ROOM];
    size_t head, len;
    bool fin, rst;
};
struct pipe {
    struct lane lane[2]; /* lane[i] is what end i reads */
    bool open[2], accepted, answered;
};
struct pipes {
    struct estab_virtual v;
    struct estab_env env;
    struct pipe pipe[PIPES];
    int n;
    size_t room;      /* that each direction has */
    int refuse;       /* what the next attempts end in; 0: they are answered */
    bool unanswered;  /* SYNs are lost */
    bool cut;         /* what is sent is lost, on every pipe */
    size_t cut_after; /* so many octets more come through, then it is cut; 0: no such plan */
    size_t piece;     /* octets that one call takes or gives at most; 0: as much as there is */
    uint64_t sends;
    struct estab_transport t;
    void (*idle)(struct pipes *p); /* what the other side does while one waits */
    void *ctx;
};

static inline int pipe_open(void *ctx, const struct estab_addr *peer, void *user, estab_wire *out)
{
    struct pipes *p = ctx;

    (void)peer;
    (void)user;
    if (p->refuse)
        return p->refuse;
    assert_true(p->n < PIPES);
    memset(&p->pipe[p->n], 0, sizeof p->pipe[p->n]);
    p->pipe[p->n].open[0] = true;
    p->pipe[p->n].answered = !p->unanswered && !p->cut;
    *out = (estab_wire)(2 * p->n++);
    return 0;
}

static inline int pipe_opened(void *ctx, estab_wire w)
{
    return ((struct pipes *)ctx)->pipe[w / 2].answered ? 0 : ESTAB_E_INPROGRESS;
}

/* Octets that are cut off are taken like others: TCP keeps them and goes on trying. */
static inline void pipe_put(struct pipes *p, struct lane *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p->cut_after && --p->cut_after == 0) {
            p->cut = true;
            return;
        }
        to->octets[(to->head + to->len++) % PIPE_ROOM] = from[i];
    }
}

static inline ptrdiff_t pipe_send(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    struct pipes *p = ctx;
    struct pipe *q = &p->pipe[w / 2];
    struct lane *to = &q->lane[1 - w % 2];
    size_t taken = 0, n;

    assert_true(q->open[w % 2]);
    p->sends++;
    if (q->lane[w % 2].rst || to->rst)
        return ESTAB_E_RESET;
    for (size_t i = 0; i < niov; i++, taken += n) {
        n = p->room - to->len;
        n = n < iov[i].len ? n : iov[i].len;
        if (p->piece && taken + n > p->piece)
            n = p->piece - taken;
        if (!p->cut)
            pipe_put(p, to, iov[i].base, n);
        if (n < iov[i].len)
            return taken + n ? (ptrdiff_t)(taken + n) : ESTAB_E_AGAIN;
    }
    return (ptrdiff_t)taken;
}

static inline ptrdiff_t pipe_recv(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    struct pipes *p = ctx;
    struct lane *in = &p->pipe[w / 2].lane[w % 2];
    size_t got = 0;

    assert_true(p->pipe[w / 2].open[w % 2]);
    if (in->rst)
        return ESTAB_E_RESET;
    for (size_t i = 0; i < niov; i++)
        for (size_t at = 0; at < iov[i].len && in->len > 0 && (!p->piece || got < p->piece);
             at++, got++, in->len--) {
            ((uint8_t *)iov[i].base)[at] = in->octets[in->head];
            in->head = (in->head + 1) % PIPE_ROOM;
        }
    return got ? (ptrdiff_t)got : in->fin ? 0 : ESTAB_E_AGAIN;
}

static inline void pipe_close(void *ctx, estab_wire w, bool abort)
{
    struct pipes *p = ctx;
    struct pipe *q = &p->pipe[w / 2];

    assert_true(q->open[w % 2]);
    q->open[w % 2] = false;
    if (p->cut)
        return;
    if (abort)
        q->lane[1 - w % 2].rst = true;
    q->lane[1 - w % 2].fin = true;
}

/* Time passes: what else there is acts first. */
static inline int pipe_wait(void *ctx, const struct estab_wire_wait *w, size_t n, estab_dur within)
{
    struct pipes *p = ctx;
    estab_time end = within == ESTAB_NEVER ? ESTAB_NEVER : p->v.now + within;

    (void)w;
    (void)n;
    if (p->idle)
        p->idle(p);
    for (size_t i = 0; i < n; i++)
        if ((w[i].mask & ESTAB_EV_IN) && p->pipe[w[i].wire / 2].lane[w[i].wire % 2].len)
            return 0;
    assert_true(end != ESTAB_NEVER); /* it would be for ever */
    p->v.now = end;
    return 0;
}

static inline void pipes_init(struct pipes *p)
{
    memset(p, 0, offsetof(struct pipes, pipe));
    p->n = 0;
    p->room = PIPE_ROOM;
    p->refuse = 0;
    p->unanswered = p->cut = false;
    p->cut_after = p->piece = 0;
    p->sends = 0;
    p->idle = NULL;
    estab_virtual_env(&p->env, &p->v, 11);
    p->v.now = ESTAB_S(100);
    p->t = (struct estab_transport){.ctx = p,
                                    .open = pipe_open,
                                    .opened = pipe_opened,
                                    .send = pipe_send,
                                    .recv = pipe_recv,
                                    .close = pipe_close,
                                    .wait = pipe_wait};
}

/* The other end of the last connection, once. */
static inline bool pipe_accept(struct pipes *p, estab_wire *out)
{
    struct pipe *q = &p->pipe[p->n - 1];

    if (p->n == 0 || q->accepted || !q->answered)
        return false;
    q->accepted = q->open[1] = true;
    *out = (estab_wire)(2 * (p->n - 1) + 1);
    return true;
}

#endif

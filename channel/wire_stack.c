/* SPDX-License-Identifier: BSD-2-Clause */
/* wire_stack.c - a transport: the sockets of an estab stack. */
#include <estab/channel.h>

static estab_stack *stack_of(void *ctx)
{
    return ((struct estab_stack_wires *)ctx)->s;
}

/* Messages are gathered here: Nagle's algorithm has nothing to add but waiting. */
static int stack_adopt(void *ctx, estab_wire w, void *user)
{
    int err = estab_setopt(stack_of(ctx), w, ESTAB_O_NODELAY, 1);

    return err ? err
               : estab_watch(stack_of(ctx), w, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP, user);
}

static int stack_open(void *ctx, const struct estab_addr *peer, void *user, estab_wire *out)
{
    estab_stack *s = stack_of(ctx);
    estab_sock k;
    int err = estab_socket(s, ESTAB_TCP, &k);

    if (err)
        return err;
    err = stack_adopt(ctx, k, user);
    if (!err)
        err = estab_connect(s, k, peer);
    if (err && err != ESTAB_E_INPROGRESS) {
        (void)estab_abort(s, k);
        return err;
    }
    *out = k;
    return 0;
}

static int stack_opened(void *ctx, estab_wire w)
{
    uint32_t ready = estab_ready(stack_of(ctx), w);
    uint64_t error = 0;

    if (ready & ESTAB_EV_ERR) {
        (void)estab_getopt(stack_of(ctx), w, ESTAB_O_ERROR, &error);
        return error ? -(int)error : ESTAB_E_RESET;
    }
    return ready & ESTAB_EV_OUT ? 0 : ESTAB_E_INPROGRESS;
}

static ptrdiff_t stack_send(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    return estab_send(stack_of(ctx), w, iov, niov, 0);
}

static ptrdiff_t stack_recv(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    return estab_recv(stack_of(ctx), w, iov, niov, 0);
}

/* Without memory for a FIN there is still an RST. */
static void stack_close(void *ctx, estab_wire w, bool abort)
{
    if (abort || estab_close(stack_of(ctx), w) != 0)
        (void)estab_abort(stack_of(ctx), w);
}

/* The loop waits for frames: which socket they are for shows when the channel is run.  Something
 * else that the caller watches is ready: it would end every further wait at once. */
static int stack_wait(void *ctx, const struct estab_wire_wait *w, size_t n, estab_dur within)
{
    char err[ESTAB_ERRLEN];

    (void)w;
    (void)n;
    switch (estab_loop_turn(((struct estab_stack_wires *)ctx)->loop, within, err)) {
    case -1:
        return ESTAB_E_UNREACH;
    case 1:
        return ESTAB_E_CANCELLED;
    default:
        return 0;
    }
}

void estab_transport_stack(struct estab_transport *t, struct estab_stack_wires *w)
{
    *t = (struct estab_transport){
        .ctx = w,
        .open = stack_open,
        .adopt = stack_adopt,
        .opened = stack_opened,
        .send = stack_send,
        .recv = stack_recv,
        .close = stack_close,
        .wait = w->loop ? stack_wait : NULL,
    };
}

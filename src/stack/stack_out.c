/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_out.c - frames handed out: the internet layer's own first (they are few, and others wait
 * for them), then TCP's. */
#include "stack/stack.h"

int estab_output(estab_stack *s, int port, struct estab_frame *f, size_t n)
{
    struct tcp_frames out;
    size_t i = 0;

    if (port < 0 || (uint32_t)port >= s->ip.nports)
        return ESTAB_E_INVAL;
    if (n > STACK_BATCH)
        n = STACK_BATCH;
    stack_enter(s);
    while (i < n && ip_pull(&s->ip, (uint8_t)port, &f[i]))
        i++;
    out = (struct tcp_frames){.f = f, .hdrs = s->hdrs, .n = (uint32_t)i, .room = (uint32_t)n};
    tcp_pull(&s->tcp, (uint8_t)port, &out);
    i = out.n;
    /* What TCP asked of the internet layer meanwhile: a neighbour's address. */
    while (i < n && ip_pull(&s->ip, (uint8_t)port, &f[i]))
        i++;
    s->frames_out += i;
    s->inside = false; /* not stack_leave(): the dead may own octets that are lent */
    return (int)i;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_out.c - frames handed out: the internet layer's own first (they are few, and others wait
 * for them), then UDP's and TCP's.  Where both have something, each has half of the frames, and
 * they take turns in having the odd one. */
#include "stack/stack.h"

/* Fills out up to `until`. */
static void pull_udp(estab_stack *s, uint8_t port, struct tcp_frames *out, uint32_t until)
{
    out->n = udp_pull(&s->udp, port, out->f, out->hdrs, out->n, until);
}

static void pull_tcp(estab_stack *s, uint8_t port, struct tcp_frames *out, uint32_t until)
{
    uint32_t room = out->room;

    out->room = until;
    tcp_pull(&s->tcp, port, out);
    out->room = room;
}

static RARE void pull_both(estab_stack *s, uint8_t port, struct tcp_frames *out)
{
    uint32_t half = out->n + (out->room - out->n + 1) / 2;

    s->udp_turn = !s->udp_turn;
    if (s->udp_turn) {
        pull_udp(s, port, out, half);
        pull_tcp(s, port, out, out->room);
    } else {
        pull_tcp(s, port, out, half);
    }
    pull_udp(s, port, out, out->room);
    pull_tcp(s, port, out, out->room);
}

static RARE size_t pull_ip(estab_stack *s, uint8_t port, struct estab_frame *f, size_t i, size_t n)
{
    while (i < n && ip_pull(&s->ip, port, &f[i]))
        i++;
    return i;
}

/* Drivers ask until there is nothing, so every second answer is that. */
static bool has_output(const estab_stack *s, uint8_t port)
{
    return tcp_has_output(&s->tcp, port) || udp_has_output(&s->udp, port) ||
           ip_has_output(&s->ip, port);
}

static APART int output(estab_stack *s, uint8_t port, struct estab_frame *f, size_t n)
{
    struct tcp_frames out = {.f = f, .hdrs = s->hdrs};
    bool raised = s->env.raised; /* by the call before: its user has not been awake since */
    size_t i = 0;

    if (UNLIKELY(n > ESTAB_BATCH))
        n = ESTAB_BATCH;
    stack_enter(s);
    s->env.raised = raised;
    if (UNLIKELY(ip_has_output(&s->ip, port)))
        i = pull_ip(s, port, f, 0, n);
    out.n = (uint32_t)i;
    out.room = (uint32_t)n;
    if (UNLIKELY(udp_has_output(&s->udp, port)))
        pull_both(s, port, &out);
    else
        tcp_pull(&s->tcp, port, &out);
    i = out.n;
    /* What they asked of the internet layer meanwhile: a neighbour's address. */
    if (UNLIKELY(ip_has_output(&s->ip, port)))
        i = pull_ip(s, port, f, i, n);
    s->frames_out += i;
    s->inside = false; /* not stack_leave(): the dead may own octets that are lent */
    return (int)i;
}

int estab_output(estab_stack *s, int port, struct estab_frame *f, size_t n)
{
    if (port < 0 || (uint32_t)port >= s->ip.nports)
        return ESTAB_E_INVAL;
    if (has_output(s, (uint8_t)port) || s->env.held)
        return output(s, (uint8_t)port, f, n);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* stack.h - one shard: the layers by value, and what every public call begins and ends with. */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "ip/ip.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

#define STACK_BATCH 64 /* frames lent by one estab_output() */

struct estab_stack {
    struct env env;
    struct rule_book rules;
    struct ip_layer ip;
    struct udp_layer udp;
    struct tcp_layer tcp;
    uint64_t frames_in, frames_out;
    bool inside; /* a public call runs: none may begin (from a trace hook, say) */
    struct gso_hdr hdrs[STACK_BATCH]; /* headers of the frames lent */
};

/* Latches the clock; what was lent is no longer, so what died in estab_output() is freed. */
void stack_enter(estab_stack *s);
void stack_leave(estab_stack *s); /* frees the dead */
void stack_recv(estab_stack *s, uint8_t port, const struct estab_frame *f);

#endif

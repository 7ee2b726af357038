/* SPDX-License-Identifier: BSD-2-Clause */
/* ours.h - our side: a stack on a device of this namespace, ends that follow a plan, a recording,
 * and a watchdog.
 *
 * A scenario opens the side, turns it until what it waits for is so, and closes it.  Nothing is
 * asserted about time: who waits in vain is ended by the watchdog, which says for what and shows
 * every connection.  The recording goes when the scenario has passed. */
#ifndef INTEROP_KERNEL_OURS_H
#define INTEROP_KERNEL_OURS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "end.h"
#include "gate.h"

enum { OUR_ENDS = 200 };

struct place { /* where all this happens */
    const char *device;
    enum estab_medium medium;
    uint32_t mtu;
    const char *their_ip, *our_ip, *prefix; /* "24" */
    bool v6;
    const char *recordings; /* a folder */
};

struct our_side;
struct our_end {
    struct our_side *side;
    estab_sock sock; /* 0: free */
    bool opened;     /* established, or accepted */
    struct end end;
};
struct our_side {
    const struct place *at;
    const char *scenario, *waiting_for;
    char recording[256];
    bool passed;
    estab_stack *stack;
    estab_loop *loop;
    estab_pcap *pcap;
    struct gate *gate;
    size_t live; /* octets allocated */
    /* what its ends do, if it has any */
    bool has_ends;
    struct plan plan;
    bool opens;
    struct estab_addr to; /* opens: whom */
    uint32_t n, at_once, begun, over;
    struct estab_tcp_info info; /* of the end that was over last, before it was closed */
    int error;                  /* of the call that failed last */
    struct our_end ends[OUR_ENDS];
    estab_sock listener;
    /* what was seen */
    uint32_t edges[ESTAB_TCP_STATES][ESTAB_TCP_STATES];
    uint32_t timers[ESTAB_T_PACE + 1];
    uint64_t their_retrans, their_in_errs; /* before */
};

/* A stack that resends late, so that in a clean run nothing is sent again for want of processor
 * time, and one that resends and gives up soon. */
struct estab_config patient_config(void);
struct estab_config hasty_config(void);

/* The one side there is: the watchdog knows it. */
struct our_side *ours_open(const char *scenario, const struct place *at,
                           const struct estab_config *cfg);
bool ours_close(void); /* whether it has passed */
/* One turn of the loop and of every end that it concerns. */
void ours_turn(struct our_side *s, estab_dur max_wait);
#define UNTIL(s, what, condition)                                                                  \
    for ((s)->waiting_for = (what); !(condition);)                                                 \
    ours_turn((s), ESTAB_MS(2))
void ours_listen(struct our_side *s, uint16_t port);
struct estab_addr our_addr(const char *host, uint16_t port);
/* The kernel's way to us from now on: its type ("unicast", "blackhole"), and what belongs to it. */
void ours_route(const struct our_side *s, const char *type, const char *how);
__attribute__((format(printf, 1, 2))) void run(const char *fmt, ...);

/* Turns until neither side has a connection left, but for the kernel's TIME-WAITs, which last. */
void ours_settle(struct our_side *s);
uint32_t entered(const struct our_side *s, enum estab_tcp_state st);
uint64_t rule_seen(const struct our_side *s, const char *name);
/* Nothing was lost, so nothing may have been sent again, refused, or probed for, by either side. */
void assert_clean(const struct our_side *s);

#endif

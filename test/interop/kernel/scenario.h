/* SPDX-License-Identifier: BSD-2-Clause */
/* scenario.h - what the scenarios share. */
#ifndef INTEROP_KERNEL_SCENARIO_H
#define INTEROP_KERNEL_SCENARIO_H

#include "ours.h"
#include "theirs.h"

enum { BULK = 64 << 20 };

extern struct place place;
extern uint8_t payload[BULK], arrived[BULK];
extern char payload_digest[65];
extern struct their_side theirs;

void fill_payload(void);
uint16_t new_port(void); /* each scenario has its own: the kernel's TIME-WAITs last */

#define SCENARIO(f) cmocka_unit_test_teardown(f, end_scenario)
int end_scenario(void **state);

/* n connections in which both sides follow their plans; the seconds it took. */
double exchange(struct our_side *s, bool they_open, uint32_t n, uint32_t at_once);
/* The first len octets of `arrived` are the payload's. */
void assert_arrived(size_t len);
/* The n connections ended as they should: closed first by us, which costs us a TIME-WAIT each, or
 * by the kernel; nothing is left. */
void assert_closed(struct our_side *s, uint32_t n, bool by_us);

/* One connection, both ends of which are the scenario's. */
struct wire {
    int fd;
    estab_sock sock;
};
struct wire wire_open(struct our_side *s, bool they_open);
/* The same; the kernel keeps at most `rcvbuf` unread. */
struct wire wire_open_narrow(struct our_side *s, bool they_open, int rcvbuf);
/* Closes both ends, the kernel's with an RST if anything is left, and waits until all is gone. */
void wire_close(struct our_side *s, struct wire *w);
/* What estab_recv returns, once it is no longer ESTAB_E_AGAIN. */
ptrdiff_t our_next(struct our_side *s, const struct wire *w, void *into, size_t len);

int run_exchanges(void); /* each runs a group; how many failed */
int run_endings(void);
int run_losses(void);

#endif

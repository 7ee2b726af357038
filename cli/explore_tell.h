/* SPDX-License-Identifier: BSD-2-Clause */
/* explore_tell.h - a run of the explorer, told as a packet script (estab-script(1)) from end 0's
 * side.  Where world.log is NULL nothing is told. */
#ifndef CLI_EXPLORE_TELL_H
#define CLI_EXPLORE_TELL_H

#include "explore_world.h"

/* What the script is about, and the settings of the stack it runs against. */
void tell_begin(FILE *out, const struct explore_bounds *b, const char *about);
/* A line of end 0's calls; of the peer's only that it made one. */
void tell_call(struct world *w, unsigned end, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* estab_recv()'s result; b: the octets. */
void tell_read(struct world *w, unsigned end, ptrdiff_t n);
void tell_frame(struct world *w, unsigned from, const struct wire_frame *x);
void tell_edge(struct world *w, unsigned end, const struct estab_trace *t);
void tell_act(struct world *w, struct act a);

#endif

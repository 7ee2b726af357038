/* SPDX-License-Identifier: BSD-2-Clause */
/* ladder.h - trace records as ladders: one per connection, both ends as columns, time downwards. */
#ifndef CLI_LADDER_H
#define CLI_LADDER_H

#include <estab/estab.h>
#include <stdio.h>

struct ladder;
struct ladder_style {
    bool utf8, colour;
    unsigned head, tail; /* rows of a run of data that stay; between them it is one line */
};

/* Rows go to `out` as they come; what may still be folded is held back.  NULL: no memory. */
struct ladder *ladder_new(FILE *out, const struct ladder_style *style);
/* What stands over the columns of connections that begin from now on. */
void ladder_names(struct ladder *l, const char *local, const char *peer);
void ladder_add(struct ladder *l, const struct estab_trace *t);
/* Writes what is held back of every connection: at the end, or before something else is said. */
void ladder_flush(struct ladder *l);
void ladder_free(struct ladder *l); /* NULL is allowed */

struct ladder_count {
    uint64_t begun, closed; /* connections; closed: reached CLOSED */
    uint64_t again;         /* segments sent again */
    uint64_t dropped;       /* records of refused segments */
};
void ladder_counts(const struct ladder *l, struct ladder_count *c);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* explore.h - every behaviour of two stacks and a bad channel, up to a bound. */
#ifndef CLI_EXPLORE_H
#define CLI_EXPLORE_H

#include <estab/estab.h>
#include <stdio.h>

struct explore_bounds {
    unsigned loss, dup;   /* frames lost, and delivered twice, in a run */
    unsigned reorder;     /* how many frames of a direction are within reach: 1 is order */
    unsigned early;       /* timers that fire although a frame is under way */
    unsigned sends;       /* octets each end may send in a connection */
    unsigned connections; /* one after another, on the same addresses and ports */
    unsigned depth;       /* steps of a run */
    uint64_t states;      /* at most so many are kept */
    uint64_t run;         /* number of the state whose run is told though nothing fails; 0: none */
    bool simultaneous;    /* both ends open actively */
    bool aborts;          /* the application may abort, and close without reading */
    bool timestamps;
};
void explore_bounds_init(struct explore_bounds *b);

struct explore_result {
    uint64_t states, steps, finishes; /* finishes: runs to the end, one from each state */
    unsigned depth;                   /* of the deepest state */
    bool complete;                    /* neither depth nor states was the limit */
    uint64_t edges[ESTAB_TCP_STATES][ESTAB_TCP_STATES];
    char failure[256]; /* empty: every run kept every promise */
};
/* Breadth first, so that what fails is shortest.  progress (may be NULL) is called now and then;
 * false ends it.  On a failure the run is written to `script` as a packet script; if there is none,
 * that to state b->run, if there are so many, and to its end.  0; 1: a failure;
 * -1: no memory, or ended. */
int explore(const struct explore_bounds *b, struct explore_result *r, FILE *script,
            bool (*progress)(void *ctx, const struct explore_result *r), void *ctx);

#endif

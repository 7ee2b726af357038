/* SPDX-License-Identifier: BSD-2-Clause */
/* diagnose.h - what is wrong with a stack, from two looks at it. */
#ifndef CLI_DIAGNOSE_H
#define CLI_DIAGNOSE_H

#include <estab/estab.h>
#include <jansson.h>

struct snapshot {      /* what a stack said to `why`, `stack` and `forecast` */
    json_t *sockets;   /* array */
    json_t *rules;     /* by name */
    json_t *forecasts; /* by peer */
    json_t *counts;    /* of the stack; NULL: not said */
};
void snapshot_init(struct snapshot *s);
void snapshot_fini(struct snapshot *s);
/* A line of any of the answers; `asked` is the peer of a forecast, else NULL. */
void snapshot_add(struct snapshot *s, json_t *line, const char *asked);

/* Peers to which many connections have been opened: whose ports are worth a forecast. */
enum { BUSY_PEERS = 4, PEER_LEN = 64 };
size_t snapshot_busy_peers(const struct snapshot *s, char peers[BUSY_PEERS][PEER_LEN]);

struct finding {
    const char *kind; /* "close-wait" */
    const char *text; /* what is wrong, with whom, how badly */
    const char *todo; /* and what helps */
};
struct clinic {
    double seconds;       /* between the two looks */
    uint64_t patience_ms; /* what may take how long before it is an illness */
    void (*found)(void *ctx, const struct finding *f);
    void *ctx;
};
void diagnose(const struct clinic *c, const struct snapshot *before, const struct snapshot *after);

#endif

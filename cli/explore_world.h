/* SPDX-License-Identifier: BSD-2-Clause */
/* explore_world.h - two stacks, their applications and the channel, in one block of memory that can
 * be copied. */
#ifndef CLI_EXPLORE_WORLD_H
#define CLI_EXPLORE_WORLD_H

#include "explore.h"

enum { WIRE_LEN = 192, WIRES = 12, ARENA = 1 << 20 };
enum { WORLD_MTU = 576, WORLD_BUF = 2048, WORLD_RETRIES = 4 };

struct wire_frame {
    uint8_t len, incarnation;
    uint8_t flags;
    int32_t seq, ack; /* relative to the ISNs of its incarnation */
    uint8_t text;
    uint8_t b[WIRE_LEN];
};
struct direction {
    struct wire_frame f[WIRES];
    unsigned n;
};
struct app {
    estab_stack *s;
    int port;
    estab_sock listener, conn;
    bool active; /* opens connections */
    bool open, shut, eof,
        done;            /* of the connection: made, FIN asked for, FIN seen, handle given back */
    uint8_t incarnation; /* of the connection: the active end's count */
    uint8_t sent, got;   /* octets in it */
    uint8_t from;        /* incarnation of the octets that arrive; 0: none yet */
    uint32_t iss;        /* of the latest SYN */
    unsigned opened;     /* connections so far */
};
struct free_block {
    struct free_block *next;
    size_t size;
};
struct world {
    const struct explore_bounds *bounds;
    estab_time now;
    unsigned lost, doubled, early; /* used up of the bounds */
    bool aborted;
    uint32_t delivered[2]; /* a bit for each incarnation whose octets an end has had */
    struct app app[2];
    struct direction way[2];             /* from end i */
    uint64_t (*edges)[ESTAB_TCP_STATES]; /* outside: they are counted over all runs */
    FILE *log;                           /* the script that is being told, or NULL */
    estab_time told_at;
    uint32_t first_iss[2];
    bool has_iss[2];
    char failure[256];
    struct free_block *free;
    size_t used; /* octets of the arena */
    _Alignas(64) uint8_t arena[ARENA];
};

enum act_kind {
    ACT_DELIVER,
    ACT_LOSE,
    ACT_DOUBLE,
    ACT_SEND,
    ACT_SHUT,
    ACT_ABORT,
    ACT_TIME,
    ACT_OPEN
};
struct act {
    uint8_t kind, end, index;
};
#define ACTS_MAX 64

/* 0 or -1; edges counts what is taken; log (may be NULL) is told the run as a script. */
int world_init(struct world *w, const struct explore_bounds *b, uint64_t (*edges)[ESTAB_TCP_STATES],
               FILE *log);
size_t world_size(const struct world *w);                             /* octets that a copy needs */
unsigned world_acts(const struct world *w, struct act out[ACTS_MAX]); /* what can happen next */
void world_do(struct world *w, struct act a);
uint64_t world_hash(const struct world *w); /* of what the future depends on */
/* From here on nothing more is lost and both ends close: they must get there.  Sets w->failure if
 * not. */
void world_finish(struct world *w);

#endif

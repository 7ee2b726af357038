/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_world.h - two stacks and a link between them in virtual time, and what it all took. */
#ifndef CLI_CHANNEL_WORLD_H
#define CLI_CHANNEL_WORLD_H

#include <estab/channel.h>

struct channel_side {
    struct estab_virtual v, app; /* the stack's time and memory, the channels' */
    struct estab_env env, app_env;
    estab_stack *s;
    estab_link *link;
    struct estab_stack_wires wires;
    struct estab_transport t;
    struct estab_addr addr;
    uint64_t segments;
    uint32_t timewait_most;
    size_t app_before;
};
struct channel_world {
    estab_time now;
    struct channel_side side[2];
    estab_sock listener; /* at side 1, port 7 */
    /* What the programs on both sides do: side 0 asks, side 1 serves. */
    void (*act)(struct channel_world *w);
    estab_time (*wake)(struct channel_world *w);
    bool (*done)(struct channel_world *w);
    void *ctx;
    size_t memory_most; /* octets of both sides, stacks and channels, above those of two idle stacks
                         */
    size_t memory_idle;
};

/* fault: of both directions; its now and ctx are filled in.  0, or -1 and err. */
int channel_world_open(struct channel_world *w, const struct estab_fault *fault, uint64_t seed,
                       char *err);
/* Until done(), or nothing can happen any more: -1. */
int channel_world_run(struct channel_world *w);
void channel_world_close(struct channel_world *w);
/* Octets that the links have carried. */
uint64_t channel_world_octets(const struct channel_world *w);

#endif

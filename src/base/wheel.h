/* SPDX-License-Identifier: BSD-2-Clause */
/* wheel.h - a hierarchical timing wheel: add, cancel and expire in O(1).
 *
 * Tick 2^17 ns (131 us), four levels of 256 slots; what lies further off waits in the last level
 * and is placed again.  Nodes are intrusive and known by their 32-bit slab slot.  A node fires at
 * the first tick at or after its due time, never early; nodes due in one tick fire in the order in
 * which they were added.  Bitmaps per level make the next due tick a few instructions, so an idle
 * wheel costs nothing. */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base/slab.h"

#define WHEEL_TICK_SHIFT 17
#define WHEEL_LEVELS     4
#define WHEEL_SLOTS      256

struct wheel_node {       /* in the object, at wheel.node_off */
    uint32_t next, prev;  /* slots; SLAB_NONE at the ends */
    uint64_t due_at : 62; /* ns >> 2: kept exactly enough to fire never early */
    uint64_t armed : 1;
    uint64_t firing : 1;
};
struct wheel {
    const struct slab *slab;
    uint32_t node_off;
    uint32_t count;
    uint64_t tick;  /* everything due up to this tick has fired */
    estab_time now; /* the latest that wheel_pop() was told */
    uint32_t head[WHEEL_LEVELS][WHEEL_SLOTS], tail[WHEEL_LEVELS][WHEEL_SLOTS];
    uint64_t map[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* which slots hold nodes */
    uint32_t due_head, due_tail;                  /* expired, not yet popped */
};
void wheel_init(struct wheel *w, const struct slab *slab, uint32_t node_off, estab_time now);
void wheel_node_init(struct wheel_node *n);
/* Due time of an armed node, rounded down to 4 ns. */
static inline estab_time wheel_due(const struct wheel_node *n)
{
    return (estab_time)n->due_at << 2;
}
/* Arms, or moves, to fire at `at` (ESTAB_NEVER: cancel). */
void wheel_add(struct wheel *w, uint32_t slot, estab_time at);
void wheel_cancel(struct wheel *w, uint32_t slot); /* not armed: nothing happens */
/* When wheel_pop() will next have something, at the latest exactly then and never after it: the
 * start of the tick that fires, or of the one that must redistribute a higher level; ESTAB_NEVER:
 * empty. */
estab_time wheel_next(const struct wheel *w);
/* Takes one node that is due at `now` off the wheel; SLAB_NONE: none left.  Nodes armed while
 * popping for a time not after `now` fire in this run too. */
uint32_t wheel_pop(struct wheel *w, estab_time now);

#endif

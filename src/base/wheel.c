/* SPDX-License-Identifier: BSD-2-Clause */
/* wheel.c - a hierarchical timing wheel.
 *
 * A node due at tick T waits at the level of the highest octet in which T differs from the wheel's
 * tick, in the slot which that octet of T names; where T differs above the fourth octet, in slot 0
 * of the last level.  When the wheel's tick reaches the first tick of a slot, the slot's nodes are
 * placed again, and those due at that very tick fire.  From this follows
 *
 * - a slot is always ahead of the wheel's octet of its level, so no slot but the last level's slot
 *   0 is used across a wrap, and the lowest level that holds anything holds what comes next;
 * - moving the tick over empty slots changes no node's place, so time may jump, and a node's place
 *   can be computed anew for cancelling;
 * - nodes of one tick are always in one slot, in the order in which they were added. */
#include "base/wheel.h"
#include "base/bytes.h"

#include <assert.h>
#include <string.h>

#define SLOT_BITS 8
_Static_assert(WHEEL_SLOTS == 1 << SLOT_BITS && WHEEL_SLOTS / 64 == 4, "four words of a map");
#define DUE_MAX     (UINT64_MAX >> 2)      /* what fits wheel_node.due_at */
#define TICK_IN_DUE (WHEEL_TICK_SHIFT - 2) /* wheel_node.due_at counts 4 ns */

struct place {
    uint32_t level, slot;
};

static inline struct wheel_node *node_at(const struct wheel *w, uint32_t slot)
{
    return (struct wheel_node *)(void *)((uint8_t *)slab_at(w->slab, slot) + w->node_off);
}

static inline uint64_t tick_of(const struct wheel_node *n)
{
    uint64_t part = (1u << TICK_IN_DUE) - 1;

    return (n->due_at >> TICK_IN_DUE) + ((n->due_at & part) != 0);
}

/* Of the octets of v, which is not 0, the highest that is not. */
static inline uint32_t highest_octet(uint64_t v)
{
#ifdef __GNUC__
    return (63u - (uint32_t)__builtin_clzll(v)) / 8;
#else
    uint32_t n = 0;

    while (v >>= 8)
        n++;
    return n;
#endif
}

static inline struct place place_of(const struct wheel *w, uint64_t tick)
{
    uint32_t level = highest_octet(tick ^ w->tick);

    if (UNLIKELY(level >= WHEEL_LEVELS))
        return (struct place){WHEEL_LEVELS - 1, 0};
    return (struct place){level, (tick >> SLOT_BITS * level) & (WHEEL_SLOTS - 1)};
}

/* Most slots hold one node at most: what another is told is not in the way. */
static APART void tell_next(const struct wheel *w, uint32_t slot, uint32_t next)
{
    node_at(w, slot)->next = next;
}

static APART void tell_prev(const struct wheel *w, uint32_t slot, uint32_t prev)
{
    node_at(w, slot)->prev = prev;
}

static inline void list_append(const struct wheel *w, uint32_t *head, uint32_t *tail, uint32_t slot,
                               struct wheel_node *n)
{
    uint32_t last = *tail;

    n->next = SLAB_NONE;
    n->prev = last;
    *tail = slot;
    if (LIKELY(last == SLAB_NONE))
        *head = slot;
    else
        tell_next(w, last, slot);
}

static inline void list_remove(const struct wheel *w, uint32_t *head, uint32_t *tail,
                               const struct wheel_node *n)
{
    if (LIKELY(n->prev == SLAB_NONE))
        *head = n->next;
    else
        tell_next(w, n->prev, n->next);
    if (LIKELY(n->next == SLAB_NONE))
        *tail = n->prev;
    else
        tell_prev(w, n->next, n->prev);
}

static inline void wheel_place(struct wheel *w, uint32_t slot, struct wheel_node *n)
{
    uint64_t tick = tick_of(n);
    struct place at;

    if (UNLIKELY(tick <= w->tick)) {
        n->firing = 1;
        list_append(w, &w->due_head, &w->due_tail, slot, n);
        return;
    }
    at = place_of(w, tick);
    w->map[at.level][at.slot / 64] |= UINT64_C(1) << at.slot % 64;
    list_append(w, &w->head[at.level][at.slot], &w->tail[at.level][at.slot], slot, n);
}

void wheel_init(struct wheel *w, const struct slab *slab, uint32_t node_off, estab_time now)
{
    memset(w, 0, sizeof(*w));
    memset(w->head, 0xff, sizeof(w->head)); /* SLAB_NONE is all ones */
    memset(w->tail, 0xff, sizeof(w->tail));
    w->slab = slab;
    w->node_off = node_off;
    w->now = now;
    w->tick = now >> WHEEL_TICK_SHIFT;
    w->due_head = w->due_tail = SLAB_NONE;
}

void wheel_node_init(struct wheel_node *n)
{
    *n = (struct wheel_node){.next = SLAB_NONE, .prev = SLAB_NONE};
}

static inline void wheel_arm(struct wheel *w, uint32_t slot, struct wheel_node *n, estab_time at)
{
    uint64_t due;

    if (UNLIKELY(at == ESTAB_NEVER))
        return;
    /* What is due already belongs to the present tick, not to the one that begins next. */
    if (UNLIKELY(at <= w->now))
        at = time_min(at, w->now >> WHEEL_TICK_SHIFT << WHEEL_TICK_SHIFT);
    due = (at >> 2) + ((at & 3) != 0);
    *n = (struct wheel_node){.due_at = (due < DUE_MAX ? due : DUE_MAX) & DUE_MAX, .armed = 1};
    w->count++;
    wheel_place(w, slot, n);
}

static RARE void wheel_move(struct wheel *w, uint32_t slot, struct wheel_node *n, estab_time at)
{
    wheel_cancel(w, slot);
    wheel_arm(w, slot, n, at);
}

void wheel_add(struct wheel *w, uint32_t slot, estab_time at)
{
    struct wheel_node *n = node_at(w, slot);

    if (n->armed)
        wheel_move(w, slot, n, at);
    else
        wheel_arm(w, slot, n, at);
}

void wheel_cancel(struct wheel *w, uint32_t slot)
{
    struct wheel_node *n = node_at(w, slot);
    struct place at;

    if (!n->armed)
        return;
    if (UNLIKELY(n->firing)) {
        list_remove(w, &w->due_head, &w->due_tail, n);
    } else {
        at = place_of(w, tick_of(n));
        list_remove(w, &w->head[at.level][at.slot], &w->tail[at.level][at.slot], n);
        if (w->head[at.level][at.slot] == SLAB_NONE)
            w->map[at.level][at.slot / 64] &= ~(UINT64_C(1) << at.slot % 64);
    }
    n->armed = n->firing = 0;
    w->count--;
}

/* The first occupied slot of a level above `slot`, or WHEEL_SLOTS. */
static uint32_t occupied_after(const uint64_t *map, uint32_t slot)
{
    uint32_t word = slot / 64;
    uint64_t bits = map[word] & ~UINT64_C(1) << slot % 64;

    while (!bits && ++word < WHEEL_SLOTS / 64)
        bits = map[word];
    return bits ? word * 64 + lowest_bit(bits) : WHEEL_SLOTS;
}

/* The first tick of the next occupied slot; UINT64_MAX: there is none. */
static uint64_t next_slot_tick(const struct wheel *w)
{
    uint32_t level, shift, slot;

    for (level = 0; level < WHEEL_LEVELS; level++) {
        const uint64_t *map = w->map[level];

        if ((map[0] | map[1] | map[2] | map[3]) == 0) /* as most of them are */
            continue;
        shift = SLOT_BITS * level;
        slot = occupied_after(map, (w->tick >> shift) & (WHEEL_SLOTS - 1));
        if (slot < WHEEL_SLOTS)
            return (w->tick >> shift >> SLOT_BITS << SLOT_BITS | slot) << shift;
    }
    if (w->map[WHEEL_LEVELS - 1][0] & 1)
        return ((w->tick >> SLOT_BITS * WHEEL_LEVELS) + 1) << SLOT_BITS * WHEEL_LEVELS;
    return UINT64_MAX;
}

estab_time wheel_next(const struct wheel *w)
{
    uint64_t tick;

    if (w->count == 0)
        return ESTAB_NEVER;
    tick = w->due_head != SLAB_NONE ? w->tick : next_slot_tick(w);
    /* no clock reaches a tick that does not fit */
    return tick > ESTAB_NEVER >> WHEEL_TICK_SHIFT ? ESTAB_NEVER : tick << WHEEL_TICK_SHIFT;
}

/* Places the nodes of the slots that begin at the wheel's tick. */
static void redistribute(struct wheel *w)
{
    uint32_t level, slot, next, node;

    for (level = WHEEL_LEVELS; level-- > 0;) {
        if (w->tick & ((UINT64_C(1) << SLOT_BITS * level) - 1))
            continue;
        slot = (w->tick >> SLOT_BITS * level) & (WHEEL_SLOTS - 1);
        node = w->head[level][slot];
        w->head[level][slot] = w->tail[level][slot] = SLAB_NONE;
        w->map[level][slot / 64] &= ~(UINT64_C(1) << slot % 64);
        for (; node != SLAB_NONE; node = next) {
            struct wheel_node *n = node_at(w, node);

            next = n->next;
            wheel_place(w, node, n);
        }
    }
}

uint32_t wheel_pop(struct wheel *w, estab_time now)
{
    uint64_t target = now >> WHEEL_TICK_SHIFT, tick;
    struct wheel_node *n;
    uint32_t slot;

    if (now > w->now)
        w->now = now;
    while (w->due_head == SLAB_NONE) {
        tick = next_slot_tick(w);
        if (tick > target) {
            if (target > w->tick)
                w->tick = target;
            return SLAB_NONE;
        }
        w->tick = tick;
        redistribute(w);
    }
    slot = w->due_head;
    n = node_at(w, slot);
    list_remove(w, &w->due_head, &w->due_tail, n);
    n->armed = n->firing = 0;
    w->count--;
    return slot;
}

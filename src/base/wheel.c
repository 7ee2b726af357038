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

static inline struct place place_of(const struct wheel *w, uint64_t tick)
{
    uint64_t differ = tick ^ w->tick;
    uint32_t level;

    if (differ >> (SLOT_BITS * WHEEL_LEVELS))
        return (struct place){WHEEL_LEVELS - 1, 0};
    level = (uint32_t)(differ >= 1u << SLOT_BITS) + (differ >= 1u << 2 * SLOT_BITS) +
            (differ >= 1u << 3 * SLOT_BITS);
    return (struct place){level, (tick >> SLOT_BITS * level) & (WHEEL_SLOTS - 1)};
}

static void list_append(const struct wheel *w, uint32_t *head, uint32_t *tail, uint32_t slot,
                        struct wheel_node *n)
{
    n->next = SLAB_NONE;
    n->prev = *tail;
    if (*tail == SLAB_NONE)
        *head = slot;
    else
        node_at(w, *tail)->next = slot;
    *tail = slot;
}

static void list_remove(const struct wheel *w, uint32_t *head, uint32_t *tail,
                        const struct wheel_node *n)
{
    if (n->prev == SLAB_NONE)
        *head = n->next;
    else
        node_at(w, n->prev)->next = n->next;
    if (n->next == SLAB_NONE)
        *tail = n->prev;
    else
        node_at(w, n->next)->prev = n->prev;
}

static void wheel_place(struct wheel *w, uint32_t slot, struct wheel_node *n)
{
    uint64_t tick = tick_of(n);
    struct place at;

    if (tick <= w->tick) {
        n->firing = 1;
        list_append(w, &w->due_head, &w->due_tail, slot, n);
        return;
    }
    at = place_of(w, tick);
    list_append(w, &w->head[at.level][at.slot], &w->tail[at.level][at.slot], slot, n);
    w->map[at.level][at.slot / 64] |= UINT64_C(1) << at.slot % 64;
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

void wheel_add(struct wheel *w, uint32_t slot, estab_time at)
{
    struct wheel_node *n = node_at(w, slot);
    uint64_t due;

    if (n->armed)
        wheel_cancel(w, slot);
    if (at == ESTAB_NEVER)
        return;
    /* What is due already belongs to the present tick, not to the one that begins next. */
    if (at <= w->now && at > w->now >> WHEEL_TICK_SHIFT << WHEEL_TICK_SHIFT)
        at = w->now >> WHEEL_TICK_SHIFT << WHEEL_TICK_SHIFT;
    due = (at >> 2) + ((at & 3) != 0);
    n->due_at = (due < DUE_MAX ? due : DUE_MAX) & DUE_MAX;
    n->armed = 1;
    w->count++;
    wheel_place(w, slot, n);
}

void wheel_cancel(struct wheel *w, uint32_t slot)
{
    struct wheel_node *n = node_at(w, slot);
    struct place at;

    if (!n->armed)
        return;
    if (n->firing) {
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

static inline uint32_t lowest_bit(uint64_t v)
{
#ifdef __GNUC__
    return (uint32_t)__builtin_ctzll(v);
#else
    uint32_t n = 0;

    for (v &= ~v + 1; v >> 8; v >>= 8)
        n += 8;
    return n + (v > 15 ? 4 : 0) + ((v & 0xcc) ? 2 : 0) + ((v & 0xaa) ? 1 : 0);
#endif
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* slots.h - doubly linked lists of the slots of a slab: first in, first out, and out of the middle.
 *
 * An object has a struct link for each list that it can be on at a time; link_off says where. */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include "base/slab.h"

struct link { /* a place in a list */
    uint32_t next, prev;
};
struct slot_list {
    uint32_t head, tail, n;
};
void slot_list_init(struct slot_list *q);
/* A list that is empty becomes k, in that slot, alone; one that is k alone becomes empty.  Where
 * nobody else waits, which is mostly, there is no slot to be found. */
static inline bool slot_push_alone(struct slot_list *q, uint32_t slot, struct link *k)
{
    if (q->n > 0)
        return false;
    *k = (struct link){SLAB_NONE, SLAB_NONE};
    *q = (struct slot_list){slot, slot, 1};
    return true;
}
static inline bool slot_del_alone(struct slot_list *q)
{
    if (q->n > 1)
        return false;
    *q = (struct slot_list){SLAB_NONE, SLAB_NONE, 0};
    return true;
}
static inline struct link *slot_link(const struct slab *s, uint32_t slot, size_t off)
{
    return (struct link *)(void *)((uint8_t *)slab_at(s, slot) + off);
}
APART void slot_append(const struct slab *s, struct slot_list *q, struct link *k, uint32_t slot,
                       size_t link_off); /* to one that is not empty */
APART void slot_unlink(const struct slab *s, struct slot_list *q, uint32_t slot, size_t link_off);
static inline void slot_push(const struct slab *s, struct slot_list *q, uint32_t slot,
                             size_t link_off)
{
    struct link *k = slot_link(s, slot, link_off);

    if (!slot_push_alone(q, slot, k))
        slot_append(s, q, k, slot, link_off);
}
static inline void slot_del(const struct slab *s, struct slot_list *q, uint32_t slot,
                            size_t link_off)
{
    if (!slot_del_alone(q))
        slot_unlink(s, q, slot, link_off);
}
/* Appends all of `from` to q; from is empty afterwards. */
void slot_splice(const struct slab *s, struct slot_list *q, struct slot_list *from,
                 size_t link_off);

#endif

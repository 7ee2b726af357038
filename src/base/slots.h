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
void slot_push(const struct slab *s, struct slot_list *q, uint32_t slot, size_t link_off);
void slot_del(const struct slab *s, struct slot_list *q, uint32_t slot, size_t link_off);
/* Appends all of `from` to q; from is empty afterwards. */
void slot_splice(const struct slab *s, struct slot_list *q, struct slot_list *from,
                 size_t link_off);

#endif

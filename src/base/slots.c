/* SPDX-License-Identifier: BSD-2-Clause */
/* slots.c - doubly linked lists of the slots of a slab. */
#include "base/slots.h"

void slot_list_init(struct slot_list *q)
{
    *q = (struct slot_list){SLAB_NONE, SLAB_NONE, 0};
}

void slot_append(const struct slab *s, struct slot_list *q, struct link *k, uint32_t slot,
                 size_t off)
{
    *k = (struct link){SLAB_NONE, q->tail};
    slot_link(s, q->tail, off)->next = slot;
    q->tail = slot;
    q->n++;
}

void slot_unlink(const struct slab *s, struct slot_list *q, uint32_t slot, size_t off)
{
    struct link *k = slot_link(s, slot, off);

    if (k->prev != SLAB_NONE)
        slot_link(s, k->prev, off)->next = k->next;
    else
        q->head = k->next;
    if (k->next != SLAB_NONE)
        slot_link(s, k->next, off)->prev = k->prev;
    else
        q->tail = k->prev;
    q->n--;
}

void slot_splice(const struct slab *s, struct slot_list *q, struct slot_list *from, size_t off)
{
    if (from->head == SLAB_NONE)
        return;
    slot_link(s, from->head, off)->prev = q->tail;
    if (q->tail != SLAB_NONE)
        slot_link(s, q->tail, off)->next = from->head;
    else
        q->head = from->head;
    q->tail = from->tail;
    q->n += from->n;
    slot_list_init(from);
}

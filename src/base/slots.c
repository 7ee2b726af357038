/* SPDX-License-Identifier: BSD-2-Clause */
/* slots.c - doubly linked lists of the slots of a slab. */
#include "base/slots.h"

void slot_list_init(struct slot_list *q)
{
    *q = (struct slot_list){SLAB_NONE, SLAB_NONE, 0};
}

static struct link *link_at(const struct slab *s, uint32_t slot, size_t off)
{
    return (struct link *)(void *)((uint8_t *)slab_at(s, slot) + off);
}

void slot_push(const struct slab *s, struct slot_list *q, uint32_t slot, size_t off)
{
    *link_at(s, slot, off) = (struct link){SLAB_NONE, q->tail};
    if (q->tail != SLAB_NONE)
        link_at(s, q->tail, off)->next = slot;
    else
        q->head = slot;
    q->tail = slot;
    q->n++;
}

void slot_del(const struct slab *s, struct slot_list *q, uint32_t slot, size_t off)
{
    struct link *k = link_at(s, slot, off);

    if (k->prev != SLAB_NONE)
        link_at(s, k->prev, off)->next = k->next;
    else
        q->head = k->next;
    if (k->next != SLAB_NONE)
        link_at(s, k->next, off)->prev = k->prev;
    else
        q->tail = k->prev;
    q->n--;
}

void slot_splice(const struct slab *s, struct slot_list *q, struct slot_list *from, size_t off)
{
    if (from->head == SLAB_NONE)
        return;
    link_at(s, from->head, off)->prev = q->tail;
    if (q->tail != SLAB_NONE)
        link_at(s, q->tail, off)->next = from->head;
    else
        q->head = from->head;
    q->tail = from->tail;
    q->n += from->n;
    slot_list_init(from);
}

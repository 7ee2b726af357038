/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_extra.c - what few users set, beside the control block: one bit there says that there is an
 * entry here, found by the control block's slot. */
#include "tcp/tcp.h"

static uint32_t extra_tag(uint32_t slot)
{
    return slot * 2654435761u; /* odd: neighbours are spread, none collide */
}

static uint32_t extra_slot(const struct tcb *t)
{
    const struct tcp_layer *l = t->layer;
    struct hash_probe p = hash_probe(&l->extra_of, extra_tag(t->slot));
    uint32_t ref;

    while ((ref = hash_next(&p)) != HASH_NONE)
        if (((const struct tcp_extra *)slab_at(&l->extras, ref))->owner == t->slot)
            return ref;
    return HASH_NONE;
}

const struct tcp_extra tcp_no_extra;

struct tcp_extra *tcp_extra_there(const struct tcb *t)
{
    return slab_at(&t->layer->extras, extra_slot(t));
}

struct tcp_extra *tcp_extra_need(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    struct tcp_extra *x;
    uint32_t slot;

    if (t->has_extra)
        return tcp_extra_there(t);
    slot = slab_get(&l->extras);
    if (slot == SLAB_NONE)
        return NULL;
    if (hash_add(&l->extra_of, extra_tag(t->slot), slot) != 0) {
        slab_put(&l->extras, slot);
        return NULL;
    }
    x = slab_at(&l->extras, slot);
    *x = (struct tcp_extra){.owner = t->slot};
    t->has_extra = true;
    return x;
}

bool tcp_extra_inherit(struct tcb *t, const struct tcb *from)
{
    struct tcp_extra x, *to;

    if (!from->has_extra)
        return true;
    x = *tcp_extra(from);
    x.fastopen = x.peer_uto = 0;
    x.owner = 0;
    if (memcmp(&x, &tcp_no_extra, sizeof x) == 0)
        return true;
    to = tcp_extra_need(t);
    if (!to)
        return false;
    x.owner = t->slot;
    *to = x;
    return true;
}

void tcp_extra_free(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    uint32_t slot;

    if (!t->has_extra)
        return;
    slot = extra_slot(t);
    hash_del(&l->extra_of, extra_tag(t->slot), slot);
    slab_put(&l->extras, slot);
    t->has_extra = false;
}

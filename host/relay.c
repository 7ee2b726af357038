/* SPDX-License-Identifier: BSD-2-Clause */
/* relay.c - frames from one thread to another.
 *
 * A record is a header and the frame, in one piece and aligned to a cache line; one that does not
 * fit before the end leaves the rest unused.  Both ends are ours: shm_ring.c is for those that need
 * not trust each other. */
#include "relay.h"

#include <string.h>

enum { LINE = 64 };

struct record {
    uint32_t len; /* REST: nothing up to the end */
    struct estab_offload off;
};
#define REST UINT32_MAX

static uint32_t room_for(size_t len)
{
    return (uint32_t)((sizeof(struct record) + len + LINE - 1) / LINE * LINE);
}

static uint8_t *place(struct relay *r, uint32_t index)
{
    return r->octets + index % RELAY_LEN;
}

static uint32_t before_end(uint32_t index)
{
    return RELAY_LEN - index % RELAY_LEN;
}

void relay_init(struct relay *r, uint32_t index)
{
    atomic_init(&r->head, index);
    atomic_init(&r->tail, index);
    r->pushed = r->popped = index;
}

bool relay_push(struct relay *r, const struct estab_frame *f)
{
    size_t len = estab_frame_len(f);
    uint32_t need = room_for(len), skip = before_end(r->pushed);
    uint32_t taken = r->pushed - atomic_load_explicit(&r->tail, memory_order_acquire);
    struct record k = {.len = REST};

    if (skip >= need)
        skip = 0;
    if (len > UINT16_MAX + LINK_ETHERNET_ROOM || RELAY_LEN - taken < need + skip)
        return false;
    if (skip)
        memcpy(place(r, r->pushed), &k, sizeof k);
    r->pushed += skip;
    k = (struct record){.len = (uint32_t)len, .off = f->off};
    memcpy(place(r, r->pushed), &k, sizeof k);
    estab_frame_copy(place(r, r->pushed) + sizeof k, f);
    r->pushed += need;
    return true;
}

void relay_publish(struct relay *r)
{
    atomic_store_explicit(&r->head, r->pushed, memory_order_seq_cst);
}

bool relay_pop(struct relay *r, struct estab_frame *f)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    struct record k;

    while (r->popped != head) {
        memcpy(&k, place(r, r->popped), sizeof k);
        if (k.len == REST) {
            r->popped += before_end(r->popped);
            continue;
        }
        f->off = k.off;
        f->iov[0] = (struct estab_iov){place(r, r->popped) + sizeof k, k.len};
        f->niov = 1;
        r->popped += room_for(k.len);
        return true;
    }
    return false;
}

void relay_release(struct relay *r)
{
    if (atomic_load_explicit(&r->tail, memory_order_relaxed) != r->popped)
        atomic_store_explicit(&r->tail, r->popped, memory_order_release);
}

bool relay_empty(const struct relay *r)
{
    return atomic_load_explicit(&r->head, memory_order_seq_cst) == r->popped;
}

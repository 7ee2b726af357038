/* SPDX-License-Identifier: BSD-2-Clause */
/* relay.h - frames from one thread to another: a bounded ring with one at each end. */
#ifndef HOST_RELAY_H
#define HOST_RELAY_H

#include <stdatomic.h>

#include "link.h"

#pragma GCC visibility push(hidden)

enum { RELAY_LEN = 512 << 10 }; /* octets of frames; a power of two */

/* Indices count octets and wrap.  What each end writes has a line of its own. */
struct relay {
    _Alignas(64) _Atomic uint32_t head; /* up to here there are frames */
    uint32_t pushed;                    /* ... and not yet published ones */
    _Alignas(64) _Atomic uint32_t tail; /* up to here there is room again */
    uint32_t popped;                    /* up to here frames have been lent */
    _Alignas(64) uint8_t octets[RELAY_LEN];
};
void relay_init(struct relay *r, uint32_t index); /* where the indices begin: anywhere */
/* The one end.  Copies; false: no room. */
bool relay_push(struct relay *r, const struct estab_frame *f);
void relay_publish(struct relay *r);
/* The other.  Lends the next frame until relay_release(); false: none. */
bool relay_pop(struct relay *r, struct estab_frame *f);
void relay_release(struct relay *r);
bool relay_empty(const struct relay *r); /* to the other end */

#pragma GCC visibility pop
#endif

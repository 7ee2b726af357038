/* SPDX-License-Identifier: BSD-2-Clause */
/* shm_ring.h - one direction of a link in shared memory: a ring of frames between two processes
 * that need not trust each other. */
#ifndef HOST_SHM_RING_H
#define HOST_SHM_RING_H

#include <stdatomic.h>

#include "link.h"

#pragma GCC visibility push(hidden)

enum {
    SHM_RING_LEN = 512 << 10, /* octets of frames; a power of two */
    SHM_FRAME_MAX = 65535,
    SHM_HEAD_LEN = 192, /* of a frame: what is copied before it is looked at */
};

/* In shared memory: everything here may be anything at any time.  Indices count octets and wrap. */
struct shm_ring {
    _Alignas(128) _Atomic uint32_t head;   /* the producer's: up to here there are frames */
    _Alignas(128) _Atomic uint32_t tail;   /* the consumer's: up to here there is room again */
    _Alignas(128) _Atomic uint32_t asleep; /* the consumer wants to be told of the next frame */
    _Alignas(128) _Atomic uint32_t cpu; /* where the consumer last found nothing, and 1; 0: never */
    _Alignas(128) uint8_t octets[SHM_RING_LEN];
};

struct shm_out {
    struct shm_ring *ring;
    uint32_t head; /* ours is the one that counts */
    uint32_t tail; /* theirs, as it was when there was no room by what was known before */
    bool broken;   /* the other side's index cannot be */
};
/* False: no room (or it is broken).  shm_out_publish() makes what was pushed visible, and says
 * whether the consumer wants to be told. */
bool shm_out_push(struct shm_out *o, const struct estab_frame *f);
bool shm_out_publish(struct shm_out *o);
/* A short frame is likely to be pushed soon. */
void shm_out_prepare(const struct shm_out *o);

struct shm_in {
    struct shm_ring *ring;
    uint32_t tail;  /* up to here frames were lent */
    uint32_t kept;  /* from here on they are lent now */
    uint32_t freed; /* up to here the producer knows that there is room */
    bool broken;
    uint64_t refused; /* frames of no use */
    uint8_t heads[LINK_BATCH][SHM_HEAD_LEN];
    uint8_t (*copies)[SHM_FRAME_MAX + 1]; /* LINK_BATCH: what may not be looked at where it lies */
};
/* Gives back what was lent and lends up to n frames. */
size_t shm_in_pop(struct shm_in *in, struct estab_frame *f, size_t n);
/* Whether there is something; if not, the producer will tell of the next. */
bool shm_in_sleep(struct shm_in *in);

#pragma GCC visibility pop
#endif

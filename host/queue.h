/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.h - the queue in front of a wire, and who is refused when it is long. */
#ifndef HOST_QUEUE_H
#define HOST_QUEUE_H

#include <estab/host.h>

#pragma GCC visibility push(hidden)

struct packet {
    struct packet *next;
    estab_time at; /* when it joined the queue; later, when it is due at the other end */
    uint64_t number;
    struct estab_fate fate;
    struct estab_offload off;
    size_t len, room;
    uint8_t octets[];
};

/* CoDel's variables, with RFC 8289 section 5's names. */
struct codel {
    estab_time first_above_time, drop_next;
    uint32_t count, lastcount;
    bool dropping;
};
/* RED's variables, with the names of Floyd and Jacobson's figure 2. */
struct red {
    double avg;
    int count;
    estab_time q_time; /* when the queue became empty */
};
struct queue {
    struct estab_fault cfg; /* with every default filled in */
    struct packet *head, **tail;
    uint32_t frames;
    uint64_t octets;
    uint32_t on_wire; /* frames, 0 or 1, and octets of it: they take room, too */
    size_t on_wire_octets;
    size_t packet_max; /* the largest seen: what CoDel calls an MTU's worth */
    struct codel codel;
    struct red red;
    struct estab_virtual rng;
    uint64_t full, dropped, marked;
    void (*drop)(void *ctx, struct packet *k);
    void *ctx;
};

void queue_init(struct queue *q, const struct estab_fault *f,
                void (*drop)(void *ctx, struct packet *k), void *ctx);
void queue_set(struct queue *q, const struct estab_fault *f);
/* takes k; it may be dropped at once. */
void queue_push(struct queue *q, struct packet *k, estab_time now);
/* The next for the wire, or NULL; those that CoDel refuses are dropped on the way. */
struct packet *queue_pop(struct queue *q, estab_time now);

#pragma GCC visibility pop
#endif

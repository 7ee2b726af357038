/* SPDX-License-Identifier: BSD-2-Clause */
/* link_fault.c - impairment of what is sent through a link.
 *
 * A frame meets, in this order: the queue in front of the wire (rate, queue), loss, corruption,
 * delay and jitter, reordering, duplication, wandering.  What survives is copied into a heap of
 * copies ordered by the time they are due, then by the order in which they were made, and leaves
 * for the link below when its time has come.  Without any delay that is within the same call.
 *
 * Each frame draws the same count of random numbers whatever the settings are and whatever becomes
 * of it, so that a seed means the same fate for the n-th frame when one setting is changed. */
#include "link.h"

#include <inttypes.h>
#include <stdlib.h>

struct held {
    estab_time due;
    uint64_t number;
    struct estab_offload off;
    size_t len;
    uint8_t octets[];
};
struct fault {
    estab_link link;
    estab_link *under;
    struct estab_fault cfg;
    struct estab_virtual rng; /* for its generator only */
    struct held **heap;
    size_t nheap, heap_room;
    uint64_t number;     /* of the next copy */
    estab_time *departs; /* ring: when the frames in front of the wire will be on it */
    uint32_t head, nwaiting;
    estab_time wire_free_at;
};
struct fate { /* one draw each */
    double loss, corrupt, duplicate, reorder, late;
    estab_dur jitter, duplicate_jitter;
    uint64_t bit;
};

static double draw_share(struct fault *t)
{
    return (double)(estab_virtual_random(&t->rng) >> 11) * 0x1p-53;
}

static estab_dur draw_jitter(struct fault *t)
{
    uint64_t x = estab_virtual_random(&t->rng);

    return t->cfg.jitter ? x % t->cfg.jitter : 0;
}

static struct fate draw_fate(struct fault *t)
{
    struct fate f;

    f.loss = draw_share(t);
    f.corrupt = draw_share(t);
    f.duplicate = draw_share(t);
    f.reorder = draw_share(t);
    f.late = draw_share(t);
    f.jitter = draw_jitter(t);
    f.duplicate_jitter = draw_jitter(t);
    f.bit = estab_virtual_random(&t->rng);
    return f;
}

static estab_time after(estab_time at, estab_dur d)
{
    return d >= ESTAB_NEVER - at ? ESTAB_NEVER - 1 : at + d;
}

/* ---- the heap ---- */

static bool is_before(const struct held *a, const struct held *b)
{
    return a->due != b->due ? a->due < b->due : a->number < b->number;
}

static bool heap_push(struct fault *t, struct held *h)
{
    size_t i = t->nheap, parent, room;
    struct held **grown;

    if (t->nheap == t->heap_room) {
        room = t->heap_room ? t->heap_room * 2 : 64;
        grown = realloc(t->heap, room * sizeof *grown);
        if (!grown)
            return false;
        t->heap = grown;
        t->heap_room = room;
    }
    t->nheap++;
    for (; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (!is_before(h, t->heap[parent]))
            break;
        t->heap[i] = t->heap[parent];
    }
    t->heap[i] = h;
    return true;
}

static struct held *heap_pop(struct fault *t)
{
    struct held *first = t->heap[0], *last = t->heap[--t->nheap];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < t->nheap) {
        if (child + 1 < t->nheap && is_before(t->heap[child + 1], t->heap[child]))
            child++;
        if (!is_before(t->heap[child], last))
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = last;
    return first;
}

/* ---- what becomes of a frame ---- */

static void hold_copy(struct fault *t, const struct estab_frame *f, estab_time due,
                      const struct fate *fate)
{
    size_t len = estab_frame_len(f);
    struct held *h = malloc(sizeof *h + len);

    if (!h) {
        t->link.lost_out++;
        return;
    }
    h->due = due;
    h->number = t->number++;
    h->off = f->off;
    h->len = len;
    estab_frame_copy(h->octets, f);
    if (fate->corrupt < t->cfg.corrupt && len > 0)
        h->octets[fate->bit / 8 % len] ^= (uint8_t)(1u << fate->bit % 8);
    if (!heap_push(t, h)) {
        free(h);
        t->link.lost_out++;
    }
}

/* When the frame is on the wire entirely, or ESTAB_NEVER if there is no room to wait for that. */
static estab_time join_queue(struct fault *t, size_t len, estab_time now)
{
    while (t->nwaiting > 0 && t->departs[t->head] <= now) {
        t->head = (t->head + 1) % t->cfg.queue;
        t->nwaiting--;
    }
    if (t->nwaiting == t->cfg.queue)
        return ESTAB_NEVER;
    if (t->wire_free_at < now)
        t->wire_free_at = now;
    t->wire_free_at = after(t->wire_free_at, (len * ESTAB_S(1) + t->cfg.rate - 1) / t->cfg.rate);
    t->departs[((uint64_t)t->head + t->nwaiting++) % t->cfg.queue] = t->wire_free_at;
    return t->wire_free_at;
}

static void impair(struct fault *t, const struct estab_frame *f, estab_time now)
{
    struct fate fate = draw_fate(t);
    estab_time due = t->cfg.rate ? join_queue(t, estab_frame_len(f), now) : now, again;

    if (due == ESTAB_NEVER || fate.loss < t->cfg.loss) {
        t->link.lost_out++;
        return;
    }
    due = after(due, t->cfg.delay);
    again = after(due, fate.duplicate_jitter);
    due = after(due, fate.jitter);
    if (fate.reorder < t->cfg.reorder)
        due = after(due, t->cfg.reorder_by);
    hold_copy(t, f, due, &fate);
    if (fate.duplicate < t->cfg.duplicate)
        hold_copy(t, f, again, &fate);
    if (fate.late < t->cfg.late)
        hold_copy(t, f, after(due, t->cfg.late_by), &fate);
}

/* 0, or -1 when the link below is gone. */
static int send_due(struct fault *t, estab_time now)
{
    struct estab_frame f = {.niov = 1};
    struct held *h;
    int n = 0;

    while (n >= 0 && t->nheap > 0 && t->heap[0]->due <= now) {
        h = heap_pop(t);
        f.iov[0] = (struct estab_iov){h->octets, h->len};
        f.off = h->off;
        n = estab_link_send(t->under, &f, 1);
        if (n > 0)
            link_count_out(&t->link, h->len);
        else
            t->link.lost_out++;
        free(h);
    }
    return n < 0 ? link_gone(&t->link, t->under) : 0;
}

/* ---- the link ---- */

static int fault_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct fault *t = (struct fault *)l;
    int got;

    if (send_due(t, t->cfg.now(t->cfg.ctx)))
        return -1;
    got = estab_link_recv(t->under, f, n);
    if (got < 0)
        return link_gone(l, t->under);
    for (int i = 0; i < got; i++)
        link_count_in(l, estab_frame_len(&f[i]));
    return got;
}

/* Takes every frame: one that it loses is lost as on a wire, where the sender does not learn it. */
static int fault_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct fault *t = (struct fault *)l;
    estab_time now = t->cfg.now(t->cfg.ctx);

    for (size_t i = 0; i < n; i++)
        impair(t, &f[i], now);
    return send_due(t, now) ? -1 : (int)n;
}

static int fault_fd(const estab_link *l)
{
    return estab_link_fd(((const struct fault *)l)->under);
}

static estab_time fault_deadline(const estab_link *l)
{
    const struct fault *t = (const struct fault *)l;
    estab_time under = estab_link_deadline(t->under);

    return t->nheap > 0 && t->heap[0]->due < under ? t->heap[0]->due : under;
}

static void fault_close(estab_link *l)
{
    struct fault *t = (struct fault *)l;

    for (size_t i = 0; i < t->nheap; i++)
        free(t->heap[i]);
    free(t->heap);
    free(t->departs);
    estab_link_close(t->under);
    free(t);
}

static const struct estab_link_ops fault_ops = {
    .name = "fault",
    .recv = fault_recv,
    .send = fault_send,
    .fd = fault_fd,
    .deadline = fault_deadline,
    .close = fault_close,
};

int estab_link_fault(estab_link **out, estab_link *under, const struct estab_fault *f, char *err)
{
    struct estab_env env;
    struct fault *t;

    if (fault_check(f, err)) {
        estab_link_close(under);
        return -1;
    }
    t = calloc(1, sizeof *t);
    if (!t) {
        estab_link_close(under);
        return link_say(err, "fault: out of memory");
    }
    link_decorate(&t->link, &fault_ops, under);
    t->under = under;
    t->cfg = *f;
    estab_virtual_env(&env, &t->rng, f->seed);
    if (!t->cfg.now) {
        estab_host_env(&env);
        t->cfg.now = env.now;
        t->cfg.ctx = env.ctx;
    }
    if (!t->cfg.queue)
        t->cfg.queue = 1024;
    if (t->cfg.rate) {
        t->departs = calloc(t->cfg.queue, sizeof *t->departs);
        if (!t->departs) {
            link_say(err, "fault: queue=%" PRIu32 ": out of memory", t->cfg.queue);
            fault_close(&t->link);
            return -1;
        }
    }
    *out = &t->link;
    return 0;
}

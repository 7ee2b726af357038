/* SPDX-License-Identifier: BSD-2-Clause */
/* pipe.c - one direction of an impaired link: a queue, a wire, a way.
 *
 * A frame joins the queue, which may refuse it; the wire takes one frame at a time for as long as
 * its rate says, or alternately those of two pipes that share it; then it is under way, lost,
 * damaged, delayed, doubled, and due at the other end.  What is due leaves in the order of its
 * time, then of its number.
 *
 * Time that has passed between two calls is worked off frame by frame at the instants at which the
 * wire became free, so that a driver that comes late sees what a punctual one would, late; and one
 * that comes when something arrives, and not when the wire becomes free, misses nothing.
 *
 * Each frame draws the same count of random numbers whatever the settings are and whatever becomes
 * of it, so that a seed means the same fate for the n-th frame when one setting is changed.  RED
 * and the Gilbert-Elliott channel have generators of their own. */
#include "link.h"
#include "queue.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROOM = 2048, /* of a packet that is kept for the next one */
    SPARE_MAX = 1024,
    FINE = 32, /* buckets of the histogram to each power of two */
    BUCKETS = 60 * FINE,
};

/* What carries one frame at a time: of one pipe, or of two that share it. */
struct wire {
    struct estab_pipe *pipe[2];
    struct estab_pipe *sender; /* NULL: it is free */
    estab_time free_at;
};
struct estab_pipe {
    struct queue queue;
    struct wire *wire;
    /* Under way: in order of time nearly all, the others in a heap. */
    struct packet *first, **last;
    estab_time last_due;
    struct packet **heap;
    size_t nheap, heap_room;
    struct packet *lent, *spare;
    uint32_t nspare;
    uint64_t number; /* of the next copy */
    struct estab_virtual rng, channel_rng;
    bool down, channel_bad;
    estab_time in_order_at; /* when the last one is due, if jitter does not reorder */
    void (*see_fate)(void *ctx, struct estab_fate *f);
    void *fate_ctx;
    struct estab_pipe_info info;
    uint64_t waits[BUCKETS], nwaits;
};

static estab_time after(estab_time at, estab_dur d)
{
    return d >= ESTAB_NEVER - at ? ESTAB_NEVER - 1 : at + d;
}

/* ---- packets ---- */

static struct packet *packet_new(struct estab_pipe *p, size_t len)
{
    struct packet *k = p->spare;
    size_t room = len <= ROOM ? ROOM : len;

    if (k && len <= ROOM) {
        p->spare = k->next;
        p->nspare--;
    } else {
        k = malloc(sizeof *k + room);
        if (!k)
            return NULL;
        k->room = room;
    }
    k->len = len;
    return k;
}

static void packet_free(struct estab_pipe *p, struct packet *k)
{
    if (!k)
        return;
    if (k->room != ROOM || p->nspare == SPARE_MAX) {
        free(k);
        return;
    }
    k->next = p->spare;
    p->spare = k;
    p->nspare++;
}

static void drop_packet(void *pipe, struct packet *k)
{
    packet_free(pipe, k);
}

/* ---- how long frames wait: a histogram of 32 buckets to each power of two ---- */

static uint32_t bucket_of(estab_dur d)
{
    uint64_t top = d < UINT64_C(2) * FINE ? 0 : 58 - (uint64_t)__builtin_clzll(d);

    return (uint32_t)(top * FINE + (d >> top));
}

static estab_dur bucket_value(uint32_t b)
{
    return b < FINE ? b : ((estab_dur)FINE + b % FINE) << (b / FINE - 1);
}

estab_dur estab_pipe_wait(const estab_pipe *p, double share)
{
    uint64_t want = (uint64_t)(share * (double)p->nwaits), seen = 0;
    uint32_t b = 0;

    if (p->nwaits == 0)
        return 0;
    if (want >= p->nwaits)
        want = p->nwaits - 1;
    while ((seen += p->waits[b]) <= want)
        b++;
    return bucket_value(b);
}

/* ---- fate ---- */

static double draw_share(struct estab_virtual *rng)
{
    return (double)(estab_virtual_random(rng) >> 11) * 0x1p-53;
}

static estab_dur draw_span(struct estab_virtual *rng, estab_dur below)
{
    uint64_t x = estab_virtual_random(rng);

    return below ? x % below : 0;
}

static bool is_listed(const struct estab_fault *c, uint64_t frame)
{
    for (uint32_t i = 0; i < c->ndrops; i++)
        if (frame >= c->drop[i].from && frame <= c->drop[i].to)
            return true;
    return false;
}

static bool channel_loses(struct estab_pipe *p)
{
    const struct estab_fault *c = &p->queue.cfg;
    double turn = draw_share(&p->channel_rng), loss = draw_share(&p->channel_rng);

    if (turn < (p->channel_bad ? c->ge_good : c->ge_bad))
        p->channel_bad = !p->channel_bad;
    return loss < (p->channel_bad ? c->ge_loss_bad : c->ge_loss_good);
}

static void draw_fate(struct estab_pipe *p, struct estab_fate *f)
{
    const struct estab_fault *c = &p->queue.cfg;
    struct estab_virtual *rng = &p->rng;
    bool reorder;

    *f = (struct estab_fate){.frame = p->info.offered};
    f->lost = draw_share(rng) < c->loss || is_listed(c, f->frame);
    f->corrupt = draw_share(rng) < c->corrupt;
    f->duplicate = draw_share(rng) < c->duplicate;
    reorder = draw_share(rng) < c->reorder;
    f->late = draw_share(rng) < c->late;
    f->extra = draw_span(rng, c->jitter);
    f->duplicate_extra = draw_span(rng, c->jitter);
    f->bit = estab_virtual_random(rng);
    if (c->ge_bad > 0 && channel_loses(p))
        f->lost = true;
    if (reorder)
        f->extra = after(f->extra, c->reorder_by);
    f->late_extra = f->late ? after(f->extra, c->late_by) : 0;
    if (p->see_fate)
        p->see_fate(p->fate_ctx, f);
}

/* ---- under way ---- */

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static bool heap_push(struct estab_pipe *p, struct packet *k)
{
    size_t i = p->nheap, parent, room;
    struct packet **grown;

    if (p->nheap == p->heap_room) {
        room = p->heap_room ? p->heap_room * 2 : 64;
        grown = realloc(p->heap, room * sizeof *grown);
        if (!grown)
            return false;
        p->heap = grown;
        p->heap_room = room;
    }
    p->nheap++;
    for (; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (!is_before(k, p->heap[parent]))
            break;
        p->heap[i] = p->heap[parent];
    }
    p->heap[i] = k;
    return true;
}

static struct packet *heap_pop(struct estab_pipe *p)
{
    struct packet *top = p->heap[0], *end = p->heap[--p->nheap];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < p->nheap) {
        if (child + 1 < p->nheap && is_before(p->heap[child + 1], p->heap[child]))
            child++;
        if (!is_before(p->heap[child], end))
            break;
        p->heap[i] = p->heap[child];
        i = child;
    }
    p->heap[i] = end;
    return top;
}

static const struct packet *next_due(const struct estab_pipe *p)
{
    if (p->nheap > 0 && (!p->first || is_before(p->heap[0], p->first)))
        return p->heap[0];
    return p->first;
}

static struct packet *take_due(struct estab_pipe *p)
{
    struct packet *k = p->first;

    if (p->nheap > 0 && (!k || is_before(p->heap[0], k)))
        return heap_pop(p);
    p->first = k->next;
    if (!p->first)
        p->last = &p->first;
    return k;
}

static void set_out(struct estab_pipe *p, struct packet *k, estab_time due)
{
    k->at = due;
    k->number = p->number++;
    if (p->first && due < p->last_due) {
        if (!heap_push(p, k))
            packet_free(p, k);
        return;
    }
    k->next = NULL;
    *p->last = k;
    p->last = &k->next;
    p->last_due = due;
}

static void set_out_copy(struct estab_pipe *p, const struct packet *k, estab_time due)
{
    struct packet *copy = packet_new(p, k->len);

    if (!copy)
        return;
    copy->off = k->off;
    memcpy(copy->octets, k->octets, k->len);
    set_out(p, copy, due);
}

static bool is_out(const struct estab_pipe *p, estab_time at)
{
    const struct estab_fault *c = &p->queue.cfg;

    return p->down || (c->outage_every && at % c->outage_every >= c->outage_every - c->outage_for);
}

/* The frame leaves the wire at that instant. */
static void launch(struct estab_pipe *p, struct packet *k, estab_time at)
{
    const struct estab_fault *c = &p->queue.cfg;
    const struct estab_fate fate = k->fate;
    estab_time due = after(at, c->delay), first = after(due, fate.extra);

    if (fate.lost || is_out(p, at)) {
        p->info.lost += fate.lost;
        p->info.outage += !fate.lost;
        packet_free(p, k);
        return;
    }
    if (fate.corrupt && k->len > 0) {
        k->octets[fate.bit / 8 % k->len] ^= (uint8_t)(1u << fate.bit % 8);
        p->info.corrupted++;
    }
    if (c->in_order) {
        if (first < p->in_order_at)
            first = p->in_order_at;
        p->in_order_at = first;
    }
    if (first < p->last_due)
        p->info.reordered++;
    /* In the order of their numbers: the frame, its duplicate, its wanderer. */
    if (!fate.duplicate && !fate.late) {
        set_out(p, k, first);
        return;
    }
    set_out_copy(p, k, first);
    if (fate.duplicate) {
        p->info.duplicated++;
        set_out_copy(p, k, after(due, fate.duplicate_extra));
    }
    if (fate.late) {
        p->info.late++;
        set_out_copy(p, k, after(due, fate.late_extra));
    }
    packet_free(p, k);
}

/* ---- the wire ---- */

static estab_dur time_on_wire(const struct estab_fault *c, size_t len)
{
    uint64_t octets = len + c->framing;

    return c->per_frame + (c->rate ? (octets * ESTAB_S(1) + c->rate - 1) / c->rate : 0);
}

/* The pipe whose first frame has waited longest; NULL: nobody waits. */
static struct estab_pipe *choose_sender(const struct wire *w)
{
    struct estab_pipe *best = NULL;

    for (int i = 0; i < 2; i++) {
        struct estab_pipe *p = w->pipe[i];

        if (p && p->queue.head && (!best || p->queue.head->at < best->queue.head->at))
            best = p;
    }
    return best;
}

static void begin_sending(struct wire *w, struct estab_pipe *p)
{
    estab_time at = w->free_at > p->queue.head->at ? w->free_at : p->queue.head->at;
    struct packet *k = queue_pop(&p->queue, at);
    estab_dur takes;

    if (!k)
        return;
    takes = time_on_wire(&p->queue.cfg, k->len);
    p->waits[bucket_of(at - k->at)]++;
    p->nwaits++;
    p->info.wait_sum += at - k->at;
    p->info.busy += takes;
    p->queue.on_wire = 1;
    p->queue.on_wire_octets = k->len;
    w->sender = p;
    w->free_at = after(at, takes);
    launch(p, k, w->free_at);
}

/* Brings the wire up to now. */
static void run_wire(struct wire *w, estab_time now)
{
    struct estab_pipe *p;

    for (;;) {
        p = w->sender;
        if (p) {
            if (w->free_at > now)
                return;
            p->queue.on_wire = 0;
            p->queue.on_wire_octets = 0;
            if (p->queue.frames == 0)
                p->queue.red.q_time = w->free_at;
            w->sender = NULL;
        }
        p = choose_sender(w);
        if (!p)
            return;
        begin_sending(w, p);
    }
}

/* ---- the pipe ---- */

int estab_pipe_new(estab_pipe **out, const struct estab_fault *f, char *err)
{
    struct estab_env env;
    struct estab_pipe *p;

    if (fault_check(f, err))
        return -1;
    p = calloc(1, sizeof *p);
    if (!p)
        return link_say(err, "fault: out of memory");
    p->wire = calloc(1, sizeof *p->wire);
    if (!p->wire) {
        free(p);
        return link_say(err, "fault: out of memory");
    }
    p->wire->pipe[0] = p;
    p->last = &p->first;
    estab_virtual_env(&env, &p->rng, f->seed);
    estab_virtual_env(&env, &p->channel_rng, f->seed + 2);
    queue_init(&p->queue, f, drop_packet, p);
    *out = p;
    return 0;
}

static void free_list(struct packet *k)
{
    struct packet *next;

    for (; k; k = next) {
        next = k->next;
        free(k);
    }
}

static void leave_wire(struct estab_pipe *p)
{
    struct wire *w = p->wire;

    if (w->sender == p)
        w->sender = NULL;
    for (int i = 0; i < 2; i++)
        if (w->pipe[i] == p)
            w->pipe[i] = NULL;
    if (!w->pipe[0] && !w->pipe[1])
        free(w);
}

void estab_pipe_free(estab_pipe *p)
{
    if (!p)
        return;
    leave_wire(p);
    for (size_t i = 0; i < p->nheap; i++)
        free(p->heap[i]);
    free(p->heap);
    free_list(p->first);
    free_list(p->queue.head);
    free_list(p->spare);
    free(p->lent);
    free(p);
}

void estab_pipe_join(estab_pipe *a, estab_pipe *b)
{
    leave_wire(b);
    b->wire = a->wire;
    b->wire->pipe[1] = b;
}

int estab_pipe_set(estab_pipe *p, const struct estab_fault *f, estab_time now, char *err)
{
    if (fault_check(f, err))
        return -1;
    run_wire(p->wire, now);
    queue_set(&p->queue, f);
    return 0;
}

void estab_pipe_down(estab_pipe *p, bool down, estab_time now)
{
    run_wire(p->wire, now);
    p->down = down;
}

void estab_pipe_push(estab_pipe *p, const struct estab_frame *f, estab_time now)
{
    struct packet *k = packet_new(p, estab_frame_len(f));
    struct estab_fate fate;
    uint32_t waiting;

    p->info.offered++;
    draw_fate(p, &fate);
    if (!k) {
        p->info.lost++;
        return;
    }
    p->info.offered_octets += k->len;
    k->fate = fate;
    k->off = f->off;
    estab_frame_copy(k->octets, f);
    run_wire(p->wire, now);
    queue_push(&p->queue, k, now);
    waiting = p->queue.frames + p->queue.on_wire;
    if (waiting > p->info.queued_max)
        p->info.queued_max = waiting;
    run_wire(p->wire, now);
}

bool estab_pipe_pop(estab_pipe *p, struct estab_frame *f, estab_time now)
{
    const struct packet *due;

    packet_free(p, p->lent);
    p->lent = NULL;
    run_wire(p->wire, now);
    due = next_due(p);
    if (!due || due->at > now)
        return false;
    p->lent = take_due(p);
    *f = (struct estab_frame){
        .iov = {{p->lent->octets, p->lent->len}}, .niov = 1, .off = p->lent->off};
    p->info.delivered++;
    p->info.delivered_octets += p->lent->len;
    return true;
}

/* Of those in the queue none arrives before the wire is free and they have been on it. */
estab_time estab_pipe_deadline(const estab_pipe *p)
{
    const struct estab_fault *c = &p->queue.cfg;
    const struct packet *due = next_due(p);
    estab_time at = due ? due->at : ESTAB_NEVER, next;

    if (p->queue.head) {
        next = after(p->wire->free_at, time_on_wire(c, 0) + c->delay);
        at = next < at ? next : at;
    }
    return at;
}

void estab_pipe_info(estab_pipe *p, estab_time now, struct estab_pipe_info *info)
{
    struct estab_pipe_info all;
    size_t size = info->size < sizeof all ? info->size : sizeof all;

    run_wire(p->wire, now);
    all = p->info;
    all.size = info->size;
    all.full = p->queue.full;
    all.aqm = p->queue.dropped;
    all.marked = p->queue.marked;
    all.queued = p->queue.frames + p->queue.on_wire;
    all.queued_octets = p->queue.octets + p->queue.on_wire_octets;
    memcpy(info, &all, size);
}

void estab_pipe_fates(estab_pipe *p, void (*fate)(void *ctx, struct estab_fate *f), void *ctx)
{
    p->see_fate = fate;
    p->fate_ctx = ctx;
}

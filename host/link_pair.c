/* SPDX-License-Identifier: BSD-2-Clause */
/* link_pair.c - two ends in memory: what one sends the other receives.
 *
 * Each direction is a lane: a ring of filled buffers and a stack of free ones.  The stack hands out
 * the buffer that was used last, so the memory that a lane walks through is as much as is under
 * way, not as much as fits. */
#include "link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lane_slot {
    struct estab_offload off;
    uint32_t buf, len;
};
struct lane {
    uint8_t *bufs;
    size_t buf_len;
    uint32_t *free;         /* stack of buffer numbers */
    struct lane_slot *ring; /* frames that wait, `queue` of them at most */
    uint32_t queue, nfree, head, nwaiting;
    uint32_t lent[LINK_BATCH], nlent;
};
struct pair {
    struct pair_end {
        estab_link link;
        struct pair *pair;
        struct lane in;
        bool open;
    } ends[2];
};

static struct pair_end *end_of(const estab_link *l)
{
    return (struct pair_end *)l;
}

static struct pair_end *other_end(struct pair_end *e)
{
    return &e->pair->ends[e == &e->pair->ends[0]];
}

static int lane_init(struct lane *n, size_t frame_max, uint32_t queue)
{
    size_t nbufs = (size_t)queue + LINK_BATCH; /* what is lent does not take room in the queue */

    n->queue = queue;
    n->buf_len = (frame_max + 63) / 64 * 64;
    n->bufs = nbufs > SIZE_MAX / n->buf_len ? NULL : malloc(nbufs * n->buf_len);
    n->free = calloc(nbufs, sizeof *n->free);
    n->ring = calloc(queue, sizeof *n->ring);
    if (!n->bufs || !n->free || !n->ring)
        return -1;
    while (n->nfree < nbufs) {
        n->free[n->nfree] = (uint32_t)(nbufs - 1 - n->nfree);
        n->nfree++;
    }
    return 0;
}

static void lane_fini(struct lane *n)
{
    free(n->bufs);
    free(n->free);
    free(n->ring);
}

static int pair_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct pair_end *e = end_of(l);
    struct lane *in = &e->in;
    struct lane_slot *slot;

    while (in->nlent > 0)
        in->free[in->nfree++] = in->lent[--in->nlent];
    while (in->nlent < n && in->nlent < LINK_BATCH && in->nwaiting > 0) {
        slot = &in->ring[in->head];
        in->head = in->head + 1 < in->queue ? in->head + 1 : 0;
        in->nwaiting--;
        f->iov[0] = (struct estab_iov){in->bufs + slot->buf * in->buf_len, slot->len};
        f->niov = 1;
        f->off = slot->off;
        f++;
        in->lent[in->nlent++] = slot->buf;
        link_count_in(l, slot->len);
    }
    if (in->nlent == 0 && n > 0 && !other_end(e)->open)
        return link_say(l->error, "%s: the other end is closed", l->name);
    return (int)in->nlent;
}

static int pair_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct pair_end *e = end_of(l), *to = other_end(e);
    struct lane *out = &to->in;
    struct lane_slot *slot;
    size_t len, taken = 0;
    uint32_t room;

    if (!to->open) {
        l->lost_out += n;
        return link_say(l->error, "%s: the other end is closed", l->name);
    }
    for (size_t i = 0; i < n; i++) {
        len = estab_frame_len(&f[i]);
        if (out->nwaiting == out->queue || len > out->buf_len) {
            l->lost_out++;
            continue;
        }
        room = out->queue - out->head; /* slots before the ring wraps */
        slot = &out->ring[out->nwaiting < room ? out->head + out->nwaiting : out->nwaiting - room];
        slot->buf = out->free[--out->nfree];
        slot->len = (uint32_t)len;
        slot->off = f[i].off;
        estab_frame_copy(out->bufs + slot->buf * out->buf_len, &f[i]);
        out->nwaiting++;
        link_count_out(l, len);
        taken++;
    }
    return (int)taken;
}

static int pair_fd(const estab_link *l)
{
    (void)l;
    return -1;
}

static estab_time pair_deadline(const estab_link *l)
{
    struct pair_end *e = end_of(l);

    return e->in.nwaiting > 0 || !other_end(e)->open ? 0 : ESTAB_NEVER;
}

static void pair_free(struct pair *p)
{
    lane_fini(&p->ends[0].in);
    lane_fini(&p->ends[1].in);
    free(p);
}

static void pair_close(estab_link *l)
{
    struct pair_end *e = end_of(l);

    e->open = false;
    if (!other_end(e)->open)
        pair_free(e->pair);
}

static const struct estab_link_ops pair_ops = {
    .name = "pair",
    .recv = pair_recv,
    .send = pair_send,
    .fd = pair_fd,
    .deadline = pair_deadline,
    .close = pair_close,
};

int estab_link_pair(estab_link *out[2], const struct estab_port_caps *caps, uint32_t queue)
{
    struct pair *p = calloc(1, sizeof *p);

    if (!p)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        struct pair_end *e = &p->ends[i];

        e->link.ops = &pair_ops;
        e->link.caps = *caps;
        if (caps->medium == ESTAB_MEDIUM_ETHERNET)
            e->link.caps.mac[5] ^= (uint8_t)i; /* two stations, two addresses */
        snprintf(e->link.name, sizeof e->link.name, "pair:%c", (char)('a' + i));
        e->pair = p;
        e->open = true;
        if (lane_init(&e->in, link_frame_max(caps), queue ? queue : 1024)) {
            pair_free(p);
            return -1;
        }
    }
    out[0] = &p->ends[0].link;
    out[1] = &p->ends[1].link;
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* gate.c - a link that loses those TCP segments that the test wants lost. */
#include "gate.h"

#include <stdlib.h>
#include <string.h>

static struct gate *gate_of(const estab_link *l)
{
    return (struct gate *)(uintptr_t)l;
}

static bool is_tcp(const estab_link *l, const struct estab_frame *f)
{
    size_t at = l->caps.medium == ESTAB_MEDIUM_ETHERNET ? 14 : 0;
    const uint8_t *p = f->iov[0].base;

    if (f->iov[0].len < at + 20)
        return false;
    return p[at] >> 4 == 4 ? p[at + 9] == 6 : p[at] >> 4 == 6 && p[at + 6] == 6;
}

static bool passes(const estab_link *l, const struct estab_frame *f, uint32_t *segments,
                   uint32_t drop, uint32_t one)
{
    if (!is_tcp(l, f))
        return true;
    ++*segments;
    return *segments != drop && !(one && *segments % one == 0);
}

static int gate_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct gate *g = gate_of(l);
    int got = estab_link_recv(g->under, f, n), kept = 0;

    for (int i = 0; i < got; i++)
        if (passes(l, &f[i], &g->segments_in, g->drop_in, g->one_in))
            f[kept++] = f[i];
    return got < 0 ? got : kept;
}

static int gate_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct gate *g = gate_of(l);
    int taken = 0, got;

    for (size_t i = 0; i < n; i++) {
        got = 1;
        if (passes(l, &f[i], &g->segments_out, g->drop_out, g->one_out))
            got = estab_link_send(g->under, &f[i], 1);
        if (got < 0)
            return got;
        taken += got;
    }
    return taken;
}

static int gate_fd(const estab_link *l)
{
    return estab_link_fd(gate_of(l)->under);
}

static estab_time gate_deadline(const estab_link *l)
{
    return estab_link_deadline(gate_of(l)->under);
}

static void gate_close(estab_link *l)
{
    estab_link_close(gate_of(l)->under);
    free(l);
}

static const struct estab_link_ops gate_ops = {.name = "gate",
                                               .recv = gate_recv,
                                               .send = gate_send,
                                               .fd = gate_fd,
                                               .deadline = gate_deadline,
                                               .close = gate_close};

struct gate *gate_over(estab_link *under)
{
    struct gate *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->link = (estab_link){.ops = &gate_ops, .caps = under->caps};
    memcpy(g->link.name, under->name, sizeof g->link.name);
    g->under = under;
    return g;
}

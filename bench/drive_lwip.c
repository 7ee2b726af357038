/* SPDX-License-Identifier: BSD-2-Clause */
/* drive_lwip.c - two lwIPs: each end is a copy of a shared object, because lwIP is its globals. */
#include "bench.h"
#include "lwip/lwip_end.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define BOX 16384 /* packets on the way; a power of two */

struct box {
    struct lent f[BOX];
    uint32_t head, tail;
};
struct pair {
    void *object[2];
    const struct lwip_end *end[2];
    struct box out[2];
    uint64_t now; /* ns */
    uint64_t conns;
};

static void emit(void *ctx, const struct lent *f)
{
    struct box *b = ctx;

    if (b->tail - b->head == BOX) {
        f->release(f->owner);
        return;
    }
    b->f[b->tail++ % BOX] = *f;
}

static void lwip_close(struct pair *p)
{
    for (int e = 0; e < 2; e++)
        if (p->object[e])
            dlclose(p->object[e]);
    free(p);
}

static struct pair *lwip_open(const struct settings *s)
{
    struct pair *p = calloc(1, sizeof *p);
    static const uint8_t ip[2][4] = {{10, 0, 0, 1}, {10, 0, 0, 2}};

    if (!p)
        return NULL;
    for (int e = 0; e < 2; e++) {
        char path[256];
        struct lwip_setup setup = {
            .emit = emit, .ctx = &p->out[e], .in = bench_in[e], .in_len = BENCH_CHUNK};

        snprintf(path, sizeof path, "%s/lwip-%u-%c.so", LWIP_DIR, s->window / 1024, 'a' + e);
        p->object[e] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (p->object[e])
            p->end[e] = dlsym(p->object[e], "lwip_end");
        if (!p->end[e]) {
            fprintf(stderr, "lwip: %s\n", dlerror());
            lwip_close(p);
            return NULL;
        }
        for (int i = 0; i < 4; i++) {
            setup.local[i] = ip[e][i];
            setup.peer[i] = ip[!e][i];
        }
        if (e == SERVER) {
            setup.listen_port = BENCH_PORT;
            setup.nlisten = BENCH_PORTS;
        }
        p->end[e]->init(&setup);
    }
    return p;
}

static unsigned lwip_move(struct pair *p, enum end from)
{
    struct box *b = &p->out[from];
    const struct lwip_end *to = p->end[!from];
    unsigned n = 0;

    for (; b->head != b->tail; n++)
        to->input(&b->f[b->head++ % BOX]);
    return n;
}

static void lwip_pass(struct pair *p, uint64_t ns)
{
    p->now += ns;
    for (int e = 0; e < 2; e++)
        p->end[e]->time((uint32_t)(p->now / 1000000));
}

static struct lwip_conn *at(conn c)
{
    return (struct lwip_conn *)(uintptr_t)c;
}

static conn lwip_connect(struct pair *p, uint16_t port)
{
    p->conns++;
    return (conn)(uintptr_t)p->end[CLIENT]->connect(port);
}

static bool lwip_is_open(struct pair *p, conn c)
{
    return p->end[CLIENT]->is_open(at(c));
}

static conn lwip_accept(struct pair *p, uint16_t port)
{
    return (conn)(uintptr_t)p->end[SERVER]->accept(port);
}

static size_t lwip_send(struct pair *p, enum end e, conn c, const void *buf, size_t len)
{
    return p->end[e]->send(at(c), buf, len);
}

static size_t lwip_recv(struct pair *p, enum end e, conn c, void *buf)
{
    (void)buf; /* bench_in[e], filled as text came */
    return p->end[e]->recv(at(c));
}

static bool lwip_at_end(struct pair *p, enum end e, conn c)
{
    return p->end[e]->at_end(at(c));
}

static void lwip_shut(struct pair *p, enum end e, conn c)
{
    p->end[e]->shut(at(c));
}

static size_t lwip_memory(const struct pair *p, enum end e)
{
    return p->conns * p->end[e]->pcb_len;
}

static void lwip_cap_timewaits(struct pair *p, uint32_t n)
{
    p->end[CLIENT]->cap_timewaits(n);
}

const struct driver drive_lwip = {
    .name = "lwIP",
    .open = lwip_open,
    .close = lwip_close,
    .move = lwip_move,
    .pass = lwip_pass,
    .connect = lwip_connect,
    .is_open = lwip_is_open,
    .accept = lwip_accept,
    .send = lwip_send,
    .recv = lwip_recv,
    .at_end = lwip_at_end,
    .shut = lwip_shut,
    .memory = lwip_memory,
    .cap_timewaits = lwip_cap_timewaits,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* drive_estab.c - two estab stacks, driven as a program drives them: by the public header. */
#include "bench.h"

#include <estab/estab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 44 /* frames a call: as much text as a buffer takes; of large ones, one */

struct side {
    struct pair *pair;
    estab_stack *s;
    int port;
    size_t used; /* octets allocated */
    uint64_t random;
    conn lent; /* whose buffer is lent; 0: nobody's */
    void *buf;
    size_t received; /* into it */
};
struct pair {
    struct side side[2];
    estab_time now;
    estab_sock listener[BENCH_PORTS_MAX];
    struct estab_addr server;
    size_t batch;
    bool lends;
};

static estab_time bench_now(void *ctx)
{
    const struct side *e = ctx;

    return e->pair->now;
}

/* splitmix64: nobody attacks a benchmark. */
static void bench_random(void *ctx, void *buf, size_t len)
{
    struct side *e = ctx;
    uint8_t *out = buf;

    while (len) {
        uint64_t z = e->random += 0x9e3779b97f4a7c15u;
        size_t n = len < sizeof z ? len : sizeof z;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        memcpy(out, &z, n);
        out += n;
        len -= n;
    }
}

static void *bench_alloc(void *ctx, size_t size, size_t align)
{
    struct side *e = ctx;
    void *p = NULL;

    if (posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, size))
        return NULL;
    e->used += size;
    return p;
}

static void bench_free(void *ctx, void *ptr, size_t size, size_t align)
{
    struct side *e = ctx;

    (void)align;
    e->used -= size;
    free(ptr);
}

static void pair_close(struct pair *p)
{
    for (int e = 0; e < 2; e++)
        estab_stack_free(p->side[e].s);
    free(p);
}

static bool side_open(struct pair *p, enum end e, const struct settings *set)
{
    struct side *side = &p->side[e];
    struct estab_env env = {.ctx = side,
                            .now = bench_now,
                            .random = bench_random,
                            .alloc = bench_alloc,
                            .free = bench_free};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = set->mtu};
    uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, (uint8_t)(1 + e)};
    struct estab_config cfg;

    side->pair = p;
    side->random = e;
    estab_config_init(&cfg);
    cfg.max_conns = set->conns;
    cfg.max_synq = set->conns;
    cfg.max_timewait = set->timewaits;
    cfg.sndbuf = cfg.rcvbuf = set->window;
    cfg.timestamps = set->timestamps;
    cfg.shard = set->shard;
    cfg.nshards = set->nshards ? set->nshards : 1;
    cfg.port_lo = 2048;
    cfg.port_hi = 65535;
    if (estab_stack_new(&side->s, &env, &cfg) < 0)
        return false;
    side->port = estab_port_add(side->s, &caps);
    if (side->port < 0 || estab_addr_add(side->s, side->port, ip, 120) < 0)
        return false;
    if (e == SERVER) {
        memcpy(p->server.ip, ip, sizeof ip);
        for (uint32_t i = 0; i < set->ports; i++) {
            struct estab_addr any = {.port = (uint16_t)(BENCH_PORT + i)};

            if (estab_socket(side->s, ESTAB_TCP, &p->listener[i]) < 0 ||
                estab_bind(side->s, p->listener[i], &any) < 0 ||
                estab_listen(side->s, p->listener[i], set->conns) < 0)
                return false;
        }
    }
    return true;
}

static struct pair *pair_open(const struct settings *set)
{
    struct pair *p = calloc(1, sizeof *p);

    if (p)
        p->lends = set->lends;
    if (p)
        p->batch = set->mtu > BENCH_CHUNK / 2 ? 1 : BATCH;
    if (p && (!side_open(p, CLIENT, set) || !side_open(p, SERVER, set))) {
        fprintf(stderr, "estab: the stacks could not be made\n");
        pair_close(p);
        return NULL;
    }
    return p;
}

/* The application's turn after each batch, as it has in an event loop; lwIP's has it after each
 * segment. */
static void take_lent(struct side *e)
{
    ptrdiff_t n = estab_recv_end(e->s, e->lent);

    e->received += n > 0 ? (size_t)n : 0;
    (void)estab_recv_lend(e->s, e->lent, e->buf, BENCH_CHUNK);
}

static unsigned pair_move(struct pair *p, enum end from)
{
    struct side *out = &p->side[from], *in = &p->side[!from];
    struct estab_frame f[BATCH];
    unsigned total = 0;
    int n;

    do {
        n = estab_output(out->s, out->port, f, p->batch);
        if (n <= 0)
            break;
        estab_input(in->s, in->port, f, (size_t)n);
        if (in->lent)
            take_lent(in);
        total += (unsigned)n;
    } while ((size_t)n == p->batch); /* or there are no more */
    return total;
}

static void pair_pass(struct pair *p, uint64_t ns)
{
    p->now += ns;
    for (int e = 0; e < 2; e++)
        if (estab_deadline(p->side[e].s) <= p->now)
            estab_expire(p->side[e].s);
}

static conn pair_connect(struct pair *p, uint16_t port)
{
    estab_stack *s = p->side[CLIENT].s;
    struct estab_addr to = p->server;
    estab_sock k;

    to.port = port;
    if (estab_socket(s, ESTAB_TCP, &k) < 0)
        return 0;
    if (estab_connect(s, k, &to) != ESTAB_E_INPROGRESS) {
        estab_close(s, k);
        return 0;
    }
    return k;
}

static bool pair_is_open(struct pair *p, conn c)
{
    return estab_ready(p->side[CLIENT].s, c) & ESTAB_EV_OUT;
}

static conn pair_accept(struct pair *p, uint16_t port)
{
    estab_sock k;

    if (estab_accept(p->side[SERVER].s, p->listener[port - BENCH_PORT], &k, NULL) < 0)
        return 0;
    return k;
}

static size_t pair_send(struct pair *p, enum end e, conn c, const void *buf, size_t len)
{
    struct estab_iov v = {(void *)(uintptr_t)buf, len};
    ptrdiff_t n = p->lends ? estab_send_lend(p->side[e].s, c, &v, 1, 0)
                           : estab_send(p->side[e].s, c, &v, 1, 0);

    return n < 0 ? 0 : (size_t)n;
}

static size_t pair_recv(struct pair *p, enum end e, conn c, void *buf)
{
    struct side *side = &p->side[e];
    struct estab_iov v = {buf, BENCH_CHUNK};
    ptrdiff_t n;

    if (side->lent == c) {
        take_lent(side);
        n = (ptrdiff_t)side->received;
        side->received = 0;
        return (size_t)n;
    }
    n = estab_recv(side->s, c, &v, 1, 0);
    return n < 0 ? 0 : (size_t)n;
}

static bool pair_lend(struct pair *p, enum end e, conn c, void *buf)
{
    struct side *side = &p->side[e];

    side->lent = c;
    side->buf = buf;
    side->received = 0;
    return estab_recv_lend(side->s, c, buf, BENCH_CHUNK) == 0;
}

static bool pair_at_end(struct pair *p, enum end e, conn c)
{
    return estab_ready(p->side[e].s, c) & ESTAB_EV_RDHUP;
}

/* Closing takes back at once what is lent. */
static void wait_for_acks(struct pair *p, enum end e, conn c)
{
    for (int turn = 0; turn < 100 && estab_send_lent(p->side[e].s, c) > 0; turn++) {
        pair_pass(p, 100000000);
        pair_move(p, e);
        pair_move(p, !e);
    }
}

static void pair_shut(struct pair *p, enum end e, conn c)
{
    if (p->lends)
        wait_for_acks(p, e, c);
    if (p->side[e].lent == c)
        p->side[e].lent = 0;
    estab_close(p->side[e].s, c);
}

static size_t pair_memory(const struct pair *p, enum end e)
{
    return p->side[e].used;
}

const struct driver drive_estab = {
    .name = "estab",
    .open = pair_open,
    .close = pair_close,
    .move = pair_move,
    .pass = pair_pass,
    .connect = pair_connect,
    .is_open = pair_is_open,
    .accept = pair_accept,
    .send = pair_send,
    .recv = pair_recv,
    .lend = pair_lend,
    .at_end = pair_at_end,
    .shut = pair_shut,
    .memory = pair_memory,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* steer.c - shards behind a software steerer: clients that know nothing of shards.
 *
 * Each thread has a client, a stack of its own address, and a shard of the server's.  Whoever has
 * made a frame asks whose it is (estab_frame_shard(), or by the client's address on the way back):
 * it is handed over in the thread or, half of them, copied into a ring in memory that the other
 * thread reads.  So what is shared is one ring each way, and the cost of crossing is in the figure.
 * Time is the machine's. */
#include "bench.h"

#include <estab/estab.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MOST = 2,
    BATCH = 44,
    SLOTS = 256, /* of a ring */
    SLOT = 1536,
    STREAMS = 8,   /* connections of a client in bulk */
    INFLIGHT = 32, /* short connections of a client */
    MESSAGE_LEN = 64,
};

/* One writes, one reads.  What each keeps of the other's index saves looking at its line. */
struct ring {
    _Alignas(128) _Atomic uint32_t head;
    uint32_t written, tail_seen; /* the writer's */
    _Alignas(128) _Atomic uint32_t tail;
    uint32_t head_seen, lent; /* the reader's */
    _Alignas(128) struct {
        uint32_t len;
        bool to_client;
        uint8_t octets[SLOT];
    } slot[SLOTS];
};

struct town;
struct core {
    _Alignas(128) struct town *town;
    unsigned number;
    pthread_t thread;
    estab_stack *s[2];
    int port[2];
    estab_sock listener, conn[INFLIGHT];
    struct ring *in[MOST]; /* from each other core */
    uint64_t random;
    uint8_t buf[BENCH_CHUNK];
    _Alignas(128) _Atomic uint64_t units; /* octets to the server, or connections that are over */
};
struct town {
    unsigned n;
    bool bulk;
    atomic_bool stop, failed;
    struct core *core[MOST];
};

static estab_time steer_now(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (estab_time)t.tv_sec * ESTAB_S(1) + (estab_time)t.tv_nsec;
}

static void steer_random(void *ctx, void *buf, size_t len)
{
    struct core *c = ctx;
    uint8_t *out = buf;

    for (size_t i = 0; i < len; i++) {
        c->random = c->random * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(c->random >> 56);
    }
}

static void *steer_alloc(void *ctx, size_t size, size_t align)
{
    void *p = NULL;

    (void)ctx;
    return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, size) ? NULL : p;
}

static void steer_free(void *ctx, void *ptr, size_t size, size_t align)
{
    (void)ctx;
    (void)size;
    (void)align;
    free(ptr);
}

static struct estab_addr place_of(enum end e, unsigned number, uint16_t port)
{
    struct estab_addr a = {
        .ip = {[10] = 0xff, [11] = 0xff, 10, 0, (uint8_t)e, (uint8_t)(1 + number)}, .port = port};

    return a;
}

static bool stack_open(struct core *c, enum end e)
{
    struct estab_env env = {.ctx = c,
                            .now = steer_now,
                            .random = steer_random,
                            .alloc = steer_alloc,
                            .free = steer_free};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct estab_addr at = place_of(e, e == CLIENT ? c->number : 0, BENCH_PORT);
    struct estab_config cfg;

    estab_config_init(&cfg);
    cfg.max_conns = cfg.max_synq = 4 * INFLIGHT;
    cfg.max_timewait = 20000 / c->town->n;
    cfg.sndbuf = cfg.rcvbuf = 65536;
    cfg.port_lo = 2048;
    cfg.port_hi = 65535;
    if (e == SERVER) {
        cfg.shard = (uint16_t)c->number;
        cfg.nshards = (uint16_t)c->town->n;
    }
    if (estab_stack_new(&c->s[e], &env, &cfg) < 0)
        return false;
    c->port[e] = estab_port_add(c->s[e], &caps);
    if (c->port[e] < 0 || estab_addr_add(c->s[e], c->port[e], at.ip, 104) < 0)
        return false;
    return e == CLIENT || (estab_socket(c->s[e], ESTAB_TCP, &c->listener) == 0 &&
                           estab_bind(c->s[e], c->listener, &at) == 0 &&
                           estab_listen(c->s[e], c->listener, 4 * INFLIGHT) == 0 &&
                           estab_watch(c->s[e], c->listener, ESTAB_EV_IN, c) == 0);
}

/* ---- frames ---- */

static void cross(struct ring *r, const struct estab_frame *f, bool to_client)
{
    uint32_t at = r->written % SLOTS, len = 0;

    if (r->written - r->tail_seen == SLOTS)
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (r->written - r->tail_seen == SLOTS)
        return; /* lost, as on any wire whose queue is full */
    for (uint32_t i = 0; i < f->niov; i++) {
        memcpy(r->slot[at].octets + len, f->iov[i].base, f->iov[i].len);
        len += (uint32_t)f->iov[i].len;
    }
    r->slot[at].len = len;
    r->slot[at].to_client = to_client;
    r->written++;
}

/* Whose it is of n: by the hash, or by the client's address, the last of the IPv4 header. */
static uint32_t owner(const struct estab_frame *f, enum end from, unsigned n)
{
    const uint8_t *ip = f->iov[0].base;

    return from == CLIENT ? estab_frame_shard(ESTAB_MEDIUM_IP, f, (uint16_t)n) : ip[19] - 1u;
}

/* What this end has to send, in runs of those that stay here. */
static void steer(struct core *c, enum end from)
{
    struct estab_frame f[BATCH];
    struct ring *r;
    int n, stay;

    while ((n = estab_output(c->s[from], c->port[from], f, BATCH)) > 0) {
        stay = 0;
        for (int i = 0; i < n; i++) {
            uint32_t to = owner(&f[i], from, c->town->n);

            if (to == c->number)
                f[stay++] = f[i];
            else
                cross(c->town->core[to]->in[c->number], &f[i], from == SERVER);
        }
        if (stay > 0)
            estab_input(c->s[!from], c->port[!from], f, (size_t)stay);
        for (unsigned to = 0; to < c->town->n; to++)
            if ((r = c->town->core[to]->in[c->number]))
                atomic_store_explicit(&r->head, r->written, memory_order_release);
    }
}

static void take_crossed(struct core *c, struct ring *r)
{
    struct estab_frame f[2][BATCH];
    size_t n[2] = {0, 0};

    if (r->head_seen == r->lent)
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
    while (r->lent != r->head_seen && n[CLIENT] < BATCH && n[SERVER] < BATCH) {
        uint32_t at = r->lent++ % SLOTS;
        enum end to = r->slot[at].to_client ? CLIENT : SERVER;

        f[to][n[to]++] =
            (struct estab_frame){.niov = 1, .iov = {{r->slot[at].octets, r->slot[at].len}}};
    }
    for (int e = 0; e < 2; e++)
        if (n[e] > 0)
            estab_input(c->s[e], c->port[e], f[e], n[e]);
    if (n[CLIENT] + n[SERVER] > 0)
        atomic_store_explicit(&r->tail, r->lent, memory_order_release);
}

/* ---- the application ---- */

static void begin(struct core *c, estab_sock *k)
{
    struct estab_addr to = place_of(SERVER, 0, BENCH_PORT);

    if (estab_socket(c->s[CLIENT], ESTAB_TCP, k) < 0 ||
        estab_connect(c->s[CLIENT], *k, &to) != ESTAB_E_INPROGRESS ||
        estab_watch(c->s[CLIENT], *k, ESTAB_EV_OUT, k) < 0)
        c->town->failed = true;
}

static void count(struct core *c, uint64_t units)
{
    atomic_store_explicit(&c->units, atomic_load_explicit(&c->units, memory_order_relaxed) + units,
                          memory_order_relaxed);
}

static void client_event(struct core *c, const struct estab_event *e)
{
    struct estab_iov v = {c->buf, c->town->bulk ? BENCH_CHUNK : MESSAGE_LEN};

    if (e->mask & (ESTAB_EV_ERR | ESTAB_EV_HUP)) {
        c->town->failed = true;
    } else if (c->town->bulk) {
        while (estab_send(c->s[CLIENT], e->sock, &v, 1, 0) > 0)
            ;
    } else if (e->mask & ESTAB_EV_OUT) {
        if (estab_send(c->s[CLIENT], e->sock, &v, 1, 0) != MESSAGE_LEN)
            c->town->failed = true;
        estab_watch(c->s[CLIENT], e->sock, ESTAB_EV_IN, e->user);
    } else if (estab_recv(c->s[CLIENT], e->sock, &v, 1, 0) == MESSAGE_LEN) {
        estab_close(c->s[CLIENT], e->sock);
        count(c, 1);
        begin(c, e->user);
    }
}

static void server_event(struct core *c, const struct estab_event *e)
{
    struct estab_iov v = {c->buf, BENCH_CHUNK};
    estab_sock k;
    ptrdiff_t n;

    if (e->user) { /* the listener */
        while (estab_accept(c->s[SERVER], c->listener, &k, NULL) == 0)
            estab_watch(c->s[SERVER], k, ESTAB_EV_IN, NULL);
        return;
    }
    while ((n = estab_recv(c->s[SERVER], e->sock, &v, 1, 0)) > 0) {
        if (c->town->bulk)
            count(c, (uint64_t)n);
        else if (estab_send(c->s[SERVER], e->sock, &(struct estab_iov){c->buf, (size_t)n}, 1, 0) !=
                 n)
            c->town->failed = true;
    }
    if (n == 0)
        estab_close(c->s[SERVER], e->sock);
}

static void *core_run(void *arg)
{
    struct core *c = arg;
    struct estab_event e[64];

    /* One that is kept waiting keeps the other waiting, who spins: where it may be had, both have
     * their cores alone. */
    pthread_setschedparam(pthread_self(), SCHED_RR, &(struct sched_param){.sched_priority = 1});
    pin_to(c->number);
    if (!stack_open(c, CLIENT) || !stack_open(c, SERVER))
        c->town->failed = true;
    for (int i = 0; !c->town->failed && i < (c->town->bulk ? STREAMS : INFLIGHT); i++)
        begin(c, &c->conn[i]);
    while (!atomic_load_explicit(&c->town->stop, memory_order_relaxed) && !c->town->failed) {
        for (unsigned i = 0; i < c->town->n; i++)
            if (c->in[i])
                take_crossed(c, c->in[i]);
        for (enum end k = CLIENT; k <= SERVER; k++) {
            steer(c, k);
            if (estab_deadline(c->s[k]) <= steer_now(NULL))
                estab_expire(c->s[k]);
            for (size_t i = 0, n = estab_events(c->s[k], e, 64); i < n; i++)
                (k == CLIENT ? client_event : server_event)(c, &e[i]);
        }
    }
    for (int k = 0; k < 2; k++)
        estab_stack_free(c->s[k]);
    return NULL;
}

/* ---- a run ---- */

static double thread_seconds(pthread_t t)
{
    struct timespec at = {0};
    clockid_t clock;

    if (pthread_getcpuclockid(t, &clock) == 0)
        clock_gettime(clock, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* Until every core has worked that long since `from`, and has something to show for it. */
static void await_work(const struct town *t, const double *from, const uint64_t *before,
                       double seconds)
{
    const struct timespec ms = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < t->n && !t->failed;) {
        if (thread_seconds(t->core[i]->thread) - from[i] >= seconds &&
            t->core[i]->units > before[i])
            i++;
        else
            nanosleep(&ms, NULL);
    }
}

static void *cleared(size_t len)
{
    void *p = steer_alloc(NULL, len, 128);

    if (!p) {
        fprintf(stderr, "steer: out of memory\n");
        exit(1);
    }
    return memset(p, 0, len);
}

/* Bit/s or connections a second of all cores together, each by its own CPU time; 0: it failed. */
double run_steered(unsigned cores, bool bulk, double seconds)
{
    struct town t = {.n = cores, .bulk = bulk};
    double from[MOST] = {0}, sum = 0;
    uint64_t before[MOST] = {0};

    for (unsigned i = 0; i < cores; i++) {
        t.core[i] = cleared(sizeof *t.core[i]);
        t.core[i]->town = &t;
        t.core[i]->number = i;
        t.core[i]->random = i;
        for (unsigned k = 0; k < cores; k++)
            if (k != i)
                t.core[i]->in[k] = cleared(sizeof *t.core[i]->in[k]);
    }
    for (unsigned i = 0; i < cores; i++)
        if (pthread_create(&t.core[i]->thread, NULL, core_run, t.core[i]))
            exit(1);
    await_work(&t, from, before, seconds / 4);
    for (unsigned i = 0; i < cores; i++) {
        from[i] = thread_seconds(t.core[i]->thread);
        before[i] = t.core[i]->units;
    }
    await_work(&t, from, before, seconds);
    for (unsigned i = 0; i < cores; i++)
        sum +=
            (double)(t.core[i]->units - before[i]) / (thread_seconds(t.core[i]->thread) - from[i]);
    t.stop = true;
    for (unsigned i = 0; i < cores; i++)
        pthread_join(t.core[i]->thread, NULL);
    for (unsigned i = 0; i < cores; i++) {
        for (unsigned k = 0; k < cores; k++)
            free(t.core[i]->in[k]);
        free(t.core[i]);
    }
    return t.failed ? 0 : (bulk ? 8 : 1) * sum;
}

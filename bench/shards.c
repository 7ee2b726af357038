/* SPDX-License-Identifier: BSD-2-Clause */
/* shards.c - two threads with a shard each of one address, against one thread with all of it.
 *
 * The hash of a flow is the same both ways, so clients that are shards of one address as well have
 * their connections where the server's shard of the same number has them: a thread has both, and no
 * frame, no octet and no line of memory goes from one to the other.  Both work at the same time, on
 * a core each, in turns with the one; each is asked for its own CPU time, so that what else runs on
 * the machine takes from neither. */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 2, WORKLOADS = 3 };

struct worker {
    pthread_t thread;
    pthread_barrier_t *gate;
    unsigned number, runs;
    double seconds; /* a run should take */
    bool ok;
    /* By workload and run: what it did in a second, alone with everything and beside the other. */
    double (*alone)[SHARD_RUNS], (*beside)[SHARD_RUNS];
};

void pin_to(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static bool work(struct pair *p, int workload, uint64_t count, struct result *r, const conn c[2],
                 double *rate)
{
    const struct driver *d = &drive_estab;
    size_t next = 0;
    bool ok = workload == 0   ? run_bulk(d, p, BENCH_WRITE, count, r)
              : workload == 1 ? run_crr(d, p, 1, count, r)
                              : run_rr(d, p, &c[CLIENT], &c[SERVER], 1, &next, count, r);

    *rate = ok ? (workload == 0 ? 8.0 * (double)r->octets : (double)r->units) / r->seconds : 0;
    return ok;
}

struct place { /* a pair, one of its connections, and how much of each workload is a run */
    struct pair *p;
    conn c[2];
    uint64_t count[WORKLOADS];
};

static bool place_open(struct place *at, uint16_t shard, uint16_t nshards, double seconds)
{
    struct settings set = {.window = 65536,
                           .conns = 1000,
                           .timewaits = 20000u / nshards,
                           .ports = BENCH_PORTS,
                           .mtu = 1500,
                           .shard = shard,
                           .nshards = nshards};
    struct result r;
    double rate;

    at->p = drive_estab.open(&set);
    if (!at->p || !make_conns(&drive_estab, at->p, 1, set.ports, &at->c[CLIENT], &at->c[SERVER]) ||
        !check_text(&drive_estab, at->p, at->c[CLIENT], at->c[SERVER]))
        return false;
    for (int w = 0; w < WORKLOADS; w++) {
        for (uint64_t n = w == 0 ? 1 << 22 : 256;; n *= 4) {
            if (!work(at->p, w, n, &r, at->c, &rate))
                return false;
            at->count[w] = (uint64_t)((double)n * seconds / r.seconds) + 1;
            if (r.seconds > seconds / 20)
                break;
        }
    }
    return true;
}

/* The first has two places, and uses one of them while the second waits. */
static void *worker_run(void *arg)
{
    struct worker *w = arg;
    struct place all = {0}, part = {0};
    struct result r;

    pin_to(w->number);
    w->ok = (w->number > 0 || place_open(&all, 0, 1, w->seconds)) &&
            place_open(&part, (uint16_t)w->number, WORKERS, w->seconds);
    for (int k = 0; k < WORKLOADS; k++) {
        for (unsigned i = 0; i < w->runs; i++) {
            pthread_barrier_wait(w->gate);
            if (w->number == 0 && w->ok)
                w->ok = work(all.p, k, all.count[k], &r, all.c, &w->alone[k][i]);
            pthread_barrier_wait(w->gate);
            if (w->ok)
                w->ok = work(part.p, k, part.count[k], &r, part.c, &w->beside[k][i]);
        }
    }
    pthread_barrier_wait(w->gate);
    if (all.p)
        drive_estab.close(all.p);
    if (part.p)
        drive_estab.close(part.p);
    return NULL;
}

static int by_rate(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double middle(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_rate);
    return v[n / 2];
}

bool run_shards(unsigned runs, double seconds, struct shards_result *r)
{
    static double alone[WORKLOADS][SHARD_RUNS], beside[WORKERS][WORKLOADS][SHARD_RUNS];
    struct worker w[WORKERS];
    pthread_barrier_t gate;
    bool ok = true;

    pthread_barrier_init(&gate, NULL, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){.gate = &gate,
                               .number = i,
                               .runs = runs,
                               .seconds = seconds,
                               .alone = alone,
                               .beside = beside[i]};
        if (pthread_create(&w[i].thread, NULL, worker_run, &w[i])) {
            perror("shards: a thread");
            exit(1);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(w[i].thread, NULL);
        ok &= w[i].ok;
    }
    pthread_barrier_destroy(&gate);
    for (int k = 0; ok && k < WORKLOADS; k++) {
        for (unsigned i = 0; i < runs; i++)
            beside[0][k][i] += beside[1][k][i];
        r->one[k] = middle(alone[k], runs);
        r->two[k] = middle(beside[0][k], runs);
    }
    return ok;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c - estab-bench, which `estab bench` runs: the tables, estab and lwIP taking turns.
 *
 * A figure is the median of RUNS runs of the thread's CPU time. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS        7
#define RUN_TIME    (quick ? 0.002 : 0.12) /* seconds a run should take */
#define KIB         1024u
#define MIB         (KIB * KIB)
#define LWIP_CONNS  10000 /* more would take it minutes */
#define QUICK_CONNS 200
/* TIME-WAITs kept while connections come and go.  lwIP, which scans them, is fastest with few. */
#define ESTAB_TIMEWAITS 20000
#define LWIP_TIMEWAITS  64
#define MANY_TIMEWAITS  100000 /* what a busy host has, and should not feel */

enum workload { BULK, CRR, CRR_TOGETHER, RR, RR_TOGETHER };
#define WORKLOADS (RR_TOGETHER + 1)
static const char *const workload_name[] = {"bulk", "crr", "crr32", "rr", "rr32"};
static FILE *figures;
static bool quick;

struct bed { /* a pair with n connections in its tables */
    const struct driver *d;
    struct pair *p; /* NULL: this stack is not measured here */
    size_t n, next;
    conn *client, *server;
    bool capped;
    size_t before; /* octets at CLIENT without connections */
    size_t write;  /* octets that are sent at once in bulk */
};

/* Where each stack carries most, which the tables by window and by write show. */
#define ESTAB_WINDOW (256 * KIB)
#define LWIP_WINDOW  (64 * KIB)

static void figure(const char *name, double value)
{
    if (figures && value > 0)
        fprintf(figures, "%s %.6g\n", name, value);
}

/* fmt has one %s, for the label of the row. */
static void figure_of(const char *fmt, const char *label, double value)
{
    char name[64];

    snprintf(name, sizeof name, fmt, label);
    figure(name, value);
}

static void bed_close(struct bed *b)
{
    if (b->p)
        b->d->close(b->p);
    free(b->client);
    free(b->server);
    *b = (struct bed){0};
}

/* A destination has some 60,000 ports for connections, and some must be left. */
static uint32_t ports_for(size_t n)
{
    size_t ports = n / 16000 < BENCH_PORTS ? BENCH_PORTS : n / 16000;

    return ports < BENCH_PORTS_MAX ? (uint32_t)ports : BENCH_PORTS_MAX;
}

static struct settings settings_for(uint32_t window, size_t n)
{
    return (struct settings){.window = window,
                             .conns = (uint32_t)n + 1000,
                             .timewaits = ESTAB_TIMEWAITS,
                             .ports = ports_for(n),
                             .mtu = 1500};
}

static struct bed bed_open_set(const struct driver *d, const struct settings *set, size_t n)
{
    struct bed b = {.d = d, .n = n, .write = BENCH_WRITE};

    if (d == &drive_lwip && n > LWIP_CONNS)
        return b;
    b.client = calloc(n, sizeof b.client[0]);
    b.server = calloc(n, sizeof b.server[0]);
    b.p = d->open(set);
    if (!b.p || !b.client || !b.server)
        return b;
    b.before = d->memory(b.p, CLIENT);
    if (!make_conns(d, b.p, n, set->ports, b.client, b.server) ||
        !check_text(d, b.p, b.client[0], b.server[0])) {
        bed_close(&b);
        b.d = d;
    }
    return b;
}

static uint32_t best_window(const struct driver *d)
{
    return d == &drive_estab ? ESTAB_WINDOW : LWIP_WINDOW;
}

static struct bed bed_open(const struct driver *d, uint32_t window, size_t n)
{
    struct settings set = settings_for(window, n);

    return bed_open_set(d, &set, n);
}

/* With so many TIME-WAITs, all of which stay. */
static struct bed bed_open_timewaits(const struct driver *d, size_t n, uint32_t timewaits)
{
    struct settings set = settings_for(best_window(d), n);
    struct bed b;

    set.timewaits += timewaits;
    b = bed_open_set(d, &set, n);
    if (b.p && !make_timewaits(d, b.p, timewaits, set.ports))
        bed_close(&b);
    return b;
}

static bool run(struct bed *b, enum workload w, uint64_t count, struct result *r)
{
    if ((w == CRR || w == CRR_TOGETHER) && b->d->cap_timewaits && !b->capped) {
        b->d->cap_timewaits(b->p, LWIP_TIMEWAITS);
        b->capped = true;
    }
    switch (w) {
    case BULK:
        return run_bulk(b->d, b->p, b->write, count, r);
    case CRR:
        return run_crr(b->d, b->p, 1, count, r);
    case CRR_TOGETHER:
        return run_crr(b->d, b->p, BENCH_TOGETHER, count, r);
    case RR:
        return run_rr(b->d, b->p, b->client, b->server, b->n, &b->next, count, r);
    case RR_TOGETHER:
        return run_rr_together(b->d, b->p, b->client, b->server, b->n, &b->next, count, r);
    }
    return false;
}

/* What a run counts, per second: bits of text, connections, exchanges. */
static double rate(enum workload w, const struct result *r)
{
    return (w == BULK ? 8.0 * (double)r->octets : (double)r->units) / r->seconds;
}

/* How much to do in RUN_TIME: by a short run, which warms up as well. */
static uint64_t calibrate(struct bed *b, enum workload w)
{
    uint64_t count = w == BULK ? 16 * MIB : 256;
    struct result r;

    while (run(b, w, count, &r)) {
        if (r.seconds > RUN_TIME / 20)
            return (uint64_t)((double)count * RUN_TIME / r.seconds) + 1;
        count *= 4;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct score {
    double rate, ns, frames; /* frames per unit */
};

/* Both stacks in turns, so that a drift of the machine meets both. */
static void measure(struct bed bed[2], enum workload w, struct score score[2])
{
    double v[2][RUNS];
    uint64_t count[2];

    memset(score, 0, 2 * sizeof score[0]);
    for (int k = 0; k < 2; k++)
        count[k] = bed[k].p ? calibrate(&bed[k], w) : 0;
    for (int i = 0; i < RUNS; i++) {
        for (int k = 0; k < 2; k++) {
            struct result r;

            if (!count[k] || !run(&bed[k], w, count[k], &r)) {
                count[k] = 0;
                continue;
            }
            v[k][i] = rate(w, &r);
            score[k].frames = (double)r.frames / (double)r.units;
        }
    }
    for (int k = 0; k < 2; k++) {
        if (!count[k])
            continue;
        qsort(v[k], RUNS, sizeof v[k][0], by_value);
        score[k].rate = v[k][RUNS / 2];
        score[k].ns = (w == BULK ? 8.0 * 1460 : 1.0) * 1e9 / score[k].rate;
    }
}

static const char *cell(char *buf, size_t len, double value, const char *fmt)
{
    if (value > 0)
        snprintf(buf, len, fmt, value);
    else
        snprintf(buf, len, "-");
    return buf;
}

static void row(const char *label, enum workload w, const struct score score[2])
{
    double unit = w == BULK ? 1e-9 : 1e-3;
    char c[5][32];

    printf("  %9s | %8s %8s | %8s %8s | %6s\n", label,
           cell(c[0], sizeof c[0], score[0].rate * unit, "%.1f"),
           cell(c[1], sizeof c[1], score[0].ns, "%.0f"),
           cell(c[2], sizeof c[2], score[1].rate * unit, "%.1f"),
           cell(c[3], sizeof c[3], score[1].ns, "%.0f"),
           cell(c[4], sizeof c[4], score[1].rate > 0 ? score[0].rate / score[1].rate : 0, "%.2f"));
    fflush(stdout);
}

static void head(const char *title, const char *first, const char *unit, const char *each)
{
    printf("\n%s\n  %9s | %17s | %17s |\n  %9s | %8s %8s | %8s %8s | ratio\n", title, "",
           "estab      ", "lwIP       ", first, unit, each, unit, each);
}

static const struct level {
    size_t n;
    const char *label;
} levels[] = {{1, "1"},       {100, "100"},     {1000, "1k"},
              {10000, "10k"}, {100000, "100k"}, {1000000, "1m"}};
#define LEVELS (sizeof levels / sizeof levels[0])

/* A quick run has every row, and few connections. */
static size_t size_of(const struct level *l)
{
    return quick && l->n > QUICK_CONNS ? QUICK_CONNS : l->n;
}

static const char *const title[] = {
    "Bulk, MTU 1500, checksums on, windows of 256 KiB (lwIP 64), by connections in the table",
    "Connect, 64 bytes, 64 bytes, close in four segments, by connections in the table",
    "The same, 32 connections at a time: each step of all before the next",
    "64-byte request and response, round robin over that many connections",
    "The same, 32 connections at a time: all ask, then all are answered",
};
/* Names of figures: the row of one connection has the plain name. */
static const struct names {
    const char *rate, *lwip, *ratio;
} first_names[] = {{"bulk_gbps", "bulk_gbps_lwip", "bulk_vs_lwip"},
                   {"conn_per_s", "conn_per_s_lwip", "conn_vs_lwip"},
                   {"conn32_per_s", "conn32_per_s_lwip", "conn32_vs_lwip"},
                   {"rr_1", "rr_1_lwip", "rr_1_vs_lwip"},
                   {"rr32_1", "rr32_1_lwip", "rr32_1_vs_lwip"}},
  more_names[] = {{"bulk_%s_idle_gbps", "bulk_%s_idle_gbps_lwip", "bulk_%s_idle_vs_lwip"},
                  {"conn_%s_idle_per_s", "conn_%s_idle_per_s_lwip", "conn_%s_idle_vs_lwip"},
                  {"conn32_%s_idle_per_s", "conn32_%s_idle_per_s_lwip", "conn32_%s_idle_vs_lwip"},
                  {"rr_%s", "rr_%s_lwip", "rr_%s_vs_lwip"},
                  {"rr32_%s", "rr32_%s_lwip", "rr32_%s_vs_lwip"}};

static void note(enum workload w, const struct level *l, const struct score s[2])
{
    const struct names *n = l->n == 1 ? &first_names[w] : &more_names[w];
    double unit = w == BULK ? 1e-9 : 1;

    figure_of(n->rate, l->label, s[0].rate * unit);
    figure_of(n->lwip, l->label, s[1].rate * unit);
    figure_of(n->ratio, l->label, s[1].rate > 0 ? s[0].rate / s[1].rate : 0);
}

static void by_connections(void)
{
    static struct score score[WORKLOADS][LEVELS][2];
    double idle[2] = {0, 0}, timewait = 0;

    for (size_t i = 0; i < LEVELS; i++) {
        struct bed bed[2] = {bed_open(&drive_estab, ESTAB_WINDOW, size_of(&levels[i])),
                             bed_open(&drive_lwip, LWIP_WINDOW, size_of(&levels[i]))};
        size_t used[2] = {0, 0};

        for (int k = 0; k < 2; k++) {
            if (!bed[k].p)
                continue;
            used[k] = bed[k].d->memory(bed[k].p, CLIENT);
            idle[k] = (double)(used[k] - bed[k].before) / (double)bed[k].n;
        }
        fprintf(stderr, "... %s connections\n", levels[i].label);
        measure(bed, BULK, score[BULK][i]);
        measure(bed, RR, score[RR][i]);
        if (size_of(&levels[i]) >= BENCH_TOGETHER)
            measure(bed, RR_TOGETHER, score[RR_TOGETHER][i]);
        used[0] = bed[0].p ? drive_estab.memory(bed[0].p, CLIENT) : 0;
        measure(bed, CRR, score[CRR][i]);
        if (bed[0].p && i == 0)
            timewait = (double)(drive_estab.memory(bed[0].p, CLIENT) - used[0]) / ESTAB_TIMEWAITS;
        measure(bed, CRR_TOGETHER, score[CRR_TOGETHER][i]);
        bed_close(&bed[0]);
        bed_close(&bed[1]);
    }
    for (enum workload w = BULK; w < WORKLOADS; w++) {
        head(title[w], w >= RR ? "live" : "idle", w == BULK ? "Gbit/s" : "1000/s",
             w == BULK ? "ns/seg" : "ns");
        for (size_t i = 0; i < LEVELS; i++) {
            row(levels[i].label, w, score[w][i]);
            note(w, &levels[i], score[w][i]);
        }
        if (w == CRR)
            printf("  %.0f and %.0f frames each; TIME-WAITs kept: estab %d, lwIP %d\n",
                   score[CRR][0][0].frames, score[CRR][0][1].frames, ESTAB_TIMEWAITS,
                   LWIP_TIMEWAITS);
    }
    figure("bulk_ns_per_segment", score[BULK][0][0].ns);
    figure("conn_1m_idle_ratio", score[CRR][LEVELS - 1][0].rate / score[CRR][0][0].rate);
    printf("\nOctets a connection, one end, from the allocator\n"
           "  idle ESTABLISHED %.0f (lwIP: %.0f, its control block alone), TIME-WAIT %.0f\n",
           idle[0], idle[1], timewait);
    figure("bytes_idle", idle[0]);
    figure("bytes_idle_lwip", idle[1]);
    figure("bytes_time_wait", timewait);
}

static double bulk_rate(uint32_t window, uint32_t mtu, size_t write, bool lends)
{
    struct settings set = settings_for(window, 1);
    struct bed bed[2] = {{.d = &drive_estab}, {.d = &drive_lwip}};
    struct score score[2];

    set.mtu = mtu;
    set.lends = lends;
    bed[0] = bed_open_set(&drive_estab, &set, 1);
    bed[0].write = write;
    measure(bed, BULK, score);
    bed_close(&bed[0]);
    return score[0].rate * 1e-9;
}

static void bulk_row(struct bed bed[2], const char *label, const char *rate, const char *lwip)
{
    struct score score[2];

    measure(bed, BULK, score);
    row(label, BULK, score);
    figure_of(rate, label, score[0].rate * 1e-9);
    figure_of(lwip, label, score[1].rate * 1e-9);
}

static void by_window(void)
{
    static const struct {
        uint32_t window;
        const char *label;
    } w[] = {{64 * KIB, "64k"}, {256 * KIB, "256k"}, {MIB, "1m"}, {4 * MIB, "4m"}};

    head("Bulk, by window", "window", "Gbit/s", "ns/seg");
    for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) {
        struct bed bed[2] = {bed_open(&drive_estab, w[i].window, 1), {.d = &drive_lwip}};

        if (w[i].window <= MIB)
            bed[1] = bed_open(&drive_lwip, w[i].window, 1);
        bulk_row(bed, w[i].label, "bulk_window_%s_gbps", "bulk_window_%s_gbps_lwip");
        bed_close(&bed[0]);
        bed_close(&bed[1]);
    }
    printf("  with the sender's text lent, not copied:");
    for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) {
        double rate = bulk_rate(w[i].window, 1500, BENCH_CHUNK, true);

        printf(" %s %.1f", w[i].label, rate);
        figure_of("bulk_window_%s_lent_gbps", w[i].label, rate);
    }
    printf(" Gbit/s\n");
}

static const struct {
    size_t octets;
    const char *label;
} writes[] = {{4 * KIB, "4k"}, {16 * KIB, "16k"}, {64 * KIB, "64k"}};
#define WRITES (sizeof writes / sizeof writes[0])

static void by_write(void)
{
    struct bed bed[2] = {bed_open(&drive_estab, ESTAB_WINDOW, 1),
                         bed_open(&drive_lwip, LWIP_WINDOW, 1)};

    head("Bulk, by what the application writes at once", "octets", "Gbit/s", "ns/seg");
    for (size_t i = 0; i < WRITES; i++) {
        bed[0].write = bed[1].write = writes[i].octets;
        bulk_row(bed, writes[i].label, "bulk_write_%s_gbps", "bulk_write_%s_gbps_lwip");
    }
    bed_close(&bed[0]);
    bed_close(&bed[1]);
}

/* Packets of 64 KiB, whole and with their checksums; and without the copy out of the sender's
 * buffer: one pass then sums, another copies and verifies. */
static void large_segments(void)
{
    double lent = bulk_rate(MIB, 65535, BENCH_CHUNK, true);

    printf("\nBulk over a link with an MTU of 65,535, 1 MiB window, by what is written at once:");
    for (size_t i = 0; i < WRITES; i++) {
        double rate = bulk_rate(MIB, 65535, writes[i].octets, false);

        printf(" %s %.1f", writes[i].label, rate);
        figure_of("bulk_64k_write_%s_gbps", writes[i].label, rate);
        if (writes[i].octets == BENCH_WRITE)
            figure("bulk_64k_gbps", rate);
    }
    printf(" Gbit/s; with the sender's text lent: %.1f\n", lent);
    figure("bulk_64k_lent_gbps", lent);
}

/* lwIP without the cap: what it does when TIME-WAITs stay as long as they should. */
static void lwip_with_timewaits(void)
{
    struct bed b = bed_open(&drive_lwip, 64 * KIB, 1);
    struct result r;

    if (b.p && run_crr(b.d, b.p, 1, quick ? 90 : 9000, &r) &&
        run_crr(b.d, b.p, 1, quick ? 10 : 1000, &r)) {
        printf("  lwIP with 10,000 TIME-WAITs in its list: %.1f thousand connections a second\n",
               rate(CRR, &r) * 1e-3);
        figure("conn_per_s_lwip_10k_time_wait", rate(CRR, &r));
    }
    bed_close(&b);
}

/* SYNs that get no answer to their SYN,ACK: what a half-open connection costs the listener. */
static void half_open(void)
{
    enum { N = 50000 };
    struct settings set = {.window = 64 * KIB,
                           .conns = N + 1000,
                           .timewaits = 1000,
                           .ports = BENCH_PORTS,
                           .mtu = 1500};
    struct pair *p = drive_estab.open(&set);
    size_t before;

    if (!p)
        return;
    before = drive_estab.memory(p, SERVER);
    for (int i = 0; i < N; i++) {
        if (!drive_estab.connect(p, (uint16_t)(BENCH_PORT + i % BENCH_PORTS)))
            fprintf(stderr, "estab: connect was refused\n");
        drive_estab.move(p, CLIENT);
    }
    printf("  SYN-RECEIVED %.0f\n", (double)(drive_estab.memory(p, SERVER) - before) / N);
    figure("bytes_half_open", (double)(drive_estab.memory(p, SERVER) - before) / N);
    drive_estab.close(p);
}

/* What they cost in instructions is bench/instr's to say: time is not so exact. */
static void many_timewaits(void)
{
    uint32_t n = quick ? 2000 : MANY_TIMEWAITS;
    struct bed b = bed_open_timewaits(&drive_estab, 1, n);
    double octets = b.p ? (double)(drive_estab.memory(b.p, CLIENT) - b.before) : 0;

    printf("  %u TIME-WAITs and a connection %.0f\n", (unsigned)n, octets);
    figure("bytes_100k_time_wait", octets * MANY_TIMEWAITS / n);
    bed_close(&b);
}

static void checksum(void)
{
    struct csum_result r;

    run_csum(&r);
    printf("\nChecksum of 1460 octets, ns\n"
           "  16-bit loop %.0f, csum_add %.0f; copied and summed: memcpy + csum_add %.0f, "
           "csum_copy %.0f\n",
           r.loop, r.add, r.copy_then_add, r.copy);
    figure("csum_1460_loop_ns", r.loop);
    figure("csum_1460_ns", r.add);
    figure("csum_copy_1460_ns", r.copy);
}

/* Behind a steerer, on one core and on two. */
static bool steered(bool bulk, const char *label, const char *name, double unit)
{
    double v[2][SHARD_RUNS], rate[2];
    int runs = quick ? 1 : SHARD_RUNS;

    for (int i = 0; i < runs; i++)
        for (unsigned k = 0; k < 2; k++)
            v[k][i] = run_steered(k + 1, bulk, RUN_TIME);
    for (int k = 0; k < 2; k++) {
        qsort(v[k], (size_t)runs, sizeof v[k][0], by_value);
        rate[k] = v[k][runs / 2];
        figure_of(k ? "shards_2_steered_%s" : "shards_1_steered_%s", name,
                  rate[k] * (bulk ? unit : 1));
    }
    printf("  %-26s | %8.1f %8.1f | %5.2f\n", label, rate[0] * unit, rate[1] * unit,
           rate[1] / rate[0]);
    figure(bulk ? "shards_2_steered_ratio" : "shards_2_steered_conn_ratio", rate[1] / rate[0]);
    return rate[0] > 0 && rate[1] > 0;
}

static int shards(void)
{
    static const struct {
        const char *title, *rate, *one, *ratio;
        double unit;
    } row[] = {{"bulk, Gbit/s", "shards_2_gbps", "shards_1_gbps", "shards_2_ratio", 1e-9},
               {"short connections, 1000/s", "shards_2_conn_per_s", "shards_1_conn_per_s",
                "shards_2_conn_ratio", 1e-3},
               {"exchanges, 1000/s", "shards_2_rr", "shards_1_rr", "shards_2_rr_ratio", 1e-3}};
    struct shards_result r;

    if (!run_shards(quick ? 1 : SHARD_RUNS, RUN_TIME, &r))
        return 1;
    printf("\nTwo threads with a shard each of one address, against one with all of it\n"
           "  %-26s | %8s %8s | ratio\n",
           "", "one", "two");
    for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
        printf("  %-26s | %8.1f %8.1f | %5.2f\n", row[k].title, r.one[k] * row[k].unit,
               r.two[k] * row[k].unit, r.two[k] / r.one[k]);
        figure(row[k].one, r.one[k] * (k == 0 ? 1e-9 : 1));
        figure(row[k].rate, r.two[k] * (k == 0 ? 1e-9 : 1));
        figure(row[k].ratio, r.two[k] / r.one[k]);
    }
    return steered(true, "bulk, Gbit/s, steered", "gbps", 1e-9) &&
                   steered(false, "connections, steered", "conn_per_s", 1e-3)
               ? 0
               : 1;
}

/* STACK WORKLOAD CONNECTIONS COUNT [TIMEWAITS] */
static int once(char **argv)
{
    const struct driver *d = strcmp(argv[0], "lwip") ? &drive_estab : &drive_lwip;
    size_t n = strtoul(argv[2], NULL, 10);
    uint64_t count = strtoull(argv[3], NULL, 10);
    struct bed b = bed_open_timewaits(d, n, argv[4] ? (uint32_t)strtoul(argv[4], NULL, 10) : 0);
    struct result r;
    int status = 1;

    for (enum workload w = BULK; b.p && w < WORKLOADS; w++) {
        if (strcmp(argv[1], workload_name[w]) == 0 && run(&b, w, count, &r)) {
            printf("%" PRIu64 "\n", r.units);
            fprintf(stderr, "%.1f ns\n", 1e9 * r.seconds / (double)r.units);
            status = 0;
        }
    }
    bed_close(&b);
    return status;
}

/* 10M is 10,000,000; 0: no number. */
static size_t count_of(const char *arg)
{
    char *end;
    size_t n = strtoul(arg, &end, 10), unit = *end == 'M' ? 1000000 : *end == 'k' ? 1000 : 1;

    return *arg < '0' || *arg > '9' || end[unit > 1] || n > SIZE_MAX / unit ? 0 : n * unit;
}

static int wrong(const char *what, const char *arg)
{
    fprintf(stderr, "estab bench: %s%s\ntry 'estab bench --help'\n", what, arg);
    return 2;
}

static int connections(const char *arg)
{
    enum { EACH = 40000 }; /* to a port of the listener's */
    size_t n = count_of(arg), most;
    struct settings set = {.window = 64 * KIB,
                           .conns = (uint32_t)n + 1000,
                           .timewaits = ESTAB_TIMEWAITS,
                           .ports = (uint32_t)(n / EACH + 1),
                           .mtu = 1500};
    struct pair *p;

    if (n == 0 || n / EACH >= BENCH_PORTS_MAX)
        return wrong("connections: a number from 1 to 20M, not ", arg);
    p = drive_estab.open(&set);
    most = p ? run_connections(&drive_estab, p, n, set.ports) : 0;
    if (p)
        drive_estab.close(p);
    figure("connections_max", (double)most);
    printf("connections at the same time: %zu\n", most);
    return most == n ? 0 : 1;
}

/* In a process of its own: the memory that a million connections have left in pieces costs the next
 * table 1 to 20 %. */
static bool apart(void (*table)(void))
{
    int status = 1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        table();
        _exit(fflush(NULL) || ferror(stdout) ? 1 : 0);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
        return true;
    fprintf(stderr,
            "estab bench: a table was not finished: no memory, it was ended, or it could not "
            "be written\n");
    return false;
}

static int tables(void)
{
    static void (*const each[])(void) = {by_connections,      half_open, many_timewaits,
                                         lwip_with_timewaits, by_window, by_write,
                                         large_segments,      checksum};

    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        if (!apart(each[i]))
            return 1;
    return shards();
}

static int command(int argc, char **argv)
{
    if (argc == 0)
        return tables();
    if (strcmp(argv[0], "shards") == 0)
        return argc == 1 ? shards() : wrong("shards takes no arguments", "");
    if (strcmp(argv[0], "connections") == 0)
        return argc == 2 ? connections(argv[1]) : wrong("connections takes a number", "");
    if (strcmp(argv[0], "once") == 0)
        return argc == 5 || argc == 6 ? once(argv + 1)
                                      : wrong("once takes four or five arguments", "");
    return wrong("there is nothing called ", argv[0]);
}

int main(int argc, char *argv[])
{
    static const struct option options[] = {
        {"figures", required_argument, NULL, 'f'}, {"quick", no_argument, NULL, 'q'}, {0}};
    int c, status;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'f':
            figures = fopen(optarg, "a");
            if (!figures) {
                perror(optarg);
                return 1;
            }
            break;
        case 'q':
            quick = true;
            break;
        default:
            return wrong("not like this", "");
        }
    }
    status = command(argc - optind, argv + optind);
    if (fflush(stdout) || ferror(stdout) || (figures && fclose(figures))) {
        fprintf(stderr, "estab bench: cannot write the output: %s\n", strerror(errno));
        return 1;
    }
    return status;
}

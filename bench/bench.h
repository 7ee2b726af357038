/* SPDX-License-Identifier: BSD-2-Clause */
/* bench.h - what a benchmark needs of a TCP/IP stack: two ends in one process, in memory.
 *
 * The workloads (workload.c) are written once against `struct driver`; every stack has one
 * (drive_*.c).  Frames are bare IP packets, MTU 1500, handed over by reference; an end reads what
 * the other has built.  Checksums are computed and verified.  Text is copied from the
 * application's buffer and into the application's buffer.  Time is virtual. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum end { CLIENT, SERVER };

#define BENCH_PORT      1000 /* listeners: this port and those behind it */
#define BENCH_PORTS     8
#define BENCH_PORTS_MAX 512
#define BENCH_CHUNK     65536 /* octets of the application's buffers */
#define BENCH_WRITE     16384 /* ... that it sends at once, unless a table says otherwise */

typedef uint64_t conn; /* a connection at one end; a handle or a pointer of the driver's */

struct settings {
    uint32_t window;    /* send and receive buffer, octets */
    uint32_t conns;     /* connections that will exist at the same time, at most */
    uint32_t timewaits; /* TIME-WAITs kept, at most */
    bool timestamps;    /* RFC 7323 */
    uint32_t ports;     /* listeners; lwIP has BENCH_PORTS */
    uint32_t mtu;       /* of the link; lwIP's is 1500 */
    uint16_t shard;     /* of both ends' addresses, of ... */
    uint16_t nshards;   /* 0: 1 */
    bool lends;         /* the sender's text is not copied (estab) */
};

struct pair;
struct driver {
    const char *name;
    struct pair *(*open)(const struct settings *s); /* NULL: said why on stderr */
    void (*close)(struct pair *p);
    /* Everything that `from` has to send reaches the other end; how many frames. */
    unsigned (*move)(struct pair *p, enum end from);
    /* Time passes (ns), due timers run at both ends. */
    void (*pass)(struct pair *p, uint64_t ns);
    /* A new connection from CLIENT to SERVER; 0: refused. */
    conn (*connect)(struct pair *p, uint16_t port);
    bool (*is_open)(struct pair *p, conn c);       /* at CLIENT: established */
    conn (*accept)(struct pair *p, uint16_t port); /* 0: none */
    /* Copies what fits from buf; how much. */
    size_t (*send)(struct pair *p, enum end e, conn c, const void *buf, size_t len);
    /* What has come is in buf afterwards (at most BENCH_CHUNK octets); how much. */
    size_t (*recv)(struct pair *p, enum end e, conn c, void *buf);
    /* From now on text goes straight to buf, again and again from its beginning, and recv() says
     * how much; NULL: it always does, or never. */
    bool (*lend)(struct pair *p, enum end e, conn c, void *buf);
    bool (*at_end)(struct pair *p, enum end e, conn c); /* the peer's FIN has come */
    void (*shut)(struct pair *p, enum end e, conn c);   /* graceful close; c is dead */
    /* Octets that the end has allocated; 0: not known. */
    size_t (*memory)(const struct pair *p, enum end e);
    /* From now on at most n TIME-WAITs; NULL: settings.timewaits has done it. */
    void (*cap_timewaits)(struct pair *p, uint32_t n);
};

extern const struct driver drive_estab;
extern const struct driver drive_lwip;

/* The application's buffers, of each thread; a driver whose stack pushes text copies it to `in` as
 * it comes. */
extern _Thread_local uint8_t bench_out[2][BENCH_CHUNK], bench_in[2][BENCH_CHUNK];

struct result {
    double seconds;    /* CPU time of the thread */
    uint64_t octets;   /* of text delivered */
    uint64_t segments; /* frames from CLIENT to SERVER */
    uint64_t frames;   /* both ways */
    uint64_t units;    /* connections, exchanges, or segments that carry text */
};
/* Each returns false, with a line on stderr, if the stack did not do its work. */
/* write: octets that the application sends at once, at most BENCH_CHUNK. */
bool run_bulk(const struct driver *d, struct pair *p, size_t write, uint64_t octets,
              struct result *r);
/* n connections at a time, at most BENCH_TOGETHER, as an event loop meets them: each step of all
 * before the next. */
enum { BENCH_TOGETHER = 32 };
bool run_crr(const struct driver *d, struct pair *p, size_t n, uint64_t count, struct result *r);
/* next: where the round goes on, from one run to the next. */
bool run_rr(const struct driver *d, struct pair *p, const conn *client, const conn *server,
            size_t n, size_t *next, uint64_t count, struct result *r);
/* So many connections at a time: all ask, and then all are answered. */
bool run_rr_together(const struct driver *d, struct pair *p, const conn *client, const conn *server,
                     size_t n, size_t *next, uint64_t count, struct result *r);
/* A megabyte arrives as it was sent: what is measured works. */
bool check_text(const struct driver *d, struct pair *p, conn client, conn server);
/* Opens n connections; the handles go to client and server. */
bool make_conns(const struct driver *d, struct pair *p, size_t n, uint32_t ports, conn *client,
                conn *server);
/* n connections opened and closed, one after the other; a TIME-WAIT of each is left at CLIENT. */
bool make_timewaits(const struct driver *d, struct pair *p, size_t n, uint32_t ports);
/* n connections established, each answering a message, all closed; each step told on stderr.
 * Returns how many there were at the same time; 0: not all did. */
size_t run_connections(const struct driver *d, struct pair *p, size_t n, uint32_t ports);

double cpu_seconds(void);
void pin_to(unsigned cpu); /* this thread */

/* Bulk (bit/s), short connections, exchanges (a second): one thread with all, two with a shard. */
enum { SHARD_RUNS = 15 };
struct shards_result {
    double one[3], two[3];
};
bool run_shards(unsigned runs, double seconds, struct shards_result *r);
/* The same behind a steerer, clients that know nothing of shards: bit/s or short connections a
 * second of all `cores` (1 or 2) together; 0: it failed. */
double run_steered(unsigned cores, bool bulk, double seconds);

/* The Internet checksum alone: 64-bit adds against a 16-bit loop, ns per 1460 octets. */
struct csum_result {
    double loop, add, copy, copy_then_add;
};
void run_csum(struct csum_result *r);

#endif

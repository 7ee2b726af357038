/* SPDX-License-Identifier: BSD-2-Clause */
/* workload.c - what is measured: the same loop for every stack.
 *
 * The measured functions are not inlined: bench/instr has callgrind count from their entry to their
 * return. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 64
#define TURN_NS UINT64_C(1000)

_Thread_local uint8_t bench_out[2][BENCH_CHUNK], bench_in[2][BENCH_CHUNK];

double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool failed(const struct driver *d, const char *what)
{
    fprintf(stderr, "%s: %s\n", d->name, what);
    return false;
}

/* n at a time. */
static bool open_some(const struct driver *d, struct pair *p, uint16_t port, size_t n, conn *client,
                      conn *server, uint64_t *frames)
{
    for (size_t i = 0; i < n; i++)
        if (!(client[i] = d->connect(p, port)))
            return failed(d, "connect was refused");
    *frames += d->move(p, CLIENT);
    *frames += d->move(p, SERVER);
    *frames += d->move(p, CLIENT);
    for (size_t i = 0; i < n; i++) {
        if (!d->is_open(p, client[i]))
            return failed(d, "the handshake did not complete");
        if (!(server[i] = d->accept(p, port)))
            return failed(d, "nothing to accept");
    }
    return true;
}

/* Octet i of a stream. */
static uint8_t pattern(uint64_t i)
{
    return (uint8_t)((i * 2654435761u) >> 16);
}

bool check_text(const struct driver *d, struct pair *p, conn client, conn server)
{
    const uint64_t octets = 1000000;
    uint64_t sent = 0, received = 0;

    /* At most a buffer in flight: a stack that pushes text has no other place to put it, and one
     * that it is lent to reads it there. */
    for (int turn = 0; turn < 10000 && received < octets; turn++) {
        size_t room = BENCH_CHUNK - (size_t)(sent - received), at = sent % BENCH_CHUNK, n;

        if (room > octets - sent)
            room = (size_t)(octets - sent);
        if (room > BENCH_CHUNK - at)
            room = BENCH_CHUNK - at;
        for (size_t i = 0; i < room; i++)
            bench_out[CLIENT][at + i] = pattern(sent + i);
        sent += room ? d->send(p, CLIENT, client, bench_out[CLIENT] + at, room) : 0;
        d->move(p, CLIENT);
        while ((n = d->recv(p, SERVER, server, bench_in[SERVER])) > 0)
            for (size_t i = 0; i < n; i++)
                if (bench_in[SERVER][i] != pattern(received++))
                    return failed(d, "text arrived damaged");
        d->move(p, SERVER);
        d->pass(p, 1000 * TURN_NS);
    }
    /* Long enough for the last delayed acknowledgment: nothing is on the way any more. */
    for (int turn = 0; turn < 10; turn++) {
        d->pass(p, 100000 * TURN_NS);
        d->move(p, SERVER);
        d->move(p, CLIENT);
    }
    return received == octets || failed(d, "text did not arrive");
}

bool make_conns(const struct driver *d, struct pair *p, size_t n, uint32_t ports, conn *client,
                conn *server)
{
    uint64_t frames = 0;

    for (size_t i = 0; i < n; i++) {
        uint16_t port = (uint16_t)(BENCH_PORT + i % ports);

        if (!open_some(d, p, port, 1, &client[i], &server[i], &frames))
            return false;
        d->pass(p, TURN_NS);
    }
    return true;
}

/* The application looks at a connection after the stack has answered what came: so the FIN is
 * acknowledged by a segment of its own, and a close is four segments. */
static bool shut_some(const struct driver *d, struct pair *p, size_t n, const conn *client,
                      const conn *server, uint64_t *frames)
{
    for (size_t i = 0; i < n; i++)
        d->shut(p, CLIENT, client[i]);
    *frames += d->move(p, CLIENT);
    *frames += d->move(p, SERVER);
    for (size_t i = 0; i < n; i++) {
        if (!d->at_end(p, SERVER, server[i]))
            return failed(d, "a FIN did not arrive");
        d->shut(p, SERVER, server[i]);
    }
    *frames += d->move(p, SERVER);
    *frames += d->move(p, CLIENT);
    return true;
}

bool make_timewaits(const struct driver *d, struct pair *p, size_t n, uint32_t ports)
{
    uint64_t frames = 0;
    conn client, server;

    for (size_t i = 0; i < n; i++) {
        if (!open_some(d, p, (uint16_t)(BENCH_PORT + i % ports), 1, &client, &server, &frames) ||
            !shut_some(d, p, 1, &client, &server, &frames))
            return false;
        d->pass(p, TURN_NS);
    }
    return true;
}

__attribute__((noinline)) static uint64_t measured_bulk(const struct driver *d, struct pair *p,
                                                        conn client, conn server, size_t write,
                                                        uint64_t octets, struct result *r)
{
    uint64_t sent = 0, received = 0;
    unsigned still = 0;

    while (received < octets && still < 100000) {
        uint64_t before = received;
        size_t n;

        do {
            size_t want = octets - sent < write ? (size_t)(octets - sent) : write;
            n = want ? d->send(p, CLIENT, client, bench_out[CLIENT], want) : 0;
            sent += n;
        } while (n);
        n = d->move(p, CLIENT);
        r->segments += n;
        r->frames += n;
        while ((n = d->recv(p, SERVER, server, bench_in[SERVER])) > 0)
            received += n;
        r->frames += d->move(p, SERVER);
        still = received == before ? still + 1 : 0;
        /* When nothing moves a timer has to: virtual time goes to it faster. */
        d->pass(p, still < 4 ? TURN_NS : 1000 * TURN_NS);
    }
    return received;
}

bool run_bulk(const struct driver *d, struct pair *p, size_t write, uint64_t octets,
              struct result *r)
{
    conn client, server;
    uint64_t frames = 0;
    double start;

    *r = (struct result){0};
    if (!open_some(d, p, BENCH_PORT, 1, &client, &server, &frames))
        return false;
    if (d->lend && !d->lend(p, SERVER, server, bench_in[SERVER]))
        return failed(d, "no buffer could be lent");
    start = cpu_seconds();
    r->octets = measured_bulk(d, p, client, server, write, octets, r);
    r->seconds = cpu_seconds() - start;
    r->units = r->segments;
    d->shut(p, CLIENT, client);
    d->move(p, CLIENT);
    d->move(p, SERVER);
    d->shut(p, SERVER, server);
    d->move(p, SERVER);
    d->move(p, CLIENT);
    d->pass(p, TURN_NS);
    return r->octets == octets || failed(d, "the transfer stalled");
}

/* One on each of n connections. */
static bool messages(const struct driver *d, struct pair *p, enum end from, size_t n, const conn *c,
                     const conn *peer, uint64_t *frames)
{
    for (size_t i = 0; i < n; i++)
        if (d->send(p, from, c[i], bench_out[from], MESSAGE) != MESSAGE)
            return failed(d, "no room for a message");
    *frames += d->move(p, from);
    for (size_t i = 0; i < n; i++)
        if (d->recv(p, !from, peer[i], bench_in[!from]) != MESSAGE)
            return failed(d, "a message did not arrive");
    return true;
}

__attribute__((noinline)) static uint64_t measured_crr(const struct driver *d, struct pair *p,
                                                       size_t n, uint64_t count, struct result *r)
{
    conn client[BENCH_TOGETHER], server[BENCH_TOGETHER];
    uint64_t done;

    for (done = 0; done < count; done += n) {
        if (!open_some(d, p, BENCH_PORT, n, client, server, &r->frames) ||
            !messages(d, p, CLIENT, n, client, server, &r->frames) ||
            !messages(d, p, SERVER, n, server, client, &r->frames) ||
            !shut_some(d, p, n, client, server, &r->frames))
            break;
        d->pass(p, n * TURN_NS);
    }
    return done;
}

bool run_crr(const struct driver *d, struct pair *p, size_t n, uint64_t count, struct result *r)
{
    double start = cpu_seconds();

    *r = (struct result){0};
    r->units = measured_crr(d, p, n, count, r);
    r->seconds = cpu_seconds() - start;
    return r->units >= count;
}

__attribute__((noinline)) static uint64_t measured_rr(const struct driver *d, struct pair *p,
                                                      const conn *client, const conn *server,
                                                      size_t n, size_t *next, uint64_t count,
                                                      struct result *r)
{
    uint64_t i;

    for (i = 0; i < count; i++) {
        size_t at = *next;

        *next = at + 1 < n ? at + 1 : 0;
        if (!messages(d, p, CLIENT, 1, &client[at], &server[at], &r->frames) ||
            !messages(d, p, SERVER, 1, &server[at], &client[at], &r->frames))
            break;
        d->pass(p, TURN_NS);
    }
    return i;
}

bool run_rr(const struct driver *d, struct pair *p, const conn *client, const conn *server,
            size_t n, size_t *next, uint64_t count, struct result *r)
{
    double start = cpu_seconds();

    *r = (struct result){0};
    r->units = measured_rr(d, p, client, server, n, next, count, r);
    r->seconds = cpu_seconds() - start;
    return r->units == count;
}

bool run_rr_together(const struct driver *d, struct pair *p, const conn *client, const conn *server,
                     size_t n, size_t *next, uint64_t count, struct result *r)
{
    double start = cpu_seconds();

    *r = (struct result){0};
    if (n < BENCH_TOGETHER)
        return false;
    while (r->units < count) {
        size_t at = *next + BENCH_TOGETHER <= n ? *next : 0;

        *next = at + BENCH_TOGETHER;
        if (!messages(d, p, CLIENT, BENCH_TOGETHER, client + at, server + at, &r->frames) ||
            !messages(d, p, SERVER, BENCH_TOGETHER, server + at, client + at, &r->frames))
            return false;
        d->pass(p, BENCH_TOGETHER * TURN_NS);
        r->units += BENCH_TOGETHER;
    }
    r->seconds = cpu_seconds() - start;
    return true;
}

/* ---- very many ---- */

/* On a terminal one line that changes, else ten. */
static void progress(const char *what, size_t at, size_t n, double start)
{
    size_t often = n < 200 ? 1 : n / 200;
    bool terminal;

    if (at != n && at % often != 0)
        return;
    terminal = isatty(STDERR_FILENO);
    if (!terminal && at != n && at % (20 * often) != 0)
        return;
    fprintf(stderr, "%s%s %zu of %zu, %.0f s%s", terminal ? "\r" : "", what, at, n,
            cpu_seconds() - start, terminal && at != n ? " " : "\n");
}

static bool with_connections(const struct driver *d, struct pair *p, size_t n, uint32_t ports,
                             conn *client, conn *server)
{
    uint64_t frames = 0;
    double start = cpu_seconds();

    for (size_t i = 0; i < n; i++) {
        if (!open_some(d, p, (uint16_t)(BENCH_PORT + i % ports), 1, &client[i], &server[i],
                       &frames))
            return false;
        d->pass(p, TURN_NS);
        progress("open", i + 1, n, start);
    }
    fprintf(stderr, "octets a connection and end: %.0f at CLIENT, %.0f at SERVER\n",
            (double)d->memory(p, CLIENT) / (double)n, (double)d->memory(p, SERVER) / (double)n);
    for (size_t i = 0; i < n; i++) {
        if (!messages(d, p, CLIENT, 1, &client[i], &server[i], &frames) ||
            !messages(d, p, SERVER, 1, &server[i], &client[i], &frames))
            return false;
        d->pass(p, TURN_NS);
        progress("answered", i + 1, n, start);
    }
    for (size_t i = 0; i < n; i++) {
        if (!shut_some(d, p, 1, &client[i], &server[i], &frames))
            return false;
        d->pass(p, TURN_NS);
        progress("closed", i + 1, n, start);
    }
    return true;
}

size_t run_connections(const struct driver *d, struct pair *p, size_t n, uint32_t ports)
{
    conn *client = calloc(n, sizeof client[0]), *server = calloc(n, sizeof server[0]);
    bool ok = client && server && with_connections(d, p, n, ports, client, server);

    free(client);
    free(server);
    return ok ? n : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* links.h - what the benchmarks of links share: the other end, which is a process on the kernel's
 * sockets; a stack on a link; a program that is no TCP at all. */
#ifndef BENCH_LINKS_H
#define BENCH_LINKS_H

#include <estab/host.h>
#include <sys/types.h>

enum { PORT_SINK = 5001, PORT_SOURCE, PORT_CUBIC, PORT_ECHO, PORT_SHORT };
enum { MESSAGE = 64, PIECE = 256 << 10 };

double seconds_now(void);
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void pin(int cpu);      /* this process */
void undisturbed(void); /* by other processes of an ordinary priority, where that may be had */
double median(double *v, size_t n);

/* A TCP socket of the kernel's, as fast as they get: with cubic, where it has that.  BBR, which a
 * machine may prefer, goes by a clock (over loopback 26 Gbit/s instead of 61), and a connection
 * that has begun with it still does when it has changed to cubic. */
int kernel_socket(int flags);

/* A process on the kernel's sockets that listens on all of the ports above: reads and counts, or
 * writes as much as it can (PORT_SOURCE: by what this machine prefers), or sends back what came, or
 * does that once and closes. */
struct peer {
    pid_t pid;
    volatile uint64_t *counted; /* octets that have come to PORT_SINK */
};
struct peer peer_start(int cpu, bool spin, bool own_netns);
struct peer peer_room(void); /* without the process */
void peer_stop(struct peer *p);

/* A stack, its link and its loop. */
struct ours;
struct ours *ours_open(const char *spec, const char *addr, uint32_t buffers);
void ours_close(struct ours *o);
/* Each with the kernel's peer at `ip`. */
/* bit/s; lends: its text, which is not copied then */
double ours_out(struct ours *o, const char *ip, const struct peer *p, bool lends, double seconds);
double ours_in(struct ours *o, const char *ip, uint16_t port, double seconds);
double ours_rr(struct ours *o, const char *ip, unsigned count, double *p99); /* s, the median */
double ours_short(struct ours *o, const char *ip, unsigned inflight, double seconds); /* per s */

/* Takes connections for ever: counts what comes, or sends it back. */
void ours_serve(struct ours *o, bool echoes, volatile uint64_t *counted) __attribute__((noreturn));

/* The same with the kernel's sockets at this end as well. */
double theirs_rr(const char *ip, bool spin, unsigned count, double *p99);
double theirs_out(const char *ip, const struct peer *p, double seconds);
double theirs_short(const char *ip, unsigned inflight, double seconds);

/* Ready-made super-segments through the same device, and ACKs by what came last: no TCP. */
double bare_out(const char *dev, const char *us, const char *ip, const struct peer *p,
                double seconds);
double bare_in(const char *dev, const char *us, const char *ip, uint16_t port, double seconds);

/* The kernel where estab-bench measures the stacks: a run takes so many seconds, and so many
 * connections are idle.  The stacks' figures come from the file, unless it is NULL. */
void kernel_table(const char *figures, double seconds, unsigned conns);

void figure(const char *name, double value);

#endif

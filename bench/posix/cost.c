/* SPDX-License-Identifier: BSD-2-Clause */
/* cost.c - what a call on a socket of estab's costs: time, system calls, threads woken.
 *
 *     estab-bench-posix [ROUNDS]
 *
 * A round is: send 64 octets, receive 64 octets.  The link is a socket pair of the kernel's between
 * two stacks, each with its lock, or memory between two stacks of one lock.  System calls are
 * counted by the kernel (perf_event_open, raw_syscalls:sys_enter), in all threads of the process.
 */
#include <estab/posix.h>

#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { OCTETS = 64, MTU = 1500 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- a link over a socket pair: a frame is a datagram ---- */

struct wire {
    estab_link link;
    int fd;
    uint8_t bufs[32][MTU];
};

static int wire_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct wire *w = (struct wire *)l;
    size_t got = 0;
    ssize_t len;

    while (got < n && got < 32 && (len = recv(w->fd, w->bufs[got], MTU, MSG_DONTWAIT)) > 0) {
        memset(f, 0, sizeof *f);
        f->iov[0] = (struct estab_iov){w->bufs[got++], (size_t)len};
        f++->niov = 1;
    }
    return (int)got;
}

static int wire_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct iovec iov[ESTAB_IOVS];
    struct msghdr m = {.msg_iov = iov};

    for (size_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < f[i].niov; k++)
            iov[k] = (struct iovec){f[i].iov[k].base, f[i].iov[k].len};
        m.msg_iovlen = f[i].niov;
        if (sendmsg(((struct wire *)l)->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            l->lost_out++;
    }
    return (int)n;
}

static int wire_fd(const estab_link *l)
{
    return ((const struct wire *)l)->fd;
}

static estab_time wire_deadline(const estab_link *l)
{
    (void)l;
    return ESTAB_NEVER;
}

static void wire_close(estab_link *l)
{
    close(((struct wire *)l)->fd);
    free(l);
}

static const struct estab_link_ops wire_ops = {
    "wire", wire_recv, wire_send, wire_fd, wire_deadline, wire_close,
};

static estab_link *wire_new(int fd)
{
    struct wire *w = calloc(1, sizeof *w);

    if (!w)
        die("memory");
    w->link.ops = &wire_ops;
    w->link.caps = (struct estab_port_caps){.medium = ESTAB_MEDIUM_IP, .mtu = MTU};
    w->fd = fd;
    return &w->link;
}

/* ---- two stacks ---- */

static void open_stacks(estab_posix *p[2], bool one_lock, enum estab_mirror mirror)
{
    static const char *const addrs[] = {"10.0.0.1/24", "10.0.0.2/24"};
    const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = MTU};
    struct estab_posix_config c;
    estab_link *ends[2];
    char err[ESTAB_ERRLEN];
    int fds[2];

    if (one_lock && estab_link_pair(ends, &caps, 0))
        die("link");
    if (!one_lock && socketpair(AF_UNIX, SOCK_DGRAM, 0, fds))
        die("socketpair");
    estab_posix_config_init(&c);
    c.mirror = mirror;
    for (int i = 0; i < 2; i++) {
        if (estab_posix_new(&p[i], &c, err) ||
            estab_posix_attach(p[i], one_lock ? ends[i] : wire_new(fds[i]), err) < 0 ||
            estab_posix_addr(p[i], 0, addrs[i], err)) {
            fprintf(stderr, "%s\n", err);
            exit(1);
        }
        c.with = one_lock ? p[0] : NULL;
    }
}

/* Two ends of a connection; on the kernel's loopback if there are no stacks. */
static void open_pair(estab_posix *const p[2], int fd[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    const int on = 1;
    int l;

    a.sin_addr.s_addr = htonl(p[0] ? 0x0a000002 : INADDR_LOOPBACK);
    estab_posix_use(p[1]);
    l = p[1] ? estab_posix_socket(AF_INET, SOCK_STREAM, 0) : socket(AF_INET, SOCK_STREAM, 0);
    if (l < 0 || estab_posix_bind(l, (struct sockaddr *)&a, len) || estab_posix_listen(l, 1) ||
        estab_posix_getsockname(l, (struct sockaddr *)&a, &len))
        die("listening");
    estab_posix_use(p[0]);
    fd[0] = p[0] ? estab_posix_socket(AF_INET, SOCK_STREAM, 0) : socket(AF_INET, SOCK_STREAM, 0);
    if (fd[0] < 0 || estab_posix_connect(fd[0], (struct sockaddr *)&a, len))
        die("connecting");
    fd[1] = estab_posix_accept(l, NULL, NULL);
    for (int i = 0; i < 2; i++)
        (void)estab_posix_setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    estab_posix_close(l);
}

/* Waits for a connection that does not come. */
static void *wait_idly(void *arg)
{
    (void)estab_posix_accept(*(int *)arg, NULL, NULL);
    return NULL;
}

static int idle_listener(estab_posix *p)
{
    int fd;

    estab_posix_use(p);
    fd = estab_posix_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || estab_posix_listen(fd, 1))
        die("listening idly");
    return fd;
}

static void *echo(void *arg)
{
    int fd = *(int *)arg;
    char buf[OCTETS];

    while (estab_posix_recv(fd, buf, OCTETS, MSG_WAITALL) == OCTETS)
        if (estab_posix_send(fd, buf, OCTETS, 0) != OCTETS)
            break;
    return NULL;
}

/* ---- counting ---- */

static int count_open(void)
{
    struct perf_event_attr a = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof a, .inherit = 1};
    FILE *f = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "r");
    unsigned long long id = 0;

    if (!f)
        f = fopen("/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id", "r");
    if (!f)
        return -1;
    if (fscanf(f, "%llu", &id) != 1)
        id = 0;
    fclose(f);
    a.config = id;
    return id ? (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0) : -1;
}

static double count_read(int fd)
{
    uint64_t n = 0;

    return fd >= 0 && read(fd, &n, sizeof n) == sizeof n ? (double)n : 0;
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct estab_posix_stats stats_of(estab_posix *const p[2], bool one_lock)
{
    struct estab_posix_stats a = {.size = sizeof a}, b = {.size = sizeof b};

    if (!p[0])
        return a;
    estab_posix_stats(p[0], &a);
    if (one_lock)
        return a;
    estab_posix_stats(p[1], &b);
    a.sleeps += b.sleeps;
    a.wakes += b.wakes;
    a.helper_runs += b.helper_runs;
    a.mirrored += b.mirrored;
    return a;
}

/* ---- the cases ---- */

enum way { KERNEL_ONE, KERNEL_TWO, ONE_THREAD, ONE_MIRRORED, ONE_LOCK, TWO_LOCKS, THREE };
static const char *const what[] = {
    "kernel's loopback, one thread",     "kernel's loopback, two threads",
    "data is there: one thread, memory", "... and the kernel is told of it",
    "two threads, one lock, memory",     "two threads, each its own stack",
    "... and a third that waits",
};

static void one_round(int from, int to)
{
    static char buf[OCTETS];

    if (estab_posix_send(from, buf, OCTETS, 0) != OCTETS ||
        estab_posix_recv(to, buf, OCTETS, MSG_WAITALL) != OCTETS)
        die("a round");
}

static void run(enum way way, unsigned rounds)
{
    bool kernel = way <= KERNEL_TWO,
         two = way != KERNEL_ONE && way != ONE_THREAD && way != ONE_MIRRORED;
    bool one_lock = way == ONE_THREAD || way == ONE_MIRRORED || way == ONE_LOCK;
    struct estab_posix_stats before, after;
    estab_posix *p[2] = {NULL, NULL};
    int fd[2], counter = count_open();
    double from, calls, n = rounds;
    int idle = -1;
    pthread_t thread, idler;

    if (!kernel)
        open_stacks(p, one_lock, way == ONE_THREAD ? ESTAB_MIRROR_NEVER : ESTAB_MIRROR_AUTO);
    open_pair(p, fd);
    if (two && pthread_create(&thread, NULL, echo, &fd[1]))
        die("thread");
    if (way == THREE) {
        idle = idle_listener(p[1]);
        if (pthread_create(&idler, NULL, wait_idly, &idle))
            die("thread");
    }
    for (unsigned i = 0; i < 200; i++)
        one_round(fd[0], fd[!two]);
    before = stats_of(p, one_lock);
    calls = count_read(counter);
    from = now_us();
    for (unsigned i = 0; i < rounds; i++)
        one_round(fd[0], fd[!two]);
    from = now_us() - from;
    calls = count_read(counter) - calls;
    after = stats_of(p, one_lock);
    if (counter >= 0)
        printf("%-36s %8.2f %8.2f", what[way], from / n, calls / n);
    else
        printf("%-36s %8.2f %8s", what[way], from / n, "?");
    printf(" %8.2f %8.2f %8.2f %8.2f\n", (double)(after.sleeps - before.sleeps) / n,
           (double)(after.wakes - before.wakes) / n,
           (double)(after.helper_runs - before.helper_runs) / n,
           (double)(after.mirrored - before.mirrored) / n);
    estab_posix_close(fd[0]);
    if (two)
        pthread_join(thread, NULL);
    estab_posix_close(fd[1]);
    if (way == THREE) {
        (void)estab_posix_shutdown(idle, SHUT_RD);
        pthread_join(idler, NULL);
        estab_posix_close(idle);
    }
    estab_posix_use(NULL);
    estab_posix_free(p[0]);
    estab_posix_free(p[1]);
    if (counter >= 0)
        close(counter);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;

    printf("a round: send 64, receive 64         %8s %8s %8s %8s %8s %8s\n", "us", "syscalls",
           "sleeps", "wakes", "helper", "mirror");
    for (enum way way = KERNEL_ONE; way <= THREE; way++)
        run(way, rounds);
    return 0;
}

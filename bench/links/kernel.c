/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel.c - what the kernel does where the stacks of estab-bench do theirs: both ends of each
 * connection in one thread, on one core, over loopback and over a veth pair between two namespaces
 * that have no name and end with this process.
 *
 * The clock is the wall's: much of what the kernel does in the name of a thread is not counted as
 * the thread's.  Memory is what /proc/slabinfo says of the caches that only connections use, and
 * one open file with its name for each end. */
#include "links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 5, LISTENERS = 8, PORT = 6000, BACKLOG = 8192, CHUNK = 64 << 10, BUFFER = 512 << 10 };

#define FAR "10.58.0.2"
#define PREPARE                                                                                    \
    "cd /proc/sys/net/ipv4 && echo 2048 65535 >ip_local_port_range && "                            \
    "echo 20000 >tcp_max_tw_buckets && echo 8192 >tcp_max_syn_backlog && "                         \
    "echo 8192 >../core/somaxconn && echo 0 >tcp_syncookies && ip link set lo up"

struct site { /* where a connection is made */
    const char *label, *name, *ip;
    int ns[2]; /* of who connects, of who listens */
    int listener[LISTENERS];
    unsigned next;
};

static char chunk[CHUNK];

static void enter(int ns)
{
    if (setns(ns, CLONE_NEWNET))
        die("entering a namespace: %s", strerror(errno));
}

static void listen_at(struct site *s)
{
    int one = 1, room = BUFFER;

    enter(s->ns[1]);
    for (unsigned i = 0; i < LISTENERS; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + i))};
        int fd = kernel_socket(0);

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, BACKLOG))
            die("listening: %s", strerror(errno));
        s->listener[i] = fd;
    }
    enter(s->ns[0]);
}

static void stop_listening(const struct site *s)
{
    for (unsigned i = 0; i < LISTENERS; i++)
        close(s->listener[i]);
}

/* A connection, both ends; the handshake is over when connect() is. */
static void open_both(struct site *s, int fd[2])
{
    unsigned to = s->next++ % LISTENERS;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + to))};
    int one = 1;

    inet_pton(AF_INET, s->ip, &a.sin_addr);
    fd[0] = kernel_socket(0);
    if (fd[0] < 0 || connect(fd[0], (struct sockaddr *)&a, sizeof a))
        die("%s: connecting: %s", s->label, strerror(errno));
    fd[1] = accept(s->listener[to], NULL, NULL);
    if (fd[1] < 0)
        die("%s: accepting: %s", s->label, strerror(errno));
    for (int i = 0; i < 2; i++)
        setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Reset: no TIME-WAIT is left. */
static void drop_both(const int fd[2])
{
    struct linger now = {.l_onoff = 1};

    setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd[0]);
    close(fd[1]);
}

static void message(int from, int to)
{
    if (send(from, chunk, MESSAGE, 0) != MESSAGE ||
        recv(to, chunk, MESSAGE, MSG_WAITALL) != MESSAGE)
        die("a message did not arrive: %s", strerror(errno));
}

static double bulk(struct site *s, double seconds)
{
    double from, now;
    uint64_t octets = 0;
    int fd[2];

    open_both(s, fd);
    for (from = seconds_now(); (now = seconds_now() - from) < seconds;) {
        ssize_t n;

        while (send(fd[0], chunk, CHUNK, MSG_DONTWAIT) == CHUNK)
            ;
        while ((n = recv(fd[1], chunk, CHUNK, MSG_DONTWAIT)) > 0)
            octets += (uint64_t)n;
    }
    drop_both(fd);
    return 8 * (double)octets / now;
}

static double short_ones(struct site *s, double seconds)
{
    double from = seconds_now(), now;
    uint64_t n;
    int fd[2];

    for (n = 0; (now = seconds_now() - from) < seconds; n++) {
        open_both(s, fd);
        message(fd[0], fd[1]);
        message(fd[1], fd[0]);
        close(fd[0]);
        if (recv(fd[1], chunk, CHUNK, 0) != 0)
            die("no end came");
        close(fd[1]);
    }
    return (double)n / now;
}

static double exchanges(struct site *s, double seconds)
{
    double from, now;
    uint64_t n;
    int fd[2];

    open_both(s, fd);
    from = seconds_now();
    for (n = 0; (now = seconds_now() - from) < seconds; n++) {
        message(fd[0], fd[1]);
        message(fd[1], fd[0]);
    }
    drop_both(fd);
    return (double)n / now;
}

/* ---- two cores ---- */

/* Twice the same at the same time, a core each, over what once does: bulk over loopback. */
static double scaling(struct site *s, double seconds)
{
    double *sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double one[RUNS], two[RUNS];

    if (sum == MAP_FAILED)
        die("out of memory");
    for (int i = 0; i < RUNS; i++) {
        pid_t pid;

        one[i] = bulk(s, seconds);
        pid = fork();
        if (pid == 0) {
            struct site own = *s;

            prctl(PR_SET_PDEATHSIG, SIGKILL);
            pin(1);
            own.next = 1;
            *sum = bulk(&own, seconds);
            _exit(0);
        }
        s->next = 0; /* another listener than the other's */
        two[i] = bulk(s, seconds);
        waitpid(pid, NULL, 0);
        two[i] += *sum;
    }
    munmap(sum, 4096);
    return median(two, RUNS) / median(one, RUNS);
}

/* ---- memory ---- */

struct cache {
    double used, size;
};

static struct cache cache_of(const char *name)
{
    struct cache c = {0, 0};
    char line[512], is[64];
    double used, all, size;
    FILE *f = fopen("/proc/slabinfo", "r");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%63s %lf %lf %lf", is, &used, &all, &size) == 4 && strcmp(is, name) == 0)
            c = (struct cache){used, size};
    if (f)
        fclose(f);
    return c;
}

static double octets_in(const char *name)
{
    struct cache c = cache_of(name);

    return c.used * c.size;
}

static double sockets(void)
{
    static const char *const caches[] = {"TCP", "sock_inode_cache", "tcp_bind_bucket",
                                         "tcp_bind2_bucket"};
    double sum = 0;

    for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++)
        sum += octets_in(caches[i]);
    return sum;
}

struct memory { /* octets of one end */
    double idle, time_wait, half_open;
};

static void idle_and_time_wait(struct site *s, unsigned n, struct memory *m)
{
    int(*fd)[2] = calloc(n, sizeof *fd);
    double before = sockets(), before_tw;

    for (unsigned i = 0; i < n; i++)
        open_both(s, fd[i]);
    m->idle = (sockets() - before) / (2.0 * n) + cache_of("filp").size + cache_of("dentry").size;
    before_tw = octets_in("tw_sock_TCP");
    for (unsigned i = 0; i < n; i++) {
        close(fd[i][0]);
        close(fd[i][1]);
    }
    m->time_wait = (octets_in("tw_sock_TCP") - before_tw) / n;
    free(fd);
}

static unsigned short ones_sum(const uint8_t *p, size_t n, uint32_t s)
{
    for (size_t i = 0; i < n; i += 2)
        s += (uint32_t)p[i] << 8 | p[i + 1];
    s = (s & 0xffff) + (s >> 16);
    return (unsigned short)~(s + (s >> 16));
}

static void put_sum(uint8_t *at, unsigned sum)
{
    at[0] = (uint8_t)(sum >> 8);
    at[1] = (uint8_t)sum;
}

/* SYNs out of a TUN device from which nobody reads the SYN,ACKs. */
static void half_open(unsigned n, struct memory *m)
{
    struct ifreq ifr = {.ifr_name = "ekernel", .ifr_flags = IFF_TUN | IFF_NO_PI};
    uint8_t p[40] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 59, 0, 2, 10, 59, 0, 1};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    double before = octets_in("request_sock_TCP");

    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
        die("a TUN device: %s", strerror(errno));
    sh("ip addr add 10.59.0.1/24 dev ekernel && ip link set ekernel up");
    put_sum(p + 10, ones_sum(p, 20, 0));
    p[20 + 12] = 5 << 4;
    p[20 + 13] = 2;
    p[20 + 14] = 0xff;
    for (unsigned i = 0; i < n; i++) {
        put_sum(p + 20, 10000 + i); /* the port */
        put_sum(p + 22, PORT + i % LISTENERS);
        put_sum(p + 24, i); /* the sequence number */
        put_sum(p + 36, 0);
        put_sum(p + 36, ones_sum(p + 12, 28, 6 + 20));
        if (write(fd, p, sizeof p) != sizeof p)
            die("a SYN was not taken: %s", strerror(errno));
    }
    m->half_open = (octets_in("request_sock_TCP") - before) / n;
    close(fd);
}

/* ---- the table ---- */

static void set_offloads(const char *dev, uint32_t on)
{
    static const uint32_t which[] = {ETHTOOL_SGRO, ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_STXCSUM};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        struct ethtool_value v = {.cmd = which[i], .data = on};
        struct ifreq ifr = {.ifr_data = (void *)&v};

        snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", dev);
        if (ioctl(fd, SIOCETHTOOL, &ifr))
            die("%s: offloads: %s", dev, strerror(errno));
    }
    close(fd);
}

/* Of those measured before, in the same run; 0: it was not. */
static double measured(const char *figures, const char *name)
{
    FILE *f = figures ? fopen(figures, "r") : NULL;
    char line[256], is[128];
    double v, found = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%127s %lf", is, &v) == 2 && strcmp(is, name) == 0)
            found = v;
    if (f)
        fclose(f);
    return found;
}

struct entry { /* 0: not measured */
    double bulk, conns, rr, idle, time_wait, half_open;
};

static void put(const char *fmt, int width, double v)
{
    if (v > 0)
        printf(fmt, width, v);
    else
        printf(" %*s", width, "-");
}

static void line(const char *label, const struct entry *e)
{
    printf("  %-30s |", label);
    put(" %*.1f", 6, e->bulk);
    printf(" |");
    put(" %*.1f", 8, e->conns * 1e-3);
    printf(" |");
    put(" %*.1f", 8, e->rr * 1e-3);
    printf(" |");
    put(" %*.0f", 5, e->idle);
    put(" %*.0f", 9, e->time_wait);
    put(" %*.0f", 9, e->half_open);
    putchar('\n');
}

static void note(const char *what, const struct site *s, double value)
{
    char name[64];

    snprintf(name, sizeof name, "%s_%s", what, s->name);
    figure(name, value);
}

static struct entry measure(struct site *s, double seconds)
{
    double v[3][RUNS];
    struct entry e = {0};

    for (int i = 0; i < RUNS; i++) {
        v[0][i] = bulk(s, seconds);
        v[1][i] = short_ones(s, seconds);
        v[2][i] = exchanges(s, seconds);
    }
    e.bulk = median(v[0], RUNS) * 1e-9;
    e.conns = median(v[1], RUNS);
    e.rr = median(v[2], RUNS);
    note("bulk_gbps", s, e.bulk);
    note("conn_per_s", s, e.conns);
    note("rr_1", s, e.rr);
    return e;
}

/* A process that keeps the other namespace. */
static pid_t keep_far(void)
{
    int ready[2];
    char ok;
    pid_t pid;

    if (pipe(ready))
        die("no pipe");
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (pid < 0 || read(ready[0], &ok, 1) != 1)
        die("no second network namespace");
    close(ready[0]);
    return pid;
}

static int namespace_of(pid_t pid)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

void kernel_table(const char *figures, double seconds, unsigned conns)
{
    static struct site site[4] = {{.label = "kernel, loopback", .name = "loopback"},
                                  {.label = "kernel, loopback, MTU 1500", .name = "loopback_1500"},
                                  {.label = "kernel, veth", .name = "veth"},
                                  {.label = "kernel, veth, no offloads", .name = "veth_plain"}};
    struct entry e[4], estab, lwip;
    struct memory m = {0};
    pid_t far = keep_far();
    int near = namespace_of(getpid()), there = namespace_of(far);
    double scales = 0;

    pin(0);
    sh(PREPARE " && nsenter -t %d -n sh -c \"" PREPARE "\"", (int)far);
    sh("ip link add ekv0 type veth peer name ekv1 netns %d && ip addr add 10.58.0.1/24 dev ekv0 && "
       "ip link set ekv0 up && nsenter -t %d -n sh -c 'ip addr add " FAR "/24 dev ekv1 && "
       "ip link set ekv1 up'",
       (int)far, (int)far);
    for (int i = 0; i < 4; i++) {
        bool loop = i < 2;

        site[i].ip = loop ? "127.0.0.1" : FAR;
        site[i].ns[0] = near;
        site[i].ns[1] = loop ? near : there;
        if (i == 1)
            sh("ip link set lo mtu 1500");
        if (i == 3) {
            set_offloads("ekv0", 0);
            enter(there);
            set_offloads("ekv1", 0);
            enter(near);
        }
        listen_at(&site[i]);
        if (i == 0) { /* before there are as many TIME-WAITs as may be */
            idle_and_time_wait(&site[i], conns, &m);
            half_open(conns < 2000 ? conns : 2000, &m);
            scales = scaling(&site[i], seconds);
        }
        e[i] = measure(&site[i], seconds);
        stop_listening(&site[i]);
    }
    kill(far, SIGKILL);
    waitpid(far, NULL, 0);
    e[0].idle = m.idle;
    e[0].time_wait = m.time_wait;
    e[0].half_open = m.half_open;
    figure("bytes_idle_kernel", m.idle);
    figure("bytes_time_wait_kernel", m.time_wait);
    figure("bytes_half_open_kernel", m.half_open);
    figure("shards_2_ratio_loopback", scales);
    estab = (struct entry){measured(figures, "bulk_gbps"),
                           measured(figures, "conn_per_s"),
                           measured(figures, "rr_1"),
                           measured(figures, "bytes_idle"),
                           measured(figures, "bytes_time_wait"),
                           measured(figures, "bytes_half_open")};
    lwip = (struct entry){measured(figures, "bulk_gbps_lwip"),
                          measured(figures, "conn_per_s_lwip"),
                          measured(figures, "rr_1_lwip"),
                          measured(figures, "bytes_idle_lwip"),
                          0,
                          0};
    printf("\nEveryone, both ends on one core\n  %-30s | %6s | %8s | %8s | octets of an end\n"
           "  %-30s | %6s | %8s | %8s | %5s %9s %9s\n",
           "", "bulk", "short", "64 bytes", "", "Gbit/s", "1000/s", "1000/s", "idle", "TIME-WAIT",
           "half-open");
    line("estab, in memory", &estab);
    line("lwIP, in memory", &lwip);
    for (int i = 0; i < 4; i++)
        line(site[i].label, &e[i]);
    printf("  the kernel over loopback, two cores: %.2f times one in bulk\n", scales);
}

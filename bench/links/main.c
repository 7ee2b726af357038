/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c - estab-bench-links: links against the kernel, in a network namespace of their own, which
 * has no name and ends with it.
 *
 * Whoever is compared takes turns in one run; a figure is the median of RUNS, but goodput over TUN:
 * a connection of the kernel's runs at one of two speeds, 15 % apart, until it ends, the bare
 * program's too, and a median is now the one, now the other; there it is the mean of TUN_RUNS. What
 * shares one core has it alone, by a real-time priority. */
#include "links.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 5, TUN_RUNS = 15 };
#define EXCHANGES  (quick ? 200u : 20000u)
#define RUN_TIME   (quick ? 0.02 : 0.4)
#define MIB        (1u << 20)
#define BUFFERS    (512u << 10)
#define BUFFERS_IN (4u << 20) /* what bare_in() announces */

static FILE *figures;
static bool quick;

void figure(const char *name, double value)
{
    if (figures && value > 0)
        fprintf(figures, "%s %.6g\n", name, value);
}

double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("estab-bench-links: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

void sh(const char *fmt, ...)
{
    char command[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        die("%s failed", command);
}

void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (cpu < 0)
        for (int i = 0; i < 2; i++)
            CPU_SET((size_t)i, &set);
    else
        CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

void undisturbed(void)
{
    sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
}

/* ---- goodput ---- */

#define US    "10.55.0.2"
#define THEM  "10.55.0.1"
#define CIDR  US "/24"
#define VPEER "10.56.0.2"

static void make_device(const char *kind)
{
    sh("ip tuntap add mode %s name ebench vnet_hdr && ip addr add " THEM "/24 dev ebench && "
       "ip link set ebench txqueuelen 20000 up",
       kind);
}

static void drop_device(void)
{
    sh("ip link del ebench");
}

enum way { OUT, OUT_COPIED, IN, IN_CUBIC };

static double once_ours(const char *spec, enum way way, const struct peer *p)
{
    bool in = way == IN || way == IN_CUBIC;
    struct ours *o = ours_open(spec, CIDR, in ? BUFFERS_IN : BUFFERS);
    double r = in ? ours_in(o, THEM, way == IN ? PORT_SOURCE : PORT_CUBIC, RUN_TIME)
                  : ours_out(o, THEM, p, way == OUT, RUN_TIME);

    ours_close(o);
    return r;
}

/* One frame a system call: bit/s out and in. */
static void plain_goodput(int cpu, double g[2])
{
    double v[2][RUNS];
    struct peer p;

    make_device("tap");
    p = peer_start(cpu, false, false);
    for (int i = 0; i < RUNS; i++) {
        v[0][i] = once_ours("tap:ebench,vnet=off", OUT, &p);
        v[1][i] = once_ours("tap:ebench,vnet=off", IN, &p);
    }
    peer_stop(&p);
    drop_device();
    for (int k = 0; k < 2; k++)
        g[k] = median(v[k], RUNS);
}

/* What new sockets of this machine use. */
static const char *congestion_control(void)
{
    static char name[32] = "?";
    FILE *f = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "r");

    if (f) {
        (void)!fscanf(f, "%31s", name);
        fclose(f);
    }
    return name;
}

static bool has_cubic(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool has = fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

static void goodput(bool one_core)
{
    enum { LENT, COPIED, BARE_OUT, CAME, BARE_IN, CAME_CUBIC, BARE_IN_CUBIC, KINDS };
    const char *where = one_core ? "both on one core" : "on two cores";
    const int cpu = one_core ? 0 : 1, runs = quick ? RUNS : TUN_RUNS;
    const bool cubic = has_cubic();
    double g[KINDS] = {0}, tap[2];
    struct peer p;

    pin(0);
    make_device("tun");
    p = peer_start(cpu, false, false);
    for (int i = 0; i < runs; i++) {
        g[LENT] += once_ours("tun:ebench", OUT, &p);
        g[COPIED] += once_ours("tun:ebench", OUT_COPIED, &p);
        g[BARE_OUT] += bare_out("ebench", US, THEM, &p, RUN_TIME);
        g[CAME] += once_ours("tun:ebench", IN, &p);
        g[BARE_IN] += bare_in("ebench", US, THEM, PORT_SOURCE, RUN_TIME);
        if (!cubic)
            continue;
        g[CAME_CUBIC] += once_ours("tun:ebench", IN_CUBIC, &p);
        g[BARE_IN_CUBIC] += bare_in("ebench", US, THEM, PORT_CUBIC, RUN_TIME);
    }
    peer_stop(&p);
    drop_device();
    for (int k = 0; k < KINDS; k++)
        g[k] *= 1e-9 / runs;
    plain_goodput(cpu, tap);
    printf(
        "\nTUN, MTU 1500, the kernel's sockets at the other end, %s, Gbit/s\n"
        "  out: estab %.1f with its text lent, %.1f copied, ready-made super-segments %.1f (%.2f, "
        "%.2f)\n"
        "  in, by the kernel's %s: estab %.1f, read and acknowledged %.1f (%.2f)\n",
        where, g[LENT], g[COPIED], g[BARE_OUT], g[LENT] / g[BARE_OUT], g[COPIED] / g[BARE_OUT],
        congestion_control(), g[CAME], g[BARE_IN], g[CAME] / g[BARE_IN]);
    if (g[BARE_IN_CUBIC] > 0)
        printf("  in, by the kernel's cubic: estab %.1f, read and acknowledged %.1f (%.2f)\n",
               g[CAME_CUBIC], g[BARE_IN_CUBIC], g[CAME_CUBIC] / g[BARE_IN_CUBIC]);
    printf("  TAP, one plain frame a system call: out %.2f, in %.2f\n", tap[0] * 1e-9,
           tap[1] * 1e-9);
    if (!one_core)
        return;
    figure("tun_out_gbps", g[LENT]);
    figure("tun_out_copied_gbps", g[COPIED]);
    figure("tun_out_gbps_bare", g[BARE_OUT]);
    figure("tun_out_vs_bare", g[LENT] / g[BARE_OUT]);
    figure("tun_in_gbps", g[CAME]);
    figure("tun_in_gbps_bare", g[BARE_IN]);
    figure("tun_in_vs_bare", g[CAME] / g[BARE_IN]);
    figure("tun_in_cubic_gbps", g[CAME_CUBIC]);
    figure("tun_in_cubic_gbps_bare", g[BARE_IN_CUBIC]);
    if (g[BARE_IN_CUBIC] > 0)
        figure("tun_in_cubic_vs_bare", g[CAME_CUBIC] / g[BARE_IN_CUBIC]);
    figure("tap_plain_out_gbps", tap[0] * 1e-9);
    figure("tap_plain_in_gbps", tap[1] * 1e-9);
}

/* ---- exchanges, short connections ---- */

static void veth_to(const struct peer *p)
{
    sh("ip link add ebv0 type veth peer name ebv1 netns %d && ip addr add 10.56.0.1/24 dev ebv0 && "
       "ip link set ebv0 up && nsenter -t %d -n sh -c 'ip addr add " VPEER
       "/24 dev ebv1 && ip link set ebv1 up && ip link set lo up'",
       (int)p->pid, (int)p->pid);
}

static double once_rr(const char *spec, double *p99)
{
    struct ours *o = ours_open(spec, CIDR, MIB);
    double r = ours_rr(o, THEM, EXCHANGES, p99);

    ours_close(o);
    return r;
}

static void exchanges(bool spin, int cpu)
{
    double ours[RUNS], looking[RUNS], theirs[RUNS], p99[3][RUNS];
    struct peer p, far;

    pin(0);
    make_device("tap");
    p = peer_start(cpu, spin, false);
    far = peer_start(cpu, spin, true);
    veth_to(&far);
    for (int i = 0; i < RUNS; i++) {
        ours[i] = once_rr(spin ? "tap:ebench,busy=1s" : "tap:ebench", &p99[0][i]) * 1e6;
        theirs[i] = theirs_rr(VPEER, spin, EXCHANGES, &p99[1][i]) * 1e6;
        looking[i] = spin ? 0 : once_rr("tap:ebench,busy=auto", &p99[2][i]) * 1e6;
    }
    sh("ip link del ebv0");
    peer_stop(&far);
    peer_stop(&p);
    drop_device();
    printf("  %s, %s: estab over TAP %.1f (p99 %.1f), kernel to kernel over veth %.1f (p99 %.1f)\n",
           spin ? "busy-polling" : "sleeping", cpu ? "two cores" : "one core", median(ours, RUNS),
           median(p99[0], RUNS) * 1e6, median(theirs, RUNS), median(p99[1], RUNS) * 1e6);
    if (spin) {
        figure("tap_rr_p50_us", ours[RUNS / 2]);
        figure("tap_rr_p50_us_veth", theirs[RUNS / 2]);
        return;
    }
    printf("    with busy=auto %.1f (p99 %.1f)\n", median(looking, RUNS),
           median(p99[2], RUNS) * 1e6);
    figure(cpu == 0 ? "tap_rr_auto_p50_us" : "tap_rr_auto_2_cores_p50_us", looking[RUNS / 2]);
    if (cpu == 0) {
        figure("tap_rr_sleeping_p50_us", ours[RUNS / 2]);
        figure("tap_rr_sleeping_p50_us_veth", theirs[RUNS / 2]);
    } else {
        figure("tap_rr_sleeping_2_cores_p50_us", ours[RUNS / 2]);
        figure("tap_rr_sleeping_2_cores_p50_us_veth", theirs[RUNS / 2]);
    }
}

static void short_connections(unsigned inflight, int cpu)
{
    static unsigned next = 10;
    double ours[RUNS], theirs[RUNS], a, b;
    struct peer p, far;
    char us[24];
    struct ours *o;

    pin(0);
    make_device("tun");
    p = peer_start(cpu, false, false);
    far = peer_start(cpu, false, true);
    veth_to(&far);
    /* Another stack at the same address would meet the kernel's TIME-WAITs of the one before. */
    snprintf(us, sizeof us, "10.55.0.%u/24", next++);
    o = ours_open("tun:ebench", us, MIB);
    for (int i = 0; i < RUNS; i++) {
        ours[i] = ours_short(o, THEM, inflight, RUN_TIME);
        theirs[i] = theirs_short(VPEER, inflight, RUN_TIME);
    }
    ours_close(o);
    sh("ip link del ebv0");
    peer_stop(&far);
    peer_stop(&p);
    drop_device();
    a = median(ours, RUNS);
    b = median(theirs, RUNS);
    printf("  %u in flight, %s: estab over TUN %.0f, kernel to kernel over veth %.0f (%.2f)\n",
           inflight, cpu ? "two cores" : "one core", a, b, a / b);
    if (cpu == 0 && inflight > 1) {
        figure("crr_per_s", a);
        figure("crr_per_s_veth", b);
        figure("crr_vs_veth", a / b);
    }
}

static double once_short(unsigned inflight)
{
    struct ours *o = ours_open("tun:ebench", CIDR, MIB);
    double r = ours_short(o, THEM, inflight, 4 * RUN_TIME);

    ours_close(o);
    return r;
}

/* ---- a station beside the kernel on a wire: AF_PACKET, AF_XDP ---- */

#define STATION "10.56.0.3/24"
#define WORDS   "ebv0,mac=02:00:00:00:00:55"

static bool is_there(const char *spec)
{
    char err[ESTAB_ERRLEN];
    estab_link *l;

    if (estab_link_open(&l, spec, err)) {
        printf("  not measured: %s\n", err);
        return false;
    }
    estab_link_close(l);
    return true;
}

static double once_station(const char *spec, bool out, const struct peer *p)
{
    struct ours *o = ours_open(spec, STATION, BUFFERS);
    double r =
        out ? ours_out(o, VPEER, p, true, RUN_TIME) : ours_in(o, VPEER, PORT_CUBIC, RUN_TIME);

    ours_close(o);
    return r;
}

static double once_station_rr(const char *spec, double *p99)
{
    struct ours *o = ours_open(spec, STATION, MIB);
    double r = ours_rr(o, VPEER, EXCHANGES, p99);

    ours_close(o);
    return r;
}

static void station_goodput(int cpu)
{
    static const char *const spec[] = {"packet:" WORDS, "xdp:" WORDS};
    double v[5][RUNS] = {{0}};
    struct peer p;
    bool xdp;

    pin(0);
    p = peer_start(cpu, false, true);
    veth_to(&p);
    xdp = is_there(spec[1]);
    for (int i = 0; i < RUNS; i++) {
        for (int k = 0; k < (xdp ? 2 : 1); k++) {
            v[2 * k][i] = once_station(spec[k], true, &p);
            v[2 * k + 1][i] = once_station(spec[k], false, &p);
        }
        v[4][i] = theirs_out(VPEER, &p, RUN_TIME);
    }
    sh("ip link del ebv0");
    peer_stop(&p);
    for (int k = 0; k < 5; k++)
        v[k][0] = median(v[k], RUNS) * 1e-9;
    printf("  bulk, Gbit/s, %s: AF_PACKET out %.2f, in %.2f; AF_XDP out %.2f, in %.2f; kernel to "
           "kernel %.2f\n",
           cpu ? "two cores" : "one core", v[0][0], v[1][0], v[2][0], v[3][0], v[4][0]);
    if (cpu)
        return;
    figure("packet_out_gbps", v[0][0]);
    figure("packet_in_gbps", v[1][0]);
    figure("xdp_out_gbps", v[2][0]);
    figure("xdp_in_gbps", v[3][0]);
    figure("station_gbps_veth", v[4][0]);
}

static void station_exchanges(bool spin, int cpu)
{
    static const char *const spec[2][2] = {{"packet:" WORDS, "xdp:" WORDS},
                                           {"packet:" WORDS ",busy=1s", "xdp:" WORDS ",busy=1s"}};
    double v[3][RUNS] = {{0}}, p99;
    struct peer p;
    bool xdp;

    pin(0);
    p = peer_start(cpu, spin, true);
    veth_to(&p);
    xdp = is_there(spec[0][1]);
    for (int i = 0; i < RUNS; i++) {
        for (int k = 0; k < (xdp ? 2 : 1); k++)
            v[k][i] = once_station_rr(spec[spin][k], &p99) * 1e6;
        v[2][i] = theirs_rr(VPEER, spin, EXCHANGES, &p99) * 1e6;
    }
    sh("ip link del ebv0");
    peer_stop(&p);
    for (int k = 0; k < 3; k++)
        v[k][0] = median(v[k], RUNS);
    printf("  64 octets and back, us, %s, %s: AF_PACKET %.1f, AF_XDP %.1f, kernel to kernel %.1f\n",
           spin ? "busy-polling" : "sleeping", cpu ? "two cores" : "one core", v[0][0], v[1][0],
           v[2][0]);
    if (!spin && cpu)
        return;
    figure(spin ? "packet_rr_us" : "packet_rr_sleeping_us", v[0][0]);
    figure(spin ? "xdp_rr_us" : "xdp_rr_sleeping_us", v[1][0]);
}

static void stations(void)
{
    printf("\nA station beside the kernel on a veth pair, MTU 1500\n");
    station_goodput(0);
    station_goodput(1);
    station_exchanges(true, 1);
    station_exchanges(false, 0);
    station_exchanges(false, 1);
}

/* ---- shared memory ---- */

/* A stack in another process, at the other end of the ring: takes what comes and counts it, or
 * sends it back. */
static struct peer start_other(const char *spec, int cpu, bool echoes)
{
    struct peer p = peer_room();

    p.pid = fork();
    if (p.pid == 0) {
        pin(cpu);
        usleep(50000); /* the first is there */
        ours_serve(ours_open(spec, "10.57.0.1/24", BUFFERS), echoes, p.counted);
    }
    return p;
}

static double once_shm(const char *spec, int cpu, bool echoes, double *p99)
{
    struct ours *o = ours_open(spec, "10.57.0.2/24", BUFFERS);
    struct peer p = start_other(spec, cpu, echoes);
    double r;

    if (echoes)
        r = ours_rr(o, "10.57.0.1", EXCHANGES, p99);
    else
        r = ours_out(o, "10.57.0.1", &p, true, RUN_TIME);
    peer_stop(&p);
    ours_close(o);
    return r;
}

/* A link that nobody else has. */
static void name_shm(char spec[128], const char *how)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(spec, 128, "shm:%.80s/estab-bench-%d%s", tmp ? tmp : "/tmp", (int)getpid(), how);
}

static void shared_memory(void)
{
    enum { SPINNING, DEFAULT, SLEEPING, DEFAULT_1, SLEEPING_1, LOOPBACK, LOOPBACK_1, WAYS };
    static const char *const how[LOOPBACK] = {",busy=1s", "", ",busy=0us", "", ",busy=0us"};
    double v[WAYS][RUNS], rr[WAYS][RUNS], rr_asleep[RUNS], p99;
    char spec[128];

    pin(0);
    for (int i = 0; i < RUNS; i++) {
        struct peer spinning, sleeping, same;

        for (int k = 0; k < LOOPBACK; k++) {
            name_shm(spec, how[k]);
            v[k][i] = once_shm(spec, k < DEFAULT_1, false, NULL);
            rr[k][i] = once_shm(spec, k < DEFAULT_1, true, &p99);
        }
        spinning = peer_start(1, true, false);
        rr[LOOPBACK][i] = theirs_rr("127.0.0.1", true, EXCHANGES, &p99);
        peer_stop(&spinning);
        sleeping = peer_start(1, false, false);
        v[LOOPBACK][i] = theirs_out("127.0.0.1", &sleeping, RUN_TIME);
        rr_asleep[i] = theirs_rr("127.0.0.1", false, EXCHANGES, &p99);
        peer_stop(&sleeping);
        same = peer_start(0, false, false);
        rr[LOOPBACK_1][i] = theirs_rr("127.0.0.1", false, EXCHANGES, &p99);
        v[LOOPBACK_1][i] = theirs_out("127.0.0.1", &same, RUN_TIME);
        peer_stop(&same);
    }
    for (int k = 0; k < WAYS; k++) {
        v[k][0] = median(v[k], RUNS) * 1e-9;
        rr[k][0] = median(rr[k], RUNS) * 1e6;
    }
    rr_asleep[0] = median(rr_asleep, RUNS) * 1e6;
    printf("\nTwo processes, shared memory: spinning, by default, sleeping; the kernel's loopback\n"
           "  bulk, Gbit/s, two cores: %.1f, %.1f, %.1f; %.1f\n"
           "    one core: by default %.1f, sleeping %.1f; %.1f\n"
           "  64 octets and back, us, two cores: %.2f, %.2f, %.1f; spinning %.1f, sleeping %.1f\n"
           "    one core: by default %.1f, sleeping %.1f; %.1f\n",
           v[SPINNING][0], v[DEFAULT][0], v[SLEEPING][0], v[LOOPBACK][0], v[DEFAULT_1][0],
           v[SLEEPING_1][0], v[LOOPBACK_1][0], rr[SPINNING][0], rr[DEFAULT][0], rr[SLEEPING][0],
           rr[LOOPBACK][0], rr_asleep[0], rr[DEFAULT_1][0], rr[SLEEPING_1][0], rr[LOOPBACK_1][0]);
    figure("shm_gbps", v[SPINNING][0]);
    figure("shm_default_gbps", v[DEFAULT][0]);
    figure("shm_sleeping_gbps", v[SLEEPING][0]);
    figure("shm_gbps_loopback", v[LOOPBACK][0]);
    figure("shm_default_1_core_gbps", v[DEFAULT_1][0]);
    figure("shm_gbps_loopback_1_core", v[LOOPBACK_1][0]);
    figure("shm_rr_us", rr[SPINNING][0]);
    figure("shm_default_rr_us", rr[DEFAULT][0]);
    figure("shm_rr_us_loopback", rr[LOOPBACK][0]);
    figure("shm_rr_sleeping_us", rr[SLEEPING][0]);
    figure("shm_rr_sleeping_us_loopback", rr_asleep[0]);
}

/* One of them for a profiler: both ends spin. */
static int shared_memory_once(bool echoes)
{
    double v[RUNS], p99;
    char spec[128];

    name_shm(spec, ",busy=1s");
    pin(0);
    for (int i = 0; i < RUNS; i++)
        v[i] = once_shm(spec, 1, echoes, &p99);
    if (echoes)
        printf("%.0f ns\n", median(v, RUNS) * 1e9);
    else
        printf("%.1f Gbit/s\n", median(v, RUNS) * 1e-9);
    return 0;
}

static int usage(FILE *to)
{
    fputs("usage: estab-bench-links [--quick] [FIGURES]          every table; \"name value\" lines "
          "are\n"
          "                                                      added to FIGURES\n"
          "       estab-bench-links [--quick] kernel [FIGURES]   the kernel beside estab-bench's "
          "stacks\n"
          "       estab-bench-links once "
          "out|copied|in|in-cubic|bare-out|bare-in|bare-in-cubic|short|rr|shm|shm-out|shm-rr|"
          "stations\n",
          to);
    return to == stdout ? 0 : 2;
}

static int once(const char *what)
{
    static const char *const ways[] = {
        [OUT] = "out", [OUT_COPIED] = "copied", [IN] = "in", [IN_CUBIC] = "in-cubic"};
    struct peer p;
    enum way way = OUT;
    double r;

    while (way <= IN_CUBIC && strcmp(what, ways[way]) != 0)
        way++;
    if (way > IN_CUBIC && strcmp(what, "bare-out") != 0 && strcmp(what, "bare-in") != 0 &&
        strcmp(what, "bare-in-cubic") != 0 && strcmp(what, "short") != 0)
        return usage(stderr);
    pin(0);
    make_device("tun");
    p = peer_start(0, false, false);
    for (int i = 0; i < (strcmp(what, "short") ? RUNS : 1); i++) {
        if (strcmp(what, "bare-out") == 0)
            r = bare_out("ebench", US, THEM, &p, RUN_TIME);
        else if (strcmp(what, "bare-in") == 0)
            r = bare_in("ebench", US, THEM, PORT_SOURCE, RUN_TIME);
        else if (strcmp(what, "bare-in-cubic") == 0)
            r = bare_in("ebench", US, THEM, PORT_CUBIC, RUN_TIME);
        else if (strcmp(what, "short") == 0)
            r = once_short(32) * 1e9;
        else
            r = once_ours("tun:ebench", way, &p);
        printf("%.1f\n", r * 1e-9);
    }
    peer_stop(&p);
    drop_device();
    return 0;
}

int main(int argc, char **argv)
{
    bool one, kernel;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    argc -= quick;
    argv += quick;
    one = argc == 3 && strcmp(argv[1], "once") == 0;
    kernel = argc > 1 && strcmp(argv[1], "kernel") == 0;
    argc -= kernel;
    argv += kernel;
    if (!one && (argc > 2 || (argc > 1 && (*argv[1] == '-' || strcmp(argv[1], "once") == 0))))
        return usage(stderr);
    if (argc > 1 && !one && !(figures = fopen(argv[1], "a"))) {
        perror(argv[1]);
        return 1;
    }
    if (unshare(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK)) {
        printf("links: no network namespace or no /dev/net/tun here (%s): not measured\n",
               strerror(errno));
        return 0;
    }
    sh("ip link set lo up");
    if (!quick)
        undisturbed();
    if (kernel) {
        kernel_table(argc > 1 ? argv[1] : NULL, RUN_TIME / 2, quick ? 200 : 4000);
        return figures && fclose(figures) ? 1 : 0;
    }
    if (one && strcmp(argv[2], "shm") == 0)
        shared_memory();
    else if (one && strcmp(argv[2], "stations") == 0)
        stations();
    else if (one && strcmp(argv[2], "rr") == 0)
        exchanges(false, 0);
    else if (one && strncmp(argv[2], "shm-", 4) == 0)
        return shared_memory_once(strcmp(argv[2], "shm-rr") == 0);
    else if (one)
        return once(argv[2]);
    if (one)
        return 0;
    goodput(true);
    goodput(false);
    printf("\nAn exchange of 64 octets, us\n");
    exchanges(true, 1);
    exchanges(false, 0);
    exchanges(false, 1);
    printf("\nConnect, 64 octets, 64 octets, close: a second\n");
    short_connections(1, 0);
    short_connections(32, 0);
    short_connections(32, 1);
    stations();
    shared_memory();
    return figures && fclose(figures) ? 1 : 0;
}

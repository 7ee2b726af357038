/* SPDX-License-Identifier: BSD-2-Clause */
/* impair.c - estab impair: two TUN devices joined by the simulator's model of a link, in real time.
 *
 * What the kernel sends into one device goes through a pipe (estab/host.h) and comes out of the
 * other.  The pipe works off the time between two turns frame by frame, so that a late turn delays
 * what it hands over, and nothing else.  How late that was is counted: where it is not small beside
 * the link's own delays, the machine was too busy for the link. */
#include "child.h"
#include "command.h"
#include "interrupt.h"
#include "netns.h"
#include "option.h"
#include "say.h"
#include "sim_show.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BATCH = 32, BEHIND_BUCKETS = 64 };

struct side {
    char ns[64]; /* made here; "" none */
    char dev[32];
    estab_link *link;
    estab_pipe *pipe; /* of what this side sends */
    struct estab_fault fault;
    const char *name; /* one of them */
};
struct impair {
    struct side side[2];
    bool half_duplex, json;
    uint32_t mtu;
    uint64_t seed;
    estab_dur lasts; /* ESTAB_NEVER: until a signal */
    const char *const *command;
    struct child child;
    struct estab_env env;
    int signals;
    estab_time began_at;
    uint64_t behind[BEHIND_BUCKETS]; /* frames that were handed over 2^n ns late, or less */
    estab_dur behind_max;
};

static estab_time now_of(const struct impair *m)
{
    return m->env.now(m->env.ctx);
}

/* ---- the command line ---- */

/* "ns:NAME,ADDR/PREFIX" or "tun:DEV" */
static int parse_end(struct side *s, const char *text, const char **prefix)
{
    const char *comma = strchr(text, ',');
    size_t len;

    if (strncmp(text, "tun:", 4) == 0 && text[4] && strlen(text + 4) < sizeof s->dev) {
        snprintf(s->dev, sizeof s->dev, "%s", text + 4);
        s->ns[0] = '\0';
        return 0;
    }
    if (strncmp(text, "ns:", 3) != 0 || !comma)
        return -1;
    len = (size_t)(comma - text) - 3;
    if (len == 0 || len >= sizeof s->ns || memchr(text + 3, '/', len))
        return -1;
    memcpy(s->ns, text + 3, len);
    s->ns[len] = '\0';
    snprintf(s->dev, sizeof s->dev, "wan");
    *prefix = comma + 1;
    return 0;
}

static int open_side(struct impair *m, struct side *s, const char *end, char *err)
{
    uint8_t ip[16], prefix_len;
    const char *prefix = NULL;

    if (parse_end(s, end, &prefix)) {
        snprintf(err, ESTAB_ERRLEN, "'%.60s': an end is written ns:NAME,ADDR/PREFIX or tun:DEV",
                 end);
        return -1;
    }
    if (!s->ns[0]) {
        s->name = s->dev;
        return estab_link_tuntap(&s->link, ESTAB_MEDIUM_IP, s->dev, m->mtu, err);
    }
    s->name = s->ns;
    if (estab_prefix_parse(ip, &prefix_len, prefix)) {
        snprintf(err, ESTAB_ERRLEN, "'%.60s' is no address with a prefix", prefix);
        s->ns[0] = '\0';
        return -1;
    }
    if (netns_make(s->ns, s->dev, ip, prefix_len, m->mtu, &s->link, err) == 0)
        return 0;
    s->ns[0] = '\0'; /* not ours to take away */
    return -1;
}

static int open_both(struct impair *m, const char *const ends[2], char *err)
{
    for (int i = 0; i < 2; i++) {
        struct side *s = &m->side[i];

        s->fault.seed = m->seed + (uint64_t)i * 1000;
        if (open_side(m, s, ends[i], err) || estab_pipe_new(&s->pipe, &s->fault, err))
            return -1;
    }
    if (m->half_duplex)
        estab_pipe_join(m->side[0].pipe, m->side[1].pipe);
    return 0;
}

static void close_both(struct impair *m)
{
    child_stop(&m->child);
    for (int i = 0; i < 2; i++) {
        estab_link_close(m->side[i].link);
        estab_pipe_free(m->side[i].pipe);
        if (m->side[i].ns[0])
            netns_remove(m->side[i].ns);
    }
}

/* ---- the loop ---- */

/* ---- how late frames are handed over ---- */

static void note_behind(struct impair *m, estab_dur d)
{
    m->behind[d ? 64 - __builtin_clzll(d) - 1 : 0]++;
    m->behind_max = d > m->behind_max ? d : m->behind_max;
}

/* What a share of the frames did not exceed, within a factor of two. */
static estab_dur behind(const struct impair *m, double share)
{
    uint64_t all = 0, seen = 0;

    for (int i = 0; i < BEHIND_BUCKETS; i++)
        all += m->behind[i];
    for (int i = 0; i < BEHIND_BUCKETS; i++) {
        seen += m->behind[i];
        if (seen > 0 && (double)seen >= share * (double)all)
            return (estab_dur)1 << (i + 1);
    }
    return 0;
}

/* All that is due.  0, or -1: the device is gone. */
static int hand_over(struct impair *m, struct side *s, struct side *other)
{
    struct estab_pipe_info info = {.size = sizeof info};
    estab_time now = now_of(m), due;
    struct estab_frame f;

    estab_pipe_info(s->pipe, now, &info); /* what has left the wire by now has a time */
    for (;; now = now_of(m)) {
        due = estab_pipe_deadline(s->pipe);
        if (!estab_pipe_pop(s->pipe, &f, now))
            return 0;
        note_behind(m, now > due ? now - due : 0);
        if (estab_link_send(other->link, &f, 1) < 0)
            return -1;
    }
}

/* 0, or -1: a device is gone. */
static int turn(struct impair *m)
{
    struct estab_frame f[BATCH];
    int got;

    for (int i = 0; i < 2; i++) {
        struct side *s = &m->side[i], *other = &m->side[!i];

        do {
            got = estab_link_recv(s->link, f, BATCH);
            for (int k = 0; k < got; k++)
                estab_pipe_push(s->pipe, &f[k], now_of(m));
        } while (got == BATCH);
        if (got < 0 || hand_over(m, s, other)) {
            say_error("impair", "%s", got < 0 ? s->link->error : other->link->error);
            return -1;
        }
    }
    return 0;
}

static estab_time next_deadline(const struct impair *m, estab_time end)
{
    for (int i = 0; i < 2; i++) {
        estab_time at = estab_pipe_deadline(m->side[i].pipe);

        end = at < end ? at : end;
    }
    return end;
}

static void wait_until(struct impair *m, estab_time at)
{
    struct pollfd fds[3] = {{.fd = estab_link_fd(m->side[0].link), .events = POLLIN},
                            {.fd = estab_link_fd(m->side[1].link), .events = POLLIN},
                            {.fd = m->signals, .events = POLLIN}};
    estab_time now = now_of(m);
    estab_dur span = at <= now ? 0 : at - now;
    struct timespec t = {.tv_sec = (time_t)(span / ESTAB_S(1)),
                         .tv_nsec = (long)(span % ESTAB_S(1))};

    if (ppoll(fds, 3, at == ESTAB_NEVER ? NULL : &t, NULL) < 0 && errno != EINTR)
        say_error("impair", "poll: %s", strerror(errno));
}

/* The exit status. */
static int loop(struct impair *m)
{
    estab_time end = m->lasts == ESTAB_NEVER ? ESTAB_NEVER : m->began_at + m->lasts;

    while (now_of(m) < end) {
        if (turn(m))
            return EXIT_FAILURE;
        if (interrupt_read(m->signals))
            return EXIT_SUCCESS;
        if (m->command && child_ended(&m->child))
            return m->child.status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        wait_until(m, next_deadline(m, end));
    }
    return EXIT_SUCCESS;
}

static void print_results(struct impair *m)
{
    struct estab_sim_link l[2] = {0};
    char name[2][160];
    estab_time now = now_of(m);

    for (int i = 0; i < 2; i++) {
        struct side *s = &m->side[i];

        snprintf(name[i], sizeof name[i], "%s>%s", s->name, m->side[!i].name);
        l[i].name = name[i];
        l[i].pipe.size = sizeof l[i].pipe;
        estab_pipe_info(s->pipe, now, &l[i].pipe);
        l[i].wait_p50 = estab_pipe_wait(s->pipe, 0.5);
        l[i].wait_p99 = estab_pipe_wait(s->pipe, 0.99);
        l[i].used = (double)l[i].pipe.busy / (double)(now - m->began_at + 1);
    }
    if (m->json) {
        sim_show_links_json(l, 2, stdout);
        printf("{\"behind_p99_s\":%.9f,\"behind_max_s\":%.9f}\n", (double)behind(m, 0.99) / 1e9,
               (double)m->behind_max / 1e9);
    } else {
        sim_show_links(l, 2, stdout);
        printf("handed over no later than %.3f ms after it was due: 99 %%, %.3f ms: all\n",
               (double)behind(m, 0.99) / 1e6, (double)m->behind_max / 1e6);
    }
    fflush(stdout);
}

static int impair(struct impair *m, const char *const ends[2])
{
    char err[ESTAB_ERRLEN];
    int rc = EXIT_FAILURE;

    estab_host_env(&m->env);
    m->signals = interrupt_open();
    if (m->signals < 0) {
        say_error("impair", "cannot watch for signals");
        return EXIT_FAILURE;
    }
    /* Timers of the kernel may be late by 50 us otherwise. */
    prctl(PR_SET_TIMERSLACK, 1);
    if (open_both(m, ends, err)) {
        say_error("impair", "%s", err);
        goto out;
    }
    m->began_at = now_of(m);
    if (m->command && child_start(&m->child, m->command, STDOUT_FILENO)) {
        say_error("impair", "%s: %s", m->command[0], strerror(errno));
        goto out;
    }
    if (!m->command && !m->json) {
        printf("%s and %s are joined; Ctrl-C ends it\n", m->side[0].name, m->side[1].name);
        fflush(stdout);
    }
    rc = loop(m);
    print_results(m);
out:
    close_both(m);
    close(m->signals);
    return rc;
}

enum { OPT_LINK = 256, OPT_BACK, OPT_HALF, OPT_SEED, OPT_FOR, OPT_JSON, OPT_MTU };
static const struct option options[] = {
    {"link", required_argument, NULL, OPT_LINK},  {"back", required_argument, NULL, OPT_BACK},
    {"half-duplex", no_argument, NULL, OPT_HALF}, {"seed", required_argument, NULL, OPT_SEED},
    {"for", required_argument, NULL, OPT_FOR},    {"json", no_argument, NULL, OPT_JSON},
    {"mtu", required_argument, NULL, OPT_MTU},    {NULL, 0, NULL, 0},
};

struct words {
    const char *link, *back;
};

static int parse_option(struct impair *m, struct words *w, int c, char *const argv[])
{
    uint64_t n;
    double v;

    switch (c) {
    case OPT_LINK:
        w->link = optarg;
        return 0;
    case OPT_BACK:
        w->back = optarg;
        return 0;
    case OPT_HALF:
        m->half_duplex = true;
        return 0;
    case OPT_JSON:
        m->json = true;
        return 0;
    case OPT_SEED:
        return option_number(&m->seed, optarg, 0, UINT64_MAX)
                   ? 0
                   : say_usage("impair", "--seed '%s' is no number", optarg);
    case OPT_MTU:
        if (!option_number(&n, optarg, 68, 65535))
            return say_usage("impair", "--mtu '%s': from 68 to 65535", optarg);
        m->mtu = (uint32_t)n;
        return 0;
    case OPT_FOR:
        if (estab_quantity_parse(&v, optarg, ESTAB_UNIT_TIME) || v < 1 || v > 1e18)
            return say_usage("impair", "--for '%s' is no time; like 30s", optarg);
        m->lasts = (estab_dur)v;
        return 0;
    default:
        return option_wrong("impair", c, argv);
    }
}

/* Where "--" stands, which getopt_long(3) would take out; argc: nowhere. */
static int find_command(int argc, char *argv[])
{
    int i = 1;

    while (i < argc && strcmp(argv[i], "--") != 0)
        i++;
    return i;
}

static int run(int argc, char *argv[])
{
    struct impair m = {.lasts = ESTAB_NEVER, .seed = 1};
    const char *ends[2] = {"ns:left,10.99.0.1/24", "ns:right,10.99.0.2/24"};
    int own = find_command(argc, argv), c, rc;
    char err[ESTAB_ERRLEN];
    struct words w = {.link = ""};

    optind = 0;
    while ((c = getopt_long(own, argv, ":", options, NULL)) != -1) {
        rc = parse_option(&m, &w, c, argv);
        if (rc)
            return rc;
    }
    if (own - optind != 0 && own - optind != 2)
        return say_usage("impair", "two ends, or none");
    for (int i = 0; optind < own; i++)
        ends[i] = argv[optind++];
    if (own + 1 < argc)
        m.command = (const char *const *)argv + own + 1;
    if (estab_fault_parse(&m.side[0].fault, w.link, err))
        return say_usage("impair", "--link: %s", err);
    m.side[1].fault = m.side[0].fault;
    if (w.back && estab_fault_change(&m.side[1].fault, w.back, err))
        return say_usage("impair", "--back: %s", err);
    return impair(&m, ends);
}

const struct command command_impair = {
    "impair",
    "put the simulator's link between two TUN devices, in real time",
    "usage: estab impair [OPTION ...] [END END] [-- COMMAND ...]\n"
    "\n"
    "What one device sends goes through a model of a link and comes out of the other, so that the\n"
    "kernel's TCP meets the very same impairments as a simulated one.  Needs root.\n"
    "\n"
    "  END                   ns:NAME,ADDR/PREFIX: a network namespace that is made, with a device\n"
    "                        'wan'; or tun:DEV, a device here.  Left and right, 10.99.0.1/24 and\n"
    "                        10.99.0.2/24, if none is given\n"
    "  --link SETTINGS       rate=10Mbit,delay=20ms,queue=100,loss=1%,aqm=codel,...\n"
    "  --back SETTINGS       what is different on the way back\n"
    "  --half-duplex         both ways share the wire\n"
    "  --mtu N               of the devices\n"
    "  --seed N              of chance (1)\n"
    "  --for TIME            so long, instead of until Ctrl-C or until COMMAND ends\n"
    "  --json                the figures at the end as JSON: a line of links, a line of lateness\n"
    "\n"
    "The manual: man estab-impair.\n",
    run,
};

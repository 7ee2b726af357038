/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c - `estab check`: every behaviour of two stacks up to a bound, and the state diagram. */
#include "command.h"
#include "diagram.h"
#include "explore.h"
#include "interrupt.h"
#include "option.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPT_QUICK = 0x100, OPT_DIAGRAM, OPT_SCRIPT, OPT_RUN, OPT_JSON, OPT_BOUND };

/* Each bound is an option of its name. */
static const struct bound {
    const char *name;
    size_t at;
    unsigned most;
} bounds[] = {
    {"loss", offsetof(struct explore_bounds, loss), 8},
    {"duplicate", offsetof(struct explore_bounds, dup), 8},
    {"reorder", offsetof(struct explore_bounds, reorder), 8},
    {"early", offsetof(struct explore_bounds, early), 8},
    {"sends", offsetof(struct explore_bounds, sends), 15},
    {"connections", offsetof(struct explore_bounds, connections), 15},
    {"depth", offsetof(struct explore_bounds, depth), 249},
};
enum { NBOUNDS = sizeof bounds / sizeof bounds[0] };

static const struct option options[] = {{"quick", no_argument, NULL, OPT_QUICK},
                                        {"diagram", required_argument, NULL, OPT_DIAGRAM},
                                        {"script", required_argument, NULL, OPT_SCRIPT},
                                        {"run", required_argument, NULL, OPT_RUN},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"states", required_argument, NULL, 'n'},
                                        {"simultaneous", no_argument, NULL, 's'},
                                        {"aborts", no_argument, NULL, 'a'},
                                        {"timestamps", no_argument, NULL, 't'},
                                        {"loss", required_argument, NULL, OPT_BOUND + 0},
                                        {"duplicate", required_argument, NULL, OPT_BOUND + 1},
                                        {"reorder", required_argument, NULL, OPT_BOUND + 2},
                                        {"early", required_argument, NULL, OPT_BOUND + 3},
                                        {"sends", required_argument, NULL, OPT_BOUND + 4},
                                        {"connections", required_argument, NULL, OPT_BOUND + 5},
                                        {"depth", required_argument, NULL, OPT_BOUND + 6},
                                        {0}};

/* What is explored when no bound is given: each a different corner of what can go wrong. */
static const struct suite {
    const char *name;
    bool quick;
    struct explore_bounds b;
} suites[] = {
    {"a good network", true, {.reorder = 1, .sends = 2, .connections = 1}},
    {"loss", true, {.loss = 1, .reorder = 1, .sends = 1, .connections = 1}},
    {"duplicates and reordering", true, {.dup = 1, .reorder = 2, .sends = 1, .connections = 1}},
    {"simultaneous open",
     true,
     {.loss = 1, .reorder = 1, .sends = 1, .connections = 1, .simultaneous = true}},
    {"incarnations", true, {.loss = 1, .dup = 1, .reorder = 1, .connections = 2}},
    {"aborts", true, {.reorder = 1, .sends = 1, .connections = 1, .aborts = true}},
    {"timestamps", true, {.loss = 1, .dup = 1, .reorder = 1, .connections = 2, .timestamps = true}},
    {"early timers", false, {.loss = 1, .dup = 1, .reorder = 1, .early = 1, .connections = 2}},
    {"two losses", false, {.loss = 2, .reorder = 1, .sends = 1, .connections = 1}},
    {"simultaneous open, bad network",
     false,
     {.loss = 1, .dup = 1, .reorder = 2, .early = 1, .connections = 1, .simultaneous = true}},
    {"loss, duplicates, reordering",
     false,
     {.loss = 1, .dup = 1, .reorder = 2, .sends = 1, .connections = 1}},
    {"aborts and incarnations",
     false,
     {.loss = 1, .dup = 1, .reorder = 1, .connections = 2, .aborts = true}},
};
enum { NSUITES = sizeof suites / sizeof suites[0] };

struct check {
    struct explore_bounds own;
    bool given, quick, json, shown;
    const char *diagram, *script_path;
    FILE *script;
    int signals, signal;
    struct timespec began;
    uint64_t states, steps, finishes;
    uint64_t edges[ESTAB_TCP_STATES][ESTAB_TCP_STATES];
};

static int parse(struct check *c, int argc, char *argv[])
{
    uint64_t n;
    int o;

    while ((o = getopt_long(argc, argv, ":n:sat", options, NULL)) != -1) {
        switch (o) {
        case OPT_QUICK:
            c->quick = true;
            break;
        case OPT_JSON:
            c->json = true;
            break;
        case OPT_DIAGRAM:
            c->diagram = optarg;
            break;
        case OPT_SCRIPT:
            c->script_path = optarg;
            break;
        case 'n':
            if (!option_number(&n, optarg, 2, 100000000))
                return say_usage("check", "'%s' is not a number of states (2 to 100000000)",
                                 optarg);
            c->own.states = n;
            break;
        case OPT_RUN:
            if (!option_number(&n, optarg, 1, 100000000))
                return say_usage("check", "'%s' is not the number of a state (1 to 100000000)",
                                 optarg);
            c->own.run = n;
            c->given = true;
            break;
        case 's':
            c->own.simultaneous = c->given = true;
            break;
        case 'a':
            c->own.aborts = c->given = true;
            break;
        case 't':
            c->own.timestamps = c->given = true;
            break;
        case ':':
        case '?':
            return option_wrong("check", o, argv);
        default: {
            const struct bound *b = &bounds[o - OPT_BOUND];

            if (!option_number(&n, optarg, 0, b->most))
                return say_usage("check", "--%s takes a number up to %u, not '%s'", b->name,
                                 b->most, optarg);
            *(unsigned *)(void *)((char *)&c->own + b->at) = (unsigned)n;
            c->given = true;
        }
        }
    }
    if (optind < argc)
        return say_usage("check", "unexpected argument '%s'", argv[optind]);
    if (c->own.reorder == 0)
        c->own.reorder = 1;
    return 0;
}

static bool progress(void *ctx, const struct explore_result *r)
{
    struct check *c = ctx;
    struct timespec now;
    char n[SAY_LEN];

    c->signal = interrupt_read(c->signals);
    if (c->signal)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!isatty(STDERR_FILENO) || now.tv_sec - c->began.tv_sec < 2)
        return true;
    fprintf(stderr, "\r  %s states, %u steps deep\033[K", say_count(r->states, n), r->depth);
    c->shown = true;
    return true;
}

static void say_result(const struct check *c, const char *name, const struct explore_result *r)
{
    char states[SAY_LEN], steps[SAY_LEN];

    if (c->shown)
        fputs("\r\033[K", stderr);
    if (c->json) {
        printf("{\"name\": \"%s\", \"states\": %llu, \"steps\": %llu, \"finishes\": %llu, "
               "\"depth\": %u, "
               "\"complete\": %s, \"failure\": \"%s\"}\n",
               name, (unsigned long long)r->states, (unsigned long long)r->steps,
               (unsigned long long)r->finishes, r->depth, r->complete ? "true" : "false",
               r->failure);
        return;
    }
    printf("%-32s %12s states %12s steps  depth %3u  %s\n", name, say_count(r->states, states),
           say_count(r->steps, steps), r->depth, r->complete ? "all of them" : "up to the limit");
}

/* 0, 1: a promise was broken, or an exit status. */
static int run_one(struct check *c, const char *name, const struct explore_bounds *b)
{
    struct explore_result r;
    int found;

    clock_gettime(CLOCK_MONOTONIC, &c->began);
    found = explore(b, &r, c->script ? c->script : stdout, progress, c);
    if (c->signal)
        return EXIT_SIGNAL + c->signal;
    if (found < 0) {
        say_error("check", "out of memory: give a smaller --states");
        return 1;
    }
    say_result(c, name, &r);
    c->states += r.states;
    c->steps += r.steps;
    c->finishes += r.finishes;
    for (int from = 0; from < ESTAB_TCP_STATES; from++)
        for (int to = 0; to < ESTAB_TCP_STATES; to++)
            c->edges[from][to] += r.edges[from][to];
    if (found && !c->json)
        printf("FAILED: %s\n%s", r.failure, c->script ? "" : "the run is above\n");
    return found;
}

static int run_all(struct check *c)
{
    for (size_t i = 0; i < NSUITES; i++) {
        struct explore_bounds b = suites[i].b;
        int status;

        if (c->quick && !suites[i].quick)
            continue;
        b.depth = c->own.depth;
        b.states = c->own.states;
        status = run_one(c, suites[i].name, &b);
        if (status == 0)
            status = say_flush("check");
        if (status)
            return status;
    }
    return 0;
}

static void say_edges(const struct check *c)
{
    char n[SAY_LEN];

    puts("\nedges taken");
    for (int i = 0; i < ESTAB_TCP_STATES * ESTAB_TCP_STATES; i++) {
        enum estab_tcp_state from = (enum estab_tcp_state)(i / ESTAB_TCP_STATES);
        enum estab_tcp_state to = (enum estab_tcp_state)(i % ESTAB_TCP_STATES);

        if (estab_edge_legal(from, to))
            printf("  %-13s -> %-13s %14s\n", estab_state_name(from), estab_state_name(to),
                   say_count(c->edges[from][to], n));
    }
}

static void say_totals(const struct check *c)
{
    char states[SAY_LEN], steps[SAY_LEN], finishes[SAY_LEN];

    if (c->json)
        return;
    say_edges(c);
    printf("\n%s states, %s steps, %s runs to the end: no illegal edge, no state without an exit,\n"
           "every close reached CLOSED, no graceful close produced an RST, every octet came once, "
           "in order\n"
           "and to its own connection\n",
           say_count(c->states, states), say_count(c->steps, steps),
           say_count(c->finishes, finishes));
}

static int end_script(struct check *c)
{
    bool failed = ferror(c->script);

    if (fclose(c->script) == 0 && !failed)
        return 0;
    say_error("check", "cannot write %s: %s", c->script_path, strerror(errno));
    return -1;
}

static int run(int argc, char *argv[])
{
    struct check c = {.signals = -1};
    int status;

    explore_bounds_init(&c.own);
    c.own.states = 200000;
    status = parse(&c, argc, argv);
    if (status)
        return status;
    if (c.script_path && !(c.script = fopen(c.script_path, "w"))) {
        say_error("check", "cannot write %s: %s", c.script_path, strerror(errno));
        return 1;
    }
    c.signals = interrupt_open();
    status = c.given ? run_one(&c, "as asked", &c.own) : run_all(&c);
    if (c.script && end_script(&c) && status == 0)
        status = EXIT_FAILURE;
    if (status == 0)
        say_totals(&c);
    if (status == 0 && c.diagram && diagram_write("check", c.diagram, c.edges) < 0)
        status = 1;
    if (c.signals >= 0)
        close(c.signals);
    return status;
}

const struct command command_check = {
    .name = "check",
    .summary = "explore every behaviour of two stacks up to a bound; draw the states",
    .usage = "usage: estab check [--quick] [--diagram FILE] [--script FILE] [--json] [--states N]\n"
             "       estab check [BOUND ...] ...\n"
             "\n"
             "Runs two stacks against each other, with a channel that may lose, duplicate and\n"
             "reorder and applications that may do anything at any time, through every order of\n"
             "events up to a bound, and checks: no illegal edge, no state without an exit, every\n"
             "close reaches CLOSED, no graceful close produces an RST, no octet of an earlier\n"
             "connection is delivered, none twice or out of order.\n"
             "\n"
             "Without a bound it runs a set of explorations; --quick only the short ones.\n"
             "  --loss N          frames that may be lost in a run\n"
             "  --duplicate N     frames that may be delivered twice\n"
             "  --reorder N       frames of a direction within reach (1: order is kept)\n"
             "  --early N         timers that may fire although a frame is under way\n"
             "  --sends N         octets that each end may send in a connection\n"
             "  --connections N   connections one after another on the same four-tuple\n"
             "  -s, --simultaneous  both ends open actively\n"
             "  -a, --aborts        applications may abort\n"
             "  -t, --timestamps    with RFC 7323 timestamps\n"
             "  --depth N         steps of a run (60)\n"
             "  -n, --states N    states to keep at most, of each exploration (200000)\n"
             "\n"
             "  --diagram FILE    the state diagram with how often each edge was taken:\n"
             "                    .svg and .png by graphviz, anything else is DOT text\n"
             "  --script FILE     where the shortest failing run goes, as a packet script\n"
             "                    (standard output)\n"
             "  --run N           the same for the run to the Nth state, though nothing fails\n"
             "  --json            one object a line for each exploration\n",
    .run = run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* sim.c - estab sim: networks in virtual time. */
#include "command.h"
#include "option.h"
#include "say.h"
#include "sim_show.h"

#include <estab/sim.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct sim {
    struct estab_sim_options opt;
    const char *topology;
    const char **defines;
    const char *show, *shrink; /* shrink: the files' prefix; NULL: one with the seed in it */
    uint64_t campaign;         /* seeds; 0: one run */
    unsigned jobs;             /* 0: one for each processor */
    bool json, quiet, table, list, no_shrink;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int list(void)
{
    const char *name, *text, *about, *end;

    for (size_t i = 0; estab_sim_ready(i, &name, &text); i++) {
        about = strstr(text, "\nabout ");
        about = about ? about + strlen("\nabout ") : "";
        end = strchr(about, '\n');
        printf("%-14s%.*s\n", name, end ? (int)(end - about) : 0, about);
    }
    return EXIT_SUCCESS;
}

static int show(const char *topology)
{
    const char *name, *text;

    for (size_t i = 0; estab_sim_ready(i, &name, &text); i++) {
        if (strcmp(name, topology) == 0) {
            fputs(text, stdout);
            return EXIT_SUCCESS;
        }
    }
    return say_usage("sim", "no topology '%s' is built in", topology);
}

static int parse_span(estab_dur *out, const char *text)
{
    double v;

    if (estab_quantity_parse(&v, text, ESTAB_UNIT_TIME) || v < 1 || v > 1e18)
        return -1;
    *out = (estab_dur)v;
    return 0;
}

enum {
    OPT_SEED = 256,
    OPT_FOR,
    OPT_JSON,
    OPT_TABLE,
    OPT_LIST,
    OPT_SHOW,
    OPT_FATES,
    OPT_SHRINK,
    OPT_NO_SHRINK,
    OPT_PCAP,
    OPT_PLOT,
    OPT_CAMPAIGN,
};
static const struct option options[] = {
    {"seed", required_argument, NULL, OPT_SEED},
    {"for", required_argument, NULL, OPT_FOR},
    {"json", no_argument, NULL, OPT_JSON},
    {"table", no_argument, NULL, OPT_TABLE},
    {"list", no_argument, NULL, OPT_LIST},
    {"show", required_argument, NULL, OPT_SHOW},
    {"fates", required_argument, NULL, OPT_FATES},
    {"shrink", required_argument, NULL, OPT_SHRINK},
    {"no-shrink", no_argument, NULL, OPT_NO_SHRINK},
    {"pcap", required_argument, NULL, OPT_PCAP},
    {"plot", required_argument, NULL, OPT_PLOT},
    {"campaign", required_argument, NULL, OPT_CAMPAIGN},
    {"jobs", required_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0},
};

static int parse_option(struct sim *s, int c, char *const argv[])
{
    uint64_t n;

    switch (c) {
    case OPT_SEED:
        return option_number(&s->opt.seed, optarg, 0, UINT64_MAX)
                   ? 0
                   : say_usage("sim", "--seed '%s' is no number", optarg);
    case OPT_FOR:
        return parse_span(&s->opt.lasts, optarg)
                   ? say_usage("sim", "--for '%s' is no time; like 30s", optarg)
                   : 0;
    case OPT_CAMPAIGN:
        return option_number(&s->campaign, optarg, 1, UINT64_MAX)
                   ? 0
                   : say_usage("sim", "--campaign '%s' is no number of seeds", optarg);
    case 'j':
        if (!option_number(&n, optarg, 1, 1024))
            return say_usage("sim", "-j '%s' is no number of processes", optarg);
        s->jobs = (unsigned)n;
        return 0;
    case OPT_SHOW:
        s->show = optarg;
        return 0;
    case OPT_FATES:
        s->opt.fates = optarg;
        return 0;
    case OPT_SHRINK:
        s->shrink = optarg;
        return 0;
    case OPT_PCAP:
        s->opt.pcap_dir = optarg;
        return 0;
    case OPT_PLOT:
        s->opt.plot_dir = optarg;
        return 0;
    case OPT_JSON:
        s->json = true;
        return 0;
    case OPT_TABLE:
        s->table = true;
        return 0;
    case OPT_LIST:
        s->list = true;
        return 0;
    case OPT_NO_SHRINK:
        s->no_shrink = true;
        return 0;
    case 'q':
        s->quiet = true;
        return 0;
    default:
        return option_wrong("sim", c, argv);
    }
}

static int parse(struct sim *s, int argc, char *argv[])
{
    int c, rc;

    optind = 0;
    while ((c = getopt_long(argc, argv, ":qj:", options, NULL)) != -1) {
        rc = parse_option(s, c, argv);
        if (rc)
            return rc;
    }
    if (s->list || s->show)
        return 0;
    for (; optind < argc; optind++) {
        if (strchr(argv[optind], '='))
            s->defines[s->opt.ndefines++] = argv[optind];
        else if (s->topology)
            return say_usage("sim", "one topology at a time: '%s'?", argv[optind]);
        else
            s->topology = argv[optind];
    }
    return s->topology ? 0 : say_usage("sim", "which topology?");
}

/* ---- a failure ---- */

enum { SHRINK_RUNS = 2000 };

static void print_command(const struct sim *s, uint64_t seed, FILE *out)
{
    fprintf(out, "again: estab sim --seed %" PRIu64, seed);
    if (s->opt.lasts)
        fprintf(out, " --for %" PRIu64 "ns", s->opt.lasts);
    if (s->opt.fates)
        fprintf(out, " --fates %s", s->opt.fates);
    fprintf(out, " %s", s->topology);
    for (size_t i = 0; i < s->opt.ndefines; i++)
        fprintf(out, " %s", s->opt.defines[i]);
    fputc('\n', out);
}

static void shrink(const struct sim *s, uint64_t seed, FILE *out)
{
    struct estab_sim_shrunk r = {.size = sizeof r};
    struct estab_sim_options opt = s->opt;
    char err[ESTAB_ERRLEN], prefix[160];

    opt.seed = seed;
    snprintf(prefix, sizeof prefix, "%.100s", s->shrink ? s->shrink : "");
    if (!s->shrink)
        snprintf(prefix, sizeof prefix, "estab-sim-%" PRIu64, seed);
    if (estab_sim_shrink(s->topology, &opt, SHRINK_RUNS, prefix, &r, err)) {
        fprintf(out, "cannot be shrunk: %s\n", err);
        return;
    }
    fprintf(out, "shrunk: %zu of %zu fates are enough, after %u runs: estab sim --fates %s\n",
            r.after, r.before, r.runs, r.fates);
    for (int i = 0; i < 2; i++)
        if (r.scripts[i][0])
            fprintf(out, "script: estab script %s%s\n", r.scripts[i],
                    r.replays[i] ? "" : " (does not replay: the ends depend on more than packets)");
}

static int run_one(const struct sim *s)
{
    char err[ESTAB_ERRLEN];
    const struct estab_sim_report *r;
    estab_sim *sim;
    double began = seconds(), took;
    int rc;

    if (estab_sim_new(&sim, s->topology, &s->opt, err)) {
        say_error("sim", "%s", err);
        return EXIT_USAGE;
    }
    if (estab_sim_run(sim, err)) {
        say_error("sim", "%s", err);
        estab_sim_free(sim);
        return EXIT_FAILURE;
    }
    took = seconds() - began;
    r = estab_sim_report(sim);
    rc = r->verdict == ESTAB_SIM_HELD ? EXIT_SUCCESS : EXIT_FAILURE;
    if (s->json)
        sim_show_json(sim, s->opt.seed, stdout);
    else
        sim_show_table(sim, stdout);
    if (rc) {
        print_command(s, s->opt.seed, stderr);
        if (!s->no_shrink)
            shrink(s, s->opt.seed, stderr);
    }
    if (!s->quiet && !s->json)
        fprintf(stderr, "%.0f simulated seconds in %.3f s: %.0f a second; %.2f M frames a second\n",
                (double)r->traffic / 1e9, took, (double)r->traffic / 1e9 / took,
                (double)r->frames / took / 1e6);
    estab_sim_free(sim);
    return rc;
}

/* ---- a table: a run for each combination of what varies ---- */

enum { COLUMNS_MAX = 8, VALUE_LEN = 80 };

struct table {
    const struct sim *s;
    const char *name[COLUMNS_MAX];
    const char *const *value[COLUMNS_MAX];
    size_t nvalues[COLUMNS_MAX], at[COLUMNS_MAX], ncolumns;
    int width[COLUMNS_MAX];
};

static int run_row(const struct table *t)
{
    char text[COLUMNS_MAX][VALUE_LEN], err[ESTAB_ERRLEN];
    const char *defines[COLUMNS_MAX], *values[COLUMNS_MAX];
    struct estab_sim_options opt = t->s->opt;
    estab_sim *sim;
    int rc;

    for (size_t i = 0; i < t->ncolumns; i++) {
        values[i] = t->value[i][t->at[i]];
        snprintf(text[i], VALUE_LEN, "%s=%s", t->name[i], values[i]);
        defines[i] = text[i];
    }
    opt.defines = defines;
    opt.ndefines = t->ncolumns;
    if (estab_sim_new(&sim, t->s->topology, &opt, err)) {
        say_error("sim", "%s", err);
        return EXIT_USAGE;
    }
    if (estab_sim_run(sim, err)) {
        say_error("sim", "%s", err);
        estab_sim_free(sim);
        return EXIT_FAILURE;
    }
    sim_show_row(sim, values, t->width, t->ncolumns, stdout);
    rc = estab_sim_report(sim)->verdict == ESTAB_SIM_HELD ? EXIT_SUCCESS : EXIT_FAILURE;
    estab_sim_free(sim);
    return rc;
}

/* The last column turns fastest; false: they have all been. */
static bool next_row(struct table *t)
{
    for (size_t i = t->ncolumns; i-- > 0;) {
        if (++t->at[i] < t->nvalues[i])
            return true;
        t->at[i] = 0;
    }
    return false;
}

static void set_width(struct table *t, size_t i)
{
    t->width[i] = (int)strlen(t->name[i]);
    for (size_t k = 0; k < t->nvalues[i]; k++)
        if ((int)strlen(t->value[i][k]) > t->width[i])
            t->width[i] = (int)strlen(t->value[i][k]);
}

static int run_table(const struct sim *s)
{
    struct table t = {.s = s};
    char err[ESTAB_ERRLEN];
    estab_sim *sim;
    int rc, worst = EXIT_SUCCESS;

    if (s->opt.ndefines)
        return say_usage("sim", "--table has its definitions from the topology");
    if (estab_sim_new(&sim, s->topology, &s->opt, err)) {
        say_error("sim", "%s", err);
        return EXIT_USAGE;
    }
    while (t.ncolumns < COLUMNS_MAX &&
           estab_sim_varied(sim, t.ncolumns, &t.name[t.ncolumns], &t.value[t.ncolumns],
                            &t.nvalues[t.ncolumns]))
        set_width(&t, t.ncolumns++);
    sim_show_head(t.name, t.width, t.ncolumns, stdout);
    do {
        rc = run_row(&t);
        worst = rc > worst ? rc : worst;
    } while (next_row(&t));
    estab_sim_free(sim);
    return worst;
}

/* ---- a campaign: a run for each seed, on all processors ---- */

enum { CAMPAIGN_FLOWS = 8, CAMPAIGN_TEXT = 256 };

struct outcome { /* of one seed, small enough that a pipe takes it whole */
    uint64_t seed;
    bool held, ran;
    char text[CAMPAIGN_TEXT];
    double traffic;
    size_t nflows;
    char name[CAMPAIGN_FLOWS][32];
    double goodput[CAMPAIGN_FLOWS], time_max[CAMPAIGN_FLOWS];
};

static void run_seed(const struct sim *s, struct outcome *o)
{
    struct estab_sim_options opt = s->opt;
    const struct estab_sim_report *r;
    const struct estab_sim_flow *f;
    char err[ESTAB_ERRLEN];
    estab_sim *sim;
    size_t n;

    opt.seed = o->seed;
    if (estab_sim_new(&sim, s->topology, &opt, err)) {
        snprintf(o->text, sizeof o->text, "%s", err);
        return;
    }
    if (estab_sim_run(sim, err)) {
        snprintf(o->text, sizeof o->text, "%s", err);
        estab_sim_free(sim);
        return;
    }
    r = estab_sim_report(sim);
    o->ran = true;
    o->held = r->verdict == ESTAB_SIM_HELD;
    snprintf(o->text, sizeof o->text, "%.40s: %.200s", estab_sim_check_name(r->check), r->text);
    o->traffic = (double)r->traffic / 1e9;
    f = estab_sim_flows(sim, &n);
    o->nflows = n < CAMPAIGN_FLOWS ? n : CAMPAIGN_FLOWS;
    for (size_t i = 0; i < o->nflows; i++) {
        snprintf(o->name[i], sizeof o->name[i], "%s", f[i].name);
        o->goodput[i] = f[i].goodput * 8 / 1e6;
        o->time_max[i] = (double)f[i].time_max / 1e9;
    }
    estab_sim_free(sim);
}

/* Every jobs-th seed, begun at the own one. */
static void work(const struct sim *s, unsigned own, unsigned jobs, int to)
{
    struct outcome o;

    for (uint64_t i = own; i < s->campaign; i += jobs) {
        o = (struct outcome){.seed = s->opt.seed + i};
        run_seed(s, &o);
        if (write(to, &o, sizeof o) != (ssize_t)sizeof o)
            _exit(EXIT_FAILURE);
    }
    _exit(EXIT_SUCCESS);
}

static int start_workers(const struct sim *s, unsigned jobs, int *from)
{
    int fd[2];

    if (pipe(fd)) {
        say_error("sim", "pipe: %s", strerror(errno));
        return -1;
    }
    fflush(NULL);
    for (unsigned i = 0; i < jobs; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            say_error("sim", "fork: %s", strerror(errno));
            close(fd[0]);
            close(fd[1]);
            return -1;
        }
        if (pid == 0) {
            close(fd[0]);
            work(s, i, jobs, fd[1]);
        }
    }
    close(fd[1]);
    *from = fd[0];
    return 0;
}

static int by_seed(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;

    return (x->seed > y->seed) - (x->seed < y->seed);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_spread(const char *what, double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_size);
    printf("  %s: least %.3f, 10%% %.3f, median %.3f, 90%% %.3f, most %.3f\n", what, v[0],
           v[n / 10], v[n / 2], v[n - 1 - n / 10], v[n - 1]);
}

static void print_spreads(const struct outcome *o, size_t n)
{
    double *v = calloc(n + 1, sizeof *v);

    for (size_t f = 0; v && n > 0 && f < o[0].nflows; f++) {
        printf("%s:\n", o[0].name[f]);
        for (size_t i = 0; i < n; i++)
            v[i] = o[i].goodput[f];
        print_spread("goodput, Mbit/s", v, n);
        for (size_t i = 0; i < n; i++)
            v[i] = o[i].time_max[f];
        print_spread("longest time, s", v, n);
    }
    free(v);
}

static size_t collect(struct outcome *o, size_t most, int from)
{
    size_t n = 0, at = 0;
    ssize_t got;

    while (n < most) {
        got = read(from, (char *)&o[n] + at, sizeof o[n] - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        at += (size_t)got;
        if (at == sizeof *o) {
            at = 0;
            n++;
        }
    }
    return n;
}

static int run_campaign(const struct sim *s)
{
    unsigned jobs = s->jobs ? s->jobs : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    struct outcome *o = calloc(s->campaign, sizeof *o);
    double began = seconds(), took, simulated = 0;
    size_t n, broken = 0;
    int from;

    if (jobs > s->campaign)
        jobs = (unsigned)s->campaign;
    if (!o) {
        say_error("sim",
                  "no memory for what comes of %" PRIu64 " seeds: take fewer, and --seed for "
                  "where the next campaign begins",
                  s->campaign);
        return EXIT_FAILURE;
    }
    if (start_workers(s, jobs, &from)) {
        free(o);
        return EXIT_FAILURE;
    }
    n = collect(o, s->campaign, from);
    close(from);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    took = seconds() - began;
    qsort(o, n, sizeof *o, by_seed);
    for (size_t i = 0; i < n; i++) {
        simulated += o[i].traffic;
        if (o[i].held)
            continue;
        printf("seed %" PRIu64 " %s: %s\n", o[i].seed, o[i].ran ? "BROKEN" : "could not run",
               o[i].text);
        if (!o[i].ran)
            continue;
        print_command(s, o[i].seed, stdout);
        if (!s->no_shrink && broken == 0)
            shrink(s, o[i].seed, stdout);
        broken++;
    }
    printf("%zu seeds: %zu held, %zu did not\n", n, n - broken, broken);
    print_spreads(o, n);
    if (!s->quiet)
        fprintf(stderr, "%.0f simulated seconds in %.2f s: %.0f a second, in %u processes\n",
                simulated, took, simulated / took, jobs);
    free(o);
    return n == s->campaign && broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(int argc, char *argv[])
{
    struct sim s = {.opt = {.size = sizeof s.opt, .seed = 1}};
    int rc;

    s.defines = calloc((size_t)argc, sizeof *s.defines);
    if (!s.defines) {
        say_error("sim", "%s", strerror(ENOMEM));
        return EXIT_FAILURE;
    }
    s.opt.defines = s.defines;
    rc = parse(&s, argc, argv);
    if (rc == 0)
        rc = s.list       ? list()
             : s.show     ? show(s.show)
             : s.campaign ? run_campaign(&s)
             : s.table    ? run_table(&s)
                          : run_one(&s);
    free(s.defines);
    return rc;
}

const struct command command_sim = {
    "sim",
    "simulate a network of hosts, in virtual time",
    "usage: estab sim [OPTION ...] TOPOLOGY [NAME=VALUE ...]\n"
    "       estab sim --list | --show TOPOLOGY\n"
    "\n"
    "Runs hosts, routers, links and their traffic in virtual time, checks what must hold whatever\n"
    "happens, and prints how it went.  TOPOLOGY is one that is built in, or a file.\n"
    "\n"
    "  NAME=VALUE            what a `let NAME` of the topology is instead\n"
    "  --seed N              everything that is chance (1)\n"
    "  --for TIME            how long there is traffic\n"
    "  --json                the results as one line of JSON\n"
    "  --pcap DIR            a capture of each link\n"
    "  --plot DIR            cwnd, round-trip time, queues and goodput over time, as SVG and as "
    "text\n"
    "  --table               a run for each combination of what the topology varies, a line each\n"
    "  --campaign N          N seeds, on all processors; -j, --jobs N: in so many processes\n"
    "  --fates FILE          what becomes of frames, instead of chance\n"
    "  --shrink PREFIX       where what is left of a failure goes; --no-shrink: nowhere\n"
    "  -q, --quiet           no line about how fast it was\n"
    "  --list                the topologies that are built in\n"
    "  --show TOPOLOGY       one of them, to begin your own with\n"
    "\n"
    "The manual: man estab-sim.\n",
    run,
};

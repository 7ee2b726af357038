/* SPDX-License-Identifier: BSD-2-Clause */
/* sim.c - estab sim: networks in virtual time. */
#include "command.h"
#include "say.h"
#include "sim_show.h"

#include <estab/sim.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct sim {
    struct estab_sim_options opt;
    const char *topology;
    const char **defines;
    bool json, quiet, table;
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

static int parse_u64(uint64_t *out, const char *text)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text < '0' || *text > '9' || *end || errno ? -1 : 0;
}

static int parse_span(estab_dur *out, const char *text)
{
    double v;

    if (estab_quantity_parse(&v, text, ESTAB_UNIT_TIME) || v < 1 || v > 1e18)
        return -1;
    *out = (estab_dur)v;
    return 0;
}

/* The value of an option that is argv[*i], or NULL: it is another one.  "" if it has none. */
static const char *option_value(const char *name, int argc, char *argv[], int *i)
{
    size_t len = strlen(name);

    if (strncmp(argv[*i], name, len) != 0)
        return NULL;
    if (argv[*i][len] == '=')
        return argv[*i] + len + 1;
    if (argv[*i][len])
        return NULL;
    return *i + 1 < argc ? argv[++*i] : "";
}

static int parse(struct sim *s, int argc, char *argv[])
{
    const char *v;

    for (int i = 1; i < argc; i++) {
        if ((v = option_value("--seed", argc, argv, &i))) {
            if (parse_u64(&s->opt.seed, v))
                return say_usage("sim", "--seed '%s' is no number", v);
        } else if ((v = option_value("--for", argc, argv, &i))) {
            if (parse_span(&s->opt.lasts, v))
                return say_usage("sim", "--for '%s' is no time; like 30s", v);
        } else if (strcmp(argv[i], "--json") == 0) {
            s->json = true;
        } else if (strcmp(argv[i], "--table") == 0) {
            s->table = true;
        } else if (strcmp(argv[i], "-q") == 0 || strcmp(argv[i], "--quiet") == 0) {
            s->quiet = true;
        } else if (argv[i][0] == '-') {
            return say_usage("sim", "there is no option '%s'", argv[i]);
        } else if (strchr(argv[i], '=')) {
            s->defines[s->opt.ndefines++] = argv[i];
        } else if (s->topology) {
            return say_usage("sim", "one topology at a time: '%s'?", argv[i]);
        } else {
            s->topology = argv[i];
        }
    }
    return s->topology ? 0 : say_usage("sim", "which topology?");
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

static int run(int argc, char *argv[])
{
    struct sim s = {.opt = {.size = sizeof s.opt, .seed = 1}};
    int rc;

    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    if (argc == 3 && strcmp(argv[1], "--show") == 0)
        return show(argv[2]);
    s.defines = calloc((size_t)argc, sizeof *s.defines);
    if (!s.defines) {
        say_error("sim", "%s", strerror(ENOMEM));
        return EXIT_FAILURE;
    }
    s.opt.defines = s.defines;
    rc = parse(&s, argc, argv);
    if (rc == 0)
        rc = s.table ? run_table(&s) : run_one(&s);
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
    "  --table               a run for each combination of what the topology varies, a line each\n"
    "  -q, --quiet           no line about how fast it was\n"
    "  --list                the topologies that are built in\n"
    "  --show TOPOLOGY       one of them, to begin your own with\n"
    "\n"
    "The manual: man estab-sim.\n",
    run,
};

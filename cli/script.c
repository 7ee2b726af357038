/* SPDX-License-Identifier: BSD-2-Clause */
/* script.c - estab script: run packet scripts in virtual time, and show where one fails. */
#include "command.h"
#include "ladder.h"
#include "say.h"

#include <estab/script.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECORDS_FIRST = 1024, ROWS_OF_A_RUN = 8, RULES_MAX = 1024 };

struct records {
    struct estab_trace *v;
    size_t n, cap;
};

struct script {
    bool json, quiet, ladder, rules;
    const char **options, **files;
    char **defines; /* options that were put together here */
    size_t noptions, nfiles, ndefines;
    struct records seen;
    unsigned verdicts[ESTAB_SCRIPT_REFUSED + 1];
    uint64_t acted[RULES_MAX];
};

static const char *const verdict_name[] = {
    [ESTAB_SCRIPT_PASSED] = "passed",
    [ESTAB_SCRIPT_FAILED] = "failed",
    [ESTAB_SCRIPT_REFUSED] = "refused",
};

/* What happened is kept until it is known whether anybody wants to see it. */
static void remember(void *ctx, const struct estab_trace *t)
{
    struct records *r = ctx;
    struct estab_trace *more;
    size_t cap = r->cap ? 2 * r->cap : RECORDS_FIRST;

    if (r->n == r->cap) {
        more = realloc(r->v, cap * sizeof *more);
        if (!more)
            return;
        r->v = more;
        r->cap = cap;
    }
    r->v[r->n++] = *t;
}

static void show_ladder(const struct records *r, FILE *out)
{
    struct ladder_style style = {.utf8 = say_utf8(),
                                 .colour = say_colour(out),
                                 .head = ROWS_OF_A_RUN,
                                 .tail = ROWS_OF_A_RUN};
    struct ladder *l = r->n ? ladder_new(out, &style) : NULL;

    if (!l)
        return;
    for (size_t i = 0; i < r->n; i++)
        ladder_add(l, &r->v[i]);
    ladder_flush(l);
    ladder_free(l);
    fputc('\n', out);
}

static int show_json(const char *path, const struct estab_script_result *result)
{
    json_t *o = json_pack("{s:s, s:s, s:i, s:f, s:i, s:i, s:i, s:s}", "file", path, "verdict",
                          verdict_name[result->verdict], "line", result->line, "virtual_s",
                          (double)result->lasted / 1e9, "packets_in", (int)result->packets_in,
                          "packets_out", (int)result->packets_out, "calls", (int)result->calls,
                          "text", result->text);

    if (!o || json_dumpf(o, stdout, JSON_COMPACT) != 0)
        return -1;
    putchar('\n');
    json_decref(o);
    return 0;
}

static void run_one(struct script *s, const char *path)
{
    struct estab_script_options opt = {.size = sizeof opt,
                                       .options = s->options,
                                       .noptions = s->noptions,
                                       .trace = s->ladder ? remember : NULL,
                                       .ctx = &s->seen,
                                       .rules = s->acted,
                                       .nrules = RULES_MAX};
    struct estab_script_result result;

    s->seen.n = 0;
    s->verdicts[estab_script_run(path, &opt, &result)]++;
    if (s->json) {
        if (show_json(path, &result) != 0)
            say_error("script", "%s: no memory for its line of JSON", path);
        return;
    }
    fputs(result.text, stdout);
    if (result.verdict == ESTAB_SCRIPT_FAILED)
        show_ladder(&s->seen, stdout);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "-D NAME=VALUE" in two words is one option. */
static bool add_define(struct script *s, const char *define)
{
    char *text = NULL;

    if (asprintf(&text, "-D%s", define) < 0)
        return false;
    s->options[s->noptions++] = s->defines[s->ndefines++] = text;
    return true;
}

/* What is no option of ours is one of the scripts'. */
static int parse(struct script *s, int argc, char *argv[])
{
    bool only_files = false;

    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];

        if (only_files || a[0] != '-' || a[1] == '\0')
            s->files[s->nfiles++] = a;
        else if (strcmp(a, "--") == 0)
            only_files = true;
        else if (strcmp(a, "-j") == 0 || strcmp(a, "--json") == 0)
            s->json = true;
        else if (strcmp(a, "-q") == 0 || strcmp(a, "--quiet") == 0)
            s->quiet = true;
        else if (strcmp(a, "--rules") == 0)
            s->rules = true;
        else if (strcmp(a, "--no-ladder") == 0)
            s->ladder = false;
        else if (strcmp(a, "-D") == 0 && (++i == argc || !add_define(s, argv[i])))
            return say_usage("script", "-D wants NAME=VALUE");
        else if (strcmp(a, "-D") == 0)
            continue;
        else if (strncmp(a, "-D", 2) == 0 || strncmp(a, "--", 2) == 0)
            s->options[s->noptions++] = a;
        else
            return say_usage("script", "there is no option '%s'", a);
    }
    return s->nfiles ? 0 : say_usage("script", "which script?");
}

/* Which rules acted, and which no script needed. */
static void show_rules(const struct script *s)
{
    unsigned all = 0, idle = 0;
    const char *name;

    for (unsigned i = 1; i < RULES_MAX && (name = estab_rule_name(i)) != NULL; i++, all++)
        if (s->acted[i])
            printf("%-22s %12llu  %s\n", name, (unsigned long long)s->acted[i], estab_rule_ref(i));
        else
            idle++;
    printf("rules that no script needed: %u of %u\n", idle, all);
    for (unsigned i = 1; i <= all; i++)
        if (!s->acted[i])
            printf("%-22s %12s  %s\n", estab_rule_name(i), "-", estab_rule_ref(i));
}

static int run_all(struct script *s)
{
    double began = now();
    unsigned bad;

    for (size_t i = 0; i < s->nfiles; i++)
        run_one(s, s->files[i]);
    if (s->rules && !s->json)
        show_rules(s);
    bad = s->verdicts[ESTAB_SCRIPT_FAILED] + s->verdicts[ESTAB_SCRIPT_REFUSED];
    if (!s->quiet && !s->json)
        printf("%u passed, %u failed, %u refused in %.2f s\n", s->verdicts[ESTAB_SCRIPT_PASSED],
               s->verdicts[ESTAB_SCRIPT_FAILED], s->verdicts[ESTAB_SCRIPT_REFUSED], now() - began);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(int argc, char *argv[])
{
    struct script s = {.ladder = true};
    int rc;

    s.options = calloc((size_t)argc + 1, sizeof *s.options);
    s.files = calloc((size_t)argc + 1, sizeof *s.files);
    s.defines = calloc((size_t)argc + 1, sizeof *s.defines);
    if (!s.options || !s.files || !s.defines) {
        say_error("script", "%s", strerror(ENOMEM));
        rc = EXIT_FAILURE;
    } else {
        rc = parse(&s, argc, argv);
        if (s.json)
            s.ladder = false;
        if (rc == 0)
            rc = run_all(&s);
    }
    for (size_t i = 0; i < s.ndefines; i++)
        free(s.defines[i]);
    free(s.defines);
    free(s.seen.v);
    free(s.options);
    free(s.files);
    return rc;
}

const struct command command_script = {
    "script",
    "run packet scripts against the stack, in virtual time",
    "usage: estab script [OPTION ...] FILE...\n"
    "\n"
    "Runs tests in packetdrill's language, each against a fresh stack, without root and without\n"
    "waiting.  Where one fails: its line, what was expected, what came, and the ladder up to "
    "there.\n"
    "\n"
    "  -j, --json            a JSON object per script instead\n"
    "  -q, --quiet           no summary\n"
    "  --no-ladder           no ladder of a script that fails\n"
    "  --rules               how often each rule acted, and those that never did\n"
    "  -D NAME=VALUE         a name that scripts use\n"
    "  --OPTION[=VALUE]      as in a script's first lines, and over them: --ip_version, --mtu,\n"
    "                        --local_ip, --remote_ip, --tolerance_usecs, --so_flags ...\n"
    "\n"
    "The manual: man estab-script.\n",
    run,
};

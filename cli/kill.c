/* SPDX-License-Identifier: BSD-2-Clause */
/* kill.c - `estab kill`: aborts connections of running stacks. */
#include "ask.h"
#include "command.h"
#include "option.h"
#include "say.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct victim {
    char id[24], path[ESTAB_CTL_PATH + 256];
    char name[200]; /* what a person knows it by */
};
struct killing {
    const char *ctl_path;
    bool yes;
    char filter_text[ASK_FILTER_LEN];
    struct estab_filter filter;
    struct victim *victims;
    size_t n, cap;
};

enum { OPT_CTL = 0x100 };
static const struct option options[] = {
    {"ctl", required_argument, NULL, OPT_CTL}, {"yes", no_argument, NULL, 'y'}, {0}};

static int parse(struct killing *q, int argc, char *argv[])
{
    int c;

    while ((c = getopt_long(argc, argv, ":y", options, NULL)) != -1) {
        switch (c) {
        case OPT_CTL:
            q->ctl_path = optarg;
            break;
        case 'y':
            q->yes = true;
            break;
        default:
            return option_wrong("kill", c, argv);
        }
    }
    if (optind == argc)
        return say_usage("kill", "which? name a filter, such as dst 10.0.0.1:5000 ('state all' is "
                                 "every connection)");
    return ask_filter("kill", q->filter_text, &q->filter, argc - optind, argv + optind)
               ? 0
               : EXIT_USAGE;
}

/* Not what is no connection, and not the entries that end by themselves. */
static bool can_be_killed(const json_t *o)
{
    const char *state = ask_string(o, "state"), *timer = ask_string(o, "timer");

    return strcmp(ask_string(o, "type"), "tcp") == 0 && strcmp(state, "LISTEN") != 0 &&
           strcmp(state, "CLOSED") != 0 && strcmp(state, "TIME-WAIT") != 0 &&
           strcmp(timer, "synack") != 0;
}

static bool note(void *ctx, const struct asked *from, json_t *o)
{
    struct killing *q = ctx;
    struct victim *v;

    if (!can_be_killed(o))
        return true;
    if (q->n == q->cap) {
        size_t cap = q->cap ? 2 * q->cap : 64;

        v = realloc(q->victims, cap * sizeof *v);
        if (!v)
            return false;
        q->victims = v;
        q->cap = cap;
    }
    v = &q->victims[q->n++];
    snprintf(v->id, sizeof v->id, "%s", ask_string(o, "id"));
    snprintf(v->path, sizeof v->path, "%s", from->path);
    snprintf(v->name, sizeof v->name, "%s %s > %s", ask_string(o, "state"), ask_string(o, "local"),
             ask_string(o, "peer"));
    return true;
}

static bool kill_one(const struct victim *v)
{
    char request[64];
    json_t *answer;
    bool killed;

    snprintf(request, sizeof request, "kill %s", v->id);
    answer = ask_one("kill", v->path, request);
    killed = answer && json_object_get(answer, "killed");
    json_decref(answer);
    if (killed)
        printf("killed %s\n", v->name);
    return killed;
}

static int kill_all(const struct killing *q)
{
    int status = EXIT_SUCCESS;
    size_t i;

    if (q->n == 0) {
        say_error("kill", "no connection matches (listeners, half-open connections and TIME-WAIT "
                          "are not killed)");
        return EXIT_FAILURE;
    }
    if (q->n > 1 && !q->yes) {
        for (i = 0; i < q->n; i++)
            printf("would kill %s\n", q->victims[i].name);
        say_error("kill", "%zu connections match: say --yes to kill them all", q->n);
        return EXIT_FAILURE;
    }
    for (i = 0; i < q->n; i++)
        if (!kill_one(&q->victims[i]))
            status = EXIT_FAILURE;
    return status;
}

static int run(int argc, char *argv[])
{
    char request[ASK_FILTER_LEN + 16];
    struct killing q = {0};
    struct ask a = {.name = "kill", .request = request, .line = note, .ctx = &q};
    int rc = parse(&q, argc, argv);

    if (rc != 0)
        return rc;
    a.ctl_path = q.ctl_path;
    snprintf(request, sizeof request, "sockets %s", q.filter_text);
    rc = ask_stacks(&a);
    if (rc == EXIT_SUCCESS || q.n > 0)
        rc = kill_all(&q) == EXIT_SUCCESS ? rc : EXIT_FAILURE;
    free(q.victims);
    return rc;
}

const struct command command_kill = {
    "kill",
    "abort connections of running stacks",
    "usage: estab kill [OPTION ...] FILTER\n"
    "\n"
    "FILTER chooses connections as in estab-ss(1):\n"
    "  estab kill dst 10.0.0.1:5000\n"
    "The peer gets an RST, the program an error.\n"
    "\n"
    "  -y, --yes             also if it is more than one\n"
    "  --ctl PATH            the control socket of one stack (default: all of this user's)\n"
    "\n"
    "The manual: man estab-kill.\n",
    run,
};

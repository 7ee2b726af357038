/* SPDX-License-Identifier: BSD-2-Clause */
/* doctor.c - `estab doctor`: looks at running stacks twice and says what is wrong with whom. */
#include "ask.h"
#include "command.h"
#include "diagnose.h"
#include "node.h"
#include "option.h"
#include "say.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STACKS_MAX = 64, OPT_CTL = 0x100, OPT_PATIENCE, OPT_INTERVAL, EXIT_NOBODY = 3 };

struct look {
    struct snapshot *into;
    const char *asked; /* the peer of a forecast */
};
struct stack {
    char path[ESTAB_CTL_PATH + 256];
    char command[64];
    long pid;
    struct snapshot before, after;
};
struct doctor {
    const char *ctl_path;
    bool json;
    estab_dur patience, interval;
    struct stack *stacks;
    size_t n, findings, failed;
    const struct stack *patient;
};

static const struct option options[] = {{"ctl", required_argument, NULL, OPT_CTL},
                                        {"json", no_argument, NULL, 'j'},
                                        {"patience", required_argument, NULL, OPT_PATIENCE},
                                        {"interval", required_argument, NULL, OPT_INTERVAL},
                                        {0}};

static int parse(struct doctor *d, int argc, char *argv[])
{
    int c;

    d->patience = ESTAB_S(30);
    d->interval = ESTAB_S(1);
    while ((c = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
        switch (c) {
        case OPT_CTL:
            d->ctl_path = optarg;
            break;
        case OPT_PATIENCE:
            if (node_parse_seconds(&d->patience, optarg) < 0)
                return say_usage("doctor", "'%s' is not a number of seconds", optarg);
            break;
        case OPT_INTERVAL:
            if (node_parse_seconds(&d->interval, optarg) < 0 || d->interval == 0)
                return say_usage("doctor", "'%s' is not a number of seconds to wait", optarg);
            break;
        case 'j':
            d->json = true;
            break;
        default:
            return option_wrong("doctor", c, argv);
        }
    }
    return optind == argc ? 0 : say_usage("doctor", "takes no argument: %s", argv[optind]);
}

/* ---- looking ---- */

static void note_stack(void *ctx, const char *path, int fd)
{
    struct doctor *d = ctx;
    struct stack *s = &d->stacks[d->n];

    close(fd);
    if (d->n == STACKS_MAX)
        return;
    d->n++;
    snprintf(s->path, sizeof s->path, "%s", path);
    snapshot_init(&s->before);
    snapshot_init(&s->after);
}

static bool take_line(void *ctx, const struct asked *from, json_t *line)
{
    struct look *l = ctx;

    (void)from;
    snapshot_add(l->into, line, l->asked);
    return l->asked == NULL; /* a forecast is one line */
}

static bool look_for(struct stack *s, struct snapshot *into, const char *request, const char *asked)
{
    struct look l = {into, asked};
    struct ask a = {
        .name = "doctor", .ctl_path = s->path, .request = request, .line = take_line, .ctx = &l};

    return ask_stacks(&a) == EXIT_SUCCESS;
}

static bool note_name(void *ctx, const struct asked *from, json_t *line)
{
    struct stack *s = ctx;

    (void)line;
    s->pid = from->pid;
    snprintf(s->command, sizeof s->command, "%s", from->command);
    return false;
}

static bool look_at(struct stack *s, struct snapshot *into)
{
    char peers[BUSY_PEERS][PEER_LEN], request[PEER_LEN + 16];
    size_t i, n;

    if (!look_for(s, into, "stack", NULL) || !look_for(s, into, "why", NULL))
        return false;
    n = snapshot_busy_peers(into, peers);
    for (i = 0; i < n; i++) {
        snprintf(request, sizeof request, "forecast * %s", peers[i]);
        (void)look_for(s, into, request, peers[i]);
    }
    return true;
}

static bool first_look(struct stack *s)
{
    struct ask a = {
        .name = "doctor", .ctl_path = s->path, .request = "stack", .line = note_name, .ctx = s};

    return ask_stacks(&a) == EXIT_SUCCESS && look_at(s, &s->before);
}

/* ---- saying ---- */

static void found(void *ctx, const struct finding *f)
{
    struct doctor *d = ctx;
    const struct stack *s = d->patient;
    json_t *o;

    d->findings++;
    if (!d->json) {
        printf("%s (process %ld): %s\n    %s\n", s->command, s->pid, f->text, f->todo);
        return;
    }
    o = json_pack("{s:s,s:s,s:s,s:s,s:I}", "finding", f->kind, "text", f->text, "todo", f->todo,
                  "command", s->command, "pid", (json_int_t)s->pid);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static void look_twice(struct doctor *d)
{
    struct clinic c = {.seconds = (double)d->interval / 1e9,
                       .patience_ms = d->patience / 1000000u,
                       .found = found,
                       .ctx = d};
    struct timespec pause = {.tv_sec = (time_t)(d->interval / 1000000000u),
                             .tv_nsec = (long)(d->interval % 1000000000u)};
    size_t i;

    for (i = 0; i < d->n; i++)
        if (!first_look(&d->stacks[i]))
            d->stacks[i].path[0] = '\0';
    if (d->n > 0 && d->interval > ESTAB_S(2) && isatty(STDERR_FILENO))
        fprintf(stderr, "estab doctor: has looked once, and looks again in %g s\n", c.seconds);
    if (d->n > 0)
        nanosleep(&pause, NULL);
    for (i = 0; i < d->n; i++) {
        d->patient = &d->stacks[i];
        if (!d->stacks[i].path[0] || !look_at(&d->stacks[i], &d->stacks[i].after))
            d->failed++;
        else
            diagnose(&c, &d->stacks[i].before, &d->stacks[i].after);
    }
}

static int run(int argc, char *argv[])
{
    struct doctor d = {0};
    int rc = parse(&d, argc, argv);
    size_t i;

    if (rc != 0)
        return rc;
    d.stacks = calloc(STACKS_MAX + 1, sizeof *d.stacks);
    if (!d.stacks)
        return EXIT_NOBODY;
    (void)ask_open("doctor", d.ctl_path, note_stack, &d);
    look_twice(&d);
    for (i = 0; i < d.n; i++) {
        snapshot_fini(&d.stacks[i].before);
        snapshot_fini(&d.stacks[i].after);
    }
    free(d.stacks);
    if (d.findings > 0)
        return EXIT_FAILURE;
    if (d.n == 0 || d.failed > 0)
        return EXIT_NOBODY;
    if (!d.json)
        puts("nothing is wrong, as far as the stacks can tell");
    return EXIT_SUCCESS;
}

const struct command command_doctor = {
    "doctor",
    "say what is wrong with running stacks, with whom, and what helps",
    "usage: estab doctor [OPTION ...]\n"
    "\n"
    "Looks twice, for what grows.  Ends with 0: nothing is wrong, 1: something is, 3: a stack\n"
    "could not be asked.\n"
    "\n"
    "  --patience SECONDS    how long a close, a read, a window may take (default: 30)\n"
    "  --interval SECONDS    between the two looks (default: 1)\n"
    "  -j, --json            a JSON object per finding\n"
    "  --ctl PATH            the control socket of one stack (default: all of this user's)\n"
    "\n"
    "The manual: man estab-doctor.\n",
    run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* why.c - `estab why`: one sentence for each connection, with its evidence. */
#include "ask.h"
#include "command.h"
#include "option.h"
#include "say.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct why {
    const char *ctl_path;
    bool json, all, times;
    char filter_text[ASK_FILTER_LEN];
    struct estab_filter filter;
    size_t shown;
};

enum { OPT_CTL = 0x100 };
static const struct option options[] = {{"ctl", required_argument, NULL, OPT_CTL},
                                        {"json", no_argument, NULL, 'j'},
                                        {"all", no_argument, NULL, 'a'},
                                        {"times", no_argument, NULL, 't'},
                                        {0}};

static int parse(struct why *w, int argc, char *argv[])
{
    int c;

    while ((c = getopt_long(argc, argv, ":jat", options, NULL)) != -1) {
        switch (c) {
        case OPT_CTL:
            w->ctl_path = optarg;
            break;
        case 'j':
            w->json = true;
            break;
        case 'a':
            w->all = true;
            break;
        case 't':
            w->times = true;
            break;
        default:
            return option_wrong("why", c, argv);
        }
    }
    return ask_filter("why", w->filter_text, &w->filter, argc - optind, argv + optind) ? 0
                                                                                       : EXIT_USAGE;
}

/* A listener that waits, and a socket that has never been anything, are no riddles. */
static bool is_wanted(const struct why *w, const json_t *o)
{
    const char *why = ask_string(o, "why");

    if (w->all || w->filter.states)
        return true;
    if (strcmp(ask_string(o, "type"), "udp") == 0)
        return strcmp(why, "nothing-to-send") != 0;
    return strcmp(why, "listening") != 0 && strcmp(why, "closed") != 0;
}

static void print_times(const json_t *o)
{
    json_t *times = json_object_get(o, "times_us"), *v;
    const char *name, *sep = "    so far: ";
    char span[SAY_LEN];

    json_object_foreach(times, name, v)
    {
        printf("%s%s %s", sep, name, say_span(ESTAB_US(json_integer_value(v)), span));
        sep = ", ";
    }
    if (json_object_size(times) > 0)
        putchar('\n');
}

static bool show(void *ctx, const struct asked *from, json_t *o)
{
    struct why *w = ctx;

    if (!is_wanted(w, o))
        return true;
    w->shown++;
    if (w->json) {
        json_object_set_new(o, "pid", json_integer(from->pid));
        json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        putchar('\n');
        return true;
    }
    if (strcmp(ask_string(o, "state"), "LISTEN") == 0)
        printf("LISTEN %s\n", ask_string(o, "local"));
    else
        printf("%s%s %s > %s\n", strcmp(ask_string(o, "type"), "udp") == 0 ? "UDP " : "",
               ask_string(o, "state"), ask_string(o, "local"), ask_string(o, "peer"));
    printf("    %s\n", ask_string(o, "sentence"));
    if (w->times)
        print_times(o);
    return true;
}

static int run(int argc, char *argv[])
{
    char request[ASK_FILTER_LEN + 16];
    struct why w = {0};
    struct ask a = {.name = "why", .request = request, .line = show, .ctx = &w};
    int rc = parse(&w, argc, argv);

    if (rc != 0)
        return rc;
    a.ctl_path = w.ctl_path;
    snprintf(request, sizeof request, "why %s", w.filter_text);
    rc = ask_stacks(&a);
    if (rc == EXIT_SUCCESS && w.shown == 0 && !w.json)
        puts("no connection");
    return rc;
}

const struct command command_why = {
    "why",
    "say for each connection, in one sentence, why it waits",
    "usage: estab why [OPTION ...] [FILTER]\n"
    "\n"
    "FILTER chooses connections as in estab-ss(1):\n"
    "  estab why state close-wait sport = :80\n"
    "\n"
    "  -a, --all             also listeners that wait, and sockets without a connection\n"
    "  -t, --times           how long each has spent in each reason, where it is counted\n"
    "  -j, --json            a JSON object per line\n"
    "  --ctl PATH            the control socket of one stack (default: all of this user's)\n"
    "\n"
    "The manual: man estab-why.\n",
    run,
};

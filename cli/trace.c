/* SPDX-License-Identifier: BSD-2-Clause */
/* trace.c - `estab trace`: what running stacks do, as they do it. */
#include "ask.h"
#include "command.h"
#include "interrupt.h"
#include "option.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STACKS_MAX = 64, LINE_LEN = 8192 };

struct traced {
    int fd;
    bool spoke;
    char path[ESTAB_CTL_PATH + 256];
    size_t len;
    char line[LINE_LEN];
};
struct tracing {
    const char *ctl_path;
    bool json;
    uint64_t count, most; /* most 0: no end */
    char filter_text[ASK_FILTER_LEN];
    struct estab_filter filter;
    uint64_t began_us;
    bool begun, refused; /* refused: by a stack, or it is none */
    size_t n;
    struct traced *stacks;
};

enum { OPT_CTL = 0x100 };
static const struct option options[] = {{"ctl", required_argument, NULL, OPT_CTL},
                                        {"json", no_argument, NULL, 'j'},
                                        {"count", required_argument, NULL, 'c'},
                                        {0}};

static int parse(struct tracing *q, int argc, char *argv[])
{
    int c;

    while ((c = getopt_long(argc, argv, ":jc:", options, NULL)) != -1) {
        switch (c) {
        case OPT_CTL:
            q->ctl_path = optarg;
            break;
        case 'j':
            q->json = true;
            break;
        case 'c':
            if (!option_number(&q->most, optarg, 1, UINT64_MAX))
                return say_usage("trace", "'%s' is not a number of records", optarg);
            break;
        default:
            return option_wrong("trace", c, argv);
        }
    }
    return ask_filter("trace", q->filter_text, &q->filter, argc - optind, argv + optind)
               ? 0
               : EXIT_USAGE;
}

/* ---- one record ---- */

static void print_segment(const json_t *o)
{
    static const struct {
        char letter;
        const char *name;
    } flags[] = {{'S', "SYN"}, {'F', "FIN"}, {'R', "RST"}, {'P', "PSH"},
                 {'A', "ACK"}, {'U', "URG"}, {'E', "ECE"}, {'C', "CWR"}};
    const char *set = ask_string(o, "flags"), *sep = "";
    size_t i;

    for (i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!strchr(set, flags[i].letter))
            continue;
        printf("%s%s", sep, flags[i].name);
        sep = ",";
    }
    printf(" seq %llu ack %llu len %llu wnd %llu", (unsigned long long)ask_number(o, "seq"),
           (unsigned long long)ask_number(o, "ack"), (unsigned long long)ask_number(o, "len"),
           (unsigned long long)ask_number(o, "wnd"));
}

static void print_record(struct tracing *q, const json_t *o)
{
    const char *kind = ask_string(o, "kind"), *rule = ask_string(o, "rule");
    uint64_t at = ask_number(o, "at_us");

    if (!q->begun) {
        q->begun = true;
        q->began_us = at;
    }
    printf("%12.6f %s %s %s ", (double)(int64_t)(at - q->began_us) / 1e6, ask_string(o, "local"),
           strcmp(kind, "in") == 0    ? "<-"
           : strcmp(kind, "out") == 0 ? "->"
                                      : "--",
           ask_string(o, "peer"));
    if (strcmp(kind, "state") == 0)
        printf("%s to %s: %s", ask_string(o, "state"), ask_string(o, "to"), ask_string(o, "event"));
    else if (strcmp(kind, "timer") == 0)
        printf("timer %s", ask_string(o, "timer"));
    else if (strcmp(kind, "cc") == 0)
        printf("cwnd %llu", (unsigned long long)ask_number(o, "cwnd"));
    else
        print_segment(o);
    if (strcmp(kind, "drop") == 0)
        printf(" dropped");
    if (*rule)
        printf(" (%s)", rule);
    putchar('\n');
}

/* False: the stack has said its last. */
static bool use_line(struct tracing *q, const struct traced *t, const char *line, size_t len)
{
    json_t *o = ask_parse(line, len);

    if (!o) {
        say_error("trace", "%s: what comes from there is not what a stack says", t->path);
        q->refused = true;
    } else if (json_object_get(o, "error")) {
        say_error("trace", "%s", ask_string(o, "error"));
        q->refused = true;
    } else if (json_object_get(o, "lost")) {
        say_error("trace", "%llu records lost: this end is too slow for them, a filter helps",
                  (unsigned long long)ask_number(o, "lost"));
    } else if (json_object_get(o, "kind")) {
        q->count++;
        if (!q->json) {
            print_record(q, o);
        } else {
            json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
            putchar('\n');
        }
    }
    json_decref(o);
    return !q->refused && (q->most == 0 || q->count < q->most);
}

/* ---- the stacks ---- */

static void attach(void *ctx, const char *path, int fd)
{
    char request[ASK_FILTER_LEN + 16];
    struct tracing *q = ctx;
    int len = snprintf(request, sizeof request, "trace %s\n", q->filter_text);

    if (q->n == STACKS_MAX) {
        close(fd);
        return;
    }
    (void)send(fd, request, (size_t)len, MSG_NOSIGNAL); /* a refusal is still to be read */
    snprintf(q->stacks[q->n].path, sizeof q->stacks[q->n].path, "%s", path);
    q->stacks[q->n++].fd = fd;
}

static bool take_lines(struct tracing *q, struct traced *t)
{
    char *end, *at = t->line;
    ssize_t n = recv(t->fd, t->line + t->len, sizeof t->line - t->len, 0);

    if (n <= 0)
        return n < 0 && errno == EINTR;
    t->len += (size_t)n;
    while ((end = memchr(at, '\n', t->len - (size_t)(at - t->line))) != NULL) {
        t->spoke = true;
        if (!use_line(q, t, at, (size_t)(end - at)))
            return false;
        at = end + 1;
    }
    t->len -= (size_t)(at - t->line);
    memmove(t->line, at, t->len);
    if (t->len < sizeof t->line)
        return true;
    say_error("trace", "%s: what comes from there is not what a stack says", t->path);
    q->refused = true;
    return false;
}

static bool is_done(const struct tracing *q)
{
    return q->most > 0 && q->count >= q->most;
}

/* Every stack begins with a line, whether anything happens or not: who has not by `until` is asked
 * no more.  How long to wait, for poll(2). */
static int give_up(struct tracing *q, struct pollfd *p, estab_time until, size_t *left)
{
    estab_time now = ask_now();
    bool waits = false;

    for (size_t i = 0; i < q->n; i++) {
        if (p[i].fd < 0 || q->stacks[i].spoke)
            continue;
        waits |= now < until;
        if (now < until)
            continue;
        ask_say_silent("trace", q->stacks[i].path, p[i].fd);
        q->refused = true;
        p[i].fd = -1;
        --*left;
    }
    return waits ? (int)((until - now) / ESTAB_MS(1)) + 1 : -1;
}

/* 0, or the exit status that what is printed nowhere has. */
static int follow(struct tracing *q, int signals)
{
    estab_time until = ask_now() + ASK_PATIENCE;
    struct pollfd p[STACKS_MAX + 2];
    size_t i, left = q->n;
    int wait, n, status = 0;

    for (i = 0; i < q->n; i++)
        p[i] = (struct pollfd){.fd = q->stacks[i].fd, .events = POLLIN};
    p[q->n] = (struct pollfd){.fd = signals, .events = POLLIN};
    p[q->n + 1] = (struct pollfd){.fd = STDOUT_FILENO}; /* whose reader may go */
    while (status == 0) {
        wait = give_up(q, p, until, &left);
        if (left == 0 || is_done(q))
            return 0;
        n = poll(p, q->n + 2, wait);
        if (n < 0 && errno != EINTR)
            return 0;
        if (n <= 0)
            continue;
        if (p[q->n].revents)
            return 0;
        for (i = 0; i < q->n && !is_done(q); i++) {
            if (!p[i].revents || take_lines(q, &q->stacks[i]))
                continue;
            p[i].fd = -1;
            p[i].revents = 0;
            left--;
        }
        status = say_flush("trace");
    }
    return status;
}

static int run(int argc, char *argv[])
{
    struct tracing q = {0};
    int signals, status = 0, rc = parse(&q, argc, argv);
    size_t i;

    if (rc != 0)
        return rc;
    q.stacks = calloc(STACKS_MAX, sizeof *q.stacks);
    if (!q.stacks)
        return EXIT_FAILURE;
    signals = interrupt_open();
    if (ask_open("trace", q.ctl_path, attach, &q) > 0)
        status = follow(&q, signals);
    for (i = 0; i < q.n; i++)
        close(q.stacks[i].fd);
    if (signals >= 0)
        close(signals);
    free(q.stacks);
    return q.n == 0 || q.refused ? EXIT_FAILURE : status;
}

const struct command command_trace = {
    "trace",
    "show what running stacks do, as they do it",
    "usage: estab trace [OPTION ...] [FILTER]\n"
    "\n"
    "FILTER chooses connections as in estab-ss(1); without one it is everything.\n"
    "Ends with the stack, by Ctrl-C, or when nobody reads any more.\n"
    "\n"
    "  -c, --count N         ends after N records\n"
    "  -j, --json            a JSON object per line\n"
    "  --ctl PATH            the control socket of one stack (default: all of this user's)\n"
    "\n"
    "The manual: man estab-trace.\n",
    run,
};

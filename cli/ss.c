/* SPDX-License-Identifier: BSD-2-Clause */
/* ss.c - `estab ss`: the sockets of the stacks that run here, by their control sockets. */
#include "command.h"
#include "ctl.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *const title[] = {"State",      "Recv-Q",    "Send-Q",
                                    "Local Addr", "Peer Addr", "Timer"};
enum { COLUMNS = sizeof title / sizeof title[0] };

struct row {
    char *cell[COLUMNS];
    char *more; /* -i */
};

struct ss {
    const char *ctl_path;
    bool json, listening, all, summary, more;
    uint32_t states; /* a bit for each state asked for; 0: by the options */

    struct row *rows;
    size_t nrows, cap;
    uint64_t count[ESTAB_TCP_STATES];
    size_t stacks, refused, failed;
};

enum { OPT_CTL = 0x100 };
static const struct option options[] = {{"ctl", required_argument, NULL, OPT_CTL},
                                        {"json", no_argument, NULL, 'j'},
                                        {"listening", no_argument, NULL, 'l'},
                                        {"all", no_argument, NULL, 'a'},
                                        {"summary", no_argument, NULL, 's'},
                                        {"info", no_argument, NULL, 'i'},
                                        {0}};

/* ---- the command line ---- */

/* "time-wait", "TIME_WAIT", "timewait" */
static bool same_state(const char *a, const char *b)
{
    while (*a && *b) {
        a += *a == '-' || *a == '_';
        b += *b == '-' || *b == '_';
        if (strncasecmp(a, b, 1) != 0)
            return false;
        a += *a != '\0';
        b += *b != '\0';
    }
    return !*a && !*b;
}

static int state_by_name(const char *name)
{
    int st;

    for (st = 0; st < ESTAB_TCP_STATES; st++)
        if (same_state(estab_state_name((enum estab_tcp_state)st), name))
            return st;
    return -1;
}

static int parse(struct ss *q, int argc, char *argv[])
{
    int c, st;

    while ((c = getopt_long(argc, argv, ":jlasi", options, NULL)) != -1) {
        switch (c) {
        case OPT_CTL:
            q->ctl_path = optarg;
            break;
        case 'j':
            q->json = true;
            break;
        case 'l':
            q->listening = true;
            break;
        case 'a':
            q->all = true;
            break;
        case 's':
            q->summary = true;
            break;
        case 'i':
            q->more = true;
            break;
        case ':':
            return say_usage("ss", "%s needs a value", argv[optind - 1]);
        default:
            return say_usage("ss", "unknown option %s", argv[optind - 1]);
        }
    }
    for (; optind < argc; optind++) {
        st = state_by_name(argv[optind]);
        if (st < 0)
            return say_usage("ss", "'%s' is not a state such as established or time-wait",
                             argv[optind]);
        q->states |= 1u << st;
    }
    return 0;
}

static bool is_wanted(const struct ss *q, enum estab_tcp_state st)
{
    if (q->states)
        return (q->states >> st) & 1;
    if (q->all)
        return true;
    return q->listening == (st == ESTAB_LISTEN);
}

/* ---- one socket ---- */

static uint64_t number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));

    return v > 0 ? (uint64_t)v : 0;
}

static const char *string(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static char *text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : s;
}

/* An unspecified address or port is a star, as in ss(8): both families at once. */
static char *address(const char *addr)
{
    if (strncmp(addr, "[::]:", 5) == 0)
        return text("*:%s", strcmp(addr + 5, "0") == 0 ? "*" : addr + 5);
    return text("%s", addr);
}

static char *timer(const json_t *o)
{
    uint64_t ms = number(o, "timer_ms");

    if (!*string(o, "timer"))
        return text("-");
    if (ms >= 1000)
        return text("%s %.1f s", string(o, "timer"), (double)ms / 1000);
    return text("%s %llu ms", string(o, "timer"), (unsigned long long)ms);
}

static char *more(const json_t *o)
{
    if (strcmp(string(o, "state"), "LISTEN") == 0)
        return text("backlog %llu, half open %llu", (unsigned long long)number(o, "backlog"),
                    (unsigned long long)number(o, "half_open"));
    if (number(o, "snd_mss") == 0)
        return text("a compact entry: no buffers, no estimates");
    return text("rtt %.3f ms (%.3f) rto %.0f ms mss %llu pmtu %llu cwnd %llu wnd %llu/%llu "
                "acked %llu received %llu segs %llu/%llu retrans %llu %s%s%s%s",
                (double)number(o, "srtt_us") / 1000, (double)number(o, "rttvar_us") / 1000,
                (double)number(o, "rto_us") / 1000, (unsigned long long)number(o, "snd_mss"),
                (unsigned long long)number(o, "pmtu"), (unsigned long long)number(o, "cwnd"),
                (unsigned long long)number(o, "snd_wnd"), (unsigned long long)number(o, "rcv_wnd"),
                (unsigned long long)number(o, "bytes_acked"),
                (unsigned long long)number(o, "bytes_received"),
                (unsigned long long)number(o, "segs_out"), (unsigned long long)number(o, "segs_in"),
                (unsigned long long)number(o, "retrans"), string(o, "cc"),
                json_is_true(json_object_get(o, "timestamps")) ? " ts" : "",
                json_is_true(json_object_get(o, "sack")) ? " sack" : "",
                json_is_true(json_object_get(o, "orphan")) ? " orphan" : "");
}

static struct row *row_new(struct ss *q)
{
    if (q->nrows == q->cap) {
        size_t cap = q->cap ? 2 * q->cap : 256;
        struct row *rows = realloc(q->rows, cap * sizeof *rows);

        if (!rows)
            return NULL;
        q->rows = rows;
        q->cap = cap;
    }
    q->rows[q->nrows].more = NULL;
    return &q->rows[q->nrows++];
}

static bool add_heading(struct ss *q)
{
    struct row *row = row_new(q);
    size_t i;

    for (i = 0; row && i < COLUMNS; i++)
        row->cell[i] = text("%s", title[i]);
    return row != NULL;
}

static bool add_row(struct ss *q, const json_t *o)
{
    struct row *row;

    if (q->nrows == 0 && !add_heading(q))
        return false;
    row = row_new(q);
    if (!row)
        return false;
    row->cell[0] = text("%s", string(o, "state"));
    row->cell[1] = text("%llu", (unsigned long long)number(o, "recv_q"));
    row->cell[2] = text("%llu", (unsigned long long)number(o, "send_q"));
    row->cell[3] = address(string(o, "local"));
    row->cell[4] = address(string(o, "peer"));
    row->cell[5] = timer(o);
    row->more = q->more ? more(o) : NULL;
    return true;
}

/* ---- one stack ---- */

/* False: no sense in reading on. */
static bool use_line(struct ss *q, const char *line, json_t **stack, bool *complete)
{
    json_t *o = json_loads(line, 0, NULL);
    int st;

    if (!json_is_object(o)) {
        json_decref(o);
        return false;
    }
    if (!*stack) {
        *stack = o;
        return number(o, "protocol") == 1;
    }
    if (json_is_true(json_object_get(o, "end"))) {
        *complete = true;
        json_decref(o);
        return false;
    }
    st = state_by_name(string(o, "state"));
    if (st >= 0)
        q->count[st]++;
    if (st >= 0 && is_wanted(q, (enum estab_tcp_state)st) && !q->summary) {
        if (q->json) {
            json_object_set(o, "pid", json_object_get(*stack, "pid"));
            json_object_set(o, "command", json_object_get(*stack, "command"));
            json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
            putchar('\n');
        } else if (!add_row(q, o)) {
            json_decref(o);
            return false;
        }
    }
    json_decref(o);
    return true;
}

static bool ask(struct ss *q, int fd)
{
    const struct timeval patience = {.tv_sec = 5};
    json_t *stack = NULL;
    bool complete = false;
    char *line = NULL;
    size_t cap = 0;
    FILE *in;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(fd, "sockets\n", 8, MSG_NOSIGNAL) != 8 || !(in = fdopen(fd, "r"))) {
        close(fd);
        return false;
    }
    while (getline(&line, &cap, in) > 0 && use_line(q, line, &stack, &complete))
        continue;
    free(line);
    fclose(in);
    json_decref(stack);
    return complete;
}

/* What a killed process left: the socket is named after it. */
static void remove_leftover(const char *path)
{
    const char *name = strrchr(path, '/');
    long pid = name ? strtol(name + 1, NULL, 10) : 0;

    if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        unlink(path);
}

static void ask_at(struct ss *q, const char *path, bool named)
{
    int fd = ctl_connect(path);

    if (fd < 0) {
        if (errno == ECONNREFUSED && !named)
            remove_leftover(path);
        else if (errno != ENOENT || named) {
            say_error("ss", "%s: %s", path, strerror(errno));
            q->refused++;
        }
        return;
    }
    q->stacks++;
    if (!ask(q, fd)) {
        say_error("ss", "%s: the answer was cut short", path);
        q->failed++;
    }
}

static void ask_all(struct ss *q, const char *folder)
{
    char path[CTL_PATH_MAX + 256];
    const struct dirent *e;
    DIR *dir = opendir(folder);

    while (dir && (e = readdir(dir))) {
        size_t len = strlen(e->d_name);

        if (len < 5 || strcmp(e->d_name + len - 5, ".sock") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        ask_at(q, path, false);
    }
    if (dir)
        closedir(dir);
}

/* ---- the table ---- */

static void print_row(char *const cell[COLUMNS], const size_t width[COLUMNS])
{
    size_t i;

    for (i = 0; i < COLUMNS; i++) {
        bool right = i == 1 || i == 2;

        if (i + 1 == COLUMNS)
            printf("%s\n", cell[i] ? cell[i] : "?");
        else
            printf(right ? "%*s  " : "%-*s  ", (int)width[i], cell[i] ? cell[i] : "?");
    }
}

static void print_table(const struct ss *q)
{
    size_t width[COLUMNS] = {0}, i, r;

    for (r = 0; r < q->nrows; r++)
        for (i = 0; i < COLUMNS; i++)
            if (q->rows[r].cell[i] && strlen(q->rows[r].cell[i]) > width[i])
                width[i] = strlen(q->rows[r].cell[i]);
    for (r = 0; r < q->nrows; r++) {
        print_row(q->rows[r].cell, width);
        if (q->rows[r].more)
            printf("    %s\n", q->rows[r].more);
    }
}

static void print_summary(const struct ss *q)
{
    int st, first = true;

    if (q->json) {
        putchar('{');
        for (st = 0; st < ESTAB_TCP_STATES; st++) {
            printf("%s\"%s\":%llu", first ? "" : ",", estab_state_name((enum estab_tcp_state)st),
                   (unsigned long long)q->count[st]);
            first = false;
        }
        puts("}");
        return;
    }
    for (st = 0; st < ESTAB_TCP_STATES; st++)
        if (q->count[st] > 0)
            printf("%-13s %llu\n", estab_state_name((enum estab_tcp_state)st),
                   (unsigned long long)q->count[st]);
}

static int run(int argc, char *argv[])
{
    struct ss q = {0};
    char folder[CTL_PATH_MAX] = "", err[ESTAB_ERRLEN];
    size_t r, i;
    int rc = parse(&q, argc, argv);

    if (rc != 0)
        return rc;
    if (q.ctl_path)
        ask_at(&q, q.ctl_path, true);
    else if (ctl_folder(folder, false, err) == 0)
        ask_all(&q, folder);
    if (q.stacks == 0) {
        if (q.refused == 0)
            say_error("ss",
                      "no stack runs%s%s; start one with `estab serve' or `estab get' (a stack of "
                      "another user shows only to that user: try sudo)",
                      folder[0] ? ": there is none in " : "", folder);
        return EXIT_FAILURE;
    }
    if (q.summary)
        print_summary(&q);
    else if (!q.json && (q.nrows > 0 || add_heading(&q)))
        print_table(&q);
    for (r = 0; r < q.nrows; r++) {
        for (i = 0; i < COLUMNS; i++)
            free(q.rows[r].cell[i]);
        free(q.rows[r].more);
    }
    free(q.rows);
    return q.failed > 0 || q.refused > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command command_ss = {
    "ss",
    "show the sockets of running stacks: states, queues, timers",
    "usage: estab ss [OPTION ...] [STATE ...]\n"
    "\n"
    "Shows what is not listening, or only what is in a STATE (established, time-wait ...).\n"
    "\n"
    "  -l, --listening       listening sockets instead\n"
    "  -a, --all             both\n"
    "  -i, --info            more about each: round trip time, windows, counts\n"
    "  -s, --summary         how many sockets are in each state\n"
    "  -j, --json            a JSON object per line\n"
    "  --ctl PATH            the control socket of one stack (default: all of this user's)\n"
    "\n"
    "The manual: man estab-ss.\n",
    run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* ss.c - `estab ss`: the sockets of the stacks that run here, by their control sockets. */
#include "ask.h"
#include "command.h"
#include "interrupt.h"
#include "node.h"
#include "option.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const title[] = {"State",      "Recv-Q",    "Send-Q",
                                    "Local Addr", "Peer Addr", "Timer"};
enum { COLUMNS = sizeof title / sizeof title[0] };

struct row {
    char *cell[COLUMNS];
    char *more; /* -i, -m, -p, -w */
};

struct ss {
    const char *ctl_path;
    bool json, listening, all, summary, no_header;
    bool info, memory, timers, process, why;
    bool only4, only6, only_tcp, only_udp;
    estab_dur watch; /* 0: once */
    char filter_text[ASK_FILTER_LEN];
    struct estab_filter filter;

    struct row *rows;
    size_t nrows, cap;
    uint64_t count[ESTAB_TCP_STATES], udp;
};

enum { OPT_CTL = 0x100, OPT_WATCH };
static const struct option options[] = {{"ctl", required_argument, NULL, OPT_CTL},
                                        {"json", no_argument, NULL, 'j'},
                                        {"listening", no_argument, NULL, 'l'},
                                        {"all", no_argument, NULL, 'a'},
                                        {"summary", no_argument, NULL, 's'},
                                        {"info", no_argument, NULL, 'i'},
                                        {"memory", no_argument, NULL, 'm'},
                                        {"options", no_argument, NULL, 'o'},
                                        {"processes", no_argument, NULL, 'p'},
                                        {"why", no_argument, NULL, 'w'},
                                        {"tcp", no_argument, NULL, 't'},
                                        {"udp", no_argument, NULL, 'u'},
                                        {"numeric", no_argument, NULL, 'n'},
                                        {"ipv4", no_argument, NULL, '4'},
                                        {"ipv6", no_argument, NULL, '6'},
                                        {"no-header", no_argument, NULL, 'H'},
                                        {"watch", required_argument, NULL, OPT_WATCH},
                                        {0}};

/* ---- the command line ---- */

static int parse_options(struct ss *q, int argc, char *argv[])
{
    bool tcp = false, udp = false;
    int c;

    while ((c = getopt_long(argc, argv, ":jlasimopwtun46H", options, NULL)) != -1) {
        switch (c) {
        case OPT_CTL:
            q->ctl_path = optarg;
            break;
        case OPT_WATCH:
            if (node_parse_seconds(&q->watch, optarg) < 0 || q->watch == 0)
                return say_usage("ss", "'%s' is not a number of seconds to wait", optarg);
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
            q->info = true;
            break;
        case 'm':
            q->memory = true;
            break;
        case 'o':
            q->timers = true;
            break;
        case 'p':
            q->process = true;
            break;
        case 'w':
            q->why = true;
            break;
        case 't':
            tcp = true;
            break;
        case 'u':
            udp = true;
            break;
        case 'n': /* names are never looked up */
            break;
        case '4':
            q->only4 = true;
            break;
        case '6':
            q->only6 = true;
            break;
        case 'H':
            q->no_header = true;
            break;
        default:
            return option_wrong("ss", c, argv);
        }
    }
    q->only_udp = udp && !tcp;
    q->only_tcp = tcp && !udp;
    return 0;
}

static int parse(struct ss *q, int argc, char *argv[])
{
    int rc = parse_options(q, argc, argv);

    if (rc != 0)
        return rc;
    return ask_filter("ss", q->filter_text, &q->filter, argc - optind, argv + optind) ? 0
                                                                                      : EXIT_USAGE;
}

static bool is_udp(const json_t *o)
{
    return strcmp(ask_string(o, "type"), "udp") == 0;
}

/* A listener at :: may serve both families. */
static bool is_of_family(const struct ss *q, const char *local)
{
    bool six = local[0] == '[';

    if (q->only4 == q->only6 || strncmp(local, "[::]:", 5) == 0)
        return true;
    return six == q->only6;
}

static bool is_wanted(const struct ss *q, enum estab_tcp_state st)
{
    if (q->filter.states || q->all)
        return true; /* the stack has chosen */
    return q->listening == (st == ESTAB_LISTEN);
}

/* ---- one socket ---- */

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

static char *timer(const struct ss *q, const json_t *o)
{
    uint64_t ms = ask_number(o, "timer_ms"), tries = q->timers ? ask_number(o, "tries") : 0;
    char again[48] = "";

    if (!*ask_string(o, "timer"))
        return text("-");
    if (tries > 0)
        snprintf(again, sizeof again, ", %llu tries", (unsigned long long)tries);
    if (ms >= 1000)
        return text("%s %.1f s%s", ask_string(o, "timer"), (double)ms / 1000, again);
    return text("%s %llu ms%s", ask_string(o, "timer"), (unsigned long long)ms, again);
}

static char *info(const json_t *o)
{
    if (strcmp(ask_string(o, "state"), "LISTEN") == 0)
        return text("backlog %llu, half open %llu", (unsigned long long)ask_number(o, "backlog"),
                    (unsigned long long)ask_number(o, "half_open"));
    if (is_udp(o))
        return text("datagrams %llu/%llu, octets %llu/%llu, no room for %llu",
                    (unsigned long long)ask_number(o, "segs_out"),
                    (unsigned long long)ask_number(o, "segs_in"),
                    (unsigned long long)ask_number(o, "bytes_sent"),
                    (unsigned long long)ask_number(o, "bytes_received"),
                    (unsigned long long)ask_number(o, "refused"));
    if (ask_number(o, "cwnd") == 0)
        return text("a compact entry: no buffers, no estimates");
    return text(
        "rtt %.3f ms (%.3f) rto %.0f ms mss %llu pmtu %llu cwnd %llu wnd %llu/%llu wscale "
        "%llu/%llu "
        "acked %llu received %llu segs %llu/%llu retrans %llu rtos %llu %s%s%s%s%s%s%s",
        (double)ask_number(o, "srtt_us") / 1000, (double)ask_number(o, "rttvar_us") / 1000,
        (double)ask_number(o, "rto_us") / 1000, (unsigned long long)ask_number(o, "snd_mss"),
        (unsigned long long)ask_number(o, "pmtu"), (unsigned long long)ask_number(o, "cwnd"),
        (unsigned long long)ask_number(o, "snd_wnd"), (unsigned long long)ask_number(o, "rcv_wnd"),
        (unsigned long long)ask_number(o, "snd_wscale"),
        (unsigned long long)ask_number(o, "rcv_wscale"),
        (unsigned long long)ask_number(o, "bytes_acked"),
        (unsigned long long)ask_number(o, "bytes_received"),
        (unsigned long long)ask_number(o, "segs_out"), (unsigned long long)ask_number(o, "segs_in"),
        (unsigned long long)ask_number(o, "retrans"),
        (unsigned long long)ask_number(o, "rto_fired"), ask_string(o, "cc"),
        ask_true(o, "timestamps") ? " ts" : "", ask_true(o, "sack") ? " sack" : "",
        ask_true(o, "accecn") ? " accecn"
        : ask_true(o, "ecn")  ? " ecn"
                              : "",
        ask_true(o, "fastopen") ? " fastopen" : "", ask_true(o, "nodelay") ? " nodelay" : "",
        ask_true(o, "orphan") ? " orphan" : "");
}

static char *memory(const json_t *o)
{
    return text(
        "mem %llu, received %llu of %llu (up to %llu), to send %llu of %llu (up to %llu)",
        (unsigned long long)ask_number(o, "mem"), (unsigned long long)ask_number(o, "unread"),
        (unsigned long long)ask_number(o, "rcvbuf"),
        (unsigned long long)ask_number(o, "rcvbuf_most"),
        (unsigned long long)ask_number(o, "send_q"), (unsigned long long)ask_number(o, "sndbuf"),
        (unsigned long long)ask_number(o, "sndbuf_most"));
}

/* A line more, behind those that are there; takes `line`. */
static void add_more(struct row *row, char *line)
{
    char *both = line && row->more ? text("%s\n    %s", row->more, line) : NULL;

    if (both) {
        free(row->more);
        free(line);
        line = both;
    }
    row->more = line;
}

static void add_details(const struct ss *q, struct row *row, const struct asked *from,
                        const json_t *o)
{
    row->more = NULL;
    if (q->process)
        add_more(row, text("estab %s, process %ld", from->command, from->pid));
    if (q->info)
        add_more(row, info(o));
    if (q->memory)
        add_more(row, memory(o));
    if (q->why)
        add_more(row, text("%s", ask_string(o, "sentence")));
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

static bool add_row(struct ss *q, const struct asked *from, const json_t *o)
{
    struct row *row;

    if (q->nrows == 0 && !q->no_header && !add_heading(q))
        return false;
    row = row_new(q);
    if (!row)
        return false;
    row->cell[0] = text("%s%s", is_udp(o) ? "UDP " : "", ask_string(o, "state"));
    row->cell[1] = text("%llu", (unsigned long long)ask_number(o, "recv_q"));
    row->cell[2] = text("%llu", (unsigned long long)ask_number(o, "send_q"));
    row->cell[3] = address(ask_string(o, "local"));
    row->cell[4] = address(ask_string(o, "peer"));
    row->cell[5] = timer(q, o);
    add_details(q, row, from, o);
    return true;
}

/* ---- one stack ---- */

static bool use_socket(void *ctx, const struct asked *from, json_t *o)
{
    struct ss *q = ctx;
    int st = estab_state_parse(ask_string(o, "state"));
    bool udp = is_udp(o);

    if (st < 0 || (udp ? q->only_tcp : q->only_udp) || !is_of_family(q, ask_string(o, "local")))
        return true;
    if (!udp)
        q->count[st]++;
    else
        q->udp++;
    if (!is_wanted(q, (enum estab_tcp_state)st) || q->summary)
        return true;
    if (!q->json)
        return add_row(q, from, o);
    json_object_set_new(o, "pid", json_integer(from->pid));
    json_object_set_new(o, "command", json_string(from->command));
    json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    return true;
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
        printf(",\"UDP\":%llu}\n", (unsigned long long)q->udp);
        return;
    }
    for (st = 0; st < ESTAB_TCP_STATES; st++)
        if (q->count[st] > 0)
            printf("%-13s %llu\n", estab_state_name((enum estab_tcp_state)st),
                   (unsigned long long)q->count[st]);
    if (q->udp > 0)
        printf("%-13s %llu\n", "UDP", (unsigned long long)q->udp);
}

static void forget(struct ss *q)
{
    size_t r, i;

    for (r = 0; r < q->nrows; r++) {
        for (i = 0; i < COLUMNS; i++)
            free(q->rows[r].cell[i]);
        free(q->rows[r].more);
    }
    free(q->rows);
    q->rows = NULL;
    q->nrows = q->cap = 0;
    memset(q->count, 0, sizeof q->count);
    q->udp = 0;
}

static int show(struct ss *q)
{
    char request[ASK_FILTER_LEN + 16];
    struct ask a = {
        .name = "ss", .ctl_path = q->ctl_path, .request = request, .line = use_socket, .ctx = q};
    int status;

    snprintf(request, sizeof request, "%s %s", q->why ? "why" : "sockets", q->filter_text);
    status = ask_stacks(&a);
    if (a.answered + a.failed > 0) {
        if (q->summary)
            print_summary(q);
        else if (!q->json && (q->nrows > 0 || q->no_header || add_heading(q)))
            print_table(q);
    }
    forget(q);
    return status;
}

/* False: a signal has come. */
static bool waits_for_next(const struct ss *q, int signals)
{
    struct pollfd p = {.fd = signals, .events = POLLIN};

    return poll(&p, 1, (int)(q->watch / 1000000u)) == 0;
}

static int watch(struct ss *q)
{
    bool clear = isatty(STDOUT_FILENO) && !q->json;
    int signals = interrupt_open(), status;

    do {
        if (clear)
            fputs("\033[H\033[J", stdout);
        status = show(q);
        if (!clear && !q->json)
            putchar('\n');
        if (status == EXIT_SUCCESS)
            status = say_flush("ss");
    } while (status == EXIT_SUCCESS && waits_for_next(q, signals));
    if (signals >= 0)
        close(signals);
    return status;
}

static int run(int argc, char *argv[])
{
    struct ss q = {0};
    int rc = parse(&q, argc, argv);

    if (rc != 0)
        return rc;
    return q.watch ? watch(&q) : show(&q);
}

const struct command command_ss = {
    "ss",
    "show the sockets of running stacks: states, queues, timers",
    "usage: estab ss [OPTION ...] [FILTER]\n"
    "\n"
    "Shows what is not listening, or what a filter of ss(8) chooses: states (established,\n"
    "state time-wait, exclude listening ...) and then conditions:\n"
    "  estab ss state established '( dport = :80 or sport = :443 )' dst 10.0.0.0/8\n"
    "\n"
    "  -l, --listening       listening sockets instead\n"
    "  -a, --all             both\n"
    "  -4, -6                only IPv4, only IPv6\n"
    "  -t, -u, -n            only TCP; only UDP; numbers (always)\n"
    "  -i, --info            more about each: round trip time, windows, counts\n"
    "  -m, --memory          what each holds, and its ceilings\n"
    "  -o, --options         how often its timer has fired\n"
    "  -p, --processes       whose it is\n"
    "  -w, --why             why it waits, as `estab why'\n"
    "  -s, --summary         how many sockets are in each state\n"
    "  -H, --no-header       no heading\n"
    "  -j, --json            a JSON object per line\n"
    "  --watch SECONDS       again and again\n"
    "  --ctl PATH            the control socket of one stack (default: all of this user's)\n"
    "\n"
    "The manual: man estab-ss.\n",
    run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* get.c - `estab get`: one file over HTTP/1.1, by a stack on a link.
 *
 * The body is written where it belongs as it comes, and never waited for: when a pipe is full the
 * socket is not read, the window closes, and the stack goes on with everything else.  A file named
 * by -o is made when the first octet of a good answer is there, so that an error leaves what was
 * there before. */
#include "command.h"
#include "http_fetch.h"
#include "interrupt.h"
#include "node.h"
#include "option.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* The exit statuses of curl(1), so that scripts need not tell the programs apart. */
enum {
    CURL_SCHEME = 1,
    CURL_MALFORMED = 3,
    CURL_RESOLVE = 6,
    CURL_CONNECT = 7,
    CURL_WEIRD = 8,
    CURL_PARTIAL = 18,
    CURL_STATUS = 22,
    CURL_WRITE = 23,
    CURL_MEMORY = 27,
    CURL_TIMEOUT = 28,
    CURL_INTERFACE = 45,
    CURL_REDIRECT = 47,
    CURL_EMPTY = 52,
    CURL_RECEIVE = 56,
};

struct output {
    const char *path; /* NULL: standard output */
    int fd;           /* -1: not open yet */
    bool may_block;   /* a pipe or terminal: asked before each write */
    int set;          /* epoll: readable when it can take more again; -1: none */
    int error;        /* errno of what failed */
};

struct get {
    const char *url_text, *ctl_path;
    struct http_url url;
    struct estab_addr server;
    struct output out;
    estab_dur limit;
    bool silent, verbose, trace, linger;
    struct node_config config;

    struct node node;
    struct http_fetch *fetch;
    estab_ctl *ctl;
    int signals, signal;
    bool progress_shown;
    estab_time began_at, progress_at;
};

enum { OPT_TRACE = NODE_OPT_LAST, OPT_CTL, OPT_LINGER };
static const struct option options[] = {
    NODE_OPTIONS(NODE_OPT_LONG){"output", required_argument, NULL, 'o'},
    {"max-time", required_argument, NULL, 'm'},
    {"silent", no_argument, NULL, 's'},
    {"verbose", no_argument, NULL, 'v'},
    {"trace", no_argument, NULL, OPT_TRACE},
    {"ctl", required_argument, NULL, OPT_CTL},
    {"linger", no_argument, NULL, OPT_LINGER},
    {0}};

/* ---- the command line ---- */

static int parse_url(struct get *g)
{
    bool port_given = false;

    switch (http_parse_url(&g->url, g->url_text)) {
    case HTTP_URL_OK:
        break;
    case HTTP_URL_SCHEME:
        say_error("get", "%s: only http:// is supported", g->url_text);
        return CURL_SCHEME;
    case HTTP_URL_PORT:
        say_error("get", "%s: a port is a number from 1 to 65535", g->url_text);
        return CURL_MALFORMED;
    case HTTP_URL_MALFORMED:
        say_error("get", "%s: not a URL such as http://10.77.0.1:8000/file", g->url_text);
        return CURL_MALFORMED;
    }
    if (estab_addr_parse(&g->server, g->url.host, &port_given) < 0 || g->url.host[0] == ':') {
        say_error("get",
                  "%s is not an address: names are not resolved yet, give an IPv4 address or an "
                  "IPv6 address in brackets",
                  g->url.host);
        return CURL_RESOLVE;
    }
    if (!port_given)
        g->server.port = 80;
    return 0;
}

static int parse(struct get *g, int argc, char *argv[])
{
    char err[ESTAB_ERRLEN];
    int c;

    while ((c = getopt_long(argc, argv, ":o:m:sv", options, NULL)) != -1) {
        switch (c) {
        case 'o':
            g->out.path = strcmp(optarg, "-") == 0 ? NULL : optarg;
            break;
        case 'm':
            if (node_parse_seconds(&g->limit, optarg) < 0)
                return say_usage("get", "'%s' is not a number of seconds", optarg);
            break;
        case 's':
            g->silent = true;
            break;
        case 'v':
            g->verbose = true;
            break;
        case OPT_TRACE:
            g->trace = true;
            break;
        case OPT_CTL:
            g->ctl_path = optarg;
            break;
        case OPT_LINGER:
            g->linger = true;
            break;
        case ':':
        case '?':
            return option_wrong("get", c, argv);
        default:
            if (node_option(&g->config, c, optarg, err) < 0)
                return say_usage("get", "%s", err);
        }
    }
    if (optind == argc)
        return say_usage("get", "which URL?");
    if (optind + 1 < argc)
        return say_usage("get", "one URL, not also '%s'", argv[optind + 1]);
    g->url_text = argv[optind];
    if (g->config.naddrs == 0)
        return say_usage("get", "the stack needs an address, such as --addr 10.77.0.2/24");
    return parse_url(g);
}

/* ---- the output ---- */

static int open_output(struct output *o)
{
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT};

    o->fd = o->path ? open(o->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDOUT_FILENO;
    if (o->fd < 0 || o->set < 0)
        return o->fd;
    o->may_block = epoll_ctl(o->set, EPOLL_CTL_ADD, o->fd, &ev) == 0; /* EPERM: a regular file */
    return o->fd;
}

static bool has_room(struct output *o)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT};

    if (poll(&p, 1, 0) > 0)
        return true;
    epoll_ctl(o->set, EPOLL_CTL_MOD, o->fd, &ev);
    return false;
}

/* A pipe that polls writable takes PIPE_BUF octets without blocking: pipe(7).  Returns what was
 * written, 0: no room, or -1. */
static ptrdiff_t write_some(struct output *o, const char *data, size_t len)
{
    ssize_t n;

    if (o->may_block && !has_room(o))
        return 0;
    n = write(o->fd, data, o->may_block && len > PIPE_BUF ? PIPE_BUF : len);
    if (n >= 0)
        return n;
    o->error = errno;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static ptrdiff_t sink(void *ctx, const char *data, size_t len)
{
    struct get *g = ctx;
    struct output *o = &g->out;
    ptrdiff_t n, taken = 0;

    if (http_fetch_response(g->fetch)->status / 100 != 2)
        return (ptrdiff_t)len;
    if (o->fd < 0 && open_output(o) < 0) {
        o->error = errno;
        return -1;
    }
    do {
        n = write_some(o, data + taken, len - (size_t)taken);
        taken += n;
    } while (n > 0 && (size_t)taken < len);
    return n < 0 ? -1 : taken;
}

/* An answer without a body makes an empty file, too. */
static int finish_output(struct output *o)
{
    if (o->fd < 0 && open_output(o) < 0) {
        o->error = errno;
        return -1;
    }
    if (o->path && close(o->fd) < 0) {
        o->error = errno;
        return -1;
    }
    return 0;
}

/* ---- progress ---- */

static void clear_progress(struct get *g)
{
    if (g->progress_shown)
        fputs("\r\033[K", stderr);
    g->progress_shown = false;
}

static void show_progress(struct get *g, estab_time now)
{
    const struct http_response *r = http_fetch_response(g->fetch);
    uint64_t octets = http_fetch_octets(g->fetch);
    char a[SAY_LEN], b[SAY_LEN], c[SAY_LEN];
    unsigned bars;

    if (g->silent || g->trace || !isatty(STDERR_FILENO) || (!g->out.path && isatty(STDOUT_FILENO)))
        return;
    if (now < g->progress_at)
        return;
    g->progress_at = now + ESTAB_MS(200);
    g->progress_shown = true;
    say_octets(octets, a);
    say_rate(octets, now - g->began_at, c);
    if (!r->has_length || r->length == 0) {
        fprintf(stderr, "\r\033[K%s  %s", a, c);
        return;
    }
    bars = (unsigned)((double)octets * 30 / (double)r->length);
    fprintf(stderr, "\r\033[K[%.*s%*s] %3u %%  %s of %s  %s", (int)bars,
            "##############################", (int)(30 - bars), "",
            (unsigned)((double)octets * 100 / (double)r->length), a, say_octets(r->length, b), c);
}

/* ---- the transfer ---- */

static int start(struct get *g)
{
    struct http_fetch_config config = {.stack = g->node.stack,
                                       .server = g->server,
                                       .host = g->url.host,
                                       .target = g->url.target,
                                       .sink = sink,
                                       .ctx = g};
    int rc = http_fetch_new(&g->fetch, &config);

    if (rc == 0)
        return 0;
    say_error("get", "cannot connect to %s: %s%s", g->url.host, estab_strerror(rc),
              rc == ESTAB_E_UNREACH ? " (is a --gw needed?)" : "");
    return rc == ESTAB_E_NOMEM ? CURL_MEMORY : CURL_CONNECT;
}

/* One turn: 0; or a status to end with. */
static int turn(struct get *g, estab_dur max_wait)
{
    char err[ESTAB_ERRLEN] = "";
    struct epoll_event ev;

    if (node_turn(&g->node, max_wait, err) == -1) {
        say_error("get", "%s", err);
        return CURL_INTERFACE;
    }
    if (g->ctl)
        estab_ctl_run(g->ctl);
    if (g->out.set >= 0)
        epoll_wait(g->out.set, &ev, 1, 0);
    g->signal = interrupt_read(g->signals);
    return g->signal ? EXIT_SIGNAL + g->signal : 0;
}

static int transfer(struct get *g)
{
    estab_time end_at = g->limit > 0 ? g->began_at + g->limit : ESTAB_NEVER, now;
    int rc;

    while (http_fetch_state(g->fetch) <= FETCH_BODY) {
        now = node_now(&g->node);
        if (now >= end_at) {
            clear_progress(g);
            say_error("get", "%s: not complete after %.3g s", g->url_text, (double)g->limit / 1e9);
            return CURL_TIMEOUT;
        }
        rc = turn(g, end_at - now < ESTAB_MS(200) ? end_at - now : ESTAB_MS(200));
        if (rc != 0) {
            clear_progress(g);
            return rc;
        }
        http_fetch_resume(g->fetch);
        show_progress(g, node_now(&g->node));
    }
    clear_progress(g);
    return 0;
}

static int judge_answer(struct get *g)
{
    const struct http_response *r = http_fetch_response(g->fetch);

    if (r->status / 100 == 2) {
        if (finish_output(&g->out) == 0)
            return 0;
        say_error("get", "cannot write %s: %s", g->out.path ? g->out.path : "the output",
                  strerror(g->out.error));
        return CURL_WRITE;
    }
    if (r->status / 100 == 3) {
        say_error("get", "%s: moved (%d) to %s; redirects are not followed", g->url_text, r->status,
                  r->location[0] ? r->location : "nowhere");
        return CURL_REDIRECT;
    }
    say_error("get", "%s: the server answered %d", g->url_text, r->status);
    return CURL_STATUS;
}

static int judge(struct get *g)
{
    int error = http_fetch_error(g->fetch);
    uint64_t octets = http_fetch_octets(g->fetch);

    switch (http_fetch_state(g->fetch)) {
    case FETCH_CONNECTING:
    case FETCH_HEAD:
    case FETCH_BODY:
    case FETCH_DONE:
        return judge_answer(g);
    case FETCH_NO_CONN:
        say_error("get", "cannot connect to %s: %s", g->url.host, estab_strerror(error));
        return error == ESTAB_E_TIMEOUT ? CURL_TIMEOUT : CURL_CONNECT;
    case FETCH_BROKEN:
        if (error == 0 && octets == 0 && http_fetch_response(g->fetch)->status == 0) {
            say_error("get", "%s: the server closed without an answer", g->url_text);
            return CURL_EMPTY;
        }
        say_error("get", "%s: broken off after %llu octets: %s", g->url_text,
                  (unsigned long long)octets, error ? estab_strerror(error) : "closed too early");
        return error ? CURL_RECEIVE : CURL_PARTIAL;
    case FETCH_NOT_HTTP:
        say_error("get", "%s: what came is not HTTP/1", g->url_text);
        return CURL_WEIRD;
    case FETCH_SINK:
        say_error("get", "cannot write %s: %s", g->out.path ? g->out.path : "the output",
                  strerror(g->out.error));
        return CURL_WRITE;
    }
    return CURL_WEIRD;
}

/* Our FIN, and the peer's, still have to be exchanged after the last octet; TIME-WAIT is sat out
 * only on request. */
static void finish_closing(struct get *g)
{
    estab_time end_at = node_now(&g->node) + ESTAB_S(3);
    struct estab_stack_info info = {.size = sizeof info};

    estab_loop_flush(g->node.loop); /* an abort's RST */
    while (node_busy(&g->node) && node_now(&g->node) < end_at)
        if (turn(g, ESTAB_MS(20)) != 0)
            return;
    if (!g->linger)
        return;
    for (estab_stack_info(g->node.stack, &info); info.timewait > 0;
         estab_stack_info(g->node.stack, &info))
        if (turn(g, ESTAB_MS(100)) != 0)
            return;
}

static int fetch(struct get *g)
{
    estab_time took;
    uint64_t octets;
    char a[SAY_LEN], b[SAY_LEN], c[SAY_LEN];
    int status = start(g);

    if (status != 0)
        return status;
    status = transfer(g);
    if (status == 0)
        status = judge(g);
    took = node_now(&g->node) - g->began_at;
    octets = http_fetch_octets(g->fetch);
    http_fetch_free(g->fetch);
    finish_closing(g);
    if (g->config.trace)
        ladder_flush(g->config.trace);
    if (status == 0 && !g->silent && (g->verbose || (g->out.path && isatty(STDERR_FILENO))))
        fprintf(stderr, "%s in %s, %s\n", say_octets(octets, a), say_span(took, b),
                say_rate(octets, took, c));
    return status;
}

static int open_all(struct get *g)
{
    struct estab_ctl_config ctl = {.size = sizeof ctl, .command = "get", .path = g->ctl_path};
    char err[ESTAB_ERRLEN] = "";

    g->signals = interrupt_open();
    g->out.set = epoll_create1(EPOLL_CLOEXEC);
    if (node_open(&g->node, &g->config, NULL, err) < 0) {
        say_error("get", "%s", err);
        return CURL_INTERFACE;
    }
    g->began_at = node_now(&g->node);
    g->progress_at = g->began_at + ESTAB_S(1);
    if (g->signals < 0 || g->out.set < 0 || estab_loop_watch_fd(g->node.loop, g->signals) < 0 ||
        estab_loop_watch_fd(g->node.loop, g->out.set) < 0) {
        say_error("get", "cannot watch for signals and output");
        return CURL_INTERFACE;
    }
    if (estab_ctl_open(&g->ctl, g->node.stack, &ctl, err) == 0) {
        estab_loop_watch_fd(g->node.loop, estab_ctl_fd(g->ctl));
    } else if (g->ctl_path || g->verbose) {
        say_error("get", "%s; estab ss will not find this stack", err);
    }
    return 0;
}

static int run(int argc, char *argv[])
{
    struct get g = {.config = {.dev = "tun:estab0"}, .out = {.fd = -1, .set = -1}, .signals = -1};
    int status = parse(&g, argc, argv);

    if (status != 0)
        return status;
    if (g.trace) {
        struct ladder_style style = {
            .utf8 = say_utf8(), .colour = say_colour(stderr), .head = 4, .tail = 2};

        g.config.trace = ladder_new(stderr, &style);
    }
    status = open_all(&g);
    if (status == 0)
        status = fetch(&g);
    estab_ctl_close(g.ctl);
    node_close(&g.node);
    ladder_free(g.config.trace);
    return status;
}

const struct command command_get = {
    "get",
    "fetch a URL over HTTP/1.1 by a stack on a TUN or TAP device",
    "usage: estab get URL --addr ADDR/PREFIX ... [OPTION ...]\n"
    "\n"
    "  -o, --output FILE     write there (default: standard output)\n"
    "  -m, --max-time SECONDS\n"
    "                        give up after so long\n"
    "  -s, --silent          no progress\n"
    "  -v, --verbose         what was fetched, and how fast\n" NODE_USAGE
    "  --trace               print the connection as a ladder, on standard error\n"
    "  --linger              stay until TIME-WAIT is over\n"
    "  --ctl PATH            the control socket for `estab ss'\n"
    "\n"
    "URL is http://ADDR[:PORT]/PATH; an IPv6 address stands in brackets.\n"
    "The exit statuses are curl's.  The manual: man estab-get.\n",
    run,
};

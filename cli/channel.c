/* SPDX-License-Identifier: BSD-2-Clause */
/* channel.c - `estab channel`: messages from the command line, over the kernel's sockets, and what
 * each way of sending them costs. */
#include "channel.h"
#include "command.h"
#include "interrupt.h"
#include "node.h"
#include "option.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATUS_LATE = 28 }; /* as curl(1) has it */

struct options {
    struct estab_channel_config conf;
    struct estab_addr addr;
    estab_dur within;
    bool at_once;
    struct node_config node; /* without an address: the kernel's sockets */
};

enum { OPT_LENGTH = NODE_OPT_LAST, OPT_PLAIN, OPT_MAX, OPT_WITHIN, OPT_HEARTBEAT, OPT_AT_ONCE };
static const struct option longopts[] = {
    NODE_OPTIONS(NODE_OPT_LONG){"length", required_argument, NULL, OPT_LENGTH},
    {"plain", no_argument, NULL, OPT_PLAIN},
    {"max", required_argument, NULL, OPT_MAX},
    {"within", required_argument, NULL, OPT_WITHIN},
    {"heartbeat", required_argument, NULL, OPT_HEARTBEAT},
    {"at-once", no_argument, NULL, OPT_AT_ONCE},
    {0}};

static int find_length(const char *text)
{
    static const char *const names[] = {[ESTAB_LENGTH_4] = "4",
                                        [ESTAB_LENGTH_2] = "2",
                                        [ESTAB_LENGTH_8] = "8",
                                        [ESTAB_LENGTH_LEB128] = "leb128"};

    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return -1;
}

static int parse_length(struct options *o, const char *text)
{
    int kind = find_length(text);

    if (kind < 0)
        return say_usage("channel", "'%s' is not a length: 4, 2, 8 or leb128", text);
    o->conf.length = (uint8_t)kind;
    if (kind == ESTAB_LENGTH_2 && o->conf.max_message > 65535 - 9)
        o->conf.max_message = 65535 - 9;
    return 0;
}

static int parse_max(struct options *o, const char *text)
{
    uint64_t v;

    if (!option_number(&v, text, 0, UINT32_MAX))
        return say_usage("channel", "'%s' is not a number of octets", text);
    o->conf.max_message = v;
    return 0;
}

static int parse_option(struct options *o, int c, char *argv[])
{
    char err[ESTAB_ERRLEN];

    switch (c) {
    case OPT_LENGTH:
        return parse_length(o, optarg);
    case OPT_PLAIN:
        o->conf.plain = true;
        return 0;
    case OPT_MAX:
        return parse_max(o, optarg);
    case OPT_AT_ONCE:
        o->at_once = true;
        return 0;
    case OPT_WITHIN:
    case OPT_HEARTBEAT:
        if (node_parse_seconds(c == OPT_WITHIN ? &o->within : &o->conf.heartbeat, optarg) == 0)
            return 0;
        return say_usage("channel", "'%s' is not a number of seconds", optarg);
    case ':':
    case '?':
        return option_wrong("channel", c, argv);
    default:
        if (node_option(&o->node, c, optarg, err) == 0)
            return 0;
        return say_usage("channel", "%s", err);
    }
}

/* Options, and the address behind them. */
static int parse(struct options *o, int argc, char *argv[])
{
    bool port_given = false;
    int c, rc;

    estab_channel_config_init(&o->conf);
    o->within = ESTAB_S(10);
    optind = 1;
    while ((c = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        rc = parse_option(o, c, argv);
        if (rc)
            return rc;
    }
    if (optind == argc)
        return say_usage("channel", "which ADDR:PORT?");
    if (estab_addr_parse(&o->addr, argv[optind], &port_given) < 0 || !port_given)
        return say_usage("channel", "'%s' is not an address with a port", argv[optind]);
    optind++;
    return 0;
}

/* ---- call ---- */

static int show_failure(int error)
{
    say_error("channel", "%s",
              error == ESTAB_E_TIMEOUT ? "no reply in time" : estab_channel_strerror(error));
    return error == ESTAB_E_TIMEOUT ? STATUS_LATE : EXIT_FAILURE;
}

static void show_reply(const void *text, size_t len)
{
    fwrite(text, 1, len, stdout);
    putchar('\n');
}

/* One after another: each waits for its reply. */
static int call_each(estab_channel *c, const struct options *o, int argc, char *argv[])
{
    size_t cap = o->conf.max_message ? (size_t)o->conf.max_message : 1;
    char *buf = malloc(cap);
    struct estab_iov to = {buf, cap};
    int status = 0;

    if (!buf)
        return show_failure(ESTAB_E_NOMEM);
    for (int i = 0; i < argc; i++) {
        struct estab_iov text = {argv[i], strlen(argv[i])};
        ptrdiff_t len = estab_channel_call(c, &text, 1, &to, 1, o->within, 0);

        if (len < 0)
            status = show_failure((int)len);
        else
            show_reply(buf, (size_t)len);
    }
    free(buf);
    return status;
}

/* All of them in flight together; replies are shown as they come. */
static int call_at_once(estab_channel *c, const struct options *o, int argc, char *argv[])
{
    struct estab_channel_event e;
    uint64_t number;
    int left = 0, err, status = 0;

    for (int i = 0; i < argc; i++) {
        struct estab_iov text = {argv[i], strlen(argv[i])};

        err = estab_channel_ask(c, &text, 1, o->within, 0, &number);
        if (err)
            status = show_failure(err);
        left += err == 0;
    }
    while (left > 0 && estab_channel_wait(c, ESTAB_NEVER, &e) == 0) {
        if (e.kind == ESTAB_CH_REPLY)
            show_reply(e.text, e.len);
        else if (e.kind == ESTAB_CH_FAILED)
            status = show_failure(e.error);
        left -= e.kind == ESTAB_CH_REPLY || e.kind == ESTAB_CH_FAILED;
    }
    return status;
}

static int call_over(const struct estab_transport *t, const struct options *o, int argc,
                     char *argv[])
{
    struct estab_channel_event e;
    struct estab_env env;
    estab_channel *c;
    int rc;

    estab_host_env(&env);
    rc = estab_channel_connect(&c, &env, &o->conf, t, &o->addr);
    if (rc)
        return show_failure(rc);
    rc = (o->at_once ? call_at_once : call_each)(c, o, argc, argv);
    estab_channel_close(c);
    while (estab_channel_wait(c, ESTAB_NEVER, &e) == 0)
        ;
    estab_channel_free(c);
    return rc;
}

/* A stack of our own on a device; it stays until the connection's end has been exchanged. */
static int call_on_stack(struct options *o, int argc, char *argv[])
{
    struct estab_stack_wires wires;
    struct estab_transport t;
    struct node n = {.stack = NULL};
    char err[ESTAB_ERRLEN];
    estab_time end_at;
    int rc;

    if (node_open(&n, &o->node, NULL, err) < 0) {
        say_error("channel", "%s", err);
        node_close(&n);
        return EXIT_FAILURE;
    }
    wires = (struct estab_stack_wires){n.stack, n.loop};
    estab_transport_stack(&t, &wires);
    rc = call_over(&t, o, argc, argv);
    end_at = node_now(&n) + ESTAB_S(3);
    while (node_busy(&n) && node_now(&n) < end_at &&
           estab_loop_turn(n.loop, end_at - node_now(&n), err) == 0)
        ;
    node_close(&n);
    return rc;
}

static int call(int argc, char *argv[])
{
    struct options o = {.node.dev = "tun:estab0"};
    struct estab_transport t;
    int rc = parse(&o, argc, argv);

    if (rc)
        return rc;
    if (optind == argc)
        return say_usage("channel", "which TEXT?");
    if (o.node.naddrs)
        return call_on_stack(&o, argc - optind, argv + optind);
    estab_transport_fd(&t, NULL);
    return call_over(&t, &o, argc - optind, argv + optind);
}

/* ---- serve ---- */

struct client {
    struct client *next;
    estab_channel *c;
};
struct server {
    struct options o;
    struct estab_env env;
    struct estab_transport t;
    struct estab_fd_wires wires;
    struct client *clients;
    int listener, signals, set;
};

static int listen_at(const struct estab_addr *a)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, off = 0;

    memcpy(&to.sin6_addr, a->ip, 16);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&to, sizeof to) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    close(fd);
    return -1;
}

static void accept_clients(struct server *s)
{
    struct client *k;
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        k = calloc(1, sizeof *k);
        s->o.conf.user = k;
        if (!k || estab_channel_accept(&k->c, &s->env, &s->o.conf, &s->t, (estab_wire)fd) != 0) {
            free(k);
            close(fd);
            continue;
        }
        k->next = s->clients;
        s->clients = k;
    }
}

/* Each request is its own reply, and each message comes back. */
static void echo(estab_channel *c, const struct estab_channel_event *e)
{
    struct estab_iov text = {(void *)(uintptr_t)e->text, e->len};

    if (e->kind == ESTAB_CH_REQUEST)
        (void)estab_channel_reply(c, e->number, &text, 1, 0);
    else if (e->kind == ESTAB_CH_MESSAGE)
        (void)estab_channel_send(c, &text, 1, 0);
}

static bool run_client(struct client *k)
{
    struct estab_channel_info info = {.size = sizeof info};
    struct estab_channel_event e;

    estab_channel_run(k->c);
    while (estab_channel_next(k->c, &e))
        echo(k->c, &e);
    estab_channel_run(k->c);
    estab_channel_info(k->c, &info);
    return info.state != ESTAB_CHANNEL_OVER;
}

/* The earliest of the clients' deadlines; those that are over go. */
static estab_time run_clients(struct server *s)
{
    struct client **at = &s->clients, *k;
    estab_time next = ESTAB_NEVER, d;

    while ((k = *at)) {
        if (run_client(k)) {
            d = estab_channel_deadline(k->c);
            next = d < next ? d : next;
            at = &k->next;
            continue;
        }
        *at = k->next;
        estab_channel_free(k->c);
        free(k);
    }
    return next;
}

/* Milliseconds, rounded up, for epoll_wait(2). */
static int span_to(const struct server *s, estab_time at)
{
    estab_time now = s->env.now(s->env.ctx);

    if (at == ESTAB_NEVER)
        return -1;
    if (at <= now)
        return 0;
    return at - now > ESTAB_S(3600) ? 3600000 : (int)((at - now + 999999) / 1000000);
}

static int serve_until_signal(struct server *s)
{
    struct epoll_event ev[64];
    int sig;

    while ((sig = interrupt_read(s->signals)) == 0) {
        accept_clients(s);
        (void)epoll_wait(s->set, ev, 64, span_to(s, run_clients(s)));
    }
    return EXIT_SIGNAL + sig;
}

static int serve(int argc, char *argv[])
{
    struct server s = {.listener = -1};
    struct epoll_event e = {.events = EPOLLIN};
    struct client *k;
    char buf[64];
    int rc = parse(&s.o, argc, argv);

    if (rc)
        return rc;
    if (s.o.node.naddrs)
        return say_usage("channel", "serve is for the kernel's sockets");
    estab_host_env(&s.env);
    s.signals = interrupt_open();
    s.set = epoll_create1(EPOLL_CLOEXEC);
    s.listener = listen_at(&s.o.addr);
    if (s.listener < 0 || s.signals < 0 || s.set < 0 ||
        epoll_ctl(s.set, EPOLL_CTL_ADD, s.listener, &e) < 0 ||
        epoll_ctl(s.set, EPOLL_CTL_ADD, s.signals, &e) < 0) {
        say_error("channel", "cannot listen at %s: %s", estab_addr_format(&s.o.addr, true, buf),
                  strerror(errno));
        return EXIT_FAILURE;
    }
    s.wires.epoll = s.set;
    estab_transport_fd(&s.t, &s.wires);
    rc = serve_until_signal(&s);
    while ((k = s.clients)) {
        s.clients = k->next;
        estab_channel_free(k->c);
        free(k);
    }
    close(s.listener);
    close(s.set);
    return rc;
}

static int run(int argc, char *argv[])
{
    if (argc > 1 && strcmp(argv[1], "call") == 0)
        return call(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "cost") == 0)
        return channel_cost(argc - 1, argv + 1);
    return say_usage("channel", "what: cost, call or serve?");
}

const struct command command_channel = {
    "channel",
    "messages on connections, and what each way of sending them costs",
    "usage: estab channel cost [OPTION ...]\n"
    "       estab channel call [OPTION ...] ADDR:PORT TEXT...\n"
    "       estab channel serve [OPTION ...] ADDR:PORT\n"
    "\n"
    "cost: what N requests cost over long, short and pooled connections, synchronously,\n"
    "asynchronously and by turns: two stacks, in virtual time, over a link as given.\n"
    "\n"
    "  --requests N          1000\n"
    "  --size OCTETS         of a request and of its reply; 100\n"
    "  --concurrency N       requests under way, where more than one may be; 16\n"
    "  --rtt SECONDS         0.02\n"
    "  --link IMPAIRMENT     each way, such as loss=1%,rate=10Mbit; see estab(1)\n"
    "  --seed N              1\n"
    "  --json                an object for each way\n"
    "\n"
    "call: sends each TEXT as a request and prints its reply; serve: replies to each request\n"
    "with its text.  Over the kernel's sockets; call with --addr over a stack on a device.\n"
    "\n"
    "  --length 4|2|8|leb128 the length in front of a message; 4\n"
    "  --plain               no types, no numbers\n"
    "  --max OCTETS          of text\n"
    "  --heartbeat SECONDS   15; 0: none\n"
    "  --within SECONDS      call: how long a reply may take; 10\n"
    "  --at-once             call: all requests in flight together\n"
    "\n" NODE_USAGE "\n"
    "The manual: man estab-channel.\n",
    run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* serve.c - `estab serve`: the files of a folder over HTTP/1.1, from a stack on a link. */
#include "command.h"
#include "http_server.h"
#include "interrupt.h"
#include "kernel_end.h"
#include "node.h"
#include "option.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTENERS = 8 };

struct serve {
    const char *folder, *ctl_path, *ctl_group;
    struct estab_addr listen[LISTENERS];
    size_t nlisten;
    bool trace, verbose;
    estab_dur grace;
    struct node_config config;

    struct node node;
    struct http_server *server;
    estab_ctl *ctl;
    int signals;
    estab_time began_at;
};

enum { OPT_LISTEN = NODE_OPT_LAST, OPT_TRACE, OPT_CTL, OPT_CTL_GROUP, OPT_GRACE };
static const struct option options[] = {
    NODE_OPTIONS(NODE_OPT_LONG){"listen", required_argument, NULL, OPT_LISTEN},
    {"trace", no_argument, NULL, OPT_TRACE},
    {"ctl", required_argument, NULL, OPT_CTL},
    {"ctl-group", required_argument, NULL, OPT_CTL_GROUP},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"verbose", no_argument, NULL, 'v'},
    {0}};

static int parse_listen(struct serve *v, const char *value)
{
    bool port_given = false;

    if (v->nlisten == LISTENERS)
        return say_usage("serve", "more than %d times --listen", LISTENERS);
    if (estab_addr_parse(&v->listen[v->nlisten], value, &port_given) < 0)
        return say_usage("serve", "'%s' is not ADDR:PORT, such as 10.77.0.2:80 or :80", value);
    if (!port_given)
        v->listen[v->nlisten].port = 80;
    v->nlisten++;
    return 0;
}

/* Without --addr: what --listen names, in a network of the customary size. */
static void addresses_from_listen(struct serve *v)
{
    static const uint8_t any[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct node_config *c = &v->config;
    char addr[56], prefix[64], err[ESTAB_ERRLEN];
    size_t i;

    for (i = 0; i < v->nlisten; i++) {
        if (memcmp(v->listen[i].ip, any, 16) == 0)
            continue;
        estab_addr_format(&v->listen[i], false, addr);
        snprintf(prefix, sizeof prefix, "%s/%s", addr,
                 memcmp(v->listen[i].ip, mapped, sizeof mapped) == 0 ? "24" : "64");
        node_option(c, NODE_OPT_ADDR, prefix, err);
    }
}

static int parse(struct serve *v, int argc, char *argv[])
{
    char err[ESTAB_ERRLEN];
    int c, rc;

    while ((c = getopt_long(argc, argv, ":v", options, NULL)) != -1) {
        switch (c) {
        case OPT_LISTEN:
            rc = parse_listen(v, optarg);
            if (rc != 0)
                return rc;
            break;
        case OPT_TRACE:
            v->trace = true;
            break;
        case OPT_CTL:
            v->ctl_path = optarg;
            break;
        case OPT_CTL_GROUP:
            v->ctl_group = optarg;
            break;
        case OPT_GRACE:
            if (node_parse_seconds(&v->grace, optarg) < 0)
                return say_usage("serve", "'%s' is not a number of seconds", optarg);
            break;
        case 'v':
            v->verbose = true;
            break;
        case ':':
        case '?':
            return option_wrong("serve", c, argv);
        default:
            if (node_option(&v->config, c, optarg, err) < 0)
                return say_usage("serve", "%s", err);
        }
    }
    if (optind == argc)
        return say_usage("serve", "which folder?");
    if (optind + 1 < argc)
        return say_usage("serve", "one folder, not also '%s'", argv[optind + 1]);
    v->folder = argv[optind];
    if (v->config.naddrs == 0)
        addresses_from_listen(v);
    if (v->config.naddrs == 0)
        return say_usage("serve", "the stack needs an address, such as --addr 10.77.0.2/24");
    if (v->nlisten == 0)
        v->listen[v->nlisten++].port = 80;
    return 0;
}

static estab_time serve_now(void *ctx)
{
    const struct serve *v = ctx;

    return node_now(&v->node);
}

static void log_answer(void *ctx, const struct estab_addr *peer, const char *path, int status,
                       uint64_t octets)
{
    const struct serve *v = ctx;
    char addr[56];

    printf("%9.3f %s /%s %d %llu\n", (double)(node_now(&v->node) - v->began_at) / 1e9,
           estab_addr_format(peer, true, addr), path, status, (unsigned long long)octets);
    fflush(stdout);
}

static void announce(const struct serve *v)
{
    char addr[56], dev[64];
    const estab_link *link = estab_loop_link(v->node.loop, v->node.port);
    size_t i;

    printf("estab %s: serving %s", estab_version(), v->folder);
    for (i = 0; i < v->nlisten; i++)
        printf("%s %s", i ? "," : " on", estab_addr_format(&v->listen[i], true, addr));
    printf(" over %s, MTU %u\n", link->name, (unsigned)link->caps.mtu);
    for (i = 0; i < v->config.naddrs; i++)
        printf("  address %s\n", v->config.addrs[i].text);
    if (v->ctl)
        printf("  control socket %s (see estab-ss(1))\n", estab_ctl_path(v->ctl));
    if (node_device(&v->node, dev, sizeof dev) && !kernel_end_is_up(dev))
        printf("  the kernel's end of %s is down: give it an address of the same network and set\n"
               "  it up, with --kernel-addr or with\n"
               "  ip address add ADDR/PREFIX dev %s && ip link set %s up\n",
               dev, dev, dev);
    fflush(stdout);
}

static int open_server(struct serve *v, char *err)
{
    struct http_server_config config = {.stack = v->node.stack,
                                        .folder = v->folder,
                                        .now = serve_now,
                                        .log = v->verbose ? log_answer : NULL,
                                        .ctx = v};
    struct estab_ctl_config ctl = {
        .size = sizeof ctl, .command = "serve", .path = v->ctl_path, .group = v->ctl_group};
    size_t i;

    if (http_server_new(&v->server, &config, err) < 0)
        return -1;
    for (i = 0; i < v->nlisten; i++)
        if (http_server_listen(v->server, &v->listen[i], err) < 0)
            return -1;
    if (estab_ctl_open(&v->ctl, v->node.stack, &ctl, err) < 0) {
        if (v->ctl_path || v->ctl_group)
            return -1;
        say_error("serve", "%s; estab ss will not find this stack", err);
        return 0;
    }
    if (estab_loop_watch_fd(v->node.loop, estab_ctl_fd(v->ctl)) < 0) {
        snprintf(err, ESTAB_ERRLEN, "the loop cannot watch the control socket");
        return -1;
    }
    return 0;
}

/* Until a signal asks to end and what is under way is finished, or a second one, or the grace
 * period is over.  -1: the link is gone. */
static int loop(struct serve *v, char *err)
{
    const estab_dur poll = ESTAB_MS(50); /* while draining: how often to look whether it is over */
    estab_time end_at = ESTAB_NEVER, now, deadline;
    int rc, sig;

    for (;;) {
        now = node_now(&v->node);
        deadline = http_server_deadline(v->server);
        if (end_at != ESTAB_NEVER && deadline > now + poll)
            deadline = now + poll;
        rc = node_turn(&v->node,
                       deadline == ESTAB_NEVER ? ESTAB_NEVER
                       : deadline > now        ? deadline - now
                                               : 0,
                       err);
        if (rc == -1)
            return -1;
        if (v->ctl)
            estab_ctl_run(v->ctl);
        http_server_expire(v->server);
        sig = interrupt_read(v->signals);
        now = node_now(&v->node);
        if (sig && end_at != ESTAB_NEVER)
            return 0;
        if (sig) {
            end_at = now + v->grace;
            http_server_drain(v->server);
        }
        if (end_at == ESTAB_NEVER)
            continue;
        if (now >= end_at || (http_server_live(v->server) == 0 && !node_busy(&v->node)))
            return 0;
    }
}

static void print_totals(const struct serve *v)
{
    struct estab_stack_info info = {.size = sizeof info};
    struct http_server_totals t;
    char a[SAY_LEN], b[SAY_LEN], c[SAY_LEN], d[SAY_LEN];

    http_server_totals(v->server, &t);
    estab_stack_info(v->node.stack, &info);
    printf("estab serve: %s connection%s, %s request%s, %s sent in %s", say_count(t.connections, a),
           t.connections == 1 ? "" : "s", say_count(t.requests, b), t.requests == 1 ? "" : "s",
           say_octets(t.octets, c), say_span(node_now(&v->node) - v->began_at, d));
    if (http_server_live(v->server) > 0)
        printf("; %zu connections cut off", http_server_live(v->server));
    if (info.timewait > 0)
        printf("; %u left in TIME-WAIT", (unsigned)info.timewait);
    putchar('\n');
}

static int serve(struct serve *v)
{
    char err[ESTAB_ERRLEN] = "";
    int status = EXIT_FAILURE;

    if (v->trace) {
        struct ladder_style style = {
            .utf8 = say_utf8(), .colour = say_colour(stdout), .head = 4, .tail = 2};

        v->config.trace = ladder_new(stdout, &style);
    }
    v->signals = interrupt_open();
    if (v->signals < 0) {
        say_error("serve", "cannot watch for signals");
        return EXIT_FAILURE;
    }
    if (node_open(&v->node, &v->config, NULL, err) < 0) {
        say_error("serve", "%s", err);
        goto out;
    }
    v->began_at = node_now(&v->node);
    if (estab_loop_watch_fd(v->node.loop, v->signals) < 0 || open_server(v, err) < 0) {
        say_error("serve", "%s", err[0] ? err : "the loop cannot watch for signals");
        goto out;
    }
    announce(v);
    if (loop(v, err) < 0)
        say_error("serve", "%s", err);
    else
        status = EXIT_SUCCESS;
    if (v->config.trace)
        ladder_flush(v->config.trace);
    print_totals(v);
out:
    http_server_free(v->server);
    if (v->node.loop)
        estab_loop_flush(v->node.loop); /* an abort's RST */
    estab_ctl_close(v->ctl);
    node_close(&v->node);
    ladder_free(v->config.trace);
    close(v->signals);
    return status;
}

static int run(int argc, char *argv[])
{
    struct serve v = {.config = {.dev = "tun:estab0"}, .grace = ESTAB_S(5)};
    int rc = parse(&v, argc, argv);

    return rc != 0 ? rc : serve(&v);
}

const struct command command_serve = {
    "serve",
    "serve a folder over HTTP/1.1 from a stack on a TUN or TAP device",
    "usage: estab serve DIR [--listen ADDR:PORT ...] [--addr ADDR/PREFIX ...] [OPTION ...]\n"
    "\n"
    "  --listen ADDR:PORT    where to listen; :PORT is any address (default: :80)\n" NODE_USAGE
    "  --trace               print each connection as a ladder while it happens\n"
    "  --ctl PATH            the control socket for `estab ss'\n"
    "  --ctl-group GROUP     whose members may use it as well; needs --ctl\n"
    "  --grace SECONDS       how long answers may take to finish after a signal (5)\n"
    "  -v, --verbose         a line for each answer\n"
    "\n"
    "The manual: man estab-serve.\n",
    run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* node.c - a stack with its link, its loop and whatever watches it: what serve, get and demo run.
 */
#include "node.h"
#include "kernel_end.h"
#include "option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the environment: the host's, with our trace ---- */

static estab_time env_now(void *ctx)
{
    struct node *n = ctx;

    return n->host.now(n->host.ctx);
}

static void env_random(void *ctx, void *buf, size_t len)
{
    struct node *n = ctx;

    n->host.random(n->host.ctx, buf, len);
}

static void *env_alloc(void *ctx, size_t size, size_t align)
{
    struct node *n = ctx;

    return n->host.alloc(n->host.ctx, size, align);
}

static void env_free(void *ctx, void *ptr, size_t size, size_t align)
{
    struct node *n = ctx;

    n->host.free(n->host.ctx, ptr, size, align);
}

static void env_trace(void *ctx, const struct estab_trace *t)
{
    struct node *n = ctx;

    if (n->trace)
        ladder_add(n->trace, t);
    if (n->pcap)
        estab_pcap_trace(n->pcap, t);
}

/* Captures carry the time of day; the stack's clock only ever counts on. */
static uint64_t monotonic_epoch(void)
{
    struct timespec day, mono;

    clock_gettime(CLOCK_REALTIME, &day);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (uint64_t)(day.tv_sec - mono.tv_sec) * 1000000000u + (uint64_t)day.tv_nsec -
           (uint64_t)mono.tv_nsec;
}

/* ---- putting it together ---- */

static int open_link(estab_link **out, const struct node_config *c, char *err)
{
    char spec[512];
    int len;

    if (c->mtu > 0)
        len = snprintf(spec, sizeof spec, "%s,mtu=%u", c->dev, (unsigned)c->mtu);
    else
        len = snprintf(spec, sizeof spec, "%s", c->dev);
    if (len < 0 || (size_t)len >= sizeof spec) {
        snprintf(err, ESTAB_ERRLEN, "the link's description is longer than %zu octets",
                 sizeof spec - 1);
        return -1;
    }
    return estab_link_open(out, spec, err);
}

/* The innermost name of a pipeline is the device's: "pcap:x|tun:estab0" -> "estab0". */
static const char *device_name(const estab_link *link, char *buf, size_t cap)
{
    const char *name = strrchr(link->name, '|');

    name = name ? name + 1 : link->name;
    if (strncmp(name, "tun:", 4) != 0 && strncmp(name, "tap:", 4) != 0)
        return NULL;
    snprintf(buf, cap, "%.*s", (int)strcspn(name + 4, ","), name + 4);
    return buf;
}

static int set_kernel_end(const estab_link *link, const struct node_config *c, char *err)
{
    char name[64];
    size_t i;

    if (!device_name(link, name, sizeof name)) {
        snprintf(err, ESTAB_ERRLEN, "%s has no kernel's end that could be given an address",
                 link->name);
        return -1;
    }
    for (i = 0; i < c->nkernel; i++)
        if (kernel_end_addr(name, c->kernel[i].ip, c->kernel[i].len, err) < 0)
            return -1;
    return kernel_end_up(name, err);
}

static int add_addresses(struct node *n, const struct node_config *c, char *err)
{
    static const uint8_t any[16];
    char text[56];
    size_t i;
    int rc;

    for (i = 0; i < c->naddrs; i++) {
        rc = estab_addr_add(n->stack, n->port, c->addrs[i].ip, c->addrs[i].len);
        if (rc < 0) {
            snprintf(err, ESTAB_ERRLEN, "cannot have the address %s: %s", c->addrs[i].text,
                     estab_strerror(rc));
            return -1;
        }
    }
    for (i = 0; i < c->ngateways; i++) {
        rc = estab_route_add(n->stack, n->port, any, 0, c->gateways[i].ip);
        if (rc < 0) {
            snprintf(err, ESTAB_ERRLEN, "cannot use the gateway %s: %s",
                     estab_addr_format(&c->gateways[i], false, text), estab_strerror(rc));
            return -1;
        }
    }
    return 0;
}

static int attach(struct node *n, const struct node_config *c, estab_link *link, char *err)
{
    if (c->nkernel > 0 && set_kernel_end(link, c, err) < 0) {
        estab_link_close(link);
        return -1;
    }
    if (c->pcap) {
        if (estab_pcap_open(&n->pcap, c->pcap, monotonic_epoch(), err) < 0) {
            estab_link_close(link);
            return -1;
        }
        if (estab_link_pcap(&link, link, n->pcap, env_now, n, err) < 0)
            return -1;
    }
    n->port = estab_loop_attach(n->loop, link, err);
    return n->port < 0 ? -1 : add_addresses(n, c, err);
}

static uint32_t at_most(uint32_t v, uint32_t most)
{
    return v < most ? v : most;
}

static void set_buffers(struct estab_config *config, uint32_t most)
{
    config->sndbuf = config->rcvbuf = most;
    config->sndbuf_init = at_most(config->sndbuf_init, most);
    config->rcvbuf_init = at_most(config->rcvbuf_init, most);
}

int node_open(struct node *n, const struct node_config *c, estab_link *link, char *err)
{
    struct estab_config config;
    struct estab_env env = {.ctx = n,
                            .now = env_now,
                            .random = env_random,
                            .alloc = env_alloc,
                            .free = env_free,
                            .trace = env_trace};

    memset(n, 0, sizeof *n);
    estab_host_env(&n->host);
    n->trace = c->trace;
    estab_config_init(&config);
    if (c->msl > 0)
        config.msl = c->msl;
    if (c->cc)
        snprintf(config.cc, sizeof config.cc, "%s", c->cc);
    if (c->buffers)
        set_buffers(&config, c->buffers);
    if (!link && open_link(&link, c, err) < 0)
        return -1;
    if (estab_host_stack(&n->stack, &env, &config, err) < 0) {
        estab_link_close(link);
        return -1;
    }
    if (estab_loop_new(&n->loop, n->stack, err) < 0) {
        estab_link_close(link);
        node_close(n);
        return -1;
    }
    if (attach(n, c, link, err) < 0) {
        node_close(n);
        return -1;
    }
    return 0;
}

void node_close(struct node *n)
{
    estab_loop_free(n->loop);
    estab_stack_free(n->stack);
    estab_pcap_close(n->pcap);
    memset(n, 0, sizeof *n);
}

static void dispatch(struct node *n)
{
    struct estab_event ev[64];
    size_t i, count;

    while ((count = estab_events(n->stack, ev, sizeof ev / sizeof ev[0])) > 0)
        for (i = 0; i < count; i++) {
            struct watch *w = ev[i].user;

            w->ready(w, ev[i].mask);
        }
}

int node_turn(struct node *n, estab_dur max_wait, char *err)
{
    int rc;

    dispatch(n);
    rc = estab_loop_turn(n->loop, max_wait, err);
    dispatch(n);
    estab_loop_flush(n->loop);
    return rc;
}

const char *node_device(const struct node *n, char *buf, size_t cap)
{
    return device_name(estab_loop_link(n->loop, n->port), buf, cap);
}

estab_time node_now(const struct node *n)
{
    return n->host.now(n->host.ctx);
}

bool node_busy(const struct node *n)
{
    struct estab_tcp_info info;
    uint64_t cursor = 0;
    estab_sock k;

    while (estab_conn_next(n->stack, &cursor, &k)) {
        info.size = sizeof info;
        if (estab_tcp_info(n->stack, k, &info) == 0 && info.state != ESTAB_LISTEN &&
            info.state != ESTAB_TIME_WAIT && info.state != ESTAB_CLOSED)
            return true;
    }
    return false;
}

/* ---- the command line ---- */

int node_parse_seconds(estab_dur *out, const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || !isfinite(v) || v < 0 || v > 86400)
        return -1;
    *out = (estab_dur)(v * 1e9);
    return 0;
}

static int parse_prefix(struct prefix *list, size_t *n, const char *value, char *err)
{
    struct prefix *p = &list[*n];

    if (*n == NODE_ADDRS) {
        snprintf(err, ESTAB_ERRLEN, "more than %d addresses", NODE_ADDRS);
        return -1;
    }
    if (estab_prefix_parse(p->ip, &p->len, value) < 0 || strlen(value) >= sizeof p->text) {
        snprintf(err, ESTAB_ERRLEN, "'%s' is not an address with a prefix, such as 10.77.0.2/24",
                 value);
        return -1;
    }
    snprintf(p->text, sizeof p->text, "%s", value);
    (*n)++;
    return 0;
}

static int parse_gateway(struct node_config *c, const char *value, char *err)
{
    bool port_given = false;

    if (c->ngateways == NODE_GATEWAYS) {
        snprintf(err, ESTAB_ERRLEN, "more than %d gateways", NODE_GATEWAYS);
        return -1;
    }
    if (estab_addr_parse(&c->gateways[c->ngateways], value, &port_given) < 0 || port_given) {
        snprintf(err, ESTAB_ERRLEN, "'%s' is not an address", value);
        return -1;
    }
    c->ngateways++;
    return 0;
}

static int parse_mtu(struct node_config *c, const char *value, char *err)
{
    uint64_t v;

    if (!option_number(&v, value, 68, 65535)) {
        snprintf(err, ESTAB_ERRLEN, "'%s' is not an MTU: 68 (1280 with IPv6) to 65535", value);
        return -1;
    }
    c->mtu = (uint32_t)v;
    return 0;
}

static int parse_cc(struct node_config *c, const char *value, char *err)
{
    if (strlen(value) >= sizeof((struct estab_config *)0)->cc) {
        snprintf(err, ESTAB_ERRLEN, "'%s' is no congestion control", value);
        return -1;
    }
    c->cc = value;
    return 0;
}

static int parse_buffers(struct node_config *c, const char *value, char *err)
{
    uint64_t v;

    if (!option_number(&v, value, 1u << 16, 1u << 30)) {
        snprintf(err, ESTAB_ERRLEN, "'%s' is no size of a buffer: 65536 to 1073741824 octets",
                 value);
        return -1;
    }
    c->buffers = (uint32_t)v;
    return 0;
}

int node_option(struct node_config *c, int code, const char *value, char *err)
{
    switch (code) {
    case NODE_OPT_DEV:
        c->dev = value;
        return 0;
    case NODE_OPT_ADDR:
        return parse_prefix(c->addrs, &c->naddrs, value, err);
    case NODE_OPT_KERNEL:
        return parse_prefix(c->kernel, &c->nkernel, value, err);
    case NODE_OPT_GW:
        return parse_gateway(c, value, err);
    case NODE_OPT_PCAP:
        c->pcap = value;
        return 0;
    case NODE_OPT_MTU:
        return parse_mtu(c, value, err);
    case NODE_OPT_CC:
        return parse_cc(c, value, err);
    case NODE_OPT_BUFFERS:
        return parse_buffers(c, value, err);
    case NODE_OPT_MSL:
        if (node_parse_seconds(&c->msl, value) == 0 && c->msl > 0)
            return 0;
        snprintf(err, ESTAB_ERRLEN, "'%s' is not a number of seconds above 0", value);
        return -1;
    default:
        snprintf(err, ESTAB_ERRLEN, "unknown option");
        return -1;
    }
}

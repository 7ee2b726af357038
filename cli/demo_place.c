/* SPDX-License-Identifier: BSD-2-Clause */
/* demo_place.c - where the demo happens: a network namespace, or the memory of this process.
 *
 * The kernel's TCP is the better peer, so a network namespace is tried first as it is, then inside
 * a user namespace; what refused is kept, to be told.  The last resort has no kernel in it: a
 * second stack takes its addresses at the other end of an in-memory link. */
#include "demo.h"

#include <string.h>

#define KERNEL_IP4 "10.77.0.1/24"
#define KERNEL_IP6 "fd77::1/64"
#define STACK_IP4  "10.77.0.2/24"
#define STACK_IP6  "fd77::2/64"

static estab_time place_now(void *ctx)
{
    return node_now(ctx);
}

static int set_addresses(struct node_config *c, const char *ip4, const char *ip6)
{
    const char *const text[] = {ip4, ip6};

    for (c->naddrs = 0; c->naddrs < 2; c->naddrs++)
        if (estab_prefix_parse(c->addrs[c->naddrs].ip, &c->addrs[c->naddrs].len, text[c->naddrs]) <
            0)
            return -1;
    return 0;
}

static int open_node(struct demo *d, struct node *n, bool ours, estab_link *link, char *err)
{
    struct node_config config = {.msl = d->msl};

    set_addresses(&config, ours ? STACK_IP4 : KERNEL_IP4, ours ? STACK_IP6 : KERNEL_IP6);
    if (ours) {
        config.trace = d->ladder;
        config.pcap = d->pcap;
    }
    return node_open(n, &config, link, err);
}

static int serve_at(struct node *n, struct http_server **server, const char *folder, uint16_t port,
                    char *err)
{
    struct http_server_config config = {
        .stack = n->stack, .folder = folder, .now = place_now, .ctx = n};
    struct estab_addr any = {.port = port};

    if (http_server_new(server, &config, err) < 0)
        return -1;
    return http_server_listen(*server, &any, err);
}

static int enter_memory(struct demo *d, char *err)
{
    enum { QUEUE = 16384 }; /* frames: a whole receive window, or the link would lose some */
    const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    estab_link *end[2];

    if (estab_link_pair(end, &caps, QUEUE) < 0) {
        snprintf(err, ESTAB_ERRLEN, "no memory for a link");
        return -1;
    }
    if (open_node(d, &d->peer, false, end[1], err) < 0) {
        estab_link_close(end[0]);
        return -1;
    }
    if (open_node(d, &d->node, true, end[0], err) < 0)
        return -1;
    return serve_at(&d->peer, &d->peer_server, d->www, DEMO_PEER_PORT, err);
}

static int enter_kernel(struct demo *d, enum demo_place place, char *err)
{
    static const char *const kernel[] = {KERNEL_IP4, KERNEL_IP6, NULL};
    estab_link *link;

    if (nsbox_enter(place == PLACE_NETNS ? NSBOX_NETNS : NSBOX_USERNS, "estab0", kernel, &link,
                    err) < 0) {
        memcpy(d->refused[place], err, ESTAB_ERRLEN);
        return -1;
    }
    return open_node(d, &d->node, true, link, err);
}

static int enter(struct demo *d, char *err)
{
    enum demo_place wanted = d->place;

    if (wanted == PLACE_MEMORY)
        return enter_memory(d, err);
    for (d->place = PLACE_NETNS; d->place <= PLACE_USERNS; d->place++) {
        if (wanted != PLACE_AUTO && wanted != d->place)
            continue;
        if (enter_kernel(d, d->place, err) == 0)
            return 0;
        if (d->refused[d->place][0] == '\0') /* not the place was refused */
            return -1;
    }
    if (wanted != PLACE_AUTO)
        return -1;
    d->place = PLACE_MEMORY;
    return enter_memory(d, err);
}

int demo_enter(struct demo *d, char *err)
{
    if (enter(d, err) < 0)
        return -1;
    if (estab_loop_watch_fd(d->node.loop, d->signals) < 0) {
        snprintf(err, ESTAB_ERRLEN, "the loop cannot watch for signals");
        return -1;
    }
    return serve_at(&d->node, &d->server, d->www, DEMO_HTTP_PORT, err);
}

void demo_leave(struct demo *d)
{
    http_server_free(d->server);
    http_server_free(d->peer_server);
    if (d->node.stack)
        node_close(&d->node);
    if (d->peer.stack)
        node_close(&d->peer);
}

const char *demo_place_name(const struct demo *d)
{
    switch (d->place) {
    case PLACE_NETNS:
        return "a private network namespace, with a TUN device";
    case PLACE_USERNS:
        return "a private network namespace in a user namespace, with a TUN device";
    case PLACE_AUTO:
    case PLACE_MEMORY:
        break;
    }
    return "two stacks in this process, over a link in memory";
}

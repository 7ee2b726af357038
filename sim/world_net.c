/* SPDX-License-Identifier: BSD-2-Clause */
/* world_net.c - hosts, routers and what joins them.
 *
 * A router looks at the destination and the hop limit and at nothing else, sends by the way with
 * the least delay unless the topology says otherwise, and says nothing when it drops. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCH = 32, IP4_HEADER = 20, IP6_HEADER = 40 };

/* ---- ways ---- */

static void way_push(struct world *w, struct way *y, const struct estab_frame *f)
{
    w->frames++;
    if (y->pcap)
        estab_pcap_frame(y->pcap, y->at_from, false, w->now, f);
    estab_pipe_push(y->pipe, f, w->now);
}

static void way_settle(struct world *w, struct way *y)
{
    alarm_set(w, &y->alarm, estab_pipe_deadline(y->pipe));
    /* Who shares its wire may have been waiting for it. */
    if (y->half_duplex && y->back)
        alarm_set(w, &y->back->alarm, estab_pipe_deadline(y->back->pipe));
}

/* ---- routers ---- */

/* The host that the packet is for; NULL: none. */
static struct node *find_destination(struct world *w, const uint8_t *p, size_t len)
{
    const uint8_t *low;
    size_t i;

    if (len >= IP4_HEADER && p[0] >> 4 == 4)
        low = p + 18;
    else if (len >= IP6_HEADER && p[0] >> 4 == 6)
        low = p + 38;
    else
        return NULL;
    i = (size_t)low[0] << 8 | low[1];
    return i > 0 && i <= w->nnodes && !w->nodes[i - 1]->router ? w->nodes[i - 1] : NULL;
}

/* RFC 1812 section 5.3.1.  False: it has lived long enough. */
static bool age(uint8_t *p)
{
    uint32_t sum;

    if (p[0] >> 4 == 6)
        return p[7] > 1 && p[7]--;
    if (p[8] <= 1)
        return false;
    p[8]--;
    sum = (uint32_t)(p[10] << 8 | p[11]) + 0x100; /* RFC 1624: the sum grows as the word shrinks */
    sum = (sum & 0xffff) + (sum >> 16);
    p[10] = (uint8_t)(sum >> 8);
    p[11] = (uint8_t)sum;
    return true;
}

static void forward(struct world *w, struct node *n, const struct estab_frame *f)
{
    uint8_t *p = f->iov[0].base;
    const struct node *to = find_destination(w, p, f->iov[0].len);
    struct way *y = to ? n->route[to->index] : NULL;

    if (!y) {
        n->unroutable++;
        return;
    }
    if (!age(p)) {
        n->expired++;
        return;
    }
    n->forwarded++;
    way_push(w, y, f);
    way_settle(w, y);
}

/* ---- hosts ---- */

static estab_time host_now(void *ctx)
{
    return ((const struct host_env *)ctx)->world->now;
}

void host_send(struct world *w, struct node *h)
{
    struct way *y = h->route[h->index];
    struct estab_frame f[BATCH];
    bool sent = false;
    int n;

    while ((n = estab_output(h->stack, 0, f, BATCH)) > 0) {
        sent = true;
        for (int i = 0; i < n; i++) {
            flow_see(w, &f[i]);
            script_frame(w, h, &f[i], true);
            way_push(w, y, &f[i]);
        }
    }
    if (sent)
        way_settle(w, y);
}

void host_serve(struct world *w, struct node *h)
{
    struct estab_event e[BATCH];
    size_t n;

    while ((n = estab_events(h->stack, e, BATCH)) > 0)
        for (size_t i = 0; i < n; i++)
            flow_event(w, &e[i]);
    alarm_set(w, &h->alarm, estab_deadline(h->stack));
}

static void host_ring(struct world *w, void *owner)
{
    struct node *h = owner;

    estab_expire(h->stack);
    host_send(w, h);
    host_serve(w, h);
}

static void way_ring(struct world *w, void *owner)
{
    struct way *y = owner;
    struct estab_frame f;
    bool any = false;

    while (estab_pipe_pop(y->pipe, &f, w->now)) {
        if (y->pcap)
            estab_pcap_frame(y->pcap, y->at_to, true, w->now, &f);
        if (y->to->router) {
            forward(w, y->to, &f);
        } else {
            script_frame(w, y->to, &f, false);
            estab_input(y->to->stack, 0, &f, 1);
            host_send(w, y->to);
            any = true;
        }
    }
    way_settle(w, y);
    if (any)
        host_serve(w, y->to);
}

/* ---- routes ---- */

/* What the way costs a full segment, in seconds. */
static double cost(const struct way *y)
{
    double c = 1e-9 + (double)y->fault.delay / 1e9 + (double)y->fault.per_frame / 1e9;

    return y->fault.rate ? c + WORLD_MTU / (double)y->fault.rate : c;
}

/* Dijkstra, from the destination backwards; of two ways equally good the one that was written first
 * is taken. */
static void find_routes(struct world *w, uint32_t to, double *far, bool *settled)
{
    for (size_t i = 0; i < w->nnodes; i++) {
        far[i] = -1;
        settled[i] = false;
    }
    far[to] = 0;
    for (;;) {
        size_t at = w->nnodes;

        for (size_t i = 0; i < w->nnodes; i++)
            if (!settled[i] && far[i] >= 0 && (at == w->nnodes || far[i] < far[at]))
                at = i;
        if (at == w->nnodes)
            return;
        settled[at] = true;
        if (at != to && !w->nodes[at]->router)
            continue; /* hosts do not forward */
        for (size_t i = 0; i < w->nways; i++) {
            struct way *y = w->ways[i];
            double d = far[at] + cost(y);

            if (y->to->index == at && !settled[y->from->index] &&
                (far[y->from->index] < 0 || d < far[y->from->index])) {
                far[y->from->index] = d;
                y->from->route[to] = y;
            }
        }
    }
}

static int route_all(struct world *w, char *err)
{
    double *far = calloc(w->nnodes, sizeof *far);
    bool *settled = calloc(w->nnodes, sizeof *settled);
    int ret = 0;

    for (size_t i = 0; far && settled && i < w->nnodes; i++)
        if (!w->nodes[i]->router)
            find_routes(w, (uint32_t)i, far, settled);
    if (!far || !settled)
        ret = world_say(err, "%s", strerror(ENOMEM));
    free(far);
    free(settled);
    for (size_t i = 0; i < w->nflows && !ret; i++) {
        const struct flow_conf *c = &w->flows[i]->conf;

        if (!c->from->route[c->to->index] || !c->to->route[c->from->index])
            ret = world_say(err, "%.60s:%d: flow '%s': there is no way from '%s' to '%s' and back",
                            w->topology, c->line, c->name, c->from->name, c->to->name);
    }
    /* A host's only way out is its route to itself, and to everybody. */
    for (size_t i = 0; i < w->nways; i++)
        if (!w->ways[i]->from->router)
            w->ways[i]->from->route[w->ways[i]->from->index] = w->ways[i];
    return ret;
}

/* ---- making ---- */

/* A file for each link: an interface for each of its ends. */
static int open_pcap(struct world *w, struct way *y, char *err)
{
    const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = WORLD_MTU};
    char path[512];

    if (y->back && y->back->pcap) {
        y->pcap = y->back->pcap;
        y->at_from = y->back->at_to;
        y->at_to = y->back->at_from;
        return 0;
    }
    snprintf(path, sizeof path, "%.400s/%s-%s.pcapng", w->opt.pcap_dir, y->from->name, y->to->name);
    if (estab_pcap_open(&y->pcap, path, 0, err))
        return -1;
    y->at_from = estab_pcap_interface(y->pcap, y->from->name, &caps);
    y->at_to = estab_pcap_interface(y->pcap, y->to->name, &caps);
    return 0;
}

static int make_dir(const char *path, char *err)
{
    if (mkdir(path, 0777) && errno != EEXIST)
        return world_say(err, "%.200s: %s", path, strerror(errno));
    return 0;
}

static int open_way(struct world *w, struct way *y, char *err)
{
    y->fault.seed = world_random(w);
    if (estab_pipe_new(&y->pipe, &y->fault, err))
        return -1;
    alarm_init(w, &y->alarm, way_ring, y);
    if (w->opt.pcap_dir && open_pcap(w, y, err))
        return -1;
    if (y->half_duplex && y->back && y->back->pipe)
        estab_pipe_join(y->back->pipe, y->pipe);
    return 0;
}

static int open_host(struct world *w, struct node *h, char *err)
{
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP,
                                   .mtu = WORLD_MTU,
                                   .tx_csum = !w->checksums,
                                   .rx_csum = !w->checksums};
    char why[ESTAB_ERRLEN];
    int rc;

    estab_virtual_env(&h->env, &h->own.v, world_random(w));
    h->own.world = w;
    h->env.now = host_now;
    alarm_init(w, &h->alarm, host_ring, h);
    rc = estab_addr_parse(&h->addr, w->ip6 ? "fd00::" : "10.0.0.0", NULL);
    h->addr.ip[14] = (uint8_t)((h->index + 1) >> 8);
    h->addr.ip[15] = (uint8_t)(h->index + 1);
    if (rc == 0)
        rc = estab_host_stack(&h->stack, &h->env, &h->cfg, why);
    if (rc == ESTAB_E_INVAL)
        return world_say(err, "%.60s:%d: host '%s': %.100s", w->topology, h->line, h->name, why);
    if (rc == 0)
        rc = estab_port_add(h->stack, &caps);
    if (rc == 0)
        rc = estab_addr_add(h->stack, 0, h->addr.ip, w->ip6 ? 64 : 104);
    if (rc < 0)
        return world_say(err, "host '%s': %s", h->name, estab_strerror(rc));
    return 0;
}

static bool corrupts(const struct world *w)
{
    for (size_t i = 0; i < w->nways; i++)
        if (w->ways[i]->fault.corrupt > 0)
            return true;
    for (size_t i = 0; i < w->nacts; i++)
        if (w->acts[i].fault[0].corrupt > 0 || w->acts[i].fault[1].corrupt > 0)
            return true;
    return false;
}

int net_open(struct world *w, char *err)
{
    if ((w->opt.pcap_dir && make_dir(w->opt.pcap_dir, err)) ||
        (w->opt.plot_dir && make_dir(w->opt.plot_dir, err)))
        return -1;
    w->checksums |= w->opt.pcap_dir != NULL;
    w->checksums = !w->trusting && (w->checksums || corrupts(w));
    for (size_t i = 0; i < w->nnodes; i++) {
        w->nodes[i]->route = calloc(w->nnodes, sizeof *w->nodes[i]->route);
        if (!w->nodes[i]->route)
            return world_say(err, "%s", strerror(ENOMEM));
    }
    for (size_t i = 0; i < w->nways; i++)
        if (open_way(w, w->ways[i], err))
            return -1;
    fates_open(w);
    if (route_all(w, err))
        return -1;
    for (size_t i = 0; i < w->nnodes; i++)
        if (!w->nodes[i]->router && open_host(w, w->nodes[i], err))
            return -1;
    return 0;
}

void net_close(struct world *w)
{
    for (size_t i = 0; i < w->nnodes; i++) {
        estab_stack_free(w->nodes[i]->stack);
        free(w->nodes[i]->route);
        free(w->nodes[i]);
    }
    for (size_t i = 0; i < w->nways; i++) {
        struct way *y = w->ways[i];

        if (y->pcap && (!y->back || y->back->index > y->index))
            estab_pcap_close(y->pcap);
        estab_pipe_free(y->pipe);
    }
    for (size_t i = 0; i < w->nways; i++)
        free(w->ways[i]);
    free(w->nodes);
    free(w->ways);
}

void net_act(struct world *w, const struct act *a)
{
    char err[ESTAB_ERRLEN];

    if (a->kind == ACT_ROUTE) {
        a->node->route[a->to->index] = world_find_way(w, a->node, a->via);
        return;
    }
    for (int i = 0; i < 2 && a->way[i]; i++) {
        if (a->kind == ACT_SET)
            estab_pipe_set(a->way[i]->pipe, &a->fault[i], w->now, err);
        else
            estab_pipe_down(a->way[i]->pipe, a->kind == ACT_DOWN, w->now);
        way_settle(w, a->way[i]);
    }
}

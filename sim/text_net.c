/* SPDX-License-Identifier: BSD-2-Clause */
/* text_net.c - what a topology is made of: hosts, routers, links. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum {
    NODES_MAX = 4000, /* names are searched for one by one */
    WAYS_MAX = 10000,
};

/* ---- host, router ---- */

static int set_host(struct reader *r, struct node *h, const char *key, const char *value)
{
    struct estab_config *c = &h->cfg;
    const struct key keys[] = {
        {"sndbuf", KEY_OCTETS32, &c->sndbuf},
        {"rcvbuf", KEY_OCTETS32, &c->rcvbuf},
        {"sndbuf_init", KEY_OCTETS32, &c->sndbuf_init},
        {"rcvbuf_init", KEY_OCTETS32, &c->rcvbuf_init},
        {"notsent", KEY_OCTETS32, &c->notsent},
        {"msl", KEY_TIME, &c->msl},
        {"rto_min", KEY_TIME, &c->rto_min},
        {"rto_init", KEY_TIME, &c->rto_init},
        {"delack", KEY_TIME, &c->delack},
        {"sack", KEY_FLAG, &c->sack},
        {"pacing", KEY_FLAG, &c->pacing},
        {"timestamps", KEY_FLAG, &c->timestamps},
        {"window_scale", KEY_FLAG, &c->window_scale},
        {"initial_window", KEY_COUNT8, &c->initial_window},
    };

    if (strcmp(key, "cc") == 0) {
        if (strlen(value) >= sizeof c->cc)
            return text_refuse(r, "cc=%.40s: no such congestion control", value);
        memcpy(c->cc, value, strlen(value) + 1);
        return 0;
    }
    if (strcmp(key, "ecn") == 0) {
        static const char *const names[] = {[ESTAB_ECN_OFF] = "off",
                                            [ESTAB_ECN_PASSIVE] = "passive",
                                            [ESTAB_ECN_ACTIVE] = "active",
                                            [ESTAB_ECN_ACCURATE] = "accurate"};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (strcmp(value, names[i]) == 0) {
                c->ecn = (uint8_t)i;
                return 0;
            }
        }
        return text_refuse(r, "ecn=%.40s: off, passive, active or accurate", value);
    }
    if (strcmp(key, "profile") == 0)
        return estab_config_profile(c, value) ? text_refuse(r, "no profile '%.40s'", value) : 0;
    return text_set_known(r, keys, sizeof keys / sizeof *keys, key, value);
}

static int add_node(struct reader *r, const char *name, bool router)
{
    struct world *w = r->w;
    struct node **more;
    struct node *n;

    if (!text_is_name(name))
        return text_refuse(r, "'%.40s' is no name: letters, digits, '_', '-' and '.'", name);
    if (world_find_node(w, name))
        return text_refuse(r, "there is a node '%s' already", name);
    if (w->nnodes == NODES_MAX)
        return text_refuse(r, "more than %d nodes", NODES_MAX);
    more = grow(w->nodes, w->nnodes, &w->nodes_room, sizeof *more);
    if (!more)
        return text_no_memory(r);
    w->nodes = more;
    n = calloc(1, sizeof *n);
    if (!n)
        return text_no_memory(r);
    memcpy(n->name, name, strlen(name) + 1);
    n->router = router;
    n->line = r->line;
    n->index = (uint32_t)w->nnodes;
    estab_config_init(&n->cfg);
    w->nodes[w->nnodes++] = n;
    return 0;
}

int text_read_node(struct reader *r)
{
    bool router = strcmp(r->word[0], "router") == 0;
    size_t first = r->w->nnodes;
    char *value;

    for (int i = 1; i < r->nwords; i++) {
        value = text_cut_pair(r->word[i]);
        if (!value) {
            if (add_node(r, r->word[i], router))
                return -1;
            continue;
        }
        if (router)
            return text_refuse(r, "a router has no settings");
        for (size_t k = first; k < r->w->nnodes; k++)
            if (set_host(r, r->w->nodes[k], r->word[i], value))
                return -1;
    }
    return r->w->nnodes > first ? 0 : text_refuse(r, "%s wants a name", r->word[0]);
}

/* ---- link ---- */

int text_ends(struct reader *r, int *i, struct node *end[2], bool *one_way)
{
    char *arrow = *i < r->nwords ? strchr(r->word[*i], '>') : NULL;

    *one_way = false;
    if (arrow && arrow != r->word[*i] && arrow[1]) {
        *arrow = '\0';
        *one_way = true;
        if (text_node(r, &end[0], r->word[*i]) || text_node(r, &end[1], arrow + 1))
            return -1;
        *i += 1;
        return 0;
    }
    if (*i + 1 >= r->nwords) {
        text_refuse(r, "two nodes are missing");
        return -1;
    }
    if (text_node(r, &end[0], r->word[*i]))
        return -1;
    *i += 1;
    if (strcmp(r->word[*i], ">") == 0) {
        *one_way = true;
        *i += 1;
    }
    if (*i >= r->nwords) {
        text_refuse(r, "the second node is missing");
        return -1;
    }
    if (text_node(r, &end[1], r->word[*i]))
        return -1;
    *i += 1;
    return 0;
}

static struct way *add_way(struct reader *r, struct node *from, struct node *to)
{
    struct world *w = r->w;
    struct way **more, *way;

    more = grow(w->ways, w->nways, &w->ways_room, sizeof *more);
    if (!more)
        return NULL;
    w->ways = more;
    way = calloc(1, sizeof *way);
    if (!way)
        return NULL;
    snprintf(way->name, sizeof way->name, "%s>%s", from->name, to->name);
    way->world = w;
    way->index = (uint32_t)w->nways;
    way->from = from;
    way->to = to;
    way->fault.reorder_by = ESTAB_MS(10);
    way->fault.late_by = ESTAB_S(1);
    w->ways[w->nways++] = way;
    return way;
}

int text_change_fault(struct reader *r, struct estab_fault *f, const char *setting)
{
    char why[ESTAB_ERRLEN];

    return estab_fault_change(f, setting, why) ? text_refuse(r, "%.170s", why + strlen("fault: "))
                                               : 0;
}

/* Settings are read together: one may want another that comes later. */
int text_join(struct reader *r, int i, char *out, size_t room, bool *half)
{
    size_t at = 0;

    out[0] = '\0';
    for (; i < r->nwords; i++) {
        if (half && strcmp(r->word[i], "half-duplex") == 0) {
            *half = true;
            continue;
        }
        if (!strchr(r->word[i], '='))
            return text_refuse(r, "'%.40s' is no setting of a link", r->word[i]);
        at += (size_t)snprintf(out + at, room - at, "%s,", r->word[i]);
        if (at >= room)
            return text_refuse(r, "too many settings");
    }
    return 0;
}

int text_read_link(struct reader *r)
{
    char settings[LINE_MAX_LEN];
    struct node *end[2];
    struct way *way[2];
    bool one_way, half = false;
    int i = 1, n;

    if (text_ends(r, &i, end, &one_way))
        return -1;
    if (end[0] == end[1])
        return text_refuse(r, "a link from '%s' to itself", end[0]->name);
    if (text_join(r, i, settings, sizeof settings, one_way ? NULL : &half))
        return -1;
    n = one_way ? 1 : 2;
    for (int k = 0; k < n; k++) {
        if (world_find_way(r->w, end[k], end[!k]))
            return text_refuse(r, "there is a link from '%s' to '%s' already", end[k]->name,
                               end[!k]->name);
        if (r->w->nways == WAYS_MAX)
            return text_refuse(r, "more than %d directions of links", WAYS_MAX);
        way[k] = add_way(r, end[k], end[!k]);
        if (!way[k])
            return text_no_memory(r);
        if (text_change_fault(r, &way[k]->fault, settings))
            return -1;
        way[k]->half_duplex = half;
    }
    if (n == 2) {
        way[0]->back = way[1];
        way[1]->back = way[0];
    }
    return 0;
}

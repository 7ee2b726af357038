/* SPDX-License-Identifier: BSD-2-Clause */
/* world_text.c - the language of the topologies, estab-sim(1): a line, a thing.
 *
 * A line is prepared before it is read: `$NAME` becomes what `let` or the command line say, and a
 * line with `{1..4}` is read four times, with 1 to 4 in place of every such range in it. */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MAX = 64,
    LINE_MAX_LEN = 2048,
    LETS_MAX = 64,
    RANGE_MAX = 1000,
    NODES_MAX = 4000, /* names are searched for one by one */
    WAYS_MAX = 10000,
    FLOWS_MAX = 1000,
    ACTS_MAX = 5000,
    EXPECTS_MAX = 1000,
};

struct let {
    char name[NAME_MAX_LEN], value[128];
};
struct reader {
    struct world *w;
    int line;
    char *word[WORDS_MAX];
    int nwords;
    struct let lets[LETS_MAX];
    size_t nlets;
    char *err;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reader *r, const char *fmt, ...)
{
    char why[ESTAB_ERRLEN];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    world_say(r->err, "%.60s:%d: %.180s", r->w->topology, r->line, why);
    return -1;
}

static int no_memory(struct reader *r)
{
    return refuse(r, "%s", strerror(ENOMEM));
}

/* ---- names ---- */

struct node *world_find_node(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->nnodes; i++)
        if (strcmp(w->nodes[i]->name, name) == 0)
            return w->nodes[i];
    return NULL;
}

struct way *world_find_way(struct world *w, const struct node *from, const struct node *to)
{
    for (size_t i = 0; i < w->nways; i++)
        if (w->ways[i]->from == from && w->ways[i]->to == to)
            return w->ways[i];
    return NULL;
}

static struct flow *find_flow(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->nflows; i++)
        if (strcmp(w->flows[i]->conf.name, name) == 0)
            return w->flows[i];
    return NULL;
}

static bool is_name(const char *s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = strlen(s);

    return len > 0 && len < NAME_MAX_LEN && strspn(s, letters) == len;
}

static int want_node(struct reader *r, struct node **out, const char *name)
{
    struct node *n = world_find_node(r->w, name);

    if (!n) {
        refuse(r, "there is no node '%.40s'", name);
        return -1;
    }
    *out = n;
    return 0;
}

static int want_host(struct reader *r, struct node **out, const char *name)
{
    if (want_node(r, out, name))
        return -1;
    return (*out)->router ? refuse(r, "'%.40s' is a router, not a host", name) : 0;
}

/* ---- quantities ---- */

static int want_quantity(struct reader *r, double *out, const char *text, enum estab_unit unit)
{
    static const char *const like[] = {[ESTAB_UNIT_COUNT] = "a number",
                                       [ESTAB_UNIT_SHARE] = "a share like 1% or 0.01",
                                       [ESTAB_UNIT_TIME] = "a time like 10ms",
                                       [ESTAB_UNIT_RATE] = "a rate like 10Mbit",
                                       [ESTAB_UNIT_OCTETS] = "octets like 64kB"};

    if (estab_quantity_parse(out, text, unit) == 0)
        return 0;
    return refuse(r, "'%.40s' is not %s", text, like[unit]);
}

static int want_time(struct reader *r, estab_dur *out, const char *text)
{
    double v;

    if (want_quantity(r, &v, text, ESTAB_UNIT_TIME))
        return -1;
    if (v > 1e18)
        return refuse(r, "'%.40s' is too long", text);
    *out = (estab_dur)(v + 0.5);
    return 0;
}

/* "key=value": value, or NULL, and the word is cut. */
static char *cut_pair(char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    return value;
}

/* A setting of any struct: where its key's value goes. */
struct key {
    const char *name;
    enum { KEY_TIME, KEY_OCTETS, KEY_COUNT, KEY_REAL, KEY_FLAG, KEY_OCTETS32, KEY_COUNT8 } kind;
    void *to;
};

static int set_key(struct reader *r, const struct key *k, const char *value)
{
    double v;

    if (k->kind == KEY_TIME)
        return want_time(r, k->to, value);
    if (k->kind == KEY_FLAG) {
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return refuse(r, "%s=%.40s: yes or no", k->name, value);
        *(bool *)k->to = *value == 'y';
        return 0;
    }
    if (want_quantity(r, &v, value,
                      k->kind == KEY_OCTETS || k->kind == KEY_OCTETS32 ? ESTAB_UNIT_OCTETS
                                                                       : ESTAB_UNIT_COUNT))
        return -1;
    if ((k->kind == KEY_OCTETS32 && v > 1e9) || (k->kind == KEY_COUNT8 && v > 255) || v > 1e18)
        return refuse(r, "%s=%.40s is too much", k->name, value);
    switch (k->kind) {
    case KEY_REAL:
        *(double *)k->to = v;
        break;
    case KEY_OCTETS32:
        *(uint32_t *)k->to = (uint32_t)v;
        break;
    case KEY_COUNT8:
        *(uint8_t *)k->to = (uint8_t)v;
        break;
    case KEY_OCTETS:
    case KEY_COUNT:
        *(uint64_t *)k->to = (uint64_t)v;
        break;
    case KEY_TIME:
    case KEY_FLAG:
        break;
    }
    return 0;
}

static int set_known(struct reader *r, const struct key *keys, size_t n, const char *key,
                     const char *value)
{
    char known[160] = "";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i].name, key) == 0)
            return set_key(r, &keys[i], value);
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", keys[i].name);
    }
    return refuse(r, "no setting '%.30s'; there is%s", key, known);
}

/* ---- host, router ---- */

static int set_host(struct reader *r, struct node *h, const char *key, const char *value)
{
    struct estab_config *c = &h->cfg;
    const struct key keys[] = {
        {"sndbuf", KEY_OCTETS32, &c->sndbuf},
        {"rcvbuf", KEY_OCTETS32, &c->rcvbuf},
        {"msl", KEY_TIME, &c->msl},
        {"rto_min", KEY_TIME, &c->rto_min},
        {"rto_init", KEY_TIME, &c->rto_init},
        {"delack", KEY_TIME, &c->delack},
        {"sack", KEY_FLAG, &c->sack},
        {"timestamps", KEY_FLAG, &c->timestamps},
        {"window_scale", KEY_FLAG, &c->window_scale},
        {"initial_window", KEY_COUNT8, &c->initial_window},
    };

    if (strcmp(key, "cc") == 0) {
        if (strlen(value) >= sizeof c->cc)
            return refuse(r, "cc=%.40s: no such congestion control", value);
        memcpy(c->cc, value, strlen(value) + 1);
        return 0;
    }
    if (strcmp(key, "ecn") == 0) {
        static const char *const names[] = {[ESTAB_ECN_OFF] = "off",
                                            [ESTAB_ECN_PASSIVE] = "passive",
                                            [ESTAB_ECN_ACTIVE] = "active"};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (strcmp(value, names[i]) == 0) {
                c->ecn = (uint8_t)i;
                return 0;
            }
        }
        return refuse(r, "ecn=%.40s: off, passive or active", value);
    }
    if (strcmp(key, "profile") == 0)
        return estab_config_profile(c, value) ? refuse(r, "no profile '%.40s'", value) : 0;
    return set_known(r, keys, sizeof keys / sizeof *keys, key, value);
}

static int add_node(struct reader *r, const char *name, bool router)
{
    struct world *w = r->w;
    struct node **more;
    struct node *n;

    if (!is_name(name))
        return refuse(r, "'%.40s' is no name: letters, digits, '_', '-' and '.'", name);
    if (world_find_node(w, name))
        return refuse(r, "there is a node '%s' already", name);
    if (w->nnodes == NODES_MAX)
        return refuse(r, "more than %d nodes", NODES_MAX);
    more = grow(w->nodes, w->nnodes, &w->nodes_room, sizeof *more);
    if (!more)
        return no_memory(r);
    w->nodes = more;
    n = calloc(1, sizeof *n);
    if (!n)
        return no_memory(r);
    memcpy(n->name, name, strlen(name) + 1);
    n->router = router;
    n->line = r->line;
    n->index = (uint32_t)w->nnodes;
    estab_config_init(&n->cfg);
    w->nodes[w->nnodes++] = n;
    return 0;
}

static int read_node(struct reader *r)
{
    bool router = strcmp(r->word[0], "router") == 0;
    size_t first = r->w->nnodes;
    char *value;

    for (int i = 1; i < r->nwords; i++) {
        value = cut_pair(r->word[i]);
        if (!value) {
            if (add_node(r, r->word[i], router))
                return -1;
            continue;
        }
        if (router)
            return refuse(r, "a router has no settings");
        for (size_t k = first; k < r->w->nnodes; k++)
            if (set_host(r, r->w->nodes[k], r->word[i], value))
                return -1;
    }
    return r->w->nnodes > first ? 0 : refuse(r, "%s wants a name", r->word[0]);
}

/* ---- link ---- */

/* "A B", "A > B" or "A>B" from word i; how many words that were is added to *i. */
static int want_ends(struct reader *r, int *i, struct node *end[2], bool *one_way)
{
    char *arrow = *i < r->nwords ? strchr(r->word[*i], '>') : NULL;

    *one_way = false;
    if (arrow && arrow != r->word[*i] && arrow[1]) {
        *arrow = '\0';
        *one_way = true;
        if (want_node(r, &end[0], r->word[*i]) || want_node(r, &end[1], arrow + 1))
            return -1;
        *i += 1;
        return 0;
    }
    if (*i + 1 >= r->nwords) {
        refuse(r, "two nodes are missing");
        return -1;
    }
    if (want_node(r, &end[0], r->word[*i]))
        return -1;
    *i += 1;
    if (strcmp(r->word[*i], ">") == 0) {
        *one_way = true;
        *i += 1;
    }
    if (*i >= r->nwords) {
        refuse(r, "the second node is missing");
        return -1;
    }
    if (want_node(r, &end[1], r->word[*i]))
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

static int change_fault(struct reader *r, struct estab_fault *f, const char *setting)
{
    char why[ESTAB_ERRLEN];

    return estab_fault_change(f, setting, why) ? refuse(r, "%.170s", why + strlen("fault: ")) : 0;
}

/* Settings are read together: one may want another that comes later. */
static int join_settings(struct reader *r, int i, char *out, size_t room, bool *half)
{
    size_t at = 0;

    out[0] = '\0';
    for (; i < r->nwords; i++) {
        if (half && strcmp(r->word[i], "half-duplex") == 0) {
            *half = true;
            continue;
        }
        if (!strchr(r->word[i], '='))
            return refuse(r, "'%.40s' is no setting of a link", r->word[i]);
        at += (size_t)snprintf(out + at, room - at, "%s,", r->word[i]);
        if (at >= room)
            return refuse(r, "too many settings");
    }
    return 0;
}

static int read_link(struct reader *r)
{
    char settings[LINE_MAX_LEN];
    struct node *end[2];
    struct way *way[2];
    bool one_way, half = false;
    int i = 1, n;

    if (want_ends(r, &i, end, &one_way))
        return -1;
    if (end[0] == end[1])
        return refuse(r, "a link from '%s' to itself", end[0]->name);
    if (join_settings(r, i, settings, sizeof settings, one_way ? NULL : &half))
        return -1;
    n = one_way ? 1 : 2;
    for (int k = 0; k < n; k++) {
        if (world_find_way(r->w, end[k], end[!k]))
            return refuse(r, "there is a link from '%s' to '%s' already", end[k]->name,
                          end[!k]->name);
        if (r->w->nways == WAYS_MAX)
            return refuse(r, "more than %d directions of links", WAYS_MAX);
        way[k] = add_way(r, end[k], end[!k]);
        if (!way[k])
            return no_memory(r);
        if (change_fault(r, &way[k]->fault, settings))
            return -1;
        way[k]->half_duplex = half;
    }
    if (n == 2) {
        way[0]->back = way[1];
        way[1]->back = way[0];
    }
    return 0;
}

/* ---- flow ---- */

static int set_flow(struct reader *r, struct flow_conf *c, const char *key, const char *value)
{
    const struct key keys[] = {
        {"start", KEY_TIME, &c->start},
        {"bytes", KEY_OCTETS, &c->octets},
        {"requests", KEY_COUNT, &c->requests},
        {"request", KEY_OCTETS, &c->request},
        {"response", KEY_OCTETS, &c->response},
        {"think", KEY_TIME, &c->think},
        {"on", KEY_TIME, &c->on},
        {"off", KEY_TIME, &c->off},
        {"random", KEY_FLAG, &c->random},
        {"arrivals", KEY_REAL, &c->arrivals},
        {"conns", KEY_COUNT, &c->conns},
        {"alpha", KEY_REAL, &c->alpha},
        {"min", KEY_OCTETS, &c->size_min},
        {"max", KEY_OCTETS, &c->size_max},
        {"nodelay", KEY_COUNT, &c->nodelay},
        {"sndbuf", KEY_OCTETS, &c->sndbuf},
        {"rcvbuf", KEY_OCTETS, &c->rcvbuf},
        {"maxseg", KEY_COUNT, &c->maxseg},
        {"keepidle", KEY_TIME, &c->keepidle},
    };

    if (strcmp(key, "cc") == 0) {
        if (strlen(value) >= sizeof c->cc)
            return refuse(r, "cc=%.40s: no such congestion control", value);
        memcpy(c->cc, value, strlen(value) + 1);
        return 0;
    }
    return set_known(r, keys, sizeof keys / sizeof *keys, key, value);
}

static int check_flow(struct reader *r, const struct flow_conf *c)
{
    if (c->from == c->to)
        return refuse(r, "a flow from '%s' to itself", c->from->name);
    if (c->kind == FLOW_REQUEST && (c->request == 0 || c->response == 0))
        return refuse(r, "request= and response= must be at least one octet");
    if (c->kind == FLOW_ON_OFF && (c->on == 0 || c->off == 0))
        return refuse(r, "on= and off= must be more than nothing");
    if (c->kind == FLOW_SHORT && !(c->arrivals > 0))
        return refuse(r, "arrivals= must be more than 0 a second");
    if (c->kind == FLOW_SHORT && (c->size_min == 0 || c->size_max < c->size_min))
        return refuse(r, "min= must be at least one octet and max= not less");
    if (c->kind == FLOW_SHORT && !(c->alpha > 0))
        return refuse(r, "alpha= must be more than 0");
    return 0;
}

static int read_flow(struct reader *r)
{
    struct world *w = r->w;
    struct flow_conf c = {.line = r->line,
                          .request = 200,
                          .response = 10000,
                          .on = ESTAB_S(1),
                          .off = ESTAB_S(1),
                          .arrivals = 10,
                          .alpha = 1.2,
                          .size_min = 1000,
                          .size_max = 10000000};
    struct flow **more, *f;
    bool known = false;

    if (r->nwords < 5)
        return refuse(r, "flow NAME bulk|request|on-off|short FROM TO [SETTING=VALUE ...]");
    if (!is_name(r->word[1]))
        return refuse(r, "'%.40s' is no name: letters, digits, '_', '-' and '.'", r->word[1]);
    if (find_flow(w, r->word[1]))
        return refuse(r, "there is a flow '%s' already", r->word[1]);
    memcpy(c.name, r->word[1], strlen(r->word[1]) + 1);
    for (int k = FLOW_BULK; k <= FLOW_SHORT; k++) {
        if (strcmp(r->word[2], flow_kind_name((enum flow_kind)k)) == 0) {
            c.kind = (enum flow_kind)k;
            known = true;
        }
    }
    if (!known)
        return refuse(r, "no kind of flow '%.40s'; there is bulk, request, on-off, short",
                      r->word[2]);
    if (want_host(r, &c.from, r->word[3]) || want_host(r, &c.to, r->word[4]))
        return -1;
    for (int i = 5; i < r->nwords; i++) {
        char *value = cut_pair(r->word[i]);

        if (!value)
            return refuse(r, "'%.40s' is no setting of a flow", r->word[i]);
        if (set_flow(r, &c, r->word[i], value))
            return -1;
    }
    if (check_flow(r, &c))
        return -1;
    if (w->nflows == FLOWS_MAX)
        return refuse(r, "more than %d flows", FLOWS_MAX);
    more = grow(w->flows, w->nflows, &w->flows_room, sizeof *more);
    if (!more)
        return no_memory(r);
    w->flows = more;
    f = calloc(1, sizeof *f);
    if (!f)
        return no_memory(r);
    f->conf = c;
    w->flows[w->nflows++] = f;
    return 0;
}

/* ---- at ---- */

static int read_route_words(struct reader *r, int i, struct act *a)
{
    if (i + 5 != r->nwords || strcmp(r->word[i + 1], "to") != 0 ||
        strcmp(r->word[i + 3], "via") != 0)
        return refuse(r, "route NODE to HOST via NODE");
    if (want_node(r, &a->node, r->word[i]) || want_host(r, &a->to, r->word[i + 2]) ||
        want_node(r, &a->via, r->word[i + 4]))
        return -1;
    if (!world_find_way(r->w, a->node, a->via))
        return refuse(r, "there is no link from '%s' to '%s'", a->node->name, a->via->name);
    a->kind = ACT_ROUTE;
    return 0;
}

static int want_ways(struct reader *r, int *i, struct act *a)
{
    struct node *end[2];
    bool one_way;

    if (want_ends(r, i, end, &one_way))
        return -1;
    for (int k = 0; k < (one_way ? 1 : 2); k++) {
        a->way[k] = world_find_way(r->w, end[k], end[!k]);
        if (!a->way[k])
            return refuse(r, "there is no link from '%s' to '%s'", end[k]->name, end[!k]->name);
    }
    return 0;
}

/* Later acts build on earlier ones, in the order of the lines. */
static int read_set(struct reader *r, int i, struct act *a)
{
    char settings[LINE_MAX_LEN];

    if (want_ways(r, &i, a))
        return -1;
    if (i == r->nwords)
        return refuse(r, "set what?");
    if (join_settings(r, i, settings, sizeof settings, NULL))
        return -1;
    for (int k = 0; k < 2 && a->way[k]; k++) {
        a->fault[k] = a->way[k]->fault;
        for (size_t n = 0; n < r->w->nacts; n++)
            for (int m = 0; m < 2; m++)
                if (r->w->acts[n].kind == ACT_SET && r->w->acts[n].way[m] == a->way[k])
                    a->fault[k] = r->w->acts[n].fault[m];
        if (change_fault(r, &a->fault[k], settings))
            return -1;
    }
    a->kind = ACT_SET;
    return 0;
}

static int add_act(struct reader *r, const struct act *a)
{
    struct world *w = r->w;
    struct act *more = grow(w->acts, w->nacts, &w->acts_room, sizeof *more);
    size_t i;

    if (!more)
        return no_memory(r);
    w->acts = more;
    if (w->nacts == ACTS_MAX)
        return refuse(r, "more than %d events", ACTS_MAX);
    for (i = w->nacts++; i > 0 && more[i - 1].at > a->at; i--)
        more[i] = more[i - 1];
    more[i] = *a;
    return 0;
}

static int read_at(struct reader *r)
{
    struct act a = {.line = r->line};
    int i = 3;

    if (r->nwords < 4)
        return refuse(r, "at TIME down|up|set|route ...");
    if (want_time(r, &a.at, r->word[1]))
        return -1;
    if (strcmp(r->word[2], "down") == 0 || strcmp(r->word[2], "up") == 0) {
        a.kind = r->word[2][0] == 'd' ? ACT_DOWN : ACT_UP;
        if (want_ways(r, &i, &a))
            return -1;
        if (i < r->nwords)
            return refuse(r, "'%.40s' is too much", r->word[i]);
    } else if (strcmp(r->word[2], "set") == 0) {
        if (read_set(r, i, &a))
            return -1;
    } else if (strcmp(r->word[2], "route") == 0) {
        if (read_route_words(r, i, &a))
            return -1;
    } else {
        return refuse(r, "no event '%.40s'; there is down, up, set, route", r->word[2]);
    }
    return add_act(r, &a);
}

static int read_route(struct reader *r)
{
    struct act a = {.line = r->line};

    return read_route_words(r, 1, &a) ? -1 : add_act(r, &a);
}

/* ---- expect ---- */

static const struct {
    const char *name;
    enum metric metric;
    enum estab_unit unit;
    bool of_flow, of_way;
} metrics[] = {
    {"goodput", METRIC_GOODPUT, ESTAB_UNIT_RATE, true, false},
    {"time", METRIC_TIME, ESTAB_UNIT_TIME, true, false},
    {"retrans", METRIC_RETRANS, ESTAB_UNIT_SHARE, true, false},
    {"failed", METRIC_FAILED, ESTAB_UNIT_COUNT, true, false},
    {"done", METRIC_DONE, ESTAB_UNIT_COUNT, true, false},
    {"wait", METRIC_WAIT, ESTAB_UNIT_TIME, false, true},
    {"fairness", METRIC_FAIRNESS, ESTAB_UNIT_COUNT, false, false},
};

static int find_metric(struct reader *r, size_t *m, const char *name)
{
    for (*m = 0; *m < sizeof metrics / sizeof *metrics; ++*m)
        if (strcmp(metrics[*m].name, name) == 0)
            return 0;
    return refuse(r,
                  "nothing is known as '%.30s'; there is goodput, time, retrans, failed, done "
                  "of flows, wait of a link's direction, and fairness",
                  name);
}

static int read_expect(struct reader *r)
{
    struct world *w = r->w;
    struct expect e = {.line = r->line}, *more;
    int i = r->nwords - 3; /* of the metric */
    char *arrow;
    size_t m;

    if (r->nwords != 4 && r->nwords != 5)
        return refuse(r, "expect [FLOW|A>B] METRIC <|> VALUE");
    for (int k = 1; k < r->nwords; k++)
        snprintf(e.text + strlen(e.text), sizeof e.text - strlen(e.text), "%s%s", k > 1 ? " " : "",
                 r->word[k]);
    if (find_metric(r, &m, r->word[i]))
        return -1;
    if (i == 2 && metrics[m].of_flow) {
        e.flow = find_flow(w, r->word[1]);
        if (!e.flow)
            return refuse(r, "there is no flow '%.40s'", r->word[1]);
    } else if (i == 2 && metrics[m].of_way) {
        arrow = strchr(r->word[1], '>');
        if (arrow)
            *arrow++ = '\0';
        e.way = arrow ? world_find_way(w, world_find_node(w, r->word[1]), world_find_node(w, arrow))
                      : NULL;
        if (!e.way)
            return refuse(r, "there is no such direction of a link; it is written A>B");
    } else if (metrics[m].of_flow || metrics[m].of_way || i == 2) {
        return refuse(r, "whose %s?  expect [FLOW|A>B] METRIC <|> VALUE", r->word[i]);
    }
    if (strcmp(r->word[i + 1], "<") != 0 && strcmp(r->word[i + 1], ">") != 0)
        return refuse(r, "'%.40s' is neither < nor >", r->word[i + 1]);
    e.less = r->word[i + 1][0] == '<';
    e.metric = metrics[m].metric;
    if (want_quantity(r, &e.bound, r->word[i + 2], metrics[m].unit))
        return -1;
    if (w->nexpects == EXPECTS_MAX)
        return refuse(r, "more than %d expectations", EXPECTS_MAX);
    more = grow(w->expects, w->nexpects, &w->expects_room, sizeof *more);
    if (!more)
        return no_memory(r);
    w->expects = more;
    w->expects[w->nexpects++] = e;
    return 0;
}

/* ---- the rest ---- */

static int read_span(struct reader *r)
{
    estab_dur *to = strcmp(r->word[0], "for") == 0     ? &r->w->lasts
                    : strcmp(r->word[0], "drain") == 0 ? &r->w->drain
                                                       : &r->w->sample;

    if (r->nwords != 2)
        return refuse(r, "%s TIME", r->word[0]);
    if (want_time(r, to, r->word[1]))
        return -1;
    return *to ? 0 : refuse(r, "%s must be more than nothing", r->word[0]);
}

static int read_memory(struct reader *r)
{
    double v;

    if (r->nwords != 2)
        return refuse(r, "memory OCTETS");
    if (want_quantity(r, &v, r->word[1], ESTAB_UNIT_OCTETS))
        return -1;
    r->w->memory = (size_t)v;
    return 0;
}

static int read_ipv6(struct reader *r)
{
    r->w->ip6 = true;
    return r->nwords == 1 ? 0 : refuse(r, "ipv6 stands alone");
}

static int read_about(struct reader *r)
{
    struct world *w = r->w;

    for (int i = 1; i < r->nwords; i++)
        snprintf(w->about + strlen(w->about), sizeof w->about - strlen(w->about), "%s%s",
                 i > 1 ? " " : "", r->word[i]);
    return 0;
}

static const struct let *find_let(const struct reader *r, const char *name, size_t len)
{
    for (size_t i = 0; i < r->nlets; i++)
        if (strlen(r->lets[i].name) == len && memcmp(r->lets[i].name, name, len) == 0)
            return &r->lets[i];
    return NULL;
}

static int add_let(struct reader *r, const char *name, const char *value)
{
    struct let *l = &r->lets[r->nlets];

    if (!is_name(name) || strpbrk(name, ".-"))
        return refuse(r, "'%.40s' is no name: letters, digits and '_'", name);
    if (find_let(r, name, strlen(name)))
        return 0; /* the command line came first */
    if (r->nlets == LETS_MAX || strlen(value) >= sizeof l->value)
        return refuse(r, "too much to remember");
    memcpy(l->name, name, strlen(name) + 1);
    memcpy(l->value, value, strlen(value) + 1);
    r->nlets++;
    return 0;
}

static int read_let(struct reader *r)
{
    return r->nwords == 3 ? add_let(r, r->word[1], r->word[2]) : refuse(r, "let NAME VALUE");
}

/* The first value is what it is, and all are what a table is made of. */
static int read_vary(struct reader *r)
{
    struct world *w = r->w;
    struct varied *v = &w->varied[w->nvaried];

    if (r->nwords < 3 || r->nwords > 2 + VALUES_MAX)
        return refuse(r, "vary NAME VALUE ..., at most %d", VALUES_MAX);
    if (w->nvaried == VARIED_MAX)
        return refuse(r, "more than %d things vary", VARIED_MAX);
    if (add_let(r, r->word[1], r->word[2]))
        return -1;
    snprintf(v->name, sizeof v->name, "%s", r->word[1]);
    for (int i = 2; i < r->nwords; i++) {
        if (strlen(r->word[i]) >= sizeof v->value[0])
            return refuse(r, "'%.40s' is too long", r->word[i]);
        memcpy(v->value[v->n], r->word[i], strlen(r->word[i]) + 1);
        v->values[v->n] = v->value[v->n];
        v->n++;
    }
    w->nvaried++;
    return 0;
}

static int read_checksums(struct reader *r)
{
    bool yes = true;
    const struct key k = {"checksums", KEY_FLAG, &yes};

    if (r->nwords != 2)
        return refuse(r, "checksums yes|no");
    if (set_key(r, &k, r->word[1]))
        return -1;
    r->w->checksums = yes;
    r->w->trusting = !yes;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct reader *r);
} statements[] = {
    {"vary", read_vary},   {"checksums", read_checksums},
    {"let", read_let},     {"host", read_node},
    {"router", read_node}, {"link", read_link},
    {"flow", read_flow},   {"at", read_at},
    {"route", read_route}, {"expect", read_expect},
    {"for", read_span},    {"drain", read_span},
    {"sample", read_span}, {"memory", read_memory},
    {"ipv6", read_ipv6},   {"about", read_about},
};

/* ---- lines ---- */

static int put(struct reader *r, char *out, size_t *at, const char *text, size_t len)
{
    if (*at + len >= LINE_MAX_LEN)
        return refuse(r, "the line is too long");
    memcpy(out + *at, text, len);
    *at += len;
    out[*at] = '\0';
    return 0;
}

static int substitute(struct reader *r, char *out, const char *line)
{
    size_t at = 0, len;
    const struct let *l;

    out[0] = '\0';
    while (*line) {
        len = strcspn(line, "$");
        if (put(r, out, &at, line, len))
            return -1;
        line += len;
        if (*line != '$')
            continue;
        len = strspn(++line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        l = find_let(r, line, len);
        if (!l)
            return refuse(r, "$%.*s is nothing: say `let %.*s VALUE` first", (int)len, line,
                          (int)len, line);
        if (put(r, out, &at, l->value, strlen(l->value)))
            return -1;
        line += len;
    }
    return 0;
}

static int read_words(struct reader *r, char *line)
{
    char *save = NULL;

    r->nwords = 0;
    for (char *w = strtok_r(line, " \t\r", &save); w; w = strtok_r(NULL, " \t\r", &save)) {
        if (r->nwords == WORDS_MAX)
            return refuse(r, "more than %d words", WORDS_MAX);
        r->word[r->nwords++] = w;
    }
    if (r->nwords == 0)
        return 0;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (strcmp(statements[i].name, r->word[0]) == 0)
            return statements[i].read(r);
    return refuse(r, "'%.40s' begins no line that means anything", r->word[0]);
}

/* "{2..5}" at text: both numbers and where it ends; NULL: none. */
static const char *parse_range(const char *text, unsigned *low, unsigned *high)
{
    int used = 0;

    return sscanf(text, "{%9u..%9u}%n", low, high, &used) == 2 && used > 0 ? text + used : NULL;
}

/* Every range of the line in step: the n-th value of each. */
static int put_nth(struct reader *r, char *out, const char *line, unsigned n, unsigned of)
{
    char number[16];
    unsigned low, high;
    const char *end;
    size_t at = 0, len;

    out[0] = '\0';
    while (*line) {
        len = strcspn(line, "{");
        if (put(r, out, &at, line, len))
            return -1;
        line += len;
        if (*line != '{')
            continue;
        end = parse_range(line, &low, &high);
        if (!end || high < low || high - low >= RANGE_MAX)
            return refuse(r, "a range is written {1..4}");
        if (high - low + 1 != of)
            return refuse(r, "ranges of one line must be equally long");
        snprintf(number, sizeof number, "%u", low + n);
        if (put(r, out, &at, number, strlen(number)))
            return -1;
        line = end;
    }
    return 0;
}

static int read_line(struct reader *r, const char *raw)
{
    char line[LINE_MAX_LEN], one[LINE_MAX_LEN];
    unsigned low = 1, high = 1;
    const char *brace;

    if (substitute(r, line, raw))
        return -1;
    brace = strchr(line, '{');
    if (!brace)
        return read_words(r, line);
    if (!parse_range(brace, &low, &high) || high < low)
        return refuse(r, "a range is written {1..4}");
    for (unsigned n = 0; n <= high - low; n++)
        if (put_nth(r, one, line, n, high - low + 1) || read_words(r, one))
            return -1;
    return 0;
}

static int check_whole(struct reader *r)
{
    struct world *w = r->w;

    for (size_t i = 0; i < w->nnodes; i++) {
        struct node *n = w->nodes[i];
        size_t out = 0;

        for (size_t k = 0; k < w->nways; k++)
            out += w->ways[k]->from == n;
        r->line = n->line;
        if (out == 0)
            return refuse(r, "%s '%s' has no link that leads away from it",
                          n->router ? "router" : "host", n->name);
        if (!n->router && out > 1)
            return refuse(r, "host '%s' has %zu links that lead away from it: put a router there",
                          n->name, out);
    }
    for (size_t i = 0; i < w->nflows; i++) {
        const struct flow_conf *c = &w->flows[i]->conf;

        r->line = c->line;
        if (!w->lasts && !w->opt.lasts &&
            ((c->kind == FLOW_BULK && !c->octets) || (c->kind == FLOW_REQUEST && !c->requests) ||
             c->kind == FLOW_ON_OFF || (c->kind == FLOW_SHORT && !c->conns)))
            return refuse(r, "flow '%s' has no end: say `for TIME`, or how much", c->name);
    }
    return w->nflows ? 0 : world_say(r->err, "%.60s: no flow: nothing would happen", w->topology);
}

int world_parse(struct world *w, const char *text, char *err)
{
    struct reader *r = calloc(1, sizeof *r);
    char line[LINE_MAX_LEN];
    int ret = -1;

    if (!r)
        return world_say(err, "%s", strerror(ENOMEM));
    r->w = w;
    r->err = err;
    for (size_t i = 0; i < w->ndefines; i++) {
        char *copy = w->defines[i], *value = cut_pair(copy);

        if (!value) {
            world_say(err, "'%.60s': a definition is written NAME=VALUE", copy);
            goto out;
        }
        if (add_let(r, copy, value))
            goto out;
    }
    while (*text) {
        size_t len = strcspn(text, "\n"), keep = strcspn(text, "#\n");

        r->line++;
        if (keep >= sizeof line) {
            refuse(r, "the line is too long");
            goto out;
        }
        memcpy(line, text, keep);
        line[keep] = '\0';
        if (read_line(r, line))
            goto out;
        text += len + (text[len] == '\n');
    }
    ret = check_whole(r);
out:
    free(r);
    return ret;
}

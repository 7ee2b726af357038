/* SPDX-License-Identifier: BSD-2-Clause */
/* text_act.c - what happens in a topology, and what is expected of it. */
#include "text.h"

#include <string.h>

enum { ACTS_MAX = 5000, EXPECTS_MAX = 1000 };

/* ---- at ---- */

static int read_route_words(struct reader *r, int i, struct act *a)
{
    if (i + 5 != r->nwords || strcmp(r->word[i + 1], "to") != 0 ||
        strcmp(r->word[i + 3], "via") != 0)
        return text_refuse(r, "route NODE to HOST via NODE");
    if (text_node(r, &a->node, r->word[i]) || text_host(r, &a->to, r->word[i + 2]) ||
        text_node(r, &a->via, r->word[i + 4]))
        return -1;
    if (!world_find_way(r->w, a->node, a->via))
        return text_refuse(r, "there is no link from '%s' to '%s'", a->node->name, a->via->name);
    a->kind = ACT_ROUTE;
    return 0;
}

static int want_ways(struct reader *r, int *i, struct act *a)
{
    struct node *end[2];
    bool one_way;

    if (text_ends(r, i, end, &one_way))
        return -1;
    for (int k = 0; k < (one_way ? 1 : 2); k++) {
        a->way[k] = world_find_way(r->w, end[k], end[!k]);
        if (!a->way[k])
            return text_refuse(r, "there is no link from '%s' to '%s'", end[k]->name,
                               end[!k]->name);
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
        return text_refuse(r, "set what?");
    if (text_join(r, i, settings, sizeof settings, NULL))
        return -1;
    for (int k = 0; k < 2 && a->way[k]; k++) {
        a->fault[k] = a->way[k]->fault;
        for (size_t n = 0; n < r->w->nacts; n++)
            for (int m = 0; m < 2; m++)
                if (r->w->acts[n].kind == ACT_SET && r->w->acts[n].way[m] == a->way[k])
                    a->fault[k] = r->w->acts[n].fault[m];
        if (text_change_fault(r, &a->fault[k], settings))
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
        return text_no_memory(r);
    w->acts = more;
    if (w->nacts == ACTS_MAX)
        return text_refuse(r, "more than %d events", ACTS_MAX);
    for (i = w->nacts++; i > 0 && more[i - 1].at > a->at; i--)
        more[i] = more[i - 1];
    more[i] = *a;
    return 0;
}

int text_read_at(struct reader *r)
{
    struct act a = {.line = r->line};
    int i = 3;

    if (r->nwords < 4)
        return text_refuse(r, "at TIME down|up|set|route ...");
    if (text_time(r, &a.at, r->word[1]))
        return -1;
    if (strcmp(r->word[2], "down") == 0 || strcmp(r->word[2], "up") == 0) {
        a.kind = r->word[2][0] == 'd' ? ACT_DOWN : ACT_UP;
        if (want_ways(r, &i, &a))
            return -1;
        if (i < r->nwords)
            return text_refuse(r, "'%.40s' is too much", r->word[i]);
    } else if (strcmp(r->word[2], "set") == 0) {
        if (read_set(r, i, &a))
            return -1;
    } else if (strcmp(r->word[2], "route") == 0) {
        if (read_route_words(r, i, &a))
            return -1;
    } else {
        return text_refuse(r, "no event '%.40s'; there is down, up, set, route", r->word[2]);
    }
    return add_act(r, &a);
}

int text_read_route(struct reader *r)
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
    return text_refuse(r,
                       "nothing is known as '%.30s'; there is goodput, time, retrans, failed, done "
                       "of flows, wait of a link's direction, and fairness",
                       name);
}

int text_read_expect(struct reader *r)
{
    struct world *w = r->w;
    struct expect e = {.line = r->line}, *more;
    int i = r->nwords - 3; /* of the metric */
    char *arrow;
    size_t m;

    if (r->nwords != 4 && r->nwords != 5)
        return text_refuse(r, "expect [FLOW|A>B] METRIC <|> VALUE");
    for (int k = 1; k < r->nwords; k++)
        snprintf(e.text + strlen(e.text), sizeof e.text - strlen(e.text), "%s%s", k > 1 ? " " : "",
                 r->word[k]);
    if (find_metric(r, &m, r->word[i]))
        return -1;
    if (i == 2 && metrics[m].of_flow) {
        e.flow = world_find_flow(w, r->word[1]);
        if (!e.flow)
            return text_refuse(r, "there is no flow '%.40s'", r->word[1]);
    } else if (i == 2 && metrics[m].of_way) {
        arrow = strchr(r->word[1], '>');
        if (arrow)
            *arrow++ = '\0';
        e.way = arrow ? world_find_way(w, world_find_node(w, r->word[1]), world_find_node(w, arrow))
                      : NULL;
        if (!e.way)
            return text_refuse(r, "there is no such direction of a link; it is written A>B");
    } else if (metrics[m].of_flow || metrics[m].of_way || i == 2) {
        return text_refuse(r, "whose %s?  expect [FLOW|A>B] METRIC <|> VALUE", r->word[i]);
    }
    if (strcmp(r->word[i + 1], "<") != 0 && strcmp(r->word[i + 1], ">") != 0)
        return text_refuse(r, "'%.40s' is neither < nor >", r->word[i + 1]);
    e.less = r->word[i + 1][0] == '<';
    e.metric = metrics[m].metric;
    if (text_quantity(r, &e.bound, r->word[i + 2], metrics[m].unit))
        return -1;
    if (w->nexpects == EXPECTS_MAX)
        return text_refuse(r, "more than %d expectations", EXPECTS_MAX);
    more = grow(w->expects, w->nexpects, &w->expects_room, sizeof *more);
    if (!more)
        return text_no_memory(r);
    w->expects = more;
    w->expects[w->nexpects++] = e;
    return 0;
}

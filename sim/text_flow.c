/* SPDX-License-Identifier: BSD-2-Clause */
/* text_flow.c - a topology's users. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { FLOWS_MAX = 1000 };

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
        {"pacing_rate", KEY_OCTETS, &c->pacing_rate},
    };

    if (strcmp(key, "cc") == 0) {
        if (strlen(value) >= sizeof c->cc)
            return text_refuse(r, "cc=%.40s: no such congestion control", value);
        memcpy(c->cc, value, strlen(value) + 1);
        return 0;
    }
    return text_set_known(r, keys, sizeof keys / sizeof *keys, key, value);
}

static int check_flow(struct reader *r, const struct flow_conf *c)
{
    if (c->from == c->to)
        return text_refuse(r, "a flow from '%s' to itself", c->from->name);
    if (c->kind == FLOW_REQUEST && (c->request == 0 || c->response == 0))
        return text_refuse(r, "request= and response= must be at least one octet");
    if (c->kind == FLOW_ON_OFF && (c->on == 0 || c->off == 0))
        return text_refuse(r, "on= and off= must be more than nothing");
    if (c->kind == FLOW_SHORT && !(c->arrivals > 0))
        return text_refuse(r, "arrivals= must be more than 0 a second");
    if (c->kind == FLOW_SHORT && (c->size_min == 0 || c->size_max < c->size_min))
        return text_refuse(r, "min= must be at least one octet and max= not less");
    if (c->kind == FLOW_SHORT && !(c->alpha > 0))
        return text_refuse(r, "alpha= must be more than 0");
    return 0;
}

int text_read_flow(struct reader *r)
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
        return text_refuse(r, "flow NAME bulk|request|on-off|short FROM TO [SETTING=VALUE ...]");
    if (!text_is_name(r->word[1]))
        return text_refuse(r, "'%.40s' is no name: letters, digits, '_', '-' and '.'", r->word[1]);
    if (world_find_flow(w, r->word[1]))
        return text_refuse(r, "there is a flow '%s' already", r->word[1]);
    memcpy(c.name, r->word[1], strlen(r->word[1]) + 1);
    for (int k = FLOW_BULK; k <= FLOW_SHORT; k++) {
        if (strcmp(r->word[2], flow_kind_name((enum flow_kind)k)) == 0) {
            c.kind = (enum flow_kind)k;
            known = true;
        }
    }
    if (!known)
        return text_refuse(r, "no kind of flow '%.40s'; there is bulk, request, on-off, short",
                           r->word[2]);
    if (text_host(r, &c.from, r->word[3]) || text_host(r, &c.to, r->word[4]))
        return -1;
    for (int i = 5; i < r->nwords; i++) {
        char *value = text_cut_pair(r->word[i]);

        if (!value)
            return text_refuse(r, "'%.40s' is no setting of a flow", r->word[i]);
        if (set_flow(r, &c, r->word[i], value))
            return -1;
    }
    if (check_flow(r, &c))
        return -1;
    if (w->nflows == FLOWS_MAX)
        return text_refuse(r, "more than %d flows", FLOWS_MAX);
    more = grow(w->flows, w->nflows, &w->flows_room, sizeof *more);
    if (!more)
        return text_no_memory(r);
    w->flows = more;
    f = calloc(1, sizeof *f);
    if (!f)
        return text_no_memory(r);
    f->conf = c;
    w->flows[w->nflows++] = f;
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* world.c - virtual time: what happens next, from the first SYN until nothing is left.
 *
 * Traffic ends when the topology says so, or when the last connection that it asked for is over.
 * Then every listener closes and every user closes what he has; what the network still owes, it
 * delivers, and hosts forget.  Whatever a host still knows when `drain` has passed, it would know
 * for ever: that is a failure, as is everything else that world_broken() is told. */
#include "world.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { STILL_MAX = 10000000 }; /* alarms without time moving on */

int world_say(char *err, const char *fmt, ...)
{
    va_list ap;

    if (err) {
        va_start(ap, fmt);
        vsnprintf(err, ESTAB_ERRLEN, fmt, ap);
        va_end(ap);
    }
    return -1;
}

void world_broken(struct world *w, enum estab_sim_check check, const char *fmt, ...)
{
    struct estab_sim_report *r = &w->report;
    va_list ap;

    if (r->verdict == ESTAB_SIM_BROKEN)
        return;
    r->verdict = ESTAB_SIM_BROKEN;
    r->check = check;
    r->at = w->now;
    va_start(ap, fmt);
    vsnprintf(r->text, sizeof r->text, fmt, ap);
    va_end(ap);
}

const char *estab_sim_check_name(enum estab_sim_check c)
{
    static const char *const names[] = {
        [ESTAB_SIM_NOTHING_FAILED] = "nothing",
        [ESTAB_SIM_OCTETS] = "octets",
        [ESTAB_SIM_MEMORY] = "memory",
        [ESTAB_SIM_STATE] = "state",
        [ESTAB_SIM_STILL] = "still",
        [ESTAB_SIM_EXPECT] = "expect",
        [ESTAB_SIM_NUMBERS] = "numbers",
    };

    return names[c];
}

void *grow(void *array, size_t n, size_t *room, size_t size)
{
    size_t more = *room ? 2 * *room : 16;
    char *grown;

    if (n < *room)
        return array;
    grown = realloc(array, more * size);
    if (!grown)
        return NULL;
    memset(grown + n * size, 0, (more - n) * size);
    *room = more;
    return grown;
}

/* ---- chance ---- */

uint64_t world_random(struct world *w)
{
    return estab_virtual_random(&w->rng);
}

double draw_share(struct estab_virtual *rng)
{
    return (double)(estab_virtual_random(rng) >> 11) * 0x1p-53;
}

double draw_exponential(struct estab_virtual *rng, double mean)
{
    double x = -log(1 - draw_share(rng)) * mean;

    return x < 1e18 ? x : 1e18; /* a time has 64 bits */
}

/* The inverse of the distribution function of a Pareto distribution cut off at both ends. */
double draw_pareto(struct estab_virtual *rng, double alpha, double least, double most)
{
    double u = draw_share(rng), ratio = pow(least / most, alpha);

    return least / pow(1 - u * (1 - ratio), 1 / alpha);
}

/* ---- alarms ---- */

static bool goes_first(const struct alarm *a, const struct alarm *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put_at(struct world *w, uint32_t pos, struct alarm *a)
{
    w->heap[pos] = a;
    a->pos = pos;
}

static void sift_up(struct world *w, struct alarm *a, uint32_t pos)
{
    for (; pos > 1 && goes_first(a, w->heap[pos / 2]); pos /= 2)
        put_at(w, pos, w->heap[pos / 2]);
    put_at(w, pos, a);
}

static void sift_down(struct world *w, struct alarm *a, uint32_t pos)
{
    uint32_t child;

    while ((child = 2 * pos) <= w->nheap) {
        if (child < w->nheap && goes_first(w->heap[child + 1], w->heap[child]))
            child++;
        if (!goes_first(w->heap[child], a))
            break;
        put_at(w, pos, w->heap[child]);
        pos = child;
    }
    put_at(w, pos, a);
}

void alarm_init(struct world *w, struct alarm *a, void (*ring)(struct world *w, void *owner),
                void *owner)
{
    *a = (struct alarm){.at = ESTAB_NEVER, .order = w->alarms++, .ring = ring, .owner = owner};
}

static void alarm_cancel(struct world *w, struct alarm *a)
{
    struct alarm *end = w->heap[w->nheap--];
    uint32_t pos = a->pos;

    a->pos = 0;
    if (a == end)
        return;
    if (goes_first(end, a))
        sift_up(w, end, pos);
    else
        sift_down(w, end, pos);
}

bool alarm_set(struct world *w, struct alarm *a, estab_time at)
{
    struct alarm **more;
    estab_time was = a->at;

    if (at == ESTAB_NEVER) {
        if (a->pos)
            alarm_cancel(w, a);
        a->at = at;
        return true;
    }
    if (at < w->now)
        at = w->now;
    a->at = at;
    if (a->pos) {
        if (at < was)
            sift_up(w, a, a->pos);
        else if (at > was)
            sift_down(w, a, a->pos);
        return true;
    }
    if (w->nheap + 1 >= w->heap_room) {
        more = realloc(w->heap, (w->heap_room + 64) * sizeof *more);
        if (!more) {
            w->out_of_memory = true;
            return false;
        }
        w->heap = more;
        w->heap_room += 64;
    }
    sift_up(w, a, ++w->nheap);
    return true;
}

/* ---- the run ---- */

static void set_time(struct world *w, estab_time now)
{
    if (now > w->now)
        w->still = 0;
    w->now = now;
}

static void end_traffic(struct world *w, void *owner)
{
    (void)owner;
    if (!w->closing) {
        w->closing = true;
        w->ended_at = w->now;
        for (size_t i = 0; i < w->nflows; i++)
            flow_tell(w, w->flows[i]);
        for (size_t i = 0; i < w->nflows; i++)
            flow_stop(w, w->flows[i]);
        alarm_set(w, &w->end_alarm, w->now + w->drain / 2);
    } else {
        w->forced = true;
        for (size_t i = 0; i < w->nflows; i++)
            flow_throw_out(w, w->flows[i]);
    }
    for (size_t i = 0; i < w->nnodes; i++)
        if (!w->nodes[i]->router)
            host_serve(w, w->nodes[i]);
}

static void do_acts(struct world *w, void *owner)
{
    (void)owner;
    while (w->next_act < w->nacts && w->acts[w->next_act].at <= w->now)
        net_act(w, &w->acts[w->next_act++]);
    alarm_set(w, &w->act_alarm, w->next_act < w->nacts ? w->acts[w->next_act].at : ESTAB_NEVER);
}

/* Whether everything that was asked for has been done. */
static bool is_traffic_over(const struct world *w)
{
    if (w->closing || w->lasts || w->open_conns > 0)
        return false;
    for (size_t i = 0; i < w->nflows; i++)
        if (w->flows[i]->alarm.pos)
            return false;
    return true;
}

static bool node_has_state(const struct node *n, struct estab_stack_info *left)
{
    *left = (struct estab_stack_info){.size = sizeof *left};
    if (n->router)
        return false;
    estab_stack_info(n->stack, left);
    return left->conns || left->listeners || left->synq || left->timewait;
}

static bool has_state(const struct world *w)
{
    struct estab_stack_info left;

    for (size_t i = 0; i < w->nways; i++)
        if (w->ways[i]->alarm.pos)
            return true;
    for (size_t i = 0; i < w->nnodes; i++) {
        if (node_has_state(w->nodes[i], &left))
            return true;
    }
    return false;
}

static void check_state_gone(struct world *w)
{
    struct estab_stack_info left;

    for (size_t i = 0; i < w->nnodes; i++) {
        if (node_has_state(w->nodes[i], &left))
            world_broken(w, ESTAB_SIM_STATE,
                         "host %s still has %u connections, %u listeners, %u half-open, %u in "
                         "TIME-WAIT %.0f s after traffic ended",
                         w->nodes[i]->name, left.conns, left.listeners, left.synq, left.timewait,
                         (double)(w->now - w->ended_at) / 1e9);
    }
}

/* False: all is over, or broken. */
static bool step(struct world *w)
{
    struct alarm *a;

    if (w->report.verdict == ESTAB_SIM_BROKEN || w->out_of_memory)
        return false;
    if (is_traffic_over(w))
        end_traffic(w, NULL);
    a = w->nheap > 0 ? w->heap[1] : NULL;
    if (!a || (w->closing && a->at > w->ended_at + w->drain)) {
        if (a)
            set_time(w, w->ended_at + w->drain);
        check_state_gone(w);
        return false;
    }
    set_time(w, a->at);
    w->events++;
    if (++w->still > STILL_MAX) {
        world_broken(w, ESTAB_SIM_STILL, "time stands still: %d events at one instant", STILL_MAX);
        return false;
    }
    alarm_cancel(w, a);
    a->ring(w, a->owner);
    return !(w->closing && w->open_conns == 0 && !has_state(w));
}

static int open_all(struct world *w, char *err)
{
    uint64_t octets = 0;

    alarm_init(w, &w->act_alarm, do_acts, NULL);
    alarm_init(w, &w->end_alarm, end_traffic, NULL);
    w->pattern = malloc(2 * (size_t)PATTERN);
    w->buf = malloc(PATTERN);
    if (!w->pattern || !w->buf)
        return world_say(err, "%s", strerror(ENOMEM));
    for (size_t i = 0; i < PATTERN; i++, octets >>= 8) {
        if (i % 8 == 0)
            octets = world_random(w);
        w->pattern[i] = w->pattern[PATTERN + i] = (uint8_t)octets;
    }
    if (net_open(w, err) || script_open(w, err))
        return -1;
    for (size_t i = 0; i < w->nflows; i++)
        if (flow_open(w, w->flows[i], err))
            return -1;
    if (w->lasts)
        alarm_set(w, &w->end_alarm, w->now + w->lasts);
    do_acts(w, NULL);
    plot_open(w);
    return 0;
}

int estab_sim_run(estab_sim *s, char *err)
{
    struct world *w = (struct world *)s;

    if (open_all(w, err))
        return -1;
    while (step(w))
        ;
    if (w->out_of_memory)
        return world_say(err, "%s", strerror(ENOMEM));
    if (!w->closing)
        w->ended_at = w->now;
    script_finish(w);
    if (w->opt.plot_dir && plot_write(w, err))
        return -1;
    return world_results(w, err);
}

/* ---- making and ending ---- */

static int read_file(char **text, const char *path, char *err)
{
    FILE *f = fopen(path, "re");
    size_t room = 0, n = 0, got;
    char *t = NULL, *more;

    if (!f)
        return world_say(err, "%s: %s; `estab sim --list` shows what is built in", path,
                         strerror(errno));
    do {
        more = realloc(t, room += 16384);
        if (!more) {
            free(t);
            fclose(f);
            return world_say(err, "%s: %s", path, strerror(ENOMEM));
        }
        t = more;
        got = fread(t + n, 1, room - n - 1, f);
        n += got;
    } while (got > 0);
    t[n] = '\0';
    fclose(f);
    *text = t;
    return 0;
}

static const char *find_ready(const char *topology)
{
    const char *name, *text;

    for (size_t i = 0; estab_sim_ready(i, &name, &text); i++)
        if (strcmp(name, topology) == 0)
            return text;
    return NULL;
}

static int copy_options(struct world *w, const struct estab_sim_options *opt)
{
    size_t size = opt->size < sizeof w->opt ? opt->size : sizeof w->opt;

    memcpy(&w->opt, opt, size);
    w->defines = calloc(w->opt.ndefines + 1, sizeof *w->defines);
    if (!w->defines)
        return -1;
    for (; w->ndefines < w->opt.ndefines; w->ndefines++) {
        w->defines[w->ndefines] = strdup(w->opt.defines[w->ndefines]);
        if (!w->defines[w->ndefines])
            return -1;
    }
    return 0;
}

int estab_sim_new(estab_sim **out, const char *topology, const struct estab_sim_options *opt,
                  char *err)
{
    struct world *w = calloc(1, sizeof *w);
    struct estab_env env;
    const char *ready;
    char *text = NULL;
    int ret = -1;

    if (!w)
        return world_say(err, "%s", strerror(ENOMEM));
    w->drain = ESTAB_S(7200);
    w->topology = strdup(topology);
    if (copy_options(w, opt) || !w->topology) {
        world_say(err, "%s", strerror(ENOMEM));
        goto out;
    }
    estab_virtual_env(&env, &w->rng, w->opt.seed);
    ready = w->opt.text ? w->opt.text : find_ready(topology);
    if (!ready && read_file(&text, topology, err))
        goto out;
    if (world_parse(w, ready ? ready : text, err))
        goto out;
    if (w->opt.fates && fates_read(w, w->opt.fates, err))
        goto out;
    if (w->opt.lasts)
        w->lasts = w->opt.lasts;
    *out = (estab_sim *)w;
    ret = 0;
out:
    free(text);
    if (ret)
        estab_sim_free((estab_sim *)w);
    return ret;
}

void estab_sim_free(estab_sim *s)
{
    struct world *w = (struct world *)s;

    if (!w)
        return;
    for (size_t i = 0; i < w->nflows; i++)
        flow_close(w, w->flows[i]);
    free(w->flows);
    net_close(w);
    fates_close(w);
    script_close(w);
    for (size_t i = 0; i < w->ndefines; i++)
        free(w->defines[i]);
    free(w->defines);
    free(w->acts);
    free(w->expects);
    free(w->heap);
    free(w->pattern);
    free(w->buf);
    free(w->samples);
    free(w->flow_results);
    free(w->link_results);
    free(w->node_results);
    free(w->topology);
    free(w);
}

const struct estab_sim_report *estab_sim_report(const estab_sim *s)
{
    return &((const struct world *)s)->report;
}

const struct estab_sim_flow *estab_sim_flows(const estab_sim *s, size_t *n)
{
    const struct world *w = (const struct world *)s;

    *n = w->nflows;
    return w->flow_results;
}

const struct estab_sim_link *estab_sim_links(const estab_sim *s, size_t *n)
{
    const struct world *w = (const struct world *)s;

    *n = w->nways;
    return w->link_results;
}

const struct estab_sim_node *estab_sim_nodes(const estab_sim *s, size_t *n)
{
    const struct world *w = (const struct world *)s;

    *n = w->nnodes;
    return w->node_results;
}

const char *estab_sim_about(const estab_sim *s)
{
    return ((const struct world *)s)->about;
}

bool estab_sim_varied(const estab_sim *s, size_t i, const char **name, const char *const **values,
                      size_t *n)
{
    const struct world *w = (const struct world *)s;

    if (i >= w->nvaried)
        return false;
    *name = w->varied[i].name;
    *values = w->varied[i].values;
    *n = w->varied[i].n;
    return true;
}

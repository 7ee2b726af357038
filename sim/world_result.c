/* SPDX-License-Identifier: BSD-2-Clause */
/* world_result.c - what a run was like, and whether that was what was expected. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_length(const void *a, const void *b)
{
    estab_dur x = *(const estab_dur *)a, y = *(const estab_dur *)b;

    return (x > y) - (x < y);
}

static estab_dur quantile(const struct times *t, double share)
{
    size_t i = (size_t)(share * (double)t->n);

    return t->n ? t->v[i < t->n ? i : t->n - 1] : 0;
}

static void tell_flow(struct flow *f, struct estab_sim_flow *r)
{
    estab_time began = f->conf.start;
    double sum = 0;

    if (f->times.n > 0)
        qsort(f->times.v, f->times.n, sizeof *f->times.v, by_length);
    for (size_t i = 0; i < f->times.n; i++)
        sum += (double)f->times.v[i];
    *r = (struct estab_sim_flow){
        .name = f->conf.name,
        .kind = flow_kind_name(f->conf.kind),
        .from = f->conf.from->name,
        .to = f->conf.to->name,
        .cc = f->cc,
        .started = f->started,
        .done = f->done,
        .failed = f->failed,
        .octets = f->octets,
        .segs_out = f->segs_out,
        .retrans = f->retrans,
        .rtos = f->rtos,
        .srtt = f->nsrtts ? f->srtt_sum / f->nsrtts : 0,
        .ntimes = f->times.n,
        .time_mean = f->times.n ? (estab_dur)(sum / (double)f->times.n) : 0,
        .time_p50 = quantile(&f->times, 0.5),
        .time_p99 = quantile(&f->times, 0.99),
        .time_max = quantile(&f->times, 1),
    };
    if (f->last_read_at > began)
        r->goodput = (double)f->octets * 1e9 / (double)(f->last_read_at - began);
}

static void tell_link(struct world *w, struct way *y, struct estab_sim_link *r)
{
    r->name = y->name;
    r->pipe.size = sizeof r->pipe;
    estab_pipe_info(y->pipe, w->now, &r->pipe);
    r->wait_p50 = estab_pipe_wait(y->pipe, 0.5);
    r->wait_p99 = estab_pipe_wait(y->pipe, 0.99);
    r->used = w->ended_at ? (double)r->pipe.busy / (double)w->ended_at : 0;
}

/* What connections may hold that were never more than so many at once, and what a stack begins
 * with. */
static size_t memory_ceiling(const struct world *w, const struct node *h)
{
    uint64_t n = 1;

    if (w->memory)
        return w->memory;
    for (size_t i = 0; i < w->nflows; i++)
        if (w->flows[i]->conf.from == h || w->flows[i]->conf.to == h)
            n += w->flows[i]->started;
    return ((size_t)4 << 20) + n * ((size_t)h->cfg.sndbuf + h->cfg.rcvbuf + 4096);
}

static void tell_node(struct world *w, struct node *n, struct estab_sim_node *r)
{
    size_t ceiling;

    *r = (struct estab_sim_node){.name = n->name,
                                 .router = n->router,
                                 .forwarded = n->forwarded,
                                 .expired = n->expired,
                                 .unroutable = n->unroutable};
    if (n->router)
        return;
    r->stack.size = sizeof r->stack;
    estab_stack_info(n->stack, &r->stack);
    r->mem_peak = n->own.v.peak;
    ceiling = memory_ceiling(w, n);
    if (n->own.v.peak > ceiling)
        world_broken(w, ESTAB_SIM_MEMORY, "host %s took %zu octets of memory; %zu is the ceiling",
                     n->name, n->own.v.peak, ceiling);
    estab_stack_free(n->stack);
    n->stack = NULL;
    if (n->own.v.live)
        world_broken(w, ESTAB_SIM_MEMORY, "host %s keeps %zu octets of memory for ever", n->name,
                     n->own.v.live);
}

/* Jain, Chiu, Hawe 1984: 1 is fair, 1/n is one for all. */
static double fairness(const struct world *w)
{
    double sum = 0, squares = 0;
    size_t n = 0;

    for (size_t i = 0; i < w->nflows; i++) {
        double x = w->flow_results[i].goodput;

        if (w->flows[i]->conf.kind != FLOW_BULK)
            continue;
        n++;
        sum += x;
        squares += x * x;
    }
    return n > 1 && squares > 0 ? sum * sum / ((double)n * squares) : 0;
}

static double measure(const struct world *w, const struct expect *e)
{
    size_t i = 0;
    const struct estab_sim_flow *f;

    if (e->metric == METRIC_FAIRNESS)
        return w->report.fairness;
    if (e->way) {
        while (w->ways[i] != e->way)
            i++;
        return (double)w->link_results[i].wait_p99;
    }
    while (w->flows[i] != e->flow)
        i++;
    f = &w->flow_results[i];
    switch (e->metric) {
    case METRIC_GOODPUT:
        return f->goodput;
    case METRIC_TIME: /* what has not ended took longer than anything */
        return f->ntimes ? (double)f->time_max : 1e30;
    case METRIC_RETRANS:
        return f->segs_out ? (double)f->retrans / (double)f->segs_out : 0;
    case METRIC_FAILED:
        return (double)f->failed;
    case METRIC_DONE:
        return (double)f->done;
    case METRIC_WAIT:
    case METRIC_FAIRNESS:
        break;
    }
    return 0;
}

static void write_measure(enum metric m, double v, char was[32])
{
    if ((m == METRIC_TIME && v > 1e29))
        snprintf(was, 32, "never over");
    else if (m == METRIC_TIME || m == METRIC_WAIT)
        snprintf(was, 32, "%.3fms", v / 1e6);
    else if (m == METRIC_GOODPUT)
        snprintf(was, 32, "%.3fMbit", v * 8 / 1e6);
    else if (m == METRIC_RETRANS)
        snprintf(was, 32, "%.3f%%", v * 100);
    else
        snprintf(was, 32, "%g", v);
}

void world_check_expects(struct world *w)
{
    for (size_t i = 0; i < w->nexpects; i++) {
        const struct expect *e = &w->expects[i];
        double v = measure(w, e);
        char was[32];

        if (e->less ? v < e->bound : v > e->bound)
            continue;
        if (!w->broken)
            w->broken = e->flow;
        write_measure(e->metric, v, was);
        world_broken(w, ESTAB_SIM_EXPECT, "%s:%d: expected %s, but it was %s", w->topology, e->line,
                     e->text, was);
        w->report.line = e->line;
    }
}

int world_results(struct world *w, char *err)
{
    struct estab_sim_report *r = &w->report;

    w->flow_results = calloc(w->nflows + 1, sizeof *w->flow_results);
    w->link_results = calloc(w->nways + 1, sizeof *w->link_results);
    w->node_results = calloc(w->nnodes + 1, sizeof *w->node_results);
    if (!w->flow_results || !w->link_results || !w->node_results)
        return world_say(err, "%s", strerror(ENOMEM));
    r->traffic = w->ended_at;
    r->lasted = w->now;
    r->events = w->events;
    r->frames = w->frames;
    for (size_t i = 0; i < w->nflows; i++)
        tell_flow(w->flows[i], &w->flow_results[i]);
    for (size_t i = 0; i < w->nways; i++)
        tell_link(w, w->ways[i], &w->link_results[i]);
    for (size_t i = 0; i < w->nnodes; i++)
        tell_node(w, w->nodes[i], &w->node_results[i]);
    r->fairness = fairness(w);
    world_check_expects(w);
    return 0;
}

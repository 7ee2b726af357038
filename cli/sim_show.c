/* SPDX-License-Identifier: BSD-2-Clause */
/* sim_show.c - the results of a simulation, for people and for programs.
 *
 * Nothing in them depends on the machine or on how long it took: they are compared as text. */
#include "sim_show.h"
#include "say.h"

#include <jansson.h>
#include <string.h>

static char *megabits(double octets, char buf[SAY_LEN])
{
    snprintf(buf, SAY_LEN, "%.3f", octets * 8 / 1e6);
    return buf;
}

static char *milliseconds(estab_dur d, char buf[SAY_LEN])
{
    double ms = (double)d / 1e6;

    snprintf(buf, SAY_LEN, "%.*f", ms < 1 && d > 0 ? 3 : 1, ms);
    return buf;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100 * (double)part / (double)whole : 0;
}

static void show_flows(const estab_sim *s, FILE *out)
{
    char goodput[SAY_LEN], p50[SAY_LEN], p99[SAY_LEN], srtt[SAY_LEN];
    const struct estab_sim_flow *f;
    size_t n;

    f = estab_sim_flows(s, &n);
    fprintf(out, "%-12s %-8s %-8s %6s %6s %4s %11s %9s %7s %5s %9s %9s %9s\n", "flow", "kind", "cc",
            "conns", "done", "fail", "octets", "Mbit/s", "again", "rtos", "srtt ms", "p50 ms",
            "p99 ms");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%-12s %-8s %-8s %6llu %6llu %4llu %11llu %9s %6.2f%% %5llu %9s %9s %9s\n",
                f[i].name, f[i].kind, f[i].cc, (unsigned long long)f[i].started,
                (unsigned long long)f[i].done, (unsigned long long)f[i].failed,
                (unsigned long long)f[i].octets, megabits(f[i].goodput, goodput),
                percent(f[i].retrans, f[i].segs_out), (unsigned long long)f[i].rtos,
                milliseconds(f[i].srtt, srtt), f[i].ntimes ? milliseconds(f[i].time_p50, p50) : "-",
                f[i].ntimes ? milliseconds(f[i].time_p99, p99) : "-");
}

void sim_show_links(const struct estab_sim_link *l, size_t n, FILE *out)
{
    char mean[SAY_LEN], p99[SAY_LEN];

    fprintf(out, "%-16s %9s %6s %7s %6s %6s %7s %5s %6s %6s %8s %8s\n", "link", "frames", "used",
            "full", "aqm", "marks", "lost", "dup", "late", "most", "wait ms", "p99 ms");
    for (size_t i = 0; i < n; i++) {
        const struct estab_pipe_info *p = &l[i].pipe;
        uint64_t waited = p->offered - p->full - p->aqm, lost = p->lost + p->outage,
                 late = p->late + p->reordered;

        fprintf(out, "%-16s %9llu %5.1f%% %7llu %6llu %6llu %7llu %5llu %6llu %6u %8s %8s\n",
                l[i].name, (unsigned long long)p->offered, 100 * l[i].used,
                (unsigned long long)p->full, (unsigned long long)p->aqm,
                (unsigned long long)p->marked, (unsigned long long)lost,
                (unsigned long long)p->duplicated, (unsigned long long)late, p->queued_max,
                milliseconds(waited ? p->wait_sum / waited : 0, mean),
                milliseconds(l[i].wait_p99, p99));
    }
}

void sim_show_table(const estab_sim *s, FILE *out)
{
    const struct estab_sim_report *r = estab_sim_report(s);
    const struct estab_sim_node *n;
    const struct estab_sim_link *l;
    size_t nnodes, nlinks;

    show_flows(s, out);
    l = estab_sim_links(s, &nlinks);
    sim_show_links(l, nlinks, out);
    n = estab_sim_nodes(s, &nnodes);
    for (size_t i = 0; i < nnodes; i++)
        if (n[i].expired || n[i].unroutable)
            fprintf(out,
                    "router %s: %llu forwarded, %llu whose hop limit ran out, %llu without a "
                    "route\n",
                    n[i].name, (unsigned long long)n[i].forwarded, (unsigned long long)n[i].expired,
                    (unsigned long long)n[i].unroutable);
    if (r->fairness > 0)
        fprintf(out, "fairness %.3f\n", r->fairness);
    fprintf(out, "traffic for %.3f s, the last state gone after %.3f s\n", (double)r->traffic / 1e9,
            (double)r->lasted / 1e9);
    if (r->verdict == ESTAB_SIM_BROKEN)
        fprintf(out, "BROKEN at %.6f s: %s: %s\n", (double)r->at / 1e9,
                estab_sim_check_name(r->check), r->text);
}

/* ---- rows of a table ---- */

void sim_show_head(const char *const *names, const int *widths, size_t n, FILE *out)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%-*s ", widths[i], names[i]);
    fprintf(out, "%-10s %9s %7s %5s %5s %10s %10s %9s %5s\n", "flow", "Mbit/s", "again", "rtos",
            "fail", "p50 ms", "p99 ms", "queue ms", "Jain");
}

/* Of all bulk flows, at each of them; "-": fewer than two, or another kind. */
static const char *jain(const estab_sim *s, const struct estab_sim_flow *f, char buf[SAY_LEN])
{
    double index = estab_sim_report(s)->fairness;

    if (index <= 0 || strcmp(f->kind, "bulk") != 0)
        return "-";
    snprintf(buf, SAY_LEN, "%.3f", index);
    return buf;
}

/* The queue is that of the link where frames waited longest. */
static estab_dur longest_wait(const estab_sim *s)
{
    const struct estab_sim_link *l;
    estab_dur longest = 0;
    size_t n;

    l = estab_sim_links(s, &n);
    for (size_t i = 0; i < n; i++)
        longest = l[i].wait_p99 > longest ? l[i].wait_p99 : longest;
    return longest;
}

void sim_show_row(const estab_sim *s, const char *const *values, const int *widths, size_t n,
                  FILE *out)
{
    char goodput[SAY_LEN], p50[SAY_LEN], p99[SAY_LEN], wait[SAY_LEN], index[SAY_LEN];
    const struct estab_sim_report *r = estab_sim_report(s);
    const struct estab_sim_flow *f;
    size_t nflows;

    f = estab_sim_flows(s, &nflows);
    for (size_t i = 0; i < nflows; i++) {
        for (size_t k = 0; k < n; k++)
            fprintf(out, "%-*s ", widths[k], values[k]);
        fprintf(out, "%-10s %9s %6.2f%% %5llu %5llu %10s %10s %9s %5s\n", f[i].name,
                megabits(f[i].goodput, goodput), percent(f[i].retrans, f[i].segs_out),
                (unsigned long long)f[i].rtos, (unsigned long long)f[i].failed,
                f[i].ntimes ? milliseconds(f[i].time_p50, p50) : "-",
                f[i].ntimes ? milliseconds(f[i].time_p99, p99) : "-",
                milliseconds(longest_wait(s), wait), jain(s, &f[i], index));
    }
    if (r->verdict == ESTAB_SIM_BROKEN)
        fprintf(out, "BROKEN at %.6f s: %s: %s\n", (double)r->at / 1e9,
                estab_sim_check_name(r->check), r->text);
}

static json_t *flow_object(const struct estab_sim_flow *f)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:f, s:I, "
        "s:f, s:f, s:f, s:f}",
        "name", f->name, "kind", f->kind, "from", f->from, "to", f->to, "cc", f->cc, "started",
        (json_int_t)f->started, "done", (json_int_t)f->done, "failed", (json_int_t)f->failed,
        "octets", (json_int_t)f->octets, "goodput_bit", f->goodput * 8, "segs_out",
        (json_int_t)f->segs_out, "retrans", (json_int_t)f->retrans, "rtos", (json_int_t)f->rtos,
        "srtt_s", (double)f->srtt / 1e9, "ntimes", (json_int_t)f->ntimes, "time_mean_s",
        (double)f->time_mean / 1e9, "time_p50_s", (double)f->time_p50 / 1e9, "time_p99_s",
        (double)f->time_p99 / 1e9, "time_max_s", (double)f->time_max / 1e9);
}

static json_t *link_object(const struct estab_sim_link *l)
{
    const struct estab_pipe_info *p = &l->pipe;

    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:f, "
        "s:f, s:f}",
        "name", l->name, "offered", (json_int_t)p->offered, "offered_octets",
        (json_int_t)p->offered_octets, "delivered", (json_int_t)p->delivered, "delivered_octets",
        (json_int_t)p->delivered_octets, "full", (json_int_t)p->full, "aqm", (json_int_t)p->aqm,
        "marked", (json_int_t)p->marked, "lost", (json_int_t)p->lost, "outage",
        (json_int_t)p->outage, "corrupted", (json_int_t)p->corrupted, "duplicated",
        (json_int_t)p->duplicated, "reordered", (json_int_t)p->reordered, "late",
        (json_int_t)p->late, "queued_max", (int)p->queued_max, "used", l->used, "wait_p50_s",
        (double)l->wait_p50 / 1e9, "wait_p99_s", (double)l->wait_p99 / 1e9);
}

void sim_show_links_json(const struct estab_sim_link *l, size_t n, FILE *out)
{
    json_t *links = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(links, link_object(&l[i]));
    json_dumpf(links, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', out);
    json_decref(links);
}

static json_t *node_object(const struct estab_sim_node *n)
{
    if (n->router)
        return json_pack("{s:s, s:I, s:I, s:I}", "name", n->name, "forwarded",
                         (json_int_t)n->forwarded, "expired", (json_int_t)n->expired, "unroutable",
                         (json_int_t)n->unroutable);
    return json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", n->name, "mem_peak",
                     (json_int_t)n->mem_peak, "frames_in", (json_int_t)n->stack.frames_in,
                     "frames_out", (json_int_t)n->stack.frames_out, "drops",
                     (json_int_t)n->stack.drops);
}

void sim_show_json(const estab_sim *s, uint64_t seed, FILE *out)
{
    const struct estab_sim_report *r = estab_sim_report(s);
    json_t *flows = json_array(), *links = json_array(), *nodes = json_array(), *o;
    const struct estab_sim_flow *f;
    const struct estab_sim_link *l;
    const struct estab_sim_node *n;
    size_t count;

    f = estab_sim_flows(s, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(flows, flow_object(&f[i]));
    l = estab_sim_links(s, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(links, link_object(&l[i]));
    n = estab_sim_nodes(s, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(nodes, node_object(&n[i]));
    o = json_pack("{s:I, s:b, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:o, s:o, s:o}", "seed",
                  (json_int_t)seed, "held", r->verdict == ESTAB_SIM_HELD, "check",
                  estab_sim_check_name(r->check), "text", r->text, "traffic_s",
                  (double)r->traffic / 1e9, "lasted_s", (double)r->lasted / 1e9, "fairness",
                  r->fairness, "events", (json_int_t)r->events, "frames", (json_int_t)r->frames,
                  "flows", flows, "links", links, "nodes", nodes);
    if (o)
        json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', out);
    json_decref(o);
}

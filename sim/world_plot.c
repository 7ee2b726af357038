/* SPDX-License-Identifier: BSD-2-Clause */
/* world_plot.c - what changes over time: a table for other programs, and a picture.
 *
 * A row of samples is the time, then for each flow the congestion window, the smoothed round-trip
 * time and the octets read since the row before, then for each direction of a link the frames in
 * its queue. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OF_FLOW = 3, CWND = 0, SRTT = 1, GOODPUT = 2, ROWS_MAX = 200000, POINTS_MAX = 1500 };

static size_t row_len(const struct world *w)
{
    return 1 + OF_FLOW * w->nflows + w->nways;
}

static float *new_row(struct world *w)
{
    size_t len = row_len(w), room = w->samples_room ? 2 * w->samples_room : 1024;
    float *more;

    if (w->nsamples == w->samples_room) {
        more = realloc(w->samples, room * len * sizeof *more);
        if (!more) {
            w->out_of_memory = true;
            return NULL;
        }
        w->samples = more;
        w->samples_room = room;
    }
    return w->samples + w->nsamples++ * len;
}

/* Of the oldest connection that lives. */
static void sample_flow(const struct flow *f, float *row)
{
    struct estab_tcp_info i = {.size = sizeof i};
    const struct conn *c = f->conns;
    const struct end *e;

    row[CWND] = row[SRTT] = 0;
    while (c && c->next)
        c = c->next;
    e = !c ? NULL : f->conf.kind == FLOW_REQUEST ? &c->server : &c->client;
    if (!e || !e->sock || estab_tcp_info(e->host->stack, e->sock, &i) < 0)
        return;
    row[CWND] = (float)i.cwnd;
    row[SRTT] = (float)((double)i.srtt / 1e6);
}

static void take_sample(struct world *w, void *owner)
{
    float *row;

    (void)owner;
    if (w->closing || w->nsamples == ROWS_MAX)
        return;
    row = new_row(w);
    if (!row)
        return;
    *row++ = (float)((double)w->now / 1e9);
    for (size_t i = 0; i < w->nflows; i++, row += OF_FLOW) {
        struct flow *f = w->flows[i];

        sample_flow(f, row);
        row[GOODPUT] = (float)((double)(f->octets - f->sampled) * 8e3 / (double)w->sample);
        f->sampled = f->octets;
    }
    for (size_t i = 0; i < w->nways; i++) {
        struct estab_pipe_info n = {.size = sizeof n};

        estab_pipe_info(w->ways[i]->pipe, w->now, &n);
        *row++ = (float)n.queued;
    }
    alarm_set(w, &w->sample_alarm, w->now + w->sample);
}

void plot_open(struct world *w)
{
    alarm_init(w, &w->sample_alarm, take_sample, NULL);
    if (!w->opt.plot_dir)
        return;
    if (!w->sample)
        w->sample = ESTAB_MS(10);
    take_sample(w, NULL);
}

/* ---- the table ---- */

static void write_table(const struct world *w, FILE *f)
{
    size_t len = row_len(w);

    fputs("# s", f);
    for (size_t i = 0; i < w->nflows; i++)
        fprintf(f, "\t%s:cwnd\t%s:srtt_ms\t%s:Mbit/s", w->flows[i]->conf.name,
                w->flows[i]->conf.name, w->flows[i]->conf.name);
    for (size_t i = 0; i < w->nways; i++)
        fprintf(f, "\t%s:queue", w->ways[i]->name);
    fputc('\n', f);
    for (size_t r = 0; r < w->nsamples; r++)
        for (size_t i = 0; i < len; i++)
            fprintf(f, "%.7g%c", (double)w->samples[r * len + i], i + 1 < len ? '\t' : '\n');
}

/* ---- the picture ---- */

enum { WIDTH = 900, PANEL = 170, LEFT = 80, RIGHT = 160, TOP = 30, GAP = 40 };

struct panel {
    const char *title;
    size_t first, step, n; /* columns */
    double scale;
};

static const char *const colours[] = {"#1f77b4", "#d62728", "#2ca02c", "#ff7f0e",
                                      "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"};
enum { NCOLOURS = sizeof colours / sizeof colours[0] };

static double greatest(const struct world *w, const struct panel *p)
{
    size_t len = row_len(w);
    double most = 0;

    for (size_t r = 0; r < w->nsamples; r++)
        for (size_t i = 0; i < p->n; i++)
            if (w->samples[r * len + p->first + i * p->step] * p->scale > most)
                most = w->samples[r * len + p->first + i * p->step] * p->scale;
    return most > 0 ? most : 1;
}

static void write_line(const struct world *w, FILE *f, const struct panel *p, size_t i, double top,
                       double most)
{
    size_t len = row_len(w), every = w->nsamples / POINTS_MAX + 1;
    double end = w->samples[(w->nsamples - 1) * len];

    fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" points=\"", colours[i % NCOLOURS]);
    for (size_t r = 0; r < w->nsamples; r += every)
        fprintf(f, "%.1f,%.1f ",
                LEFT + w->samples[r * len] / (end > 0 ? end : 1) * (WIDTH - LEFT - RIGHT),
                top + PANEL -
                    w->samples[r * len + p->first + i * p->step] * p->scale / most * PANEL);
    fputs("\"/>\n", f);
}

static const char *line_name(const struct world *w, const struct panel *p, size_t i)
{
    return p->step == 1 ? w->ways[i]->name : w->flows[i]->conf.name;
}

static void write_panel(const struct world *w, FILE *f, const struct panel *p, double top)
{
    double most = greatest(w, p), end = w->samples[(w->nsamples - 1) * row_len(w)];

    fprintf(f, "<text x=\"%d\" y=\"%.0f\" font-weight=\"bold\">%s</text>\n", LEFT, top - 6,
            p->title);
    for (int i = 0; i <= 4; i++) {
        double y = top + PANEL - i * PANEL / 4.0, x = LEFT + i * (WIDTH - LEFT - RIGHT) / 4.0;

        fprintf(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT,
                WIDTH - RIGHT, y, y);
        fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT - 6, y + 4,
                most * i / 4);
        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g</text>\n", x,
                top + PANEL + 14, end * i / 4);
    }
    for (size_t i = 0; i < p->n; i++) {
        write_line(w, f, p, i, top, most);
        if (i < 10)
            fprintf(f, "<text x=\"%d\" y=\"%.1f\" fill=\"%s\">%s</text>\n", WIDTH - RIGHT + 8,
                    top + 12 + 15.0 * (double)i, colours[i % NCOLOURS], line_name(w, p, i));
    }
}

static void write_picture(const struct world *w, FILE *f)
{
    const struct panel panels[] = {
        {"congestion window, kB", 1 + CWND, OF_FLOW, w->nflows, 1e-3},
        {"smoothed round-trip time, ms", 1 + SRTT, OF_FLOW, w->nflows, 1},
        {"queue, frames", 1 + OF_FLOW * w->nflows, 1, w->nways, 1},
        {"goodput, Mbit/s", 1 + GOODPUT, OF_FLOW, w->nflows, 1},
    };
    enum { PANELS = sizeof panels / sizeof *panels };

    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"white\"/>\n",
            WIDTH, TOP + PANELS * (PANEL + GAP));
    for (size_t i = 0; i < PANELS; i++)
        write_panel(w, f, &panels[i], TOP + (double)i * (PANEL + GAP));
    fputs("</svg>\n", f);
}

static int write_one(const struct world *w, const char *name,
                     void (*to)(const struct world *w, FILE *f), char *err)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%.400s/%s", w->opt.plot_dir, name);
    f = fopen(path, "we");
    if (!f)
        return world_say(err, "%.200s: %s", path, strerror(errno));
    to(w, f);
    return fclose(f) ? world_say(err, "%.200s: %s", path, strerror(errno)) : 0;
}

int plot_write(struct world *w, char *err)
{
    return write_one(w, "samples.tsv", write_table, err) ||
                   write_one(w, "plot.svg", write_picture, err)
               ? -1
               : 0;
}

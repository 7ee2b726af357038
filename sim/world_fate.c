/* SPDX-License-Identifier: BSD-2-Clause */
/* world_fate.c - what becomes of frames, written down, read back, and made less.
 *
 * A run of one topology with one seed is always the same, so whatever failed fails again; and
 * chance decides about each frame by its number alone, so the run is the same, too, if what chance
 * decided is read from a list.  Then frames can be spared, some at a time, as long as it stays the
 * same failure: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.
 */
#include "world.h"

#include <estab/script.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(const struct estab_fate *f)
{
    return !f->lost && !f->corrupt && !f->duplicate && !f->late && f->extra == 0;
}

static void write_down(void *way, struct estab_fate *f)
{
    struct way *y = way;
    struct world *w = y->world;
    struct fate_line *more;

    if (is_plain(f))
        return;
    more = grow(w->fates.v, w->fates.n, &w->fates.room, sizeof *more);
    if (!more) {
        w->out_of_memory = true;
        return;
    }
    w->fates.v = more;
    w->fates.v[w->fates.n] = (struct fate_line){.way = y->index, .fate = *f};
    if (f->lost) /* then nothing else counts */
        w->fates.v[w->fates.n].fate = (struct estab_fate){.frame = f->frame, .lost = true};
    w->fates.n++;
}

static void replay(void *way, struct estab_fate *f)
{
    struct way *y = way;
    const struct fate_list *l = &y->world->fates;
    uint64_t frame = f->frame;

    *f = (struct estab_fate){.frame = frame};
    while (y->fates_at < y->fates_end && l->v[y->fates_at].fate.frame < frame)
        y->fates_at++;
    if (y->fates_at < y->fates_end && l->v[y->fates_at].fate.frame == frame)
        *f = l->v[y->fates_at].fate;
}

static int by_way_and_frame(const void *a, const void *b)
{
    const struct fate_line *x = a, *y = b;

    if (x->way != y->way)
        return x->way < y->way ? -1 : 1;
    return (x->fate.frame > y->fate.frame) - (x->fate.frame < y->fate.frame);
}

void fates_open(struct world *w)
{
    size_t at = 0;

    if (w->replay_fates && w->fates.n)
        qsort(w->fates.v, w->fates.n, sizeof *w->fates.v, by_way_and_frame);
    for (size_t i = 0; i < w->nways; i++) {
        struct way *y = w->ways[i];

        y->fates_at = at;
        while (w->replay_fates && at < w->fates.n && w->fates.v[at].way == i)
            at++;
        y->fates_end = at;
        if (w->replay_fates)
            estab_pipe_fates(y->pipe, replay, y);
        else if (w->record_fates)
            estab_pipe_fates(y->pipe, write_down, y);
    }
}

void fates_close(struct world *w)
{
    free(w->fates.v);
}

/* ---- as text: "a>b 12 lost", "a>b 13 delay 5ms twice 1ms corrupt 77" ---- */

static void write_fate(FILE *f, const struct world *w, const struct fate_line *l)
{
    const struct estab_fate *t = &l->fate;

    fprintf(f, "%s %" PRIu64, w->ways[l->way]->name, t->frame);
    if (t->lost)
        fputs(" lost", f);
    if (t->corrupt)
        fprintf(f, " corrupt %" PRIu64, t->bit);
    if (t->extra)
        fprintf(f, " delay %" PRIu64 "ns", t->extra);
    if (t->duplicate)
        fprintf(f, " twice %" PRIu64 "ns", t->duplicate_extra);
    if (t->late)
        fprintf(f, " late %" PRIu64 "ns", t->late_extra);
    fputc('\n', f);
}

static struct way *find_way_named(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->nways; i++)
        if (strcmp(w->ways[i]->name, name) == 0)
            return w->ways[i];
    return NULL;
}

/* "5ms", "77". */
static int parse_whole(uint64_t *out, const char *text, enum estab_unit unit)
{
    double v;

    if (!text || estab_quantity_parse(&v, text, unit) || v > 1.8e19)
        return -1;
    *out = (uint64_t)v;
    return 0;
}

/* -1: it is none. */
static int parse_fate(struct world *w, struct fate_line *l, char *line)
{
    char *save = NULL, *word = strtok_r(line, " \t\r\n", &save);
    const struct way *y = word ? find_way_named(w, word) : NULL;
    struct estab_fate *t = &l->fate;
    int bad = 0;

    *l = (struct fate_line){0};
    if (!y)
        return -1;
    l->way = y->index;
    if (parse_whole(&t->frame, strtok_r(NULL, " \t\r\n", &save), ESTAB_UNIT_COUNT))
        return -1;
    while (!bad && (word = strtok_r(NULL, " \t\r\n", &save))) {
        const bool lost = strcmp(word, "lost") == 0;
        const char *value = lost ? NULL : strtok_r(NULL, " \t\r\n", &save);

        if (lost) {
            t->lost = true;
        } else if (strcmp(word, "corrupt") == 0) {
            t->corrupt = true;
            bad = value ? sscanf(value, "%" SCNu64, &t->bit) != 1 : -1;
        } else if (strcmp(word, "delay") == 0) {
            bad = parse_whole(&t->extra, value, ESTAB_UNIT_TIME);
        } else if (strcmp(word, "twice") == 0) {
            t->duplicate = true;
            bad = parse_whole(&t->duplicate_extra, value, ESTAB_UNIT_TIME);
        } else if (strcmp(word, "late") == 0) {
            t->late = true;
            bad = parse_whole(&t->late_extra, value, ESTAB_UNIT_TIME);
        } else {
            bad = -1;
        }
    }
    return bad || is_plain(t) ? -1 : 0;
}

int fates_read(struct world *w, const char *path, char *err)
{
    FILE *f = fopen(path, "re");
    struct fate_line l, *more;
    char line[512], copy[64];
    int number = 0, ret = 0;

    if (!f)
        return world_say(err, "%s: %s", path, strerror(errno));
    while (!ret && fgets(line, sizeof line, f)) {
        number++;
        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " \t\r")] == '\0')
            continue;
        snprintf(copy, sizeof copy, "%.60s", line);
        if (parse_fate(w, &l, line)) {
            ret = world_say(err,
                            "%s:%d: '%s': a fate is written A>B FRAME lost, corrupt BIT, "
                            "delay TIME, twice TIME or late TIME",
                            path, number, copy);
            break;
        }
        more = grow(w->fates.v, w->fates.n, &w->fates.room, sizeof *more);
        if (!more) {
            ret = world_say(err, "%s", strerror(ENOMEM));
            break;
        }
        w->fates.v = more;
        w->fates.v[w->fates.n++] = l;
    }
    fclose(f);
    w->replay_fates = true;
    return ret;
}

/* ---- less ---- */

struct shrinker {
    const char *topology;
    struct estab_sim_options opt;
    enum estab_sim_check check; /* the failure */
    int line;
    unsigned runs, runs_max;
    char *err;
};

/* The world with these fates and no others; NULL and err. */
static struct world *world_of_fates(struct shrinker *s, const struct fate_line *v, size_t n)
{
    struct world *w;
    estab_sim *sim;

    if (estab_sim_new(&sim, s->topology, &s->opt, s->err))
        return NULL;
    w = (struct world *)sim;
    w->fates.v = malloc((n + 1) * sizeof *v);
    if (!w->fates.v) {
        world_say(s->err, "%s", strerror(ENOMEM));
        estab_sim_free(sim);
        return NULL;
    }
    if (n)
        memcpy(w->fates.v, v, n * sizeof *v);
    w->fates.n = w->fates.room = n;
    w->replay_fates = true;
    return w;
}

/* 1: the same failure; 0: not; -1 and err. */
static int try_fates(struct shrinker *s, const struct fate_line *v, size_t n)
{
    struct world *w = world_of_fates(s, v, n);
    const struct estab_sim_report *r;
    int ret = -1;

    if (!w)
        return -1;
    if (estab_sim_run((estab_sim *)w, s->err) == 0) {
        s->runs++;
        r = estab_sim_report((estab_sim *)w);
        ret = r->verdict == ESTAB_SIM_BROKEN && r->check == s->check && r->line == s->line;
    }
    estab_sim_free((estab_sim *)w);
    return ret;
}

/* Leaves out chunks, ever smaller; the list in v gets shorter.  0 or -1. */
static int shrink_list(struct shrinker *s, struct fate_line *v, size_t *n)
{
    struct fate_line *rest = malloc((*n + 1) * sizeof *rest);
    size_t chunk = *n, at = 0, keep, before = *n;
    int same = 0;

    if (!rest)
        return world_say(s->err, "%s", strerror(ENOMEM));
    while (*n > 0 && chunk > 0 && s->runs < s->runs_max) {
        size_t end = at + chunk < *n ? at + chunk : *n;

        if (at > 0)
            memcpy(rest, v, at * sizeof *v);
        if (end < *n)
            memcpy(rest + at, v + end, (*n - end) * sizeof *v);
        keep = *n - (end - at);
        same = try_fates(s, rest, keep);
        if (same < 0)
            break;
        if (same) {
            memcpy(v, rest, keep * sizeof *v);
            *n = keep;
        } else {
            at = end;
        }
        if (at >= *n) { /* until none can be spared alone */
            chunk = chunk > 1 ? (chunk + 1) / 2 : *n < before ? 1 : 0;
            before = *n;
            at = 0;
        }
    }
    free(rest);
    return same < 0 ? -1 : 0;
}

static int write_fates(const struct world *w, const struct shrinker *s, const char *path)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return world_say(s->err, "%s: %s", path, strerror(errno));
    fprintf(f, "# estab sim --fates %s --seed %" PRIu64, path, s->opt.seed);
    if (s->opt.lasts)
        fprintf(f, " --for %" PRIu64 "ns", s->opt.lasts);
    fprintf(f, " %s", s->topology);
    for (size_t i = 0; i < s->opt.ndefines; i++)
        fprintf(f, " %s", s->opt.defines[i]);
    fprintf(f, "\n# %s\n", w->report.text);
    for (size_t i = 0; i < w->fates.n; i++)
        write_fate(f, w, &w->fates.v[i]);
    return fclose(f) ? world_say(s->err, "%s: %s", path, strerror(errno)) : 0;
}

static int write_scripts(const struct world *w, const char *prefix, struct estab_sim_shrunk *out,
                         char *err)
{
    const struct node *host[2];

    if (!w->scripted)
        return 0;
    host[0] = w->scripted->conf.from;
    host[1] = w->scripted->conf.to;
    for (int i = 0; i < 2; i++) {
        struct estab_script_result result;
        FILE *f;

        snprintf(out->scripts[i], sizeof out->scripts[i], "%.200s-%s.pkt", prefix, host[i]->name);
        f = fopen(out->scripts[i], "we");
        if (!f)
            return world_say(err, "%.200s: %s", out->scripts[i], strerror(errno));
        fputs(w->scripts[i].text, f);
        if (fclose(f))
            return world_say(err, "%.200s: %s", out->scripts[i], strerror(errno));
        out->replays[i] = estab_script_run(out->scripts[i], NULL, &result) == ESTAB_SCRIPT_PASSED;
    }
    return 0;
}

/* Once more, with what is left, and everything is written down. */
static int finish(struct shrinker *s, const struct fate_line *v, size_t n, const char *prefix,
                  struct estab_sim_shrunk *out, size_t broken)
{
    struct world *w = world_of_fates(s, v, n);
    int ret = -1;

    if (!w)
        return -1;
    w->scripted = broken < w->nflows ? w->flows[broken] : w->nflows == 1 ? w->flows[0] : NULL;
    if (estab_sim_run((estab_sim *)w, s->err) == 0) {
        snprintf(out->fates, sizeof out->fates, "%.200s.fates", prefix);
        snprintf(out->report, sizeof out->report, "%s", w->report.text);
        ret = write_fates(w, s, out->fates);
        if (!ret)
            ret = write_scripts(w, prefix, out, s->err);
    }
    estab_sim_free((estab_sim *)w);
    return ret;
}

int estab_sim_shrink(const char *topology, const struct estab_sim_options *opt, unsigned runs_max,
                     const char *prefix, struct estab_sim_shrunk *out, char *err)
{
    struct shrinker s = {.topology = topology, .runs_max = runs_max, .err = err};
    size_t n, broken = 0, size = out->size;
    struct fate_line *v;
    struct world *w;
    estab_sim *sim;
    int ret = -1, same;

    memcpy(&s.opt, opt, opt->size < sizeof s.opt ? opt->size : sizeof s.opt);
    s.opt.pcap_dir = s.opt.plot_dir = NULL;
    if (estab_sim_new(&sim, topology, &s.opt, err))
        return -1;
    w = (struct world *)sim;
    w->record_fates = true;
    if (estab_sim_run(sim, err)) {
        estab_sim_free(sim);
        return -1;
    }
    if (w->report.verdict == ESTAB_SIM_HELD) {
        estab_sim_free(sim);
        return world_say(err, "nothing fails");
    }
    s.check = w->report.check;
    s.line = w->report.line;
    while (broken < w->nflows && w->flows[broken] != w->broken)
        broken++;
    s.opt.fates = NULL;
    v = w->fates.v;
    n = w->fates.n;
    w->fates = (struct fate_list){0};
    estab_sim_free(sim);
    *out = (struct estab_sim_shrunk){.size = size, .before = n};
    same = try_fates(&s, v, n);
    if (same == 0)
        world_say(err, "the failure does not come back when the fates are read from a list");
    if (same > 0 && shrink_list(&s, v, &n) == 0)
        ret = finish(&s, v, n, prefix, out, broken);
    out->after = n;
    out->runs = s.runs;
    free(v);
    return ret;
}

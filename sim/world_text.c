/* SPDX-License-Identifier: BSD-2-Clause */
/* world_text.c - the language of the topologies, estab-sim(1): a line, a thing.
 *
 * A line is prepared before it is read: `$NAME` becomes what `let` or the command line say, and a
 * line with `{1..4}` is read four times, with 1 to 4 in place of every such range in it. */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RANGE_MAX = 1000 };

/* ---- short statements ---- */

static int read_span(struct reader *r)
{
    estab_dur *to = strcmp(r->word[0], "for") == 0     ? &r->w->lasts
                    : strcmp(r->word[0], "drain") == 0 ? &r->w->drain
                                                       : &r->w->sample;

    if (r->nwords != 2)
        return text_refuse(r, "%s TIME", r->word[0]);
    if (text_time(r, to, r->word[1]))
        return -1;
    return *to ? 0 : text_refuse(r, "%s must be more than nothing", r->word[0]);
}

static int read_memory(struct reader *r)
{
    double v;

    if (r->nwords != 2)
        return text_refuse(r, "memory OCTETS");
    if (text_quantity(r, &v, r->word[1], ESTAB_UNIT_OCTETS))
        return -1;
    r->w->memory = (size_t)v;
    return 0;
}

static int read_ipv6(struct reader *r)
{
    r->w->ip6 = true;
    return r->nwords == 1 ? 0 : text_refuse(r, "ipv6 stands alone");
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

    if (!text_is_name(name) || strpbrk(name, ".-"))
        return text_refuse(r, "'%.40s' is no name: letters, digits and '_'", name);
    if (find_let(r, name, strlen(name)))
        return 0; /* the command line came first */
    if (r->nlets == LETS_MAX || strlen(value) >= sizeof l->value)
        return text_refuse(r, "too much to remember");
    memcpy(l->name, name, strlen(name) + 1);
    memcpy(l->value, value, strlen(value) + 1);
    r->nlets++;
    return 0;
}

static int read_let(struct reader *r)
{
    return r->nwords == 3 ? add_let(r, r->word[1], r->word[2]) : text_refuse(r, "let NAME VALUE");
}

/* The first value is what it is, and all are what a table is made of. */
static int read_vary(struct reader *r)
{
    struct world *w = r->w;
    struct varied *v = &w->varied[w->nvaried];

    if (r->nwords < 3 || r->nwords > 2 + VALUES_MAX)
        return text_refuse(r, "vary NAME VALUE ..., at most %d", VALUES_MAX);
    if (w->nvaried == VARIED_MAX)
        return text_refuse(r, "more than %d things vary", VARIED_MAX);
    if (add_let(r, r->word[1], r->word[2]))
        return -1;
    snprintf(v->name, sizeof v->name, "%s", r->word[1]);
    for (int i = 2; i < r->nwords; i++) {
        if (strlen(r->word[i]) >= sizeof v->value[0])
            return text_refuse(r, "'%.40s' is too long", r->word[i]);
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
        return text_refuse(r, "checksums yes|no");
    if (text_set(r, &k, r->word[1]))
        return -1;
    r->w->checksums = yes;
    r->w->trusting = !yes;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct reader *r);
} statements[] = {
    {"vary", read_vary},        {"checksums", read_checksums},
    {"let", read_let},          {"host", text_read_node},
    {"router", text_read_node}, {"link", text_read_link},
    {"flow", text_read_flow},   {"at", text_read_at},
    {"route", text_read_route}, {"expect", text_read_expect},
    {"for", read_span},         {"drain", read_span},
    {"sample", read_span},      {"memory", read_memory},
    {"ipv6", read_ipv6},        {"about", read_about},
};

/* ---- lines ---- */

static int put(struct reader *r, char *out, size_t *at, const char *text, size_t len)
{
    if (*at + len >= LINE_MAX_LEN)
        return text_refuse(r, "the line is too long");
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
            return text_refuse(r, "$%.*s is nothing: say `let %.*s VALUE` first", (int)len, line,
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
            return text_refuse(r, "more than %d words", WORDS_MAX);
        r->word[r->nwords++] = w;
    }
    if (r->nwords == 0)
        return 0;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (strcmp(statements[i].name, r->word[0]) == 0)
            return statements[i].read(r);
    return text_refuse(r, "'%.40s' begins no line that means anything", r->word[0]);
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
            return text_refuse(r, "a range is written {1..4}");
        if (high - low + 1 != of)
            return text_refuse(r, "ranges of one line must be equally long");
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
        return text_refuse(r, "a range is written {1..4}");
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
            return text_refuse(r, "%s '%s' has no link that leads away from it",
                               n->router ? "router" : "host", n->name);
        if (!n->router && out > 1)
            return text_refuse(r,
                               "host '%s' has %zu links that lead away from it: put a router there",
                               n->name, out);
    }
    for (size_t i = 0; i < w->nflows; i++) {
        const struct flow_conf *c = &w->flows[i]->conf;

        r->line = c->line;
        if (!w->lasts && !w->opt.lasts &&
            ((c->kind == FLOW_BULK && !c->octets) || (c->kind == FLOW_REQUEST && !c->requests) ||
             c->kind == FLOW_ON_OFF || (c->kind == FLOW_SHORT && !c->conns)))
            return text_refuse(r, "flow '%s' has no end: say `for TIME`, or how much", c->name);
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
        char *copy = w->defines[i], *value = text_cut_pair(copy);

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
            text_refuse(r, "the line is too long");
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* text_words.c - words of a topology: names, quantities, settings. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) int text_refuse(struct reader *r, const char *fmt, ...)
{
    char why[ESTAB_ERRLEN];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    world_say(r->err, "%.60s:%d: %.180s", r->w->topology, r->line, why);
    return -1;
}

int text_no_memory(struct reader *r)
{
    return text_refuse(r, "%s", strerror(ENOMEM));
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

struct flow *world_find_flow(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->nflows; i++)
        if (strcmp(w->flows[i]->conf.name, name) == 0)
            return w->flows[i];
    return NULL;
}

bool text_is_name(const char *s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = strlen(s);

    return len > 0 && len < NAME_MAX_LEN && strspn(s, letters) == len;
}

int text_node(struct reader *r, struct node **out, const char *name)
{
    struct node *n = world_find_node(r->w, name);

    if (!n) {
        text_refuse(r, "there is no node '%.40s'", name);
        return -1;
    }
    *out = n;
    return 0;
}

int text_host(struct reader *r, struct node **out, const char *name)
{
    if (text_node(r, out, name))
        return -1;
    return (*out)->router ? text_refuse(r, "'%.40s' is a router, not a host", name) : 0;
}

/* ---- quantities ---- */

int text_quantity(struct reader *r, double *out, const char *text, enum estab_unit unit)
{
    static const char *const like[] = {[ESTAB_UNIT_COUNT] = "a number",
                                       [ESTAB_UNIT_SHARE] = "a share like 1% or 0.01",
                                       [ESTAB_UNIT_TIME] = "a time like 10ms",
                                       [ESTAB_UNIT_RATE] = "a rate like 10Mbit",
                                       [ESTAB_UNIT_OCTETS] = "octets like 64kB"};

    if (estab_quantity_parse(out, text, unit) == 0)
        return 0;
    return text_refuse(r, "'%.40s' is not %s", text, like[unit]);
}

int text_time(struct reader *r, estab_dur *out, const char *text)
{
    double v;

    if (text_quantity(r, &v, text, ESTAB_UNIT_TIME))
        return -1;
    if (v > 1e18)
        return text_refuse(r, "'%.40s' is too long", text);
    *out = (estab_dur)(v + 0.5);
    return 0;
}

char *text_cut_pair(char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    return value;
}

int text_set(struct reader *r, const struct key *k, const char *value)
{
    double v;

    if (k->kind == KEY_TIME)
        return text_time(r, k->to, value);
    if (k->kind == KEY_FLAG) {
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return text_refuse(r, "%s=%.40s: yes or no", k->name, value);
        *(bool *)k->to = *value == 'y';
        return 0;
    }
    if (text_quantity(r, &v, value,
                      k->kind == KEY_OCTETS || k->kind == KEY_OCTETS32 ? ESTAB_UNIT_OCTETS
                                                                       : ESTAB_UNIT_COUNT))
        return -1;
    if ((k->kind == KEY_OCTETS32 && v > 1e9) || (k->kind == KEY_COUNT8 && v > 255) || v > 1e18)
        return text_refuse(r, "%s=%.40s is too much", k->name, value);
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

int text_set_known(struct reader *r, const struct key *keys, size_t n, const char *key,
                   const char *value)
{
    char known[160] = "";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i].name, key) == 0)
            return text_set(r, &keys[i], value);
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", keys[i].name);
    }
    return text_refuse(r, "no setting '%.30s'; there is%s", key, known);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* fault_text.c - the settings of an impairment: what they may be, and how people write them. */
#include "link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_share(double p)
{
    return p >= 0 && p <= 1; /* false for a NaN, too */
}

int fault_check(const struct estab_fault *f, char *err)
{
    const struct {
        const char *name;
        double p;
    } shares[] = {{"loss", f->loss},
                  {"dup", f->duplicate},
                  {"reorder", f->reorder},
                  {"corrupt", f->corrupt},
                  {"late", f->late},
                  {"ge", f->ge_bad},
                  {"ge", f->ge_good},
                  {"ge", f->ge_loss_bad},
                  {"ge", f->ge_loss_good},
                  {"red_p", f->red_p},
                  {"red_weight", f->red_weight}};

    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (!is_share(shares[i].p))
            return link_say(err, "fault: %s=%g: must be from 0 to 1 (0%% to 100%%)", shares[i].name,
                            shares[i].p);
    if (f->reorder > 0 && f->reorder_by == 0)
        return link_say(err, "fault: reorder without reorder_by: say for how long a frame is held "
                             "back, as in reorder_by=10ms");
    if (f->late > 0 && f->late_by == 0)
        return link_say(err, "fault: late without late_by: say for how long a frame wanders, as in "
                             "late_by=1s");
    if (f->red_max > 0 && f->red_max <= f->red_min)
        return link_say(err, "fault: red_max=%g: must be more than red_min=%g", f->red_max,
                        f->red_min);
    if (f->outage_for > f->outage_every)
        return link_say(err, "fault: outage_for is more than outage_every: there is nothing "
                             "between the outages");
    if (!f->rate && f->queue_time)
        return link_say(err, "fault: a queue of so much time wants a rate");
    return 0;
}

struct unit {
    const char *name;
    double factor;
};
static const struct unit share_units[] = {{"%", 0.01}, {"", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"ns", 1},  {"us", 1e3},   {"ms", 1e6},
                                         {"s", 1e9}, {"min", 6e10}, {NULL, 0}};
static const struct unit rate_units[] = {
    {"bit", 0.125}, {"kbit", 125}, {"Mbit", 125e3}, {"Gbit", 125e6}, {NULL, 0}};
static const struct unit octet_units[] = {
    {"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {NULL, 0}};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

/* "12.5ms": all of text, a number without sign in one of the units.  0 or -1. */
static int parse_quantity(double *out, const char *text, const struct unit *units)
{
    size_t digits = strspn(text, "0123456789.");
    char number[32], *end;

    if (digits == 0 || digits >= sizeof number)
        return -1;
    memcpy(number, text, digits);
    number[digits] = '\0';
    *out = strtod(number, &end);
    if (*end)
        return -1;
    for (; units->name; units++) {
        if (strcmp(text + digits, units->name) == 0) {
            *out *= units->factor;
            return *out < 1.8e19 ? 0 : -1; /* all of them end in 64 bits */
        }
    }
    return -1;
}

int estab_quantity_parse(double *out, const char *text, enum estab_unit unit)
{
    static const struct unit *const units[] = {[ESTAB_UNIT_COUNT] = count_units,
                                               [ESTAB_UNIT_SHARE] = share_units,
                                               [ESTAB_UNIT_TIME] = time_units,
                                               [ESTAB_UNIT_RATE] = rate_units,
                                               [ESTAB_UNIT_OCTETS] = octet_units};

    return parse_quantity(out, text, units[unit]);
}

/* All 64 bits, decimal.  0 or -1. */
static int parse_u64(uint64_t *out, const char *text)
{
    int used = 0;

    if (*text < '0' || *text > '9' || sscanf(text, "%20" SCNu64 "%n", out, &used) != 1)
        return -1;
    return text[used] ? -1 : 0;
}

/* What is in front of a separator, which is cut out; text moves behind it, or becomes NULL. */
static char *cut(char **text, const char *separator)
{
    char *at = *text, *end = strstr(at, separator);

    *text = end ? end + strlen(separator) : NULL;
    if (end)
        *end = '\0';
    return at;
}

/* "1%/25%/100%/0%": chances of turning bad and good, losses while bad and good. */
static int parse_channel(struct estab_fault *f, char *value)
{
    double v[4] = {0, 0, 1, 0};
    int n = 0;

    while (value && n < 4)
        if (parse_quantity(&v[n++], cut(&value, "/"), share_units))
            return -1;
    if (value || n < 2)
        return -1;
    f->ge_bad = v[0];
    f->ge_good = v[1];
    f->ge_loss_bad = v[2];
    f->ge_loss_good = v[3];
    return 0;
}

/* "3+7+9..12" */
static int parse_drops(struct estab_fault *f, char *value)
{
    uint64_t from, to;

    f->ndrops = 0;
    while (value) {
        char *item = cut(&value, "+"), *low = cut(&item, "..");

        if (f->ndrops == ESTAB_FAULT_DROPS || parse_u64(&from, low))
            return -1;
        to = from;
        if ((item && parse_u64(&to, item)) || from == 0 || to < from)
            return -1;
        f->drop[f->ndrops].from = from;
        f->drop[f->ndrops++].to = to;
    }
    return 0;
}

/* Frames, octets or time; what is given last holds. */
static int parse_queue(struct estab_fault *f, const char *value)
{
    double v;

    f->queue = 0;
    f->queue_octets = f->queue_time = 0;
    if (parse_quantity(&v, value, count_units) == 0 && v >= 1 && v <= 1e6)
        f->queue = (uint32_t)v;
    else if (parse_quantity(&v, value, octet_units) == 0 && v >= 1)
        f->queue_octets = (uint64_t)v;
    else if (parse_quantity(&v, value, time_units) == 0 && v >= 1)
        f->queue_time = (estab_dur)v;
    else
        return -1;
    return 0;
}

static int parse_aqm(struct estab_fault *f, const char *value)
{
    static const char *const names[] = {
        [ESTAB_AQM_NONE] = "none", [ESTAB_AQM_CODEL] = "codel", [ESTAB_AQM_RED] = "red"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            f->aqm = (enum estab_aqm)i;
            return 0;
        }
    }
    return -1;
}

static int parse_flag(bool *flag, const char *value)
{
    *flag = strcmp(value, "yes") == 0;
    return *flag || strcmp(value, "no") == 0 ? 0 : -1;
}

/* -2: no such key. */
static int parse_number(struct estab_fault *f, const char *key, const char *value)
{
    const struct {
        const char *key;
        double *real;
        uint64_t *whole;
        const struct unit *units;
    } known[] = {
        {"loss", &f->loss, NULL, share_units},
        {"dup", &f->duplicate, NULL, share_units},
        {"reorder", &f->reorder, NULL, share_units},
        {"corrupt", &f->corrupt, NULL, share_units},
        {"late", &f->late, NULL, share_units},
        {"delay", NULL, &f->delay, time_units},
        {"jitter", NULL, &f->jitter, time_units},
        {"reorder_by", NULL, &f->reorder_by, time_units},
        {"late_by", NULL, &f->late_by, time_units},
        {"rate", NULL, &f->rate, rate_units},
        {"target", NULL, &f->codel_target, time_units},
        {"interval", NULL, &f->codel_interval, time_units},
        {"red_min", &f->red_min, NULL, count_units},
        {"red_max", &f->red_max, NULL, count_units},
        {"red_p", &f->red_p, NULL, share_units},
        {"red_weight", &f->red_weight, NULL, share_units},
        {"per_frame", NULL, &f->per_frame, time_units},
        {"outage_every", NULL, &f->outage_every, time_units},
        {"outage_for", NULL, &f->outage_for, time_units},
    };
    double v;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(key, known[i].key) != 0)
            continue;
        if (parse_quantity(&v, value, known[i].units))
            return -1;
        if (known[i].real)
            *known[i].real = v;
        else
            *known[i].whole = (uint64_t)(v + 0.5);
        return 0;
    }
    return -2;
}

static int parse_setting(struct estab_fault *f, const char *key, char *value)
{
    int ret = parse_number(f, key, value);
    double v;

    if (ret != -2)
        return ret;
    if (strcmp(key, "seed") == 0)
        return parse_u64(&f->seed, value);
    if (strcmp(key, "queue") == 0)
        return parse_queue(f, value);
    if (strcmp(key, "aqm") == 0)
        return parse_aqm(f, value);
    if (strcmp(key, "ecn") == 0)
        return parse_flag(&f->ecn, value);
    if (strcmp(key, "in_order") == 0)
        return parse_flag(&f->in_order, value);
    if (strcmp(key, "ge") == 0)
        return parse_channel(f, value);
    if (strcmp(key, "drop") == 0)
        return parse_drops(f, value);
    if (strcmp(key, "framing") == 0 && parse_quantity(&v, value, count_units) == 0 && v <= 1e4) {
        f->framing = (uint32_t)v;
        return 0;
    }
    return -1;
}

int estab_fault_change(struct estab_fault *f, const char *text, char *err)
{
    struct estab_fault parsed = *f;
    char *copy = strdup(text), *rest = copy, *item, *value;
    char shown[64];

    if (!copy)
        return link_say(err, "fault: out of memory");
    while ((item = strsep(&rest, ","))) {
        if (*item == '\0')
            continue;
        snprintf(shown, sizeof shown, "%s", item);
        value = strchr(item, '=');
        if (value)
            *value++ = '\0';
        if (!value || parse_setting(&parsed, item, value)) {
            free(copy);
            return link_say(err,
                            "fault: \"%s\": there is loss= dup= reorder= corrupt= late= (1%%), "
                            "delay= jitter= reorder_by= late_by= (10ms), rate= (10Mbit), queue= "
                            "seed= (7), and more: man estab-sim",
                            shown);
        }
    }
    free(copy);
    if (fault_check(&parsed, err))
        return -1;
    *f = parsed;
    return 0;
}

int estab_fault_parse(struct estab_fault *f, const char *text, char *err)
{
    struct estab_fault parsed = {.reorder_by = ESTAB_MS(10), .late_by = ESTAB_S(1)};

    if (estab_fault_change(&parsed, text, err))
        return -1;
    *f = parsed;
    return 0;
}

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
                  {"late", f->late}};

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

/* All 64 bits, decimal.  0 or -1. */
static int parse_u64(uint64_t *out, const char *text)
{
    int used = 0;

    if (*text < '0' || *text > '9' || sscanf(text, "%20" SCNu64 "%n", out, &used) != 1)
        return -1;
    return text[used] ? -1 : 0;
}

static int parse_setting(struct estab_fault *f, const char *key, const char *value)
{
    const struct {
        const char *key;
        double *share;
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
    };
    double v;

    if (strcmp(key, "seed") == 0)
        return parse_u64(&f->seed, value);
    if (strcmp(key, "queue") == 0) {
        if (parse_quantity(&v, value, count_units) || v < 1 || v > 1e6)
            return -1;
        f->queue = (uint32_t)v;
        return 0;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(key, known[i].key) != 0)
            continue;
        if (parse_quantity(&v, value, known[i].units))
            return -1;
        if (known[i].share)
            *known[i].share = v;
        else
            *known[i].whole = (uint64_t)(v + 0.5);
        return 0;
    }
    return -1;
}

int estab_fault_parse(struct estab_fault *f, const char *text, char *err)
{
    struct estab_fault parsed = {.reorder_by = ESTAB_MS(10), .late_by = ESTAB_S(1)};
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
                            "seed= (7)",
                            shown);
        }
    }
    free(copy);
    if (fault_check(&parsed, err))
        return -1;
    *f = parsed;
    return 0;
}

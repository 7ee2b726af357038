/* SPDX-License-Identifier: BSD-2-Clause */
/* rule.c - the names of the rules, and where each is written. */
#include "wire/rule.h"

static const struct {
    const char *name, *ref;
} rule_texts[RULE_COUNT] = {
#define RULE_TEXT(id, name, ref) [RULE_##id] = {name, ref},
    RULES(RULE_TEXT)
#undef RULE_TEXT
};

const char *estab_rule_name(unsigned rule)
{
    return rule < RULE_COUNT ? rule_texts[rule].name : NULL;
}

const char *estab_rule_ref(unsigned rule)
{
    return rule < RULE_COUNT ? rule_texts[rule].ref : NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* rules_seen.c - which rules acted in a test program.
 *
 * The linker puts __wrap_estab_stack_free() in the place of estab_stack_free().  Where ESTAB_RULES
 * names a file, the program appends the name of each rule that acted, and how often, when it ends.
 */
#include "lab/rules_seen.h"

#include <stdio.h>
#include <stdlib.h>

void __real_estab_stack_free(estab_stack *s);
void __wrap_estab_stack_free(estab_stack *s);

static uint64_t seen[RULE_COUNT];

static void append(void)
{
    FILE *f = fopen(getenv("ESTAB_RULES"), "a");

    if (!f)
        return;
    for (unsigned i = RULE_NONE + 1; i < RULE_COUNT; i++)
        if (seen[i])
            fprintf(f, "%s %llu\n", estab_rule_name(i), (unsigned long long)seen[i]);
    fclose(f);
}

static bool wanted(void)
{
    static int state;

    if (state == 0)
        state = getenv("ESTAB_RULES") && atexit(append) == 0 ? 1 : -1;
    return state > 0;
}

void rules_seen(const struct rule_book *b)
{
    for (unsigned i = RULE_NONE + 1; wanted() && i < RULE_COUNT; i++)
        seen[i] += b->n[i];
}

void __wrap_estab_stack_free(estab_stack *s)
{
    for (unsigned i = RULE_NONE + 1; s && wanted() && i < RULE_COUNT; i++)
        seen[i] += estab_rule_count(s, i);
    __real_estab_stack_free(s);
}

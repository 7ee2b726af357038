/* SPDX-License-Identifier: BSD-2-Clause */
/* rules_seen.h - which rules acted in a test program: scripts/rules-seen asks all of them. */
#ifndef TEST_LAB_RULES_SEEN_H
#define TEST_LAB_RULES_SEEN_H

#include "wire/rule.h"

/* Adds a rule book that comes to its end; those of stacks are added as they are freed. */
void rules_seen(const struct rule_book *b);

#endif

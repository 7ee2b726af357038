/* SPDX-License-Identifier: BSD-2-Clause */
/* edges.h - which edges of the state diagram a test has taken, and by which class of event. */
#ifndef TEST_LAB_EDGES_H
#define TEST_LAB_EDGES_H

#include <estab/estab.h>

struct edges {
    uint64_t n[ESTAB_TCP_STATES][ESTAB_TCP_STATES][ESTAB_BY_ICMP + 1];
};

/* Counts a record if it is a change of state; false: the diagram has no such edge. */
static inline bool edges_count(struct edges *e, const struct estab_trace *t)
{
    if (t->kind != ESTAB_TR_STATE)
        return true;
    e->n[t->from][t->to][t->cause]++;
    return estab_edge_legal(t->from, t->to);
}

#endif

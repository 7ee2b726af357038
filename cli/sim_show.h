/* SPDX-License-Identifier: BSD-2-Clause */
/* sim_show.h - the results of a simulation, for people and for programs. */
#ifndef CLI_SIM_SHOW_H
#define CLI_SIM_SHOW_H

#include <estab/sim.h>
#include <stdio.h>

void sim_show_links(const struct estab_sim_link *l, size_t n, FILE *out);
void sim_show_links_json(const struct estab_sim_link *l, size_t n, FILE *out);
void sim_show_table(const estab_sim *s, FILE *out);
/* One object on one line. */
void sim_show_json(const estab_sim *s, uint64_t seed, FILE *out);

/* A line for each flow of a run, behind the values that made it what it was; what each run is to be
 * compared by. */
void sim_show_head(const char *const *names, const int *widths, size_t n, FILE *out);
void sim_show_row(const estab_sim *s, const char *const *values, const int *widths, size_t n,
                  FILE *out);

#endif

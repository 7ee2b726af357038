/* SPDX-License-Identifier: BSD-2-Clause */
/* diagram.h - the state diagram, drawn from the library's own table. */
#ifndef CLI_DIAGRAM_H
#define CLI_DIAGRAM_H

#include <estab/estab.h>
#include <stdio.h>

/* Graphviz's language; each edge is labelled with its event and how often it was taken. */
void diagram_dot(FILE *out, uint64_t (*taken)[ESTAB_TCP_STATES]);
/* Writes path: DOT text, or what `dot` makes of it where the name ends in .svg or .png.  0, or -1
 * after an error. */
int diagram_write(const char *command, const char *path, uint64_t (*taken)[ESTAB_TCP_STATES]);

#endif

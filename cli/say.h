/* SPDX-License-Identifier: BSD-2-Clause */
/* say.h - what the program says to people: errors, quantities, and what a terminal can show. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <estab/estab.h>
#include <stdio.h>

/* "estab get: " and the text, one line, on standard error.  Before a subcommand is known, NULL. */
void say_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a wrong command line gets: the error, and where help is.  Returns EXIT_USAGE. */
int say_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes what was printed.  0, or the exit status: it cannot be written, which has been said; or
 * whoever read it has gone, and then it is as with SIGPIPE. */
int say_flush(const char *command);
/* The exit status at a command's end: its own, unless what it printed cannot be written. */
int say_end(const char *command, int status);

bool say_utf8(void);         /* the locale's character set shows arrows */
bool say_colour(FILE *file); /* a terminal, and neither NO_COLOR nor TERM=dumb */

#define SAY_LEN 32                                               /* octets a quantity needs */
char *say_octets(uint64_t n, char buf[SAY_LEN]);                 /* "4.1 MiB" */
char *say_count(uint64_t n, char buf[SAY_LEN]);                  /* "2,904" */
char *say_span(estab_dur d, char buf[SAY_LEN]);                  /* "12.3 ms" */
char *say_rate(uint64_t octets, estab_dur d, char buf[SAY_LEN]); /* "182.4 MB/s" */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* option.h - what the subcommands' command lines have in common. */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <stdbool.h>
#include <stdint.h>

/* getopt_long(3) returned c, which is ':' or '?': says which option has no value, is not known, or
 * takes no value.  EXIT_USAGE. */
int option_wrong(const char *name, int c, char *const argv[]);
/* Decimal digits, and nothing else.  False: it is no number, or not one from least to most. */
bool option_number(uint64_t *out, const char *text, uint64_t least, uint64_t most);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* cli_kit.h - a subcommand in the test's own process, and what it prints. */
#ifndef TEST_UNIT_CLI_KIT_H
#define TEST_UNIT_CLI_KIT_H

#include "link_kit.h"

#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

struct hearing {
    FILE *file;
    int old[2]; /* standard output and standard error */
};

static inline void hear(struct hearing *h)
{
    fflush(NULL);
    h->file = tmpfile();
    for (int i = 0; i < 2; i++) {
        h->old[i] = dup(1 + i);
        assert_true(dup2(fileno(h->file), 1 + i) >= 0);
    }
}

/* What was printed meanwhile, all of which a terminal may have. */
static inline void heard(struct hearing *h, char *said, size_t cap)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        assert_true(dup2(h->old[i], 1 + i) >= 0);
        close(h->old[i]);
    }
    rewind(h->file);
    said[fread(said, 1, cap - 1, h->file)] = '\0';
    fclose(h->file);
    for (const char *c = said; *c; c++)
        if (*c != '\n' && (*c < ' ' || *c > '~'))
            fail_msg("0x%02x goes to the terminal", (uint8_t)*c);
}

/* The exit status; words[0] is the subcommand's name, and the last one is NULL. */
static inline int runs_tool(const struct command *tool, char *words[], char *said, size_t cap)
{
    struct hearing h;
    int argc = 0, status;

    while (words[argc])
        argc++;
    optind = 0; /* getopt begins anew */
    hear(&h);
    status = tool->run(argc, words);
    heard(&h, said, cap);
    return status;
}

#endif

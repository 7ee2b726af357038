/* SPDX-License-Identifier: BSD-2-Clause */
/* option.c - what the subcommands' command lines have in common. */
#include "option.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* In the middle of "-abc" the word has not been passed by yet. */
static bool inside_a_word(char *const argv[])
{
    const char *word = argv[optind];

    return word && word[0] == '-' && word[1] != '-' && optopt > 0 && optopt < 0x80 &&
           strchr(word + 1, optopt);
}

int option_wrong(const char *name, int c, char *const argv[])
{
    const char letter[] = {'-', (char)optopt, '\0'}, *word = argv[optind - 1];

    if (inside_a_word(argv) || word[0] != '-' || word[1] != '-')
        word = letter;
    if (c == ':')
        return say_usage(name, "%s needs a value", word);
    if (word != letter && optopt)
        return say_usage(name, "%.*s takes no value", (int)strcspn(word, "="), word);
    return say_usage(name, "unknown option %s", word);
}

bool option_number(uint64_t *out, const char *text, uint64_t least, uint64_t most)
{
    unsigned long long v;
    char *end;

    errno = 0;
    v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || v < least || v > most)
        return false;
    *out = v;
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c - the program `estab`: a subcommand each. */
#include "command.h"
#include "say.h"

#include <estab/estab.h>

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_demo,    &command_serve,  &command_get,    &command_ss,    &command_why,
    &command_trace,   &command_kill,   &command_script, &command_check, &command_sim,
    &command_channel, &command_impair, &command_doctor, &command_bench};
enum { NCOMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name)
{
    size_t i;

    for (i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static void print_help(FILE *out)
{
    size_t i;

    fputs("usage: estab COMMAND [ARGUMENT ...]\n"
          "       estab help [COMMAND]\n"
          "       estab --version\n"
          "\n"
          "A TCP/IP stack in a program.  Commands:\n",
          out);
    for (i = 0; i < NCOMMANDS; i++)
        fprintf(out, "  %-8s%s\n", commands[i]->name, commands[i]->summary);
    fputs("\nThe manual: man estab, man estab-COMMAND.\n", out);
}

static int help(const char *name)
{
    const struct command *c = name ? find(name) : NULL;

    if (name && !c)
        return say_usage(NULL, "there is no command '%s'", name);
    if (c)
        fputs(c->usage, stdout);
    else
        print_help(stdout);
    return say_end(NULL, EXIT_SUCCESS);
}

static bool asks_help(int argc, char *argv[])
{
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* A descriptor below 3 that is closed would be the next device or socket, and what is printed would
 * go there.  What stands in for it fails as it did. */
static bool fill_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

int main(int argc, char *argv[])
{
    const struct command *c;

    if (!fill_standard()) {
        say_error(NULL, "/dev/null: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("estab %s\n", estab_version());
        return say_end(NULL, EXIT_SUCCESS);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(NULL);
    if (strcmp(argv[1], "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    c = find(argv[1]);
    if (!c)
        return say_usage(NULL, "there is no command '%s'", argv[1]);
    if (asks_help(argc - 1, argv + 1))
        return help(c->name);
    return say_end(c->name, c->run(argc - 1, argv + 1));
}

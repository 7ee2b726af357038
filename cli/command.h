/* SPDX-License-Identifier: BSD-2-Clause */
/* command.h - the subcommands of the program, and the exit statuses they share. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

struct command {
    const char *name;
    const char *summary;                /* one line of `estab --help` */
    const char *usage;                  /* all of `estab help NAME` */
    int (*run)(int argc, char *argv[]); /* argv[0] is the subcommand's name; the exit status */
};

extern const struct command command_demo, command_serve, command_get, command_ss, command_check,
    command_script, command_sim, command_channel, command_impair, command_why, command_kill,
    command_trace, command_doctor, command_bench;

enum {
    EXIT_USAGE = 2,
    EXIT_SIGNAL = 128, /* plus the signal's number, as a shell reports it */
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* child.h - programs that the demo runs beside the stack, and that never outlive it. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid; /* 0: none */
    bool ended;
    int status; /* of waitpid(2), once ended */
};

/* Whether PATH has a program of that name. */
bool child_available(const char *program);
/* Runs argv[0] from PATH with /dev/null as its input and `output` (-1: /dev/null) as its standard
 * output and error, in a process group of its own; the kernel kills it when we die.  0, or -1 and
 * errno. */
int child_start(struct child *c, const char *const argv[], int output);
bool child_ended(struct child *c); /* does not wait */
/* Ends its process group and waits for it; nothing if there is none. */
void child_stop(struct child *c);
/* "exit status 7", "signal 9" */
const char *child_outcome(const struct child *c, char *buf, size_t cap);

/* The SHA-256 of a file as 64 hexadecimal digits, by sha256sum(1) of coreutils.  0, or -1 and a
 * line in err (ESTAB_ERRLEN octets). */
int child_sha256(const char *path, char digest[65], char *err);

#endif

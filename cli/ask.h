/* SPDX-License-Identifier: BSD-2-Clause */
/* ask.h - the other end of a control socket: what ss, why, kill, trace and doctor have in common.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include <estab/host.h>
#include <jansson.h>

struct asked { /* what a stack said */
    const char *path;
    const json_t *stack; /* its first line */
    long pid;
    const char *command; /* "serve" */
};
struct ask {
    const char *name;     /* of the subcommand, for its errors */
    const char *ctl_path; /* NULL: every stack of this user */
    const char *request;  /* without the end of line */
    /* Each line between the first and the last.  False: it is enough. */
    bool (*line)(void *ctx, const struct asked *from, json_t *line);
    void (*end)(void *ctx, const struct asked *from, const json_t *last); /* may be NULL */
    void *ctx;
    estab_dur patience;      /* for a line, and for a place in its queue; 0: 5 s */
    size_t answered, failed; /* stacks; those that were not willing or cut the answer short */
};
/* Asks, and says on standard error what went wrong.  The exit status for it. */
int ask_stacks(struct ask *a);
/* Asks one stack one thing that has one line as its answer; the caller frees it.  NULL: said. */
json_t *ask_one(const char *name, const char *path, const char *request);
/* Opens every stack there is, or the one at ctl_path: calls `each`, who takes fd.  How many. */
size_t ask_open(const char *name, const char *ctl_path,
                void (*each)(void *ctx, const char *path, int fd), void *ctx);

/* Words of the command line as one filter, checked.  False: the error has been said. */
#define ASK_FILTER_LEN 900
bool ask_filter(const char *name, char text[ASK_FILTER_LEN], struct estab_filter *f, int argc,
                char *const argv[]);

#define ASK_PATIENCE ESTAB_S(5)
estab_time ask_now(void);
/* A line of a stack's, which may be anybody's: its strings are fit for a terminal.  NULL: it is no
 * JSON object.  The caller frees it. */
json_t *ask_parse(const char *line, size_t len);
/* Says that the process behind path has said nothing in time. */
void ask_say_silent(const char *name, const char *path, int fd);

uint64_t ask_number(const json_t *o, const char *key);
const char *ask_string(const json_t *o, const char *key); /* "": none */
bool ask_true(const json_t *o, const char *key);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* script.h - packet scripts: tests in packetdrill's language, run against a fresh stack in virtual
 * time.  What the language is and what estab adds stands in estab-script(1). */
#ifndef ESTAB_SCRIPT_H
#define ESTAB_SCRIPT_H

#include <estab/estab.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct estab_script_options { /* append-only, versioned like estab_config */
    size_t size;
    /* "--mtu=1400" and the like, as a script's first lines have them; these come last and win. */
    const char *const *options;
    size_t noptions;
    void (*trace)(void *ctx, const struct estab_trace *t); /* NULL: none */
    void *ctx;
    /* How often each rule acted (estab_rule_count()) is added to rules[0 .. nrules - 1]. */
    uint64_t *rules;
    unsigned nrules;
};

enum estab_script_verdict {
    ESTAB_SCRIPT_PASSED,
    ESTAB_SCRIPT_FAILED,  /* the stack did something else than the script says */
    ESTAB_SCRIPT_REFUSED, /* the script could not be read, or wants what estab has not */
};
struct estab_script_result {
    enum estab_script_verdict verdict;
    int line;         /* where it failed; 0: nowhere in particular */
    estab_dur lasted; /* virtual time */
    unsigned packets_in, packets_out, calls;
    char text[2048]; /* what failed, with file and line: several lines, each ended; "" if passed */
};
/* Runs one script.  borrows path and opt (NULL: none); fills *out. */
enum estab_script_verdict estab_script_run(const char *path, const struct estab_script_options *opt,
                                           struct estab_script_result *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* env.h - the stack's environment as the layers see it: latched time, metered memory, randomness.
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include "base/hint.h"

#include <estab/estab.h>

struct env {
    struct estab_env cb;
    void (*trace)(void *ctx, const struct estab_trace *t); /* cb's, or that of a tap beside it */
    void *trace_ctx;
    estab_time now;    /* latched once per public call, never runs backwards */
    bool raised;       /* estab_output() has raised an event, which nobody has taken yet */
    bool held;         /* something was lent, or has died: to be freed when nobody reads it */
    size_t used, peak; /* octets taken from cb.alloc */
    size_t ceiling;    /* estab_config.mem_max; 0: none */
};

/* How near the ceiling is: what may grow in its last eighth is less than in its last quarter, so
 * that there is always something left for what must go on. */
enum env_pressure { ENV_EASY, ENV_TIGHT, ENV_SCARCE };
static inline enum env_pressure env_pressure(const struct env *e)
{
    size_t left;

    if (LIKELY(e->ceiling == 0))
        return ENV_EASY;
    left = e->used < e->ceiling ? e->ceiling - e->used : 0;
    if (left > e->ceiling / 4)
        return ENV_EASY;
    return left > e->ceiling / 8 ? ENV_TIGHT : ENV_SCARCE;
}

/* NULL when the ceiling would be passed or the caller's allocator refuses.  Not zeroed. */
void *env_alloc(struct env *e, size_t size, size_t align);
void env_free(struct env *e, void *p, size_t size, size_t align); /* NULL is allowed */
static inline void env_random(struct env *e, void *buf, size_t len)
{
    e->cb.random(e->cb.ctx, buf, len);
}

static inline estab_time time_add(estab_time t, estab_dur d)
{
    return d >= ESTAB_NEVER - t ? ESTAB_NEVER : t + d;
}
static inline estab_dur time_since(estab_time then, estab_time now)
{
    return now > then ? now - then : 0;
}
static inline estab_time time_min(estab_time a, estab_time b)
{
    return a < b ? a : b;
}

#endif

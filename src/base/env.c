/* SPDX-License-Identifier: BSD-2-Clause */
/* env.c - metered memory. */
#include "base/env.h"

void *env_alloc(struct env *e, size_t size, size_t align)
{
    void *p;

    if (e->ceiling && (e->used > e->ceiling || size > e->ceiling - e->used))
        return NULL;
    p = e->cb.alloc(e->cb.ctx, size, align);
    if (!p)
        return NULL;
    e->used += size;
    if (e->used > e->peak)
        e->peak = e->used;
    return p;
}

void env_free(struct env *e, void *p, size_t size, size_t align)
{
    if (!p)
        return;
    e->used -= size;
    e->cb.free(e->cb.ctx, p, size, align);
}

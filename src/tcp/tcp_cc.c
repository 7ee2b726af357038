/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cc.c - the congestion-control algorithms by name, and what is none's in particular. */
#include "tcp/tcp_cc.h"
#include <string.h>

static const struct cc_ops *const all[] = {&cc_newreno, &cc_cubic};

const struct cc_ops *cc_find(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(name, all[i]->name) == 0)
            return all[i];
    return NULL;
}

const struct cc_ops *cc_at(uint8_t id)
{
    return all[id];
}

/* [RFC5681-3.1-1] */
uint32_t cc_initial_window(uint32_t segments, uint32_t mss)
{
    uint32_t iw = segments * mss;
    uint32_t most = 2 * mss > 14600 ? 2 * mss : 14600;

    return segments == 10 && iw > most ? most : iw;
}

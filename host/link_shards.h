/* SPDX-License-Identifier: BSD-2-Clause */
/* link_shards.h - several links to one place, each for one of several stacks with one address. */
#ifndef HOST_LINK_SHARDS_H
#define HOST_LINK_SHARDS_H

#include "link.h"

#pragma GCC visibility push(hidden)

/* Lays a steerer over n links: whatever comes by any of them goes to the link of its shard.  takes
 * `under`, also on failure.  0, or -1 and err. */
int link_shards_over(estab_link **out, estab_link **under, uint16_t n, char *err);

#pragma GCC visibility pop
#endif

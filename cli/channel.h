/* SPDX-License-Identifier: BSD-2-Clause */
/* channel.h - what the parts of `estab channel` share. */
#ifndef CLI_CHANNEL_H
#define CLI_CHANNEL_H

#include <estab/channel.h>

/* `estab channel cost`: argv[0] is "cost". */
int channel_cost(int argc, char *argv[]);

#endif

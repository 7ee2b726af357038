/* SPDX-License-Identifier: BSD-2-Clause */
/* netns.h - network namespaces with names, as ip-netns(8) knows them. */
#ifndef CLI_NETNS_H
#define CLI_NETNS_H

#include <estab/host.h>

/* A namespace `name` with loopback up and a TUN device `dev`, whose kernel's end has the address,
 * is up, and is where packets to anywhere else go; the kernel forwards between its devices.  The
 * link is the device's other end.  This process stays where it is.  0, or -1 and a line in err
 * (ESTAB_ERRLEN octets); then nothing is left behind. */
int netns_make(const char *name, const char *dev, const uint8_t ip[16], uint8_t prefix_len,
               uint32_t mtu, estab_link **link, char *err);
/* Takes the name away: the namespace ends with the last process in it. */
void netns_remove(const char *name);

#endif

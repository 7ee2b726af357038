/* SPDX-License-Identifier: BSD-2-Clause */
/* link_device.h - an Ethernet device of the kernel's, for links that are a station beside it. */
#ifndef HOST_LINK_DEVICE_H
#define HOST_LINK_DEVICE_H

#include <net/if.h>

#include "link.h"

#pragma GCC visibility push(hidden)

struct link_device {
    int fd, index; /* fd: a packet socket that receives nothing yet; -1: not open */
    uint32_t mtu;
    char name[IFNAMSIZ];
};
/* Each: 0, or -1 and err, which begins with the link's name. */
int link_device_open(struct link_device *d, const char *name, const estab_link *l, char *err);
/* The link's MTU is `want`, or the device's where that is 0. */
int link_device_mtu(const struct link_device *d, uint32_t want, estab_link *l, char *err);
/* The link is a station of its own, with this MAC or a random one, and the device lets its frames
 * in as long as fd is open. */
int link_device_station(const struct link_device *d, const uint8_t *mac, estab_link *l, char *err);
int link_device_say(const estab_link *l, const char *doing, char *err); /* and errno */

uint32_t link_device_queues(const struct link_device *d); /* by which frames arrive; at least 1 */
bool link_device_there(const struct link_device *d);
int link_device_say_gone(estab_link *l); /* -1 */
void link_device_close(struct link_device *d);

/* Whether the checksum of the TCP segment or UDP datagram in this Ethernet frame is still to be
 * made: it is the sum of the pseudo-header alone, as a station of the same machine leaves it to a
 * card that is not there.  Of damaged frames another one in 65,536 is let through by this. */
bool link_open_csum(const uint8_t *frame, size_t len);

#pragma GCC visibility pop
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* xdp_prog.h - the program at a device that says which frames are the stack's. */
#ifndef HOST_XDP_PROG_H
#define HOST_XDP_PROG_H

#include "link.h"

#pragma GCC visibility push(hidden)

struct xdp_prog {
    int map, attached; /* descriptors; closing the last `attached` takes the program off
                          the device */
};
/* Attaches to the device: in its driver where that can, else in front of the kernel's stack.  0, or
 * a negative errno, and *doing says of what. */
int xdp_prog_attach(struct xdp_prog *g, int index, uint32_t queues, const uint8_t mac[6],
                    const char **doing);
/* From now on what comes by that queue of the device goes to that socket.  0, or a negative errno.
 */
int xdp_prog_steer(const struct xdp_prog *g, uint32_t queue, int fd);
/* The program of another link to the same device; it leaves the device with the last of them.  0,
 * or a negative errno. */
int xdp_prog_share(struct xdp_prog *g, const struct xdp_prog *with);
void xdp_prog_detach(struct xdp_prog *g);

#pragma GCC visibility pop
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* vnet.h - the virtio-net header in front of a frame, as TUN, TAP and AF_PACKET have it. */
#ifndef HOST_VNET_H
#define HOST_VNET_H

#include "link.h"

#pragma GCC visibility push(hidden)

/* struct virtio_net_hdr, without num_buffers, in the machine's order of octets. */
enum { VNET_HDR_LEN = 10 };

void vnet_emit(uint8_t out[VNET_HDR_LEN], const struct estab_offload *off);
/* What the header says of a frame of `len` octets that begins at `frame`.  False: what it says
 * cannot be, or is not for us (UDP's super-segments, which nobody asked for). */
bool vnet_parse(struct estab_offload *off, const uint8_t in[VNET_HDR_LEN], enum estab_medium medium,
                const uint8_t *frame, size_t len);

#pragma GCC visibility pop
#endif

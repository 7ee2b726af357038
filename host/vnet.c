/* SPDX-License-Identifier: BSD-2-Clause */
/* vnet.c - the virtio-net header (Virtual I/O Device 1.2, section 5.1.6): what is left to do on a
 * frame, or what has been done.
 *
 * What it claims is used for two things: checksums that need not be verified, which whoever wrote
 * the frame could as well have made right, and how many segments an ACK is for.  So a lie costs
 * nobody but its sender anything, as long as lengths agree: those are looked at here. */
#include "vnet.h"

#include <linux/virtio_net.h>
#include <string.h>

enum { ETHERNET_HDR = 14, ETHERNET_TAG = 4, IP4_LEAST = 20, IP6_LEAST = 40 };

void vnet_emit(uint8_t out[VNET_HDR_LEN], const struct estab_offload *off)
{
    const struct virtio_net_hdr h = {.flags = off->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                     .gso_type = off->gso_type,
                                     .hdr_len = off->hdr_len,
                                     .gso_size = off->gso_size,
                                     .csum_start = off->csum_start,
                                     .csum_offset = off->csum_offset};

    _Static_assert(sizeof h == VNET_HDR_LEN, "the header without num_buffers");
    memcpy(out, &h, sizeof h);
}

/* Where the IP header begins, and its version; 0: there is none. */
static unsigned ip_version(enum estab_medium medium, const uint8_t *frame, size_t len, size_t *at)
{
    *at = 0;
    if (medium == ESTAB_MEDIUM_ETHERNET) {
        *at = ETHERNET_HDR;
        if (len > *at && frame[12] == 0x81 && frame[13] == 0x00)
            *at += ETHERNET_TAG;
    }
    return len > *at ? frame[*at] >> 4 : 0;
}

static bool gso_fits(const struct virtio_net_hdr *h, uint8_t type, unsigned version, size_t at,
                     size_t len)
{
    switch (type) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return version == 4 && h->gso_size > 0 && len > at + IP4_LEAST;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return version == 6 && h->gso_size > 0 && len > at + IP6_LEAST;
    default:
        return false;
    }
}

bool vnet_parse(struct estab_offload *off, const uint8_t in[VNET_HDR_LEN], enum estab_medium medium,
                const uint8_t *frame, size_t len)
{
    struct virtio_net_hdr h;
    size_t at;
    unsigned version;
    uint8_t type;

    memcpy(&h, in, sizeof h);
    type = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    version = ip_version(medium, frame, len, &at);
    if (!gso_fits(&h, type, version, at, len))
        return false;
    *off = (struct estab_offload){
        .flags = h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)};
    if (type != VIRTIO_NET_HDR_GSO_NONE) {
        off->gso_type = type;
        off->gso_size = h.gso_size;
        off->hdr_len = h.hdr_len;
    }
    if (off->flags & ESTAB_OFF_NEEDS_CSUM) {
        if (h.csum_start < at || (size_t)h.csum_start + h.csum_offset + 2 > len)
            return false;
        off->csum_start = h.csum_start;
        off->csum_offset = h.csum_offset;
    }
    return true;
}

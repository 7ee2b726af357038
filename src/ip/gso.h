/* SPDX-License-Identifier: BSD-2-Clause */
/* gso.h - cut a TCP super-segment into the frames that a port can take. */
#ifndef IP_GSO_H
#define IP_GSO_H

#include "ip/ip.h"

#define GSO_HDR_BUF 136 /* link, IP and TCP headers of one frame: 14 + 60 + 60 at most */
struct gso_hdr {
    uint8_t b[GSO_HDR_BUF];
};

/* Sums of the text of the first n frames: that of frame i is v[(first + i) & mask]. */
struct gso_sums {
    const uint16_t *v;
    uint32_t first, n, mask;
};

/* super: headers in iov[0], contiguous, the text behind them; off.gso_size octets of text a frame;
 * off.hdr_len the length of the headers, off.csum_start where TCP's begins.  The super-segment's
 * own checksum field holds nothing yet. Fills n frames, n = ceil(text / gso_size), each with
 * headers of its own in hdrs[0..n); hdrs may begin with super's own.  sums: what is known of them.
 * CWR stays on the first (RFC 3168 section 6.1.2), PSH and FIN on the last. */
void gso_split(const struct ip_layer *l, uint8_t port, const struct estab_frame *super,
               struct estab_frame *f, struct gso_hdr *hdrs, uint32_t n,
               const struct gso_sums *sums);

#endif

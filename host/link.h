/* SPDX-License-Identifier: BSD-2-Clause */
/* link.h - what the links share with each other, and nobody else sees. */
#ifndef HOST_LINK_H
#define HOST_LINK_H

#include <estab/host.h>

#pragma GCC visibility push(hidden)

enum {
    LINK_BATCH = 32,         /* frames a link takes or lends in one call, where it has a limit */
    LINK_ETHERNET_ROOM = 18, /* a header and one IEEE 802.1Q tag in front of the IP packet */
};

/* Writes one line into err (ESTAB_ERRLEN octets, or NULL); returns -1. */
__attribute__((format(printf, 2, 3))) int link_say(char *err, const char *fmt, ...);

/* Octets of the largest frame that a link of these capabilities carries. */
size_t link_frame_max(const struct estab_port_caps *caps);

void link_count_in(estab_link *l, size_t len);
void link_count_out(estab_link *l, size_t len);

/* A loop looks for frames before it sleeps, as long as that pays. */
void link_look_sparingly(estab_link *l);

/* A decorator begins with the capabilities and the name of what it is laid over. */
void link_decorate(estab_link *l, const struct estab_link_ops *ops, const estab_link *under);
/* Hands the reason why `under` is gone up; returns -1. */
int link_gone(estab_link *l, const estab_link *under);

/* From now on every frame that leaves is one of the wire, with its checksums: for decorators that
 * look at frames one by one. */
void link_whole_frames(estab_link *l);
/* Puts the checksum that ESTAB_OFF_NEEDS_CSUM leaves open into a frame that lies in one piece. */
void link_complete_csum(uint8_t *frame, size_t len, const struct estab_offload *off);

/* From now on this AF_PACKET link shares what comes with all of its group; *group 0: a new one. */
int link_packet_share(estab_link *l, uint16_t *group, char *err);

/* n links to an AF_XDP device of n queues, one to each, with one MAC; how->queue is not asked. */
int link_xdp_queues(estab_link **out, uint16_t n, const struct estab_xdp *how, char *err);

/* 0, or -1 and err: which setting is impossible. */
int fault_check(const struct estab_fault *f, char *err);

#pragma GCC visibility pop
#endif

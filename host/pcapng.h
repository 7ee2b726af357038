/* SPDX-License-Identifier: BSD-2-Clause */
/* pcapng.h - the recorder as the links that feed it see it. */
#ifndef HOST_PCAPNG_H
#define HOST_PCAPNG_H

#include <estab/host.h>

#pragma GCC visibility push(hidden)

/* One more interface of the file; its number. */
uint32_t pcapng_interface(estab_pcap *p, const char *name, const struct estab_port_caps *caps);
/* A frame passes: copies it.  note (or NULL) becomes one of its comments. */
void pcapng_frame(estab_pcap *p, uint32_t interface, bool inbound, enum estab_medium medium,
                  estab_time at, const struct estab_frame *f, const char *note);
/* What the last received frame caused has happened. */
void pcapng_settle(estab_pcap *p);
/* Why the file is incomplete, or an empty string. */
const char *pcapng_error(const estab_pcap *p);

/* The link closes its recorder when it is closed. */
void pcapng_link_own(estab_link *l);

#pragma GCC visibility pop
#endif

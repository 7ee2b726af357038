/* SPDX-License-Identifier: BSD-2-Clause */
/* recorder.h - the recorder as the links that feed it see it. */
#ifndef HOST_RECORDER_H
#define HOST_RECORDER_H

#include <estab/host.h>

#pragma GCC visibility push(hidden)

/* The number under which a link's frames are recorded. */
uint32_t recorder_add(estab_pcap *p, const estab_link *l);
/* A frame passes: copies it.  note (or NULL) becomes one of its comments. */
void recorder_frame(estab_pcap *p, uint32_t number, const estab_link *l, bool inbound,
                    estab_time at, const struct estab_frame *f, const char *note);
/* What the last received frame caused has happened. */
void recorder_settle(estab_pcap *p);
/* Why the file is incomplete, or an empty string. */
const char *recorder_error(const estab_pcap *p);

/* The link closes its recorder when it is closed. */
void recorder_link_own(estab_link *l);

#pragma GCC visibility pop
#endif

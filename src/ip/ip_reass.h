/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_reass.h - fragments that wait for the rest of their datagram: what there may be of them. */
#ifndef IP_IP_REASS_H
#define IP_IP_REASS_H

#include "base/hash.h"
#include "base/slots.h"

struct ip_reass_settings {    /* of estab_config */
    uint32_t max, source_max; /* octets kept: of everybody's fragments, of one source's */
    uint32_t datagrams, source_datagrams;
    estab_dur timeout;
};
#define IP_REASS_DEFAULTS                                                                          \
    {                                                                                              \
        .max = 1u << 20, .source_max = 256u << 10, .datagrams = 256, .source_datagrams = 32,       \
        .timeout = ESTAB_S(60), /* RFC 1122 section 3.3.2, RFC 8200 section 4.5 */                 \
    }

struct reass_whole; /* a datagram that was put together, ip_reass.c */

struct ip_reass {
    struct ip_reass_settings set;
    struct slab datagrams, sources;
    struct hash by_key, by_source; /* to their slots */
    struct hash_key secret;
    struct slot_list by_age; /* all datagrams, oldest first: in order of their deadlines */
    size_t octets;           /* kept, with what it takes to keep them */
    struct reass_whole *lent;
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_pmtu.h - what is known of the MTUs of paths, by destination: RFC 1191, RFC 8201, RFC 4821. */
#ifndef IP_IP_PMTU_H
#define IP_IP_PMTU_H

#include "base/hash.h"
#include "base/slots.h"

struct ip_pmtu_settings { /* of estab_config */
    uint32_t max;         /* destinations remembered */
    estab_dur age;        /* RFC 8201 section 4: at least 5 minutes */
    uint16_t least4, least6;
};
#define IP_PMTU_DEFAULTS                                                                           \
    {                                                                                              \
        .max = 1024, .age = ESTAB_S(600), .least4 = 552, .least6 = 1280                            \
    }

struct ip_pmtu { /* what is known of a path that does not take all that its first link does */
    uint8_t dst[16];
    uint8_t scope; /* of a link-local destination: its port + 1 */
    uint32_t tag;
    uint32_t mtu;     /* packets of this size arrive */
    uint32_t high;    /* larger ones than this do not, as far as is known */
    estab_time until; /* then it is forgotten */
    struct link age;
};
struct ip_pmtu_table {
    struct slab slab;
    struct hash index;
    struct slot_list by_age; /* learned longest ago first */
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* gate.h - a link that loses those TCP segments that the test wants lost. */
#ifndef INTEROP_KERNEL_GATE_H
#define INTEROP_KERNEL_GATE_H

#include <estab/host.h>

struct gate {
    estab_link link;
    estab_link *under;
    /* TCP segments: how many there were, lost ones too, from 1; which one is lost; and one in how
     * many (1: all, 0: none). */
    uint32_t segments_in, segments_out;
    uint32_t drop_in, drop_out;
    uint32_t one_in, one_out;
};

struct gate *gate_over(estab_link *under); /* takes it; NULL: no memory */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* lwipopts.h - lwIP on a TUN device: windows that fill the links of bench/impair, SACK blocks sent
 * (lwIP does not read them), timers as they are by default. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#include "../bare.h"

#define TCP_RCV_SCALE     6
#define TCP_WND           (1024 * 1024)
#define TCP_SND_BUF       (1024 * 1024)
#define LWIP_TCP_SACK_OUT 1

#define MEM_SIZE         (64 * 1024 * 1024)
#define MEMP_NUM_TCP_SEG 20000
#define MEMP_NUM_PBUF    20000
#define PBUF_POOL_SIZE   4096

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* lwipopts.h - lwIP's best configuration found for an in-memory link: its settings, not ours.
 *
 * LWIP_BENCH_WND comes from the build: one shared object for each window. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#include "bare.h"

#define LWIP_NOASSERT         1
#define LWIP_CHKSUM_ALGORITHM 2 /* 3: a third of it, the compiler cannot vectorise it */

#define IP_REASSEMBLY 0
#define IP_FRAG       0
#define IP_FORWARD    0

#define CHECKSUM_GEN_IP       1
#define CHECKSUM_GEN_TCP      1
#define CHECKSUM_CHECK_IP     1
#define CHECKSUM_CHECK_TCP    1
#define LWIP_CHECKSUM_ON_COPY 1 /* 58 Gbit/s against 54 */

#define TCP_RCV_SCALE       8
#define TCP_WND             LWIP_BENCH_WND
#define TCP_SND_BUF         LWIP_BENCH_WND
#define TCP_OVERSIZE        TCP_MSS
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_SACK_OUT   0
/* Text comes in by reference and not in pool buffers, which the sanity check would count. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

#define LWIP_SUPPORT_CUSTOM_PBUF 1

#define MEM_LIBC_MALLOC         0 /* 1: 35 Gbit/s against 41 */
#define MEM_USE_POOLS           0
#define MEM_SIZE                (256 * 1024 * 1024)
#define MEMP_NUM_TCP_PCB        12000
#define MEMP_NUM_TCP_PCB_LISTEN 16
#define MEMP_NUM_TCP_SEG        60000
#define MEMP_NUM_PBUF           60000
#define PBUF_POOL_SIZE          64

/* tcp_tmr() is driven by the benchmark's own clock. */
#define LWIP_TIMERS        1
#define LWIP_TIMERS_CUSTOM 0

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* lwipopts.h - lwIP on a TUN device: windows that fill the links of bench/impair, SACK blocks sent
 * (lwIP does not read them), timers as they are by default. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET          0
#define LWIP_NETCONN         0
#define LWIP_NETIF_API       0
#define LWIP_STATS           0
#define MEM_ALIGNMENT        16

#define LWIP_IPV4         1
#define LWIP_IPV6         0
#define LWIP_ARP          0
#define LWIP_ETHERNET     0
#define LWIP_SINGLE_NETIF 1
#define LWIP_ICMP         1
#define LWIP_UDP          0
#define LWIP_RAW          0
#define LWIP_DHCP         0
#define LWIP_AUTOIP       0
#define LWIP_DNS          0
#define LWIP_IGMP         0

#define LWIP_TCP           1
#define TCP_MSS            1460
#define LWIP_WND_SCALE     1
#define TCP_RCV_SCALE      6
#define TCP_WND            (1024 * 1024)
#define TCP_SND_BUF        (1024 * 1024)
#define TCP_SND_QUEUELEN   (4 * (TCP_SND_BUF / TCP_MSS))
#define TCP_SNDLOWAT       (16 * TCP_MSS)
#define TCP_QUEUE_OOSEQ    1
#define LWIP_TCP_SACK_OUT  1
#define TCP_LISTEN_BACKLOG 0

#define MEM_SIZE         (64 * 1024 * 1024)
#define MEMP_NUM_TCP_SEG 20000
#define MEMP_NUM_PBUF    20000
#define PBUF_POOL_SIZE   4096

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* bare.h - what both builds of lwIP want of it: TCP over IPv4 on one bare device, no operating
 * system, segments of 1460 octets. */
#ifndef LWIP_BARE_H
#define LWIP_BARE_H

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
#define TCP_SND_QUEUELEN   (4 * (TCP_SND_BUF / TCP_MSS))
#define TCP_SNDLOWAT       (16 * TCP_MSS)
#define TCP_QUEUE_OOSEQ    1
#define TCP_LISTEN_BACKLOG 0

#endif

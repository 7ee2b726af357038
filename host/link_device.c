/* SPDX-License-Identifier: BSD-2-Clause */
/* link_device.c - an Ethernet device of the kernel's, for links that are a station beside it.
 *
 * The kernel must not answer for us: it takes what is for its own MACs, ours is another, and the
 * device is promiscuous while we are there, which ends with the socket.  Addresses of the stack are
 * not to be configured on this machine. */
#include "link_device.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

int link_device_say(const estab_link *l, const char *doing, char *err)
{
    return link_say(err, "%s: %s: %s%s", l->name, doing, strerror(errno),
                    errno == EPERM ? ": needs CAP_NET_RAW; run as root" : "");
}

/* What the device is, and that it will do. */
static int ask_device(struct link_device *d, const estab_link *l, char *err)
{
    struct ifreq ifr = {0};

    memcpy(ifr.ifr_name, d->name, IFNAMSIZ);
    if (ioctl(d->fd, SIOCGIFINDEX, &ifr))
        return link_device_say(l, "finding the device", err);
    d->index = ifr.ifr_ifindex;
    if (ioctl(d->fd, SIOCGIFHWADDR, &ifr))
        return link_device_say(l, "asking for its kind", err);
    if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return link_say(err,
                        "%s: is no Ethernet device (its kind is %u); name one end of a veth "
                        "pair, or a network card",
                        l->name, ifr.ifr_hwaddr.sa_family);
    if (ioctl(d->fd, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP))
        return link_say(err, "%s: is down; set it up with `ip link set %s up`", l->name, d->name);
    if (ioctl(d->fd, SIOCGIFMTU, &ifr))
        return link_device_say(l, "asking for its MTU", err);
    d->mtu = (uint32_t)ifr.ifr_mtu;
    return 0;
}

int link_device_open(struct link_device *d, const char *name, const estab_link *l, char *err)
{
    *d = (struct link_device){.fd = -1};
    if (!*name || strlen(name) >= IFNAMSIZ)
        return link_say(err, "%s: the name of a device has 1 to %d characters", l->name,
                        IFNAMSIZ - 1);
    memcpy(d->name, name, strlen(name));
    d->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* 0: nothing yet */
    if (d->fd < 0)
        return link_device_say(l, "a packet socket", err);
    return ask_device(d, l, err);
}

int link_device_mtu(const struct link_device *d, uint32_t want, estab_link *l, char *err)
{
    l->caps.mtu = want ? want : d->mtu;
    if (l->caps.mtu > UINT16_MAX)
        l->caps.mtu = UINT16_MAX;
    if (want <= d->mtu)
        return 0;
    return link_say(err,
                    "%s: mtu=%u is more than the device's %u; raise that with `ip link set %s mtu "
                    "%u`, or leave mtu= out",
                    l->name, (unsigned)want, (unsigned)d->mtu, d->name, (unsigned)want);
}

int link_device_station(const struct link_device *d, const uint8_t *mac, estab_link *l, char *err)
{
    struct packet_mreq m = {.mr_ifindex = d->index, .mr_type = PACKET_MR_PROMISC};

    if (setsockopt(d->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m))
        return link_device_say(l, "receiving what is for other stations", err);
    if (mac) {
        memcpy(l->caps.mac, mac, 6);
        return 0;
    }
    if (getrandom(l->caps.mac, 6, 0) != 6)
        return link_device_say(l, "no randomness for a MAC", err);
    /* IEEE 802: locally administered (bit 1 of the first octet), no group. */
    l->caps.mac[0] = (uint8_t)((l->caps.mac[0] & 0xfc) | 0x02);
    return 0;
}

uint32_t link_device_queues(const struct link_device *d)
{
    struct ethtool_channels ask = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq ifr = {.ifr_data = (void *)&ask};
    uint32_t n;

    memcpy(ifr.ifr_name, d->name, IFNAMSIZ);
    if (ioctl(d->fd, SIOCETHTOOL, &ifr))
        return 1;
    n = ask.rx_count + ask.combined_count;
    return n ? n : 1;
}

bool link_device_there(const struct link_device *d)
{
    struct ifreq ifr = {.ifr_ifindex = d->index};

    return ioctl(d->fd, SIOCGIFNAME, &ifr) == 0;
}

int link_device_say_gone(estab_link *l)
{
    return link_say(l->error, "%s: the device is gone: it was deleted, or moved elsewhere",
                    l->name);
}

void link_device_close(struct link_device *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

enum { ETHERNET_HDR = 14, IP4_LEAST = 20, IP6_HDR = 40 };

/* Of octets that begin at an even place. */
static uint32_t add_up(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    return sum;
}

bool link_open_csum(const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + ETHERNET_HDR, *field;
    size_t hdr, total, at;
    uint32_t sum;
    uint8_t proto;

    if (len < ETHERNET_HDR + IP4_LEAST)
        return false;
    len -= ETHERNET_HDR;
    if (frame[12] == 0x08 && frame[13] == 0x00 && ip[0] >> 4 == 4) {
        hdr = (size_t)(ip[0] & 15) * 4;
        total = (size_t)ip[2] << 8 | ip[3];
        proto = ip[9];
        sum = add_up(0, ip + 12, 8);
        if (hdr < IP4_LEAST || (ip[6] & 0x3f) || ip[7]) /* a fragment's is a whole checksum */
            return false;
    } else if (frame[12] == 0x86 && frame[13] == 0xdd && len >= IP6_HDR && ip[0] >> 4 == 6) {
        hdr = IP6_HDR;
        total = hdr + ((size_t)ip[4] << 8 | ip[5]);
        proto = ip[6];
        sum = add_up(0, ip + 8, 32);
    } else {
        return false;
    }
    if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
        return false;
    at = hdr + (proto == IPPROTO_TCP ? 16 : 6);
    if (total > len || total < at + 2)
        return false;
    sum += proto + (uint32_t)(total - hdr);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    field = ip + at;
    return sum == ((uint32_t)field[0] << 8 | field[1]);
}

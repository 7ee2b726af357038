/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_end.c - the kernel's end of a TUN or TAP device: its address, up.
 *
 * By ioctl (netdevice(7)), so that neither ip(8) nor netlink is needed. */
#include "kernel_end.h"

#include <estab/host.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* struct in6_ifreq of <linux/ipv6.h>, which does not go together with <netinet/in.h>. */
struct ip6_ifreq {
    struct in6_addr addr;
    uint32_t prefix_len;
    int index;
};

static int failed(const char *what, const char *dev, char *err)
{
    snprintf(err, ESTAB_ERRLEN, "cannot %s %s: %s%s", what, dev, strerror(errno),
             errno == EPERM || errno == EACCES ? " (needs root or CAP_NET_ADMIN)" : "");
    return -1;
}

static int add_ip4(int fd, const char *dev, const uint8_t ip[16], unsigned bits)
{
    struct ifreq req = {0};
    struct sockaddr_in sin = {.sin_family = AF_INET};

    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", dev);
    memcpy(&sin.sin_addr, ip + 12, 4);
    memcpy(&req.ifr_addr, &sin, sizeof sin);
    if (ioctl(fd, SIOCSIFADDR, &req) < 0)
        return -1;
    sin.sin_addr.s_addr = htonl(bits == 0 ? 0 : UINT32_MAX << (32 - bits));
    memcpy(&req.ifr_netmask, &sin, sizeof sin);
    return ioctl(fd, SIOCSIFNETMASK, &req);
}

static int add_ip6(int fd, const char *dev, const uint8_t ip[16], unsigned bits)
{
    struct ip6_ifreq req = {.prefix_len = bits, .index = (int)if_nametoindex(dev)};

    if (req.index == 0)
        return -1;
    memcpy(&req.addr, ip, 16);
    if (ioctl(fd, SIOCSIFADDR, &req) < 0 && errno != EEXIST)
        return -1;
    return 0;
}

int kernel_end_addr(const char *dev, const uint8_t ip[16], uint8_t prefix_len, char *err)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool ip4 = memcmp(ip, mapped, sizeof mapped) == 0 && prefix_len >= 96;
    int fd = socket(ip4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return failed("open a socket to give an address to", dev, err);
    rc = ip4 ? add_ip4(fd, dev, ip, prefix_len - 96u) : add_ip6(fd, dev, ip, prefix_len);
    if (rc < 0)
        rc = failed("give an address to the kernel's end of", dev, err);
    close(fd);
    return rc;
}

int kernel_end_up(const char *dev, char *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq req = {0};
    int rc;

    if (fd < 0)
        return failed("open a socket to set up", dev, err);
    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", dev);
    rc = ioctl(fd, SIOCGIFFLAGS, &req);
    if (rc == 0) {
        req.ifr_flags = (short)(req.ifr_flags | IFF_UP | IFF_RUNNING);
        rc = ioctl(fd, SIOCSIFFLAGS, &req);
    }
    if (rc < 0)
        rc = failed("set up the kernel's end of", dev, err);
    close(fd);
    return rc;
}

bool kernel_end_is_up(const char *dev)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq req = {0};
    bool up;

    if (fd < 0)
        return false;
    snprintf(req.ifr_name, sizeof req.ifr_name, "%s", dev);
    up = ioctl(fd, SIOCGIFFLAGS, &req) == 0 && (req.ifr_flags & IFF_UP);
    close(fd);
    return up;
}

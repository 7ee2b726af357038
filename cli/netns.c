/* SPDX-License-Identifier: BSD-2-Clause */
/* netns.c - network namespaces with names, as ip-netns(8) knows them: a file of that name in
 * /run/netns on which the namespace is mounted keeps it alive. */
#include "netns.h"
#include "kernel_end.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NETNS_DIR "/run/netns"

static int failed(const char *what, const char *name, char *err)
{
    snprintf(err, ESTAB_ERRLEN, "namespace %s: %s: %s%s", name, what, strerror(errno),
             errno == EPERM    ? " (needs root)"
             : errno == EEXIST ? " (it is there already: ip netns del takes it away)"
                               : "");
    return -1;
}

static void path_of(const char *name, char path[128])
{
    snprintf(path, 128, NETNS_DIR "/%.100s", name);
}

static int give_name(const char *name, char *err)
{
    char path[128];
    int fd;

    path_of(name, path);
    if (mkdir(NETNS_DIR, 0755) && errno != EEXIST)
        return failed("making " NETNS_DIR, name, err);
    fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
    if (fd < 0)
        return failed("giving it its name", name, err);
    close(fd);
    if (mount("/proc/self/ns/net", path, "none", MS_BIND, NULL)) {
        failed("giving it its name", name, err);
        unlink(path);
        return -1;
    }
    return 0;
}

void netns_remove(const char *name)
{
    char path[128];

    path_of(name, path);
    umount2(path, MNT_DETACH);
    unlink(path);
}

static int default_route(const char *name, char *dev, char *err)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = dev};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return failed("a socket", name, err);
    memcpy(&route.rt_dst, &any, sizeof any);
    memcpy(&route.rt_genmask, &any, sizeof any);
    rc = ioctl(fd, SIOCADDRT, &route);
    if (rc)
        failed("the default route", name, err);
    close(fd);
    return rc;
}

/* So that a stack behind another device of the namespace can be reached, too. */
static int forward_packets(const char *name, char *err)
{
    int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC), rc = 0;

    if (fd < 0 || write(fd, "1\n", 2) != 2)
        rc = failed("forwarding", name, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Nobody speaks IPv6 there, and what the kernel asks of its routers would take its place among the
 * frames that the link counts.  Where the kernel has no IPv6, there is nothing to stop. */
static int stop_ipv6(const char *name, const char *dev, char *err)
{
    char path[128];
    int fd, rc = 0;

    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%.32s/disable_ipv6", dev);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : failed("silencing IPv6", name, err);
    if (write(fd, "1\n", 2) != 2)
        rc = failed("silencing IPv6", name, err);
    close(fd);
    return rc;
}

/* The device holds what arrives between two of our turns: 500 frames are 6 ms of 1 Gbit/s, and a
 * sender that is forwarded is not told when they are full. */
static int lengthen_queue(const char *name, const char *dev, char *err)
{
    struct ifreq ifr = {.ifr_qlen = 20000};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return failed("a socket", name, err);
    memcpy(ifr.ifr_name, dev, strnlen(dev, IFNAMSIZ - 1));
    rc = ioctl(fd, SIOCSIFTXQLEN, &ifr);
    if (rc)
        failed("the device's queue", name, err);
    close(fd);
    return rc;
}

static int furnish(const char *name, const char *dev, const uint8_t ip[16], uint8_t prefix_len,
                   uint32_t mtu, estab_link **link, char *err)
{
    char device[32];

    snprintf(device, sizeof device, "%s", dev);
    if (kernel_end_up("lo", err) < 0 || estab_link_tuntap(link, ESTAB_MEDIUM_IP, dev, mtu, err) < 0)
        return -1;
    if ((prefix_len < 96 || stop_ipv6(name, dev, err) == 0) &&
        lengthen_queue(name, dev, err) == 0 && kernel_end_addr(dev, ip, prefix_len, err) == 0 &&
        kernel_end_up(dev, err) == 0 &&
        (prefix_len < 96 || default_route(name, device, err) == 0) &&
        forward_packets(name, err) == 0 && give_name(name, err) == 0)
        return 0;
    estab_link_close(*link);
    *link = NULL;
    return -1;
}

int netns_make(const char *name, const char *dev, const uint8_t ip[16], uint8_t prefix_len,
               uint32_t mtu, estab_link **link, char *err)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), rc;

    if (home < 0)
        return failed("/proc/self/ns/net", name, err);
    rc = unshare(CLONE_NEWNET) ? failed("making it", name, err)
                               : furnish(name, dev, ip, prefix_len, mtu, link, err);
    if (setns(home, CLONE_NEWNET) && rc == 0) {
        rc = failed("coming back from it", name, err);
        estab_link_close(*link);
        netns_remove(name);
    }
    close(home);
    return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* nsbox.c - a private network namespace with a TUN device in it, for this process alone.
 *
 * The namespace has no name: it lives as long as a process is in it, and the device as long as its
 * descriptor.  Nothing has to be cleaned up, however the process ends. */
#include "nsbox.h"
#include "kernel_end.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* user_namespaces(7): a process without privilege may map its own identity, after it has given up
 * setgroups(2). */
static int map_identity(uid_t uid, gid_t gid, char *err)
{
    char uid_map[64], gid_map[64];

    snprintf(uid_map, sizeof uid_map, "0 %u 1\n", (unsigned)uid);
    snprintf(gid_map, sizeof gid_map, "0 %u 1\n", (unsigned)gid);
    if (write_file("/proc/self/setgroups", "deny") == 0 &&
        write_file("/proc/self/uid_map", uid_map) == 0 &&
        write_file("/proc/self/gid_map", gid_map) == 0)
        return 0;
    snprintf(err, ESTAB_ERRLEN, "cannot map this user into a user namespace: %s", strerror(errno));
    return -1;
}

static int enter(enum nsbox_kind kind, char *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (kind == NSBOX_NETNS) {
        if (unshare(CLONE_NEWNET) == 0)
            return 0;
        snprintf(err, ESTAB_ERRLEN, "a network namespace is refused: %s", strerror(errno));
        return -1;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        snprintf(err, ESTAB_ERRLEN, "a user namespace is refused: %s", strerror(errno));
        return -1;
    }
    return map_identity(uid, gid, err);
}

int nsbox_enter(enum nsbox_kind kind, const char *dev, const char *const addrs[], estab_link **link,
                char *err)
{
    uint8_t ip[16], prefix_len;

    if (enter(kind, err) < 0 || kernel_end_up("lo", err) < 0)
        return -1;
    if (estab_link_tuntap(link, ESTAB_MEDIUM_IP, dev, 0, err) < 0)
        return -1;
    for (; *addrs; addrs++) {
        if (estab_prefix_parse(ip, &prefix_len, *addrs) < 0 ||
            kernel_end_addr(dev, ip, prefix_len, err) < 0)
            goto failed;
    }
    if (kernel_end_up(dev, err) == 0)
        return 0;
failed:
    estab_link_close(*link);
    *link = NULL;
    return -1;
}

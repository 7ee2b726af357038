/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_path.c - where a control socket is, and how it is reached. */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static int own_folder(const char *path, bool make, char *err)
{
    struct stat st;

    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return link_say(err, "cannot make the folder %s: %s", path, strerror(errno));
    if (lstat(path, &st) < 0)
        return link_say(err, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return link_say(err,
                        "%s is not a folder that only you may use: remove it, or name another "
                        "place for the control socket",
                        path);
    return 0;
}

static bool is_own_runtime_dir(const char *path)
{
    struct stat st;

    return path && path[0] == '/' && strlen(path) < ESTAB_CTL_PATH - 32 && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

int estab_ctl_folder(char path[ESTAB_CTL_PATH], bool make, char *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (is_own_runtime_dir(runtime))
        snprintf(path, ESTAB_CTL_PATH, "%s/estab", runtime);
    else if (geteuid() == 0 && access("/run", W_OK) == 0)
        snprintf(path, ESTAB_CTL_PATH, "/run/estab");
    else
        snprintf(path, ESTAB_CTL_PATH, "/tmp/estab-%u", (unsigned)geteuid());
    return own_folder(path, make, err);
}

int ctl_address(struct sockaddr_un *sun, const char *path)
{
    memset(sun, 0, sizeof *sun);
    sun->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof sun->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sun->sun_path, path, strlen(path) + 1);
    return 0;
}

int estab_ctl_connect(const char *path, estab_dur patience)
{
    struct timeval most = {.tv_sec = (time_t)(patience / ESTAB_S(1)),
                           .tv_usec = (suseconds_t)(patience % ESTAB_S(1) / 1000u)};
    struct sockaddr_un sun;
    int fd, saved;

    if (ctl_address(&sun, path) < 0)
        return -1;
    if (most.tv_sec == 0 && most.tv_usec == 0)
        most.tv_usec = 1; /* nothing would mean for ever */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.c - the control socket: its clients, and who may be one.
 *
 * Everything is non-blocking and stands in one epoll set, whose descriptor the stack's loop
 * watches: a client that does not read costs its buffer and nothing else.
 *
 * Only the user who runs the stack, root, and a group that was named may ask: by the permissions
 * of the folder and the socket, and by SO_PEERCRED, since a socket can be moved or opened up. */
#include "ctl.h"
#include "link.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_LEN = 16 * 1024, GROUPS_MAX = 256 };

/* ---- one client ---- */

void ctl_watch(struct estab_ctl *ctl, struct ctl_client *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    epoll_ctl(ctl->set, EPOLL_CTL_MOD, c->fd, &ev);
}

static void client_close(struct estab_ctl *ctl, struct ctl_client *c)
{
    bool traced = c->phase == CLIENT_TRACE;

    close(c->fd);
    free(c->out);
    c->out = NULL;
    c->fd = -1;
    c->phase = CLIENT_FREE;
    if (traced)
        ctl_tap_if_traced(ctl);
}

static void refuse_request(struct estab_ctl *ctl, struct ctl_client *c)
{
    ctl_put_error(c, "a request is one line of at most 1023 octets, and nothing follows it");
    c->phase = CLIENT_FLUSH;
    ctl_watch(ctl, c, EPOLLOUT);
}

/* False: gone. */
static bool read_ask(struct estab_ctl *ctl, struct ctl_client *c)
{
    ssize_t n = recv(c->fd, c->ask + c->ask_len, sizeof c->ask - c->ask_len, 0);
    char *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    c->ask_len += (size_t)n;
    end = memchr(c->ask, '\n', c->ask_len);
    if (!end && c->ask_len < sizeof c->ask)
        return true;
    if (!end || end + 1 != c->ask + c->ask_len || memchr(c->ask, '\0', c->ask_len)) {
        refuse_request(ctl, c);
        return true;
    }
    *end = '\0';
    ctl_begin(ctl, c);
    return true;
}

static bool flush_out(struct ctl_client *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->out_at += (size_t)n;
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    return true;
}

static bool answer(struct estab_ctl *ctl, struct ctl_client *c)
{
    if (c->phase == CLIENT_ANSWER)
        ctl_fill(ctl, c);
    if (c->out_len > 0 && !flush_out(c))
        return false;
    return c->phase != CLIENT_FLUSH || c->out_len > 0;
}

/* A client that says anything more, or leaves, ends its trace. */
static bool go_on_tracing(struct estab_ctl *ctl, struct ctl_client *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        return false;
    if (!flush_out(c))
        return false;
    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
        c->out_len -= c->out_at;
        c->out_at = 0;
    }
    if (c->out_len == 0) {
        c->wants_out = false;
        ctl_watch(ctl, c, EPOLLIN);
    }
    return true;
}

static bool in_groups(int fd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t len = sizeof groups;
    size_t i;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (i = 0; i < len / sizeof groups[0]; i++)
        if (groups[i] == group)
            return true;
    return false;
}

static bool may_ask(const struct estab_ctl *ctl, int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return false;
    return who.uid == geteuid() || who.uid == 0 ||
           (ctl->has_group && (who.gid == ctl->group || in_groups(fd, ctl->group)));
}

static void refuse(int fd)
{
    static const char text[] = "{\"error\":\"this stack answers only the user who runs it, root "
                               "and the group it names\"}\n";

    (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* A free one, or that of the client who has been here longest. */
static struct ctl_client *client_slot(struct estab_ctl *ctl)
{
    struct ctl_client *c = &ctl->client[0];
    size_t i;

    for (i = 0; i < CLIENTS; i++) {
        if (ctl->client[i].phase == CLIENT_FREE)
            return &ctl->client[i];
        if (ctl->client[i].turn < c->turn)
            c = &ctl->client[i];
    }
    client_close(ctl, c);
    return c;
}

static void take_client(struct estab_ctl *ctl)
{
    int fd = accept4(ctl->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    struct ctl_client *c;

    if (fd < 0)
        return;
    if (!may_ask(ctl, fd)) {
        refuse(fd);
        return;
    }
    c = client_slot(ctl);
    ev.data.ptr = c;
    c->out = malloc(OUT_LEN);
    if (!c->out || epoll_ctl(ctl->set, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(c->out);
        c->out = NULL;
        close(fd);
        return;
    }
    c->out_cap = OUT_LEN;
    c->fd = fd;
    c->turn = ++ctl->turns;
    c->phase = CLIENT_MUTE;
    c->verb = NULL;
    c->ask_len = c->out_at = c->out_len = 0;
}

void estab_ctl_run(estab_ctl *ctl)
{
    struct epoll_event ev[CLIENTS + 1];
    int i, n = epoll_wait(ctl->set, ev, CLIENTS + 1, 0);

    for (i = 0; i < n; i++) {
        struct ctl_client *c = ev[i].data.ptr;
        bool goes_on = true;

        if (!c) {
            take_client(ctl);
            continue;
        }
        switch (c->phase) {
        case CLIENT_FREE: /* gave way in this turn */
            break;
        case CLIENT_MUTE:
            goes_on = read_ask(ctl, c);
            break;
        case CLIENT_TRACE:
            goes_on = go_on_tracing(ctl, c, ev[i].events);
            break;
        case CLIENT_ANSWER:
        case CLIENT_FLUSH:
            goes_on = answer(ctl, c);
            break;
        }
        if (!goes_on)
            client_close(ctl, c);
    }
}

/* ---- life ---- */

static int socket_permissions(const struct estab_ctl *c)
{
    if (!c->has_group)
        return 0;
    return chown(c->path, (uid_t)-1, c->group) < 0 ? -1 : chmod(c->path, 0660);
}

static int listen_at(struct estab_ctl *c, char *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    struct sockaddr_un sun;
    struct stat st;
    mode_t mask;
    int rc, other;

    if (ctl_address(&sun, c->path) < 0)
        goto failed;
    other = estab_ctl_connect(c->path, 0); /* a socket that nobody answers is a leftover */
    if (other >= 0 || errno == EAGAIN) {   /* a process may be stopped, and is there all the same */
        if (other >= 0)
            close(other);
        return link_say(err, "the control socket %s is another stack's: name another place",
                        c->path);
    }
    if (errno == ECONNREFUSED && lstat(c->path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(c->path); /* a file that is none refuses as well, and is somebody's */
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->set = epoll_create1(EPOLL_CLOEXEC);
    if (c->listener < 0 || c->set < 0)
        goto failed;
    mask = umask(0177);
    rc = bind(c->listener, (struct sockaddr *)&sun, sizeof sun);
    umask(mask);
    if (rc < 0)
        goto failed;
    if (socket_permissions(c) < 0 || listen(c->listener, CLIENTS) < 0 ||
        epoll_ctl(c->set, EPOLL_CTL_ADD, c->listener, &ev) < 0) {
        rc = errno;
        unlink(c->path);
        errno = rc;
        goto failed;
    }
    return 0;
failed:
    return link_say(err, "cannot open the control socket %s: %s", c->path, strerror(errno));
}

static void ctl_free(struct estab_ctl *c)
{
    size_t i;

    for (i = 0; i < CLIENTS; i++)
        if (c->client[i].phase != CLIENT_FREE)
            client_close(c, &c->client[i]);
    if (c->listener >= 0)
        close(c->listener);
    if (c->set >= 0)
        close(c->set);
    free(c);
}

static int find_group(struct estab_ctl *c, const char *name, char *err)
{
    const struct group *g = getgrnam(name);
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    if (!g && (end == name || *end || number > UINT32_MAX - 1))
        return link_say(err, "there is no group '%s' to share the control socket with", name);
    c->group = g ? g->gr_gid : (gid_t)number;
    c->has_group = true;
    return 0;
}

static int choose_path(struct estab_ctl *c, const char *path, char *err)
{
    char folder[ESTAB_CTL_PATH];
    int len;

    if (path && strlen(path) >= sizeof c->path)
        return link_say(err, "the path of the control socket is longer than %d octets",
                        ESTAB_CTL_PATH - 1);
    if (path) {
        snprintf(c->path, sizeof c->path, "%s", path);
        return 0;
    }
    if (c->has_group)
        return link_say(err, "a control socket that a group shares needs a path: its members may "
                             "not enter the default folder");
    if (estab_ctl_folder(folder, true, err) < 0)
        return -1;
    len = snprintf(c->path, sizeof c->path, "%s/%ld.sock", folder, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof c->path)
        return link_say(err, "the folder %s has too long a name for a control socket", folder);
    return 0;
}

static void name_command(struct estab_ctl *c, const char *name)
{
    size_t i;

    snprintf(c->command, sizeof c->command, "%s", name ? name : "?");
    for (i = 0; c->command[i]; i++)
        if (c->command[i] < ' ' || c->command[i] > '~' || c->command[i] == '"' ||
            c->command[i] == '\\')
            c->command[i] = '_';
}

int estab_ctl_open(estab_ctl **out, estab_stack *s, const struct estab_ctl_config *config,
                   char *err)
{
    struct estab_ctl_config all = {.size = sizeof all};
    struct estab_ctl *c = calloc(1, sizeof *c);

    if (!c)
        return link_say(err, "control socket: out of memory");
    if (config)
        memcpy(&all, config, config->size < sizeof all ? config->size : sizeof all);
    c->stack = s;
    c->listener = c->set = -1;
    name_command(c, all.command);
    if ((all.group && find_group(c, all.group, err) < 0) || choose_path(c, all.path, err) < 0 ||
        listen_at(c, err) < 0) {
        ctl_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

const char *estab_ctl_path(const estab_ctl *c)
{
    return c->path;
}

int estab_ctl_fd(const estab_ctl *c)
{
    return c->set;
}

void estab_ctl_close(estab_ctl *c)
{
    if (!c)
        return;
    unlink(c->path);
    ctl_free(c);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.c - the control socket: what `estab ss` asks a running stack.
 *
 * Everything is non-blocking and stands in one epoll set, whose descriptor the stack's loop
 * watches: a client that does not read costs its buffer and nothing else.  An answer is made as
 * the client takes it, a bounded number of sockets at a time, by the stack's own cursor; it is
 * therefore no snapshot: a connection that comes or goes meanwhile may be missing.
 *
 * Only the user who runs the stack, and root, may ask: the folder and the socket have no other
 * permissions, and SO_PEERCRED is checked. */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENTS = 8,
    ASK_MAX = 64,
    OUT_LEN = 16 * 1024,
    LINE_MAX_LEN = 1024,
    PER_RUN = 256, /* sockets written for one client before the stack has its turn */
};

enum client_phase { FREE, ASKED_NOTHING, HEADER, SOCKETS, LAST, FLUSH };

struct client {
    int fd;
    enum client_phase phase;
    char ask[ASK_MAX];
    size_t ask_len;
    uint64_t cursor, count;
    uint64_t turn; /* when it came */
    size_t out_at, out_len;
    char out[OUT_LEN];
};

struct ctl {
    estab_stack *stack;
    const char *command;
    int listener, set;
    char path[CTL_PATH_MAX];
    uint64_t turns;
    struct client client[CLIENTS];
};

/* ---- where ---- */

static int own_folder(const char *path, bool make, char *err)
{
    struct stat st;

    if (make && mkdir(path, 0700) < 0 && errno != EEXIST) {
        snprintf(err, ESTAB_ERRLEN, "cannot make the folder %s: %s", path, strerror(errno));
        return -1;
    }
    if (lstat(path, &st) < 0) {
        snprintf(err, ESTAB_ERRLEN, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
        snprintf(err, ESTAB_ERRLEN,
                 "%s is not a folder that only you may use: remove it, or "
                 "name another place with --ctl",
                 path);
        return -1;
    }
    return 0;
}

static bool is_own_runtime_dir(const char *path)
{
    struct stat st;

    return path && path[0] == '/' && strlen(path) < CTL_PATH_MAX - 32 && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

int ctl_folder(char path[CTL_PATH_MAX], bool make, char *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (is_own_runtime_dir(runtime))
        snprintf(path, CTL_PATH_MAX, "%s/estab", runtime);
    else if (geteuid() == 0 && access("/run", W_OK) == 0)
        snprintf(path, CTL_PATH_MAX, "/run/estab");
    else
        snprintf(path, CTL_PATH_MAX, "/tmp/estab-%u", (unsigned)geteuid());
    return own_folder(path, make, err);
}

static int ctl_address(struct sockaddr_un *sun, const char *path)
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

int ctl_connect(const char *path)
{
    struct sockaddr_un sun;
    int fd, saved;

    if (ctl_address(&sun, path) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* ---- one client ---- */

static void client_close(struct client *c)
{
    close(c->fd);
    c->fd = -1;
    c->phase = FREE;
}

static void client_watch(struct ctl *ctl, struct client *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    epoll_ctl(ctl->set, EPOLL_CTL_MOD, c->fd, &ev);
}

static void put_line(struct client *c, const char *line, int len)
{
    if (len > 0 && (size_t)len < LINE_MAX_LEN && (size_t)len <= sizeof c->out - c->out_len) {
        memcpy(c->out + c->out_len, line, (size_t)len);
        c->out_len += (size_t)len;
    }
}

static void put_header(struct ctl *ctl, struct client *c)
{
    char line[LINE_MAX_LEN];

    put_line(c, line,
             snprintf(line, sizeof line,
                      "{\"estab\":\"%s\",\"protocol\":1,\"pid\":%ld,\"command\":\"%s\"}\n",
                      estab_version(), (long)getpid(), ctl->command));
}

/* Everything in it is a number, a name of ours or an address: nothing needs escaping. */
static void put_socket(struct client *c, const struct estab_tcp_info *i, estab_time now)
{
    char line[LINE_MAX_LEN], local[56], peer[56], timer[64] = "";
    bool listens = i->state == ESTAB_LISTEN;

    if (i->timer != ESTAB_T_NONE && i->timer_at != ESTAB_NEVER)
        snprintf(timer, sizeof timer, "\"timer\":\"%s\",\"timer_ms\":%llu,",
                 estab_timer_name(i->timer),
                 (unsigned long long)(i->timer_at > now ? (i->timer_at - now) / 1000000u : 0));
    put_line(
        c, line,
        snprintf(
            line, sizeof line,
            "{\"state\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",\"recv_q\":%u,\"send_q\":%llu,%s"
            "\"backlog\":%u,\"half_open\":%u,\"orphan\":%s,\"snd_mss\":%u,\"rcv_mss\":%u,"
            "\"pmtu\":%u,\"cwnd\":%u,\"ssthresh\":%u,\"snd_wnd\":%u,\"rcv_wnd\":%u,\"flight\":%u,"
            "\"unsent\":%u,\"rto_us\":%llu,\"srtt_us\":%llu,\"rttvar_us\":%llu,"
            "\"bytes_acked\":%llu,\"bytes_received\":%llu,\"segs_in\":%llu,\"segs_out\":%llu,"
            "\"retrans\":%llu,\"timestamps\":%s,\"sack\":%s,\"cc\":\"%.15s\"}\n",
            estab_state_name(i->state), estab_addr_format(&i->local, true, local),
            estab_addr_format(&i->peer, true, peer), listens ? i->acceptq : i->unread,
            listens ? (unsigned long long)i->backlog : (unsigned long long)i->flight + i->unsent,
            timer, i->backlog, i->synq, i->orphan ? "true" : "false", i->snd_mss, i->rcv_mss,
            i->pmtu, i->cwnd, i->ssthresh, i->snd_wnd, i->rcv_wnd, i->flight, i->unsent,
            (unsigned long long)i->rto / 1000u, (unsigned long long)i->srtt / 1000u,
            (unsigned long long)i->rttvar / 1000u, (unsigned long long)i->bytes_acked,
            (unsigned long long)i->bytes_received, (unsigned long long)i->segs_in,
            (unsigned long long)i->segs_out, (unsigned long long)i->retrans,
            i->ts_ok ? "true" : "false", i->sack_ok ? "true" : "false", i->cc));
}

static void put_last(struct ctl *ctl, struct client *c)
{
    struct estab_stack_info info = {.size = sizeof info};
    char line[LINE_MAX_LEN];

    estab_stack_info(ctl->stack, &info);
    put_line(c, line,
             snprintf(line, sizeof line,
                      "{\"end\":true,\"sockets\":%llu,\"mem_used\":%zu,\"mem_peak\":%zu,"
                      "\"frames_in\":%llu,\"frames_out\":%llu}\n",
                      (unsigned long long)c->count, info.mem_used, info.mem_peak,
                      (unsigned long long)info.frames_in, (unsigned long long)info.frames_out));
}

static bool read_ask(struct ctl *ctl, struct client *c)
{
    ssize_t n = recv(c->fd, c->ask + c->ask_len, sizeof c->ask - c->ask_len, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    c->ask_len += (size_t)n;
    if (!memchr(c->ask, '\n', c->ask_len))
        return c->ask_len < sizeof c->ask;
    if (c->ask_len != 8 || memcmp(c->ask, "sockets\n", 8) != 0)
        return false;
    c->phase = HEADER;
    client_watch(ctl, c, EPOLLOUT);
    return true;
}

static void fill(struct ctl *ctl, struct client *c, estab_time now)
{
    struct estab_tcp_info info;
    unsigned budget = PER_RUN;
    estab_sock k;

    if (c->phase == HEADER) {
        put_header(ctl, c);
        c->phase = SOCKETS;
    }
    while (c->phase == SOCKETS && budget-- > 0 && sizeof c->out - c->out_len >= LINE_MAX_LEN) {
        if (!estab_conn_next(ctl->stack, &c->cursor, &k)) {
            c->phase = LAST;
            break;
        }
        memset(&info, 0, sizeof info);
        info.size = sizeof info;
        if (estab_tcp_info(ctl->stack, k, &info) < 0 || info.type != ESTAB_TCP)
            continue;
        put_socket(c, &info, now);
        c->count++;
    }
    if (c->phase == LAST && sizeof c->out - c->out_len >= LINE_MAX_LEN) {
        put_last(ctl, c);
        c->phase = FLUSH;
    }
}

/* False: done with, or gone. */
static bool answer(struct ctl *ctl, struct client *c, estab_time now)
{
    ssize_t n;

    fill(ctl, c, now);
    n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->out_at += (size_t)n;
    if (c->out_at < c->out_len)
        return true;
    c->out_at = c->out_len = 0;
    return c->phase != FLUSH;
}

static bool may_ask(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

/* A free one, or that of the client who has been here longest. */
static struct client *client_slot(struct ctl *ctl)
{
    struct client *c = &ctl->client[0];
    size_t i;

    for (i = 0; i < CLIENTS; i++) {
        if (ctl->client[i].phase == FREE)
            return &ctl->client[i];
        if (ctl->client[i].turn < c->turn)
            c = &ctl->client[i];
    }
    client_close(c);
    return c;
}

static void take_client(struct ctl *ctl)
{
    int fd = accept4(ctl->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    struct client *c;

    if (fd < 0)
        return;
    c = client_slot(ctl);
    ev.data.ptr = c;
    if (!may_ask(fd) || epoll_ctl(ctl->set, EPOLL_CTL_ADD, fd, &ev) < 0) {
        close(fd);
        return;
    }
    c->fd = fd;
    c->turn = ++ctl->turns;
    c->phase = ASKED_NOTHING;
    c->ask_len = 0;
    c->cursor = c->count = 0;
    c->out_at = c->out_len = 0;
}

void ctl_run(struct ctl *ctl, estab_time now)
{
    struct epoll_event ev[CLIENTS + 1];
    int i, n = epoll_wait(ctl->set, ev, CLIENTS + 1, 0);

    for (i = 0; i < n; i++) {
        struct client *c = ev[i].data.ptr;
        bool goes_on;

        if (!c) {
            take_client(ctl);
            continue;
        }
        goes_on = c->phase == ASKED_NOTHING ? read_ask(ctl, c) : answer(ctl, c, now);
        if (!goes_on)
            client_close(c);
    }
}

/* ---- life ---- */

static int listen_at(struct ctl *c, char *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    struct sockaddr_un sun;
    mode_t mask;
    int rc, other;

    if (ctl_address(&sun, c->path) < 0)
        goto failed;
    other = ctl_connect(c->path); /* a socket that nobody answers is a leftover */
    if (other >= 0) {
        close(other);
        snprintf(err, ESTAB_ERRLEN,
                 "the control socket %s is another stack's: name another place "
                 "with --ctl",
                 c->path);
        return -1;
    }
    if (errno == ECONNREFUSED)
        unlink(c->path);
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->set = epoll_create1(EPOLL_CLOEXEC);
    if (c->listener < 0 || c->set < 0)
        goto failed;
    mask = umask(0177);
    rc = bind(c->listener, (struct sockaddr *)&sun, sizeof sun);
    umask(mask);
    if (rc < 0)
        goto failed;
    if (listen(c->listener, CLIENTS) < 0 ||
        epoll_ctl(c->set, EPOLL_CTL_ADD, c->listener, &ev) < 0) {
        unlink(c->path);
        goto failed;
    }
    return 0;
failed:
    snprintf(err, ESTAB_ERRLEN, "cannot open the control socket %s: %s", c->path, strerror(errno));
    return -1;
}

static void ctl_free(struct ctl *c)
{
    size_t i;

    for (i = 0; i < CLIENTS; i++)
        if (c->client[i].phase != FREE)
            client_close(&c->client[i]);
    if (c->listener >= 0)
        close(c->listener);
    if (c->set >= 0)
        close(c->set);
    free(c);
}

int ctl_open(struct ctl **out, estab_stack *stack, const char *command, const char *path, char *err)
{
    struct ctl *c = calloc(1, sizeof *c);
    char folder[CTL_PATH_MAX];

    if (!c) {
        snprintf(err, ESTAB_ERRLEN, "no memory");
        return -1;
    }
    c->stack = stack;
    c->command = command;
    c->listener = c->set = -1;
    if (path && strlen(path) >= sizeof c->path) {
        snprintf(err, ESTAB_ERRLEN, "the path of the control socket is longer than %d octets",
                 CTL_PATH_MAX - 1);
        ctl_free(c);
        return -1;
    }
    if (path) {
        snprintf(c->path, sizeof c->path, "%s", path);
    } else {
        if (ctl_folder(folder, true, err) < 0) {
            ctl_free(c);
            return -1;
        }
        snprintf(c->path, sizeof c->path, "%.80s/%ld.sock", folder, (long)getpid());
    }
    if (listen_at(c, err) < 0) {
        ctl_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

const char *ctl_path(const struct ctl *c)
{
    return c->path;
}

int ctl_fd(const struct ctl *c)
{
    return c->set;
}

void ctl_close(struct ctl *c)
{
    if (!c)
        return;
    unlink(c->path);
    ctl_free(c);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* theirs.c - the kernel's side.
 *
 * The thread waits in poll(2) only, and there for `stop` too, so a test that fails can end it. */
#include "theirs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- sockets ---- */

void their_addr(struct sockaddr_storage *a, const char *host, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return;
    }
    inet_pton(AF_INET6, host, &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
}

static socklen_t addr_len(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void their_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

static int open_socket(const struct sockaddr_storage *like, int rcvbuf)
{
    int fd = socket(like->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        their_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (fd >= 0 && rcvbuf)
        their_option(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf);
    return fd;
}

static int give_up(int fd)
{
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

int their_listen(const char *host, uint16_t port, int rcvbuf)
{
    struct sockaddr_storage a;
    int fd;

    their_addr(&a, host, port);
    fd = open_socket(&a, rcvbuf);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, addr_len(&a)) || listen(fd, 2 * THEIR_ENDS))
        return give_up(fd);
    return fd;
}

int their_connect(const struct sockaddr_storage *to, uint16_t own_port, int rcvbuf)
{
    struct sockaddr_storage own = {.ss_family = to->ss_family};
    int fd = open_socket(to, rcvbuf);

    if (to->ss_family == AF_INET)
        ((struct sockaddr_in *)&own)->sin_port = htons(own_port);
    else
        ((struct sockaddr_in6 *)&own)->sin6_port = htons(own_port);
    if (fd < 0 || (own_port && bind(fd, (struct sockaddr *)&own, addr_len(&own))))
        return give_up(fd);
    if (connect(fd, (const struct sockaddr *)to, addr_len(to)) && errno != EINPROGRESS)
        return give_up(fd);
    return fd;
}

int their_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

void their_info(int fd, struct tcp_info *info)
{
    socklen_t len = sizeof *info;

    memset(info, 0, sizeof *info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len);
}

void their_reset(int fd)
{
    struct linger l = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
}

/* ---- ends that follow a plan ---- */

static ptrdiff_t result_of(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? END_AGAIN : END_FAILED;
}

static ptrdiff_t their_send(void *ctx, const void *from, size_t len)
{
    return result_of(send(*(int *)ctx, from, len, MSG_NOSIGNAL));
}

static ptrdiff_t their_recv(void *ctx, void *into, size_t len)
{
    return result_of(recv(*(int *)ctx, into, len, 0));
}

static bool their_fin(void *ctx)
{
    return shutdown(*(int *)ctx, SHUT_WR) == 0;
}

static const struct end_io their_io = {their_send, their_recv, their_fin};

static void fail(struct their_side *k, const char *what, int error)
{
    if (!k->failure[0])
        snprintf(k->failure, sizeof k->failure, "the kernel's end %u of %u: %s: %s", k->over, k->n,
                 what, error ? strerror(error) : "more came than was sent");
}

static void begin(struct their_side *k, int fd, bool connecting)
{
    struct their_end *e = k->ends;

    while (e->fd >= 0)
        e++;
    e->fd = fd;
    e->connecting = connecting;
    end_begin(&e->end, &k->plan, k->begun++);
}

static void run_end(struct their_side *k, struct their_end *e)
{
    int error = e->connecting ? their_error(e->fd) : 0;

    if (error) {
        fail(k, "connecting", error);
        return;
    }
    e->connecting = false;
    errno = 0;
    if (!end_run(&e->end, &their_io, &e->fd)) {
        fail(k, "exchanging", errno);
        return;
    }
    if (!end_is_over(&e->end))
        return;
    their_info(e->fd, &k->info);
    close(e->fd);
    e->fd = -1;
    k->over++;
}

static uint32_t under_way(const struct their_side *k)
{
    return k->begun - k->over;
}

static void open_more(struct their_side *k)
{
    int fd;

    while (k->opens && k->begun < k->n && under_way(k) < k->at_once) {
        fd = their_connect(&k->to, 0, 0);
        if (fd < 0) {
            fail(k, "connect", errno);
            return;
        }
        begin(k, fd, true);
    }
}

static void accept_more(struct their_side *k)
{
    int fd;

    while (under_way(k) < THEIR_ENDS &&
           (fd = accept4(k->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        begin(k, fd, false);
}

static short events_of(const struct their_end *e)
{
    if (e->connecting)
        return POLLOUT;
    return (short)((e->end.eof ? 0 : POLLIN) | (end_sendable(&e->end) ? POLLOUT : 0));
}

static void turn(struct their_side *k)
{
    struct pollfd p[2 + THEIR_ENDS] = {{.fd = k->stop, .events = POLLIN},
                                       {.fd = k->listener, .events = POLLIN}};
    struct their_end *who[2 + THEIR_ENDS];
    nfds_t n = 2;

    for (struct their_end *e = k->ends; e < k->ends + THEIR_ENDS; e++) {
        if (e->fd < 0)
            continue;
        who[n] = e;
        p[n++] = (struct pollfd){.fd = e->fd, .events = events_of(e)};
    }
    if (poll(p, n, -1) < 0 && errno != EINTR)
        fail(k, "poll", errno);
    if (p[0].revents)
        fail(k, "ended by the test", ECANCELED);
    for (nfds_t i = 2; i < n && !k->failure[0]; i++)
        if (p[i].revents)
            run_end(k, who[i]);
    if (p[1].revents)
        accept_more(k);
}

static void wake(int eventfd)
{
    uint64_t one = 1;

    if (write(eventfd, &one, sizeof one) < 0)
        abort();
}

static void *their_thread(void *ctx)
{
    struct their_side *k = ctx;

    while (k->over < k->n && !k->failure[0]) {
        open_more(k);
        if (!k->failure[0])
            turn(k);
    }
    for (struct their_end *e = k->ends; e < k->ends + THEIR_ENDS; e++)
        if (e->fd >= 0)
            close(e->fd);
    wake(k->ended);
    return NULL;
}

bool theirs_start(struct their_side *k)
{
    sigset_t all, before;

    for (struct their_end *e = k->ends; e < k->ends + THEIR_ENDS; e++)
        e->fd = -1;
    k->begun = k->over = 0;
    k->failure[0] = '\0';
    k->ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    k->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sigfillset(&all); /* the watchdog's signal is for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    k->running = pthread_create(&k->thread, NULL, their_thread, k) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return k->running;
}

bool theirs_have_ended(const struct their_side *k)
{
    struct pollfd p = {.fd = k->ended, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

void theirs_join(struct their_side *k)
{
    if (!k->running)
        return;
    wake(k->stop);
    pthread_join(k->thread, NULL);
    k->running = false;
    close(k->ended);
    close(k->stop);
}

/* ---- what the kernel shows ---- */

void their_table(uint32_t *time_wait, uint32_t *others)
{
    static const char *const tables[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6"};
    char line[512];
    unsigned state;

    *time_wait = *others = 0;
    for (size_t i = 0; i < 2; i++) {
        FILE *f = fopen(tables[i], "re");

        while (f && fgets(line, sizeof line, f)) {
            if (sscanf(line, " %*[0-9]: %*s %*s %x", &state) != 1 || state == TCP_LISTEN)
                continue;
            *(state == TCP_TIME_WAIT ? time_wait : others) += 1;
        }
        if (f)
            fclose(f);
    }
}

/* A line of names is followed by a line of values with the same prefix. */
uint64_t their_counter(const char *file, const char *prefix, const char *name)
{
    char path[64], names[8192], values[8192], *n, *v, *rest_n, *rest_v;
    uint64_t found = UINT64_MAX;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/net/%s", file);
    f = fopen(path, "re");
    while (f && fgets(names, sizeof names, f) && fgets(values, sizeof values, f)) {
        if (strncmp(names, prefix, strlen(prefix)) != 0)
            continue;
        n = strtok_r(names, " \n", &rest_n);
        v = strtok_r(values, " \n", &rest_v);
        while (n && v && strcmp(n, name) != 0) {
            n = strtok_r(NULL, " \n", &rest_n);
            v = strtok_r(NULL, " \n", &rest_v);
        }
        if (n && v)
            found = strtoull(v, NULL, 10);
    }
    if (f)
        fclose(f);
    return found;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* http_events.c - an HTTP server with one thread and an event loop.
 *
 *     http_events PORT
 *
 * No call but epoll_wait() blocks, so one thread serves them all; what a thread of its own would
 * keep on its stack stands in a struct client.  The answer to any GET is its path.
 *
 *     ESTAB_POSIX="dev=tun:estab0 addr=10.0.0.2/24" http_events_estab 80 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef ON_ESTAB
#include <estab/posix_names.h>
#endif

struct client {
    int fd;
    char in[4096], out[8192]; /* not a whole request yet; answers there was no room for yet */
    size_t in_len, out_len;
    bool last; /* the client wants no more after these */
};

static int epoll;
/* As long as what we ask for is so, epoll_wait() says it again: so we ask for one at a time. */
static void ask_for(const struct client *c, uint32_t events, int op)
{
    struct epoll_event e = {.events = events, .data.ptr = (void *)(uintptr_t)c};

    if (epoll_ctl(epoll, op, c->fd, &e))
        perror("epoll_ctl");
}

static void answer(struct client *c, char *request)
{
    char path[256] = "";
    bool get = sscanf(request, "GET %255s HTTP/1.", path) == 1;
    size_t body = strlen(path) + 1;

    c->last |= strstr(request, "HTTP/1.0") || strstr(request, "Connection: close") || !get;
    c->out_len += (size_t)snprintf(c->out + c->out_len, sizeof c->out - c->out_len,
                                   "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: %zu\r\n%s\r\n%s\n",
                                   get ? "200 OK" : "400 Bad Request", body,
                                   c->last ? "Connection: close\r\n" : "", path);
}

/* Answers whole requests, as far as there is room; the rest moves to the front.  False: no more. */
static bool answer_some(struct client *c)
{
    char *from = c->in, *end = NULL;

    c->in[c->in_len] = '\0';
    while (!c->last && (end = strstr(from, "\r\n\r\n")) && c->out_len < sizeof c->out - 512) {
        *end = '\0';
        answer(c, from);
        from = end + 4;
    }
    c->in_len -= (size_t)(from - c->in);
    memmove(c->in, from, c->in_len);
    if (c->in_len == sizeof c->in - 1 && !end)
        c->last = true; /* no request is that long */
    return !c->last && end;
}

/* False: the connection is over.  EAGAIN is no error: there is nothing (more) just now. */
static bool take(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, 0);

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->in_len += (size_t)n;
    return true;
}

static bool give(struct client *c)
{
    ssize_t n = c->out_len ? send(c->fd, c->out, c->out_len, MSG_NOSIGNAL) : 0;

    if (n < 0)
        return errno == EAGAIN;
    c->out_len -= (size_t)n;
    memmove(c->out, c->out + n, c->out_len);
    return c->out_len > 0 || !c->last;
}

static void serve(struct client *c, uint32_t events)
{
    bool alive = (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || take(c)) && give(c), more = true;

    for (; alive && more && !c->out_len; alive = give(c))
        more = answer_some(c);
    if (alive) {
        ask_for(c, c->out_len ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    } else {
        close(c->fd); /* which takes it out of the epoll set as well */
        free(c);
    }
}

/* accept4() until it says EAGAIN: several may have arrived at once. */
static void welcome(int listener)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = calloc(1, sizeof *c);

        if (!c) {
            close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        ask_for(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct epoll_event e = {.events = EPOLLIN}, ready[64];
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    any.sin6_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 8080));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, SOMAXCONN) ||
        epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e)) {
        perror("listening");
        return 1;
    }
    (void)!write(STDOUT_FILENO, "listening\n", 10);
    for (;;) {
        for (int i = 0, n = epoll_wait(epoll, ready, 64, -1); i < n; i++)
            ready[i].data.ptr ? serve(ready[i].data.ptr, ready[i].events) : welcome(listener);
    }
}

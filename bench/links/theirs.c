/* SPDX-License-Identifier: BSD-2-Clause */
/* theirs.c - the same at this end by the kernel's sockets. */
#include "links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_to(const char *ip, uint16_t port, bool wait)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = kernel_socket(wait ? 0 : SOCK_NONBLOCK), one = 1;

    inet_pton(AF_INET, ip, &a.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS)
        die("connecting to %s: %s", ip, strerror(errno));
    return fd;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

double theirs_rr(const char *ip, bool spin, unsigned count, double *p99)
{
    int fd = open_to(ip, PORT_ECHO, true);
    double *v = calloc(count, sizeof *v), m;
    char buf[MESSAGE] = "x";

    for (unsigned i = 0; i < count; i++) {
        double at = seconds_now();
        ssize_t n;

        if (write(fd, buf, sizeof buf) != MESSAGE)
            die("the exchange broke");
        do
            n = recv(fd, buf, sizeof buf, spin ? MSG_DONTWAIT : 0);
        while (n < 0 && errno == EAGAIN);
        v[i] = seconds_now() - at;
    }
    m = median(v, count);
    *p99 = v[count * 99 / 100];
    free(v);
    close(fd);
    return m;
}

double theirs_short(const char *ip, unsigned inflight, double seconds)
{
    struct epoll_event e[64];
    int ep = epoll_create1(0), n;
    char buf[MESSAGE] = "x";
    uint64_t done = 0;
    double from = seconds_now();

    for (unsigned i = 0; i < inflight; i++) {
        n = open_to(ip, PORT_SHORT, false);
        epoll_ctl(ep, EPOLL_CTL_ADD, n, &(struct epoll_event){.events = EPOLLOUT, .data.fd = n});
    }
    while (seconds_now() - from < seconds) {
        n = epoll_wait(ep, e, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd = e[i].data.fd;

            if (e[i].events & EPOLLOUT) {
                if (write(fd, buf, sizeof buf) != MESSAGE)
                    die("a short connection broke: %s", strerror(errno));
                epoll_ctl(ep, EPOLL_CTL_MOD, fd,
                          &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
            } else if (read(fd, buf, sizeof buf) <= 0) {
                close(fd);
                done++;
                fd = open_to(ip, PORT_SHORT, false);
                epoll_ctl(ep, EPOLL_CTL_ADD, fd,
                          &(struct epoll_event){.events = EPOLLOUT, .data.fd = fd});
            }
        }
    }
    from = seconds_now() - from;
    close(ep);
    return (double)done / from; /* what is under way is closed at exit */
}

double theirs_out(const char *ip, const struct peer *p, double seconds)
{
    int fd = open_to(ip, PORT_SINK, true);
    char *buf = calloc(1, PIECE);
    double from = seconds_now();
    uint64_t before = *p->counted;

    while (seconds_now() - from < seconds)
        if (write(fd, buf, PIECE) < 0)
            die("the sink is gone");
    from = 8 * (double)(*p->counted - before) / (seconds_now() - from);
    free(buf);
    close(fd);
    return from;
}

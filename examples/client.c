/* SPDX-License-Identifier: BSD-2-Clause */
/* client.c - a connection between standard input and output, both ways at once.
 *
 *     client ADDRESS PORT          what comes in is sent; what is received comes out
 *     client ADDRESS PORT N        N times: send a line, wait for it to come back; how long it took
 *
 * The first form waits with poll() for whichever is first, a descriptor of the kernel's or a
 * connection, and closes each direction by itself: the end of input is our FIN, the peer's FIN the
 * end of output.  The second is a conversation of blocking calls, with a time limit on each.
 *
 *     ESTAB_POSIX="dev=tun:estab0 addr=10.0.0.3/24" client_estab 10.0.0.1 7 1000 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef ON_ESTAB
#include <estab/posix_names.h>
#endif

static int fail(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    return 1;
}

/* connect() chooses our address and an ephemeral port, and blocks until the three segments of the
 * opening are through.  SO_SNDTIMEO bounds that, as it bounds every send() after it. */
static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *a;
    const struct timeval limit = {.tv_sec = 10};
    const int on = 1;
    int fd;

    if (getaddrinfo(host, port, &hints, &a)) {
        errno = EINVAL;
        return -1;
    }
    fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
                    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
                    connect(fd, a->ai_addr, a->ai_addrlen))) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(a);
    return fd;
}

/* write() to a pipe or a terminal may take a part, as send() may. */
static int write_all(int fd, const char *buf, size_t n)
{
    while (n > 0) {
        ssize_t taken = write(fd, buf, n);

        if (taken < 0)
            return -1;
        buf += taken;
        n -= (size_t)taken;
    }
    return 0;
}

/* From one descriptor to the other.  1: something went; 0: the end; -1: an error. */
static int carry(int from, int to)
{
    char buf[16384];
    ssize_t n = read(from, buf, sizeof buf);

    if (n > 0 && write_all(to, buf, (size_t)n))
        return -1;
    return n > 0 ? 1 : (int)n;
}

static int both_ways(int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    int went;

    for (;;) {
        if (poll(p, 2, -1) < 0)
            return fail("poll");
        if (p[1].revents) {
            went = carry(STDIN_FILENO, fd);
            if (went < 0)
                return fail("sending");
            if (went == 0) { /* our side is done: FIN.  We still receive: FIN-WAIT-2. */
                p[1].fd = -1;
                if (shutdown(fd, SHUT_WR))
                    return fail("shutdown");
            }
        }
        if (p[0].revents) {
            went = carry(fd, STDOUT_FILENO);
            if (went <= 0)
                return went < 0 ? fail("receiving") : 0;
        }
    }
}

static int ping(int fd, long rounds)
{
    const char line[] = "the quick brown fox jumps over the lazy dog\n";
    char back[sizeof line];
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < rounds; i++) {
        if (write_all(fd, line, sizeof line))
            return fail("sending");
        if (recv(fd, back, sizeof back, MSG_WAITALL) != sizeof back || strcmp(line, back) != 0)
            return fail("what came back");
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%ld rounds, %.1f us each\n", rounds,
           ((double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3) /
               (double)rounds);
    return 0;
}

int main(int argc, char **argv)
{
    int fd, ret;

    if (argc < 3) {
        fprintf(stderr, "usage: %s ADDRESS PORT [ROUNDS]\n", argv[0]);
        return 2;
    }
    fd = dial(argv[1], argv[2]);
    if (fd < 0)
        return fail("connecting");
    ret = argc > 3 ? ping(fd, atol(argv[3])) : both_ways(fd);
    if (close(fd))
        return fail("closing");
    return ret;
}

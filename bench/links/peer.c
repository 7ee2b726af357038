/* SPDX-License-Identifier: BSD-2-Clause */
/* peer.c - the kernel's end: plain sockets, one thread, poll(2) or spinning. */
#include "links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool writes(int port)
{
    return port == PORT_SOURCE || port == PORT_CUBIC;
}

int kernel_socket(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    return fd;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = port == PORT_SOURCE ? socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)
                                 : kernel_socket(SOCK_NONBLOCK);
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024))
        die("the peer cannot listen on %u: %s", port, strerror(errno));
    return fd;
}

/* What there is to do on a connection of that port; false: it is over. */
static bool serve(int fd, int port, char *buf, volatile uint64_t *counted)
{
    ssize_t n;

    switch (port) {
    case PORT_SINK:
        n = read(fd, buf, PIECE);
        if (n > 0)
            *counted += (uint64_t)n;
        return n > 0 || (n < 0 && errno == EAGAIN);
    case PORT_SOURCE:
    case PORT_CUBIC:
        n = write(fd, buf, PIECE);
        return n > 0 || (n < 0 && errno == EAGAIN);
    default:
        n = read(fd, buf, PIECE);
        if (n > 0 && write(fd, buf, (size_t)n) < 0)
            return false;
        return n < 0 ? errno == EAGAIN : n > 0 && port == PORT_ECHO;
    }
}

static void run_peer(bool spin, const struct peer *p, int ready)
{
    enum { FDS = 65536 };
    static uint8_t port_of[FDS]; /* less PORT_SINK, plus 1; plus 100: it listens */
    int ep = epoll_create1(0), one = 1, fd, n;
    char *buf = malloc(PIECE);
    struct epoll_event e[64];

    memset(buf, 'x', PIECE);
    for (int port = PORT_SINK; port <= PORT_SHORT; port++) {
        fd = listen_on((uint16_t)port);
        port_of[fd] = (uint8_t)(port - PORT_SINK + 101);
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
    }
    if (write(ready, "x", 1) != 1)
        _exit(1);
    for (;;) {
        n = epoll_wait(ep, e, 64, spin ? 0 : -1);
        for (int i = 0; i < n; i++) {
            fd = e[i].data.fd;
            if (port_of[fd] > 100) {
                int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

                if (c < 0 || c >= FDS)
                    continue;
                port_of[c] = (uint8_t)(port_of[fd] - 100);
                setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(ep, EPOLL_CTL_ADD, c,
                          &(struct epoll_event){
                              .events = writes(port_of[c] + PORT_SINK - 1) ? EPOLLOUT : EPOLLIN,
                              .data.fd = c});
            } else if (!serve(fd, port_of[fd] + PORT_SINK - 1, buf, p->counted)) {
                close(fd);
            }
        }
    }
}

struct peer peer_room(void)
{
    struct peer p = {0};

    p.counted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p.counted == MAP_FAILED)
        die("no memory for the peer");
    return p;
}

struct peer peer_start(int cpu, bool spin, bool own_netns)
{
    struct peer p = peer_room();
    int ready[2];
    char ok;

    if (pipe(ready))
        die("no pipe to the peer");
    p.pid = fork();
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        if (own_netns && unshare(CLONE_NEWNET))
            die("no network namespace for the peer: %s", strerror(errno));
        pin(cpu);
        run_peer(spin, &p, ready[1]);
    }
    if (p.pid < 0 || read(ready[0], &ok, 1) != 1)
        die("no peer");
    close(ready[0]);
    close(ready[1]);
    return p;
}

void peer_stop(struct peer *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    munmap((void *)(uintptr_t)p->counted, 4096);
}

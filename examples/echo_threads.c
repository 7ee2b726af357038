/* SPDX-License-Identifier: BSD-2-Clause */
/* echo_threads.c - a server with a thread for each client: what comes is sent back.
 *
 *     echo_threads PORT
 *
 * The oldest way to write a server, and the easiest to follow: every call blocks, and the order of
 * the calls is the order of the conversation.  It is written for the kernel's sockets.  Compiled
 * with ON_ESTAB it runs on estab's, which is told by one variable where its link is:
 *
 *     ESTAB_POSIX="dev=tun:estab0 addr=10.0.0.2/24" echo_threads_estab 7 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef ON_ESTAB
#include <estab/posix_names.h> /* from here on socket() is estab's */
#endif

/* send() may take less than it was given: the peer's window, or our buffer, is full.  A blocking
 * one returns early only if something went wrong after a part was taken. */
static int send_all(int fd, const char *buf, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, buf, n, MSG_NOSIGNAL); /* EPIPE, not SIGPIPE, if the peer left */

        if (sent < 0)
            return -1;
        buf += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* One client's thread.  recv() says 0 when the client has sent its FIN: then we are in CLOSE-WAIT
 * and may still send; close() sends our FIN.  A server that forgets it leaks CLOSE-WAITs. */
static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[16384];
    ssize_t n;

    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        if (send_all(fd, buf, (size_t)n))
            break;
    if (n < 0)
        fprintf(stderr, "client %d: %s\n", fd, strerror(errno)); /* reset, or silent for too long */
    close(fd);
    return NULL;
}

static int listen_on(uint16_t port)
{
    /* "::" is every address of IPv6, and of IPv4 too: such a listener is dual-stack. */
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const int on = 1;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* Without SO_REUSEADDR a restarted server would have to wait until the connections that it
     * closed first have left TIME-WAIT. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, SOMAXCONN)) {
        perror("listening");
        exit(1);
    }
    return fd;
}

/* A client that dies without a word would keep its thread for ever: keepalive asks after it. */
static void look_after(int fd)
{
    const int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on))
        perror("SO_KEEPALIVE");
}

int main(int argc, char **argv)
{
    pthread_attr_t detached;
    pthread_t thread;
    int listener;

    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    listener = listen_on((uint16_t)atoi(argv[1]));
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    printf("listening on port %s\n", argv[1]);
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL); /* a new descriptor; the listener listens on */

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            perror("accept");
            return 1;
        }
        look_after(fd);
        if (pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd)) {
            fprintf(stderr, "no more threads: client turned away\n");
            close(fd);
        }
    }
}

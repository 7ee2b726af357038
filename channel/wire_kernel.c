/* SPDX-License-Identifier: BSD-2-Clause */
/* wire_kernel.c - a transport: the kernel's TCP, on descriptors that do not block. */
#include <estab/channel.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PIECES = 18, WIRES = 64 };

static int error_of(int e)
{
    switch (e) {
    case EAGAIN:
    case EINTR:
        return ESTAB_E_AGAIN;
    case EINPROGRESS:
        return ESTAB_E_INPROGRESS;
    case ECONNREFUSED:
        return ESTAB_E_REFUSED;
    case ECONNRESET:
        return ESTAB_E_RESET;
    case ETIMEDOUT:
        return ESTAB_E_TIMEOUT;
    case EPIPE:
        return ESTAB_E_PIPE;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
        return ESTAB_E_UNREACH;
    case EADDRNOTAVAIL: /* what Linux says when no ephemeral port is free */
    case EADDRINUSE:
        return ESTAB_E_INUSE;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
        return ESTAB_E_NOMEM;
    case EBADF:
        return ESTAB_E_BADF;
    case ENOTCONN:
        return ESTAB_E_NOTCONN;
    default:
        return ESTAB_E_INVAL;
    }
}

/* The set in which descriptors are registered is kept in the pointer itself: epoll + 1, or NULL. */
static int epoll_of(void *ctx)
{
    return (int)(intptr_t)ctx - 1;
}

/* Options that a descriptor of another kind (a socket pair) does not have are left alone. */
static int prepare(void *ctx, int fd, void *user)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = user};
    int flags = fcntl(fd, F_GETFL), one = 1;

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_of(errno);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_of(ctx) >= 0 && epoll_ctl(epoll_of(ctx), EPOLL_CTL_ADD, fd, &e) < 0)
        return error_of(errno);
    return 0;
}

static int kernel_adopt(void *ctx, estab_wire w, void *user)
{
    return prepare(ctx, (int)w, user);
}

static bool is_ip4(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(ip, mapped, sizeof mapped) == 0;
}

static socklen_t to_sockaddr(struct sockaddr_storage *to, const struct estab_addr *a)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

    memset(to, 0, sizeof *to);
    if (is_ip4(a->ip)) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(a->port);
        memcpy(&in4->sin_addr, a->ip + 12, 4);
        return sizeof *in4;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    in6->sin6_scope_id = a->scope;
    memcpy(&in6->sin6_addr, a->ip, 16);
    return sizeof *in6;
}

static int kernel_open(void *ctx, const struct estab_addr *peer, void *user, estab_wire *out)
{
    struct sockaddr_storage to;
    socklen_t len = to_sockaddr(&to, peer);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

    if (fd < 0)
        return error_of(errno);
    err = prepare(ctx, fd, user);
    if (!err && connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
        err = error_of(errno);
    if (err) {
        close(fd);
        return err;
    }
    *out = (estab_wire)fd;
    return 0;
}

static int kernel_opened(void *ctx, estab_wire w)
{
    struct pollfd p = {.fd = (int)w, .events = POLLOUT};
    int e = 0;
    socklen_t len = sizeof e;

    (void)ctx;
    if (poll(&p, 1, 0) <= 0)
        return ESTAB_E_INPROGRESS;
    if (getsockopt((int)w, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
        return error_of(errno);
    return e ? error_of(e) : 0;
}

static size_t to_pieces(struct iovec *to, const struct estab_iov *iov, size_t niov)
{
    size_t n = niov < PIECES ? niov : PIECES;

    for (size_t i = 0; i < n; i++)
        to[i] = (struct iovec){iov[i].base, iov[i].len};
    return n;
}

static ptrdiff_t kernel_send(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    struct iovec pieces[PIECES];
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = to_pieces(pieces, iov, niov)};
    ssize_t n = sendmsg((int)w, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)ctx;
    return n < 0 ? error_of(errno) : n;
}

static ptrdiff_t kernel_recv(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    struct iovec pieces[PIECES];
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = to_pieces(pieces, iov, niov)};
    ssize_t n = recvmsg((int)w, &m, MSG_DONTWAIT);

    (void)ctx;
    return n < 0 ? error_of(errno) : n;
}

/* Closing with nothing to linger for resets the connection: close(2), socket(7). */
static void kernel_close(void *ctx, estab_wire w, bool abort)
{
    struct linger reset = {.l_onoff = 1};

    (void)ctx;
    if (abort)
        (void)setsockopt((int)w, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close((int)w);
}

static short poll_mask(uint32_t mask)
{
    return (short)((mask & ESTAB_EV_IN ? POLLIN : 0) | (mask & ESTAB_EV_OUT ? POLLOUT : 0));
}

static int kernel_wait(void *ctx, const struct estab_wire_wait *w, size_t n, estab_dur within)
{
    struct pollfd fds[WIRES];
    estab_dur most = within < ESTAB_S(86400) ? within : ESTAB_S(86400);
    struct timespec t = {(time_t)(most / ESTAB_S(1)), (long)(most % ESTAB_S(1))};

    (void)ctx;
    if (n > WIRES)
        n = WIRES;
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = (int)w[i].wire, .events = poll_mask(w[i].mask)};
    return ppoll(fds, n, &t, NULL) < 0 && errno != EINTR ? error_of(errno) : 0;
}

void estab_transport_kernel(struct estab_transport *t, int epoll)
{
    *t = (struct estab_transport){
        .ctx = epoll < 0 ? NULL : (void *)((intptr_t)epoll + 1),
        .open = kernel_open,
        .adopt = kernel_adopt,
        .opened = kernel_opened,
        .send = kernel_send,
        .recv = kernel_recv,
        .close = kernel_close,
        .wait = kernel_wait,
    };
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* wire_fd.c - a transport: descriptors that do not block, the kernel's or another's. */
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

enum { PIECES = 18, WIRES = 1024 };

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

static const struct estab_fd_calls kernel_calls = {
    socket, connect, getsockopt, setsockopt, sendmsg, recvmsg, fcntl, ppoll, epoll_ctl, close};
static const struct estab_fd_wires kernel_wires = {.epoll = -1};

static const struct estab_fd_calls *calls_of(void *ctx)
{
    const struct estab_fd_wires *w = ctx;

    return w->calls ? w->calls : &kernel_calls;
}

/* Options that a descriptor of another kind (a socket pair) does not have are left alone. */
static int prepare(void *ctx, int fd, void *user)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = user};
    const struct estab_fd_calls *k = calls_of(ctx);
    int set = ((const struct estab_fd_wires *)ctx)->epoll, flags = k->fcntl(fd, F_GETFL), one = 1;

    if (flags < 0 || k->fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_of(errno);
    (void)k->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (set >= 0 && k->epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) < 0)
        return error_of(errno);
    return 0;
}

static int fd_adopt(void *ctx, estab_wire w, void *user)
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

static int fd_open(void *ctx, const struct estab_addr *peer, void *user, estab_wire *out)
{
    struct sockaddr_storage to;
    socklen_t len = to_sockaddr(&to, peer);
    const struct estab_fd_calls *k = calls_of(ctx);
    int fd = k->socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

    if (fd < 0)
        return error_of(errno);
    err = prepare(ctx, fd, user);
    if (!err && k->connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
        err = error_of(errno);
    if (err) {
        k->close(fd);
        return err;
    }
    *out = (estab_wire)fd;
    return 0;
}

static int fd_opened(void *ctx, estab_wire w)
{
    struct pollfd p = {.fd = (int)w, .events = POLLOUT};
    struct timespec at_once = {0};
    int e = 0;
    socklen_t len = sizeof e;

    if (calls_of(ctx)->ppoll(&p, 1, &at_once, NULL) <= 0)
        return ESTAB_E_INPROGRESS;
    if (calls_of(ctx)->getsockopt((int)w, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
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

static ptrdiff_t fd_send(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    struct iovec pieces[PIECES];
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = to_pieces(pieces, iov, niov)};
    ssize_t n = calls_of(ctx)->sendmsg((int)w, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

    return n < 0 ? error_of(errno) : n;
}

static ptrdiff_t fd_recv(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    struct iovec pieces[PIECES];
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = to_pieces(pieces, iov, niov)};
    ssize_t n = calls_of(ctx)->recvmsg((int)w, &m, MSG_DONTWAIT);

    return n < 0 ? error_of(errno) : n;
}

/* Closing with nothing to linger for resets the connection: close(2), socket(7). */
static void fd_close(void *ctx, estab_wire w, bool abort)
{
    struct linger reset = {.l_onoff = 1};

    if (abort)
        (void)calls_of(ctx)->setsockopt((int)w, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    calls_of(ctx)->close((int)w);
}

static short poll_mask(uint32_t mask)
{
    return (short)((mask & ESTAB_EV_IN ? POLLIN : 0) | (mask & ESTAB_EV_OUT ? POLLOUT : 0));
}

static int fd_wait(void *ctx, const struct estab_wire_wait *w, size_t n, estab_dur within)
{
    struct pollfd fds[WIRES];
    estab_dur most =
        n > WIRES ? ESTAB_MS(1) : ESTAB_S(86400); /* the rest is looked at that often */
    struct timespec t;

    most = within < most ? within : most;
    t = (struct timespec){(time_t)(most / ESTAB_S(1)), (long)(most % ESTAB_S(1))};
    if (n > WIRES)
        n = WIRES;
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = (int)w[i].wire, .events = poll_mask(w[i].mask)};
    return calls_of(ctx)->ppoll(fds, n, &t, NULL) < 0 && errno != EINTR ? error_of(errno) : 0;
}

void estab_transport_fd(struct estab_transport *t, const struct estab_fd_wires *w)
{
    *t = (struct estab_transport){
        .ctx = (void *)(uintptr_t)(w ? w : &kernel_wires), /* only read */
        .open = fd_open,
        .adopt = fd_adopt,
        .opened = fd_opened,
        .send = fd_send,
        .recv = fd_recv,
        .close = fd_close,
        .wait = fd_wait,
    };
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_diff_test.c - the same calls on the kernel's sockets and on estab's, and what differs.
 *
 * calls.tab is the table.  Each sequence runs on the kernel's loopback, and on two estab stacks
 * with a link in memory between them, in virtual time; over IPv4 and over IPv6.  Every step writes
 * one word or several: what the call returned, its errno, the octets, the readiness.  The two texts
 * must be the same, but where the table names a difference and its reason; a difference that is
 * named and not there is a failure too.
 *
 * ESTAB_DIFF=NAME runs one sequence and shows both texts. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <estab/posix.h>

#define F(name) estab_posix_##name

/* ---- the two worlds ---- */

struct calls {
    int (*socket)(int, int, int);
    int (*bind)(int, const struct sockaddr *, socklen_t);
    int (*listen)(int, int);
    int (*accept4)(int, struct sockaddr *, socklen_t *, int);
    int (*connect)(int, const struct sockaddr *, socklen_t);
    int (*shutdown)(int, int);
    int (*close)(int);
    int (*getsockname)(int, struct sockaddr *, socklen_t *);
    int (*getpeername)(int, struct sockaddr *, socklen_t *);
    int (*getsockopt)(int, int, int, void *, socklen_t *);
    int (*setsockopt)(int, int, int, const void *, socklen_t);
    ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*readv)(int, const struct iovec *, int);
    ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*writev)(int, const struct iovec *, int);
    int (*poll)(struct pollfd *, nfds_t, int);
    int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    int (*epoll_create1)(int);
    int (*epoll_ctl)(int, int, int, struct epoll_event *);
    int (*epoll_wait)(int, struct epoll_event *, int, int);
    int (*ioctl)(int, unsigned long, ...);
    int (*fcntl)(int, int, ...);
    int (*dup)(int);
};
static const struct calls kernel = {
    socket,        bind,        listen,     accept4,    connect,  shutdown, close,
    getsockname,   getpeername, getsockopt, setsockopt, recvfrom, recvmsg,  read,
    readv,         sendto,      sendmsg,    write,      writev,   poll,     select,
    epoll_create1, epoll_ctl,   epoll_wait, ioctl,      fcntl,    dup,
};
static const struct calls estab = {
    F(socket),  F(bind),        F(listen),      F(accept4),       F(connect),    F(shutdown),
    F(close),   F(getsockname), F(getpeername), F(getsockopt),    F(setsockopt), F(recvfrom),
    F(recvmsg), F(read),        F(readv),       F(sendto),        F(sendmsg),    F(write),
    F(writev),  F(poll),        F(select),      F(epoll_create1), F(epoll_ctl),  F(epoll_wait),
    F(ioctl),   F(fcntl),       F(dup),
};

enum { NAMES_MAX = 24, TEXT_MAX = 8192 };

struct world {
    const struct calls *c;
    int family;
    estab_posix *ends[2]; /* estab's; sockets named l... and s... are made on the second */
    struct estab_virtual v;
    struct {
        char name[8];
        int fd;
        struct sockaddr_storage at; /* of a listener */
        socklen_t at_len;
    } names[NAMES_MAX];
    int nnames;
    char text[TEXT_MAX];
    size_t len;
};

static volatile sig_atomic_t sigpipes;

static void on_sigpipe(int sig)
{
    (void)sig;
    sigpipes++;
}

static void put(struct world *w, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(w->text + w->len, TEXT_MAX - w->len, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < TEXT_MAX - w->len);
    w->len += (size_t)n;
}

static const char *errno_name(int e)
{
    static const struct {
        int e;
        const char *name;
    } names[] = {
#define E(x) {x, #x}
        E(EAGAIN),       E(EBADF),        E(EINVAL),       E(ENOMEM),          E(EADDRINUSE),
        E(ENOTCONN),     E(EISCONN),      E(ECONNREFUSED), E(ECONNRESET),      E(ETIMEDOUT),
        E(EHOSTUNREACH), E(ENETUNREACH),  E(EPIPE),        E(EINPROGRESS),     E(EADDRNOTAVAIL),
        E(EOPNOTSUPP),   E(EALREADY),     E(EFAULT),       E(EAFNOSUPPORT),    E(ENOTSOCK),
        E(ENOPROTOOPT),  E(EDOM),         E(ENOENT),       E(EEXIST),          E(ECONNABORTED),
        E(EMSGSIZE),     E(EDESTADDRREQ), E(ENOTTY),       E(ESOCKTNOSUPPORT), E(EPROTONOSUPPORT),
        E(EDEADLK),      E(EINTR),        E(EIO),          E(ENETDOWN),        E(ENOSPC),
        E(EPERM),        E(EACCES),
#undef E
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].e == e)
            return names[i].name;
    return strerror(e);
}

/* A result: a number, or an errno, and whether SIGPIPE came. */
static void put_result(struct world *w, long ret)
{
    int e = errno;

    if (ret < 0)
        put(w, "%s", errno_name(e));
    else
        put(w, "%ld", ret);
    if (sigpipes)
        put(w, "+SIGPIPE");
    sigpipes = 0;
}

static int place_of(struct world *w, const char *name)
{
    for (int i = 0; i < w->nnames; i++)
        if (strcmp(w->names[i].name, name) == 0)
            return i;
    assert_true(w->nnames < NAMES_MAX && strlen(name) < sizeof w->names[0].name);
    strcpy(w->names[w->nnames].name, name);
    w->names[w->nnames].fd = -1;
    return w->nnames++;
}

static int fd_of(struct world *w, const char *name)
{
    return w->names[place_of(w, name)].fd;
}

/* A number that was closed may be another descriptor's by now; a name goes on meaning nothing. */
static int new_socket(struct world *w, const char *name, bool server, int family, int type)
{
    int i = place_of(w, name);

    if (w->c == &estab)
        estab_posix_use(w->ends[server]);
    w->names[i].fd = w->c->socket(family, type, 0);
    return w->names[i].fd;
}

/* The address of one end, by the end's letter. */
static socklen_t end_addr(const struct world *w, char end, uint16_t port,
                          struct sockaddr_storage *sa)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool server = end == 'l' || end == 's';

    memset(sa, 0, sizeof *sa);
    if (w->c == &kernel) {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in6.sin6_addr = in6addr_loopback;
    } else {
        in.sin_addr.s_addr = htonl(server ? 0x0a000002 : 0x0a000001);
        in6.sin6_addr.s6_addr[0] = 0xfd;
        in6.sin6_addr.s6_addr[15] = server ? 2 : 1;
    }
    if (w->family == AF_INET)
        memcpy(sa, &in, sizeof in);
    else
        memcpy(sa, &in6, sizeof in6);
    return w->family == AF_INET ? sizeof in : sizeof in6;
}

/* ---- the language: one function for each verb ---- */

enum { ARGS = 8 };
struct step {
    int n;
    char *arg[ARGS]; /* arg[0] is the verb */
};

static const char *arg(const struct step *s, int i)
{
    return i < s->n ? s->arg[i] : "";
}

static bool has(const struct step *s, const char *word)
{
    for (int i = 1; i < s->n; i++)
        if (strcmp(s->arg[i], word) == 0)
            return true;
    return false;
}

struct word {
    const char *name;
    unsigned long value;
};
static const struct word msg_flags[] = {
    {"peek", MSG_PEEK},         {"dontwait", MSG_DONTWAIT}, {"waitall", MSG_WAITALL},
    {"nosignal", MSG_NOSIGNAL}, {"more", MSG_MORE},         {"oob", MSG_OOB},
    {"trunc", MSG_TRUNC},       {"errqueue", MSG_ERRQUEUE}, {NULL, 0},
};
static const struct word poll_bits[] = {
    {"in", POLLIN},   {"pri", POLLPRI},     {"out", POLLOUT},   {"err", POLLERR},
    {"hup", POLLHUP}, {"rdhup", POLLRDHUP}, {"nval", POLLNVAL}, {NULL, 0},
};
static const struct word epoll_bits[] = {
    {"in", EPOLLIN},   {"pri", EPOLLPRI},         {"out", EPOLLOUT},
    {"err", EPOLLERR}, {"hup", EPOLLHUP},         {"rdhup", EPOLLRDHUP},
    {"et", EPOLLET},   {"oneshot", EPOLLONESHOT}, {"excl", EPOLLEXCLUSIVE},
    {NULL, 0},
};

static unsigned long words(const struct step *s, int from, const struct word *table)
{
    unsigned long v = 0;

    for (int i = from; i < s->n; i++)
        for (const struct word *k = table; k->name; k++)
            if (strcmp(s->arg[i], k->name) == 0)
                v |= k->value;
    return v;
}

static void put_words(struct world *w, unsigned long v, const struct word *table)
{
    bool any = false;

    for (const struct word *k = table; k->name; k++)
        if (v & k->value) {
            put(w, "%s%s", any ? "|" : "", k->name);
            any = true;
        }
    if (!any)
        put(w, "none");
}

/* sock NAME [nb] [dgram] [4|6]: a socket */
static void do_sock(struct world *w, const struct step *s)
{
    int type = (has(s, "dgram") ? SOCK_DGRAM : SOCK_STREAM) | (has(s, "nb") ? SOCK_NONBLOCK : 0);
    int family = has(s, "4") ? AF_INET : has(s, "6") ? AF_INET6 : w->family;

    put_result(w, new_socket(w, arg(s, 1), strchr("ls", *arg(s, 1)), family, type) < 0 ? -1 : 0);
}

/* socket FAMILY TYPE PROTOCOL, as numbers: made and closed */
static void do_socket(struct world *w, const struct step *s)
{
    int fd = w->c->socket(atoi(arg(s, 1)), atoi(arg(s, 2)), atoi(arg(s, 3)));

    put_result(w, fd < 0 ? -1 : 0);
    if (fd >= 0)
        w->c->close(fd);
}

static void remember(struct world *w, const char *name)
{
    int i = place_of(w, name);

    w->names[i].at_len = sizeof w->names[i].at;
    (void)w->c->getsockname(w->names[i].fd, (struct sockaddr *)&w->names[i].at,
                            &w->names[i].at_len);
}

/* bind NAME [any] [PORT]: to its end's address; what it got can be connected to */
static void do_bind(struct world *w, const struct step *s)
{
    struct sockaddr_storage sa;
    bool any = has(s, "any");
    socklen_t len = end_addr(w, *arg(s, 1), (uint16_t)atoi(arg(s, any ? 3 : 2)), &sa);

    if (any && w->family == AF_INET)
        ((struct sockaddr_in *)&sa)->sin_addr.s_addr = 0;
    else if (any)
        memset(&((struct sockaddr_in6 *)&sa)->sin6_addr, 0, 16);
    put_result(w, w->c->bind(fd_of(w, arg(s, 1)), (struct sockaddr *)&sa, len));
    remember(w, arg(s, 1));
}

/* bindlike NAME OTHER: to the address and port that OTHER has */
static void do_bindlike(struct world *w, const struct step *s)
{
    int o = place_of(w, arg(s, 2));

    put_result(
        w, w->c->bind(fd_of(w, arg(s, 1)), (struct sockaddr *)&w->names[o].at, w->names[o].at_len));
    remember(w, arg(s, 1));
}

/* bindfar NAME: to an address that nobody here has */
static void do_bindfar(struct world *w, const struct step *s)
{
    struct sockaddr_storage sa;
    socklen_t len = end_addr(w, 'l', 0, &sa);

    if (w->family == AF_INET)
        ((struct sockaddr_in *)&sa)->sin_addr.s_addr = htonl(0xc6336401);
    else
        ((struct sockaddr_in6 *)&sa)->sin6_addr.s6_addr[1] = 0x55;
    put_result(w, w->c->bind(fd_of(w, arg(s, 1)), (struct sockaddr *)&sa, len));
}

static void do_listen(struct world *w, const struct step *s)
{
    put_result(w, w->c->listen(fd_of(w, arg(s, 1)), s->n > 2 ? atoi(arg(s, 2)) : 8));
    remember(w, arg(s, 1));
}

/* connect NAME TO [short|badfamily|null]: to where TO is bound; "closed": to a port where nobody
 * listens; "unspec": AF_UNSPEC */
static void do_connect(struct world *w, const struct step *s)
{
    const char *to = arg(s, 2);
    struct sockaddr_storage sa;
    socklen_t len;
    int i;

    if (strcmp(to, "closed") == 0) {
        len = end_addr(w, 's', 1, &sa);
    } else if (strcmp(to, "unspec") == 0) {
        memset(&sa, 0, sizeof sa);
        len = sizeof(struct sockaddr_in);
    } else {
        i = place_of(w, to);
        sa = w->names[i].at;
        len = w->names[i].at_len;
    }
    if (has(s, "short"))
        len = 4;
    if (has(s, "badfamily"))
        sa.ss_family = AF_UNIX;
    put_result(
        w, w->c->connect(fd_of(w, arg(s, 1)), has(s, "null") ? NULL : (struct sockaddr *)&sa, len));
    remember(w, arg(s, 1));
}

/* accept NAME FROM [nb] */
static void do_accept(struct world *w, const struct step *s)
{
    int i = place_of(w, arg(s, 1));

    w->names[i].fd =
        w->c->accept4(fd_of(w, arg(s, 2)), NULL, NULL, has(s, "nb") ? SOCK_NONBLOCK : 0);
    put_result(w, w->names[i].fd < 0 ? -1 : 0);
}

/* send NAME TEXT|N [FLAGS]: N octets of a pattern */
static void do_send(struct world *w, const struct step *s)
{
    static char pattern[1 << 20];
    const char *what = arg(s, 2);
    size_t n = isdigit((unsigned char)*what) ? strtoul(what, NULL, 10) : strlen(what);
    int flags = (int)words(s, 3, msg_flags), fd = fd_of(w, arg(s, 1));
    struct iovec iov[2];
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t ret;

    assert_true(n <= sizeof pattern);
    if (!*pattern)
        for (size_t i = 0; i < sizeof pattern; i++)
            pattern[i] = (char)('a' + i % 26);
    if (!isdigit((unsigned char)*what)) {
        iov[0] = (struct iovec){s->arg[2], n / 2};
        iov[1] = (struct iovec){s->arg[2] + n / 2, n - n / 2};
    } else {
        what = pattern;
        iov[0] = (struct iovec){pattern, n / 2};
        iov[1] = (struct iovec){pattern + n / 2, n - n / 2};
    }
    if (strcmp(s->arg[0], "write") == 0)
        ret = w->c->write(fd, what, n);
    else if (strcmp(s->arg[0], "writev") == 0)
        ret = w->c->writev(fd, iov, 2);
    else if (strcmp(s->arg[0], "sendmsg") == 0)
        ret = w->c->sendmsg(fd, &m, flags);
    else
        ret = w->c->sendto(fd, what, n, flags, NULL, 0);
    put_result(w, ret);
}

/* fill NAME: sends without waiting until there is no room; says that there is none */
static void do_fill(struct world *w, const struct step *s)
{
    static const char zeros[65536];
    ssize_t n;

    do
        n = w->c->sendto(fd_of(w, arg(s, 1)), zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL,
                         NULL, 0);
    while (n > 0);
    put_result(w, n);
}

/* drain NAME: reads without waiting while there is something */
static void do_drain(struct world *w, const struct step *s)
{
    static char bin[65536];
    ssize_t n;

    do
        n = w->c->recvfrom(fd_of(w, arg(s, 1)), bin, sizeof bin, MSG_DONTWAIT, NULL, NULL);
    while (n > 0);
    put_result(w, n);
}

/* recv NAME N [FLAGS]: and the octets, or what they add up to */
static void do_recv(struct world *w, const struct step *s)
{
    static char buf[1 << 20];
    size_t n = strtoul(arg(s, 2), NULL, 10);
    int flags = (int)words(s, 3, msg_flags), fd = fd_of(w, arg(s, 1));
    struct iovec iov[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    uint32_t sum = 0;
    ssize_t ret;

    if (strcmp(s->arg[0], "read") == 0)
        ret = w->c->read(fd, buf, n);
    else if (strcmp(s->arg[0], "readv") == 0)
        ret = w->c->readv(fd, iov, 2);
    else if (strcmp(s->arg[0], "recvmsg") == 0)
        ret = w->c->recvmsg(fd, &m, flags);
    else
        ret = w->c->recvfrom(fd, buf, n, flags, NULL, NULL);
    put_result(w, ret);
    if (ret > 0 && !(flags & MSG_TRUNC) && ret <= 32)
        put(w, ":%.*s", (int)ret, buf);
    for (ssize_t i = 0; ret > 32 && !(flags & MSG_TRUNC) && i < ret; i++)
        sum = sum * 31 + (uint8_t)buf[i];
    if (ret > 32)
        put(w, ":%08x", sum);
}

static void do_shut(struct world *w, const struct step *s)
{
    int how = has(s, "rd") ? SHUT_RD : has(s, "wr") ? SHUT_WR : has(s, "bad") ? 7 : SHUT_RDWR;

    put_result(w, w->c->shutdown(fd_of(w, arg(s, 1)), how));
}

static void do_close(struct world *w, const struct step *s)
{
    int i = place_of(w, arg(s, 1));

    put_result(w, w->c->close(w->names[i].fd));
    w->names[i].fd = 1 << 20; /* no descriptor: EBADF */
}

static void do_dup(struct world *w, const struct step *s)
{
    int fd = w->c->dup(fd_of(w, arg(s, 2)));

    w->names[place_of(w, arg(s, 1))].fd = fd;
    put_result(w, fd < 0 ? -1 : 0);
}

static void do_nb(struct world *w, const struct step *s)
{
    int fd = fd_of(w, arg(s, 1));

    put_result(w, w->c->fcntl(fd, F_SETFL, has(s, "off") ? 0 : O_NONBLOCK));
    put(w, ",%d", (w->c->fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

static void do_poll(struct world *w, const struct step *s)
{
    struct pollfd p = {.fd = fd_of(w, arg(s, 1)), .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

    (void)w->c->poll(&p, 1, 0);
    put_words(w, (unsigned short)p.revents, poll_bits);
}

/* waitin NAME: until it can be read */
static void do_waitin(struct world *w, const struct step *s)
{
    struct pollfd p = {.fd = fd_of(w, arg(s, 1)), .events = POLLIN};

    put_result(w, w->c->poll(&p, 1, 5000));
}

/* sendto NAME TO TEXT|N [FLAGS]: a datagram */
static void do_sendto(struct world *w, const struct step *s)
{
    static const char much[100000];
    int i = place_of(w, arg(s, 2));
    const char *what = arg(s, 3);
    size_t n = strlen(what);

    if (isdigit((unsigned char)*what)) {
        n = strtoul(what, NULL, 10);
        what = much;
    }
    put_result(w, w->c->sendto(fd_of(w, arg(s, 1)), what, n, (int)words(s, 4, msg_flags),
                               (struct sockaddr *)&w->names[i].at, w->names[i].at_len));
}

/* sendctl NAME TO LEVEL TYPE VALUE [LEN]: a datagram and a control message, an int unless LEN says
 * how long it is */
static void do_sendctl(struct world *w, const struct step *s)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(64)];
    } u = {0};
    int i = place_of(w, arg(s, 2)), val = atoi(arg(s, 5));
    size_t len = s->n > 6 ? strtoul(arg(s, 6), NULL, 10) : sizeof val;
    struct iovec iov = {"text", 4};
    struct msghdr m = {.msg_name = &w->names[i].at,
                       .msg_namelen = w->names[i].at_len,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = u.room,
                       .msg_controllen = CMSG_SPACE(len)};

    u.h = (struct cmsghdr){CMSG_LEN(len), atoi(arg(s, 3)), atoi(arg(s, 4))};
    memcpy(CMSG_DATA(&u.h), &val, len < sizeof val ? len : sizeof val);
    put_result(w, w->c->sendmsg(fd_of(w, arg(s, 1)), &m, 0));
}

/* Whether it is the address of the other end's socket, or what it is. */
static void put_control(struct world *w, const struct cmsghdr *h)
{
    size_t n = h->cmsg_len - CMSG_LEN(0);
    const uint8_t *data = CMSG_DATA(h);
    struct sockaddr_storage mine;
    struct in_pktinfo at;
    int val = 0;

    put(w, " %d.%d:%zu=", h->cmsg_level, h->cmsg_type, n);
    (void)end_addr(w, 'l', 0, &mine);
    if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
        put(w, "%s",
            n >= 16 && mine.ss_family == AF_INET6 &&
                    memcmp(data, &((struct sockaddr_in6 *)&mine)->sin6_addr, 16) == 0
                ? "mine"
                : "other");
    } else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO && n == sizeof at) {
        memcpy(&at, data, sizeof at);
        put(w, "%s",
            mine.ss_family == AF_INET && at.ipi_ifindex > 0 &&
                    at.ipi_addr.s_addr == ((struct sockaddr_in *)&mine)->sin_addr.s_addr &&
                    at.ipi_spec_dst.s_addr == at.ipi_addr.s_addr
                ? "mine"
                : "other");
    } else {
        memcpy(&val, data, n < sizeof val ? n : sizeof val);
        put(w, "%d", val);
    }
}

/* recvctl NAME N ROOM: and the control messages for which there is room */
static void do_recvctl(struct world *w, const struct step *s)
{
    union {
        struct cmsghdr h;
        char room[256];
    } u = {0};
    char buf[64];
    struct iovec iov = {buf, strtoul(arg(s, 2), NULL, 10)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = u.room,
                       .msg_controllen = strtoul(arg(s, 3), NULL, 10)};
    ssize_t n = w->c->recvmsg(fd_of(w, arg(s, 1)), &m, 0);

    put_result(w, n);
    if (n < 0)
        return;
    put(w, " flags %x len %zu", (unsigned)m.msg_flags, m.msg_controllen);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        put_control(w, h);
}

/* recvfrom NAME N [FLAGS]: and whether it came from one of the ends */
static void do_recvfrom(struct world *w, const struct step *s)
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof from;
    char buf[4096];
    ssize_t n = w->c->recvfrom(fd_of(w, arg(s, 1)), buf, strtoul(arg(s, 2), NULL, 10),
                               (int)words(s, 3, msg_flags), (struct sockaddr *)&from, &len);

    put_result(w, n);
    if (n > 0 && n < 32 && !has(s, "trunc"))
        put(w, ":%.*s", (int)n, buf);
    if (n >= 0)
        put(w, " from %d/%u", from.ss_family, (unsigned)len);
}

static void do_select(struct world *w, const struct step *s)
{
    int fd = fd_of(w, arg(s, 1)), ret;
    fd_set r, o, e;
    struct timeval t = {0, 0};

    FD_ZERO(&r);
    FD_ZERO(&o);
    FD_ZERO(&e);
    if (fd < FD_SETSIZE) {
        FD_SET(fd, &r);
        FD_SET(fd, &o);
        FD_SET(fd, &e);
    }
    ret = w->c->select(fd < FD_SETSIZE ? fd + 1 : 0, &r, &o, &e, &t);
    put_result(w, ret);
    if (ret > 0)
        put(w, ":%s%s%s", FD_ISSET(fd, &r) ? "r" : "", FD_ISSET(fd, &o) ? "w" : "",
            FD_ISSET(fd, &e) ? "x" : "");
}

/* ep NAME: an epoll set; epadd, epmod SET NAME BITS; epdel SET NAME; epwait SET [MAX] */
static void do_ep(struct world *w, const struct step *s)
{
    int fd = w->c->epoll_create1(0);

    w->names[place_of(w, arg(s, 1))].fd = fd;
    put_result(w, fd < 0 ? -1 : 0);
}

static void do_epctl(struct world *w, const struct step *s)
{
    int op = strcmp(s->arg[0], "epadd") == 0   ? EPOLL_CTL_ADD
             : strcmp(s->arg[0], "epmod") == 0 ? EPOLL_CTL_MOD
                                               : EPOLL_CTL_DEL;
    struct epoll_event e = {.events = (uint32_t)words(s, 3, epoll_bits),
                            .data.u32 = (uint32_t)place_of(w, arg(s, 2))};

    put_result(w, w->c->epoll_ctl(fd_of(w, arg(s, 1)), op, fd_of(w, arg(s, 2)), &e));
}

static void do_epwait(struct world *w, const struct step *s)
{
    struct epoll_event e[NAMES_MAX];
    int max = s->n > 2 ? atoi(arg(s, 2)) : NAMES_MAX;
    int n = w->c->epoll_wait(fd_of(w, arg(s, 1)), e, max, 0);

    put_result(w, n);
    for (int name = 0; name < w->nnames; name++) /* in one order, whatever the set's is */
        for (int i = 0; i < n; i++)
            if (e[i].data.u32 == (uint32_t)name) {
                put(w, " %s:", w->names[name].name);
                put_words(w, e[i].events, epoll_bits);
            }
}

static const struct opt {
    const char *name;
    int level, opt;
} opts[] = {
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE},
    {"sndbuf", SOL_SOCKET, SO_SNDBUF},
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF},
    {"rcvlowat", SOL_SOCKET, SO_RCVLOWAT},
    {"error", SOL_SOCKET, SO_ERROR},
    {"type", SOL_SOCKET, SO_TYPE},
    {"domain", SOL_SOCKET, SO_DOMAIN},
    {"protocol", SOL_SOCKET, SO_PROTOCOL},
    {"acceptconn", SOL_SOCKET, SO_ACCEPTCONN},
    {"oobinline", SOL_SOCKET, SO_OOBINLINE},
    {"broadcast", SOL_SOCKET, SO_BROADCAST},
    {"priority", SOL_SOCKET, SO_PRIORITY},
    {"maxpacing", SOL_SOCKET, SO_MAX_PACING_RATE},
    {"nodelay", IPPROTO_TCP, TCP_NODELAY},
    {"cork", IPPROTO_TCP, TCP_CORK},
    {"quickack", IPPROTO_TCP, TCP_QUICKACK},
    {"keepidle", IPPROTO_TCP, TCP_KEEPIDLE},
    {"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL},
    {"keepcnt", IPPROTO_TCP, TCP_KEEPCNT},
    {"usertimeout", IPPROTO_TCP, TCP_USER_TIMEOUT},
    {"maxseg", IPPROTO_TCP, TCP_MAXSEG},
    {"deferaccept", IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {"fastopen", IPPROTO_TCP, TCP_FASTOPEN},
    {"notsentlowat", IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    {"v6only", IPPROTO_IPV6, IPV6_V6ONLY},
    {"hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {"tclass", IPPROTO_IPV6, IPV6_TCLASS},
    {"tos", IPPROTO_IP, IP_TOS},
    {"ttl", IPPROTO_IP, IP_TTL},
    {"pktinfo", IPPROTO_IP, IP_PKTINFO},
    {"recvttl", IPPROTO_IP, IP_RECVTTL},
    {"recvtos", IPPROTO_IP, IP_RECVTOS},
    {"recvpktinfo", IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {"recvhops", IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {"recvtclass", IPPROTO_IPV6, IPV6_RECVTCLASS},
    {"nosuch", IPPROTO_TCP, 999},
    {"nolevel", 12345, 1},
};

static const struct opt *opt_of(const char *name)
{
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++)
        if (strcmp(opts[i].name, name) == 0)
            return &opts[i];
    fail_msg("no option %s", name);
    return NULL;
}

/* set NAME OPTION VALUE [short]; get NAME OPTION [LEN]; error is by name */
static void do_set(struct world *w, const struct step *s)
{
    const struct opt *o = opt_of(arg(s, 2));
    int val = atoi(arg(s, 3));

    put_result(w, w->c->setsockopt(fd_of(w, arg(s, 1)), o->level, o->opt, &val,
                                   has(s, "short") ? 2 : sizeof val));
}

static void do_get(struct world *w, const struct step *s)
{
    const struct opt *o = opt_of(arg(s, 2));
    socklen_t len = s->n > 3 ? (socklen_t)atoi(arg(s, 3)) : sizeof(int);
    int val = 0, ret = w->c->getsockopt(fd_of(w, arg(s, 1)), o->level, o->opt, &val, &len);

    put_result(w, ret);
    if (ret == 0 && o->opt == SO_ERROR && o->level == SOL_SOCKET && val)
        put(w, ":%s", errno_name(val));
    else if (ret == 0)
        put(w, ":%d/%u", val, (unsigned)len);
}

/* timeo NAME rcv|snd MS */
static void do_timeo(struct world *w, const struct step *s)
{
    long ms = atol(arg(s, 3));
    struct timeval t = {ms / 1000, ms % 1000 * 1000}, back = {0};
    socklen_t len = sizeof back;
    int opt = has(s, "rcv") ? SO_RCVTIMEO : SO_SNDTIMEO;

    put_result(w, w->c->setsockopt(fd_of(w, arg(s, 1)), SOL_SOCKET, opt, &t,
                                   has(s, "short") ? 4 : sizeof t));
    if (w->c->getsockopt(fd_of(w, arg(s, 1)), SOL_SOCKET, opt, &back, &len) == 0)
        put(w, ":%ld/%u", (long)(back.tv_sec * 1000 + (back.tv_usec + 500) / 1000), (unsigned)len);
}

/* linger NAME ONOFF SECONDS; what is said of a negative one depends on the kernel's HZ */
static void do_linger(struct world *w, const struct step *s)
{
    struct linger l = {atoi(arg(s, 2)), atoi(arg(s, 3))}, back = {0};
    socklen_t len = sizeof back;

    put_result(w, w->c->setsockopt(fd_of(w, arg(s, 1)), SOL_SOCKET, SO_LINGER, &l, sizeof l));
    if (w->c->getsockopt(fd_of(w, arg(s, 1)), SOL_SOCKET, SO_LINGER, &back, &len) == 0)
        put(w, ":%d,%d", back.l_onoff, l.l_linger < 0 ? l.l_linger : back.l_linger);
}

/* cc NAME [NEW] */
static void do_cc(struct world *w, const struct step *s)
{
    char name[16] = "";
    socklen_t len = sizeof name;
    int fd = fd_of(w, arg(s, 1));

    if (s->n > 2)
        put_result(w, w->c->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, arg(s, 2),
                                       (socklen_t)strlen(arg(s, 2))));
    else if (w->c->getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0)
        put(w, "%u", (unsigned)len);
    else
        put_result(w, -1);
}

/* info NAME: the state, as TCP_INFO has it */
static void do_info(struct world *w, const struct step *s)
{
    struct tcp_info i = {0};
    socklen_t len = sizeof i;
    int ret = w->c->getsockopt(fd_of(w, arg(s, 1)), IPPROTO_TCP, TCP_INFO, &i, &len);

    put_result(w, ret);
    if (ret == 0)
        put(w, ":state%d,%u", i.tcpi_state, (unsigned)len);
}

/* fionread, outq, atmark NAME */
static void do_ioctl(struct world *w, const struct step *s)
{
    unsigned long req = strcmp(s->arg[0], "fionread") == 0 ? FIONREAD
                        : strcmp(s->arg[0], "outq") == 0   ? SIOCOUTQ
                        : strcmp(s->arg[0], "atmark") == 0 ? SIOCATMARK
                                                           : 0x5499;
    int val = 0, ret = w->c->ioctl(fd_of(w, arg(s, 1)), req, &val);

    put_result(w, ret);
    if (ret == 0)
        put(w, ":%d", val);
}

static void do_fionbio(struct world *w, const struct step *s)
{
    int on = !has(s, "off");

    put_result(w, w->c->ioctl(fd_of(w, arg(s, 1)), FIONBIO, &on));
}

/* sockname, peername NAME [LEN]: whose address, and what kind of port */
static void do_name(struct world *w, const struct step *s)
{
    struct sockaddr_storage sa = {0}, ends[2];
    socklen_t len = s->n > 2 ? (socklen_t)atoi(arg(s, 2)) : sizeof sa;
    int fd = fd_of(w, arg(s, 1)), ret;
    uint16_t port;
    const char *who = "far";
    size_t at = w->family == AF_INET ? offsetof(struct sockaddr_in, sin_addr)
                                     : offsetof(struct sockaddr_in6, sin6_addr);
    size_t n = w->family == AF_INET ? 4 : 16;
    static const char zeros[16];

    ret = strcmp(s->arg[0], "sockname") == 0 ? w->c->getsockname(fd, (struct sockaddr *)&sa, &len)
                                             : w->c->getpeername(fd, (struct sockaddr *)&sa, &len);
    put_result(w, ret);
    if (ret < 0)
        return;
    (void)end_addr(w, 'c', 0, &ends[0]);
    (void)end_addr(w, 's', 0, &ends[1]);
    if (memcmp((char *)&sa + at, zeros, n) == 0)
        who = "any";
    else if (memcmp((char *)&sa + at, (char *)&ends[0] + at, n) == 0 ||
             memcmp((char *)&sa + at, (char *)&ends[1] + at, n) == 0)
        who = "end";
    memcpy(&port, (char *)&sa + 2, 2);
    put(w, ":%d,%s,%s,%u", sa.ss_family, who, port ? "port" : "0", (unsigned)len);
}

/* pair C S [nb]: two connected ends by way of a listener that is closed then */
static void do_pair(struct world *w, const struct step *s)
{
    struct sockaddr_storage sa;
    socklen_t len = end_addr(w, 'l', 0, &sa);
    int l = new_socket(w, "l.", true, w->family, SOCK_STREAM), c;

    assert_true(l >= 0);
    assert_int_equal(w->c->bind(l, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(w->c->listen(l, 1), 0);
    remember(w, "l.");
    c = new_socket(w, arg(s, 1), false, w->family, SOCK_STREAM);
    assert_true(c >= 0);
    assert_int_equal(w->c->connect(c, (struct sockaddr *)&w->names[place_of(w, "l.")].at, len), 0);
    w->names[place_of(w, arg(s, 2))].fd = w->c->accept4(l, NULL, NULL, 0);
    assert_true(fd_of(w, arg(s, 2)) >= 0);
    if (has(s, "nb"))
        for (int i = 1; i <= 2; i++)
            (void)w->c->fcntl(fd_of(w, arg(s, i)), F_SETFL, O_NONBLOCK);
    assert_int_equal(w->c->close(l), 0);
    w->names[place_of(w, "l.")].fd = -1;
    put(w, "ok");
}

static const struct verb {
    const char *name;
    void (*run)(struct world *w, const struct step *s);
} verbs[] = {
    {"sock", do_sock},         {"socket", do_socket},   {"bind", do_bind},
    {"bindlike", do_bindlike}, {"bindfar", do_bindfar}, {"listen", do_listen},
    {"connect", do_connect},   {"accept", do_accept},   {"send", do_send},
    {"sendmsg", do_send},      {"write", do_send},      {"writev", do_send},
    {"fill", do_fill},         {"drain", do_drain},     {"sendctl", do_sendctl},
    {"recvctl", do_recvctl},   {"recv", do_recv},       {"recvmsg", do_recv},
    {"read", do_recv},         {"readv", do_recv},      {"shut", do_shut},
    {"close", do_close},       {"dup", do_dup},         {"nb", do_nb},
    {"poll", do_poll},         {"select", do_select},   {"ep", do_ep},
    {"epadd", do_epctl},       {"epmod", do_epctl},     {"epdel", do_epctl},
    {"epwait", do_epwait},     {"set", do_set},         {"get", do_get},
    {"timeo", do_timeo},       {"linger", do_linger},   {"cc", do_cc},
    {"info", do_info},         {"fionread", do_ioctl},  {"outq", do_ioctl},
    {"atmark", do_ioctl},      {"badioctl", do_ioctl},  {"fionbio", do_fionbio},
    {"sockname", do_name},     {"peername", do_name},   {"pair", do_pair},
    {"waitin", do_waitin},     {"sendto", do_sendto},   {"recvfrom", do_recvfrom},
};

static void run_step(struct world *w, char *text)
{
    struct step s = {0};
    char *word;

    put(w, "  %-28s -> ", text);
    while ((word = strsep(&text, " \t")))
        if (*word) {
            assert_true(s.n < ARGS);
            s.arg[s.n++] = word;
        }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, s.arg[0]) == 0) {
            errno = 0;
            verbs[i].run(w, &s);
            put(w, "\n");
            return;
        }
    fail_msg("no verb %s", s.arg[0]);
}

static void advance(void *ctx, estab_time until)
{
    ((struct estab_virtual *)ctx)->now = until;
}

static void open_ends(struct world *w)
{
    static const char *const addrs[2][2] = {{"10.0.0.1/24", "fd00::1/64"},
                                            {"10.0.0.2/24", "fd00::2/64"}};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 65535};
    struct estab_posix_config c;
    estab_link *ends[2];
    struct estab_env env;
    char err[ESTAB_ERRLEN];

    estab_virtual_env(&env, &w->v, 7);
    w->v.now = ESTAB_S(1000);
    estab_posix_config_init(&c);
    c.env = &env;
    c.advance = advance;
    c.ctx = &w->v;
    c.mirror = ESTAB_MIRROR_NEVER;
    assert_int_equal(estab_link_pair(ends, &caps, 64), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_posix_new(&w->ends[i], &c, err), 0);
        assert_int_equal(estab_posix_attach(w->ends[i], ends[i], err), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(estab_posix_addr(w->ends[i], 0, addrs[i][k], err), 0);
        c.with = w->ends[0];
    }
}

/* Runs a sequence, its steps between semicolons, and leaves its text in w. */
static void run_on(struct world *w, const struct calls *c, int family, const char *steps)
{
    char *copy = strdup(steps), *rest = copy, *step;

    memset(w, 0, sizeof *w);
    w->c = c;
    w->family = family;
    if (c == &estab)
        open_ends(w);
    while ((step = strsep(&rest, ";"))) {
        while (isspace((unsigned char)*step))
            step++;
        for (size_t n = strlen(step); n > 0 && isspace((unsigned char)step[n - 1]);)
            step[--n] = '\0';
        if (*step)
            run_step(w, step);
    }
    for (int i = 0; i < w->nnames; i++)
        if (w->names[i].fd >= 0 && w->names[i].fd < 1 << 20) {
            struct linger now = {1, 0}; /* leave nothing in the kernel's TIME-WAIT */

            (void)c->setsockopt(w->names[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            c->close(w->names[i].fd);
        }
    if (c == &estab) {
        estab_posix_use(NULL);
        estab_posix_free(w->ends[0]);
        estab_posix_free(w->ends[1]);
        assert_int_equal(w->v.live, 0);
    }
    free(copy);
}

/* ---- the table ---- */

struct line {
    char *name, *steps;
};
struct table {
    struct line states[64], calls[96], seqs[512], differ[256];
    size_t nstates, ncalls, nseqs, ndiffer;
    bool seen[256]; /* of differ */
};

static void keep_line(struct line *to, size_t *n, size_t max, char *text)
{
    char *colon = strchr(text, ':');

    assert_non_null(colon);
    assert_true(*n < max);
    *colon = '\0';
    to[(*n)++] = (struct line){strdup(text), strdup(colon + 1)};
}

/* A line that begins with white space goes on with the one before. */
static void read_table(struct table *t)
{
    FILE *f = fopen(TABLE, "r");
    char line[4096] = "", next[2048] = "", *kind, *rest;
    bool more = true;

    assert_non_null(f);
    while (more) {
        more = fgets(next, sizeof next, f) != NULL;
        next[strcspn(next, "\n")] = '\0';
        if (more && (*next == '#' || !*next))
            continue;
        if (more && isspace((unsigned char)*next)) {
            assert_true(strlen(line) + strlen(next) < sizeof line);
            strcat(line, next);
            continue;
        }
        rest = line;
        kind = strsep(&rest, " ");
        if (strcmp(kind, "state") == 0)
            keep_line(t->states, &t->nstates, 64, rest);
        else if (strcmp(kind, "call") == 0)
            keep_line(t->calls, &t->ncalls, 96, rest);
        else if (strcmp(kind, "seq") == 0)
            keep_line(t->seqs, &t->nseqs, 512, rest);
        else if (strcmp(kind, "differ") == 0)
            keep_line(t->differ, &t->ndiffer, 256, rest);
        else
            assert_true(!*kind);
        strcpy(line, more ? next : "");
    }
    fclose(f);
}

static void free_lines(struct line *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(l[i].name);
        free(l[i].steps);
    }
}

/* "shut-wr/recv", "*" for either part. */
static bool matches(const char *pattern, const char *name)
{
    const char *slash = strchr(pattern, '/'), *at = strchr(name, '/');
    size_t first = slash ? (size_t)(slash - pattern) : 0;

    if (!slash || !at)
        return strcmp(pattern, name) == 0;
    if (strncmp(pattern, "*/", 2) != 0 &&
        (first != (size_t)(at - name) || strncmp(pattern, name, first) != 0))
        return false;
    return strcmp(slash + 1, "*") == 0 || strcmp(slash + 1, at + 1) == 0;
}

static bool is_kept(struct table *t, const char *name)
{
    bool kept = false;

    for (size_t i = 0; i < t->ndiffer; i++)
        if (matches(t->differ[i].name, name)) {
            t->seen[i] = true;
            kept = true;
        }
    return kept;
}

static unsigned sequences, differences, kept;

static void compare(struct table *t, const char *name, const char *steps, int family)
{
    static struct world k, e;
    const char *only = getenv("ESTAB_DIFF");
    bool same;

    if (only && strcmp(only, name) != 0)
        return;
    run_on(&k, &kernel, family, steps);
    run_on(&e, &estab, family, steps);
    same = strcmp(k.text, e.text) == 0;
    sequences++;
    if (only)
        printf("%s, IPv%d\nkernel\n%sestab\n%s", name, family == AF_INET ? 4 : 6, k.text, e.text);
    if (same)
        return;
    if (is_kept(t, name)) {
        kept++;
        return;
    }
    differences++;
    printf("%s, IPv%d\n", name, family == AF_INET ? 4 : 6);
    for (char *a = k.text, *b = e.text; *a && *b;) {
        size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");

        if (na == nb && memcmp(a, b, na) == 0)
            printf("%.*s\n", (int)na, a);
        else
            printf("%.*s   <> estab%s\n", (int)na, a, strstr(b, " -> "));
        if (na != nb || memcmp(a, b, na) != 0)
            break;
        a += na + 1;
        b += nb + 1;
    }
}

static void run_table(struct table *t, int family)
{
    char name[128], steps[4096];

    for (size_t i = 0; i < t->nstates; i++)
        for (size_t k = 0; k < t->ncalls; k++) {
            (void)snprintf(name, sizeof name, "%s/%s", t->states[i].name, t->calls[k].name);
            (void)snprintf(steps, sizeof steps, "%s; %s", t->states[i].steps, t->calls[k].steps);
            compare(t, name, steps, family);
        }
    for (size_t i = 0; i < t->nseqs; i++)
        compare(t, t->seqs[i].name, t->seqs[i].steps, family);
}

static void the_table(void **state)
{
    static struct table t;

    (void)state;
    assert_true(signal(SIGPIPE, on_sigpipe) != SIG_ERR);
    read_table(&t);
    run_table(&t, AF_INET);
    run_table(&t, AF_INET6);
    printf("%u sequences, %u differ as the table says, %u otherwise\n", sequences, kept,
           differences);
    assert_int_equal(differences, 0);
    for (size_t i = 0; i < t.ndiffer && !getenv("ESTAB_DIFF"); i++)
        if (!t.seen[i])
            fail_msg("no difference in %s", t.differ[i].name);
    free_lines(t.states, t.nstates);
    free_lines(t.calls, t.ncalls);
    free_lines(t.seqs, t.nseqs);
    free_lines(t.differ, t.ndiffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

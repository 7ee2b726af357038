/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_fork_test.c - what children do with inherited descriptors: each scenario on the kernel's
 * sockets and on estab's, and the two tell the same. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <estab/posix.h>

/* What one process of a scenario says, in a piece of memory that they share. */
struct tale {
    size_t len;
    char text[8192];
};
struct scene {
    estab_posix *p[2]; /* NULL: the kernel's sockets */
    struct tale *tale; /* mine; behind it the children's */
    struct sockaddr_in addr;
    int l, c, s;
};

__attribute__((format(printf, 2, 3))) static void say(struct scene *x, const char *fmt, ...)
{
    struct tale *t = x->tale;
    va_list ap;

    va_start(ap, fmt);
    t->len += (size_t)vsnprintf(t->text + t->len, sizeof t->text - t->len, fmt, ap);
    va_end(ap);
    t->text[t->len++] = '\n';
}

static void told(struct scene *x, const char *what, ssize_t ret)
{
    int err = errno;

    say(x, "%s: %zd%s%s", what, ret, ret < 0 ? " " : "", ret < 0 ? strerrorname_np(err) : "");
}

static int make(const struct scene *x, int end, int type)
{
    if (!x->p[0])
        return socket(AF_INET, type, 0);
    estab_posix_use(x->p[end]);
    return estab_posix_socket(AF_INET, type, 0);
}

/* A listener l, and a connection from c to s. */
static void prepare(struct scene *x)
{
    socklen_t len = sizeof x->addr;
    int on = 1;

    x->addr = (struct sockaddr_in){.sin_family = AF_INET};
    x->addr.sin_addr.s_addr = htonl(x->p[0] ? 0x0a000002 : INADDR_LOOPBACK);
    x->l = make(x, 1, SOCK_STREAM);
    assert_int_equal(estab_posix_bind(x->l, (struct sockaddr *)&x->addr, len), 0);
    assert_int_equal(estab_posix_listen(x->l, 8), 0);
    assert_int_equal(estab_posix_getsockname(x->l, (struct sockaddr *)&x->addr, &len), 0);
    x->c = make(x, 0, SOCK_STREAM);
    assert_int_equal(estab_posix_connect(x->c, (struct sockaddr *)&x->addr, len), 0);
    assert_int_equal(estab_posix_setsockopt(x->c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    x->s = estab_posix_accept(x->l, NULL, NULL);
    assert_true(x->s >= 0);
    assert_int_equal(estab_posix_setsockopt(x->s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

/* fork(), whose child does not live for ever, and keeps only one end of a connection. */
static pid_t child_of(struct scene *x)
{
    pid_t pid = fork();

    if (pid == 0) {
        alarm(30);
        x->tale++;
        estab_posix_close(x->c);
    }
    return pid;
}

static void await_end(struct scene *x, pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    say(x, "child: %s %d", WIFEXITED(status) ? "exit" : "signal",
        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void finish(struct scene *x)
{
    estab_posix_close(x->c);
    estab_posix_close(x->s);
    estab_posix_close(x->l);
}

static void read_text(struct scene *x, const char *who, int fd, size_t n, int flags)
{
    char buf[64] = "";
    ssize_t got = estab_posix_recv(fd, buf, n, flags);

    told(x, who, got);
    if (got > 0)
        say(x, "%s", buf);
}

/* ---- scenarios ---- */

static void a_server_that_forks(struct scene *x)
{
    char buf[64];
    ssize_t n;

    for (int round = 0; round < 3; round++) {
        pid_t pid;

        prepare(x);
        pid = child_of(x);
        if (pid == 0) {
            estab_posix_close(x->l);
            while ((n = estab_posix_recv(x->s, buf, sizeof buf, 0)) > 0)
                told(x, "echo", estab_posix_send(x->s, buf, (size_t)n, 0));
            told(x, "end", n);
            told(x, "close", estab_posix_close(x->s));
            _exit(0);
        }
        told(x, "close", estab_posix_close(x->s));
        told(x, "send", estab_posix_send(x->c, "hello", 5, 0));
        read_text(x, "recv", x->c, 5, MSG_WAITALL);
        told(x, "send", estab_posix_send(x->c, "you", 3, 0));
        read_text(x, "recv", x->c, 3, MSG_WAITALL);
        read_text(x, "nothing", x->c, 3, MSG_DONTWAIT);
        told(x, "shutdown", estab_posix_shutdown(x->c, SHUT_WR));
        read_text(x, "end", x->c, 3, 0);
        await_end(x, pid);
        finish(x);
    }
}

static void the_child_closes_first(struct scene *x)
{
    pid_t pid;

    prepare(x);
    pid = child_of(x);
    if (pid == 0) {
        told(x, "child", estab_posix_send(x->s, "one", 3, 0));
        told(x, "close", estab_posix_close(x->s));
        told(x, "closed", estab_posix_send(x->s, "no", 2, 0));
        _exit(0);
    }
    await_end(x, pid);
    read_text(x, "recv", x->c, 3, MSG_WAITALL);
    read_text(x, "no end", x->c, 3, MSG_DONTWAIT);
    told(x, "parent", estab_posix_send(x->s, "two", 3, 0));
    read_text(x, "recv", x->c, 3, MSG_WAITALL);
    told(x, "close", estab_posix_close(x->s));
    read_text(x, "end", x->c, 3, 0);
    finish(x);
}

static void the_parent_closes_first(struct scene *x)
{
    int go[2];
    pid_t pid;
    char octet;

    assert_int_equal(pipe(go), 0);
    prepare(x);
    pid = child_of(x);
    if (pid == 0) {
        close(go[1]);
        told(x, "wait", read(go[0], &octet, 1));
        told(x, "child", estab_posix_send(x->s, "late", 4, 0));
        _exit(0); /* which closes as well */
    }
    told(x, "close", estab_posix_close(x->s));
    read_text(x, "no end", x->c, 3, MSG_DONTWAIT);
    close(go[0]);
    close(go[1]);
    read_text(x, "recv", x->c, 4, MSG_WAITALL);
    read_text(x, "end", x->c, 3, 0);
    await_end(x, pid);
    finish(x);
}

/* A FIN when the last holder is killed, an RST if it left octets unread. */
static void a_child_is_killed(struct scene *x)
{
    for (int unread = 0; unread < 2; unread++) {
        pid_t pid;

        prepare(x);
        if (unread)
            told(x, "send", estab_posix_send(x->c, "unread", 6, 0));
        pid = child_of(x);
        if (pid == 0)
            for (;;)
                pause();
        told(x, "close", estab_posix_close(x->s));
        read_text(x, "no end", x->c, 3, MSG_DONTWAIT);
        kill(pid, SIGKILL);
        read_text(x, "end", x->c, 3, 0);
        await_end(x, pid);
        finish(x);
    }
}

static void children_accept(struct scene *x)
{
    enum { CHILDREN = 3 };
    pid_t pid[CHILDREN];
    int c, s;

    prepare(x);
    for (int i = 0; i < CHILDREN; i++) {
        pid[i] = child_of(x);
        if (pid[i] == 0) {
            struct sockaddr_in peer = {0};
            socklen_t len = sizeof peer;

            s = estab_posix_accept(x->l, (struct sockaddr *)&peer, &len);
            _exit(s >= 0 && len == sizeof peer && peer.sin_family == AF_INET &&
                          estab_posix_send(s, "mine", 4, 0) == 4
                      ? 0
                      : 1);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        c = make(x, 0, SOCK_STREAM);
        told(x, "connect", estab_posix_connect(c, (struct sockaddr *)&x->addr, sizeof x->addr));
        read_text(x, "recv", c, 4, MSG_WAITALL);
        read_text(x, "end", c, 4, 0);
        estab_posix_close(c);
    }
    for (int i = 0; i < CHILDREN; i++)
        await_end(x, pid[i]);
    finish(x);
}

static void epoll_in_the_child(struct scene *x)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 7};
    struct pollfd p;
    pid_t pid;
    int ep;

    prepare(x);
    pid = child_of(x);
    if (pid == 0) {
        ep = estab_posix_epoll_create1(0);
        told(x, "add", estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, x->s, &e));
        told(x, "nothing", estab_posix_epoll_wait(ep, &e, 1, 0));
        p = (struct pollfd){.fd = x->s, .events = POLLIN | POLLOUT};
        told(x, "poll", estab_posix_poll(&p, 1, 0));
        say(x, "revents %x", (unsigned)p.revents);
        told(x, "send", estab_posix_send(x->s, "go", 2, 0));
        told(x, "wait", estab_posix_epoll_wait(ep, &e, 1, -1));
        say(x, "events %x data %u", e.events, e.data.u32);
        read_text(x, "recv", x->s, 8, 0);
        told(x, "nothing more", estab_posix_epoll_wait(ep, &e, 1, 0));
        told(x, "send", estab_posix_send(x->s, "on", 2, 0));
        told(x, "wait", estab_posix_epoll_wait(ep, &e, 1, -1));
        read_text(x, "end", x->s, 8, 0);
        _exit(0);
    }
    read_text(x, "parent", x->c, 2, MSG_WAITALL);
    told(x, "parent", estab_posix_send(x->c, "text", 4, 0));
    read_text(x, "parent", x->c, 2, MSG_WAITALL);
    told(x, "parent", estab_posix_shutdown(x->c, SHUT_WR));
    await_end(x, pid);
    finish(x);
}

/* A datagram with a control message, which says its hop limit. */
static void send_with_ttl(struct scene *x, int fd, struct sockaddr_in *to, int ttl)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } u = {.h = {CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL}};
    struct iovec iov = {"gram", 4};
    struct msghdr m = {.msg_name = to,
                       .msg_namelen = sizeof *to,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = u.room,
                       .msg_controllen = sizeof u.room};

    memcpy(CMSG_DATA(&u.h), &ttl, sizeof ttl);
    told(x, "sendmsg", estab_posix_sendmsg(fd, &m, 0));
}

static void recv_with_ttl(struct scene *x, int fd, struct sockaddr_in *from)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } u = {0};
    char buf[8] = "";
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_name = from,
                       .msg_namelen = sizeof *from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = u.room,
                       .msg_controllen = sizeof u.room};
    int ttl;

    told(x, "recvmsg", estab_posix_recvmsg(fd, &m, 0));
    memcpy(&ttl, CMSG_DATA(&u.h), sizeof ttl);
    say(x, "%s flags %x name %u control %zu type %d ttl %d", buf, (unsigned)m.msg_flags,
        m.msg_namelen, m.msg_controllen, u.h.cmsg_type, ttl);
}

static void sockets_made_in_the_child(struct scene *x)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int u, val = 0, on = 1, fd;
    pid_t pid;

    prepare(x);
    u = make(x, 1, SOCK_DGRAM);
    a = x->addr;
    told(x, "bind", estab_posix_bind(u, (struct sockaddr *)&a, sizeof a));
    told(x, "on", estab_posix_setsockopt(u, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    pid = child_of(x);
    if (pid == 0) {
        fd = make(x, 0, SOCK_STREAM);
        told(x, "connect", estab_posix_connect(fd, (struct sockaddr *)&a, sizeof a));
        len = sizeof val;
        told(x, "type", estab_posix_getsockopt(fd, SOL_SOCKET, SO_TYPE, &val, &len));
        say(x, "%d of %u", val, len);
        val = 1;
        told(x, "set", estab_posix_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &val, sizeof val));
        len = sizeof a;
        told(x, "peer", estab_posix_getpeername(fd, (struct sockaddr *)&a, &len));
        say(x, "the listener %d", a.sin_port == x->addr.sin_port);
        told(x, "send", estab_posix_send(fd, "child", 5, 0));
        read_text(x, "recv", fd, 6, MSG_WAITALL);
        estab_posix_close(fd);
        fd = make(x, 0, SOCK_DGRAM);
        told(x, "on", estab_posix_setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
        send_with_ttl(x, fd, &x->addr, 5);
        recv_with_ttl(x, fd, &a);
        told(x, "no such", estab_posix_bind(fd, (struct sockaddr *)&a, 3));
        fd = make(x, 0, SOCK_STREAM);
        a.sin_port = htons(1);
        told(x, "refused", estab_posix_connect(fd, (struct sockaddr *)&a, sizeof a));
        _exit(0);
    }
    fd = estab_posix_accept(x->l, NULL, NULL);
    read_text(x, "parent", fd, 5, MSG_WAITALL);
    told(x, "parent", estab_posix_send(fd, "parent", 6, 0));
    recv_with_ttl(x, u, &a);
    send_with_ttl(x, u, &a, 6);
    await_end(x, pid);
    estab_posix_close(u);
    estab_posix_close(fd);
    finish(x);
}

/* The description is one, whoever has a descriptor of it. */
static void flags_are_shared(struct scene *x)
{
    struct timeval t = {.tv_usec = 20000};
    int unread = 0;
    pid_t pid;

    prepare(x);
    told(x, "limit", estab_posix_setsockopt(x->s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    told(x, "send", estab_posix_send(x->c, "abc", 3, 0));
    pid = child_of(x);
    if (pid == 0) {
        told(x, "unread", estab_posix_ioctl(x->s, FIONREAD, &unread));
        say(x, "%d", unread);
        read_text(x, "peek", x->s, 2, MSG_PEEK);
        read_text(x, "recv", x->s, 8, 0);
        read_text(x, "time is up", x->s, 8, 0);
        told(x, "flags", estab_posix_fcntl(x->s, F_GETFL) & O_NONBLOCK);
        told(x, "set", estab_posix_fcntl(x->s, F_SETFL, O_NONBLOCK));
        read_text(x, "at once", x->s, 8, 0);
        _exit(0);
    }
    await_end(x, pid);
    told(x, "flags", estab_posix_fcntl(x->s, F_GETFL) & O_NONBLOCK);
    read_text(x, "at once", x->s, 8, 0);
    finish(x);
}

static void a_grandchild(struct scene *x)
{
    pid_t pid;

    prepare(x);
    pid = child_of(x);
    if (pid == 0) {
        if (fork() > 0)
            _exit(0); /* and leaves it alone */
        read_text(x, "grandchild", x->s, 5, MSG_WAITALL);
        told(x, "grandchild", estab_posix_send(x->s, "still", 5, 0));
        _exit(0);
    }
    await_end(x, pid);
    told(x, "close", estab_posix_close(x->s));
    read_text(x, "no end", x->c, 3, MSG_DONTWAIT);
    told(x, "send", estab_posix_send(x->c, "there", 5, 0));
    read_text(x, "recv", x->c, 5, MSG_WAITALL);
    read_text(x, "end", x->c, 3, 0);
    finish(x);
}

static void descriptors_of_the_child(struct scene *x)
{
    pid_t pid;
    int fd;

    prepare(x);
    pid = child_of(x);
    if (pid == 0) {
        fd = estab_posix_dup(x->s);
        told(x, "close", estab_posix_close(x->s));
        told(x, "the other", estab_posix_send(fd, "dup", 3, 0));
        told(x, "shutdown", estab_posix_shutdown(fd, SHUT_WR));
        told(x, "pipe", estab_posix_send(fd, "x", 1, MSG_NOSIGNAL));
        (void)estab_posix_send(fd, "x", 1, 0); /* a signal ends it */
        _exit(0);
    }
    told(x, "close", estab_posix_close(x->s));
    read_text(x, "recv", x->c, 3, MSG_WAITALL);
    read_text(x, "end", x->c, 3, 0);
    await_end(x, pid);
    finish(x);
}

/* Blocking, in both directions, of more than any message or buffer has room for. */
static void much(struct scene *x)
{
    enum { MUCH = 3000000 };
    static uint8_t out[MUCH], in[MUCH];
    size_t got = 0;
    pid_t pid;
    ssize_t n;

    for (size_t i = 0; i < MUCH; i++)
        out[i] = (uint8_t)(i * 7 + i / 1000);
    prepare(x);
    pid = child_of(x);
    if (pid == 0) {
        told(x, "all", estab_posix_recv(x->s, in, MUCH, MSG_WAITALL));
        told(x, "and back", estab_posix_send(x->s, in, MUCH, 0));
        _exit(0);
    }
    told(x, "close", estab_posix_close(x->s));
    told(x, "parent", estab_posix_send(x->c, out, MUCH, 0));
    memset(in, 0, MUCH);
    while ((n = estab_posix_recv(x->c, in + got, MUCH - got, 0)) > 0)
        got += (size_t)n;
    told(x, "end", n);
    say(x, "%zu, the same %d", got, memcmp(in, out, MUCH) == 0);
    await_end(x, pid);
    finish(x);
}

static void run(void (*scenario)(struct scene *), struct tale *tale, estab_posix *p[2])
{
    struct scene x = {.p = {p[0], p[1]}, .tale = tale};

    alarm(100);
    scenario(&x);
    alarm(0);
}

static void open_two(estab_posix *p[2])
{
    static const char *const addrs[] = {"10.0.0.1/24", "10.0.0.2/24"};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct estab_posix_config c;
    estab_link *ends[2];
    char err[ESTAB_ERRLEN];

    estab_posix_config_init(&c);
    assert_int_equal(estab_link_pair(ends, &caps, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_posix_new(&p[i], &c, err), 0);
        assert_int_equal(estab_posix_attach(p[i], ends[i], err), 0);
        assert_int_equal(estab_posix_addr(p[i], 0, addrs[i], err), 0);
        c.with = p[0];
    }
}

static void compare(void **state)
{
    struct tale *tale =
        mmap(NULL, 4 * sizeof *tale, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    estab_posix *none[2] = {NULL}, *p[2];
    void (*const *scenario)(struct scene *) = *state;

    assert_true(tale != MAP_FAILED);
    run(*scenario, &tale[0], none);
    open_two(p);
    run(*scenario, &tale[2], p);
    estab_posix_use(NULL);
    estab_posix_free(p[0]);
    estab_posix_free(p[1]);
    assert_string_equal(tale[0].text, tale[2].text);
    assert_string_equal(tale[1].text, tale[3].text);
    munmap(tale, 4 * sizeof *tale);
}

/* The process with the stack is gone: so is what its children have of it. */
static void the_parent_exits(void **state)
{
    int say_it[2], status;
    estab_posix *p[2];
    pid_t pid;
    char buf[8];

    (void)state;
    assert_int_equal(pipe(say_it), 0);
    pid = fork();
    if (pid == 0) {
        struct scene x = {.c = -1};
        int gone[2];

        alarm(30);
        open_two(p);
        x.p[0] = p[0];
        x.p[1] = p[1];
        if (pipe(gone) == 0)
            prepare(&x);
        if (fork() == 0) {
            bool ok;

            alarm(30);
            close(gone[1]);
            ok = estab_posix_recv(x.s, buf, 8, 0) == -1 && errno == ENETDOWN; /* it waits */
            ok = ok && read(gone[0], buf, 1) == 0;
            ok = ok && estab_posix_send(x.s, "x", 1, 0) == -1 && errno == ENETDOWN;
            ok = ok && estab_posix_socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == ENETDOWN;
            ok = ok && estab_posix_close(x.s) == 0;
            _exit(write(say_it[1], ok ? "y" : "n", 1) == 1 ? 0 : 1);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(read(say_it[0], buf, 1), 1);
    assert_int_equal(buf[0], 'y');
    close(say_it[0]);
    close(say_it[1]);
}

/* A set that was made before the fork has items of the parent's: it says so in the child. */
static void an_inherited_set(void **state)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct scene x = {.c = -1};
    estab_posix *p[2];
    int ep, status;
    pid_t pid;

    (void)state;
    open_two(p);
    x.p[0] = p[0];
    x.p[1] = p[1];
    prepare(&x);
    ep = estab_posix_epoll_create1(0);
    assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, x.s, &e), 0);
    pid = fork();
    if (pid == 0)
        _exit(estab_posix_epoll_wait(ep, &e, 1, 0) == -1 && errno == ENETDOWN &&
                      estab_posix_epoll_ctl(ep, EPOLL_CTL_DEL, x.s, &e) == -1 &&
                      errno == ENETDOWN && estab_posix_close(ep) == 0
                  ? 0
                  : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(estab_posix_send(x.c, "x", 1, 0), 1);
    assert_int_equal(estab_posix_epoll_wait(ep, &e, 1, -1), 1);
    estab_posix_close(ep);
    finish(&x);
    estab_posix_use(NULL);
    estab_posix_free(p[0]);
    estab_posix_free(p[1]);
}

#define SAME(f)                                                                                    \
    {                                                                                              \
#f, compare, NULL, NULL, &(void (*)(struct scene *))                                       \
        {                                                                                          \
            f                                                                                      \
        }                                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAME(a_server_that_forks),
        SAME(the_child_closes_first),
        SAME(the_parent_closes_first),
        SAME(a_child_is_killed),
        SAME(children_accept),
        SAME(epoll_in_the_child),
        SAME(sockets_made_in_the_child),
        SAME(flags_are_shared),
        SAME(a_grandchild),
        SAME(descriptors_of_the_child),
        SAME(much),
        cmocka_unit_test(the_parent_exits),
        cmocka_unit_test(an_inherited_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

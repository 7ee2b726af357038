/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_test.c - descriptors, blocking and readiness, over two stacks and a link in memory. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <estab/posix.h>

/* Two stacks under one lock: `at` is where sockets are made, 0 has 10.0.0.1, 1 has 10.0.0.2. */
struct two {
    estab_posix *p[2];
    struct estab_virtual v;
    struct estab_env env;
    struct estab_config cfg;
};

static void advance(void *ctx, estab_time until)
{
    struct two *t = ctx;

    t->v.now = until;
}

static void open_two(struct two *t, bool virtual)
{
    static const char *const addrs[2][2] = {{"10.0.0.1/24", "fd00::1/64"},
                                            {"10.0.0.2/24", "fd00::2/64"}};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct estab_posix_config c;
    estab_link *ends[2];
    char err[ESTAB_ERRLEN];

    memset(t, 0, sizeof *t);
    estab_posix_config_init(&c);
    estab_config_init(&t->cfg);
    assert_int_equal(estab_config_profile(&t->cfg, "linux"), 0);
    c.stack = &t->cfg;
    if (virtual) {
        estab_virtual_env(&t->env, &t->v, 1);
        t->v.now = ESTAB_S(1000);
        c.env = &t->env;
        c.advance = advance;
        c.ctx = t;
    }
    assert_int_equal(estab_link_pair(ends, &caps, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_posix_new(&t->p[i], &c, err), 0);
        assert_int_equal(estab_posix_attach(t->p[i], ends[i], err), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(estab_posix_addr(t->p[i], 0, addrs[i][k], err), 0);
        c.with = t->p[0];
    }
}

static void close_two(struct two *t)
{
    estab_posix_use(NULL);
    estab_posix_free(t->p[0]);
    estab_posix_free(t->p[1]);
    if (t->env.ctx)
        assert_int_equal(t->v.live, 0);
}

static int on(const struct two *t, int end)
{
    int fd;

    estab_posix_use(t->p[end]);
    fd = estab_posix_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    return fd;
}

static struct sockaddr_in addr_of(int end, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    a.sin_addr.s_addr = htonl(0x0a000001u + (uint32_t)end);
    return a;
}

static int listener(const struct two *t, uint16_t port)
{
    struct sockaddr_in a = addr_of(1, port);
    int fd = on(t, 1);

    assert_int_equal(estab_posix_bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(estab_posix_listen(fd, 8), 0);
    return fd;
}

static int dial(const struct two *t, uint16_t port)
{
    struct sockaddr_in a = addr_of(1, port);
    int fd = on(t, 0);

    assert_int_equal(estab_posix_connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void close_fd(int fd)
{
    assert_int_equal(estab_posix_close(fd), 0);
}

/* A listener, a client and what the listener accepted. */
static void open_pair(struct two *t, bool virtual, int *l, int *c, int *s)
{
    open_two(t, virtual);
    *l = listener(t, 80);
    *c = dial(t, 80);
    *s = estab_posix_accept(*l, NULL, NULL);
}

static void close_pair(struct two *t, int l, int c, int s)
{
    close_fd(c);
    close_fd(s);
    close_fd(l);
    close_two(t);
}

static void no_nagle(int fd)
{
    const int on = 1;

    assert_int_equal(estab_posix_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

/* ---- tests ---- */

static void connects_and_exchanges(void **state)
{
    struct sockaddr_in who;
    socklen_t len = sizeof who;
    char buf[16] = "";
    struct two t;
    int l, c, s;

    (void)state;
    open_two(&t, true);
    l = listener(&t, 80);
    c = dial(&t, 80);
    s = estab_posix_accept(l, (struct sockaddr *)&who, &len);
    assert_true(s >= 0);
    assert_int_equal(ntohl(who.sin_addr.s_addr), 0x0a000001);
    assert_int_equal(estab_posix_send(c, "hello", 5, 0), 5);
    assert_int_equal(estab_posix_recv(s, buf, sizeof buf, 0), 5);
    assert_string_equal(buf, "hello");
    assert_int_equal(estab_posix_write(s, "ok", 2), 2);
    assert_int_equal(estab_posix_read(c, buf, sizeof buf), 2);
    close_fd(c);
    assert_int_equal(estab_posix_recv(s, buf, sizeof buf, 0), 0);
    close_fd(s);
    close_fd(l);
    close_two(&t);
}

struct echo {
    int fd, rounds;
};

static void *echo_main(void *ctx)
{
    struct echo *e = ctx;
    char buf[4096];
    ssize_t n;

    while ((n = estab_posix_recv(e->fd, buf, sizeof buf, 0)) > 0) {
        assert_int_equal(estab_posix_send(e->fd, buf, (size_t)n, 0), n);
        e->rounds++;
    }
    estab_posix_close(e->fd);
    return NULL;
}

/* The stacks have one lock: both threads block, and one of them runs everything. */
static void threads_talk(void **state)
{
    enum { CLIENTS = 4, ROUNDS = 200 };
    struct echo e[CLIENTS] = {0};
    pthread_t thread[CLIENTS];
    int l, c[CLIENTS];
    char buf[16];
    struct two t;

    (void)state;
    open_two(&t, false);
    l = listener(&t, 80);
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = dial(&t, 80);
        e[i].fd = estab_posix_accept(l, NULL, NULL);
        assert_true(e[i].fd >= 0);
        pthread_create(&thread[i], NULL, echo_main, &e[i]);
    }
    for (int k = 0; k < ROUNDS; k++)
        for (int i = 0; i < CLIENTS; i++) {
            assert_int_equal(estab_posix_send(c[i], "0123456789", 10, 0), 10);
            assert_int_equal(estab_posix_recv(c[i], buf, sizeof buf, MSG_WAITALL | MSG_PEEK), 10);
            assert_int_equal(estab_posix_recv(c[i], buf, 10, MSG_WAITALL), 10);
        }
    for (int i = 0; i < CLIENTS; i++) {
        close_fd(c[i]);
        pthread_join(thread[i], NULL);
        assert_true(e[i].rounds >= ROUNDS);
    }
    close_fd(l);
    close_two(&t);
}

/* ---- a thread that blocks in one call ---- */

struct blocked {
    pthread_t thread;
    int (*call)(struct blocked *b);
    int fd, fd2;
    int ret, err;
    char buf[64];
};

static void *blocked_main(void *ctx)
{
    struct blocked *b = ctx;

    b->ret = b->call(b);
    b->err = b->ret < 0 ? errno : 0;
    return NULL;
}

static uint32_t now_blocked(const struct two *t)
{
    struct estab_posix_stats st = {.size = sizeof st};

    estab_posix_stats(t->p[0], &st);
    return st.blocked;
}

/* Returns when it sleeps. */
static void block(const struct two *t, struct blocked *b, int (*call)(struct blocked *), int fd)
{
    uint32_t before = now_blocked(t);

    b->call = call;
    b->fd = fd;
    assert_int_equal(pthread_create(&b->thread, NULL, blocked_main, b), 0);
    while (now_blocked(t) == before)
        sched_yield();
}

static int call_recv(struct blocked *b)
{
    return (int)estab_posix_recv(b->fd, b->buf, sizeof b->buf, 0);
}

static int call_accept(struct blocked *b)
{
    return estab_posix_accept(b->fd, NULL, NULL);
}

static int call_poll(struct blocked *b)
{
    struct pollfd p[2] = {{.fd = b->fd, .events = POLLIN}, {.fd = b->fd2, .events = POLLIN}};
    int n = estab_posix_poll(p, 2, -1);

    return n < 0 ? n : n * 100 + (p[0].revents & POLLIN ? 1 : 0) + (p[1].revents & POLLIN ? 2 : 0);
}

static int call_epoll(struct blocked *b)
{
    struct epoll_event e[4];
    int n = estab_posix_epoll_wait(b->fd, e, 4, -1);

    return n < 0 ? n : n * 100 + (n > 0 ? (int)e[0].data.u32 : 0);
}

static int call_fill(struct blocked *b)
{
    static const char zeros[1 << 20];
    ssize_t n;

    do
        n = estab_posix_send(b->fd, zeros, sizeof zeros, 0);
    while (n == sizeof zeros);
    return (int)n;
}

static int joined(struct blocked *b)
{
    pthread_join(b->thread, NULL);
    return b->ret;
}

static void blocked_calls_wake(void **state)
{
    struct blocked b = {0};
    int l, c, s, pipes[2], ep;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 7};
    struct two t;

    (void)state;
    open_two(&t, false);
    l = listener(&t, 80);
    block(&t, &b, call_accept, l);
    c = dial(&t, 80);
    s = joined(&b);
    assert_true(s >= 0);
    block(&t, &b, call_recv, s);
    assert_int_equal(estab_posix_send(c, "hello", 5, 0), 5);
    assert_int_equal(joined(&b), 5);

    assert_int_equal(pipe(pipes), 0);
    b.fd2 = pipes[0];
    block(&t, &b, call_poll, s);
    assert_int_equal(write(pipes[1], "x", 1), 1); /* a descriptor of the kernel's */
    assert_int_equal(joined(&b), 102);
    assert_int_equal(read(pipes[0], b.buf, 1), 1);
    block(&t, &b, call_poll, s);
    assert_int_equal(estab_posix_send(c, "y", 1, 0), 1);
    assert_int_equal(joined(&b), 101);

    ep = estab_posix_epoll_create1(0);
    assert_int_equal(estab_posix_recv(s, b.buf, 8, 0), 1);
    assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, s, &e), 0);
    block(&t, &b, call_epoll, ep);
    assert_int_equal(estab_posix_send(c, "z", 1, 0), 1);
    assert_int_equal(joined(&b), 107);
    assert_int_equal(estab_posix_recv(s, b.buf, 8, 0), 1);
    e.data.u32 = 9;
    assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &e), 0);
    block(&t, &b, call_epoll, ep);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    assert_int_equal(joined(&b), 109);

    close_fd(ep);
    close(pipes[0]);
    close(pipes[1]);
    close_pair(&t, l, c, s);
}

/* Linux: the call goes on; what wakes it is shutdown(). */
static void close_does_not_end_calls_of_others(void **state)
{
    struct blocked b = {0};
    struct two t;
    int l, c, s;

    (void)state;
    open_pair(&t, false, &l, &c, &s);
    block(&t, &b, call_recv, s);
    close_fd(s);
    assert_int_equal(estab_posix_recv(s, b.buf, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(now_blocked(&t), 1);
    assert_int_equal(estab_posix_send(c, "late", 4, 0), 4);
    assert_int_equal(joined(&b), 4);
    assert_int_equal(estab_posix_recv(c, b.buf, 1, 0), 0); /* now it is closed */
    close_fd(c);

    block(&t, &b, call_accept, l);
    assert_int_equal(estab_posix_shutdown(l, SHUT_RD), 0);
    assert_int_equal(joined(&b), -1);
    assert_int_equal(b.err, EINVAL);
    close_fd(l);
    close_two(&t);
}

static void shutdown_wakes(void **state)
{
    struct blocked b = {0}, w = {0};
    struct two t;
    int l, c, s;

    (void)state;
    open_pair(&t, false, &l, &c, &s);
    block(&t, &b, call_recv, s);
    assert_int_equal(estab_posix_shutdown(s, SHUT_RD), 0);
    assert_int_equal(joined(&b), 0);
    signal(SIGPIPE, SIG_IGN);
    block(&t, &w, call_fill, s);
    assert_int_equal(estab_posix_shutdown(s, SHUT_WR), 0);
    assert_true(joined(&w) > 0 || w.err == EPIPE); /* what it had sent until then, or nothing */
    close_pair(&t, l, c, s);
}

/* As many as there are connections are woken, and all of them get one. */
static void several_accept(void **state)
{
    enum { N = 4 };
    struct blocked b[N] = {0};
    struct two t;
    int l, c[N];

    (void)state;
    open_two(&t, false);
    l = listener(&t, 80);
    for (int i = 0; i < N; i++)
        block(&t, &b[i], call_accept, l);
    for (int i = 0; i < N; i++)
        c[i] = dial(&t, 80);
    for (int i = 0; i < N; i++) {
        assert_true(joined(&b[i]) >= 0);
        close_fd(b[i].ret);
        close_fd(c[i]);
    }
    close_fd(l);
    close_two(&t);
}

static void nothing(int sig)
{
    (void)sig;
}

static void install(int flags)
{
    struct sigaction sa = {.sa_handler = nothing, .sa_flags = flags};

    sigaction(SIGUSR1, &sa, NULL);
}

static void signals_interrupt(void **state)
{
    struct blocked b = {0};
    struct two t;
    int l, c, s;

    (void)state;
    open_pair(&t, false, &l, &c, &s);
    install(0);
    block(&t, &b, call_recv, s);
    while (pthread_tryjoin_np(b.thread, NULL)) {
        pthread_kill(b.thread, SIGUSR1); /* it may be on its way to sleep */
        sched_yield();
    }
    assert_int_equal(b.ret, -1);
    assert_int_equal(b.err, EINTR);
    install(SA_RESTART);
    block(&t, &b, call_recv, s);
    pthread_kill(b.thread, SIGUSR1);
    assert_int_equal(estab_posix_send(c, "hello", 5, 0), 5);
    assert_int_equal(joined(&b), 5);
    signal(SIGUSR1, SIG_DFL);
    close_pair(&t, l, c, s);
}

/* ---- the kernel's view ---- */

static short kernel_says(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    assert_true(poll(&p, 1, 0) >= 0);
    return p.revents;
}

static void kernel_sees_readiness(void **state)
{
    static const char zeros[65536];
    static char bin[65536];
    struct two t;
    int l, c, s;

    (void)state;
    open_two(&t, true);
    l = listener(&t, 80);
    assert_int_equal(kernel_says(l), 0);
    c = dial(&t, 80);
    assert_int_equal(kernel_says(l), POLLIN);
    s = estab_posix_accept4(l, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(kernel_says(l), 0);
    assert_int_equal(kernel_says(s), POLLOUT);
    assert_int_equal(estab_posix_send(c, "hello", 5, 0), 5);
    assert_int_equal(kernel_says(s), POLLIN | POLLOUT);
    assert_int_equal(estab_posix_recv(s, bin, 2, 0), 2);
    assert_int_equal(kernel_says(s), POLLIN | POLLOUT);
    assert_int_equal(estab_posix_recv(s, bin, 9, 0), 3);
    assert_int_equal(kernel_says(s), POLLOUT);
    while (estab_posix_send(s, zeros, sizeof zeros, 0) > 0)
        continue;
    assert_int_equal(kernel_says(s), 0);
    assert_int_equal(estab_posix_send(c, "x", 1, 0), 1);
    while (estab_posix_recv(c, bin, sizeof bin, MSG_DONTWAIT) > 0)
        t.v.now += ESTAB_MS(300);
    assert_int_equal(kernel_says(s), POLLIN | POLLOUT);
    close_fd(c);
    assert_int_equal(kernel_says(s) & (POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
    close_fd(s);
    close_fd(l);
    close_two(&t);
}

/* In an epoll set of the kernel's, by edges. */
static void kernel_sees_edges(void **state)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    struct two t;
    int l, c, s, ep = epoll_create1(0);
    char buf[8];

    (void)state;
    open_pair(&t, true, &l, &c, &s);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e), 0);
    assert_int_equal(epoll_wait(ep, &e, 1, 0), 0);
    no_nagle(c);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(estab_posix_send(c, "a", 1, 0), 1);
        assert_int_equal(epoll_wait(ep, &e, 1, 0), 1);
        assert_int_equal(epoll_wait(ep, &e, 1, 0), 0);
        assert_int_equal(estab_posix_recv(s, buf, 8, 0), 1);
        assert_int_equal(estab_posix_recv(s, buf, 8, MSG_DONTWAIT), -1);
        assert_int_equal(epoll_wait(ep, &e, 1, 0), 0);
    }
    close(ep);
    close_pair(&t, l, c, s);
}

static void mirror_on_demand(void **state)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct two t;
    int l, c, s, ep = estab_posix_epoll_create1(0);

    (void)state;
    open_pair(&t, true, &l, &c, &s);
    assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, s, &e), 0);
    assert_int_equal(estab_posix_send(c, "a", 1, 0), 1);
    assert_int_equal(kernel_says(s), POLLOUT); /* our set has been told */
    assert_int_equal(estab_posix_mirror(s, ESTAB_MIRROR_ALWAYS), 0);
    assert_int_equal(kernel_says(s), POLLIN | POLLOUT);
    assert_int_equal(kernel_says(ep), POLLIN); /* and so has who polls the set */
    assert_int_equal(estab_posix_mirror(ep, ESTAB_MIRROR_ALWAYS), -1);
    close_fd(ep);
    close_pair(&t, l, c, s);
}

/* ---- what a call costs ---- */

static struct estab_posix_stats stats_of(const struct two *t)
{
    struct estab_posix_stats st = {.size = sizeof st};

    estab_posix_stats(t->p[0], &st);
    return st;
}

static void data_that_is_there_costs_no_system_call(void **state)
{
    struct estab_posix_stats before, after;
    struct epoll_event e = {.events = EPOLLIN};
    struct two t;
    int l, c, s, ep = estab_posix_epoll_create1(0);
    char buf[8];

    (void)state;
    open_pair(&t, true, &l, &c, &s);
    assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, s, &e), 0);
    no_nagle(c);
    before = stats_of(&t);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(estab_posix_send(c, "abcd", 4, 0), 4);
        assert_int_equal(estab_posix_epoll_wait(ep, &e, 1, -1), 1);
        assert_int_equal(estab_posix_recv(s, buf, 4, 0), 4);
    }
    after = stats_of(&t);
    assert_int_equal(after.sleeps, before.sleeps);
    assert_int_equal(after.polls, before.polls);
    assert_int_equal(after.wakes, before.wakes);
    assert_int_equal(after.mirrored, before.mirrored);
    close_fd(ep);
    close_pair(&t, l, c, s);
}

/* ---- descriptors ---- */

static void numbers_are_the_kernels(void **state)
{
    struct two t;
    int l, c, d, pipes[2];
    char buf[4];

    (void)state;
    open_two(&t, true);
    l = listener(&t, 80);
    c = dial(&t, 80);
    assert_true(fcntl(c, F_GETFD) >= 0);
    d = estab_posix_fcntl(c, F_DUPFD_CLOEXEC, 100);
    assert_true(d >= 100);
    assert_int_equal(fcntl(d, F_GETFD), FD_CLOEXEC);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(estab_posix_write(pipes[1], "abc", 3), 3); /* what is not ours */
    assert_int_equal(estab_posix_read(pipes[0], buf, 4), 3);
    assert_int_equal(estab_posix_dup2(pipes[0], d), d); /* over one of ours */
    assert_int_equal(estab_posix_write(pipes[1], "de", 2), 2);
    assert_int_equal(estab_posix_read(d, buf, 4), 2);
    assert_int_equal(estab_posix_dup2(c, d), d); /* and one of ours over it */
    assert_int_equal(estab_posix_send(d, "x", 1, 0), 1);
    close_fd(d);
    close_fd(pipes[0]);
    close_fd(pipes[1]);
    close_fd(c);
    close_fd(l);
    close_two(&t);
}

static void connections_wait_for_descriptors(void **state)
{
    struct rlimit limit, none;
    struct two t;
    int l, c, s;

    (void)state;
    open_two(&t, true);
    l = listener(&t, 80);
    c = dial(&t, 80);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)c + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(estab_posix_accept(l, NULL, NULL), -1);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(estab_posix_socket(AF_INET, SOCK_STREAM, 0), -1);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    s = estab_posix_accept(l, NULL, NULL);
    assert_true(s >= 0);
    close_pair(&t, l, c, s);
}

static void a_stack_that_ended(void **state)
{
    struct two t;
    int l, c;
    char buf[4];

    (void)state;
    open_two(&t, true);
    l = listener(&t, 80);
    c = dial(&t, 80);
    close_two(&t);
    assert_int_equal(estab_posix_recv(c, buf, 4, 0), -1);
    assert_int_equal(errno, ENETDOWN);
    assert_int_equal(estab_posix_socket(AF_INET, SOCK_STREAM, 0), -1);
    assert_int_equal(errno, ENETDOWN);
    close_fd(c);
    close_fd(l);
}

/* close() waits until all is acknowledged, or for as long as it was told. */
static void linger_waits(void **state)
{
    struct linger two_s = {1, 2};
    static const char much[1 << 20];
    estab_time before;
    struct two t;
    int l, c, s;

    (void)state;
    open_pair(&t, true, &l, &c, &s);
    assert_int_equal(estab_posix_setsockopt(c, SOL_SOCKET, SO_LINGER, &two_s, sizeof two_s), 0);
    while (estab_posix_send(c, much, sizeof much, MSG_DONTWAIT) > 0)
        continue; /* more than the peer takes, who does not read */
    before = t.v.now;
    close_fd(c);
    assert_true(t.v.now - before >= ESTAB_S(2) && t.v.now - before < ESTAB_MS(2100));
    close_fd(s);
    close_fd(l);
    close_two(&t);
}

/* ---- both versions of IP, Fast Open ---- */

static void dual_stack_listener(void **state)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(80)}, who;
    socklen_t len = sizeof who;
    struct sockaddr_in a = addr_of(1, 80);
    struct two t;
    int l, c, s;

    (void)state;
    open_two(&t, true);
    estab_posix_use(t.p[1]);
    l = estab_posix_socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(estab_posix_bind(l, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(estab_posix_listen(l, 8), 0);
    c = on(&t, 0);
    assert_int_equal(estab_posix_connect(c, (struct sockaddr *)&a, sizeof a), 0);
    s = estab_posix_accept(l, (struct sockaddr *)&who, &len);
    assert_true(s >= 0 && len == sizeof who && who.sin6_family == AF_INET6);
    assert_true(IN6_IS_ADDR_V4MAPPED(&who.sin6_addr));
    close_fd(c);
    close_fd(s);
    estab_posix_use(t.p[0]);
    c = estab_posix_socket(AF_INET6, SOCK_STREAM, 0);
    any.sin6_addr.s6_addr[0] = 0xfd;
    any.sin6_addr.s6_addr[15] = 2;
    assert_int_equal(estab_posix_connect(c, (struct sockaddr *)&any, sizeof any), 0);
    s = estab_posix_accept(l, NULL, NULL);
    assert_true(s >= 0);
    close_pair(&t, l, c, s);
}

/* The second connection takes its text along in the SYN: it is there before the third segment. */
static void fast_open(void **state)
{
    struct sockaddr_in a = addr_of(1, 80);
    const int queue = 5;
    struct tcp_info i;
    socklen_t len;
    char buf[16];
    struct two t;
    int l, c, s;

    (void)state;
    open_two(&t, true);
    l = listener(&t, 80);
    assert_int_equal(estab_posix_setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue), 0);
    for (int k = 0; k < 2; k++) {
        c = on(&t, 0);
        assert_int_equal(
            estab_posix_sendto(c, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof a), 5);
        s = estab_posix_accept(l, NULL, NULL);
        assert_true(s >= 0);
        assert_int_equal(estab_posix_recv(s, buf, sizeof buf, 0), 5);
        assert_int_equal(estab_posix_send(s, "ok", 2, 0), 2);
        assert_int_equal(estab_posix_recv(c, buf, sizeof buf, 0), 2);
        len = sizeof i;
        assert_int_equal(estab_posix_getsockopt(c, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
        assert_int_equal((i.tcpi_options & TCPI_OPT_SYN_DATA) != 0, k == 1);
        assert_int_equal(i.tcpi_pmtu, 1500);
        close_fd(c);
        close_fd(s);
    }
    close_fd(l);
    close_two(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_and_exchanges),
        cmocka_unit_test(threads_talk),
        cmocka_unit_test(blocked_calls_wake),
        cmocka_unit_test(close_does_not_end_calls_of_others),
        cmocka_unit_test(shutdown_wakes),
        cmocka_unit_test(several_accept),
        cmocka_unit_test(signals_interrupt),
        cmocka_unit_test(kernel_sees_readiness),
        cmocka_unit_test(kernel_sees_edges),
        cmocka_unit_test(mirror_on_demand),
        cmocka_unit_test(data_that_is_there_costs_no_system_call),
        cmocka_unit_test(numbers_are_the_kernels),
        cmocka_unit_test(connections_wait_for_descriptors),
        cmocka_unit_test(a_stack_that_ended),
        cmocka_unit_test(linger_waits),
        cmocka_unit_test(dual_stack_listener),
        cmocka_unit_test(fast_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

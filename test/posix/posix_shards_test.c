/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_shards_test.c - two stacks, each with its own lock and helper, and a link between them that
 * has descriptors: waiting on both, threads on both, the kernel's epoll as the only one who waits.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <estab/posix.h>

enum { MTU = 1500, WIRE_BATCH = 32 };

/* ---- a link over a socket pair: a frame is a datagram ---- */

struct wire {
    estab_link link;
    int fd;
    _Atomic int lose;    /* as many of the frames that it is given next */
    atomic_bool babbles; /* has a frame whenever it is asked, of no use */
    uint8_t bufs[WIRE_BATCH][MTU];
};

static int wire_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct wire *w = (struct wire *)l;
    size_t got = 0;
    ssize_t len;

    if (atomic_load(&w->babbles)) {
        f[got] = (struct estab_frame){.niov = 1};
        f[got++].iov[0] = (struct estab_iov){w->bufs[0], 1};
    }
    while (got < n && got < WIRE_BATCH &&
           (len = recv(w->fd, w->bufs[got], MTU, MSG_DONTWAIT)) > 0) {
        f[got] = (struct estab_frame){.niov = 1};
        f[got].iov[0] = (struct estab_iov){w->bufs[got], (size_t)len};
        got++;
    }
    return (int)got;
}

static int wire_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct wire *w = (struct wire *)l;
    uint8_t buf[MTU];

    for (size_t i = 0; i < n; i++) {
        estab_frame_copy(buf, &f[i]);
        if (atomic_load(&w->lose) > 0)
            atomic_fetch_sub(&w->lose, 1);
        else if (send(w->fd, buf, estab_frame_len(&f[i]), MSG_DONTWAIT) < 0)
            l->lost_out++;
    }
    return (int)n;
}

static int wire_fd(const estab_link *l)
{
    return ((const struct wire *)l)->fd;
}

static estab_time wire_deadline(const estab_link *l)
{
    (void)l;
    return ESTAB_NEVER;
}

static void wire_close(estab_link *l)
{
    close(((struct wire *)l)->fd);
    free(l);
}

static const struct estab_link_ops wire_ops = {
    "wire", wire_recv, wire_send, wire_fd, wire_deadline, wire_close,
};

static struct wire *wires[2];
static estab_dur busy; /* how long they are looked at before a call sleeps */

static struct wire *wire_new(int fd)
{
    struct wire *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->link.ops = &wire_ops;
    w->link.caps = (struct estab_port_caps){.medium = ESTAB_MEDIUM_IP, .mtu = MTU};
    w->link.busy = busy;
    w->fd = fd;
    return w;
}

static void open_apart(estab_posix *p[2])
{
    static const char *const addrs[] = {"10.0.0.1/24", "10.0.0.2/24"};
    char err[ESTAB_ERRLEN];
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        wires[i] = wire_new(fds[i]);
        assert_int_equal(estab_posix_new(&p[i], NULL, err), 0);
        assert_int_equal(estab_posix_attach(p[i], &wires[i]->link, err), 0);
        assert_int_equal(estab_posix_addr(p[i], 0, addrs[i], err), 0);
    }
}

static void close_apart(estab_posix *p[2])
{
    estab_posix_use(NULL);
    estab_posix_free(p[0]);
    estab_posix_free(p[1]);
}

static int listener(estab_posix *p, struct sockaddr_in *a, int type)
{
    socklen_t len = sizeof *a;
    int fd;

    estab_posix_use(p);
    fd = estab_posix_socket(AF_INET, SOCK_STREAM | type, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET};
    a->sin_addr.s_addr = htonl(0x0a000002);
    assert_int_equal(estab_posix_bind(fd, (struct sockaddr *)a, len), 0);
    assert_int_equal(estab_posix_listen(fd, 64), 0);
    assert_int_equal(estab_posix_getsockname(fd, (struct sockaddr *)a, &len), 0);
    return fd;
}

static int dial(estab_posix *p, const struct sockaddr_in *a)
{
    int fd;

    estab_posix_use(p);
    fd = estab_posix_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(estab_posix_connect(fd, (const struct sockaddr *)a, sizeof *a), 0);
    return fd;
}

/* ---- tests ---- */

struct sender {
    int fd;
    uint32_t after_blocked; /* of this stack: when so many wait, it sends */
    estab_posix *p;
};

static void await_blocked(estab_posix *p, uint32_t n)
{
    struct estab_posix_stats st = {.size = sizeof st};

    do {
        sched_yield();
        estab_posix_stats(p, &st);
    } while (st.blocked < n);
}

static void *send_when_blocked(void *arg)
{
    struct sender *s = arg;

    await_blocked(s->p, s->after_blocked);
    assert_int_equal(estab_posix_send(s->fd, "x", 1, 0), 1);
    return NULL;
}

/* One poll, and one epoll set, over sockets of both. */
static void waits_for_both(void **state)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct sockaddr_in a;
    struct pollfd fds[2];
    struct sender how;
    estab_posix *p[2];
    pthread_t thread;
    int l, c, s, ep = estab_posix_epoll_create1(0);
    char buf[8];

    (void)state;
    open_apart(p);
    l = listener(p[1], &a, 0);
    c = dial(p[0], &a);
    s = estab_posix_accept(l, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        fds[i] = (struct pollfd){.fd = i ? s : c, .events = POLLIN};
        e.data.u32 = (uint32_t)i;
        assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, fds[i].fd, &e), 0);
    }
    for (int i = 0; i < 2; i++) {
        how = (struct sender){fds[!i].fd, 1, p[0]};
        assert_int_equal(pthread_create(&thread, NULL, send_when_blocked, &how), 0);
        assert_int_equal(estab_posix_poll(fds, 2, -1), 1);
        assert_int_equal(fds[i].revents, POLLIN);
        pthread_join(thread, NULL);
        assert_int_equal(estab_posix_recv(fds[i].fd, buf, 8, 0), 1);

        assert_int_equal(pthread_create(&thread, NULL, send_when_blocked, &how), 0);
        assert_int_equal(estab_posix_epoll_wait(ep, &e, 1, -1), 1);
        assert_int_equal(e.data.u32, i);
        pthread_join(thread, NULL);
        assert_int_equal(estab_posix_recv(fds[i].fd, buf, 8, 0), 1);
    }
    estab_posix_close(ep);
    estab_posix_close(c);
    estab_posix_close(s);
    estab_posix_close(l);
    close_apart(p);
}

/* Nobody is in a call on the server's stack but to take what there is: its helper answers the SYNs,
 * and tells the kernel's epoll. */
static void the_kernels_epoll_alone(void **state)
{
    enum { ROUNDS = 50 };
    struct epoll_event e = {.events = EPOLLIN};
    struct sockaddr_in a;
    estab_posix *p[2];
    int l, c, s, ep = epoll_create1(0);
    char buf[8];

    (void)state;
    open_apart(p);
    l = listener(p[1], &a, SOCK_NONBLOCK);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e), 0);
    c = dial(p[0], &a);
    assert_int_equal(epoll_wait(ep, &e, 1, -1), 1);
    s = estab_posix_accept4(l, NULL, NULL, SOCK_NONBLOCK);
    assert_true(s >= 0);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e), 0);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(estab_posix_send(c, "ping", 4, 0), 4);
        assert_int_equal(epoll_wait(ep, &e, 1, -1), 1);
        assert_int_equal(estab_posix_recv(s, buf, 8, 0), 4);
        assert_int_equal(estab_posix_send(s, "ok", 2, 0), 2);
        assert_int_equal(estab_posix_recv(c, buf, 8, 0), 2);
    }
    estab_posix_close(c);
    assert_int_equal(epoll_wait(ep, &e, 1, -1), 1);
    assert_int_equal(estab_posix_recv(s, buf, 8, 0), 0);
    close(ep);
    estab_posix_close(s);
    estab_posix_close(l);
    close_apart(p);
}

/* ---- timers: somebody wakes when something is due, whoever sleeps ---- */

static void *take_one(void *arg)
{
    char buf[8];

    assert_int_equal(estab_posix_recv(*(int *)arg, buf, 8, 0), 1);
    return NULL;
}

/* Also of what was armed and cancelled since: until then somebody wakes for nothing. */
static void await_nothing_due(estab_posix *p)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    estab_time due;

    do {
        nanosleep(&ms, NULL);
        due = estab_deadline(estab_posix_lock(p));
        estab_posix_unlock(p);
    } while (due != ESTAB_NEVER);
}

/* One thread polls the links for ever; the timer that another arms is not lost on it. */
static void a_driver_asleep_hides_no_timer(void **state)
{
    struct timeval limit = {.tv_sec = 30};
    struct estab_posix_stats st = {.size = sizeof st};
    struct sockaddr_in a;
    estab_posix *p[2];
    pthread_t thread;
    int l, c[2], s[2];
    char buf[8];

    (void)state;
    open_apart(p);
    l = listener(p[1], &a, 0);
    for (int i = 0; i < 2; i++) {
        c[i] = dial(p[0], &a);
        s[i] = estab_posix_accept(l, NULL, NULL);
    }
    assert_int_equal(estab_posix_setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit),
                     0);
    assert_int_equal(pthread_create(&thread, NULL, take_one, &c[0]), 0);
    do {
        sched_yield();
        estab_posix_stats(p[0], &st);
    } while (st.blocked == 0);
    for (int i = 0; i < 2; i++) {
        await_nothing_due(p[0]);
        atomic_store(&wires[0]->lose, 1);
        assert_int_equal(estab_posix_send(c[1], "x", 1, 0), 1);
        assert_int_equal(estab_posix_recv(s[1], buf, 8, 0), 1);
    }
    assert_int_equal(estab_posix_send(s[0], "x", 1, 0), 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        estab_posix_close(c[i]);
        estab_posix_close(s[i]);
    }
    estab_posix_close(l);
    close_apart(p);
}

static void await_quiet_helper(estab_posix *p)
{
    struct estab_posix_stats st = {.size = sizeof st};
    uint64_t runs;

    estab_posix_stats(p, &st);
    do {
        runs = st.helper_runs;
        for (int i = 0; i < 1000; i++)
            sched_yield();
        estab_posix_stats(p, &st);
    } while (st.helper_runs != runs);
}

/* The thread that took a segment in goes and calls nothing more: its ACK, which was delayed, goes
 * when it is due, and not with the next frame, of which there is none. */
static void a_driver_that_leaves_hides_no_timer(void **state)
{
    struct estab_posix_stats st = {.size = sizeof st}, before = {.size = sizeof before};
    struct epoll_event e = {.events = EPOLLIN};
    struct timespec now, limit;
    struct sockaddr_in a;
    estab_posix *p[2];
    int l, c, s, off = 0, unsent, ep = estab_posix_epoll_create1(0);
    char buf[8];

    (void)state;
    open_apart(p);
    l = listener(p[1], &a, 0);
    c = dial(p[0], &a);
    s = estab_posix_accept(l, NULL, NULL);
    assert_int_equal(estab_posix_setsockopt(c, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off), 0);
    assert_int_equal(estab_posix_epoll_ctl(ep, EPOLL_CTL_ADD, c, &e), 0);
    clock_gettime(CLOCK_MONOTONIC, &limit);
    for (int i = 0; i < 2; i++) {
        do
            assert_int_equal(estab_posix_ioctl(s, SIOCOUTQ, &unsent), 0);
        while (unsent > 0);
        await_nothing_due(p[0]);
        await_quiet_helper(p[0]);
        estab_posix_stats(p[0], &before);
        assert_int_equal(estab_posix_send(s, "x", 1, 0), 1);
        atomic_store(&wires[1]->lose, 1000);
        assert_int_equal(estab_posix_epoll_wait(ep, &e, 1, 30000), 1);
        do {
            sched_yield();
            estab_posix_stats(p[0], &st);
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while (st.frames_out == before.frames_out && now.tv_sec - limit.tv_sec < 30);
        assert_true(st.frames_out > before.frames_out);
        atomic_store(&wires[1]->lose, 0);
        assert_int_equal(estab_posix_recv(c, buf, 8, 0), 1);
    }
    estab_posix_close(ep);
    estab_posix_close(c);
    estab_posix_close(s);
    estab_posix_close(l);
    close_apart(p);
}

/* A second link, while a thread sleeps on the first. */
static void a_driver_asleep_sees_a_new_link(void **state)
{
    struct estab_posix_stats st = {.size = sizeof st};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct timeval limit = {.tv_sec = 30};
    char err[ESTAB_ERRLEN], buf[8];
    estab_posix *p[2];
    pthread_t thread;
    int l, c, s, udp, fds[2];

    (void)state;
    open_apart(p);
    l = listener(p[1], &a, 0);
    c = dial(p[0], &a);
    s = estab_posix_accept(l, NULL, NULL);
    assert_int_equal(pthread_create(&thread, NULL, take_one, &s), 0);
    do {
        sched_yield();
        estab_posix_stats(p[1], &st);
    } while (st.blocked == 0);
    await_quiet_helper(p[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_posix_attach(p[i], &wire_new(fds[i])->link, err), 1);
        assert_int_equal(estab_posix_addr(p[i], 1, i ? "10.0.1.2/24" : "10.0.1.1/24", err), 0);
    }
    estab_posix_use(p[0]);
    udp = estab_posix_socket(AF_INET, SOCK_DGRAM, 0);
    a.sin_addr.s_addr = htonl(0x0a000102);
    a.sin_port = htons(9);
    assert_int_equal(estab_posix_setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(estab_posix_connect(udp, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(estab_posix_send(udp, "x", 1, 0), 1);
    assert_int_equal(estab_posix_recv(udp, buf, 8, 0), -1); /* port unreachable, by way of ICMP */
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(estab_posix_send(c, "x", 1, 0), 1);
    pthread_join(thread, NULL);
    estab_posix_close(udp);
    estab_posix_close(c);
    estab_posix_close(s);
    estab_posix_close(l);
    close_apart(p);
}

/* ---- many threads ---- */

enum { SERVERS = 3, CLIENTS = 3, CONNECTIONS = 40 };

struct storm {
    estab_posix *p[2];
    struct sockaddr_in addr;
    int listener, ep;
    _Atomic uint32_t done;
};

static void storm_accept(struct storm *t)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT | EPOLLRDHUP};
    int fd;

    while ((fd = estab_posix_accept4(t->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        e.data.fd = fd;
        if (estab_posix_epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &e))
            abort();
    }
}

static void storm_serve(struct storm *t, int fd)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT | EPOLLRDHUP, .data.fd = fd};
    char buf[256];
    ssize_t n;

    while ((n = estab_posix_recv(fd, buf, sizeof buf, 0)) > 0)
        if (estab_posix_send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
            abort();
    if (n == 0) {
        estab_posix_close(fd);
        t->done++;
    } else if (estab_posix_epoll_ctl(t->ep, EPOLL_CTL_MOD, fd, &e)) {
        abort();
    }
}

static void *storm_server(void *arg)
{
    struct storm *t = arg;
    struct epoll_event e;

    while (t->done < CLIENTS * CONNECTIONS) {
        if (estab_posix_epoll_wait(t->ep, &e, 1, 20) != 1)
            continue;
        if (e.data.fd == t->listener)
            storm_accept(t);
        else
            storm_serve(t, e.data.fd);
    }
    return NULL;
}

static void *storm_client(void *arg)
{
    struct storm *t = arg;
    char buf[100] = "hello", back[100];

    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = dial(t->p[0], &t->addr);

        for (int k = 0; k < 3; k++)
            if (estab_posix_send(fd, buf, sizeof buf, 0) != sizeof buf ||
                estab_posix_recv(fd, back, sizeof back, MSG_WAITALL) != sizeof back ||
                memcmp(buf, back, sizeof buf) != 0)
                abort();
        estab_posix_close(fd);
    }
    estab_posix_use(NULL);
    return NULL;
}

/* Servers share an epoll set, each event is one server's; clients come and go. */
static void threads_share_a_set(void **state)
{
    struct epoll_event e = {.events = EPOLLIN};
    pthread_t thread[SERVERS + CLIENTS];
    struct storm t = {0};

    (void)state;
    open_apart(t.p);
    t.listener = listener(t.p[1], &t.addr, SOCK_NONBLOCK);
    t.ep = estab_posix_epoll_create1(0);
    e.data.fd = t.listener;
    assert_int_equal(estab_posix_epoll_ctl(t.ep, EPOLL_CTL_ADD, t.listener, &e), 0);
    for (int i = 0; i < SERVERS + CLIENTS; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, i < SERVERS ? storm_server : storm_client, &t), 0);
    for (int i = 0; i < SERVERS + CLIENTS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(t.done, CLIENTS * CONNECTIONS);
    estab_posix_close(t.ep);
    estab_posix_close(t.listener);
    close_apart(t.p);
}

static void on_signal(int number)
{
    (void)number;
}

struct target {
    estab_posix *p;
    pthread_t thread;
    atomic_bool hit;
};

static void *signal_when_blocked(void *arg)
{
    struct target *t = arg;

    await_blocked(t->p, 1);
    while (!atomic_load(&t->hit)) { /* one that comes just before the wait does not end it */
        pthread_kill(t->thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

/* However long a call looks before it sleeps. */
static void a_signal_ends_a_wait(void **state)
{
    struct sigaction sa = {.sa_handler = on_signal}, before;
    struct sockaddr_in a;
    struct target t;
    estab_posix *p[2];
    estab_dur was = busy;
    pthread_t thread;
    int l, c;
    char b;

    (void)state;
    busy = busy > 0 ? ESTAB_S(3600) : 0; /* it looks for less */
    open_apart(p);
    busy = was;
    l = listener(p[1], &a, 0);
    c = dial(p[0], &a);
    t.p = p[0];
    t.thread = pthread_self();
    assert_int_equal(sigaction(SIGUSR1, &sa, &before), 0);
    for (int i = 0; i < 20; i++) {
        atomic_init(&t.hit, false);
        assert_int_equal(pthread_create(&thread, NULL, signal_when_blocked, &t), 0);
        assert_int_equal(estab_posix_recv(c, &b, 1, 0), -1);
        assert_int_equal(errno, EINTR);
        atomic_store(&t.hit, true);
        pthread_join(thread, NULL);
    }
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    estab_posix_close(c);
    estab_posix_close(l);
    close_apart(p);
}

/* ... and whatever comes meanwhile; here by the mask that a poll is given. */
static void a_signal_ends_a_poll_among_frames_without_end(void **state)
{
    struct sigaction sa = {.sa_handler = on_signal}, before;
    struct pollfd poll = {.events = POLLIN};
    struct sockaddr_in a;
    struct target t;
    estab_posix *p[2];
    pthread_t thread;
    sigset_t none, usr1;
    int l;

    (void)state;
    open_apart(p);
    l = listener(p[1], &a, 0);
    poll.fd = dial(p[0], &a);
    t.p = p[0];
    t.thread = pthread_self();
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    assert_int_equal(sigaction(SIGUSR1, &sa, &before), 0);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    atomic_store(&wires[0]->babbles, true);
    atomic_init(&t.hit, false);
    assert_int_equal(pthread_create(&thread, NULL, signal_when_blocked, &t), 0);
    assert_int_equal(estab_posix_ppoll(&poll, 1, NULL, &none), -1);
    assert_int_equal(errno, EINTR);
    atomic_store(&t.hit, true);
    pthread_join(thread, NULL);
    atomic_store(&wires[0]->babbles, false);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    estab_posix_close(poll.fd);
    estab_posix_close(l);
    close_apart(p);
}

/* A sparing link rests for more and more sleeps, but comes to be looked at again. */
static void who_looks_in_vain_looks_again_later(void **state)
{
    struct sockaddr_in a;
    struct sender how;
    estab_posix *p[2];
    pthread_t thread;
    unsigned rested = 0, back = 0;
    int l, c, s;
    char b;

    (void)state;
    open_apart(p);
    for (int i = 0; i < 2; i++) {
        estab_posix_lock(p[i]);
        wires[i]->link.busy = 1; /* too short for anything to come */
        wires[i]->link.sparing = true;
        estab_posix_unlock(p[i]);
    }
    l = listener(p[1], &a, 0);
    c = dial(p[0], &a);
    s = estab_posix_accept(l, NULL, NULL);
    how = (struct sender){s, 1, p[0]};
    for (int i = 0; i < 300; i++) {
        assert_int_equal(pthread_create(&thread, NULL, send_when_blocked, &how), 0);
        assert_int_equal(estab_posix_recv(c, &b, 1, 0), 1);
        pthread_join(thread, NULL);
        estab_posix_lock(p[0]);
        if (wires[0]->link.rests > 0)
            rested++;
        else if (rested > 0)
            back++;
        estab_posix_unlock(p[0]);
    }
    assert_true(rested > 0 && back > 0);
    estab_posix_close(c);
    estab_posix_close(s);
    estab_posix_close(l);
    close_apart(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_looks_in_vain_looks_again_later),
        cmocka_unit_test(a_signal_ends_a_wait),
        cmocka_unit_test(a_signal_ends_a_poll_among_frames_without_end),
        cmocka_unit_test(waits_for_both),
        cmocka_unit_test(the_kernels_epoll_alone),
        cmocka_unit_test(a_driver_asleep_hides_no_timer),
        cmocka_unit_test(a_driver_that_leaves_hides_no_timer),
        cmocka_unit_test(a_driver_asleep_sees_a_new_link),
        cmocka_unit_test(threads_share_a_set),
    };

    int failed = cmocka_run_group_tests_name("asleep", tests, NULL, NULL);

    busy = ESTAB_MS(1);
    return failed + cmocka_run_group_tests_name("looking", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_test.c - descriptors, blocking and readiness, over two stacks and a link in memory. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_and_exchanges),
        cmocka_unit_test(threads_talk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

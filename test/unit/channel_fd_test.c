/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_fd_test.c - channels on descriptors: a kernel's socket pair, two stacks of posix.h with a
 * thread on each side; and on a stack whose loop watches a descriptor. */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <estab/channel.h>
#include <estab/posix.h>

enum { CALLS = 200, AT_ONCE = 64 };

static const struct estab_fd_calls posix_calls = ESTAB_POSIX_CALLS;

/* Replies with the request backwards, until the peer leaves. */
static void serve(const struct estab_transport *t, int fd)
{
    struct estab_channel_event e;
    struct estab_env env;
    estab_channel *c;

    estab_host_env(&env);
    if (estab_channel_accept(&c, &env, NULL, t, (estab_wire)fd) != 0)
        return;
    while (estab_channel_wait(c, ESTAB_NEVER, &e) == 0) {
        uint8_t back[64];
        struct estab_iov v = {back, e.len};

        if (e.kind != ESTAB_CH_REQUEST)
            continue;
        for (size_t i = 0; i < e.len; i++)
            back[i] = e.text[e.len - 1 - i];
        (void)estab_channel_reply(c, e.number, &v, 1, 0);
    }
    estab_channel_free(c);
}

static void talk(estab_channel *c)
{
    char back[16];
    struct estab_iov v = {"forwards", 8}, to = {back, sizeof back};
    struct estab_channel_event e;
    uint64_t n;
    int left = AT_ONCE;

    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(estab_channel_call(c, &v, 1, &to, 1, ESTAB_S(60), 0), 8);
        assert_memory_equal(back, "sdrawrof", 8);
    }
    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(estab_channel_ask(c, &v, 1, ESTAB_S(60), 0, &n), 0);
    while (left > 0) {
        assert_int_equal(estab_channel_wait(c, ESTAB_S(60), &e), 0);
        left -= e.kind == ESTAB_CH_REPLY;
        assert_int_not_equal(e.kind, ESTAB_CH_FAILED);
    }
}

static void leave(estab_channel *c)
{
    struct estab_channel_event e;

    estab_channel_close(c);
    do
        assert_int_equal(estab_channel_wait(c, ESTAB_S(60), &e), 0);
    while (e.kind != ESTAB_CH_DOWN);
    assert_int_equal(e.error, 0);
    estab_channel_free(c);
}

static void *kernel_server(void *fd)
{
    struct estab_transport t;

    estab_transport_fd(&t, NULL);
    serve(&t, *(int *)fd);
    return NULL;
}

static void over_a_socket_pair(void **state)
{
    struct estab_transport t;
    struct estab_env env;
    estab_channel *c;
    pthread_t thread;
    int fd[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    assert_int_equal(pthread_create(&thread, NULL, kernel_server, &fd[1]), 0);
    estab_host_env(&env);
    estab_transport_fd(&t, NULL);
    assert_int_equal(estab_channel_accept(&c, &env, NULL, &t, (estab_wire)fd[0]), 0);
    talk(c);
    estab_channel_free(c);
    pthread_join(thread, NULL);
}

/* ---- posix.h ---- */

static const struct estab_fd_wires posix_wires = {&posix_calls, -1};

static void *posix_server(void *listener)
{
    struct estab_transport t;
    int fd = estab_posix_accept(*(int *)listener, NULL, NULL);

    estab_transport_fd(&t, &posix_wires);
    serve(&t, fd);
    return NULL;
}

static int listen_on(estab_posix *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)};
    int fd;

    a.sin_addr.s_addr = htonl(0x0a000002);
    estab_posix_use(p);
    fd = estab_posix_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(estab_posix_bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(estab_posix_listen(fd, 8), 0);
    return fd;
}

static void over_posix_sockets(void **state)
{
    static const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    static const char *const addrs[] = {"10.0.0.1/24", "10.0.0.2/24"};
    struct estab_posix_config conf;
    struct estab_transport t;
    struct estab_addr to;
    struct estab_env env;
    estab_channel *c;
    estab_posix *p[2];
    estab_link *ends[2];
    pthread_t thread;
    char err[ESTAB_ERRLEN];
    int listener;

    (void)state;
    estab_posix_config_init(&conf);
    assert_int_equal(estab_link_pair(ends, &caps, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_posix_new(&p[i], &conf, err), 0);
        assert_int_equal(estab_posix_attach(p[i], ends[i], err), 0);
        assert_int_equal(estab_posix_addr(p[i], 0, addrs[i], err), 0);
        conf.with = p[0];
    }
    listener = listen_on(p[1]);
    assert_int_equal(pthread_create(&thread, NULL, posix_server, &listener), 0);
    estab_posix_use(p[0]);
    estab_host_env(&env);
    estab_transport_fd(&t, &posix_wires);
    assert_int_equal(estab_addr_parse(&to, "10.0.0.2:7", NULL), 0);
    assert_int_equal(estab_channel_connect(&c, &env, NULL, &t, &to), 0);
    talk(c);
    leave(c);
    pthread_join(thread, NULL);
    estab_posix_close(listener);
    estab_posix_use(NULL);
    estab_posix_free(p[0]);
    estab_posix_free(p[1]);
}

/* ---- a loop ---- */

/* Nobody answers; what the program watches for (a signal, say) must not wait for the time limit. */
static void a_watched_descriptor_ends_the_waiting(void **state)
{
    static const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    struct estab_iov v = {"forwards", 8};
    struct estab_stack_wires wires;
    struct estab_transport t;
    struct estab_addr at, to;
    struct estab_env env;
    estab_link *ends[2];
    estab_channel *c;
    char err[ESTAB_ERRLEN];
    int fd = eventfd(1, EFD_CLOEXEC);

    (void)state;
    estab_host_env(&env);
    assert_int_equal(estab_stack_new(&wires.s, &env, NULL), 0);
    assert_int_equal(estab_loop_new(&wires.loop, wires.s, err), 0);
    assert_int_equal(estab_link_pair(ends, &caps, 0), 0);
    assert_int_equal(estab_loop_attach(wires.loop, ends[0], err), 0);
    assert_int_equal(estab_addr_parse(&at, "10.0.0.1", NULL), 0);
    assert_int_equal(estab_addr_parse(&to, "10.0.0.2:7", NULL), 0);
    assert_int_equal(estab_addr_add(wires.s, 0, at.ip, 120), 0);
    assert_int_equal(estab_loop_watch_fd(wires.loop, fd), 0);
    estab_transport_stack(&t, &wires);
    assert_int_equal(estab_channel_connect(&c, &env, NULL, &t, &to), 0);
    assert_int_equal(estab_channel_call(c, &v, 1, NULL, 0, ESTAB_NEVER, 0), ESTAB_E_CANCELLED);
    estab_channel_free(c);
    estab_loop_free(wires.loop);
    estab_stack_free(wires.s);
    estab_link_close(ends[1]);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_a_socket_pair),
        cmocka_unit_test(over_posix_sockets),
        cmocka_unit_test(a_watched_descriptor_ends_the_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* shards.c - two stacks with one address, a thread each, on one device, and the kernel's sockets at
 * the other end: interop_shards LINK v4|v6 [REASON], as shards.sh says; with a REASON the link is
 * refused for it. */
#include "link_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHARDS = 2, PORT = 4000, COMING = 200, GOING = 50, MESSAGE = 5000 };

static struct place {
    const char *spec, *ours, *theirs, *prefix;
    bool v6;
} at;

/* One stack: what a thread has to itself, and what it tells at the end. */
struct shard {
    estab_stack *stack;
    estab_loop *loop;
    estab_link *link;
    pthread_t thread;
    int end, done; /* eventfds: stop; another that was opened here has been answered */
    estab_sock listener;
    unsigned came, went, ended; /* connections: accepted, opened and answered, over */
};
struct conn {
    estab_sock sock;
    bool opened; /* by us */
    size_t sent, got;
    uint8_t text[MESSAGE];
};

static uint8_t octet_at(size_t i)
{
    return (uint8_t)((i * 2654435761u) >> 24);
}

static void fill(uint8_t *text)
{
    for (size_t i = 0; i < MESSAGE; i++)
        text[i] = octet_at(i);
}

static void check(const uint8_t *text)
{
    for (size_t i = 0; i < MESSAGE; i++)
        if (text[i] != octet_at(i))
            fail_msg("octet %zu is another one", i);
}

static struct estab_addr addr_of(const char *ip)
{
    struct estab_addr a;

    assert_int_equal(estab_addr_parse(&a, ip, NULL), 0);
    a.port = PORT;
    return a;
}

static void open_shard(struct shard *s, estab_link *link, uint16_t number)
{
    struct estab_config cfg;
    struct estab_addr any = {.port = PORT};
    struct estab_env env;
    char err[ESTAB_ERRLEN], text[64];
    uint8_t ip[16], len;
    int port;

    *s = (struct shard){.link = link, .end = eventfd(0, 0), .done = eventfd(0, 0)};
    estab_host_env(&env);
    estab_config_init(&cfg);
    cfg.shard = number;
    cfg.nshards = SHARDS;
    if (estab_host_stack(&s->stack, &env, &cfg, err) || estab_loop_new(&s->loop, s->stack, err))
        fail_msg("%s", err);
    port = estab_loop_attach(s->loop, link, err);
    if (port < 0)
        fail_msg("%s", err);
    assert_int_equal(estab_loop_watch_fd(s->loop, s->end), 0);
    snprintf(text, sizeof text, "%s/%s", at.ours, at.prefix);
    assert_int_equal(estab_prefix_parse(ip, &len, text), 0);
    assert_int_equal(estab_addr_add(s->stack, port, ip, len), 0);
    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &s->listener), 0);
    assert_int_equal(estab_bind(s->stack, s->listener, &any), 0);
    assert_int_equal(estab_listen(s->stack, s->listener, COMING), 0);
    assert_int_equal(estab_watch(s->stack, s->listener, ESTAB_EV_IN, NULL), 0);
}

static struct conn *new_conn(struct shard *s, estab_sock k, bool opened)
{
    struct conn *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->sock = k;
    c->opened = opened;
    fill(c->text);
    assert_int_equal(estab_watch(s->stack, k, ESTAB_EV_IN | ESTAB_EV_OUT, c), 0);
    return c;
}

/* Who opened sends first and has it back; who did not sends back what came. */
static void go_on(struct shard *s, struct conn *c)
{
    const uint64_t once = 1;
    struct estab_iov in, out;
    ptrdiff_t n = ESTAB_E_AGAIN;

    if (!c->opened || c->sent == MESSAGE) {
        in = (struct estab_iov){c->text + c->got, MESSAGE - c->got};
        while (in.len > 0 && (n = estab_recv(s->stack, c->sock, &in, 1, 0)) > 0) {
            c->got += (size_t)n;
            in = (struct estab_iov){c->text + c->got, MESSAGE - c->got};
        }
        if (in.len > 0 && n != ESTAB_E_AGAIN)
            fail_msg("receiving: %s", n ? estab_strerror((int)n) : "the end");
    }
    if (c->opened || c->got == MESSAGE) {
        out = (struct estab_iov){c->text + c->sent, MESSAGE - c->sent};
        n = out.len > 0 ? estab_send(s->stack, c->sock, &out, 1, 0) : 0;
        if (n != ESTAB_E_AGAIN)
            c->sent += (size_t)n;
        assert_true(n >= 0 || n == ESTAB_E_AGAIN);
    }
    if (c->sent < MESSAGE || c->got < MESSAGE)
        return;
    check(c->text);
    if (c->opened) {
        s->went++;
        assert_int_equal(write(s->done, &once, sizeof once), sizeof once);
    }
    s->ended++;
    estab_close(s->stack, c->sock);
    free(c);
}

static void serve_events(struct shard *s)
{
    struct estab_event e[16];
    estab_sock k;
    size_t n;

    while ((n = estab_events(s->stack, e, 16)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (e[i].user)
                go_on(s, e[i].user);
            else
                for (; estab_accept(s->stack, s->listener, &k, NULL) == 0; s->came++)
                    (void)new_conn(s, k, false);
        }
    }
}

static void *run_shard(void *arg)
{
    struct estab_addr peer = addr_of(at.theirs);
    struct shard *s = arg;
    char err[ESTAB_ERRLEN];
    estab_sock k;
    int rc;

    for (int i = 0; i < GOING; i++) {
        assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &k), 0);
        assert_int_equal(estab_connect(s->stack, k, &peer), ESTAB_E_INPROGRESS);
        (void)new_conn(s, k, true);
    }
    while ((rc = estab_loop_turn(s->loop, ESTAB_NEVER, err)) != 1) {
        if (rc == -1)
            fail_msg("%s", err);
        serve_events(s);
    }
    return NULL;
}

/* ---- the kernel's end ---- */

static int kernel_socket(struct sockaddr_storage *ss, socklen_t *len, const char *ip)
{
    const struct timeval patience = {.tv_sec = 60};
    int fd = socket(at.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ss;
    struct sockaddr_in *a4 = (struct sockaddr_in *)ss;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    memset(ss, 0, sizeof *ss);
    *len = at.v6 ? sizeof *a6 : sizeof *a4;
    if (at.v6) {
        a6->sin6_family = AF_INET6;
        a6->sin6_port = htons(PORT);
        inet_pton(AF_INET6, ip, &a6->sin6_addr);
        return fd;
    }
    a4->sin_family = AF_INET;
    a4->sin_port = htons(PORT);
    inet_pton(AF_INET, ip, &a4->sin_addr);
    return fd;
}

static void read_message(int fd)
{
    uint8_t text[MESSAGE];
    ssize_t n = 0;

    for (size_t got = 0; got < sizeof text; got += (size_t)n) {
        n = read(fd, text + got, sizeof text - got);
        if (n <= 0)
            fail_msg("the kernel's read: %s", n ? strerror(errno) : "the end");
    }
    check(text);
}

static void write_message(int fd)
{
    uint8_t text[MESSAGE];

    fill(text);
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
}

static void the_kernel_answers(int listener, unsigned times)
{
    int fd;

    for (unsigned i = 0; i < times; i++) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0)
            fail_msg("connection %u of %u did not come: %s", i, times, strerror(errno));
        read_message(fd);
        write_message(fd);
        close(fd);
    }
}

/* A segment may be lost on the way, and come once more. */
static void all_are_answered(const struct shard *s)
{
    struct pollfd p = {.fd = s->done, .events = POLLIN};
    uint64_t n;

    for (uint64_t answered = 0; answered < GOING; answered += n) {
        if (poll(&p, 1, 60000) != 1)
            fail_msg("%u of %d connections were answered", (unsigned)answered, GOING);
        assert_int_equal(read(s->done, &n, sizeof n), sizeof n);
    }
}

static void the_kernel_connects(unsigned times)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int fd;

    for (unsigned i = 0; i < times; i++) {
        fd = kernel_socket(&ss, &len, at.ours);
        if (connect(fd, (struct sockaddr *)&ss, len))
            fail_msg("connection %u: %s", i, strerror(errno));
        write_message(fd);
        read_message(fd);
        close(fd);
    }
}

/* ---- */

static void every_connection_works_whichever_shard_has_it(void **state)
{
    const uint64_t once = 1;
    struct shard s[SHARDS];
    estab_link *link[SHARDS];
    struct sockaddr_storage ss;
    char err[ESTAB_ERRLEN];
    socklen_t len;
    unsigned came = 0;
    int listener;

    (void)state;
    if (estab_link_shards(link, SHARDS, at.spec, err))
        fail_msg("%s", err);
    for (uint16_t i = 0; i < SHARDS; i++)
        open_shard(&s[i], link[i], i);
    listener = kernel_socket(&ss, &len, at.theirs);
    assert_int_equal(bind(listener, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(listen(listener, SHARDS * GOING), 0);
    for (int i = 0; i < SHARDS; i++)
        assert_int_equal(pthread_create(&s[i].thread, NULL, run_shard, &s[i]), 0);
    the_kernel_answers(listener, SHARDS * GOING);
    the_kernel_connects(COMING);
    for (int i = 0; i < SHARDS; i++)
        all_are_answered(&s[i]);
    for (int i = 0; i < SHARDS; i++) { /* until now each handed on what came for others */
        assert_int_equal(write(s[i].end, &once, sizeof once), sizeof once);
        pthread_join(s[i].thread, NULL);
        serve_events(&s[i]);
    }
    for (int i = 0; i < SHARDS; i++) {
        printf("shard %d: %u came, %u went out; %u frames, %u handed on\n", i, s[i].came, s[i].went,
               (unsigned)s[i].link->frames_in, (unsigned)s[i].link->handed_on);
        assert_true(s[i].came > COMING / 4);
        assert_int_equal(s[i].went, GOING);
        assert_int_equal(s[i].ended, s[i].came + s[i].went);
        assert_int_equal(s[i].link->lost_in, 0);
        came += s[i].came;
        estab_loop_free(s[i].loop);
        estab_stack_free(s[i].stack);
        close(s[i].end);
        close(s[i].done);
    }
    assert_int_equal(came, COMING);
    close(listener);
}

static void the_link_is_refused_for_its_reason(void **state)
{
    estab_link *link[SHARDS];
    char err[ESTAB_ERRLEN];

    assert_int_equal(estab_link_shards(link, SHARDS, at.spec, err), -1);
    if (!strstr(err, *state))
        fail_msg("\"%s\" does not say \"%s\"", err, (const char *)*state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest refusal[] = {
        cmocka_unit_test_prestate(the_link_is_refused_for_its_reason, argc == 4 ? argv[3] : NULL),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_connection_works_whichever_shard_has_it),
    };

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: %s LINK v4|v6 [REASON]\n", argv[0]);
        return 2;
    }
    at = (struct place){.spec = argv[1], .v6 = strcmp(argv[2], "v6") == 0};
    at.ours = at.v6 ? "fd96::2" : "10.96.0.2";
    at.theirs = at.v6 ? "fd96::1" : "10.96.0.1";
    at.prefix = at.v6 ? "64" : "24";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4)
        return cmocka_run_group_tests_name(argv[1], refusal, NULL, NULL);
    return cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}

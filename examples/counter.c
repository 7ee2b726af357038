/* SPDX-License-Identifier: BSD-2-Clause */
/* counter.c - a number that many clients add to, in messages.
 *
 *     counter serve PORT           a thread for each client
 *     counter add ADDRESS:PORT N   adds 1 N times, all requests in flight together; says the sum
 *
 * A request is "add" or "get", its reply the sum.  Asking "get" twice does no harm, so it is marked
 * safe: should the connection break before its reply has come, the channel connects again and asks
 * once more.  "add" is not: then the client is told that nobody knows, and it must decide.
 *
 *     ESTAB_POSIX="dev=tun:estab0 addr=10.0.0.3/24" counter_estab serve 7 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <estab/channel.h>

/* What connections are made of: a table of calls, the kernel's if there is none. */
#ifdef ON_ESTAB
#include <estab/posix_names.h>
static const struct estab_fd_calls calls = ESTAB_POSIX_CALLS;
static const struct estab_fd_wires wires = {&calls, -1};
#else
static const struct estab_fd_wires wires = {NULL, -1};
#endif

static _Atomic unsigned long sum;

static size_t answer(const struct estab_channel_event *e, char *text, size_t cap)
{
    unsigned long now = e->len == 3 && memcmp(e->text, "add", 3) == 0 ? ++sum : sum;

    return (size_t)snprintf(text, cap, "%lu", now);
}

/* A client's thread: an event after another, until the client has gone or has been silent for
 * longer than heartbeats allow. */
static void *serve_client(void *arg)
{
    struct estab_channel_event e;
    struct estab_transport t;
    struct estab_env env;
    estab_channel *c;
    char text[32];
    struct estab_iov reply = {text, 0};
    int fd = (int)(intptr_t)arg;

    estab_host_env(&env);
    estab_transport_fd(&t, &wires);
    if (estab_channel_accept(&c, &env, NULL, &t, (estab_wire)fd) != 0)
        return close(fd), NULL;
    while (estab_channel_wait(c, ESTAB_NEVER, &e) == 0) {
        reply.len = e.kind == ESTAB_CH_REQUEST ? answer(&e, text, sizeof text) : 0;
        if (reply.len)
            estab_channel_reply(c, e.number, &reply, 1, 0);
    }
    estab_channel_free(c);
    return NULL;
}

static int serve(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, client;
    pthread_t thread;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 128) != 0) {
        perror("counter: cannot listen");
        return 1;
    }
    puts("listening");
    fflush(stdout);
    while ((client = accept(fd, NULL, NULL)) >= 0)
        if (pthread_create(&thread, NULL, serve_client, (void *)(intptr_t)client) == 0)
            pthread_detach(thread);
    return 0;
}

/* All of them at once.  Where the queue is full, the replies to those before make room. */
static int add(estab_channel *c, int n)
{
    struct estab_iov text = {"add", 3};
    struct estab_channel_event e;
    uint64_t number;
    int asked = 0, over = 0, failed = 0;

    while (over < n) {
        while (asked < n && estab_channel_ask(c, &text, 1, ESTAB_S(10), 0, &number) == 0)
            asked++;
        if (estab_channel_wait(c, ESTAB_NEVER, &e) != 0)
            return -1;
        if (e.kind == ESTAB_CH_FAILED)
            fprintf(stderr, "counter: %s%s\n", estab_channel_strerror(e.error),
                    e.sent ? ", and it may have been added" : "");
        failed += e.kind == ESTAB_CH_FAILED;
        over += e.kind == ESTAB_CH_REPLY || e.kind == ESTAB_CH_FAILED;
    }
    return failed;
}

static int client(const char *where, int n)
{
    char reply[32];
    struct estab_iov text = {"get", 3}, to = {reply, sizeof reply - 1};
    struct estab_channel_config conf;
    struct estab_channel_event e;
    struct estab_transport t;
    struct estab_addr server;
    struct estab_env env;
    estab_channel *c;
    ptrdiff_t len;
    int failed;

    estab_host_env(&env);
    estab_transport_fd(&t, &wires);
    estab_channel_config_init(&conf);
    conf.reconnect = true;
    conf.attempts = 5;
    if (estab_addr_parse(&server, where, NULL) != 0 ||
        estab_channel_connect(&c, &env, &conf, &t, &server) != 0)
        return 2;
    failed = add(c, n);
    len = estab_channel_call(c, &text, 1, &to, 1, ESTAB_S(10), ESTAB_CH_SAFE);
    if (len < 0)
        fprintf(stderr, "counter: %s\n", estab_channel_strerror((int)len));
    else
        printf("%.*s\n", (int)len, reply);
    estab_channel_close(c);
    while (estab_channel_wait(c, ESTAB_S(1), &e) == 0)
        ;
    estab_channel_free(c);
    return failed || len < 0;
}

int main(int argc, char *argv[])
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2]);
    if (argc == 4 && strcmp(argv[1], "add") == 0)
        return client(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: counter serve PORT | counter add ADDRESS:PORT N\n");
    return 2;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.c - a host with UDP sockets for the kernel's to talk to.  Run by udp.sh: interop_udp LINK.
 *
 * Port 7 answers each datagram with itself.  Port 1000 calls the kernel's port 9000 at each of its
 * two addresses, and 9001, where nobody is, and says what came of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <estab/host.h>

static const char *const their_ip[2] = {"10.77.0.1", "fd77::1"};
static char err[ESTAB_ERRLEN];

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s %s\n", what, estab_strerror(result), err);
    exit(1);
}

static struct estab_addr at(const char *ip, uint16_t port)
{
    struct estab_addr a = {0};

    must(estab_addr_parse(&a, ip, NULL), ip);
    a.port = port;
    return a;
}

static void add_address(estab_stack *s, int port, const char *prefix)
{
    uint8_t addr[16], len = 0;

    must(estab_prefix_parse(addr, &len, prefix), prefix);
    must(estab_addr_add(s, port, addr, len), prefix);
}

static void answer_all(estab_stack *s, estab_sock k)
{
    static uint8_t text[65536];
    struct estab_recv_info i = {.size = sizeof i};
    struct estab_iov v = {text, sizeof text};
    ptrdiff_t n;

    while ((n = estab_recvfrom(s, k, &v, 1, 0, &i)) >= 0) {
        struct estab_iov back = {text, (size_t)n};

        (void)estab_sendto(s, k, &back, 1, 0, &i.from);
    }
}

static estab_sock call(estab_stack *s, const char *ip, uint16_t port)
{
    struct estab_addr peer = at(ip, port);
    estab_sock k = 0;

    must(estab_socket(s, ESTAB_UDP, &k), "a socket");
    must(estab_connect(s, k, &peer), "connect");
    return k;
}

/* Again and again: a device that has just come up drops what comes too early. */
static void say_hello(estab_stack *s, estab_sock k)
{
    struct estab_iov v = {(void *)(uintptr_t) "hello", 5};

    (void)estab_send(s, k, &v, 1, 0);
}

/* True: something has come of it. */
static bool hear(estab_stack *s, estab_sock k, const char *ip)
{
    char text[64];
    struct estab_iov v = {text, sizeof text - 1};
    ptrdiff_t n = estab_recv(s, k, &v, 1, 0);

    if (n == ESTAB_E_AGAIN)
        return false;
    text[n < 0 ? 0 : n] = 0;
    printf("%s %s\n", ip, n < 0 ? estab_strerror((int)n) : text);
    fflush(stdout);
    return true;
}

static void open_all(estab_stack **s, estab_loop **loop, const struct estab_env *env,
                     const char *spec)
{
    estab_link *link = NULL;
    int port;

    must(estab_stack_new(s, env, NULL), "a stack");
    must(estab_loop_new(loop, *s, err), "a loop");
    must(estab_link_open(&link, spec, err), spec);
    port = estab_loop_attach(*loop, link, err);
    must(port, spec);
    add_address(*s, port, "10.77.0.2/24");
    add_address(*s, port, "fd77::2/64");
}

int main(int argc, char **argv)
{
    struct estab_addr any = at("::", 7);
    estab_stack *s = NULL;
    estab_loop *loop = NULL;
    estab_sock echo = 0, calls[4];
    struct estab_env env;
    estab_time now, again = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s LINK\n", argv[0]);
        return 2;
    }
    estab_host_env(&env);
    open_all(&s, &loop, &env, argv[1]);
    must(estab_socket(s, ESTAB_UDP, &echo), "a socket");
    must(estab_bind(s, echo, &any), "bind");
    must(estab_setopt(s, echo, ESTAB_O_RCVBUF, 1u << 20), "room to receive");
    must(estab_setopt(s, echo, ESTAB_O_SNDBUF, 1u << 20), "room to send");
    for (int i = 0; i < 4; i++)
        calls[i] = call(s, their_ip[i % 2], (uint16_t)(9000 + i / 2));
    for (;;) {
        int turn;

        answer_all(s, echo);
        for (int i = 0; i < 4; i++)
            if (calls[i] && hear(s, calls[i], their_ip[i % 2])) {
                (void)estab_close(s, calls[i]);
                calls[i] = 0;
            }
        now = env.now(env.ctx);
        for (int i = 0; now >= again && i < 4; i++)
            if (calls[i])
                say_hello(s, calls[i]);
        if (now >= again)
            again = now + ESTAB_MS(200);
        turn = estab_loop_turn(loop, ESTAB_MS(200), err);
        if (turn == -1)
            must(turn, "the link");
    }
}

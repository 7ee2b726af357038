/* SPDX-License-Identifier: BSD-2-Clause */
/* scenario.c - what the scenarios share. */
#include "scenario.h"

#include "sha256.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

struct place place;
uint8_t payload[BULK], arrived[BULK];
char payload_digest[65];
struct their_side theirs;

void fill_payload(void)
{
    struct estab_virtual v;
    struct estab_env env;
    uint64_t r;

    estab_virtual_env(&env, &v, 1);
    for (size_t i = 0; i < sizeof payload; i += sizeof r) {
        r = estab_virtual_random(&v);
        memcpy(payload + i, &r, sizeof r);
    }
    sha256_hex(payload, sizeof payload, payload_digest);
}

uint16_t new_port(void)
{
    static uint16_t port = 7000;

    return port++;
}

/* A scenario that failed leaves sockets behind, on which the next one would wait. */
int end_scenario(void **state)
{
    const int most = 1024;

    (void)state;
    theirs_join(&theirs);
    if (!ours_close())
        for (int fd = STDERR_FILENO + 1; fd < most; fd++)
            their_reset(fd);
    return 0;
}

/* ---- connections that follow a plan ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double exchange(struct our_side *s, bool they_open, uint32_t n, uint32_t at_once)
{
    uint16_t port = new_port();
    bool ended = false;
    double began;

    s->has_ends = true;
    s->n = theirs.n = n;
    s->at_once = theirs.at_once = at_once;
    s->begun = s->over = 0;
    s->opens = !they_open;
    theirs.opens = they_open;
    theirs.listener = they_open ? -1 : their_listen(s->at->their_ip, port, 0);
    assert_true(they_open || theirs.listener >= 0);
    s->to = our_addr(s->at->their_ip, port);
    their_addr(&theirs.to, s->at->our_ip, port);
    if (they_open)
        ours_listen(s, port);
    assert_true(theirs_start(&theirs));
    assert_int_equal(estab_loop_watch_fd(s->loop, theirs.ended), 0);
    s->waiting_for = "the exchange";
    began = seconds();
    while (s->over < n || !ended) {
        ours_turn(s, ESTAB_NEVER);
        ended = theirs_have_ended(&theirs);
        if (ended && theirs.failure[0])
            fail_msg("%s", theirs.failure);
    }
    began = seconds() - began;
    theirs_join(&theirs);
    if (!they_open)
        close(theirs.listener);
    assert_int_equal(s->begun, n);
    return began;
}

void assert_arrived(size_t len)
{
    char hex[65];

    if (len < BULK) {
        assert_memory_equal(arrived, payload, len);
        return;
    }
    sha256_hex(arrived, BULK, hex);
    assert_string_equal(hex, payload_digest);
}

void assert_closed(struct our_side *s, uint32_t n, bool by_us)
{
    ours_settle(s);
    assert_int_equal(entered(s, ESTAB_ESTABLISHED), n);
    assert_int_equal(entered(s, ESTAB_TIME_WAIT), by_us ? n : 0);
    assert_int_equal(s->edges[ESTAB_TIME_WAIT][ESTAB_CLOSED], by_us ? n : 0);
    assert_int_equal(s->edges[ESTAB_LAST_ACK][ESTAB_CLOSED], by_us ? 0 : n);
    assert_int_equal(entered(s, ESTAB_CLOSING), 0);
}

/* ---- one connection by hand ---- */

static bool connected(int fd)
{
    struct tcp_info i;

    their_info(fd, &i);
    return i.tcpi_state == TCP_ESTABLISHED;
}

static struct wire wire_of_theirs(struct our_side *s, uint16_t port, int rcvbuf)
{
    struct sockaddr_storage to;
    struct wire w;

    ours_listen(s, port);
    their_addr(&to, s->at->our_ip, port);
    w.fd = their_connect(&to, 0, rcvbuf);
    assert_true(w.fd >= 0);
    UNTIL(s, "the kernel's connection", estab_accept(s->stack, s->listener, &w.sock, NULL) == 0);
    assert_true(connected(w.fd));
    return w;
}

static struct wire wire_of_ours(struct our_side *s, uint16_t port, int rcvbuf)
{
    struct estab_addr to = our_addr(s->at->their_ip, port);
    int listener = their_listen(s->at->their_ip, port, rcvbuf);
    struct wire w;

    assert_true(listener >= 0);
    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &w.sock), 0);
    assert_int_equal(estab_connect(s->stack, w.sock, &to), ESTAB_E_INPROGRESS);
    UNTIL(s, "our connection", estab_ready(s->stack, w.sock) & ESTAB_EV_OUT);
    UNTIL(s, "the kernel to accept it",
          (w.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    close(listener);
    return w;
}

struct wire wire_open_narrow(struct our_side *s, bool they_open, int rcvbuf)
{
    uint16_t port = new_port();

    return they_open ? wire_of_theirs(s, port, rcvbuf) : wire_of_ours(s, port, rcvbuf);
}

struct wire wire_open(struct our_side *s, bool they_open)
{
    return wire_open_narrow(s, they_open, 0);
}

void wire_close(struct our_side *s, struct wire *w)
{
    if (w->sock)
        assert_int_equal(estab_close(s->stack, w->sock), 0);
    if (w->fd >= 0)
        close(w->fd);
    w->sock = 0;
    w->fd = -1;
    ours_settle(s);
}

ptrdiff_t our_next(struct our_side *s, const struct wire *w, void *into, size_t len)
{
    struct estab_iov v = {into, len};
    ptrdiff_t n;

    UNTIL(s, "something to receive",
          (n = estab_recv(s->stack, w->sock, &v, 1, 0)) != ESTAB_E_AGAIN);
    return n;
}

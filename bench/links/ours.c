/* SPDX-License-Identifier: BSD-2-Clause */
/* ours.c - a stack on a link, driven by the loop that everyone has. */
#include "links.h"

#include <stdlib.h>
#include <string.h>

enum { APP = 64 << 10, LENT = 256 << 10 };

struct ours {
    estab_stack *stack;
    estab_loop *loop;
    uint8_t buf[APP], lent[LENT];
};

static void turn(struct ours *o)
{
    char err[ESTAB_ERRLEN];

    if (estab_loop_turn(o->loop, ESTAB_MS(100), err) == -1)
        die("%s", err);
}

struct ours *ours_open(const char *spec, const char *addr, uint32_t buffers)
{
    struct ours *o = calloc(1, sizeof *o);
    struct estab_config cfg;
    struct estab_env env;
    char err[ESTAB_ERRLEN];
    estab_link *link;
    uint8_t ip[16], len;
    int port;

    estab_host_env(&env);
    estab_config_init(&cfg);
    estab_config_profile(&cfg, "linux");
    cfg.sndbuf = cfg.rcvbuf = buffers;
    cfg.port_lo = 1024;
    cfg.port_hi = 65535;
    if (estab_stack_new(&o->stack, &env, &cfg) || estab_loop_new(&o->loop, o->stack, err))
        die("no stack");
    if (estab_link_open(&link, spec, err))
        die("%s", err);
    port = estab_loop_attach(o->loop, link, err);
    if (port < 0)
        die("%s", err);
    if (estab_prefix_parse(ip, &len, addr) || estab_addr_add(o->stack, port, ip, len))
        die("%s: no such address", addr);
    return o;
}

void ours_close(struct ours *o)
{
    estab_loop_free(o->loop);
    estab_stack_free(o->stack);
    free(o);
}

static estab_sock connect_to(struct ours *o, const char *ip, uint16_t port)
{
    struct estab_addr a;
    estab_sock k;
    int rc;

    if (estab_addr_parse(&a, ip, NULL) || estab_socket(o->stack, ESTAB_TCP, &k))
        die("no socket");
    a.port = port;
    estab_setopt(o->stack, k, ESTAB_O_NODELAY, 1);
    rc = estab_connect(o->stack, k, &a);
    if (rc != ESTAB_E_INPROGRESS)
        die("connecting: %s", estab_strerror(rc));
    return k;
}

static estab_sock open_to(struct ours *o, const char *ip, uint16_t port)
{
    estab_sock k = connect_to(o, ip, port);

    while (!(estab_ready(o->stack, k) & ESTAB_EV_OUT))
        turn(o);
    return k;
}

/* The same text again and again, as far as the socket takes it: from where it is, or copied. */
static void pour(struct ours *o, estab_sock k, bool lends)
{
    struct estab_iov v = {o->buf, APP};
    ptrdiff_t n;

    do
        n = lends ? estab_send_lend(o->stack, k, &v, 1, 0) : estab_send(o->stack, k, &v, 1, 0);
    while (n > 0);
    if (n != ESTAB_E_AGAIN)
        die("sending: %s", estab_strerror((int)n));
}

static void lend(struct ours *o, estab_sock k)
{
    int rc = estab_recv_lend(o->stack, k, o->lent, LENT);

    if (rc)
        die("no buffer could be lent: %s", estab_strerror(rc));
}

/* What has come into the lent buffer, which is lent again: octets, E_AGAIN, or the end. */
static ptrdiff_t take(struct ours *o, estab_sock k)
{
    ptrdiff_t n = estab_recv_end(o->stack, k);

    if (n > 0 || n == ESTAB_E_AGAIN)
        (void)estab_recv_lend(o->stack, k, o->lent, LENT);
    return n;
}

static uint64_t drain(struct ours *o, estab_sock k)
{
    ptrdiff_t n = take(o, k);

    if (n <= 0 && n != ESTAB_E_AGAIN)
        die("receiving: %s", n ? estab_strerror((int)n) : "the end");
    return n > 0 ? (uint64_t)n : 0;
}

double ours_out(struct ours *o, const char *ip, const struct peer *p, bool lends, double seconds)
{
    estab_sock k = open_to(o, ip, PORT_SINK);
    double from = seconds_now(), warm = seconds / 4, now;
    uint64_t before = 0;

    while ((now = seconds_now() - from) < warm + seconds) {
        if (before == 0 && now > warm) {
            before = *p->counted;
            warm = now;
        }
        pour(o, k, lends);
        turn(o);
    }
    now = 8 * (double)(*p->counted - before) / (seconds_now() - from - warm);
    estab_abort(o->stack, k);
    estab_loop_flush(o->loop);
    return now;
}

double ours_in(struct ours *o, const char *ip, uint16_t port, double seconds)
{
    estab_sock k = open_to(o, ip, port);
    double from = seconds_now(), warm = seconds / 4, now;
    uint64_t sum = 0;
    bool counts = false;

    lend(o, k);
    while ((now = seconds_now() - from) < warm + seconds) {
        if (!counts && now > warm) {
            counts = true;
            warm = now;
            sum = 0;
        }
        turn(o);
        sum += drain(o, k);
    }
    now = 8 * (double)sum / (seconds_now() - from - warm);
    estab_abort(o->stack, k);
    estab_loop_flush(o->loop);
    return now;
}

double ours_rr(struct ours *o, const char *ip, unsigned count, double *p99)
{
    estab_sock k = open_to(o, ip, PORT_ECHO);
    double *v = calloc(count, sizeof *v), m;
    struct estab_iov iov = {o->buf, MESSAGE};

    for (unsigned i = 0; i < count; i++) {
        double at = seconds_now();

        if (estab_send(o->stack, k, &iov, 1, 0) != MESSAGE)
            die("the exchange broke");
        do
            turn(o);
        while (estab_recv(o->stack, k, &iov, 1, 0) != MESSAGE);
        v[i] = seconds_now() - at;
    }
    m = median(v, count);
    *p99 = v[count * 99 / 100];
    free(v);
    estab_abort(o->stack, k);
    estab_loop_flush(o->loop);
    return m;
}

static estab_sock listen_on(struct ours *o, uint16_t port)
{
    struct estab_addr any = {.port = port};
    estab_sock l;

    if (estab_socket(o->stack, ESTAB_TCP, &l) || estab_bind(o->stack, l, &any) ||
        estab_listen(o->stack, l, 16))
        die("no listener");
    return l;
}

/* Sends back what has come. */
static ptrdiff_t echo(struct ours *o, estab_sock k)
{
    struct estab_iov v = {o->buf, APP};
    ptrdiff_t n = estab_recv(o->stack, k, &v, 1, 0);

    v.len = (size_t)n;
    if (n > 0 && estab_send(o->stack, k, &v, 1, 0) != n)
        die("the echo broke");
    return n;
}

void ours_serve(struct ours *o, bool echoes, volatile uint64_t *counted)
{
    estab_sock l = listen_on(o, echoes ? PORT_ECHO : PORT_SINK), k;
    ptrdiff_t n;

    while (estab_accept(o->stack, l, &k, NULL) != 0)
        turn(o);
    estab_setopt(o->stack, k, ESTAB_O_NODELAY, 1);
    if (!echoes)
        lend(o, k);
    do {
        turn(o);
        n = echoes ? echo(o, k) : take(o, k);
        *counted += n > 0 ? (uint64_t)n : 0;
    } while (n > 0 || n == ESTAB_E_AGAIN);
    exit(0);
}

static void begin_short(struct ours *o, const char *ip, estab_sock *k)
{
    *k = connect_to(o, ip, PORT_SHORT);
    estab_watch(o->stack, *k, ESTAB_EV_OUT, k);
}

/* The next step of a short connection; true: it is over. */
static bool go_on(struct ours *o, estab_sock k, uint32_t mask, estab_sock *user)
{
    struct estab_iov v = {o->buf, MESSAGE};
    uint64_t error = 0;
    ptrdiff_t got;

    if (mask & ESTAB_EV_ERR) {
        estab_getopt(o->stack, k, ESTAB_O_ERROR, &error);
        die("a short connection broke: %s", estab_strerror(-(int)error));
    }
    if (mask & ESTAB_EV_OUT) {
        if (estab_send(o->stack, k, &v, 1, 0) != MESSAGE)
            die("a short connection took no request");
        estab_watch(o->stack, k, ESTAB_EV_IN, user);
        return false;
    }
    while ((got = estab_recv(o->stack, k, &v, 1, 0)) > 0)
        ;
    return got == 0;
}

double ours_short(struct ours *o, const char *ip, unsigned inflight, double seconds)
{
    estab_sock *k = calloc(inflight, sizeof *k), *which;
    unsigned under_way = inflight;
    struct estab_event e[64];
    uint64_t done = 0;
    double from = seconds_now(), took = 0;
    size_t n;

    for (unsigned i = 0; i < inflight; i++)
        begin_short(o, ip, &k[i]);
    /* The last ones end by themselves: a SYN that nobody stands behind any more would be in the way
     * of the next from its port. */
    while (under_way > 0) {
        turn(o);
        n = estab_events(o->stack, e, 64);
        for (size_t i = 0; i < n; i++) {
            which = e[i].user;
            if (!go_on(o, e[i].sock, e[i].mask, which))
                continue;
            estab_close(o->stack, *which);
            done += took == 0;
            if (took > 0)
                under_way--;
            else
                begin_short(o, ip, which);
        }
        if (took == 0 && seconds_now() - from >= seconds)
            took = seconds_now() - from;
    }
    estab_loop_flush(o->loop);
    free(k);
    return (double)done / took;
}

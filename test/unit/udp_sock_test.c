/* SPDX-License-Identifier: BSD-2-Clause */
/* udp_sock_test.c - UDP sockets as their user sees them: two hosts on one link, and frames by hand
 * where no host would send them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

#include "base/csum.h"
#include "stack/stack.h"
#include "wire/icmp.h"

struct side {
    struct estab_virtual v; /* first: it is what the callbacks of env get */
    struct estab_env env;
    estab_stack *s;
    uint32_t sent;       /* frames */
    uint8_t last[65536]; /* IP packet or frame sent last */
    uint32_t last_len;
    bool deaf; /* what is sent to it is lost */
};
struct two {
    struct side h[2];
    struct estab_port_caps caps;
    struct estab_config cfg;
};

static struct estab_addr at(const char *ip, uint16_t port)
{
    struct estab_addr a;

    assert_int_equal(estab_addr_parse(&a, ip, NULL), 0);
    a.port = port;
    return a;
}

static void start_side(struct two *n, int i)
{
    struct side *h = &n->h[i];
    struct estab_addr v4 = at(i ? "10.0.0.2" : "10.0.0.1", 0);
    struct estab_addr other = at(i ? "10.0.0.12" : "10.0.0.11", 0);
    struct estab_addr v6 = at(i ? "fd00::2" : "fd00::1", 0);
    struct estab_port_caps caps = n->caps;

    caps.mac[0] = 2;
    caps.mac[5] = (uint8_t)(1 + i);
    estab_virtual_env(&h->env, &h->v, (uint64_t)i + 1);
    h->v.now = ESTAB_S(1000);
    assert_int_equal(estab_stack_new(&h->s, &h->env, &n->cfg), 0);
    assert_int_equal(estab_port_add(h->s, &caps), 0);
    assert_int_equal(estab_addr_add(h->s, 0, v4.ip, 120), 0);
    assert_int_equal(estab_addr_add(h->s, 0, other.ip, 120), 0);
    assert_int_equal(estab_addr_add(h->s, 0, v6.ip, 64), 0);
}

static void start(struct two *n)
{
    for (int i = 0; i < 2; i++)
        start_side(n, i);
}

static void stop(struct two *n)
{
    for (int i = 0; i < 2; i++) {
        estab_stack_free(n->h[i].s);
        assert_int_equal(n->h[i].v.live, 0);
    }
}

/* What one host has to send arrives at the other; true: there was something. */
static bool carry(struct two *n, int from, size_t room)
{
    struct side *a = &n->h[from], *b = &n->h[!from];
    struct estab_frame f[ESTAB_BATCH];
    int got = estab_output(a->s, 0, f, room);

    assert_true(got >= 0);
    for (int i = 0; i < got; i++) {
        struct estab_frame flat = {.niov = 1};

        a->last_len = 0;
        for (uint32_t j = 0; j < f[i].niov; j++) {
            memcpy(a->last + a->last_len, f[i].iov[j].base, f[i].iov[j].len);
            a->last_len += (uint32_t)f[i].iov[j].len;
        }
        a->sent++;
        flat.iov[0] = (struct estab_iov){a->last, a->last_len};
        if (!b->deaf)
            assert_int_equal(estab_input(b->s, 0, &flat, 1), 0);
    }
    if ((size_t)got < room) /* ESTAB_BATCH: they were all */
        assert_int_equal(estab_output(a->s, 0, f, 1), 0);
    return got > 0;
}

/* Until neither has anything to send. */
static void settle(struct two *n)
{
    bool more = true;

    while (more) {
        more = carry(n, 0, ESTAB_BATCH);
        more |= carry(n, 1, ESTAB_BATCH);
    }
}

static void pass(struct two *n, estab_dur d)
{
    estab_time end = n->h[0].v.now + d;

    for (;;) {
        estab_time next = end;

        settle(n);
        for (int i = 0; i < 2; i++)
            next = time_min(next, estab_deadline(n->h[i].s));
        for (int i = 0; i < 2; i++) {
            n->h[i].v.now = next > n->h[i].v.now ? next : n->h[i].v.now;
            (void)estab_expire(n->h[i].s);
        }
        if (next >= end)
            break;
    }
    settle(n);
}

static void setup_caps(struct two *n)
{
    n->caps = (struct estab_port_caps){.medium = ESTAB_MEDIUM_IP, .mtu = 1500};
    estab_config_init(&n->cfg);
}

static int setup(void **state)
{
    struct two *n = calloc(1, sizeof *n);

    setup_caps(n);
    start(n);
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    stop(*state);
    free(*state);
    return 0;
}

/* ---- verbs: side A is h[0], side B is h[1] ---- */

static estab_sock sock(struct side *h)
{
    estab_sock k = 0;

    assert_int_equal(estab_socket(h->s, ESTAB_UDP, &k), 0);
    return k;
}

static void set(struct side *h, estab_sock k, enum estab_opt o, uint64_t v)
{
    assert_int_equal(estab_setopt(h->s, k, o, v), 0);
}

static int binds(struct side *h, estab_sock k, const char *ip, uint16_t port)
{
    struct estab_addr a = at(ip, port);

    return estab_bind(h->s, k, &a);
}

static int connects(struct side *h, estab_sock k, const char *ip, uint16_t port)
{
    struct estab_addr a = at(ip, port);

    return estab_connect(h->s, k, &a);
}

static estab_sock bound(struct side *h, const char *ip, uint16_t port)
{
    estab_sock k = sock(h);

    assert_int_equal(binds(h, k, ip, port), 0);
    return k;
}

static ptrdiff_t sends(struct side *h, estab_sock k, const void *text, size_t len, const char *ip,
                       uint16_t port)
{
    struct estab_iov v = {(void *)(uintptr_t)text, len};
    struct estab_addr to = ip ? at(ip, port) : (struct estab_addr){0};

    return estab_sendto(h->s, k, &v, 1, 0, ip ? &to : NULL);
}

static ptrdiff_t says(struct side *h, estab_sock k, const char *text, const char *ip, uint16_t port)
{
    return sends(h, k, text, strlen(text), ip, port);
}

/* What is read next, as a string; "(again)" and the like for errors. */
static const char *hears(struct side *h, estab_sock k, struct estab_recv_info *info)
{
    static char text[256];
    struct estab_iov v = {text, sizeof text - 1};
    ptrdiff_t got = estab_recvfrom(h->s, k, &v, 1, 0, info);

    if (got < 0)
        return estab_strerror((int)got);
    text[got] = 0;
    return text;
}

#define assert_hears(h, k, what)   assert_string_equal(hears(h, k, NULL), what)
#define assert_hears_nothing(h, k) assert_hears(h, k, estab_strerror(ESTAB_E_AGAIN))

static void assert_is(const struct estab_addr *a, const char *ip, uint16_t port)
{
    struct estab_addr b = at(ip, port);

    assert_memory_equal(a->ip, b.ip, 16);
    assert_int_equal(a->port, port);
}

static uint16_t port_of(struct side *h, estab_sock k)
{
    struct estab_addr a;

    assert_int_equal(estab_getaddrs(h->s, k, &a, NULL), 0);
    return a.port;
}

static uint32_t next_event(struct side *h, estab_sock *k)
{
    struct estab_event ev;

    if (estab_events(h->s, &ev, 1) == 0)
        return 0;
    *k = ev.sock;
    return ev.mask;
}

/* ---- to and fro ---- */

static void assert_exchange(struct two *n, const char *a, const char *b)
{
    struct estab_recv_info i = {.size = sizeof i};
    estab_sock server = bound(&n->h[1], b, 7), client = sock(&n->h[0]);
    uint16_t port;

    assert_int_equal(says(&n->h[0], client, "hello", b, 7), 5);
    port = port_of(&n->h[0], client);
    assert_in_range(port, 49152, 65535);
    settle(n);
    assert_string_equal(hears(&n->h[1], server, &i), "hello");
    assert_is(&i.from, a, port);
    assert_is(&i.local, b, 7);
    assert_int_equal(i.len, 5);
    assert_false(i.truncated);
    assert_int_equal(i.hop_limit, 64);
    assert_int_equal(
        estab_sendto(n->h[1].s, server, &(struct estab_iov){(void *)"you too", 7}, 1, 0, &i.from),
        7);
    settle(n);
    assert_hears(&n->h[0], client, "you too");
    assert_hears_nothing(&n->h[0], client);
    estab_close(n->h[0].s, client);
    estab_close(n->h[1].s, server);
}

/* [RFC1122-4.1.3.5-1] */
static void datagrams_go_to_and_fro(void **state)
{
    assert_exchange(*state, "10.0.0.1", "10.0.0.2");
    assert_exchange(*state, "fd00::1", "fd00::2");
}

/* RFC 768: of any length, and each call is one. */
static void boundaries_are_kept_and_none_is_too_short(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from = sock(&n->h[0]);
    struct estab_recv_info i = {.size = sizeof i};

    assert_int_equal(says(&n->h[0], from, "", "10.0.0.2", 7), 0);
    assert_int_equal(says(&n->h[0], from, "one", "10.0.0.2", 7), 3);
    assert_int_equal(says(&n->h[0], from, "two", "fd00::2", 7), 3);
    settle(n);
    assert_string_equal(hears(&n->h[1], to, &i), "");
    assert_int_equal(i.len, 0);
    assert_is(&i.from, "10.0.0.1", port_of(&n->h[0], from));
    assert_string_equal(hears(&n->h[1], to, &i), "one");
    assert_string_equal(hears(&n->h[1], to, &i), "two");
    assert_is(&i.from, "fd00::1", port_of(&n->h[0], from));
    assert_hears_nothing(&n->h[1], to);
}

static void what_is_too_long_for_the_buffer_is_cut_and_said_to_be(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "10.0.0.2", 7), from = sock(&n->h[0]);
    struct estab_recv_info i = {.size = sizeof i};
    char a[3], b[4];
    struct estab_iov v[2] = {{a, sizeof a}, {b, sizeof b}};

    assert_int_equal(says(&n->h[0], from, "0123456789", "10.0.0.2", 7), 10);
    assert_int_equal(says(&n->h[0], from, "next", "10.0.0.2", 7), 4);
    settle(n);
    assert_int_equal(estab_recvfrom(n->h[1].s, to, v, 2, ESTAB_MSG_PEEK, &i), 7);
    assert_true(i.truncated);
    assert_int_equal(i.len, 10);
    assert_int_equal(estab_recvfrom(n->h[1].s, to, NULL, 0, ESTAB_MSG_PEEK, &i), 0);
    assert_int_equal(i.len, 10);
    assert_int_equal(estab_recvfrom(n->h[1].s, to, v, 2, 0, &i), 7);
    assert_memory_equal(a, "012", 3);
    assert_memory_equal(b, "3456", 4);
    assert_true(i.truncated);
    assert_hears(&n->h[1], to, "next");
}

static void assert_carried_whole(struct two *n, const char *to, size_t len, bool whole)
{
    static uint8_t out[65536], in[65536];
    estab_sock k = bound(&n->h[1], to, 9), from = sock(&n->h[0]);
    struct estab_iov v = {in, sizeof in};
    uint32_t before = n->h[0].sent;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 13 ^ i >> 8);
    set(&n->h[1], k, ESTAB_O_RCVBUF, 1u << 20);
    assert_int_equal(sends(&n->h[0], from, out, len, to, 9), len);
    settle(n);
    assert_int_equal(estab_recv(n->h[1].s, k, &v, 1, 0), len);
    assert_memory_equal(in, out, len);
    assert_int_equal(n->h[0].sent - before == 1, whole);
    estab_close(n->h[0].s, from);
    estab_close(n->h[1].s, k);
}

/* [RFC1122-3.3.3-1, RFC1122-4.1.3.4-2] */
static void what_is_too_long_for_the_link_goes_in_fragments(void **state)
{
    static const size_t more[] = {1473, 2000, 4000, 9000, 32000, 65507};
    struct two *n = *state;

    for (size_t len = 1400; len <= 1472; len += 9)
        assert_carried_whole(n, "10.0.0.2", len, true);
    assert_carried_whole(n, "fd00::2", 1452, true);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        assert_carried_whole(n, "10.0.0.2", more[i], false);
        assert_carried_whole(n, "fd00::2", more[i], false);
    }
    assert_carried_whole(n, "fd00::2", 65527, false);
}

static void what_no_datagram_can_hold_is_refused(void **state)
{
    static uint8_t text[65536];
    struct two *n = *state;
    estab_sock k = sock(&n->h[0]);

    assert_int_equal(sends(&n->h[0], k, text, 65508, "10.0.0.2", 9), ESTAB_E_MSGSIZE);
    assert_int_equal(sends(&n->h[0], k, text, 65528, "fd00::2", 9), ESTAB_E_MSGSIZE);
    settle(n);
    assert_int_equal(n->h[0].sent, 0);
}

/* ---- who gets what ---- */

static void the_most_particular_socket_has_it(void **state)
{
    struct two *n = *state;
    estab_sock any = sock(&n->h[1]), any4 = sock(&n->h[1]), exact = sock(&n->h[1]),
               joined = sock(&n->h[1]), from = bound(&n->h[0], "10.0.0.1", 1000);

    set(&n->h[1], any, ESTAB_O_REUSEADDR, 1);
    set(&n->h[1], any4, ESTAB_O_REUSEADDR, 1);
    set(&n->h[1], exact, ESTAB_O_REUSEADDR, 1);
    set(&n->h[1], joined, ESTAB_O_REUSEADDR, 1);
    assert_int_equal(binds(&n->h[1], any, "::", 7), 0);
    assert_int_equal(binds(&n->h[1], any4, "0.0.0.0", 7), 0);
    assert_int_equal(binds(&n->h[1], exact, "10.0.0.2", 7), 0);
    assert_int_equal(binds(&n->h[1], joined, "10.0.0.2", 7), 0);
    assert_int_equal(connects(&n->h[1], joined, "10.0.0.1", 1000), 0);
    says(&n->h[0], from, "a", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], joined, "a");
    estab_close(n->h[1].s, joined);
    says(&n->h[0], from, "b", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], exact, "b");
    estab_close(n->h[1].s, exact);
    says(&n->h[0], from, "c", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], any4, "c");
    estab_close(n->h[1].s, any4);
    says(&n->h[0], from, "d", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], any, "d");
}

static void a_socket_with_a_peer_hears_nobody_else(void **state)
{
    struct two *n = *state;
    estab_sock k = bound(&n->h[1], "10.0.0.2", 7), friend = bound(&n->h[0], "10.0.0.1", 1000),
               other = bound(&n->h[0], "10.0.0.1", 1001);
    struct estab_addr none = {0};

    assert_int_equal(connects(&n->h[1], k, "10.0.0.1", 1000), 0);
    says(&n->h[0], other, "spam", "10.0.0.2", 7);
    says(&n->h[0], friend, "hi", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], k, "hi");
    assert_hears_nothing(&n->h[1], k);
    assert_int_equal(says(&n->h[1], k, "back", NULL, 0), 4);
    settle(n);
    assert_hears(&n->h[0], friend, "back");
    assert_int_equal(connects(&n->h[1], k, "10.0.0.1", 1001), 0); /* the peer may change */
    says(&n->h[0], other, "now", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], k, "now");
    assert_int_equal(estab_connect(n->h[1].s, k, &none), 0); /* or go */
    assert_int_equal(says(&n->h[1], k, "?", NULL, 0), ESTAB_E_NOTCONN);
    says(&n->h[0], friend, "again", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], k, "again");
}

/* A port of the user's choice is kept without a peer; one that came with the peer goes with it. */
static void a_port_that_connect_chose_goes_with_the_peer(void **state)
{
    struct two *n = *state;
    estab_sock k = sock(&n->h[0]);
    struct estab_addr none = {0};

    assert_int_equal(connects(&n->h[0], k, "10.0.0.2", 7), 0);
    assert_int_not_equal(port_of(&n->h[0], k), 0);
    assert_int_equal(estab_connect(n->h[0].s, k, &none), 0);
    assert_int_equal(port_of(&n->h[0], k), 0);
    assert_int_equal(binds(&n->h[0], k, "10.0.0.1", 99), 0);
    assert_int_equal(connects(&n->h[0], k, "10.0.0.2", 7), 0);
    assert_int_equal(estab_connect(n->h[0].s, k, &none), 0);
    assert_int_equal(port_of(&n->h[0], k), 99);
}

static void ports_are_taken_by_overlapping_addresses(void **state)
{
    static const struct {
        const char *have, *want;
        bool have6, want6; /* V6ONLY */
        int err;
    } table[] = {
        {"10.0.0.2", "10.0.0.2", false, false, ESTAB_E_INUSE},
        {"10.0.0.2", "10.0.0.12", false, false, 0},
        {"10.0.0.2", "0.0.0.0", false, false, ESTAB_E_INUSE},
        {"0.0.0.0", "10.0.0.2", false, false, ESTAB_E_INUSE},
        {"10.0.0.2", "::", false, false, ESTAB_E_INUSE},
        {"10.0.0.2", "::", false, true, 0},
        {"::", "0.0.0.0", true, false, 0},
        {"::", "0.0.0.0", false, false, ESTAB_E_INUSE},
        {"0.0.0.0", "fd00::2", false, false, 0},
        {"fd00::2", "::", false, true, ESTAB_E_INUSE},
        {"fd00::2", "10.0.0.2", false, false, 0},
    };
    struct two *n = *state;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        estab_sock a = sock(&n->h[1]), b = sock(&n->h[1]);

        set(&n->h[1], a, ESTAB_O_V6ONLY, table[i].have6);
        set(&n->h[1], b, ESTAB_O_V6ONLY, table[i].want6);
        assert_int_equal(binds(&n->h[1], a, table[i].have, 7), 0);
        assert_int_equal(binds(&n->h[1], b, table[i].want, 7), table[i].err);
        estab_close(n->h[1].s, a);
        estab_close(n->h[1].s, b);
    }
}

static void sharing_needs_both(void **state)
{
    static const enum estab_opt opts[] = {ESTAB_O_REUSEADDR, ESTAB_O_REUSEPORT};
    struct two *n = *state;

    for (int i = 0; i < 2; i++) {
        estab_sock a = sock(&n->h[1]), b = sock(&n->h[1]), c = sock(&n->h[1]);

        set(&n->h[1], a, opts[i], 1);
        set(&n->h[1], b, opts[i], 1);
        assert_int_equal(binds(&n->h[1], a, "10.0.0.2", 7), 0);
        assert_int_equal(binds(&n->h[1], c, "10.0.0.2", 7), ESTAB_E_INUSE);
        assert_int_equal(binds(&n->h[1], b, "10.0.0.2", 7), 0);
        set(&n->h[1], c, opts[!i], 1);
        assert_int_equal(binds(&n->h[1], c, "0.0.0.0", 7), ESTAB_E_INUSE);
        estab_close(n->h[1].s, a);
        estab_close(n->h[1].s, b);
        estab_close(n->h[1].s, c);
    }
}

/* One peer always meets the same of them, and together they meet everybody. */
static void those_who_share_a_port_share_its_peers(void **state)
{
    struct two *n = *state;
    estab_sock k[4], from[64];
    uint32_t got[4] = {0}, met[64];

    for (int i = 0; i < 4; i++) {
        k[i] = sock(&n->h[1]);
        set(&n->h[1], k[i], ESTAB_O_REUSEPORT, 1);
        assert_int_equal(binds(&n->h[1], k[i], "10.0.0.2", 7), 0);
    }
    for (int i = 0; i < 64; i++)
        from[i] = bound(&n->h[0], "10.0.0.1", (uint16_t)(2000 + i));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 64; i++) {
            says(&n->h[0], from[i], "x", "10.0.0.2", 7);
            settle(n);
            for (uint32_t j = 0; j < 4; j++) {
                if (!(estab_ready(n->h[1].s, k[j]) & ESTAB_EV_IN))
                    continue;
                assert_hears(&n->h[1], k[j], "x");
                if (round == 0)
                    met[i] = j;
                assert_int_equal(met[i], j);
                got[j]++;
            }
        }
    }
    assert_int_equal(got[0] + got[1] + got[2] + got[3], 3 * 64);
    for (int j = 0; j < 4; j++)
        assert_in_range(got[j], 3 * 6, 3 * 32);
}

static void the_youngest_of_those_that_tolerate_each_other_has_it(void **state)
{
    struct two *n = *state;
    estab_sock old = sock(&n->h[1]), young = sock(&n->h[1]), from = sock(&n->h[0]);

    set(&n->h[1], old, ESTAB_O_REUSEADDR, 1);
    set(&n->h[1], young, ESTAB_O_REUSEADDR, 1);
    assert_int_equal(binds(&n->h[1], old, "10.0.0.2", 7), 0);
    assert_int_equal(binds(&n->h[1], young, "10.0.0.2", 7), 0);
    says(&n->h[0], from, "x", "10.0.0.2", 7);
    settle(n);
    assert_hears(&n->h[1], young, "x");
    assert_hears_nothing(&n->h[1], old);
}

static void v6_only_is_that(void **state)
{
    struct two *n = *state;
    estab_sock k = sock(&n->h[1]), from = sock(&n->h[0]);

    set(&n->h[1], k, ESTAB_O_V6ONLY, 1);
    assert_int_equal(binds(&n->h[1], k, "10.0.0.2", 7), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(binds(&n->h[1], k, "::", 7), 0);
    assert_int_equal(estab_setopt(n->h[1].s, k, ESTAB_O_V6ONLY, 0), ESTAB_E_INVAL);
    says(&n->h[0], from, "four", "10.0.0.2", 7);
    says(&n->h[0], from, "six", "fd00::2", 7);
    settle(n);
    assert_hears(&n->h[1], k, "six");
    assert_hears_nothing(&n->h[1], k);
    assert_int_equal(says(&n->h[1], k, "four", "10.0.0.1", 9), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(connects(&n->h[1], k, "10.0.0.1", 9), ESTAB_E_ADDRNOTAVAIL);
}

/* RFC 6056: nobody can tell the next from those before, and none is given twice. */
static void ephemeral_ports_are_all_of_the_range_in_no_order(void **state)
{
    struct two *n = *state;
    estab_sock k[65];
    bool seen[64] = {false};
    int rising = 0;
    uint16_t port, before = 0;

    stop(n);
    n->cfg.port_lo = 5000;
    n->cfg.port_hi = 5063;
    start(n);
    for (int i = 0; i < 64; i++) {
        k[i] = sock(&n->h[0]);
        assert_int_equal(connects(&n->h[0], k[i], "10.0.0.2", 7), 0);
        port = port_of(&n->h[0], k[i]);
        assert_in_range(port, 5000, 5063);
        assert_false(seen[port - 5000]);
        seen[port - 5000] = true;
        rising += port == before + 1;
        before = port;
    }
    assert_in_range(rising, 0, 32);
    k[64] = sock(&n->h[0]);
    assert_int_equal(connects(&n->h[0], k[64], "10.0.0.2", 7), ESTAB_E_INUSE);
    assert_int_equal(says(&n->h[0], k[64], "x", "10.0.0.2", 7), ESTAB_E_INUSE);
    estab_close(n->h[0].s, k[20]);
    assert_int_equal(says(&n->h[0], k[64], "x", "10.0.0.2", 7), 1);
}

/* ---- errors ---- */

/* [RFC1122-4.1.3.3-1] */
static void a_socket_with_a_peer_is_told_that_nobody_is_there(void **state)
{
    static const char *const peers[] = {"10.0.0.2", "fd00::2"};
    struct two *n = *state;

    for (int i = 0; i < 2; i++) {
        estab_sock k = sock(&n->h[0]), told = 0, loose = sock(&n->h[0]);
        uint64_t err = 0;

        assert_int_equal(connects(&n->h[0], k, peers[i], 7), 0);
        estab_watch(n->h[0].s, k, ESTAB_EV_IN, NULL);
        estab_watch(n->h[0].s, loose, ESTAB_EV_IN, NULL);
        assert_int_equal(says(&n->h[0], k, "hello?", NULL, 0), 6);
        assert_int_equal(says(&n->h[0], loose, "hello?", peers[i], 7), 6);
        settle(n);
        assert_int_equal(next_event(&n->h[0], &told), ESTAB_EV_IN | ESTAB_EV_ERR);
        assert_int_equal(told, k);
        assert_int_equal(next_event(&n->h[0], &told), 0);
        assert_true(estab_ready(n->h[0].s, k) & ESTAB_EV_ERR);
        assert_hears(&n->h[0], k, estab_strerror(ESTAB_E_REFUSED));
        assert_hears_nothing(&n->h[0], k); /* once */
        assert_int_equal(says(&n->h[0], k, "hello?", NULL, 0), 6);
        settle(n);
        assert_int_equal(says(&n->h[0], k, "hello?", NULL, 0), ESTAB_E_REFUSED);
        assert_int_equal(says(&n->h[0], k, "hello?", NULL, 0), 6);
        settle(n);
        assert_int_equal(estab_getopt(n->h[0].s, k, ESTAB_O_ERROR, &err), 0);
        assert_int_equal(err, -ESTAB_E_REFUSED);
        assert_false(estab_ready(n->h[0].s, k) & ESTAB_EV_ERR);
        assert_hears_nothing(&n->h[0], loose);
        estab_close(n->h[0].s, k);
        estab_close(n->h[0].s, loose);
    }
}

/* An ICMP error about a datagram that a peer never got from us. */
static void an_error_about_somebody_elses_datagram_is_ignored(void **state)
{
    struct two *n = *state;
    estab_sock k = sock(&n->h[0]), x = bound(&n->h[0], "10.0.0.1", 77);

    assert_int_equal(connects(&n->h[0], k, "10.0.0.2", 7), 0);
    says(&n->h[0], x, "hello?", "10.0.0.2", 7); /* another port of ours */
    settle(n);
    assert_int_equal(estab_rule_count(n->h[0].s, RULE_ICMP_QUOTE), 1);
    assert_hears_nothing(&n->h[0], k);
}

static void destinations_that_cannot_be(void **state)
{
    struct two *n = *state;
    estab_sock k = sock(&n->h[0]);

    assert_int_equal(says(&n->h[0], k, "x", NULL, 0), ESTAB_E_NOTCONN);
    assert_int_equal(says(&n->h[0], k, "x", "10.0.0.2", 0), ESTAB_E_INVAL);
    assert_int_equal(says(&n->h[0], k, "x", "::", 7), ESTAB_E_INVAL);
    assert_int_equal(says(&n->h[0], k, "x", "224.0.0.1", 7), ESTAB_E_UNREACH);
    assert_int_equal(says(&n->h[0], k, "x", "255.255.255.255", 7), ESTAB_E_UNREACH);
    assert_int_equal(says(&n->h[0], k, "x", "10.0.0.255", 7), ESTAB_E_UNREACH);
    assert_int_equal(says(&n->h[0], k, "x", "8.8.8.8", 7), ESTAB_E_UNREACH);
    assert_int_equal(connects(&n->h[0], k, "8.8.8.8", 7), ESTAB_E_UNREACH);
    assert_int_equal(binds(&n->h[0], k, "8.8.8.8", 7), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(port_of(&n->h[0], k), 0);
    settle(n);
    assert_int_equal(n->h[0].sent, 0);
}

/* By hand: to a group that this host is in, and from nobody. */
static void give_datagram(struct two *n, const char *dst, bool zero_csum)
{
    struct ip_hdr h = {.version = 4, .proto = IPPROTO_UDP_, .hop_limit = 1, .payload_len = 9};
    struct udp_hdr u = {1000, 7, 9, 0};
    struct estab_addr from = at("10.0.0.1", 0), to = at(dst, 0);
    struct estab_frame f = {.niov = 1};
    uint8_t b[60];
    uint32_t hdr;
    uint64_t pseudo;

    memcpy(h.src, from.ip, 16);
    memcpy(h.dst, to.ip, 16);
    if (!ip_is4(to.ip)) {
        from = at("fd00::1", 0);
        memcpy(h.src, from.ip, 16);
        h.version = 6;
    }
    hdr = ip_hdr_len_of(h.dst);
    if (h.version == 4)
        ip4_emit(&h, b);
    else
        ip6_emit(&h, b);
    b[hdr + 8] = 'x';
    udp_emit(&u, b + hdr);
    pseudo = ip_pseudo(h.src, h.dst, IPPROTO_UDP_, 9);
    u.csum = (uint16_t)~csum_fold(csum_add(pseudo, b + hdr, 9));
    if (!zero_csum)
        memcpy(b + hdr + 6, &u.csum, 2);
    f.iov[0] = (struct estab_iov){b, hdr + 9};
    assert_int_equal(estab_input(n->h[1].s, 0, &f, 1), 0);
}

static void groups_and_broadcasts_are_nobodys(void **state)
{
    struct two *n = *state;
    estab_sock k = bound(&n->h[1], "::", 7);

    give_datagram(n, "224.0.0.1", false);
    give_datagram(n, "10.0.0.255", false);
    give_datagram(n, "255.255.255.255", false);
    give_datagram(n, "ff02::1", false);
    assert_hears_nothing(&n->h[1], k);
    assert_int_equal(estab_rule_count(n->h[1].s, RULE_UDP_GROUP), 4);
    settle(n);
    assert_int_equal(n->h[1].sent, 0);
    give_datagram(n, "10.0.0.2", false);
    assert_hears(&n->h[1], k, "x");
}

/* RFC 768; RFC 8200 section 8.1. */
static void no_checksum_is_good_enough_for_ipv4_only(void **state)
{
    struct two *n = *state;
    estab_sock k = bound(&n->h[1], "::", 7);

    give_datagram(n, "10.0.0.2", true);
    assert_hears(&n->h[1], k, "x");
    give_datagram(n, "fd00::2", true);
    assert_hears_nothing(&n->h[1], k);
    assert_int_equal(estab_rule_count(n->h[1].s, RULE_UDP_CSUM), 1);
}

/* A sum that comes out as zero is sent as ones: two octets of text run through all sums. */
static void every_checksum_is_right_and_none_is_zero(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from = bound(&n->h[0], "10.0.0.1", 1000);
    uint32_t ones = 0;

    for (uint32_t i = 0; i < 65536; i++) {
        uint8_t text[2] = {(uint8_t)(i >> 8), (uint8_t)i}, got[2];
        struct estab_iov v = {got, 2};

        assert_int_equal(sends(&n->h[0], from, text, 2, "10.0.0.2", 7), 2);
        carry(n, 0, 1);
        assert_int_equal(estab_recv(n->h[1].s, to, &v, 1, 0), 2);
        assert_memory_equal(got, text, 2);
        assert_false(n->h[0].last[26] == 0 && n->h[0].last[27] == 0);
        ones += n->h[0].last[26] == 0xff && n->h[0].last[27] == 0xff;
    }
    assert_in_range(ones, 1, 2);
    assert_int_equal(estab_rule_count(n->h[1].s, RULE_UDP_CSUM), 0);
}

/* [RFC1122-4.1.3.5-2] */
static void a_bound_socket_sends_from_its_address(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from = bound(&n->h[0], "10.0.0.11", 1000);
    struct estab_recv_info i = {.size = sizeof i};

    says(&n->h[0], from, "x", "10.0.0.2", 7);
    settle(n);
    hears(&n->h[1], to, &i);
    assert_is(&i.from, "10.0.0.11", 1000);
    assert_int_equal(says(&n->h[0], from, "x", "fd00::2", 7), ESTAB_E_ADDRNOTAVAIL);
}

/* ---- queues ---- */

static void what_is_not_read_is_bounded_and_the_rest_is_counted(void **state)
{
    static uint8_t text[1000], big[60000];
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from = sock(&n->h[0]);
    struct estab_tcp_info i = {.size = sizeof i};
    uint32_t kept = 0;

    set(&n->h[1], to, ESTAB_O_RCVBUF, 10000);
    for (int j = 0; j < 50; j++) {
        assert_int_equal(sends(&n->h[0], from, text, sizeof text, "10.0.0.2", 7), sizeof text);
        settle(n);
    }
    assert_int_equal(estab_tcp_info(n->h[1].s, to, &i), 0);
    assert_in_range(i.unread, 8000, 10000);
    while (estab_ready(n->h[1].s, to) & ESTAB_EV_IN) {
        hears(&n->h[1], to, NULL);
        kept++;
    }
    assert_int_equal(kept, i.unread / 1000);
    assert_int_equal(i.refused, 50 - kept);
    assert_int_equal(estab_rule_count(n->h[1].s, RULE_UDP_FULL), 50 - kept);
    assert_int_equal(sends(&n->h[0], from, big, sizeof big, "10.0.0.2", 7), sizeof big);
    settle(n);
    assert_true(estab_ready(n->h[1].s, to) & ESTAB_EV_IN); /* an empty one takes any */
}

static void a_full_send_queue_says_so_and_when_it_is_no_longer(void **state)
{
    static uint8_t text[1000];
    struct two *n = *state;
    estab_sock from = sock(&n->h[0]), k = 0;
    int sent = 0;
    ptrdiff_t got;

    set(&n->h[0], from, ESTAB_O_SNDBUF, 20000);
    estab_watch(n->h[0].s, from, ESTAB_EV_OUT, NULL);
    assert_int_equal(next_event(&n->h[0], &k), ESTAB_EV_OUT);
    while ((got = sends(&n->h[0], from, text, sizeof text, "10.0.0.2", 7)) > 0)
        sent++;
    assert_int_equal(got, ESTAB_E_AGAIN);
    assert_in_range(sent, 18, 20);
    assert_false(estab_ready(n->h[0].s, from) & ESTAB_EV_OUT);
    assert_int_equal(next_event(&n->h[0], &k), 0);
    carry(n, 0, 4);
    assert_true(estab_deadline(n->h[0].s) <= n->h[0].v.now); /* the user is woken */
    assert_int_equal(next_event(&n->h[0], &k), ESTAB_EV_OUT);
    assert_true(estab_ready(n->h[0].s, from) & ESTAB_EV_OUT);
    estab_expire(n->h[0].s);
    assert_true(estab_deadline(n->h[0].s) > n->h[0].v.now);
    n->h[1].deaf = true;
    settle(n);
    assert_int_equal(n->h[0].sent, sent);
}

/* What was sent is sent, though nobody holds the socket any more. */
static void closing_loses_nothing_and_aborting_does(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from = bound(&n->h[0], "10.0.0.1", 1000);
    struct estab_stack_info i = {.size = sizeof i};

    says(&n->h[0], from, "one", "10.0.0.2", 7);
    says(&n->h[0], from, "two", "10.0.0.2", 7);
    assert_int_equal(estab_close(n->h[0].s, from), 0);
    assert_int_equal(says(&n->h[0], from, "x", "10.0.0.2", 7), ESTAB_E_BADF);
    from = bound(&n->h[0], "10.0.0.1", 1000); /* its port is free at once */
    settle(n);
    assert_hears(&n->h[1], to, "one");
    assert_hears(&n->h[1], to, "two");
    says(&n->h[0], from, "three", "10.0.0.2", 7);
    assert_int_equal(estab_abort(n->h[0].s, from), 0);
    settle(n);
    assert_hears_nothing(&n->h[1], to);
    estab_stack_info(n->h[0].s, &i);
    assert_int_equal(i.udp_socks, 0);
}

static void those_with_something_to_send_take_turns(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from[3];
    struct estab_recv_info i = {.size = sizeof i};

    for (uint16_t j = 0; j < 3; j++) {
        from[j] = bound(&n->h[0], "10.0.0.1", (uint16_t)(1000 + j));
        for (int m = 0; m < 3; m++)
            says(&n->h[0], from[j], "x", "10.0.0.2", 7);
    }
    settle(n);
    for (uint16_t j = 0; j < 9; j++) {
        hears(&n->h[1], to, &i);
        assert_int_equal(i.from.port, 1000 + j % 3);
    }
}

/* Neither a flood of datagrams nor one of segments keeps the other from being sent. */
static void udp_and_tcp_have_half_of_the_link_each(void **state)
{
    static uint8_t text[60000];
    struct two *n = *state;
    estab_sock u = sock(&n->h[0]), listener = 0, t = 0;
    struct estab_addr b = at("10.0.0.2", 80);
    struct estab_iov v = {text, sizeof text};
    struct estab_frame f[ESTAB_BATCH];
    uint32_t udp = 0, tcp = 0;

    assert_int_equal(estab_socket(n->h[1].s, ESTAB_TCP, &listener), 0);
    assert_int_equal(estab_bind(n->h[1].s, listener, &b), 0);
    assert_int_equal(estab_listen(n->h[1].s, listener, 1), 0);
    assert_int_equal(estab_socket(n->h[0].s, ESTAB_TCP, &t), 0);
    assert_int_equal(estab_connect(n->h[0].s, t, &b), ESTAB_E_INPROGRESS);
    settle(n);
    assert_true(estab_send(n->h[0].s, t, &v, 1, 0) > 0);
    for (int i = 0; i < 20; i++)
        sends(&n->h[0], u, text, 1000, "10.0.0.2", 7);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(estab_output(n->h[0].s, 0, f, 1), 1);
        *(((const uint8_t *)f[0].iov[0].base)[9] == IPPROTO_UDP_ ? &udp : &tcp) += 1;
    }
    assert_in_range(udp, 4, 5);
    assert_int_equal(udp + tcp, 9);
}

/* ---- the neighbour ---- */

/* RFC 1122 section 2.3.2.2: at least the latest waits for the neighbour's address. */
static void the_first_datagram_is_not_lost_to_address_resolution(void **state)
{
    static const char *const peers[] = {"10.0.0.2", "fd00::2"};
    struct two *n = *state;

    stop(n);
    n->caps.medium = ESTAB_MEDIUM_ETHERNET;
    start(n);
    for (int i = 0; i < 2; i++) {
        estab_sock to = bound(&n->h[1], peers[i], 7), from = sock(&n->h[0]);

        pass(n, ESTAB_S(5));
        assert_int_equal(says(&n->h[0], from, "first", peers[i], 7), 5);
        assert_int_equal(says(&n->h[0], from, "second", peers[i], 7), 6);
        settle(n);
        assert_hears(&n->h[1], to, "first");
        assert_hears(&n->h[1], to, "second");
        assert_int_equal(says(&n->h[0], from, "third", peers[i], 7), 5);
        settle(n);
        assert_hears(&n->h[1], to, "third");
    }
}

static void one_unknown_neighbour_holds_nobody_up(void **state)
{
    struct two *n = *state;
    estab_sock to, from;

    stop(n);
    n->caps.medium = ESTAB_MEDIUM_ETHERNET;
    start(n);
    to = bound(&n->h[1], "10.0.0.2", 7);
    from = sock(&n->h[0]);
    for (int i = 0; i < 100; i++)
        assert_int_equal(says(&n->h[0], from, "is anybody there", "10.0.0.77", 7), 16);
    assert_int_equal(says(&n->h[0], from, "hello", "10.0.0.2", 7), 5);
    settle(n);
    assert_hears(&n->h[1], to, "hello");
    pass(n, ESTAB_S(4));
    assert_int_equal(says(&n->h[0], from, "is anybody there", "10.0.0.77", 7), ESTAB_E_UNREACH);
}

/* ---- the rest of the API ---- */

/* [RFC1122-4.1.4-1] */
static void what_an_option_is_for(void **state)
{
    struct two *n = *state;
    estab_sock to = bound(&n->h[1], "::", 7), from = sock(&n->h[0]);
    struct estab_recv_info i = {.size = sizeof i};
    uint64_t val = 0;

    set(&n->h[0], from, ESTAB_O_HOP_LIMIT, 3);
    set(&n->h[0], from, ESTAB_O_TOS, 0xb9);
    says(&n->h[0], from, "x", "10.0.0.2", 7);
    says(&n->h[0], from, "y", "fd00::2", 7);
    settle(n);
    for (int j = 0; j < 2; j++) {
        hears(&n->h[1], to, &i);
        assert_int_equal(i.hop_limit, 3);
        assert_int_equal(i.tos, 0xb9);
    }
    assert_int_equal(estab_getopt(n->h[0].s, from, ESTAB_O_TOS, &val), 0);
    assert_int_equal(val, 0xb9);
    assert_int_equal(estab_setopt(n->h[0].s, from, ESTAB_O_NODELAY, 1), ESTAB_E_INVAL);
    assert_int_equal(estab_listen(n->h[0].s, from, 1), ESTAB_E_NOTSUP);
    assert_int_equal(estab_accept(n->h[0].s, from, &to, NULL), ESTAB_E_NOTSUP);
    assert_int_equal(estab_sendto(n->h[0].s, from, NULL, 0, ESTAB_MSG_OOB, NULL), ESTAB_E_NOTSUP);
}

static void shutdown_is_for_those_with_a_peer(void **state)
{
    struct two *n = *state;
    estab_sock k = sock(&n->h[0]);

    assert_int_equal(estab_shutdown(n->h[0].s, k, ESTAB_SHUT_RDWR), ESTAB_E_NOTCONN);
    assert_int_equal(connects(&n->h[0], k, "10.0.0.2", 7), 0);
    assert_int_equal(estab_shutdown(n->h[0].s, k, ESTAB_SHUT_WR), 0);
    assert_int_equal(says(&n->h[0], k, "x", NULL, 0), ESTAB_E_PIPE);
    assert_hears_nothing(&n->h[0], k);
    assert_int_equal(estab_shutdown(n->h[0].s, k, ESTAB_SHUT_RD), 0);
    assert_hears(&n->h[0], k, "");
    assert_int_equal(estab_ready(n->h[0].s, k),
                     ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP | ESTAB_EV_HUP);
}

static void a_walk_shows_them_and_says_that_they_are_udp(void **state)
{
    struct two *n = *state;
    estab_sock a = bound(&n->h[0], "::", 7), b = sock(&n->h[0]), k, t = 0;
    uint64_t cursor = 0;
    uint32_t udp = 0, all = 0;

    assert_int_equal(estab_socket(n->h[0].s, ESTAB_TCP, &t), 0);
    assert_int_equal(connects(&n->h[0], b, "fd00::2", 9), 0);
    assert_int_equal(says(&n->h[0], b, "four", NULL, 0), 4);
    while (estab_conn_next(n->h[0].s, &cursor, &k)) {
        struct estab_tcp_info i = {.size = sizeof i};

        assert_int_equal(estab_tcp_info(n->h[0].s, k, &i), 0);
        all++;
        udp += i.type == ESTAB_UDP;
        if (k == a) {
            assert_int_equal(i.state, ESTAB_CLOSED);
            assert_is(&i.local, "::", 7);
        } else if (k == b) {
            assert_int_equal(i.state, ESTAB_ESTABLISHED);
            assert_is(&i.peer, "fd00::2", 9);
            assert_int_equal(i.unsent, 4);
        }
    }
    assert_false(estab_conn_next(n->h[0].s, &cursor, &k));
    assert_int_equal(udp, 2);
    assert_int_equal(all, 3);
    assert_int_equal(estab_close(n->h[0].s, a), 0);
    assert_int_equal(estab_ready(n->h[0].s, a), ESTAB_EV_ERR | ESTAB_EV_HUP);
    assert_int_equal(estab_close(n->h[0].s, a), ESTAB_E_BADF);
}

/* Every allocation of a little conversation refused in turn: nothing is half done. */
static void memory_runs_out_at_every_step(void **state)
{
    struct two *n = *state;

    for (size_t max = 0; max < 400000; max += 509) {
        estab_sock k = 0;
        estab_stack *s;
        struct estab_addr a = at("10.0.0.1", 7);
        struct side *h = &n->h[0];

        stop(n);
        start_side(n, 1);
        n->cfg.mem_max = 0;
        start_side(n, 0);
        s = h->s;
        s->env.ceiling = s->env.used + max;
        if (estab_socket(s, ESTAB_UDP, &k) == 0) {
            (void)estab_bind(s, k, &a);
            (void)sends(h, k, h->last, 3000, "10.0.0.2", 7);
            (void)sends(h, k, h->last, 40000, "10.0.0.2", 7);
            settle(n);
            (void)estab_close(s, k);
            settle(n);
        }
    }
}

#define udp_case(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        udp_case(datagrams_go_to_and_fro),
        udp_case(boundaries_are_kept_and_none_is_too_short),
        udp_case(what_is_too_long_for_the_buffer_is_cut_and_said_to_be),
        udp_case(what_is_too_long_for_the_link_goes_in_fragments),
        udp_case(what_no_datagram_can_hold_is_refused),
        udp_case(the_most_particular_socket_has_it),
        udp_case(a_socket_with_a_peer_hears_nobody_else),
        udp_case(a_port_that_connect_chose_goes_with_the_peer),
        udp_case(ports_are_taken_by_overlapping_addresses),
        udp_case(sharing_needs_both),
        udp_case(those_who_share_a_port_share_its_peers),
        udp_case(the_youngest_of_those_that_tolerate_each_other_has_it),
        udp_case(v6_only_is_that),
        udp_case(ephemeral_ports_are_all_of_the_range_in_no_order),
        udp_case(a_socket_with_a_peer_is_told_that_nobody_is_there),
        udp_case(an_error_about_somebody_elses_datagram_is_ignored),
        udp_case(destinations_that_cannot_be),
        udp_case(groups_and_broadcasts_are_nobodys),
        udp_case(no_checksum_is_good_enough_for_ipv4_only),
        udp_case(every_checksum_is_right_and_none_is_zero),
        udp_case(a_bound_socket_sends_from_its_address),
        udp_case(what_is_not_read_is_bounded_and_the_rest_is_counted),
        udp_case(a_full_send_queue_says_so_and_when_it_is_no_longer),
        udp_case(closing_loses_nothing_and_aborting_does),
        udp_case(those_with_something_to_send_take_turns),
        udp_case(udp_and_tcp_have_half_of_the_link_each),
        udp_case(the_first_datagram_is_not_lost_to_address_resolution),
        udp_case(one_unknown_neighbour_holds_nobody_up),
        udp_case(what_an_option_is_for),
        udp_case(shutdown_is_for_those_with_a_peer),
        udp_case(a_walk_shows_them_and_says_that_they_are_udp),
        udp_case(memory_runs_out_at_every_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* diagnose_test.c - each illness is provoked in a stack in virtual time, and what the doctor says
 * about it read, by way of the control socket. */
#include "ctl_kit.h"

#include "cli/diagnose.h"

struct ward {
    struct kit kit;
    struct snapshot before, after;
    char said[8192];
    size_t n;
};

static void hears(void *ctx, const struct finding *f)
{
    struct ward *w = ctx;
    size_t len = strlen(w->said);

    w->n++;
    snprintf(w->said + len, sizeof w->said - len, "%s: %s\n%s\n", f->kind, f->text, f->todo);
}

static void reads(struct ward *w, struct snapshot *into, const char *request, const char *asked)
{
    char *text = kit_asks(&w->kit, request), *line = text, *end;

    while ((end = strchr(line, '\n')) != NULL) {
        json_t *o;

        *end = '\0';
        o = json_loads(line, 0, NULL);
        assert_non_null(o);
        if (!json_object_get(o, "protocol") && !json_object_get(o, "end"))
            snapshot_add(into, o, asked);
        json_decref(o);
        line = end + 1;
    }
    free(text);
}

static void looks(struct ward *w, struct snapshot *into)
{
    char peers[BUSY_PEERS][PEER_LEN], request[100];
    size_t n;

    snapshot_init(into);
    reads(w, into, "stack\n", NULL);
    reads(w, into, "why\n", NULL);
    n = snapshot_busy_peers(into, peers);
    for (size_t i = 0; i < n; i++) {
        snprintf(request, sizeof request, "forecast * %s\n", peers[i]);
        reads(w, into, request, peers[i]);
    }
}

static void begins(struct ward *w, struct peer *p)
{
    memset(w, 0, sizeof *w);
    kit_open(&w->kit, p);
}

/* Two seconds after the first look. */
static void ends(struct ward *w)
{
    struct clinic c = {.seconds = 2, .patience_ms = 30000, .found = hears, .ctx = w};

    looks(w, &w->after);
    diagnose(&c, &w->before, &w->after);
    snapshot_fini(&w->before);
    snapshot_fini(&w->after);
    kit_close(&w->kit);
}

static void says_in(const struct ward *w, const char *part)
{
    if (!strstr(w->said, part))
        fail_msg("no '%s' in:\n%s", part, w->said);
}

static void all_is_well(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    peer_connects(p);
    user_sends(p, 1, 100);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 101, .len = 10));
    looks(&w, &w.before);
    waits(p, ESTAB_S(2));
    ends(&w);
    assert_string_equal(w.said, "");
}

static void close_waits(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    for (uint16_t i = 0; i < 3; i++) {
        p->them.port = (uint16_t)(5000 + i);
        peer_connects(p);
        sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 100));
        ignores_all(p);
        waits(p, ESTAB_S(40));
    }
    p->them.port = 5003; /* this one has not had its time yet */
    peer_connects(p);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    looks(&w, &w.before);
    waits(p, ESTAB_S(2));
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "close-wait: 3 connections in CLOSE-WAIT at local port :80 (accepted from the "
                "listener 10.0.0.1:80), the oldest, with 10.0.0.2:5000, for 2 min 2 s, 300 octets "
                "unread");
    says_in(&w, "estab kill state close-wait sport = :80");
}

static void not_reading(void **state)
{
    struct peer *p = *state;
    struct ward w;

    p->cfg.rcvbuf = 4000;
    peer_restarts(p);
    begins(&w, p);
    peer_connects(p);
    for (uint32_t n = 0; n < 4; n++)
        sends(p, SEG(.flags = ACK, .seq = 1 + 1000 * n, .ack = 1, .len = 1000));
    looks(&w, &w.before);
    waits(p, ESTAB_S(31));
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "not-reading: 1 connection at local port :80 with our window closed, 4000 octets "
                "unread, the oldest for 31.00 s: the program does not read");
}

static void knocks(struct peer *p, uint16_t port, bool completes)
{
    p->them.port = port;
    sends(p, SEG(.flags = SYN, .mss = 1000));
    if (completes)
        sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    ignores_all(p);
}

static void accept_queue(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    user_listens(p, 4);
    for (uint16_t i = 0; i < 5; i++)
        knocks(p, (uint16_t)(6000 + i), true);
    looks(&w, &w.before);
    knocks(p, 6100, false);
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "accept-queue: the accept queue of 10.0.0.1:80 has 4 of 4, and 0 half-open; 2 SYNs "
                "found no room at any listener so far, 1 of them just now");
}

static void syn_flood(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    user_listens(p, 4);
    for (uint16_t i = 0; i < 10; i++)
        knocks(p, (uint16_t)(6000 + i), false);
    looks(&w, &w.before);
    knocks(p, 7000, false);
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "syn-queue: 4 half-open connections from 1 addresses (at most 65536); SYN cookies "
                "sent: 7 so far, 1 just now, of which 0 and 0 came back");
    says_in(&w, "cookies let honest peers in meanwhile");
}

static void retransmissions(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    peer_connects(p);
    user_sends(p, 1, 1000);
    waits(p, ESTAB_MS(3500));
    looks(&w, &w.before);
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "retransmission: 1 connection to 10.0.0.2 sends again and again, the oldest for "
                "3.50 s, at most 4 times (10.0.0.2:5000: 1000 octets unacknowledged for 3.5 s: "
                "retransmission 4 of 15, the next in 2.7 s)");
}

static void zero_window(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    peer_connects(p);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .shut = true));
    user_sends(p, 1, 500);
    waits(p, ESTAB_S(60));
    looks(&w, &w.before);
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "zero-window: 1 connection to 10.0.0.2 with a window of zero, the oldest for 1 min "
                "0 s, after 8 probes: the peer's program does not read");
    says_in(&w, "estab kill dst 10.0.0.2");
}

/* Opened from here, and closed from here first. */
static void comes_and_goes(struct peer *p)
{
    struct estab_tcp_info i;

    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    user_connects(p);
    i = info_of(p);
    p->us.port = i.local.port;
    (void)gets(p, SEG(.flags = SYN));
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    user_closes(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2));
    (void)gets(p, SEG(.flags = ACK, .seq = 2, .ack = 2));
}

static void ports(void **state)
{
    struct peer *p = *state;
    struct ward w;

    p->cfg.port_lo = 40000;
    p->cfg.port_hi = 40019;
    peer_restarts(p);
    begins(&w, p);
    for (int i = 0; i < 15; i++)
        comes_and_goes(p);
    looks(&w, &w.before);
    for (int i = 0; i < 3; i++)
        comes_and_goes(p);
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "ports: 2 of 20 ephemeral ports to 10.0.0.2:5000 are free, 18 are in TIME-WAIT (0 "
                "may be reused); at 2 a second they are gone in 1 s");
    says_in(&w, "use them again");
}

static void no_port_left(void **state)
{
    struct peer *p = *state;
    struct ward w;

    p->cfg.port_lo = 40000;
    p->cfg.port_hi = 40009;
    peer_restarts(p);
    begins(&w, p);
    for (int i = 0; i < 10; i++)
        comes_and_goes(p);
    looks(&w, &w.before);
    ends(&w);
    says_in(&w, "0 of 10 ephemeral ports to 10.0.0.2:5000 are free, 10 are in TIME-WAIT (0 may be "
                "reused); the next is free in 60.00 s");
}

static void ceilings(void **state)
{
    struct peer *p = *state;
    struct ward w;
    estab_sock k;

    p->cfg.max_conns = 10;
    peer_restarts(p);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k), 0);
    p->cfg.mem_max = ESTAB_MEM_LEAST;
    p->cfg.max_conns = 10000;
    peer_restarts(p);
    begins(&w, p);
    while (estab_socket(p->s, ESTAB_TCP, &k) == 0)
        ;
    looks(&w, &w.before);
    ends(&w);
    says_in(&w, "octets of memory are in use\nraise mem_max");
    p->cfg.mem_max = 0;
    p->cfg.max_conns = 10;
    peer_restarts(p);
    begins(&w, p);
    for (int i = 0; i < 9; i++)
        assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k), 0);
    looks(&w, &w.before);
    ends(&w);
    says_in(&w, "ceiling: 9 of 10 connections are in use\nraise max_conns");
}

static void drops(void **state)
{
    struct peer *p = *state;
    struct ward w;

    begins(&w, p);
    peer_connects(p);
    looks(&w, &w.before);
    for (int i = 0; i < 30; i++) {
        sends(p, SEG(.flags = ACK, .seq = 700000, .ack = 1));
        ignores_all(p);
    }
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "drops: drops under the rule unacceptable grow: 15 a second, 30 so far (RFC 9293 "
                "section 3.10.7.4, first: outside the window)\ntwo ends are out of step");
}

static void neighbour(void **state)
{
    struct peer *p = *state;
    struct estab_frame f[8];
    struct ward w;

    p->caps.medium = ESTAB_MEDIUM_ETHERNET;
    p->caps.mac[5] = 2;
    peer_restarts(p);
    begins(&w, p);
    user_connects(p);
    (void)estab_output(p->s, 0, f, 8);
    looks(&w, &w.before);
    ends(&w);
    assert_int_equal(w.n, 1);
    says_in(&w, "neighbour: 1 connection to 10.0.0.2: the next hop 10.0.0.2 is not resolved");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(all_is_well),  PEER_TEST(close_waits), PEER_TEST(not_reading),
        PEER_TEST(accept_queue), PEER_TEST(syn_flood),   PEER_TEST(retransmissions),
        PEER_TEST(zero_window),  PEER_TEST(ports),       PEER_TEST(no_port_left),
        PEER_TEST(ceilings),     PEER_TEST(drops),       PEER_TEST(neighbour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

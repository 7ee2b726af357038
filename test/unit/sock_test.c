/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_test.c - the user's side: handles that are dead, what each call says in each state,
 * readiness. */
#include "unit/peer.h"

static const struct estab_iov one = {(void *)(uintptr_t) "x", 1};

static void assert_dead(struct peer *p, estab_sock k)
{
    struct estab_addr a = p->us;
    struct estab_iov v = {p->frame, 1};
    estab_sock out;
    uint64_t val;

    assert_int_equal(estab_bind(p->s, k, &a), ESTAB_E_BADF);
    assert_int_equal(estab_listen(p->s, k, 1), ESTAB_E_BADF);
    assert_int_equal(estab_accept(p->s, k, &out, NULL), ESTAB_E_BADF);
    assert_int_equal(estab_connect(p->s, k, &p->them), ESTAB_E_BADF);
    assert_int_equal(estab_send(p->s, k, &one, 1, 0), ESTAB_E_BADF);
    assert_int_equal(estab_recv(p->s, k, &v, 1, 0), ESTAB_E_BADF);
    assert_int_equal(estab_shutdown(p->s, k, ESTAB_SHUT_RDWR), ESTAB_E_BADF);
    assert_int_equal(estab_close(p->s, k), ESTAB_E_BADF);
    assert_int_equal(estab_abort(p->s, k), ESTAB_E_BADF);
    assert_int_equal(estab_setopt(p->s, k, ESTAB_O_NODELAY, 1), ESTAB_E_BADF);
    assert_int_equal(estab_getopt(p->s, k, ESTAB_O_NODELAY, &val), ESTAB_E_BADF);
    assert_int_equal(estab_getaddrs(p->s, k, &a, NULL), ESTAB_E_BADF);
    assert_int_equal(estab_watch(p->s, k, ESTAB_EV_IN, p), ESTAB_E_BADF);
    assert_int_equal(estab_ready(p->s, k), ESTAB_EV_ERR | ESTAB_EV_HUP);
}

static void handles_that_never_were_are_dead(void **state)
{
    struct peer *p = *state;

    assert_dead(p, 0);
    assert_dead(p, 1);
    assert_dead(p, UINT64_MAX);
    assert_dead(p, (estab_sock)1 << 32);
}

/* In each state: dead on return, whatever becomes of the connection. */
static void a_closed_handle_is_dead_in_every_state(void **state)
{
    struct peer *p = *state;

    for (int aborts = 0; aborts < 2; aborts++) {
        for (int st = ESTAB_LISTEN; st < ESTAB_TCP_STATES; st++) {
            estab_sock k;

            peer_restarts(p);
            bring_to(p, (enum estab_tcp_state)st);
            k = p->k;
            if (aborts)
                user_aborts(p);
            else
                user_closes(p);
            assert_dead(p, k);
            /* its slot comes to another, whose handle is none of its business */
            for (int i = 0; i < 3; i++)
                assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
            assert_dead(p, k);
        }
    }
}

/* ... nor does it come to mean a connection that has its slot, and that no call has named yet. */
static void a_closed_handle_is_not_whoever_came_after(void **state)
{
    struct peer *p = *state;
    estab_sock k;

    user_listens(p, 16);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_ready(p->s, k) & ESTAB_EV_IN, 0);
    assert_int_equal(estab_abort(p->s, k), 0);
    sends(p, SEG(.flags = SYN, .mss = 1000));
    (void)gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1));
    assert_dead(p, k);
    user_accepts(p);
    assert_int_equal((uint32_t)p->k, (uint32_t)k);
    assert_dead(p, k);
    assert_state(p, ESTABLISHED);
}

static void a_fresh_socket_is_not_connected(void **state)
{
    struct peer *p = *state;
    struct estab_iov v = {p->frame, 1};
    struct estab_addr a;

    assert_int_equal(estab_socket(p->s, (enum estab_type)7, &p->k), ESTAB_E_INVAL);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_send(p->s, p->k, &one, 1, 0), ESTAB_E_NOTCONN);
    assert_int_equal(estab_recv(p->s, p->k, &v, 1, 0), ESTAB_E_NOTCONN);
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_WR), ESTAB_E_NOTCONN);
    assert_int_equal(estab_accept(p->s, p->k, &p->listener, NULL), ESTAB_E_INVAL);
    assert_int_equal(estab_getaddrs(p->s, p->k, NULL, &a), ESTAB_E_NOTCONN);
    assert_int_equal(info_of(p).state, ESTAB_CLOSED);
    user_closes(p);
    assert_int_equal(stack_of(p).conns, 0);
}

static void a_socket_connects_once(void **state)
{
    struct peer *p = *state;
    struct estab_addr to = p->them;

    bring_to(p, ESTAB_SYN_SENT);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_ISCONN);
    assert_int_equal(estab_listen(p->s, p->k, 1), ESTAB_E_ISCONN);
    assert_int_equal(estab_bind(p->s, p->k, &p->us), ESTAB_E_INVAL);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1));
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_ISCONN);
    sends(p, SEG(.flags = RST, .seq = 1));
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_ISCONN);
    p->k = 0;
    peer_restarts(p);
    bring_to(p, ESTAB_LISTEN);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INVAL);
    assert_int_equal(estab_send(p->s, p->k, &one, 1, 0), ESTAB_E_NOTCONN);
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_WR), ESTAB_E_NOTCONN);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    to.port = 0;
    assert_int_equal(estab_connect(p->s, p->k, &to), ESTAB_E_INVAL);
    assert_int_equal(estab_addr_parse(&to, "10.9.9.9:80", NULL), 0);
    assert_int_equal(estab_connect(p->s, p->k, &to), ESTAB_E_UNREACH);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INPROGRESS); /* it still may */
}

/* What has been a connection's socket, or tried to be, does not become another's. */
static void a_refused_socket_is_not_bound_anew(void **state)
{
    struct peer *p = *state;
    struct estab_addr any = {.port = 0};

    bring_to(p, ESTAB_SYN_SENT);
    sends(p, SEG(.flags = RST | ACK, .ack = 1));
    assert_int_equal(estab_bind(p->s, p->k, &any), ESTAB_E_INVAL);
    peer_restarts(p);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_connect(p->s, p->k, &p->them), ESTAB_E_INPROGRESS);
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_WR), 0);
    assert_int_equal(estab_bind(p->s, p->k, &any), ESTAB_E_INVAL);
}

static void a_bind_that_found_no_memory_can_be_tried_again(void **state)
{
    struct peer *p = *state;
    int err = ESTAB_E_NOMEM;

    for (uint64_t n = 1; err == ESTAB_E_NOMEM && n < 10; n++) {
        peer_restarts(p);
        assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
        p->v.allocs = 0;
        p->v.fail_at = n;
        err = estab_bind(p->s, p->k, &p->us);
        p->v.fail_at = 0;
        assert_true(err == 0 || err == ESTAB_E_NOMEM);
        if (err)
            assert_int_equal(estab_bind(p->s, p->k, &p->us), 0);
        assert_int_equal(estab_listen(p->s, p->k, 1), 0);
        sends(p, SEG(.flags = SYN));
        gets(p, SEG(.flags = SYN | ACK, .ack = 1));
    }
    assert_int_equal(err, 0);
}

static void an_address_and_port_are_one_socket_s(void **state)
{
    struct peer *p = *state;
    struct estab_addr elsewhere = p->them, any = {.port = 80};
    estab_sock k;

    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_bind(p->s, k, &elsewhere), ESTAB_E_ADDRNOTAVAIL);
    assert_int_equal(estab_bind(p->s, k, &p->us), 0);
    assert_int_equal(estab_bind(p->s, k, &p->us), ESTAB_E_INVAL);
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &p->k), 0);
    assert_int_equal(estab_bind(p->s, p->k, &p->us), ESTAB_E_INUSE);
    assert_int_equal(estab_bind(p->s, p->k, &any), ESTAB_E_INUSE);
    assert_int_equal(estab_close(p->s, k), 0);
    assert_int_equal(estab_bind(p->s, p->k, &any), 0);
}

/* Ports are chosen from the range, none twice, and all of them can be had. */
static void ephemeral_ports_run_out_and_come_back(void **state)
{
    struct peer *p = *state;
    bool seen[8] = {false};
    struct estab_addr a;
    estab_sock k[9];

    p->cfg.port_lo = 40000;
    p->cfg.port_hi = 40007;
    peer_restarts(p);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k[i]), 0);
        assert_int_equal(estab_connect(p->s, k[i], &p->them), ESTAB_E_INPROGRESS);
        assert_int_equal(estab_getaddrs(p->s, k[i], &a, NULL), 0);
        assert_in_range(a.port, 40000, 40007);
        assert_false(seen[a.port - 40000]);
        seen[a.port - 40000] = true;
    }
    assert_int_equal(estab_socket(p->s, ESTAB_TCP, &k[8]), 0);
    assert_int_equal(estab_connect(p->s, k[8], &p->them), ESTAB_E_INUSE);
    assert_int_equal(estab_close(p->s, k[3]), 0);
    assert_int_equal(estab_connect(p->s, k[8], &p->them), ESTAB_E_INPROGRESS);
}

static void after_shutdown_sending_is_over_and_reading_is_not(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    user_shuts(p);
    (void)gets(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    assert_int_equal(estab_send(p->s, p->k, &one, 1, 0), ESTAB_E_PIPE);
    assert_int_equal(estab_shutdown(p->s, p->k, ESTAB_SHUT_WR), ESTAB_E_PIPE);
    assert_int_equal(user_reads(p, p->frame, 1), ESTAB_E_AGAIN);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 5)); /* S22 */
    user_hears(p, 1, 5);
    assert_int_equal(user_reads(p, p->frame, 1), 0);
}

/* S21 */
static void after_the_peer_s_fin_sending_goes_on(void **state)
{
    struct peer *p = *state;

    bring_to(p, ESTAB_CLOSE_WAIT);
    assert_int_equal(user_reads(p, p->frame, 1), 0);
    user_sends(p, 1, 10);
    (void)gets(p, SEG(.flags = ACK, .seq = 1, .ack = 2, .len = 10));
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_OUT);
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_RDHUP);
}

static void peeking_leaves_what_it_reads(void **state)
{
    struct peer *p = *state;
    struct estab_iov v = {p->frame, 10};

    user_connects_with(p, SEG(.mss = 1000));
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    for (int i = 0; i < 2; i++)
        assert_int_equal(estab_recv(p->s, p->k, &v, 1, ESTAB_MSG_PEEK), 10);
    user_hears(p, 1, 10);
    assert_int_equal(estab_recv(p->s, p->k, &v, 1, ESTAB_MSG_PEEK), ESTAB_E_AGAIN);
}

/* ---- readiness ---- */

static uint32_t event(struct peer *p)
{
    struct estab_event ev[4];
    size_t n = estab_events(p->s, ev, 4);

    assert_true(n <= 1);
    if (n == 1) {
        assert_ptr_equal(ev[0].user, p);
        assert_true(ev[0].sock == p->k);
    }
    return n ? ev[0].mask : 0;
}

/* Reported when it becomes so, once, and at once if it already is. */
static void events_are_reported_when_they_happen(void **state)
{
    struct peer *p = *state;
    const uint32_t all = ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP;

    bring_to(p, ESTAB_SYN_SENT);
    assert_int_equal(estab_watch(p->s, p->k, all, p), 0);
    assert_int_equal(event(p), 0);
    sends(p, SEG(.flags = SYN | ACK, .ack = 1, .mss = 1000));
    assert_int_equal(event(p), ESTAB_EV_OUT);
    assert_int_equal(event(p), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    assert_int_equal(event(p), ESTAB_EV_IN);
    assert_int_equal(event(p), 0);
    assert_int_equal(estab_watch(p->s, p->k, all, p), 0);
    assert_int_equal(event(p), ESTAB_EV_IN | ESTAB_EV_OUT);
    sends(p, SEG(.flags = FIN | ACK, .seq = 11, .ack = 1));
    assert_int_equal(event(p), ESTAB_EV_IN | ESTAB_EV_RDHUP);
    sends(p, SEG(.flags = RST, .seq = 12));
    assert_true(event(p) & ESTAB_EV_ERR);
    assert_int_equal(estab_watch(p->s, p->k, 0, p), 0);
    assert_int_equal(event(p), 0);
}

static void an_event_that_was_not_asked_for_is_not_reported(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_RDHUP, p), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    assert_int_equal(event(p), 0);
    sends(p, SEG(.flags = RST, .seq = 11)); /* but failure always is */
    assert_true(event(p) & ESTAB_EV_ERR);
}

/* What closed between the event and the asking is not reported: its handle is dead. */
static void a_dead_handle_has_no_events(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1000));
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_IN, p), 0);
    sends(p, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 10));
    user_closes(p);
    assert_int_equal(event(p), 0);
}

/* ---- options ---- */

/* [RFC1122-3.2.1.7-1] */
static void impossible_settings_are_refused(void **state)
{
    struct peer *p = *state;
    static const struct {
        enum estab_opt o;
        uint64_t v;
    } all[] = {
        {ESTAB_O_SNDBUF, 0},       {ESTAB_O_SNDBUF, UINT64_MAX},   {ESTAB_O_RCVBUF, 10},
        {ESTAB_O_KEEPINTVL, 0},    {ESTAB_O_KEEPCNT, 0},           {ESTAB_O_KEEPCNT, 256},
        {ESTAB_O_HOP_LIMIT, 0},    {ESTAB_O_HOP_LIMIT, 256},       {ESTAB_O_MAXSEG, 10},
        {ESTAB_O_MAXSEG, 1 << 20}, {ESTAB_O_KEEPIDLE, UINT64_MAX}, {ESTAB_O_ERROR, 0},
        {(enum estab_opt)1000, 0},
    };

    user_opens(p);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(estab_setopt(p->s, p->k, all[i].o, all[i].v), ESTAB_E_INVAL);
}

static void settings_read_back(void **state)
{
    struct peer *p = *state;
    static const struct {
        enum estab_opt o;
        uint64_t v;
    } all[] = {
        {ESTAB_O_NODELAY, 1},           {ESTAB_O_SNDBUF, 4096},          {ESTAB_O_RCVBUF, 8192},
        {ESTAB_O_KEEPIDLE, ESTAB_S(9)}, {ESTAB_O_KEEPINTVL, ESTAB_S(3)}, {ESTAB_O_KEEPCNT, 3},
        {ESTAB_O_HOP_LIMIT, 3},         {ESTAB_O_MAXSEG, 500},           {ESTAB_O_QUICKACK, 1},
    };

    user_opens(p);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint64_t v;

        user_sets(p, all[i].o, all[i].v);
        assert_int_equal(estab_getopt(p->s, p->k, all[i].o, &v), 0);
        assert_int_equal(v, all[i].v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(handles_that_never_were_are_dead),
        PEER_TEST(a_closed_handle_is_dead_in_every_state),
        PEER_TEST(a_closed_handle_is_not_whoever_came_after),
        PEER_TEST(a_fresh_socket_is_not_connected),
        PEER_TEST(a_socket_connects_once),
        PEER_TEST(a_refused_socket_is_not_bound_anew),
        PEER_TEST(a_bind_that_found_no_memory_can_be_tried_again),
        PEER_TEST(an_address_and_port_are_one_socket_s),
        PEER_TEST(ephemeral_ports_run_out_and_come_back),
        PEER_TEST(after_shutdown_sending_is_over_and_reading_is_not),
        PEER_TEST(after_the_peer_s_fin_sending_goes_on),
        PEER_TEST(peeking_leaves_what_it_reads),
        PEER_TEST(events_are_reported_when_they_happen),
        PEER_TEST(an_event_that_was_not_asked_for_is_not_reported),
        PEER_TEST(a_dead_handle_has_no_events),
        PEER_TEST(impossible_settings_are_refused),
        PEER_TEST(settings_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

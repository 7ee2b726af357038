/* SPDX-License-Identifier: BSD-2-Clause */
/* loop_test.c - the reference loop: whom it waits for, what it hands on, when it gives up. */
#include "link_kit.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct host {
    estab_stack *stack;
    estab_loop *loop;
    int port;
};

static void host_open(struct host *h)
{
    struct estab_env env;
    struct estab_config cfg;
    char err[ESTAB_ERRLEN];

    estab_host_env(&env);
    estab_config_init(&cfg);
    cfg.rto_init = ESTAB_S(50); /* a lost wake-up shows as a test that stands still */
    cfg.rto_max = ESTAB_S(60);
    assert_int_equal(estab_stack_new(&h->stack, &env, &cfg), 0);
    assert_int_equal(estab_loop_new(&h->loop, h->stack, err), 0);
}

static void host_attach(struct host *h, estab_link *l, const char *addr)
{
    uint8_t ip[16], prefix_len;
    char err[ESTAB_ERRLEN];

    h->port = estab_loop_attach(h->loop, l, err);
    if (h->port < 0)
        fail_msg("%s", err);
    assert_int_equal(estab_prefix_parse(ip, &prefix_len, addr), 0);
    assert_int_equal(estab_addr_add(h->stack, h->port, ip, prefix_len), 0);
}

static void host_close(struct host *h)
{
    estab_loop_free(h->loop);
    estab_stack_free(h->stack);
}

/* A host with one end of a pair; the other end is the test's. */
static estab_link *host_open_with_end(struct host *h)
{
    estab_link *l[2];

    host_open(h);
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    host_attach(h, l[0], "10.0.0.1/24");
    return l[1];
}

static int turn(struct host *h, estab_dur max_wait)
{
    char err[ESTAB_ERRLEN] = "";
    int r = estab_loop_turn(h->loop, max_wait, err);

    if (r == -1)
        fail_msg("%s", err);
    return r;
}

static estab_sock tcp_socket(struct host *h)
{
    estab_sock k;

    assert_int_equal(estab_socket(h->stack, ESTAB_TCP, &k), 0);
    return k;
}

static void connect_to(struct host *h, estab_sock k, const char *text)
{
    struct estab_addr to;

    assert_int_equal(estab_addr_parse(&to, text, NULL), 0);
    assert_int_equal(estab_connect(h->stack, k, &to), ESTAB_E_INPROGRESS);
}

static void two_loops_carry_a_connection(void **state)
{
    struct host a, b;
    estab_link *l[2], *slow;
    struct estab_fault delay = {.delay = ESTAB_US(300)};
    struct estab_addr here = {.port = 7};
    struct estab_iov out = {(void *)(uintptr_t) "over the wire", 13}, in;
    estab_sock listener, client, server = 0;
    char buf[64], err[ESTAB_ERRLEN];
    ptrdiff_t n = ESTAB_E_AGAIN;

    (void)state;
    host_open(&a);
    host_open(&b);
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    assert_int_equal(estab_link_fault(&slow, l[0], &delay, err), 0);
    host_attach(&a, slow, "10.0.0.1/24");
    host_attach(&b, l[1], "10.0.0.2/24");
    listener = tcp_socket(&b);
    assert_int_equal(estab_bind(b.stack, listener, &here), 0);
    assert_int_equal(estab_listen(b.stack, listener, 1), 0);
    client = tcp_socket(&a);
    connect_to(&a, client, "10.0.0.2:7");
    while (estab_accept(b.stack, listener, &server, NULL) == ESTAB_E_AGAIN) {
        turn(&a, ESTAB_MS(1));
        turn(&b, 0);
    }
    assert_int_equal(estab_send(a.stack, client, &out, 1, 0), 13);
    in = (struct estab_iov){buf, sizeof buf};
    while ((n = estab_recv(b.stack, server, &in, 1, 0)) == ESTAB_E_AGAIN) {
        turn(&a, ESTAB_MS(1));
        turn(&b, 0);
    }
    assert_int_equal(n, 13);
    assert_memory_equal(buf, "over the wire", 13);
    assert_ptr_equal(estab_loop_link(a.loop, a.port), slow);
    assert_null(estab_loop_link(a.loop, a.port + 1));
    host_close(&a);
    host_close(&b);
}

static void a_links_deadline_ends_the_wait(void **state)
{
    struct host h;
    estab_link *l[2], *slow;
    struct estab_fault delay = {.delay = ESTAB_MS(2)};
    char err[ESTAB_ERRLEN];

    (void)state;
    host_open(&h);
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    assert_int_equal(estab_link_fault(&slow, l[0], &delay, err), 0);
    host_attach(&h, slow, "10.0.0.1/24");
    connect_to(&h, tcp_socket(&h), "10.0.0.2:7");
    while (estab_link_deadline(l[1]) == ESTAB_NEVER)
        assert_int_equal(turn(&h, ESTAB_NEVER), 0);
    host_close(&h);
    estab_link_close(l[1]);
}

static void flush_hands_out_at_once(void **state)
{
    struct host h;
    estab_link *far = host_open_with_end(&h);
    struct estab_frame f;

    (void)state;
    connect_to(&h, tcp_socket(&h), "10.0.0.2:7");
    assert_int_equal(estab_link_recv(far, &f, 1), 0);
    estab_loop_flush(h.loop);
    assert_int_equal(estab_link_recv(far, &f, 1), 1);
    host_close(&h);
    estab_link_close(far);
}

static void a_turn_takes_a_bounded_batch_and_does_not_wait_with_more(void **state)
{
    struct host h;
    estab_link *far = host_open_with_end(&h), *near = estab_loop_link(h.loop, h.port);

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(kit_send(far, "no packet"), 1);
    assert_int_equal(turn(&h, ESTAB_NEVER), 0);
    assert_int_equal(near->frames_in, 32);
    for (int i = 0; i < 3; i++)
        assert_int_equal(turn(&h, ESTAB_NEVER), 0);
    assert_int_equal(near->frames_in, 100);
    host_close(&h);
    estab_link_close(far);
}

/* A link by hand, on which a sleep ends as long as something is in its pipe. */
struct by_hand {
    estab_link link;
    int fds[2];
    unsigned sent;
    unsigned left; /* stopping_recv()'s: frames */
    bool stopped;
    bool speaks; /* quiet_recv()'s: has a frame */
    unsigned asked;
};

static int by_hand_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    (void)f;
    ((struct by_hand *)l)->sent += (unsigned)n;
    return (int)n;
}

static int by_hand_fd(const estab_link *l)
{
    return ((const struct by_hand *)l)->fds[0];
}

static estab_time by_hand_deadline(const estab_link *l)
{
    (void)l;
    return ESTAB_NEVER;
}

static void by_hand_close(estab_link *l)
{
    close(((struct by_hand *)l)->fds[0]);
    close(((struct by_hand *)l)->fds[1]);
}

static void by_hand_open(struct by_hand *b, struct host *h, const struct estab_link_ops *ops)
{
    b->link.ops = ops;
    b->link.caps = kit_ip;
    snprintf(b->link.name, sizeof b->link.name, "%s", ops->name);
    assert_int_equal(pipe(b->fds), 0);
    assert_int_equal(write(b->fds[1], "x", 1), 1);
    host_open(h);
    host_attach(h, &b->link, "10.0.0.1/24");
}

#define BY_HAND(word)                                                                              \
    {                                                                                              \
        .name = #word, .recv = word##_recv, .send = by_hand_send, .fd = by_hand_fd,                \
        .deadline = by_hand_deadline, .close = by_hand_close                                       \
    }

/* Stops after each frame, for whose buffer is full, until there are none, and the pipe is empty. */
static int stopping_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct by_hand *s = (struct by_hand *)l;
    char c;

    (void)n;
    s->stopped = !s->stopped; /* each time it says that for now there is no more */
    if (!s->stopped || s->left == 0)
        return 0;
    s->left--;
    l->frames_in++;
    l->more = s->left > 0;
    if (s->left == 0)
        assert_int_equal(read(s->fds[0], &c, 1), 1);
    *f = (struct estab_frame){.iov = {{(void *)(uintptr_t) "no packet", 9}}, .niov = 1};
    return 1;
}

static void a_batch_that_stops_for_a_user_goes_on(void **state)
{
    static const struct estab_link_ops ops = BY_HAND(stopping);
    struct by_hand s = {.left = 40};
    struct host h;

    (void)state;
    by_hand_open(&s, &h, &ops);
    assert_int_equal(turn(&h, ESTAB_NEVER), 0);
    assert_int_equal(s.link.frames_in, 1);
    connect_to(&h, tcp_socket(&h), "10.0.0.2:7");
    for (unsigned i = 2; i <= 40; i++) {
        assert_int_equal(turn(&h, ESTAB_NEVER), 0);
        assert_int_equal(s.link.frames_in, i);
    }
    assert_int_equal(s.sent, 1);
    host_close(&h);
}

/* Has a frame when told; a sleep ends at once all the same. */
static int quiet_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct by_hand *q = (struct by_hand *)l;

    (void)n;
    q->asked++;
    if (!q->speaks)
        return 0;
    q->speaks = false;
    *f = (struct estab_frame){.iov = {{(void *)(uintptr_t) "no packet", 9}}, .niov = 1};
    return 1;
}

static void quiet_open(struct by_hand *q, struct host *h, bool sparing)
{
    static const struct estab_link_ops ops = BY_HAND(quiet);

    *q = (struct by_hand){.link = {.busy = ESTAB_US(1), .sparing = sparing}};
    by_hand_open(q, h, &ops);
}

/* In how many of n turns the link was looked at before the sleep, and not after it only. */
static unsigned looks_in(struct by_hand *q, struct host *h, unsigned n)
{
    unsigned looks = 0;

    while (n-- > 0) {
        q->asked = 0;
        assert_int_equal(turn(h, ESTAB_NEVER), 0);
        assert_true(q->asked > 0);
        looks += q->asked > 1;
    }
    return looks;
}

static void who_looks_in_vain_looks_ever_more_seldom(void **state)
{
    struct by_hand q;
    struct host h;

    (void)state;
    quiet_open(&q, &h, true);
    assert_int_equal(looks_in(&q, &h, 1), 1);
    assert_in_range(looks_in(&q, &h, 127), 5, 6); /* rests of 1, 3, 7, 15, 31 and 63 turns */
    assert_in_range(looks_in(&q, &h, 640), 9, 11);
    q.speaks = true; /* is heard in a turn that sleeps: that says nothing of looking */
    assert_in_range(looks_in(&q, &h, 640), 9, 11);
    host_close(&h);
}

static void looking_that_has_paid_goes_on(void **state)
{
    struct by_hand q;
    struct host h;

    (void)state;
    quiet_open(&q, &h, true);
    (void)looks_in(&q, &h, 200);
    while (looks_in(&q, &h, 1) == 0)
        ;
    looks_in(&q, &h, 63);
    q.speaks = true;
    assert_int_equal(turn(&h, ESTAB_NEVER), 0); /* by looking */
    assert_false(q.speaks);
    assert_int_equal(looks_in(&q, &h, 1), 1);
    assert_int_equal(looks_in(&q, &h, 1), 0);
    assert_int_equal(looks_in(&q, &h, 1), 1);
    host_close(&h);
}

static void who_was_told_to_look_looks_always(void **state)
{
    struct by_hand q;
    struct host h;

    (void)state;
    quiet_open(&q, &h, false);
    assert_int_equal(looks_in(&q, &h, 100), 100);
    host_close(&h);
}

/* However long one link is looked at: what comes by another is not left lying meanwhile. */
static void while_one_link_is_looked_at_the_others_are(void **state)
{
    struct by_hand q;
    struct host h;
    estab_link *l[2];
    char err[ESTAB_ERRLEN];

    (void)state;
    quiet_open(&q, &h, false);
    q.link.busy = ESTAB_S(1);
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    assert_true(estab_loop_attach(h.loop, l[0], err) > h.port);
    assert_int_equal(kit_send(l[1], "no packet"), 1);
    assert_int_equal(turn(&h, ESTAB_NEVER), 0);
    assert_int_equal(l[0]->frames_in, 1);
    assert_true(q.asked <= 3);
    host_close(&h);
    estab_link_close(l[1]);
}

static void nothing_to_do_ends_after_max_wait(void **state)
{
    struct host h;
    estab_link *far = host_open_with_end(&h);

    (void)state;
    assert_int_equal(turn(&h, 0), 0);
    assert_int_equal(turn(&h, 1), 0);
    assert_int_equal(turn(&h, ESTAB_MS(1)), 0);
    host_close(&h);
    estab_link_close(far);
}

static void a_watched_descriptor_ends_the_wait(void **state)
{
    struct host h;
    estab_link *far = host_open_with_end(&h);
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(estab_loop_watch_fd(h.loop, fds[0]), 0);
    assert_int_equal(turn(&h, 0), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(turn(&h, ESTAB_NEVER), 1);
    kit_send(far, "no packet"); /* a frame is taken in all the same */
    assert_int_equal(turn(&h, ESTAB_NEVER), 1);
    assert_int_equal(estab_loop_link(h.loop, h.port)->frames_in, 1);
    assert_int_equal(estab_loop_watch_fd(h.loop, -1), -1);
    host_close(&h);
    estab_link_close(far);
    close(fds[0]);
    close(fds[1]);
}

static void a_lost_link_is_told_once_and_the_others_go_on(void **state)
{
    struct host h;
    estab_link *far = host_open_with_end(&h), *l[2];
    char err[ESTAB_ERRLEN];

    (void)state;
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    host_attach(&h, l[1], "10.0.1.1/24");
    estab_link_close(far);
    assert_int_equal(estab_loop_turn(h.loop, ESTAB_NEVER, err), -1);
    assert_string_equal(err, "pair:a: the other end is closed");
    assert_int_equal(turn(&h, 0), 0);
    connect_to(&h, tcp_socket(&h), "10.0.0.9:7"); /* over the lost one */
    connect_to(&h, tcp_socket(&h), "10.0.1.9:7");
    assert_int_equal(turn(&h, 0), 0);
    assert_true(estab_link_deadline(l[0]) == 0);
    host_close(&h);
    estab_link_close(l[0]);
}

static void a_port_that_the_stack_refuses_is_named(void **state)
{
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 20};
    struct host h;
    estab_link *l[2];
    char err[ESTAB_ERRLEN];

    (void)state;
    host_open(&h);
    assert_int_equal(estab_link_pair(l, &caps, 0), 0);
    assert_int_equal(estab_loop_attach(h.loop, l[0], err), -1);
    assert_memory_equal(err, "pair:a: the stack does not take it as a port: ", 46);
    estab_link_close(l[1]);
    host_close(&h);
}

static void on_signal(int number)
{
    (void)number;
}

static void a_signal_ends_the_wait(void **state)
{
    struct sigaction act = {.sa_handler = on_signal}, before;
    struct itimerspec often = {{0, 5000000}, {0, 5000000}};
    struct host h;
    estab_link *far = host_open_with_end(&h);
    timer_t timer;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &act, &before), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
    assert_int_equal(turn(&h, ESTAB_NEVER), -2);
    timer_delete(timer);
    sigaction(SIGALRM, &before, NULL);
    host_close(&h);
    estab_link_close(far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_loops_carry_a_connection),
        cmocka_unit_test(a_links_deadline_ends_the_wait),
        cmocka_unit_test(flush_hands_out_at_once),
        cmocka_unit_test(a_turn_takes_a_bounded_batch_and_does_not_wait_with_more),
        cmocka_unit_test(a_batch_that_stops_for_a_user_goes_on),
        cmocka_unit_test(who_looks_in_vain_looks_ever_more_seldom),
        cmocka_unit_test(looking_that_has_paid_goes_on),
        cmocka_unit_test(who_was_told_to_look_looks_always),
        cmocka_unit_test(while_one_link_is_looked_at_the_others_are),
        cmocka_unit_test(nothing_to_do_ends_after_max_wait),
        cmocka_unit_test(a_watched_descriptor_ends_the_wait),
        cmocka_unit_test(a_lost_link_is_told_once_and_the_others_go_on),
        cmocka_unit_test(a_port_that_the_stack_refuses_is_named),
        cmocka_unit_test(a_signal_ends_the_wait),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}

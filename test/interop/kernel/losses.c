/* SPDX-License-Identifier: BSD-2-Clause */
/* losses.c - what is lost on the way: one segment, many, all; peers that vanish, and peers that do
 * not read. */
#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    SOME = 4 << 20,
    NARROW = 64 << 10, /* a buffer of the kernel's */
};

static struct our_side *begin_hasty(const char *scenario)
{
    struct estab_config c = hasty_config();

    return ours_open(scenario, &place, &c);
}

static bool they_are_told(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

    return poll(&p, 1, 0) == 1;
}

static struct estab_tcp_info info_of(const struct our_side *s, const struct wire *w)
{
    struct estab_tcp_info i = {.size = sizeof i};

    assert_int_equal(estab_tcp_info(s->stack, w->sock, &i), 0);
    return i;
}

/* The payload's first octets on their way through a wire, one way. */
struct flow {
    size_t len, sent, got;
    uint8_t *into;
    bool deaf; /* nobody reads */
};

static struct flow flow_to(uint8_t *into, size_t len)
{
    memset(into, 0, len);
    return (struct flow){.len = len, .into = into};
}

static void move_to_them(struct our_side *s, const struct wire *w, struct flow *f)
{
    struct estab_iov v = {payload + f->sent, f->len - f->sent};
    ptrdiff_t sent = v.len ? estab_send(s->stack, w->sock, &v, 1, 0) : ESTAB_E_AGAIN;
    ssize_t got = -1;

    assert_true(sent > 0 || sent == ESTAB_E_AGAIN);
    f->sent += sent > 0 ? (size_t)sent : 0;
    errno = EAGAIN;
    if (!f->deaf && f->got < f->len)
        got = read(w->fd, f->into + f->got, f->len - f->got);
    assert_true(got > 0 || errno == EAGAIN);
    f->got += got > 0 ? (size_t)got : 0;
}

static void move_to_us(struct our_side *s, const struct wire *w, struct flow *f)
{
    struct estab_iov v = {f->into + f->got, f->len - f->got};
    ptrdiff_t got = v.len && !f->deaf ? estab_recv(s->stack, w->sock, &v, 1, 0) : ESTAB_E_AGAIN;
    ssize_t sent = -1;

    assert_true(got > 0 || got == ESTAB_E_AGAIN);
    f->got += got > 0 ? (size_t)got : 0;
    errno = EAGAIN;
    if (f->sent < f->len)
        sent = send(w->fd, payload + f->sent, f->len - f->sent, MSG_NOSIGNAL);
    assert_true(sent > 0 || errno == EAGAIN);
    f->sent += sent > 0 ? (size_t)sent : 0;
}

/* Turns, with the flows (NULL: none that way) going on, until `condition`. */
#define FLOW_UNTIL(s, w, to_them, to_us, what, condition)                                          \
    for ((s)->waiting_for = (what); !(condition);)                                                 \
    flow_turn((s), (w), (to_them), (to_us))

static void flow_turn(struct our_side *s, const struct wire *w, struct flow *to_them,
                      struct flow *to_us)
{
    if (to_them)
        move_to_them(s, w, to_them);
    if (to_us)
        move_to_us(s, w, to_us);
    ours_turn(s, ESTAB_MS(1));
}

static void assert_flowed(const struct flow *f)
{
    assert_int_equal(f->got, f->len);
    assert_memory_equal(f->into, payload, f->len);
}

static void lose_all(struct our_side *s, bool lose)
{
    s->gate->one_in = s->gate->one_out = lose;
}

/* ---- one segment ---- */

static void there_and_back(struct our_side *s, bool they_open, size_t len)
{
    struct plan opener = {.out = payload, .in = arrived, .out_len = len, .in_len = len};
    struct plan echo = {.echo = true};

    s->plan = they_open ? echo : opener;
    theirs.plan = they_open ? opener : echo;
    memset(arrived, 0, len);
    exchange(s, they_open, 1, 1);
    assert_arrived(len);
    ours_settle(s);
}

/* Opening, text and closing survive the loss of any one segment.  The kernel's first SYN is its own
 * affair, and takes a second. */
static void any_one_segment(const char *scenario, bool they_open)
{
    struct our_side *s;
    uint32_t n;

    if (place.mtu != 1500)
        skip(); /* nothing here depends on it */
    s = begin_hasty(scenario);
    there_and_back(s, they_open, 3000);
    n = s->gate->segments_out;
    print_message("             %u segments out, %u in\n", n, s->gate->segments_in);
    for (uint32_t i = 1; i <= n; i++) {
        s->gate->segments_out = 0;
        s->gate->drop_out = i;
        there_and_back(s, they_open, 3000);
    }
    s->gate->drop_out = 0;
    for (uint32_t i = they_open ? 2 : 1; i <= n; i++) {
        s->gate->segments_in = 0;
        s->gate->drop_in = i;
        there_and_back(s, they_open, 3000);
    }
    s->passed = true;
}

static void any_one_segment_of_a_connection_of_theirs(void **state)
{
    (void)state;
    any_one_segment("one_lost_1", true);
}

static void any_one_segment_of_a_connection_of_ours(void **state)
{
    (void)state;
    any_one_segment("one_lost_2", false);
}

/* ---- many ---- */

static void one_way(const char *scenario, bool to_them)
{
    struct estab_config c = hasty_config();
    struct our_side *s;
    struct plan from = {.out = payload, .out_len = SOME};
    struct plan to = {.in = arrived, .in_len = SOME, .last = true};

    c.rto_init = c.rto_min = ESTAB_MS(200); /* more than a busy machine makes us wait */
    c.rto_max = ESTAB_MS(400);
    s = ours_open(scenario, &place, &c);
    s->gate->one_in = 97;
    s->gate->one_out = 101;
    s->plan = to_them ? from : to;
    theirs.plan = to_them ? to : from;
    memset(arrived, 0, SOME);
    exchange(s, true, 1, 1);
    assert_arrived(SOME);
    ours_settle(s);
    assert_true(rule_seen(s, to_them ? "fast-retransmit" : "text-ahead") > 0);
    if (to_them && place.mtu <= 1500) /* there are duplicates enough to find most losses by */
        assert_true(s->timers[ESTAB_T_REXMT] <= rule_seen(s, "fast-retransmit") / 4);
    print_message("             again: %u fast, %u by RTO (%u times); the kernel %u\n",
                  (unsigned)rule_seen(s, "fast-retransmit"), (unsigned)rule_seen(s, "rto"),
                  s->timers[ESTAB_T_REXMT],
                  (unsigned)(their_counter("snmp", "Tcp:", "RetransSegs") - s->their_retrans));
    s->passed = true;
}

static void one_segment_in_a_hundred_of_ours(void **state)
{
    (void)state;
    one_way("many_lost_1", true);
}

static void one_segment_in_a_hundred_of_theirs(void **state)
{
    (void)state;
    one_way("many_lost_2", false);
}

/* ---- all, for a while ---- */

static void an_outage(void **state)
{
    struct our_side *s = begin_hasty("outage");
    struct wire w = wire_open(s, true);
    struct flow to_them = flow_to(arrived, SOME), to_us = flow_to(arrived + SOME, SOME);
    uint32_t fired;

    (void)state;
    FLOW_UNTIL(s, &w, &to_them, &to_us, "a quarter to arrive",
               to_them.got > SOME / 4 && to_us.got > SOME / 4);
    lose_all(s, true);
    fired = s->timers[ESTAB_T_REXMT];
    FLOW_UNTIL(s, &w, &to_them, &to_us, "our timer, twice", s->timers[ESTAB_T_REXMT] >= fired + 2);
    lose_all(s, false);
    FLOW_UNTIL(s, &w, &to_them, &to_us, "all to arrive", to_them.got == SOME && to_us.got == SOME);
    assert_flowed(&to_them);
    assert_flowed(&to_us);
    wire_close(s, &w);
    s->passed = true;
}

/* ---- all, for good ---- */

/* With what ICMP said meanwhile, if it said anything (RFC 9293 section 3.9.2.2 [MUST-56]). */
static void assert_we_give_up(struct our_side *s, const struct wire *w)
{
    uint64_t error;

    UNTIL(s, "us to give up", estab_ready(s->stack, w->sock) & ESTAB_EV_ERR);
    assert_int_equal(estab_getopt(s->stack, w->sock, ESTAB_O_ERROR, &error), 0);
    assert_true(error == -ESTAB_E_TIMEOUT || error == -ESTAB_E_UNREACH);
    assert_int_equal(rule_seen(s, "retries"), 1);
}

static void silence_both_ways(void **state)
{
    struct our_side *s = begin_hasty("silence");
    struct wire w = wire_open(s, false);
    struct flow to_them = flow_to(arrived, SOME), to_us = flow_to(arrived + SOME, SOME);

    (void)state;
    their_option(w.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 200);
    FLOW_UNTIL(s, &w, &to_them, &to_us, "a quarter to arrive",
               to_them.got > SOME / 4 && to_us.got > SOME / 4);
    lose_all(s, true);
    move_to_them(s, &w, &to_them);
    move_to_us(s, &w, &to_us);
    assert_we_give_up(s, &w);
    assert_int_equal(s->edges[ESTAB_ESTABLISHED][ESTAB_CLOSED], 1);
    UNTIL(s, "the kernel to give up", they_are_told(w.fd));
    assert_int_equal(their_error(w.fd), ETIMEDOUT);
    wire_close(s, &w);
    s->passed = true;
}

static void the_kernels_address_goes(void **state)
{
    struct our_side *s = begin_hasty("address_goes");
    struct wire w = wire_open(s, true);
    struct flow to_them = flow_to(arrived, 1000);

    (void)state;
    run("ip addr del %s/%s dev %s", s->at->their_ip, s->at->prefix, s->at->device);
    move_to_them(s, &w, &to_them);
    assert_we_give_up(s, &w);
    assert_int_equal(s->edges[ESTAB_ESTABLISHED][ESTAB_CLOSED], 1);
    assert_int_equal(s->timers[ESTAB_T_REXMT], 4); /* three times again, and no more */
    their_reset(w.fd);
    w.fd = -1;
    wire_close(s, &w);
    s->passed = true;
}

/* Our text arrives, its ACKs do not come; then the kernel hears that we have given up. */
static void the_kernels_route_goes(void **state)
{
    struct our_side *s = begin_hasty("route_goes");
    struct wire w = wire_open(s, false);
    struct flow to_them = flow_to(arrived, 1000);

    (void)state;
    ours_route(s, "blackhole", "");
    move_to_them(s, &w, &to_them);
    assert_we_give_up(s, &w);
    assert_int_equal(s->edges[ESTAB_ESTABLISHED][ESTAB_CLOSED], 1);
    assert_int_equal(s->timers[ESTAB_T_REXMT], 4);
    UNTIL(s, "our RST", their_error(w.fd) == ECONNRESET);
    wire_close(s, &w);
    s->passed = true;
}

static void we_connect_to_silence(void **state)
{
    struct our_side *s = begin_hasty("silent_1");
    struct estab_addr to = our_addr(s->at->their_ip, new_port());
    struct wire w = {.fd = -1};

    (void)state;
    lose_all(s, true);
    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &w.sock), 0);
    assert_int_equal(estab_connect(s->stack, w.sock, &to), ESTAB_E_INPROGRESS);
    assert_we_give_up(s, &w);
    assert_int_equal(s->edges[ESTAB_SYN_SENT][ESTAB_CLOSED], 1);
    assert_int_equal(rule_seen(s, "syn-again"), 3);
    wire_close(s, &w);
    s->passed = true;
}

/* Its SYN comes, our answers are lost: the half-open entry ends by itself. */
static void the_kernel_connects_to_silence(void **state)
{
    struct our_side *s = begin_hasty("silent_2");
    struct sockaddr_storage to;
    uint16_t port = new_port();
    int fd;

    (void)state;
    ours_listen(s, port);
    their_addr(&to, s->at->our_ip, port);
    s->gate->one_out = 1;
    fd = their_connect(&to, 0, 0);
    assert_true(fd >= 0);
    UNTIL(s, "the half-open entry's end", s->edges[ESTAB_SYN_RECEIVED][ESTAB_CLOSED] == 1);
    assert_int_equal(rule_seen(s, "syn-again"), 3);
    assert_int_equal(entered(s, ESTAB_ESTABLISHED), 0);
    close(fd);
    ours_settle(s);
    s->passed = true;
}

/* RFC 9293 section 3.8.4: an idle peer is asked, answers, and is given up when it does not. */
static void keepalives(void **state)
{
    struct our_side *s = begin_hasty("keepalives");
    struct wire w = wire_open(s, true);
    uint64_t error;

    (void)state;
    assert_int_equal(estab_setopt(s->stack, w.sock, ESTAB_O_KEEPINTVL, ESTAB_MS(20)), 0);
    assert_int_equal(estab_setopt(s->stack, w.sock, ESTAB_O_KEEPCNT, 3), 0);
    assert_int_equal(estab_setopt(s->stack, w.sock, ESTAB_O_KEEPIDLE, ESTAB_MS(20)), 0);
    UNTIL(s, "five keepalives", s->timers[ESTAB_T_KEEPALIVE] >= 5);
    assert_int_equal(estab_ready(s->stack, w.sock) & (ESTAB_EV_ERR | ESTAB_EV_HUP), 0);
    lose_all(s, true);
    UNTIL(s, "us to give up", estab_ready(s->stack, w.sock) & ESTAB_EV_ERR);
    assert_int_equal(estab_getopt(s->stack, w.sock, ESTAB_O_ERROR, &error), 0);
    assert_int_equal(error, -ESTAB_E_TIMEOUT);
    lose_all(s, false);
    wire_close(s, &w);
    s->passed = true;
}

/* ---- peers that do not read ---- */

/* Their window is shut, opens, and no probe was needed to learn it. */
static void the_kernel_does_not_read(void **state)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open("shut_1", &place, &c);
    struct wire w = wire_open_narrow(s, false, NARROW);
    struct flow to_them = flow_to(arrived, SOME);

    (void)state;
    to_them.deaf = true;
    FLOW_UNTIL(s, &w, &to_them, NULL, "their window to be shut",
               info_of(s, &w).snd_wnd == 0 && info_of(s, &w).flight == 0);
    to_them.deaf = false;
    FLOW_UNTIL(s, &w, &to_them, NULL, "all to arrive", to_them.got == to_them.len);
    assert_flowed(&to_them);
    wire_close(s, &w);
    assert_clean(s);
    s->passed = true;
}

static void we_do_not_read(void **state)
{
    struct estab_config c = patient_config();
    struct our_side *s = ours_open("shut_2", &place, &c);
    struct wire w = wire_open(s, true);
    struct flow to_us = flow_to(arrived, BULK / 2);
    uint64_t probes = their_counter("netstat", "TcpExt:", "TCPWinProbe");

    (void)state;
    to_us.deaf = true;
    FLOW_UNTIL(s, &w, NULL, &to_us, "our window to be shut", info_of(s, &w).rcv_wnd == 0);
    to_us.deaf = false;
    FLOW_UNTIL(s, &w, NULL, &to_us, "all to arrive", to_us.got == to_us.len);
    assert_flowed(&to_us);
    assert_int_equal(their_counter("netstat", "TcpExt:", "TCPWinProbe"), probes);
    wire_close(s, &w);
    assert_clean(s);
    s->passed = true;
}

/* RFC 9293 section 3.8.6.1 [MUST-37]: as long as probes are answered, nobody gives up. */
static void the_kernel_is_probed(void **state)
{
    struct our_side *s = begin_hasty("probed_1");
    struct wire w = wire_open_narrow(s, true, NARROW);
    struct flow to_them = flow_to(arrived, SOME);
    uint64_t error;

    (void)state;
    to_them.deaf = true;
    FLOW_UNTIL(s, &w, &to_them, NULL, "more probes than it would send again",
               rule_seen(s, "zero-window-probe") >= 6);
    assert_int_equal(estab_getopt(s->stack, w.sock, ESTAB_O_ERROR, &error), 0);
    assert_int_equal(error, 0);
    to_them.deaf = false;
    FLOW_UNTIL(s, &w, &to_them, NULL, "all to arrive", to_them.got == to_them.len);
    assert_flowed(&to_them);
    wire_close(s, &w);
    s->passed = true;
}

static void we_are_probed(void **state)
{
    struct our_side *s = begin_hasty("probed_2");
    struct wire w = wire_open(s, false);
    struct flow to_us = flow_to(arrived, BULK / 2);
    uint64_t probes = their_counter("netstat", "TcpExt:", "TCPWinProbe");

    (void)state;
    to_us.deaf = true;
    FLOW_UNTIL(s, &w, NULL, &to_us, "two probes",
               their_counter("netstat", "TcpExt:", "TCPWinProbe") >= probes + 2);
    to_us.deaf = false;
    FLOW_UNTIL(s, &w, NULL, &to_us, "all to arrive", to_us.got == to_us.len);
    assert_flowed(&to_us);
    wire_close(s, &w);
    s->passed = true;
}

/* With a probe out, and no window, our ACKs must still be acceptable to the kernel, or it sends
 * everything again; a segment or two it does when this process has had to wait. */
static void the_kernel_sends_and_does_not_read(void **state)
{
    struct our_side *s = begin_hasty("probed_3");
    struct wire w = wire_open_narrow(s, true, NARROW);
    struct flow to_them = flow_to(arrived, SOME), to_us = flow_to(arrived + SOME, SOME);
    uint64_t again;

    (void)state;
    to_them.deaf = true;
    FLOW_UNTIL(s, &w, &to_them, NULL, "a probe", rule_seen(s, "zero-window-probe") >= 1);
    again = their_counter("snmp", "Tcp:", "RetransSegs");
    FLOW_UNTIL(s, &w, &to_them, &to_us, "all of theirs to arrive", to_us.got == to_us.len);
    assert_flowed(&to_us);
    assert_in_range(their_counter("snmp", "Tcp:", "RetransSegs") - again, 0, 3);
    to_them.deaf = false;
    FLOW_UNTIL(s, &w, &to_them, NULL, "all of ours to arrive", to_them.got == to_them.len);
    assert_flowed(&to_them);
    wire_close(s, &w);
    s->passed = true;
}

int run_losses(void)
{
    static const struct CMUnitTest scenarios[] = {
        SCENARIO(any_one_segment_of_a_connection_of_theirs),
        SCENARIO(any_one_segment_of_a_connection_of_ours),
        SCENARIO(one_segment_in_a_hundred_of_ours),
        SCENARIO(one_segment_in_a_hundred_of_theirs),
        SCENARIO(an_outage),
        SCENARIO(silence_both_ways),
        SCENARIO(the_kernels_address_goes),
        SCENARIO(the_kernels_route_goes),
        SCENARIO(we_connect_to_silence),
        SCENARIO(the_kernel_connects_to_silence),
        SCENARIO(keepalives),
        SCENARIO(the_kernel_does_not_read),
        SCENARIO(we_do_not_read),
        SCENARIO(the_kernel_is_probed),
        SCENARIO(we_are_probed),
        SCENARIO(the_kernel_sends_and_does_not_read),
    };

    return cmocka_run_group_tests_name("losses", scenarios, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* endings.c - connections that begin or end otherwise: at the same time, not at all, by a reset,
 * once more in TIME-WAIT. */
#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static struct our_side *begin_patient(const char *scenario)
{
    struct estab_config c = patient_config();

    return ours_open(scenario, &place, &c);
}

static bool their_fd_is(int fd, short event)
{
    struct pollfd p = {.fd = fd, .events = event};

    return poll(&p, 1, 0) == 1;
}

static bool they_are_in(int fd, uint8_t state)
{
    struct tcp_info i;

    their_info(fd, &i);
    return i.tcpi_state == state;
}

static bool we_are_in(const struct our_side *s, estab_sock k, enum estab_tcp_state state)
{
    struct estab_tcp_info i = {.size = sizeof i};

    return estab_tcp_info(s->stack, k, &i) == 0 && i.state == state;
}

static void we_say(struct our_side *s, const struct wire *w, const char *text)
{
    struct estab_iov v = {(void *)(uintptr_t)text, strlen(text)};

    assert_int_equal(estab_send(s->stack, w->sock, &v, 1, 0), v.len);
    estab_loop_flush(s->loop);
}

static void they_say(const struct wire *w, const char *text)
{
    assert_int_equal(send(w->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* ---- both at once ---- */

/* The kernel's FIN lies in the device's queue while ours leaves. */
static void simultaneous_close(const char *scenario, bool they_open)
{
    struct our_side *s = begin_patient(scenario);
    struct wire w = wire_open(s, they_open);
    uint32_t before, after, others;

    their_table(&before, &others);
    assert_int_equal(shutdown(w.fd, SHUT_WR), 0);
    assert_int_equal(estab_shutdown(s->stack, w.sock, ESTAB_SHUT_WR), 0);
    UNTIL(s, "both FINs to be acknowledged", we_are_in(s, w.sock, ESTAB_TIME_WAIT));
    assert_int_equal(our_next(s, &w, &(char){0}, 1), 0);
    assert_int_equal(read(w.fd, &(char){0}, 1), 0);
    wire_close(s, &w);
    assert_int_equal(s->edges[ESTAB_FIN_WAIT_1][ESTAB_CLOSING], 1);
    assert_int_equal(s->edges[ESTAB_CLOSING][ESTAB_TIME_WAIT], 1);
    assert_int_equal(s->edges[ESTAB_TIME_WAIT][ESTAB_CLOSED], 1);
    their_table(&after, &others);
    assert_int_equal(after, before + 1);
    assert_clean(s);
    s->passed = true;
}

static void simultaneous_close_of_theirs(void **state)
{
    (void)state;
    simultaneous_close("simultaneous_close_1", true);
}

static void simultaneous_close_of_ours(void **state)
{
    (void)state;
    simultaneous_close("simultaneous_close_2", false);
}

/* RFC 9293 figure 8: the kernel's SYN lies in the device's queue while ours leaves. */
static void simultaneous_open(void **state)
{
    struct our_side *s = begin_patient("simultaneous_open");
    uint16_t ours = new_port(), their = new_port();
    struct estab_addr local = our_addr(s->at->our_ip, ours),
                      peer = our_addr(s->at->their_ip, their);
    struct sockaddr_storage to;
    struct wire w;
    char text[8];

    (void)state;
    their_addr(&to, s->at->our_ip, ours);
    w.fd = their_connect(&to, their, 0);
    assert_true(w.fd >= 0);
    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &w.sock), 0);
    assert_int_equal(estab_bind(s->stack, w.sock, &local), 0);
    assert_int_equal(estab_connect(s->stack, w.sock, &peer), ESTAB_E_INPROGRESS);
    UNTIL(s, "both SYNs to be acknowledged",
          we_are_in(s, w.sock, ESTAB_ESTABLISHED) && they_are_in(w.fd, TCP_ESTABLISHED));
    assert_int_equal(s->edges[ESTAB_SYN_SENT][ESTAB_SYN_RECEIVED], 1);
    assert_int_equal(s->edges[ESTAB_SYN_RECEIVED][ESTAB_ESTABLISHED], 1);
    assert_int_equal(rule_seen(s, "simultaneous-open"), 1);
    we_say(s, &w, "hello");
    they_say(&w, "HELLO");
    UNTIL(s, "our text", their_fd_is(w.fd, POLLIN));
    assert_int_equal(read(w.fd, text, sizeof text), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(our_next(s, &w, text, sizeof text), 5);
    assert_memory_equal(text, "HELLO", 5);
    wire_close(s, &w);
    s->passed = true;
}

/* ---- refused ---- */

static void refused_by_the_kernel(void **state)
{
    struct our_side *s = begin_patient("refused_1");
    struct estab_addr nobody = our_addr(s->at->their_ip, new_port());
    struct wire w = {.fd = -1};
    uint64_t error;

    (void)state;
    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &w.sock), 0);
    assert_int_equal(estab_connect(s->stack, w.sock, &nobody), ESTAB_E_INPROGRESS);
    UNTIL(s, "the kernel's refusal", estab_ready(s->stack, w.sock) & ESTAB_EV_ERR);
    assert_int_equal(estab_getopt(s->stack, w.sock, ESTAB_O_ERROR, &error), 0);
    assert_int_equal(error, -ESTAB_E_REFUSED);
    assert_int_equal(s->edges[ESTAB_SYN_SENT][ESTAB_CLOSED], 1);
    assert_int_equal(s->timers[ESTAB_T_REXMT], 0);
    wire_close(s, &w);
    s->passed = true;
}

static void refused_by_us(void **state)
{
    struct our_side *s = begin_patient("refused_2");
    struct sockaddr_storage nobody;
    int fd;

    (void)state;
    their_addr(&nobody, s->at->our_ip, new_port());
    fd = their_connect(&nobody, 0, 0);
    assert_true(fd >= 0);
    UNTIL(s, "our refusal", their_fd_is(fd, POLLOUT));
    assert_int_equal(their_error(fd), ECONNREFUSED);
    close(fd);
    ours_settle(s);
    assert_int_equal(rule_seen(s, "closed-answer"), 1);
    s->passed = true;
}

/* ---- a kernel that knows our address from earlier, while we have to ask for its ---- */

static struct our_side *begin_known(const char *scenario)
{
    struct our_side *s = begin_patient(scenario);
    const uint8_t *mac = s->gate->link.caps.mac;

    run("ip neigh replace %s lladdr %02x:%02x:%02x:%02x:%02x:%02x nud permanent dev %s",
        s->at->our_ip, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], s->at->device);
    return s;
}

/* RFC 1122 section 2.3.2.2: what waits for the address is sent when it is known, not lost. */
static void a_kernel_that_knows_us_connects(void **state)
{
    struct our_side *s;
    struct wire w;

    (void)state;
    if (place.medium != ESTAB_MEDIUM_ETHERNET)
        skip();
    s = begin_known("known_1");
    w = wire_open(s, true);
    wire_close(s, &w);
    assert_clean(s);
    s->passed = true;
}

static void a_kernel_that_knows_us_is_refused(void **state)
{
    struct sockaddr_storage nobody;
    struct our_side *s;
    int fd;

    (void)state;
    if (place.medium != ESTAB_MEDIUM_ETHERNET)
        skip();
    s = begin_known("known_2");
    their_addr(&nobody, s->at->our_ip, new_port());
    fd = their_connect(&nobody, 0, 0);
    assert_true(fd >= 0);
    UNTIL(s, "our refusal", their_fd_is(fd, POLLOUT));
    assert_int_equal(their_error(fd), ECONNREFUSED);
    close(fd);
    ours_settle(s);
    assert_int_equal(rule_seen(s, "closed-answer"), 1);
    assert_int_equal(their_counter("snmp", "Tcp:", "RetransSegs"), s->their_retrans);
    s->passed = true;
}

/* ---- reset ---- */

static void assert_we_were_reset(struct our_side *s, struct wire *w)
{
    UNTIL(s, "their RST", estab_ready(s->stack, w->sock) & ESTAB_EV_ERR);
    assert_true(estab_ready(s->stack, w->sock) & ESTAB_EV_HUP);
    assert_int_equal(our_next(s, w, &(char){0}, 1), ESTAB_E_RESET);
    assert_int_equal(s->edges[ESTAB_ESTABLISHED][ESTAB_CLOSED], 1);
    assert_int_equal(rule_seen(s, "rst-accepted"), 1);
    wire_close(s, w);
    s->passed = true;
}

static void the_kernel_resets(void **state)
{
    struct our_side *s = begin_patient("reset_1");
    struct wire w = wire_open(s, true);

    (void)state;
    their_reset(w.fd);
    w.fd = -1;
    assert_we_were_reset(s, &w);
}

static void the_kernel_closes_without_reading(void **state)
{
    struct our_side *s = begin_patient("reset_2");
    struct wire w = wire_open(s, false);

    (void)state;
    we_say(s, &w, "hello");
    UNTIL(s, "our text", their_fd_is(w.fd, POLLIN));
    close(w.fd);
    w.fd = -1;
    assert_we_were_reset(s, &w);
}

static void assert_they_were_reset(struct our_side *s, struct wire *w)
{
    UNTIL(s, "our RST", their_fd_is(w->fd, POLLIN));
    assert_int_equal(read(w->fd, &(char){0}, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(s->edges[ESTAB_ESTABLISHED][ESTAB_CLOSED], 1);
    wire_close(s, w);
    s->passed = true;
}

static void we_abort(void **state)
{
    struct our_side *s = begin_patient("reset_3");
    struct wire w = wire_open(s, false);

    (void)state;
    assert_int_equal(estab_abort(s->stack, w.sock), 0);
    w.sock = 0;
    assert_int_equal(rule_seen(s, "abort"), 1);
    assert_they_were_reset(s, &w);
}

static void we_close_without_reading(void **state)
{
    struct our_side *s = begin_patient("reset_4");
    struct wire w = wire_open(s, true);

    (void)state;
    they_say(&w, "hello");
    UNTIL(s, "their text", estab_ready(s->stack, w.sock) & ESTAB_EV_IN);
    assert_int_equal(estab_close(s->stack, w.sock), 0);
    w.sock = 0;
    assert_int_equal(rule_seen(s, "close-unread"), 1);
    assert_they_were_reset(s, &w);
}

/* RFC 9293 section 3.10.7.4: text for one who has closed. */
static void the_kernel_sends_to_one_who_has_closed(void **state)
{
    struct our_side *s = begin_patient("reset_5");
    struct wire w = wire_open(s, true);

    (void)state;
    assert_int_equal(estab_close(s->stack, w.sock), 0);
    w.sock = 0;
    UNTIL(s, "our FIN", they_are_in(w.fd, TCP_CLOSE_WAIT));
    they_say(&w, "hello");
    UNTIL(s, "our RST", their_fd_is(w.fd, POLLERR));
    assert_int_equal(their_error(w.fd), EPIPE);
    assert_int_equal(rule_seen(s, "text-after-close"), 1);
    wire_close(s, &w);
    s->passed = true;
}

/* ---- TIME-WAIT, and the same ports again ---- */

static void exchange_words(struct our_side *s, const struct wire *w)
{
    char text[8];

    we_say(s, w, "again");
    they_say(w, "AGAIN");
    UNTIL(s, "our text", their_fd_is(w->fd, POLLIN));
    assert_int_equal(read(w->fd, text, sizeof text), 5);
    assert_memory_equal(text, "again", 5);
    assert_int_equal(our_next(s, w, text, sizeof text), 5);
    assert_memory_equal(text, "AGAIN", 5);
}

static void close_first_by_us(struct our_side *s, const struct wire *w)
{
    assert_int_equal(estab_close(s->stack, w->sock), 0);
    UNTIL(s, "our FIN", their_fd_is(w->fd, POLLIN));
    close(w->fd);
    UNTIL(s, "their FIN", entered(s, ESTAB_TIME_WAIT) == 1);
}

static void close_first_by_them(struct our_side *s, const struct wire *w)
{
    close(w->fd);
    assert_int_equal(our_next(s, w, &(char){0}, 1), 0);
    assert_int_equal(estab_close(s->stack, w->sock), 0);
    UNTIL(s, "the ACK of our FIN", s->edges[ESTAB_LAST_ACK][ESTAB_CLOSED] == 1);
}

/* RFC 6191: our TIME-WAIT gives way to a SYN that is provably newer. */
static void the_kernel_comes_again_in_our_time_wait(void **state)
{
    struct estab_config c = patient_config();
    uint16_t own = new_port();
    struct sockaddr_storage to;
    struct our_side *s;
    struct wire w;

    (void)state;
    c.msl = ESTAB_S(30);
    s = ours_open("again_1", &place, &c);
    ours_listen(s, new_port());
    their_addr(&to, s->at->our_ip, (uint16_t)(own + 1));
    for (int i = 0; i < 2; i++) {
        w.fd = their_connect(&to, own, 0);
        assert_true(w.fd >= 0);
        UNTIL(s, "their connection", estab_accept(s->stack, s->listener, &w.sock, NULL) == 0);
        exchange_words(s, &w);
        if (i == 0)
            close_first_by_us(s, &w);
        else
            close_first_by_them(s, &w);
    }
    ours_settle(s);
    assert_int_equal(rule_seen(s, "time-wait-syn"), 1);
    assert_int_equal(s->edges[ESTAB_TIME_WAIT][ESTAB_CLOSED], 1);
    assert_clean(s);
    s->passed = true;
}

static void we_come_again_in_the_kernels_time_wait(void **state)
{
    struct our_side *s = begin_patient("again_2");
    uint16_t port = new_port();
    struct estab_addr local = our_addr(s->at->our_ip, port), peer = our_addr(s->at->their_ip, port);
    int listener = their_listen(s->at->their_ip, port, 0);
    uint32_t before, after, others;
    struct wire w;

    (void)state;
    their_table(&before, &others);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &w.sock), 0);
        assert_int_equal(estab_bind(s->stack, w.sock, &local), 0);
        assert_int_equal(estab_connect(s->stack, w.sock, &peer), ESTAB_E_INPROGRESS);
        UNTIL(s, "the kernel to accept",
              (w.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
        exchange_words(s, &w);
        if (i == 0)
            close_first_by_them(s, &w);
        else
            close_first_by_us(s, &w);
    }
    close(listener);
    ours_settle(s);
    their_table(&after, &others);
    assert_int_equal(after, before);
    assert_clean(s);
    s->passed = true;
}

int run_endings(void)
{
    static const struct CMUnitTest scenarios[] = {
        SCENARIO(simultaneous_close_of_theirs),
        SCENARIO(simultaneous_close_of_ours),
        SCENARIO(simultaneous_open),
        SCENARIO(refused_by_the_kernel),
        SCENARIO(refused_by_us),
        SCENARIO(a_kernel_that_knows_us_connects),
        SCENARIO(a_kernel_that_knows_us_is_refused),
        SCENARIO(the_kernel_resets),
        SCENARIO(the_kernel_closes_without_reading),
        SCENARIO(we_abort),
        SCENARIO(we_close_without_reading),
        SCENARIO(the_kernel_sends_to_one_who_has_closed),
        SCENARIO(the_kernel_comes_again_in_our_time_wait),
        SCENARIO(we_come_again_in_the_kernels_time_wait),
    };

    return cmocka_run_group_tests_name("endings", scenarios, NULL, NULL);
}

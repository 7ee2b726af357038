/* SPDX-License-Identifier: BSD-2-Clause */
/* linux_words_test.c - what POSIX and Linux call things that the stack has other words for. */
#include "link_kit.h"

#include <errno.h>
#include <netinet/tcp.h>

static void every_error_has_its_errno(void **state)
{
    static const struct {
        int err, errno_value;
    } pairs[] = {
        {ESTAB_OK, 0},
        {ESTAB_E_AGAIN, EAGAIN},
        {ESTAB_E_BADF, EBADF},
        {ESTAB_E_INVAL, EINVAL},
        {ESTAB_E_NOMEM, ENOMEM},
        {ESTAB_E_INUSE, EADDRINUSE},
        {ESTAB_E_NOTCONN, ENOTCONN},
        {ESTAB_E_ISCONN, EISCONN},
        {ESTAB_E_REFUSED, ECONNREFUSED},
        {ESTAB_E_RESET, ECONNRESET},
        {ESTAB_E_TIMEOUT, ETIMEDOUT},
        {ESTAB_E_UNREACH, EHOSTUNREACH},
        {ESTAB_E_PIPE, EPIPE},
        {ESTAB_E_INPROGRESS, EINPROGRESS},
        {ESTAB_E_ADDRNOTAVAIL, EADDRNOTAVAIL},
        {ESTAB_E_MSGSIZE, EMSGSIZE},
        {ESTAB_E_NOTSUP, EOPNOTSUPP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(estab_errno(pairs[i].err), pairs[i].errno_value);
    assert_int_equal(estab_errno(-1000), EIO);
}

/* The C library's struct is the beginning of the kernel's. */
static void a_connection_in_linux_layout(void **state)
{
    const struct estab_tcp_info i = {
        .size = sizeof i,
        .state = ESTAB_CLOSE_WAIT,
        .rto = ESTAB_MS(210),
        .srtt = ESTAB_US(10500),
        .snd_mss = 1000,
        .rcv_mss = 1460,
        .pmtu = 1500,
        .flight = 2001,
        .cwnd = 9999,
        .ssthresh = UINT32_MAX,
        .sack_ok = true,
        .snd_wscale = 7,
        .rcv_wscale = 6,
        .retrans = 3,
    };
    struct tcp_info o;

    (void)state;
    assert_int_equal(estab_linux_tcp_info(&i, &o, sizeof o), sizeof o);
    assert_int_equal(o.tcpi_state, TCP_CLOSE_WAIT);
    assert_int_equal(o.tcpi_options, TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    assert_int_equal(o.tcpi_snd_wscale, 7);
    assert_int_equal(o.tcpi_rcv_wscale, 6);
    assert_int_equal(o.tcpi_rto, 210000);
    assert_int_equal(o.tcpi_rtt, 10500);
    assert_int_equal(o.tcpi_snd_mss, 1000);
    assert_int_equal(o.tcpi_rcv_mss, 1460);
    assert_int_equal(o.tcpi_pmtu, 1500);
    assert_int_equal(o.tcpi_unacked, 3); /* segments, the last one short */
    assert_int_equal(o.tcpi_snd_cwnd, 9);
    assert_int_equal(o.tcpi_snd_ssthresh, 0x7fffffff); /* none yet */
    assert_int_equal(o.tcpi_total_retrans, 3);
}

static void every_state_has_linux_number(void **state)
{
    static const uint8_t number[ESTAB_TCP_STATES] = {
        [ESTAB_CLOSED] = TCP_CLOSE,
        [ESTAB_LISTEN] = TCP_LISTEN,
        [ESTAB_SYN_SENT] = TCP_SYN_SENT,
        [ESTAB_SYN_RECEIVED] = TCP_SYN_RECV,
        [ESTAB_ESTABLISHED] = TCP_ESTABLISHED,
        [ESTAB_FIN_WAIT_1] = TCP_FIN_WAIT1,
        [ESTAB_FIN_WAIT_2] = TCP_FIN_WAIT2,
        [ESTAB_CLOSE_WAIT] = TCP_CLOSE_WAIT,
        [ESTAB_CLOSING] = TCP_CLOSING,
        [ESTAB_LAST_ACK] = TCP_LAST_ACK,
        [ESTAB_TIME_WAIT] = TCP_TIME_WAIT,
    };
    struct tcp_info o;

    (void)state;
    for (int st = 0; st < ESTAB_TCP_STATES; st++) {
        const struct estab_tcp_info i = {.size = sizeof i, .state = (enum estab_tcp_state)st};

        assert_int_equal(estab_linux_tcp_info(&i, &o, sizeof o), sizeof o);
        assert_int_equal(o.tcpi_state, number[st]);
    }
}

/* Of a listener: how many wait for accept(), and how many may. */
static void a_listener_tells_its_queue(void **state)
{
    const struct estab_tcp_info i = {
        .size = sizeof i, .state = ESTAB_LISTEN, .acceptq = 3, .backlog = 128};
    struct tcp_info o;

    (void)state;
    (void)estab_linux_tcp_info(&i, &o, sizeof o);
    assert_int_equal(o.tcpi_unacked, 3);
    assert_int_equal(o.tcpi_sacked, 128);
}

/* As much as there is room for, and as much as Linux 6.18 has. */
static void tcp_info_is_cut_to_the_room(void **state)
{
    const struct estab_tcp_info i = {.size = sizeof i, .state = ESTAB_ESTABLISHED, .rto = 1000};
    uint8_t o[300];

    (void)state;
    memset(o, 0xaa, sizeof o);
    assert_int_equal(estab_linux_tcp_info(&i, o, 1), 1);
    assert_int_equal(o[0], TCP_ESTABLISHED);
    assert_int_equal(o[1], 0xaa);
    assert_int_equal(estab_linux_tcp_info(&i, o, sizeof o), 280);
    assert_int_equal(o[280], 0xaa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_errno),
        cmocka_unit_test(a_connection_in_linux_layout),
        cmocka_unit_test(every_state_has_linux_number),
        cmocka_unit_test(a_listener_tells_its_queue),
        cmocka_unit_test(tcp_info_is_cut_to_the_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

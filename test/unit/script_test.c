/* SPDX-License-Identifier: BSD-2-Clause */
/* script_test.c - the language of packet scripts: what is understood, what is refused with which
 * words, and that a runner of tests fails where it should. */
#include <estab/script.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A connection, open, with descriptor 4. */
#define OPEN                                                                                       \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"                                                \
    "+0 bind(3, ..., ...) = 0\n"                                                                   \
    "+0 listen(3, 1) = 0\n"                                                                        \
    "+0 < S 0:0(0) win 65535 <mss 1000>\n"                                                         \
    "+0 > S. 0:0(0) ack 1 <mss 1460>\n"                                                            \
    "+.1 < . 1:1(0) ack 1 win 65535\n"                                                             \
    "+0 accept(3, ..., ...) = 4\n"
#define OPEN_LINES   7
#define SOCKET_LATER "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
#define SOCKET       "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"

static enum estab_script_verdict run_with(const char *text, const struct estab_script_options *opt,
                                          struct estab_script_result *r)
{
    char path[] = "/tmp/estab-script-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    estab_script_run(path, opt, r);
    unlink(path);
    return r->verdict;
}

struct sample {
    const char *text;
    int line;         /* 0: it passes */
    const char *says; /* part of the message */
};

static void run_samples(const struct sample *s, size_t n, enum estab_script_verdict bad)
{
    struct estab_script_result r;

    for (size_t i = 0; i < n; i++) {
        enum estab_script_verdict wanted = s[i].line ? bad : ESTAB_SCRIPT_PASSED;

        run_with(s[i].text, NULL, &r);
        if (r.verdict != wanted || r.line != s[i].line || (s[i].says && !strstr(r.text, s[i].says)))
            fail_msg("%s\nsays: %s", s[i].text, r.text);
    }
}
#define RUN(samples, bad) run_samples(samples, sizeof(samples) / sizeof *(samples), bad)

static void what_is_written_is_understood(void **state)
{
    static const struct sample samples[] = {
        {SOCKET, 0, NULL},
        {"// a comment\n/* and * another */ --mtu=1400\n# and one "
         "more\n--tolerance_usecs=10000\n" SOCKET,
         0, NULL},
        {"--define=FD=3\n-D TYPE=SOCK_STREAM\n0 socket(AF_INET, TYPE|SOCK_NONBLOCK, 0) = FD\n"
         "+0 fcntl(FD, F_GETFL) = O_RDWR|O_NONBLOCK (flags O_RDWR|O_NONBLOCK)\n",
         0, NULL},
        /* times */
        {SOCKET "0.5 close(3) = 0\n", 0, NULL},
        {SOCKET "0.5~0.6 close(3) = 0\n", 0, NULL},
        {SOCKET "+.5~+.6 close(3) = 0\n", 0, NULL},
        {SOCKET "* close(3) = 0\n", 0, NULL},
        {SOCKET "+10000 close(3) = 0\n10000.5 socket(..., SOCK_STREAM, 0) = 4\n", 0, NULL},
        {SOCKET "+* close(3) = 0\n", 0, NULL},
        {SOCKET
         "+0 listen(3, 1) = 0\n+0...0.2 poll([{fd=3, events=POLLIN, revents=0}], 1, 200) = ...\n",
         0, NULL},
        {OPEN "0.2...0.3 read(4, ..., 10) = 5\n0.3 < P. 1:6(5) ack 1 win 9\n* > . 1:1(0) ack 6\n",
         0, NULL},
        {OPEN "+1 write(4, ..., 5) = 5\n1.1~1.2 > P. 1:6(5) ack 1\n", 0, NULL},
        {OPEN "+.25 write(4, ..., 5) = 5\n+0~+.1 > P. 1:6(5) ack 1\n", 0, NULL},
        /* packets */
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > [noecn] P. 1:6(5) ack 1\n", 0, NULL},
        {OPEN "+0 < [ect0] P. 1:6(5) ack 1 win 9\n+0 > (ttl 64) . 1:1(0) ack 6\n", 0, NULL},
        {OPEN "+0 < [tos 0x10] P. 1 : 6 (5) ack 1 win 9\n+0 > [tos 0x0] . 1:1(0) ack 6\n", 0, NULL},
        {OPEN "+0 < 7. 1:1(0) ack 1 win 9\n+0 < SEWA 1:1(0) win 9\n+0 > . 1:1(0) ack 1\n", 0, NULL},
        {OPEN "+0 < P. 1:6(5) ack 1\n  win 9 urg 0\n  <nop,\n   nop> +0 > . 1:1(0) ack 6\n", 0,
         NULL},
        {OPEN "+0 < . 1:1(0) ack 1 win 9 <FO 00112233445566, FOEXP 0x0011,md5 "
              "00112233445566778899aabbccddeeff>\n",
         0, NULL},
        {OPEN "+0 < . 1:1(0) ack 1 win 9 <ECN e1b 1 ceb 2 e0b 3,nop,sack 1:2 3:4>\n", 0, NULL},
        {SOCKET "+0 < 1000 > 2000 S 0:0(0) win 9\n+0 > 2000 > 1000 R. 0:0(0) ack 1\n", 0, NULL},
        {OPEN "+0 < icmp unreachable frag_needed mtu 1400 [1:1(0)]\n", 0, NULL},
        {OPEN "+0 < icmp time_exceeded [1:1(0)]\n* < icmp source_quench [udp (10)]\n", 0, NULL},
        {"--ip_version=ipv6\n" SOCKET "+0 < icmp unreachable addr_unreachable [0:0(0)]\n", 0, NULL},
        /* calls */
        {"0 socket(AF_INET, SOCK_STREAM, 0) = 5\n+0 bind(5, {sa_family = AF_INET, sin_port = "
         "htons(80), "
         "sin_addr = inet_addr(\"192.168.0.1\")}, 16) = 0\n",
         0, NULL},
        {OPEN "+0 write(4, \"he\\x6c\\\"o\"..., 5) = 5\n+0 > P. 1:6(5) ack 1\n", 0, NULL},
        {OPEN "+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=0, linger=0}, [8]) = 0\n", 0, NULL},
        {OPEN "+0 getsockopt(4, IPPROTO_TCP, TCP_CONGESTION, \"cubic\", [16]) = 0\n", 0, NULL},
        {OPEN "+0 getsockopt(4, IPPROTO_TCP, TCP_INFO, ..., [280]) = 0\n", 0, NULL},
        {OPEN "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n`sysctl -q net.ipv4.tcp_unheard_of=1`\n", 0,
         NULL},
        /* shell lines */
        {"`sysctl -q net.ipv4.tcp_sack=0 net.ipv4.tcp_timestamps=0; true\necho 0 > "
         "/proc/sys/net/ipv4/tcp_window_scaling`\n" SOCKET
         "+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n+0 connect(3, ..., ...) = -1 EINPROGRESS (now)\n"
         "+0 > S 0:0(0) <mss 1460>\n",
         0, NULL},
        {"`sysctl -w net.ipv4.tcp_rmem=\"4096 20000 6291456\"`\n" OPEN
         "+0 getsockopt(4, SOL_SOCKET, SO_RCVBUF, [10000], [4]) = 0\n",
         0, NULL},
        {"`sysctl net.inet.tcp.rfc1323=0`" OPEN, 0, NULL},
        {"`sysctl net.ipv4.tcp_mtu_probing=2 net.ipv4.tcp_base_mss=700 "
         "net.ipv4.ip_no_pmtu_disc=0`" OPEN "+0 %{ assert tcpi_pmtu == 740, tcpi_pmtu }%\n",
         0, NULL},
        {SOCKET "+0 `sleep 1.5`\n1.5 close(3) = 0\n", 0, NULL},
        {SOCKET "+0 `sysctl -q net.ipv4.tcp_sack=1`\n", 0, NULL}, /* as it is */
        /* code */
        {OPEN "+0 %{\nassert tcpi_state == TCP_ESTABLISHED, 'no'\n# a comment\n"
              "assert 1 < tcpi_snd_cwnd <= 10 and not (tcpi_rto & 0) ; assert max(1, 2) == 2\n}%\n",
         0, NULL},
    };

    (void)state;
    RUN(samples, ESTAB_SCRIPT_REFUSED);
}

static void what_is_wrong_is_refused_with_its_line(void **state)
{
    static const struct sample samples[] = {
        {"", 1, "the end of the script"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP)\n", 2, "expecting '='"},
        {"--colour=blue\n" SOCKET, 1, "--colour is not supported"},
        {"--mtu=99999\n" SOCKET, 1, "--mtu=99999: no such value"},
        {"--ip_version=ipv5\n" SOCKET, 1, "no such value"},
        {"--so_flags=profile=solaris\n" SOCKET, 1, "profile=solaris"},
        {"--so_flags=msl=1\n" SOCKET, 1, "written 200ms"},
        {SOCKET "+0 < SX 0:0(0) win 9\n", 2, "'X' in 'SX' is no flag"},
        {SOCKET "+0 < 7 S 0:0(0) win 9\n", 2, "unexpected flags"},
        {SOCKET "+0 < S 0:1(0) win 9\n", 2, "do not agree"},
        {SOCKET "+0 < S 0:0(0) win 9 <mess 1>\n", 2, "'mess' is no TCP option"},
        {SOCKET "+0 < S 0:0(0) win 9 <mss 65536>\n", 2, "written mss N"},
        {SOCKET "+0 < S 0:0(0) win 9 <TS val 1>\n", 2, "written TS val N ecr N"},
        {SOCKET "+0 < S 0:0(0) win 9 <...>\n", 2, "write the options"},
        {SOCKET "+0 < S 0:0(0) win 9 <sack 1:2 3:4 5:6 7:8,TS val 1 ecr 1>\n", 2, "do not fit"},
        {SOCKET "+0 < . 0:70000(70000) win 9\n", 2, "more octets than"},
        {SOCKET "+0 < icmp echo_request [raw(99999999999999999999)]\n", 2, "more octets than"},
        {SOCKET "+0 < [ect01] S 0:0(0) win 9\n", 2, "write ect0 or ect1"},
        {SOCKET "+0 < [purple] S 0:0(0) win 9\n", 2, "no mark"},
        {SOCKET "+0 < ipv4 1.2.3.4 > 5.6.7.8: S 0:0(0)\n", 2, "ipv4 are not supported"},
        {SOCKET "+0 < icmp nonsense [0:0(0)]\n", 2, "no ICMP message 'nonsense'"},
        {SOCKET "+0 frobnicate(3) = 0\n", 2, "frobnicate() is not supported"},
        {SOCKET "+0 close(3, 4) = 0\n", 2, "close() has 1 argument"},
        {SOCKET "+0 close(TREE) = 0\n", 2, "'TREE' is not known"},
        {SOCKET "+0 close(3) = -1 EWHATEVER (What)\n", 2, "no errno"},
        {"`iptables -F`\n" SOCKET, 1, "'iptables' is not run"},
        {"`sysctl -q net.ipv4.tcp_unheard_of=1`\n" SOCKET, 1,
         "estab has no setting for net.ipv4.tcp_unheard_of"},
        {"`sysctl -q net.ipv4.tcp_congestion_control=imaginary`\n" SOCKET, 1, "a stack cannot"},
        {"`sysctl -q net.ipv4.ip_no_pmtu_disc=1`\n" SOCKET, 1, "estab does not do what '1'"},
        {"`sysctl net.inet.tcp.pmtud_blackhole_detection=2`\n" SOCKET, 1,
         "estab does not do what '2'"},
        {SOCKET "+0 `sysctl -q net.ipv4.tcp_sack=0`\n", 2, "before the first socket"},
        {SOCKET "+0 %{ assert tcpi_nothing == 1 }%\n", 2, "'tcpi_nothing' is not known"},
        {SOCKET "+0 %{\n\nassert 1 +\n}%\n", 5, "unexpected"},
        {SOCKET "+0 %{ for x in y: pass }%\n", 2, "'for' is not known"},
        {SOCKET "+0 > S 0:0(0)\n", 2, "no connection"},
        {OPEN "+0...1 read(4, ..., 1) = 1\n+0...1 read(4, ..., 1) = 1\n", OPEN_LINES + 2,
         "still blocked (line 8)"},
    };

    (void)state;
    RUN(samples, ESTAB_SCRIPT_REFUSED);
}

/* The stack is right in all of these; the script is not. */
static void what_does_not_happen_fails_at_its_line(void **state)
{
    static const struct sample samples[] = {
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > . 1:6(5) ack 1\n", OPEN_LINES + 2, "wrong flags"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 2:7(5) ack 1\n", OPEN_LINES + 2,
         "sequence number 1"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:6(5) ack 2\n", OPEN_LINES + 2,
         "acknowledgment number 1 instead of 2"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:6(5) ack 1 win 7\n", OPEN_LINES + 2,
         "instead of 7"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:6(5) ack 1 urg 1\n", OPEN_LINES + 2,
         "urgent pointer"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:5(4) ack 1\n", OPEN_LINES + 2,
         "5 octets of text"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:7(6) ack 1\n", OPEN_LINES + 2, "expected"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:6(5) ack 1 <nop,nop,nop,nop>\n", OPEN_LINES + 2,
         "wrong options"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > [ce] P. 1:6(5) ack 1\n", OPEN_LINES + 2, "ECN bits 0"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > [ttl 3] P. 1:6(5) ack 1\n", OPEN_LINES + 2,
         "hop limit"},
        {OPEN "+0 write(4, ..., 5) = 5\n+.005 > P. 1:6(5) ack 1\n", OPEN_LINES + 2, "too early"},
        {OPEN "+0 write(4, ..., 5) = 5\n+0 > P. 1:6(5) ack 1\n+.2 > P. 1:6(5) ack 1\n",
         OPEN_LINES + 3, "too late"},
        {OPEN "+0 > . 1:1(0) ack 1\n", OPEN_LINES + 1, "nothing was sent"},
        {SOCKET "+0 < S 0:0(0) win 9\n+0 > R. 0:0(0) ack 1 <mss 1460>\n", 3, "options"},
        {OPEN "+0 read(4, ..., 5) = 5\n", OPEN_LINES + 1, "-1 EDEADLK"},
        {OPEN "+0...0.1 read(4, ..., 5) = 5\n+.5 < P. 1:6(5) ack 1 win 9\n", OPEN_LINES + 1,
         "read(): back too late"},
        {OPEN "+0...0.5 read(4, ..., 5) = 5\n+.1 < P. 1:6(5) ack 1 win 9\n", OPEN_LINES + 1,
         "read(): back too early"},
        {OPEN "+0...0.5 read(4, ..., 5) = 5\n", OPEN_LINES + 1,
         "still blocked when the script ends"},
        {OPEN "+0 close(4) = -1 EBADF (Bad)\n", OPEN_LINES + 1, "came:     0"},
        {OPEN "+0 close(9) = 0\n", OPEN_LINES + 1, "came:     -1 EBADF"},
        {OPEN "+0 close(9) = -1 EINVAL (No)\n", OPEN_LINES + 1, "expected: -1 EINVAL"},
        {OPEN "+0 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 0\n", OPEN_LINES + 1,
         "revents"},
        {OPEN "+0 poll([{fd=4, events=POLLIN, revents=0}], 1, 100) = 0\n", OPEN_LINES + 1,
         "too late"},
        {OPEN "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [1], [4]) = 0\n", OPEN_LINES + 1, "value"},
        {OPEN "+0 getsockopt(4, IPPROTO_TCP, TCP_INFO, ..., [281]) = 0\n", OPEN_LINES + 1,
         "length"},
        {OPEN "+0 ioctl(4, SIOCINQ, [1]) = 0\n", OPEN_LINES + 1, "value"},
        {OPEN "+0 %{\nassert True\nassert tcpi_snd_cwnd == 9, tcpi_snd_cwnd\n}%\n", OPEN_LINES + 3,
         "tcpi_snd_cwnd == 9: 10"},
        {"--tcp_ts_tick_usecs=1000\n" SOCKET
         "+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n+0 connect(3, ..., ...) = -1 EINPROGRESS (now)\n"
         "+0 > S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 8>\n"
         "+1 > S 0:0(0) <mss 1460,sackOK,TS val 900 ecr 0,nop,wscale 8>\n",
         6, "TSval 1001 instead of 900"},
    };

    (void)state;
    RUN(samples, ESTAB_SCRIPT_FAILED);
}

static void waiting_before_there_is_a_socket_ends(void **state)
{
    static const struct sample samples[] = {
        {"+0...0.005 poll([{fd=3, events=POLLIN, revents=0}], 0, 5) = 0\n" SOCKET_LATER, 0, NULL},
        {"+0 epoll_create(1) = 3\n+0...0.005 epoll_wait(3, {}, 1, 5) = 0\n", 0, NULL},
    };

    (void)state;
    RUN(samples, ESTAB_SCRIPT_FAILED);
}

/* What nests has an end, and leaves no memory behind. */
static void what_is_nested_too_deeply_is_refused(void **state)
{
    static const char *const around[][3] = {
        {"0 setsockopt(3, 0, 0, ", "[", "], 4) = 0\n"},
        {"0 write(", "f(", ")) = 0\n"},
        {"0 %{ assert ", "(", ") }%\n"},
        {"0 %{ assert ", "-", "1 }%\n"},
    };
    struct estab_script_result r;
    char text[8192];

    (void)state;
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        size_t len = (size_t)snprintf(text, sizeof text, SOCKET "%s", around[i][0]);

        while (len < sizeof text - 100)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", around[i][1]);
        snprintf(text + len, sizeof text - len, "%s", around[i][2]);
        assert_int_equal(run_with(text, NULL, &r), ESTAB_SCRIPT_REFUSED);
        assert_int_equal(r.line, 2);
        assert_non_null(strstr(r.text, "nested too deeply"));
    }
}

static void a_file_that_is_not_there_is_refused(void **state)
{
    struct estab_script_result r;

    (void)state;
    assert_int_equal(estab_script_run("/nowhere/x.pkt", NULL, &r), ESTAB_SCRIPT_REFUSED);
    assert_non_null(strstr(r.text, "/nowhere/x.pkt: No such file"));
}

static void options_of_the_caller_win(void **state)
{
    static const char *const options[] = {"--mtu=1000", "-DSIX=6"};
    struct estab_script_options opt = {.size = sizeof opt, .options = options, .noptions = 2};
    struct estab_script_result r;

    (void)state;
    run_with("--mtu=1400\n" SOCKET "+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
             "+0 connect(3, ..., ...) = -1 EINPROGRESS (now)\n"
             "+0 > S 0:0(0) <mss 960,sackOK,TS val 1 ecr 0,nop,wscale 8>\n"
             "+0 setsockopt(3, IPPROTO_TCP, TCP_KEEPCNT, [SIX], 4) = 0\n"
             "+0 getsockopt(3, IPPROTO_TCP, TCP_KEEPCNT, [6], [4]) = 0\n",
             &opt, &r);
    assert_string_equal(r.text, "");
    assert_int_equal(r.packets_out, 1);
    assert_int_equal(r.calls, 5);
}

static void count(void *ctx, const struct estab_trace *t)
{
    unsigned *n = ctx;

    n[t->kind]++;
}

static void what_happens_can_be_watched(void **state)
{
    unsigned n[16] = {0};
    struct estab_script_options opt = {.size = sizeof opt, .trace = count, .ctx = n};
    struct estab_script_result r;

    (void)state;
    assert_int_equal(run_with(OPEN, &opt, &r), ESTAB_SCRIPT_PASSED);
    assert_int_equal(n[ESTAB_TR_SEG_IN], 2);
    assert_int_equal(n[ESTAB_TR_SEG_OUT], 1);
    assert_int_equal(n[ESTAB_TR_STATE], 3);
    assert_in_range(r.lasted, ESTAB_MS(100), ESTAB_MS(101));
}

static void a_run_repeats_to_the_microsecond(void **state)
{
    struct estab_script_result a, b;

    (void)state;
    run_with(OPEN "+0...0.5 read(4, ..., 5) = 9\n+.1 < P. 1:6(5) ack 1 win 9\n", NULL, &a);
    for (int i = 0; i < 50; i++) {
        run_with(OPEN "+0...0.5 read(4, ..., 5) = 9\n+.1 < P. 1:6(5) ack 1 win 9\n", NULL, &b);
        assert_string_equal(strchr(a.text, ' '), strchr(b.text, ' ')); /* but for the file's name */
        assert_int_equal(a.lasted, b.lasted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_understood),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_line),
        cmocka_unit_test(what_does_not_happen_fails_at_its_line),
        cmocka_unit_test(waiting_before_there_is_a_socket_ends),
        cmocka_unit_test(what_is_nested_too_deeply_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_refused),
        cmocka_unit_test(options_of_the_caller_win),
        cmocka_unit_test(what_happens_can_be_watched),
        cmocka_unit_test(a_run_repeats_to_the_microsecond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

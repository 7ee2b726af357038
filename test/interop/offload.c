/* SPDX-License-Identifier: BSD-2-Clause */
/* offload.c - links with super-segments and open checksums, the kernel's sockets at the other end:
 * interop_offload LINK... as offload.sh says.  Run as root of a namespace in which it may do what
 * it likes. */
#include "link_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 4000, OCTETS = 24 << 20, PIECE = 65536 };

static struct place {
    const char *spec; /* the link */
    const char *dev;  /* the kernel's end of it */
    const char *ours, *theirs, *prefix;
    bool v6, super; /* super-segments are expected, both ways */
} at;

struct side {
    estab_stack *stack;
    estab_loop *loop;
    estab_link *link;
    estab_sock sock;
    int fd;
};

static void run(const char *fmt, const char *a, const char *b, const char *c)
{
    char command[256];

    snprintf(command, sizeof command, fmt, a, b, c); /* NOLINT: the formats are below */
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

static socklen_t their_addr(struct sockaddr_storage *ss, const char *ip)
{
    struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ss;
    struct sockaddr_in *a4 = (struct sockaddr_in *)ss;

    memset(ss, 0, sizeof *ss);
    if (at.v6) {
        a6->sin6_family = AF_INET6;
        a6->sin6_port = htons(PORT);
        inet_pton(AF_INET6, ip, &a6->sin6_addr);
        return sizeof *a6;
    }
    a4->sin_family = AF_INET;
    a4->sin_port = htons(PORT);
    inet_pton(AF_INET, ip, &a4->sin_addr);
    return sizeof *a4;
}

static struct estab_addr our_addr(const char *ip)
{
    struct estab_addr a;

    assert_int_equal(estab_addr_parse(&a, ip, NULL), 0);
    a.port = PORT;
    return a;
}

static void turn(struct side *s)
{
    char err[ESTAB_ERRLEN];

    if (estab_loop_turn(s->loop, ESTAB_MS(1), err) == -1)
        fail_msg("%s", err);
}

static void open_side(struct side *s, const char *spec)
{
    struct estab_config cfg;
    struct estab_env env;
    char err[ESTAB_ERRLEN], text[64];
    uint8_t ip[16], len;
    int port;

    memset(s, 0, sizeof *s);
    s->fd = -1;
    estab_host_env(&env);
    estab_config_init(&cfg);
    cfg.sndbuf = cfg.rcvbuf = 1 << 20;
    assert_int_equal(estab_stack_new(&s->stack, &env, &cfg), 0);
    if (estab_link_open(&s->link, spec, err) || estab_loop_new(&s->loop, s->stack, err))
        fail_msg("%s", err);
    port = estab_loop_attach(s->loop, s->link, err);
    if (port < 0)
        fail_msg("%s", err);
    snprintf(text, sizeof text, "%s/%s", at.ours, at.prefix);
    assert_int_equal(estab_prefix_parse(ip, &len, text), 0);
    assert_int_equal(estab_addr_add(s->stack, port, ip, len), 0);
    if (at.v6)
        run("ip addr replace %s/%s dev %s nodad", at.theirs, at.prefix, at.dev);
    else
        run("ip addr replace %s/%s dev %s", at.theirs, at.prefix, at.dev);
    run("ip link set %s txqueuelen 10000 up%s%s", at.dev, "", "");
}

static void close_side(struct side *s)
{
    if (s->fd >= 0)
        close(s->fd);
    estab_loop_free(s->loop);
    estab_stack_free(s->stack);
}

/* We connect, they listen. */
static void meet(struct side *s)
{
    int l = socket(at.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct estab_addr peer = our_addr(at.theirs);
    struct sockaddr_storage ss;
    socklen_t len = their_addr(&ss, at.theirs);
    int tries = 0;

    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    while (bind(l, (struct sockaddr *)&ss, len) && ++tries < 500)
        usleep(10000); /* an IPv6 address is tentative for a while */
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &s->sock), 0);
    assert_int_equal(estab_connect(s->stack, s->sock, &peer), ESTAB_E_INPROGRESS);
    while (s->fd < 0) {
        turn(s);
        s->fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    }
    close(l);
}

static uint8_t octet_at(uint32_t i)
{
    return (uint8_t)((i * 2654435761u) >> 24);
}

static void fill(uint8_t *buf, uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        buf[i] = octet_at(from + i);
}

static void check(const uint8_t *buf, uint32_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (buf[i] != octet_at(from + (uint32_t)i))
            fail_msg("octet %zu is another one", from + i);
}

/* Each way at the same time, or one. */
static void exchange(struct side *s, uint32_t out, uint32_t in)
{
    static uint8_t buf[PIECE];
    uint32_t sent = 0, got = 0, they_sent = 0, they_got = 0, n;
    struct estab_iov v = {.base = buf};
    ptrdiff_t k;

    while (got < in || they_got < out) {
        while (sent < out) {
            n = out - sent < PIECE ? out - sent : PIECE;
            fill(buf, sent, n);
            v.len = n;
            k = estab_send(s->stack, s->sock, &v, 1, 0);
            if (k == ESTAB_E_AGAIN)
                break;
            assert_true(k > 0);
            sent += (uint32_t)k;
        }
        while (they_sent < in) {
            n = in - they_sent < PIECE ? in - they_sent : PIECE;
            fill(buf, they_sent, n);
            k = write(s->fd, buf, n);
            if (k < 0)
                break;
            they_sent += (uint32_t)k;
        }
        turn(s);
        v.len = PIECE;
        while ((k = estab_recv(s->stack, s->sock, &v, 1, 0)) > 0) {
            check(buf, got, (size_t)k);
            got += (uint32_t)k;
        }
        assert_int_equal(k, ESTAB_E_AGAIN);
        while ((k = read(s->fd, buf, PIECE)) > 0) {
            check(buf, they_got, (size_t)k);
            they_got += (uint32_t)k;
        }
        assert_true(k < 0 && errno == EAGAIN);
    }
}

static void every_octet_arrives_out(void **state)
{
    struct side s;

    (void)state;
    open_side(&s, at.spec);
    meet(&s);
    exchange(&s, OCTETS, 0);
    if (at.super)
        assert_true(s.link->frames_out < OCTETS / 8192);
    assert_int_equal(s.link->lost_out, 0);
    close_side(&s);
}

static void every_octet_arrives_in(void **state)
{
    struct estab_stack_info i = {.size = sizeof i};
    struct side s;

    (void)state;
    open_side(&s, at.spec);
    meet(&s);
    exchange(&s, 0, OCTETS);
    if (at.super)
        assert_true(s.link->frames_in < OCTETS / 8192);
    assert_int_equal(s.link->lost_in, 0);
    close_side(&s);
}

/* What came into a buffer that is lent; 0: nothing. */
static uint32_t taken(const struct side *s, estab_sock lender)
{
    ptrdiff_t k = estab_recv_end(s->stack, lender);

    assert_true(k > 0 || k == ESTAB_E_AGAIN);
    return k > 0 ? (uint32_t)k : 0;
}

/* One of two connections lends a buffer, where the link may read frames to: those of both. */
static void every_octet_arrives_in_a_buffer_that_is_lent(void **state)
{
    static uint8_t lent[5 * PIECE], buf[PIECE];
    uint32_t sent[2] = {0, 0}, got[2] = {0, 0}, n;
    struct estab_iov v = {buf, PIECE};
    estab_sock lender;
    struct side s;
    int fd[2];
    ptrdiff_t k;

    (void)state;
    open_side(&s, at.spec);
    meet(&s);
    lender = s.sock;
    fd[0] = s.fd;
    s.fd = -1;
    meet(&s);
    fd[1] = s.fd;
    assert_int_equal(estab_recv_lend(s.stack, lender, lent, sizeof lent), 0);
    while (got[0] < OCTETS || got[1] < OCTETS) {
        for (int i = 0; i < 2; i++) {
            n = OCTETS - sent[i] < PIECE ? OCTETS - sent[i] : PIECE;
            fill(buf, sent[i], n);
            k = write(fd[i], buf, n);
            sent[i] += k > 0 ? (uint32_t)k : 0;
        }
        turn(&s);
        n = taken(&s, lender);
        check(lent, got[0], n);
        got[0] += n;
        assert_int_equal(estab_recv_lend(s.stack, lender, lent, sizeof lent), 0);
        while ((k = estab_recv(s.stack, s.sock, &v, 1, 0)) > 0) {
            check(buf, got[1], (size_t)k);
            got[1] += (uint32_t)k;
        }
        assert_int_equal(k, ESTAB_E_AGAIN);
    }
    assert_int_equal(s.link->lost_in, 0);
    close(fd[0]);
    close_side(&s);
}

static uint32_t unread_of(const struct side *s)
{
    struct estab_tcp_info i = {.size = sizeof i};

    assert_int_equal(estab_tcp_info(s->stack, s->sock, &i), 0);
    return i.unread;
}

static bool copies_to_places(void)
{
    return at.super && (strncmp(at.spec, "tun:", 4) == 0 || strncmp(at.spec, "tap:", 4) == 0);
}

/* A user who takes back two super-segments each turn, and lends their room again, soon has what had
 * to wait before he came, and then all at once, however much his peer writes meanwhile. */
static void a_lender_who_takes_each_turn_keeps_up(void **state)
{
    static uint8_t lent[2 * PIECE], buf[4 * PIECE];
    struct side s;

    (void)state;
    if (!copies_to_places())
        skip();
    open_side(&s, at.spec);
    meet(&s);
    while (unread_of(&s) < sizeof buf) {
        (void)!write(s.fd, buf, sizeof buf);
        turn(&s);
    }
    assert_int_equal(estab_recv_lend(s.stack, s.sock, lent, sizeof lent), 0);
    for (int turns = 0; turns < 6000; turns++) {
        while (write(s.fd, buf, sizeof buf) > 0)
            continue;
        turn(&s);
        (void)taken(&s, s.sock);
        assert_int_equal(estab_recv_lend(s.stack, s.sock, lent, sizeof lent), 0);
        assert_true(turns < 100 || unread_of(&s) == 0);
    }
    close_side(&s);
}

static void eight_small_frames(int fd)
{
    char text[100] = "";
    int one = 1;

    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(write(fd, text, sizeof text), sizeof text);
}

/* ... and one who lends little has in it at once what came in small frames, also behind large ones.
 */
static void a_small_loan_takes_many_small_frames(void **state)
{
    static uint8_t lent[PIECE], buf[PIECE];
    uint32_t got = 0;
    struct side s;

    (void)state;
    if (!copies_to_places())
        skip();
    open_side(&s, at.spec);
    meet(&s);
    exchange(&s, 0, 1 << 20);
    assert_int_equal(write(s.fd, buf, PIECE), PIECE);
    while (got < PIECE) {
        assert_int_equal(estab_recv_lend(s.stack, s.sock, lent, PIECE - got), 0);
        turn(&s);
        got += taken(&s, s.sock);
    }
    assert_int_equal(estab_recv_lend(s.stack, s.sock, lent, 8000), 0);
    eight_small_frames(s.fd);
    turn(&s);
    assert_int_equal(taken(&s, s.sock), 800);
    close_side(&s);
}

/* One who lends and does not go on holds up nobody else. */
static void a_loan_that_nobody_takes_back_ends_no_turn(void **state)
{
    static uint8_t lent[50], buf[PIECE];
    struct estab_iov v = {buf, PIECE};
    struct side s;
    estab_sock lender;
    uint32_t got = 0;
    ptrdiff_t k;
    int fd;

    (void)state;
    if (!copies_to_places())
        skip();
    open_side(&s, at.spec);
    meet(&s);
    lender = s.sock;
    fd = s.fd;
    s.fd = -1;
    meet(&s);
    assert_int_equal(estab_recv_lend(s.stack, lender, lent, sizeof lent), 0);
    exchange(&s, 0, 1 << 20);
    assert_int_equal(write(s.fd, buf, PIECE), PIECE);
    while (got < PIECE) {
        turn(&s);
        while ((k = estab_recv(s.stack, s.sock, &v, 1, 0)) > 0)
            got += (uint32_t)k;
    }
    eight_small_frames(s.fd);
    turn(&s);
    assert_int_equal(estab_recv(s.stack, s.sock, &v, 1, 0), 800);
    close(fd);
    close_side(&s);
}

static void every_octet_arrives_both_ways_at_once(void **state)
{
    struct side s;

    (void)state;
    open_side(&s, at.spec);
    meet(&s);
    exchange(&s, OCTETS, OCTETS);
    close_side(&s);
}

/* RFC 9293 section 3.7.1: what we cut up is as long as the kernel asked for, whatever the device
 * takes. */
static void the_peers_mss_holds_in_super_segments(void **state)
{
    struct estab_tcp_info i = {.size = sizeof i};
    struct tcp_info theirs;
    socklen_t len = sizeof theirs;
    struct side s;

    (void)state;
    open_side(&s, at.spec);
    run("ip route replace %s dev %s advmss 1200%s", at.ours, at.dev, "");
    meet(&s);
    exchange(&s, 1 << 20, 1 << 20);
    assert_int_equal(estab_tcp_info(s.stack, s.sock, &i), 0);
    assert_int_equal(i.snd_mss, 1200 - 12); /* less the timestamps, RFC 6691 */
    assert_int_equal(getsockopt(s.fd, IPPROTO_TCP, TCP_INFO, &theirs, &len), 0);
    assert_true(theirs.tcpi_rcv_mss <= 1200);
    run("ip route del %s dev %s%s", at.ours, at.dev, "");
    close_side(&s);
}

/* The kernel's side learns a smaller MTU while a connection is there. */
static void a_smaller_mtu_is_followed(void **state)
{
    struct side s;

    (void)state;
    if (strncmp(at.spec, "packet:", 7) == 0 || strncmp(at.spec, "xdp:", 4) == 0)
        skip(); /* a wire whose ends differ in it drops what one of them sends */
    open_side(&s, at.spec);
    meet(&s);
    exchange(&s, 1 << 20, 1 << 20);
    run("ip link set %s mtu 1300%s%s", at.dev, "", "");
    exchange(&s, 1 << 20, 4 << 20);
    run("ip link set %s mtu 1500%s%s", at.dev, "", "");
    exchange(&s, 1 << 20, 4 << 20);
    close_side(&s);
}

/* A recorder in front: each segment of ours is a frame of its own, with its checksum. */
static void a_recorded_link_has_plain_frames_out(void **state)
{
    char spec[128];
    struct side s;

    (void)state;
    snprintf(spec, sizeof spec, "pcap:/dev/null|%s", at.spec);
    open_side(&s, spec);
    meet(&s);
    exchange(&s, 4 << 20, 4 << 20);
    assert_true(s.link->frames_out > (4 << 20) / 1500);
    close_side(&s);
}

static void a_lossy_link_loses_no_octet(void **state)
{
    char spec[128];
    struct side s;

    (void)state;
    snprintf(spec, sizeof spec, "fault:loss=1%%,corrupt=0.5%%,dup=0.5%%,seed=3|%s", at.spec);
    open_side(&s, spec);
    meet(&s);
    exchange(&s, 2 << 20, 2 << 20);
    assert_true(s.link->lost_out > 0);
    close_side(&s);
}

/* Last: it takes the device away. */
static void a_deleted_device_is_gone(void **state)
{
    char err[ESTAB_ERRLEN] = "";
    struct side s;
    int rc;

    (void)state;
    open_side(&s, at.spec);
    meet(&s);
    exchange(&s, 1 << 16, 1 << 16);
    run("ip link del %s%s%s", at.dev, "", "");
    while ((rc = estab_loop_turn(s.loop, ESTAB_S(1), err)) == 0)
        ;
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err, "the device is gone"));
    close_side(&s);
}

/* interop_offload SPEC DEV v4|v6 super|plain */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_octet_arrives_out),
        cmocka_unit_test(every_octet_arrives_in),
        cmocka_unit_test(every_octet_arrives_in_a_buffer_that_is_lent),
        cmocka_unit_test(a_lender_who_takes_each_turn_keeps_up),
        cmocka_unit_test(a_small_loan_takes_many_small_frames),
        cmocka_unit_test(a_loan_that_nobody_takes_back_ends_no_turn),
        cmocka_unit_test(every_octet_arrives_both_ways_at_once),
        cmocka_unit_test(the_peers_mss_holds_in_super_segments),
        cmocka_unit_test(a_smaller_mtu_is_followed),
        cmocka_unit_test(a_recorded_link_has_plain_frames_out),
        cmocka_unit_test(a_lossy_link_loses_no_octet),
        cmocka_unit_test(a_deleted_device_is_gone),
    };

    if (argc < 5) {
        fprintf(stderr, "usage: %s LINK DEVICE v4|v6 super|plain\n", argv[0]);
        return 2;
    }
    at = (struct place){.spec = argv[1],
                        .dev = argv[2],
                        .v6 = strcmp(argv[3], "v6") == 0,
                        .super = strcmp(argv[4], "super") == 0};
    at.ours = at.v6 ? "fd97::2" : "10.97.0.2";
    at.theirs = at.v6 ? "fd97::1" : "10.97.0.1";
    at.prefix = at.v6 ? "64" : "24";
    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}

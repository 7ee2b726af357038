/* SPDX-License-Identifier: BSD-2-Clause */
/* packetdrill_plugin_test.c - libestab-packetdrill.so as packetdrill uses it: loaded, driven
 * through its 33 pointers, asked by the C library's getsockopt(). */
#include "sim/packetdrill.h"
#include "wire/tcp.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define REMOTE_PORT 40000
#define LOCAL_PORT  8080

typedef int (*getsockopt_fn)(int, int, int, void *, socklen_t *);

static void *library(void)
{
    void *so = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);

    if (!so)
        print_error("%s\n", dlerror());
    assert_non_null(so);
    return so;
}

static void init(const char *flags, struct packetdrill_interface *ifc)
{
    void (*entry)(const char *, struct packetdrill_interface *);
    void *symbol = dlsym(library(), "packetdrill_interface_init");

    assert_non_null(symbol);
    memcpy(&entry, &symbol, sizeof entry);
    memset(ifc, 0, sizeof *ifc);
    entry(flags, ifc);
}

static long long clock_usec(struct packetdrill_interface *p)
{
    struct timeval tv;

    assert_int_equal(p->gettimeofday(p->userdata, &tv, NULL), 0);
    return (long long)tv.tv_sec * 1000000 + tv.tv_usec;
}

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return s;
}

/* A segment from 192.0.2.1:40000 to 192.168.0.1:8080, without options. */
static void inject(struct packetdrill_interface *p, uint8_t flags, uint32_t seq, uint32_t ack,
                   size_t text_len)
{
    uint8_t b[40 + 1460] = {[0] = 0x45, [8] = 64, [9] = 6, [12] = 192, 0, 2, 1, 192, 168, 0, 1};
    uint8_t *t = b + 20, pseudo[12] = {192, 0, 2, 1, 192, 168, 0, 1, 0, 6};
    size_t len = 40 + text_len;
    uint32_t c;

    b[2] = (uint8_t)(len >> 8);
    b[3] = (uint8_t)len;
    c = ~sum(0, b, 20);
    b[10] = (uint8_t)(c >> 8);
    b[11] = (uint8_t)c;
    for (int i = 0; i < 4; i++) {
        t[4 + i] = (uint8_t)(seq >> (24 - 8 * i));
        t[8 + i] = (uint8_t)(ack >> (24 - 8 * i));
    }
    t[0] = REMOTE_PORT >> 8;
    t[1] = (uint8_t)REMOTE_PORT;
    t[2] = LOCAL_PORT >> 8;
    t[3] = (uint8_t)LOCAL_PORT;
    t[12] = 5 << 4;
    t[13] = flags;
    t[14] = t[15] = 0xff;
    pseudo[10] = (uint8_t)((20 + text_len) >> 8);
    pseudo[11] = (uint8_t)(20 + text_len);
    c = ~sum(sum(0, pseudo, 12), t, 20 + text_len);
    t[16] = (uint8_t)(c >> 8);
    t[17] = (uint8_t)c;
    assert_int_equal(p->netdev_send(p->userdata, b, len), 0);
}

struct came {
    uint8_t flags;
    uint32_t seq, ack;
    long long at;
    size_t len;
};

static struct came receive(struct packetdrill_interface *p)
{
    uint8_t b[2000];
    struct came c = {0};

    c.len = sizeof b;
    assert_int_equal(p->netdev_receive(p->userdata, b, &c.len, &c.at), 0);
    if (c.len == 0)
        return c;
    c.flags = b[33];
    c.seq = (uint32_t)b[24] << 24 | (uint32_t)b[25] << 16 | (uint32_t)b[26] << 8 | b[27];
    c.ack = (uint32_t)b[28] << 24 | (uint32_t)b[29] << 16 | (uint32_t)b[30] << 8 | b[31];
    return c;
}

static int listener(struct packetdrill_interface *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(LOCAL_PORT)};
    int fd = p->socket(p->userdata, AF_INET, SOCK_STREAM, IPPROTO_TCP), one = 1;

    assert_true(fd >= 0);
    inet_pton(AF_INET, "192.168.0.1", &in.sin_addr);
    assert_int_equal(p->setsockopt(p->userdata, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    assert_int_equal(p->bind(p->userdata, fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(p->listen(p->userdata, fd, 5), 0);
    return fd;
}

/* A connection by passive open; *iss: our initial sequence number. */
static int connection(struct packetdrill_interface *p, int from, uint32_t *iss)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof peer;
    struct came c;
    int fd;

    inject(p, SEG_SYN, 0, 0, 0);
    c = receive(p);
    assert_int_equal(c.flags, SEG_SYN | SEG_ACK);
    assert_int_equal(c.ack, 1);
    *iss = c.seq;
    inject(p, SEG_ACK, 1, c.seq + 1, 0);
    fd = p->accept(p->userdata, from, (struct sockaddr *)&peer, &len);
    assert_true(fd >= 0);
    assert_int_equal(len, sizeof peer);
    assert_int_equal(ntohs(peer.sin_port), REMOTE_PORT);
    return fd;
}

static void every_slot_is_filled(void **state)
{
    struct packetdrill_interface p;
    void *slot[33];

    (void)state;
    init(NULL, &p);
    memcpy(slot, &p, sizeof slot);
    for (int i = 0; i < 33; i++)
        assert_non_null(slot[i]);
    p.free(p.userdata);
}

static void unknown_flags_end_the_process(void **state)
{
    struct packetdrill_interface p;
    int status, quiet;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDERR_FILENO);
        init("profile=rfc,colour=blue", &p);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
}

static void time_moves_only_when_asked(void **state)
{
    struct packetdrill_interface p;
    long long at;

    (void)state;
    init(NULL, &p);
    at = clock_usec(&p);
    assert_int_equal(clock_usec(&p), at + 1);
    assert_int_equal(p.usleep(p.userdata, 250000), 0);
    assert_int_equal(clock_usec(&p), at + 250002);
    assert_int_equal(receive(&p).len, 0);
    assert_int_equal(clock_usec(&p), at + 250003);
    p.free(p.userdata);
}

/* A segment leaves at its own time, also when the caller slept past it. */
static void packets_have_the_time_at_which_they_left(void **state)
{
    struct packetdrill_interface p;
    struct came first, again;
    long long at;

    (void)state;
    init("rto_init=1s", &p);
    (void)listener(&p);
    at = clock_usec(&p);
    inject(&p, SEG_SYN, 0, 0, 0);
    p.usleep(p.userdata, 1500000);
    first = receive(&p);
    again = receive(&p);
    assert_in_range(first.at, at, at + 10);
    assert_int_equal(again.flags, SEG_SYN | SEG_ACK);
    assert_int_equal(again.seq, first.seq);
    assert_in_range(again.at, at + 999000, at + 1002000);
    p.free(p.userdata);
}

static void descriptors_are_real_and_unique(void **state)
{
    struct packetdrill_interface p;
    uint32_t iss;
    int l, fd;

    (void)state;
    init(NULL, &p);
    l = listener(&p);
    fd = connection(&p, l, &iss);
    assert_int_not_equal(l, fd);
    assert_true(fcntl(l, F_GETFD) >= 0);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    assert_int_equal(p.close(p.userdata, fd), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    errno = 0;
    assert_int_equal(p.close(p.userdata, fd), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(close(l), 0); /* as packetdrill does in the end */
    p.free(p.userdata);
}

static void the_libraries_getsockopt_finds_tcp_info(void **state)
{
    struct packetdrill_interface p;
    getsockopt_fn get;
    void *symbol = dlsym(library(), "getsockopt");
    uint8_t info[512];
    socklen_t len = sizeof info;
    int l, fd, other, type = 0;
    uint32_t iss;

    (void)state;
    memcpy(&get, &symbol, sizeof get);
    init(NULL, &p);
    l = listener(&p);
    fd = connection(&p, l, &iss);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    assert_int_equal(len, 280);
    assert_int_equal(info[0], 1); /* TCP_ESTABLISHED */
    len = sizeof info;
    assert_int_equal(get(fd, SOL_SOCKET, SO_MEMINFO, info, &len), 0);
    assert_int_equal(len, 36);
    other = socket(AF_UNIX, SOCK_DGRAM, 0);
    len = sizeof type;
    assert_int_equal(get(other, SOL_SOCKET, SO_TYPE, &type, &len), 0);
    assert_int_equal(type, SOCK_DGRAM);
    close(other);
    close(fd);
    close(l);
    p.free(p.userdata);
}

struct reader {
    struct packetdrill_interface *p;
    int fd;
    ssize_t got;
    int err;
    long long back;
};

static void *read_it(void *arg)
{
    struct reader *r = arg;
    char buf[100];

    errno = 0;
    r->got = r->p->read(r->p->userdata, r->fd, buf, sizeof buf);
    r->err = errno;
    r->back = clock_usec(r->p);
    return NULL;
}

/* Whether a thread of ours sleeps: its state in /proc, as packetdrill looks at it. */
static void wait_until_asleep(pid_t tid)
{
    char path[64], line[256], *at = NULL;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    do {
        f = fopen(path, "r");
        assert_non_null(f);
        assert_non_null(fgets(line, sizeof line, f));
        fclose(f);
        at = strrchr(line, ')');
        sched_yield();
    } while (!at || at[2] != 'S');
}

static pid_t reader_tid;

static void *read_and_tell(void *arg)
{
    __atomic_store_n(&reader_tid, gettid(), __ATOMIC_SEQ_CST);
    return read_it(arg);
}

static void a_blocked_call_ends_when_it_can(void **state)
{
    struct packetdrill_interface p;
    struct reader r = {.p = &p};
    pthread_t thread;
    long long at;
    uint32_t iss;
    int l;

    (void)state;
    init(NULL, &p);
    l = listener(&p);
    r.fd = connection(&p, l, &iss);
    reader_tid = 0;
    assert_int_equal(pthread_create(&thread, NULL, read_and_tell, &r), 0);
    while (!__atomic_load_n(&reader_tid, __ATOMIC_SEQ_CST))
        sched_yield();
    wait_until_asleep(reader_tid);
    p.usleep(p.userdata, 300000);
    at = clock_usec(&p);
    inject(&p, SEG_ACK | SEG_PSH, 1, iss + 1, 10);
    p.usleep(p.userdata, 500000); /* what the thread hears of is earlier */
    pthread_join(thread, NULL);
    assert_int_equal(r.got, 10);
    assert_in_range(r.back, at, at + 10);
    close(r.fd);
    close(l);
    p.free(p.userdata);
}

/* Nobody would move time meanwhile, so the call does. */
static void a_blocking_call_of_the_main_thread_takes_its_time(void **state)
{
    struct packetdrill_interface p;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    long long at;
    int fd;

    (void)state;
    init("syn_retries=2,rto_init=1s", &p);
    inet_pton(AF_INET, "192.0.2.9", &in.sin_addr);
    fd = p.socket(p.userdata, AF_INET, SOCK_STREAM, 0);
    at = clock_usec(&p);
    assert_int_equal(p.connect(p.userdata, fd, (struct sockaddr *)&in, sizeof in), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_in_range(clock_usec(&p), at + 6900000, at + 7100000); /* 1 + 2 + 4 s */
    close(fd);
    p.free(p.userdata);
}

static void file_has(const char *path, const char *text)
{
    char all[512] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    (void)!fread(all, 1, sizeof all - 1, f);
    fclose(f);
    assert_string_equal(all, text);
}

/* How long the ACK of a lone segment takes; the first ones of a connection take no time at all. */
static long long ack_delay(struct packetdrill_interface *p, uint32_t iss)
{
    long long at, took = 0;

    for (uint32_t i = 0; took < 1000 && i < 40; i++) {
        at = clock_usec(p);
        inject(p, SEG_ACK | SEG_PSH, 1 + 10 * i, iss + 1, 10);
        took = receive(p).at - at;
    }
    return took;
}

static void freebsd_settings_come_from_a_file_and_states_go_to_one(void **state)
{
    struct packetdrill_interface p;
    char dir[] = "/tmp/estab-rig-XXXXXX", sysctl[64], sockstat[64];
    uint32_t iss;
    int l, fd;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(sysctl, sizeof sysctl, "%s/sysctl", dir);
    snprintf(sockstat, sizeof sockstat, "%s/sockstat", dir);
    setenv("RIG_STATE", dir, 1);
    init("profile=freebsd", &p);
    f = fopen(sysctl, "w");
    fputs("net.inet.tcp.delacktime=300\nnet.inet.tcp.delacktime=100\n", f);
    fclose(f);
    l = listener(&p);
    fd = connection(&p, l, &iss);
    file_has(sockstat, "4 1 192.168.0.1:8080 192.0.2.1:40000 ESTABLISHED\n");
    assert_in_range(ack_delay(&p, iss), 95000, 105000);
    p.shutdown(p.userdata, fd, SHUT_WR);
    file_has(sockstat, "4 1 192.168.0.1:8080 192.0.2.1:40000 FIN_WAIT_1\n");
    unsetenv("RIG_STATE");
    close(fd);
    close(l);
    p.free(p.userdata);
    unlink(sysctl);
    unlink(sockstat);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_is_filled),
        cmocka_unit_test(unknown_flags_end_the_process),
        cmocka_unit_test(time_moves_only_when_asked),
        cmocka_unit_test(packets_have_the_time_at_which_they_left),
        cmocka_unit_test(descriptors_are_real_and_unique),
        cmocka_unit_test(the_libraries_getsockopt_finds_tcp_info),
        cmocka_unit_test(a_blocked_call_ends_when_it_can),
        cmocka_unit_test(a_blocking_call_of_the_main_thread_takes_its_time),
        cmocka_unit_test(freebsd_settings_come_from_a_file_and_states_go_to_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

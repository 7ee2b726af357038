/* SPDX-License-Identifier: BSD-2-Clause */
/* tuntap.c - TUN and TAP links against the kernel.  Run by tuntap.sh as root of a namespace in
 * which it may do what it likes. */
#include "link_kit.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

static estab_link *attach(enum estab_medium medium, const char *name, uint32_t mtu)
{
    estab_link *l = NULL;
    char err[ESTAB_ERRLEN];

    if (estab_link_tuntap(&l, medium, name, mtu, err))
        fail_msg("%s", err);
    return l;
}

static void assert_refused(enum estab_medium medium, const char *name, uint32_t mtu,
                           const char *says)
{
    estab_link *l = NULL;
    char err[ESTAB_ERRLEN];

    assert_int_equal(estab_link_tuntap(&l, medium, name, mtu, err), -1);
    assert_null(l);
    if (!strstr(err, says))
        fail_msg("\"%s\" does not say \"%s\"", err, says);
}

/* The next frame for which the octet at `at` is `is`, copied; how long it is. */
static size_t await_frame(estab_link *l, size_t at, uint8_t is, uint8_t *buf, size_t room)
{
    struct pollfd p = {.fd = estab_link_fd(l), .events = POLLIN};
    struct estab_frame f;
    size_t len;

    while (poll(&p, 1, 10000) > 0) {
        while (estab_link_recv(l, &f, 1) > 0) {
            len = estab_frame_len(&f);
            assert_true(len <= room);
            estab_frame_copy(buf, &f);
            if (len > at && buf[at] == is)
                return len;
        }
    }
    fail_msg("no such frame came");
    return 0;
}

static uint16_t checksum(const uint8_t *at, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* An ICMP echo request to the kernel's 10.99.0.1 of `len` octets, in three pieces. */
static int send_ping(estab_link *l, uint8_t *packet, size_t len)
{
    struct estab_frame f = {.niov = 3};
    uint16_t sum;

    memset(packet, 0, len);
    memcpy(packet, "\x45\0\0\0\0\1\x40\0\x40\1\0\0\x0a\x63\0\2\x0a\x63\0\1\x08", 21);
    packet[2] = (uint8_t)(len >> 8);
    packet[3] = (uint8_t)len;
    sum = checksum(packet, 20);
    packet[10] = (uint8_t)(sum >> 8);
    packet[11] = (uint8_t)sum;
    sum = checksum(packet + 20, len - 20);
    packet[22] = (uint8_t)(sum >> 8);
    packet[23] = (uint8_t)sum;
    f.iov[0] = (struct estab_iov){packet, 20};
    f.iov[1] = (struct estab_iov){packet + 20, 8};
    f.iov[2] = (struct estab_iov){packet + 28, len - 28};
    return estab_link_send(l, &f, 1);
}

static void the_kernel_answers_a_ping_over_tun(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_IP, "etun0", 0);
    uint8_t sent[1500], got[1500];

    (void)state;
    assert_string_equal(l->name, "tun:etun0");
    assert_int_equal(l->caps.mtu, 1500);
    run("ip addr add 10.99.0.1/24 dev etun0 && ip link set etun0 up");
    assert_int_equal(send_ping(l, sent, sizeof sent), 1);
    assert_int_equal(await_frame(l, 9, 1, got, sizeof got), sizeof sent);
    assert_int_equal(got[20], 0); /* echo reply */
    assert_memory_equal(got + 28, sent + 28, sizeof sent - 28);
    assert_int_equal(l->frames_out, 1);
    assert_int_equal(l->octets_out, sizeof sent);
    assert_true(l->frames_in >= 1);
    estab_link_close(l);
    assert_int_equal(if_nametoindex("etun0"), 0); /* made by us, gone with us */
}

static void the_kernel_may_choose_the_name(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_IP, "", 0);

    (void)state;
    assert_memory_equal(l->name, "tun:tun", 7);
    assert_int_not_equal(if_nametoindex(l->name + 4), 0);
    estab_link_close(l);
}

static void a_batch_is_taken_in_at_once(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_IP, "etun0", 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct estab_frame f[40];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), n, total = 0;
    uint8_t seen[60] = {0};

    (void)state;
    run("ip addr add 10.99.0.1/24 dev etun0 && ip link set etun0 up");
    inet_pton(AF_INET, "10.99.0.2", &to.sin_addr);
    for (uint8_t i = 0; i < 60; i++)
        assert_int_equal(sendto(fd, &i, 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    while ((n = estab_link_recv(l, f, 40)) > 0) {
        assert_true(n <= 40);
        for (int i = 0; i < n; i++) {
            const uint8_t *ip = f[i].iov[0].base;

            if (ip[0] != 0x45 || ip[9] != 17)
                continue; /* the kernel's own IPv6 chatter */
            assert_int_equal(f[i].iov[0].len, 29);
            seen[ip[28]]++;
            total++;
        }
    }
    assert_int_equal(n, 0);
    assert_int_equal(total, 60);
    for (size_t i = 0; i < 60; i++)
        assert_int_equal(seen[i], 1);
    close(fd);
    estab_link_close(l);
}

static void the_mtu_is_the_devices_or_ours(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_IP, "etun0", 9000);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq ifr = {.ifr_name = "etun0"};

    (void)state;
    assert_int_equal(l->caps.mtu, 9000);
    assert_int_equal(ioctl(fd, SIOCGIFMTU, &ifr), 0);
    assert_int_equal(ifr.ifr_mtu, 9000);
    close(fd);
    estab_link_close(l);
    run("ip tuntap add mode tun name etun1 && ip link set etun1 mtu 1400");
    l = attach(ESTAB_MEDIUM_IP, "etun1", 0);
    assert_int_equal(l->caps.mtu, 1400);
    estab_link_close(l);
    run("ip link del etun1");
    assert_refused(ESTAB_MEDIUM_IP, "etun0", 70000, "raising its MTU from 1500 to 70000");
}

static void tap_has_two_stations(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_ETHERNET, "etap0", 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq ifr = {.ifr_name = "etap0"};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    uint8_t got[1600];

    (void)state;
    assert_string_equal(l->name, "tap:etap0");
    assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &ifr), 0);
    assert_memory_not_equal(l->caps.mac, ifr.ifr_hwaddr.sa_data, 6);
    assert_int_equal(l->caps.mac[0] & 3, 2); /* locally administered, no group */
    run("ip addr add 10.99.0.1/24 dev etap0 && ip link set etap0 up");
    inet_pton(AF_INET, "10.99.0.2", &to.sin_addr);
    assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    await_frame(l, 13, 6, got, sizeof got); /* ARP: who has 10.99.0.2? */
    assert_memory_equal(got + 6, ifr.ifr_hwaddr.sa_data, 6);
    assert_memory_equal(got + 38, &to.sin_addr, 4);
    close(fd);
    estab_link_close(l);
}

static void a_pipeline_opens_with_options(void **state)
{
    estab_link *l;
    char err[ESTAB_ERRLEN];

    (void)state;
    if (estab_link_open(
            &l, "pcap:/dev/null|fault:loss=100%|tap:etap0,mtu=1280,mac=02:00:00:00:00:aa", err))
        fail_msg("%s", err);
    assert_string_equal(l->name, "tap:etap0");
    assert_string_equal(l->ops->name, "pcap");
    assert_int_equal(l->caps.medium, ESTAB_MEDIUM_ETHERNET);
    assert_int_equal(l->caps.mtu, 1280);
    assert_memory_equal(l->caps.mac, "\2\0\0\0\0\xaa", 6);
    assert_true(estab_link_fd(l) >= 0);
    assert_int_equal(kit_send(l, "never arrives anywhere"), 1);
    estab_link_close(l);
    assert_int_equal(estab_link_open(&l, "pcap:/no/dir/x|tun:etun0", err), -1);
    assert_non_null(strstr(err, "/no/dir/x: cannot be written"));
    assert_int_equal(if_nametoindex("etun0"), 0);
}

static void a_device_that_is_down_loses_frames(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_IP, "etun0", 0);
    uint8_t packet[1500];
    struct estab_frame f;

    (void)state;
    run("ip addr add 10.99.0.1/24 dev etun0");
    assert_int_equal(send_ping(l, packet, 100), 0);
    assert_int_equal(l->lost_out, 1);
    assert_int_equal(estab_link_recv(l, &f, 1), 0);
    assert_string_equal(l->error, "");
    run("ip link set etun0 up");
    assert_int_equal(send_ping(l, packet, 100), 1);
    await_frame(l, 9, 1, packet, sizeof packet);
    estab_link_close(l);
}

static void a_frame_the_kernel_refuses_is_lost_alone(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_ETHERNET, "etap0", 0);
    static const uint8_t octets[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    struct estab_frame f[3] = {kit_frame(octets, 60), kit_frame(octets, 3), kit_frame(octets, 60)};

    (void)state;
    run("ip link set etap0 up");
    assert_int_equal(estab_link_send(l, f, 3), 2);
    assert_int_equal(l->lost_out, 1);
    assert_int_equal(l->frames_out, 2);
    estab_link_close(l);
}

static void a_deleted_device_is_gone(void **state)
{
    static const char says[] = "tun:etun0: the device is gone (File descriptor in bad state): it "
                               "was deleted while attached; make it again and reattach";
    estab_link *l = attach(ESTAB_MEDIUM_IP, "etun0", 0);
    struct pollfd p = {.fd = estab_link_fd(l), .events = POLLIN};
    struct estab_frame f;
    uint8_t packet[100];

    (void)state;
    run("ip link set etun0 up && ip link del etun0");
    assert_int_equal(poll(&p, 1, 10000), 1); /* who waits for the link wakes up */
    assert_int_equal(estab_link_recv(l, &f, 1), -1);
    assert_string_equal(l->error, says);
    l->error[0] = '\0';
    assert_int_equal(send_ping(l, packet, sizeof packet), -1);
    assert_string_equal(l->error, says);
    assert_int_equal(l->lost_out, 1);
    estab_link_close(l);
}

static void a_decorator_tells_that_its_device_is_gone(void **state)
{
    estab_link *l;
    struct estab_frame f;
    char err[ESTAB_ERRLEN];

    (void)state;
    if (estab_link_open(&l, "pcap:/dev/null|fault:|tun:etun0", err))
        fail_msg("%s", err);
    run("ip link del etun0");
    assert_int_equal(estab_link_recv(l, &f, 1), -1);
    assert_non_null(strstr(l->error, "tun:etun0: the device is gone"));
    estab_link_close(l);
}

static void what_cannot_be_attached_is_explained(void **state)
{
    estab_link *l = attach(ESTAB_MEDIUM_IP, "etun0", 0);

    (void)state;
    assert_refused(ESTAB_MEDIUM_IP, "etun0", 0,
                   "tun:etun0: attaching: Device or resource busy: another process is attached");
    assert_refused(ESTAB_MEDIUM_ETHERNET, "etun0", 0,
                   "tap:etun0: attaching: Invalid argument: a device of that name exists and is no "
                   "single-queue tap device");
    assert_refused(ESTAB_MEDIUM_IP, "lo", 0, "is no single-queue tun device");
    assert_refused(ESTAB_MEDIUM_IP, "a/b", 0, "tun:a/b: attaching: Invalid argument");
    estab_link_close(l);
}

/* In a child, which has given up what it may. */
static void without_privilege_the_way_out_is_told(void **state)
{
    estab_link *l = NULL;
    char err[ESTAB_ERRLEN] = "";
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        if (setresuid(65534, 65534, 65534))
            _exit(77);
        if (estab_link_tuntap(&l, ESTAB_MEDIUM_IP, "etun0", 0, err) == 0)
            _exit(1);
        _exit(strstr(err, "its permissions keep this user out; run as root") ||
                      strstr(err, "needs CAP_NET_ADMIN, or a device made for this user: `ip tuntap "
                                  "add mode tun user $USER name etun0`")
                  ? 0
                  : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_answers_a_ping_over_tun),
        cmocka_unit_test(the_kernel_may_choose_the_name),
        cmocka_unit_test(a_batch_is_taken_in_at_once),
        cmocka_unit_test(the_mtu_is_the_devices_or_ours),
        cmocka_unit_test(tap_has_two_stations),
        cmocka_unit_test(a_pipeline_opens_with_options),
        cmocka_unit_test(a_device_that_is_down_loses_frames),
        cmocka_unit_test(a_frame_the_kernel_refuses_is_lost_alone),
        cmocka_unit_test(a_deleted_device_is_gone),
        cmocka_unit_test(a_decorator_tells_that_its_device_is_gone),
        cmocka_unit_test(what_cannot_be_attached_is_explained),
        cmocka_unit_test(without_privilege_the_way_out_is_told),
    };

    return cmocka_run_group_tests_name("tuntap", tests, NULL, NULL);
}

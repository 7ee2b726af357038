/* SPDX-License-Identifier: BSD-2-Clause */
/* shards_link_test.c - links of several stacks with one address: a frame reaches its shard by
 * whichever it came, and the ring between two threads loses and mixes nothing. */
#include "link_kit.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "host/link_shards.h"
#include "host/relay.h"

enum { N = 3 };

struct street {
    estab_link *far[N], *near[N]; /* what is sent at far[i] comes by near[i]'s device */
};

static void open_street(struct street *s, enum estab_medium medium)
{
    const struct estab_port_caps caps = {
        .medium = medium, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 2}, .dad = true};
    estab_link *pair[2], *under[N];
    char err[ESTAB_ERRLEN];

    for (int i = 0; i < N; i++) {
        assert_int_equal(estab_link_pair(pair, &caps, 0), 0);
        s->far[i] = pair[0];
        under[i] = pair[1];
        under[i]->caps.mac[4] = (uint8_t)i;
    }
    assert_int_equal(link_shards_over(s->near, under, N, err), 0);
}

static void close_street(struct street *s)
{
    for (int i = 0; i < N; i++) {
        estab_link_close(s->near[i]);
        estab_link_close(s->far[i]);
    }
}

/* A TCP segment of a flow that is told apart by its port. */
struct packet {
    uint8_t octets[60];
};

static struct packet packet_of(uint16_t port)
{
    struct packet p = {{0x45, [3] = 60, [8] = 64, [9] = 6, [12] = 10, 0, 0, 1, 10, 0, 0, 2}};
    uint32_t sum = 0;

    for (size_t i = 0; i < 20; i += 2)
        sum += (uint32_t)p.octets[i] << 8 | p.octets[i + 1];
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    p.octets[10] = (uint8_t)(sum >> 8);
    p.octets[11] = (uint8_t)sum;
    p.octets[20] = (uint8_t)(port >> 8);
    p.octets[21] = (uint8_t)port;
    p.octets[32] = 0x50;
    return p;
}

static uint32_t shard_of(const struct packet *p)
{
    struct estab_frame f = kit_frame(p, sizeof *p);

    return estab_frame_shard(ESTAB_MEDIUM_IP, &f, N);
}

static struct packet packet_for(uint32_t shard)
{
    struct packet p;

    for (uint16_t port = 1; p = packet_of(port), shard_of(&p) != shard; port++)
        ;
    return p;
}

static bool readable(const estab_link *l)
{
    struct pollfd p = {.fd = estab_link_fd(l), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void a_frame_reaches_its_shard_by_whichever_it_came(void **state)
{
    unsigned to[N] = {0}, want[N] = {0}, turns = 0;
    struct estab_frame f[8];
    struct street s;
    int n;

    (void)state;
    open_street(&s, ESTAB_MEDIUM_IP);
    for (uint16_t port = 1; port <= 300; port++) {
        struct packet p = packet_of(port);
        struct estab_frame one = kit_frame(&p, sizeof p);

        assert_int_equal(estab_link_send(s.far[port % N], &one, 1), 1);
        want[shard_of(&p)]++;
    }
    for (int i = 0; turns < 1000; i = (i + 1) % N, turns++) {
        n = estab_link_recv(s.near[i], f, 8);
        assert_in_range(n, 0, 8);
        for (int k = 0; k < n; k++) {
            assert_int_equal(estab_frame_shard(ESTAB_MEDIUM_IP, &f[k], N), i);
            to[i]++;
        }
    }
    for (int i = 0; i < N; i++) {
        assert_true(want[i] > 50);
        assert_int_equal(to[i], want[i]);
        assert_int_equal(s.near[i]->lost_in, 0);
        assert_true(s.near[i]->handed_on > 50);
        assert_int_equal(s.near[i]->frames_in, want[i]);
    }
    close_street(&s);
}

static void what_all_must_hear_reaches_all_once(void **state)
{
    /* an ARP reply */
    static const uint8_t arp[42] = {2,  0, 0, 0, 0, 2, 2, 0, 0, 0, 0,  3, 8, 6,
                                    0,  1, 8, 0, 6, 4, 0, 2, 2, 0, 0,  0, 0, 3,
                                    10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2};
    struct estab_frame f[8], one = kit_frame(arp, sizeof arp);
    struct street s;

    (void)state;
    open_street(&s, ESTAB_MEDIUM_ETHERNET);
    assert_int_equal(estab_link_send(s.far[1], &one, 1), 1);
    for (int i = 1; i < N + 1; i++) {
        assert_int_equal(estab_link_recv(s.near[i % N], f, 8), 1);
        assert_int_equal(estab_frame_len(&f[0]), sizeof arp);
        assert_memory_equal(f[0].iov[0].base, arp, sizeof arp);
        assert_int_equal(estab_link_recv(s.near[i % N], f, 8), 0);
    }
    close_street(&s);
}

/* One address for all, which is the first's; one of them looks for duplicates of it. */
static void all_are_one_station(void **state)
{
    struct street s;

    (void)state;
    open_street(&s, ESTAB_MEDIUM_ETHERNET);
    for (int i = 0; i < N; i++) {
        assert_memory_equal(s.near[i]->caps.mac, s.near[0]->caps.mac, 6);
        assert_int_equal(s.near[i]->caps.dad, i == 0);
    }
    close_street(&s);
}

static void who_sleeps_is_woken_and_who_does_not_is_not(void **state)
{
    struct estab_frame f[8], one;
    struct packet p;
    struct street s;

    (void)state;
    open_street(&s, ESTAB_MEDIUM_IP);
    p = packet_for(2);
    one = kit_frame(&p, sizeof p);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(estab_link_deadline(s.near[2]), ESTAB_NEVER);
        assert_false(readable(s.near[2]));
        estab_link_send(s.far[0], &one, 1);
        assert_int_equal(estab_link_recv(s.near[0], f, 8), 0);
        assert_true(readable(s.near[2]));
        assert_int_equal(estab_link_recv(s.near[2], f, 8), 1);
        assert_false(readable(s.near[2]));
        /* awake: no bell, but it is not let sleep either */
        estab_link_send(s.far[0], &one, 1);
        assert_int_equal(estab_link_recv(s.near[0], f, 8), 0);
        assert_false(readable(s.near[2]));
        assert_int_equal(estab_link_deadline(s.near[2]), 0);
        assert_int_equal(estab_link_recv(s.near[2], f, 8), 1);
    }
    close_street(&s);
}

/* A loop asks for the deadline twice in a turn, and the bell may ring between. */
static void a_bell_is_heard_once_however_often_one_lies_down(void **state)
{
    struct estab_frame f[8], one;
    struct packet p;
    struct street s;

    (void)state;
    open_street(&s, ESTAB_MEDIUM_IP);
    p = packet_for(2);
    one = kit_frame(&p, sizeof p);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(estab_link_deadline(s.near[2]), ESTAB_NEVER);
        estab_link_send(s.far[0], &one, 1);
        assert_int_equal(estab_link_recv(s.near[0], f, 8), 0);
        assert_int_equal(estab_link_deadline(s.near[2]), 0);
        assert_int_equal(estab_link_recv(s.near[2], f, 8), 1);
        assert_false(readable(s.near[2]));
    }
    close_street(&s);
}

/* A shard that is not run loses what is its own, and nobody else anything. */
static void a_full_way_is_counted_and_blocks_nobody(void **state)
{
    struct estab_frame f[32];
    struct street s;
    unsigned ours = 0, got = 0;

    (void)state;
    open_street(&s, ESTAB_MEDIUM_IP);
    for (unsigned i = 0; i < 30000; i++) {
        struct packet p = packet_of((uint16_t)(i % 100));
        struct estab_frame one = kit_frame(&p, sizeof p);

        ours += shard_of(&p) == 0;
        assert_int_equal(estab_link_send(s.far[0], &one, 1), 1);
        got += (unsigned)estab_link_recv(s.near[0], f, 32);
    }
    for (int n = 1; n > 0; got += (unsigned)n)
        n = estab_link_recv(s.near[0], f, 32);
    assert_int_equal(got, ours);
    assert_true(s.near[0]->lost_in > 0);
    assert_int_equal(s.near[0]->lost_in + s.near[0]->handed_on + ours, 30000);
    close_street(&s);
}

/* ---- the ring ---- */

enum { FRAMES = 200000 };

static uint32_t size_of(uint32_t i)
{
    return i % 97 == 0 ? 65535 : 4 + i * 37 % 1500;
}

static void *push_all(void *ring)
{
    static uint8_t octets[65535];
    struct relay *r = ring;

    for (uint32_t i = 0; i < FRAMES; i++) {
        struct estab_frame f = kit_frame(octets, size_of(i));

        f.off.gso_size = (uint16_t)i;
        memcpy(octets, &i, sizeof i);
        octets[size_of(i) - 1] = (uint8_t)i;
        while (!relay_push(r, &f))
            relay_publish(r);
        if (i % 5 == 0)
            relay_publish(r);
    }
    relay_publish(r);
    return NULL;
}

static void two_threads_have_the_same_frames_in_the_same_order(void **state)
{
    struct relay *r = aligned_alloc(64, sizeof *r);
    struct estab_frame f;
    pthread_t t;

    (void)state;
    assert_non_null(r);
    relay_init(r, 0xfffe0000); /* soon they wrap */
    assert_int_equal(pthread_create(&t, NULL, push_all, r), 0);
    for (uint32_t i = 0, number; i < FRAMES; i++) {
        while (!relay_pop(r, &f))
            relay_release(r);
        assert_int_equal(f.iov[0].len, size_of(i));
        memcpy(&number, f.iov[0].base, sizeof number);
        if (size_of(i) > 4)
            assert_int_equal(number, i);
        assert_int_equal(f.off.gso_size, (uint16_t)i);
        assert_int_equal(((uint8_t *)f.iov[0].base)[f.iov[0].len - 1], (uint8_t)i);
        if (i % 3 == 0)
            relay_release(r);
    }
    assert_false(relay_pop(r, &f));
    assert_true(relay_empty(r));
    pthread_join(t, NULL);
    free(r);
}

static void what_has_several_queues_is_said(void **state)
{
    char err[ESTAB_ERRLEN];
    estab_link *l[17];

    (void)state;
    assert_int_equal(estab_link_shards(l, 2, "shm:/tmp/x", err), -1);
    assert_string_equal(err, "\"shm\": no kind of link with several queues; there is tun:NAME, "
                             "tap:NAME, packet:DEVICE and xdp:DEVICE");
    assert_int_equal(estab_link_shards(l, 17, "tun:x", err), -1);
    assert_string_equal(err, "tun:x: 17 shards; there may be 1 to 16");
    assert_int_equal(estab_link_shards(l, 2, "tun:x,queue=1", err), -1);
    assert_non_null(strstr(err, "no option \"queue=1\""));
    assert_int_equal(estab_link_shards(l, 2, "xdp:x,queue=1", err), -1);
    assert_non_null(strstr(err, "no option \"queue=1\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_reaches_its_shard_by_whichever_it_came),
        cmocka_unit_test(what_all_must_hear_reaches_all_once),
        cmocka_unit_test(all_are_one_station),
        cmocka_unit_test(who_sleeps_is_woken_and_who_does_not_is_not),
        cmocka_unit_test(a_bell_is_heard_once_however_often_one_lies_down),
        cmocka_unit_test(a_full_way_is_counted_and_blocks_nobody),
        cmocka_unit_test(two_threads_have_the_same_frames_in_the_same_order),
        cmocka_unit_test(what_has_several_queues_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

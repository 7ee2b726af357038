/* SPDX-License-Identifier: BSD-2-Clause */
/* link_packet.c - an Ethernet device of the kernel, by AF_PACKET: a station beside the kernel on
 * the same wire, with a MAC of its own.
 *
 * Frames come through a ring that is mapped (TPACKET_V2) and go by sendmmsg, each with a virtio-net
 * header, so that super-segments and open checksums pass as they are.  Version 2 and not 3: version
 * 3 hands over whole blocks, and a lone ACK waits for its block's timer, of a millisecond at least;
 * of 64 KiB frames version 2 carries a third more.
 *
 * The machine itself cannot be reached this way: what it sends on the device is not received on
 * it. */
#include "link_device.h"
#include "vnet.h"

#include <arpa/inet.h>
#include <errno.h>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RING_FRAME = 17 << 12, /* a super-segment, and the headers in front of it */
    RING_BLOCK = 1 << 20,
    RING_BLOCKS = 8,
    BLOCK_FRAMES = RING_BLOCK / RING_FRAME,
    RING_FRAMES = BLOCK_FRAMES * RING_BLOCKS,
};

struct packet {
    estab_link link;
    struct link_device dev;
    uint32_t hdr_len; /* VNET_HDR_LEN or 0 */
    uint8_t *ring;
    uint32_t next;  /* frame of the ring */
    uint32_t nlent; /* frames before it that the kernel is to have back */
};

static struct tpacket2_hdr *slot(const struct packet *p, uint32_t i)
{
    i %= RING_FRAMES;
    return (struct tpacket2_hdr *)(void *)(p->ring + (size_t)(i / BLOCK_FRAMES) * RING_BLOCK +
                                           (size_t)(i % BLOCK_FRAMES) * RING_FRAME);
}

static void give_back(struct packet *p)
{
    while (p->nlent > 0) {
        __atomic_store_n(&slot(p, p->next + RING_FRAMES - p->nlent)->tp_status, TP_STATUS_KERNEL,
                         __ATOMIC_RELEASE);
        p->nlent--;
    }
}

/* False: of no use.  A frame of a VLAN is not for us; one that was cut has no end. */
static bool frame_of(const struct packet *p, struct tpacket2_hdr *h, struct estab_frame *f)
{
    uint8_t *at = (uint8_t *)h + h->tp_mac;

    /* Where there is no header this says that a checksum is still open; GSO it does not tell. */
    f->off = (struct estab_offload){
        .flags = h->tp_status & TP_STATUS_CSUMNOTREADY ? ESTAB_OFF_DATA_VALID : 0};
    f->iov[0] = (struct estab_iov){at, h->tp_len};
    f->niov = 1;
    return h->tp_snaplen == h->tp_len && !(h->tp_status & TP_STATUS_VLAN_VALID) &&
           (!p->hdr_len ||
            vnet_parse(&f->off, at - VNET_HDR_LEN, ESTAB_MEDIUM_ETHERNET, at, h->tp_len));
}

/* What an empty ring may mean.  0, or -1: the link is gone. */
static int look_at_device(struct packet *p)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(p->dev.fd, SOL_SOCKET, SO_ERROR, &error, &len) || error == 0 ||
        link_device_there(&p->dev))
        return 0; /* or it is down, and may come up again */
    return link_device_say_gone(&p->link);
}

static int packet_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct packet *p = (struct packet *)l;
    struct tpacket2_hdr *h;
    size_t got = 0;

    give_back(p);
    while (got < n && p->nlent < LINK_BATCH) {
        h = slot(p, p->next);
        if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
            break;
        p->next = (p->next + 1) % RING_FRAMES;
        p->nlent++;
        if (frame_of(p, h, &f[got]))
            link_count_in(l, f[got++].iov[0].len);
        else
            l->lost_in++;
    }
    return got == 0 && p->nlent == 0 && n > 0 ? look_at_device(p) : (int)got;
}

struct packet_batch {
    struct mmsghdr m[LINK_BATCH];
    struct iovec iov[LINK_BATCH][1 + ESTAB_IOVS];
    uint8_t hdr[LINK_BATCH][VNET_HDR_LEN];
};

static void fill_batch(const struct packet *p, struct packet_batch *b, const struct estab_frame *f,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct iovec *v = b->iov[i];

        if (p->hdr_len) {
            vnet_emit(b->hdr[i], &f[i].off);
            *v++ = (struct iovec){b->hdr[i], VNET_HDR_LEN};
        }
        for (uint32_t k = 0; k < f[i].niov; k++)
            *v++ = (struct iovec){f[i].iov[k].base, f[i].iov[k].len};
        b->m[i].msg_hdr =
            (struct msghdr){.msg_iov = b->iov[i], .msg_iovlen = (size_t)(v - b->iov[i])};
    }
}

/* A frame that the device does not take is lost alone. */
static int packet_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct packet *p = (struct packet *)l;
    struct packet_batch b;
    size_t taken = 0;

    for (size_t at = 0, batch; at < n; at += batch) {
        size_t sent = 0;

        batch = n - at < LINK_BATCH ? n - at : LINK_BATCH;
        fill_batch(p, &b, f + at, batch);
        while (sent < batch) {
            int k = sendmmsg(p->dev.fd, b.m + sent, (unsigned)(batch - sent), MSG_DONTWAIT);

            if (k < 0 && errno == EINTR)
                continue;
            for (int i = 0; i < k; i++)
                link_count_out(l, b.m[sent + (size_t)i].msg_len - p->hdr_len);
            taken += k > 0 ? (size_t)k : 0;
            l->lost_out += k <= 0;
            sent += k > 0 ? (size_t)k : 1;
        }
    }
    return (int)taken;
}

static int packet_fd(const estab_link *l)
{
    return ((const struct packet *)l)->dev.fd;
}

static estab_time packet_deadline(const estab_link *l)
{
    (void)l;
    return ESTAB_NEVER;
}

static void packet_close(estab_link *l)
{
    struct packet *p = (struct packet *)l;

    if (p->ring)
        munmap(p->ring, (size_t)RING_BLOCK * RING_BLOCKS);
    link_device_close(&p->dev);
    free(p);
}

static const struct estab_link_ops packet_ops = {
    .name = "packet",
    .recv = packet_recv,
    .send = packet_send,
    .fd = packet_fd,
    .deadline = packet_deadline,
    .close = packet_close,
};

static int set_option(const struct packet *p, int option, int value)
{
    return setsockopt(p->dev.fd, SOL_PACKET, option, &value, sizeof value);
}

static int set_offloads(struct packet *p, enum estab_use vnet, char *err)
{
    if (vnet == ESTAB_USE_OFF)
        return 0;
    if (set_option(p, PACKET_VNET_HDR, 1) == 0) {
        p->hdr_len = VNET_HDR_LEN;
        p->link.caps.gso_max = UINT16_MAX;
        p->link.caps.tx_csum = true;
        return 0;
    }
    return vnet == ESTAB_USE_ON ? link_device_say(&p->link, "vnet=on: virtio-net headers", err) : 0;
}

static int map_ring(struct packet *p, char *err)
{
    struct tpacket_req req = {.tp_block_size = RING_BLOCK,
                              .tp_block_nr = RING_BLOCKS,
                              .tp_frame_size = RING_FRAME,
                              .tp_frame_nr = RING_FRAMES};
    void *m;

    if (set_option(p, PACKET_VERSION, TPACKET_V2) ||
        setsockopt(p->dev.fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req))
        return link_device_say(&p->link, "a ring of 8 MiB", err);
    m = mmap(NULL, (size_t)RING_BLOCK * RING_BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, p->dev.fd,
             0);
    if (m == MAP_FAILED)
        return link_device_say(&p->link, "mapping the ring", err);
    p->ring = m;
    return 0;
}

static int join_wire(const struct packet *p, char *err)
{
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = p->dev.index};

    /* Since Linux 4.20; before, the kernel's own frames cost their way through the stack. */
    (void)set_option(p, PACKET_IGNORE_OUTGOING, 1);
    (void)set_option(p, PACKET_QDISC_BYPASS, 1);
    if (bind(p->dev.fd, (struct sockaddr *)&a, sizeof a))
        return link_device_say(&p->link, "attaching to it", err);
    return 0;
}

/* Frames of a flow come to one of the group, by a hash that is the same both ways. */
int link_packet_share(estab_link *l, uint16_t *group, char *err)
{
    const struct packet *p = (struct packet *)l;
    enum { IGNORE_OUTGOING = 0x4000 }; /* newer than most headers; older kernels pass over it */
    int way = PACKET_FANOUT_HASH | IGNORE_OUTGOING, joined;
    socklen_t len = sizeof joined;

    if (*group == 0)
        way |= PACKET_FANOUT_FLAG_UNIQUEID;
    if (set_option(p, PACKET_FANOUT, (int)((unsigned)way << 16 | *group)) ||
        getsockopt(p->dev.fd, SOL_PACKET, PACKET_FANOUT, &joined, &len))
        return link_device_say(l, "sharing it between shards", err);
    *group = (uint16_t)joined;
    return 0;
}

int estab_link_packet(estab_link **out, const char *dev, uint32_t mtu, enum estab_use vnet,
                      char *err)
{
    struct packet *p = calloc(1, sizeof *p);

    if (!p)
        return link_say(err, "packet:%.40s: out of memory", dev);
    p->link.ops = &packet_ops;
    p->link.caps.medium = ESTAB_MEDIUM_ETHERNET;
    snprintf(p->link.name, sizeof p->link.name, "packet:%.40s", dev);
    if (link_device_open(&p->dev, dev, &p->link, err) ||
        link_device_mtu(&p->dev, mtu, &p->link, err) || set_offloads(p, vnet, err) ||
        map_ring(p, err) || join_wire(p, err) ||
        link_device_station(&p->dev, NULL, &p->link, err)) {
        packet_close(&p->link);
        return -1;
    }
    *out = &p->link;
    return 0;
}

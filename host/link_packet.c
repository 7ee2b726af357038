/* SPDX-License-Identifier: BSD-2-Clause */
/* link_packet.c - an Ethernet device of the kernel, by AF_PACKET: a station beside the kernel on
 * the same wire, with a MAC of its own.
 *
 * Frames come through a ring that is mapped (TPACKET_V2) and go by sendmmsg, each with a virtio-net
 * header, so that super-segments and open checksums pass as they are.  Version 2 and not 3: version
 * 3 hands over whole blocks, and a lone ACK waits for its block's timer, of a millisecond at least;
 * of 64 KiB frames version 2 carries a third more.
 *
 * The kernel must not answer for us: it takes what is for its own MACs, ours is another, and the
 * device is promiscuous while we are there, which ends with the socket.  Addresses of the stack are
 * not to be configured on this machine.  The machine itself cannot be reached this way: what it
 * sends on the device is not received on it. */
#include "vnet.h"

#include <arpa/inet.h>
#include <errno.h>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
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
    int fd;
    char dev[IFNAMSIZ];
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

    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error == 0 ||
        if_nametoindex(p->dev))
        return 0; /* or it is down, and may come up again */
    return link_say(p->link.error, "%s: the device is gone: it was deleted, or moved elsewhere",
                    p->link.name);
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
            int k = sendmmsg(p->fd, b.m + sent, (unsigned)(batch - sent), MSG_DONTWAIT);

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
    return ((const struct packet *)l)->fd;
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
    if (p->fd >= 0)
        close(p->fd);
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

static int say_errno(const struct packet *p, const char *doing, char *err)
{
    return link_say(err, "%s: %s: %s%s", p->link.name, doing, strerror(errno),
                    errno == EPERM ? ": needs CAP_NET_RAW; run as root" : "");
}

/* What the device is, and that it will do. */
static int ask_device(struct packet *p, uint32_t mtu, int *index, char *err)
{
    struct ifreq ifr = {0};

    memcpy(ifr.ifr_name, p->dev, IFNAMSIZ);
    if (ioctl(p->fd, SIOCGIFINDEX, &ifr))
        return say_errno(p, "finding the device", err);
    *index = ifr.ifr_ifindex;
    if (ioctl(p->fd, SIOCGIFHWADDR, &ifr))
        return say_errno(p, "asking for its kind", err);
    if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return link_say(err,
                        "%s: is no Ethernet device (its kind is %u); name one end of a veth "
                        "pair, or a network card",
                        p->link.name, ifr.ifr_hwaddr.sa_family);
    if (ioctl(p->fd, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP))
        return link_say(err, "%s: is down; set it up with `ip link set %s up`", p->link.name,
                        p->dev);
    if (ioctl(p->fd, SIOCGIFMTU, &ifr))
        return say_errno(p, "asking for its MTU", err);
    p->link.caps.mtu = mtu ? mtu : (uint32_t)ifr.ifr_mtu;
    if (p->link.caps.mtu > UINT16_MAX)
        p->link.caps.mtu = UINT16_MAX;
    if (mtu > (uint32_t)ifr.ifr_mtu)
        return link_say(err,
                        "%s: mtu=%u is more than the device's %d; raise that with `ip link "
                        "set %s mtu %u`, or leave mtu= out",
                        p->link.name, (unsigned)mtu, ifr.ifr_mtu, p->dev, (unsigned)mtu);
    return 0;
}

static int set_option(const struct packet *p, int option, int value)
{
    return setsockopt(p->fd, SOL_PACKET, option, &value, sizeof value);
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
    return vnet == ESTAB_USE_ON ? say_errno(p, "vnet=on: virtio-net headers", err) : 0;
}

static int map_ring(struct packet *p, char *err)
{
    struct tpacket_req req = {.tp_block_size = RING_BLOCK,
                              .tp_block_nr = RING_BLOCKS,
                              .tp_frame_size = RING_FRAME,
                              .tp_frame_nr = RING_FRAMES};
    void *m;

    if (set_option(p, PACKET_VERSION, TPACKET_V2) ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req))
        return say_errno(p, "a ring of 8 MiB", err);
    m = mmap(NULL, (size_t)RING_BLOCK * RING_BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (m == MAP_FAILED)
        return say_errno(p, "mapping the ring", err);
    p->ring = m;
    return 0;
}

static int join_wire(const struct packet *p, int index, char *err)
{
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
    struct packet_mreq m = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};

    /* Since Linux 4.20; before, the kernel's own frames cost their way through the stack. */
    (void)set_option(p, PACKET_IGNORE_OUTGOING, 1);
    (void)set_option(p, PACKET_QDISC_BYPASS, 1);
    if (bind(p->fd, (struct sockaddr *)&a, sizeof a))
        return say_errno(p, "attaching to it", err);
    if (setsockopt(p->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m))
        return say_errno(p, "receiving what is for other stations", err);
    return 0;
}

int estab_link_packet(estab_link **out, const char *dev, uint32_t mtu, enum estab_use vnet,
                      char *err)
{
    struct packet *p = calloc(1, sizeof *p);
    int index = 0;

    if (!p)
        return link_say(err, "packet:%.40s: out of memory", dev);
    p->link.ops = &packet_ops;
    p->link.caps.medium = ESTAB_MEDIUM_ETHERNET;
    snprintf(p->link.name, sizeof p->link.name, "packet:%.40s", dev);
    p->fd = -1;
    if (!*dev || strlen(dev) >= IFNAMSIZ) {
        link_say(err, "%s: the name of a device has 1 to %d characters", p->link.name,
                 IFNAMSIZ - 1);
        goto out;
    }
    memcpy(p->dev, dev, strlen(dev));
    p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* 0: nothing yet */
    if (p->fd < 0) {
        say_errno(p, "a packet socket", err);
        goto out;
    }
    if (ask_device(p, mtu, &index, err) || set_offloads(p, vnet, err) || map_ring(p, err) ||
        join_wire(p, index, err))
        goto out;
    if (getrandom(p->link.caps.mac, 6, 0) != 6) {
        say_errno(p, "no randomness for a MAC", err);
        goto out;
    }
    /* IEEE 802: locally administered (bit 1 of the first octet), no group. */
    p->link.caps.mac[0] = (uint8_t)((p->link.caps.mac[0] & 0xfc) | 0x02);
    *out = &p->link;
    return 0;
out:
    packet_close(&p->link);
    return -1;
}

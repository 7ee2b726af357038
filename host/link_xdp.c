/* SPDX-License-Identifier: BSD-2-Clause */
/* link_xdp.c - an Ethernet device of the kernel, by AF_XDP: a station beside the kernel on the same
 * wire, with a MAC of its own, as link_packet.c; whose a frame is says xdp_prog.c.
 *
 * One area of memory holds all frames, half of them for what comes and half for what goes, and four
 * rings of places in it: fill (ours, for the kernel to write to), rx (written), tx (ours, to be
 * sent), completion (sent).  The kernel hands frames over without a copy where the driver can, and
 * chooses that by itself; it is told that we wait to be asked to wake it, so that a ring that it
 * looks at anyway costs no system call.
 *
 * There are no offloads: a frame is one of the wire.  But what a station of the same machine sends
 * over veth has never been on a wire, and its checksum is left open: link_open_csum(). */
#include "link_device.h"
#include "xdp_prog.h"

#include <errno.h>

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

enum {
    XDP_RING = 2048,    /* places in each ring; a power of two */
    XDP_PLACE = 4096,   /* octets for a frame: the most that there may be, a page */
    XDP_HEADROOM = 256, /* of those the kernel keeps */
    XDP_AREA = 2 * XDP_RING * XDP_PLACE,
    XDP_MTU_MOST = XDP_PLACE - XDP_HEADROOM - LINK_ETHERNET_ROOM,
};

struct xdp {
    estab_link link;
    struct link_device dev;
    struct xdp_prog prog;
    uint8_t *area; /* 2 * XDP_RING places; the first half goes in */
    struct xsk_umem *umem;
    struct xsk_socket *sock;
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons rx, done;
    uint64_t lent[LINK_BATCH], idle[XDP_RING]; /* places the user has; places to send from */
    uint32_t nlent, nidle;
    estab_time looked_at; /* when the device was last seen */
};

static estab_time xdp_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (estab_time)t.tv_sec * ESTAB_S(1) + (estab_time)t.tv_nsec;
}

static int fd_of(const struct xdp *x)
{
    return xsk_socket__fd(x->sock);
}

/* There is room for every place that goes in, so reserving does not fail. */
static void give_places_back(struct xdp *x)
{
    uint32_t at;

    if (x->nlent == 0 || xsk_ring_prod__reserve(&x->fill, x->nlent, &at) != x->nlent)
        return;
    for (uint32_t i = 0; i < x->nlent; i++)
        *xsk_ring_prod__fill_addr(&x->fill, at + i) = x->lent[i];
    xsk_ring_prod__submit(&x->fill, x->nlent);
    x->nlent = 0;
    if (xsk_ring_prod__needs_wakeup(&x->fill))
        (void)recvfrom(fd_of(x), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* A socket whose device went is never readable again: so it is looked at now and then. */
static int look_for_device(struct xdp *x)
{
    estab_time now = xdp_now();

    if (now - x->looked_at < ESTAB_S(1))
        return 0;
    x->looked_at = now;
    return link_device_there(&x->dev) ? 0 : link_device_say_gone(&x->link);
}

static int xdp_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct xdp *x = (struct xdp *)l;
    uint32_t at = 0, got;

    give_places_back(x);
    got = xsk_ring_cons__peek(&x->rx, n < LINK_BATCH ? (uint32_t)n : LINK_BATCH, &at);
    if (got == 0)
        return look_for_device(x);
    for (uint32_t i = 0; i < got; i++) {
        const struct xdp_desc *d = xsk_ring_cons__rx_desc(&x->rx, at + i);
        uint8_t *frame = x->area + d->addr;

        x->lent[x->nlent++] = d->addr - d->addr % XDP_PLACE;
        f[i].off = (struct estab_offload){
            .flags = link_open_csum(frame, d->len) ? ESTAB_OFF_DATA_VALID : 0};
        f[i].iov[0] = (struct estab_iov){frame, d->len};
        f[i].niov = 1;
        link_count_in(l, d->len);
    }
    xsk_ring_cons__release(&x->rx, got);
    return (int)got;
}

static void take_sent(struct xdp *x)
{
    uint32_t at = 0, n = xsk_ring_cons__peek(&x->done, XDP_RING, &at);

    for (uint32_t i = 0; i < n; i++)
        x->idle[x->nidle++] = *xsk_ring_cons__comp_addr(&x->done, at + i);
    xsk_ring_cons__release(&x->done, n);
}

/* Without a driver that sends by itself the kernel does it in this call, some of them in each. */
static int push_out(struct xdp *x)
{
    enum { PUSHES = 2 * XDP_RING / LINK_BATCH };

    for (int i = 0; i < PUSHES && xsk_ring_prod__needs_wakeup(&x->tx); i++) {
        if (sendto(fd_of(x), NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0 || errno == ENOBUFS ||
            errno == EBUSY || errno == ENETDOWN)
            return 0; /* what is left goes with the next, and to a device that is down not at all */
        if (errno == ENXIO)
            return link_device_say_gone(&x->link);
        if (errno != EAGAIN && errno != EINTR)
            return 0;
    }
    return 0;
}

/* What finds no place, or is too long for one, is lost. */
static int xdp_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct xdp *x = (struct xdp *)l;
    uint32_t at, taken = 0;

    take_sent(x);
    for (size_t i = 0; i < n; i++) {
        size_t len = estab_frame_len(&f[i]);
        struct xdp_desc *d;

        if (len > XDP_MTU_MOST + LINK_ETHERNET_ROOM || x->nidle == 0 ||
            xsk_ring_prod__reserve(&x->tx, 1, &at) != 1) {
            l->lost_out++;
            continue;
        }
        d = xsk_ring_prod__tx_desc(&x->tx, at);
        *d = (struct xdp_desc){.addr = x->idle[--x->nidle], .len = (uint32_t)len};
        estab_frame_copy(x->area + d->addr, &f[i]);
        link_count_out(l, len);
        taken++;
    }
    if (taken == 0)
        return 0;
    xsk_ring_prod__submit(&x->tx, taken);
    return push_out(x) ? -1 : (int)taken;
}

static int xdp_fd(const estab_link *l)
{
    return fd_of((const struct xdp *)l);
}

static estab_time xdp_deadline(const estab_link *l)
{
    return ((const struct xdp *)l)->looked_at + ESTAB_S(1);
}

static void close_rings(struct xdp *x)
{
    if (x->sock)
        xsk_socket__delete(x->sock);
    if (x->umem)
        xsk_umem__delete(x->umem);
    x->sock = NULL;
    x->umem = NULL;
}

static void xdp_close(estab_link *l)
{
    struct xdp *x = (struct xdp *)l;

    xdp_prog_detach(&x->prog);
    close_rings(x);
    if (x->area)
        munmap(x->area, XDP_AREA);
    link_device_close(&x->dev);
    free(x);
}

static const struct estab_link_ops xdp_ops = {
    .name = "xdp",
    .recv = xdp_recv,
    .send = xdp_send,
    .fd = xdp_fd,
    .deadline = xdp_deadline,
    .close = xdp_close,
};

/* Which of the device's queues: a frame for the stack that comes by another is lost to it.  So are
 * those of a queue that none of the shards has; shards 0: there is one link and no other. */
static int choose_queue(const struct xdp *x, const struct estab_xdp *how, uint16_t shards,
                        uint32_t *queues, char *err)
{
    *queues = link_device_queues(&x->dev);
    if (shards && *queues != shards)
        return link_say(err,
                        "%s: the queues by which its frames come are %u, and the stacks %u, which "
                        "have one each; make them as many, with `ethtool -L %s combined %u` (veth: "
                        "rx %u, or numrxqueues when it is made)",
                        x->link.name, (unsigned)*queues, (unsigned)shards, x->dev.name,
                        (unsigned)shards, (unsigned)shards);
    if (how->queue_given && how->queue >= *queues)
        return link_say(err, "%s: queue=%u: the device has %u; the first is 0", x->link.name,
                        (unsigned)how->queue, (unsigned)*queues);
    if (!how->queue_given && *queues > 1)
        return link_say(err,
                        "%s: has %u queues, and frames come by all of them; leave it one, with "
                        "`ethtool -L %s combined 1` (veth: rx 1), or name the right one by queue=",
                        x->link.name, (unsigned)*queues, x->dev.name);
    return 0;
}

static int check_mtu(struct xdp *x, uint32_t mtu, char *err)
{
    if (x->dev.mtu > XDP_MTU_MOST)
        return link_say(err,
                        "%s: its MTU of %u is more than AF_XDP carries, %d; set it with `ip link "
                        "set %s mtu %d`",
                        x->link.name, (unsigned)x->dev.mtu, XDP_MTU_MOST, x->dev.name,
                        XDP_MTU_MOST);
    return link_device_mtu(&x->dev, mtu, &x->link, err);
}

static int say_not_attached(const struct xdp *x, const char *doing, int error, char *err)
{
    const char *why = "";

    if (error == EPERM || error == EACCES)
        why = ": needs CAP_BPF and CAP_NET_ADMIN, of the machine and not of a user namespace; run "
              "as root";
    else if (error == EBUSY || error == EEXIST)
        why = ": there is another XDP program; end who has it, or `ip link set DEVICE xdp off`";
    else if (error == ERANGE || error == EINVAL)
        why = ": its driver takes none with this MTU (veth: of either end) or these settings";
    return link_say(err, "%s: %s: %s%s", x->link.name, doing, strerror(error), why);
}

static int say_no_socket(const struct xdp *x, const char *doing, int error, char *err)
{
    return link_say(err, "%s: %s: %s%s", x->link.name, doing, strerror(error),
                    error == EPERM    ? ": needs CAP_NET_RAW; run as root"
                    : error == EBUSY  ? ": another socket has this queue"
                    : error == ENOMEM ? ": 16 MiB, which `ulimit -l` may forbid"
                                      : "");
}

/* 0 or a negative errno, and *doing says of what. */
static int make_rings(struct xdp *x, uint32_t queue, const char **doing)
{
    const struct xsk_umem_config area = {
        .fill_size = XDP_RING, .comp_size = XDP_RING, .frame_size = XDP_PLACE};
    const struct xsk_socket_config sock = {.rx_size = XDP_RING,
                                           .tx_size = XDP_RING,
                                           .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
                                           .bind_flags = XDP_USE_NEED_WAKEUP};
    int error;

    *doing = "memory for frames";
    error = xsk_umem__create(&x->umem, x->area, XDP_AREA, &x->fill, &x->done, &area);
    if (error)
        return error;
    *doing = "a socket at its queue";
    return xsk_socket__create(&x->sock, x->dev.name, queue, x->umem, &x->rx, &x->tx, &sock);
}

/* The kernel frees a queue a moment after the socket that had it has been closed. */
static int take_queue(struct xdp *x, uint32_t queue, const char **doing)
{
    enum { TRIES = 100 };
    int error = make_rings(x, queue, doing);

    for (int i = 0; error == -EBUSY && i < TRIES; i++) {
        close_rings(x);
        nanosleep(&(struct timespec){.tv_nsec = ESTAB_MS(2)}, NULL);
        error = make_rings(x, queue, doing);
    }
    return error;
}

static int open_rings(struct xdp *x, uint32_t queue, char *err)
{
    void *m = mmap(NULL, XDP_AREA, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    const char *doing;
    uint32_t at;
    int error;

    if (m == MAP_FAILED)
        return say_no_socket(x, "memory for frames", errno, err);
    x->area = m;
    error = take_queue(x, queue, &doing);
    if (error)
        return say_no_socket(x, doing, -error, err);
    if (xsk_ring_prod__reserve(&x->fill, XDP_RING, &at) != XDP_RING)
        return say_no_socket(x, "filling the ring", ENOBUFS, err);
    for (uint32_t i = 0; i < XDP_RING; i++) {
        *xsk_ring_prod__fill_addr(&x->fill, at + i) = (uint64_t)i * XDP_PLACE;
        x->idle[x->nidle++] = (uint64_t)(XDP_RING + i) * XDP_PLACE;
    }
    xsk_ring_prod__submit(&x->fill, XDP_RING);
    return 0;
}

/* The program at the device: its first link brings it, and the others share it. */
static int take_program(struct xdp *x, const struct xdp *first, uint32_t queues, char *err)
{
    const char *doing = "sharing the program that says whose a frame is";
    int error = first ? xdp_prog_share(&x->prog, &first->prog)
                      : xdp_prog_attach(&x->prog, x->dev.index, queues, x->link.caps.mac, &doing);

    return error ? say_not_attached(x, doing, -error, err) : 0;
}

/* first: which is at another queue of the same device, or NULL. */
static int open_queue(estab_link **out, const struct estab_xdp *how, const struct xdp *first,
                      uint16_t shards, char *err)
{
    struct xdp *x = calloc(1, sizeof *x);
    const char *name = how->dev ? how->dev : "";
    uint32_t queues;
    int error;

    if (!x)
        return link_say(err, "xdp:%.40s: out of memory", name);
    x->link.ops = &xdp_ops;
    x->link.caps.medium = ESTAB_MEDIUM_ETHERNET;
    x->prog = (struct xdp_prog){-1, -1};
    snprintf(x->link.name, sizeof x->link.name, "xdp:%.40s", name);
    if (link_device_open(&x->dev, name, &x->link, err) || check_mtu(x, how->mtu, err) ||
        choose_queue(x, how, shards, &queues, err) ||
        link_device_station(&x->dev, how->mac, &x->link, err) ||
        take_program(x, first, queues, err) || open_rings(x, how->queue, err))
        goto out;
    error = xdp_prog_steer(&x->prog, how->queue, fd_of(x));
    if (error) {
        say_not_attached(x, "leading its frames to the socket", -error, err);
        goto out;
    }
    x->looked_at = xdp_now();
    *out = &x->link;
    return 0;
out:
    xdp_close(&x->link);
    return -1;
}

int estab_link_xdp(estab_link **out, const struct estab_xdp *how, char *err)
{
    return open_queue(out, how, NULL, 0, err);
}

int link_xdp_queues(estab_link **out, uint16_t n, const struct estab_xdp *how, char *err)
{
    struct estab_xdp each = *how;
    uint16_t i = 0;

    each.queue_given = true;
    while (i < n && open_queue(&out[i], &each, i ? (struct xdp *)out[0] : NULL, n, err) == 0) {
        each.mac = out[0]->caps.mac;
        each.queue = ++i;
    }
    if (i == n)
        return 0;
    while (i > 0)
        estab_link_close(out[--i]);
    return -1;
}

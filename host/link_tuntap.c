/* SPDX-License-Identifier: BSD-2-Clause */
/* link_tuntap.c - a TUN or TAP device of the Linux kernel: the other end is the kernel's own stack.
 *
 * One frame a system call, in and out.  With virtio-net headers (IFF_VNET_HDR) a frame may be a
 * super-segment of up to 64 KiB, and its checksum may be left to whoever needs it; the kernel's
 * socket never does.  Between a stack and a socket on one core, MTU 1500, that takes the goodput
 * from 9.4 to 60 Gbit/s on the way out and from 6 to 11 on the way in.  Writing a batch through
 * io_uring was tried and gained nothing in three runs (super-segments 57.4 against 58.8 Gbit/s,
 * single frames 9.4 against 9.4): the kernel's own path is what costs.
 *
 * Large frames are read to where their text belongs, if the stack can say where that is
 * (estab_input_place()): an eighth more on the way in.
 *
 * What a device was told stays with it when it outlives us (offloads, header size), so it is told
 * all of it on attaching, and no offloads on leaving: another program may want plain frames.
 *
 * What the kernel does when the device is not well (tried on 6.x): while it is down, nothing
 * arrives and a write fails with EIO, which is a frame lost; when it has been deleted, read and
 * write fail with EBADFD and poll reports POLLERR: the link is gone. */
#include "vnet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* An MTU can be raised while we are attached, so a buffer takes the largest frame there can be; the
 * odd part keeps the heads of the frames from all falling into one set of the cache. */
enum { TUNTAP_BUF = 65536 + 192, TUNTAP_HDR_ROOM = 16, TUNTAP_LARGE = 16384 };

struct tuntap {
    estab_link link;
    int fd;
    uint32_t hdr_len; /* of what is in front of each frame: VNET_HDR_LEN or 0 */
    bool shared;      /* others are attached, too */
    bool drained;     /* the last read found nothing behind the frames that are lent */
    const void *told; /* the last batch ended for who has lent this, too little for a frame */
    uint8_t *bufs;    /* LINK_BATCH of TUNTAP_BUF; a frame begins at TUNTAP_HDR_ROOM */
};

static bool is_gone(int error)
{
    return error == EBADFD || error == ENODEV || error == ENXIO || error == EBADF;
}

static int say_gone(estab_link *l, int error)
{
    return link_say(l->error,
                    "%s: the device is gone (%s): it was deleted while attached; make it again "
                    "and reattach",
                    l->name, strerror(error));
}

/* Reads a frame to `buf`, but what p says to there, and what is left behind p->head octets. */
static ssize_t read_placed(struct tuntap *t, uint8_t *buf, const struct estab_place *p)
{
    uint8_t *from = buf + TUNTAP_HDR_ROOM;
    struct iovec v[3] = {{from - t->hdr_len, t->hdr_len + p->head},
                         {p->to, p->len},
                         {from + p->head, TUNTAP_BUF - TUNTAP_HDR_ROOM - p->head}};

    return readv(t->fd, v, 3);
}

static ssize_t read_frame(struct tuntap *t, uint8_t *buf, const struct estab_place *p)
{
    if (p->len > 0)
        return read_placed(t, buf, p);
    return read(t->fd, buf + TUNTAP_HDR_ROOM - t->hdr_len,
                TUNTAP_BUF - TUNTAP_HDR_ROOM + t->hdr_len);
}

/* The pieces of a frame of len octets that was read so; the next one's text goes behind this one's.
 */
static void frame_pieces(uint8_t *from, size_t len, struct estab_place *p, struct estab_frame *f)
{
    size_t head = p->len > 0 && len > p->head ? p->head : len, rest = len - head;
    size_t placed = rest < p->len ? rest : p->len;

    f->iov[0] = (struct estab_iov){from, head};
    f->niov = 1;
    if (placed > 0) {
        f->iov[f->niov++] = (struct estab_iov){p->to, placed};
        p->to = (uint8_t *)p->to + placed;
        p->len -= placed;
    }
    if (rest > placed)
        f->iov[f->niov++] = (struct estab_iov){from + head, rest - placed};
}

/* Makes a frame of what was read into `buf`, or as p says.  False: it is of no use. */
static bool frame_of(struct tuntap *t, uint8_t *buf, size_t len, struct estab_place *p,
                     struct estab_frame *f)
{
    f->off = (struct estab_offload){0};
    if (len < t->hdr_len ||
        (t->hdr_len && !vnet_parse(&f->off, buf + TUNTAP_HDR_ROOM - VNET_HDR_LEN,
                                   t->link.caps.medium, buf + TUNTAP_HDR_ROOM, len - t->hdr_len))) {
        t->link.lost_in++;
        return false;
    }
    frame_pieces(buf + TUNTAP_HDR_ROOM, len - t->hdr_len, p, f);
    link_count_in(&t->link, len - t->hdr_len);
    return true;
}

static int tuntap_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct tuntap *t = (struct tuntap *)l;
    struct estab_place place = l->place;
    bool little = place.len < TUNTAP_LARGE, large = false, waits;
    size_t got = 0, reads = 0, room = place.len;
    uint8_t *buf;
    ssize_t len;

    if (n > LINK_BATCH)
        n = LINK_BATCH;
    if (little) /* or a frame would be cut into three for the sake of little */
        place.len = 0;
    l->place = (struct estab_place){0};
    /* Who asks once more for what came behind a short batch need not ask the kernel: 0.2 of 8.2 us
     * for an exchange of 64 octets. */
    if (t->drained) {
        t->drained = false;
        return 0;
    }
    /* Once: nobody waits for a user that does not go on.  Of a buffer that is full it is the stack
     * that says so once. */
    waits = place.head > 0 && (room == 0 || !little || place.to != t->told);
    if (waits)
        t->told = NULL;
    l->more = false;
    while (reads < n) {
        buf = t->bufs + reads * TUNTAP_BUF;
        len = read_frame(t, buf, &place);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            break;
        reads++;
        large |= len > TUNTAP_LARGE;
        got += frame_of(t, buf, (size_t)len, &place, &f[got]);
        room = room > (size_t)len ? room - (size_t)len : 0;
        l->more = waits && room < (size_t)len;
        if (l->more) /* a buffer may be lent before the next is read */
            break;
    }
    if (l->more && little)
        t->told = place.to;
    if (reads == 0 && n > 0 && is_gone(errno))
        return say_gone(l, errno);
    if (reads > 0) /* also behind a small one, or the next batch would be taken in unasked */
        l->places = large || place.head > 0;
    t->drained = got > 0 && reads < n;
    return (int)got;
}

static ssize_t write_frame(struct tuntap *t, const struct estab_frame *f)
{
    struct iovec iov[1 + ESTAB_IOVS];
    uint8_t hdr[VNET_HDR_LEN];
    int n = 0;
    ssize_t len;

    if (t->hdr_len) {
        vnet_emit(hdr, &f->off);
        iov[n++] = (struct iovec){hdr, sizeof hdr};
    }
    for (uint32_t k = 0; k < f->niov; k++)
        iov[n++] = (struct iovec){f->iov[k].base, f->iov[k].len};
    do
        len = writev(t->fd, iov, n);
    while (len < 0 && errno == EINTR);
    return len;
}

static int tuntap_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct tuntap *t = (struct tuntap *)l;
    size_t taken = 0;
    ssize_t len;

    for (size_t i = 0; i < n; i++) {
        len = write_frame(t, &f[i]);
        if (len < 0 && is_gone(errno)) {
            l->lost_out += n - i;
            return say_gone(l, errno);
        }
        if (len < 0) {
            l->lost_out++;
            continue;
        }
        link_count_out(l, (size_t)len - t->hdr_len);
        taken++;
    }
    return (int)taken;
}

static int tuntap_fd(const estab_link *l)
{
    return ((const struct tuntap *)l)->fd;
}

static estab_time tuntap_deadline(const estab_link *l)
{
    (void)l;
    return ESTAB_NEVER;
}

static void tuntap_close(estab_link *l)
{
    struct tuntap *t = (struct tuntap *)l;

    if (t->fd >= 0) {
        if (t->hdr_len && !t->shared)
            ioctl(t->fd, TUNSETOFFLOAD, 0);
        close(t->fd);
    }
    free(t->bufs);
    free(t);
}

static const struct estab_link_ops tuntap_ops = {
    .name = "tuntap",
    .recv = tuntap_recv,
    .send = tuntap_send,
    .fd = tuntap_fd,
    .deadline = tuntap_deadline,
    .close = tuntap_close,
};

static int say_no_node(const char *name, int error, char *err)
{
    if (error == ENOENT || error == ENODEV || error == ENXIO)
        return link_say(err,
                        "%s: /dev/net/tun: %s: the kernel's tun driver is not there; try `modprobe "
                        "tun`, in a container pass the device through",
                        name, strerror(error));
    return link_say(err, "%s: /dev/net/tun: %s%s", name, strerror(error),
                    error == EACCES || error == EPERM
                        ? ": its permissions keep this user out; run as root"
                        : "");
}

static int say_not_attached(const struct tuntap *t, const char *ifname, int error, char *err)
{
    const char *mode = t->link.caps.medium == ESTAB_MEDIUM_ETHERNET ? "tap" : "tun";
    const char *name = t->link.name, *queues = t->shared ? " multi_queue" : "";

    if (error == EPERM || error == EACCES)
        return link_say(err,
                        "%s: attaching: %s: needs CAP_NET_ADMIN, or a device made for this user: "
                        "`ip tuntap add mode %s user $USER name %s%s`",
                        name, strerror(error), mode, *ifname ? ifname : "NAME", queues);
    if (error == EBUSY)
        return link_say(err,
                        "%s: attaching: %s: another process is attached to it; end that one "
                        "or take another name",
                        name, strerror(error));
    if (error == EINVAL && if_nametoindex(ifname))
        return link_say(err,
                        "%s: attaching: %s: a device of that name exists and is no %s-queue %s "
                        "device; take another name, or delete it with `ip link del %s`",
                        name, strerror(error), t->shared ? "multi" : "single", mode, ifname);
    return link_say(err, "%s: attaching: %s", name, strerror(error));
}

/* Sets the device's MTU when one is wanted, else learns it.  A smaller wish than the device's that
 * may not be set is a limit for us alone. */
static int settle_mtu(struct tuntap *t, const char *ifname, uint32_t want, char *err)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;
    uint32_t has;

    memcpy(ifr.ifr_name, ifname, IFNAMSIZ);
    if (fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr)) {
        ret = link_say(err, "%s: asking for its MTU: %s", t->link.name, strerror(errno));
        goto out;
    }
    has = (uint32_t)ifr.ifr_mtu;
    t->link.caps.mtu = want ? want : has;
    ifr.ifr_mtu = (int)want;
    if (want && want != has && ioctl(fd, SIOCSIFMTU, &ifr) && want > has)
        ret =
            link_say(err, "%s: raising its MTU from %u to %u: %s%s", t->link.name, (unsigned)has,
                     (unsigned)want, strerror(errno),
                     errno == EPERM ? ": needs CAP_NET_ADMIN; run as root, or leave mtu= out" : "");
out:
    if (fd >= 0)
        close(fd);
    return ret;
}

/* The kernel's interface has an address of its own; ours is the station at the other end of the
 * cable: random, locally administered (IEEE 802, bit 1 of the first octet), no group. */
static int choose_mac(struct tuntap *t, char *err)
{
    uint8_t *mac = t->link.caps.mac;

    if (getrandom(mac, 6, 0) != 6)
        return link_say(err, "%s: no randomness for a MAC: %s", t->link.name, strerror(errno));
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
    return 0;
}

/* What the kernel is to hand over and to take.  0, or -1: no segmentation, checksums only. */
static int set_offloads(struct tuntap *t)
{
    int hdr_len = VNET_HDR_LEN, little = 0;

    t->hdr_len = VNET_HDR_LEN;
    t->link.caps.tx_csum = true;
    ioctl(t->fd, TUNSETVNETLE, &little); /* since Linux 4.0; before, nothing else was there */
    if (ioctl(t->fd, TUNSETVNETHDRSZ, &hdr_len) ||
        ioctl(t->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
        return -1;
    t->link.caps.gso_max = UINT16_MAX;
    return 0;
}

/* Attaches, with virtio-net headers where they are wanted and there. */
static int attach_device(struct tuntap *t, struct ifreq *ifr, enum estab_use vnet, char *err)
{
    bool tap = t->link.caps.medium == ESTAB_MEDIUM_ETHERNET;
    unsigned has = 0;
    bool can = vnet != ESTAB_USE_OFF && ioctl(t->fd, TUNGETFEATURES, &has) == 0 &&
               (has & IFF_VNET_HDR) != 0;

    ifr->ifr_flags = (short)((tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (can ? IFF_VNET_HDR : 0) |
                             (t->shared ? IFF_MULTI_QUEUE : 0));
    if (ioctl(t->fd, TUNSETIFF, ifr))
        return say_not_attached(t, ifr->ifr_name, errno, err);
    if (!can)
        ioctl(t->fd, TUNSETOFFLOAD, 0); /* refused where they were never on */
    else if (set_offloads(t) == 0)
        return 0;
    if (vnet == ESTAB_USE_ON)
        return link_say(err,
                        "%s: vnet=on: this kernel has no virtio-net headers with segmentation "
                        "offload on its TUN and TAP devices; leave vnet= out",
                        t->link.name);
    return 0;
}

int estab_link_tuntap_open(estab_link **out, const struct estab_tuntap *how, char *err)
{
    bool tap = how->medium == ESTAB_MEDIUM_ETHERNET;
    const char *name = how->name ? how->name : "";
    struct ifreq ifr = {0};
    struct tuntap *t;

    if (strlen(name) >= IFNAMSIZ)
        return link_say(err, "%s:%.40s: the name of a device has at most %d characters",
                        tap ? "tap" : "tun", name, IFNAMSIZ - 1);
    t = calloc(1, sizeof *t);
    if (!t)
        return link_say(err, "%s:%s: out of memory", tap ? "tap" : "tun", name);
    t->link.ops = &tuntap_ops;
    t->link.caps.medium = how->medium;
    t->shared = how->size >= sizeof *how && how->multi_queue;
    snprintf(t->link.name, sizeof t->link.name, "%s:%s", tap ? "tap" : "tun", name);
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd < 0) {
        say_no_node(t->link.name, errno, err);
        goto out;
    }
    memcpy(ifr.ifr_name, name, strlen(name));
    if (attach_device(t, &ifr, how->vnet, err))
        goto out;
    snprintf(t->link.name, sizeof t->link.name, "%s:%.*s", tap ? "tap" : "tun", IFNAMSIZ - 1,
             ifr.ifr_name);
    if (settle_mtu(t, ifr.ifr_name, how->mtu, err) || (tap && choose_mac(t, err)))
        goto out;
    t->bufs = malloc((size_t)LINK_BATCH * TUNTAP_BUF);
    if (!t->bufs) {
        link_say(err, "%s: out of memory", t->link.name);
        goto out;
    }
    *out = &t->link;
    return 0;
out:
    tuntap_close(&t->link);
    return -1;
}

int estab_link_tuntap(estab_link **out, enum estab_medium medium, const char *name, uint32_t mtu,
                      char *err)
{
    const struct estab_tuntap how = {
        .size = sizeof how, .medium = medium, .name = name, .mtu = mtu, .vnet = ESTAB_USE_OFF};

    return estab_link_tuntap_open(out, &how, err);
}

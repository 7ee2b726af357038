/* SPDX-License-Identifier: BSD-2-Clause */
/* bare.c - what a program on this device reaches that has no TCP: one connection is opened by hand,
 * then the same ready-made super-segment is written with another number as long as the kernel's
 * window allows, or what comes is read and acknowledged by its last number. */
#include "links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MSS = 1460, RUN = 44 * MSS, IP = 20, TCP = 20, BUF = 66000, SHIFT = 10 };

struct bare {
    int fd;
    uint8_t hdr[10 + IP + TCP + 8], *buf;
    uint32_t snd, rcv, una, wnd; /* wnd scaled */
    unsigned shift;              /* of theirs */
    uint16_t sport;
};

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned sum16(const uint8_t *p, size_t n)
{
    uint32_t s = 0;

    for (size_t i = 0; i < n; i++)
        s += (uint32_t)p[i] << (i % 2 ? 0 : 8);
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return s;
}

/* Headers for text_len octets behind opts_len octets of options; the checksum is left open. */
static void make(struct bare *b, const char *us, const char *ip, uint16_t port, unsigned opts_len,
                 unsigned text_len)
{
    struct virtio_net_hdr v = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                               .hdr_len = (uint16_t)(IP + TCP + opts_len),
                               .csum_start = IP,
                               .csum_offset = 16};
    uint8_t *h = b->hdr + 10, pseudo[12] = {0};

    if (text_len > MSS) {
        v.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        v.gso_size = MSS;
    }
    memcpy(b->hdr, &v, 10);
    memset(h, 0, IP + TCP);
    h[0] = 0x45;
    put16(h + 2, IP + TCP + opts_len + text_len);
    h[6] = 0x40;
    h[8] = 64;
    h[9] = 6;
    inet_pton(AF_INET, us, h + 12);
    inet_pton(AF_INET, ip, h + 16);
    put16(h + 10, ~sum16(h, IP) & 0xffff);
    put16(h + IP, b->sport);
    put16(h + IP + 2, port);
    h[IP + 12] = (uint8_t)((TCP + opts_len) << 2);
    h[IP + 13] = 0x10;
    put16(h + IP + 14, 0xffff);
    memcpy(pseudo, h + 12, 8);
    pseudo[9] = 6;
    put16(pseudo + 10, TCP + opts_len + text_len);
    put16(h + IP + 16, sum16(pseudo, 12));
}

static void emit(struct bare *b, const void *text, size_t len, size_t opts_len)
{
    struct iovec v[2] = {{b->hdr, 10 + IP + TCP + opts_len}, {(void *)(uintptr_t)text, len}};

    put32(b->hdr + 10 + IP + 4, b->snd);
    put32(b->hdr + 10 + IP + 8, b->rcv);
    if (writev(b->fd, v, len ? 2 : 1) < 0)
        die("bare: %s", strerror(errno));
}

/* The next segment of theirs; how much text it has, or -1: none now. */
static long take(struct bare *b)
{
    const uint8_t *h = b->buf + 10, *t;
    ssize_t n;

    for (;;) {
        n = read(b->fd, b->buf, BUF);
        if (n < 0)
            return -1;
        t = h + IP;
        if (n < 10 + IP + TCP || h[0] != 0x45 || h[9] != 6 ||
            (unsigned)(t[2] << 8 | t[3]) != b->sport)
            continue;
        b->una = get32(t + 8);
        b->wnd = (uint32_t)(t[14] << 8 | t[15]) << ((t[13] & 2) ? 0 : b->shift);
        return (long)n - 10 - IP - (t[12] >> 4) * 4;
    }
}

static void wait_in(struct bare *b)
{
    struct pollfd p = {.fd = b->fd, .events = POLLIN};

    if (poll(&p, 1, 2000) <= 0)
        die("bare: nothing comes any more");
}

static void open_bare(struct bare *b, const char *dev, const char *us, const char *ip,
                      uint16_t port)
{
    static uint16_t next = 20000;
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    const uint8_t *t;

    memset(b, 0, sizeof *b);
    memcpy(ifr.ifr_name, dev, strlen(dev));
    b->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (b->fd < 0 || ioctl(b->fd, TUNSETIFF, &ifr) ||
        ioctl(b->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
        die("bare: %s: %s", dev, strerror(errno));
    b->buf = malloc(BUF);
    b->sport = next++;
    b->snd = (uint32_t)(seconds_now() * 250000);
    make(b, us, ip, port, 8, 0);
    b->hdr[10 + IP + 13] = 2;
    memcpy(b->hdr + 10 + IP + TCP, "\2\4\5\xb4\3\3\x0a", 7); /* MSS 1460, window scale 10, end */
    emit(b, NULL, 0, 8);
    b->snd++;
    wait_in(b);
    while (take(b) < 0)
        wait_in(b);
    t = b->buf + 10 + IP;
    if ((t[13] & 0x12) != 0x12)
        die("bare: refused");
    for (const uint8_t *o = t + TCP; o < t + (t[12] >> 4) * 4 && *o; o += *o == 1 ? 1 : o[1])
        if (*o == 3)
            b->shift = o[2];
    b->rcv = get32(t + 4) + 1;
    make(b, us, ip, port, 0, 0);
    emit(b, NULL, 0, 0);
}

static void close_bare(struct bare *b, const char *us, const char *ip, uint16_t port)
{
    make(b, us, ip, port, 0, 0);
    b->hdr[10 + IP + 13] = 0x14; /* RST */
    emit(b, NULL, 0, 0);
    close(b->fd);
    free(b->buf);
}

double bare_out(const char *dev, const char *us, const char *ip, const struct peer *p,
                double seconds)
{
    static uint8_t text[RUN];
    struct bare b;
    double from, warm = seconds / 4, now;
    uint64_t before = 0;

    open_bare(&b, dev, us, ip, PORT_SINK);
    make(&b, us, ip, PORT_SINK, 0, RUN);
    from = seconds_now();
    while ((now = seconds_now() - from) < warm + seconds) {
        if (before == 0 && now > warm) {
            before = *p->counted;
            warm = now;
        }
        for (int i = 0; i < 8 && b.wnd - (b.snd - b.una) >= RUN && b.snd - b.una <= b.wnd; i++) {
            emit(&b, text, RUN, 0);
            b.snd += RUN;
        }
        while (take(&b) >= 0)
            ;
        if (b.wnd < RUN + (b.snd - b.una)) {
            wait_in(&b);
            while (take(&b) >= 0)
                ;
        }
    }
    now = 8 * (double)(*p->counted - before) / (seconds_now() - from - warm);
    close_bare(&b, us, ip, PORT_SINK);
    return now;
}

double bare_in(const char *dev, const char *us, const char *ip, uint16_t port, double seconds)
{
    struct bare b;
    double from, warm = seconds / 4, now;
    uint64_t sum = 0;
    bool counts = false;
    long n;

    open_bare(&b, dev, us, ip, port);
    put16(b.hdr + 10 + IP + 14, (4 << 20) >> SHIFT);
    from = seconds_now();
    while ((now = seconds_now() - from) < warm + seconds) {
        if (!counts && now > warm) {
            counts = true;
            warm = now;
            sum = 0;
        }
        wait_in(&b);
        for (int i = 0; i < 32 && (n = take(&b)) >= 0; i++) {
            if (get32(b.buf + 10 + IP + 4) == b.rcv) {
                b.rcv += (uint32_t)n;
                sum += (uint64_t)n;
            }
        }
        emit(&b, NULL, 0, 0);
    }
    now = 8 * (double)sum / (seconds_now() - from - warm);
    close_bare(&b, us, ip, port);
    return now;
}

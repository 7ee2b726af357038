/* SPDX-License-Identifier: BSD-2-Clause */
/* narrow.h - a path that is narrower than its first link: a router on the way drops what is too
 * big, and says so or does not.  Bare IP only. */
#ifndef TEST_LAB_NARROW_H
#define TEST_LAB_NARROW_H

#include "base/csum.h"
#include "lab/lab.h"
#include "wire/icmp.h"

enum narrow_manner {
    NARROW_TELLS,     /* RFC 1191 section 4, RFC 4443 section 3.2 */
    NARROW_HALF_SAYS, /* without the MTU, as routers did before RFC 1191; IPv6 has none such */
    NARROW_SILENT,    /* a black hole */
};
#define NARROW_QUEUE 256
#define NARROW_REPLY 600

struct narrow {
    estab_link link;
    estab_link *under;
    uint32_t mtu;
    enum narrow_manner manner;
    uint64_t dropped;
    uint8_t reply[NARROW_QUEUE][NARROW_REPLY];
    size_t reply_len[NARROW_QUEUE];
    uint32_t head, tail; /* replies on their way back to who sent */
};

static inline struct narrow *narrow_of(estab_link *l)
{
    return (struct narrow *)l;
}

static inline void narrow_put_csum(uint8_t *at, uint64_t sum, const uint8_t *p, size_t len)
{
    uint16_t csum;

    memset(at, 0, 2);
    csum = (uint16_t)~csum_fold(csum_add(sum, p, len));
    memcpy(at, &csum, 2);
}

/* The router has an address of its own in the hosts' network. */
static inline void narrow_says(struct narrow *w, const uint8_t *packet, size_t len)
{
    uint8_t *b = w->reply[w->tail % NARROW_QUEUE], *msg;
    const size_t quote_len = len < 500 ? len : 500;
    struct ip_hdr about, h = {.hop_limit = 64};
    struct icmp m = {.rest = w->manner == NARROW_TELLS ? w->mtu : 0};

    if (w->tail - w->head == NARROW_QUEUE)
        return; /* routers limit them, too */
    h.version = packet[0] >> 4;
    if (h.version == 4)
        assert_int_equal(ip4_parse(&about, packet, len, len, false), RULE_NONE);
    else
        assert_int_equal(ip6_parse(&about, packet, len, len), RULE_NONE);
    assert_true(about.dont_frag); /* no transport here lets its packets be cut */
    memcpy(h.src, about.src, 16);
    h.src[15] = 0xfe;
    memcpy(h.dst, about.src, 16);
    h.payload_len = (uint32_t)(ICMP_HDR_LEN + quote_len);
    msg = b + ip_hdr_len_of(h.dst);
    if (h.version == 4) {
        h.proto = IPPROTO_ICMP4;
        m.type = ICMP4_UNREACH;
        m.code = 4;
        ip4_emit(&h, b);
    } else {
        h.proto = IPPROTO_ICMP6;
        m.type = ICMP6_TOO_BIG;
        ip6_emit(&h, b);
    }
    icmp_emit(&m, msg);
    memcpy(msg + ICMP_HDR_LEN, packet, quote_len);
    narrow_put_csum(msg + 2, h.version == 4 ? 0 : ip_pseudo(h.src, h.dst, h.proto, h.payload_len),
                    msg, h.payload_len);
    w->reply_len[w->tail++ % NARROW_QUEUE] = ip_hdr_len_of(h.dst) + h.payload_len;
}

static inline int narrow_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct narrow *w = narrow_of(l);

    for (size_t i = 0; i < n; i++) {
        uint8_t packet[65536];

        if (estab_frame_len(&f[i]) <= w->mtu) {
            if (estab_link_send(w->under, &f[i], 1) < 0)
                return -1;
            continue;
        }
        w->dropped++;
        estab_frame_copy(packet, &f[i]);
        if (w->manner != NARROW_SILENT)
            narrow_says(w, packet, estab_frame_len(&f[i]));
    }
    return (int)n;
}

static inline int narrow_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct narrow *w = narrow_of(l);

    if (w->head == w->tail || n == 0)
        return estab_link_recv(w->under, f, n);
    f[0] = (struct estab_frame){.niov = 1};
    f[0].iov[0] =
        (struct estab_iov){w->reply[w->head % NARROW_QUEUE], w->reply_len[w->head % NARROW_QUEUE]};
    w->head++;
    return 1;
}

static inline int narrow_fd(const estab_link *l)
{
    (void)l;
    return -1;
}

static inline estab_time narrow_deadline(const estab_link *l)
{
    const struct narrow *w = (const struct narrow *)l;

    return w->head != w->tail ? 0 : estab_link_deadline(w->under);
}

static inline void narrow_close(estab_link *l)
{
    estab_link_close(narrow_of(l)->under);
    free(l);
}

/* Puts itself in front of what host i of the lab sends. */
static inline struct narrow *narrow_open(struct lab *l, int i, uint32_t mtu,
                                         enum narrow_manner manner)
{
    static const struct estab_link_ops ops = {
        .name = "narrow",
        .recv = narrow_recv,
        .send = narrow_send,
        .fd = narrow_fd,
        .deadline = narrow_deadline,
        .close = narrow_close,
    };
    struct narrow *w = calloc(1, sizeof *w);

    w->under = l->host[i].link;
    w->link.ops = &ops;
    w->link.caps = w->under->caps;
    w->mtu = mtu;
    w->manner = manner;
    l->host[i].link = &w->link;
    return w;
}

#endif

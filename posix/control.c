/* SPDX-License-Identifier: BSD-2-Clause */
/* control.c - control messages of datagrams (RFC 3542, ip(7), ipv6(7)): where one arrived and how,
 * and how one is to be sent.  In the order and with the lengths that Linux gives them. */
#include "posix_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* As much of it as there is room for, which MSG_CTRUNC tells. */
static void put_control(struct from *to, int level, int type, const void *val, size_t n)
{
    struct cmsghdr h = {.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
    size_t room = to->room - to->used;
    char *at = (char *)to->control + to->used;

    if (room < CMSG_LEN(n))
        to->flags |= MSG_CTRUNC;
    if (room < sizeof h)
        return;
    h.cmsg_len = h.cmsg_len < room ? h.cmsg_len : room;
    memcpy(at, &h, sizeof h);
    memcpy(at + CMSG_LEN(0), val, h.cmsg_len - CMSG_LEN(0));
    to->used += CMSG_SPACE(n) < room ? CMSG_SPACE(n) : room;
}

static void put_control4(const struct file *f, const struct estab_recv_info *info, struct from *to)
{
    struct in_pktinfo at = {.ipi_ifindex = 1};
    int ttl = info->hop_limit;

    memcpy(&at.ipi_addr, info->local.ip + 12, 4);
    at.ipi_spec_dst = at.ipi_addr;
    if (f->stored[STORED_PKTINFO])
        put_control(to, IPPROTO_IP, IP_PKTINFO, &at, sizeof at);
    if (f->stored[STORED_RECVTTL])
        put_control(to, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    if (f->stored[STORED_RECVTOS])
        put_control(to, IPPROTO_IP, IP_TOS, &info->tos, 1);
}

void control_put(const struct file *f, const struct estab_recv_info *info, struct from *to)
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    struct in6_pktinfo at = {.ipi6_ifindex = 1};
    int hops = info->hop_limit, tclass = info->tos;

    memcpy(&at.ipi6_addr, info->local.ip, 16);
    if (f->domain == AF_INET6 && f->stored[STORED_PKTINFO6])
        put_control(to, IPPROTO_IPV6, IPV6_PKTINFO, &at, sizeof at);
    if (memcmp(info->local.ip, v4, 12) == 0) {
        put_control4(f, info, to);
        return;
    }
    if (f->stored[STORED_RECVHOPS])
        put_control(to, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    if (f->stored[STORED_RECVTCLASS])
        put_control(to, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof tclass);
}

/* ---- sending ---- */

/* An address to send from: only the one that the socket is bound to. */
static int check_source(const struct file *f, const uint8_t *ip, size_t n)
{
    static const uint8_t any[16];
    struct estab_addr local;

    if (memcmp(ip, any, n) == 0)
        return 0;
    if (estab_getaddrs(f->p->stack, f->k, &local, NULL))
        return EINVAL;
    return memcmp(local.ip + 16 - n, ip, n) == 0 ? 0 : EINVAL;
}

static int get_control4(const struct file *f, const struct cmsghdr *h, struct control *c)
{
    struct in_pktinfo at;
    uint8_t octet;
    int val = 0;

    if (h->cmsg_type == IP_PKTINFO && h->cmsg_len == CMSG_LEN(sizeof at)) {
        memcpy(&at, CMSG_DATA(h), sizeof at);
        return check_source(f, (const uint8_t *)&at.ipi_spec_dst, 4);
    }
    if (h->cmsg_type == IP_TOS && h->cmsg_len == CMSG_LEN(1)) {
        memcpy(&octet, CMSG_DATA(h), 1);
        c->tos = octet;
        return 0;
    }
    if (h->cmsg_len != CMSG_LEN(sizeof val))
        return EINVAL;
    memcpy(&val, CMSG_DATA(h), sizeof val);
    if (h->cmsg_type == IP_TTL && val >= 1 && val <= 255)
        c->hops = val;
    else if (h->cmsg_type == IP_TOS && val >= 0 && val <= 255)
        c->tos = val;
    else
        return EINVAL;
    return 0;
}

static int get_control6(const struct file *f, const struct cmsghdr *h, struct control *c)
{
    struct in6_pktinfo at;
    int val = 0;

    if (h->cmsg_type == IPV6_PKTINFO && h->cmsg_len >= CMSG_LEN(sizeof at)) {
        memcpy(&at, CMSG_DATA(h), sizeof at);
        return check_source(f, (const uint8_t *)&at.ipi6_addr, 16);
    }
    if (h->cmsg_len != CMSG_LEN(sizeof val))
        return EINVAL;
    memcpy(&val, CMSG_DATA(h), sizeof val);
    if (val < -1 || val > 255) /* -1: as the socket has it */
        return EINVAL;
    if (h->cmsg_type == IPV6_HOPLIMIT)
        c->hops = val;
    else if (h->cmsg_type == IPV6_TCLASS)
        c->tos = val;
    else
        return EINVAL;
    return 0;
}

int control_get(const struct file *f, const struct msghdr *m, struct control *c)
{
    const char *end = (const char *)m->msg_control + m->msg_controllen;
    int level = f->domain == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, err = 0;
    union {
        const struct msghdr *in;
        struct msghdr *out;
    } u = {m};

    *c = (struct control){-1, -1};
    if (m->msg_controllen == 0)
        return 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h && !err; h = CMSG_NXTHDR(u.out, h)) {
        if (h->cmsg_len < sizeof *h || h->cmsg_len > (size_t)(end - (const char *)h))
            err = EINVAL;
        else if (h->cmsg_level == SOL_SOCKET)
            err = EINVAL;
        else if (h->cmsg_level == level)
            err = level == IPPROTO_IP ? get_control4(f, h, c) : get_control6(f, h, c);
    }
    return err;
}

ptrdiff_t control_send(struct file *f, const struct estab_iov *iov, size_t niov,
                       const struct estab_addr *to, const struct control *c)
{
    estab_stack *s = f->p->stack;
    uint64_t hops = 0, tos = 0;
    ptrdiff_t n;

    (void)estab_getopt(s, f->k, ESTAB_O_HOP_LIMIT, &hops);
    (void)estab_getopt(s, f->k, ESTAB_O_TOS, &tos);
    if (c && c->hops >= 0)
        (void)estab_setopt(s, f->k, ESTAB_O_HOP_LIMIT, (uint64_t)c->hops);
    if (c && c->tos >= 0)
        (void)estab_setopt(s, f->k, ESTAB_O_TOS, (uint64_t)c->tos);
    n = estab_sendto(s, f->k, iov, niov, 0, to);
    if (c && c->hops >= 0)
        (void)estab_setopt(s, f->k, ESTAB_O_HOP_LIMIT, hops);
    if (c && c->tos >= 0)
        (void)estab_setopt(s, f->k, ESTAB_O_TOS, tos);
    return n;
}

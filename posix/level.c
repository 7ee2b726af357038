/* SPDX-License-Identifier: BSD-2-Clause */
/* level.c - what poll and epoll say of a socket now, as Linux says it. */
#include "posix_int.h"

enum estab_tcp_state sock_state(const struct file *f)
{
    struct estab_tcp_info i = {.size = sizeof i};

    return estab_tcp_info(f->p->stack, f->k, &i) == 0 ? i.state : ESTAB_CLOSED;
}

bool sock_opening(const struct file *f)
{
    enum estab_tcp_state st = sock_state(f);

    return st == ESTAB_SYN_SENT || st == ESTAB_SYN_RECEIVED;
}

static uint32_t datagram_level(const struct file *f, uint32_t ev)
{
    struct estab_tcp_info i = {.size = sizeof i};
    uint32_t bits = 0;
    bool err = ev & ESTAB_EV_ERR, in = ev & ESTAB_EV_IN;

    if (err) /* which says that a read would not wait either */
        in = estab_tcp_info(f->p->stack, f->k, &i) == 0 && i.unread > 0;
    bits |= f->told || err ? EPOLLERR : 0;
    bits |= ev & ESTAB_EV_OUT ? EPOLLOUT | EPOLLWRNORM : 0;
    bits |= in ? EPOLLIN | EPOLLRDNORM : 0;
    bits |= f->rd_shut ? EPOLLIN | EPOLLRDNORM | EPOLLRDHUP : 0;
    bits |= f->rd_shut && f->wr_shut ? EPOLLHUP : 0;
    return bits;
}

/* An attempt to connect that has failed shuts the socket. */
static uint32_t closed_level(const struct file *f, uint32_t ev)
{
    const uint32_t both = EPOLLHUP | EPOLLOUT | EPOLLWRNORM;

    return both |
           (f->rd_shut || f->connecting || ev & ESTAB_EV_IN ? EPOLLIN | EPOLLRDNORM | EPOLLRDHUP
                                                            : 0);
}

uint32_t sock_level(const struct file *f)
{
    uint32_t ev = estab_ready(f->p->stack, f->k), bits = 0;
    enum estab_tcp_state st;
    bool rd, wr;

    if (f->type == SOCK_DGRAM)
        return datagram_level(f, ev);
    st = sock_state(f);
    if (st == ESTAB_LISTEN)
        return ev & ESTAB_EV_IN ? EPOLLIN | EPOLLRDNORM : 0;
    bits |= f->told || (ev & ESTAB_EV_ERR) ? EPOLLERR : 0;
    if (st == ESTAB_CLOSED)
        return bits | closed_level(f, ev);
    rd = f->rd_shut || (ev & ESTAB_EV_RDHUP);
    wr = f->wr_shut || (ev & ESTAB_EV_HUP);
    bits |= ev & ESTAB_EV_IN ? EPOLLIN | EPOLLRDNORM : 0;
    bits |= rd ? EPOLLIN | EPOLLRDNORM | EPOLLRDHUP : 0;
    bits |= ev & ESTAB_EV_OUT ? EPOLLOUT | EPOLLWRNORM : 0;
    bits |= ev & ESTAB_EV_URG ? EPOLLPRI : 0;
    bits |= rd && wr ? EPOLLHUP : 0; /* shut in both directions, whoever did it */
    return bits;
}

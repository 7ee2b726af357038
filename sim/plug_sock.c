/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_sock.c - sockets as connections: what POSIX wants of socket, bind, listen, accept, connect
 * and shutdown, where it is more than RFC 9293's calls are. */
#include "plug.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_any[16] = {[10] = 0xff, [11] = 0xff};

/* ---- addresses ---- */

/* 0, or an errno. */
static int addr_in(const struct plug_file *f, const struct sockaddr *sa, socklen_t len,
                   struct estab_addr *a)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    memset(a, 0, sizeof *a);
    if (!sa)
        return EFAULT;
    if (len < sizeof(sa_family_t))
        return EINVAL;
    if (sa->sa_family == AF_INET) {
        if (len < sizeof in)
            return EINVAL;
        if (f->domain != AF_INET)
            return EAFNOSUPPORT;
        memcpy(&in, sa, sizeof in);
        memcpy(a->ip, v4_any, 12);
        memcpy(a->ip + 12, &in.sin_addr, 4);
        a->port = ntohs(in.sin_port);
        return 0;
    }
    if (sa->sa_family != AF_INET6 || f->domain != AF_INET6)
        return EAFNOSUPPORT;
    if (len < sizeof in6)
        return EINVAL;
    memcpy(&in6, sa, sizeof in6);
    memcpy(a->ip, &in6.sin6_addr, 16);
    a->port = ntohs(in6.sin6_port);
    return 0;
}

static void addr_out(const struct plug_file *f, const struct estab_addr *a, struct sockaddr *sa,
                     socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    bool v4 = f->domain == AF_INET;
    socklen_t full = v4 ? sizeof in : sizeof in6, room;

    if (!sa || !len)
        return;
    memcpy(&in.sin_addr, a->ip + 12, 4);
    memcpy(&in6.sin6_addr, a->ip, 16);
    room = *len < full ? *len : full;
    memcpy(sa, v4 ? (void *)&in : (void *)&in6, room);
    *len = full;
}

/* ---- life ---- */

/* The core's events say which descriptor they are of. */
static void watch(struct plug *p, struct plug_file *f)
{
    (void)estab_watch(p->stack, f->k,
                      ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_ERR | ESTAB_EV_HUP | ESTAB_EV_RDHUP |
                          ESTAB_EV_URG,
                      f);
}

enum estab_tcp_state plug_state(const struct plug *p, const struct plug_file *f)
{
    struct estab_tcp_info i = {.size = sizeof i};

    return estab_tcp_info(p->stack, f->k, &i) == 0 ? i.state : ESTAB_CLOSED;
}

bool plug_opening(const struct plug *p, const struct plug_file *f)
{
    enum estab_tcp_state st = plug_state(p, f);

    return st == ESTAB_SYN_SENT || st == ESTAB_SYN_RECEIVED;
}

bool plug_opening_early(const struct plug *p, const struct plug_file *f)
{
    return plug_opening(p, f) && (estab_ready(p->stack, f->k) & ESTAB_EV_OUT);
}

/* POSIX lets a socket connect again after a failure, and connect(AF_UNSPEC) end a connection; in
 * RFC 9293's terms that is another connection under the same descriptor. */
static int renew(struct plug *p, struct plug_file *f)
{
    estab_sock k;
    int err = estab_socket(p->stack, ESTAB_TCP, &k);

    if (err)
        return estab_errno(err);
    (void)estab_abort(p->stack, f->k);
    f->k = k;
    f->connecting = f->listening = f->rd_shut = f->wr_shut = false;
    plug_opt_apply(p, f);
    watch(p, f);
    return 0;
}

int plug_socket(void *u, int domain, int type, int protocol)
{
    struct plug *p = u;
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), err;
    struct plug_file *f;

    plug_enter(p);
    if (domain != AF_INET && domain != AF_INET6)
        return (int)plug_leave(p, -1, EAFNOSUPPORT);
    if (kind != SOCK_STREAM)
        return (int)plug_leave(p, -1, ESOCKTNOSUPPORT);
    if (protocol != 0 && protocol != IPPROTO_TCP)
        return (int)plug_leave(p, -1, EPROTONOSUPPORT);
    err = plug_stack(p);
    if (err)
        return (int)plug_leave(p, -1, err);
    f = plug_file_new(p, PLUG_SOCKET);
    if (!f)
        return (int)plug_leave(p, -1, errno);
    err = estab_errno(estab_socket(p->stack, ESTAB_TCP, &f->k));
    if (err) {
        plug_file_free(p, f);
        return (int)plug_leave(p, -1, err);
    }
    f->domain = domain;
    f->nonblock = (type & SOCK_NONBLOCK) != 0;
    f->keepidle = p->set.keepidle;
    f->keepintvl = p->set.keepintvl;
    f->keepcnt = p->set.keepcnt;
    watch(p, f);
    return (int)plug_leave(p, f->fd, 0);
}

int plug_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct plug *p = u;
    struct plug_file *f;
    struct estab_addr a;
    int err = 0;

    plug_enter(p);
    f = plug_sock(p, fd, &err);
    if (f)
        err = addr_in(f, sa, len, &a);
    if (f && !err) {
        plug_own(p, a.ip);
        err = estab_errno(estab_bind(p->stack, f->k, &a));
    }
    return (int)plug_leave(p, 0, err);
}

int plug_listen(void *u, int fd, int backlog)
{
    struct plug *p = u;
    struct plug_file *f;
    int err = 0, limit;

    plug_enter(p);
    f = plug_sock(p, fd, &err);
    if (f) {
        /* Linux lets one more than the backlog wait; a negative one is as many as can be. */
        limit = backlog < 0 ? SOMAXCONN : backlog;
        err = estab_errno(
            estab_listen(p->stack, f->k, (uint32_t)limit + (p->set.profile == PLUG_LINUX)));
        if (err == EISCONN)
            err = EINVAL;
        f->listening |= !err;
        if (f->listening)
            plug_opt_listen(p, f, limit);
    }
    return (int)plug_leave(p, 0, err);
}

/* ---- accept ---- */

struct accept_op {
    struct plug_op op;
    struct plug_file *listener, *made;
    struct estab_addr peer;
};

static bool attempt_accept(struct plug *p, struct plug_op *op)
{
    struct accept_op *a = (struct accept_op *)op;
    struct plug_file *f;
    estab_sock k;
    int err;

    err = estab_accept(p->stack, a->listener->k, &k, &a->peer);
    if (err == ESTAB_E_AGAIN)
        return false;
    op->err = estab_errno(err);
    if (err)
        return true;
    f = plug_file_new(p, PLUG_SOCKET);
    if (!f) {
        op->err = errno;
        (void)estab_abort(p->stack, k);
        return true;
    }
    f->k = k;
    plug_opt_inherit(f, a->listener);
    f->nonblock = p->set.profile == PLUG_FREEBSD && a->listener->nonblock;
    watch(p, f);
    a->made = f;
    op->ret = f->fd;
    return true;
}

int plug_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len)
{
    struct plug *p = u;
    struct accept_op a = {0};
    int err = 0, ret;

    plug_enter(p);
    a.listener = plug_sock(p, fd, &err);
    if (!a.listener)
        return (int)plug_leave(p, -1, err);
    plug_op_init(&a.op, attempt_accept);
    if (a.listener->rcvtimeo)
        a.op.until = p->world.now + a.listener->rcvtimeo;
    ret = (int)plug_wait(p, &a.op, a.listener->nonblock, EAGAIN);
    if (ret >= 0)
        addr_out(a.made, &a.peer, sa, len);
    return ret;
}

/* ---- connect ---- */

struct connect_op {
    struct plug_op op;
    struct plug_file *f;
};

/* What became of the attempt; told once, then the socket may try again. */
bool plug_connected(struct plug *p, struct plug_file *f, int *error)
{
    uint64_t err = 0;

    if (plug_opening(p, f) && !plug_opening_early(p, f))
        return false;
    f->connecting = false;
    (void)estab_getopt(p->stack, f->k, ESTAB_O_ERROR, &err);
    if (err)
        *error = estab_errno(-(int)err);
    else if (f->told)
        *error = f->told;
    else if (plug_state(p, f) == ESTAB_CLOSED)
        *error = ECONNABORTED; /* its error was read with SO_ERROR */
    f->told = 0;
    if (*error)
        (void)renew(p, f);
    return true;
}

static bool attempt_connected(struct plug *p, struct plug_op *op)
{
    op->ret = 0;
    return plug_connected(p, ((struct connect_op *)op)->f, &op->err);
}

static int disconnect(struct plug *p, struct plug_file *f)
{
    return renew(p, f);
}

/* A connection comes from an address of ours: the one that was told, or the usual one. */
static void own_source(struct plug *p, const struct estab_addr *peer)
{
    plug_own(p, memcmp(peer->ip, v4_any, 12) == 0 ? p->set.local4 : p->set.local6);
}

/* 0: wait for it; else an errno. */
static int begin_connect(struct plug *p, struct plug_file *f, const struct sockaddr *sa,
                         socklen_t len)
{
    struct estab_addr a;
    int err = addr_in(f, sa, len, &a);

    if (err)
        return err;
    if (f->connecting)
        return plug_opening(p, f) && f->nonblock ? EALREADY : 0;
    if (f->listening)
        return EISCONN;
    own_source(p, &a);
    (void)estab_setopt(p->stack, f->k, ESTAB_O_FASTOPEN, f->fast);
    err = estab_connect(p->stack, f->k, &a);
    if (err == ESTAB_E_ISCONN && plug_state(p, f) == ESTAB_CLOSED) {
        err = renew(p, f);
        if (err)
            return err;
        (void)estab_setopt(p->stack, f->k, ESTAB_O_FASTOPEN, f->fast);
        err = estab_connect(p->stack, f->k, &a);
    }
    if (err == ESTAB_E_INUSE)
        return EADDRNOTAVAIL; /* as connect(2) says it: the tuple, or every port, is taken */
    if (err != ESTAB_E_INPROGRESS)
        return estab_errno(err);
    f->connecting = true;
    return 0;
}

int plug_connect_fast(struct plug *p, struct plug_file *f, const struct sockaddr *sa, socklen_t len)
{
    bool was = f->fast;
    int err;

    if (!p->set.fastopen_client || (sa && len >= sizeof(sa_family_t) && sa->sa_family == AF_UNSPEC))
        return EOPNOTSUPP;
    if (f->connecting)
        return EALREADY;
    f->fast = true;
    err = begin_connect(p, f, sa, len);
    f->fast = was;
    return err;
}

int plug_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
    struct plug *p = u;
    struct connect_op c = {0};
    int err = 0;

    plug_enter(p);
    c.f = plug_sock(p, fd, &err);
    if (c.f && sa && len >= sizeof(sa_family_t) && sa->sa_family == AF_UNSPEC)
        return (int)plug_leave(p, 0, disconnect(p, c.f));
    if (c.f)
        err = begin_connect(p, c.f, sa, len);
    if (err)
        return (int)plug_leave(p, -1, err);
    plug_op_init(&c.op, attempt_connected);
    if (c.f->sndtimeo)
        c.op.until = p->world.now + c.f->sndtimeo;
    c.op.late_err = EINPROGRESS;
    plug_run(p);
    return (int)plug_wait(p, &c.op, c.f->nonblock, EINPROGRESS);
}

/* ---- shutdown and close ---- */

/* Linux: a listener that is shut down stops listening; a second shutdown is no error. */
static int shut(struct plug *p, struct plug_file *f, int how)
{
    static const enum estab_how hows[] = {ESTAB_SHUT_RD, ESTAB_SHUT_WR, ESTAB_SHUT_RDWR};
    enum estab_tcp_state st = plug_state(p, f);
    int err;

    if (how < 0 || how > 2)
        return EINVAL;
    if (st == ESTAB_LISTEN && how != SHUT_WR)
        return renew(p, f);
    if (st == ESTAB_CLOSED || st == ESTAB_LISTEN || st == ESTAB_TIME_WAIT)
        return ENOTCONN;
    f->rd_shut |= how != SHUT_WR;
    f->wr_shut |= how != SHUT_RD;
    err = estab_shutdown(p->stack, f->k, hows[how]);
    plug_epoll_happened(p, f->fd);
    return err == ESTAB_E_PIPE ? 0 : estab_errno(err);
}

int plug_shutdown(void *u, int fd, int how)
{
    struct plug *p = u;
    struct plug_file *f;
    int err = 0;

    plug_enter(p);
    f = plug_sock(p, fd, &err);
    if (f)
        err = shut(p, f, how);
    return (int)plug_leave(p, 0, err);
}

/* ---- close, as SO_LINGER wants it ---- */

struct linger_op {
    struct plug_op op;
    struct plug_file *f;
};

/* "All queued messages for the socket have been successfully sent": the FIN is acknowledged. */
static bool attempt_lingered(struct plug *p, struct plug_op *op)
{
    switch (plug_state(p, ((struct linger_op *)op)->f)) {
    case ESTAB_FIN_WAIT_1:
    case ESTAB_CLOSING:
    case ESTAB_LAST_ACK:
        return false;
    default:
        return true;
    }
}

void plug_linger(struct plug *p, struct plug_file *f)
{
    struct linger_op l = {.f = f};
    enum estab_tcp_state st = plug_state(p, f);

    if (st != ESTAB_ESTABLISHED && st != ESTAB_CLOSE_WAIT && st != ESTAB_FIN_WAIT_1 &&
        st != ESTAB_CLOSING && st != ESTAB_LAST_ACK) {
        (void)plug_leave(p, 0, 0);
        return;
    }
    (void)estab_shutdown(p->stack, f->k, ESTAB_SHUT_WR);
    plug_op_init(&l.op, attempt_lingered);
    if (f->linger_s > 0)
        l.op.until = p->world.now + ESTAB_S((unsigned)f->linger_s);
    (void)plug_wait(p, &l.op, false, 0);
}

int plug_sock_close(struct plug *p, struct plug_file *f)
{
    bool abort = f->linger_on && f->linger_s == 0; /* no time at all: ABORT */

    return estab_errno(abort ? estab_abort(p->stack, f->k) : estab_close(p->stack, f->k));
}

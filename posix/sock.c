/* SPDX-License-Identifier: BSD-2-Clause */
/* sock.c - a socket's life under its descriptor: addresses, errors, beginning and end. */
#include "posix_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t v4_any[16] = {[10] = 0xff, [11] = 0xff};

/* ---- addresses ---- */

static int addr_from4(const struct sockaddr *sa, struct estab_addr *a)
{
    struct sockaddr_in in;

    memcpy(&in, sa, sizeof in);
    memcpy(a->ip, v4_any, 12);
    memcpy(a->ip + 12, &in.sin_addr, 4);
    a->port = ntohs(in.sin_port);
    return 0;
}

int addr_from(const struct file *f, const struct sockaddr *sa, socklen_t len, struct estab_addr *a)
{
    struct sockaddr_in6 in6;

    memset(a, 0, sizeof *a);
    if (!sa)
        return EFAULT;
    if (len < sizeof(sa_family_t))
        return EINVAL;
    if (f->domain == AF_INET) {
        if (len < sizeof(struct sockaddr_in))
            return EINVAL;
        return sa->sa_family == AF_INET ? addr_from4(sa, a) : EAFNOSUPPORT;
    }
    if (len < offsetof(struct sockaddr_in6, sin6_scope_id)) /* RFC 2133 had no scope */
        return EINVAL;
    if (sa->sa_family != AF_INET6)
        return EAFNOSUPPORT;
    memset(&in6, 0, sizeof in6);
    memcpy(&in6, sa, len < sizeof in6 ? len : sizeof in6);
    memcpy(a->ip, &in6.sin6_addr, 16);
    a->port = ntohs(in6.sin6_port);
    if (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80)
        a->scope = (uint16_t)in6.sin6_scope_id;
    return 0;
}

void addr_to(const struct file *f, const struct estab_addr *a, struct sockaddr *sa, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
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

void sock_watch(struct file *f)
{
    (void)estab_watch(f->p->stack, f->k,
                      ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_ERR | ESTAB_EV_HUP | ESTAB_EV_RDHUP |
                          ESTAB_EV_URG | ESTAB_EV_FLUSHED,
                      f);
}

struct file *sock_install(estab_posix *p, estab_sock k, int fd, int domain, int type, int flags)
{
    struct file *f = file_new(FILE_SOCKET);

    if (!f) {
        close(fd);
        (void)estab_abort(p->stack, k);
        return NULL;
    }
    f->shard = p->shard;
    f->p = p;
    f->k = k;
    f->fd = fd;
    f->nfds = 1;
    f->domain = domain;
    f->type = type;
    f->mirror = p->mirror;
    f->keepidle = 7200;
    f->keepintvl = 75;
    f->keepcnt = 9;
    atomic_store(&f->nonblock, (flags & SOCK_NONBLOCK) != 0);
    f->next = p->files;
    f->at = &p->files;
    if (f->next)
        f->next->at = &f->next;
    p->files = f;
    p->shard->nfiles++;
    sock_watch(f);
    return f;
}

int sock_renew(struct file *f)
{
    estab_sock k;
    int err = estab_socket(f->p->stack, ESTAB_TCP, &k);

    if (err)
        return estab_errno(err);
    opt_carry(f, k);
    (void)estab_abort(f->p->stack, f->k);
    f->k = k;
    f->connecting = f->connected = f->listening = f->ended = f->rd_shut = f->wr_shut = false;
    opt_apply(f);
    sock_watch(f);
    return 0;
}

estab_time until_after(const struct file *f, estab_dur d)
{
    return d ? shard_now(f->shard) + d : ESTAB_NEVER;
}

ssize_t call_end(struct file *f, ssize_t ret, int err)
{
    if (f->p)
        mirror_settle(f, err == EAGAIN || err == EINPROGRESS);
    shard_unlock(f->shard);
    file_put(f);
    if (err) {
        errno = err;
        return -1;
    }
    return ret;
}

/* "All queued messages for the socket have been successfully sent" (POSIX): the FIN is
 * acknowledged, which section 3.6 of RFC 9293 calls FIN-WAIT-2 or CLOSED. */
static void linger(struct file *f)
{
    estab_time until = until_after(f, f->linger_s < 0 ? 0 : ESTAB_S((unsigned)f->linger_s));
    enum estab_tcp_state st = sock_state(f);

    if (st != ESTAB_ESTABLISHED && st != ESTAB_CLOSE_WAIT && st != ESTAB_FIN_WAIT_1 &&
        st != ESTAB_CLOSING && st != ESTAB_LAST_ACK)
        return;
    (void)estab_shutdown(f->p->stack, f->k, ESTAB_SHUT_WR);
    while (!(estab_ready(f->p->stack, f->k) & ESTAB_EV_FLUSHED))
        if (wait_file(f, ESTAB_EV_FLUSHED, false, until))
            break;
}

void sock_release(struct file *f)
{
    int before = errno, kept = f->kept ? f->fd : -1;

    shard_lock(f->shard);
    f->watches = NULL;
    if (f->p && f->type == SOCK_STREAM && f->linger_on && f->linger_s != 0 && !file_nonblock(f))
        linger(f);
    mirror_forget(f);
    f->mirror = ESTAB_MIRROR_NEVER;
    if (f->p) {
        *f->at = f->next;
        if (f->next)
            f->next->at = f->at;
        if (f->type == SOCK_STREAM && f->linger_on && f->linger_s == 0)
            (void)estab_abort(f->p->stack, f->k);
        else if (estab_close(f->p->stack, f->k))
            (void)estab_abort(f->p->stack, f->k);
    }
    f->shard->nfiles--;
    shard_leave(f->shard);
    if (kept >= 0)
        close(kept);
    errno = before;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call.c - the system calls of a script.
 *
 * A call is prepared (its arguments become C's), made, and checked (its result, and what it wrote).
 * Only the second is done by another thread if the call may block; the main thread does not go on
 * until that thread is back or blocked, so that a run depends on no scheduler.  "..." stands for
 * what follows from the others: an address, a buffer of zeros, a length. */
#include "script.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MAX = 8, VECTOR_MAX = 64, NO_FD = 1 << 24, VALUE_MAX = 4096 };

struct call_state {
    struct run *r;
    struct script_event *e;
    const struct call *type;
    struct expr *arg[ARGS_MAX];
    int nargs;

    int fd;    /* live */
    int n[3];  /* other numbers, in their order */
    void *buf; /* what is read or written; NULL is a test of its own */
    size_t len;
    struct sockaddr_storage sa;
    socklen_t sa_len;
    bool has_sa;
    bool opens; /* begins a connection */
    struct iovec iov[VECTOR_MAX];
    int niov;
    struct msghdr msg;
    struct pollfd fds[VECTOR_MAX];
    struct epoll_event ev[VECTOR_MAX];
    uint8_t value[VALUE_MAX];
    socklen_t value_len;
    int two[2];

    long long ret;
    int err;
    long long begun, ended; /* script time */
};

struct call {
    const char *name;
    int least, most; /* arguments */
    void (*prepare)(struct call_state *c);
    long long (*make)(struct call_state *c, const struct packetdrill_interface *io);
    void (*check)(struct call_state *c); /* what it wrote; NULL: nothing */
    bool gives_fd;
};

/* ---- values ---- */

static _Noreturn void refuse_arg(const struct call_state *c, int i, const char *what)
{
    script_refuse(c->r->s, c->e->line, "%s(): argument %d: %s", c->type->name, i + 1, what);
}

static long long name_number(const struct call_state *c, const struct expr *e)
{
    const char *text = e->text, *defined = script_defined(c->r->s, text);
    char *end;
    long long v;

    if (defined)
        text = defined;
    v = strtoll(text, &end, 0);
    if (*text && *end == '\0')
        return v;
    if (!name_value(text, &v))
        script_refuse(c->r->s, e->line, "%s(): '%s' is not known", c->type->name, text);
    return v;
}

static long long evaluate_one(const struct call_state *c, const struct expr *e)
{
    if (e && e->kind == EXPR_INT)
        return e->num;
    if (e && e->kind == EXPR_NAME)
        return name_number(c, e);
    script_refuse(c->r->s, e ? e->line : c->e->line, "%s(): a number or a name is needed here",
                  c->type->name);
}

static long long evaluate(const struct call_state *c, const struct expr *e)
{
    long long v = 0;

    if (e->kind == EXPR_OR)
        for (const struct expr *i = e->items; i; i = i->next)
            v |= evaluate_one(c, i);
    else if (e->kind == EXPR_CALL && strcmp(e->text, "htons") == 0)
        v = htons((uint16_t)evaluate_one(c, e->items));
    else if (e->kind == EXPR_CALL && strcmp(e->text, "htonl") == 0)
        v = htonl((uint32_t)evaluate_one(c, e->items));
    else
        v = evaluate_one(c, e);
    return v;
}

static bool is_any(const struct expr *e)
{
    return !e || e->kind == EXPR_ANY;
}

static bool is_null(const struct expr *e)
{
    return e && e->kind == EXPR_NAME && strcmp(e->text, "NULL") == 0;
}

static int number_arg(const struct call_state *c, int i)
{
    if (i >= c->nargs || is_any(c->arg[i]))
        refuse_arg(c, i, "a number is needed");
    return (int)evaluate(c, c->arg[i]);
}

static size_t size_arg(const struct call_state *c, int i)
{
    long long n;

    if (i >= c->nargs || is_any(c->arg[i]))
        refuse_arg(c, i, "a length is needed");
    n = evaluate(c, c->arg[i]);
    if (n < 0 || n > 1 << 30)
        refuse_arg(c, i, "no length");
    return (size_t)n;
}

int run_live_fd(const struct run *r, int script_fd)
{
    for (int i = r->nfds; i-- > 0;)
        if (r->fds[i].script == script_fd)
            return r->fds[i].live;
    return script_fd < 0 ? script_fd : NO_FD; /* nobody's */
}

static struct fd_pair *pair_of(struct run *r, int live)
{
    for (int i = r->nfds; i-- > 0;)
        if (r->fds[i].live == live)
            return &r->fds[i];
    return NULL;
}

static void fd_arg(struct call_state *c)
{
    c->fd = run_live_fd(c->r, number_arg(c, 0));
}

static void *zeros(const struct call_state *c, size_t n)
{
    return arena_get(&c->r->s->arena, n ? n : 1);
}

/* What is written: zeros, or a string and zeros. */
static void *out_buffer(struct call_state *c, const struct expr *e, size_t n)
{
    uint8_t *buf;

    if (is_null(e))
        return NULL;
    buf = zeros(c, n);
    if (e && e->kind == EXPR_STRING) {
        memcpy(buf, e->text, (size_t)e->num < n ? (size_t)e->num : n);
        c->r->wrote_text = true;
    } else if (!is_any(e)) {
        script_refuse(c->r->s, e->line, "%s(): octets are written \"text\" or ...", c->type->name);
    }
    return buf;
}

static const uint8_t untouched =
    0xa5; /* what stands in a buffer before something is read into it */

static void *in_buffer(struct call_state *c, const struct expr *e, size_t n)
{
    void *buf;

    if (is_null(e))
        return NULL;
    if (!is_any(e) && e->kind != EXPR_STRING)
        script_refuse(c->r->s, e->line, "%s(): a buffer is written ... or \"text\"", c->type->name);
    buf = zeros(c, n);
    memset(buf, untouched, n);
    return buf;
}

static _Noreturn void wrong(const struct call_state *c, const char *what, long long came,
                            long long wanted)
{
    script_fail(c->r->s, c->e->line, "%s(): %s\n  expected: %lld\n  came:     %lld\n",
                c->type->name, what, wanted, came);
}

/* A script sends zeros; they, or the string that it says, must come out. */
static void check_octets(const struct call_state *c, const struct expr *e, const uint8_t *buf,
                         size_t n)
{
    for (size_t i = 0; buf && i < n; i++) {
        uint8_t wanted =
            e && e->kind == EXPR_STRING && (long long)i < e->num ? (uint8_t)e->text[i] : 0;

        if (buf[i] != wanted)
            wrong(c, "an octet that was not sent", buf[i], wanted);
    }
}

/* ---- addresses ---- */

static void put_addr(struct call_state *c, const uint8_t ip[16], uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memcpy(&in.sin_addr, ip + 12, 4);
    memcpy(&in6.sin6_addr, ip, 16);
    if (c->r->v6 || c->r->mapped) {
        memcpy(&c->sa, &in6, sizeof in6);
        c->sa_len = sizeof in6;
    } else {
        memcpy(&c->sa, &in, sizeof in);
        c->sa_len = sizeof in;
    }
    c->has_sa = true;
}

static const struct expr *field(const struct expr *e, const char *name)
{
    const struct expr *i;

    for (i = e && e->kind == EXPR_STRUCT ? e->items : NULL; i; i = i->next)
        if (i->kind == EXPR_FIELD && strcmp(i->text, name) == 0)
            return i->items;
    return NULL;
}

static void parse_ip(struct call_state *c, const struct expr *e, int family, void *to)
{
    if (e->kind == EXPR_NAME || e->kind == EXPR_INT) {
        uint32_t v = htonl((uint32_t)evaluate(c, e));

        memcpy(to, &v, 4);
        return;
    }
    if (e->kind != EXPR_CALL || !e->items || e->items->kind != EXPR_STRING ||
        inet_pton(family, e->items->text, to) != 1)
        script_refuse(c->r->s, e->line,
                      "%s(): an address is written inet_addr(\"192.0.2.1\") or "
                      "inet6_addr(\"2001:db8::1\")",
                      c->type->name);
}

/* {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("192.168.0.1")} */
static void struct_addr(struct call_state *c, const struct expr *e)
{
    const struct expr *family = field(e, "sa_family"), *port, *addr;
    struct sockaddr_in in = {0};
    struct sockaddr_in6 in6 = {0};
    int af;

    if (!family)
        family = field(e, "sin_family");
    if (!family)
        family = field(e, "sin6_family");
    if (!family)
        script_refuse(c->r->s, e->line, "%s(): an address without sa_family", c->type->name);
    af = (int)evaluate(c, family);
    port = field(e, af == AF_INET6 && field(e, "sin6_port") ? "sin6_port" : "sin_port");
    addr = field(e, af == AF_INET6 && field(e, "sin6_addr") ? "sin6_addr" : "sin_addr");
    c->has_sa = true;
    if (af == AF_INET6) {
        in6.sin6_family = AF_INET6;
        in6.sin6_port = port ? (in_port_t)evaluate(c, port) : 0;
        if (addr)
            parse_ip(c, addr, AF_INET6, &in6.sin6_addr);
        memcpy(&c->sa, &in6, sizeof in6);
        c->sa_len = sizeof in6;
        return;
    }
    in.sin_family = (sa_family_t)af;
    in.sin_port = port ? (in_port_t)evaluate(c, port) : 0;
    if (addr)
        parse_ip(c, addr, AF_INET, &in.sin_addr);
    memcpy(&c->sa, &in, sizeof in);
    c->sa_len = sizeof in;
}

static void addr_args(struct call_state *c, int i, const uint8_t ip[16], uint16_t port)
{
    if (is_null(c->arg[i]))
        c->has_sa = false;
    else if (is_any(c->arg[i]))
        put_addr(c, ip, port);
    else
        struct_addr(c, c->arg[i]);
    if (i + 1 < c->nargs && !is_any(c->arg[i + 1]))
        c->sa_len = (socklen_t)evaluate(c, c->arg[i + 1]);
}

static struct sockaddr *sa_of(struct call_state *c)
{
    return c->has_sa ? (struct sockaddr *)&c->sa : NULL;
}

static uint16_t sa_port(const struct call_state *c)
{
    struct sockaddr_in in;

    memcpy(&in, &c->sa, sizeof in); /* the port is at the same place in both families */
    return ntohs(in.sin_port);
}

static void sa_ip(const struct call_state *c, uint8_t ip[16])
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    memcpy(&in, &c->sa, sizeof in);
    memcpy(&in6, &c->sa, sizeof in6);
    memset(ip, 0, 16);
    if (in.sin_family == AF_INET6) {
        memcpy(ip, &in6.sin6_addr, 16);
        return;
    }
    ip[10] = ip[11] = 0xff;
    memcpy(ip + 12, &in.sin_addr, 4);
}

/* ---- sockets ---- */

static void prepare_socket(struct call_state *c)
{
    c->n[0] = is_any(c->arg[0]) ? (c->r->v6 || c->r->mapped ? AF_INET6 : AF_INET)
                                : (int)evaluate(c, c->arg[0]);
    c->n[1] = number_arg(c, 1);
    c->n[2] = number_arg(c, 2);
}

static long long make_socket(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->socket(io->userdata, c->n[0], c->n[1], c->n[2]);
}

static void prepare_bind(struct call_state *c)
{
    fd_arg(c);
    addr_args(c, 1, c->r->local, c->r->bind_port);
}

static long long make_bind(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->bind(io->userdata, c->fd, sa_of(c), c->sa_len);
}

/* Packets that a script does not address go to the port that was bound last. */
static void check_bind(struct call_state *c)
{
    if (sa_port(c))
        c->r->bind_port = sa_port(c);
}

static void prepare_fd_int(struct call_state *c)
{
    fd_arg(c);
    c->n[0] = number_arg(c, 1);
}

static long long make_listen(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->listen(io->userdata, c->fd, c->n[0]);
}

static void check_listen(struct call_state *c)
{
    c->r->current = NULL; /* the next SYN is the first of a connection */
}

static void prepare_accept(struct call_state *c)
{
    fd_arg(c);
    c->has_sa = !is_null(c->arg[1]);
    c->sa_len = sizeof c->sa;
}

static long long make_accept(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->accept(io->userdata, c->fd, sa_of(c), c->has_sa ? &c->sa_len : NULL);
}

/* The connection that the call begins is the one at hand. */
static void begin_connection(struct call_state *c)
{
    struct fd_pair *pair = pair_of(c->r, c->fd);
    uint8_t to[16];

    if (!pair || !c->has_sa || c->sa.ss_family == AF_UNSPEC || pair->connected)
        return;
    pair->connected = c->opens = true;
    sa_ip(c, to);
    c->r->current = conn_new(c->r, to, sa_port(c));
}

static void prepare_connect(struct call_state *c)
{
    fd_arg(c);
    addr_args(c, 1, c->r->remote, c->r->connect_port);
    begin_connection(c);
}

static long long make_connect(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->connect(io->userdata, c->fd, sa_of(c), c->sa_len);
}

static void prepare_fd(struct call_state *c)
{
    fd_arg(c);
}

static long long make_close(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->close(io->userdata, c->fd);
}

static void check_close(struct call_state *c)
{
    struct fd_pair *pair = pair_of(c->r, c->fd);

    if (pair)
        *pair = c->r->fds[--c->r->nfds];
    if (c->r->last_fd == c->fd)
        c->r->last_fd = c->r->nfds ? c->r->fds[c->r->nfds - 1].live : -1;
}

static long long make_shutdown(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->shutdown(io->userdata, c->fd, c->n[0]);
}

/* ---- reading and writing ---- */

static void prepare_in(struct call_state *c)
{
    fd_arg(c);
    c->len = size_arg(c, 2);
    c->buf = in_buffer(c, c->arg[1], c->len);
    c->n[0] = c->nargs > 3 ? number_arg(c, 3) : 0;
    c->sa_len = sizeof c->sa;
    c->has_sa = c->nargs > 4 && !is_null(c->arg[4]);
}

static void prepare_out(struct call_state *c)
{
    fd_arg(c);
    c->len = size_arg(c, 2);
    c->buf = out_buffer(c, c->arg[1], c->len);
    c->n[0] = c->nargs > 3 ? number_arg(c, 3) : 0;
    if (c->nargs > 4)
        addr_args(c, 4, c->r->remote, c->r->connect_port);
    if (c->n[0] & MSG_FASTOPEN)
        begin_connection(c);
}

static void check_in(struct call_state *c)
{
    if (c->ret > 0 && !(c->n[0] & MSG_TRUNC))
        check_octets(c, c->arg[1], c->buf, (size_t)c->ret);
}

static long long make_read(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->read(io->userdata, c->fd, c->buf, c->len);
}

static long long make_write(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->write(io->userdata, c->fd, c->buf, c->len);
}

static long long make_recv(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->recv(io->userdata, c->fd, c->buf, c->len, c->n[0]);
}

static long long make_send(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->send(io->userdata, c->fd, c->buf, c->len, c->n[0]);
}

static long long make_recvfrom(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->recvfrom(io->userdata, c->fd, c->buf, c->len, c->n[0], sa_of(c),
                        c->has_sa ? &c->sa_len : NULL);
}

static long long make_sendto(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->sendto(io->userdata, c->fd, c->buf, c->len, c->n[0], sa_of(c),
                      c->has_sa ? c->sa_len : 0);
}

/* [{..., 10}, {"text", 4}] */
static void vector(struct call_state *c, const struct expr *e, bool out)
{
    const struct expr *i, *base, *len;

    if (!e || e->kind != EXPR_ARRAY)
        script_refuse(c->r->s, c->e->line, "%s(): a vector is written [{..., 10}, {..., 20}]",
                      c->type->name);
    for (i = e->items; i; i = i->next) {
        base = field(i, "iov_base");
        len = field(i, "iov_len");
        if (i->kind == EXPR_STRUCT && i->items && i->items->kind != EXPR_FIELD) {
            base = i->items;
            len = base->next;
        }
        if (!len || c->niov == VECTOR_MAX)
            script_refuse(c->r->s, i->line,
                          "%s(): a piece is written {..., 10}, and there are at "
                          "most %d",
                          c->type->name, VECTOR_MAX);
        c->iov[c->niov].iov_len = (size_t)evaluate(c, len);
        c->iov[c->niov].iov_base = out ? out_buffer(c, base, c->iov[c->niov].iov_len)
                                       : in_buffer(c, base, c->iov[c->niov].iov_len);
        c->niov++;
    }
}

static void prepare_readv(struct call_state *c)
{
    fd_arg(c);
    vector(c, c->arg[1], false);
    c->n[0] = number_arg(c, 2);
}

static void prepare_writev(struct call_state *c)
{
    fd_arg(c);
    vector(c, c->arg[1], true);
    c->n[0] = number_arg(c, 2);
}

static long long make_readv(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->readv(io->userdata, c->fd, c->iov, c->n[0]);
}

static long long make_writev(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->writev(io->userdata, c->fd, c->iov, c->n[0]);
}

static void check_vector(struct call_state *c)
{
    size_t left = c->ret > 0 ? (size_t)c->ret : 0;

    for (int i = 0; i < c->niov && left; i++) {
        size_t n = c->iov[i].iov_len < left ? c->iov[i].iov_len : left;

        check_octets(c, NULL, c->iov[i].iov_base, n);
        left -= n;
    }
}

/* {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0, msg_control=[...]} */
static void prepare_msg(struct call_state *c, bool out)
{
    const struct expr *m = c->arg[1];
    size_t room = 512;

    fd_arg(c);
    if (!m || m->kind != EXPR_STRUCT)
        refuse_arg(c, 1,
                   "a message is written {msg_name(...)=..., msg_iov(1)=[{..., 10}], "
                   "msg_flags=0}");
    vector(c, field(m, "msg_iov"), out);
    c->n[0] = c->nargs > 2 ? number_arg(c, 2) : 0;
    c->msg.msg_iov = c->iov;
    c->msg.msg_iovlen = (size_t)c->niov;
    if (out && field(m, "msg_control") && field(m, "msg_control")->items)
        refuse_arg(c, 1, "control messages are not sent");
    if (!out) {
        c->msg.msg_control = zeros(c, room);
        c->msg.msg_controllen = room;
    }
}

static void prepare_recvmsg(struct call_state *c)
{
    prepare_msg(c, false);
}

static void prepare_sendmsg(struct call_state *c)
{
    prepare_msg(c, true);
    if (c->n[0] & MSG_FASTOPEN) {
        put_addr(c, c->r->remote, c->r->connect_port);
        c->msg.msg_name = &c->sa;
        c->msg.msg_namelen = c->sa_len;
        begin_connection(c);
    }
}

static long long make_recvmsg(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->recvmsg(io->userdata, c->fd, &c->msg, c->n[0]);
}

static long long make_sendmsg(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->sendmsg(io->userdata, c->fd, &c->msg, c->n[0]);
}

static void check_control(struct call_state *c, const struct expr *list)
{
    struct cmsghdr *h = CMSG_FIRSTHDR(&c->msg);

    for (const struct expr *i = list->items; i; i = i->next, h = CMSG_NXTHDR(&c->msg, h)) {
        const struct expr *level = field(i, "cmsg_level"), *type = field(i, "cmsg_type");
        const struct expr *data = field(i, "cmsg_data");
        int v;

        if (!level || !type || !data)
            script_refuse(c->r->s, i->line,
                          "%s(): a control message is written {cmsg_level=..., "
                          "cmsg_type=..., cmsg_data=...}",
                          c->type->name);
        if (!h)
            script_fail(c->r->s, c->e->line, "%s(): a control message is missing\n", c->type->name);
        if (h->cmsg_level != evaluate(c, level))
            wrong(c, "cmsg_level", h->cmsg_level, evaluate(c, level));
        if (h->cmsg_type != evaluate(c, type))
            wrong(c, "cmsg_type", h->cmsg_type, evaluate(c, type));
        memcpy(&v, CMSG_DATA(h), sizeof v);
        if (!is_any(data) && v != evaluate(c, data))
            wrong(c, "cmsg_data", v, evaluate(c, data));
    }
    if (h)
        script_fail(c->r->s, c->e->line, "%s(): a control message too many: level %d, type %d\n",
                    c->type->name, h->cmsg_level, h->cmsg_type);
}

static void check_recvmsg(struct call_state *c)
{
    const struct expr *flags = field(c->arg[1], "msg_flags");
    const struct expr *control = field(c->arg[1], "msg_control");

    if (c->ret < 0)
        return;
    check_vector(c);
    if (!is_any(flags) && c->msg.msg_flags != evaluate(c, flags))
        wrong(c, "msg_flags", c->msg.msg_flags, evaluate(c, flags));
    if (!is_any(control))
        check_control(c, control);
}

/* ---- options, fcntl, ioctl ---- */

static void put_value(struct call_state *c, const void *v, size_t n)
{
    if (c->value_len + n <= sizeof c->value) {
        memcpy(c->value + c->value_len, v, n);
        c->value_len += (socklen_t)n;
    }
}

static void put_int(struct call_state *c, long long v)
{
    int n = (int)v;

    put_value(c, &n, sizeof n);
}

static bool put_struct(struct call_state *c, const struct expr *e)
{
    const struct expr *onoff = field(e, "onoff"), *linger = field(e, "linger");
    const struct expr *sec = field(e, "tv_sec"), *usec = field(e, "tv_usec");
    struct timeval tv;

    if (!onoff)
        onoff = field(e, "l_onoff");
    if (!linger)
        linger = field(e, "l_linger");
    if (onoff && linger) {
        put_int(c, evaluate(c, onoff));
        put_int(c, evaluate(c, linger));
        return true;
    }
    if (!sec || !usec)
        return false;
    tv.tv_sec = (time_t)evaluate(c, sec);
    tv.tv_usec = (suseconds_t)evaluate(c, usec);
    put_value(c, &tv, sizeof tv);
    return true;
}

/* [1], {onoff=1, linger=0}, {tv_sec=1, tv_usec=0}, "newreno", or nothing that is known: false. */
static bool option_value(struct call_state *c, const struct expr *e)
{
    const struct expr *i;

    c->value_len = 0;
    switch (e->kind) {
    case EXPR_ARRAY:
        for (i = e->items; i; i = i->next)
            if (i->kind == EXPR_STRUCT ? !put_struct(c, i) : is_any(i))
                return false;
            else if (i->kind != EXPR_STRUCT)
                put_int(c, evaluate(c, i));
        return true;
    case EXPR_INT:
    case EXPR_NAME:
    case EXPR_OR:
        put_int(c, evaluate(c, e));
        return true;
    case EXPR_STRING:
        put_value(c, e->text, (size_t)e->num);
        return true;
    case EXPR_STRUCT:
        return put_struct(c, e);
    default:
        return false;
    }
}

static void prepare_setsockopt(struct call_state *c)
{
    fd_arg(c);
    c->n[0] = number_arg(c, 1);
    c->n[1] = number_arg(c, 2);
    c->buf = is_null(c->arg[3]) ? NULL : c->value;
    if (c->buf && !option_value(c, c->arg[3]))
        refuse_arg(c, 3,
                   "a value is written [1], \"name\", {onoff=1, linger=0} or {tv_sec=1, "
                   "tv_usec=0}");
    c->len = is_any(c->arg[4]) ? c->value_len : size_arg(c, 4);
    if (c->len > sizeof c->value)
        refuse_arg(c, 4, "too long");
}

static long long make_setsockopt(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->setsockopt(io->userdata, c->fd, c->n[0], c->n[1], c->buf, (socklen_t)c->len);
}

/* [4], or 4. */
static const struct expr *inside(const struct expr *e)
{
    return e && e->kind == EXPR_ARRAY ? e->items : e;
}

static void prepare_getsockopt(struct call_state *c)
{
    const struct expr *len = inside(c->arg[4]);

    fd_arg(c);
    c->n[0] = number_arg(c, 1);
    c->n[1] = number_arg(c, 2);
    c->len = is_any(len) ? sizeof c->value : (size_t)evaluate(c, len);
    if (c->len > sizeof c->value)
        refuse_arg(c, 4, "too long");
    c->buf = zeros(c, sizeof c->value);
}

static long long make_getsockopt(struct call_state *c, const struct packetdrill_interface *io)
{
    socklen_t len = (socklen_t)c->len;
    long long ret = io->getsockopt(io->userdata, c->fd, c->n[0], c->n[1], c->buf, &len);

    c->sa_len = len;
    return ret;
}

static void check_getsockopt(struct call_state *c)
{
    const struct expr *e = c->arg[3], *len = inside(c->arg[4]);
    size_t n;

    if (c->ret < 0)
        return;
    if (!is_any(len) && c->sa_len != evaluate(c, len))
        wrong(c, "the option's length", c->sa_len, evaluate(c, len));
    if (is_any(e) || !option_value(c, e))
        return;
    if (e->kind == EXPR_STRING) {
        if (strncmp(c->buf, e->text, c->sa_len) != 0)
            script_fail(c->r->s, c->e->line,
                        "getsockopt(): another name\n  expected: %s\n  came:     %.*s\n", e->text,
                        (int)c->sa_len, (char *)c->buf);
        return;
    }
    n = c->value_len < c->sa_len ? c->value_len : c->sa_len;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        int wanted, came;

        memcpy(&wanted, c->value + i, 4);
        memcpy(&came, (uint8_t *)c->buf + i, 4);
        if (wanted != came)
            wrong(c, "the option's value", came, wanted);
    }
}

static void prepare_fcntl(struct call_state *c)
{
    fd_arg(c);
    c->n[0] = number_arg(c, 1);
    c->n[1] = c->nargs > 2 ? number_arg(c, 2) : 0;
}

static long long make_fcntl(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->fcntl(io->userdata, c->fd, c->n[0], c->n[1]);
}

static void prepare_ioctl(struct call_state *c)
{
    const struct expr *v = c->nargs > 2 ? inside(c->arg[2]) : NULL;

    fd_arg(c);
    c->n[0] = number_arg(c, 1);
    c->two[0] = is_any(v) ? 0 : (int)evaluate(c, v);
}

static long long make_ioctl(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->ioctl(io->userdata, c->fd, (unsigned long)(unsigned)c->n[0], &c->two[0]);
}

static void check_ioctl(struct call_state *c)
{
    const struct expr *v = c->nargs > 2 ? inside(c->arg[2]) : NULL;

    if (c->ret >= 0 && !is_any(v) && c->two[0] != evaluate(c, v))
        wrong(c, "the value", c->two[0], evaluate(c, v));
}

/* ---- readiness ---- */

static void prepare_poll(struct call_state *c)
{
    const struct expr *i, *f;

    if (c->arg[0]->kind != EXPR_ARRAY)
        refuse_arg(c, 0, "written [{fd=3, events=POLLIN, revents=0}]");
    for (i = c->arg[0]->items; i; i = i->next) {
        struct pollfd *p = &c->fds[c->niov];

        f = field(i, "fd");
        if (!f || !field(i, "events") || c->niov++ == VECTOR_MAX)
            refuse_arg(c, 0, "written [{fd=3, events=POLLIN, revents=0}]");
        p->fd = run_live_fd(c->r, (int)evaluate(c, f));
        p->events = (short)evaluate(c, field(i, "events"));
        p->revents = -1;
    }
    c->n[0] = number_arg(c, 1);
    c->n[1] = number_arg(c, 2);
    if (c->n[0] < 0 || c->n[0] > c->niov)
        refuse_arg(c, 1, "more descriptors than there are");
}

static long long make_poll(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->poll(io->userdata, c->fds, (nfds_t)c->n[0], c->n[1]);
}

static void check_poll(struct call_state *c)
{
    int k = 0;

    for (const struct expr *i = c->arg[0]->items; i && k < c->n[0]; i = i->next, k++) {
        const struct expr *f = field(i, "revents");
        long long wanted = is_any(f) ? c->fds[k].revents : evaluate(c, f);

        if (c->ret >= 0 && c->fds[k].revents != wanted)
            script_fail(c->r->s, c->e->line,
                        "poll(): revents\n  expected: 0x%llx\n  came:     0x%x\n",
                        (unsigned long long)wanted, (unsigned)c->fds[k].revents);
    }
}

static void prepare_epoll_create(struct call_state *c)
{
    c->n[0] = number_arg(c, 0);
}

static long long make_epoll_create(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->epoll_create(io->userdata, c->n[0]);
}

/* {events=EPOLLIN, fd=4}: the number beside the events comes back as it is. */
static struct epoll_event event_of(const struct call_state *c, const struct expr *e)
{
    static const char *const names[] = {"fd", "ptr", "u32", "u64"};
    struct epoll_event ev = {0};

    if (!field(e, "events"))
        script_refuse(c->r->s, e->line, "%s(): an event is written {events=EPOLLIN, fd=4}",
                      c->type->name);
    ev.events = is_any(field(e, "events")) ? 0 : (uint32_t)evaluate(c, field(e, "events"));
    for (size_t i = 0; i < 4; i++)
        if (!is_any(field(e, names[i])))
            ev.data.u64 = (uint64_t)evaluate(c, field(e, names[i]));
    return ev;
}

static void prepare_epoll_ctl(struct call_state *c)
{
    fd_arg(c);
    c->n[0] = number_arg(c, 1);
    c->n[1] = run_live_fd(c->r, number_arg(c, 2));
    c->has_sa = c->nargs > 3 && !is_null(c->arg[3]);
    if (c->has_sa)
        c->ev[0] = event_of(c, c->arg[3]);
}

static long long make_epoll_ctl(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->epoll_ctl(io->userdata, c->fd, c->n[0], c->n[1], c->has_sa ? &c->ev[0] : NULL);
}

static void prepare_epoll_wait(struct call_state *c)
{
    fd_arg(c);
    c->n[0] = number_arg(c, 2);
    c->n[1] = number_arg(c, 3);
    if (c->n[0] > VECTOR_MAX)
        refuse_arg(c, 2, "too many");
}

static long long make_epoll_wait(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->epoll_wait(io->userdata, c->fd, c->ev, c->n[0], c->n[1]);
}

static void check_epoll_wait(struct call_state *c)
{
    const struct expr *i = c->arg[1];

    if (i->kind == EXPR_ARRAY)
        i = i->items;
    for (int k = 0; k < c->ret && !is_any(i); k++, i = i->next) {
        struct epoll_event wanted = event_of(c, i), came;

        memcpy(&came, &c->ev[k], sizeof came);
        if (!is_any(field(i, "events")) && came.events != wanted.events)
            script_fail(c->r->s, c->e->line,
                        "epoll_wait(): events\n  expected: 0x%x\n  came:     0x%x\n",
                        (unsigned)wanted.events, (unsigned)came.events);
        if (came.data.u64 != wanted.data.u64)
            wrong(c, "the event's data", (long long)came.data.u64, (long long)wanted.data.u64);
    }
}

/* ---- pipes ---- */

static void add_pair(struct run *r, int line, long long script, int live)
{
    if (r->nfds == RUN_FDS)
        script_refuse(r->s, line, "more than %d descriptors", RUN_FDS);
    r->fds[r->nfds++] = (struct fd_pair){.script = (int)script, .live = live};
}

static void prepare_pipe(struct call_state *c)
{
    if (c->arg[0]->kind != EXPR_ARRAY || !c->arg[0]->items || !c->arg[0]->items->next)
        refuse_arg(c, 0, "written [5, 6]");
}

static long long make_pipe(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->pipe(io->userdata, c->two);
}

static void check_pipe(struct call_state *c)
{
    const struct expr *i = c->arg[0]->items;

    if (c->ret != 0)
        return;
    add_pair(c->r, c->e->line, evaluate(c, i), c->two[0]);
    add_pair(c->r, c->e->line, evaluate(c, i->next), c->two[1]);
}

static void prepare_splice(struct call_state *c)
{
    fd_arg(c);
    if (!is_null(c->arg[1]) || !is_null(c->arg[3]))
        refuse_arg(c, 1, "only NULL: neither a socket nor a pipe has a place to begin at");
    c->n[0] = run_live_fd(c->r, number_arg(c, 2));
    c->len = size_arg(c, 4);
    c->n[1] = number_arg(c, 5);
}

static long long make_splice(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->splice(io->userdata, c->fd, NULL, c->n[0], NULL, c->len, (unsigned)c->n[1]);
}

/* ---- which there are ---- */

static const struct call calls[] = {
    {"socket", 3, 3, prepare_socket, make_socket, NULL, true},
    {"bind", 3, 3, prepare_bind, make_bind, check_bind, false},
    {"listen", 2, 2, prepare_fd_int, make_listen, check_listen, false},
    {"accept", 3, 3, prepare_accept, make_accept, NULL, true},
    {"connect", 3, 3, prepare_connect, make_connect, NULL, false},
    {"close", 1, 1, prepare_fd, make_close, check_close, false},
    {"shutdown", 2, 2, prepare_fd_int, make_shutdown, NULL, false},
    {"read", 3, 3, prepare_in, make_read, check_in, false},
    {"recv", 4, 4, prepare_in, make_recv, check_in, false},
    {"recvfrom", 6, 6, prepare_in, make_recvfrom, check_in, false},
    {"write", 3, 3, prepare_out, make_write, NULL, false},
    {"send", 4, 4, prepare_out, make_send, NULL, false},
    {"sendto", 6, 6, prepare_out, make_sendto, NULL, false},
    {"readv", 3, 3, prepare_readv, make_readv, check_vector, false},
    {"writev", 3, 3, prepare_writev, make_writev, NULL, false},
    {"recvmsg", 3, 3, prepare_recvmsg, make_recvmsg, check_recvmsg, false},
    {"sendmsg", 3, 3, prepare_sendmsg, make_sendmsg, NULL, false},
    {"setsockopt", 5, 5, prepare_setsockopt, make_setsockopt, NULL, false},
    {"getsockopt", 5, 5, prepare_getsockopt, make_getsockopt, check_getsockopt, false},
    {"fcntl", 2, 3, prepare_fcntl, make_fcntl, NULL, false},
    {"ioctl", 3, 3, prepare_ioctl, make_ioctl, check_ioctl, false},
    {"poll", 3, 3, prepare_poll, make_poll, check_poll, false},
    {"epoll_create", 1, 1, prepare_epoll_create, make_epoll_create, NULL, true},
    {"epoll_ctl", 3, 4, prepare_epoll_ctl, make_epoll_ctl, NULL, false},
    {"epoll_wait", 4, 4, prepare_epoll_wait, make_epoll_wait, check_epoll_wait, false},
    {"pipe", 1, 1, prepare_pipe, make_pipe, check_pipe, false},
    {"splice", 6, 6, prepare_splice, make_splice, NULL, false},
};

static const struct call *call_of(struct run *r, const struct script_event *e)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, e->call.name) == 0)
            return &calls[i];
    script_refuse(r->s, e->line, "the system call %s() is not supported", e->call.name);
}

/* ---- result ---- */

static void result_text(long long ret, int err, char *buf, size_t cap)
{
    if (ret < 0 && err)
        snprintf(buf, cap, "-1 %s (%s)", errno_name(err), strerror(err));
    else
        snprintf(buf, cap, "%lld", ret);
}

static void check_result(const struct call_state *c)
{
    const struct call_spec *s = &c->e->call;
    char said[96], came[96];
    long long wanted;
    int err = 0;

    if (is_any(s->result))
        return;
    wanted = evaluate(c, s->result);
    if (s->error && !errno_value(s->error, &err))
        script_refuse(c->r->s, c->e->line, "'%s' is no errno that is known", s->error);
    if (c->type->gives_fd ? (c->ret < 0) == (wanted < 0) : c->ret == wanted)
        wanted = c->ret;
    if (c->ret != wanted || (c->ret < 0 && err && c->err != err)) {
        result_text(wanted, err, said, sizeof said);
        result_text(c->ret, c->err, came, sizeof came);
        script_fail(c->r->s, c->e->line, "%s(): wrong result\n  expected: %s\n  came:     %s\n",
                    c->type->name, said, came);
    }
}

static void check_call(struct call_state *c)
{
    struct run *r = c->r;
    struct fd_pair *pair;

    check_result(c);
    if (c->type->gives_fd && c->ret >= 0) {
        long long script = is_any(c->e->call.result) ? c->ret : evaluate(c, c->e->call.result);

        add_pair(r, c->e->line, script, (int)c->ret);
        if (c->type->make != make_epoll_create)
            r->last_fd = (int)c->ret;
    }
    pair = c->type->make == make_connect || c->opens ? pair_of(r, c->fd) : NULL;
    if (pair && (c->sa.ss_family == AF_UNSPEC ||
                 (c->ret < 0 && c->err != EINPROGRESS && c->err != EALREADY && c->err != EISCONN)))
        pair->connected = false;
    if (c->type->check && (c->ret >= 0 || c->type->make == make_poll))
        c->type->check(c);
}

static long long run_clock(const struct run *r)
{
    struct timeval tv = {0};

    (void)r->io.gettimeofday(r->io.userdata, &tv, NULL);
    return (long long)tv.tv_sec * 1000000 + tv.tv_usec - r->start_usec;
}

long long run_now(struct run *r)
{
    return run_clock(r);
}

static void make_call(struct call_state *c)
{
    c->begun = run_clock(c->r);
    errno = 0;
    c->ret = c->type->make(c, &c->r->io);
    c->err = errno;
    c->ended = run_clock(c->r);
}

static void check_end(const struct call_state *c, long long from, long long to)
{
    if (!run_in_time(c->r, from, to, c->ended, c->begun))
        script_fail(c->r->s, c->e->line, "%s(): back %s\n  expected: %.6f\n  came:     %.6f\n",
                    c->type->name, c->ended < from ? "too early" : "too late", (double)from / 1e6,
                    (double)c->ended / 1e6);
}

/* ---- calls that block ---- */

static void *call_thread(void *arg)
{
    struct blocked_call *b = arg;

    make_call(b->state);
    plug_report(b->run->plug, &b->back);
    return NULL;
}

static void start_blocking(struct run *r, struct call_state *c)
{
    struct blocked_call *b = arena_get(&r->s->arena, sizeof *b);

    if (r->calls)
        script_refuse(r->s, c->e->line, "another call is still blocked (line %d)",
                      r->calls->event->line);
    b->run = r;
    b->event = c->e;
    b->state = c;
    if (pthread_create(&b->thread, NULL, call_thread, b) != 0)
        script_refuse(r->s, c->e->line, "no thread for a call that may block");
    r->calls = b;
    call_collect(r, false);
}

static void end_blocking(struct run *r)
{
    struct blocked_call *b = r->calls;

    r->calls = NULL;
    (void)pthread_join(b->thread, NULL);
    check_end(b->state, b->event->call.end_usec, b->event->call.end_usec);
    check_call(b->state);
}

void call_collect(struct run *r, bool all)
{
    if (!r->calls)
        return;
    if (plug_settled(r->plug, &r->calls->back))
        end_blocking(r);
    else if (all)
        script_fail(r->s, r->calls->event->line, "%s(): still blocked when the script ends\n",
                    r->calls->event->call.name);
}

/* After a failure: what blocks is let go, since its descriptor is closed under it. */
void call_abandon(struct run *r)
{
    if (!r->calls)
        return;
    plug_cancel(r->plug);
    (void)pthread_join(r->calls->thread, NULL);
    r->calls = NULL;
}

void call_close_all(struct run *r)
{
    for (int i = 0; i < r->nfds; i++)
        (void)r->io.close(r->io.userdata, r->fds[i].live);
    r->nfds = 0;
}

void call_run(struct run *r, struct script_event *e)
{
    struct call_state *c = arena_get(&r->s->arena, sizeof *c);

    c->r = r;
    c->e = e;
    c->type = call_of(r, e);
    for (struct expr *a = e->call.args; a; a = a->next) {
        if (c->nargs == ARGS_MAX)
            break;
        c->arg[c->nargs++] = a;
    }
    if (c->nargs < c->type->least || c->nargs > c->type->most)
        script_refuse(r->s, e->line, "%s() has %d arguments", c->type->name, c->type->most);
    c->type->prepare(c);
    r->ncalls++;
    if (e->call.blocks) {
        start_blocking(r, c);
        return;
    }
    make_call(c);
    check_call(c);
    if (e->time.kind != TIME_ANY)
        check_end(c, e->time.from, e->time.to);
}

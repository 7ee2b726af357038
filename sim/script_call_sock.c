/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call_sock.c - a script's calls that make sockets, open and close connections. */
#include "script_call.h"

static void prepare_socket(struct call_state *c)
{
    c->n[0] = arg_is_any(c->arg[0]) ? (c->r->v6 || c->r->mapped ? AF_INET6 : AF_INET)
                                    : (int)arg_evaluate(c, c->arg[0]);
    c->n[1] = arg_number(c, 1);
    c->n[2] = arg_number(c, 2);
}

static long long make_socket(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->socket(io->userdata, c->n[0], c->n[1], c->n[2]);
}

static void prepare_bind(struct call_state *c)
{
    arg_fd(c);
    arg_addr(c, 1, c->r->local, c->r->bind_port);
}

static long long make_bind(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->bind(io->userdata, c->fd, arg_sa(c), c->sa_len);
}

/* Packets that a script does not address go to the port that was bound last. */
static void check_bind(struct call_state *c)
{
    if (arg_port(c))
        c->r->bind_port = arg_port(c);
}

static void prepare_fd_int(struct call_state *c)
{
    arg_fd(c);
    c->n[0] = arg_number(c, 1);
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
    arg_fd(c);
    c->has_sa = !arg_is_null(c->arg[1]);
    c->sa_len = sizeof c->sa;
}

static long long make_accept(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->accept(io->userdata, c->fd, arg_sa(c), c->has_sa ? &c->sa_len : NULL);
}

/* The connection that the call begins is the one at hand. */
void call_connects(struct call_state *c)
{
    struct fd_pair *pair = run_pair(c->r, c->fd);
    uint8_t to[16];

    if (!pair || !c->has_sa || c->sa.ss_family == AF_UNSPEC || pair->connected)
        return;
    pair->connected = c->opens = true;
    arg_ip(c, to);
    c->r->current = conn_new(c->r, to, arg_port(c));
}

static void prepare_connect(struct call_state *c)
{
    arg_fd(c);
    arg_addr(c, 1, c->r->remote, c->r->connect_port);
    call_connects(c);
}

static long long make_connect(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->connect(io->userdata, c->fd, arg_sa(c), c->sa_len);
}

static void prepare_fd(struct call_state *c)
{
    arg_fd(c);
}

static long long make_close(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->close(io->userdata, c->fd);
}

static void check_close(struct call_state *c)
{
    struct fd_pair *pair = run_pair(c->r, c->fd);

    if (pair)
        *pair = c->r->fds[--c->r->nfds];
    if (c->r->last_fd == c->fd)
        c->r->last_fd = c->r->nfds ? c->r->fds[c->r->nfds - 1].live : -1;
}

static long long make_shutdown(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->shutdown(io->userdata, c->fd, c->n[0]);
}

const struct call call_sock[] = {
    {"socket", 3, 3, prepare_socket, make_socket, NULL, CALL_GIVES_SOCKET},
    {"bind", 3, 3, prepare_bind, make_bind, check_bind, CALL_PLAIN},
    {"listen", 2, 2, prepare_fd_int, make_listen, check_listen, CALL_PLAIN},
    {"accept", 3, 3, prepare_accept, make_accept, NULL, CALL_GIVES_SOCKET},
    {"connect", 3, 3, prepare_connect, make_connect, NULL, CALL_CONNECTS},
    {"close", 1, 1, prepare_fd, make_close, check_close, CALL_PLAIN},
    {"shutdown", 2, 2, prepare_fd_int, make_shutdown, NULL, CALL_PLAIN},
    {0},
};

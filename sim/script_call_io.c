/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call_io.c - a script's calls that read and write. */
#include "script_call.h"

#include <string.h>

static void prepare_in(struct call_state *c)
{
    arg_fd(c);
    c->len = arg_size(c, 2);
    c->buf = arg_in(c, c->arg[1], c->len);
    c->n[0] = c->nargs > 3 ? arg_number(c, 3) : 0;
    c->sa_len = sizeof c->sa;
    c->has_sa = c->nargs > 4 && !arg_is_null(c->arg[4]);
}

static void prepare_out(struct call_state *c)
{
    arg_fd(c);
    c->len = arg_size(c, 2);
    c->buf = arg_out(c, c->arg[1], c->len);
    c->n[0] = c->nargs > 3 ? arg_number(c, 3) : 0;
    if (c->nargs > 4)
        arg_addr(c, 4, c->r->remote, c->r->connect_port);
    if (c->n[0] & MSG_FASTOPEN)
        call_connects(c);
}

static void check_in(struct call_state *c)
{
    if (c->ret > 0 && !(c->n[0] & MSG_TRUNC))
        call_octets(c, c->arg[1], c->buf, (size_t)c->ret);
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
    return io->recvfrom(io->userdata, c->fd, c->buf, c->len, c->n[0], arg_sa(c),
                        c->has_sa ? &c->sa_len : NULL);
}

static long long make_sendto(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->sendto(io->userdata, c->fd, c->buf, c->len, c->n[0], arg_sa(c),
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
        base = arg_field(i, "iov_base");
        len = arg_field(i, "iov_len");
        if (i->kind == EXPR_STRUCT && i->items && i->items->kind != EXPR_FIELD) {
            base = i->items;
            len = base->next;
        }
        if (!len || c->niov == VECTOR_MAX)
            script_refuse(c->r->s, i->line,
                          "%s(): a piece is written {..., 10}, and there are at "
                          "most %d",
                          c->type->name, VECTOR_MAX);
        c->iov[c->niov].iov_len = (size_t)arg_evaluate(c, len);
        c->iov[c->niov].iov_base = out ? arg_out(c, base, c->iov[c->niov].iov_len)
                                       : arg_in(c, base, c->iov[c->niov].iov_len);
        c->niov++;
    }
}

static void prepare_readv(struct call_state *c)
{
    arg_fd(c);
    vector(c, c->arg[1], false);
    c->n[0] = arg_number(c, 2);
}

static void prepare_writev(struct call_state *c)
{
    arg_fd(c);
    vector(c, c->arg[1], true);
    c->n[0] = arg_number(c, 2);
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

        call_octets(c, NULL, c->iov[i].iov_base, n);
        left -= n;
    }
}

/* {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0, msg_control=[...]} */
static void prepare_msg(struct call_state *c, bool out)
{
    const struct expr *m = c->arg[1];
    size_t room = 512;

    arg_fd(c);
    if (!m || m->kind != EXPR_STRUCT)
        arg_refuse(c, 1,
                   "a message is written {msg_name(...)=..., msg_iov(1)=[{..., 10}], "
                   "msg_flags=0}");
    vector(c, arg_field(m, "msg_iov"), out);
    c->n[0] = c->nargs > 2 ? arg_number(c, 2) : 0;
    c->msg.msg_iov = c->iov;
    c->msg.msg_iovlen = (size_t)c->niov;
    if (out && arg_field(m, "msg_control") && arg_field(m, "msg_control")->items)
        arg_refuse(c, 1, "control messages are not sent");
    if (!out) {
        c->msg.msg_control = arg_zeros(c, room);
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
        arg_put_addr(c, c->r->remote, c->r->connect_port);
        c->msg.msg_name = &c->sa;
        c->msg.msg_namelen = c->sa_len;
        call_connects(c);
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
        const struct expr *level = arg_field(i, "cmsg_level"), *type = arg_field(i, "cmsg_type");
        const struct expr *data = arg_field(i, "cmsg_data");
        int v;

        if (!level || !type || !data)
            script_refuse(c->r->s, i->line,
                          "%s(): a control message is written {cmsg_level=..., "
                          "cmsg_type=..., cmsg_data=...}",
                          c->type->name);
        if (!h)
            script_fail(c->r->s, c->e->line, "%s(): a control message is missing\n", c->type->name);
        if (h->cmsg_level != arg_evaluate(c, level))
            call_wrong(c, "cmsg_level", h->cmsg_level, arg_evaluate(c, level));
        if (h->cmsg_type != arg_evaluate(c, type))
            call_wrong(c, "cmsg_type", h->cmsg_type, arg_evaluate(c, type));
        memcpy(&v, CMSG_DATA(h), sizeof v);
        if (!arg_is_any(data) && v != arg_evaluate(c, data))
            call_wrong(c, "cmsg_data", v, arg_evaluate(c, data));
    }
    if (h)
        script_fail(c->r->s, c->e->line, "%s(): a control message too many: level %d, type %d\n",
                    c->type->name, h->cmsg_level, h->cmsg_type);
}

static void check_recvmsg(struct call_state *c)
{
    const struct expr *flags = arg_field(c->arg[1], "msg_flags");
    const struct expr *control = arg_field(c->arg[1], "msg_control");

    check_vector(c);
    if (!arg_is_any(flags) && c->msg.msg_flags != arg_evaluate(c, flags))
        call_wrong(c, "msg_flags", c->msg.msg_flags, arg_evaluate(c, flags));
    if (!arg_is_any(control))
        check_control(c, control);
}

const struct call call_io[] = {
    {"read", 3, 3, prepare_in, make_read, check_in, CALL_PLAIN},
    {"recv", 4, 4, prepare_in, make_recv, check_in, CALL_PLAIN},
    {"recvfrom", 6, 6, prepare_in, make_recvfrom, check_in, CALL_PLAIN},
    {"write", 3, 3, prepare_out, make_write, NULL, CALL_PLAIN},
    {"send", 4, 4, prepare_out, make_send, NULL, CALL_PLAIN},
    {"sendto", 6, 6, prepare_out, make_sendto, NULL, CALL_PLAIN},
    {"readv", 3, 3, prepare_readv, make_readv, check_vector, CALL_PLAIN},
    {"writev", 3, 3, prepare_writev, make_writev, NULL, CALL_PLAIN},
    {"recvmsg", 3, 3, prepare_recvmsg, make_recvmsg, check_recvmsg, CALL_PLAIN},
    {"sendmsg", 3, 3, prepare_sendmsg, make_sendmsg, NULL, CALL_PLAIN},
    {0},
};

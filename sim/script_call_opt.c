/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call_opt.c - a script's calls that set and ask: options, fcntl, ioctl. */
#include "script_call.h"

#include <string.h>

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
    const struct expr *onoff = arg_field(e, "onoff"), *linger = arg_field(e, "linger");
    const struct expr *sec = arg_field(e, "tv_sec"), *usec = arg_field(e, "tv_usec");
    struct timeval tv;

    if (!onoff)
        onoff = arg_field(e, "l_onoff");
    if (!linger)
        linger = arg_field(e, "l_linger");
    if (onoff && linger) {
        put_int(c, arg_evaluate(c, onoff));
        put_int(c, arg_evaluate(c, linger));
        return true;
    }
    if (!sec || !usec)
        return false;
    tv.tv_sec = (time_t)arg_evaluate(c, sec);
    tv.tv_usec = (suseconds_t)arg_evaluate(c, usec);
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
            if (i->kind == EXPR_STRUCT ? !put_struct(c, i) : arg_is_any(i))
                return false;
            else if (i->kind != EXPR_STRUCT)
                put_int(c, arg_evaluate(c, i));
        return true;
    case EXPR_INT:
    case EXPR_NAME:
    case EXPR_OR:
        put_int(c, arg_evaluate(c, e));
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
    arg_fd(c);
    c->n[0] = arg_number(c, 1);
    c->n[1] = arg_number(c, 2);
    c->buf = arg_is_null(c->arg[3]) ? NULL : c->value;
    if (c->buf && !option_value(c, c->arg[3]))
        arg_refuse(c, 3,
                   "a value is written [1], \"name\", {onoff=1, linger=0} or {tv_sec=1, "
                   "tv_usec=0}");
    c->len = arg_is_any(c->arg[4]) ? c->value_len : arg_size(c, 4);
    if (c->len > sizeof c->value)
        arg_refuse(c, 4, "too long");
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

    arg_fd(c);
    c->n[0] = arg_number(c, 1);
    c->n[1] = arg_number(c, 2);
    c->len = arg_is_any(len) ? sizeof c->value : (size_t)arg_evaluate(c, len);
    if (c->len > sizeof c->value)
        arg_refuse(c, 4, "too long");
    c->buf = arg_zeros(c, sizeof c->value);
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

    if (!arg_is_any(len) && c->sa_len != arg_evaluate(c, len))
        call_wrong(c, "the option's length", c->sa_len, arg_evaluate(c, len));
    if (arg_is_any(e) || !option_value(c, e))
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
            call_wrong(c, "the option's value", came, wanted);
    }
}

static void prepare_fcntl(struct call_state *c)
{
    arg_fd(c);
    c->n[0] = arg_number(c, 1);
    c->n[1] = c->nargs > 2 ? arg_number(c, 2) : 0;
}

static long long make_fcntl(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->fcntl(io->userdata, c->fd, c->n[0], c->n[1]);
}

static void prepare_ioctl(struct call_state *c)
{
    const struct expr *v = c->nargs > 2 ? inside(c->arg[2]) : NULL;

    arg_fd(c);
    c->n[0] = arg_number(c, 1);
    c->two[0] = arg_is_any(v) ? 0 : (int)arg_evaluate(c, v);
}

static long long make_ioctl(struct call_state *c, const struct packetdrill_interface *io)
{
    return io->ioctl(io->userdata, c->fd, (unsigned long)(unsigned)c->n[0], &c->two[0]);
}

static void check_ioctl(struct call_state *c)
{
    const struct expr *v = c->nargs > 2 ? inside(c->arg[2]) : NULL;

    if (!arg_is_any(v) && c->two[0] != arg_evaluate(c, v))
        call_wrong(c, "the value", c->two[0], arg_evaluate(c, v));
}

const struct call call_opt[] = {
    {"setsockopt", 5, 5, prepare_setsockopt, make_setsockopt, NULL, CALL_PLAIN},
    {"getsockopt", 5, 5, prepare_getsockopt, make_getsockopt, check_getsockopt, CALL_PLAIN},
    {"fcntl", 2, 3, prepare_fcntl, make_fcntl, NULL, CALL_PLAIN},
    {"ioctl", 3, 3, prepare_ioctl, make_ioctl, check_ioctl, CALL_PLAIN},
    {0},
};

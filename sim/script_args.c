/* SPDX-License-Identifier: BSD-2-Clause */
/* script_args.c - arguments of a script's system calls: what it writes becomes C's.
 *
 * "..." stands for what follows from the others: an address, a buffer of zeros, a length. */
#include "script_call.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { NO_FD = 1 << 24 };

/* ---- values ---- */

_Noreturn void arg_refuse(const struct call_state *c, int i, const char *what)
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

long long arg_evaluate(const struct call_state *c, const struct expr *e)
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

bool arg_is_any(const struct expr *e)
{
    return !e || e->kind == EXPR_ANY;
}

bool arg_is_null(const struct expr *e)
{
    return e && e->kind == EXPR_NAME && strcmp(e->text, "NULL") == 0;
}

int arg_number(const struct call_state *c, int i)
{
    if (i >= c->nargs || arg_is_any(c->arg[i]))
        arg_refuse(c, i, "a number is needed");
    return (int)arg_evaluate(c, c->arg[i]);
}

size_t arg_size(const struct call_state *c, int i)
{
    long long n;

    if (i >= c->nargs || arg_is_any(c->arg[i]))
        arg_refuse(c, i, "a length is needed");
    n = arg_evaluate(c, c->arg[i]);
    if (n < 0 || n > 1 << 30)
        arg_refuse(c, i, "no length");
    return (size_t)n;
}

int run_live_fd(const struct run *r, int script_fd)
{
    for (int i = r->nfds; i-- > 0;)
        if (r->fds[i].script == script_fd)
            return r->fds[i].live;
    return script_fd < 0 ? script_fd : NO_FD; /* nobody's */
}

struct fd_pair *run_pair(struct run *r, int live)
{
    for (int i = r->nfds; i-- > 0;)
        if (r->fds[i].live == live)
            return &r->fds[i];
    return NULL;
}

void run_add_pair(struct run *r, int line, long long script, int live)
{
    if (r->nfds == RUN_FDS)
        script_refuse(r->s, line, "more than %d descriptors", RUN_FDS);
    r->fds[r->nfds++] = (struct fd_pair){.script = (int)script, .live = live};
}

void arg_fd(struct call_state *c)
{
    c->fd = run_live_fd(c->r, arg_number(c, 0));
}

void *arg_zeros(const struct call_state *c, size_t n)
{
    return arena_get(&c->r->s->arena, n ? n : 1);
}

/* What is written: zeros, or a string and zeros. */
void *arg_out(struct call_state *c, const struct expr *e, size_t n)
{
    uint8_t *buf;

    if (arg_is_null(e))
        return NULL;
    buf = arg_zeros(c, n);
    if (e && e->kind == EXPR_STRING) {
        memcpy(buf, e->text, (size_t)e->num < n ? (size_t)e->num : n);
        c->r->wrote_text = true;
    } else if (!arg_is_any(e)) {
        script_refuse(c->r->s, e->line, "%s(): octets are written \"text\" or ...", c->type->name);
    }
    return buf;
}

static const uint8_t untouched =
    0xa5; /* what stands in a buffer before something is read into it */

void *arg_in(struct call_state *c, const struct expr *e, size_t n)
{
    void *buf;

    if (arg_is_null(e))
        return NULL;
    if (!arg_is_any(e) && e->kind != EXPR_STRING)
        script_refuse(c->r->s, e->line, "%s(): a buffer is written ... or \"text\"", c->type->name);
    buf = arg_zeros(c, n);
    memset(buf, untouched, n);
    return buf;
}

_Noreturn void call_wrong(const struct call_state *c, const char *what, long long came,
                          long long wanted)
{
    script_fail(c->r->s, c->e->line, "%s(): %s\n  expected: %lld\n  came:     %lld\n",
                c->type->name, what, wanted, came);
}

/* A script sends zeros; they, or the string that it says, must come out. */
void call_octets(const struct call_state *c, const struct expr *e, const uint8_t *buf, size_t n)
{
    for (size_t i = 0; buf && i < n; i++) {
        uint8_t wanted =
            e && e->kind == EXPR_STRING && (long long)i < e->num ? (uint8_t)e->text[i] : 0;

        if (buf[i] != wanted)
            call_wrong(c, "an octet that was not sent", buf[i], wanted);
    }
}

/* ---- addresses ---- */

void arg_put_addr(struct call_state *c, const uint8_t ip[16], uint16_t port)
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

const struct expr *arg_field(const struct expr *e, const char *name)
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
        uint32_t v = htonl((uint32_t)arg_evaluate(c, e));

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
    const struct expr *family = arg_field(e, "sa_family"), *port, *addr;
    struct sockaddr_in in = {0};
    struct sockaddr_in6 in6 = {0};
    int af;

    if (!family)
        family = arg_field(e, "sin_family");
    if (!family)
        family = arg_field(e, "sin6_family");
    if (!family)
        script_refuse(c->r->s, e->line, "%s(): an address without sa_family", c->type->name);
    af = (int)arg_evaluate(c, family);
    port = arg_field(e, af == AF_INET6 && arg_field(e, "sin6_port") ? "sin6_port" : "sin_port");
    addr = arg_field(e, af == AF_INET6 && arg_field(e, "sin6_addr") ? "sin6_addr" : "sin_addr");
    c->has_sa = true;
    if (af == AF_INET6) {
        in6.sin6_family = AF_INET6;
        in6.sin6_port = port ? (in_port_t)arg_evaluate(c, port) : 0;
        if (addr)
            parse_ip(c, addr, AF_INET6, &in6.sin6_addr);
        memcpy(&c->sa, &in6, sizeof in6);
        c->sa_len = sizeof in6;
        return;
    }
    in.sin_family = (sa_family_t)af;
    in.sin_port = port ? (in_port_t)arg_evaluate(c, port) : 0;
    if (addr)
        parse_ip(c, addr, AF_INET, &in.sin_addr);
    memcpy(&c->sa, &in, sizeof in);
    c->sa_len = sizeof in;
}

void arg_addr(struct call_state *c, int i, const uint8_t ip[16], uint16_t port)
{
    if (arg_is_null(c->arg[i]))
        c->has_sa = false;
    else if (arg_is_any(c->arg[i]))
        arg_put_addr(c, ip, port);
    else
        struct_addr(c, c->arg[i]);
    if (i + 1 < c->nargs && !arg_is_any(c->arg[i + 1]))
        c->sa_len = (socklen_t)arg_evaluate(c, c->arg[i + 1]);
}

struct sockaddr *arg_sa(struct call_state *c)
{
    return c->has_sa ? (struct sockaddr *)&c->sa : NULL;
}

uint16_t arg_port(const struct call_state *c)
{
    struct sockaddr_in in;

    memcpy(&in, &c->sa, sizeof in); /* the port is at the same place in both families */
    return ntohs(in.sin_port);
}

void arg_ip(const struct call_state *c, uint8_t ip[16])
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_ask.c - what can be asked of a control socket, and how an answer goes on.
 *
 * An answer is made as the client takes it, a bounded number of sockets at a time, by the stack's
 * own cursor; it is therefore no snapshot: a connection that comes or goes meanwhile may be
 * missing.
 *
 * A trace is written into the client's buffer as it happens and sent by the next estab_ctl_run();
 * what finds no room is counted, and the client told how much it was.  While nobody traces, the
 * stack does not. */
#include "ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    TRACE_LEN = 256 * 1024,
    PER_RUN = 256, /* sockets looked at for one client before the stack has its turn */
};

/* ---- a trace ---- */

static void client_record(struct estab_ctl *ctl, struct ctl_client *c, const struct ctl_line *x)
{
    struct ctl_line lost = {.len = 0};

    if (ctl_room(c) < LINE_MAX_LEN + x->len) {
        c->count++;
        return;
    }
    if (c->count > 0) {
        ctl_add(&lost, "{\"lost\":%llu}\n", (unsigned long long)c->count);
        ctl_put(c, &lost);
        c->count = 0;
    }
    ctl_put(c, x);
    if (c->wants_out)
        return;
    c->wants_out = true;
    ctl_watch(ctl, c, EPOLLIN | EPOLLOUT);
}

static void ctl_tap(void *ctx, const struct estab_trace *t)
{
    struct estab_ctl *ctl = ctx;
    struct ctl_line x = {.len = 0};
    size_t i;

    for (i = 0; i < CLIENTS; i++) {
        struct ctl_client *c = &ctl->client[i];

        if (c->phase != CLIENT_TRACE || !estab_filter_match(&c->filter, t->to, &t->local, &t->peer))
            continue;
        if (x.len == 0)
            ctl_write_record(&x, t);
        client_record(ctl, c, &x);
    }
}

void ctl_tap_if_traced(struct estab_ctl *ctl)
{
    bool traced = false;
    size_t i;

    for (i = 0; i < CLIENTS; i++)
        traced |= ctl->client[i].phase == CLIENT_TRACE;
    estab_tap(ctl->stack, traced ? ctl_tap : NULL, ctl);
}

/* ---- requests ---- */

static bool ask_filter(struct estab_ctl *ctl, struct ctl_client *c)
{
    char err[ESTAB_ERRLEN], *at;

    (void)ctl;
    if (estab_filter_parse(&c->filter, c->args, err) == 0)
        return true;
    for (at = err; *at; at++) /* it quotes what was asked */
        if (*at == '"' || *at == '\\' || *at < ' ' || *at > '~')
            *at = '?';
    ctl_put_error(c, err);
    return false;
}

static bool ask_trace(struct estab_ctl *ctl, struct ctl_client *c)
{
    char *out;

    if (!ask_filter(ctl, c))
        return false;
    out = realloc(c->out, TRACE_LEN);
    if (!out) {
        ctl_put_error(c, "no memory for a trace");
        return false;
    }
    c->out = out;
    c->out_cap = TRACE_LEN;
    ctl_put_header(ctl, c);
    c->phase = CLIENT_TRACE;
    c->wants_out = true;
    c->count = 0;
    ctl_tap_if_traced(ctl);
    return true;
}

static bool ask_kill(struct estab_ctl *ctl, struct ctl_client *c)
{
    struct ctl_line x = {.len = 0};
    char *end;
    estab_sock k = strtoull(c->args, &end, 16);
    int err = end == c->args || *end ? ESTAB_E_INVAL : estab_kill(ctl->stack, k);

    if (err == 0)
        ctl_add(&x, "{\"killed\":\"%llx\"}\n", (unsigned long long)k);
    else
        ctl_add(&x, "{\"error\":\"%s\"}\n",
                err == ESTAB_E_BADF ? "the connection is gone" : "that cannot be killed");
    ctl_put_header(ctl, c);
    ctl_put(c, &x);
    return true;
}

/* "forecast LOCAL PEER": LOCAL may be *. */
static bool ask_forecast(struct estab_ctl *ctl, struct ctl_client *c)
{
    struct estab_port_forecast f = {.size = sizeof f};
    struct estab_why_info now = {.size = sizeof now};
    struct estab_addr local = {0}, peer;
    char local_text[64], peer_text[64];
    struct ctl_line x = {.len = 0};
    uint64_t cursor = 0;
    estab_sock k;

    if (sscanf(c->args, "%63s %63s", local_text, peer_text) != 2 ||
        (strcmp(local_text, "*") != 0 && estab_addr_parse(&local, local_text, NULL) < 0) ||
        estab_addr_parse(&peer, peer_text, NULL) < 0 ||
        estab_port_forecast(ctl->stack, &local, &peer, &f) < 0) {
        ctl_put_error(c, "a forecast is for a local address or *, and a peer with its port");
        return false;
    }
    if (estab_conn_next(ctl->stack, &cursor, &k))
        (void)estab_why(ctl->stack, k, &now);
    ctl_put_header(ctl, c);
    ctl_write_forecast(&x, &f, now.now);
    ctl_put(c, &x);
    return true;
}

struct ctl_verb {
    const char *name;
    bool (*ask)(struct estab_ctl *ctl, struct ctl_client *c); /* false: the error is put */
    enum client_step first;                                   /* behind the header */
    bool in_full;
};
static const struct ctl_verb verbs[] = {
    {"sockets", ask_filter, STEP_SOCKETS, false}, {"why", ask_filter, STEP_SOCKETS, true},
    {"stack", NULL, STEP_STACK, false},           {"trace", ask_trace, STEP_ONE, false},
    {"kill", ask_kill, STEP_ONE, false},          {"forecast", ask_forecast, STEP_ONE, false},
};

void ctl_begin(struct estab_ctl *ctl, struct ctl_client *c)
{
    size_t i, len = strcspn(c->ask, " ");

    for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strncmp(verbs[i].name, c->ask, len) == 0 && verbs[i].name[len] == '\0')
            c->verb = &verbs[i];
    c->phase = CLIENT_FLUSH;
    c->step = STEP_HEADER;
    c->cursor = c->count = 0;
    c->args = c->ask + len + strspn(c->ask + len, " ");
    if (!c->verb)
        ctl_put_error(c, "ask for sockets, why, stack, forecast, kill or trace");
    else if ((!c->verb->ask || c->verb->ask(ctl, c)) && c->verb->first != STEP_ONE)
        c->phase = CLIENT_ANSWER;
    ctl_watch(ctl, c, c->phase == CLIENT_TRACE ? EPOLLIN | EPOLLOUT : EPOLLOUT);
}

/* ---- answers ---- */

/* A filter that names no state takes every one: what is worth showing is the asker's to say. */
static void fill_sockets(struct estab_ctl *ctl, struct ctl_client *c)
{
    unsigned budget = PER_RUN;
    estab_sock k;

    while (budget-- > 0 && ctl_room(c) >= LINE_MAX_LEN) {
        struct estab_tcp_info info = {.size = sizeof info};
        struct estab_why_info why = {.size = sizeof why};

        if (!estab_conn_next(ctl->stack, &c->cursor, &k)) {
            c->step = STEP_LAST;
            return;
        }
        if (estab_tcp_info(ctl->stack, k, &info) < 0 ||
            !estab_filter_match(&c->filter, info.state, &info.local, &info.peer) ||
            estab_why(ctl->stack, k, &why) < 0)
            continue;
        ctl_put_socket(c, k, &info, &why, c->verb->in_full);
        c->count++;
    }
}

static void fill_rules(struct estab_ctl *ctl, struct ctl_client *c)
{
    for (; ctl_room(c) >= LINE_MAX_LEN; c->cursor++) {
        unsigned rule = (unsigned)c->cursor;
        const char *name = estab_rule_name(rule);
        uint64_t n = estab_rule_count(ctl->stack, rule);

        if (!name && rule > 0) {
            c->step = STEP_LAST;
            return;
        }
        if (!name || n == 0)
            continue;
        ctl_put_rule(c, ctl->stack, rule);
        c->count++;
    }
}

void ctl_fill(struct estab_ctl *ctl, struct ctl_client *c)
{
    if (ctl_room(c) < LINE_MAX_LEN)
        return;
    switch (c->step) {
    case STEP_HEADER:
        ctl_put_header(ctl, c);
        c->step = c->verb->first;
        break;
    case STEP_SOCKETS:
        fill_sockets(ctl, c);
        break;
    case STEP_STACK:
        ctl_put_stack(ctl, c, false);
        c->step = STEP_RULES;
        break;
    case STEP_RULES:
        fill_rules(ctl, c);
        break;
    case STEP_LAST:
        ctl_put_stack(ctl, c, true);
        c->phase = CLIENT_FLUSH;
        break;
    case STEP_ONE:
        break;
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.h - a control socket from the inside. */
#ifndef HOST_CTL_H
#define HOST_CTL_H

#include "link.h"

#include <sys/types.h>
#include <sys/un.h>

#pragma GCC visibility push(hidden)

enum { CLIENTS = 8, ASK_MAX = 1024, LINE_MAX_LEN = 3072 };

enum client_phase { CLIENT_FREE, CLIENT_MUTE, CLIENT_ANSWER, CLIENT_TRACE, CLIENT_FLUSH };
enum client_step { STEP_HEADER, STEP_SOCKETS, STEP_STACK, STEP_RULES, STEP_ONE, STEP_LAST };

struct ctl_verb;
struct ctl_client {
    int fd;
    enum client_phase phase;
    enum client_step step;
    const struct ctl_verb *verb;
    const char *args; /* in ask */
    char ask[ASK_MAX];
    size_t ask_len;
    struct estab_filter filter;
    uint64_t cursor, count; /* of the walk; records lost, of a trace */
    uint64_t turn;          /* when it came */
    bool wants_out;         /* CLIENT_TRACE: the set waits for room */
    size_t out_at, out_len, out_cap;
    char *out;
};
struct estab_ctl {
    estab_stack *stack;
    char command[32];
    int listener, set;
    bool has_group;
    gid_t group;
    char path[ESTAB_CTL_PATH];
    uint64_t turns;
    struct ctl_client client[CLIENTS];
};

struct ctl_line {
    char b[LINE_MAX_LEN];
    size_t len;
};

/* ctl_path.c: 0, or -1 and errno. */
int ctl_address(struct sockaddr_un *sun, const char *path);

/* ctl_line.c: what is too long, or finds no room, is not put. */
__attribute__((format(printf, 2, 3))) void ctl_add(struct ctl_line *x, const char *fmt, ...);
size_t ctl_room(const struct ctl_client *c);
void ctl_put(struct ctl_client *c, const struct ctl_line *x);
void ctl_put_header(struct estab_ctl *ctl, struct ctl_client *c);
void ctl_put_error(struct ctl_client *c, const char *why);
void ctl_put_socket(struct ctl_client *c, estab_sock k, const struct estab_tcp_info *i,
                    const struct estab_why_info *w, bool in_full);
void ctl_put_stack(struct estab_ctl *ctl, struct ctl_client *c, bool last);
void ctl_put_rule(struct ctl_client *c, const estab_stack *s, unsigned rule);
void ctl_write_record(struct ctl_line *x, const struct estab_trace *t);
void ctl_write_forecast(struct ctl_line *x, const struct estab_port_forecast *f, estab_time now);

/* ctl_ask.c */
void ctl_tap_if_traced(struct estab_ctl *ctl);
/* The request in c->ask has an end; and what there is room for. */
void ctl_begin(struct estab_ctl *ctl, struct ctl_client *c);
void ctl_fill(struct estab_ctl *ctl, struct ctl_client *c);

/* ctl.c */
void ctl_watch(struct estab_ctl *ctl, struct ctl_client *c, uint32_t events);

#pragma GCC visibility pop
#endif

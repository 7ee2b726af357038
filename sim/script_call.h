/* SPDX-License-Identifier: BSD-2-Clause */
/* script_call.h - a system call of a script, from its arguments to what it wrote. */
#ifndef SIM_SCRIPT_CALL_H
#define SIM_SCRIPT_CALL_H

#include "script.h"

#include <limits.h>
#include <netinet/in.h>

enum { ARGS_MAX = 8, VECTOR_MAX = 64, VALUE_MAX = 4096 };
enum call_kind { CALL_PLAIN, CALL_CONNECTS, CALL_GIVES_SOCKET, CALL_GIVES_FD };

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
    void (*check)(struct call_state *c); /* what it wrote, if it succeeded; NULL: nothing */
    enum call_kind kind;
};

/* By what they are about; each table ends with no name. */
extern const struct call call_sock[], call_io[], call_opt[], call_wait[];

/* script_args.c: what stands at the i-th place, from 0, or the run ends here. */
_Noreturn void arg_refuse(const struct call_state *c, int i, const char *what);
long long arg_evaluate(const struct call_state *c, const struct expr *e);
bool arg_is_any(const struct expr *e);
bool arg_is_null(const struct expr *e);
int arg_number(const struct call_state *c, int i);
size_t arg_size(const struct call_state *c, int i);
void arg_fd(struct call_state *c);
void *arg_zeros(const struct call_state *c, size_t n);
void *arg_out(struct call_state *c, const struct expr *e, size_t n);
void *arg_in(struct call_state *c, const struct expr *e, size_t n);
void arg_put_addr(struct call_state *c, const uint8_t ip[16], uint16_t port);
const struct expr *arg_field(const struct expr *e, const char *name);
void arg_addr(struct call_state *c, int i, const uint8_t ip[16], uint16_t port);
struct sockaddr *arg_sa(struct call_state *c);
uint16_t arg_port(const struct call_state *c);
void arg_ip(const struct call_state *c, uint8_t ip[16]);
/* What came is not what was expected. */
_Noreturn void call_wrong(const struct call_state *c, const char *what, long long came,
                          long long wanted);
void call_octets(const struct call_state *c, const struct expr *e, const uint8_t *buf, size_t n);
/* The script's numbers of descriptors and the live ones; NULL: nobody's. */
struct fd_pair *run_pair(struct run *r, int live);
void run_add_pair(struct run *r, int line, long long script, int live);
/* script_call_sock.c */
void call_connects(struct call_state *c);

#endif

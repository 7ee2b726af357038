/* SPDX-License-Identifier: BSD-2-Clause */
/* theirs.h - the kernel's side: ordinary sockets, a thread in which many of them follow a plan, and
 * what the kernel itself shows. */
#ifndef INTEROP_KERNEL_THEIRS_H
#define INTEROP_KERNEL_THEIRS_H

#include "end.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

enum { THEIR_ENDS = 200 };

struct their_end {
    int fd; /* -1: none */
    bool connecting;
    struct end end;
};
struct their_side {
    /* what is wanted */
    struct plan plan;
    bool opens;
    uint32_t n, at_once;
    struct sockaddr_storage to; /* opens: whom */
    int listener;               /* -1, or where they come in */
    /* what happened; for others when the thread has ended */
    uint32_t begun, over;
    struct tcp_info info; /* of the connection that was over last */
    char failure[160];    /* empty: none */
    /* the thread */
    pthread_t thread;
    bool running;
    int ended, stop; /* eventfds */
    struct their_end ends[THEIR_ENDS];
};

/* The caller has set what is wanted. */
bool theirs_start(struct their_side *k);
bool theirs_have_ended(const struct their_side *k);
/* Ends the thread if it still runs; may be called twice. */
void theirs_join(struct their_side *k);

/* Sockets, none of which blocks; -1: errno.  rcvbuf 0: as the kernel likes. */
void their_addr(struct sockaddr_storage *a, const char *host, uint16_t port);
int their_listen(const char *host, uint16_t port, int rcvbuf);
/* Begins to connect, from own_port if it is not 0. */
int their_connect(const struct sockaddr_storage *to, uint16_t own_port, int rcvbuf);
int their_error(int fd); /* SO_ERROR */
void their_info(int fd, struct tcp_info *info);
void their_option(int fd, int level, int name, int value);
void their_reset(int fd); /* closes with an RST */

/* Connections in the kernel's tables: in TIME-WAIT, and all others but listeners. */
void their_table(uint32_t *time_wait, uint32_t *others);
/* A counter of this namespace: ("snmp", "Tcp:", "RetransSegs"); UINT64_MAX: there is none. */
uint64_t their_counter(const char *file, const char *prefix, const char *name);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* channel.h - messages on connections, on estab sockets and on kernel sockets alike.
 *
 * A message is a length and that many octets (doc/CHANNEL.md).  A channel is a conversation with
 * one peer in messages: requests with their replies, messages without, heartbeats, a turn that
 * passes.  The side that connects may go on over a new connection when one is lost.  A pool keeps
 * several connections to one peer.
 *
 * Nothing here calls the application: a channel is run, and drained.  Only the calls under
 * "blocking" wait, by the transport's wait().  Time, randomness and memory come from an estab_env.
 * A channel belongs to one thread at a time.  Ownership words as in estab.h. */
#ifndef ESTAB_CHANNEL_H
#define ESTAB_CHANNEL_H

#include <estab/host.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum estab_channel_err { /* beside those of enum estab_err */
                         ESTAB_E_TOOBIG =
                             -64, /* larger than max_message, or than the length header can say */
                         ESTAB_E_PROTOCOL =
                             -65, /* the peer sent what is no message, or none it may send now */
                         ESTAB_E_BUSY =
                             -66, /* the peer refused this request: it was not carried out */
                         ESTAB_E_CLOSED = -67, /* the peer has closed, between messages */
                         ESTAB_E_CANCELLED =
                             -68, /* by estab_channel_cancel(), or the channel was closed */
};
const char *estab_channel_strerror(int err); /* of both enums */

/* ---- the length in front ---- */

enum estab_length {
    ESTAB_LENGTH_4, /* octets, big-endian */
    ESTAB_LENGTH_2,
    ESTAB_LENGTH_8,
    ESTAB_LENGTH_LEB128, /* unsigned, 1 to 10 octets, the shortest form only */
};
#define ESTAB_LENGTH_MAX 10 /* octets of a length header */
/* The largest length this header can say. */
uint64_t estab_length_limit(enum estab_length kind);
/* Octets written; 0: n is beyond the limit. */
size_t estab_length_emit(uint8_t out[ESTAB_LENGTH_MAX], enum estab_length kind, uint64_t n);
/* Octets read, and the length in *n; 0: the header goes on behind len; E_TOOBIG: it says more than
 * max, as soon as that is certain; E_PROTOCOL: LEB128 that is not the shortest form. */
int estab_length_parse(uint64_t *n, const uint8_t *p, size_t len, enum estab_length kind,
                       uint64_t max);

/* ---- transports: what connections are made of ----
 * Like sockets that never block.  Errors are those of enum estab_err.  A channel asks again when it
 * is run, so that who runs it needs only to know what a connection waits for. */

typedef uint64_t estab_wire; /* a connection: a descriptor, an estab_sock */
struct estab_wire_wait {
    estab_wire wire;
    uint32_t mask; /* ESTAB_EV_IN, ESTAB_EV_OUT */
};
struct estab_transport { /* copied; ctx must outlive the channel */
    void *ctx;
    /* Begins to connect.  user: of the channel, for who watches many wires. */
    int (*open)(void *ctx, const struct estab_addr *peer, void *user, estab_wire *out);
    /* NULL: nothing to do.  A connection that was accepted is to be this channel's. */
    int (*adopt)(void *ctx, estab_wire w, void *user);
    int (*opened)(void *ctx, estab_wire w); /* 0, E_INPROGRESS, or why it will not be */
    /* What fits; E_AGAIN: nothing.  recv: 0 is the peer's end of stream. */
    ptrdiff_t (*send)(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov);
    ptrdiff_t (*recv)(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov);
    void (*close)(void *ctx, estab_wire w, bool abort);
    /* Until one of them may be ready, or for so long; 0 or an error that ends the waiting.
     * NULL: blocking calls are refused with E_NOTSUP. */
    int (*wait)(void *ctx, const struct estab_wire_wait *w, size_t n, estab_dur within);
};
/* Descriptors, made non-blocking: the kernel's, or whoever's calls these are. */
struct estab_fd_calls {
    int (*socket)(int domain, int type, int protocol);
    int (*connect)(int fd, const struct sockaddr *addr, socklen_t len);
    int (*getsockopt)(int fd, int level, int name, void *val, socklen_t *len);
    int (*setsockopt)(int fd, int level, int name, const void *val, socklen_t len);
    ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
    int (*fcntl)(int fd, int cmd, ...);
    int (*ppoll)(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                 const sigset_t *mask);
    int (*epoll_ctl)(int epfd, int op, int fd, struct epoll_event *ev);
    int (*close)(int fd);
};
/* <estab/posix.h>'s, for static const struct estab_fd_calls x = ESTAB_POSIX_CALLS; */
#define ESTAB_POSIX_CALLS                                                                          \
    {                                                                                              \
        estab_posix_socket, estab_posix_connect, estab_posix_getsockopt, estab_posix_setsockopt,   \
            estab_posix_sendmsg, estab_posix_recvmsg, estab_posix_fcntl, estab_posix_ppoll,        \
            estab_posix_epoll_ctl, estab_posix_close                                               \
    }
struct estab_fd_wires {
    const struct estab_fd_calls *calls; /* NULL: the kernel's */
    int epoll; /* a set in which each is registered (edge-triggered, in and out, data.ptr = the
                  channel's user), or -1 */
};
/* w is borrowed until the last channel is freed; NULL: the kernel's, in no set. */
void estab_transport_fd(struct estab_transport *t, const struct estab_fd_wires *w);
/* The sockets of a stack; a wire is an estab_sock, watched with the channel's user.  loop: what
 * wait() turns, or NULL: no waiting; a descriptor that the loop watches (estab_loop_watch_fd) ends
 * a wait with E_CANCELLED, and the request with it.  All is borrowed until the last channel is
 * freed.
 */
struct estab_stack_wires {
    estab_stack *s;
    estab_loop *loop;
};
void estab_transport_stack(struct estab_transport *t, struct estab_stack_wires *w);

/* ---- channels ---- */

typedef struct estab_channel estab_channel;
enum estab_duplex {
    ESTAB_DUPLEX_FULL, /* both sides send when they like */
    ESTAB_DUPLEX_HALF, /* the turn passes: who connects has it first */
    ESTAB_SIMPLEX_OUT, /* this side only sends; the peer's is ESTAB_SIMPLEX_IN */
    ESTAB_SIMPLEX_IN,
};
struct estab_channel_config { /* append-only; `size` tells which fields the caller knows */
    size_t size;
    void *user;         /* handed to the transport */
    uint8_t length;     /* enum estab_length */
    uint8_t duplex;     /* enum estab_duplex */
    bool plain;         /* length and text only: replies come in the order of the requests; no
                           heartbeats, no turn, no refusals */
    bool reconnect;     /* who connects: a lost connection is replaced */
    uint32_t in_flight; /* requests without their reply, and replies not yet drained */
    uint32_t send_messages, inbox_messages; /* waiting to be sent; received, not yet drained */
    uint64_t max_message;                   /* octets of text, both ways */
    uint64_t send_octets, inbox_octets;
    estab_dur heartbeat;  /* after so long without a word from the peer it is asked for one; 0:
                             never */
    uint8_t misses;       /* heartbeats unanswered: the peer is dead (misses + 1) * heartbeat after
                             its last word */
    uint8_t retry_jitter; /* percent of the span before an attempt that chance may take off */
    uint16_t attempts;    /* in vain, in a row, before it is given up; 0: no limit */
    estab_dur retry_min, retry_max; /* the span doubles from one to the other */
    estab_dur connect_timeout;
    estab_dur stall;         /* how long a message that has begun may stand still; 0: for ever */
    estab_dur close_timeout; /* how long estab_channel_close() waits for the peer */
};
#define estab_channel_config_init(c) estab_channel_config_init_sized((c), sizeof *(c))
void estab_channel_config_init_sized(struct estab_channel_config *c, size_t size);

/* The side that connects; the first attempt begins when the channel is run.  copies env, c (NULL:
 * the defaults), t and peer.  E_INVAL: settings that exclude each other; E_NOMEM. */
int estab_channel_connect(estab_channel **out, const struct estab_env *env,
                          const struct estab_channel_config *c, const struct estab_transport *t,
                          const struct estab_addr *peer);
/* The side that has accepted: takes the wire; on failure it is still the caller's. */
int estab_channel_accept(estab_channel **out, const struct estab_env *env,
                         const struct estab_channel_config *c, const struct estab_transport *t,
                         estab_wire wire);
/* Aborts the connection if there is one; nothing is told any more.  NULL is allowed. */
void estab_channel_free(estab_channel *c);
/* No new requests from here; what is queued is sent, replies due either way are waited for, then
 * the connection is closed: the channel is over.  A side that accepted leaves the closing to the
 * peer, whose requests may be under way and will be refused.  Goes on while the channel is run, for
 * at most close_timeout. */
void estab_channel_close(estab_channel *c);

/* Reads, writes, and does what is due.  Call it when a wire is ready, when the deadline has come,
 * and after the calls below (they only queue). */
void estab_channel_run(estab_channel *c);
estab_time estab_channel_deadline(const estab_channel *c); /* or ESTAB_NEVER; may be early */
/* What to wait for; false: there is no connection now. */
bool estab_channel_wants(const estab_channel *c, struct estab_wire_wait *w);

/* All of these copy the text.  Errors of all: E_AGAIN: the queue is full, or in_flight is reached:
 * drain, wait for ESTAB_CH_ROOM; E_TOOBIG; E_PIPE: closed, over; E_NOTSUP: this channel's duplex
 * or framing has no such thing; E_NOMEM. */
enum {
    ESTAB_CH_SAFE = 1, /* request: carrying it out twice does no harm: sent again on the next
                          connection if its reply has not come */
    ESTAB_CH_PASS = 2, /* half-duplex: and the turn with it */
};
/* A message without a reply: at most once. */
int estab_channel_send(estab_channel *c, const struct estab_iov *iov, size_t niov, unsigned flags);
/* A request; within: how long its reply may take (ESTAB_NEVER).  *number is its name: no two of a
 * channel are the same. */
int estab_channel_ask(estab_channel *c, const struct estab_iov *iov, size_t niov, estab_dur within,
                      unsigned flags, uint64_t *number);
/* The reply to a request of the peer; on a plain channel in their order.  E_INVAL: no such request
 * waits; its connection may be gone. */
int estab_channel_reply(estab_channel *c, uint64_t number, const struct estab_iov *iov, size_t niov,
                        unsigned flags);
/* Says that a request was not carried out and will not be. */
int estab_channel_refuse(estab_channel *c, uint64_t number);
int estab_channel_pass(estab_channel *c); /* the turn; E_INVAL: it is not here */
/* Forgets a request: its reply will be dropped.  E_INVAL: no such request. */
int estab_channel_cancel(estab_channel *c, uint64_t number);

enum estab_channel_event_kind {
    ESTAB_CH_UP,      /* connected */
    ESTAB_CH_DOWN,    /* not any more, or the attempt failed: error; retry_at */
    ESTAB_CH_MESSAGE, /* text */
    ESTAB_CH_REQUEST, /* text; number, for the reply */
    ESTAB_CH_REPLY,   /* text; number of the request */
    ESTAB_CH_FAILED,  /* number of a request that gets no reply: error; sent */
    ESTAB_CH_TURN,    /* it is here */
    ESTAB_CH_ROOM,    /* after E_AGAIN: there is room again */
};
struct estab_channel_event {
    enum estab_channel_event_kind kind;
    int error;           /* DOWN, FAILED */
    bool sent;           /* FAILED: the peer may have carried it out */
    estab_time retry_at; /* DOWN: when it is tried again; ESTAB_NEVER: the channel is over */
    uint64_t number;
    const uint8_t *text; /* lends, until the next call of estab_channel_next or _free */
    size_t len;
};
/* The next thing that happened, in order; false: nothing more. */
bool estab_channel_next(estab_channel *c, struct estab_channel_event *e);

enum estab_channel_state {
    ESTAB_CHANNEL_WAITING, /* until the next attempt */
    ESTAB_CHANNEL_CONNECTING,
    ESTAB_CHANNEL_UP,
    ESTAB_CHANNEL_OVER,
};
struct estab_channel_info { /* append-only: set size before the call */
    size_t size;
    enum estab_channel_state state;
    bool closing, turn;
    uint32_t in_flight, send_messages, inbox_messages, serving; /* serving: requests to be replied
                                                                   to */
    uint64_t send_octets, inbox_octets;
    estab_time heard_at; /* the peer's last word */
    uint64_t connections, messages_in, messages_out, octets_in, octets_out;
    uint64_t late;     /* replies that came after their time, and were dropped */
    uint64_t pings;    /* heartbeats sent */
    uint64_t repeated; /* safe requests sent again */
};
void estab_channel_info(const estab_channel *c, struct estab_channel_info *i);

/* ---- blocking ---- */

/* Until something has happened, or that span is over (E_TIMEOUT); 0: *e is filled. */
int estab_channel_wait(estab_channel *c, estab_dur within, struct estab_channel_event *e);
/* Sends a request and waits for its reply, which it copies into the pieces of rep: its length, also
 * if that is more than they hold.  E_TIMEOUT: the time is up; the late reply will be dropped.
 * Other events stay for estab_channel_next().  On a half-duplex channel the turn passes with the
 * request.  Errors: of estab_channel_ask (but it waits for room in the queue; E_AGAIN: the inbox is
 * full, so that no reply can come: drain it first); of ESTAB_CH_FAILED. */
ptrdiff_t estab_channel_call(estab_channel *c, const struct estab_iov *req, size_t nreq,
                             const struct estab_iov *rep, size_t nrep, estab_dur within,
                             unsigned flags);

/* ---- pools: connections to one peer, kept and used again ---- */

typedef struct estab_pool estab_pool;
struct estab_pool_config { /* append-only; `size` tells which fields the caller knows */
    size_t size;
    const struct estab_channel_config *channel; /* of each, copied; NULL: the defaults.  reconnect
                                                   is ignored: the pool opens anew */
    uint32_t max;                               /* connections at once */
    uint32_t idle_max;                          /* of them, kept without work */
    uint32_t waiting;                           /* requests that wait for a connection */
    uint32_t in_flight; /* requests on one connection at once; 1: each has its own */
    uint32_t uses_max;  /* requests on one connection in all; 1: short connections; 0: no limit */
    estab_dur idle_for; /* without work before it is closed; 0: no limit */
    estab_dur age_max;  /* before it gets no more work; 0: no limit */
    /* Idle for check_after (0: no limit), it must answer a heartbeat within check_within before it
     * gets work. */
    estab_dur check_after, check_within;
};
#define estab_pool_config_init(c) estab_pool_config_init_sized((c), sizeof *(c))
void estab_pool_config_init_sized(struct estab_pool_config *c, size_t size);
int estab_pool_new(estab_pool **out, const struct estab_env *env, const struct estab_pool_config *c,
                   const struct estab_transport *t, const struct estab_addr *peer);
void estab_pool_free(estab_pool *p); /* as estab_channel_free(), of all */
/* Closes the connections as their requests end; requests that wait still get one.  The pool opens
 * new ones when it is asked again. */
void estab_pool_close(estab_pool *p);
void estab_pool_run(estab_pool *p);
estab_time estab_pool_deadline(const estab_pool *p);
/* Fills w with what up to cap connections wait for; how many there are. */
size_t estab_pool_wants(const estab_pool *p, struct estab_wire_wait *w, size_t cap);
/* As estab_channel_ask(); E_AGAIN: `waiting` requests wait. */
int estab_pool_ask(estab_pool *p, const struct estab_iov *iov, size_t niov, estab_dur within,
                   unsigned flags, uint64_t *number);
/* ESTAB_CH_REPLY and ESTAB_CH_FAILED of its requests; lends until the next call. */
bool estab_pool_next(estab_pool *p, struct estab_channel_event *e);
/* As estab_channel_call().  Where the transport's wait() fails the request goes on: its end will be
 * told by estab_pool_next(). */
ptrdiff_t estab_pool_call(estab_pool *p, const struct estab_iov *req, size_t nreq,
                          const struct estab_iov *rep, size_t nrep, estab_dur within,
                          unsigned flags);
struct estab_pool_info { /* append-only: set size before the call */
    size_t size;
    uint32_t connections, idle, busy, waiting;
    uint64_t opened, reused, retired, checks, checks_failed;
};
void estab_pool_info(const estab_pool *p, struct estab_pool_info *i);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

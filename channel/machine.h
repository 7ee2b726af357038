/* SPDX-License-Identifier: BSD-2-Clause */
/* machine.h - the inside of a channel, shared by the files of this folder. */
#ifndef CHANNEL_MACHINE_H
#define CHANNEL_MACHINE_H

#include "message.h"

#pragma GCC visibility push(hidden)

enum {
    READ_CHUNK = 8192, /* octets that one read may bring beyond the bounds of the inbox */
    READS = 64,        /* in one run: whoever sends without end does not stop the rest */
    GATHER = 16,       /* messages that one send takes together */
    BUCKETS_MAX = 1024,
};

/* What is found by its number: numbers follow each other, so they spread evenly. */
struct table {
    struct entry **buckets; /* NULL until the first is added */
    uint32_t nbuckets, n;
};
struct entry *table_find(const struct table *t, uint64_t number);
/* most: how many there will be at most.  0 or E_NOMEM. */
int table_add(struct table *t, const struct estab_env *env, uint32_t most, struct entry *e);
void table_del(struct table *t, struct entry *e);
void table_fini(struct table *t, const struct estab_env *env);

/* A message that waits to be sent, with its head. */
struct out {
    struct out *next;
    struct call *call; /* of a request that is still wanted */
    uint8_t type;
    bool pass;      /* the turn goes with it */
    size_t len, at; /* at: octets of it that the transport has */
    uint8_t octets[];
};

/* A request of ours, until its end has been drained. */
struct call {
    struct happening h; /* listed when it has ended */
    struct entry e;
    struct call *prev, *next; /* in order of their numbers, until they end */
    struct out *out;          /* waits to be sent, or kept in order to be sent again; or NULL */
    struct message *reply;
    estab_time due;
    uint64_t position; /* on a plain channel, among what was sent on this connection */
    int error;
    bool safe, queued, sent; /* sent: whole */
};

struct estab_channel {
    struct estab_env env;
    struct estab_channel_config conf;
    struct estab_transport t;
    struct estab_addr peer;
    struct message_format format;
    enum estab_channel_state state;
    bool connector;
    bool keep;        /* requests, until their reply: they may have to be sent again */
    bool turn;        /* half-duplex: it is here */
    bool pass_queued; /* and will go with what is in the queue */
    bool blocked;     /* the transport takes no more */
    bool paused;      /* the inbox is full: nothing is read */
    bool more;        /* the last run did not read to the end */
    bool eof;         /* the peer has closed its side */
    bool closing, bye_queued, peer_leaving;
    bool want_room; /* somebody got E_AGAIN */
    bool ping_owed, pong_owed;
    estab_wire wire;
    estab_time now; /* as of the call being served */

    struct decoder in;
    uint32_t inbox_messages;
    uint64_t inbox_octets;
    struct table served;                  /* the peer's requests, by number */
    uint64_t served_next, served_replied; /* plain: numbers given, and replied to */

    struct out *sendq, **sendq_tail;
    uint32_t send_messages;
    uint32_t answers; /* of them replies and refusals */
    uint64_t send_octets;
    uint8_t ctl[2 * MSG_HEAD_MAX]; /* PONG and PING, in front of the next message */
    uint8_t ctl_len, ctl_at;
    uint64_t pong_number;

    struct table calls;
    struct call *first_call, *last_call; /* that have not ended */
    uint64_t next_number;
    estab_time calls_due; /* no call is due before */
    uint64_t plain_sent, plain_got;

    estab_time heartbeat_at, stall_at, connect_at, retry_at, close_at, up_at;
    uint32_t misses, failures; /* attempts in a row */

    struct happening *happened, *happened_last;
    struct happening up, down, turned, room;
    int down_error;
    estab_time down_retry_at;
    struct message *lent;
    struct estab_channel_info info; /* its counters */
};

estab_time channel_after(estab_time at, estab_dur d);
size_t channel_iov_len(const struct estab_iov *iov, size_t niov);

/* channel.c */
void channel_happens(estab_channel *c, struct happening *h, enum estab_channel_event_kind kind);
void channel_unlist(estab_channel *c, struct happening *h);
void channel_free_call(estab_channel *c, struct call *k);
void channel_end_serving(estab_channel *c, struct message *m);
/* The event of one thing that happened, already out of the list; frees what it was. */
void channel_tell(estab_channel *c, struct happening *h, struct estab_channel_event *e);
uint64_t channel_first_number(const struct estab_env *env);
int channel_new(estab_channel **out, const struct estab_env *env,
                const struct estab_channel_config *conf, const struct estab_transport *t);

/* channel_out.c */
void channel_flush(estab_channel *c);
/* Takes a request out of the queue: k keeps it, or, if a part is on the wire, loses it. */
void channel_unqueue(estab_channel *c, struct call *k);
void channel_queue_first(estab_channel *c, struct out *o);
/* After the connection was lost: everything, or what has no place on the next one. */
void channel_clear_queue(estab_channel *c, bool all);
bool channel_has_room(const estab_channel *c);
bool channel_owes_bye(const estab_channel *c);
void channel_free_out(estab_channel *c, struct out *o);
/* A message to send, in memory of its own; 0, or E_TOOBIG, E_NOMEM. */
int channel_new_out(estab_channel *c, struct out **out, uint8_t type, uint64_t number,
                    const struct estab_iov *iov, size_t niov);
void channel_queue(estab_channel *c, struct out *o);

/* 0, or why nothing of this kind may be sent. */
int channel_may_send(estab_channel *c, unsigned flags, unsigned known);

/* channel_in.c */
void channel_read(estab_channel *c);
bool channel_may_read(const estab_channel *c);

/* channel_call.c */
int channel_ask(estab_channel *c, const struct estab_iov *iov, size_t niov, estab_time due,
                unsigned flags, uint64_t number);
void channel_fail(estab_channel *c, struct call *k, int error);
void channel_fail_all(estab_channel *c, int error);
void channel_expire_calls(estab_channel *c);
void channel_unlink_call(estab_channel *c, struct call *k);
struct call *channel_find_call(const estab_channel *c, uint64_t number);

/* channel_block.c */
void channel_scatter(const struct estab_iov *iov, size_t niov, const uint8_t *text, size_t len);

/* channel_life.c */
void channel_heard(estab_channel *c);
/* The connection is over. */
void channel_lose(estab_channel *c, int error, bool abort);
void channel_live(estab_channel *c); /* connects; before reading */
void channel_beat(estab_channel *c); /* judges silence; after reading */
/* No requests that have not begun go over this connection any more. */
void channel_hold_back(estab_channel *c);
void channel_finish(estab_channel *c); /* closes it when nothing is left to wait for */

#pragma GCC visibility pop
#endif

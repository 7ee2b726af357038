/* SPDX-License-Identifier: BSD-2-Clause */
/* message.h - messages on the wire: doc/CHANNEL.md. */
#ifndef CHANNEL_MESSAGE_H
#define CHANNEL_MESSAGE_H

#include <estab/channel.h>

#pragma GCC visibility push(hidden)

enum message_type { /* the octet behind the length */
                    MSG_MESSAGE,
                    MSG_REQUEST,
                    MSG_REPLY,
                    MSG_REFUSE, /* the request of this number was not carried out and will not be */
                    MSG_PING,
                    MSG_PONG, /* with the number of the ping */
                    MSG_TURN,
                    MSG_BYE, /* requests that come from now on will be refused */
                    MSG_TYPES
};
enum {
    MSG_PASS = 0x80, /* beside the type of what has text: the turn comes with it */
    MSG_PREFIX = 9,  /* type and number */
    MSG_HEAD_MAX = ESTAB_LENGTH_MAX + MSG_PREFIX, /* and the length */
    MSG_FIRST = 4096, /* octets of memory that the first octet of a long text gets */
};

/* Octets of a length header that is always as long; 0: LEB128 is not. */
size_t length_fixed(enum estab_length kind);

struct message_format {
    enum estab_length length;
    bool plain;
    uint64_t max; /* octets of text */
};

/* Octets of the head of a message with so much text; 0: it cannot be said, or is above max.
 * type: may have MSG_PASS. */
size_t message_head(uint8_t out[MSG_HEAD_MAX], const struct message_format *f, uint8_t type,
                    uint64_t number, uint64_t text_len);

static inline uint8_t message_passing(enum message_type type, unsigned flags)
{
    return (uint8_t)((unsigned)type | (flags & ESTAB_CH_PASS ? (unsigned)MSG_PASS : 0));
}

/* What happened, in order: messages, ends of calls, changes of the connection. */
struct happening {
    struct happening *prev, *next; /* next NULL and prev NULL: in no list, or alone in one */
    bool listed;
    uint8_t kind; /* enum estab_channel_event_kind */
};

/* What is found by its number. */
struct entry {
    struct entry *chain;
    uint64_t number;
};

struct message {
    struct happening h;
    struct entry e;
    uint8_t type;
    bool served, lent; /* a request that waits for its reply; the user reads it: kept meanwhile */
    size_t len;        /* of the text */
    size_t have, cap;  /* octets of it that have come, and that there is memory for */
    uint8_t *text;     /* NULL: empty */
};

void message_free_text(const struct estab_env *env, struct message *m);
void message_free(const struct estab_env *env, struct message *m); /* NULL is allowed */

/* ---- the decoder ----
 * Memory for a text is taken as its octets come: MSG_FIRST with the first of them, then twice what
 * has come.  What a peer only announces costs us nothing. */

enum decoded {
    DECODED_ALL,  /* of the input; more is needed */
    DECODED_HEAD, /* type, number and len are known: decoder_skip() may follow */
    DECODED_MESSAGE,
};
struct decoder {
    struct message_format format;
    uint8_t head[MSG_HEAD_MAX];
    uint8_t head_len;
    bool in_text, skip;
    uint8_t type;
    bool pass;
    uint64_t number, len, left; /* left: octets of text still to come */
    struct message *m;          /* what is being filled */
};

void decoder_init(struct decoder *d, const struct message_format *f);
void decoder_fini(struct decoder *d, const struct estab_env *env);
/* Goes on in *p of *len octets up to the next thing to say, and moves both; or an error, after
 * which the stream makes no sense any more: E_TOOBIG, E_PROTOCOL, E_NOMEM. */
int decoder_go(struct decoder *d, const struct estab_env *env, const uint8_t **p, size_t *len);
void decoder_skip(struct decoder *d); /* after DECODED_HEAD: the text is not wanted */
/* After DECODED_MESSAGE: takes it; NULL if it was skipped. */
struct message *decoder_take(struct decoder *d);
/* Where text may be received straight to; len 0: nowhere. */
struct estab_iov decoder_room(const struct decoder *d);
/* n octets were received there. */
void decoder_filled(struct decoder *d, size_t n);
/* In the middle of a message, its length included. */
bool decoder_amid(const struct decoder *d);

#pragma GCC visibility pop
#endif

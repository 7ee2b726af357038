/* SPDX-License-Identifier: BSD-2-Clause */
/* remote.h - calls of a forked child, made by the process that has the stack.
 *
 * A stack runs in one process.  A child inherits descriptors, and with them open file descriptions
 * that are the parent's: each of its calls on them goes as a message over its line, a socket pair
 * made before the fork, to a thread of the parent, which makes the call without waiting and
 * answers.  What must wait waits in the child, in poll(2) on the descriptor itself, whose readiness
 * is kept in agreement, and asks again.
 *
 * Who holds what: the parent counts, for each child, what it inherited (at the fork), was given
 * (accept, socket) and gave back (its last close).  A line that breaks gives everything back: so a
 * description ends with its last holder, also where that one was killed.  A child that forks asks
 * for a line for the grandchild, which holds the same. */
#ifndef POSIX_REMOTE_H
#define POSIX_REMOTE_H

#include "posix_int.h"

enum { REMOTE_OCTETS = 65536, REMOTE_CONTROL = 512 };

enum remote_call {
    REMOTE_SOCKET,
    REMOTE_BIND,
    REMOTE_LISTEN,
    REMOTE_ACCEPT,
    REMOTE_CONNECT,
    REMOTE_SOCKNAME,
    REMOTE_PEERNAME,
    REMOTE_GETOPT,
    REMOTE_SETOPT,
    REMOTE_RECV,
    REMOTE_SEND,
    REMOTE_SHUTDOWN,
    REMOTE_IOCTL,
    REMOTE_STATUS,  /* F_GETFL, F_SETFL */
    REMOTE_RELEASE, /* the last descriptor is closed; no answer */
    REMOTE_ADOPT,   /* a line comes along, for one that holds the same */
};

/* The control message and the octets follow. */
struct remote_ask {
    enum remote_call call;
    int a, b, c;       /* flags; level, name; domain, type, protocol; request */
    uint64_t key;      /* the file, or for REMOTE_SOCKET the estab_posix */
    uint32_t len;      /* octets that follow, or are wanted */
    uint32_t name_len; /* UINT32_MAX: none */
    uint32_t control_len;
    struct sockaddr_storage name;
};
/* As many octets as there was room for control messages follow, then the octets read. */
struct remote_answer {
    int64_t ret;
    int err;
    int flags;       /* of a message */
    short wait;      /* what to poll for before asking again; 0: it is done */
    bool blocks;     /* it is no non-blocking call */
    estab_dur limit; /* SO_RCVTIMEO, SO_SNDTIMEO */
    uint64_t key;    /* of the descriptor that comes along */
    uint32_t name_len, control_len, len;
    struct sockaddr_storage name;
};

#pragma GCC visibility push(hidden)

/* ---- serve.c: in the process with the stack ---- */
/* A line for a child that is about to be forked, and holds what this process does; -1: none. */
int serve_child(void);
void serve_lock(void); /* around fork */
void serve_unlock(void);
/* In the child: the lines of its siblings, and over its own what another thread closed meanwhile.
 */
void serve_forget(int line);

/* ---- remote.c: in the child ---- */
void remote_before_fork(void);
void remote_after_fork(bool child);
void remote_release(struct file *f); /* nobody here has it any more */

#pragma GCC visibility pop
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* end.h - what one end of a connection does with it: one plan, whether estab or the kernel holds
 * that end.
 *
 * An end sends what it has, keeps what comes, and sends its FIN after its last octet, or (`last`)
 * not before it has the peer's.  With turns it may send turn_out octets for every turn_in that have
 * come, and the one that is `first` may send before any have: requests and responses. */
#ifndef INTEROP_KERNEL_END_H
#define INTEROP_KERNEL_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan {
    const uint8_t *out;
    uint8_t *in;
    size_t out_len, in_len; /* all that is sent, all that is expected */
    size_t step;            /* connection i has its octets at i * step */
    bool echo;              /* sends back what comes, instead of all this */
    bool last;
    size_t turn_out, turn_in; /* 0: no turns */
    size_t head; /* a turn is sent in two calls, the first of so many octets; 0: in one */
    bool first;
    bool more, nodelay; /* estab's end only: the head is sent with ESTAB_MSG_MORE; no Nagle */
};
struct end {
    struct plan plan;
    size_t sent, got;
    bool eof, fin_sent;
    size_t echo_from, echo_len;
    uint8_t echo_buf[16384];
};
enum { END_AGAIN = -1, END_FAILED = -2 };
struct end_io { /* send and recv: octets, 0 (recv: the peer's FIN), END_AGAIN or END_FAILED */
    ptrdiff_t (*send)(void *ctx, const void *from, size_t len);
    ptrdiff_t (*recv)(void *ctx, void *into, size_t len);
    bool (*fin)(void *ctx);
};

void end_begin(struct end *e, const struct plan *plan, size_t i);
/* How many octets one call may send now. */
size_t end_sendable(const struct end *e);
/* Does all that can be done now; false: the connection has failed, or more came than expected. */
bool end_run(struct end *e, const struct end_io *io, void *ctx);
bool end_is_over(const struct end *e);

#endif

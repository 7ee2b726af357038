/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_sent.h - what has been sent and is not yet acknowledged: when, and what has become of it.
 *
 *      SND.UNA                                                        SND.NXT
 *         |  resent  |   lost   | sacked | in flight | sacked | in flight |
 *           at t9       at t1               at t1                 at t2
 *
 * [SND.UNA, SND.NXT) is cut into runs without gaps.  A run is what was sent at one instant and has
 * had one fate: the 64 KiB that one turn of tcp_output() hands out are one record, so a transfer
 * that loses nothing pays for a push each time it sends and a pop for each ACK.  What the peer
 * reports, what is taken for lost and what goes again cuts runs up; neighbours that are alike
 * become one.
 *
 * The records are bounded (SENT_MAX), whatever a peer reports.  Far below that, runs that were sent
 * at almost the same time are one; at the bound, or where there is no memory for more, neighbours
 * in flight become one that was sent when the later was, a report that would cut a run in two is
 * not noted, and at the very worst one is forgotten: what that costs is a retransmission. */
#ifndef TCP_TCP_SENT_H
#define TCP_TCP_SENT_H

#include "base/ring.h"
#include "base/seq.h"

#define SENT_OWN 4u    /* records beside the control block; a power of two */
#define SENT_MAX 1024u /* ... and at most; a power of two */

enum run_flags {
    RUN_SACKED = 1,  /* the peer has reported it */
    RUN_LOST = 2,    /* to be sent again; never with RUN_SACKED */
    RUN_RESENT = 4,  /* has been sent more than once */
    RUN_LIMITED = 8, /* the user had no more to send */
    RUN_TOLD = 16,   /* had been reported, and the report forgotten; not sent again since */
};
/* How things stood when it was sent last: what samples of the delivery rate are made of
 * (draft-ietf-ccwg-bbr section 4.1).  Octets, counted in a circle, and circular microseconds. */
struct run_rate {
    uint32_t delivered;    /* delivered so far */
    uint32_t delivered_us; /* ... the last of it then */
    uint32_t first_us;     /* when what the sample begins with was sent */
    uint32_t flight;       /* in flight, with it */
    uint32_t lost;         /* lost so far */
};
struct run {
    seq_t end; /* it begins where the one before ends */
    uint32_t sent_us;
    struct run_rate rate;
    uint8_t flags; /* enum run_flags */
};
struct sent {
    struct run *v; /* a circle of cap; own, or a piece of the pool's */
    uint16_t head, n, cap;
    seq_t lo;                      /* where the first begins: SND.UNA */
    uint32_t sacked, lost, resent; /* octets; resent: in flight, for the second time at least */
    seq_t lost_from;               /* nothing before it is lost */
    struct run own[SENT_OWN];
};

/* What an ACK has told about what was sent. */
struct sent_news {
    estab_time now; /* the caller's; and what says of a retransmission which one arrived: */
    uint32_t rtt_min_us;
    bool has_echo; /* the timestamp that came back ... */
    uint32_t echo; /* ... in milliseconds of `now` */

    uint32_t delivered;    /* octets acknowledged or reported for the first time */
    uint32_t first_copies; /* ... of which have been sent once only */
    seq_t lowest;          /* where the first of these ends, if there are any */
    seq_t highest;         /* where the last of what was delivered ends */
    bool any;              /* there is a last */
    struct run last;       /* of what certainly arrived, what was sent last; what of it arrived */
};

void sent_init(struct sent *s, seq_t una);
void sent_fini(struct sent *s, struct ring_pool *p);             /* gives its memory back */
void sent_clear(struct sent *s, struct ring_pool *p, seq_t una); /* nothing is in flight */
static inline seq_t sent_nxt(const struct sent *s)
{
    return s->n ? s->v[(s->head + s->n - 1u) & (s->cap - 1u)].end : s->lo;
}
static inline const struct run *sent_run(const struct sent *s, uint32_t i)
{
    return &s->v[(s->head + i) & (s->cap - 1u)];
}
static inline seq_t sent_start(const struct sent *s, uint32_t i)
{
    return i ? sent_run(s, i - 1)->end : s->lo;
}
uint32_t sent_find(const struct sent *s, seq_t seq); /* the run with this octet; s->n: none */
/* RFC 8985 section 6.1, RACK_sent_after(). */
static inline bool sent_after(uint32_t a_us, seq_t a_end, uint32_t b_us, seq_t b_end)
{
    return LIKELY((int32_t)(a_us - b_us) > 0) || (a_us == b_us && seq_lt(b_end, a_end));
}

/* New text up to `end` goes now.  limited: 0, or RUN_LIMITED. */
void sent_push(struct sent *s, struct ring_pool *p, seq_t end, uint32_t now_us, uint8_t limited,
               const struct run_rate *rate);
/* Acknowledged up to `ack`, which has been sent.  news may be NULL. */
void sent_ack(struct sent *s, struct ring_pool *p, seq_t ack, struct sent_news *news);
/* The peer reports [lo, hi), which has been sent; octets that are news. */
uint32_t sent_sack(struct sent *s, struct ring_pool *p, seq_t lo, seq_t hi, struct sent_news *news);
/* [lo, hi) is lost, where it has not been reported; octets that had not been thought so. */
uint32_t sent_lose(struct sent *s, struct ring_pool *p, seq_t lo, seq_t hi);
void sent_found(struct sent *s); /* nothing is lost */
/* Nothing has been reported; but to be told of it once more is no news. */
RARE void sent_renege(struct sent *s);
/* The next to be sent again: from the first octet that is lost to the next that is not. */
bool sent_next_lost(struct sent *s, seq_t *lo, seq_t *hi);
/* [lo, hi), which has not been reported, goes again now. */
void sent_resend(struct sent *s, struct ring_pool *p, seq_t lo, seq_t hi, uint32_t now_us,
                 const struct run_rate *rate);
void sent_check(const struct sent *s); /* asserts the invariants: counts everything again */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cc.h - how much may be in flight: the interface of a congestion-control algorithm.
 *
 * An algorithm sees numbers only: octets, durations, and what happened.  Its state is small enough
 * to stay with an idle connection. */
#ifndef TCP_TCP_CC_H
#define TCP_TCP_CC_H

#include <estab/estab.h>

struct cc_sample { /* one per event; filled by tcp_ack.c and the timers */
    estab_time now;
    estab_dur rtt;               /* ESTAB_NEVER: no sample (Karn) */
    uint32_t acked, flight, mss; /* octets; flight: before this ACK */
    uint32_t slow_start;         /* octets that it may add in slow start; 0: no limit */
    bool cwnd_limited;           /* the window, not the application, bounded what was sent */
};
struct cc {
    uint32_t cwnd, ssthresh; /* octets */
    union {
        struct {
            uint32_t acked; /* octets acknowledged since cwnd last grew in congestion avoidance */
        } newreno;
    } u;
};
struct cc_ops {
    const char *name;
    void (*init)(struct cc *c, uint32_t cwnd);
    void (*on_ack)(struct cc *c,
                   const struct cc_sample *s); /* new octets acknowledged, outside recovery */
    void (*on_loss)(struct cc *c,
                    const struct cc_sample *s); /* once per episode: sets ssthresh and cwnd */
    void (*on_ecn)(struct cc *c,
                   const struct cc_sample *s); /* once per window with a mark, RFC 3168 */
    void (*on_rto)(struct cc *c, const struct cc_sample *s,
                   bool first); /* first: not a repeated one */
    void (*on_idle)(struct cc *c,
                    uint32_t restart); /* RFC 5681 section 4.1: restart window, octets */
};

const struct cc_ops *cc_find(const char *name); /* NULL: no such algorithm */
/* RFC 5681 equation 1 as RFC 6928 section 2 has it: initial window for this MSS. */
uint32_t cc_initial_window(uint32_t segments, uint32_t mss);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cc.h - how much may be in flight: the interface of a congestion-control algorithm.
 *
 * An algorithm sees numbers only: octets, durations, and what happened.  What it must remember of
 * an idle connection is a word; the rest comes with the work part and is zero when that is new. */
#ifndef TCP_TCP_CC_H
#define TCP_TCP_CC_H

#include "base/seq.h"
#include <estab/estab.h>

struct cc_sample { /* one per event; filled by tcp_ack.c and the timers */
    estab_time now;
    estab_dur rtt;               /* ESTAB_NEVER: no sample (Karn) */
    estab_dur srtt;              /* 0: none yet */
    estab_dur rtt_min;           /* least ever */
    uint32_t acked, flight, mss; /* octets; flight: before this ACK */
    seq_t una, nxt;              /* una: after this ACK */
    uint32_t marked;             /* of `acked`, as the peer reports it: octets that were marked */
    uint32_t slow_start;         /* octets that it may add in slow start; 0: no limit */
    bool paced;                  /* text is spread over the round trip */
    bool cwnd_limited;           /* the window, not the application, bounded what was sent */
    /* For algorithms that model the path; octets, of this ACK ... */
    uint32_t delivered; /* acknowledged or reported for the first time */
    uint32_t lost;      /* declared lost since the ACK before */
    uint32_t in_flight; /* after it */
    uint32_t total;     /* delivered so far, in a circle */
    /* ... and of the time from when the last of it to be sent was sent until now
     * (draft-ietf-ccwg-bbr section 4.1.2); rate_us 0: no sample. */
    uint32_t rate_delivered, rate_us;
    uint32_t rate_lost;   /* lost meanwhile */
    uint32_t rate_prior;  /* `total` when it was sent */
    uint32_t rate_flight; /* in flight when it was sent, with it */
    bool rate_limited;    /* the user had no more to send then */
};
#define CC_SSTHRESH_MAX (UINT32_MAX / 2) /* "arbitrarily high", RFC 5681 section 3.1 */
struct cc {
    uint32_t cwnd, ssthresh; /* octets */
    uint32_t kept;           /* the algorithm's */
};
enum bbr_state { /* cc_bbr.c */
                 BBR_STARTUP,
                 BBR_DRAIN,
                 BBR_DOWN, /* of ProbeBW, to BBR_UP */
                 BBR_CRUISE,
                 BBR_REFILL,
                 BBR_UP,
                 BBR_PROBE_RTT
};
enum bbr_acks {
    BBR_ACKS_INIT,
    BBR_ACKS_REFILLING,
    BBR_ACKS_STARTING,
    BBR_ACKS_FEEDBACK,
    BBR_ACKS_STOPPING
};
struct cc_bbr {
    uint8_t state, ack_phase; /* enum bbr_state, enum bbr_acks */
    uint8_t full_count, up_rounds, extra_rounds, losses_in_round;
    bool begun, idle_restart, round_start, loss_round_start, loss_in_round;
    bool full_now, full_reached;
    bool probing, prev_too_high, precautionary;   /* is_bw_probe_sample, prev_probe_... */
    bool probe_rtt_expired, probe_rtt_round;      /* probe_rtt_round_done */
    uint32_t cwnd, prior_cwnd;                    /* before the model bounds it; before ProbeRTT */
    uint32_t first_total, next_round, loss_round; /* of what has been delivered, in a circle */
    uint32_t rounds, drain_round, rounds_since_up;
    uint32_t inflight_long, inflight_short, inflight_latest;
    uint32_t probe_flight; /* most in flight since the probe began */
    uint32_t up_acked, up_per_inc;
    uint32_t extra[2], extra_delivered;
    uint32_t min_rtt, probe_rtt_min; /* us; 0: none */
    uint64_t bw_filter[2];           /* of this cycle and the one before */
    uint64_t bw_short, bw_latest, full_bw, rate;
    estab_time min_rtt_at, probe_rtt_min_at, probe_rtt_done_at, cycle_at, extra_at;
    estab_dur probe_wait;
};
struct cc_run { /* while there is work */
    union {
        struct {          /* cc_cubic.c */
            bool running; /* a stage of congestion avoidance */
            estab_time epoch, last;
            uint64_t fraction; /* of an octet of growth: over cwnd */
            uint32_t k_ms, w_est, prior, unspent;
            /* HyStart++ */
            bool started, css;
            uint8_t samples, css_rounds;
            seq_t window_end;
            estab_time round_at, train_at;        /* when the round began; its last ACK in a row */
            uint32_t rtt_last, rtt_now, rtt_base; /* us; 0: none */
        } cubic;
        struct {          /* cc_dctcp.c */
            bool started; /* an observation window */
            seq_t window_end;
            uint32_t acked, marked;
            uint32_t counted; /* octets since cwnd last grew in congestion avoidance */
        } dctcp;
        struct cc_bbr bbr;
    } u;
};
struct cc_ops {
    const char *name;
    uint8_t id;         /* its place in the registry */
    uint8_t slow_start; /* RFC 3465's L where the profile leaves it to the algorithm */
    bool counts_marks;  /* RFC 8257: ECN is asked for, and the peer's marks echoed one by one */
    /* New octets acknowledged, outside recovery. */
    void (*on_ack)(struct cc *c, struct cc_run *r, const struct cc_sample *s);
    /* NULL, or: what on_ack() comes to where the window did not limit what was sent. */
    void (*on_spare)(struct cc_run *r, estab_time now);
    /* NULL, or: every ACK that tells of something delivered or lost, in recovery too, when the rest
     * has been done. */
    void (*on_delivered)(struct cc *c, struct cc_run *r, const struct cc_sample *s);
    /* Once per episode: sets ssthresh and cwnd. */
    void (*on_loss)(struct cc *c, struct cc_run *r, const struct cc_sample *s);
    /* Once per window with a mark, RFC 3168. */
    void (*on_ecn)(struct cc *c, struct cc_run *r, const struct cc_sample *s);
    /* first: not a repeated one. */
    void (*on_rto)(struct cc *c, struct cc_run *r, const struct cc_sample *s, bool first);
    /* NULL: as it was.  The last loss, or timeout, was none; before: as it was then. */
    void (*undo)(struct cc *c, struct cc_run *r, const struct cc *before);
    /* NULL, or: text goes after more than an RTO of silence; tcp_cwv.c sees to the window. */
    void (*on_idle)(struct cc_run *r, estab_time now);
    /* Octets a second at which text goes, 0: no rate yet; NULL: paced only where that is asked for,
     * at a rate that follows from the window. */
    uint64_t (*pacing_rate)(const struct cc *c, const struct cc_run *r);
};
extern const struct cc_ops cc_newreno, cc_cubic, cc_dctcp, cc_bbr;

const struct cc_ops *cc_find(const char *name); /* NULL: no such algorithm */
const struct cc_ops *cc_at(uint8_t id);
static inline void cc_init(struct cc *c, uint32_t cwnd)
{
    *c = (struct cc){.cwnd = cwnd, .ssthresh = CC_SSTHRESH_MAX};
}
/* RFC 5681 equation 1 as RFC 6928 section 2 has it: initial window for this MSS. */
uint32_t cc_initial_window(uint32_t segments, uint32_t mss);
/* Slow start and congestion avoidance of RFC 5681 for octets acknowledged; *counted: those since
 * cwnd last grew in congestion avoidance (RFC 3465 section 2.1). */
void cc_reno_grow(struct cc *c, uint32_t *counted, const struct cc_sample *s);
/* More, within reason. */
static inline uint32_t cc_grow(uint32_t cwnd, uint64_t by)
{
    return by > CC_SSTHRESH_MAX - cwnd ? CC_SSTHRESH_MAX : cwnd + (uint32_t)by;
}

#endif

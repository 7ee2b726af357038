/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_rtt.h - the retransmission timeout from round-trip times: RFC 6298 as a value and its
 * functions.
 *
 * Kept in microseconds, 12 octets: an idle connection keeps its estimate. */
#ifndef TCP_TCP_RTT_H
#define TCP_TCP_RTT_H

#include <estab/estab.h>

struct tcp_rtt {
    uint32_t srtt;   /* us, 0: no sample yet */
    uint32_t rttvar; /* us; without a sample, the RTO */
    uint32_t min;    /* us, least sample */
};
struct tcp_rtt_bounds {
    estab_dur init, min, max;
    estab_dur slop;     /* added to every timeout but a SYN's first: estab_profile.rto_slop */
    uint8_t syn_linear; /* timeouts of a SYN before they double */
};
void tcp_rtt_init(struct tcp_rtt *r, const struct tcp_rtt_bounds *b);
void tcp_rtt_sample(struct tcp_rtt *r, estab_dur rtt);
/* The same of a clock of a millisecond, by which a shorter round trip is none: it is taken for one,
 * and the least may be as much as one longer. */
void tcp_rtt_sample_ms(struct tcp_rtt *r, estab_dur rtt);
/* RTO, without back-off and slop (2.2 to 2.5). */
estab_dur tcp_rtt_plain(const struct tcp_rtt *r, const struct tcp_rtt_bounds *b);
/* The timeout to arm after `shift` expiries: doubled each time (5.5), bounded (2.5). */
estab_dur tcp_rtt_rto(const struct tcp_rtt *r, const struct tcp_rtt_bounds *b, uint32_t shift);
/* The same for a SYN, or a SYN,ACK. */
estab_dur tcp_rtt_rto_syn(const struct tcp_rtt *r, const struct tcp_rtt_bounds *b, uint32_t shift);
/* (5.7): the SYN timed out and the RTO in use was below 3 s: begin data with 3 s. */
void tcp_rtt_syn_lost(struct tcp_rtt *r);

#endif

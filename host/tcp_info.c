/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_info.c - TCP_INFO in Linux's layout. */
#include <estab/host.h>

#include <string.h>

/* Linux's numbers of the states (include/net/tcp_states.h of its interface). */
static const uint8_t linux_state[ESTAB_TCP_STATES] = {
    [ESTAB_ESTABLISHED] = 1, [ESTAB_SYN_SENT] = 2,   [ESTAB_SYN_RECEIVED] = 3,
    [ESTAB_FIN_WAIT_1] = 4,  [ESTAB_FIN_WAIT_2] = 5, [ESTAB_TIME_WAIT] = 6,
    [ESTAB_CLOSED] = 7,      [ESTAB_CLOSE_WAIT] = 8, [ESTAB_LAST_ACK] = 9,
    [ESTAB_LISTEN] = 10,     [ESTAB_CLOSING] = 11,
};

/* struct tcp_info of Linux 6.18; declared here, because the C library's is shorter, and a program
 * may have the kernel's. */
struct linux_tcp_info {
    uint8_t state, ca_state, retransmits, probes, backoff, options, wscales, flags;
    uint32_t rto, ato, snd_mss, rcv_mss;
    uint32_t unacked, sacked, lost, retrans, fackets;
    uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    uint32_t rcv_rtt, rcv_space, total_retrans;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
    uint16_t total_rto, total_rto_recoveries;
    uint32_t total_rto_time;
    uint32_t received_ce, delivered_e1, delivered_e0, delivered_ce_octets;
    uint32_t received_e1, received_e0, received_ce_octets;
    uint16_t accecn_fail_mode, accecn_opt_seen;
};
_Static_assert(sizeof(struct linux_tcp_info) == 280, "the layout is Linux's");

enum {
    OPT_TIMESTAMPS = 1,
    OPT_SACK = 2,
    OPT_WSCALE = 4,
    OPT_ECN = 8,
    OPT_ECN_SEEN = 16,
    OPT_SYN_DATA = 32,
};

static uint32_t in_us(estab_dur d)
{
    return (uint32_t)(d / 1000u);
}

/* Linux counts segments where RFC 5681 counts octets. */
static uint32_t in_segments(uint32_t octets, uint32_t mss)
{
    return mss ? (octets + mss - 1) / mss : 0;
}

static void fill_listener(const struct estab_tcp_info *i, struct linux_tcp_info *o)
{
    o->unacked = i->acceptq;
    o->sacked = i->backlog;
}

static void fill(const struct estab_tcp_info *i, struct linux_tcp_info *o)
{
    const uint32_t infinite = 0x7fffffff; /* slow start has no threshold yet */

    o->options =
        (uint8_t)((i->ts_ok ? OPT_TIMESTAMPS : 0) | (i->sack_ok ? OPT_SACK : 0) |
                  (i->snd_wscale || i->rcv_wscale ? OPT_WSCALE : 0) | (i->ecn_ok ? OPT_ECN : 0) |
                  (i->ecn_seen ? OPT_ECN_SEEN : 0) | (i->fastopen_ok ? OPT_SYN_DATA : 0));
    o->wscales = (uint8_t)(i->snd_wscale | i->rcv_wscale << 4);
    o->rto = in_us(i->rto);
    o->snd_mss = i->snd_mss;
    o->pmtu = i->pmtu;
    o->rcv_mss = i->rcv_mss;
    o->advmss = i->rcv_mss;
    o->unacked = in_segments(i->flight, i->snd_mss);
    o->rtt = in_us(i->srtt);
    o->rttvar = in_us(i->rttvar);
    o->min_rtt = in_us(i->rtt_min);
    o->snd_ssthresh = i->ssthresh >= infinite ? infinite : in_segments(i->ssthresh, i->snd_mss);
    o->snd_cwnd = i->snd_mss ? i->cwnd / i->snd_mss : 0;
    o->reordering = 3;
    o->total_retrans = (uint32_t)i->retrans;
    o->bytes_acked = i->bytes_acked;
    o->bytes_received = i->bytes_received;
    o->segs_out = (uint32_t)i->segs_out;
    o->segs_in = (uint32_t)i->segs_in;
    o->notsent_bytes = i->unsent;
    o->snd_wnd = i->snd_wnd;
    o->rcv_wnd = i->rcv_wnd;
    o->total_rto = (uint16_t)i->rto_fired;
    o->pacing_rate = i->pacing_rate ? i->pacing_rate : UINT64_MAX;
    o->max_pacing_rate = UINT64_MAX;
}

size_t estab_linux_tcp_info(const struct estab_tcp_info *info, void *buf, size_t len)
{
    struct estab_tcp_info i = {0};
    struct linux_tcp_info o = {0};

    memcpy(&i, info, info->size < sizeof i ? info->size : sizeof i);
    o.state = linux_state[i.state];
    if (i.state == ESTAB_LISTEN)
        fill_listener(&i, &o);
    else
        fill(&i, &o);
    if (len > sizeof o)
        len = sizeof o;
    memcpy(buf, &o, len);
    return len;
}

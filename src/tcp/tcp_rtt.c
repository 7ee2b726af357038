/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_rtt.c - RFC 6298. */
#include "tcp/tcp_rtt.h"

#include "base/hint.h"

#define US                1000u
#define CLOCK_GRANULARITY 1000u /* us: G of section 2 */

static uint32_t to_us(estab_dur d)
{
    return d / US > UINT32_MAX ? UINT32_MAX : (uint32_t)(d / US);
}

/* [RFC6298-2-1, RFC8961-4-1] */
void tcp_rtt_init(struct tcp_rtt *r, const struct tcp_rtt_bounds *b)
{
    *r = (struct tcp_rtt){.rttvar = to_us(b->init), .min = UINT32_MAX}; /* (2.1) */
}

/* [MUST-18, RFC6298-2-2, RFC6298-2-3] */
void tcp_rtt_sample(struct tcp_rtt *r, estab_dur rtt)
{
    uint32_t s = to_us(rtt), err;

    if (UNLIKELY(s == 0))
        s = 1;
    if (UNLIKELY(s < r->min))
        r->min = s;
    if (UNLIKELY(r->srtt == 0)) { /* (2.2) */
        r->srtt = s;
        r->rttvar = s / 2;
    } else { /* (2.3), alpha 1/8, beta 1/4 */
        err = r->srtt > s ? r->srtt - s : s - r->srtt;
        r->rttvar = (uint32_t)((3 * (uint64_t)r->rttvar + err) / 4);
        r->srtt = (uint32_t)((7 * (uint64_t)r->srtt + s) / 8);
        if (UNLIKELY(r->srtt == 0))
            r->srtt = 1;
    }
}

estab_dur tcp_rtt_plain(const struct tcp_rtt *r, const struct tcp_rtt_bounds *b)
{
    uint64_t var4 = 4 * (uint64_t)r->rttvar, rto;

    if (UNLIKELY(r->srtt == 0))
        return (estab_dur)r->rttvar * US;
    if (var4 < CLOCK_GRANULARITY)
        var4 = CLOCK_GRANULARITY;
    rto = (r->srtt + var4) * US;
    if (rto < b->min) /* (2.4) */
        rto = b->min;
    return UNLIKELY(rto > b->max) ? b->max : rto; /* (2.5) */
}

void tcp_rtt_sample_ms(struct tcp_rtt *r, estab_dur rtt)
{
    uint32_t least = r->min, most = to_us(rtt + ESTAB_MS(1));

    tcp_rtt_sample(r, rtt < ESTAB_MS(1) ? ESTAB_MS(1) : rtt);
    r->min = least < most ? least : most;
}

/* [RFC6298-2-5, RFC8961-4-4] */
estab_dur tcp_rtt_rto(const struct tcp_rtt *r, const struct tcp_rtt_bounds *b, uint32_t shift)
{
    estab_dur d = tcp_rtt_plain(r, b);

    while (UNLIKELY(shift--) && d < b->max)
        d *= 2;
    return (LIKELY(d < b->max) ? d : b->max) + b->slop;
}

estab_dur tcp_rtt_rto_syn(const struct tcp_rtt *r, const struct tcp_rtt_bounds *b, uint32_t shift)
{
    if (shift == 0)
        return tcp_rtt_rto(r, b, 0) - b->slop;
    return tcp_rtt_rto(r, b, shift > b->syn_linear ? shift - b->syn_linear : 0);
}

/* [RFC6298-5-3] */
void tcp_rtt_syn_lost(struct tcp_rtt *r)
{
    if (r->srtt == 0 && r->rttvar < 3000000)
        r->rttvar = 3000000;
}

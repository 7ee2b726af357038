/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_rate.c - what is sent is noted, with what it takes to tell from its ACK how fast the path
 * delivers (draft-ietf-ccwg-bbr section 4.1). */
#include "tcp/tcp.h"

static uint32_t in_network(const struct sent *s)
{
    return seq_diff(sent_nxt(s), s->lo) - s->sacked - s->lost;
}

/* Only some algorithms ask for it. */
static bool is_asked_for(const struct tcb *t)
{
    return tcp_cc(t)->on_delivered != NULL;
}

/* Section 4.1.2.2, when `more` octets are sent. */
static struct run_rate rate_stamp(struct tcb *t, uint32_t more)
{
    struct tcp_work *w = t->w;
    uint32_t flight;

    if (!is_asked_for(t))
        return (struct run_rate){0};
    flight = in_network(&w->sent);
    if (flight == 0)
        w->rate.first_us = w->rate.delivered_us = tcp_us(t->layer);
    return (struct run_rate){.delivered = w->rate.delivered,
                             .delivered_us = w->rate.delivered_us,
                             .first_us = w->rate.first_us,
                             .flight = flight + more,
                             .lost = w->rate.lost};
}

void tcp_sent(struct tcb *t, seq_t end)
{
    struct tcp_work *w = t->w;
    struct run_rate r = rate_stamp(t, seq_diff(end, sent_nxt(&w->sent)));

    sent_push(&w->sent, &t->layer->pool, end, tcp_us(t->layer), w->rate.limited ? RUN_LIMITED : 0,
              &r);
}

void tcp_sent_again(struct tcb *t, seq_t lo, seq_t hi)
{
    struct run_rate r = rate_stamp(t, seq_diff(hi, lo));

    sent_resend(&t->w->sent, &t->layer->pool, lo, hi, tcp_us(t->layer), &r);
}

void tcp_lose(struct tcb *t, seq_t lo, seq_t hi)
{
    t->w->rate.lost += sent_lose(&t->w->sent, &t->layer->pool, lo, hi);
}

/* Section 4.1.1.3: what is in flight now, and no more, was all there was to send. */
void tcp_rate_limited(struct tcb *t)
{
    struct tcp_work *w = t->w;
    uint32_t until = w->rate.delivered + in_network(&w->sent);

    if (!is_asked_for(t))
        return;
    w->rate.limited = until ? until : 1;
}

/* Section 4.1.2.3.  A sample that is shorter than any round trip is of a burst of ACKs. */
void tcp_rate_sample(struct tcb *t, const struct sent_news *news, struct cc_sample *s)
{
    struct tcp_work *w = t->w;
    const struct run *r = &news->last;
    uint32_t sending, acking;

    w->rate.delivered += news->delivered;
    if (news->delivered > 0)
        w->rate.delivered_us = tcp_us(t->layer);
    if (w->rate.limited && (int32_t)(w->rate.delivered - w->rate.limited) > 0)
        w->rate.limited = 0;
    s->delivered = news->delivered;
    s->total = w->rate.delivered;
    s->lost = w->rate.lost - w->rate.lost_told;
    w->rate.lost_told = w->rate.lost;
    s->in_flight = in_network(&w->sent);
    if (!news->any)
        return;
    w->rate.first_us = r->sent_us;
    sending = r->sent_us - r->rate.first_us;
    acking = w->rate.delivered_us - r->rate.delivered_us;
    s->rate_us = sending > acking ? sending : acking;
    if (s->rate_us < t->rtt.min)
        s->rate_us = 0;
    s->rate_delivered = w->rate.delivered - r->rate.delivered;
    s->rate_lost = w->rate.lost - r->rate.lost;
    s->rate_prior = r->rate.delivered;
    s->rate_flight = r->rate.flight;
    s->rate_limited = (r->flags & RUN_LIMITED) != 0;
}

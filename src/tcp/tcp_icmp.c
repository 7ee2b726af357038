/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_icmp.c - ICMP errors about our segments: RFC 9293 section 3.9.2.2, RFC 5461, RFC 5927.
 *
 * Whoever can guess a four-tuple can send an ICMP error, so the quoted sequence number must be one
 * that is in flight, and nothing that ICMP says ends a connection that has been established. */
#include "tcp/tcp.h"

/* [RFC5927-4.1-1, RFC8201-4-4] */
static bool in_flight(const struct tcb *t, const struct icmp_quote *q)
{
    return q->has_seq && seq_in(seq_of(q->seq), t->snd.una, seq_diff(t->snd.nxt, t->snd.una));
}

/* A gateway redirects whatever comes, most of it ACKs, whose number is SND.NXT. */
static bool lately_sent(const struct tcb *t, const struct icmp_quote *q)
{
    return q->has_seq && seq_in(seq_of(q->seq), t->snd.una, seq_diff(t->snd.nxt, t->snd.una) + 1);
}

/* [RFC4443-2.4-1, MUST-54, SHLD-25, SHLD-26, RFC1122-4.2.3.9-1, RFC5927-5.2-1] */
void tcp_icmp_arrives(struct tcp_layer *l, const struct ip_error *e)
{
    int local = ip_local_find(l->ip, e->quote.ip.src);
    struct tcp_tuple k = {e->quote.ip.dst, (uint16_t)local, e->quote.sport, e->quote.dport};
    uint32_t ref = local < 0 ? HASH_NONE : tcp_demux_find(l, &k);
    struct tcb *t;

    if (ref == HASH_NONE || TCP_REF_KIND(ref) != TCP_REF_TCB) {
        rule_count(l->rules, RULE_ICMP_QUOTE);
        return;
    }
    t = tcb_at(l, TCP_REF_SLOT(ref));
    if (t->state == ESTAB_LISTEN ||
        !(e->meaning == ICMP_MEANS_REDIRECT ? lately_sent(t, &e->quote)
                                            : in_flight(t, &e->quote))) {
        rule_count(l->rules, RULE_ICMP_QUOTE);
        return;
    }
    switch (e->meaning) {
    case ICMP_MEANS_PORT_UNREACH:
    case ICMP_MEANS_PROTO_UNREACH: /* hard, RFC 1122 section 4.2.3.9; but RFC 5461 section 4.1 */
    case ICMP_MEANS_PROHIBITED:
        if (t->state == ESTAB_SYN_SENT) {
            tcp_fail(t, e->meaning == ICMP_MEANS_PROHIBITED ? ESTAB_E_UNREACH : ESTAB_E_REFUSED,
                     ESTAB_BY_ICMP, false);
            return;
        }
        tcp_report(t, ESTAB_E_UNREACH);
        break;
    case ICMP_MEANS_NET_UNREACH:
    case ICMP_MEANS_HOST_UNREACH:
    case ICMP_MEANS_TIME_EXCEEDED:
    case ICMP_MEANS_PARAM_PROBLEM: /* soft: remembered, told if the connection gives up [MUST-56] */
        tcp_report(t, ESTAB_E_UNREACH);
        break;
    case ICMP_MEANS_UNKNOWN:
        rule_count(l->rules, RULE_ICMP_UNKNOWN);
        tcp_report(t, ESTAB_E_UNREACH);
        break;
    case ICMP_MEANS_REDIRECT:
        ip_redirect(l->ip, e->port, t->peer, e->via);
        break;
    case ICMP_MEANS_TOO_BIG:
        tcp_mtu_too_big(t, e);
        break;
    case ICMP_MEANS_NOTHING:
        break;
    }
    tcp_settle(t);
}

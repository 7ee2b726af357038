/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_isn.c - initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 section 7.1), port
 * offsets (RFC 6056): keyed hashes of the four-tuple.
 *
 * ISN = M + F(localip, localport, remoteip, remoteport, secretkey): M ticks every 4 us, F is keyed
 * SipHash. So numbers of one four-tuple grow, which TIME-WAIT relies on, and those of another
 * cannot be told. */
#include "tcp/tcp.h"

static uint64_t tuple_hash(const struct tcp_layer *l, const struct tcp_tuple *k, uint8_t purpose)
{
    uint8_t b[40] = {0};

    memcpy(b, ip_local(l->ip, k->local), 16);
    memcpy(b + 16, k->peer, 16);
    be16_put(b + 32, k->lport);
    be16_put(b + 34, k->pport);
    b[36] = purpose;
    return hash_sip13(&l->secret, b, sizeof b);
}

/* [MUST-8, MUST-9, SHLD-1, RFC6528-3-1] */
seq_t tcp_isn(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    return seq_of((uint32_t)(l->env->now / 4000u) + (uint32_t)tuple_hash(l, k, 1));
}

uint64_t tcp_port_hash(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcp_tuple open = {k->peer, k->local, 0, k->pport};

    return tuple_hash(l, &open, 3);
}

/* [RFC7323-7.1-1] */
uint32_t tcp_ts_offset(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    return (uint32_t)tuple_hash(l, k, 2);
}

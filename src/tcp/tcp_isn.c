/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_isn.c - initial sequence numbers (RFC 6528 section 3), timestamp offsets (RFC 7323 section
 * 7.1), port offsets (RFC 6056 section 3.3.4): keyed hashes of the four-tuple.
 *
 * ISN = M + F(localip, localport, remoteip, remoteport, secretkey): M ticks every 4 us, F is keyed
 * SipHash. So numbers of one four-tuple grow, which TIME-WAIT relies on, and those of another
 * cannot be told.  localip stands in it by its index, which no other address ever has
 * (ip_addr.c).  F is the upper half of the hash whose lower half is the tuple's place in the
 * index: what one says nothing tells of the other.  Ports have a hash of a tuple whose local port
 * is open, which no connection's is. */
#include "tcp/tcp.h"

/* [MUST-8, MUST-9, SHLD-1, RFC6528-3-1] */
seq_t tcp_isn(struct tcp_layer *l, const struct tcp_tuple *k)
{
    return seq_of((uint32_t)(l->env->now / 4000u) +
                  (uint32_t)(tcp_tuple_hash(l, &l->last_tuple, k) >> 32));
}

uint64_t tcp_port_hash(struct tcp_layer *l, const struct tcp_tuple *k)
{
    struct tcp_tuple open = {k->peer, k->local, 0, k->pport};

    return tcp_tuple_hash(l, &l->last_open, &open);
}

/* [RFC7323-7.1-1] */
uint32_t tcp_ts_offset(const struct tcp_layer *l, const struct tcp_tuple *k)
{
    const uint8_t *local = ip_local(l->ip, k->local);
    uint64_t ports = (uint64_t)k->lport << 16 | k->pport;
    uint8_t b[40];

    if (ip_is4(k->peer)) {
        memcpy(b, local + 12, 4);
        memcpy(b + 4, k->peer + 12, 4);
        le64_put(b + 8, ports);
        return (uint32_t)hash_sip13(&l->secret, b, 16);
    }
    memcpy(b, local, 16);
    memcpy(b + 16, k->peer, 16);
    le64_put(b + 32, ports);
    return (uint32_t)hash_sip13(&l->secret, b, 40);
}

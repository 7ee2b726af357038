/* SPDX-License-Identifier: BSD-2-Clause */
/* world.h - what the targets that run whole stacks share: what must hold of a stack at any time,
 * and of what it sends. */
#ifndef WORLD_H
#define WORLD_H

#include "base/csum.h"
#include "stack/stack.h"
#include "wire/eth.h"
#include <estab/host.h>
#include <stdlib.h>

/* Not inline: the caller's line is in the report. */
__attribute__((noinline, unused)) static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Everything of one connection with one number is the same octet, so that whoever reads knows what
 * he must get, and a stray copy of another incarnation is found out. */
static inline uint8_t octet_of(uint32_t iss, uint32_t seq)
{
    uint32_t x = seq * 0x9e3779b1u ^ iss * 0x85ebca6bu;

    return (uint8_t)(x >> 24 ^ x >> 13);
}
/* A fuzzer that is told of each turn of these loops has no eyes for anything else. */
#define UNTOLD __attribute__((no_sanitize("coverage"), unused))
UNTOLD static void fill_text(uint8_t *b, uint32_t n, uint32_t iss, uint32_t seq)
{
    for (uint32_t i = 0; i < n; i++)
        b[i] = octet_of(iss, seq + i);
}
UNTOLD static bool is_text(const uint8_t *b, uint32_t n, uint32_t iss, uint32_t seq)
{
    for (uint32_t i = 0; i < n; i++)
        if (b[i] != octet_of(iss, seq + i))
            return false;
    return true;
}

/* ---- the books of a stack balance ---- */

static inline uint32_t count_synqs(const struct tcp_layer *l, uint32_t listener)
{
    uint32_t n = 0;

    for (uint32_t i = slab_next(&l->synqs, 0); i != SLAB_NONE; i = slab_next(&l->synqs, i + 1)) {
        const struct tcp_synq *q = slab_at(&l->synqs, i);

        n += !q->dead && q->listener == listener;
    }
    return n;
}

static inline void check_listener(const struct tcp_layer *l, const struct tcb *t)
{
    uint32_t n = 0;

    must(t->l->nsynq == count_synqs(l, t->slot));
    for (uint32_t i = t->l->accepts.head; i != SLAB_NONE; i = tcb_at(l, i)->ready.next) {
        must(tcb_at(l, i)->embryo && !tcb_at(l, i)->dead);
        n++;
    }
    must(n == t->l->accepts.n);
}

static inline void check_tcb(struct tcp_layer *l, const struct tcb *t)
{
    struct tcp_tuple k = tcb_tuple(t);

    if (t->dead)
        return;
    tcb_check(t);
    if (t->state == ESTAB_LISTEN) {
        check_listener(l, t);
        return;
    }
    must(!t->in_demux || !t->pport || tcp_demux_find(l, &k) == TCP_REF(TCP_REF_TCB, t->slot));
    must(t->in_demux || t->state == ESTAB_CLOSED || t->state == ESTAB_TIME_WAIT);
    must(!t->in_stalled || t->in_send);
    if (!t->w)
        return;
    must(t->w->snd.len <= t->sndbuf || t->w->snd.len <= 1u << 20);
    must(!t->w->ahead ||
         (t->w->ahead->r.n > 0 && seq_lt(t->rcv.nxt, ranges_at(&t->w->ahead->r, 0)->lo)));
    sent_check(&t->w->sent);
}

static inline void check_stack(estab_stack *s)
{
    struct tcp_layer *l = &s->tcp;
    struct estab_stack_info info = {.size = sizeof info};
    uint32_t n = 0;

    for (uint32_t i = slab_next(&l->tcbs, 0); i != SLAB_NONE; i = slab_next(&l->tcbs, i + 1), n++)
        check_tcb(l, tcb_at(l, i));
    must(n == l->nconns && n == l->tcbs.used);
    must(l->timewait_due.n == l->timewaits.used);
    estab_stack_info(s, &info);
    must(!s->env.ceiling || info.mem_used <= s->env.ceiling);
    must(info.mem_used <= info.mem_peak);
}

/* ---- what it sends ---- */

struct whole_frame { /* a frame, made whole */
    uint8_t b[70000];
    size_t len, link_len;
    struct ip_hdr ip;
    struct seg g; /* of TCP; ip.proto tells */
};

static inline void check_sent_tcp(struct whole_frame *f, bool partial_csum)
{
    const uint8_t *p = f->b + f->link_len + f->ip.hdr_len;
    struct pieces all = {
        .v = {{(void *)(uintptr_t)p, f->ip.payload_len}}, .n = 1, .len = f->ip.payload_len};
    uint64_t sum = ip_pseudo(f->ip.src, f->ip.dst, IPPROTO_TCP_, f->ip.payload_len);

    must(partial_csum || csum_fold(csum_pieces(sum, &all)) == 0xffff);
    must(tcp_parse(&f->g, p, f->ip.payload_len, &all) == RULE_NONE);
    must(f->g.sport && f->g.dport);
    must(!(f->g.flags & SEG_SYN) || !(f->g.flags & (SEG_FIN | SEG_RST)));
    must(f->g.flags & (SEG_ACK | SEG_SYN | SEG_RST));
}

/* Makes a frame whole; it must be one that an honest host may send on a port with these caps. */
static inline void check_sent(struct whole_frame *to, const struct estab_frame *f,
                              const struct estab_port_caps *caps)
{
    size_t most = f->off.gso_type ? caps->gso_max : caps->mtu;
    enum rule r;

    to->len = estab_frame_len(f);
    to->link_len = caps->medium == ESTAB_MEDIUM_ETHERNET ? ETH_HDR_LEN : 0;
    must(to->len <= most + to->link_len && to->len > to->link_len);
    estab_frame_copy(to->b, f);
    to->ip.proto = IPPROTO_NONE_;
    if (to->link_len && be16_at(to->b + 12) == ETHERTYPE_ARP)
        return;
    if (to->b[to->link_len] >> 4 == 4)
        r = ip4_parse(&to->ip, to->b + to->link_len, to->len - to->link_len, to->len - to->link_len,
                      false);
    else
        r = ip6_parse(&to->ip, to->b + to->link_len, to->len - to->link_len,
                      to->len - to->link_len);
    must(r == RULE_NONE && to->ip.hdr_len + to->ip.payload_len + to->link_len == to->len);
    must(!ip_is_multicast(to->ip.src) && !ip_is_loopback(to->ip.src));
    if (to->ip.proto == IPPROTO_TCP_)
        check_sent_tcp(to, f->off.flags & ESTAB_OFF_NEEDS_CSUM);
}

/* ---- frames for it ---- */

/* From memory that ends where each piece ends; cut chooses where. */
static inline void give_frame(estab_stack *s, int port, const uint8_t *b, size_t len, uint8_t cut)
{
    struct estab_frame f = {0};
    size_t at = 0;

    for (int i = 0; i < ESTAB_IOVS && (at < len || i == 0); i++, cut >>= 2) {
        size_t n = len - at;

        if (i + 1 < ESTAB_IOVS && cut & 3 && n > (cut & 3u) * 13u)
            n = (cut & 3u) * 13u;
        f.iov[f.niov].base = malloc(n ? n : 1);
        memcpy(f.iov[f.niov].base, b + at, n);
        f.iov[f.niov++].len = n;
        at += n;
    }
    must(estab_input(s, port, &f, 1) == 0);
    for (uint32_t i = 0; i < f.niov; i++)
        free(f.iov[i].base);
}

#endif

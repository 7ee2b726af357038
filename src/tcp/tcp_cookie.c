/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cookie.c - SYN cookies: RFC 4987 section 3.6 and appendix A.
 *
 * Where there is no room for a half-open entry, the SYN,ACK itself carries what the entry would
 * have kept, and the peer's ACK brings it back.  Its ISN is
 *
 *      |      24 bits of a keyed hash      |  8 bits  |
 *
 *      without timestamps   odd 1 | SACK 1 | window shift 3 | MSS 3     by the tables below
 *      with timestamps      odd 1 | MSS 7, in 128ths of our own         and in TSval's low five
 *                           bits  SACK 1 | window shift 4               bits, which comes back
 *                                                                       as TSecr
 *
 * so nothing is lost but a little of an unusual MSS or, without timestamps, of an unusual shift,
 * both rounded down.  The hash covers addresses, ports, the peer's ISN and these bits.
 *
 * Secrets take turns: one is given out for TURN and good for twice that; `odd` says which it was. A
 * cookie makes one connection: what has come back is remembered for as long as the secret is good,
 * so that an old duplicate of that ACK, after the connection has ended, makes no second one.
 *
 * From a half full queue on a half-open entry has one for its number, too: if one that comes back
 * takes its place before its own ACK is here, that brings it back.
 *
 * To be guessed are 24 bits, by a sender who can do it only once for each of our answers (an RST,
 * which is limited), and only while cookies are out. */
#include "tcp/tcp.h"

#define TURN     ESTAB_S(64)
#define USED_MAX 131072u /* connections by cookie in one turn; more begin the next */
#define NO_SHIFT 15u     /* window scaling was not offered */

/* Sizes that paths have.  The last stands for our own, the first for whatever is smaller. */
static const uint16_t sizes[8] = {88, 536, 1220, 1300, 1360, 1400, 1440, 0};
static const uint8_t shifts[8] = {NO_SHIFT, 0, 2, 4, 6, 7, 8, 10};

struct cookie {
    uint8_t octet;   /* of the ISN */
    uint8_t ts_bits; /* of TSval */
};
#define TS_BITS 0x1fu
#define ODD     0x80u

static uint16_t mss_of(uint8_t octet, bool ts, uint16_t own)
{
    uint32_t i = octet & (ts ? 0x7fu : 7u), mss;

    if (i == (ts ? 0x7fu : 7u))
        return own;
    mss = ts && i > 0 ? own * (i + 1) / 128 : sizes[i];
    return mss < sizes[0] ? sizes[0] : (uint16_t)mss;
}

/* The largest that is not larger than what the peer takes. */
static uint8_t mss_bits(uint16_t mss, bool ts, uint16_t own)
{
    uint8_t i = ts ? 0x7f : 7;

    while (i > 0 && mss_of(i, ts, own) > mss)
        i--;
    return i;
}

static uint8_t ts_bits(const struct tcp_synq *q)
{
    uint8_t shift = q->ws_ok ? q->snd_wscale : NO_SHIFT;

    return q->ts_ok ? (uint8_t)((q->sack_ok ? 0x10u : 0) | shift) : 0;
}

static struct cookie pack(const struct tcp_synq *q, uint16_t own)
{
    uint8_t shift = q->ws_ok ? q->snd_wscale : NO_SHIFT, i = q->ws_ok ? 7 : 0;
    struct cookie c = {.octet = mss_bits(q->far.mss, q->ts_ok, own), .ts_bits = ts_bits(q)};

    if (q->ts_ok)
        return c;
    while (i > 0 && shifts[i] > shift)
        i--;
    c.octet |= (uint8_t)((q->sack_ok ? 0x40u : 0) | (unsigned)i << 3);
    return c;
}

static void unpack(struct tcp_synq *q, struct cookie c, uint16_t own)
{
    uint8_t shift = q->ts_ok ? c.ts_bits & 0xfu : shifts[c.octet >> 3 & 7];

    q->far.mss = mss_of(c.octet, q->ts_ok, own);
    q->sack_ok = q->ts_ok ? (c.ts_bits & 0x10) != 0 : (c.octet & 0x40) != 0;
    q->ws_ok = shift != NO_SHIFT;
    q->snd_wscale = (q->ws_ok ? shift : 0) & 0xfu;
}

static uint64_t cookie_hash(const struct tcp_layer *l, const struct tcp_syn *y, struct cookie c)
{
    const struct tcp_synq *q = &y->q;
    uint8_t b[48] = {0};

    memcpy(b, ip_local(l->ip, y->path.local), 16);
    memcpy(b + 16, y->peer, 16);
    be16_put(b + 32, q->far.lport);
    be16_put(b + 34, q->far.pport);
    be32_put(b + 36, q->irs.n);
    b[40] = c.octet;
    b[41] = c.ts_bits;
    b[42] = q->ts_ok;
    return hash_sip13(&l->cookies[c.octet & ODD ? 1 : 0].key, b, sizeof b);
}

static void use_secret(struct tcp_secret *c, struct env *env)
{
    hash_fini(&c->used);
    hash_init(&c->used, env);
    env_random(env, &c->key, sizeof c->key);
    c->until = time_add(env->now, 2 * TURN);
}

static const struct tcp_secret *secret_now(struct tcp_layer *l)
{
    const struct tcp_secret *c = &l->cookies[l->cookie_turn];

    if (time_add(l->env->now, TURN) < c->until && c->used.used < USED_MAX)
        return c;
    l->cookie_turn ^= 1;
    use_secret(&l->cookies[l->cookie_turn], l->env);
    return &l->cookies[l->cookie_turn];
}

void tcp_cookie_fini(struct tcp_layer *l)
{
    hash_fini(&l->cookies[0].used);
    hash_fini(&l->cookies[1].used);
}

/* TSval with the bits in place, and not ahead of the clock: what follows must not look older (RFC
 * 7323 section 5.3). */
static uint32_t ts_with(uint32_t ts, uint8_t bits)
{
    uint32_t val = (ts & ~TS_BITS) | bits;

    return (int32_t)(val - ts) > 0 ? val - (TS_BITS + 1) : val;
}

uint32_t tcp_cookie_ts(const struct tcp_synq *q, uint32_t ts)
{
    return ts_with(ts, ts_bits(q));
}

static bool has_come_back(const struct tcp_secret *s, uint64_t hash)
{
    struct hash_probe p = hash_probe(&s->used, (uint32_t)(hash >> 32));

    return hash_next(&p) != HASH_NONE;
}

/* Departs from RFC 9293 section 3.4.1: a cookie does not grow with the clock.  What TIME-WAIT still
 * remembers gets another number (RFC 6191). */
static uint64_t number(struct tcp_layer *l, struct tcp_syn *y, uint16_t own)
{
    struct cookie c = pack(&y->q, own);
    uint64_t hash;

    (void)secret_now(l);
    if (l->cookie_turn)
        c.octet |= ODD;
    hash = cookie_hash(l, y, c);
    y->q.iss = seq_of((uint32_t)hash << 8 | c.octet);
    return hash;
}

void tcp_cookie_number(struct tcb *t, struct tcp_syn *y)
{
    struct tcp_layer *l = t->layer;
    struct tcp_synq *q = &y->q;
    struct tcp_tuple k = {y->peer, y->path.local, q->far.lport, q->far.pport};
    uint64_t hash = number(l, y, tcp_mss_announce(l, &y->path, y->peer, tcp_extra(t)->user_mss));

    q->cookie = !has_come_back(&l->cookies[l->cookie_turn], hash);
    if (q->cookie)
        q->ecn_ok = q->ecn_acc = false; /* a cookie does not keep it, so it is not offered */
    else /* an old duplicate of its SYN: not the number that its old ACK has */
        q->iss = tcp_isn(l, &k);
}

void tcp_cookie_offer(struct tcb *t, struct tcp_syn *y)
{
    struct tcp_layer *l = t->layer;
    const struct tcp_synq *q = &y->q;
    uint16_t own = tcp_mss_announce(l, &y->path, y->peer, tcp_extra(t)->user_mss);
    struct tcp_tuple k = {y->peer, y->path.local, q->far.lport, q->far.pport};
    struct tcp_reply r = {.path = y->path,
                          .lport = q->far.lport,
                          .pport = q->far.pport,
                          .ack = seq_add(q->irs, 1),
                          .wnd = synq_window(t),
                          .mss = own,
                          .ws = q->rcv_wscale,
                          .hop_limit = tcp_extra(t)->hop_limit,
                          .ts_ecr = q->ts_recent,
                          .flags = SEG_SYN | SEG_ACK,
                          .opts =
                              (uint8_t)(OPT_MSS | (q->ws_ok ? OPT_WS : 0) |
                                        (q->sack_ok ? OPT_SACK_OK : 0) | (q->ts_ok ? OPT_TS : 0)),
                          .state = ESTAB_LISTEN,
                          .rule = RULE_COOKIE_SENT};

    t->l->cookies_until = secret_now(l)->until;
    (void)number(l, y, own);
    r.seq = q->iss;
    r.ts_val = tcp_cookie_ts(q, tcp_ts_now(l) + tcp_ts_offset(l, &k));
    memcpy(r.peer, y->peer, 16);
    rule_count(l->rules, RULE_COOKIE_SENT);
    tcp_reply(l, y->path.port, &r);
}

/* ---- the ACK that brings it back ---- */

/* As the SYN left it, if the ACK's numbers are the next after a cookie's. */
static void reconstruct(struct tcp_syn *y, const struct tcb *t, const struct seg *g,
                        const struct ip_dgram *d, struct cookie *c)
{
    struct tcp_synq *q = &y->q;

    *q = (struct tcp_synq){.far.lport = g->dport,
                           .far.pport = g->sport,
                           .irs = seq_sub(g->seq, 1),
                           .iss = seq_sub(g->ack, 1),
                           .listener = t->slot,
                           .ts_ok = (g->opt.has & OPT_TS) != 0,
                           .ts_recent = g->opt.ts_val};
    y->path.local = d->local;
    memcpy(y->peer, d->ip.src, 16);
    c->octet = (uint8_t)q->iss.n;
    c->ts_bits = q->ts_ok ? g->opt.ts_ecr & TS_BITS : 0;
}

bool tcp_cookie_spend(struct tcp_layer *l, const struct tcp_syn *y)
{
    struct cookie c = {(uint8_t)y->q.iss.n, ts_bits(&y->q)};
    struct tcp_secret *s = &l->cookies[c.octet & ODD ? 1 : 0];

    return l->env->now >= s->until ||
           hash_add(&s->used, (uint32_t)(cookie_hash(l, y, c) >> 32), 0) == 0;
}

/* Whether the echoed timestamp is one of ours that is not older than a cookie: our clock is not
 * told to others, but by an offset that is secret for each four-tuple. */
static bool echoes_us(const struct tcp_layer *l, const struct tcp_tuple *k, const struct seg *g)
{
    uint32_t ago = tcp_ts_now(l) + tcp_ts_offset(l, k) - g->opt.ts_ecr;

    return l->set.timestamps && (g->opt.has & OPT_TS) && ago <= ms_of(2 * TURN);
}

/* Numbers that are no cookie's may be those of a peer whose first segment was lost, or found the
 * accept queue full: its retransmission begins where the cookie is, and an RST would come before.
 * So text and FIN are not answered, nor is an ACK that echoes us. */
static void cookie_wrong(struct tcb *t, const struct seg *g, const struct ip_dgram *d)
{
    struct tcp_tuple k = {d->ip.src, d->local, g->dport, g->sport};

    if (g->len > 0 || echoes_us(t->layer, &k, g))
        tcp_drop_tuple(t->layer, &k, g, ESTAB_LISTEN, RULE_COOKIE_AHEAD);
    else
        tcp_refuse(t->layer, g, d, ESTAB_LISTEN, RULE_COOKIE_FORGED);
}

/* Room in the backlog is made at the cost of those that have not answered for longest; of none
 * whose ACK may still be under way and would then be answered with an RST. */
static bool room_for_cookie(struct tcb *t)
{
    if (t->l->accepts.n >= t->l->backlog)
        return false;
    while (t->l->nsynq + t->l->accepts.n >= t->l->backlog)
        if (!synq_recycle(t))
            return false;
    return true;
}

static struct tcb *cookie_tcb(struct tcb *t, struct tcp_syn *y, struct cookie c, int hint)
{
    struct tcp_layer *l = t->layer;
    struct tcp_synq *q = &y->q;
    struct tcb *child;

    if (ip_path_find(l->ip, y->peer, ip_local(l->ip, y->path.local), hint, &y->path) != 0)
        return NULL;
    unpack(q, c, tcp_mss_announce(l, &y->path, y->peer, tcp_extra(t)->user_mss));
    if (q->ws_ok)
        q->rcv_wscale = tcp_wscale_for(t) & 0xfu;
    child = synq_tcb(l, y, t);
    if (!child)
        return NULL;
    if (tcp_demux_add(child) == 0)
        return child;
    tcb_release(child);
    return NULL;
}

bool tcp_cookie_arrives(struct tcb *t, struct seg *g, const struct ip_dgram *d)
{
    struct tcp_layer *l = t->layer;
    struct tcp_tuple k = {d->ip.src, d->local, g->dport, g->sport};
    struct tcp_secret *s;
    struct tcp_syn y;
    struct cookie c;
    struct tcb *child;
    uint64_t hash;

    if (g->flags & SEG_SYN || l->env->now >= t->l->cookies_until)
        return false;
    reconstruct(&y, t, g, d, &c);
    s = &l->cookies[c.octet & ODD ? 1 : 0];
    hash = cookie_hash(l, &y, c);
    if (l->env->now >= s->until || ((uint32_t)hash << 8 | c.octet) != y.q.iss.n) {
        cookie_wrong(t, g, d);
        return true;
    }
    if (has_come_back(s, hash)) {
        tcp_refuse(l, g, d, ESTAB_LISTEN, RULE_COOKIE_USED);
        return true;
    }
    if (!room_for_cookie(t)) { /* the cookie comes again with the peer's text */
        if (l->set.overflow == ESTAB_OVERFLOW_RST)
            tcp_refuse(l, g, d, ESTAB_LISTEN, RULE_BACKLOG_RST);
        else
            tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_BACKLOG_FULL);
        return true;
    }
    child = tcp_memory_refuses(l) ? NULL : cookie_tcb(t, &y, c, d->port);
    if (!child) {
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_NO_MEMORY);
        return true;
    }
    if (hash_add(&s->used, (uint32_t)(hash >> 32), 0) != 0) {
        tcb_release(child);
        tcp_drop_tuple(l, &k, g, ESTAB_LISTEN, RULE_NO_MEMORY);
        return true;
    }
    rule_count(l->rules, RULE_COOKIE_ACCEPTED);
    tcp_enter_compact(l, &k, ESTAB_LISTEN, ESTAB_SYN_RECEIVED, ESTAB_BY_SEGMENT);
    tcp_take_over(child);
    tcp_listener_adopt(t, child);
    tcp_syn_acked(child, g, false);
    tcp_segment_arrives(child, g);
    return true;
}

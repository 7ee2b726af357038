/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_fastopen.c - TCP Fast Open: RFC 7413.
 *
 *      client                                       server
 *        |-- SYN, cookie? -------------------------->|   no cookie kept: asks for one
 *        |<------------------ SYN,ACK, cookie -------|   from an ordinary half-open entry
 *
 *        |-- SYN, cookie, text --------------------->|   a control block at once, text delivered
 *        |<------------------ SYN,ACK of the text ---|   ... and acknowledged
 *        |<------------------ text ------------------|   the answer need not wait
 *        |-- ACK ----------------------------------->|
 *
 * The server keeps nothing for a cookie: it is a keyed hash of both addresses.  Secrets take turns,
 * one is given out for KEY_TURN and good for twice that; who comes with the older one gets a new
 * cookie along.  Where several servers share an address the user sets the secret.  What a stolen or
 * spoofed cookie can cost is bounded per listener: connections whose handshake is not complete, and
 * for a minute and more those that were reset before it was (section 5.1); a SYN beyond the bound
 * is an ordinary one.
 *
 * Within a connection text is delivered once, whatever the network does with the SYN.  But a copy
 * of the SYN that arrives when the connection has ended and left no TIME-WAIT here makes a second
 * connection (section 2.1): Fast Open is for what may be asked twice.
 *
 * The client keeps, for as many destinations as estab_config says, the cookie, the MSS, and whether
 * Fast Open failed there lately (section 4.1.3.1).  Whatever goes wrong, the connection comes about
 * as an ordinary one: a SYN is repeated without text and option, and text that was not acknowledged
 * by the SYN,ACK goes again at once. */
#include "tcp/tcp.h"

#define KEY_TURN   ESTAB_S(3600)
#define COOKIE_LEN 8u
#define MINUTE     ESTAB_S(60)
#define WAYS       4u /* entries in which a destination may be */

static uint32_t opts_len(const struct tcp_layer *l, const struct tcp_opts *o)
{
    uint8_t kinds[TCP_KINDS_MAX], out[TCP_HDR_MAX - TCP_HDR_LEN];

    tcp_opt_layout(l->set.profile.options, o, kinds);
    return (uint32_t)tcp_opts_emit(o, kinds, out);
}

/* Where not even the option goes in one datagram there is none. */
static void leave_out(struct tcp_layer *l, const uint8_t *peer, const struct ip_path *p,
                      struct tcp_opts *o)
{
    if (opts_len(l, o) > tcp_mss_announce(l, p, peer, 0))
        o->has &= (uint8_t)~OPT_FO;
}

/* ---- the server's cookies, section 4.1.2 ---- */

/* [RFC7413-4.1.2-2] */
static void use_key(struct tcp_layer *l)
{
    struct tcp_fastopen *f = &l->fastopen;

    if (f->until != 0 && l->env->now < f->until)
        return;
    if (f->until != 0 && l->env->now < time_add(f->until, KEY_TURN))
        f->key[1] = f->key[0];
    else
        env_random(l->env, &f->key[1], sizeof f->key[1]);
    env_random(l->env, &f->key[0], sizeof f->key[0]);
    f->until = time_add(l->env->now, KEY_TURN);
}

/* SipHash-2-4 of the addresses as they stand in the SYN, in little-endian order, is what Linux
 * makes: servers of both kinds that share a key know each other's. [RFC7413-4.1.2-1] */
static void make_cookie(const struct tcp_layer *l, uint32_t turn, const uint8_t *peer,
                        const struct ip_path *p, uint8_t out[COOKIE_LEN])
{
    uint32_t from = ip_is4(peer) ? 12 : 0, n = 16 - from;
    uint8_t b[32];
    uint64_t hash;

    memcpy(b, peer + from, n);
    memcpy(b + n, ip_local(l->ip, p->local) + from, n);
    hash = hash_sip24(&l->fastopen.key[turn], b, 2 * (size_t)n);
    for (uint32_t i = 0; i < COOKIE_LEN; i++)
        out[i] = (uint8_t)(hash >> 8 * i);
}

void tcp_fastopen_key(struct tcp_layer *l, const uint8_t key[16])
{
    struct tcp_fastopen *f = &l->fastopen;

    use_key(l);
    f->key[1] = f->key[0];
    f->key[0] = hash_key_of(key);
    f->until = ESTAB_NEVER;
}

void tcp_fastopen_give(struct tcp_layer *l, const uint8_t *peer, const struct ip_path *p,
                       bool experimental, struct tcp_opts *o)
{
    use_key(l);
    o->has |= OPT_FO;
    o->fo_exp = experimental;
    o->fo_len = COOKIE_LEN;
    make_cookie(l, 0, peer, p, o->fo);
    leave_out(l, peer, p, o);
}

/* Which secret the cookie was made with; -1: none of ours. */
static int cookie_turn(struct tcp_layer *l, const struct tcp_syn *syn, const struct tcp_opts *o)
{
    uint8_t good[COOKIE_LEN];

    use_key(l);
    for (uint32_t turn = 0; turn < 2 && o->fo_len == COOKIE_LEN; turn++) {
        make_cookie(l, turn, syn->peer, &syn->path, good);
        if (memcmp(good, o->fo, COOKIE_LEN) == 0)
            return (int)turn;
    }
    return -1;
}

/* ---- connections whose handshake is not complete, section 5.1 ---- */

static void pass_minutes(struct tcp_listener *f, estab_time now)
{
    if (time_since(f->minute, now) < MINUTE)
        return;
    f->nreset[1] = time_since(f->minute, now) < 2 * MINUTE ? f->nreset[0] : 0;
    f->nreset[0] = 0;
    f->minute = now;
}

/* [RFC7413-5.1-1] */
static bool has_room(struct tcb *t)
{
    struct tcp_listener *f = t->l;

    pass_minutes(f, t->layer->env->now);
    return f->npending + f->nreset[0] + f->nreset[1] < tcp_extra(t)->fastopen &&
           !tcp_memory_scarce(t->layer);
}

/* Its handshake is complete, or it has ended. */
void tcp_fastopen_settled(struct tcb *t, bool reset)
{
    struct tcp_layer *l = t->layer;
    estab_sock k = t->w ? t->w->listener : 0;
    struct tcb *from = k ? slab_find(&l->tcbs, (uint32_t)k, (uint32_t)(k >> 32)) : NULL;

    if (k)
        t->w->listener = 0;
    if (!from || from->state != ESTAB_LISTEN)
        return;
    from->l->npending--;
    if (reset) {
        pass_minutes(from->l, l->env->now);
        from->l->nreset[0]++;
    }
    if (t->state != ESTAB_CLOSED || !t->embryo)
        return;
    /* "then return this connection to the LISTEN state": nobody has heard of it yet. */
    slot_del(&l->tcbs, &from->l->accepts, t->slot, READY_LINK);
    t->embryo = false;
    t->orphan = true;
}

/* ---- a SYN with a cookie, section 4.2.2 ---- */

static struct tcb *child_of(struct tcb *t, const struct tcp_syn *syn)
{
    struct tcp_layer *l = t->layer;
    struct tcb *c = synq_tcb(l, syn, t);

    if (!c)
        return NULL;
    c->snd.nxt = c->snd.una; /* its SYN,ACK is still to be sent */
    if (tcb_work(c) && tcp_demux_add(c) == 0)
        return c;
    tcb_release(c);
    return NULL;
}

static void begin_early(struct tcb *t, struct tcb *c, const struct seg *syn)
{
    struct tcp_layer *l = t->layer;
    struct tcp_tuple k = tcb_tuple(c);
    struct seg g = *syn;

    c->snd.wnd = c->snd.wnd_max = tcp_seg_wnd(c, &g);
    c->snd.wl1 = g.seq;
    cc_init(&c->cc, cc_initial_window(l->set.initial_window, tcp_eff_mss(c)));
    tcp_enter_compact(l, &k, ESTAB_LISTEN, ESTAB_SYN_RECEIVED, ESTAB_BY_SEGMENT);
    tcp_take_over(c);
    c->w->listener = tcb_handle(t);
    t->l->npending++;
    tcp_listener_adopt(t, c);
    g.flags &= (uint8_t)~SEG_SYN;
    g.seq = c->rcv.nxt;
    g.len--;
    tcp_trim(c, &g);
    if (g.len > 0)
        tcp_arrive_text(c, &g);
    c->fastopen_ok = c->octets_received > 0;
    c->owed.syn = true;
    tcp_settle(c);
}

/* [RFC7413-4.2.2-1] */
bool tcp_fastopen_syn(struct tcb *t, const struct seg *g, struct tcp_syn *syn, seq_t isn)
{
    struct tcp_layer *l = t->layer;
    struct tcb *c;
    int turn;

    if (!(g->opt.has & OPT_FO))
        return false;
    syn->q.fo_exp = g->opt.fo_exp;
    turn = cookie_turn(l, syn, &g->opt);
    if (turn < 0) {
        syn->q.fo_give = true;
        rule_count(l->rules, g->opt.fo_len ? RULE_FASTOPEN_COOKIE : RULE_FASTOPEN_ASKED);
        return false;
    }
    if (!has_room(t)) {
        rule_count(l->rules, RULE_FASTOPEN_LIMIT);
        return false;
    }
    syn->q.iss = isn;
    c = child_of(t, syn);
    if (!c) {
        rule_count(l->rules, RULE_NO_MEMORY);
        return false;
    }
    rule_count(l->rules, RULE_FASTOPEN_ACCEPTED);
    c->w->fo = turn > 0 ? TCP_FO_GIVE : TCP_FO_NONE;
    c->w->fo_exp = syn->q.fo_exp;
    begin_early(t, c, g);
    return true;
}

/* ---- what the client keeps, section 4.1.3 ---- */

static uint32_t nsets_of(const struct tcp_layer *l)
{
    return (l->set.fastopen_cache + WAYS - 1) / WAYS;
}

static size_t cache_size(const struct tcp_layer *l)
{
    return (size_t)nsets_of(l) * WAYS * sizeof(struct tcp_fo_peer);
}

/* The entries in which this destination may be; NULL: no memory for any. */
static struct tcp_fo_peer *ways_of(struct tcb *t)
{
    struct tcp_layer *l = t->layer;
    struct tcp_fastopen *f = &l->fastopen;
    uint8_t b[20] = {0};

    if (!f->peers) {
        f->peers = env_alloc(l->env, cache_size(l), 8);
        if (!f->peers)
            return NULL;
        memset(f->peers, 0, cache_size(l));
    }
    memcpy(b, t->peer, 16);
    be16_put(b + 16, t->path.local);
    be16_put(b + 18, t->pport);
    return &f->peers[hash_sip13(&l->key, b, sizeof b) % nsets_of(l) * WAYS];
}

/* make: in the place of the one that was used least lately, if need be. */
static struct tcp_fo_peer *peer_of(struct tcb *t, bool make)
{
    struct tcp_fo_peer *ways = ways_of(t), *p;
    estab_time now = t->layer->env->now;

    p = ways;
    for (uint32_t i = 0; ways && i < WAYS; i++) {
        if (ways[i].port == t->pport && ways[i].local == t->path.local &&
            memcmp(ways[i].addr, t->peer, 16) == 0) {
            ways[i].used_at = now;
            return &ways[i];
        }
        if (ways[i].used_at < p->used_at)
            p = &ways[i];
    }
    if (!make || !p)
        return NULL;
    *p = (struct tcp_fo_peer){.local = t->path.local, .port = t->pport, .used_at = now};
    memcpy(p->addr, t->peer, 16);
    return p;
}

void tcp_fastopen_fini(struct tcp_layer *l)
{
    env_free(l->env, l->fastopen.peers, cache_size(l), 8);
}

/* Section 4.1.3.1: once bitten, a minute; twice, two. [RFC7413-4.1.3.1-1] */
static void not_for_a_while(struct tcb *t, struct tcp_fo_peer *p)
{
    if (p->failures < 8)
        p->failures++;
    p->not_before = time_add(t->layer->env->now, MINUTE << (p->failures - 1));
    rule_count(t->layer->rules, RULE_FASTOPEN_FAILED);
}

/* ---- the client's SYN, section 4.2.1 and 4.2.2 ---- */

void tcp_fastopen_open(struct tcb *t)
{
    struct tcp_fo_peer *p;

    if (tcp_extra(t)->fastopen == 0 || t->layer->set.fastopen_cache == 0)
        return;
    p = peer_of(t, true);
    if (!p || t->layer->env->now < p->not_before)
        return;
    t->w->fo = p->cookie_len ? TCP_FO_SEND : TCP_FO_ASK;
    t->w->held = p->cookie_len > 0;
}

/* Text that comes soon goes along; a server that speaks first is not kept waiting for long. */
void tcp_fastopen_wait(struct tcb *t)
{
    tcp_arm(t, TCP_T_SWS, time_add(t->layer->env->now, ESTAB_MS(200)));
    tcp_raise(t, ESTAB_EV_OUT);
}

void tcp_fastopen_go(struct tcb *t)
{
    tcp_cancel(t, TCP_T_SWS);
    t->w->held = false;
    t->owed.syn = true;
    tcp_owe(t);
}

/* Text that goes with the SYN: what the server's MSS and the path take beside the options.
 * [RFC7413-4.1.3-2] */
static uint32_t text_of_syn(const struct tcb *t, const struct tcp_fo_peer *p,
                            const struct tcp_opts *o)
{
    const struct tcp_work *w = t->w;
    uint32_t mss = p->mss < t->snd_mss ? p->mss : t->snd_mss, opts = opts_len(t->layer, o);
    uint32_t room = mss > opts ? mss - opts : 0;

    if (w->snd_urgent) /* a SYN has no urgent pointer to give */
        return 0;
    return w->snd.len < room ? w->snd.len : room;
}

/* With the first SYN or SYN,ACK only: what drops one with an option or text may let one pass
 * without. Nor with the SYN,ACK of a simultaneous open, which is nobody's server. */
uint32_t tcp_fastopen_offer(struct tcb *t, struct tcp_opts *o)
{
    bool simultaneous = t->active && t->state != ESTAB_SYN_SENT;
    struct tcp_work *w = t->w;
    struct tcp_fo_peer *p;

    if (w->syn_lost || simultaneous)
        return 0;
    switch ((enum tcp_fo)w->fo) {
    case TCP_FO_NONE:
        return 0;
    case TCP_FO_GIVE:
        tcp_fastopen_give(t->layer, t->peer, &t->path, w->fo_exp, o);
        return 0;
    case TCP_FO_ASK:
    case TCP_FO_SEND:
        break;
    }
    p = peer_of(t, false);
    o->has |= OPT_FO;
    o->fo_len = 0;
    if (p && w->fo == TCP_FO_SEND) {
        o->fo_len = p->cookie_len;
        o->fo_exp = p->experimental;
        memcpy(o->fo, p->cookie, p->cookie_len);
    }
    leave_out(t->layer, t->peer, &t->path, o);
    return (o->has & OPT_FO) && o->fo_len ? text_of_syn(t, p, o) : 0;
}

/* ---- the SYN,ACK, section 4.2.2 ---- */

/* [RFC7413-4.1.3-1] */
void tcp_fastopen_answered(struct tcb *t, const struct seg *g, uint32_t text_acked)
{
    uint32_t text = seq_diff(t->snd.nxt, t->snd.una) - 1;
    bool given = (g->opt.has & OPT_FO) && g->opt.fo_len > 0;
    struct tcp_fo_peer *p;

    if (t->w->fo == TCP_FO_NONE)
        return;
    p = peer_of(t, true);
    if (!p)
        return;
    p->mss = tcp_mss_of(&g->opt, t->peer);
    if (given) {
        p->cookie_len = g->opt.fo_len;
        p->experimental = g->opt.fo_exp;
        memcpy(p->cookie, g->opt.fo, g->opt.fo_len);
    }
    t->fastopen_ok = text_acked > 0;
    if (text_acked > 0)
        rule_count(t->layer->rules, RULE_FASTOPEN_TAKEN);
    if (text_acked == text && (given || text > 0))
        p->failures = 0;
    else if (!given && (t->w->syn_lost || text > text_acked))
        not_for_a_while(t, p);
}

/* Not a loss: the congestion window stays. [RFC7413-4.2.2-2] */
void tcp_fastopen_rest(struct tcb *t)
{
    t->w->syn_text = seq_lt(t->snd.una, t->snd.nxt);
    (void)sent_lose(&t->w->sent, &t->layer->pool, t->snd.una, t->snd.nxt);
}

void tcp_fastopen_unanswered(struct tcb *t)
{
    struct tcp_fo_peer *p = t->w->fo ? peer_of(t, false) : NULL;

    if (p && !t->w->held)
        not_for_a_while(t, p);
}

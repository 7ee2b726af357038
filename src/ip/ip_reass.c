/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_reass.c - fragments become datagrams again: RFC 791 section 3.2, RFC 1122 section 3.3.2,
 * RFC 8200 section 4.5.
 *
 * Fragments are kept as they came; a bounded set of ranges says which octets are there.  So one
 * fragment costs the same in whatever order they come and however many came before, and octets are
 * moved once more only, when none is missing.  The whole datagram is then parsed again like any
 * other packet: no header is looked at by a second piece of code.
 *
 * Overlaps: no honest sender makes one, so it ends its datagram, and what still comes of that is
 * dropped until the time is up (RFC 5722 section 4).  An exact duplicate is the network's doing and
 * is dropped alone (RFC 8200 section 4.5).
 * Departs from RFC 791 section 3.2: there the octets that came last win; here IPv4 is held to the
 * rule of IPv6.
 *
 * Whoever sends fragments has memory kept for him, so there are bounds: of octets (with what it
 * takes to keep them) and of datagrams, for each source and for all.  At a source's bound its own
 * oldest datagram goes, at everybody's the oldest of all.  The fragments of an honest datagram come
 * within milliseconds of each other, so it needs to live as long only as a flood takes to turn the
 * whole store over; and who stays within his bound cannot have more than his share of it.  Within a
 * datagram, gaps and fragments are bounded, too. */
#include "base/ranges.h"
#include "ip/ip_int.h"
#include <assert.h>

#define REASS_FRAGS_MAX 256   /* 64 KiB over a link with an MTU of 296, as serial ones have */
#define REASS_LEN_MAX   65535 /* RFC 791 section 3.1, RFC 8200 section 3 */
#define ECN_NOT_ECT     0
#define ECN_CE          3

struct frag {
    struct frag *next; /* of the same datagram; came earlier */
    uint32_t off, len; /* its place */
    uint32_t hdr_len;  /* the first fragment's only: headers, in front of the octets */
    uint8_t data[];
};

/* RFC 791 section 3.2: source, destination, identification and protocol name a datagram; IPv6 does
 * without the protocol.  A link-local address means nothing without its link. */
enum { KEY_SRC = 0, KEY_DST = 16, KEY_ID = 32, KEY_PROTO = 36, KEY_SCOPE = 37, KEY_LEN = 38 };

struct reass { /* a datagram */
    uint8_t key[KEY_LEN];
    uint8_t port; /* where the first fragment came in */
    uint8_t ecn;  /* a bit for each codepoint that was seen */
    uint16_t local;
    bool ended; /* refused; kept so that the rest is refused, too */
    uint32_t tag;
    uint32_t slot, source;
    uint32_t end;  /* octets in all; 0: the last fragment is still missing */
    size_t octets; /* kept, itself included */
    uint32_t nfrags;
    estab_time until;
    struct frag *frags, *first; /* newest; the one at offset 0 */
    struct ranges have;
    struct link age, kin; /* among all; among its source's */
};
struct reass_source {
    uint8_t addr[16];
    uint32_t tag;
    size_t octets;
    struct slot_list list; /* its datagrams, oldest first */
};
#define AGE_LINK offsetof(struct reass, age)
#define KIN_LINK offsetof(struct reass, kin)

struct reass_whole {
    struct reass_whole *next;
    size_t size;
    struct estab_frame frame;
    uint8_t packet[];
};

static const struct ip_reass_settings reass_defaults = IP_REASS_DEFAULTS;

void ip_set_reass(struct ip_layer *l, const struct ip_reass_settings *set)
{
    struct ip_reass *ra = &l->reass;

    assert(!ra->by_age.n && set->datagrams > 0 && set->source_datagrams > 0);
    ra->set = *set;
    slab_init(&ra->datagrams, l->env, sizeof(struct reass), _Alignof(struct reass), 3,
              set->datagrams);
    slab_init(&ra->sources, l->env, sizeof(struct reass_source), _Alignof(struct reass_source), 4,
              set->datagrams);
}

void ip_reass_init(struct ip_layer *l)
{
    struct ip_reass *ra = &l->reass;

    slot_list_init(&ra->by_age);
    hash_init(&ra->by_key, l->env);
    hash_init(&ra->by_source, l->env);
    env_random(l->env, &ra->secret, sizeof ra->secret);
    ip_set_reass(l, &reass_defaults);
}

static struct reass *reass_at(const struct ip_layer *l, uint32_t slot)
{
    return slab_at(&l->reass.datagrams, slot);
}

static struct reass_source *source_at(const struct ip_layer *l, uint32_t slot)
{
    return slab_at(&l->reass.sources, slot);
}

/* ---- datagrams and their sources ---- */

static void key_of(const struct ip_dgram *d, uint8_t key[KEY_LEN])
{
    bool scoped = ip_is_link_local6(d->ip.src) || ip_is_link_local6(d->ip.dst);

    memcpy(key + KEY_SRC, d->ip.src, 16);
    memcpy(key + KEY_DST, d->ip.dst, 16);
    be32_put(key + KEY_ID, d->ip.id);
    key[KEY_PROTO] = d->ip.version == 4 ? d->ip.proto : 0;
    key[KEY_SCOPE] = scoped ? (uint8_t)(d->port + 1) : 0;
}

static uint32_t find_source(const struct ip_layer *l, const uint8_t addr[16], uint32_t tag)
{
    struct hash_probe p = hash_probe(&l->reass.by_source, tag);
    uint32_t slot;

    while ((slot = hash_next(&p)) != HASH_NONE)
        if (memcmp(source_at(l, slot)->addr, addr, 16) == 0)
            break;
    return slot;
}

static uint32_t find_datagram(const struct ip_layer *l, const uint8_t key[KEY_LEN], uint32_t tag)
{
    struct hash_probe p = hash_probe(&l->reass.by_key, tag);
    uint32_t slot;

    while ((slot = hash_next(&p)) != HASH_NONE)
        if (memcmp(reass_at(l, slot)->key, key, KEY_LEN) == 0)
            break;
    return slot;
}

static void charge(struct ip_layer *l, struct reass *r, size_t octets)
{
    r->octets += octets;
    source_at(l, r->source)->octets += octets;
    l->reass.octets += octets;
}

static void refund(struct ip_layer *l, struct reass *r, size_t octets)
{
    r->octets -= octets;
    source_at(l, r->source)->octets -= octets;
    l->reass.octets -= octets;
}

static size_t frag_size(uint32_t hdr_len, uint32_t len)
{
    return sizeof(struct frag) + hdr_len + len;
}

static void free_frags(struct ip_layer *l, struct reass *r)
{
    struct frag *f;

    while ((f = r->frags)) {
        r->frags = f->next;
        refund(l, r, frag_size(f->hdr_len, f->len));
        env_free(l->env, f, frag_size(f->hdr_len, f->len), _Alignof(struct frag));
    }
    r->first = NULL;
}

static void put_source(struct ip_layer *l, uint32_t slot)
{
    struct reass_source *s = source_at(l, slot);

    if (s->list.n > 0)
        return;
    hash_del(&l->reass.by_source, s->tag, slot);
    slab_put(&l->reass.sources, slot);
}

static void end_datagram(struct ip_layer *l, struct reass *r)
{
    struct ip_reass *ra = &l->reass;

    free_frags(l, r);
    refund(l, r, sizeof *r);
    slot_del(&ra->datagrams, &ra->by_age, r->slot, AGE_LINK);
    slot_del(&ra->datagrams, &source_at(l, r->source)->list, r->slot, KIN_LINK);
    hash_del(&ra->by_key, r->tag, r->slot);
    put_source(l, r->source);
    slab_put(&ra->datagrams, r->slot);
}

static void lose_datagram(struct ip_layer *l, struct reass *r, enum rule why)
{
    ip_drop_of(l, r->key + KEY_SRC, r->key + KEY_DST, r->port, ranges_len(&r->have), why);
    end_datagram(l, r);
}

/* The octets go, the name stays until its time is up: RFC 5722 section 4, "including those not yet
 * received". */
static void refuse_datagram(struct ip_layer *l, struct reass *r)
{
    free_frags(l, r);
    ranges_init(&r->have);
    r->ended = true;
}

static uint32_t get_source(struct ip_layer *l, const uint8_t addr[16], uint32_t tag)
{
    struct ip_reass *ra = &l->reass;
    uint32_t slot = find_source(l, addr, tag);
    struct reass_source *s;

    if (slot != HASH_NONE)
        return slot;
    slot = slab_get(&ra->sources);
    if (slot == SLAB_NONE)
        return SLAB_NONE;
    if (hash_add(&ra->by_source, tag, slot) != 0) {
        slab_put(&ra->sources, slot);
        return SLAB_NONE;
    }
    s = source_at(l, slot);
    memcpy(s->addr, addr, 16);
    s->tag = tag;
    s->octets = 0;
    slot_list_init(&s->list);
    return slot;
}

static struct reass *new_datagram(struct ip_layer *l, const struct ip_dgram *d,
                                  const uint8_t key[KEY_LEN], uint32_t tag)
{
    struct ip_reass *ra = &l->reass;
    uint32_t source_tag = (uint32_t)hash_sip13(&ra->secret, d->ip.src, 16);
    uint32_t source = find_source(l, d->ip.src, source_tag), slot;
    struct reass *r;

    if (source != HASH_NONE && source_at(l, source)->list.n >= ra->set.source_datagrams)
        lose_datagram(l, reass_at(l, source_at(l, source)->list.head), RULE_REASS_SOURCE);
    if (ra->by_age.n >= ra->set.datagrams)
        lose_datagram(l, reass_at(l, ra->by_age.head), RULE_REASS_FULL);
    source = get_source(l, d->ip.src, source_tag);
    if (source == SLAB_NONE)
        return NULL;
    slot = slab_get(&ra->datagrams);
    if (slot == SLAB_NONE || hash_add(&ra->by_key, tag, slot) != 0) {
        if (slot != SLAB_NONE)
            slab_put(&ra->datagrams, slot);
        put_source(l, source);
        return NULL;
    }
    r = reass_at(l, slot);
    memset(r, 0, sizeof *r);
    memcpy(r->key, key, KEY_LEN);
    r->port = d->port;
    r->local = d->local;
    r->tag = tag;
    r->slot = slot;
    r->source = source;
    r->until = time_add(l->env->now, ra->set.timeout);
    slot_push(&ra->datagrams, &ra->by_age, slot, AGE_LINK);
    slot_push(&ra->datagrams, &source_at(l, source)->list, slot, KIN_LINK);
    charge(l, r, sizeof *r);
    ip_arm(l, r->until);
    return r;
}

/* Room for octets more of r, at the cost of older datagrams; not of r itself. */
static enum rule make_room(struct ip_layer *l, const struct reass *r, size_t octets)
{
    const struct ip_reass *ra = &l->reass;
    const struct reass_source *s = source_at(l, r->source);
    uint32_t oldest;

    while (s->octets + octets > ra->set.source_max) {
        oldest = s->list.head == r->slot ? r->kin.next : s->list.head;
        if (oldest == SLAB_NONE)
            return RULE_REASS_SOURCE;
        lose_datagram(l, reass_at(l, oldest), RULE_REASS_SOURCE);
    }
    while (ra->octets + octets > ra->set.max) {
        oldest = ra->by_age.head == r->slot ? r->age.next : ra->by_age.head;
        if (oldest == SLAB_NONE)
            return RULE_REASS_FULL;
        lose_datagram(l, reass_at(l, oldest), RULE_REASS_FULL);
    }
    return RULE_NONE;
}

/* ---- one fragment ---- */

/* What no datagram can use, RFC 8200 section 4.5; of IPv4's headers the first fragment's may still
 * prove too long. */
static enum rule check_place(const struct ip_dgram *d)
{
    const struct ip_hdr *h = &d->ip;
    uint32_t hdrs = h->version == 4 ? IP4_HDR_LEN : h->hdr_len - IP6_HDR_LEN - IP6_FRAG_LEN;

    if (h->payload_len == 0 || (h->more_frags && h->payload_len % 8))
        return RULE_REASS_LENGTH;
    if (hdrs + h->frag_off + h->payload_len > REASS_LEN_MAX)
        return RULE_REASS_TOO_LONG;
    return RULE_NONE;
}

static enum rule check_headers(struct ip_dgram *d)
{
    uint8_t proto = d->ip.proto;
    const uint8_t *p;
    uint32_t at;
    size_t len;

    if (proto == IPPROTO_IPIP || proto == IPPROTO_IP6IN)
        return RULE_IP_TUNNEL;
    if (d->ip.version == 4 || d->ip.frag_off > 0)
        return RULE_NONE;
    p = ip_run(&d->payload, IP_HDR_RUN, d->scratch, &len);
    return ip6_chain_whole(p, len, &proto, &at) ? RULE_NONE : RULE_REASS_CHAIN;
}

/* RFC 8200 section 4.5, RFC 7112 section 5: which of them the sender is to be told of. */
static void refuse_fragment(struct ip_layer *l, const struct ip_dgram *d, enum rule r)
{
    const uint32_t length_at = 4, offset_at = d->ip.hdr_len - IP6_FRAG_LEN + 2u;

    ip_drop(l, d, r);
    if (d->ip.version == 4)
        return;
    if (r == RULE_REASS_LENGTH && d->ip.payload_len > 0)
        ip_icmp_problem(l, d, 0, length_at);
    else if (r == RULE_REASS_TOO_LONG)
        ip_icmp_problem(l, d, 0, offset_at);
    else if (r == RULE_REASS_CHAIN)
        ip_icmp_problem(l, d, 3, 0);
}

static bool came_before(const struct reass *r, const struct ip_dgram *d)
{
    const struct frag *f = r->frags;
    uint32_t at = 0, i;

    while (f && f->off != d->ip.frag_off)
        f = f->next;
    if (!f || f->len != d->ip.payload_len || d->ip.more_frags != (f->off + f->len != r->end))
        return false;
    for (i = 0; i < d->payload.n; at += (uint32_t)d->payload.v[i++].len)
        if (memcmp(f->data + f->hdr_len + at, d->payload.v[i].base, d->payload.v[i].len) != 0)
            return false;
    return true;
}

/* Whether it agrees with what is there of its datagram. */
static enum rule check_fit(const struct reass *r, const struct ip_dgram *d)
{
    uint32_t lo = d->ip.frag_off, hi = lo + d->ip.payload_len;
    uint32_t top = r->have.n ? ranges_at(&r->have, r->have.n - 1)->hi.n : 0;
    seq_t gap, gap_hi;

    gap = ranges_gap(&r->have, seq_of(lo), seq_of(hi), &gap_hi);
    if (gap.n != lo || gap_hi.n != hi)
        return came_before(r, d) ? RULE_REASS_DUPLICATE : RULE_REASS_OVERLAP;
    if (d->ip.more_frags ? r->end && hi >= r->end : r->end || top > hi)
        return RULE_REASS_END;
    return RULE_NONE;
}

/* Keeps it: RULE_NONE, or what stands in the way. */
static enum rule keep_fragment(struct ip_layer *l, struct reass *r, const struct ip_dgram *d)
{
    uint32_t lo = d->ip.frag_off, len = d->ip.payload_len;
    uint32_t hdr_len = lo == 0 ? d->ip.hdr_len : 0;
    struct pieces packet;
    struct frag *f;
    enum rule why;

    if (r->nfrags == REASS_FRAGS_MAX)
        return RULE_REASS_PIECES;
    why = make_room(l, r, frag_size(hdr_len, len));
    if (why != RULE_NONE)
        return why;
    f = env_alloc(l->env, frag_size(hdr_len, len), _Alignof(struct frag));
    if (!f)
        return RULE_NO_MEMORY;
    if (!ranges_add(&r->have, seq_of(lo), seq_of(lo + len), NULL)) {
        env_free(l->env, f, frag_size(hdr_len, len), _Alignof(struct frag));
        return RULE_REASS_GAPS;
    }
    *f = (struct frag){.next = r->frags, .off = lo, .len = len, .hdr_len = hdr_len};
    (void)ip_frame_pieces(&packet, d->frame);
    pieces_copy(f->data, &packet, d->link_len, hdr_len);
    pieces_copy(f->data + hdr_len, &d->payload, 0, len);
    charge(l, r, frag_size(hdr_len, len));
    r->frags = f;
    r->nfrags++;
    r->ecn |= (uint8_t)(1u << (d->ip.tos & 3));
    if (lo == 0) {
        r->first = f;
        r->port = d->port;
    }
    if (!d->ip.more_frags)
        r->end = lo + len;
    return RULE_NONE;
}

static bool is_whole(const struct reass *r)
{
    return r->end && r->have.n == 1 && ranges_at(&r->have, 0)->lo.n == 0 &&
           ranges_at(&r->have, 0)->hi.n == r->end;
}

/* ---- the whole datagram ---- */

/* [RFC3168-5.3-1] */
static enum rule check_whole(const struct reass *r)
{
    if (ip_is4(r->key + KEY_DST) && r->first->hdr_len + r->end > REASS_LEN_MAX)
        return RULE_REASS_TOO_LONG;
    if (r->ecn & 1u << ECN_CE && r->ecn & 1u << ECN_NOT_ECT)
        return RULE_REASS_ECN;
    return RULE_NONE;
}

static struct reass_whole *put_together(struct ip_layer *l, const struct reass *r)
{
    size_t size = sizeof(struct reass_whole) + r->first->hdr_len + r->end;
    struct reass_whole *w = env_alloc(l->env, size, _Alignof(struct reass_whole));
    bool ce = r->ecn & 1u << ECN_CE;
    const struct frag *f;
    uint32_t hdr_len;

    if (!w)
        return NULL;
    memcpy(w->packet, r->first->data, r->first->hdr_len);
    hdr_len = ip_is4(r->key + KEY_DST) ? ip4_whole(w->packet, r->first->hdr_len, r->end, ce)
                                       : ip6_whole(w->packet, r->first->hdr_len, r->end, ce);
    for (f = r->frags; f; f = f->next)
        memcpy(w->packet + hdr_len + f->off, f->data + f->hdr_len, f->len);
    memset(&w->frame, 0, sizeof w->frame);
    w->frame.iov[0] = (struct estab_iov){w->packet, hdr_len + r->end};
    w->frame.niov = 1;
    w->size = size;
    w->next = l->reass.lent;
    l->reass.lent = w;
    l->env->held = true;
    return w;
}

/* d becomes the whole datagram.  Its transport's checksum is nobody's word but our own: a link sees
 * one fragment at a time. */
static bool finish_datagram(struct ip_layer *l, struct reass *r, struct ip_dgram *d)
{
    enum rule why = check_whole(r);
    struct reass_whole *w;

    if (why != RULE_NONE) {
        lose_datagram(l, r, why);
        return false;
    }
    w = put_together(l, r);
    if (!w) {
        lose_datagram(l, r, RULE_NO_MEMORY);
        return false;
    }
    end_datagram(l, r);
    rule_count(l->rules, RULE_REASSEMBLED);
    d->frame = &w->frame;
    d->link_len = 0;
    d->csum_ok = false;
    d->gso_size = 0;
    (void)ip_frame_pieces(&d->payload, d->frame);
    return true;
}

/* Puts it with its datagram.  NULL: dropped, and counted; or of a datagram that has been refused.
 */
static struct reass *join_datagram(struct ip_layer *l, struct ip_dgram *d)
{
    uint8_t key[KEY_LEN];
    enum rule why = RULE_NONE;
    struct reass *r;
    uint32_t tag, slot;

    key_of(d, key);
    tag = (uint32_t)hash_sip13(&l->reass.secret, key, KEY_LEN);
    slot = find_datagram(l, key, tag);
    r = slot == HASH_NONE ? new_datagram(l, d, key, tag) : reass_at(l, slot);
    if (!r)
        why = RULE_NO_MEMORY;
    else if (r->ended)
        why = RULE_REASS_REFUSED;
    else
        why = check_fit(r, d);
    if (why == RULE_NONE)
        why = keep_fragment(l, r, d);
    if (why == RULE_NONE) {
        rule_count(l->rules, RULE_IP_FRAGMENT);
        return r;
    }
    ip_drop(l, d, why);
    if (why == RULE_REASS_OVERLAP || why == RULE_REASS_END || why == RULE_REASS_PIECES)
        refuse_datagram(l, r);
    else if (why == RULE_REASS_SOURCE || why == RULE_REASS_FULL)
        end_datagram(l, r); /* larger alone than what there is for it */
    else if (r && !r->frags && !r->ended)
        end_datagram(l, r);
    return NULL;
}

/* [RFC1122-3.3.2-1] */
bool ip_reass_in(struct ip_layer *l, struct ip_dgram *d)
{
    enum rule why = l->reass.set.max ? check_place(d) : RULE_REASS_OFF;
    struct reass *r;

    if (why == RULE_NONE)
        why = check_headers(d);
    if (why != RULE_NONE) {
        refuse_fragment(l, d, why);
        return false;
    }
    r = join_datagram(l, d);
    return r && is_whole(r) && finish_datagram(l, r, d);
}

void ip_reass_reap(struct ip_layer *l)
{
    struct reass_whole *w;

    while ((w = l->reass.lent)) {
        l->reass.lent = w->next;
        env_free(l->env, w, w->size, _Alignof(struct reass_whole));
    }
}

/* ---- time ---- */

/* RFC 792, RFC 8200 section 4.5: the sender is told if the first fragment is there to be quoted.
 * [RFC1122-3.3.2-2] */
static void tell_timeout(struct ip_layer *l, const struct reass *r)
{
    const struct frag *f = r->first;
    struct estab_frame frame = {0};
    struct ip_dgram d;
    enum rule why;

    frame.iov[0] = (struct estab_iov){(uint8_t *)(uintptr_t)f->data, f->hdr_len + f->len};
    frame.niov = 1;
    d.frame = &frame;
    d.link_len = 0;
    d.port = r->port;
    d.local = r->local;
    if (ip_is4(r->key + KEY_DST))
        why = ip4_parse(&d.ip, f->data, f->hdr_len, f->hdr_len + f->len, true);
    else
        why = ip6_parse(&d.ip, f->data, f->hdr_len, f->hdr_len + f->len);
    assert(why == RULE_NONE);
    (void)why;
    (void)ip_frame_pieces(&d.payload, &frame);
    pieces_trim_head(&d.payload, f->hdr_len);
    ip_icmp_reass_timeout(l, &d);
}

int ip_reass_expire(struct ip_layer *l)
{
    struct reass *r;
    int n = 0;

    while (l->reass.by_age.n > 0) {
        r = reass_at(l, l->reass.by_age.head);
        if (r->until > l->env->now)
            break;
        if (r->first)
            tell_timeout(l, r);
        if (r->ended)
            end_datagram(l, r);
        else
            lose_datagram(l, r, RULE_REASS_TIMEOUT);
        n++;
    }
    return n;
}

estab_time ip_reass_next(const struct ip_layer *l)
{
    const struct slot_list *q = &l->reass.by_age;

    return q->n > 0 ? reass_at(l, q->head)->until : ESTAB_NEVER;
}

void ip_reass_fini(struct ip_layer *l)
{
    struct ip_reass *ra = &l->reass;

    ip_reass_reap(l);
    while (ra->by_age.n > 0)
        end_datagram(l, reass_at(l, ra->by_age.head));
    assert(ra->octets == 0);
    slab_fini(&ra->datagrams);
    slab_fini(&ra->sources);
    hash_fini(&ra->by_key);
    hash_fini(&ra->by_source);
}

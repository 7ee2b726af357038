/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_reass.c - reassembly against a naive model: an octet array and a list for each datagram.
 *
 * The input is a list of steps: a fragment of any place and length, one of an honest cut, an exact
 * duplicate, time.  With wide bounds the model says for each fragment whether it completes a
 * datagram, which, and what is in it.  With narrow ones datagrams may be lost at any time, and the
 * model only says what a delivered one must hold; the bounds must hold in both. */
#include "ip/ip_int.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NAMES = 16, PIECES_MAX = 256, GAPS_MAX = 32, DATA_MAX = 65536, TIMEOUT_S = 60 };

struct piece {
    uint32_t off, len;
    bool more;
};
struct model { /* a datagram, as naively as can be */
    bool used, ended;
    estab_time until;
    uint8_t have[DATA_MAX + 1], data[DATA_MAX]; /* have: with a hole behind the last octet */
    struct piece pieces[PIECES_MAX];
    uint32_t npieces, end, top; /* top: nothing was seen from there on */
    uint8_t ecn;
    uint8_t proto; /* the first fragment's */
};
struct fragment {
    uint32_t name; /* bit 0: IPv6, 1: source, 2: identification, 3: protocol */
    uint32_t off, len;
    bool more, spoiled; /* spoiled: its octets are not what they should be */
    uint8_t ecn;
};
struct world {
    struct env env;
    struct rule_book rules;
    struct ip_layer l;
    bool narrow;
    struct fragment last;
};
static struct model models[NAMES];

static void must(bool ok)
{
    if (!ok)
        abort();
}

static estab_time world_now(void *ctx)
{
    return ((struct world *)ctx)->env.now;
}
static void world_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 0x5a, len);
}
static void *world_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    (void)align;
    return malloc(size);
}
static void world_free(void *ctx, void *p, size_t size, size_t align)
{
    (void)ctx;
    (void)size;
    (void)align;
    free(p);
}

static void address(uint8_t a[16], bool v6, uint8_t last)
{
    static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8}, four[4] = {10};

    memcpy(a, six, 16);
    if (!v6)
        ip_map4(a, four);
    a[15] = last;
}

static void world_init(struct world *w, uint8_t how)
{
    struct estab_port_caps tun = {.medium = ESTAB_MEDIUM_IP, .mtu = 65535};
    struct ip_reass_settings wide = {1u << 24, 1u << 24, 64, 64, ESTAB_S(TIMEOUT_S)};
    struct ip_reass_settings narrow = {6000, 4000, 4, 3, ESTAB_S(TIMEOUT_S)};
    uint8_t a[16];

    memset(w, 0, sizeof *w);
    w->env.now = ESTAB_S(1);
    w->env.cb = (struct estab_env){w, world_now, world_random, world_alloc, world_free, NULL};
    w->narrow = how & 1;
    must(ip_init(&w->l, &w->env, &w->rules, 64) == 0);
    ip_set_reass(&w->l, w->narrow ? &narrow : &wide);
    must(ip_port_add(&w->l, &tun) == 0);
    address(a, false, 1);
    must(ip_addr_add(&w->l, 0, a, 120) == 0);
    address(a, true, 1);
    must(ip_addr_add(&w->l, 0, a, 64) == 0);
    for (uint32_t i = 0; i < NAMES; i++)
        models[i].used = false;
}

static bool is6(uint32_t name)
{
    return name & 1;
}
static uint8_t proto_of(uint32_t name)
{
    return name & 8 ? IPPROTO_TCP_ : IPPROTO_UDP_;
}
/* IPv6 fragments of one name may disagree about the protocol. */
static struct model *model_of(uint32_t name)
{
    return &models[is6(name) ? name & 7 : name];
}
static uint8_t octet(const struct fragment *f, uint32_t off)
{
    uint8_t name = (uint8_t)(is6(f->name) ? f->name & 7 : f->name);

    return (uint8_t)((off * 131 >> 3) + off + name * 17 + (f->spoiled ? 1 : 0));
}

/* ---- what the layer is given ---- */

static size_t packet_of(const struct fragment *f, uint8_t *p)
{
    struct ip_hdr h = {.version = is6(f->name) ? 6 : 4, .hop_limit = 64};
    size_t at = is6(f->name) ? IP6_HDR_LEN + IP6_FRAG_LEN : IP4_HDR_LEN;

    address(h.src, is6(f->name), f->name & 2 ? 2 : 3);
    address(h.dst, is6(f->name), 1);
    h.tos = f->ecn;
    if (is6(f->name)) {
        h.proto = IPPROTO_FRAGMENT_;
        h.payload_len = IP6_FRAG_LEN + f->len;
        ip6_emit(&h, p);
        memset(p + IP6_HDR_LEN, 0, IP6_FRAG_LEN);
        p[IP6_HDR_LEN] = proto_of(f->name);
        be16_put(p + IP6_HDR_LEN + 2, (uint16_t)(f->off | f->more));
        p[IP6_HDR_LEN + 7] = f->name & 4;
    } else {
        h.proto = proto_of(f->name);
        h.payload_len = f->len;
        h.id = f->name & 4;
        h.frag_off = (uint16_t)f->off;
        h.more_frags = f->more;
        ip4_emit(&h, p);
    }
    for (uint32_t i = 0; i < f->len; i++)
        p[at + i] = octet(f, f->off + i);
    return at + f->len;
}

/* ---- what is expected ---- */

static uint32_t gaps_in(const struct model *m)
{
    uint32_t runs = 0;

    for (uint32_t i = 0; i < m->top; i++)
        runs += m->have[i] && !m->have[i + 1];
    return runs;
}

static bool is_duplicate(const struct model *m, const struct fragment *f)
{
    for (uint32_t i = 0; i < f->len; i++)
        if (m->data[f->off + i] != octet(f, f->off + i))
            return false;
    for (uint32_t i = 0; i < m->npieces; i++)
        if (m->pieces[i].off == f->off && m->pieces[i].len == f->len &&
            m->pieces[i].more == f->more)
            return true;
    return false;
}

static bool contradicts(const struct model *m, const struct fragment *f)
{
    uint32_t hi = f->off + f->len;

    if (m->end && (!f->more || hi >= m->end))
        return true;
    for (uint32_t i = hi; !f->more && i < m->top; i++)
        if (m->have[i])
            return true;
    return false;
}

/* Whether f completes its datagram. */
static bool model_takes(struct model *m, const struct fragment *f, estab_time now)
{
    uint32_t hi = f->off + f->len;
    bool overlap = false;

    if (f->len == 0 || (f->more && f->len % 8) || (is6(f->name) ? 0 : 20) + hi > 65535)
        return false;
    if (is6(f->name) && f->off == 0 && proto_of(f->name) == IPPROTO_TCP_ && f->len < 20)
        return false;
    if (!m->used) {
        memset(m->have, 0, sizeof m->have);
        m->ended = false;
        m->npieces = m->end = m->top = m->ecn = 0;
        m->used = true;
        m->until = now + ESTAB_S(TIMEOUT_S);
    }
    if (m->ended)
        return false;
    for (uint32_t i = f->off; i < hi; i++)
        overlap |= m->have[i];
    if (overlap && is_duplicate(m, f))
        return false;
    if (overlap || contradicts(m, f) || m->npieces == PIECES_MAX) {
        m->ended = true;
        return false;
    }
    memset(m->have + f->off, 1, f->len);
    m->top = hi > m->top ? hi : m->top;
    if (gaps_in(m) > GAPS_MAX) {
        memset(m->have + f->off, 0, f->len);
        return false;
    }
    for (uint32_t i = f->off; i < hi; i++)
        m->data[i] = octet(f, i);
    m->pieces[m->npieces++] = (struct piece){f->off, f->len, f->more};
    m->ecn |= (uint8_t)(1u << f->ecn);
    if (f->off == 0)
        m->proto = proto_of(f->name);
    if (!f->more)
        m->end = hi;
    for (uint32_t i = 0; i < m->end; i++)
        if (!m->have[i])
            return false;
    return m->end > 0;
}

/* ---- steps ---- */

static void check_whole(const struct ip_dgram *d, const struct model *m)
{
    uint32_t at = 0;

    must(d->ip.proto == m->proto && d->payload.len == m->end && !d->ip.has_frag);
    must((d->ip.tos & 3) == 3 || !(m->ecn & 8));
    for (uint32_t i = 0; i < d->payload.n; at += (uint32_t)d->payload.v[i++].len)
        must(memcmp(m->data + at, d->payload.v[i].base, d->payload.v[i].len) == 0);
    must(at == m->end);
}

/* With narrow bounds: what is delivered is what honest fragments hold. */
static void check_sound(const struct ip_dgram *d, const struct fragment *f)
{
    static uint8_t got[DATA_MAX];

    pieces_copy(got, &d->payload, 0, d->payload.len);
    for (uint32_t i = 0; i < d->payload.len; i++)
        must(got[i] == octet(f, i));
}

static void give(struct world *w, struct fragment *f)
{
    struct model *m = model_of(f->name);
    bool whole = f->off == 0 && !f->more, completes;
    static uint8_t packet[DATA_MAX * 2];
    struct estab_frame frame = {.niov = 2};
    struct ip_dgram d;
    struct ip_error e;
    enum ip_verdict v;
    size_t len;
    uint8_t *copy;

    if (w->narrow)
        f->spoiled = false;
    if (f->off + f->len > DATA_MAX || f->off > 0xfff8 || f->len > (is6(f->name) ? 65527u : 65515u))
        return;
    len = packet_of(f, packet);
    copy = malloc(len);
    memcpy(copy, packet, len);
    frame.iov[0] = (struct estab_iov){packet, len / 3};
    frame.iov[1] = (struct estab_iov){copy + len / 3, len - len / 3};
    v = ip_recv(&w->l, 0, &frame, &d, &e);
    must(v != IP_ERROR);
    if (whole) {
        must(v == IP_DELIVER && d.payload.len == f->len);
    } else if (w->narrow) {
        if (v == IP_DELIVER)
            check_sound(&d, f);
    } else {
        completes = model_takes(m, f, w->env.now);
        if (completes && m->ecn & 1 && m->ecn & 8) {
            must(v == IP_DONE);
            m->used = false;
        } else if (completes) {
            must(v == IP_DELIVER);
            check_whole(&d, m);
            m->used = false;
        } else {
            must(v == IP_DONE);
        }
    }
    free(copy);
    w->last = *f;
}

/* The n-th fragment of a datagram that is cut evenly. */
static void step_honest(struct world *w, struct rd *in, uint8_t op)
{
    uint32_t all = rd_u16(in), step = (rd_u8(in) + 1u) * 8u, n = rd_u8(in);
    struct fragment f = {.name = op >> 4, .ecn = op & 4 ? 2 : 0};

    f.off = n * step;
    if (all == 0 || f.off >= all)
        f.off = n = 0;
    f.more = f.off + step < all;
    f.len = f.more ? step : all - f.off;
    give(w, &f);
}

static void step_any(struct world *w, struct rd *in, uint8_t op)
{
    struct fragment f = {.name = op >> 4, .more = op & 4, .spoiled = op & 8};
    uint8_t scale = rd_u8(in);

    f.ecn = scale & 3;
    f.off = scale & 4 ? rd_u16(in) & 0xfff8u : rd_u8(in) * 8u;
    f.len = scale & 8 ? rd_u16(in) : rd_u8(in);
    if (scale & 16)
        f.len &= ~7u;
    give(w, &f);
}

static void step_time(struct world *w, struct rd *in)
{
    struct estab_frame f;

    w->env.now += ESTAB_MS(500) * rd_u8(in);
    must(ip_expire(&w->l) >= 0);
    must(ip_next(&w->l) > w->env.now);
    for (uint32_t i = 0; i < NAMES; i++)
        if (models[i].used && models[i].until <= w->env.now)
            models[i].used = false;
    while (ip_pull(&w->l, 0, &f))
        must(f.iov[0].len <= 1280);
}

static void check_bounds(const struct world *w)
{
    const struct ip_reass *ra = &w->l.reass;
    uint32_t used = 0;

    must(ra->octets <= ra->set.max && ra->by_age.n <= ra->set.datagrams);
    must((ra->octets == 0) == (ra->by_age.n == 0));
    must(ra->sources.used <= 4 && (ra->sources.used == 0) == (ra->by_age.n == 0));
    for (uint32_t i = 0; i < NAMES; i++)
        used += models[i].used;
    must(w->narrow || used == ra->by_age.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct world w;
    struct rd in = rd_of(data, len);

    world_init(&w, rd_u8(&in));
    while (rd_left(&in) && !in.bad) {
        uint8_t op = rd_u8(&in);

        ip_reap(&w.l);
        switch (op & 3) {
        case 0:
            step_honest(&w, &in, op);
            break;
        case 1:
            step_any(&w, &in, op);
            break;
        case 2:
            if (w.last.len)
                give(&w, &w.last);
            break;
        case 3:
            step_time(&w, &in);
            break;
        }
        check_bounds(&w);
    }
    ip_fini(&w.l);
    must(w.env.used == 0);
    return 0;
}

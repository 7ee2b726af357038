/* SPDX-License-Identifier: BSD-2-Clause */
/* lab.h - two hosts and an impaired network between them, in virtual time, in one process.
 *
 * A run is a function of its settings and one seed: the hosts' randomness, the fate of each frame,
 * the order in which hosts are served at one instant and the size of each batch come from it, and
 * nothing else does.  Everything that either stack traces goes into a hash, so that two runs can be
 * compared, and on demand onto a terminal.
 *
 * Time stands still while anything can still happen at that instant, then jumps to the earliest
 * deadline of a stack, a link or a user.  No deadline before the end is a failure: nothing waits
 * for ever. */
#ifndef TEST_LAB_LAB_H
#define TEST_LAB_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

#include "base/csum.h"
#include "lab/edges.h"
#include "stack/stack.h"

struct lab;

struct lab_host {
    struct estab_virtual v; /* first: it is what the callbacks of env get */
    struct estab_env env;
    struct lab *lab;
    estab_stack *s;
    estab_link *link;
    struct estab_addr addr; /* port 0 */
    /* Memory that runs out: the allocation of this number (from 1; 0: none) is refused, and those
     * that follow it, `refuse_n` together, or all of them for so long; or one in so many. */
    uint64_t refuse_at, refuse_n, refused;
    uint32_t refuse_one_in;
    estab_dur refuse_for;
    estab_time refuse_until;
    void *(*alloc)(void *ctx, size_t size, size_t align);
};
struct lab_conf {
    uint64_t seed;
    struct estab_config cfg[2];
    struct estab_port_caps caps;
    struct estab_fault fault[2]; /* of what each host sends; seed, now and ctx are filled in */
    double mark; /* how many of the datagrams that may be marked get CE, RFC 3168 section 5 */
    bool ip6;
    estab_time start;    /* what time it is at the beginning */
    uint32_t sleep_in;   /* once in so many steps both hosts sleep for up to an hour; 0: never */
    uint32_t batch_max;  /* frames handed over at once, at most */
    estab_dur at_most;   /* virtual time until all must be over */
    uint32_t rounds_max; /* and rounds */
    bool ask_why;        /* both hosts count their reasons, and are asked at every instant */
    struct edges *edges; /* NULL: nobody counts them */
    FILE *dump;          /* NULL: nobody reads them */
};
struct lab {
    struct lab_conf conf;
    estab_time now;
    struct estab_virtual rng; /* of the network's order and the users' whims */
    struct lab_host host[2];
    uint64_t hash; /* of all that was traced */
    uint64_t records;
    /* The users of a host act: true if they did anything. */
    bool (*act)(struct lab *l, struct lab_host *h);
    /* NULL, or: what a host hands out, before the network has it. */
    void (*sends)(struct lab *l, struct lab_host *h, const struct estab_frame *f, size_t n);
    /* NULL, or: whether the network loses a frame, whatever else it does. */
    bool (*loses)(struct lab *l, struct lab_host *h, const struct estab_frame *f);
    /* When a user wants to act by itself. */
    estab_time (*wake)(struct lab *l);
    bool (*done)(struct lab *l);
    void *ctx;
    char what[64]; /* how the run is repeated */
};

static inline uint64_t lab_rand(struct lab *l)
{
    return estab_virtual_random(&l->rng);
}
/* 0 to n - 1 */
static inline uint32_t lab_below(struct lab *l, uint32_t n)
{
    return (uint32_t)((lab_rand(l) >> 32) * n >> 32);
}
static inline uint32_t lab_between(struct lab *l, uint32_t lo, uint32_t hi)
{
    return lo + lab_below(l, hi - lo + 1);
}
/* true once in n times */
static inline bool lab_once_in(struct lab *l, uint32_t n)
{
    return lab_below(l, n) == 0;
}

static inline uint32_t lab_pick(struct lab *l, const uint32_t *from, uint32_t n)
{
    return from[lab_below(l, n)];
}
#define PICK(l, ...)                                                                               \
    lab_pick(l, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

/* The settings of a seed's run, which is not open yet, are chosen with a lab of their own. */
static inline void lab_choose(struct lab *choice, uint64_t seed)
{
    struct estab_env unused;

    estab_virtual_env(&unused, &choice->rng, seed * 2 + 1);
}

/* ESTAB_SEED alone, with all that happens on the terminal; or ESTAB_SEEDS of them (n) from
 * ESTAB_FIRST (1) on. */
struct lab_seeds {
    uint64_t first, n;
    FILE *dump;
};
static inline struct lab_seeds lab_seeds(uint64_t n)
{
    const char *only = getenv("ESTAB_SEED"), *many = getenv("ESTAB_SEEDS"),
               *first = getenv("ESTAB_FIRST");

    if (only)
        return (struct lab_seeds){strtoull(only, NULL, 10), 1, stderr};
    return (struct lab_seeds){first ? strtoull(first, NULL, 10) : 1,
                              many ? strtoull(many, NULL, 10) : n, NULL};
}

static inline estab_time lab_now(void *ctx)
{
    return ((struct lab *)ctx)->now;
}

static inline void lab_set_time(struct lab *l, estab_time at)
{
    l->now = l->host[0].v.now = l->host[1].v.now = at;
}

/* ---- what is traced ---- */

static inline void lab_print(FILE *to, int host, const struct estab_trace *t)
{
    static const char letters[] = "FSRPAUEC";
    static const char *const kinds[] = {"state", "in", "out", "drop", "timer", "cc"};
    char flags[9];
    size_t n = 0;

    for (size_t i = 0; i < 8; i++)
        if (t->flags & 1u << i)
            flags[n++] = letters[i];
    flags[n] = 0;
    fprintf(to, "%14.6f %c %5u>%-5u %-5s %-12s ", (double)t->at / 1e9, 'A' + host, t->local.port,
            t->peer.port, kinds[t->kind], estab_state_name(t->from));
    switch (t->kind) {
    case ESTAB_TR_STATE:
        fprintf(to, "-> %s (%s)", estab_state_name(t->to),
                estab_edge_event(t->from, t->to, t->cause));
        break;
    case ESTAB_TR_TIMER:
        fprintf(to, "%s", estab_timer_name(t->timer));
        break;
    case ESTAB_TR_CC:
        fprintf(to, "cwnd %u", t->len);
        break;
    default:
        fprintf(to, "%-4s seq %u ack %u len %u wnd %u<<%u", flags, t->seq, t->ack, t->len, t->wnd,
                t->wscale);
    }
    if (t->rule)
        fprintf(to, " %s", estab_rule_name(t->rule));
    fputc('\n', to);
}

static inline void lab_mix(struct lab *l, uint64_t x)
{
    l->hash = (l->hash ^ x) * 0x9e3779b97f4a7c15u;
    l->hash ^= l->hash >> 29;
}

static inline void lab_mix_addr(struct lab *l, const struct estab_addr *a)
{
    uint64_t part[2];

    memcpy(part, a->ip, 16);
    lab_mix(l, part[0] ^ part[1] << 1);
    lab_mix(l, (uint64_t)a->port << 16 | a->scope);
}

static inline void lab_trace(void *ctx, const struct estab_trace *t)
{
    struct lab_host *h = ctx;
    struct lab *l = h->lab;

    l->records++;
    lab_mix(l, t->at);
    lab_mix(l, t->sock ^ (uint64_t)(h - l->host));
    lab_mix_addr(l, &t->local);
    lab_mix_addr(l, &t->peer);
    lab_mix(l, (uint64_t)t->kind | (uint64_t)t->cause << 4 | (uint64_t)t->from << 8 |
                   (uint64_t)t->to << 12 | (uint64_t)t->timer << 16 | (uint64_t)t->rule << 24 |
                   (uint64_t)t->wnd << 40 | (uint64_t)t->flags << 56);
    lab_mix(l, (uint64_t)t->seq << 32 | t->ack);
    lab_mix(l, (uint64_t)t->len << 8 | t->wscale);
    if (l->conf.edges && !edges_count(l->conf.edges, t))
        fail_msg("%s: no such edge: %s to %s", l->what, estab_state_name(t->from),
                 estab_state_name(t->to));
    if (l->conf.dump)
        lab_print(l->conf.dump, (int)(h - l->host), t);
}

/* ---- memory ---- */

static inline bool lab_refuses(const struct lab_host *h)
{
    if (h->refuse_one_in)
        return lab_once_in(h->lab, h->refuse_one_in);
    if (h->refuse_until)
        return h->v.now < h->refuse_until;
    return h->refuse_at && h->v.allocs + 1 >= h->refuse_at &&
           h->v.allocs + 1 < h->refuse_at + h->refuse_n;
}

static inline void *lab_alloc(void *ctx, size_t size, size_t align)
{
    struct lab_host *h = ctx;

    if (h->refuse_for && !h->refuse_until && h->v.allocs + 1 == h->refuse_at)
        h->refuse_until = h->v.now + h->refuse_for;
    if (!lab_refuses(h))
        return h->alloc(ctx, size, align);
    h->v.allocs++;
    h->refused++;
    return NULL;
}

/* ---- failure: everything needed to see it again ---- */

static inline void lab_describe(struct lab *l)
{
    for (int i = 0; i < 2; i++) {
        struct lab_host *h = &l->host[i];
        uint64_t cursor = 0;
        estab_sock k;

        while (h->s && estab_conn_next(h->s, &cursor, &k)) {
            struct estab_tcp_info n = {.size = sizeof n};

            if (estab_tcp_info(h->s, k, &n) != 0)
                continue;
            fprintf(stderr,
                    "  %c :%u > :%u %s%s flight %u unsent %u unread %u snd_wnd %u rcv_wnd %u cwnd "
                    "%u timer %s at %.6f\n",
                    'A' + i, n.local.port, n.peer.port, estab_state_name(n.state),
                    n.orphan ? " (orphan)" : "", n.flight, n.unsent, n.unread, n.snd_wnd, n.rcv_wnd,
                    n.cwnd, estab_timer_name(n.timer),
                    n.timer_at == ESTAB_NEVER ? -1. : (double)n.timer_at / 1e9);
        }
    }
}

#define lab_fail(l, ...)                                                                           \
    do {                                                                                           \
        fprintf(stderr, "\n%s at %.6f s: ", (l)->what, (double)(l)->now / 1e9);                    \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fputc('\n', stderr);                                                                       \
        lab_describe(l);                                                                           \
        fail();                                                                                    \
    } while (0)

/* ---- the hosts ---- */

static inline void lab_conf_init(struct lab_conf *c, uint64_t seed)
{
    *c = (struct lab_conf){.seed = seed,
                           .caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500},
                           .start = ESTAB_S(1000),
                           .batch_max = 16,
                           .at_most = ESTAB_S(100u * 86400u),
                           .rounds_max = 4000000};
    for (int i = 0; i < 2; i++)
        estab_config_init(&c->cfg[i]);
}

static inline void lab_addr(struct estab_addr *a, bool ip6, uint8_t host)
{
    assert_int_equal(estab_addr_parse(a, ip6 ? "fd00::" : "10.0.0.0", NULL), 0);
    a->ip[15] = (uint8_t)(host + 1);
}

/* Everything of a host that takes memory; 0, or E_NOMEM, and then there is no stack. */
static inline int lab_host_open(struct lab *l, int i)
{
    struct lab_host *h = &l->host[i];
    int port, err = estab_stack_new(&h->s, &h->env, &l->conf.cfg[i]);

    if (err)
        return err;
    port = estab_port_add(h->s, &h->link->caps);
    if (port >= 0)
        err = estab_addr_add(h->s, port, h->addr.ip, l->conf.ip6 ? 64 : 120);
    if (port == 0 && !err)
        return 0;
    estab_stack_free(h->s);
    h->s = NULL;
    return err ? err : port;
}

static inline void lab_open(struct lab *l, const struct lab_conf *c)
{
    estab_link *end[2];

    *l = (struct lab){.conf = *c, .hash = c->seed};
    estab_virtual_env(&l->host[0].env, &l->rng, c->seed);
    assert_int_equal(estab_link_pair(end, &c->caps, 1024), 0);
    for (int i = 0; i < 2; i++) {
        struct lab_host *h = &l->host[i];
        struct estab_fault f = c->fault[i];
        char err[ESTAB_ERRLEN];

        estab_virtual_env(&h->env, &h->v, lab_rand(l));
        h->alloc = h->env.alloc;
        h->env.alloc = lab_alloc;
        h->env.trace = lab_trace;
        h->lab = l;
        f.seed = lab_rand(l);
        f.now = lab_now;
        f.ctx = l;
        if (estab_link_fault(&h->link, end[i], &f, err) != 0)
            fail_msg("%s", err);
        lab_addr(&h->addr, c->ip6, (uint8_t)i);
    }
    lab_set_time(l, c->start);
}

/* What nobody must find when all is over: both hosts hold nothing any more. */
static inline void lab_check_empty(struct lab *l)
{
    for (int i = 0; i < 2; i++) {
        const struct tcp_layer *t = &l->host[i].s->tcp;

        if (t->nconns || t->tcbs.used || t->works.used || t->listeners.used || t->synqs.used ||
            t->timewaits.used || t->ranges.used || t->sums.used || t->wheel.count ||
            t->demux.used || t->dead.n || t->ready.n)
            lab_fail(l,
                     "host %c keeps %u tcbs %u works %u listeners %u synqs %u timewaits %u "
                     "ranges %u timers %u tuples",
                     'A' + i, t->tcbs.used, t->works.used, t->listeners.used, t->synqs.used,
                     t->timewaits.used, t->ranges.used, t->wheel.count, t->demux.used);
    }
}

static inline void lab_close(struct lab *l)
{
    for (int i = 0; i < 2; i++) {
        struct lab_host *h = &l->host[i];

        estab_stack_free(h->s);
        h->s = NULL;
        if (h->v.live)
            lab_fail(l, "host %c leaks %zu octets", 'A' + i, h->v.live);
    }
    for (int i = 0; i < 2; i++)
        estab_link_close(l->host[i].link);
}

/* ---- the run ---- */

static inline uint32_t lab_batch(struct lab *l)
{
    return l->conf.batch_max > 1 ? lab_between(l, 1, l->conf.batch_max) : 1;
}

static inline void lab_mark(struct lab *l, const struct estab_frame *f)
{
    uint8_t *ip =
        (uint8_t *)f->iov[0].base + (l->conf.caps.medium == ESTAB_MEDIUM_ETHERNET ? 14 : 0);
    uint16_t sum;

    if (f->iov[0].len < 60 || l->conf.mark <= (double)lab_below(l, 10000) / 10000)
        return;
    if (ip[0] >> 4 == 6 && (ip[1] >> 4 & ECN_MASK) != 0) {
        ip[1] |= ECN_CE << 4;
    } else if (ip[0] == 0x45 && (ip[1] & ECN_MASK) != 0) {
        ip[1] |= ECN_CE;
        memset(ip + 10, 0, 2);
        sum = (uint16_t)~csum_fold(csum_add(0, ip, IP4_HDR_LEN));
        memcpy(ip + 10, &sum, 2);
    }
}

static inline bool lab_deliver(struct lab *l, struct lab_host *h)
{
    struct estab_frame f[64];
    int n = estab_link_recv(h->link, f, lab_batch(l));

    if (n < 0)
        lab_fail(l, "%s", h->link->error);
    for (int i = 0; i < n && l->conf.mark > 0; i++)
        lab_mark(l, &f[i]);
    if (n > 0)
        assert_int_equal(estab_input(h->s, 0, f, (size_t)n), 0);
    return n > 0;
}

/* No frame is larger than the link, and no super-segment's pieces will be. */
static inline void lab_check_size(struct lab *l, struct lab_host *h, const struct estab_frame *f)
{
    const struct estab_port_caps *caps = &l->conf.caps;
    size_t link = caps->medium == ESTAB_MEDIUM_ETHERNET ? 14 : 0, len = estab_frame_len(f);

    if (f->off.gso_size && len <= link + caps->gso_max)
        len = (size_t)f->off.hdr_len + f->off.gso_size;
    if (len > link + caps->mtu)
        lab_fail(l, "host %c sends %zu octets over a link of %u", 'A' + (int)(h - l->host), len,
                 caps->mtu);
}

static inline bool lab_collect(struct lab *l, struct lab_host *h)
{
    struct estab_frame f[ESTAB_BATCH];
    int most = (int)lab_batch(l), n = estab_output(h->s, 0, f, (size_t)most);
    size_t left = 0;

    for (int i = 0; i < n; i++)
        lab_check_size(l, h, &f[i]);
    if (n > 0 && l->sends)
        l->sends(l, h, f, (size_t)n);
    for (int i = 0; i < n; i++)
        if (!l->loses || !l->loses(l, h, &f[i]))
            f[left++] = f[i];
    if (left > 0 && estab_link_send(h->link, f, left) < 0)
        lab_fail(l, "%s", h->link->error);
    if (n < most && estab_output(h->s, 0, f, 1) != 0)
        lab_fail(l, "%d frames of %d were not all", n, most);
    return n > 0;
}

/* One turn of each host, in either order; false: at this instant nothing happens any more. */
static inline bool lab_round(struct lab *l)
{
    uint32_t first = lab_below(l, 2);
    bool busy = false;

    for (uint32_t i = 0; i < 2; i++) {
        struct lab_host *h = &l->host[i ^ first];

        if (estab_deadline(h->s) <= l->now) {
            (void)estab_expire(h->s);
            busy = true;
        }
        busy |= lab_deliver(l, h);
        busy |= l->act && l->act(l, h);
        busy |= lab_collect(l, h);
    }
    return busy;
}

static inline estab_time lab_next(struct lab *l)
{
    estab_time next = l->wake ? l->wake(l) : ESTAB_NEVER;

    for (int i = 0; i < 2; i++) {
        next = time_min(next, estab_deadline(l->host[i].s));
        next = time_min(next, estab_link_deadline(l->host[i].link));
    }
    return next;
}

/* ---- why: asked when nothing happens any more, and again when the next thing is about to ---- */

enum { LAB_WHYS = 64 };
struct lab_whys {
    struct {
        int host;
        estab_sock k;
        struct estab_why_info i;
    } of[LAB_WHYS];
    uint32_t n;
};

static inline void lab_ask_why(struct lab *l, struct lab_whys *w)
{
    char text[512];

    w->n = 0;
    for (int h = 0; h < 2; h++) {
        uint64_t cursor = 0;
        estab_sock k;

        while (w->n < LAB_WHYS && estab_conn_next(l->host[h].s, &cursor, &k)) {
            struct estab_why_info i = {.size = sizeof i};

            assert_int_equal(estab_why(l->host[h].s, k, &i), 0);
            assert_in_range(estab_why_text(&i, text, sizeof text), 5, sizeof text - 1);
            w->of[w->n].host = h;
            w->of[w->n].k = k;
            w->of[w->n++].i = i;
        }
    }
}

/* A reason changes by an event only, and the time that passed until then is its own. */
static inline void lab_check_why(struct lab *l, const struct lab_whys *w)
{
    for (uint32_t n = 0; n < w->n; n++) {
        const struct estab_why_info *was = &w->of[n].i;
        struct estab_why_info is = {.size = sizeof is};

        assert_int_equal(estab_why(l->host[w->of[n].host].s, w->of[n].k, &is), 0);
        if (is.why != was->why ||
            (is.has_times && is.spent[is.why] - was->spent[is.why] != is.now - was->now))
            lab_fail(l, "host %c: %s became %s without an event, or is not counted",
                     'A' + w->of[n].host, estab_why_name(was->why), estab_why_name(is.why));
    }
}

/* Until done() says so. */
static inline void lab_run(struct lab *l)
{
    uint32_t rounds = 0;
    struct lab_whys whys;

    for (;;) {
        estab_time next;

        while (lab_round(l))
            if (++rounds > l->conf.rounds_max)
                lab_fail(l, "no end in sight");
        if (l->done(l))
            return;
        next = lab_next(l);
        if (next == ESTAB_NEVER)
            lab_fail(l, "waits for ever");
        if (next > l->conf.start + l->conf.at_most)
            lab_fail(l, "is not over yet");
        if (l->conf.sleep_in && lab_once_in(l, l->conf.sleep_in))
            next += lab_rand(l) % ESTAB_S(3600);
        if (l->conf.ask_why)
            lab_ask_why(l, &whys);
        if (next > l->now)
            lab_set_time(l, next);
        if (l->conf.ask_why)
            lab_check_why(l, &whys);
    }
}

/* No connection, half-open entry or TIME-WAIT is left, and nothing is under way. */
static inline bool lab_is_quiet(struct lab *l)
{
    for (int i = 0; i < 2; i++) {
        struct estab_stack_info n = {.size = sizeof n};

        estab_stack_info(l->host[i].s, &n);
        if (n.conns || n.synq || n.timewait || estab_link_deadline(l->host[i].link) != ESTAB_NEVER)
            return false;
    }
    return true;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* fastopen.h - SYNs with Fast Open cookies and text, for either end to be played by hand. */
#ifndef FASTOPEN_H
#define FASTOPEN_H

#include "hostile.h"

struct cookie {
    uint8_t octets[TCP_FO_MAX];
    uint8_t len; /* 0: one is asked for */
    bool experimental;
};

static inline struct cookie no_cookie(void)
{
    return (struct cookie){.len = 0};
}

/* MSS 1460 and the option, padded; how many octets. */
static inline size_t cookie_opts(uint8_t opts[40], const struct cookie *c)
{
    static const uint8_t head[] = {2, 4, 0x05, 0xb4};
    size_t at = sizeof head;

    memcpy(opts, head, sizeof head);
    opts[at++] = c->experimental ? OPT_KIND_EXP : OPT_KIND_FO;
    opts[at++] = (uint8_t)(c->len + (c->experimental ? 4 : 2));
    if (c->experimental) {
        be16_put(opts + at, FO_MAGIC);
        at += 2;
    }
    memcpy(opts + at, c->octets, c->len);
    at += c->len;
    while (at % 4)
        opts[at++] = OPT_KIND_NOP;
    return at;
}

static inline uint32_t syn_at(const struct peer *p, uint32_t seq, const struct cookie *c,
                              const void *text, size_t len)
{
    uint8_t opts[40];

    return send_seg(p, (struct sg){.flags = SEG_SYN,
                                   .seq = seq,
                                   .wnd = 60000,
                                   .text = text,
                                   .len = len,
                                   .opts = opts,
                                   .opts_len = cookie_opts(opts, c)});
}

/* The peer's numbers are then as if the text had been taken. */
static inline void syn_done(struct peer *p, size_t len, uint32_t n)
{
    p->iss = p->seq;
    p->seq += 1 + (uint32_t)len;
    if (n == 0 || p->h->answers[0].ip.proto != IPPROTO_TCP_)
        return;
    p->irs = p->h->answers[0].g.seq.n;
    p->ack = p->una = p->irs + 1;
    p->ts = p->h->answers[0].g.opt.has & OPT_TS;
    p->ts_ecr = p->h->answers[0].g.opt.ts_val;
}
static inline uint32_t syn(struct peer *p, const struct cookie *c, const void *text, size_t len)
{
    uint32_t n = syn_at(p, p->seq, c, text, len);

    syn_done(p, len, n);
    return n;
}
static inline uint32_t syn_modern(struct peer *p, const struct cookie *c, const void *text,
                                  size_t len)
{
    uint8_t opts[40], more[40];
    size_t n = cookie_opts(more, c) - 4;
    uint32_t answers;

    memcpy(opts, modern, sizeof modern);
    memcpy(opts + sizeof modern, more + 4, n);
    answers = send_seg(p, (struct sg){.flags = SEG_SYN,
                                      .seq = p->seq,
                                      .wnd = 60000,
                                      .text = text,
                                      .len = len,
                                      .opts = opts,
                                      .opts_len = sizeof modern + n});
    syn_done(p, len, answers);
    return answers;
}

/* The SYN,ACK acknowledges the SYN and this much text of it. */
static inline void assert_taken(const struct peer *p, uint32_t len)
{
    struct answer *a = the_answer(p);

    assert_int_equal(a->g.flags, SEG_SYN | SEG_ACK);
    assert_int_equal(a->g.ack.n, p->iss + 1 + len);
    assert_int_equal(a->g.text.len, 0);
}

static inline struct cookie cookie_of(const struct peer *p)
{
    const struct tcp_opts *o = &the_answer(p)->g.opt;
    struct cookie c = {.len = o->fo_len, .experimental = o->fo_exp};

    assert_true(o->has & OPT_FO);
    assert_int_equal(o->fo_len, 8);
    memcpy(c.octets, o->fo, o->fo_len);
    return c;
}

/* The handshake's third segment, of what the SYN,ACK acknowledges if that was the last answer. */
static inline void complete(struct peer *p)
{
    const struct answer *a = &p->h->answers[0];

    if (p->h->nanswers == 1 && a->g.flags & SEG_SYN && a->g.dport == p->pport)
        p->seq = a->g.ack.n;
    assert_int_equal(say(p, SEG_ACK, NULL, 0), 0);
    p->una = p->ack;
    assert_int_equal(state_of(p), ESTAB_ESTABLISHED);
}

static inline void serve_fast(struct host *h, uint16_t queue)
{
    assert_int_equal(estab_setopt(h->s, h->listener, ESTAB_O_FASTOPEN, queue), 0);
}

/* A stranger asks for one, and goes. */
static inline struct cookie fetch_cookie(struct host *h)
{
    struct peer p = stranger(h, 999);
    struct cookie c = no_cookie();

    syn(&p, &c, NULL, 0);
    c = cookie_of(&p);
    say(&p, SEG_RST, NULL, 0);
    return c;
}

#endif

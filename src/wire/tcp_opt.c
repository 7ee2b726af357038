/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_opt.c - TCP options as octets: RFC 9293 section 3.2, RFC 7323, RFC 2018, RFC 7413. */
#include "wire/tcp.h"
#include <assert.h>

enum { WS_MAX = 14 }; /* RFC 7323 section 2.3 */

/* RFC 7413 section 4.1.1: none, or 4 to 16 octets, an even number; else "MUST be ignored".
 * [RFC7413-4.1.1-1] */
static void take_fastopen(struct tcp_opts *o, const uint8_t *cookie, int len, bool experimental)
{
    if (o->has & OPT_FO || len < 0 || (len > 0 && len < 4) || len > TCP_FO_MAX || len % 2 != 0)
        return;
    o->has |= OPT_FO;
    o->fo_len = (uint8_t)len;
    o->fo_exp = experimental;
    memcpy(o->fo, cookie, (size_t)len);
}

/* RFC 9768 section 3.2.3: of whatever length, "those whole 3-octet fields that fit". */
static void take_accecn(struct tcp_opts *o, const uint8_t *p, uint8_t len)
{
    uint32_t n = (len - 2u) / 3;

    if (o->has & OPT_ACC)
        return;
    o->has |= OPT_ACC;
    o->acc_order1 = p[0] == OPT_KIND_ACC1;
    o->acc_n = (uint8_t)(n < 3 ? n : 3);
    p += 2;
    for (uint32_t i = 0; i < o->acc_n; i++, p += 3)
        o->acc[i] = (uint32_t)p[0] << 16 | be16_at(p + 1);
}

/* One option, its length known to lie within the header; the first of a kind counts.  False: not
 * the length that its kind has. [RFC7323-2.3-1] */
static bool take_option(struct tcp_opts *o, const uint8_t *p, uint8_t len)
{
    uint8_t i, had = o->has;

    switch (p[0]) {
    case OPT_KIND_MSS:
        if (len != 4)
            return false;
        o->has |= OPT_MSS;
        if (!(had & OPT_MSS))
            o->mss = be16_at(p + 2);
        return true;
    case OPT_KIND_WS:
        if (len != 3)
            return false;
        o->has |= OPT_WS;
        if (!(had & OPT_WS)) {
            o->ws_raw = p[2];
            o->ws = p[2] < WS_MAX ? p[2] : WS_MAX;
        }
        return true;
    case OPT_KIND_SACK_OK:
        o->has |= OPT_SACK_OK;
        return len == 2;
    case OPT_KIND_SACK:
        if (len < 10 || (len - 2) % 8 != 0)
            return false;
        o->has |= OPT_SACK;
        if (had & OPT_SACK)
            return true;
        o->nsack = (uint8_t)((len - 2) / 8);
        for (i = 0, p += 2; i < o->nsack; i++, p += 8) {
            o->sack[i].lo = seq_of(be32_at(p));
            o->sack[i].hi = seq_of(be32_at(p + 4));
        }
        return true;
    case OPT_KIND_TS:
        if (len != 10)
            return false;
        o->has |= OPT_TS;
        if (!(had & OPT_TS)) {
            o->ts_val = be32_at(p + 2);
            o->ts_ecr = be32_at(p + 6);
        }
        return true;
    case OPT_KIND_UTO:
        if (len != 4)
            return false;
        o->has |= OPT_UTO;
        if (!(had & OPT_UTO))
            o->uto = be16_at(p + 2);
        return true;
    case OPT_KIND_FO:
        take_fastopen(o, p + 2, len - 2, false);
        return true;
    case OPT_KIND_EXP:
        if (len >= 4 && be16_at(p + 2) == FO_MAGIC)
            take_fastopen(o, p + 4, len - 4, true);
        return true;
    case OPT_KIND_ACC0:
    case OPT_KIND_ACC1:
        take_accecn(o, p, len);
        return true;
    default:
        return true; /* RFC 9293 section 3.1 [MUST-6]: unknown, and has a length */
    }
}

static APART enum rule parse_each(struct tcp_opts *o, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;

    while (p < end && *p != OPT_KIND_EOL) {
        if (*p == OPT_KIND_NOP) {
            p++;
            continue;
        }
        if (UNLIKELY(end - p < 2 || p[1] < 2 || p[1] > end - p || !take_option(o, p, p[1])))
            return RULE_TCP_OPTION;
        p += p[1];
    }
    return RULE_NONE;
}

/* [MUST-4, MUST-7, MUST-64] */
enum rule tcp_opts_parse(struct tcp_opts *o, const uint8_t *p, size_t len)
{
    o->has = 0;
    o->ws = 0;
    o->ws_raw = 0;
    o->nsack = 0;
    o->mss = 0;
    o->uto = 0;
    o->ts_val = 0;
    o->ts_ecr = 0;
    o->fo_len = 0;
    o->fo_exp = false;
    if (len == 0)
        return RULE_NONE;
    if (LIKELY(len == 12 && be32_at(p) == TCP_TS_WORD)) {
        o->has = OPT_TS;
        o->ts_val = be32_at(p + 4);
        o->ts_ecr = be32_at(p + 8);
        return RULE_NONE;
    }
    return parse_each(o, p, len);
}

/* As many blocks as there is room for; an option without any would be malformed. */
static void put_sack(struct wr *w, const struct tcp_opts *o)
{
    size_t room = (size_t)(w->end - w->p), n = room < 10 ? 0 : (room - 2) / 8, i;
    uint8_t *p;

    if (n > o->nsack)
        n = o->nsack;
    if (n == 0)
        return;
    p = wr_take(w, 2 + 8 * n);
    if (!p)
        return;
    p[0] = OPT_KIND_SACK;
    p[1] = (uint8_t)(2 + 8 * n);
    for (i = 0; i < n; i++) {
        be32_put(p + 2 + 8 * i, o->sack[i].lo.n);
        be32_put(p + 6 + 8 * i, o->sack[i].hi.n);
    }
}

static void put_fastopen(struct wr *w, const struct tcp_opts *o, uint8_t kind)
{
    uint8_t head = kind == OPT_KIND_EXP ? 4 : 2;

    wr_u8(w, kind);
    wr_u8(w, (uint8_t)(head + o->fo_len));
    if (kind == OPT_KIND_EXP)
        wr_u16(w, FO_MAGIC);
    wr_bytes(w, o->fo, o->fo_len);
}

static void put_accecn(struct wr *w, const struct tcp_opts *o)
{
    size_t room = (size_t)(w->end - w->p), n = room < 2 ? 0 : (room - 2) / 3;

    if (room < 2)
        return;
    if (n > o->acc_n)
        n = o->acc_n;
    wr_u8(w, o->acc_order1 ? OPT_KIND_ACC1 : OPT_KIND_ACC0);
    wr_u8(w, (uint8_t)(2 + 3 * n));
    for (size_t i = 0; i < n; i++) {
        wr_u8(w, (uint8_t)(o->acc[i] >> 16));
        wr_u16(w, (uint16_t)o->acc[i]);
    }
}

void tcp_ts_emit(const struct tcp_opts *o, uint8_t out[12])
{
    be32_put(out, TCP_TS_WORD);
    be32_put(out + 4, o->ts_val);
    be32_put(out + 8, o->ts_ecr);
}

/* [MUST-68] */
static void put_option(struct wr *w, const struct tcp_opts *o, uint8_t kind)
{
    switch (kind) {
    case OPT_KIND_NOP:
        wr_u8(w, kind);
        break;
    case OPT_KIND_MSS:
        wr_u32(w, (uint32_t)OPT_KIND_MSS << 24 | 4u << 16 | o->mss);
        break;
    case OPT_KIND_WS:
        wr_u16(w, OPT_KIND_WS << 8 | 3);
        wr_u8(w, o->ws);
        break;
    case OPT_KIND_SACK_OK:
        wr_u16(w, OPT_KIND_SACK_OK << 8 | 2);
        break;
    case OPT_KIND_SACK:
        put_sack(w, o);
        break;
    case OPT_KIND_TS:
        wr_u16(w, OPT_KIND_TS << 8 | 10);
        wr_u32(w, o->ts_val);
        wr_u32(w, o->ts_ecr);
        break;
    case OPT_KIND_UTO:
        if (w->end - w->p >= 4)
            wr_u32(w, (uint32_t)OPT_KIND_UTO << 24 | 4u << 16 | o->uto);
        break;
    case OPT_KIND_FO:
    case OPT_KIND_EXP:
        put_fastopen(w, o, kind);
        break;
    case OPT_KIND_ACC0:
    case OPT_KIND_ACC1:
        put_accecn(w, o);
        break;
    default:
        assert(false); /* no kind that could be emitted */
    }
}

/* [MUST-69] */
size_t tcp_opts_emit(const struct tcp_opts *o, const uint8_t *kinds, uint8_t out[40])
{
    struct wr w = wr_of(out, TCP_HDR_MAX - TCP_HDR_LEN);

    for (; *kinds != OPT_KIND_EOL; kinds++)
        put_option(&w, o, *kinds);
    while ((w.p - out) % 4 != 0)
        wr_u8(&w, OPT_KIND_EOL);
    assert(!w.bad);
    return (size_t)(w.p - out);
}

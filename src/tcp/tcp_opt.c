/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_opt.c - negotiation of MSS, window scale, SACK and timestamps; PAWS (RFC 7323). */
#include "tcp/tcp.h"

#define MSS_FLOOR 88u /* against peers that would have us send headers only */

/* [MUST-67, RFC6691-2-1] */
uint16_t tcp_mss_announce(const struct tcp_layer *l, const struct ip_path *p, const uint8_t *peer,
                          uint16_t user_mss)
{
    uint32_t mss = ip_mtu(l->ip, p) - ip_hdr_len_of(peer) - TCP_HDR_LEN; /* RFC 6691 section 2 */

    if (user_mss && mss > user_mss)
        return user_mss;
    return mss > UINT16_MAX ? UINT16_MAX : (uint16_t)mss;
}

/* RFC 9293 section 3.7.1 [MUST-15]: 536 for IPv4, 1220 for IPv6 when the option is missing; 0 is no
 * size. */
uint16_t tcp_mss_of(const struct tcp_opts *o, const uint8_t *peer)
{
    if (!(o->has & OPT_MSS) || o->mss == 0)
        return ip_is4(peer) ? 536 : 1220;
    return o->mss < MSS_FLOOR ? MSS_FLOOR : o->mss;
}

/* [MUST-14, RFC7323-2.2-2] */
void tcp_opt_syn(struct tcb *t, const struct seg *g)
{
    const struct tcp_settings *set = &t->layer->set;
    const struct tcp_opts *o = &g->opt;
    uint16_t mss = tcp_mss_of(o, t->peer);
    uint16_t own = tcp_mss_announce(t->layer, &t->path, t->peer, tcp_extra(t)->user_mss);

    t->mss_max = mss < own ? mss : own;
    tcp_mtu_begin(t);
    t->ws_ok = set->window_scale && (o->has & OPT_WS);
    if (t->ws_ok) {
        t->snd_wscale = o->ws & 0xfu;
    } else {
        t->snd_wscale = 0;
        t->rcv_wscale = 0; /* RFC 7323 section 2.2: both or none */
    }
    t->sack_ok = set->sack && (o->has & OPT_SACK_OK);
    t->ts_ok = set->timestamps && (o->has & OPT_TS);
    if (t->ts_ok) {
        t->ts_recent = o->ts_val;
        t->ts_recent_h = tcp_hour(t->layer);
    }
}

/* [MUST-14, MUST-65, SHLD-5, MAY-3, RFC7323-3.2-3, RFC7323-2.2-1] */
void tcp_opt_offer(const struct tcb *t, struct tcp_opts *o, bool reply)
{
    const struct tcp_settings *set = &t->layer->set;

    o->has = OPT_MSS;
    o->mss = t->rcv_mss;
    if (reply ? t->sack_ok : set->sack)
        o->has |= OPT_SACK_OK;
    if (reply ? t->ws_ok : set->window_scale) {
        o->has |= OPT_WS;
        o->ws = t->rcv_wscale;
    }
    if (tcp_extra(t)->adv_uto) {
        o->has |= OPT_UTO;
        o->uto = tcp_extra(t)->adv_uto;
    }
    if (reply ? t->ts_ok : set->timestamps) {
        o->has |= OPT_TS;
        o->ts_val = tcp_ts_now(t->layer) + t->ts_offset;
        o->ts_ecr = reply ? t->ts_recent : 0;
    }
}

/* RFC 7323 section 5.3 (R1) and 5.5: an old TSval is not acceptable, unless TS.Recent itself is
 * older than 24 days.  An RST is judged by its sequence number alone (section 5.2). [RFC7323-5.2-1,
 * RFC7323-5.5-1] */
bool tcp_paws_ok(const struct tcb *t, const struct seg *g)
{
    const uint16_t outdated_h = 24u * 24u;

    if ((int32_t)(g->opt.ts_val - t->ts_recent) >= 0 || g->flags & SEG_RST)
        return true;
    return (uint16_t)(tcp_hour(t->layer) - t->ts_recent_h) > outdated_h;
}

static uint8_t *two_nops(uint8_t *k)
{
    *k++ = OPT_KIND_NOP;
    *k++ = OPT_KIND_NOP;
    return k;
}

/* MSS, SACK permitted, timestamps, window scale: each aligned by NOPs in front. */
static uint8_t *layout_sack_ts_ws(uint8_t has, uint8_t *k)
{
    if (has & OPT_SACK_OK) {
        if (!(has & OPT_TS))
            k = two_nops(k);
        *k++ = OPT_KIND_SACK_OK;
    }
    if (has & OPT_TS) {
        if (!(has & OPT_SACK_OK))
            k = two_nops(k);
        *k++ = OPT_KIND_TS;
    }
    if (has & OPT_WS) {
        *k++ = OPT_KIND_NOP;
        *k++ = OPT_KIND_WS;
    }
    return k;
}

/* MSS, window scale, SACK permitted, timestamps: what is left over is filled with EOLs. */
static uint8_t *layout_ws_sack_ts(uint8_t has, uint8_t *k)
{
    if (has & OPT_WS) {
        *k++ = OPT_KIND_NOP;
        *k++ = OPT_KIND_WS;
    }
    if (has & OPT_SACK_OK)
        *k++ = OPT_KIND_SACK_OK;
    if (has & OPT_TS) {
        if (!(has & OPT_SACK_OK))
            k = two_nops(k);
        *k++ = OPT_KIND_TS;
    }
    return k;
}

static inline void put_word(struct tcp_words *w, uint32_t v)
{
    be32_put(w->end, v);
    w->end += 4;
    w->sum += v;
}

/* Whatever the order, they fill whole words: what tcp_opt_layout() and tcp_opts_emit() make of
 * them, in a quarter of the instructions. */
struct tcp_words tcp_opt_usual(uint8_t order, const struct tcp_opts *o, uint8_t *out)
{
    const uint32_t nops = OPT_KIND_NOP << 24 | OPT_KIND_NOP << 16;
    const uint32_t sack_ok = OPT_KIND_SACK_OK << 8 | 2, ts = OPT_KIND_TS << 8 | 10;
    uint32_t ws = (uint32_t)OPT_KIND_NOP << 24 | OPT_KIND_WS << 16 | 3 << 8 | o->ws;
    bool ws_first = order == ESTAB_OPTIONS_WS_SACK_TS;
    struct tcp_words w = {out, 0};

    if (o->has & OPT_MSS)
        put_word(&w, (uint32_t)OPT_KIND_MSS << 24 | 4u << 16 | o->mss);
    if (o->has & OPT_WS && ws_first)
        put_word(&w, ws);
    if (o->has & OPT_TS) {
        put_word(&w, (o->has & OPT_SACK_OK ? sack_ok << 16 : nops) | ts);
        put_word(&w, o->ts_val);
        put_word(&w, o->ts_ecr);
    } else if (o->has & OPT_SACK_OK) {
        put_word(&w, ws_first ? sack_ok << 16 : nops | sack_ok);
    }
    if (o->has & OPT_WS && !ws_first)
        put_word(&w, ws);
    return w;
}

/* As RFC 7323 appendix A and RFC 2018 section 3 show them; order: an enum estab_option_order, the
 * profile's. */
void tcp_opt_layout(uint8_t order, const struct tcp_opts *o, uint8_t kinds[TCP_KINDS_MAX])
{
    uint8_t *k = kinds;

    if (o->has & OPT_MSS)
        *k++ = OPT_KIND_MSS;
    k = order == ESTAB_OPTIONS_WS_SACK_TS ? layout_ws_sack_ts(o->has, k)
                                          : layout_sack_ts_ws(o->has, k);
    if (o->has & OPT_SACK) {
        k = two_nops(k);
        *k++ = OPT_KIND_SACK;
    }
    if (o->has & OPT_FO) {
        *k++ = o->fo_exp ? OPT_KIND_EXP : OPT_KIND_FO;
        if (order == ESTAB_OPTIONS_SACK_TS_WS && o->fo_len % 4 != (o->fo_exp ? 0 : 2))
            k = two_nops(k); /* its length is even */
    }
    if (o->has & OPT_UTO)
        *k++ = OPT_KIND_UTO;
    if (o->has & OPT_ACC)
        *k++ = OPT_KIND_ACC0;
    *k = OPT_KIND_EOL;
}

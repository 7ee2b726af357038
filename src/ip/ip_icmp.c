/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_icmp.c - ICMP and ICMPv6: echo, errors we send, errors we receive.
 *
 * Answers and errors share one token bucket.  Its refill is randomised: a bucket whose exact level
 * an outsider can compute tells him, by the answers he still gets, what others were answered. */
#include "ip/ip_int.h"

#define ICMP_PER_SECOND 1000u
#define ICMP_REFILL     ESTAB_MS(16)
#define ICMP4_QUOTE_MAX 548  /* RFC 1812 section 4.3.2.3: as much as fits into 576 octets */
#define ICMP6_QUOTE_MAX 1232 /* RFC 4443 section 3: ... into the minimum MTU */

/* cost: frames it takes, and one more if it takes an identification: those have 16 bits, and must
 * not come again while a datagram lives, 2 minutes (RFC 6864 section 4.3), so fewer than 546 a
 * second may be used. [RFC4443-2.4-5] */
static bool icmp_allowed(struct ip_layer *l, uint32_t cost)
{
    estab_dur since = time_since(l->icmp_at, l->env->now);
    uint64_t tokens, spill;

    if (since >= ICMP_REFILL) {
        tokens = IP_ICMP_BURST;
        if (since < ESTAB_S(1))
            tokens = l->icmp_tokens + since / (ESTAB_S(1) / ICMP_PER_SECOND);
        if (tokens > IP_ICMP_BURST)
            tokens = IP_ICMP_BURST;
        spill = ip_random32(l) % 8;
        l->icmp_tokens = tokens > spill ? tokens - spill : 1;
        l->icmp_at = l->env->now;
    }
    if (cost > IP_ICMP_BURST / 2)
        cost = IP_ICMP_BURST / 2;
    if (l->icmp_tokens < cost)
        return false;
    l->icmp_tokens -= cost;
    return true;
}

/* Completes the checksum of an ICMP message and sends it to d's source. */
static void icmp_send(struct ip_layer *l, struct ip_pkt *k, struct ip_path *p,
                      const uint8_t dst[16], uint8_t tos)
{
    bool v4 = ip_is4(dst);
    struct ip_send how = {.proto = v4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6, .tos = tos};
    uint8_t *msg = ip_own_payload(k);
    uint64_t sum = v4 ? 0 : ip_pseudo(ip_local(l, p->local), dst, how.proto, k->len);
    uint16_t csum = (uint16_t)~csum_fold(csum_add(sum, msg, k->len));

    memcpy(msg + 2, &csum, 2);
    ip_own_send(l, k, p, dst, &how);
}

/* The way back to where d came from, with the address it was sent to as source if that is ours.
 * [RFC1122-3.3.4.2-1, RFC4443-2.2-1] */
static bool path_back(struct ip_layer *l, const struct ip_dgram *d, struct ip_path *p)
{
    const uint8_t *src = d->local == IP_LOCAL_NONE ? NULL : ip_local(l, d->local);

    if (ip_path_find(l, d->ip.src, src, d->port, p) == 0)
        return true;
    ip_drop(l, d, RULE_NO_ROUTE);
    return false;
}

static struct ip_pkt *icmp_new(struct ip_layer *l, const struct ip_dgram *d,
                               const struct ip_path *p, uint32_t len)
{
    uint32_t slice = ip_frag_slice(l, p, d->ip.src, len);
    uint32_t cost = (len + slice - 1) / slice + ip_frag_wanted(l, p, d->ip.src, len);
    struct ip_pkt *k;

    if (!icmp_allowed(l, cost)) {
        ip_drop(l, d, RULE_ICMP_RATE);
        return NULL;
    }
    k = ip_own_answer(l, p, d->ip.src, len);
    if (!k)
        ip_drop(l, d, RULE_REPLY_FULL);
    return k;
}

/* RFC 1122 section 3.2.2.6, RFC 4443 section 4.2: the data comes back unchanged.  An IPv6 group is
 * answered (from an address of ours, RFC 4443 section 4.2): none of those we are in reaches beyond
 * the link. [RFC1122-3.2.2.6-1, RFC1122-3.2.2.6-2, RFC1122-3.2.2.6-3, RFC4443-4.2-1] */
static void echo_in(struct ip_layer *l, const struct ip_dgram *d, const struct icmp *m)
{
    struct icmp reply = *m;
    struct ip_path path;
    struct ip_pkt *k;

    if (d->local == IP_LOCAL_NONE && d->ip.version == 4) {
        ip_drop(l, d, RULE_ICMP_ECHO_GROUP);
        return;
    }
    if (!path_back(l, d, &path))
        return;
    k = icmp_new(l, d, &path, d->ip.payload_len);
    if (!k)
        return;
    reply.type = d->ip.version == 4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
    icmp_emit(&reply, ip_own_payload(k));
    pieces_copy(ip_own_payload(k) + ICMP_HDR_LEN, &d->payload, ICMP_HDR_LEN,
                d->ip.payload_len - ICMP_HDR_LEN);
    icmp_send(l, k, &path, d->ip.src, d->ip.tos & 0xfc);
}

/* The packet as it came in, without link header and padding. */
static void whole_packet(const struct ip_dgram *d, struct pieces *t)
{
    uint8_t buf[IP6_HDR_LEN];
    const uint8_t *p;
    uint32_t total;
    size_t len;

    (void)ip_frame_pieces(t, d->frame);
    pieces_trim_head(t, d->link_len);
    p = ip_run(t, 8, buf, &len);
    total = p[0] >> 4 == 4 ? be16_at(p + 2) : IP6_HDR_LEN + (uint32_t)be16_at(p + 4);
    if (t->len > total)
        pieces_trim_tail(t, t->len - total);
}

/* [RFC1122-3.2.2-3, RFC4443-2.4-3] */
static void send_error(struct ip_layer *l, const struct ip_dgram *d, uint8_t type, uint8_t code,
                       uint32_t rest)
{
    struct icmp m = {.type = type, .code = code, .rest = rest};
    struct pieces packet;
    struct ip_path path;
    struct ip_pkt *k;
    uint32_t len;

    if (!path_back(l, d, &path))
        return;
    whole_packet(d, &packet);
    len = d->ip.version == 4 ? ICMP4_QUOTE_MAX : ICMP6_QUOTE_MAX;
    if (ip_mtu(l, &path) < len + ICMP_HDR_LEN + ip_hdr_len_of(d->ip.src))
        len = ip_mtu(l, &path) - ICMP_HDR_LEN - ip_hdr_len_of(d->ip.src);
    if (packet.len < len)
        len = packet.len;
    k = icmp_new(l, d, &path, ICMP_HDR_LEN + len);
    if (!k)
        return;
    icmp_emit(&m, ip_own_payload(k));
    pieces_copy(ip_own_payload(k) + ICMP_HDR_LEN, &packet, 0, len);
    icmp_send(l, k, &path, d->ip.src, 0);
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e): no error about an error, a group, or a source
 * that is not one host.  ip_recv() lets no such source through.  Fragments other than the first are
 * reported only where RFC 8200 section 4.5 asks for it. [RFC1122-3.2.2-2, RFC4443-2.4-4] */
static bool may_report(const struct ip_dgram *d)
{
    return d->local != IP_LOCAL_NONE && !ip_is_any(d->ip.src) && !ip_is_multicast(d->ip.src);
}

/* [RFC1122-3.2.2.1-1, RFC4443-3.1-1] */
void ip_reply_unreach(struct ip_layer *l, const struct ip_dgram *d, enum ip_unreach why)
{
    if (!may_report(d))
        return;
    if (d->ip.version == 4)
        send_error(l, d, ICMP4_UNREACH, why == IP_UNREACH_PORT ? 3 : 2, 0);
    else if (why == IP_UNREACH_PORT)
        send_error(l, d, ICMP6_UNREACH, 4, 0);
    else
        send_error(l, d, ICMP6_PARAM_PROBLEM, 1, d->ip.problem_at);
}

/* RFC 4443 section 2.4 (e.3): code 2 is reported for group destinations, too, if the option asks
 * for it. [RFC4443-3.4-1] */
void ip_icmp_problem(struct ip_layer *l, const struct ip_dgram *d, uint8_t code, uint32_t at)
{
    if (may_report(d) || (code == 2 && ip_is_multicast(d->ip.dst) && !ip_is_any(d->ip.src) &&
                          !ip_is_multicast(d->ip.src)))
        send_error(l, d, ICMP6_PARAM_PROBLEM, code, at);
}

/* Type and code of what a fragment's ICMP message begins with; false: it holds none. */
static bool icmp_within(const struct ip_dgram *d, struct icmp *m)
{
    uint8_t buf[IP_HDR_RUN], proto = d->ip.proto;
    const uint8_t *p;
    uint32_t at = 0;
    struct rd rd;
    size_t len;

    p = ip_run(&d->payload, sizeof buf, buf, &len);
    if (d->ip.version == 6 && !ip6_chain_whole(p, len, &proto, &at))
        return false;
    rd = rd_of(p + at, len - at);
    return proto == (d->ip.version == 4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6) &&
           icmp_parse(m, &rd) == RULE_NONE;
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e.1), (e.2). */
static bool icmp_is_error(uint8_t version, const struct icmp *m)
{
    if (version == 6)
        return m->type < ICMP6_ECHO || m->type == ICMP6_REDIRECT;
    return m->type == ICMP4_UNREACH || m->type == ICMP4_SOURCE_QUENCH ||
           m->type == ICMP4_REDIRECT || m->type == ICMP4_TIME_EXCEEDED ||
           m->type == ICMP4_PARAM_PROBLEM;
}

void ip_icmp_reass_timeout(struct ip_layer *l, const struct ip_dgram *d)
{
    struct icmp m;

    if (!may_report(d) || (icmp_within(d, &m) && icmp_is_error(d->ip.version, &m)))
        return;
    send_error(l, d, d->ip.version == 4 ? ICMP4_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED, 1, 0);
}

/* RFC 1191 section 3: nobody has a smaller MTU than 68; 0 is a router that does not say.
 * RFC 8201 section 4: a report below IPv6's minimum is discarded. [RFC8201-4-1] */
static bool mtu_sane(uint8_t version, uint32_t *mtu)
{
    if (version == 6)
        return *mtu >= IP6_MTU_MIN;
    if (*mtu != 0 && *mtu < 68)
        *mtu = 68;
    return true;
}

/* Of a redirect: what it quotes, and whether it can be one. */
static enum rule redirect_in(struct ip_layer *l, const struct ip_dgram *d, const uint8_t *msg,
                             size_t len, struct ip_error *e)
{
    struct icmp_redirect r;

    if (!l->accept_redirects)
        return RULE_ICMP_IGNORED;
    if (icmp_redirect_parse(&r, &e->quote, d->ip.version, msg, len) != RULE_NONE ||
        !ip_redirect_ok(l, d, &r))
        return RULE_REDIRECT;
    memcpy(e->via, r.via, 16);
    e->port = d->port;
    return RULE_NONE;
}

/* RFC 5927 section 4: it must be about a datagram of ours, and have come to where that left.
 * [RFC1122-3.2.2.1-2, RFC1122-3.2.2.4-1, RFC1122-3.2.2.5-1] */
static enum rule error_in(struct ip_layer *l, struct ip_dgram *d, const struct icmp *m,
                          struct ip_error *e)
{
    const uint8_t *p;
    enum rule r;
    size_t len;

    e->mtu = 0;
    e->meaning = icmp_meaning(d->ip.version, m, &e->mtu);
    if (e->meaning == ICMP_MEANS_NOTHING)
        return RULE_ICMP_IGNORED;
    if (e->meaning == ICMP_MEANS_TOO_BIG && !mtu_sane(d->ip.version, &e->mtu))
        return RULE_ICMP_MALFORMED;
    p = ip_run(&d->payload, sizeof d->scratch, d->scratch, &len);
    r = e->meaning == ICMP_MEANS_REDIRECT
            ? redirect_in(l, d, p, len, e)
            : icmp_quote_parse(&e->quote, d->ip.version, p + ICMP_HDR_LEN, len - ICMP_HDR_LEN);
    if (r != RULE_NONE)
        return r;
    if (memcmp(e->quote.ip.src, d->ip.dst, 16) != 0 || d->local == IP_LOCAL_NONE)
        return RULE_ICMP_QUOTE;
    if (e->meaning == ICMP_MEANS_TOO_BIG && e->quote.ip.proto == IPPROTO_ICMP6) {
        ip_pmtu_hear(l, d->port, e->quote.ip.dst, e->mtu);
        return RULE_PMTU_HEARD;
    }
    if (e->quote.ip.proto != IPPROTO_TCP_ && e->quote.ip.proto != IPPROTO_UDP_)
        return RULE_ICMP_QUOTE;
    return RULE_NONE;
}

static bool is_nd(const struct ip_dgram *d, const struct icmp *m)
{
    return d->ip.version == 6 && m->type >= ICMP6_ROUTER_SOLICIT &&
           m->type <= ICMP6_NEIGHBOUR_ADVERT;
}

/* [RFC1122-3.2.2-1, RFC4443-2.3-1, RFC4443-2.4-1, RFC4443-2.4-2] */
enum ip_verdict ip_icmp_recv(struct ip_layer *l, struct ip_dgram *d, struct ip_error *e)
{
    bool v4 = d->ip.version == 4;
    struct icmp m;
    struct rd rd;
    uint64_t sum;
    enum rule r;

    sum = v4 ? 0 : ip_pseudo(d->ip.src, d->ip.dst, IPPROTO_ICMP6, d->payload.len);
    rd = rd_of(d->head, d->head_len);
    r = icmp_parse(&m, &rd);
    if (r == RULE_NONE && !d->csum_ok && csum_fold(csum_pieces(sum, &d->payload)) != 0xffff)
        r = RULE_ICMP_CSUM;
    if (r == RULE_NONE && ip_is_any(d->ip.src) && !(is_nd(d, &m)))
        r = RULE_IP_SRC;
    if (r != RULE_NONE) {
        ip_drop(l, d, r);
        return IP_DONE;
    }
    if (is_nd(d, &m)) {
        ip_nd_recv(l, d, &m);
        return IP_DONE;
    }
    if (m.type == (v4 ? ICMP4_ECHO : ICMP6_ECHO)) {
        echo_in(l, d, &m);
        return IP_DONE;
    }
    r = error_in(l, d, &m, e);
    if (r == RULE_NONE)
        return IP_ERROR;
    if (r == RULE_PMTU_HEARD)
        rule_count(l->rules, r);
    else
        ip_drop(l, d, r);
    return IP_DONE;
}

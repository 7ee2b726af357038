/* SPDX-License-Identifier: BSD-2-Clause */
/* script_packet.c - packets that a script sends, and those that it expects.
 *
 * A script counts sequence numbers from initial sequence numbers of its own, usually 0.  The peer's
 * are what the script says they are, since it is the peer; ours are learned from our SYN, and every
 * number of our side is moved by the difference.  So are timestamps: each TSval of ours in the
 * script stands for the one that was sent in its place. */
#include "script.h"
#include "script_wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10, URG = 0x20 };
enum { KIND_SACK = 5, KIND_TS = 8 };
enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };
enum { HOPS = 255, TEXT_LEN = 1024, TEXT_MAX = 65000 };

/* ---- which connection ---- */

struct conn *conn_new(struct run *r, const uint8_t remote[16], uint16_t rport)
{
    struct conn *c = arena_get(&r->s->arena, sizeof *c);

    memcpy(c->local, r->local, 16);
    memcpy(c->remote, remote, 16);
    c->lport = r->bind_port;
    c->rport = rport;
    c->script_lport = c->script_rport = -1;
    c->next = r->conns;
    r->conns = c;
    return c;
}

static struct conn *conn_by_ports(struct run *r, const struct pkt_spec *k)
{
    long lport = k->inbound ? k->dport : k->sport, rport = k->inbound ? k->sport : k->dport;
    struct conn *c;

    for (c = r->conns; c; c = c->next)
        if (c->script_lport == lport && c->script_rport == rport)
            return c;
    c = r->current;
    if (c && c->script_lport < 0 && (!k->inbound || c->rport == rport) &&
        (!c->know_lport || !k->inbound)) {
        c->script_lport = lport; /* the connect that it belongs to named no ports */
        c->script_rport = rport;
        return c;
    }
    if (!k->inbound)
        return NULL;
    c = conn_new(r, r->remote, (uint16_t)rport);
    c->lport = (uint16_t)lport;
    c->know_lport = true;
    c->script_lport = lport;
    c->script_rport = rport;
    return c;
}

/* A packet without ports is of the connection at hand; the first that arrives makes one. */
static struct conn *conn_of(struct run *r, const struct script_event *e)
{
    const struct pkt_spec *k = &e->packet;
    struct conn *c = k->sport >= 0 ? conn_by_ports(r, k) : r->current;

    if (!c && k->inbound) {
        c = conn_new(r, r->remote, r->next_rport++);
        c->know_lport = true;
    }
    if (!c)
        script_refuse(r->s, e->line, "no connection is open that could send this");
    r->current = c;
    return c;
}

/* ---- numbers ---- */

static uint32_t ts_live(struct conn *c, uint32_t script, uint16_t flags)
{
    if ((flags & SYN) && !(flags & ACK) && script == 0)
        return 0;
    for (int i = c->nts; i-- > 0;)
        if (c->ts[i].script == script)
            return c->ts[i].live;
    return c->first_ts ? c->first_live + (script - c->first_script) : script;
}

static void ts_learn(struct run *r, struct conn *c, uint32_t script, uint32_t live, long long usec)
{
    struct ts_pair *more;

    if (!c->first_ts) {
        c->first_ts = true;
        c->first_script = script;
        c->first_live = live;
        c->first_ts_usec = usec;
    }
    for (int i = 0; i < c->nts; i++)
        if (c->ts[i].script == script) {
            c->ts[i].live = live;
            return;
        }
    if (c->nts % 16 == 0) {
        more = arena_get(&r->s->arena, (size_t)(c->nts + 16) * sizeof *more);
        if (c->nts)
            memcpy(more, c->ts, (size_t)c->nts * sizeof *more);
        c->ts = more;
    }
    c->ts[c->nts++] = (struct ts_pair){script, live};
}

static uint32_t ours_live(const struct conn *c, uint32_t script)
{
    return c->know_isn ? script + c->isn : script;
}

/* ---- sending ---- */

/* What the script's options are on the wire: numbers of our side become ours. */
static struct pkt_spec with_live_options(struct run *r, struct conn *c, const struct pkt_spec *k)
{
    struct pkt_spec live = *k;

    if (!k->noptions)
        return live;
    live.options = arena_get(&r->s->arena, (size_t)k->noptions * sizeof *k->options);
    memcpy(live.options, k->options, (size_t)k->noptions * sizeof *k->options);
    for (int i = 0; i < k->noptions; i++) {
        struct opt_spec *o = &live.options[i];

        if (o->raw)
            continue;
        if (o->kind == KIND_TS)
            o->v[1] = ts_live(c, o->v[1], k->flags);
        for (int j = 0; o->kind == KIND_SACK && j < o->n; j++)
            o->v[j] = ours_live(c, o->v[j]);
    }
    return live;
}

static size_t put_tcp(struct run *r, struct conn *c, const struct script_event *e, uint8_t *p)
{
    const struct pkt_spec *k = &e->packet;
    struct pkt_spec live = with_live_options(r, c, k);
    uint8_t options[256];
    size_t n = wire_options(&live, options), hdr = 20 + n;

    if (n > 40)
        script_refuse(r->s, e->line, "%zu octets of options do not fit into a TCP header", n);
    memset(p, 0, hdr + k->len);
    wire_put16(p, c->rport);
    wire_put16(p + 2, c->lport);
    wire_put32(p + 4, k->seq);
    wire_put32(p + 8, k->has_ack ? (k->flags & ACK ? ours_live(c, k->ack) : k->ack) : 0);
    p[12] = (uint8_t)(hdr / 4 << 4 | (k->flags & PKT_FLAG_AE ? 1 : 0));
    p[13] = (uint8_t)k->flags;
    wire_put16(p + 14, k->has_win ? k->win : UINT16_MAX);
    wire_put16(p + 18, k->urg);
    memcpy(p + 20, options, n);
    return hdr + k->len;
}

static size_t put_udp(const struct conn *c, const struct pkt_spec *k, uint8_t *p)
{
    memset(p, 0, 8 + k->len);
    wire_put16(p, c->rport);
    wire_put16(p + 2, c->lport);
    wire_put16(p + 4, 8 + k->len);
    return 8 + k->len;
}

/* What an ICMP error quotes: the beginning of a packet of ours. */
static size_t put_quote(const struct conn *c, const struct pkt_spec *k, bool v6, uint8_t *p)
{
    struct wire_out o = {.v6 = v6, .src = c->local, .dst = c->remote, .ttl = 64};
    size_t ip = wire_ip_len(v6), n;
    uint8_t whole[60 + 20];

    memset(whole, 0, sizeof whole);
    wire_put16(whole + ip, c->lport);
    wire_put16(whole + ip + 2, c->rport);
    if (k->quote == QUOTE_UDP) {
        o.proto = PROTO_UDP;
        n = 8;
        wire_put16(whole + ip + 4, 8 + k->quote_len);
    } else {
        o.proto = PROTO_TCP;
        n = 20;
        wire_put32(whole + ip + 4, ours_live(c, k->quote_seq));
        whole[ip + 12] = 5 << 4;
        whole[ip + 13] = ACK;
    }
    wire_emit(&o, whole, n);
    if (v6)
        wire_put16(whole + 4, (uint32_t)n + k->quote_len);
    else
        wire_put16(whole + 2, (uint32_t)(ip + n) + k->quote_len);
    memcpy(p, whole, ip + n);
    return ip + n;
}

static size_t put_icmp(struct run *r, const struct conn *c, const struct script_event *e,
                       uint8_t *p)
{
    const struct pkt_spec *k = &e->packet;
    size_t n = 8;
    uint8_t is[2];

    if (!wire_icmp(r->v6, k->icmp_type, k->icmp_code, is))
        script_refuse(r->s, e->line, "there is no ICMP%s message '%s%s%s'", r->v6 ? "v6" : "",
                      k->icmp_type, k->icmp_code ? " " : "", k->icmp_code ? k->icmp_code : "");
    memset(p, 0, 8);
    memcpy(p, is, 2);
    if (k->mtu >= 0 && r->v6)
        wire_put32(p + 4, (uint32_t)k->mtu);
    else if (k->mtu >= 0)
        wire_put16(p + 6, (uint32_t)k->mtu);
    if (k->id >= 0)
        wire_put16(p + 4, (uint32_t)k->id);
    if (k->quote == QUOTE_RAW) {
        memset(p + n, 0, k->quote_len);
        n += k->quote_len;
    } else if (k->quote != QUOTE_NONE) {
        n += put_quote(c, k, r->v6, p + n);
    }
    return n;
}

static uint8_t tos_of(const struct pkt_spec *k)
{
    return (uint8_t)((k->tos >= 0 ? k->tos : 0) | (k->ecn > 0 ? k->ecn : 0));
}

void packet_inject(struct run *r, struct script_event *e)
{
    const struct pkt_spec *k = &e->packet;
    struct conn *c = conn_of(r, e);
    uint8_t *packet, *p;
    struct wire_out o = {.v6 = r->v6,
                         .src = c->remote,
                         .dst = c->local,
                         .tos = tos_of(k),
                         .ttl = (uint8_t)(k->ttl >= 0 ? k->ttl : HOPS),
                         .flow_label = k->flow_label >= 0 ? (uint32_t)k->flow_label : 0};
    size_t n;

    if (k->len > TEXT_MAX || k->quote_len > TEXT_MAX)
        script_refuse(r->s, e->line, "more octets than a packet has room for");
    packet = arena_get(&r->s->arena, 120 + k->len + k->quote_len);
    p = packet + wire_ip_len(r->v6);
    switch (k->proto) {
    case PKT_TCP:
        if (k->any_options)
            script_refuse(r->s, e->line, "<...> says what may be sent; write the options");
        o.proto = PROTO_TCP;
        n = put_tcp(r, c, e, p);
        if ((k->flags & SYN) && !(k->flags & ACK))
            c->new_isn = true; /* perhaps another incarnation: our number may change */
        break;
    case PKT_UDP:
        o.proto = PROTO_UDP;
        n = put_udp(c, k, p);
        break;
    case PKT_ICMP:
    default:
        o.proto = r->v6 ? PROTO_ICMP6 : PROTO_ICMP;
        n = put_icmp(r, c, e, p);
        break;
    }
    wire_emit(&o, packet, n);
    r->npackets_in++;
    if (r->io.netdev_send(r->io.userdata, packet, wire_ip_len(r->v6) + n) != 0)
        script_refuse(r->s, e->line, "the packet could not be delivered");
}

/* ---- as text ---- */

static void add(char *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char *buf, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf + used, TEXT_LEN - used, fmt, ap);
    va_end(ap);
}

static void add_flags(char *buf, uint16_t flags)
{
    static const char letters[] = "FSRP.UEWA";

    add(buf, "%s", flags & 0x1ff ? "" : "-");
    for (unsigned i = 0; letters[i]; i++) /* the dot last, as tcpdump writes it */
        if ((flags & 1u << i) && letters[i] != '.')
            add(buf, "%c", letters[i]);
    if (flags & ACK)
        add(buf, ".");
}

static void add_options(char *buf, const uint8_t *options, size_t n)
{
    char text[512];

    if (!n)
        return;
    wire_options_text(options, n, text, sizeof text);
    add(buf, " <%s>", text);
}

/* A packet of ours in the script's language and numbers. */
static void wire_text(const struct conn *c, const struct wire *w, char buf[TEXT_LEN])
{
    uint32_t seq = c->know_isn ? w->seq - c->isn : w->seq;
    uint8_t options[40];
    size_t at, len;

    buf[0] = '\0';
    if (w->proto == PROTO_UDP)
        add(buf, "> udp (%u)", (unsigned)w->text_len);
    if (w->proto != PROTO_TCP && w->proto != PROTO_UDP)
        add(buf, "> icmp type %u code %u (%u)", w->icmp_type, w->icmp_code, (unsigned)w->text_len);
    if (w->proto != PROTO_TCP)
        return;
    add(buf, "> ");
    add_flags(buf, w->flags);
    add(buf, " %u:%u(%u)", (unsigned)seq, (unsigned)(seq + w->text_len), (unsigned)w->text_len);
    if (w->flags & ACK)
        add(buf, " ack %u", (unsigned)w->ack);
    add(buf, " win %u", w->win);
    if (w->urg || (w->flags & URG))
        add(buf, " urg %u", w->urg);
    memcpy(options, w->options, w->noptions);
    for (at = 0; at + 10 <= w->noptions; at += len) { /* our TSval as the script counts it */
        len = options[at] > 1 ? options[at + 1] : 1;
        if (len < 1)
            break;
        if (options[at] == KIND_TS && len == 10 && c->first_ts)
            wire_put32(options + at + 2,
                       wire_get32(options + at + 2) - c->first_live + c->first_script);
    }
    add_options(buf, options, w->noptions);
}

static void spec_text(const struct pkt_spec *k, char buf[TEXT_LEN])
{
    uint8_t options[256];

    buf[0] = '\0';
    if (k->proto == PKT_UDP)
        add(buf, "> udp (%u)", (unsigned)k->len);
    if (k->proto == PKT_ICMP)
        add(buf, "> icmp %s %s", k->icmp_type, k->icmp_code ? k->icmp_code : "");
    if (k->proto != PKT_TCP)
        return;
    add(buf, "> ");
    add_flags(buf, k->flags);
    add(buf, " %u:%u(%u)", (unsigned)k->seq, (unsigned)(k->seq + k->len), (unsigned)k->len);
    if (k->has_ack)
        add(buf, " ack %u", (unsigned)k->ack);
    if (k->has_win)
        add(buf, " win %u", (unsigned)k->win);
    if (k->has_urg)
        add(buf, " urg %u", (unsigned)k->urg);
    if (k->any_options)
        add(buf, " <...>");
    else
        add_options(buf, options, wire_options(k, options));
}

/* ---- expecting ---- */

struct expected {
    struct run *r;
    struct script_event *e;
    struct conn *c;
    const struct wire *w; /* what came; NULL: nothing */
    long long usec;       /* when, in script time */
};

static _Noreturn void mismatch(const struct expected *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static _Noreturn void mismatch(const struct expected *x, const char *fmt, ...)
{
    char what[256], wanted[TEXT_LEN], came[TEXT_LEN] = "";
    const struct script_time *t = &x->e->time;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    spec_text(&x->e->packet, wanted);
    if (!x->w)
        script_fail(x->r->s, x->e->line, "%s\n  expected: %.6f %s\n", what, (double)t->from / 1e6,
                    wanted);
    wire_text(x->c, x->w, came);
    if (t->kind == TIME_ANY)
        script_fail(x->r->s, x->e->line, "%s\n  expected: *        %s\n  came:     %.6f %s\n", what,
                    wanted, (double)x->usec / 1e6, came);
    script_fail(x->r->s, x->e->line, "%s\n  expected: %.6f %s\n  came:     %.6f %s\n", what,
                (double)t->from / 1e6, wanted, (double)x->usec / 1e6, came);
}

static void check_tuple(const struct expected *x)
{
    const struct wire *w = x->w;
    struct conn *c = x->c;

    if (!w->ip_csum_ok)
        mismatch(x, "the IPv4 header checksum is wrong");
    if (!w->csum_ok)
        mismatch(x, "the checksum is wrong");
    if (w->v6 != x->r->v6)
        mismatch(x, "an IPv%d packet", w->v6 ? 6 : 4);
    if (memcmp(w->dst, c->remote, 16) != 0)
        mismatch(x, "a packet to another address");
    if (w->proto == PROTO_ICMP || w->proto == PROTO_ICMP6)
        return;
    if (w->dport != c->rport)
        mismatch(x, "a packet of another connection, to port %u instead of %u", w->dport, c->rport);
    if (!c->know_lport) {
        memcpy(c->local, w->src, 16);
        c->lport = w->sport;
        c->know_lport = true;
    }
    if (memcmp(w->src, c->local, 16) != 0 || w->sport != c->lport)
        mismatch(x, "a packet of another connection, from port %u instead of %u", w->sport,
                 c->lport);
}

static void check_ip(const struct expected *x)
{
    const struct pkt_spec *k = &x->e->packet;
    const struct wire *w = x->w;
    int ecn = w->tos & 3;

    if (k->ecn >= 0 && k->ecn != ecn &&
        !(k->ecn == PKT_ECN_ECT01 && (ecn == PKT_ECN_ECT0 || ecn == PKT_ECN_ECT1)))
        mismatch(x, "ECN bits %d instead of %d", ecn, k->ecn);
    if (k->tos >= 0 && w->tos != k->tos)
        mismatch(x, "TOS 0x%02x instead of 0x%02x", w->tos, (unsigned)k->tos);
    if (k->ttl >= 0 && w->ttl != k->ttl)
        mismatch(x, "hop limit %u instead of %d", w->ttl, k->ttl);
    if (k->flow_label >= 0 && w->flow_label != (uint32_t)k->flow_label)
        mismatch(x, "flow label 0x%05x instead of 0x%05lx", (unsigned)w->flow_label,
                 (unsigned long)k->flow_label);
}

static void learn_isn(const struct expected *x)
{
    struct conn *c = x->c;

    if (!(x->e->packet.flags & SYN) || (c->know_isn && !c->new_isn))
        return;
    c->isn = x->w->seq - x->e->packet.seq;
    c->know_isn = true;
    c->new_isn = false;
}

/* All but the last of several segments that the script writes as one. */
static void check_flags(const struct expected *x, bool more_follows)
{
    uint16_t wanted = x->e->packet.flags, optional = more_follows ? PSH : 0;

    if (more_follows)
        wanted &= (uint16_t) ~(FIN | PSH);
    if ((x->w->flags & ~optional) != (wanted & ~optional))
        mismatch(x, "wrong flags");
    if (x->w->reserved)
        mismatch(x, "reserved bits are set");
}

static void check_numbers(const struct expected *x, uint32_t seq)
{
    const struct pkt_spec *k = &x->e->packet;
    const struct conn *c = x->c;
    const struct wire *w = x->w;
    bool raw_rst = (w->flags & RST) && w->seq == seq; /* of no connection of ours: not moved */

    if (w->seq != ours_live(c, seq) && !raw_rst)
        mismatch(x, "sequence number %u instead of %u",
                 (unsigned)(w->seq - (c->know_isn ? c->isn : 0)), (unsigned)seq);
    if (k->has_ack && w->ack != k->ack)
        mismatch(x, "acknowledgment number %u instead of %u", (unsigned)w->ack, (unsigned)k->ack);
    if (!(w->flags & ACK) && w->ack != 0)
        mismatch(x, "an acknowledgment number without ACK");
    if (k->has_win && w->win != k->win)
        mismatch(x, "window %u instead of %u", w->win, (unsigned)k->win);
    if (w->urg != k->urg)
        mismatch(x, "urgent pointer %u instead of %u", w->urg, (unsigned)k->urg);
}

/* Where the script has a TSval, the one that came takes its place. */
static void take_ts(const struct expected *x, uint8_t *wanted, size_t n)
{
    const struct wire *w = x->w;
    struct run *r = x->r;
    struct conn *c = x->c;
    uint32_t script, live;

    for (size_t at = 0, len; at + 10 <= n && at + 10 <= w->noptions; at += len) {
        len = wanted[at] > 1 ? wanted[at + 1] : 1;
        if (len < 1)
            return;
        if (wanted[at] != KIND_TS || len != 10 || w->options[at] != KIND_TS ||
            w->options[at + 1] != 10)
            continue;
        script = wire_get32(wanted + at + 2);
        live = wire_get32(w->options + at + 2);
        if (r->ts_tick_usec && c->first_ts) {
            long long off =
                (long long)(int32_t)(live - c->first_live) - (int32_t)(script - c->first_script);

            if (llabs(off) * r->ts_tick_usec > r->tolerance_usec)
                mismatch(x, "TSval %u instead of %u",
                         (unsigned)(live - c->first_live + c->first_script), (unsigned)script);
        }
        ts_learn(r, c, script, live, x->usec);
        wire_put32(wanted + at + 2, live);
    }
}

static void check_options(const struct expected *x)
{
    const struct wire *w = x->w;
    uint8_t wanted[256];
    size_t n;

    if (x->e->packet.any_options)
        return;
    n = wire_options(&x->e->packet, wanted);
    take_ts(x, wanted, n);
    if (n != w->noptions || memcmp(wanted, w->options, n) != 0)
        mismatch(x, "wrong options");
}

static void check_text(const struct expected *x)
{
    for (uint32_t i = 0; i < x->w->text_len && !x->r->wrote_text; i++)
        if (x->w->text[i] != 0)
            mismatch(x, "octet %u of the text is not the one that was written", (unsigned)i);
}

static void check_time(const struct expected *x)
{
    const struct script_time *t = &x->e->time;

    if (t->kind != TIME_ANY && !run_in_time(x->r, t->from, t->to, x->usec, x->r->last_packet_usec))
        mismatch(x, "%.6f s %s",
                 (double)llabs(x->usec - (x->usec < t->from ? t->from : t->to)) / 1e6,
                 x->usec < t->from ? "too early" : "too late");
}

/* The stack's next packet; fails if there is none. */
static void receive(struct expected *x, struct wire *w, uint8_t *packet)
{
    struct run *r = x->r;
    size_t n = WIRE_MAX;
    long long at = 0;
    const char *why;

    x->w = NULL;
    if (r->io.netdev_receive(r->io.userdata, packet, &n, &at) != 0 || n == 0)
        mismatch(x, "nothing was sent, and nothing will be");
    r->npackets_out++;
    x->usec = at - r->start_usec;
    if (!wire_parse(w, packet, n, &why))
        script_fail(r->s, x->e->line, "the stack sent %s (%zu octets)", why, n);
    x->w = w;
}

static void expect_tcp(struct expected *x, struct wire *w, uint8_t *packet)
{
    const struct pkt_spec *k = &x->e->packet;
    uint32_t seen = 0, first = 0;

    for (;;) {
        bool more;

        check_tuple(x);
        if (w->proto != PROTO_TCP)
            mismatch(x, "no TCP segment");
        if (!seen)
            learn_isn(x);
        more = !x->r->strict_segments && w->text_len > 0 && seen + w->text_len < k->len &&
               (!seen || w->text_len == first);
        check_ip(x);
        check_flags(x, more);
        check_numbers(x, k->seq + seen);
        if (!more)
            break;
        check_text(x);
        check_time(x);
        first = w->text_len;
        seen += w->text_len;
        receive(x, w, packet);
    }
    if (seen + w->text_len != k->len)
        mismatch(x, "%u octets of text instead of %u", (unsigned)(seen + w->text_len),
                 (unsigned)k->len);
    check_options(x);
    check_text(x);
    check_time(x);
}

static void expect_other(struct expected *x, const struct wire *w)
{
    const struct pkt_spec *k = &x->e->packet;
    struct run *r = x->r;
    uint8_t is[2];

    check_tuple(x);
    check_ip(x);
    if (k->proto == PKT_UDP) {
        if (w->proto != PROTO_UDP || w->text_len != k->len)
            mismatch(x, "not the UDP datagram");
    } else {
        if (!wire_icmp(r->v6, k->icmp_type, k->icmp_code, is))
            script_refuse(r->s, x->e->line, "there is no ICMP%s message '%s%s%s'",
                          r->v6 ? "v6" : "", k->icmp_type, k->icmp_code ? " " : "",
                          k->icmp_code ? k->icmp_code : "");
        if (w->proto != (r->v6 ? PROTO_ICMP6 : PROTO_ICMP) || w->icmp_type != is[0] ||
            w->icmp_code != is[1])
            mismatch(x, "not the ICMP message");
        if (k->mtu >= 0 && w->icmp_word != (uint32_t)k->mtu)
            mismatch(x, "MTU %u instead of %ld", (unsigned)w->icmp_word, k->mtu);
    }
    check_time(x);
}

void packet_expect(struct run *r, struct script_event *e)
{
    struct expected x = {.r = r, .e = e, .c = conn_of(r, e)};
    struct wire w;

    if (!r->packet)
        r->packet = arena_get(&r->s->arena, WIRE_MAX);
    receive(&x, &w, r->packet);
    if (e->packet.proto == PKT_TCP)
        expect_tcp(&x, &w, r->packet);
    else
        expect_other(&x, &w);
    r->last_packet_usec = x.usec;
}

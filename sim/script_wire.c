/* SPDX-License-Identifier: BSD-2-Clause */
/* script_wire.c - packets as octets. */
#include "script_wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };
enum {
    KIND_EOL = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WS = 3,
    KIND_SACK_OK = 4,
    KIND_SACK = 5,
    KIND_TS = 8,
    KIND_MD5 = 19,
    KIND_FO = 34,
    KIND_ACC0 = 172,
    KIND_ACC1 = 174,
    KIND_EXP = 254
};

void wire_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void wire_put32(uint8_t *p, uint32_t v)
{
    wire_put16(p, v >> 16);
    wire_put16(p + 2, v);
}

uint32_t wire_get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

uint32_t wire_get32(const uint8_t *p)
{
    return wire_get16(p) << 16 | wire_get16(p + 2);
}

/* ---- checksums: RFC 1071, as it is written there ---- */

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t n)
{
    for (; n > 1; p += 2, n -= 2)
        sum += wire_get16(p);
    if (n)
        sum += (uint32_t)p[0] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t pseudo(bool v6, const uint8_t *src, const uint8_t *dst, uint8_t proto, size_t n)
{
    uint8_t tail[8] = {0};
    uint32_t sum;

    if (proto == PROTO_ICMP)
        return 0;
    wire_put32(tail, (uint32_t)n);
    tail[7] = proto;
    sum = sum16(0, src + (v6 ? 0 : 12), v6 ? 16 : 4);
    sum = sum16(sum, dst + (v6 ? 0 : 12), v6 ? 16 : 4);
    return sum16(sum, tail, sizeof tail);
}

static size_t csum_at(uint8_t proto)
{
    return proto == PROTO_TCP ? 16 : proto == PROTO_UDP ? 6 : 2;
}

/* ---- writing ---- */

size_t wire_ip_len(bool v6)
{
    return v6 ? 40 : 20;
}

void wire_emit(const struct wire_out *o, uint8_t *packet, size_t n)
{
    size_t hdr = wire_ip_len(o->v6), at = hdr + csum_at(o->proto);
    uint32_t sum;

    memset(packet, 0, hdr);
    if (o->v6) {
        wire_put32(packet, 6u << 28 | (uint32_t)o->tos << 20 | o->flow_label);
        wire_put16(packet + 4, (uint32_t)n);
        packet[6] = o->proto;
        packet[7] = o->ttl;
        memcpy(packet + 8, o->src, 16);
        memcpy(packet + 24, o->dst, 16);
    } else {
        packet[0] = 0x45;
        packet[1] = o->tos;
        wire_put16(packet + 2, (uint32_t)(hdr + n));
        packet[8] = o->ttl;
        packet[9] = o->proto;
        memcpy(packet + 12, o->src + 12, 4);
        memcpy(packet + 16, o->dst + 12, 4);
        wire_put16(packet + 10, ~sum16(0, packet, hdr) & 0xffff);
    }
    wire_put16(packet + at, 0);
    sum = ~sum16(pseudo(o->v6, o->src, o->dst, o->proto, n), packet + hdr, n) & 0xffff;
    if (sum == 0 && o->proto == PROTO_UDP)
        sum = 0xffff; /* RFC 768: 0 means that there is none */
    wire_put16(packet + at, sum);
}

/* ---- reading ---- */

static bool parse_tcp(struct wire *w, const uint8_t *p, size_t n, const char **why)
{
    size_t hdr;

    *why = "a TCP header that is too short";
    if (n < 20)
        return false;
    hdr = (size_t)(p[12] >> 4) * 4;
    if (hdr < 20 || hdr > n)
        return false;
    w->sport = (uint16_t)wire_get16(p);
    w->dport = (uint16_t)wire_get16(p + 2);
    w->seq = wire_get32(p + 4);
    w->ack = wire_get32(p + 8);
    w->flags = (uint16_t)(p[13] | (p[12] & 1 ? PKT_FLAG_AE : 0));
    w->reserved = p[12] & 0x0e;
    w->win = (uint16_t)wire_get16(p + 14);
    w->urg = (uint16_t)wire_get16(p + 18);
    w->options = p + 20;
    w->noptions = (uint32_t)(hdr - 20);
    w->text = p + hdr;
    w->text_len = (uint32_t)(n - hdr);
    return true;
}

static bool parse_above(struct wire *w, const uint8_t *p, size_t n, const char **why)
{
    *why = "a protocol that is none of TCP, UDP and ICMP";
    w->csum_ok = sum16(pseudo(w->v6, w->src, w->dst, w->proto, n), p, n) == 0xffff;
    if (w->proto == PROTO_TCP)
        return parse_tcp(w, p, n, why);
    if (n < 8 || (w->proto != PROTO_UDP && w->proto != (w->v6 ? PROTO_ICMP6 : PROTO_ICMP)))
        return false;
    if (w->proto == PROTO_UDP) {
        w->sport = (uint16_t)wire_get16(p);
        w->dport = (uint16_t)wire_get16(p + 2);
    } else {
        w->icmp_type = p[0];
        w->icmp_code = p[1];
        w->icmp_word = wire_get32(p + 4);
    }
    w->text = p + 8;
    w->text_len = (uint32_t)(n - 8);
    return true;
}

static bool parse4(struct wire *w, const uint8_t *p, size_t len, const char **why)
{
    size_t hdr = (size_t)(p[0] & 15) * 4, total = wire_get16(p + 2);

    *why = "an IPv4 header whose lengths do not agree with the packet's";
    if (hdr < 20 || hdr > len || total != len)
        return false;
    *why = "a fragment";
    if (wire_get16(p + 6) & 0x3fff)
        return false;
    w->ip_csum_ok = sum16(0, p, hdr) == 0xffff;
    w->tos = p[1];
    w->ttl = p[8];
    w->proto = p[9];
    w->src[10] = w->src[11] = w->dst[10] = w->dst[11] = 0xff;
    memcpy(w->src + 12, p + 12, 4);
    memcpy(w->dst + 12, p + 16, 4);
    return parse_above(w, p + hdr, len - hdr, why);
}

static bool parse6(struct wire *w, const uint8_t *p, size_t len, const char **why)
{
    *why = "an IPv6 header whose length does not agree with the packet's";
    if (wire_get16(p + 4) + 40 != len)
        return false;
    w->v6 = true;
    w->ip_csum_ok = true;
    w->tos = (uint8_t)(wire_get32(p) >> 20);
    w->flow_label = wire_get32(p) & 0xfffff;
    w->proto = p[6];
    w->ttl = p[7];
    memcpy(w->src, p + 8, 16);
    memcpy(w->dst, p + 24, 16);
    return parse_above(w, p + 40, len - 40, why);
}

bool wire_parse(struct wire *w, const uint8_t *octets, size_t len, const char **why)
{
    memset(w, 0, sizeof *w);
    if (len >= 20 && octets[0] >> 4 == 4)
        return parse4(w, octets, len, why);
    if (len >= 40 && octets[0] >> 4 == 6)
        return parse6(w, octets, len, why);
    *why = "neither an IPv4 nor an IPv6 packet";
    return false;
}

/* ---- TCP options ---- */

static size_t put_option(const struct opt_spec *o, uint8_t *p)
{
    if (o->raw) {
        memcpy(p, o->blob, o->n);
        return o->n;
    }
    p[0] = o->kind;
    switch (o->kind) {
    case KIND_EOL:
    case KIND_NOP:
        return 1;
    case KIND_MSS:
        wire_put16(p + 2, o->v[0]);
        return p[1] = 4;
    case KIND_WS:
        p[2] = (uint8_t)o->v[0];
        return p[1] = 3;
    case KIND_SACK_OK:
        return p[1] = 2;
    case KIND_SACK:
    case KIND_TS:
        for (int i = 0; i < o->n; i++)
            wire_put32(p + 2 + (size_t)i * 4, o->v[i]);
        return p[1] = (uint8_t)(2 + 4 * o->n);
    default:
        memcpy(p + 2, o->blob, o->n);
        return p[1] = (uint8_t)(2 + o->n);
    }
}

size_t wire_options(const struct pkt_spec *k, uint8_t out[256])
{
    size_t n = 0;

    memset(out, 0, 256);
    for (int i = 0; i < k->noptions && n < 200; i++)
        n += put_option(&k->options[i], out + n);
    return (n + 3) / 4 * 4;
}

static void add(char *buf, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *buf, size_t cap, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf + used, cap - used, fmt, ap);
    va_end(ap);
}

static void add_hex(const uint8_t *p, size_t n, char *buf, size_t cap)
{
    for (size_t i = 0; i < n; i++)
        add(buf, cap, "%02x", p[i]);
}

static void add_accecn(bool order1, const uint8_t *v, size_t fields, char *buf, size_t cap)
{
    static const char *const names[2][3] = {{"e0b", "ceb", "e1b"}, {"e1b", "ceb", "e0b"}};

    add(buf, cap, "ECN");
    for (size_t i = 0; i < fields && i < 3; i++, v += 3)
        add(buf, cap, " %s %u", names[order1][i],
            (unsigned)v[0] << 16 | (unsigned)wire_get16(v + 1));
}

static void option_text(const uint8_t *p, size_t len, char *buf, size_t cap)
{
    const uint8_t *v = p + 2;
    size_t n = len - 2;

    if (p[0] == KIND_MSS && n == 2) {
        add(buf, cap, "mss %u", (unsigned)wire_get16(v));
    } else if (p[0] == KIND_WS && n == 1) {
        add(buf, cap, "wscale %u", v[0]);
    } else if (p[0] == KIND_SACK_OK && n == 0) {
        add(buf, cap, "sackOK");
    } else if (p[0] == KIND_SACK && n % 8 == 0) {
        add(buf, cap, "sack");
        for (; n; n -= 8, v += 8)
            add(buf, cap, " %u:%u", (unsigned)wire_get32(v), (unsigned)wire_get32(v + 4));
    } else if (p[0] == KIND_TS && n == 8) {
        add(buf, cap, "TS val %u ecr %u", (unsigned)wire_get32(v), (unsigned)wire_get32(v + 4));
    } else if (p[0] == KIND_FO || p[0] == KIND_MD5) {
        add(buf, cap, p[0] == KIND_FO ? "FO " : "md5 ");
        add_hex(v, n, buf, cap);
    } else if ((p[0] == KIND_ACC0 || p[0] == KIND_ACC1) && n <= 9 && n % 3 == 0) {
        add_accecn(p[0] == KIND_ACC1, v, n / 3, buf, cap);
    } else if (p[0] == KIND_EXP && n >= 2 && wire_get16(v) == 0xf989) {
        add(buf, cap, "FOEXP ");
        add_hex(v + 2, n - 2, buf, cap);
    } else {
        add(buf, cap, "raw ");
        add_hex(p, len, buf, cap);
    }
}

void wire_options_text(const uint8_t *options, size_t n, char *buf, size_t cap)
{
    size_t at = 0, len;

    buf[0] = '\0';
    for (; at < n; at += len) {
        len = options[at] > KIND_NOP && at + 1 < n ? options[at + 1] : 1;
        if (at)
            add(buf, cap, ",");
        if (options[at] <= KIND_NOP) {
            add(buf, cap, options[at] == KIND_NOP ? "nop" : "eol");
        } else if (len < 2 || len > n - at) {
            add(buf, cap, "raw ");
            add_hex(options + at, n - at, buf, cap);
            return;
        } else {
            option_text(options + at, len, buf, cap);
        }
    }
}

/* ---- names of ICMP messages: those of RFC 792, 1122, 1812, 4443, in words ---- */

static const struct {
    const char *type, *code; /* code NULL: the type alone */
    bool v6;
    uint8_t is[2];
} messages[] = {
    {"unreachable", "net_unreachable", false, {3, 0}},
    {"unreachable", "host_unreachable", false, {3, 1}},
    {"unreachable", "protocol_unreachable", false, {3, 2}},
    {"unreachable", "port_unreachable", false, {3, 3}},
    {"unreachable", "frag_needed", false, {3, 4}},
    {"unreachable", "source_route_failed", false, {3, 5}},
    {"unreachable", "net_unknown", false, {3, 6}},
    {"unreachable", "host_unknown", false, {3, 7}},
    {"unreachable", "source_host_isolated", false, {3, 8}},
    {"unreachable", "net_prohibited", false, {3, 9}},
    {"unreachable", "host_prohibited", false, {3, 10}},
    {"unreachable", "net_unreachable_for_tos", false, {3, 11}},
    {"unreachable", "host_unreachable_for_tos", false, {3, 12}},
    {"unreachable", "packet_filtered", false, {3, 13}},
    {"unreachable", "precedence_violation", false, {3, 14}},
    {"unreachable", "precedence_cutoff", false, {3, 15}},
    {"source_quench", NULL, false, {4, 0}},
    {"redirect", NULL, false, {5, 1}},
    {"redirect", "net", false, {5, 0}},
    {"redirect", "host", false, {5, 1}},
    {"time_exceeded", NULL, false, {11, 0}},
    {"time_exceeded", "ttl_exceeded", false, {11, 0}},
    {"time_exceeded", "frag_time_exceeded", false, {11, 1}},
    {"parameter_problem", NULL, false, {12, 0}},
    {"echo_request", NULL, false, {8, 0}},
    {"echo_reply", NULL, false, {0, 0}},
    {"unreachable", "no_route", true, {1, 0}},
    {"unreachable", "admin_prohibited", true, {1, 1}},
    {"unreachable", "not_neighbour", true, {1, 2}},
    {"unreachable", "addr_unreachable", true, {1, 3}},
    {"unreachable", "address_unreachable", true, {1, 3}},
    {"unreachable", "port_unreachable", true, {1, 4}},
    {"packet_too_big", NULL, true, {2, 0}},
    {"time_exceeded", NULL, true, {3, 0}},
    {"time_exceeded", "hop_limit_exceeded", true, {3, 0}},
    {"time_exceeded", "frag_time_exceeded", true, {3, 1}},
    {"parameter_problem", NULL, true, {4, 0}},
    {"parameter_problem", "header_field", true, {4, 0}},
    {"parameter_problem", "unknown_next_header", true, {4, 1}},
    {"parameter_problem", "unknown_option", true, {4, 2}},
    {"echo_request", NULL, true, {128, 0}},
    {"echo_reply", NULL, true, {129, 0}},
};

bool wire_icmp(bool v6, const char *type, const char *code, uint8_t out[2])
{
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        if (messages[i].v6 != v6 || strcmp(messages[i].type, type) != 0)
            continue;
        if (code ? messages[i].code && strcmp(messages[i].code, code) == 0 : !messages[i].code) {
            memcpy(out, messages[i].is, 2);
            return true;
        }
    }
    return false;
}

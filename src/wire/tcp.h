/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp.h - TCP segments as a representation: RFC 9293 section 3.1, options of RFC 9293, 7323, 2018,
 * 7413. */
#ifndef WIRE_TCP_H
#define WIRE_TCP_H

#include "base/bytes.h"
#include "base/ranges.h"
#include "base/seq.h"
#include "wire/rule.h"

#define TCP_HDR_LEN  20
#define TCP_HDR_MAX  60
#define TCP_SACK_MAX 4
#define TCP_FO_MAX   16 /* octets of a Fast Open cookie, RFC 7413 section 4.1.1 */

enum { /* the flags octet; as ESTAB_FIN ... */
       SEG_FIN = 0x01,
       SEG_SYN = 0x02,
       SEG_RST = 0x04,
       SEG_PSH = 0x08,
       SEG_ACK = 0x10,
       SEG_URG = 0x20,
       SEG_ECE = 0x40,
       SEG_CWR = 0x80,
};
enum { SEG_AE = 0x1 }; /* of the reserved bits: RFC 9768 section 3.1 */
enum {                 /* struct tcp_opts.has */
       OPT_MSS = 1,
       OPT_WS = 2,
       OPT_SACK_OK = 4,
       OPT_SACK = 8,
       OPT_TS = 16,
       OPT_FO = 32,
       OPT_UTO = 64,
       OPT_ACC = 128,
};
struct tcp_opts {
    uint8_t has;
    uint8_t ws; /* shift as received, at most 14 (RFC 7323 section 2.3); ws_raw keeps what came */
    uint8_t ws_raw;
    uint8_t nsack;
    uint16_t mss;
    uint16_t uto; /* RFC 5482 section 3.3: granularity bit, 15 bits of seconds or minutes */
    uint32_t ts_val, ts_ecr;
    uint8_t fo_len; /* octets of the Fast Open cookie; 0: one is asked for */
    bool fo_exp;    /* in the experimental option, RFC 7413 section 4.1.1, RFC 6994 */
    uint8_t fo[TCP_FO_MAX];
    struct range sack[TCP_SACK_MAX];
    uint8_t acc_n;   /* RFC 9768 section 3.2.3: fields of 24 bits, at most 3 */
    bool acc_order1; /* AccECN1: e1b, ceb, e0b; else AccECN0: e0b, ceb, e1b */
    uint32_t acc[3]; /* in that order */
};
/* A segment: RFC 9293's SEG variables. */
struct seg {
    seq_t seq, ack;
    uint32_t len; /* SEG.LEN: text and SYN and FIN */
    uint32_t wnd; /* the field; the connection applies its shift */
    uint16_t up;
    uint16_t sport, dport;
    uint8_t flags;
    uint8_t reserved; /* the four bits after the data offset; SEG_AE is one of them */
    uint8_t tos;      /* of the IP header: ECN marks */
    bool syn_wnd;     /* the window came on a SYN: never scaled, RFC 7323 section 2.2 */
    uint16_t nsegs;   /* segments this stands for: 1, or what GRO or the link merged */
    struct tcp_opts opt;
    struct pieces text;            /* borrowed from the frame */
    const struct ip4_route *route; /* the way back, if it came by a source route; or NULL */
};
/* Parses header and options.  `hdr` is contiguous and holds at least min(60, everything) octets of
 * the segment; `all` is the whole segment (header included), which is what g->text is cut from. The
 * checksum is the caller's business.  Options of impossible length end the option list and are
 * reported: RULE_TCP_OPTION ("drop it"), RULE_TCP_HEADER. An option with a wrong length for its
 * kind (MSS of length 3) is RULE_TCP_OPTION too; a duplicate: the first counts; unknown kinds, and
 * a Fast Open option of a length it cannot have (RFC 7413 section 4.1.1), are skipped [MUST-6].
 * Sets every member of g; tos (0), nsegs (1) and route (NULL) are for the caller, who knows, to
 * change. */
enum rule tcp_parse(struct seg *g, const uint8_t *hdr, size_t hdr_len, const struct pieces *all);

/* The options alone: len octets at p, behind the fixed header.  Every member but sack[], fo[] and
 * acc* is set: zero where the option is missing; acc* where it is not. */
enum rule tcp_opts_parse(struct tcp_opts *o, const uint8_t *p, size_t len);

/* Options to emit, in an order of one's own: kinds in the order of the list, 0 ends it, 1 is a NOP.
 * The list alone decides, not o->has; of the SACK blocks as many are written as still fit, and the
 * user timeout, which is advice, where it does; of an AccECN option as many fields as still fit.
 * Writes and pads with EOL to a multiple of 4; returns the length (at most 40). */
#define OPT_KIND_EOL     0
#define OPT_KIND_NOP     1
#define OPT_KIND_MSS     2
#define OPT_KIND_WS      3
#define OPT_KIND_SACK_OK 4
#define OPT_KIND_SACK    5
#define OPT_KIND_TS      8
#define OPT_KIND_UTO     28
#define OPT_KIND_FO      34
#define OPT_KIND_ACC0    172
#define OPT_KIND_ACC1    174
#define OPT_KIND_EXP     254 /* with FO_MAGIC: the Fast Open option of experiments */
#define FO_MAGIC         0xf989
size_t tcp_opts_emit(const struct tcp_opts *o, const uint8_t *kinds, uint8_t out[40]);
/* NOP NOP TS 10: how RFC 7323 appendix A lays out timestamps, and nearly every segment has it. */
#define TCP_TS_WORD 0x0101080au
/* The timestamp alone, aligned as RFC 7323 appendix A has it. */
void tcp_ts_emit(const struct tcp_opts *o, uint8_t out[12]);
/* The fixed 20 octets with a zero checksum; opts_len is the multiple of 4 that follows. */
void tcp_hdr_emit(const struct seg *g, size_t opts_len, uint8_t out[TCP_HDR_LEN]);

#endif

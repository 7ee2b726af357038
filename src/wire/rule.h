/* SPDX-License-Identifier: BSD-2-Clause */
/* rule.h - every drop, reset and acceptance has a rule: a name, and the paragraph it comes from.
 *
 * The names are what counters, traces and tests show; the numbers may change between versions. */
#ifndef WIRE_RULE_H
#define WIRE_RULE_H

#include "base/env.h"

/* X(ID, "name", "where it is written") */
#define RULES(X)                                                                                   \
    /* frames and packets */                                                                       \
    X(RUNT, "runt", "IEEE 802.3: shorter than its header")                                         \
    X(ETHERTYPE, "ethertype", "RFC 1122 section 2.3.1: no such protocol here")                     \
    X(NOT_OURS, "not-ours", "RFC 1122 section 3.2.1.3: addressed to somebody else")                \
    X(IP_VERSION, "ip-version", "RFC 1122 section 3.2.1.1, RFC 8200 section 3")                    \
    X(IP_HEADER, "ip-header", "RFC 791 section 3.1: IHL or total length impossible")               \
    X(IP_CSUM, "ip-checksum", "RFC 1122 section 3.2.1.2")                                          \
    X(IP_LENGTH, "ip-length", "RFC 791 section 3.1, RFC 8200 section 3: longer than the frame")    \
    X(IP_OPTION, "ip-option", "RFC 791 section 3.1: malformed option")                             \
    X(IP_SOURCE_ROUTE, "source-route", "RFC 7126 section 4.3: dropped by default")                 \
    X(IP_FRAGMENT, "fragment", "RFC 791 section 3.2, RFC 8200 section 4.5: kept for its datagram") \
    X(REASSEMBLED, "reassembled", "RFC 791 section 3.2, RFC 8200 section 4.5: none is missing")    \
    X(REASS_OFF, "reassembly-off", "estab_config.reass_max is 0: fragments are dropped")           \
    X(REASS_LENGTH, "fragment-length", "RFC 8200 section 4.5: empty, or not a multiple of 8")      \
    X(REASS_TOO_LONG, "fragment-too-long", "RFC 8200 section 4.5: beyond 65535 octets")            \
    X(REASS_CHAIN, "fragment-chain", "RFC 7112 section 5: the first holds not all the headers")    \
    X(REASS_DUPLICATE, "fragment-duplicate", "RFC 8200 section 4.5: came before, exactly so")      \
    X(REASS_OVERLAP, "fragment-overlap", "RFC 5722 section 4: ends the whole datagram")            \
    X(REASS_END, "fragment-end", "RFC 5722 section 4: disagrees where the datagram ends")          \
    X(REASS_REFUSED, "fragment-refused", "RFC 5722 section 4: of a datagram that was ended")       \
    X(REASS_GAPS, "fragment-gaps", "RFC 8900 section 3.7: gaps in a datagram are bounded")         \
    X(REASS_PIECES, "fragment-pieces",                                                             \
      "RFC 8900 section 3.7: fragments of a datagram are bounded")                                 \
    X(REASS_ECN, "fragment-ecn", "RFC 3168 section 5.3: congestion marks that contradict")         \
    X(REASS_TIMEOUT, "reassembly-timeout", "RFC 1122 section 3.3.2, RFC 8200 section 4.5")         \
    X(REASS_SOURCE, "reassembly-source", "RFC 8900 section 3.7: its source's bound; oldest first") \
    X(REASS_FULL, "reassembly-full", "RFC 8900 section 3.7: everybody's bound; oldest first")      \
    X(IP_SRC, "martian-source", "RFC 1122 section 3.2.1.3, RFC 4291 section 2.7")                  \
    X(IP_DST, "martian-destination", "RFC 1122 section 3.2.1.3")                                   \
    X(IP_LAND, "land", "RFC 4953 section 2.2: source and destination are the same")                \
    X(IP_PROTOCOL, "protocol", "RFC 1122 section 3.2.2.1: protocol unreachable")                   \
    X(IP_TUNNEL, "tunnel", "RFC 6169: encapsulated packets are not opened")                        \
    X(IP6_EXT, "ip6-extension", "RFC 8200 section 4: malformed or too long a chain")               \
    X(IP6_UNKNOWN_OPTION, "ip6-unknown-option", "RFC 8200 section 4.2")                            \
    X(IP6_RH0, "routing-header", "RFC 5095: type 0 is dropped")                                    \
    X(NO_ROUTE, "no-route", "RFC 1122 section 3.3.1")                                              \
    X(NEIGHBOUR_UNKNOWN, "neighbour-unknown", "RFC 1122 section 2.3.2.2, RFC 4861 section 7.2.2")  \
    X(NEIGHBOUR_FULL, "neighbour-full", "RFC 6583: the neighbour table is bounded")                \
    X(ARP_MALFORMED, "arp-malformed", "RFC 826")                                                   \
    X(ARP_UNSOLICITED, "arp-unsolicited", "RFC 5227 section 2.4: does not overwrite")              \
    X(ARP_CONFLICT, "arp-conflict", "RFC 5227 section 2.4: claims our address")                    \
    X(ND_MALFORMED, "nd-malformed", "RFC 4861 sections 6.1, 7.1")                                  \
    X(ND_HOP_LIMIT, "nd-hop-limit", "RFC 4861 section 7.1: hop limit must be 255")                 \
    X(ND_UNSOLICITED, "nd-unsolicited", "RFC 4861 section 7.2.5")                                  \
    X(ND_FRAGMENT, "nd-fragment", "RFC 6980 section 5: neighbour discovery never comes so")        \
    X(ND_DUPLICATE, "nd-duplicate", "RFC 4862 section 5.4: the address is taken")                  \
    X(ICMP_MALFORMED, "icmp-malformed", "RFC 792, RFC 4443 section 2.4")                           \
    X(ICMP_CSUM, "icmp-checksum", "RFC 792, RFC 4443 section 2.3")                                 \
    X(ICMP_ECHO_GROUP, "echo-to-group", "RFC 1122 section 3.2.2.6: not answered")                  \
    X(ICMP_RATE, "icmp-rate", "RFC 4443 section 2.4 (f), RFC 1812 section 4.3.2.8")                \
    X(ICMP_QUOTE, "icmp-quote", "RFC 5927 section 4: quotes nothing that we sent")                 \
    X(ICMP_IGNORED, "icmp-ignored", "RFC 1122 section 3.2.2, RFC 6633: no action")                 \
    X(ICMP_UNKNOWN, "icmp-unknown", "RFC 4443 section 2.4 (a): an error of unknown kind is told")  \
    X(REDIRECT, "redirect", "RFC 1122 section 3.2.2.2, RFC 4861 section 8.1: not one to believe")  \
    X(REDIRECTED, "redirected",                                                                    \
      "RFC 1122 section 3.2.2.2, RFC 4861 section 8.3: a better first hop")                        \
    X(PMTU_HEARD, "path-mtu-heard", "RFC 8201 section 4: bounds our ICMP answers, and no more")    \
    X(UDP_MALFORMED, "udp-malformed", "RFC 768")                                                   \
    X(UDP_CSUM, "udp-checksum", "RFC 768, RFC 8200 section 8.1")                                   \
    X(UDP_NO_PORT, "udp-no-port", "RFC 1122 section 4.1.3.1: port unreachable")                    \
    X(UDP_GROUP, "udp-to-group", "RFC 1122 section 4.1.3.5: no socket of ours is in a group")      \
    X(UDP_FULL, "udp-queue-full", "ESTAB_O_RCVBUF: the socket's user does not read")               \
    X(REPLY_FULL, "reply-full", "bounded queue of answers; the peer asks again")                   \
    /* TCP: the header */                                                                          \
    X(TCP_HEADER, "tcp-header", "RFC 9293 section 3.1: data offset impossible")                    \
    X(TCP_CSUM, "tcp-checksum", "RFC 9293 section 3.1 [MUST-3]")                                   \
    X(TCP_OPTION, "tcp-option", "RFC 9293 section 3.1 [MUST-7]: option of impossible length")      \
    X(TCP_SHARD, "tcp-other-shard", "a connection of another stack with this address: nshards")    \
    X(TCP_GROUP, "tcp-to-group", "RFC 9293 section 3.9.2.3 [MUST-57]")                             \
    X(TCP_PORT_0, "tcp-port-0", "RFC 6335 section 6: reserved")                                    \
    /* TCP: no connection, LISTEN, SYN-SENT */                                                     \
    X(CLOSED_RST, "closed-rst", "RFC 9293 section 3.10.7.1: an RST to nothing is dropped")         \
    X(CLOSED_ANSWER, "closed-answer", "RFC 9293 section 3.10.7.1: answered with RST")              \
    X(LISTEN_RST, "listen-rst", "RFC 9293 section 3.10.7.2, first")                                \
    X(LISTEN_ACK, "listen-ack", "RFC 9293 section 3.10.7.2, second: answered with RST")            \
    X(LISTEN_OTHER, "listen-other", "RFC 9293 section 3.10.7.2, fourth")                           \
    X(LISTEN_SYN, "listen-syn", "RFC 9293 section 3.10.7.2, third: a half-open entry")             \
    X(SYN_FIN, "syn-fin", "RFC 9293 section 3.10.7.2: SYN with FIN is refused")                    \
    X(BACKLOG_FULL, "backlog-full", "RFC 9293 section 3.9.1.2; RFC 4987 section 3: SYN dropped")   \
    X(BACKLOG_RST, "backlog-rst", "RFC 9293 section 3.10.7.1: no room, and set to say so: RST")    \
    X(DEFERRED, "deferred", "ESTAB_O_DEFER_ACCEPT: the ACK of a SYN,ACK, without text, is let go") \
    X(SYNQ_FULL, "synq-full", "RFC 4987 section 3: half-open entries are bounded")                 \
    X(SYNQ_RECYCLED, "synq-recycled", "RFC 4987 section 3.4: the oldest half-open entry ended")    \
    X(COOKIE_SENT, "cookie-sent", "RFC 4987 section 3.6: SYN answered without an entry")           \
    X(COOKIE_ACCEPTED, "cookie-accepted", "RFC 4987 section 3.6: the ACK brought it back")         \
    X(COOKIE_FORGED, "cookie-forged", "RFC 4987 appendix A: no cookie of ours: RST")               \
    X(COOKIE_USED, "cookie-used", "RFC 9293 section 3.4: an old duplicate of its ACK: RST")        \
    X(COOKIE_AHEAD, "cookie-ahead", "RFC 4987 section 3.6: the segment before it was lost")        \
    X(RST_RATE, "rst-rate", "RFC 4987 section 2.2: answers to forged sources are limited")         \
    X(FASTOPEN_ASKED, "fastopen-asked", "RFC 7413 section 4.1.2: a cookie is given")               \
    X(FASTOPEN_COOKIE, "fastopen-cookie", "RFC 7413 section 4.1.2: not ours, or too old")          \
    X(FASTOPEN_ACCEPTED, "fastopen-accepted",                                                      \
      "RFC 7413 section 4.2.2: text may come with the SYN")                                        \
    X(FASTOPEN_LIMIT, "fastopen-limit", "RFC 7413 section 5.1: too many pending: an ordinary SYN") \
    X(FASTOPEN_TAKEN, "fastopen-taken", "RFC 7413 section 4.2.2: our SYN's text is acknowledged")  \
    X(FASTOPEN_REFUSED, "fastopen-refused", "RFC 7413 section 4.2.2: it is not, and goes again")   \
    X(FASTOPEN_FAILED, "fastopen-failed", "RFC 7413 section 4.1.3.1: not tried again for a while") \
    X(SYN_SENT_ACK, "syn-sent-ack", "RFC 9293 section 3.10.7.3, first: unacceptable ACK")          \
    X(SYN_SENT_RST, "syn-sent-rst", "RFC 9293 section 3.10.7.3, second")                           \
    X(SYN_SENT_OTHER, "syn-sent-other", "RFC 9293 section 3.10.7.3, fifth")                        \
    X(SIMULTANEOUS_OPEN, "simultaneous-open", "RFC 9293 section 3.5, figure 8")                    \
    /* TCP: the eight checks */                                                                    \
    X(PAWS, "paws", "RFC 7323 section 5.3")                                                        \
    X(TS_MISSING, "timestamp-missing", "RFC 7323 section 3.2")                                     \
    X(UNACCEPTABLE, "unacceptable", "RFC 9293 section 3.10.7.4, first: outside the window")        \
    X(RST_OUTSIDE, "rst-outside", "RFC 5961 section 3.2: outside the window")                      \
    X(BLIND_RST, "blind-rst", "RFC 5961 section 3.2: inside, not exact: challenge ACK")            \
    X(RST_ACCEPTED, "rst-accepted", "RFC 9293 section 3.10.7.4, second")                           \
    X(BLIND_SYN, "blind-syn", "RFC 5961 section 4.2: challenge ACK")                               \
    X(NO_ACK, "no-ack", "RFC 9293 section 3.10.7.4, fifth: ACK bit off")                           \
    X(SYN_RECEIVED_ACK, "syn-received-ack", "RFC 9293 section 3.10.7.4, fifth: answered with RST") \
    X(ACK_RANGE, "ack-range", "RFC 5961 section 5.2")                                              \
    X(ACK_UNSENT, "ack-unsent",                                                                    \
      "RFC 9293 section 3.10.7.4, fifth: acknowledges what was not sent")                          \
    X(TEXT_AFTER_CLOSE, "text-after-close",                                                        \
      "RFC 9293 section 3.10.7.4: data for a closed process: RST")                                 \
    X(TEXT_AFTER_FIN, "text-after-fin", "RFC 9293 section 3.10.7.4, seventh: ignored")             \
    X(TEXT_DUPLICATE, "text-duplicate", "RFC 9293 section 3.10.7.4: already received")             \
    X(TEXT_AHEAD, "text-ahead", "RFC 9293 section 3.10.7.4, seventh: kept for its turn")           \
    X(TEXT_GAPS, "text-gaps", "RFC 5961 section 7 and K3: out-of-order ranges are bounded")        \
    X(TEXT_TRIMMED, "text-trimmed", "RFC 9293 section 3.10.7.4: beyond the window")                \
    X(URGENT, "urgent", "RFC 6093 section 3: delivered in line")                                   \
    X(CHALLENGE_LIMIT, "challenge-limit", "RFC 5961 section 7: challenge ACKs are limited")        \
    X(OPTION_OUTSIDE_SYN, "option-outside-syn",                                                    \
      "RFC 7323 section 2.2, RFC 9293 section 3.7.1: ignored")                                     \
    X(SACK_INVALID, "sack-invalid", "RFC 2018 section 4, RFC 2883 section 5: block ignored")       \
    X(SACK_RENEGED, "sack-reneged",                                                                \
      "RFC 2018 section 8: what was reported is not acknowledged, and forgotten")                  \
    X(DSACK, "dsack", "RFC 2883 section 4: the peer had it twice")                                 \
    X(ECN_SETUP, "ecn-setup", "RFC 3168 section 6.1.1: both ends use ECN")                         \
    X(ECN_MARKED, "ecn-marked", "RFC 3168 section 6.1.3: CE, echoed until CWR")                    \
    X(ECN_REDUCED, "ecn-reduced", "RFC 3168 section 6.1.3: CWR, the echo ends")                    \
    X(ECN_ACCURATE, "ecn-accurate", "RFC 9768 section 3.1.1: both ends count marks")               \
    X(ECN_MIXED, "ecn-mixed", "RFC 9768 section 3.1.5: one SYN asks for each kind: RST")           \
    X(ECN_MANGLED, "ecn-mangled",                                                                  \
      "RFC 9768 section 3.2.2.3, 3.2.2.4: the path, or the peer, rewrites it")                     \
    /* TCP: TIME-WAIT */                                                                           \
    X(TIME_WAIT_RST, "time-wait-rst", "RFC 1337 section 3: ignored")                               \
    X(TIME_WAIT_FIN, "time-wait-fin", "RFC 9293 section 3.10.7.4, eighth: ACK, restart 2 MSL")     \
    X(TIME_WAIT_SYN, "time-wait-syn", "RFC 6191 section 2: a newer incarnation")                   \
    X(TIME_WAIT_OTHER, "time-wait-other", "RFC 9293 section 3.10.7.4: ACK")                        \
    X(TIME_WAIT_RECYCLED, "time-wait-recycled",                                                    \
      "RFC 9293 section 3.6.1: table full, oldest ended")                                          \
    X(TIME_WAIT_REUSED, "time-wait-reused",                                                        \
      "RFC 6191 section 2, for an active open: timestamps tell the incarnations apart")            \
    X(PORTS_EXHAUSTED, "ports-exhausted", "RFC 6056 section 3.3: no free port to this peer")       \
    /* TCP: sending */                                                                             \
    X(RTO, "rto", "RFC 6298 section 5")                                                            \
    X(FAST_RETRANSMIT, "fast-retransmit", "RFC 5681 section 3.2")                                  \
    X(TOO_BIG, "too-big", "RFC 1191 section 6.5, RFC 8201 section 5.4: sent again, smaller")       \
    X(TOO_BIG_IGNORED, "too-big-ignored", "RFC 8201 section 4: no smaller than what was sent")     \
    X(BLACK_HOLE, "black-hole", "RFC 4821 section 7.7: full segments vanish: smaller ones")        \
    X(PMTU_PROBE, "path-mtu-probe", "RFC 4821 section 7.4: a larger segment is tried")             \
    X(PMTU_RAISED, "path-mtu-raised", "RFC 4821 section 7.6.1, RFC 1191 section 6.3")              \
    X(PMTU_PROBE_LOST, "path-mtu-probe-lost", "RFC 4821 section 7.6.2: no sign of congestion")     \
    X(PARTIAL_ACK, "partial-ack", "RFC 6582 section 3.2")                                          \
    X(RECOVERED, "recovered", "RFC 6582 section 3.2: full acknowledgment")                         \
    X(TAIL_PROBE, "tail-loss-probe", "RFC 8985 section 7.3")                                       \
    X(TAIL_LOST, "tail-lost", "RFC 8985 section 7.4: the probe has repaired a loss")               \
    X(UNDO_DSACK, "undo-dsack", "RFC 3708 section 2, RFC 4015: all that went again came twice")    \
    X(UNDO_TIMESTAMP, "undo-timestamp", "RFC 3522 section 3, RFC 4015: it was only late")          \
    X(UNDO_FRTO, "undo-frto", "RFC 5682 section 3, RFC 4015: it was only late")                    \
    X(ECN_ECHO, "ecn-echo", "RFC 3168 section 6.1.2: the window is reduced, once")                 \
    X(ECN_FALLBACK, "ecn-fallback", "RFC 3168 section 6.1.1.1: SYN again without ECN")             \
    X(WINDOW_STALE, "window-stale", "RFC 7661 section 4.4.3")                                      \
    X(ZERO_WINDOW_PROBE, "zero-window-probe", "RFC 9293 section 3.8.6.1 [MUST-36]")                \
    X(KEEPALIVE, "keepalive", "RFC 9293 section 3.8.4")                                            \
    X(SYN_AGAIN, "syn-again", "RFC 9293 section 3.8.3")                                            \
    X(RETRIES, "retries", "RFC 9293 section 3.8.3 [MUST-20]: R2 reached")                          \
    X(USER_TIMEOUT, "user-timeout", "RFC 9293 section 3.10.8: no progress for as long as was set") \
    X(USER_TIMEOUT_TOLD, "user-timeout-told", "RFC 5482 section 3.1: the peer's is adopted")       \
    X(USER_TIMEOUT_OURS, "user-timeout-ours", "RFC 5482 section 3.1: the user's own holds")        \
    X(ORPHANS_FULL, "orphans-full", "estab_config.max_orphans reached: the oldest is reset")       \
    X(LINGER, "linger", "RFC 9293 section 3.10.5: closed with a linger time of 0: RST")            \
    X(FIN_WAIT_2_LIMIT, "fin-wait-2-limit", "RFC 1122 section 4.2.2.13: an orphan is bounded")     \
    X(ABORT, "abort", "RFC 9293 section 3.10.5")                                                   \
    X(CLOSE_UNREAD, "close-unread", "RFC 1122 section 4.2.2.13: closed with unread data: RST")     \
    X(CLOSE_LENT, "close-lent", "closed with text lent that the peer has not acknowledged: RST")   \
    /* resources */                                                                                \
    X(NO_MEMORY, "no-memory", "the environment, or a ceiling of estab_config, refused memory")     \
    X(MEM_TIGHT, "memory-tight", "a quarter of mem_max is left: windows and send queues shrink")   \
    X(MEM_CONN, "memory-connection", "an eighth of mem_max is left: no new connection")            \
    X(MEM_AHEAD, "memory-ahead",                                                                   \
      "RFC 2018 section 8: text out of order given up for text in order")                          \
    X(CONNS_FULL, "connections-full", "estab_config.max_conns reached")

enum rule {
    RULE_NONE,
#define RULE_ENUM(id, name, ref) RULE_##id,
    RULES(RULE_ENUM)
#undef RULE_ENUM
        RULE_COUNT
};

/* The stack's counters, one per rule. */
struct rule_book {
    uint64_t n[RULE_COUNT];
    uint64_t drops;           /* of all of them, how many refused a frame or segment */
    bool refuses[RULE_COUNT]; /* which of them have */
};
static inline void rule_count(struct rule_book *b, enum rule r)
{
    b->n[r]++;
}
static inline void rule_drop(struct rule_book *b, enum rule r)
{
    b->n[r]++;
    b->drops++;
    b->refuses[r] = true;
}

#endif

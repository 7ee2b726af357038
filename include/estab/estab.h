/* SPDX-License-Identifier: BSD-2-Clause */
/* estab.h - the whole public API of the core library.
 *
 * Threading: a stack is one shard.  Calls on one stack must not overlap; calls
 * on different stacks are independent (the library has no mutable globals).
 * Time: env->now() is read exactly once per public call that can act, and only there.
 * Errors: int results are 0 (or a count) or a negative enum estab_err; sizes are ptrdiff_t.
 *
 * Ownership words, used literally below:
 *   borrows   the callee reads or writes it during the call only
 *   copies    the callee keeps a copy; the caller may reuse the original at once
 *   takes     the callee frees it
 *   lends     the caller may read it until the next call on the same stack */
#ifndef ESTAB_H
#define ESTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define ESTAB_VERSION_MAJOR 0
#define ESTAB_VERSION_MINOR 1
#define ESTAB_VERSION_PATCH 0

typedef struct estab_stack estab_stack; /* opaque; one per core */
typedef uint64_t
    estab_sock; /* slot | generation: a stale handle is E_BADF, never use-after-free; 0: none */
typedef uint64_t estab_time; /* ns since an arbitrary origin, monotonic */
typedef uint64_t estab_dur;  /* ns */
#define ESTAB_NEVER UINT64_MAX

#define ESTAB_US(n) ((estab_dur)(n)*1000u)
#define ESTAB_MS(n) ((estab_dur)(n)*1000000u)
#define ESTAB_S(n)  ((estab_dur)(n)*1000000000u)

enum estab_err {
    ESTAB_OK = 0,
    ESTAB_E_AGAIN = -1,         /* nothing to do now; wait for the event */
    ESTAB_E_BADF = -2,          /* no such socket (any more) */
    ESTAB_E_INVAL = -3,         /* an argument, or the call in this state, makes no sense */
    ESTAB_E_NOMEM = -4,         /* env.alloc refused, or a ceiling of estab_config is reached */
    ESTAB_E_INUSE = -5,         /* address and port are taken; or no ephemeral port is free */
    ESTAB_E_NOTCONN = -6,       /* RFC 9293: "connection does not exist" */
    ESTAB_E_ISCONN = -7,        /* RFC 9293: "connection already exists" */
    ESTAB_E_REFUSED = -8,       /* RFC 9293: "connection refused" */
    ESTAB_E_RESET = -9,         /* RFC 9293: "connection reset" */
    ESTAB_E_TIMEOUT = -10,      /* RFC 9293: "connection aborted due to user timeout" */
    ESTAB_E_UNREACH = -11,      /* no route, or ICMP said so */
    ESTAB_E_PIPE = -12,         /* RFC 9293: "connection closing": this side has closed */
    ESTAB_E_INPROGRESS = -13,   /* the opening goes on; wait for ESTAB_EV_OUT or ESTAB_EV_ERR */
    ESTAB_E_ADDRNOTAVAIL = -14, /* no port of this stack has that address */
    ESTAB_E_NOTSUP = -15,       /* not this way, on this kind of socket */
    ESTAB_E_MSGSIZE = -16,      /* longer than a datagram can be */
};

enum estab_tcp_state { /* RFC 9293 section 3.3.2, in the order of its figure 5 */
                       ESTAB_CLOSED,
                       ESTAB_LISTEN,
                       ESTAB_SYN_SENT,
                       ESTAB_SYN_RECEIVED,
                       ESTAB_ESTABLISHED,
                       ESTAB_FIN_WAIT_1,
                       ESTAB_FIN_WAIT_2,
                       ESTAB_CLOSE_WAIT,
                       ESTAB_CLOSING,
                       ESTAB_LAST_ACK,
                       ESTAB_TIME_WAIT,
                       ESTAB_TCP_STATES /* how many there are */
};

/* An internet address and a port.  IPv4 is written ::ffff:a.b.c.d; port in host order; scope is
 * the port number of the link that a link-local address belongs to, plus 1 (0: unscoped). */
struct estab_addr {
    uint8_t ip[16];
    uint16_t port;
    uint16_t scope;
};

/* ---- tracing: one record per thing that happened, never per thing that might ---- */

enum estab_trace_kind {
    ESTAB_TR_STATE,   /* a connection changed state: from, to, cause */
    ESTAB_TR_SEG_IN,  /* a segment reached its connection; comes before what it causes */
    ESTAB_TR_SEG_OUT, /* a segment was handed out; rule says why it was sent again, if it was */
    ESTAB_TR_DROP,    /* a frame or segment was refused under `rule` */
    ESTAB_TR_TIMER,   /* a deadline passed: timer */
    ESTAB_TR_CC, /* the congestion window changed for a reason other than growth: rule, len = cwnd
                  */
};
enum estab_cause { /* RFC 9293 section 3.10's classes of event */
                   ESTAB_BY_USER,
                   ESTAB_BY_SEGMENT,
                   ESTAB_BY_TIMEOUT,
                   ESTAB_BY_ICMP,
};
enum estab_timer {
    ESTAB_T_NONE,
    ESTAB_T_REXMT,   /* retransmission, RFC 6298 */
    ESTAB_T_PERSIST, /* zero-window probe, RFC 9293 section 3.8.6.1 */
    ESTAB_T_DELACK,  /* delayed acknowledgment, RFC 9293 section 3.8.6.3 */
    ESTAB_T_SWS, /* override of the sender's silly-window avoidance, RFC 9293 section 3.8.6.2.1 */
    ESTAB_T_KEEPALIVE, /* RFC 9293 section 3.8.4 */
    ESTAB_T_FINWAIT2,  /* an orphan's FIN-WAIT-2 is bounded */
    ESTAB_T_2MSL,      /* TIME-WAIT, RFC 9293 section 3.4.2 */
    ESTAB_T_SYNACK,    /* a half-open entry's SYN,ACK again */
    ESTAB_T_REORDER,   /* what was overtaken is lost, RFC 8985 section 6.3 */
    ESTAB_T_TAIL,      /* tail loss probe, RFC 8985 section 7 */
    ESTAB_T_PACE,      /* the next text, where it goes by the clock */
};
enum { /* struct estab_trace.flags: the octet of the TCP header */
       ESTAB_FIN = 0x01,
       ESTAB_SYN = 0x02,
       ESTAB_RST = 0x04,
       ESTAB_PSH = 0x08,
       ESTAB_ACK = 0x10,
       ESTAB_URG = 0x20,
       ESTAB_ECE = 0x40,
       ESTAB_CWR = 0x80,
};
struct estab_trace {
    estab_time at;
    estab_sock sock; /* 0: none, or not yet one */
    struct estab_addr local, peer;
    enum estab_trace_kind kind;
    enum estab_cause cause;        /* ESTAB_TR_STATE */
    enum estab_tcp_state from, to; /* ESTAB_TR_STATE; other kinds: both the state it is in */
    enum estab_timer timer;        /* ESTAB_TR_TIMER */
    uint16_t rule;                 /* which paragraph acted or refused; 0: none */
    uint16_t wnd;                  /* SEG_*: the window field as on the wire */
    uint8_t flags;                 /* SEG_* */
    uint8_t wscale;                /* SEG_*: the shift that applies to wnd */
    uint32_t seq, ack, len;        /* SEG_*: wire values in host order; len: octets of text */
};
const char *estab_rule_name(unsigned rule); /* "blind-rst"; NULL: no such rule */
const char *estab_rule_ref(unsigned rule);  /* "RFC 5961 section 3.2" */
uint64_t estab_rule_count(const estab_stack *s,
                          unsigned rule); /* how often it acted in this stack */
bool estab_rule_refused(const estab_stack *s,
                        unsigned rule); /* by refusing a frame or segment, at least once */

/* ---- environment and settings ---- */

struct estab_env { /* copied; ctx must outlive the stack */
    void *ctx;
    estab_time (*now)(void *ctx);
    void (*random)(void *ctx, void *buf,
                   size_t len); /* unpredictable octets: hash, ISN, port and timestamp secrets */
    void *(*alloc)(void *ctx, size_t size,
                   size_t align); /* NULL: none; contents need not be zero */
    void (*free)(void *ctx, void *ptr, size_t size,
                 size_t align); /* sized: lets an arena skip headers */
    void (*trace)(void *ctx,
                  const struct estab_trace *t); /* NULL: no tracing; must not call the stack */
};
enum estab_syn_cookies { /* RFC 4987 section 3.6 */
                         ESTAB_COOKIES_NEVER,
                         ESTAB_COOKIES_WHEN_FULL, /* of half-open entries: backlog or max_synq */
                         ESTAB_COOKIES_ALWAYS,    /* no half-open entries at all */
};
enum estab_overflow {                      /* a SYN that a listener has no room for */
                      ESTAB_OVERFLOW_DROP, /* unanswered: the peer tries again */
                      ESTAB_OVERFLOW_RST,  /* refused: the peer's user is told at once */
};
enum estab_ecn { /* RFC 3168, and Accurate ECN, RFC 9768 */
                 ESTAB_ECN_OFF,
                 ESTAB_ECN_PASSIVE,  /* used, of either kind, where the peer asks for it */
                 ESTAB_ECN_ACTIVE,   /* and RFC 3168's asked for in every SYN */
                 ESTAB_ECN_ACCURATE, /* or Accurate ECN; RFC 3168's where the peer has only that */
};
/* What systems do differently where the RFCs leave it open, or in spite of them; doc/PROFILES.md
 * has each value's source.  Settings in which they merely differ by a number are in estab_config.
 */
enum estab_option_order {
    ESTAB_OPTIONS_SACK_TS_WS, /* MSS, SACK permitted, timestamps, NOP, window scale */
    ESTAB_OPTIONS_WS_SACK_TS, /* MSS, NOP, window scale, SACK permitted, timestamps; EOLs at the end
                               */
};
#define ESTAB_WSCALE_AUTO    0xff
#define ESTAB_SLOW_START_OWN 0xff
struct estab_profile {
    char name[16];
    uint8_t options;    /* enum estab_option_order */
    uint8_t wscale;     /* the shift announced; ESTAB_WSCALE_AUTO: the least that fits the buffer */
    uint8_t quick_acks; /* segments that a new connection acknowledges at once; 0: none, ever */
    uint8_t syn_linear; /* retransmissions of a SYN before the timeout doubles */
    uint8_t slow_start; /* RFC 3465's L: segments that an ACK adds in slow start; 0: no limit;
                           ESTAB_SLOW_START_OWN: the algorithm's, newreno's 1, cubic's 8 */
    estab_dur rto_slop; /* added to every timeout but a SYN's first */
    estab_dur syn_again;      /* after a segment with a wrong ACK in SYN-SENT; 0: at the timeout */
    bool syn_window_whole;    /* the window of a SYN is a multiple of the segment size */
    bool listen_silent;       /* a SYN,ACK to a listener is dropped, not reset */
    bool syn_received_silent; /* an RST beside the exact number is dropped, not challenged */
    bool closing_repeats_fin; /* a FIN in FIN-WAIT-1 is answered with our FIN again */
    bool close_wait_pipe;     /* an RST in CLOSE-WAIT is told as E_PIPE, not E_RESET */
    bool time_wait_needs_ack; /* a FIN without ACK is dropped in TIME-WAIT, not acknowledged */
    bool time_wait_acks_all;  /* text and FIN inside the window are acknowledged there even without
                                 ACK */
};
enum estab_mtu_probing { /* RFC 4821: how the size of segments is found out */
                         ESTAB_MTU_PROBING_OFF,       /* by what routers say, only */
                         ESTAB_MTU_PROBING_BLACKHOLE, /* ... and smaller, where large ones vanish */
                         ESTAB_MTU_PROBING_ON, /* from small to large, whatever routers say */
};
struct estab_config { /* append-only; `size` tells the library which fields the caller knows */
    size_t size;
    uint16_t shard, nshards; /* which of how many stacks with this address: estab_frame_shard();
                                0 and 1: the only one */
    uint32_t max_conns;      /* connections with a control block */
    uint32_t max_synq;       /* half-open entries, all listeners together */
    uint32_t max_timewait;   /* TIME-WAIT entries; beyond it the oldest goes */
    uint32_t sndbuf, rcvbuf; /* per-connection ceilings, octets; memory is taken as needed */
    size_t mem_max;          /* octets taken from env.alloc at any time; 0: no ceiling */
    estab_dur msl;           /* RFC 9293 section 3.4.2; TIME-WAIT lasts 2 msl */
    estab_dur rto_init, rto_min, rto_max; /* RFC 6298 */
    estab_dur delack;                     /* at most 500 ms, RFC 9293 section 3.8.6.3 */
    estab_dur fin_wait_2;   /* how long an orphan waits for the peer's FIN; 0: for ever */
    estab_dur user_timeout; /* R2 of RFC 9293 section 3.8.3 for data, and how long a peer may keep
                               its window closed; 0: only max_retries counts */
    uint8_t syn_retries, synack_retries, max_retries;
    uint8_t initial_window; /* segments, RFC 6928 */
    uint8_t hop_limit;
    bool timestamps, window_scale, sack; /* offered and accepted, RFC 7323, RFC 2018 */
    uint16_t port_lo, port_hi;           /* ephemeral ports, RFC 6056 */
    char cc[16];                         /* "newreno", "cubic", "dctcp", "bbr" */
    /* Fragments that wait for the rest of their datagram, RFC 791 section 3.2, RFC 8200
     * section 4.5: octets in all (with what it takes to keep them; 0: fragments are dropped) and of
     * one source, datagrams in all and of one source.  At a bound the oldest goes. */
    uint32_t reass_max, reass_source_max;
    uint16_t reass_datagrams, reass_source_datagrams;
    estab_dur reass_timeout;
    uint8_t syn_cookies;     /* enum estab_syn_cookies */
    uint8_t listen_overflow; /* enum estab_overflow */
    uint32_t rst_rate;    /* RSTs a second to one address, or IPv6 network, for segments without a
                             connection; 0: no limit */
    uint32_t max_orphans; /* closed by the user, not yet over; beyond it the oldest is reset; 0: no
                             limit but max_conns */
    uint8_t
        orphan_retries; /* R2 of section 3.8.3 for them, and for the probes of a closed window */
    estab_dur uto_min, uto_max; /* what a peer's User Timeout option is obeyed between: RFC 5482
                                   section 3.1's L_LIMIT and U_LIMIT */
    bool timewait_reuse; /* where every port is taken, connect takes one that has been in TIME-WAIT
                            for more than a second and has timestamps (RFC 6191) */
    struct estab_profile profile; /* "rfc" */
    /* Path MTUs, RFC 1191, RFC 8201: destinations remembered, for how long (at least 5 minutes),
     * and what no path is believed to be narrower than, IPv4's and IPv6's. */
    uint32_t pmtu_max;
    estab_dur pmtu_age;
    uint16_t pmtu_least4, pmtu_least6;
    uint8_t mtu_probing; /* enum estab_mtu_probing */
    /* MSS that nearly every path takes: where probing begins, and what is tried in a black hole
     * first; no less than pmtu_least. */
    uint16_t base_mss4, base_mss6;
    uint8_t ecn;             /* enum estab_ecn */
    uint32_t fastopen_cache; /* destinations whose Fast Open cookies are kept, RFC 7413; 0: none is
                                ever asked for */
    bool why_times; /* counts how long each connection spends in each of enum estab_why's reasons:
                       some 250 octets a connection */
    bool accept_redirects; /* ICMP redirects about what is in flight change the first hop */
    bool source_routes; /* IPv4 source routes of TCP: estab_source_route(), and those received; off:
                           what has one is dropped, RFC 7126 section 4.3 */
    /* Where the buffers of a connection begin, octets (or at the ceilings, if those are lower);
     * they grow with what a round trip carries, unless ESTAB_O_SNDBUF, ESTAB_O_RCVBUF set their
     * size. */
    uint32_t sndbuf_init, rcvbuf_init;
    bool pacing;      /* text is spread over the round trip: ESTAB_O_PACING_RATE of all sockets */
    uint32_t notsent; /* ESTAB_O_NOTSENT_LOWAT of all sockets that set neither that nor
                         ESTAB_O_SNDBUF, but for the first call when nothing is unsent, which may
                         fill the buffer: more than a cache holds goes slower; 0: no bound */
};
#define estab_config_init(cfg) estab_config_init_sized((cfg), sizeof *(cfg))
void estab_config_init_sized(struct estab_config *cfg, size_t size); /* fills every default */
/* Sets the profile, and every setting in which it differs from the others, to those of "rfc",
 * "linux" or "freebsd"; the rest of cfg stays.  E_INVAL: no such profile, or cfg->size ends before
 * the profile. */
int estab_config_profile(struct estab_config *cfg, const char *name);
/* The least ceiling: a stack, and one connection that makes progress. */
#define ESTAB_MEM_LEAST 393216u
struct estab_config_fault { /* which number is wrong, and between what it must be */
    const char *field;      /* as it is written in struct estab_config; "cc": no such algorithm */
    uint64_t value, least, most;
};
/* Whether estab_stack_new() would take cfg; if not, *why (which may be NULL) says what is wrong
 * with it.  Nothing is taken from anybody. */
bool estab_config_ok(const struct estab_config *cfg, struct estab_config_fault *why);

/* Makes a stack.  copies env and cfg (cfg may be NULL: the defaults).  *out is untouched on
 * failure. E_INVAL: a callback of env is missing or a setting is impossible (estab_config_ok() says
 * which); E_NOMEM. */
int estab_stack_new(estab_stack **out, const struct estab_env *env, const struct estab_config *cfg);
/* Frees everything, sends nothing; every handle of it is dead.  NULL is allowed. */
void estab_stack_free(estab_stack *s);

const char *estab_version(void); /* "0.1.0" */

/* ---- sans-I/O: frames in, frames out, one deadline ---- */

struct estab_iov {
    void *base;
    size_t len;
};
enum { /* struct estab_offload: the values of struct virtio_net_hdr */
       ESTAB_OFF_NEEDS_CSUM =
           1, /* flags: complete the checksum from csum_start, stored at csum_offset */
       ESTAB_OFF_DATA_VALID = 2, /* flags: checksums have been verified */
       ESTAB_GSO_NONE = 0,
       ESTAB_GSO_TCPV4 = 1,
       ESTAB_GSO_TCPV6 = 4,
};
struct estab_offload { /* same meaning as virtio_net_hdr; all zero: a plain frame with full
                          checksums */
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
#define ESTAB_IOVS 4
struct estab_frame {
    struct estab_iov iov[ESTAB_IOVS];
    uint32_t niov;
    struct estab_offload off;
};
enum estab_medium {
    ESTAB_MEDIUM_IP,       /* bare IPv4 and IPv6 packets, as TUN carries them */
    ESTAB_MEDIUM_ETHERNET, /* Ethernet II frames without FCS, as TAP carries them */
};
struct estab_port_caps {
    enum estab_medium medium;
    uint32_t mtu; /* largest IP packet, octets: 68 (1280 with IPv6) to 65535 */
    uint32_t
        gso_max;  /* largest super-segment the link cuts up itself, octets of IP packet; 0: none */
    bool tx_csum; /* the link completes partial checksums */
    bool rx_csum; /* the link has verified the checksums of what it delivers */
    uint8_t mac[6];      /* ESTAB_MEDIUM_ETHERNET */
    bool dad;            /* RFC 4862 duplicate address detection before an IPv6 address is used */
    bool router_solicit; /* RFC 4861 section 6.3.7 */
};
/* All of these: 0 or a port number, E_INVAL (argument), E_NOMEM.  Pointers are borrowed.
 * A prefix_len counts the bits of the 16-octet form: an IPv4 /24 is 120. */
int estab_port_add(estab_stack *s,
                   const struct estab_port_caps *caps); /* the port's number, from 0 */
int estab_addr_add(estab_stack *s, int port, const uint8_t addr[16], uint8_t prefix_len);
int estab_route_add(
    estab_stack *s, int port, const uint8_t dst[16], uint8_t prefix_len,
    const uint8_t *gw); /* gw NULL: on link; prefix_len 0 with an IPv4 gw: IPv4's default */

/* Frames arrive: borrows n frames of up to ESTAB_IOVS pieces.  A malformed frame is no error: it is
 * dropped and counted.  E_INVAL: no such port. */
int estab_input(estab_stack *s, int port, const struct estab_frame *f, size_t n);
/* Where a driver that copies frames may put the next one: its first `head` octets anywhere, the
 * next `len` at `to`, and the rest anywhere.  If it brings what comes next on the connection that a
 * buffer was lent to last (estab_recv_lend()), its text lies where it belongs then, and is not
 * copied once more.  Any other frame may be there just as well.  The text of the one behind it
 * belongs behind its text.  len 0: the buffer is full, or what came for it waits in the queue; a
 * driver may give its user a turn before it reads more.  That is said once for each loan. */
struct estab_place {
    size_t head;
    void *to;
    size_t len;
};
/* Good until the next call that changes the stack; the frame is estab_input()'s first then.  1: *p
 * says where; 0: there is no such connection, and *p is as it was; E_INVAL: no such port. */
int estab_input_place(estab_stack *s, int port, struct estab_place *p);
#define ESTAB_BATCH 64 /* frames that one call hands out at most, whatever n is */
/* The next frames to send on a port: fills up to n and returns how many; fewer than n and
 * ESTAB_BATCH: there are no more for now.
 * lends the frames' octets.  What was handed out counts as sent: a driver that cannot send it is a
 * lossy link.  E_INVAL: no such port. */
int estab_output(estab_stack *s, int port, struct estab_frame *f, size_t n);
/* When to call estab_expire, or ESTAB_NEVER; at once, when estab_output has raised an event that
 * estab_events has not reported: its user is asleep, perhaps. */
estab_time estab_deadline(const estab_stack *s);
int estab_expire(estab_stack *s); /* runs due timers; returns how many fired */

/* Several stacks with one address, each run by its own thread: which of them a frame is for, by its
 * four-tuple; estab_config says to each which it is.  ESTAB_SHARD_ALL: all of them must hear it
 * (what neighbours and routers say).  A listener listens on every stack; estab_connect() chooses a
 * port whose answers come home, and says E_ADDRNOTAVAIL of one that was bound and does not.
 * Fragments go by their addresses, and a TCP segment that comes in them is dropped where it is not
 * at home.  UDP sockets are bound on every stack.  Any thread. */
#define ESTAB_SHARD_ALL UINT32_MAX
uint32_t estab_frame_shard(enum estab_medium medium, const struct estab_frame *f, uint16_t nshards);
/* The same of two ends. */
uint32_t estab_flow_shard(const struct estab_addr *a, const struct estab_addr *b, uint16_t nshards);

/* ---- sockets: BSD verbs, never blocking ----
 * Every call: E_BADF for a dead handle. */

enum estab_type { ESTAB_TCP, ESTAB_UDP };
enum estab_how { ESTAB_SHUT_RD = 1, ESTAB_SHUT_WR = 2, ESTAB_SHUT_RDWR = 3 };
enum estab_opt {
    ESTAB_O_NODELAY,    /* 1: no Nagle, RFC 9293 section 3.7.4 */
    ESTAB_O_SNDBUF,     /* ceiling of unacknowledged and unsent octets; set: it stays so.  get: what
                           it is now */
    ESTAB_O_RCVBUF,     /* ceiling of unread octets: bounds the window; as ESTAB_O_SNDBUF.  Beyond
                           65535 the window scale of the handshake bounds it, too */
    ESTAB_O_KEEPIDLE,   /* ns idle before the first keepalive; 0: none (default), RFC 9293
                           section 3.8.4 */
    ESTAB_O_KEEPINTVL,  /* ns between keepalives */
    ESTAB_O_KEEPCNT,    /* unanswered keepalives before the connection is given up */
    ESTAB_O_HOP_LIMIT,  /* TTL or hop limit of what is sent */
    ESTAB_O_MAXSEG,     /* upper bound of the MSS sent and announced; 0: none */
    ESTAB_O_ERROR,      /* get only: the pending error, as a positive number, and clears it */
    ESTAB_O_QUICKACK,   /* 1: acknowledge without delay */
    ESTAB_O_TOS,        /* IPv4's type of service, IPv6's traffic class: the differentiated services
                           field in the upper six bits; the lower two are the stack's */
    ESTAB_O_SOFT_ERROR, /* get only: what ESTAB_EV_REPORT is about, as a positive number: E_UNREACH
                           for an ICMP error, E_TIMEOUT for text sent three times again in vain;
                           0 once something new was acknowledged */
    ESTAB_O_URGENT,     /* get only: how many octets of what is to be read next, or still to come,
                           are urgent (RFC 9293 section 3.8.5) */
    ESTAB_O_LINGER, /* what estab_close() does with octets not yet acknowledged.  ESTAB_NEVER: they
                       are sent, the peer willing (default).  0: the connection is aborted.  Else
                       as ESTAB_NEVER; ns for which a caller who waits should, after
                       estab_shutdown(), wait for ESTAB_EV_FLUSHED before estab_close() */
    ESTAB_O_USER_TIMEOUT,     /* ns without progress until the connection is given up, RFC 9293
                                 section 3.10.1, instead of estab_config's user_timeout and max_retries;
                                 from then on the peer's wish is not obeyed.  0: theirs again (default).
                                 ESTAB_NEVER: for ever.  get: what holds now, 0: only max_retries */
    ESTAB_O_ADV_USER_TIMEOUT, /* ns told to the peer in User Timeout options, RFC 5482, rounded up
                                 to seconds or minutes; the peer's are obeyed.  0: neither (default)
                               */
    ESTAB_O_CORK, /* 1: partial segments are held back until it is 0 again, for at most 200 ms after
                     all before them was acknowledged; a FIN and ESTAB_O_NODELAY let them go */
    ESTAB_O_RCVLOWAT,      /* octets that ESTAB_EV_IN waits for (or the end, or a full buffer), at
                              most half of ESTAB_O_RCVBUF; 0, 1: any (default) */
    ESTAB_O_NOTSENT_LOWAT, /* octets not yet sent beyond which ESTAB_EV_OUT and estab_send() wait,
                              however much room ESTAB_O_SNDBUF has for what is in flight; 0:
                              estab_config.notsent (default) */
    ESTAB_O_DEFER_ACCEPT,  /* a listener: ns for which connections without text are not there to be
                              accepted; rounded up to a timeout of the SYN,ACK, the last at most.
                              Those that came by a SYN cookie are at once.  0: none (default) */
    ESTAB_O_REUSEADDR, /* before bind.  1: others that have it too may have the same port: of TCP's,
                          one of them may listen, and connections of the port that were left over,
                          in TIME-WAIT or not, do not matter; of UDP's, the youngest is given what
                          arrives */
    ESTAB_O_REUSEPORT, /* before bind.  1: others that have it too may have the same port, and share
                          what arrives by a hash of its addresses and ports: connections among
                          listeners, datagrams */
    ESTAB_O_V6ONLY,    /* before bind.  1: no IPv4.  0 (default): an all-zero IPv6 address is any of
                          both */
    ESTAB_O_ECN,       /* enum estab_ecn; before connect, or for what a listener accepts */
    /* TCP Fast Open, RFC 7413; 0: no (default).  For what may be asked twice: a SYN that the
     * network copies can make two connections with the same first octets.
     * A listener: how many connections it may have that are not yet established but can be
     * accepted, with the text of their SYN to be read, and sent to.
     * A socket that connects: not 0: the server is asked for a cookie; when one is there, the SYN
     * waits for the first estab_send, for 200 ms at most, and takes its octets along. */
    ESTAB_O_FASTOPEN,
    /* Text is spread over the round trip, at the rate that the congestion control has, or that
     * follows from its window, instead of in a burst for each ACK.  Octets a second: and no faster
     * than that.  ESTAB_NEVER: as fast as it likes.  0: as estab_config.pacing says (default). */
    ESTAB_O_PACING_RATE,
};
enum {                     /* flags of estab_send and estab_recv */
       ESTAB_MSG_PEEK = 1, /* recv: leave what is read */
       ESTAB_MSG_MORE = 2, /* send: more follows, hold a partial segment back */
       ESTAB_MSG_OOB = 4,  /* send: the last octet is urgent, RFC 9293 section 3.8.5 */
};

/* E_INVAL: type; E_NOMEM. */
int estab_socket(estab_stack *s, enum estab_type type, estab_sock *out);
/* An all-zero ip means any; port 0 lets listen or connect choose one.
 * E_INVAL: already bound or connected; E_ADDRNOTAVAIL; E_INUSE. */
int estab_bind(estab_stack *s, estab_sock k, const struct estab_addr *local);
/* Passive OPEN.  backlog bounds half-open and unaccepted connections together; at least 1.
 * A second call changes the backlog.  E_INUSE; E_ISCONN; E_NOMEM. */
int estab_listen(estab_stack *s, estab_sock k, uint32_t backlog);
/* Takes the oldest completed connection.  peer may be NULL.  E_AGAIN: none; E_INVAL: not listening.
 */
int estab_accept(estab_stack *s, estab_sock k, estab_sock *out, struct estab_addr *peer);
/* UDP: 0; sets the peer: the only one from then on whose datagrams and ICMP errors arrive.  May be
 * called again; port 0: no peer any more.
 * TCP: active OPEN: E_INPROGRESS, then ESTAB_EV_OUT (established) or ESTAB_EV_ERR; with
 * ESTAB_O_FASTOPEN, ESTAB_EV_OUT may mean that the SYN waits for text.
 * E_ISCONN; E_UNREACH: no route; E_INUSE: the four-tuple exists, or every ephemeral port to this
 * peer is taken (estab_port_forecast() says by what, and when the next is free); E_NOMEM. */
int estab_connect(estab_stack *s, estab_sock k, const struct estab_addr *peer);
/* The IPv4 gateways that the connection's segments pass on their way, in this order, RFC 9293
 * section 3.9.2.1; strict: and no others.  Before estab_connect() or estab_listen(), whose
 * connections then all go that way, whatever route they came by; n 0: none.  E_INVAL:
 * estab_config.source_routes is off, more than 9, not unicast addresses of IPv4, not a TCP socket's
 * time for it; E_NOMEM. */
int estab_source_route(estab_stack *s, estab_sock k, const struct estab_addr *hops, size_t n,
                       bool strict);
/* SEND: copies what fits and returns how much; iov is borrowed.
 * E_AGAIN: the buffer is full (ESTAB_EV_OUT follows); E_NOMEM: nothing was taken; E_NOTCONN;
 * E_PIPE: after shutdown; or the connection's own error (E_RESET, E_TIMEOUT, E_REFUSED, E_UNREACH),
 * once. */
ptrdiff_t estab_send(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags);
/* SEND without a copy: the stack sends from where the text lies, behind what was sent before, and
 * reads it until the peer has acknowledged it: so long it must stay there, and stay as it is. Takes
 * whole pieces, as many as it has room for (of 32, and 2^30 octets with what is queued), and
 * returns how many octets; ESTAB_O_SNDBUF does not count.  flags: ESTAB_MSG_MORE or 0. ESTAB_EV_OUT
 * follows each time that a piece is the caller's again.  A frame carries text of at most three
 * pieces: those shorter than a segment make segments short.  estab_send() is E_INVAL as long as
 * text is lent, estab_close() an abort (shut down and wait instead); and when the connection ends,
 * all is the caller's again.  Text of 0 octets is none: 0.
 * E_AGAIN: no room for a piece; E_INVAL: one is longer than 2^30; otherwise as estab_send(). */
ptrdiff_t estab_send_lend(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                          uint32_t flags);
/* How many octets are lent: the last ones; those before them are the caller's again. */
ptrdiff_t estab_send_lent(estab_stack *s, estab_sock k);
/* RECEIVE: 0 is the peer's FIN, after all its text was read.  E_AGAIN: nothing yet (ESTAB_EV_IN
 * follows); E_NOTCONN; or the connection's own error, once. */
ptrdiff_t estab_recv(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                     uint32_t flags);
/* Lends buf to a TCP connection: from now on what comes goes straight there, as far as it comes in
 * order and there is room, and is copied once instead of twice; ESTAB_EV_IN as ever.  What is
 * unread is in it on return.  Octets of buf behind those that are counted in the end may be
 * anything. E_INVAL: one is lent already, or len is 0 or more than 2^31; E_NOTCONN; E_NOMEM. */
int estab_recv_lend(estab_stack *s, estab_sock k, void *buf, size_t len);
/* Takes it back: how many octets of text are in it, or, where there are none, estab_recv()'s
 * results.  estab_recv() is E_INVAL before, and the handle's end is the loan's.  E_INVAL: none is
 * lent. */
ptrdiff_t estab_recv_end(estab_stack *s, estab_sock k);
struct estab_recv_info { /* append-only, versioned like estab_config: set size before the call */
    size_t size;
    struct estab_addr from, local;
    size_t len;     /* of the whole datagram */
    bool truncated; /* the buffers were too short for it; the rest is lost, but for a peek */
    uint8_t hop_limit, tos; /* as it arrived */
};
/* Datagrams.  Each call is one, of any length down to 0, and whole or not at all: a queue that
 * holds less than ESTAB_O_SNDBUF takes it.  What is longer than the path takes goes in fragments.
 * to: NULL: the peer (as estab_send()).  There are no groups and no broadcasts.
 * E_AGAIN: the queue is full (ESTAB_EV_OUT follows); E_MSGSIZE; E_NOTCONN: no peer, and to is NULL;
 * E_INVAL: to; E_UNREACH; E_ADDRNOTAVAIL: not from the address it is bound to; E_INUSE: no
 * ephemeral port is free; E_PIPE; E_NOMEM; or, once, what ICMP has said about an earlier one to the
 * peer (E_REFUSED, E_UNREACH).  On a TCP socket, as estab_send(), whatever `to` is. */
ptrdiff_t estab_sendto(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                       uint32_t flags, const struct estab_addr *to);
/* One datagram, as far as there is room for it; info may be NULL.  E_AGAIN: none (ESTAB_EV_IN
 * follows); or, once, the error as above.  0: an empty one, or none after SHUT_RD: then info is not
 * written.  On a TCP socket, as estab_recv(); info: the peer, and how much was read. */
ptrdiff_t estab_recvfrom(estab_stack *s, estab_sock k, const struct estab_iov *iov, size_t niov,
                         uint32_t flags, struct estab_recv_info *info);
/* SHUT_WR is RFC 9293's CLOSE seen from the sender: a FIN after what is queued.  SHUT_RD discards
 * what is unread and what still comes.  E_NOTCONN. */
int estab_shutdown(estab_stack *s, estab_sock k, enum estab_how how);
/* Graceful: what is queued is still sent; the handle is dead on return.  Unread octets
 * (RFC 1122 section 4.2.2.13) and an ESTAB_O_LINGER of 0 turn it into an abort.  E_NOMEM: no memory
 * to keep the FIN; the handle still lives. */
int estab_close(estab_stack *s, estab_sock k);
int estab_abort(estab_stack *s,
                estab_sock k); /* RFC 9293 section 3.10.5: RST, queues dropped, handle dead */
int estab_setopt(
    estab_stack *s, estab_sock k, enum estab_opt opt,
    uint64_t val); /* E_INVAL: value or option; E_NOMEM: for what few connections set */
int estab_getopt(estab_stack *s, estab_sock k, enum estab_opt opt, uint64_t *val);
/* TCP's congestion control, by name: "newreno", "cubic", "dctcp", "bbr"; at any time.  What a
 * listener accepts has the listener's; others the stack's (estab_config.cc).  E_INVAL: no such
 * algorithm; E_NOTSUP: UDP.
 */
int estab_set_cc(estab_stack *s, estab_sock k, const char *name);
int estab_get_cc(const estab_stack *s, estab_sock k, char name[16]);
/* Either pointer may be NULL.  E_NOTCONN: peer asked of an unconnected socket. */
int estab_getaddrs(const estab_stack *s, estab_sock k, struct estab_addr *local,
                   struct estab_addr *peer);

/* ---- readiness and introspection ---- */

enum {
    ESTAB_EV_IN = 1,        /* something to read or accept, or end of stream */
    ESTAB_EV_OUT = 2,       /* room to send, or the opening is complete */
    ESTAB_EV_ERR = 4,       /* the connection has failed; ESTAB_O_ERROR says how */
    ESTAB_EV_HUP = 8,       /* both directions are closed */
    ESTAB_EV_RDHUP = 16,    /* the peer has closed its side */
    ESTAB_EV_REPORT = 32,   /* nothing is lost yet, but something is amiss: ESTAB_O_SOFT_ERROR */
    ESTAB_EV_URG = 64,      /* the peer has urgent data, or more of it: ESTAB_O_URGENT */
    ESTAB_EV_FLUSHED = 128, /* after estab_shutdown(): all octets and the FIN are acknowledged; or
                               the connection is over */
};
struct estab_event {
    estab_sock sock;
    uint32_t mask;
    void *user;
};
/* Edge-triggered: an event is reported when it becomes so (and at once if it already is).
 * ERR and HUP are always watched while mask is not 0. */
int estab_watch(estab_stack *s, estab_sock k, uint32_t mask, void *user);
size_t estab_events(estab_stack *s, struct estab_event *out,
                    size_t cap); /* drains the ready list: O(ready) */
/* Level, for poll(2) emulation.  Whoever hears of no room is told, as one whose send was E_AGAIN:
 * ESTAB_EV_OUT is reported when there is some, if it is watched. */
uint32_t estab_ready(const estab_stack *s, estab_sock k);

struct estab_tcp_info { /* append-only, versioned like estab_config: set size before the call */
    size_t size;
    enum estab_tcp_state state;
    struct estab_addr local, peer;
    estab_dur rto, srtt, rttvar, rtt_min;
    uint32_t snd_mss, rcv_mss, cwnd, ssthresh, snd_wnd, rcv_wnd, flight, unsent, unread;
    /* Of TCP, retrans and dup_acks stay at 16,777,215, rto_fired at 65,535. */
    uint64_t bytes_acked, bytes_received, segs_in, segs_out, retrans, rto_fired, dup_acks;
    char cc[16];
    enum estab_timer timer;          /* the next of its timers */
    estab_time timer_at;             /* when, or ESTAB_NEVER */
    uint32_t backlog, synq, acceptq; /* LISTEN */
    uint8_t snd_wscale, rcv_wscale;
    bool ts_ok, sack_ok, orphan; /* orphan: no handle holds it any more */
    estab_dur user_timeout;      /* in force; 0: only max_retries */
    estab_dur peer_user_timeout; /* what the peer has told (RFC 5482); 0: nothing */
    uint32_t pmtu;               /* largest packet it sends; 0: not settled yet */
    /* ESTAB_UDP: ESTABLISHED where there is a peer, else CLOSED; and of what is above, only what
     * UDP has: addresses, octets unread and unsent, and counts (segments are datagrams). */
    enum estab_type type;
    uint64_t bytes_sent; /* UDP */
    uint64_t refused;    /* UDP: datagrams for which the queue had no room */
    /* TCP again.  In octets: of flight, reported by SACK; taken as lost and still to be sent again;
     * sent again and not yet acknowledged, after a timeout. */
    uint32_t sacked, lost, resent;
    uint8_t backoff;                   /* doublings of the RTO */
    uint8_t retries;                   /* timeouts in a row */
    uint8_t probes;                    /* of a closed window, or keepalives, unanswered */
    bool recovering, timed_out;        /* fast recovery; recovery from a timeout */
    estab_time text_sent_at;           /* to the millisecond; 0: never */
    bool ecn_ok;                       /* both ends use explicit congestion notification */
    bool ecn_accurate;                 /* ... and count marks: RFC 9768 */
    bool fastopen_ok;                  /* text of the SYN was accepted */
    bool ecn_seen;                     /* the peer's text came ECN-capable, or marked */
    bool nodelay, embryo;              /* embryo: not accepted yet */
    uint32_t sndbuf, rcvbuf;           /* ceilings of what is queued */
    size_t mem;                        /* octets it holds, its queues included */
    uint32_t sndbuf_most, rcvbuf_most; /* what sndbuf, rcvbuf may grow to */
    uint64_t pacing_rate;              /* octets a second; 0: not paced */
};
/* E_BADF.  Works on the handles of estab_conn_next too. */
int estab_tcp_info(const estab_stack *s, estab_sock k, struct estab_tcp_info *info);
/* Walks everything a netstat shows: listeners, connections, half-open and TIME-WAIT entries, UDP
 * sockets.  Start with *cursor = 0.  The handles of compact entries serve estab_tcp_info only. */
bool estab_conn_next(const estab_stack *s, uint64_t *cursor, estab_sock *k);

/* Why a connection does what it does, or nothing: what stopped it, in the order in which one hides
 * the next.  Values are never given to another reason. */
enum estab_why {
    ESTAB_WHY_NOTHING,      /* nothing to send, nothing outstanding */
    ESTAB_WHY_CLOSED,       /* no connection */
    ESTAB_WHY_LISTENING,    /* waits for connections */
    ESTAB_WHY_BACKLOG,      /* a listener whose backlog is full: of connections to accept, and of
                               half-open ones */
    ESTAB_WHY_SYN_HELD,     /* the SYN waits for the first text, to carry it (RFC 7413) */
    ESTAB_WHY_SYN_SENT,     /* waits for the SYN,ACK */
    ESTAB_WHY_SYN_RCVD,     /* waits for the ACK of the SYN,ACK */
    ESTAB_WHY_NO_CONNS,     /* the handshake cannot end here: estab_config.max_conns is reached */
    ESTAB_WHY_NEIGHBOUR,    /* the link address of the next hop is being asked for */
    ESTAB_WHY_RETRANSMIT,   /* the peer does not acknowledge what has been sent again */
    ESTAB_WHY_DRIVER,       /* nobody has taken the frames that are ready */
    ESTAB_WHY_ZERO_WINDOW,  /* the peer's window is zero */
    ESTAB_WHY_NO_MEMORY,    /* memory was refused: to what was to be sent, or to what arrived */
    ESTAB_WHY_FIN_QUEUED,   /* the FIN waits behind octets not sent: `behind` */
    ESTAB_WHY_WINDOW_FULL,  /* as much is in flight as the peer's window allows */
    ESTAB_WHY_CWND,         /* ... as the congestion window allows */
    ESTAB_WHY_MORE,         /* less than a segment, and the user said that more follows */
    ESTAB_WHY_NAGLE,        /* less than a segment, RFC 9293 section 3.7.4 */
    ESTAB_WHY_SWS,          /* silly-window avoidance, RFC 9293 section 3.8.6.2.1 */
    ESTAB_WHY_NOT_READING,  /* our window is closed: the user does not read */
    ESTAB_WHY_FIN_SENT,     /* waits for the ACK of the FIN */
    ESTAB_WHY_ACK,          /* all has been sent and waits for its ACK */
    ESTAB_WHY_NOT_ACCEPTED, /* open, and in a listener's queue */
    ESTAB_WHY_CLOSE_WAIT,   /* the peer has closed, the user has not */
    ESTAB_WHY_FIN_WAIT_2,   /* the user has closed, the peer has not */
    ESTAB_WHY_TIME_WAIT,
    ESTAB_WHY_UNREAD,    /* there is something for the user to read */
    ESTAB_WHY_KEEPALIVE, /* idle, and the peer has not answered a keepalive */
    ESTAB_WHY_PACING,    /* text goes by the clock, and it is not time (beside CWND) */
    ESTAB_WHYS           /* how many there are */
};
#define ESTAB_WHY_ROOM 40 /* of spent[]: for reasons to come */
struct estab_why_info {   /* append-only, versioned like estab_config: set size before the call */
    size_t size;
    enum estab_why why;
    enum estab_why behind; /* FIN_QUEUED: what stops the octets in front of the FIN */
    enum estab_tcp_state state;
    estab_time now;        /* when this was so */
    estab_time since;      /* ... and since when; ESTAB_NEVER: not known */
    estab_time next_at;    /* when the stack does something about it, or ESTAB_NEVER */
    estab_time give_up_at; /* when the user timeout ends the connection, or ESTAB_NEVER */
    /* Retransmissions so far, SYNs, requests for a link address, probes: and how many there will
     * be (0: no such bound).  Of a zero window the bound is of those that were not answered. */
    uint32_t tries, tries_max, unanswered;
    uint32_t flight, unsent, unread, cwnd, snd_wnd, rcv_wnd, snd_mss;
    uint32_t acceptq, half_open, backlog; /* LISTENING, BACKLOG, NOT_ACCEPTED: the listener's */
    size_t mem_used, mem_max;             /* NO_MEMORY; mem_max 0: no ceiling of the stack's own */
    uint32_t conns, max_conns;            /* NO_CONNS */
    struct estab_addr hop;                /* NEIGHBOUR; SYN_SENT, SYN_RCVD, RETRANSMIT if it has
                                             failed; port 0 */
    bool hop_failed;                      /* it did not answer */
    bool orphan;
    bool has_times;                  /* estab_config.why_times: spent[] is filled */
    estab_dur spent[ESTAB_WHY_ROOM]; /* by reason, since the connection began, up to `now` */
    uint64_t pacing_rate;            /* PACING: octets a second */
};
/* Changes nothing.  Works on the handles of estab_conn_next too.  E_BADF. */
int estab_why(const estab_stack *s, estab_sock k, struct estab_why_info *info);
/* The sentence that says it, with its evidence, cut to len octets with its NUL; returns the octets
 * it has, uncut.  E_INVAL: no such reason. */
int estab_why_text(const struct estab_why_info *info, char *buf, size_t len);
const char *estab_why_name(enum estab_why w); /* "nagle" */

struct estab_stack_info { /* append-only, versioned like estab_config */
    size_t size;
    uint32_t conns, listeners, synq, timewait;
    size_t mem_used, mem_peak;             /* octets taken from env.alloc */
    uint64_t frames_in, frames_out, drops; /* drops: frames and segments refused, under any rule */
    uint32_t orphans;                      /* of conns: closed by the user, not yet over */
    uint32_t udp_socks;
    uint32_t max_conns, max_synq, max_timewait; /* of estab_config */
    size_t mem_max;
};
void estab_stack_info(const estab_stack *s, struct estab_stack_info *info);

/* Aborts a connection from outside, as RFC 9293 section 3.10.5 does from inside: the peer gets an
 * RST, the user, whose handle lives on, E_RESET.  Works on the handles of estab_conn_next, also of
 * connections that nobody holds any more.  E_BADF; E_INVAL: a listener, or no connection with a
 * control block: half-open or in TIME-WAIT, which ends by itself. */
int estab_kill(estab_stack *s, estab_sock k);
/* Another one who is told every trace record, beside env.trace and under the same rules; NULL:
 * nobody.  May be changed between calls: tracing costs nothing while nobody looks. */
void estab_tap(estab_stack *s, void (*tap)(void *ctx, const struct estab_trace *t), void *ctx);

struct estab_port_forecast { /* append-only, versioned like estab_config */
    size_t size;
    uint32_t ports; /* from port_lo to port_hi, of this shard */
    uint32_t free;  /* not taken */
    uint32_t
        reusable;   /* of busy[ESTAB_TIME_WAIT]: what estab_connect() would take once free is 0 */
    uint32_t bound; /* taken by a socket without a peer: bound, or listening */
    uint32_t busy[ESTAB_TCP_STATES]; /* taken by a connection to this peer, by its state */
    estab_time next_at; /* when a port becomes free or reusable by itself; now, if one is;
                           ESTAB_NEVER: that depends on users and peers */
};
/* What the ephemeral ports to one destination are doing: why estab_connect() said E_INUSE, or how
 * far from it this destination is.  local may be NULL: the address that estab_connect() would
 * choose.  Looks at every port: for a warning or a netstat, not for every connection.
 * E_INVAL; E_UNREACH; E_ADDRNOTAVAIL. */
int estab_port_forecast(estab_stack *s, const struct estab_addr *local,
                        const struct estab_addr *peer, struct estab_port_forecast *f);

/* The secret of the Fast Open cookies that are given out from now on, RFC 7413 section 4.1.2; the
 * one before it stays good.  For servers that share an address, and must take each other's cookies:
 * all have the same, and it is changed by calling again.  Unless this was called secrets are random
 * and change by themselves, every hour.  Linux makes the same cookies of the same 16 octets. */
void estab_fastopen_key(estab_stack *s, const uint8_t key[16]);

const char *estab_strerror(int err);
const char *estab_state_name(enum estab_tcp_state st); /* "SYN-RECEIVED", the RFC's spelling */
const char *estab_timer_name(enum estab_timer t);
/* The event that takes this edge, in figure 5's words: "rcv ACK of FIN", "CLOSE, snd FIN". */
const char *estab_edge_event(enum estab_tcp_state from, enum estab_tcp_state to,
                             enum estab_cause by);
/* Whether RFC 9293's figure (with its notes) has this edge; aborts to CLOSED are edges too. */
bool estab_edge_legal(enum estab_tcp_state from, enum estab_tcp_state to);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

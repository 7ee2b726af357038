/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp.h - the transmission control block and what surrounds it: shared inside tcp/ and by stack/
 * and sock/.
 *
 * A connection is three sizes of thing, by what it needs to remember:
 *
 *   half-open, TIME-WAIT   an entry of at most 48 octets, no tcb (tcp_synq.c, tcp_timewait.c)
 *   at rest                a struct tcb: numbers, windows, options, estimates, the user's pointer
 *   at work                a tcb with a struct tcp_work: queues, timers, recovery
 *
 * The work part is fetched by the first octet to send or to keep and goes back when nothing is in
 * flight, unsent, unread or out of order (tcp_settle()), so a million idle connections cost a
 * million tcbs and nothing else, and a busy handful shares a handful of warm work parts.
 *
 * Variables have RFC 9293's names: SND.UNA is t->snd.una.  Differences, all of them:
 *   SND.NXT   is the next new number; it never goes back.  What must be sent again is what w->sent
 *             has as lost.
 *   RCV.WND   is t->rcv.adv - t->rcv.nxt: what was promised; the right edge is what must not
 *             shrink. */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include "base/hash.h"
#include "base/ring.h"
#include "base/slots.h"
#include "base/wheel.h"
#include "ip/gso.h"
#include "ip/ip.h"
#include "tcp/tcp_cc.h"
#include "tcp/tcp_rtt.h"
#include "tcp/tcp_sent.h"
#include "wire/tcp.h"
#include <assert.h>

struct tcp_layer;
struct tcp_frames;

enum tcp_timer {            /* due in this order when due together */
                 TCP_T_REO, /* what was sent before something that has arrived is lost by then */
                 TCP_T_PTO, /* the tail of a flight is probed */
                 TCP_T_REXMT,
                 TCP_T_PERSIST,
                 TCP_T_DELACK,
                 TCP_T_SWS,
                 TCP_T_PACE,
                 TCP_TIMERS
};

/* A queue that overflows drops every second segment of a slow start: what arrives lies in as many
 * ranges as segments fit into it. */
#define TCP_AHEAD_SHIFT 12u /* log2 of their octets, from the pool */
#define TCP_AHEAD_MAX   ((1u << TCP_AHEAD_SHIFT) / sizeof(struct range))
struct tcp_ranges {
    struct ranges r;
    uint32_t slot;
};
struct tcp_sums {         /* of the text to be sent next, by the segments it will probably go in */
    seq_t at, end;        /* from SND.NXT on; summed up to here */
    uint32_t mss;         /* each of so many octets */
    uint32_t first, n;    /* those that are complete: v[first] and on, modulo their room */
    uint32_t fill;        /* octets of the one that is not */
    struct csum_run last; /* ... its sum so far */
    uint32_t slot;
    uint8_t shift; /* log2 of the octets of v, a piece of the pool */
    uint16_t *v;
};
#define TCP_TEXT_IOVS (ESTAB_IOVS - 1) /* pieces of a frame's text */
#define TCP_LENT_MAX  32u
struct tcp_lent {                     /* the user's text, estab_send_lend() */
    struct estab_iov v[TCP_LENT_MAX]; /* circular; of the first, what is not acknowledged */
    uint32_t len;                     /* octets of all */
    uint32_t slot;
    uint8_t first, n; /* n > 0 */
    bool back;        /* a piece was acknowledged, and the user has not been told */
};
enum tcp_fo { /* Fast Open: what a SYN, or SYN,ACK, has to say */
              TCP_FO_NONE,
              TCP_FO_ASK,  /* the server is asked for a cookie */
              TCP_FO_SEND, /* ... is given one, and text */
              TCP_FO_GIVE, /* the client is given a new one */
};
/* What a connection has only while octets are in flight, unsent, unread or out of order.  What a
 * message needs lies together, behind what only losses, marks and rare calls do: of ten thousand
 * connections that take turns each finds its own nowhere near. */
struct tcp_work {
    seq_t
        recent[3]; /* where the latest out-of-order text went, newest first (RFC 2018 section 4) */
    /* RFC 9937: what was in flight when the recovery began, what has been delivered since, and what
     * has been sent; octets. */
    struct {
        uint32_t flight, delivered, out;
    } prr;
    uint32_t marks;        /* RFC 9768: octets that were marked, as reported, not yet answered */
    seq_t tlp_end;         /* TLP.end_seq, if tlp_out */
    estab_time stopped_at; /* tcp_output() has been stopped since */
    seq_t before;          /* with owed.before */
    seq_t snd_up;          /* urgent pointer */
    seq_t fin_at;          /* fin_ahead: its number */
    seq_t limited_to;      /* SND.NXT when the congestion window last was what stopped text */
    estab_time mtu_at;     /* no other is tried before */
    estab_time pace_at;    /* paced: text goes no sooner */
    estab_sock listener;   /* a Fast Open connection's, until its SYN is acknowledged; or 0 */
    uint16_t mtu_next;     /* its size, if a router has named it; else 0 */
    uint8_t fo;            /* enum tcp_fo */
    struct {               /* tcp_undo.c, if undo_on */
        struct cc cc;      /* as it was */
        seq_t una, end;    /* the episode's */
        uint32_t again;    /* octets that went again, and have not come twice */
        uint32_t ts;       /* of the first that did, if begun */
        bool begun;
    } undo;
    /* draft-ietf-ccwg-bbr section 4.1; as struct run_rate has it. */
    struct {
        uint32_t delivered, delivered_us, first_us, lost;
        uint32_t lost_told; /* ... of which the algorithm knows */
        uint32_t limited;   /* the user had no more to send until so much is delivered; 0: had */
    } rate;

    /* every message */
    struct {             /* tcp_cwv.c */
        seq_t from, end; /* the round trip that is measured; equal: it begins with the next ACK */
        uint32_t ms;     /* when pipeACK was */
        uint32_t used, lost; /* a loss in a nonvalidated window: of which so much was in use, and */
    } pipe;                  /* ... w->rate.lost before it */
    struct {
        uint32_t flight, us; /* the most that was in flight of late: tcp_recover.c */
    } peak;
    seq_t probe_lo, probe_hi; /* a larger segment is tried (RFC 4821); equal: none is */
    struct range dsack;       /* RFC 2883: what came twice; lo = hi: nothing */
    union {
        struct {                     /* what something under way is told by */
            uint8_t dupacks;         /* in a row */
            uint8_t frto;            /* RFC 5682: the step that the next ACK decides; 0: none */
            bool recovering : 1;     /* fast recovery */
            bool tlp_out : 1;        /* a tail loss probe is */
            bool rto_recovering : 1; /* what was in flight at the last RTO is not yet
                                        acknowledged */
            bool cwnd_limited : 1;
            bool snd_urgent : 1;
            bool fin_ahead : 1;  /* a FIN waits behind a gap */
            bool more : 1;       /* the user said that more follows */
            bool mtu_failed : 1; /* a black hole: smaller ones are tried */
            bool ecn_wait : 1;   /* marked at a window of one segment: nothing new before the
                                    timer */
            bool undo_on : 1;    /* w->undo is of an episode */
            bool too_big : 1;    /* what goes again was too big for the path */
            bool held : 1;       /* the SYN waits for text */
            bool syn_text : 1;   /* text of the SYN was not taken: sent again, but not lost */
            bool lends : 1;      /* lent_out is not NULL */
        };
        uint32_t episode; /* any of it: not the short way, tcp_short.c */
    };
    uint8_t retries;       /* expiries since something new was acknowledged: against R2 */
    uint8_t probes;        /* zero-window probes in a row: their back-off */
    uint8_t unanswered;    /* ... and how many of the last had no answer */
    bool by_sack : 1;      /* recovering as RFC 8985 and RFC 9937 have it, not RFC 6582 */
    uint8_t partial : 2;   /* partial ACKs of a recovery without SACK: none, one, more */
    bool tlp_again : 1;    /* the probe was no new text */
    bool syn_lost : 1;     /* RFC 6298 (5.7), RFC 5681 section 3.1 */
    bool sws_override : 1; /* RFC 9293 section 3.8.6.2.1 (4) */
    bool fo_exp : 1;       /* the peer's Fast Open option is the experimental one */
    uint8_t stopped; /* enum estab_why: what stopped tcp_output(); ESTAB_WHY_NOTHING: nothing */
    uint32_t slot;
    struct ring snd; /* from SND.UNA on: in flight, then unsent; behind it, what is lent */
    struct ring rcv; /* unread; what is out of order already lies in its place */
    struct {         /* the user's buffer, estab_recv_lend(); to NULL: none, and room 0 */
        uint8_t *to;
        uint32_t room, got;
    } lent;
    estab_time due[TCP_TIMERS];
    seq_t recover;             /* RFC 6582: a recovery lasts until this is acknowledged */
    seq_t rcv_up;              /* with rcv_urgent */
    seq_t acked;               /* Last.ACK.sent, RFC 7323 section 4.3; at rest, RCV.NXT */
    bool read_round;           /* tcp_buffer.c: the round trip of t->read_ms is over */
    seq_t reduced;             /* RFC 3168: SND.NXT when the window was last reduced for a mark */
    seq_t small_end;           /* end of the last segment smaller than the MSS */
    estab_time rtt_at;         /* an octet is timed since; ESTAB_NEVER: none is */
    seq_t rtt_seq;             /* ... this one, where there are no timestamps */
    estab_time stalled_at;     /* what is in flight, or behind a closed window, has waited since */
    estab_time unread_at;      /* what is unread has been so, or the user last read some of it */
    struct tcp_ranges *ahead;  /* received out of order; NULL: none */
    struct tcp_sums *sums;     /* NULL: none */
    struct tcp_lent *lent_out; /* NULL: none */
    struct { /* RFC 8985 section 5.2 and 5.4, by its names; of what arrived and was sent last: */
        uint32_t sent_us, rtt_us;
        seq_t end;
        seq_t fack, round; /* RACK.fack; RACK.dsack_round, if in_round */
        uint8_t reo_mult, reo_persist;
        bool valid, in_round;
    } rack;
    struct cc_run cc;
    struct sent sent; /* in flight */
};

enum tcp_acc_state {
    TCP_ACC_NONE, /* there are no counters */
    TCP_ACC_ON,
    TCP_ACC_DEAF, /* the peer's are none */
};
struct tcp_acc {         /* RFC 9768 section 3.2.3, tcp_accecn.c */
    uint32_t r[3];       /* r.e0b, r.ceb, r.e1b; of each the last 24 bits go out */
    uint32_t s_ceb;      /* the peer's, as it last said */
    uint32_t guess;      /* what ACE has told of since, octets */
    uint8_t ever, since; /* a bit for each of r: it has moved; and after it was last sent */
    uint8_t greet;       /* what tries the path is still to go */
    uint8_t state;       /* enum tcp_acc_state */
};
struct tcp_extra {  /* what few users set; all zero: nothing */
    uint32_t owner; /* the tcb's slot */
    uint32_t rcv_lowat, notsent_lowat;
    uint32_t defer_ms;     /* ESTAB_O_DEFER_ACCEPT */
    uint32_t linger_ms;    /* ... and 1 */
    uint32_t keepintvl_ms; /* 0: TCP_KEEPINTVL_MS */
    uint8_t keepcnt;       /* 0: TCP_KEEPCNT */
    uint8_t hop_limit;     /* 0: the stack's */
    uint8_t tos, zero;
    uint16_t user_mss;        /* ESTAB_O_MAXSEG */
    uint16_t fastopen;        /* ESTAB_O_FASTOPEN; not inherited */
    uint16_t adv_uto;         /* RFC 5482's ADV_UTO as on the wire; 0: none */
    uint16_t peer_uto;        /* ... its REMOTE_UTO; not inherited */
    uint32_t user_timeout_ms; /* the user's or adopted; 0: the layer's; UINT32_MAX: none */
    uint64_t pacing_rate;     /* octets a second; 0: not set; ESTAB_NEVER: the algorithm's */
    struct tcp_acc acc;       /* a connection's, with ecn_acc */
};
_Static_assert(sizeof(struct tcp_extra) == 72, "no padding: it is compared as octets");
#define TCP_KEEPINTVL_MS 75000u
#define TCP_KEEPCNT      9u

struct tcp_listener { /* what a tcb in LISTEN has instead of work */
    uint32_t slot;
    uint32_t backlog;
    uint32_t nsynq;           /* half-open entries of this listener */
    struct slot_list accepts; /* completed, or begun by Fast Open; through tcb.ready */
    /* Fast Open, RFC 7413 section 5.1 */
    uint32_t npending;        /* begun so, SYN not yet acknowledged */
    uint32_t nreset[2];       /* and those that were reset in this minute, and in the one before */
    estab_time minute;        /* since when */
    estab_time cookies_until; /* until then a SYN cookie may come back */
};

struct tcb {
    /* every segment */
    struct {
        seq_t una, nxt;
        uint32_t wnd;     /* octets, scaled */
        seq_t wl1;        /* WL2 is never after UNA, and who is before UNA is not asked */
        uint32_t wnd_max; /* largest seen: RFC 9293 section 3.8.6.2.1, RFC 5961 section 5.2 */
    } snd;
    struct {
        seq_t nxt, adv; /* adv: right edge promised */
    } rcv;
    uint32_t ts_recent, ts_offset;
    uint8_t state; /* enum estab_tcp_state; written by tcp_enter() only */
    uint8_t snd_wscale : 4, rcv_wscale : 4;
    uint8_t ecn_syn : 2;          /* with ecn_acc: the IP-ECN field of the peer's SYN, or SYN,ACK */
    uint8_t r_cep : 3, s_cep : 3; /* ... r.cep and s.cep, as much as ACE has of them */
    uint8_t challenge_s;          /* tcp_second() of the last challenge ACK */
    struct tcp_layer *layer;
    union {
        struct tcp_work *w;     /* NULL: at rest */
        struct tcp_listener *l; /* LISTEN */
    };
    union {
        struct {                 /* what few connections have, or for a while */
            bool ecn_ok : 1;     /* RFC 3168: the peer's text may be marked, and marks are echoed */
            bool ecn_ect : 1;    /* ours may be */
            bool ecn_echo : 1;   /* ECE on every ACK, until CWR */
            bool ecn_cwr : 1;    /* CWR on the next new text */
            bool ecn_seen : 1;   /* text came ECT, or marked */
            bool ecn_acc : 1;    /* RFC 9768: both ends count marks instead; ecn_echo: the last was
                                    one */
            bool ecn_shake : 1;  /* ecn_acc: ACE's handshake encoding is still to be sent, or to
                                    come */
            bool has_extra : 1;  /* a struct tcp_extra */
            bool routed : 1;     /* a source route, tcp_route.c */
            bool corked : 1;     /* ESTAB_O_CORK */
            bool paced : 1;      /* text goes by the clock: tcp_pace.c */
            bool in_stalled : 1; /* with in_send: its next hop is being resolved */
            bool rd_shut : 1;    /* SHUT_RD: what arrives is discarded */
            bool rcv_urgent : 1; /* RCV.UP lies ahead of what the user has read */
            bool timeout_set : 1; /* the user timeout is the user's: RFC 5482's CHANGEABLE is
                                     false */
            bool no_memory : 1;   /* was refused to the last text to send, or that arrived */
        };
        uint16_t unusual; /* any of it: not the short way, tcp_short.c.  Asked for at once, with
                             w->episode, 2 % of a short connection and of a message */
    };
    bool syn_acked : 1, fin_queued : 1, fin_sent : 1, fin_rcvd : 1;
    bool ts_ok : 1, ws_ok : 1, sack_ok : 1;
    bool fastopen_ok : 1; /* text of the SYN was accepted, by either side */
    uint8_t ecn : 2;      /* enum estab_ecn */
    bool orphan : 1;      /* no handle: the user has closed it */
    bool bound : 1, in_demux : 1;
    bool want_out : 1;    /* the user was told E_AGAIN */
    bool embryo : 1;      /* in a listener's accept queue */
    bool established : 1; /* has been: decides what a failure is called */
    struct tcp_owed {     /* obligations, paid by tcp_output() */
        bool ack_now : 1, probe : 1, keepalive : 1, syn : 1, rst : 1;
        bool tail : 1;    /* a tail loss probe */
        bool before : 1;  /* an ACK up to w->before, whose ECE is not what it is now */
        bool uto : 1;     /* a User Timeout option, with whatever goes */
        uint8_t dup_acks; /* one for each segment out of order, RFC 5681 section 4.2 */
    } owed;
    bool in_send : 1, in_ready : 1, in_orphans : 1, dead : 1;
    bool active : 1;   /* by active OPEN */
    uint8_t cc_id : 3; /* which algorithm: cc_at() */
    union {
        struct { /* what the user set; of a listener, for what it accepts too */
            bool nodelay : 1, quickack : 1, reuse_port : 1, v6_only : 1, reuse_addr : 1;
            bool sndbuf_set : 1, rcvbuf_set : 1; /* his sizes: they stay */
        };
        uint8_t user_set; /* all of it */
    };

    /* every datagram out, and demultiplexing */
    struct ip_path path;
    uint16_t lport, pport;
    uint8_t peer[16];
    uint16_t mss_max;  /* what the peer and the first link take: snd_mss where the path does */
    uint16_t snd_mss;  /* Eff.snd.MSS without options: RFC 9293 section 3.7.1 */
    uint16_t rcv_mss;  /* what we announced */
    uint32_t slot;     /* its own */
    struct link send;  /* on its port's send list, or among the dead */
    struct link ready; /* on the ready list, a listener's accept queue, or among the orphans */
    union {
        uint32_t timewait; /* TIME-WAIT: its entry, where a handle outlived the connection */
        uint32_t since_ms; /* other states: when it was entered */
    };
    uint32_t sent_ms;            /* when text was last sent */
    uint32_t read_ms, read_from; /* tcp_buffer.c: a round trip of reading began, with this octet */
    uint32_t keepidle_ms;
    uint32_t idle_ms; /* with idle_on: keepalive, or the end of an orphan's FIN-WAIT-2; circular */
    uint32_t segs_in;
    struct wheel_node node;
    struct cc cc;
    struct tcp_rtt rtt;
    uint32_t sndbuf, rcvbuf;

    /* the user's, and for those who look */
    void *user;
    uint8_t ev_mask, ev_pending;
    int8_t err, soft_err;
    uint8_t challenges : 7; /* in the second challenge_s: few */
    bool spread : 1;        /* nonvalidated, and more waits than may go in a burst */
    uint8_t quick_acks;     /* segments with text still to be acknowledged at once */
    uint8_t quick_next;     /* how many, after the next delayed ACK that was waited for */
    uint8_t backoff : 6;    /* doublings of the RTO since it was last measured: at most 32 */
    bool quick_full : 1;    /* quick_acks are of full-sized ones */
    bool reordered : 1;     /* RFC 8985: RACK.reordering_seen */
    uint8_t keep_probes;
    bool nonvalidated : 1; /* the window is, since cwv_at: tcp_cwv.c */
    bool ecn_first : 1;    /* ecn_acc: no counter has come yet */
    bool ecn_deaf : 1;     /* ... and what comes is none */
    uint8_t ecn_owed : 3;  /* ... marks since the last ACK, at most 7 */
    bool at_recover : 1;   /* at rest: SND.UNA is where the last recovery ended */
    bool idle_on : 1;
    uint16_t ts_recent_h; /* hours: RFC 7323 section 5.5 */
    uint32_t segs_out;
    uint64_t retrans : 24, dup_acks_in : 24, rto_fired : 16; /* they stay at their largest */
    /* Octets are counted, anew after 256 TiB, where a word ends: an addition there needs no mask.
     */
    uint64_t pipe_segs : 16; /* RFC 7661: pipeACK, segments, rounded up: tcp_cwv.c */
    uint64_t octets_acked : 48;
    uint64_t cwv_at : 15;    /* when pipeACK was, or `nonvalidated` began */
    uint64_t read_round : 1; /* the round trip of read_ms is over */
    uint64_t octets_received : 48;
};
_Static_assert(sizeof(struct tcb) <= 240, "an idle connection is small");

struct tcp_far {   /* the ends of what has no control block, tcp_far.c */
    uint32_t peer; /* its IPv4 address, or the slot of its other one */
    uint16_t lport, pport;
    uint8_t local;    /* index of the local address */
    uint8_t port : 4; /* IP_PORTS_MAX */
    bool ip6 : 1;
    bool again : 1; /* SYN-RECEIVED: the SYN has come again */
    union {
        uint16_t mss; /* SYN-RECEIVED: the SYN's */
        uint16_t wnd; /* TIME-WAIT: the field last sent */
    };
};
_Static_assert(IP_ADDRS_MAX <= 256 && IP_PORTS_MAX <= 16, "they fit into struct tcp_far");

struct tcp_synq { /* passive SYN-RECEIVED */
    struct tcp_far far;
    seq_t irs, iss;
    uint32_t ts_recent;
    uint32_t listener; /* slot; the entry ends with it at the latest */
    uint8_t retries : 4;
    bool acked : 1;          /* without text, which its listener waits for */
    bool ecn_acc : 1;        /* RFC 9768; without ecn_ok: and nothing of ours is ECT */
    uint8_t ecn_syn : 2;     /* ... the IP-ECN field of the latest SYN */
    uint8_t challenge_s : 7; /* tcp_second() of the last challenge ACK */
    bool cookie : 1;         /* its ISN is one: tcp_cookie_number() */
    uint8_t snd_wscale : 4, rcv_wscale : 4;
    bool ts_ok : 1, ws_ok : 1, sack_ok : 1, ecn_ok : 1;
    bool in_send : 1;             /* owes a SYN,ACK */
    bool dead : 1;                /* freed when it leaves the send list */
    bool fo_give : 1, fo_exp : 1; /* a Fast Open cookie with the first SYN,ACK; in which option */
    uint32_t due;                 /* ms, circular */
    struct link link;             /* among those with the same number of retries */
    uint32_t send_next;
};
_Static_assert(sizeof(struct tcp_synq) <= 48, "64 octets with its place in slab and index");

struct tcp_syn { /* one with what tcp_far.c leaves out; q.far: ports and mss */
    struct tcp_synq q;
    uint8_t peer[16];
    struct ip_path path;
};

struct tcp_timewait {
    struct tcp_far far;
    seq_t snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint32_t due; /* ms, circular */
    struct link link;
    uint32_t owner;  /* slot of the tcb whose handle outlived it, or SLAB_NONE */
    uint8_t wscales; /* for the trace: snd, rcv in four bits each */
    bool ts_ok : 1;
    uint8_t challenge_s : 7; /* tcp_second() of the last challenge ACK */
    uint8_t ace;             /* RFC 9768: r.cep; 0 where marks are not counted */
};
_Static_assert(sizeof(struct tcp_timewait) <= 48, "64 octets with its place in slab and index");

/* A header-only segment that no tcb sends: RST, the ACK of TIME-WAIT, a challenge for an entry, a
 * SYN,ACK with a cookie. */
struct tcp_reply {
    uint8_t peer[16];
    struct ip_path path;
    uint16_t lport, pport;
    seq_t seq, ack;
    uint32_t ts_val, ts_ecr;
    uint16_t wnd, mss;
    uint8_t flags, opts; /* opts: as struct tcp_opts.has */
    uint8_t ws, hop_limit;
    uint8_t state, wscale; /* for the trace */
    uint8_t ace;           /* RFC 9768; 0: as flags say */
    uint16_t rule;
};
#define TCP_REPLIES      256 /* per port, a power of two */
#define TCP_REPLIES_HELD 8   /* per port: those whose next hop is being resolved, the latest */

struct tcp_port {
    struct slot_list send;     /* tcbs that owe something */
    struct slot_list stalled;  /* tcbs whose next hop is being resolved */
    uint32_t burst;            /* frames the head of `send` has had in a row */
    struct tcp_reply *replies; /* ring of TCP_REPLIES */
    uint32_t reply_head, reply_tail;
    uint8_t turn; /* whose was the odd frame, where both had something: 0 answers, 1 connections */
    struct tcp_reply held[TCP_REPLIES_HELD];
    uint32_t nheld;
    uint32_t resolved; /* ip_layer.resolved when those who wait for it were last looked at */
};

/* What the demux index refers to: kind in the top bits of the reference. */
enum tcp_kind { TCP_REF_TCB, TCP_REF_SYNQ, TCP_REF_TIMEWAIT };
#define TCP_REF_SHIFT       30
#define TCP_REF(kind, slot) ((uint32_t)(kind) << TCP_REF_SHIFT | (slot))
#define TCP_REF_KIND(ref)   ((enum tcp_kind)((ref) >> TCP_REF_SHIFT))
#define TCP_REF_SLOT(ref)   ((ref) & ((1u << TCP_REF_SHIFT) - 1))

struct tcp_settings { /* of estab_config */
    uint32_t max_synq, max_timewait;
    uint32_t sndbuf, rcvbuf, sndbuf_init, rcvbuf_init;
    struct tcp_rtt_bounds rto;
    struct estab_profile profile;
    estab_dur msl, delack, fin_wait_2, user_timeout;
    uint8_t syn_retries, synack_retries, max_retries, initial_window;
    bool timestamps, window_scale, sack;
    uint8_t ecn; /* enum estab_ecn */
    uint32_t fastopen_cache;
    uint16_t port_lo, port_hi;
    uint16_t shard, nshards;
    const struct cc_ops *cc;
    enum estab_syn_cookies cookies;
    enum estab_overflow overflow;
    uint32_t rst_rate, max_orphans;
    uint8_t orphan_retries;
    estab_dur uto_min, uto_max;
    bool reuse;          /* of TIME-WAITs, by active OPENs */
    uint8_t mtu_probing; /* enum estab_mtu_probing */
    uint16_t base_mss4, base_mss6;
    bool why_times, pacing;
    uint32_t notsent; /* UINT32_MAX: no bound */
};
#define TCP_SYNACK_RETRIES_MAX 15

struct tcp_secret { /* of SYN cookies; two are good at a time */
    struct hash_key key;
    struct hash used; /* by hash: cookies that have become connections */
    estab_time until; /* 0: none was given out */
};

struct tcp_fo_peer { /* what a Fast Open client knows of a server */
    uint8_t addr[16];
    uint16_t local, port; /* port 0: nothing */
    uint16_t mss;
    uint8_t cookie_len, failures;
    uint8_t cookie[TCP_FO_MAX];
    bool experimental; /* the cookie came in the experimental option */
    estab_time not_before, used_at;
};
struct tcp_fastopen {
    struct hash_key key[2];    /* given out, and the one before */
    estab_time until;          /* key[0] is given out; 0: neither was; ESTAB_NEVER: the user's */
    struct tcp_fo_peer *peers; /* NULL: no destination is known */
};

#define TCP_PORT_MAPS  32
#define TCP_PORT_TURNS 256
struct tcp_port_map { /* the busy ports to a destination that is running out of them */
    uint64_t *bits;   /* NULL: not in use */
    uint8_t peer[16];
    uint16_t local, pport;
    uint32_t nbusy;
    uint32_t asked;            /* when it was last of use, by tcp_ports.asked */
    estab_time hopeless_until; /* all are busy, and no TIME-WAIT can be reused before */
};
struct tcp_ports {
    struct tcp_port_map maps[TCP_PORT_MAPS];
    uint32_t nmaps, asked;
    uint32_t **conns; /* how many connections each port has; NULL: nobody has asked yet */
    uint16_t turn[TCP_PORT_TURNS]; /* RFC 6056 section 3.3.4: one for many destinations */
};

#define TCP_RST_GROUPS 512
#define TCP_HOT        256 /* a power of two */

struct tcp_hot {
    struct tcb *t;  /* &blank, whose tuple nobody has: none */
    uint32_t ports; /* its own and the peer's, so that it is not looked at in vain */
};

/* What the short way puts in front of a connection's segments, which differ in little.  Saves 106
 * of the 4,610 instructions of a small request and its answer. */
#define TCP_STENCILS 16 /* a power of two */
struct tcp_stencil {
    const struct tcb *of;    /* NULL: nobody's */
    uint16_t tcp_len;        /* what the IP header is for */
    uint16_t pseudo, sum;    /* of the pseudo-header but the length, without and with the ports */
    uint8_t ip_len, hdr_len; /* hdr_len: TCP's */
    uint8_t hdr[IP6_HDR_LEN + 4]; /* IP's, and the ports */
};
_Static_assert(sizeof(struct tcp_stencil) == 64, "it is found by a shift");

struct tcp_tag_key { /* a tuple as octets: its place in the demux is their keyed hash */
    uint64_t w[3];   /* the peer's address, the rest */
};
struct tcp_hashed { /* a tuple and its hash */
    struct tcp_tag_key key;
    uint64_t hash;
};
struct tcp_ahead { /* a segment whose turn comes soon */
    struct tcp_hashed hashed;
    uint32_t ref; /* what it may be for: a TCP_REF or HASH_NONE */
    bool known;   /* whose it is */
};

struct tcp_layer {
    struct env *env;
    struct ip_layer *ip;
    struct rule_book *rules;
    struct tcp_settings set;
    struct tcb blank; /* what tcb_new() begins with */
    struct slab tcbs, works, listeners, synqs, timewaits, ranges, sums, lents, extras;
    struct slab peers6;   /* IPv6 addresses of struct tcp_far */
    struct hash extra_of; /* from a tcb's slot to its struct tcp_extra */
    struct ring_pool pool;
    struct hash demux;  /* four-tuples and listeners */
    struct wheel wheel; /* one node a tcb */
    struct tcp_port ports[IP_PORTS_MAX];
    struct slot_list ready;   /* tcbs with events for the user */
    struct slot_list dead;    /* tcbs to free at the end of the call */
    struct slot_list orphans; /* connections without a handle, oldest first; through tcb.ready */
    struct slot_list synq_by_retries[TCP_SYNACK_RETRIES_MAX + 1]; /* due in order */
    estab_dur synack_rto[TCP_SYNACK_RETRIES_MAX + 1];             /* ... after so much */
    struct slot_list synq_send[IP_PORTS_MAX];    /* owe a SYN,ACK; through send_next */
    struct slot_list synq_stalled[IP_PORTS_MAX]; /* ... and their next hop is being resolved */
    struct slot_list timewait_due;
    struct {
        uint32_t slot, tag; /* slot: SLAB_NONE, or the next one to end, looked up ahead */
    } timewait_next;
    struct hash_key key;    /* demux, ISNs, ports */
    struct hash_key secret; /* timestamp offsets */
    struct tcp_secret cookies[2];
    uint8_t cookie_turn; /* the one that is given out now */
    struct tcp_fastopen fastopen;
    struct tcp_ports port_use;
    uint32_t rst_second, rst_most; /* RSTs without a connection: how many in this second to each */
    uint32_t rst_sent[TCP_RST_GROUPS]; /* ... group of addresses, and how many so far */
    struct tcp_hot hot[TCP_HOT];       /* heard of lately */
    struct tcp_stencil stencils[TCP_STENCILS];
    struct tcp_hashed last_tuple; /* hashed last: a connection's */
    struct tcp_hashed last_open;  /* ... one whose local port is to be chosen */
    struct {
        uint32_t slot; /* or SLAB_NONE */
        uint16_t local, lport;
    } last_listener; /* found last, and for what */
    struct {
        estab_sock handle; /* 0: none, and t NULL */
        struct tcb *t;
    } called;        /* who was named by a call last: the next mostly names the same */
    uint32_t nbound; /* sockets without a peer in the demux */
    uint32_t nconns, max_conns;
    struct slab routes;   /* source routes, tcp_route.c ... */
    struct hash route_of; /* ... of whom, by reference */
    uint32_t nroutes;
    bool places;           /* drivers read frames to buffers that are lent: tcp_text_place() */
    estab_time refused_at; /* when a connection was last refused memory */
    estab_sock lender;     /* who lent a buffer last, or 0 */
    bool tight;            /* tcp_memory.c: less than a quarter is left */
    bool long_way;         /* tests: nothing takes the short way, tcp_short.c */
};

/* Local addresses of sockets that are bound to none in particular. */
#define TCP_ANY  IP_LOCAL_NONE        /* :: */
#define TCP_ANY4 (IP_LOCAL_NONE - 1u) /* 0.0.0.0 */

struct tcp_tuple { /* how a connection is found; a socket without a peer has an all-zero one */
    const uint8_t *peer;
    uint16_t local; /* index of the local address */
    uint16_t lport, pport;
};

/* ---- tcp_layer.c: the layer and the life of control blocks ---- */
int tcp_init(struct tcp_layer *l, struct env *env, struct ip_layer *ip, struct rule_book *rules,
             const struct tcp_settings *set, uint32_t max_conns);
void tcp_fini(struct tcp_layer *l);
int tcp_port_add(struct tcp_layer *l, uint8_t port);
struct tcb *tcb_new(struct tcp_layer *l);                 /* NULL: ceiling or no memory */
IN_PLACE uint32_t tcp_queue_len(const struct tcp_work *w) /* octets of the send queue */
{
    return w->snd.len + (UNLIKELY(w->lent_out != NULL) ? w->lent_out->len : 0);
}
/* Makes sure *r is there, empty at first; false: no memory. */
bool tcp_ranges_need(struct tcp_layer *l, struct tcp_ranges **r);
bool tcp_ranges_grow(struct tcp_layer *l, struct tcp_ranges *r);  /* to TCP_AHEAD_MAX, once */
void tcp_ranges_free(struct tcp_layer *l, struct tcp_ranges **r); /* *r may be NULL */
bool tcb_work_new(struct tcb *t);
static inline bool tcb_work(struct tcb *t) /* makes sure t->w is there; false: no memory */
{
    return t->w || tcb_work_new(t);
}
void tcb_rest_empty(struct tcb *t);
IN_PLACE void tcb_rest(struct tcb *t) /* gives the work part back where nothing needs it */
{
    if (t->state != ESTAB_LISTEN && t->w && tcp_queue_len(t->w) == 0 && t->w->rcv.len == 0)
        tcb_rest_empty(t);
}
void tcb_release(struct tcb *t);         /* to the dead list; freed by tcp_reap() */
RARE void tcp_reap(struct tcp_layer *l); /* end of a public call */
static inline bool tcp_has_dead(const struct tcp_layer *l)
{
    return l->dead.head != SLAB_NONE;
}
/* What one of them needs is mostly not in the processor's caches: some four megabytes. */
static inline bool tcp_has_many(const struct tcp_layer *l)
{
    return l->tcbs.used > 16384;
}
estab_sock tcb_handle(const struct tcb *t);
static inline void tcp_call(struct tcp_layer *l, estab_sock handle, struct tcb *t)
{
    l->called.handle = t ? handle : 0;
    l->called.t = t;
}
static inline struct tcb *tcb_at(const struct tcp_layer *l, uint32_t slot)
{
    return slab_at(&l->tcbs, slot);
}
static inline const struct cc_ops *tcp_cc(const struct tcb *t)
{
    return cc_at(t->cc_id);
}
/* What a message needs of a connection that has had none for long. */
static inline void tcb_warm(const struct tcb *t)
{
    const size_t from = offsetof(struct tcp_work, probe_lo);

    warm(t, sizeof *t);
    if (t->w && t->state != ESTAB_LISTEN)
        warm((const uint8_t *)t->w + from, offsetof(struct tcp_work, sent.own[1]) - from);
}
void tcp_set_cc(struct tcb *t, const struct cc_ops *cc);
void tcp_owe(struct tcb *t);            /* onto its port's send list, once */
void tcp_unlist(struct tcb *t);         /* off it */
bool tcp_wants(const struct tcb *t);    /* something owed, or text or FIN unsent */
void tcp_settle(struct tcb *t);         /* end of an event: send list, or rest */
RARE void tcp_no_memory(struct tcb *t); /* was refused to its text */
/* The TIME-WAIT entry of a tcb, or SLAB_NONE. */
static inline uint32_t tcp_timewait_slot(const struct tcb *t)
{
    return t->state == ESTAB_TIME_WAIT ? t->timewait : SLAB_NONE;
}
void tcp_raise(struct tcb *t, uint8_t ev);           /* readiness: onto the ready list */
void tcp_report(struct tcb *t, enum estab_err soft); /* a soft error, RFC 9293 section 3.9.1.8 */
uint8_t tcp_level(struct tcb *t);    /* what is ready now; who hears of no room waits for some */
void tcb_check(const struct tcb *t); /* asserts the invariants; compiled out with NDEBUG */
#define SEND_LINK  offsetof(struct tcb, send)
#define READY_LINK offsetof(struct tcb, ready)

bool tcp_readable(const struct tcb *t); /* as much as the user waits for */

/* ---- tcp_route.c ---- */
void tcp_routes_init(struct tcp_layer *l, uint32_t max);
void tcp_routes_fini(struct tcp_layer *l);
RARE const struct ip4_route *tcp_route_there(const struct tcp_layer *l, uint32_t ref);
IN_PLACE const struct ip4_route *tcp_route_find(const struct tcp_layer *l, uint32_t ref)
{
    return UNLIKELY(l->nroutes > 0) ? tcp_route_there(l, ref) : NULL; /* or there is none */
}
IN_PLACE const struct ip4_route *tcp_route(const struct tcb *t) /* or NULL */
{
    return UNLIKELY(t->routed) ? tcp_route_there(t->layer, TCP_REF(TCP_REF_TCB, t->slot)) : NULL;
}
RARE uint32_t tcp_route_mss(const struct tcb *t, uint32_t mss); /* what the option leaves of it */
/* Where a datagram to peer goes by r, which may be NULL; buf: room for the answer. */
IN_PLACE const uint8_t *tcp_first_hop(const struct ip4_route *r, const uint8_t *peer,
                                      uint8_t buf[16])
{
    if (LIKELY(!r || r->n == 0))
        return peer;
    ip_map4(buf, r->hop[0]);
    return buf;
}
RARE bool tcp_route_set(struct tcp_layer *l, uint32_t ref, const struct ip4_route *route,
                        bool user); /* false: no memory */
RARE void tcp_route_off(struct tcp_layer *l, uint32_t ref);
IN_PLACE void tcp_route_del(struct tcp_layer *l, uint32_t ref) /* if it has one */
{
    if (UNLIKELY(l->nroutes > 0))
        tcp_route_off(l, ref);
}
RARE bool tcp_route_over(struct tcp_layer *l, uint32_t from, uint32_t to);
/* true: `to` has one now */
IN_PLACE bool tcp_route_move(struct tcp_layer *l, uint32_t from, uint32_t to)
{
    return UNLIKELY(l->nroutes > 0) && tcp_route_over(l, from, to);
}
/* An acceptable segment came by one: true: it is the way back from now on, and *path is its. */
RARE bool tcp_route_arrives(struct tcp_layer *l, uint32_t ref, struct ip_path *path,
                            const struct ip4_route *route);
int tcp_route_user(struct tcb *t,
                   const struct ip4_route *route); /* estab_source_route()'s results */
/* What a listener answers a SYN by. */
const struct ip4_route *tcp_route_of_syn(const struct tcb *listener, const struct seg *g);

/* ---- tcp_memory.c ---- */
uint32_t tcp_rcv_bound(const struct tcb *t); /* rcvbuf, or less while memory runs out */
uint32_t tcp_snd_bound(const struct tcb *t); /* sndbuf, or less */
bool tcp_memory_scarce(const struct tcp_layer *l);
bool tcp_memory_refuses(struct tcp_layer *l); /* a new connection; and counts it */
/* Between calls, when nobody looks at what was freed: gives back what is kept for later, while
 * memory runs out. */
void tcp_memory_settle(struct tcp_layer *l);

/* ---- tcp_extra.c ---- */
extern const struct tcp_extra tcp_no_extra;
struct tcp_extra *tcp_extra_there(const struct tcb *t); /* t->has_extra */
IN_PLACE const struct tcp_extra *tcp_extra(const struct tcb *t)
{
    return UNLIKELY(t->has_extra) ? tcp_extra_there(t) : &tcp_no_extra;
}
struct tcp_extra *tcp_extra_need(struct tcb *t); /* to set something; NULL: no memory */
bool tcp_extra_inherit(struct tcb *t, const struct tcb *from); /* false: no memory */
static inline uint32_t tcp_keepintvl_ms(const struct tcb *t)
{
    const struct tcp_extra *x = tcp_extra(t);

    return x->keepintvl_ms ? x->keepintvl_ms : TCP_KEEPINTVL_MS;
}
static inline uint8_t tcp_keepcnt(const struct tcb *t)
{
    const struct tcp_extra *x = tcp_extra(t);

    return x->keepcnt ? x->keepcnt : TCP_KEEPCNT;
}
static inline uint32_t tcp_linger_ms(const struct tcb *t) /* UINT32_MAX: not set */
{
    return tcp_extra(t)->linger_ms - 1;
}
void tcp_extra_free(struct tcb *t);

/* ---- tcp_state.c ---- */
void tcp_enter(struct tcb *t, enum estab_tcp_state to, enum estab_cause by);
/* A control block takes over from a half-open entry: SYN-RECEIVED without an edge. */
void tcp_take_over(struct tcb *t);
void tcp_enter_compact(struct tcp_layer *l, const struct tcp_tuple *k, enum estab_tcp_state from,
                       enum estab_tcp_state to, enum estab_cause by);

/* ---- tcp_demux.c ---- */
uint32_t tcp_demux_look(struct tcp_layer *l, const struct tcp_tuple *k);
IN_PLACE bool tcp_is_at(const struct tcb *t, const struct tcp_tuple *k)
{
    return LIKELY(t->pport == k->pport && t->lport == k->lport && t->path.local == k->local) &&
           LIKELY(memcmp(t->peer, k->peer, 16) == 0);
}
static inline uint32_t tcp_ports_of(uint16_t lport, uint16_t pport)
{
    return (uint32_t)lport << 16 | pport;
}
/* A busy handful is found without the index: a connection that was lately found, opened or sent to
 * lies where its ports say, until another of the same place does.  An exchange of one of 100
 * connections takes 15 % less, of one of 10,000 an eighth, of one of a million a fifth. */
IN_PLACE struct tcp_hot *tcp_hot_at(struct tcp_layer *l, uint16_t lport, uint16_t pport)
{
    return &l->hot[(lport ^ pport) & (TCP_HOT - 1)];
}
IN_PLACE struct tcp_stencil *tcp_stencil_at(struct tcp_layer *l, uint16_t lport, uint16_t pport)
{
    return &l->stencils[(lport ^ pport) & (TCP_STENCILS - 1)];
}
/* NULL: it is not there. */
IN_PLACE struct tcb *tcp_demux_hot(struct tcp_layer *l, const struct tcp_tuple *k)
{
    const struct tcp_hot *hot = tcp_hot_at(l, k->lport, k->pport);

    return hot->ports == tcp_ports_of(k->lport, k->pport) && LIKELY(tcp_is_at(hot->t, k)) ? hot->t
                                                                                          : NULL;
}
static inline void tcp_heats(struct tcb *t) /* who is told something is who answers next */
{
    assert(t->in_demux);
    *tcp_hot_at(t->layer, t->lport, t->pport) =
        (struct tcp_hot){t, tcp_ports_of(t->lport, t->pport)};
}
static inline void tcp_cools(struct tcb *t) /* it is not to be found any more */
{
    struct tcp_hot *hot = tcp_hot_at(t->layer, t->lport, t->pport);
    struct tcp_stencil *stencil = tcp_stencil_at(t->layer, t->lport, t->pport);

    if (hot->t == t)
        hot->t = &t->layer->blank;
    if (stencil->of == t)
        stencil->of = NULL;
}
/* A TCP_REF or HASH_NONE. */
static inline uint32_t tcp_demux_find(struct tcp_layer *l, const struct tcp_tuple *k)
{
    const struct tcb *t = tcp_demux_hot(l, k);

    return t ? TCP_REF(TCP_REF_TCB, t->slot) : tcp_demux_look(l, k);
}
/* The listener for a segment of k: the most particular one; of those that share, one by a hash. */
struct tcb *tcp_demux_listener(struct tcp_layer *l, const struct tcp_tuple *k);
uint32_t tcp_demux_tag(struct tcp_layer *l, const struct tcp_tuple *k);
/* Keyed; its lower half is the tag. */
uint64_t tcp_tuple_hash(const struct tcp_layer *l, struct tcp_hashed *last,
                        const struct tcp_tuple *k);
void tcp_hashed_init(const struct tcp_layer *l, struct tcp_hashed *last); /* of an all-zero tuple */
/* The same, of one that is soon looked up: what that will read is fetched meanwhile. */
struct tcp_hashed tcp_demux_warm(const struct tcp_layer *l, const struct tcp_tuple *k);
static inline void tcp_listeners_change(struct tcp_layer *l)
{
    l->last_listener.slot = SLAB_NONE;
}
int tcp_demux_add(struct tcb *t); /* under its tuple; pport 0: bound or listening */
void tcp_demux_del(struct tcb *t);
/* Into the index, and out of it; tag is tcp_demux_tag()'s.  0 or ESTAB_E_NOMEM. */
int tcp_tuple_add(struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag, uint32_t ref);
void tcp_tuple_del(struct tcp_layer *l, const struct tcp_tuple *k, uint32_t tag, uint32_t ref);
/* Step by step what a segment of k will touch is asked for, before its turn. */
void tcp_ahead_hash(const struct tcp_layer *l, struct tcp_ahead *a, const struct tcp_tuple *k);
void tcp_ahead_find(const struct tcp_layer *l, struct tcp_ahead *a);
void tcp_ahead_work(const struct tcp_layer *l, const struct tcp_ahead *a);
void tcp_ahead_take(struct tcp_layer *l, const struct tcp_ahead *a); /* its turn comes */
/* As tcp_demux_find(), for those who only look. */
uint32_t tcp_demux_peek(struct tcp_layer *l, const struct tcp_tuple *k);
/* The first that has its tag, which is it, or very rarely another's: nothing of it is fetched. */
uint32_t tcp_demux_glance(struct tcp_layer *l, const struct tcp_tuple *k);
/* Whether two local addresses, either possibly TCP_ANY or TCP_ANY4, can name the same one. */
bool tcp_locals_overlap(const struct tcp_layer *l, uint16_t a, bool a_v6_only, uint16_t b,
                        bool b_v6_only);
/* Whether t may not listen, beside those without a peer that have its port. */
bool tcp_listen_clashes(const struct tcb *t);
/* Whether a socket without a peer has this port at an overlapping address. */
bool tcp_port_bound(const struct tcp_layer *l, uint16_t local, uint16_t lport);
int tcp_bind(struct tcb *t, const struct estab_addr *a); /* estab_bind's results */

/* ---- tcp_port.c ---- */
void tcp_ports_init(struct tcp_layer *l);
void tcp_ports_fini(struct tcp_layer *l);
/* A four-tuple is busy from now on, or free. */
void tcp_ports_note(struct tcp_layer *l, const struct tcp_tuple *k, bool busy);
/* Whether connections, half-open or in TIME-WAIT, keep t from having this port; or ESTAB_E_NOMEM.
 */
int tcp_port_lingers(struct tcb *t, uint16_t local, uint16_t lport);
/* Sets t->lport: one that is free.  ESTAB_E_INUSE. */
int tcp_port_choose(struct tcb *t);
/* ... for its peer, or one whose TIME-WAIT may be reused, *ref; else that is HASH_NONE. */
int tcp_port_choose_to(struct tcb *t, uint32_t *ref);
/* Whether frames of k are brought to this stack: estab_config.nshards. */
bool tcp_comes_home(const struct tcp_layer *l, const struct tcp_tuple *k);
/* estab_port_forecast() for a path and a peer. */
void tcp_port_forecast(struct tcp_layer *l, uint16_t local, const struct estab_addr *peer,
                       struct estab_port_forecast *f);

/* ---- tcp_isn.c ---- */
seq_t tcp_isn(struct tcp_layer *l, const struct tcp_tuple *k);
uint32_t tcp_ts_offset(const struct tcp_layer *l, const struct tcp_tuple *k);
/* F and G of RFC 6056 section 3.3.4, of a tuple whose local port is open. */
uint64_t tcp_port_hash(struct tcp_layer *l, const struct tcp_tuple *k);
static inline uint32_t tcp_ts_now(const struct tcp_layer *l) /* ms [RFC7323-5.4-1] */
{
    return (uint32_t)(l->env->now / 1000000u);
}

static inline uint16_t tcp_hour(const struct tcp_layer *l) /* circular, in seven years */
{
    return (uint16_t)(l->env->now / (3600u * UINT64_C(1000000000)));
}

/* ---- segments: tcp_arrive.c, tcp_arrive_init.c, tcp_synq.c, tcp_timewait.c, tcp_icmp.c ---- */
void tcp_segment_arrives(struct tcb *t, struct seg *g);
/* Header prediction: whether all that g can mean is that its text is the next. */
bool tcp_predicted(const struct tcb *t, const struct seg *g);
/* ... then, once its text has been stored, instead of tcp_segment_arrives(). */
void tcp_predicted_arrives(struct tcb *t, struct seg *g);
/* The same of a segment without text or options, that acknowledges something. */
bool tcp_ack_predicted(const struct tcb *t, const struct seg *g);
void tcp_predicted_ack_arrives(struct tcb *t, const struct seg *g);
/* A segment that has all but its number, its text and PSH in common with one that has just been
 * predicted, and can only mean that its text follows; once that is stored, it arrives.  When a run
 * of such segments is over, it ends. */
bool tcp_predicted_more(const struct tcb *t, const struct seg *g);
void tcp_run_arrives(struct tcb *t, const struct seg *g);
void tcp_run_ends(struct tcb *t);
/* Section 3.10.7.4, first: against the window [nxt, nxt + wnd). */
bool tcp_acceptable(seq_t nxt, uint32_t wnd, const struct seg *g);
/* Leaves of an acceptable segment what begins at or after RCV.NXT and ends inside the window. */
void tcp_trim(struct tcb *t, struct seg *g);
void tcp_arrive_text(struct tcb *t, struct seg *g); /* sixth to eighth */
/* SYN-RECEIVED becomes ESTABLISHED.  timed: the timestamp that is echoed was the time; a cookie's
 * has the options in its low bits. */
void tcp_syn_acked(struct tcb *t, const struct seg *g, bool timed);
/* newer: NULL, or where the ISN must begin (RFC 6191). */
void tcp_arrive_listen(struct tcb *t, struct seg *g, const struct ip_dgram *d, const seq_t *newer);
void tcp_arrive_syn_sent(struct tcb *t, struct seg *g);
RARE void tcp_arrive_closed(struct tcp_layer *l, const struct seg *g, const struct ip_dgram *d);
APART void synq_segment_arrives(struct tcp_layer *l, uint32_t slot, struct seg *g);
/* true: the entry is gone and the segment, a provably newer SYN, is for the listener; *newer: its
 * ISN's floor. */
APART bool timewait_segment_arrives(struct tcp_layer *l, uint32_t slot, struct seg *g,
                                    seq_t *newer);
/* An ACK for a listener.  true: it has been dealt with; false: no cookie of this listener is out.
 */
bool tcp_cookie_arrives(struct tcb *t, struct seg *g, const struct ip_dgram *d); /* tcp_cookie.c */
/* Answers a SYN of which q is all that is known (but for its ISS), and remembers nothing. */
void tcp_cookie_offer(struct tcb *t, struct tcp_syn *y);
/* Makes the ISN of a half-open entry a cookie, unless that has made a connection before. */
void tcp_cookie_number(struct tcb *t, struct tcp_syn *y);
/* TSval of what such an entry sends, for ts. */
uint32_t tcp_cookie_ts(const struct tcp_synq *q, uint32_t ts);
/* The ACK has found its entry: no duplicate of it is taken for a cookie.  false: no memory. */
bool tcp_cookie_spend(struct tcp_layer *l, const struct tcp_syn *y);
void tcp_cookie_fini(struct tcp_layer *l);
void tcp_icmp_arrives(struct tcp_layer *l, const struct ip_error *e);
/* The connection ends: error to the user, queues gone, CLOSED.  rst: whether the peer is told. */
void tcp_fail(struct tcb *t, enum estab_err err, enum estab_cause by, bool rst);
bool tcp_paws_ok(const struct tcb *t, const struct seg *g); /* tcp_opt.c */

/* ---- what an ACK, text, a window mean ---- */
void tcp_ack_advance(struct tcb *t, const struct seg *g); /* tcp_ack.c */
/* The round trip that an ACK of something new tells of, which has been counted; or ESTAB_NEVER.
 * once: of what the ACK is, if all of that went once; or NULL. */
estab_dur tcp_rtt_of_ack(struct tcb *t, const struct seg *g, const struct run *once);
void tcp_rtt_of_syn(struct tcb *t, const struct seg *g, bool timed); /* an ACK of it */
uint32_t tcp_pipe(const struct tcb *t); /* octets believed in the network */
bool tcp_fin_acked(const struct tcb *t);
/* RFC 6298 (5.1) to (5.3) and the persist timer; restart: new octets were acknowledged. */
void tcp_rexmt_arm(struct tcb *t, bool restart);
estab_dur tcp_rto(const struct tcb *t);
void tcp_established(struct tcb *t);         /* first congestion window, RTO; EV_OUT */
RARE void tcp_challenge_ack(struct tcb *t);  /* RFC 5961 section 7: limited */
bool tcp_text(struct tcb *t, struct seg *g); /* tcp_text.c; true: FIN has its turn */
enum tcp_stored { TCP_STORED, TCP_NOT_STORED, TCP_WRONG_SUM };
/* The text of a segment that is tcp_predicted(), behind the queue but not yet in it.  sum: the
 * pseudo header's and the TCP header's; NULL: the link has verified it.  Unless it is stored,
 * nothing has happened. */
enum tcp_stored tcp_text_store(struct tcb *t, const struct seg *g, struct csum_run *sum);
/* Where the next text that goes to a buffer that is lent could be read to: estab_input_place(). */
bool tcp_text_place(struct tcp_layer *l, uint8_t port, struct estab_place *p);
void tcp_text_stored(struct tcb *t, uint32_t n); /* ... is in it now */
void tcp_text_more(struct tcb *t, uint32_t n);   /* and, after it, the text of the next of a run */
void tcp_text_end(struct tcb *t);                /* FIN has had its turn: no text follows */
void tcp_dsack(struct tcb *t, seq_t lo, seq_t hi);
uint32_t tcp_sack_blocks(const struct tcb *t, struct range out[TCP_SACK_MAX], uint32_t max);
/* tcp_sack.c; octets that are news */
RARE uint32_t tcp_sack_arrives(struct tcb *t, const struct seg *g, struct sent_news *news,
                               bool *dsack);
void tcp_prr_begin(struct tcb *t, uint32_t delivered, uint32_t cwnd); /* as it was before */
/* An ACK in recovery; sets cwnd.  progress: SND.UNA has moved. */
void tcp_prr_ack(struct tcb *t, uint32_t delivered, bool progress);

/* ---- tcp_recover.c ---- */
uint32_t tcp_flight_size(const struct tcb *t);    /* RFC 5681's FlightSize, for a reduction */
static inline void tcp_flight_note(struct tcb *t) /* before an ACK moves snd.una */
{
    uint32_t flight = seq_diff(t->snd.nxt, t->snd.una), us = (uint32_t)(t->layer->env->now / 1000u);

    if (flight >= t->w->peak.flight || us - t->w->peak.us > t->rtt.srtt / 2) {
        t->w->peak.flight = flight;
        t->w->peak.us = us;
    }
}
RARE void tcp_duplicate_ack(struct tcb *t, uint32_t delivered);
RARE void tcp_recovering_ack(struct tcb *t, uint32_t acked, uint32_t delivered); /* of new octets */
RARE void tcp_recover(struct tcb *t, uint32_t delivered); /* RACK says that something is lost */
RARE void tcp_tail_lost(struct tcb *t); /* ... that a tail loss probe has repaired */

/* ---- tcp_short.c ---- */
/* An acceptable ACK and its window: tcp_ack_advance(), tcp_window_update(), unless it is of all
 * that is in flight, with nothing to it. */
void tcp_ack_in(struct tcb *t, const struct seg *g);

/* tcp_output() where all that is owed is text or a FIN that go in one segment, or an ACK, or both;
 * false: nothing has happened. */
bool tcp_short_output(struct tcb *t, struct tcp_frames *out);

/* ---- tcp_rack.c ---- */
void tcp_rack_delivered(struct tcb *t, const struct sent_news *news);
void tcp_rack_dsack(struct tcb *t);
void tcp_rack_recovered(struct tcb *t);
uint32_t tcp_rack_detect(struct tcb *t); /* octets that are lost now */
bool tcp_tlp_may(const struct tcb *t);
void tcp_tlp_arm(struct tcb *t);
estab_dur tcp_pto(const struct tcb *t, uint32_t flight); /* of so many octets, from now on */
void tcp_tlp_sent(struct tcb *t, bool again);
RARE bool tcp_tlp_acked(struct tcb *t, const struct seg *g, bool dsack);

/* ---- tcp_undo.c ---- */
void tcp_undo_begin(struct tcb *t);
void tcp_undo_resent(struct tcb *t, uint32_t n);
void tcp_undo_dsack(struct tcb *t, seq_t lo, seq_t hi);
RARE bool tcp_undo_echo(struct tcb *t, const struct sent_news *news);
RARE void tcp_undo_expire(struct tcb *t);
void tcp_frto_begin(struct tcb *t);
RARE bool tcp_frto_ack(struct tcb *t, const struct sent_news *news, bool advances);

/* ---- tcp_rate.c ---- */
IN_PLACE uint32_t tcp_us(const struct tcp_layer *l) /* circular microseconds */
{
    return (uint32_t)(l->env->now / 1000u);
}
void tcp_sent(struct tcb *t, seq_t end);                /* new text, SYN or FIN up to there */
void tcp_sent_again(struct tcb *t, seq_t lo, seq_t hi); /* ... again */
void tcp_lose(struct tcb *t, seq_t lo, seq_t hi);       /* is lost, by congestion it seems */
void tcp_rate_limited(struct tcb *t); /* the user has no more to send, and more could go */
/* What an ACK says of the rate at which it is delivered; s->delivered is known. */
void tcp_rate_sample(struct tcb *t, const struct sent_news *news, struct cc_sample *s);
void tcp_window_update(struct tcb *t, const struct seg *g);             /* tcp_window.c */
IN_PLACE uint32_t tcp_seg_wnd(const struct tcb *t, const struct seg *g) /* octets */
{
    return UNLIKELY(g->syn_wnd) ? g->wnd : g->wnd << t->snd_wscale;
}
/* The field of a segment that is sent, and of a SYN: they move RCV.ADV. */
uint16_t tcp_window_field(struct tcb *t);
uint16_t tcp_window_field_syn(struct tcb *t);
bool tcp_window_worth(const struct tcb *t);      /* is an update worth a segment of its own */
uint32_t tcp_window_usable(const struct tcb *t); /* U of section 3.8.6.2.1 */
uint8_t tcp_wscale_for(const struct tcb *t);     /* for a connection, or what a listener accepts */
/* The window of a SYN with the largest segment `mss`. */
uint16_t tcp_syn_window(const struct tcp_layer *l, uint32_t wnd, uint32_t mss);
static inline uint32_t tcp_rcv_wnd(const struct tcb *t)
{
    return seq_diff(t->rcv.adv, t->rcv.nxt);
}
seq_t tcp_read_at(const struct tcb *t);   /* what the user reads next */
uint32_t tcp_urgent(const struct tcb *t); /* octets from the next to be read to RCV.UP */
IN_PLACE uint32_t tcp_unread(const struct tcb *t)
{
    return t->state != ESTAB_LISTEN && t->w ? t->w->rcv.len : 0;
}
IN_PLACE uint32_t tcp_queued(const struct tcb *t) /* in flight or unsent, FIN not counted */
{
    return t->state != ESTAB_LISTEN && t->w ? tcp_queue_len(t->w) : 0;
}
uint32_t tcp_unsent_of(const struct tcb *t);
IN_PLACE uint32_t tcp_unsent(const struct tcb *t) /* octets */
{
    return tcp_queued(t) == 0 ? 0 : tcp_unsent_of(t);
}
seq_t tcp_text_una(const struct tcb *t); /* number of the first octet in the send queue */

/* ---- tcp_pace.c ---- */
uint64_t tcp_pace_rate(const struct tcb *t); /* octets a second; 0: not paced */
void tcp_pace_settle(struct tcb *t);         /* whether it is, as stack, user and algorithm say */
/* t->paced and t->w, for these.  true: what is queued must wait; the timer is armed. */
bool tcp_pace_waits(struct tcb *t);
uint32_t tcp_pace_most(const struct tcb *t, uint32_t most); /* octets to go at once */
void tcp_pace_sent(struct tcb *t, uint32_t n);

#define TCP_OCTETS_MAX ((UINT64_C(1) << 48) - 1)
static inline void tcp_count_acked(struct tcb *t, uint32_t n)
{
    t->octets_acked = (t->octets_acked + n) & TCP_OCTETS_MAX;
}
static inline void tcp_count_received(struct tcb *t, uint32_t n)
{
    t->octets_received = (t->octets_received + n) & TCP_OCTETS_MAX;
}

/* ---- tcp_cwv.c: all with t->w ---- */
uint32_t tcp_cwv_age(const struct tcb *t); /* ms since t->cwv_at */
void tcp_cwv_begin(struct tcb *t);         /* nothing is known of the path, or no longer */
void tcp_cwv_round(struct tcb *t);
#define TCP_CWV_LEAST 14600u /* octets, RFC 6928 section 2: no burst to speak of */
static inline void tcp_cwv_acked(struct tcb *t) /* something new, outside recovery */
{
    if (t->cc.cwnd <= TCP_CWV_LEAST && !t->nonvalidated) {
        t->w->pipe.from = t->w->pipe.end = t->snd.una;
        return;
    }
    if (seq_eq(t->w->pipe.from, t->w->pipe.end))
        t->w->pipe.end = t->snd.nxt;
    if (!seq_lt(t->snd.una, t->w->pipe.end))
        tcp_cwv_round(t);
}
void tcp_cwv_restart(struct tcb *t);
void tcp_cwv_burst(struct tcb *t, uint32_t unsent); /* so much is to go */
/* Before a reduction; LossFlightSize, of what is in flight.  And at the end of it. */
uint32_t tcp_cwv_lost(struct tcb *t, uint32_t flight);
void tcp_cwv_halve(struct tcb *t); /* ... and behind it */
void tcp_cwv_recovered(struct tcb *t);

/* ---- tcp_buffer.c ---- */
uint32_t tcp_rcvbuf_most(const struct tcb *t); /* how large it may become */
uint32_t tcp_sndbuf_most(const struct tcb *t);
/* Octets that the send queue takes.  Where ESTAB_O_NOTSENT_LOWAT bounds what is unsent, still a
 * segment, lest the bound make them small.  Where the stack's setting does, one call may fill the
 * buffer when nothing is unsent, for who comes by seldom. */
uint32_t tcp_room(const struct tcb *t);
bool tcp_has_room(const struct tcb *t); /* SEND would take something; the state lets it */
bool tcp_raise_room(struct tcb *t);     /* ... and the user waits for it: true: he was told */
/* What is seen at a glance: with so much in the queue there is room behind it, by the stack's
 * bounds. */
IN_PLACE bool tcp_has_much_room(const struct tcb *t, size_t queued)
{
    uint32_t bound = tcp_snd_bound(t), unsent = t->layer->set.notsent;

    return queued + t->snd_mss < (bound < unsent ? bound : unsent);
}
void tcp_buffer_text(struct tcb *t, const struct seg *g); /* text has arrived */
void tcp_buffer_read(struct tcb *t);                      /* some was read */
void tcp_buffer_acked(struct tcb *t);                     /* something new, and cwnd is settled */
/* The user's size of it, instead of what the stack finds. */
void tcp_buffer_set(struct tcb *t, bool snd, uint32_t size);

/* ---- tcp_ecn.c ---- */
/* What a SYN asks for, if its listener grants it: q->ecn_ok, ecn_acc, ecn_syn. */
void tcp_ecn_grant(struct tcp_synq *q, const struct seg *g);
/* The SYN again.  false: it asks for the other kind of ECN, and the opening must end. */
bool tcp_ecn_syn_again(struct tcp_synq *q, const struct seg *g);
void tcp_ecn_synack_again(struct tcp_synq *q);                /* one more, q->retries */
void tcp_ecn_synack(const struct tcp_synq *q, struct seg *g); /* its flags */
void tcp_ecn_take_over(struct tcb *t, const struct tcp_synq *q);
bool tcp_ecn_asks(const struct tcb *t);             /* in the SYN that goes now */
void tcp_ecn_syn_put(struct tcb *t, struct seg *g); /* flags of the SYN or SYN,ACK to send */
void tcp_ecn_syn_arrives(struct tcb *t, const struct seg *g);
void tcp_ecn_text(struct tcb *t, const struct seg *g); /* acceptable, and t->ecn_ok */
/* With t->ecn_acc: an acceptable segment, text or not; a SYN,ACK again; ACE of one that comes, and
 * of one to send. */
void tcp_ecn_count(struct tcb *t, const struct seg *g);
RARE void tcp_ecn_synack_came_again(struct tcb *t, const struct seg *g);
void tcp_ecn_feedback(struct tcb *t, const struct seg *g);
void tcp_ecn_ace(const struct tcb *t, struct seg *g);
void tcp_ace_put(struct seg *g, uint8_t ace);
#define TCP_CEP_FIRST 5u /* RFC 9768 section 3.2.1: r.cep and s.cep begin with it */
void tcp_ecn_shake_put(struct tcb *t, struct seg *g); /* a bare ACK, with t->ecn_shake */
/* An ACK of something new, before it takes effect; sets s->marked.  true: it tells of a mark. */
bool tcp_ecn_echoed(struct tcb *t, const struct seg *g, struct cc_sample *s);
void tcp_ecn_reduced(struct tcb *t); /* the window is, for another reason: CWR says so too */
void tcp_ecn_mark(struct tcb *t, struct seg *g); /* a segment of new text */

/* ---- tcp_accecn.c ---- */
void tcp_acc_begin(struct tcb *t, bool client);
void tcp_acc_count(struct tcb *t, const struct seg *g); /* acceptable, no SYN */
void tcp_acc_synack(struct tcp_opts *o);                /* a SYN,ACK's */
uint32_t tcp_acc_put(struct tcb *t, struct tcp_opts *o, bool text, uint32_t room);
void tcp_acc_first(struct tcb *t, const struct tcp_opts *o);
/* Whether there is a count; by how much it has moved, and how much of that is news. */
bool tcp_acc_arrives(struct tcb *t, const struct tcp_opts *o, uint32_t *moved, uint32_t *news);
void tcp_acc_guess(struct tcb *t, uint32_t marked); /* without an option: octets */

/* ---- tcp_fastopen.c ---- */
void tcp_fastopen_fini(struct tcp_layer *l);
void tcp_fastopen_key(struct tcp_layer *l, const uint8_t key[16]); /* estab_fastopen_key() */
/* A SYN with the Fast Open option, for a listener; true: a control block has taken it.  syn: as
 * synq_fill() leaves it, and says afterwards whether a cookie is to be given. */
RARE bool tcp_fastopen_syn(struct tcb *t, const struct seg *g, struct tcp_syn *syn, seq_t isn);
RARE void tcp_fastopen_give(struct tcp_layer *l, const uint8_t *peer, const struct ip_path *p,
                            bool experimental, struct tcp_opts *o);
void tcp_fastopen_settled(struct tcb *t, bool reset);
void tcp_fastopen_open(struct tcb *t);
RARE void tcp_fastopen_wait(struct tcb *t); /* the SYN waits for text */
void tcp_fastopen_go(struct tcb *t);        /* ... no longer, or never did */
/* Adds the option to a SYN's or SYN,ACK's; octets of text that go with it. */
uint32_t tcp_fastopen_offer(struct tcb *t, struct tcp_opts *o);
void tcp_fastopen_answered(struct tcb *t, const struct seg *g, uint32_t text_acked);
RARE void
tcp_fastopen_rest(struct tcb *t); /* what the SYN carried and the peer did not take goes again */
RARE void tcp_fastopen_unanswered(struct tcb *t); /* the SYN, and the opening is given up */
/* Passive SYN-RECEIVED with a control block, or FIN-WAIT-1 by a CLOSE in it. */
static inline bool tcp_is_early(const struct tcb *t)
{
    return !t->syn_acked && !t->active;
}

/* ---- tcp_opt.c ---- */
/* What is announced, and the bound of what is sent: the path's, and the user's (0: none). */
#define TCP_TS_LEN 12u /* NOP NOP TS: RFC 7323 appendix A */
uint16_t tcp_mss_announce(const struct tcp_layer *l, const struct ip_path *p, const uint8_t *peer,
                          uint16_t user_mss);
void tcp_opt_syn(struct tcb *t,
                 const struct seg *g); /* the peer's SYN, or SYN,ACK, settles the options */
void tcp_opt_offer(const struct tcb *t, struct tcp_opts *o, bool reply);
/* In which order, and with how much padding, the options of o stand; `kinds` is for
 * tcp_opts_emit(). */
#define TCP_KINDS_MAX 16
void tcp_opt_layout(uint8_t order, const struct tcp_opts *o, uint8_t kinds[TCP_KINDS_MAX]);
/* Where there are no others: written at once. */
#define TCP_USUAL_OPTS (OPT_MSS | OPT_WS | OPT_SACK_OK | OPT_TS)
struct tcp_words { /* what was written, in whole words */
    uint8_t *end;  /* behind it */
    uint64_t sum;  /* of them, unfolded, in the order of the machine's arithmetic */
};
APART struct tcp_words tcp_opt_usual(uint8_t order, const struct tcp_opts *o, uint8_t *out);
uint16_t tcp_mss_of(const struct tcp_opts *o,
                    const uint8_t *peer); /* RFC 9293 section 3.7.1 default, floor */
/* Less the options every segment carries: RFC 6691 section 3. [MUST-16, RFC6691-2-2] */
IN_PLACE uint32_t tcp_eff_mss(const struct tcb *t)
{
    uint32_t mss = t->ts_ok ? t->snd_mss - TCP_TS_LEN : t->snd_mss;

    return UNLIKELY(t->routed) ? tcp_route_mss(t, mss) : mss;
}

/* What the algorithm is told of an event: of it, and of how things stand. */
static inline struct cc_sample tcp_sample(const struct tcb *t, uint32_t acked, uint32_t flight,
                                          estab_dur rtt)
{
    return (struct cc_sample){.now = t->layer->env->now,
                              .rtt = rtt,
                              .srtt = ESTAB_US(t->rtt.srtt),
                              .rtt_min = ESTAB_US(t->rtt.min),
                              .una = t->snd.una,
                              .nxt = t->snd.nxt,
                              .acked = acked,
                              .flight = flight,
                              .mss = tcp_eff_mss(t),
                              .paced = t->paced,
                              .cwnd_limited = t->w->cwnd_limited};
}

/* ---- tcp_mtu.c ---- */
void tcp_mtu_begin(struct tcb *t); /* mss_max is settled: snd_mss is what the path takes of it */
void tcp_mtu_too_big(struct tcb *t, const struct ip_error *e); /* about something in flight */
void tcp_mtu_timeout(struct tcb *t);    /* all in flight has been declared lost */
RARE void tcp_mtu_acked(struct tcb *t); /* something new, SND.UNA has moved */
bool tcp_mtu_lost(struct tcb *t);       /* duplicate ACKs: true: of a probe, and it is dealt with */
void tcp_mtu_resent(struct tcb *t, seq_t lo, uint32_t n);
/* Octets of new text that go as a probe now; 0: none do. */
uint32_t tcp_mtu_seek(struct tcb *t, uint32_t unsent);

/* ---- tcp_user.c: section 3.10.1 to 3.10.6 ---- */
int tcp_open_active(struct tcb *t, const struct estab_addr *peer);
int tcp_open_passive(struct tcb *t, uint32_t backlog);
int tcp_may_send(struct tcb *t);   /* 0, or why SEND takes no text in this state */
void tcp_send_more(struct tcb *t); /* text has been queued */
ptrdiff_t tcp_send(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t flags);
ptrdiff_t tcp_receive(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t flags);
int tcp_recv_lend(struct tcb *t, void *buf, uint32_t len);
ptrdiff_t tcp_recv_end(struct tcb *t);
int tcp_close(struct tcb *t);
void tcp_abort(struct tcb *t);
struct tcb *tcp_accept(struct tcb *t);
void tcp_orphan(struct tcb *t);    /* the handle is dead */
void tcp_unorphan(struct tcb *t);  /* off the list: it is over */
void tcp_shut_read(struct tcb *t); /* what is unread, and what still comes, is discarded */
int tcp_dispose(
    struct tcb *t); /* estab_close(): CLOSE or ABORT, and the handle is dead; its results */

/* ---- tcp_listen.c, tcp_synq.c, tcp_timewait.c ---- */
void tcp_listener_free(struct tcb *t);
bool tcp_listener_full(const struct tcb *t); /* of half-open entries: the backlog's, or max_synq */
void tcp_listener_adopt(struct tcb *t, struct tcb *child); /* completed: waits for ACCEPT */
void synq_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out);
static inline bool synq_has_output(const struct tcp_layer *l, uint8_t port)
{
    return l->synq_send[port].head != SLAB_NONE;
}
void synq_unstall(struct tcp_layer *l, uint8_t port); /* a next hop has become known, or lost */
int synq_expire(struct tcp_layer *l);
estab_time synq_next(const struct tcp_layer *l);
void synq_new(struct tcb *t, const struct seg *g, const struct ip_dgram *d, const seq_t *newer);
/* A control block for what y describes, in no list yet; NULL: no room for one. */
struct tcb *synq_tcb(struct tcp_layer *l, const struct tcp_syn *y, const struct tcb *listener);
/* Ends one of the listener's oldest half-open connections that can do without: it has not answered
 * for an RTO, or its ACK brings it back.  false: none is near at hand. */
bool synq_recycle(struct tcb *t);
uint16_t synq_window(const struct tcb *listener); /* of the SYN,ACK */
void synq_end_all(struct tcb *t); /* the listener closes: its half-open connections end with it */
void timewait_enter(
    struct tcb *t); /* gives t's tuple to an entry; t loses its place in the demux */
int timewait_expire(struct tcp_layer *l);
estab_time timewait_next(const struct tcp_layer *l);
/* When an active OPEN may take its place: reused, or over. */
estab_time timewait_free_at(const struct tcp_layer *l, uint32_t slot);
/* Ends it for an active OPEN; where the ISN must begin. */
seq_t timewait_reuse(struct tcp_layer *l, uint32_t slot);
/* ---- tcp_far.c ---- */
/* Sets all but ports and mss; false: no memory. */
bool tcp_far_put(struct tcp_layer *l, struct tcp_far *f, const uint8_t peer[16],
                 const struct ip_path *p);
void tcp_far_free(struct tcp_layer *l, const struct tcp_far *f);
/* peer: room for the address, which the tuple refers to. */
struct tcp_tuple tcp_far_tuple(const struct tcp_layer *l, const struct tcp_far *f,
                               uint8_t peer[16]);
bool tcp_far_is(const struct tcp_layer *l, const struct tcp_far *f, const struct tcp_tuple *k);
/* The way to hop from its local address; if there is none, one that ip_path_ready() looks for. */
struct ip_path tcp_far_path(const struct tcp_layer *l, const struct tcp_far *f, const uint8_t *hop);
/* A compact entry sends at most one challenge ACK a second (RFC 5961 section 7): between two ends
 * out of step each would answer the other's for ever. */
#define TCP_SECOND_NEVER 127
static inline uint8_t tcp_second(const struct tcp_layer *l)
{
    return (uint8_t)(l->env->now / 1000000000u % TCP_SECOND_NEVER);
}
/* Compact entries keep their deadlines in circular milliseconds. */
static inline uint32_t ms_of(estab_time t)
{
    return (uint32_t)(t / 1000000u);
}
static inline estab_time ms_to_time(estab_time now, uint32_t due)
{
    int32_t left = (int32_t)(due - ms_of(now));

    return left <= 0 ? now : (now / 1000000u + (uint32_t)left) * 1000000u;
}

static inline seq_t tcp_last_ack(const struct tcb *t)
{
    return t->w ? t->w->acked : t->rcv.nxt;
}
static inline estab_time tcp_idle_at(const struct tcb *t)
{
    return t->idle_on ? ms_to_time(t->layer->env->now, t->idle_ms) : ESTAB_NEVER;
}
static inline void tcp_count_retrans(struct tcb *t)
{
    if (t->retrans < 0xffffff)
        t->retrans++;
}

/* ---- tcp_why.c ---- */
size_t tcp_why_room(const struct tcp_settings *set); /* octets behind each tcb for its times */
void tcp_why_init(struct tcb *t);
void tcp_why_count(struct tcb *t);
static inline void tcp_why_note(struct tcb *t) /* an event ends: the reason may have changed */
{
    if (UNLIKELY(t->layer->set.why_times))
        tcp_why_count(t);
}
void tcp_why(const struct tcb *t, struct estab_why_info *i); /* i->now is given */
void synq_why(const struct tcp_layer *l, uint32_t slot, struct estab_why_info *i);
void timewait_why(const struct tcp_layer *l, uint32_t slot, struct estab_why_info *i);

/* ---- tcp_uto.c ---- */
estab_dur tcp_user_timeout(const struct tcb *t); /* in force; 0: none */
/* When it is over; t->w is there.  ESTAB_NEVER: there is none, or nothing waits. */
estab_time tcp_user_deadline(const struct tcb *t);
static inline estab_time tcp_patience(const struct tcb *t, estab_time at) /* at, or when it ends */
{
    return UNLIKELY(t->has_extra || t->layer->set.user_timeout) ? time_min(at, tcp_user_deadline(t))
                                                                : at;
}
/* 0 or ESTAB_E_NOMEM */
int tcp_uto_set(struct tcb *t, uint32_t ms);          /* the user's; 0: the stack's again */
int tcp_uto_advertise(struct tcb *t, uint16_t field); /* 0: no longer */
RARE void tcp_uto_arrives(struct tcb *t,
                          const struct seg *g); /* the option, in an acceptable segment */
uint16_t tcp_uto_field(estab_dur d);            /* rounded up; as long as can be, if it is longer */
estab_dur tcp_uto_dur(uint16_t field);

/* ---- tcp_timeout.c ---- */
IN_PLACE void tcp_wake(struct tcb *t, estab_time at) /* at the latest */
{
    if (!t->node.armed || wheel_due(&t->node) > at)
        wheel_add(&t->layer->wheel, t->slot, at);
}
IN_PLACE void tcp_sleep(struct tcb *t) /* no more */
{
    if (t->node.armed)
        wheel_cancel(&t->layer->wheel, t->slot);
}
IN_PLACE void tcp_arm(struct tcb *t, enum tcp_timer which, estab_time at)
{
    t->w->due[which] = at;
    tcp_wake(t, at);
}
void tcp_cancel(struct tcb *t, enum tcp_timer which);
void tcp_quiet(struct tcb *t); /* goes to rest: no wake-up that nobody waits for */
void tcp_idle_settle(struct tcb *t);
IN_PLACE void tcp_idle_arm(struct tcb *t) /* keepalive or FIN-WAIT-2 */
{
    if (UNLIKELY(t->keepidle_ms || t->idle_on || t->state == ESTAB_FIN_WAIT_2))
        tcp_idle_settle(t);
}
int tcp_expire(struct tcp_layer *l);
estab_time tcp_next(const struct tcp_layer *l);
enum estab_timer tcp_next_timer(const struct tcb *t, estab_time *at);

/* ---- tcp_sums.c ---- */
/* Appends to the send queue, summing where that will save a pass later.  0 or ESTAB_E_NOMEM. */
int tcp_sums_write(struct tcb *t, const uint8_t *from, uint32_t n);
/* What is known of the segments that new text [seq, seq + n) goes in; good until the next call. */
void tcp_sums_find(const struct tcb *t, seq_t seq, uint32_t n, struct gso_sums *out);
void tcp_sums_sent(struct tcb *t, seq_t seq, uint32_t n); /* ... it has gone */
void tcp_sums_free(struct tcp_layer *l, struct tcp_work *w);

/* ---- tcp_lent.c ---- */
/* estab_send_lend(). */
ptrdiff_t tcp_lent_send(struct tcb *t, const struct estab_iov *iov, size_t niov, uint32_t flags);
uint32_t tcp_lent_len(const struct tcb *t);
void tcp_lent_free(struct tcp_layer *l, struct tcp_work *w); /* it is the user's again */
/* With something lent, what tcp_queue_peek() and _drop() do. */
uint32_t tcp_lent_peek(const struct tcp_work *w, uint32_t off, uint32_t n,
                       struct estab_iov v[TCP_TEXT_IOVS], uint32_t *got);
void tcp_lent_drop(struct tcb *t, uint32_t n);
/* Octets [off, off + n) of the send queue, as far as a frame's pieces reach; how many pieces. */
static inline uint32_t tcp_queue_peek(const struct tcp_work *w, uint32_t off, uint32_t n,
                                      struct estab_iov v[TCP_TEXT_IOVS])
{
    return w->lent_out ? tcp_lent_peek(w, off, n, v, &n) : ring_peek(&w->snd, off, n, v);
}
/* ... how far that is. */
static inline uint32_t tcp_queue_fits(const struct tcp_work *w, uint32_t off, uint32_t n)
{
    struct estab_iov v[TCP_TEXT_IOVS];

    if (w->lent_out)
        (void)tcp_lent_peek(w, off, n, v, &n);
    return n;
}
/* The first n octets are acknowledged. */
static inline void tcp_queue_drop(struct tcb *t, uint32_t n)
{
    if (t->w->lent_out)
        tcp_lent_drop(t, n);
    else
        ring_drop(&t->w->snd, &t->layer->pool, n, false);
}

/* ---- tcp_pull.c, tcp_output.c, tcp_segment.c, tcp_emit.c ---- */
struct tcp_frames { /* room for frames to hand out, and for their headers; what has been filled */
    struct estab_frame *f;
    struct gso_hdr *hdrs;
    uint32_t n, room;
};
static inline bool tcp_has_answers(const struct tcp_layer *l, uint8_t port)
{
    const struct tcp_port *p = &l->ports[port];

    return p->reply_head != p->reply_tail || synq_has_output(l, port);
}
void tcp_pull_conns(struct tcp_layer *l, uint8_t port, struct tcp_frames *out);
void tcp_pull_all(struct tcp_layer *l, uint8_t port, struct tcp_frames *out);
/* Fills out with what this port owes, as far as there is room: mostly there are connections only.
 */
IN_PLACE void tcp_pull(struct tcp_layer *l, uint8_t port, struct tcp_frames *out)
{
    if (UNLIKELY(l->ports[port].resolved != l->ip->resolved || tcp_has_answers(l, port)))
        tcp_pull_all(l, port, out);
    else
        tcp_pull_conns(l, port, out);
}
IN_PLACE bool tcp_has_output(const struct tcp_layer *l, uint8_t port)
{
    const struct tcp_port *p = &l->ports[port];

    return p->send.head != SLAB_NONE || tcp_has_answers(l, port) ||
           (p->resolved != l->ip->resolved &&
            (p->stalled.head != SLAB_NONE || l->synq_stalled[port].head != SLAB_NONE ||
             p->nheld > 0));
}
/* Sends what t owes, or a run of its text; false: nothing. */
bool tcp_output(struct tcb *t, struct tcp_frames *out);
void tcp_stop(struct tcb *t,
              enum estab_why why); /* there is something to send, and it may not go */
/* One segment each; true where there was something to send. */
RARE bool tcp_send_rst(struct tcb *t, struct tcp_frames *out);
bool tcp_send_syn(struct tcb *t, struct tcp_frames *out);
/* Text [seq, seq + n), or a run of segments, and perhaps the FIN behind it. */
void tcp_send_text(struct tcb *t, seq_t seq, uint32_t n, bool fin, enum rule why,
                   struct tcp_frames *out);
RARE bool tcp_send_keepalive(struct tcb *t, struct tcp_frames *out);
bool tcp_send_ack(struct tcb *t, struct tcp_frames *out);
RARE bool tcp_send_ack_before(struct tcb *t, struct tcp_frames *out); /* owed.before */
struct seg_out {
    const struct ip_path *path;
    const uint8_t *peer;
    struct seg g; /* ports from the segment's own view: g.sport is ours */
    struct estab_iov text[TCP_TEXT_IOVS];
    uint32_t ntext, text_len;
    struct gso_sums sums; /* of the text, as far as they are known */
    uint16_t gso_size;
    uint8_t hop_limit, tos;
    const struct ip4_route *route; /* NULL: none */
    /* for the trace */
    estab_sock sock;
    enum rule rule;
    uint8_t state, wscale;
};
/* Every member that is looked at is set; the others are large, and there are many segments. */
static inline void seg_out_init(struct seg_out *o, const struct ip_path *path, const uint8_t *peer)
{
    o->path = path;
    o->peer = peer;
    o->g.flags = o->g.reserved = o->g.tos = 0;
    o->g.up = 0;
    o->g.text.len = o->g.text.n = 0;
    o->g.opt.has = o->g.opt.nsack = o->g.opt.fo_len = 0;
    o->g.opt.fo_exp = false;
    o->ntext = o->text_len = 0;
    o->sums = (struct gso_sums){NULL, 0, 0, 0};
    o->gso_size = 0;
    o->hop_limit = o->tos = 0;
    o->route = NULL;
    o->sock = 0;
    o->rule = RULE_NONE;
    o->state = ESTAB_CLOSED;
    o->wscale = 0;
}
/* One frame, or where the port cannot take o->gso_size, as many as that makes; out has room for
 * them. */
void tcp_emit(struct tcp_layer *l, const struct seg_out *o, struct tcp_frames *out);
/* The pseudo header's sum, words in the order of the machine's arithmetic. */
IN_PLACE uint64_t tcp_pseudo_words(const uint8_t *a, const uint8_t *b, uint32_t len)
{
    uint64_t sum = (uint64_t)IPPROTO_TCP_ + len + be32_at(a + 12) + be32_at(b + 12);

    if (LIKELY(ip_is4(b)))
        return sum;
    for (uint32_t i = 0; i < 12; i += 4)
        sum += (uint64_t)be32_at(a + i) + be32_at(b + i);
    return sum;
}
/* True: the link computes the checksum of the segment that begins `at` octets into f, which says so
 * then; what it needs is the sum of the pseudo-header. */
static inline bool tcp_link_sums(const struct tcp_layer *l, uint8_t port, size_t at,
                                 struct estab_frame *f)
{
    f->off = (struct estab_offload){0};
    if (LIKELY(!l->ip->ports[port].caps.tx_csum))
        return false;
    f->off.flags = ESTAB_OFF_NEEDS_CSUM;
    f->off.csum_start = (uint16_t)at;
    f->off.csum_offset = 16;
    return true;
}
/* Queues an answer: where it is to be written; NULL, and counted: the ring is full. */
struct tcp_reply *tcp_reply_room(struct tcp_layer *l, uint8_t port);
void tcp_reply(struct tcp_layer *l, uint8_t port, const struct tcp_reply *r);
/* Answers a segment that has no connection, or must not have one, with RST (section 3.10.7.1). */
RARE void tcp_reply_rst(struct tcp_layer *l, const struct ip_path *path, const uint8_t *peer,
                        const struct seg *g, enum estab_tcp_state st, enum rule why);
/* The same, along the way back to where the datagram came from. */
RARE void tcp_refuse(struct tcp_layer *l, const struct seg *g, const struct ip_dgram *d,
                     enum estab_tcp_state st, enum rule why);

/* ---- tracing, tcp_trace.c ---- */
RARE void tcp_drop(struct tcb *t, const struct seg *g, enum rule r);
RARE void tcp_drop_tuple(struct tcp_layer *l, const struct tcp_tuple *k, const struct seg *g,
                         enum estab_tcp_state st, enum rule r);
static inline bool tcp_traced(const struct tcp_layer *l) /* or there is no need to say anything */
{
    return UNLIKELY(l->env->trace != NULL);
}
RARE void tcp_trace_state(struct tcp_layer *l, estab_sock sock, const struct tcp_tuple *k,
                          enum estab_tcp_state from, enum estab_tcp_state to, enum estab_cause by);
RARE void tcp_trace_in(struct tcp_layer *l, const struct tcp_tuple *k, estab_sock sock,
                       enum estab_tcp_state st, const struct seg *g, uint8_t wscale);
RARE void tcp_trace_out(struct tcp_layer *l, const struct seg_out *o);
RARE void tcp_trace_timer(struct tcp_layer *l, const struct tcp_tuple *k, estab_sock sock,
                          enum estab_tcp_state st, enum estab_timer which);
RARE void tcp_trace_cc(struct tcb *t, enum rule why);
struct tcp_tuple tcb_tuple(const struct tcb *t);

/* ---- tcp_info.c ---- */
void tcp_info(const struct tcb *t, struct estab_tcp_info *i);
void synq_info(const struct tcp_layer *l, uint32_t slot, struct estab_tcp_info *i);
void timewait_info(const struct tcp_layer *l, uint32_t slot, struct estab_tcp_info *i);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* script.h - packet scripts: what the parser makes of one, and who runs which part of it. */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "packetdrill.h"
#include "plug.h"

#include <estab/estab.h>
#include <estab/host.h>
#include <estab/script.h>

#include <setjmp.h>

/* ---- what a script says ---- */

enum expr_kind {
    EXPR_ANY,    /* ... */
    EXPR_INT,    /* num */
    EXPR_NAME,   /* text: a constant */
    EXPR_STRING, /* text, num octets; followed by `...`: any */
    EXPR_OR,     /* items, joined by | */
    EXPR_ARRAY,  /* [items] */
    EXPR_STRUCT, /* {items} */
    EXPR_FIELD,  /* text = items[0], or text(items[1]) = items[0] */
    EXPR_CALL,   /* text(items) */
};
struct expr {
    enum expr_kind kind;
    int line;
    long long num;
    const char *text;
    bool any;
    struct expr *items; /* a list through next */
    struct expr *next;
};

enum time_kind { TIME_AT, TIME_AFTER, TIME_ANY };
struct script_time {
    enum time_kind kind;
    long long from, to; /* us; equal but for a range */
};

enum { PKT_OPTIONS_MAX = 32, PKT_FLAG_AE = 0x100 };
enum { /* ecn */
       PKT_ECN_ANY = -1,
       PKT_ECN_NONE = 0,
       PKT_ECN_ECT1 = 1,
       PKT_ECN_ECT0 = 2,
       PKT_ECN_CE = 3,
       PKT_ECN_ECT01 = 4, /* either */
};
struct opt_spec {
    uint8_t kind;
    uint8_t n;        /* numbers of v, or octets of blob */
    uint32_t v[8];    /* MSS, shift, TSval and TSecr, edges of SACK blocks */
    uint8_t blob[40]; /* cookies and the like; RAW: all of it, kind and length included */
    bool raw;
};
enum pkt_proto { PKT_TCP, PKT_UDP, PKT_ICMP };
enum pkt_quote { QUOTE_NONE, QUOTE_TCP, QUOTE_UDP, QUOTE_RAW };
struct pkt_spec {
    bool inbound;
    enum pkt_proto proto;
    int ecn, tos, ttl; /* -1: not said */
    long flow_label;   /* -1 */
    long sport, dport; /* -1 */
    uint16_t flags;
    uint32_t seq, len;
    bool has_ack, has_win, has_urg;
    uint32_t ack, win, urg;
    bool any_options; /* <...> */
    struct opt_spec *options;
    int noptions;
    /* ICMP */
    const char *icmp_type, *icmp_code; /* NULL: not said */
    long mtu, id;                      /* -1 */
    enum pkt_quote quote;
    uint32_t quote_seq, quote_len;
};

struct call_spec {
    const char *name;
    struct expr *args;
    struct expr *result;
    const char *error;  /* NULL: none is expected */
    bool blocks;        /* a time range: another thread makes it */
    long long end_usec; /* when it is expected back */
};

enum event_kind { EVENT_PACKET, EVENT_CALL, EVENT_SHELL, EVENT_CODE };
struct script_event {
    struct script_event *next;
    int line;
    struct script_time time;
    enum event_kind kind;
    struct pkt_spec packet;
    struct call_spec call;
    const char *text; /* EVENT_SHELL, EVENT_CODE */
};

struct script_option {
    struct script_option *next;
    int line;               /* 0: from the command line */
    const char *name, *arg; /* arg NULL: none */
};

struct script_define {
    struct script_define *next;
    const char *name, *value;
};

struct arena {
    struct arena_block *blocks;
};
void *arena_get(struct arena *a, size_t size); /* zeroed; never NULL: no memory ends the process */
char *arena_text(struct arena *a, const char *text, size_t len);
void arena_free(struct arena *a);

struct script {
    const char *path;
    struct arena arena;
    struct script_option *options, **options_end;
    struct script_define *defines;
    const char *init, *cleanup; /* shell lines without a time; NULL: none */
    int init_line, cleanup_line;
    struct script_event *events, **events_end, *last;
    void *scanner;
    struct estab_script_result *out;
    jmp_buf failed; /* script_leave() comes here */
};
/* Both write file:line and the text to the result and end the run. */
_Noreturn void script_fail(struct script *s, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The script is no script, or wants what estab has not. */
_Noreturn void script_refuse(struct script *s, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void script_leave(struct script *s);
/* What a parser cannot go on with is written to the result; the parser then ends by itself, since
 * it has memory to free, and who called it leaves.  Its stack never grows, so that what an action
 * refuses may leave at once. */
void script_syntax(struct script *s, int line, const char *where, const char *what);
#define SCRIPT_DEPTH 500                                              /* of a parser's stack */
void script_parse(struct script *s);                                  /* the file at s->path */
void script_parse_end(struct script *s);                              /* also after a refusal */
const char *script_defined(const struct script *s, const char *name); /* NULL: is not */

/* Makers for the grammar. */
struct expr *expr_new(struct script *s, enum expr_kind kind, int line);
struct expr *expr_list(struct expr *list, struct expr *last); /* appends; list may be NULL */
void pkt_flags(struct script *s, int line, struct pkt_spec *k, const char *text);
void pkt_ip_word(struct script *s, int line, struct pkt_spec *k, const char *word, long long n);
void pkt_option(struct script *s, int line, struct pkt_spec *k, const char *name,
                struct expr *args);

/* ---- running it ---- */

/* A connection as the script sees it.  Script numbers count from the script's initial sequence
 * numbers: ours is mapped to what the stack chose, the peer's is what the script says. */
struct ts_pair {
    uint32_t script, live;
};
struct conn {
    struct conn *next;
    uint8_t local[16], remote[16];
    uint16_t lport, rport;
    long script_lport, script_rport; /* as a script with ports writes them; -1 */
    bool know_lport;                 /* of a connect: known from its SYN */
    bool know_isn;
    bool new_isn;  /* our next SYN may begin another incarnation */
    uint32_t isn;  /* live minus script, of our side */
    bool first_ts; /* first_script, first_live are set */
    uint32_t first_script, first_live;
    long long first_ts_usec;
    struct ts_pair *ts; /* TSvals seen */
    int nts;
};

struct blocked_call {
    struct run *run;
    struct script_event *event;
    pthread_t thread;
    bool back;
    struct call_state *state;
};

struct fd_pair {
    int script, live;
    bool connected; /* a connect was made on it, and did not fail */
};
enum { RUN_FDS = 128 };

struct run {
    struct script *s;
    struct plug *plug;
    struct packetdrill_interface io;
    struct plug_set set;

    /* options */
    bool v6, mapped, strict_segments;
    uint8_t local[16], remote[16];
    uint16_t bind_port, connect_port;
    long long tolerance_usec;
    double tolerance_percent;
    long long ts_tick_usec; /* 0: TSvals are not compared */

    long long start_usec; /* live time of script time 0 */
    long long last_packet_usec;
    uint16_t next_rport;

    struct conn *conns, *current;
    uint8_t *packet; /* room for one */
    bool wrote_text; /* the script has sent other octets than zeros */
    int last_fd;     /* the live descriptor that %{ }% looks at; -1 */
    struct fd_pair fds[RUN_FDS];
    int nfds;
    struct blocked_call *calls;
    unsigned npackets_in, npackets_out, ncalls;
};

long long run_now(struct run *r); /* script time, us */
void run_sleep(struct run *r, long long usec);
/* Within the tolerance, of which the relative one counts from `since`. */
bool run_in_time(const struct run *r, long long from, long long to, long long actual,
                 long long since);

/* script_packet.c */
void packet_inject(struct run *r, struct script_event *e);
void packet_expect(struct run *r, struct script_event *e);
struct conn *conn_new(struct run *r, const uint8_t remote[16], uint16_t rport);
/* script_call.c */
void call_run(struct run *r, struct script_event *e);
void call_collect(struct run *r, bool all); /* blocked calls that are back; all: they must be */
void call_abandon(struct run *r);           /* the one that is blocked, after a failure */
void call_close_all(struct run *r);
int run_live_fd(const struct run *r, int script_fd); /* itself, if the script never got it */
/* script_shell.c, script_code.c, script_names.c */
void shell_run(struct run *r, int line, const char *text);
void code_run(struct run *r, int line, const char *text);
bool name_value(const char *name, long long *value);
bool errno_value(const char *name, int *value);
const char *errno_name(int value);

#endif

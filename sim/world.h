/* SPDX-License-Identifier: BSD-2-Clause */
/* world.h - a simulated network from the inside.
 *
 * Nodes are joined by ways, one for each direction of a link, each with a pipe (estab/host.h) for
 * what becomes of its frames.  A host is a stack with one way out.  Everything that will happen by
 * itself is an alarm in one heap; two at one instant go off in the order in which they were made
 * when the topology was read, so that nothing depends on addresses or on chance. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdio.h>

#include <estab/sim.h>

#pragma GCC visibility push(hidden)

enum {
    NAME_MAX_LEN = 32,
    WORLD_MTU = 1500,
    PATTERN = 65521, /* octets of what is sent, a prime; see world_flow.c */
};

struct world;
struct node;
struct flow;

/* ---- time ---- */

struct alarm {
    estab_time at;
    uint32_t order; /* among those of one instant */
    uint32_t pos;   /* in the heap, from 1; 0: not set */
    void (*ring)(struct world *w, void *owner);
    void *owner;
};

/* ---- the network ---- */

struct way {
    char name[2 * NAME_MAX_LEN];
    struct node *from, *to;
    struct estab_fault fault;
    estab_pipe *pipe;
    struct way *back; /* the other direction of the same line of the topology */
    bool half_duplex;
    struct alarm alarm;
    estab_pcap *pcap;        /* of the link; both ways have the same, if there are two */
    uint32_t at_from, at_to; /* its interfaces: what is seen at either end */
    struct world *world;
    uint32_t index;
    size_t fates_at, fates_end; /* of world.fates, when they are replayed */
};
struct node {
    char name[NAME_MAX_LEN];
    bool router;
    uint32_t index;
    int line;
    struct way **out;   /* by the node that it leads to; NULL: none */
    struct way **route; /* by host: where to send for it */
    uint64_t forwarded, expired, unroutable;
    /* a host */
    struct estab_config cfg;
    struct host_env {
        struct estab_virtual v; /* first: it is what the callbacks of env get */
        struct world *world;
    } own;
    struct estab_env env;
    estab_stack *stack;
    struct estab_addr addr;
    struct alarm alarm;
    size_t mem_peak;
};

/* ---- traffic ---- */

enum flow_kind { FLOW_BULK, FLOW_REQUEST, FLOW_ON_OFF, FLOW_SHORT };
struct flow_conf {
    char name[NAME_MAX_LEN];
    int line;
    enum flow_kind kind;
    struct node *from, *to;
    estab_dur start;
    uint64_t octets;             /* bulk; 0: until traffic ends */
    uint64_t requests;           /* request; 0: until traffic ends */
    uint64_t request, response;  /* octets */
    estab_dur think;             /* request: between an answer and the next */
    estab_dur on, off;           /* on-off */
    bool random;                 /* on, off and think are means of exponential distributions */
    double arrivals;             /* short: connections a second */
    uint64_t conns;              /* short: at most; 0: until traffic ends */
    double alpha;                /* short: of the bounded Pareto distribution of sizes */
    uint64_t size_min, size_max; /* short */
    /* options of the sockets; 0: none */
    uint64_t nodelay, sndbuf, rcvbuf, maxseg, keepidle, pacing_rate;
    char cc[16]; /* "": the host's */
};
struct end {
    enum { END_LISTENER, END_CLIENT, END_SERVER } role; /* first: what an event's user points to */
    struct flow *flow;
    struct conn *conn;
    struct node *host;
    estab_sock sock; /* 0: not yet, or closed */
    uint64_t sent, to_send, received;
    bool connected, shut, eof;
    bool seen, has_sent, has_acked; /* on the wire: text, anything, an ACK; up to these numbers */
    uint32_t seen_to, sent_to, acked_to;
};
struct conn {
    struct flow *flow;
    struct conn *next, **prev;
    struct end client, server;
    uint16_t port; /* the client's */
    uint32_t salt; /* where in the pattern it begins */
    estab_time began, request_began;
    uint64_t requests;
    bool failed, told; /* told: its figures are in the flow's */
};
struct times { /* how long things took */
    estab_dur *v;
    size_t n, room;
};
struct flow {
    struct flow_conf conf;
    struct estab_virtual rng;
    struct end listener;
    struct alarm alarm;
    bool on;
    struct conn *conns, **by_port;
    uint64_t started, done, failed, octets, segs_out, retrans, rtos, nsrtts;
    estab_dur srtt_sum;
    uint64_t sampled; /* of octets, in the last sample */
    estab_time last_read_at;
    struct times times;
    uint16_t port;
    char cc[16];
};

/* ---- what the topology says besides ---- */

enum act_kind { ACT_DOWN, ACT_UP, ACT_SET, ACT_ROUTE };
struct act {
    enum act_kind kind;
    estab_time at;
    int line;
    struct way *way[2];
    struct node *node, *to, *via;
    struct estab_fault fault[2];
};
enum metric {
    METRIC_GOODPUT,
    METRIC_TIME,
    METRIC_RETRANS,
    METRIC_FAILED,
    METRIC_DONE,
    METRIC_WAIT,
    METRIC_FAIRNESS,
};
struct expect {
    int line;
    struct flow *flow; /* or */
    struct way *way;
    enum metric metric;
    bool less;
    double bound;
    char text[96];
};

/* ---- fates (world_fate.c) ---- */

struct fate_line { /* what became of one frame that met anything but its delay */
    uint32_t way;
    struct estab_fate fate;
};
struct fate_list {
    struct fate_line *v;
    size_t n, room;
};

/* ---- a connection's end as a packet script (world_script.c) ---- */

struct script {
    FILE *f;
    char *text;
    size_t len;
    uint32_t isn[2]; /* its own and its peer's */
    bool has_isn[2];
};

enum { VARIED_MAX = 8, VALUES_MAX = 16 };
struct varied {
    char name[NAME_MAX_LEN];
    char value[VALUES_MAX][64];
    const char *values[VALUES_MAX]; /* for who asks */
    size_t n;
};

struct world {
    char *topology; /* its name */
    char about[128];
    struct estab_sim_options opt;
    char **defines;
    size_t ndefines;
    struct node **nodes;
    size_t nnodes, nodes_room;
    struct way **ways;
    size_t nways, ways_room;
    struct flow **flows;
    size_t nflows, flows_room;
    struct act *acts;
    size_t nacts, acts_room, next_act;
    struct expect *expects;
    size_t nexpects, expects_room;
    struct varied varied[VARIED_MAX];
    size_t nvaried;
    estab_dur lasts, drain, sample;
    size_t memory; /* ceiling of each host; 0: reckoned from its buffers */

    estab_time now, ended_at;
    struct estab_virtual rng;
    struct alarm **heap;
    uint64_t still; /* alarms at this instant */
    uint64_t events, frames;
    struct alarm act_alarm, end_alarm, sample_alarm;
    uint8_t *pattern, *buf; /* what is sent, and what is read */
    uint64_t open_conns;
    struct fate_list fates;
    struct flow *scripted;    /* whose first connection is written down; NULL: none */
    struct script scripts[2]; /* client and server */
    struct flow *broken;      /* the flow it was about, if it was about one */
    float *samples;           /* a row each: see world_plot.c */
    size_t nsamples, samples_room;

    struct estab_sim_report report;
    struct estab_sim_flow *flow_results;
    struct estab_sim_link *link_results;
    struct estab_sim_node *node_results;
    uint32_t nheap, heap_room, alarms;
    uint16_t scripted_port;
    bool ip6;
    bool checksums, trusting; /* they are reckoned; they never are */
    bool closing, forced;     /* traffic has ended; who is left is thrown out */
    bool record_fates, replay_fates;
    bool out_of_memory;
};

/* world.c */
__attribute__((format(printf, 2, 3))) int world_say(char *err, const char *fmt, ...); /* -1 */
void alarm_init(struct world *w, struct alarm *a, void (*ring)(struct world *w, void *owner),
                void *owner);
bool alarm_set(struct world *w, struct alarm *a, estab_time at); /* ESTAB_NEVER: not at all */
/* The first thing that does not hold ends the run. */
__attribute__((format(printf, 3, 4))) void world_broken(struct world *w, enum estab_sim_check check,
                                                        const char *fmt, ...);
uint64_t world_random(struct world *w);
double draw_share(struct estab_virtual *rng); /* from 0, below 1 */
double draw_exponential(struct estab_virtual *rng, double mean);
double draw_pareto(struct estab_virtual *rng, double alpha, double least, double most);
/* Makes room for one more in an array; NULL: no memory. */
void *grow(void *array, size_t n, size_t *room, size_t size);

/* world_text.c */
int world_parse(struct world *w, const char *text, char *err);
struct node *world_find_node(struct world *w, const char *name);
struct way *world_find_way(struct world *w, const struct node *from, const struct node *to);
struct flow *world_find_flow(struct world *w, const char *name);

/* world_net.c */
int net_open(struct world *w, char *err);
void net_close(struct world *w);
void net_act(struct world *w, const struct act *a);
/* Frames leave as soon as an arrival, a timeout or a call has caused them, as they do from a
 * kernel: whoever calls a host's stack calls this next. */
void host_send(struct world *w, struct node *h);
void host_serve(struct world *w, struct node *h); /* its users, its deadline */

/* world_flow.c */
int flow_open(struct world *w, struct flow *f, char *err);
void flow_close(struct world *w, struct flow *f); /* memory */
void flow_event(struct world *w, const struct estab_event *e);
void flow_see(struct world *w, const struct estab_frame *frame); /* that a host sends */
/* The connection's end that a frame of this host's belongs to; NULL: none that lives.  tcp: where
 * its header is. */
struct end *flow_find_end(struct world *w, const struct estab_frame *f, bool out,
                          const uint8_t **tcp, size_t *text);
void flow_stop(struct world *w, struct flow *f);      /* traffic ends */
void flow_throw_out(struct world *w, struct flow *f); /* and who has not understood goes, too */
void flow_tell(struct world *w, struct flow *f);      /* figures of connections that live on */
const char *flow_kind_name(enum flow_kind k);

/* world_fate.c */
void fates_open(struct world *w);
int fates_read(struct world *w, const char *path, char *err);
void fates_close(struct world *w);

/* world_script.c */
int script_open(struct world *w, char *err);
void script_frame(struct world *w, const struct node *h, const struct estab_frame *f, bool out);
__attribute__((format(printf, 3, 4))) void script_call(struct world *w, const struct end *e,
                                                       const char *fmt, ...);
void script_finish(struct world *w); /* the texts are whole */
void script_close(struct world *w);

/* world_plot.c */
void plot_open(struct world *w);
int plot_write(struct world *w, char *err);

/* world_result.c */
int world_results(struct world *w, char *err);
void world_check_expects(struct world *w);

#pragma GCC visibility pop
#endif

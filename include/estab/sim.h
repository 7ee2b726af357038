/* SPDX-License-Identifier: BSD-2-Clause */
/* sim.h - networks in virtual time: hosts that run estab, routers, links, traffic, and what must
 * hold whatever happens.  The language of the topologies stands in estab-sim(1).
 *
 * A run is a function of its topology, its definitions and one seed. */
#ifndef ESTAB_SIM_H
#define ESTAB_SIM_H

#include <estab/host.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct estab_sim_options { /* append-only, versioned like estab_config */
    size_t size;
    uint64_t seed;
    estab_dur lasts;            /* how long there is traffic; 0: as the topology says */
    const char *const *defines; /* "NAME=VALUE", over the topology's own */
    size_t ndefines;
    const char *fates;    /* a file of what becomes of frames, instead of chance; NULL: chance */
    const char *pcap_dir; /* a capture of each link; NULL: none */
    const char *plot_dir; /* plots and their data; NULL: none */
    const char *text;     /* the topology itself, instead of a file of its name; NULL: none */
};

enum estab_sim_verdict {
    ESTAB_SIM_HELD,   /* everything that must hold did */
    ESTAB_SIM_BROKEN, /* something did not: estab_sim_report.text says what */
};
enum estab_sim_check { /* what must hold */
                       ESTAB_SIM_NOTHING_FAILED,
                       ESTAB_SIM_OCTETS,  /* once, in order, unharmed, all of them */
                       ESTAB_SIM_MEMORY,  /* under the ceiling, and none of it left */
                       ESTAB_SIM_STATE,   /* none for ever */
                       ESTAB_SIM_STILL,   /* time moves on */
                       ESTAB_SIM_EXPECT,  /* a line of the topology */
                       ESTAB_SIM_NUMBERS, /* acknowledged is what was sent, and stays so */
};
struct estab_sim_report {
    enum estab_sim_verdict verdict;
    enum estab_sim_check check;
    int line;          /* of the topology: ESTAB_SIM_EXPECT */
    estab_time at;     /* when it broke */
    estab_dur traffic; /* how long there was traffic */
    estab_dur lasted;  /* until nothing was left */
    uint64_t events, frames;
    double fairness; /* Jain's index of the goodput of flows of kind bulk; 0: fewer than two */
    char text[512];
};
struct estab_sim_flow { /* of all connections of a flow together, until traffic ends */
    const char *name, *kind, *from, *to, *cc;
    uint64_t started, done, failed;   /* connections; done: all octets read at the other end */
    uint64_t octets;                  /* read at either end */
    double goodput;                   /* octets a second from its start to the last octet read */
    uint64_t segs_out, retrans, rtos; /* segments with text */
    estab_dur srtt;                   /* mean over its connections as they ended */
    /* Of connections, or of requests: from connect, or the first octet of a request, to the last
     * octet read. */
    uint64_t ntimes;
    estab_dur time_mean, time_p50, time_p99, time_max;
};
struct estab_sim_link { /* one direction */
    const char *name;   /* "a>b" */
    struct estab_pipe_info pipe;
    estab_dur wait_p50, wait_p99;
    double used; /* share of the time with traffic in which the wire was busy */
};
struct estab_sim_node {
    const char *name;
    bool router;
    uint64_t forwarded, expired, unroutable; /* router: frames */
    size_t mem_peak;                         /* host: octets */
    struct estab_stack_info stack;           /* host: at the end */
};

typedef struct estab_sim estab_sim;
/* Reads a topology: one of those that are built in, by name, or a file.  copies opt.  0, or -1 and
 * err, which names file and line. */
int estab_sim_new(estab_sim **out, const char *topology, const struct estab_sim_options *opt,
                  char *err);
void estab_sim_free(estab_sim *s); /* NULL is allowed */
/* Once.  0, or -1 and err: no memory, or a file that cannot be written. */
int estab_sim_run(estab_sim *s, char *err);
/* All lent until estab_sim_free(); after the run. */
const struct estab_sim_report *estab_sim_report(const estab_sim *s);
const struct estab_sim_flow *estab_sim_flows(const estab_sim *s, size_t *n);
const struct estab_sim_link *estab_sim_links(const estab_sim *s, size_t *n);
const struct estab_sim_node *estab_sim_nodes(const estab_sim *s, size_t *n);
const char *estab_sim_about(const estab_sim *s);          /* the topology's own line, or "" */
const char *estab_sim_check_name(enum estab_sim_check c); /* "octets" */

/* What the fewest frames are, of those that were lost, damaged, doubled or delayed, that a failure
 * needs: found by leaving out ever more of them (delta debugging) while it stays the same failure.
 * What is left goes to PREFIX.fates, which estab_sim_options.fates reads; what one connection's
 * ends then saw and did, to PREFIX-HOST.pkt, packet scripts that pass as long as the ends do the
 * same. */
struct estab_sim_shrunk { /* append-only, versioned like estab_config */
    size_t size;
    size_t before, after; /* frames */
    unsigned runs;        /* that it took */
    char fates[256];      /* the file */
    char scripts[2][256]; /* of client and server; "": none */
    bool replays[2];      /* whether estab_script_run() says that they pass */
    char report[512];     /* of the last run */
};
/* opt as it was for the run that failed; at most runs_max runs.  0; or -1 and err: also if nothing
 * fails. */
int estab_sim_shrink(const char *topology, const struct estab_sim_options *opt, unsigned runs_max,
                     const char *prefix, struct estab_sim_shrunk *out, char *err);

/* What the topology says can be one thing or another (`vary`): from 0; false: no more. */
bool estab_sim_varied(const estab_sim *s, size_t i, const char **name, const char *const **values,
                      size_t *n);

/* The topologies that are built in: from 0; false: no more of them. */
bool estab_sim_ready(size_t i, const char **name, const char **text);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

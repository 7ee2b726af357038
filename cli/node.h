/* SPDX-License-Identifier: BSD-2-Clause */
/* node.h - a stack with its link, its loop and whatever watches it: what serve, get and demo run.
 */
#ifndef CLI_NODE_H
#define CLI_NODE_H

#include <estab/host.h>
#include <getopt.h>
#include <stdio.h>

#include "ladder.h"

enum { NODE_ADDRS = 8, NODE_GATEWAYS = 4 };

struct prefix {
    uint8_t ip[16];
    uint8_t len; /* of the 16-octet form */
    char text[64];
};

struct node_config {
    const char *dev; /* a link pipeline: estab_link_open */
    uint32_t mtu;    /* 0: the device's own */
    struct prefix addrs[NODE_ADDRS];
    size_t naddrs;
    struct estab_addr gateways[NODE_GATEWAYS];
    size_t ngateways;
    struct prefix kernel[NODE_ADDRS]; /* addresses for the kernel's end of the device */
    size_t nkernel;
    estab_dur msl;        /* 0: the stack's default */
    const char *cc;       /* congestion control; NULL: the stack's default */
    uint32_t buffers;     /* octets a queue grows to at most, either way; 0: the stack's defaults */
    const char *pcap;     /* NULL: no recording */
    struct ladder *trace; /* NULL: no tracing */
};

/* The user of estab_watch in this program: every watched socket has one. */
struct watch {
    void (*ready)(struct watch *w, uint32_t mask);
};

struct node {
    estab_stack *stack;
    estab_loop *loop;
    estab_pcap *pcap;
    struct ladder *trace;
    struct estab_env host; /* the clock, randomness and memory behind the stack's environment */
    int port;
};

/* Opens config->dev, or takes `link` if it is not NULL.  0, or -1 and err. */
int node_open(struct node *n, const struct node_config *config, estab_link *link, char *err);
/* Frees everything and sends nothing; also what a failed node_open left. */
void node_close(struct node *n);
/* Hands every event to its watch, and takes one turn of the loop; returns what that returned. */
int node_turn(struct node *n, estab_dur max_wait, char *err);
estab_time node_now(const struct node *n);
/* The name of the TUN or TAP device under the link, in buf; NULL if it is none. */
const char *node_device(const struct node *n, char *buf, size_t cap);
/* Whether a connection still has segments to exchange: TIME-WAIT entries only wait. */
bool node_busy(const struct node *n);

/* What serve and get share on the command line: X("name", ID); each takes a value. */
#define NODE_OPTIONS(X)                                                                            \
    X("dev", DEV)                                                                                  \
    X("addr", ADDR)                                                                                \
    X("gw", GW)                                                                                    \
    X("kernel-addr", KERNEL)                                                                       \
    X("pcap", PCAP) X("msl", MSL) X("mtu", MTU) X("cc", CC) X("buffers", BUFFERS)
#define NODE_OPT_CODE(name, id) NODE_OPT_##id,
#define NODE_OPT_LONG(name, id) {name, required_argument, NULL, NODE_OPT_##id},
enum { NODE_OPT_FIRST = 0xff, NODE_OPTIONS(NODE_OPT_CODE) NODE_OPT_LAST };

#define NODE_USAGE                                                                                 \
    "  --dev LINK            the link, estab-links(7): tun:NAME, tap:NAME, shm:PATH, or a\n"       \
    "                        pipeline such as 'fault:loss=1%|tun:estab0' (default:\n"              \
    "                        tun:estab0)\n"                                                        \
    "  --addr ADDR/PREFIX    an address of the stack; once for each\n"                             \
    "  --gw ADDR             the default gateway; once for IPv4, once for IPv6\n"                  \
    "  --kernel-addr ADDR/PREFIX\n"                                                                \
    "                        give the kernel's end of the device this address, and set\n"          \
    "                        the device up\n"                                                      \
    "  --mtu OCTETS          the largest packet (default: the device's own)\n"                     \
    "  --msl SECONDS         maximum segment lifetime; TIME-WAIT lasts twice as long\n"            \
    "  --cc NAME             congestion control: cubic, newreno, dctcp, bbr (default: cubic)\n"    \
    "  --buffers OCTETS      how far what waits may grow, sent and received, 64 KiB at least\n"    \
    "                        (default: 30 MiB sent, 15 MiB received)\n"                            \
    "  --pcap FILE           record to a pcapng file, with each change of state\n"

/* Takes one of the options above.  0, or -1 and err. */
int node_option(struct node_config *config, int code, const char *value, char *err);
/* "0.5" -> 500 ms.  0, or -1: not a number of seconds between 0 and a day. */
int node_parse_seconds(estab_dur *out, const char *text);

#endif

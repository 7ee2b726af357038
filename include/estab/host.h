/* SPDX-License-Identifier: BSD-2-Clause */
/* host.h - what a stack needs from a POSIX system: environments, links, a recorder, an event loop.
 *
 * Everything here is a customer of estab.h and of nothing else of estab.
 * Functions that can fail for a reason a person must read take `err`: a buffer of ESTAB_ERRLEN
 * octets that gets one line saying what failed, on what, why, and what to do about it. */
#ifndef ESTAB_HOST_H
#define ESTAB_HOST_H

#include <estab/estab.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define ESTAB_ERRLEN 256

/* ---- environments ---- */

/* Monotonic clock, getrandom(2), malloc.  Fills env; trace is NULL. */
void estab_host_env(struct estab_env *env);

/* estab_stack_new(), and err (ESTAB_ERRLEN octets) says in words what was refused: a setting by its
 * name, with its value and the bounds that it must keep. */
int estab_host_stack(estab_stack **out, const struct estab_env *env, const struct estab_config *cfg,
                     char *err);

/* Virtual time and seeded randomness: two runs with one seed are identical. */
struct estab_virtual {
    estab_time now;    /* the caller moves it */
    uint64_t rng[4];   /* xoshiro256** */
    size_t live, peak; /* octets allocated now, and at most */
    uint64_t allocs;   /* calls of alloc so far */
    uint64_t fail_at; /* alloc number that fails (1 = the next one made after a reset of allocs); 0:
                         none */
};
void estab_virtual_env(struct estab_env *env, struct estab_virtual *v, uint64_t seed);
uint64_t estab_virtual_random(struct estab_virtual *v);

/* ---- links ----
 * A link is where frames come from and go to.  Decorators (fault, pcap) are links over a link and
 * own it: closing the outermost closes all. */

typedef struct estab_link estab_link;
struct estab_link_ops {
    const char *name;
    /* Lends up to n frames until the next recv on this link; how many, 0: none now, -1: the link is
     * gone (estab_link.error says why). */
    int (*recv)(estab_link *l, struct estab_frame *f, size_t n);
    /* Borrows n frames; returns how many the link took, or -1: gone.  A frame not taken is lost and
     * counted. */
    int (*send)(estab_link *l, const struct estab_frame *f, size_t n);
    int (*fd)(const estab_link *l); /* readable when recv has something; -1: none */
    /* When to call recv if nothing else happens: nothing arrives by itself before.  Or
     * ESTAB_NEVER. */
    estab_time (*deadline)(const estab_link *l);
    void (*close)(estab_link *l);
};
struct estab_link {
    const struct estab_link_ops *ops;
    struct estab_port_caps caps; /* hand to estab_port_add */
    uint64_t frames_in, octets_in, frames_out, octets_out;
    uint64_t lost_out;  /* not taken by what is below */
    uint64_t lost_in;   /* arrived, and of no use (a header of the link that cannot be), or no room
                           in the way to the shard that it was for */
    uint64_t handed_on; /* arrived here, for another shard: estab_link_shards() */
    estab_dur busy;     /* how long a loop looks for frames before it sleeps; 0: not at all */
    bool sparing; /* ... and while it looks in vain, ever more seldom: down to one sleep of 64 */
    uint8_t vain, rests;      /* estab_link_looked()'s */
    bool places;              /* the next recv copies much: who calls it may say first where to: */
    struct estab_place place; /* estab_input_place()'s; recv sets it to nothing */
    bool more;     /* there is more to recv, if whose buffer is full is given a turn first */
    char name[64]; /* "tun:estab0" */
    char error[ESTAB_ERRLEN]; /* empty while all is well */
};
static inline int estab_link_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    return l->ops->recv(l, f, n);
}
static inline int estab_link_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    return l->ops->send(l, f, n);
}
static inline int estab_link_fd(const estab_link *l)
{
    return l->ops->fd(l);
}
static inline estab_time estab_link_deadline(const estab_link *l)
{
    return l->ops->deadline(l);
}
void estab_link_close(estab_link *l); /* NULL is allowed */
/* For who drives a link: how long to look for frames before sleeping on it this time; 0: not at
 * all. */
estab_dur estab_link_look(const estab_link *l);
/* And then: it was looked at for so long, or not at all, and something came; or in vain, and now it
 * is slept on. */
void estab_link_looked(estab_link *l, estab_dur looked, bool came);

/* Octets of a frame, and its pieces put together in buf, which must have room for them. */
size_t estab_frame_len(const struct estab_frame *f);
void estab_frame_copy(void *buf, const struct estab_frame *f);

/* From a pipeline, outermost first: "pcap:x.pcapng|fault:loss=1%,seed=7|tun:estab0".  0 or -1 and
 * err. estab-links(7) has every kind and its words; tun:NAME and tap:NAME attach to (or make) a
 * device. */
int estab_link_open(estab_link **out, const char *spec, char *err);

/* A TUN (ESTAB_MEDIUM_IP) or TAP (ESTAB_MEDIUM_ETHERNET) device of the kernel, non-blocking, one
 * plain frame a system call.  name may be "" (the kernel chooses; link->name tells).  mtu 0: the
 * device's own. */
int estab_link_tuntap(estab_link **out, enum estab_medium medium, const char *name, uint32_t mtu,
                      char *err);

enum estab_use {                 /* of what a kernel, or this build, may not have */
                 ESTAB_USE_AUTO, /* where it is there, and wins */
                 ESTAB_USE_ON,   /* or the link is refused */
                 ESTAB_USE_OFF,
};
struct estab_tuntap { /* append-only: set size; all else 0: as estab_link_tuntap(), with vnet */
    size_t size;
    enum estab_medium medium;
    const char *name; /* NULL: "" */
    uint32_t mtu;
    enum estab_use vnet; /* virtio-net headers: checksums left to the other side, super-segments of
                            up to 64 KiB, both ways */
    bool multi_queue;    /* one of several links to this device: estab_link_shards() */
};
int estab_link_tuntap_open(estab_link **out, const struct estab_tuntap *how, char *err);

/* An Ethernet device of the kernel's (AF_PACKET): a station beside the kernel on the same wire,
 * with a random MAC; no address of the stack's is to be configured on this machine.  mtu 0: the
 * device's; vnet: as in struct estab_tuntap. */
int estab_link_packet(estab_link **out, const char *dev, uint32_t mtu, enum estab_use vnet,
                      char *err);

/* The same by AF_XDP, where this was built with libxdp: frames come and go through rings that the
 * kernel shares, without a copy where its driver can, and without offloads.  Frames for the stack's
 * MAC and for groups are the stack's, the rest is the kernel's. */
struct estab_xdp { /* append-only: set size; all else 0: the device's MTU, a random MAC */
    size_t size;
    const char *dev;
    uint32_t mtu;
    bool queue_given; /* or the device must have one */
    uint32_t queue;   /* of the device's, from 0: by which frames come and go */
    const uint8_t *mac;
};
int estab_link_xdp(estab_link **out, const struct estab_xdp *how, char *err);

/* A link to another process of this machine and user, through shared memory (IP packets and
 * super-segments); the two find each other at a UNIX socket.  Who comes first makes it, and waits
 * there (what it sends until the other comes is lost); nobody has to trust the other with more than
 * the frames.  mtu 0: 1500.  A loop looks for frames for 50 us before it sleeps (link->busy),
 * sparing while that is in vain. */
int estab_link_shm(estab_link **out, const char *path, uint32_t mtu, char *err);

/* n links to one device, tun:, tap:, packet: or xdp: (which has n queues) with their words, for n
 * stacks with one address (estab_config.shard: out[i] is for i), each run in a thread of its own:
 * whichever way the device hands a frame over, it reaches the stack that it is for.  A link and its
 * stack are one thread's; they may be closed in any order, but one that is neither driven nor
 * closed keeps what comes by it for the others.  n: 1 to 16.  0 or -1 and err. */
int estab_link_shards(estab_link **out, uint16_t n, const char *spec, char *err);

/* Two ends in memory.  What one sends the other receives at once (copied); each end holds at most
 * `queue` frames (0: 1024), the rest is lost and counted.  Both have caps, but on Ethernet the
 * second's MAC differs in the last bit.  An end is gone when the other has been closed. */
int estab_link_pair(estab_link *out[2], const struct estab_port_caps *caps, uint32_t queue);

/* One direction of a link, or of a path: what becomes of the frames that are put into it.  They
 * wait in a queue for the wire (rate, queue, aqm), take their time on it, are lost, damaged,
 * delayed, doubled, and arrive.  Probabilities are 0 to 1. */
enum estab_aqm {                  /* who is refused when the queue is long */
                 ESTAB_AQM_NONE,  /* the last to come, when it is full */
                 ESTAB_AQM_CODEL, /* RFC 8289 */
                 ESTAB_AQM_RED,   /* Floyd and Jacobson, 1993 */
};
#define ESTAB_FAULT_DROPS 16
struct estab_fault {
    double loss, duplicate;
    double reorder;                      /* share of frames held back for reorder_by */
    double corrupt;                      /* share of frames with one bit flipped */
    estab_dur delay, jitter, reorder_by; /* jitter: uniform, added to delay; may reorder */
    double late; /* share of frames that wander: delivered after late_by, too */
    estab_dur late_by;
    uint64_t rate;  /* octets per second; 0: no limit */
    uint32_t queue; /* frames waiting for rate, with the one on the wire; 0: 1024 */
    uint64_t seed;
    estab_time (*now)(void *ctx); /* of estab_link_fault; NULL: the monotonic clock */
    void *ctx;
    uint64_t queue_octets; /* a bound besides; 0: none */
    estab_dur queue_time;  /* a bound besides: the octets that rate carries in that time; 0: none */
    enum estab_aqm aqm;
    bool ecn; /* aqm marks what is ECN-capable (RFC 3168) instead of dropping it */
    estab_dur codel_target, codel_interval; /* 0: 5 ms and 100 ms */
    double red_min, red_max;                /* frames; 0: a quarter and three quarters of queue */
    double red_p, red_weight;               /* 0: 0.1 and 0.002 */
    bool in_order;                          /* jitter does not reorder */
    uint32_t framing;                       /* octets around each frame that the wire carries too */
    estab_dur per_frame;                    /* and the time it takes for each, as a radio does */
    /* Gilbert-Elliott: a frame finds the channel good or bad, which turns bad with chance ge_bad
     * and good again with ge_good; ge_bad 0: neither. */
    double ge_bad, ge_good, ge_loss_bad, ge_loss_good;
    estab_dur outage_every, outage_for; /* so long in each such span nothing arrives; 0: always */
    struct {
        uint64_t from, to;
    } drop[ESTAB_FAULT_DROPS]; /* frames lost by number, from 1, both included */
    uint32_t ndrops;
};
/* "loss=1%,dup=0.5%,reorder=2%,reorder_by=10ms,corrupt=0.1%,delay=20ms,jitter=5ms,rate=10Mbit,seed=7",
 * late=, late_by=, queue=100 (frames), 64kB or 50ms; estab-sim(1) has all of them.  Fills all of
 * *f: what text does not name has its default (0, and 10 ms for reorder_by, 1 s for late_by), now
 * and ctx are NULL.  0, or -1 and err; then *f is untouched. */
int estab_fault_parse(struct estab_fault *f, const char *text, char *err);
/* The same over what *f has already. */
int estab_fault_change(struct estab_fault *f, const char *text, char *err);

/* The model itself, in any time: whoever drives it says what time it is, never less than before. */
typedef struct estab_pipe estab_pipe;
struct estab_fate { /* of one frame, beyond the queue */
    uint64_t frame; /* its number, from 1 */
    bool lost, corrupt, duplicate, late;
    uint64_t bit;                                 /* to flip, modulo the frame's length */
    estab_dur extra, duplicate_extra, late_extra; /* after the delay; 0: none */
};
struct estab_pipe_info { /* append-only, versioned like estab_config */
    size_t size;
    uint64_t offered, offered_octets, delivered, delivered_octets;
    uint64_t full, aqm, marked; /* refused for want of room; dropped and marked by aqm */
    uint64_t lost, outage, corrupted, duplicated, reordered, late;
    uint32_t queued, queued_max; /* frames, with the one on the wire */
    uint64_t queued_octets;
    estab_dur busy;     /* the wire has carried something */
    estab_dur wait_sum; /* of the frames that reached the wire, in the queue */
};
int estab_pipe_new(estab_pipe **out, const struct estab_fault *f, char *err);
void estab_pipe_free(estab_pipe *p); /* NULL is allowed */
/* Half duplex: both have one wire, and who came first is first. */
void estab_pipe_join(estab_pipe *a, estab_pipe *b);
/* Other settings from now on; what is under way stays so.  0, or -1 and err. */
int estab_pipe_set(estab_pipe *p, const struct estab_fault *f, estab_time now, char *err);
void estab_pipe_down(estab_pipe *p, bool down, estab_time now); /* nothing arrives any more */
void estab_pipe_push(estab_pipe *p, const struct estab_frame *f, estab_time now); /* copies */
/* The next that has arrived by now: lent until the next call on this pipe, and the caller may
 * change it.  False: none. */
bool estab_pipe_pop(estab_pipe *p, struct estab_frame *f, estab_time now);
/* When to call pop: nothing arrives before.  ESTAB_NEVER: nothing is under way. */
estab_time estab_pipe_deadline(const estab_pipe *p);
void estab_pipe_info(estab_pipe *p, estab_time now, struct estab_pipe_info *info);
/* The time in the queue that a share of the frames did not exceed, within 3 %: 0.99 of them. */
estab_dur estab_pipe_wait(const estab_pipe *p, double share);
/* Sees each frame's fate when it has been drawn, and may change it. */
void estab_pipe_fates(estab_pipe *p, void (*fate)(void *ctx, struct estab_fate *f), void *ctx);

/* Impairment of what is sent through the decorator, and of nothing received.
 * takes `under`, also on failure (a probability that is none, or reorder or late without its span).
 * Frames leave when their time has come: whoever drives this end must call recv (or send) on it at
 * estab_link_deadline. */
int estab_link_fault(estab_link **out, estab_link *under, const struct estab_fault *f, char *err);

/* ---- the recorder: pcapng ---- */

typedef struct estab_pcap estab_pcap;
/* Writes a file that Wireshark and tshark open; "-" is standard output.  epoch: what virtual or
 * monotonic time 0 is in UNIX ns (0: the time stamps are the stack's own). */
int estab_pcap_open(estab_pcap **out, const char *path, uint64_t epoch, char *err);
/* Keeps only the first `octets` of each frame from now on (0: all of it, as in the beginning); how
 * long it was is recorded. */
void estab_pcap_snap(estab_pcap *p, uint32_t octets);
/* A change of state, a drop, a timer becomes the comment of the packet that caused it, or of the
 * next one. Has the signature of env.trace with ctx = the recorder. */
void estab_pcap_trace(void *pcap, const struct estab_trace *t);
/* Puts everything but the frame held back into the file.  0, or -1 and err if the file is
 * incomplete (disk full); the links over it then say so in their error, once, and carry on without
 * it. */
int estab_pcap_flush(estab_pcap *p, char *err);
void estab_pcap_close(estab_pcap *p); /* writes what is held back; NULL is allowed */
/* For who has frames and no link: one more interface of the file, its number; a bare IP packet seen
 * there. */
uint32_t estab_pcap_interface(estab_pcap *p, const char *name, const struct estab_port_caps *caps);
void estab_pcap_frame(estab_pcap *p, uint32_t interface, bool inbound, estab_time at,
                      const struct estab_frame *f);
/* takes `under`, also on failure; borrows `p`, which must outlive the link.  now NULL: the
 * monotonic clock.  recv lends one frame a call, so that each record belongs to the frame that
 * caused it. */
int estab_link_pcap(estab_link **out, estab_link *under, estab_pcap *p,
                    estab_time (*now)(void *ctx), void *ctx, char *err);

/* ---- the loop: one stack, its links, epoll ---- */

typedef struct estab_loop estab_loop;
int estab_loop_new(estab_loop **out, estab_stack *s, char *err); /* borrows the stack */
void estab_loop_free(estab_loop *l);                             /* closes its links */
/* Adds link->caps as a port of the stack; takes the link, also on failure.  The port's number, or
 * -1 and err. */
int estab_loop_attach(estab_loop *l, estab_link *link, char *err);
estab_link *estab_loop_link(estab_loop *l, int port); /* lends */
/* Another descriptor to wait for: it ends the wait of estab_loop_turn and is reported by it. */
int estab_loop_watch_fd(estab_loop *l, int fd);
/* One turn: hand out, wait at most max_wait (0: do not; ESTAB_NEVER: until something happens) for a
 * frame, a deadline or a watched descriptor, take frames in, run timers, hand out.  0; 1: a watched
 * descriptor is readable; -1: a link is gone (err says which and why; said once for each, the
 * others go on); -2: interrupted by a signal.
 * A link that has more for a buffer that is lent and full ends the turn, so that its user can lend
 * another; the next then goes on at once, and what is ready is handed out when 32 frames have come,
 * or there are no more, or after a millisecond. */
int estab_loop_turn(estab_loop *l, estab_dur max_wait, char *err);
/* Hands out what the stack has ready, without waiting: after a batch of calls. */
void estab_loop_flush(estab_loop *l);

/* ---- filters: which connections, in the words of ss(8) ----
 *
 *      state established ( dport = :80 or sport = :443 ) dst 10.0.0.0/8
 *
 * States: the RFC's names, and all, connected, synchronized, bucket (half-open, TIME-WAIT), big
 * (the others), listening; `exclude` takes them away; a bare name means `state NAME`.  Then terms,
 * joined by and (also where nothing stands between them), or, not, and parentheses: `dport`,
 * `sport` with = != < <= > >= and a port; `dst`, `src` with an address, a prefix, or either with a
 * port behind a colon. */
#define ESTAB_FILTER_MAX 64
struct estab_filter {
    uint32_t states; /* a bit for each enum estab_tcp_state; 0: none was named */
    uint32_t n;
    struct estab_filter_step { /* the expression, operands first */
        uint8_t kind, op, prefix_len;
        bool port_given;
        uint16_t port;
        uint8_t ip[16];
    } step[ESTAB_FILTER_MAX];
};
/* 0, or -1 and err; then *f is untouched. */
int estab_filter_parse(struct estab_filter *f, const char *text, char *err);
/* A filter that names no state takes every state. */
bool estab_filter_match(const struct estab_filter *f, enum estab_tcp_state st,
                        const struct estab_addr *local, const struct estab_addr *peer);
int estab_state_parse(const char *name); /* "time-wait", "TIME_WAIT"; -1: none */

/* ---- the control socket: what estab-ss(1), estab-why(1) and their kind ask a running stack ----
 * doc/API.md has the protocol.  Nothing blocks: a client that does not read costs its buffer; an
 * answer is made as it is taken, a bounded number of sockets a turn. */

typedef struct estab_ctl estab_ctl;
struct estab_ctl_config { /* append-only: set size */
    size_t size;
    const char *command; /* what the stack's program is called; NULL: "?" */
    const char *path;    /* NULL: PID.sock in estab_ctl_folder(), which is made */
    const char *group;   /* whose members may ask and kill as well, by name or number; NULL: only
                            the user who runs this, and root */
};
/* Borrows the stack; all of these are called where the stack's own calls are made.  config may be
 * NULL.  0, or -1 and err. */
int estab_ctl_open(estab_ctl **out, estab_stack *s, const struct estab_ctl_config *config,
                   char *err);
const char *estab_ctl_path(const estab_ctl *c);
int estab_ctl_fd(const estab_ctl *c); /* readable when estab_ctl_run has something to do */
void estab_ctl_run(estab_ctl *c);     /* does a bounded amount of work */
void estab_ctl_close(estab_ctl *c);   /* removes the socket; NULL is allowed */
/* The folder of this user's control sockets.  0, or -1 and err: there is none, or it is not this
 * user's alone. */
#define ESTAB_CTL_PATH 108
int estab_ctl_folder(char path[ESTAB_CTL_PATH], bool make, char *err);
/* A blocking connection to a control socket; -1 and errno.  EAGAIN: the stack has as many clients
 * as its queue takes and has taken none of them for `patience`: its process may be stopped. */
int estab_ctl_connect(const char *path, estab_dur patience);

/* ---- what POSIX and Linux call it ---- */

/* The errno of an enum estab_err, as Linux's calls set it: 0 for ESTAB_OK, EIO for what is none. */
int estab_errno(int err);
/* What getsockopt(TCP_INFO) says: Linux 6.18's struct tcp_info, as much of it as len has room for,
 * into buf; how many octets that is.  Lengths are in segments where Linux counts those. */
size_t estab_linux_tcp_info(const struct estab_tcp_info *info, void *buf, size_t len);
/* Values of other socket options.  give: as much as len has room for, and how many octets that is;
 * the others an errno.  SO_RCVTIMEO, SO_SNDTIMEO: a struct timeval (EINVAL: too short; EDOM); a
 * negative one is over before anything can happen, which 1 ns stands for.  TCP_CONGESTION: RFC
 * 6582's algorithm is "reno" to Linux (ENOENT: no such algorithm). */
size_t estab_linux_give(const void *what, size_t n, void *buf, size_t len);
int estab_linux_timeout(const void *val, size_t len, estab_dur *out);
size_t estab_linux_give_timeout(estab_dur timeout, void *buf, size_t len);
int estab_linux_set_cc(estab_stack *s, estab_sock k, const void *val, size_t len);
size_t estab_linux_give_cc(const estab_stack *s, estab_sock k, void *buf, size_t len);

/* Octets in all; and the pieces from octet `from` on, cap at most, so that a long list is served in
 * stretches: how many that are. */
struct iovec;
size_t estab_iov_total(const struct iovec *iov, size_t niov);
size_t estab_iov_from(const struct iovec *iov, size_t niov, size_t from, struct estab_iov *out,
                      size_t cap);

/* ---- text ---- */

/* "10.0.0.1", "fd00::1", "10.0.0.1:80", "[fd00::1]:80", ":80".  0 or -1.  port_given may be NULL.
 */
int estab_addr_parse(struct estab_addr *out, const char *text, bool *port_given);
/* Writes "10.0.0.1:80" or "[fd00::1]:80" (with_port) into buf of at least 56 octets; returns buf.
 */
char *estab_addr_format(const struct estab_addr *a, bool with_port, char *buf);
enum estab_unit {
    ESTAB_UNIT_COUNT,  /* "12.5" */
    ESTAB_UNIT_SHARE,  /* "1%", "0.01" */
    ESTAB_UNIT_TIME,   /* "10ms": ns us ms s min; as ns */
    ESTAB_UNIT_RATE,   /* "10Mbit": bit kbit Mbit Gbit a second; as octets a second */
    ESTAB_UNIT_OCTETS, /* "64kB": B kB MB GB, decimal */
};
/* All of text, a number without sign in one of the units.  0 or -1. */
int estab_quantity_parse(double *out, const char *text, enum estab_unit unit);
/* "10.0.0.1/24": addr and the prefix in bits of the 16-octet form.  0 or -1. */
int estab_prefix_parse(uint8_t addr[16], uint8_t *prefix_len, const char *text);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

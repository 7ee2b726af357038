/* SPDX-License-Identifier: BSD-2-Clause */
/* recorder.c - frames into a file, with what became of them and why as their comments.
 *
 * Which frame a trace record comments on:
 *  1. The last frame is held back until the next one, so that it can still get comments.
 *  2. Between the recv that lends a frame and the next recv or send of any link of the recorder
 *     the stack works on that frame.  Refusals, and changes of state or of cwnd by a segment or
 *     ICMP message in that time are the frame's.  A timer or a call of the user ends that time.
 *  3. Other changes of state and of cwnd, timers, and the reasons why a segment is sent again wait
 *     for the next frame that their connection sends (the reason: for that very segment).
 *  4. A record that no such frame will follow (a listener's, TIME-WAIT's end, a refusal at another
 *     time than 2) goes to the frame held back, with its own time and connection in front.  So does
 *     what still waits when the file is closed, and the oldest of more than WAITING_MAX. */
#include "recorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "pcapng.h"

enum {
    WAITING_MAX = 64,
    NOTE_MAX = 256,
    NOTES_MAX = 65536, /* octets of comments on one frame: Wireshark refuses blocks of 16 MiB */
};

struct waiting {
    estab_time at;
    struct estab_addr local, peer;
    bool one_segment; /* of this seq */
    uint32_t seq;
    char text[NOTE_MAX];
};
struct estab_pcap {
    struct pcapng out;
    uint64_t epoch;
    uint32_t snap;       /* octets kept of a frame; 0: all */
    bool holds, current; /* a frame is held back; the stack works on it */
    struct pcapng_packet held;
    uint64_t unsaid; /* comments on it beyond NOTES_MAX */
    struct waiting waiting[WAITING_MAX];
    size_t nwaiting;
};

/* ---- which connection a frame belongs to ---- */

struct tuple {
    struct estab_addr src, dst;
    uint32_t seq; /* TCP */
};

static uint32_t get_be(const uint8_t *at, size_t len)
{
    uint32_t v = 0;

    while (len-- > 0)
        v = v << 8 | *at++;
    return v;
}

static void map_v4(uint8_t ip[16], const uint8_t v4[4])
{
    memset(ip, 0, 10);
    memset(ip + 10, 0xff, 2);
    memcpy(ip + 12, v4, 4);
}

/* Our own frames only, so that nothing exotic need be understood. */
static bool find_tuple(struct tuple *t, const struct octets *frame, enum estab_medium medium)
{
    const uint8_t *ip = frame->at;
    size_t len = frame->len, skip = medium == ESTAB_MEDIUM_ETHERNET ? 14 : 0, hdr_len;

    *t = (struct tuple){0};
    if (len < skip + 20)
        return false;
    ip += skip;
    len -= skip;
    if (ip[0] >> 4 == 4 && (ip[9] == 6 || ip[9] == 17)) {
        hdr_len = (size_t)(ip[0] & 15) * 4;
        map_v4(t->src.ip, ip + 12);
        map_v4(t->dst.ip, ip + 16);
    } else if (ip[0] >> 4 == 6 && len >= 40 && (ip[6] == 6 || ip[6] == 17)) {
        hdr_len = 40;
        memcpy(t->src.ip, ip + 8, 16);
        memcpy(t->dst.ip, ip + 24, 16);
    } else {
        return false;
    }
    if (len < hdr_len + 8)
        return false;
    t->src.port = (uint16_t)get_be(ip + hdr_len, 2);
    t->dst.port = (uint16_t)get_be(ip + hdr_len + 2, 2);
    t->seq = get_be(ip + hdr_len + 4, 4);
    return true;
}

static bool is_same_end(const struct estab_addr *a, const struct estab_addr *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* ---- notes ---- */

static void note_held(estab_pcap *p, const char *text)
{
    size_t before = p->held.comments.len;

    if (before > NOTES_MAX) {
        p->unsaid++;
        return;
    }
    octets_put(&p->held.comments, text, strlen(text) + 1);
    if (p->held.comments.failed) {
        p->held.comments.len = before;
        pcapng_fail(&p->out, "out of memory");
    }
}

static void note_elsewhere(estab_pcap *p, const struct waiting *w)
{
    char text[NOTE_MAX + 160], local[56], peer[56];

    snprintf(text, sizeof text, "at %" PRIu64 ".%09" PRIu64 " s, %s - %s: %s", w->at / ESTAB_S(1),
             w->at % ESTAB_S(1), estab_addr_format(&w->local, true, local),
             estab_addr_format(&w->peer, true, peer), w->text);
    note_held(p, text);
}

static void take_waiting(estab_pcap *p, size_t i, struct waiting *w)
{
    *w = p->waiting[i];
    p->nwaiting--;
    memmove(p->waiting + i, p->waiting + i + 1, (p->nwaiting - i) * sizeof *p->waiting);
}

static void put_waiting(estab_pcap *p, const struct waiting *w)
{
    struct waiting oldest;

    if (p->nwaiting == WAITING_MAX) {
        take_waiting(p, 0, &oldest);
        if (p->holds)
            note_elsewhere(p, &oldest);
    }
    p->waiting[p->nwaiting++] = *w;
}

static void note_outbound(estab_pcap *p, enum estab_medium medium)
{
    struct tuple t;
    struct waiting *w, taken;
    size_t i = 0;

    if (p->nwaiting == 0 || !find_tuple(&t, &p->held.frame, medium))
        return;
    while (i < p->nwaiting) {
        w = &p->waiting[i];
        if (is_same_end(&w->local, &t.src) && is_same_end(&w->peer, &t.dst) &&
            (!w->one_segment || w->seq == t.seq)) {
            take_waiting(p, i, &taken);
            note_held(p, taken.text);
        } else {
            i++;
        }
    }
}

static void write_held(estab_pcap *p)
{
    char text[48];

    if (!p->holds)
        return;
    if (p->unsaid > 0) {
        snprintf(text, sizeof text, "and %" PRIu64 " more", p->unsaid);
        octets_put(&p->held.comments, text, strlen(text) + 1);
    }
    pcapng_write(&p->out, &p->held);
    p->holds = false;
}

uint32_t recorder_add(estab_pcap *p, const estab_link *l)
{
    return pcapng_interface(&p->out, l->name, &l->caps);
}

void recorder_settle(estab_pcap *p)
{
    p->current = false;
}

void recorder_frame(estab_pcap *p, uint32_t number, const estab_link *l, bool inbound,
                    estab_time at, const struct estab_frame *f, const char *note)
{
    uint8_t *to;

    write_held(p);
    p->held.frame.len = p->held.comments.len = 0;
    p->held.frame.failed = p->held.comments.failed = false;
    p->unsaid = 0;
    to = octets_extend(&p->held.frame, estab_frame_len(f));
    if (!to) {
        pcapng_fail(&p->out, "out of memory");
        return;
    }
    estab_frame_copy(to, f);
    link_complete_csum(to, p->held.frame.len, &f->off); /* else it would look damaged */
    p->held.len = p->held.frame.len;
    p->holds = true;
    p->current = p->held.inbound = inbound;
    p->held.interface = number;
    p->held.at = p->epoch + at;
    if (note)
        note_held(p, note);
    if (!inbound)
        note_outbound(p, l->caps.medium);
    if (p->snap && p->held.len > p->snap)
        p->held.frame.len = p->snap;
}

uint32_t estab_pcap_interface(estab_pcap *p, const char *name, const struct estab_port_caps *caps)
{
    return pcapng_interface(&p->out, name, caps);
}

void estab_pcap_frame(estab_pcap *p, uint32_t interface, bool inbound, estab_time at,
                      const struct estab_frame *f)
{
    static const estab_link bare = {.caps = {.medium = ESTAB_MEDIUM_IP}};

    recorder_frame(p, interface, &bare, inbound, at, f, NULL);
    recorder_settle(p);
}

/* ---- records ---- */

/* "rto, RFC 6298 section 5" after `before`, if a rule is named. */
static void add_rule(char *text, const char *before, unsigned rule)
{
    const char *name = rule ? estab_rule_name(rule) : NULL,
               *ref = rule ? estab_rule_ref(rule) : NULL;
    size_t len = strlen(text);

    if (name)
        snprintf(text + len, NOTE_MAX - len, "%s%s%s%s", before, name, ref ? ", " : "",
                 ref ? ref : "");
}

static void describe_state(char *text, const struct estab_trace *t)
{
    const char *event = estab_edge_event(t->from, t->to, t->cause);
    size_t len;

    snprintf(text, NOTE_MAX, "%s -> %s (%s", estab_state_name(t->from), estab_state_name(t->to),
             event ? event : "");
    add_rule(text, event && *event ? "; " : "", t->rule);
    len = strlen(text);
    snprintf(text + len, NOTE_MAX - len, ")");
}

/* False: the record is none for a comment. */
static bool describe(char *text, const struct estab_trace *t)
{
    text[0] = '\0';
    switch (t->kind) {
    case ESTAB_TR_STATE:
        describe_state(text, t);
        return true;
    case ESTAB_TR_DROP:
        add_rule(text, "dropped: ", t->rule);
        return text[0] != '\0';
    case ESTAB_TR_TIMER:
        snprintf(text, NOTE_MAX, "timer: %s", estab_timer_name(t->timer));
        add_rule(text, "; ", t->rule);
        return true;
    case ESTAB_TR_CC:
        snprintf(text, NOTE_MAX, "cwnd is %" PRIu32, t->len);
        add_rule(text, ": ", t->rule);
        return true;
    case ESTAB_TR_SEG_OUT:
        add_rule(text, "sent again: ", t->rule);
        return text[0] != '\0';
    case ESTAB_TR_SEG_IN:
        return false;
    }
    return false;
}

/* Whether something else than the arrival of a segment has begun (rule 2). */
static bool ends_arrival(const struct estab_trace *t)
{
    return t->kind == ESTAB_TR_TIMER ||
           (t->kind == ESTAB_TR_STATE &&
            (t->cause == ESTAB_BY_USER || t->cause == ESTAB_BY_TIMEOUT));
}

/* Whether no frame of its connection will follow (rule 4). */
static bool is_last_word(const struct estab_trace *t)
{
    return t->kind == ESTAB_TR_DROP || t->peer.port == 0 ||
           (t->kind == ESTAB_TR_STATE && t->from == ESTAB_TIME_WAIT && t->to == ESTAB_CLOSED);
}

void estab_pcap_trace(void *pcap, const struct estab_trace *t)
{
    estab_pcap *p = pcap;
    struct waiting w = {.at = t->at, .local = t->local, .peer = t->peer};

    if (ends_arrival(t))
        p->current = false;
    if (!describe(w.text, t))
        return;
    w.one_segment = t->kind == ESTAB_TR_SEG_OUT;
    w.seq = t->seq;
    if (p->current && !w.one_segment)
        note_held(p, w.text);
    else if (is_last_word(t) && p->holds)
        note_elsewhere(p, &w);
    else
        put_waiting(p, &w);
}

/* ---- the file ---- */

int estab_pcap_open(estab_pcap **out, const char *path, uint64_t epoch, char *err)
{
    estab_pcap *p = calloc(1, sizeof *p);

    if (!p)
        return link_say(err, "%.128s: out of memory", path);
    if (pcapng_init(&p->out, path, err)) {
        free(p);
        return -1;
    }
    p->epoch = epoch;
    *out = p;
    return 0;
}

void estab_pcap_snap(estab_pcap *p, uint32_t octets)
{
    p->snap = octets;
}

int estab_pcap_flush(estab_pcap *p, char *err)
{
    pcapng_flush(&p->out);
    return p->out.error[0] ? link_say(err, "%s", p->out.error) : 0;
}

const char *recorder_error(const estab_pcap *p)
{
    return p->out.error;
}

void estab_pcap_close(estab_pcap *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->holds && i < p->nwaiting; i++)
        note_elsewhere(p, &p->waiting[i]);
    write_held(p);
    pcapng_fini(&p->out);
    free(p->held.frame.at);
    free(p->held.comments.at);
    free(p);
}

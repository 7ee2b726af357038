/* SPDX-License-Identifier: BSD-2-Clause */
/* pcapng.c - the recorder: frames with time stamps in ns, and what became of them as comments.
 *
 * Format: draft-ietf-opsawg-pcapng; little-endian; one section, one interface a link.
 *
 * Which frame a trace record comments on:
 *  1. The last frame is held back until the next one, so that it can still get comments.
 *  2. Between the recv that lends a frame and the next recv or send of any link of the recorder
 *     the stack works on that frame.  Refusals, and changes of state or of cwnd by a segment or
 *     ICMP message in that time are the frame's.  A timer or a call of the user ends that time.
 *  3. Other changes of state and of cwnd, timers, and the reasons why a segment is sent again wait
 *     for the next frame that their connection sends (the reason: for that very segment).
 *  4. A record that no such frame will follow (a listener's, TIME-WAIT's end, a refusal outside of
 *     2) goes to the frame held back, with its own time and connection in front.  So does what
 * still waits when the file is closed, and the oldest of more than WAITING_MAX. */
#include "pcapng.h"

#include "link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAITING_MAX = 64,
    NOTE_MAX = 256,
    NOTES_MAX = 65536, /* octets of comments on one frame: Wireshark refuses blocks of 16 MiB */
    BLOCK_SHB = 0x0a0d0d0a,
    BLOCK_IDB = 1,
    BLOCK_EPB = 6,
    OPT_END = 0,
    OPT_COMMENT = 1,
    OPT_SHB_USERAPPL = 4,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_EPB_FLAGS = 2,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,
};

struct octets { /* grows; failed: an allocation did, and what it holds is worth nothing */
    uint8_t *at;
    size_t len, room;
    bool failed;
};
struct waiting {
    estab_time at;
    struct estab_addr local, peer;
    bool one_segment; /* of this seq */
    uint32_t seq;
    char text[NOTE_MAX];
};
struct estab_pcap {
    FILE *file;
    char path[128];
    char error[ESTAB_ERRLEN];
    uint64_t epoch;
    uint32_t ninterfaces;
    struct octets block; /* being written */
    struct {
        bool full, inbound, current; /* current: the stack works on it */
        uint32_t interface;
        estab_time at;
        struct octets frame, notes; /* notes: strings, each with its zero */
        uint64_t unsaid;            /* notes beyond NOTES_MAX */
    } held;
    struct waiting waiting[WAITING_MAX];
    size_t nwaiting;
};

/* ---- octets ---- */

static uint8_t *extend(struct octets *o, size_t len)
{
    size_t room = o->room ? o->room : 512;
    uint8_t *grown;

    while (room - o->len < len)
        room *= 2;
    if (room != o->room) {
        grown = realloc(o->at, room);
        if (!grown) {
            o->failed = true;
            return NULL;
        }
        o->at = grown;
        o->room = room;
    }
    o->len += len;
    return o->at + o->len - len;
}

static void put_octets(struct octets *o, const void *from, size_t len)
{
    uint8_t *to = extend(o, len);

    if (to && len > 0)
        memcpy(to, from, len);
}

static void put_le(struct octets *o, uint64_t v, size_t len)
{
    uint8_t *to = extend(o, len);

    for (size_t i = 0; to && i < len; i++)
        to[i] = (uint8_t)(v >> 8 * i);
}

/* Blocks and options are padded to 32 bits. */
static void put_padding(struct octets *o, size_t len)
{
    put_le(o, 0, -len & 3);
}

static void put_option(struct octets *o, uint16_t code, const void *value, size_t len)
{
    put_le(o, code, 2);
    put_le(o, len, 2);
    put_octets(o, value, len);
    put_padding(o, len);
}

/* ---- blocks ---- */

static void fail(estab_pcap *p, const char *why)
{
    if (!p->error[0])
        link_say(p->error, "%s: recording stopped: %s; the file ends before this", p->path, why);
}

static void begin_block(estab_pcap *p, uint32_t type)
{
    p->block.len = 0;
    p->block.failed = false;
    put_le(&p->block, type, 4);
    put_le(&p->block, 0, 4); /* the length, known at the end */
}

static void end_block(estab_pcap *p)
{
    struct octets *b = &p->block;
    size_t len = b->len + 4;

    put_le(b, len, 4);
    if (b->failed) {
        fail(p, "out of memory");
        return;
    }
    memcpy(b->at + 4, b->at + b->len - 4, 4);
    if (!p->error[0] && fwrite(b->at, 1, b->len, p->file) != b->len)
        fail(p, strerror(errno));
}

static void write_section(estab_pcap *p)
{
    static const char app[] = "estab";

    begin_block(p, BLOCK_SHB);
    put_le(&p->block, 0x1a2b3c4d, 4); /* byte-order magic */
    put_le(&p->block, 1, 2);          /* version 1.0 */
    put_le(&p->block, 0, 2);
    put_le(&p->block, UINT64_MAX, 8); /* length of the section: not said */
    put_option(&p->block, OPT_SHB_USERAPPL, app, sizeof app - 1);
    put_option(&p->block, OPT_END, NULL, 0);
    end_block(p);
}

uint32_t pcapng_interface(estab_pcap *p, const char *name, const struct estab_port_caps *caps)
{
    static const uint8_t nanoseconds = 9; /* 10^-9 s */

    begin_block(p, BLOCK_IDB);
    put_le(&p->block, caps->medium == ESTAB_MEDIUM_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 2);
    put_le(&p->block, 0, 2);
    put_le(&p->block, 0, 4); /* frames are never cut */
    put_option(&p->block, OPT_IF_NAME, name, strlen(name));
    put_option(&p->block, OPT_IF_TSRESOL, &nanoseconds, 1);
    put_option(&p->block, OPT_END, NULL, 0);
    end_block(p);
    return p->ninterfaces++;
}

static void put_notes(estab_pcap *p)
{
    size_t len;
    char text[48];

    for (size_t i = 0; i < p->held.notes.len; i += len + 1) {
        len = strlen((const char *)p->held.notes.at + i);
        put_option(&p->block, OPT_COMMENT, p->held.notes.at + i, len);
    }
    if (p->held.unsaid > 0) {
        snprintf(text, sizeof text, "and %" PRIu64 " more", p->held.unsaid);
        put_option(&p->block, OPT_COMMENT, text, strlen(text));
    }
}

static void write_held(estab_pcap *p)
{
    uint64_t at = p->epoch + p->held.at;
    size_t len = p->held.frame.len;
    const uint8_t direction[4] = {p->held.inbound ? 1 : 2, 0, 0, 0};

    if (!p->held.full)
        return;
    begin_block(p, BLOCK_EPB);
    put_le(&p->block, p->held.interface, 4);
    put_le(&p->block, at >> 32, 4);
    put_le(&p->block, at & UINT32_MAX, 4);
    put_le(&p->block, len, 4); /* captured */
    put_le(&p->block, len, 4); /* on the wire */
    put_octets(&p->block, p->held.frame.at, len);
    put_padding(&p->block, len);
    put_option(&p->block, OPT_EPB_FLAGS, direction, sizeof direction);
    put_notes(p);
    put_option(&p->block, OPT_END, NULL, 0);
    end_block(p);
    p->held.full = false;
}

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
    size_t before = p->held.notes.len;

    if (before > NOTES_MAX) {
        p->held.unsaid++;
        return;
    }
    put_octets(&p->held.notes, text, strlen(text) + 1);
    if (p->held.notes.failed) {
        p->held.notes.len = before;
        fail(p, "out of memory");
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
        if (p->held.full)
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

void pcapng_settle(estab_pcap *p)
{
    p->held.current = false;
}

void pcapng_frame(estab_pcap *p, uint32_t interface, bool inbound, enum estab_medium medium,
                  estab_time at, const struct estab_frame *f, const char *note)
{
    uint8_t *to;

    write_held(p);
    p->held.frame.len = p->held.notes.len = 0;
    p->held.frame.failed = p->held.notes.failed = false;
    p->held.unsaid = 0;
    to = extend(&p->held.frame, estab_frame_len(f));
    if (!to) {
        fail(p, "out of memory");
        return;
    }
    estab_frame_copy(to, f);
    p->held.full = true;
    p->held.inbound = p->held.current = inbound;
    p->held.interface = interface;
    p->held.at = at;
    if (note)
        note_held(p, note);
    if (!inbound)
        note_outbound(p, medium);
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
        p->held.current = false;
    if (!describe(w.text, t))
        return;
    w.one_segment = t->kind == ESTAB_TR_SEG_OUT;
    w.seq = t->seq;
    if (p->held.current && !w.one_segment)
        note_held(p, w.text);
    else if (is_last_word(t) && p->held.full)
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
    snprintf(p->path, sizeof p->path, "%s", path);
    p->epoch = epoch;
    p->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wbe");
    if (!p->file) {
        link_say(err, "%.128s: cannot be written: %s", path, strerror(errno));
        free(p);
        return -1;
    }
    write_section(p);
    *out = p;
    return 0;
}

int estab_pcap_flush(estab_pcap *p, char *err)
{
    if (!p->error[0] && fflush(p->file))
        fail(p, strerror(errno));
    return p->error[0] ? link_say(err, "%s", p->error) : 0;
}

const char *pcapng_error(const estab_pcap *p)
{
    return p->error;
}

void estab_pcap_close(estab_pcap *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->held.full && i < p->nwaiting; i++)
        note_elsewhere(p, &p->waiting[i]);
    write_held(p);
    if (p->file == stdout)
        fflush(p->file);
    else
        fclose(p->file);
    free(p->block.at);
    free(p->held.frame.at);
    free(p->held.notes.at);
    free(p);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ladder.c - trace records as ladders: one per connection, both ends as columns, time downwards.
 *
 * A ladder shows what RFC 9293's figures show: a row per segment, numbers relative to each side's
 * initial sequence number, and on our side each change of state with the event that took the edge.
 *
 * Folding.  Plain segments (text or a bare ACK, sent for the first time, in order, with an open
 * window) that follow one another are a run.  The first `head` rows of a run are written at once.
 * Later ones wait in `held`, which keeps the last `tail` of them; what it pushes out is only
 * counted; a later run begins with one row only.  When something else happens, or at a flush, the
 * run ends: one line for what was counted, then the held rows.  Memory and output are therefore
 * bounded by events other than plain text, however long the transfer.
 *
 * Connections are told apart by their four-tuple, since compact entries (SYN-RECEIVED, TIME-WAIT)
 * have no lasting handle.  The last few that reached CLOSED are remembered, since an abort's RST
 * leaves after the change of state; the next SYN on the tuple is a new ladder. */
#include "ladder.h"
#include "say.h"

#include <estab/host.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1024,
    HELD_MAX = 8,
    ENDED = 64, /* connections remembered after CLOSED */
    RUNG = 64,  /* columns between the two lifelines */
    NAME_LEN = 32,
};

struct run {
    uint32_t rows; /* written at its beginning */
    uint64_t data[2], octets[2], acks[2];
    uint64_t folded;
    struct estab_trace first_folded, held[HELD_MAX];
    estab_time last_folded_at;
    unsigned nheld;
};

struct conn {
    struct conn *next;
    struct estab_addr local, peer;
    unsigned number;
    estab_time began_at;
    bool ended;             /* reached CLOSED */
    bool confirmed;         /* a change of state was seen, not only a SYN */
    bool known[2];          /* whether `initial` is: [0] of the peer, [1] ours */
    uint32_t initial[2];    /* initial sequence numbers */
    uint32_t highest[2];    /* SEG.SEQ + SEG.LEN, the furthest seen */
    uint8_t wscale[2];      /* the last that was not 0: compact entries do not keep it */
    char name[2][NAME_LEN]; /* [0] the peer's, [1] ours */
    bool ran;               /* a run went beyond its head: later ones have a head of one row */
    struct run run;
};

struct ladder {
    FILE *out;
    struct ladder_style style;
    struct ladder_count count;
    unsigned numbered;
    struct conn *ended[ENDED]; /* a ring */
    unsigned nended;           /* since the beginning */
    struct conn *bucket[BUCKETS];
    const struct conn *shown; /* whose rows were written last */
    char name[2][NAME_LEN];
};

enum paint { PLAIN, DIM, STATE, OURS, THEIRS, BAD };

/* ---- connections ---- */

static bool same_addr(const struct estab_addr *a, const struct estab_addr *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static struct conn **conn_slot(struct ladder *l, const struct estab_trace *t)
{
    uint32_t h = (uint32_t)t->local.port * 31u + (uint32_t)t->peer.port * 0x9e3779b1u;
    struct conn **at;
    size_t i;

    for (i = 0; i < sizeof t->peer.ip; i++)
        h = (h ^ t->peer.ip[i]) * 0x01000193u;
    at = &l->bucket[(h >> 12) % BUCKETS];
    while (*at && !(same_addr(&(*at)->local, &t->local) && same_addr(&(*at)->peer, &t->peer)))
        at = &(*at)->next;
    return at;
}

static struct conn *conn_new(struct ladder *l, struct conn **at, const struct estab_trace *t)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->local = t->local;
    c->peer = t->peer;
    c->began_at = t->at;
    c->number = ++l->numbered;
    l->count.begun++;
    memcpy(c->name, l->name, sizeof c->name);
    *at = c;
    return c;
}

static void conn_del(struct ladder *l, struct conn **at)
{
    struct conn *c = *at;

    *at = c->next;
    if (l->shown == c)
        l->shown = NULL;
    free(c);
}

static struct conn **conn_find(struct ladder *l, const struct conn *c)
{
    const struct estab_trace t = {.local = c->local, .peer = c->peer};

    return conn_slot(l, &t);
}

static void conn_end(struct ladder *l, struct conn *c)
{
    struct conn **oldest = &l->ended[l->nended++ % ENDED];

    if (*oldest)
        conn_del(l, conn_find(l, *oldest));
    *oldest = c;
    c->ended = true;
    l->count.closed++;
}

/* A new incarnation takes the tuple over. */
static void conn_succeed(struct ladder *l, struct conn **at)
{
    size_t i;

    for (i = 0; i < ENDED; i++)
        if (l->ended[i] == *at)
            l->ended[i] = NULL;
    conn_del(l, at);
}

/* A SYN that was refused: no connection came of it. */
static void conn_never_was(struct ladder *l, struct conn **at)
{
    l->count.begun--;
    conn_del(l, at);
}

/* ---- rows ---- */

static const char *paint_code(const struct ladder *l, enum paint p)
{
    static const char *const code[] = {
        [PLAIN] = "",        [DIM] = "\033[2m",     [STATE] = "\033[1m",
        [OURS] = "\033[36m", [THEIRS] = "\033[32m", [BAD] = "\033[33m"};

    return l->style.colour ? code[p] : "";
}

static const char *paint_end(const struct ladder *l, enum paint p)
{
    return l->style.colour && p != PLAIN ? "\033[0m" : "";
}

static const char *glyph(const struct ladder *l, const char *utf8, const char *ascii)
{
    return l->style.utf8 ? utf8 : ascii;
}

/* Columns of what is ASCII but for the arrows and dots this file writes. */
static size_t columns(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void repeat(FILE *out, const char *what, size_t n)
{
    while (n-- > 0)
        fputs(what, out);
}

static void write_time(struct ladder *l, const struct conn *c, estab_time at)
{
    fprintf(l->out, "%s%11.3f%s  ", paint_code(l, DIM), (double)(at - c->began_at) / 1e6,
            paint_end(l, DIM));
}

static void write_header(struct ladder *l, const struct conn *c)
{
    char addr[2][56], left[NAME_LEN + 64], right[NAME_LEN + 64];
    size_t width, gap;

    snprintf(left, sizeof left, "%s %s", c->name[1], estab_addr_format(&c->local, true, addr[0]));
    snprintf(right, sizeof right, "%s %s", c->name[0], estab_addr_format(&c->peer, true, addr[1]));
    width = strlen(left) + strlen(right);
    gap = width + 2 < RUNG + 2 ? RUNG + 2 - width : 2;
    fprintf(l->out, "\n%s#%-6u  ms    %s%*s%s%s\n", paint_code(l, STATE), c->number, left, (int)gap,
            "", right, paint_end(l, STATE));
}

/* Rows of several connections alternate: whose they are is said when it changes. */
static void show(struct ladder *l, const struct conn *c)
{
    if (l->shown == c)
        return;
    write_header(l, c);
    l->shown = c;
}

static uint32_t relative(const struct conn *c, unsigned dir, uint32_t seq)
{
    return c->known[dir] ? seq - c->initial[dir] : seq;
}

static void append(char *buf, size_t cap, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *buf, size_t cap, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf + used, cap - used, fmt, ap);
    va_end(ap);
}

static void flag_names(uint8_t flags, char *buf, size_t cap)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } name[] = {{ESTAB_SYN, "SYN"}, {ESTAB_FIN, "FIN"}, {ESTAB_RST, "RST"}, {ESTAB_PSH, "PSH"},
                {ESTAB_ACK, "ACK"}, {ESTAB_URG, "URG"}, {ESTAB_ECE, "ECE"}, {ESTAB_CWR, "CWR"}};
    size_t i;

    buf[0] = '\0';
    for (i = 0; i < sizeof name / sizeof name[0]; i++)
        if (flags & name[i].bit)
            append(buf, cap, "%s%s", buf[0] ? "," : "", name[i].name);
}

static void segment_text(const struct conn *c, const struct estab_trace *t, char *buf, size_t cap)
{
    unsigned out = t->kind == ESTAB_TR_SEG_OUT;
    char flags[40];

    flag_names(t->flags, flags, sizeof flags);
    snprintf(buf, cap, "%s SEQ %u", flags, (unsigned)relative(c, out, t->seq));
    if (t->flags & ESTAB_ACK)
        append(buf, cap, " ACK %u", (unsigned)relative(c, !out, t->ack));
    if (t->len > 0)
        append(buf, cap, " LEN %u", (unsigned)t->len);
    append(buf, cap, " WND %llu",
           (unsigned long long)t->wnd << (t->flags & ESTAB_SYN ? 0 : c->wscale[out]));
}

static void write_segment(struct ladder *l, const struct conn *c, const struct estab_trace *t,
                          const char *mark)
{
    bool out = t->kind == ESTAB_TR_SEG_OUT;
    enum paint p = mark ? BAD : out ? OURS : THEIRS;
    const char *line = glyph(l, "│", "|"), *shaft = glyph(l, "─", "-");
    size_t len, left, right;
    char text[128];

    segment_text(c, t, text, sizeof text);
    len = strlen(text) + 2;
    left = len + 4 < RUNG ? (RUNG - len) / 2 : 2;
    right = len + 4 < RUNG ? RUNG - len - left : 2;
    show(l, c);
    write_time(l, c, t->at);
    fprintf(l->out, "%s%s", line, paint_code(l, p));
    if (!out)
        fputs(glyph(l, "◀", "<"), l->out);
    repeat(l->out, shaft, out ? left : left - 1);
    fprintf(l->out, " %s ", text);
    repeat(l->out, shaft, out ? right - 1 : right);
    if (out)
        fputs(glyph(l, "▶", ">"), l->out);
    fprintf(l->out, "%s%s", paint_end(l, p), line);
    if (mark)
        fprintf(l->out, " %s%s%s", paint_code(l, BAD), mark, paint_end(l, BAD));
    fputc('\n', l->out);
}

/* A row that tells of our side alone: it stands at our lifeline. */
static void write_note(struct ladder *l, const struct conn *c, estab_time at, enum paint p,
                       const char *text)
{
    size_t len = columns(text) + 2;

    show(l, c);
    write_time(l, c, at);
    fprintf(l->out, "%s%s %s%s", glyph(l, "├", "+"), paint_code(l, p), text, paint_end(l, p));
    if (len <= RUNG + 1)
        fprintf(l->out, "%*s%s", (int)(RUNG + 1 - len), "", glyph(l, "│", "|"));
    fputc('\n', l->out);
}

/* ---- folding ---- */

static void fold_text(const struct ladder *l, const struct run *r, char *buf, size_t cap)
{
    static const unsigned order[] = {1, 0};
    char a[SAY_LEN], b[SAY_LEN];
    size_t i;

    buf[0] = '\0';
    for (i = 0; i < 2; i++) {
        unsigned d = order[i];
        const char *arrow = d ? glyph(l, "─▶", "->") : glyph(l, "◀─", "<-");

        if (r->data[d] > 0)
            append(buf, cap, "%s%s %s data segment%s, %s", buf[0] ? "; " : "", arrow,
                   say_count(r->data[d], a), r->data[d] == 1 ? "" : "s",
                   say_octets(r->octets[d], b));
        if (r->acks[d] > 0)
            append(buf, cap, "%s%s %s ACK%s", buf[0] ? "; " : "", arrow, say_count(r->acks[d], a),
                   r->acks[d] == 1 ? "" : "s");
    }
    if (r->last_folded_at > r->first_folded.at)
        append(buf, cap, "; %s", say_span(r->last_folded_at - r->first_folded.at, a));
}

static void end_run(struct ladder *l, struct conn *c)
{
    struct run *r = &c->run;
    char text[256];
    unsigned i;

    if (r->folded == 1) {
        write_segment(l, c, &r->first_folded, NULL);
    } else if (r->folded > 1) {
        size_t len;

        fold_text(l, r, text, sizeof text);
        len = columns(text) + 2;
        show(l, c);
        write_time(l, c, r->first_folded.at);
        fprintf(l->out, "%s%s %s%s", glyph(l, "⋮", ":"), paint_code(l, DIM), text,
                paint_end(l, DIM));
        if (len <= RUNG + 1)
            fprintf(l->out, "%*s%s", (int)(RUNG + 1 - len), "", glyph(l, "⋮", ":"));
        fputc('\n', l->out);
    }
    for (i = 0; i < r->nheld; i++)
        write_segment(l, c, &r->held[i], NULL);
    c->ran = c->ran || r->rows >= l->style.head;
    memset(r, 0, sizeof *r);
}

static void fold(struct run *r, const struct estab_trace *t)
{
    unsigned out = t->kind == ESTAB_TR_SEG_OUT;

    if (r->folded++ == 0)
        r->first_folded = *t;
    r->last_folded_at = t->at;
    if (t->len > 0) {
        r->data[out]++;
        r->octets[out] += t->len;
    } else {
        r->acks[out]++;
    }
}

static void add_plain(struct ladder *l, struct conn *c, const struct estab_trace *t)
{
    struct run *r = &c->run;

    if (r->rows < (c->ran ? 1 : l->style.head)) {
        r->rows++;
        write_segment(l, c, t, NULL);
        return;
    }
    if (r->nheld == l->style.tail) {
        if (r->nheld == 0) {
            fold(r, t);
            return;
        }
        fold(r, &r->held[0]);
        memmove(&r->held[0], &r->held[1], (r->nheld - 1) * sizeof r->held[0]);
        r->nheld--;
    }
    r->held[r->nheld++] = *t;
}

/* ---- records ---- */

static bool is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

/* Octets of sequence space: RFC 9293 section 3.4, SEG.LEN with SYN and FIN. */
static uint32_t segment_end(const struct estab_trace *t)
{
    return t->seq + t->len + ((t->flags & ESTAB_SYN) != 0) + ((t->flags & ESTAB_FIN) != 0);
}

/* What is worth a word beside a segment.  Our own stack says why it sent again; of the peer's we
 * can only see that the octets came before, or came ahead of others. */
static const char *segment_mark(const struct conn *c, const struct estab_trace *t, char *buf,
                                size_t cap)
{
    bool out = t->kind == ESTAB_TR_SEG_OUT;
    uint32_t end = segment_end(t);
    const char *rule = t->rule ? estab_rule_name(t->rule) : NULL;
    bool again = end != t->seq && c->known[out] && !is_after(end, c->highest[out]);

    if (rule) {
        snprintf(buf, cap, "%s%s", again ? "again: " : "", rule);
        return buf;
    }
    if (again)
        return "again";
    if (end != t->seq && c->known[out] && is_after(t->seq, c->highest[out]))
        return "ahead";
    if (t->wnd == 0 && !(t->flags & ESTAB_RST))
        return "window closed";
    return NULL;
}

static void learn(struct conn *c, const struct estab_trace *t)
{
    unsigned out = t->kind == ESTAB_TR_SEG_OUT;
    uint32_t end = segment_end(t);

    if (t->wscale > 0)
        c->wscale[out] = t->wscale;
    if ((t->flags & ESTAB_SYN) && !c->known[out]) {
        c->initial[out] = t->seq;
        c->highest[out] = end;
        c->known[out] = true;
    }
    if (c->known[out] && !(t->flags & ESTAB_RST) && is_after(end, c->highest[out]))
        c->highest[out] = end;
}

static void stray(struct ladder *l, const struct estab_trace *t)
{
    bool out = t->kind == ESTAB_TR_SEG_OUT;
    char local[56], peer[56], flags[40];

    flag_names(t->flags, flags, sizeof flags);
    estab_addr_format(&t->local, true, local);
    estab_addr_format(&t->peer, true, peer);
    l->shown = NULL;
    fprintf(l->out, "\nno connection: %s %s %s  %s\n", local,
            out ? glyph(l, "─▶", "->") : glyph(l, "◀─", "<-"), peer, flags);
}

static void add_segment(struct ladder *l, const struct estab_trace *t)
{
    struct conn **at = conn_slot(l, t), *c = *at;
    const uint8_t not_plain = ESTAB_SYN | ESTAB_FIN | ESTAB_RST | ESTAB_URG;
    const char *mark;
    char buf[64];

    if (c && c->ended && (t->flags & ESTAB_SYN)) {
        conn_succeed(l, at);
        c = NULL;
    }
    if (!c && (t->flags & ESTAB_SYN) && !(t->flags & ESTAB_RST))
        c = conn_new(l, at, t);
    if (!c) {
        stray(l, t);
        return;
    }
    mark = segment_mark(c, t, buf, sizeof buf);
    if (mark && t->kind == ESTAB_TR_SEG_OUT && strncmp(mark, "again", 5) == 0)
        l->count.again++;
    learn(c, t);
    if (!mark && !(t->flags & not_plain)) {
        add_plain(l, c, t);
        return;
    }
    end_run(l, c);
    write_segment(l, c, t, mark);
    if (!c->confirmed && t->kind == ESTAB_TR_SEG_OUT && (t->flags & ESTAB_RST))
        conn_never_was(l, at);
}

static void rule_text(const struct estab_trace *t, char *buf, size_t cap)
{
    const char *name = t->rule ? estab_rule_name(t->rule) : NULL;

    if (name)
        append(buf, cap, " [%s: %s]", name, estab_rule_ref(t->rule));
}

static void add_listener(struct ladder *l, const struct estab_trace *t)
{
    char local[56];

    l->shown = NULL;
    fprintf(l->out, "%s%s: %s %s %s%s\n", paint_code(l, STATE),
            estab_addr_format(&t->local, true, local), estab_state_name(t->from),
            glyph(l, "→", "->"), estab_state_name(t->to), paint_end(l, STATE));
}

static void add_state(struct ladder *l, const struct estab_trace *t)
{
    const char *event = estab_edge_event(t->from, t->to, t->cause);
    struct conn **at, *c;
    char text[256];

    if (t->peer.port == 0) {
        add_listener(l, t);
        return;
    }
    at = conn_slot(l, t);
    c = *at;
    if (c && c->ended) {
        conn_succeed(l, at);
        c = NULL;
    }
    if (!c)
        c = conn_new(l, at, t);
    if (!c)
        return;
    end_run(l, c);
    c->confirmed = true;
    snprintf(text, sizeof text, "%s %s %s", estab_state_name(t->from), glyph(l, "→", "->"),
             estab_state_name(t->to));
    if (event)
        append(text, sizeof text, ": %s", event);
    rule_text(t, text, sizeof text);
    write_note(l, c, t->at, STATE, text);
    if (t->to == ESTAB_CLOSED || t->to == ESTAB_LISTEN)
        conn_end(l, c);
}

/* Delayed ACKs and silly-window overrides pass all the time; what 2 MSL and FIN-WAIT-2 do when
 * they pass is a change of state and is shown as that. */
static bool is_shown_timer(enum estab_timer timer)
{
    switch (timer) {
    case ESTAB_T_REXMT:
    case ESTAB_T_PERSIST:
    case ESTAB_T_KEEPALIVE:
    case ESTAB_T_SYNACK:
    case ESTAB_T_TAIL:
        return true;
    case ESTAB_T_NONE:
    case ESTAB_T_DELACK:
    case ESTAB_T_SWS:
    case ESTAB_T_FINWAIT2:
    case ESTAB_T_2MSL:
    case ESTAB_T_REORDER:
    case ESTAB_T_PACE:
        return false;
    }
    return false;
}

static void add_note(struct ladder *l, const struct estab_trace *t)
{
    struct conn **at = conn_slot(l, t), *c = *at;
    char text[256] = "";
    char size[SAY_LEN];

    if (t->kind == ESTAB_TR_DROP)
        l->count.dropped++;
    if (!c || (t->kind == ESTAB_TR_TIMER && !is_shown_timer(t->timer)))
        return;
    if (t->kind == ESTAB_TR_TIMER)
        append(text, sizeof text, "the %s timer has passed", estab_timer_name(t->timer));
    else if (t->kind == ESTAB_TR_CC)
        append(text, sizeof text, "congestion window: %s", say_octets(t->len, size));
    else
        append(text, sizeof text, "refused");
    rule_text(t, text, sizeof text);
    end_run(l, c);
    write_note(l, c, t->at, BAD, text);
    if (t->kind == ESTAB_TR_DROP && !c->confirmed)
        conn_never_was(l, at);
}

void ladder_add(struct ladder *l, const struct estab_trace *t)
{
    switch (t->kind) {
    case ESTAB_TR_STATE:
        add_state(l, t);
        break;
    case ESTAB_TR_SEG_IN:
    case ESTAB_TR_SEG_OUT:
        add_segment(l, t);
        break;
    case ESTAB_TR_DROP:
    case ESTAB_TR_TIMER:
    case ESTAB_TR_CC:
        add_note(l, t);
        break;
    }
}

/* ---- life ---- */

struct ladder *ladder_new(FILE *out, const struct ladder_style *style)
{
    struct ladder *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->out = out;
    l->style = *style;
    if (l->style.tail > HELD_MAX)
        l->style.tail = HELD_MAX;
    ladder_names(l, "estab", "peer");
    return l;
}

void ladder_names(struct ladder *l, const char *local, const char *peer)
{
    snprintf(l->name[1], sizeof l->name[1], "%s", local);
    snprintf(l->name[0], sizeof l->name[0], "%s", peer);
}

void ladder_flush(struct ladder *l)
{
    struct conn *c;
    size_t i;

    for (i = 0; i < BUCKETS; i++)
        for (c = l->bucket[i]; c; c = c->next)
            end_run(l, c);
    fflush(l->out);
}

void ladder_free(struct ladder *l)
{
    size_t i;

    if (!l)
        return;
    for (i = 0; i < BUCKETS; i++)
        while (l->bucket[i])
            conn_del(l, &l->bucket[i]);
    free(l);
}

void ladder_counts(const struct ladder *l, struct ladder_count *c)
{
    *c = l->count;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* diagnose.c - what is wrong with a stack, with whom, and what helps.
 *
 * Each illness is a function that looks at the second snapshot, and at the first for what grows.
 * Connections that have the same trouble with the same end are one finding, with their number and
 * the worst of them. */
#include "diagnose.h"
#include "ask.h"
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 64, TEXT_LEN = 512 };

void snapshot_init(struct snapshot *s)
{
    *s = (struct snapshot){json_array(), json_object(), json_object(), NULL};
}

void snapshot_fini(struct snapshot *s)
{
    json_decref(s->sockets);
    json_decref(s->rules);
    json_decref(s->forecasts);
    json_decref(s->counts);
}

void snapshot_add(struct snapshot *s, json_t *line, const char *asked)
{
    if (asked)
        json_object_set(s->forecasts, asked, line);
    else if (json_object_get(line, "state"))
        json_array_append(s->sockets, line);
    else if (json_object_get(line, "rule"))
        json_object_set(s->rules, ask_string(line, "rule"), line);
    else if (json_object_get(line, "conns") && !s->counts)
        s->counts = json_incref(line);
}

/* ---- what several connections have in common ---- */

struct group {
    char key[PEER_LEN];
    size_t n;
    uint64_t oldest_ms, unread, tries;
    const json_t *worst; /* the oldest of them */
};
struct groups {
    struct group of[GROUPS];
    size_t n;
};

/* The address of "10.0.0.1:80" or "[fd00::1]:80", or its port with the colon. */
static void part_of(char out[PEER_LEN], const char *end, bool port)
{
    const char *colon = strrchr(end, ':');
    size_t len = colon ? (size_t)(colon - end) : strlen(end);

    if (port)
        snprintf(out, PEER_LEN, "%s", colon ? colon : end);
    else if (end[0] == '[' && len > 2)
        snprintf(out, PEER_LEN, "%.*s", (int)len - 2, end + 1);
    else
        snprintf(out, PEER_LEN, "%.*s", (int)len, end);
}

/* Beyond GROUPS ends, the last group is for all the others. */
static void count_in(struct groups *g, const char *key, const json_t *o)
{
    uint64_t since = ask_number(o, "since_ms"), tries = ask_number(o, "tries");
    struct group *x;
    size_t i = 0;

    while (i < g->n && i < GROUPS - 1 && strcmp(g->of[i].key, key) != 0)
        i++;
    x = &g->of[i];
    if (i == g->n) {
        *x = (struct group){.worst = o};
        snprintf(x->key, sizeof x->key, "%s", i < GROUPS - 1 ? key : "others");
        g->n++;
    }
    x->n++;
    x->unread += ask_number(o, "unread");
    if (tries > x->tries)
        x->tries = tries;
    if (since >= x->oldest_ms) {
        x->oldest_ms = since;
        x->worst = o;
    }
}

static bool has_state(const json_t *o, enum estab_tcp_state st)
{
    return strcmp(ask_string(o, "state"), estab_state_name(st)) == 0;
}

static bool has_why(const json_t *o, enum estab_why why)
{
    return strcmp(ask_string(o, "why"), estab_why_name(why)) == 0;
}

/* The listener at a port; NULL: none. */
static const json_t *listener_at(const struct snapshot *s, const char *port)
{
    char own[PEER_LEN];
    json_t *o;
    size_t i;

    json_array_foreach(s->sockets, i, o)
    {
        part_of(own, ask_string(o, "local"), true);
        if (has_state(o, ESTAB_LISTEN) && strcmp(own, port) == 0)
            return o;
    }
    return NULL;
}

/* Those that have waited for this reason longer than that, by one of their ends. */
static void gather(struct groups *g, const struct snapshot *s, enum estab_why why,
                   uint64_t at_least_ms, const char *end, bool port)
{
    char key[PEER_LEN];
    json_t *o;
    size_t i;

    g->n = 0;
    json_array_foreach(s->sockets, i, o)
    {
        if (!has_why(o, why) || ask_number(o, "since_ms") < at_least_ms)
            continue;
        part_of(key, ask_string(o, end), port);
        count_in(g, key, o);
    }
}

/* ---- words ---- */

struct words {
    char b[TEXT_LEN];
    size_t len;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *w, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(w->b + w->len, sizeof w->b - w->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        w->len += (size_t)n;
    if (w->len >= sizeof w->b)
        w->len = sizeof w->b - 1;
}

static void report(const struct clinic *c, const char *kind, const struct words *text,
                   const struct words *todo)
{
    struct finding f = {kind, text->b, todo->b};

    c->found(c->ctx, &f);
}

static void say_many(struct words *w, size_t n)
{
    say(w, n == 1 ? "1 connection " : "%zu connections ", n);
}

static const char *span_ms(uint64_t ms, char buf[SAY_LEN])
{
    unsigned long long t = ms / 1000;

    if (t < 60)
        return say_span(ESTAB_MS(ms), buf);
    if (t < 3600)
        snprintf(buf, SAY_LEN, "%llu min %llu s", t / 60, t % 60);
    else if (t < 86400)
        snprintf(buf, SAY_LEN, "%llu h %llu min", t / 3600, t / 60 % 60);
    else
        snprintf(buf, SAY_LEN, "%llu d %llu h", t / 86400, t / 3600 % 24);
    return buf;
}

/* ---- the application ---- */

static void find_close_waits(const struct clinic *c, const struct snapshot *s)
{
    struct groups g;
    char span[SAY_LEN];
    size_t i;

    gather(&g, s, ESTAB_WHY_CLOSE_WAIT, c->patience_ms, "local", true);
    for (i = 0; i < g.n; i++) {
        struct words text = {.len = 0}, todo = {.len = 0};
        const json_t *l = listener_at(s, g.of[i].key);

        say_many(&text, g.of[i].n);
        say(&text, "in CLOSE-WAIT at local port %s", g.of[i].key);
        if (l)
            say(&text, " (accepted from the listener %s)", ask_string(l, "local"));
        say(&text, ", the oldest, with %s, for %s", ask_string(g.of[i].worst, "peer"),
            span_ms(g.of[i].oldest_ms, span));
        if (g.of[i].unread > 0)
            say(&text, ", %llu octets unread", (unsigned long long)g.of[i].unread);
        say(&text, ": the peers have closed and the program has not");
        say(&todo,
            "the program should close a connection when its end of stream has been read; "
            "until it does: estab kill state close-wait sport = %s",
            g.of[i].key);
        report(c, "close-wait", &text, &todo);
    }
}

static void find_not_reading(const struct clinic *c, const struct snapshot *s)
{
    struct groups g;
    char span[SAY_LEN];
    size_t i;

    gather(&g, s, ESTAB_WHY_NOT_READING, c->patience_ms, "local", true);
    for (i = 0; i < g.n; i++) {
        struct words text = {.len = 0}, todo = {.len = 0};

        say_many(&text, g.of[i].n);
        say(&text,
            "at local port %s with our window closed, %llu octets unread, the oldest for %s: the "
            "program does not read",
            g.of[i].key, (unsigned long long)g.of[i].unread, span_ms(g.of[i].oldest_ms, span));
        say(&todo, "find out what the program waits for instead; a larger receive buffer only "
                   "postpones it");
        report(c, "not-reading", &text, &todo);
    }
}

static uint64_t rule_grown(const struct snapshot *before, const struct snapshot *after,
                           const char *rule)
{
    uint64_t a = ask_number(json_object_get(before->rules, rule), "count");
    uint64_t b = ask_number(json_object_get(after->rules, rule), "count");

    return b > a ? b - a : 0;
}

static uint64_t rule_now(const struct snapshot *s, const char *rule)
{
    return ask_number(json_object_get(s->rules, rule), "count");
}

static void find_full_listeners(const struct clinic *c, const struct snapshot *before,
                                const struct snapshot *s)
{
    uint64_t refused = rule_now(s, "backlog-full") + rule_now(s, "backlog-rst");
    uint64_t just_now =
        rule_grown(before, s, "backlog-full") + rule_grown(before, s, "backlog-rst");
    json_t *o;
    size_t i;

    json_array_foreach(s->sockets, i, o)
    {
        struct words text = {.len = 0}, todo = {.len = 0};
        uint64_t queue = ask_number(o, "acceptq"), half = ask_number(o, "half_open");
        uint64_t backlog = ask_number(o, "backlog");

        if (!has_state(o, ESTAB_LISTEN) || queue * 4 < backlog * 3 || queue <= half)
            continue;
        say(&text, "the accept queue of %s has %llu of %llu, and %llu half-open",
            ask_string(o, "local"), (unsigned long long)queue, (unsigned long long)backlog,
            (unsigned long long)half);
        if (refused > 0)
            say(&text, "; %llu SYNs found no room at any listener so far, %llu of them just now",
                (unsigned long long)refused, (unsigned long long)just_now);
        say(&todo, "the program should accept faster, or not do its work in between; a larger "
                   "backlog only helps against bursts");
        report(c, "accept-queue", &text, &todo);
    }
}

/* ---- the network and the peers ---- */

/* How many different addresses the half-open connections come from. */
static size_t half_open_sources(const struct snapshot *s, size_t *half_open)
{
    struct groups g = {.n = 0};
    char key[PEER_LEN];
    json_t *o;
    size_t i;

    *half_open = 0;
    json_array_foreach(s->sockets, i, o)
    {
        if (!has_state(o, ESTAB_SYN_RECEIVED))
            continue;
        ++*half_open;
        part_of(key, ask_string(o, "peer"), false);
        count_in(&g, key, o);
    }
    return g.n;
}

static bool is_flooded(const struct snapshot *s)
{
    uint64_t most = ask_number(s->counts, "max_synq");
    json_t *o;
    size_t i;

    if (most > 0 && ask_number(s->counts, "synq") * 4 >= most * 3)
        return true;
    json_array_foreach(s->sockets, i, o)
    {
        uint64_t half = ask_number(o, "half_open");

        if (has_state(o, ESTAB_LISTEN) && half > ask_number(o, "acceptq") &&
            half * 4 >= ask_number(o, "backlog") * 3)
            return true;
    }
    return false;
}

static void find_syn_flood(const struct clinic *c, const struct snapshot *before,
                           const struct snapshot *s)
{
    struct words text = {.len = 0}, todo = {.len = 0};
    uint64_t cookies = rule_grown(before, s, "cookie-sent");
    uint64_t recycled = rule_grown(before, s, "synq-recycled");
    size_t half_open, sources = half_open_sources(s, &half_open);

    if (!is_flooded(s) && cookies == 0 && recycled == 0)
        return;
    say(&text, "%zu half-open connections from %s%zu addresses (at most %llu)", half_open,
        sources >= GROUPS ? "at least " : "", sources,
        (unsigned long long)ask_number(s->counts, "max_synq"));
    say(&text, "; SYN cookies sent: %llu so far, %llu just now, of which %llu and %llu came back",
        (unsigned long long)rule_now(s, "cookie-sent"), (unsigned long long)cookies,
        (unsigned long long)rule_now(s, "cookie-accepted"),
        (unsigned long long)rule_grown(before, s, "cookie-accepted"));
    say(&todo,
        "%s; few that come back mean forged sources: filter them upstream; many mean that "
        "the backlog is too small for honest peers",
        rule_now(s, "cookie-sent") > 0
            ? "cookies let honest peers in meanwhile"
            : "let syn_cookies be ESTAB_COOKIES_WHEN_FULL (the default)");
    report(c, "syn-queue", &text, &todo);
}

static void find_retransmissions(const struct clinic *c, const struct snapshot *s)
{
    const uint64_t many = 3;
    struct groups g;
    char span[SAY_LEN];
    size_t i;

    gather(&g, s, ESTAB_WHY_RETRANSMIT, 0, "peer", false);
    for (i = 0; i < g.n; i++) {
        struct words text = {.len = 0}, todo = {.len = 0};

        if (g.of[i].tries < many && g.of[i].n < many)
            continue;
        say_many(&text, g.of[i].n);
        say(&text, "to %s %s again and again, the oldest for %s, at most %llu times", g.of[i].key,
            g.of[i].n == 1 ? "sends" : "send", span_ms(g.of[i].oldest_ms, span),
            (unsigned long long)g.of[i].tries);
        say(&text, " (%s: %s)", ask_string(g.of[i].worst, "peer"),
            ask_string(g.of[i].worst, "sentence"));
        say(&todo, "is that host, or the way to it, still there?  If all peers are in this list, "
                   "it is our link; a user timeout bounds how long such connections live");
        report(c, "retransmission", &text, &todo);
    }
}

static void find_zero_windows(const struct clinic *c, const struct snapshot *s)
{
    struct groups g;
    char span[SAY_LEN];
    size_t i;

    gather(&g, s, ESTAB_WHY_ZERO_WINDOW, c->patience_ms, "peer", false);
    for (i = 0; i < g.n; i++) {
        struct words text = {.len = 0}, todo = {.len = 0};

        say_many(&text, g.of[i].n);
        say(&text,
            "to %s with a window of zero, the oldest for %s, after %llu probes: the peer's "
            "program does not read",
            g.of[i].key, span_ms(g.of[i].oldest_ms, span), (unsigned long long)g.of[i].tries);
        say(&todo, "look at the program at %s; estab kill dst %s ends them from here", g.of[i].key,
            g.of[i].key);
        report(c, "zero-window", &text, &todo);
    }
}

static void find_neighbours(const struct clinic *c, const struct snapshot *s)
{
    struct groups g;
    size_t i;

    gather(&g, s, ESTAB_WHY_NEIGHBOUR, 0, "peer", false);
    for (i = 0; i < g.n; i++) {
        struct words text = {.len = 0}, todo = {.len = 0};

        say_many(&text, g.of[i].n);
        say(&text, "to %s: %s", g.of[i].key, ask_string(g.of[i].worst, "sentence"));
        say(&todo, "is the next hop switched on, on this link, and its address right?");
        report(c, "neighbour", &text, &todo);
    }
}

/* ---- ports ---- */

static int more_connections(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    return x->n < y->n ? 1 : x->n > y->n ? -1 : 0;
}

size_t snapshot_busy_peers(const struct snapshot *s, char peers[BUSY_PEERS][PEER_LEN])
{
    const size_t few = 8;
    struct groups g = {.n = 0};
    char port[PEER_LEN];
    json_t *o;
    size_t i, n = 0;

    json_array_foreach(s->sockets, i, o)
    {
        part_of(port, ask_string(o, "local"), true);
        if (strcmp(ask_string(o, "type"), "tcp") == 0 && !has_state(o, ESTAB_LISTEN) &&
            !has_state(o, ESTAB_CLOSED) && !listener_at(s, port))
            count_in(&g, ask_string(o, "peer"), o);
    }
    if (g.n == GROUPS)
        g.n--; /* the others are no peer */
    qsort(g.of, g.n, sizeof g.of[0], more_connections);
    while (n < g.n && n < BUSY_PEERS && g.of[n].n >= few) {
        snprintf(peers[n], PEER_LEN, "%s", g.of[n].key);
        n++;
    }
    return n;
}

/* When they will all be taken, if it goes on as between the two looks. */
static void say_forecast(struct words *text, const struct clinic *c, const json_t *before,
                         const json_t *f)
{
    uint64_t free_now = ask_number(f, "free"), was = before ? ask_number(before, "free") : free_now;
    char span[SAY_LEN];

    if (free_now == 0)
        say(text, "; the next is free in %s",
            json_object_get(f, "next_ms") ? span_ms(ask_number(f, "next_ms"), span) : "?");
    else if (was > free_now)
        say(text, "; at %.0f a second they are gone in %.0f s",
            (double)(was - free_now) / c->seconds,
            (double)free_now * c->seconds / (double)(was - free_now));
}

static void find_ports(const struct clinic *c, const struct snapshot *before,
                       const struct snapshot *s)
{
    const char *peer;
    json_t *f;

    json_object_foreach(s->forecasts, peer, f)
    {
        struct words text = {.len = 0}, todo = {.len = 0};
        uint64_t ports = ask_number(f, "ports"), free_now = ask_number(f, "free");

        if (free_now * 5 >= ports)
            continue;
        say(&text,
            "%llu of %llu ephemeral ports to %s are free, %llu are in TIME-WAIT (%llu may "
            "be reused)",
            (unsigned long long)free_now, (unsigned long long)ports, peer,
            (unsigned long long)ask_number(json_object_get(f, "busy"), "TIME-WAIT"),
            (unsigned long long)ask_number(f, "reusable"));
        say_forecast(&text, c, json_object_get(before->forecasts, peer), f);
        say(&todo, "keep connections and use them again, let the peer close first, or give the "
                   "stack another address or more ports (port_lo, port_hi)");
        report(c, "ports", &text, &todo);
    }
}

/* ---- ceilings and drops ---- */

/* part: what is left is less than this part of it. */
static void find_ceiling(const struct clinic *c, const struct snapshot *s, const char *used,
                         const char *most, unsigned part, const char *what, const char *help)
{
    struct words text = {.len = 0}, todo = {.len = 0};
    uint64_t n = ask_number(s->counts, used), max = ask_number(s->counts, most);

    if (max == 0 || n < max - max / part)
        return;
    say(&text, "%llu of %llu %s are in use", (unsigned long long)n, (unsigned long long)max, what);
    say(&todo, "%s", help);
    report(c, "ceiling", &text, &todo);
}

static const char *drop_advice(const char *rule)
{
    static const struct {
        const char *rule, *advice;
    } known[] = {
        {"no-memory", "raise mem_max, or lower sndbuf, rcvbuf and max_conns"},
        {"memory-connection",
         "no new connection for want of memory: raise mem_max, or close what is "
         "idle"},
        {"memory-ahead",
         "memory runs out, and what comes out of order is sent twice: raise mem_max"},
        {"connections-full", "raise max_conns, or close what is idle"},
        {"backlog-full", "accept faster, or listen with a larger backlog"},
        {"backlog-rst", "accept faster, or listen with a larger backlog"},
        {"tcp-checksum", "somebody corrupts packets: the link, its driver, or a wrong rx_csum"},
        {"ip-checksum", "somebody corrupts packets: the link, or its driver"},
        {"neighbour-unknown", "the next hop does not answer"},
        {"neighbour-full", "somebody scans addresses on this link"},
        {"text-gaps", "a peer, or the network, reorders without bound"},
        {"paws", "old duplicates, or a peer whose clock jumps"},
        {"rst-outside", "somebody guesses at connections with RSTs"},
        {"blind-rst", "somebody guesses at connections with RSTs"},
        {"blind-syn", "somebody guesses at connections with SYNs"},
        {"unacceptable", "two ends are out of step, or somebody guesses at connections"},
        {"reassembly-full", "fragments that never become whole: a flood, or loss"},
        {"reassembly-source", "one source sends fragments that never become whole"},
        {"udp-no-port", "somebody sends UDP, for which there are no sockets"},
    };
    size_t i;

    for (i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].rule, rule) == 0)
            return known[i].advice;
    return "estab trace shows which";
}

static void find_drops(const struct clinic *c, const struct snapshot *before,
                       const struct snapshot *s)
{
    uint64_t in = ask_number(s->counts, "frames_in") - ask_number(before->counts, "frames_in");
    uint64_t many = in / 100 > 10 ? in / 100 : 10;
    const char *rule;
    json_t *o;

    json_object_foreach(s->rules, rule, o)
    {
        struct words text = {.len = 0}, todo = {.len = 0};
        uint64_t grown = rule_grown(before, s, rule);

        if (!ask_true(o, "refuses") || grown < many)
            continue;
        say(&text, "drops under the rule %s grow: %.0f a second, %llu so far (%s)", rule,
            (double)grown / c->seconds, (unsigned long long)ask_number(o, "count"),
            ask_string(o, "ref"));
        say(&todo, "%s", drop_advice(rule));
        report(c, "drops", &text, &todo);
    }
}

void diagnose(const struct clinic *c, const struct snapshot *before, const struct snapshot *after)
{
    find_close_waits(c, after);
    find_not_reading(c, after);
    find_full_listeners(c, before, after);
    find_syn_flood(c, before, after);
    find_retransmissions(c, after);
    find_zero_windows(c, after);
    find_neighbours(c, after);
    find_ports(c, before, after);
    find_ceiling(c, after, "mem_used", "mem_max", 4, "octets of memory",
                 "raise mem_max, or lower sndbuf, rcvbuf and max_conns");
    find_ceiling(c, after, "conns", "max_conns", 10, "connections",
                 "raise max_conns, or close what is idle");
    find_ceiling(c, after, "timewait", "max_timewait", 10, "TIME-WAIT entries",
                 "the oldest end early (time-wait-recycled): raise max_timewait");
    find_drops(c, before, after);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* why_text.c - struct estab_why_info as a sentence with its evidence. */
#include "stack/stack.h"

struct text {
    char *at;
    size_t room; /* with the NUL */
    size_t len;  /* of all that was put */
};

/* ---- words and numbers ---- */

static void put_char(struct text *x, char c)
{
    if (x->len + 1 < x->room)
        x->at[x->len] = c;
    x->len++;
}

static void put(struct text *x, const char *s)
{
    while (*s)
        put_char(x, *s++);
}

static void put_number(struct text *x, uint64_t n)
{
    char digits[20];
    size_t len = 0;

    do
        digits[len++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (len > 0)
        put_char(x, digits[--len]);
}

static void put_count(struct text *x, uint64_t n, const char *unit)
{
    put_number(x, n);
    put_char(x, ' ');
    put(x, unit);
}

static void put_octets(struct text *x, uint64_t n)
{
    put_count(x, n, n == 1 ? "octet" : "octets");
}

/* In the one or two units that tell most, rounded. */
static void put_dur(struct text *x, estab_dur d)
{
    uint64_t tenths = time_add(d, ESTAB_MS(50)) / 100000000u, s = tenths / 10;

    if (d < ESTAB_MS(1)) {
        put_count(x, d / 1000u, "us");
    } else if (d < ESTAB_MS(1000) - ESTAB_US(500)) {
        put_count(x, (d + ESTAB_US(500)) / 1000000u, "ms");
    } else if (s < 60) {
        put_number(x, s);
        put_char(x, '.');
        put_count(x, tenths % 10, "s");
    } else if (s < 3600) {
        put_count(x, s / 60, "min ");
        put_count(x, s % 60, "s");
    } else if (s < 86400) {
        put_count(x, s / 3600, "h ");
        put_count(x, s / 60 % 60, "min");
    } else {
        put_count(x, s / 86400, "d ");
        put_count(x, s / 3600 % 24, "h");
    }
}

static void put_hex(struct text *x, uint16_t n)
{
    static const char digit[] = "0123456789abcdef";
    int shift = 12;

    while (shift > 0 && n >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put_char(x, digit[n >> shift & 15]);
}

/* RFC 5952 section 4: the longest run of zeros, two at least, is "::". */
static void put_ip6(struct text *x, const uint8_t ip[16])
{
    uint32_t best = 0, best_len = 1, run = 0;

    for (uint32_t i = 0; i < 8; i++) {
        run = be16_at(ip + 2u * (size_t)i) ? 0 : run + 1;
        if (run > best_len) {
            best_len = run;
            best = i + 1 - run;
        }
    }
    for (uint32_t i = 0; i < 8; i++) {
        if (best_len > 1 && i == best) {
            put(x, "::");
            i += best_len - 1;
            continue;
        }
        if (i > 0 && !(best_len > 1 && i == best + best_len))
            put_char(x, ':');
        put_hex(x, be16_at(ip + 2u * (size_t)i));
    }
}

static void put_ip(struct text *x, const uint8_t ip[16])
{
    if (!ip_is4(ip)) {
        put_ip6(x, ip);
        return;
    }
    for (size_t i = 12; i < 16; i++) {
        put_number(x, ip[i]);
        if (i < 15)
            put_char(x, '.');
    }
}

/* ---- phrases ---- */

static void put_for(struct text *x, const struct estab_why_info *i)
{
    if (i->since == ESTAB_NEVER)
        return;
    put(x, " for ");
    put_dur(x, time_since(i->since, i->now));
}

static void put_when(struct text *x, const char *before, const struct estab_why_info *i)
{
    if (i->next_at == ESTAB_NEVER)
        return;
    put(x, before);
    put_dur(x, time_since(i->now, i->next_at));
}

static void put_of(struct text *x, const char *what, uint32_t n, uint32_t most)
{
    put(x, what);
    put_number(x, n);
    if (most == 0)
        return;
    put(x, " of ");
    put_number(x, most);
}

static void put_give_up(struct text *x, const struct estab_why_info *i)
{
    if (i->give_up_at == ESTAB_NEVER)
        return;
    put(x, ", given up in ");
    put_dur(x, time_since(i->now, i->give_up_at));
}

static void put_tries(struct text *x, const char *what, const struct estab_why_info *i)
{
    put_of(x, what, i->tries, i->tries_max);
    put_when(x, ", the next in ", i);
    put_give_up(x, i);
}

static void put_unsent(struct text *x, const struct estab_why_info *i)
{
    if (i->unsent > 0) {
        put_octets(x, i->unsent);
        put(x, i->unsent == 1 ? " waits" : " wait");
    } else {
        put(x, i->flight > 0 ? "what is in flight waits" : "the FIN waits");
    }
}

/* Beyond a closed window what is in flight, a probe's octet, waits like the rest. */
static void put_queued(struct text *x, const struct estab_why_info *i)
{
    uint64_t n = (uint64_t)i->unsent + i->flight;

    if (n > 0)
        put_octets(x, n);
    else
        put(x, "the FIN");
    put(x, n > 1 ? " wait" : " waits");
}

static void put_flight(struct text *x, const struct estab_why_info *i, uint32_t most)
{
    put_number(x, i->flight);
    put(x, " of ");
    put_octets(x, most);
    put(x, " in flight, ");
    put_unsent(x, i);
    put_for(x, i);
}

/* ---- one for each reason ---- */

static void put_queues(struct text *x, const struct estab_why_info *i)
{
    put_number(x, i->acceptq);
    put(x, " to accept and ");
    put_number(x, i->half_open);
    put(x, " half-open, of ");
    put_number(x, i->backlog);
}

static void put_neighbour(struct text *x, const struct estab_why_info *i)
{
    put(x, "the next hop ");
    put_ip(x, i->hop.ip);
    if (i->hop_failed) {
        put(x, " does not answer");
        return;
    }
    put(x, " is not resolved");
    put_for(x, i);
    put_tries(x, ": try ", i);
}

static void put_failed_hop(struct text *x, const struct estab_why_info *i)
{
    if (!i->hop_failed)
        return;
    put(x, "; ");
    put_neighbour(x, i);
}

static void put_retransmit(struct text *x, const struct estab_why_info *i)
{
    put_octets(x, i->flight);
    put(x, " unacknowledged");
    put_for(x, i);
    put_tries(x, ": retransmission ", i);
    put_failed_hop(x, i);
}

static void put_opening(struct text *x, const char *what, const struct estab_why_info *i)
{
    put(x, what);
    put_for(x, i);
    put_tries(x, ": try ", i);
    put_failed_hop(x, i);
}

static void put_zero_window(struct text *x, const struct estab_why_info *i)
{
    put(x, "the peer's window is zero and ");
    put_queued(x, i);
    put_for(x, i);
    put(x, ": ");
    put_of(x, "probe ", i->tries, 0);
    put_of(x, ", unanswered ", i->unanswered, i->tries_max);
    put_when(x, ", the next in ", i);
    put_give_up(x, i);
}

static void put_budget(struct text *x, const struct estab_why_info *i)
{
    put(x, "out of memory: ");
    put_number(x, i->mem_used);
    if (i->mem_max > 0) {
        put(x, " of ");
        put_number(x, i->mem_max);
    }
    put(x, " octets in use, refused ");
    put_dur(x, time_since(i->since, i->now));
    put(x, " ago");
}

static void put_more(struct text *x, const struct estab_why_info *i)
{
    put_octets(x, i->unsent);
    put(x, " held back");
    put_for(x, i);
    put(x, ": the application said that more follows");
    put_when(x, "; sent in ", i);
}

static void put_nagle(struct text *x, const struct estab_why_info *i)
{
    put_octets(x, i->unsent);
    put(x, " held back (Nagle) until the ACK of ");
    put_octets(x, i->flight);
    put(x, " in flight");
    put_for(x, i);
}

static void put_sws(struct text *x, const struct estab_why_info *i)
{
    put(x, "silly-window avoidance: ");
    put_unsent(x, i);
    put_for(x, i);
    put(x, ", and the peer's window has room for ");
    put_number(x, i->snd_wnd - (i->flight < i->snd_wnd ? i->flight : i->snd_wnd));
    put_when(x, "; sent in ", i);
}

static void put_pacing(struct text *x, const struct estab_why_info *i)
{
    put(x, "pacing: ");
    put_unsent(x, i);
    put_when(x, ", the next in ", i);
    put(x, ", ");
    put_number(x, i->pacing_rate);
    put(x, " octets a second");
}

static void put_not_reading(struct text *x, const struct estab_why_info *i)
{
    if (i->rcv_wnd == 0) {
        put(x, "our window is zero");
    } else {
        put(x, "our window is down to ");
        put_octets(x, i->rcv_wnd);
    }
    put(x, ": the application has not read ");
    put_octets(x, i->unread);
    put_for(x, i);
}

static void put_ack(struct text *x, const struct estab_why_info *i)
{
    put(x, "all is sent, ");
    put_octets(x, i->flight);
    put(x, " unacknowledged");
    put_for(x, i);
    put_when(x, ", sent again in ", i);
}

static void put_fin_sent(struct text *x, const struct estab_why_info *i)
{
    put(x, "closed");
    put_for(x, i);
    put(x, ", and the FIN is not acknowledged");
    put_when(x, ", sent again in ", i);
}

static void put_close_wait(struct text *x, const struct estab_why_info *i)
{
    put(x, "the peer has closed, and the application has not");
    put_for(x, i);
    if (i->unread > 0) {
        put(x, ", with ");
        put_octets(x, i->unread);
        put(x, " unread");
    }
}

static void put_fin_wait_2(struct text *x, const struct estab_why_info *i)
{
    put(x, "closed, and the peer has not");
    put_for(x, i);
    put_when(x, ", given up in ", i);
}

static void put_reason(struct text *x, enum estab_why why, const struct estab_why_info *i)
{
    switch (why) {
    case ESTAB_WHY_NOTHING:
        put(x, "nothing to send");
        put_for(x, i);
        break;
    case ESTAB_WHY_CLOSED:
        put(x, "no connection");
        break;
    case ESTAB_WHY_LISTENING:
        put(x, "waits for connections: ");
        put_queues(x, i);
        break;
    case ESTAB_WHY_BACKLOG:
        put(x, i->acceptq > i->half_open ? "the accept queue is full: " : "the backlog is full: ");
        put_queues(x, i);
        break;
    case ESTAB_WHY_SYN_HELD:
        put(x, "the SYN waits for the first octets to send (Fast Open)");
        put_for(x, i);
        put_when(x, ", at most another ", i);
        break;
    case ESTAB_WHY_SYN_SENT:
        put_opening(x, "waits for the SYN,ACK", i);
        break;
    case ESTAB_WHY_SYN_RCVD:
        put_opening(x, "waits for the ACK of the SYN,ACK", i);
        break;
    case ESTAB_WHY_NO_CONNS:
        put(x, "no room for another connection: ");
        put_number(x, i->conns);
        put(x, " of ");
        put_number(x, i->max_conns);
        put(x, " in use; the peer may believe that it is connected");
        break;
    case ESTAB_WHY_NEIGHBOUR:
        put_neighbour(x, i);
        break;
    case ESTAB_WHY_RETRANSMIT:
        put_retransmit(x, i);
        break;
    case ESTAB_WHY_DRIVER:
        put(x, "frames are ready, and the driver has not taken them");
        break;
    case ESTAB_WHY_ZERO_WINDOW:
        put_zero_window(x, i);
        break;
    case ESTAB_WHY_NO_MEMORY:
        put_budget(x, i);
        break;
    case ESTAB_WHY_WINDOW_FULL:
        put(x, "the peer's window is full: ");
        put_flight(x, i, i->snd_wnd);
        break;
    case ESTAB_WHY_CWND:
        put(x, "the congestion window is full: ");
        put_flight(x, i, i->cwnd);
        break;
    case ESTAB_WHY_MORE:
        put_more(x, i);
        break;
    case ESTAB_WHY_NAGLE:
        put_nagle(x, i);
        break;
    case ESTAB_WHY_SWS:
        put_sws(x, i);
        break;
    case ESTAB_WHY_PACING:
        put_pacing(x, i);
        break;
    case ESTAB_WHY_NOT_READING:
        put_not_reading(x, i);
        break;
    case ESTAB_WHY_FIN_SENT:
        put_fin_sent(x, i);
        break;
    case ESTAB_WHY_ACK:
        put_ack(x, i);
        break;
    case ESTAB_WHY_NOT_ACCEPTED:
        put(x, "the application has not accepted it");
        put_for(x, i);
        put(x, ": ");
        put_queues(x, i);
        break;
    case ESTAB_WHY_CLOSE_WAIT:
        put_close_wait(x, i);
        break;
    case ESTAB_WHY_FIN_WAIT_2:
        put_fin_wait_2(x, i);
        break;
    case ESTAB_WHY_TIME_WAIT:
        put(x, "TIME-WAIT");
        put_when(x, ": over in ", i);
        break;
    case ESTAB_WHY_UNREAD:
        put_octets(x, i->unread);
        put(x, " for the application to read");
        put_for(x, i);
        break;
    case ESTAB_WHY_KEEPALIVE:
        put(x, "idle, and the peer does not answer");
        put_tries(x, ": keepalive ", i);
        break;
    case ESTAB_WHY_FIN_QUEUED:
    case ESTAB_WHYS:
        break;
    }
}

int estab_why_text(const struct estab_why_info *info, char *buf, size_t len)
{
    struct estab_why_info all = {
        .since = ESTAB_NEVER, .next_at = ESTAB_NEVER, .give_up_at = ESTAB_NEVER};
    struct text x = {.at = buf, .room = len};

    memcpy(&all, info, info->size < sizeof all ? info->size : sizeof all);
    if ((unsigned)all.why >= ESTAB_WHYS)
        return ESTAB_E_INVAL;
    if (all.why == ESTAB_WHY_FIN_QUEUED) {
        put(&x, "closed, and the FIN is queued behind ");
        put_octets(&x, (uint64_t)all.unsent + all.flight);
        put(&x, ": ");
        put_reason(&x, all.behind, &all);
    } else {
        put_reason(&x, all.why, &all);
    }
    if (len > 0)
        buf[x.len < len ? x.len : len - 1] = 0;
    return (int)x.len;
}

const char *estab_why_name(enum estab_why w)
{
    static const char *const names[ESTAB_WHYS] = {
        [ESTAB_WHY_NOTHING] = "nothing-to-send",
        [ESTAB_WHY_CLOSED] = "closed",
        [ESTAB_WHY_LISTENING] = "listening",
        [ESTAB_WHY_BACKLOG] = "backlog-full",
        [ESTAB_WHY_SYN_HELD] = "syn-held",
        [ESTAB_WHY_SYN_SENT] = "syn-sent",
        [ESTAB_WHY_SYN_RCVD] = "syn-received",
        [ESTAB_WHY_NO_CONNS] = "no-connections",
        [ESTAB_WHY_NEIGHBOUR] = "neighbour",
        [ESTAB_WHY_RETRANSMIT] = "retransmission",
        [ESTAB_WHY_DRIVER] = "driver",
        [ESTAB_WHY_ZERO_WINDOW] = "zero-window",
        [ESTAB_WHY_NO_MEMORY] = "no-memory",
        [ESTAB_WHY_FIN_QUEUED] = "fin-queued",
        [ESTAB_WHY_WINDOW_FULL] = "window-full",
        [ESTAB_WHY_CWND] = "cwnd",
        [ESTAB_WHY_MORE] = "more",
        [ESTAB_WHY_NAGLE] = "nagle",
        [ESTAB_WHY_SWS] = "silly-window",
        [ESTAB_WHY_NOT_READING] = "not-reading",
        [ESTAB_WHY_FIN_SENT] = "fin-sent",
        [ESTAB_WHY_ACK] = "ack",
        [ESTAB_WHY_NOT_ACCEPTED] = "not-accepted",
        [ESTAB_WHY_CLOSE_WAIT] = "close-wait",
        [ESTAB_WHY_FIN_WAIT_2] = "fin-wait-2",
        [ESTAB_WHY_TIME_WAIT] = "time-wait",
        [ESTAB_WHY_UNREAD] = "unread",
        [ESTAB_WHY_KEEPALIVE] = "keepalive",
        [ESTAB_WHY_PACING] = "pacing",
    };

    return (unsigned)w < ESTAB_WHYS ? names[w] : "?";
}

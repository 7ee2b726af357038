/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.c - the control socket: what `estab ss` and its kind ask a running stack.
 *
 * Everything is non-blocking and stands in one epoll set, whose descriptor the stack's loop
 * watches: a client that does not read costs its buffer and nothing else.  An answer is made as
 * the client takes it, a bounded number of sockets at a time, by the stack's own cursor; it is
 * therefore no snapshot: a connection that comes or goes meanwhile may be missing.
 *
 * A trace is written into the client's buffer as it happens and sent by the next estab_ctl_run();
 * what finds no room is counted, and the client told how much it was.  While nobody traces, the
 * stack does not.
 *
 * Only the user who runs the stack, root, and a group that was named may ask: by the permissions
 * of the folder and the socket, and by SO_PEERCRED, since a socket can be moved or opened up. */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENTS = 8,
    ASK_MAX = 1024,
    OUT_LEN = 16 * 1024,
    TRACE_LEN = 256 * 1024,
    LINE_MAX_LEN = 3072,
    PER_RUN = 256, /* sockets looked at for one client before the stack has its turn */
    GROUPS_MAX = 256,
};

enum client_phase { CLIENT_FREE, CLIENT_MUTE, CLIENT_ANSWER, CLIENT_TRACE, CLIENT_FLUSH };
enum client_step { STEP_HEADER, STEP_SOCKETS, STEP_STACK, STEP_RULES, STEP_ONE, STEP_LAST };

struct ctl_verb;
struct client {
    int fd;
    enum client_phase phase;
    enum client_step step;
    const struct ctl_verb *verb;
    const char *args; /* in ask */
    char ask[ASK_MAX];
    size_t ask_len;
    struct estab_filter filter;
    uint64_t cursor, count; /* of the walk; records lost, of a trace */
    uint64_t turn;          /* when it came */
    bool wants_out;         /* CLIENT_TRACE: the set waits for room */
    size_t out_at, out_len, out_cap;
    char *out;
};
struct estab_ctl {
    estab_stack *stack;
    char command[32];
    int listener, set;
    bool has_group;
    gid_t group;
    char path[ESTAB_CTL_PATH];
    uint64_t turns;
    struct client client[CLIENTS];
};

/* ---- where ---- */

static int own_folder(const char *path, bool make, char *err)
{
    struct stat st;

    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return link_say(err, "cannot make the folder %s: %s", path, strerror(errno));
    if (lstat(path, &st) < 0)
        return link_say(err, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return link_say(err,
                        "%s is not a folder that only you may use: remove it, or name another "
                        "place for the control socket",
                        path);
    return 0;
}

static bool is_own_runtime_dir(const char *path)
{
    struct stat st;

    return path && path[0] == '/' && strlen(path) < ESTAB_CTL_PATH - 32 && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

int estab_ctl_folder(char path[ESTAB_CTL_PATH], bool make, char *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (is_own_runtime_dir(runtime))
        snprintf(path, ESTAB_CTL_PATH, "%s/estab", runtime);
    else if (geteuid() == 0 && access("/run", W_OK) == 0)
        snprintf(path, ESTAB_CTL_PATH, "/run/estab");
    else
        snprintf(path, ESTAB_CTL_PATH, "/tmp/estab-%u", (unsigned)geteuid());
    return own_folder(path, make, err);
}

static int ctl_address(struct sockaddr_un *sun, const char *path)
{
    memset(sun, 0, sizeof *sun);
    sun->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof sun->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sun->sun_path, path, strlen(path) + 1);
    return 0;
}

int estab_ctl_connect(const char *path, estab_dur patience)
{
    struct timeval most = {.tv_sec = (time_t)(patience / ESTAB_S(1)),
                           .tv_usec = (suseconds_t)(patience % ESTAB_S(1) / 1000u)};
    struct sockaddr_un sun;
    int fd, saved;

    if (ctl_address(&sun, path) < 0)
        return -1;
    if (most.tv_sec == 0 && most.tv_usec == 0)
        most.tv_usec = 1; /* nothing would mean for ever */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* ---- lines ----
 * All that goes into one is a number, a name of ours or an address: nothing needs escaping. */

struct line {
    char b[LINE_MAX_LEN];
    size_t len;
};

static void add(struct line *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *x, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (x->len >= sizeof x->b) /* too long already: it will not be sent */
        return;
    va_start(ap, fmt);
    n = vsnprintf(x->b + x->len, sizeof x->b - x->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        x->len += (size_t)n;
}

static size_t out_room(const struct client *c)
{
    return c->out_cap - c->out_len;
}

static void put_out(struct client *c, const struct line *x)
{
    if (x->len >= sizeof x->b || x->len > out_room(c))
        return;
    memcpy(c->out + c->out_len, x->b, x->len);
    c->out_len += x->len;
}

static const char *yes_no(bool b)
{
    return b ? "true" : "false";
}

static unsigned long long us_of(estab_dur d)
{
    return d / 1000u;
}

static void put_header(struct estab_ctl *ctl, struct client *c)
{
    struct line x = {.len = 0};

    add(&x, "{\"estab\":\"%s\",\"protocol\":2,\"pid\":%ld,\"command\":\"%s\"}\n", estab_version(),
        (long)getpid(), ctl->command);
    put_out(c, &x);
}

static void put_error(struct client *c, const char *why)
{
    struct line x = {.len = 0};

    add(&x, "{\"error\":\"%s\"}\n", why);
    put_out(c, &x);
}

static void add_queues(struct line *x, const struct estab_tcp_info *i)
{
    bool listens = i->state == ESTAB_LISTEN;

    add(x,
        "\"recv_q\":%u,\"send_q\":%llu,\"flight\":%u,\"unsent\":%u,\"unread\":%u,"
        "\"acceptq\":%u,\"half_open\":%u,\"backlog\":%u,",
        listens ? i->acceptq : i->unread,
        listens ? (unsigned long long)i->backlog : (unsigned long long)i->flight + i->unsent,
        i->flight, i->unsent, i->unread, i->acceptq, i->synq, i->backlog);
}

static void add_numbers(struct line *x, const struct estab_tcp_info *i)
{
    add(x,
        "\"snd_mss\":%u,\"rcv_mss\":%u,\"pmtu\":%u,\"cwnd\":%u,\"ssthresh\":%u,\"snd_wnd\":%u,"
        "\"rcv_wnd\":%u,"
        "\"rto_us\":%llu,\"srtt_us\":%llu,\"rttvar_us\":%llu,\"rtt_min_us\":%llu,"
        "\"bytes_acked\":%llu,\"bytes_received\":%llu,\"segs_in\":%llu,\"segs_out\":%llu,"
        "\"bytes_sent\":%llu,\"refused\":%llu,\"retrans\":%llu,\"rto_fired\":%llu,\"dup_acks\":%"
        "llu,"
        "\"mem\":%zu,\"sndbuf\":%u,\"rcvbuf\":%u,",
        i->snd_mss, i->rcv_mss, i->pmtu, i->cwnd, i->ssthresh, i->snd_wnd, i->rcv_wnd,
        us_of(i->rto), us_of(i->srtt), us_of(i->rttvar), us_of(i->rtt_min),
        (unsigned long long)i->bytes_acked, (unsigned long long)i->bytes_received,
        (unsigned long long)i->segs_in, (unsigned long long)i->segs_out,
        (unsigned long long)i->bytes_sent, (unsigned long long)i->refused,
        (unsigned long long)i->retrans, (unsigned long long)i->rto_fired,
        (unsigned long long)i->dup_acks, i->mem, i->sndbuf, i->rcvbuf);
}

static void add_options(struct line *x, const struct estab_tcp_info *i)
{
    add(x,
        "\"timestamps\":%s,\"sack\":%s,\"ecn\":%s,\"fastopen\":%s,\"nodelay\":%s,\"orphan\":%s,"
        "\"embryo\":%s,"
        "\"snd_wscale\":%u,\"rcv_wscale\":%u,\"user_timeout_ms\":%llu,\"cc\":\"%.15s\",",
        yes_no(i->ts_ok), yes_no(i->sack_ok), yes_no(i->ecn_ok), yes_no(i->fastopen_ok),
        yes_no(i->nodelay), yes_no(i->orphan), yes_no(i->embryo), i->snd_wscale, i->rcv_wscale,
        us_of(i->user_timeout) / 1000u, i->cc);
}

static void add_why(struct line *x, const struct estab_why_info *w, bool in_full)
{
    char text[512];
    unsigned i, n = 0;

    add(x, "\"tries\":%u,\"why\":\"%s\"", w->tries, estab_why_name(w->why));
    if (w->since != ESTAB_NEVER && w->since <= w->now)
        add(x, ",\"since_ms\":%llu", us_of(w->now - w->since) / 1000u);
    if (!in_full || estab_why_text(w, text, sizeof text) < 0)
        return;
    add(x, ",\"sentence\":\"%s\"", text);
    if (!w->has_times)
        return;
    add(x, ",\"times_us\":{");
    for (i = 0; i < ESTAB_WHYS; i++)
        if (w->spent[i] > 0)
            add(x, "%s\"%s\":%llu", n++ ? "," : "", estab_why_name((enum estab_why)i),
                us_of(w->spent[i]));
    add(x, "}");
}

static void put_socket(struct client *c, estab_sock k, const struct estab_tcp_info *i,
                       const struct estab_why_info *w, bool in_full)
{
    char local[56], peer[56];
    struct line x = {.len = 0};

    add(&x, "{\"id\":\"%llx\",\"type\":\"%s\",\"state\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",",
        (unsigned long long)k, i->type == ESTAB_UDP ? "udp" : "tcp", estab_state_name(i->state),
        estab_addr_format(&i->local, true, local), estab_addr_format(&i->peer, true, peer));
    if (i->timer != ESTAB_T_NONE && i->timer_at != ESTAB_NEVER)
        add(&x, "\"timer\":\"%s\",\"timer_ms\":%llu,", estab_timer_name(i->timer),
            us_of(i->timer_at > w->now ? i->timer_at - w->now : 0) / 1000u);
    add_queues(&x, i);
    add_numbers(&x, i);
    add_options(&x, i);
    add_why(&x, w, in_full);
    add(&x, "}\n");
    put_out(c, &x);
}

static void add_stack(struct line *x, const struct estab_stack_info *i)
{
    add(x,
        "\"conns\":%u,\"listeners\":%u,\"synq\":%u,\"timewait\":%u,\"orphans\":%u,"
        "\"udp_socks\":%u,\"max_conns\":%u,\"max_synq\":%u,\"max_timewait\":%u,\"mem_used\":%zu,"
        "\"mem_peak\":%zu,"
        "\"mem_max\":%zu,\"frames_in\":%llu,\"frames_out\":%llu,\"drops\":%llu}\n",
        i->conns, i->listeners, i->synq, i->timewait, i->orphans, i->udp_socks, i->max_conns,
        i->max_synq, i->max_timewait, i->mem_used, i->mem_peak, i->mem_max,
        (unsigned long long)i->frames_in, (unsigned long long)i->frames_out,
        (unsigned long long)i->drops);
}

static void put_stack(struct estab_ctl *ctl, struct client *c, bool last)
{
    struct estab_stack_info info = {.size = sizeof info};
    struct line x = {.len = 0};

    estab_stack_info(ctl->stack, &info);
    if (last)
        add(&x, "{\"end\":true,\"sockets\":%llu,", (unsigned long long)c->count);
    else
        add(&x, "{");
    add_stack(&x, &info);
    put_out(c, &x);
}

/* ---- a trace ---- */

static void client_watch(struct estab_ctl *ctl, struct client *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    epoll_ctl(ctl->set, EPOLL_CTL_MOD, c->fd, &ev);
}

static void add_flags(struct line *x, uint8_t flags)
{
    static const char letters[] = "FSRPAUEC";
    int i;

    add(x, ",\"flags\":\"");
    for (i = 0; i < 8; i++)
        if (flags & 1u << i)
            add(x, "%c", letters[i]);
    add(x, "\"");
}

static void write_record(struct line *x, const struct estab_trace *t)
{
    static const char *const kinds[] = {
        [ESTAB_TR_STATE] = "state", [ESTAB_TR_SEG_IN] = "in",   [ESTAB_TR_SEG_OUT] = "out",
        [ESTAB_TR_DROP] = "drop",   [ESTAB_TR_TIMER] = "timer", [ESTAB_TR_CC] = "cc"};
    char local[56], peer[56];

    add(x, "{\"at_us\":%llu,\"kind\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",\"state\":\"%s\"",
        us_of(t->at), kinds[t->kind], estab_addr_format(&t->local, true, local),
        estab_addr_format(&t->peer, true, peer), estab_state_name(t->from));
    if (t->sock)
        add(x, ",\"id\":\"%llx\"", (unsigned long long)t->sock);
    switch (t->kind) {
    case ESTAB_TR_STATE:
        add(x, ",\"to\":\"%s\",\"event\":\"%s\"", estab_state_name(t->to),
            estab_edge_event(t->from, t->to, t->cause));
        break;
    case ESTAB_TR_SEG_IN:
    case ESTAB_TR_SEG_OUT:
    case ESTAB_TR_DROP:
        add_flags(x, t->flags);
        add(x, ",\"seq\":%u,\"ack\":%u,\"len\":%u,\"wnd\":%llu", t->seq, t->ack, t->len,
            (unsigned long long)t->wnd << t->wscale);
        break;
    case ESTAB_TR_TIMER:
        add(x, ",\"timer\":\"%s\"", estab_timer_name(t->timer));
        break;
    case ESTAB_TR_CC:
        add(x, ",\"cwnd\":%u", t->len);
        break;
    }
    if (t->rule)
        add(x, ",\"rule\":\"%s\"", estab_rule_name(t->rule));
    add(x, "}\n");
}

static void client_record(struct estab_ctl *ctl, struct client *c, const struct line *x)
{
    struct line lost = {.len = 0};

    if (out_room(c) < LINE_MAX_LEN + x->len) {
        c->count++;
        return;
    }
    if (c->count > 0) {
        add(&lost, "{\"lost\":%llu}\n", (unsigned long long)c->count);
        put_out(c, &lost);
        c->count = 0;
    }
    put_out(c, x);
    if (c->wants_out)
        return;
    c->wants_out = true;
    client_watch(ctl, c, EPOLLIN | EPOLLOUT);
}

static void ctl_tap(void *ctx, const struct estab_trace *t)
{
    struct estab_ctl *ctl = ctx;
    struct line x = {.len = 0};
    size_t i;

    for (i = 0; i < CLIENTS; i++) {
        struct client *c = &ctl->client[i];

        if (c->phase != CLIENT_TRACE || !estab_filter_match(&c->filter, t->to, &t->local, &t->peer))
            continue;
        if (x.len == 0)
            write_record(&x, t);
        client_record(ctl, c, &x);
    }
}

static void tap_if_traced(struct estab_ctl *ctl)
{
    bool traced = false;
    size_t i;

    for (i = 0; i < CLIENTS; i++)
        traced |= ctl->client[i].phase == CLIENT_TRACE;
    estab_tap(ctl->stack, traced ? ctl_tap : NULL, ctl);
}

/* ---- what can be asked ---- */

static bool ask_filter(struct estab_ctl *ctl, struct client *c)
{
    char err[ESTAB_ERRLEN], *at;

    (void)ctl;
    if (estab_filter_parse(&c->filter, c->args, err) == 0)
        return true;
    for (at = err; *at; at++) /* it quotes what was asked */
        if (*at == '"' || *at == '\\' || *at < ' ')
            *at = '?';
    put_error(c, err);
    return false;
}

static bool ask_trace(struct estab_ctl *ctl, struct client *c)
{
    char *out;

    if (!ask_filter(ctl, c))
        return false;
    out = realloc(c->out, TRACE_LEN);
    if (!out) {
        put_error(c, "no memory for a trace");
        return false;
    }
    c->out = out;
    c->out_cap = TRACE_LEN;
    put_header(ctl, c);
    c->phase = CLIENT_TRACE;
    c->wants_out = true;
    c->count = 0;
    tap_if_traced(ctl);
    return true;
}

static bool ask_kill(struct estab_ctl *ctl, struct client *c)
{
    struct line x = {.len = 0};
    char *end;
    estab_sock k = strtoull(c->args, &end, 16);
    int err = end == c->args || *end ? ESTAB_E_INVAL : estab_kill(ctl->stack, k);

    if (err == 0)
        add(&x, "{\"killed\":\"%llx\"}\n", (unsigned long long)k);
    else
        add(&x, "{\"error\":\"%s\"}\n",
            err == ESTAB_E_BADF ? "the connection is gone" : "that cannot be killed");
    put_header(ctl, c);
    put_out(c, &x);
    return true;
}

static void write_forecast(struct line *x, const struct estab_port_forecast *f, estab_time now)
{
    int st;
    bool first = true;

    add(x, "{\"ports\":%u,\"free\":%u,\"reusable\":%u,\"bound\":%u,\"busy\":{", f->ports, f->free,
        f->reusable, f->bound);
    for (st = 0; st < ESTAB_TCP_STATES; st++) {
        if (f->busy[st] == 0)
            continue;
        add(x, "%s\"%s\":%u", first ? "" : ",", estab_state_name((enum estab_tcp_state)st),
            f->busy[st]);
        first = false;
    }
    add(x, "}");
    if (f->next_at != ESTAB_NEVER)
        add(x, ",\"next_ms\":%llu", us_of(f->next_at > now ? f->next_at - now : 0) / 1000u);
    add(x, "}\n");
}

/* "forecast LOCAL PEER": LOCAL may be *. */
static bool ask_forecast(struct estab_ctl *ctl, struct client *c)
{
    struct estab_port_forecast f = {.size = sizeof f};
    struct estab_why_info now = {.size = sizeof now};
    struct estab_addr local = {0}, peer;
    char local_text[64], peer_text[64];
    struct line x = {.len = 0};
    uint64_t cursor = 0;
    estab_sock k;

    if (sscanf(c->args, "%63s %63s", local_text, peer_text) != 2 ||
        (strcmp(local_text, "*") != 0 && estab_addr_parse(&local, local_text, NULL) < 0) ||
        estab_addr_parse(&peer, peer_text, NULL) < 0 ||
        estab_port_forecast(ctl->stack, &local, &peer, &f) < 0) {
        put_error(c, "a forecast is for a local address or *, and a peer with its port");
        return false;
    }
    if (estab_conn_next(ctl->stack, &cursor, &k))
        (void)estab_why(ctl->stack, k, &now);
    put_header(ctl, c);
    write_forecast(&x, &f, now.now);
    put_out(c, &x);
    return true;
}

struct ctl_verb {
    const char *name;
    bool (*ask)(struct estab_ctl *ctl, struct client *c); /* false: the error is put */
    enum client_step first;                               /* behind the header */
    bool in_full;
};
static const struct ctl_verb verbs[] = {
    {"sockets", ask_filter, STEP_SOCKETS, false}, {"why", ask_filter, STEP_SOCKETS, true},
    {"stack", NULL, STEP_STACK, false},           {"trace", ask_trace, STEP_ONE, false},
    {"kill", ask_kill, STEP_ONE, false},          {"forecast", ask_forecast, STEP_ONE, false},
};

/* ---- one client ---- */

static void client_close(struct estab_ctl *ctl, struct client *c)
{
    bool traced = c->phase == CLIENT_TRACE;

    close(c->fd);
    free(c->out);
    c->out = NULL;
    c->fd = -1;
    c->phase = CLIENT_FREE;
    if (traced)
        tap_if_traced(ctl);
}

static void begin_answer(struct estab_ctl *ctl, struct client *c)
{
    size_t i, len = strcspn(c->ask, " ");

    for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strncmp(verbs[i].name, c->ask, len) == 0 && verbs[i].name[len] == '\0')
            c->verb = &verbs[i];
    c->phase = CLIENT_FLUSH;
    c->step = STEP_HEADER;
    c->cursor = c->count = 0;
    c->args = c->ask + len + strspn(c->ask + len, " ");
    if (!c->verb)
        put_error(c, "ask for sockets, why, stack, forecast, kill or trace");
    else if ((!c->verb->ask || c->verb->ask(ctl, c)) && c->verb->first != STEP_ONE)
        c->phase = CLIENT_ANSWER;
    client_watch(ctl, c, c->phase == CLIENT_TRACE ? EPOLLIN | EPOLLOUT : EPOLLOUT);
}

/* False: done with, or gone. */
static bool read_ask(struct estab_ctl *ctl, struct client *c)
{
    ssize_t n = recv(c->fd, c->ask + c->ask_len, sizeof c->ask - c->ask_len, 0);
    char *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    c->ask_len += (size_t)n;
    end = memchr(c->ask, '\n', c->ask_len);
    if (!end)
        return c->ask_len < sizeof c->ask;
    if (end + 1 != c->ask + c->ask_len || memchr(c->ask, '\0', c->ask_len))
        return false;
    *end = '\0';
    begin_answer(ctl, c);
    return true;
}

/* A filter that names no state takes every one: what is worth showing is the asker's to say. */
static void fill_sockets(struct estab_ctl *ctl, struct client *c)
{
    unsigned budget = PER_RUN;
    estab_sock k;

    while (budget-- > 0 && out_room(c) >= LINE_MAX_LEN) {
        struct estab_tcp_info info = {.size = sizeof info};
        struct estab_why_info why = {.size = sizeof why};

        if (!estab_conn_next(ctl->stack, &c->cursor, &k)) {
            c->step = STEP_LAST;
            return;
        }
        if (estab_tcp_info(ctl->stack, k, &info) < 0 ||
            !estab_filter_match(&c->filter, info.state, &info.local, &info.peer) ||
            estab_why(ctl->stack, k, &why) < 0)
            continue;
        put_socket(c, k, &info, &why, c->verb->in_full);
        c->count++;
    }
}

static void fill_rules(struct estab_ctl *ctl, struct client *c)
{
    for (; out_room(c) >= LINE_MAX_LEN; c->cursor++) {
        unsigned rule = (unsigned)c->cursor;
        const char *name = estab_rule_name(rule);
        uint64_t n = estab_rule_count(ctl->stack, rule);
        struct line x = {.len = 0};

        if (!name && rule > 0) {
            c->step = STEP_LAST;
            return;
        }
        if (!name || n == 0)
            continue;
        add(&x, "{\"rule\":\"%s\",\"ref\":\"%s\",\"count\":%llu,\"refuses\":%s}\n", name,
            estab_rule_ref(rule), (unsigned long long)n,
            yes_no(estab_rule_refused(ctl->stack, rule)));
        put_out(c, &x);
        c->count++;
    }
}

static void fill(struct estab_ctl *ctl, struct client *c)
{
    if (out_room(c) < LINE_MAX_LEN)
        return;
    switch (c->step) {
    case STEP_HEADER:
        put_header(ctl, c);
        c->step = c->verb->first;
        break;
    case STEP_SOCKETS:
        fill_sockets(ctl, c);
        break;
    case STEP_STACK:
        put_stack(ctl, c, false);
        c->step = STEP_RULES;
        break;
    case STEP_RULES:
        fill_rules(ctl, c);
        break;
    case STEP_LAST:
        put_stack(ctl, c, true);
        c->phase = CLIENT_FLUSH;
        break;
    case STEP_ONE:
        break;
    }
}

static bool flush_out(struct client *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->out_at += (size_t)n;
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    return true;
}

static bool answer(struct estab_ctl *ctl, struct client *c)
{
    if (c->phase == CLIENT_ANSWER)
        fill(ctl, c);
    if (c->out_len > 0 && !flush_out(c))
        return false;
    return c->phase != CLIENT_FLUSH || c->out_len > 0;
}

/* A client that says anything more, or leaves, ends its trace. */
static bool go_on_tracing(struct estab_ctl *ctl, struct client *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        return false;
    if (!flush_out(c))
        return false;
    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
        c->out_len -= c->out_at;
        c->out_at = 0;
    }
    if (c->out_len == 0) {
        c->wants_out = false;
        client_watch(ctl, c, EPOLLIN);
    }
    return true;
}

static bool in_groups(int fd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t len = sizeof groups;
    size_t i;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (i = 0; i < len / sizeof groups[0]; i++)
        if (groups[i] == group)
            return true;
    return false;
}

static bool may_ask(const struct estab_ctl *ctl, int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return false;
    return who.uid == geteuid() || who.uid == 0 ||
           (ctl->has_group && (who.gid == ctl->group || in_groups(fd, ctl->group)));
}

static void refuse(int fd)
{
    static const char text[] = "{\"error\":\"this stack answers only the user who runs it, root "
                               "and the group it names\"}\n";

    (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* A free one, or that of the client who has been here longest. */
static struct client *client_slot(struct estab_ctl *ctl)
{
    struct client *c = &ctl->client[0];
    size_t i;

    for (i = 0; i < CLIENTS; i++) {
        if (ctl->client[i].phase == CLIENT_FREE)
            return &ctl->client[i];
        if (ctl->client[i].turn < c->turn)
            c = &ctl->client[i];
    }
    client_close(ctl, c);
    return c;
}

static void take_client(struct estab_ctl *ctl)
{
    int fd = accept4(ctl->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    struct client *c;

    if (fd < 0)
        return;
    if (!may_ask(ctl, fd)) {
        refuse(fd);
        return;
    }
    c = client_slot(ctl);
    ev.data.ptr = c;
    c->out = malloc(OUT_LEN);
    if (!c->out || epoll_ctl(ctl->set, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(c->out);
        c->out = NULL;
        close(fd);
        return;
    }
    c->out_cap = OUT_LEN;
    c->fd = fd;
    c->turn = ++ctl->turns;
    c->phase = CLIENT_MUTE;
    c->verb = NULL;
    c->ask_len = c->out_at = c->out_len = 0;
}

void estab_ctl_run(estab_ctl *ctl)
{
    struct epoll_event ev[CLIENTS + 1];
    int i, n = epoll_wait(ctl->set, ev, CLIENTS + 1, 0);

    for (i = 0; i < n; i++) {
        struct client *c = ev[i].data.ptr;
        bool goes_on = true;

        if (!c) {
            take_client(ctl);
            continue;
        }
        switch (c->phase) {
        case CLIENT_FREE: /* gave way in this turn */
            break;
        case CLIENT_MUTE:
            goes_on = read_ask(ctl, c);
            break;
        case CLIENT_TRACE:
            goes_on = go_on_tracing(ctl, c, ev[i].events);
            break;
        case CLIENT_ANSWER:
        case CLIENT_FLUSH:
            goes_on = answer(ctl, c);
            break;
        }
        if (!goes_on)
            client_close(ctl, c);
    }
}

/* ---- life ---- */

static int socket_permissions(const struct estab_ctl *c)
{
    if (!c->has_group)
        return 0;
    return chown(c->path, (uid_t)-1, c->group) < 0 ? -1 : chmod(c->path, 0660);
}

static int listen_at(struct estab_ctl *c, char *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    struct sockaddr_un sun;
    struct stat st;
    mode_t mask;
    int rc, other;

    if (ctl_address(&sun, c->path) < 0)
        goto failed;
    other = estab_ctl_connect(c->path, 0); /* a socket that nobody answers is a leftover */
    if (other >= 0 || errno == EAGAIN) {   /* a process may be stopped, and is there all the same */
        if (other >= 0)
            close(other);
        return link_say(err, "the control socket %s is another stack's: name another place",
                        c->path);
    }
    if (errno == ECONNREFUSED && lstat(c->path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(c->path); /* a file that is none refuses as well, and is somebody's */
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->set = epoll_create1(EPOLL_CLOEXEC);
    if (c->listener < 0 || c->set < 0)
        goto failed;
    mask = umask(0177);
    rc = bind(c->listener, (struct sockaddr *)&sun, sizeof sun);
    umask(mask);
    if (rc < 0)
        goto failed;
    if (socket_permissions(c) < 0 || listen(c->listener, CLIENTS) < 0 ||
        epoll_ctl(c->set, EPOLL_CTL_ADD, c->listener, &ev) < 0) {
        rc = errno;
        unlink(c->path);
        errno = rc;
        goto failed;
    }
    return 0;
failed:
    return link_say(err, "cannot open the control socket %s: %s", c->path, strerror(errno));
}

static void ctl_free(struct estab_ctl *c)
{
    size_t i;

    for (i = 0; i < CLIENTS; i++)
        if (c->client[i].phase != CLIENT_FREE)
            client_close(c, &c->client[i]);
    if (c->listener >= 0)
        close(c->listener);
    if (c->set >= 0)
        close(c->set);
    free(c);
}

static int find_group(struct estab_ctl *c, const char *name, char *err)
{
    const struct group *g = getgrnam(name);
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    if (!g && (end == name || *end || number > UINT32_MAX - 1))
        return link_say(err, "there is no group '%s' to share the control socket with", name);
    c->group = g ? g->gr_gid : (gid_t)number;
    c->has_group = true;
    return 0;
}

static int choose_path(struct estab_ctl *c, const char *path, char *err)
{
    char folder[ESTAB_CTL_PATH];
    int len;

    if (path && strlen(path) >= sizeof c->path)
        return link_say(err, "the path of the control socket is longer than %d octets",
                        ESTAB_CTL_PATH - 1);
    if (path) {
        snprintf(c->path, sizeof c->path, "%s", path);
        return 0;
    }
    if (c->has_group)
        return link_say(err, "a control socket that a group shares needs a path: its members may "
                             "not enter the default folder");
    if (estab_ctl_folder(folder, true, err) < 0)
        return -1;
    len = snprintf(c->path, sizeof c->path, "%s/%ld.sock", folder, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof c->path)
        return link_say(err, "the folder %s has too long a name for a control socket", folder);
    return 0;
}

static void name_command(struct estab_ctl *c, const char *name)
{
    size_t i;

    snprintf(c->command, sizeof c->command, "%s", name ? name : "?");
    for (i = 0; c->command[i]; i++)
        if (c->command[i] < ' ' || c->command[i] > '~' || c->command[i] == '"' ||
            c->command[i] == '\\')
            c->command[i] = '_';
}

int estab_ctl_open(estab_ctl **out, estab_stack *s, const struct estab_ctl_config *config,
                   char *err)
{
    struct estab_ctl_config all = {.size = sizeof all};
    struct estab_ctl *c = calloc(1, sizeof *c);

    if (!c)
        return link_say(err, "control socket: out of memory");
    if (config)
        memcpy(&all, config, config->size < sizeof all ? config->size : sizeof all);
    c->stack = s;
    c->listener = c->set = -1;
    name_command(c, all.command);
    if ((all.group && find_group(c, all.group, err) < 0) || choose_path(c, all.path, err) < 0 ||
        listen_at(c, err) < 0) {
        ctl_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

const char *estab_ctl_path(const estab_ctl *c)
{
    return c->path;
}

int estab_ctl_fd(const estab_ctl *c)
{
    return c->set;
}

void estab_ctl_close(estab_ctl *c)
{
    if (!c)
        return;
    unlink(c->path);
    ctl_free(c);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* world_flow.c - the users: who connects when, what they send each other, when they close.
 *
 * What is sent is a function of the connection, the direction and the position, so that who reads
 * can tell whether each octet is the one that belongs there, without keeping what was sent: the
 * stream of a direction is a circular pattern of a prime number of random octets, begun at a place
 * of its own.  An octet that is missing, doubled, moved or damaged shows, unless the error is a
 * displacement by just a multiple of that prime.
 *
 * The client connects, sends what its flow wants, and closes its side; the server answers requests,
 * and closes when it has read the end; the client closes when it has read the server's end. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_FIRST = 1000, BACKLOG = 4096, NPORTS = 65536 };

const char *flow_kind_name(enum flow_kind k)
{
    static const char *const names[] = {[FLOW_BULK] = "bulk",
                                        [FLOW_REQUEST] = "request",
                                        [FLOW_ON_OFF] = "on-off",
                                        [FLOW_SHORT] = "short"};

    return names[k];
}

static void add_time(struct world *w, struct flow *f, estab_dur d)
{
    struct times *t = &f->times;
    estab_dur *more = grow(t->v, t->n, &t->room, sizeof *more);

    if (!more) {
        w->out_of_memory = true;
        return;
    }
    t->v = more;
    t->v[t->n++] = d;
}

/* ---- connections ---- */

static void set_options(const struct flow *f, estab_stack *s, estab_sock k)
{
    const struct flow_conf *c = &f->conf;
    const struct {
        enum estab_opt opt;
        uint64_t v;
    } opts[] = {{ESTAB_O_NODELAY, c->nodelay},   {ESTAB_O_SNDBUF, c->sndbuf},
                {ESTAB_O_RCVBUF, c->rcvbuf},     {ESTAB_O_MAXSEG, c->maxseg},
                {ESTAB_O_KEEPIDLE, c->keepidle}, {ESTAB_O_PACING_RATE, c->pacing_rate}};

    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++)
        if (opts[i].v)
            estab_setopt(s, k, opts[i].opt, opts[i].v);
    if (c->cc[0])
        estab_set_cc(s, k, c->cc);
}

/* Figures of the sender are taken once, while it still has its handle. */
static void tell(struct conn *c)
{
    struct estab_tcp_info i = {.size = sizeof i};
    struct flow *f = c->flow;
    bool answers = f->conf.kind == FLOW_REQUEST;
    struct end *e = answers ? &c->server : &c->client;

    if (c->told || !e->sock || estab_tcp_info(e->host->stack, e->sock, &i) < 0)
        return;
    c->told = true;
    f->rtos += i.rto_fired;
    if (i.srtt) {
        f->srtt_sum += i.srtt;
        f->nsrtts++;
    }
    memcpy(f->cc, i.cc, sizeof f->cc);
}

static void free_conn(struct world *w, struct conn *c)
{
    if (c->flow->by_port[c->port] == c)
        c->flow->by_port[c->port] = NULL;
    if (c->next)
        c->next->prev = c->prev;
    *c->prev = c->next;
    w->open_conns--;
    free(c);
}

/* The handle goes; when both are gone, so does the connection. */
static void end_close(struct world *w, struct end *e, bool abort)
{
    struct conn *c = e->conn;

    if (!e->sock)
        return;
    tell(c);
    script_call(w, e, "close(%%d) = 0");
    if (abort)
        estab_abort(e->host->stack, e->sock);
    else
        estab_close(e->host->stack, e->sock);
    e->sock = 0;
    host_send(w, e->host);
    if (!c->client.sock && !c->server.sock)
        free_conn(w, c);
}

static void fail_end(struct world *w, struct end *e)
{
    struct conn *c = e->conn;

    if (!c->failed) {
        c->failed = true;
        if (!w->closing)
            c->flow->failed++;
    }
    end_close(w, e, false);
}

static void watch(struct end *e)
{
    estab_watch(e->host->stack, e->sock, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP, e);
}

static struct conn *begin_conn(struct world *w, struct flow *f)
{
    struct conn *c = calloc(1, sizeof *c);
    struct end *e;
    struct estab_addr to = f->conf.to->addr, local;

    if (!c) {
        w->out_of_memory = true;
        return NULL;
    }
    *c = (struct conn){.flow = f,
                       .began = w->now,
                       .salt = (uint32_t)(estab_virtual_random(&f->rng) % PATTERN),
                       .client = {.role = END_CLIENT, .flow = f, .conn = c, .host = f->conf.from},
                       .server = {.role = END_SERVER, .flow = f, .conn = c, .host = f->conf.to}};
    e = &c->client;
    to.port = f->port;
    f->started++;
    if (estab_socket(e->host->stack, ESTAB_TCP, &e->sock) < 0) {
        f->failed++;
        free(c);
        return NULL;
    }
    set_options(f, e->host->stack, e->sock);
    watch(e);
    if (estab_connect(e->host->stack, e->sock, &to) != ESTAB_E_INPROGRESS ||
        estab_getaddrs(e->host->stack, e->sock, &local, NULL) < 0) {
        f->failed++;
        estab_close(e->host->stack, e->sock);
        free(c);
        return NULL;
    }
    c->port = local.port;
    if (f == w->scripted && !w->scripted_port)
        w->scripted_port = c->port;
    f->by_port[c->port] = c;
    c->next = f->conns;
    c->prev = &f->conns;
    if (f->conns)
        f->conns->prev = &c->next;
    f->conns = c;
    w->open_conns++;
    host_send(w, e->host);
    return c;
}

struct end *flow_find_end(struct world *w, const struct estab_frame *frame, bool out,
                          const uint8_t **tcp_at, size_t *text)
{
    const uint8_t *ip = frame->iov[0].base, *tcp = ip + (w->ip6 ? 40 : 20);
    uint16_t sport, dport;
    bool from_client;
    struct conn *c;

    if (frame->iov[0].len < (size_t)(w->ip6 ? 60 : 40) || ip[w->ip6 ? 6 : 9] != 6)
        return NULL;
    sport = (uint16_t)(tcp[0] << 8 | tcp[1]);
    dport = (uint16_t)(tcp[2] << 8 | tcp[3]);
    from_client = dport >= PORT_FIRST && dport < PORT_FIRST + w->nflows;
    if (!from_client && (sport < PORT_FIRST || sport >= PORT_FIRST + w->nflows))
        return NULL;
    c = w->flows[(from_client ? dport : sport) - PORT_FIRST]->by_port[from_client ? sport : dport];
    *tcp_at = tcp;
    *text = estab_frame_len(frame) - (size_t)(tcp - ip) - (size_t)(tcp[12] >> 4) * 4;
    return !c ? NULL : from_client == out ? &c->client : &c->server;
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* RFC 9293 section 3.4, from outside: nobody acknowledges what was never sent, nor takes back what
 * he has acknowledged. */
static void check_numbers(struct world *w, struct end *e, const uint8_t *tcp, uint32_t len)
{
    const struct end *peer = e->role == END_SERVER ? &e->conn->client : &e->conn->server;
    uint32_t seq = read32(tcp + 4), ack = read32(tcp + 8);

    if (!e->has_sent || is_before(e->sent_to, seq + len))
        e->sent_to = seq + len;
    e->has_sent = true;
    if (!(tcp[13] & ESTAB_ACK))
        return;
    if (!peer->has_sent || is_before(peer->sent_to, ack) ||
        (e->has_acked && is_before(ack, e->acked_to))) {
        w->broken = e->flow;
        world_broken(w, ESTAB_SIM_NUMBERS,
                     "flow %s: %s acknowledges %u, its last was %u, and %s has sent up to %u",
                     e->flow->conf.name, e->host->name, ack, e->acked_to, peer->host->name,
                     peer->sent_to);
    }
    e->has_acked = true;
    e->acked_to = ack;
}

/* Looks at what a host sends, and counts the segments with text, as they are on the wire: a stack
 * may count a large segment that is cut up behind it as one. */
void flow_see(struct world *w, const struct estab_frame *frame)
{
    const uint8_t *tcp;
    size_t text;
    struct end *e = flow_find_end(w, frame, true, &tcp, &text);
    uint32_t seq;

    if (!e || tcp[13] & ESTAB_RST)
        return;
    check_numbers(w, e, tcp, (uint32_t)text + !!(tcp[13] & ESTAB_SYN) + !!(tcp[13] & ESTAB_FIN));
    if (w->closing || text == 0)
        return;
    seq = read32(tcp + 4);
    e->flow->segs_out++;
    if (e->seen && is_before(seq, e->seen_to)) {
        e->flow->retrans++;
        return;
    }
    e->seen = true;
    e->seen_to = seq + (uint32_t)text;
}

/* ---- octets ---- */

static uint32_t pattern_at(const struct end *e, bool theirs, uint64_t position)
{
    bool from_server = (e->role == END_SERVER) != theirs;

    return (uint32_t)((e->conn->salt + (from_server ? PATTERN / 2 : 0) + position) % PATTERN);
}

/* Sends what it may and has to; then, if that was all, closes its side. */
static void end_send(struct world *w, struct end *e)
{
    estab_stack *s = e->host->stack;
    const struct flow_conf *c = &e->flow->conf;
    ptrdiff_t n;

    if (!e->sock || !e->connected || e->shut)
        return;
    while (e->sent < e->to_send) {
        uint64_t left = e->to_send - e->sent;
        struct estab_iov iov = {w->pattern + pattern_at(e, false, e->sent),
                                left < PATTERN ? (size_t)left : PATTERN};

        n = estab_send(s, e->sock, &iov, 1, 0);
        if (n <= 0) /* full, or failed: an event says which */
            return;
        script_call(w, e, "write(%%d, ..., %td) = %td", n, n);
        e->sent += (uint64_t)n;
        host_send(w, e->host);
    }
    if (e->role == END_CLIENT &&
        (w->closing || c->kind == FLOW_BULK || c->kind == FLOW_SHORT ||
         (c->kind == FLOW_REQUEST && c->requests && e->conn->requests == c->requests &&
          e->received == c->requests * c->response))) {
        e->shut = true;
        script_call(w, e, "shutdown(%%d, SHUT_WR) = 0");
        estab_shutdown(s, e->sock, ESTAB_SHUT_WR);
        host_send(w, e->host);
    }
}

/* The n-th request is sent when the answer before it has been read, and thought about. */
static void next_request(struct world *w, struct conn *c)
{
    const struct flow_conf *f = &c->flow->conf;

    if (w->closing || (f->requests && c->requests == f->requests) || c->client.shut)
        return;
    c->requests++;
    c->request_began = w->now;
    c->client.to_send += f->request;
    end_send(w, &c->client);
}

static void got_answer(struct world *w, struct conn *c)
{
    struct flow *f = c->flow;
    estab_dur think = f->conf.think;

    if (!w->closing)
        add_time(w, f, w->now - c->request_began);
    if (f->conf.random)
        think = (estab_dur)draw_exponential(&f->rng, (double)think);
    if (w->closing || (f->conf.requests && c->requests == f->conf.requests))
        end_send(w, &c->client);
    else if (think)
        alarm_set(w, &f->alarm, w->now + think);
    else
        next_request(w, c);
}

static void after_reading(struct world *w, struct end *e)
{
    struct conn *c = e->conn;
    const struct flow_conf *f = &c->flow->conf;

    if (f->kind != FLOW_REQUEST)
        return;
    if (e->role == END_SERVER) {
        e->to_send = e->received / f->request * f->response;
        end_send(w, e);
    } else if (c->requests > 0 && e->received == c->requests * f->response) {
        got_answer(w, c);
    }
}

/* The peer has sent all and said so: everything must have come. */
static void read_end(struct world *w, struct end *e)
{
    struct conn *c = e->conn;
    struct flow *f = c->flow;
    const struct end *peer = e->role == END_SERVER ? &c->client : &c->server;

    e->eof = true;
    script_call(w, e, "read(%%d, ..., %d) = 0", PATTERN);
    if (e->received != peer->sent) {
        w->broken = f;
        world_broken(w, ESTAB_SIM_OCTETS,
                     "flow %s: %s read the end of the stream after %llu octets, but %s sent %llu",
                     f->conf.name, e->host->name, (unsigned long long)e->received, peer->host->name,
                     (unsigned long long)peer->sent);
        return;
    }
    if (e->role == END_SERVER) {
        if (!w->closing || f->conf.octets || f->conf.kind == FLOW_SHORT) {
            f->done += !w->closing;
            if (f->conf.kind != FLOW_REQUEST && !w->closing)
                add_time(w, f, w->now - c->began);
        }
        e->shut = true;
    }
    end_close(w, e, false);
}

static void end_read(struct world *w, struct end *e)
{
    struct estab_iov iov = {w->buf, PATTERN};
    struct flow *f = e->flow;
    ptrdiff_t n = 0;

    while (e->sock && !e->eof && (n = estab_recv(e->host->stack, e->sock, &iov, 1, 0)) > 0) {
        script_call(w, e, "read(%%d, ..., %d) = %td", PATTERN, n);
        if (memcmp(w->buf, w->pattern + pattern_at(e, true, e->received), (size_t)n) != 0) {
            w->broken = f;
            world_broken(w, ESTAB_SIM_OCTETS,
                         "flow %s: what %s read at octets %llu to %llu is not what was sent there",
                         f->conf.name, e->host->name, (unsigned long long)e->received,
                         (unsigned long long)e->received + (unsigned long long)n);
            return;
        }
        e->received += (uint64_t)n;
        host_send(w, e->host);
        if (!w->closing) {
            f->octets += (uint64_t)n;
            f->last_read_at = w->now;
        }
        after_reading(w, e);
    }
    if (e->sock && !e->eof && n == 0)
        read_end(w, e);
    else if (e->sock && n < 0 && n != ESTAB_E_AGAIN && n != ESTAB_E_NOTCONN)
        fail_end(w, e);
}

/* ---- events ---- */

static void accept_all(struct world *w, struct end *l)
{
    struct flow *f = l->flow;
    struct estab_addr peer;
    estab_sock k;

    while (estab_accept(l->host->stack, l->sock, &k, &peer) == 0) {
        struct conn *c = f->by_port[peer.port];

        /* Its client may have given up, and then there is nobody to talk to. */
        if (!c || c->server.sock || c->failed) {
            estab_abort(l->host->stack, k);
            host_send(w, l->host);
            continue;
        }
        c->server.sock = k;
        c->server.connected = true;
        script_call(w, &c->server, "accept(3, ..., ...) = %%d");
        set_options(f, l->host->stack, k);
        watch(&c->server);
    }
}

static void on_connected(struct world *w, struct end *e)
{
    struct conn *c = e->conn;

    e->connected = true;
    if (c->flow->conf.kind == FLOW_REQUEST)
        next_request(w, c);
}

void flow_event(struct world *w, const struct estab_event *ev)
{
    struct end *e = ev->user;

    if (e->role == END_LISTENER) {
        accept_all(w, e);
        return;
    }
    if (!e->sock)
        return;
    if (ev->mask & ESTAB_EV_ERR) {
        fail_end(w, e);
        return;
    }
    if ((ev->mask & ESTAB_EV_OUT) && !e->connected)
        on_connected(w, e);
    if (ev->mask & ESTAB_EV_OUT)
        end_send(w, e);
    if (e->sock && (ev->mask & (ESTAB_EV_IN | ESTAB_EV_RDHUP | ESTAB_EV_HUP)))
        end_read(w, e);
}

/* ---- when ---- */

static void ring_bulk(struct world *w, struct flow *f)
{
    struct conn *c = begin_conn(w, f);

    if (c)
        c->client.to_send = f->conf.octets ? f->conf.octets : UINT64_MAX;
}

static void ring_on_off(struct world *w, struct flow *f)
{
    struct conn *c = f->conns;
    double mean;

    if (!f->started)
        c = begin_conn(w, f);
    if (!c)
        return;
    f->on = !f->on;
    c->client.to_send = f->on ? UINT64_MAX : c->client.sent;
    if (f->on)
        end_send(w, &c->client);
    mean = (double)(f->on ? f->conf.on : f->conf.off);
    alarm_set(w, &f->alarm,
              w->now + (estab_dur)(f->conf.random ? draw_exponential(&f->rng, mean) : mean));
}

static void ring_short(struct world *w, struct flow *f)
{
    const struct flow_conf *c = &f->conf;
    double size = draw_pareto(&f->rng, c->alpha, (double)c->size_min, (double)c->size_max);
    struct conn *conn = begin_conn(w, f);

    if (conn)
        conn->client.to_send = (uint64_t)size;
    if (!c->conns || f->started < c->conns)
        alarm_set(w, &f->alarm,
                  w->now + 1 + (estab_dur)draw_exponential(&f->rng, 1e9 / c->arrivals));
}

static void flow_ring(struct world *w, void *owner)
{
    struct flow *f = owner;

    if (w->closing)
        return;
    switch (f->conf.kind) {
    case FLOW_BULK:
        ring_bulk(w, f);
        break;
    case FLOW_REQUEST:
        if (!f->started)
            begin_conn(w, f);
        else if (f->conns)
            next_request(w, f->conns);
        break;
    case FLOW_ON_OFF:
        ring_on_off(w, f);
        break;
    case FLOW_SHORT:
        ring_short(w, f);
        break;
    }
    host_serve(w, f->conf.from);
}

int flow_open(struct world *w, struct flow *f, char *err)
{
    struct node *to = f->conf.to;
    struct end *l = &f->listener;
    struct estab_addr any = {.port = 0};
    struct estab_env env;
    size_t i = 0;
    int rc;

    while (w->flows[i] != f)
        i++;
    f->port = (uint16_t)(PORT_FIRST + i);
    memcpy(f->cc, f->conf.from->cfg.cc, sizeof f->cc);
    estab_virtual_env(&env, &f->rng, world_random(w));
    alarm_init(w, &f->alarm, flow_ring, f);
    f->by_port = calloc(NPORTS, sizeof *f->by_port);
    if (!f->by_port)
        return world_say(err, "%s", strerror(ENOMEM));
    *l = (struct end){.role = END_LISTENER, .flow = f, .host = to};
    any = to->addr;
    any.port = f->port;
    rc = estab_socket(to->stack, ESTAB_TCP, &l->sock);
    if (rc == 0 && f->conf.cc[0] && estab_set_cc(to->stack, l->sock, f->conf.cc) < 0)
        return world_say(err, "%.60s:%d: flow '%s': no socket can have cc=%s", w->topology,
                         f->conf.line, f->conf.name, f->conf.cc);
    if (rc == 0)
        rc = estab_bind(to->stack, l->sock, &any);
    if (rc == 0)
        rc = estab_listen(to->stack, l->sock, BACKLOG);
    if (rc == 0)
        rc = estab_watch(to->stack, l->sock, ESTAB_EV_IN, l);
    if (rc < 0)
        return world_say(err, "flow '%s': %s", f->conf.name, estab_strerror(rc));
    alarm_set(w, &f->alarm, w->now + f->conf.start);
    return 0;
}

void flow_close(struct world *w, struct flow *f)
{
    struct conn *next;

    for (struct conn *c = f->conns; c; c = next) {
        next = c->next;
        free_conn(w, c);
    }
    free(f->by_port);
    free(f->times.v);
    free(f);
}

void flow_tell(struct world *w, struct flow *f)
{
    (void)w;
    for (struct conn *c = f->conns; c; c = c->next)
        tell(c);
}

void flow_stop(struct world *w, struct flow *f)
{
    struct conn *next;

    alarm_set(w, &f->alarm, ESTAB_NEVER);
    if (f->listener.sock)
        estab_close(f->listener.host->stack, f->listener.sock);
    f->listener.sock = 0;
    host_send(w, f->conf.to);
    for (struct conn *c = f->conns; c; c = next) {
        next = c->next;
        c->client.to_send = c->client.sent;
        if (!c->client.connected)
            end_close(w, &c->client, false);
        else
            end_send(w, &c->client);
    }
}

void flow_throw_out(struct world *w, struct flow *f)
{
    struct conn *next;

    for (struct conn *c = f->conns; c; c = next) {
        next = c->next;
        /* The second of the two frees the connection. */
        if (c->client.sock && c->server.sock)
            end_close(w, &c->client, true);
        end_close(w, c->client.sock ? &c->client : &c->server, true);
    }
}

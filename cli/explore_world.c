/* SPDX-License-Identifier: BSD-2-Clause */
/* explore_world.c - two stacks, their applications and the channel, in one block of memory that can
 * be copied.
 *
 * The stacks are the real ones, through the public header.  Their memory comes from an arena inside
 * the block, at an address that stays, so a copy of the block put back is the whole past put back.
 *
 * The applications are as well behaved as bounds.aborts allows: they read what comes, send when
 * told to, and give their handle back when both directions are closed.  Octets carry their
 * connection's number and their own, so that an old one, a lost one and a repeated one are all
 * recognised. */
#include "explore_tell.h"

#include <estab/host.h>

#include <stdarg.h>
#include <string.h>

enum { SERVER_PORT = 80, CLIENT_PORT = 1000, FINISH_STEPS = 600 };

static void fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (w->failure[0])
        return;
    va_start(ap, fmt);
    vsnprintf(w->failure, sizeof w->failure, fmt, ap);
    va_end(ap);
}

/* ---- the environment ---- */

static estab_time world_now(void *ctx)
{
    return ((struct world *)ctx)->now;
}

static void world_random(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 0x5a, len); /* nobody attacks here, and equal runs shall be equal */
}

static void *world_alloc(void *ctx, size_t size, size_t align)
{
    struct world *w = ctx;
    struct free_block **p;

    (void)align; /* all blocks are multiples of 64 */
    size = (size + 63) & ~(size_t)63;
    for (p = &w->free; *p; p = &(*p)->next) {
        struct free_block *b = *p;

        if (b->size != size)
            continue;
        *p = b->next;
        return b;
    }
    if (size > ARENA - w->used)
        return NULL;
    w->used += size;
    return w->arena + w->used - size;
}

static void world_free(void *ctx, void *ptr, size_t size, size_t align)
{
    struct world *w = ctx;
    struct free_block *b = ptr;

    (void)align;
    if (!b)
        return;
    b->size = (size + 63) & ~(size_t)63;
    b->next = w->free;
    w->free = b;
}

static void watch(struct world *w, unsigned end, const struct estab_trace *t)
{
    switch (t->kind) {
    case ESTAB_TR_STATE:
        w->edges[t->from][t->to]++;
        if (!estab_edge_legal(t->from, t->to))
            fail(w, "illegal edge: %s to %s", estab_state_name(t->from), estab_state_name(t->to));
        tell_edge(w, end, t);
        break;
    case ESTAB_TR_SEG_OUT:
        if ((t->flags & ESTAB_RST) && t->from >= ESTAB_ESTABLISHED && !w->bounds->aborts)
            fail(w, "a graceful close produced an RST in %s", estab_state_name(t->from));
        if (!(t->flags & ESTAB_SYN))
            break;
        w->app[end].iss = t->seq;
        if (!w->has_iss[end])
            w->first_iss[end] = t->seq;
        w->has_iss[end] = true;
        break;
    default:
        break;
    }
}

static void watch_0(void *ctx, const struct estab_trace *t)
{
    watch(ctx, 0, t);
}

static void watch_1(void *ctx, const struct estab_trace *t)
{
    watch(ctx, 1, t);
}

/* ---- the applications ---- */

static struct estab_addr addr_of(const struct world *w, unsigned end)
{
    struct estab_addr a = {.ip = {[10] = 0xff, [11] = 0xff, 10, 0, 0, (uint8_t)(1 + end)}};

    a.port = w->app[end].active ? CLIENT_PORT : SERVER_PORT;
    return a;
}

static bool open_active(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];
    struct estab_addr local = addr_of(w, end), peer = addr_of(w, !end);
    estab_sock k;
    int err;

    if (a->opened > 0)
        w->now += ESTAB_MS(1); /* RFC 6528: an ISN is only newer when time has passed */
    if (estab_socket(a->s, ESTAB_TCP, &k) != 0)
        return false;
    err = estab_bind(a->s, k, &local);
    if (err == 0)
        err = estab_connect(a->s, k, &peer);
    if (err != ESTAB_E_INPROGRESS) {
        estab_close(a->s, k);
        return false;
    }
    tell_call(w, end, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
    tell_call(w, end, "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    tell_call(w, end, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
    tell_call(w, end, "bind(3, ..., ...) = 0");
    tell_call(w, end, "connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)");
    a->opened++;
    a->conn = k;
    a->open = true;
    a->shut = a->eof = a->done = false;
    a->sent = a->got = a->from = 0;
    a->incarnation = (uint8_t)a->opened;
    return true;
}

static void app_done(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];

    estab_close(a->s, a->conn);
    a->open = false;
    a->done = true;
    a->conn = 0;
    tell_call(w, end, "close(3) = 0");
}

static void take_octets(struct world *w, unsigned end, const uint8_t *b, size_t n)
{
    struct app *a = &w->app[end];

    for (size_t i = 0; i < n; i++) {
        uint8_t incarnation = b[i] >> 4, index = b[i] & 0xf;

        if (a->from == 0) {
            if (w->delivered[end] & 1u << incarnation)
                fail(w, "an octet of connection %u came again in a later one", incarnation);
            w->delivered[end] |= 1u << incarnation;
            a->from = incarnation;
        }
        if (incarnation != a->from || index != a->got)
            fail(w, "octet %u of connection %u came as octet %u of connection %u", index,
                 incarnation, a->got, a->from);
        a->got++;
    }
}

/* Reads what there is; sees the end, or the failure. */
static void app_read(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];
    uint8_t b[16];
    struct estab_iov v = {b, sizeof b};
    ptrdiff_t n;

    while (a->open && !a->eof && (n = estab_recv(a->s, a->conn, &v, 1, 0)) != ESTAB_E_AGAIN) {
        tell_read(w, end, n);
        if (n > 0) {
            take_octets(w, end, b, (size_t)n);
        } else if (n == 0) {
            a->eof = true;
        } else {
            if (!w->bounds->aborts && a->opened <= 1 && w->doubled == 0)
                fail(w, "a connection failed (%s) though nobody aborted it",
                     estab_strerror((int)n));
            app_done(w, end);
        }
    }
    if (a->open && a->eof && a->shut && (a->incarnation || a->got <= w->bounds->sends))
        app_done(w, end);
}

static void app_accept(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];
    estab_sock k;

    if (a->active || a->open || estab_accept(a->s, a->listener, &k, NULL) != 0)
        return;
    a->conn = k;
    a->open = true;
    a->shut = a->eof = a->done = false;
    a->sent = a->got = a->from = 0;
    a->opened++;
    a->incarnation = (uint8_t)a->opened;
    tell_call(w, end, "accept");
}

static bool may_send(const struct world *w, unsigned end)
{
    const struct app *a = &w->app[end];

    return a->open && !a->shut && a->sent < w->bounds->sends &&
           (estab_ready(a->s, a->conn) & (ESTAB_EV_OUT | ESTAB_EV_ERR)) == ESTAB_EV_OUT;
}

/* From SYN-RECEIVED on: before, CLOSE only deletes what there is. */
static bool may_shut(const struct world *w, unsigned end)
{
    const struct app *a = &w->app[end];
    struct estab_tcp_info i = {.size = sizeof i};

    return a->open && !a->shut && estab_tcp_info(a->s, a->conn, &i) == 0 &&
           i.state >= ESTAB_SYN_RECEIVED;
}

static void app_send(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];
    uint8_t b = (uint8_t)(a->incarnation << 4 | a->sent);
    struct estab_iov v = {&b, 1};

    tell_call(w, end, "write(3, ..., 1) = 1");
    if (estab_send(a->s, a->conn, &v, 1, 0) == 1)
        a->sent++;
}

static void app_shut(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];

    tell_call(w, end, "shutdown(3, SHUT_WR) = 0");
    estab_shutdown(a->s, a->conn, ESTAB_SHUT_WR);
    a->shut = true;
}

/* ---- the channel ---- */

static void put_on_wire(struct world *w, unsigned end, const struct estab_frame *f)
{
    struct direction *d = &w->way[end];
    struct wire_frame *x;
    size_t len = 0;

    if (d->n == WIRES) {
        fail(w, "more than %d frames under way", WIRES);
        return;
    }
    x = &d->f[d->n++];
    memset(x, 0, sizeof *x);
    for (uint32_t i = 0; i < f->niov; i++) {
        if (len + f->iov[i].len > WIRE_LEN) {
            fail(w, "a frame of more than %d octets", WIRE_LEN);
            return;
        }
        memcpy(x->b + len, f->iov[i].base, f->iov[i].len);
        len += f->iov[i].len;
    }
    x->len = (uint8_t)len;
    x->flags = x->b[20 + 13];
    x->seq = (int32_t)(((uint32_t)x->b[24] << 24 | (uint32_t)x->b[25] << 16 |
                        (uint32_t)x->b[26] << 8 | x->b[27]) -
                       w->app[end].iss);
    x->ack = (int32_t)(((uint32_t)x->b[28] << 24 | (uint32_t)x->b[29] << 16 |
                        (uint32_t)x->b[30] << 8 | x->b[31]) -
                       w->app[!end].iss);
    x->text = (uint8_t)(len - 20 - (size_t)(x->b[32] >> 4) * 4);
    x->incarnation = (uint8_t)w->app[end].opened;
    if (end == 0)
        tell_frame(w, end, x);
}

static void pull(struct world *w)
{
    struct estab_frame f;

    for (unsigned end = 0; end < 2; end++)
        while (!w->failure[0] && estab_output(w->app[end].s, w->app[end].port, &f, 1) > 0)
            put_on_wire(w, end, &f);
}

/* After each event: what was sent, accepted and read, and sent then. */
static void settle(struct world *w)
{
    pull(w);
    for (unsigned end = 0; end < 2; end++) {
        app_accept(w, end);
        app_read(w, end);
    }
    pull(w);
}

static void deliver(struct world *w, unsigned from, unsigned index, bool keep)
{
    struct direction *d = &w->way[from];
    struct wire_frame x = d->f[index];
    struct estab_frame f = {.iov = {{x.b, x.len}}, .niov = 1};

    if (!keep) {
        d->n--;
        memmove(&d->f[index], &d->f[index + 1], (d->n - index) * sizeof d->f[0]);
        memset(&d->f[d->n], 0, sizeof d->f[0]);
    }
    if (from == 1)
        tell_frame(w, from, &x);
    estab_input(w->app[!from].s, w->app[!from].port, &f, 1);
}

static estab_time next_deadline(const struct world *w)
{
    estab_time a = estab_deadline(w->app[0].s), b = estab_deadline(w->app[1].s);

    return a < b ? a : b;
}

static void pass_time(struct world *w)
{
    estab_time at = next_deadline(w);

    if (at == ESTAB_NEVER)
        return;
    if (at > w->now)
        w->now = at;
    estab_expire(w->app[0].s);
    estab_expire(w->app[1].s);
}

/* ---- what can happen, and that it does ---- */

static void add_act(struct act *out, unsigned *n, enum act_kind kind, unsigned end, unsigned index)
{
    if (*n < ACTS_MAX)
        out[(*n)++] = (struct act){(uint8_t)kind, (uint8_t)end, (uint8_t)index};
}

unsigned world_acts(const struct world *w, struct act out[ACTS_MAX])
{
    const struct explore_bounds *b = w->bounds;
    bool quiet = w->way[0].n == 0 && w->way[1].n == 0;
    unsigned n = 0;

    for (unsigned end = 0; end < 2; end++) {
        const struct app *a = &w->app[end];

        for (unsigned i = 0; i < w->way[end].n && i < b->reorder; i++) {
            add_act(out, &n, ACT_DELIVER, end, i);
            if (w->lost < b->loss)
                add_act(out, &n, ACT_LOSE, end, i);
            if (w->doubled < b->dup)
                add_act(out, &n, ACT_DOUBLE, end, i);
        }
        if (may_send(w, end))
            add_act(out, &n, ACT_SEND, end, 0);
        if (may_shut(w, end))
            add_act(out, &n, ACT_SHUT, end, 0);
        if (a->open && b->aborts)
            add_act(out, &n, ACT_ABORT, end, 0);
        if (a->active && !a->open && a->opened < b->connections)
            add_act(out, &n, ACT_OPEN, end, 0);
    }
    if ((quiet || w->early < b->early) && next_deadline(w) != ESTAB_NEVER)
        add_act(out, &n, ACT_TIME, 0, 0);
    return n;
}

void world_do(struct world *w, struct act a)
{
    struct direction *d = &w->way[a.end];

    tell_act(w, a);
    switch ((enum act_kind)a.kind) {
    case ACT_DELIVER:
        deliver(w, a.end, a.index, false);
        break;
    case ACT_LOSE:
        w->lost++;
        d->n--;
        memmove(&d->f[a.index], &d->f[a.index + 1], (d->n - a.index) * sizeof d->f[0]);
        memset(&d->f[d->n], 0, sizeof d->f[0]);
        break;
    case ACT_DOUBLE:
        w->doubled++;
        deliver(w, a.end, a.index, true);
        break;
    case ACT_SEND:
        app_send(w, a.end);
        break;
    case ACT_SHUT:
        app_shut(w, a.end);
        break;
    case ACT_ABORT:
        tell_call(w, a.end, "setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0");
        tell_call(w, a.end, "close(3) = 0");
        estab_abort(w->app[a.end].s, w->app[a.end].conn);
        w->app[a.end].open = false;
        w->app[a.end].done = true;
        w->aborted = true;
        break;
    case ACT_TIME:
        if (w->way[0].n || w->way[1].n)
            w->early++;
        pass_time(w);
        break;
    case ACT_OPEN:
        open_active(w, a.end);
        break;
    }
    settle(w);
}

static bool all_gone(const struct world *w)
{
    for (unsigned end = 0; end < 2; end++) {
        struct estab_stack_info i = {.size = sizeof i};

        estab_stack_info(w->app[end].s, &i);
        if (i.conns || i.synq || i.timewait)
            return false;
    }
    return w->way[0].n == 0 && w->way[1].n == 0;
}

static void say_stuck(struct world *w)
{
    char text[160] = "";
    size_t at = 0;

    for (unsigned end = 0; end < 2; end++) {
        uint64_t cursor = 0;
        estab_sock k;

        while (estab_conn_next(w->app[end].s, &cursor, &k) && at < sizeof text) {
            struct estab_tcp_info i = {.size = sizeof i};

            if (estab_tcp_info(w->app[end].s, k, &i) == 0 && i.state != ESTAB_LISTEN)
                at += (size_t)snprintf(text + at, sizeof text - at, " end %u: %s;", end,
                                       estab_state_name(i.state));
        }
    }
    fail(w, "a state without an exit:%s", text);
}

void world_finish(struct world *w)
{
    for (unsigned i = 0; i < FINISH_STEPS && !w->failure[0]; i++) {
        bool moved = false;

        if (all_gone(w))
            return;
        for (unsigned end = 0; end < 2; end++) {
            struct app *a = &w->app[end];

            if (a->open && w->aborted)
                app_done(w,
                         end); /* the peer may be gone without a word: nobody waits for its FIN */
            else if (may_shut(w, end))
                app_shut(w, end);
            settle(w);
            if (w->way[end].n) {
                deliver(w, end, 0, false);
                settle(w);
                moved = true;
            }
        }
        if (!moved)
            pass_time(w);
        settle(w);
    }
    if (!w->failure[0] && !all_gone(w))
        say_stuck(w);
}

/* ---- what the future depends on ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_stack(uint64_t h, const struct world *w, unsigned end)
{
    const struct app *a = &w->app[end];
    uint64_t cursor = 0;
    estab_sock k;

    while (estab_conn_next(a->s, &cursor, &k)) {
        struct estab_tcp_info i = {.size = sizeof i};

        if (estab_tcp_info(a->s, k, &i) != 0)
            continue;
        h = mix(h, (uint64_t)i.state << 8 | i.timer);
        h = mix(h, i.timer_at == ESTAB_NEVER ? 0 : (i.timer_at - w->now) / ESTAB_MS(20));
        h = mix(h, (uint64_t)i.flight << 32 | i.unsent);
        h = mix(h, (uint64_t)i.unread << 32 | i.rto / ESTAB_MS(20));
        h = mix(h, (uint64_t)i.orphan << 1 | (k == a->conn));
        h = mix(h, (uint64_t)i.snd_wnd << 32 | i.bytes_acked << 8 | i.bytes_received);
        h = mix(h, (uint64_t)i.synq << 32 | i.acceptq);
    }
    h = mix(h, (uint64_t)a->open | (uint64_t)a->shut << 1 | (uint64_t)a->eof << 2 |
                   (uint64_t)a->done << 3);
    h = mix(h,
            (uint64_t)a->opened << 32 | (uint64_t)a->sent << 16 | (uint64_t)a->got << 8 | a->from);
    return mix(h, estab_deadline(a->s) == ESTAB_NEVER
                      ? 0
                      : (estab_deadline(a->s) - w->now) / ESTAB_MS(20) + 1);
}

uint64_t world_hash(const struct world *w)
{
    uint64_t h = mix(0, (uint64_t)w->lost << 32 | w->doubled << 16 | w->early << 1 | w->aborted);

    for (unsigned end = 0; end < 2; end++) {
        const struct direction *d = &w->way[end];

        h = hash_stack(h, w, end);
        h = mix(h, w->delivered[end]);
        for (unsigned i = 0; i < d->n; i++) {
            const struct wire_frame *x = &d->f[i];

            h = mix(h, (uint64_t)x->incarnation << 16 | (uint64_t)x->flags << 8 | x->text);
            h = mix(h, (uint64_t)(uint32_t)x->seq << 32 |
                           (x->flags & ESTAB_ACK ? (uint32_t)x->ack : 0));
        }
        h = mix(h, d->n);
    }
    return h;
}

/* ---- the beginning ---- */

static int stack_init(struct world *w, unsigned end)
{
    struct app *a = &w->app[end];
    struct estab_env env = {w,           world_now,  world_random,
                            world_alloc, world_free, end ? watch_1 : watch_0};
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = WORLD_MTU};
    struct estab_addr local = addr_of(w, end);
    struct estab_config cfg;

    estab_config_init(&cfg);
    cfg.max_conns = 8;
    cfg.max_synq = cfg.max_timewait = 8;
    cfg.sndbuf = cfg.rcvbuf = WORLD_BUF;
    cfg.timestamps = w->bounds->timestamps;
    cfg.syn_retries = cfg.synack_retries = cfg.max_retries = WORLD_RETRIES;
    if (estab_stack_new(&a->s, &env, &cfg) != 0)
        return -1;
    a->port = estab_port_add(a->s, &caps);
    if (a->port < 0 || estab_addr_add(a->s, a->port, local.ip, 120) != 0)
        return -1;
    if (a->active)
        return 0;
    if (estab_socket(a->s, ESTAB_TCP, &a->listener) != 0 ||
        estab_bind(a->s, a->listener, &local) != 0 || estab_listen(a->s, a->listener, 4) != 0)
        return -1;
    return 0;
}

int world_init(struct world *w, const struct explore_bounds *b, uint64_t (*edges)[ESTAB_TCP_STATES],
               FILE *log)
{
    memset(w, 0, offsetof(struct world, arena));
    w->bounds = b;
    w->edges = edges;
    w->log = log;
    w->now = ESTAB_S(1000);
    w->told_at = w->now;
    w->app[0].active = true;
    w->app[1].active = b->simultaneous;
    for (unsigned end = 0; end < 2; end++)
        if (stack_init(w, end) != 0)
            return -1;
    /* Both or neither: an end that has not opened yet rightly refuses. */
    for (unsigned end = 0; end < 2 && b->simultaneous; end++)
        if (!open_active(w, end))
            return -1;
    settle(w);
    return 0;
}

size_t world_size(const struct world *w)
{
    return offsetof(struct world, arena) + w->used;
}

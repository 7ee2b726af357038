/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_pair.c - two stacks, one wire, and a program that says what the users do and what becomes of
 * each frame.
 *
 * Every octet of a stream is a function of its number and of the sender's ISN, so that whoever
 * reads knows what he must get: once, in order, of this incarnation and no other.  The end of a
 * stream is where its sender ended it.  When the program is over the wire is good again: what was
 * sent arrives without further ado, and when everybody has closed nothing is left of any
 * connection. */
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NSIDES = 2, NSOCKS = 4, NSTREAMS = 512, NWIRE = 256, WORK_MAX = 60000 };

struct stream { /* what one end has handed to send */
    uint32_t iss, total;
};
struct side {
    struct estab_virtual v;
    estab_stack *s;
    estab_sock socks[NSOCKS];
    struct stream streams[NSTREAMS];
    uint32_t nstreams;
};
struct on_wire {
    uint8_t *b;
    size_t len;
    struct estab_offload off;
    estab_time due;
    uint8_t to;
};
struct world {
    struct side sides[NSIDES];
    struct on_wire wire[NWIRE];
    uint32_t nwire;
    struct rd in;
    uint64_t rng;
    bool offload, v6;
    uint32_t work;
};

static struct world w;
static struct whole_frame sent;

/* ---- the world ---- */

static void on_trace(void *ctx, const struct estab_trace *t)
{
    (void)ctx;
    must(t->kind != ESTAB_TR_STATE || estab_edge_legal(t->from, t->to));
    w.work++;
}

static void address(uint8_t a[16], int side)
{
    const uint8_t v4[4] = {10, 0, 0, (uint8_t)(1 + side)};

    memset(a, 0, 16);
    ip_map4(a, v4);
    if (!w.v6)
        return;
    memset(a, 0, 16);
    a[0] = 0xfd;
    a[15] = (uint8_t)(1 + side);
}

static void side_init(struct side *d, int which, uint8_t options, uint8_t sizes)
{
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = options & 128 ? 1280 : 1500};
    struct estab_config cfg;
    struct estab_env env;
    uint8_t a[16];

    estab_virtual_env(&env, &d->v, (uint64_t)which + 1);
    env.trace = on_trace;
    d->v.now = ESTAB_S(1000);
    estab_config_init(&cfg);
    cfg.timestamps = !(options & 1 << which);
    cfg.window_scale = !(options & 4);
    cfg.sack = !(options & 8 << which);
    cfg.max_conns = 64;
    cfg.max_synq = 8;
    cfg.max_timewait = 8;
    cfg.msl = ESTAB_S(2);
    cfg.rcvbuf = 2048u << (sizes & 7);
    cfg.sndbuf = 2048u << (sizes >> 3 & 7);
    cfg.port_lo = 50000; /* so few that they come back soon */
    cfg.port_hi = 50003;
    must(estab_stack_new(&d->s, &env, &cfg) == 0);
    if (w.offload) {
        caps.tx_csum = caps.rx_csum = true;
        caps.gso_max = 65535;
    }
    must(estab_port_add(d->s, &caps) == 0);
    address(a, which);
    must(estab_addr_add(d->s, 0, a, w.v6 ? 64 : 120) == 0);
}

static void world_init(const uint8_t *data, size_t len)
{
    uint8_t options, sizes;

    memset(&w, 0, sizeof w);
    w.in = rd_of(data, len);
    options = rd_u8(&w.in);
    sizes = rd_u8(&w.in);
    w.offload = options & 32;
    w.v6 = options & 64;
    w.rng = options;
    for (int i = 0; i < NSIDES; i++)
        side_init(&w.sides[i], i, options, i ? sizes : (uint8_t)(sizes >> 2 | sizes << 6));
}

static void clocks_to(estab_time t)
{
    for (int i = 0; i < NSIDES; i++)
        w.sides[i].v.now = t;
}
static estab_time now(void)
{
    return w.sides[0].v.now;
}

static uint32_t chance(uint32_t n) /* 0 to n - 1 */
{
    w.rng = w.rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w.rng >> 40) % n;
}

/* ---- the wire ---- */

enum fate { ARRIVES, LOST, TWICE, LATE, VERY_LATE, BENT };

static void put_on_wire(const struct estab_offload *off, int to, estab_dur delay)
{
    struct on_wire *f = &w.wire[w.nwire];

    if (w.nwire == NWIRE)
        return;
    w.nwire++;
    *f = (struct on_wire){malloc(sent.len), sent.len, *off, now() + delay, (uint8_t)to};
    memcpy(f->b, sent.b, sent.len);
}

static void send_frame(const struct estab_frame *f, int from, enum fate fate)
{
    int to = 1 - from;

    check_sent(&sent, f, &w.sides[from].s->ip.ports[0].caps);
    switch (fate) {
    case LOST:
        return;
    case TWICE:
        put_on_wire(&f->off, to, ESTAB_MS(5));
        break;
    case LATE:
        put_on_wire(&f->off, to, ESTAB_MS(10 + chance(200)));
        return;
    case VERY_LATE: /* longer than some connections */
        put_on_wire(&f->off, to, ESTAB_MS(500 + chance(6000)));
        return;
    case BENT:
        if (w.offload)
            return; /* nobody would notice */
        sent.b[chance((uint32_t)sent.len)] ^= (uint8_t)(1u << chance(8));
        break;
    case ARRIVES:
        break;
    }
    put_on_wire(&f->off, to, ESTAB_MS(1));
}

/* How bad the wire is: a fate for each frame. */
static enum fate fate_by(uint8_t badness)
{
    static const enum fate kinds[] = {LOST, TWICE, LATE, VERY_LATE, BENT, LOST, LATE, LOST};

    if (chance(32) >= (badness & 31u))
        return ARRIVES;
    return kinds[badness & 32 ? chance(8) : badness >> 6];
}

static uint32_t pull_side(int side, uint8_t badness, uint32_t most)
{
    struct estab_frame f;
    uint32_t n = 0;

    while (n < most && estab_output(w.sides[side].s, 0, &f, 1) == 1) {
        send_frame(&f, side, fate_by(badness));
        n++;
    }
    return n;
}

static estab_time wire_due(void)
{
    estab_time at = ESTAB_NEVER;

    for (uint32_t i = 0; i < w.nwire; i++)
        at = w.wire[i].due < at ? w.wire[i].due : at;
    return at;
}

/* The frame that is due first, if it is due now. */
static bool deliver_one(void)
{
    struct estab_frame f = {.niov = 1};
    struct on_wire got;
    uint32_t first = 0;

    for (uint32_t i = 1; i < w.nwire; i++)
        if (w.wire[i].due < w.wire[first].due)
            first = i;
    if (w.nwire == 0 || w.wire[first].due > now())
        return false;
    got = w.wire[first];
    memmove(&w.wire[first], &w.wire[first + 1], (w.nwire - first - 1) * sizeof got);
    w.nwire--;
    f.iov[0] = (struct estab_iov){got.b, got.len};
    f.off = got.off;
    must(estab_input(w.sides[got.to].s, 0, &f, 1) == 0);
    free(got.b);
    return true;
}

/* Time passes until `to`: frames arrive, timers run, what is ready leaves. */
static void pass(estab_time to, uint8_t badness, uint32_t events)
{
    while (events-- > 0) {
        estab_time at = ESTAB_NEVER;

        for (int i = 0; i < NSIDES; i++)
            (void)pull_side(i, badness, 64);
        for (int i = 0; i < NSIDES; i++) {
            estab_time d = estab_deadline(w.sides[i].s);

            at = d < at ? d : at;
        }
        at = wire_due() < at ? wire_due() : at;
        if (at > to)
            break;
        if (at > now())
            clocks_to(at);
        while (deliver_one())
            continue;
        for (int i = 0; i < NSIDES; i++)
            must(estab_expire(w.sides[i].s) < 500);
    }
    if (to > now())
        clocks_to(to);
}

/* ---- streams ---- */

static struct tcb *tcb_of_sock(const struct side *d, estab_sock k)
{
    return slab_find(&d->s->tcp.tcbs, (uint32_t)k, (uint32_t)(k >> 32));
}

static struct stream *stream_of(struct side *d, uint32_t iss)
{
    for (uint32_t i = d->nstreams; i-- > 0;)
        if (d->streams[i].iss == iss)
            return &d->streams[i];
    return NULL;
}

static uint32_t iss_of(const struct tcb *t)
{
    return tcp_text_una(t).n - (uint32_t)t->octets_acked - 1;
}
static uint32_t irs_of(const struct tcb *t)
{
    return t->rcv.nxt.n - t->fin_rcvd - (uint32_t)t->octets_received - 1;
}

/* A connection begins.  One that began and ended within a tick of the ISN's clock had the same. */
static void stream_begins(struct side *d, estab_sock k)
{
    const struct tcb *t = tcb_of_sock(d, k);
    struct stream *st;

    if (!t || (t->state == ESTAB_CLOSED && !t->established))
        return;
    st = stream_of(d, iss_of(t));
    if (!st) {
        must(d->nstreams < NSTREAMS);
        st = &d->streams[d->nstreams++];
    }
    *st = (struct stream){iss_of(t), 0};
}

static void user_sends(struct side *d, estab_sock k, uint32_t n, uint32_t flags)
{
    static uint8_t text[70000];
    const struct tcb *t = tcb_of_sock(d, k);
    struct estab_iov v = {text, n};
    struct stream *st;
    ptrdiff_t got;
    uint32_t iss = 0;

    if (t && (t->state == ESTAB_SYN_SENT || t->state == ESTAB_SYN_RECEIVED ||
              t->state == ESTAB_ESTABLISHED || t->state == ESTAB_CLOSE_WAIT)) {
        uint32_t room = t->sndbuf > tcp_queued(t) ? t->sndbuf - tcp_queued(t) : 0;

        iss = iss_of(t);
        fill_text(text, room < n ? room : n, iss, tcp_text_una(t).n + tcp_queued(t));
    }
    got = estab_send(d->s, k, &v, 1, flags);
    must(got <= (ptrdiff_t)n);
    if (got <= 0)
        return;
    must(iss);
    st = stream_of(d, iss);
    must(st);
    st->total += (uint32_t)got;
}

/* What arrives is what was sent; the end is where it was ended. */
static ptrdiff_t user_reads(int side, estab_sock k, uint32_t n, uint32_t flags)
{
    static uint8_t text[70000];
    struct side *d = &w.sides[side];
    const struct tcb *t = tcb_of_sock(d, k);
    bool reads = t && t->state != ESTAB_LISTEN && !t->rd_shut && (t->established || t->embryo);
    struct estab_iov v = {text, n};
    uint32_t irs = 0, seq = 0;
    struct stream *st;
    ptrdiff_t got;

    if (reads) {
        irs = irs_of(t);
        seq = t->rcv.nxt.n - t->fin_rcvd - tcp_unread(t);
    }
    got = estab_recv(d->s, k, &v, 1, flags);
    must(got <= (ptrdiff_t)n);
    must(got <= 0 || is_text(text, (uint32_t)got, irs, seq));
    if (!reads || got < 0)
        return got;
    st = stream_of(&w.sides[1 - side], irs);
    must(got == 0 || (st && seq + (uint32_t)got - irs - 1 <= st->total));
    if (got == 0 && n > 0 && t->fin_rcvd)
        must(seq - irs - 1 == (st ? st->total : 0));
    return got;
}

/* ---- steps ---- */

static int side_now;

static struct side *side_of_step(void)
{
    return &w.sides[side_now];
}
static estab_sock *sock_of_step(void)
{
    return &side_of_step()->socks[rd_u8(&w.in) % NSOCKS];
}

static void step_serve(void)
{
    struct side *d = side_of_step();
    estab_sock *k = sock_of_step();
    struct estab_addr a = {.port = 80};

    (void)estab_close(d->s, *k);
    *k = 0;
    if (estab_socket(d->s, ESTAB_TCP, k) == 0 && estab_bind(d->s, *k, &a) == 0)
        (void)estab_listen(d->s, *k, 4);
}

static void step_accept(void)
{
    struct side *d = side_of_step();
    estab_sock *k = sock_of_step(), *to = sock_of_step(), got;

    if (estab_accept(d->s, *k, &got, NULL) != 0)
        return;
    (void)estab_close(d->s, *to);
    *to = got;
    stream_begins(d, got);
}

/* From a port of its own, or from one that a connection of a moment ago may have had; to the
 * listener, or to where the other one calls from. */
static void step_connect(void)
{
    struct side *d = side_of_step();
    estab_sock *k = sock_of_step();
    uint8_t how = rd_u8(&w.in);
    struct estab_addr from = {.port = (uint16_t)(700 + side_now)}, to = {.port = 80};

    (void)estab_close(d->s, *k);
    *k = 0;
    if (estab_socket(d->s, ESTAB_TCP, k) != 0)
        return;
    address(to.ip, 1 - side_now);
    if (how & 1)
        (void)estab_bind(d->s, *k, &from);
    if (how & 2)
        to.port = (uint16_t)(701 - side_now);
    if (estab_connect(d->s, *k, &to) == ESTAB_E_INPROGRESS)
        stream_begins(d, *k);
}

static void step_send(void)
{
    estab_sock k = *sock_of_step();
    uint8_t how = rd_u8(&w.in);
    uint32_t n = rd_u8(&w.in);

    n = n < 128 ? n : (n - 127) * 150;
    user_sends(side_of_step(), k, n, how & (ESTAB_MSG_MORE | ESTAB_MSG_OOB));
}

static void step_recv(void)
{
    estab_sock k = *sock_of_step();
    uint8_t how = rd_u8(&w.in), n = rd_u8(&w.in);

    (void)user_reads(side_now, k, how & 4 ? n * 260u : n, how & ESTAB_MSG_PEEK);
}

static void step_shutdown(void)
{
    estab_sock k = *sock_of_step();

    (void)estab_shutdown(side_of_step()->s, k, (enum estab_how)(1 + rd_u8(&w.in) % 3));
}
static void step_close(void)
{
    (void)estab_close(side_of_step()->s, *sock_of_step());
}
static void step_abort(void)
{
    (void)estab_abort(side_of_step()->s, *sock_of_step());
}

static void step_setopt(void)
{
    estab_sock k = *sock_of_step();
    uint8_t opt = rd_u8(&w.in) % (ESTAB_O_QUICKACK + 1);
    uint64_t val = rd_u8(&w.in);

    if (opt == ESTAB_O_SNDBUF || opt == ESTAB_O_RCVBUF)
        val = 2048 + val * 256;
    else if (opt == ESTAB_O_KEEPIDLE || opt == ESTAB_O_KEEPINTVL)
        val = ESTAB_S(val);
    (void)estab_setopt(side_of_step()->s, k, (enum estab_opt)opt, val);
}

static void step_no_memory(void)
{
    struct side *d = side_of_step();

    d->v.allocs = 0;
    d->v.fail_at = rd_u8(&w.in) % 8;
}

/* One frame, whose fate the program names. */
static void step_frame(void)
{
    struct estab_frame f;

    if (estab_output(side_of_step()->s, 0, &f, 1) == 1)
        send_frame(&f, side_now, (enum fate)(rd_u8(&w.in) % (BENT + 1)));
}

static void step_pull(void)
{
    uint8_t badness = rd_u8(&w.in);

    (void)pull_side(side_now, badness, 1 + rd_u8(&w.in) % 64u);
}

static void step_pass(void)
{
    static const estab_dur unit[4] = {ESTAB_MS(1), ESTAB_MS(50), ESTAB_S(1), ESTAB_S(30)};
    uint8_t how = rd_u8(&w.in), badness = rd_u8(&w.in);

    pass(now() + unit[how & 3] * (1 + (how >> 2)), badness, 300);
}

/* The clock jumps; timers find out late. */
static void step_jump(void)
{
    clocks_to(now() + ESTAB_MS(1) * rd_u16(&w.in));
}

static void (*const steps[])(void) = {
    step_pass,  step_pass,     step_connect, step_serve,     step_accept, step_send,
    step_send,  step_recv,     step_recv,    step_close,     step_pull,   step_frame,
    step_abort, step_shutdown, step_setopt,  step_no_memory, step_jump,
};

/* ---- the end ---- */

static void read_everything(int side)
{
    struct side *d = &w.sides[side];
    uint64_t cursor = 0;
    estab_sock k, got;

    while (estab_conn_next(d->s, &cursor, &k)) {
        while (estab_accept(d->s, k, &got, NULL) == 0)
            stream_begins(d, got);
        while (user_reads(side, k, 60000, 0) > 0)
            continue;
    }
}

/* Nothing in flight, nothing unsent, no opening under way. */
static bool is_quiet(const struct side *d)
{
    const struct tcp_layer *l = &d->s->tcp;

    for (uint32_t i = slab_next(&l->tcbs, 0); i != SLAB_NONE; i = slab_next(&l->tcbs, i + 1)) {
        const struct tcb *t = tcb_at(l, i);

        if (t->state == ESTAB_LISTEN || t->state == ESTAB_CLOSED)
            continue;
        if (!seq_eq(t->snd.una, t->snd.nxt) || tcp_unsent(t) || (t->fin_queued && !t->fin_sent))
            return false;
    }
    return l->synqs.used == 0 && w.nwire == 0;
}

static void close_everything(struct side *d)
{
    uint64_t cursor = 0;
    estab_sock k;

    while (estab_conn_next(d->s, &cursor, &k))
        (void)estab_close(d->s, k);
}

static void nothing_is_left(const struct side *d)
{
    struct estab_stack_info info = {.size = sizeof info};

    estab_stack_info(d->s, &info);
    must(info.conns == 0 && info.listeners == 0 && info.synq == 0 && info.timewait == 0);
}

static void settle(void)
{
    bool quiet = false;

    for (int i = 0; i < NSIDES; i++)
        w.sides[i].v.fail_at = 0;
    for (int n = 0; n < 1000 && !quiet; n++) {
        pass(now() + (n < 900 ? ESTAB_MS(300) : ESTAB_S(60)), 0, 400);
        quiet = true;
        for (int i = 0; i < NSIDES; i++) {
            read_everything(i);
            quiet &= is_quiet(&w.sides[i]);
        }
    }
    must(quiet);
    for (int i = 0; i < NSIDES; i++)
        close_everything(&w.sides[i]);
    for (int n = 0; n < 20; n++)
        pass(now() + ESTAB_S(120), 0, 400);
    for (int i = 0; i < NSIDES; i++)
        nothing_is_left(&w.sides[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    world_init(data, len);
    for (uint32_t n = 0; rd_left(&w.in) > 0 && n < 200; n++) {
        uint8_t op = rd_u8(&w.in);

        side_now = op & 1;
        w.work = 0;
        steps[op / 2 % (sizeof steps / sizeof *steps)]();
        must(w.work < WORK_MAX);
        for (int i = 0; i < NSIDES; i++)
            check_stack(w.sides[i].s);
    }
    settle();
    while (w.nwire > 0)
        free(w.wire[--w.nwire].b);
    for (int i = 0; i < NSIDES; i++) {
        estab_stack_free(w.sides[i].s);
        must(w.sides[i].v.live == 0);
    }
    return 0;
}

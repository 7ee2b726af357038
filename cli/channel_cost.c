/* SPDX-License-Identifier: BSD-2-Clause */
/* channel_cost.c - `estab channel cost`: the same load over every way of using connections. */
#include "channel.h"
#include "channel_world.h"
#include "command.h"
#include "node.h"
#include "option.h"
#include "say.h"

#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum kind { ONE_CHANNEL, TWO_SIMPLEX, POOLED };
struct way {
    const char *name;
    enum kind kind;
    bool alone;      /* one request at a time */
    bool turns;      /* half-duplex: a batch, and the turn */
    bool short_ones; /* connections that serve once */
};
static const struct way ways[] = {
    {"long, synchronous", ONE_CHANNEL, .alone = true},
    {"long, half-duplex", ONE_CHANNEL, .turns = true},
    {"long, asynchronous", ONE_CHANNEL, .alone = false},
    {"long, simplex pair", TWO_SIMPLEX, .alone = false},
    {"pool, synchronous", POOLED, .alone = true},
    {"pool, asynchronous", POOLED, .alone = false},
    {"short, synchronous", POOLED, .alone = true, .short_ones = true},
    {"short, asynchronous", POOLED, .alone = false, .short_ones = true},
};
enum { NWAYS = sizeof ways / sizeof ways[0] };

struct load {
    uint32_t requests, size, concurrency, seed;
    struct estab_fault fault;
    bool json;
};
struct served {
    struct served *next;
    estab_channel *c;
};
struct run {
    const struct load *load;
    const struct way *way;
    struct channel_world w;
    estab_channel *out, *in; /* in: the other of two simplex ones, at the client */
    estab_channel *back;     /* and at the server, where what came on `out`'s is answered */
    estab_pool *pool;
    struct served *served;
    uint8_t *text;
    estab_time *asked_at;
    estab_dur *took;
    uint64_t first_number;
    uint32_t asked, over, failed, under_way;
    bool turn;
    int error;
    uint64_t connections;
    estab_time last_at;
};
struct cost {
    uint64_t connections, segments, octets;
    estab_dur time, p50, p99;
    size_t memory;
    uint32_t timewait[2], failed;
    int error;
};

/* ---- the client ---- */

static void request_over(struct run *r, uint64_t i, int error)
{
    r->over++;
    r->under_way--;
    r->last_at = r->w.now;
    r->took[i] = r->w.now - r->asked_at[i];
    if (error) {
        r->failed++;
        r->error = error;
    }
}

static int ask_one(struct run *r, unsigned flags)
{
    struct estab_iov text = {r->text, r->load->size};
    uint64_t number = 0, i = r->asked;
    int err;

    if (r->way->kind == TWO_SIMPLEX)
        memcpy(r->text, &i, sizeof i);
    if (r->way->kind == POOLED)
        err = estab_pool_ask(r->pool, &text, 1, ESTAB_NEVER, 0, &number);
    else if (r->way->kind == TWO_SIMPLEX)
        err = estab_channel_send(r->out, &text, 1, 0);
    else
        err = estab_channel_ask(r->out, &text, 1, ESTAB_NEVER, flags, &number);
    if (err == ESTAB_E_AGAIN)
        return err;
    if (r->asked == 0)
        r->first_number = number;
    r->asked_at[r->asked++] = r->w.now;
    r->under_way++;
    if (err)
        request_over(r, i, err);
    return err;
}

static void ask_more(struct run *r)
{
    uint32_t most = r->way->alone ? 1 : r->load->concurrency;

    if (r->way->turns && (!r->turn || r->under_way))
        return;
    while (r->asked < r->load->requests && r->under_way < most) {
        bool last = r->under_way + 1 == most || r->asked + 1 == r->load->requests;

        if (ask_one(r, r->way->turns && last ? ESTAB_CH_PASS : 0) == ESTAB_E_AGAIN)
            return;
        if (r->way->turns && last)
            r->turn = false;
    }
}

static void client_event(struct run *r, const struct estab_channel_event *e)
{
    uint64_t i;

    switch (e->kind) {
    case ESTAB_CH_REPLY:
    case ESTAB_CH_FAILED:
        request_over(r, e->number - r->first_number, e->kind == ESTAB_CH_FAILED ? e->error : 0);
        break;
    case ESTAB_CH_MESSAGE:
        memcpy(&i, e->text, sizeof i);
        request_over(r, i, 0);
        break;
    case ESTAB_CH_UP:
    case ESTAB_CH_TURN:
        r->turn = true;
        break;
    case ESTAB_CH_DOWN:
    case ESTAB_CH_REQUEST:
    case ESTAB_CH_ROOM:
        break;
    }
}

static void run_client(struct run *r, estab_channel *c)
{
    struct estab_channel_event e;

    if (!c)
        return;
    estab_channel_run(c);
    while (estab_channel_next(c, &e))
        client_event(r, &e);
}

static void act_client(struct run *r)
{
    struct estab_channel_event e;

    if (r->pool) {
        estab_pool_run(r->pool);
        while (estab_pool_next(r->pool, &e))
            client_event(r, &e);
        ask_more(r);
        estab_pool_run(r->pool);
        return;
    }
    run_client(r, r->out);
    run_client(r, r->in);
    ask_more(r);
    estab_channel_run(r->out);
}

/* ---- the server ---- */

static struct estab_channel_config side_config(const struct run *r, int side)
{
    struct estab_channel_config c;

    estab_channel_config_init(&c);
    c.in_flight = r->load->concurrency;
    c.max_message = r->load->size;
    c.heartbeat = 0; /* the load keeps it busy */
    if (r->way->turns)
        c.duplex = ESTAB_DUPLEX_HALF;
    if (r->way->kind == TWO_SIMPLEX)
        c.duplex = side ? ESTAB_SIMPLEX_IN : ESTAB_SIMPLEX_OUT;
    return c;
}

static void accept_more(struct run *r)
{
    struct channel_side *side = &r->w.side[1];
    struct estab_channel_config c = side_config(r, 1);
    estab_sock k;

    while (estab_accept(side->s, r->w.listener, &k, NULL) == 0) {
        struct served *v = calloc(1, sizeof *v);

        r->connections++;
        if (r->way->kind == TWO_SIMPLEX && r->connections == 2) /* the way back */
            c.duplex = ESTAB_SIMPLEX_OUT;
        if (!v || estab_channel_accept(&v->c, &side->app_env, &c, &side->t, k) != 0) {
            (void)estab_abort(side->s, k);
            free(v);
            continue;
        }
        if (c.duplex == ESTAB_SIMPLEX_OUT)
            r->back = v->c;
        v->next = r->served;
        r->served = v;
    }
}

static void serve_event(struct run *r, estab_channel *c, const struct estab_channel_event *e)
{
    struct estab_iov text = {(void *)(uintptr_t)e->text, e->len};

    if (e->kind == ESTAB_CH_REQUEST)
        (void)estab_channel_reply(c, e->number, &text, 1, 0);
    else if (e->kind == ESTAB_CH_MESSAGE && r->back)
        (void)estab_channel_send(r->back, &text, 1, 0);
    else if (e->kind == ESTAB_CH_TURN)
        (void)estab_channel_pass(c);
}

static bool serve(struct run *r, estab_channel *c)
{
    struct estab_channel_info info = {.size = sizeof info};
    struct estab_channel_event e;

    estab_channel_run(c);
    while (estab_channel_next(c, &e))
        serve_event(r, c, &e);
    estab_channel_run(c);
    estab_channel_info(c, &info);
    return info.state != ESTAB_CHANNEL_OVER;
}

static void act_server(struct run *r)
{
    struct served **at = &r->served, *v;

    accept_more(r);
    while ((v = *at)) {
        if (serve(r, v->c)) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        r->back = r->back == v->c ? NULL : r->back;
        estab_channel_free(v->c);
        free(v);
    }
    if (r->back)
        estab_channel_run(r->back);
}

/* ---- a way ---- */

static void act(struct channel_world *w)
{
    struct estab_event e[64];

    for (int i = 0; i < 2; i++)
        while (estab_events(w->side[i].s, e, 64))
            ;
    act_client(w->ctx);
    act_server(w->ctx);
}

static estab_time wake(struct channel_world *w)
{
    struct run *r = w->ctx;
    estab_time next = r->pool ? estab_pool_deadline(r->pool) : estab_channel_deadline(r->out), at;

    if (r->in && (at = estab_channel_deadline(r->in)) < next)
        next = at;
    for (struct served *v = r->served; v; v = v->next)
        if ((at = estab_channel_deadline(v->c)) < next)
            next = at;
    return next;
}

static bool is_done(struct channel_world *w)
{
    const struct run *r = w->ctx;

    return r->over == r->load->requests;
}

static int open_client(struct run *r)
{
    struct channel_side *side = &r->w.side[0];
    struct estab_channel_config c = side_config(r, 0);
    struct estab_pool_config p;
    struct estab_addr to = r->w.side[1].addr;
    int err;

    to.port = 7;
    if (r->way->kind == POOLED) {
        estab_pool_config_init(&p);
        p.channel = &c;
        p.max = p.idle_max = r->way->alone ? 1 : r->load->concurrency;
        p.uses_max = r->way->short_ones ? 1 : 0;
        return estab_pool_new(&r->pool, &side->app_env, &p, &side->t, &to);
    }
    err = estab_channel_connect(&r->out, &side->app_env, &c, &side->t, &to);
    if (err || r->way->kind != TWO_SIMPLEX)
        return err;
    estab_channel_run(r->out); /* its SYN is the first */
    c.duplex = ESTAB_SIMPLEX_IN;
    return estab_channel_connect(&r->in, &side->app_env, &c, &side->t, &to);
}

static int by_span(const void *a, const void *b)
{
    estab_dur x = *(const estab_dur *)a, y = *(const estab_dur *)b;

    return x < y ? -1 : x > y;
}

/* The connections end too: their segments and what they leave behind belong to the cost. */
static void count(struct run *r, struct cost *cost, estab_time began)
{
    uint32_t n = r->load->requests;

    qsort(r->took, n, sizeof *r->took, by_span);
    *cost = (struct cost){.connections = r->connections,
                          .segments = r->w.side[0].segments + r->w.side[1].segments,
                          .octets = channel_world_octets(&r->w),
                          .time = r->last_at - began,
                          .p50 = r->took[(n - 1) / 2],
                          .p99 = r->took[(uint32_t)((uint64_t)(n - 1) * 99 / 100)],
                          .memory = r->w.memory_most,
                          .timewait = {r->w.side[0].timewait_most, r->w.side[1].timewait_most},
                          .failed = r->failed,
                          .error = r->error};
}

static bool all_closed(struct channel_world *w)
{
    for (int i = 0; i < 2; i++) {
        struct estab_stack_info info = {.size = sizeof info};

        estab_stack_info(w->side[i].s, &info);
        if (info.conns)
            return false;
    }
    return true;
}

static void close_client(struct run *r)
{
    if (r->out)
        estab_channel_close(r->out);
    if (r->in)
        estab_channel_close(r->in);
    if (r->pool)
        estab_pool_close(r->pool);
    r->w.done = all_closed;
    (void)channel_world_run(&r->w);
}

static void end_run(struct run *r)
{
    struct served *v;

    estab_channel_free(r->out);
    estab_channel_free(r->in);
    estab_pool_free(r->pool);
    while ((v = r->served)) {
        r->served = v->next;
        estab_channel_free(v->c);
        free(v);
    }
    channel_world_close(&r->w);
}

static int measure_way(const struct load *load, const struct way *way, struct cost *cost)
{
    static struct run r; /* large */
    char err[ESTAB_ERRLEN];
    estab_time began;
    int rc = -1;

    r = (struct run){.load = load, .way = way};
    r.text = calloc(1, load->size);
    r.asked_at = calloc(load->requests, sizeof *r.asked_at);
    r.took = calloc(load->requests, sizeof *r.took);
    if (!r.text || !r.asked_at || !r.took)
        say_error("channel", "out of memory");
    else if (channel_world_open(&r.w, &load->fault, load->seed, err) != 0)
        say_error("channel", "%s", err);
    else
        rc = 0;
    if (rc == 0) {
        r.w.act = act;
        r.w.wake = wake;
        r.w.done = is_done;
        r.w.ctx = &r;
        began = r.w.now;
        rc = open_client(&r);
        if (rc == 0)
            rc = channel_world_run(&r.w);
        if (rc == 0) {
            close_client(&r);
            count(&r, cost, began);
        }
        end_run(&r);
    }
    free(r.text);
    free(r.asked_at);
    free(r.took);
    return rc;
}

/* ---- the table ---- */

static void show_head(const struct load *l)
{
    char a[SAY_LEN], b[SAY_LEN], c[SAY_LEN];

    printf("%s requests of %s with replies of the same size, %u at a time, RTT %s, loss %.3g%%\n\n",
           say_count(l->requests, a), say_octets(l->size, b), l->concurrency,
           say_span(2 * l->fault.delay, c), l->fault.loss * 100);
    printf("%-20s %11s %9s %10s %10s %9s %9s %10s %17s\n", "", "connections", "segments", "on wire",
           "time", "median", "99 %", "memory", "TIME-WAIT");
}

static void show(const struct way *way, const struct cost *c)
{
    char a[SAY_LEN], b[SAY_LEN], d[SAY_LEN], e[SAY_LEN], f[SAY_LEN], g[SAY_LEN], h[SAY_LEN];
    char tw[2 * SAY_LEN], tw0[SAY_LEN], tw1[SAY_LEN];

    snprintf(tw, sizeof tw, "%s / %s", say_count(c->timewait[0], tw0),
             say_count(c->timewait[1], tw1));
    printf("%-20s %11s %9s %10s %10s %9s %9s %10s %17s", way->name, say_count(c->connections, a),
           say_count(c->segments, b), say_octets(c->octets, d), say_span(c->time, e),
           say_span(c->p50, f), say_span(c->p99, g), say_octets(c->memory, h), tw);
    if (c->failed)
        printf("  %u failed: %s", c->failed, estab_channel_strerror(c->error));
    putchar('\n');
}

static int show_json(const struct way *way, const struct cost *c)
{
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:i, s:i, s:i}", "way", way->name, "connections",
        (json_int_t)c->connections, "segments", (json_int_t)c->segments, "octets",
        (json_int_t)c->octets, "time_s", (double)c->time / 1e9, "median_s", (double)c->p50 / 1e9,
        "p99_s", (double)c->p99 / 1e9, "memory", (json_int_t)c->memory, "timewait_client",
        (int)c->timewait[0], "timewait_server", (int)c->timewait[1], "failed", (int)c->failed);
    int rc = o ? json_dumpf(o, stdout, JSON_COMPACT) : -1;

    putchar('\n');
    json_decref(o);
    return rc;
}

static int show_all(const struct load *l)
{
    struct cost c = {0};

    if (!l->json)
        show_head(l);
    for (const struct way *way = ways; way < ways + NWAYS; way++) {
        if (measure_way(l, way, &c) != 0) {
            say_error("channel", "%s: the run came to no end", way->name);
            return EXIT_FAILURE;
        }
        if (l->json ? show_json(way, &c) != 0 : (show(way, &c), false))
            return EXIT_FAILURE;
    }
    if (!l->json)
        puts("\nmemory: the most that stacks and channels of both sides took; TIME-WAIT: client / "
             "server");
    return EXIT_SUCCESS;
}

/* ---- the command line ---- */

enum { OPT_REQUESTS = 256, OPT_SIZE, OPT_CONCURRENCY, OPT_RTT, OPT_LINK, OPT_SEED, OPT_JSON };
static const struct option longopts[] = {{"requests", required_argument, NULL, OPT_REQUESTS},
                                         {"size", required_argument, NULL, OPT_SIZE},
                                         {"concurrency", required_argument, NULL, OPT_CONCURRENCY},
                                         {"rtt", required_argument, NULL, OPT_RTT},
                                         {"link", required_argument, NULL, OPT_LINK},
                                         {"seed", required_argument, NULL, OPT_SEED},
                                         {"json", no_argument, NULL, OPT_JSON},
                                         {0}};

static int parse_number(uint32_t *out, uint32_t least, uint32_t most, const char *text)
{
    uint64_t v;

    if (!option_number(&v, text, least, most))
        return say_usage("channel", "'%s' is not a number from %u to %u", text, least, most);
    *out = (uint32_t)v;
    return 0;
}

static int parse_option(struct load *l, int c, estab_dur *rtt, char *argv[])
{
    char err[ESTAB_ERRLEN];

    switch (c) {
    case OPT_REQUESTS:
        return parse_number(&l->requests, 1, 10000000, optarg);
    case OPT_SIZE:
        return parse_number(&l->size, 8, 1 << 24, optarg);
    case OPT_CONCURRENCY:
        return parse_number(&l->concurrency, 1, 4096, optarg);
    case OPT_RTT:
        if (node_parse_seconds(rtt, optarg) == 0)
            return 0;
        return say_usage("channel", "'%s' is not a number of seconds", optarg);
    case OPT_LINK:
        if (estab_fault_parse(&l->fault, optarg, err) == 0)
            return 0;
        return say_usage("channel", "%s", err);
    case OPT_SEED:
        return parse_number(&l->seed, 0, UINT32_MAX, optarg);
    case OPT_JSON:
        l->json = true;
        return 0;
    default:
        return option_wrong("channel", c, argv);
    }
}

int channel_cost(int argc, char *argv[])
{
    struct load l = {.requests = 1000, .size = 100, .concurrency = 16, .seed = 1};
    estab_dur rtt = ESTAB_MS(20);
    int c, rc;

    optind = 0;
    while ((c = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        rc = parse_option(&l, c, &rtt, argv);
        if (rc)
            return rc;
    }
    if (optind < argc)
        return say_usage("channel", "what is '%s'?", argv[optind]);
    if (l.fault.delay == 0)
        l.fault.delay = rtt / 2;
    return show_all(&l);
}

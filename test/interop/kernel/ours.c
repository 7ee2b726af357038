/* SPDX-License-Identifier: BSD-2-Clause */
/* ours.c - our side. */
#include "ours.h"

#include "theirs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RECORDED = 160, /* octets of a frame: every header, and what a short connection says */
    PATIENCE = 60,  /* seconds for a scenario */
};

static struct our_side the_side;

/* ---- the watchdog ---- */

static volatile sig_atomic_t barked;

/* The loop's wait ends with the signal and ours_turn() tells the rest; a loop that does not come
 * back is ended by the second. */
static void bark(int sig)
{
    static const char stuck[] = "watchdog: the stack does not return\n";

    (void)sig;
    if (barked && write(STDERR_FILENO, stuck, sizeof stuck - 1) > 0)
        _exit(1);
    barked = 1;
    alarm(5);
}

static void set_watchdog(void)
{
    struct sigaction a = {.sa_handler = bark};

    barked = 0;
    sigaction(SIGALRM, &a, NULL);
    alarm(PATIENCE);
}

static void show_connection(const struct estab_tcp_info *i)
{
    char local[56], peer[56];

    print_error("  %s %s - %s%s: timer %s, flight %u, unsent %u, unread %u, snd_wnd %u, rcv_wnd "
                "%u,\n",
                estab_state_name(i->state), estab_addr_format(&i->local, true, local),
                estab_addr_format(&i->peer, true, peer), i->orphan ? " (no handle)" : "",
                estab_timer_name(i->timer), i->flight, i->unsent, i->unread, i->snd_wnd,
                i->rcv_wnd);
    print_error("    cwnd %u, ssthresh %u, mss %u, srtt %u us, rto %u us, retrans %u, rto_fired "
                "%u, dup_acks %u, acked %llu, received %llu\n",
                i->cwnd, i->ssthresh, i->snd_mss, (unsigned)(i->srtt / ESTAB_US(1)),
                (unsigned)(i->rto / ESTAB_US(1)), (unsigned)i->retrans, (unsigned)i->rto_fired,
                (unsigned)i->dup_acks, (unsigned long long)i->bytes_acked,
                (unsigned long long)i->bytes_received);
}

static void show(const struct our_side *s)
{
    struct estab_tcp_info i = {.size = sizeof i};
    uint64_t cursor = 0;
    estab_sock k;

    print_error("watchdog: %s: waiting for %s; of %u ends %u begun, %u over\n", s->scenario,
                s->waiting_for, s->n, s->begun, s->over);
    while (estab_conn_next(s->stack, &cursor, &k))
        if (estab_tcp_info(s->stack, k, &i) == 0)
            show_connection(&i);
    fflush(stderr);
    if (system("ss -tanoi 2>/dev/null | sed 's/^/  kernel: /' >&2"))
        return;
}

/* ---- opening and closing ---- */

void run(const char *fmt, ...)
{
    char command[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

struct estab_config patient_config(void)
{
    struct estab_config c;

    estab_config_init(&c);
    c.msl = ESTAB_MS(10);
    c.rto_init = c.rto_min = ESTAB_S(3);
    return c;
}

struct estab_config hasty_config(void)
{
    struct estab_config c;

    estab_config_init(&c);
    c.msl = ESTAB_MS(50);
    c.sndbuf = c.rcvbuf =
        512u << 10; /* less than is sent: some of it is left when the path is cut */
    c.rto_init = c.rto_min = ESTAB_MS(50);
    c.rto_max = ESTAB_MS(100);
    c.max_retries = c.syn_retries = c.synack_retries = 3;
    return c;
}

static void *counted_alloc(void *ctx, size_t size, size_t align)
{
    struct our_side *s = ctx;
    void *p = aligned_alloc(align < 16 ? 16 : align, (size + 63) / 64 * 64);

    if (p)
        s->live += size;
    return p;
}

static void counted_free(void *ctx, void *p, size_t size, size_t align)
{
    struct our_side *s = ctx;

    (void)align;
    if (p)
        s->live -= size;
    free(p);
}

static void observe(void *ctx, const struct estab_trace *t)
{
    struct our_side *s = ctx;

    if (t->kind == ESTAB_TR_STATE)
        s->edges[t->from][t->to]++;
    else if (t->kind == ESTAB_TR_TIMER)
        s->timers[t->timer]++;
    estab_pcap_trace(s->pcap, t);
}

static unsigned host_bits(const struct our_side *s)
{
    return s->at->v6 ? 128 : 32;
}

void ours_route(const struct our_side *s, const char *type, const char *how)
{
    run("ip route replace %s %s/%u metric 10 %s", type, s->at->our_ip, host_bits(s), how);
}

/* The kernel's half of the link: a queue that holds a whole window of small segments, and an RTO
 * as patient as ours.  An IPv6 address can be sent from a moment before it can be sent to. */
static void set_up_device(const struct our_side *s, estab_dur rto_min)
{
    const struct place *at = s->at;
    char how[64];

    run("ip addr add %s/%s dev %s%s && ip link set %s txqueuelen 20000 up", at->their_ip,
        at->prefix, at->device, at->v6 ? " nodad" : "", at->device);
    snprintf(how, sizeof how, "dev %s rto_min %ums", at->device, (unsigned)(rto_min / ESTAB_MS(1)));
    ours_route(s, "unicast", how);
    run("until ip route get %s | grep -q ^local; do sleep 0.01; done", at->their_ip);
}

struct estab_addr our_addr(const char *host, uint16_t port)
{
    struct estab_addr a;

    assert_int_equal(estab_addr_parse(&a, host, NULL), 0);
    a.port = port;
    return a;
}

static void open_stack(struct our_side *s, const struct estab_config *cfg)
{
    struct estab_env env;

    estab_host_env(&env);
    env.ctx = s;
    env.alloc = counted_alloc;
    env.free = counted_free;
    env.trace = observe;
    assert_int_equal(estab_stack_new(&s->stack, &env, cfg), 0);
}

static void open_link(struct our_side *s)
{
    const struct place *at = s->at;
    char err[ESTAB_ERRLEN], text[64];
    uint8_t prefix, ip[16];
    estab_link *l = NULL;
    int port;

    snprintf(s->recording, sizeof s->recording, "%s/kernel_%s_%u_%s_%s.pcapng", at->recordings,
             at->medium == ESTAB_MEDIUM_IP ? "tun" : "tap", at->mtu, at->v6 ? "v6" : "v4",
             s->scenario);
    if (estab_loop_new(&s->loop, s->stack, err) ||
        estab_pcap_open(&s->pcap, s->recording, 0, err) ||
        estab_link_tuntap(&l, at->medium, at->device, at->mtu, err))
        fail_msg("%s", err);
    estab_pcap_snap(s->pcap, RECORDED);
    s->gate = gate_over(l);
    assert_non_null(s->gate);
    if (estab_link_pcap(&l, &s->gate->link, s->pcap, NULL, NULL, err))
        fail_msg("%s", err);
    port = estab_loop_attach(s->loop, l, err);
    if (port < 0)
        fail_msg("%s", err);
    snprintf(text, sizeof text, "%s/%s", at->our_ip, at->prefix);
    assert_int_equal(estab_prefix_parse(ip, &prefix, text), 0);
    assert_int_equal(estab_addr_add(s->stack, port, ip, prefix), 0);
}

struct our_side *ours_open(const char *scenario, const struct place *at,
                           const struct estab_config *cfg)
{
    struct our_side *s = &the_side;

    memset(s, 0, sizeof *s);
    s->at = at;
    s->scenario = scenario;
    s->waiting_for = "the device";
    set_watchdog();
    open_stack(s, cfg);
    open_link(s);
    set_up_device(s, cfg->rto_min);
    s->their_retrans = their_counter("snmp", "Tcp:", "RetransSegs");
    s->their_in_errs = their_counter("snmp", "Tcp:", "InErrs");
    return s;
}

bool ours_close(void)
{
    struct our_side *s = &the_side;

    alarm(0);
    estab_loop_free(s->loop);
    estab_stack_free(s->stack);
    estab_pcap_close(s->pcap);
    if (s->passed && !getenv("KEEP_RECORDINGS"))
        unlink(s->recording);
    else if (s->pcap)
        print_error("%s: recorded in %s\n", s->scenario, s->recording);
    s->loop = NULL;
    s->stack = NULL;
    s->pcap = NULL;
    if (s->live != 0)
        fail_msg("%zu octets of the stack's are left", s->live);
    return s->passed;
}

/* ---- ends that follow a plan ---- */

static ptrdiff_t result_of(struct our_end *e, ptrdiff_t n)
{
    if (n == ESTAB_E_AGAIN)
        return END_AGAIN;
    if (n >= 0)
        return n;
    e->side->error = (int)n;
    return END_FAILED;
}

static ptrdiff_t our_send(void *ctx, const void *from, size_t len)
{
    struct our_end *e = ctx;
    const struct plan *p = &e->end.plan;
    struct estab_iov v = {(void *)(uintptr_t)from, len};
    bool more = p->more && e->end.sent % p->turn_out < p->head;
    ptrdiff_t n;

    n = result_of(e, estab_send(e->side->stack, e->sock, &v, 1, more ? ESTAB_MSG_MORE : 0));
    if (p->head) /* what is said in two calls is not said in one turn */
        estab_loop_flush(e->side->loop);
    return n;
}

static ptrdiff_t our_recv(void *ctx, void *into, size_t len)
{
    struct our_end *e = ctx;
    struct estab_iov v = {into, len};

    return result_of(e, estab_recv(e->side->stack, e->sock, &v, 1, 0));
}

static bool our_fin(void *ctx)
{
    struct our_end *e = ctx;

    e->side->error = estab_shutdown(e->side->stack, e->sock, ESTAB_SHUT_WR);
    return e->side->error == 0;
}

static const struct end_io our_io = {our_send, our_recv, our_fin};

static void run_end(struct our_end *e)
{
    struct our_side *s = e->side;

    if (!end_run(&e->end, &our_io, e))
        fail_msg("our end %u of %u, after sending %zu and receiving %zu: %s", s->over, s->n,
                 e->end.sent, e->end.got,
                 s->error ? estab_strerror(s->error) : "more came than was sent");
    if (!end_is_over(&e->end))
        return;
    s->info = (struct estab_tcp_info){.size = sizeof s->info};
    assert_int_equal(estab_tcp_info(s->stack, e->sock, &s->info), 0);
    assert_int_equal(estab_close(s->stack, e->sock), 0);
    e->sock = 0;
    s->over++;
}

static void begin(struct our_side *s, estab_sock sock, bool opened)
{
    struct our_end *e = s->ends;

    while (e->sock)
        e++;
    e->side = s;
    e->sock = sock;
    e->opened = opened;
    end_begin(&e->end, &s->plan, s->begun++);
    assert_int_equal(estab_setopt(s->stack, sock, ESTAB_O_NODELAY, s->plan.nodelay), 0);
    assert_int_equal(estab_watch(s->stack, sock, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP, e),
                     0);
}

static void accept_more(struct our_side *s)
{
    estab_sock k;

    while (s->begun - s->over < OUR_ENDS && estab_accept(s->stack, s->listener, &k, NULL) == 0)
        begin(s, k, true);
}

static void open_more(struct our_side *s)
{
    estab_sock k;
    int err;

    while (s->opens && s->begun < s->n && s->begun - s->over < s->at_once) {
        assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &k), 0);
        err = estab_connect(s->stack, k, &s->to);
        if (err != ESTAB_E_INPROGRESS)
            fail_msg("estab_connect: %s", estab_strerror(err));
        begin(s, k, false);
    }
}

static void handle(struct our_side *s, const struct estab_event *ev)
{
    struct our_end *e = ev->user;

    if (ev->sock == s->listener)
        accept_more(s);
    if (!e || e->sock != ev->sock || (!e->opened && !(ev->mask & (ESTAB_EV_OUT | ESTAB_EV_ERR))))
        return;
    e->opened = true;
    run_end(e);
}

void ours_turn(struct our_side *s, estab_dur max_wait)
{
    struct estab_event ev[64];
    char err[ESTAB_ERRLEN];
    size_t n;

    if (s->has_ends)
        open_more(s);
    if (estab_loop_turn(s->loop, max_wait, err) == -1)
        fail_msg("%s", err);
    if (barked) {
        show(s);
        fail_msg("nothing came of it within %d s", PATIENCE);
    }
    while (s->has_ends && (n = estab_events(s->stack, ev, 64)) > 0)
        for (size_t i = 0; i < n; i++)
            handle(s, &ev[i]);
    estab_loop_flush(s->loop);
}

void ours_listen(struct our_side *s, uint16_t port)
{
    struct estab_addr a = our_addr(s->at->our_ip, port);

    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &s->listener), 0);
    assert_int_equal(estab_bind(s->stack, s->listener, &a), 0);
    assert_int_equal(estab_listen(s->stack, s->listener, OUR_ENDS), 0);
    assert_int_equal(estab_watch(s->stack, s->listener, ESTAB_EV_IN, NULL), 0);
}

/* ---- afterwards ---- */

uint32_t entered(const struct our_side *s, enum estab_tcp_state st)
{
    uint32_t n = 0;

    for (int from = 0; from < ESTAB_TCP_STATES; from++)
        n += s->edges[from][st];
    return n;
}

uint64_t rule_seen(const struct our_side *s, const char *name)
{
    for (unsigned r = 1; estab_rule_name(r); r++)
        if (strcmp(estab_rule_name(r), name) == 0)
            return estab_rule_count(s->stack, r);
    fail_msg("there is no rule \"%s\"", name);
    return 0;
}

void assert_clean(const struct our_side *s)
{
    static const char *const never[] = {
        "rto",          "fast-retransmit", "partial-ack",       "syn-again",    "retries",
        "paws",         "unacceptable",    "zero-window-probe", "text-trimmed", "text-ahead",
        "rst-outside",  "text-duplicate",  "timestamp-missing", "ack-range",    "ack-unsent",
        "blind-rst",    "blind-syn",       "challenge-limit",   "tcp-checksum", "tcp-header",
        "tcp-option",   "ip-checksum",     "ip-length",         "closed-rst",   "listen-other",
        "backlog-full", "reply-full",      "rst-accepted",      "abort",        "close-unread",
        "no-memory",    "no-ack",          "sack-invalid",      "no-route",     "text-after-fin"};

    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (rule_seen(s, never[i]))
            fail_msg("rule %s acted %llu times in a clean run", never[i],
                     (unsigned long long)rule_seen(s, never[i]));
    /* A probe in vain, on a machine that was busy elsewhere, is answered when all is over. */
    assert_true(rule_seen(s, "closed-answer") + rule_seen(s, "listen-ack") <=
                rule_seen(s, "tail-loss-probe"));
    assert_int_equal(s->timers[ESTAB_T_REXMT] + s->timers[ESTAB_T_PERSIST], 0);
    assert_int_equal(their_counter("snmp", "Tcp:", "RetransSegs"), s->their_retrans);
    assert_int_equal(their_counter("snmp", "Tcp:", "InErrs"), s->their_in_errs);
}

void ours_settle(struct our_side *s)
{
    struct estab_stack_info i = {.size = sizeof i};
    uint32_t time_wait, others;

    s->waiting_for = "both sides to have no connection left";
    if (s->listener)
        assert_int_equal(estab_close(s->stack, s->listener), 0);
    s->listener = 0;
    do {
        ours_turn(s, ESTAB_MS(2));
        estab_stack_info(s->stack, &i);
        their_table(&time_wait, &others);
    } while (i.conns + i.synq + i.timewait + i.listeners + others > 0);
}

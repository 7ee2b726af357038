/* SPDX-License-Identifier: BSD-2-Clause */
/* script_run.c - a script from its first line to its last, against a stack that lives as long.
 *
 * Nothing here touches the stack but through packetdrill's interface, so that a script does the
 * same under packetdrill. */
#include "script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_RPORT = 40000, PORT = 8080, TOLERANCE_USEC = 4000 };

/* ---- the end, wherever it comes ---- */

static void tell(struct script *s, enum estab_script_verdict v, int line, const char *fmt,
                 va_list ap)
{
    struct estab_script_result *out = s->out;
    size_t n;

    out->verdict = v;
    out->line = line;
    if (line)
        snprintf(out->text, sizeof out->text, "%s:%d: ", s->path, line);
    else
        snprintf(out->text, sizeof out->text, "%s: ", s->path);
    n = strlen(out->text);
    vsnprintf(out->text + n, sizeof out->text - n - 1, fmt, ap);
    n = strlen(out->text);
    if (out->text[n - 1] != '\n')
        memcpy(out->text + n, "\n", 2);
}

void script_leave(struct script *s)
{
    longjmp(s->failed, 1);
}

static void tell_refused(struct script *s, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(s, ESTAB_SCRIPT_REFUSED, line, fmt, ap);
    va_end(ap);
}

void script_syntax(struct script *s, int line, const char *where, const char *what)
{
    bool full = strcmp(what, "memory exhausted") == 0; /* as bison calls it */

    tell_refused(s, line, "%s%s", where, full ? "nested too deeply" : what);
}

void script_fail(struct script *s, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(s, ESTAB_SCRIPT_FAILED, line, fmt, ap);
    va_end(ap);
    script_leave(s);
}

void script_refuse(struct script *s, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell(s, ESTAB_SCRIPT_REFUSED, line, fmt, ap);
    va_end(ap);
    script_leave(s);
}

/* ---- options ---- */

static _Noreturn void bad_value(struct run *r, const struct script_option *o)
{
    script_refuse(r->s, o->line, "--%s=%s: no such value", o->name, o->arg ? o->arg : "");
}

static long long option_number_of(struct run *r, const struct script_option *o, long long most)
{
    char *end;
    long long n = o->arg ? strtoll(o->arg, &end, 0) : -1;

    if (!o->arg || *end || n < 0 || n > most)
        bad_value(r, o);
    return n;
}

static void option_address(struct run *r, const struct script_option *o, uint8_t ip[16])
{
    struct estab_addr a;
    bool has_port = false;

    if (!o->arg || estab_addr_parse(&a, o->arg, &has_port) != 0 || has_port)
        bad_value(r, o);
    memcpy(ip, a.ip, 16);
}

static void option_version(struct run *r, const struct script_option *o)
{
    r->v6 = o->arg && strcmp(o->arg, "ipv6") == 0;
    r->mapped = o->arg && strcmp(o->arg, "ipv4-mapped-ipv6") == 0;
    if (!r->v6 && !r->mapped && (!o->arg || strcmp(o->arg, "ipv4") != 0))
        bad_value(r, o);
}

static void option_define(struct run *r, const struct script_option *o)
{
    struct script_define *d = arena_get(&r->s->arena, sizeof *d);
    const char *eq = o->arg ? strchr(o->arg, '=') : NULL;
    size_t n;

    if (!eq)
        bad_value(r, o);
    d->name = arena_text(&r->s->arena, o->arg, (size_t)(eq - o->arg));
    n = strlen(++eq);
    if (n >= 2 && eq[0] == '"' && eq[n - 1] == '"') {
        eq++;
        n -= 2;
    }
    d->value = arena_text(&r->s->arena, eq, n);
    d->next = r->s->defines;
    r->s->defines = d;
}

static void option_flags(struct run *r, const struct script_option *o)
{
    char err[ESTAB_ERRLEN];

    if (plug_set_flags(&r->set, o->arg ? o->arg : "", err) != 0)
        script_refuse(r->s, o->line, "--%s: %s", o->name, err);
}

/* What packetdrill needs to reach a kernel, and estab does not. */
static bool means_nothing_here(const char *name)
{
    static const char *const names[] = {
        "gateway_ip",       "local_linklocal_ip",
        "netmask_ip",       "speed",
        "verbose",          "debug",
        "dry_run",          "non_fatal",
        "send_omit_free",   "so_filename",
        "tun_dev",          "persistent_tun_dev",
        "wire_client",      "wire_server",
        "wire_client_dev",  "wire_server_dev",
        "wire_server_ip",   "wire_server_at",
        "wire_server_port", "code_command",
        "code_format",      "code_sockopt",
        "init_scripts",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void apply_option(struct run *r, const struct script_option *o)
{
    const char *name = o->name;

    if (strcmp(name, "ip_version") == 0)
        option_version(r, o);
    else if (strcmp(name, "local_ip") == 0)
        option_address(r, o, r->local);
    else if (strcmp(name, "remote_ip") == 0)
        option_address(r, o, r->remote);
    else if (strcmp(name, "bind_port") == 0)
        r->bind_port = (uint16_t)option_number_of(r, o, UINT16_MAX);
    else if (strcmp(name, "connect_port") == 0)
        r->connect_port = (uint16_t)option_number_of(r, o, UINT16_MAX);
    else if (strcmp(name, "mtu") == 0)
        r->set.mtu = (uint32_t)option_number_of(r, o, UINT16_MAX);
    else if (strcmp(name, "tolerance_usecs") == 0)
        r->tolerance_usec = option_number_of(r, o, 1000000000);
    else if (strcmp(name, "tolerance_percent") == 0)
        r->tolerance_percent = o->arg ? strtod(o->arg, NULL) : 0;
    else if (strcmp(name, "tcp_ts_tick_usecs") == 0)
        r->ts_tick_usec = option_number_of(r, o, 1000000);
    else if (strcmp(name, "strict_segments") == 0)
        r->strict_segments = true;
    else if (strcmp(name, "define") == 0)
        option_define(r, o);
    else if (strcmp(name, "so_flags") == 0)
        option_flags(r, o);
    else if (!means_nothing_here(name))
        script_refuse(r->s, o->line, "the option --%s is not supported", name);
}

static struct script_option command_line_option(struct run *r, const char *text)
{
    struct script_option o = {.name = text + strspn(text, "-")};
    const char *eq = strchr(o.name, '=');

    if (strncmp(text, "-D", 2) == 0) {
        o.name = "define";
        o.arg = text + 2 + strspn(text + 2, " ");
    } else if (eq) {
        o.name = arena_text(&r->s->arena, o.name, (size_t)(eq - o.name));
        o.arg = eq + 1;
    }
    return o;
}

static bool is_v4_addr(const uint8_t ip[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(ip, prefix, 12) == 0;
}

static void default_addresses(struct run *r)
{
    struct estab_addr a;
    bool has_port;

    memcpy(r->local, r->v6 ? r->set.local6 : r->set.local4, 16);
    (void)estab_addr_parse(&a, r->v6 ? "fd3d:fa7b:d17d::1" : "192.0.2.1", &has_port);
    memcpy(r->remote, a.ip, 16);
}

/* The script's own come first, then those of the command line.  Which version of IP it is decides
 * what the addresses are where none are given, so it is looked for before. */
static void apply_options(struct run *r, const struct estab_script_options *opt)
{
    struct script *s = r->s;
    size_t n = opt ? opt->noptions : 0;

    for (int pass = 0; pass < 2; pass++) {
        for (const struct script_option *o = s->options; o; o = o->next)
            if ((strcmp(o->name, "ip_version") == 0) == (pass == 0))
                apply_option(r, o);
        for (size_t i = 0; i < n; i++) {
            struct script_option o = command_line_option(r, opt->options[i]);

            if ((strcmp(o.name, "ip_version") == 0) == (pass == 0))
                apply_option(r, &o);
        }
        if (pass == 0)
            default_addresses(r);
    }
    if (is_v4_addr(r->local) == r->v6 || is_v4_addr(r->remote) == r->v6)
        script_refuse(s, 0, "--local_ip and --remote_ip are not of the IP version of the script");
    memcpy(r->v6 ? r->set.local6 : r->set.local4, r->local, 16);
}

/* ---- time ---- */

bool run_in_time(const struct run *r, long long from, long long to, long long actual,
                 long long since)
{
    double share = (double)(actual - since) * r->tolerance_percent / 100;
    long long slack = share > (double)r->tolerance_usec ? (long long)share : r->tolerance_usec;

    return actual >= from - slack && actual <= to + slack;
}

/* A useconds_t holds little more than an hour. */
void run_sleep(struct run *r, long long usec)
{
    const long long most = 1000000000;

    for (; usec > 0; usec -= most)
        (void)r->io.usleep(r->io.userdata, (useconds_t)(usec < most ? usec : most));
}

static void sleep_until(struct run *r, const struct script_event *e)
{
    long long now = run_now(r);

    if (e->time.kind == TIME_ANY)
        return;
    if (now < e->time.from)
        run_sleep(r, e->time.from - now);
    else if (!run_in_time(r, e->time.from, e->time.to, now, r->last_packet_usec))
        script_fail(r->s, e->line, "the event is late: what came before it took until %.6f\n",
                    (double)now / 1e6);
}

/* What is relative counts from the end of the event before. */
static void settle_time(struct run *r, struct script_event *e)
{
    long long now = run_now(r);

    if (e->time.kind != TIME_AFTER)
        return;
    e->time.from += now;
    e->time.to += now;
    if (e->kind == EVENT_CALL && e->call.blocks)
        e->call.end_usec += now;
}

static void run_event(struct run *r, struct script_event *e)
{
    call_collect(r, false);
    settle_time(r, e);
    if (e->kind == EVENT_PACKET && !e->packet.inbound) {
        packet_expect(r, e);
        return;
    }
    sleep_until(r, e);
    call_collect(r, false);
    switch (e->kind) {
    case EVENT_PACKET:
        packet_inject(r, e);
        break;
    case EVENT_CALL:
        call_run(r, e);
        break;
    case EVENT_SHELL:
        shell_run(r, e->line, e->text);
        break;
    case EVENT_CODE:
        code_run(r, e->line, e->text);
        break;
    }
}

/* A call that is still blocked gets the time that it says it needs. */
static void wait_for_last_call(struct run *r)
{
    long long now = run_now(r);

    if (r->calls && r->calls->event->call.end_usec > now)
        run_sleep(r, r->calls->event->call.end_usec - now + r->tolerance_usec);
    call_collect(r, true);
}

static void run_script(struct run *r, const struct estab_script_options *opt)
{
    struct script *s = r->s;

    script_parse(s);
    plug_set_init(&r->set);
    apply_options(r, opt);
    r->plug = plug_new(&r->set);
    if (!r->plug)
        script_refuse(s, 0, "no memory");
    if (opt && opt->trace) {
        r->plug->trace = opt->trace;
        r->plug->trace_ctx = opt->ctx;
    }
    plug_interface(r->plug, &r->io);
    r->start_usec = (long long)(PLUG_EPOCH / 1000);
    if (s->init)
        shell_run(r, s->init_line, s->init);
    for (struct script_event *e = s->events; e; e = e->next)
        run_event(r, e);
    wait_for_last_call(r);
}

static void count_rules(const struct plug *p, const struct estab_script_options *opt)
{
    if (!p->stack || !opt || opt->size < sizeof *opt)
        return;
    for (unsigned i = 0; i < opt->nrules; i++)
        opt->rules[i] += estab_rule_count(p->stack, i);
}

/* Shell lines at the end undo what the script did to a system: here it ends with the script. */
enum estab_script_verdict estab_script_run(const char *path, const struct estab_script_options *opt,
                                           struct estab_script_result *out)
{
    struct script *s = calloc(1, sizeof *s); /* not on the stack: longjmp() would blur it */
    struct run *r;

    memset(out, 0, sizeof *out);
    if (!s) {
        out->verdict = ESTAB_SCRIPT_REFUSED;
        snprintf(out->text, sizeof out->text, "%s: no memory\n", path);
        return out->verdict;
    }
    s->path = path;
    s->out = out;
    s->options_end = &s->options;
    s->events_end = &s->events;
    r = arena_get(&s->arena, sizeof *r);
    r->s = s;
    r->bind_port = r->connect_port = PORT;
    r->tolerance_usec = TOLERANCE_USEC;
    r->next_rport = FIRST_RPORT;
    r->last_fd = -1;
    if (setjmp(s->failed) == 0)
        run_script(r, opt);
    script_parse_end(s);
    if (r->plug) {
        out->lasted = r->plug->world.now - PLUG_EPOCH;
        r->plug->trace = NULL;
        count_rules(r->plug, opt);
        call_abandon(r);
        call_close_all(r);
        plug_free(r->plug);
    }
    out->packets_in = r->npackets_in;
    out->packets_out = r->npackets_out;
    out->calls = r->ncalls;
    arena_free(&s->arena);
    free(s);
    return out->verdict;
}

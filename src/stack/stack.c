/* SPDX-License-Identifier: BSD-2-Clause */
/* stack.c - making and ending a stack. */
#include "stack/stack.h"
#include <assert.h>

const char *estab_version(void)
{
    return "0.1.0";
}

/* Fragments, which anybody can send, have an eighth of the ceiling at most. */
static struct ip_reass_settings reass_settings_of(const struct estab_config *c)
{
    size_t most = c->mem_max ? c->mem_max / 8 : SIZE_MAX;

    return (struct ip_reass_settings){.max = c->reass_max < most ? c->reass_max : (uint32_t)most,
                                      .source_max = c->reass_source_max,
                                      .datagrams = c->reass_datagrams,
                                      .source_datagrams = c->reass_source_datagrams,
                                      .timeout = c->reass_timeout};
}

static struct ip_pmtu_settings pmtu_settings_of(const struct estab_config *c)
{
    return (struct ip_pmtu_settings){
        .max = c->pmtu_max, .age = c->pmtu_age, .least4 = c->pmtu_least4, .least6 = c->pmtu_least6};
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct tcp_settings tcp_settings_of(const struct estab_config *c)
{
    return (struct tcp_settings){.max_synq = c->max_synq,
                                 .max_timewait = c->max_timewait,
                                 .sndbuf = c->sndbuf,
                                 .rcvbuf = c->rcvbuf,
                                 .sndbuf_init = least(c->sndbuf_init, c->sndbuf),
                                 .rcvbuf_init = least(c->rcvbuf_init, c->rcvbuf),
                                 .rto = {.init = c->rto_init,
                                         .min = c->rto_min,
                                         .max = c->rto_max,
                                         .slop = c->profile.rto_slop,
                                         .syn_linear = c->profile.syn_linear},
                                 .profile = c->profile,
                                 .msl = c->msl,
                                 .delack = c->delack,
                                 .fin_wait_2 = c->fin_wait_2,
                                 .user_timeout = c->user_timeout,
                                 .syn_retries = c->syn_retries,
                                 .synack_retries = c->synack_retries,
                                 .max_retries = c->max_retries,
                                 .initial_window = c->initial_window,
                                 .timestamps = c->timestamps,
                                 .window_scale = c->window_scale,
                                 .sack = c->sack,
                                 .ecn = c->ecn,
                                 .fastopen_cache = c->fastopen_cache,
                                 .port_lo = c->port_lo,
                                 .port_hi = c->port_hi,
                                 .shard = c->shard,
                                 .nshards = c->nshards,
                                 .cc = cc_find(c->cc),
                                 .cookies = (enum estab_syn_cookies)c->syn_cookies,
                                 .overflow = (enum estab_overflow)c->listen_overflow,
                                 .rst_rate = c->rst_rate,
                                 .max_orphans = c->max_orphans,
                                 .orphan_retries = c->orphan_retries,
                                 .uto_min = c->uto_min,
                                 .uto_max = c->uto_max,
                                 .reuse = c->timewait_reuse,
                                 .mtu_probing = c->mtu_probing,
                                 .base_mss4 = c->base_mss4,
                                 .base_mss6 = c->base_mss6,
                                 .why_times = c->why_times,
                                 .pacing = c->pacing,
                                 .notsent = c->notsent ? c->notsent : UINT32_MAX};
}

int estab_stack_new(estab_stack **out, const struct estab_env *env, const struct estab_config *cfg)
{
    struct estab_config c;
    struct ip_reass_settings reass;
    struct ip_pmtu_settings pmtu;
    struct tcp_settings set;
    struct env e = {0};
    estab_stack *s;

    if (!out || !env || !env->now || !env->random || !env->alloc || !env->free)
        return ESTAB_E_INVAL;
    estab_config_init(&c);
    if (cfg)
        memcpy(&c, cfg, cfg->size < sizeof c ? cfg->size : sizeof c);
    if (cfg && cfg->size < offsetof(struct estab_config, rcvbuf_init) + sizeof c.rcvbuf_init) {
        c.sndbuf_init = c.sndbuf; /* from before buffers grew */
        c.rcvbuf_init = c.rcvbuf;
    }
    if (cfg && cfg->size < offsetof(struct estab_config, notsent) + sizeof c.notsent)
        c.notsent = 0;
    if (!estab_config_ok(&c, NULL))
        return ESTAB_E_INVAL;
    e.cb = *env;
    e.trace = env->trace;
    e.trace_ctx = env->ctx;
    e.ceiling = c.mem_max;
    e.now = env->now(env->ctx);
    s = env_alloc(&e, sizeof *s, 64);
    if (!s)
        return ESTAB_E_NOMEM;
    memset(s, 0, sizeof *s);
    s->env = e;
    set = tcp_settings_of(&c);
    reass = reass_settings_of(&c);
    pmtu = pmtu_settings_of(&c);
    if (ip_init(&s->ip, &s->env, &s->rules, c.hop_limit) != 0) {
        env_free(&e, s, sizeof *s, 64);
        return ESTAB_E_NOMEM;
    }
    ip_set_reass(&s->ip, &reass);
    ip_set_pmtu(&s->ip, &pmtu);
    s->ip.accept_redirects = c.accept_redirects;
    s->ip.source_routes = c.source_routes;
    udp_init(&s->udp, &s->ip, &s->rules, c.max_conns);
    udp_set_ports(&s->udp, c.port_lo, c.port_hi);
    tcp_init(&s->tcp, &s->env, &s->ip, &s->rules, &set, c.max_conns);
    *out = s;
    return 0;
}

void estab_stack_free(estab_stack *s)
{
    struct env e;

    if (!s)
        return;
    tcp_fini(&s->tcp);
    udp_fini(&s->udp);
    ip_fini(&s->ip);
    e = s->env;
    env_free(&e, s, sizeof *s, 64);
}

static void trace_and_tap(void *ctx, const struct estab_trace *t)
{
    const estab_stack *s = ctx;

    if (s->env.cb.trace)
        s->env.cb.trace(s->env.cb.ctx, t);
    s->tap(s->tap_ctx, t);
}

void estab_tap(estab_stack *s, void (*tap)(void *ctx, const struct estab_trace *t), void *ctx)
{
    s->tap = tap;
    s->tap_ctx = ctx;
    s->env.trace = tap ? trace_and_tap : s->env.cb.trace;
    s->env.trace_ctx = tap ? s : s->env.cb.ctx;
}

void stack_reap(estab_stack *s)
{
    s->env.held = false;
    if (ip_has_lent(&s->ip))
        ip_reap(&s->ip);
    if (udp_has_lent(&s->udp))
        udp_reap(&s->udp);
    if (tcp_has_dead(&s->tcp))
        tcp_reap(&s->tcp);
}

int estab_port_add(estab_stack *s, const struct estab_port_caps *caps)
{
    int port;

    stack_enter(s);
    port = ip_port_add(&s->ip, caps);
    if (port >= 0 && tcp_port_add(&s->tcp, (uint8_t)port) != 0)
        port = ESTAB_E_NOMEM;
    stack_leave(s);
    return port;
}

int estab_addr_add(estab_stack *s, int port, const uint8_t addr[16], uint8_t prefix_len)
{
    int err;

    stack_enter(s);
    err = ip_addr_add(&s->ip, port, addr, prefix_len);
    stack_leave(s);
    return err;
}

int estab_route_add(estab_stack *s, int port, const uint8_t dst[16], uint8_t prefix_len,
                    const uint8_t *gw)
{
    int err;

    stack_enter(s);
    err = ip_route_add(&s->ip, port, dst, prefix_len, gw);
    stack_leave(s);
    return err;
}

uint64_t estab_rule_count(const estab_stack *s, unsigned rule)
{
    return rule < RULE_COUNT ? s->rules.n[rule] : 0;
}

bool estab_rule_refused(const estab_stack *s, unsigned rule)
{
    return rule < RULE_COUNT && s->rules.refuses[rule];
}

void estab_stack_info(const estab_stack *s, struct estab_stack_info *info)
{
    struct estab_stack_info all = {.size = info->size,
                                   .conns = s->tcp.nconns - s->tcp.listeners.used,
                                   .listeners = s->tcp.listeners.used,
                                   .synq = s->tcp.synqs.used,
                                   .timewait = s->tcp.timewaits.used,
                                   .mem_used = s->env.used,
                                   .mem_peak = s->env.peak,
                                   .frames_in = s->frames_in,
                                   .frames_out = s->frames_out,
                                   .drops = s->rules.drops,
                                   .orphans = s->tcp.orphans.n,
                                   .udp_socks = s->udp.socks.used,
                                   .max_conns = s->tcp.max_conns,
                                   .max_synq = s->tcp.set.max_synq,
                                   .max_timewait = s->tcp.set.max_timewait,
                                   .mem_max = s->env.ceiling};

    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
}

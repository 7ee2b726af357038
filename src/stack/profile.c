/* SPDX-License-Identifier: BSD-2-Clause */
/* profile.c - how systems differ, as named sets of settings: doc/PROFILES.md has the sources. */
#include "stack/stack.h"

struct preset {
    struct estab_profile p;
    char cc[16];
    uint32_t sndbuf, rcvbuf, sndbuf_init, rcvbuf_init, notsent;
    uint8_t syn_retries, synack_retries, max_retries;
    uint8_t mtu_probing;
    uint16_t base_mss4, base_mss6;
    uint16_t port_lo, port_hi;
    estab_dur rto_init, rto_min, rto_max, msl, fin_wait_2, delack;
};

static const struct preset presets[] = {
    {.p = {.name = "rfc",
           .wscale = ESTAB_WSCALE_AUTO,
           .quick_acks = 16,
           .slow_start = ESTAB_SLOW_START_OWN},
     .cc = "cubic",
     /* 1 Gbit/s over 100 ms is 12.5 MB in flight, and a window scale of 8 can say 16 MB.  The
      * user is told of room when a third is free: so much more there is to send meanwhile. */
     .sndbuf = 30u << 20,
     .rcvbuf = 15u << 20,
     .sndbuf_init = 512u << 10,
     .rcvbuf_init = 512u << 10,
     .notsent = 512u << 10,
     .syn_retries = 7, /* 247 s: at least 3 minutes [MUST-23] */
     .synack_retries = 5,
     .max_retries = 15, /* at least 100 s [SHLD-11] */
     .mtu_probing = ESTAB_MTU_PROBING_BLACKHOLE,
     .base_mss4 = 984, /* RFC 4821 section 7.2: packets of 1024 octets */
     .base_mss6 = 1220,
     .port_lo = 49152, /* RFC 6335 section 6 */
     .port_hi = 65535,
     .rto_init = ESTAB_S(1), /* RFC 6298 (2.1) */
     /* Departs from RFC 6298 section 2 (2.4), which wants 1 s: 200 ms, as hosts at large do, keeps
      * one lost segment from costing a second; RFC 8961 section 4 leaves the minimum to the
      * implementation. */
     .rto_min = ESTAB_MS(200),
     .rto_max = ESTAB_S(120),
     .msl = ESTAB_S(30),
     .fin_wait_2 = ESTAB_S(60),
     .delack = ESTAB_MS(40)},
    {.p = {.name = "linux",
           .wscale = 8,
           .quick_acks = 16,
           .syn_again = ESTAB_MS(10),
           .syn_window_whole = true,
           .syn_received_silent = true,
           .close_wait_pipe = true,
           .time_wait_acks_all = true},
     .cc = "cubic",
     .sndbuf = 4096u << 10,
     .rcvbuf = 3072u << 10,
     .sndbuf_init = 4096u << 10,
     .rcvbuf_init = 65536,
     .syn_retries = 6,
     .synack_retries = 5,
     .max_retries = 15,
     .base_mss4 = 1024,
     .base_mss6 = 1220, /* Linux has one for both, which IPv6's minimum overrides */
     .port_lo = 32768,
     .port_hi = 60999,
     .rto_init = ESTAB_S(1),
     .rto_min = ESTAB_MS(200),
     .rto_max = ESTAB_S(120),
     .msl = ESTAB_S(30),
     .fin_wait_2 = ESTAB_S(60),
     .delack = ESTAB_MS(40)},
    {.p = {.name = "freebsd",
           .options = ESTAB_OPTIONS_WS_SACK_TS,
           .wscale = 6,
           .syn_linear = 4,
           .slow_start = 2,
           .rto_slop = ESTAB_MS(200),
           .listen_silent = true,
           .closing_repeats_fin = true,
           .time_wait_needs_ack = true},
     .cc = "cubic",
     .sndbuf = 2048u << 10,
     .rcvbuf = 2048u << 10,
     .sndbuf_init = 32768,
     .rcvbuf_init = 65536,
     .syn_retries = 10,
     .synack_retries = 3,
     .max_retries = 12,
     .base_mss4 = 1200,
     .base_mss6 = 1220,
     .port_lo = 10000,
     .port_hi = 65535,
     .rto_init = ESTAB_S(1),
     .rto_min = ESTAB_MS(30),
     .rto_max = ESTAB_S(64),
     .msl = ESTAB_S(30),
     .fin_wait_2 = ESTAB_S(60),
     .delack = ESTAB_MS(40)},
};

/* Who does not know of buffers that grow has them as they begin. */
static void set_buffers(struct estab_config *cfg, const struct preset *d)
{
    bool grow = cfg->size >= offsetof(struct estab_config, rcvbuf_init) + sizeof cfg->rcvbuf_init;

    cfg->sndbuf = grow ? d->sndbuf : d->sndbuf_init;
    cfg->rcvbuf = grow ? d->rcvbuf : d->rcvbuf_init;
    if (!grow)
        return;
    cfg->sndbuf_init = d->sndbuf_init;
    cfg->rcvbuf_init = d->rcvbuf_init;
}

int estab_config_profile(struct estab_config *cfg, const char *name)
{
    const size_t needed = offsetof(struct estab_config, profile) + sizeof cfg->profile;

    if (!name || cfg->size < needed)
        return ESTAB_E_INVAL;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        const struct preset *d = &presets[i];

        if (strcmp(d->p.name, name) != 0)
            continue;
        cfg->profile = d->p;
        memcpy(cfg->cc, d->cc, sizeof cfg->cc);
        cfg->syn_retries = d->syn_retries;
        cfg->synack_retries = d->synack_retries;
        cfg->max_retries = d->max_retries;
        cfg->port_lo = d->port_lo;
        cfg->port_hi = d->port_hi;
        cfg->rto_init = d->rto_init;
        cfg->rto_min = d->rto_min;
        cfg->rto_max = d->rto_max;
        cfg->msl = d->msl;
        cfg->fin_wait_2 = d->fin_wait_2;
        cfg->delack = d->delack;
        set_buffers(cfg, d);
        if (cfg->size > offsetof(struct estab_config, mtu_probing))
            cfg->mtu_probing = d->mtu_probing;
        if (cfg->size >= offsetof(struct estab_config, base_mss6) + sizeof cfg->base_mss6) {
            cfg->base_mss4 = d->base_mss4;
            cfg->base_mss6 = d->base_mss6;
        }
        if (cfg->size >= offsetof(struct estab_config, notsent) + sizeof cfg->notsent)
            cfg->notsent = d->notsent;
        return 0;
    }
    return ESTAB_E_INVAL;
}

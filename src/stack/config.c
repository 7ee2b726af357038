/* SPDX-License-Identifier: BSD-2-Clause */
/* config.c - the settings of a stack: their defaults, and which of them cannot work. */
#include "stack/stack.h"

void estab_config_init_sized(struct estab_config *cfg, size_t size)
{
    struct estab_config all = {
        .size = sizeof all,
        .nshards = 1,
        .max_conns = 1u << 20,
        .max_synq = 1u << 16,
        .max_timewait = 1u << 17,
        .initial_window = 10,
        .hop_limit = 64,
        .timestamps = true,
        .window_scale = true,
        .sack = true,
        .reass_max = 1u << 20,
        .reass_source_max = 256u << 10,
        .reass_datagrams = 256,
        .reass_source_datagrams = 32,
        .reass_timeout = ESTAB_S(60), /* RFC 1122 section 3.3.2: 60 s to 120 s */
        .syn_cookies = ESTAB_COOKIES_WHEN_FULL,
        .listen_overflow = ESTAB_OVERFLOW_DROP,
        .rst_rate = 10000,
        .max_orphans = 1u << 17,
        .orphan_retries = 8,     /* more than 100 s [SHLD-11] at the least RTO */
        .uto_min = ESTAB_S(100), /* RFC 5482 section 3.1 */
        .uto_max = ESTAB_S(3600),
        .timewait_reuse = true,
        .pmtu_max = 1024,
        .pmtu_age = ESTAB_S(600), /* RFC 1191 section 6.3, RFC 8201 section 4 */
        .pmtu_least4 = 552, /* RFC 5927 section 7.2: below it an attacker gains, nobody else */
        .pmtu_least6 = 1280,
        .ecn = ESTAB_ECN_PASSIVE,
        .fastopen_cache = 256,
        .accept_redirects = true,
    };

    (void)estab_config_profile(&all, "rfc");
    if (size < offsetof(struct estab_config, rcvbuf_init) + sizeof all.rcvbuf_init) {
        all.sndbuf = all.sndbuf_init; /* who does not know that they grow */
        all.rcvbuf = all.rcvbuf_init;
    }
    all.size = size;
    memcpy(cfg, &all, size < sizeof all ? size : sizeof all);
    if (size > sizeof all)
        memset((uint8_t *)cfg + sizeof all, 0, size - sizeof all);
}

struct bound {
    const char *field;
    uint64_t least, most;
    uint16_t at;
    uint8_t size;
};
#define BOUND(f, lo, hi)                                                                           \
    {                                                                                              \
#f, lo, hi, offsetof(struct estab_config, f), sizeof(((struct estab_config *)0)->f)        \
    }
#define SLOTS ((1u << 30) - 1) /* what a reference has room for: TCP_REF_SHIFT */

/* Fields without a bound of their own: a switch, or 0 and every other value mean something. */
static const struct bound bounds[] = {
    BOUND(nshards, 0, 1024),
    BOUND(max_conns, 1, SLOTS),
    BOUND(max_synq, 1, SLOTS),
    BOUND(max_timewait, 1, SLOTS),
    BOUND(sndbuf, 2048, 1u << 30),
    BOUND(rcvbuf, 2048, 1u << 30),
    BOUND(sndbuf_init, 2048, 1u << 30),
    BOUND(rcvbuf_init, 2048, 1u << 30),
    BOUND(sndbuf_init, 2048, UINT32_MAX),
    BOUND(rcvbuf_init, 2048, UINT32_MAX),
    BOUND(msl, 1, ESTAB_S(3600)),
    BOUND(rto_max, 1, ESTAB_S(3600)),
    BOUND(delack, 0, ESTAB_MS(500)), /* RFC 9293 section 3.8.6.3 */
    BOUND(synack_retries, 0, TCP_SYNACK_RETRIES_MAX),
    BOUND(max_retries, 1, UINT8_MAX),
    BOUND(initial_window, 1, UINT8_MAX),
    BOUND(hop_limit, 1, UINT8_MAX),
    BOUND(port_hi, 1, UINT16_MAX),
    BOUND(pmtu_max, 1, SLOTS),
    BOUND(pmtu_age, ESTAB_S(300), ESTAB_NEVER), /* RFC 1191 section 6.3 */
    BOUND(pmtu_least4, 68, UINT16_MAX),
    BOUND(pmtu_least6, 1280, UINT16_MAX),
    BOUND(mtu_probing, 0, ESTAB_MTU_PROBING_ON),
    BOUND(reass_datagrams, 1, UINT16_MAX),
    BOUND(reass_source_datagrams, 1, UINT16_MAX),
    BOUND(reass_timeout, 1, ESTAB_NEVER),
    BOUND(syn_cookies, 0, ESTAB_COOKIES_ALWAYS),
    BOUND(listen_overflow, 0, ESTAB_OVERFLOW_RST),
    BOUND(profile.options, 0, ESTAB_OPTIONS_WS_SACK_TS),
    BOUND(profile.rto_slop, 0, ESTAB_S(10)),
    BOUND(orphan_retries, 1, UINT8_MAX),
    BOUND(ecn, 0, ESTAB_ECN_ACCURATE),
    BOUND(fastopen_cache, 0, 1u << 20),
};

static uint64_t value_of(const struct estab_config *c, const struct bound *b)
{
    const uint8_t *p = (const uint8_t *)c + b->at;
    uint64_t v64;
    uint32_t v32;
    uint16_t v16;

    switch (b->size) {
    case 8:
        memcpy(&v64, p, sizeof v64);
        return v64;
    case 4:
        memcpy(&v32, p, sizeof v32);
        return v32;
    case 2:
        memcpy(&v16, p, sizeof v16);
        return v16;
    default:
        return *p;
    }
}

static bool in_bounds(const char *field, uint64_t value, uint64_t least, uint64_t most,
                      struct estab_config_fault *why)
{
    if (value >= least && value <= most)
        return true;
    if (why)
        *why = (struct estab_config_fault){field, value, least, most};
    return false;
}

/* What one field allows another. */
static bool agree(const struct estab_config *c, struct estab_config_fault *why)
{
    return in_bounds("rto_min", c->rto_min, 1, c->rto_max, why) &&
           in_bounds("rto_init", c->rto_init, 1, c->rto_max, why) &&
           in_bounds("port_lo", c->port_lo, 1, c->port_hi, why) &&
           in_bounds("shard", c->shard, 0, c->nshards ? c->nshards - 1u : 0, why) &&
           in_bounds("uto_min", c->uto_min, 0, c->uto_max, why) &&
           (c->mem_max == 0 ||
            in_bounds("mem_max", c->mem_max, ESTAB_MEM_LEAST, ESTAB_NEVER, why)) &&
           (c->profile.wscale == ESTAB_WSCALE_AUTO ||
            in_bounds("profile.wscale", c->profile.wscale, 0, 14, why));
}

bool estab_config_ok(const struct estab_config *cfg, struct estab_config_fault *why)
{
    struct estab_config c;

    estab_config_init(&c);
    memcpy(&c, cfg, cfg->size < sizeof c ? cfg->size : sizeof c);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (!in_bounds(bounds[i].field, value_of(&c, &bounds[i]), bounds[i].least, bounds[i].most,
                       why))
            return false;
    if (!agree(&c, why))
        return false;
    if (memchr(c.cc, 0, sizeof c.cc) && cc_find(c.cc))
        return true;
    if (why)
        *why = (struct estab_config_fault){.field = "cc"};
    return false;
}

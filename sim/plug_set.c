/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_set.c - the settings of a stack by name: as estab calls them, and as Linux's and FreeBSD's
 * sysctls do.
 *
 * A sysctl that estab has no setting for is refused, never ignored: a script that makes one depends
 * on it. */
#include "plug.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, NUM8, NUM16, NUM32, NUM64, SPAN, CC, ECN, FASTOPEN, KEYS, ADDR };

struct setting {
    const char *name;
    enum kind kind;
    size_t at;
};

#define AT(member)     offsetof(struct plug_set, member)
#define CONFIG(member) offsetof(struct plug_set, config.member)

static const struct setting settings[] = {
    {"mtu", NUM32, AT(mtu)},
    {"seed", NUM64, AT(seed)},
    {"local", ADDR, 0},
    {"remote", ADDR, 0},
    {"gateway", ADDR, 0},
    {"max_conns", NUM32, CONFIG(max_conns)},
    {"max_synq", NUM32, CONFIG(max_synq)},
    {"max_timewait", NUM32, CONFIG(max_timewait)},
    {"sndbuf", NUM32, CONFIG(sndbuf)},
    {"rcvbuf", NUM32, CONFIG(rcvbuf)},
    {"sndbuf_init", NUM32, CONFIG(sndbuf_init)},
    {"rcvbuf_init", NUM32, CONFIG(rcvbuf_init)},
    {"notsent", NUM32, CONFIG(notsent)},
    {"msl", SPAN, CONFIG(msl)},
    {"rto_init", SPAN, CONFIG(rto_init)},
    {"rto_min", SPAN, CONFIG(rto_min)},
    {"rto_max", SPAN, CONFIG(rto_max)},
    {"delack", SPAN, CONFIG(delack)},
    {"fin_wait_2", SPAN, CONFIG(fin_wait_2)},
    {"user_timeout", SPAN, CONFIG(user_timeout)},
    {"syn_retries", NUM8, CONFIG(syn_retries)},
    {"synack_retries", NUM8, CONFIG(synack_retries)},
    {"max_retries", NUM8, CONFIG(max_retries)},
    {"initial_window", NUM8, CONFIG(initial_window)},
    {"hop_limit", NUM8, CONFIG(hop_limit)},
    {"timestamps", FLAG, CONFIG(timestamps)},
    {"window_scale", FLAG, CONFIG(window_scale)},
    {"sack", FLAG, CONFIG(sack)},
    {"port_lo", NUM16, CONFIG(port_lo)},
    {"port_hi", NUM16, CONFIG(port_hi)},
    {"cc", CC, CONFIG(cc)},
    {"syn_cookies", NUM8, CONFIG(syn_cookies)},
    {"listen_overflow", NUM8, CONFIG(listen_overflow)},
    {"rst_rate", NUM32, CONFIG(rst_rate)},
    {"timewait_reuse", FLAG, CONFIG(timewait_reuse)},
    {"max_orphans", NUM32, CONFIG(max_orphans)},
    {"orphan_retries", NUM8, CONFIG(orphan_retries)},
    {"uto_min", SPAN, CONFIG(uto_min)},
    {"uto_max", SPAN, CONFIG(uto_max)},
    {"ecn", ECN, CONFIG(ecn)},
    {"fastopen", FASTOPEN, 0},
    {"fastopen_client", FLAG, AT(fastopen_client)},
    {"fastopen_server", FLAG, AT(fastopen_server)},
    {"fastopen_all", FLAG, AT(fastopen_all)},
    {"fastopen_key", KEYS, AT(fastopen_key)},
    {"reass_max", NUM32, CONFIG(reass_max)},
    {"reass_timeout", SPAN, CONFIG(reass_timeout)},
    {"pmtu_max", NUM32, CONFIG(pmtu_max)},
    {"pmtu_age", SPAN, CONFIG(pmtu_age)},
    {"pmtu_least4", NUM16, CONFIG(pmtu_least4)},
    {"pmtu_least6", NUM16, CONFIG(pmtu_least6)},
    {"pacing", FLAG, CONFIG(pacing)},
    {"source_routes", FLAG, CONFIG(source_routes)},
    {"accept_redirects", FLAG, CONFIG(accept_redirects)},
    {"slow_start", NUM8, CONFIG(profile.slow_start)},
    {"mtu_probing", NUM8, CONFIG(mtu_probing)},
    {"base_mss4", NUM16, CONFIG(base_mss4)},
    {"base_mss6", NUM16, CONFIG(base_mss6)},
    {"wscale", NUM8, CONFIG(profile.wscale)},
    {"quick_acks", NUM8, CONFIG(profile.quick_acks)},
    {"syn_linear", NUM8, CONFIG(profile.syn_linear)},
    {"rto_slop", SPAN, CONFIG(profile.rto_slop)},
    {"keepidle", SPAN, AT(keepidle)},
    {"keepintvl", SPAN, AT(keepintvl)},
    {"keepcnt", NUM64, AT(keepcnt)},
};

/* What a sysctl is here.  Of several numbers one counts (tcp_rmem: least, initial, most; Linux
 * offers half of the initial one as window, and lets a send buffer grow to its most).  unit: what 1
 * is in ns, for spans; over: what a number is divided by. */
static const struct {
    const char *sysctl, *name;
    unsigned which;
    uint64_t unit, over;
} sysctls[] = {
    {"net.ipv4.tcp_timestamps", "timestamps", 0, 0, 1},
    {"net.ipv4.tcp_window_scaling", "window_scale", 0, 0, 1},
    {"net.ipv4.tcp_sack", "sack", 0, 0, 1},
    {"net.ipv4.tcp_syn_retries", "syn_retries", 0, 0, 1},
    {"net.ipv4.tcp_synack_retries", "synack_retries", 0, 0, 1},
    {"net.ipv4.tcp_retries2", "max_retries", 0, 0, 1},
    {"net.ipv4.tcp_fin_timeout", "fin_wait_2", 0, ESTAB_S(1), 1},
    {"net.ipv4.tcp_rmem", "rcvbuf_init", 1, 0, 2},
    {"net.ipv4.tcp_rmem", "rcvbuf", 2, 0, 2},
    {"net.ipv4.tcp_wmem", "sndbuf", 2, 0, 1},
    {"net.ipv4.tcp_max_syn_backlog", "max_synq", 0, 0, 1},
    {"net.ipv4.tcp_max_tw_buckets", "max_timewait", 0, 0, 1},
    {"net.ipv4.tcp_congestion_control", "cc", 0, 0, 1},
    {"net.ipv4.tcp_keepalive_time", "keepidle", 0, ESTAB_S(1), 1},
    {"net.ipv4.tcp_keepalive_intvl", "keepintvl", 0, ESTAB_S(1), 1},
    {"net.ipv4.tcp_keepalive_probes", "keepcnt", 0, 0, 1},
    {"net.ipv4.tcp_rto_min_us", "rto_min", 0, ESTAB_US(1), 1},
    {"net.ipv4.tcp_rto_max_ms", "rto_max", 0, ESTAB_MS(1), 1},
    {"net.ipv4.tcp_syncookies", "syn_cookies", 0, 0, 1},
    {"net.ipv4.tcp_abort_on_overflow", "listen_overflow", 0, 0, 1},
    {"net.ipv4.tcp_tw_reuse", "timewait_reuse", 0, 0, 1},
    {"net.ipv4.tcp_max_orphans", "max_orphans", 0, 0, 1},
    {"net.ipv4.tcp_orphan_retries", "orphan_retries", 0, 0, 1},
    {"net.ipv4.tcp_ecn", "ecn", 0, 0, 1},
    {"net.ipv4.tcp_fastopen", "fastopen", 0, 0, 1},
    {"net.ipv4.tcp_fastopen_key", "fastopen_key", 0, 0, 1},
    {"net.ipv4.ip_local_port_range", "port_lo", 0, 0, 1},
    {"net.ipv4.ip_local_port_range", "port_hi", 1, 0, 1},
    {"net.ipv4.ip_default_ttl", "hop_limit", 0, 0, 1},
    {"net.ipv4.tcp_mtu_probing", "mtu_probing", 0, 0, 1},
    {"net.ipv4.tcp_base_mss", "base_mss4", 0, 0, 1},
    {"net.ipv4.tcp_base_mss", "base_mss6", 0, 0, 1},
    {"net.ipv4.route.mtu_expires", "pmtu_age", 0, ESTAB_S(1), 1},
    {"net.ipv4.route.min_pmtu", "pmtu_least4", 0, 0, 1},
    {"net.inet.tcp.rfc1323", "timestamps", 0, 0, 1},
    {"net.inet.tcp.rfc1323", "window_scale", 0, 0, 1},
    {"net.inet.tcp.sack.enable", "sack", 0, 0, 1},
    {"net.inet.tcp.ecn.enable", "ecn", 0, 0, 1},
    {"net.inet.tcp.fastopen.client_enable", "fastopen_client", 0, 0, 1},
    {"net.inet.tcp.fastopen.server_enable", "fastopen_server", 0, 0, 1},
    {"net.inet.tcp.msl", "msl", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.rexmit_initial", "rto_init", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.rexmit_min", "rto_min", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.rexmit_slop", "rto_slop", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.syncookies", "syn_cookies", 0, 0, 1},
    {"net.inet.tcp.delacktime", "delack", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.finwait2_timeout", "fin_wait_2", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.initcwnd_segments", "initial_window", 0, 0, 1},
    {"net.inet.tcp.recvspace", "rcvbuf_init", 0, 0, 1},
    {"net.inet.tcp.sendspace", "sndbuf_init", 0, 0, 1},
    {"net.inet.tcp.recvbuf_max", "rcvbuf", 0, 0, 1},
    {"net.inet.tcp.sendbuf_max", "sndbuf", 0, 0, 1},
    {"net.inet.tcp.maxtcptw", "max_timewait", 0, 0, 1},
    {"net.inet.tcp.cc.algorithm", "cc", 0, 0, 1},
    {"net.inet.tcp.keepidle", "keepidle", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.keepintvl", "keepintvl", 0, ESTAB_MS(1), 1},
    {"net.inet.tcp.keepcnt", "keepcnt", 0, 0, 1},
    {"net.inet.ip.portrange.first", "port_lo", 0, 0, 1},
    {"net.inet.ip.portrange.last", "port_hi", 0, 0, 1},
    {"net.inet.ip.ttl", "hop_limit", 0, 0, 1},
    {"net.inet.tcp.pmtud_blackhole_detection", "mtu_probing", 0, 0, 1},
    {"net.inet.tcp.pmtud_blackhole_mss", "base_mss4", 0, 0, 1},
    {"net.inet.tcp.v6pmtud_blackhole_mss", "base_mss6", 0, 0, 1},
};

/* Sysctls of which estab has some values only: the rest would be taken for what they are not. */
static const struct {
    const char *sysctl, *first, *last;
} partly[] = {
    {"net.ipv4.ip_no_pmtu_disc", "0", "0"}, /* paths are always discovered, by packets with DF */
    {"net.inet.tcp.path_mtu_discovery", "1", "1"},
    {"net.inet.tcp.pmtud_blackhole_detection", "0", "1"}, /* 2, 3: in one family only */
};

static void set_profile(struct plug_set *set, enum plug_profile profile)
{
    static const char *const names[] = {
        [PLUG_RFC] = "rfc", [PLUG_LINUX] = "linux", [PLUG_FREEBSD] = "freebsd"};

    estab_config_init(&set->config);
    (void)estab_config_profile(&set->config, names[profile]);
    set->profile = profile;
    set->fastopen_client = profile != PLUG_FREEBSD;
    set->fastopen_server = profile == PLUG_RFC;
    set->fastopen_all = false;
}

void plug_set_init(struct plug_set *set)
{
    memset(set, 0, sizeof *set);
    set_profile(set, PLUG_RFC);
    set->mtu = 1500;
    set->keepidle = ESTAB_S(7200); /* RFC 9293 section 3.8.4 [MUST-28] */
    set->keepintvl = ESTAB_S(75);
    set->keepcnt = 9;
    memcpy(set->local4, (uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 192, 168, 0, 1}, 16);
    memcpy(set->local6, (uint8_t[16]){0xfd, 0x3d, 0x0a, 0x0b, 0x17, 0xd6, [15] = 1}, 16);
}

/* ---- values ---- */

static bool number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    unsigned long long n;

    if (!isdigit((unsigned char)*text))
        return false;
    n = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    *out = n;
    return *end == '\0' && n <= most;
}

/* "200ms", "1.5s", "40us". */
static bool span(const char *text, uint64_t *out)
{
    char *end;
    double n;

    if (!isdigit((unsigned char)*text))
        return false;
    n = strtod(text, &end);
    if (strcmp(end, "s") == 0)
        n *= 1e9;
    else if (strcmp(end, "ms") == 0)
        n *= 1e6;
    else if (strcmp(end, "us") == 0)
        n *= 1e3;
    else
        return false;
    *out = (uint64_t)n;
    return n < 1e18;
}

/* Of remote and gateway nothing follows: every destination lies behind the one link. */
static bool address(struct plug_set *set, const char *name, const char *value)
{
    struct estab_addr a;
    bool has_port = false;

    if (estab_addr_parse(&a, value, &has_port) != 0 || has_port)
        return false;
    if (strcmp(name, "local") != 0)
        return true;
    if (a.ip[10] == 0xff && a.ip[11] == 0xff && a.ip[0] == 0)
        memcpy(set->local4, a.ip, 16);
    else
        memcpy(set->local6, a.ip, 16);
    return true;
}

/* As Linux numbers it: by clients, by listeners, by every listener; above that a length of queue
 * that nothing looks at any more.  Text without a cookie (4, 0x200) is no Fast Open of RFC 7413. */
static bool fastopen(struct plug_set *set, const char *text)
{
    enum { CLIENT = 1, SERVER = 2, EVERY_LISTENER = 0x400, KNOWN = 0x403 };
    uint64_t n;

    if (!number(text, UINT32_MAX, &n) || ((n & 0xffff) | KNOWN) != KNOWN)
        return false;
    set->fastopen_client = n & CLIENT;
    set->fastopen_server = n & SERVER;
    set->fastopen_all = n & EVERY_LISTENER;
    return true;
}

/* Four words of 32 bits in hexadecimal, each in little-endian order; a second key behind a comma.
 */
static bool fastopen_keys(struct plug_set *set, const char *text)
{
    uint8_t n = 0;

    do {
        text += n > 0;
        for (int i = 0; i < 4; i++) {
            char *end;
            unsigned long v = strtoul(text, &end, 16);

            if (end == text || end - text > 8 || (i < 3 && *end != '-'))
                return false;
            for (int b = 0; b < 4; b++)
                set->fastopen_key[n][4 * i + b] = (uint8_t)(v >> 8 * b);
            text = end + (i < 3);
        }
    } while (++n < 2 && *text == ',');
    set->fastopen_keys = n;
    return *text == '\0';
}

static bool store(struct plug_set *set, const struct setting *s, const char *value, uint64_t unit,
                  uint64_t over)
{
    static const uint64_t most[] = {[FLAG] = UINT64_MAX,
                                    [NUM8] = UINT8_MAX,
                                    [NUM16] = UINT16_MAX,
                                    [NUM32] = UINT32_MAX,
                                    [NUM64] = UINT64_MAX,
                                    [SPAN] = UINT64_MAX,
                                    [ECN] = 5};
    /* As both systems' sysctls number it. */
    static const uint8_t ecn[] = {ESTAB_ECN_OFF,      ESTAB_ECN_ACTIVE, ESTAB_ECN_PASSIVE,
                                  ESTAB_ECN_ACCURATE, ESTAB_ECN_ACTIVE, ESTAB_ECN_PASSIVE};
    uint8_t *to = (uint8_t *)set + s->at;
    uint64_t n = 0;

    if (s->kind == ADDR)
        return address(set, s->name, value);
    if (s->kind == FASTOPEN)
        return fastopen(set, value);
    if (s->kind == KEYS)
        return fastopen_keys(set, value);
    if (s->kind == CC) {
        if (strcmp(value, "reno") == 0)
            value = "newreno";
        if (strlen(value) >= sizeof set->config.cc)
            return false;
        memcpy(to, value, strlen(value) + 1);
        return true;
    }
    if (s->kind == SPAN && !unit ? !span(value, &n) : !number(value, most[s->kind], &n))
        return false;
    n = s->kind == SPAN && unit ? n * unit : n / over;
    switch (s->kind) {
    case FLAG:
        *(bool *)to = n != 0;
        break;
    case NUM8:
        *to = (uint8_t)n;
        break;
    case ECN:
        *to = ecn[n];
        break;
    case NUM16:
        *(uint16_t *)(void *)to = (uint16_t)n;
        break;
    case NUM32:
        *(uint32_t *)(void *)to = (uint32_t)n;
        break;
    default:
        *(uint64_t *)(void *)to = n;
        break;
    }
    return true;
}

static const struct setting *setting_of(const char *name)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* Whether the core takes it: asked of the core, so that the two never disagree. */
static bool is_possible(const struct plug_set *set)
{
    struct estab_virtual world;
    struct estab_env env;
    estab_stack *s;

    estab_virtual_env(&env, &world, 0);
    if (estab_stack_new(&s, &env, &set->config) != 0)
        return false;
    estab_stack_free(s);
    return set->mtu >= 68 && set->mtu <= 65535;
}

bool plug_set_same(const struct plug_set *a, const struct plug_set *b)
{
    static const size_t width[] = {[FLAG] = sizeof(bool),
                                   [NUM8] = 1,
                                   [NUM16] = 2,
                                   [NUM32] = 4,
                                   [NUM64] = 8,
                                   [SPAN] = 8,
                                   [CC] = sizeof a->config.cc,
                                   [ECN] = 1,
                                   [FASTOPEN] = 0,
                                   [KEYS] = sizeof a->fastopen_key,
                                   [ADDR] = 0};

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (memcmp((const char *)a + settings[i].at, (const char *)b + settings[i].at,
                   width[settings[i].kind]) != 0)
            return false;
    return true;
}

/* ---- the flags' text ---- */

static int set_flag(struct plug_set *set, const char *name, const char *value, char *err)
{
    static const char *const profiles[] = {"rfc", "linux", "freebsd"};
    const struct setting *s = setting_of(name);

    if (strcmp(name, "ver") == 0) {
        if (strcmp(value, "4") == 0 || strcmp(value, "6") == 0 || strcmp(value, "46") == 0)
            return 0; /* both, always: what comes in says which */
    } else if (strcmp(name, "profile") == 0) {
        for (int i = 0; i < 3; i++)
            if (strcmp(value, profiles[i]) == 0) {
                set_profile(set, (enum plug_profile)i);
                return 0;
            }
    } else if (!s) {
        snprintf(err, ESTAB_ERRLEN, "there is no setting '%s'", name);
        return -1;
    } else if (store(set, s, value, 0, 1)) {
        return 0;
    }
    snprintf(err, ESTAB_ERRLEN, "%s=%s: no such value%s", name, value,
             s && s->kind == SPAN ? " (a time is written 200ms, 1.5s, 40us)" : "");
    return -1;
}

/* The profile comes first, wherever it stands: the others change what it sets. */
int plug_set_flags(struct plug_set *set, const char *text, char *err)
{
    size_t room = strlen(text) + 1;
    char *copy = malloc(room), *rest, *item, *value;
    int pass, rc = copy ? 0 : -1;

    for (pass = 0; pass < 2 && rc == 0; pass++) {
        memcpy(copy, text, room);
        for (item = strtok_r(copy, ", ", &rest); item && rc == 0;
             item = strtok_r(NULL, ", ", &rest)) {
            value = strchr(item, '=');
            if (!value) {
                snprintf(err, ESTAB_ERRLEN, "'%s': settings are written name=value", item);
                rc = -1;
                break;
            }
            *value++ = '\0';
            if ((strcmp(item, "profile") == 0) == (pass == 0))
                rc = set_flag(set, item, value, err);
        }
    }
    free(copy);
    if (rc == 0 && !is_possible(set)) {
        snprintf(err, ESTAB_ERRLEN, "'%s': a stack cannot have these settings", text);
        rc = -1;
    }
    return rc;
}

/* ---- sysctls ---- */

/* The `which`th word of value. */
static bool word(const char *value, unsigned which, char *out, size_t cap)
{
    size_t n;

    for (;; value += n) {
        value += strspn(value, " \t\n\"'");
        n = strcspn(value, " \t\n\"'");
        if (n == 0 || n >= cap)
            return false;
        if (which-- == 0)
            break;
    }
    memcpy(out, value, n);
    out[n] = '\0';
    return true;
}

int plug_set_sysctl(struct plug_set *set, const char *name, const char *value, char *err)
{
    struct plug_set changed = *set;
    bool known = false;
    char part[64];

    for (size_t i = 0; i < sizeof partly / sizeof *partly; i++) {
        if (strcmp(partly[i].sysctl, name) != 0)
            continue;
        known = true;
        if (!word(value, 0, part, sizeof part) ||
            (strcmp(part, partly[i].first) != 0 && strcmp(part, partly[i].last) != 0)) {
            snprintf(err, ESTAB_ERRLEN, "%s: estab does not do what '%s' asks for", name, value);
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++) {
        if (strcmp(sysctls[i].sysctl, name) != 0)
            continue;
        known = true;
        if (!word(value, sysctls[i].which, part, sizeof part) ||
            !store(&changed, setting_of(sysctls[i].name), part, sysctls[i].unit, sysctls[i].over)) {
            snprintf(err, ESTAB_ERRLEN, "%s: '%s' is no value of it", name, value);
            return -1;
        }
    }
    if (!known) {
        snprintf(err, ESTAB_ERRLEN, "estab has no setting for %s", name);
        return -2;
    }
    if (!is_possible(&changed)) {
        snprintf(err, ESTAB_ERRLEN, "%s=%s: a stack cannot have this", name, value);
        return -1;
    }
    *set = changed;
    return 0;
}

static void read_proc(struct plug_set *set, const char *sysctl)
{
    char path[128] = "/proc/sys/", value[128], err[ESTAB_ERRLEN];
    size_t n = strlen(path);
    FILE *f;

    for (const char *c = sysctl; *c && n < sizeof path - 1; c++)
        path[n++] = *c == '.' ? '/' : *c;
    path[n] = '\0';
    f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(value, sizeof value, f) && plug_set_sysctl(set, sysctl, value, err) != 0)
        fprintf(stderr, "estab: %s\n", err);
    fclose(f);
}

void plug_set_read_proc(struct plug_set *set)
{
    if (set->profile != PLUG_LINUX)
        return;
    for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++)
        if (strncmp(sysctls[i].sysctl, "net.ipv4.", 9) == 0 &&
            (i == 0 || strcmp(sysctls[i].sysctl, sysctls[i - 1].sysctl) != 0))
            read_proc(set, sysctls[i].sysctl);
}

void plug_set_read_file(struct plug_set *set, const char *dir)
{
    char path[PATH_MAX], line[256], err[ESTAB_ERRLEN], *value;
    FILE *f;

    if (set->profile != PLUG_FREEBSD)
        return;
    snprintf(path, sizeof path, "%s/sysctl", dir);
    f = fopen(path, "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        if (plug_set_sysctl(set, line, value, err) != 0)
            fprintf(stderr, "estab: %s\n", err);
    }
    fclose(f);
}

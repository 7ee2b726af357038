/* SPDX-License-Identifier: BSD-2-Clause */
/* hostile_b_figures_test.c - the B lines of the hostile inputs in figures: how well what a blind
 * attacker must know can be foretold, what his resets do, and what the answers to his own
 * connections tell him about those of others.
 *
 * The figures are printed and stand in doc/HOSTILE.md; the seeds are fixed, so they are the same
 * each time.  What is asserted are bounds far outside chance. */
#include "hostile.h"

#include <math.h>
#include <stdio.h>

#define SAMPLES 10000

static const char *const profiles[] = {"rfc", "linux", "freebsd"};

static struct host *host_of(const char *profile, uint32_t rst_rate)
{
    struct estab_config cfg;

    estab_config_init(&cfg);
    assert_int_equal(estab_config_profile(&cfg, profile), 0);
    if (rst_rate)
        cfg.rst_rate = rst_rate;
    return host_with(&cfg);
}

/* ---- how random numbers look, and how well the next is foretold ---- */

struct series {
    uint32_t v[SAMPLES];
    uint32_t n;
};

/* Of the top eight bits of `bits`; 255 degrees of freedom: 255 by chance, 181 to 343 in all but one
 * case in 2000. */
static double chi_squared(const struct series *s, unsigned bits)
{
    uint32_t n[256] = {0};
    double expected = s->n / 256.0, sum = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n[s->v[i] >> (bits - 8) & 0xff]++;
    for (int i = 0; i < 256; i++)
        sum += (n[i] - expected) * (n[i] - expected) / expected;
    return sum;
}

/* Correlation of each with the next. */
static double serial(const struct series *s)
{
    double mean = 0, var = 0, cov = 0;

    for (uint32_t i = 0; i < s->n; i++)
        mean += s->v[i] / (double)s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        var += (s->v[i] - mean) * (s->v[i] - mean);
        cov += i + 1 < s->n ? (s->v[i] - mean) * (s->v[i + 1] - mean) : 0;
    }
    return cov / var;
}

/* How often the next lies at most `window` ahead of a guess, or as far behind it.  order 0: it is
 * as the last; 1: it has moved as far as the last did; 2: ... and that much farther. */
static uint32_t foretold(const struct series *s, unsigned bits, int order, uint32_t window)
{
    uint32_t mask = (uint32_t)((UINT64_C(1) << bits) - 1), hits = 0;

    for (uint32_t i = 3; i < s->n; i++) {
        const uint32_t *v = &s->v[i];
        uint32_t guess = order == 0   ? v[-1]
                         : order == 1 ? 2 * v[-1] - v[-2]
                                      : 3 * v[-1] - 3 * v[-2] + v[-3];

        hits += ((v[0] - guess + window) & mask) <= 2 * window;
    }
    return hits;
}

/* One line of the table; as good as chance. */
static void judge(const char *what, const struct series *s, unsigned bits, uint32_t window)
{
    double chi = chi_squared(s, bits), r = serial(s);
    double chance = s->n * (2.0 * window + 1) / ldexp(1, (int)bits);

    printf("  %-40s chi2 %5.1f  r %+.3f  foretold", what, chi, r);
    assert_true(chi > 150 && chi < 380);
    assert_true(fabs(r) < 4 / sqrt(s->n));
    for (int order = 0; order < 3; order++) {
        uint32_t hits = foretold(s, bits, order, window);

        printf(" %u", hits);
        assert_true(hits <= 3 * chance + 6);
    }
    printf("  (chance %.2f)\n", chance);
}

/* ---- B4: 10,000 initial sequence numbers, of one tuple and of neighbours; none is a constant
 * after a restart ---- */

static uint32_t ticks(const struct host *h) /* RFC 6528's M */
{
    return (uint32_t)(h->te.now / 4000);
}

/* The ISN and timestamp for a SYN, whose half-open connection is ended at once. */
static uint32_t isn_for(struct host *h, uint16_t pport, uint32_t *ts)
{
    struct peer p = stranger(h, pport);

    open_half(&p, modern, sizeof modern);
    *ts = p.ts_ecr;
    send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq});
    return p.irs;
}

static uint32_t isn_of_connect(struct host *h, uint16_t pport)
{
    struct peer p = stranger(h, pport);

    user_connects(&p, 5000);
    estab_abort(h->s, p.k);
    drain(h);
    return p.irs;
}

static void b4_numbers_of_neighbours(void **state)
{
    static struct series passive, active, cookies, stamps;
    struct estab_config cfg;
    struct host *h = host_with(NULL), *c;
    uint32_t ts;

    (void)state;
    estab_config_init(&cfg);
    cfg.syn_cookies = ESTAB_COOKIES_ALWAYS;
    c = host_with(&cfg);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint16_t pport = (uint16_t)(20000 + i);

        /* The clock is no secret: what is foretold is what is left without it. */
        passive.v[passive.n++] = isn_for(h, pport, &ts) - ticks(h);
        stamps.v[stamps.n++] = ts - (uint32_t)(h->te.now / 1000000);
        active.v[active.n++] = isn_of_connect(h, pport) - ticks(h);
        cookies.v[cookies.n++] = isn_for(c, pport, &ts);
        elapse(h, ESTAB_US(100 + test_rand_below(&h->te, 1000)));
        elapse(c, ESTAB_US(100));
    }
    printf("B4: 10,000 neighbours (the peer's next port); foretold within 65535 from the last, its "
           "step, its growth\n");
    judge("ISN of a SYN,ACK, without the clock", &passive, 32, 65535);
    judge("ISN of a SYN, without the clock", &active, 32, 65535);
    judge("SYN cookies", &cookies, 32, 65535);
    judge("timestamps, without the clock (1 s)", &stamps, 32, 1000);
    host_end(h);
    host_end(c);
}

static void b4_numbers_of_one_tuple(void **state)
{
    struct host *h = host_with(NULL);
    uint32_t last_isn = 0, last_tick = 0, back = 0, off = 0, ts;

    (void)state;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint32_t isn = isn_for(h, 5000, &ts);

        back += i > 0 && (int32_t)(isn - last_isn) <= 0;
        off += i > 0 && isn - last_isn != ticks(h) - last_tick;
        last_isn = isn;
        last_tick = ticks(h);
        elapse(h, ESTAB_US(8 + test_rand_below(&h->te, 2000000)));
    }
    printf(
        "B4: 10,000 of one four-tuple, up to 2 s apart: %u not beyond the last, %u not as far as "
        "RFC 6528's clock\n",
        back, off);
    assert_int_equal(back, 0);
    assert_int_equal(off, 0);
    host_end(h);
}

/* The same four-tuple at the same time, a thousand times after a start with a key of its own. */
static void b4_numbers_after_a_restart(void **state)
{
    static struct series isn, stamp;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        struct host *h = host_seeded(NULL, 1000 + i);
        uint32_t ts;

        isn.v[isn.n++] = isn_for(h, 5000, &ts);
        stamp.v[stamp.n++] = ts;
        host_end(h);
    }
    printf("B4: 1000 restarts, the same four-tuple, the same time\n");
    judge("ISN", &isn, 32, 65535);
    judge("timestamp (1 s)", &stamp, 32, 1000);
}

/* ---- B5: ephemeral ports ---- */

static uint16_t port_to(struct host *h, const char *to, uint16_t pport)
{
    struct estab_addr peer = {.port = pport}, local;
    estab_sock k;

    memcpy(peer.ip, ip(to).b, 16);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &k), 0);
    assert_int_equal(estab_connect(h->s, k, &peer), ESTAB_E_INPROGRESS);
    assert_int_equal(estab_getaddrs(h->s, k, &local, NULL), 0);
    estab_close(h->s, k);
    drain(h);
    return local.port;
}

/* To many destinations a port says nothing about the next; to one the next is 1 to 500 farther on
 * (RFC 6056 section 3.3.5), which only that destination sees. */
static void b5_ports(void **state)
{
    (void)state;
    printf("B5: 10,000 ephemeral ports, in 65536ths of the range; foretold within 16 of these\n");
    for (size_t i = 0; i < 3; i++) {
        static struct series all;
        struct estab_config cfg;
        struct host *h;
        uint32_t range, steps[501] = {0}, most = 0, outside = 0, last;
        char what[64];

        estab_config_init(&cfg);
        assert_int_equal(estab_config_profile(&cfg, profiles[i]), 0);
        range = (uint32_t)(cfg.port_hi - cfg.port_lo) + 1;
        h = host_with(&cfg);
        for (all.n = 0; all.n < SAMPLES; all.n++)
            all.v[all.n] =
                (uint32_t)(port_to(h, "10.0.0.2", (uint16_t)(1000 + all.n)) - cfg.port_lo) *
                65536u / range;
        snprintf(what, sizeof what, "%s, %u to %u, neighbours", profiles[i], cfg.port_lo,
                 cfg.port_hi);
        judge(what, &all, 16, 16);
        last = port_to(h, "10.0.0.2", 80);
        for (uint32_t n = 0; n < SAMPLES; n++) {
            uint32_t port = port_to(h, "10.0.0.2", 80), step = (port + range - last) % range;

            last = port;
            if (step < 1 || step > 500)
                outside++;
            else if (++steps[step] > most)
                most = steps[step];
        }
        printf("  %-40s 1 to 500 farther; the commonest step %u times, others %u\n",
               "... one destination, what it sees itself", most, outside);
        assert_in_range(most, 20, 60);
        host_end(h);
    }
}

/* ---- B6: IP identifications ---- */

static void b6_identifications(void **state)
{
    static struct series big;
    struct host *h = host_with(NULL);
    uint32_t named = 0;
    struct packet k;

    (void)state;
    assert_int_equal(estab_addr_add(h->s, TUN, ip("10.1.0.1").b, 112), 0);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        struct peer p = stranger(h, (uint16_t)(20000 + i));
        char from[32];

        open_half(&p, modern, sizeof modern);
        named += h->answers[0].ip.id != 0;
        send_seg(&p, (struct sg){.flags = SEG_RST, .seq = p.seq});
        snprintf(from, sizeof from, "10.1.%u.%u", i / 250, 2 + i % 250);
        packet_echo(&k, from, "10.1.0.1", 1000);
        assert_int_equal(feed(h, TUN, &k), 1);
        big.v[big.n++] = h->answers[0].ip.id;
        elapse(h, ESTAB_MS(20));
    }
    printf("B6: IP identifications\n"
           "  %u of 10,000 segments have one: they are atomic (RFC 6864)\n",
           named);
    assert_int_equal(named, 0);
    judge("answers to large echoes, neighbours", &big, 16, 16);
    host_end(h);
}

/* ---- B1: 100,000 spoofed RSTs ---- */

struct spoofed {
    uint32_t sent, inside, challenged, reset;
};

/* A thousand a second, until one resets. */
static struct spoofed spoof_resets(struct peer *p, uint32_t n, uint32_t (*number)(struct peer *p))
{
    struct spoofed r = {0};

    mark(p->h);
    while (r.sent < n && state_of(p) == ESTAB_ESTABLISHED) {
        r.challenged += send_seg(p, (struct sg){.flags = SEG_RST, .seq = number(p)});
        r.sent++;
        elapse(p->h, ESTAB_MS(1));
    }
    r.inside = (uint32_t)counted(p->h, RULE_BLIND_RST);
    r.reset = (uint32_t)counted(p->h, RULE_RST_ACCEPTED);
    return r;
}

static uint32_t any_number(struct peer *p)
{
    return (uint32_t)test_rand(&p->h->te);
}
static uint32_t number_in_window(struct peer *p)
{
    return p->seq + 1 + test_rand_below(&p->h->te, 60000);
}
static uint32_t next_number(struct peer *p)
{
    return p->seq;
}

static void b1_spoofed_resets(void **state)
{
    static const struct {
        const char *what;
        uint32_t n;
        uint32_t (*number)(struct peer *p);
        bool resets;
    } all[] = {{"any number", 100000, any_number, false},
               {"inside the window, not exact", 100000, number_in_window, false},
               {"exactly RCV.NXT", 1, next_number, true}};

    (void)state;
    printf("B1: RSTs to one connection, 1000 a second\n");
    for (size_t i = 0; i < 3; i++) {
        struct host *h = host_of(profiles[i], 0);
        struct peer p = stranger(h, 6000);

        open_modern(&p);
        assert_alive(&p);
        for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
            struct spoofed r = spoof_resets(&p, all[n].n, all[n].number);

            printf("  %-8s %-30s sent %6u  in the window %6u  challenge ACKs %4u  reset %u\n",
                   profiles[i], all[n].what, r.sent, r.inside, r.challenged, r.reset);
            assert_int_equal(r.reset, all[n].resets);
            assert_in_range(r.challenged, 0, 5 * (r.sent / 1000 + 1));
        }
        host_end(h);
    }
}

/* ---- B3, CVE-2016-5696: what answers to the attacker's own segments tell about a connection of
 * others ----
 *
 * In each second he forges segments of the victim's, in which a guess is right or wrong, and then
 * counts what his own segments are answered with.  From half of the seconds, of which he knows
 * which guess was right, he learns a threshold; how often that is right about the other half is
 * what he has got. */

enum { SECONDS = 400, FORGED = 250, RST_RATE = 200 };

enum channel {
    OWN_CONNECTION, /* challenge ACKs of his own connection */
    OWN_HALF_OPEN,  /* ... of one that he leaves half open */
    OWN_TIME_WAIT,  /* ... in TIME-WAIT */
    CLOSED_PORT,    /* RSTs: they are limited, too */
    ECHOES,         /* and so are these */
    CHANNELS
};
static const char *const channel_names[] = {"connection", "half-open", "TIME-WAIT", "RSTs",
                                            "echoes"};

struct scene {
    struct host *h;
    struct peer victim, own, waiting;
    uint16_t next_port;
};

static void forge_a_tuple(struct scene *s, bool right)
{
    struct peer p = s->victim;

    p.pport = (uint16_t)(p.pport + !right);
    for (int i = 0; i < FORGED; i++)
        send_seg(&p, (struct sg){.flags = SEG_SYN | SEG_ACK, .seq = 77, .ack = 88, .wnd = 1000});
}

static void forge_a_number(struct scene *s, bool right)
{
    uint32_t seq = s->victim.seq + (right ? 5000 : 0x40000000);

    for (int i = 0; i < FORGED; i++)
        send_seg(&s->victim, (struct sg){.flags = SEG_RST, .seq = seq});
}

static void forge_an_ack(struct scene *s, bool right)
{
    uint32_t ack = s->victim.ack - (right ? 0 : 0x40000000);
    uint8_t opts[12];

    put_ts(opts, s->victim.ts_val, s->victim.ts_ecr);
    for (int i = 0; i < FORGED; i++)
        send_seg(&s->victim, (struct sg){.flags = SEG_ACK,
                                         .seq = s->victim.seq,
                                         .ack = ack,
                                         .wnd = 60000,
                                         .opts = opts,
                                         .opts_len = sizeof opts});
}

static void count_answers(struct scene *s, uint32_t count[CHANNELS])
{
    struct peer half = stranger(s->h, s->next_port++), closed = stranger(s->h, 7002);
    struct packet k;

    memset(count, 0, CHANNELS * sizeof *count);
    open_half(&half, NULL, 0);
    closed.lport = 81;
    packet_echo(&k, "10.0.0.2", "10.0.0.1", 8);
    for (int i = 0; i < FORGED; i++) {
        struct sg rst = {.flags = SEG_RST}, syn = {.flags = SEG_SYN, .wnd = 1000};

        rst.seq = s->own.seq + 5000;
        count[OWN_CONNECTION] += send_seg(&s->own, rst);
        rst.seq = half.seq + 5000;
        count[OWN_HALF_OPEN] += send_seg(&half, rst);
        syn.seq = s->waiting.iss;
        count[OWN_TIME_WAIT] += send_seg(&s->waiting, syn);
        count[CLOSED_PORT] += send_seg(&closed, syn);
        count[ECHOES] += feed(s->h, TUN, &k);
    }
    send_seg(&half, (struct sg){.flags = SEG_RST, .seq = half.seq});
}

struct verdicts {
    double mean[2];
    uint32_t count[SECONDS];
    bool right[SECONDS];
};

/* Of the second half, by what the first half taught. */
static double share_told(const struct verdicts *v)
{
    double threshold, sum[2] = {0}, n[2] = {0};
    uint32_t told = 0;
    bool more;

    for (uint32_t i = 0; i < SECONDS / 2; i++) {
        sum[v->right[i]] += v->count[i];
        n[v->right[i]]++;
    }
    threshold = (sum[0] / n[0] + sum[1] / n[1]) / 2;
    more = sum[1] / n[1] > sum[0] / n[0];
    for (uint32_t i = SECONDS / 2; i < SECONDS; i++)
        told += ((v->count[i] > threshold) == more) == v->right[i];
    return told / (SECONDS / 2.0);
}

static double bits_of(double told)
{
    if (told <= 0 || told >= 1)
        return 1;
    return 1 + told * log2(told) + (1 - told) * log2(1 - told);
}

static struct scene scene_of(const char *profile)
{
    struct estab_config cfg;
    struct scene s = {.next_port = 10000};

    estab_config_init(&cfg);
    assert_int_equal(estab_config_profile(&cfg, profile), 0);
    cfg.rst_rate = RST_RATE;
    cfg.msl = ESTAB_S(1000);
    s.h = host_with(&cfg);
    s.victim = peer_at(s.h, TUN, "10.0.0.9", "10.0.0.1", 40000);
    open_modern(&s.victim);
    assert_alive(&s.victim);
    s.own = stranger(s.h, 7000);
    open_modern(&s.own);
    s.waiting = stranger(s.h, 7001);
    bring_to(&s.waiting, ESTAB_TIME_WAIT);
    return s;
}

static void play(const char *profile, const char *question, void (*forge)(struct scene *s, bool))
{
    static struct verdicts v[CHANNELS];
    struct scene s = scene_of(profile);
    bool right = false;

    for (uint32_t i = 0; i < SECONDS; i++) {
        uint32_t count[CHANNELS];

        right = i % 2 ? !right : test_rand(&s.h->te) >> 63; /* as often as wrong */
        elapse(s.h, ESTAB_S(1) - s.h->te.now % ESTAB_S(1));
        forge(&s, right);
        count_answers(&s, count);
        for (int c = 0; c < CHANNELS; c++) {
            v[c].count[i] = count[c];
            v[c].right[i] = right;
        }
    }
    printf("  %-8s %-22s", profile, question);
    for (int c = 0; c < CHANNELS; c++) {
        double told = share_told(&v[c]);

        printf("  %s %.2f", channel_names[c], bits_of(told));
        if (told < 0.35 || told > 0.65)
            fail_msg("%s, %s: %.0f %% are told by %s", profile, question, 100 * told,
                     channel_names[c]);
    }
    puts("");
    assert_alive(&s.victim);
    assert_alive(&s.own);
    host_end(s.h);
}

static void b3_side_channels(void **state)
{
    (void)state;
    printf("B3: bits that a second of 250 forged segments yields, by what the attacker's own are "
           "answered with\n");
    for (size_t i = 0; i < 3; i++) {
        play(profiles[i], "is there a connection", forge_a_tuple);
        play(profiles[i], "is SEQ in the window", forge_a_number);
        play(profiles[i], "is ACK acceptable", forge_an_ack);
    }
}

/* ---- B7: forged ICMP errors: the number they quote must be in flight, of every kind; a quote may
 * be cut off; a connection that is established ends by none; source quench is ignored ---- */

enum { UNREACH = 3, QUENCH = 4, EXCEEDED = 11, PROBLEM = 12, NEEDS_FRAG = 4 };

static void forge_icmp(const struct peer *p, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq,
                       size_t quoted)
{
    uint8_t msg[ICMP_HDR_LEN + IP4_HDR_LEN + 8] = {type, code}, *q = msg + ICMP_HDR_LEN;
    struct ip_hdr h = {.version = 4, .proto = IPPROTO_TCP_, .hop_limit = 60, .payload_len = 1480};
    struct packet k;

    be16_put(msg + 6, mtu);
    memcpy(h.src, p->host_ip.b, 16);
    memcpy(h.dst, p->ip.b, 16);
    ip4_emit(&h, q);
    be16_put(q + IP4_HDR_LEN, p->lport);
    be16_put(q + IP4_HDR_LEN + 2, p->pport);
    be32_put(q + IP4_HDR_LEN + 4, seq);
    packet_icmp(&k, ip("10.0.0.77").b, p->host_ip.b, 60, msg, ICMP_HDR_LEN + quoted);
    feed(p->h, p->port, &k);
}

static void b7_forged_icmp(void **state)
{
    static const struct {
        uint8_t type, code;
        uint16_t mtu;
    } kinds[] = {{UNREACH, 0, 0},
                 {UNREACH, 1, 0},
                 {UNREACH, 2, 0},
                 {UNREACH, 3, 0},
                 {UNREACH, 13, 0},
                 {UNREACH, NEEDS_FRAG, 0},
                 {UNREACH, NEEDS_FRAG, 68},
                 {UNREACH, NEEDS_FRAG, 296},
                 {UNREACH, NEEDS_FRAG, 1279},
                 {EXCEEDED, 0, 0},
                 {PROBLEM, 0, 0},
                 {QUENCH, 0, 0}};
    const size_t nkinds = sizeof kinds / sizeof *kinds;
    struct host *h = host_with(NULL);
    struct peer p = stranger(h, 6000);
    static uint8_t text[4380];
    uint32_t mss;

    (void)state;
    open_passive_with(&p, (const uint8_t[]){2, 4, 0x05, 0xb4}, 4);
    user_sends(&p, text, sizeof text);
    drain(h);
    mss = info_of(&p).snd_mss;
    mark(h);
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t off = (uint32_t)sizeof text + test_rand_below(&h->te, UINT32_MAX - sizeof text);
        size_t n = i % nkinds;

        forge_icmp(&p, kinds[n].type, kinds[n].code, kinds[n].mtu, p.una + off, IP4_HDR_LEN + 8);
    }
    printf(
        "B7: 100,000 ICMP errors of 12 kinds about a number not in flight: %u believed, MSS still "
        "%u\n",
        (unsigned)(100000 - counted(h, RULE_ICMP_QUOTE) - counted(h, RULE_ICMP_IGNORED)),
        info_of(&p).snd_mss);
    assert_int_equal(info_of(&p).snd_mss, mss);
    assert_int_equal(counted(h, RULE_ICMP_QUOTE) + counted(h, RULE_ICMP_IGNORED), 100000);
    for (size_t n = 0; n < nkinds; n++) /* without the number, and then with the right one */
        for (size_t quoted = 0; quoted < IP4_HDR_LEN + 8; quoted++)
            forge_icmp(&p, kinds[n].type, kinds[n].code, kinds[n].mtu, p.una, quoted);
    assert_int_equal(info_of(&p).snd_mss, mss);
    for (size_t n = 0; n < nkinds; n++)
        forge_icmp(&p, kinds[n].type, kinds[n].code, kinds[n].mtu, p.una, IP4_HDR_LEN + 8);
    printf("B7: with a number in flight: %s, MSS %u\n", estab_state_name(state_of(&p)),
           info_of(&p).snd_mss);
    assert_int_equal(state_of(&p), ESTAB_ESTABLISHED);
    assert_int_equal(info_of(&p).snd_mss, 512); /* the least path MTU that is believed: 552 */
    p.ack = p.una + (uint32_t)sizeof text;
    elapse(h, ESTAB_S(60)); /* it goes again in smaller pieces */
    say(&p, SEG_ACK, NULL, 0);
    assert_alive(&p);
    host_end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b1_spoofed_resets),          cmocka_unit_test(b3_side_channels),
        cmocka_unit_test(b4_numbers_of_neighbours),   cmocka_unit_test(b4_numbers_of_one_tuple),
        cmocka_unit_test(b4_numbers_after_a_restart), cmocka_unit_test(b5_ports),
        cmocka_unit_test(b6_identifications),         cmocka_unit_test(b7_forged_icmp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

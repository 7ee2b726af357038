/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_redirect_test.c - redirects: who is believed, what follows, for how long, and for how many
 * (RFC 792, RFC 1122 section 3.2.2.2, RFC 4861 section 8). */
#include "ip_net.h"
#include "stack/stack.h"

#define US4     "10.0.1.1"
#define US6     "2001:db8:1::1"
#define HIM4    "192.0.2.1"
#define HIM6    "2001:db8:99::1"
#define OLD4    "10.0.1.254"
#define OLD6    "fe80::fe"
#define NEW4    "10.0.1.253"
#define NEW6    "fe80::fd"
#define OLD_MAC MAC_N(254)
#define NEW_MAC MAC_N(253)

struct redirect {     /* what a test does not say is as it should be */
    const char *from; /* the gateway in use */
    const char *via;  /* the better one */
    const char *dst;  /* of the datagram that is quoted */
    const char *to;   /* v6: the destination it speaks of, if it is not that */
    uint32_t seq;
    uint16_t sport, dport;
    uint8_t hop_limit, code;
    bool ip6; /* ... or what dst says */
    bool no_quote, lladdr;
    struct mac link;
};

/* ICMP's as of RFC 792, ICMPv6's as of RFC 4861 section 4.5. */
static void packet_redirect(struct packet *k, const struct redirect *r)
{
    bool v6 = r->ip6 || (r->dst && !ip_is4(ip(r->dst).b));
    const char *from = r->from ? r->from : v6 ? OLD6 : OLD4;
    const char *via = r->via ? r->via : v6 ? NEW6 : NEW4;
    const char *dst = r->dst ? r->dst : v6 ? HIM6 : HIM4;
    struct icmp m = {.type = v6 ? ICMP6_REDIRECT : ICMP4_REDIRECT, .code = r->code};
    uint8_t tcp[20] = {0}, msg[200] = {0}, *p = msg + ICMP_HDR_LEN;
    static struct packet q;

    be16_put(tcp, r->sport ? r->sport : 0x1234);
    be16_put(tcp + 2, r->dport ? r->dport : 80);
    be32_put(tcp + 4, r->seq);
    packet_ip(&q, ip(v6 ? US6 : US4).b, ip(dst).b, IPPROTO_TCP_, 63, tcp, sizeof tcp);
    if (!v6)
        m.rest = be32_at(ip(via).b + 12);
    icmp_emit(&m, msg);
    if (v6) {
        memcpy(p, ip(via).b, 16);
        memcpy(p + 16, ip(r->to ? r->to : dst).b, 16);
        p += 32;
        if (r->lladdr) {
            p[0] = 2;
            p[1] = 1;
            memcpy(p + 2, NEW_MAC.b, 6);
            p += 8;
        }
        if (!r->no_quote) {
            p[0] = 4;
            p[1] = (uint8_t)(1 + (q.len + 7) / 8);
            memcpy(p + 8, q.b, q.len);
            p += (size_t)p[1] * 8;
        }
    } else {
        memcpy(p, q.b, q.len);
        p += q.len;
    }
    packet_icmp(k, ip(from).b, ip(v6 ? US6 : US4).b, r->hop_limit ? r->hop_limit : 255, msg,
                (size_t)(p - msg));
    packet_link(k, r->link.b[0] ? r->link : OLD_MAC, OUR_MAC);
}

/* ---- the internet layer alone ---- */

static int redirect_setup(void **state)
{
    struct net *n;

    (void)net_setup(state);
    n = *state;
    n->l.accept_redirects = true;
    assert_int_equal(ip_route_add(&n->l, TAP, ip("0.0.0.0").b, 96, ip(OLD4).b), 0);
    assert_int_equal(ip_route_add(&n->l, TAP, ip("::").b, 0, ip(OLD6).b), 0);
    return 0;
}

static enum ip_verdict redirected(struct net *n, struct redirect r)
{
    static struct packet k;

    packet_redirect(&k, &r);
    return give_cut(n, TAP, &k, 14 + 28, 14 + 50, 0);
}

static void assert_next_hop(struct net *n, const char *dst, const char *via)
{
    struct ip_hop hop;

    assert_true(ip_route_find(&n->l, ip(dst).b, -1, &hop));
    assert_addr(hop.addr, via);
    assert_int_equal(hop.gateway, strcmp(dst, via) != 0);
}

/* Believed as far as the internet layer can tell; the rest is the transport's to say. */
static void believe(struct net *n, struct redirect r)
{
    assert_int_equal(redirected(n, r), IP_ERROR);
    assert_int_equal(n->e.meaning, ICMP_MEANS_REDIRECT);
    ip_redirect(&n->l, n->e.port, n->e.quote.ip.dst, n->e.via);
}

/* A path that is kept goes elsewhere, and asks who that is. [RFC1122-3.2.2.2-1, RFC4861-8.3-1] */
static void test_a_path_goes_elsewhere(void **state)
{
    static const char *const dst[] = {HIM4, HIM6}, *const via[] = {NEW4, NEW6};
    struct net *n = *state;
    struct ip_path p;

    for (int i = 0; i < 2; i++) {
        assert_next_hop(n, dst[i], i ? OLD6 : OLD4);
        assert_int_equal(ip_path_find(&n->l, ip(dst[i]).b, NULL, -1, &p), 0);
        (void)ip_path_ready(&n->l, &p, ip(dst[i]).b);
        assert_addr(n->l.neigh[p.neigh].addr, i ? OLD6 : OLD4);
        believe(n, (struct redirect){.ip6 = i == 1, .lladdr = true});
        assert_next_hop(n, dst[i], via[i]);
        (void)ip_path_ready(&n->l, &p, ip(dst[i]).b);
        assert_addr(n->l.neigh[p.neigh].addr, via[i]);
    }
    assert_next_hop(n, "192.0.2.2", OLD4); /* a host, not its net */
    assert_next_hop(n, "2001:db8:99::2", OLD6);
    assert_rule(n, RULE_REDIRECTED, 2);
}

/* RFC 1122 section 3.2.2.2: of a net, and of a type of service. */
static void test_every_code(void **state)
{
    static const char *const dst[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"};
    struct net *n = *state;

    for (uint8_t code = 0; code < 4; code++) {
        believe(n, (struct redirect){.dst = dst[code], .code = code});
        assert_next_hop(n, dst[code], NEW4);
    }
    assert_next_hop(n, "192.0.2.5", OLD4);
    assert_int_equal(redirected(n, (struct redirect){.code = 4}), IP_DONE);
}

/* RFC 4861 section 8.3: the target is the destination: it is on the link. */
static void test_the_destination_is_a_neighbour(void **state)
{
    struct net *n = *state;

    believe(n, (struct redirect){.ip6 = true, .via = HIM6});
    assert_next_hop(n, HIM6, HIM6);
}

/* What nobody but a forger sends. */
static void test_B9_forged(void **state)
{
    static const struct redirect forged[] = {
        {.from = "10.0.1.9"},                   /* not the gateway */
        {.from = NEW4},                         /* not yet the gateway */
        {.from = "192.0.2.77"},                 /* from afar */
        {.via = "10.0.0.9"},                    /* on another link of ours */
        {.via = "192.0.2.9"},                   /* on no link */
        {.via = HIM4},                          /* the destination itself, afar */
        {.via = US4},                           /* ourselves */
        {.via = "10.0.1.255"},                  /* everybody */
        {.via = "224.0.0.1"},                   /* a group */
        {.via = "127.0.0.1"},                   /* loopback */
        {.via = "0.0.0.0"},                     /* nobody */
        {.dst = "10.0.1.7"},                    /* has no gateway */
        {.dst = "10.0.0.7"},                    /* is behind another port */
        {.ip6 = true, .from = "fe80::9"},       /* not the router */
        {.ip6 = true, .from = "2001:db8:1::9"}, /* not link-local */
        {.ip6 = true, .hop_limit = 254},        /* from beyond the link */
        {.ip6 = true, .via = "2001:db8:1::9"},  /* neither link-local nor the destination */
        {.ip6 = true, .via = "2001:db8:99::2"}, /* as well */
        {.ip6 = true, .via = "ff02::1"},        /* a group */
        {.ip6 = true, .to = "2001:db8:99::2"},  /* speaks of another than it quotes */
        {.ip6 = true, .no_quote = true},        /* quotes nothing */
        {.dst = "2001:db8:1::7"},               /* has no router */
    };
    struct net *n = *state;
    uint32_t gen = n->l.path_gen;

    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        assert_int_equal(redirected(n, forged[i]), IP_DONE);
        assert_rule(n, RULE_REDIRECT, i + 1);
    }
    assert_int_equal(redirected(n, (struct redirect){.ip6 = true, .code = 1}), IP_DONE);
    assert_next_hop(n, HIM4, OLD4);
    assert_next_hop(n, HIM6, OLD6);
    assert_int_equal(n->l.path_gen, gen);
}

/* Cut off anywhere, it is nothing. */
static void test_B9_cut_off(void **state)
{
    struct net *n = *state;
    struct redirect r = {.ip6 = true, .lladdr = true};
    static struct packet whole, k;

    packet_redirect(&whole, &r);
    for (size_t len = ICMP_HDR_LEN; len < 32 + 8 + 8 + 40 + 8; len++) {
        packet_icmp(&k, ip(OLD6).b, ip(US6).b, 255, whole.b + ETH_HDR_LEN + IP6_HDR_LEN, len);
        packet_link(&k, OLD_MAC, OUR_MAC);
        (void)give(n, TAP, &k);
    }
    assert_int_equal(n->rules.n[RULE_REDIRECT] + n->rules.n[RULE_ICMP_MALFORMED], 88);
}

static void test_a_host_may_refuse_them(void **state)
{
    struct net *n = *state;

    n->l.accept_redirects = false;
    assert_int_equal(redirected(n, (struct redirect){0}), IP_DONE);
    assert_int_equal(redirected(n, (struct redirect){.ip6 = true}), IP_DONE);
    assert_rule(n, RULE_ICMP_IGNORED, 2);
}

/* They are forgotten after ten minutes, and the paths are found anew. */
static void test_ageing(void **state)
{
    struct net *n = *state;
    uint32_t gen;

    believe(n, (struct redirect){0});
    pass(n, ESTAB_S(599));
    assert_next_hop(n, HIM4, NEW4);
    gen = n->l.path_gen;
    pass(n, ESTAB_S(2));
    assert_next_hop(n, HIM4, OLD4);
    assert_int_not_equal(n->l.path_gen, gen);
}

/* The new gateway sends on, too. */
static void test_twice(void **state)
{
    struct net *n = *state;

    believe(n, (struct redirect){0});
    assert_int_equal(redirected(n, (struct redirect){.via = "10.0.1.252"}), IP_DONE); /* the old */
    believe(n, (struct redirect){.from = NEW4, .via = "10.0.1.252"});
    assert_next_hop(n, HIM4, "10.0.1.252");
}

/* RFC 1122 section 3.3.1.5: one that does not answer is left again. */
static void test_a_dead_gateway(void **state)
{
    struct net *n = *state;
    struct ip_path p;

    believe(n, (struct redirect){0});
    assert_int_equal(ip_path_find(&n->l, ip(HIM4).b, NULL, -1, &p), 0);
    assert_int_equal(ip_path_ready(&n->l, &p, ip(HIM4).b), IP_WAIT);
    pass(n, ESTAB_S(10));
    assert_next_hop(n, HIM4, OLD4);
}

/* Of many destinations the latest are remembered. */
static void test_the_bound(void **state)
{
    struct net *n = *state;
    char dst[40];

    for (int i = 0; i < 3 * IP_REDIRECTS_MAX; i++) {
        snprintf(dst, sizeof dst, "192.0.%d.%d", i / 200, i % 200 + 1);
        believe(n, (struct redirect){.dst = dst});
        n->env.now += ESTAB_MS(1);
    }
    assert_int_equal(n->l.nredirects, IP_REDIRECTS_MAX);
    for (int i = 0; i < 3 * IP_REDIRECTS_MAX; i++) {
        snprintf(dst, sizeof dst, "192.0.%d.%d", i / 200, i % 200 + 1);
        assert_next_hop(n, dst, i < 2 * IP_REDIRECTS_MAX ? OLD4 : NEW4);
    }
}

/* ---- a connection ---- */

struct host {
    struct test_env te;
    struct estab_env env;
    estab_stack *s;
    estab_sock k;
    uint8_t to[6]; /* of the last frame */
    struct seg seg;
    bool v6;
};

/* Takes what there is to send and answers whoever is asked for; the last segment of TCP stays. */
static uint32_t take_segments(struct host *h)
{
    struct estab_frame f;
    uint32_t n = 0;
    static struct packet k;

    while (estab_output(h->s, 0, &f, 1) == 1) {
        uint8_t b[2000] = {0};
        size_t len = 0;

        for (uint32_t i = 0; i < f.niov; i++) {
            memcpy(b + len, f.iov[i].base, f.iov[i].len);
            len += f.iov[i].len;
        }
        if (be16_at(b + 12) == ETHERTYPE_ARP) {
            char who[20];

            snprintf(who, sizeof who, "10.0.1.%d", b[41]);
            packet_arp(&k, ARP_REPLY, MAC_N(b[41]), who, US4, OUR_MAC);
        } else if (b[14] >> 4 == 6 && b[20] == IPPROTO_ICMP6) {
            struct nd m = {.router = true, .solicited = true, .override = true, .has_lladdr = true};
            uint8_t msg[ND_MAX_LEN];
            size_t msg_len;

            memcpy(m.target, b + 14 + 40 + 8, 16);
            memcpy(m.lladdr, MAC_N(m.target[15]).b, 6);
            msg_len = nd_emit(&m, ICMP6_NEIGHBOUR_ADVERT, msg);
            packet_icmp(&k, m.target, b + 14 + 8, 255, msg, msg_len);
            packet_link(&k, MAC_N(m.target[15]), OUR_MAC);
        } else {
            size_t at = h->v6 ? 54 : 34;
            struct pieces text = {.n = 1, .len = (uint32_t)(len - at)};

            text.v[0].base = b + at;
            text.v[0].len = len - at;
            assert_int_equal(tcp_parse(&h->seg, b + at, len - at, &text), RULE_NONE);
            memcpy(h->to, b, 6);
            n++;
            continue;
        }
        f = (struct estab_frame){.iov = {{k.b, k.len}}, .niov = 1};
        assert_int_equal(estab_input(h->s, 0, &f, 1), 0);
    }
    return n;
}

static void host_begins(struct host *h, bool v6)
{
    struct estab_port_caps caps = tap_caps();
    struct estab_config cfg;
    struct estab_addr to = {.port = 80};

    memset(h, 0, sizeof *h);
    h->v6 = v6;
    h->te.now = ESTAB_S(100);
    h->te.rng = 7;
    h->env = test_env_make(&h->te);
    estab_config_init(&cfg);
    assert_true(cfg.accept_redirects);
    assert_int_equal(estab_stack_new(&h->s, &h->env, &cfg), 0);
    assert_int_equal(estab_port_add(h->s, &caps), 0);
    assert_int_equal(ip_addr_add(&h->s->ip, 0, ip(v6 ? US6 : US4).b, v6 ? 64 : 120), 0);
    assert_int_equal(ip_route_add(&h->s->ip, 0, ip(v6 ? "::" : "0.0.0.0").b, v6 ? 0 : 96,
                                  ip(v6 ? OLD6 : OLD4).b),
                     0);
    memcpy(to.ip, ip(v6 ? HIM6 : HIM4).b, 16);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &h->k), 0);
    (void)estab_connect(h->s, h->k, &to);
}

static void host_ends(struct host *h)
{
    estab_stack_free(h->s);
    assert_int_equal(h->te.live, 0);
}

static void gateway_says(struct host *h, struct redirect r)
{
    struct estab_frame f;
    static struct packet k;

    r.ip6 = h->v6;
    r.sport = h->seg.sport;
    r.dport = r.dport ? r.dport : 80;
    packet_redirect(&k, &r);
    f = (struct estab_frame){.iov = {{k.b, k.len}}, .niov = 1};
    assert_int_equal(estab_input(h->s, 0, &f, 1), 0);
}

/* What is in flight when the gateway speaks goes again by the better way.  Whoever does not know
 * the number is not believed. [RFC1122-3.2.2.2-1, RFC4861-8.3-1] */
static void test_a_connection_is_redirected(void **state)
{
    struct host h;

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        uint32_t seq;

        host_begins(&h, v6);
        assert_int_equal(take_segments(&h), 1);
        assert_memory_equal(h.to, OLD_MAC.b, 6);
        seq = h.seg.seq.n;
        gateway_says(&h, (struct redirect){.seq = seq - 1});
        gateway_says(&h, (struct redirect){.seq = seq + 2});
        gateway_says(&h, (struct redirect){.seq = seq, .dport = 81});
        assert_int_equal(estab_rule_count(h.s, RULE_ICMP_QUOTE), 3);
        assert_int_equal(estab_rule_count(h.s, RULE_REDIRECTED), 0);
        h.te.now += ESTAB_MS(1001);
        estab_expire(h.s);
        assert_int_equal(take_segments(&h), 1);
        assert_memory_equal(h.to, OLD_MAC.b, 6);
        gateway_says(&h, (struct redirect){.seq = seq});
        assert_int_equal(estab_rule_count(h.s, RULE_REDIRECTED), 1);
        h.te.now += ESTAB_MS(2001);
        estab_expire(h.s);
        assert_int_equal(take_segments(&h), 1);
        assert_memory_equal(h.to, NEW_MAC.b, 6);
        host_ends(&h);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, redirect_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_path_goes_elsewhere),
        T(test_every_code),
        T(test_the_destination_is_a_neighbour),
        T(test_B9_forged),
        T(test_B9_cut_off),
        T(test_a_host_may_refuse_them),
        T(test_ageing),
        T(test_twice),
        T(test_a_dead_gateway),
        T(test_the_bound),
        cmocka_unit_test(test_a_connection_is_redirected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

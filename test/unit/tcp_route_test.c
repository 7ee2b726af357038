/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_route_test.c - source routes of connections over IPv4, by the octets on the wire: RFC 9293
 * section 3.9.2.1, RFC 791 section 3.1, RFC 1122 section 3.2.1.8. */
#include "ip_net.h"
#include "stack/stack.h"

#define US  "10.0.0.1"
#define HIM "192.0.2.1"

enum { LSRR = 131, SSRR = 137 };

struct seen { /* a segment that the stack sent */
    uint8_t b[2000];
    size_t len, at; /* at: where TCP begins */
    uint8_t flags;
    uint32_t seq, ack, text;
    uint16_t mss, sport;
};
struct host {
    struct test_env te;
    estab_stack *s;
    estab_sock k;
    struct seen last;
    uint32_t nsent, isn;
    uint16_t port; /* his */
};

static void begins_on(struct host *h, bool routes, const struct estab_port_caps *caps)
{
    struct estab_config cfg;
    struct estab_env env;

    memset(h, 0, sizeof *h);
    h->te.now = ESTAB_S(100);
    h->te.rng = 7;
    h->isn = 5000;
    h->port = 1000;
    env = test_env_make(&h->te);
    estab_config_init(&cfg);
    assert_false(cfg.source_routes);
    cfg.source_routes = routes;
    assert_int_equal(estab_stack_new(&h->s, &env, &cfg), 0);
    assert_int_equal(estab_port_add(h->s, caps), 0);
    assert_int_equal(ip_addr_add(&h->s->ip, 0, ip(US).b, 120), 0);
    assert_int_equal(ip_route_add(&h->s->ip, 0, ip("0.0.0.0").b, 96, NULL), 0);
    assert_int_equal(estab_socket(h->s, ESTAB_TCP, &h->k), 0);
}
static void host_begins(struct host *h, bool routes)
{
    const struct estab_port_caps caps = tun_caps();

    begins_on(h, routes, &caps);
}
static void host_ends(struct host *h)
{
    estab_stack_free(h->s);
    assert_int_equal(h->te.live, 0);
}

static struct estab_addr addr(const char *text, uint16_t port)
{
    struct estab_addr a = {.port = port};

    memcpy(a.ip, ip(text).b, 16);
    return a;
}

/* Verifies both checksums: TCP's pseudo header has the final destination. */
static void look(struct host *h, const struct estab_frame *f)
{
    struct seen *s = &h->last;
    struct pieces all = {.n = 1};
    struct seg g;
    uint64_t sum;
    uint8_t *tcp;

    s->len = 0;
    for (uint32_t i = 0; i < f->niov; i++) {
        memcpy(s->b + s->len, f->iov[i].base, f->iov[i].len);
        s->len += f->iov[i].len;
    }
    s->at = (size_t)(s->b[0] & 0xfu) * 4;
    assert_int_equal(s->b[0] >> 4, 4);
    assert_int_equal(be16_at(s->b + 2), s->len);
    assert_true(s->len <= 1500);
    assert_int_equal(csum_fold(csum_add(0, s->b, s->at)), 0xffff);
    tcp = s->b + s->at;
    sum = ip_pseudo(ip(US).b, ip(HIM).b, IPPROTO_TCP_, (uint32_t)(s->len - s->at));
    assert_int_equal(csum_fold(csum_add(sum, tcp, s->len - s->at)), 0xffff);
    all.v[0].base = tcp;
    all.v[0].len = s->len - s->at;
    all.len = (uint32_t)(s->len - s->at);
    assert_int_equal(tcp_parse(&g, tcp, s->len - s->at, &all), RULE_NONE);
    s->flags = g.flags;
    s->seq = g.seq.n;
    s->ack = g.ack.n;
    s->text = g.text.len;
    s->mss = g.opt.mss;
    s->sport = g.sport;
    h->nsent++;
}

static bool take_one(struct host *h)
{
    struct estab_frame f;

    if (estab_output(h->s, 0, &f, 1) != 1)
        return false;
    look(h, &f);
    return true;
}

static uint32_t collect(struct host *h)
{
    uint32_t n = 0;

    while (take_one(h))
        n++;
    return n;
}

/* A segment of his with IP options. */
static void arrives(struct host *h, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t dport,
                    const uint8_t *opts, size_t opts_len, const char *text)
{
    uint8_t b[200] = {0}, *tcp = b + 20 + opts_len;
    size_t len = strnlen(text, 100), tcp_len = 20 + len;
    struct estab_frame f = {.iov = {{b, 20 + opts_len + tcp_len}}, .niov = 1};
    uint16_t csum;

    assert_int_equal(opts_len % 4, 0);
    b[0] = (uint8_t)(0x40 | (20 + opts_len) / 4);
    be16_put(b + 2, (uint16_t)f.iov[0].len);
    b[8] = 60;
    b[9] = IPPROTO_TCP_;
    memcpy(b + 12, ip(HIM).b + 12, 4);
    memcpy(b + 16, ip(US).b + 12, 4);
    if (opts_len)
        memcpy(b + 20, opts, opts_len);
    csum = csum_of(0, b, 20 + opts_len);
    memcpy(b + 10, &csum, 2);
    be16_put(tcp, h->port);
    be16_put(tcp + 2, dport);
    be32_put(tcp + 4, seq);
    be32_put(tcp + 8, ack);
    tcp[12] = 0x50;
    tcp[13] = flags;
    be16_put(tcp + 14, 60000);
    memcpy(tcp + 20, text, len);
    csum = csum_of(ip_pseudo(ip(HIM).b, ip(US).b, IPPROTO_TCP_, (uint32_t)tcp_len), tcp, tcp_len);
    memcpy(tcp + 16, &csum, 2);
    assert_int_equal(estab_input(h->s, 0, &f, 1), 0);
}

static void assert_dst(const struct host *h, const char *dst)
{
    assert_memory_equal(h->last.b + 16, ip(dst).b + 12, 4);
}
#define assert_opts(h, ...)                                                                        \
    do {                                                                                           \
        static const uint8_t want[] = {__VA_ARGS__};                                               \
        assert_int_equal((h)->last.at, 20 + sizeof want);                                          \
        assert_memory_equal((h)->last.b + 20, want, sizeof want);                                  \
    } while (0)

static void goes_by(struct host *h, const char *const *via, size_t n, bool strict, int result)
{
    struct estab_addr hops[12];

    for (size_t i = 0; i < n; i++)
        hops[i] = addr(via[i], 0);
    assert_int_equal(estab_source_route(h->s, h->k, hops, n, strict), result);
}

/* ---- the user's ---- */

/* [MUST-51] */
static void every_segment_goes_by_the_users_route(void **state)
{
    static const char *const via[] = {"10.0.0.8", "172.16.0.9"};
    struct estab_addr him = addr(HIM, 80);
    struct host h;

    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        host_begins(&h, true);
        goes_by(&h, via, 2, strict == 1, 0);
        assert_int_equal(estab_connect(h.s, h.k, &him), ESTAB_E_INPROGRESS);
        assert_int_equal(collect(&h), 1);
        assert_int_equal(h.last.flags & SEG_SYN, SEG_SYN);
        assert_dst(&h, "10.0.0.8");
        if (strict)
            assert_opts(&h, SSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        else
            assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        assert_int_equal(h.last.mss,
                         1460); /* RFC 6691: options are not taken off what is announced */
        h.port = 80;
        arrives(&h, SEG_SYN | SEG_ACK, h.isn, h.last.seq + 1, h.last.sport, NULL, 0, "");
        assert_int_equal(collect(&h), 1);
        assert_dst(&h, "10.0.0.8");
        assert_int_equal(h.last.at, 32);
        assert_int_equal(h.last.flags, SEG_ACK);
        host_ends(&h);
    }
}

/* A gateway's error is about the connection, though the datagram is on its way to the gateway. */
static void errors_find_the_connection(void **state)
{
    static const char *const via[] = {"10.0.0.8", "172.16.0.9"};
    struct estab_addr him = addr(HIM, 80);
    uint8_t msg[ICMP_HDR_LEN + 40] = {ICMP4_UNREACH, 3};
    static struct packet k;
    struct estab_frame f;
    uint64_t err = 0;
    struct host h;

    (void)state;
    host_begins(&h, true);
    goes_by(&h, via, 2, false, 0);
    assert_int_equal(estab_connect(h.s, h.k, &him), ESTAB_E_INPROGRESS);
    assert_int_equal(collect(&h), 1);
    memcpy(msg + ICMP_HDR_LEN, h.last.b, 40);
    packet_icmp(&k, ip("10.0.0.8").b, ip(US).b, 64, msg, sizeof msg);
    f = (struct estab_frame){.iov = {{k.b, k.len}}, .niov = 1};
    assert_int_equal(estab_input(h.s, 0, &f, 1), 0);
    assert_int_equal(estab_getopt(h.s, h.k, ESTAB_O_ERROR, &err), 0);
    assert_int_equal(err, -ESTAB_E_REFUSED);
    host_ends(&h);
}

/* Nine gateways fill the header. */
static void nine_gateways(void **state)
{
    static const char *const via[] = {"10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1", "10.5.0.1",
                                      "10.6.0.1", "10.7.0.1", "10.8.0.1", "10.9.0.1"};
    struct estab_addr him = addr(HIM, 80);
    struct host h;

    (void)state;
    host_begins(&h, true);
    goes_by(&h, via, 9, false, 0);
    assert_int_equal(estab_connect(h.s, h.k, &him), ESTAB_E_INPROGRESS);
    assert_int_equal(collect(&h), 1);
    assert_dst(&h, "10.1.0.1");
    assert_int_equal(h.last.at, 60);
    assert_int_equal(h.last.b[21], 39);
    assert_memory_equal(h.last.b + 23, ip("10.2.0.1").b + 12, 4);
    assert_memory_equal(h.last.b + 55, ip(HIM).b + 12, 4);
    host_ends(&h);
}

/* To him, by way of n gateways; he says no MSS, which is 536 then. */
static void opens_by(struct host *h, const char *const *via, size_t n)
{
    struct estab_addr him = addr(HIM, 80);

    goes_by(h, via, n, false, 0);
    assert_int_equal(estab_connect(h->s, h->k, &him), ESTAB_E_INPROGRESS);
    (void)collect(h);
    h->port = 80;
    arrives(h, SEG_SYN | SEG_ACK, h->isn, h->last.seq + 1, h->last.sport, NULL, 0, "");
    (void)collect(h);
}

/* RFC 6691 section 2: the text of a segment gives way to the options. */
static void text_gives_way_to_the_option(void **state)
{
    static const char *const via[] = {"10.0.0.8", "172.16.0.9"};
    static uint8_t text[5000];
    struct estab_iov v = {text, sizeof text};
    struct estab_tcp_info i = {.size = sizeof i};
    struct host h;
    uint32_t total = 0;

    (void)state;
    host_begins(&h, true);
    opens_by(&h, via, 2);
    assert_int_equal(estab_tcp_info(h.s, h.k, &i), 0);
    assert_int_equal(i.snd_mss, 536 - 12);
    assert_int_equal(estab_send(h.s, h.k, &v, 1, 0), sizeof text);
    while (take_one(&h)) {
        assert_dst(&h, "10.0.0.8");
        assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        assert_true(h.last.text <= 524);
        total += h.last.text;
    }
    assert_int_equal(total, sizeof text);
    host_ends(&h);
}

/* RFC 791 section 3.1 has packets of 68 octets arrive everywhere: a header of 60 and one of TCP's
 * with timestamps leave nothing of that, and text goes all the same, eight octets at a time. */
static void a_header_longer_than_the_mss_leaves_room_for_text(void **state)
{
    static const char *const via[] = {"10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1", "10.5.0.1",
                                      "10.6.0.1", "10.7.0.1", "10.8.0.1", "10.9.0.1"};
    static uint8_t text[200];
    struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 68};
    struct estab_iov v = {text, sizeof text};
    struct estab_tcp_info i = {.size = sizeof i};
    uint32_t total = 0;
    struct host h;

    (void)state;
    begins_on(&h, true, &caps);
    opens_by(&h, via, 9);
    assert_int_equal(estab_tcp_info(h.s, h.k, &i), 0);
    assert_int_equal(i.snd_mss, 8);
    assert_int_equal(estab_send(h.s, h.k, &v, 1, 0), sizeof text);
    for (int turns = 0; turns < 100 && total < sizeof text; turns++) {
        uint32_t before = h.nsent;

        while (take_one(&h)) {
            assert_in_range(h.last.text, 1, 8);
            total += h.last.text;
        }
        assert_true(h.nsent > before);
        arrives(&h, SEG_ACK, h.isn + 1, h.last.seq + h.last.text, h.last.sport, NULL, 0, "");
    }
    assert_int_equal(total, sizeof text);
    host_ends(&h);
}

static void what_is_no_route_is_refused(void **state)
{
    static const char *const ten[] = {"10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.2",
                                      "10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.2", "10.0.0.2"};
    static const char *const bad[] = {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                                      "::1"};
    struct estab_addr him = addr(HIM, 80), him6 = addr("2001:db8::1", 80);
    struct host h;

    (void)state;
    host_begins(&h, true);
    goes_by(&h, ten, 10, false, ESTAB_E_INVAL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        goes_by(&h, bad + i, 1, false, ESTAB_E_INVAL);
    goes_by(&h, ten, 1, false, 0);
    assert_int_equal(estab_connect(h.s, h.k, &him6), ESTAB_E_UNREACH);
    goes_by(&h, ten, 0, false, 0); /* none after all */
    assert_int_equal(estab_connect(h.s, h.k, &him), ESTAB_E_INPROGRESS);
    assert_int_equal(collect(&h), 1);
    assert_dst(&h, HIM);
    assert_int_equal(h.last.at, 20);
    goes_by(&h, ten, 1, false, ESTAB_E_INVAL); /* too late */
    host_ends(&h);
    host_begins(&h, false);
    goes_by(&h, ten, 1, false, ESTAB_E_INVAL);
    host_ends(&h);
}

/* ---- received ones ---- */

/* As it arrives at its end: by 172.16.0.9 first, by 10.0.0.8 last. */
static const uint8_t came[] = {LSRR, 11, 12, 172, 16, 0, 9, 10, 0, 0, 8, 0};
/* From one who puts himself in front. */
static const uint8_t came_b[] = {1, LSRR, 15, 16, 192, 0, 2, 1, 172, 16, 0, 9, 10, 0, 0, 8};
static const uint8_t other[] = {SSRR, 7, 8, 10, 0, 0, 7, 0};

static void listens(struct host *h)
{
    struct estab_addr us = addr(US, 7);

    assert_int_equal(estab_bind(h->s, h->k, &us), 0);
    assert_int_equal(estab_listen(h->s, h->k, 5), 0);
}

/* [MUST-53] */
static void a_connection_answers_by_the_way_it_came(void **state)
{
    static const struct {
        const uint8_t *opts;
        size_t len;
    } forms[] = {{came, sizeof came}, {came_b, sizeof came_b}};
    struct estab_iov v = {(void *)(uintptr_t) "hello", 5};
    struct host h;
    estab_sock c;

    (void)state;
    for (int i = 0; i < 2; i++) {
        uint32_t iss;

        host_begins(&h, true);
        listens(&h);
        arrives(&h, SEG_SYN, h.isn, 0, 7, forms[i].opts, forms[i].len, "");
        assert_int_equal(collect(&h), 1);
        assert_int_equal(h.last.flags, SEG_SYN | SEG_ACK);
        assert_dst(&h, "10.0.0.8");
        assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        iss = h.last.seq;
        h.te.now += ESTAB_MS(1100); /* once more */
        estab_expire(h.s);
        assert_int_equal(collect(&h), 1);
        assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        arrives(&h, SEG_ACK, h.isn + 1, iss + 1, 7, NULL, 0, "");
        assert_int_equal(estab_accept(h.s, h.k, &c, NULL), 0);
        assert_int_equal(estab_send(h.s, c, &v, 1, 0), 5);
        assert_int_equal(collect(&h), 1);
        assert_int_equal(h.last.text, 5);
        assert_dst(&h, "10.0.0.8");
        assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        /* TIME-WAIT answers that way, too */
        arrives(&h, SEG_ACK, h.isn + 1, iss + 6, 7, NULL, 0, "");
        assert_int_equal(estab_close(h.s, c), 0);
        assert_int_equal(collect(&h), 1);
        arrives(&h, SEG_FIN | SEG_ACK, h.isn + 1, iss + 7, 7, NULL, 0, "");
        assert_int_equal(collect(&h), 1);
        assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        h.te.now += ESTAB_S(2);
        arrives(&h, SEG_FIN | SEG_ACK, h.isn + 1, iss + 7, 7, NULL, 0, "");
        assert_int_equal(collect(&h), 1);
        assert_opts(&h, LSRR, 11, 4, 172, 16, 0, 9, 192, 0, 2, 1, 0);
        h.te.now += ESTAB_S(100);
        estab_expire(h.s);
        assert_int_equal(h.s->tcp.nroutes, 0);
        host_ends(&h);
    }
}

/* [SHLD-24]: of an acceptable segment, that is. */
static void a_later_route_takes_its_place(void **state)
{
    struct host h;
    uint32_t iss;
    estab_sock c;

    (void)state;
    host_begins(&h, true);
    listens(&h);
    arrives(&h, SEG_SYN, h.isn, 0, 7, came, sizeof came, "");
    (void)collect(&h);
    iss = h.last.seq;
    arrives(&h, SEG_ACK, h.isn + 1, iss + 1, 7, NULL, 0, "");
    assert_int_equal(estab_accept(h.s, h.k, &c, NULL), 0);
    arrives(&h, SEG_ACK, h.isn + 900000, iss + 1, 7, other, sizeof other, "x"); /* a guess */
    (void)collect(&h);
    assert_dst(&h, "10.0.0.8");
    arrives(&h, SEG_ACK, h.isn + 1, iss + 1 + 900000, 7, other, sizeof other, "x"); /* another */
    (void)collect(&h);
    assert_dst(&h, "10.0.0.8");
    arrives(&h, SEG_ACK, h.isn + 1, iss + 1, 7, other, sizeof other, "x");
    assert_int_equal(collect(&h), 1);
    assert_dst(&h, "10.0.0.7");
    assert_opts(&h, SSRR, 7, 4, 192, 0, 2, 1, 0);
    arrives(&h, SEG_ACK, h.isn + 2, iss + 1, 7, NULL, 0, "y"); /* none is no other */
    assert_int_equal(collect(&h), 1);
    assert_dst(&h, "10.0.0.7");
    host_ends(&h);
}

/* [MUST-52] */
static void the_users_route_goes_first(void **state)
{
    static const char *const via[] = {"10.0.0.9"};
    struct host h;
    uint32_t iss;
    estab_sock c;

    (void)state;
    host_begins(&h, true);
    goes_by(&h, via, 1, false, 0);
    listens(&h);
    arrives(&h, SEG_SYN, h.isn, 0, 7, came, sizeof came, "");
    assert_int_equal(collect(&h), 1);
    assert_dst(&h, "10.0.0.9");
    assert_opts(&h, LSRR, 7, 4, 192, 0, 2, 1, 0);
    iss = h.last.seq;
    arrives(&h, SEG_ACK, h.isn + 1, iss + 1, 7, came, sizeof came, "x");
    assert_int_equal(estab_accept(h.s, h.k, &c, NULL), 0);
    arrives(&h, SEG_ACK, h.isn + 2, iss + 1, 7, other, sizeof other, "y");
    (void)collect(&h);
    assert_dst(&h, "10.0.0.9");
    assert_opts(&h, LSRR, 7, 4, 192, 0, 2, 1, 0);
    host_ends(&h);
}

/* A host forwards nothing, and answers no route that is not one; without the setting none at all.
 * RFC 7126 section 4.3. */
static void others_are_dropped(void **state)
{
    static const uint8_t bad[][12] = {
        {LSRR, 11, 4, 172, 16, 0, 9, 10, 0, 0, 8, 0},  /* not completed */
        {LSRR, 11, 8, 172, 16, 0, 9, 10, 0, 0, 8, 0},  /* not completed */
        {LSRR, 10, 12, 172, 16, 0, 9, 10, 0, 0, 0, 0}, /* of no whole addresses */
        {LSRR, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},       /* without a pointer */
        {LSRR, 3, 4, SSRR, 3, 4, 0, 0, 0, 0, 0, 0},    /* two */
        {LSRR, 7, 8, 224, 0, 0, 1, 0, 0, 0, 0, 0},     /* by a group */
        {LSRR, 7, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0},      /* by ourselves */
        {LSRR, 20, 24, 10, 0, 0, 1, 0, 0, 0, 0, 0},    /* past the header */
    };
    struct host h;

    (void)state;
    host_begins(&h, true);
    listens(&h);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        arrives(&h, SEG_SYN, h.isn, 0, 7, bad[i], sizeof bad[i], "");
        assert_int_equal(collect(&h), 0);
    }
    assert_int_equal(h.s->tcp.nroutes, 0);
    host_ends(&h);
    host_begins(&h, false);
    listens(&h);
    arrives(&h, SEG_SYN, h.isn, 0, 7, came, sizeof came, "");
    assert_int_equal(collect(&h), 0);
    assert_int_equal(estab_rule_count(h.s, RULE_IP_SOURCE_ROUTE), 1);
    host_ends(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_segment_goes_by_the_users_route),
        cmocka_unit_test(errors_find_the_connection),
        cmocka_unit_test(nine_gateways),
        cmocka_unit_test(text_gives_way_to_the_option),
        cmocka_unit_test(a_header_longer_than_the_mss_leaves_room_for_text),
        cmocka_unit_test(what_is_no_route_is_refused),
        cmocka_unit_test(a_connection_answers_by_the_way_it_came),
        cmocka_unit_test(a_later_route_takes_its_place),
        cmocka_unit_test(the_users_route_goes_first),
        cmocka_unit_test(others_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

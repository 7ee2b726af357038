/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_run_test.c - frames that come in one batch, and are taken at a glance for what they mostly
 * are, mean what they mean one by one and looked at closely, whatever is wrong with one of them. */
#include "unit/peer.h"

#define SEGMENTS 6
#define TEXT     2048 /* more than there is */

enum repair { REPAIR_NOTHING, REPAIR_TCP, REPAIR_BOTH };

struct burst {
    uint8_t buf[SEGMENTS][PEER_FRAME];
    uint8_t *packet[SEGMENTS];
    uint32_t len[SEGMENTS];
};

static const uint32_t text_len[SEGMENTS] = {100, 101, 100, 33, 700, 1};

static void build(struct peer *p, struct burst *b)
{
    uint32_t seq = 1;

    for (int i = 0; i < SEGMENTS; i++) {
        struct pkt k = {.flags = ACK, .seq = seq, .ack = 1, .len = text_len[i]};

        b->len[i] = peer_build(p, &k, b->buf[i], &b->packet[i]);
        seq += text_len[i];
    }
}

static void repair_sums(struct peer *p, uint8_t *packet, uint32_t len, enum repair how)
{
    uint32_t ip_len = p->ip6 ? IP6_HDR_LEN : IP4_HDR_LEN;
    uint8_t *tcp = packet + ip_len;
    uint16_t sum;

    if (how != REPAIR_NOTHING) {
        memset(tcp + 16, 0, 2);
        sum = (uint16_t)~csum_fold(csum_add(
            ip_pseudo(p->them.ip, p->us.ip, IPPROTO_TCP_, len - ip_len), tcp, len - ip_len));
        memcpy(tcp + 16, &sum, 2);
    }
    if (how == REPAIR_BOTH && !p->ip6) {
        memset(packet + 10, 0, 2);
        sum = (uint16_t)~csum_fold(csum_add(0, packet, IP4_HDR_LEN));
        memcpy(packet + 10, &sum, 2);
    }
}

/* One piece, headers and text apart, or a border inside the headers. */
static struct estab_frame frame_of(uint8_t *packet, uint32_t len, uint32_t border)
{
    if (border == 0 || border >= len)
        return (struct estab_frame){.iov = {{packet, len}}, .niov = 1};
    return (struct estab_frame){.iov = {{packet, border}, {packet + border, len - border}},
                                .niov = 2};
}

/* All that is there to be read, in the buffer that was lent and behind it. */
static ptrdiff_t read_all(struct peer *p, uint8_t lent[TEXT], uint32_t room, uint8_t out[TEXT])
{
    struct estab_iov v = {out, TEXT};
    ptrdiff_t n = room ? estab_recv_end(p->s, p->k) : 0, more;

    if (n < 0)
        return n;
    memcpy(out, lent, (size_t)n);
    v = (struct estab_iov){out + n, TEXT - (size_t)n};
    more = estab_recv(p->s, p->k, &v, 1, 0);
    return more > 0 ? n + more : n > 0 ? n : more;
}

static void must_agree(struct peer *a, struct peer *b, uint8_t lent[TEXT], uint32_t room,
                       uint32_t at)
{
    uint8_t text[2][TEXT];
    ptrdiff_t n[2] = {read_all(a, lent, room, text[0]), read_all(b, lent, 0, text[1])};

    if (n[0] != n[1])
        fail_msg("octet %u: %td octets of text at once, %td one by one", at, n[0], n[1]);
    if (n[0] > 0)
        assert_memory_equal(text[0], text[1], (size_t)n[0]);
    for (unsigned r = 0; r < RULE_COUNT; r++)
        if (estab_rule_count(a->s, r) != estab_rule_count(b->s, r))
            fail_msg("octet %u: rule %s counts %llu at once, %llu one by one", at,
                     estab_rule_name(r), (unsigned long long)estab_rule_count(a->s, r),
                     (unsigned long long)estab_rule_count(b->s, r));
    if (info_of(a).segs_in != info_of(b).segs_in || info_of(a).snd_wnd != info_of(b).snd_wnd)
        fail_msg("octet %u: not the same segments, or windows", at);
    peer_collect(b);
    while (has_got(a)) {
        const struct pkt *x = got(a), *y = got(b);

        assert_int_equal(x->flags, y->flags);
        assert_int_equal(x->seq, y->seq);
        assert_int_equal(x->ack, y->ack);
        assert_int_equal(x->nsack, y->nsack);
    }
    gets_nothing(b);
}

struct way {
    bool ip6, ts;
    uint32_t room; /* of the buffer that is lent to those at once; 0: none is */
    enum repair how;
    uint32_t border;
    int bad; /* the one that is changed */
};

static void begin_peer(struct peer *p, const struct way *w)
{
    *p = (struct peer){.ip6 = w->ip6,
                       .caps = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500},
                       .v = {.now = ESTAB_S(1000)},
                       .isn = 0xffffff00,
                       .wnd = 65535,
                       .ts_val = 1000};
    estab_config_init(&p->cfg);
    peer_starts(p);
    user_connects_with(p, SEG(.mss = 1400, .ts = w->ts, .ts_val = 1000));
}

static void compare(struct peer p[2], const struct way *w, uint32_t at)
{
    static struct burst b;
    static uint8_t lent[TEXT];

    for (int i = 0; i < 2; i++) {
        struct estab_frame f[SEGMENTS];

        begin_peer(&p[i], w);
        if (i == 0 && w->room)
            assert_int_equal(estab_recv_lend(p[i].s, p[i].k, lent, w->room), 0);
        build(&p[i], &b);
        if (at < b.len[w->bad]) {
            b.packet[w->bad][at] ^= (uint8_t)(1u << at % 8);
            repair_sums(&p[i], b.packet[w->bad], b.len[w->bad], w->how);
        }
        for (int j = 0; j < SEGMENTS; j++)
            f[j] = frame_of(b.packet[j], b.len[j], w->border);
        for (int j = 0; j < SEGMENTS; j += i ? 1 : SEGMENTS) {
            if (i)
                p[i].s->ip.seen.version = 0; /* closely */
            assert_int_equal(estab_input(p[i].s, 0, &f[j], i ? 1 : SEGMENTS), 0);
        }
    }
    must_agree(&p[0], &p[1], lent, w->room, at);
    for (int i = 0; i < 2; i++)
        peer_stops(&p[i]);
}

/* Each bit-flip of each octet of one frame, with the checksums left wrong, and with them put right:
 * what comes of the batch is what comes of its frames; also where the user's buffer takes all of
 * them, or some. */
static void a_batch_means_what_its_frames_mean(void **state)
{
    static struct peer p[2];

    (void)state;
    for (int v = 0; v < 8; v++) {
        for (int how = REPAIR_NOTHING; how <= REPAIR_BOTH; how++) {
            for (uint32_t border = 0; border < 60; border += 20) {
                static const uint32_t rooms[3] = {0, 250, TEXT};
                struct way w = {v & 1,
                                (v & 2) != 0,
                                rooms[(v + how + (int)border / 20) % 3],
                                (enum repair)how,
                                border,
                                v & 4 ? SEGMENTS - 1 : 3};
                uint32_t len = (w.ip6 ? 40u : 20u) + (w.ts ? 32u : 20u) + text_len[w.bad];

                for (uint32_t at = 0; at <= len; at++)
                    compare(p, &w, at);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_batch_means_what_its_frames_mean)};

    return cmocka_run_group_tests_name("stack_run", tests, NULL, NULL);
}

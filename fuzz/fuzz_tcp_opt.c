/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_tcp_opt.c - TCP's options: the parser against a naive one, and lists of kinds emitted in any
 * order and parsed back.
 *
 * The first octet says how many of those that follow are kinds for a list; the rest are options as
 * they came from the wire. */
#include "wire/tcp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* The first option of a kind, as the RFCs describe the list; NULL: none.  *bad: the list breaks off
 * before its end. */
static const uint8_t *naive_find(const uint8_t *p, size_t len, uint8_t kind, bool *bad)
{
    size_t at = 0;

    *bad = false;
    while (at < len && p[at] != 0) {
        if (p[at] == 1) {
            at += 1;
            continue;
        }
        if (at + 1 >= len || p[at + 1] < 2 || at + p[at + 1] > len) {
            *bad = true;
            return NULL;
        }
        if (p[at] == kind)
            return p + at;
        at += p[at + 1];
    }
    return NULL;
}

/* RFC 9768 section 3.2.3: two kinds; of the first that comes, the whole fields of three octets. */
static void accecn_against_the_naive_one(const struct tcp_opts *o, const uint8_t *p, size_t len)
{
    const uint8_t *f0, *f1, *f;
    bool bad;
    uint8_t i;

    f0 = naive_find(p, len, OPT_KIND_ACC0, &bad);
    f1 = naive_find(p, len, OPT_KIND_ACC1, &bad);
    f = !f1 || (f0 && f0 < f1) ? f0 : f1;
    must((f != NULL) == ((o->has & OPT_ACC) != 0));
    if (!f)
        return;
    must(o->acc_order1 == (f[0] == OPT_KIND_ACC1) && o->acc_n <= 3);
    must(o->acc_n == (f[1] >= 11 ? 3 : (f[1] - 2) / 3));
    for (i = 0; i < o->acc_n; i++)
        must(o->acc[i] == be32_at(f + 1 + 3 * i) % (1u << 24));
}

static void against_the_naive_one(const uint8_t *p, size_t len)
{
    static const uint8_t kinds[] = {OPT_KIND_MSS,  OPT_KIND_WS, OPT_KIND_SACK_OK,
                                    OPT_KIND_SACK, OPT_KIND_TS, OPT_KIND_UTO};
    static const uint8_t bits[] = {OPT_MSS, OPT_WS, OPT_SACK_OK, OPT_SACK, OPT_TS, OPT_UTO};
    struct tcp_opts o;
    const uint8_t *f[6];
    uint8_t i;
    bool bad;

    if (tcp_opts_parse(&o, p, len) != RULE_NONE)
        return;
    for (i = 0; i < 6; i++) {
        f[i] = naive_find(p, len, kinds[i], &bad);
        must(!bad && (f[i] != NULL) == ((o.has & bits[i]) != 0));
    }
    must(!f[0] || (f[0][1] == 4 && o.mss == be16_at(f[0] + 2)));
    must(!f[1] || (f[1][1] == 3 && o.ws_raw == f[1][2] && o.ws == (f[1][2] > 14 ? 14 : f[1][2])));
    must(!f[2] || f[2][1] == 2);
    must(o.nsack <= TCP_SACK_MAX && (f[3] ? f[3][1] == 2 + 8 * o.nsack : o.nsack == 0));
    for (i = 0; i < o.nsack; i++)
        must(o.sack[i].lo.n == be32_at(f[3] + 2 + 8 * i) &&
             o.sack[i].hi.n == be32_at(f[3] + 6 + 8 * i));
    must(!(o.has & OPT_FO) || o.fo_len == 0 ||
         (o.fo_len >= 4 && o.fo_len <= TCP_FO_MAX && o.fo_len % 2 == 0));
    must(!f[4] ||
         (f[4][1] == 10 && o.ts_val == be32_at(f[4] + 2) && o.ts_ecr == be32_at(f[4] + 6)));
    must(!f[5] || (f[5][1] == 4 && o.uto == be16_at(f[5] + 2)));
    accecn_against_the_naive_one(&o, p, len);
}

/* Each kind once, as long as all that was asked for fits. */
static void there_and_back(const uint8_t *wanted, size_t n)
{
    static const uint8_t len_of[11] = {1, 4, 3, 2, 10, 18, 4, 10, 12, 11, 11};
    static const uint8_t kind_of[11] = {OPT_KIND_NOP, OPT_KIND_MSS,  OPT_KIND_WS,  OPT_KIND_SACK_OK,
                                        OPT_KIND_TS,  OPT_KIND_SACK, OPT_KIND_UTO, OPT_KIND_FO,
                                        OPT_KIND_EXP, OPT_KIND_ACC0, OPT_KIND_ACC1};
    static const uint8_t bit_of[11] = {0,       OPT_MSS, OPT_WS, OPT_SACK_OK, OPT_TS, OPT_SACK,
                                       OPT_UTO, OPT_FO,  OPT_FO, OPT_ACC,     OPT_ACC};
    struct tcp_opts o = {.mss = 1460,
                         .ws = 7,
                         .uto = 300,
                         .ts_val = 3,
                         .ts_ecr = 4,
                         .nsack = 2,
                         .fo_len = 8,
                         .acc_n = 3};
    struct tcp_opts back;
    uint8_t kinds[41], out[40], has = 0;
    size_t i, nkinds = 0, len = 0;

    o.sack[0] = (struct range){seq_of(1), seq_of(2)};
    o.sack[1] = (struct range){seq_of(5), seq_of(9)};
    o.acc[0] = 1, o.acc[2] = (1u << 24) - 1;
    for (i = 0; i < n; i++) {
        uint8_t w = wanted[i] % 11;

        if (len + len_of[w] > 40 || (has & bit_of[w]))
            continue;
        kinds[nkinds++] = kind_of[w];
        if (bit_of[w] == OPT_ACC)
            o.acc_order1 = kind_of[w] == OPT_KIND_ACC1;
        len += len_of[w];
        has |= bit_of[w];
    }
    kinds[nkinds] = OPT_KIND_EOL;
    must(tcp_opts_emit(&o, kinds, out) == (len + 3) / 4 * 4);
    must(tcp_opts_parse(&back, out, (len + 3) / 4 * 4) == RULE_NONE && back.has == has);
    must(!(has & OPT_MSS) || back.mss == 1460);
    must(!(has & OPT_WS) || back.ws == 7);
    must(!(has & OPT_TS) || (back.ts_val == 3 && back.ts_ecr == 4));
    must(!(has & OPT_UTO) || back.uto == 300);
    must(!(has & OPT_FO) || (back.fo_len == 8 && memcmp(back.fo, o.fo, 8) == 0));
    must(!(has & OPT_SACK) || (back.nsack == 2 && back.sack[1].hi.n == 9));
    must(!(has & OPT_ACC) || (back.acc_order1 == o.acc_order1 && back.acc_n == 3));
    must(!(has & OPT_ACC) || memcmp(back.acc, o.acc, sizeof o.acc) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t n;

    if (len == 0)
        return 0;
    n = data[0] % 48u;
    if (n > len - 1)
        n = len - 1;
    there_and_back(data + 1, n);
    len -= 1 + n;
    against_the_naive_one(data + 1 + n, len > 40 ? 40 : len);
    return 0;
}

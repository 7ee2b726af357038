/* SPDX-License-Identifier: BSD-2-Clause */
/* script_spec.c - what the words of a scripted packet mean: flags, IP marks, TCP options. */
#include "script.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory for what a script says ---- */

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(max_align_t) uint8_t octets[];
};

void *arena_get(struct arena *a, size_t size)
{
    const size_t usual = 32768, align = _Alignof(max_align_t);
    struct arena_block *b = a->blocks;
    void *p;

    size = (size + align - 1) / align * align;
    if (!b || b->size - b->used < size) {
        size_t room = size > usual ? size : usual;

        b = calloc(1, sizeof *b + room);
        if (!b)
            abort();
        b->size = room;
        b->next = a->blocks;
        a->blocks = b;
    }
    p = b->octets + b->used;
    b->used += size;
    return p;
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
    char *t = arena_get(a, len + 1);

    memcpy(t, text, len);
    return t;
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        free(b);
    }
}

/* ---- flags ---- */

/* Letters as tcpdump has them, A for AE; a digit is the ACE field, which AE, CWR and ECE make
 * (RFC 9768 section 3.1.1).  `-` is no flag at all. */
void pkt_flags(struct script *s, int line, struct pkt_spec *k, const char *text)
{
    static const char letters[] = "FSRP.UEWA";
    enum { ECE = 0x40, CWR = 0x80 };

    if (strcmp(text, "-") == 0)
        return;
    for (const char *c = text; *c; c++) {
        const char *at = strchr(letters, *c);

        if (*c >= '0' && *c <= '7')
            k->flags |= (uint16_t)(((*c - '0') & 1 ? ECE : 0) | ((*c - '0') & 2 ? CWR : 0) |
                                   ((*c - '0') & 4 ? PKT_FLAG_AE : 0));
        else if (at)
            k->flags |= (uint16_t)(1u << (at - letters));
        else
            script_refuse(s, line, "'%c' in '%s' is no flag (they are F S R P . U E W A, 0 to 7)",
                          *c, text);
    }
}

/* ---- IP ---- */

void pkt_ip_word(struct script *s, int line, struct pkt_spec *k, const char *word, long long n)
{
    static const struct {
        const char *name;
        int ecn;
    } marks[] = {{"noecn", PKT_ECN_NONE},
                 {"ect0", PKT_ECN_ECT0},
                 {"ect1", PKT_ECN_ECT1},
                 {"ce", PKT_ECN_CE},
                 {"ect01", PKT_ECN_ECT01}};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcmp(word, marks[i].name) == 0) {
            if (k->inbound && marks[i].ecn == PKT_ECN_ECT01)
                script_refuse(s, line, "ect01 says what may be sent; write ect0 or ect1");
            k->ecn = marks[i].ecn;
            return;
        }
    if (strcmp(word, "tos") == 0 && n >= 0 && n <= 255)
        k->tos = (int)n;
    else if (strcmp(word, "ttl") == 0 && n >= 0 && n <= 255)
        k->ttl = (int)n;
    else if (strcmp(word, "flowlabel") == 0 && n >= 0 && n <= 0xfffff)
        k->flow_label = (long)n;
    else
        script_refuse(s, line,
                      "'%s' is no mark of an IP packet (they are ect0, ect1, ect01, ce, "
                      "noecn, tos 0xNN, ttl N, flowlabel 0xNNNNN)",
                      word);
}

/* ---- TCP options ---- */

enum {
    EOL = 0,
    NOP = 1,
    MSS = 2,
    WS = 3,
    SACK_OK = 4,
    SACK = 5,
    TS = 8,
    MD5 = 19,
    FO = 34,
    ACC0 = 172,
    ACC1 = 174,
    EXP = 254
};

static _Noreturn void bad_option(struct script *s, int line, const char *name, const char *form)
{
    script_refuse(s, line, "the option is written %s, not this '%s'", form, name);
}

static uint32_t option_number(struct script *s, int line, const char *name, const struct expr *e,
                              long long most, const char *form)
{
    const char *text = e && e->kind == EXPR_NAME ? script_defined(s, e->text) : NULL;
    long long n = text ? strtoll(text, NULL, 0) : e ? e->num : 0;

    if (!e || (e->kind != EXPR_INT && !text) || n < 0 || n > most)
        bad_option(s, line, name, form);
    return (uint32_t)n;
}

static bool is_word(const struct expr *e, const char *word)
{
    return e && e->kind == EXPR_NAME && strcmp(e->text, word) == 0;
}

/* Hexadecimal digits as octets; a leading 0x is allowed, and a name that -D gave. */
static void option_blob(struct script *s, int line, const char *name, struct opt_spec *o,
                        const struct expr *e, const char *form)
{
    const char *text;
    size_t n;

    if (!e)
        return;
    text = e->kind == EXPR_NAME || e->kind == EXPR_INT ? e->text : "";
    if (e->kind == EXPR_NAME && script_defined(s, text))
        text = script_defined(s, text);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        text += 2;
    n = strlen(text);
    if (n % 2 || n / 2 > sizeof o->blob - o->n || strspn(text, "0123456789abcdefABCDEF") != n)
        bad_option(s, line, name, form);
    for (size_t i = 0; i < n; i += 2) {
        char hex[3] = {text[i], text[i + 1], '\0'};

        o->blob[o->n++] = (uint8_t)strtoul(hex, NULL, 16);
    }
}

static void option_sack(struct script *s, int line, struct opt_spec *o, const struct expr *args)
{
    for (; args; args = args->next) {
        if (args->kind != EXPR_ARRAY || o->n == 8)
            bad_option(s, line, "sack", "sack 1:1001 2001:3001, at most four blocks");
        o->v[o->n++] = (uint32_t)args->items->num;
        o->v[o->n++] = (uint32_t)args->items->next->num;
    }
}

/* AccECN, RFC 9768 section 3.2.3: the order of the counters says which option it is. */
static void option_accecn(struct script *s, int line, struct opt_spec *o, const struct expr *args)
{
    static const char form[] = "ECN e1b N ceb N e0b N, or ECN e0b N ceb N e1b N";

    o->kind = is_word(args, "e0b") ? ACC0 : ACC1;
    for (; args; args = args->next->next) {
        bool known = is_word(args, "e0b") || is_word(args, "e1b") || is_word(args, "ceb");

        if (!known || !args->next || o->n == 9)
            bad_option(s, line, "ECN", form);
        o->blob[o->n++] =
            (uint8_t)(option_number(s, line, "ECN", args->next, 0xffffff, form) >> 16);
        o->blob[o->n++] = (uint8_t)(args->next->num >> 8);
        o->blob[o->n++] = (uint8_t)args->next->num;
    }
}

static void option_ts(struct script *s, int line, struct opt_spec *o, struct expr *args)
{
    static const char form[] = "TS val N ecr N";
    struct expr *val = is_word(args, "val") ? args->next : NULL;
    struct expr *ecr = val && is_word(val->next, "ecr") ? val->next->next : NULL;

    if (!ecr)
        bad_option(s, line, "TS", form);
    o->v[0] = option_number(s, line, "TS", val, UINT32_MAX, form);
    o->v[1] = option_number(s, line, "TS", ecr, UINT32_MAX, form);
    o->n = 2;
}

void pkt_option(struct script *s, int line, struct pkt_spec *k, const char *name, struct expr *args)
{
    struct opt_spec *o;

    if (!k->options)
        k->options = arena_get(&s->arena, PKT_OPTIONS_MAX * sizeof *k->options);
    if (k->noptions == PKT_OPTIONS_MAX)
        script_refuse(s, line, "more than %d TCP options", PKT_OPTIONS_MAX);
    o = &k->options[k->noptions++];
    if (strcmp(name, "nop") == 0 && !args) {
        o->kind = NOP;
    } else if (strcmp(name, "eol") == 0 && !args) {
        o->kind = EOL;
    } else if (strcmp(name, "mss") == 0) {
        o->kind = MSS;
        o->v[0] = option_number(s, line, name, args, UINT16_MAX, "mss N");
    } else if (strcmp(name, "wscale") == 0) {
        o->kind = WS;
        o->v[0] = option_number(s, line, name, args, UINT8_MAX, "wscale N");
    } else if (strcmp(name, "sackOK") == 0 && !args) {
        o->kind = SACK_OK;
    } else if (strcmp(name, "sack") == 0) {
        o->kind = SACK;
        option_sack(s, line, o, args);
    } else if (strcmp(name, "TS") == 0) {
        o->kind = TS;
        option_ts(s, line, o, args);
    } else if (strcmp(name, "FO") == 0) {
        o->kind = FO;
        option_blob(s, line, name, o, args, "FO HEX");
    } else if (strcmp(name, "FOEXP") == 0) { /* RFC 6994's experiment number of Fast Open */
        o->kind = EXP;
        o->blob[o->n++] = 0xf9;
        o->blob[o->n++] = 0x89;
        option_blob(s, line, name, o, args, "FOEXP HEX");
    } else if (strcmp(name, "md5") == 0) {
        o->kind = MD5;
        option_blob(s, line, name, o, args, "md5 HEX");
    } else if (strcmp(name, "ECN") == 0) {
        option_accecn(s, line, o, args);
    } else if (strcmp(name, "raw") == 0 && args) {
        o->raw = true;
        option_blob(s, line, name, o, args, "raw HEX");
    } else {
        script_refuse(s, line,
                      "'%s' is no TCP option that is known here (nop, eol, mss, wscale, "
                      "sackOK, sack, TS, FO, FOEXP, md5, ECN, raw)",
                      name);
    }
}

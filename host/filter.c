/* SPDX-License-Identifier: BSD-2-Clause */
/* filter.c - ss(8)'s filters: an expression becomes a list of steps, operands first, that runs on a
 * stack of bits.  Both are bounded, so that a filter may come from anybody. */
#include "link.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 24, WORD_MAX = 64 };
/* Operators stand in the order in which they bind; STEP_PAREN only waits on the parser's stack. */
enum step_kind {
    STEP_SPORT,
    STEP_DPORT,
    STEP_SRC,
    STEP_DST,
    STEP_NOT,
    STEP_AND,
    STEP_OR,
    STEP_PAREN,
};
enum step_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

struct filter_parser {
    const char *at; /* behind the current word */
    char word[WORD_MAX];
    uint8_t ops[DEPTH_MAX]; /* enum step_kind: operators that wait for their second operand */
    unsigned nops;
    struct estab_filter f;
    char *err;
};

/* ---- words ---- */

static bool is_operator(char c)
{
    return strchr("=!<>", c) != NULL && c != '\0';
}

/* The next word; an empty one at the end. */
static void next_word(struct filter_parser *p)
{
    const char *begin;
    size_t len = 1;

    while (isspace((unsigned char)*p->at))
        p->at++;
    begin = p->at;
    if (*begin == '(' || *begin == ')') {
        p->at++;
    } else if (is_operator(*begin)) {
        len = begin[1] == '=' ? 2 : 1;
        p->at += len;
    } else {
        while (*p->at && !isspace((unsigned char)*p->at) && *p->at != '(' && *p->at != ')' &&
               !is_operator(*p->at))
            p->at++;
        len = (size_t)(p->at - begin);
    }
    if (len >= WORD_MAX)
        len = WORD_MAX - 1; /* and is then no word that is known */
    memcpy(p->word, begin, len);
    p->word[len] = '\0';
}

static bool is_word(const struct filter_parser *p, const char *a, const char *b)
{
    return strcasecmp(p->word, a) == 0 || (b && strcasecmp(p->word, b) == 0);
}

static int wrong(struct filter_parser *p, const char *what)
{
    snprintf(p->err, ESTAB_ERRLEN, "filter: %s%s%s%s", p->word[0] ? "'" : "",
             p->word[0] ? p->word : "the end", p->word[0] ? "' " : " ", what);
    return -1;
}

/* ---- states ---- */

/* "time-wait", "TIME_WAIT", "timewait" */
static bool same_state(const char *a, const char *b)
{
    while (*a && *b) {
        a += *a == '-' || *a == '_';
        b += *b == '-' || *b == '_';
        if (strncasecmp(a, b, 1) != 0)
            return false;
        a += *a != '\0';
        b += *b != '\0';
    }
    return !*a && !*b;
}

int estab_state_parse(const char *name)
{
    static const char *const short_names[ESTAB_TCP_STATES] = {
        [ESTAB_LISTEN] = "listening",    [ESTAB_SYN_RECEIVED] = "syn-recv",
        [ESTAB_ESTABLISHED] = "estab",   [ESTAB_FIN_WAIT_1] = "finwait1",
        [ESTAB_FIN_WAIT_2] = "finwait2", [ESTAB_CLOSED] = "close",
    };
    int st;

    for (st = 0; st < ESTAB_TCP_STATES; st++)
        if (same_state(estab_state_name((enum estab_tcp_state)st), name) ||
            (short_names[st] && same_state(short_names[st], name)))
            return st;
    return -1;
}

/* ss(8)'s names for several; 0: no such state. */
static uint32_t states_named(const char *name)
{
    const uint32_t every = (1u << ESTAB_TCP_STATES) - 1;
    const uint32_t bucket = 1u << ESTAB_SYN_RECEIVED | 1u << ESTAB_TIME_WAIT;
    const uint32_t connected = every & ~(1u << ESTAB_LISTEN | 1u << ESTAB_CLOSED);
    int st = estab_state_parse(name);

    if (st >= 0)
        return 1u << st;
    if (strcasecmp(name, "all") == 0)
        return every;
    if (strcasecmp(name, "connected") == 0)
        return connected;
    if (strcasecmp(name, "synchronized") == 0)
        return connected & ~(1u << ESTAB_SYN_SENT);
    if (strcasecmp(name, "bucket") == 0)
        return bucket;
    return strcasecmp(name, "big") == 0 ? every & ~bucket : 0;
}

static int parse_states(struct filter_parser *p)
{
    const uint32_t every = (1u << ESTAB_TCP_STATES) - 1;

    for (;;) {
        bool exclude = is_word(p, "exclude", NULL), named = is_word(p, "state", NULL) || exclude;
        uint32_t states;

        if (named)
            next_word(p);
        states = states_named(p->word);
        if (!states)
            return named ? wrong(p, "is not a state such as established or time-wait") : 0;
        if (!exclude)
            p->f.states |= states;
        else
            p->f.states = (p->f.states ? p->f.states : every) & ~states;
        next_word(p);
    }
}

/* ---- terms ---- */

static int add_step(struct filter_parser *p, struct estab_filter_step s)
{
    if (p->f.n == ESTAB_FILTER_MAX)
        return wrong(p, "makes the filter too long");
    p->f.step[p->f.n++] = s;
    return 0;
}

static int take_operator(struct filter_parser *p, bool ordered)
{
    static const struct {
        const char *sign, *word;
        enum step_op op;
    } ops[] = {{"=", "eq", OP_EQ},  {"==", "is", OP_EQ}, {"!=", "ne", OP_NE}, {"<", "lt", OP_LT},
               {"<=", "le", OP_LE}, {">", "gt", OP_GT},  {">=", "ge", OP_GE}};
    size_t i;

    for (i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!is_word(p, ops[i].sign, ops[i].word) || (!ordered && ops[i].op > OP_NE))
            continue;
        next_word(p);
        return (int)ops[i].op;
    }
    return -1;
}

static int parse_number(const char *text, uint16_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (!isdigit((unsigned char)*text) || *end || v > UINT16_MAX)
        return -1;
    *out = (uint16_t)v;
    return 0;
}

static int parse_port(struct filter_parser *p, enum step_kind kind)
{
    struct estab_filter_step s = {.kind = (uint8_t)kind, .port_given = true};
    int op;

    next_word(p);
    op = take_operator(p, true);
    if (op < 0)
        return wrong(p, "should be one of = != < <= > >=");
    s.op = (uint8_t)op;
    if (parse_number(p->word + (p->word[0] == ':'), &s.port) < 0)
        return wrong(p, "should be a port such as :80");
    next_word(p);
    return add_step(p, s);
}

/* "10.0.0.0/8", "10.0.0.1:80", "[fd00::1]:80", ":80", "*" */
static int parse_end(struct filter_parser *p, enum step_kind kind)
{
    struct estab_filter_step s = {.kind = (uint8_t)kind};
    char ip[WORD_MAX];
    struct estab_addr a;
    int op;

    next_word(p);
    op = take_operator(p, false);
    s.op = (uint8_t)(op < 0 ? OP_EQ : op);
    snprintf(ip, sizeof ip, "%s", p->word);
    if (strchr(ip, '/')) {
        char *colon = ip[0] == '[' ? strstr(ip, "]:") : NULL;

        if (!colon && strchr(ip, ':') == strrchr(ip, ':'))
            colon = strchr(ip, ':');
        if (colon && parse_number(colon + (*colon == ']' ? 2 : 1), &s.port) < 0)
            return wrong(p, "has no port behind its colon");
        s.port_given = colon != NULL;
        if (colon)
            *colon = '\0';
        if (estab_prefix_parse(s.ip, &s.prefix_len, ip + (ip[0] == '[')) < 0)
            return wrong(p, "should be an address, a prefix or a port");
    } else if (strcmp(ip, "*") != 0) {
        if (!ip[0] || estab_addr_parse(&a, ip, &s.port_given) < 0)
            return wrong(p, "should be an address, a prefix or a port");
        memcpy(s.ip, a.ip, sizeof s.ip);
        s.port = a.port;
        s.prefix_len = ip[0] == ':' && s.port_given ? 0 : 128;
    }
    next_word(p);
    return add_step(p, s);
}

static int parse_condition(struct filter_parser *p)
{
    if (is_word(p, "sport", NULL))
        return parse_port(p, STEP_SPORT);
    if (is_word(p, "dport", NULL))
        return parse_port(p, STEP_DPORT);
    if (is_word(p, "src", NULL))
        return parse_end(p, STEP_SRC);
    if (is_word(p, "dst", NULL))
        return parse_end(p, STEP_DST);
    return wrong(p, "should be a state, dport, sport, dst, src, not or a parenthesis");
}

/* ---- the expression: operators wait on a stack for what binds tighter ---- */

static int push(struct filter_parser *p, enum step_kind op)
{
    if (p->nops == DEPTH_MAX)
        return wrong(p, "is nested too deep");
    p->ops[p->nops++] = (uint8_t)op;
    return 0;
}

/* Adds the operators that bind at least as tight as `op`, down to a parenthesis. */
static int pop(struct filter_parser *p, enum step_kind op)
{
    while (p->nops > 0 && p->ops[p->nops - 1] != STEP_PAREN && p->ops[p->nops - 1] <= op)
        if (add_step(p, (struct estab_filter_step){.kind = p->ops[--p->nops]}) < 0)
            return -1;
    return 0;
}

/* Where a condition is to begin.  Returns 1: it is complete. */
static int parse_operand(struct filter_parser *p)
{
    bool no = is_word(p, "not", "!");

    if (!no && !is_word(p, "(", NULL))
        return parse_condition(p) < 0 ? -1 : 1;
    if (push(p, no ? STEP_NOT : STEP_PAREN) < 0)
        return -1;
    next_word(p);
    return 0;
}

/* Behind a condition.  Returns 1: another is not needed. */
static int parse_operator(struct filter_parser *p)
{
    bool either = is_word(p, "or", "|") || is_word(p, "||", NULL);

    if (is_word(p, ")", NULL)) {
        if (pop(p, STEP_OR) < 0)
            return -1;
        if (p->nops == 0)
            return wrong(p, "closes nothing");
        p->nops--;
        next_word(p);
        return 1;
    }
    if (pop(p, either ? STEP_OR : STEP_AND) < 0 || push(p, either ? STEP_OR : STEP_AND) < 0)
        return -1;
    if (either || is_word(p, "and", "&") || is_word(p, "&&", NULL))
        next_word(p);
    return 0;
}

static int parse_expression(struct filter_parser *p)
{
    int complete = 0;

    do {
        complete = complete ? parse_operator(p) : parse_operand(p);
        if (complete < 0)
            return -1;
    } while (p->word[0]);
    if (!complete)
        return parse_condition(p); /* which says what is missing */
    if (pop(p, STEP_OR) < 0)
        return -1;
    return p->nops > 0 ? wrong(p, "should be a closing parenthesis") : 0;
}

int estab_filter_parse(struct estab_filter *f, const char *text, char *err)
{
    struct filter_parser p = {.at = text, .err = err};

    next_word(&p);
    if (parse_states(&p) < 0)
        return -1;
    if (p.word[0] && parse_expression(&p) < 0)
        return -1;
    *f = p.f;
    return 0;
}

/* ---- a connection ---- */

static bool compare(enum step_op op, uint16_t a, uint16_t b)
{
    switch (op) {
    case OP_EQ:
        return a == b;
    case OP_NE:
        return a != b;
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    case OP_GE:
        return a >= b;
    }
    return false;
}

static bool in_prefix(const uint8_t a[16], const uint8_t b[16], uint8_t len)
{
    uint8_t last = (uint8_t)(0xff00 >> (len % 8));

    return memcmp(a, b, len / 8) == 0 &&
           (len % 8 == 0 || (a[len / 8] & last) == (b[len / 8] & last));
}

static bool at_end(const struct estab_filter_step *s, const struct estab_addr *a)
{
    bool is = in_prefix(a->ip, s->ip, s->prefix_len) && (!s->port_given || a->port == s->port);

    return is == (s->op == OP_EQ);
}

bool estab_filter_match(const struct estab_filter *f, enum estab_tcp_state st,
                        const struct estab_addr *local, const struct estab_addr *peer)
{
    bool bit[ESTAB_FILTER_MAX] = {true};
    size_t n = 0;
    uint32_t i;

    if (f->states && !(f->states >> st & 1))
        return false;
    for (i = 0; i < f->n; i++) {
        const struct estab_filter_step *s = &f->step[i];

        switch ((enum step_kind)s->kind) {
        case STEP_SPORT:
            bit[n++] = compare((enum step_op)s->op, local->port, s->port);
            break;
        case STEP_DPORT:
            bit[n++] = compare((enum step_op)s->op, peer->port, s->port);
            break;
        case STEP_SRC:
            bit[n++] = at_end(s, local);
            break;
        case STEP_DST:
            bit[n++] = at_end(s, peer);
            break;
        case STEP_NOT:
            bit[n - 1] = !bit[n - 1];
            break;
        case STEP_AND:
            n--;
            bit[n - 1] = bit[n - 1] && bit[n];
            break;
        case STEP_OR:
            n--;
            bit[n - 1] = bit[n - 1] || bit[n];
            break;
        case STEP_PAREN:
            break;
        }
    }
    return bit[0];
}

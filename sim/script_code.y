/* SPDX-License-Identifier: BSD-2-Clause */
/* script_code.y - what stands between %{ and }%: assertions over TCP_INFO, a small part of the
 * language that packetdrill's own scripts use there.
 *
 *      statements    assert EXPR [, EXPR]     print(EXPR, ...)     separated by newlines or ;
 *      expressions   or  and  not  < <= == != >= >  |  ^  &  << >>  + -  * / // %  - + ~  ( )
 *                    numbers, strings, True, False, abs(x), min(...), max(...), int(x), and names:
 *                    tcpi_..., TCP_ESTABLISHED and the other constants
 *
 * Numbers are 64 bits wide; a comparison may be a chain, as in 1 <= x <= 2.  What is read is
 * computed at once: there are no loops. */
%define api.pure full
%define api.prefix {script_code_yy}
%define parse.error detailed
%parse-param {struct code *c}
%lex-param {struct code *c}

%code requires {
#include "script.h"

struct code {
    struct run *r;
    int line;
    const char *at;
    int depth; /* of parentheses: inside, a newline is a space */
    const char *began; /* the statement's expression ... */
    int began_line;    /* ... and where it is: the scanner may be a line further */
    uint8_t info[512];
};
struct code_value {
    long long n;
    const char *text; /* of a string; NULL: a number */
    int len;
};
}
%code {
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int script_code_yylex(SCRIPT_CODE_YYSTYPE *value, struct code *c);

#define YYINITDEPTH SCRIPT_DEPTH
#define YYMAXDEPTH  SCRIPT_DEPTH

static void script_code_yyerror(struct code *c, const char *what)
{
    script_syntax(c->r->s, c->line, "%{ }%: ", what);
}

static _Noreturn void refuse(struct code *c, const char *what)
{
    script_code_yyerror(c, what);
    script_leave(c->r->s);
}

/* What overflows wraps around: there is nothing to be had beyond 64 bits. */
static struct code_value wrapped(unsigned long long n)
{
    return (struct code_value){.n = (long long)n};
}

/* Python rounds towards minus infinity. */
static long long divide(struct code *c, long long a, long long b, bool rest)
{
    long long q;

    if (b == 0)
        refuse(c, "division by zero");
    if (b == -1)
        return rest ? 0 : wrapped(0ull - (unsigned long long)a).n;
    q = a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
    return rest ? a - q * b : q;
}

static bool compare(const char *op, long long a, long long b)
{
    bool same = a == b, less = a < b;

    switch (op[0]) {
    case '=':
        return same;
    case '!':
        return !same;
    case '<':
        return less || (op[1] == '=' && same);
    default:
        return !less && (op[1] == '=' || !same);
    }
}

static void value_text(const struct code_value *v, char *buf, size_t cap)
{
    if (v->text)
        snprintf(buf, cap, "%.*s", v->len, v->text);
    else
        snprintf(buf, cap, "%lld", v->n);
}

static void assertion(struct code *c, const char *end, long long v, const struct code_value *say)
{
    char said[256] = "";

    if (v)
        return;
    if (say)
        value_text(say, said, sizeof said);
    while (end > c->began && isspace((unsigned char)end[-1]))
        end--;
    script_fail(c->r->s, c->began_line, "%%{ }%%: this is not so: %.*s%s%s\n", (int)(end - c->began),
                c->began, said[0] ? ": " : "", said);
}

static void print(const struct code *c, const struct code_value *v)
{
    char text[256];

    value_text(v, text, sizeof text);
    fprintf(stderr, "%s:%d: %s\n", c->r->s->path, c->began_line, text);
}

static struct code_value number(long long n)
{
    return (struct code_value){.n = n};
}
}

%union {
    struct code_value value;
    struct { long long all, last; } chain;
    const char *text;
}
%token ASSERT "assert" PRINT "print" PASS "pass" OR "or" AND "and" NOT "not" ABS "abs" MIN "min" MAX "max" INT "int"
%token NEWLINE "the end of the line" DIVIDE "//" LEFT "<<" RIGHT ">>" END 0 "}%"
%token <text> COMPARE "a comparison" SAY ","
%token <value> VALUE "a value"
%type <value> expr sum
%type <chain> chain
%type <value> least most
%left OR
%left AND
%precedence NOT
%left '|'
%left '^'
%left '&'
%left LEFT RIGHT
%left '+' '-'
%left '*' '/' DIVIDE '%'
%precedence SIGN

%%

code: statement
    | code NEWLINE statement
    ;
statement: %empty
    | PASS
    | ASSERT expr                       { assertion(c, c->at - (*c->at != 0), $2.n, NULL); }
    | ASSERT expr SAY expr              { assertion(c, $3, $2.n, &$4); }
    | PRINT expr                        { print(c, &$2); }
    | PRINT '(' expr ',' printed ')'    { print(c, &$3); }
    ;
printed: expr                           { print(c, &$1); }
    | printed ',' expr                  { print(c, &$3); }
    ;
expr: chain                             { $$ = number($1.all); }
    | sum
    | NOT expr                          { $$ = number(!$2.n); }
    | expr AND expr                     { $$ = number($1.n && $3.n); }
    | expr OR expr                      { $$ = number($1.n || $3.n); }
    ;
chain: sum COMPARE sum                  { $$.all = compare($2, $1.n, $3.n); $$.last = $3.n; }
    | chain COMPARE sum                 { $$.all = $1.all && compare($2, $1.last, $3.n); $$.last = $3.n; }
    ;
sum: VALUE
    | '(' expr ')'                      { $$ = $2; }
    | '-' sum %prec SIGN                { $$ = wrapped(0ull - (unsigned long long)$2.n); }
    | '+' sum %prec SIGN                { $$ = $2; }
    | '~' sum %prec SIGN                { $$ = number(~$2.n); }
    | sum '+' sum                       { $$ = wrapped((unsigned long long)$1.n + (unsigned long long)$3.n); }
    | sum '-' sum                       { $$ = wrapped((unsigned long long)$1.n - (unsigned long long)$3.n); }
    | sum '*' sum                       { $$ = wrapped((unsigned long long)$1.n * (unsigned long long)$3.n); }
    | sum '/' sum                       { $$ = number(divide(c, $1.n, $3.n, false)); }
    | sum DIVIDE sum                    { $$ = number(divide(c, $1.n, $3.n, false)); }
    | sum '%' sum                       { $$ = number(divide(c, $1.n, $3.n, true)); }
    | sum LEFT sum                      { $$ = wrapped((unsigned long long)$1.n << ($3.n & 63)); }
    | sum RIGHT sum                     { $$ = number($1.n >> ($3.n & 63)); }
    | sum '&' sum                       { $$ = number($1.n & $3.n); }
    | sum '^' sum                       { $$ = number($1.n ^ $3.n); }
    | sum '|' sum                       { $$ = number($1.n | $3.n); }
    | INT '(' expr ')'                  { $$ = $3; }
    | ABS '(' expr ')'                  { $$ = $3.n < 0 ? wrapped(0ull - (unsigned long long)$3.n) : $3; }
    | MIN '(' least ')'                 { $$ = $3; }
    | MAX '(' most ')'                  { $$ = $3; }
    ;
least: expr
    | least ',' expr                    { $$ = $1.n < $3.n ? $1 : $3; }
    ;
most: expr
    | most ',' expr                     { $$ = $1.n > $3.n ? $1 : $3; }
    ;

%%

enum { NIBBLE_LOW = -1, NIBBLE_HIGH = -2 };

/* Where the fields are in Linux's struct tcp_info. */
static const struct {
    const char *name;
    int at, width; /* octets */
} fields[] = {
    {"state", 0, 1},
    {"ca_state", 1, 1},
    {"retransmits", 2, 1},
    {"probes", 3, 1},
    {"backoff", 4, 1},
    {"options", 5, 1},
    {"snd_wscale", 6, NIBBLE_LOW},
    {"rcv_wscale", 6, NIBBLE_HIGH},
    {"rto", 8, 4},
    {"ato", 12, 4},
    {"snd_mss", 16, 4},
    {"rcv_mss", 20, 4},
    {"unacked", 24, 4},
    {"sacked", 28, 4},
    {"lost", 32, 4},
    {"retrans", 36, 4},
    {"fackets", 40, 4},
    {"last_data_sent", 44, 4},
    {"last_ack_sent", 48, 4},
    {"last_data_recv", 52, 4},
    {"last_ack_recv", 56, 4},
    {"pmtu", 60, 4},
    {"rcv_ssthresh", 64, 4},
    {"rtt", 68, 4},
    {"rttvar", 72, 4},
    {"snd_ssthresh", 76, 4},
    {"snd_cwnd", 80, 4},
    {"advmss", 84, 4},
    {"reordering", 88, 4},
    {"rcv_rtt", 92, 4},
    {"rcv_space", 96, 4},
    {"total_retrans", 100, 4},
    {"pacing_rate", 104, 8},
    {"max_pacing_rate", 112, 8},
    {"bytes_acked", 120, 8},
    {"bytes_received", 128, 8},
    {"segs_out", 136, 4},
    {"segs_in", 140, 4},
    {"notsent_bytes", 144, 4},
    {"min_rtt", 148, 4},
    {"data_segs_in", 152, 4},
    {"data_segs_out", 156, 4},
    {"delivery_rate", 160, 8},
    {"busy_time", 168, 8},
    {"rwnd_limited", 176, 8},
    {"sndbuf_limited", 184, 8},
    {"delivered", 192, 4},
    {"delivered_ce", 196, 4},
    {"bytes_sent", 200, 8},
    {"bytes_retrans", 208, 8},
    {"dsack_dups", 216, 4},
    {"reord_seen", 220, 4},
    {"rcv_ooopack", 224, 4},
    {"snd_wnd", 228, 4},
    {"rcv_wnd", 232, 4},
    {"rehash", 236, 4},
    {"total_rto", 240, 2},
    {"total_rto_recoveries", 242, 2},
    {"total_rto_time", 244, 4},
};


static long long field_of(const struct code *c, size_t i)
{
    const uint8_t *p = c->info + fields[i].at;
    uint64_t n8;
    uint32_t n4;
    uint16_t n2;

    switch (fields[i].width) {
    case NIBBLE_LOW:
        return *p & 15;
    case NIBBLE_HIGH:
        return *p >> 4;
    case 1:
        return *p;
    case 2:
        memcpy(&n2, p, sizeof n2);
        return n2;
    case 4:
        memcpy(&n4, p, sizeof n4);
        return n4;
    default:
        memcpy(&n8, p, sizeof n8);
        return n8 > INT64_MAX ? INT64_MAX : (long long)n8;
    }
}

static int name_token(struct code *c, struct code_value *v)
{
    static const struct {
        const char *word;
        int token;
    } words[] = {{"assert", ASSERT}, {"print", PRINT}, {"pass", PASS}, {"or", OR},   {"and", AND},
                 {"not", NOT},       {"abs", ABS},     {"min", MIN},   {"max", MAX}, {"int", INT}};
    char word[64];
    size_t n = 0;

    while (isalnum((unsigned char)c->at[n]) || c->at[n] == '_')
        n++;
    if (n >= sizeof word)
        refuse(c, "a name that is too long");
    memcpy(word, c->at, n);
    word[n] = '\0';
    c->at += n;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0) {
            if (words[i].token == ASSERT || words[i].token == PRINT) {
                c->began = c->at + strspn(c->at, " \t");
                c->began_line = c->line;
            }
            return words[i].token;
        }
    *v = number(word[0] == 'T');
    if (strcmp(word, "True") == 0 || strcmp(word, "False") == 0)
        return VALUE;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strncmp(word, "tcpi_", 5) == 0 && strcmp(fields[i].name, word + 5) == 0) {
            *v = number(field_of(c, i));
            return VALUE;
        }
    if (!name_value(word, &v->n))
        script_refuse(c->r->s, c->line, "%%{ }%%: '%s' is not known here", word);
    return VALUE;
}

static int string_token(struct code *c, struct code_value *v)
{
    char quote = *c->at++;
    const char *end = strchr(c->at, quote);

    if (!end)
        refuse(c, "a string without an end");
    *v = (struct code_value){.text = c->at, .len = (int)(end - c->at)};
    c->at = end + 1;
    return VALUE;
}

static int number_token(struct code *c, struct code_value *v)
{
    char *end;

    *v = number(strtoll(c->at, &end, 0));
    c->at = end;
    if (*end == '.')
        refuse(c, "numbers are whole here");
    return VALUE;
}

static int sign_token(struct code *c, SCRIPT_CODE_YYSTYPE *value)
{
    static const struct {
        const char *text;
        int token;
    } signs[] = {{"<<", LEFT},    {">>", RIGHT},   {"<=", COMPARE}, {">=", COMPARE}, {"==", COMPARE},
                 {"!=", COMPARE}, {"//", DIVIDE}, {"<", COMPARE},  {">", COMPARE}};

    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i].text);

        if (strncmp(c->at, signs[i].text, n) == 0) {
            value->text = signs[i].text;
            c->at += n;
            return signs[i].token;
        }
    }
    c->depth += (*c->at == '(') - (*c->at == ')');
    if (*c->at == ',' && c->depth == 0) {
        value->text = c->at++;
        return SAY;
    }
    return (unsigned char)*c->at++;
}

static int script_code_yylex(SCRIPT_CODE_YYSTYPE *value, struct code *c)
{
    for (;; c->at++) {
        if (*c->at == '#')
            c->at += strcspn(c->at, "\n");
        if (*c->at == '\0')
            return 0;
        c->line += *c->at == '\n';
        if (c->depth == 0 && (*c->at == '\n' || *c->at == ';')) {
            c->at++;
            return NEWLINE;
        }
        if (!isspace((unsigned char)*c->at))
            break;
    }
    if (isalpha((unsigned char)*c->at) || *c->at == '_')
        return name_token(c, &value->value);
    if (isdigit((unsigned char)*c->at))
        return number_token(c, &value->value);
    if (*c->at == '\'' || *c->at == '"')
        return string_token(c, &value->value);
    return sign_token(c, value);
}

void code_run(struct run *r, int line, const char *text)
{
    struct code c = {.r = r, .line = line, .at = text};
    socklen_t len = sizeof c.info;

    for (const char *t = text; *t; t++)
        c.line -= *t == '\n'; /* the line that the scanner knows is the last */
    if (r->last_fd >= 0)
        (void)r->io.getsockopt(r->io.userdata, r->last_fd, IPPROTO_TCP, TCP_INFO, c.info, &len);
    if (script_code_yyparse(&c))
        script_leave(r->s);
}

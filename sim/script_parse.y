/* SPDX-License-Identifier: BSD-2-Clause */
/* script_parse.y - the grammar of packet scripts.
 *
 * The grammar says what is a script; what names mean, and which of them estab has, is looked up
 * when an event is run.  Structures are lists of fields here, whatever they stand for. */
%define api.pure full
%define api.prefix {script_yy}
%define parse.error detailed
%define parse.lac full
%locations
%parse-param {struct script *s}
%param {void *scanner}

%code requires {
#include "script.h"
}
%code provides {
/* flex writes the scanner, but no header for it. */
int script_yylex(SCRIPT_YYSTYPE *value, SCRIPT_YYLTYPE *where, void *scanner);
}
%code {
#include <stdlib.h>
#include <string.h>

#define YYINITDEPTH SCRIPT_DEPTH
#define YYMAXDEPTH  SCRIPT_DEPTH

static void script_yyerror(SCRIPT_YYLTYPE *where, struct script *s, void *scanner,
                           const char *what)
{
    (void)scanner;
    script_syntax(s, where->first_line, "", what);
}

static long long usecs(const char *text)
{
    const double most = 1e13; /* a third of a year: beyond it nothing is waited for */
    double t = strtod(text, NULL) * 1e6;

    if (t > most || t < 0)
        t = t < 0 ? 0 : most;
    return (long long)(t + 0.5);
}

static void add_option(struct script *s, int line, const char *text)
{
    struct script_option *o = arena_get(&s->arena, sizeof *o);
    bool define = strncmp(text, "-D", 2) == 0;
    const char *name = define ? "define" : text + 2;
    const char *eq = define ? text + 1 + strspn(text + 2, " \t") : strchr(name, '=');
    size_t len;

    o->line = line;
    o->name = define || !eq ? name : arena_text(&s->arena, name, (size_t)(eq - name));
    if (eq) {
        len = strlen(++eq);
        if (len >= 2 && eq[0] == '"' && eq[len - 1] == '"')
            eq = arena_text(&s->arena, eq + 1, len - 2);
        o->arg = eq;
    }
    *s->options_end = o;
    s->options_end = &o->next;
}

static struct script_event *add_event(struct script *s, int line, struct script_time t,
                                      enum event_kind kind)
{
    struct script_event *e = arena_get(&s->arena, sizeof *e);

    e->line = line;
    e->time = t;
    e->kind = kind;
    e->packet.ecn = e->packet.tos = e->packet.ttl = -1;
    e->packet.flow_label = e->packet.sport = e->packet.dport = -1;
    e->packet.mtu = e->packet.id = -1;
    *s->events_end = e;
    s->events_end = &e->next;
    return e;
}

static struct call_spec *add_call(struct script *s, int line, struct script_time t,
                                  const char *name, struct expr *args, struct expr *result,
                                  const char *error)
{
    struct call_spec *c = &add_event(s, line, t, EVENT_CALL)->call;

    c->name = name;
    c->args = args;
    c->result = result;
    c->error = error;
    return c;
}

static struct expr *make_text(struct script *s, enum expr_kind kind, int line, const char *text)
{
    struct expr *e = expr_new(s, kind, line);

    e->text = text;
    return e;
}

static struct expr *make_int(struct script *s, int line, long long num, const char *text)
{
    struct expr *e = make_text(s, EXPR_INT, line, text);

    e->num = num;
    return e;
}

static struct expr *join(struct script *s, struct expr *left, struct expr *right)
{
    struct expr *e = left;

    if (left->kind != EXPR_OR) {
        e = expr_new(s, EXPR_OR, left->line);
        e->items = left;
    }
    e->items = expr_list(e->items, right);
    return e;
}

static struct expr *make_string(struct script *s, int line, const char *text, size_t len)
{
    struct expr *e = make_text(s, EXPR_STRING, line, text);

    e->num = (long long)len;
    return e;
}

static void put_ports(struct pkt_spec *k, long src, long dst)
{
    k->sport = src;
    k->dport = dst;
}

static void put_seq(struct script *s, int line, uint32_t *seq, uint32_t *len, long long from,
                    long long to, long long n)
{
    if (from > UINT32_MAX || to > UINT32_MAX || (uint32_t)(to - from) != (uint32_t)n)
        script_refuse(s, line, "sequence numbers %lld:%lld(%lld) do not agree", from, to, n);
    *seq = (uint32_t)from;
    *len = (uint32_t)n;
}
}

%union {
    const char *text;
    struct { const char *text; size_t len; } string;
    struct { long long value; const char *text; } number;
    struct { long long from, to, len; } seq;
    struct { long src, dst; } ports;
    struct script_time time;
    long long usecs;
    struct expr *expr;
}

%token <text> TOK_OPTION "an option" TOK_CODE "%{ }%" TOK_SHELL "a shell line" TOK_WORD "a word"
%token <text> TOK_FLAGS "flags" TOK_OTHER "an encapsulation"
%token <string> TOK_STRING "a string"
%token <number> TOK_INT "a number" TOK_HEX "a hexadecimal number" TOK_FLOAT "a time"
%token <number> TOK_ACK "ack" TOK_WIN "win" TOK_URG "urg" TOK_MTU "mtu" TOK_ID "id"
%token <seq> TOK_SEQ "sequence numbers"
%token <ports> TOK_PORTS "ports"
%token TOK_ELLIPSIS "..." TOK_IN "<" TOK_OUT ">" TOK_OPEN "< (options)" TOK_CLOSE "> (options)"
%token TOK_UDP "udp" TOK_ICMP "icmp" TOK_RAW "raw" TOK_END 0 "the end of the script"

%type <time> event_time
%type <usecs> usec
%type <expr> result names expr exprs primary args fields field option_args option_arg
%type <text> opt_errno
%type <number> any_int

%%

script: options init events cleanup
    ;
options: %empty
    | options TOK_OPTION                { add_option(s, @2.first_line, $2); }
    ;
init: %empty
    | TOK_SHELL                         { s->init = $1; s->init_line = @1.first_line; }
    ;
cleanup: %empty
    | TOK_SHELL                         { s->cleanup = $1; s->cleanup_line = @1.first_line; }
    ;
events: event
    | events event
    ;
event: packet
    | call
    | event_time TOK_SHELL              { add_event(s, @2.first_line, $1, EVENT_SHELL)->text = $2; }
    | event_time TOK_CODE               { add_event(s, @2.first_line, $1, EVENT_CODE)->text = $2; }
    ;
event_time: usec                        { $$ = (struct script_time){TIME_AT, $1, $1}; }
    | usec '~' usec                     { $$ = (struct script_time){TIME_AT, $1, $3}; }
    | '+' usec                          { $$ = (struct script_time){TIME_AFTER, $2, $2}; }
    | '+' usec '~' '+' usec             { $$ = (struct script_time){TIME_AFTER, $2, $5}; }
    | '*'                               { $$ = (struct script_time){TIME_ANY, 0, 0}; }
    | '+' '*'                           { $$ = (struct script_time){TIME_ANY, 0, 0}; }
    ;
usec: TOK_FLOAT                         { $$ = usecs($1.text); }
    | TOK_INT                           { $$ = usecs($1.text); }
    ;

 /* ---- packets ---- */

packet: event_time direction ip_marks segment
    ;
direction: TOK_IN
        { s->last = add_event(s, @1.first_line, $<time>0, EVENT_PACKET); s->last->packet.inbound = true; }
    | TOK_OUT
        { s->last = add_event(s, @1.first_line, $<time>0, EVENT_PACKET); }
    ;
ip_marks: %empty
    | '[' ip_mark_list ']'
    | '(' ip_mark_list ')'
    ;
ip_mark_list: ip_mark
    | ip_mark_list ',' ip_mark
    ;
ip_mark: TOK_WORD                       { pkt_ip_word(s, @1.first_line, &s->last->packet, $1, -1); }
    | TOK_WORD any_int                  { pkt_ip_word(s, @1.first_line, &s->last->packet, $1, $2.value); }
    ;
segment: ports flags sequence tail options_of_tcp
    | TOK_UDP ports '(' TOK_INT ')'
        { s->last->packet.proto = PKT_UDP; s->last->packet.len = (uint32_t)$4.value; }
    | icmp icmp_code icmp_words icmp_quote
    | TOK_OTHER
        { script_refuse(s, @1.first_line, "packets with %s are not supported", $1); }
    ;
ports: %empty
    | TOK_PORTS                         { put_ports(&s->last->packet, $1.src, $1.dst); }
    ;
flags: TOK_FLAGS                        { pkt_flags(s, @1.first_line, &s->last->packet, $1); }
    | TOK_INT                           { pkt_flags(s, @1.first_line, &s->last->packet, $1.text); }
    ;
sequence: TOK_SEQ
        { put_seq(s, @1.first_line, &s->last->packet.seq, &s->last->packet.len, $1.from, $1.to, $1.len); }
    ;
tail: %empty
    | tail TOK_ACK                      { s->last->packet.has_ack = true; s->last->packet.ack = (uint32_t)$2.value; }
    | tail TOK_WIN                      { s->last->packet.has_win = true; s->last->packet.win = (uint32_t)$2.value; }
    | tail TOK_URG                      { s->last->packet.has_urg = true; s->last->packet.urg = (uint32_t)$2.value; }
    ;
options_of_tcp: %empty
    | TOK_OPEN TOK_ELLIPSIS TOK_CLOSE   { s->last->packet.any_options = true; }
    | TOK_OPEN TOK_CLOSE
    | TOK_OPEN option_list TOK_CLOSE
    ;
option_list: option
    | option_list ',' option
    ;
option: TOK_WORD option_args            { pkt_option(s, @1.first_line, &s->last->packet, $1, $2); }
    ;
option_args: %empty                     { $$ = NULL; }
    | option_args option_arg            { $$ = expr_list($1, $2); }
    ;
option_arg: any_int                     { $$ = make_int(s, @1.first_line, $1.value, $1.text); }
    | TOK_WORD                          { $$ = make_text(s, EXPR_NAME, @1.first_line, $1); }
    | TOK_INT ':' TOK_INT
        {
            $$ = expr_new(s, EXPR_ARRAY, @1.first_line);
            $$->items = expr_list(make_int(s, @1.first_line, $1.value, $1.text),
                                  make_int(s, @3.first_line, $3.value, $3.text));
        }
    ;
icmp: TOK_ICMP TOK_WORD                 { s->last->packet.proto = PKT_ICMP; s->last->packet.icmp_type = $2; }
    ;
icmp_code: %empty
    | TOK_WORD                          { s->last->packet.icmp_code = $1; }
    ;
icmp_words: %empty
    | icmp_words TOK_MTU                { s->last->packet.mtu = (long)$2.value; }
    | icmp_words TOK_ID                 { s->last->packet.id = (long)$2.value; }
    ;
icmp_quote: %empty
    | '[' TOK_SEQ ']'
        {
            s->last->packet.quote = QUOTE_TCP;
            put_seq(s, @2.first_line, &s->last->packet.quote_seq, &s->last->packet.quote_len, $2.from, $2.to, $2.len);
        }
    | '[' TOK_UDP '(' TOK_INT ')' ']'
        { s->last->packet.quote = QUOTE_UDP; s->last->packet.quote_len = (uint32_t)$4.value; }
    | '[' TOK_RAW '(' TOK_INT ')' ']'
        { s->last->packet.quote = QUOTE_RAW; s->last->packet.quote_len = (uint32_t)$4.value; }
    ;

 /* ---- system calls ---- */

call: event_time TOK_WORD args '=' result opt_errno note
        { add_call(s, @2.first_line, $1, $2, $3, $5, $6); }
    | event_time TOK_ELLIPSIS usec TOK_WORD args '=' result opt_errno note
        {
            struct call_spec *c = add_call(s, @4.first_line, $1, $4, $5, $7, $8);

            c->blocks = true;
            c->end_usec = $3;
        }
    ;
result: TOK_ELLIPSIS                    { $$ = expr_new(s, EXPR_ANY, @1.first_line); }
    | any_int                           { $$ = make_int(s, @1.first_line, $1.value, $1.text); }
    | names
    ;
names: TOK_WORD                         { $$ = make_text(s, EXPR_NAME, @1.first_line, $1); }
    | names '|' TOK_WORD                { $$ = join(s, $1, make_text(s, EXPR_NAME, @3.first_line, $3)); }
    ;
args: '(' ')'                           { $$ = NULL; }
    | '(' exprs ')'                     { $$ = $2; }
    ;
opt_errno: %empty                       { $$ = NULL; }
    | TOK_WORD                          { $$ = $1; }
    ;
note: %empty
    | '(' note_words ')'
    ;
note_words: %empty
    | note_words note_word
    ;
note_word: TOK_WORD | TOK_INT | TOK_HEX | TOK_FLOAT | TOK_STRING | '|' | ',' | '-' | '/' | '.' | '\'' | ':' | '='
    ;

exprs: expr                             { $$ = $1; }
    | exprs ',' expr                    { $$ = expr_list($1, $3); }
    ;
expr: primary                           { $$ = $1; }
    | expr '|' primary                  { $$ = join(s, $1, $3); }
    ;
primary: TOK_ELLIPSIS                   { $$ = expr_new(s, EXPR_ANY, @1.first_line); }
    | any_int                           { $$ = make_int(s, @1.first_line, $1.value, $1.text); }
    | TOK_FLOAT                         { $$ = make_text(s, EXPR_NAME, @1.first_line, $1.text); }
    | TOK_WORD                          { $$ = make_text(s, EXPR_NAME, @1.first_line, $1); }
    | TOK_WORD args                     { $$ = make_text(s, EXPR_CALL, @1.first_line, $1); $$->items = $2; }
    | TOK_STRING                        { $$ = make_string(s, @1.first_line, $1.text, $1.len); }
    | TOK_STRING TOK_ELLIPSIS           { $$ = make_string(s, @1.first_line, $1.text, $1.len); $$->any = true; }
    | '[' ']'                           { $$ = expr_new(s, EXPR_ARRAY, @1.first_line); }
    | '[' exprs ']'                     { $$ = expr_new(s, EXPR_ARRAY, @1.first_line); $$->items = $2; }
    | '{' '}'                           { $$ = expr_new(s, EXPR_STRUCT, @1.first_line); }
    | '{' fields '}'                    { $$ = expr_new(s, EXPR_STRUCT, @1.first_line); $$->items = $2; }
    ;
fields: field                           { $$ = $1; }
    | fields ',' field                  { $$ = expr_list($1, $3); }
    ;
field: expr
    | TOK_WORD '=' expr                 { $$ = make_text(s, EXPR_FIELD, @1.first_line, $1); $$->items = $3; }
    | TOK_WORD args '=' expr
        {
            $$ = make_text(s, EXPR_FIELD, @1.first_line, $1);
            $$->items = $4;
            $$->items->next = $2;
        }
    ;
any_int: TOK_INT
    | TOK_HEX
    ;

%%

const char *script_defined(const struct script *s, const char *name)
{
    for (const struct script_define *d = s->defines; d; d = d->next)
        if (strcmp(d->name, name) == 0)
            return d->value;
    return NULL;
}

struct expr *expr_new(struct script *s, enum expr_kind kind, int line)
{
    struct expr *e = arena_get(&s->arena, sizeof *e);

    e->kind = kind;
    e->line = line;
    return e;
}

struct expr *expr_list(struct expr *list, struct expr *last)
{
    struct expr *e = list;

    if (!list)
        return last;
    while (e->next)
        e = e->next;
    e->next = last;
    return list;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* script_shell.c - shell lines, of which there is no shell: settings are settings of the stack, a
 * sleep is virtual, and anything else is refused by name. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 32 };

struct line {
    struct run *r;
    int number;
    char *word[WORDS_MAX];
    int n;
};

/* net/ipv4/tcp_sack under /proc/sys is net.ipv4.tcp_sack. */
static char *sysctl_of_path(char *path)
{
    static const char root[] = "/proc/sys/";

    if (strncmp(path, root, sizeof root - 1) != 0)
        return NULL;
    path += sizeof root - 1;
    for (char *c = path; *c; c++)
        if (*c == '/')
            *c = '.';
    return path;
}

/* The stack is made with its settings, at the first socket or packet; after that only what changes
 * nothing can be set. */
static void set_sysctl(struct line *l, const char *name, const char *value)
{
    struct run *r = l->r;
    struct plug_set changed = r->plug->set;
    char err[ESTAB_ERRLEN];

    if (plug_set_sysctl(&changed, name, value, err) != 0)
        script_refuse(r->s, l->number, "%s", err);
    if (r->plug->stack && !plug_set_same(&changed, &r->plug->set))
        script_refuse(r->s, l->number, "%s can only be set before the first socket", name);
    r->plug->set = changed;
}

static void run_sysctl(struct line *l)
{
    for (int i = 1; i < l->n; i++) {
        char *eq;

        if (l->word[i][0] == '-')
            continue;
        eq = strchr(l->word[i], '=');
        if (!eq)
            script_refuse(l->r->s, l->number, "sysctl: '%s' sets nothing", l->word[i]);
        *eq = '\0';
        set_sysctl(l, l->word[i], eq + 1);
    }
}

/* echo VALUE > /proc/sys/... */
static void run_echo(struct line *l)
{
    char value[128] = "", *name = NULL;
    size_t n = 0;

    for (int i = 1; i < l->n && !name && n < sizeof value; i++) {
        if (strcmp(l->word[i], ">") == 0 && i + 2 == l->n)
            name = sysctl_of_path(l->word[i + 1]);
        else
            n += (size_t)snprintf(value + n, sizeof value - n, "%s%s", n ? " " : "", l->word[i]);
    }
    if (!name)
        script_refuse(l->r->s, l->number, "echo: only into /proc/sys");
    set_sysctl(l, name, value);
}

static void shell_sleep(struct line *l)
{
    char *end;
    double s = l->n > 1 ? strtod(l->word[1], &end) : 0;

    if (l->n != 2 || *end || s < 0 || s > 1e6)
        script_refuse(l->r->s, l->number, "sleep: no time");
    run_sleep(l->r, (long long)(s * 1e6));
}

static void run_line(struct line *l)
{
    const char *command = l->word[0], *base = strrchr(command, '/');

    base = base ? base + 1 : command;
    if (strcmp(base, "sysctl") == 0)
        run_sysctl(l);
    else if (strcmp(base, "echo") == 0)
        run_echo(l);
    else if (strcmp(base, "sleep") == 0)
        shell_sleep(l);
    else if (strcmp(base, "true") != 0 && strcmp(base, ":") != 0)
        script_refuse(l->r->s, l->number,
                      "the command '%s' is not run: of shell lines there are "
                      "sysctl, echo into /proc/sys, sleep and true",
                      command);
}

/* Words, with what stands between quotes kept together, up to the end of the command. */
static char *split(struct line *l, char *text)
{
    static char into[] = ">";
    char *to = text, quote = '\0';
    bool in_word = false;

    l->n = 0;
    for (; *text; text++) {
        char c = *text;

        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? '\0' : c;
        } else if (!quote && strchr(" \t\r\n;&>", c)) {
            if (in_word)
                *to++ = '\0';
            in_word = false;
            if (c == '>' && l->n < WORDS_MAX)
                l->word[l->n++] = into;
            if ((c == '\n' || c == ';' || c == '&') && l->n)
                return text + 1;
            continue;
        }
        if (!in_word) {
            if (l->n == WORDS_MAX)
                script_refuse(l->r->s, l->number, "a shell line of more than %d words", WORDS_MAX);
            l->word[l->n++] = to;
            in_word = true;
        }
        if (!(c == '"' || c == '\'') || (quote && c != quote))
            *to++ = c;
    }
    if (in_word)
        *to = '\0';
    return text;
}

void shell_run(struct run *r, int line, const char *text)
{
    struct line l = {.r = r, .number = line};
    size_t len = strlen(text);
    char *rest = arena_text(&r->s->arena, text, len + 1);

    while (*rest) {
        rest = split(&l, rest);
        if (l.n && l.word[0][0] != '#')
            run_line(&l);
    }
}

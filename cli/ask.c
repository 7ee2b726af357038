/* SPDX-License-Identifier: BSD-2-Clause */
/* ask.c - finds the stacks that run here, asks them, and reads what they say. */
#include "ask.h"
#include "command.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_ROOM = 64 * 1024 }; /* far more than a line of a stack's has */

estab_time ask_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return ESTAB_S((uint64_t)t.tv_sec) + (uint64_t)t.tv_nsec;
}

uint64_t ask_number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));

    return v > 0 ? (uint64_t)v : 0;
}

const char *ask_string(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

bool ask_true(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

bool ask_filter(const char *name, char text[ASK_FILTER_LEN], struct estab_filter *f, int argc,
                char *const argv[])
{
    char err[ESTAB_ERRLEN];
    size_t len = 0;
    int i;

    text[0] = '\0';
    for (i = 0; i < argc; i++) {
        int n = snprintf(text + len, ASK_FILTER_LEN - len, "%s%s", i ? " " : "", argv[i]);

        len += (size_t)n;
        if (len >= ASK_FILTER_LEN || strchr(argv[i], '\n')) {
            say_usage(name, "the filter is too long, or has more than one line");
            return false;
        }
    }
    if (estab_filter_parse(f, text, err) == 0)
        return true;
    say_usage(name, "%s", err);
    return false;
}

/* ---- finding them ---- */

struct finder {
    const char *name;
    estab_dur patience;
    void (*each)(void *ctx, const char *path, int fd);
    void *ctx;
    size_t found, refused;
};

/* What a killed process left: the socket is named after it. */
static void remove_leftover(const char *path)
{
    const char *file = strrchr(path, '/');
    long pid = file ? strtol(file + 1, NULL, 10) : 0;

    if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        unlink(path);
}

static void open_at(struct finder *f, const char *path, bool named)
{
    int fd = estab_ctl_connect(path, f->patience);

    if (fd >= 0) {
        f->found++;
        f->each(f->ctx, path, fd);
        return;
    }
    if (errno == ECONNREFUSED && !named) {
        remove_leftover(path);
        return;
    }
    if (errno == ENOENT && !named)
        return;
    f->refused++;
    if (errno == EACCES)
        say_error(f->name,
                  "%s: permission denied: a stack answers the user who runs it, root and the group "
                  "it names; try sudo",
                  path);
    else if (errno == ENOENT)
        say_error(f->name,
                  "%s: no stack has its control socket there; without --ctl every stack of this "
                  "user is asked",
                  path);
    else if (errno == ECONNREFUSED)
        say_error(f->name,
                  "%s: nobody answers there: the stack whose control socket it was has "
                  "ended, or it never was one",
                  path);
    else if (errno == EAGAIN)
        say_error(f->name,
                  "%s: its process takes no clients: is it stopped or stuck?  Look with "
                  "`ps -C estab -o pid,stat,args'",
                  path);
    else
        say_error(f->name, "%s: %s", path, strerror(errno));
}

static void open_all(struct finder *f, const char *folder)
{
    char path[ESTAB_CTL_PATH + 256];
    const struct dirent *e;
    DIR *dir = opendir(folder);

    while (dir && (e = readdir(dir))) {
        size_t len = strlen(e->d_name);

        if (len < 5 || strcmp(e->d_name + len - 5, ".sock") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        open_at(f, path, false);
    }
    if (dir)
        closedir(dir);
}

static size_t find(struct finder *f, const char *ctl_path)
{
    char folder[ESTAB_CTL_PATH] = "", err[ESTAB_ERRLEN];

    if (ctl_path)
        open_at(f, ctl_path, true);
    else if (estab_ctl_folder(folder, false, err) == 0)
        open_all(f, folder);
    if (f->found == 0 && f->refused == 0)
        say_error(f->name,
                  "no stack runs%s%s; start one with `estab serve' or `estab get' (a stack of "
                  "another user shows only to that user: try sudo)",
                  folder[0] ? ": there is none in " : "", folder);
    return f->found;
}

size_t ask_open(const char *name, const char *ctl_path,
                void (*each)(void *ctx, const char *path, int fd), void *ctx)
{
    struct finder f = {.name = name, .patience = ASK_PATIENCE, .each = each, .ctx = ctx};

    return find(&f, ctl_path);
}

/* ---- what is not to be trusted ----
 * A stack says nothing but ASCII that can be printed; a process that is none may say anything. */

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if (*s < ' ' || *s > '~')
            return false;
    return true;
}

static void make_plain(json_t *string)
{
    const char *s = json_string_value(string);
    char *copy = is_plain(s) ? NULL : strdup(s);

    if (!copy)
        return;
    for (char *c = copy; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    (void)json_string_set(string, copy);
    free(copy);
}

/* Everything in o, however deep. */
static void make_all_plain(json_t *o)
{
    json_t *todo = json_array(), *at, *v;
    const char *key;
    void *next;
    size_t k;

    (void)json_array_append(todo, o);
    for (size_t i = 0; i < json_array_size(todo); i++) {
        at = json_array_get(todo, i);
        if (json_is_string(at))
            make_plain(at);
        json_array_foreach(at, k, v)(void) json_array_append(todo, v);
        json_object_foreach_safe(at, next, key, v)
        {
            (void)json_array_append(todo, v);
            if (!is_plain(key))
                (void)json_object_del(at, key);
        }
    }
    json_decref(todo);
}

json_t *ask_parse(const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, 0, NULL);

    if (!json_is_object(o)) {
        json_decref(o);
        return NULL;
    }
    make_all_plain(o);
    return o;
}

void ask_say_silent(const char *name, const char *path, int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;

    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
    say_error(name,
              "%s: no answer: process %ld may be stopped or stuck; `ps -o stat= -p %ld' says T of "
              "one that is stopped, which `kill -CONT %ld' lets go on",
              path, (long)who.pid, (long)who.pid, (long)who.pid);
}

/* ---- asking ---- */

struct answer {
    struct ask *ask;
    struct asked from;
    json_t *stack;
    bool complete, told;
};

/* False: no sense in reading on. */
static bool use_object(struct answer *a, json_t *o)
{
    bool more = false;

    if (json_object_get(o, "error")) {
        say_error(a->ask->name, "%s: %s", a->from.path, ask_string(o, "error"));
        a->told = true;
    } else if (!a->stack) {
        a->stack = json_incref(o);
        a->from.stack = o;
        a->from.pid = (long)ask_number(o, "pid");
        a->from.command = ask_string(o, "command");
        more = ask_number(o, "protocol") == 2;
        if (!more) {
            say_error(a->ask->name, "%s: speaks another version: estab %s", a->from.path,
                      ask_string(o, "estab"));
            a->told = true;
        }
    } else if (ask_true(o, "end")) {
        if (a->ask->end)
            a->ask->end(a->ask->ctx, &a->from, o);
        a->complete = true;
    } else {
        more = a->ask->line(a->ask->ctx, &a->from, o);
        a->complete = !more;
    }
    return more;
}

static void say_nonsense(struct answer *a)
{
    say_error(a->ask->name, "%s: what comes from there is not what a stack says", a->from.path);
    a->told = true;
}

static bool use_line(struct answer *a, const char *text, size_t len)
{
    json_t *o = ask_parse(text, len);
    bool more;

    if (!o) {
        say_nonsense(a);
        return false;
    }
    more = use_object(a, o);
    json_decref(o);
    return more;
}

struct reading {
    int fd;
    size_t at, len; /* of what was read: the rest, and all */
    char *b;
};
enum read_end { READ_LINE, READ_END, READ_LATE, READ_LONG };

static enum read_end read_more(struct reading *r, estab_time until)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    estab_time t = ask_now();
    ssize_t n;

    if (r->len - r->at == LINE_ROOM)
        return READ_LONG;
    memmove(r->b, r->b + r->at, r->len - r->at);
    r->len -= r->at;
    r->at = 0;
    if (t >= until || poll(&p, 1, (int)((until - t) / ESTAB_MS(1)) + 1) == 0)
        return READ_LATE;
    n = recv(r->fd, r->b + r->len, LINE_ROOM - r->len, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return READ_LINE;
    if (n <= 0)
        return READ_END;
    r->len += (size_t)n;
    return READ_LINE;
}

/* The next line is whole within `patience`, however many octets of it come. */
static enum read_end next_line(struct reading *r, estab_dur patience, const char **line,
                               size_t *len)
{
    estab_time until = ask_now() + patience;
    enum read_end end = READ_LINE;
    const char *nl;

    while (end == READ_LINE) {
        nl = memchr(r->b + r->at, '\n', r->len - r->at);
        if (nl) {
            *line = r->b + r->at;
            *len = (size_t)(nl - *line);
            r->at += *len + 1;
            return READ_LINE;
        }
        end = read_more(r, until);
    }
    return end;
}

static void read_answer(struct answer *a, struct reading *r)
{
    enum read_end end;
    const char *line;
    size_t len;

    do
        end = next_line(r, a->ask->patience, &line, &len);
    while (end == READ_LINE && use_line(a, line, len));
    if (end == READ_LATE) {
        ask_say_silent(a->ask->name, a->from.path, r->fd);
        a->told = true;
    }
    if (end == READ_LONG)
        say_nonsense(a);
}

static void ask_fd(void *ctx, const char *path, int fd)
{
    struct answer a = {.ask = ctx, .from = {.path = path}};
    struct reading r = {.fd = fd, .b = malloc(LINE_ROOM)};
    char line[ASK_FILTER_LEN + 32];
    int len = snprintf(line, sizeof line, "%s\n", a.ask->request);

    (void)send(fd, line, (size_t)len, MSG_NOSIGNAL); /* a refusal is still to be read */
    if (r.b)
        read_answer(&a, &r);
    free(r.b);
    close(fd);
    json_decref(a.stack);
    a.ask->answered += a.complete;
    a.ask->failed += !a.complete;
    if (!a.complete && !a.told)
        say_error(a.ask->name,
                  "%s: the answer was cut short: its process has ended, or other "
                  "clients took the place",
                  path);
}

int ask_stacks(struct ask *a)
{
    struct finder f = {.name = a->name, .each = ask_fd, .ctx = a};
    size_t found;

    if (!a->patience)
        a->patience = ASK_PATIENCE;
    f.patience = a->patience;
    found = find(&f, a->ctl_path);

    return found > 0 && a->failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

struct one {
    json_t *line;
};

static bool take_one(void *ctx, const struct asked *from, json_t *line)
{
    struct one *one = ctx;

    (void)from;
    one->line = json_incref(line);
    return false;
}

json_t *ask_one(const char *name, const char *path, const char *request)
{
    struct one one = {NULL};
    struct ask a = {
        .name = name, .ctl_path = path, .request = request, .line = take_one, .ctx = &one};

    (void)ask_stacks(&a);
    return one.line;
}

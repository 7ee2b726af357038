/* SPDX-License-Identifier: BSD-2-Clause */
/* ask.c - finds the stacks that run here, asks them, and reads what they say. */
#include "ask.h"
#include "command.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

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
    int fd = estab_ctl_connect(path, ESTAB_S(5));

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

size_t ask_open(const char *name, const char *ctl_path,
                void (*each)(void *ctx, const char *path, int fd), void *ctx)
{
    struct finder f = {.name = name, .each = each, .ctx = ctx};
    char folder[ESTAB_CTL_PATH] = "", err[ESTAB_ERRLEN];

    if (ctl_path)
        open_at(&f, ctl_path, true);
    else if (estab_ctl_folder(folder, false, err) == 0)
        open_all(&f, folder);
    if (f.found == 0 && f.refused == 0)
        say_error(name,
                  "no stack runs%s%s; start one with `estab serve' or `estab get' (a stack of "
                  "another user shows only to that user: try sudo)",
                  folder[0] ? ": there is none in " : "", folder);
    return f.found;
}

/* ---- asking ---- */

struct answer {
    struct ask *ask;
    struct asked from;
    json_t *stack;
    bool complete, told;
};

/* False: no sense in reading on. */
static bool use_line(struct answer *a, const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    bool more = false;

    if (json_is_object(o) && json_object_get(o, "error")) {
        say_error(a->ask->name, "%s: %s", a->from.path, ask_string(o, "error"));
        a->told = true;
    } else if (json_is_object(o) && !a->stack) {
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
    } else if (json_is_object(o) && ask_true(o, "end")) {
        if (a->ask->end)
            a->ask->end(a->ask->ctx, &a->from, o);
        a->complete = true;
    } else if (json_is_object(o)) {
        more = a->ask->line(a->ask->ctx, &a->from, o);
        a->complete = !more;
    }
    json_decref(o);
    return more;
}

static FILE *send_request(int fd, const char *request)
{
    const struct timeval patience = {.tv_sec = 5};
    char line[ASK_FILTER_LEN + 32];
    int len = snprintf(line, sizeof line, "%s\n", request);
    FILE *in;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)send(fd, line, (size_t)len, MSG_NOSIGNAL); /* a refusal is still to be read */
    in = fdopen(fd, "r");
    if (!in)
        close(fd);
    return in;
}

static void ask_fd(void *ctx, const char *path, int fd)
{
    struct answer a = {.ask = ctx, .from = {.path = path}};
    FILE *in = send_request(fd, a.ask->request);
    char *line = NULL;
    size_t cap = 0;

    while (in && getline(&line, &cap, in) > 0 && use_line(&a, line))
        continue;
    free(line);
    if (in)
        fclose(in);
    json_decref(a.stack);
    a.ask->answered += a.complete;
    a.ask->failed += !a.complete;
    if (!a.complete && !a.told)
        say_error(a.ask->name, "%s: the answer was cut short", path);
}

int ask_stacks(struct ask *a)
{
    size_t found = ask_open(a->name, a->ctl_path, ask_fd, a);

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

/* SPDX-License-Identifier: BSD-2-Clause */
/* posix.c - making and ending a stack with descriptors. */
#include "posix_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static estab_posix *of_process;
static uint32_t of_era;
static _Thread_local estab_posix *of_thread;
static estab_posix *ours; /* of this process, or of the one that forked it */

__attribute__((format(printf, 2, 3))) static int say(char *err, const char *fmt, ...)
{
    va_list ap;

    if (err) {
        va_start(ap, fmt);
        vsnprintf(err, ESTAB_ERRLEN, fmt, ap);
        va_end(ap);
    }
    return -1;
}

void estab_posix_config_init(struct estab_posix_config *c)
{
    *c = (struct estab_posix_config){.size = sizeof *c};
}

static struct shard *shard_new(const struct estab_posix_config *c, const struct estab_env *env)
{
    struct shard *sh = calloc(1, sizeof *sh);
    pthread_condattr_t attr;

    if (!sh)
        return NULL;
    sh->env = *env;
    sh->advance = c->advance;
    sh->ctx = c->ctx;
    sh->kick = -1;
    pthread_mutex_init(&sh->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&sh->tick, &attr);
    pthread_condattr_destroy(&attr);
    sh->era = fdtab_era();
    if (!c->advance && shard_start_helper(sh)) {
        shard_lock(sh);
        shard_leave(sh);
        return NULL;
    }
    return sh;
}

static void join(estab_posix *p, struct shard *sh)
{
    shard_lock(sh);
    p->shard = sh;
    p->next = sh->members;
    sh->members = p;
    sh->nmembers++;
    shard_unlock(sh);
    pthread_mutex_lock(&default_lock);
    if (ours && ours->shard->era != fdtab_era())
        ours = NULL;
    p->next_of_process = ours;
    ours = p;
    if (!of_process || of_era != fdtab_era()) {
        of_process = p;
        of_era = fdtab_era();
    }
    pthread_mutex_unlock(&default_lock);
}

int estab_posix_new(estab_posix **out, const struct estab_posix_config *c, char *err)
{
    struct estab_posix_config own;
    struct estab_config stack;
    struct estab_env env;
    char why[ESTAB_ERRLEN];
    struct shard *sh;
    estab_posix *p;

    estab_posix_config_init(&own);
    if (c)
        memcpy(&own, c, c->size < sizeof own ? c->size : sizeof own);
    estab_host_env(&env);
    estab_config_init(&stack);
    (void)estab_config_profile(&stack, "linux");
    p = calloc(1, sizeof *p);
    if (!p) {
        say(err, "posix: out of memory");
        return -1;
    }
    p->mirror = own.mirror;
    if (estab_host_stack(&p->stack, own.env ? own.env : &env, own.stack ? own.stack : &stack,
                         why) != 0) {
        free(p);
        say(err, "posix: %s", why);
        return -1;
    }
    sh = own.with ? own.with->shard : shard_new(&own, own.env ? own.env : &env);
    if (!sh) {
        estab_stack_free(p->stack);
        free(p);
        say(err, "posix: no memory, thread or descriptor for a stack: %s", strerror(errno));
        return -1;
    }
    join(p, sh);
    *out = p;
    return 0;
}

static void disown(estab_posix *p)
{
    struct shard *sh = p->shard;
    estab_posix **at = &sh->members;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    for (struct file *f = p->files; f; f = f->next) {
        f->p = NULL;
        file_happened(f, ESTAB_EV_HUP | ESTAB_EV_IN | ESTAB_EV_OUT);
    }
    mirror_flush_now(sh);
    sh->nmembers--;
}

void estab_posix_free(estab_posix *p)
{
    estab_posix **at = &ours;

    if (!p || p->shard->era != fdtab_era())
        return;
    pthread_mutex_lock(&default_lock);
    while (*at != p)
        at = &(*at)->next_of_process;
    *at = p->next_of_process;
    if (of_process == p)
        of_process = NULL;
    pthread_mutex_unlock(&default_lock);
    if (of_thread == p)
        of_thread = NULL;
    shard_lock(p->shard);
    disown(p);
    if (p->shard->nmembers == 0) {
        p->shard->nfiles++; /* the last file must not take it away meanwhile */
        pthread_mutex_unlock(&p->shard->lock);
        shard_stop_helper(p->shard);
        shard_lock(p->shard);
        p->shard->nfiles--;
    }
    shard_leave(p->shard);
    for (uint32_t i = 0; i < p->nports; i++)
        estab_link_close(p->ports[i].link);
    estab_ctl_close(p->ctl);
    estab_stack_free(p->stack);
    free(p);
}

int estab_posix_attach(estab_posix *p, estab_link *link, char *err)
{
    int port;

    shard_lock(p->shard);
    port = p->nports == LINKS_MAX ? ESTAB_E_NOMEM : estab_port_add(p->stack, &link->caps);
    if (port < 0) {
        shard_unlock(p->shard);
        say(err, "%s: the stack does not take it as a port: %s", link->name, estab_strerror(port));
        estab_link_close(link);
        return -1;
    }
    p->ports[p->nports++] = (struct port){.link = link, .port = port};
    shard_rewatch(p->shard);
    shard_unlock(p->shard);
    return port;
}

int estab_posix_addr(estab_posix *p, int port, const char *prefix, char *err)
{
    uint8_t ip[16], len;
    int rc;

    if (estab_prefix_parse(ip, &len, prefix))
        return say(err, "\"%.60s\" is no address with a prefix length, like 10.0.0.2/24", prefix);
    shard_lock(p->shard);
    rc = estab_addr_add(p->stack, port, ip, len);
    shard_unlock(p->shard);
    return rc < 0 ? say(err, "cannot have the address %.60s: %s", prefix, estab_strerror(rc)) : 0;
}

int estab_posix_gateway(estab_posix *p, int port, const char *addr, char *err)
{
    static const uint8_t any[16];
    struct estab_addr a;
    int rc;

    if (estab_addr_parse(&a, addr, NULL))
        return say(err, "\"%.60s\" is no address", addr);
    shard_lock(p->shard);
    rc = estab_route_add(p->stack, port, any, 0, a.ip);
    shard_unlock(p->shard);
    return rc < 0 ? say(err, "cannot use the gateway %.60s: %s", addr, estab_strerror(rc)) : 0;
}

int estab_posix_ctl(estab_posix *p, const char *path, char *err)
{
    struct estab_ctl_config c = {
        .size = sizeof c, .command = program_invocation_short_name, .path = path};
    int ret;

    shard_lock(p->shard);
    ret = p->ctl ? say(err, "posix: there is a control socket already, %s", estab_ctl_path(p->ctl))
                 : estab_ctl_open(&p->ctl, p->stack, &c, err);
    shard_rewatch(p->shard);
    shard_unlock(p->shard);
    return ret;
}

/* ---- from words ---- */

struct wish {
    const char *dev, *ctl, *addrs[8], *gws[2];
    size_t naddrs, ngws;
    enum estab_mirror mirror;
    struct estab_config stack;
};

static int read_mirror(struct wish *w, const char *val, char *err)
{
    static const char *const names[] = {"auto", "always", "never"};

    for (int i = 0; i < 3; i++)
        if (strcmp(val, names[i]) == 0) {
            w->mirror = (enum estab_mirror)i;
            return 0;
        }
    return say(err, "mirror=%.60s: there is auto, always, never", val);
}

static int read_word(struct wish *w, char *word, char *err)
{
    char *val = strchr(word, '=');

    if (!val)
        return say(err,
                   "\"%.60s\": it takes dev=, addr=, gw=, ctl=, msl=, mirror= and profile=", word);
    *val++ = '\0';
    if (strcmp(word, "dev") == 0) {
        w->dev = val;
    } else if (strcmp(word, "addr") == 0 && w->naddrs < 8) {
        w->addrs[w->naddrs++] = val;
    } else if (strcmp(word, "gw") == 0 && w->ngws < 2) {
        w->gws[w->ngws++] = val;
    } else if (strcmp(word, "ctl") == 0) {
        w->ctl = val;
    } else if (strcmp(word, "profile") == 0) {
        if (estab_config_profile(&w->stack, val))
            return say(err, "profile=%.60s: there is rfc, linux, freebsd", val);
    } else if (strcmp(word, "mirror") == 0) {
        return read_mirror(w, val, err);
    } else if (strcmp(word, "msl") == 0) {
        w->stack.msl = (estab_dur)(strtod(val, NULL) * 1e9);
    } else {
        return say(
            err,
            "%.60s=: it takes dev=, addr= (8), gw= (2), ctl=, msl=, mirror= and profile=", word);
    }
    return 0;
}

static int open_wish(estab_posix **out, const struct wish *w, char *err)
{
    struct estab_posix_config c;
    estab_posix *p = NULL;
    estab_link *link;
    int port;

    if (!w->dev)
        return say(err, "no dev=: name a link, like dev=tun:estab0");
    if (estab_link_open(&link, w->dev, err))
        return -1;
    estab_posix_config_init(&c);
    c.stack = &w->stack;
    c.mirror = w->mirror;
    if (estab_posix_new(&p, &c, err)) {
        estab_link_close(link);
        return -1;
    }
    port = estab_posix_attach(p, link, err);
    if (port < 0)
        goto fail;
    for (size_t i = 0; i < w->naddrs; i++)
        if (estab_posix_addr(p, port, w->addrs[i], err))
            goto fail;
    for (size_t i = 0; i < w->ngws; i++)
        if (estab_posix_gateway(p, port, w->gws[i], err))
            goto fail;
    if (w->ctl && estab_posix_ctl(p, strcmp(w->ctl, "yes") == 0 ? NULL : w->ctl, err))
        goto fail;
    *out = p;
    return 0;
fail:
    estab_posix_free(p);
    return -1;
}

int estab_posix_open(estab_posix **out, const char *words, char *err)
{
    struct wish w = {0};
    char *copy = strdup(words), *rest = copy, *word;
    int ret = 0;

    if (!copy)
        return say(err, "posix: out of memory");
    estab_config_init(&w.stack);
    (void)estab_config_profile(&w.stack, "linux");
    while (ret == 0 && (word = strsep(&rest, " \t\n")))
        if (*word)
            ret = read_word(&w, word, err);
    if (ret == 0)
        ret = open_wish(out, &w, err);
    free(copy);
    return ret;
}

/* ---- which one ---- */

void estab_posix_use(estab_posix *p)
{
    of_thread = p;
}

estab_posix *posix_default(void)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    const char *words = getenv("ESTAB_POSIX");
    char err[ESTAB_ERRLEN];
    estab_posix *p;

    if (of_thread && of_thread->shard->era == fdtab_era())
        return of_thread;
    pthread_mutex_lock(&once);
    pthread_mutex_lock(&default_lock);
    p = of_era == fdtab_era() ? of_process : NULL;
    pthread_mutex_unlock(&default_lock);
    if (!p && words && estab_posix_open(&p, words, err)) {
        fprintf(stderr, "ESTAB_POSIX: %s\n", err);
        p = NULL;
    }
    pthread_mutex_unlock(&once);
    if (!p)
        errno = ENETDOWN;
    return p;
}

bool posix_elsewhere(uint32_t *its_era, uint64_t *key)
{
    estab_posix *p = of_thread ? of_thread : of_process;

    if (!p || p->shard->era == fdtab_era() || (p == of_process && of_era == fdtab_era()))
        return false;
    *its_era = p->shard->era;
    *key = (uintptr_t)p;
    return true;
}

bool posix_has_stack(void)
{
    bool has;

    pthread_mutex_lock(&default_lock);
    has = ours && ours->shard->era == fdtab_era();
    pthread_mutex_unlock(&default_lock);
    return has;
}

int posix_socket_at(uint64_t key, int domain, int type, int protocol)
{
    estab_posix *p;

    pthread_mutex_lock(&default_lock);
    p = ours;
    while (p && (uintptr_t)p != key)
        p = p->next_of_process;
    pthread_mutex_unlock(&default_lock);
    if (!p) {
        errno = ENETDOWN;
        return -1;
    }
    estab_posix_use(p);
    return estab_posix_socket(domain, type, protocol);
}

estab_stack *estab_posix_lock(estab_posix *p)
{
    shard_lock(p->shard);
    return p->stack;
}

void estab_posix_unlock(estab_posix *p)
{
    shard_unlock(p->shard);
}

int estab_posix_handle(int fd, estab_posix **p, estab_sock *k)
{
    enum whose whose;
    struct file *f;

    whose = call_begin(fd, &f);
    if (whose == THEIRS)
        errno = fcntl(fd, F_GETFD) < 0 ? EBADF : ENOTSOCK;
    if (whose == ELSEWHERE) {
        file_put(f);
        errno = ENETDOWN;
    }
    if (whose != OURS)
        return -1;
    *p = f->p;
    *k = f->k;
    pthread_mutex_unlock(&f->shard->lock); /* f may go: then its stack is not locked twice */
    file_put(f);
    shard_lock((*p)->shard);
    return 0;
}

void estab_posix_stats(estab_posix *p, struct estab_posix_stats *st)
{
    struct estab_posix_stats all;

    shard_lock(p->shard);
    all = p->shard->stats;
    pthread_mutex_unlock(&p->shard->lock);
    all.size = st->size;
    memcpy(st, &all, st->size < sizeof all ? st->size : sizeof all);
}

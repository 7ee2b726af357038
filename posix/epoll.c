/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll.c - epoll sets: level, edge, one-shot, exclusive.
 *
 * A set is an epoll descriptor of the kernel's, in which the kernel's descriptors are; ours are
 * items of its file.  An event puts the items of the socket on the set's ready list; epoll_wait
 * takes each off, asks for the level, and reports it; who wants levels is put back.  So an edge is
 * an event, and a level is asked when it is wanted, as Linux does it.
 *
 * When a set becomes ready and nobody waits in epoll_wait, its bell rings: an eventfd in the
 * kernel's part, for whoever polls the set's descriptor, or has it in another set. */
#include "posix_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct item {
    struct epoll_set *set;
    struct file *f; /* without a reference: its last close takes the item out */
    int fd;
    struct epoll_event event;
    bool off;                  /* one-shot, and reported */
    struct item *next_of_file; /* under the shard's lock */
    struct item *next, **at;   /* of the set: under `calls` */
    struct item *next_ready;   /* under `lock` */
    bool ready;
};
struct sleeper {
    struct sleeper *next;
    struct waiter *w;
};
struct epoll_set {
    _Atomic uint32_t refs;
    pthread_mutex_t calls; /* one epoll_ctl or one harvest at a time */
    struct item *items;
    struct shard *shards[SHARDS_MAX];
    size_t nshards;
    bool has_theirs;

    pthread_mutex_t lock;
    struct item *head, **tail; /* ready */
    struct sleeper *sleepers;
    int bell;
    bool rung;
};

pthread_mutex_t *epoll_lock(struct epoll_set *s)
{
    return &s->lock;
}

static void set_put(struct epoll_set *s)
{
    if (atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    if (s->bell >= 0)
        close(s->bell);
    pthread_mutex_destroy(&s->calls);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- the ready list ---- */

/* lock is held. */
static void push_ready(struct epoll_set *s, struct item *i)
{
    if (i->ready)
        return;
    i->ready = true;
    i->next_ready = NULL;
    *s->tail = i;
    s->tail = &i->next_ready;
}

static struct item *pop_ready(struct epoll_set *s)
{
    struct item *i;

    pthread_mutex_lock(&s->lock);
    i = s->head;
    if (i) {
        s->head = i->next_ready;
        if (!s->head)
            s->tail = &s->head;
        i->ready = false;
    }
    pthread_mutex_unlock(&s->lock);
    return i;
}

static void unready(struct epoll_set *s, struct item *i)
{
    struct item **at = &s->head;

    pthread_mutex_lock(&s->lock);
    while (*at && *at != i)
        at = &(*at)->next_ready;
    if (*at) {
        *at = i->next_ready;
        if (!*at)
            s->tail = at;
        i->ready = false;
    }
    pthread_mutex_unlock(&s->lock);
}

/* lock is held.  True: somebody was woken. */
static bool wake_one(struct epoll_set *s, struct estab_posix_stats *st)
{
    const uint64_t one = 1;

    for (struct sleeper *p = s->sleepers; p; p = p->next)
        if (!atomic_load(&p->w->woken)) {
            waiter_wake(p->w, st);
            return true;
        }
    if (s->sleepers || s->rung || s->bell < 0)
        return false;
    s->rung = true;
    return write(s->bell, &one, sizeof one) > 0;
}

void items_happened(struct file *f, uint32_t bits)
{
    bool given = false;

    for (struct item *i = f->items; i; i = i->next_of_file) {
        bool exclusive = (i->event.events & EPOLLEXCLUSIVE) != 0;

        if (exclusive && given)
            continue;
        pthread_mutex_lock(&i->set->lock);
        if (!i->off && (i->event.events | EPOLLERR | EPOLLHUP) & bits) {
            push_ready(i->set, i);
            given |= wake_one(i->set, &f->shard->stats) && exclusive;
        }
        pthread_mutex_unlock(&i->set->lock);
    }
}

uint32_t items_interest(const struct file *f)
{
    uint32_t mask = 0;

    for (const struct item *i = f->items; i; i = i->next_of_file)
        mask |= i->event.events;
    return mask & (EPOLLIN | EPOLLOUT);
}

/* ---- membership; `calls` is held ---- */

/* The shard is locked. */
static struct item *item_of(const struct file *f, const struct epoll_set *s, int fd)
{
    struct item *i = f->items;

    while (i && (i->set != s || i->fd != fd))
        i = i->next_of_file;
    return i;
}

static void item_free(struct item *i)
{
    struct item **at = &i->f->items;

    while (*at != i)
        at = &(*at)->next_of_file;
    *at = i->next_of_file;
    unready(i->set, i);
    *i->at = i->next;
    if (i->next)
        i->next->at = i->at;
    free(i);
}

static bool knows_shard(struct epoll_set *s, struct shard *sh)
{
    for (size_t i = 0; i < s->nshards; i++)
        if (s->shards[i] == sh)
            return true;
    if (s->nshards == SHARDS_MAX)
        return false;
    s->shards[s->nshards++] = sh;
    return true;
}

/* Level at the beginning: what is there already is reported. */
static void look_once(struct item *i)
{
    uint32_t level = i->f->p ? sock_level(i->f) : EPOLLERR | EPOLLHUP;

    if (!(level & (i->event.events | EPOLLERR | EPOLLHUP)))
        return;
    pthread_mutex_lock(&i->set->lock);
    push_ready(i->set, i);
    (void)wake_one(i->set, &i->f->shard->stats);
    pthread_mutex_unlock(&i->set->lock);
}

static int item_add(struct epoll_set *s, struct file *f, int fd, const struct epoll_event *ev)
{
    const uint32_t with_exclusive =
        EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
    struct item *i;

    if ((ev->events & EPOLLEXCLUSIVE) && (ev->events & ~with_exclusive))
        return EINVAL;
    if (!knows_shard(s, f->shard))
        return ENOSPC;
    i = calloc(1, sizeof *i);
    if (!i)
        return ENOMEM;
    *i = (struct item){.set = s, .f = f, .fd = fd, .event = *ev, .next = s->items, .at = &s->items};
    if (i->next)
        i->next->at = &i->next;
    s->items = i;
    i->next_of_file = f->items;
    f->items = i;
    look_once(i);
    return 0;
}

static int item_change(struct epoll_set *s, struct file *f, int op, int fd, struct epoll_event *ev)
{
    struct item *i = item_of(f, s, fd);

    if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
        return EINVAL;
    if (op == EPOLL_CTL_ADD)
        return i ? EEXIST : item_add(s, f, fd, ev);
    if (!i)
        return ENOENT;
    if (op == EPOLL_CTL_DEL) {
        item_free(i);
        return 0;
    }
    if ((i->event.events | ev->events) & EPOLLEXCLUSIVE)
        return EINVAL;
    i->event = *ev;
    i->off = false;
    look_once(i);
    return 0;
}

void items_forget(struct file *f)
{
    struct epoll_set *s;

    for (;;) {
        shard_lock(f->shard);
        s = f->items ? f->items->set : NULL;
        if (s)
            atomic_fetch_add(&s->refs, 1);
        pthread_mutex_unlock(&f->shard->lock);
        if (!s)
            return;
        pthread_mutex_lock(&s->calls); /* which comes before the shard's lock */
        shard_lock(f->shard);
        for (struct item *i = f->items, *next; i; i = next) {
            next = i->next_of_file;
            if (i->set == s)
                item_free(i);
        }
        pthread_mutex_unlock(&f->shard->lock);
        pthread_mutex_unlock(&s->calls);
        set_put(s);
    }
}

/* ---- the calls ---- */

int estab_posix_epoll_create1(int flags)
{
    struct file *f;
    struct epoll_set *s;
    int fd = epoll_create1(flags);

    if (fd < 0)
        return -1;
    f = file_new(FILE_EPOLL);
    s = f ? calloc(1, sizeof *s) : NULL;
    if (!s)
        goto fail;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->calls, NULL);
    pthread_mutex_init(&s->lock, NULL);
    s->tail = &s->head;
    s->bell = -1;
    f->set = s;
    f->fd = fd;
    f->nfds = 1;
    if (fdtab_put(fd, f) == 0)
        return fd;
fail:
    close(fd);
    if (f && s)
        file_put(f);
    errno = ENOMEM;
    return -1;
}

int estab_posix_epoll_create(int size)
{
    if (size <= 0) {
        errno = EINVAL;
        return -1;
    }
    return estab_posix_epoll_create1(0);
}

void epoll_free(struct epoll_set *s)
{
    pthread_mutex_lock(&s->calls);
    while (s->items) {
        struct shard *sh = s->items->f->shard;

        shard_lock(sh);
        item_free(s->items);
        pthread_mutex_unlock(&sh->lock);
    }
    pthread_mutex_unlock(&s->calls);
    set_put(s);
}

/* With the first of ours comes the bell. */
static void hang_bell(struct epoll_set *s, int epfd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

    if (s->bell >= 0)
        return;
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->bell >= 0)
        (void)epoll_ctl(epfd, EPOLL_CTL_ADD, s->bell, &e);
}

static int control(struct epoll_set *s, int epfd, int op, int fd, struct epoll_event *ev)
{
    struct file *f = file_get(fd);
    int err;

    if (!f || f->kind != FILE_SOCKET || file_foreign(f)) {
        if (f)
            file_put(f);
        s->has_theirs = true;
        return epoll_ctl(epfd, op, fd, ev) ? errno : 0;
    }
    if (op != EPOLL_CTL_DEL && !ev) {
        err = EFAULT;
    } else {
        hang_bell(s, epfd);
        shard_lock(f->shard);
        err = item_change(s, f, op, fd, ev);
        pthread_mutex_unlock(&f->shard->lock);
    }
    file_put(f);
    return err;
}

/* The file of a set of ours; NULL: the kernel's.  In one that was made before a fork, ours are
 * items of the process that forked. */
static struct file *set_get(int epfd, bool *elsewhere)
{
    struct file *f = file_get(epfd);

    *elsewhere = f && f->kind == FILE_EPOLL && file_foreign(f) && f->set->bell >= 0;
    if (f && (f->kind != FILE_EPOLL || file_foreign(f))) {
        file_put(f);
        f = NULL;
    }
    if (*elsewhere)
        errno = ENETDOWN;
    return f;
}

int estab_posix_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    bool elsewhere;
    struct file *f = set_get(epfd, &elsewhere);
    int err;

    if (!f)
        return elsewhere ? -1 : epoll_ctl(epfd, op, fd, ev);
    pthread_mutex_lock(&f->set->calls);
    err = control(f->set, epfd, op, fd, ev);
    pthread_mutex_unlock(&f->set->calls);
    file_put(f);
    errno = err ? err : errno;
    return err ? -1 : 0;
}

/* ---- epoll_wait ---- */

/* One item that was ready; true: it has something to report. */
static bool report(struct item *i, struct epoll_event *out)
{
    struct shard *sh = i->f->shard;
    uint32_t level;

    shard_lock(sh);
    level = i->f->p ? sock_level(i->f) : EPOLLERR | EPOLLHUP;
    level &= i->off ? 0 : i->event.events | EPOLLERR | EPOLLHUP;
    out->events = level;
    out->data = i->event.data;
    i->off |= level && i->event.events & EPOLLONESHOT;
    pthread_mutex_unlock(&sh->lock);
    return level != 0;
}

/* lock is held. */
static void quiet_bell(struct epoll_set *s)
{
    uint64_t n;

    if (s->rung && !s->head && read(s->bell, &n, sizeof n) > 0)
        s->rung = false;
}

static int take_theirs(struct epoll_set *s, int epfd, struct epoll_event *out, int max)
{
    int n = epoll_wait(epfd, out, max, 0), kept = 0;

    for (int i = 0; i < n; i++)
        if (out[i].data.ptr != s)
            out[kept++] = out[i];
    return kept;
}

/* What is ready now. */
static int harvest(struct epoll_set *s, int epfd, struct epoll_event *out, int max)
{
    struct item *again[64], *i;
    size_t nagain = 0;
    int n = 0;

    pthread_mutex_lock(&s->calls);
    while (n < max && nagain < 64 && (i = pop_ready(s)))
        if (report(i, &out[n])) {
            n++;
            if (!(i->event.events & (EPOLLET | EPOLLONESHOT)))
                again[nagain++] = i;
        }
    pthread_mutex_lock(&s->lock);
    for (size_t k = 0; k < nagain; k++)
        push_ready(s, again[k]);
    if (s->head && s->sleepers)
        (void)wake_one(s, NULL);
    quiet_bell(s);
    pthread_mutex_unlock(&s->lock);
    if (s->has_theirs && n < max)
        n += take_theirs(s, epfd, out + n, max - n);
    pthread_mutex_unlock(&s->calls);
    return n;
}

static size_t shards_of(struct epoll_set *s, struct shard *out[SHARDS_MAX], bool *theirs)
{
    size_t n;

    pthread_mutex_lock(&s->calls);
    *theirs = s->has_theirs;
    n = s->nshards;
    memcpy(out, s->shards, sizeof s->shards);
    pthread_mutex_unlock(&s->calls);
    return n;
}

static void run_all(struct shard *const *sh, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        shard_lock(sh[i]);
        shard_run(sh[i], true);
        mirror_flush(sh[i]);
        shard_yield(sh[i]);
    }
}

static void sleeper_add(struct epoll_set *s, struct sleeper *p)
{
    pthread_mutex_lock(&s->lock);
    p->next = s->sleepers;
    s->sleepers = p;
    if (s->head)
        waiter_wake(p->w, NULL);
    pthread_mutex_unlock(&s->lock);
}

static void sleeper_del(struct epoll_set *s, struct sleeper *p)
{
    struct sleeper **at = &s->sleepers;

    pthread_mutex_lock(&s->lock);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    pthread_mutex_unlock(&s->lock);
}

static int sleep_in(struct epoll_set *s, struct pollfd *theirs, struct shard *const *sh, size_t n,
                    estab_time until, const sigset_t *mask)
{
    struct sleeper p;
    struct waiter w;
    int err = waiter_init(&w);

    if (err)
        return err;
    p.w = &w;
    sleeper_add(s, &p);
    err = wait_sleep(&w, sh, n, until, theirs, theirs ? 1 : 0, mask);
    sleeper_del(s, &p);
    waiter_fini(&w);
    return err;
}

static int epoll_wait_for(struct file *f, int epfd, struct epoll_event *ev, int max, int timeout_ms,
                          const sigset_t *mask)
{
    struct shard *sh[SHARDS_MAX];
    struct pollfd kernel = {.fd = epfd, .events = POLLIN};
    bool theirs;
    size_t n = shards_of(f->set, sh, &theirs);
    estab_time until = ESTAB_NEVER;
    int got = harvest(f->set, epfd, ev, max), err = 0;

    if (got != 0)
        return got;
    if (n == 0)
        return epoll_pwait(epfd, ev, max, timeout_ms, mask);
    if (timeout_ms >= 0)
        until = shard_now(sh[0]) + ESTAB_MS((unsigned)timeout_ms);
    if (timeout_ms == 0) {
        run_all(sh, n);
        return harvest(f->set, epfd, ev, max);
    }
    shard_lock(sh[0]);
    sh[0]->stats.sleeps++;
    pthread_mutex_unlock(&sh[0]->lock);
    do {
        err = sleep_in(f->set, theirs ? &kernel : NULL, sh, n, until, mask);
        got = harvest(f->set, epfd, ev, max);
    } while (got == 0 && err == 0);
    if (got == 0 && err != ETIMEDOUT) {
        errno = err;
        return -1;
    }
    return got;
}

int estab_posix_epoll_pwait(int epfd, struct epoll_event *ev, int max, int timeout_ms,
                            const sigset_t *mask)
{
    bool elsewhere;
    struct file *f = set_get(epfd, &elsewhere);
    int ret;

    if (!f)
        return elsewhere ? -1 : epoll_pwait(epfd, ev, max, timeout_ms, mask);
    if (max <= 0) {
        errno = EINVAL;
        ret = -1;
    } else {
        ret = epoll_wait_for(f, epfd, ev, max, timeout_ms, mask);
    }
    file_put(f);
    return ret;
}

int estab_posix_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
    return estab_posix_epoll_pwait(epfd, ev, max, timeout_ms, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* fdtab.c - which descriptors are ours.
 *
 * A table of two levels, read without a lock.  A file is never given back to the C library, only to
 * a list of free ones: so whoever reads a pointer that is just being taken out may still try to
 * count its reference up, sees that there is none, or that the table says something else by now,
 * and looks again.
 *
 * A fork copies the table; in the child its files are foreign, because their stack runs in the
 * parent, which is asked (remote.h).  The locks that a thread of the parent may hold at that moment
 * are taken around it. */
#include "remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAF = 1024, LEAVES = 4096 };

typedef struct file *_Atomic slot_t;

static slot_t *_Atomic leaves[LEAVES];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *free_files;
static _Atomic uint32_t era = 1;

static void before_fork(void)
{
    remote_before_fork();
    pthread_mutex_lock(&table_lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&table_lock);
    remote_after_fork(false);
}

static void after_fork_child(void)
{
    pthread_mutex_unlock(&table_lock);
    atomic_fetch_add(&era, 1);
    remote_after_fork(true);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static slot_t *slot_of(int fd)
{
    slot_t *leaf;

    if (fd < 0 || fd >= LEAF * LEAVES)
        return NULL;
    leaf = atomic_load_explicit(&leaves[fd / LEAF], memory_order_acquire);
    return leaf ? &leaf[fd % LEAF] : NULL;
}

static slot_t *slot_make(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    slot_t *leaf;

    if (fd < 0 || fd >= LEAF * LEAVES)
        return NULL;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&table_lock);
    leaf = atomic_load(&leaves[fd / LEAF]);
    if (!leaf) {
        leaf = calloc(LEAF, sizeof *leaf);
        atomic_store_explicit(&leaves[fd / LEAF], leaf, memory_order_release);
    }
    pthread_mutex_unlock(&table_lock);
    return leaf ? &leaf[fd % LEAF] : NULL;
}

static bool ref_unless_none(struct file *f)
{
    uint32_t n = atomic_load(&f->refs);

    while (n > 0)
        if (atomic_compare_exchange_weak(&f->refs, &n, n + 1))
            return true;
    return false;
}

struct file *file_get(int fd)
{
    slot_t *slot = slot_of(fd);
    struct file *f;

    while (slot && (f = atomic_load(slot))) {
        if (!ref_unless_none(f))
            continue;
        if (atomic_load(slot) == f)
            return f;
        file_put(f);
    }
    return NULL;
}

void file_put(struct file *f)
{
    if (atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    if (!file_foreign(f)) {
        if (f->kind == FILE_SOCKET)
            sock_release(f);
        else
            epoll_free(f->set);
    } else if (f->kind == FILE_SOCKET) {
        remote_release(f);
    }
    pthread_mutex_lock(&table_lock);
    f->next_free = free_files;
    free_files = f;
    pthread_mutex_unlock(&table_lock);
}

/* Everything but what a late reader of the table looks at. */
static void file_clear(struct file *f)
{
    const size_t from = offsetof(struct file, kind);

    memset((char *)f + from, 0, sizeof *f - from);
}

struct file *file_new(enum file_kind kind)
{
    struct file *f;

    pthread_mutex_lock(&table_lock);
    f = free_files;
    if (f)
        free_files = f->next_free;
    pthread_mutex_unlock(&table_lock);
    if (!f)
        f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    file_clear(f);
    f->kind = kind;
    f->key = (uintptr_t)f;
    f->fd = -1;
    atomic_store(&f->era, atomic_load(&era));
    atomic_store(&f->refs, 1);
    return f;
}

pthread_mutex_t *file_lock(struct file *f)
{
    return f->kind == FILE_SOCKET ? &f->shard->lock : epoll_lock(f->set);
}

uint32_t fdtab_era(void)
{
    return atomic_load(&era);
}

bool file_foreign(const struct file *f)
{
    return atomic_load(&f->era) != atomic_load(&era);
}

int fdtab_put(int fd, struct file *f)
{
    slot_t *slot = slot_make(fd);
    struct file *stale;

    if (!slot) {
        errno = fd < 0 ? EBADF : ENOMEM;
        return -1;
    }
    stale = atomic_exchange(slot, f);
    if (stale) /* its number was closed behind our back */
        file_put(stale);
    return 0;
}

struct file *fdtab_take(int fd)
{
    slot_t *slot = slot_of(fd);

    return slot ? atomic_exchange(slot, NULL) : NULL;
}

struct file *fdtab_peek(int *fd)
{
    for (; *fd < LEAF * LEAVES; ++*fd) {
        slot_t *slot = slot_of(*fd);
        struct file *f = slot ? atomic_load(slot) : NULL;

        if (f)
            return f;
        if (!slot)
            *fd |= LEAF - 1;
    }
    return NULL;
}

struct file *fdtab_next(int *fd)
{
    struct file *f;

    for (; fdtab_peek(fd); ++*fd)
        if ((f = file_get(*fd)))
            return f;
    return NULL;
}

int fdtab_other(const struct file *f, int fd)
{
    for (int i = 0; i < LEAVES; i++) {
        slot_t *leaf = atomic_load(&leaves[i]);

        for (int k = 0; leaf && k < LEAF; k++)
            if (atomic_load(&leaf[k]) == f && i * LEAF + k != fd)
                return i * LEAF + k;
    }
    return -1;
}

enum whose call_begin(int fd, struct file **out)
{
    struct file *f = serve_subject();
    int err = 0;

    if (f)
        atomic_fetch_add(&f->refs, 1);
    else
        f = file_get(fd);
    if (!f)
        return THEIRS;
    if (f->kind != FILE_SOCKET) {
        file_put(f);
        return THEIRS;
    }
    *out = f;
    if (file_foreign(f))
        return ELSEWHERE;
    shard_lock(f->shard);
    f->shard->stats.calls++;
    if (!f->p)
        err = ENETDOWN;
    if (!err)
        return OURS;
    (void)call_end(f, -1, err);
    return WRONG;
}

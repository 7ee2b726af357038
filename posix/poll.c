/* SPDX-License-Identifier: BSD-2-Clause */
/* poll.c - poll and select, over our descriptors and the kernel's together. */
#include "posix_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct place {      /* what one pollfd is to us */
    struct file *f; /* NULL: the kernel's */
    struct watch watch;
    bool watched;
};
struct polling {
    struct pollfd *fds;
    struct place *places;
    struct pollfd *theirs; /* the kernel's, in order, and a negative fd for ours */
    nfds_t n;
    size_t ntheirs;
    struct shard *shards[SHARDS_MAX];
    size_t nshards;
    int ready;
};

static bool add_shard(struct polling *o, struct shard *sh)
{
    for (size_t i = 0; i < o->nshards; i++)
        if (o->shards[i] == sh)
            return true;
    if (o->nshards == SHARDS_MAX)
        return false;
    o->shards[o->nshards++] = sh;
    return true;
}

/* What is ours, and of which shards.  0, or an errno. */
static int sort_out(struct polling *o)
{
    for (nfds_t i = 0; i < o->n; i++) {
        struct place *p = &o->places[i];

        o->fds[i].revents = 0;
        o->theirs[i] = o->fds[i];
        p->f = o->fds[i].fd < 0 ? NULL : file_get(o->fds[i].fd);
        if (p->f && (p->f->kind != FILE_SOCKET || file_foreign(p->f))) {
            file_put(p->f);
            p->f = NULL;
        }
        if (p->f && !add_shard(o, p->f->shard))
            return EINVAL;
        if (p->f)
            o->theirs[i].fd = -1;
        else if (o->fds[i].fd >= 0)
            o->ntheirs++;
    }
    return 0;
}

static uint32_t wanted_mask(short events)
{
    uint32_t mask = 0;

    mask |= events & (POLLIN | POLLRDNORM | POLLRDHUP) ? ESTAB_EV_IN | ESTAB_EV_RDHUP : 0;
    mask |= events & (POLLOUT | POLLWRNORM) ? ESTAB_EV_OUT : 0;
    mask |= events & POLLPRI ? ESTAB_EV_URG : 0;
    return mask | ESTAB_EV_ERR | ESTAB_EV_HUP;
}

/* Looks at ours; with a waiter, those are watched from then on. */
static void look(struct polling *o, struct waiter *w, bool run)
{
    o->ready = 0;
    for (size_t k = 0; k < o->nshards; k++) {
        shard_lock(o->shards[k]);
        if (run)
            shard_run(o->shards[k], true);
        for (nfds_t i = 0; i < o->n; i++) {
            struct place *p = &o->places[i];
            uint32_t wanted = (uint32_t)(uint16_t)o->fds[i].events | POLLERR | POLLHUP;

            if (!p->f || p->f->shard != o->shards[k])
                continue;
            o->fds[i].revents = (short)((p->f->p ? sock_level(p->f) : POLLERR | POLLHUP) & wanted);
            o->ready += o->fds[i].revents != 0;
            if (w && !p->watched) {
                p->watch.w = w;
                p->watch.mask = wanted_mask(o->fds[i].events);
                p->watch.exclusive = false;
                watch_add(p->f, &p->watch);
                p->watched = true;
            }
        }
        if (run)
            mirror_flush(o->shards[k]);
        shard_yield(o->shards[k]);
    }
}

static void look_at_theirs(struct polling *o)
{
    if (o->ntheirs > 0)
        (void)poll(o->theirs, o->n, 0);
    for (nfds_t i = 0; o->ntheirs > 0 && i < o->n; i++)
        if (!o->places[i].f && o->fds[i].fd >= 0) {
            o->fds[i].revents = o->theirs[i].revents;
            o->ready += o->fds[i].revents != 0;
        }
}

static void unwatch(struct polling *o)
{
    for (nfds_t i = 0; i < o->n; i++) {
        struct place *p = &o->places[i];

        if (p->f && p->watched) {
            shard_lock(p->f->shard);
            watch_del(&p->watch);
            pthread_mutex_unlock(&p->f->shard->lock);
        }
    }
}

static int wait_for_any(struct polling *o, estab_time until, const sigset_t *mask)
{
    struct waiter w;
    int err = waiter_init(&w);

    if (err)
        return err;
    look(o, &w, false);
    o->shards[0]->stats.sleeps += o->ready == 0;
    while (o->ready == 0 && err == 0) {
        err = wait_sleep(&w, o->shards, o->nshards, until, o->theirs, o->ntheirs ? o->n : 0, mask);
        atomic_store(&w.woken, false);
        look(o, &w, false);
        look_at_theirs(o);
    }
    unwatch(o);
    waiter_fini(&w);
    return o->ready > 0 || err == ETIMEDOUT ? 0 : err;
}

static estab_time poll_until(const struct polling *o, const struct timespec *t)
{
    estab_dur d;

    if (!t)
        return ESTAB_NEVER;
    d = ESTAB_S((uint64_t)t->tv_sec) + (uint64_t)t->tv_nsec;
    return shard_now(o->shards[0]) + d;
}

static int poll_ours(struct polling *o, const struct timespec *t, const sigset_t *mask)
{
    bool at_once = t && t->tv_sec == 0 && t->tv_nsec == 0;
    estab_time until = poll_until(o, t);

    look(o, NULL, false);
    look_at_theirs(o);
    if (o->ready == 0 && at_once) {
        look(o, NULL, true);
        look_at_theirs(o);
    }
    return o->ready > 0 || at_once ? 0 : wait_for_any(o, until, mask);
}

int estab_posix_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                      const sigset_t *mask)
{
    enum { FEW = 16 };
    struct place few[FEW];
    struct pollfd few_theirs[FEW];
    struct polling o = {.fds = fds, .n = n, .places = few, .theirs = few_theirs};
    void *memory = NULL;
    int err;

    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999)) {
        errno = EINVAL;
        return -1;
    }
    if (n > FEW) {
        memory = calloc(n, sizeof *o.places + sizeof *o.theirs);
        if (!memory) {
            errno = ENOMEM;
            return -1;
        }
        o.places = memory;
        o.theirs = (struct pollfd *)(o.places + n);
    }
    memset(o.places, 0, n * sizeof *o.places);
    err = sort_out(&o);
    if (!err && o.nshards == 0) {
        o.ready = ppoll(fds, n, timeout, mask);
        err = o.ready < 0 ? errno : 0;
    } else if (!err) {
        err = poll_ours(&o, timeout, mask);
    }
    for (nfds_t i = 0; i < n; i++)
        if (o.places[i].f)
            file_put(o.places[i].f);
    free(memory);
    if (err)
        errno = err;
    return err ? -1 : o.ready;
}

int estab_posix_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    return estab_posix_ppoll(fds, n, timeout_ms < 0 ? NULL : &t, NULL);
}

/* ---- select ---- */

static const short in_bits = POLLIN | POLLRDNORM | POLLHUP | POLLERR;
static const short out_bits = POLLOUT | POLLWRNORM | POLLERR;

static nfds_t gather(int n, const fd_set *in, const fd_set *out, const fd_set *ex,
                     struct pollfd *fds)
{
    nfds_t k = 0;

    for (int fd = 0; fd < n; fd++) {
        short events = 0;

        events = (short)(events | (in && FD_ISSET(fd, in) ? POLLIN | POLLRDNORM : 0));
        events = (short)(events | (out && FD_ISSET(fd, out) ? POLLOUT | POLLWRNORM : 0));
        events = (short)(events | (ex && FD_ISSET(fd, ex) ? POLLPRI : 0));
        if (events)
            fds[k++] = (struct pollfd){.fd = fd, .events = events};
    }
    return k;
}

static bool keep(fd_set *set, const struct pollfd *p, short asked, short bits)
{
    if (!set || !(p->events & asked))
        return false;
    if (p->revents & bits)
        return true;
    FD_CLR(p->fd, set);
    return false;
}

int estab_posix_pselect(int n, fd_set *in, fd_set *out, fd_set *ex, const struct timespec *timeout,
                        const sigset_t *mask)
{
    struct pollfd fds[FD_SETSIZE];
    int ready = 0, got;
    nfds_t k;

    if (n < 0 || n > FD_SETSIZE) {
        errno = EINVAL;
        return -1;
    }
    k = gather(n, in, out, ex, fds);
    got = estab_posix_ppoll(fds, k, timeout, mask);
    if (got < 0)
        return -1;
    for (nfds_t i = 0; i < k; i++)
        if (fds[i].revents & POLLNVAL) {
            errno = EBADF;
            return -1;
        }
    for (nfds_t i = 0; i < k; i++) {
        ready += keep(in, &fds[i], POLLIN, in_bits);
        ready += keep(out, &fds[i], POLLOUT, out_bits);
        ready += keep(ex, &fds[i], POLLPRI, POLLPRI);
    }
    return ready;
}

int estab_posix_select(int n, fd_set *in, fd_set *out, fd_set *ex, struct timeval *timeout)
{
    struct timespec t = {0}, before, after;
    long long left;
    int ret;

    if (!timeout)
        return estab_posix_pselect(n, in, out, ex, NULL, NULL);
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
        errno = EINVAL;
        return -1;
    }
    t.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
    t.tv_nsec = timeout->tv_usec % 1000000 * 1000;
    clock_gettime(CLOCK_MONOTONIC, &before);
    ret = estab_posix_pselect(n, in, out, ex, &t, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after); /* Linux says how much of it is left */
    left = (t.tv_sec + before.tv_sec - after.tv_sec) * 1000000LL +
           (t.tv_nsec + before.tv_nsec - after.tv_nsec) / 1000;
    left = left < 0 ? 0 : left;
    timeout->tv_sec = (time_t)(left / 1000000);
    timeout->tv_usec = (suseconds_t)(left % 1000000);
    return ret;
}

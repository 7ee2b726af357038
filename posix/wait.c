/* SPDX-License-Identifier: BSD-2-Clause */
/* wait.c - blocked calls.
 *
 * A blocked thread sleeps in ppoll(2): on its own eventfd, by which others wake it; on descriptors
 * of the kernel's that it waits for as well; and, of each shard that has no driver, on the links.
 * It goes to sleep knowing that what it waits for has not happened, since it said so under the lock
 * under which it would; a wake-up between then and the sleep is in the eventfd.
 *
 * Who leaves and was a driver hands the duty to one that sleeps on. */
#include "posix_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- each thread's eventfd ---- */

static pthread_key_t wake_key;
static pthread_once_t wake_once = PTHREAD_ONCE_INIT;
static _Thread_local struct waiter *self;
static _Thread_local uint32_t wake_era;

static void wake_close(void *fd_plus_1)
{
    close((int)(intptr_t)fd_plus_1 - 1);
}

static void wake_make_key(void)
{
    (void)pthread_key_create(&wake_key, wake_close);
}

static void drain(struct waiter *w)
{
    uint64_t n;

    atomic_store(&w->signalled, false);
    if (read(w->fd, &n, sizeof n) < 0)
        return; /* empty: nobody had to */
}

int waiter_init(struct waiter *w)
{
    int fd;

    pthread_once(&wake_once, wake_make_key);
    fd = (int)(intptr_t)pthread_getspecific(wake_key) - 1;
    if (fd < 0 || wake_era != fdtab_era()) { /* the parent's, after a fork, is not ours */
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return errno;
        pthread_setspecific(wake_key, (void *)(intptr_t)(fd + 1));
        wake_era = fdtab_era();
    }
    w->fd = fd;
    atomic_init(&w->woken, false);
    atomic_init(&w->signalled, false);
    self = w;
    return 0;
}

void waiter_fini(struct waiter *w)
{
    if (atomic_load(&w->signalled))
        drain(w);
    self = NULL;
}

void waiter_poke(struct waiter *w)
{
    const uint64_t one = 1;

    if (w == self)
        return;
    atomic_store(&w->signalled, true);
    if (write(w->fd, &one, sizeof one) < 0)
        return; /* full: it is readable */
}

void waiter_wake(struct waiter *w, struct estab_posix_stats *st)
{
    if (atomic_exchange(&w->woken, true))
        return;
    if (w != self && st)
        st->wakes++;
    waiter_poke(w);
}

/* ---- who waits for a file ---- */

void watch_add(struct file *f, struct watch *c)
{
    struct watch **end = &f->watches;

    while (*end)
        end = &(*end)->next;
    c->next = NULL;
    c->at = end;
    *end = c;
}

void watch_del(struct watch *c)
{
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
}

static uint32_t poll_bits(uint32_t mask)
{
    uint32_t bits = 0;

    bits |= mask & ESTAB_EV_IN ? EPOLLIN | EPOLLRDNORM : 0;
    bits |= mask & ESTAB_EV_OUT ? EPOLLOUT | EPOLLWRNORM : 0;
    bits |= mask & ESTAB_EV_ERR ? EPOLLERR : 0;
    bits |= mask & ESTAB_EV_HUP ? EPOLLHUP | EPOLLIN | EPOLLOUT : 0;
    bits |= mask & ESTAB_EV_RDHUP ? EPOLLRDHUP | EPOLLIN : 0;
    bits |= mask & ESTAB_EV_URG ? EPOLLPRI : 0;
    return bits;
}

void file_happened(struct file *f, uint32_t mask)
{
    bool given = false;

    for (struct watch *c = f->watches, *next; c; c = next) {
        next = c->next;
        if (!(c->mask & mask) || (c->exclusive && given))
            continue;
        given |= c->exclusive && !atomic_load(&c->w->woken);
        waiter_wake(c->w, &f->shard->stats);
    }
    if (f->items)
        items_happened(f, poll_bits(mask));
    mirror_touch(f);
}

/* ---- sleeping ---- */

static void take_seat(struct shard *sh, struct seat *s)
{
    s->next = sh->seats;
    s->at = &sh->seats;
    if (s->next)
        s->next->at = &s->next;
    sh->seats = s;
}

static void sit(struct sleep *s, size_t i)
{
    struct shard *sh = s->sh[i];

    shard_lock(sh);
    sh->stats.blocked++;
    if (sh->left_at) {
        sh->absence = shard_now(sh) - sh->left_at;
        sh->left_at = 0;
    }
    s->seats[i] = (struct seat){.w = s->w};
    if (!sh->driver) {
        sh->driver = s->w;
        sh->drive_until = 0; /* it looks before it sleeps */
        sh->drives++;
        look_plan(s, sh);
    } else {
        take_seat(sh, &s->seats[i]);
    }
    pthread_mutex_unlock(&sh->lock);
}

static void unseat(struct seat *s)
{
    if (!s->at)
        return;
    *s->at = s->next;
    if (s->next)
        s->next->at = s->at;
    s->at = NULL;
}

void hand_over(struct shard *sh)
{
    struct seat *next = sh->seats;
    struct pollfd link;

    if (sh->driver || !next || shard_links(sh, &link, 1) == 0)
        return; /* without descriptors to poll the helper will do */
    unseat(next);
    sh->driver = next->w;
    sh->drive_until = 0;
    sh->drives++;
    sh->stats.handovers++;
    sh->stats.wakes++;
    waiter_poke(next->w);
}

/* Waking another to drive costs as much as all the rest.  So whoever leaves does it only if the
 * last time it took long until one came to wait again; if it takes long now, the helper does. */
static void stand_up(struct shard *sh, struct waiter *w, struct seat *s)
{
    shard_lock(sh);
    sh->stats.blocked--;
    unseat(s);
    if (sh->driver == w) {
        sh->driver = NULL;
        sh->left_at = shard_now(sh);
        if (sh->absence > ABSENCE)
            hand_over(sh);
    }
    shard_yield(sh);
}

/* What came was somebody else's, who is awake now and will soon be back to wait for more: it may as
 * well drive then, and need not be woken by us each time. */
static void step_back(struct shard *sh, struct waiter *w, struct seat *s)
{
    sh->left_at = shard_now(sh);
    if (atomic_load(&w->woken) || sh->absence > ABSENCE || sh->advance)
        return;
    sh->driver = NULL;
    take_seat(sh, s);
}

void wait_run(struct sleep *s, size_t i, bool poll)
{
    struct shard *sh = s->sh[i];
    uint64_t woke = sh->stats.wakes;

    shard_run(sh, poll);
    mirror_flush(sh);
    if (sh->stats.wakes != woke)
        step_back(sh, s->w, &s->seats[i]);
}

/* Runs what it drives, and says until when nothing is due. */
static estab_time drive(struct sleep *s, bool poll)
{
    estab_time due = s->until, at;

    s->nlinks = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct shard *sh = s->sh[i];

        shard_lock(sh);
        if (sh->driver == s->w && (poll || shard_due(sh) <= shard_now(sh)))
            wait_run(s, i, poll);
        else if (sh->driver == s->w)
            mirror_flush(sh);
        if (sh->driver == s->w) {
            s->nlinks += shard_links(sh, s->fds + 1 + s->nlinks, s->cap - 1 - s->nmore - s->nlinks);
            at = sh->drive_until = shard_due(sh);
            due = at < due ? at : due;
        }
        shard_yield(sh);
    }
    return due;
}

estab_time wait_now(const struct sleep *s)
{
    struct estab_env env;

    if (s->n > 0)
        return shard_now(s->sh[0]);
    estab_host_env(&env);
    return env.now(env.ctx);
}

/* In virtual time: 0, ETIMEDOUT or EDEADLK. */
static int sleep_virtually(struct sleep *s)
{
    struct shard *sh = s->sh[0];
    estab_time due = drive(s, true);

    if (atomic_load(&s->w->woken))
        return 0;
    if (s->nmore > 0 && poll(s->more, (nfds_t)s->nmore, 0) > 0)
        return 0;
    if (s->until <= shard_now(sh))
        return ETIMEDOUT;
    if (due == ESTAB_NEVER)
        return EDEADLK;
    if (due > shard_now(sh))
        sh->advance(sh->ctx, due);
    return EAGAIN;
}

/* EAGAIN: slept, and nothing of ours has happened. */
static int sleep_once(struct sleep *s, estab_time due)
{
    estab_time now = wait_now(s);
    estab_dur d = due == ESTAB_NEVER ? ESTAB_S(86400) : due > now ? due - now : 0;
    struct timespec t = {(time_t)(d / ESTAB_S(1)), (long)(d % ESTAB_S(1))};
    size_t first = 1 + s->nlinks, n = first + s->nmore;
    int got;

    s->fds[0] = (struct pollfd){.fd = s->w->fd, .events = POLLIN};
    if (s->nmore > 0)
        memcpy(s->fds + first, s->more, s->nmore * sizeof *s->more);
    got = ppoll(s->fds, (nfds_t)n, &t, s->mask);
    if (got < 0)
        return errno;
    if (s->fds[0].revents)
        drain(s->w);
    for (size_t i = 0; i < s->nmore; i++)
        s->more[i].revents = s->fds[first + i].revents;
    for (size_t i = first; got > 0 && i < n; i++)
        if (s->fds[i].revents)
            return 0;
    return EAGAIN;
}

static int sleep_really(struct sleep *s, estab_time *due, bool poll)
{
    int err;

    if (atomic_load(&s->w->woken))
        return 0;
    if (s->until != ESTAB_NEVER && s->until <= wait_now(s))
        return ETIMEDOUT;
    err = sleep_once(s, *due);
    if (err == 0 || err == EAGAIN)
        *due = drive(s, poll);
    return atomic_load(&s->w->woken) ? 0 : err;
}

int wait_sleep(struct waiter *w, struct shard *const *sh, size_t n, estab_time until,
               struct pollfd *more, size_t nmore, const sigset_t *mask)
{
    struct pollfd few[16];
    struct seat seats[SHARDS_MAX];
    struct sleep s = {.w = w,
                      .sh = sh,
                      .n = n,
                      .until = until,
                      .more = more,
                      .nmore = nmore,
                      .mask = mask,
                      .fds = few,
                      .cap = sizeof few / sizeof *few};
    estab_time due;
    int err;

    if (nmore + n * FDS_MAX + 1 > s.cap) {
        s.cap = nmore + n * FDS_MAX * 2 + 1;
        s.fds = calloc(s.cap, sizeof *s.fds);
        if (!s.fds)
            return ENOMEM;
    }
    s.seats = seats;
    for (size_t i = 0; i < n; i++)
        sit(&s, i);
    err = look_first(&s);
    due = err == EAGAIN ? drive(&s, false) : 0;
    while (err == EAGAIN)
        err = n > 0 && sh[0]->advance ? sleep_virtually(&s) : sleep_really(&s, &due, true);
    for (size_t i = 0; i < n; i++)
        stand_up(sh[i], w, &seats[i]);
    if (s.fds != few)
        free(s.fds);
    return err;
}

static bool is_fault(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP ||
           sig == SIGSYS || sig == SIGABRT;
}

/* signal(7): a handler with SA_RESTART lets the calls that may block for ever go on.  Which signal
 * it was nobody says: where the handlers of a program differ, it is told of every one. */
bool wait_restarts(void)
{
    struct sigaction sa;

    for (int sig = 1; sig < NSIG; sig++)
        if (!is_fault(sig) && sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL &&
            sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_RESTART))
            return false;
    return true;
}

int wait_file(struct file *f, uint32_t mask, bool exclusive, estab_time until)
{
    struct waiter w;
    struct watch c = {.w = &w, .mask = mask | ESTAB_EV_ERR | ESTAB_EV_HUP, .exclusive = exclusive};
    int err = waiter_init(&w);

    if (err)
        return err;
    f->shard->stats.sleeps++;
    watch_add(f, &c);
    shard_run(f->shard, false);
    shard_yield(f->shard);
    do
        err = wait_sleep(&w, &f->shard, 1, until, NULL, 0, NULL);
    while (err == EINTR && until == ESTAB_NEVER && wait_restarts());
    shard_lock(f->shard);
    watch_del(&c);
    waiter_fini(&w);
    if (err && atomic_load(&w.woken) && exclusive)
        file_happened(f, mask); /* what it was woken for is somebody else's now */
    return err;
}

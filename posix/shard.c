/* SPDX-License-Identifier: BSD-2-Clause */
/* shard.c - who runs the stack, and when.
 *
 * Whoever holds the lock.  A call that finds its data takes it and goes; what it made the stack owe
 * is handed out before it unlocks.  A call that finds nothing becomes the driver, if there is none:
 * it sleeps in ppoll(2) on the links, runs the stack for all who wait, and leaves the duty to
 * another when its own wait is over (wait.c).  So frames are taken in by the thread that wants
 * them, and nobody has to be woken for it.  A driver that is soon back leaves the duty lying.
 *
 * The helper is for the time in which nobody waits: retransmissions, acknowledgments, the kernel's
 * epoll.  It polls the links too, but not beside a driver: both would wake for each frame.  When it
 * finds that one drove, it looks again every PATIENCE; when the same one has been driving for long,
 * it sleeps until that one leaves.  So a driver costs at most one needless wake-up every PATIENCE,
 * and a frame waits for at most PATIENCE and a bit after the last driver left.
 *
 * What is due: whoever goes to sleep, a driver or the helper, says until when (drive_until,
 * watch_until).  Calls of other threads arm timers meanwhile.  So whoever has run the stack looks,
 * before it unlocks, whether something is due before anybody wakes, and if so has the helper sleep
 * until then instead.  A stream of calls that each move a timer on costs one wake-up for each time
 * the timer would have run out. */
#include "posix_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE ESTAB_MS(2)
enum { DEEP_AFTER = 8, OUT_BATCHES = 8 };

void shard_lock(struct shard *sh)
{
    pthread_mutex_lock(&sh->lock);
}

estab_time shard_now(const struct shard *sh)
{
    return sh->env.now(sh->env.ctx);
}

/* In memory: asking costs no system call, and its deadline says when to. */
static bool in_memory(const estab_link *l)
{
    return estab_link_fd(l) < 0;
}

estab_time shard_due(const struct shard *sh)
{
    estab_time due = ESTAB_NEVER, at;

    for (const estab_posix *p = sh->members; p; p = p->next) {
        at = estab_deadline(p->stack);
        due = at < due ? at : due;
        for (uint32_t i = 0; i < p->nports; i++) {
            at = p->ports[i].gone ? ESTAB_NEVER : estab_link_deadline(p->ports[i].link);
            due = at < due ? at : due;
        }
    }
    return due;
}

size_t shard_links(const struct shard *sh, struct pollfd *fds, size_t cap)
{
    size_t n = 0;

    for (const estab_posix *p = sh->members; p; p = p->next) {
        for (uint32_t i = 0; i < p->nports && n < cap; i++)
            if (!p->ports[i].gone && !in_memory(p->ports[i].link))
                fds[n++] = (struct pollfd){.fd = estab_link_fd(p->ports[i].link), .events = POLLIN};
        if (p->ctl && n < cap)
            fds[n++] = (struct pollfd){.fd = estab_ctl_fd(p->ctl), .events = POLLIN};
    }
    return n;
}

/* True: there was something. */
static bool hand_out(estab_posix *p, struct port *o)
{
    struct estab_frame f[BATCH];
    bool any = false;
    int n = BATCH;

    for (int batch = 0; n == BATCH && batch < OUT_BATCHES; batch++) {
        n = estab_output(p->stack, o->port, f, BATCH);
        any |= n > 0;
        if (n > 0) {
            p->shard->stats.frames_out += (uint64_t)n;
            if (!o->gone && estab_link_send(o->link, f, (size_t)n) < 0)
                o->gone = true;
        }
    }
    return any;
}

static bool take_in(estab_posix *p, struct port *o)
{
    struct estab_frame f[BATCH];
    int n = estab_link_recv(o->link, f, BATCH);

    p->shard->stats.polls += !in_memory(o->link);
    if (n < 0)
        o->gone = true;
    if (n <= 0)
        return false;
    p->shard->stats.frames_in += (uint64_t)n;
    (void)estab_input(p->stack, o->port, f, (size_t)n);
    return true;
}

estab_dur shard_look(const struct shard *sh, estab_time *due)
{
    estab_dur most = 0, busy;

    *due = ESTAB_NEVER;
    for (const estab_posix *p = sh->members; p; p = p->next) {
        estab_time at = estab_deadline(p->stack);

        *due = at < *due ? at : *due;
        for (uint32_t i = 0; i < p->nports; i++) {
            busy = p->ports[i].gone ? 0 : estab_link_look(p->ports[i].link);
            most = busy > most ? busy : most;
        }
    }
    return most;
}

void shard_looked(struct shard *sh, estab_dur looked)
{
    for (estab_posix *p = sh->members; p; p = p->next)
        for (uint32_t i = 0; i < p->nports; i++)
            estab_link_looked(p->ports[i].link, looked, false);
}

bool shard_take(struct shard *sh)
{
    bool any = false;

    for (estab_posix *p = sh->members; p; p = p->next) {
        for (uint32_t i = 0; i < p->nports; i++) {
            struct port *o = &p->ports[i];

            if (o->gone || !take_in(p, o))
                continue;
            estab_link_looked(o->link, 0, true);
            any = true;
        }
    }
    return any;
}

static void tell(estab_posix *p)
{
    struct estab_event ev[BATCH];
    size_t n;

    do {
        n = estab_events(p->stack, ev, BATCH);
        for (size_t i = 0; i < n; i++) {
            struct file *f = ev[i].user;

            f->ended |= (ev[i].mask & (ESTAB_EV_RDHUP | ESTAB_EV_ERR)) == ESTAB_EV_RDHUP;
            file_happened(f, ev[i].mask);
        }
    } while (n == BATCH);
}

void shard_run(struct shard *sh, bool poll)
{
    bool moved;

    for (estab_posix *p = poll ? sh->members : NULL; p; p = p->next)
        if (p->ctl)
            estab_ctl_run(p->ctl);
    do {
        estab_time now = shard_now(sh);

        moved = false;
        for (estab_posix *p = sh->members; p; p = p->next) {
            for (uint32_t i = 0; i < p->nports; i++) {
                struct port *o = &p->ports[i];

                moved |= hand_out(p, o);
                if (!o->gone && (poll || estab_link_deadline(o->link) <= now))
                    moved |= take_in(p, o);
            }
            if (estab_deadline(p->stack) <= now)
                moved |= estab_expire(p->stack) > 0;
        }
        poll = false;
    } while (moved);
    for (estab_posix *p = sh->members; p; p = p->next)
        tell(p);
}

/* The helper looks again at what it waits for. */
static void kick(struct shard *sh)
{
    const uint64_t one = 1;

    if (sh->deep) {
        sh->deep = false;
        pthread_cond_signal(&sh->tick);
    } else if (sh->watching) {
        sh->watching = false;
        if (write(sh->kick, &one, sizeof one) < 0)
            return; /* its counter is full: it is awake */
    }
}

void shard_rewatch(struct shard *sh)
{
    kick(sh);
    if (sh->driver)
        waiter_poke(sh->driver);
}

void shard_yield(struct shard *sh)
{
    estab_time until = sh->watch_until;

    if (sh->driver && sh->drive_until < until)
        until = sh->drive_until;
    if (sh->deep && !sh->driver) {
        kick(sh);
    } else if ((sh->deep || sh->watching) && shard_due(sh) < until) {
        sh->stats.kicks++;
        kick(sh);
    }
    pthread_mutex_unlock(&sh->lock);
}

void shard_unlock(struct shard *sh)
{
    shard_run(sh, false);
    mirror_flush(sh);
    shard_yield(sh);
}

/* ---- the helper ---- */

static struct timespec span(estab_dur d)
{
    return (struct timespec){(time_t)(d / ESTAB_S(1)), (long)(d % ESTAB_S(1))};
}

/* How long from now; for a clock of 32 bits too. */
static estab_dur capped(estab_time until, estab_time now)
{
    estab_dur d = until > now ? until - now : 0;

    return d < ESTAB_S(3600) ? d : ESTAB_S(3600);
}

/* Until PATIENCE is over; once the same one has been driving for long, until it leaves or
 * something is due that it does not know of. */
static void helper_tick(struct shard *sh, uint32_t quiet)
{
    estab_time now = shard_now(sh), due = shard_due(sh);
    estab_dur d = PATIENCE;
    struct timespec at;

    sh->deep = quiet > DEEP_AFTER && due > now;
    if (sh->deep) {
        sh->watch_until = sh->drive_until <= due ? ESTAB_NEVER : due;
        d = capped(sh->watch_until, now);
    }
    clock_gettime(CLOCK_MONOTONIC, &at);
    at = span(ESTAB_S((uint64_t)at.tv_sec) + (uint64_t)at.tv_nsec + d);
    (void)pthread_cond_timedwait(&sh->tick, &sh->lock, &at);
    sh->deep = false;
}

static void helper_watch(struct shard *sh)
{
    struct pollfd fds[1 + LINKS_WATCHED];
    size_t n = 1 + shard_links(sh, fds + 1, LINKS_WATCHED);
    estab_time now = shard_now(sh), due = shard_due(sh);
    struct timespec t = span(capped(due, now));
    uint64_t kicks;

    fds[0] = (struct pollfd){.fd = sh->kick, .events = POLLIN};
    sh->watching = true;
    sh->watch_until = due;
    pthread_mutex_unlock(&sh->lock);
    (void)ppoll(fds, (nfds_t)n, &t, NULL);
    if (fds[0].revents && read(sh->kick, &kicks, sizeof kicks) < 0)
        kicks = 0; /* somebody else's wake-up: none is lost, since it looks now */
    pthread_mutex_lock(&sh->lock);
    sh->watching = false;
}

/* Threads wait, and the one that drove has not come back. */
static void stand_in(struct shard *sh)
{
    if (sh->driver || !sh->seats || !sh->left_at || shard_now(sh) - sh->left_at < ABSENCE)
        return;
    sh->absence = ESTAB_NEVER;
    shard_run(sh, true);
    hand_over(sh);
}

static void *helper_main(void *ctx)
{
    struct shard *sh = ctx;
    uint64_t drives = 0;
    uint32_t quiet = 0;

    pthread_mutex_lock(&sh->lock);
    while (!sh->stop) {
        sh->stats.helper_runs++;
        if (sh->driver || sh->drives != drives) {
            quiet = sh->drives == drives ? quiet + 1 : 0;
            drives = sh->drives;
            helper_tick(sh, quiet);
            if (shard_due(sh) <= shard_now(sh))
                shard_run(sh, false);
            stand_in(sh);
            mirror_flush_now(sh);
            continue;
        }
        quiet = 0;
        shard_run(sh, true);
        mirror_flush_now(sh);
        helper_watch(sh);
    }
    pthread_mutex_unlock(&sh->lock);
    return NULL;
}

int shard_start_helper(struct shard *sh)
{
    sigset_t all, before;
    int err;

    sh->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sh->kick < 0)
        return errno;
    sigfillset(&all); /* signals are the application's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&sh->helper, NULL, helper_main, sh);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sh->has_helper = err == 0;
    return err;
}

void shard_stop_helper(struct shard *sh)
{
    const uint64_t one = 1;

    if (!sh->has_helper)
        return;
    pthread_mutex_lock(&sh->lock);
    sh->stop = true;
    pthread_cond_signal(&sh->tick);
    pthread_mutex_unlock(&sh->lock);
    if (write(sh->kick, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(sh->helper, NULL);
    sh->has_helper = false;
}

void shard_leave(struct shard *sh)
{
    bool last = sh->nmembers == 0 && sh->nfiles == 0;

    if (sh->nmembers > 0)
        shard_unlock(sh);
    else
        pthread_mutex_unlock(&sh->lock);
    if (!last)
        return;
    if (sh->kick >= 0)
        close(sh->kick);
    pthread_cond_destroy(&sh->tick);
    pthread_mutex_destroy(&sh->lock);
    free(sh);
}

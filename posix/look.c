/* SPDX-License-Identifier: BSD-2-Clause */
/* look.c - what a blocked call does before it sleeps, where a link says so (estab_link_look()).
 *
 * It looks for frames for a while, and runs the stack when some have come, as a driver does that
 * wakes for them: but nobody has to wake it.  The lock is taken for each look and left in between.
 * Signals are blocked meanwhile, lest the handler of one run just before the sleep that it should
 * end.  They wait for MOST at the most, and so does everything else that only a sleep ends on, also
 * where frames never stop. */
#include "posix_int.h"

#include <errno.h>
#include <signal.h>

#define MOST ESTAB_MS(1)

/* Who waits for descriptors of the kernel's, too, would miss them. */
void look_plan(struct sleep *s, struct shard *sh)
{
    estab_time due;
    estab_dur most = s->nmore > 0 || sh->advance ? 0 : shard_look(sh, &due);

    if (most == 0) {
        shard_looked(sh, 0);
        return;
    }
    if (s->look.most == 0)
        s->look.until = s->until;
    s->look.until = due < s->look.until ? due : s->look.until;
    s->look.most = most > s->look.most ? most : s->look.most;
}

/* One look: whether something has come; *on: whether to go on.  Other threads arm timers meanwhile.
 * Where each wait ends by looking, now and then somebody has to ask for all that a sleep would have
 * ended on. */
static bool look_once(struct sleep *s, bool *on)
{
    enum { POLLS = 64 };
    bool came = false;
    estab_time due;

    *on = false;
    for (size_t i = 0; i < s->n; i++) {
        struct shard *sh = s->sh[i];

        if (pthread_mutex_trylock(&sh->lock) != 0) {
            *on = true; /* who has it looks too */
            continue;
        }
        if (sh->driver == s->w && shard_take(sh)) {
            *on = came = true;
            wait_run(s, i, ++sh->looks % POLLS == 0);
            shard_yield(sh);
            continue;
        }
        if (sh->driver == s->w && shard_look(sh, &due) > 0) {
            *on = true;
            s->look.until = due < s->look.until ? due : s->look.until;
        }
        pthread_mutex_unlock(&sh->lock);
    }
    return came;
}

static void was_in_vain(struct sleep *s, estab_dur looked)
{
    for (size_t i = 0; i < s->n; i++) {
        shard_lock(s->sh[i]);
        if (s->sh[i]->driver == s->w)
            shard_looked(s->sh[i], looked);
        pthread_mutex_unlock(&s->sh[i]->lock);
    }
}

/* Between two looks the lock is left to others for long enough that they seldom meet. */
static inline void relax(void)
{
#if defined __x86_64__ || defined __i386__
    for (int i = 0; i < 8; i++)
        __builtin_ia32_pause();
#endif
}

/* One whose handler runs as soon as it may.  Of ppoll(2)'s mask the sleep itself takes care. */
static bool signal_waits(const struct sleep *s, const sigset_t *blocked)
{
    sigset_t pending;

    if (s->mask)
        return false;
    sigpending(&pending);
    for (int sig = 1; sig < NSIG; sig++)
        if (sigismember(&pending, sig) == 1 && sigismember(blocked, sig) == 0)
            return true;
    return false;
}

/* Until something has happened, or for so long nothing has come, or it is time for other things.
 * True: a signal waits. */
static bool look_on(struct sleep *s, bool came)
{
    estab_time now = wait_now(s), from = now, end = now + MOST;
    sigset_t all, before;
    bool on = true, interrupted;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (on && !atomic_load(&s->w->woken) && now - from < s->look.most && now < end &&
           now < s->look.until) {
        if (!came)
            relax();
        came = look_once(s, &on);
        now = wait_now(s);
        if (came)
            from = now;
    }
    interrupted = !atomic_load(&s->w->woken) && signal_waits(s, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!atomic_load(&s->w->woken))
        was_in_vain(s, now - from);
    return interrupted;
}

int look_first(struct sleep *s)
{
    bool came, on, interrupted = false;

    if (s->look.most == 0)
        return EAGAIN;
    came = look_once(s, &on);
    if (!on)
        was_in_vain(s, 0);
    else if (!atomic_load(&s->w->woken))
        interrupted = look_on(s, came);
    return atomic_load(&s->w->woken) ? 0 : interrupted ? EINTR : EAGAIN;
}

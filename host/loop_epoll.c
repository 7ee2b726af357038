/* SPDX-License-Identifier: BSD-2-Clause */
/* loop_epoll.c - how to drive a stack: the reference.
 *
 * A turn: hand out what is ready; wait for a frame, a deadline or a watched descriptor; take frames
 * in; run the timers; hand out again.  Nothing starves: in one turn each link gives at most
 * LINK_BATCH frames and takes at most OUT_BATCHES batches, and a turn that left something does not
 * wait.  A batch of large frames for a buffer that is lent goes on over as many turns as it takes
 * the user to take that back each time it is full, and is answered as one: up to twice the goodput
 * in, where the sender has much in flight.  Waits end late rather than early, so that nothing is
 * polled until it is due.
 *
 * The time to wait is a timer of its own in the epoll set, and not an argument of each wait: a
 * deadline is mostly that of the wait before, or a later one, and a timer that goes off too early
 * once costs less than one that is set and taken back around each frame (0.35 of 8.1 us for an
 * exchange of 64 octets).
 *
 * The stack must live in the loop's time, the monotonic clock (estab_host_env). */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    OUT_BATCHES = 8,
    EVENTS = 16,
    WATCHED = INT32_MAX, /* epoll's data for what is no link: links have their index */
    TIMER = INT32_MAX - 1,
};

struct looped {
    estab_link *link;
    int port;
    bool gone, told; /* told: the caller has been */
    bool due;        /* has something to take in this turn */
};
struct estab_loop {
    estab_stack *stack;
    struct estab_env clock;
    int epoll, timer;
    estab_time rings; /* when the timer goes off, ESTAB_NEVER, or 0: it has */
    bool busy;        /* the stack had more to hand out than one flush takes */
    bool watches;     /* descriptors that are no links */
    size_t taken;     /* frames, since what is ready was handed out; if nothing waits for that: 0 */
    estab_time since; /* ... if that is not at the end of the turn: when the first came */
    bool timely;      /* nothing was due when this turn looked at the clock last, and frames came */
    struct looped *links;
    uint32_t nlinks;
};

static int watch(estab_loop *l, int fd, uint32_t what)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = what};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

int estab_loop_new(estab_loop **out, estab_stack *s, char *err)
{
    estab_loop *l = calloc(1, sizeof *l);

    if (!l)
        return link_say(err, "loop: out of memory");
    l->stack = s;
    l->rings = ESTAB_NEVER;
    estab_host_env(&l->clock);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll < 0 || l->timer < 0 || watch(l, l->timer, TIMER)) {
        link_say(err, "loop: an epoll set with a timer: %s", strerror(errno));
        estab_loop_free(l);
        return -1;
    }
    *out = l;
    return 0;
}

void estab_loop_free(estab_loop *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->nlinks; i++)
        estab_link_close(l->links[i].link);
    if (l->timer >= 0)
        close(l->timer);
    if (l->epoll >= 0)
        close(l->epoll);
    free(l->links);
    free(l);
}

int estab_loop_watch_fd(estab_loop *l, int fd)
{
    l->watches = true;
    return watch(l, fd, WATCHED);
}

int estab_loop_attach(estab_loop *l, estab_link *link, char *err)
{
    struct looped *grown = realloc(l->links, (l->nlinks + 1u) * sizeof *grown);
    int fd = estab_link_fd(link), port;

    if (!grown) {
        link_say(err, "%s: attaching: out of memory", link->name);
        goto out;
    }
    l->links = grown;
    if (fd >= 0 && watch(l, fd, l->nlinks)) {
        link_say(err, "%s: waiting for it: epoll_ctl: %s", link->name, strerror(errno));
        goto out;
    }
    port = estab_port_add(l->stack, &link->caps);
    if (port < 0) {
        link_say(err, "%s: the stack does not take it as a port: %s (mtu %u)", link->name,
                 estab_strerror(port), (unsigned)link->caps.mtu);
        goto out;
    }
    l->links[l->nlinks++] = (struct looped){.link = link, .port = port};
    return port;
out:
    estab_link_close(link);
    return -1;
}

estab_link *estab_loop_link(estab_loop *l, int port)
{
    for (uint32_t i = 0; i < l->nlinks; i++)
        if (l->links[i].port == port)
            return l->links[i].link;
    return NULL;
}

/* A descriptor in error is readable for ever: it must not be waited for again. */
static void lose(estab_loop *l, struct looped *k)
{
    int fd = estab_link_fd(k->link);

    k->gone = true;
    if (fd >= 0)
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void estab_loop_flush(estab_loop *l)
{
    struct estab_frame f[LINK_BATCH];
    int n, batch;

    l->busy = false;
    l->taken = 0;
    for (struct looped *k = l->links; k < l->links + l->nlinks; k++) {
        n = LINK_BATCH;
        for (batch = 0; n == LINK_BATCH && batch < OUT_BATCHES; batch++) {
            n = estab_output(l->stack, k->port, f, LINK_BATCH);
            if (n > 0 && !k->gone && estab_link_send(k->link, f, (size_t)n) < 0)
                lose(l, k);
        }
        l->busy |= n == LINK_BATCH;
    }
}

/* How many frames it had. */
static size_t take_in(estab_loop *l, struct looped *k)
{
    struct estab_frame f[LINK_BATCH];
    size_t got = 0;
    int n;

    do {
        if (k->link->places)
            (void)estab_input_place(l->stack, k->port, &k->link->place);
        n = estab_link_recv(k->link, f, LINK_BATCH - got);
        if (n > 0) {
            estab_input(l->stack, k->port, f, (size_t)n);
            got += (size_t)n;
        }
    } while (n > 0 && got < LINK_BATCH);
    if (n < 0)
        lose(l, k);
    l->taken += got;
    return got;
}

/* How long until something is due by itself, or max_wait. */
static estab_dur until_due(const estab_loop *l, estab_time now, estab_dur max_wait)
{
    estab_time due = estab_deadline(l->stack), at;

    for (uint32_t i = 0; i < l->nlinks; i++) {
        at = l->links[i].gone ? ESTAB_NEVER : estab_link_deadline(l->links[i].link);
        due = at < due ? at : due;
    }
    if (l->busy || due <= now)
        return 0;
    return due == ESTAB_NEVER || due - now > max_wait ? max_wait : due - now;
}

static void set_timer(estab_loop *l, estab_time at)
{
    struct itimerspec t = {0};

    if (at != ESTAB_NEVER)
        t.it_value = (struct timespec){(time_t)(at / ESTAB_S(1)), (long)(at % ESTAB_S(1))};
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
    l->rings = at;
}

/* What there is, or comes at all, but for the timer's going off. */
static int sleep_on(estab_loop *l, struct epoll_event *e, bool forever)
{
    int n = epoll_wait(l->epoll, e, EVENTS, forever ? -1 : 0);

    for (int i = 0; i < n; i++) {
        if (e[i].data.u32 == TIMER) {
            l->rings = 0;
            e[i] = e[--n];
        }
    }
    return n;
}

/* A day is as long as any wait need be, and fits every type. */
static int wait_for(estab_loop *l, struct epoll_event *e, estab_time now, estab_dur wait)
{
    estab_time until = wait == ESTAB_NEVER     ? ESTAB_NEVER
                       : wait < ESTAB_S(86400) ? now + wait
                                               : now + ESTAB_S(86400);
    int n;

    if (wait == 0)
        return sleep_on(l, e, false);
    do {
        if (until < l->rings || l->rings == 0)
            set_timer(l, until);
        n = sleep_on(l, e, true);
    } while (n == 0 && l->clock.now(l->clock.ctx) < until);
    return n;
}

/* The first link whose end the caller has not heard of. */
static int report_lost(estab_loop *l, char *err)
{
    for (struct looped *k = l->links; k < l->links + l->nlinks; k++) {
        if (k->gone && !k->told) {
            k->told = true;
            return link_say(err, "%s", k->link->error);
        }
    }
    return 0;
}

/* The longest time for which one of the links would be looked at rather than slept on. */
static estab_dur busy_time(const estab_loop *l)
{
    estab_dur most = 0;

    for (const struct looped *k = l->links; k < l->links + l->nlinks; k++) {
        estab_dur busy = k->gone ? 0 : estab_link_look(k->link);

        most = busy > most ? busy : most;
    }
    return most;
}

/* Between two looks in vain.  A processor has read ahead of the look that finds something, as if
 * that had found nothing, and begins again; less of it if it has paused (7 % of an exchange). */
static inline void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

/* Takes in what there is, from every link, and looks again until something came, or `wait` or the
 * links' time is over, or now and then a watched descriptor is readable.  A frame costs its read
 * then, and no sleep and no epoll_wait around it.  True: something came from a link. */
static bool look(estab_loop *l, estab_time now, estab_dur wait)
{
    enum { LOOKS = 16 };
    estab_dur busy = busy_time(l);
    estab_time until = now + (wait < busy ? wait : busy);
    struct epoll_event e[EVENTS];
    unsigned looks = 0;
    bool came = false;

    for (;;) {
        for (struct looped *k = l->links; k < l->links + l->nlinks; k++) {
            if (k->gone)
                continue;
            if (take_in(l, k) > 0)
                estab_link_looked(k->link, 0, true);
            else if (!k->gone)
                continue;
            came = true;
        }
        if (came || until <= now || busy_time(l) == 0)
            return came;
        relax();
        if (++looks % LOOKS == 0) {
            now = l->clock.now(l->clock.ctx);
            if (l->watches && sleep_on(l, e, false) != 0)
                return false;
        }
    }
}

/* Waits for what is to be waited for; how many events, or -1.  Links are asked for their deadlines
 * by who is about to sleep. */
static int await(estab_loop *l, struct epoll_event *e, estab_dur max_wait)
{
    estab_time now = l->clock.now(l->clock.ctx), due = estab_deadline(l->stack), then = now;
    bool came = false;
    estab_dur wait;

    l->timely = false;
    if (busy_time(l) > 0) {
        came = look(l, now,
                    l->busy || due <= now  ? 0
                    : due - now < max_wait ? due - now
                                           : max_wait);
        if (came && !l->watches && l->nlinks == 1) {
            l->timely = due > now;
            return 0;
        }
        then = l->clock.now(l->clock.ctx);
        max_wait = came || max_wait <= then - now ? 0 : max_wait - (then - now);
    }
    wait = max_wait ? until_due(l, then, max_wait) : 0;
    for (struct looped *k = l->links; wait > 0 && k < l->links + l->nlinks; k++)
        estab_link_looked(k->link, then - now, false);
    return wait_for(l, e, then, wait);
}

/* A link that is looked at has been, and is not told that anyone sleeps. */
static bool is_due(const estab_loop *l, const struct looped *k)
{
    estab_time at = estab_link_look(k->link) > 0 ? ESTAB_NEVER : estab_link_deadline(k->link);

    return at != ESTAB_NEVER && at <= l->clock.now(l->clock.ctx);
}

/* A batch goes on in the next turn: a link has more, and has stopped so that a user takes back a
 * buffer that is full.  What is ready waits for the end of the batch, but not for a user who takes
 * long. */
static bool goes_on(estab_loop *l, bool again)
{
    bool more = false;
    estab_time now;

    for (const struct looped *k = l->links; k < l->links + l->nlinks; k++)
        more |= k->link->more && !k->gone;
    if (!more || l->taken == 0 || l->taken >= LINK_BATCH)
        return false;
    now = l->clock.now(l->clock.ctx);
    if (!again)
        l->since = now;
    return now - l->since < ESTAB_MS(1);
}

int estab_loop_turn(estab_loop *l, estab_dur max_wait, char *err)
{
    struct epoll_event e[EVENTS];
    bool again = l->taken > 0;
    int n = 0, result = 0;

    if (!again)
        estab_loop_flush(l);
    if (report_lost(l, err))
        return -1;
    if (again)
        l->timely = false;
    else
        n = await(l, e, max_wait);
    if (n < 0 && errno == EINTR)
        return -2;
    for (int i = 0; i < n; i++) {
        if (e[i].data.u32 == WATCHED)
            result = 1;
        else
            l->links[e[i].data.u32].due = true;
    }
    for (struct looped *k = l->links; k < l->links + l->nlinks; k++) {
        if (!k->gone && (k->due || (again && k->link->more) || is_due(l, k)))
            take_in(l, k);
        k->due = false;
    }
    if (!l->timely) /* frames do not wait for timers: a turn that found one due runs them (4 %) */
        estab_expire(l->stack);
    if (!goes_on(l, again))
        estab_loop_flush(l);
    return report_lost(l, err) ? -1 : result;
}

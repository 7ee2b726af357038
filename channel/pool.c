/* SPDX-License-Identifier: BSD-2-Clause */
/* pool.c - connections to one peer, kept and used again.
 *
 * A request goes to the connection that was idle last, so that those which are not needed grow old;
 * then to the one with the least to do that may have more; then to a new one; then it waits.  A
 * connection that has been idle for long is asked for a sign of life before it gets work, and no
 * other is opened while that may come; one that is old or has served enough gets none any more.
 *
 * The pool keeps each request's text until its end.  When a connection is lost, a request that the
 * peer cannot have carried out, or that was marked safe, tries another one, TRIES times in all. */
#include "machine.h"

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

enum { TRIES = 3, WANTS = 1024 };

struct job {
    struct happening h; /* listed when it has ended */
    struct entry e;
    struct job *next; /* of those that wait */
    estab_time due;
    unsigned flags, tries;
    bool waits, sent;
    int error;
    struct message *reply;
    size_t len;
    uint8_t text[];
};
struct pooled {
    estab_channel *c;                      /* NULL: a free place */
    estab_time born_at, idle_at, check_at; /* check_at: until when it must be heard of */
    uint32_t busy, uses;
    bool was_up, checking, retired;
};
struct estab_pool {
    struct estab_env env;
    struct estab_pool_config conf;
    struct estab_channel_config channel;
    struct estab_transport t;
    struct estab_addr peer;
    struct pooled *places;
    struct table jobs;
    uint32_t njobs_max, nwaiting;
    uint64_t next_number;
    struct job *waiting, **waiting_tail;
    estab_time waiting_due, now;
    struct happening *happened, *happened_last;
    struct job *lent;
    struct estab_pool_info info;
};

void estab_pool_config_init_sized(struct estab_pool_config *c, size_t size)
{
    struct estab_pool_config full = {
        .size = size,
        .max = 8,
        .idle_max = 8,
        .waiting = 1024,
        .in_flight = 1,
        .idle_for = ESTAB_S(60),
        .age_max = ESTAB_S(600),
        .check_after = ESTAB_S(5),
        .check_within = ESTAB_S(1),
    };

    memcpy(c, &full, size < sizeof full ? size : sizeof full);
}

/* What the pool says itself about its connections, and the rest as the user wants it. */
static void set_channel(estab_pool *p, const struct estab_channel_config *c)
{
    estab_channel_config_init(&p->channel);
    if (c)
        memcpy(&p->channel, c, c->size < sizeof *c ? c->size : sizeof *c);
    p->channel.size = sizeof p->channel;
    p->channel.in_flight = p->conf.in_flight;
    p->channel.reconnect = false;
}

static bool is_possible(const struct estab_pool_config *c)
{
    return c->max && c->in_flight && c->max <= UINT32_MAX / c->in_flight / 2 &&
           c->waiting <= UINT32_MAX / 2;
}

static int make_places(estab_pool *p)
{
    size_t size = p->conf.max * sizeof *p->places;

    p->places = p->env.alloc(p->env.ctx, size, alignof(struct pooled));
    if (!p->places)
        return ESTAB_E_NOMEM;
    memset(p->places, 0, size);
    return 0;
}

int estab_pool_new(estab_pool **out, const struct estab_env *env, const struct estab_pool_config *c,
                   const struct estab_transport *t, const struct estab_addr *peer)
{
    struct estab_pool_config full;
    estab_pool *p;
    int err;

    estab_pool_config_init(&full);
    if (c)
        memcpy(&full, c, c->size < sizeof full ? c->size : sizeof full);
    if (!is_possible(&full))
        return ESTAB_E_INVAL;
    p = env->alloc(env->ctx, sizeof *p, alignof(estab_pool));
    if (!p)
        return ESTAB_E_NOMEM;
    *p = (estab_pool){.env = *env, .conf = full, .t = *t, .peer = *peer};
    set_channel(p, full.channel);
    err = p->channel.duplex == ESTAB_DUPLEX_FULL ? make_places(p) : ESTAB_E_INVAL;
    if (err) {
        env->free(env->ctx, p, sizeof *p, alignof(estab_pool));
        return err;
    }
    p->njobs_max = full.max * full.in_flight + full.waiting;
    p->next_number = channel_first_number(env);
    p->waiting_tail = &p->waiting;
    p->waiting_due = ESTAB_NEVER;
    *out = p;
    return 0;
}

/* ---- requests ---- */

static void free_job(estab_pool *p, struct job *j)
{
    message_free(&p->env, j->reply);
    p->env.free(p->env.ctx, j, sizeof *j + j->len, alignof(struct job));
}

static struct job *job_of(struct happening *h)
{
    return (struct job *)(void *)((char *)h - offsetof(struct job, h));
}

static void end_job(estab_pool *p, struct job *j, enum estab_channel_event_kind kind)
{
    j->h.kind = (uint8_t)kind;
    j->h.listed = true;
    j->h.prev = p->happened_last;
    j->h.next = NULL;
    *(j->h.prev ? &j->h.prev->next : &p->happened) = &j->h;
    p->happened_last = &j->h;
}

static void unlist_job(estab_pool *p, struct job *j)
{
    *(j->h.prev ? &j->h.prev->next : &p->happened) = j->h.next;
    *(j->h.next ? &j->h.next->prev : &p->happened_last) = j->h.prev;
    j->h.listed = false;
}

static void let_wait(estab_pool *p, struct job *j)
{
    j->waits = true;
    j->next = NULL;
    *p->waiting_tail = j;
    p->waiting_tail = &j->next;
    p->nwaiting++;
    if (j->due < p->waiting_due)
        p->waiting_due = j->due;
}

/* Takes what *at points to out of those that wait. */
static struct job *stop_waiting(estab_pool *p, struct job **at)
{
    struct job *j = *at;

    *at = j->next;
    if (p->waiting_tail == &j->next)
        p->waiting_tail = at;
    j->waits = false;
    p->nwaiting--;
    return j;
}

static void expire_waiting(estab_pool *p)
{
    struct job **at = &p->waiting;

    if (p->now < p->waiting_due)
        return;
    p->waiting_due = ESTAB_NEVER;
    while (*at) {
        if ((*at)->due <= p->now) {
            (*at)->error = ESTAB_E_TIMEOUT;
            end_job(p, stop_waiting(p, at), ESTAB_CH_FAILED);
            continue;
        }
        if ((*at)->due < p->waiting_due)
            p->waiting_due = (*at)->due;
        at = &(*at)->next;
    }
}

static struct job *make_job(estab_pool *p, const struct estab_iov *iov, size_t niov,
                            estab_dur within, unsigned flags)
{
    size_t len = channel_iov_len(iov, niov), at = 0;
    struct job *j = p->env.alloc(p->env.ctx, sizeof *j + len, alignof(struct job));

    if (!j)
        return NULL;
    *j = (struct job){.e = {NULL, p->next_number},
                      .due = channel_after(p->now, within),
                      .flags = flags,
                      .len = len};
    for (size_t i = 0; i < niov; at += iov[i++].len)
        if (iov[i].len)
            memcpy(j->text + at, iov[i].base, iov[i].len);
    return j;
}

/* ---- connections ---- */

static bool is_idle(const struct pooled *q)
{
    return q->c && q->busy == 0 && q->was_up && !q->retired;
}

static void retire(estab_pool *p, struct pooled *q)
{
    if (q->retired)
        return;
    q->retired = true;
    p->info.retired++;
    if (q->busy == 0) {
        estab_channel_close(q->c);
        estab_channel_run(q->c);
    }
}

static bool may_take(const estab_pool *p, const struct pooled *q)
{
    return q->c && !q->retired && !q->checking && q->busy < p->conf.in_flight;
}

static bool is_better(const struct pooled *q, const struct pooled *than)
{
    if (!than || q->busy != than->busy)
        return !than || q->busy < than->busy;
    return q->busy == 0 && q->idle_at > than->idle_at;
}

static struct pooled *open_place(estab_pool *p, int *err)
{
    struct pooled *q = p->places;

    while (q < p->places + p->conf.max && q->c)
        q++;
    *err = ESTAB_E_AGAIN;
    if (q == p->places + p->conf.max)
        return NULL;
    *q = (struct pooled){.born_at = p->now, .idle_at = p->now};
    *err = estab_channel_connect(&q->c, &p->env, &p->channel, &p->t, &p->peer);
    if (*err)
        return NULL;
    p->info.opened++;
    return q;
}

/* A connection that was idle for long: a PING, and no work until something is heard. */
static bool needs_check(estab_pool *p, struct pooled *q)
{
    if (!is_idle(q) || p->channel.plain || !p->conf.check_after ||
        p->now - q->idle_at < p->conf.check_after ||
        p->now - q->c->info.heard_at < p->conf.check_after)
        return false;
    q->checking = true;
    q->check_at = channel_after(p->now, p->conf.check_within);
    q->c->ping_owed = true;
    p->info.checks++;
    estab_channel_run(q->c);
    return true;
}

/* The peer may have hung up while nobody looked. */
static bool is_good(struct pooled *q)
{
    estab_channel_run(q->c);
    return q->c->state != ESTAB_CHANNEL_OVER && !q->c->peer_leaving;
}

static struct pooled *choose(estab_pool *p, int *err)
{
    struct pooled *best, *q;
    bool checking = false;

    for (;;) {
        best = NULL;
        for (q = p->places; q < p->places + p->conf.max; q++) {
            checking |= q->c && q->checking;
            if (may_take(p, q) && is_better(q, best))
                best = q;
        }
        if (!best)
            break;
        if (!is_good(best)) {
            retire(p, best);
        } else if (!needs_check(p, best)) {
            p->info.reused += best->uses > 0;
            return best;
        }
    }
    *err = ESTAB_E_AGAIN;
    return checking ? NULL : open_place(p, err);
}

/* 0; E_AGAIN: no connection can take it now; or an error that will not pass. */
static int place_job(estab_pool *p, struct job *j)
{
    struct estab_iov text = {j->text, j->len};
    struct pooled *q;
    int err;

    q = choose(p, &err);
    if (!q)
        return err;
    err = channel_ask(q->c, &text, 1, j->due, j->flags, j->e.number);
    if (err)
        return err;
    j->tries++;
    q->busy++;
    q->uses++;
    if (p->conf.uses_max && q->uses == p->conf.uses_max)
        retire(p, q);
    return 0;
}

static void place_waiting(estab_pool *p)
{
    int err;

    while (p->waiting) {
        err = place_job(p, p->waiting);
        if (err == ESTAB_E_AGAIN)
            return;
        if (err) {
            p->waiting->error = err;
            end_job(p, p->waiting, ESTAB_CH_FAILED);
        }
        (void)stop_waiting(p, &p->waiting);
    }
}

/* ---- what channels tell ---- */

static bool may_retry(const estab_pool *p, const struct pooled *q, const struct job *j,
                      const struct estab_channel_event *e)
{
    return q->c->state == ESTAB_CHANNEL_OVER && q->was_up && e->error != ESTAB_E_CANCELLED &&
           (!e->sent || (j->flags & ESTAB_CH_SAFE)) && j->tries < TRIES && j->due > p->now;
}

static void request_ended(estab_pool *p, struct pooled *q, const struct estab_channel_event *e)
{
    struct entry *entry = table_find(&p->jobs, e->number);
    struct job *j = (struct job *)(void *)((char *)entry - offsetof(struct job, e));

    q->busy--;
    q->idle_at = p->now;
    if (e->kind == ESTAB_CH_REPLY) {
        j->reply = q->c->lent;
        q->c->lent = NULL;
        end_job(p, j, ESTAB_CH_REPLY);
        return;
    }
    j->sent |= e->sent;
    if (may_retry(p, q, j, e)) {
        let_wait(p, j);
        return;
    }
    j->error = e->error;
    end_job(p, j, ESTAB_CH_FAILED);
}

static void listen_to(estab_pool *p, struct pooled *q)
{
    struct estab_channel_event e;

    while (estab_channel_next(q->c, &e)) {
        if (e.kind == ESTAB_CH_UP)
            q->was_up = true;
        else if (e.kind == ESTAB_CH_REPLY || e.kind == ESTAB_CH_FAILED)
            request_ended(p, q, &e);
        else if (e.kind == ESTAB_CH_REQUEST)
            (void)estab_channel_refuse(q->c, e.number); /* nobody here serves */
    }
}

static void judge_check(estab_pool *p, struct pooled *q)
{
    if (!q->checking || q->c->state == ESTAB_CHANNEL_OVER)
        return;
    if (q->c->info.heard_at > q->idle_at && q->c->info.heard_at + p->conf.check_after > p->now) {
        q->checking = false;
        q->idle_at = p->now;
    } else if (p->now >= q->check_at) {
        channel_lose(q->c, ESTAB_E_TIMEOUT, true);
    }
}

static bool is_outdated(const estab_pool *p, const struct pooled *q)
{
    return (p->conf.age_max && p->now - q->born_at >= p->conf.age_max) ||
           (is_idle(q) && p->conf.idle_for && p->now - q->idle_at >= p->conf.idle_for) ||
           q->c->peer_leaving;
}

static void run_place(estab_pool *p, struct pooled *q)
{
    estab_channel_run(q->c);
    listen_to(p, q);
    judge_check(p, q);
    if (q->c->state != ESTAB_CHANNEL_OVER && (q->retired || is_outdated(p, q))) {
        retire(p, q);
        if (q->busy == 0)
            estab_channel_close(q->c);
        estab_channel_run(q->c);
        listen_to(p, q);
    }
    if (q->c->state == ESTAB_CHANNEL_OVER && !q->c->happened) {
        p->info.checks_failed += q->checking;
        estab_channel_free(q->c);
        q->c = NULL;
    }
}

static void limit_idle(estab_pool *p)
{
    struct pooled *q, *oldest;
    uint32_t idle;

    do {
        idle = 0;
        oldest = NULL;
        for (q = p->places; q < p->places + p->conf.max; q++) {
            if (!is_idle(q))
                continue;
            idle++;
            if (!oldest || q->idle_at < oldest->idle_at)
                oldest = q;
        }
        if (idle > p->conf.idle_max)
            retire(p, oldest);
    } while (idle > p->conf.idle_max);
}

/* ---- the user's calls ---- */

void estab_pool_run(estab_pool *p)
{
    struct pooled *q;

    p->now = p->env.now(p->env.ctx);
    for (q = p->places; q < p->places + p->conf.max; q++)
        if (q->c)
            run_place(p, q);
    expire_waiting(p);
    place_waiting(p);
    limit_idle(p);
    for (q = p->places; q < p->places + p->conf.max; q++)
        if (q->c)
            estab_channel_run(q->c);
}

static estab_time place_deadline(const estab_pool *p, const struct pooled *q)
{
    estab_time at = estab_channel_deadline(q->c), next = ESTAB_NEVER;

    if (q->c->happened || q->c->state == ESTAB_CHANNEL_OVER)
        return 0;
    if (q->checking)
        next = q->check_at;
    else if (is_idle(q) && p->conf.idle_for)
        next = channel_after(q->idle_at, p->conf.idle_for);
    if (p->conf.age_max && !q->retired && channel_after(q->born_at, p->conf.age_max) < next)
        next = channel_after(q->born_at, p->conf.age_max);
    return at < next ? at : next;
}

estab_time estab_pool_deadline(const estab_pool *p)
{
    estab_time next = p->waiting_due, at;

    for (const struct pooled *q = p->places; q < p->places + p->conf.max; q++) {
        at = q->c ? place_deadline(p, q) : ESTAB_NEVER;
        next = at < next ? at : next;
    }
    return next;
}

size_t estab_pool_wants(const estab_pool *p, struct estab_wire_wait *w, size_t cap)
{
    struct estab_wire_wait one;
    size_t n = 0;

    for (const struct pooled *q = p->places; q < p->places + p->conf.max; q++) {
        if (!q->c || !estab_channel_wants(q->c, &one))
            continue;
        if (n < cap)
            w[n] = one;
        n++;
    }
    return n;
}

int estab_pool_ask(estab_pool *p, const struct estab_iov *iov, size_t niov, estab_dur within,
                   unsigned flags, uint64_t *number)
{
    struct job *j;
    int err;

    p->now = p->env.now(p->env.ctx);
    if (flags & ~(unsigned)ESTAB_CH_SAFE)
        return ESTAB_E_NOTSUP;
    if (channel_iov_len(iov, niov) > p->channel.max_message)
        return ESTAB_E_TOOBIG;
    if (p->jobs.n >= p->njobs_max)
        return ESTAB_E_AGAIN;
    j = make_job(p, iov, niov, within, flags);
    if (!j)
        return ESTAB_E_NOMEM;
    err = table_add(&p->jobs, &p->env, p->njobs_max, &j->e);
    if (err) {
        free_job(p, j);
        return err;
    }
    err = p->waiting ? ESTAB_E_AGAIN : place_job(p, j);
    if (err == ESTAB_E_AGAIN && p->nwaiting < p->conf.waiting) {
        let_wait(p, j);
        err = 0;
    }
    if (err) {
        table_del(&p->jobs, &j->e);
        free_job(p, j);
        return err;
    }
    *number = p->next_number++;
    return 0;
}

static void tell_job(estab_pool *p, struct job *j, struct estab_channel_event *e)
{
    if (p->lent)
        free_job(p, p->lent);
    unlist_job(p, j);
    table_del(&p->jobs, &j->e);
    p->lent = j;
    *e = (struct estab_channel_event){.kind = j->h.kind,
                                      .error = j->error,
                                      .sent = j->sent,
                                      .retry_at = ESTAB_NEVER,
                                      .number = j->e.number};
    if (j->reply) {
        e->text = j->reply->text;
        e->len = j->reply->len;
    }
}

bool estab_pool_next(estab_pool *p, struct estab_channel_event *e)
{
    if (p->happened) {
        tell_job(p, job_of(p->happened), e);
        return true;
    }
    if (p->lent)
        free_job(p, p->lent);
    p->lent = NULL;
    return false;
}

void estab_pool_close(estab_pool *p)
{
    for (struct pooled *q = p->places; q < p->places + p->conf.max; q++)
        if (q->c)
            retire(p, q);
}

void estab_pool_free(estab_pool *p)
{
    struct estab_channel_event e;

    if (!p)
        return;
    for (struct pooled *q = p->places; q < p->places + p->conf.max; q++) {
        if (!q->c)
            continue;
        q->was_up = false; /* nothing is tried again */
        channel_lose(q->c, ESTAB_E_CANCELLED, true);
        listen_to(p, q);
        estab_channel_free(q->c);
    }
    while (p->waiting)
        end_job(p, stop_waiting(p, &p->waiting), ESTAB_CH_FAILED);
    while (estab_pool_next(p, &e))
        ;
    table_fini(&p->jobs, &p->env);
    p->env.free(p->env.ctx, p->places, p->conf.max * sizeof *p->places, alignof(struct pooled));
    p->env.free(p->env.ctx, p, sizeof *p, alignof(estab_pool));
}

void estab_pool_info(const estab_pool *p, struct estab_pool_info *i)
{
    struct estab_pool_info full = p->info;

    full.size = i->size;
    for (const struct pooled *q = p->places; q < p->places + p->conf.max; q++) {
        full.connections += q->c != NULL;
        full.idle += is_idle(q);
        full.busy += q->c && q->busy > 0;
    }
    full.waiting = p->nwaiting;
    memcpy(i, &full, i->size < sizeof full ? i->size : sizeof full);
}

/* ---- blocking ---- */

static int wait_for_pool(estab_pool *p)
{
    estab_time at = estab_pool_deadline(p), now = p->env.now(p->env.ctx);
    struct estab_wire_wait w[WANTS];
    size_t n = estab_pool_wants(p, w, WANTS);

    if (at <= now)
        return 0;
    if (n > WANTS && at - now > ESTAB_MS(1)) /* the rest is looked at that often */
        at = now + ESTAB_MS(1);
    return p->t.wait(p->t.ctx, w, n < WANTS ? n : WANTS, at == ESTAB_NEVER ? at : at - now);
}

ptrdiff_t estab_pool_call(estab_pool *p, const struct estab_iov *req, size_t nreq,
                          const struct estab_iov *rep, size_t nrep, estab_dur within,
                          unsigned flags)
{
    struct estab_channel_event e;
    struct entry *entry;
    struct job *j;
    uint64_t number;
    int err;

    if (!p->t.wait)
        return ESTAB_E_NOTSUP;
    err = estab_pool_ask(p, req, nreq, within, flags, &number);
    if (err)
        return err;
    for (;;) {
        estab_pool_run(p);
        entry = table_find(&p->jobs, number);
        j = (struct job *)(void *)((char *)entry - offsetof(struct job, e));
        if (j->h.listed)
            break;
        err = wait_for_pool(p);
        if (err)
            return err;
    }
    tell_job(p, j, &e);
    if (e.kind == ESTAB_CH_FAILED)
        return e.error;
    channel_scatter(rep, nrep, e.text, e.len);
    return (ptrdiff_t)e.len;
}

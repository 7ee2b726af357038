/* SPDX-License-Identifier: BSD-2-Clause */
/* talk.h - users of a lab's two hosts: conversations that know what they should hear.
 *
 * A talk is a connection, or several one after the other on the same ports.  Each side sends a
 * number of octets cut from a table at a place of its own, which changes with each incarnation, so
 * that an octet that is missing, repeated, moved or of an earlier connection is noticed.  A side
 * acts on events only, as a program that waits for readiness does: a lost event shows as a run that
 * waits for ever. */
#ifndef TEST_LAB_TALK_H
#define TEST_LAB_TALK_H

#include "lab/lab.h"

#define TALKS_MAX    64
#define TALK_PATTERN 65536u
#define TALK_CHUNK   65536u

enum talk_end {
    TALK_SHUTS,   /* shuts down when it has said all, reads on to the end, closes */
    TALK_WAITS,   /* closes when it has said all and has read the end */
    TALK_CLOSES,  /* closes when it has said and heard all, whether the end came or not */
    TALK_ABORTS,  /* aborts after `abort_after` octets, both ways together */
    TALK_ENDS_NUM /* how many there are */
};
struct talk_plan { /* of one side */
    uint32_t say;
    uint32_t chunk_max, read_max; /* octets a call */
    uint32_t think_in;            /* pauses after one in so many calls; 0: never */
    estab_dur think_max;
    enum talk_end end;
    uint32_t abort_after;
    uint32_t sndbuf, rcvbuf, maxseg; /* 0: the stack's */
    estab_dur keepidle;
    bool nodelay, quickack;
    bool fastopen;           /* side 0 */
    estab_dur uto;           /* a user timeout that the peer is told; 0: none */
    bool urgent, more, peek; /* now and then */
    uint32_t lend_in;        /* one in so many pieces of text is lent; 0: none */
};
struct talk_lent { /* a side's text, in memory of its own: freed as soon as it is the side's again
                    */
    uint8_t *text;
    uint32_t len;
    struct talk_lent *next;
};
struct talker {
    struct talk *talk;
    struct lab_host *host;
    int side; /* 0 connects; 1 is accepted, or connects at the same time */
    estab_sock k;
    bool open, over, connected, shut, eof;
    bool may_in, may_out; /* edge-triggered: until E_AGAIN */
    uint32_t said, heard, tag;
    struct talk_lent *lent, **lent_end;
    uint32_t lent_len;
    int err;
    estab_time in_at, out_at; /* thinks until then */
};
struct talk {
    struct talks *all;
    struct talk_plan plan[2];
    uint16_t port[2]; /* of each side; [0] 0: an ephemeral one */
    bool simultaneous;
    uint32_t again; /* further incarnations */
    estab_time start_at;
    estab_dur pause_min, pause_max; /* before a further incarnation */
    struct talker t[2];
    bool begun, over;
};
struct talks {
    struct lab *l;
    struct talk talk[TALKS_MAX];
    uint32_t n;
    uint32_t backlog;
    uint16_t port; /* where host B listens */
    estab_sock listener;
    bool listening, closing;
    bool may_fail; /* a connection may end in an error: somebody aborts, or there is no memory */
    uint64_t calls_refused;        /* for want of memory */
    uint64_t lends, lends_refused; /* calls that lent, and that could not for want of memory */
    uint16_t fastopen; /* connections that B takes with the text of their SYN; 0: none */
    estab_dur uto;     /* what connections get from the listener; 0: nothing */
    uint64_t
        copies; /* connections made by an old copy of a SYN, RFC 7413 section 2.1: turned away */
    uint64_t early; /* connections accepted before their handshake was complete */
    uint8_t pattern[TALK_PATTERN + TALK_CHUNK];
    uint8_t buf[TALK_CHUNK];
};

/* ---- what is said ---- */

static inline const uint8_t *talk_octets(const struct talks *a, uint32_t tag, uint32_t off)
{
    return &a->pattern[(tag + off) % TALK_PATTERN];
}

static inline struct talker *talk_other(struct talker *t)
{
    return &t->talk->t[!t->side];
}

static inline const struct talk_plan *talk_plan_of(const struct talker *t)
{
    return &t->talk->plan[t->side];
}

static inline uint32_t talk_expects(const struct talker *t)
{
    return t->talk->plan[!t->side].say;
}

static inline void talk_hear(struct talks *a, struct talker *t, uint32_t n)
{
    uint32_t tag = talk_other(t)->tag;

    if (n > talk_expects(t) - t->heard)
        lab_fail(a->l, "side %d hears %u octets of %u", t->side, t->heard + n, talk_expects(t));
    if (memcmp(a->buf, talk_octets(a, tag, t->heard), n) != 0)
        lab_fail(a->l, "side %d hears something else within [%u, %u)", t->side, t->heard,
                 t->heard + n);
}

static inline void talk_think(struct talks *a, struct talker *t, estab_time *until)
{
    const struct talk_plan *p = talk_plan_of(t);

    if (p->think_in && p->think_max && lab_once_in(a->l, p->think_in))
        *until = a->l->now + lab_rand(a->l) % p->think_max;
}

/* Frees all but the last n octets of what was lent. */
static inline void talk_take_back(struct talker *t, uint32_t n)
{
    while (t->lent && t->lent_len - t->lent->len >= n) {
        struct talk_lent *first = t->lent;

        t->lent = first->next;
        t->lent_len -= first->len;
        free(first->text);
        free(first);
    }
    if (!t->lent)
        t->lent_end = &t->lent;
}

/* How much is lent still. */
static inline uint32_t talk_lent(struct talker *t)
{
    ptrdiff_t n = t->lent ? estab_send_lent(t->host->s, t->k) : 0;

    assert_in_range(n, 0, t->lent_len);
    talk_take_back(t, (uint32_t)n);
    return (uint32_t)n;
}

static inline void talk_over(struct talker *t)
{
    talk_take_back(t, 0);
    t->open = false;
    t->over = true;
}

/* An error that this talk cannot have is a failure; no memory is a reason to try again. */
static inline bool talk_error(struct talks *a, struct talker *t, const char *call, int err)
{
    if (err == ESTAB_E_NOMEM) {
        a->calls_refused++;
        t->in_at = t->out_at = a->l->now + ESTAB_MS(10);
        return false;
    }
    if (!a->may_fail)
        lab_fail(a->l, "side %d: %s: %s", t->side, call, estab_strerror(err));
    t->err = err;
    (void)estab_close(t->host->s, t->k);
    talk_over(t);
    return true;
}

/* ---- opening ---- */

static inline void talk_set(struct talker *t, estab_sock k, const struct talk_plan *p)
{
    static const uintmax_t may[] = {0, (uintmax_t)(intmax_t)ESTAB_E_NOMEM};
    estab_stack *s = t->host->s;

    (void)estab_setopt(s, k, ESTAB_O_NODELAY, p->nodelay);
    (void)estab_setopt(s, k, ESTAB_O_QUICKACK, p->quickack);
    (void)estab_setopt(s, k, ESTAB_O_KEEPIDLE, p->keepidle);
    (void)estab_setopt(s, k, ESTAB_O_FASTOPEN, p->fastopen);
    if (p->sndbuf)
        assert_int_equal(estab_setopt(s, k, ESTAB_O_SNDBUF, p->sndbuf), 0);
    if (p->rcvbuf)
        assert_int_equal(estab_setopt(s, k, ESTAB_O_RCVBUF, p->rcvbuf), 0);
    if (p->maxseg)
        assert_in_set((uintmax_t)(intmax_t)estab_setopt(s, k, ESTAB_O_MAXSEG, p->maxseg), may, 2);
    if (p->uto)
        assert_in_set((uintmax_t)(intmax_t)estab_setopt(s, k, ESTAB_O_ADV_USER_TIMEOUT, p->uto),
                      may, 2);
}

static inline void talk_begins(struct talker *t, estab_sock k)
{
    t->k = k;
    t->open = true;
    assert_int_equal(estab_watch(t->host->s, k, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP, t), 0);
}

/* Active OPEN, or a reason to try again later. */
static inline bool talk_connect(struct talks *a, struct talker *t)
{
    struct talk *w = t->talk;
    struct estab_addr from = t->host->addr, to = a->l->host[!t->side].addr;
    estab_stack *s = t->host->s;
    estab_sock k;
    int err;

    to.port = w->simultaneous ? w->port[!t->side] : a->port;
    from.port = w->port[t->side];
    err = estab_socket(s, ESTAB_TCP, &k);
    if (!err) {
        talk_set(t, k, talk_plan_of(t));
        if (from.port)
            err = estab_bind(s, k, &from);
        if (!err)
            err = estab_connect(s, k, &to);
        if (err != ESTAB_E_INPROGRESS)
            assert_int_equal(estab_close(s, k), 0);
    }
    if (err != ESTAB_E_INPROGRESS) {
        if (err == ESTAB_E_NOMEM)
            a->calls_refused++;
        else if (err != ESTAB_E_INUSE)
            lab_fail(a->l, "connect: %s", estab_strerror(err));
        return false;
    }
    talk_begins(t, k);
    assert_int_equal(estab_getaddrs(s, k, &from, NULL), 0);
    w->port[t->side] = from.port;
    return true;
}

static inline void talk_start(struct talks *a, struct talk *w)
{
    for (int i = 0; i < 2; i++) {
        w->t[i] = (struct talker){.talk = w, .side = i, .host = &a->l->host[i]};
        w->t[i].tag = lab_below(a->l, TALK_PATTERN);
        w->t[i].lent_end = &w->t[i].lent;
    }
    w->begun = talk_connect(a, &w->t[0]);
    if (w->begun && w->simultaneous && !talk_connect(a, &w->t[1])) {
        assert_int_equal(estab_abort(w->t[0].host->s, w->t[0].k), 0);
        w->begun = false;
    }
    if (!w->begun) /* the ports are in TIME-WAIT, or there is no memory */
        w->start_at = a->l->now + ESTAB_MS(500);
}

static inline bool talk_accept(struct talks *a, struct lab_host *h)
{
    struct estab_tcp_info n = {.size = sizeof n};
    struct estab_addr from;
    bool any = false;
    estab_sock k;
    int err;

    while ((err = estab_accept(h->s, a->listener, &k, &from)) == 0) {
        struct talk *w = NULL;

        for (uint32_t i = 0; i < a->n; i++)
            if (a->talk[i].begun && !a->talk[i].over && a->talk[i].port[0] == from.port)
                w = &a->talk[i];
        any = true;
        if ((!w || w->t[1].over) && a->fastopen) {
            assert_int_equal(estab_abort(h->s, k), 0);
            a->copies++;
            continue;
        }
        if (!w || w->t[1].open || w->t[1].over) {
            lab_fail(a->l, "nobody connects from port %u", from.port);
            return any; /* it does not come back: for those who cannot see that */
        }
        assert_int_equal(estab_tcp_info(h->s, k, &n), 0);
        a->early += n.state == ESTAB_SYN_RECEIVED;
        talk_begins(&w->t[1], k);
        talk_set(&w->t[1], k, &w->plan[1]);
    }
    if (err != ESTAB_E_AGAIN)
        lab_fail(a->l, "accept: %s", estab_strerror(err));
    return any;
}

/* ---- reading and writing ---- */

static inline bool talk_read(struct talks *a, struct talker *t)
{
    const struct talk_plan *p = talk_plan_of(t);
    uint32_t n = lab_between(a->l, 1, p->read_max);
    uint32_t first = lab_between(a->l, 0, n);
    struct estab_iov v[2] = {{a->buf, first}, {a->buf + first, n - first}};
    bool peeks = p->peek && lab_once_in(a->l, 4);
    ptrdiff_t got;

    got = estab_recv(t->host->s, t->k, v, 2, peeks ? ESTAB_MSG_PEEK : 0);
    if (got > 0 && peeks) {
        talk_hear(a, t, (uint32_t)got);
        got = estab_recv(t->host->s, t->k, v, 2, 0);
    }
    if (got > 0) {
        talk_hear(a, t, (uint32_t)got);
        t->heard += (uint32_t)got;
        talk_think(a, t, &t->in_at);
        return true;
    }
    t->may_in = false;
    if (got == ESTAB_E_AGAIN)
        return false;
    if (got < 0) {
        (void)talk_error(a, t, "recv", (int)got);
        return true;
    }
    t->eof = true;
    if (t->heard < talk_expects(t) && !a->may_fail)
        lab_fail(a->l, "side %d hears the end after %u octets of %u", t->side, t->heard,
                 talk_expects(t));
    return true;
}

/* Copies of what it took of v go on the list of what is lent. */
static inline ptrdiff_t talk_lend(struct talks *a, struct talker *t, const struct estab_iov *v,
                                  size_t n, uint32_t flags)
{
    struct talk_lent *new[3];
    struct estab_iov lent[3];
    ptrdiff_t took, left;

    for (size_t i = 0; i < n; i++) {
        new[i] = malloc(sizeof *new[i]);
        *new[i] = (struct talk_lent){.text = malloc(v[i].len), .len = (uint32_t)v[i].len};
        memcpy(new[i]->text, v[i].base, v[i].len);
        lent[i] = (struct estab_iov){new[i]->text, v[i].len};
    }
    took = estab_send_lend(t->host->s, t->k, lent, n, flags);
    left = took;
    for (size_t i = 0; i < n; i++) {
        if (new[i]->len > 0 && left > 0) {
            left -= (ptrdiff_t) new[i]->len;
            t->lent_len += new[i]->len;
            *t->lent_end = new[i];
            t->lent_end = &new[i]->next;
            continue;
        }
        free(new[i]->text);
        free(new[i]);
    }
    assert_true(took < 0 || left == 0);
    a->lends += took > 0;
    a->lends_refused += took == ESTAB_E_NOMEM;
    return took;
}

static inline bool talk_write(struct talks *a, struct talker *t)
{
    const struct talk_plan *p = talk_plan_of(t);
    uint32_t left = p->say - t->said, flags = 0;
    uint32_t n = lab_between(a->l, 1, p->chunk_max);
    const uint8_t *from = talk_octets(a, t->tag, t->said);
    struct estab_iov v[3];
    uint32_t cut[2];
    ptrdiff_t took;

    if (n > left)
        n = left;
    cut[0] = lab_between(a->l, 0, n);
    cut[1] = lab_between(a->l, cut[0], n);
    v[0] = (struct estab_iov){(void *)(uintptr_t)from, cut[0]};
    v[1] = (struct estab_iov){(void *)(uintptr_t)(from + cut[0]), cut[1] - cut[0]};
    v[2] = (struct estab_iov){(void *)(uintptr_t)(from + cut[1]), n - cut[1]};
    if (p->urgent && lab_once_in(a->l, 3))
        flags |= ESTAB_MSG_OOB;
    if (p->more && lab_once_in(a->l, 2))
        flags |= ESTAB_MSG_MORE;
    if (talk_lent(t) > 0 || (p->lend_in && lab_once_in(a->l, p->lend_in)))
        took = talk_lend(a, t, v, 3, flags & ESTAB_MSG_MORE);
    else
        took = estab_send(t->host->s, t->k, v, 3, flags);
    if (took > 0) {
        t->said += (uint32_t)took;
        if ((uint32_t)took < n && lab_once_in(a->l, 2))
            t->may_out = false; /* what a short count says as well as E_AGAIN does */
        talk_think(a, t, &t->out_at);
        return true;
    }
    if (took == ESTAB_E_AGAIN) {
        t->may_out = false;
        return false;
    }
    (void)talk_error(a, t, "send", (int)took);
    return true;
}

/* ---- ending ---- */

static inline bool talk_close(struct talks *a, struct talker *t)
{
    int err = estab_close(t->host->s, t->k);

    if (err) {
        (void)talk_error(a, t, "close", err);
        return true;
    }
    talk_over(t);
    return true;
}

static inline bool talk_end(struct talks *a, struct talker *t)
{
    const struct talk_plan *p = talk_plan_of(t);
    bool said = t->connected && t->said == p->say;
    int err;

    if (p->end == TALK_ABORTS && t->connected && t->said + t->heard >= p->abort_after) {
        assert_int_equal(estab_abort(t->host->s, t->k), 0);
        talk_over(t);
        return true;
    }
    if (!said || t->out_at > a->l->now)
        return false;
    if (t->eof || (p->end == TALK_CLOSES && t->heard == talk_expects(t)))
        return talk_lent(t) == 0 && talk_close(a, t);
    if (p->end != TALK_SHUTS || t->shut)
        return false;
    err = estab_shutdown(t->host->s, t->k, ESTAB_SHUT_WR);
    if (err) {
        (void)talk_error(a, t, "shutdown", err);
        return true;
    }
    t->shut = true;
    return true;
}

static inline bool talk_turn(struct talks *a, struct talker *t)
{
    bool busy = false;

    if (t->open && t->may_in && t->in_at <= a->l->now)
        busy |= talk_read(a, t);
    if (t->open && t->may_out && t->out_at <= a->l->now && t->said < talk_plan_of(t)->say &&
        !t->shut)
        busy |= talk_write(a, t);
    if (t->open)
        busy |= talk_end(a, t);
    return busy;
}

static inline void talk_event(struct talks *a, struct talker *t, uint32_t mask)
{
    if (mask & ESTAB_EV_OUT && !t->connected) {
        t->connected = !(mask & ESTAB_EV_ERR);
        talk_think(a, t, &t->in_at);
        talk_think(a, t, &t->out_at);
    }
    if (mask & (ESTAB_EV_IN | ESTAB_EV_RDHUP | ESTAB_EV_ERR | ESTAB_EV_HUP))
        t->may_in = true;
    if (mask & (ESTAB_EV_OUT | ESTAB_EV_ERR))
        t->may_out = true;
}

/* ---- all of them ---- */

/* Both sides have ended; or one gave up before the other heard of it. */
static inline bool talk_is_over(struct talks *a, struct talk *w)
{
    if (!w->t[0].over || w->t[1].open)
        return false;
    return w->t[1].over || (a->may_fail && lab_is_quiet(a->l));
}

static inline bool talks_act(struct lab *l, struct lab_host *h)
{
    struct talks *a = l->ctx;
    struct estab_event ev[4];
    bool busy = false;
    size_t n;

    for (uint32_t i = 0; i < a->n && h == &l->host[0]; i++) {
        struct talk *w = &a->talk[i];

        if (!w->begun && !w->over && w->start_at <= l->now) {
            talk_start(a, w);
            busy = true;
        }
    }
    while ((n = estab_events(h->s, ev, lab_between(l, 1, 4))) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (ev[i].user == a)
                (void)talk_accept(a, h);
            else
                talk_event(a, ev[i].user, ev[i].mask);
        }
        busy = true;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        struct talk *w = &a->talk[i];
        struct talker *t = &w->t[h - l->host];

        if (w->begun && t->open)
            busy |= talk_turn(a, t);
        if (!w->begun || !talk_is_over(a, w))
            continue;
        w->begun = false;
        if (w->again == 0)
            w->over = true;
        else
            w->again--;
        w->start_at = l->now + w->pause_min + (w->pause_max ? lab_rand(l) % w->pause_max : 0);
        busy = true;
    }
    return busy;
}

static inline estab_time talks_wake(struct lab *l)
{
    struct talks *a = l->ctx;
    estab_time at = ESTAB_NEVER;

    for (uint32_t i = 0; i < a->n; i++) {
        struct talk *w = &a->talk[i];

        if (!w->begun && !w->over)
            at = time_min(at, w->start_at);
        if (w->begun && talk_is_over(a, w))
            return l->now;
        for (int side = 0; side < 2 && w->begun; side++) {
            struct talker *t = &w->t[side];

            if (t->open && t->in_at > l->now)
                at = time_min(at, t->in_at);
            if (t->open && t->out_at > l->now)
                at = time_min(at, t->out_at);
        }
    }
    return at;
}

static inline bool talks_done(struct lab *l)
{
    struct talks *a = l->ctx;

    for (uint32_t i = 0; i < a->n; i++)
        if (!a->talk[i].over)
            return false;
    return lab_is_quiet(l);
}

static inline void talks_init(struct talks *a, struct lab *l)
{
    memset(a, 0, offsetof(struct talks, pattern));
    a->l = l;
    a->port = 80;
    a->backlog = TALKS_MAX;
    for (uint32_t i = 0; i < TALK_PATTERN; i += 8) {
        uint64_t x = lab_rand(l);

        memcpy(a->pattern + i, &x, 8);
    }
    memcpy(a->pattern + TALK_PATTERN, a->pattern, TALK_CHUNK);
    l->ctx = a;
    l->act = talks_act;
    l->wake = talks_wake;
    l->done = talks_done;
}

static inline struct talk *talk_add(struct talks *a)
{
    struct talk *w = &a->talk[a->n++];

    assert_true(a->n <= TALKS_MAX);
    w->all = a;
    w->start_at = a->l->now;
    for (int i = 0; i < 2; i++)
        w->plan[i] = (struct talk_plan){.chunk_max = TALK_CHUNK, .read_max = TALK_CHUNK};
    return w;
}

static inline int talks_listen(struct talks *a)
{
    struct lab_host *h = &a->l->host[1];
    struct estab_addr at = h->addr;
    int err = estab_socket(h->s, ESTAB_TCP, &a->listener);

    if (err)
        return err;
    at.port = a->port;
    err = estab_bind(h->s, a->listener, &at);
    if (!err)
        err = estab_setopt(h->s, a->listener, ESTAB_O_FASTOPEN, a->fastopen);
    if (!err && a->uto)
        err = estab_setopt(h->s, a->listener, ESTAB_O_ADV_USER_TIMEOUT, a->uto);
    if (!err)
        err = estab_listen(h->s, a->listener, a->backlog);
    if (!err)
        err = estab_watch(h->s, a->listener, ESTAB_EV_IN, a);
    if (err)
        assert_int_equal(estab_close(h->s, a->listener), 0);
    return err;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* http_server.c - HTTP/1.1 for the files of a folder, over the sockets of a stack.
 *
 * A connection is a small machine: HEAD (a request is being read), ANSWER (its answer is being
 * sent), DRAIN (we have sent our FIN and wait for the peer's).  It runs until the socket has
 * nothing more to give or room to take, and sleeps until the next event; the machine decides what
 * to try, not the event.
 *
 * Back-pressure.  While an answer is being sent nothing is read, so a client that pipelines
 * without reading fills its own window.  A file is read in chunks into one buffer that all
 * connections share; what the socket does not take is read again later.  An idle connection holds
 * no buffers at all.
 *
 * Deadlines.  Connections stand in one list in the order in which they last got on (a request
 * complete, octets of an answer taken); only its head can be late, so looking costs nothing.  A
 * head that trickles in does not count as getting on.
 *
 * After an answer with "Connection: close" the FIN goes out and the peer's octets are read and
 * forgotten until its FIN: closing at once would answer them with RST, and the RST could overtake
 * the answer (RFC 9112 section 9.6). */
#include "http_server.h"
#include "http_files.h"
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNS_MAX = 4096, /* beyond it, connections wait in the accept queue */
    BACKLOG = 512,
    CHUNK = 64 * 1024,
};
static const estab_dur idle_limit = ESTAB_S(30); /* without getting on */
static const estab_dur drain_limit = ESTAB_S(5); /* for the peer's FIN, after ours */

enum phase { PHASE_HEAD, PHASE_ANSWER, PHASE_DRAIN };

/* What a connection holds only while a request or an answer is under way. */
struct exchange {
    struct http_answer answer;
    size_t head_sent;
    size_t in_len;
    char in[HTTP_HEAD_MAX];
    char path[HTTP_PATH_MAX]; /* for the log */
    uint64_t sent;
};

/* In the order in which they got on. */
struct conn_list {
    struct http_conn *oldest, *newest;
};

struct http_conn {
    struct watch watch;
    struct http_server *server;
    struct conn_list *in;
    struct http_conn *prev, *next;
    struct exchange *x; /* NULL: idle */
    estab_sock sock;
    struct estab_addr peer;
    estab_time since; /* when it last got on */
    enum phase phase;
};

struct listener {
    struct watch watch;
    struct http_server *server;
    struct listener *next;
    estab_sock sock;
};

struct http_server {
    struct http_server_config config;
    struct http_server_totals totals;
    int folder;
    struct listener *listeners;
    struct conn_list busy;     /* in HEAD or ANSWER */
    struct conn_list finished; /* in DRAIN */
    size_t live;
    bool draining;
    char chunk[CHUNK];
};

/* ---- the two lists ---- */

static void list_add(struct conn_list *l, struct http_conn *c)
{
    c->since = c->server->config.now(c->server->config.ctx);
    c->in = l;
    c->next = NULL;
    c->prev = l->newest;
    if (l->newest)
        l->newest->next = c;
    else
        l->oldest = c;
    l->newest = c;
}

static void list_del(struct http_conn *c)
{
    struct conn_list *l = c->in;

    if (!l)
        return;
    c->in = NULL;
    if (l->oldest == c)
        l->oldest = c->next;
    else
        c->prev->next = c->next;
    if (l->newest == c)
        l->newest = c->prev;
    else
        c->next->prev = c->prev;
}

/* Takes the oldest out if it has not got on for `limit`. */
static struct http_conn *list_pop_late(struct conn_list *l, estab_dur limit, estab_time now)
{
    struct http_conn *c = l->oldest;

    if (!c || now - c->since < limit)
        return NULL;
    l->oldest = c->next;
    if (!c->next)
        l->newest = NULL;
    c->in = NULL;
    return c;
}

static void got_on(struct http_conn *c)
{
    list_del(c);
    list_add(&c->server->busy, c);
}

/* ---- one connection ---- */

static void exchange_free(struct http_conn *c)
{
    if (!c->x)
        return;
    http_answer_fini(&c->x->answer);
    free(c->x);
    c->x = NULL;
}

static bool exchange_new(struct http_conn *c)
{
    c->x = malloc(sizeof *c->x);
    if (!c->x)
        return false;
    c->x->in_len = 0;
    c->x->answer.fd = -1;
    c->x->answer.text = NULL;
    return true;
}

static void conn_forget(struct http_conn *c)
{
    list_del(c);
    exchange_free(c);
    c->server->live--;
    free(c);
}

static void conn_close(struct http_conn *c)
{
    if (estab_close(c->server->config.stack, c->sock) == ESTAB_E_NOMEM)
        estab_abort(c->server->config.stack, c->sock);
    conn_forget(c);
}

static void conn_abort(struct http_conn *c)
{
    estab_abort(c->server->config.stack, c->sock);
    conn_forget(c);
}

static void conn_drain(struct http_conn *c)
{
    estab_shutdown(c->server->config.stack, c->sock, ESTAB_SHUT_WR);
    exchange_free(c);
    list_del(c);
    c->phase = PHASE_DRAIN;
    list_add(&c->server->finished, c);
}

static void answer_begin(struct http_conn *c)
{
    c->x->head_sent = 0;
    c->x->sent = 0;
    c->phase = PHASE_ANSWER;
    c->server->totals.requests++;
    got_on(c);
}

/* Takes the next request out of what was read.  False: there is none yet. */
static bool next_request(struct http_conn *c)
{
    struct http_request r;
    struct exchange *x = c->x;
    ptrdiff_t n = http_parse_request(&r, x->in, x->in_len);

    if (n == 0)
        return false;
    if (n < 0) {
        snprintf(x->path, sizeof x->path, "-");
        http_answer_error(&x->answer, (int)-n);
    } else {
        x->in_len -= (size_t)n;
        memmove(x->in, x->in + n, x->in_len);
        if (c->server->draining)
            r.keep_alive = false;
        snprintf(x->path, sizeof x->path, "%s", r.path);
        http_answer_request(&x->answer, c->server->folder, &r);
    }
    answer_begin(c);
    return true;
}

enum step { AGAIN, BLOCKED, GONE };

static enum step step_head(struct http_conn *c)
{
    struct estab_iov iov;
    ptrdiff_t n;

    if (c->x && next_request(c))
        return AGAIN;
    if (!c->x && !exchange_new(c)) {
        conn_abort(c);
        return GONE;
    }
    iov = (struct estab_iov){c->x->in + c->x->in_len, sizeof c->x->in - c->x->in_len};
    n = estab_recv(c->server->config.stack, c->sock, &iov, 1, 0);
    if (n > 0) {
        c->x->in_len += (size_t)n;
        return AGAIN;
    }
    if (n == ESTAB_E_AGAIN) {
        if (c->x->in_len == 0)
            exchange_free(c);
        return BLOCKED;
    }
    if (n == 0)
        conn_close(c);
    else
        conn_abort(c);
    return GONE;
}

/* The next octets of the body, without copying what lies in memory. */
static ptrdiff_t body_piece(struct http_conn *c, struct estab_iov *iov)
{
    struct http_answer *a = &c->x->answer;
    size_t want = a->left < CHUNK ? (size_t)a->left : CHUNK;
    ssize_t n;

    if (a->text) {
        *iov = (struct estab_iov){a->text + a->at, (size_t)a->left};
        return (ptrdiff_t)a->left;
    }
    n = pread(a->fd, c->server->chunk, want, (off_t)a->at);
    *iov = (struct estab_iov){c->server->chunk, n > 0 ? (size_t)n : 0};
    return n;
}

static void answer_done(struct http_conn *c)
{
    struct http_server *h = c->server;
    struct exchange *x = c->x;
    bool close_now = x->answer.close || h->draining;

    if (h->config.log)
        h->config.log(h->config.ctx, &c->peer, x->path, x->answer.status, x->sent);
    http_answer_fini(&x->answer);
    if (close_now) {
        conn_drain(c);
        return;
    }
    c->phase = PHASE_HEAD;
    got_on(c);
}

static enum step step_answer(struct http_conn *c)
{
    struct http_answer *a = &c->x->answer;
    struct estab_iov iov[2] = {{a->head + c->x->head_sent, a->head_len - c->x->head_sent}};
    size_t head_left = iov[0].len, taken;
    ptrdiff_t n;

    if (head_left == 0 && a->left == 0) {
        answer_done(c);
        return AGAIN;
    }
    if (a->left > 0 && body_piece(c, &iov[1]) <= 0) { /* the file has become shorter */
        conn_abort(c);
        return GONE;
    }
    n = estab_send(c->server->config.stack, c->sock, iov, a->left > 0 ? 2 : 1,
                   a->left > iov[1].len ? ESTAB_MSG_MORE : 0);
    if (n == ESTAB_E_AGAIN || n == 0)
        return BLOCKED;
    if (n < 0) {
        conn_abort(c);
        return GONE;
    }
    taken = (size_t)n < head_left ? (size_t)n : head_left;
    c->x->head_sent += taken;
    taken = (size_t)n - taken;
    a->at += taken;
    a->left -= taken;
    c->x->sent += taken;
    c->server->totals.octets += taken;
    got_on(c);
    return AGAIN;
}

static enum step step_drain(struct http_conn *c)
{
    struct estab_iov iov = {c->server->chunk, CHUNK};
    ptrdiff_t n = estab_recv(c->server->config.stack, c->sock, &iov, 1, 0);

    if (n > 0)
        return AGAIN;
    if (n == ESTAB_E_AGAIN)
        return BLOCKED;
    conn_close(c);
    return GONE;
}

static void conn_run(struct watch *w, uint32_t mask)
{
    struct http_conn *c = (struct http_conn *)w;
    enum step step = AGAIN;

    (void)mask;
    while (step == AGAIN)
        switch (c->phase) {
        case PHASE_HEAD:
            step = step_head(c);
            break;
        case PHASE_ANSWER:
            step = step_answer(c);
            break;
        case PHASE_DRAIN:
            step = step_drain(c);
            break;
        }
}

/* ---- listening ---- */

static void take(struct http_server *h, estab_sock sock, const struct estab_addr *peer)
{
    struct http_conn *c = calloc(1, sizeof *c);

    if (!c) {
        estab_abort(h->config.stack, sock);
        return;
    }
    c->watch.ready = conn_run;
    c->server = h;
    c->sock = sock;
    c->peer = *peer;
    c->phase = PHASE_HEAD;
    h->live++;
    h->totals.connections++;
    list_add(&h->busy, c);
    estab_setopt(h->config.stack, sock, ESTAB_O_NODELAY, 1);
    estab_watch(h->config.stack, sock, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP, &c->watch);
}

static void accept_some(struct http_server *h, estab_sock listener)
{
    struct estab_addr peer;
    estab_sock sock;

    while (h->live < CONNS_MAX && estab_accept(h->config.stack, listener, &sock, &peer) == 0)
        take(h, sock, &peer);
}

static void listener_ready(struct watch *w, uint32_t mask)
{
    struct listener *li = (struct listener *)w;

    (void)mask;
    accept_some(li->server, li->sock);
}

int http_server_listen(struct http_server *h, struct estab_addr *local, char *err)
{
    struct listener *li = calloc(1, sizeof *li);
    estab_stack *s = h->config.stack;
    char text[56];
    int rc = li ? estab_socket(s, ESTAB_TCP, &li->sock) : ESTAB_E_NOMEM;

    if (rc == 0) {
        rc = estab_bind(s, li->sock, local);
        if (rc == 0)
            rc = estab_listen(s, li->sock, BACKLOG);
        if (rc == 0)
            rc = estab_getaddrs(s, li->sock, local, NULL);
        if (rc < 0)
            estab_close(s, li->sock);
    }
    if (rc < 0) {
        free(li);
        snprintf(err, ESTAB_ERRLEN, "cannot listen on %s: %s", estab_addr_format(local, true, text),
                 estab_strerror(rc));
        return -1;
    }
    li->watch.ready = listener_ready;
    li->server = h;
    li->next = h->listeners;
    h->listeners = li;
    estab_watch(s, li->sock, ESTAB_EV_IN, &li->watch);
    return 0;
}

static void stop_listening(struct http_server *h)
{
    while (h->listeners) {
        struct listener *li = h->listeners;

        h->listeners = li->next;
        estab_close(h->config.stack, li->sock);
        free(li);
    }
}

/* ---- the server ---- */

int http_server_new(struct http_server **out, const struct http_server_config *config, char *err)
{
    struct http_server *h = calloc(1, sizeof *h);

    if (!h) {
        snprintf(err, ESTAB_ERRLEN, "no memory");
        return -1;
    }
    h->config = *config;
    h->folder = open(config->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (h->folder < 0) {
        snprintf(err, ESTAB_ERRLEN, "cannot open the folder %s: %s", config->folder,
                 strerror(errno));
        free(h);
        return -1;
    }
    *out = h;
    return 0;
}

void http_server_expire(struct http_server *h)
{
    estab_time now = h->config.now(h->config.ctx);
    struct listener *li;
    struct http_conn *c;

    while ((c = list_pop_late(&h->busy, idle_limit, now))) {
        if (c->phase == PHASE_HEAD)
            conn_drain(c);
        else
            conn_abort(c);
    }
    while ((c = list_pop_late(&h->finished, drain_limit, now)))
        conn_close(c);                         /* the stack goes on with what is queued */
    for (li = h->listeners; li; li = li->next) /* those that waited while CONNS_MAX were here */
        accept_some(h, li->sock);
}

estab_time http_server_deadline(const struct http_server *h)
{
    estab_time at = ESTAB_NEVER;

    if (h->busy.oldest)
        at = h->busy.oldest->since + idle_limit;
    if (h->finished.oldest && h->finished.oldest->since + drain_limit < at)
        at = h->finished.oldest->since + drain_limit;
    return at;
}

void http_server_drain(struct http_server *h)
{
    struct http_conn *c, *next;

    h->draining = true;
    stop_listening(h);
    for (c = h->busy.oldest; c; c = next) {
        next = c->next;
        if (c->phase == PHASE_HEAD && !c->x)
            conn_drain(c);
    }
}

size_t http_server_live(const struct http_server *h)
{
    return h->live;
}

void http_server_totals(const struct http_server *h, struct http_server_totals *t)
{
    *t = h->totals;
}

void http_server_free(struct http_server *h)
{
    struct http_conn *c;

    if (!h)
        return;
    stop_listening(h);
    while ((c = list_pop_late(&h->busy, 0, ESTAB_NEVER)))
        conn_abort(c);
    while ((c = list_pop_late(&h->finished, 0, ESTAB_NEVER)))
        conn_abort(c);
    close(h->folder);
    free(h);
}

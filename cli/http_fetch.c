/* SPDX-License-Identifier: BSD-2-Clause */
/* http_fetch.c - one GET over a socket of a stack.
 *
 * Nothing is received that the sink has not room for: octets it did not take stay in `in`, and
 * while any are there the socket is not read, so that the peer's window closes. */
#include "http_fetch.h"
#include "node.h"

#include <stdlib.h>
#include <string.h>

enum { IN_LEN = 64 * 1024 };

struct http_fetch {
    struct watch watch;
    struct http_fetch_config config;
    estab_sock sock;
    enum http_fetch_state state;
    int error;
    struct http_response response;
    struct http_body body;
    uint64_t octets;
    char *request;
    size_t request_len, request_sent;
    bool ended; /* the peer's FIN was read */
    size_t in_at, in_len;
    char in[IN_LEN];
};

static void end(struct http_fetch *f, enum http_fetch_state state, int error)
{
    f->state = state;
    f->error = error;
}

/* Whether the connection may be closed: all came, and the peer's FIN if we asked for it first. */
static void check_complete(struct http_fetch *f)
{
    if (f->ended ? http_body_may_end(&f->body) : f->body.done && !f->config.ask_close)
        end(f, FETCH_DONE, 0);
    else if (f->ended)
        end(f, FETCH_BROKEN, 0);
}

static void use_head(struct http_fetch *f)
{
    ptrdiff_t n = http_parse_response(&f->response, f->in + f->in_at, f->in_len - f->in_at);

    if (n < 0) {
        end(f, FETCH_NOT_HTTP, 0);
        return;
    }
    f->in_at += (size_t)n;
    if (n == 0 || f->response.status / 100 == 1) { /* RFC 9110 section 15.2: interim */
        if (n == 0 && f->ended)
            end(f, FETCH_BROKEN, 0);
        return;
    }
    http_body_init(&f->body, &f->response, HTTP_GET);
    f->state = FETCH_BODY;
}

/* False: the sink has had enough for now, or the fetch is over. */
static bool use_body(struct http_fetch *f)
{
    struct http_body before = f->body;
    const char *data;
    size_t len;
    ptrdiff_t taken,
        n = http_body_step(&f->body, f->in + f->in_at, f->in_len - f->in_at, &data, &len);

    if (n < 0) {
        end(f, FETCH_NOT_HTTP, 0);
        return false;
    }
    if (len == 0) {
        f->in_at += (size_t)n;
        return true;
    }
    taken = f->config.sink(f->config.ctx, data, len);
    if (taken < 0) {
        end(f, FETCH_SINK, 0);
        return false;
    }
    if ((size_t)taken < len) { /* content is contiguous: step again over what was taken */
        f->body = before;
        http_body_step(&f->body, data, (size_t)taken, &data, &len);
    }
    f->octets += (uint64_t)taken;
    f->in_at += (size_t)taken;
    return taken == n;
}

/* Uses what was received.  False: stop for now. */
static bool use(struct http_fetch *f)
{
    size_t before;

    do {
        before = f->in_at;
        if (f->state == FETCH_HEAD)
            use_head(f);
        else if (f->state == FETCH_BODY && !f->body.done && f->in_at < f->in_len && !use_body(f))
            return false;
    } while (f->state <= FETCH_BODY && f->in_at != before);
    if (f->state == FETCH_BODY) {
        if (f->body.done)
            f->in_at = f->in_len; /* nothing was asked that more could answer */
        check_complete(f);
    }
    return f->state <= FETCH_BODY;
}

static bool receive(struct http_fetch *f)
{
    struct estab_iov iov;
    ptrdiff_t n;

    memmove(f->in, f->in + f->in_at, f->in_len - f->in_at);
    f->in_len -= f->in_at;
    f->in_at = 0;
    iov = (struct estab_iov){f->in + f->in_len, sizeof f->in - f->in_len};
    if (iov.len == 0)
        return false;
    n = estab_recv(f->config.stack, f->sock, &iov, 1, 0);
    if (n == ESTAB_E_AGAIN)
        return false;
    if (n < 0) {
        if (f->state == FETCH_BODY && f->body.done) /* only its FIN was still missing */
            end(f, FETCH_DONE, 0);
        else
            end(f, FETCH_BROKEN, (int)n);
        return false;
    }
    f->ended = n == 0;
    f->in_len += (size_t)n;
    return true;
}

static bool send_request(struct http_fetch *f)
{
    struct estab_iov iov = {f->request + f->request_sent, f->request_len - f->request_sent};
    ptrdiff_t n;

    if (iov.len == 0)
        return true;
    n = estab_send(f->config.stack, f->sock, &iov, 1, 0);
    if (n == ESTAB_E_AGAIN)
        return false;
    if (n < 0) {
        end(f, FETCH_BROKEN, (int)n);
        return false;
    }
    f->request_sent += (size_t)n;
    return f->request_sent == f->request_len;
}

static void fetch_ready(struct watch *w, uint32_t mask)
{
    struct http_fetch *f = (struct http_fetch *)w;
    uint64_t error = 0;

    if (f->state == FETCH_CONNECTING && (mask & ESTAB_EV_ERR)) {
        estab_getopt(f->config.stack, f->sock, ESTAB_O_ERROR, &error);
        end(f, FETCH_NO_CONN, -(int)error);
        return;
    }
    if (f->state == FETCH_CONNECTING && (mask & ESTAB_EV_OUT))
        f->state = FETCH_HEAD;
    http_fetch_resume(f);
}

void http_fetch_resume(struct http_fetch *f)
{
    if (f->state != FETCH_HEAD && f->state != FETCH_BODY)
        return;
    if (!send_request(f))
        return;
    while (use(f) && !f->ended && receive(f))
        continue;
}

static int connect_to(struct http_fetch *f)
{
    int rc = estab_socket(f->config.stack, ESTAB_TCP, &f->sock);

    if (rc < 0)
        return rc;
    estab_watch(f->config.stack, f->sock, ESTAB_EV_IN | ESTAB_EV_OUT | ESTAB_EV_RDHUP, &f->watch);
    rc = estab_connect(f->config.stack, f->sock, &f->config.server);
    if (rc == ESTAB_E_INPROGRESS)
        return 0;
    if (rc < 0)
        estab_close(f->config.stack, f->sock);
    return rc;
}

int http_fetch_new(struct http_fetch **out, const struct http_fetch_config *config)
{
    struct http_fetch *f = calloc(1, sizeof *f);
    int len, rc;

    if (!f)
        return ESTAB_E_NOMEM;
    f->watch.ready = fetch_ready;
    f->config = *config;
    len = asprintf(&f->request,
                   "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: estab/%s\r\nAccept: */*\r\n%s\r\n",
                   config->target, config->host, estab_version(),
                   config->ask_close ? "Connection: close\r\n" : "");
    if (len < 0) {
        free(f);
        return ESTAB_E_NOMEM;
    }
    f->request_len = (size_t)len;
    rc = connect_to(f);
    if (rc < 0) {
        free(f->request);
        free(f);
        return rc;
    }
    *out = f;
    return 0;
}

enum http_fetch_state http_fetch_state(const struct http_fetch *f)
{
    return f->state;
}

int http_fetch_error(const struct http_fetch *f)
{
    return f->error;
}

const struct http_response *http_fetch_response(const struct http_fetch *f)
{
    return &f->response;
}

uint64_t http_fetch_octets(const struct http_fetch *f)
{
    return f->octets;
}

void http_fetch_free(struct http_fetch *f)
{
    if (!f)
        return;
    if (f->state != FETCH_DONE || estab_close(f->config.stack, f->sock) == ESTAB_E_NOMEM)
        estab_abort(f->config.stack, f->sock);
    free(f->request);
    free(f);
}

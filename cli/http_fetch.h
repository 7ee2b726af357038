/* SPDX-License-Identifier: BSD-2-Clause */
/* http_fetch.h - one GET over a socket of a stack. */
#ifndef CLI_HTTP_FETCH_H
#define CLI_HTTP_FETCH_H

#include "http.h"

#include <estab/host.h>

struct http_fetch;
struct http_fetch_config {
    estab_stack *stack;
    struct estab_addr server;
    const char *host;   /* the Host field */
    const char *target; /* "/path" */
    bool ask_close;     /* "Connection: close": the server closes first */
    /* Gets the octets of the body and says how many it took: fewer when it can take no more now
     * (http_fetch_resume tells when it can); below 0: it never will. */
    ptrdiff_t (*sink)(void *ctx, const char *data, size_t len);
    void *ctx;
};
enum http_fetch_state {
    FETCH_CONNECTING,
    FETCH_HEAD,
    FETCH_BODY,
    FETCH_DONE,     /* complete, whatever its status */
    FETCH_NO_CONN,  /* the connection did not come about: error */
    FETCH_BROKEN,   /* it broke: error; 0: it ended too early */
    FETCH_NOT_HTTP, /* what came is no HTTP/1 response */
    FETCH_SINK,     /* the sink refused */
};

/* Begins to connect.  0, or a negative enum estab_err.  Takes copies of the texts. */
int http_fetch_new(struct http_fetch **out, const struct http_fetch_config *config);
void http_fetch_resume(struct http_fetch *f);
enum http_fetch_state http_fetch_state(const struct http_fetch *f);
int http_fetch_error(const struct http_fetch *f);
/* Valid once the state is FETCH_BODY or FETCH_DONE. */
const struct http_response *http_fetch_response(const struct http_fetch *f);
uint64_t http_fetch_octets(const struct http_fetch *f); /* of the body, so far */
/* Closes the connection if it is complete, aborts it otherwise.  NULL is allowed. */
void http_fetch_free(struct http_fetch *f);

#endif

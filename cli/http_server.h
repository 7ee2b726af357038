/* SPDX-License-Identifier: BSD-2-Clause */
/* http_server.h - HTTP/1.1 for the files of a folder, over the sockets of a stack. */
#ifndef CLI_HTTP_SERVER_H
#define CLI_HTTP_SERVER_H

#include <estab/host.h>

struct http_server;
struct http_server_config {
    estab_stack *stack;
    const char *folder;
    estab_time (*now)(void *ctx);
    /* NULL, or called for each answer: a line for an access log. */
    void (*log)(void *ctx, const struct estab_addr *peer, const char *path, int status,
                uint64_t octets);
    void *ctx;
};
struct http_server_totals {
    uint64_t connections, requests, octets; /* octets: of bodies handed to the stack */
};

/* 0, or -1 and a line in err (ESTAB_ERRLEN). */
int http_server_new(struct http_server **out, const struct http_server_config *config, char *err);
/* Port 0: one is chosen, and written to local. */
int http_server_listen(struct http_server *h, struct estab_addr *local, char *err);
/* Ends what took too long; call it at the deadline, or more often. */
void http_server_expire(struct http_server *h);
estab_time http_server_deadline(const struct http_server *h); /* or ESTAB_NEVER */
/* No new connections; idle ones are closed, answers under way are finished. */
void http_server_drain(struct http_server *h);
size_t http_server_live(const struct http_server *h); /* connections not closed yet */
void http_server_totals(const struct http_server *h, struct http_server_totals *t);
/* Aborts what is left.  NULL is allowed.  Must come before the stack is freed. */
void http_server_free(struct http_server *h);

#endif

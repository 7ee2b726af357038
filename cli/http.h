/* SPDX-License-Identifier: BSD-2-Clause */
/* http.h - HTTP/1.1 messages (RFC 9112): heads parsed, bodies decoded.  No input or output. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEAD_MAX = 8192, /* octets of a head: request or status line, and fields */
    HTTP_PATH_MAX = 1024, /* octets of a decoded path, with its NUL */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OTHER };

/* One range of RFC 9110 section 14.1.2; several at once are answered with the whole. */
struct http_range {
    enum { HTTP_ALL, HTTP_FROM_TO, HTTP_FROM, HTTP_LAST } kind;
    uint64_t first, last; /* HTTP_LAST: last is how many octets at the end */
};

struct http_request {
    enum http_method method;
    int minor;       /* HTTP/1.minor */
    bool keep_alive; /* RFC 9112 section 9.3 */
    bool has_body;
    struct http_range range;
    char
        path[HTTP_PATH_MAX]; /* decoded, without its first slashes; a folder ends in '/' or is "" */
};

/* Returns the octets of a complete head; 0: more is needed; below 0: minus the status that the
 * request deserves (400, 414, 431, 501, 505), after which the connection cannot go on. */
ptrdiff_t http_parse_request(struct http_request *r, const char *buf, size_t len);

struct http_response {
    int status;
    int minor;
    bool keep_alive;
    bool chunked, has_length;
    uint64_t length;
    char location[256]; /* empty: none */
};

/* As http_parse_request; below 0: not HTTP/1. */
ptrdiff_t http_parse_response(struct http_response *r, const char *buf, size_t len);

struct http_body {
    enum { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE } framing;
    enum {
        CHUNK_SIZE,
        CHUNK_EXTENSION,
        CHUNK_TEXT,
        CHUNK_TEXT_END,
        CHUNK_TRAILER,
        CHUNK_TRAILER_LINE
    } phase;
    uint64_t left; /* of the body, or of this chunk */
    unsigned digits, trailer_len;
    bool done;
};

/* How the body of the answer to `method` is delimited: RFC 9112 section 6.3. */
void http_body_init(struct http_body *b, const struct http_response *r, enum http_method method);
/* Consumes octets of the body; what is content among them comes out in *out.  Returns how many it
 * consumed: at least one unless len is 0 or the body is done; -1: the framing is broken. */
ptrdiff_t http_body_step(struct http_body *b, const char *in, size_t len, const char **out,
                         size_t *out_len);
/* Whether the connection may end here without something being missing. */
bool http_body_may_end(const struct http_body *b);

/* The path of a request target from a file name: octets that are not unreserved become %XX.
 * Returns false if it does not fit. */
bool http_escape_path(char *out, size_t cap, const char *path);
const char *http_reason(int status);
const char *http_media_type(const char *path); /* by the suffix */

struct http_url {
    char host[64];     /* as written, with the brackets of an IPv6 address */
    char target[2048]; /* "/path?query" */
};
enum http_url_error { HTTP_URL_OK, HTTP_URL_SCHEME, HTTP_URL_MALFORMED, HTTP_URL_PORT };
/* "http://10.0.0.1:80/x": the authority is kept as text, its user part is refused, and so is a port
 * that is not 1 to 65535; an empty one is none (RFC 3986 section 3.2.3). */
enum http_url_error http_parse_url(struct http_url *u, const char *text);

#endif

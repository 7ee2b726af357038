/* SPDX-License-Identifier: BSD-2-Clause */
/* http_files.h - the answer to a request, from the files of one folder. */
#ifndef CLI_HTTP_FILES_H
#define CLI_HTTP_FILES_H

#include "http.h"

#include <sys/types.h>

/* An answer: a head, and a body from a file or from memory. */
struct http_answer {
    int status;
    bool close; /* the connection ends with it */
    char head[1024 + 3 * HTTP_PATH_MAX];
    size_t head_len;
    int fd;     /* of the body, from offset `at`; or -1 */
    char *text; /* of the body; or NULL */
    uint64_t at, left;
};

/* Fills a, whatever the request is: errors are answers too.  http_answer_fini frees it. */
void http_answer_request(struct http_answer *a, int folder, const struct http_request *r);
/* The answer to a request that could not be parsed: status as http_parse_request gave it. */
void http_answer_error(struct http_answer *a, int status);
void http_answer_fini(struct http_answer *a);

#endif

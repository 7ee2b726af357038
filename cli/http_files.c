/* SPDX-License-Identifier: BSD-2-Clause */
/* http_files.c - the answer to a request, from the files of one folder.
 *
 * A file is opened beneath the folder by openat2(2) with RESOLVE_BENEATH: the kernel refuses every
 * path that leaves it, by dots or by symbolic link, whatever changes meanwhile. */
#include "http_files.h"

#include <estab/estab.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LISTING_MAX = 10000 }; /* names of one folder */

static int open_beneath(int folder, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, folder, *path ? path : ".", &how, sizeof how);
}

static int open_status(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return 404;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
        return 403;
    default:
        return 500;
    }
}

static void http_date(time_t when, char *buf, size_t cap)
{
    struct tm tm;

    if (!gmtime_r(&when, &tm) || strftime(buf, cap, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        buf[0] = '\0';
}

static void answer_init(struct http_answer *a)
{
    memset(a, 0, offsetof(struct http_answer, head));
    a->head_len = 0;
    a->fd = -1;
    a->text = NULL;
    a->at = a->left = 0;
}

/* The fields every answer has; `fields` are complete lines. */
static void answer_head(struct http_answer *a, int status, const char *type, uint64_t length,
                        const char *fields)
{
    char date[64];
    int n;

    a->status = status;
    http_date(time(NULL), date, sizeof date);
    n = snprintf(a->head, sizeof a->head,
                 "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: estab/%s\r\nContent-Type: %s\r\n"
                 "Content-Length: %llu\r\n%s%s\r\n",
                 status, http_reason(status), date, estab_version(), type,
                 (unsigned long long)length, fields, a->close ? "Connection: close\r\n" : "");
    a->head_len = (size_t)n < sizeof a->head ? (size_t)n : sizeof a->head - 1;
}

static void answer_text(struct http_answer *a, int status, const char *type, char *text, size_t len,
                        const char *fields)
{
    a->text = text;
    a->left = text ? len : 0;
    answer_head(a, status, type, a->left, fields);
}

static void answer_status(struct http_answer *a, int status, const char *fields)
{
    char *text;
    int len = asprintf(&text, "%d %s\n", status, http_reason(status));

    answer_text(a, status, "text/plain; charset=utf-8", len < 0 ? NULL : text,
                len < 0 ? 0 : (size_t)len, fields);
}

void http_answer_error(struct http_answer *a, int status)
{
    answer_init(a);
    a->close = true;
    answer_status(a, status, "");
}

/* RFC 9110 section 14.1.2: where the range lies in `size` octets.  False: nowhere. */
static bool resolve_range(const struct http_range *r, uint64_t size, uint64_t *first,
                          uint64_t *last)
{
    if (size == 0 || (r->kind != HTTP_LAST && r->first >= size) ||
        (r->kind == HTTP_LAST && r->last == 0))
        return false;
    *last = size - 1;
    if (r->kind == HTTP_LAST) {
        *first = r->last < size ? size - r->last : 0;
        return true;
    }
    *first = r->first;
    if (r->kind == HTTP_FROM_TO && r->last < *last)
        *last = r->last;
    return true;
}

static void answer_file(struct http_answer *a, const struct http_request *r, int fd,
                        const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size, first = 0, last = 0;
    char fields[256], date[64];

    http_date(st->st_mtime, date, sizeof date);
    if (r->range.kind != HTTP_ALL && r->method == HTTP_GET) {
        if (!resolve_range(&r->range, size, &first, &last)) {
            close(fd);
            snprintf(fields, sizeof fields, "Content-Range: bytes */%llu\r\n",
                     (unsigned long long)size);
            answer_status(a, 416, fields);
            return;
        }
        snprintf(fields, sizeof fields,
                 "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n"
                 "Content-Range: bytes %llu-%llu/%llu\r\n",
                 date, (unsigned long long)first, (unsigned long long)last,
                 (unsigned long long)size);
        a->at = first;
        a->left = last - first + 1;
        answer_head(a, 206, http_media_type(r->path), a->left, fields);
    } else {
        snprintf(fields, sizeof fields, "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n", date);
        a->left = size;
        answer_head(a, 200, http_media_type(r->path), size, fields);
    }
    a->fd = fd;
}

/* RFC 9110 section 10.2.2: relative to the request, so the host part is not needed. */
static void answer_slash(struct http_answer *a, const char *path)
{
    char fields[3 * HTTP_PATH_MAX + 32], target[3 * HTTP_PATH_MAX];

    if (!http_escape_path(target, sizeof target, path)) {
        answer_status(a, 414, "");
        return;
    }
    snprintf(fields, sizeof fields, "Location: /%s/\r\n", target);
    answer_status(a, 301, fields);
}

static void write_html(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
            break;
        }
}

struct name {
    char *text;
    bool folder;
};

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;

    return strcmp(x->text, y->text);
}

static bool is_folder(DIR *dir, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN && e->d_type != DT_LNK)
        return e->d_type == DT_DIR;
    return fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static size_t read_names(DIR *dir, struct name *names)
{
    const struct dirent *e;
    size_t n = 0;

    while (n < LISTING_MAX && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        names[n].text = strdup(e->d_name);
        names[n].folder = is_folder(dir, e);
        n += names[n].text != NULL;
    }
    qsort(names, n, sizeof *names, by_name);
    return n;
}

static void write_listing(FILE *out, const char *path, const struct name *names, size_t n)
{
    char target[3 * HTTP_PATH_MAX];
    size_t i;

    fputs("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>/", out);
    write_html(out, path);
    fputs("</title></head>\n<body><h1>/", out);
    write_html(out, path);
    fputs("</h1>\n<ul>\n", out);
    for (i = 0; i < n; i++) {
        if (!http_escape_path(target, sizeof target, names[i].text))
            continue;
        fprintf(out, "<li><a href=\"./%s%s\">", target, names[i].folder ? "/" : "");
        write_html(out, names[i].text);
        fprintf(out, "%s</a></li>\n", names[i].folder ? "/" : "");
    }
    fprintf(out, "</ul>\n%s</body></html>\n", n == LISTING_MAX ? "<p>and more</p>\n" : "");
}

/* takes fd */
static void answer_listing(struct http_answer *a, const char *path, int fd)
{
    struct name *names = calloc(LISTING_MAX, sizeof *names);
    DIR *dir = names ? fdopendir(fd) : NULL;
    char *text = NULL;
    size_t len = 0, n, i;
    FILE *out = dir ? open_memstream(&text, &len) : NULL;

    if (out) {
        n = read_names(dir, names);
        write_listing(out, path, names, n);
        for (i = 0; i < n; i++)
            free(names[i].text);
        if (fclose(out) == 0)
            answer_text(a, 200, "text/html; charset=utf-8", text, len, "");
        else
            free(text);
    }
    if (a->head_len == 0)
        answer_status(a, 500, "");
    if (dir)
        closedir(dir);
    else
        close(fd);
    free(names);
}

/* takes fd */
static void answer_folder(struct http_answer *a, const struct http_request *r, int fd)
{
    size_t len = strlen(r->path);
    struct stat st;
    int index;

    if (len > 0 && r->path[len - 1] != '/') {
        close(fd);
        answer_slash(a, r->path);
        return;
    }
    index = open_beneath(fd, "index.html");
    if (index >= 0 && fstat(index, &st) == 0 && S_ISREG(st.st_mode)) {
        struct http_request page = *r;

        close(fd);
        snprintf(page.path, sizeof page.path, "index.html");
        answer_file(a, &page, index, &st);
        return;
    }
    if (index >= 0)
        close(index);
    answer_listing(a, r->path, fd);
}

void http_answer_request(struct http_answer *a, int folder, const struct http_request *r)
{
    size_t len = strlen(r->path);
    struct stat st;
    int fd;

    answer_init(a);
    a->close = !r->keep_alive || r->has_body; /* a body is not read: the connection ends */
    if (r->method == HTTP_OTHER) {
        a->close = true;
        answer_status(a, 405, "Allow: GET, HEAD\r\n");
        return;
    }
    fd = open_beneath(folder, r->path);
    if (fd < 0) {
        answer_status(a, open_status(errno), "");
    } else if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        answer_folder(a, r, fd);
    } else if (S_ISREG(st.st_mode) && (len == 0 || r->path[len - 1] != '/')) {
        answer_file(a, r, fd, &st);
    } else {
        close(fd);
        answer_status(a, 403, "");
    }
    if (r->method == HTTP_HEAD) /* RFC 9110 section 9.3.2: the same head, no body */
        a->left = 0;
}

void http_answer_fini(struct http_answer *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a->text);
    answer_init(a);
}

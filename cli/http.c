/* SPDX-License-Identifier: BSD-2-Clause */
/* http.c - HTTP/1.1 messages (RFC 9112): heads parsed, bodies decoded.
 *
 * The parsers see a whole head or ask for more; they keep nothing between calls.  What two readers
 * could understand differently (two lengths, a length beside chunks, a folded field, white space
 * before a colon) is refused, not repaired: RFC 9112 sections 5.1, 5.2, 6.3 and 11.2. */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *p;
    size_t len;
};

/* RFC 9112 section 2.2: a lone LF may end a line, and empty lines before the first are ignored. */
static size_t head_length(const char *buf, size_t len, size_t *start)
{
    size_t i = 0, line;

    while (i < len && (buf[i] == '\n' || (buf[i] == '\r' && i + 1 < len && buf[i + 1] == '\n')))
        i++;
    *start = i;
    for (line = i; i < len; i++) {
        if (buf[i] != '\n')
            continue;
        if (i == line || (i == line + 1 && buf[line] == '\r'))
            return i + 1;
        line = i + 1;
    }
    return 0;
}

static bool next_line(struct text *rest, struct text *line)
{
    const char *nl = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;

    if (!nl)
        return false;
    line->p = rest->p;
    line->len = (size_t)(nl - rest->p);
    rest->p += line->len + 1;
    rest->len -= line->len + 1;
    if (line->len > 0 && line->p[line->len - 1] == '\r')
        line->len--;
    return true;
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool text_is(struct text t, const char *word)
{
    return t.len == strlen(word) && strncasecmp(t.p, word, t.len) == 0;
}

static struct text text_trim(struct text t)
{
    while (t.len > 0 && (t.p[0] == ' ' || t.p[0] == '\t')) {
        t.p++;
        t.len--;
    }
    while (t.len > 0 && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t'))
        t.len--;
    return t;
}

static bool has_control(struct text t)
{
    size_t i;

    for (i = 0; i < t.len; i++)
        if (((unsigned char)t.p[i] < ' ' && t.p[i] != '\t') || t.p[i] == 0x7f)
            return true;
    return false;
}

/* RFC 9112 section 5.1: no white space before the colon; section 5.2: no folding. */
static bool split_field(struct text line, struct text *name, struct text *value)
{
    size_t i = 0;

    while (i < line.len && is_token_char(line.p[i]))
        i++;
    if (i == 0 || i == line.len || line.p[i] != ':' || has_control(line))
        return false;
    name->p = line.p;
    name->len = i;
    value->p = line.p + i + 1;
    value->len = line.len - i - 1;
    *value = text_trim(*value);
    return true;
}

static bool parse_decimal(struct text t, uint64_t *out)
{
    uint64_t v = 0;
    size_t i;

    if (t.len == 0)
        return false;
    for (i = 0; i < t.len; i++) {
        if (t.p[i] < '0' || t.p[i] > '9' || v > (UINT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(t.p[i] - '0');
    }
    *out = v;
    return true;
}

static bool list_has(struct text list, const char *word)
{
    while (list.len > 0) {
        const char *comma = memchr(list.p, ',', list.len);
        struct text item = {list.p, comma ? (size_t)(comma - list.p) : list.len};
        size_t used = item.len + (comma ? 1 : 0);

        if (text_is(text_trim(item), word))
            return true;
        list.p += used;
        list.len -= used;
    }
    return false;
}

/* "HTTP/1.1": RFC 9112 section 2.3. */
static int parse_version(struct text t)
{
    if (t.len != 8 || memcmp(t.p, "HTTP/", 5) != 0 || t.p[6] != '.' || t.p[5] < '0' ||
        t.p[5] > '9' || t.p[7] < '0' || t.p[7] > '9')
        return -400;
    return t.p[5] == '1' ? t.p[7] - '0' : -505;
}

/* What frames the body and the connection; the same fields in both directions. */
struct framing {
    bool has_length, chunked, other_coding, close, keep, bad;
    uint64_t length;
};

static bool framing_field(struct framing *f, struct text name, struct text value)
{
    uint64_t length;

    if (text_is(name, "Content-Length")) {
        if (!parse_decimal(value, &length) || (f->has_length && f->length != length))
            f->bad = true;
        else
            f->length = length;
        f->has_length = true;
        return true;
    }
    if (text_is(name, "Transfer-Encoding")) {
        f->bad = f->bad || f->chunked || f->other_coding;
        f->chunked = text_is(value, "chunked");
        f->other_coding = !f->chunked;
        return true;
    }
    if (text_is(name, "Connection")) {
        f->close = f->close || list_has(value, "close");
        f->keep = f->keep || list_has(value, "keep-alive");
        return true;
    }
    return false;
}

/* RFC 9112 section 9.3: persistent by default from 1.1 on. */
static bool framing_keeps(const struct framing *f, int minor)
{
    return !f->close && (minor >= 1 || f->keep);
}

static void parse_range(struct http_range *range, struct text value)
{
    const char *dash;
    struct text a, b;
    struct http_range r = {.kind = HTTP_ALL};

    if (value.len < 6 || strncasecmp(value.p, "bytes=", 6) != 0)
        return;
    value.p += 6;
    value.len -= 6;
    value = text_trim(value);
    dash = value.len ? memchr(value.p, '-', value.len) : NULL;
    if (!dash)
        return;
    a = (struct text){value.p, (size_t)(dash - value.p)};
    b = (struct text){dash + 1, value.len - a.len - 1};
    if (a.len == 0 && parse_decimal(b, &r.last))
        r.kind = HTTP_LAST;
    else if (b.len == 0 && parse_decimal(a, &r.first))
        r.kind = HTTP_FROM;
    else if (parse_decimal(a, &r.first) && parse_decimal(b, &r.last) && r.first <= r.last)
        r.kind = HTTP_FROM_TO;
    *range = r;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Refuses what climbs: a ".." between slashes, encoded or not.  The file server opens the rest
 * beneath its folder only, so this is the first of two locks. */
static int decode_path(char *out, struct text t)
{
    size_t i, n = 0;
    const char *seg;

    for (i = 0; i < t.len && t.p[i] != '?' && t.p[i] != '#'; i++) {
        char c = t.p[i];

        if (c == '%') {
            if (t.len - i < 3 || hex_digit(t.p[i + 1]) < 0 || hex_digit(t.p[i + 2]) < 0)
                return -400;
            c = (char)(hex_digit(t.p[i + 1]) * 16 + hex_digit(t.p[i + 2]));
            i += 2;
        }
        if (c == '\0')
            return -400;
        if (c == '/' && n == 0)
            continue;
        if (n + 1 >= HTTP_PATH_MAX)
            return -414;
        out[n++] = c;
    }
    out[n] = '\0';
    for (seg = out; seg; seg = strchr(seg, '/')) {
        seg += *seg == '/';
        if (seg[0] == '.' && seg[1] == '.' && (seg[2] == '/' || seg[2] == '\0'))
            return -400;
    }
    return 0;
}

/* RFC 9112 section 3.2: origin-form, or absolute-form, which a server must accept. */
static int parse_target(struct http_request *r, struct text t)
{
    const char *slash;

    if (t.len > 0 && t.p[0] == '/')
        return decode_path(r->path, t);
    if (t.len < 7 || strncasecmp(t.p, "http://", 7) != 0)
        return -400;
    t.p += 7;
    t.len -= 7;
    slash = t.len ? memchr(t.p, '/', t.len) : NULL;
    if (!slash) {
        r->path[0] = '\0';
        return 0;
    }
    t.len -= (size_t)(slash - t.p);
    t.p = slash;
    return decode_path(r->path, t);
}

static int parse_request_line(struct http_request *r, struct text line)
{
    const char *sp1 = line.len ? memchr(line.p, ' ', line.len) : NULL;
    struct text method, target, version;
    const char *sp2;
    size_t i;

    if (!sp1)
        return -400;
    method = (struct text){line.p, (size_t)(sp1 - line.p)};
    target = (struct text){sp1 + 1, line.len - method.len - 1};
    sp2 = target.len ? memchr(target.p, ' ', target.len) : NULL;
    if (!sp2 || method.len == 0)
        return -400;
    for (i = 0; i < method.len; i++)
        if (!is_token_char(method.p[i]))
            return -400;
    version = (struct text){sp2 + 1, target.len - (size_t)(sp2 - target.p) - 1};
    target.len = (size_t)(sp2 - target.p);
    if (has_control(target))
        return -400;
    r->minor = parse_version(version);
    if (r->minor < 0)
        return r->minor;
    r->method = HTTP_OTHER;
    if (method.len == 3 && memcmp(method.p, "GET", 3) == 0)
        r->method = HTTP_GET;
    if (method.len == 4 && memcmp(method.p, "HEAD", 4) == 0)
        r->method = HTTP_HEAD;
    return parse_target(r, target);
}

ptrdiff_t http_parse_request(struct http_request *r, const char *buf, size_t len)
{
    size_t start, end = head_length(buf, len, &start);
    struct text rest, line, name, value;
    struct framing f = {0};
    unsigned hosts = 0;
    int err;

    if (end == 0)
        return len >= HTTP_HEAD_MAX ? -431 : 0;
    if (end > HTTP_HEAD_MAX)
        return -431;
    memset(r, 0, sizeof *r);
    rest = (struct text){buf + start, end - start};
    if (!next_line(&rest, &line))
        return -400;
    err = parse_request_line(r, line);
    if (err < 0)
        return err;
    while (next_line(&rest, &line) && line.len > 0) {
        if (!split_field(line, &name, &value))
            return -400;
        if (framing_field(&f, name, value))
            continue;
        if (text_is(name, "Host"))
            hosts++;
        if (text_is(name, "Range"))
            parse_range(&r->range, value);
    }
    if (hosts > 1 || (r->minor >= 1 && hosts == 0)) /* RFC 9112 section 3.2 */
        return -400;
    if (f.bad || (f.has_length && (f.chunked || f.other_coding)))
        return -400;
    if (f.other_coding) /* RFC 9112 section 6.1 */
        return -501;
    r->has_body = f.chunked || (f.has_length && f.length > 0);
    r->keep_alive = framing_keeps(&f, r->minor);
    return (ptrdiff_t)end;
}

ptrdiff_t http_parse_response(struct http_response *r, const char *buf, size_t len)
{
    size_t start, end = head_length(buf, len, &start);
    struct text rest, line, name, value;
    struct framing f = {0};
    uint64_t status;

    if (end == 0)
        return len >= HTTP_HEAD_MAX ? -1 : 0;
    memset(r, 0, sizeof *r);
    rest = (struct text){buf + start, end - start};
    if (!next_line(&rest, &line) || line.len < 12 || line.p[8] != ' ' ||
        (line.len > 12 && line.p[12] != ' '))
        return -1;
    r->minor = parse_version((struct text){line.p, 8});
    if (r->minor < 0 || !parse_decimal((struct text){line.p + 9, 3}, &status) || status < 100)
        return -1;
    r->status = (int)status;
    while (next_line(&rest, &line) && line.len > 0) {
        if (!split_field(line, &name, &value))
            return -1;
        if (framing_field(&f, name, value))
            continue;
        if (text_is(name, "Location") && value.len < sizeof r->location) {
            memcpy(r->location, value.p, value.len);
            r->location[value.len] = '\0';
        }
    }
    if (f.bad || f.other_coding)
        return -1;
    r->chunked = f.chunked;
    r->has_length = f.has_length && !f.chunked; /* RFC 9112 section 6.3, rule 3 */
    r->length = r->has_length ? f.length : 0;
    r->keep_alive = framing_keeps(&f, r->minor);
    return (ptrdiff_t)end;
}

void http_body_init(struct http_body *b, const struct http_response *r, enum http_method method)
{
    memset(b, 0, sizeof *b);
    if (method == HTTP_HEAD || r->status / 100 == 1 || r->status == 204 || r->status == 304)
        b->framing = HTTP_NO_BODY;
    else if (r->chunked)
        b->framing = HTTP_CHUNKED;
    else if (r->has_length)
        b->framing = HTTP_LENGTH;
    else
        b->framing = HTTP_UNTIL_CLOSE;
    b->left = r->length;
    b->done = b->framing == HTTP_NO_BODY || (b->framing == HTTP_LENGTH && b->left == 0);
}

static void chunk_size_ends(struct http_body *b)
{
    b->phase = b->left > 0 ? CHUNK_TEXT : CHUNK_TRAILER;
    b->trailer_len = 0;
}

/* One octet of what frames the chunks: RFC 9112 section 7.1.  False: broken. */
static bool chunk_framing(struct http_body *b, char c)
{
    int digit;

    switch (b->phase) {
    case CHUNK_SIZE:
        digit = hex_digit(c);
        if (digit >= 0 && b->digits < 15) {
            b->left = b->left * 16 + (unsigned)digit;
            b->digits++;
            return true;
        }
        if (b->digits == 0 || digit >= 0 || !strchr(" \t;\r\n", c) || c == '\0')
            return false;
        b->phase = CHUNK_EXTENSION;
        b->trailer_len = 0;
        if (c == '\n')
            chunk_size_ends(b);
        return true;
    case CHUNK_EXTENSION:
        if (c != '\n')
            return ++b->trailer_len < HTTP_HEAD_MAX;
        chunk_size_ends(b);
        return true;
    case CHUNK_TEXT_END:
        if (c == '\r')
            return true;
        b->phase = CHUNK_SIZE;
        b->left = 0;
        b->digits = 0;
        return c == '\n';
    case CHUNK_TRAILER:
        if (c == '\r')
            return true;
        if (c == '\n') {
            b->done = true;
            return true;
        }
        b->phase = CHUNK_TRAILER_LINE;
        return true;
    case CHUNK_TRAILER_LINE:
        if (c == '\n')
            b->phase = CHUNK_TRAILER;
        return ++b->trailer_len < HTTP_HEAD_MAX;
    case CHUNK_TEXT:
        break;
    }
    return false;
}

ptrdiff_t http_body_step(struct http_body *b, const char *in, size_t len, const char **out,
                         size_t *out_len)
{
    size_t n;

    *out = in;
    *out_len = 0;
    if (b->done || len == 0)
        return 0;
    if (b->framing == HTTP_UNTIL_CLOSE) {
        *out_len = len;
        return (ptrdiff_t)len;
    }
    if (b->framing == HTTP_CHUNKED && b->phase != CHUNK_TEXT) {
        for (n = 0; n < len && !b->done && b->phase != CHUNK_TEXT; n++)
            if (!chunk_framing(b, in[n]))
                return -1;
        return (ptrdiff_t)n;
    }
    n = b->left < len ? (size_t)b->left : len;
    b->left -= n;
    *out_len = n;
    if (b->left == 0) {
        b->done = b->framing == HTTP_LENGTH;
        b->phase = CHUNK_TEXT_END;
    }
    return (ptrdiff_t)n;
}

bool http_body_may_end(const struct http_body *b)
{
    return b->done || b->framing == HTTP_UNTIL_CLOSE;
}

bool http_escape_path(char *out, size_t cap, const char *path)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     strchr("-._~/", c) != NULL;

        if (n + 4 > cap)
            return false;
        if (plain) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    if (n >= cap)
        return false;
    out[n] = '\0';
    return true;
}

const char *http_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 414:
        return "URI Too Long";
    case 416:
        return "Range Not Satisfiable";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Status";
    }
}

const char *http_media_type(const char *path)
{
    static const struct {
        const char *suffix, *type;
    } known[] = {
        {".html", "text/html; charset=utf-8"},
        {".htm", "text/html; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/plain; charset=utf-8"},
        {".c", "text/plain; charset=utf-8"},
        {".h", "text/plain; charset=utf-8"},
        {".log", "text/plain; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".csv", "text/csv; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".pdf", "application/pdf"},
        {".xml", "application/xml"},
        {".gz", "application/gzip"},
        {".zip", "application/zip"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".svg", "image/svg+xml"},
        {".webp", "image/webp"},
        {".mp4", "video/mp4"},
        {".mp3", "audio/mpeg"},
        {".wasm", "application/wasm"},
    };
    const char *dot = strrchr(path, '.');
    size_t i;

    if (dot && !strchr(dot, '/'))
        for (i = 0; i < sizeof known / sizeof known[0]; i++)
            if (strcasecmp(dot, known[i].suffix) == 0)
                return known[i].type;
    return "application/octet-stream";
}

/* RFC 3986 section 3.2.3.  False: it is a number that is no port. */
static bool take_port(char *host)
{
    char *colon = strrchr(host, ':'), *end;
    unsigned long port;

    if (!colon || strchr(colon, ']'))
        return true;
    if (colon[1] == '\0') {
        *colon = '\0';
        return true;
    }
    port = strtoul(colon + 1, &end, 10);
    return *end || (port > 0 && port <= UINT16_MAX);
}

enum http_url_error http_parse_url(struct http_url *u, const char *text)
{
    size_t host_len, target_len;
    const char *p;

    if (strncasecmp(text, "http://", 7) != 0)
        return strstr(text, "://") ? HTTP_URL_SCHEME : HTTP_URL_MALFORMED;
    text += 7;
    host_len = strcspn(text, "/?#");
    if (host_len == 0 || host_len >= sizeof u->host || memchr(text, '@', host_len))
        return HTTP_URL_MALFORMED;
    p = text + host_len;
    target_len = strcspn(p, "#"); /* RFC 9110 section 4.2.5: the fragment stays here */
    if (target_len + 2 > sizeof u->target)
        return HTTP_URL_MALFORMED;
    for (size_t i = 0; i < host_len + target_len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return HTTP_URL_MALFORMED;
    memcpy(u->host, text, host_len);
    u->host[host_len] = '\0';
    snprintf(u->target, sizeof u->target, "%s%.*s", *p == '/' ? "" : "/", (int)target_len, p);
    return take_port(u->host) ? HTTP_URL_OK : HTTP_URL_PORT;
}

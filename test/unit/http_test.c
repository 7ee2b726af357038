/* SPDX-License-Identifier: BSD-2-Clause */
/* http_test.c - HTTP/1.1 messages: what is understood, what is refused, bodies in any cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/http.h"

static ptrdiff_t parse(struct http_request *r, const char *text)
{
    return http_parse_request(r, text, strlen(text));
}

static int refusal(const char *text)
{
    struct http_request r;

    return (int)-parse(&r, text);
}

static void understands_a_plain_request(void **state)
{
    const char *text = "GET /a/b%20c.txt?x=1 HTTP/1.1\r\nHost: h\r\n\r\nGET ";
    struct http_request r;

    (void)state;
    assert_int_equal(parse(&r, text), strlen(text) - 4);
    assert_int_equal(r.method, HTTP_GET);
    assert_string_equal(r.path, "a/b c.txt");
    assert_int_equal(r.minor, 1);
    assert_true(r.keep_alive);
    assert_false(r.has_body);
    assert_int_equal(r.range.kind, HTTP_ALL);
}

/* RFC 9112 section 2.2 */
static void forgives_bare_newlines_and_empty_lines_before(void **state)
{
    struct http_request r;

    (void)state;
    assert_true(parse(&r, "\r\n\nHEAD / HTTP/1.1\nHost: h\n\n") > 0);
    assert_int_equal(r.method, HTTP_HEAD);
    assert_string_equal(r.path, "");
}

static void asks_for_more_until_the_head_is_complete(void **state)
{
    const char *text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    struct http_request r;
    size_t len;

    (void)state;
    for (len = 0; len < strlen(text); len++)
        assert_int_equal(http_parse_request(&r, text, len), 0);
    assert_int_equal(http_parse_request(&r, text, len), (ptrdiff_t)len);
}

/* RFC 9112 section 9.3 */
static void knows_when_the_connection_persists(void **state)
{
    static const struct {
        const char *text;
        bool keeps;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    };
    struct http_request r;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(parse(&r, cases[i].text) > 0);
        assert_int_equal(r.keep_alive, cases[i].keeps);
    }
}

static void accepts_the_absolute_form(void **state)
{
    struct http_request r;

    (void)state;
    assert_true(parse(&r, "GET http://h:80/x HTTP/1.1\r\nHost: h\r\n\r\n") > 0);
    assert_string_equal(r.path, "x");
    assert_true(parse(&r, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n") > 0);
    assert_string_equal(r.path, "");
}

static void refuses_paths_that_climb(void **state)
{
    static const char *const target[] = {"/..",       "/../etc/passwd", "/a/../../b",
                                         "/%2e%2e/x", "/a/%2E.",        "/..%2fetc",
                                         "//../x",    "/a%2f..%2fb",    "/./.."};
    char text[128];
    struct http_request r;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof target / sizeof target[0]; i++) {
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target[i]);
        assert_int_equal(refusal(text), 400);
    }
    assert_true(parse(&r, "GET /..a/b..c/... HTTP/1.1\r\nHost: h\r\n\r\n") > 0);
    assert_string_equal(r.path, "..a/b..c/...");
}

/* What two readers could understand differently: RFC 9112 section 11.2. */
static void refuses_what_is_ambiguous(void **state)
{
    (void)state;
    assert_int_equal(refusal("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"), 400);
    assert_int_equal(
        refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"), 400);
    assert_int_equal(
        refusal("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
}

static void refuses_what_is_malformed(void **state)
{
    char big[HTTP_HEAD_MAX + 1], text[HTTP_PATH_MAX + 64];
    struct http_request r;

    (void)state;
    assert_int_equal(refusal("\x16\x03\x01\x02\r\n\r\n"), 400);
    assert_int_equal(refusal("GET /\r\n\r\n"), 400);
    assert_int_equal(refusal("GET x HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_int_equal(refusal("G{T / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_int_equal(refusal("GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_int_equal(refusal("GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
    memset(big, 'a', sizeof big);
    assert_int_equal(http_parse_request(&r, big, HTTP_HEAD_MAX), -431);
    snprintf(text, sizeof text, "GET /%.*s HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PATH_MAX, big);
    assert_int_equal(refusal(text), 414);
}

static void understands_one_range(void **state)
{
    static const struct {
        const char *value;
        int kind;
        uint64_t first, last;
    } cases[] = {
        {"bytes=0-9", HTTP_FROM_TO, 0, 9}, {"bytes=5-", HTTP_FROM, 5, 0},
        {"bytes=-7", HTTP_LAST, 0, 7},     {"bytes=9-5", HTTP_ALL, 0, 0},
        {"bytes=1-2,5-6", HTTP_ALL, 0, 0}, {"lines=1-2", HTTP_ALL, 0, 0},
        {"bytes=x", HTTP_ALL, 0, 0},
    };
    struct http_request r;
    char text[128];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\nRange: %s\r\n\r\n",
                 cases[i].value);
        assert_true(parse(&r, text) > 0);
        assert_int_equal(r.range.kind, cases[i].kind);
        if (cases[i].kind != HTTP_ALL) {
            assert_int_equal(r.range.first, cases[i].first);
            assert_int_equal(r.range.last, cases[i].last);
        }
    }
}

static void understands_a_response(void **state)
{
    const char *text = "HTTP/1.0 301 Moved\r\nLocation: /x\r\nContent-length: 3\r\n\r\n";
    struct http_response r;

    (void)state;
    assert_int_equal(http_parse_response(&r, text, strlen(text)), (ptrdiff_t)strlen(text));
    assert_int_equal(r.status, 301);
    assert_true(r.has_length);
    assert_int_equal(r.length, 3);
    assert_false(r.keep_alive);
    assert_string_equal(r.location, "/x");
    assert_int_equal(http_parse_response(&r, "SSH-2.0-x\r\n\r\n", 13), -1);
    assert_int_equal(http_parse_response(&r, "HTTP/1.1 20\r\n\r\n", 15), -1);
}

/* Feeds a body in pieces of `step` octets; returns the content, or NULL if it is broken. */
static char *decode(const char *head, const char *body, size_t step, struct http_body *b)
{
    static char content[256];
    struct http_response r;
    size_t at = 0, n = 0, out_len, len = strlen(body);
    const char *out;
    ptrdiff_t used;

    assert_true(http_parse_response(&r, head, strlen(head)) > 0);
    http_body_init(b, &r, HTTP_GET);
    while (at < len && !b->done) {
        used = http_body_step(b, body + at, len - at < step ? len - at : step, &out, &out_len);
        if (used < 0)
            return NULL;
        assert_true(used > 0);
        memcpy(content + n, out, out_len);
        n += out_len;
        at += (size_t)used;
    }
    content[n] = '\0';
    return content;
}

static void decodes_chunks_in_any_cut(void **state)
{
    const char *head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const char *body = "5;ext=1\r\nhello\r\nA\r\n, world, 1\r\n0\r\nTrailer: x\r\n\r\n";
    struct http_body b;
    size_t step;

    (void)state;
    for (step = 1; step < 60; step++) {
        assert_string_equal(decode(head, body, step, &b), "hello, world, 1");
        assert_true(b.done);
    }
    assert_null(decode(head, "x\r\n", 8, &b));
    assert_null(decode(head, "1\r\nab\r\n", 8, &b));
    assert_null(decode(head, "fffffffffffffffff\r\n", 32, &b));
    assert_non_null(decode(head, "5\r\nhel", 8, &b));
    assert_false(http_body_may_end(&b));
}

static void knows_where_a_body_ends(void **state)
{
    struct http_response r;
    struct http_body b;

    (void)state;
    assert_string_equal(decode("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "abcdHTTP", 3, &b),
                        "abcd");
    assert_true(b.done);
    assert_string_equal(decode("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "ab", 3, &b), "ab");
    assert_false(http_body_may_end(&b));
    assert_string_equal(decode("HTTP/1.0 200 OK\r\n\r\n", "all", 2, &b), "all");
    assert_true(http_body_may_end(&b));
    decode("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", "", 1, &b);
    assert_true(b.done);
    assert_true(http_parse_response(&r, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 38) > 0);
    http_body_init(&b, &r, HTTP_HEAD);
    assert_true(b.done);
}

static void takes_urls_apart(void **state)
{
    struct http_url u;

    (void)state;
    assert_int_equal(http_parse_url(&u, "http://10.0.0.1:8000/a?b#c"), HTTP_URL_OK);
    assert_string_equal(u.host, "10.0.0.1:8000");
    assert_string_equal(u.target, "/a?b");
    assert_int_equal(http_parse_url(&u, "HTTP://[fd00::1]?q"), HTTP_URL_OK);
    assert_string_equal(u.host, "[fd00::1]");
    assert_string_equal(u.target, "/?q");
    assert_int_equal(http_parse_url(&u, "http://h"), HTTP_URL_OK);
    assert_string_equal(u.target, "/");
    assert_int_equal(http_parse_url(&u, "http://10.0.0.1:/x"), HTTP_URL_OK);
    assert_string_equal(u.host, "10.0.0.1");
    assert_int_equal(http_parse_url(&u, "http://[fd00::1]:65535/"), HTTP_URL_OK);
    assert_string_equal(u.host, "[fd00::1]:65535");
    assert_int_equal(http_parse_url(&u, "http://10.0.0.1:65536/"), HTTP_URL_PORT);
    assert_int_equal(http_parse_url(&u, "http://[fd00::1]:0"), HTTP_URL_PORT);
    assert_int_equal(http_parse_url(&u, "https://h/"), HTTP_URL_SCHEME);
    assert_int_equal(http_parse_url(&u, "h/x"), HTTP_URL_MALFORMED);
    assert_int_equal(http_parse_url(&u, "http:///x"), HTTP_URL_MALFORMED);
    assert_int_equal(http_parse_url(&u, "http://u@h/x"), HTTP_URL_MALFORMED);
    assert_int_equal(http_parse_url(&u, "http://h/a b"), HTTP_URL_MALFORMED);
    assert_int_equal(http_parse_url(&u, "http://h/\r\nX: y"), HTTP_URL_MALFORMED);
}

static void escapes_what_a_target_may_not_hold(void **state)
{
    char out[32];

    (void)state;
    assert_true(http_escape_path(out, sizeof out, "a b/%\xc3\xa9.x"));
    assert_string_equal(out, "a%20b/%25%C3%A9.x");
    assert_false(http_escape_path(out, 8, "        "));
}

static void names_media_types_by_suffix(void **state)
{
    (void)state;
    assert_string_equal(http_media_type("a/INDEX.HTML"), "text/html; charset=utf-8");
    assert_string_equal(http_media_type("x.tar.gz"), "application/gzip");
    assert_string_equal(http_media_type("a.html/x"), "application/octet-stream");
    assert_string_equal(http_media_type("none"), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_a_plain_request),
        cmocka_unit_test(forgives_bare_newlines_and_empty_lines_before),
        cmocka_unit_test(asks_for_more_until_the_head_is_complete),
        cmocka_unit_test(knows_when_the_connection_persists),
        cmocka_unit_test(accepts_the_absolute_form),
        cmocka_unit_test(refuses_paths_that_climb),
        cmocka_unit_test(refuses_what_is_ambiguous),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(understands_one_range),
        cmocka_unit_test(understands_a_response),
        cmocka_unit_test(decodes_chunks_in_any_cut),
        cmocka_unit_test(knows_where_a_body_ends),
        cmocka_unit_test(takes_urls_apart),
        cmocka_unit_test(escapes_what_a_target_may_not_hold),
        cmocka_unit_test(names_media_types_by_suffix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

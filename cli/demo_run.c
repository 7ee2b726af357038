/* SPDX-License-Identifier: BSD-2-Clause */
/* demo_run.c - the four transfers of the demo, each with its ladder.
 *
 * Twice the stack serves and twice it fetches, over IPv4 and IPv6; and twice our side closes first
 * (the one that does ends in TIME-WAIT) and twice the peer does.  Who closes first is decided by
 * the HTTP request: with "Connection: close" it is the server, otherwise the client.
 *
 * In a namespace the peer is a program on the kernel's TCP; in memory it is a second stack with
 * the same part to play. */
#include "demo.h"
#include "interrupt.h"
#include "say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct plan {
    bool serves; /* the stack serves; or it fetches */
    bool ip6;
    bool server_first; /* the server closes first */
} plans[DEMO_TRANSFERS] = {
    {.serves = true, .ip6 = false, .server_first = true},
    {.serves = true, .ip6 = true, .server_first = false},
    {.serves = false, .ip6 = false, .server_first = false},
    {.serves = false, .ip6 = true, .server_first = true},
};

static const estab_dur patience = ESTAB_S(60); /* for one transfer */

/* ---- what is on the terminal ---- */

static void clear_progress(struct demo *d)
{
    if (d->progress_shown)
        fputs("\r\033[K", stderr);
    d->progress_shown = false;
}

/* The ladder writes while the stack works; it reaches the terminal between turns. */
static void show_rows(struct demo *d)
{
    fflush(d->rows);
    if (d->rows_len > 0 && !d->json) {
        clear_progress(d);
        fwrite(d->rows_text, 1, d->rows_len, stdout);
        fflush(stdout);
    }
    rewind(d->rows);
}

static void show_progress(struct demo *d)
{
    char a[SAY_LEN], b[SAY_LEN];
    struct stat st;

    if (d->json || !isatty(STDERR_FILENO) || node_now(&d->node) < d->progress_at)
        return;
    d->progress_at += ESTAB_MS(250);
    if (stat(d->arrived, &st) < 0)
        return;
    d->progress_shown = true;
    fprintf(stderr, "\r\033[K  %s of %s", say_octets((uint64_t)st.st_size, a),
            say_octets(d->size, b));
}

/* ---- driving ---- */

static void rest(estab_dur most)
{
    struct timespec t = {.tv_nsec = (long)most};

    nanosleep(&t, NULL);
}

static uint64_t frames(const struct node *n)
{
    struct estab_stack_info info = {.size = sizeof info};

    estab_stack_info(n->stack, &info);
    return info.frames_in + info.frames_out;
}

/* Two loops in one thread: neither may wait, so we do, when neither had anything to do. */
static int turn_both(struct demo *d, char *err)
{
    uint64_t before = frames(&d->node) + frames(&d->peer);

    if (node_turn(&d->peer, 0, err) == -1 || node_turn(&d->node, 0, err) == -1)
        return -1;
    http_server_expire(d->peer_server);
    if (frames(&d->node) + frames(&d->peer) == before)
        rest(ESTAB_MS(1));
    return 0;
}

static int turn(struct demo *d, char *err)
{
    int rc = d->peer.stack ? turn_both(d, err) : node_turn(&d->node, ESTAB_MS(50), err);

    http_server_expire(d->server);
    show_rows(d);
    show_progress(d);
    d->signal = interrupt_read(d->signals);
    if (d->signal) {
        err[0] = '\0';
        return -1;
    }
    d->unheard = say_flush("demo");
    d->lost = d->unheard || rc == -1;
    return d->lost ? -1 : 0;
}

/* ---- one transfer's peer or client ---- */

static void target_url(const struct demo *d, const struct plan *p, char *host, size_t host_cap,
                       char *target, size_t target_cap)
{
    const char *ip4 = p->serves ? "10.77.0.2" : "10.77.0.1";
    const char *ip6 = p->serves ? "[fd77::2]" : "[fd77::1]";
    char name[3 * sizeof d->name];

    if (p->serves)
        snprintf(host, host_cap, "%s", p->ip6 ? ip6 : ip4);
    else
        snprintf(host, host_cap, "%s:%d", p->ip6 ? ip6 : ip4, DEMO_PEER_PORT);
    if (!http_escape_path(name, sizeof name, d->name))
        name[0] = '\0';
    snprintf(target, target_cap, "/%s", name);
}

struct to_file {
    int fd;
};

static ptrdiff_t sink(void *ctx, const char *data, size_t len)
{
    const struct to_file *f = ctx;

    return write(f->fd, data, len);
}

static int fetch(struct demo *d, struct node *n, const struct plan *p, const char *host,
                 const char *target, char *err)
{
    struct to_file file = {open(d->arrived, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    struct http_fetch_config config = {.stack = n->stack,
                                       .host = host,
                                       .target = target,
                                       .ask_close = p->server_first,
                                       .sink = sink,
                                       .ctx = &file};
    estab_time end_at = node_now(n) + patience;
    struct http_fetch *f = NULL;
    bool port_given;
    int rc;

    if (file.fd < 0) {
        snprintf(err, ESTAB_ERRLEN, "cannot make a file: %s", strerror(errno));
        return -1;
    }
    estab_addr_parse(&config.server, host, &port_given);
    if (!port_given)
        config.server.port = DEMO_HTTP_PORT;
    rc = http_fetch_new(&f, &config);
    if (rc < 0)
        snprintf(err, ESTAB_ERRLEN, "cannot connect: %s", estab_strerror(rc));
    while (rc == 0 && http_fetch_state(f) <= FETCH_BODY) {
        rc = turn(d, err);
        if (rc == 0 && node_now(n) >= end_at) {
            snprintf(err, ESTAB_ERRLEN, "the file did not arrive in time");
            rc = -1;
        }
    }
    if (rc == 0 && (http_fetch_state(f) != FETCH_DONE || http_fetch_response(f)->status != 200)) {
        snprintf(err, ESTAB_ERRLEN, "the transfer failed (status %d): %s",
                 http_fetch_response(f)->status, estab_strerror(http_fetch_error(f)));
        rc = -1;
    }
    http_fetch_free(f);
    close(file.fd);
    return rc;
}

static int start_logged(struct demo *d, const char *const argv[], char *err)
{
    int log = open(d->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

    if (log < 0) {
        snprintf(err, ESTAB_ERRLEN, "cannot make a file: %s", strerror(errno));
        return -1;
    }
    rc = child_start(&d->child, argv, log);
    if (rc < 0)
        snprintf(err, ESTAB_ERRLEN, "cannot run %s: %s", argv[0], strerror(errno));
    close(log);
    return rc;
}

static int run_curl(struct demo *d, const struct plan *p, const char *host, const char *target,
                    char *err)
{
    char url[1152], outcome[64], word[128];
    const char *const argv[] = {"curl",
                                "-q",
                                p->ip6 ? "-6" : "-4",
                                "--silent",
                                "--show-error",
                                "--fail",
                                "--globoff",
                                "--noproxy",
                                "*",
                                "--max-time",
                                "60",
                                "-o",
                                d->arrived,
                                url,
                                p->server_first ? "-H" : NULL,
                                "Connection: close",
                                NULL};
    int rc;

    snprintf(url, sizeof url, "http://%s%s", host, target);
    rc = start_logged(d, argv, err);
    while (rc == 0 && !child_ended(&d->child))
        rc = turn(d, err);
    if (rc == 0 && d->child.status != 0) {
        snprintf(err, ESTAB_ERRLEN, "curl failed (%s): %s",
                 child_outcome(&d->child, outcome, sizeof outcome),
                 demo_last_word(d, word, sizeof word));
        rc = -1;
    }
    child_stop(&d->child);
    return rc;
}

/* A connection inside the kernel, to see whether the server listens yet: answered at once. */
static bool kernel_answers(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(DEMO_PEER_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes;

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    yes = fd >= 0 && connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

static int start_python(struct demo *d, char *err)
{
    char port[16], outcome[64], word[128];
    const char *const argv[] = {"python3",     "-u",   "-m",         "http.server", "--bind", "::",
                                "--directory", d->www, "--protocol", "HTTP/1.1",    port,     NULL};
    estab_time end_at = node_now(&d->node) + ESTAB_S(60);
    int rc;

    snprintf(port, sizeof port, "%d", DEMO_PEER_PORT);
    rc = start_logged(d, argv, err);
    while (rc == 0 && !kernel_answers()) {
        rc = turn(d, err);
        if (rc == 0 && child_ended(&d->child)) {
            snprintf(err, ESTAB_ERRLEN, "python3 -m http.server failed (%s): %s",
                     child_outcome(&d->child, outcome, sizeof outcome),
                     demo_last_word(d, word, sizeof word));
            rc = -1;
        }
        if (rc == 0 && node_now(&d->node) >= end_at) {
            snprintf(err, ESTAB_ERRLEN, "python3 -m http.server did not begin to listen");
            rc = -1;
        }
    }
    return rc;
}

/* ---- one transfer ---- */

static void print_title(const struct demo *d, size_t i, const char *host, const char *target)
{
    const struct plan *p = &plans[i];
    bool kernel = !d->peer.stack;
    const char *peer = !kernel ? "the second stack" : p->serves ? "curl" : "python3's http.server";
    const char *how = p->server_first ? " with Connection: close" : "";
    bool we_close = p->serves == p->server_first;

    if (d->json)
        return;
    printf("\n%s%zu of %d.  %s over IPv%c; %s closes first%s%s\n", d->colour ? "\033[1m" : "",
           i + 1, DEMO_TRANSFERS,
           p->serves ? kernel ? "curl on the kernel's TCP fetches from estab"
                              : "the second stack fetches from estab"
           : kernel  ? "estab fetches from python3's http.server on the kernel's TCP"
                     : "estab fetches from the second stack",
           p->ip6 ? '6' : '4', we_close ? "estab" : peer,
           we_close ? ": TIME-WAIT is ours" : ": TIME-WAIT is the peer's",
           d->colour ? "\033[0m" : "");
    if (p->serves && kernel)
        printf("$ curl -%c%s http://%s%s\n", p->ip6 ? '6' : '4',
               p->server_first ? " -H 'Connection: close'" : "", host, target);
    else
        printf("GET http://%s%s%s\n", host, target, how);
    fflush(stdout);
}

static int exchange(struct demo *d, size_t i, char *err)
{
    const struct plan *p = &plans[i];
    char host[64], target[1024];

    target_url(d, p, host, sizeof host, target, sizeof target);
    print_title(d, i, host, target);
    ladder_names(d->ladder, "estab", d->peer.stack ? "stack 2" : p->serves ? "curl" : "python3");
    if (!p->serves)
        return fetch(d, &d->node, p, host, target, err);
    return d->peer.stack ? fetch(d, &d->peer, p, host, target, err)
                         : run_curl(d, p, host, target, err);
}

/* Every connection of the transfer goes its way to CLOSED; TIME-WAIT takes 2 MSL. */
static int wait_closed(struct demo *d, char *err)
{
    estab_time end_at = node_now(&d->node) + 2 * d->msl + ESTAB_S(10);
    struct ladder_count c;

    for (ladder_counts(d->ladder, &c); c.closed < c.begun; ladder_counts(d->ladder, &c)) {
        if (node_now(&d->node) >= end_at)
            return 0;
        if (turn(d, err) < 0)
            return -1;
    }
    return 0;
}

static int check(struct demo *d, struct demo_transfer *t, char *err)
{
    char digest[65] = "";

    if (demo_arrived_digest(d, digest, &t->octets, err) < 0)
        return -1;
    t->intact = strcmp(digest, d->digest) == 0;
    unlink(d->arrived);
    return 0;
}

static void print_outcome(const struct demo *d, const struct demo_transfer *t, const char *why)
{
    char a[SAY_LEN], b[SAY_LEN];
    const char *bad = d->colour ? "\033[31m" : "", *end = d->colour ? "\033[0m" : "";

    if (d->json)
        return;
    if (why[0])
        printf("\n%sfailed: %s%s\n", bad, why, end);
    else
        printf("\n%s octets in %s; SHA-256 %s; %s\n", say_count(t->octets, a), say_span(t->took, b),
               t->intact ? "matches" : "DIFFERS",
               t->closed ? "the connection reached CLOSED" : "the connection did NOT reach CLOSED");
    fflush(stdout);
}

static int transfer(struct demo *d, size_t i, char *err)
{
    struct demo_transfer *t = &d->transfer[i];
    struct ladder_count before, after;
    estab_time began_at = node_now(&d->node);
    char closing[ESTAB_ERRLEN] = "";
    int rc;

    ladder_counts(d->ladder, &before);
    d->progress_at = began_at + ESTAB_S(2);
    err[0] = '\0';
    rc = exchange(d, i, err);
    t->took = node_now(&d->node) - began_at;
    d->progress_at = ESTAB_NEVER;
    clear_progress(d);
    if (d->signal || d->lost)
        return -1;
    if (wait_closed(d, closing) < 0) {
        memcpy(err, closing, sizeof closing);
        return -1;
    }
    if (rc == 0)
        rc = check(d, t, err);
    ladder_flush(d->ladder);
    show_rows(d);
    ladder_counts(d->ladder, &after);
    t->closed = after.begun > before.begun && after.closed == after.begun;
    t->again = after.again - before.again;
    t->done = rc == 0 && t->intact && t->closed;
    print_outcome(d, t, rc == 0 ? "" : err);
    return 0;
}

int demo_run(struct demo *d, char *err)
{
    size_t i;
    int rc = 0;

    show_rows(d);
    for (i = 0; i < DEMO_TRANSFERS && rc == 0; i++) {
        if (!plans[i].serves && !d->peer.stack && d->child.pid == 0)
            rc = start_python(d, err);
        if (rc == 0)
            rc = transfer(d, i, err);
    }
    child_stop(&d->child);
    clear_progress(d);
    if (d->signal)
        err[0] = '\0';
    return rc;
}

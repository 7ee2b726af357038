/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_test.c - the control socket of a stack in virtual time: what it says, to whom, and that
 * nobody holds it up. */
#include "ctl_kit.h"

#include <fcntl.h>
#include <sys/un.h>
#include <sys/wait.h>

#define assert_says(text, part)                                                                    \
    do {                                                                                           \
        if (!strstr(text, part))                                                                   \
            fail_msg("no %s in\n%s", part, text);                                                  \
    } while (0)
#define assert_silent(text, part) assert_null(strstr(text, part))

static size_t lines_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void sockets(void **state)
{
    struct kit k;
    char *text;

    kit_open(&k, *state);
    peer_connects(k.p);
    text = kit_asks(&k, "sockets\n");
    assert_int_equal(lines_of(text), 4);
    assert_says(text, "{\"estab\":\"0.1.0\",\"protocol\":2,\"pid\":");
    assert_says(text, "\"command\":\"te_st\"}\n");
    assert_says(text, "\"type\":\"tcp\",\"state\":\"LISTEN\",\"local\":\"10.0.0.1:80\"");
    assert_says(text, "\"state\":\"ESTABLISHED\",\"local\":\"10.0.0.1:80\",\"peer\":"
                      "\"10.0.0.2:5000\"");
    assert_says(text, "\"why\":\"nothing-to-send\"");
    assert_silent(text, "\"sentence\"");
    assert_says(text, "{\"end\":true,\"sockets\":2,\"conns\":1,\"listeners\":1,");
    free(text);
    text = kit_asks(&k, "sockets state listening\n");
    assert_int_equal(lines_of(text), 3);
    free(text);
    text = kit_asks(&k, "sockets dport = :5001\n");
    assert_int_equal(lines_of(text), 2);
    free(text);
    kit_close(&k);
}

static void udp(void **state)
{
    struct peer *p = *state;
    struct kit k;
    estab_sock u;
    char *text;

    kit_open(&k, p);
    assert_int_equal(estab_socket(p->s, ESTAB_UDP, &u), 0);
    assert_int_equal(estab_bind(p->s, u, &p->us), 0);
    text = kit_asks(&k, "why\n");
    assert_says(text, "\"type\":\"udp\",\"state\":\"CLOSED\",\"local\":\"10.0.0.1:80\"");
    assert_says(text, "\"sentence\":\"nothing to send\"");
    assert_says(text, "\"udp_socks\":1,");
    free(text);
    assert_int_equal(estab_kill(p->s, u), ESTAB_E_INVAL);
    kit_close(&k);
}

static void why(void **state)
{
    struct peer *p = *state;
    struct kit k;
    char *text;

    p->cfg.why_times = true;
    peer_restarts(p);
    kit_open(&k, p);
    bring_to(p, ESTAB_CLOSE_WAIT);
    waits(p, ESTAB_S(5));
    text = kit_asks(&k, "why\n");
    assert_says(text, "\"since_ms\":5000,\"sentence\":\"the peer has closed, and the application "
                      "has not for 5.0 s\",\"times_us\":{\"close-wait\":5000000}");
    free(text);
    kit_close(&k);
}

static void stack(void **state)
{
    struct kit k;
    char *text;

    kit_open(&k, *state);
    peer_connects(k.p);
    sends(k.p, SEG(.flags = ACK, .seq = 70000, .ack = 1));
    text = kit_asks(&k, "stack\n");
    assert_says(text, "\n{\"conns\":1,\"listeners\":1,\"synq\":0,\"timewait\":0,");
    assert_says(text, "{\"rule\":\"unacceptable\",\"ref\":\"RFC 9293 section 3.10.7.4, first: "
                      "outside the window\",\"count\":1,\"refuses\":true}");
    assert_says(text, "{\"rule\":\"listen-syn\"");
    free(text);
    kit_close(&k);
}

static void forecast(void **state)
{
    struct kit k;
    char *text;

    kit_open(&k, *state);
    text = kit_asks(&k, "forecast * 10.0.0.2:80\n");
    assert_says(text, "\"ports\":");
    assert_says(text, "\"busy\":{}");
    free(text);
    text = kit_asks(&k, "forecast 10.0.0.2:80\n");
    assert_says(text, "{\"error\":\"a forecast is for");
    free(text);
    kit_close(&k);
}

static void mistakes(void **state)
{
    struct kit k;
    char *text, longer[2000];

    kit_open(&k, *state);
    text = kit_asks(&k, "what\n");
    assert_string_equal(text, "{\"error\":\"ask for sockets, why, stack, forecast, kill or "
                              "trace\"}\n");
    free(text);
    text = kit_asks(&k, "sockets state \"sideways\n");
    assert_says(text, "{\"error\":\"filter: '?sideways' is not a state");
    free(text);
    text = kit_asks(&k, "kill 12z\n");
    assert_says(text, "{\"error\":\"that cannot be killed\"}");
    free(text);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    text = kit_asks(&k, longer);
    assert_string_equal(text, "{\"error\":\"a request is one line of at most 1023 octets, and "
                              "nothing follows it\"}\n");
    free(text);
    kit_close(&k);
}

static void kills(void **state)
{
    char request[64], *text;
    struct kit k;

    kit_open(&k, *state);
    peer_connects(k.p);
    snprintf(request, sizeof request, "kill %llx\n", (unsigned long long)k.p->listener);
    text = kit_asks(&k, request);
    assert_says(text, "that cannot be killed");
    free(text);
    snprintf(request, sizeof request, "kill %llx\n", (unsigned long long)k.p->k);
    text = kit_asks(&k, request);
    assert_says(text, "\n{\"killed\":\"");
    free(text);
    (void)gets(k.p, SEG(.flags = RST | ACK, .seq = 1, .ack = 1));
    assert_state(k.p, CLOSED);
    assert_int_equal(user_error(k.p), ESTAB_E_RESET);
    text = kit_asks(&k, request);
    assert_says(text, "that cannot be killed");
    free(text);
    user_closes(k.p);
    text = kit_asks(&k, request);
    assert_says(text, "the connection is gone");
    free(text);
    kit_close(&k);
}

/* What nobody holds any more can be killed too. */
static void kills_an_orphan(void **state)
{
    struct peer *p = *state;
    struct kit k;

    kit_open(&k, p);
    bring_to(p, ESTAB_FIN_WAIT_2);
    user_closes(p);
    assert_int_equal(stack_of(p).orphans, 1);
    assert_int_equal(estab_kill(p->s, p->k), 0);
    (void)gets(p, SEG(.flags = RST | ACK, .seq = 2, .ack = 1));
    assert_int_equal(stack_of(p).conns, 0);
    assert_int_equal(estab_kill(p->s, p->k), ESTAB_E_BADF);
    kit_close(&k);
}

static void trace(void **state)
{
    struct kit k;
    bool closed;
    char *text;
    int fd;

    kit_open(&k, *state);
    user_listens(k.p, 4);
    fd = kit_client(&k, "trace sport = :80\n");
    text = kit_reads(&k, fd, &closed);
    assert_false(closed);
    assert_int_equal(lines_of(text), 1);
    free(text);
    peer_connects(k.p);
    text = kit_reads(&k, fd, &closed);
    assert_says(text, "\"kind\":\"in\",\"local\":\"10.0.0.1:80\",\"peer\":\"10.0.0.2:5000\","
                      "\"state\":\"LISTEN\",\"flags\":\"S\"");
    assert_says(text, "\"kind\":\"out\"");
    assert_says(text, "\"state\":\"SYN-RECEIVED\",\"id\":");
    assert_says(text, "\"to\":\"ESTABLISHED\",\"event\":\"rcv ACK of SYN\"}");
    free(text);
    assert_true(k.p->edges.n[ESTAB_SYN_RECEIVED][ESTAB_ESTABLISHED][ESTAB_BY_SEGMENT] >
                0); /* env.trace goes on */
    close(fd);
    estab_ctl_run(k.ctl);
    assert_null(k.p->s->tap);
    kit_close(&k);
}

/* Whoever does not read loses records, and is told how many. */
static void trace_that_nobody_reads(void **state)
{
    struct kit k;
    bool closed;
    char *text;
    int fd;

    kit_open(&k, *state);
    fd = kit_client(&k, "trace\n");
    free(kit_reads(&k, fd, &closed));
    peer_connects(k.p);
    for (uint32_t i = 0; i < 4000; i++) {
        sends(k.p, SEG(.flags = ACK, .seq = 70000, .ack = 1));
        ignores_all(k.p);
        if (i % 16 == 0)
            estab_ctl_run(k.ctl);
    }
    text = kit_reads(&k, fd, &closed);
    free(text);
    sends(k.p, SEG(.flags = ACK, .seq = 70000, .ack = 1));
    text = kit_reads(&k, fd, &closed);
    assert_says(text, "{\"lost\":");
    assert_false(closed);
    free(text);
    close(fd);
    kit_close(&k);
}

/* The ninth client takes the place of the first. */
static void clients_are_bounded(void **state)
{
    struct kit k;
    int fd[12];
    char c;

    kit_open(&k, *state);
    for (size_t i = 0; i < 12; i++) {
        fd[i] = estab_ctl_connect(k.path, ESTAB_S(5));
        assert_true(fd[i] >= 0);
        estab_ctl_run(k.ctl);
    }
    assert_int_equal(recv(fd[0], &c, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(fd[11], &c, 1, MSG_DONTWAIT), -1);
    free(kit_asks(&k, "sockets\n"));
    for (size_t i = 0; i < 12; i++)
        close(fd[i]);
    kit_close(&k);
}

/* Thousands of sockets, a few at a time. */
static void many(void **state)
{
    struct kit k;
    estab_sock s;
    char *text;

    kit_open(&k, *state);
    for (size_t i = 0; i < 700; i++)
        assert_int_equal(estab_socket(k.p->s, ESTAB_TCP, &s), 0);
    text = kit_asks(&k, "sockets\n");
    assert_int_equal(lines_of(text), 702);
    free(text);
    kit_close(&k);
}

static void permissions(void **state)
{
    struct estab_ctl_config c = {.size = sizeof c, .group = "0"};
    char err[ESTAB_ERRLEN], text[200] = "";
    estab_ctl *other;
    struct stat st;
    struct kit k;
    int status, fd;
    pid_t child;

    kit_open(&k, *state);
    assert_int_equal(stat(k.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    c.path = k.path;
    assert_int_equal(estab_ctl_open(&other, k.p->s, &c, err), -1);
    assert_says(err, "is another stack's");
    c.path = NULL;
    assert_int_equal(estab_ctl_open(&other, k.p->s, &c, err), -1);
    assert_says(err, "needs a path");
    c.group = "no such group";
    assert_int_equal(estab_ctl_open(&other, k.p->s, &c, err), -1);
    assert_says(err, "there is no group");
    kit_close(&k);
    if (geteuid() != 0)
        return;

    kit_open_as(&k, *state, "4242");
    assert_int_equal(stat(k.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(st.st_gid, 4242);
    assert_int_equal(chmod(k.path, 0666), 0); /* as somebody might, by mistake */
    assert_int_equal(chmod(k.folder, 0755), 0);
    for (gid_t g = 4241; g <= 4242; g++) {
        child = fork();
        if (child == 0) {
            if (setgid(g) != 0 || setuid(4243) != 0)
                _exit(1);
            fd = estab_ctl_connect(k.path, ESTAB_S(5));
            if (fd < 0)
                _exit(2);
            (void)send(fd, "stack\n", 6, MSG_NOSIGNAL); /* it may have been refused already */
            _exit(recv(fd, text, sizeof text - 1, 0) > 0 && strstr(text, "\"error\"") ? 3 : 0);
        }
        while (waitpid(child, &status, WNOHANG) == 0)
            estab_ctl_run(k.ctl);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), g == 4242 ? 0 : 3);
    }
    kit_close(&k);
}

static char *says_to(struct kit *k, const void *octets, size_t len)
{
    int fd = estab_ctl_connect(k->path, ESTAB_S(5));
    bool closed;
    char *text;

    assert_true(fd >= 0);
    assert_int_equal(send(fd, octets, len, 0), len);
    text = kit_reads(k, fd, &closed);
    assert_true(closed);
    close(fd);
    for (const char *c = text; *c; c++)
        if (*c != '\n' && (*c < ' ' || *c > '~'))
            fail_msg("0x%02x in %s", (uint8_t)*c, text);
    return text;
}

/* Whoever sends what is no request is told so, and what it quotes does nobody's terminal harm. */
static void requests_that_are_none(void **state)
{
    static const char quoted[] = "sockets \x1b[2J\x7f\x80\x9b\xff = 1\n";
    static const char two[] = "stack\nstack\n", nul[] = "sockets\0 all\n";
    char endless[1024];
    struct kit k;
    char *text;

    kit_open(&k, *state);
    text = says_to(&k, quoted, sizeof quoted - 1);
    assert_says(text, "{\"error\":\"");
    free(text);
    memset(endless, 's', sizeof endless);
    text = says_to(&k, endless, sizeof endless);
    assert_says(text, "{\"error\":\"a request is one line");
    free(text);
    text = says_to(&k, two, sizeof two - 1);
    assert_says(text, "{\"error\":\"a request is one line");
    free(text);
    text = says_to(&k, nul, sizeof nul - 1);
    assert_says(text, "{\"error\":\"a request is one line");
    free(text);
    text = kit_asks(&k, "stack\n");
    assert_says(text, "\"end\":true");
    free(text);
    kit_close(&k);
}

/* What is at the path and is no socket is somebody's: it stays, and so does what it holds. */
static void a_file_is_no_leftover(void **state)
{
    struct peer *p = *state;
    char folder[] = "/tmp/estab-ctl-XXXXXX", file[64], link[64], err[ESTAB_ERRLEN];
    struct estab_ctl_config c = {.size = sizeof c, .path = file};
    struct stat st;
    estab_ctl *ctl;
    int fd;

    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/thesis", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, "years", 5), 5);
    close(fd);
    assert_int_equal(symlink(file, link), 0);
    assert_int_equal(estab_ctl_open(&ctl, p->s, &c, err), -1);
    assert_says(err, "thesis");
    c.path = link;
    assert_int_equal(estab_ctl_open(&ctl, p->s, &c, err), -1);
    assert_int_equal(lstat(link, &st), 0);
    assert_int_equal(lstat(file, &st), 0);
    assert_int_equal(st.st_size, 5);
    unlink(link);
    unlink(file);
    assert_int_equal(rmdir(folder), 0);
}

/* The socket of a stack that died is. */
static void a_dead_socket_is_a_leftover(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct estab_ctl_config c = {.size = sizeof c, .path = sun.sun_path};
    char folder[] = "/tmp/estab-ctl-XXXXXX", err[ESTAB_ERRLEN];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct peer *p = *state;
    estab_ctl *ctl;

    assert_non_null(mkdtemp(folder));
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/s", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    close(fd);
    assert_int_equal(estab_ctl_open(&ctl, p->s, &c, err), 0);
    estab_ctl_close(ctl);
    assert_int_equal(rmdir(folder), 0);
}

/* A stopped stack's queue of clients fills up: who comes then is told, and nobody waits for it. */
static void a_stopped_stack(void **state)
{
    struct estab_ctl_config c = {.size = sizeof c};
    char err[ESTAB_ERRLEN];
    struct peer *p = *state;
    estab_ctl *other;
    int fd[64], n = 0;
    struct kit k;

    kit_open(&k, p);
    while (n < 64 && (fd[n] = estab_ctl_connect(k.path, 0)) >= 0)
        n++;
    assert_in_range(n, 1, 63);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(estab_ctl_connect(k.path, ESTAB_MS(20)), -1);
    assert_int_equal(errno, EAGAIN);
    c.path = k.path;
    assert_int_equal(estab_ctl_open(&other, p->s, &c, err), -1);
    assert_says(err, "is another stack's");
    while (n > 0)
        close(fd[--n]);
    kit_close(&k);
}

/* The longest folder that fits is the folder, not another with a shorter name. */
static void long_folders(void **state)
{
    char base[] = "/tmp/estab-ctl-XXXXXX", dir[ESTAB_CTL_PATH], want[2 * ESTAB_CTL_PATH],
         err[ESTAB_ERRLEN];
    struct peer *p = *state;
    const char *old = getenv("XDG_RUNTIME_DIR");
    char *kept = old ? strdup(old) : NULL;
    estab_ctl *ctl;

    assert_non_null(mkdtemp(base));
    for (int len = 68; len <= 75; len++) {
        snprintf(dir, sizeof dir, "%s/%0*d", base, len - (int)strlen(base) - 1, 0);
        assert_int_equal(strlen(dir), len);
        assert_int_equal(mkdir(dir, 0700), 0);
        setenv("XDG_RUNTIME_DIR", dir, 1);
        if (estab_ctl_open(&ctl, p->s, NULL, err) != 0)
            fail_msg("%d: %s", len, err);
        snprintf(want, sizeof want, "%s/estab/%ld.sock", dir, (long)getpid());
        assert_string_equal(estab_ctl_path(ctl), want);
        estab_ctl_close(ctl);
        snprintf(want, sizeof want, "%s/estab", dir);
        assert_int_equal(rmdir(want), 0);
        assert_int_equal(rmdir(dir), 0);
    }
    assert_int_equal(rmdir(base), 0);
    if (kept)
        setenv("XDG_RUNTIME_DIR", kept, 1);
    else
        unsetenv("XDG_RUNTIME_DIR");
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(requests_that_are_none),
        PEER_TEST(a_file_is_no_leftover),
        PEER_TEST(a_dead_socket_is_a_leftover),
        PEER_TEST(a_stopped_stack),
        PEER_TEST(long_folders),
        PEER_TEST(sockets),
        PEER_TEST(udp),
        PEER_TEST(why),
        PEER_TEST(stack),
        PEER_TEST(forecast),
        PEER_TEST(mistakes),
        PEER_TEST(kills),
        PEER_TEST(kills_an_orphan),
        PEER_TEST(trace),
        PEER_TEST(trace_that_nobody_reads),
        PEER_TEST(clients_are_bounded),
        PEER_TEST(many),
        PEER_TEST(permissions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

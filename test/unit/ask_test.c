/* SPDX-License-Identifier: BSD-2-Clause */
/* ask_test.c - what ss, why, kill and doctor make of a control socket that another process has, who
 * may be stopped, dead or hostile. */
#include "cli_kit.h"

#include "cli/ask.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define HEADER "{\"estab\":\"0.1.0\",\"protocol\":2,\"pid\":7,\"command\":\"serve\"}\n"

/* For who never answers, and for who does however busy the machine is. */
#define SHORT ESTAB_MS(50)
#define LONG  ESTAB_S(60)

enum manner { CLOSES, STAYS, TRICKLES, FLOODS };
struct fake {
    char folder[32], path[64];
    pid_t pid;
    /* what came of asking it */
    int status;
    size_t lines;
    json_t *last;
    char said[4096];
};

static void serve(int listener, enum manner manner, const char *octets, size_t len)
{
    char request[64], flood[4096];
    int fd = accept(listener, NULL, NULL);

    if (recv(fd, request, sizeof request, 0) <= 0)
        _exit(1);
    if (len > 0 && send(fd, octets, len, MSG_NOSIGNAL) < 0)
        _exit(1);
    while (manner == TRICKLES && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        usleep(2000);
    memset(flood, 'x', sizeof flood);
    while (manner == FLOODS && send(fd, flood, sizeof flood, MSG_NOSIGNAL) > 0)
        continue;
    while (manner == STAYS)
        pause();
    _exit(0);
}

static void fake_open(struct fake *f, enum manner manner, const char *octets, size_t len)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memset(f, 0, sizeof *f);
    memcpy(f->folder, "/tmp/estab-ask-XXXXXX", 22);
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/s", f->folder);
    memcpy(sun.sun_path, f->path, sizeof f->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
    assert_int_equal(listen(fd, 1), 0);
    f->pid = fork();
    if (f->pid == 0)
        serve(fd, manner, octets, len);
    close(fd);
}

static void fake_close(struct fake *f)
{
    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0);
    json_decref(f->last);
}

static bool take(void *ctx, const struct asked *from, json_t *line)
{
    struct fake *f = ctx;

    (void)from;
    f->lines++;
    json_decref(f->last);
    f->last = json_incref(line);
    return true;
}

static void is_asked(struct fake *f, estab_dur patience)
{
    struct ask a = {.name = "test",
                    .ctl_path = f->path,
                    .request = "stack",
                    .line = take,
                    .ctx = f,
                    .patience = patience};
    struct hearing h;

    hear(&h);
    f->status = ask_stacks(&a);
    heard(&h, f->said, sizeof f->said);
}

static void is_asked_in_vain(struct fake *f, estab_dur patience, const char *said)
{
    is_asked(f, patience);
    assert_int_equal(f->status, EXIT_FAILURE);
    if (!strstr(f->said, said))
        fail_msg("no %s in %s", said, f->said);
    fake_close(f);
}

static void an_answer(void **state)
{
    static const char text[] = HEADER "{\"rule\":\"a\"}\n{\"rule\":\"b\"}\n{\"end\":true}\n";
    struct fake f;

    (void)state;
    fake_open(&f, CLOSES, text, sizeof text - 1);
    is_asked(&f, LONG);
    assert_int_equal(f.status, EXIT_SUCCESS);
    assert_int_equal(f.lines, 2);
    assert_string_equal(ask_string(f.last, "rule"), "b");
    assert_string_equal(f.said, "");
    fake_close(&f);
}

/* Escape sequences, the 8-bit CSI, DEL and what is no ASCII: none is for a terminal. */
static void what_would_command_a_terminal(void **state)
{
    static const char text[] =
        HEADER "{\"a\":\"\\u001b[2J\\u009b1m\\u007f\\u202e\",\"b\":{\"c\":[\"\\r\\n\"]},"
               "\"k\\u001b\":1}\n{\"end\":true}\n";
    struct fake f;

    (void)state;
    fake_open(&f, CLOSES, text, sizeof text - 1);
    is_asked(&f, LONG);
    assert_int_equal(f.status, EXIT_SUCCESS);
    assert_string_equal(ask_string(f.last, "a"), "?[2J??1m????");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json_object_get(f.last, "b"), "c"), 0)),
        "??");
    assert_int_equal(json_object_size(f.last), 2);
    fake_close(&f);
}

static void an_error_that_would(void **state)
{
    static const char text[] = "{\"error\":\"\\u001b]0;root\\u0007\"}\n";
    struct fake f;

    (void)state;
    fake_open(&f, CLOSES, text, sizeof text - 1);
    is_asked_in_vain(&f, LONG, "?]0;root?");
}

static void silence(void **state)
{
    struct fake f;
    char who[64];

    (void)state;
    fake_open(&f, STAYS, NULL, 0);
    snprintf(who, sizeof who, "process %ld may be stopped or stuck", (long)getpid());
    is_asked_in_vain(&f, SHORT, who); /* the process that has made the socket */
}

static void silence_in_the_middle(void **state)
{
    static const char text[] = HEADER "{\"rule\":";
    struct fake f;

    (void)state;
    fake_open(&f, STAYS, text, sizeof text - 1);
    is_asked_in_vain(&f, SHORT, "may be stopped or stuck");
}

static void an_octet_now_and_then(void **state)
{
    struct fake f;

    (void)state;
    fake_open(&f, TRICKLES, HEADER, sizeof HEADER - 1);
    is_asked_in_vain(&f, SHORT, "may be stopped or stuck");
}

static void a_line_without_end(void **state)
{
    struct fake f;

    (void)state;
    fake_open(&f, FLOODS, HEADER, sizeof HEADER - 1);
    is_asked_in_vain(&f, LONG, "not what a stack says");
}

static void death_in_the_middle(void **state)
{
    static const char text[] = HEADER "{\"rule\":";
    struct fake f;

    (void)state;
    fake_open(&f, CLOSES, text, sizeof text - 1);
    is_asked_in_vain(&f, LONG, "cut short");
}

static void nonsense(void **state)
{
    static const char *const text[] = {"SSH-2.0-OpenSSH_10.0\r\n", HEADER "[1]\n",
                                       HEADER "{\"a\":nan}\n", HEADER "\n"};
    static const char nul[] = HEADER "{\"a\":1}\0\n";
    struct fake f;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        fake_open(&f, CLOSES, text[i], strlen(text[i]));
        is_asked_in_vain(&f, LONG, "not what a stack says");
    }
    fake_open(&f, CLOSES, nul, sizeof nul - 1);
    is_asked_in_vain(&f, LONG, "not what a stack says");
}

static void nobody_is_there(void **state)
{
    struct fake f = {.path = "/tmp/estab-ask-nowhere/s"};

    (void)state;
    is_asked(&f, LONG);
    assert_int_equal(f.status, EXIT_FAILURE);
    assert_non_null(strstr(f.said, "no stack has its control socket there"));
    memcpy(f.path, "/etc/passwd", 12);
    is_asked(&f, LONG);
    assert_int_equal(f.status, EXIT_FAILURE);
    assert_non_null(strstr(f.said, "nobody answers there"));
}

static void another_version(void **state)
{
    static const char text[] = "{\"estab\":\"9\\u001b\",\"protocol\":3}\n{\"end\":true}\n";
    struct fake f;

    (void)state;
    fake_open(&f, CLOSES, text, sizeof text - 1);
    is_asked_in_vain(&f, LONG, "speaks another version: estab 9?");
}

/* Every string of every line, and every number, is what it should not be. */
#define EVIL "\"\\u001b[2J\\\"\\u009b\\\\\\u007f%n\""
static const char evil[] =
    "{\"estab\":\"0.1.0\",\"protocol\":2,\"pid\":-1,\"command\":" EVIL "}\n"
    "{\"id\":" EVIL ",\"type\":\"tcp\",\"state\":\"ESTABLISHED\",\"local\":" EVIL ",\"peer\":" EVIL
    ",\"kind\":" EVIL ",\"rule\":" EVIL ",\"flags\":" EVIL ",\"why\":" EVIL ",\"sentence\":" EVIL
    ",\"timer\":" EVIL ",\"timer_ms\":1e308,\"cc\":" EVIL ",\"cwnd\":-9223372036854775808,"
    "\"srtt_us\":9223372036854775807,\"recv_q\":[],\"times_us\":{\"a\":-1,\"\\u001b\":1}}\n"
    "{\"id\":1,\"type\":{},\"state\":" EVIL ",\"local\":null,\"kind\":\"state\",\"to\":" EVIL
    ",\"event\":" EVIL ",\"times_us\":[1]}\n"
    "{\"end\":true,\"sockets\":\""
    "\"}\n";

static void what_every_tool_prints(void **state)
{
    static const struct {
        const struct command *tool;
        const char *option;
    } runs[] = {
        {&command_ss, "-aimopw"}, {&command_ss, "--json"},  {&command_ss, "-s"},
        {&command_why, "-at"},    {&command_why, "--json"}, {&command_kill, "-y"},
        {&command_trace, "-c9"},  {&command_trace, "-j"},
    };
    struct fake f;

    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char *argv[] = {NULL, NULL, "--ctl", NULL, "state", "all", NULL};
        char name[16], option[16];

        fake_open(&f, CLOSES, evil, sizeof evil - 1);
        snprintf(name, sizeof name, "%s", runs[i].tool->name);
        snprintf(option, sizeof option, "%s", runs[i].option);
        argv[0] = name;
        argv[1] = option;
        argv[3] = f.path;
        (void)runs_tool(runs[i].tool, argv, f.said, sizeof f.said);
        if (strstr(option, "j"))
            for (const char *at = f.said, *nl; (nl = strchr(at, '\n')) != NULL; at = nl + 1) {
                json_t *o = json_loadb(at, (size_t)(nl - at), 0, NULL);

                if (!o && strncmp(at, "estab ", 6) != 0)
                    fail_msg("no JSON: %.*s", (int)(nl - at), at);
                json_decref(o);
            }
        fake_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer),
        cmocka_unit_test(what_would_command_a_terminal),
        cmocka_unit_test(an_error_that_would),
        cmocka_unit_test(silence),
        cmocka_unit_test(silence_in_the_middle),
        cmocka_unit_test(an_octet_now_and_then),
        cmocka_unit_test(a_line_without_end),
        cmocka_unit_test(death_in_the_middle),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(another_version),
        cmocka_unit_test(what_every_tool_prints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* shm.c - two processes on a link in shared memory: octets, sleep, deaths, strangers. */
#include "link_kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT = 4000, OCTETS = 32 << 20, PIECE = 65536 };

static char path[64], spec[96];

struct side {
    estab_stack *stack;
    estab_loop *loop;
    estab_link *link;
    estab_sock sock;
};

static void open_side(struct side *s, const char *how, unsigned host)
{
    struct estab_env env;
    char err[ESTAB_ERRLEN], text[24];
    uint8_t ip[16], len;
    int port;

    memset(s, 0, sizeof *s);
    estab_host_env(&env);
    assert_int_equal(estab_stack_new(&s->stack, &env, NULL), 0);
    snprintf(spec, sizeof spec, "shm:%s%s", path, how);
    if (estab_link_open(&s->link, spec, err) || estab_loop_new(&s->loop, s->stack, err))
        fail_msg("%s", err);
    port = estab_loop_attach(s->loop, s->link, err);
    assert_true(port >= 0);
    snprintf(text, sizeof text, "10.96.0.%u/24", host);
    assert_int_equal(estab_prefix_parse(ip, &len, text), 0);
    assert_int_equal(estab_addr_add(s->stack, port, ip, len), 0);
}

static void close_side(struct side *s)
{
    estab_loop_free(s->loop);
    estab_stack_free(s->stack);
}

static struct estab_addr addr_of(unsigned host)
{
    struct estab_addr a;
    char text[24];

    snprintf(text, sizeof text, "10.96.0.%u", host);
    assert_int_equal(estab_addr_parse(&a, text, NULL), 0);
    a.port = PORT;
    return a;
}

static int turn(struct side *s)
{
    char err[ESTAB_ERRLEN];

    return estab_loop_turn(s->loop, ESTAB_MS(20), err);
}

/* Sends back what comes, until the end. */
static void echo(struct side *s)
{
    static uint8_t buf[PIECE];
    size_t has = 0, sent = 0;
    struct estab_iov v;
    ptrdiff_t n = 1;

    while (n != 0 || has > sent) {
        if (has == sent) {
            v = (struct estab_iov){buf, sizeof buf};
            n = estab_recv(s->stack, s->sock, &v, 1, 0);
            has = n > 0 ? (size_t)n : 0;
            sent = 0;
        }
        if (has > sent) {
            ptrdiff_t k;

            v = (struct estab_iov){buf + sent, has - sent};
            k = estab_send(s->stack, s->sock, &v, 1, 0);
            sent += k > 0 ? (size_t)k : 0;
            if (k > 0)
                continue;
        } else if (n > 0) {
            continue;
        }
        if (n == 0 || turn(s) < 0)
            break;
    }
}

/* The second process: connects to the first, sends back what comes. */
static pid_t start_second(const char *how)
{
    struct estab_addr peer = addr_of(1);
    struct side s;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    open_side(&s, how, 2);
    if (estab_socket(s.stack, ESTAB_TCP, &s.sock) ||
        estab_connect(s.stack, s.sock, &peer) != ESTAB_E_INPROGRESS)
        _exit(1);
    while (!(estab_ready(s.stack, s.sock) & ESTAB_EV_OUT))
        if (turn(&s) < 0)
            _exit(2);
    echo(&s);
    estab_close(s.stack, s.sock);
    for (int i = 0; i < 3; i++)
        turn(&s);
    close_side(&s);
    _exit(0);
}

static estab_sock await_connection(struct side *s, estab_sock listener)
{
    estab_sock k;

    while (estab_accept(s->stack, listener, &k, NULL) != 0)
        assert_int_equal(turn(s), 0);
    return k;
}

static estab_sock listen_here(struct side *s)
{
    struct estab_addr here = addr_of(1);
    estab_sock l;

    assert_int_equal(estab_socket(s->stack, ESTAB_TCP, &l), 0);
    assert_int_equal(estab_bind(s->stack, l, &here), 0);
    assert_int_equal(estab_listen(s->stack, l, 4), 0);
    return l;
}

static uint8_t octet_at(uint32_t i)
{
    return (uint8_t)((i * 2654435761u) >> 24);
}

static void exchange(struct side *s, uint32_t total)
{
    static uint8_t buf[PIECE];
    struct estab_iov v = {.base = buf};
    uint32_t sent = 0, got = 0, n;
    ptrdiff_t k;

    while (got < total) {
        n = total - sent < PIECE ? total - sent : PIECE;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = octet_at(sent + i);
        v.len = n;
        k = n ? estab_send(s->stack, s->sock, &v, 1, 0) : 0;
        sent += k > 0 ? (uint32_t)k : 0;
        v.len = PIECE;
        k = estab_recv(s->stack, s->sock, &v, 1, 0);
        for (ptrdiff_t i = 0; i < k; i++)
            if (buf[i] != octet_at(got + (uint32_t)i))
                fail_msg("octet %u is another one", (unsigned)(got + (uint32_t)i));
        got += k > 0 ? (uint32_t)k : 0;
        if (k <= 0)
            assert_int_equal(turn(s), 0);
    }
}

static void assert_ended_well(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void every_octet_arrives(const char *how)
{
    struct side s;
    estab_sock l;
    pid_t pid;

    open_side(&s, how, 1);
    l = listen_here(&s);
    pid = start_second(how);
    s.sock = await_connection(&s, l);
    exchange(&s, OCTETS);
    assert_true(s.link->frames_out < OCTETS / 4096);
    estab_shutdown(s.stack, s.sock, ESTAB_SHUT_WR);
    while (!(estab_ready(s.stack, s.sock) & ESTAB_EV_RDHUP))
        assert_int_equal(turn(&s), 0);
    turn(&s);
    assert_ended_well(pid);
    close_side(&s);
    assert_int_equal(access(path, F_OK), -1); /* nothing is left */
}

static void every_octet_arrives_asleep(void **state)
{
    (void)state;
    every_octet_arrives(",busy=0us");
}

/* As it is if nothing is said: now looked for, now slept on. */
static void every_octet_arrives_by_itself(void **state)
{
    (void)state;
    every_octet_arrives("");
}

static void every_octet_arrives_spinning(void **state)
{
    (void)state;
    every_octet_arrives(",busy=1ms");
}

static void another_may_come_after_a_death(void **state)
{
    struct side s;
    estab_sock l;
    pid_t pid;

    (void)state;
    open_side(&s, "", 1);
    l = listen_here(&s);
    for (int i = 0; i < 3; i++) {
        pid = start_second("");
        s.sock = await_connection(&s, l);
        exchange(&s, 1 << 20);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        estab_abort(s.stack, s.sock);
        turn(&s);
    }
    assert_string_equal(s.link->error, "");
    close_side(&s);
}

static void to_the_second_the_link_ends_with_the_first(void **state)
{
    struct side s;
    char err[ESTAB_ERRLEN];
    pid_t pid;
    int rc;

    (void)state;
    pid = fork();
    if (pid == 0) {
        open_side(&s, "", 1);
        for (;;)
            turn(&s);
    }
    while (access(path, F_OK))
        usleep(1000);
    usleep(20000);
    open_side(&s, "", 2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while ((rc = estab_loop_turn(s.loop, ESTAB_S(1), err)) == 0)
        ;
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err, "the other side is gone"));
    close_side(&s);
    assert_int_equal(access(path, F_OK), 0); /* what a death leaves */
    open_side(&s, "", 1);                    /* is no obstacle */
    close_side(&s);
}

static int knock(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    memcpy(a.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void a_third_is_turned_away(void **state)
{
    struct side s;
    estab_sock l;
    char err[ESTAB_ERRLEN];
    estab_link *link;
    pid_t pid, third;
    int status;

    (void)state;
    open_side(&s, "", 1);
    l = listen_here(&s);
    pid = start_second("");
    s.sock = await_connection(&s, l);
    third = fork();
    if (third == 0)
        _exit(estab_link_open(&link, spec, err) == -1 && strstr(err, "turned away") ? 0 : 1);
    while (waitpid(third, &status, WNOHANG) == 0)
        turn(&s);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    exchange(&s, 1 << 16);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close_side(&s);
}

static void the_socket_is_its_users_alone(void **state)
{
    struct side s;
    struct stat st;

    (void)state;
    open_side(&s, "", 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close_side(&s);
}

static void *open_second(void *arg)
{
    char err[ESTAB_ERRLEN];

    assert_int_equal(estab_link_open(arg, spec, err), 0);
    return NULL;
}

static bool runs_on(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static void asks_in_vain(estab_link *l)
{
    struct estab_frame f[4];

    assert_int_equal(l->ops->recv(l, f, 4), 0);
}

/* Who shares a processor keeps the other side from answering as long as he looks. */
static void who_shares_a_processor_does_not_look(void **state)
{
    estab_link *first, *second = NULL;
    struct estab_frame f[4];
    char err[ESTAB_ERRLEN];
    pthread_t thread;
    cpu_set_t before;
    size_t cpu[2], n = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (size_t i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET(i, &before))
            cpu[n++] = i;
    snprintf(spec, sizeof spec, "shm:%s", path);
    assert_int_equal(estab_link_open(&first, spec, err), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_second, &second), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0)
        first->ops->recv(first, f, 4);
    assert_true(runs_on(cpu[0]));
    asks_in_vain(first);
    asks_in_vain(second);
    assert_int_equal(estab_link_look(second), 0);
    asks_in_vain(first);
    assert_int_equal(estab_link_look(first), 0);
    estab_link_looked(first, 0, true); /* something came */
    estab_link_looked(second, 0, true);
    if (n > 1 && runs_on(cpu[1])) {
        asks_in_vain(second);
        assert_true(estab_link_look(second) > 0);
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    estab_link_close(second);
    estab_link_close(first);
}

/* A second that takes the memory and fills it with whatever it likes. */
static void a_hostile_second_is_dropped(void **state)
{
    struct side s;
    estab_sock l;
    pid_t pid;

    (void)state;
    open_side(&s, "", 1);
    l = listen_here(&s);
    pid = fork();
    if (pid == 0) {
        char room[CMSG_SPACE(sizeof(int))], hello[64];
        struct iovec v = {hello, sizeof hello};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
        int fd = knock(), memory;
        struct stat st;
        uint8_t *at;

        if (fd < 0 || recvmsg(fd, &m, 0) < 0)
            _exit(1);
        memcpy(&memory, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof memory);
        if (fstat(memory, &st) || ftruncate(memory, 0) == 0) /* it is sealed */
            _exit(2);
        at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        for (uint64_t x = 1, i = 0;; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            memcpy(at + (x >> 24) % ((uint64_t)st.st_size - 8), &x, 8);
            if (i % 4096 == 0 && send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
                access(path, F_OK))
                _exit(0);
            if (i % 65536 == 0) { /* what the index may be */
                uint32_t head = (uint32_t)(x >> 32) % 65536 / 64 * 64;

                for (size_t k = 0; k < (size_t)st.st_size; k += (size_t)st.st_size / 2)
                    memcpy(at + k, &head, sizeof head);
            }
        }
    }
    for (int i = 0; i < 50; i++)
        turn(&s);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    pid = start_second("");
    s.sock = await_connection(&s, l);
    exchange(&s, 1 << 20);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close_side(&s);
}

static int listen_there(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    memcpy(a.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 0), 0);
    return fd;
}

/* Who listens there is no link. */
static void a_stranger_at_the_socket_is_named(void **state)
{
    int fd = listen_there();
    char err[ESTAB_ERRLEN];
    estab_link *link;

    (void)state;
    assert_int_equal(estab_link_open(&link, spec, err), -1);
    assert_non_null(strstr(err, "does not answer as this link does"));
    close(fd);
    unlink(path);
}

/* ---- a first that is not honest ---- */

/* To the next who comes: n times this descriptor, with the words that an honest one has. */
static void hands_over(int listener, const void *hello, size_t len, int fd, size_t n)
{
    int peer, fds[2] = {fd, fd};
    struct iovec v = {(void *)(uintptr_t)hello, len};
    union {
        struct cmsghdr hdr;
        char room[CMSG_SPACE(sizeof fds)];
    } c = {0};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = c.room,
                       .msg_controllen = CMSG_SPACE(n * sizeof *fds)};

    alarm(60); /* if nobody comes */
    peer = accept(listener, NULL, NULL);
    c.hdr.cmsg_level = SOL_SOCKET;
    c.hdr.cmsg_type = SCM_RIGHTS;
    c.hdr.cmsg_len = CMSG_LEN(n * sizeof *fds);
    memcpy(CMSG_DATA(&c.hdr), fds, n * sizeof *fds);
    if (sendmsg(peer, &m, 0) == (ssize_t)len)
        (void)!read(peer, fds, sizeof fds); /* until the other has gone */
    _exit(0);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 64; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* What an honest first says, and how long its memory is. */
static size_t learn_hello(uint8_t hello[64], off_t *len)
{
    char room[CMSG_SPACE(sizeof(int))];
    struct iovec v = {hello, 64};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct side s;
    struct stat st;
    int fd, memory;
    ssize_t n;

    open_side(&s, "", 1);
    fd = knock();
    turn(&s);
    n = recvmsg(fd, &m, 0);
    assert_true(n > 0);
    memcpy(&memory, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof memory);
    assert_int_equal(fstat(memory, &st), 0);
    *len = st.st_size;
    close(memory);
    close(fd);
    close_side(&s);
    return (size_t)n;
}

/* Memory that its maker could take away, which is a bus error to who uses it: a file, memory that
 * is not sealed; more than one descriptor; other words.  None of it is kept. */
static void what_a_hostile_first_hands_over_is_refused(void **state)
{
    enum { A_FILE, UNSEALED, TOO_MANY, OTHER_WORDS, CASES };
    static const char *const said[] = {"is not sealed", "is not sealed", "does not answer as",
                                       "does not answer as"};
    char err[ESTAB_ERRLEN], file[80];
    uint8_t hello[64];
    off_t len;
    size_t n = learn_hello(hello, &len);

    (void)state;
    snprintf(file, sizeof file, "%s.file", path);
    for (int i = 0; i < CASES; i++) {
        int fd = i == A_FILE ? open(file, O_RDWR | O_CREAT, 0600)
                             : memfd_create("hostile", MFD_ALLOW_SEALING);
        int listener = listen_there();
        unsigned before = open_descriptors();
        estab_link *link;
        pid_t pid;

        assert_int_equal(ftruncate(fd, len), 0);
        if (i > UNSEALED)
            assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        pid = fork();
        if (pid == 0)
            hands_over(listener, hello, i == OTHER_WORDS ? n - 1 : n, fd, i == TOO_MANY ? 2 : 1);
        if (estab_link_open(&link, spec, err) == 0)
            fail_msg("case %d: taken", i);
        assert_non_null(strstr(err, said[i]));
        assert_int_equal(open_descriptors(), before);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(listener);
        close(fd);
        unlink(path);
    }
    unlink(file);
}

/* connect() would wait for ever: nobody accepts, and the queue is full. */
static void who_is_never_let_in_goes_away(void **state)
{
    int listener = listen_there(), n = 0;
    char err[ESTAB_ERRLEN];
    estab_link *link;
    int in[8];

    (void)state;
    do {
        struct sockaddr_un a = {.sun_family = AF_UNIX};

        assert_true(n < 8);
        in[n] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
        memcpy(a.sun_path, path, strlen(path));
        if (connect(in[n++], (struct sockaddr *)&a, sizeof a))
            break;
    } while (true);
    assert_int_equal(estab_link_open(&link, spec, err), -1);
    assert_non_null(strstr(err, "lets nobody in"));
    while (n > 0)
        close(in[--n]);
    close(listener);
    unlink(path);
}

/* The bell rings without end, and all the while the indices are what a quick writer would have
 * them: whoever turns the loop gets it back, and serves others. */
static void a_bell_that_never_stops_holds_nobody_up(void **state)
{
    struct side s;
    pid_t pid;

    (void)state;
    open_side(&s, "", 1);
    pid = fork();
    if (pid == 0) {
        int fd = knock();

        while (send(fd, "", 1, MSG_NOSIGNAL) == 1)
            ;
        _exit(0);
    }
    for (int i = 0; i < 200; i++)
        turn(&s);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close_side(&s);
}

static void what_is_no_place_for_a_socket_is_refused(void **state)
{
    char err[ESTAB_ERRLEN];
    estab_link *link;

    (void)state;
    assert_int_equal(estab_link_open(&link, "shm:/no/such/folder/x", err), -1);
    assert_non_null(strstr(err, "shm:/no/such/folder/x: listening there: No such file"));
    assert_int_equal(estab_link_open(&link, "shm:", err), -1);
    assert_non_null(strstr(err, "1 to 107 characters"));
    assert_int_equal(estab_link_open(&link, "shm:x,vnet=on", err), -1);
    assert_non_null(strstr(err, "no option \"vnet=on\"; there is mtu=N, busy=TIME|auto"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_octet_arrives_asleep),
        cmocka_unit_test(every_octet_arrives_by_itself),
        cmocka_unit_test(every_octet_arrives_spinning),
        cmocka_unit_test(who_shares_a_processor_does_not_look),
        cmocka_unit_test(another_may_come_after_a_death),
        cmocka_unit_test(to_the_second_the_link_ends_with_the_first),
        cmocka_unit_test(a_third_is_turned_away),
        cmocka_unit_test(the_socket_is_its_users_alone),
        cmocka_unit_test(a_hostile_second_is_dropped),
        cmocka_unit_test(a_stranger_at_the_socket_is_named),
        cmocka_unit_test(what_a_hostile_first_hands_over_is_refused),
        cmocka_unit_test(who_is_never_let_in_goes_away),
        cmocka_unit_test(a_bell_that_never_stops_holds_nobody_up),
        cmocka_unit_test(what_is_no_place_for_a_socket_is_refused),
    };
    char folder[] = "/tmp/estab-shm-XXXXXX";
    int rc;

    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/link", folder);
    alarm(120);
    rc = cmocka_run_group_tests_name("shm", tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* remote.c - calls on what a process inherited: asked of the one that has the stack, see remote.h.
 */
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* To each process among the forefathers that has a stack: told apart by the era in which the files
 * were made there. */
enum { LINES = 4 };
static struct line {
    uint32_t era;
    int fd;
    int next; /* of the child that is being forked */
} lines[LINES];
static size_t nlines;
static int own_next = -1;
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER; /* one question at a time */

/* ---- fork ---- */

static int exchange(int line, struct msghdr *out, struct msghdr *in);

static int adopt_next(int line)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } u = {0};
    struct remote_ask ask = {.call = REMOTE_ADOPT};
    struct remote_answer answer = {.err = EIO};
    struct iovec iov[] = {{&ask, sizeof ask}, {&answer, sizeof answer}};
    struct msghdr out = {.msg_iov = &iov[0],
                         .msg_iovlen = 1,
                         .msg_control = u.room,
                         .msg_controllen = sizeof u.room};
    struct msghdr in = {.msg_iov = &iov[1], .msg_iovlen = 1};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
        return -1;
    u.align = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.align), &fds[0], sizeof fds[0]);
    if (exchange(line, &out, &in) || answer.err) {
        close(fds[1]);
        fds[1] = -1;
    }
    close(fds[0]);
    return fds[1];
}

void remote_before_fork(void)
{
    serve_lock();
    pthread_mutex_lock(&line_lock);
    for (size_t i = 0; i < nlines; i++)
        lines[i].next = adopt_next(lines[i].fd);
    own_next = serve_child();
}

static void close_line(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* What the threads that are not here held is nobody's. */
static void count_again(void)
{
    struct file *f;

    for (int fd = 0; (f = fdtab_peek(&fd)); fd++)
        atomic_store(&f->refs, 0);
    for (int fd = 0; (f = fdtab_peek(&fd)); fd++)
        atomic_fetch_add(&f->refs, 1);
}

void remote_after_fork(bool child)
{
    for (size_t i = 0; i < nlines; i++) {
        close_line(child ? lines[i].fd : lines[i].next);
        lines[i].fd = child ? lines[i].next : lines[i].fd;
    }
    if (!child) {
        close_line(own_next);
    } else {
        if (own_next >= 0 && nlines < LINES)
            lines[nlines++] = (struct line){.era = fdtab_era() - 1, .fd = own_next};
        count_again();
        serve_forget(own_next);
    }
    own_next = -1;
    pthread_mutex_unlock(&line_lock);
    serve_unlock();
}

/* ---- a question and its answer ---- */

static int line_of(uint32_t era)
{
    for (size_t i = 0; i < nlines; i++)
        if (lines[i].era == era)
            return lines[i].fd;
    return -1;
}

/* 0, or ENETDOWN: the process with the stack is gone.  line_lock is held. */
static int exchange(int line, struct msghdr *out, struct msghdr *in)
{
    ssize_t n;

    if (line < 0)
        return ENETDOWN;
    do
        n = sendmsg(line, out, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return ENETDOWN;
    do
        n = recvmsg(line, in, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    return n < (ssize_t)sizeof(struct remote_answer) ? ENETDOWN : 0;
}

struct talk {
    uint32_t era;
    struct remote_ask ask;
    struct remote_answer answer;
    struct iovec out[2 + PIECES], in[2 + PIECES]; /* the first is the message's own */
    size_t nout, nin;
    int fd; /* that came along */
};

static int talk_once(struct talk *t)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } u;
    struct msghdr out = {.msg_iov = t->out, .msg_iovlen = t->nout + 1};
    struct msghdr in = {.msg_iov = t->in,
                        .msg_iovlen = t->nin + 1,
                        .msg_control = u.room,
                        .msg_controllen = sizeof u.room};
    struct cmsghdr *h;
    int err;

    t->out[0] = (struct iovec){&t->ask, sizeof t->ask};
    t->in[0] = (struct iovec){&t->answer, sizeof t->answer};
    t->fd = -1;
    pthread_mutex_lock(&line_lock);
    err = exchange(line_of(t->era), &out, &in);
    pthread_mutex_unlock(&line_lock);
    h = err ? NULL : CMSG_FIRSTHDR(&in);
    if (h && h->cmsg_type == SCM_RIGHTS)
        memcpy(&t->fd, CMSG_DATA(h), sizeof t->fd);
    return err;
}

/* In the descriptor, which looks as ready as the socket is; and no longer than there is a line. */
static int wait_here(const struct talk *t, int fd, const struct timespec *until)
{
    struct pollfd fds[] = {{.fd = fd, .events = t->answer.wait}, {.fd = line_of(t->era)}};
    struct timespec now, left;
    int n;

    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        left.tv_sec = until->tv_sec - now.tv_sec;
        left.tv_nsec = until->tv_nsec - now.tv_nsec;
        if (left.tv_nsec < 0) {
            left.tv_sec--;
            left.tv_nsec += 1000000000;
        }
        if (until->tv_sec && left.tv_sec < 0)
            return ETIMEDOUT;
        n = ppoll(fds, 2, until->tv_sec ? &left : NULL, NULL);
    } while (n == 0 || (n < 0 && errno == EINTR && !until->tv_sec && wait_restarts()));
    return n < 0 ? errno : 0;
}

/* Asks, and waits and asks again while the call may.  0, or an errno. */
static int talk_to(struct talk *t, int fd)
{
    struct timespec until = {0};
    bool waited = false;
    int err;

    while ((err = talk_once(t)) == 0 && t->answer.wait) {
        if (!waited && t->answer.limit) {
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += (time_t)(t->answer.limit / ESTAB_S(1));
            until.tv_nsec += (long)(t->answer.limit % ESTAB_S(1));
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
        }
        waited = true;
        err = wait_here(t, fd, &until);
        if (err == ETIMEDOUT)
            return t->ask.call == REMOTE_CONNECT ? EINPROGRESS : EAGAIN;
        if (err)
            return err;
    }
    return err ? err : t->answer.err;
}

static void talk_begin(struct talk *t, const struct file *f, enum remote_call call)
{
    memset(&t->ask, 0, sizeof t->ask);
    t->era = atomic_load(&f->era);
    t->ask.call = call;
    t->ask.key = f->key;
    t->ask.name_len = UINT32_MAX;
    t->nout = t->nin = 0;
}

/* The end of every call here: as call_end of one that is ours. */
static ssize_t talk_end(struct file *f, ssize_t ret, int err)
{
    file_put(f);
    errno = err ? err : errno;
    return err ? -1 : ret;
}

static ssize_t ask_plainly(struct file *f, int fd, struct talk *t)
{
    int err = talk_to(t, fd);

    return talk_end(f, (ssize_t)t->answer.ret, err);
}

void remote_release(struct file *f)
{
    struct remote_ask ask = {.call = REMOTE_RELEASE, .key = f->key};
    int line, before = errno;

    pthread_mutex_lock(&line_lock);
    line = line_of(atomic_load(&f->era));
    if (line >= 0)
        (void)send(line, &ask, sizeof ask, MSG_NOSIGNAL);
    pthread_mutex_unlock(&line_lock);
    errno = before;
}

/* ---- the calls ---- */

static int set_name(struct talk *t, const struct sockaddr *addr, socklen_t len)
{
    if (!addr && len > 0)
        return EFAULT;
    if (len > sizeof t->ask.name)
        return EINVAL;
    if (len > 0)
        memcpy(&t->ask.name, addr, len);
    t->ask.name_len = len;
    return 0;
}

static void get_name(const struct talk *t, struct sockaddr *addr, socklen_t *len)
{
    if (!addr || !len)
        return;
    memcpy(addr, &t->answer.name, *len < t->answer.name_len ? *len : t->answer.name_len);
    *len = t->answer.name_len;
}

/* A descriptor that came along becomes one of ours. */
static int take_over(struct talk *t, int flags)
{
    struct file *f = t->fd < 0 ? NULL : file_new(FILE_SOCKET);

    if (f) {
        f->key = t->answer.key;
        atomic_store(&f->era, t->era);
        (void)fcntl(t->fd, F_SETFD, flags & SOCK_CLOEXEC ? FD_CLOEXEC : 0);
        if (fdtab_put(t->fd, f) == 0)
            return t->fd;
        file_put(f);
    }
    if (t->fd >= 0)
        close(t->fd);
    errno = t->fd < 0 ? EMFILE : ENOMEM;
    return -1;
}

int remote_socket(uint32_t era, uint64_t key, int domain, int type, int protocol)
{
    struct file none = {.key = key};
    struct talk t;
    int err;

    atomic_init(&none.era, era);
    talk_begin(&t, &none, REMOTE_SOCKET);
    t.ask.a = domain;
    t.ask.b = type;
    t.ask.c = protocol;
    err = talk_to(&t, -1);
    if (!err)
        return take_over(&t, type);
    errno = err;
    return -1;
}

int remote_accept(struct file *f, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct talk t;
    int err;

    talk_begin(&t, f, REMOTE_ACCEPT);
    t.ask.a = flags;
    err = talk_to(&t, fd);
    if (!err) {
        get_name(&t, addr, len);
        fd = take_over(&t, flags);
        err = fd < 0 ? errno : 0;
    }
    return (int)talk_end(f, fd, err);
}

int remote_named(struct file *f, int fd, bool connects, const struct sockaddr *addr, socklen_t len)
{
    struct talk t;
    int err;

    talk_begin(&t, f, connects ? REMOTE_CONNECT : REMOTE_BIND);
    err = set_name(&t, addr, len);
    if (err)
        return (int)talk_end(f, -1, err);
    return (int)ask_plainly(f, fd, &t);
}

int remote_name(struct file *f, bool peer, struct sockaddr *addr, socklen_t *len)
{
    struct talk t;
    int err;

    talk_begin(&t, f, peer ? REMOTE_PEERNAME : REMOTE_SOCKNAME);
    err = talk_to(&t, -1);
    if (!err && (!addr || !len))
        err = EFAULT;
    if (!err)
        get_name(&t, addr, len);
    return (int)talk_end(f, 0, err);
}

static int simple(struct file *f, enum remote_call call, int a, int b)
{
    struct talk t;

    talk_begin(&t, f, call);
    t.ask.a = a;
    t.ask.b = b;
    return (int)ask_plainly(f, -1, &t);
}

int remote_listen(struct file *f, int backlog)
{
    return simple(f, REMOTE_LISTEN, backlog, 0);
}

int remote_shutdown(struct file *f, int how)
{
    return simple(f, REMOTE_SHUTDOWN, how, 0);
}

int remote_status(struct file *f, int cmd, int arg)
{
    return simple(f, REMOTE_STATUS, cmd, arg);
}

int remote_ioctl(struct file *f, unsigned long request, int *val)
{
    struct talk t;

    if (!val)
        return (int)talk_end(f, -1, EFAULT);
    talk_begin(&t, f, REMOTE_IOCTL);
    t.ask.a = (int)request;
    t.ask.b = *val;
    t.in[++t.nin] = (struct iovec){val, sizeof *val};
    return (int)ask_plainly(f, -1, &t);
}

int remote_getopt(struct file *f, int level, int name, void *val, socklen_t *len)
{
    struct talk t;
    int err;

    if (!val || !len)
        return (int)talk_end(f, -1, EFAULT);
    if ((int)*len < 0)
        return (int)talk_end(f, -1, EINVAL);
    talk_begin(&t, f, REMOTE_GETOPT);
    t.ask.a = level;
    t.ask.b = name;
    t.ask.len = *len < REMOTE_OCTETS ? *len : REMOTE_OCTETS;
    t.in[++t.nin] = (struct iovec){val, t.ask.len};
    err = talk_to(&t, -1);
    if (!err)
        *len = t.answer.len;
    return (int)talk_end(f, 0, err);
}

int remote_setopt(struct file *f, int level, int name, const void *val, socklen_t len)
{
    union {
        const void *in;
        void *out;
    } v = {val};
    struct talk t;

    if (!val)
        return (int)talk_end(f, -1, EFAULT);
    talk_begin(&t, f, REMOTE_SETOPT);
    t.ask.a = level;
    t.ask.b = name;
    t.ask.len = len < REMOTE_OCTETS ? len : REMOTE_OCTETS;
    t.out[++t.nout] = (struct iovec){v.out, t.ask.len};
    return (int)ask_plainly(f, -1, &t);
}

/* ---- octets ---- */

/* What comes after `from` of them, and how much it is. */
static size_t pieces(const struct iovec *iov, size_t niov, size_t from, struct iovec *out,
                     uint32_t *len)
{
    struct estab_iov piece[PIECES];
    size_t n = estab_iov_from(iov, niov, from, piece, PIECES), k;

    *len = 0;
    for (k = 0; k < n && *len < REMOTE_OCTETS; k++) {
        size_t room = REMOTE_OCTETS - *len;

        out[k] = (struct iovec){piece[k].base, piece[k].len < room ? piece[k].len : room};
        *len += (uint32_t)out[k].iov_len;
    }
    return k;
}

ssize_t remote_recv(struct file *f, int fd, struct msghdr *m, int flags)
{
    size_t wanted, got = 0;
    bool all = (flags & MSG_WAITALL) && !(flags & (MSG_PEEK | MSG_TRUNC));
    struct talk t;
    int err;

    if (m->msg_iovlen > IOV_MAX)
        return talk_end(f, -1, EMSGSIZE);
    wanted = estab_iov_total(m->msg_iov, m->msg_iovlen);
    do {
        talk_begin(&t, f, REMOTE_RECV);
        t.ask.a = flags;
        t.ask.name_len = m->msg_name ? 0 : UINT32_MAX;
        if (m->msg_control)
            t.ask.control_len =
                (uint32_t)(m->msg_controllen < REMOTE_CONTROL ? m->msg_controllen : REMOTE_CONTROL);
        t.in[++t.nin] = (struct iovec){m->msg_control, t.ask.control_len};
        t.nin += pieces(m->msg_iov, m->msg_iovlen, got, &t.in[t.nin + 1], &t.ask.len);
        err = talk_to(&t, fd);
        got += !err && t.answer.ret > 0 ? (size_t)t.answer.ret : 0;
    } while (!err && all && t.answer.blocks && t.answer.ret > 0 && got < wanted);
    if (err && got == 0)
        return talk_end(f, -1, err);
    if (!err) {
        get_name(&t, m->msg_name, &m->msg_namelen);
        m->msg_controllen = t.answer.control_len;
        m->msg_flags = t.answer.flags;
    }
    return talk_end(f, (ssize_t)got, 0);
}

ssize_t remote_send(struct file *f, int fd, const struct msghdr *m, int flags)
{
    size_t wanted, sent = 0;
    struct talk t;
    int err;

    if (m->msg_iovlen > IOV_MAX)
        return talk_end(f, -1, EMSGSIZE);
    wanted = estab_iov_total(m->msg_iov, m->msg_iovlen);
    do {
        talk_begin(&t, f, REMOTE_SEND);
        t.ask.a = flags;
        err = m->msg_name ? set_name(&t, m->msg_name, m->msg_namelen) : 0;
        if (!err && m->msg_controllen > REMOTE_CONTROL)
            err = ENOBUFS;
        if (err)
            return talk_end(f, -1, err);
        t.ask.control_len = (uint32_t)m->msg_controllen;
        t.out[++t.nout] = (struct iovec){m->msg_control, t.ask.control_len};
        t.nout += pieces(m->msg_iov, m->msg_iovlen, sent, &t.out[t.nout + 1], &t.ask.len);
        if (t.ask.len < wanted - sent)
            t.ask.a |= MSG_MORE;
        err = talk_to(&t, fd);
        sent += !err && t.answer.ret > 0 ? (size_t)t.answer.ret : 0;
    } while (!err && sent < wanted && (t.answer.blocks || (size_t)t.answer.ret == t.ask.len));
    if (sent > 0)
        return talk_end(f, (ssize_t)sent, 0);
    if (err == EPIPE && !(flags & MSG_NOSIGNAL) && t.answer.flags) {
        (void)talk_end(f, -1, 0);
        (void)raise(SIGPIPE);
        errno = EPIPE;
        return -1;
    }
    return talk_end(f, (ssize_t)sent, err);
}

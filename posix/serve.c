/* SPDX-License-Identifier: BSD-2-Clause */
/* serve.c - the calls of forked children, made here, where the stack is: see remote.h.
 *
 * One thread serves all children.  It makes the calls that everybody makes, on a file that it names
 * instead of a descriptor, and never waits in one. */
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct child {
    struct child *next;
    int fd; /* our end of its line */
    struct file **held;
    size_t n, cap;
};
struct request {
    struct child *child;
    struct remote_ask ask;
    struct remote_answer answer;
    int fd; /* that came along, or is to go along; -1 */
    _Alignas(struct cmsghdr) char control[REMOTE_CONTROL];
    char octets[REMOTE_OCTETS];
};

static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;
static struct child *children;
static int line_set = -1; /* the kernel's epoll over all lines */
static _Thread_local struct file *subject;
static _Thread_local bool serving;

struct file *serve_subject(void)
{
    return subject;
}

bool file_nonblock(const struct file *f)
{
    return serving || atomic_load(&f->nonblock);
}

/* ---- who holds what ---- */

/* Takes the caller's reference; false: no memory. */
static bool hold(struct child *c, struct file *f)
{
    struct file **held = c->held;

    if (c->n == c->cap) {
        held = realloc(c->held, (c->cap * 2 + 8) * sizeof *held);
        if (!held)
            return false;
        c->held = held;
        c->cap = c->cap * 2 + 8;
    }
    shard_lock(f->shard);
    if (f->holders++ == 0) {
        f->shard->nheld++;
        f->mirror = ESTAB_MIRROR_ALWAYS;
        if (f->p)
            mirror_settle(f, true);
    }
    pthread_mutex_unlock(&f->shard->lock);
    held[c->n++] = f;
    return true;
}

static void let_go(struct file *f)
{
    shard_lock(f->shard);
    if (--f->holders == 0)
        f->shard->nheld--;
    pthread_mutex_unlock(&f->shard->lock);
    file_put(f);
}

static struct file **held_by(const struct child *c, uint64_t key)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->held[i]->key == key)
            return &c->held[i];
    return NULL;
}

static void child_free(struct child *c)
{
    for (size_t i = 0; i < c->n; i++)
        let_go(c->held[i]);
    close(c->fd);
    free(c->held);
    free(c);
}

/* Takes fd. */
static bool child_add(struct child *c, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

    c->fd = fd;
    if (epoll_ctl(line_set, EPOLL_CTL_ADD, fd, &e))
        return false;
    c->next = children;
    children = c;
    return true;
}

static void child_gone(struct child *c)
{
    struct child **at = &children;

    pthread_mutex_lock(&children_lock);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pthread_mutex_unlock(&children_lock);
    /* A fork may have a copy of it this moment, so that its close does not take it out. */
    (void)epoll_ctl(line_set, EPOLL_CTL_DEL, c->fd, NULL);
    child_free(c);
}

/* ---- the calls ---- */

/* The file of a new descriptor becomes the child's; the descriptor goes along. */
static int give_away(struct request *r, int fd)
{
    struct file *f = fd < 0 ? NULL : file_get(fd);

    if (!f)
        return fd;
    r->answer.key = f->key;
    if (!hold(r->child, f)) {
        file_put(f);
        (void)estab_posix_close(fd);
        errno = ENOMEM;
        return -1;
    }
    r->fd = fd;
    return 0;
}

static ssize_t serve_message(struct request *r)
{
    struct remote_answer *a = &r->answer;
    struct iovec iov = {r->octets, r->ask.len};
    bool named = r->ask.name_len != UINT32_MAX;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = r->ask.control_len ? r->control : NULL,
                       .msg_controllen = r->ask.control_len};
    ssize_t n;

    if (r->ask.call == REMOTE_SEND) {
        a->flags = subject->type == SOCK_STREAM; /* where a broken pipe is a signal, in the child */
        m.msg_name = named ? &r->ask.name : NULL;
        m.msg_namelen = named ? r->ask.name_len : 0;
        return estab_posix_sendmsg(-1, &m, r->ask.a | MSG_NOSIGNAL);
    }
    m.msg_name = named ? &a->name : NULL;
    m.msg_namelen = named ? sizeof a->name : 0;
    n = estab_posix_recvmsg(-1, &m, r->ask.a);
    a->flags = m.msg_flags;
    a->name_len = m.msg_namelen;
    a->control_len = (uint32_t)m.msg_controllen;
    a->len = n < 0 ? 0 : n < r->ask.len ? (uint32_t)n : r->ask.len;
    return n;
}

static int serve_status(struct file *f, const struct remote_ask *ask)
{
    if (ask->a == F_SETFL)
        atomic_store(&f->nonblock, (ask->b & O_NONBLOCK) != 0);
    return ask->a == F_SETFL ? 0 : O_RDWR | (atomic_load(&f->nonblock) ? O_NONBLOCK : 0);
}

static ssize_t serve_call(struct request *r)
{
    const struct remote_ask *ask = &r->ask;
    struct remote_answer *a = &r->answer;
    struct sockaddr *name = (struct sockaddr *)&a->name, *to = (struct sockaddr *)&r->ask.name;
    int ret;

    a->name_len = sizeof a->name;
    switch (ask->call) {
    case REMOTE_SOCKET:
        return give_away(r, posix_socket_at(ask->key, ask->a, ask->b, ask->c));
    case REMOTE_BIND:
        return estab_posix_bind(-1, to, ask->name_len);
    case REMOTE_LISTEN:
        return estab_posix_listen(-1, ask->a);
    case REMOTE_ACCEPT:
        return give_away(r, estab_posix_accept4(-1, name, &a->name_len, ask->a));
    case REMOTE_CONNECT:
        return estab_posix_connect(-1, to, ask->name_len);
    case REMOTE_SOCKNAME:
        return estab_posix_getsockname(-1, name, &a->name_len);
    case REMOTE_PEERNAME:
        return estab_posix_getpeername(-1, name, &a->name_len);
    case REMOTE_GETOPT:
        a->len = ask->len;
        ret = estab_posix_getsockopt(-1, ask->a, ask->b, r->octets, &a->len);
        a->len = ret ? 0 : a->len;
        return ret;
    case REMOTE_SETOPT:
        return estab_posix_setsockopt(-1, ask->a, ask->b, r->octets, ask->len);
    case REMOTE_RECV:
    case REMOTE_SEND:
        return serve_message(r);
    case REMOTE_SHUTDOWN:
        return estab_posix_shutdown(-1, ask->a);
    case REMOTE_IOCTL:
        memcpy(r->octets, &ask->b, sizeof ask->b);
        ret = estab_posix_ioctl(-1, (unsigned long)(unsigned)ask->a, (void *)r->octets);
        a->len = ret ? 0 : sizeof ask->b;
        return ret;
    case REMOTE_STATUS:
        return serve_status(subject, ask);
    case REMOTE_RELEASE:
    case REMOTE_ADOPT:
        break;
    }
    errno = ENOSYS;
    return -1;
}

/* What a child that may wait polls for, before it asks again. */
static void may_wait(struct file *f, const struct remote_ask *ask, struct remote_answer *a)
{
    bool reads = ask->call == REMOTE_ACCEPT || ask->call == REMOTE_RECV;
    bool writes = ask->call == REMOTE_CONNECT || ask->call == REMOTE_SEND;
    bool message = ask->call == REMOTE_RECV || ask->call == REMOTE_SEND;

    a->blocks = (reads || writes) && !atomic_load(&f->nonblock) &&
                !(message && ask->a & (MSG_DONTWAIT | MSG_ERRQUEUE));
    if (!a->blocks || (a->err != EAGAIN && a->err != EINPROGRESS && a->err != EALREADY))
        return;
    a->wait = reads ? POLLIN : POLLOUT;
    shard_lock(f->shard);
    a->limit = reads ? f->rcvtimeo : f->sndtimeo;
    pthread_mutex_unlock(&f->shard->lock);
}

/* A grandchild's line comes along. */
static int adopt(struct request *r)
{
    struct child *c = calloc(1, sizeof *c);
    bool ok = c != NULL && r->fd >= 0;

    if (ok)
        c->fd = r->fd;
    for (size_t i = 0; ok && i < r->child->n; i++) {
        atomic_fetch_add(&r->child->held[i]->refs, 1);
        ok = hold(c, r->child->held[i]);
        if (!ok)
            file_put(r->child->held[i]);
    }
    pthread_mutex_lock(&children_lock);
    ok = ok && child_add(c, r->fd);
    pthread_mutex_unlock(&children_lock);
    if (ok) {
        r->fd = -1;
        return 0;
    }
    if (c && r->fd >= 0) {
        child_free(c);
        r->fd = -1;
    } else {
        free(c);
    }
    return ENOMEM;
}

static void serve_request(struct request *r)
{
    struct file **held = held_by(r->child, r->ask.key);
    struct remote_answer *a = &r->answer;

    if (r->ask.call == REMOTE_ADOPT) {
        a->err = adopt(r);
        return;
    }
    if (r->ask.call != REMOTE_SOCKET && !held) {
        a->err = EBADF;
        return;
    }
    if (held) { /* so that the busiest are found first */
        struct file *f = *held;

        *held = r->child->held[0];
        r->child->held[0] = f;
        subject = f;
    }
    a->ret = serve_call(r);
    a->err = a->ret < 0 ? errno : 0;
    if (subject)
        may_wait(subject, &r->ask, a);
    subject = NULL;
}

/* ---- the lines ---- */

/* True: there is a request, whole. */
static bool read_request(struct request *r, struct child *c)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } u;
    struct iovec iov[] = {{&r->ask, sizeof r->ask}, {r->octets, sizeof r->octets}};
    struct msghdr m = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = u.room, .msg_controllen = sizeof u.room};
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    uint32_t control;

    r->child = c;
    r->fd = -1;
    memset(&r->answer, 0, sizeof r->answer);
    if (h && h->cmsg_type == SCM_RIGHTS)
        memcpy(&r->fd, CMSG_DATA(h), sizeof r->fd);
    control = r->ask.control_len;
    if (n < (ssize_t)sizeof r->ask || r->ask.len > REMOTE_OCTETS || control > REMOTE_CONTROL)
        return false;
    if (r->ask.call != REMOTE_SEND)
        return true;
    if ((size_t)n != sizeof r->ask + control + r->ask.len)
        return false;
    memcpy(r->control, r->octets, control);
    memmove(r->octets, r->octets + control, r->ask.len);
    return true;
}

static bool write_answer(struct request *r)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } u = {0};
    struct iovec iov[] = {{&r->answer, sizeof r->answer},
                          {r->control, r->ask.call == REMOTE_RECV ? r->ask.control_len : 0},
                          {r->octets, r->answer.len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};
    bool ok;

    if (r->fd >= 0) {
        u.align = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&u.align), &r->fd, sizeof r->fd);
        m.msg_control = u.room;
        m.msg_controllen = sizeof u.room;
    }
    ok = sendmsg(r->child->fd, &m, MSG_NOSIGNAL) >= 0;
    if (r->fd >= 0)
        (void)estab_posix_close(r->fd); /* the child has it */
    return ok;
}

/* False: the child is gone. */
static bool serve_line(struct child *c)
{
    static struct request r; /* one thread serves */
    struct file **held;

    if (!read_request(&r, c)) {
        if (r.fd >= 0)
            close(r.fd);
        return false;
    }
    if (r.ask.call != REMOTE_RELEASE) {
        serve_request(&r);
        return write_answer(&r);
    }
    held = held_by(c, r.ask.key);
    if (held) {
        struct file *f = *held;

        *held = c->held[--c->n];
        let_go(f);
    }
    return true;
}

static void *serve_main(void *ctx)
{
    struct epoll_event e;
    int set = *(int *)ctx;

    serving = true;
    for (;;)
        if (epoll_wait(set, &e, 1, -1) == 1 && !serve_line(e.data.ptr))
            child_gone(e.data.ptr);
    return NULL;
}

static int serve_start(void)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    int err;

    if (line_set >= 0)
        return 0;
    line_set = epoll_create1(EPOLL_CLOEXEC);
    if (line_set < 0)
        return errno;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&thread, &attr, serve_main, &line_set);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (err) {
        close(line_set);
        line_set = -1;
    }
    return err;
}

/* Every socket of this process that has a descriptor. */
static bool hold_all(struct child *c)
{
    struct file *f;

    for (int fd = 0; (f = fdtab_next(&fd)); fd++) {
        bool ours =
            f->kind == FILE_SOCKET && !file_foreign(f) && (f->nfds == 1 || !held_by(c, f->key));

        if (!ours || !hold(c, f)) {
            file_put(f);
            if (ours)
                return false;
        }
    }
    return true;
}

int serve_child(void)
{
    struct child *c = calloc(1, sizeof *c);
    int fds[2];

    if (!c || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
        free(c);
        return -1;
    }
    c->fd = fds[0];
    if (hold_all(c) && (c->n > 0 || posix_has_stack()) && !serve_start() && child_add(c, fds[0]))
        return fds[1];
    close(fds[1]);
    child_free(c);
    return -1;
}

void serve_lock(void)
{
    pthread_mutex_lock(&children_lock);
}

void serve_unlock(void)
{
    pthread_mutex_unlock(&children_lock);
}

void serve_forget(int line)
{
    struct remote_ask ask = {.call = REMOTE_RELEASE};

    for (size_t i = 0; line >= 0 && i < children->n; i++)
        if (atomic_load(&children->held[i]->refs) == 0) {
            ask.key = children->held[i]->key;
            (void)send(line, &ask, sizeof ask, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    while (children) {
        struct child *c = children;

        children = c->next;
        close(c->fd);
        free(c->held);
        free(c);
    }
    if (line_set >= 0)
        close(line_set);
    line_set = -1;
}

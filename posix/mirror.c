/* SPDX-License-Identifier: BSD-2-Clause */
/* mirror.c - the kernel's object behind a descriptor, made to look as ready as our socket is.
 *
 * The object is a UNIX datagram socket, one descriptor, with no system call but its making as long
 * as nobody looks.  What a kernel's poll says of it can be steered in all four ways:
 *
 *   readable       a datagram lies in it
 *   not writable   it is connected to a socket whose queue is full
 *   hung up        it is shut down
 *
 * Two sockets of the process send the datagrams: one is always empty, one always full.  The object
 * is connected to one of them, which also keeps everybody else's datagrams out.  Connecting to the
 * other empties the object's queue, so writability is settled first.
 *
 * Nobody tells us whether the kernel's epoll watches a descriptor.  The rule, ESTAB_MIRROR_AUTO:
 * what a blocked call or an epoll set of ours waits for is told to those; only what none of them
 * waits for is told to the kernel: at once while nobody blocks in a call, else by the helper,
 * within its patience, so that a thread that is about to come back for its data finds it before.  A
 * call that finds the object readable and the socket no longer so puts that right. */
#include "posix_int.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { IN_MAX = 8 };

struct feeder {
    int fd;
    struct sockaddr_un name;
    socklen_t len;
};
static struct feeder feeders[2]; /* one empty, one full */
static pthread_once_t feeders_once = PTHREAD_ONCE_INIT;

static int name_it(int fd, struct sockaddr_un *name, socklen_t *len)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (bind(fd, (struct sockaddr *)name, sizeof(sa_family_t)))
        return -1;
    *len = sizeof *name;
    return getsockname(fd, (struct sockaddr *)name, len);
}

static void feeders_make(void)
{
    int fill = mirror_socket(SOCK_CLOEXEC);

    for (int i = 0; i < 2; i++) {
        feeders[i].fd = mirror_socket(SOCK_CLOEXEC);
        (void)name_it(feeders[i].fd, &feeders[i].name, &feeders[i].len);
    }
    while (sendto(fill, "", 1, 0, (struct sockaddr *)&feeders[1].name, feeders[1].len) == 1)
        continue;
    close(fill);
    (void)shutdown(feeders[0].fd, SHUT_RD); /* nobody can fill the empty one */
}

int mirror_socket(int flags)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | (flags & SOCK_CLOEXEC), 0);
}

static void count(struct file *f)
{
    f->shard->stats.mirrored++;
}

static void attach(struct file *f, bool full)
{
    count(f);
    (void)connect(f->fd, (struct sockaddr *)&feeders[full].name, feeders[full].len);
    f->mir_full = full;
    f->mir_in = 0;
}

/* The object gets an address, and a peer that is its only one. */
static bool mirror_begin(struct file *f, bool full)
{
    struct sockaddr_un name;
    socklen_t len;

    if (f->mir_bound)
        return true;
    pthread_once(&feeders_once, feeders_make);
    count(f);
    count(f);
    if (name_it(f->fd, &name, &len) ||
        len - offsetof(struct sockaddr_un, sun_path) > sizeof f->mir_name)
        return false;
    f->mir_len = (uint8_t)(len - offsetof(struct sockaddr_un, sun_path));
    memcpy(f->mir_name, name.sun_path, f->mir_len);
    f->mir_bound = true;
    attach(f, full);
    return true;
}

static void put_in(struct file *f)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + f->mir_len);

    memcpy(name.sun_path, f->mir_name, f->mir_len);
    count(f);
    if (sendto(feeders[f->mir_full].fd, "", 1, MSG_DONTWAIT, (struct sockaddr *)&name, len) == 1)
        f->mir_in++;
}

static void take_out(struct file *f)
{
    char octet;

    while (f->mir_in > 0) {
        count(f);
        (void)recv(f->fd, &octet, 1, MSG_DONTWAIT);
        f->mir_in--;
    }
}

static void mirror_hang_up(struct file *f, int how)
{
    if (f->mir_shut > how)
        return;
    count(f);
    (void)shutdown(f->fd, how == SHUT_RDWR ? SHUT_RDWR : SHUT_RD);
    f->mir_shut = how + 1;
}

static uint32_t interest(const struct file *f)
{
    uint32_t mask = items_interest(f);

    for (const struct watch *c = f->watches; c; c = c->next) {
        mask |= c->mask & (ESTAB_EV_IN | ESTAB_EV_RDHUP) ? EPOLLIN : 0;
        mask |= c->mask & ESTAB_EV_OUT ? EPOLLOUT : 0;
    }
    return mask;
}

/* news: something happened, so one who waits for edges is to see one. */
static void mirror_settle_to(struct file *f, uint32_t level, bool news)
{
    uint32_t waits = f->mirror == ESTAB_MIRROR_ALWAYS ? 0 : interest(f);
    bool in = (level & (EPOLLIN | EPOLLERR)) != 0, full = !(level & EPOLLOUT);

    if (f->mirror == ESTAB_MIRROR_NEVER || f->fd < 0)
        return;
    if (waits & EPOLLOUT && !f->mir_full)
        full = false;
    if (waits & EPOLLIN && f->mir_in == 0)
        in = false;
    if (!in && !full && !f->mir_bound)
        return;
    if (!mirror_begin(f, full))
        return;
    if (full != f->mir_full)
        attach(f, full);
    if (!in)
        take_out(f);
    else if (f->mir_in == 0 || (news && f->mir_in < IN_MAX))
        put_in(f);
    if (in && level & EPOLLHUP)
        mirror_hang_up(f, SHUT_RDWR);
    else if (in && level & EPOLLRDHUP && f->type == SOCK_STREAM && !f->listening)
        mirror_hang_up(f, SHUT_RD);
}

void mirror_touch(struct file *f)
{
    if (f->in_dirty || f->mirror == ESTAB_MIRROR_NEVER || f->fd < 0)
        return;
    f->in_dirty = true;
    f->next_dirty = f->shard->dirty;
    f->shard->dirty = f;
}

void mirror_flush(struct shard *sh)
{
    if (!sh->dirty)
        return;
    if (!sh->has_helper || sh->watching || sh->nheld > 0)
        mirror_flush_now(sh);
    else if (sh->deep)
        pthread_cond_signal(&sh->tick);
}

void mirror_flush_now(struct shard *sh)
{
    while (sh->dirty) {
        struct file *f = sh->dirty;

        sh->dirty = f->next_dirty;
        f->in_dirty = false;
        mirror_settle_to(f, f->p ? sock_level(f) : EPOLLIN | EPOLLOUT | EPOLLHUP, true);
    }
}

void mirror_forget(struct file *f)
{
    struct file **at = &f->shard->dirty;

    if (!f->in_dirty)
        return;
    while (*at != f)
        at = &(*at)->next_dirty;
    *at = f->next_dirty;
    f->in_dirty = false;
}

void mirror_settle(struct file *f, bool again)
{
    if (again || f->mir_in > 0 || f->mir_full)
        mirror_settle_to(f, f->p ? sock_level(f) : EPOLLIN | EPOLLOUT | EPOLLHUP, false);
}

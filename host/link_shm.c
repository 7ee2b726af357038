/* SPDX-License-Identifier: BSD-2-Clause */
/* link_shm.c - a link between two processes of one machine: shm_ring.c each way, in one memfd.
 *
 * They find each other at a UNIX socket.  Who comes first listens there (mode 0600, and asks the
 * kernel that the other one is the same user, or root), makes the memory, seals its size, and hands
 * it over; so neither can make the other fault by taking it away.  Who comes second must find the
 * seals and the size.  The socket stays: a wake-up is an octet on it, which costs a system call
 * only while the other side sleeps, and its end is the other side's death.  Not an eventfd: its
 * flags and its counter belong to both sides, and a full one would block the writer.
 *
 * The first goes on listening when the second has gone; to the second the link is gone. */
#include "shm_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char magic[8] = "estab\2\0"; /* and the version of what follows */

struct hello { /* from who listens, with the descriptor */
    char magic[8];
    uint32_t mtu, ring_len;
};
struct shared {
    struct shm_ring ring[2]; /* [0]: from who listens */
};
struct shm {
    estab_link link;
    int epoll, listener, peer; /* -1: none */
    struct sockaddr_un at;
    dev_t dev; /* of the socket that we made */
    ino_t ino;
    struct shared *shared;
    bool slept; /* since then the bell may have been rung */
    unsigned looks;
    struct shm_out out;
    struct shm_in in;
};

static void watch_fd(const struct shm *s, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void hang_up(struct shm *s)
{
    if (s->peer >= 0)
        close(s->peer);
    if (s->shared)
        munmap(s->shared, sizeof *s->shared);
    s->peer = -1;
    s->shared = NULL;
}

static void use_memory(struct shm *s, struct shared *m, bool first)
{
    s->shared = m;
    s->out = (struct shm_out){.ring = &m->ring[first ? 0 : 1]};
    s->in.ring = &m->ring[first ? 1 : 0];
    s->in.tail = s->in.kept = s->in.freed = 0;
    s->in.broken = false;
}

static void *map(int fd)
{
    void *m = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return m == MAP_FAILED ? NULL : m;
}

/* ---- who comes first ---- */

static int make_memory(struct shm *s)
{
    int fd = memfd_create("estab", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *m;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, sizeof(struct shared)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 && (m = map(fd))) {
        use_memory(s, m, true);
        return fd;
    }
    close(fd);
    return -1;
}

static int hand_over(const struct shm *s, int memory)
{
    struct hello h = {.mtu = s->link.caps.mtu, .ring_len = SHM_RING_LEN};
    struct iovec v = {&h, sizeof h};
    union {
        struct cmsghdr hdr;
        char room[CMSG_SPACE(sizeof memory)];
    } c = {0};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof c.room};

    memcpy(h.magic, magic, sizeof h.magic);
    c.hdr.cmsg_level = SOL_SOCKET;
    c.hdr.cmsg_type = SCM_RIGHTS;
    c.hdr.cmsg_len = CMSG_LEN(sizeof memory);
    memcpy(CMSG_DATA(&c.hdr), &memory, sizeof memory);
    return sendmsg(s->peer, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof h ? 0 : -1;
}

static bool may_come(int fd)
{
    struct ucred u;
    socklen_t len = sizeof u;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0 &&
           (u.uid == geteuid() || u.uid == 0);
}

/* Somebody knocks: at most one is let in. */
static void answer(struct shm *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), memory;

    if (fd < 0)
        return;
    if (s->peer >= 0 || !may_come(fd)) {
        close(fd);
        return;
    }
    s->peer = fd;
    memory = make_memory(s);
    if (memory < 0 || hand_over(s, memory))
        hang_up(s);
    else
        watch_fd(s, fd);
    if (memory >= 0)
        close(memory);
}

static int listen_at(struct shm *s, char *err)
{
    struct stat st;
    mode_t mask;
    int rc;

    s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(s->at.sun_path); /* nobody listens there, as connect() has said */
    mask = umask(0177);
    rc = s->listener < 0 ? -1 : bind(s->listener, (struct sockaddr *)&s->at, sizeof s->at);
    umask(mask);
    if (rc || listen(s->listener, 4) || stat(s->at.sun_path, &st))
        return link_say(err, "%s: listening there: %s", s->link.name, strerror(errno));
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    watch_fd(s, s->listener);
    return 0;
}

/* ---- who comes second ---- */

static int take_memory(struct shm *s, int fd, const struct hello *h, char *err)
{
    int seals = fcntl(fd, F_GET_SEALS); /* -1: what has none, a file */
    struct stat st;
    void *m;

    if (memcmp(h->magic, magic, sizeof magic) != 0 || h->ring_len != SHM_RING_LEN || h->mtu < 68 ||
        h->mtu > SHM_FRAME_MAX)
        return link_say(err, "%s: who listens there speaks another version of this link",
                        s->link.name);
    if (fstat(fd, &st) || st.st_size != sizeof(struct shared) || seals < 0 ||
        !(seals & F_SEAL_SHRINK))
        return link_say(err,
                        "%s: the memory that was handed over is not sealed, or of another size: "
                        "whoever made it could take it away",
                        s->link.name);
    m = map(fd);
    if (!m)
        return link_say(err, "%s: mapping the memory: %s", s->link.name, strerror(errno));
    if (h->mtu < s->link.caps.mtu)
        s->link.caps.mtu = h->mtu;
    use_memory(s, m, false);
    watch_fd(s, s->peer);
    return 0;
}

/* The descriptor that came; -1: none, or more than one. */
static int descriptor_of(struct msghdr *m)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    int fd[2];
    size_t n;

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return -1;
    n = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fd; /* there is room for two */
    memcpy(fd, CMSG_DATA(c), n * sizeof *fd);
    if (n == 1)
        return fd[0];
    while (n > 0)
        close(fd[--n]);
    return -1;
}

static int be_welcomed(struct shm *s, char *err)
{
    struct hello h;
    struct iovec v = {&h, sizeof h};
    int fd, rc;
    union {
        struct cmsghdr hdr;
        char room[CMSG_SPACE(sizeof fd)];
    } c = {0};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof c.room};
    ssize_t n = recvmsg(s->peer, &m, MSG_CMSG_CLOEXEC);

    if (n == 0)
        return link_say(err,
                        "%s: turned away: another process has this link, or it belongs to another "
                        "user",
                        s->link.name);
    fd = n < 0 ? -1 : descriptor_of(&m);
    if (n != sizeof h || fd < 0)
        rc = link_say(err, "%s: who listens there does not answer as this link does%s%s",
                      s->link.name, n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    else
        rc = take_memory(s, fd, &h, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- frames ---- */

static void ring_the_bell(const struct shm *s)
{
    send(s->peer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* one that is full has been rung */
}

/* Empties the bell, and sees whether the other side is still there, and who else knocks.  An honest
 * one rings once for each sleep; one that never stops is not listened to for ever. */
static bool peer_lives(struct shm *s)
{
    enum { RINGS = 16 };
    char bell[64];
    unsigned rings = 0;
    ssize_t n;

    while ((n = recv(s->peer, bell, sizeof bell, MSG_DONTWAIT)) > 0 && rings < RINGS)
        rings++;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    if (rings == 0 && s->listener >= 0)
        answer(s);
    return !s->in.broken && !s->out.broken;
}

/* The other side is gone, or not to be spoken to any more.  0: another may come; -1. */
static int lose_peer(struct shm *s)
{
    const char *why = s->in.broken || s->out.broken
                          ? "the other side has written what cannot be into the ring"
                          : "the other side is gone";

    hang_up(s);
    return s->listener >= 0 ? 0 : link_say(s->link.error, "%s: %s", s->link.name, why);
}

/* Nothing has come.  Who shares a processor with the other side keeps it from answering for as long
 * as he looks. */
static void look_no_more(struct shm *s)
{
    uint32_t here = (uint32_t)sched_getcpu() + 1;

    if (here == 0) /* nobody can tell */
        return;
    if (atomic_load_explicit(&s->in.ring->cpu, memory_order_relaxed) != here)
        atomic_store_explicit(&s->in.ring->cpu, here, memory_order_relaxed);
    if (atomic_load_explicit(&s->out.ring->cpu, memory_order_relaxed) == here && s->link.rests == 0)
        s->link.rests = 1;
}

static int shm_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    enum { LOOKS = 1024 }; /* in vain, before the socket is asked: a system call */
    struct shm *s = (struct shm *)l;
    size_t got;

    if (s->peer < 0) {
        answer(s);
        return 0;
    }
    s->in.broken |= s->out.broken; /* both were written by the same hand */
    got = shm_in_pop(&s->in, f, n);
    l->lost_in = s->in.refused;
    if (got > 0) /* and is answered, as a rule */
        shm_out_prepare(&s->out);
    else if (l->sparing)
        look_no_more(s);
    for (size_t i = 0; i < got; i++)
        link_count_in(l, estab_frame_len(&f[i]));
    if (s->slept || s->in.broken || (got == 0 && ++s->looks % LOOKS == 0)) {
        s->slept = false;
        if (!peer_lives(s) && got == 0)
            return lose_peer(s);
    }
    return (int)got;
}

static int shm_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct shm *s = (struct shm *)l;
    size_t taken = 0;

    for (size_t i = 0; s->peer >= 0 && i < n; i++) {
        if (!shm_out_push(&s->out, &f[i]))
            continue;
        link_count_out(l, estab_frame_len(&f[i]));
        taken++;
    }
    l->lost_out += n - taken;
    if (taken > 0 && shm_out_publish(&s->out))
        ring_the_bell(s);
    return (int)taken;
}

static int shm_fd(const estab_link *l)
{
    return ((const struct shm *)l)->epoll;
}

/* Asked by who is about to sleep: from now on the bell is wanted. */
static estab_time shm_deadline(const estab_link *l)
{
    struct shm *s = (struct shm *)(uintptr_t)l;

    if (s->peer < 0)
        return ESTAB_NEVER;
    s->slept = true;
    return shm_in_sleep(&s->in) ? 0 : ESTAB_NEVER;
}

static void shm_close(estab_link *l)
{
    struct shm *s = (struct shm *)l;
    struct stat st;

    hang_up(s);
    if (s->listener >= 0) {
        close(s->listener);
        if (s->ino && stat(s->at.sun_path, &st) == 0 && st.st_ino == s->ino && st.st_dev == s->dev)
            unlink(s->at.sun_path);
    }
    if (s->epoll >= 0)
        close(s->epoll);
    free(s->in.copies);
    free(s);
}

static const struct estab_link_ops shm_ops = {
    .name = "shm",
    .recv = shm_recv,
    .send = shm_send,
    .fd = shm_fd,
    .deadline = shm_deadline,
    .close = shm_close,
};

/* Goes to who listens there, or listens. */
static int find_peer(struct shm *s, char *err)
{
    struct timeval patience = {.tv_sec = 2}; /* to be let in, and for what is handed over */

    s->peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s->peer < 0)
        return link_say(err, "%s: socket: %s", s->link.name, strerror(errno));
    setsockopt(s->peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(s->peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(s->peer, (struct sockaddr *)&s->at, sizeof s->at) == 0)
        return be_welcomed(s, err);
    close(s->peer);
    s->peer = -1;
    if (errno != ENOENT && errno != ECONNREFUSED)
        return link_say(err, "%s: going there: %s%s", s->link.name, strerror(errno),
                        errno == EACCES   ? ": it belongs to another user"
                        : errno == EAGAIN ? ": who listens there lets nobody in"
                                          : "");
    return listen_at(s, err);
}

int estab_link_shm(estab_link **out, const char *path, uint32_t mtu, char *err)
{
    struct shm *s = calloc(1, sizeof *s);

    if (!s)
        return link_say(err, "shm:%.100s: out of memory", path);
    s->epoll = s->listener = s->peer = -1;
    s->link.ops = &shm_ops;
    link_look_sparingly(&s->link);
    s->link.caps = (struct estab_port_caps){.medium = ESTAB_MEDIUM_IP,
                                            .mtu = mtu ? mtu : 1500,
                                            .gso_max = SHM_FRAME_MAX,
                                            .tx_csum = true};
    snprintf(s->link.name, sizeof s->link.name, "shm:%.59s", path);
    s->at.sun_family = AF_UNIX;
    if (!*path || strlen(path) >= sizeof s->at.sun_path) {
        link_say(err, "%s: the path of a socket has 1 to %zu characters", s->link.name,
                 sizeof s->at.sun_path - 1);
        goto out;
    }
    memcpy(s->at.sun_path, path, strlen(path));
    s->in.copies = calloc(LINK_BATCH, sizeof *s->in.copies);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!s->in.copies || s->epoll < 0) {
        link_say(err, "%s: %s", s->link.name, strerror(errno));
        goto out;
    }
    if (find_peer(s, err))
        goto out;
    *out = &s->link;
    return 0;
out:
    shm_close(&s->link);
    return -1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* link_shards.c - several links to one device, each for one of several stacks with one address, in
 * a thread of its own.
 *
 * The device chooses by which of its queues a frame comes, and chooses by a hash of its own: of the
 * frames that have no flow yet, all but one in n come to the wrong one.  So each link looks whose
 * each frame is (estab_frame_shard) and hands it on where it is another's: copied, through a ring
 * from each to each, and the other is woken if it sleeps.  What all must hear goes to all.
 *
 * That is right whatever the device does, and needs nothing of it.  A TUN or TAP device learns: it
 * hands what belongs to a flow to the queue by which that flow last went out, so that there only
 * the first segment of a connection is ever handed on.  An eBPF program at the device could compute
 * our hash; it would save that one copy, and want the right to load programs, which a user who was
 * given a device does not have. */
#include "link_shards.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "link_words.h"
#include "relay.h"

enum { SHARDS_MAX = 16 };

struct bell {
    _Alignas(64) _Atomic uint32_t asleep; /* wants to be told of the next frame */
    int fd;
};
/* What the links of one device share; the last to close frees it. */
struct town {
    _Atomic uint32_t links;
    uint16_t n;
    struct relay *way; /* n * n: from i to j is i * n + j */
    struct bell bell[SHARDS_MAX];
};
struct sharded {
    estab_link link;
    estab_link *under;
    struct town *town;
    uint16_t self, turn; /* turn: whose frames are taken first */
    int epoll;
    bool slept;     /* since then the bell may have been rung */
    uint64_t rings; /* of the bell that are still to be heard: each comes a moment after `asleep` */
};

static struct relay *way(const struct sharded *s, uint16_t from, uint16_t to)
{
    return &s->town->way[(size_t)from * s->town->n + to];
}

static void awake(struct sharded *s)
{
    struct bell *b = &s->town->bell[s->self];
    uint64_t heard;

    if (s->slept)
        s->rings += atomic_exchange(&b->asleep, 0) == 0;
    s->slept = false;
    if (s->rings > 0 && read(b->fd, &heard, sizeof heard) == sizeof heard)
        s->rings -= heard;
}

static void wake(const struct sharded *s, uint16_t who)
{
    struct bell *b = &s->town->bell[who];
    const uint64_t once = 1;

    relay_publish(way(s, s->self, who));
    if (atomic_load(&b->asleep) && atomic_exchange(&b->asleep, 0))
        (void)!write(b->fd, &once, sizeof once);
}

static void hand_on(struct sharded *s, uint16_t who, const struct estab_frame *f, bool pushed[])
{
    if (relay_push(way(s, s->self, who), f)) {
        s->link.handed_on++;
        pushed[who] = true;
    } else {
        s->link.lost_in++;
    }
}

/* Keeps our own of n frames, at their beginning; how many. */
static size_t sort(struct sharded *s, struct estab_frame *f, size_t n)
{
    bool pushed[SHARDS_MAX] = {false};
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t who = estab_frame_shard(s->link.caps.medium, &f[i], s->town->n);

        for (uint16_t k = 0; k < s->town->n; k++)
            if (k != s->self && (k == who || who == ESTAB_SHARD_ALL))
                hand_on(s, k, &f[i], pushed);
        if (who == s->self || who == ESTAB_SHARD_ALL)
            f[kept++] = f[i];
    }
    for (uint16_t k = 0; k < s->town->n; k++)
        if (pushed[k])
            wake(s, k);
    return kept;
}

/* What the others handed on: each in turn is the first. */
static size_t take_relayed(struct sharded *s, struct estab_frame *f, size_t n)
{
    size_t got = 0;

    s->turn = (uint16_t)((s->turn + 1) % s->town->n);
    for (uint16_t i = 0; i < s->town->n; i++) {
        uint16_t from = (uint16_t)((s->turn + i) % s->town->n);

        if (from == s->self)
            continue;
        relay_release(way(s, from, s->self));
        while (got < n && relay_pop(way(s, from, s->self), &f[got]))
            got++;
    }
    return got;
}

/* Half of a batch at most is others', and there is an end to looking for our own, so that nobody
 * waits for ever. */
static int sharded_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    enum { LOOKS = 4 };
    struct sharded *s = (struct sharded *)l;
    size_t got;
    int came = 0;

    awake(s);
    got = take_relayed(s, f, n / 2 + (n % 2 && s->turn % 2));
    for (int looks = 0; looks < LOOKS && got < n; looks++) {
        came = estab_link_recv(s->under, f + got, n - got);
        if (came > 0)
            got += sort(s, f + got, (size_t)came);
        if (came <= 0 || got > 0)
            break;
    }
    for (size_t i = 0; i < got; i++)
        link_count_in(l, estab_frame_len(&f[i]));
    return came < 0 ? link_gone(l, s->under) : (int)got;
}

static int sharded_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct sharded *s = (struct sharded *)l;
    int taken = estab_link_send(s->under, f, n);

    l->frames_out = s->under->frames_out;
    l->octets_out = s->under->octets_out;
    l->lost_out = s->under->lost_out;
    return taken < 0 ? link_gone(l, s->under) : taken;
}

static int sharded_fd(const estab_link *l)
{
    return ((const struct sharded *)l)->epoll;
}

/* Asked by who is about to sleep, perhaps twice: from now on the bell is wanted, again if it was
 * rung since. */
static estab_time sharded_deadline(const estab_link *l)
{
    struct sharded *s = (struct sharded *)(uintptr_t)l;
    bool wanted = atomic_exchange(&s->town->bell[s->self].asleep, 1);

    s->rings += s->slept && !wanted;
    s->slept = true;
    for (uint16_t i = 0; i < s->town->n; i++)
        if (!relay_empty(way(s, i, s->self)))
            return 0;
    return estab_link_deadline(s->under);
}

static void free_town(struct town *t)
{
    for (uint16_t i = 0; i < t->n; i++)
        if (t->bell[i].fd >= 0)
            close(t->bell[i].fd);
    free(t->way);
    free(t);
}

static void sharded_close(estab_link *l)
{
    struct sharded *s = (struct sharded *)l;

    estab_link_close(s->under);
    close(s->epoll);
    if (atomic_fetch_sub(&s->town->links, 1) == 1)
        free_town(s->town);
    free(s);
}

static const struct estab_link_ops sharded_ops = {
    .name = "shards",
    .recv = sharded_recv,
    .send = sharded_send,
    .fd = sharded_fd,
    .deadline = sharded_deadline,
    .close = sharded_close,
};

static int watch_both(struct sharded *s)
{
    struct epoll_event e = {.events = EPOLLIN};
    int fd = estab_link_fd(s->under);

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    return s->epoll < 0 || (fd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e)) ||
                   epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->town->bell[s->self].fd, &e)
               ? -1
               : 0;
}

static struct town *make_town(uint16_t n)
{
    struct town *t = aligned_alloc(64, sizeof *t);
    size_t len = (size_t)n * n * sizeof *t->way;
    bool made = true;

    if (!t)
        return NULL;
    memset(t, 0, sizeof *t);
    t->links = t->n = n;
    t->way = aligned_alloc(64, len);
    for (size_t i = 0; t->way && i < (size_t)n * n; i++)
        relay_init(&t->way[i], 0);
    for (uint16_t i = 0; i < n; i++) {
        t->bell[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        made &= t->bell[i].fd >= 0;
    }
    if (t->way && made)
        return t;
    free_town(t);
    return NULL;
}

static struct sharded *make_sharded(struct town *t, estab_link *const under[], uint16_t self)
{
    struct sharded *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    link_decorate(&s->link, &sharded_ops, under[self]);
    memcpy(s->link.caps.mac, under[0]->caps.mac, sizeof s->link.caps.mac);
    s->link.caps.dad &= self == 0;
    s->under = under[self];
    s->town = t;
    s->self = self;
    if (watch_both(s) == 0)
        return s;
    if (s->epoll >= 0)
        close(s->epoll);
    free(s);
    return NULL;
}

static int close_links(estab_link *const l[], uint16_t n)
{
    for (uint16_t i = 0; i < n; i++)
        estab_link_close(l[i]);
    return -1;
}

int link_shards_over(estab_link **out, estab_link **under, uint16_t n, char *err)
{
    struct sharded *s[SHARDS_MAX] = {NULL};
    struct town *t = make_town(n);
    uint16_t made = 0;

    while (t && made < n && (s[made] = make_sharded(t, under, made)))
        made++;
    if (t && made == n) {
        for (uint16_t i = 0; i < n; i++)
            out[i] = &s[i]->link;
        return 0;
    }
    link_say(err, "steering between %u shards: %s", n, strerror(errno));
    while (made > 0) {
        close(s[--made]->epoll);
        free(s[made]);
    }
    if (t)
        free_town(t);
    return close_links(under, n);
}

/* ---- n links on one device ---- */

static int open_tuntap_queues(estab_link **out, uint16_t n, const struct link_words *w,
                              enum estab_medium medium, char *err)
{
    struct estab_tuntap how = {.size = sizeof how,
                               .medium = medium,
                               .name = w->name,
                               .mtu = w->mtu,
                               .vnet = w->vnet,
                               .multi_queue = true};
    uint16_t i = 0;

    while (i < n && estab_link_tuntap_open(&out[i], &how, err) == 0) {
        how.name = out[0]->name + sizeof "tun:" - 1; /* "tun:" and "tap:" are as long */
        i++;
    }
    return i == n ? 0 : close_links(out, i);
}

static int open_packet_queues(estab_link **out, uint16_t n, const struct link_words *w, char *err)
{
    uint16_t i = 0, group = 0;

    while (i < n && estab_link_packet(&out[i], w->name, w->mtu, w->vnet, err) == 0) {
        if (link_packet_share(out[i], &group, err)) {
            estab_link_close(out[i]);
            break;
        }
        i++;
    }
    return i == n ? 0 : close_links(out, i);
}

static int open_xdp_queues(estab_link **out, uint16_t n, const struct link_words *w, char *err)
{
    const struct estab_xdp how = {
        .size = sizeof how, .dev = w->name, .mtu = w->mtu, .mac = w->mac_given ? w->mac : NULL};

    return link_xdp_queues(out, n, &how, err);
}

static int open_queues(estab_link **out, uint16_t n, struct link_words *w, char *kind, char *args,
                       char *err)
{
    static const struct {
        const char *name;
        unsigned words;
    } kinds[] = {{"tun", WORD_MTU | WORD_BUSY | WORD_VNET},
                 {"tap", WORD_MTU | WORD_BUSY | WORD_VNET | WORD_MAC},
                 {"packet", WORD_MTU | WORD_BUSY | WORD_VNET | WORD_MAC},
                 {"xdp", WORD_MTU | WORD_BUSY | WORD_MAC}};
    enum { TAP = 1, PACKET, XDP, KINDS };
    size_t k = 0;

    while (k < KINDS && strcmp(kind, kinds[k].name) != 0)
        k++;
    if (k == KINDS || !args) {
        link_say(err,
                 "\"%.40s\": no kind of link with several queues; there is tun:NAME, tap:NAME, "
                 "packet:DEVICE and xdp:DEVICE",
                 kind);
        return -1;
    }
    if (link_words_parse(w, kinds[k].name, kinds[k].words, args, err))
        return -1;
    if (k == XDP)
        return open_xdp_queues(out, n, w, err);
    if (k == PACKET)
        return open_packet_queues(out, n, w, err);
    return open_tuntap_queues(out, n, w, k == TAP ? ESTAB_MEDIUM_ETHERNET : ESTAB_MEDIUM_IP, err);
}

int estab_link_shards(estab_link **out, uint16_t n, const char *spec, char *err)
{
    estab_link *under[SHARDS_MAX];
    struct link_words w;
    char *kind, *args;
    int ret;

    if (n == 0 || n > SHARDS_MAX)
        return link_say(err, "%.40s: %u shards; there may be 1 to %d", spec, n, SHARDS_MAX);
    kind = args = strdup(spec);
    if (!kind)
        return link_say(err, "out of memory");
    strsep(&args, ":");
    ret = open_queues(under, n, &w, kind, args, err);
    for (uint16_t i = 0; ret == 0 && i < n; i++)
        link_words_settle(&w, under[i]);
    if (ret == 0)
        ret = link_shards_over(out, under, n, err);
    free(kind);
    return ret;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_far.c - the ends of a connection without a control block, in 12 octets.
 *
 * An IPv4 address is kept as it is; for one of IPv6, 16 octets elsewhere.  Of the path, only the
 * port is: such an entry sends a few segments in its life, and looks for the way again then. */
#include "tcp/tcp.h"

bool tcp_far_put(struct tcp_layer *l, struct tcp_far *f, const uint8_t peer[16],
                 const struct ip_path *p)
{
    f->local = (uint8_t)p->local;
    f->port = p->port & 0xfu;
    f->ip6 = !ip_is4(peer);
    f->again = false;
    if (!f->ip6) {
        memcpy(&f->peer, peer + 12, 4);
        return true;
    }
    f->peer = slab_get(&l->peers6);
    if (f->peer == SLAB_NONE)
        return false;
    memcpy(slab_at(&l->peers6, f->peer), peer, 16);
    return true;
}

void tcp_far_free(struct tcp_layer *l, const struct tcp_far *f)
{
    if (f->ip6)
        slab_put(&l->peers6, f->peer);
}

struct tcp_tuple tcp_far_tuple(const struct tcp_layer *l, const struct tcp_far *f, uint8_t peer[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (f->ip6) {
        memcpy(peer, slab_at(&l->peers6, f->peer), 16);
    } else {
        memcpy(peer, mapped, 12);
        memcpy(peer + 12, &f->peer, 4);
    }
    return (struct tcp_tuple){peer, f->local, f->lport, f->pport};
}

bool tcp_far_is(const struct tcp_layer *l, const struct tcp_far *f, const struct tcp_tuple *k)
{
    return f->pport == k->pport && f->lport == k->lport && f->local == k->local &&
           (f->ip6 ? memcmp(slab_at(&l->peers6, f->peer), k->peer, 16) == 0
                   : ip_is4(k->peer) && memcmp(&f->peer, k->peer + 12, 4) == 0);
}

struct ip_path tcp_far_path(const struct tcp_layer *l, const struct tcp_far *f, const uint8_t *hop)
{
    struct ip_path p = {.local = f->local, .port = f->port, .gen8 = (uint8_t)~l->ip->path_gen};

    (void)ip_path_find(l->ip, hop, ip_local(l->ip, f->local), f->port, &p);
    return p;
}

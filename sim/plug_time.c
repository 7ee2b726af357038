/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_time.c - packets and the clock: what only the main thread asks for.
 *
 * A clock that stood still would hang a caller that waits for it, so reading it moves it by 1 us.
 */
#include "plug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define US          1000u
#define RECEIVE_MAX ESTAB_S(200) /* a packet that is waited for comes within it, or not at all */

/* The destination of a packet, as estab writes addresses; false: neither IPv4 nor IPv6. */
static bool destination(const uint8_t *octets, size_t len, uint8_t ip[16])
{
    if (len >= 20 && octets[0] >> 4 == 4) {
        memset(ip, 0, 10);
        ip[10] = ip[11] = 0xff;
        memcpy(ip + 12, octets + 16, 4);
        return true;
    }
    if (len >= 40 && octets[0] >> 4 == 6) {
        memcpy(ip, octets + 24, 16);
        return true;
    }
    return false;
}

int plug_netdev_send(void *u, const void *packet, size_t len)
{
    struct plug *p = u;
    struct estab_frame f = {.iov = {{plug_unconst(packet), len}}, .niov = 1};
    uint8_t to[16];
    int err;

    plug_enter(p);
    err = plug_stack(p);
    if (err)
        return (int)plug_leave(p, -1, err);
    if (!destination(packet, len, to))
        return (int)plug_leave(p, -1, EINVAL);
    plug_own(p, to);
    (void)estab_input(p->stack, p->port, &f, 1);
    return (int)plug_leave(p, 0, 0);
}

static void wait_for_packet(struct plug *p)
{
    estab_time last = p->world.now + RECEIVE_MAX;

    while (!p->out && p->stack) {
        estab_time at = plug_next(p);

        if (at > last)
            return;
        plug_advance(p, at);
    }
}

int plug_netdev_receive(void *u, void *buffer, size_t *count, long long *time_usecs)
{
    struct plug *p = u;
    struct plug_packet *k;

    plug_enter(p);
    wait_for_packet(p);
    k = p->out;
    if (!k) {
        *count = 0;
        return (int)plug_leave(p, 0, 0);
    }
    p->out = k->next;
    if (!p->out)
        p->out_end = &p->out;
    if (k->len < *count)
        *count = k->len;
    memcpy(buffer, k->octets, *count);
    *time_usecs = (long long)(k->at / US);
    free(k);
    return (int)plug_leave(p, 0, 0);
}

int plug_usleep(void *u, useconds_t usecs)
{
    struct plug *p = u;

    plug_enter(p);
    plug_advance(p, p->world.now + (estab_time)usecs * US);
    return (int)plug_leave(p, 0, 0);
}

int plug_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
    struct plug *p = u;
    estab_time now;

    (void)tz;
    pthread_mutex_lock(&p->lock);
    if (p->ended && !pthread_equal(p->main, pthread_self())) {
        now = p->ended_at;
        p->ended_at += US;
    } else {
        plug_advance(p, p->world.now + US);
        now = p->world.now;
    }
    pthread_mutex_unlock(&p->lock);
    tv->tv_sec = (time_t)(now / ESTAB_S(1));
    tv->tv_usec = (suseconds_t)(now % ESTAB_S(1) / US);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_memory.c - what a connection may take while the stack's memory runs out.
 *
 *      used     |- - - - - - - - - - - -|- - - - - -|- - - - - -|
 *               0                      3/4         7/8       mem_max
 *                       as set            tight       scarce
 *
 *   tight     windows shrink to a few segments as text arrives (the right edge never moves left:
 *             RFC 9293 section 3.8.6), and send queues take no more than that
 *   scarce    no new connection: a SYN is dropped and comes again, a call is refused; text out of
 *             order is not kept, and where text in order finds no room it goes (RFC 2018 section
 * 8); a new TIME-WAIT takes the place of the oldest
 *
 * What is left is for what must go on: the next text of every connection that there is. */
#include "tcp/tcp.h"

#define TIGHT_SEGMENTS 4u /* two for the ACK of every second one, two on the way */

static uint32_t tightened(const struct tcb *t, uint32_t set, uint32_t mss)
{
    uint32_t least;

    if (LIKELY(env_pressure(t->layer->env) == ENV_EASY))
        return set;
    least = TIGHT_SEGMENTS * (mss > 0 ? mss : t->layer->set.base_mss4);
    return set >= least ? least : set;
}

uint32_t tcp_rcv_bound(const struct tcb *t)
{
    return tightened(t, t->rcvbuf, t->rcv_mss);
}

uint32_t tcp_snd_bound(const struct tcb *t)
{
    return tightened(t, t->sndbuf, t->snd_mss);
}

bool tcp_memory_scarce(const struct tcp_layer *l)
{
    return env_pressure(l->env) == ENV_SCARCE;
}

bool tcp_memory_refuses(struct tcp_layer *l)
{
    if (!tcp_memory_scarce(l))
        return false;
    rule_count(l->rules, RULE_MEM_CONN);
    return true;
}

/* Nothing is kept for later. */
static RARE void give_back(struct tcp_layer *l)
{
    struct slab *all[] = {&l->tcbs,   &l->works,  &l->listeners, &l->synqs,  &l->timewaits,
                          &l->extras, &l->ranges, &l->sums,      &l->peers6, &l->lents};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        slab_trim(all[i], 0);
    ring_pool_trim(&l->pool);
}

void tcp_memory_settle(struct tcp_layer *l)
{
    bool tight = env_pressure(l->env) != ENV_EASY;

    if (tight && !l->tight)
        rule_count(l->rules, RULE_MEM_TIGHT);
    l->tight = tight;
    if (tight)
        give_back(l);
}

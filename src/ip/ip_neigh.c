/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_neigh.c - the neighbour cache: who on a link has which address (RFC 4861 section 7.3).
 *
 * One state machine serves both families; it asks through ARP or neighbour discovery.  The table
 * has a fixed number of entries.  Who may have one is decided by who wants it:
 *
 *   - an entry that a datagram of ours wanted may take the place of the least useful and, among
 *     those, longest unused one; but of none that was made or used within the last second, and of
 *     a known neighbour only while known ones have more than half of the table.  So a flood of
 *     forged sources cannot make the host ask for more than NEIGH_UNKNOWN_MAX addresses a second,
 *     nor push out those it talks to;
 *   - an entry that only the neighbour wanted (it asked for us) may take the place of another such
 *     entry only.
 *
 * REACHABLE and FAILED end when they are looked at, by comparing times; only states in which
 * something has to be sent have a deadline. */
#include "base/hash.h"
#include "ip/ip_int.h"

#define ASK_COUNT         3 /* MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT: RFC 4861 section 10 */
#define ASK_INTERVAL      ESTAB_S(1) /* RetransTimer; RFC 1122 section 2.3.2.1: at most one a second */
#define REACHABLE_TIME    ESTAB_S(30) /* times 0.5 to 1.5, RFC 4861 section 6.3.2 */
#define DELAY_PROBE       ESTAB_S(5)  /* DELAY_FIRST_PROBE_TIME */
#define FAILED_HOLD       ESTAB_S(3)  /* datagrams are lost at once, nothing is asked */
#define NEIGH_UNKNOWN_MAX (IP_NEIGH_MAX / 2)
#define NEIGH_YOUNG       ESTAB_S(1)

int ip_neigh_alloc(struct ip_layer *l)
{
    uint32_t i;

    l->neigh = env_alloc(l->env, IP_NEIGH_MAX * sizeof *l->neigh, _Alignof(struct ip_neigh));
    if (!l->neigh)
        return ESTAB_E_NOMEM;
    memset(l->neigh, 0, IP_NEIGH_MAX * sizeof *l->neigh);
    for (i = 0; i < IP_NEIGH_MAX; i++)
        l->neigh[i].bucket = l->neigh[i].next = IP_NEIGH_NONE;
    return ESTAB_OK;
}

/* Keyed, because anybody on the link chooses addresses. */
static uint16_t *neigh_bucket(const struct ip_layer *l, uint8_t port, const uint8_t addr[16])
{
    struct hash_key key = {l->secret[0], l->secret[1]};
    uint8_t id[17];

    memcpy(id, addr, 16);
    id[16] = port;
    return &l->neigh[hash_sip13(&key, id, sizeof id) % IP_NEIGH_MAX].bucket;
}

struct ip_neigh *ip_neigh_find(const struct ip_layer *l, uint8_t port, const uint8_t addr[16])
{
    uint16_t i = *neigh_bucket(l, port, addr);

    for (; i != IP_NEIGH_NONE; i = l->neigh[i].next)
        if (l->neigh[i].port == port && memcmp(l->neigh[i].addr, addr, 16) == 0)
            return &l->neigh[i];
    return NULL;
}

static struct ip_pkt *pop_waiting(struct ip_layer *l, struct ip_neigh *n)
{
    struct ip_pkt *k = n->wait_head;

    if (!k)
        return NULL;
    n->wait_head = k->next;
    if (!n->wait_head)
        n->wait_tail = NULL;
    n->nwait--;
    l->pkt_nwait--;
    return k;
}

static void lose_packet(struct ip_layer *l, struct ip_pkt *k)
{
    ip_drop(l, NULL, RULE_NEIGHBOUR_UNKNOWN);
    ip_own_free(l, k);
}

static void lose_waiting(struct ip_layer *l, struct ip_neigh *n)
{
    struct ip_pkt *k;

    while ((k = pop_waiting(l, n)))
        lose_packet(l, k);
}

void ip_neigh_drop_waiting(struct ip_layer *l)
{
    uint32_t i;

    for (i = 0; l->neigh && i < IP_NEIGH_MAX; i++)
        lose_waiting(l, &l->neigh[i]);
}

void ip_neigh_free(struct ip_layer *l)
{
    struct ip_pkt *k;
    uint32_t i;

    for (i = 0; l->neigh && i < IP_NEIGH_MAX; i++)
        while ((k = pop_waiting(l, &l->neigh[i])))
            ip_own_free(l, k);
    env_free(l->env, l->neigh, IP_NEIGH_MAX * sizeof *l->neigh, _Alignof(struct ip_neigh));
    l->neigh = NULL;
}

static void neigh_forget(struct ip_layer *l, struct ip_neigh *n)
{
    uint16_t *at = neigh_bucket(l, n->port, n->addr);

    while (*at != (uint16_t)(n - l->neigh))
        at = &l->neigh[*at].next;
    *at = n->next;
    lose_waiting(l, n);
    if (n->state == NEIGH_INCOMPLETE)
        l->resolved++;
    n->state = NEIGH_FREE;
}

enum { WORTH_NOTHING, WORTH_UNWANTED, WORTH_MOST = NEIGH_REACHABLE + 1 };

/* How much would be lost with it. */
static uint32_t neigh_worth(const struct ip_layer *l, const struct ip_neigh *n)
{
    if (n->state == NEIGH_FREE)
        return WORTH_NOTHING;
    if (!n->wanted)
        return WORTH_UNWANTED;
    if (n->state == NEIGH_REACHABLE && n->at <= l->env->now)
        return NEIGH_STALE + 1;
    return n->state + 1u;
}

static bool neigh_unknown(const struct ip_neigh *n)
{
    return n->state == NEIGH_INCOMPLETE || n->state == NEIGH_FAILED;
}

static bool too_many_unknown(const struct ip_layer *l)
{
    uint32_t i, count = 0;

    for (i = 0; i < IP_NEIGH_MAX; i++)
        count += neigh_unknown(&l->neigh[i]);
    return count >= NEIGH_UNKNOWN_MAX;
}

static struct ip_neigh *neigh_victim(struct ip_layer *l, uint32_t most_worth)
{
    bool of_unknown = most_worth > WORTH_UNWANTED && too_many_unknown(l);
    struct ip_neigh *n, *best = NULL;
    uint32_t i, worth, best_worth = most_worth + 1;

    for (i = 0; i < IP_NEIGH_MAX; i++) {
        n = &l->neigh[i];
        if (of_unknown && !neigh_unknown(n))
            continue;
        worth = neigh_worth(l, n);
        if (worth == WORTH_NOTHING)
            return n;
        if (worth > WORTH_UNWANTED && time_since(n->used_at, l->env->now) < NEIGH_YOUNG)
            continue;
        if (worth < best_worth || (worth == best_worth && best && n->used_at < best->used_at)) {
            best = n;
            best_worth = worth;
        }
    }
    return best;
}

static struct ip_neigh *neigh_make(struct ip_layer *l, uint8_t port, const uint8_t addr[16],
                                   uint32_t most_worth)
{
    struct ip_neigh *n = neigh_victim(l, most_worth);
    uint16_t bucket, *head;

    if (!n) {
        ip_drop(l, NULL, RULE_NEIGHBOUR_FULL);
        return NULL;
    }
    if (n->state != NEIGH_FREE)
        neigh_forget(l, n);
    bucket = n->bucket;
    memset(n, 0, sizeof *n);
    n->bucket = bucket;
    memcpy(n->addr, addr, 16);
    n->port = port;
    n->used_at = l->env->now;
    n->at = ESTAB_NEVER;
    head = neigh_bucket(l, port, addr);
    n->next = *head;
    *head = (uint16_t)(n - l->neigh);
    return n;
}

static void neigh_ask(struct ip_layer *l, struct ip_neigh *n, bool unicast)
{
    n->nasked++;
    n->at = time_add(l->env->now, ASK_INTERVAL);
    ip_arm(l, n->at);
    if (ip_is4(n->addr))
        ip_arp_ask(l, n, unicast);
    else
        ip_nd_ask(l, n, unicast);
}

static void neigh_resolve(struct ip_layer *l, struct ip_neigh *n)
{
    n->state = NEIGH_INCOMPLETE;
    n->nasked = 0;
    neigh_ask(l, n, false);
}

/* [RFC4861-7.3-1] */
static void neigh_probe(struct ip_layer *l, struct ip_neigh *n)
{
    n->state = NEIGH_PROBE;
    n->nasked = 0;
    neigh_ask(l, n, true);
}

struct ip_neigh *ip_neigh_want(struct ip_layer *l, const struct ip_hop *hop, uint16_t local)
{
    struct ip_neigh *n = ip_neigh_find(l, hop->port, hop->addr);
    bool fresh = !n;

    if (fresh)
        n = neigh_make(l, hop->port, hop->addr, WORTH_MOST);
    if (!n)
        return NULL;
    n->local = local;
    n->wanted = true;
    if (fresh)
        neigh_resolve(l, n);
    if (hop->gateway && !n->gateway) {
        n->gateway = true;
        l->path_gen++;
    }
    return n;
}

enum ip_ready ip_neigh_use(struct ip_layer *l, struct ip_neigh *n, uint16_t local)
{
    n->used_at = l->env->now;
    n->wanted = true;
    n->local = local;
    switch ((enum neigh_state)n->state) {
    case NEIGH_REACHABLE:
        if (l->env->now < n->at)
            return IP_READY;
        n->state = NEIGH_STALE;
        /* fall through */
    case NEIGH_STALE:
        n->state = NEIGH_DELAY;
        n->at = time_add(l->env->now, DELAY_PROBE);
        ip_arm(l, n->at);
        return IP_READY;
    case NEIGH_DELAY:
    case NEIGH_PROBE:
        return IP_READY;
    case NEIGH_FAILED:
        if (l->env->now < n->at)
            return IP_LOST;
        neigh_resolve(l, n);
        return IP_WAIT;
    case NEIGH_INCOMPLETE:
        return IP_WAIT;
    case NEIGH_FREE:
        break;
    }
    return IP_LOST;
}

struct ip_neigh *ip_neigh_heard(struct ip_layer *l, uint8_t port, const uint8_t addr[16],
                                const uint8_t mac[6])
{
    struct ip_neigh *n = neigh_make(l, port, addr, WORTH_UNWANTED);

    if (n) {
        memcpy(n->mac, mac, 6);
        n->state = NEIGH_STALE;
        n->local = IP_LOCAL_NONE;
    }
    return n;
}

static void release_waiting(struct ip_layer *l, struct ip_neigh *n)
{
    struct ip_pkt *k;

    while ((k = pop_waiting(l, n))) {
        ip_own_to(k, n->mac);
        ip_own_queue(l, n->port, k);
    }
}

void ip_neigh_known(struct ip_layer *l, struct ip_neigh *n, const uint8_t mac[6], bool reachable)
{
    bool waited = n->state == NEIGH_INCOMPLETE || n->state == NEIGH_FAILED;

    if (waited && n->gateway)
        l->path_gen++;
    memcpy(n->mac, mac, 6);
    n->state = NEIGH_STALE;
    n->nasked = 0;
    if (reachable) {
        n->state = NEIGH_REACHABLE;
        n->at = time_add(l->env->now, REACHABLE_TIME / 2 + ip_random_dur(l, REACHABLE_TIME));
    }
    release_waiting(l, n);
    if (waited)
        l->resolved++;
}

void ip_neigh_doubt(struct ip_layer *l, struct ip_neigh *n)
{
    if (n->wanted && (n->state == NEIGH_REACHABLE || n->state == NEIGH_STALE))
        neigh_probe(l, n);
}

/* RFC 1122 section 2.3.2.2: the latest is kept. [RFC4861-7.2.2-1] */
void ip_neigh_wait(struct ip_layer *l, struct ip_neigh *n, struct ip_pkt *k)
{
    if (n->nwait == IP_NEIGH_WAIT || (n->nwait && l->pkt_nwait == IP_NEIGH_WAIT_ALL))
        lose_packet(l, pop_waiting(l, n));
    if (l->pkt_nwait == IP_NEIGH_WAIT_ALL) {
        lose_packet(l, k);
        return;
    }
    k->next = NULL;
    if (n->wait_tail)
        n->wait_tail->next = k;
    else
        n->wait_head = k;
    n->wait_tail = k;
    n->nwait++;
    l->pkt_nwait++;
}

/* A gateway that fails makes its paths look for another one. */
static void neigh_fail(struct ip_layer *l, struct ip_neigh *n)
{
    lose_waiting(l, n);
    n->state = NEIGH_FAILED;
    n->at = time_add(l->env->now, FAILED_HOLD);
    l->resolved++;
    if (n->gateway)
        l->path_gen++;
}

/* The next step of a neighbour whose deadline has passed.  RFC 4861 section 7.3.3: a neighbour that
 * does not answer probes is resolved from the beginning when it is wanted again: it may have a new
 * link address. */
static void neigh_step(struct ip_layer *l, struct ip_neigh *n)
{
    if (n->state == NEIGH_DELAY)
        neigh_probe(l, n);
    else if (n->nasked < ASK_COUNT)
        neigh_ask(l, n, n->state == NEIGH_PROBE);
    else if (n->state == NEIGH_PROBE)
        neigh_forget(l, n);
    else
        neigh_fail(l, n);
}

static bool neigh_has_deadline(const struct ip_neigh *n)
{
    return n->state == NEIGH_INCOMPLETE || n->state == NEIGH_DELAY || n->state == NEIGH_PROBE;
}

int ip_neigh_expire(struct ip_layer *l)
{
    struct ip_neigh *n;
    uint32_t i;
    int fired = 0;

    for (i = 0; l->neigh && i < IP_NEIGH_MAX; i++) {
        n = &l->neigh[i];
        if (!neigh_has_deadline(n) || n->at > l->env->now)
            continue;
        neigh_step(l, n);
        fired++;
    }
    return fired;
}

estab_time ip_neigh_next(const struct ip_layer *l)
{
    estab_time at = ESTAB_NEVER;
    uint32_t i;

    for (i = 0; l->neigh && i < IP_NEIGH_MAX; i++)
        if (neigh_has_deadline(&l->neigh[i]))
            at = time_min(at, l->neigh[i].at);
    return at;
}

bool ip_path_unknown(const struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                     struct ip_doubt *out)
{
    const struct ip_neigh *n;
    struct ip_hop hop;

    if (!ip_port_is_eth(l, p->port) || !ip_route_find(l, dst, p->port, &hop))
        return false;
    n = ip_neigh_find(l, hop.port, hop.addr);
    if (!n || !neigh_unknown(n))
        return false;
    memcpy(out->addr, n->addr, 16);
    out->asked = n->nasked;
    out->asks = ASK_COUNT;
    out->next_at = n->at;
    out->failed = n->state == NEIGH_FAILED;
    return true;
}

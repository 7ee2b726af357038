/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_arp.c - ARP (RFC 826), with RFC 5227's distrust.
 *
 * RFC 826 would have us believe every sender we know already.  We do not: an address that is known
 * is replaced only
 *   - by the answer to a broadcast question of ours (the entry is INCOMPLETE), or
 *   - by somebody who asks for us, if nobody has confirmed the old one lately (it is STALE).
 * Any other claim to a known address makes us verify the old one at once; if its holder is gone, it
 * does not answer, and the address is asked for from the beginning. */
#include "ip/ip_int.h"
#include "wire/arp.h"

static const uint8_t eth_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void arp_send(struct ip_layer *l, uint8_t port, const struct arp *a, const uint8_t to[6])
{
    struct ip_pkt *k = ip_own_new(l, ARP_LEN);

    if (!k) {
        ip_drop(l, NULL, RULE_REPLY_FULL);
        return;
    }
    arp_emit(a, ip_own_payload(k));
    ip_own_send_eth(l, k, port, to, ETHERTYPE_ARP);
}

void ip_arp_ask(struct ip_layer *l, const struct ip_neigh *n, bool unicast)
{
    int local = ip_addr_pick(l, n->port, n->addr);
    struct arp a;

    if (local < 0)
        local = n->local;
    memset(&a, 0, sizeof a);
    a.op = ARP_REQUEST;
    memcpy(a.sha, l->ports[n->port].caps.mac, 6);
    memcpy(a.spa, ip_local(l, (uint16_t)local) + 12, 4);
    memcpy(a.tpa, n->addr + 12, 4);
    arp_send(l, n->port, &a, unicast ? n->mac : eth_broadcast);
}

static void arp_answer(struct ip_layer *l, uint8_t port, const struct arp *q)
{
    struct arp a;

    a.op = ARP_REPLY;
    memcpy(a.sha, l->ports[port].caps.mac, 6);
    memcpy(a.spa, q->tpa, 4);
    memcpy(a.tha, q->sha, 6);
    memcpy(a.tpa, q->spa, 4);
    arp_send(l, port, &a, q->sha);
}

/* An address of ours on this very port: an answer for another port's address would send the
 * asker's datagrams the wrong way. */
static bool is_ours_on(const struct ip_layer *l, uint8_t port, const uint8_t addr[16])
{
    int i = ip_addr_find(l, addr, port);

    return i >= 0 && l->addrs[i].port == port;
}

/* What the sender says about itself, for_us: in a question about an address of ours. */
static void arp_learn(struct ip_layer *l, uint8_t port, const struct arp *a, const uint8_t spa[16],
                      bool for_us)
{
    struct ip_neigh *n = ip_neigh_find(l, port, spa);
    bool same;

    if (!n) {
        if (for_us && ip_route_on_link(l, port, spa) && !ip_is_broadcast(l, port, spa))
            (void)ip_neigh_heard(l, port, spa, a->sha);
        else if (!for_us)
            ip_drop(l, NULL, RULE_ARP_UNSOLICITED);
        return;
    }
    same = memcmp(n->mac, a->sha, 6) == 0;
    switch ((enum neigh_state)n->state) {
    case NEIGH_INCOMPLETE:
        ip_neigh_known(l, n, a->sha, a->op == ARP_REPLY);
        return;
    case NEIGH_FAILED:
        if (for_us) {
            ip_neigh_known(l, n, a->sha, false);
            return;
        }
        break;
    case NEIGH_DELAY:
    case NEIGH_PROBE:
        if (same && a->op == ARP_REPLY && n->state == NEIGH_PROBE)
            ip_neigh_known(l, n, a->sha, true);
        if (same)
            return;
        break;
    case NEIGH_STALE:
        if (for_us)
            ip_neigh_known(l, n, a->sha, false);
        if (same || for_us)
            return;
        break;
    case NEIGH_REACHABLE:
        if (same)
            return;
        break;
    case NEIGH_FREE:
        return;
    }
    ip_drop(l, NULL, RULE_ARP_UNSOLICITED);
    ip_neigh_doubt(l, n);
}

static enum rule arp_check(struct ip_layer *l, uint8_t port, const struct arp *a,
                           const uint8_t spa[16])
{
    if ((a->op != ARP_REQUEST && a->op != ARP_REPLY) || !ip_mac_ok(a->sha) ||
        ip_is_multicast(spa) || ip_is_loopback(spa) || a->spa[0] >= 240)
        return RULE_ARP_MALFORMED;
    if (memcmp(a->sha, l->ports[port].caps.mac, 6) == 0)
        return RULE_ARP_UNSOLICITED; /* our own, come back to us */
    if (is_ours_on(l, port, spa))
        return RULE_ARP_CONFLICT;
    return RULE_NONE;
}

void ip_arp_recv(struct ip_layer *l, uint8_t port, const struct pieces *t)
{
    uint8_t buf[ARP_LEN], spa[16], tpa[16];
    bool for_us, probe;
    const uint8_t *p;
    struct arp a;
    struct rd rd;
    size_t len;
    enum rule r;

    p = ip_run(t, ARP_LEN, buf, &len);
    rd = rd_of(p, len);
    r = arp_parse(&a, &rd);
    if (r == RULE_NONE) {
        ip_map4(spa, a.spa);
        ip_map4(tpa, a.tpa);
        r = arp_check(l, port, &a, spa);
    }
    if (r != RULE_NONE) {
        ip_drop(l, NULL, r);
        return;
    }
    for_us = is_ours_on(l, port, tpa);
    probe = ip_is_any(spa); /* RFC 5227 section 2.1.1: answered, and nothing to learn from it */
    if (a.op == ARP_REQUEST && for_us) {
        if (!probe)
            arp_learn(l, port, &a, spa, true);
        arp_answer(l, port, &a);
        return;
    }
    if (a.op == ARP_REQUEST && memcmp(a.spa, a.tpa, 4) != 0) {
        ip_drop(l, NULL, RULE_NOT_OURS);
        return;
    }
    if (probe)
        ip_drop(l, NULL, RULE_ARP_MALFORMED);
    else
        arp_learn(l, port, &a, spa, false);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* udp.c - what arrives: verified, and given to its socket; or nobody is there (RFC 768, RFC 1122
 * section 4.1.3.1). */
#include "udp/udp.h"
#include "base/csum.h"

void udp_init(struct udp_layer *l, struct ip_layer *ip, struct rule_book *rules, uint32_t max)
{
    struct env *env = ip->env;

    memset(l, 0, sizeof *l);
    l->env = env;
    l->ip = ip;
    l->rules = rules;
    l->port_lo = 49152; /* RFC 6335 section 6 */
    l->port_hi = 65535;
    slab_init(&l->socks, env, sizeof(struct udp_sock), 16, 4, max);
    ring_pool_init(&l->pool, env, 16);
    hash_init(&l->demux, env);
    hash_init(&l->by_port, env);
    slot_list_init(&l->ready);
    slot_list_init(&l->lends);
    for (size_t i = 0; i < IP_PORTS_MAX; i++)
        slot_list_init(&l->send[i]);
    env_random(env, &l->key, sizeof l->key);
}

void udp_set_ports(struct udp_layer *l, uint16_t lo, uint16_t hi)
{
    l->port_lo = lo;
    l->port_hi = hi;
}

void udp_fini(struct udp_layer *l)
{
    for (uint32_t i = slab_next(&l->socks, 0); i != SLAB_NONE; i = slab_next(&l->socks, i + 1)) {
        struct udp_sock *u = udp_at(l, i);

        ring_fini(&u->rcv, &l->pool);
        ring_fini(&u->snd, &l->pool);
    }
    ring_pool_fini(&l->pool);
    hash_fini(&l->demux);
    hash_fini(&l->by_port);
    slab_fini(&l->socks);
}

/* A zero checksum is none: allowed in IPv4 (RFC 768), refused in IPv6 (RFC 8200 section 8.1).
 * [RFC1122-4.1.3.4-1] */
static bool udp_csum_ok(const struct ip_dgram *d, const struct udp_hdr *h)
{
    struct pieces t = d->payload;

    if (h->csum == 0)
        return d->ip.version == 4;
    if (d->csum_ok)
        return true;
    pieces_trim_tail(&t, t.len - h->len);
    return csum_fold(csum_pieces(ip_pseudo(d->ip.src, d->ip.dst, IPPROTO_UDP_, h->len), &t)) ==
           0xffff;
}

/* [RFC1122-4.1.3.1-1] */
void udp_recv(struct udp_layer *l, const struct ip_dgram *d)
{
    struct rd rd = rd_of(d->head, d->head_len);
    struct udp_sock *u;
    struct udp_tuple k;
    struct udp_hdr h;
    enum rule r;

    r = udp_parse(&h, &rd, d->ip.payload_len);
    if (r == RULE_NONE && !udp_csum_ok(d, &h))
        r = RULE_UDP_CSUM;
    if (r == RULE_NONE && d->local == IP_LOCAL_NONE)
        r = RULE_UDP_GROUP;
    if (r != RULE_NONE) {
        ip_drop(l->ip, d, r);
        return;
    }
    k = (struct udp_tuple){d->ip.src, d->local, h.dport, h.sport};
    u = udp_demux(l, &k);
    if (u) {
        udp_queue_in(l, u, d, &h);
        return;
    }
    ip_drop(l->ip, d, RULE_UDP_NO_PORT);
    ip_reply_unreach(l->ip, d, IP_UNREACH_PORT);
}

/* RFC 1122 section 4.1.3.3 wants all of them passed up.  Only a socket with a peer hears of them,
 * and only of those that will not pass: what else it sent, to whom else, the quote cannot say.
 * [RFC1122-4.1.3.3-1] */
void udp_icmp_arrives(struct udp_layer *l, const struct ip_error *e)
{
    int local = ip_local_find(l->ip, e->quote.ip.src);
    struct udp_tuple k = {e->quote.ip.dst, (uint16_t)local, e->quote.sport, e->quote.dport};
    struct udp_sock *u = local < 0 ? NULL : udp_demux_connected(l, &k);

    if (!u) {
        rule_count(l->rules, RULE_ICMP_QUOTE);
        return;
    }
    switch (e->meaning) {
    case ICMP_MEANS_PORT_UNREACH:
    case ICMP_MEANS_PROTO_UNREACH:
        u->err = ESTAB_E_REFUSED;
        break;
    case ICMP_MEANS_PROHIBITED:
        u->err = ESTAB_E_UNREACH;
        break;
    case ICMP_MEANS_REDIRECT:
        ip_redirect(l->ip, e->port, k.peer, e->via);
        return;
    case ICMP_MEANS_NET_UNREACH:
    case ICMP_MEANS_HOST_UNREACH:
    case ICMP_MEANS_TIME_EXCEEDED:
    case ICMP_MEANS_PARAM_PROBLEM:
    case ICMP_MEANS_UNKNOWN:
    case ICMP_MEANS_TOO_BIG: /* the internet layer cuts what comes next to measure */
    case ICMP_MEANS_NOTHING:
        rule_count(l->rules, RULE_ICMP_IGNORED);
        return;
    }
    udp_raise(l, u, ESTAB_EV_ERR | ESTAB_EV_IN | ESTAB_EV_OUT);
}

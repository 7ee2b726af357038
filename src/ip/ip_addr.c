/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_addr.c - the addresses of this host: which they are, which one to use, and whether somebody
 * else has them already (duplicate address detection, RFC 4862 section 5.4).
 *
 * An address keeps its index for ever, also when it turns out to be a duplicate: transports name
 * the local end of a connection by index.
 *
 * On an Ethernet port the first IPv6 address brings a link-local one with it, if there is none yet:
 * RFC 4291 section 2.8 requires it, and neighbour discovery asks from it.  Its interface identifier
 * is the modified EUI-64 of the port's MAC address (RFC 2464 section 4). */
#include "ip/ip_int.h"

#define DAD_TRANSMITS 1          /* DupAddrDetectTransmits, RFC 4862 section 5.1 */
#define DAD_DELAY     ESTAB_S(1) /* section 5.4.2: a random delay up to it before the first */
#define DAD_INTERVAL  ESTAB_S(1) /* RetransTimer, RFC 4861 section 10 */

bool ip_prefix_eq(const uint8_t a[16], const uint8_t b[16], uint32_t len)
{
    uint32_t whole = len / 8, rest = len % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

uint32_t ip_prefix_common(const uint8_t a[16], const uint8_t b[16])
{
    uint32_t i, n;
    uint8_t x;

    for (i = 0; i < 16 && a[i] == b[i]; i++)
        ;
    n = i * 8;
    if (i < 16)
        for (x = a[i] ^ b[i]; !(x & 0x80); x = (uint8_t)(x << 1))
            n++;
    return n;
}

/* Where an address is looked for first.  Only our own addresses are ever in the table, so nobody
 * else can make the runs in it longer: no key is needed. */
static uint32_t addr_home(const uint8_t addr[16])
{
    uint64_t hi, lo;

    memcpy(&hi, addr, 8);
    memcpy(&lo, addr + 8, 8);
    hi = (hi ^ (lo * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
    return (uint32_t)(hi >> 55) % (IP_ADDRS_MAX * 2);
}

static void addr_index_add(struct ip_layer *l, uint32_t i)
{
    uint32_t pos = addr_home(l->addrs[i].addr);

    while (l->addr_index[pos])
        pos = (pos + 1) % (IP_ADDRS_MAX * 2);
    l->addr_index[pos] = (uint16_t)(i + 1);
}

int ip_addr_find(const struct ip_layer *l, const uint8_t addr[16], int port)
{
    uint32_t pos = addr_home(addr);
    const struct ip_addr_entry *a;

    for (; l->addr_index[pos]; pos = (pos + 1) % (IP_ADDRS_MAX * 2)) {
        a = &l->addrs[l->addr_index[pos] - 1];
        if (memcmp(a->addr, addr, 16) == 0 &&
            (port < 0 || a->port == port || !ip_is_link_local6(addr)))
            return l->addr_index[pos] - 1;
    }
    return -1;
}

int ip_local_find(const struct ip_layer *l, const uint8_t addr[16])
{
    int i = ip_addr_find(l, addr, -1);

    return i >= 0 && !l->addrs[i].tentative ? i : -1;
}

int ip_addr_link_local(const struct ip_layer *l, uint8_t port)
{
    const struct ip_addr_entry *a;
    uint32_t i;

    for (i = 0; i < l->naddrs; i++) {
        a = &l->addrs[i];
        if (a->used && !a->tentative && a->port == port && ip_is_link_local6(a->addr))
            return (int)i;
    }
    return -1;
}

bool ip_addr_has_link_local(const struct ip_layer *l, uint8_t port)
{
    uint32_t i;

    for (i = 0; i < l->naddrs; i++)
        if (l->addrs[i].port == port && ip_is_link_local6(l->addrs[i].addr))
            return true;
    return false;
}

/* RFC 6724 section 5, the rules that can differ within one port: 2 (scope), then 8 (longest
 * matching prefix); the older address wins a tie. */
int ip_addr_pick(const struct ip_layer *l, uint8_t port, const uint8_t dst[16])
{
    const struct ip_addr_entry *a;
    uint32_t i, score, best_score = 0;
    int best = -1;

    for (i = 0; i < l->naddrs; i++) {
        a = &l->addrs[i];
        if (!a->used || a->tentative || a->port != port || ip_is4(a->addr) != ip_is4(dst))
            continue;
        score = 1 + ip_prefix_common(a->addr, dst);
        if (ip_is_link_local6(a->addr) == ip_is_link_local6(dst))
            score += 256;
        if (score > best_score) {
            best_score = score;
            best = (int)i;
        }
    }
    return best;
}

static bool last_of_subnet(const uint8_t addr[16], const uint8_t ours[16], uint32_t prefix_len)
{
    uint32_t host = prefix_len < 127 ? UINT32_MAX >> (prefix_len - 96) : 0;

    return host != 0 && (be32_at(addr + 12) | host) == be32_at(addr + 12) &&
           ((be32_at(addr + 12) ^ be32_at(ours + 12)) & ~host) == 0;
}

bool ip_is_last_of_subnet(const uint8_t addr[16], const struct ip_addr_entry *a)
{
    return last_of_subnet(addr, a->addr, a->prefix_len);
}

bool ip_is_broadcast(const struct ip_layer *l, int port, const uint8_t addr[16])
{
    const struct ip_addr_entry *a;
    uint32_t i;

    if (!ip_is4(addr))
        return false;
    if (be32_at(addr + 12) == UINT32_MAX)
        return true;
    for (i = 0; i < l->naddrs; i++) {
        a = &l->addrs[i];
        if (a->used && (port < 0 || a->port == port) && ip_is4(a->addr) &&
            ip_is_last_of_subnet(addr, a))
            return true;
    }
    return false;
}

void ip_solicited_node(uint8_t group[16], const uint8_t addr[16])
{
    static const uint8_t prefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff};

    memcpy(group, prefix, 13);
    memcpy(group + 13, addr + 13, 3);
}

bool ip_is_solicited_node_of(const uint8_t group[16], const uint8_t addr[16])
{
    uint8_t want[16];

    ip_solicited_node(want, addr);
    return memcmp(group, want, 16) == 0;
}

/* What may be an address of ours.  IPv6 addresses that begin with 64 zero bits are refused, because
 * ::, ::1 and the IPv4-mapped ones are among them and RFC 4291 section 2.4 keeps the rest: so no
 * IPv6 packet can ever name an IPv4 address of ours. */
static bool addr_ok(const uint8_t addr[16], uint32_t prefix_len)
{
    static const uint8_t zero[8];

    if (prefix_len > 128 || ip_is_any(addr) || ip_is_multicast(addr) || ip_is_loopback(addr))
        return false;
    if (!ip_is4(addr))
        return memcmp(addr, zero, 8) != 0;
    return prefix_len >= 96 && addr[12] != 0 && addr[12] < 240 &&
           !last_of_subnet(addr, addr, prefix_len);
}

static int addr_new(struct ip_layer *l, uint8_t port, const uint8_t addr[16], uint8_t prefix_len)
{
    const struct estab_port_caps *caps = &l->ports[port].caps;
    struct ip_addr_entry *a;

    if (l->naddrs == IP_ADDRS_MAX)
        return ESTAB_E_NOMEM;
    a = &l->addrs[l->naddrs];
    memset(a, 0, sizeof *a);
    memcpy(a->addr, addr, 16);
    a->prefix_len = prefix_len;
    a->port = port;
    a->used = true;
    if (!ip_is4(addr) && caps->medium == ESTAB_MEDIUM_ETHERNET && caps->dad) {
        a->tentative = true;
        a->dad_left = DAD_TRANSMITS;
        a->dad_at = time_add(l->env->now, ip_random_dur(l, DAD_DELAY));
        ip_arm(l, a->dad_at);
    }
    addr_index_add(l, l->naddrs++);
    l->path_gen++;
    return ESTAB_OK;
}

int ip_addr_add_link_local(struct ip_layer *l, uint8_t port)
{
    const uint8_t *mac = l->ports[port].caps.mac;
    uint8_t a[16] = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe};

    a[8] = mac[0] ^ 0x02;
    a[9] = mac[1];
    a[10] = mac[2];
    memcpy(a + 13, mac + 3, 3);
    return addr_new(l, port, a, 64);
}

int ip_addr_add(struct ip_layer *l, int port, const uint8_t addr[16], uint8_t prefix_len)
{
    bool v6 = !ip_is4(addr);

    if (port < 0 || (uint32_t)port >= l->nports || !addr_ok(addr, prefix_len) ||
        (v6 && l->ports[port].caps.mtu < IP6_MTU_MIN) || ip_addr_find(l, addr, port) >= 0)
        return ESTAB_E_INVAL;
    if (v6 && ip_port_is_eth(l, (uint8_t)port) && !ip_is_link_local6(addr) &&
        !ip_addr_has_link_local(l, (uint8_t)port)) {
        if (l->naddrs + 2 > IP_ADDRS_MAX)
            return ESTAB_E_NOMEM;
        (void)ip_addr_add_link_local(l, (uint8_t)port);
    }
    return addr_new(l, (uint8_t)port, addr, prefix_len);
}

void ip_addr_duplicate(struct ip_layer *l, uint16_t i)
{
    uint32_t k;

    l->addrs[i].used = l->addrs[i].tentative = false;
    memset(l->addr_index, 0, sizeof l->addr_index);
    for (k = 0; k < l->naddrs; k++)
        if (l->addrs[k].used)
            addr_index_add(l, k);
    l->path_gen++;
}

int ip_addr_expire(struct ip_layer *l)
{
    struct ip_addr_entry *a;
    uint32_t i;
    int n = 0;

    for (i = 0; i < l->naddrs; i++) {
        a = &l->addrs[i];
        if (!a->tentative || a->dad_at > l->env->now)
            continue;
        n++;
        if (a->dad_left) {
            a->dad_left--;
            a->dad_at = time_add(l->env->now, DAD_INTERVAL);
            ip_nd_ask_duplicate(l, (uint16_t)i);
            continue;
        }
        a->tentative = false;
        l->path_gen++;
        l->resolved++;
    }
    return n;
}

estab_time ip_addr_next(const struct ip_layer *l)
{
    estab_time at = ESTAB_NEVER;
    uint32_t i;

    for (i = 0; i < l->naddrs; i++)
        if (l->addrs[i].tentative)
            at = time_min(at, l->addrs[i].dad_at);
    return at;
}

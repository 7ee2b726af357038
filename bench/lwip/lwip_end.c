/* SPDX-License-Identifier: BSD-2-Clause */
/* lwip_end.c - one end of the benchmark on lwIP's raw API: an application in its callbacks, and a
 * netif whose output lends each pbuf to the other end, which reads it as a custom pbuf. */
#include "lwip_end.h"

#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/memp.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

#include <string.h>

#define CONNS_MAX 16384
#define RX_MAX    4096

struct lwip_conn {
    struct tcp_pcb *pcb;
    size_t received;
    bool open, ended;
    struct lwip_conn *next; /* free list, accept queue */
};
struct rx {
    struct pbuf_custom custom; /* first: what lwIP hands to rx_free() */
    struct rx *next;
};

static struct lwip_setup setup;
static struct netif netif;
static uint32_t now_ms;
static struct lwip_conn conns[CONNS_MAX], *conns_free;
static struct lwip_conn *accepted[16], **accepted_end[16];
static struct rx rxs[RX_MAX], *rx_list;

u32_t sys_now(void)
{
    return now_ms;
}

static void release(void *owner)
{
    pbuf_free(owner);
}

static void rx_free(struct pbuf *p)
{
    struct rx *rx = (struct rx *)p;

    rx->next = rx_list;
    rx_list = rx;
}

static err_t link_output(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
    struct lent f = {p->payload, p->len, p, release};

    (void)n, (void)to;
    if (p->next) {
        struct pbuf *whole = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
        if (!whole)
            return ERR_MEM;
        f = (struct lent){whole->payload, whole->len, whole, release};
    } else {
        pbuf_ref(p);
    }
    setup.emit(setup.ctx, &f);
    return ERR_OK;
}

static err_t link_init(struct netif *n)
{
    n->output = link_output;
    n->mtu = 1500;
    n->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static struct lwip_conn *conn_get(struct tcp_pcb *pcb);

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct lwip_conn *c = arg;
    struct pbuf *q;

    (void)pcb, (void)err;
    if (!p) {
        c->ended = true;
        return ERR_OK;
    }
    for (q = p; q; q = q->next) {
        size_t at = c->received % setup.in_len;
        size_t room = setup.in_len - at;
        size_t first = q->len < room ? q->len : room;
        memcpy(setup.in + at, q->payload, first);
        memcpy(setup.in, (uint8_t *)q->payload + first, q->len - first);
        c->received += q->len;
    }
    pbuf_free(p);
    return ERR_OK;
}

static void on_err(void *arg, err_t err)
{
    struct lwip_conn *c = arg;

    (void)err;
    if (c)
        c->pcb = NULL;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct lwip_conn *c = arg;

    (void)pcb, (void)err;
    c->open = true;
    return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    size_t at = (size_t)(uintptr_t)arg;
    struct lwip_conn *c;

    if (err != ERR_OK || !pcb || !(c = conn_get(pcb)))
        return ERR_VAL;
    c->open = true;
    c->next = NULL;
    *accepted_end[at] = c;
    accepted_end[at] = &c->next;
    return ERR_OK;
}

static struct lwip_conn *conn_get(struct tcp_pcb *pcb)
{
    struct lwip_conn *c = conns_free;

    if (!c)
        return NULL;
    conns_free = c->next;
    *c = (struct lwip_conn){.pcb = pcb};
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_recv);
    tcp_err(pcb, on_err);
    return c;
}

static void end_init(const struct lwip_setup *s)
{
    ip4_addr_t local, mask, gw;

    setup = *s;
    for (size_t i = CONNS_MAX; i-- > 0;) {
        conns[i].next = conns_free;
        conns_free = &conns[i];
    }
    for (size_t i = RX_MAX; i-- > 0;) {
        rxs[i].next = rx_list;
        rx_list = &rxs[i];
    }
    lwip_init();
    IP4_ADDR(&local, s->local[0], s->local[1], s->local[2], s->local[3]);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gw, s->peer[0], s->peer[1], s->peer[2], s->peer[3]);
    netif_add(&netif, &local, &mask, &gw, NULL, link_init, ip_input);
    netif_set_default(&netif);
    for (uint16_t i = 0; i < s->nlisten; i++) {
        struct tcp_pcb *pcb = tcp_new();
        accepted_end[i] = &accepted[i];
        tcp_bind(pcb, IP_ADDR_ANY, (u16_t)(s->listen_port + i));
        pcb = tcp_listen(pcb);
        tcp_arg(pcb, (void *)(uintptr_t)i);
        tcp_accept(pcb, on_accept);
    }
}

/* lwIP turns the header it reads into host order in place, and its sender looks at the header that
 * it lent once more when the ACK comes, so the lender gets it back as it was.
 * Nothing of a packet is kept after ip_input(): the application copies text at once, and an
 * in-memory link keeps the order. */
static void end_input(const struct lent *f)
{
    struct rx *rx = rx_list;
    uint8_t head[sizeof(struct ip_hdr) + sizeof(struct tcp_hdr)];
    struct pbuf *p;

    if (!rx) {
        f->release(f->owner);
        return;
    }
    rx_list = rx->next;
    rx->custom.custom_free_function = rx_free;
    memcpy(head, f->data, sizeof head);
    p = pbuf_alloced_custom(PBUF_RAW, (u16_t)f->len, PBUF_REF, &rx->custom, f->data, (u16_t)f->len);
    if (ip_input(p, &netif) != ERR_OK)
        pbuf_free(p);
    memcpy(f->data, head, sizeof head);
    f->release(f->owner);
}

static void end_time(uint32_t ms)
{
    now_ms = ms;
    sys_check_timeouts();
}

static struct lwip_conn *end_connect(uint16_t port)
{
    ip_addr_t peer;
    struct tcp_pcb *pcb = tcp_new();
    struct lwip_conn *c;

    if (!pcb || !(c = conn_get(pcb)))
        return NULL;
    IP_ADDR4(&peer, setup.peer[0], setup.peer[1], setup.peer[2], setup.peer[3]);
    if (tcp_connect(pcb, &peer, port, on_connected) != ERR_OK)
        return NULL;
    return c;
}

static bool end_is_open(const struct lwip_conn *c)
{
    return c->open && c->pcb;
}

static struct lwip_conn *end_accept(uint16_t port)
{
    size_t at = (size_t)(port - setup.listen_port);
    struct lwip_conn *c = accepted[at];

    if (!c)
        return NULL;
    accepted[at] = c->next;
    if (!accepted[at])
        accepted_end[at] = &accepted[at];
    return c;
}

static size_t end_send(struct lwip_conn *c, const void *buf, size_t len)
{
    size_t room = c->pcb ? tcp_sndbuf(c->pcb) : 0;
    size_t n = len < room ? len : room, done = 0;

    while (done < n) {
        size_t part = n - done < 0xffff ? n - done : 0xffff;
        if (tcp_write(c->pcb, (const uint8_t *)buf + done, (u16_t)part, TCP_WRITE_FLAG_COPY) !=
            ERR_OK)
            break;
        done += part;
    }
    if (done)
        tcp_output(c->pcb);
    return done;
}

static size_t end_recv(struct lwip_conn *c)
{
    size_t n = c->received;

    c->received = 0;
    for (size_t left = n; left && c->pcb;) {
        size_t part = left < 0xffff ? left : 0xffff;
        tcp_recved(c->pcb, (u16_t)part);
        left -= part;
    }
    return n;
}

static bool end_at_end(const struct lwip_conn *c)
{
    return c->ended;
}

static void end_shut(struct lwip_conn *c)
{
    if (c->pcb) {
        tcp_arg(c->pcb, NULL);
        tcp_recv(c->pcb, NULL);
        tcp_err(c->pcb, NULL);
        tcp_close(c->pcb);
    }
    c->next = conns_free;
    conns_free = c;
}

/* lwIP drops its oldest TIME-WAIT when the pool of control blocks is empty, so a pool that has room
 * for n more is a cap; 2 are for the connection that opens and its listener's. */
static void end_cap_timewaits(uint32_t n)
{
    static void *taken[MEMP_NUM_TCP_PCB];
    size_t k = 0;

    while (k < MEMP_NUM_TCP_PCB && (taken[k] = memp_malloc(MEMP_TCP_PCB)))
        k++;
    for (n += 2; n && k; n--)
        memp_free(MEMP_TCP_PCB, taken[--k]);
}

__attribute__((visibility("default"))) const struct lwip_end lwip_end = {
    end_init, end_input, end_time,   end_connect, end_is_open,       end_accept,
    end_send, end_recv,  end_at_end, end_shut,    end_cap_timewaits, sizeof(struct tcp_pcb)};

/* SPDX-License-Identifier: BSD-2-Clause */
/* http.c - lwip-http: as much of HTTP/1.0 as bench/impair needs, on lwIP's raw API over a TUN
 * device that exists.
 *
 * usage: lwip-http serve DEV ADDR GATEWAY PORT     GET /10kB, /1MB, /100MB: so many zeros
 *        lwip-http get DEV ADDR GATEWAY http://ADDR:PORT/PATH
 *
 * get prints "in SECONDS s, ", from the SYN to the last octet. */
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 1500, BATCH = 64, REQUEST_MAX = 512 };

struct answer { /* a connection of the server's */
    char request[REQUEST_MAX];
    size_t asked; /* octets of the request */
    size_t left;  /* of the body */
    bool begun;
};
struct question {
    char host[64], path[128];
    uint16_t port;
    size_t have, want; /* octets, headers included; want 0: not known yet */
    char head[REQUEST_MAX];
    bool done;
};

static struct netif netif;
static int tun;
static const char zeros[65536];

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

u32_t sys_now(void)
{
    return (u32_t)(now_ns() / 1000000u);
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* ---- the device ---- */

static err_t tun_output(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
    char packet[PACKET_MAX];
    u16_t len = pbuf_copy_partial(p, packet, sizeof packet, 0);

    (void)n, (void)to;
    return write(tun, packet, len) == len ? ERR_OK : ERR_IF;
}

static err_t tun_init(struct netif *n)
{
    n->output = tun_output;
    n->mtu = PACKET_MAX;
    n->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void open_device(const char *dev, const char *addr, const char *gateway)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    ip4_addr_t local, mask, gw;

    tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tun < 0)
        die("/dev/net/tun");
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", dev);
    if (ioctl(tun, TUNSETIFF, &ifr))
        die(dev);
    if (!ip4addr_aton(addr, &local) || !ip4addr_aton(gateway, &gw))
        die("an address");
    IP4_ADDR(&mask, 255, 255, 255, 0);
    lwip_init();
    netif_add(&netif, &local, &mask, &gw, NULL, tun_init, ip_input);
    netif_set_default(&netif);
}

static void take_packets(void)
{
    char packet[PACKET_MAX];

    for (int i = 0; i < BATCH; i++) {
        ssize_t len = read(tun, packet, sizeof packet);
        struct pbuf *p;

        if (len <= 0)
            return;
        p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
        if (!p)
            return;
        pbuf_take(p, packet, (u16_t)len);
        if (ip_input(p, &netif) != ERR_OK)
            pbuf_free(p);
    }
}

static void run_until(const bool *done)
{
    while (!*done) {
        struct pollfd fd = {.fd = tun, .events = POLLIN};
        u32_t wait = sys_timeouts_sleeptime();

        poll(&fd, 1, wait == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? -1 : (int)wait);
        sys_check_timeouts();
        take_packets();
    }
}

/* ---- the server ---- */

static size_t size_of(const char *request)
{
    static const struct {
        const char *get;
        size_t octets;
    } files[] = {{"GET /10kB ", 10000}, {"GET /1MB ", 1000000}, {"GET /100MB ", 100000000}};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strncmp(request, files[i].get, strlen(files[i].get)) == 0)
            return files[i].octets;
    return 0;
}

static void end_answer(struct tcp_pcb *pcb, struct answer *a)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    if (tcp_close(pcb) != ERR_OK)
        tcp_abort(pcb);
    free(a);
}

static void go_on(struct tcp_pcb *pcb, struct answer *a)
{
    while (a->left > 0) {
        size_t room = tcp_sndbuf(pcb), n = a->left < sizeof zeros - 1 ? a->left : sizeof zeros - 1;

        n = n < room ? n : room;
        if (n == 0 || tcp_write(pcb, zeros, (u16_t)n, 0) != ERR_OK)
            break;
        a->left -= n;
    }
    tcp_output(pcb);
    if (a->begun && a->left == 0)
        end_answer(pcb, a);
}

static err_t on_request(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct answer *a = arg;
    char head[128];
    int len;

    (void)err;
    if (!p) {
        end_answer(pcb, a);
        return ERR_OK;
    }
    if (a->asked + p->tot_len < sizeof a->request)
        a->asked += pbuf_copy_partial(p, a->request + a->asked, p->tot_len, 0);
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    if (a->begun || !strstr(a->request, "\r\n\r\n"))
        return ERR_OK;
    a->begun = true;
    a->left = size_of(a->request);
    len = snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n", a->left);
    tcp_write(pcb, head, (u16_t)len, TCP_WRITE_FLAG_COPY);
    go_on(pcb, a);
    return ERR_OK;
}

static err_t on_room(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    (void)len;
    go_on(pcb, arg);
    return ERR_OK;
}

static void on_lost_answer(void *arg, err_t err)
{
    (void)err;
    free(arg);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct answer *a = calloc(1, sizeof *a);

    (void)arg;
    if (err != ERR_OK || !a) {
        free(a);
        return ERR_MEM;
    }
    tcp_arg(pcb, a);
    tcp_recv(pcb, on_request);
    tcp_sent(pcb, on_room);
    tcp_err(pcb, on_lost_answer);
    return ERR_OK;
}

static void serve(uint16_t port)
{
    static const bool never;
    struct tcp_pcb *pcb = tcp_new();

    if (!pcb || tcp_bind(pcb, IP_ADDR_ANY, port) != ERR_OK || !(pcb = tcp_listen(pcb)))
        die("listen");
    tcp_accept(pcb, on_accept);
    run_until(&never);
}

/* ---- the client ---- */

static void read_head(struct question *q)
{
    const char *length = strcasestr(q->head, "Content-Length:"), *end = strstr(q->head, "\r\n\r\n");

    if (length && end)
        q->want = (size_t)(end + 4 - q->head) + strtoull(length + 15, NULL, 10);
}

static err_t on_answer(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct question *q = arg;
    size_t room;

    (void)err;
    if (!p && !q->done)
        exit(EXIT_FAILURE); /* before all of it was there */
    if (!p)
        return ERR_OK;
    if (q->have < sizeof q->head - 1) {
        room = sizeof q->head - 1 - q->have;
        pbuf_copy_partial(p, q->head + q->have, (u16_t)(p->tot_len < room ? p->tot_len : room), 0);
    }
    q->have += p->tot_len;
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    if (!q->want)
        read_head(q);
    q->done = q->want && q->have >= q->want;
    return ERR_OK;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct question *q = arg;
    char request[256];
    int len =
        snprintf(request, sizeof request, "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n", q->path, q->host);

    (void)err;
    tcp_write(pcb, request, (u16_t)len, TCP_WRITE_FLAG_COPY);
    return tcp_output(pcb);
}

static void on_lost_question(void *arg, err_t err)
{
    (void)arg, (void)err;
    exit(EXIT_FAILURE);
}

static void get(const char *url)
{
    struct question q = {0};
    struct tcp_pcb *pcb = tcp_new();
    uint64_t began = now_ns();
    ip_addr_t to;

    if (sscanf(url, "http://%63[^:]:%hu/%127s", q.host, &q.port, q.path) != 3 ||
        !ipaddr_aton(q.host, &to) || !pcb)
        die(url);
    tcp_arg(pcb, &q);
    tcp_recv(pcb, on_answer);
    tcp_err(pcb, on_lost_question);
    if (tcp_connect(pcb, &to, q.port, on_connected) != ERR_OK)
        die("connect");
    run_until(&q.done);
    printf("%zu octets in %.6f s, done\n", q.have, (double)(now_ns() - began) / 1e9);
    tcp_err(pcb, NULL);
    tcp_abort(pcb);
}

int main(int argc, char *argv[])
{
    bool serves = argc == 6 && strcmp(argv[1], "serve") == 0;

    if (!serves && !(argc == 6 && strcmp(argv[1], "get") == 0)) {
        fprintf(stderr, "usage: lwip-http serve DEV ADDR GATEWAY PORT\n"
                        "       lwip-http get DEV ADDR GATEWAY URL\n");
        return 2;
    }
    open_device(argv[2], argv[3], argv[4]);
    srand((unsigned)now_ns());
    if (serves)
        serve((uint16_t)atoi(argv[5]));
    else
        get(argv[5]);
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* lwip_end.h - one lwIP, as the benchmark sees it through the shared object's only symbol. */
#ifndef LWIP_END_H
#define LWIP_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lent { /* a packet that the other end may read until it calls release(owner) */
    void *data;
    uint32_t len;
    void *owner;
    void (*release)(void *owner);
};
struct lwip_conn;
struct lwip_setup {
    uint8_t local[4], peer[4];
    void (*emit)(void *ctx, const struct lent *f); /* takes the loan */
    void *ctx;
    uint8_t *in; /* the application's buffer: text is copied here as it comes */
    size_t in_len;
    uint16_t listen_port, nlisten; /* 0: none */
};
struct lwip_end {
    void (*init)(const struct lwip_setup *s);
    void (*input)(const struct lent *f);
    void (*time)(uint32_t ms); /* runs what is due */
    struct lwip_conn *(*connect)(uint16_t port);
    bool (*is_open)(const struct lwip_conn *c);
    struct lwip_conn *(*accept)(uint16_t port);
    size_t (*send)(struct lwip_conn *c, const void *buf, size_t len);
    size_t (*recv)(struct lwip_conn *c);
    bool (*at_end)(const struct lwip_conn *c);
    void (*shut)(struct lwip_conn *c);
    void (*cap_timewaits)(uint32_t n);
    size_t pcb_len; /* octets of a connection */
};

#endif

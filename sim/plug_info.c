/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_info.c - TCP_INFO and SO_MEMINFO in Linux's layout. */
#include "plug.h"

#include <string.h>

size_t plug_tcp_info(const struct plug *p, const struct plug_file *f, void *buf, size_t len)
{
    struct estab_tcp_info i = {.size = sizeof i};

    (void)estab_tcp_info(p->stack, f->k, &i);
    return estab_linux_tcp_info(&i, buf, len);
}

size_t plug_meminfo(const struct plug *p, const struct plug_file *f, void *buf, size_t len)
{
    enum {
        RMEM_ALLOC,
        RCVBUF,
        WMEM_ALLOC,
        SNDBUF,
        FWD_ALLOC,
        WMEM_QUEUED,
        OPTMEM,
        BACKLOG,
        DROPS,
        VARS
    };
    struct estab_tcp_info i = {.size = sizeof i};
    uint32_t o[VARS] = {0};
    uint64_t n = 0;

    (void)estab_tcp_info(p->stack, f->k, &i);
    o[RMEM_ALLOC] = i.unread;
    o[WMEM_QUEUED] = i.flight + i.unsent;
    (void)estab_getopt(p->stack, f->k, ESTAB_O_RCVBUF, &n);
    o[RCVBUF] = (uint32_t)n;
    (void)estab_getopt(p->stack, f->k, ESTAB_O_SNDBUF, &n);
    o[SNDBUF] = (uint32_t)n;
    if (len > sizeof o)
        len = sizeof o;
    memcpy(buf, o, len);
    return len;
}

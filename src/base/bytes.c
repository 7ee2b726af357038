/* SPDX-License-Identifier: BSD-2-Clause */
/* bytes.c - cutting and copying text that lies in pieces. */
#include "base/bytes.h"

#include <assert.h>

void pieces_cut(struct pieces *t, const struct pieces *src, uint32_t off)
{
    uint32_t i = 0;

    t->n = 0;
    while (i < src->n && off >= src->v[i].len)
        off -= (uint32_t)src->v[i++].len;
    if (i == src->n)
        return;
    t->v[t->n++] = (struct estab_iov){(uint8_t *)src->v[i].base + off, src->v[i].len - off};
    while (++i < src->n)
        t->v[t->n++] = src->v[i];
}

void pieces_trim_head(struct pieces *t, uint32_t len)
{
    uint32_t i = 0;

    assert(len <= t->len);
    t->len -= len;
    while (i < t->n && len >= t->v[i].len)
        len -= (uint32_t)t->v[i++].len;
    t->n -= i;
    if (i)
        memmove(t->v, t->v + i, t->n * sizeof(t->v[0]));
    if (len) {
        t->v[0].base = (uint8_t *)t->v[0].base + len;
        t->v[0].len -= len;
    }
}

void pieces_trim_tail(struct pieces *t, uint32_t len)
{
    assert(len <= t->len);
    t->len -= len;
    while (t->n && len >= t->v[t->n - 1].len)
        len -= (uint32_t)t->v[--t->n].len;
    if (len)
        t->v[t->n - 1].len -= len;
}

void pieces_copy(void *dst, const struct pieces *t, uint32_t off, uint32_t len)
{
    uint8_t *to = (uint8_t *)dst;
    uint32_t i, n;

    assert(off <= t->len && len <= t->len - off);
    for (i = 0; len; i++) {
        if (off >= t->v[i].len) {
            off -= (uint32_t)t->v[i].len;
            continue;
        }
        n = (uint32_t)t->v[i].len - off;
        if (n > len)
            n = len;
        memcpy(to, (const uint8_t *)t->v[i].base + off, n);
        to += n;
        len -= n;
        off = 0;
    }
}

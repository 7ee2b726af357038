/* SPDX-License-Identifier: BSD-2-Clause */
/* bytes.h - the one checked way to an octet of a packet: cursors that cannot leave their buffer,
 * network byte order, and text in pieces. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/hint.h"

#include <estab/estab.h>
#include <string.h>

/* A reading cursor.  A read past the end yields zeros and sets `bad`, which stays set. */
struct rd {
    const uint8_t *p, *end;
    bool bad;
};
static inline struct rd rd_of(const void *p, size_t len)
{
    return (struct rd){(const uint8_t *)p, (const uint8_t *)p + len, false};
}
static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}
/* The next len octets in place, or NULL (and bad). */
static inline const uint8_t *rd_take(struct rd *r, size_t len)
{
    const uint8_t *p = r->p;

    if (r->bad || rd_left(r) < len) {
        r->bad = true;
        return NULL;
    }
    r->p += len;
    return p;
}
static inline uint16_t be16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t be32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
/* Two 32-bit words as they follow each other in memory, for one store: what is written in parts and
 * soon read as a whole stalls the reader. */
static inline uint64_t u64_of_words(uint32_t first, uint32_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint64_t)second << 32 | first;
#else
    return (uint64_t)first << 32 | second;
#endif
}
/* The number of the lowest bit that is set in v, which is not 0. */
static inline uint32_t lowest_bit(uint64_t v)
{
#ifdef __GNUC__
    return (uint32_t)__builtin_ctzll(v);
#else
    uint32_t n = 0;

    for (v &= ~v + 1; v >> 8; v >>= 8)
        n += 8;
    return n + (v > 15 ? 4 : 0) + ((v & 0xcc) ? 2 : 0) + ((v & 0xaa) ? 1 : 0);
#endif
}
/* A number whose octets lie in memory as those of v do where the lowest comes first. */
static inline uint64_t le64_of(uint64_t v)
{
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    v = (v & 0x00ff00ff00ff00ffu) << 8 | (v >> 8 & 0x00ff00ff00ff00ffu);
    v = (v & 0x0000ffff0000ffffu) << 16 | (v >> 16 & 0x0000ffff0000ffffu);
    v = v << 32 | v >> 32;
#endif
    return v;
}
static inline void be16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void be32_put(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}
static inline void le64_put(uint8_t *p, uint64_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
    p[4] = (uint8_t)(v >> 32);
    p[5] = (uint8_t)(v >> 40);
    p[6] = (uint8_t)(v >> 48);
    p[7] = (uint8_t)(v >> 56);
}
static inline uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = rd_take(r, 1);

    return p ? p[0] : 0;
}
static inline uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = rd_take(r, 2);

    return p ? be16_at(p) : 0;
}
static inline uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = rd_take(r, 4);

    return p ? be32_at(p) : 0;
}

/* A writing cursor: a write past the end writes nothing and sets `bad`, which stays set. */
struct wr {
    uint8_t *p, *end;
    bool bad;
};
static inline struct wr wr_of(void *p, size_t len)
{
    return (struct wr){(uint8_t *)p, (uint8_t *)p + len, false};
}
static inline uint8_t *wr_take(struct wr *w, size_t len)
{
    uint8_t *p = w->p;

    if (w->bad || (size_t)(w->end - w->p) < len) {
        w->bad = true;
        return NULL;
    }
    w->p += len;
    return p;
}
static inline void wr_u8(struct wr *w, uint8_t v)
{
    uint8_t *p = wr_take(w, 1);

    if (p)
        *p = v;
}
static inline void wr_u16(struct wr *w, uint16_t v)
{
    uint8_t *p = wr_take(w, 2);

    if (p)
        be16_put(p, v);
}
static inline void wr_u32(struct wr *w, uint32_t v)
{
    uint8_t *p = wr_take(w, 4);

    if (p)
        be32_put(p, v);
}
static inline void wr_bytes(struct wr *w, const void *src, size_t len)
{
    uint8_t *p = wr_take(w, len);

    if (p && len)
        memcpy(p, src, len);
}

/* Octets in up to ESTAB_IOVS pieces; borrowed.  v[n..] is never looked at. */
struct pieces {
    struct estab_iov v[ESTAB_IOVS];
    uint32_t n;
    uint32_t len; /* of all pieces together */
};
void pieces_cut(struct pieces *t, const struct pieces *src, uint32_t off);
/* All of src behind its first off octets; off <= src->len.  Mostly that is nothing, or one piece
 * stands behind the headers', or all is one piece. */
static inline void pieces_after(struct pieces *t, const struct pieces *src, uint32_t off)
{
    t->len = src->len - off;
    if (LIKELY(src->n == 2 && off == src->v[0].len)) {
        t->v[0] = src->v[1];
        t->n = 1;
    } else if (LIKELY(src->n == 1)) {
        t->v[0] = (struct estab_iov){(uint8_t *)src->v[0].base + off, t->len};
        t->n = t->len > 0;
    } else {
        pieces_cut(t, src, off);
    }
}
void pieces_trim_head(struct pieces *t, uint32_t len); /* len <= t->len */
void pieces_trim_tail(struct pieces *t, uint32_t len); /* len <= t->len */
void pieces_copy(void *dst, const struct pieces *t, uint32_t off,
                 uint32_t len); /* off + len <= t->len */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* shm_ring.c - frames in memory that another process can write at any time.
 *
 * A record is a header of 16 octets (length, virtio-net header) and the frame, in one piece and
 * aligned to a cache line; one that does not fit before the end leaves the rest unused.  Each index
 * has a line of its own, and the consumer's is written and read only when it matters: a line that
 * both touch costs each of them 60 to 100 ns, of a round trip of 1500.
 *
 * The other side may be hostile.  So: each side keeps its own index to itself and only publishes
 * it; the other's index is read once, and must lie where it can; a record's header is copied, then
 * judged; so are the first SHM_HEAD_LEN octets of a frame, and all of one that is not a plain TCP
 * segment with its headers among them.  What stays where it lies is the text of a TCP segment,
 * which the stack copies, once, and never looks at: its checksum is not verified, as with TUN,
 * since who could change the text could as well make its checksum.  Copying that too cost a fifth
 * of the goodput. */
#include "shm_ring.h"

#include <string.h>

#include "vnet.h"

enum {
    LINE = 64,
    RECORD_HDR = 16, /* length (4), virtio-net header (10), unused (2) */
    REST_UNUSED = -1,
    IPPROTO_IS_TCP = 6,
};

static uint32_t record_len(uint32_t frame_len)
{
    return (RECORD_HDR + frame_len + LINE - 1) / LINE * LINE;
}

static uint8_t *at(const struct shm_ring *r, uint32_t index)
{
    return (uint8_t *)(uintptr_t)r->octets + index % SHM_RING_LEN;
}

static uint32_t to_end(uint32_t index)
{
    return SHM_RING_LEN - index % SHM_RING_LEN;
}

static void put_header(uint8_t *p, int32_t len, const struct estab_offload *off)
{
    memcpy(p, &len, sizeof len);
    if (off)
        vnet_emit(p + sizeof len, off);
}

static bool has_room(struct shm_out *o, uint32_t need)
{
    if (SHM_RING_LEN - (o->head - o->tail) >= need)
        return true;
    o->tail = atomic_load_explicit(&o->ring->tail, memory_order_acquire);
    o->broken |= o->head - o->tail > SHM_RING_LEN;
    return !o->broken && SHM_RING_LEN - (o->head - o->tail) >= need;
}

bool shm_out_push(struct shm_out *o, const struct estab_frame *f)
{
    size_t len = estab_frame_len(f);
    uint32_t need = record_len((uint32_t)len), skip = to_end(o->head);

    if (skip >= need)
        skip = 0;
    if (o->broken || len > SHM_FRAME_MAX || !has_room(o, need + skip))
        return false;
    if (skip)
        put_header(at(o->ring, o->head), REST_UNUSED, NULL);
    o->head += skip;
    put_header(at(o->ring, o->head), (int32_t)len, &f->off);
    estab_frame_copy(at(o->ring, o->head) + RECORD_HDR, f);
    o->head += need;
    return true;
}

/* The lines of a short frame are asked for while there is time: the consumer's reading ahead has
 * taken them (12 % of an exchange). */
void shm_out_prepare(const struct shm_out *o)
{
    for (uint32_t i = 0; i < 4 * LINE; i += LINE)
        __builtin_prefetch(at(o->ring, o->head + i), 1);
}

/* The store is no barrier, so that its line, which the consumer looks at, is asked for while those
 * of the frames still come, and not after them (10 %).  Whichever of the two exchanges of `asleep`
 * is the second, there or in shm_in_sleep(), sees what went before the first. */
bool shm_out_publish(struct shm_out *o)
{
    atomic_store_explicit(&o->ring->head, o->head, memory_order_release);
    return atomic_exchange(&o->ring->asleep, 0) != 0;
}

/* Whether the headers of a plain TCP segment, and all of them, lie in the copy. */
static bool text_may_stay(const uint8_t *h)
{
    uint32_t ip_len = h[0] >> 4 == 4 ? (h[0] & 0xfu) * 4 : 40;

    if (h[0] >> 4 == 4 && (h[9] != IPPROTO_IS_TCP || (h[6] & 0x3f) != 0 || h[7] != 0))
        return false;
    if (h[0] >> 4 != 4 && (h[0] >> 4 != 6 || h[6] != IPPROTO_IS_TCP))
        return false;
    return ip_len + (h[ip_len + 12] >> 4) * 4u <= SHM_HEAD_LEN;
}

/* Lends the frame at p, of len octets, through the buffers of its place in the batch. */
static void lend(struct shm_in *in, size_t i, const uint8_t *p, uint32_t len, struct estab_frame *f)
{
    uint32_t head_len = len < SHM_HEAD_LEN ? len : SHM_HEAD_LEN;

    memcpy(in->heads[i], p, head_len);
    f->niov = 1;
    f->iov[0] = (struct estab_iov){in->heads[i], head_len};
    if (head_len == len)
        return;
    if (text_may_stay(in->heads[i])) {
        f->iov[1] = (struct estab_iov){(void *)(uintptr_t)(p + head_len), len - head_len};
        f->niov = 2;
        return;
    }
    memcpy(in->copies[i], in->heads[i], head_len);
    memcpy(in->copies[i] + head_len, p + head_len, len - head_len);
    f->iov[0] = (struct estab_iov){in->copies[i], len};
}

static void give_back(struct shm_in *in, uint32_t least)
{
    if (in->kept - in->freed < least)
        return;
    in->freed = in->kept;
    atomic_store_explicit(&in->ring->tail, in->freed, memory_order_release);
}

size_t shm_in_pop(struct shm_in *in, struct estab_frame *f, size_t n)
{
    uint8_t hdr[RECORD_HDR];
    uint32_t there, step;
    size_t got = 0;
    int32_t len;

    in->kept = in->tail;
    give_back(in, SHM_RING_LEN / 16);
    there = atomic_load_explicit(&in->ring->head, memory_order_acquire) - in->tail;
    in->broken |= there > SHM_RING_LEN || there % LINE != 0;
    while (got < n && got < LINK_BATCH && there > 0 && !in->broken) {
        memcpy(hdr, at(in->ring, in->tail), sizeof hdr);
        memcpy(&len, hdr, sizeof len);
        step = len == REST_UNUSED ? to_end(in->tail) : record_len((uint32_t)len);
        if (len < REST_UNUSED || len > SHM_FRAME_MAX || step > there || step > to_end(in->tail)) {
            in->broken = true;
            break;
        }
        if (len != REST_UNUSED) {
            lend(in, got, at(in->ring, in->tail) + RECORD_HDR, (uint32_t)len, &f[got]);
            if (vnet_parse(&f[got].off, hdr + sizeof len, ESTAB_MEDIUM_IP, f[got].iov[0].base,
                           (size_t)len))
                got++;
            else
                in->refused++;
        }
        in->tail += step;
        there -= step;
    }
    return got;
}

bool shm_in_sleep(struct shm_in *in)
{
    give_back(in, 1);
    if (atomic_load_explicit(&in->ring->head, memory_order_acquire) != in->tail)
        return true;
    atomic_exchange(&in->ring->asleep, 1);
    return atomic_load_explicit(&in->ring->head, memory_order_acquire) != in->tail;
}

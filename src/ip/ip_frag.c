/* SPDX-License-Identifier: BSD-2-Clause */
/* ip_frag.c - datagrams of our own in fragments: RFC 791 section 3.2, RFC 8200 section 4.5.
 *
 * Transports keep within the path's MTU; answers of ICMP are as long as the question.  IPv6 is cut
 * here or nowhere.  IPv4 is cut here to what is known of the path, and may be cut again by anybody
 * on the way: DF is set only in answers so short that no link cuts them.
 *
 * What may be in fragments has an identification (RFC 6864 section 4): a counter plus an offset,
 * both chosen by a keyed hash of who sends what to whom (RFC 7739 section 5.3), so that it does not
 * come again soon, and nobody else can tell it in advance. */
#include "ip/ip_int.h"
#include <assert.h>

#define IP4_ATOMIC_MAX 576 /* RFC 791 section 3.1: everybody takes them, and no link is smaller */

static uint32_t frag_id(struct ip_layer *l, const uint8_t src[16], const uint8_t dst[16],
                        uint8_t proto)
{
    struct hash_key key = {l->secret[0] ^ 1, l->secret[1]};
    uint8_t who[33];
    uint64_t h;

    memcpy(who, src, 16);
    memcpy(who + 16, dst, 16);
    who[32] = proto;
    h = hash_sip13(&key, who, sizeof who);
    return (uint32_t)h + l->frag_ids[h >> 32 & (IP_FRAG_IDS - 1)]++;
}

bool ip_frag_wanted(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                    uint32_t payload_len)
{
    uint32_t len = ip_hdr_len_of(dst) + payload_len;

    return len > ip_pmtu_own(l, p, dst) || (ip_is4(dst) && len > IP4_ATOMIC_MAX);
}

uint32_t ip_frag_slice(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                       uint32_t payload_len)
{
    uint32_t hdrs = ip_hdr_len_of(dst), mtu = ip_pmtu_own(l, p, dst);

    if (hdrs + payload_len <= mtu)
        return payload_len;
    if (!ip_is4(dst))
        hdrs += IP6_FRAG_LEN;
    return (mtu - hdrs) & ~7u;
}

/* The slices are moved apart, the last first, so that each has room for its headers: the first
 * already has. */
static void move_apart(struct ip_pkt *k, uint32_t slice, uint32_t n)
{
    uint8_t *payload = ip_own_payload(k);
    uint32_t i, len;

    for (i = n - 1; i > 0; i--) {
        len = i == n - 1 ? k->len - i * slice : slice;
        memmove(payload + (size_t)i * k->stride, payload + (size_t)i * slice, len);
    }
}

static void cut_up(struct ip_layer *l, struct ip_pkt *k, const struct ip_path *p,
                   const uint8_t dst[16], const struct ip_send *how)
{
    uint32_t slice = k->size ? k->stride - IP_OWN_HEADROOM : k->len;
    uint32_t n = (k->len + slice - 1) / slice, all = k->len, i, len;
    uint32_t hdrs = ip_emit_len(l, p, dst) + (ip_is4(dst) ? 0 : IP6_FRAG_LEN);
    struct ip_frag frag = {.id = frag_id(l, ip_local(l, p->local), dst, how->proto)};

    move_apart(k, slice, n);
    k->start -= hdrs;
    for (i = 0; i < n; i++) {
        frag.off = i * slice;
        frag.more = i < n - 1;
        len = frag.more ? slice : all - frag.off;
        ip_emit_frag(l, p, dst, how, &frag, len, k->data + k->start + (size_t)i * k->stride);
        if (i == 0)
            k->len = hdrs + len;
        k->last_len = hdrs + len;
    }
    k->left = n - 1;
}

/* [RFC1122-3.3.3-1] */
void ip_frag_cut(struct ip_layer *l, struct ip_pkt *k, const struct ip_path *p,
                 const uint8_t dst[16], const struct ip_send *how)
{
    uint32_t len = k->len, hdrs = ip_emit_len(l, p, dst);

    assert(k->start == IP_OWN_HEADROOM);
    if (ip_frag_wanted(l, p, dst, len)) {
        cut_up(l, k, p, dst, how);
        return;
    }
    k->start -= hdrs;
    k->len += hdrs;
    ip_emit(l, p, dst, how, len, k->data + k->start);
}

void ip_cut_of(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16], uint8_t proto,
               uint32_t payload_len, struct ip_cut *out)
{
    out->atomic = !ip_frag_wanted(l, p, dst, payload_len);
    out->slice = out->atomic ? payload_len : ip_frag_slice(l, p, dst, payload_len);
    out->id = out->atomic ? 0 : frag_id(l, ip_local(l, p->local), dst, proto);
}

uint32_t ip_emit_cut(struct ip_layer *l, const struct ip_path *p, const uint8_t dst[16],
                     const struct ip_send *how, const struct ip_cut *cut, uint32_t off,
                     uint32_t len, uint32_t payload_len, uint8_t *out)
{
    struct ip_frag frag = {.id = cut->id, .off = off, .more = off + len < payload_len};

    ip_emit_frag(l, p, dst, how, cut->atomic ? NULL : &frag, len, out);
    return ip_emit_len(l, p, dst) + (cut->atomic || ip_is4(dst) ? 0 : IP6_FRAG_LEN);
}
